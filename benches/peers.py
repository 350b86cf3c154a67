"""What the peers do with the tables of the benches: `peers.py WHAT FILE [OUT]`, one whole process each.

The checks are those of `src/tables.rs`, as each library writes them.
"""

import datetime
import sys

FIRST, LAST = datetime.date(2000, 1, 1), datetime.date(2030, 1, 1)
REGIONS = ["north", "east", "south", "west"]
STATUSES = ["open", "paid", "late"]
COLUMNS = ["id", "age", "region", "status", "code", "name", "hours", "income", "score", "granted", "credit", "balance"]


def pandera(path: str) -> None:
    import pandera.polars as pa
    import polars as pl

    schema = pa.DataFrameSchema(
        {
            "id": pa.Column(pl.Int64, unique=True),
            "age": pa.Column(pl.Int64, pa.Check.in_range(18, 120)),
            "region": pa.Column(pl.String, pa.Check.isin(REGIONS)),
            "status": pa.Column(pl.String, pa.Check.isin(STATUSES), nullable=True),
            "code": pa.Column(pl.String, pa.Check.str_matches("^K[0-9]{5}$"), nullable=True),
            "name": pa.Column(pl.String, pa.Check.str_length(1, 80), nullable=True),
            "hours": pa.Column(pl.Float64, pa.Check.in_range(0, 80), nullable=True),
            "income": pa.Column(
                pl.Float64,
                [
                    pa.Check.ge(0),
                    pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_null().mean() <= 0.1), ignore_na=False),
                ],
                nullable=True,
            ),
            "score": pa.Column(pl.Float64, pa.Check.in_range(0, 1), nullable=True),
            "granted": pa.Column(pl.Date, pa.Check.in_range(FIRST, LAST), nullable=True),
            "credit": pa.Column(pl.Float64, nullable=True),
            "balance": pa.Column(pl.Float64, nullable=True),
        },
        checks=[
            pa.Check(lambda data: data.lazyframe.select(pl.len() >= 1)),
            pa.Check(lambda data: data.lazyframe.select(pl.col("balance") <= pl.col("credit"))),
        ],
        strict=True,
    )
    schema.validate(pl.read_parquet(path), lazy=True)


def pointblank(path: str) -> None:
    import pointblank as pb
    import polars as pl

    table = pl.read_parquet(path)
    validation = (
        pb.Validate(table)
        .col_vals_expr(pl.len() >= 1)
        .col_schema_match(pb.Schema(tbl=table))
        .col_vals_not_null("id")
        .col_vals_not_null("age")
        .col_vals_not_null("region")
        .col_pct_null("income", p=0.02, tol=0.05)
        .rows_distinct("id")
        .col_vals_between("age", 18, 120)
        .col_vals_between("hours", 0, 80, na_pass=True)
        .col_vals_ge("income", 0, na_pass=True)
        .col_vals_between("score", 0, 1, na_pass=True)
        .col_vals_between("granted", FIRST, LAST, na_pass=True)
        .col_vals_in_set("region", REGIONS)
        .col_vals_in_set("status", STATUSES)
        .col_vals_regex("code", "^K[0-9]{5}$", na_pass=True)
        .col_vals_str_len("name", min_val=1, max_val=80, na_pass=True)
        .col_vals_expr(pl.col("balance") <= pl.col("credit"))
        .interrogate()
    )
    if not validation.all_passed():
        sys.exit("pointblank: a check broke")


def whylogs(path: str) -> None:
    import pandas
    import whylogs

    view = whylogs.log(pandas.read_parquet(path)).view()
    if len(view.to_pandas()) != len(COLUMNS):
        sys.exit("whylogs: columns are missing")


def duckdb_csv(path: str, out: str) -> None:
    import duckdb

    duckdb.sql(f"COPY (SELECT * FROM read_csv('{path}', sample_size = -1)) TO '{out}' (FORMAT parquet, COMPRESSION zstd)")


def polars_csv(path: str, out: str) -> None:
    """Types from the first 10,000 rows: from all of them it takes longer than anybody would wait."""
    import polars as pl

    pl.scan_csv(path, infer_schema_length=10_000, try_parse_dates=True).sink_parquet(out, compression="zstd")


def duckdb_select(path: str, out: str) -> None:
    """A thousandth of the rows by their key; minima and maxima in the file tell where they are."""
    import duckdb

    duckdb.sql(f"COPY (SELECT * FROM '{path}' WHERE id BETWEEN 2000000 AND 2004999) TO '{out}' (FORMAT parquet)")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
