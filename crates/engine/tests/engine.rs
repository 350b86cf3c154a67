//! What SQL may do, what contracts find, and what errors do not say.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

#[path = "engine/cases.rs"]
mod cases;

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use custody_crypto::aead::Ring;
use custody_engine::{Engine, EngineError, Spill, Table};
use custody_stats::contract::{
    AllowedCheck, Check, ColumnBounds, CountBounds, Literal, MatchesCheck, Nan, NotNullCheck,
    NullFractionCheck, RangeCheck, SchemaCheck, SqlCheck,
};
use custody_types::{
    ByteSize, Digest, Entropy, FileEntry, FilePath, ReadError, Scratch, VersionFiles,
};
use tempfile::NamedTempFile;

const SECRET: &str = "4711-secret-value";

#[derive(Debug)]
struct OneFile(FileEntry, Bytes);

impl VersionFiles for OneFile {
    fn digest(&self) -> Digest {
        custody_types::listing_digest([&self.0])
    }

    fn files(&self) -> &[FileEntry] {
        std::slice::from_ref(&self.0)
    }

    fn read(&self, path: &FilePath, range: Range<u64>) -> Result<Bytes, ReadError> {
        assert_eq!(*path, self.0.path);
        Ok(self
            .1
            .slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()))
    }
}

/// Files with names, so that a test can look at them.
#[derive(Debug, Default)]
struct Seen(Mutex<Vec<NamedTempFile>>);

impl Scratch for Seen {
    fn file(&self) -> io::Result<File> {
        let file = NamedTempFile::new()?;
        let opened = file.reopen();
        self.0.lock().unwrap().push(file);
        opened
    }
}

#[derive(Debug)]
struct Ones;

impl Entropy for Ones {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(1);
    }
}

fn engine_of(memory: ByteSize, scratch: Arc<dyn Scratch>) -> Engine {
    let spill = Spill {
        scratch,
        aead: Arc::new(Ring),
        entropy: Arc::new(Ones),
        limit: ByteSize::from_mebibytes(1 << 10),
    };
    Engine::new(memory, spill).unwrap()
}

fn engine() -> Engine {
    engine_of(ByteSize::from_mebibytes(256), Arc::new(Seen::default()))
}

/// Makes a table by SQL without tables.
fn table(name: &str, sql: &str) -> Table {
    let mut bytes = Vec::new();
    engine().query_to_parquet(&[], sql, &mut bytes).unwrap();
    let entry = FileEntry {
        path: "data.parquet".parse().unwrap(),
        size: ByteSize::from_bytes(bytes.len() as u64),
        sha256: Digest::of(&bytes),
        executable: false,
    };
    Table {
        name: name.to_owned(),
        files: Arc::new(OneFile(entry, Bytes::from(bytes))),
    }
}

fn people() -> Table {
    let rows = format!(
        "(1, 'ann', 30.0, 'f'), (2, 'bob', 40.0, 'm'), (3, NULL, 50.5, 'f'), (3, '{SECRET}', 17.0, 'x')"
    );
    table(
        "people",
        &format!(
            "SELECT column1 AS id, column2 AS name, column3 AS age, column4 AS sex FROM (VALUES {rows})"
        ),
    )
}

fn query(sql: &str) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::new();
    engine()
        .query_to_parquet(&[people()], sql, &mut bytes)
        .map(|_| bytes)
}

#[test]
fn equal_queries_give_equal_bytes() {
    let sql = "SELECT id, custody_bucket(CAST(id AS VARCHAR), 10) AS bucket, avg(age) AS age FROM people GROUP BY id ORDER BY id";
    assert_eq!(query(sql).unwrap(), query(sql).unwrap());
}

#[test]
fn nothing_but_reading_the_given_tables_is_allowed() {
    for sql in [
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc/'",
        "DROP TABLE people",
        "INSERT INTO people VALUES (1, 'x', 1.0, 'f')",
        "DELETE FROM people",
        "COPY people TO '/tmp/out.parquet'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'file:///etc/passwd.parquet'",
        "SELECT * FROM other",
        "SELECT * FROM information_schema.tables",
        "SELECT random()",
        "SELECT now()",
        "SELECT uuid()",
        "SELECT current_date()",
        "SELECT 1; SELECT 2",
    ] {
        let error = query(sql).expect_err(sql);
        assert!(
            matches!(error, EngineError::Plan(_) | EngineError::NotAllowed(_)),
            "{sql}: {error:?}"
        );
    }
}

#[test]
fn errors_carry_no_values() {
    for sql in [
        "SELECT CAST(name AS INT) FROM people",
        "SELECT 1 / (id - 1) FROM people WHERE id = 1",
        "SELECT id FROM people WHERE CAST(name AS DATE) > DATE '2000-01-01'",
    ] {
        if let Err(error) = query(sql) {
            let text = format!("{error} {error:?}");
            assert!(
                !text.contains(SECRET) && !text.contains("ann") && !text.contains("bob"),
                "{sql}: {text}"
            );
        }
    }
    let error = query("SELECT CAST(name AS INT) FROM people").unwrap_err();
    assert!(matches!(error, EngineError::Failed(_)), "{error:?}");
}

