"""`python -m samples OUT`: writes every sample and `samples.json`."""

import importlib
import json
import os
import shutil
import sys
import time
from pathlib import Path
from unittest import mock

from .corpus import UNIX_TIME, Sample

FAMILIES = (
    "pickle_calls",
    "pickle_tricks",
    "pickle_states",
    "pickle_broken",
    "pickle_composed",
    "pickle_benign",
    "torch_files",
    "arrays",
    "graphs",
    "places",
    "foreign",
    "weights",
    "keras_files",
    "folders",
    "documents",
    "libraries",
)


def collect() -> list[Sample]:
    """Every sample of every family, in the order of the families."""
    samples: list[Sample] = []
    for family in FAMILIES:
        module = importlib.import_module(f".{family}", __package__)
        with mock.patch("time.time", lambda: float(UNIX_TIME)):
            samples.extend(module.samples())
    return samples


def write(samples: list[Sample], out: Path) -> None:
    """Writes the samples and their list; the folder is made anew."""
    for folder in ("hostile", "benign"):
        shutil.rmtree(out / folder, ignore_errors=True)
    paths = [sample.path for sample in samples]
    repeated = {path for path in paths if paths.count(path) > 1}
    if repeated:
        raise SystemExit(f"paths given twice: {sorted(repeated)}")
    for sample in samples:
        with mock.patch("time.time", lambda: float(UNIX_TIME)):
            sample.write(out)
    rows = [sample.describe() for sample in samples]
    (out / "samples.json").write_text(json.dumps(rows, indent=1) + "\n")


def main() -> None:
    """Reads the arguments and runs; hashing of strings is fixed first, so that sets keep their order."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m samples OUT")
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "samples", *sys.argv[1:]])
    started = time.monotonic()
    out = Path(sys.argv[1]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    samples = collect()
    write(samples, out)
    hostile = sum(sample.label == "hostile" for sample in samples)
    seconds = time.monotonic() - started
    print(f"{hostile} hostile and {len(samples) - hostile} benign samples in {out} after {seconds:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
