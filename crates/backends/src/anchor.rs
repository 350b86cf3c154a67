//! The checkpoint that was seen last, outside the workspace.
//!
//! It is replaced atomically and not synced: after a loss of power the older one may be there, which holds
//! as well.
#![expect(
    clippy::disallowed_methods,
    reason = "this is where the file is written"
)]

use std::fs;
use std::io;
use std::path::Path;

use crate::disk;

/// Reads it; `None` when there is none.
///
/// # Errors
/// What the system says, or that it is no text.
pub fn load(path: &Path) -> io::Result<Option<String>> {
    let bytes = disk::read(path)?;
    bytes
        .map(|bytes| String::from_utf8(bytes).map_err(io::Error::other))
        .transpose()
}

/// Replaces it, with its folder made where there is none.
///
/// # Errors
/// What the system says.
pub fn keep(path: &Path, checkpoint: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        disk::create_folder(folder)?;
    }
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let kept = fs::write(&temporary, checkpoint).and_then(|()| fs::rename(&temporary, path));
    if kept.is_err() {
        // On a full disk what was begun would only be in the way.
        let _ = fs::remove_file(&temporary);
    }
    kept
}
