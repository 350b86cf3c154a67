"""Keras: hostile `.keras` archives and HDF5 files, written from the documented formats with h5py."""

import base64
import io
import json
import marshal

import h5py

from .corpus import CODE, Family, Sample, zip_bytes
from .pickle_tricks import EVIL

BYTECODE = base64.b64encode(marshal.dumps(compile(f"lambda x: {CODE}", "sample", "eval").co_consts[0])).decode()


def samples() -> list[Sample]:
    """Both families."""
    zipped, hdf5 = Family("keras"), Family("keras-hdf5")
    _zipped(zipped)
    _hdf5(hdf5)
    return zipped.samples + hdf5.samples


def layer(class_name: str, module: str = "keras.layers", registered: str | None = None, **config: object) -> dict[str, object]:
    """A layer's serialised form in Keras 3."""
    return {"module": module, "class_name": class_name, "config": {"name": class_name.lower(), "trainable": True, "dtype": "float32", **config}, "registered_name": registered}


def function(value: str, module: str = "builtins") -> dict[str, object]:
    """A function's serialised form."""
    return {"module": module, "class_name": "function", "config": value, "registered_name": "function"}


def sequential(*layers: dict[str, object], **more: object) -> dict[str, object]:
    """A sequential model."""
    first = layer("InputLayer", batch_shape=[None, 4])
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "sequential", "layers": [first, *layers], **more}, "registered_name": None, "build_config": {"input_shape": [None, 4]}}


LAMBDA = {"class_name": "__lambda__", "config": {"code": BYTECODE, "defaults": None, "closure": None}}
DENSE = layer("Dense", units=4, activation="relu")


