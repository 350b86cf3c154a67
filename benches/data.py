"""Makes the files of the store's bench: 256 MiB each of noise, of a CSV table and of the same kind of
table in Parquet. The same bytes each time."""

import io
import pathlib
import sys

import numpy
import pyarrow
import pyarrow.csv
import pyarrow.parquet

SIZE = 256 << 20
ROWS = 500_000


def table(seed: int) -> pyarrow.Table:
    """Rows as a register of persons has them: a key, codes, counts, amounts, a text."""
    random = numpy.random.default_rng(seed)
    return pyarrow.table(
        {
            "id": numpy.arange(ROWS) + seed * ROWS,
            "age": random.integers(0, 100, ROWS),
            "region": random.choice(["north", "east", "south", "west"], ROWS),
            "code": random.integers(0, 5000, ROWS),
            "hours": random.normal(38, 6, ROWS).round(1),
            "income": random.lognormal(10, 1, ROWS).round(2),
            "score": random.random(ROWS),
        }
    )


def make(path: pathlib.Path, write) -> None:
    """Writes the file unless it is there; a file with its name is whole."""
    if path.exists():
        return
    partial = path.with_suffix(".partial")
    with partial.open("wb") as out:
        write(out)
    partial.rename(path)


def noise(out) -> None:
    out.write(numpy.random.default_rng(1).bytes(SIZE))


def csv(out) -> None:
    seed = 0
    while out.tell() < SIZE:
        buffer = io.BytesIO()
        pyarrow.csv.write_csv(table(seed), buffer)
        out.write(buffer.getvalue())
        seed += 1


def parquet(out) -> None:
    seed = 0
    with pyarrow.parquet.ParquetWriter(out, table(0).schema) as writer:
        while out.tell() < SIZE:
            writer.write_table(table(seed))
            seed += 1


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    make(folder / "random.bin", noise)
    make(folder / "table.csv", csv)
    make(folder / "table.parquet", parquet)
