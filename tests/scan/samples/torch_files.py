"""PyTorch: zip, legacy and tar files by an own writer, hostile and benign; TorchScript archives."""

import struct
import tarfile

from . import assembler as a
from .corpus import CODE, COMMAND, Family, Sample, zip_bytes
from .pickle_tricks import EVIL
from .rawzip import DEFLATED, Member, archive
from .torch_format import floats, legacy_file, members, ordered, parameter, state_dict, storage, tar_file, tensor, zip_file

CALL = a.call("os", "system", (COMMAND,))
PICKLE, STORAGES = state_dict()
LEGACY_PICKLE, _ = state_dict(legacy=True)
HOSTILE_DICT = a.stream(ordered([("0.weight", tensor("0", (4, 3))), ("0.bias", CALL)]))


def samples() -> list[Sample]:
    """All torch samples of our own writer."""
    zips, legacy, script = Family("torch"), Family("torch-legacy"), Family("torchscript")
    _hostile_zip(zips)
    _zip_tricks(zips)
    _benign_zip(zips)
    _distributed(zips)
    _hostile_legacy(legacy)
    _benign_legacy(legacy)
    _script(script)
    return zips.samples + legacy.samples + script.samples


def _hostile_zip(family: Family) -> None:
    """Hostile pickles in an orderly zip."""
    put = family.hostile
    put("call.pt", "a state dict with a call of os.system among the weights", zip_file(HOSTILE_DICT, STORAGES), "ATLAS AML.T0011.000")
    put("bin/pytorch_model.bin", "the same, named as Hugging Face names it", zip_file(HOSTILE_DICT, STORAGES))
    put("ckpt/last.ckpt", "the same, named as Lightning names it", zip_file(a.stream(a.value({"state_dict": a.Raw(HOSTILE_DICT[2:-1]), "epoch": 3})), STORAGES))
    put("eval_dotted.pt", "STACK_GLOBAL with a dotted name", zip_file(a.stream(a.stack_global("torch", "nn.modules.module.torch._C.os.system") + a.short_text(COMMAND) + a.TUPLE1 + a.REDUCE, 4), {}))
    put("no_extension", "a hostile torch zip without extension", zip_file(EVIL, {}))
    put("other_top.pt", "the top folder has another name", zip_file(EVIL, {}, "whatever"))
    put("two_pickles.pt", "a second pickle besides data.pkl", archive(members(PICKLE, STORAGES) + [Member("archive/extra.pkl", EVIL)], zip64=True))
    put("constants_pkl.pt", "a hostile constants.pkl", archive(members(PICKLE, STORAGES) + [Member("archive/constants.pkl", EVIL)], zip64=True))
    put("data_dir_pickle.pt", "a hostile pickle named as a storage and not referred to", archive(members(PICKLE, STORAGES) + [Member("archive/data/7", EVIL)], zip64=True))
    put("setitem_tensor.pt", "SETITEM on a tensor, out of bounds of its storage", zip_file(a.stream(tensor("0", (4,)) + a.number(2**40) + a.number(1) + a.SETITEM), {"0": floats(4)}), "CVE-2026-24747")
    put("tensor_beyond_storage.pt", "a tensor whose shape and strides leave its storage", zip_file(a.stream(a.global_("torch._utils", "_rebuild_tensor_v2") + a.MARK + storage("0", "FloatStorage", 4) + a.number(0) + a.value((2**40,)) + a.value((1,)) + a.NEWFALSE + a.EMPTY_DICT + a.TUPLE + a.REDUCE), {"0": floats(4)}))
    put("tensor_offset.pt", "a tensor with a storage offset beyond its storage", zip_file(a.stream(a.global_("torch._utils", "_rebuild_tensor_v2") + a.MARK + storage("0", "FloatStorage", 4) + a.number(2**31 - 1) + a.value((4,)) + a.value((1,)) + a.NEWFALSE + a.EMPTY_DICT + a.TUPLE + a.REDUCE), {"0": floats(4)}))
    put("parameter_hook.pt", "the backward hooks of a parameter hold a sink", zip_file(a.stream(a.global_("torch._utils", "_rebuild_parameter") + tensor("0", (4,)) + a.NEWTRUE + a.value({0: a.Raw(a.global_("os", "system"))}) + a.TUPLE3 + a.REDUCE), {"0": floats(4)}))
    put("load_from_bytes.pt", "torch.storage._load_from_bytes over a hostile legacy file", zip_file(a.stream(a.call("torch.storage", "_load_from_bytes", (legacy_file(EVIL, {}),), 3), 3), {}))
    put("numpy_object.pt", "an innocent numpy scalar of object dtype holding a pickle", zip_file(a.stream(a.global_("numpy.core.multiarray", "scalar") + a.call("numpy", "dtype", ("O8", False, True), 3) + a.data(EVIL) + a.TUPLE2 + a.REDUCE, 3), {}))
    put("hub_load.pt", "torch.hub.load in a checkpoint", zip_file(a.stream(a.call("torch.hub", "load", ("custody/sample", "m"))), {}))
    put("module_foreign_class.pt", "a whole module of a class outside torch", zip_file(a.stream(a.global_("modeling_custody", "Net") + a.EMPTY_TUPLE + a.NEWOBJ + a.value({"training": False}) + a.BUILD), {}))
    put("module_forward_override.pt", "a torch.nn.Linear whose state overrides forward by eval", zip_file(a.stream(a.global_("torch.nn.modules.linear", "Linear") + a.EMPTY_TUPLE + a.NEWOBJ + a.value({"training": False, "forward": a.Raw(a.global_("builtins", "eval"))}) + a.BUILD), {}))
    put("rebuild_from_type.pt", "torch._tensor._rebuild_from_type_v2 with a foreign function", zip_file(a.stream(a.call("torch._tensor", "_rebuild_from_type_v2", (a.Raw(a.global_("os", "system")), a.Raw(a.global_("torch", "Tensor")), (COMMAND,), {}))), {}))
    put("package_source.pt", "torch.package with Python sources and extern_modules", zip_bytes([("archive/model/model.pkl", a.stream(a.global_("net", "Net") + a.EMPTY_TUPLE + a.NEWOBJ)), ("archive/net.py", f"import os\nos.system({COMMAND!r})\nclass Net: pass\n".encode()), ("archive/.data/extern_modules", b"os\n"), ("archive/.data/version", b"6\n"), ("archive/.data/python_version", b"3.11")]))


