//! What holds for every write-ahead log, whatever bytes it has. `scripts/fuzz.sh` drives it.

use sha2::{Digest, Sha256};

use crate::entry::Entry;
use crate::wal;

/// Where the length of a record stands in it.
const LENGTH_AT: std::ops::Range<usize> = 4..8;

/// Reads a write-ahead log: after a zero, its file as it is; after any other byte, one record, which gets its true length
/// and sum first. Tells whether a record was read.
///
/// # Errors
/// The property that does not hold.
pub fn write_ahead_log(input: &[u8]) -> Result<bool, String> {
    let Some((mode, rest)) = input.split_first() else {
        return Ok(false);
    };
    let file = if *mode == 0 {
        rest.to_vec()
    } else {
        closed(rest)
    };
    let (kept, end) = wal::read(&file);
    let mut written = Vec::new();
    for commit in &kept.commits {
        for entry in &commit.entries {
            // Any bytes can be an entry; reading them may fail, and nothing else.
            let _ = Entry::parse(entry);
        }
        written.extend(commit.encode().ok_or("a record that was read is written")?);
    }
    if file.get(..end) != Some(&written) {
        return Err("a record has one form".to_owned());
    }
    let after = file.get(end..).unwrap_or_default();
    if kept.flaw.is_none() != after.iter().all(|byte| *byte == 0) {
        return Err("only zeros follow a clean end".to_owned());
    }
    Ok(!kept.commits.is_empty())
}

/// Gives a record its length and its sum.
fn closed(body: &[u8]) -> Vec<u8> {
    let mut record = body.to_vec();
    let length = u32::try_from(body.len().saturating_add(32)).unwrap_or(u32::MAX);
    if let Some(place) = record.get_mut(LENGTH_AT) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    let sum = Sha256::digest(&record);
    record.extend(sum);
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Commit;

    /// Checks that `bytes` are the kept seed; writes them with `CUSTODY_GENERATE=1`.
    #[expect(clippy::disallowed_methods, reason = "seeds are written on request")]
    fn seed(name: &str, bytes: &[u8]) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/corpus/format_write_ahead_log")
            .join(name);
        if std::env::var_os("CUSTODY_GENERATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{}", path.display());
    }

    #[test]
    fn the_seeds_are_real_logs() {
        let entry = br#"{"schema":"custody.entry.v1","ts":"2026-01-01T00:00:00Z"}"#;
        let record = |first, entries| Commit {
            first,
            entries,
            checkpoint: "example.com/log\n1\nAAAA\n\n— example.com/log AAAA\n".to_owned(),
        };
        let one = record(0, vec![entry.to_vec(), b"{}".to_vec()])
            .encode()
            .unwrap();
        let two = record(2, Vec::new()).encode().unwrap();
        let mut torn = [one.as_slice(), &two].concat();
        torn.truncate(torn.len() - 5);
        torn.extend([0; 20]);
        let body = &one[..one.len() - 32];
        for (name, mode, bytes) in [
            ("two", 0, [one.as_slice(), &two, &[0; 40]].concat()),
            ("torn", 0, torn),
            ("record", 1, body.to_vec()),
        ] {
            let input = [&[mode], bytes.as_slice()].concat();
            assert_eq!(write_ahead_log(&input), Ok(true), "{name}");
            seed(name, &input);
        }
    }
}
