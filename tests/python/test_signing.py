"""`custody sign` and `custody verify-signature` beside the reference tool, on files anywhere."""

import base64
import hashlib
import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, TARGET


def custody(*arguments, expect=0, cwd=None):
    """Run a command without a workspace and return its document."""
    done = subprocess.run([TARGET / "custody", "--json", *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout or done.stderr)


def peer(*arguments, cwd):
    """Run the reference tool."""
    return subprocess.run([sys.executable, "-m", "model_signing", *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


def key(folder, name, curve="P-256"):
    """Make a key pair."""
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-out", f"{name}.pem", cwd=folder)
    openssl("ec", "-in", f"{name}.pem", "-pubout", "-out", f"{name}.pub", cwd=folder)


@pytest.fixture
def place(tmp_path):
    """A folder with a model and a key."""
    (tmp_path / "model/sub").mkdir(parents=True)
    (tmp_path / "model/weights.bin").write_bytes(os.urandom(100_000))
    (tmp_path / "model/sub/config.json").write_text("{}")
    key(tmp_path, "signer")
    return tmp_path


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_the_reference_tool_believes_our_signature(place, curve):
    key(place, "other", curve)
    custody("sign", "model", "--key", "other.pem", cwd=place)
    verify = ("verify", "key", "model", "--signature", "model/model.sig", "--public_key", "other.pub")
    assert peer(*verify, cwd=place).returncode == 0
    (place / "model/weights.bin").write_bytes(b"other")
    assert peer(*verify, cwd=place).returncode != 0


def test_its_signature_is_believed_here(place):
    done = peer("sign", "key", "model", "--signature", "model/model.sig", "--private_key", "signer.pem", cwd=place)
    assert done.returncode == 0, done.stderr
    checked = custody("verify-signature", "model", "--public-key", "signer.pub", cwd=place)
    assert checked["covered"] == ["sub/config.json", "weights.bin"]


def test_what_was_changed_added_or_removed_is_named(place):
    custody("sign", "model", "--key", "signer.pem", cwd=place)
    verify = ("verify-signature", "model", "--public-key", "signer.pub")
    custody(*verify, cwd=place)
    (place / "model/run.py").write_text("print()")
    assert "not signed: `run.py`" in str(custody(*verify, expect=4, cwd=place))
    assert ["run.py", "not signed"] in custody(*verify, "--allow-unlisted", cwd=place)["not_covered"]
    (place / "model/run.py").unlink()
    (place / "model/sub/config.json").write_text("{ }")
    assert "changed: `sub/config.json`" in str(custody(*verify, expect=4, cwd=place))
    (place / "model/sub/config.json").unlink()
    assert "missing: `sub/config.json`" in str(custody(*verify, expect=4, cwd=place))


def test_a_stranger_is_not_believed(place):
    key(place, "stranger")
    custody("sign", "model", "--key", "stranger.pem", cwd=place)
    assert "not trusted" in str(custody("verify-signature", "model", "--public-key", "signer.pub", expect=4, cwd=place))
    custody("verify-signature", "model", expect=4, cwd=place)


def test_the_authority_vouches_for_one_signature_of_a_named_person(place):
    key(place, "authority", "P-384")
    subject = ["-subj", "/CN=Models of Example Ltd", "-days", "30"]
    extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    openssl("req", "-x509", "-key", "authority.pem", "-out", "authority.crt", *subject, *extensions, cwd=place)
    sign = ("sign", "model", "--key", "authority.pem", "--authority", "authority.crt", "--identity", "ada@example.org")
    custody(*sign, cwd=place)
    verify = ("verify-signature", "model", "--root", "authority.crt")
    assert "ada@example.org" in custody(*verify, "--signer", "ada@example.org", cwd=place)["signer"]
    custody(*verify, "--signer", "eve@example.org", expect=4, cwd=place)
    custody(*verify, expect=4, cwd=place)
    custody(*verify, "--any-identity", cwd=place)
    openssl("req", "-x509", "-key", "signer.pem", "-out", "foreign.crt", *subject, *extensions, cwd=place)
    custody("verify-signature", "model", "--root", "foreign.crt", "--any-identity", expect=4, cwd=place)


@pytest.mark.parametrize("scheme", [("--hash", "blake3"), ("--shards", "4096"), ("--hash", "blake3", "--shards", "4096")], ids=" ".join)
def test_other_digests_hold_too(place, scheme):
    custody("sign", "model", "--key", "signer.pem", *scheme, cwd=place)
    custody("verify-signature", "model", "--public-key", "signer.pub", cwd=place)
    (place / "model/weights.bin").write_bytes(os.urandom(100_000))
    custody("verify-signature", "model", "--public-key", "signer.pub", expect=4, cwd=place)


STAMPS = """
[tsa]
default_tsa = one
[one]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[extensions]
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
"""


def test_a_timestamp_proves_when_a_signature_was_made(place):
    (place / "stamps.cnf").write_text(STAMPS)
    (place / "serial").write_text("01\n")
    for name in ("root", "stamps", "authority"):
        key(place, name)
    openssl("req", "-x509", "-key", "root.pem", "-out", "root.crt", "-subj", "/CN=root", cwd=place)
    openssl("req", "-new", "-key", "stamps.pem", "-out", "stamps.csr", "-subj", "/CN=stamps", cwd=place)
    issue = ("-CA", "root.crt", "-CAkey", "root.pem", "-days", "30", "-extfile", "stamps.cnf", "-extensions", "extensions")
    openssl("x509", "-req", "-in", "stamps.csr", *issue, "-out", "stamps.crt", cwd=place)
    (place / "tsa.pem").write_text((place / "stamps.crt").read_text() + (place / "root.crt").read_text())
    openssl("req", "-x509", "-key", "authority.pem", "-out", "authority.crt", "-subj", "/CN=models", "-addext", "keyUsage=critical,keyCertSign", cwd=place)
    custody("sign", "model", "--key", "authority.pem", "--authority", "authority.crt", "--identity", "ada@example.org", cwd=place)
    custody("timestamp", "model/model.sig", "--query", "stamp.tsq", cwd=place)
    reply = ("ts", "-reply", "-config", "stamps.cnf", "-queryfile", "stamp.tsq", "-signer", "stamps.crt", "-inkey", "stamps.pem", "-out", "stamp.tsr")
    openssl(*reply, cwd=place)
    # The command was called `stamp`; that word is understood still.
    attach = ("stamp", "model/model.sig", "--response", "stamp.tsr", "--timestamp-authority")
    before = (place / "model/model.sig").read_bytes()
    custody(*attach, "authority.crt", expect=2, cwd=place)
    assert (place / "model/model.sig").read_bytes() == before
    stamped = custody(*attach, "tsa.pem", cwd=place)["time"]
    verify = ("verify-signature", "model", "--root", "authority.crt", "--signer", "ada@example.org")
    assert "time" not in custody(*verify, cwd=place)
    assert custody(*verify, "--timestamp-authority", "tsa.pem", cwd=place)["time"] == stamped
    assert "no trusted authority" in str(custody(*verify, "--timestamp-authority", "root.crt", expect=4, cwd=place))


def test_a_signature_of_the_public_sigstore_instance_holds_offline(place):
    model = ROOT / "crates/signing/tests/data/sigstore/v1.1.0"
    verify = ("verify-signature", str(model), "--may-leave-out", "ignore-me")
    whose = ("--signer", "stefanb@us.ibm.com", "--issuer", "https://sigstore.verify.ibm.com/oauth2")
    checked = custody(*verify, "--trusted-root", "sigstore.dev", *whose, cwd=place)
    assert (checked["method"], checked["time"]) == ("sigstore", "2025-10-10T02:12:20.000000Z")
    custody(*verify, *whose, expect=4, cwd=place)
    custody(*verify, "--trusted-root", "sigstore.dev", "--signer", "eve@us.ibm.com", expect=4, cwd=place)
    (place / "root.json").write_text("{}")
    custody(*verify, "--trusted-root", "root.json", *whose, expect=2, cwd=place)


def test_an_imported_model_must_be_signed_where_that_is_asked(place):
    environment = {**os.environ, "CUSTODY_KEY_FILE": str(place / "key"), "CI": "1"}

    def run(*arguments, expect):
        done = subprocess.run([TARGET / "custody", *arguments], cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    run("init", expect=0)
    put = ("put", "vendor/model", "model", "--kind", "model", "--verify", "--public-key", "signer.pub")
    run(*put, expect=5)
    run(*(word for word in put if word != "--verify"), expect=2)
    custody("sign", "model", "--key", "signer.pem", cwd=place)
    assert "signed by the key" in run(*put, expect=0)
    (statement,) = (
        found
        for line in run("claims", "vendor/model@1", expect=0).splitlines()
        if (found := json.loads(base64.b64decode(json.loads(line)["dsseEnvelope"]["payload"])))["predicateType"].endswith("/vendor-signature/v1")
    )
    told = statement["predicate"]
    assert told["method"] == "key" and told["covered"] == 2 and told["notCovered"] == ["model.sig"]
    assert told["bundle"] == "sha256:" + hashlib.sha256((place / "model/model.sig").read_bytes()).hexdigest()
    assert "2 files signed by the key" in run("verify", "vendor/model@1", expect=0)
    stored = ("vendor/model@1", "--stored", "--signature", "stored.sig")
    run("sign", *stored, "--key", "signer.pem", expect=0)
    run("verify-signature", *stored, "--public-key", "signer.pub", expect=0)
    custody("verify-signature", "model", "--signature", "stored.sig", "--public-key", "signer.pub", cwd=place)
    (place / "model/sub/config.json").write_text("[]")
    run(*put, expect=4)
    assert "CUS-SIGN-005" in run("ledger", "log", "--json", expect=0)
    # What is digested in another way is read from the store.
    custody("sign", "model", "--key", "signer.pem", "--hash", "blake3", "--shards", "4096", "--signature", "other.sig", cwd=place)
    run(*put, "--signature", "other.sig", expect=0)
    assert run("ls", "vendor", expect=0).count("vendor/model@") == 2
    # A signature elsewhere leaves out nothing that is called like one.
    (place / "plain/model.sig").mkdir(parents=True)
    (place / "plain/weights.bin").write_bytes(b"weights")
    custody("sign", "plain", "--key", "signer.pem", "--signature", "plain.sig", cwd=place)
    (place / "plain/model.sig/run.py").write_text("print()")
    imported = ("put", "vendor/plain", "plain", "--verify", "--public-key", "signer.pub", "--signature", "plain.sig")
    run(*imported, expect=4)
    (place / "plain/model.sig/run.py").unlink()
    (place / "plain/.gitignore").write_text("")
    assert "not covered by the signature: .gitignore" in run(*imported, expect=0)
