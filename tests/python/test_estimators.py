"""Every public estimator of scikit-learn, fitted on small data in each of its kinds and written by pickle and by joblib: the scanner
calls each of them clean."""

import json
import pickle
import subprocess
import unittest
import warnings

import joblib
import numpy
import pytest
from conftest import TARGET
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.utils import all_estimators, get_tags
from sklearn.utils._test_common.instance_generator import _construct_instances

ROWS = 40
WANTS_TARGET = "it wants a target, and does not say so in its tags"
# What is not fitted here, and why: the estimator, and the kind of target.
UNFITTED = {
    ("PLSSVD", "no target"): WANTS_TARGET,
    ("SelectFromModel", "no target"): WANTS_TARGET,
    ("SelectKBest", "no target"): WANTS_TARGET,
    ("SelectPercentile", "no target"): WANTS_TARGET,
    ("SequentialFeatureSelector", "no target"): WANTS_TARGET,
}


def tables():
    """Tables by what an estimator may ask for."""
    random = numpy.random.default_rng(5)
    x = random.normal(size=(ROWS, 4))
    three = numpy.arange(ROWS) % 3
    return {
        "numbers": x,
        "three columns": x[:, :3],
        "positive": numpy.abs(x),
        "categories": random.integers(0, 3, size=(ROWS, 4)),
        "one column": x[:, 0],
        "pairs": (x @ x.T) ** 2,
        "texts": ["a loan of ten thousand", "import os and run", "builtins getattr eval", "a card"] * (ROWS // 4),
        "records": [{"income": 1.5, "city": "Berlin"}, {"age": 3.0}] * (ROWS // 2),
        "labels": numpy.array(["no", "yes", "os.system"], dtype=object)[three],
        "sets of labels": [{"no"}, {"yes", "no"}] * (ROWS // 2),
    }


def table_of(name, tags):
    """The name of the table that suits an estimator."""
    asked, target = tags.input_tags, tags.target_tags
    kinds = {
        "three columns": name == "SparseCoder",
        "pairs": asked.pairwise,
        "labels": not asked.two_d_array and target.one_d_labels,
        "sets of labels": not asked.two_d_array and target.two_d_labels,
        "texts": asked.string and not asked.two_d_array,
        "records": asked.dict,
        "categories": asked.categorical and not asked.allow_nan,
        "one column": asked.one_d_array,
        "positive": asked.positive_only,
    }
    return next((kind for kind, suits in kinds.items() if suits), "numbers")


def targets_of(tags, line):
    """The targets of each kind that an estimator takes."""
    target, three = tags.target_tags, numpy.arange(ROWS) % 3
    line = numpy.abs(line) if target.positive_only else line
    if tags.estimator_type == "classifier":
        multi = tags.classifier_tags
        kinds = {
            "two classes": (numpy.array(["no", "yes"], dtype=object)[three % 2], target.single_output),
            "three classes": (three, target.single_output and multi.multi_class),
            "two labels": (numpy.c_[three % 2, three // 2], target.multi_output and multi.multi_label),
            "two outputs": (numpy.c_[three, three[::-1]], target.multi_output and multi.multi_class and not target.single_output),
        }
    elif tags.estimator_type == "regressor":
        kinds = {"one target": (line, target.single_output), "two targets": (numpy.c_[line, line + 1], target.multi_output)}
    else:
        kinds = {"no target": (None, not target.required), "two classes": (three % 2, True), "three classes": (three, True)}
    return {kind: y for kind, (y, suits) in kinds.items() if suits}


def instances(kind, data):
    """An estimator with each set of parameters that scikit-learn's own tests give it."""
    if kind is FrozenEstimator:
        return [FrozenEstimator(LinearRegression().fit(data["numbers"], data["one column"]))]
    try:
        return list(_construct_instances(kind))
    except unittest.SkipTest as problem:
        raise AssertionError(f"{kind.__name__} cannot be made") from problem


def fit(name, model, data):
    """The estimator after each fit that it allows, or the problem."""
    tags = get_tags(model)
    table = table_of(name, tags)
    if table in {"labels", "sets of labels"}:
        yield "labels", model.fit(data[table])
        return
    for kind, y in targets_of(tags, data["numbers"] @ numpy.array([1.0, -2.0, 0.5, 0.0])).items():
        try:
            yield kind, model.fit(data[table], y)
        except Exception as problem:  # noqa: BLE001 - whatever an estimator raises is told
            yield kind, problem


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder with all estimators, and what could not be fitted."""
    folder, failed, data = tmp_path_factory.mktemp("estimators"), {}, tables()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, kind in all_estimators():
            for number, model in enumerate(instances(kind, data)):
                for target, result in fit(name, model, data):
                    if isinstance(result, Exception):
                        failed[name, target] = f"{type(result).__name__}: {result}"
                        continue
                    path = folder / f"{name}.{number}.{target.replace(' ', '_')}"
                    path.with_name(path.name + ".pkl").write_bytes(pickle.dumps(result))
                    joblib.dump(result, path.with_name(path.name + ".joblib"))
    return folder, failed


def test_every_estimator_is_fitted(fitted):
    folder, failed = fitted
    for (name, target), problem in failed.items():
        print(f"{name}, {target}: {problem}")
    assert failed.keys() == UNFITTED.keys()
    assert {name for name, _ in all_estimators()} == {path.name.partition(".")[0] for path in folder.iterdir()}


def test_every_estimator_is_clean(fitted):
    folder, _ = fitted
    command = [TARGET / "custody", "scan", "--json", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    files = json.loads(done.stdout)["files"]
    assert len(files) == len(list(folder.iterdir()))
    told = {file["file"]: [finding["what"] for finding in file["findings"]] for file in files if file["verdict"] != "clean"}
    assert not told
    assert done.returncode == 0
