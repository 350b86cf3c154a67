"""Formats of other programs that hold code or a pickle: tables of Arrow, chunks of Zarr, layers of OpenVINO, and what Torch 7, Julia,
TensorRT and LuaJIT write. And YAML in other encodings."""

import base64
import json
import struct

from . import wire
from .corpus import COMMAND, Family, Sample
from .flatbuffer import Table, write
from .pickle_tricks import EVIL
from .torch_format import floats


def samples() -> list[Sample]:
    """Each format."""
    family = Family("foreign")
    for part in (_arrow, _zarr, _openvino, _torch7, _julia, _native, _yaml):
        part(family)
    return family.samples


def schema(extension: bytes = b"", metadata: bytes = b"") -> Table:
    """An Arrow schema of one column of integers, which may be of an extension's type."""
    pairs = {b"ARROW:extension:name": extension, b"ARROW:extension:metadata": metadata}
    column: dict[int, object] = {0: b"income", 1: ("b", 1), 2: ("b", 2), 3: Table({0: ("i", 32), 1: ("b", 1)}), 5: []}
    if extension:
        column[6] = [Table({0: key, 1: text}) for key, text in pairs.items()]
    return Table({0: ("h", 0), 1: [Table(column)]})


def message(content: Table, legacy: bool = False) -> bytes:
    """A schema as a message of a stream."""
    raw = write(Table({0: ("h", 4), 1: ("b", 1), 2: content, 3: ("q", 0)}))
    raw += bytes(-len(raw) % 8)
    return (b"" if legacy else b"\xff" * 4) + struct.pack("<i", len(raw)) + raw


def arrow_file(content: Table) -> bytes:
    """An Arrow file without a row."""
    footer = write(Table({0: ("h", 4), 1: content, 2: [], 3: []}))
    return b"ARROW1\0\0" + message(content) + b"\xff" * 4 + bytes(4) + footer + struct.pack("<i", len(footer)) + b"ARROW1"


def parquet(content: Table) -> bytes:
    """A Parquet file without a row, which keeps the Arrow schema in base64."""
    def text(number: int, raw: bytes) -> bytes:
        return bytes([number << 4 | 8]) + wire.varint(len(raw)) + raw

    def number(step: int, kind: int, value: int) -> bytes:
        return bytes([step << 4 | kind]) + wire.varint(value << 1)

    root = text(4, b"schema") + number(1, 5, 1) + b"\0"
    column = number(1, 5, 1) + number(2, 5, 1) + text(1, b"income") + b"\0"
    pair = text(1, b"ARROW:schema") + text(1, base64.b64encode(message(content))) + b"\0"
    footer = number(1, 5, 2) + b"\x19\x2c" + root + column + number(1, 6, 0) + b"\x19\x0c" + b"\x19\x1c" + pair + text(1, b"custody") + b"\0"
    return b"PAR1" + footer + struct.pack("<i", len(footer)) + b"PAR1"


def _arrow(family: Family) -> None:
    """A column whose type pyarrow before 14.0.1 unpickles."""
    bad, good, other = schema(b"arrow.py_extension_type", EVIL), schema(), schema(b"custody.money", b'{"unit": "EUR"}')
    reference, end = "CVE-2023-47248", b"\xff" * 4 + bytes(4)
    family.hostile("extension.arrow", "an Arrow file with a pickled type", arrow_file(bad), reference)
    family.hostile("extension.feather", "the same, named as Feather", arrow_file(bad), reference)
    family.hostile("extension.arrows", "an Arrow stream with a pickled type", message(bad) + end, reference)
    family.hostile("extension_legacy.arrows", "a stream of the first version, which has no mark", message(bad, legacy=True) + bytes(4), reference)
    family.hostile("extension.parquet", "a Parquet file whose Arrow schema has a pickled type", parquet(bad), reference)
    for name, content in (("plain", good), ("money", other)):
        what = "one column" if content is good else "a column of an extension's type"
        family.benign(f"{name}.arrow", f"an Arrow file: {what}", arrow_file(content))
        family.benign(f"{name}.arrows", f"an Arrow stream: {what}", message(content) + end)
        family.benign(f"{name}.parquet", f"a Parquet file: {what}", parquet(content))


def zarr(**changes: object) -> dict[str, bytes]:
    """A folder of Zarr's second version, whose only chunk is packed."""
    told = {"zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "<f4", "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}, "fill_value": 0.0, "order": "C", "filters": None, **changes}
    chunk = b"\x02\x01\x21\x04" + struct.pack("<III", 8, 8, 24) + floats(2)
    return {".zgroup": b'{"zarr_format": 2}', "w/.zarray": json.dumps(told, indent=4).encode(), "w/.zattrs": b"{}", "w/0": chunk}


