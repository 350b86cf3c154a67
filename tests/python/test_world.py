"""The world of a step, with real libraries; and how its printing and its end look to who runs it."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import termios
import time

import pytest
from conftest import ROOT, TARGET

LOCK = ROOT / "examples/employment/requirements.lock"
WAIT_S = 120


class Ended(subprocess.Popen):
    """A process that is killed at the end of its block, so that a failed assertion is told at once."""

    def __exit__(self, *failure):
        """Kill it and wait."""
        self.kill()
        return super().__exit__(*failure)


class Project:
    """A project of one step that runs a program."""

    def __init__(self, folder, program, limits="{}", environment=False):
        self.folder = folder
        self.variables = {**os.environ, "CUSTODY_KEY_FILE": str(folder / "key")}
        self.variables.pop("CI", None)
        (folder / "main.py").write_text(program)
        python = ""
        if environment:
            shutil.copy(LOCK, folder / "requirements.lock")
            python = 'environment: {python: "3.11", lock: requirements.lock}\n'
        command = "python" if environment else "python3"
        (folder / "custody.yaml").write_text(
            f"project: world\n{python}steps:\n  work:\n    run:\n      command: [{command}, /code/main.py]\n      code: [main.py]\n"
            f"      outputs: {{made: {{artifact: made, kind: report}}}}\n      limits: {limits}\n"
        )
        self.run("init")

    def run(self, *arguments, expect=0):
        """Run a command without a terminal; return what it printed."""
        command = [TARGET / "custody", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.variables, capture_output=True, text=True, check=False, timeout=900
        )
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def start(self, **options):
        """Start `custody run` and go on."""
        return Ended([TARGET / "custody", "run"], cwd=self.folder, env=self.variables, **options)


MADE = "\nimport pathlib\npathlib.Path('/out/made/made.txt').write_text('made')\n"


def test_libraries_compute_in_parallel(tmp_path):
    """joblib, scikit-learn and multiprocessing use the threads that the step declares, and say nothing of lacks."""
    program = """
import multiprocessing, os, warnings
warnings.simplefilter("error")
import joblib, numpy, threadpoolctl
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import cross_val_score

def square(number):
    return number * number

if __name__ == "__main__":
    print("processors", os.cpu_count(), len(os.sched_getaffinity(0)), joblib.cpu_count())
    # Warns where it cannot tell.
    joblib.cpu_count(only_physical_cores=True)
    for backend in ("loky", "multiprocessing", "threading"):
        print(backend, joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(square)(n) for n in range(4)))
    # Larger than joblib's bound from which on arrays go through /dev/shm.
    large = numpy.ones((400, 1000))
    sums = joblib.Parallel(n_jobs=2, max_nbytes=1000)(joblib.delayed(numpy.sum)(large) for _ in range(2))
    print("memory", [float(sum) for sum in sums], os.path.isdir("/dev/shm"))
    for way in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(way).Pool(2) as pool:
            print(way, pool.map(square, range(4)))
    rows, labels = make_classification(400, random_state=0)
    forest = RandomForestClassifier(20, n_jobs=-1, random_state=0)
    print("forest", cross_val_score(forest, rows, labels, n_jobs=-1, cv=3).mean() > 0.8)
    print("boosting", HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(rows, labels).score(rows, labels) > 0.8)
    print("pools", {pool["num_threads"] for pool in threadpoolctl.threadpool_info()})
""" + MADE.replace("\n", "\n    ")
    project = Project(tmp_path, program, "{threads: 2, time_s: 300}", environment=True)
    told = project.run("run")
    there = min(2, len(os.sched_getaffinity(0)))
    for line in [
        f"processors {there} {there} {there}",
        *(f"{way} [0, 1, 4, 9]" for way in ("loky", "multiprocessing", "threading", "fork", "spawn", "forkserver")),
        "memory [400000.0, 400000.0] True",
        "forest True",
        "boosting True",
    ]:
        assert f"work | {line}\n" in told, told
    assert "Warning" not in told
    assert re.search(r"pools \{[12]\}", told), told


DRAWS = """
import sys, time
print("\\x1b[2J\\x1b]0;title\\x07steers \\u202e\\x9b2J")
sys.stdout.flush()
sys.stdout.buffer.write(b"\\xff\\xfe invalid\\n")
for share in (10, 20, 30):
    print(f"\\r {share}% of it", end="", flush=True)
    time.sleep(0.4)
