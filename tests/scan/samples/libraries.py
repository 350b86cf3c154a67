"""Benign samples written by the real libraries: scikit-learn, NumPy, pandas, SciPy, XGBoost, LightGBM, ONNX and others."""

import functools
import io
import json
import logging
import os
import pickle
import re
import tempfile
import warnings
import zipfile
from pathlib import Path

import cloudpickle
import dill
import gguf
import joblib
import lightgbm
import numpy as np
import onnx
import pandas as pd
import safetensors.numpy
import scipy.interpolate
import scipy.optimize
import scipy.sparse
import scipy.spatial
import scipy.stats._distr_params
import skops.io
import xgboost
from onnx import external_data_helper, helper, numpy_helper

from . import lightgbm_text
from .corpus import Family, Sample, zip_bytes
from .estimators import fitted
from .folders import TEMPLATES
from .weights import CHATML


def samples() -> list[Sample]:
    """Every sample of a real library."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    models = fitted()
    forget_addresses(models)
    families = [part(models) for part in (_sklearn, _joblib, _boosters, _skops, _onnx)]
    families.extend(part() for part in (_numpy, _frames, _pickles, _safetensors, _gguf, _keras))
    families.append(_mlflow(models))
    return [sample for family in families for sample in family.samples]


def forget_addresses(models: dict[str, object]) -> None:
    """Vectorizers keep the address of their stop words; a fixed number stands for it."""
    for model in models.values():
        for part in (model, *(step for _, step in getattr(model, "steps", ()))):
            if hasattr(part, "_stop_words_id"):
                part._stop_words_id = 140_000_000_000_000


def bytes_of(write: object, suffix: str = "") -> bytes:
    """What `write` puts at a path."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / f"sample{suffix}")
        write(path)
        return Path(path).read_bytes()


def files_of(write: object) -> dict[str, bytes]:
    """What `write` puts below a folder."""
    with tempfile.TemporaryDirectory() as folder:
        write(folder)
        root = Path(folder)
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _sklearn(models: dict[str, object]) -> Family:
    """Each estimator by pickle, the protocol goes round; some in all."""
    family = Family("sklearn")
    for number, (name, model) in enumerate(models.items()):
        everywhere = name in ("LogisticRegression", "RandomForestClassifier", "TfidfVectorizer")
        for version in range(6) if everywhere else (2 + number % 4,):
            family.benign(f"{name}.p{version}.pkl", f"a fitted {name}, pickle protocol {version}", pickle.dumps(model, version), "scikit-learn")
    return family


def _joblib(models: dict[str, object]) -> Family:
    """Estimators by joblib in every compression that it knows."""
    family = Family("joblib")
    for name, model in models.items():
        if name in COMPRESSED:
            continue
        family.benign(f"{name}.joblib", f"a fitted {name}", bytes_of(lambda path, model=model: joblib.dump(model, path)), "scikit-learn, joblib")
    for name in COMPRESSED:
        for method in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4"):
            raw = bytes_of(lambda path, name=name, method=method: joblib.dump(models[name], path, compress=(method, 3)))
            family.benign(f"{name}.{method}.joblib", f"a fitted {name}, {method}", raw, "scikit-learn, joblib")
    arrays = {"c": np.arange(12.0).reshape(3, 4), "f": np.asfortranarray(np.arange(12.0).reshape(3, 4)), "o": np.array(["a", None], dtype=object), "e": np.zeros((0, 3))}
    family.benign("arrays.joblib", "arrays in both orders, of objects, empty", bytes_of(lambda path: joblib.dump(arrays, path)), "joblib")
    family.benign("arrays.p4.joblib", "the same in protocol 4", bytes_of(lambda path: joblib.dump(arrays, path, protocol=4)), "joblib")
    family.benign("uncompressed.pkl", "an estimator named .pkl", bytes_of(lambda path: joblib.dump(models["Ridge"], path)), "scikit-learn, joblib")
    return family


