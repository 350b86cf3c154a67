"""ONNX and TensorFlow SavedModel: hostile files by hand, benign ones by hand and (ONNX) by the real library in `libraries`."""

from pathlib import Path

from . import wire as w
from .corpus import Family, Sample, zip_bytes
from .pickle_tricks import EVIL


def samples() -> list[Sample]:
    """Both families."""
    onnx, saved = Family("onnx"), Family("savedmodel")
    _onnx(onnx)
    _saved(saved)
    return onnx.samples + saved.samples


def external(location: str, more: list[tuple[str, str]] | None = None, name: str = "w") -> bytes:
    """A TensorProto of two floats that lie in another file."""
    entries = [("location", location), *(more or [])]
    pairs = b"".join(w.field(13, w.field(1, key) + w.field(2, value)) for key, value in entries)
    return w.integer(1, 2) + w.integer(2, 1) + w.field(8, name) + pairs + w.integer(14, 1)


def inline(name: str = "w") -> bytes:
    """A TensorProto of two floats."""
    return w.integer(1, 2) + w.integer(2, 1) + w.field(8, name) + w.floats(4, [0.5, 0.25])


def node(op: str, domain: str = "", attributes: bytes = b"") -> bytes:
    """A NodeProto x -> y."""
    return w.field(1, "x") + w.field(1, "w") + w.field(2, "y") + w.field(3, "n") + w.field(4, op) + attributes + (w.field(7, domain) if domain else b"")


def tensor_type(name: str) -> bytes:
    """A ValueInfoProto of a float vector of two."""
    shape = w.field(2, w.field(1, w.integer(1, 2)))
    return w.field(1, name) + w.field(2, w.field(1, w.integer(1, 1) + shape))


def model(nodes: list[bytes], initializers: list[bytes], domains: tuple[str, ...] = ("",), functions: list[bytes] | None = None) -> bytes:
    """A ModelProto."""
    graph = b"".join(w.field(1, part) for part in nodes) + w.field(2, "g") + b"".join(w.field(5, part) for part in initializers)
    graph += w.field(11, tensor_type("x")) + w.field(12, tensor_type("y"))
    opsets = b"".join(w.field(8, w.field(1, domain) + w.integer(2, 17)) for domain in domains)
    return w.integer(1, 8) + w.field(2, "custody") + w.field(7, graph) + opsets + b"".join(w.field(25, part) for part in functions or [])


