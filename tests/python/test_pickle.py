"""The decoder of pickles against CPython's two loaders, over generated streams.

The loaders get stubs for everything that a stream names, so that nothing is imported or called. What a loader
does must be what the decoder says, from its first event to where the loader stops; a stream that a loader takes,
the decoder must take as well.
"""

import _compat_pickle
import _pickle
import collections
import datetime
import decimal
import io
import multiprocessing
import pathlib
import pickle
import random
import resource
import struct
import subprocess
import uuid

import pytest
from conftest import TARGET

SEED = 20261123
MAX_BYTES = 1 << 30


def today(module, name):
    """The names that Python 3 uses for those of Python 2."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


def make_stub(events, named):
    """A class that notes that it is called, and whose instances take any state and any item."""

    class Meta(type):
        def __call__(cls, *args, **kwargs):
            return cls.__new__(cls, *args, **kwargs)

    class Stub(metaclass=Meta):
        def __new__(cls, *_args, **_kwargs):
            events.append(f"call {named}")
            return object.__new__(cls)

        def __call__(self, *_args, **_kwargs):
            events.append("call ?")
            return self

        def __setstate__(self, state):
            events.append("build")

        def __setitem__(self, key, value):
            pass

        def append(self, value):
            pass

        def extend(self, values):
            pass

        def add(self, value):
            pass

    return Stub


def load(loader, stream):
    """What a loader does with a stream: its events, and whether it comes to the end."""
    events = []

    class Loader(loader):
        def find_class(self, module, name):
            named = f"{module}:{name}"
            events.append(f"global {named}")
            return make_stub(events, named)

        def persistent_load(self, _id):
            events.append("persistent")
            return object()

    try:
        Loader(io.BytesIO(stream)).load()
    except BaseException:  # noqa: BLE001 - whatever a damaged stream raises
        return events, False
    return events, True


def load_all(streams, results):
    """Load all streams with both loaders, in a process of little memory."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    results.send([(load(_pickle.Unpickler, stream), load(pickle._Unpickler, stream)) for stream in streams])


