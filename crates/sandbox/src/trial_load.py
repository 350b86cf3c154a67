"""Loads one model with its own library, to be watched while it does so.

`python -I -B trial_load.py PATH KIND` imports what the format needs, opens a path that does not exist so that
the watcher knows where the load begins, loads, and opens another. It says nothing of the content: the text of
an error may be the model's.

Exit codes: 0 loaded, 2 bad usage, 3 the library is not installed, 4 the load failed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

START = "/custody-trial-load/start"
END = "/custody-trial-load/end"
LOADED, USAGE, NOT_INSTALLED, FAILED = 0, 2, 3, 4
# How many objects, one after the other, are taken from one pickle file.
MOST_OBJECTS = 1000
# How long threads that the model started are waited for, in seconds.
THREADS_S = 2.0
# How much of a pickle is searched for the names of libraries.
HEAD_BYTES = 4 << 20
# What pickles of models name, and what of it is imported then. Nothing else is imported at a model's wish.
USUAL = {
    b"numpy": ["numpy"],
    b"pandas": ["pandas"],
    b"scipy": ["scipy.sparse", "scipy.interpolate", "scipy.stats"],
    b"sklearn": ["joblib", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline"],
    b"xgboost": ["xgboost"],
    b"lightgbm": ["lightgbm"],
    b"catboost": ["catboost"],
    b"torch": ["torch"],
    b"statsmodels": ["statsmodels.api"],
}
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x5d\x00\x00", b"\x78", b"ZF", b"\x04\x22\x4d\x18")

Loader = Callable[[str], Any]
Maker = Callable[[str], Loader]


def library(name: str) -> Any:
    """Imports a library that the load cannot do without."""
    return importlib.import_module(name)


def if_there(*names: str) -> None:
    """Imports libraries that models of a kind often name, so that they do so before the load."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def usual(path: str) -> None:
    """Imports the usual libraries whose names stand in a pickle, all of them where it is compressed.

    Some make files or ask for the machine when they are imported, which is not the model's doing.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return
    packed = head.startswith(COMPRESSED)
    for name, modules in USUAL.items():
        if packed or name in head:
            if_there(*modules)


def pickle_loader(path: str) -> Loader:
    """Plain pickles, one or several in a row; compressed ones as joblib and pandas write them."""
    import bz2
    import gzip
    import lzma
    import pickle

    usual(path)
    magics: list[tuple[bytes, Callable[[str], Any]]] = [
        (b"\x1f\x8b", gzip.open),
        (b"BZh", bz2.open),
        (b"\xfd7zXZ\x00", lzma.open),
    ]

    def load(path: str) -> None:
        with open(path, "rb") as file:
            head = file.read(8)
        opening = next((way for magic, way in magics if head.startswith(magic)), None)
        try:
            with (opening or (lambda name: open(name, "rb")))(path) as file:
                for _ in range(MOST_OBJECTS):
                    if not file.peek(1):
                        return
                    pickle.load(file)
        except Exception:
            # joblib puts arrays between the pickle's parts, often under the same ending.
            if "joblib" not in sys.modules:
                raise
            sys.modules["joblib"].load(path)

    return load


def joblib_loader(path: str) -> Loader:
    """What scikit-learn's models are kept in."""
    joblib = library("joblib")
    usual(path)
    return joblib.load


def numpy_loader(path: str) -> Loader:
    """`.npy` and `.npz`, with the pickles in them."""
    numpy = library("numpy")
    usual(path)

    def load(path: str) -> None:
        arrays = numpy.load(path, allow_pickle=True)
        for name in getattr(arrays, "files", []):
            arrays[name]

    return load


def torch_loader(_: str) -> Loader:
    """PyTorch's files as older programs load them, and TorchScript."""
    torch = library("torch")
    if_there("numpy", "torchvision", "transformers")

    def load(path: str) -> None:
        try:
            torch.load(path, map_location="cpu", weights_only=False)
        except RuntimeError:
            torch.jit.load(path, map_location="cpu")

    return load