def weights() -> bytes:
    """A small HDF5 file of weights."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", data=[[0.5] * 4] * 4)
        group.create_dataset("1", data=[0.0] * 4)
    return out.getvalue()


def keras_zip(config: object, extra: list[tuple[str, bytes]] | None = None, stored: bytes | None = None) -> bytes:
    """A `.keras` archive."""
    raw = config if isinstance(config, bytes) else json.dumps(config).encode()
    meta = json.dumps({"keras_version": "3.12.0", "date_saved": "2024-01-01@00:00:00"}).encode()
    return zip_bytes([("metadata.json", meta), ("config.json", raw), ("model.weights.h5", weights() if stored is None else stored), *(extra or [])])


def _zipped(family: Family) -> None:
    put = family.hostile
    evil = layer("Lambda", function=LAMBDA)
    reference = "CVE-2024-3660"
    put("lambda.keras", "a Lambda layer with bytecode", keras_zip(sequential(DENSE, evil)), reference)
    put("lambda_nested.keras", "a Lambda within a sub-model within a sub-model", keras_zip(sequential(sequential(sequential(evil)))), reference)
    put("lambda_time_distributed.keras", "a Lambda wrapped by TimeDistributed", keras_zip(sequential(layer("TimeDistributed", layer=evil))), reference)
    put("lambda_bidirectional.keras", "a Lambda as the backward layer of Bidirectional", keras_zip(sequential(layer("Bidirectional", layer=layer("LSTM", units=2), backward_layer=evil))), reference)
    put("lambda_output_shape.keras", "the output shape of a Lambda is bytecode", keras_zip(sequential(layer("Lambda", function=function("relu", "keras.activations"), output_shape=LAMBDA))), reference)
    put("lambda_old_list.keras", "a Lambda in the form of Keras 2", keras_zip(sequential(layer("Lambda", function=[BYTECODE, None, None], function_type="lambda"))), reference)
    put("lambda_in_activation.keras", "bytecode as an activation", keras_zip(sequential(layer("Dense", units=4, activation=LAMBDA))), reference)
    put("lambda_in_compile.keras", "bytecode as the loss of compile_config", keras_zip({**sequential(DENSE), "compile_config": {"optimizer": "adam", "loss": LAMBDA}}), reference)
    put("lambda_in_initializer.keras", "bytecode as an initialiser", keras_zip(sequential(layer("Dense", units=4, kernel_initializer=LAMBDA))), reference)
    reference = "CVE-2025-1550"
    put("module_os.keras", "a function of the module os", keras_zip(sequential(layer("Dense", units=4, activation=function("system", "os")))), reference)
    put("module_builtins.keras", "eval as an activation", keras_zip(sequential(layer("Dense", units=4, activation=function("eval", "builtins")))), reference)
    put("class_foreign.keras", "a layer of a foreign module", keras_zip(sequential(layer("Net", "custody_unheard_of"))), reference)
    put("class_subprocess.keras", "subprocess.Popen as a layer", keras_zip(sequential(layer("Popen", "subprocess"))), reference)
    put("model_foreign.keras", "the model itself is of a foreign module", keras_zip({**sequential(DENSE), "module": "custody_unheard_of", "class_name": "Net"}), reference)
    put("registered_foreign.keras", "a registered name of a foreign package", keras_zip(sequential(layer("Net", "keras.layers", "custody>Net"))), reference)
    put("module_prefix.keras", "the module only begins with keras: keras_evil", keras_zip(sequential(layer("Dense", "keras_evil.layers"))), reference)
    put("module_inner.keras", "a function of a keras module that is none of its own: keras.utils.io_utils.sys", keras_zip(sequential(layer("Dense", units=4, activation=function("exit", "keras.src.utils.io_utils.sys")))), reference)
    put("get_file.keras", "keras.utils.get_file as a function", keras_zip(sequential(layer("Dense", units=4, activation=function("get_file", "keras.utils")))), "CVE-2025-8747")
    put("tfsm.keras", "a TFSMLayer that loads another folder", keras_zip(sequential(layer("TFSMLayer", filepath="/tmp/custody-sample", call_endpoint="serve"))), "CVE-2026-1462")
    put("torch_module.keras", "a TorchModuleWrapper with a pickled module", keras_zip(sequential(layer("TorchModuleWrapper", module={"class_name": "__torch__", "value": base64.b64encode(EVIL).decode()}))), "CVE-2025-49655")
    put("string_lookup.keras", "a StringLookup whose vocabulary is a file of the host", keras_zip(sequential(layer("StringLookup", vocabulary="/etc/passwd"))), "CVE-2025-12058")
    put("integer_lookup.keras", "an IntegerLookup whose vocabulary is a URL", keras_zip(sequential(layer("IntegerLookup", vocabulary="http://127.0.0.1:9/x"))), "CVE-2025-12058")
    put("text_vectorization.keras", "a TextVectorization whose vocabulary is a file of the host", keras_zip(sequential(layer("TextVectorization", vocabulary="/etc/passwd"))), "CVE-2025-12058")
    put("enable_unsafe.keras", "the config calls enable_unsafe_deserialization", keras_zip(sequential(layer("Dense", units=4, activation=function("enable_unsafe_deserialization", "keras.config")), evil)), "CVE-2025-9906")
    put("enable_unsafe_src.keras", "the same by its inner module", keras_zip(sequential(layer("Dense", units=4, activation=function("enable_unsafe_deserialization", "keras.src.saving.serialization_lib")))), "CVE-2025-9906")
    put("bom.keras", "config.json begins with a byte order mark and holds a Lambda", keras_zip(b"\xef\xbb\xbf" + json.dumps(sequential(evil)).encode()))
    put("invalid_json.keras", "config.json is not JSON", keras_zip(b"{'class_name': 'Lambda'"))
    put("utf16.keras", "config.json in UTF-16 with a Lambda", keras_zip(json.dumps(sequential(evil)).encode("utf-16")))
    put("duplicate_key.keras", "class_name stands twice in a layer, the second is Lambda", keras_zip(json.dumps(sequential(evil)).replace('"class_name": "Lambda"', '"class_name": "Dense", "class_name": "Lambda"').encode()))
    put("escaped_name.keras", "Lambda written with escapes", keras_zip(json.dumps(sequential(evil)).replace('"Lambda"', '"\\u004cambda"').encode()))
    put("two_configs.keras", "config.json stands twice in the archive", keras_zip(sequential(DENSE), [("config.json", json.dumps(sequential(evil)).encode())]))
    put("no_config.keras", "an archive without config.json", zip_bytes([("metadata.json", b"{}"), ("model.weights.h5", weights())]))
    put("pickle_member.keras", "a hostile pickle among the assets", keras_zip(sequential(DENSE), [("assets/vocabulary.pkl", EVIL)]))
    put("npz_weights.keras", "the weights are a hostile pickle", keras_zip(sequential(DENSE), stored=EVIL))
    put("python_member.keras", "Python source within the archive", keras_zip(sequential(DENSE), [("custom.py", f"import os\n{CODE}\n".encode())]))
    put("deep_json.keras", "config.json of 50,000 brackets", keras_zip(b"[" * 50_000 + b"]" * 50_000), "ATLAS AML.T0029")
    family.benign("own_dense.keras", "a dense model by the documented format", keras_zip(sequential(DENSE, layer("Dropout", rate=0.2))), "own writer after the documented layout")


def hdf5(config: object, external: str = "", link: str = "", key: str = "model_config") -> bytes:
    """A Keras 2 HDF5 file."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs[key] = config if isinstance(config, (str, bytes)) else json.dumps(config)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"dense"]
        group.create_dataset("dense/kernel:0", data=[[0.5] * 4] * 4)
        if external:
            group.create_dataset("dense/bias:0", (4,), "f4", external=[(external, 0, 16)])
        if link:
            group["linked"] = h5py.ExternalLink(link, "/secret")
    return out.getvalue()


