"""Tables are read as DuckDB, pandas and pyarrow read them, exactly, or refused."""

import csv
import datetime
import decimal
import io
import json
import math
import os
import pathlib
import random
import subprocess

import duckdb
import pandas
import pyarrow
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
SEEDS = range(12)


@pytest.fixture
def convert(tmp_path):
    """Convert content, and return what was found with the table that was made."""

    def call(content, name="a.csv", **declared):
        file, out = tmp_path / name, tmp_path / "out.parquet"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        request = {"file": str(file), "out": str(out), **declared}
        program = TARGET / "examples/convert"
        done = subprocess.run([program], input=json.dumps(request), capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        return answer, None if "refused" in answer else pyarrow.parquet.read_table(out)

    return call


NASTY = ["", " ", "a,b", 'say "no"', "line\nbreak", "cr\r\nlf", "ü€𝄞", "'", "007", "NULL", "null", "NaN", "-", "\t", ";", '"', "1e5x", "true "]


def column(rng, rows):
    """Values of one type, some null, and how text writes them."""
    kind = rng.choice(["integer", "big", "double", "text", "boolean", "date", "timestamp", "zone"])

    def value():
        if kind == "integer":
            return rng.choice([0, 1, -1, 2**63 - 1, -(2**63), rng.randrange(-(10**12), 10**12)])
        if kind == "big":
            return rng.choice([2**63, 2**64 - 1, -(2**64), rng.randrange(10**19, 10**37)])
        if kind == "double":
            return rng.choice([0.5, -0.1, 1e300, 5e-324, 1 / 3, rng.random(), rng.uniform(-1e9, 1e9), rng.random() * 10 ** rng.randrange(-300, 300)])
        if kind == "text":
            return rng.choice([*NASTY, "".join(rng.choices("abc ,\"'\n;é", k=rng.randrange(12)))])
        if kind == "boolean":
            return rng.random() < 0.5
        if kind == "date":
            return datetime.date(1, 1, 1) + datetime.timedelta(days=rng.randrange(3_652_059))
        moment = datetime.datetime(1, 1, 3) + datetime.timedelta(microseconds=rng.randrange(315_537_000_000_000_000))
        if kind == "zone":
            return moment.replace(tzinfo=datetime.timezone(datetime.timedelta(minutes=rng.choice([0, 60, -330, 345]))))
        return moment

    return kind, [None if rng.random() < 0.1 else value() for _ in range(rows)]


def written(value):
    """How a value stands in the file; a text that is empty needs its quotes."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    if isinstance(value, float):
        return repr(value)
    return str(value)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_written_is_read(convert, seed):
    print("seed", seed)
    rng = random.Random(seed)
    rows = rng.choice([1, 2, 50, 3000])
    columns = [column(rng, rows) for _ in range(rng.randrange(2, 7))]
    # A column without a value is text, and one of text must not look like something else.
    for kind, values in columns:
        if kind == "text":
            values[0] = "plain word"
    delimiter, end = rng.choice([",", ";", "\t", "|"]), rng.choice(["\n", "\r\n"])
    lines = [delimiter.join(f"c{number}" for number in range(len(columns)))]
    lines += [delimiter.join(written(values[row]) for _, values in columns) for row in range(rows)]
    encoding, bom = rng.choice([("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")])
    content = bom + (end.join(lines) + rng.choice(["", end])).encode(encoding)
    answer, table = convert(content, csv={"delimiter": delimiter, "header": True})
    assert answer.get("rows") == rows, answer
    for number, (kind, given) in enumerate(columns):
        values = given
        ours = table.column(number).to_pylist()
        if all(value is None for value in values):
            assert answer["columns"][number][1] == "text"
            continue
        if kind == "big":
            values = [None if value is None else decimal.Decimal(value) for value in values]
        if kind == "zone":
            values = [None if value is None else value.astimezone(datetime.UTC) for value in values]
        if kind == "double":
            assert [None if v is None else float(v) for v in ours] == values, (answer["columns"][number], seed)
        else:
            assert ours == values, (kind, answer["columns"][number], seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_others_read_the_same(convert, tmp_path, seed):
    """Where the three read a file without complaint, their values are ours."""
    print("seed", seed)
    rng = random.Random(1000 + seed)
    rows = rng.randrange(2, 400)
    names = ["id", "x", "w", "d"]
    words = ["alpha", "be,ta", 'ga"mma', "de\nlta", "ü"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]))
    writer.writerow(names)
    for row in range(rows):
        writer.writerow([row, rng.uniform(-1e6, 1e6), rng.choice(words), datetime.date(2020, 1, 1) + datetime.timedelta(days=rng.randrange(1000))])
    content = out.getvalue()
    answer, table = convert(content)
    assert dict(answer["columns"]) == {"id": "integer", "x": "double", "w": "text", "d": "date"}, answer
    ours = table.to_pydict()
    file = tmp_path / "a.csv"
    duck = duckdb.connect().execute("SELECT * FROM read_csv(?, header=true, delim=',', quote='\"', escape='\"')", [str(file)]).fetchall()
    assert list(zip(*ours.values(), strict=True)) == [(i, x, w, d) for i, x, w, d in duck]
    frame = pandas.read_csv(file)
    assert frame["id"].tolist() == ours["id"]
    assert frame["x"].tolist() == ours["x"]
    assert frame["w"].tolist() == ours["w"]
    arrow = pyarrow.csv.read_csv(file, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True)).to_pydict()
    assert arrow == ours


@pytest.mark.parametrize("seed", SEEDS)
def test_json_lines(convert, seed):
    print("seed", seed)
    rng = random.Random(2000 + seed)

    def value(depth):
        return rng.choice([rng.randrange(-(2**63), 2**63), rng.random(), "ü\n" + "x" * rng.randrange(3), None][depth % 4 :]) if depth < 4 else None

    rows = []
    for _ in range(rng.randrange(1, 300)):
        row = {"i": rng.randrange(-(2**63), 2**63), "f": rng.uniform(-1e9, 1e9) + 0.5, "t": rng.choice(NASTY) + "x", "b": rng.random() < 0.5}
        row["l"] = [rng.randrange(2**60) for _ in range(rng.randrange(4))]
        row["s"] = {"a": value(2) and "y", "n": {"m": rng.randrange(9)}}
        rows.append({key: None if rng.random() < 0.1 else part for key, part in row.items() if rng.random() > 0.1})
    rows[0] = {"i": 1, "f": 0.5, "t": "x", "b": True, "l": [1], "s": {"a": "y", "n": {"m": 1}}}
    content = "\n".join(json.dumps(row, ensure_ascii=rng.random() < 0.5) for row in rows)
    answer, table = convert(content, name="a.jsonl")
    assert "refused" not in answer, answer
    for row, ours in zip(rows, table.to_pylist(), strict=True):
        expected = {key: row.get(key) for key in ("i", "f", "t", "b", "l", "s")}
        assert ours == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_broken_files_are_refused_or_read_as_python_reads_them(convert, seed):
    """Random text of the signs that matter: never a crash, never other fields than the csv module finds."""
    print("seed", seed)
    rng = random.Random(3000 + seed)
    for _ in range(25):
        content = "a,b\n" + "".join(rng.choices(["x", ",", '"', "\n", "\r\n", "ü", "1"], weights=[4, 4, 2, 4, 1, 1, 2], k=rng.randrange(40)))
        answer, table = convert(content, csv={"header": True, "delimiter": ",", "nulls": []}, columns={"a": "text", "b": "text"})
        if "refused" in answer:
            continue
        expected = [row for row in csv.reader(io.StringIO(content, newline=""), strict=True) if row][1:]
        assert [list(row.values()) for row in table.to_pylist()] == expected, content


def test_arrow_files(convert, tmp_path):
    table = pyarrow.table({"a": [1, 2, None], "d": pyarrow.array(["x", "y", "x"]).dictionary_encode(), "l": [[1], [], None]})
    for compression in ("uncompressed", "lz4", "zstd"):
        pyarrow.feather.write_feather(table, tmp_path / "x.arrow", compression=compression)
        _, ours = convert((tmp_path / "x.arrow").read_bytes(), name="x.arrow")
        assert ours.to_pylist() == table.to_pylist()


def test_doubles_of_every_size(convert):
    print("seed", 7)
    rng = random.Random(7)
    values = []
    while len(values) < 3000:
        value = math.ldexp(rng.random() - 0.5, rng.randrange(-1070, 1020))
        if value:
            values.append(value)
    for form in (repr, "{:.16e}".format, "{:.17g}".format, "{:.18e}".format):
        content = "row,x\n" + "".join(f"r{number},{form(value)}\n" for number, value in enumerate(values))
        answer, table = convert(content)
        assert dict(answer["columns"])["x"] == "double"
        assert table.column("x").to_pylist() == values
