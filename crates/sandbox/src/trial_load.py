"""Loads one model with its own library, to be watched while it does so.

`python -I -B trial_load.py PATH KIND` imports what the format needs, opens a path that does not exist so that
the watcher knows where the load begins, loads, and opens another. It says nothing of the content: the text of
an error may be the model's.

Exit codes: 0 loaded, 2 bad usage, 3 the library is not installed, 4 the load failed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

START = "/custody-trial-load/start"
END = "/custody-trial-load/end"
LOADED, USAGE, NOT_INSTALLED, FAILED = 0, 2, 3, 4
# How many objects, one after the other, are taken from one pickle file.
MOST_OBJECTS = 1000

Loader = Callable[[str], Any]


def library(name: str) -> Any:
    """Imports a library that the load cannot do without."""
    return importlib.import_module(name)


def if_there(*names: str) -> None:
    """Imports libraries that models of a kind often name, so that they do so before the load."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def pickle_loader() -> Loader:
    """Plain pickles, one or several in a row; compressed ones as joblib and pandas write them."""
    import bz2
    import gzip
    import lzma
    import pickle

    if_there("numpy", "pandas", "scipy.sparse", "sklearn.ensemble", "joblib")
    magics: list[tuple[bytes, Callable[[str], Any]]] = [
        (b"\x1f\x8b", gzip.open),
        (b"BZh", bz2.open),
        (b"\xfd7zXZ\x00", lzma.open),
    ]

    def load(path: str) -> None:
        with open(path, "rb") as file:
            head = file.read(8)
        opening = next((way for magic, way in magics if head.startswith(magic)), None)
        with (opening or (lambda name: open(name, "rb")))(path) as file:
            for _ in range(MOST_OBJECTS):
                if not file.peek(1):
                    return
                pickle.load(file)

    return load


def joblib_loader() -> Loader:
    """What scikit-learn's models are kept in."""
    joblib = library("joblib")
    if_there("numpy", "pandas", "scipy.sparse", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline")
    return joblib.load


def numpy_loader() -> Loader:
    """`.npy` and `.npz`, with the pickles in them."""
    numpy = library("numpy")

    def load(path: str) -> None:
        arrays = numpy.load(path, allow_pickle=True)
        for name in getattr(arrays, "files", []):
            arrays[name]

    return load


def torch_loader() -> Loader:
    """PyTorch's files as older programs load them, and TorchScript."""
    torch = library("torch")
    if_there("numpy", "torchvision", "transformers")

    def load(path: str) -> None:
        try:
            torch.load(path, map_location="cpu", weights_only=False)
        except RuntimeError:
            torch.jit.load(path, map_location="cpu")

    return load


def xgboost_loader() -> Loader:
    """XGBoost's own formats."""
    xgboost = library("xgboost")
    return lambda path: xgboost.Booster().load_model(path)


def lightgbm_loader() -> Loader:
    """LightGBM's text."""
    lightgbm = library("lightgbm")
    return lambda path: lightgbm.Booster(model_file=path)


def catboost_loader() -> Loader:
    """CatBoost's binary format."""
    catboost = library("catboost")
    return lambda path: catboost.CatBoost().load_model(path)


def onnx_loader() -> Loader:
    """ONNX: read with its outside tensors, checked, and made a session of where a runtime is there."""
    onnx = library("onnx")
    library("onnx.checker")
    runtime = None
    with contextlib.suppress(ImportError):
        runtime = importlib.import_module("onnxruntime")

    def load(path: str) -> None:
        onnx.load(path)
        onnx.checker.check_model(path)
        if runtime is not None:
            runtime.InferenceSession(path, providers=["CPUExecutionProvider"])

    return load


def safetensors_loader() -> Loader:
    """Tensors without code."""
    numpy_side = library("safetensors.numpy")
    return numpy_side.load_file


def skops_loader() -> Loader:
    """skops, with every type that it would ask about trusted: that is what is tried here."""
    io = library("skops.io")
    if_there("sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline")
    return lambda path: io.load(path, trusted=io.get_untrusted_types(file=path))


def keras_loader() -> Loader:
    """Keras of every version, with the safe mode off."""
    keras = library("keras")
    if_there("h5py", "tensorflow")
    return lambda path: keras.models.load_model(path, compile=False, safe_mode=False)


def hdf5_loader() -> Loader:
    """HDF5: every object visited and read."""
    h5py = library("h5py")

    def load(path: str) -> None:
        with h5py.File(path, "r") as file:
            file.visititems(lambda _, item: item[()] if isinstance(item, h5py.Dataset) else None)

    return load


def tensorflow_loader() -> Loader:
    """A folder of TensorFlow."""
    tensorflow = library("tensorflow")
    return tensorflow.saved_model.load


def gguf_loader() -> Loader:
    """llama.cpp's format."""
    gguf = library("gguf")
    return lambda path: gguf.GGUFReader(path)


KINDS: dict[str, Callable[[], Loader]] = {
    "pickle": pickle_loader,
    "joblib": joblib_loader,
    "numpy": numpy_loader,
    "torch": torch_loader,
    "xgboost": xgboost_loader,
    "lightgbm": lightgbm_loader,
    "catboost": catboost_loader,
    "onnx": onnx_loader,
    "safetensors": safetensors_loader,
    "skops": skops_loader,
    "keras": keras_loader,
    "hdf5": hdf5_loader,
    "tensorflow": tensorflow_loader,
    "gguf": gguf_loader,
}


def mark(path: str) -> None:
    """Opens a path that does not exist, for the watcher."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDONLY))


def say(text: str) -> None:
    """Prints a line at once; a model may have closed or replaced the output."""
    with contextlib.suppress(OSError):
        os.write(1, f"{text}\n".encode("ascii", "backslashreplace"))


def attempt(load: Loader, path: str) -> int:
    """Loads, and lets go of what was loaded, between the two marks. Returns the exit code."""
    mark(START)
    try:
        model = load(path)
        del model
        gc.collect()
    except BaseException as error:  # a model may raise SystemExit to end the watch
        # The class of the error alone, whose name may still be the model's.
        name = "".join(c if c.isalnum() or c == "_" else "?" for c in type(error).__name__)
        say(f"failed: {name[:80]}")
        return FAILED
    finally:
        mark(END)
    return LOADED


def main(arguments: list[str]) -> int:
    """Reads the arguments, imports and loads. Returns the exit code."""
    if len(arguments) != 2 or arguments[1] not in KINDS:
        say(f"usage: trial_load.py PATH {{{','.join(KINDS)}}}")
        return USAGE
    path, kind = arguments
    try:
        load = KINDS[kind]()
    except ImportError as error:
        say(f"not installed: {error.name or kind}")
        return NOT_INSTALLED
    sys.argv = ["trial_load.py"]
    code = attempt(load, path)
    if code == LOADED:
        say("loaded")
    return code


if __name__ == "__main__":
    # At once: what a model left to be done at the end is no part of the load.
    os._exit(main(sys.argv[1:]))
