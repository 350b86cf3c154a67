"""Runs one peer over the samples in the peers' environment: `peer.py TOOL ROOT`, the paths as JSON on standard input.

Every file is read in a forked process with limits of time and memory, so that a bomb costs its own process alone. One JSON
object a line goes to standard output.
"""

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 20
MEMORY_BYTES = 4 * 2**30


def picklescan() -> Callable[[Path], tuple[str, str]]:
    """Flagged: a dangerous global; incomplete: an error or nothing scanned."""
    from picklescan import scanner

    def scan(path: Path) -> tuple[str, str]:
        result = scanner.scan_directory_path(str(path)) if path.is_dir() else scanner.scan_file_path(str(path))
        if result.issues_count:
            return "flagged", f"{result.issues_count} issues"
        if result.scan_err or not result.scanned_files:
            return "incomplete", "error" if result.scan_err else "nothing scanned"
        return "clean", ""

    return scan


def modelscan() -> Callable[[Path], tuple[str, str]]:
    """Flagged: a critical or high issue; incomplete: an error, a skipped file, nothing scanned."""
    from modelscan.modelscan import ModelScan

    def scan(path: Path) -> tuple[str, str]:
        result = ModelScan().scan(str(path))
        severities = result["summary"]["total_issues_by_severity"]
        if severities["CRITICAL"] or severities["HIGH"]:
            return "flagged", json.dumps(severities)
        if result["errors"] or not result["summary"]["scanned"]["total_scanned"]:
            return "incomplete", "error" if result["errors"] else "nothing scanned"
        return "clean", ""

    return scan


def fickling() -> Callable[[Path], tuple[str, str]]:
    """Flagged: likely unsafe or worse; incomplete: it cannot parse the file."""
    import zipfile

    import fickling as tool
    from fickling.analysis import Severity

    def one(path: Path) -> tuple[str, str]:
        results = tool.scan_zip_archive(str(path)) if zipfile.is_zipfile(path) else tool.scan_file(str(path))
        found = list(results.values()) if isinstance(results, dict) else results if isinstance(results, list) else [results]
        return _fickling_state(found, Severity)

    def scan(path: Path) -> tuple[str, str]:
        if not path.is_dir():
            return one(path)
        states = [one(file)[0] for file in sorted(path.rglob("*")) if file.is_file()]
        return next((state for state in ("flagged", "incomplete") if state in states), "clean"), "folder"

    return scan


def _fickling_state(results: list, severity: type) -> tuple[str, str]:
    """The worst of fickling's results."""
    severities = [result.severity for result in results if getattr(result, "severity", None) is not None]
    worst = max(severities, default=None)
    if worst is not None and worst >= severity.LIKELY_UNSAFE:
        return "flagged", worst.name
    if not severities or any(getattr(result, "errors", None) or getattr(result, "error", None) for result in results):
        return "incomplete", "nothing parsed"
    return "clean", worst.name


def modelaudit() -> Callable[[Path], tuple[str, str]]:
    """Flagged: a critical or warning finding, as its exit code counts; incomplete: errors or no file scanned."""
    import importlib
    import pkgutil
    import tempfile

    from modelaudit import scanners
    from modelaudit.core import scan_model_directory_or_file

    for module in pkgutil.iter_modules(scanners.__path__):  # loaded once, not in every fork
        with contextlib.suppress(Exception):
            importlib.import_module(f"modelaudit.scanners.{module.name}")
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        Path(folder, "warm.pkl").write_bytes(b"\x80\x02]q\x00.")
        scan_model_directory_or_file(folder, timeout=SECONDS)

    def scan(path: Path) -> tuple[str, str]:
        result = scan_model_directory_or_file(str(path), timeout=SECONDS)
        severities = {issue.severity.value for issue in result.issues}
        if severities & {"critical", "warning"}:
            return "flagged", ",".join(sorted(severities))
        if result.has_errors or not result.files_scanned:
            return "incomplete", "error" if result.has_errors else "nothing scanned"
        return "clean", ",".join(sorted(severities))

    return scan


def guarded(scan: Callable[[Path], tuple[str, str]], path: Path) -> tuple[str, str, float, float]:
    """The state, detail, wall and CPU seconds of one scan in a forked process."""
    reader, writer = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _scan_in_child(scan, path, writer)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], SECONDS)
    raw = os.read(reader, 65536) if ready else b""
    os.close(reader)
    if not ready:
        os.kill(child, signal.SIGKILL)
    _, _, usage = os.wait4(child, 0)
    wall = time.monotonic() - started
    state, detail = json.loads(raw) if raw else ("incomplete", "killed" if ready else "no answer in time")
    return state, detail, wall, usage.ru_utime + usage.ru_stime


def _scan_in_child(scan: Callable[[Path], tuple[str, str]], path: Path, writer: int) -> None:
    """Scans within limits, writes the state, and ends the process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            answer = scan(path)
    except BaseException as problem:  # noqa: BLE001 - a peer may fail in any way on a hostile file
        answer = ("incomplete", f"{type(problem).__name__}: {str(problem)[:200]}")
    os.write(writer, json.dumps(answer).encode())
    os._exit(0)


def main() -> None:
    """Runs the tool that the arguments name."""
    tool, root = sys.argv[1], Path(sys.argv[2])
    scan = {"picklescan": picklescan, "modelscan": modelscan, "fickling": fickling, "modelaudit": modelaudit}[tool]()
    for path in json.load(sys.stdin):
        state, detail, wall, cpu = guarded(scan, root / path)
        print(json.dumps({"path": path, "state": state, "detail": detail, "wall": wall, "cpu": cpu}), flush=True)


if __name__ == "__main__":
    main()
