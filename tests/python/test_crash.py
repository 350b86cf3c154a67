"""A disk that loses everything that was not synced.

The program runs under strace; what it writes is done again on a model of the disk that knows, of every file and every
name, what was there at the last fsync. After each step the machine "crashes": the folders are made as such a disk would
have them, and the program must go on from there with everything that it had acknowledged.
"""

import functools
import itertools
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import TARGET

CUSTODY = TARGET / "custody"
CALLS = "openat,creat,read,lseek,write,pwrite64,writev,pwritev,pwritev2,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,linkat,fsync,fdatasync"
LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)", re.DOTALL)
ACKNOWLEDGED = re.compile(rb"^(put \S+@\d+|@\S+ is \S+@\d+|.* of \S+@\d+ removed|all keys are wrapped)")


def text(quoted):
    """Read a string of `strace -xx`."""
    return bytes.fromhex(quoted.replace("\\x", ""))


@functools.cache
def strings(arguments):
    """Return the strings among the arguments of a call."""
    return [text(found) for found in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)]


@functools.cache
def opened(arguments):
    """Return number and path of the file that a call is about."""
    found = re.match(r"(\d+)<((?:\\x[0-9a-f]{2})*)>", arguments)
    return (int(found[1]), text(found[2]).decode()) if found else (None, None)


@functools.cache
def numbers(arguments):
    """Return the plain numbers that follow the strings."""
    return [int(found) for found in re.findall(r", (\d+)(?=,|$)", re.sub(r'"[^"]*"', "", arguments))]


def absolute(folder, path):
    """Return a path that does not depend on where the program stood."""
    return os.path.normpath(Path(folder) / path)


class File:
    """What is in a file, and what was in it when it was synced last."""

    def __init__(self, content=b""):
        self.content = bytearray(content)
        self.synced = bytes(content)

    def write(self, at, data):
        if len(self.content) < at:
            self.content.extend(bytes(at - len(self.content)))
        self.content[at : at + len(data)] = data


class Disk:
    """The folders below some roots. `lost`: which syncs do nothing, by a pattern of the path."""

    def __init__(self, roots, lost=None):
        self.roots = [str(root) for root in roots]
        self.lost = re.compile(lost) if lost else None
        self.names, self.at, self.acknowledged = {}, {}, []
        for root in self.roots:
            for path in [Path(root), *Path(root).rglob("*")]:
                if not path.is_socket() and not path.name.endswith("-shm"):
                    self.names[str(path)] = None if path.is_dir() else File(path.read_bytes())
        self.synced = dict(self.names)

    def holds(self, path):
        return path is not None and any(path == root or path.startswith(root + "/") for root in self.roots) and not path.endswith("-shm")

    def sync(self, path):
        """Make what is in a file durable, or the names in a folder."""
        if self.lost and self.lost.search(path):
            return
        if self.names.get(path) is not None:
            self.names[path].synced = bytes(self.names[path].content)
            return
        inside = lambda names: {name for name in names if name.rpartition("/")[0] == path}
        for name in inside(self.synced) - inside(self.names):
            del self.synced[name]
        for name in inside(self.names):
            self.synced[name] = self.names[name]

    def move(self, old, new):
        for name in [name for name in self.names if name == old or name.startswith(old + "/")]:
            self.names[new + name[len(old) :]] = self.names.pop(name)

    def call(self, name, arguments, result, folder):
        """Do one call."""
        paths = [absolute(folder, path.decode(errors="replace")) for path in strings(arguments)]
        if name == "openat":
            base = re.match(r"(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>", arguments)
            path = absolute(text(base[1]).decode() if base else folder, strings(arguments)[0].decode())
            path = re.sub(r"^/proc/self/fd/\d+", "", path)
            if not self.holds(path):
                return
            if "O_CREAT" in arguments and path not in self.names:
                self.names[path] = File()
            file = self.names.get(path)
            if file is not None and "O_TRUNC" in arguments:
                file.content.clear()
            self.at[result, path] = len(file.content) if file is not None and "O_APPEND" in arguments else 0
            return
        number, path = opened(arguments)
        if name == "write" and number == 1 and ACKNOWLEDGED.match(strings(arguments)[0]):
            self.acknowledged += [line.decode() for line in strings(arguments)[0].splitlines() if ACKNOWLEDGED.match(line)]
        elif name in ("mkdir", "mkdirat") and self.holds(paths[-1]):
            self.names[paths[-1]] = None
        elif name.startswith("rename") and (self.holds(paths[0]) or self.holds(paths[1])):
            self.move(paths[0], paths[1])
        elif name in ("unlink", "unlinkat", "rmdir") and self.holds(paths[-1]):
            self.names.pop(paths[-1], None)
        elif not self.holds(path):
            return
        elif name in ("fsync", "fdatasync"):
            self.sync(path)
        elif name == "ftruncate":
            length = numbers(arguments)[-1]
            content = self.names[path].content
            del content[length:]
            content.extend(bytes(length - len(content)))
        elif name == "pwrite64":
            self.names[path].write(numbers(arguments)[-1], strings(arguments)[0][:result])
        elif name in ("write", "writev"):
            file = self.names[path]
            at = self.at.get((number, path), len(file.content))
            file.write(at, b"".join(strings(arguments))[:result])
            self.at[number, path] = at + result
        elif name == "read":
            self.at[number, path] = self.at.get((number, path), 0) + result
        elif name == "lseek":
            self.at[number, path] = result
        else:
            raise AssertionError(f"{name} on {path}")

    def states(self):
        """The disks that a crash may leave now: nothing unsynced, names alone, contents alone."""
        synced = lambda names: {name: file if file is None else file.synced for name, file in names.items()}
        yield synced(self.synced)
        yield synced(self.names)
        yield {name: file if file is None else bytes(file.content) for name, file in self.synced.items()}


