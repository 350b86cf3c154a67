//! Doubles of the ports, and what every implementation of them must do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "it is for tests, which may panic"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};

use crate::ports::{CheckpointStore, Commit, Kept, PortError, Sequencer, Tiles, Wal};

/// A disk in memory: what outlives the process, and what happens to its writes.
#[derive(Debug, Default)]
pub struct Disk {
    /// The write-ahead log.
    pub wal: Mutex<Vec<u8>>,
    /// Commits, where they are kept as rows.
    pub rows: Mutex<Rows>,
    /// Tiles and bundles.
    pub tiles: Mutex<BTreeMap<String, Vec<u8>>>,
    /// The published checkpoint.
    pub head: Mutex<Option<String>>,
    /// Size and root of every checkpoint that was written anywhere.
    pub notes: Mutex<Vec<Vec<String>>>,
    fails: AtomicBool,
    /// Whether what fails is not done; else it is, and its reply is lost.
    drops: bool,
    stuck: Mutex<bool>,
    freed: Condvar,
}

/// What a sequencer in a table keeps.
#[derive(Debug, Default, Clone)]
pub struct Rows {
    commits: Vec<Commit>,
    next: u64,
}

impl Disk {
    /// Begins a disk on which what fails is not done; on others it is, and its reply is lost.
    pub fn that_drops(drops: bool) -> Arc<Self> {
        Arc::new(Self {
            drops,
            ..Self::default()
        })
    }

    /// Copies what is on it to a disk that works.
    pub fn copy(&self) -> Arc<Self> {
        Arc::new(Self {
            wal: Mutex::new(self.wal.lock().unwrap().clone()),
            rows: Mutex::new(self.rows.lock().unwrap().clone()),
            tiles: Mutex::new(self.tiles.lock().unwrap().clone()),
            head: Mutex::new(self.head.lock().unwrap().clone()),
            ..Self::default()
        })
    }

    /// Makes every write fail from now on, or none.
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// Makes every write wait, or lets them go on.
    pub fn stick(&self, stuck: bool) {
        *self.stuck.lock().unwrap() = stuck;
        self.freed.notify_all();
    }

    /// Returns whether what is written gets to the disk.
    fn takes(&self) -> bool {
        !(self.drops && self.fails.load(Ordering::SeqCst))
    }

    /// Waits where the disk is stuck.
    fn written(&self) -> Result<(), PortError> {
        let stuck = self.stuck.lock().unwrap();
        drop(self.freed.wait_while(stuck, |stuck| *stuck).unwrap());
        if self.fails.load(Ordering::SeqCst) {
            return Err(PortError::Failed {
                file: "disk".to_owned(),
                source: Arc::new(std::io::Error::other("a fault")),
            });
        }
        Ok(())
    }

    /// Notes the checkpoints in what is written.
    fn note(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let notes = text.split("example.com/log\n").skip(1);
        let notes = notes.map(|rest| rest.lines().take(2).map(ToOwned::to_owned).collect());
        self.notes.lock().unwrap().extend(notes);
    }

    /// Checks that one size has one root, in all that was ever written.
    ///
    /// # Panics
    /// When one has two.
    pub fn check_notes(&self) {
        let mut roots = BTreeMap::new();
        for note in self.notes.lock().unwrap().iter() {
            let (size, root) = (&note[0], &note[1]);
            let known = roots.entry(size.clone()).or_insert_with(|| root.clone());
            assert_eq!(known, root, "two roots for {size} entries");
        }
    }
}

/// The ports over a [`Disk`].
#[derive(Debug, Clone)]
pub struct Stored(pub Arc<Disk>);

impl Wal for Stored {
    fn load(&mut self) -> Result<Vec<u8>, PortError> {
        Ok(self.0.wal.lock().unwrap().clone())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), PortError> {
        self.0.note(bytes);
        let at = usize::try_from(at).unwrap();
        if self.0.takes() {
            self.0.wal.lock().unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
        }
        self.0.written()
    }

    fn renew(&mut self, beginning: &[u8], length: u64) -> Result<(), PortError> {
        self.0.note(beginning);
        let mut content = beginning.to_vec();
        content.resize(usize::try_from(length).unwrap(), 0);
        if self.0.takes() {
            *self.0.wal.lock().unwrap() = content;
        }
        self.0.written()
    }
}

impl Sequencer for Stored {
    fn load(&mut self, published: u64) -> Result<Kept, PortError> {
        let rows = self.0.rows.lock().unwrap();
        let late = |commit: &&Commit| commit.end() > published;
        Ok(Kept {
            commits: rows.commits.iter().filter(late).cloned().collect(),
            flaw: None,
        })
    }

