//! Cursors: where a list goes on. They are opaque to who holds them, and hold for as long as the ledger does.

use custody_types::{ArtifactName, Problem, VersionName, code};

use crate::runs::is_id;

/// Returns the cursor of what follows a version in the list of those in quarantine (`held`), or of the others.
pub(crate) fn of_version(name: &VersionName, held: bool) -> String {
    hex::encode(format!("{}{name}", list(held)))
}

/// Reads the version after which the same list goes on.
pub(crate) fn version(cursor: &str, held: bool) -> Result<VersionName, Problem> {
    let text = opened(cursor, list(held))?;
    text.parse().map_err(|_| unknown(cursor))
}

/// Returns the cursor of what comes before an entry.
pub(crate) fn of_entry(index: u64) -> String {
    hex::encode(format!("e {index}"))
}

/// Reads the entry before which a list goes on.
pub(crate) fn entry(cursor: &str) -> Result<u64, Problem> {
    let text = opened(cursor, "e ")?;
    text.parse().map_err(|_| unknown(cursor))
}

/// Returns the cursor of the entries from one to another.
pub(crate) fn of_span(start: u64, end: u64) -> String {
    hex::encode(format!("p {start} {end}"))
}

/// Reads from which entry to which a list goes on.
pub(crate) fn span(cursor: &str) -> Result<(u64, u64), Problem> {
    let text = opened(cursor, "p ")?;
    let read = text.split_once(' ').and_then(|(start, end)| {
        let (start, end) = (start.parse().ok()?, end.parse().ok()?);
        (start <= end).then_some((start, end))
    });
    read.ok_or_else(|| unknown(cursor))
}

/// Returns the cursor of the runs before a run.
pub(crate) fn of_run(id: &str) -> String {
    hex::encode(format!("r {id}"))
}

/// Reads the run before which a list goes on.
pub(crate) fn run(cursor: &str) -> Result<String, Problem> {
    let id = opened(cursor, "r ")?;
    if is_id(&id) {
        Ok(id)
    } else {
        Err(unknown(cursor))
    }
}

/// Returns the cursor of the artifacts after one.
pub(crate) fn of_artifact(name: &ArtifactName) -> String {
    hex::encode(format!("a {name}"))
}

/// Reads the artifact after which a list goes on.
pub(crate) fn artifact(cursor: &str) -> Result<ArtifactName, Problem> {
    let text = opened(cursor, "a ")?;
    text.parse().map_err(|_| unknown(cursor))
}

const fn list(held: bool) -> &'static str {
    if held { "q " } else { "v " }
}

fn opened(cursor: &str, kind: &str) -> Result<String, Problem> {
    let bytes = hex::decode(cursor).map_err(|_| unknown(cursor))?;
    let text = String::from_utf8(bytes).map_err(|_| unknown(cursor))?;
    let text = text.strip_prefix(kind).map(ToOwned::to_owned);
    text.ok_or_else(|| unknown(cursor))
}

fn unknown(cursor: &str) -> Problem {
    let shown: String = cursor.chars().take(40).collect();
    Problem::new(
        code::DOOR_017,
        format!("`{shown}` is no place where this list goes on"),
    )
    .hint("give `--after` what the same list said under `more`, or leave it out to begin")
}
