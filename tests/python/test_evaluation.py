"""Evaluate and gate steps on small data: what is measured, and what is refused rather than guessed."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Workspace
from sklearn import metrics

LOCK = ROOT / "examples/employment/requirements.lock"
ORIGIN = "{publisher: p, url: https://example.com, licence: l, legal_basis: contract, classification: internal}"
MODELS = ["pair", "double", "zipmap", "three", "columns", "outputs", "number"]
SEED = 20
RANDOM = np.random.default_rng(SEED)


def f32(values):
    return pa.array(values, type=pa.float32())


def datasets():
    """The data of each case."""
    rows = 200
    label = RANDOM.integers(0, 2, rows)
    score = np.clip(label * 0.3 + RANDOM.random(rows) * 0.7, 0, 1)
    scores = RANDOM.random((rows, 3)) + np.eye(3)[RANDOM.integers(0, 3, rows)]
    scores /= scores.sum(axis=1, keepdims=True)
    kinds = RANDOM.integers(0, 3, rows)
    groups = RANDOM.choice(["f", "m"], rows)
    found = {
        "plain": {"id": np.arange(rows), "x": score, "y": label, "t": np.where(label == 1, "yes", "no"), "s": groups},
        "several": {"p0": f32(scores[:, 0]), "p1": f32(scores[:, 1]), "p2": f32(scores[:, 2]), "y": kinds, "z": (kinds == 1).astype(int), "s": groups},
        "typed": {"whole": np.arange(rows, dtype="int32"), "code": pa.array([f"{v:.3f}" for v in score]).dictionary_encode(), "y": label == 1},
        "amounts": {"x": score * 100, "y": score * 100 + RANDOM.normal(0, 5, rows), "s": groups},
        "outside": {"x": f32([-3.0, -1.0, 0.5, 2.0]), "y": [0, 1, 0, 1]},
        "broken": {"x": f32([0.1, float("nan")]), "y": [0, 1]},
        "edge": {"x": f32([0.7, 0.7, 0.7, 0.1]), "y": [1, 1, 1, 0]},
        "nan_group": {"x": f32([0.1, 0.9] * 20), "y": [0, 1] * 20, "s": [1.0] * 20 + [float("nan")] * 20},
        "null_group": {"x": f32([0.1, 0.9] * 20), "y": [0, 1] * 20, "s": [None, "null"] * 15 + [""] * 10},
        # Group c has no positive row; its selection rate is that of nobody else.
        "large": {"x": f32([0.9, 0.1] * 100 + [0.9] * 5000), "y": [1, 0] * 100 + [0] * 5000, "s": ["a"] * 100 + ["b"] * 100 + ["c"] * 5000},
        "small": {"x": f32([0.9, 0.1] * 100 + [0.9] * 5), "y": [1, 0] * 100 + [0] * 5, "s": ["a"] * 100 + ["b"] * 100 + ["tiny"] * 5},
        "nolabel": {"x": f32([0.1, 0.9, 0.5]), "y": [0, 1, None]},
        # Half of it is in `plain`, its key in another type.
        "half": {"id": np.arange(100, 300).astype(float), "x": RANDOM.random(rows), "y": label},
        # Ten rows are those of `plain`, and there is no key.
        "keyless": {"x": np.concatenate([score[:10], RANDOM.random(rows)]), "y": np.concatenate([label[:10], label])},
        "fresh": {"id": np.arange(1000, 1200), "x": score, "y": label, "s": groups},
        "validation": {"id": np.arange(2000, 2200), "x": RANDOM.random(rows), "y": label},
    }
    return {name: pa.table({column: pa.array(values) if not isinstance(values, (pa.Array, pa.ChunkedArray)) else values for column, values in columns.items()}) for name, columns in found.items()}


# The evaluate step of each case that ends with figures.
MEASURED = {
    "m-double": "{model: double, data: plain, label: y, groups: [s], bootstrap: {samples: 50, seed: 1}}",
    "m-zipmap": "{model: zipmap, data: plain, label: t, positive: 'yes'}",
    "m-columns": "{model: columns, data: typed, label: y}",
    "m-output": "{model: outputs, data: plain, label: y, output: first}",
    "m-rest": "{model: three, data: several, label: y, positive: 1}",
    "m-several": "{kind: multiclass, model: three, data: several, label: y, groups: [s]}",
    "m-number": "{kind: regression, model: number, data: amounts, label: y, groups: [s]}",
    "m-raw": "{model: pair, data: outside, label: y, scores: raw}",
    "m-edge": "{model: pair, data: edge, label: y, threshold: 0.7}",
    "m-nan": "{model: pair, data: nan_group, label: y, groups: [s]}",
    "m-null": "{model: pair, data: null_group, label: y, groups: [s]}",
    "m-large": "{model: pair, data: large, label: y, groups: [s]}",
    "m-small": "{model: pair, data: small, label: y, groups: [s]}",
    "m-chosen": "{model: pair, data: plain, label: y, key: id, threshold: {on: validation, by: max_youden}}",
    "m-fresh": "{model: trained, data: fresh, label: y, key: id}",
    "m-known": "{model: trained, data: plain, label: y, key: id, overlap: allowed}",
}
# The evaluate step of each case that is refused, and words that it is told in.
REFUSED = {
    "r-outside": ("{model: pair, data: outside, label: y}", ["is not from 0 to 1; 3 rows", "scores: raw"]),
    "r-broken": ("{model: pair, data: broken, label: y}", ["row 1 is not a finite number"]),
    "r-three": ("{model: three, data: several, label: z}", ["the model has 3 classes: 0, 1, 2", "kind: multiclass", "positive:"]),
    "r-text": ("{model: zipmap, data: plain, label: t}", ["nothing says which text is the positive class"]),
    "r-typed": ("{model: zipmap, data: plain, label: t, positive: 1}", ["is of another type than the column, which is text"]),
    "r-class": ("{model: zipmap, data: plain, label: y}", ["the model has no class 1", '"no", "yes"']),
    "r-output": ("{model: outputs, data: plain, label: y}", ["`first`, `second`", "`output`"]),
    "r-nolabel": ("{model: pair, data: nolabel, label: y}", ["1 of 3 rows have no label"]),
    "r-feature": ("{model: three, data: plain, label: y}", ["has no column `p0`", "a feature of the model"]),
    "r-kind": ("{model: number, data: plain, label: t, kind: regression}", ["it is text"]),
    "r-same": ("{model: trained, data: plain, label: y, key: id}", ["rows that it knows", "the data are the training data"]),
    "r-half": ("{model: trained, data: half, label: y, key: id}", ["100 of 200 rows are in the training data", "by `id`"]),
    "r-keyless": ("{model: trained, data: keyless, label: y}", ["10 of 210 rows are in the training data", "by the columns `x`, `y`"]),
    "r-lost": ("{model: pair, data: fresh, label: y, key: id, predictions: lost}", ["3 of 200 rows of `data` have no prediction"]),
    "r-twice": ("{model: pair, data: fresh, label: y, key: id, predictions: twice}", ["1 rows of `predictions` have a `id` that another row has"]),
    "r-beside": ("{model: pair, data: fresh, label: y, key: id, predictions: beside}", ["1 predictions have a `id` that no row of `data` has"]),
}
GATES = {
    "g-large": ("pair", "m-large", "fairness.s.demographic_parity_difference: {max: 0.05}", None),
    "g-small": ("pair", "m-small", "fairness.s.demographic_parity_difference: {max: 0.05}", None),
    "g-ignore": ("pair", "m-small", "fairness.s.demographic_parity_difference: {max: 0.05}", "ignore"),
    "g-said": ("pair", "m-said", "roc_auc: {min: 0.6}", None),
}
PREDICT = """
import numpy as np, pyarrow as pa, pyarrow.parquet as pq, custody
table = pq.read_table(custody.input("data"))
keys, scores = table["id"].to_numpy(), table["x"].to_numpy()
order = np.random.default_rng(7).permutation(len(keys))
def write(name, keys, scores):
    pq.write_table(pa.table({"id": keys.astype("float64"), "score": scores}), custody.output(name) / "said.parquet")
