"""Nothing enters unscanned: models on their way into a workspace, out of quarantine, and under new rules."""

import json
import os
import pickle
import sqlite3
import subprocess
import sys
import types

import joblib
import pytest
from conftest import TARGET
from sklearn.linear_model import LogisticRegression

PRINCIPALS = {
    "users": {
        "maker": {"roles": ["data_scientist", "security_officer"], "purposes": []},
        "scientist": {"roles": ["data_scientist"], "purposes": []},
        "officer": {"roles": ["security_officer"], "purposes": []},
        "sleuth": {"roles": ["data_scientist"], "purposes": ["investigation"]},
    }
}
SECTION = {"acme": {"name": "acme", "version": "2026.1", "schema": "https://custody.dev/schema/rules/v1"}}


class Place:
    """A workspace of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {**os.environ, "CUSTODY_KEY_FILE": str(folder / "key"), "CI": "1"}
        self("init")
        policies = folder / "policies"
        policies.mkdir()
        (policies / "principals.json").write_text(json.dumps(PRINCIPALS))
        self("policy", "apply", "policies")

    def __call__(self, *arguments, expect=0):
        """Run a command and return its document."""
        done = subprocess.run(
            [TARGET / "custody", "--json", *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        told = done.stdout or done.stderr
        # A run tells its events first, a line each.
        return json.loads(told.splitlines()[-1] if arguments[0] == "run" else told)

    def model(self, name, content):
        """Write a folder with a model file and return its name."""
        (self.folder / name).mkdir(exist_ok=True)
        (self.folder / name / "model.pkl").write_bytes(content)
        return name

    def put(self, name, content, *arguments, expect=0):
        """Put a model."""
        return self("put", f"shop/{name}", self.model(name, content), "--kind", "model", *arguments, expect=expect)

    def rules(self, name, **section):
        """Write a rule pack, sign it, and put it in force."""
        pack = self.folder / f"{name}.json"
        pack.write_text(json.dumps({**SECTION["acme"], "version": name, "sections": {"pickle": section}}))
        key, public = self.folder / "rules.pem", self.folder / "rules.pub"
        if not key.exists():
            subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key], check=True, capture_output=True)
            subprocess.run(["openssl", "ec", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
        done = subprocess.run([TARGET / "custody", "rules", "sign", pack, "--key", key], env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return self("rules", "apply", str(pack), "--rules-key", str(public))

    def check(self, name, reference="--all", expect=0):
        """Verify and return one named check."""
        reply = self("verify", reference, expect=expect)
        return next(check for check in reply["checks"] if check["name"] == name)


@pytest.fixture
def place(tmp_path):
    """A workspace of its own."""
    return Place(tmp_path)


class Runs:
    """What loading it does is harmless here, and never happens."""

    def __reduce__(self):
        return os.system, ("true",)


def unknown(state=None):
    """A pickle of a class that no rule knows, with some state."""
    module = types.ModuleType("acme.models")
    module.Scorer = type("Scorer", (), {"__module__": "acme.models"})
    sys.modules.update({"acme": types.ModuleType("acme"), "acme.models": module})
    try:
        scorer = module.Scorer()
        if state is not None:
            scorer.state = state
        return pickle.dumps(scorer)
    finally:
        del sys.modules["acme"], sys.modules["acme.models"]


def fitted(path):
    """A model of scikit-learn as joblib writes it."""
    joblib.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), path)
    return path.read_bytes()


def test_a_clean_model_enters_with_a_signed_scan(place, tmp_path):
    reply = place.put("model", fitted(tmp_path / "m.joblib"))
    assert reply["scan"]["verdict"] == "clean"
    shown = place("show", "shop/model")["evidence"]["scan"]
    assert shown["verdict"] == "clean"
    assert shown["coverage"]["understood"] == shown["coverage"]["bytes"] == reply["version"]["size"]
    assert ["no network", "network namespace with a loopback of its own alone"] in shown["isolation"]
    assert place.check("model-scan")["result"] == "ok"


@pytest.mark.parametrize("content", [pickle.dumps(Runs()), pickle.dumps([1, 2])[:-1]], ids=["malicious", "unscannable"])
def test_what_is_bad_does_not_enter_and_leaves_evidence(place, content):
    problem = place.put("model", content, expect=1)["problem"]
    assert problem["code"] == "CUS-SCAN-010"
    assert place("ls", "shop")["versions"] == place("ls", "--quarantine")["versions"] == []
    entries = [view["entry"] for view in place("ledger", "log")["entries"]]
    (refused,) = [entry for entry in entries if entry.get("err") == "CUS-SCAN-010"]
    assert refused["facts"]["verdict"] in ("malicious", "unscannable")
    assert refused["facts"]["scan"] == refused["lin"]["att"]
    place("verify", "--all")


def test_what_no_rule_knows_waits_for_somebody_else(place):
    content = unknown()
    reply = place.put("model", content, "--as", "maker", expect=6)
    assert reply["scan"]["waits"] and reply["version"]["quarantined"]
    assert "acme.models:Scorer" in reply["scan"]["findings"][0]
    place("get", "shop/model@1", "--to", "out", expect=3)
    place("alias", "shop/model", "production", "1", expect=3)
    assert place.check("model-scan", expect=6)["result"] == "waiting"

    place("approve", "shop/model@1", "--reason", "mine", "--as", "maker", expect=3)
    place("approve", "shop/model@1", "--reason", "mine", "--as", "scientist", expect=3)
    place("approve", "shop/model@1", "--reason", " ", "--as", "officer", expect=1)
    place("approve", "shop/model@1", "--reason", "read line by line", "--as", "officer")
    place("get", "shop/model@1", "--to", "out")
    assert place.check("model-scan")["result"] == "ok"
    problem = place("approve", "shop/model@1", "--reason", "again", expect=1)["problem"]
    assert "waits for no approval" in problem["because"][0]

    # The same bytes need no second approval, others do.
    assert not place.put("again", content)["version"]["quarantined"]
    assert place.put("other", pickle.dumps([1]) + content, expect=6)["version"]["quarantined"]

    # Under other policies somebody has to look again; what was let out stays out.
    (place.folder / "policies" / "own.cedar").write_text("// The same rules, looked at again.\n")
    place("policy", "apply", "policies")
    place("get", "shop/again@1", "--to", "out2")
    assert place.check("model-scan", "shop/model@1")["result"] == "ok"
    assert place.put("third", content, expect=6)["version"]["quarantined"]


def test_what_is_rejected_waits_no_longer_and_is_never_let_out(place):
    content = unknown()
    for name in ("model", "other"):
        place.put(name, content, expect=6)
    assert place("reject", "shop/model@1", "--reason", " ", expect=1)
    assert place("reject", "shop/model@1", "--reason", "no", "--as", "scientist", expect=3)
    place("reject", "shop/model@1", "--reason", "it downloads what it runs", "--as", "officer")
    shown = place("show", "shop/model@1")["version"]
    assert shown["rejected"] and shown["quarantined"]
    (held,) = shown["held"]
    assert "rejected by officer" in held
    assert held.endswith("it downloads what it runs")
    problem = place("approve", "shop/model@1", "--reason", "fine", expect=1)["problem"]
    assert "rejected by officer" in problem["because"][0]
    assert place("reject", "shop/model@1", "--reason", "again", expect=1)["problem"]["code"] == "CUS-SCAN-026"
    # The other one still waits; once it is decided on too, nothing does.
    assert "shop/other@1" in place.check("model-scan", expect=6)["evidence"][0]
    place("approve", "shop/other@1", "--reason", "read line by line")
    assert "was rejected" in "".join(place.check("model-scan")["evidence"])
    place("verify", "--all")
    (absent,) = [one for one in place("verify", "shop/model@1", expect=1)["absent"] if one["required"]]
    assert absent["kind"] == "scan"
    assert "rejected by officer" in absent["because"]
    place("index", "rebuild")
    place("get", "shop/model@1", "--to", "out", expect=3)
    # A scan settles nothing here, so nobody is told to wait.
    (one,) = place("rescan", "shop/model@1")["scanned"]
    assert one["rejected"] and one["quarantined"]
    place("get", "shop/model@1", "--to", "out", expect=3)


def test_the_bytes_of_what_was_rejected_are_removed_and_the_history_stays(place):
    def on_disk():
        return sum(path.stat().st_size for path in (place.folder / ".custody" / "packs").rglob("*.pack"))

    place("put", "shop/note", str(place.folder / "key"))
    before = on_disk()
    payload = os.urandom(8 << 20)
    place.put("model", unknown(payload), expect=6)
    place.put("other", unknown(payload[: 4 << 20]), expect=6)
    stored = on_disk()
    assert stored > before + (8 << 20)
    assert place("remove", "shop/model@1", expect=1)["problem"]["code"] == "CUS-STORE-013"
    place("reject", "shop/model@1", "--reason", "it downloads what it runs", "--as", "officer")
    place("remove", "shop/model@1", "--as", "scientist", expect=3)
    removed = place("remove", "shop/model@1", "--as", "officer")
    # What the other model has too stays.
    assert removed["bytes"] > 1 << 20 and removed["shared"] > 1 << 20
    assert removed["version"]["removed"] == removed["entry"]
    assert on_disk() < stored - (1 << 20)
    place("approve", "shop/other@1", "--reason", "read line by line")
    place("get", "shop/other@1", "--to", "other-out")
    assert (place.folder / "other-out" / "model.pkl").read_bytes() == unknown(payload[: 4 << 20])

    shown = place("show", "shop/model@1")
    assert shown["version"]["removed"] == removed["entry"]
    assert [file["path"] for file in shown["listing"]] == ["model.pkl"]
    place("get", "shop/model@1", "--to", "out", expect=3)
    assert place("rescan", "shop/model@1", expect=5)["problem"]["code"] == "CUS-STORE-012"
    place("rescan", "--all")
    for _ in range(2):
        assert f"were removed by entry {removed['entry']}" in "".join(place.check("bytes")["evidence"])
        again = place("remove", "shop/model@1")
        assert (again["bytes"], again["entry"]) == (removed["bytes"], removed["entry"])
        place("index", "rebuild")
    # The same files again are another version, with bytes of its own.
    place.put("model", unknown(payload), expect=6)
    place("approve", "shop/model@2", "--reason", "read line by line")
    place("get", "shop/model@2", "--to", "second-out")
    assert (place.folder / "second-out" / "model.pkl").read_bytes() == unknown(payload)
    place("get", "shop/model@1", "--to", "out", expect=3)
    place("verify", "--all")


def test_an_approval_of_the_same_bytes_elsewhere_does_not_hide_a_quarantine(place):
    for name in ("first", "second"):
        place.put(name, unknown(), expect=6)
    place("approve", "shop/second@1", "--reason", "read line by line")
    assert "in quarantine" in place.check("model-scan", "shop/first@1", expect=6)["evidence"][0]
    place.check("model-scan", "shop/second@1")


def test_new_rules_are_applied_to_what_is_stored(place):
    place.put("model", unknown(), expect=6)
    assert "acme known" in place.rules("known", allow=[{"names": ["acme.models:Scorer"], "as": "class"}])["rules"]
    assert "is review" in place.check("model-scan", expect=6)["evidence"][0]
    reply = place("rescan")
    (one,) = reply["scanned"]
    assert (one["before"], one["after"], one["quarantined"]) == ("review", "clean", False)
    assert one["gone"] and not one["appeared"]
    assert place("rescan")["current"] == 1
    place("get", "shop/model@1", "--to", "out")
    assert place.check("model-scan")["result"] == "ok"

    place.rules("worse", sinks=[{"names": ["acme.models:**"], "severity": "critical", "can": "send what it scores elsewhere", "references": ["AML.T0025"]}])
    assert "other rules" in "".join(place.check("model-scan", expect=4)["broken"])
    (one,) = place("rescan", expect=1)["scanned"]
    assert (one["before"], one["after"], one["quarantined"]) == ("clean", "malicious", True)
    assert any("send what it scores" in line for line in one["appeared"])
    place("get", "shop/model@1", "--to", "out2", expect=3)
    place("approve", "shop/model@1", "--reason", "please", expect=1)


def test_rules_come_signed_and_stay_when_they_are_bad(place):
    pack = place.folder / "pack.json"
    pack.write_text(json.dumps({**SECTION["acme"], "sections": {"pickle": {"allow": [{"names": ["acme.models:Scorer"], "as": "class"}]}}}))
    assert place("rules", "apply", str(pack), expect=2)["problem"]["code"] == "CUS-SCAN-003"
    place.rules("known", allow=[{"names": ["acme.models:Scorer"], "as": "class"}])
    assert place.put("model", unknown())["scan"]["verdict"] == "clean"
    place("rules", "apply", "--as", "scientist", expect=3)
    assert place("rules", "apply")["rules"] == place("rescan", expect=6)["rules"]


def test_an_edited_index_does_not_end_a_quarantine_unseen(place):
    place.put("model", unknown(), expect=6)
    def edit(sql):
        with sqlite3.connect(place.folder / ".custody/catalog.sqlite") as catalog:
            catalog.execute(sql)

    # Whatever is used is as the ledger has it.
    for key in ["waits", "quarantine", "scan", "version"]:
        edit(f"DELETE FROM view WHERE key LIKE '{key} %'")
        place("get", "shop/model@1", "--to", "out", expect=3)
    place("index", "rebuild")
    place("get", "shop/model@1", "--to", "out", expect=3)
    edit("UPDATE view SET value = x'22' WHERE key LIKE 'record %'")
    assert place.check("index", expect=4)["result"] == "broken"


def test_an_index_that_cannot_be_made_anew_ends_no_quarantine(place, tmp_path):
    place.put("model", unknown(), expect=6)
    packs = place.folder / ".custody/packs"
    before = {path for path in packs.rglob("*") if path.is_file()}
    place.put("other", fitted(tmp_path / "m.joblib"))
    for _ in range(36):
        place("ls")
    hidden = [path for path in packs.rglob("*") if path.is_file() and path not in before]
    assert hidden
    for path in hidden:
        path.rename(tmp_path / path.name)
    assert place("index", "rebuild", expect=4)["problem"]["code"] == "CUS-STORE-011"
    place("get", "shop/model@1", "--to", "out", expect=3)
    for path in hidden:
        (tmp_path / path.name).rename(path)
    place("index", "rebuild")
    place("get", "shop/model@1", "--to", "out", expect=3)
    place("verify", "--all", expect=6)


def test_a_quarantine_ends_by_no_word(place):
    place.put("model", unknown(), "--classification", "internal", expect=6)
    look = ("get", "shop/model@1", "--to", "out")
    place(*look, "--as", "scientist", "--purpose", "investigation", expect=3)
    place(*look, "--as", "sleuth", expect=3)
    place(*look, "--as", "sleuth", "--purpose", "investigation")
    for who in ("scientist", "sleuth"):
        place("alias", "shop/model", "production", "1", "--as", who, "--purpose", "investigation", expect=3)
    assert place("sign", "shop/model@1", "--stored", "--signature", "s.sig", "--key", "none.pem", expect=5)


def test_nobody_lets_out_their_own_by_way_of_new_rules(place):
    place.put("model", unknown(), "--as", "maker", expect=6)
    place.rules("known", allow=[{"names": ["acme.models:Scorer"], "as": "class"}])
    (one,) = place("rescan", "--as", "maker", expect=6)["scanned"]
    assert (one["after"], one["quarantined"]) == ("clean", True)
    assert "in quarantine" in place.check("model-scan", expect=6)["evidence"][0]
    assert "custody rescan" in place("approve", "shop/model@1", "--reason", "fine", "--as", "officer", expect=1)["problem"]["hint"]
    (one,) = place("rescan", "--as", "officer")["scanned"]
    assert not one["quarantined"]
    assert place.check("model-scan")["result"] == "ok"


def test_more_than_a_person_is_shown_is_for_nobody_to_approve(place):
    content = b"".join(b"cacme.m%d\nX\n0" % number for number in range(260)) + b"N."
    problem = place.put("model", content, expect=1)["problem"]
    assert problem["code"] == "CUS-SCAN-010" and "limits/findings" in str(problem)


PIPELINE = """
project: shop
steps:
  words:
    source:
      file: words.txt
      output: words
      origin: {publisher: us, url: "https://example.org", licence: CC0-1.0, legal_basis: none, classification: internal}
  train:
    run:
      command: [python3, /code/make.py]
      code: [make.py]
      inputs: {words: words}
      outputs: {model: {artifact: model, kind: model, classification: internal}}
