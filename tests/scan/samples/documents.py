"""What lies beside models, as people write it: descriptions, tables of parameters, notes with links and with code."""

import json

from . import wire
from .corpus import Family, Sample, zip_bytes
from .folders import GOOD_PICKLE, GOOD_SAFE, huggingface, pmml
from .graphs import inline as tensor
from .graphs import model, node
from .rawzip import Member, archive
from .torch_format import floats
from .weights import CHATML


def samples() -> list[Sample]:
    """The benign ones, then zips that nobody can read without a password."""
    family = Family("documents")
    for part in (_texts, _tables, _json, _locked):
        part(family)
    return family.samples


README = """# Loans

Trained on ten thousand loans, see https://example.org/loans and <http://example.org/paper.pdf>.

- the weights: https://huggingface.co/custody/loans/resolve/main/model.safetensors
- a mirror: [here](ftp://example.org/loans.tar.gz)

Run `pip install custody`, then

    import torch
    model = torch.load("model.pt")
    os.system("true")
"""


def _texts(family: Family) -> None:
    """Text for people."""
    put = family.benign
    put("readme/README.md", "a README with bare links and an example", README.encode())
    put("link.txt", "one link", b"https://example.org/loans\n")
    put("readme_folder", "a README with links beside a model", {"README.md": README.encode(), "model.safetensors": GOOD_SAFE})
    put("import.txt", "a text with a line of import", b"Before you begin:\nimport numpy as np\nfrom sklearn import svm\nand read on.\n")
    put("imports/notes", "notes without an ending that begin with an import", b"import os, sys\n\nare both in the standard library.\n")
    put("city.txt", "a text that begins with letters that are opcodes", b"city\nincome\n\nare the columns; (see below).\n")
    put("vocabulary.txt", "a vocabulary, a word a line", b"[PAD]\n[UNK]\nos\nsystem\neval\n(\n)\n.\ncos\nR\nBerlin\n##ing\n")
    put("merges.txt", "merges of a tokeniser", "#version: 0.2\nĠ t\nĠ a\nh e\ni n\n".encode())
    put("labels.txt", "labels with numbers", b"0 cat\n1 dog\n2 os.system\n")
    put("latin1.txt", "a text in Latin 1", "Größe und Höhe\n".encode("latin-1") * 20)
    put("windows.csv", "a table with a byte order mark and the lines of Windows", b"\xef\xbb\xbfincome;city\r\n1;Berlin\r\n")


GRAPH_TEXT = """node {
  name: "x"
  op: "Placeholder"
  attr { key: "dtype" value { type: DT_FLOAT } }
}
node { name: "y" op: "Identity" input: "x" }
versions { producer: 1987 }
"""
LABEL_MAP = "item {\n  id: 1\n  name: 'loan'\n  display_name: \"a loan\"\n}\nitem {\n  id: 2\n  name: 'card'\n}\n"
SERVING = 'name: "loans"\nplatform: "onnxruntime_onnx"\nmax_batch_size: 8\ninput [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]\noutput [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]\n'


def _tables(family: Family) -> None:
    """Protocol buffers as text, PMML without its namespace, tensors beside a model."""
    put = family.benign
    put("graph.pbtxt", "a graph of TensorFlow as text", GRAPH_TEXT.encode())
    put("label_map.pbtxt", "the labels of a detector", LABEL_MAP.encode())
    put("triton/config.pbtxt", "the configuration of a server of models", SERVING.encode())
    bare = pmml().replace(b' xmlns="http://www.dmg.org/PMML-4_4"', b"")
    put("no_namespace.pmml", "PMML without a namespace", bare)
    put("no_declaration.pmml", "PMML without the declaration of XML", bare.partition(b"?>\n")[2])
    put("old_namespace.pmml", "PMML of version 3.2", pmml().replace(b"4_4", b"3_2").replace(b'"4.4"', b'"3.2"'))
    put("onnx_data_set", "an ONNX model with its test data, which are single tensors", {"model.onnx": model([node("Add")], [tensor()]), "test_data_set_0/input_0.pb": tensor("x"), "test_data_set_0/output_0.pb": tensor("y")})
    raw = wire.integer(1, 2) + wire.integer(2, 1) + wire.field(8, "x") + wire.field(9, floats(2))
    put("onnx_tensor", "an ONNX model with a tensor of raw bytes beside it", {"model.onnx": model([node("Add")], [tensor()]), "weights.pb": raw})


def _json(family: Family) -> None:
    """JSON of every manner."""
    rows = [{"text": "a loan", "label": 1}, {"text": "import os", "label": 0}, {"text": "{{ x }}", "label": 1}]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    put = family.benign
    put("lines/train.json", "JSON lines named .json", lines)
    put("lines/train.jsonl", "JSON lines", lines)
    put("lines_windows.json", "JSON lines with the ends of Windows", lines.replace(b"\n", b"\r\n"))
    put("numbers.json", "numbers at the limits of doubles", b'{"largest": 1.7976931348623157e308, "infinite": Infinity, "none": NaN, "least": -Infinity, "long": 123456789012345678901234567890}')
    put("long_list.json", "a list of 100,000 numbers", json.dumps(list(range(100_000))).encode())
    by_line = [line + "\n" for line in CHATML.replace("%}{", "%}\n{").split("\n")]
    put("template_lines", "a chat template as a list of lines", huggingface({"tokenizer_config.json": json.dumps({"chat_template": by_line}).encode()}))
    put("template_lines_file", "a chat template as a list of lines in a file of its own", huggingface({"chat_template.json": json.dumps({"chat_template": by_line}, indent=1).encode()}))


def _locked(family: Family) -> None:
    """Zips with a password: whatever is within, nobody has seen it."""
    put = family.hostile
    put("locked.zip", "a zip with a password over an innocent pickle", archive([Member("model.pkl", bytes(12) + GOOD_PICKLE, flags=1)]))
    put("locked_aes.zip", "a zip with a password after AES", archive([Member("model.pkl", bytes(28) + GOOD_PICKLE, flags=1, method=99, extra=b"\x01\x99\x07\x00\x02\x00AE\x03\x00\x00")]))
    put("locked.npz", "an npz with a password", archive([Member("w.npy", bytes(140), flags=1)]))
    put("locked_one.zip", "a zip, of whose members one has a password", archive([Member("README.md", b"# A model\n"), Member("model.pkl", bytes(12) + GOOD_PICKLE, flags=1)]))
    put("locked_within.zip", "a zip with a password within a zip", zip_bytes([("inner.zip", archive([Member("model.pkl", bytes(12) + GOOD_PICKLE, flags=1)]))]))