def zarr3(codecs: list[dict[str, object]]) -> dict[str, bytes]:
    """A folder of Zarr's third version."""
    told = {"zarr_format": 3, "node_type": "array", "shape": [2], "data_type": "float32", "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}}, "chunk_key_encoding": {"name": "default"}, "fill_value": 0.0, "codecs": codecs, "attributes": {}}
    return {"zarr.json": b'{"zarr_format": 3, "node_type": "group", "attributes": {}}', "w/zarr.json": json.dumps(told, indent=2).encode(), "w/c/0": floats(2)}


LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def _zarr(family: Family) -> None:
    """Chunks that a codec unpickles; they lie packed, so that only the description tells."""
    put = family.hostile
    put("zarr_filter_pickle", "Zarr 2: a filter that unpickles", zarr(filters=[{"id": "pickle", "protocol": 5}]), "CWE-502")
    put("zarr_filter_second", "Zarr 2: the second filter unpickles", zarr(filters=[{"id": "delta", "dtype": "<f4"}, {"id": "pickle", "protocol": 4}]), "CWE-502")
    put("zarr_objects", "Zarr 2: objects by the pickle codec", zarr(dtype="|O", fill_value=None, filters=[{"id": "pickle", "protocol": 5}]), "CWE-502")
    put("zarr_compressor_pickle", "Zarr 2: the compressor is the pickle codec", zarr(compressor={"id": "pickle", "protocol": 5}), "CWE-502")
    put("zarr_bare_pickle", "Zarr 2: the chunk is a hostile pickle without compression", {**zarr(dtype="|O", compressor=None, filters=[{"id": "pickle", "protocol": 5}]), "w/0": EVIL}, "CWE-502")
    put("zarr3_codec", "Zarr 3: a codec that unpickles", zarr3([{"name": "numcodecs.pickle", "configuration": {"protocol": 5}}]), "CWE-502")
    put("zarr3_codec_sharded", "Zarr 3: a codec within shards that unpickles", zarr3([{"name": "sharding_indexed", "configuration": {"chunk_shape": [1], "codecs": [{"name": "numcodecs.pickle"}], "index_codecs": [LITTLE]}}]), "CWE-502")
    family.benign("zarr", "Zarr 2: numbers, packed by Blosc", zarr(filters=[{"id": "delta", "dtype": "<f4"}]))
    family.benign("zarr_texts", "Zarr 2: objects that are texts of UTF-8", zarr(dtype="|O", fill_value="", filters=[{"id": "vlen-utf8"}]))
    family.benign("zarr3", "Zarr 3: numbers, packed by Zstandard", zarr3([LITTLE, {"name": "zstd", "configuration": {"level": 3, "checksum": False}}]))


NET = """<?xml version="1.0"?>
<net name="line" version="11">
	<layers>
		<layer id="0" name="x" type="Parameter" version="opset1"><data shape="1,4" element_type="f32"/><output><port id="0" precision="FP32"><dim>1</dim><dim>4</dim></port></output></layer>
		<layer id="1" name="y" type="{kind}" version="{opset}"><input><port id="0" precision="FP32"><dim>1</dim><dim>4</dim></port></input><output><port id="1" precision="FP32"><dim>1</dim><dim>4</dim></port></output></layer>
		<layer id="2" name="r" type="Result" version="opset1"><input><port id="0" precision="FP32"><dim>1</dim><dim>4</dim></port></input></layer>
	</layers>
	<edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/><edge from-layer="1" from-port="1" to-layer="2" to-port="0"/></edges>
</net>
"""


def _openvino(family: Family) -> None:
    """Layers that a library beside the model brings."""
    for name, kind, opset in (("extension", "Run", "extension"), ("custom", "CustomLayer", "custody_evil"), ("experimental", "Exec", "experimental"), ("near", "ReLU", "opset1x")):
        family.hostile(f"openvino_{name}", f"a layer of the operator set {opset}", {"model.xml": NET.format(kind=kind, opset=opset).encode(), "model.bin": floats(4)}, "ATLAS AML.T0011.001")
    for name, kind, opset in (("relu", "ReLU", "opset1"), ("gelu", "Gelu", "opset7")):
        family.benign(f"openvino_{name}", "ordinary layers", {"model.xml": NET.format(kind=kind, opset=opset).encode(), "model.bin": floats(4)})


def _torch7(family: Family) -> None:
    """Torch 7: a table with a function, whose bytecode Lua runs unchecked."""
    code = b"\x1bLJ\x02\x02" + bytes(24)

    def integer(value: int) -> bytes:
        return struct.pack("<i", value)

    def text(raw: bytes) -> bytes:
        return integer(len(raw)) + raw

    function = integer(6) + integer(2) + text(code) + integer(3) + integer(3) + integer(0)
    table = integer(3) + integer(1) + integer(1) + integer(2) + text(b"forward") + function
    family.hostile("function.t7", "a table of Torch 7 with a function", table, "CWE-502")
    family.hostile("function_8.t7", "a function of the newer kind", table.replace(integer(6) + integer(2), integer(8) + integer(2)), "CWE-502")
    net = integer(4) + integer(1) + text(b"V 1") + text(b"nn.Sequential") + table.replace(integer(3) + integer(1), integer(3) + integer(9), 1)
    family.hostile("network.t7", "a network of Torch 7 with a function", net, "CWE-502")
    family.hostile("network.net", "the same, by another name", net, "CWE-502")
    plain = b"4\n1\n3\nV 1\n13\nnn.Sequential\n3\n2\n1\n2\n7\nforward\n6\n3\n29\n" + code + b"\n3\n4\n0\n"
    family.hostile("network_ascii.t7", "a network of Torch 7 in its text form", plain, "CWE-502")


def bson(item: dict[str, object]) -> bytes:
    """A BSON document."""
    def element(key: str, value: object) -> bytes:
        head = key.encode() + b"\0"
        if isinstance(value, str):
            return b"\x02" + head + struct.pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
        if isinstance(value, dict):
            return b"\x03" + head + bson(value)
        if isinstance(value, list):
            return b"\x04" + head + bson({str(number): part for number, part in enumerate(value)})
        if isinstance(value, bytes):
            return b"\x05" + head + struct.pack("<iB", len(value), 0) + value
        return b"\x12" + head + struct.pack("<q", value)

    body = b"".join(element(key, value) for key, value in item.items()) + b"\0"
    return struct.pack("<i", len(body) + 4) + body


def _julia(family: Family) -> None:
    """What BSON.jl and Julia's own serialization write holds types and methods by name."""
    kind = {"tag": "datatype", "params": [], "name": ["Main", "Base", "Cmd"]}
    call = {"tag": "struct", "type": kind, "data": [["sh", "-c", COMMAND], 0, "", 0]}
    anonymous = {"tag": "jl_anonymous", "typename": {"tag": "jl_bottom_type"}, "params": []}
    put = family.hostile
    put("command.bson", "BSON.jl: a command", bson({"model": call}), "CWE-502")
    put("anonymous.bson", "BSON.jl: an anonymous function", bson({"_backrefs": [call], "model": anonymous}), "CWE-502")
    put("run.bson", "BSON.jl: a type whose parameters are calls", bson({"model": {"tag": "datatype", "params": [call], "name": ["Core", "Array"]}}), "CWE-502")
    put("serialized.jls", "Julia's serialization", b"7JL\x1b\x04\0\0\0" + b"\x15\x00\x0eMain" + bytes(16), "CWE-502")
    put("serialized_without_a_name", "Julia's serialization without an ending", b"7JL\x0e\x08\0\0\0" + bytes(24), "CWE-502")


def _native(family: Family) -> None:
    """Programs for other machines."""
    family.hostile("engine.plan", "a plan of TensorRT, which holds code for a graphics card", b"ftrt" + bytes(4) + struct.pack("<QI", 64, 8601) + bytes(64))
    family.hostile("engine.trt", "the same, by another name", b"ftrt" + bytes(4) + struct.pack("<QI", 64, 8601) + bytes(64))
    family.hostile("script.luac", "bytecode of LuaJIT", b"\x1bLJ\x02\x02" + bytes(40))
    family.hostile("weights.bin", "bytecode of LuaJIT named as weights", b"\x1bLJ\x02\x02" + bytes(40))


def _yaml(family: Family) -> None:
    """A Python tag in YAML of other encodings, which PyYAML reads all."""
    tag = f"depth: 3\nsteps: !!python/object/apply:os.system ['{COMMAND}']\n"
    new = f"depth: 3\nsteps: !!python/object/new:subprocess.Popen\n  args: [[{COMMAND.split()[0]}]]\n"
    plain = "depth: 3\nname: Darlehen für Häuser\n"
    for name, order, mark in (("utf16_le", "utf-16-le", b"\xff\xfe"), ("utf16_be", "utf-16-be", b"\xfe\xff"), ("utf8_bom", "utf-8", b"\xef\xbb\xbf")):
        family.hostile(f"apply_{name}/config.yaml", f"a Python tag in {name}", mark + tag.encode(order), "CWE-502")
        family.hostile(f"new_{name}.yml", f"a Python tag that makes an object in {name}", mark + new.encode(order), "CWE-502")
        family.benign(f"plain_{name}.yaml", f"ordinary YAML in {name}", mark + plain.encode(order))
    verbatim = f"depth: 3\nsteps: !<tag:yaml.org,2002:python/object/apply:os.system> ['{COMMAND}']\n"
    family.hostile("verbatim_utf16.yaml", "a tag told in full, in UTF-16", b"\xff\xfe" + verbatim.encode("utf-16-le"), "CWE-502")
    handle = f"%TAG !p! tag:yaml.org,2002:python/\n---\nsteps: !p!object/apply:os.system ['{COMMAND}']\n"
    family.hostile("handle_utf16.yaml", "a tag through a handle, in UTF-16", b"\xfe\xff" + handle.encode("utf-16-be"), "CWE-502")
