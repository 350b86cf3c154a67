"""The pages about libraries: what they say to write runs, and ends with a registered and verified model."""

import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Workspace

LOCK = ROOT / "tests/python/libraries/requirements.lock"


def parts(page):
    """The files of a page: each name stands before its block."""
    text = (ROOT / f"docs/how-to/{page}.md").read_text(encoding="utf-8")
    return dict(re.findall(r"`([a-z.]+)`:\n\n```[a-z]*\n(.*?)```", text, re.DOTALL))


def loans():
    """Applications of which the better ones are approved, mostly."""
    random = np.random.default_rng(11)
    rows = 600
    income, amount, age = random.normal(3000, 800, rows), random.normal(10000, 3000, rows), random.integers(18, 80, rows)
    approved = (income / 800 - amount / 3000 + random.normal(0, 0.7, rows) > 0.4).astype(int)
    return pa.table({"id": np.arange(rows), "income": income, "amount": amount, "age": age.astype(float), "sex": random.choice(["f", "m"], rows), "approved": approved})


@pytest.mark.parametrize("page", ["scikit-learn", "xgboost", "lightgbm"])
def test_a_model_of_a_library_is_measured_and_registered(page, tmp_path):
    found = parts(page)
    assert {"custody.yaml", "train.py", "predict.py"} <= set(found)
    workspace = Workspace(tmp_path, {name: found[name] for name in ("custody.yaml", "train.py", "predict.py")})
    shutil.copy(LOCK, workspace.folder / "requirements.lock")
    pq.write_table(loans(), workspace.folder / "loans.parquet")
    workspace.run("init")
    told = workspace.run("run")
    assert "loans/model@1" in told
    checks = {check["name"]: check for check in workspace.json("verify", "loans/model@1")["checks"]}
    for name in ("provenance", "model-scan", "gate", "training-overlap"):
        assert checks[name]["result"] == "ok", checks[name]


def test_the_page_about_pytorch_is_a_program():
    found = parts("pytorch")
    for name in ("train.py", "predict.py"):
        compile(found[name], name, "exec")
