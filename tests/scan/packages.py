"""Custody over packages of PyPI that ship models: `python tests/scan/packages.py --custody BINARY --folder FOLDER`.

Downloads the wheels of `packages.lock` into FOLDER, each by its hash and without running anything of it, unpacks them and scans all in
one process. Programs alarm rightly and are only counted; an alarm on any other file, and a file that cannot be read, must stand in
`packages-known.json` with package, path, rule and reason. The exit code is 1 when one does not, or when an entry there fits
nothing any more.
"""

import argparse
import collections
import fnmatch
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
LOCK = HERE / "packages.lock"
PROGRAM = re.compile(r"\.(py|pyc|pyi|pyx|sh|ipynb)$|\.so(\.[\w.-]+)?$")
# The wheels of one machine, wherever the script runs.
PLATFORM = ["--python-version", "3.11", *(word for name in ("manylinux_2_35_x86_64", "manylinux_2_28_x86_64", "manylinux2014_x86_64") for word in ("--platform", name))]
SECONDS = 600


def main() -> int:
    """Reads the arguments, downloads, scans and compares."""
    parser = argparse.ArgumentParser(description="the scanner over packages that ship models")
    parser.add_argument("--custody", type=Path, required=True, help="the custody binary")
    parser.add_argument("--folder", type=Path, required=True, help="where the packages are kept")
    arguments = parser.parse_args()
    files = unpack(arguments.folder)
    packages = sorted(path.name for path in files.iterdir())
    findings, programs, count = scan(arguments.custody.resolve(), files, packages)
    known = json.loads((HERE / "packages-known.json").read_text())
    used = [any(fits(entry, finding) for finding in findings) for entry in known]
    unknown = [finding for finding in findings if not any(fits(entry, finding) for entry in known)]
    print(f"{len(packages)} packages, {count} files; alarms on {programs} programs, {len(findings)} on other files, of these {len(unknown)} unknown")
    for (package, path, rule, what), times in sorted(collections.Counter(unknown).items()):
        print(f"  unknown: {package} {path}: {rule}, {what} ({times})")
    stale = [entry for entry, fit in zip(known, used, strict=True) if not fit]
    for entry in stale:
        print(f"  fits nothing: {entry['package']} {entry['path']}: {entry['rule']}")
    return 1 if unknown or stale else 0


def unpack(folder: Path) -> Path:
    """Downloads and unpacks what the lock file tells, unless that is done; returns where."""
    wheels, files, stamp = folder / "wheels", folder / "files", folder / ".lock"
    if stamp.exists() and stamp.read_bytes() == LOCK.read_bytes():
        return files
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary", ":all:", *PLATFORM, "--dest", wheels, "--requirement", LOCK]
    subprocess.run(command, check=True)
    for wheel in sorted(wheels.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(files / f"{name}=={version}")
    shutil.rmtree(wheels)
    shutil.copyfile(LOCK, stamp)
    return files


Finding = tuple[str, str, str, str]


def scan(binary: Path, files: Path, packages: list[str]) -> tuple[list[Finding], int, int]:
    """The package, path, rule and text of every finding on a file that is neither clean nor a program; the number of programs that
    alarm, and of all files."""
    done = subprocess.run([binary, "scan", "--json", *packages], cwd=files, capture_output=True, timeout=SECONDS)
    scanned = json.loads(done.stdout)["files"]
    programs, findings = 0, []
    for file in scanned:
        package, _, path = file["file"].partition("/")
        if file["verdict"] == "clean":
            continue
        if PROGRAM.search(path):
            programs += 1
            continue
        findings += [(package.partition("==")[0], path, finding["rule"], finding["what"]) for finding in file["findings"] if finding["verdict"] != "clean"]
    return findings, programs, len(scanned)


def fits(entry: dict[str, str], finding: Finding) -> bool:
    """Whether an entry of the known ones is about a finding."""
    package, path, rule, _ = finding
    return entry["package"] == package and entry["rule"] == rule and fnmatch.fnmatchcase(path, entry["path"])


if __name__ == "__main__":
    sys.exit(main())
