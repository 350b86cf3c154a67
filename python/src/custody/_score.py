"""Apply an ONNX model to data: what an ``evaluate`` step runs in its sandbox.

The model's own signature says what goes in and what comes out. What it leaves open, and the parameters do not say, is
refused: nothing is guessed, cast with a loss, or clipped. A refusal is a document in the output, never a traceback.
"""

from __future__ import annotations

import json

import custody

BATCH = 16_384
# Tensor types by their names in ONNX Runtime: the NumPy type, and whether a null has a place in it.
TYPES = {
    "tensor(float)": ("float32", True),
    "tensor(double)": ("float64", True),
    "tensor(float16)": ("float16", True),
    "tensor(int64)": ("int64", False),
    "tensor(int32)": ("int32", False),
    "tensor(int16)": ("int16", False),
    "tensor(int8)": ("int8", False),
    "tensor(uint64)": ("uint64", False),
    "tensor(uint32)": ("uint32", False),
    "tensor(uint16)": ("uint16", False),
    "tensor(uint8)": ("uint8", False),
    "tensor(bool)": ("bool", False),
    "tensor(string)": ("object", False),
}
REALS = ("tensor(float)", "tensor(double)", "tensor(float16)")


class Refused(Exception):
    """The model cannot be applied to the data; the text says why, the hint the way out."""

    def __init__(self, because: str, hint: str) -> None:
        super().__init__(because)
        self.because = because
        self.hint = hint


def names(values) -> str:
    """List names as a sentence has them."""
    return ", ".join(f"`{value}`" for value in values)


def column(table, name: str, kind: str):
    """Return a column as an array of the tensor's type, or refuse it by name."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    data = table[name].combine_chunks() if table[name].num_chunks != 1 else table[name].chunk(0)
    if pa.types.is_dictionary(data.type):
        data = data.cast(data.type.value_type)
    given = data.type
    text = pa.types.is_string(given) or pa.types.is_large_string(given) or "string_view" in str(given)
    number = pa.types.is_integer(given) or pa.types.is_floating(given) or pa.types.is_decimal(given)
    truth = pa.types.is_boolean(given)
    target, nulls = TYPES[kind]
    wanted = "text" if kind == "tensor(string)" else "true or false" if kind == "tensor(bool)" else "numbers"
    if not ((wanted == "text" and text) or (wanted == "true or false" and truth) or (wanted == "numbers" and (number or truth))):
        word = "text" if text else "boolean" if truth else "number" if number else str(given)
        raise Refused(f"the model takes {wanted} for `{name}`, and the column is {word}", f"make `{name}` what the model takes, in SQL")
    if data.null_count and not nulls:
        raise Refused(f"{data.null_count} rows have no `{name}`, and the model takes no missing values there", f"fill `{name}` in SQL, or train the model to take them")
    if wanted == "text":
        return np.asarray(data.cast(pa.string()).to_pylist(), dtype=object)
    if truth:
        data = data.cast(pa.int8())
    elif pa.types.is_decimal(given):
        data = data.cast(pa.float64())
    array = data.to_numpy(zero_copy_only=False)
    if nulls:
        if data.null_count:
            array = pc.fill_null(data.cast(pa.float64()), float("nan")).to_numpy(zero_copy_only=False)
        return array.astype(target)
    with np.errstate(all="ignore"):
        exact = array.astype(target)
        below = target.startswith("u") and len(array) and array.min() < 0
        if below or not np.array_equal(exact.astype(array.dtype), array):
            raise Refused(f"the model takes {target} for `{name}`, and some of its numbers do not fit", f"round or cast `{name}` in SQL")
    return exact


def feeds(session, table, described: dict) -> dict:
    """Return the model's inputs by name, each of all rows."""
    import numpy as np

    inputs = session.get_inputs()
    features = described.get("features")
    by_input = described.get("inputs", {})
    made = {}
    for one in inputs:
        if one.type not in TYPES:
            raise Refused(f"the model's input `{one.name}` is a {one.type}, which is no column or matrix", "export the model with tensors as inputs")
        if one.name in by_input:
            columns = by_input[one.name]
        elif len(inputs) == 1 and features is not None:
            columns = features
        elif one.name in table.column_names:
            columns = [one.name]
        else:
            hint = 'name them in `features.json` beside the model: {"features": […]}' if len(inputs) == 1 else 'name them in `features.json` beside the model: {"inputs": {"' + one.name + '": […]}}'
            raise Refused(f"nothing says which columns make the model's input `{one.name}`", hint)
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            raise Refused(f"the data have no column {names(missing)}, which the model takes", "add it in SQL, or correct `features.json` beside the model")
        shape = list(one.shape or [])
        width = shape[1] if len(shape) == 2 else 1
        if len(shape) > 2:
            raise Refused(f"the model's input `{one.name}` has {len(shape)} dimensions; rows of columns have two", "export the model with one row a record")
        if isinstance(width, int) and width != len(columns):
            raise Refused(f"the model's input `{one.name}` takes {width} columns, and {len(columns)} are named for it", "correct `features.json` beside the model")
        arrays = [column(table, name, one.type) for name in columns]
        if len(shape) == 1:
            made[one.name] = arrays[0]
        else:
            made[one.name] = np.column_stack(arrays) if arrays else np.empty((table.num_rows, 0))
    return made


def varint(data: bytes, at: int):
    """Read a protocol-buffer number."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data: bytes):
    """List the fields of a protocol-buffer message: number and content."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        elif kind == 1:
            value, at = data[at : at + 8], at + 8
        elif kind == 5:
            value, at = data[at : at + 4], at + 4
        else:
            raise ValueError("no protocol buffer")
        yield key >> 3, value


