"""Benign samples that the real PyTorch wrote: `python -m samples.torch_real OUT`, in an environment that has torch.

Adds to the samples already in `OUT`; the corpus is whole without them, for torch is too heavy for every run.
"""

import collections
import io
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .corpus import BENIGN, Family, Sample


def samples() -> list[Sample]:
    """State dicts, checkpoints, whole modules and scripts, in the zip and the legacy format."""
    warnings.simplefilter("ignore")
    torch.manual_seed(3)
    family = Family("torch-real")
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    image = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2), nn.Softmax(1))
    text = nn.ModuleDict({"embedding": nn.Embedding(10, 4), "lstm": nn.LSTM(4, 3, bidirectional=True), "attention": nn.MultiheadAttention(4, 2), "norm": nn.LayerNorm(4)})
    former = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    modules = {"sequential": net, "image": image, "text": text, "transformer": former}
    for name, item in {**_states(net, modules), **_tensors()}.items():
        for legacy in (False, True):
            kind = "legacy" if legacy else "zip"
            family.benign(f"{name}.{kind}.pt", f"{name}, {kind} format", saved(item, not legacy), f"PyTorch {torch.__version__}")
    family.benign("protocol4.pt", "a state dict in pickle protocol 4", saved(net.state_dict(), pickle_protocol=4), f"PyTorch {torch.__version__}")
    family.benign("pytorch_model.bin", "a state dict named as Hugging Face does", saved(net.state_dict()), f"PyTorch {torch.__version__}")
    _crc(family, net)
    _scripts(family, net, image)
    return family.samples


def saved(item: object, zipped: bool = True, **options: object) -> bytes:
    """What torch.save writes."""
    out = io.BytesIO()
    torch.save(item, out, _use_new_zipfile_serialization=zipped, **options)
    return out.getvalue()


def _states(net: nn.Module, modules: dict[str, nn.Module]) -> dict[str, object]:
    """State dicts, whole modules, optimiser states."""
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.ones(3, 4)).sum().backward()
    optimiser.step()
    momentum = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(momentum, 3)
    found: dict[str, object] = {f"{name}_state": module.state_dict() for name, module in modules.items()}
    found |= {f"{name}_module": module for name, module in modules.items()}
    found["adam_state"] = optimiser.state_dict()
    found["checkpoint"] = {"epoch": 3, "model": net.state_dict(), "optimizer": momentum.state_dict(), "schedule": schedule.state_dict(), "rng": torch.get_rng_state()}
    return found


def _tensors() -> dict[str, object]:
    """Tensors of many kinds."""
    base = torch.arange(12.0).reshape(3, 4)
    return {
        "dtypes": [torch.ones(3, dtype=kind) for kind in (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64)],
        "views": {"base": base, "row": base[1], "transposed": base.T, "requires": torch.ones(2, requires_grad=True)},
        "parameter": nn.Parameter(torch.ones(3)),
        "sparse": torch.eye(3).to_sparse(),
        "quantized": torch.quantize_per_tensor(base, 0.1, 0, torch.qint8),
        "plain": {"size": torch.Size([1, 2]), "dtype": torch.float32, "device": torch.device("cpu"), "words": ["os.system", "eval"], "ordered": collections.OrderedDict(a=1)},
        "with_numpy": {"mean": np.float64(0.5), "array": np.arange(4.0)},
    }


def _crc(family: Family, net: nn.Module) -> None:
    """torch's own switch that leaves the checksums out."""
    config = torch.utils.serialization.config.save
    config.compute_crc32 = False
    try:
        family.benign("crc0.pt", "compute_crc32=False", saved(net.state_dict()), f"PyTorch {torch.__version__}")
    finally:
        config.compute_crc32 = True


class Branch(nn.Module):
    """A module with control flow, for the scripting compiler."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Loops while the sum is small."""
        for _ in range(3):
            if bool(x.sum() < 10):
                x = torch.relu(self.line(x)) + 1
        return x


def _scripts(family: Family, net: nn.Module, image: nn.Module) -> None:
    """TorchScript by tracing and by scripting."""
    source = f"PyTorch {torch.__version__}"
    for name, made in {
        "traced_sequential": torch.jit.trace(net.eval(), torch.ones(1, 4)),
        "traced_image": torch.jit.trace(image.eval(), torch.ones(1, 1, 8, 8)),
        "scripted_branch": torch.jit.script(Branch()),
        "scripted_sequential": torch.jit.script(net),
    }.items():
        out = io.BytesIO()
        torch.jit.save(made, out)
        family.benign(f"{name}.pt", f"TorchScript: {name}", out.getvalue(), source)


def main() -> None:
    """Adds the samples to a corpus."""
    root = Path(sys.argv[1])
    listing = root / "samples.json"
    rows = [row for row in json.loads(listing.read_text()) if row["class"] != "torch-real"]
    made = samples()
    for sample in made:
        sample.write(root)
    listing.write_text(json.dumps(rows + [sample.describe() for sample in made], indent=1) + "\n")
    print(f"{len(made)} {BENIGN} samples by PyTorch {torch.__version__}", file=sys.stderr)


if __name__ == "__main__":
    main()