    fn append(&mut self, commit: &Commit) -> Result<(), PortError> {
        self.0.note(commit.checkpoint.as_bytes());
        {
            let mut rows = self.0.rows.lock().unwrap();
            if rows.commits.last() != Some(commit) {
                if rows.next != commit.first {
                    return Err(PortError::Conflict {
                        file: "rows".to_owned(),
                    });
                }
                if self.0.takes() {
                    rows.next = commit.end();
                    rows.commits.push(commit.clone());
                }
            }
        }
        self.0.written()
    }

    fn trim(&mut self, published: u64) -> Result<(), PortError> {
        let mut rows = self.0.rows.lock().unwrap();
        rows.commits.retain(|commit| commit.end() > published);
        Ok(())
    }

    fn mend(&mut self) -> Result<(), PortError> {
        Ok(())
    }
}

impl Tiles for Stored {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.0.tiles.lock().unwrap().get(path).cloned())
    }

    fn write(&self, files: &[(String, Vec<u8>)]) -> Result<(), PortError> {
        if self.0.takes() {
            self.0.tiles.lock().unwrap().extend(files.iter().cloned());
        }
        self.0.written()
    }

    fn remove(&self, paths: &[String]) {
        let mut tiles = self.0.tiles.lock().unwrap();
        tiles.retain(|path, _| !paths.contains(path));
    }
}

impl CheckpointStore for Stored {
    fn load(&self) -> Result<Option<String>, PortError> {
        Ok(self.0.head.lock().unwrap().clone())
    }

    fn replace(&self, old: Option<&str>, new: &str) -> Result<(), PortError> {
        self.0.note(new.as_bytes());
        {
            let mut head = self.0.head.lock().unwrap();
            if head.as_deref() != Some(new) && head.as_deref() != old {
                return Err(PortError::Conflict {
                    file: "checkpoint".to_owned(),
                });
            }
            if self.0.takes() {
                *head = Some(new.to_owned());
            }
        }
        self.0.written()
    }
}