"""


def test_what_a_step_makes_is_scanned_as_well(place):
    (place.folder / "custody.yaml").write_text(PIPELINE)
    (place.folder / "words.txt").write_text("hello\n")

    def makes(content):
        text = f"import os\nopen(os.environ['CUSTODY_OUTPUT_MODEL'] + '/m.pkl', 'wb').write({content!r})\n"
        (place.folder / "make.py").write_text(text)

    def run(expect):
        done = subprocess.run([TARGET / "custody", "run"], cwd=place.folder, env=place.environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    makes(unknown())
    assert "REFUSED" in run(expect=6)
    # It waits; the step is not done again meanwhile.
    run(expect=6)
    assert [version["name"] for version in place("ls", "--quarantine")["versions"]] == ["shop/model@1"]
    place("approve", "shop/model@1", "--reason", "read line by line")
    assert run(expect=0).count("reused") == 2
    makes(pickle.dumps(Runs()))
    assert "REFUSED" in run(expect=1)
    assert [version["name"] for version in place("ls", "--kind", "model")["versions"]] == ["shop/model@1"]


def test_what_a_step_makes_stays_rejected_until_its_bytes_are_let_in_elsewhere(place):
    (place.folder / "custody.yaml").write_text(PIPELINE)
    (place.folder / "words.txt").write_text("hello\n")
    (place.folder / "make.py").write_text(f"import os\nopen(os.environ['CUSTODY_OUTPUT_MODEL'] + '/model.pkl', 'wb').write({unknown()!r})\n")

    def run(expect):
        done = subprocess.run([TARGET / "custody", "run"], cwd=place.folder, env=place.environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    run(expect=6)
    place("reject", "shop/model@1", "--reason", "it downloads what it runs", "--as", "officer")
    for _ in range(2):
        told = run(expect=1)
        assert "rejected by officer" in told and "custody put" in told, told
    assert [version["name"] for version in place("ls", "--quarantine")["versions"]] == ["shop/model@1"]
    # A mistake is mended where somebody looks again.
    place.put("again", unknown(), expect=6)
    place("approve", "shop/again@1", "--reason", "the address is our own", "--as", "officer")
    assert "shop/model@2" in run(expect=0)
    assert run(expect=0).count("reused") == 2
    assert place("show", "shop/model@1")["version"]["rejected"]


TABLE = """
project: shop
steps:
  rows:
    source:
      file: rows.csv
      output: rows
      origin: {publisher: us, url: "https://example.org", licence: CC0-1.0, legal_basis: none, classification: internal}
  check:
    check:
      input: rows
      key: n
      checks:
        - range: {column: n, min: 0, max: 5}
"""


def test_a_rejected_source_is_not_taken_again(place):
    (place.folder / "custody.yaml").write_text(TABLE)
    (place.folder / "rows.csv").write_text("n\n9\n")
    place("run", expect=1)
    place("reject", "shop/rows@1", "--reason", "from the wrong year", "--as", "officer")
    problem = place("run", expect=1)["problem"]
    assert problem["code"] == "CUS-SCAN-027" and "rejected by officer" in problem["because"][0]
    (place.folder / "rows.csv").write_text("n\n4\n")
    place("run")
