"""Benign pickles of plain Python data, written by the standard library in every protocol."""

import collections
import datetime
import decimal
import fractions
import ipaddress
import operator
import pathlib
import pickle
import re
import uuid

from .corpus import Family, Sample


def _objects() -> dict[str, tuple[object, str]]:
    """Name, object and what it is."""
    shared = [1, 2, 3]
    loop: list[object] = [1]
    loop.append(loop)
    zone = datetime.timezone(datetime.timedelta(hours=2))
    return {
        "dict": ({"weights": [0.1, 0.2], "bias": -1, "name": "loans", "ok": True, "none": None}, "a dictionary of plain values"),
        "words": ({"os": 1, "system": 2, "eval": 3, "exec": 4, "__import__": 5, "subprocess.Popen": 6}, "a vocabulary of words that look dangerous"),
        "nested": ([[(n, str(n), {n: [n]})] for n in range(50)], "nested lists, tuples and dictionaries"),
        "shared": ([shared, shared, {"again": shared}], "references through the memo"),
        "loop": (loop, "a list that holds itself"),
        "bytes": ([b"", b"\x00" * 300, bytes(range(256)), bytearray(b"abc" * 100)], "bytes and bytearray"),
        "numbers": ([0, -1, 255, 65536, 2**31, -(2**63), 10**40, 1.5, float("inf"), float("-inf"), 3 + 4j], "numbers of every size"),
        "text": (["", "é", "日本語", "line\nbreak", "x" * 70_000, "quote'\"\\"], "texts, one long"),
        "sets": ([set(range(20)), frozenset({"a", "b"}), set()], "sets and frozensets"),
        "datetimes": ([datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=zone), datetime.date(2024, 1, 1), datetime.time(1, 2), datetime.timedelta(days=3)], "dates and times"),
        "decimals": ([decimal.Decimal("1.23"), fractions.Fraction(3, 7)], "decimals and fractions"),
        "uuid": ([uuid.UUID(int=7), uuid.UUID(int=2**100)], "UUIDs"),
        "collections": (
            [
                collections.OrderedDict(a=1, b=2),
                collections.defaultdict(list, {"a": [1]}),
                collections.defaultdict(int, {"a": 1}),
                collections.Counter("custody"),
                collections.deque([1, 2, 3], maxlen=5),
                collections.ChainMap({"a": 1}, {"b": 2}),
            ],
            "the containers of collections",
        ),
        "paths": ([pathlib.PurePosixPath("data/train.csv"), pathlib.PurePosixPath(".")], "paths"),
        "ranges": ([range(10), range(1, 100, 3), slice(1, 5, 2), Ellipsis, NotImplemented], "ranges, slices and singletons"),
        "regex": ([re.compile(r"(?u)\b\w\w+\b"), re.compile("a.c", re.IGNORECASE)], "compiled patterns"),
        "getters": ([operator.itemgetter(1), operator.itemgetter("a", "b")], "operator.itemgetter"),
        "types": ([int, float, str, list, dict, bytes, bool, complex, object], "plain types"),
        "getattr_lower": ([str.lower, str.upper], "methods of str: getattr(str, 'lower')"),
        "addresses": ([ipaddress.IPv4Address("127.0.0.1")], "an IP address"),
        "codes": (["import os; os.system('true')", b"cos\nsystem\n", "builtins eval"], "constants that talk of code but are inert"),
    }


def samples() -> list[Sample]:
    """Each object in one protocol by turns, the plain dictionary and the containers in all six."""
    family = Family("pickle-benign")
    source = "Python's pickle"
    for number, (name, (item, what)) in enumerate(_objects().items()):
        versions = range(6) if name in ("dict", "collections", "numbers", "bytes") else (number % 6, 5)
        for version in sorted(set(versions)):
            family.benign(f"{name}.p{version}.pkl", f"{what}, protocol {version}", pickle.dumps(item, version), source)
    family.benign("several.pkl", "three pickles one after another", b"".join(pickle.dumps(n, 4) for n in ([1], {"a": 2}, "x")), source)
    family.benign("no_extension", "a pickle without an extension", pickle.dumps({"a": [1.0] * 100}, 4), source)
    return family.samples


