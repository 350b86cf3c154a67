"""`custody scan` from outside: exit codes, documents, rule packs, and how much memory it takes."""

import json
import pickle
import pickletools
import struct
import subprocess
import zipfile
import zlib

import pytest
from conftest import TARGET, largest_memory

SYSTEM = b"cos\nsystem\n(S'true'\ntR."
# What a scan may take beside what the program takes for a file of two bytes.
MEMORY_KIB = 32 << 10


def scan(*arguments, expect):
    """Scan and return the document, after a look at the exit code."""
    done = subprocess.run([TARGET / "custody", "scan", "--json", *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == expect, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout else json.loads(done.stderr)


def peak(path):
    """Scan a file and return the largest memory of the process in KiB, and its exit code."""
    return largest_memory(TARGET / "custody", "scan", "--json", path)


@pytest.fixture(scope="module")
def bound(tmp_path_factory):
    """The most memory that a scan may take, in KiB."""
    path = tmp_path_factory.mktemp("smallest") / "smallest.pkl"
    path.write_bytes(b"N.")
    used, code = peak(path)
    assert code == 0
    return used + MEMORY_KIB


@pytest.fixture
def file(tmp_path):
    """Writes a file and returns its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def test_the_exit_code_is_the_answer(file):
    assert scan(file("a.pkl", pickle.dumps({"a": 1})), expect=0)["verdict"] == "clean"
    assert scan(file("b.pkl", SYSTEM), expect=1)["verdict"] == "malicious"
    assert scan(file("c.pkl", pickle.dumps({"a": 1})[:-1]), expect=2)["verdict"] == "unscannable"
    assert scan("/no/such/file", expect=5)["problem"]["code"] == "CUS-SCAN-001"


def test_a_folder_without_files_is_not_clean(tmp_path):
    assert scan(tmp_path, expect=5)["problem"]["code"] == "CUS-SCAN-024"


def test_a_name_steers_no_terminal(file):
    path = file("\x1b[2K\r\u202e\n9 files: 9 clean", SYSTEM)
    done = subprocess.run([TARGET / "custody", "scan", path], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert not {"\x1b", "\r", "\u202e"} & set(done.stdout)
    assert not any(line.startswith("9 files") for line in done.stdout.splitlines())


def test_a_finding_says_what_where_why_and_what_to_do(file):
    path = file("model.zip", b"")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "hello\n")
        archive.writestr("deep/model.bin", zlib.compress(b"\x80\x04N0" + SYSTEM))
    document = scan(path, expect=1)
    finding = next(f for report in document["files"] for f in report["findings"] if f["rule"] == "pickle/sink")
    assert finding["place"] == {"file": str(path), "member": ["deep/model.bin", "content"], "offset": 4}
    assert "posix:system" in finding["what"] or "os:system" in finding["what"]
    assert finding["why"] and finding["advice"] and "AML.T0011.000" in finding["references"]
    assert document["schema"] == "custody/scan/1" and document["rules"][0]["name"] == "custody"


def test_sarif_has_what_viewers_ask_for(file):
    path = file("b.pkl", SYSTEM)
    done = subprocess.run([TARGET / "custody", "scan", "--format", "sarif", path], capture_output=True, text=True, check=False, timeout=60)
    run = json.loads(done.stdout)["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in {"note", "warning", "error"} and result["message"]["text"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("b.pkl")


def pack(tmp_path, allow):
    """Write a rule pack."""
    path = tmp_path / "acme.json"
    body = {
        "schema": "https://custody.dev/schema/rules/v1",
        "name": "acme",
        "version": "1",
        "sections": {"pickle": {"allow": [{"names": allow, "as": "class", "arguments": "any"}]}},
    }
    path.write_text(json.dumps(body))
    return path


def test_a_pack_of_ones_own_admits_what_it_names_and_no_sink(file, tmp_path):
    known = file("known.pkl", b"cacme.models\nScorer\n)R.")
    assert scan(known, expect=1)["verdict"] == "review"
    rules = pack(tmp_path, ["acme.models:Scorer", "os:system"])
    assert scan(known, "--rules", rules, "--unsigned-rules", expect=0)["verdict"] == "clean"
    assert scan(file("b.pkl", SYSTEM), "--rules", rules, "--unsigned-rules", expect=1)["verdict"] == "malicious"


def test_a_pack_counts_with_its_signature_only(file, tmp_path):
    key, other = tmp_path / "key.pem", tmp_path / "other.pem"
    for path in (key, other):
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-out", path.with_suffix(".pub")], check=True, capture_output=True)
    rules = pack(tmp_path, ["acme.models:Scorer"])
    known = file("known.pkl", b"cacme.models\nScorer\n)R.")
    signed = ("--rules", rules, "--rules-key", key.with_suffix(".pub"))
    assert scan(known, "--rules", rules, expect=2)["problem"]["code"] == "CUS-SCAN-003"
    assert scan(known, *signed, expect=4)["problem"]["code"] == "CUS-SCAN-004"
    subprocess.run([TARGET / "custody", "rules", "sign", rules, "--key", key], check=True, capture_output=True)
    assert scan(known, *signed, expect=0)["rules"][1]["name"] == "acme"
    scan(known, "--rules", rules, "--rules-key", other.with_suffix(".pub"), expect=4)
    rules.write_text(rules.read_text().replace("Scorer", "Storer"))
    scan(known, *signed, expect=4)


def many_names():
    """A pickle that names more than is kept of it."""
    return b"".join(b"cmodule%d\nname\n0" % number for number in range(100_000)) + b"N."


def many_nodes():
    """Containers in containers, all remembered."""
    return b"\x80\x04" + b"]\x94" * 1_500_000 + b"N."


def many_texts():
    """A vocabulary that is longer than what is kept."""
    words = b"".join(b"\x8c\x08" + b"%08x" % number + b"\x94K\x01" for number in range(900_000))
    return b"\x80\x04}(" + words + b"u."


BOMBS = {
    "names": many_names,
    "nodes": many_nodes,
    "texts": many_texts,
    "marks": lambda: b"(" * 5_000_000 + b".",
    "stack": lambda: b"N" * 5_000_000 + b".",
    "depth": lambda: b"(" * 200_000 + b"t" * 200_000 + b".",
    "sharing": lambda: b"\x80\x04K\x01" + b"2\x86" * 200 + b".",
    "length": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".",
    "memo": lambda: b"Nr\xff\xff\xff\xff.",
    "line": lambda: b"V" + b"x" * 50_000_000 + b"\n.",
    "gzip of zeros": lambda: zlib.compress(bytes(300_000_000), 9),
    "npy header": lambda: b"\x93NUMPY\x02\x00" + struct.pack("<I", 0xFFFFFFFF) + b"{" * 1_000_000,
    "zip directory": lambda: b"PK\x05\x06" + bytes(4) + b"\xff\xff" * 2 + b"\xff\xff\xff\xff" * 2 + bytes(2),
    "tar": lambda: (b"x" * 512) * 1000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_memory_stays_small_whatever_comes(file, bound, name):
    used, code = peak(file("bomb", BOMBS[name]()))
    assert used < bound, f"{used} KiB"
    assert code in {0, 1, 2}


def test_a_long_vocabulary_is_clean(file, bound):
    words = {f"word{number}": number for number in range(200_000)}
    stream = pickle.dumps(words, protocol=4)
    assert pickletools.optimize(stream)
    used, code = peak(file("vocabulary.pkl", stream))
    assert code == 0 and used < bound


def test_tensors_are_stepped_over(bound, tmp_path):
    path = tmp_path / "large.npy"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (268435456,), }"
    header += b" " * (118 - len(header)) + b"\n"
    with path.open("wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        out.truncate(10 + len(header) + 8 * 268_435_456)
    used, code = peak(path)
    assert code == 0 and used < bound


def test_a_trial_load_tells_what_the_load_reaches_for(file):
    class Reads:
        def __reduce__(self):
            return open, ("/etc/hostname",)

    found = scan("--trial-load", file("a.pkl", pickle.dumps(Reads())), expect=1)["files"][0]["findings"]
    assert any(finding["rule"] == "trial/reads" and "/etc/hostname" in finding["what"] for finding in found)
    assert scan("--trial-load", file("b.pkl", pickle.dumps({"a": [1, 2]})), expect=0)["verdict"] == "clean"


def test_what_cannot_be_loaded_on_trial_is_said(file):
    path = file("c.pkl", b"cno.such.module\nThing\n.")
    found = scan("--trial-load", path, expect=2)["files"][0]["findings"]
    assert any(finding["rule"] == "trial/unfinished" for finding in found)