COMPRESSED = ("RandomForestRegressor", "PipelineColumns", "TfidfVectorizer")


def _boosters(models: dict[str, object]) -> Family:
    """XGBoost and LightGBM in all their formats."""
    family = Family("boosters")
    random = np.random.default_rng(3)
    x = random.normal(size=(60, 4))
    y = (x[:, 0] > 0).astype(int)
    tree = xgboost.XGBClassifier(n_estimators=4, max_depth=2, n_jobs=1).fit(x, y)
    family.benign("xgboost.pkl", "an XGBClassifier by pickle", pickle.dumps(tree), "XGBoost")
    family.benign("xgboost.joblib", "an XGBClassifier by joblib", bytes_of(lambda path: joblib.dump(tree, path)), "XGBoost, joblib")
    family.benign("xgboost_booster.pkl", "a Booster by pickle", pickle.dumps(tree.get_booster()), "XGBoost")
    family.benign("xgboost_regressor.pkl", "an XGBRegressor by pickle", pickle.dumps(xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(x, y), 4), "XGBoost")
    for suffix in (".json", ".ubj"):
        family.benign(f"xgboost{suffix}", f"a booster as {suffix}", bytes_of(tree.save_model, suffix), "XGBoost")
    light = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1, n_jobs=1, random_state=0).fit(x, y)
    family.benign("lightgbm.pkl", "an LGBMClassifier by pickle", pickle.dumps(light), "LightGBM")
    family.benign("lightgbm_regressor.joblib", "an LGBMRegressor by joblib", bytes_of(lambda path: joblib.dump(lightgbm.LGBMRegressor(n_estimators=2, verbose=-1, n_jobs=1).fit(x, y), path)), "LightGBM, joblib")
    family.benign("lightgbm_booster.pkl", "a Booster by pickle", pickle.dumps(light.booster_), "LightGBM")
    family.benign("lightgbm.txt", "a booster as text", bytes_of(light.booster_.save_model), "LightGBM")
    _lightgbm_texts(family, x, y)
    _xgboost_files(family, x, y)
    return family


