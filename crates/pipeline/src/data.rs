//! Looking at data: columns for who may list, values for who may read them and see them.
//!
//! Who may read a version may have steps read it; that is not yet to see it. What `head`, `profile` and `diff` show is
//! what a step could print, so they ask for `readLog` as well, as a step's output does.

use std::sync::Arc;

use custody_engine::{EngineError, Table};
use custody_guard::{Grant, List, Read, ReadLog, ResourceRef, Session};
use custody_types::{Problem, Reference, VersionFiles, VersionName, code};
use custody_wire::{DiffReply, DiffRequest, HeadReply, ProfileReply, SchemaReply};

use crate::run::Runner;

/// The most rows that are shown.
const MOST_ROWS: u64 = 1000;
/// How many rows are shown where nobody says how many.
const ROWS: u64 = 10;

/// A version whose values may be seen.
struct Seen {
    name: VersionName,
    files: Arc<dyn VersionFiles>,
    read: Grant<Read>,
    log: Grant<ReadLog>,
}

impl Seen {
    fn table(&self) -> Table {
        table(&self.name, &self.files)
    }

    fn finish(self) -> Result<(), Problem> {
        self.read.finish()?;
        self.log.finish()
    }
}

impl Runner {
    /// Tells the columns of a version's table.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such version, or it is no table.
    pub fn schema(&self, session: &Session, reference: Reference) -> Result<SchemaReply, Problem> {
        let grant = self
            .door
            .ask::<List>(session, ResourceRef::Named(reference))?;
        let name = grant.version()?.name();
        let files = grant.structure()?;
        let head = self
            .workshop()?
            .engine
            .head(&table(&name, &files), 0)
            .map_err(|error| unreadable(&name, &error))?;
        grant.finish()?;
        Ok(SchemaReply {
            version: name,
            rows: head.rows,
            files: files.files().len() as u64,
            columns: head.columns,
        })
    }

    /// Shows the first rows of a version's table.
    ///
    /// # Errors
    /// A [`Problem`] when the caller may not see values, there is no such version, or it is no table.
    pub fn head(
        &self,
        session: &Session,
        reference: Reference,
        rows: Option<u64>,
    ) -> Result<HeadReply, Problem> {
        let rows = rows.unwrap_or(ROWS);
        if rows > MOST_ROWS {
            return Err(Problem::new(
                code::DATA_003,
                format!("{rows} rows are too many: at most {MOST_ROWS} are shown"),
            )
            .hint("take the files out with `custody get`"));
        }
        let seen = self.seen(session, reference)?;
        let head = self
            .workshop()?
            .engine
            .head(&seen.table(), usize::try_from(rows).unwrap_or(usize::MAX))
            .map_err(|error| unreadable(&seen.name, &error))?;
        let version = seen.name.clone();
        seen.finish()?;
        Ok(HeadReply {
            version,
            rows: head.rows,
            columns: head.columns,
            head: head.head,
        })
    }

    /// Tells what a version's table looks like.
    ///
    /// # Errors
    /// As [`Runner::head`].
    pub fn profile(
        &self,
        session: &Session,
        reference: Reference,
    ) -> Result<ProfileReply, Problem> {
        let seen = self.seen(session, reference)?;
        let profile = self
            .workshop()?
            .engine
            .profile(&seen.table())
            .map_err(|error| unreadable(&seen.name, &error))?;
        let version = seen.name.clone();
        seen.finish()?;
        Ok(ProfileReply { version, profile })
    }

    /// Tells what differs between two versions.
    ///
    /// # Errors
    /// As [`Runner::head`], and when rows cannot be told apart by the key.
    pub fn diff(&self, session: &Session, request: &DiffRequest) -> Result<DiffReply, Problem> {
        let parse = crate::evidence::reference;
        let before = self.seen(session, parse(&request.before)?)?;
        let after = self.seen(session, parse(&request.after)?)?;
        let diff = self
            .workshop()?
            .engine
            .diff(&before.table(), &after.table(), &request.key)
            .map_err(|error| incomparable(&before.name, &after.name, &error))?;
        let names = (before.name.clone(), after.name.clone());
        before.finish()?;
        after.finish()?;
        Ok(DiffReply {
            before: names.0,
            after: names.1,
            diff,
        })
    }

    fn seen(&self, session: &Session, reference: Reference) -> Result<Seen, Problem> {
        let read = self
            .door
            .ask::<Read>(session, ResourceRef::Named(reference))?;
        let version = read.version()?.clone();
        let log = self
            .door
            .ask::<ReadLog>(session, ResourceRef::Version(Box::new(version.clone())))?;
        Ok(Seen {
            name: version.name(),
            files: read.files()?,
            read,
            log,
        })
    }
}

fn table(name: &VersionName, files: &Arc<dyn VersionFiles>) -> Table {
    Table {
        name: name.to_string(),
        files: files.clone(),
    }
}

fn unreadable(name: &VersionName, error: &EngineError) -> Problem {
    Problem::new(
        code::DATA_001,
        format!("`{name}` cannot be looked at as a table"),
    )
    .because(error)
    .hint(format!(
        "see its files with `custody show {name}`; `custody put` makes tables of CSV, JSON lines, Arrow and Parquet"
    ))
    .subject(name)
}

fn incomparable(before: &VersionName, after: &VersionName, error: &EngineError) -> Problem {
    let hint = match error {
        EngineError::Key(_) => format!(
            "name with `--key` columns whose values stand once each; see the columns with `custody data schema {after}`"
        ),
        _ => format!(
            "see the columns with `custody data schema {before}` and `custody data schema {after}`"
        ),
    };
    let code = match error {
        EngineError::Key(_) => code::DATA_004,
        _ => code::DATA_002,
    };
    Problem::new(code, format!("`{before}` and `{after}` cannot be compared"))
        .because(error)
        .hint(hint)
}
