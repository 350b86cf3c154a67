"""Writes flat buffers: tables of numbered fields, texts and vectors, each behind what refers to it."""

import struct
from dataclasses import dataclass, field

# The size and the code of a number, by its letter.
NUMBERS = {"b": 1, "h": 2, "i": 4, "q": 8}


@dataclass
class Table:
    """Fields by their number: a pair of a letter and a number, or another table, a text (bytes) or a list of them."""

    fields: dict[int, object] = field(default_factory=dict)


def write(root: Table) -> bytes:
    """The whole buffer."""
    out = bytearray(4)
    _refer(out, 0, root)
    return bytes(out)


def _refer(out: bytearray, at: int, item: object) -> None:
    """Writes the item at the end and its distance at `at`."""
    if isinstance(item, Table):
        place = _table(out, item)
    elif isinstance(item, bytes):
        _align(out, 4)
        place = len(out)
        out += struct.pack("<I", len(item)) + item + b"\0"
    else:
        _align(out, 4)
        place = len(out)
        out += struct.pack("<I", len(item)) + bytes(4 * len(item))
        for number, part in enumerate(item):
            _refer(out, place + 4 + 4 * number, part)
    struct.pack_into("<I", out, at, place - at)


def _table(out: bytearray, table: Table) -> int:
    """Writes a table behind the list of its fields' places; returns where it begins."""
    _align(out, 8)
    slots = max(table.fields, default=-1) + 1
    directory = len(out)
    places, size, later = [0] * slots, 4, []
    for number, item in sorted(table.fields.items()):
        width = NUMBERS[item[0]] if isinstance(item, tuple) else 4
        size += -size % width
        places[number] = size
        later.append((size, item))
        size += width
    out += struct.pack(f"<HH{slots}H", 4 + 2 * slots, size, *places)
    _align(out, 8)
    begin = len(out)
    out += struct.pack("<i", begin - directory) + bytes(size - 4)
    for place, item in later:
        if isinstance(item, tuple):
            struct.pack_into("<" + item[0], out, begin + place, item[1])
        else:
            _refer(out, begin + place, item)
    return begin


def _align(out: bytearray, width: int) -> None:
    out += bytes(-len(out) % width)
