"""What a step's program needs: its inputs, its outputs, its parameters, a place for figures.

Inside a step of a pipeline::

    import custody

    path = custody.input("train")        # a file, or the folder where there are several
    folder = custody.output("model")     # a folder to write to
    rate = custody.parameter("learning_rate", 0.1)
    custody.log_metric("rows", 1000)

Environment variables say the same to programs in any language: ``CUSTODY_INPUT_<NAME>``,
``CUSTODY_OUTPUT_<NAME>``, ``CUSTODY_PARAMETERS`` (JSON), ``CUSTODY_METRICS`` (a file of JSON lines).
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

__all__ = ["input", "log_metric", "output", "parameter", "parameters"]


def _place(kind: str, name: str) -> Path:
    key = f"CUSTODY_{kind}_" + name.upper().replace("-", "_").replace(".", "_")
    value = os.environ.get(key)
    if value is None:
        prefix = f"CUSTODY_{kind}_"
        known = sorted(k[len(prefix) :].lower() for k in os.environ if k.startswith(prefix))
        if known:
            raise KeyError(f"the step declares no {kind.lower()} `{name}`; it declares {', '.join(known)}")
        raise RuntimeError(f"there is no {kind.lower()} `{name}`: this program does not run as a step; start it with `custody run`")
    return Path(value)


def input(name: str) -> Path:  # noqa: A001 - the word of the pipeline file
    """Return the input's file, or its folder where it has not exactly one file."""
    folder = _place("INPUT", name)
    if folder.is_file():
        return folder
    files = [path for path in folder.rglob("*") if path.is_file()]
    return files[0] if len(files) == 1 else folder


def output(name: str) -> Path:
    """Return the folder to which the output is written."""
    return _place("OUTPUT", name)


def parameters() -> dict[str, Any]:
    """Return the step's parameters by name."""
    return dict(json.loads(os.environ.get("CUSTODY_PARAMETERS", "{}")))


_REQUIRED = object()


def parameter(name: str, default: Any = _REQUIRED) -> Any:
    """Return one parameter; without a default it must be declared."""
    value = parameters().get(name, default)
    if value is _REQUIRED:
        raise KeyError(f"the step declares no parameter `{name}`")
    return value


def log_metric(name: str, value: float) -> None:
    """Keep a figure in the step's attestation."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"the metric `{name}` is {number}, not a finite number")
    path = os.environ.get("CUSTODY_METRICS")
    if path is None:
        raise RuntimeError("metrics can be logged inside a step only; start the program with `custody run`")
    with open(path, "a", encoding="utf-8") as lines:
        lines.write(json.dumps({"name": name, "value": number}) + "\n")