write("said", keys[order], scores[order])
write("lost", keys[3:], scores[3:])
write("twice", np.append(keys, keys[:1]), np.append(scores, scores[:1]))
write("beside", np.append(keys, [-1]), np.append(scores, [0.5]))
"""


def pipeline(data):
    """The pipeline file of all cases."""
    lines = ["project: bug", "environment: {python: '3.11', lock: requirements.lock}", "steps:"]
    lines.extend(f"  d-{name.replace('_', '-')}: {{source: {{file: d/{name}.parquet, output: {name}, origin: {ORIGIN}}}}}" for name in data)
    outputs = ", ".join(f"{name}: {{artifact: {name}, kind: model}}" for name in MODELS)
    lines.append(f"  make: {{run: {{command: [python, /code/models.py], code: [models.py], outputs: {{{outputs}}}}}}}")
    train = "cp $CUSTODY_INPUT_PAIR/* $CUSTODY_OUTPUT_MODEL/"
    lines.append(
        f"  train: {{run: {{command: [/bin/sh, -c, '{train}'], inputs: {{train: plain, pair: pair}}, outputs: {{model: {{artifact: trained, kind: model}}}}}}}}"
    )
    said = ", ".join(f"{name}: {{artifact: {name}, kind: dataset}}" for name in ("said", "lost", "twice", "beside"))
    lines.append(
        f"  predict: {{run: {{command: [python, /code/predict.py], code: [predict.py], inputs: {{model: pair, data: fresh}}, outputs: {{{said}}}}}}}"
    )
    steps = {**MEASURED, **{name: step for name, (step, _) in REFUSED.items()}}
    steps["m-said"] = "{model: pair, data: fresh, label: y, key: id, predictions: said, groups: [s]}"
    for name, step in steps.items():
        lines.append(f"  {name}: {{evaluate: {step}}}")
    for name, (model, evaluation, require, small) in GATES.items():
        rest = f", small_groups: {small}" if small else ""
        lines.append(f"  {name}: {{gate: {{model: {model}, evaluation: {evaluation}, require: {{{require}}}{rest}}}}}")
    lines.append("  register: {register: {model: pair, gate: g-said, output: registered}}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """A workspace with all cases, of which those that can be measured are."""
    print("seed", SEED)
    data = datasets()
    workspace = Workspace(tmp_path_factory.mktemp("evaluation"), {"custody.yaml": pipeline(data), "predict.py": PREDICT})
    workspace.data = data
    (workspace.folder / "d").mkdir()
    for name, table in workspace.data.items():
        # Several row groups, and what they claim of their values is nothing to believe.
        pq.write_table(table, workspace.folder / f"d/{name}.parquet", row_group_size=64)
    shutil.copy(LOCK, workspace.folder / "requirements.lock")
    shutil.copy(ROOT / "tests/python/models.py", workspace.folder)
    workspace.run("init")
    workspace.first = workspace.run("run", *MEASURED, "g-ignore", "register")
    return workspace


def figures(cases, step):
    """The report of an evaluate step."""
    folder = cases.folder.parent / f"out-{step}"
    cases.run("get", f"bug/{step}@1", "--to", str(folder))
    return json.loads((folder / "evaluation.json").read_text())


def column(cases, data, name):
    return cases.data[data][name].to_numpy()


def test_a_model_is_measured_by_its_own_signature(cases):
    label = column(cases, "plain", "y")
    area = metrics.roc_auc_score(label, column(cases, "plain", "x"))
    found = figures(cases, "m-double")
    assert found["performance"]["roc_auc"] == pytest.approx(area, rel=1e-12)
    assert found["intervals"]["roc_auc"]["low"] < area < found["intervals"]["roc_auc"]["high"]
    single = metrics.roc_auc_score(label, column(cases, "plain", "x").astype(np.float32))
    for step in ("m-zipmap", "m-output"):
        assert figures(cases, step)["performance"]["roc_auc"] == pytest.approx(single, rel=1e-12), step
    codes = np.array([float(code) for code in cases.data["typed"]["code"].to_pylist()])
    assert figures(cases, "m-columns")["performance"]["roc_auc"] == pytest.approx(metrics.roc_auc_score(label, codes), rel=1e-12)


def test_several_classes_and_numbers_are_measured(cases):
    scores = np.column_stack([column(cases, "several", f"p{number}") for number in range(3)]).astype(np.float64)
    kinds = column(cases, "several", "y")
    found = figures(cases, "m-several")
    assert found["kind"] == "multiclass"
    assert found["performance"]["accuracy"]["value"] == pytest.approx(metrics.accuracy_score(kinds, scores.argmax(axis=1)), rel=1e-12)
    one = metrics.roc_auc_score(kinds == 1, scores[:, 1])
    assert found["performance"]["table"][1]["roc_auc"] == pytest.approx(one, rel=1e-12)
    assert figures(cases, "m-rest")["performance"]["roc_auc"] == pytest.approx(one, rel=1e-12)
    found = figures(cases, "m-number")
    truth, said = column(cases, "amounts", "y"), column(cases, "amounts", "x")
    assert found["performance"]["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, said), rel=1e-12)
    assert set(found["fairness"]["s"]) == {"mae_difference", "mae_ratio", "rmse_difference", "mean_residual_difference"}


def test_what_is_measured_is_what_is_there(cases):
    raw = figures(cases, "m-raw")["performance"]
    assert raw["roc_auc"] == 0.75
    assert raw["log_loss"] is None
    assert figures(cases, "m-edge")["performance"]["recall"] == 1.0
    groups = [(row["values"], row["n"]) for row in figures(cases, "m-nan")["groups"]["s"]]
    assert groups == [([None], 20), (["1"], 20)]
    groups = [(row["values"], row["n"]) for row in figures(cases, "m-null")["groups"]["s"]]
    assert groups == [([None], 15), ([""], 10), (["null"], 15)]
    gap = figures(cases, "m-large")["fairness"]["s"]["demographic_parity_difference"]
    assert (gap["value"], gap["highest"], gap["insufficient"]) == (0.5, ["c"], [])
    labels, scores = column(cases, "validation", "y"), column(cases, "validation", "x").astype(np.float32)
    false_positive, recall, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
    best = [t for t, gain in zip(thresholds[1:], (recall - false_positive)[1:], strict=True) if gain > max(recall - false_positive) - 1e-9]
    assert figures(cases, "m-chosen")["threshold"] == pytest.approx(float(max(best)), rel=1e-12)
    assert "brier" in cases.first
    assert "Traceback" not in cases.first


@pytest.mark.parametrize("step", REFUSED)
def test_nothing_is_guessed(cases, step):
    told = cases.run("run", step, expect=2 if step == "r-feature" else 1)
    for words in REFUSED[step][1]:
        assert words in told, told
    for never in ("Traceback", "onnxruntime", "DataFusion", "numpy"):
        assert never not in told, told


def test_a_group_that_is_left_out_refuses_the_gate(cases):
    assert "demographic_parity_difference is 0.5000, required at most 0.05 (between" in cases.run("run", "g-large", expect=1)
    told = cases.run("run", "g-small", expect=1)
    assert "leaves out groups with too few rows: tiny" in told
    assert "the group tiny has too few rows and is left out of fairness.s.demographic_parity_difference" in cases.first
    assert "small_groups: ignore" in cases.first


def test_predictions_of_any_model_are_joined_by_key(cases):
    area = metrics.roc_auc_score(column(cases, "fresh", "y"), column(cases, "fresh", "x"))
    assert figures(cases, "m-said")["performance"]["roc_auc"] == pytest.approx(area, rel=1e-12)
    checks = {check["name"]: check for check in cases.json("verify", "bug/registered@1")["checks"]}
    assert checks["gate"]["result"] == "ok", checks["gate"]


def test_verify_names_rows_that_the_model_knows(cases):
    def told(step):
        checks = {check["name"]: check for check in cases.json("verify", f"bug/{step}@1")["checks"]}
        return " ".join(checks["training-overlap"]["evidence"])

    assert "0 of 200 rows are in `bug/plain@1`, by `id`" in told("m-fresh")
    assert "declared: it measured on `bug/plain@1` itself" in told("m-known")


def test_a_wrong_file_is_found_before_anything_runs(cases):
    path = cases.folder / "custody.yaml"
    text = path.read_text()
    try:
        for found, instead, words in (
            ("roc_auc: {min: 0.6}", "roc_acu: {min: 0.6}", ["did you mean `roc_auc`?", "^"]),
            ("roc_auc: {min: 0.6}", "roc_auc: {}", ["requires nothing", "^"]),
            ("roc_auc: {min: 0.6}", "", ["requires nothing", "^"]),
            ("roc_auc: {min: 0.6}", "fairness.t.equalized_odds_ratio: {min: 0.5}", ["`t`, which is not in `groups`"]),
            ("label: y, scores: raw", "label: yy, scores: raw", ["`outside` has no column `yy`; did you mean `y`?", "^^"]),
            ("data: nan_group, label: y, groups: [s]", "data: nan_group, label: y, groups: [sex]", ["`nan_group` has no column `sex`", "^^^"]),
            ("threshold: 0.7", "threshold: 2", ["divides nothing"]),
            ("predictions: said", "predictions: half", ["`half` proves nothing about `pair`"]),
        ):
            path.write_text(text.replace(found, instead))
            told = cases.run("run", "--dry-run", expect=2)
            for word in words:
                assert word in told, told
    finally:
        path.write_text(text)


def test_the_figures_of_a_version_are_its_own(cases):
    """Another version has the same bytes and was measured on other data, later."""
    path = cases.folder / "custody.yaml"
    text = path.read_text()
    before = cases.json("metrics", "bug/pair@1")["subjects"][0]["figures"]
    try:
        path.write_text(text.replace(MEASURED["m-edge"], "{model: trained, data: fresh, label: y, key: id}"))
        cases.run("run", "m-edge")
    finally:
        path.write_text(text)
    own, other = (subject["figures"] for subject in cases.json("metrics", "bug/pair@1", "bug/trained@1")["subjects"])
    assert own == before
    area = metrics.roc_auc_score(column(cases, "fresh", "y"), column(cases, "fresh", "x"))
    assert other["m-edge.roc_auc"] == pytest.approx(area, rel=1e-6) != own["m-edge.roc_auc"]


def test_the_program_that_scores_leaves_no_traceback(tmp_path):
    """Whatever goes wrong in it becomes a document."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python/src"), "CUSTODY_INPUT_MODEL": str(tmp_path), "CUSTODY_INPUT_DATA": str(tmp_path)}
    environment["CUSTODY_OUTPUT_SCORES"] = str(tmp_path)
    done = subprocess.run([sys.executable, "-m", "custody._score"], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "because" in (tmp_path / "problem.json").read_text()