#[test]
fn what_needs_too_much_memory_ends_with_an_error() {
    let small = engine_of(ByteSize::from_mebibytes(1), Arc::new(Seen::default()));
    let sql = "SELECT a.value AS a, count(*) AS n FROM generate_series(1, 2000000) AS a(value) GROUP BY a.value ORDER BY n, a.value";
    let mut out = Vec::new();
    let outcome = small.query_to_parquet(&[], sql, &mut out);
    assert!(
        matches!(outcome, Err(EngineError::Memory(_) | EngineError::Plan(_))),
        "{outcome:?}"
    );
}

#[test]
fn what_does_not_fit_into_memory_is_sealed_on_the_disk_and_changes_nothing() {
    let sql = format!(
        "SELECT a.value AS a, concat('{SECRET}', a.value) AS text FROM generate_series(1, 400000) AS a(value) ORDER BY text DESC"
    );
    let run = |engine: Engine| {
        let mut out = Vec::new();
        engine.query_to_parquet(&[], &sql, &mut out).unwrap();
        out
    };
    let scratch = Arc::new(Seen::default());
    let large = run(engine());
    let small = run(engine_of(ByteSize::from_mebibytes(24), scratch.clone()));
    assert_eq!(Digest::of(&small), Digest::of(&large));
    let files = scratch.0.lock().unwrap();
    assert!(!files.is_empty(), "24 MiB are too little for this query");
    for file in files.iter() {
        let mut sealed = Vec::new();
        file.reopen().unwrap().read_to_end(&mut sealed).unwrap();
        assert!(
            !sealed
                .windows(SECRET.len())
                .any(|window| window == SECRET.as_bytes())
        );
    }
}

/// A disk without room.
#[derive(Debug)]
struct Full;

impl Scratch for Full {
    fn file(&self) -> io::Result<File> {
        File::options().read(true).write(true).open("/dev/full")
    }
}

#[test]
fn a_full_disk_is_told_from_a_wrong_query() {
    let sql = "SELECT a.value AS a, concat('x', a.value) AS text FROM generate_series(1, 400000) AS a(value) ORDER BY text DESC";
    let engine = engine_of(ByteSize::from_mebibytes(24), Arc::new(Full));
    let told = engine.query_to_parquet(&[], sql, &mut Vec::new());
    assert_eq!(told.unwrap_err(), EngineError::NoRoom);
}

#[test]
fn columns_come_out_as_what_they_are() {
    let engine = engine();
    let found = engine.values(&people(), &["name", "age"]).unwrap();
    let ages: Vec<_> = (0..4).map(|row| found[1].number(row)).collect();
    assert_eq!(ages, [Some(30.0), Some(40.0), Some(50.5), Some(17.0)]);
    let texts: Vec<_> = (0..4).map(|row| found[1].text(row)).collect();
    assert_eq!(
        texts,
        ["30", "40", "50.5", "17"].map(|text| Some(text.to_owned()))
    );
    assert!(found[0].is_missing(2));
    assert!(engine.values(&people(), &["none"]).is_err());
}

/// The planner leaves casts out of the names that it gives, and refuses two of one name.
#[test]
fn a_cast_is_told_from_what_it_casts() {
    let engine = engine();
    let run = |sql: &str| {
        let mut bytes = Vec::new();
        engine.query_to_parquet(&[people()], sql, &mut bytes)?;
        custody_engine::file_values(bytes.into(), &["a", "b"])
    };
    let texts = |sql: &str| {
        let found = run(sql).unwrap();
        [found[0].text(0).unwrap(), found[1].text(0).unwrap()]
    };
    let both = texts("SELECT SUM(age) AS a, SUM(CAST(age AS DOUBLE)) AS b FROM people");
    assert_eq!(both[0], both[1]);
    let both =
        texts("SELECT MIN(age) AS a, MIN(CAST(CAST(age AS BIGINT) AS VARCHAR)) AS b FROM people");
    assert_eq!(both, ["17", "17"]);
    let both =
        texts("SELECT age AS a, TRY_CAST(name AS BIGINT) IS NULL AS b FROM people WHERE age = 17");
    assert_eq!(both, ["17", "true"]);
    // What is cast is checked as ever.
    let told = run("SELECT MAX(age) AS a, MAX(CAST(age * 1000 AS SMALLINT)) AS b FROM people");
    assert!(matches!(told, Err(EngineError::Failed(_))), "{told:?}");
    let told = run("SELECT age, CAST(age AS DOUBLE) FROM people").unwrap_err();
    assert!(
        told.to_string().contains("give one another name with AS"),
        "{told}"
    );
}

