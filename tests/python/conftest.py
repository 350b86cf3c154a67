"""What the tests share: the program, the statistics of it, and the example's workspace after its run."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"


def pytest_terminal_summary(terminalreporter):
    """Tell how long the stages before took, where scripts/test.sh ran them; pytest says its own time after it."""
    stages = os.environ.get("CUSTODY_STAGES")
    if stages and (lines := pathlib.Path(stages).read_text()):
        terminalreporter.section("how long each stage took")
        terminalreporter.write(lines)


# A process begins with the memory of the one that starts it: so a small one starts the program and measures it.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, code)
"""


def largest_memory(*command, **options):
    """Run a command; return the largest memory in KiB of it or a process that it started, and its exit code."""
    command = [sys.executable, "-S", "-c", MEASURE, *command]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600, **options)
    used, code = done.stdout.split()
    return int(used), int(code)


class Workspace:
    """A copy of the example, or a project of other files; run from nothing."""

    def __init__(self, folder, files=None):
        self.folder = folder / "employment"
        if files is None:
            shutil.copytree(ROOT / "examples/employment", self.folder, ignore=shutil.ignore_patterns(".custody"))
        else:
            self.folder = folder / "project"
            self.folder.mkdir()
            for name, text in files.items():
                (self.folder / name).write_text(text, encoding="utf-8")
        self.environment = {**os.environ, "CUSTODY_KEY_FILE": str(folder / "key"), "CI": "1"}

    def run(self, *arguments, expect=0):
        """Run a command and return what it printed."""
        done = subprocess.run(
            [TARGET / "custody", *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=900
        )
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def json(self, *arguments):
        """Run a command and return its document."""
        return json.loads(self.run("--json", *arguments))


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """The example after `custody run`."""
    workspace = Workspace(tmp_path_factory.mktemp("example"))
    workspace.run("init")
    workspace.run("policy", "apply", "policies")
    workspace.first = workspace.run("run")
    return workspace


@pytest.fixture(scope="session")
def measure():
    """The measures of the program on a request as it is."""

    def call(request):
        program = TARGET / "examples/evaluate"
        done = subprocess.run([program], input=json.dumps(request), capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout)

    return call


@pytest.fixture(scope="session")
def evaluate(measure):
    """The measures of the program on lists of labels, scores and groups."""

    def call(labels, scores, threshold=0.5, attributes=None, guard=None):
        request = {
            "labels": [float(label) for label in labels],
            "scores": [float(score) for score in scores],
            "threshold": threshold,
            "attributes": [{"name": name, "values": [str(v) for v in values]} for name, values in (attributes or {}).items()],
        }
        if guard:
            request["guard"] = guard
        return measure(request)

    return call
