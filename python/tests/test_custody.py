"""The package that steps import, in an environment like theirs."""

import json

import pytest

import custody


@pytest.fixture
def step(tmp_path, monkeypatch):
    for name in ("in/train", "in/many", "out/model"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "in/train/data.parquet").write_bytes(b"x")
    (tmp_path / "in/many/a").write_bytes(b"a")
    (tmp_path / "in/many/b").write_bytes(b"b")
    monkeypatch.setenv("CUSTODY_INPUT_TRAIN", str(tmp_path / "in/train"))
    monkeypatch.setenv("CUSTODY_INPUT_MANY", str(tmp_path / "in/many"))
    monkeypatch.setenv("CUSTODY_OUTPUT_MODEL", str(tmp_path / "out/model"))
    monkeypatch.setenv("CUSTODY_PARAMETERS", json.dumps({"seed": 7}))
    monkeypatch.setenv("CUSTODY_METRICS", str(tmp_path / "metrics.jsonl"))
    return tmp_path


def test_inputs_and_outputs_are_where_the_step_has_them(step):
    assert custody.input("train") == step / "in/train/data.parquet"
    assert custody.input("many") == step / "in/many"
    assert custody.output("model") == step / "out/model"


def test_what_is_not_declared_says_what_is(step):
    with pytest.raises(KeyError, match="declares no input `tran`; it declares many, train"):
        custody.input("tran")
    with pytest.raises(KeyError, match="declares no parameter `rate`"):
        custody.parameter("rate")
    assert custody.parameter("seed") == 7
    assert custody.parameter("rate", 0.1) == 0.1


def test_metrics_are_lines_of_finite_numbers(step):
    custody.log_metric("rows", 3)
    custody.log_metric("loss", 0.5)
    lines = [json.loads(line) for line in (step / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"name": "rows", "value": 3.0}, {"name": "loss", "value": 0.5}]
    with pytest.raises(ValueError, match="not a finite number"):
        custody.log_metric("loss", float("nan"))


def test_outside_a_step_it_says_so(monkeypatch):
    for name in ("CUSTODY_INPUT_TRAIN", "CUSTODY_METRICS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match="custody run"):
        custody.input("train")