def _lightgbm_texts(family: Family, x: np.ndarray, y: np.ndarray) -> None:
    """LightGBM's text as its versions 2 to 4 write it, the present one by the library itself."""
    for version in lightgbm_text.VERSIONS:
        kinds = ("plain", "categorical", "constant", *(("linear",) if version in ("3.3", "4.6") else ()))
        for kind in kinds:
            trees = [lightgbm_text.tree(version, kind) for _ in range(1 if kind == "constant" else 2)]
            family.benign(f"lightgbm_{kind}_{version}.txt", f"{kind} trees as LightGBM {version} writes them", lightgbm_text.model(version, trees), "own writer after LightGBM")
        three = lightgbm_text.model(version, [lightgbm_text.tree(version)] * 6, num_class="3", num_tree_per_iteration="3", objective="multiclass num_class:3")
        family.benign(f"lightgbm_classes_{version}.txt", f"three classes as LightGBM {version} writes them", three, "own writer after LightGBM")
    table = np.c_[x, np.arange(60) % 7]
    options = {"verbose": -1, "num_threads": 1, "seed": 0, "min_data_in_leaf": 3, "num_leaves": 6, "deterministic": True}
    kinds = {
        "categorical": ({"objective": "binary", "max_cat_to_onehot": 1, "min_data_per_group": 1}, y),
        "linear": ({"objective": "regression", "linear_tree": True}, x @ np.array([1.0, 2.0, 0.0, -1.0])),
        "classes": ({"objective": "multiclass", "num_class": 3}, np.arange(60) % 3),
        "forest": ({"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}, y),
        "dart": ({"objective": "binary", "boosting": "dart"}, y),
        "constant": ({"objective": "regression", "min_data_in_leaf": 100}, y),
    }
    for name, (more, target) in kinds.items():
        data = lightgbm.Dataset(table, label=target, categorical_feature=[4] if name == "categorical" else [], params={**options, **more})
        booster = lightgbm.train({**options, **more}, data, 3)
        family.benign(f"lightgbm_{name}.txt", f"a booster as text: {name}", bytes_of(lambda path, booster=booster: booster.save_model(path)), "LightGBM")
        family.benign(f"lightgbm_{name}.json", f"a booster as JSON: {name}", json.dumps(booster.dump_model()).encode(), "LightGBM")
        family.benign(f"lightgbm_{name}_booster.pkl", f"a Booster by pickle: {name}", pickle.dumps(booster), "LightGBM")


def _xgboost_files(family: Family, x: np.ndarray, y: np.ndarray) -> None:
    """XGBoost's own formats, of each kind of booster; and its configuration."""
    frame = pd.DataFrame({"income": x[:, 0], "city": pd.Categorical(np.array(["a", "b", "c", "d", "e", "f"])[np.arange(60) % 6])})
    plain = xgboost.DMatrix(x, label=y)
    labels = np.c_[y, 1 - y]
    boosters = {
        "categorical": ({"max_cat_to_onehot": 1, "objective": "binary:logistic"}, xgboost.DMatrix(frame, label=np.arange(60) % 2, enable_categorical=True)),
        "onehot": ({"max_cat_to_onehot": 9, "objective": "binary:logistic"}, xgboost.DMatrix(frame, label=np.arange(60) % 2, enable_categorical=True)),
        "dart": ({"booster": "dart", "rate_drop": 0.5}, plain),
        "linear": ({"booster": "gblinear", "updater": "coord_descent"}, plain),
        "classes": ({"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(x, label=np.arange(60) % 3)),
        "outputs": ({"multi_strategy": "multi_output_tree", "tree_method": "hist"}, xgboost.DMatrix(x, label=labels)),
        "trees_per_output": ({"multi_strategy": "one_output_per_tree"}, xgboost.DMatrix(x, label=labels)),
        "forest": ({"num_parallel_tree": 3, "subsample": 0.7}, plain),
        "ranking": ({"objective": "rank:ndcg"}, xgboost.DMatrix(x, label=y, group=[30, 30])),
        "pruned": ({"tree_method": "exact", "gamma": 2.0, "max_depth": 4}, plain),
        "survival": ({"objective": "survival:cox"}, xgboost.DMatrix(x, label=np.abs(x[:, 0]) + 0.1)),
    }
    for name, (options, data) in boosters.items():
        booster = xgboost.train({"max_depth": 2, "nthread": 1, "seed": 0, **options}, data, 3)
        for suffix in ("json", "ubj"):
            family.benign(f"xgboost_{name}.{suffix}", f"a booster as {suffix}: {name}", bytes(booster.save_raw(suffix)), "XGBoost")
        family.benign(f"xgboost_{name}_config.json", f"the configuration of a booster: {name}", booster.save_config().encode(), "XGBoost")
        family.benign(f"xgboost_{name}_booster.pkl", f"a Booster by pickle: {name}", pickle.dumps(booster), "XGBoost")


def _skops(models: dict[str, object]) -> Family:
    """Estimators by skops."""
    family = Family("skops")
    for name in ("LogisticRegression", "RandomForestClassifier", "PipelineColumns", "KNeighborsKDTree", "TfidfVectorizer", "FunctionTransformerLog1p"):
        family.benign(f"{name}.skops", f"a fitted {name}", settle(skops.io.dumps(models[name])), "skops, scikit-learn")
    return family


def _onnx(models: dict[str, object]) -> Family:
    """Converted models and hand-built ones."""
    from skl2onnx import to_onnx

    family = Family("onnx")
    x = np.zeros((1, 4), dtype=np.float32)
    for name in ("LogisticRegression", "RandomForestClassifier", "StandardScaler", "MLPClassifier", "GradientBoostingRegressor", "KNeighborsBrute"):
        family.benign(f"{name}.onnx", f"a converted {name}", to_onnx(models[name], x).SerializeToString(deterministic=True), "skl2onnx, scikit-learn")
    weight = numpy_helper.from_array(np.ones((4, 300), dtype=np.float32), "w")
    value = helper.make_tensor_value_info
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])], "g", [value("x", 1, [1, 4])], [value("y", 1, [1, 300])], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    family.benign("matmul.onnx", "a hand-built model", model.SerializeToString(), "onnx")
    then = helper.make_graph([helper.make_node("Identity", ["x"], ["a"])], "t", [], [value("a", 1, [1, 4])])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["b"])], "e", [], [value("b", 1, [1, 4])])
    branch = helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)], "g", [value("c", 9, []), value("x", 1, [1, 4])], [value("y", 1, [1, 4])])
    family.benign("if.onnx", "a model with branches", helper.make_model(branch, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString(), "onnx")

    def external(folder: str) -> None:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        external_data_helper.convert_model_to_external_data(copy, location="model.onnx.data", size_threshold=0)
        onnx.save(copy, str(Path(folder) / "model.onnx"))

    family.benign("external_folder", "external data beside the model", files_of(external), "onnx")
    return family


def _numpy() -> Family:
    """Arrays of all kinds."""
    family = Family("numpy")
    arrays = {
        "bool": np.array([True, False]),
        "int8": np.arange(3, dtype=np.int8),
        "uint16": np.arange(3, dtype=np.uint16),
        "int64": np.arange(3),
        "float16": np.arange(3, dtype=np.float16),
        "float32": np.zeros((3, 4), dtype=np.float32),
        "float64_fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "longdouble": np.zeros(2, dtype=np.longdouble),
        "complex128": np.array([1 + 2j]),
        "big_endian": np.arange(3, dtype=">i4"),
        "text": np.array(["os", "system"]),
        "bytes": np.array([b"eval", b"x"]),
        "datetime": np.array(["2024-01-01"], dtype="datetime64[D]"),
        "timedelta": np.array([3], dtype="timedelta64[s]"),
        "structured": np.array([(1, 2.0, "a")], dtype=[("a", "i4"), ("b", "f8"), ("c", "U3")]),
        "nested_structured": np.zeros(2, dtype=[("p", [("x", "f4"), ("y", "f4")]), ("m", "i2", (2, 2))]),
        "empty": np.zeros((0, 3)),
        "scalar": np.array(3.5),
        "objects": np.array(["a", "b", None], dtype=object),
        "void": np.zeros(2, dtype="V5"),
    }
    for name, array in arrays.items():
        family.benign(f"{name}.npy", f"an array: {name}", bytes_of(lambda path, array=array: np.save(path, array), ".npy"), "NumPy")
        if name in ("float32", "structured", "objects", "datetime", "big_endian", "complex128"):
            family.benign(f"{name}.pkl", f"an array by pickle: {name}", pickle.dumps(array, 2 + len(name) % 4), "NumPy")
    plain = {name: array for name, array in arrays.items() if name != "objects"}
    family.benign("many.npz", "an npz", bytes_of(lambda path: np.savez(path, **plain), ".npz"), "NumPy")
    family.benign("compressed.npz", "a compressed npz", bytes_of(lambda path: np.savez_compressed(path, **arrays), ".npz"), "NumPy")
    family.benign("zeros.npz", "an array of ten million zeros, packed a thousandfold", bytes_of(lambda path: np.savez_compressed(path, weights=np.zeros(10_000_000)), ".npz"), "NumPy")
    others = {
        "generator": np.random.default_rng(5),
        "random_state": np.random.RandomState(5),
        "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
        "scalars": [np.float64(1.5), np.int32(3), np.bool_(True), np.datetime64("2024-01-01"), np.str_("x")],
        "dtypes": [np.dtype("f4"), np.dtype([("a", "i4")]), np.float32],
        "matrix": np.asmatrix([[1, 2]]),
        "record": np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "polynomial": np.polynomial.Polynomial([1, 2, 3]),
        "ufuncs": [np.log1p, np.exp, np.add],
    }
    for number, (name, item) in enumerate(others.items()):
        family.benign(f"{name}.p{2 + number % 4}.pkl", f"by pickle: {name}", pickle.dumps(item, 2 + number % 4), "NumPy")
    big = np.arange(20000.0)
    buffers: list[pickle.PickleBuffer] = []
    family.benign("in_band_p5.pkl", "a large array, protocol 5 in band", pickle.dumps(big, 5), "NumPy")
    family.benign("buffers_p5_folder", "protocol 5 with its buffer out of band in a file", {"object.pkl": pickle.dumps(big, 5, buffer_callback=buffers.append), "buffer0.bin": bytes(buffers[0].raw())}, "NumPy")
    return family


def _frames() -> Family:
    """pandas and SciPy."""
    family = Family("pandas-scipy")
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, None], "c": ["os", "system"], "d": pd.Categorical(["x", "y"]), "e": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True)})
    items = {
        "frame": frame,
        "series": frame["b"],
        "index": pd.MultiIndex.from_product([["a"], [1, 2]]),
        "nullable": pd.Series([1, None], dtype="Int64"),
        "period": pd.period_range("2024-01", periods=3, freq="M"),
        "interval": pd.interval_range(0, 3),
        "timestamp": [pd.Timestamp("2024-01-01"), pd.Timedelta("1D"), pd.NaT],
        "csr": scipy.sparse.csr_matrix(np.eye(3)),
        "csc_array": scipy.sparse.csc_array(np.eye(3)),
        "coo": scipy.sparse.coo_matrix(np.eye(3)),
    }
    for number, (name, item) in enumerate(items.items()):
        version = 2 + number % 4
        family.benign(f"{name}.p{version}.pkl", f"by pickle: {name}", pickle.dumps(item, version), "pandas, SciPy")
    _scipy(family)
    family.benign("frame.pkl.gz", "DataFrame.to_pickle, gzip", bytes_of(lambda path: frame.to_pickle(path, compression={"method": "gzip", "mtime": 0}), ".pkl.gz"), "pandas")
    family.benign("csr.npz", "scipy.sparse.save_npz", bytes_of(lambda path: scipy.sparse.save_npz(path, items["csr"]), ".npz"), "SciPy")
    return family


