"""Protocol Buffers' wire format: fields by number, written by hand."""

import struct


def varint(value: int) -> bytes:
    """An unsigned varint."""
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def integer(number: int, value: int) -> bytes:
    """A varint field."""
    return varint(number << 3) + varint(value)


def field(number: int, raw: bytes | str) -> bytes:
    """A length-delimited field: bytes, text or a message."""
    body = raw.encode() if isinstance(raw, str) else raw
    return varint(number << 3 | 2) + varint(len(body)) + body


def floats(number: int, values: list[float]) -> bytes:
    """A packed float field."""
    return field(number, struct.pack(f"<{len(values)}f", *values))
