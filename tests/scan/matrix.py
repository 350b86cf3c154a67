"""Runs Custody's scanner and its peers over the samples and prints a confusion matrix for each.

`python tests/scan/matrix.py --samples OUT [--custody BINARY] [--peers PYTHON] [--json FILE]`

Without network where the kernel allows it (`unshare`). A peer flags a file when it has a dangerous, critical or high finding; it is
incomplete when it errs, skips or reads nothing. Custody flags with `malicious` or `review`; `unscannable` is no pass, hence
counts as stopped for a hostile sample and as incomplete for a benign one. Custody scans all of them in one process. The exit
code is 1 when Custody missed a hostile sample, alarmed on a benign one, could not read one or took too much memory; 2 for bad
arguments.
"""

import argparse
import collections
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

SECONDS_PER_FILE = 30
SECONDS = 600
# The most memory that a scan takes beside its answer and what the program takes for a file of two bytes, in KiB.
MEMORY = 32 << 10
SMALLEST = b"N."
# From best to worst.
VERDICTS = ("clean", "review", "unscannable", "malicious")
PEERS = ("picklescan", "modelscan", "fickling", "modelaudit")
FLAGGED, INCOMPLETE, CLEAN = "flagged", "incomplete", "clean"
STATE_OF_VERDICT = {"malicious": FLAGGED, "review": FLAGGED, "unscannable": INCOMPLETE, "clean": CLEAN}


@dataclass
class Row:
    """What one tool said of one sample."""

    path: str
    state: str
    detail: str
    wall: float
    cpu: float


def main() -> int:
    """Reads the arguments, runs the tools, prints and tells by the exit code."""
    parser = argparse.ArgumentParser(description="confusion matrix of model scanners")
    parser.add_argument("--samples", type=Path, required=True, help="folder made by `python -m samples`")
    parser.add_argument("--custody", type=Path, help="the custody binary")
    parser.add_argument("--peers", type=Path, help="the Python interpreter of the peers' environment")
    parser.add_argument("--json", type=Path, help="also write every row and count here")
    arguments = parser.parse_args()
    samples = json.loads((arguments.samples / "samples.json").read_text())
    if not samples:
        parser.error("no sample in samples.json")
    wrap = ["unshare", "--user", "--map-root-user", "--net"] if _may_unshare() else []
    print(f"{len(samples)} samples; network {'cut off' if wrap else 'reachable: unshare is not allowed here'}")
    results: dict[str, list[Row]] = {}
    peak = 0
    if arguments.custody:
        results["custody"], peak = run_custody(arguments.custody.resolve(), arguments.samples, samples, wrap)
    if arguments.peers:
        for peer in PEERS:
            results[peer] = run_peer(peer, arguments.peers, arguments.samples, samples, wrap)
    report = {tool: count(samples, rows) for tool, rows in results.items()}
    for tool, rows in results.items():
        print_tool(tool, samples, rows)
    print_summary(report)
    faults = custody_faults(samples, results["custody"]) if arguments.custody else {}
    print_faults(faults, results.get("custody", []), {sample["path"] for sample in samples if sample["held_out"]})
    if arguments.json:
        rows = {tool: [asdict(row) for row in rows] for tool, rows in results.items()}
        arguments.json.write_text(json.dumps({"counts": report, "rows": rows, "faults": faults}, indent=1) + "\n")
    if arguments.custody:
        print(f"\ncustody, most memory that all samples in one process take beside the program: {peak >> 10} MiB, at most {MEMORY >> 10}")
    return 1 if any(faults.values()) or peak > MEMORY else 0


def _may_unshare() -> bool:
    """Whether a namespace without network can be made."""
    if not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "--user", "--map-root-user", "--net", "true"], capture_output=True).returncode == 0


# A process begins with the memory of the one that starts it: so a small one starts the scan and measures it.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, code, file=sys.stderr)
"""


def measured(binary: Path, root: Path, wrap: list[str], *named: str) -> tuple[bytes, int, int]:
    """A scan by Custody: its answer, its exit code, and the most memory that it took beside its answer, in KiB."""
    command = [*wrap, sys.executable, "-S", "-c", MEASURE, str(binary), "scan", "--json", *named]
    done = subprocess.run(command, cwd=root, capture_output=True, timeout=SECONDS)
    peak, code = (int(word) for word in done.stderr.split()[-2:])
    return done.stdout, code, peak - (len(done.stdout) >> 10)


def run_custody(binary: Path, root: Path, samples: list[dict], wrap: list[str]) -> tuple[list[Row], int]:
    """Custody over all samples in one process; also returns the most memory that they took, in KiB."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "smallest.pkl").write_bytes(SMALLEST)
        *_, base = measured(binary, Path(folder), wrap, "smallest.pkl")
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    try:
        answer, code, peak = measured(binary, root, wrap, "hostile", "benign")
        files = json.loads(answer)["files"]
    except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        print("custody gave no answer over all samples at once: one by one, to see on which")
        return [one_custody(binary, root, sample["path"], wrap) for sample in samples], 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = (time.monotonic() - started) / len(samples)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / len(samples)
    paths = {sample["path"] for sample in samples}
    worst: dict[str, str] = {}
    for file in files:
        # A sample is a file or a folder of them.
        parts = file["file"].split("/")
        path = next((path for path in ("/".join(parts[:length]) for length in range(len(parts), 0, -1)) if path in paths), None)
        if path is None:
            raise SystemExit(f"{file['file']} belongs to no sample")
        worst[path] = max(worst.get(path, "clean"), file["verdict"], key=VERDICTS.index)
    if code != {"clean": 0, "unscannable": 2}.get(max(worst.values(), key=VERDICTS.index), 1):
        raise SystemExit(f"the verdicts and the exit code {code} differ")
    rows = [Row(path, STATE_OF_VERDICT[worst[path]], worst[path], wall, cpu) if path in worst else Row(path, INCOMPLETE, "not told", wall, cpu) for path in (s["path"] for s in samples)]
    return rows, peak - base