def _zip_tricks(family: Family) -> None:
    """Hostile pickles in zips whose records lie."""
    put = family.hostile
    def with_first(**lies: object) -> list[Member]:
        found = members(HOSTILE_DICT, STORAGES)
        for key, lie in lies.items():
            setattr(found[0], key, lie)
        return found

    put("crc_wrong.pt", "the CRC of data.pkl is wrong; torch does not check it", archive(with_first(crc=0x12345678), zip64=True), "CVE-2025-10156")
    put("crc_zero_hostile.pt", "every CRC is 0 and the pickle is hostile", archive([Member(m.name, m.raw, crc=0) for m in members(HOSTILE_DICT, STORAGES)], zip64=True), "CVE-2025-10156")
    for bit in (0x1, 0x20, 0x40):
        put(f"flag_{bit:#x}.pt", f"flag bit {bit:#x} is set on data.pkl in both headers", archive(with_first(flags=bit), zip64=True), "CVE-2025-1945")
        put(f"flag_{bit:#x}_central.pt", f"flag bit {bit:#x} is set in the central directory alone", archive(with_first(central_flags=bit), zip64=True), "CVE-2025-1945")
    put("name_mismatch.pt", "the local header names data.pkl otherwise", archive(with_first(local_name="archive/data.txt"), zip64=True), "CVE-2025-1944")
    put("name_mismatch_reverse.pt", "the central directory names data.pkl otherwise", archive(with_first(name="archive/data.txt", local_name="archive/data.pkl"), zip64=True), "CVE-2025-1944")
    put("unreadable_first.pt", "an unreadable member stands first", archive([Member("archive/a", b"xx", method=99)] + members(HOSTILE_DICT, STORAGES), zip64=True), "modelscan #354")
    put("duplicate_names.pt", "two members named data.pkl, the second innocent", archive(members(HOSTILE_DICT, STORAGES) + [Member("archive/data.pkl", PICKLE)], zip64=True))
    put("duplicate_names_reverse.pt", "two members named data.pkl, the first innocent", archive([Member("archive/data.pkl", PICKLE)] + members(HOSTILE_DICT, STORAGES), zip64=True))
    put("case_names.pt", "archive/Data.pkl beside archive/data.pkl", archive([Member("archive/Data.pkl", PICKLE)] + members(HOSTILE_DICT, STORAGES), zip64=True))
    put("prefix.pt", "64 bytes stand before the zip", archive(members(HOSTILE_DICT, STORAGES), prefix=b"#" * 64))
    put("prefix_script.pt", "a shell script stands before the zip", archive(members(HOSTILE_DICT, STORAGES), prefix=f"#!/bin/sh\n{COMMAND}\nexit\n".encode()))
    put("method_99.pt", "data.pkl has the method 99", archive(with_first(method=99), zip64=True))
    put("method_lie.pt", "the local header says stored, the central one deflated", archive(with_first(method=DEFLATED, local_method=0), zip64=True))
    put("hidden_member.pt", "a hostile member that the central directory does not list", archive(members(PICKLE, STORAGES) + [Member("archive/hidden.pkl", EVIL, in_central=False)], zip64=True))
    put("hidden_data_pkl.pt", "the hostile data.pkl is in the local headers alone", archive([Member("archive/data.pkl", EVIL, in_central=False)] + members(PICKLE, STORAGES), zip64=True))
    put("size_lie.pt", "the headers claim that data.pkl holds 2 bytes", archive(with_first(claimed_size=2), zip64=True))
    put("packed_lie.pt", "the central directory claims fewer packed bytes", archive(with_first(central_packed=8), zip64=True))
    put("count_lie.pt", "the end record counts one member", archive(members(HOSTILE_DICT, STORAGES), count=1))
    put("two_ends.pt", "two whole archives one after another", zip_file(HOSTILE_DICT, STORAGES) + zip_file(PICKLE, STORAGES))
    put("comment_archive.pt", "an innocent zip within the comment of a hostile one", archive(members(HOSTILE_DICT, STORAGES), comment=zip_bytes([("a", b"x")])))
    put("traversal.pt", "a member named ../../evil.pkl", archive(members(PICKLE, STORAGES) + [Member("archive/../../evil.pkl", EVIL)], zip64=True))
    put("absolute.pt", "a member named /tmp/custody-sample.pkl", archive(members(PICKLE, STORAGES) + [Member("/tmp/custody-sample.pkl", EVIL)], zip64=True))
    put("symlink_member.pt", "a member that is a symbolic link", archive(members(PICKLE, STORAGES) + [Member("archive/link", b"/etc/passwd", external=0o120777 << 16)], zip64=True))
    put("bomb.pt", "a member of 900 MB packed into 900 KB", archive(members(PICKLE, STORAGES) + [Member("archive/data/9", bytes(900_000_000), method=DEFLATED)], zip64=True), "ATLAS AML.T0029")
    put("nested_zip.pt", "a zip in a zip in a zip holds the hostile pickle", archive(members(PICKLE, STORAGES) + [Member("archive/extra.zip", zip_bytes([("b.zip", zip_bytes([("c.pkl", EVIL)]))]))], zip64=True))
    put("zip64_lie.pt", "the zip64 record and the plain one point at different directories", _two_directories())
    put("truncated.pt", "a hostile torch zip that lost its central directory", zip_file(HOSTILE_DICT, STORAGES)[:-400])
    put("deflated.pt", "data.pkl is deflated", archive([Member(m.name, m.raw, method=DEFLATED) for m in members(HOSTILE_DICT, STORAGES)], zip64=True))
    put("nul_name.pt", "a NUL byte within the name of the hostile member", archive(members(PICKLE, STORAGES) + [Member("archive/x.txt\x00.pkl", EVIL)], zip64=True))


