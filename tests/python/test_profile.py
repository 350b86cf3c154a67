"""Profiles and differences against NumPy and pandas: random and nasty tables, the seed printed."""

import datetime
import decimal
import itertools
import json
import math
import os
import random

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_engine import Engine, column

SEED = int(os.environ.get("CUSTODY_SEED", "20261126"))
TABLES = 30
PERCENTS = [1, 5, 25, 50, 75, 95, 99]
KINDS = ["int32", "int64", "double", "constant", "decimal", "text", "dictionary", "boolean", "date", "timestamp", "zoned"]


@pytest.fixture(scope="module")
def engine():
    """The engine behind `custody data`."""
    engine = Engine()
    yield engine
    engine.process.stdin.close()
    assert engine.process.wait(timeout=60) == 0


def shown(value):
    """A value as the program shows it."""
    match value:
        case None | bool() | int():
            return value
        case float():
            value = value + 0.0
            return value if math.isfinite(value) else {math.inf: "inf", -math.inf: "-inf"}.get(value, "NaN")
        case decimal.Decimal():
            text = f"{value:f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
            return "0" if text in ("", "-0") else text
        case datetime.datetime():
            fraction = f".{value.microsecond:06}" if value.microsecond else ""
            fraction = fraction.removesuffix("000")
            zone = "Z" if value.tzinfo else ""
            return f"{value:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + fraction + zone
        case datetime.date():
            return value.isoformat()
    return value


def key(value):
    """How values of one type are ordered: texts by their bytes."""
    return value.encode() if isinstance(value, str) else value


def close(ours, theirs, scale):
    """Equal but for the last digits of the largest number that took part."""
    return math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=1e-14 * scale)