def _onnx(family: Family) -> None:
    put = family.hostile
    add = [node("Add")]
    for name, location, reference in (
        ("dotdot", "../../../etc/passwd", "CVE-2022-25882"),
        ("dotdot_nested", "data/../../secret.bin", "CVE-2024-27318"),
        ("dotdot_dots", "data/....//../../../x", "CVE-2024-27318"),
        ("absolute", "/etc/passwd", "CVE-2024-5187"),
        ("backslash", "..\\..\\secret.bin", ""),
        ("drive", "C:\\secret.bin", ""),
        ("url", "file:///etc/passwd", ""),
        ("home", "~/secret.bin", ""),
        ("empty", "", ""),
        ("nul", "weights.bin\x00../../x", ""),
        ("device", "/dev/zero", "ATLAS AML.T0029"),
    ):
        put(f"external_{name}.onnx", f"external data at {location!r}", model(add, [external(location)]), reference)
    put("external_missing_folder", "external data whose file is not in the folder", {"model.onnx": model(add, [external("weights.bin")])})
    put("external_offset_folder", "external data beyond the end of its file", {"model.onnx": model(add, [external("weights.bin", [("offset", "4096"), ("length", "8")])]), "weights.bin": bytes(8)})
    put("external_length_folder", "external data of a negative length", {"model.onnx": model(add, [external("weights.bin", [("length", "-8")])]), "weights.bin": bytes(8)})
    put("external_pickle_folder", "the external data is a hostile pickle under another name as well", {"model.onnx": model(add, [external("weights.bin", [("length", "8")])]), "weights.bin": bytes(8), "weights.pkl": EVIL})
    put("external_symlink_folder", "external data is a symbolic link out of the folder", _symlink)
    put("external_in_function.onnx", "the escaping tensor is an attribute in a function", model(add, [inline()], functions=[w.field(1, "f") + w.field(7, node("Constant", attributes=w.field(5, w.field(1, "value") + w.field(5, external("../x")) + w.integer(20, 4))))]))
    branch = w.field(1, node("Add")) + w.field(2, "b") + w.field(5, external("../../x"))
    put("external_in_subgraph.onnx", "the escaping tensor is within the branch of an If", model([node("If", attributes=w.field(5, w.field(1, "then_branch") + w.field(6, branch) + w.integer(20, 5)))], [inline()]))
    sparse = w.field(1, external("../../x"))
    put("external_in_sparse.onnx", "the escaping tensor is within a sparse initialiser", model(add, [inline()]) + w.field(7, w.field(15, sparse)))
    put("domain_foreign.onnx", "an operator of a foreign domain", model([node("Run", "com.custody.evil")], [inline()], ("", "com.custody.evil")))
    put("domain_pyop.onnx", "PyOp of onnxruntime extensions", model([node("PyOp", "ai.onnx.contrib")], [inline()], ("", "ai.onnx.contrib")))
    put("domain_torch_python.onnx", "a PythonOp of torch's domain", model([node("PythonOp", "com.microsoft")], [inline()], ("", "com.microsoft")))
    put("unknown_op.onnx", "an operator that the standard does not have", model([node("Exec")], [inline()]))
    put("function_foreign_domain.onnx", "a foreign operator inside a local function", model(add, [inline()], functions=[w.field(1, "f") + w.field(7, node("Run", "com.custody.evil"))]))
    put("zip_tail.onnx", "an orderly model with a torch zip behind it", model(add, [inline()]) + zip_bytes([("archive/data.pkl", EVIL)]))
    put("pickle_tail.onnx", "an orderly model with a hostile pickle behind it", model(add, [inline()]) + EVIL)
    put("unknown_field_zip.onnx", "a zip hidden in an unknown field", model(add, [inline()]) + w.field(999, zip_bytes([("archive/data.pkl", EVIL)])))
    put("truncated.onnx", "a model cut in the middle", model(add, [inline()])[:40])
    put("length_lie.onnx", "a field longer than the file", w.integer(1, 8) + w.varint(7 << 3 | 2) + w.varint(2**60) + b"abc", "ATLAS AML.T0029")
    put("dims_huge.onnx", "an initialiser of 2^62 elements", model(add, [w.integer(1, 2**62) + w.integer(2, 1) + w.field(8, "w") + w.floats(4, [1.0])]), "ATLAS AML.T0029")
    deep = b""
    for _ in range(5000):
        deep = w.field(5, w.field(1, "g") + w.field(6, w.field(1, w.field(4, "If") + deep)))
    put("deep_subgraphs.onnx", "5,000 nested subgraphs", w.integer(1, 8) + w.field(7, w.field(1, w.field(4, "If") + deep)), "ATLAS AML.T0029")
    family.benign("own_add.onnx", "one Add", model(add, [inline()]))
    family.benign("own_external_folder", "external data beside the model, legally", {"model.onnx": model(add, [external("weights.bin", [("offset", "0"), ("length", "8")])]), "weights.bin": bytes(8)})


def _symlink(folder: Path) -> None:
    """A model whose data file leaves the folder."""
    (folder / "model.onnx").write_bytes(model([node("Add")], [external("weights.bin")]))
    (folder / "weights.bin").symlink_to("/etc/passwd")


def graph_node(name: str, op: str, inputs: tuple[str, ...] = (), attributes: bytes = b"") -> bytes:
    """A NodeDef."""
    return w.field(1, name) + w.field(2, op) + b"".join(w.field(3, part) for part in inputs) + attributes


def attribute(key: str, value: bytes) -> bytes:
    """An entry of the attribute map of a NodeDef."""
    return w.field(5, w.field(1, key) + w.field(2, value))