print()
print("after")
""" + MADE


def on_terminal(project):
    """Run on a terminal; return what it got, and the exit code."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with project.start(stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        got = b""
        while select.select([ours], [], [], WAIT_S)[0]:
            try:
                piece = os.read(ours, 1 << 16)
            except OSError:
                break
            if not piece:
                break
            got += piece
        os.close(ours)
        return got, child.wait(WAIT_S)


def test_bars_appear_as_they_come_and_nothing_steers_the_terminal(tmp_path):
    """On a terminal."""
    got, code = on_terminal(Project(tmp_path, DRAWS))
    text = got.decode()
    assert code == 0, text
    for share in (10, 20, 30):
        assert re.search(rf"work \d+s  ?{share}% of it", text), text
    assert "work |  30% of it" in text and "work | after" in text
    # What came from the step stands there in letters.
    assert r"\u{1b}[2J\u{1b}]0;title\u{7}steers \u{202e}\u{9b}2J" in text
    assert "\x1b]0;" not in text and "\x1b[2J" not in text and "\u202e" not in text and "\x9b" not in text


def test_without_a_terminal_a_bar_is_its_last_state(tmp_path):
    """In a file or a pipe, and with JSON."""
    project = Project(tmp_path, DRAWS)
    told = project.run("run")
    assert "work |  30% of it\n" in told and "10% of it" not in told and "\r" not in told
    assert "\x1b" not in told and "\u202e" not in told
    (tmp_path / "main.py").write_text(DRAWS + "\n# again\n")
    events = [json.loads(line) for line in project.run("--json", "run").splitlines()]
    texts = "".join(event["text"] for event in events if event["event"] == "step_log")
    assert " 30% of it\nafter\n" in texts and "\r" not in texts


def test_what_the_caller_ignores_stays_ignored(tmp_path):
    """As with `nohup`."""
    project = Project(tmp_path, "import time\nprint('ready', flush=True)\ntime.sleep(1)" + MADE)
    ignore = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    with project.start(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **ignore) as child:
        for line in child.stdout:
            if "| ready" in line:
                child.send_signal(signal.SIGHUP)
        assert child.wait(WAIT_S) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_process_of_the_step(tmp_path, number):
    """And the run says so; what the step printed as its process numbers does not count, so a mark is looked for."""
    mark = f"mark-{os.getpid()}-{number.value}-{tmp_path.name}"
    program = f"""
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            os.execv(sys.executable, [sys.executable, "/code/main.py", "{mark}"])
    os.execv(sys.executable, [sys.executable, "/code/main.py", "{mark}"])
os.write(1, b"ready\\n")
time.sleep(600)
"""
    project = Project(tmp_path, program)
    # Whatever runs the tests may ignore it, and the program would as well.
    heard = {"preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}
    with project.start(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **heard) as child:
        # In one write each: what several processes print at once may share a line.
        ready = 0
        while ready < 3:
            ready += child.stdout.readline().count("ready")
        assert len(alive(mark)) == 3
        began = time.monotonic()
        child.send_signal(number)
        told = child.stdout.read()
        assert child.wait(WAIT_S) == 130, told
        assert time.monotonic() - began < 30
    assert alive(mark) == []
    assert "interrupted" in told, told
    # Nothing is left to be mended, and the step runs from nothing.
    assert "would run" in project.run("run", "--dry-run")
    project.run("verify", "--all")


def alive(mark):
    """The processes of the machine that bear a mark."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "cmdline").read_bytes():
                found.append(folder.name)
        except OSError:
            continue
    return found
