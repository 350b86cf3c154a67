//! Checking everything.

use custody_tlog::checkpoint::Checkpoint;
use custody_tlog::tile::{Tree, WIDTH};
use custody_types::causes;

use crate::entry::Entry;
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::snapshot::{Snapshot, Stored};

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
    /// Reads everything again and checks it: what [`Ledger::verify_head`] does, every tile and entry against the root,
    /// and the form and order of the entries. Takes time in proportion to the ledger.
    pub fn verify(&self) -> Vec<LedgerCheck> {
        let mut checks = self.verify_head();
        let entries = check_entries(&self.snapshot());
        checks.push(check("ledger tiles and entries", entries));
        checks
    }

    /// Checks what single entries are proved against, in the same time however long the ledger is: the stored
    /// checkpoint's signature and right edge, that the log goes on from it, and the write-ahead log. Nothing is
    /// published for it.
    pub fn verify_head(&self) -> Vec<LedgerCheck> {
        let stored = self.check_stored();
        let snapshot = self.snapshot();
        let consistency = match &stored {
            Ok(stored) => check_consistency(&snapshot, stored.as_ref()),
            Err(_) => Err("there is no checkpoint to compare with".to_owned()),
        };
        vec![
            check(
                "ledger checkpoint",
                stored.map(|stored| self.summary(&snapshot, stored.as_ref())),
            ),
            check("ledger consistency", consistency),
            check(
                "ledger write-ahead log",
                self.flaw().map_or_else(
                    || Ok("no stray bytes".to_owned()),
                    |broken| Err(format!("`wal`: {broken}")),
                ),
            ),
        ]
    }

    /// Returns the published checkpoint as it is stored, with its right edge and last bundle read again;
    /// `None` before the first.
    fn check_stored(&self) -> Result<Option<Checkpoint>, String> {
        let wrong = |error: LedgerError| causes(&error);
        self.between_publishings(|published, head, tiles| {
            let Some(note) = head.load().map_err(|error| causes(&error))? else {
                let missing = "`checkpoint` is missing".to_owned();
                return if published == 0 {
                    Ok(None)
                } else {
                    Err(missing)
                };
            };
            let stored = Checkpoint::open(&note, self.verifier())
                .map_err(|error| format!("`checkpoint`: {error}"))?;
            if stored.size != published {
                return Err(format!(
                    "`checkpoint` covers {} entries, not the {published} that were published",
                    stored.size
                ));
            }
            let source = Stored(tiles);
            let tree = Tree::open(&source, stored.size, &stored.root)
                .map_err(|error| wrong(error.into()))?;
            if stored.size % WIDTH > 0 {
                let last = tree.bundle(stored.size / WIDTH);
                last.map_err(|error| wrong(error.into()))?;
            }
            Ok(Some(stored))
        })
    }

    fn summary(&self, snapshot: &Snapshot, stored: Option<&Checkpoint>) -> String {
        let size = stored.map_or(0, |stored| stored.size);
        let waiting = snapshot.size() - size.min(snapshot.size());
        let vkey = self.verifier().vkey();
        if waiting == 0 {
            format!("{size} entries signed by {vkey}")
        } else {
            format!("{size} entries signed by {vkey}, {waiting} more in the write-ahead log")
        }
    }
}

fn check_entries(snapshot: &Snapshot) -> Result<String, String> {
    let (mut count, mut wrong) = (0_u64, None);
    let mut last = None;
    snapshot
        .entries(0, snapshot.size(), &mut |index, bytes| {
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
        .map_err(|error| causes(&error))?;
    match wrong {
        Some(wrong) => Err(wrong),
        None => Ok(format!(
            "{count} entries and every tile make the signed root"
        )),
    }
}

/// The log must go on from the checkpoint as it is stored.
fn check_consistency(snapshot: &Snapshot, stored: Option<&Checkpoint>) -> Result<String, String> {
    let Some(stored) = stored else {
        return Ok(format!(
            "size {} and nothing published yet",
            snapshot.size()
        ));
    };
    let goes_on = snapshot.goes_on_from(stored);
    if goes_on.map_err(|error| causes(&error))? {
        Ok(format!(
            "size {} grew from the published {}",
            snapshot.size(),
            stored.size
        ))
    } else {
        Err("`checkpoint` is not of this log".to_owned())
    }
}