def check(name, values, told):
    """Holds a column's profile against what the values say."""
    present = [value + 0.0 if isinstance(value, float) else value for value in values]
    present = [value for value in present if value is not None and not (isinstance(value, float) and math.isnan(value))]
    counts = pd.Series(present, dtype=object).value_counts()
    assert told["rows"] == len(values)
    assert told["nulls"] == sum(value is None for value in values)
    assert told["nan"] == sum(isinstance(value, float) and math.isnan(value) for value in values)
    assert told["distinct"] == len(counts)
    assert sum(counts) == len(present)
    often = sorted(counts.items(), key=lambda pair: (-pair[1], key(pair[0])))[:20]
    assert [(top["value"], top["count"]) for top in told.get("top", [])] == [(shown(value), count) for value, count in often]
    if not present:
        assert told["min"] is None and told["max"] is None and not told.get("quantiles") and not told.get("histogram")
        return
    present.sort(key=key)
    assert (told["min"], told["max"]) == (shown(present[0]), shown(present[-1]))
    if name in ("text", "dictionary"):
        lengths = [len(text) for text in present]
        assert told["lengths"] == {"min": min(lengths), "max": max(lengths), "mean": sum(lengths) / len(lengths), "empty": lengths.count(0)}
    elif name in ("date", "timestamp", "zoned"):
        unit = datetime.timedelta(days=1) if name == "date" else datetime.timedelta(microseconds=1)
        for told_quantile, percent in zip(told["quantiles"], PERCENTS, strict=True):
            place = (len(present) - 1) * percent
            low, high = present[place // 100], present[min(place // 100 + 1, len(present) - 1)]
            assert told_quantile["value"] == shown(low + unit * ((high - low) // unit * (place % 100) // 100))
        assert sum(bin_["count"] for bin_ in told["histogram"]) == len(present)
    elif name != "boolean":
        numbers(name, present, told)


def numbers(name, present, told):
    """The figures of numbers."""
    array = np.array([float(value) for value in present])
    finite = array[np.isfinite(array)]
    scale = max(np.abs(finite), default=1.0)
    assert told["infinite"] == len(array) - len(finite)
    with np.errstate(all="ignore"):
        quantiles = np.quantile(array, [percent / 100 for percent in PERCENTS])
        mean, deviation = np.mean(array), np.std(array, ddof=1) if len(array) > 1 else math.nan
    ours_all = {quantile["percent"]: float(quantile["value"]) for quantile in told["quantiles"]}
    for percent, theirs in zip(PERCENTS, quantiles, strict=True):
        place = (len(array) - 1) * percent
        low, high = array[place // 100], array[min(place // 100 + 1, len(array) - 1)]
        if low == -math.inf and high == math.inf:
            assert percent not in ours_all
            continue
        ours = ours_all[percent]
        if math.isfinite(low) and math.isfinite(high):
            assert close(ours, theirs, max(abs(low), abs(high))), (name, percent)
        else:
            assert low <= ours <= high, (name, percent)
    if len(finite) == len(array):
        assert close(told["mean"], mean, scale), name
        if len(array) > 1 and math.isfinite(deviation):
            assert math.isclose(told["stddev"], deviation, rel_tol=1e-9, abs_tol=1e-14 * scale), name
    bins = told.get("histogram", [])
    assert [bin_["to"] for bin_ in bins[:-1]] == [bin_["from"] for bin_ in bins[1:]]
    if not len(finite):
        assert not bins
    elif len(bins) == 1:
        assert bins[0]["count"] == len(finite)
    else:
        edges = [bins[0]["from"], *[bin_["to"] for bin_ in bins]]
        assert len(bins) == 10 or scale > 1e15 or np.ptp(finite) < 1e-300
        assert (edges[0], edges[-1]) == (finite[0], finite[-1])
        theirs = [int(((finite >= low) & ((finite < high) | (high == edges[-1]))).sum()) for low, high in itertools.pairwise(edges)]
        assert [bin_["count"] for bin_ in bins] == theirs, name


def write(chance, path, made):
    """Writes a table in some row groups."""
    pq.write_table(made, path, row_group_size=chance.choice([1, 7, 1000]), write_statistics=chance.random() < 0.5, use_dictionary=chance.random() < 0.5)


def test_profiles_agree_with_numpy_and_pandas_on_any_number_of_threads(engine, tmp_path):
    print(f"CUSTODY_SEED={SEED}")
    chance = random.Random(SEED)
    for number in range(TABLES):
        paths, parts = [], []
        for part in range(chance.choice([1, 1, 3])):
            rows = chance.choice([0, 1, 2, 17, 60, 400])
            parts.append(pa.table({kind: column(chance, kind, rows) for kind in KINDS}))
            if chance.random() < 0.3:
                parts[-1] = pa.concat_tables([parts[-1], parts[-1]])
            paths.append(str(tmp_path / f"{number}-{part}.parquet"))
            write(chance, paths[-1], parts[-1])
        plain = pa.schema([pa.field(kind, pa.string() if kind == "dictionary" else parts[0].schema.field(kind).type) for kind in KINDS])
        table = pa.concat_tables([part.cast(plain) for part in parts])
        told = engine.ask(tables={"t": paths}, look=5)
        assert told == engine.ask(tables={"t": paths}, look=5, threads=1) == engine.ask(tables={"t": paths}, look=5, threads=3), number
        profile = told["profile"]
        assert profile["rows"] == table.num_rows
        rows = [json.dumps([repr(shown(value)) for value in row.values()]) for row in table.to_pylist()]
        assert profile["repeated_rows"] == len(rows) - len(set(rows))
        for made in profile["columns"]:
            check(made["name"], table.column(made["name"]).to_pylist(), made)
        assert len(told["head"]) == min(5, table.num_rows)
        texts = table.column("text").to_pylist()[:5]
        assert [row[KINDS.index("text")] for row in told["head"]] == texts


def test_columns_that_look_personal_are_named(engine, tmp_path):
    made = pa.table(
        {
            "contact": [f"user{number}@example.com" for number in range(9)] + ["none"],
            "account": ["DE89370400440532013000"] * 8 + ["x", "y"],
            "call": ["+49 30 901820"] * 10,
            "birth_date": pa.array([datetime.date(1990, 1, 1)] * 10),
            "income": list(range(10)),
        }
    )
    pq.write_table(made, tmp_path / "t.parquet")
    told = engine.ask(tables={"t": [str(tmp_path / "t.parquet")]}, look=0)
    hints = {made["name"]: made.get("looks_personal") for made in told["profile"]["columns"]}
    assert [name for name, hint in hints.items() if hint] == ["contact", "account", "call", "birth_date"]
    assert hints["contact"] == "9 of 10 values look like e-mail addresses"


def smirnov(before, after):
    """The greatest distance of two distribution functions."""
    points = np.unique(np.concatenate([before, after]))
    cumulated = [np.searchsorted(np.sort(values), points, side="right") / len(values) for values in (before, after)]
    return float(np.abs(cumulated[0] - cumulated[1]).max())


def stability(before, after):
    """The population stability index of texts, by the definition."""
    counts = pd.Series([text for text in before if text is not None], dtype=object).value_counts()
    known = [text for text, _ in sorted(counts.items(), key=lambda pair: (-pair[1], key(pair[0])))][:100]
    bin_of = lambda text: "null" if text is None else ("text", text) if text in known else "other" if text in counts else "new"
    p, q = (pd.Series([bin_of(text) for text in texts], dtype=object).value_counts(normalize=True) for texts in (before, after))
    index = 0.0
    for name in [*[("text", text) for text in known], "other", "new", "null"]:
        old, new = p.get(name, 0.0), q.get(name, 0.0)
        if old or new:
            old, new = max(old, 1e-4), max(new, 1e-4)
            index += (new - old) * math.log(new / old)
    return index


def test_differences_agree_with_pandas(engine, tmp_path):
    print(f"CUSTODY_SEED={SEED}")
    chance = random.Random(SEED)
    for number in range(30):
        size = chance.choice([1, 5, 50, 300])
        keys = chance.sample(range(2 * size), size)
        value = lambda: chance.choice([None, 0.0, -0.0, math.nan, 1.5, round(chance.gauss(0, 1), 2)])
        text = lambda: chance.choice([None, "", "null", f"t{chance.randrange(300)}"])
        row = lambda key, value=value, text=text: {"k": key, "j": f"k{key % 7}", "x": value(), "s": text()}
        before = [row(key) for key in keys]
        after = [{**old, **({"x": value(), "s": old["s"]} if chance.random() < 0.3 else {}), **({"s": text()} if chance.random() < 0.3 else {})} for old in before if chance.random() < 0.8]
        fresh = [row(key) for key in range(2 * size, 2 * size + chance.randrange(5))]
        after = chance.sample(after + fresh, len(after) + len(fresh))
        schema = [("k", pa.int64()), ("j", pa.string()), ("x", pa.float64()), ("s", pa.string())]
        tables = {}
        for name, frame, kind in (("a", before, pa.int64()), ("b", after, pa.int32())):
            made = pa.table({column_: pa.array([row_[column_] for row_ in frame], kind if column_ == "k" else kind_) for column_, kind_ in schema})
            made = made.append_column("only_" + name, pa.nulls(len(frame), pa.string()))
            tables[name] = [str(tmp_path / f"{number}-{name}.parquet")]
            write(chance, tables[name][0], made)
        told = engine.ask(tables=tables, diff=["k", "j"])
        assert told == engine.ask(tables=tables, diff=["k", "j"], threads=1)
        old, new = ({(made["k"], made["j"]): made for made in frame} for frame in (before, after))
        shared = [key for key in new if key in old]
        same = lambda a, b: a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))
        differs = {name: [not same(old[key][name], new[key][name]) for key in shared] for name in ("x", "s")}
        changed = sum(any(pair) for pair in zip(*differs.values(), strict=True))
        assert (told["added"], told["removed"]) == (len(fresh), len(before) - len(shared))
        assert (told["changed"], told["unchanged"]) == (changed, len(shared) - changed)
        assert (told["rows_before"], told["rows_after"]) == (len(before), len(after))
        assert [view["name"] for view in told["columns_added"] + told["columns_removed"]] == ["only_b", "only_a"]
        columns = {made["name"]: made for made in told["columns"]}
        for name in ("x", "s"):
            assert columns[name]["changed"] == sum(differs[name]), (number, name)
        numbers_ = [np.array([made["x"] for made in frame if made["x"] is not None and not math.isnan(made["x"])]) for frame in (before, after)]
        if all(map(len, numbers_)):
            assert math.isclose(columns["x"]["drift"]["distance"], smirnov(*numbers_), abs_tol=1e-12)
        if len(after):
            assert math.isclose(columns["s"]["drift"]["index"], stability(*([made["s"] for made in frame] for frame in (before, after))), rel_tol=1e-12, abs_tol=1e-12)


def test_a_key_that_is_missing_or_doubled_is_told_with_counts(engine, tmp_path):
    tables = {}
    for name, keys in (("a", [1, 2, 3]), ("b", [1, 1, 1]), ("c", [1, None, None])):
        tables[name] = [str(tmp_path / f"{name}.parquet")]
        pq.write_table(pa.table({"id": pa.array(keys, pa.int64())}), tables[name][0])
    ask = lambda *names, key=("id",): engine.ask(tables={name: tables[name] for name in names}, diff=list(key)).get("error", "")
    assert "the key `id` stands again in 2 of 3 rows of `b`" in ask("a", "b")
    assert "the key `id` is missing in 2 of 3 rows of `c`" in ask("a", "c")
    assert "`a` has no column `ide`" in ask("a", "b", key=["ide"]) or "did you mean `id`" in ask("a", "b", key=["ide"])