/// Checks what every [`CheckpointStore`] must do. `open` opens the same place each time, as another process would.
pub fn check_checkpoint_store(open: &dyn Fn() -> Arc<dyn CheckpointStore>) {
    let conflicts = |done: Result<(), PortError>| {
        assert!(matches!(done, Err(PortError::Conflict { .. })), "{done:?}");
    };
    let (one, two) = (open(), open());
    assert_eq!(one.load().unwrap(), None);
    conflicts(one.replace(Some("other"), "first"));
    assert_eq!(one.load().unwrap(), None);
    one.replace(None, "first").unwrap();
    assert_eq!(two.load().unwrap().as_deref(), Some("first"));
    // The reply was lost: it is done again.
    two.replace(None, "first").unwrap();
    // Somebody else was there before.
    conflicts(two.replace(None, "second"));
    one.replace(Some("first"), "second").unwrap();
    conflicts(two.replace(Some("first"), "third"));
    assert_eq!(open().load().unwrap().as_deref(), Some("second"));
    // Of several at once that go on from the same, one does.
    let stores: Vec<_> = (0..8).map(|_| open()).collect();
    for round in 0..8 {
        let old = one.load().unwrap();
        let start = Barrier::new(stores.len());
        let done: Vec<_> = std::thread::scope(|scope| {
            let each = stores.iter().enumerate().map(|(number, store)| {
                let (start, old) = (&start, old.as_deref());
                scope.spawn(move || {
                    start.wait();
                    let new = format!("{round} {number}");
                    store.replace(old, &new).map(|()| new)
                })
            });
            let each: Vec<_> = each.collect();
            each.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let mut won = done.iter().filter_map(|done| done.as_ref().ok());
        assert_eq!(won.next(), one.load().unwrap().as_ref());
        assert_eq!(won.next(), None, "{done:?}");
    }
}

/// Checks what all [`Tiles`] must do. `open` opens the same place each time, as another process would.
pub fn check_tiles(open: &dyn Fn() -> Arc<dyn Tiles>) {
    let (one, two) = (open(), open());
    let file = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    assert_eq!(one.read("tile/0/000").unwrap(), None);
    let files = [
        file("tile/0/000", &[1; 8192]),
        file("tile/0/001.p/3", &[2; 96]),
        file("tile/entries/x001/234", b""),
    ];
    one.write(&files).unwrap();
    one.write(&[]).unwrap();
    // Again, with the same bytes.
    one.write(&files).unwrap();
    for (name, bytes) in &files {
        assert_eq!(two.read(name).unwrap().as_ref(), Some(bytes), "{name}");
    }
    two.remove(&["tile/0/001.p/3".to_owned(), "tile/0/777".to_owned()]);
    assert_eq!(one.read("tile/0/001.p/3").unwrap(), None);
    assert_eq!(one.read("tile/0/000").unwrap().map(|b| b.len()), Some(8192));
    // A name whose folder went with its last file is written again.
    one.write(files.get(1..2).unwrap_or_default()).unwrap();
    assert_eq!(
        open().read("tile/0/001.p/3").unwrap().map(|b| b.len()),
        Some(96)
    );
}

/// Checks what every [`Sequencer`] must do. `open` opens the same place each time, as the next process would.
pub fn check_sequencer(open: &dyn Fn() -> Box<dyn Sequencer>) {
    let commit = |first: u64, entries: &[&[u8]], checkpoint: &str| Commit {
        first,
        entries: entries.iter().map(|entry| entry.to_vec()).collect(),
        checkpoint: checkpoint.to_owned(),
    };
    let conflicts = |done: Result<(), PortError>| {
        assert!(matches!(done, Err(PortError::Conflict { .. })), "{done:?}");
    };
    let kept = |published| {
        let kept = open().load(published).unwrap();
        assert_eq!(kept.flaw, None);
        let late = kept.commits.into_iter();
        late.filter(|commit| commit.end() > published)
            .collect::<Vec<_>>()
    };
    let mut one = open();
    assert_eq!(one.load(0).unwrap(), Kept::default());
    one.mend().unwrap();
    conflicts(one.append(&commit(1, &[b"ahead"], "ahead")));
    let first = commit(0, &[b"a", b""], "first");
    one.append(&first).unwrap();
    // The reply was lost: it is appended again.
    one.append(&first).unwrap();
    assert_eq!(kept(0), std::slice::from_ref(&first));
    conflicts(one.append(&commit(0, &[b"b", b""], "other")));
    conflicts(one.append(&commit(1, &[b"b"], "between")));
    conflicts(one.append(&commit(3, &[b"b"], "after a hole")));
    let largest = vec![7; 65_535];
    let second = commit(2, &[largest.as_slice(), b"c"], "second");
    one.append(&second).unwrap();
    conflicts(one.append(&first));
    assert_eq!(kept(0), [first.clone(), second.clone()]);
    // The next process goes on from there; it knows the last one too.
    let mut two = open();
    two.load(0).unwrap();
    two.append(&second).unwrap();
    conflicts(two.append(&commit(2, &[b"d", b"e"], "late")));
    let third = commit(4, &[b"d"], "third");
    two.append(&third).unwrap();
    two.trim(2).unwrap();
    assert_eq!(kept(2), [second, third.clone()]);
    two.trim(5).unwrap();
    assert_eq!(kept(5), []);
    // However much comes, it fits if what is published is trimmed.
    let (mut next, mut safe) = (5, 5);
    for round in 0..200 {
        let entries = vec![largest.as_slice(); round % 16];
        let commit = commit(next, &entries, &format!("round {round}"));
        let mut done = two.append(&commit);
        if matches!(done, Err(PortError::Full { .. })) {
            safe = next;
            two.trim(safe).unwrap();
            done = two.append(&commit);
        }
        done.unwrap();
        next = commit.end();
    }
    let late = kept(safe);
    let mut at = safe;
    for commit in &late {
        assert_eq!(commit.first, at);
        at = commit.end();
    }
    assert_eq!(at, next);
    let mut three = open();
    three.load(next).unwrap();
    three.append(&commit(next, &[b"last"], "last")).unwrap();
    assert_eq!(kept(next).len(), 1);
}

/// Checks what every [`Wal`] must do. `open` opens the same place each time, as the next process would.
pub fn check_wal(open: &dyn Fn() -> Box<dyn Wal>) {
    let mut wal = open();
    assert_eq!(wal.load().unwrap(), b"");
    wal.renew(&[], 64).unwrap();
    assert_eq!(open().load().unwrap(), [0; 64]);
    wal.write(3, b"one").unwrap();
    wal.write(6, b"two").unwrap();
    let written = wal.load().unwrap();
    assert_eq!(written.get(..12), Some(&b"\0\0\0onetwo\0\0\0"[..]));
    assert_eq!(open().load().unwrap(), written);
    wal.renew(b"begun", 32).unwrap();
    let renewed = open().load().unwrap();
    assert_eq!(
        (renewed.get(..6), renewed.len()),
        (Some(&b"begun\0"[..]), 32)
    );
    // The process that renewed it writes into the new one.
    wal.write(5, b"!").unwrap();
    assert_eq!(open().load().unwrap().get(..6), Some(&b"begun!"[..]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::WriteAheadLog;

    #[test]
    fn the_double_does_what_every_implementation_must() {
        let disk = Arc::new(Disk::default());
        check_checkpoint_store(&|| Arc::new(Stored(disk.clone())));
        check_tiles(&|| Arc::new(Stored(disk.clone())));
        check_sequencer(&|| Box::new(Stored(disk.clone())));
        check_wal(&|| Box::new(Stored(disk.clone())));
        let fresh = Arc::new(Disk::default());
        check_sequencer(&|| Box::new(WriteAheadLog::new(Box::new(Stored(fresh.clone())))));
    }
}