def one_custody(binary: Path, root: Path, path: str, wrap: list[str]) -> Row:
    """Custody over one sample."""
    started = time.monotonic()
    try:
        done = subprocess.run([*wrap, str(binary), "scan", "--json", str(root / path)], capture_output=True, timeout=SECONDS_PER_FILE)
        verdict = json.loads(done.stdout)["verdict"]
        return Row(path, STATE_OF_VERDICT[verdict], verdict, time.monotonic() - started, 0.0)
    except subprocess.TimeoutExpired:
        return Row(path, INCOMPLETE, "no answer in time", time.monotonic() - started, 0.0)
    except (ValueError, KeyError, TypeError):
        told = f"exit {done.returncode}, no verdict: {done.stderr.decode(errors='replace')[:200]}"
        return Row(path, INCOMPLETE, told, time.monotonic() - started, 0.0)


def run_peer(peer: str, python: Path, root: Path, samples: list[dict], wrap: list[str]) -> list[Row]:
    """A peer over all samples in its own process, which forks for every file."""
    worker = Path(__file__).with_name("peer.py")
    environment = {**os.environ, "PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1", "TQDM_DISABLE": "1"}
    paths = json.dumps([sample["path"] for sample in samples])
    done = subprocess.run([*wrap, str(python), str(worker), peer, str(root)], input=paths, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{peer} could not be run: {done.stderr[-2000:]}")
    rows = [Row(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    if [row.path for row in rows] != [sample["path"] for sample in samples]:
        raise SystemExit(f"{peer} answered for {len(rows)} of {len(samples)} samples")
    return rows


def count(samples: list[dict], rows: list[Row]) -> dict[str, dict[str, int]]:
    """Counts by group (all, tuned, held-out and each family), label and state."""
    counts: dict[str, dict[str, int]] = {}
    for sample, row in zip(samples, rows, strict=True):
        for group in ("all", "held out" if sample["held_out"] else "tuned", "family " + sample["class"]):
            cells = counts.setdefault(group, collections.Counter())
            cells[f"{sample['label']} {row.state}"] += 1
            if row.detail in STATE_OF_VERDICT:
                cells[f"{sample['label']} verdict {row.detail}"] += 1
    return {group: dict(cells) for group, cells in counts.items()}


def print_tool(tool: str, samples: list[dict], rows: list[Row]) -> None:
    """The matrix of one tool."""
    print(f"\n{tool}: by family, flagged / incomplete / clean")
    print(f"  {'':<24}{'hostile':>20}   {'benign':>20}")
    for group, cells in sorted(count(samples, rows).items(), key=lambda item: (item[0].startswith("family"), item[0])):
        parts = [" / ".join(str(cells.get(f"{label} {state}", 0)) for state in (FLAGGED, INCOMPLETE, CLEAN)) for label in ("hostile", "benign")]
        print(f"  {group.removeprefix('family '):<24}{parts[0]:>20}   {parts[1]:>20}")
    walls, cpus = [row.wall for row in rows], [row.cpu for row in rows]
    print(f"  per file: wall median {1000 * statistics.median(walls):.0f} ms, worst {max(walls):.2f} s; CPU median {1000 * statistics.median(cpus):.0f} ms, sum {sum(cpus):.1f} s")


def print_summary(report: dict[str, dict[str, dict[str, int]]]) -> None:
    """All tools beside one another."""
    for group in ("all", "tuned", "held out"):
        print(f"\n{group}: {'tool':<14}{'hostile flagged / incomplete / missed':>40}{'benign alarm / incomplete / clean':>38}")
        for tool, counts in report.items():
            cells = counts.get(group, {})
            parts = [" / ".join(str(cells.get(f"{label} {state}", 0)) for state in (FLAGGED, INCOMPLETE, CLEAN)) for label in ("hostile", "benign")]
            print(f"{'':<{len(group) + 2}}{tool:<14}{parts[0]:>40}{parts[1]:>38}")
    verdicts = report.get("custody", {}).get("all", {})
    for label in ("hostile", "benign"):
        split = ", ".join(f"{verdict} {verdicts.get(f'{label} verdict {verdict}', 0)}" for verdict in STATE_OF_VERDICT)
        if verdicts:
            print(f"custody's verdicts on {label} samples: {split}")


def custody_faults(samples: list[dict], rows: list[Row]) -> dict[str, list[str]]:
    """What must not happen; a hostile sample without a verdict (a crash, a hang) is a miss too."""
    faults: dict[str, list[str]] = {"missed": [], "false alarm": [], "incomplete": []}
    for sample, row in zip(samples, rows, strict=True):
        if sample["label"] == "hostile":
            if row.detail not in ("malicious", "review", "unscannable"):
                faults["missed"].append(sample["path"])
        elif row.state != CLEAN:
            faults["false alarm" if row.state == FLAGGED else "incomplete"].append(sample["path"])
    return faults


def print_faults(faults: dict[str, list[str]], rows: list[Row], held_out: set[str]) -> None:
    """Custody's faults one by one."""
    details = {row.path: row.detail for row in rows}
    for kind, paths in faults.items():
        print(f"\ncustody, {kind}: {len(paths)}")
        for path in paths:
            print(f"  {path}: {details[path]}{' (held out)' if path in held_out else ''}")


if __name__ == "__main__":
    sys.exit(main())
