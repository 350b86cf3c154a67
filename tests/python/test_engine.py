"""SQL and contracts against DuckDB: random and nasty tables, random queries and checks, the seed printed."""

import datetime
import decimal
import fractions
import json
import math
import os
import random
import subprocess

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import TARGET

SEED = int(os.environ.get("CUSTODY_SEED", "20261126"))
TABLES = 120
QUERIES = 12

DOUBLES = [0.0, -0.0, 1.0, -1.0, 0.1, 1e300, -1e300, 5e-324, math.inf, -math.inf, math.nan, 2.0**53, 1.5]
INTEGERS = [0, 1, -1, 2, 7, 2**31 - 1, -(2**31), 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
TEXTS = ["", "null", "NULL", "a", "A", "ä", "01", "1", " x ", "%", "it's", "\u20ac", "a" * 5000]


WORDS = ["''", "'null'", "'a'", "'01'", "'1'", "'\u00e4'"]


class Engine:
    """The program that answers questions; one process for all of them."""

    def __init__(self):
        self.process = subprocess.Popen([TARGET / "examples/ask"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def engine():
    """The engine behind `sql` and `check`."""
    engine = Engine()
    yield engine
    engine.process.stdin.close()
    assert engine.process.wait(timeout=60) == 0


def column(chance, kind, rows):
    """A column of a kind, with nulls and extremes."""

    def value():
        if chance.random() < 0.15:
            return None
        match kind:
            case "int32":
                return chance.choice([0, 1, -1, 5, 2**31 - 1, -(2**31), chance.randrange(-9, 9)])
            case "int64":
                return chance.choice([*INTEGERS, chance.randrange(-9, 9)])
            case "double" | "constant":
                return chance.choice([*DOUBLES, chance.gauss(0, 1)]) if kind == "double" else chance.choice([1.0, math.nan])
            case "decimal":
                return decimal.Decimal(chance.randrange(-(10**6), 10**6)) / 100
            case "text" | "dictionary":
                return chance.choice(TEXTS)
            case "boolean":
                return chance.random() < 0.5
            case "date":
                return datetime.date(1, 1, 1) + datetime.timedelta(days=chance.randrange(3_000_000))
            case "timestamp" | "zoned":
                moment = datetime.datetime(1900, 1, 1) + datetime.timedelta(microseconds=chance.randrange(10**15))
                return moment.replace(tzinfo=datetime.UTC) if kind == "zoned" else moment

    types = {
        "int32": pa.int32(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "constant": pa.float64(),
        "decimal": pa.decimal128(12, 2),
        "text": pa.string(),
        "dictionary": pa.string(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "zoned": pa.timestamp("us", tz="UTC"),
    }
    array = pa.array([value() for _ in range(rows)], type=types[kind])
    return array.dictionary_encode() if kind == "dictionary" else array


def table(chance, path):
    """A table with a column of each kind, in some row groups, with or without statistics."""
    kinds = ["int32", "int64", "double", "constant", "decimal", "text", "dictionary", "boolean", "date", "timestamp", "zoned"]
    rows = chance.choice([0, 1, 2, 17, 60])
    made = pa.table({kind: column(chance, kind, rows) for kind in kinds})
    pq.write_table(made, path, row_group_size=chance.choice([1, 7, 1000]), write_statistics=chance.random() < 0.5, use_dictionary=chance.random() < 0.5)
    return made


def condition(chance):
    """A condition that both engines understand in the same way."""
    number = lambda: repr(chance.choice([0, 1, -1, 5, 2**53, 2**53 + 1]))
    choices = [
        lambda: f'"int64" {chance.choice(["<", "<=", "=", "<>", ">"])} {number()}',
        lambda: f'"int32" BETWEEN {number()} AND {number()}',
        lambda: f'"double" {chance.choice(["<", "<=", "=", ">=", ">"])} {chance.choice(["0.0", "1.0", "0.1", "-1.0"])}',
        lambda: f'"constant" {chance.choice(["=", "<>", "<", ">"])} 1.0',
        lambda: 'isnan("constant")',
        lambda: f'"decimal" {chance.choice(["<", "=", ">="])} {chance.choice(["0.00", "12.34", "-1.00"])}',
        lambda: f'"text" {chance.choice(["=", "<", ">="])} {chance.choice(WORDS)}',
        lambda: f'"dictionary" IN ({", ".join(chance.sample(WORDS, 2))})',
        lambda: '"boolean"',
        lambda: "\"date\" > DATE '1970-01-01'",
        lambda: "\"timestamp\" < TIMESTAMP '1910-06-01 12:00:00'",
        lambda: f'"{chance.choice(["int64", "double", "text", "date"])}" IS {chance.choice(["", "NOT "])}NULL',
        lambda: 'CAST("int32" AS BIGINT) * 2 > 1',
        lambda: 'CASE WHEN "int32" = 0 THEN true ELSE 10 / "int32" > 2 END',
        lambda: 'TRY_CAST("text" AS INTEGER) = 1',
        lambda: 'CAST("decimal" AS DOUBLE) > 0.5',
        lambda: 'length("text") > 1',
        lambda: "\"text\" SIMILAR TO '[a-z0-9]+'",
        lambda: "\"text\" LIKE 'a%'",
    ]
    made = chance.choice(choices)()
    if chance.random() < 0.3:
        made = f"({made}) {chance.choice(['AND', 'OR'])} ({chance.choice(choices)()})"
    return f"NOT ({made})" if chance.random() < 0.2 else made


def query(chance):
    """A query whose rows have an order or are compared as a bag."""
    key = lambda: chance.choice(["int32", "int64", "constant", "text", "dictionary", "boolean", "decimal", "date"])
    where = condition(chance)
    return chance.choice(
        [
            lambda: f'SELECT * FROM t WHERE {where}',
            lambda: f'SELECT count(*) AS n, count("int64") AS m FROM t WHERE {where}',
            lambda: 'SELECT min("int64") AS a, max("int64") AS b, min("double") AS c, max("double") AS d, min("text") AS e, max("text") AS f, min("date") AS g, max("zoned") AS h FROM t',
            lambda: f'SELECT "{key()}" AS k, count(*) AS n, min("constant") AS lo, max("timestamp") AS hi FROM t GROUP BY 1',
            lambda: f'SELECT DISTINCT "{key()}" AS a, "{key()}" AS b FROM t',
            lambda: 'SELECT sum("int32") AS s, sum("decimal") AS d FROM t',
            lambda: f'SELECT sum("int64") AS s FROM t WHERE {where}',
            lambda: f'SELECT "boolean" AS k, sum("int64") AS s, sum("decimal") AS d FROM t WHERE {where} GROUP BY 1',
            lambda: f'SELECT count(*) AS n FROM t AS a JOIN t AS b ON a."{(k := key())}" = b."{k}"',
            lambda: f'SELECT CASE WHEN {where} THEN 1 WHEN {condition(chance)} THEN 2 ELSE 0 END AS c, "int32" AS i FROM t',
            lambda: f'SELECT "int32" + 1 AS a, "int32" * 3 AS b, -"int64" AS c FROM t WHERE {where}',
            lambda: 'SELECT count(DISTINCT "constant") AS a, count(DISTINCT "text") AS b, count(DISTINCT "double") AS c FROM t',
            lambda: f'SELECT CAST("text" AS VARCHAR) AS x, CAST("int32" AS VARCHAR) AS y, CAST("decimal" AS DECIMAL(20,4)) AS z FROM t WHERE {where}',
            lambda: f'SELECT CAST("int64" AS INTEGER) AS x FROM t WHERE {where}',
            lambda: f'SELECT "int64" AS x, row_number() OVER (ORDER BY "int64" NULLS FIRST, "int32" NULLS FIRST, "decimal" NULLS FIRST) AS n FROM t WHERE {where}',
            lambda: f'SELECT "int32" AS x FROM t WHERE "int32" IN (SELECT "int32" FROM t WHERE {where})',
        ]
    )()


def plain(value):
    """A value as both engines' values compare."""
    if isinstance(value, float):
        return ("double", "nan") if math.isnan(value) else ("double", value + 0.0)
    if isinstance(value, decimal.Decimal):
        return ("decimal", value.normalize() + 0)
    if isinstance(value, datetime.datetime):
        return ("time", value.astimezone(datetime.UTC).replace(tzinfo=None) if value.tzinfo else value)
    if isinstance(value, bool) or value is None:
        return ("one", value)
    return (type(value).__name__, value)


def bag(made):
    """The rows of a result, whatever their order."""
    columns = [[plain(value) for value in made.column(at).to_pylist()] for at in range(made.num_columns)]
    return sorted(zip(*columns, strict=True), key=repr)


def whole(rows):
    """Decimals without a fraction as integers: sums of integers have another type in DuckDB."""
    integer = lambda cell: ("int", int(cell[1])) if cell[0] == "decimal" and cell[1] == cell[1].to_integral_value() else cell
    return sorted((tuple(integer(cell) for cell in row) for row in rows), key=repr)


def test_queries_agree_with_duckdb(engine, tmp_path):
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'; SET integer_division = true")
    compared, refused = 0, 0
    for number in range(TABLES):
        path = tmp_path / "t.parquet"
        made = table(chance, path)
        duck.register("t", made)
        for _ in range(QUERIES):
            sql = query(chance)
            out = tmp_path / "out.parquet"
            ours = engine.ask(tables={"t": [str(path)]}, sql=sql, out=str(out))
            try:
                theirs = duck.execute(sql).to_arrow_table()
            except duckdb.Error as error:
                # Ours may compute in a wider type what overflows in theirs.
                assert "error" in ours or "Overflow" in str(error), f"table {number}: {sql}: they fail ({error}), ours gives {ours}"
                refused += 1
                continue
            if "error" in ours:
                # Ours may refuse what theirs computes in a wider type; never for another reason.
                assert "fit" in ours["error"] or "divided" in ours["error"] or "converted" in ours["error"], f"table {number}: {sql}: {ours}"
                refused += 1
                continue
            found, expected = whole(bag(pq.read_table(out))), whole(bag(theirs))
            assert found == expected, f"table {number}: {sql}\nours {found[:5]}\ntheirs {expected[:5]}"
            compared += 1
    assert compared > TABLES * QUERIES // 2, (compared, refused)


def checks(chance):
    """Checks, each with the condition of a row that breaks it, or the figure and its bounds."""
    low, high = sorted([chance.choice([-1, 0, 0.5, 1, 5]), chance.choice([1, 2, 7, 2**53])])
    number = chance.choice(["int32", "int64", "double", "constant", "decimal"])
    nan = lambda name: f' OR isnan("{name}")' if name in ("double", "constant") else ""
    texts = chance.sample(["", "null", "a", "01", "ä"], 2)
    some = chance.choice(["text", "dictionary"])
    any_column = chance.choice(["int32", "double", "text", "date", "zoned"])
    quoted = ", ".join(f"'{text}'" for text in texts)
    pair = chance.sample(["int32", "boolean", "text", "constant", "date"], 2)

    def rows_of_key(*names):
        listed = ", ".join(f'"{name}"' for name in names)
        complete = " AND ".join(f'"{name}" IS NOT NULL' for name in names)
        return f"SELECT count(*) - count(DISTINCT row({listed})) FROM t WHERE {complete}"

    return [
        ({"range": {"column": number, "min": low, "max": high}}, f'"{number}" < {low} OR "{number}" > {high}{nan(number)}'),
        ({"range": {"column": number, "min": low}}, f'"{number}" < {low}{nan(number)}'),
        ({"range": {"column": number, "max": high}}, f'"{number}" > {high}{nan(number)}'),
        ({"range": {"column": "date", "min": "1500-01-01", "max": "2000-12-31"}}, "\"date\" < DATE '1500-01-01' OR \"date\" > DATE '2000-12-31'"),
        ({"range": {"column": "zoned", "max": "1910-01-01T02:00:00+02:00"}}, "\"zoned\" > TIMESTAMPTZ '1910-01-01 00:00:00+00'"),
        ({"range": {"column": "timestamp", "min": "1910-01-01"}}, "\"timestamp\" < TIMESTAMP '1910-01-01 00:00:00'"),
        ({"not_null": [any_column]}, f'"{any_column}" IS NULL{nan(any_column)}'),
        ({"not_null": {"columns": ["constant"], "nan": "value"}}, '"constant" IS NULL'),
        ({"allowed": {"column": some, "values": texts}}, f'"{some}" NOT IN ({quoted})'),
        ({"allowed": {"column": "int64", "values": [0, 2**53, 2**53 + 1]}}, f'"int64" NOT IN (0, {2**53}, {2**53 + 1})'),
        ({"allowed": {"column": "constant", "values": [1]}}, '"constant" <> 1'),
        ({"allowed": {"column": "boolean", "values": [True]}}, 'NOT "boolean"'),
        ({"matches": {"column": "text", "pattern": "^[a-z]$"}}, "NOT regexp_matches(\"text\", '^[a-z]$')"),
        ({"text_length": {"column": "text", "min": 1, "max": 4}}, 'length("text") NOT BETWEEN 1 AND 4'),
        ({"unique": [any_column]}, rows_of_key(any_column)),
        ({"unique": pair}, rows_of_key(*pair)),
        ({"sql": {"name": "own", "condition": '"int32" > 0 OR "boolean"'}}, '("int32" > 0 OR "boolean") IS NOT TRUE'),
    ]


def test_checks_agree_with_duckdb(engine, tmp_path):
    print(f"seed {SEED}")
    chance = random.Random(SEED + 1)
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'")
    for number in range(TABLES):
        path = tmp_path / "t.parquet"
        made = table(chance, path)
        duck.register("t", made)
        contract = checks(chance)
        report = engine.ask(tables={"data": [str(path)]}, checks=[check for check, _ in contract])
        assert "checks" in report, report
        assert report["rows"] == made.num_rows
        for (check, breaking), outcome in zip(contract, report["checks"], strict=True):
            sql = breaking if breaking.startswith("SELECT") else f"SELECT count(*) FROM t WHERE {breaking}"
            expected = duck.execute(sql).fetchall()[0][0]
            assert outcome["failing_rows"] == expected, f"table {number}: {check}: {outcome}, theirs {expected}"
            assert outcome["passed"] == (expected == 0)


def test_figures_agree_with_duckdb(engine, tmp_path):
    print(f"seed {SEED}")
    chance = random.Random(SEED + 2)
    duck = duckdb.connect()
    for number in range(TABLES):
        path = tmp_path / "t.parquet"
        duck.register("t", table(chance, path))
        names = ["int32", "decimal", "double", "constant"]
        wide = {"min": -1.7e308, "max": 1.7e308}
        contract = [{kind: {"column": name, **wide}} for name in names for kind in ("mean_between", "stddev_between")]
        contract += [{"distinct_count": {"column": name, "max": 10**9}} for name in [*names, "text", "date"]]
        contract += [{"null_fraction": {"column": name, "max": 0.5}} for name in [*names, "text"]]
        report = engine.ask(tables={"data": [str(path)]}, checks=contract)
        outcomes = iter(report["checks"])
        for name in names:
            (mean,) = duck.execute(f'SELECT avg("{name}") FROM t').fetchall()[0]
            agree(next(outcomes), mean, f"table {number}: mean of {name}")
            outcome = next(outcomes)
            if name in ("int32", "decimal"):
                (spread,) = duck.execute(f'SELECT stddev_samp("{name}") FROM t').fetchall()[0]
                agree(outcome, spread, f"table {number}: deviation of {name}")
        for name in [*names, "text", "date"]:
            expected = duck.execute(f'SELECT count(DISTINCT "{name}") FROM t').fetchall()[0][0]
            assert next(outcomes)["observed"] == str(expected), f"table {number}: different values of {name}"
        for name in [*names, "text"]:
            missing = f'"{name}" IS NULL' + (f' OR isnan("{name}")' if name in ("double", "constant") else "")
            count, rows = duck.execute(f"SELECT count(*) FILTER (WHERE {missing}), count(*) FROM t").fetchall()[0]
            outcome = next(outcomes)
            assert outcome["passed"] == (rows > 0 and count / rows <= 0.5), f"table {number}: nulls of {name}: {outcome}"


def agree(outcome, expected, what):
    """The figure of a check is theirs, to the precision of doubles."""
    if expected is None:
        assert outcome["observed"] == "there are no values", what
        return
    found = float(outcome["observed"].split(" ")[0].replace("inf", "Infinity") if "inf" in outcome["observed"] else outcome["observed"].split(" ")[0])
    if math.isnan(float(expected)) or math.isinf(float(expected)) or math.isnan(found):
        assert str(found) == str(float(expected)), what
    else:
        assert found == pytest.approx(float(expected), rel=1e-9, abs=1e-9), what


def test_statistics_that_lie_decide_nothing(engine, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": pa.array([72623859790382856] * 50 + [7] * 50, type=pa.int64())}), path, row_group_size=50, use_dictionary=False)
    bytes_ = bytearray(path.read_bytes())
    footer = len(bytes_) - 8 - int.from_bytes(bytes_[-8:-4], "little")
    value, lie = (72623859790382856).to_bytes(8, "little"), (1).to_bytes(8, "little")
    assert value in bytes_[footer:]
    path.write_bytes(bytes(bytes_[:footer]) + bytes(bytes_[footer:]).replace(value, lie))
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).statistics.max == 1
    out = tmp_path / "out.parquet"
    for sql, expected in [("SELECT max(x) AS m FROM t", 72623859790382856), ("SELECT count(*) AS m FROM t WHERE x > 1000", 50)]:
        engine.ask(tables={"t": [str(path)]}, sql=sql, out=str(out))
        assert pq.read_table(out)["m"].to_pylist() == [expected]
    report = engine.ask(tables={"data": [str(path)]}, checks=[{"range": {"column": "x", "max": 1000}}, {"allowed": {"column": "x", "values": [1, 7]}}])
    assert [outcome["failing_rows"] for outcome in report["checks"]] == [50, 50]


def test_windows_that_move_forget_what_left_them(engine, tmp_path):
    """Infinity, NaN and large numbers leave with their rows; DuckDB computes each frame anew."""
    duck = duckdb.connect()
    path, out = tmp_path / "t.parquet", tmp_path / "out.parquet"
    columns = [
        [1e17, 1.0, 1.0, 2.0, None, 3.0],
        [math.inf, 1.0, 1.0, 1.0, -math.inf, 2.0],
        [math.nan, 1.0, 1.0, 4.0, math.nan, 2.0],
        [None, None, 1e300, 1.0, 2.0, 3.0],
    ]
    for values in columns:
        made = pa.table({"id": range(len(values)), "x": pa.array(values, pa.float64())})
        pq.write_table(made, path)
        for name in ["sum", "avg", "stddev", "stddev_pop", "var_samp", "var_pop", "min", "max", "mean"]:
            for before, after in [(1, 0), (2, 0), (0, 1), (1, 1)]:
                frame = f"OVER (ORDER BY id ROWS BETWEEN {before} PRECEDING AND {after} FOLLOWING)"
                engine.ask(tables={"t": [str(path)]}, sql=f"SELECT {name}(x) {frame} AS y FROM t ORDER BY id", out=str(out))
                ours = pq.read_table(out)["y"].to_pylist()
                for row in range(len(values)):
                    within = values[max(0, row - before) : row + after + 1]
                    if name.startswith(("std", "var")) and any(value is not None and not math.isfinite(value) for value in within):
                        # DuckDB tells 0 for one such value and nothing for two infinite ones.
                        assert ours[row] is None or math.isnan(ours[row]), (name, within, ours[row])
                        continue
                    duck.register("w", pa.table({"x": pa.array(within, pa.float64())}))
                    try:
                        expected = duck.execute(f"SELECT {name}(x) FROM w").fetchall()[0][0]
                    except duckdb.OutOfRangeException:
                        # Deviations that no double holds are an error there.
                        assert ours[row] is None or not math.isfinite(ours[row]), (name, within, ours[row])
                        continue
                    same = expected == ours[row] or (expected is not None and ours[row] is not None and ((math.isnan(expected) and math.isnan(ours[row])) or math.isclose(expected, ours[row], rel_tol=1e-12)))
                    assert same, (name, within, expected, ours[row])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("stored", [True, False])
def test_timestamps_of_96_bits_whatever_the_schema_beside_them_says(engine, tmp_path, unit, stored):
    days = [datetime.datetime(year, 2, 28, 23, 59, 59) for year in (1677, 1969, 1970, 2026, 2262)]
    days = [day for day in days if unit != "ns" or 1678 < day.year < 2262]
    days += [] if unit == "ns" else [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)]
    path, out = tmp_path / "t.parquet", tmp_path / "out.parquet"
    table_ = pa.table({"id": range(len(days)), "t": pa.array(days, pa.timestamp(unit))})
    pq.write_table(table_, path, use_deprecated_int96_timestamps=True, store_schema=stored)
    engine.ask(tables={"t": [str(path)]}, sql="SELECT t FROM t ORDER BY id", out=str(out))
    assert [value.replace(tzinfo=None) for value in pq.read_table(out)["t"].to_pylist()] == days


def test_exact_numbers_beside_a_point_are_compared_exactly(engine, tmp_path):
    path, out = tmp_path / "t.parquet", tmp_path / "out.parquet"
    integers = [0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), None]
    great = [0, 1, 2, 2**53 + 1, 2**63, 2**64 - 1, 2**64 - 2, 7, None]
    decimals = [decimal.Decimal(value) for value in ["0.00", "1.21", "1.20", "-1.21", "9007199254740993.00", "0.01", "-0.01", "3.00"]] + [None]
    wide = [decimal.Decimal(value) for value in [0, 1, -1, 10**38 - 1, -(10**38) + 1, 5, 6, 7]] + [None]
    columns = {
        "i": pa.array(integers, pa.int64()),
        "u": pa.array(great, pa.uint64()),
        "d": pa.array(decimals, pa.decimal128(20, 2)),
        "w": pa.array(wide, pa.decimal128(38, 0)),
    }
    pq.write_table(pa.table({"id": range(9), **columns}), path)
    literals = ["0.5", "-0.5", "1.21", "2.0", "9007199254740992.0", "9007199254740992.5", "-9007199254740992.0", "18446744073709551616", "1e30", "-1e30", "1e39", "0.001", "3.0"]
    operators = {"<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__", "=": "__eq__", "<>": "__ne__"}
    for name, column in columns.items():
        for literal in literals:
            # A number with a point is a double, meant as it is written most shortly.
            value = decimal.Decimal(repr(float(literal)))
            asked = {f"x{at}": f"{name} {op} {literal}" for at, op in enumerate(operators)}
            asked |= {f"y{at}": f"{literal} {op} {name}" for at, op in enumerate(operators)}
            asked["b"] = f"{name} BETWEEN {literal} AND 9007199254740992.5"
            asked["n"] = f"{name} NOT BETWEEN -5 AND {literal}"
            sql = "SELECT " + ", ".join(f"{sql} AS {as_}" for as_, sql in asked.items()) + " FROM t ORDER BY id"
            told = engine.ask(tables={"t": [str(path)]}, sql=sql, out=str(out))
            assert "error" not in told, (sql, told)
            found = pq.read_table(out).to_pydict()
            for row, given in enumerate(column.to_pylist()):
                exact = None if given is None else decimal.Decimal(given)
                for at, method in enumerate(operators.values()):
                    expected = (None, None) if exact is None else (getattr(exact, method)(value), getattr(value, method)(exact))
                    assert (found[f"x{at}"][row], found[f"y{at}"][row]) == expected, (name, exact, method, literal)
                if exact is not None:
                    assert found["b"][row] == (value <= exact <= decimal.Decimal("9007199254740992.5")), (name, exact, literal)
                    assert found["n"][row] == (not -5 <= exact <= value), (name, exact, literal)


def test_a_number_too_large_for_a_type_of_fewer_bits_does_not_fit(engine, tmp_path):
    path, out = tmp_path / "t.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"x": [1e40, 3.0e38, -1e39, math.inf, math.nan, None, 0.1]}), path)
    told = engine.ask(tables={"t": [str(path)]}, sql="SELECT CAST(x AS REAL) AS y FROM t", out=str(out))
    assert "error" in told, told
    engine.ask(tables={"t": [str(path)]}, sql="SELECT TRY_CAST(x AS REAL) AS y FROM t", out=str(out))
    found = pq.read_table(out)["y"].to_pylist()
    assert found[0] is None and found[2] is None and found[5] is None
    assert found[3] == math.inf and math.isnan(found[4]) and found[6] == pa.scalar(0.1, pa.float32()).as_py()
    engine.ask(tables={"t": [str(path)]}, sql="SELECT CASE WHEN x < 1e38 AND x > -1e38 THEN CAST(x AS REAL) END AS y FROM t", out=str(out))
    assert pq.read_table(out)["y"].to_pylist()[0] is None


def test_means_and_deviations_of_exact_numbers_are_exact(engine, tmp_path):
    print(f"seed {SEED}")
    chance = random.Random(SEED + 3)
    path = tmp_path / "t.parquet"
    tables = [
        ([2**53 + 1], pa.int64()),
        ([2**60, 2**60 + 100], pa.int64()),
        ([2**60, 2**60 + 1, 2**60 + 2], pa.int64()),
        ([2**64 - 1, 2**64 - 11], pa.uint64()),
        ([decimal.Decimal(10**30), decimal.Decimal(10**30 + 10**6)], pa.decimal128(38, 0)),
        ([decimal.Decimal(10**38 - 1)] * 9 + [decimal.Decimal(1 - 10**38)] * 3, pa.decimal128(38, 0)),
        ([1700000000000000000 + number * 1000 for number in range(10)], pa.int64()),
        ([decimal.Decimal("0.1")] * 3, pa.decimal128(10, 1)),
        ([-(2**63)] * 7 + [2**63 - 1], pa.int64()),
    ]
    for _ in range(40):
        digits = chance.randrange(1, 19)
        tables.append(([chance.randrange(-(10**digits), 10**digits) for _ in range(chance.randrange(2, 9))], pa.int64()))
    decimal.getcontext().prec = 120
    for values, kind in tables:
        pq.write_table(pa.table({"x": pa.array(values, kind)}), path, row_group_size=2)
        exact = [fractions.Fraction(value) for value in values]
        mean = sum(exact) / len(exact)
        figures = {"mean_between": mean}
        if len(exact) > 1:
            variance = sum((value - mean) ** 2 for value in exact) / (len(exact) - 1)
            figures["stddev_between"] = fractions.Fraction((decimal.Decimal(variance.numerator) / variance.denominator).sqrt())
        for kind_, figure in figures.items():
            near = float(figure)
            whole = {near, math.nextafter(near, math.inf), math.nextafter(near, -math.inf)} if near == int(near) else set()
            # Past 15 digits two texts with a fraction may be equally near to a double.
            for bound in {float(f"{near * (1 + step * 1e-14):.15g}") for step in (-1, 0, 1)} | {bound for bound in whole if bound == int(bound)}:
                if kind_ == "stddev_between" and bound <= 0:
                    continue
                # A bound is meant as it is written.
                written = fractions.Fraction(repr(bound))
                report = engine.ask(tables={"data": [str(path)]}, checks=[{kind_: {"column": "x", "min": bound}}, {kind_: {"column": "x", "max": bound}}])
                passed = [outcome["passed"] for outcome in report["checks"]]
                assert passed == [figure >= written, figure <= written], (kind_, values, bound, report)
                assert math.isclose(float(report["checks"][0]["observed"]), near, rel_tol=1e-15), (values, report)


def test_like_has_an_escape(engine, tmp_path):
    path, out = tmp_path / "t.parquet", tmp_path / "out.parquet"
    texts = ["a_b", "axb", "a%b", "A_B", "a!b", "a\nb", "", None, "a.b", "a_b_", "a\\b"]
    made = pa.table({"id": range(len(texts)), "x": texts})
    pq.write_table(made, path)
    duck = duckdb.connect()
    duck.register("t", made)
    for pattern in ["a!_b", "a!%b", "%!_%", "a_b", "a!!b", "", "a.b", "%", "a\\b"]:
        for form in ["x LIKE '{}' ESCAPE '!'", "x NOT LIKE '{}' ESCAPE '!'", "x ILIKE '{}' ESCAPE '!'"]:
            sql = f"SELECT {form.format(pattern)} AS y FROM t ORDER BY id"
            told = engine.ask(tables={"t": [str(path)]}, sql=sql, out=str(out))
            assert "error" not in told, (sql, told)
            assert pq.read_table(out)["y"].to_pylist() == [row[0] for row in duck.execute(sql).fetchall()], sql


def test_times_that_nanoseconds_do_not_reach(engine, tmp_path):
    path, out = tmp_path / "t.parquet", tmp_path / "out.parquet"
    days = [datetime.datetime(year, 1, 1) for year in (1, 1600, 1970, 2262, 2299, 2300, 9999)]
    dates = [day.date() for day in days]
    made = pa.table({"id": range(len(days)), "ts": pa.array(days, pa.timestamp("us")), "d": pa.array(dates, pa.date32())})
    pq.write_table(made, path)
    duck = duckdb.connect()
    duck.register("t", made)
    for condition in ["ts > '2299-01-01'", "'2299-01-01' <= ts", "ts >= TIMESTAMP '2299-01-01'", "CAST(d AS TIMESTAMP) = ts", "d = ts", "ts < '1600-01-02 12:00:00'", "ts > '1970-01-01'", "d > '2299-01-01'", "d < DATE '1600-06-01'", "ts BETWEEN '2299-01-01' AND '9998-01-01'", "ts NOT BETWEEN '1500-01-01' AND '2100-01-01'"]:
        sql = f"SELECT {condition} AS y FROM t ORDER BY id"
        told = engine.ask(tables={"t": [str(path)]}, sql=sql, out=str(out))
        assert "error" not in told, (sql, told)
        assert pq.read_table(out)["y"].to_pylist() == [row[0] for row in duck.execute(sql).fetchall()], sql