def _scipy(family: Family) -> None:
    """Interpolators, results of optimisers, and every distribution with its parameters fixed."""
    x = np.linspace(0, 1, 9)
    for kind in ("linear", "nearest", "nearest-up", "zero", "slinear", "quadratic", "cubic", "previous", "next"):
        family.benign(f"interp1d_{kind}.pkl", f"scipy.interpolate.interp1d: {kind}", pickle.dumps(scipy.interpolate.interp1d(x, x**2, kind=kind)), "SciPy")
    interpolators = {
        "CubicSpline": scipy.interpolate.CubicSpline(x, x**2),
        "PchipInterpolator": scipy.interpolate.PchipInterpolator(x, x**2),
        "Akima1DInterpolator": scipy.interpolate.Akima1DInterpolator(x, x**2),
        "BSpline": scipy.interpolate.make_interp_spline(x, x**2),
        "UnivariateSpline": scipy.interpolate.UnivariateSpline(x, x**2),
        "RegularGridInterpolator": scipy.interpolate.RegularGridInterpolator((x, x), np.outer(x, x)),
        "RBFInterpolator": scipy.interpolate.RBFInterpolator(x[:, None], x),
    }
    for name, item in interpolators.items():
        family.benign(f"{name}.pkl", f"scipy.interpolate.{name}", pickle.dumps(item), "SciPy")
    for method in ("BFGS", "L-BFGS-B", "Nelder-Mead", "trust-constr"):
        result = scipy.optimize.minimize(lambda point: float(np.sum((point - 1) ** 2)), np.zeros(2), method=method)
        if method == "trust-constr":
            result.execution_time = 0.0
        family.benign(f"OptimizeResult_{method}.pkl", f"an OptimizeResult of {method}", pickle.dumps(result), "SciPy")
    family.benign("OptimizeResult_linear.pkl", "an OptimizeResult of linprog", pickle.dumps(scipy.optimize.linprog([1, 1], bounds=(0, 1))), "SciPy")
    # A distribution keeps the generator of the whole process.
    np.random.seed(7)
    for number, (name, shape) in enumerate((*scipy.stats._distr_params.distcont, *scipy.stats._distr_params.distdiscrete)):
        if isinstance(name, str):
            family.benign(f"distributions/{number}_{name}.pkl", f"the distribution {name}, frozen", pickle.dumps(getattr(scipy.stats, name)(*shape), number % 6), "SciPy")
    family.benign("gaussian_kde.pkl", "a kernel density", pickle.dumps(scipy.stats.gaussian_kde(x)), "SciPy")
    family.benign("cKDTree.pkl", "a tree of points", pickle.dumps(scipy.spatial.cKDTree(np.c_[x, x])), "SciPy")
    family.benign("Rotation.pkl", "a rotation", pickle.dumps(scipy.spatial.transform.Rotation.from_quat([0, 0, 0, 1])), "SciPy")


