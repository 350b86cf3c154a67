"""What a sample is, and how it is laid on the disk."""

import hashlib
import io
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HOSTILE = "hostile"
BENIGN = "benign"

# The argument of every command sink: harmless wherever it might run.
COMMAND = "echo custody-sample"
# The argument of every code sink.
CODE = "print('custody-sample')"
# The file that a file sink would make.
MARKER = "custody-sample-marker"

ZIP_TIME = (2024, 1, 1, 0, 0, 0)
UNIX_TIME = 1_704_067_200


@dataclass(frozen=True)
class Sample:
    """A file (`bytes`) or a folder (`dict` of relative path to bytes, or a function that fills a given folder)."""

    label: str
    family: str
    name: str
    what: str
    content: bytes | dict[str, bytes] | Callable[[Path], None]
    reference: str = ""
    source: str = "own writer"

    @property
    def path(self) -> str:
        """The path within the output folder."""
        return f"{self.label}/{self.family}/{self.name}"

    @property
    def held_out(self) -> bool:
        """About a third of the corpus, chosen by the path alone, so that nobody can tune towards it."""
        return hashlib.sha256(self.path.encode()).digest()[0] % 3 == 0

    def write(self, root: Path) -> None:
        """Lays the sample below `root`."""
        target = root / self.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(self.content, bytes):
            target.write_bytes(self.content)
        elif isinstance(self.content, dict):
            for relative, raw in self.content.items():
                (target / relative).parent.mkdir(parents=True, exist_ok=True)
                (target / relative).write_bytes(raw)
        else:
            target.mkdir()
            self.content(target)

    def describe(self) -> dict[str, object]:
        """The row of `samples.json`."""
        return {
            "path": self.path,
            "label": self.label,
            "class": self.family,
            "what": self.what,
            "reference": self.reference,
            "source": self.source,
            "held_out": self.held_out,
        }


class Family:
    """Collects the samples of one module."""

    def __init__(self, family: str) -> None:
        self.family = family
        self.samples: list[Sample] = []

    def hostile(self, name: str, what: str, content: object, reference: str = "") -> None:
        """Adds a hostile sample."""
        self.samples.append(Sample(HOSTILE, self.family, name, what, content, reference))

    def benign(self, name: str, what: str, content: object, source: str = "own writer") -> None:
        """Adds a benign sample; `source` names the library that wrote it."""
        self.samples.append(Sample(BENIGN, self.family, name, what, content, "", source))


def zip_bytes(members: list[tuple[str, bytes]], compress: int = zipfile.ZIP_STORED) -> bytes:
    """A plain zip with fixed times; names may repeat."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", compress) as archive:
        warnings.simplefilter("ignore", UserWarning)
        for name, raw in members:
            info = zipfile.ZipInfo(name, ZIP_TIME)
            info.compress_type = compress
            info.external_attr = 0o644 << 16
            with archive.open(info, "w") as member:
                member.write(raw)
    return out.getvalue()


def tar_bytes(members: list[tuple[str, bytes]], mode: str = "w", links: list[tuple[str, str, bytes]] | None = None) -> bytes:
    """A tar with fixed times; `links` are (name, target, type) entries written first."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.USTAR_FORMAT) as archive:
        for name, target, kind in links or []:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mtime = kind, target, UNIX_TIME
            archive.addfile(info)
        for name, raw in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(raw), UNIX_TIME
            archive.addfile(info, io.BytesIO(raw))
    return out.getvalue()
