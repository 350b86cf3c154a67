"""Writes PyTorch's three file formats byte by byte, so that no torch is needed."""

import struct

from . import assembler as a
from .corpus import tar_bytes
from .rawzip import Member, archive

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


def storage(key: str, kind: str, count: int, legacy: bool = False) -> bytes:
    """The persistent id of a storage."""
    parts = a.MARK + a.text("storage") + a.global_("torch", kind) + a.text(key) + a.text("cpu") + a.number(count)
    return parts + (a.NONE if legacy else b"") + a.TUPLE + a.BINPERSID


def tensor(key: str, shape: tuple[int, ...], kind: str = "FloatStorage", legacy: bool = False) -> bytes:
    """A tensor over its own storage."""
    count, strides = 1, []
    for length in reversed(shape):
        strides.insert(0, count)
        count *= length
    hooks = a.global_("collections", "OrderedDict") + a.EMPTY_TUPLE + a.REDUCE
    return (
        a.global_("torch._utils", "_rebuild_tensor_v2")
        + a.MARK
        + storage(key, kind, count, legacy)
        + a.number(0)
        + a.value(shape)
        + a.value(tuple(strides))
        + a.NEWFALSE
        + hooks
        + a.TUPLE
        + a.REDUCE
    )


def ordered(items: list[tuple[str, bytes]]) -> bytes:
    """An OrderedDict of opcodes."""
    body = b"".join(a.text(key) + code for key, code in items)
    return a.global_("collections", "OrderedDict") + a.EMPTY_TUPLE + a.REDUCE + a.MARK + body + a.SETITEMS


def parameter(code: bytes) -> bytes:
    """torch.nn.Parameter around a tensor."""
    hooks = a.global_("collections", "OrderedDict") + a.EMPTY_TUPLE + a.REDUCE
    return a.global_("torch._utils", "_rebuild_parameter") + code + a.NEWTRUE + hooks + a.TUPLE3 + a.REDUCE


def state_dict(legacy: bool = False) -> tuple[bytes, dict[str, bytes]]:
    """The pickle of a small state dict and its storages."""
    code = a.stream(ordered([("0.weight", tensor("0", (4, 3), legacy=legacy)), ("0.bias", tensor("1", (4,), legacy=legacy))]))
    return code, {"0": floats(12), "1": floats(4)}


def floats(count: int) -> bytes:
    """Small weights."""
    return struct.pack(f"<{count}f", *(((n * 37) % 101) / 101 for n in range(count)))


def members(pickle: bytes, storages: dict[str, bytes], top: str = "archive", align: int = 64) -> list[Member]:
    """The members of a torch zip in the order torch writes them."""
    found = [Member(f"{top}/data.pkl", pickle, align=align), Member(f"{top}/.format_version", b"1", align=align), Member(f"{top}/.storage_alignment", b"64", align=align), Member(f"{top}/byteorder", b"little", align=align)]
    found += [Member(f"{top}/data/{key}", raw, align=align) for key, raw in storages.items()]
    found += [Member(f"{top}/version", b"3\n", align=align), Member(f"{top}/.data/serialization_id", b"0" * 40, align=align)]
    return found


def zip_file(pickle: bytes, storages: dict[str, bytes], top: str = "archive", zip64: bool = True) -> bytes:
    """A torch zip with its zip64 records."""
    return archive(members(pickle, storages, top), zip64=zip64)


def legacy_file(pickle: bytes, storages: dict[str, bytes], element: int = 4, magic: bytes | None = None) -> bytes:
    """The format of torch before 1.6: magic, protocol, system info, object, keys, then raw storages."""
    out = magic if magic is not None else a.stream(a.number(MAGIC))
    out += a.stream(a.number(PROTOCOL))
    out += a.stream(a.value({"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}))
    out += pickle + a.stream(a.value(list(storages)))
    for raw in storages.values():
        out += struct.pack("<q", len(raw) // element) + raw
    return out


def tar_file(pickle: bytes, storages: bytes, tensors: bytes, links: list[tuple[str, str, bytes]] | None = None) -> bytes:
    """The format of torch 0.1: a tar of `sys_info`, `pickle`, `storages` and `tensors`."""
    info = a.stream(a.value({"protocol_version": 1000, "little_endian": True}))
    return tar_bytes([("sys_info", info), ("pickle", pickle), ("storages", storages), ("tensors", tensors)], links=links)