def _hdf5(family: Family) -> None:
    put = family.hostile
    evil = {"class_name": "Lambda", "config": {"name": "l", "function": {"class_name": "__tuple__", "items": [BYTECODE, None, None]}, "function_type": "lambda"}}
    dense = {"class_name": "Dense", "config": {"name": "dense", "units": 4, "activation": "relu"}}
    def model(*layers: object) -> dict[str, object]:
        return {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}

    reference = "CVE-2024-3660, CVE-2025-9905"
    put("lambda.h5", "a Lambda layer in an HDF5 file", hdf5(model(dense, evil)), reference)
    put("lambda.hdf5", "the same named .hdf5", hdf5(model(evil)), reference)
    put("named.keras", "HDF5 with a Lambda, named .keras", hdf5(model(evil)), "CVE-2025-9905")
    put("lambda_nested.h5", "a Lambda within a sub-model", hdf5(model(model(model(evil)))), reference)
    put("lambda_wrapper.h5", "a Lambda within TimeDistributed", hdf5(model({"class_name": "TimeDistributed", "config": {"name": "t", "layer": evil}})), reference)
    put("lambda_training.h5", "bytecode as the loss in training_config", hdf5({"loss": evil["config"]["function"], "optimizer_config": {"class_name": "Adam"}}, key="training_config"))
    put("lambda_spaced.h5", "the JSON is laid out with blanks and escapes", hdf5(json.dumps(model(evil), indent=4).replace("Lambda", "\\u004cambda")), reference)
    put("class_foreign.h5", "a layer of a foreign module", hdf5(model({"module": "custody_unheard_of", "class_name": "Net", "config": {}})))
    put("custom_class.h5", "a custom layer that the standard does not have", hdf5(model({"class_name": "Custody>Evil", "config": {}})))
    put("external_storage.h5", "a dataset whose bytes lie in /etc/passwd", hdf5(model(dense), external="/etc/passwd"), "CVE-2026-1669")
    put("external_link.h5", "a link to another file", hdf5(model(dense), link="/tmp/custody-sample.h5"))
    put("invalid_json.h5", "the model config is not JSON", hdf5("{'class_name': "))
    put("user_block.h5", "a hostile pickle in the user block before the HDF5", EVIL + bytes(512 - len(EVIL)) + hdf5(model(dense)))
    put("tail.h5", "a hostile pickle behind the HDF5", hdf5(model(dense)) + EVIL)
    put("truncated.h5", "an HDF5 file cut in the middle", hdf5(model(evil))[:1500])
    family.benign("own_weights.weights.h5", "weights alone", weights(), "h5py")
    family.benign("own_keras2.h5", "a Keras 2 model by the documented format", hdf5(model(dense)), "h5py")
