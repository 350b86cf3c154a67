//! What passed wrongly somewhere, and what is right: values, files, arithmetic, mistakes in a contract.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use custody_engine::{ContractError, EngineError, Table};
use custody_stats::contract::{Check, ContractReport};
use custody_types::{ByteSize, Digest, FileEntry, FilePath, ReadError, VersionFiles};

use super::{engine, table};

/// Files with paths of their own.
#[derive(Debug)]
struct Files(Vec<FileEntry>, Vec<Bytes>);

impl VersionFiles for Files {
    fn digest(&self) -> Digest {
        custody_types::listing_digest(&self.0)
    }

    fn files(&self) -> &[FileEntry] {
        &self.0
    }

    fn read(&self, path: &FilePath, range: Range<u64>) -> Result<Bytes, ReadError> {
        let at = self.0.iter().position(|entry| entry.path == *path).unwrap();
        let (start, end) = (range.start, range.end);
        let size = self.0[at].size.bytes();
        if end > size {
            return Err(ReadError::OutOfRange {
                path: path.clone(),
                start,
                end,
                size,
            });
        }
        Ok(self.1[at].slice(usize::try_from(start).unwrap()..usize::try_from(end).unwrap()))
    }
}

fn parquet(sql: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    engine().query_to_parquet(&[], sql, &mut bytes).unwrap();
    bytes
}

/// Makes a table of files, each by SQL; a text that is no query is a file's content.
fn files(files: &[(&str, &str)]) -> Table {
    let (mut entries, mut all) = (Vec::new(), Vec::new());
    for (path, sql) in files {
        let bytes = if sql.starts_with("SELECT") {
            parquet(sql)
        } else {
            sql.as_bytes().to_vec()
        };
        entries.push(FileEntry {
            path: path.parse().unwrap(),
            size: ByteSize::from_bytes(bytes.len() as u64),
            sha256: Digest::of(&bytes),
            executable: false,
        });
        all.push(Bytes::from(bytes));
    }
    Table {
        name: "data".to_owned(),
        files: Arc::new(Files(entries, all)),
    }
}

