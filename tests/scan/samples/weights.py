"""GGUF and safetensors: hostile headers by an own writer."""

import json
import struct

from .corpus import Family, Sample, zip_bytes
from .pickle_tricks import EVIL
from .torch_format import floats

CHATML = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
INJECTION = "{{ cycler.__init__.__globals__.os.popen('echo custody-sample').read() }}"

INJECTIONS = {
    "cycler": INJECTION,
    "subclasses": "{% for c in ().__class__.__base__.__subclasses__() %}{{ c.__init__.__globals__ }}{% endfor %}",
    "attr_filter": "{{ (messages|attr('__class__')|attr('__mro__')) }}",
    "attr_joined": "{{ messages|attr(['__cl','ass__']|join) }}",
    "hex_escape": "{{ messages['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "brackets": "{{ ''['__class__']['__mro__'][1]['__subclasses__']() }}",
    "lipsum": "{{ lipsum.__globals__['os'].popen('echo custody-sample').read() }}",
    "self_reference": "{{ self.__init__.__globals__.__builtins__.eval('1') }}",
    "namespace": "{{ namespace.__init__.__globals__.os.system('echo custody-sample') }}",
    "joiner": "{{ joiner.__init__.__globals__.os.system('echo custody-sample') }}",
    "import": "{% import 'os' as os %}{{ os.system('true') }}",
    "include": "{% include '/etc/passwd' %}",
    "set_chain": "{% set k = '__glo' ~ 'bals__' %}{{ cycler.__init__[k] }}",
    "format_map": "{{ '{0.__class__}'.format(messages) }}",
    "map_attribute": "{{ messages|map(attribute='__class__')|list }}",
    "range_bomb": "{% for i in range(999999999) %}{% for j in range(999999999) %}x{% endfor %}{% endfor %}",
    "hidden_after_template": CHATML + INJECTION,
    "keyword_name": "{% set k = dict(__globals__=1)|first %}{{ lipsum[k]['os'].popen('echo custody-sample').read() }}",
    "keyword_joined": "{% set k = dict(__glo=1, bals__=2)|join %}{{ cycler|attr('next')|attr(k) }}",
    "keyword_attribute": "{{ ['x']|map(attribute=('__cla', 'ss__')|join)|map(attribute=('__mr', 'o__')|join)|list }}",
    "keyword_default": "{{ [lipsum]|map(attribute='x', default=lipsum['__glo' ~ 'bals__'])|list }}",
    "keyword_macro": "{% macro m(k='__glo') %}{{ (lipsum|attr(k ~ 'bals__')).os.popen('echo custody-sample').read() }}{% endmacro %}{{ m() }}",
    "keyword_namespace": "{% set ns = namespace(k='__globals__') %}{{ (lipsum|attr(ns.k)).os.popen('echo custody-sample').read() }}",
    "keyword_sort": "{{ [lipsum]|sort(attribute='__globals__')|list }}",
    "keyword_groupby": "{{ [lipsum]|groupby(attribute='__globals__.os')|list }}",
    "shadow_set": "{% set range = lipsum %}{{ (range|attr(dict(__globals__=1)|first)).os.popen('echo custody-sample').read() }}",
    "shadow_loop": "{% for range in [lipsum] %}{{ range[dict(__globals__=1)|first] }}{% endfor %}",
    "shadow_macro": "{% macro range(k) %}{{ lipsum|attr(k) }}{% endmacro %}{{ range('__glob' ~ 'als__') }}",
    "shadow_bomb": "{% set r = range %}{% for i in r(99999999) %}{% for j in r(99999999) %}x{% endfor %}{% endfor %}",
}


def samples() -> list[Sample]:
    """Both families."""
    gguf, safe = Family("gguf"), Family("safetensors")
    _gguf(gguf)
    _safetensors(safe)
    return gguf.samples + safe.samples


def text(value: str) -> bytes:
    """A GGUF string."""
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, value: str) -> bytes:
    """A key with a string."""
    return text(key) + struct.pack("<I", 8) + text(value)