def _pickles() -> Family:
    """functools.partial and what dill and cloudpickle write for plain data."""
    family = Family("pickle-benign")
    family.benign("partial_zeros.pkl", "functools.partial(numpy.zeros)", pickle.dumps(functools.partial(np.zeros, 3, dtype=np.float32), 4), "Python's pickle")
    family.benign("partial_zeros.p2.pkl", "functools.partial(numpy.zeros), protocol 2", pickle.dumps(functools.partial(np.zeros, (2, 2)), 2), "Python's pickle")
    data = {"array": np.arange(4.0), "text": "os.system", "range": slice(1, 3)}
    family.benign("dill_array.pkl", "an array by dill", dill.dumps(data), "dill")
    family.benign("cloudpickle_array.pkl", "an array by cloudpickle", cloudpickle.dumps(data), "cloudpickle")
    return family


def _safetensors() -> Family:
    """Tensors of the real library."""
    family = Family("safetensors")
    tensors = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.zeros(3, dtype=np.float16), "i": np.arange(3)}
    family.benign("plain.safetensors", "three tensors", safetensors.numpy.save(tensors), "safetensors")
    family.benign("metadata.safetensors", "with metadata", safetensors.numpy.save(tensors, {"note": "os.system eval"}), "safetensors")
    family.benign("empty.safetensors", "no tensor", safetensors.numpy.save({}), "safetensors")
    family.benign("zero_size.safetensors", "a tensor without elements", safetensors.numpy.save({"z": np.zeros((0, 4), dtype=np.float32), "a": np.ones(2)}), "safetensors")
    return family


