"""A new user's first hour: a table of one's own, `custody new`, `init`, `run`, and a model that verifies."""

import csv
import json
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Workspace
from sklearn import datasets

# Ten minutes is what a person is promised; the packages are installed once for all tests that need them.
PROMISED = 600


def employment():
    """Persons of the survey (from the package nannyml): numbers and categories, a label in two words that is missing in some
    rows, and names as people write them."""
    table = pq.read_table(ROOT / "examples/employment/data/employment_MA_2015.parquet").slice(0, 4000)
    words = {
        "SEX": {"1": "male", "2": "female"},
        "MAR": {"1": "married", "2": "widowed", "3": "divorced", "4": "separated", "5": "never, so far"},
        "CIT": {"1": "born here", "2": 'born in a "territory"', "3": "born abroad", "4": "naturalised", "5": "it's none"},
    }
    rows = [["Größe\nin line", "id", 'say "so"', "select", "group", "e-mail", "is'old", "wage, or so", "order"]]
    for number, row in enumerate(table.to_pylist()):
        age = row["AGEP"]
        label = {0: "no", 1: "yes"}[row["employed"]] if number % 50 else ""
        marital = words["MAR"].get(row["MAR"], "") if number % 7 else ""
        schooling = row["SCHL"] if number % 9 else ""
        mail = f"p{number}@example.org"
        rows.append([schooling, row["id"], marital, words["CIT"].get(row["CIT"], ""), words["SEX"][row["SEX"]], mail, str(age > 60).lower(), age, label])
    return rows, "order"


def iris():
    """Three classes, in words; no key, and a row that stands twice."""
    found = datasets.load_iris()
    return [[*found.feature_names, "species"], *([*row, found.target_names[kind]] for row, kind in zip(found.data, found.target, strict=True))], "species"


def diabetes():
    """A number."""
    found = datasets.load_diabetes(scaled=False)
    return [[*found.feature_names, "progression"], *([*row, value] for row, value in zip(found.data, found.target, strict=True))], "progression"


def begin(tmp_path, name, rows):
    """A fresh folder with a table in it and nothing else."""
    workspace = Workspace(tmp_path, {})
    with (workspace.folder / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return workspace


@pytest.mark.parametrize(
    ("table", "kind", "figure"),
    [(employment, "binary", "roc_auc"), (iris, "multiclass", "balanced_accuracy"), (diabetes, "regression", "r2")],
    ids=["binary", "multiclass", "regression"],
)
def test_a_table_of_ones_own_becomes_a_verified_model(table, kind, figure, tmp_path):
    rows, label = table()
    name = f"{table.__name__}.csv"
    workspace = begin(tmp_path, name, rows)
    started = time.monotonic()
    made = workspace.json("new", name, "--label", label)
    assert (made["project"], made["kind"]) == (table.__name__, kind)
    assert made["files"] == ["custody.yaml", "train.py", "requirements.in", "requirements.lock"]
    assert "custody run" in workspace.run("init")
    told = workspace.run("run")
    model = f"{table.__name__}/model@1"
    assert model in told and f"{figure} is 0." in told
    checks = {check["name"]: check for check in workspace.json("verify", model, "--require", "gate,contract,scan,signature")["checks"]}
    for check in ("provenance", "contract", "gate", "training-overlap", "model-scan"):
        assert checks[check]["result"] == "ok", checks[check]
    assert time.monotonic() - started < PROMISED
    assert workspace.run("run").count("reused") == 8
    text = (workspace.folder / "custody.yaml").read_text(encoding="utf-8")
    compile((workspace.folder / "train.py").read_text(encoding="utf-8"), "train.py", "exec")
    if kind == "binary":
        assert 'Left out: "e-mail"' in text and "80 rows without a label" in text and 'positive: "yes"' in text
        assert "classification: personal" in text and "p17@example.org" not in text
        assert "3 numbers, 3 categories" in told
    else:
        # No key: equal rows are on one side, so that none of the training rows is measured.
        assert "concat_ws" in text


def test_nothing_is_written_over(tmp_path):
    rows, label = iris()
    workspace = begin(tmp_path, "iris.csv", rows)
    (workspace.folder / "train.py").write_text("mine")
    told = workspace.run("new", "iris.csv", "--label", label, expect=5)
    assert "`train.py`" in told and "writes over nothing" in told and "--to" in told
    assert sorted(path.name for path in workspace.folder.iterdir()) == ["iris.csv", "train.py"]
    workspace.run("new", "iris.csv", "--label", label, "--to", "a project")
    assert (workspace.folder / "train.py").read_text() == "mine"
    before = (workspace.folder / "a project/custody.yaml").read_text()
    told = workspace.run("new", "iris.csv", "--label", label, "--to", "a project", expect=5)
    assert "`custody.yaml`" in told and (workspace.folder / "a project/custody.yaml").read_text() == before


def test_without_a_label_there_are_source_and_contract(tmp_path):
    rows, _ = iris()
    workspace = begin(tmp_path, "iris.csv", [["nr", *rows[0]], *([number, *row] for number, row in enumerate(rows[1:]))])
    told = workspace.run("new", "iris.csv", "--project", "flowers")
    assert "source and contract alone" in told and '"species"' in told
    assert sorted(path.name for path in workspace.folder.iterdir()) == ["custody.yaml", "iris.csv"]
    assert "custody new" not in workspace.run("init")
    assert "flowers/raw@1" in workspace.run("run")
    workspace.run("verify", "flowers/raw@1", "--require", "contract")
    # The next delivery is held against it.
    rows[3][0] = 99
    begun = [["nr", *rows[0]], *([number, *row] for number, row in enumerate(rows[1:]))]
    with (workspace.folder / "iris.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(begun)
    assert "1 of" in workspace.run("run", expect=1)


def test_what_is_not_clear_is_refused_with_the_choices(tmp_path):
    random = np.random.default_rng(5)
    rows = [["stars", "note", "x"], *([int(stars), f"note {number}", float(x)] for number, (stars, x) in enumerate(zip(random.integers(1, 6, 200), random.normal(size=200), strict=True)))]
    workspace = begin(tmp_path, "reviews.csv", rows)
    told = workspace.run("new", "reviews.csv", "--label", "stars", expect=2)
    assert "`--kind multiclass` or `--kind regression`" in told
    assert "too many for classes" in workspace.run("new", "reviews.csv", "--label", "note", expect=2)
    told = workspace.run("new", "reviews.csv", "--label", "Stars", expect=2)
    assert "has no column `Stars`" in told and '"stars"' in told
    assert "that is not binary" in workspace.run("new", "reviews.csv", "--label", "stars", "--kind", "binary", expect=2)
    assert "needs a column" in workspace.run("new", "reviews.csv", "--kind", "regression", expect=2)
    assert not (workspace.folder / "custody.yaml").exists()
    for kind in ("multiclass", "regression"):
        made = workspace.json("new", "reviews.csv", "--label", "stars", "--kind", kind, "--to", kind)
        assert made["kind"] == kind
        assert json.dumps(str(workspace.folder / "reviews.csv")).strip('"') in (workspace.folder / kind / "custody.yaml").read_text()


def test_the_workspace_says_how_to_begin(tmp_path):
    workspace = Workspace(tmp_path, {})
    told = workspace.run("init")
    for command in ("custody new FILE --label COLUMN", "custody run", "custody doctor"):
        assert command in told
