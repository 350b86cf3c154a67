"""Makes the files of the benches, the same bytes each time: 256 MiB each of noise, of a CSV table and of the same
kind of table in Parquet; 500 small pickles, and tensors of 1 GiB as NumPy and as safetensors write them; loans of 12
columns: 5 million and 1 million rows in Parquet, a gigabyte of CSV."""

import io
import json
import pathlib
import pickle
import sys

import numpy
import pyarrow
import pyarrow.csv
import pyarrow.parquet

SIZE = 256 << 20
LARGE = 1 << 30
SMALL_FILES = 500
ROWS = 500_000
LOANS = 5_000_000
LOANS_SHORT = 1_000_000
CSV_SIZE = 10**9


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
        pyarrow.csv.write_csv(table(seed), buffer, pyarrow.csv.WriteOptions(include_header=seed == 0))
        out.write(buffer.getvalue())
        seed += 1


def parquet(out) -> None:
    seed = 0
    with pyarrow.parquet.ParquetWriter(out, table(0).schema) as writer:
        while out.tell() < SIZE:
            writer.write_table(table(seed))
            seed += 1


def loans(seed: int, rows: int) -> pyarrow.Table:
    """Rows that keep every check of the benches: texts, numbers, dates, some of them missing."""
    random = numpy.random.default_rng(seed)
    credit = random.lognormal(9, 1, rows).round(2)
    return pyarrow.table(
        {
            "id": numpy.arange(rows) + seed * ROWS,
            "age": random.integers(18, 100, rows),
            "region": random.choice(["north", "east", "south", "west"], rows),
            "status": random.choice(["open", "paid", "late"], rows),
            "code": numpy.char.add("K", random.integers(10_000, 100_000, rows).astype(str)),
            "name": random.choice([f"person {number}" for number in range(9973)], rows),
            "hours": random.normal(38, 6, rows).round(1).clip(0, 80),
            "income": pyarrow.array(random.lognormal(10, 1, rows).round(2), mask=random.random(rows) < 0.02),
            "score": random.random(rows),
            "granted": numpy.datetime64("2000-01-01") + random.integers(0, 9000, rows),
            "credit": credit,
            "balance": (credit * random.random(rows)).round(2),
        }
    )


def loans_parquet(rows: int):
    def write(out) -> None:
        with pyarrow.parquet.ParquetWriter(out, loans(0, 1).schema) as writer:
            for seed in range(rows // ROWS):
                writer.write_table(loans(seed, ROWS))

    return write


def loans_csv(out) -> None:
    seed = 0
    while out.tell() < CSV_SIZE:
        buffer = io.BytesIO()
        pyarrow.csv.write_csv(loans(seed, ROWS), buffer, pyarrow.csv.WriteOptions(include_header=seed == 0))
        out.write(buffer.getvalue())
        seed += 1


def numbers(out) -> None:
    """Writes 1 GiB of float32, piece by piece."""
    for seed in range(LARGE // SIZE):
        out.write(numpy.random.default_rng(seed).bytes(SIZE))


def npy(out) -> None:
    numpy.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (LARGE // 4,)})
    numbers(out)


def safetensors(out) -> None:
    tensors = {f"layer.{number}": {"dtype": "F32", "shape": [1 << 20], "data_offsets": [number << 22, (number + 1) << 22]} for number in range(256)}
    header = json.dumps(tensors).encode()
    header += b" " * (-len(header) % 8)
    out.write(len(header).to_bytes(8, "little") + header)
    numbers(out)


def small(seed: int):
    """A model as plain data and arrays."""
    random = numpy.random.default_rng(seed)
    model = {"name": f"model {seed}", "weights": random.random((16, 16)), "bias": random.random(16), "labels": ["no", "yes"]}
    return lambda out: pickle.dump(model, out)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    make(folder / "random.bin", noise)
    make(folder / "table.csv", csv)
    make(folder / "table.parquet", parquet)
    make(folder / "loans.parquet", loans_parquet(LOANS))
    make(folder / "loans-short.parquet", loans_parquet(LOANS_SHORT))
    make(folder / "loans.csv", loans_csv)
    make(folder / "large.npy", npy)
    make(folder / "large.safetensors", safetensors)
    (folder / "small").mkdir(exist_ok=True)
    for number in range(SMALL_FILES):
        make(folder / f"small/{number}.pkl", small(number))