def calls(trace):
    """Read the calls of a trace in the order in which they ended; a file is not named by who made it."""
    begun = {}
    for line in trace.read_text().splitlines():
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[pid] = line.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = re.search(r"<\.\.\. \w+ resumed>", line)
        found = LINE.match(begun.pop(pid) + line[resumed.end() :] if resumed else line)
        if found and int(found[4]) >= 0:
            yield found[2], found[3], int(found[4])


class World:
    """A workspace, the commands that were traced in it, and the same after a crash."""

    def __init__(self, folder):
        self.folder, self.numbers = folder, itertools.count()
        self.project, self.home = folder / "project", folder / "home"
        self.project.mkdir()
        self.home.mkdir()
        for name in "abc":
            (self.project / f"{name}.txt").write_text(f"content of {name}\n" * 200)
        # A model that no rule knows, which waits for a person.
        (self.project / "model.pkl").write_bytes(b"\x80\x04cacme.models\nScorer\n)\x81.")
        (folder / "keys").mkdir()
        # The packs with bytes that a removal takes away.
        self.doomed = set()

    def environment(self, home):
        return {"HOME": str(home), "PATH": os.environ["PATH"], "CUSTODY_KEY_FILE": str(home.parent / "keys/key"), "CI": "1"}

    def run(self, *arguments, folder=None, home=None):
        return subprocess.run([CUSTODY, *arguments], cwd=folder or self.project, env=self.environment(home or self.home), capture_output=True, text=True, check=False)

    def whole(self, state, acknowledged):
        """Return what is wrong after a crash, if something is."""
        after = self.folder / f"after-{next(self.numbers)}"
        for needed in (self.project, self.folder / "keys", self.home / ".local/state/custody/ledgers"):
            (after / needed.relative_to(self.folder)).mkdir(parents=True)
        for path, content in sorted(state.items()):
            copy = after / Path(path).relative_to(self.folder)
            # A name in a folder whose own name is lost is lost.
            if not copy.parent.is_dir():
                continue
            if content is None:
                copy.mkdir(mode=0o700, exist_ok=True)
            else:
                copy.write_bytes(content)
                copy.chmod(0o600)
        place = {"folder": after / "project", "home": after / "home"}
        try:
            verified = self.run("verify", "--all", **place)
            if verified.returncode != 0:
                return verified.stdout + verified.stderr
            listed = self.run("ls", **place)
            if any("removed" in done for done in acknowledged) and self.doomed & state.keys():
                return f"bytes that were removed are there again: {self.doomed}"
            named = [done for done in acknowledged if "removed" not in done and "wrapped" not in done]
            missing = [done for done in named if done.split()[1 if done.startswith("put") else 0].rstrip(":") not in listed.stdout]
            if listed.returncode != 0 or missing:
                return f"{missing}: {listed.stdout}{listed.stderr}"
            return None
        finally:
            shutil.rmtree(after)


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A workspace before, the disk as it was then, and the calls of what was done in it."""
    if shutil.which("strace") is None:
        pytest.fail("this test needs strace: install it with `apt-get install strace`")
    world = World(tmp_path_factory.mktemp("crash"))
    assert world.run("init").returncode == 0
    assert world.run("put", "demo/a", "a.txt").returncode == 0
    assert world.run("put", "demo/m", "model.pkl", "--kind", "model").returncode == 6
    assert world.run("reject", "demo/m@1", "--reason", "it is not needed").returncode == 0
    roots = (world.project / ".custody", world.folder / "keys", world.home / ".local/state/custody/ledgers")
    trace = world.folder / "trace"
    before = lambda lost=None: Disk(roots, lost)
    copies = [(root, world.folder / f"before-{number}") for number, root in enumerate(roots)]
    for root, copy in copies:
        shutil.copytree(root, copy)
    script = '"$0" remove demo/m@1 && "$0" put demo/b b.txt && "$0" keys rotate && "$0" put new/c c.txt && "$0" alias demo/a good 1'
    done = subprocess.run(
        ["strace", "-f", "-y", "-qq", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-o", trace, "sh", "-c", script, CUSTODY],
        cwd=world.project,
        env=world.environment(world.home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    had = {str(roots[0] / path.relative_to(copies[0][1])) for path in copies[0][1].rglob("*.pack")}
    world.doomed = had - {str(path) for path in roots[0].rglob("*.pack")}
    assert world.doomed
    for root, copy in copies:
        shutil.rmtree(root)
        shutil.copytree(copy, root)
    return world, before, list(calls(trace))


def crashes(traced, lost=None):
    """Every disk that a crash may leave just before a sync, a rename or an acknowledgement, and at the end; once."""
    world, before, done = traced
    disk, seen = before(lost), set()

    def states():
        for state in disk.states():
            known = hash((len(disk.acknowledged), frozenset(state.items())))
            if known not in seen:
                seen.add(known)
                yield state, list(disk.acknowledged)

    for name, arguments, result in done:
        # The index is a cache: how it is found is looked at, when it is written is not.
        if "catalog" in (opened(arguments)[1] or ""):
            pass
        elif name in ("fsync", "fdatasync") or name.startswith("rename") or (name == "write" and arguments.startswith("1<")):
            yield from states()
        disk.call(name, arguments, result, str(world.project))
    yield from states()


def test_what_was_acknowledged_outlives_every_crash(traced):
    states = list(crashes(traced))
    with ThreadPoolExecutor(2) as pool:
        ends = pool.map(lambda state: traced[0].whole(*state), states)
        for number, (wrong, (_, acknowledged)) in enumerate(zip(ends, states, strict=True)):
            assert wrong is None, f"crash {number}, after {acknowledged}: {wrong}"
    assert len(states) > 20, len(states)
    acknowledged = states[-1][1]
    assert "removed" in acknowledged[0] and [done.split()[0] for done in acknowledged[1:]] == ["put", "all", "put", "@good"], acknowledged


@pytest.mark.parametrize(
    "lost",
    [
        r"/ledger/wal$",
        r"/ledger/tile/",
        r"/ledger/checkpoint\.new$",
        r"/ledger$",
        r"/packs/tmp/[^/]+/[^/]+\.pack$",
        r"/packs/[0-9a-f]{2}$",
        r"/packs$",
        r"/keyring\.new$",
        r"/keys/key\.new$",
        r"/keys$",
        r"/\.custody$",
    ],
)
def test_every_sync_is_needed(traced, lost):
    """Without these syncs some crash loses something: the test above would see it."""
    states = list(crashes(traced, lost))
    assert any(traced[0].whole(state, acknowledged) for state, acknowledged in reversed(states))
