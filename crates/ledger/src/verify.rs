//! Checking everything, and copying it out.

use std::io;

use custody_tlog::checkpoint::Checkpoint;
use custody_tlog::tile;
use custody_tlog::tree::check_consistency;

use crate::entry::Entry;
use crate::error::LedgerError;
use crate::ledger::Ledger;

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerCheck {
    /// What was checked.
    pub name: String,
    /// What was seen.
    pub evidence: String,
    /// What is wrong, with the name of the file; `None` when it holds.
    pub broken: Option<String>,
}

fn check(name: &str, outcome: Result<String, String>) -> LedgerCheck {
    let (evidence, broken) = match outcome {
        Ok(evidence) => (evidence, None),
        Err(broken) => (String::new(), Some(broken)),
    };
    LedgerCheck {
        name: name.to_owned(),
        evidence,
        broken,
    }
}

impl Ledger {
    /// Reads everything again and checks it: the checkpoint's signature, every tile and entry against
    /// its root, the form and order of the entries, the write-ahead log.
    pub fn verify(&self) -> Vec<LedgerCheck> {
        vec![
            check("ledger checkpoint", self.check_checkpoint()),
            check("ledger tiles and entries", self.check_entries()),
            check("ledger consistency", self.check_consistency()),
            check(
                "ledger write-ahead log",
                self.wal_damage().map_or_else(
                    || Ok("no stray bytes".to_owned()),
                    |broken| Err(format!("`wal`: {broken}")),
                ),
            ),
        ]
    }

    fn published(&self) -> Result<Checkpoint, String> {
        self.publish().map_err(|error| error.to_string())?;
        let note = self.head().load().map_err(|error| error.to_string())?;
        let note = note.ok_or_else(|| "`checkpoint` is missing".to_owned())?;
        Checkpoint::open(&note, self.verifier()).map_err(|error| format!("`checkpoint`: {error}"))
    }

    fn check_checkpoint(&self) -> Result<String, String> {
        let checkpoint = self.published()?;
        if checkpoint.size < self.size() {
            return Err(format!(
                "`checkpoint` covers {} of {} entries",
                checkpoint.size,
                self.size()
            ));
        }
        Ok(format!(
            "{} entries signed by {}",
            checkpoint.size,
            self.verifier().vkey()
        ))
    }

    fn check_entries(&self) -> Result<String, String> {
        let size = self.size();
        let (mut count, mut wrong) = (0_u64, None);
        let mut last = None;
        self.entries(0, size, &mut |index, bytes| {
            let outcome = Entry::parse(bytes).and_then(|entry| match last.replace(entry.ts) {
                Some(before) if before > entry.ts => {
                    Err("it is earlier than the entry before".to_owned())
                }
                _ => Ok(()),
            });
            count += 1;
            if let Err(because) = outcome {
                wrong = Some(format!("entry {index}: {because}"));
            }
            wrong.is_none()
        })
        .map_err(|error| error.to_string())?;
        match wrong {
            Some(wrong) => Err(wrong),
            None => Ok(format!(
                "{count} entries and every tile make the signed root"
            )),
        }
    }

    /// The published log must be the beginning of the log in memory, and the other way round.
    fn check_consistency(&self) -> Result<String, String> {
        let old = self.published()?;
        let proof = self
            .with_tree(|tree| Ok(tree.consistency(old.size)?))
            .map_err(|error| error.to_string())?;
        let now = Checkpoint::open(&self.checkpoint(), self.verifier())
            .map_err(|error| error.to_string())?;
        check_consistency(old.size, &old.root, now.size, &now.root, &proof)
            .map_err(|_| "`checkpoint` is not of this log".to_owned())?;
        Ok(format!(
            "size {} grew from the published {}",
            now.size, old.size
        ))
    }

    /// Copies the log out in the static layout of C2SP tlog-tiles: `put` gets each path with its bytes.
    ///
    /// # Errors
    /// [`LedgerError`] when a file is damaged; [`LedgerError::Storage`] when `put` fails.
    pub fn export(
        &self,
        put: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>,
    ) -> Result<(), LedgerError> {
        let mut put = |path: &str, bytes: &[u8]| {
            put(path, bytes).map_err(|error| LedgerError::Storage {
                file: path.to_owned(),
                because: error.to_string(),
            })
        };
        let size = self.with_tree(|tree| {
            for tile in tile::tiles(tree.size()) {
                put(&tile.path(), &tree.tile(tile)?.concat())?;
            }
            for (index, width) in tile::bundles(tree.size()) {
                tree.bundle(index)?;
                let path = tile::bundle_path(index, width);
                let bytes = self.tiles().read(&path)?.unwrap_or_default();
                put(&path, &bytes)?;
            }
            Ok(tree.size())
        })?;
        let note = self.head().load()?.unwrap_or_default();
        let covered = Checkpoint::open(&note, self.verifier()).map(|checkpoint| checkpoint.size);
        if covered != Ok(size) {
            return Err(LedgerError::Damaged {
                file: "checkpoint".to_owned(),
                because: "it is not of this log".to_owned(),
            });
        }
        put("vkey", format!("{}\n", self.verifier().vkey()).as_bytes())?;
        put("checkpoint", note.as_bytes())
    }
}