def saved_model(nodes: list[bytes], functions: list[bytes] | None = None) -> bytes:
    """A SavedModel with a graph and a library of functions."""
    library = b"".join(w.field(1, w.field(1, w.field(1, name)) + b"".join(w.field(3, part) for part in [body])) for name, body in zip(("f0", "f1", "f2"), functions or [], strict=False))
    graph = b"".join(w.field(1, part) for part in nodes) + (w.field(2, library) if functions else b"") + w.field(4, w.integer(1, 1987))
    info = w.field(4, "serve") + w.field(5, "2.16.1")
    signature = w.field(5, w.field(1, "serving_default") + w.field(2, w.field(3, "tensorflow/serving/predict")))
    return w.integer(1, 1) + w.field(2, w.field(1, info) + w.field(2, graph) + signature)


ORDINARY = [
    graph_node("x", "Placeholder", attributes=attribute("dtype", w.integer(6, 1))),
    graph_node("w", "VarHandleOp", attributes=attribute("shared_name", w.field(2, "w"))),
    graph_node("r", "ReadVariableOp", ("w",)),
    graph_node("y", "MatMul", ("x", "r")),
    graph_node("b", "BiasAdd", ("y", "r")),
    graph_node("s", "Softmax", ("b",)),
    graph_node("saver", "SaveV2", ("w",)),
    graph_node("restore", "RestoreV2", ("w",)),
    graph_node("call", "StatefulPartitionedCall", ("x",)),
    graph_node("out", "Identity", ("s",)),
    graph_node("n", "NoOp"),
]


def folder(model_bytes: bytes) -> dict[str, bytes]:
    """A SavedModel folder."""
    return {"saved_model.pb": model_bytes, "fingerprint.pb": w.integer(1, 7), "variables/variables.index": b"", "variables/variables.data-00000-of-00001": bytes(48)}


def _saved(family: Family) -> None:
    put = family.hostile
    for op in ("ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "EagerPyFunc", "PyFuncStateless", "PrintV2", "CustodyEvilOp", "LoadLibrary", "DeleteDirectory", "CreateSummaryFileWriter", "WholeFileReaderV2", "TextLineDatasetV2", "ImmutableConst", "SaveSlices", "RpcClient"):
        note = attribute("output_stream", w.field(2, "file:///tmp/custody-sample")) if op == "PrintV2" else b""
        put(f"{op}", f"a graph with the operator {op}", folder(saved_model([*ORDINARY, graph_node("evil", op, ("x",), note)])))
    for op in ("ReadFile", "WriteFile", "EagerPyFunc", "CustodyEvilOp"):
        put(f"{op}_in_function", f"{op} inside a library function", folder(saved_model(ORDINARY, [graph_node("ok", "Identity", ("x",)), graph_node("evil", op, ("x",))])))
    put("ReadFile_alone.pb", "saved_model.pb without its folder", saved_model([graph_node("evil", "ReadFile", ("x",))]))
    put("truncated", "a saved_model.pb cut in the middle", folder(saved_model(ORDINARY)[:60]))
    put("pickle_asset", "a hostile pickle among the assets", {**folder(saved_model(ORDINARY)), "assets/vocabulary.txt": EVIL})
    put("pickle_tail", "a hostile pickle behind the protocol buffer", folder(saved_model(ORDINARY) + EVIL))
    put("python_code", "keras_metadata with a Lambda layer", {**folder(saved_model(ORDINARY)), "keras_metadata.pb": w.field(1, w.integer(2, 1) + w.field(3, "root.layer-1") + w.field(4, "_tf_keras_layer") + w.field(5, '{"class_name": "Lambda", "config": {"name": "l", "function": {"class_name": "__tuple__", "items": ["4wEAAAA=", null, null]}}}'))})
    source = "own writer of TensorFlow's protocol buffers (no TensorFlow)"
    family.benign("own_dense", "a dense layer with ordinary operators", folder(saved_model(ORDINARY)), source)
    family.benign("own_functions", "ordinary operators in library functions", folder(saved_model(ORDINARY, [graph_node("a", "Relu", ("x",)), graph_node("b", "AddV2", ("x",)), graph_node("c", "Sigmoid", ("x",))])), source)