def _gguf() -> Family:
    """GGUF of the real library with ordinary templates."""
    family = Family("gguf")

    def write(path: str, template: str, kind: str) -> None:
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_name("custody sample")
        writer.add_context_length(128)
        writer.add_tokenizer_model("llama")
        writer.add_token_list(["<s>", "os", "system"])
        writer.add_token_scores([0.0, 1.0, 2.0])
        if kind == "named":
            writer.add_chat_template([{"name": "default", "template": template}, {"name": "tool_use", "template": CHATML}])
        else:
            writer.add_chat_template(template)
        writer.add_tensor("token_embd.weight", np.ones((3, 32), dtype=np.float32))
        writer.add_tensor("output.weight", np.ones((3, 32), dtype=np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    for name, template in {"chatml": CHATML, **TEMPLATES}.items():
        family.benign(f"{name}.gguf", f"an ordinary chat template: {name}", bytes_of(lambda path, template=template: write(path, template, "")), "gguf")
    family.benign("named.gguf", "two named templates", bytes_of(lambda path: write(path, CHATML, "named")), "gguf")
    return family


def _keras() -> Family:
    """Models saved by the real Keras on its JAX backend."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    family = Family("keras")
    keras.utils.set_random_seed(1)
    layers = keras.layers
    dense = keras.Sequential([layers.Input((4,)), layers.Dense(8, activation="relu"), layers.Dropout(0.2), layers.BatchNormalization(), layers.Dense(1, activation="sigmoid")])
    dense.compile("adam", "binary_crossentropy", ["accuracy"])
    image = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3, padding="same"), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(2, activation="softmax")])
    text = keras.Sequential([layers.Input((6,), dtype="int32"), layers.Embedding(10, 4), layers.Bidirectional(layers.LSTM(3)), layers.Dense(1)])
    x = keras.Input((4,))
    y = layers.Concatenate()([dense(x), layers.Dense(2, kernel_regularizer="l2", kernel_initializer="he_normal")(x)])
    nested = keras.Model(x, layers.LayerNormalization()(y))
    steps = keras.Sequential([layers.Input((3, 4)), layers.TimeDistributed(layers.Dense(2)), layers.GlobalAveragePooling1D()])
    for name, model in {"dense": dense, "image": image, "text": text, "nested": nested, "time_distributed": steps}.items():
        family.benign(f"{name}.keras", f"a {name} model", settle(bytes_of(model.save, ".keras")), "Keras (JAX backend)")
        family.benign(f"{name}.h5", f"a {name} model in HDF5", bytes_of(model.save, ".h5"), "Keras (JAX backend)")
    family.benign("dense.weights.h5", "weights alone", bytes_of(dense.save_weights, ".weights.h5"), "Keras (JAX backend)")
    return family


def settle(raw: bytes) -> bytes:
    """The same archive with fixed times, without the addresses of objects, which the libraries use as ids, and the date of
    saving; what it holds is untouched otherwise."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
        method = archive.infolist()[0].compress_type
    ids: dict[bytes, bytes] = {}

    def number(match: re.Match[bytes]) -> bytes:
        return ids.setdefault(match[0], b"%d" % (140_000_000_000_000 + 16 * len(ids)))

    fixed = []
    for name, raw in members:
        body = raw
        if name.endswith(".json"):
            body = re.sub(rb"2\d{3}-\d\d-\d\d@\d\d:\d\d:\d\d", b"2024-01-01@00:00:00", ADDRESS.sub(number, raw))
        fixed.append((name, body))
    return zip_bytes([(ADDRESS.sub(number, name.encode()).decode(), body) for name, body in fixed], method)


ADDRESS = re.compile(rb"(?<![\d.])\d{14,15}(?!\d)")


def _mlflow(models: dict[str, object]) -> Family:
    """Model folders saved by the real MLflow."""
    os.environ["MLFLOW_TRACKING_URI"] = "file:///nonexistent"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import mlflow.sklearn

    family = Family("mlflow")
    for name, form in (("LogisticRegression", "cloudpickle"), ("RandomForestClassifier", "pickle"), ("PipelineUnion", "skops")):
        def save(folder: str, name: str = name, form: str = form) -> None:
            mlflow.sklearn.save_model(models[name], str(Path(folder) / "model"), serialization_format=form, pip_requirements=["scikit-learn==1.9.1"])

        try:
            files = files_of(save)
        except mlflow.exceptions.MlflowException as problem:
            raise SystemExit(f"mlflow did not save {name} as {form}: {problem}") from problem
        files = {path.removeprefix("model/"): raw for path, raw in files.items()}
        files["MLmodel"] = re.sub(rb"(model_uuid: )\w+", rb"\g<1>" + b"7" * 32, files["MLmodel"])
        files["MLmodel"] = re.sub(rb"(utc_time_created: ).*", rb"\g<1>'2024-01-01 00:00:00.000000'", files["MLmodel"])
        files.update({path: settle(raw) for path, raw in files.items() if path.endswith(".skops")})
        family.benign(f"{name}_{form}", f"a {name} saved as {form}", files, "MLflow, scikit-learn")
    return family
