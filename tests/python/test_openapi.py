"""The description of the API is true: schemathesis asks a real server by it, as its owner and as nobody."""

import os
import pathlib
import re
import subprocess
import sys

import pytest
from served import Served

HERE = pathlib.Path(__file__).parent
ROWS = """
project: demo
purpose: testing
steps:
  collect:
    source:
      file: rows.csv
      output: rows
      origin: {publisher: us, url: "https://example.com", licence: CC0-1.0, legal_basis: none, classification: internal}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server that has a version and a run, and counts no requests."""
    served = Served(tmp_path_factory.mktemp("openapi"), "--budget-requests", "0", "--budget-strangers", "0")
    token = served.here("token", "create", "--for", "ada")["secret"]
    (served.folder / "project/rows.csv").write_text("id\n1\n2\n")
    (served.folder / "project/custody.yaml").write_text(ROWS)
    assert served.elsewhere(token, "run").wait(timeout=60) == 0
    yield served
    served.end()


def judged(served, *arguments):
    """Let schemathesis ask, by every way that it knows; return how many operations it tested."""
    program = pathlib.Path(sys.executable).parent / "schemathesis"
    place = f"{served.address}/v1/openapi.json"
    options = ["--tls-verify", served.folder / "root.pem", "--checks", "all", "--workers", "2", "--no-color"]
    command = [program, "--config-file", HERE / "openapi.toml", "run", place, *options, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, cwd=served.folder, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.search(r"Tested: (\d+)", done.stdout)[1])


def test_nobody_is_answered_as_it_is_described(served):
    assert judged(served, "--phases", "coverage,stateful", "--max-examples", "1") > 60


def test_an_owner_is_answered_as_it_is_described(served):
    account = os.environ.get("USER") or subprocess.check_output(["id", "-un"], text=True).strip()
    token = served.enrolled(account, served.owner)
    # Who signs out has nothing left to ask with.
    tested = judged(served, "--header", f"Authorization: Bearer {token}", "--exclude-operation-id", "sign_out", "--max-examples", "8")
    assert tested > 60