def labels(model: bytes) -> list:
    """List the class labels that the nodes of a model declare (``classlabels_*``), each list once."""
    found = []
    graphs = [value for number, value in fields(model) if number == 7]
    nodes = [value for graph in graphs for number, value in fields(graph) if number == 1]
    for node in nodes:
        for number, attribute in fields(node):
            if number != 5:
                continue
            name, whole, texts = "", [], []
            for part, value in fields(attribute):
                if part == 1:
                    name = value.decode("utf-8", "replace")
                elif part == 8:
                    numbers = [value]
                    if isinstance(value, bytes):
                        numbers, at = [], 0
                        while at < len(value):
                            one, at = varint(value, at)
                            numbers.append(one)
                    whole.extend(one - (1 << 64) if one >= 1 << 63 else one for one in numbers)
                elif part == 9:
                    texts.append(value.decode("utf-8", "replace"))
            if name.startswith("classlabels") and (whole or texts) and (texts or whole) not in found:
                found.append(texts or whole)
    return found


def choose(session, kind: str, wanted: str | None):
    """Return the output that has the scores."""
    outputs = session.get_outputs()
    if wanted is not None:
        for one in outputs:
            if one.name == wanted:
                return one
        raise Refused(f"the model has no output `{wanted}`", f"name one of {names(one.name for one in outputs)} as `output`")
    maps = [one for one in outputs if one.type.startswith("seq(map(")]
    reals = [one for one in outputs if one.type in REALS]
    candidates = reals if kind == "regression" else maps + reals
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        has = ", ".join(f"`{one.name}` ({one.type})" for one in outputs)
        raise Refused(f"none of the model's outputs has scores; there are {has}", "export the model with its probabilities")
    raise Refused(f"the model has several outputs that could be meant: {names(one.name for one in candidates)}", "name one as `output` in the evaluate step")


def scores(session, output, feed: dict, rows: int):
    """Return the scores as a matrix, the labels that came with them, and whether they are of single precision."""
    import numpy as np

    parts, keys = [], None
    for start in range(0, rows, BATCH):
        part = session.run([output.name], {name: values[start : start + BATCH] for name, values in feed.items()})[0]
        if output.type.startswith("seq(map("):
            found = list(part[0]) if part else []
            keys = found if keys is None else keys
            if any(list(row) != keys for row in part):
                raise Refused("the model's maps of scores differ in their classes from row to row", "export the model without maps (`zipmap=False`)")
            part = [[row[key] for key in keys] for row in part]
        array = np.asarray(part)
        if array.dtype == object:
            raise Refused(f"the model's output `{output.name}` is text, not scores", "name the output with the scores as `output`")
        array = array.reshape(len(array), -1) if array.ndim != 2 else array
        parts.append(array.astype(np.float64))
    single = "double" not in output.type and "int" not in output.type.replace("map(int64", "map(")
    matrix = np.concatenate(parts) if parts else np.empty((0, 1))
    if len(matrix) != rows:
        raise Refused(f"the model gave {len(matrix)} rows for {rows}", "export the model so that it takes any number of rows")
    return matrix, keys, single


def apply() -> None:
    """Read the inputs ``model`` and ``data``, write ``scores.parquet`` and ``signature.json`` to the output ``scores``."""
    import numpy as np
    import onnxruntime
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = custody._place("INPUT", "model")
    described = {}
    if (place / "features.json").is_file():
        described = json.loads((place / "features.json").read_text(encoding="utf-8"))
    if not (place / "model.onnx").is_file():
        raise Refused("the model has no file `model.onnx`", "write the model as `model.onnx`, or let a `run` step make `predictions` with it")
    model = (place / "model.onnx").read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    wanted = custody.parameters()
    table = pq.ParquetFile(custody.input("data")).read()
    output = choose(session, wanted["kind"], wanted.get("output"))
    feed = feeds(session, table, described)
    matrix, keys, single = scores(session, output, feed, table.num_rows)
    if keys is None:
        known = labels(model)
        fitting = [one for one in known if len(one) == matrix.shape[1] or (matrix.shape[1] == 1 and len(one) == 2)]
        keys = fitting[0] if len(fitting) == 1 else None
    into = custody.output("scores")
    columns = {f"s{number}": pa.array(np.ascontiguousarray(matrix[:, number])) for number in range(matrix.shape[1])}
    pq.write_table(pa.table(columns), into / "scores.parquet")
    keys = None if keys is None else [key if isinstance(key, str) else int(key) for key in keys]
    told = {"classes": keys, "single": bool(single), "output": output.name, "columns": matrix.shape[1]}
    (into / "signature.json").write_text(json.dumps(told), encoding="utf-8")
    print(f"scored {len(matrix)} rows by `{output.name}`")


def main() -> None:
    """Apply the model, or leave a document that says why it cannot be."""
    try:
        apply()
    except Refused as refused:
        told = {"because": refused.because, "hint": refused.hint}
    except ImportError as error:
        told = {"because": f"the environment has no package `{error.name}`", "hint": "add `onnxruntime`, `numpy` and `pyarrow` to the lock file"}
    except MemoryError:
        told = {"because": "the model and the rows do not fit into the step's memory", "hint": "evaluate on fewer rows"}
    except json.JSONDecodeError:
        told = {"because": "`features.json` beside the model is no JSON", "hint": 'write {"features": ["…"]}'}
    except Exception as error:  # noqa: BLE001 - whatever a model does, the user gets a sentence
        text = str(error).strip().splitlines()
        told = {"because": "the model could not be applied", "detail": f"{type(error).__name__}: {text[0] if text else ''}"[:500], "hint": "try the model on a few rows in a `run` step"}
    else:
        return
    (custody.output("scores") / "problem.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
