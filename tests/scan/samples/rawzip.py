"""Writes zip archives record by record, after APPNOTE 6.3.10, so that each record can lie."""

import struct
import zlib
from dataclasses import dataclass

STORED = 0
DEFLATED = 8
DOS_DATE = (2024 - 1980) << 9 | 1 << 5 | 1


@dataclass
class Member:
    """A member; what is None is told truthfully."""

    name: str
    raw: bytes
    method: int = STORED
    flags: int = 0
    local_name: str | None = None
    crc: int | None = None
    claimed_size: int | None = None
    central_flags: int | None = None
    extra: bytes = b""
    in_central: bool = True
    align: int = 0
    external: int = 0o644 << 16
    local_method: int | None = None
    central_packed: int | None = None


def pack(member: Member) -> bytes:
    """The stored bytes of a member."""
    if member.method == DEFLATED:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(member.raw) + packer.flush()
    return member.raw


def archive(members: list[Member], prefix: bytes = b"", comment: bytes = b"", zip64: bool = False, count: int | None = None) -> bytes:
    """The whole archive; `zip64` adds the zip64 end records as torch's writer does."""
    out = bytearray(prefix)
    central = bytearray()
    for member in members:
        offset = len(out)
        packed = pack(member)
        crc = zlib.crc32(member.raw) if member.crc is None else member.crc
        size = len(member.raw) if member.claimed_size is None else member.claimed_size
        local = (member.name if member.local_name is None else member.local_name).encode()
        extra = member.extra or _padding(offset, len(local), member.align)
        method = member.method if member.local_method is None else member.local_method
        out += struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, member.flags, method, 0, DOS_DATE, crc, len(packed), size, len(local), len(extra))
        out += local + extra + packed
        if member.in_central:
            central += _central(member, offset, crc, len(packed), size)
    start = len(out)
    listed = sum(member.in_central for member in members) if count is None else count
    out += central
    if zip64:
        end = len(out)
        out += struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, listed, listed, len(central), start)
        out += struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    out += struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, listed, listed, len(central), start, len(comment)) + comment
    return bytes(out)


def _central(member: Member, offset: int, crc: int, packed: int, size: int) -> bytes:
    """The central directory's record of a member."""
    name = member.name.encode()
    flags = member.flags if member.central_flags is None else member.central_flags
    packed = packed if member.central_packed is None else member.central_packed
    head = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 20 | 3 << 8, 20, flags, member.method, 0, DOS_DATE, crc, packed, size, len(name), 0, 0, 0, 0, member.external, offset)
    return head + name


def _padding(offset: int, name: int, align: int) -> bytes:
    """torch's `FB` extra field, which aligns the data."""
    if not align:
        return b""
    room = -(offset + 30 + name + 4) % align
    return b"FB" + struct.pack("<H", room) + b"Z" * room