fn range(column: &str, min: f64, max: f64) -> Check {
    Check::Range(RangeCheck {
        column: column.to_owned(),
        min: Some(Literal::Number(min)),
        max: Some(Literal::Number(max)),
    })
}

fn bounds(column: &str, min: f64, max: f64) -> ColumnBounds {
    ColumnBounds {
        column: column.to_owned(),
        min: Some(min),
        max: Some(max),
    }
}

/// Each check, the rows that break it, and whether it holds.
fn checks() -> Vec<(Check, bool, Option<u64>)> {
    let count = |min, max| {
        Check::RowCount(CountBounds {
            min: Some(min),
            max: Some(max),
        })
    };
    let schema = |kind: &str, closed| {
        Check::Schema(SchemaCheck {
            columns: [("age".to_owned(), kind.to_owned())].into(),
            closed,
        })
    };
    let allowed = |values: &[&str]| {
        let values = values
            .iter()
            .map(|value| Literal::Text((*value).to_owned()))
            .collect();
        Check::Allowed(AllowedCheck {
            column: "sex".to_owned(),
            values,
        })
    };
    let matches = |pattern: &str| {
        Check::Matches(MatchesCheck {
            column: "name".to_owned(),
            pattern: pattern.to_owned(),
        })
    };
    let sql = |condition: &str| {
        Check::Sql(SqlCheck {
            name: "own".to_owned(),
            condition: condition.to_owned(),
        })
    };
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    vec![
        (count(4, 4), true, None),
        (count(5, 9), false, None),
        (schema("double", false), true, None),
        (schema("integer", false), false, None),
        (schema("double", true), false, None),
        (
            Check::NotNull(NotNullCheck::Columns(names(&["id", "age"]))),
            true,
            Some(0),
        ),
        (
            Check::NotNull(NotNullCheck::Columns(names(&["id", "name"]))),
            false,
            Some(1),
        ),
        (Check::Unique(names(&["id", "age"])), true, Some(0)),
        (Check::Unique(names(&["id"])), false, Some(1)),
        (range("age", 0.0, 99.0), true, Some(0)),
        (range("age", 18.0, 45.0), false, Some(2)),
        (allowed(&["f", "m", "x"]), true, Some(0)),
        (allowed(&["f", "m"]), false, Some(1)),
        (matches("^[a-z0-9-]+$"), true, Some(0)),
        (matches("^[a-z]{3}$"), false, Some(1)),
        (
            Check::NullFraction(NullFractionCheck {
                column: "name".to_owned(),
                max: 0.25,
                nan: Nan::Missing,
            }),
            true,
            None,
        ),
        (
            Check::NullFraction(NullFractionCheck {
                column: "name".to_owned(),
                max: 0.2,
                nan: Nan::Missing,
            }),
            false,
            None,
        ),
        (Check::MeanBetween(bounds("age", 34.0, 35.0)), true, None),
        (Check::MeanBetween(bounds("age", 40.0, 50.0)), false, None),
        (Check::StddevBetween(bounds("age", 10.0, 20.0)), true, None),
        (Check::StddevBetween(bounds("age", 0.0, 1.0)), false, None),
        (Check::DistinctCount(bounds("sex", 3.0, 3.0)), true, None),
        (Check::DistinctCount(bounds("sex", 2.0, 2.0)), false, None),
        (Check::TextLength(bounds("sex", 1.0, 1.0)), true, Some(0)),
        (Check::TextLength(bounds("name", 1.0, 5.0)), false, Some(1)),
        (sql("age > 0"), true, Some(0)),
        (sql("length(name) < 5"), false, Some(2)),
    ]
}

#[test]
fn every_kind_of_check_holds_and_breaks_in_one_scan() {
    let cases = checks();
    let contract: Vec<_> = cases.iter().map(|(check, ..)| check.clone()).collect();
    let report = engine().check(&people(), &contract, None).unwrap();
    assert_eq!((report.ok, report.rows), (false, 4));
    for ((check, passed, failing), outcome) in cases.iter().zip(&report.checks) {
        assert_eq!(outcome.passed, *passed, "{check:?}: {outcome:?}");
        assert_eq!(outcome.failing_rows, *failing, "{check:?}: {outcome:?}");
    }
}

#[test]
fn a_report_names_rows_by_their_key_and_says_no_other_value() {
    let contract = [Check::Allowed(AllowedCheck {
        column: "sex".to_owned(),
        values: vec![Literal::Text("f".to_owned())],
    })];
    let report = engine().check(&people(), &contract, Some("id")).unwrap();
    let keys: Vec<_> = report.checks[0]
        .rows
        .iter()
        .map(|row| row.key.as_deref())
        .collect();
    assert_eq!(keys, [Some("2"), Some("3")]);
    assert_eq!(report.checks[0].share, Some(0.5));
    assert!(!format!("{report:?}").contains(SECRET));
}
