"""skops, PMML, MLflow, Hugging Face, NeMo and other archives: hostile samples, and benign ones by the documented layouts."""

import io
import json
import struct
import tarfile
import zlib

from . import assembler as a
from .arrays import compressed
from .corpus import CODE, COMMAND, Family, Sample, tar_bytes, zip_bytes
from .keras_files import LAMBDA, keras_zip, layer, sequential
from .pickle_tricks import EVIL
from .rawzip import DEFLATED, Member, archive
from .torch_format import floats, state_dict, zip_file
from .weights import CHATML, INJECTION, entry, safetensors

GOOD_PICKLE = a.stream(a.value({"weights": [0.5] * 8}), 4)
GOOD_SAFE = safetensors(json.dumps({"a": entry(0, 16)}), floats(4))


def samples() -> list[Sample]:
    """Every family of this module."""
    names = ("skops", "pmml", "mlflow", "huggingface", "nemo", "archives", "polyglot")
    families = {name: Family(name) for name in names}
    for name, family in families.items():
        globals()[f"_{name}"](family)
    return [sample for family in families.values() for sample in family.samples]


def skops(root: dict[str, object], extra: list[tuple[str, bytes]] | None = None) -> bytes:
    """A skops archive with one schema."""
    schema = {**root, "protocol": 1, "_skops_version": "0.13.0"}
    return zip_bytes([("schema.json", json.dumps(schema, indent=2).encode()), *(extra or [])])


