"""The service of `deploy/`: the program works under what its unit grants and takes, as a user without rights on a machine that it cannot write."""

import os
import pathlib
import shutil
import subprocess

from conftest import ROOT, TARGET

UNIT = ROOT / "deploy/custody.service"
# What of a unit's settings keeps steps from making their sandbox, or runs slow.
IN_THE_WAY = {
    "RestrictNamespaces",
    "SystemCallFilter",
    "ProtectKernelTunables",
    "ProtectKernelLogs",
    "ProtectControlGroups",
    "ProtectProc",
    "ProcSubset",
    "ProtectHostname",
    "MemoryDenyWriteExecute",
    "PrivateUsers",
}
PIPELINE = """
project: demo
purpose: testing
steps:
  collect:
    source:
      file: rows.csv
      output: rows
      origin: {publisher: us, url: "https://example.com", licence: CC0-1.0, legal_basis: none, classification: internal}
  copy:
    run:
      command: [/bin/sh, -c, "cp /in/rows/* /out/copy"]
      inputs: {rows: rows}
      outputs: {copy: {artifact: copy, kind: dataset}}
"""
# As systemd does for ProtectSystem=strict, ProtectHome and PrivateTmp, and with no privilege to be had.
CONFINED = """
set -eu
for folder in $FOLDERS; do mount --bind "$folder" "$folder"; done
mount -o remount,bind,ro /
for folder in $FOLDERS; do mount -o remount,bind,rw "$folder"; done
for folder in /home /root; do mount -t tmpfs -o mode=000,ro tmpfs "$folder"; done
cd "$STATE"
exec setpriv --reuid 61234 --regid 61234 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


def settings():
    """The settings of the unit, each with its values."""
    found = {}
    for line in UNIT.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_steps_run_under_what_the_unit_takes(tmp_path_factory):
    unit = settings()
    assert not IN_THE_WAY & unit.keys()
    assert unit["User"] == ["custody"] and unit["CapabilityBoundingSet"] == [""] and unit["NoNewPrivileges"] == ["yes"]
    # Where everybody may go, as /var and /etc; and the program where nobody but root can write.
    place = pathlib.Path("/var/tmp") / tmp_path_factory.mktemp("deploy").name
    shutil.rmtree(place, ignore_errors=True)
    folders = {"%S": place / "lib", "%C": place / "cache", "/etc": place / "etc"}
    variables = {"PATH": "/usr/bin:/bin", "CI": "1", "LANG": "C.UTF-8"}
    for line in unit["Environment"]:
        for pair in line.split():
            name, _, value = pair.partition("=")
            for mark, folder in folders.items():
                value = value.replace(mark, str(folder), 1) if value.startswith(mark) else value
            variables[name] = value
    state = folders["%S"] / "custody"
    try:
        for folder in folders.values():
            (folder / "custody").mkdir(parents=True)
            os.chown(folder / "custody", 61234, 61234)
        (state / "rows.csv").write_text("id\n1\n")
        (state / "custody.yaml").write_text(PIPELINE)
        shutil.copy2(TARGET / "custody", place / "custody")
        outside = {"PATH": os.environ["PATH"], "FOLDERS": " ".join(str(folder / "custody") for folder in folders.values()), "STATE": str(state)}
        confined = ["unshare", "--mount", "--propagation", "private", "sh", "-c", CONFINED, "sh", "env", "-i"]

        def run(*arguments):
            command = [*confined, *(f"{name}={value}" for name, value in variables.items()), *arguments]
            done = subprocess.run(command, env=outside, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout + done.stderr

        # It is as confined as it should be.
        assert "Read-only file system" in run("sh", "-c", "touch /var/tmp/x 2>&1 || true")
        run(place / "custody", "init")
        assert (folders["/etc"] / "custody/workspace.key").stat().st_uid == 61234
        assert "made" in run(place / "custody", "run")
        run(place / "custody", "verify", "--all")
        assert "isolation" in run(place / "custody", "doctor")
    finally:
        shutil.rmtree(place)