def _two_directories() -> bytes:
    """A hostile archive with a zip64 end whose plain end record points at an innocent directory."""
    innocent = archive([Member("archive/data.pkl", PICKLE)])
    hostile = bytearray(archive(members(HOSTILE_DICT, STORAGES), prefix=innocent, zip64=True))
    start = innocent.index(b"PK\x01\x02")
    size = innocent.index(b"PK\x05\x06") - start
    at = hostile.rindex(b"PK\x05\x06")
    hostile[at : at + 22] = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, size, start, 0)
    return bytes(hostile)


def _benign_zip(family: Family) -> None:
    """Orderly zips."""
    put = family.benign
    source = "own writer of torch's format"
    put("own_state_dict.pt", "a state dict with zip64 records, as torch writes", zip_file(PICKLE, STORAGES), source)
    put("own_state_dict_zip32.pt", "the same without zip64 records", zip_file(PICKLE, STORAGES, zip64=False), source)
    put("own_crc0.pt", "every CRC is 0 (compute_crc32=False)", archive([Member(m.name, m.raw, crc=0, align=64) for m in members(PICKLE, STORAGES)], zip64=True), source)
    put("own_parameters.pt", "parameters", zip_file(a.stream(ordered([("w", parameter(tensor("0", (4, 3))))])), {"0": floats(12)}), source)
    put("own_dtypes.pt", "half, bfloat16, long and bool storages", zip_file(a.stream(ordered([("h", tensor("0", (4,), "HalfStorage")), ("b", tensor("1", (4,), "BFloat16Storage")), ("l", tensor("2", (2,), "LongStorage")), ("o", tensor("3", (3,), "BoolStorage"))])), {"0": bytes(8), "1": bytes(8), "2": bytes(16), "3": bytes(3)}), source)
    put("own_checkpoint.ckpt", "a checkpoint of state dict, epoch and optimiser state", zip_file(a.stream(a.value({"epoch": 3, "state_dict": a.Raw(PICKLE[2:-1]), "optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999)}]}})), STORAGES), source)
    put("own_huggingface/pytorch_model.bin", "a state dict under another top folder", zip_file(PICKLE, STORAGES, "pytorch_model"), source)


DCP = "torch.distributed.checkpoint.metadata"


def instance(module: str, name: str, state: object) -> a.Raw:
    """An instance of a class with its state."""
    return a.Raw(a.stack_global(module, name) + a.EMPTY_TUPLE + a.NEWOBJ + (b"" if state is None else a.value(state, 4) + a.BUILD))


def distributed(hostile: bool = False) -> dict[str, bytes]:
    """A distributed checkpoint: a pickle of what lies where, and files of zips one after another."""
    def size(*lengths: int) -> a.Raw:
        return a.Raw(a.call("torch", "Size", (lengths,), 4))

    layout, memory = a.Raw(a.call("torch.serialization", "_get_layout", ("torch.strided",), 4)), a.Raw(a.call(DCP, "_MEM_FORMAT_ENCODING", (0,), 4))
    properties = instance(DCP, "TensorProperties", (a.Raw(a.stack_global("torch", "float32")), layout, False, memory, False))
    chunk = instance(DCP, "ChunkStorageMetadata", {"offsets": size(0, 0), "sizes": size(4, 3)})
    weight = zip_file(a.stream(tensor("0", (4, 3))), {"0": floats(12)})
    rate = zip_file(a.stream(a.value(0.25)), {})
    places = a.EMPTY_DICT
    for name, index, place, length in (("weight", 0, 0, len(weight)), ("rate", None, len(weight), len(rate))):
        key = instance(DCP, "MetadataIndex", {"fqn": name, "index": index, "offset": size(0, 0)} if index == 0 else {"fqn": name, "index": None})
        value = instance("torch.distributed.checkpoint.filesystem", "_StorageInfo", {"relative_path": "__0_0.distcp", "offset": place, "length": length})
        places += key.code + value.code + a.SETITEM
    whole = {
        "state_dict_metadata": {"weight": instance(DCP, "TensorStorageMetadata", {"properties": properties, "size": size(4, 3), "chunks": [chunk]}), "rate": instance(DCP, "BytesStorageMetadata", None)},
        "planner_data": {"weight": ("weight",), "rate": ("rate",)},
        "storage_data": a.Raw(places),
        "storage_meta": instance(DCP, "StorageMeta", {"checkpoint_id": a.Raw(a.call("pathlib", "PosixPath", ("checkpoint",), 4)), "save_id": None, "load_id": None, "modules": []}),
        "version": "1.0.0",
    }
    last = zip_file(HOSTILE_DICT, STORAGES) if hostile else b""
    return {".metadata": a.stream(instance(DCP, "Metadata", whole).code, 4), "__0_0.distcp": weight + rate + last}


def _distributed(family: Family) -> None:
    """Distributed checkpoints."""
    family.benign("own_distributed", "a distributed checkpoint of two parts", distributed(), "own writer of torch's format")
    family.hostile("distributed", "a distributed checkpoint with a hostile part behind the others", distributed(hostile=True))
    family.hostile("distributed_metadata", "a distributed checkpoint whose description is hostile", {**distributed(), ".metadata": EVIL})
    first = zip_file(HOSTILE_DICT, STORAGES)
    family.hostile("distributed_first", "the first of several parts is hostile", {**distributed(), "__0_0.distcp": first + distributed()["__0_0.distcp"]})


def _hostile_legacy(family: Family) -> None:
    """The stream format before torch 1.6 and the tar before that."""
    put = family.hostile
    put("call.pt", "the object pickle is hostile (modelscan reads only the first)", legacy_file(HOSTILE_DICT, STORAGES))
    put("magic_eval.pt", "the magic number is the result of eval", legacy_file(LEGACY_PICKLE, STORAGES, magic=a.stream(a.call("builtins", "eval", ("0x1950a86a20f9469cfc6c",)))), "GHSA-jgw4-cr84-mqxg")
    put("magic_int_eval.bin", "the magic number is int(eval())", legacy_file(LEGACY_PICKLE, STORAGES, magic=a.stream(a.call("builtins", "int", (a.Raw(a.call("builtins", "eval", (CODE,))),)))), "GHSA-jgw4-cr84-mqxg")
    keys = legacy_file(LEGACY_PICKLE, {})
    put("keys_hostile.pt", "the fifth pickle, the list of keys, is hostile", keys[: -len(a.stream(a.value([])))] + EVIL)
    info = a.stream(a.call("os", "system", (COMMAND,)))
    put("sysinfo_hostile.pt", "the third pickle, the system info, is hostile", a.stream(a.number(0x1950A86A20F9469CFC6C)) + a.stream(a.number(1001)) + info + LEGACY_PICKLE + a.stream(a.value([])))
    put("after_storages.pt", "a hostile pickle behind the storages", legacy_file(LEGACY_PICKLE, STORAGES) + EVIL)
    put("storage_count_huge.pt", "a storage claims 2^60 elements", legacy_file(LEGACY_PICKLE, {}) + struct.pack("<q", 2**60), "ATLAS AML.T0029")
    put("protocol4_fourth.pt", "the fourth pickle is of protocol 4", legacy_file(a.stream(a.call("os", "system", (COMMAND,), 4), 4), {}))
    put("tar_pickle.pt", "torch 0.1 tar whose pickle is hostile", tar_file(EVIL, a.stream(a.number(0)), a.stream(a.number(0))))
    put("tar_storages.pt", "torch 0.1 tar whose storages begin with a hostile pickle", tar_file(a.stream(a.EMPTY_DICT), EVIL, a.stream(a.number(0))))
    put("tar_symlink.pt", "torch 0.1 tar with a symbolic link out of it", tar_file(a.stream(a.EMPTY_DICT), a.stream(a.number(0)), a.stream(a.number(0)), [("link", "/etc", tarfile.SYMTYPE)]))
    put("source_container.pt", "a whole module with source text, of a foreign class", legacy_file(a.stream(a.value(("module", a.Raw(a.global_("net", "Net")), "net.py", "class Net: pass")) + a.BINPERSID + a.EMPTY_TUPLE + a.REDUCE), {}))


def _benign_legacy(family: Family) -> None:
    """Orderly legacy files."""
    source = "own writer of torch's format"
    family.benign("own_state_dict.pt", "a legacy state dict", legacy_file(LEGACY_PICKLE, STORAGES), source)
    family.benign("own_state_dict.bin", "a legacy state dict without tensors", legacy_file(a.stream(a.EMPTY_DICT), {}), source)


CODE_HEAD = "class Net(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n"


def script_zip(body: str, extra: list[tuple[str, bytes]] | None = None, pickle: bytes | None = None, constants: bytes | None = None) -> bytes:
    """A TorchScript archive with one class."""
    data = pickle or a.stream(a.global_("__torch__", "Net") + a.EMPTY_TUPLE + a.NEWOBJ + a.value({"training": False}) + a.BUILD)
    parts = [("net/data.pkl", data), ("net/code/__torch__.py", (CODE_HEAD + body).encode()), ("net/constants.pkl", constants or a.stream(a.EMPTY_TUPLE)), ("net/version", b"3\n"), ("net/byteorder", b"little")]
    return archive([Member(name, raw, align=64) for name, raw in parts + (extra or [])], zip64=True)


def _script(family: Family) -> None:
    """TorchScript code that touches files, and orderly code."""
    put = family.hostile
    put("from_file.pt", "the code maps a file of the host by torch.from_file", script_zip('    return torch.from_file("/etc/passwd", False, 100, dtype=0)\n'))
    for name, blank in (("blank", " "), ("tab", "\t"), ("lines", "\n      "), ("comment", " # (\n      ")):
        put(f"from_file_{name}.pt", f"the same with a {name} before the parenthesis", script_zip(f'    return (torch.from_file{blank}("/etc/passwd", False, 100, dtype=0))\n'))
    put("save.pt", "the code writes a file by torch.save", script_zip('    _0 = torch.save(x, "custody-sample-marker")\n    return x\n'))
    put("ops_from_file.pt", "the code maps a file by ops.aten.from_file", script_zip('    return ops.aten.from_file("/etc/passwd", False, 100, 0, 0, None, False)\n'))
    put("ops_save.pt", "the code writes by ops.aten.save", script_zip('    _0 = ops.aten.save(x, "custody-sample-marker")\n    return x\n'))
    put("foreign_op.pt", "the code calls an operator of an unknown library", script_zip("    return ops.custody_evil.run(x)\n"))
    put("prim_python.pt", "the code calls a Python operator", script_zip('    return ops.prim.PythonOp(x, "os.system")\n'))
    put("data_pkl.pt", "data.pkl of a script is hostile", script_zip("    return x\n", pickle=EVIL))
    put("constants_pkl.pt", "constants.pkl of a script is hostile", script_zip("    return x\n", constants=EVIL))
    put("attributes_pkl.pt", "an attributes pickle is hostile", script_zip("    return x\n", [("net/attributes.pkl", EVIL)]))
    put("extra_file.pt", "an extra file is a hostile pickle", script_zip("    return x\n", [("net/extra/producer", EVIL)]))
    family.benign("own_relu.pt", "a script of ordinary tensor code", script_zip("    y = torch.relu(torch.add(x, x))\n    return torch.softmax(y, 1)\n"), "own writer of torch's format")
