//! Answers questions about Parquet files, so that tests hold the answers against those of other engines.
//!
//! Reads a JSON object a line: `{"tables": {NAME: [PATH, …]}, "sql": SQL, "out": PATH}` writes the rows of a query to a
//! Parquet file, `{"tables": {NAME: […]}, "checks": […], "key": COLUMN}` checks the one table, `{"tables": {NAME: […]},
//! "look": N}` profiles it and shows its first N rows, `{"tables": {"a": […], "b": […]}, "diff": [COLUMN, …]}` compares two.
//! `"threads": N` works on that many. Answers a line each: `{"rows": N}`, the report, the profile, the difference, or
//! `{"error": TEXT}`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a tool of the tests, which reads and writes files of theirs"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use custody_crypto::aead::Ring;
use custody_engine::{Engine, Spill, Table};
use custody_stats::contract::Check;
use custody_types::{
    ByteSize, Digest, Entropy, FileEntry, FilePath, ReadError, Scratch, VersionFiles,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Question {
    tables: BTreeMap<String, Vec<String>>,
    sql: Option<String>,
    out: Option<String>,
    #[serde(default)]
    checks: Vec<Check>,
    key: Option<String>,
    look: Option<usize>,
    diff: Option<Vec<String>>,
    threads: Option<usize>,
}

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
        let found = self
            .0
            .iter()
            .zip(&self.1)
            .find(|(entry, _)| entry.path == *path);
        let (_, bytes) = found.ok_or_else(|| ReadError::NoSuchFile(path.clone()))?;
        let (start, end) = (
            usize::try_from(range.start).unwrap(),
            usize::try_from(range.end).unwrap(),
        );
        Ok(bytes.slice(start..end))
    }
}

#[derive(Debug)]
struct Unnamed;

impl Scratch for Unnamed {
    fn file(&self) -> io::Result<File> {
        tempfile::tempfile()
    }
}

#[derive(Debug)]
struct Ones;

impl Entropy for Ones {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(1);
    }
}

fn table(name: &str, paths: &[String]) -> Table {
    let (mut entries, mut all) = (Vec::new(), Vec::new());
    for (number, path) in paths.iter().enumerate() {
        let bytes = std::fs::read(path).unwrap();
        entries.push(FileEntry {
            path: format!("part-{number}.parquet").parse().unwrap(),
            size: ByteSize::from_bytes(bytes.len() as u64),
            sha256: Digest::of(&bytes),
            executable: false,
        });
        all.push(Bytes::from(bytes));
    }
    Table {
        name: name.to_owned(),
        files: Arc::new(Files(entries, all)),
    }
}

fn answer(engine: &Engine, question: &Question) -> Value {
    let tables: Vec<_> = question
        .tables
        .iter()
        .map(|(name, paths)| table(name, paths))
        .collect();
    let error = |error: String| json!({"error": error});
    match (question.look, &question.diff, tables.as_slice()) {
        (Some(rows), _, [table]) => {
            let profile = engine.profile(table);
            let head = engine.head(table, rows);
            return match (profile, head) {
                (Ok(profile), Ok(head)) => json!({"profile": profile, "head": head.head}),
                (Err(failed), _) | (_, Err(failed)) => error(failed.to_string()),
            };
        }
        (_, Some(key), [before, after]) => {
            return match engine.diff(before, after, key) {
                Ok(diff) => json!(diff),
                Err(failed) => error(failed.to_string()),
            };
        }
        _ => {}
    }
    match (&question.sql, &question.out, tables.as_slice()) {
        (Some(sql), Some(out), tables) => {
            let mut bytes = Vec::new();
            match engine.query_to_parquet(tables, sql, &mut bytes) {
                Ok(written) => {
                    std::fs::write(out, bytes).unwrap();
                    json!({"rows": written.rows})
                }
                Err(failed) => error(failed.to_string()),
            }
        }
        (None, None, [table]) => {
            match engine.check(table, &question.checks, question.key.as_deref()) {
                Ok(report) => json!(report),
                Err(failed) => error(failed.to_string()),
            }
        }
        _ => error("ask for one of both".to_owned()),
    }
}

fn engine() -> Engine {
    let spill = Spill {
        scratch: Arc::new(Unnamed),
        aead: Arc::new(Ring),
        entropy: Arc::new(Ones),
        limit: ByteSize::from_mebibytes(1 << 10),
    };
    Engine::new(ByteSize::from_mebibytes(512), spill).unwrap()
}

fn main() {
    let mut engines: BTreeMap<Option<usize>, Engine> = BTreeMap::new();
    for line in io::stdin().lock().lines() {
        let question: Question = serde_json::from_str(&line.unwrap()).unwrap();
        let engine = engines
            .entry(question.threads)
            .or_insert_with_key(|threads| match threads {
                Some(threads) => engine().with_threads(*threads).unwrap(),
                None => engine(),
            });
        println!("{}", answer(engine, &question));
    }
}
