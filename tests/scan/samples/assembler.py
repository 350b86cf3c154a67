"""Writes pickle streams opcode by opcode; nothing here ever unpickles.

Each function returns the bytes of one opcode or of a short run of them, named as in the `pickletools` documentation. The
encoders are deliberately permissive, so that a malformed stream can be written as easily as a good one.
"""

import struct
from collections.abc import Iterable

MARK = b"("
STOP = b"."
POP = b"0"
POP_MARK = b"1"
DUP = b"2"
NONE = b"N"
REDUCE = b"R"
BUILD = b"b"
OBJ = b"o"
NEWOBJ = b"\x81"
NEWOBJ_EX = b"\x92"
STACK_GLOBAL = b"\x93"
MEMOIZE = b"\x94"
EMPTY_TUPLE = b")"
EMPTY_LIST = b"]"
EMPTY_DICT = b"}"
EMPTY_SET = b"\x8f"
TUPLE = b"t"
TUPLE1 = b"\x85"
TUPLE2 = b"\x86"
TUPLE3 = b"\x87"
LIST = b"l"
DICT = b"d"
APPEND = b"a"
APPENDS = b"e"
SETITEM = b"s"
SETITEMS = b"u"
ADDITEMS = b"\x90"
FROZENSET = b"\x91"
NEWTRUE = b"\x88"
NEWFALSE = b"\x89"
BINPERSID = b"Q"
NEXT_BUFFER = b"\x97"
READONLY_BUFFER = b"\x98"


def proto(version: int) -> bytes:
    """The PROTO opcode; nothing for the protocols 0 and 1, which have none."""
    return b"\x80" + bytes([version]) if version >= 2 else b""


def frame(body: bytes) -> bytes:
    """A FRAME around `body`."""
    return b"\x95" + struct.pack("<Q", len(body)) + body


def global_(module: str, name: str) -> bytes:
    """GLOBAL, the text form."""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def stack_global(module: str, name: str) -> bytes:
    """Two strings and STACK_GLOBAL."""
    return short_text(module) + short_text(name) + STACK_GLOBAL


def inst(module: str, name: str) -> bytes:
    """INST: pops to the mark and calls; the mark and the arguments come before it."""
    return b"i" + module.encode() + b"\n" + name.encode() + b"\n"


def short_text(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def text(value: str) -> bytes:
    """BINUNICODE."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def text8(value: str) -> bytes:
    """BINUNICODE8."""
    raw = value.encode()
    return b"\x8d" + struct.pack("<Q", len(raw)) + raw


def text_line(value: str) -> bytes:
    """UNICODE, the text form."""
    return b"V" + value.encode("raw-unicode-escape") + b"\n"


def string_line(value: str) -> bytes:
    """STRING, the quoted text form of Python 2."""
    return b"S" + repr(value).encode() + b"\n"


def short_string(raw: bytes) -> bytes:
    """SHORT_BINSTRING of Python 2."""
    return b"U" + bytes([len(raw)]) + raw


def bin_string(raw: bytes) -> bytes:
    """BINSTRING of Python 2."""
    return b"T" + struct.pack("<i", len(raw)) + raw


def data(raw: bytes) -> bytes:
    """SHORT_BINBYTES or BINBYTES."""
    if len(raw) < 256:
        return b"C" + bytes([len(raw)]) + raw
    return b"B" + struct.pack("<I", len(raw)) + raw


def data8(raw: bytes, claimed: int | None = None) -> bytes:
    """BINBYTES8, with a claimed length that may be a lie."""
    return b"\x8e" + struct.pack("<Q", len(raw) if claimed is None else claimed) + raw


def bytearray8(raw: bytes) -> bytes:
    """BYTEARRAY8."""
    return b"\x96" + struct.pack("<Q", len(raw)) + raw


def int_line(literal: str) -> bytes:
    """INT with any literal."""
    return b"I" + literal.encode() + b"\n"


def long_line(literal: str) -> bytes:
    """LONG with any literal."""
    return b"L" + literal.encode() + b"\n"


def float_line(literal: str) -> bytes:
    """FLOAT with any literal."""
    return b"F" + literal.encode() + b"\n"


def number(value: int) -> bytes:
    """The shortest binary integer."""
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if 0 <= value < 65536:
        return b"M" + struct.pack("<H", value)
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def put(index: int) -> bytes:
    """BINPUT or LONG_BINPUT."""
    return b"q" + bytes([index]) if index < 256 else b"r" + struct.pack("<I", index)


def put_line(index: str) -> bytes:
    """PUT, the text form."""
    return b"p" + index.encode() + b"\n"


def get(index: int) -> bytes:
    """BINGET or LONG_BINGET."""
    return b"h" + bytes([index]) if index < 256 else b"j" + struct.pack("<I", index)


def get_line(index: str) -> bytes:
    """GET, the text form."""
    return b"g" + index.encode() + b"\n"


def ext1(code: int) -> bytes:
    """EXT1."""
    return b"\x82" + bytes([code])


def ext2(code: int) -> bytes:
    """EXT2."""
    return b"\x83" + struct.pack("<H", code)


def ext4(code: int) -> bytes:
    """EXT4."""
    return b"\x84" + struct.pack("<i", code)


def persid_line(name: str) -> bytes:
    """PERSID, the text form."""
    return b"P" + name.encode() + b"\n"


def value(item: object, version: int = 2) -> bytes:
    """A constant or a container of constants, in opcodes that the protocol knows. `bytes` made by the caller as opcodes
    are wrapped in `Raw`."""
    if isinstance(item, Raw):
        return item.code
    if item is None:
        return NONE
    if isinstance(item, bool):
        return (NEWTRUE if item else NEWFALSE) if version >= 2 else int_line("01" if item else "00")
    if isinstance(item, int):
        return number(item) if version >= 1 else int_line(str(item))
    if isinstance(item, float):
        return b"G" + struct.pack(">d", item) if version >= 1 else float_line(repr(item))
    if isinstance(item, str):
        return (short_text(item) if version >= 4 and len(item.encode()) < 256 else text(item)) if version >= 1 else text_line(item)
    if isinstance(item, bytes):
        return data(item)
    if isinstance(item, tuple):
        return MARK + b"".join(value(part, version) for part in item) + TUPLE
    if isinstance(item, list):
        inner = MARK + b"".join(value(part, version) for part in item)
        return EMPTY_LIST + inner + APPENDS if version >= 1 else inner + LIST
    if isinstance(item, dict):
        inner = MARK + b"".join(value(key, version) + value(part, version) for key, part in item.items())
        return EMPTY_DICT + inner + SETITEMS if version >= 1 else inner + DICT
    raise TypeError(f"no opcodes for `{type(item).__name__}`")


class Raw:
    """Opcodes that stand where a constant could."""

    def __init__(self, code: bytes) -> None:
        self.code = code


def name(module: str, attribute: str, version: int) -> bytes:
    """The way a pickler of that protocol names a global."""
    return stack_global(module, attribute) if version >= 4 else global_(module, attribute)


def call(module: str, attribute: str, arguments: Iterable[object], version: int = 2) -> bytes:
    """A global called with the arguments by REDUCE."""
    return name(module, attribute, version) + value(tuple(arguments), version) + REDUCE


def stream(body: bytes, version: int = 2) -> bytes:
    """A whole pickle: PROTO, the body (in a frame from protocol 4 on) and STOP."""
    inner = body + STOP
    return proto(version) + (frame(inner) if version >= 4 else inner)