def reference(streams):
    """What CPython's loaders do, in C and in Python."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=load_all, args=(streams, there))
    process.start()
    there.close()
    answer = here.recv()
    process.join()
    return answer


def trace(streams):
    """What the decoder says."""
    request = b"".join(struct.pack("<I", len(stream)) + stream for stream in streams)
    done = subprocess.run([TARGET / "examples/trace"], input=request, capture_output=True, check=True, timeout=120)
    parts = done.stdout.decode().split("\n\n")
    return [part.strip("\n").split("\n") for part in parts[: len(streams)]]


def values(rng):
    """A value of plain types, nested."""
    leaves = [
        None, True, False, 0, -1, 255, 65536, -(2**31), 2**62, 2**200, -(2**90), 1.5, float("nan"), "", "text", "ü\ud800",
        "x" * 300, b"", b"bytes", b"y" * 300, bytearray(b"z"), 2j, datetime.date(2026, 1, 2), decimal.Decimal("1.5"),
        uuid.UUID(int=7), pathlib.PurePosixPath("a/b"), range(3), slice(1, 2), collections.OrderedDict(a=1), int, len,
    ]
    def value(depth):
        if depth == 0 or rng.random() < 0.3:
            return rng.choice(leaves)
        items = [value(depth - 1) for _ in range(rng.randrange(4))]
        match rng.randrange(5):
            case 0:
                return items
            case 1:
                return tuple(items)
            case 2:
                return {str(index): item for index, item in enumerate(items)}
            case 3:
                return set(range(len(items)))
            case _:
                return collections.deque(items)
    return value(4)


def text_line(rng):
    """The argument of a text opcode, right or nearly so."""
    return rng.choice([
        b"0", b"1", b"01", b"00", b"-5", b"0x41", b"0o17", b"017", b"0b1", b"1_0", b"12L", b"0x41L", b"L", b"", b" 7 ", b"1.5",
        b"1_0.5", b"nan", b"inf", b"1e400", b"'a'", b'"b"', b"'\\x6fs'", b"'\\157s'", b"'a", b"'\\x'", b"text", b"\\u006fs", b"\\u00", b"\xff",
        b"os", b"collections", b"system", b"__builtin__", b"a.b", b"99999999999999999999",
    ]) + rng.choice([b"\n", b"\n", b"\n", b"\n", b"\r\n", b""])


def opcodes(rng):
    """A stream of opcodes with arguments that mostly fit."""
    def counted(pack, low, high):
        length = rng.randrange(low, high)
        return struct.pack(pack, length + rng.choice([0, 0, 0, 0, 1])) + bytes(rng.choices(b"abos.\xc3\xa9\xff", k=length))
    makers = {
        b"(": None, b"0": None, b"1": None, b"2": None, b"N": None, b"\x88": None, b"\x89": None, b")": None, b"]": None, b"}": None,
        b"\x8f": None, b"a": None, b"e": None, b"s": None, b"u": None, b"\x90": None, b"l": None, b"d": None, b"t": None, b"\x91": None,
        b"\x85": None, b"\x86": None, b"\x87": None, b"R": None, b"o": None, b"\x81": None, b"\x92": None, b"b": None, b"\x93": None,
        b"\x94": None, b"Q": None, b"\x98": None, b".": None,
        b"I": text_line, b"L": text_line, b"F": text_line, b"S": text_line, b"V": text_line, b"P": text_line, b"g": text_line,
        b"c": lambda rng: text_line(rng) + text_line(rng), b"i": lambda rng: text_line(rng) + text_line(rng),
        b"p": lambda rng: b"%d\n" % rng.randrange(6), b"q": lambda rng: bytes([rng.randrange(6)]), b"h": lambda rng: bytes([rng.randrange(6)]),
        b"j": lambda rng: struct.pack("<I", rng.randrange(6)), b"r": lambda rng: struct.pack("<I", rng.randrange(6)),
        b"J": lambda rng: rng.randbytes(4), b"K": lambda rng: rng.randbytes(1), b"M": lambda rng: rng.randbytes(2), b"G": lambda rng: rng.randbytes(8),
        b"\x8a": lambda rng: counted("<B", 0, 12), b"\x8b": lambda rng: counted("<i", 0, 12),
        b"T": lambda rng: counted("<i", 0, 9), b"U": lambda rng: counted("<B", 0, 9), b"X": lambda rng: counted("<I", 0, 9),
        b"\x8c": lambda rng: rng.choice([b"\x02os", b"\x06system", b"\x03a.b", counted("<B", 0, 9)]), b"\x8d": lambda rng: counted("<Q", 0, 9),
        b"B": lambda rng: counted("<I", 0, 9), b"C": lambda rng: counted("<B", 0, 9), b"\x8e": lambda rng: counted("<Q", 0, 9),
        b"\x96": lambda rng: counted("<Q", 0, 9), b"\x80": lambda rng: bytes([rng.randrange(7)]),
        b"\x95": lambda rng: struct.pack("<Q", rng.randrange(40)),
    }
    useful = [b"N", b"(", b")", b"\x8c", b"\x93", b"c", b"]", b"}", b"K", b"\x94", b"R", b"\x85", b"\x81"]
    stream = rng.choice([b"", b"\x80\x02", b"\x80\x04"])
    for _ in range(rng.randrange(2, 25)):
        opcode = rng.choice(useful if rng.random() < 0.6 else list(makers))
        maker = makers[opcode]
        stream += opcode + (maker(rng) if maker else b"")
    return stream + rng.choice([b".", b".", b".", b"", rng.randbytes(2)])


def streams():
    """Streams of picklers, the same damaged, and streams of opcodes."""
    rng = random.Random(SEED)
    for index in range(400):
        value = values(rng)
        try:
            stream = pickle.dumps(value, protocol=index % 6)
        except UnicodeEncodeError:
            continue
        yield stream
        for _ in range(3):
            damaged = bytearray(stream)
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            # A memo number of gigabytes is a bomb for the loader, not a question of decoding.
            if b"r" not in damaged and b"p" not in damaged:
                yield bytes(damaged)
    for _ in range(6000):
        yield opcodes(rng)


def same(said, done):
    """Whether an event of the decoder is one of a loader, whose names are those before Python 3."""
    if said == done:
        return True
    kind, _, names = done.partition(" ")
    module, _, name = names.partition(":")
    return said == f"{kind} {':'.join(today(module, name))}"


EVENTS = ("global ", "call ", "persistent")


def compared(lines):
    """The events that a stub hears: states of plain objects it does not."""
    return [line.split(" ")[0] if line.startswith("persistent") else line for line in lines if line.startswith(EVENTS)]


@pytest.mark.parametrize("loader", [0, 1], ids=["C", "Python"])
def test_the_decoder_does_what_the_loader_does(loader):
    asked = list(streams())
    taken = 0
    for stream, traced, answers in zip(asked, trace(asked), reference(asked), strict=True):
        said = traced
        done, whole = answers[loader]
        done = [event for event in done if event.startswith(EVENTS)]
        if "straddles" in said:
            # The file is called malicious: with the opcode before it (two events at most) the loaders part.
            said = said[: said.index("straddles")]
            done, whole = done[: max(0, len(compared(said)) - 2)], False
        events = compared(said)
        # A call of a plain value ends the loader before a stub hears of it.
        heard = events[: len(done)]
        assert len(heard) == len(done) and all(map(same, heard, done)), f"seed {SEED}: {stream!r}\nsaid {said}\ndone {done}"
        if whole:
            taken += 1
            # Only the loader in Python takes what there is of a frame that is cut short.
            malformed = [line for line in said if line.startswith("malformed") and (loader == 0 or "frame" not in line)]
            clean = said[-1].startswith("stop") and not malformed
            assert clean and len(events) == len(done), f"seed {SEED}: {stream!r}\nsaid {said}\ndone {done}"
    assert taken > 500