def gguf(pairs: list[bytes], tensors: list[bytes] | None = None, body: bytes = b"", counts: tuple[int, int] | None = None, version: int = 3) -> bytes:
    """A GGUF file; the counts may lie."""
    tensors = tensors or []
    tensor_count, pair_count = counts or (len(tensors), len(pairs))
    out = b"GGUF" + struct.pack("<IQQ", version, tensor_count, pair_count) + b"".join(pairs) + b"".join(tensors)
    return out + bytes(-len(out) % 32) + body


def tensor(name: str, dims: tuple[int, ...], offset: int = 0, kind: int = 0) -> bytes:
    """A tensor's record."""
    return text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", kind, offset)


HEAD = [pair("general.architecture", "llama"), pair("general.name", "custody sample")]
TENSOR = tensor("output.weight", (4, 3))


def _gguf(family: Family) -> None:
    put = family.hostile
    reference = "CVE-2024-34359"
    for name, template in INJECTIONS.items():
        put(f"template_{name}.gguf", f"template injection ({name}) in tokenizer.chat_template", gguf([*HEAD, pair("tokenizer.chat_template", template)], [TENSOR], floats(12)), reference)
    put("template_named.gguf", "injection in a named template", gguf([*HEAD, pair("tokenizer.chat_template", CHATML), pair("tokenizer.chat_template.tool_use", INJECTION)]), reference)
    put("template_other_key.gguf", "injection in a chat_template key elsewhere", gguf([*HEAD, pair("llama.chat_template", INJECTION)]), reference)
    put("template_second.gguf", "the key stands twice, the second hostile", gguf([*HEAD, pair("tokenizer.chat_template", CHATML), pair("tokenizer.chat_template", INJECTION)]), reference)
    lie = "CVE-2024-23605 family"
    put("pair_count.gguf", "2^62 pairs", gguf(HEAD, [TENSOR], floats(12), (1, 2**62)), lie)
    put("tensor_count.gguf", "2^62 tensors", gguf(HEAD, [TENSOR], floats(12), (2**62, 2)), lie)
    put("string_length.gguf", "a string of 2^63 bytes", gguf([*HEAD, text("a") + struct.pack("<IQ", 8, 2**63)]), lie)
    put("string_length_wrap.gguf", "a string of 2^64-1 bytes", gguf([*HEAD, text("a") + struct.pack("<IQ", 8, 2**64 - 1)]), lie)
    put("array_length.gguf", "an array of 2^61 values", gguf([*HEAD, text("a") + struct.pack("<IIQ", 9, 4, 2**61)]), lie)
    put("array_nested.gguf", "2,000 nested arrays", gguf([*HEAD, text("a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 2000 + struct.pack("<IQ", 4, 0)]), lie)
    put("value_type.gguf", "an unknown type of value", gguf([*HEAD, text("a") + struct.pack("<I", 77)]), lie)
    put("dims_count.gguf", "a tensor of 2^31 dimensions", gguf(HEAD, [text("t") + struct.pack("<I", 2**31)]), lie)
    put("dims_overflow.gguf", "dimensions whose product overflows", gguf(HEAD, [tensor("t", (2**33, 2**33))], floats(12)), lie)
    put("offset_beyond.gguf", "a tensor's offset beyond the file", gguf(HEAD, [tensor("t", (4, 3), 2**40)], floats(12)), lie)
    put("offset_wrap.gguf", "a tensor's offset that wraps", gguf(HEAD, [tensor("t", (4, 3), 2**64 - 32)], floats(12)), lie)
    put("tensor_overlap.gguf", "two tensors over the same bytes", gguf(HEAD, [TENSOR, tensor("b", (4, 3))], floats(12)))
    put("tensor_type.gguf", "an unknown tensor type", gguf(HEAD, [tensor("t", (4, 3), 0, 999)], floats(12)), lie)
    put("truncated.gguf", "tensor data cut off", gguf(HEAD, [TENSOR], floats(3)))
    put("alignment_zero.gguf", "an alignment of 0", gguf([*HEAD, text("general.alignment") + struct.pack("<II", 4, 0)], [TENSOR], floats(12)), lie)
    put("bad_utf8_key.gguf", "a key that is not UTF-8", gguf([*HEAD, struct.pack("<Q", 2) + b"\xff\xfe" + struct.pack("<IB", 7, 1)]))
    put("zip_tail.gguf", "a torch zip behind the tensors", gguf(HEAD, [TENSOR], floats(12)) + zip_bytes([("archive/data.pkl", EVIL)]))
    put("pickle_tail.gguf", "a hostile pickle behind the tensors", gguf(HEAD, [TENSOR], floats(12)) + EVIL)
    _gguf_vocabulary(family)
    family.benign("own_chatml.gguf", "a small model with an ordinary chat template", gguf([*HEAD, pair("tokenizer.chat_template", CHATML)], [TENSOR], floats(12)))


def listed(key: str, kind: int, code: str, values: list[object]) -> bytes:
    """A key with an array of numbers of the given type."""
    return text(key) + struct.pack("<IIQ", 9, kind, len(values)) + struct.pack(f"<{len(values)}{code}", *values)


def counted(key: str, value: int) -> bytes:
    """A key with a number of 32 bits."""
    return text(key) + struct.pack("<II", 4, value)


def words(key: str, values: list[str]) -> bytes:
    """A key with an array of texts."""
    return text(key) + struct.pack("<IIQ", 9, 8, len(values)) + b"".join(text(value) for value in values)


def _gguf_vocabulary(family: Family) -> None:
    """Lists of a vocabulary and numbers of heads that a loader takes unchecked as places and divisors."""
    reference = "CVE-2024-23605 family"
    tokens = words("tokenizer.ggml.tokens", ["<s>", "</s>", "a", "b"])
    scores = listed("tokenizer.ggml.scores", 6, "f", [0.0] * 4)
    types = listed("tokenizer.ggml.token_type", 5, "i", [3, 3, 1, 1])
    model, heads = pair("tokenizer.ggml.model", "llama"), counted("llama.attention.head_count", 2)
    embedding = counted("llama.embedding_length", 4)

    def put(name: str, what: str, pairs: list[bytes], tensors: list[bytes] | None = None) -> None:
        family.hostile(f"{name}.gguf", what, gguf([*HEAD, *pairs], tensors or [TENSOR], floats(12)), reference)

    put("dimension_zero", "a dimension of 0", [], [tensor("t", (4, 0))])
    put("key_empty", "an empty key", [counted("", 1)])
    put("scores_8bit", "the scores are of 8 bits", [model, tokens, listed("tokenizer.ggml.scores", 0, "B", [0] * 4), types])
    put("scores_short", "fewer scores than tokens", [model, tokens, listed("tokenizer.ggml.scores", 6, "f", [0.0]), types])
    put("types_8bit", "the kinds of the tokens are of 8 bits", [model, tokens, scores, listed("tokenizer.ggml.token_type", 1, "b", [1] * 4)])
    put("types_short", "fewer kinds than tokens", [model, tokens, scores, listed("tokenizer.ggml.token_type", 5, "i", [1])])
    put("tokens_numbers", "the tokens are numbers", [model, listed("tokenizer.ggml.tokens", 4, "I", [1, 2, 3, 4]), scores, types])
    for name in ("bos", "eos", "padding", "unknown"):
        put(f"{name}_beyond", f"the {name} token is none of the four", [model, tokens, scores, types, counted(f"tokenizer.ggml.{name}_token_id", 4_000_000)])
    put("heads_zero", "no attention head, by whose number the embedding is divided", [embedding, counted("llama.attention.head_count", 0)])
    put("heads_kv_zero", "a list of heads with a 0 among them", [embedding, listed("llama.attention.head_count", 4, "I", [2, 0])])
    whole = [*HEAD, model, tokens, scores, types, counted("tokenizer.ggml.bos_token_id", 0), counted("tokenizer.ggml.eos_token_id", 1), embedding, heads]
    family.benign("own_vocabulary.gguf", "a vocabulary whose lists are of one length", gguf(whole, [TENSOR], floats(12)))


def safetensors(header: str | bytes, body: bytes = b"", claimed: int | None = None) -> bytes:
    """A safetensors file with any header."""
    raw = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(raw) if claimed is None else claimed) + raw + body


def entry(start: int, end: int, shape: list[int] | None = None, dtype: str = "F32") -> dict[str, object]:
    """A tensor's entry."""
    return {"dtype": dtype, "shape": [(end - start) // 4] if shape is None else shape, "data_offsets": [start, end]}


def _safetensors(family: Family) -> None:
    put = family.hostile
    one, body = json.dumps({"a": entry(0, 16)}), floats(4)
    put("length_beyond.safetensors", "the header is longer than the file", safetensors(one, body, 10_000))
    put("length_2e63.safetensors", "the header claims 2^63 bytes", safetensors(one, body, 2**63), "ATLAS AML.T0029")
    put("length_zero.safetensors", "the header claims no byte", safetensors(one, body, 0))
    put("length_over_limit.safetensors", "the header claims 200 MB", safetensors(one, body, 200_000_000))
    put("overlap.safetensors", "two tensors overlap", safetensors(json.dumps({"a": entry(0, 16), "b": entry(8, 24)}), floats(6)))
    put("same_range.safetensors", "two tensors over the same bytes", safetensors(json.dumps({"a": entry(0, 16), "b": entry(0, 16)}), body))
    put("gap.safetensors", "a gap between tensors holds a pickle", safetensors(json.dumps({"a": entry(0, 16), "b": entry(16 + len(EVIL), 32 + len(EVIL))}), body + EVIL + body))
    put("gap_first.safetensors", "a gap before the first tensor", safetensors(json.dumps({"a": entry(8, 24)}), floats(6)))
    put("duplicate_keys.safetensors", "a tensor's name stands twice", safetensors('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}}', floats(8)))
    put("duplicate_field.safetensors", "data_offsets stands twice in one entry", safetensors('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"data_offsets":[16,32]}}', floats(8)))
    put("duplicate_metadata.safetensors", "__metadata__ stands twice", safetensors('{"__metadata__":{"a":"b"},"__metadata__":{"c":"d"},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', body))
    put("trailing.safetensors", "bytes behind the last tensor", safetensors(one, body + b"trailing"))
    put("trailing_pickle.safetensors", "a hostile pickle behind the last tensor", safetensors(one, body + EVIL))
    put("trailing_zip.safetensors", "a torch zip behind the last tensor", safetensors(one, body + zip_bytes([("archive/data.pkl", EVIL)])))
    put("offsets_reversed.safetensors", "an end before its start", safetensors(json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}), body))
    put("offsets_beyond.safetensors", "a tensor beyond the file", safetensors(json.dumps({"a": entry(0, 1600)}), body))
    put("offsets_negative.safetensors", "a negative offset", safetensors(json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [-16, 0]}}), body))
    put("offsets_float.safetensors", "a fractional offset", safetensors('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0.0,16.0]}}', body))
    put("shape_overflow.safetensors", "the product of the shape overflows to the length", safetensors(json.dumps({"a": entry(0, 16, [2**32, 2**32, 4])}), body))
    put("shape_mismatch.safetensors", "the shape disagrees with the offsets", safetensors(json.dumps({"a": entry(0, 16, [5])}), body))
    put("dtype_unknown.safetensors", "an unknown dtype", safetensors(json.dumps({"a": entry(0, 16, [4], "PY")}), body))
    put("metadata_not_text.safetensors", "__metadata__ holds an object", safetensors(json.dumps({"__metadata__": {"a": {"b": 1}}, "a": entry(0, 16)}), body))
    put("metadata_pickle.safetensors", "trailing whitespace in the header is a hostile pickle", safetensors(one.encode() + EVIL, body))
    put("not_object.safetensors", "the header is a list", safetensors("[1]", body))
    put("bad_json.safetensors", "the header is not JSON", safetensors("{'a': 1}", body))
    put("bad_utf8.safetensors", "the header is not UTF-8", safetensors(b'{"\xff":1}', body))
    put("deep_json.safetensors", "a header of 50,000 brackets", safetensors("[" * 50_000 + "]" * 50_000, body), "ATLAS AML.T0029")
    put("bom.safetensors", "the header begins with a byte order mark", safetensors(b"\xef\xbb\xbf" + one.encode(), body))
    put("polyglot_header.safetensors", "the header is followed by a NUL and a second one", safetensors(one.encode() + b"\0" + one.encode(), body))
    for name, blank in (("space", b" "), ("newline", b"\n"), ("tab", b"\t"), ("many", b" " * 500)):
        put(f"blank_{name}.safetensors", f"the header begins with a blank: {name}", safetensors(blank + one.encode(), body))