def xgboost_loader(_: str) -> Loader:
    """XGBoost's own formats."""
    xgboost = library("xgboost")
    return lambda path: xgboost.Booster().load_model(path)


def lightgbm_loader(_: str) -> Loader:
    """LightGBM's text."""
    lightgbm = library("lightgbm")
    return lambda path: lightgbm.Booster(model_file=path)


def catboost_loader(_: str) -> Loader:
    """CatBoost's binary format."""
    catboost = library("catboost")
    return lambda path: catboost.CatBoost().load_model(path)


def onnx_loader(_: str) -> Loader:
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


def safetensors_loader(_: str) -> Loader:
    """Tensors without code."""
    numpy_side = library("safetensors.numpy")
    return numpy_side.load_file


def skops_loader(_: str) -> Loader:
    """skops, with every type that it would ask about trusted: that is what is tried here."""
    io = library("skops.io")
    if_there("sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline")
    return lambda path: io.load(path, trusted=io.get_untrusted_types(file=path))


def keras_loader(_: str) -> Loader:
    """Keras of every version, with the safe mode off."""
    keras = library("keras")
    if_there("h5py", "tensorflow")
    return lambda path: keras.models.load_model(path, compile=False, safe_mode=False)


def hdf5_loader(_: str) -> Loader:
    """HDF5: every object visited and read."""
    h5py = library("h5py")

    def load(path: str) -> None:
        with h5py.File(path, "r") as file:
            file.visititems(lambda _, item: item[()] if isinstance(item, h5py.Dataset) else None)

    return load


def tensorflow_loader(_: str) -> Loader:
    """A folder of TensorFlow."""
    tensorflow = library("tensorflow")
    return tensorflow.saved_model.load


def gguf_loader(_: str) -> Loader:
    """llama.cpp's format."""
    gguf = library("gguf")
    return lambda path: gguf.GGUFReader(path)


KINDS: dict[str, Maker] = {
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


def silence() -> int:
    """Sends what libraries and the model print nowhere. Returns where the program itself can print."""
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.dup2(nowhere, number)
    return out


def say(out: int, text: str) -> None:
    """Prints a line at once; a model may have closed or replaced the output."""
    with contextlib.suppress(OSError):
        os.write(out, f"{text}\n".encode("ascii", "backslashreplace"))


def prepare() -> None:
    """Does what libraries would do once and late, and forgets what they want done at the end."""
    tempfile.gettempdir()
    atexit._clear()


def leave(threads: set[threading.Thread]) -> None:
    """Lets what the model left behind come to its end: finalisers, new threads, what waits for the exit."""
    gc.collect()
    until = time.monotonic() + THREADS_S
    for thread in threading.enumerate():
        if thread not in threads:
            thread.join(max(0.0, until - time.monotonic()))
    atexit._run_exitfuncs()


def attempt(load: Loader, path: str) -> tuple[int, str]:
    """Loads, and lets go of what was loaded, between the two marks. Returns the exit code and what to say."""
    threads = set(threading.enumerate())
    mark(START)
    try:
        try:
            model = load(path)
            del model
        finally:
            leave(threads)
    except BaseException as error:  # a model may raise SystemExit to end the watch
        # The class of the error alone, whose name may still be the model's.
        name = "".join(c if c.isalnum() or c == "_" else "?" for c in type(error).__name__)
        return FAILED, f"failed: {name[:80]}"
    finally:
        mark(END)
    return LOADED, "loaded"


def main(arguments: list[str]) -> int:
    """Reads the arguments, imports and loads. Returns the exit code."""
    if len(arguments) != 2 or arguments[1] not in KINDS:
        say(1, f"usage: trial_load.py PATH {{{','.join(KINDS)}}}")
        return USAGE
    path, kind = arguments
    sys.argv = ["trial_load.py"]
    out = silence()
    try:
        load = KINDS[kind](path)
    except ImportError as error:
        say(out, f"not installed: {error.name or kind}")
        return NOT_INSTALLED
    prepare()
    code, told = attempt(load, path)
    say(out, told)
    return code


if __name__ == "__main__":
    # At once: what waited for the exit had its turn.
    os._exit(main(sys.argv[1:]))