def text_node(value: object) -> dict[str, object]:
    """A node of a JSON value."""
    return {"__class__": type(value).__name__, "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(value), "is_json": True, "__id__": 7}


def _skops(family: Family) -> None:
    put = family.hostile
    reference = "CVE-2025-54412"
    arguments = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [text_node(COMMAND)], "__id__": 3}
    caller = {"__class__": "methodcaller", "__module__": "operator", "__loader__": "OperatorFuncNode", "attrs": arguments, "__id__": 4}
    put("operator_methodcaller.skops", "an OperatorFuncNode of methodcaller", skops(caller), reference)
    put("operator_lie.skops", "an OperatorFuncNode whose class is told as str, whose attributes call os.system", skops({**caller, "__class__": "call", "__module__": "builtins"}), reference)
    put("operator_nested.skops", "an OperatorFuncNode deep within an estimator", skops({"__class__": "LinearRegression", "__module__": "sklearn.linear_model._base", "__loader__": "ObjectNode", "content": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "key_types": {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [], "__id__": 1}, "content": {"coef_": caller}, "__id__": 2}, "__id__": 5}), reference)
    put("method_node.skops", "a MethodNode that takes a dunder of another object", skops({"__class__": "method", "__module__": "builtins", "__loader__": "MethodNode", "content": {"func": "__reduce_ex__", "obj": text_node("x")}, "__id__": 6}), "CVE-2025-54413")
    put("function_node.skops", "a FunctionNode of os.system", skops({"__class__": "function", "__module__": "builtins", "__loader__": "FunctionNode", "content": {"module_path": "os", "function": "system"}, "__id__": 6}), reference)
    put("function_node_new.skops", "a FunctionNode of builtins.exec in the newer form", skops({"__class__": "exec", "__module__": "builtins", "__loader__": "FunctionNode", "content": "exec", "__id__": 6}))
    put("type_node.skops", "a TypeNode of subprocess.Popen", skops({"__class__": "Popen", "__module__": "subprocess", "__loader__": "TypeNode", "__id__": 6}))
    put("object_node.skops", "an ObjectNode of a foreign class", skops({"__class__": "Net", "__module__": "custody_unheard_of", "__loader__": "ObjectNode", "content": None, "__id__": 6}))
    put("reduce_node.skops", "a ReduceNode of os.system", skops({"__class__": "system", "__module__": "os", "__loader__": "ReduceNode", "reduce": {"args": arguments}, "content": None, "__id__": 6}))
    put("partial_node.skops", "a PartialNode over os.system", skops({"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "content": {"func": {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "__id__": 9}, "args": arguments, "kwds": None, "namespace": None}, "__id__": 6}))
    put("loader_unknown.skops", "a loader that skops does not have", skops({"__class__": "x", "__module__": "y", "__loader__": "EvalNode", "content": CODE, "__id__": 6}))
    put("content_escape.skops", "an array's file is outside the archive", skops({"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy", "file": "../../x.npy", "__id__": 6}))
    put("object_array.skops", "an array's file is an object array with a hostile pickle", skops({"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy", "file": "1.npy", "__id__": 6}, [("1.npy", b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n" + EVIL)]))
    put("invalid_schema.skops", "schema.json is not JSON", zip_bytes([("schema.json", b"{'__class__'")]))


PMML = """<?xml version="1.0" encoding="UTF-8"?>
{doctype}<PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4">
 <Header copyright="custody"><Application name="sample" version="1"/></Header>
 <DataDictionary numberOfFields="2">
  <DataField name="x" optype="continuous" dataType="double"/>
  <DataField name="y" optype="continuous" dataType="double"/>
 </DataDictionary>{extra}
 <RegressionModel functionName="regression" modelName="line">
  <MiningSchema><MiningField name="x"/><MiningField name="y" usageType="target"/></MiningSchema>
  <RegressionTable intercept="{intercept}"><NumericPredictor name="x" coefficient="2.5"/></RegressionTable>
 </RegressionModel>
</PMML>
"""


def pmml(doctype: str = "", extra: str = "", intercept: str = "1.5") -> bytes:
    """A small regression in PMML 4.4."""
    return PMML.format(doctype=doctype, extra=extra, intercept=intercept).encode()


def _pmml(family: Family) -> None:
    put = family.hostile
    put("doctype_file.pmml", "a DOCTYPE with an entity of a file of the host", pmml('<!DOCTYPE PMML [<!ENTITY e SYSTEM "file:///etc/passwd">]>\n', intercept="&e;"), "CWE-611")
    put("doctype_http.pmml", "a DOCTYPE with an entity by HTTP", pmml('<!DOCTYPE PMML [<!ENTITY e SYSTEM "http://127.0.0.1:9/x">]>\n', intercept="&e;"), "CWE-611")
    put("doctype_parameter.pmml", "a parameter entity", pmml('<!DOCTYPE PMML [<!ENTITY % e SYSTEM "http://127.0.0.1:9/x"> %e;]>\n'), "CWE-611")
    put("doctype_external.xml", "an external DTD, named .xml", pmml('<!DOCTYPE PMML SYSTEM "http://127.0.0.1:9/x.dtd">\n'), "CWE-611")
    laughs = "".join(f'<!ENTITY l{n} "{"".join([f"&l{n - 1};"] * 10)}">' for n in range(1, 12))
    put("billion_laughs.pmml", "entities of entities of entities", pmml(f'<!DOCTYPE PMML [<!ENTITY l0 "lol">{laughs}]>\n', intercept="&l11;"), "CWE-776")
    put("xinclude.pmml", "an XInclude of a file of the host", pmml(extra='\n <xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>'), "CWE-611")
    put("stylesheet.pmml", "an xml-stylesheet instruction", pmml().replace(b"?>\n", b'?>\n<?xml-stylesheet type="text/xsl" href="http://127.0.0.1:9/x.xsl"?>\n', 1))
    put("utf16_doctype.pmml", "the DOCTYPE in UTF-16", pmml('<!DOCTYPE PMML [<!ENTITY e SYSTEM "file:///etc/passwd">]>\n', intercept="&e;").decode().replace("UTF-8", "UTF-16").encode("utf-16"), "CWE-611")
    put("deep.pmml", "40,000 nested elements", pmml(extra="<Extension>" * 40_000 + "</Extension>" * 40_000), "ATLAS AML.T0029")
    put("truncated.pmml", "cut in the middle of an element", pmml()[:300])
    family.benign("own_regression.pmml", "a regression after the standard's examples", pmml(), "own writer after the standard")
    family.benign("own_comment.pmml", "the same with a comment that talks of <!DOCTYPE", pmml(extra="\n <!-- no <!DOCTYPE here -->"), "own writer after the standard")


ML_MODEL = """artifact_path: model
flavors:
  python_function:
    env:
      virtualenv: python_env.yaml
    loader_module: {loader}
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.11.7
{more}  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.9.1
mlflow_version: 3.17.2
model_uuid: 00000000000000000000000000000007
utc_time_created: '2024-01-01 00:00:00.000000'
"""


def mlflow(loader: str = "mlflow.sklearn", more: str = "", pickle: bytes = GOOD_PICKLE, extra: dict[str, bytes] | None = None) -> dict[str, bytes]:
    """An MLflow model folder by the documented layout."""
    files = {"MLmodel": ML_MODEL.format(loader=loader, more=more).encode(), "model.pkl": pickle, "conda.yaml": b"channels:\n- conda-forge\ndependencies:\n- python=3.11.7\n- pip:\n  - scikit-learn==1.9.1\nname: mlflow-env\n", "python_env.yaml": b"python: 3.11.7\ndependencies:\n- -r requirements.txt\n", "requirements.txt": b"scikit-learn==1.9.1\n"}
    return {**files, **(extra or {})}


def _mlflow(family: Family) -> None:
    put = family.hostile
    put("loader_module", "loader_module names a module of the model's own folder", mlflow("evil_loader", "    code: code\n", extra={"code/evil_loader.py": b"import os\ndef _load_pyfunc(path): pass\n"}), "ATLAS AML.T0011.001")
    put("loader_module_os", "loader_module is a module that is no loader", mlflow("os"))
    put("loader_module_prefix", "loader_module only begins like mlflow", mlflow("mlflow_evil.sklearn"))
    put("python_function_code", "python_function ships code, which is put on sys.path", mlflow(more="    code: code\n", extra={"code/sklearn.py": b"import os\n"}))
    put("python_model", "a Python model pickled by cloudpickle with a hostile pickle", mlflow("mlflow.pyfunc.model", "    python_model: python_model.pkl\n", extra={"python_model.pkl": EVIL}))
    put("code_path_model", "models from code: model_code_path", mlflow("mlflow.pyfunc.model", "    model_code_path: model.py\n", extra={"model.py": f"import os\n{CODE}\n".encode()}))
    put("pickle_hostile", "model.pkl is hostile", mlflow(pickle=EVIL))
    put("path_escape", "the model path leaves the folder", {**mlflow(), "MLmodel": ML_MODEL.format(loader="mlflow.sklearn", more="").replace("model_path: model.pkl", "model_path: ../../../tmp/x.pkl").encode()})
    put("requirements_url", "requirements.txt installs from a URL", mlflow(extra={"requirements.txt": b"scikit-learn\nhttp://127.0.0.1:9/evil.tar.gz\n"}), "ATLAS AML.T0011.001")
    put("requirements_index", "requirements.txt sets another index", mlflow(extra={"requirements.txt": b"--extra-index-url http://127.0.0.1:9/simple\nscikit-learn\n"}), "ATLAS AML.T0010.001")
    put("yaml_python_tag", "MLmodel holds a Python tag of YAML", {**mlflow(), "MLmodel": ML_MODEL.format(loader="mlflow.sklearn", more="    x: !!python/object/apply:os.system ['true']\n").encode()})
    put("sys_module_flow", "loader_module in YAML's flow style", {**mlflow(), "MLmodel": b"flavors: {python_function: {loader_module: evil_loader, code: code}}\n", "code/evil_loader.py": b"import os\n"})
    put("loader_quoted", "loader_module quoted with an escape", mlflow('"\\x65vil_loader"'))
    family.benign("own_sklearn", "an sklearn flavour by the documented layout", mlflow(), "own writer after the documented layout")


def huggingface(extra: dict[str, bytes] | None = None, **config: object) -> dict[str, bytes]:
    """A folder as Hugging Face's hub has it."""
    base = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4, "num_hidden_layers": 1, "torch_dtype": "float32", "transformers_version": "4.57.0", **config}
    files = {
        "config.json": json.dumps(base, indent=2).encode(),
        "generation_config.json": b'{"bos_token_id": 1, "eos_token_id": 2}',
        "tokenizer.json": json.dumps({"version": "1.0", "truncation": None, "added_tokens": [], "model": {"type": "BPE", "vocab": {"os": 0, "system": 1, "eval": 2}, "merges": []}}).encode(),
        "tokenizer_config.json": json.dumps({"tokenizer_class": "LlamaTokenizerFast", "chat_template": CHATML, "model_max_length": 2048}).encode(),
        "special_tokens_map.json": b'{"bos_token": "<s>", "eos_token": "</s>"}',
        "model.safetensors": GOOD_SAFE,
        "README.md": b"---\nlicense: apache-2.0\n---\n# Sample\n\n```python\nimport os\nos.system('true')\n```\n",
    }
    return {**files, **(extra or {})}


def _huggingface(family: Family) -> None:
    put = family.hostile
    code = {"modeling_custody.py": f"import os\n{CODE}\nclass Net: pass\n".encode()}
    put("auto_map", "auto_map names code in the folder", huggingface(code, auto_map={"AutoModelForCausalLM": "modeling_custody.Net"}), "ATLAS AML.T0011.000")
    put("auto_map_remote", "auto_map names code of another repository", huggingface(auto_map={"AutoModel": "custody/evil--modeling.Net"}))
    put("auto_map_tokenizer", "auto_map in tokenizer_config.json", huggingface({**code, "tokenizer_config.json": json.dumps({"auto_map": {"AutoTokenizer": ["modeling_custody.Net", None]}}).encode()}))
    put("auto_map_nested", "auto_map in a nested configuration", huggingface(code, text_config={"auto_map": {"AutoConfig": "modeling_custody.Net"}}))
    put("custom_pipeline", "custom_pipelines in config.json", huggingface(code, custom_pipelines={"text-generation": {"impl": "modeling_custody.Net", "pt": ["AutoModel"]}}))
    put("template", "template injection in tokenizer_config.json", huggingface({"tokenizer_config.json": json.dumps({"chat_template": INJECTION}).encode()}), "CVE-2024-34359")
    put("template_list", "template injection in a list of templates", huggingface({"tokenizer_config.json": json.dumps({"chat_template": [{"name": "default", "template": CHATML}, {"name": "tool_use", "template": INJECTION}]}).encode()}), "CVE-2024-34359")
    put("template_jinja_file", "template injection in chat_template.jinja", huggingface({"chat_template.jinja": INJECTION.encode()}), "CVE-2024-34359")
    put("template_processor", "template injection in chat_template.json", huggingface({"chat_template.json": json.dumps({"chat_template": INJECTION}).encode()}), "CVE-2024-34359")
    put("pytorch_bin", "a hostile pytorch_model.bin beside the safetensors", huggingface({"pytorch_model.bin": zip_file(EVIL, {})}))
    put("training_args", "a hostile training_args.bin", huggingface({"training_args.bin": zip_file(EVIL, {})}))
    put("optimizer", "a hostile optimizer.pt in a checkpoint folder", huggingface({"checkpoint-10/optimizer.pt": zip_file(EVIL, {})}))
    put("index_escape", "the index of the shards names a file outside", huggingface({"model.safetensors.index.json": json.dumps({"metadata": {"total_size": 16}, "weight_map": {"a": "../../etc/model.safetensors"}}).encode()}))
    put("index_pickle", "the index of the shards names a hostile pickle", huggingface({"pytorch_model.bin.index.json": json.dumps({"weight_map": {"a": "shard.bin"}}).encode(), "shard.bin": EVIL}))
    put("adapter", "a hostile adapter_model.bin", {"adapter_config.json": b'{"peft_type": "LORA", "base_model_name_or_path": "x"}', "adapter_model.bin": EVIL})
    put("diffusers_module", "model_index.json names a class of a foreign module", {"model_index.json": json.dumps({"_class_name": "StableDiffusionPipeline", "unet": ["custody_evil", "UNet"]}).encode(), "unet/custody_evil.py": b"import os\n"})
    put("sentence_transformers", "modules.json names a foreign class", {"modules.json": json.dumps([{"idx": 0, "name": "0", "path": "", "type": "custody_evil.Transformer"}]).encode(), "custody_evil.py": b"import os\n"})
    put("tf_keras_lambda", "a Keras file with a Lambda in the folder", huggingface({"model.keras": keras_zip(sequential(layer("Lambda", function=LAMBDA)))}))
    family.benign("own_llama", "an ordinary folder", huggingface(), "own writer after the documented layout")
    shards = {"model.safetensors.index.json": json.dumps({"metadata": {"total_size": 16}, "weight_map": {"a": "model-00001-of-00001.safetensors"}}).encode(), "model-00001-of-00001.safetensors": GOOD_SAFE}
    family.benign("own_sharded", "shards with their index", {name: raw for name, raw in huggingface(shards).items() if name != "model.safetensors"}, "own writer after the documented layout")
    for name, template in TEMPLATES.items():
        family.benign(f"own_template_{name}", f"an ordinary chat template: {name}", huggingface({"tokenizer_config.json": json.dumps({"chat_template": template}).encode()}), "own writer after the documented layout")


TEMPLATES = {
    "raise": "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'].strip() + ' [/INST]' }}{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}",
    "tools": "{%- if tools is defined and tools is not none %}{{- '<tools>' }}{%- for tool in tools %}{{- tool | tojson(indent=4) }}{{- '\\n' }}{%- endfor %}{{- '</tools>' }}{%- endif %}{%- for message in messages %}{{- '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\\n\\n' ~ message.content | trim ~ '<|eot_id|>' }}{%- endfor %}",
    "date": "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}{{- 'Today: ' + date_string }}{%- set ns = namespace(found=false) %}{%- for m in messages %}{%- if m.role == 'system' %}{%- set ns.found = true %}{%- endif %}{%- endfor %}{{ ns.found }}",
    "macro": "{% macro render(m) %}{{ '<' ~ m['role'] ~ '>' ~ m['content'] }}{% endmacro %}{% for m in messages %}{{ render(m) }}{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
    "split": "{% for m in messages %}{% set c = m['content'] %}{% if '</think>' in c %}{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}{{ c }}{% endfor %}{% if m.tool_calls %}{% for t in m.tool_calls %}{{ t.function.name }}{{ t.function.arguments | items | list }}{% endfor %}{% endif %}",
}


def nemo(config: str, extra: list[tuple[str, bytes]] | None = None, links: list[tuple[str, str, bytes]] | None = None, mode: str = "w") -> bytes:
    """A `.nemo` tar."""
    pickle, storages = state_dict()
    return tar_bytes([("./model_config.yaml", config.encode()), ("./model_weights.ckpt", zip_file(pickle, storages)), *(extra or [])], mode, links)


NEMO = "target: nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE\nsample_rate: 16000\npreprocessor:\n  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor\n  features: 80\noptim:\n  name: adamw\n  lr: 0.001\n"


def _nemo(family: Family) -> None:
    put = family.hostile
    reference = "CVE-2025-23304"
    put("target_system.nemo", "a `_target_` of os.system", nemo(NEMO + "evil:\n  _target_: os.system\n  command: true\n"), reference)
    put("target_exec.nemo", "a `_target_` of builtins.exec", nemo(NEMO + f"evil:\n  _target_: builtins.exec\n  _args_: [\"{CODE}\"]\n"), reference)
    put("target_nested.nemo", "a `_target_` deep within lists", nemo(NEMO + "a:\n  b:\n    - c:\n        - {_target_: subprocess.run, args: [true]}\n"), reference)
    put("target_foreign.nemo", "a `_target_` of a foreign package", nemo(NEMO.replace("nemo.collections.asr.modules.Audio", "custody_evil.Audio")), reference)
    put("target_top.nemo", "the model's own target is foreign", nemo("target: custody_evil.Model\n"), reference)
    put("target_quoted.nemo", "the key is quoted and escaped", nemo(NEMO + 'evil:\n  "\\x5ftarget_": "os.system"\n'), reference)
    put("target_dotted.nemo", "an inner module of nemo that reaches os", nemo(NEMO + "evil:\n  _target_: nemo.utils.os.system\n"), reference)
    put("get_method.nemo", "hydra's get_method of a sink", nemo(NEMO + "evil:\n  _target_: hydra.utils.get_method\n  path: os.system\n"), reference)
    put("weights_hostile.nemo", "the weights are a hostile torch file", tar_bytes([("model_config.yaml", NEMO.encode()), ("model_weights.ckpt", zip_file(EVIL, {}))]))
    put("weights_hostile_gz.nemo", "the same in gzip", _gzip(tar_bytes([("model_config.yaml", NEMO.encode()), ("model_weights.ckpt", zip_file(EVIL, {}))])))
    put("symlink.nemo", "a symbolic link out of the archive", nemo(NEMO, links=[("./tokenizer.model", "/etc/passwd", tarfile.SYMTYPE)]), "CVE-2025-23360")
    put("traversal.nemo", "a member named ../../evil", nemo(NEMO, [("../../custody-sample", b"x")]), "CVE-2025-23360")
    put("yaml_tag.nemo", "a Python tag of YAML", nemo(NEMO + "evil: !!python/object/apply:os.system ['true']\n"))
    family.benign("own_asr.nemo", "an ordinary archive", nemo(NEMO), "own writer after the documented layout")


def _gzip(raw: bytes) -> bytes:
    """Gzip without a time."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(raw) + packer.flush()


def seven_zip(raw: bytes) -> bytes:
    """A 7z archive's signature header before opaque bytes."""
    tail = struct.pack("<QQI", len(raw), 0, 0)
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", zlib.crc32(tail)) + tail + raw


def _archives(family: Family) -> None:
    put = family.hostile
    good = [("README.md", b"# model\n"), ("model.pkl", GOOD_PICKLE)]
    evil = [*good, ("extra/model2.pkl", EVIL)]
    put("model.tar", "a tar with a hostile pickle", tar_bytes(evil))
    for mode in ("gz", "bz2", "xz"):
        raw = tar_bytes(evil)
        name = {"gz": "gzip"}.get(mode, mode)
        put(f"model.tar.{mode}", f"a tar in {mode} with a hostile pickle", compressed(raw)[name])
    put("model.tar.zst", "a tar in zstd with a hostile pickle", compressed(tar_bytes(evil))["zstd"])
    put("model.tgz.pkl", "a tar in gzip named .pkl", compressed(tar_bytes(evil))["gzip"])
    put("symlink.tar", "a tar with a symbolic link out", tar_bytes(good, links=[("weights", "../../../etc", tarfile.SYMTYPE)]), "CVE-2007-4559")
    put("hardlink.tar", "a tar with a hard link out", tar_bytes(good, links=[("weights", "../../../etc/passwd", tarfile.LNKTYPE)]), "CVE-2007-4559")
    put("symlink_then_file.tar", "a link to /tmp, then a file below it", tar_bytes([*good, ("weights/custody-sample", b"x")], links=[("weights", "/tmp", tarfile.SYMTYPE)]), "CVE-2007-4559")
    put("device.tar", "a tar with a device", tar_bytes(good, links=[("null", "", tarfile.CHRTYPE)]))
    put("fifo.tar", "a tar with a pipe", tar_bytes(good, links=[("pipe", "", tarfile.FIFOTYPE)]))
    put("traversal.tar", "a tar with a name that leaves it", tar_bytes([*good, ("../../custody-sample", b"x")]), "CVE-2007-4559")
    put("absolute.tar", "a tar with an absolute name", tar_bytes([*good, ("/tmp/custody-sample", b"x")]), "CVE-2007-4559")
    put("after_end.tar", "a second tar behind the end of the first", tar_bytes(good) + tar_bytes([("model.pkl", EVIL)]))
    put("bad_checksum.tar", "a header with a wrong checksum before the hostile member", _break_checksum(tar_bytes(evil)))
    put("traversal.zip", "a zip with a name that leaves it", zip_bytes([*good, ("../../custody-sample", b"x")]), "CVE-2007-4559")
    put("nested.zip", "tar.gz in zip in tar", tar_bytes([("a.zip", zip_bytes([("b.tar.gz", compressed(tar_bytes(evil))["gzip"])]))]))
    deep = EVIL
    for level in range(40):
        deep = zip_bytes([(f"level{level}.zip" if level else "model.pkl", deep)])
    put("nested_40.zip", "forty zips in one another", deep, "ATLAS AML.T0029")
    put("encrypted.zip", "a password-protected zip", archive([Member("model.pkl", bytes(12) + EVIL, flags=1)]))
    put("seven.7z", "a 7z archive, whose inside no reader here opens", seven_zip(compressed(EVIL)["lzma"]))
    put("seven.pt", "a 7z archive named .pt (nullifAI)", seven_zip(compressed(EVIL)["lzma"]), "ATLAS AML.T0076")
    put("rar.bin", "a RAR signature before opaque bytes", b"Rar!\x1a\x07\x01\x00" + bytes(64) + EVIL)
    put("bomb_overlap.zip", "many entries over the same packed bytes", _overlapping(), "ATLAS AML.T0029")
    put("many_members.zip", "15,000 empty members and a hostile one", zip_bytes([(f"{n}", b"") for n in range(15_000)] + [("m.pkl", EVIL)]))
    put("hidden_dotfile", "a folder with a hostile pickle in a hidden folder", {"model.safetensors": GOOD_SAFE, ".cache/.x": EVIL})
    put("site_folder", "a folder with a hostile pickle in a sub-folder named site", {"model.safetensors": GOOD_SAFE, "site/custody.pth.pkl": EVIL})
    put("numpy_in_tar.tar", "a tar with a hostile object array", tar_bytes([("a.npy", b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n" + EVIL)]))
    put("sparse_size.tar", "a member that claims 8 GiB", _oversized(), "ATLAS AML.T0029")
    put("long_name.tar", "the hostile pickle has a very long name (GNU long link)", _long_name())
    source = "Python's zipfile and tarfile"
    family.benign("plain.zip", "a zip of text and data", zip_bytes([*good, ("data.csv", b"a,b\n1,2\n")], 8), source)
    family.benign("plain.tar", "a tar of text and data", tar_bytes(good), source)
    for mode, name in (("gz", "gzip"), ("bz2", "bz2"), ("xz", "xz"), ("zst", "zstd")):
        family.benign(f"plain.tar.{mode}", f"a tar in {name}", compressed(tar_bytes(good))[name], source)
    family.benign("link_inside.tar", "a tar with a symbolic link within itself", tar_bytes(good, links=[("latest", "model.pkl", tarfile.SYMTYPE)]), source)
    family.benign("nested.zip", "a zip within a zip", zip_bytes([("inner.zip", zip_bytes(good))]), source)
    family.benign("model_folder", "text, tables, a licence and a picture beside a model", {"license.dat": b"Apache License, Version 2.0\n" * 20, "README.md": b"# A model\nUses os.system? No.\n", "data.csv": b"a,b\n1,2\n", "params.yaml": b"depth: 3\n", "metrics.json": b'{"auc": 0.9}', "plot.png": _png(), "model.safetensors": GOOD_SAFE, "notes.txt": b"pickle.loads(eval)\n"})
    family.benign("license.dat", "a licence named .dat", b"Apache License\nVersion 2.0, January 2004\n" * 30)
    family.benign("openvino_folder", "an OpenVINO model: XML and raw weights", {"model.xml": b'<?xml version="1.0"?>\n<net name="line" version="11"><layers><layer id="0" name="x" type="Parameter" version="opset1"/></layers><edges/></net>\n', "model.bin": floats(64)})


def _break_checksum(raw: bytes) -> bytes:
    """Spoils the checksum of the second header."""
    at = raw.index(b"model.pkl") + 148
    return raw[:at] + b"777777" + raw[at + 6 :]


def _oversized() -> bytes:
    """A tar header of 8 GiB with hardly a body."""
    info = tarfile.TarInfo("model.pkl")
    info.size, info.mtime = 8 * 2**30 - 1, 0
    return info.tobuf(tarfile.USTAR_FORMAT) + EVIL.ljust(512, b"\0")


def _long_name() -> bytes:
    """A GNU tar with a long name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as file:
        info = tarfile.TarInfo("d/" * 120 + "model.pkl")
        info.size, info.mtime = len(EVIL), 0
        file.addfile(info, io.BytesIO(EVIL))
    return out.getvalue()


def _overlapping() -> bytes:
    """A zip whose central directory lists one packed member 2,000 times."""
    raw = archive([Member("a", bytes(8_000_000), method=DEFLATED)])
    start, end = raw.index(b"PK\x01\x02"), raw.rindex(b"PK\x05\x06")
    central = b"".join(raw[start:end][:46] + bytes([97 + n % 26]) for n in range(2000))
    return raw[:start] + central + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 2000, 2000, len(central), start, 0)


def _png() -> bytes:
    """One grey dot."""
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b"")


def _polyglot(family: Family) -> None:
    put = family.hostile
    hidden = zip_bytes([("archive/data.pkl", EVIL), ("archive/version", b"3\n")])
    put("png_zip.png", "a picture with a torch zip behind it", _png() + hidden)
    put("png_pickle.png", "a picture with a hostile pickle behind it", _png() + EVIL)
    put("json_pickle.json", "a JSON document with a hostile pickle behind it", b'{"a": 1}\n' + EVIL)
    put("text_pickle.txt", "protocol 0 that reads like text", b"cos\nsystem\n(S'echo custody-sample'\ntR.")
    put("csv_pickle.csv", "a pickle of protocol 0 that begins like a table", b"I1\n0I2\n0cos\nsystem\n(V" + COMMAND.encode() + b"\ntR.")
    put("tar_zip.tar", "a tar with a torch zip behind it", tar_bytes([("a.txt", b"x")]) + hidden)
    put("zip_in_pickle_bytes.pkl", "a hostile pickle whose constant is an innocent torch zip", a.stream(a.data(hidden) + a.POP + a.call("os", "system", (COMMAND,), 3), 3))
    put("xml_zip.pmml", "a PMML document with a zip behind it", pmml() + hidden)
    put("html.onnx", "a web page with a script named .onnx", b"<!DOCTYPE html><script>1</script>")
    put("script.bin", "a shell script named .bin", f"#!/bin/sh\n{COMMAND}\n".encode())
    put("elf.safetensors", "an ELF executable's head named .safetensors", b"\x7fELF\x02\x01\x01" + bytes(57))
    put("pe.onnx", "a Windows executable's head named .onnx", b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0" + bytes(64))
    put("pyc.pkl", "compiled Python named .pkl", b"\xa7\r\r\n" + bytes(12) + b"\xe3" + bytes(20))
