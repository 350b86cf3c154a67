"""The example from survey to signed model, and its evidence read with tools that are not ours."""

import base64
import hashlib
import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from bom_schema import problems
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

MODEL = "employment/model@1"


def test_the_run_makes_a_registered_model(example):
    assert "18 of 18 checks hold on 68785 rows" in example.first
    assert MODEL in example.first
    figures = example.json("show", "employment/evaluation@1")
    assert figures["version"]["kind"] == "report"


def test_the_strict_gate_refuses_with_the_measured_figure(example):
    told = example.run("run", "strict-register", expect=1)
    assert "fairness.RAC1P.equalized_odds_difference is 0." in told
    assert "required at most 0.05" in told


def test_everything_is_reused_and_still_entered(example):
    before = example.json("ledger", "log", "--limit", "1")["size"]
    told = example.run("run")
    assert told.count("reused") == 7
    assert example.json("ledger", "log", "--limit", "1")["size"] >= before + 2 * 7
    assert "0 of 7 steps would run" in example.run("run", "--dry-run")


def test_the_model_verifies_and_is_reproduced(example):
    checks = {check["name"]: check for check in example.json("verify", MODEL)["checks"]}
    for name in ("bytes", "attestations", "provenance", "ledger-inclusion", "model-signature", "contract", "gate", "ledger-checkpoint"):
        assert checks[name]["result"] == "ok", checks[name]
        assert checks[name]["evidence"]
    again = example.json("reproduce", MODEL)
    assert again["equal"] is True
    assert {step["step"] for step in again["steps"]} == {"contract", "prepare", "train", "evaluation", "release", "register"}


def test_a_gated_alias_moves_onto_what_passed_its_gate_and_nothing_else(example):
    example.run("run", "strict-register", expect=1)
    example.run("alias", "employment/model", "production", "1")
    # The same bytes before they were registered: the strict gate said no to them, whatever another said.
    told = example.run("alias", "employment/candidate", "production", "1", expect=3)
    assert "did not pass `employment/strict-release@" in told, told
    assert "no gate was passed" in example.run("alias", "employment/evaluation", "production", "1", expect=3)
    example.run("alias", "employment/raw", "production", "1")


def test_the_model_has_every_kind_of_evidence(example):
    reply = example.json("verify", MODEL, "--require", "gate,contract,scan,signature")
    assert reply["ok"] and reply["absent"] == [], reply["absent"]
    told = example.run("verify", "employment/candidate@1", "--require", "signature", expect=1)
    assert "missing: signature" in told and "none    gate" in told


@pytest.fixture(scope="session")
def taken(example):
    """The model and the ledger, taken out."""
    example.run("get", MODEL, "--to", "model")
    example.run("ledger", "export", "ledger-copy")
    return example.folder


def test_the_signature_holds_for_model_signing(taken):
    command = [sys.executable, "-m", "model_signing", "verify", "key", "model", "--signature", "model/model.sig"]
    command += ["--public_key", "ledger-copy/public-key.pem"]
    subprocess.run(command, cwd=taken, check=True, capture_output=True, text=True, timeout=120)
    (taken / "model/features.json").write_text("{}")
    changed = subprocess.run(command, cwd=taken, check=False, capture_output=True, text=True, timeout=120)
    assert changed.returncode != 0


def test_the_bill_of_materials_is_valid_and_names_what_went_in(example):
    document = json.loads(example.run("bom", MODEL))
    assert problems(document) == []
    assert example.run("bom", MODEL) == example.run("bom", MODEL)
    model = document["metadata"]["component"]
    figures = {figure["type"]: figure["value"] for figure in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    decided = example.json("show", "employment/release@1")["evidence"]["results"]
    assert float(figures["roc_auc"]) > 0.88 and any(one.get("passed") for one in decided)
    components = {component["bom-ref"]: component for component in document["components"]}
    assert {"employment/train@1", "employment/raw@1", "employment/train-code@1", "employment/environment@1"} <= set(components)
    assert "employment/candidate@1" not in components
    libraries = [component for component in components.values() if component["type"] == "library"]
    locked = [line for line in (example.folder / "requirements.lock").read_text().splitlines() if "==" in line]
    assert len(libraries) >= len(locked) and all(library["licenses"] for library in libraries)
    assert document["compositions"][0]["aggregate"] == "complete"


def test_the_claims_beside_the_model_are_signed_and_about_it(example, taken):
    key = load_pem_public_key((taken / "ledger-copy/public-key.pem").read_bytes())
    digest = example.json("show", MODEL)["version"]["digest"].removeprefix("sha256:")
    types = set()
    for line in (taken / "model.claims.jsonl").read_text().splitlines():
        envelope = json.loads(line)["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"])
        kind = envelope["payloadType"].encode()
        signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed, ECDSA(SHA256()))
        statement = json.loads(payload)
        assert any(subject["digest"]["sha256"] == digest for subject in statement["subject"])
        types.add(statement["predicateType"])
    assert types == {"https://slsa.dev/provenance/v1", "https://custody.dev/scan/v1"}


def tree(leaves):
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree(leaves[:split]) + tree(leaves[split:])).digest()


def test_the_log_is_what_its_checkpoint_says(taken):
    log = taken / "ledger-copy"
    _, size, root = (log / "checkpoint").read_text().splitlines()[:3]
    entries = []
    for bundle in sorted(path for path in (log / "tile/entries").rglob("*") if path.is_file()):
        data = bundle.read_bytes()
        while data:
            length = int.from_bytes(data[:2], "big")
            entries.append(data[2 : 2 + length])
            data = data[2 + length :]
    assert len(entries) == int(size)
    assert tree(entries) == base64.b64decode(root)
    parsed = [json.loads(entry) for entry in entries]
    assert [entry["ts"] for entry in parsed] == sorted(entry["ts"] for entry in parsed)
    assert not any('"root"' in entry.decode() or '"ada"' in entry.decode() for entry in entries)


def test_the_identity_is_what_sha256sum_computes(example):
    example.run("get", "employment/candidate@1", "--to", "candidate")
    files = sorted(path.name for path in (example.folder / "candidate").iterdir())
    text = "".join(f"{hashlib.sha256((example.folder / 'candidate' / name).read_bytes()).hexdigest()}  {name}\n" for name in files)
    digest = example.json("show", "employment/candidate@1")["version"]["digest"]
    assert digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_a_changed_row_runs_the_contract_again_and_a_broken_batch_goes_into_quarantine(example):
    path = example.folder / "data/employment_MA_2015.parquet"
    whole = path.read_bytes()
    table = pq.read_table(path)
    try:
        pq.write_table(table.slice(0, 68784), path)
        assert "made     contract" in example.run("run", "contract")
        pq.write_table(table.slice(0, 100), path)
        told = example.run("run", expect=1)
        assert "number of rows: 100, expected between 60000 and 80000" in told
        assert "blocked  prepare" in told
        assert "employment/raw@3" in example.run("ls", "--quarantine")
    finally:
        path.write_bytes(whole)
    assert example.run("run").count("reused") == 7
