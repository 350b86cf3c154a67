"""Makes small ONNX models: what a step of the evaluation tests runs. Each hands its columns through as scores."""

import json

from onnx import TensorProto, helper

import custody

FLOAT, DOUBLE, INT, TEXT = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.STRING


def save(name, nodes, inputs, outputs, features=None, constants=()):
    """Write a model to the output of its name."""
    values = [helper.make_tensor_value_info(one, kind, shape) for one, kind, shape in inputs]
    results = [one if not isinstance(one, tuple) else helper.make_tensor_value_info(*one) for one in outputs]
    graph = helper.make_graph(nodes, name, values, results, initializer=list(constants))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    folder = custody.output(name)
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    if features is not None:
        (folder / "features.json").write_text(json.dumps({"features": features}))


def one(kind):
    """The constant 1."""
    return helper.make_tensor("one", kind, [1], [1.0])


def pair(name, kind):
    """The score x as the probabilities 1 - x and x."""
    nodes = [helper.make_node("Sub", ["one", "x"], ["q"]), helper.make_node("Concat", ["q", "x"], ["p"], axis=1)]
    save(name, nodes, [("x", kind, [None, 1])], [("p", kind, [None, 2])], ["x"], [one(kind)])


pair("pair", FLOAT)
pair("double", DOUBLE)
nodes = [
    helper.make_node("Sub", ["one", "x"], ["q"]),
    helper.make_node("Concat", ["q", "x"], ["p"], axis=1),
    helper.make_node("ZipMap", ["p"], ["maps"], domain="ai.onnx.ml", classlabels_strings=["no", "yes"]),
]
maps = helper.make_value_info("maps", helper.make_sequence_type_proto(helper.make_map_type_proto(TEXT, helper.make_tensor_type_proto(FLOAT, []))))
save("zipmap", nodes, [("x", FLOAT, [None, 1])], [maps], ["x"], [one(FLOAT)])
save("three", [helper.make_node("Identity", ["x"], ["p"])], [("x", FLOAT, [None, 3])], [("p", FLOAT, [None, 3])], ["p0", "p1", "p2"])
save(
    "columns",
    [
        helper.make_node("Cast", ["code"], ["part"], to=FLOAT),
        helper.make_node("Cast", ["whole"], ["zero"], to=FLOAT),
        helper.make_node("Sub", ["zero", "zero"], ["none"]),
        helper.make_node("Add", ["part", "none"], ["p"]),
    ],
    [("whole", INT, [None, 1]), ("code", TEXT, [None, 1])],
    [("p", FLOAT, [None, 1])],
)
save(
    "outputs",
    [helper.make_node("Identity", ["x"], ["first"]), helper.make_node("Sub", ["one", "x"], ["second"])],
    [("x", FLOAT, [None, 1])],
    [("first", FLOAT, [None, 1]), ("second", FLOAT, [None, 1])],
    ["x"],
    [one(FLOAT)],
)
save("number", [helper.make_node("Identity", ["x"], ["y"])], [("x", DOUBLE, [None, 1])], [("y", DOUBLE, [None, 1])], ["x"])
