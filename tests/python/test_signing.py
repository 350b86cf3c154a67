"""`custody sign` and `custody verify-signature` beside the reference tool, on files anywhere."""

import json
import os
import subprocess
import sys

import pytest
from conftest import TARGET


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


def test_an_imported_model_must_be_signed_where_that_is_asked(place):
    environment = {**os.environ, "CUSTODY_KEY_FILE": str(place / "key"), "CI": "1"}

    def run(*arguments, expect):
        done = subprocess.run([TARGET / "custody", *arguments], cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    run("init", expect=0)
    put = ("put", "vendor/model", "model", "--kind", "model", "--verify", "--public-key", "signer.pub")
    run(*put, expect=5)
    custody("sign", "model", "--key", "signer.pem", cwd=place)
    run(*put, expect=0)
    (place / "model/sub/config.json").write_text("[]")
    run(*put, expect=4)
    assert run("ls", "vendor", expect=0).count("vendor/model@") == 1