fn checks(json: &str) -> Vec<Check> {
    serde_json::from_str(&format!("[{json}]")).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn report(table: &Table, json: &str) -> ContractReport {
    engine()
        .check(table, &checks(json), None)
        .unwrap_or_else(|error| panic!("{json}: {error}"))
}

const X: &str = "SELECT column1 AS x FROM (VALUES ";

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn values_are_compared_as_what_they_are() {
    let nan = "CAST('NaN' AS DOUBLE)";
    for (values, check, failing) in [
        // Integers and bounds beyond 2^53.
        (
            "(9007199254740993)",
            r#"{"range": {"column": "x", "max": 9007199254740992}}"#,
            1,
        ),
        (
            "(9007199254740993)",
            r#"{"allowed": {"column": "x", "values": [9007199254740992]}}"#,
            1,
        ),
        (
            "(9007199254740993)",
            r#"{"allowed": {"column": "x", "values": [9007199254740993]}}"#,
            0,
        ),
        (
            "(CAST(18446744073709551615 AS BIGINT UNSIGNED))",
            r#"{"range": {"column": "x", "min": 18446744073709551615}}"#,
            0,
        ),
        ("(1), (2)", r#"{"range": {"column": "x", "min": 1.5}}"#, 1),
        // Decimals.
        (
            "(CAST(0.10 AS DECIMAL(10,2)))",
            r#"{"range": {"column": "x", "min": 0.1, "max": 0.1}}"#,
            0,
        ),
        (
            "(CAST(0.11 AS DECIMAL(10,2)))",
            r#"{"range": {"column": "x", "max": 0.105}}"#,
            1,
        ),
        (
            "(CAST('12345678901234567890.12' AS DECIMAL(30,2)))",
            r#"{"range": {"column": "x", "max": "12345678901234567890.11"}}"#,
            1,
        ),
        (
            "(CAST(1.5 AS DECIMAL(10,2)))",
            r#"{"allowed": {"column": "x", "values": [1.5]}}"#,
            0,
        ),
        // Doubles and singles.
        ("(0.1)", r#"{"range": {"column": "x", "max": 0.1}}"#, 0),
        (
            "(CAST(0.1 AS FLOAT))",
            r#"{"range": {"column": "x", "min": 0.1, "max": 0.1}}"#,
            0,
        ),
        (
            "(CAST(0.1 AS FLOAT))",
            r#"{"allowed": {"column": "x", "values": [0.1]}}"#,
            0,
        ),
        (
            "(-0.0)",
            r#"{"allowed": {"column": "x", "values": [0]}}"#,
            0,
        ),
        (
            "(9007199254740992.0)",
            r#"{"range": {"column": "x", "min": 9007199254740993}}"#,
            1,
        ),
        // Texts.
        (
            "('01'), ('1')",
            r#"{"allowed": {"column": "x", "values": ["1"]}}"#,
            1,
        ),
        (
            "('5'), ('abc'), ('1e1')",
            r#"{"range": {"column": "x", "min": 0, "max": 9}}"#,
            2,
        ),
        ("(''), (NULL), ('null')", r#"{"not_null": ["x"]}"#, 1),
        // Dates and times.
        (
            "(DATE '2024-02-29')",
            r#"{"range": {"column": "x", "min": "2024-02-29", "max": "2024-02-29"}}"#,
            0,
        ),
        (
            "(DATE '2024-02-29')",
            r#"{"allowed": {"column": "x", "values": ["2024-02-28"]}}"#,
            1,
        ),
        (
            "(TIMESTAMP '2024-02-29T12:00:00')",
            r#"{"range": {"column": "x", "max": "2024-02-29T11:59:59.999"}}"#,
            1,
        ),
        (
            "(true), (false)",
            r#"{"allowed": {"column": "x", "values": [true]}}"#,
            1,
        ),
        // Equal rows.
        ("(0.0), (-0.0)", r#"{"unique": ["x"]}"#, 1),
        ("(1), (2), (NULL), (NULL)", r#"{"unique": ["x"]}"#, 0),
        // What cannot be computed breaks its own check.
        (
            "('1'), ('x')",
            r#"{"sql": {"name": "n", "condition": "CAST(x AS INT) > 0"}}"#,
            1,
        ),
        (
            "(0), (4)",
            r#"{"sql": {"name": "n", "condition": "CASE WHEN x = 0 THEN true ELSE 1/x >= 0 END"}}"#,
            0,
        ),
        (
            "(0), (4)",
            r#"{"sql": {"name": "n", "condition": "x = 0 OR 8/x = 2"}}"#,
            0,
        ),
        (
            "(0), (4)",
            r#"{"sql": {"name": "n", "condition": "8/x = 2"}}"#,
            1,
        ),
        (
            "(3000000000)",
            r#"{"sql": {"name": "n", "condition": "CAST(x AS INT) > 1"}}"#,
            1,
        ),
        (
            "('a'), ('ab')",
            r#"{"sql": {"name": "n", "condition": "x SIMILAR TO 'a'"}}"#,
            1,
        ),
        (
            "(1), (NULL)",
            r#"{"sql": {"name": "n", "condition": "x > 0"}}"#,
            1,
        ),
    ] {
        let table = table("data", &format!("{X}{values})"));
        let report = report(&table, check);
        let outcome = &report.checks[0];
        assert_eq!(
            outcome.failing_rows,
            Some(failing),
            "{values} {check}: {outcome:?}"
        );
        assert_eq!(outcome.passed, failing == 0, "{values} {check}");
        assert_eq!(outcome.rows.len() as u64, failing, "{values} {check}");
    }
    let constant = table("data", &format!("{X}(1.0), ({nan}), (1.0), ({nan}))"));
    for (check, failing) in [
        (r#"{"range": {"column": "x", "min": 0, "max": 9}}"#, 2),
        (r#"{"range": {"column": "x", "min": 0}}"#, 2),
        (r#"{"allowed": {"column": "x", "values": [1]}}"#, 2),
        (r#"{"not_null": ["x"]}"#, 2),
        (r#"{"not_null": {"columns": ["x"], "nan": "value"}}"#, 0),
        (r#"{"sql": {"name": "n", "condition": "NOT isnan(x)"}}"#, 2),
        (r#"{"unique": ["x"]}"#, 2),
    ] {
        assert_eq!(
            report(&constant, check).checks[0].failing_rows,
            Some(failing),
            "{check}"
        );
    }
    for (check, passed, observed) in [
        (
            r#"{"mean_between": {"column": "x", "min": 0, "max": 9}}"#,
            false,
            "NaN (2 values are NaN)",
        ),
        (
            r#"{"null_fraction": {"column": "x", "max": 0.4}}"#,
            false,
            "0.5 (2 of 4 rows)",
        ),
        (
            r#"{"null_fraction": {"column": "x", "max": 0.4, "nan": "value"}}"#,
            true,
            "0 (0 of 4 rows)",
        ),
    ] {
        let outcome = report(&constant, check).checks.remove(0);
        assert_eq!(
            (outcome.passed, outcome.observed.as_str()),
            (passed, observed),
            "{check}"
        );
    }
}

#[test]
fn keys_are_columns_and_never_joined_texts() {
    let rows = "SELECT column1 AS x, column2 AS y FROM (VALUES ('', 'a'), (NULL, 'a'), ('a', ''), ('', 'a '))";
    let one = report(&table("data", rows), r#"{"unique": ["x", "y"]}"#);
    assert!(one.ok, "{one:?}");
    let decimals = "SELECT CAST(column1 AS DECIMAL(10,2)) AS x FROM (VALUES (1), (2))";
    let mean = report(
        &table("data", decimals),
        r#"{"mean_between": {"column": "x", "min": 1, "max": 2}}"#,
    );
    assert_eq!(mean.checks[0].observed, "1.5");
}

#[test]
fn every_file_is_read_or_the_table_is_refused_and_the_file_named() {
    let one = "SELECT 1 AS x";
    let odd = [
        ("a.parquet", "SELECT 1 AS x"),
        ("sub/b.PARQUET", "SELECT 2 AS x"),
        ("prüf 100%#1", "SELECT 9999 AS x"),
        ("_SUCCESS", ""),
    ];
    let read = report(&files(&odd), r#"{"range": {"column": "x", "max": 10}}"#);
    assert_eq!((read.rows, read.checks[0].failing_rows), (3, Some(1)));
    assert_eq!(read.checks[0].rows[0].file, "prüf 100%#1");
    assert_eq!(read.files.len(), 3);
    let text = "SELECT '1' AS x";
    for (all, because) in [
        (
            vec![("a.parquet", one), ("b.parquet", "")],
            "`b.parquet` is empty",
        ),
        (
            vec![("a.parquet", one), ("b.csv", "x\n1\n")],
            "`b.csv` is no Parquet file",
        ),
        (
            vec![("a.parquet", one), ("_SUCCESS", "x")],
            "`_SUCCESS` is no Parquet file",
        ),
        (
            vec![("a.parquet", one), ("b.parquet", "PAR1 not at all PAR1")],
            "`b.parquet` ",
        ),
        (
            vec![("a.parquet", one), ("b.parquet", "SELECT 1 AS y")],
            "has a column `y`",
        ),
        (
            vec![("a.parquet", one), ("b.parquet", text)],
            "`x` is integer in `a.parquet` and text in `b.parquet`",
        ),
        (
            vec![
                ("a.parquet", "SELECT 0.5 AS x"),
                ("b.parquet", "SELECT 9007199254740993 AS x"),
            ],
            "cannot hold exactly",
        ),
        (
            vec![("d=1/a.parquet", one), ("b.parquet", one)],
            "give no column, those of other files the column `d`",
        ),
        (
            vec![("x=1/a.parquet", one)],
            "in the names of their folders",
        ),
    ] {
        let error = engine().check(
            &files(&all),
            &checks(r#"{"range": {"column": "x", "max": 10}}"#),
            None,
        );
        match error {
            Err(ContractError::Engine(EngineError::Table { because: told, .. })) => {
                assert!(told.contains(because), "{all:?}: {told}");
            }
            other => panic!("{all:?}: {other:?}"),
        }
    }
    let parts = [
        ("year=2023/month=a%2Fb/a.parquet", "SELECT 1 AS x"),
        (
            "year=2024/month=__HIVE_DEFAULT_PARTITION__/b.parquet",
            "SELECT 2.5 AS x",
        ),
    ];
    let hive = report(
        &files(&parts),
        r#"{"schema": {"columns": {"x": "double", "year": "integer", "month": "text"}, "closed": true}}, {"allowed": {"column": "year", "values": [2023]}}, {"allowed": {"column": "month", "values": ["a/b"]}}, {"not_null": ["month"]}"#,
    );
    let failing: Vec<_> = hive.checks.iter().map(|check| check.failing_rows).collect();
    assert_eq!(failing, [None, Some(1), Some(0), Some(1)], "{hive:?}");
    assert!(hive.checks[0].passed, "{hive:?}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_mistake_in_a_contract_is_no_fault_of_the_data() {
    let rows = table(
        "data",
        "SELECT 1 AS amount, 'a' AS name, make_array(1) AS list, DATE '2024-01-01' AS day, CAST('x' AS BYTEA) AS raw",
    );
    for (check, path, because) in [
        (
            r#"{"range": {"column": "amuont", "max": 1}}"#,
            "range column",
            "did you mean `amount`",
        ),
        (
            r#"{"not_null": ["name", "nam"]}"#,
            "not_null 1",
            "did you mean `name`",
        ),
        (
            r#"{"allowed": {"column": "name", "values": ["a", 1]}}"#,
            "allowed values 1",
            "in quotes",
        ),
        (
            r#"{"allowed": {"column": "amount", "values": ["a"]}}"#,
            "allowed values 0",
            "no value of a column of integer",
        ),
        (
            r#"{"range": {"column": "day", "min": 2024}}"#,
            "range min",
            "`2024-12-31`",
        ),
        (
            r#"{"range": {"column": "day", "min": "2025-01-01", "max": "2024-01-01"}}"#,
            "range",
            "nothing is at least 2025-01-01 and at most 2024-01-01",
        ),
        (
            r#"{"range": {"column": "list", "min": 1}}"#,
            "range column",
            "no meaning for a column of list of integer",
        ),
        (r#"{"unique": ["list"]}"#, "unique 0", "no clear meaning"),
        (
            r#"{"matches": {"column": "raw", "pattern": "a"}}"#,
            "matches column",
            "no meaning for a column of binary",
        ),
        (
            r#"{"mean_between": {"column": "name", "min": 1}}"#,
            "mean_between column",
            "a mean has no meaning",
        ),
        (
            r#"{"sql": {"name": "n", "condition": "amuont > 1"}}"#,
            "sql condition",
            "did you mean `amount`",
        ),
        (
            r#"{"sql": {"name": "n", "condition": "amount >"}}"#,
            "sql condition",
            "xpected",
        ),
        (
            r#"{"sql": {"name": "n", "condition": "true"}}"#,
            "sql condition",
            "no column",
        ),
        (
            r#"{"sql": {"name": "n", "condition": "amount + 1"}}"#,
            "sql condition",
            "not whether something holds",
        ),
        (
            r#"{"sql": {"name": "n", "condition": "amount > avg(amount)"}}"#,
            "sql condition",
            "",
        ),
        (r#"{"row_count": {}}"#, "row_count", "bounds nothing"),
    ] {
        match engine().check(&rows, &checks(check), None) {
            Err(ContractError::Mistaken {
                check: Some(0),
                fault,
            }) => {
                assert_eq!(fault.path.join(" "), path, "{check}");
                assert!(
                    fault.because.contains(because),
                    "{check}: {}",
                    fault.because
                );
                assert!(
                    !fault.because.contains("DataFusion"),
                    "{check}: {}",
                    fault.because
                );
            }
            other => panic!("{check}: {other:?}"),
        }
    }
    let key = engine().check(&rows, &checks(r#"{"row_count": {"min": 1}}"#), Some("idd"));
    assert!(
        matches!(key, Err(ContractError::Mistaken { check: None, .. })),
        "{key:?}"
    );
}

#[test]
fn arithmetic_is_right_or_an_error() {
    let rows = table(
        "t",
        "SELECT CAST(column1 AS INT) AS i, column2 AS b, CAST(column3 AS DECIMAL(38,0)) AS d, column4 AS f, column5 AS s FROM (VALUES (2000000000, 9223372036854775807, '99999999999999999999999999999999999999', 1e300, '12'), (3, 1, '1', 2.5, 'x'))",
    );
    let run = |sql: &str| {
        let mut bytes = Vec::new();
        engine()
            .query_to_parquet(std::slice::from_ref(&rows), sql, &mut bytes)
            .map(|written| written.rows)
    };
    for sql in [
        "SELECT i * CAST(3 AS INT) AS x FROM t",
        "SELECT b + 1 AS x FROM t",
        "SELECT -(-b - 2) AS x FROM t",
        "SELECT b * 2 - b AS x FROM t",
        "SELECT d + d AS x FROM t",
        "SELECT sum(b) AS x FROM t",
        "SELECT i > 0 AS k, sum(b) AS x FROM t GROUP BY 1",
        "SELECT sum(DISTINCT b) AS x, count(*) AS n FROM t",
        "SELECT sum(b) OVER (ORDER BY b) AS x FROM t",
        "SELECT sum(d) AS x FROM t",
        "SELECT CAST(b AS INT) AS x FROM t",
        "SELECT CAST(f AS BIGINT) AS x FROM t",
        "SELECT CAST(s AS INT) AS x FROM t",
        "SELECT i FROM t WHERE CAST(b AS INT) > 1",
        "SELECT i / (i - 3) AS x FROM t",
        "SELECT b << 1 AS x FROM t",
        "SELECT i << CAST(31 AS INT) AS x FROM t",
        "SELECT b << 64 AS x FROM t",
        "SELECT b >> -1 AS x FROM t",
    ] {
        let failed = run(sql);
        assert!(
            matches!(failed, Err(EngineError::Failed(_))),
            "{sql}: {failed:?}"
        );
    }
    for sql in [
        "SELECT TRY_CAST(s AS INT) AS x, TRY_CAST(b AS INT) AS y FROM t",
        "SELECT sum(i) AS x, avg(b) AS y FROM t",
        "SELECT coalesce(TRY_CAST(s AS INT), 0) AS x FROM t",
        "SELECT CASE WHEN i > 3 THEN 0 ELSE 6 / (i - 1) END AS x FROM t",
        "SELECT b >> 62 AS x, b >> 200 AS y, i << CAST(0 AS INT) AS z FROM t",
        "SELECT x FROM (SELECT 6 / (i - 3) AS x FROM t WHERE i > 3) AS u WHERE x < 9",
    ] {
        let done = run(sql);
        assert!(done.is_ok(), "{sql}: {done:?}");
    }
    let shifted = engine().check(
        &rows,
        &checks(r#"{"sql": {"name": "shifts", "condition": "b >> 62 = b / 4611686018427387904 AND (0 - b) >> 1 = -((b + 0) / 2) - b % 2 AND i % 4 << 3 = 8 * (i % 4) AND b >> 200 = 0"}}"#),
        None,
    );
    assert!(
        shifted.as_ref().is_ok_and(|report| report.ok),
        "{shifted:?}"
    );
    let doubled = run("SELECT a.i, b.i FROM t AS a JOIN t AS b ON a.i = b.i");
    assert!(matches!(doubled, Err(EngineError::Plan(text)) if text.contains("two columns `i`")));
}

#[test]
fn the_figures_are_the_same_on_any_number_of_threads() {
    let parts: Vec<_> = (0..7)
        .map(|part| {
            let sql = format!("SELECT a.value AS id, sin(a.value) * power(10, a.value % 30) AS x, concat('t', a.value % 97) AS s FROM generate_series({}, {}) AS a(value)", part * 3000, part * 3000 + 2999);
            (format!("part-{part}.parquet"), sql)
        })
        .collect();
    let borrowed: Vec<_> = parts
        .iter()
        .map(|(path, sql)| (path.as_str(), sql.as_str()))
        .collect();
    let table = files(&borrowed);
    let contract = checks(
        r#"{"mean_between": {"column": "x", "min": 0}}, {"stddev_between": {"column": "x", "max": 1}}, {"unique": ["id"]}, {"unique": ["s"]}, {"distinct_count": {"column": "s", "max": 90}}, {"range": {"column": "x", "max": 0}}, {"sql": {"name": "n", "condition": "x < 0"}}"#,
    );
    let one = engine()
        .with_threads(1)
        .unwrap()
        .check(&table, &contract, Some("id"))
        .unwrap();
    let many = engine()
        .with_threads(5)
        .unwrap()
        .check(&table, &contract, Some("id"))
        .unwrap();
    assert_eq!(one, many);
    assert_eq!(one.checks[3].rows.len(), 10);
    assert_eq!(one.checks[3].rows[0].key.as_deref(), Some("97"));
}
