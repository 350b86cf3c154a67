//! The log under several callers at once, on storage in memory that can stop, fail and go on.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use custody_ledger::testing::{Disk, Stored};
use custody_ledger::{
    Entry, EntryDraft, Ledger, LedgerDeps, LedgerError, Lineage, Outcome, Phase, Snapshot, Subject,
    WriteAheadLog,
};
use custody_tlog::checkpoint::Checkpoint;
use custody_tlog::note::{NoteSigner, NoteVerifier};
use custody_tlog::tree::{check_inclusion, leaf_hash};
use custody_types::{Action, ActorKind, Clock, Timestamp};

const ORIGIN: &str = "example.com/log";

/// A clock that stands still, so that the same entries have the same hashes.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }
}

fn open(disk: &Arc<Disk>) -> Result<Ledger, LedgerError> {
    open_with(disk, false)
}

/// Opens a log whose newest entries are rows of a table, or in a file.
fn open_with(disk: &Arc<Disk>, rows: bool) -> Result<Ledger, LedgerError> {
    let stored = Box::new(Stored(disk.clone()));
    Ledger::open(LedgerDeps {
        sequencer: if rows {
            stored
        } else {
            Box::new(WriteAheadLog::new(stored))
        },
        tiles: Arc::new(Stored(disk.clone())),
        head: Arc::new(Stored(disk.clone())),
        signer: NoteSigner::new(ORIGIN, &[1; 32]).unwrap(),
        clock: Arc::new(Still),
    })
}

fn draft(id: impl ToString) -> EntryDraft {
    EntryDraft {
        id: id.to_string(),
        project: None,
        action: Action::Read,
        phase: Phase::Outcome,
        subject: Subject {
            kind: ActorKind::User,
            reference: "0011".to_owned(),
            via: "cli".to_owned(),
            on_behalf_of: None,
            by: None,
        },
        objects: Vec::new(),
        decision: None,
        purpose: None,
        outcome: Some(Outcome::Ok),
        error: None,
        lineage: Lineage::default(),
        facts: BTreeMap::new(),
        relates_to: None,
    }
}

fn ids(snapshot: &Snapshot) -> Vec<String> {
    let mut ids = Vec::new();
    let each = &mut |_, bytes: &[u8]| {
        ids.push(Entry::parse(bytes).unwrap().id);
        true
    };
    snapshot.entries(0, u64::MAX, each).unwrap();
    ids
}

fn checkpoint(note: &str, verifier: &NoteVerifier) -> Checkpoint {
    Checkpoint::open(note, verifier).unwrap()
}

/// Waits for something that happens soon.
fn soon(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if happened() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}");
}

#[test]
fn a_reader_waits_for_no_writer() {
    let disk = Arc::new(Disk::default());
    let log = open(&disk).unwrap();
    log.append(draft("one")).unwrap();
    disk.stick(true);
    std::thread::scope(|scope| {
        scope.spawn(|| log.append(draft("two")).unwrap());
        soon("the writer writes", || {
            disk.notes.lock().unwrap().iter().any(|note| note[0] == "2")
        });
        let snapshot = log.snapshot();
        assert_eq!(ids(&snapshot), ["one"]);
        snapshot.extends(snapshot.checkpoint()).unwrap();
        assert!(snapshot.inclusion(0).unwrap().is_empty());
        snapshot.export(&mut |_, _| Ok(())).unwrap();
        disk.stick(false);
    });
    assert_eq!(ids(&log.snapshot()), ["one", "two"]);
}

#[test]
fn what_a_reader_sees_belongs_together_whatever_is_written_meanwhile() {
    const WRITERS: usize = 3;
    const EACH: usize = 300;
    let disk = Arc::new(Disk::default());
    let log = open(&disk).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let log = &log;
                scope.spawn(move || {
                    for one in 0..EACH {
                        log.append(draft(format!("{writer}-{one}"))).unwrap();
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                log.publish().unwrap();
            }
        });
        for _ in 0..3 {
            scope.spawn(|| {
                let mut before = log.snapshot();
                while !done.load(Ordering::SeqCst) {
                    let now = log.snapshot();
                    now.extends(before.checkpoint()).unwrap();
                    // The older one is as good as it was, with its tiles long removed.
                    for snapshot in [&before, &now] {
                        let said = checkpoint(snapshot.checkpoint(), snapshot.verifier());
                        assert_eq!((said.size, said.root), (snapshot.size(), snapshot.root()));
                        assert_eq!(ids(snapshot).len() as u64, snapshot.size());
                        let Some(last) = snapshot.size().checked_sub(1) else {
                            continue;
                        };
                        let leaf = leaf_hash(&snapshot.entry(last).unwrap());
                        let proof = snapshot.inclusion(last).unwrap();
                        check_inclusion(&leaf, last, said.size, &said.root, &proof).unwrap();
                    }
                    before = now;
                    let broken = log.verify().into_iter().find_map(|check| check.broken);
                    assert_eq!(broken, None);
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(log.size(), (WRITERS * EACH) as u64);
    disk.check_notes();
}

#[test]
fn it_goes_on_when_the_disk_works_again_and_signs_one_root_for_one_size() {
    for (drops, rows) in [(false, false), (false, true), (true, false), (true, true)] {
        let open = |disk: &Arc<Disk>| open_with(disk, rows);
        let disk = Disk::that_drops(drops);
        let log = open(&disk).unwrap();
        log.append(draft("before")).unwrap();
        disk.fail(true);
        for id in ["lost", "refused", "refused too"] {
            let refused = log.append(draft(id)).unwrap_err();
            assert!(matches!(refused, LedgerError::Stopped(_)), "{refused}");
        }
        // The disk may have what it said it had not: a start finds it.
        let copy = disk.copy();
        let there = if drops {
            &["before"][..]
        } else {
            &["before", "lost"]
        };
        assert_eq!(ids(&open(&copy).unwrap().snapshot()), there);
        assert_eq!(ids(&log.snapshot()), ["before"]);
        disk.fail(false);
        assert_eq!(log.append(draft("after")).unwrap().index(), 2);
        assert_eq!(ids(&log.snapshot()), ["before", "lost", "after"]);
        assert_eq!(log.settled().first(), Some(&(1..2)));
        assert!(log.settled().is_empty());
        assert!(log.verify().iter().all(|check| check.broken.is_none()));
        drop(log);
        let log = open(&disk).unwrap();
        assert_eq!(ids(&log.snapshot()), ["before", "lost", "after"]);
        disk.check_notes();
    }
}

#[test]
fn what_nobody_waits_for_is_written_within_a_second_and_before_what_comes_later() {
    let disk = Arc::new(Disk::default());
    let log = open(&disk).unwrap();
    log.append_soon(draft("first")).unwrap();
    log.append(draft("second")).unwrap();
    assert_eq!(ids(&log.snapshot()), ["first", "second"]);
    log.append_soon(draft("third")).unwrap();
    soon("it is written", || log.size() == 3);
    // One that is too large is told to whoever hands it over, and to nobody else.
    let mut large = draft("large");
    large.facts.insert("note".to_owned(), "n".repeat(70_000));
    let refused = log.append_soon(large.clone()).unwrap_err();
    assert!(matches!(refused, LedgerError::TooLarge(_)));
    assert!(matches!(log.append(large), Err(LedgerError::TooLarge(_))));
    log.append_soon(draft("fourth")).unwrap();
    drop(log);
    let log = open(&disk).unwrap();
    assert_eq!(ids(&log.snapshot()), ["first", "second", "third", "fourth"]);
}

#[test]
fn what_nobody_waits_for_outlives_a_disk_that_fails_for_a_while() {
    let disk = Arc::new(Disk::default());
    let log = open(&disk).unwrap();
    log.append(draft("0")).unwrap();
    disk.fail(true);
    log.append_soon(draft("1")).unwrap();
    log.append(draft("lost")).unwrap_err();
    log.append_soon(draft("2")).unwrap();
    log.append(draft("refused")).unwrap_err();
    disk.fail(false);
    soon("all is written", || log.size() == 4);
    assert_eq!(ids(&log.snapshot()), ["0", "1", "lost", "2"]);
}

#[test]
fn verify_compares_with_the_checkpoint_as_it_is_stored() {
    let disk = Arc::new(Disk::default());
    let log = open(&disk).unwrap();
    let broken = || {
        log.verify()
            .into_iter()
            .filter_map(|check| check.broken)
            .collect::<Vec<_>>()
    };
    log.append(draft("one")).unwrap();
    log.publish().unwrap();
    let old = disk.head.lock().unwrap().clone();
    let stored_tiles = disk.tiles.lock().unwrap().clone();
    log.append(draft("two")).unwrap();
    let unpublished = disk.head.lock().unwrap().clone();
    assert_eq!(broken(), Vec::<String>::new());
    assert_eq!(
        *disk.head.lock().unwrap(),
        unpublished,
        "it published nothing"
    );
    log.publish().unwrap();
    let good = disk.head.lock().unwrap().clone();
    // An older one, none, and one of another log.
    let other = Arc::new(Disk::default());
    let fork = open(&other).unwrap();
    fork.append(draft("one")).unwrap();
    fork.append(draft("another")).unwrap();
    fork.publish().unwrap();
    for bad in [old, None, other.head.lock().unwrap().clone()] {
        *disk.head.lock().unwrap() = bad.clone();
        assert!(!broken().is_empty(), "{bad:?}");
    }
    *disk.head.lock().unwrap() = good;
    assert_eq!(broken(), Vec::<String>::new());
    // The entries as they lie on the disk are read, not only those in memory.
    *disk.tiles.lock().unwrap() = stored_tiles;
    assert!(!broken().is_empty());
}

#[test]
fn a_write_ahead_log_of_another_length_loses_nothing() {
    let disk = Arc::new(Disk::default());
    let log = open(&disk).unwrap();
    log.append(draft("one")).unwrap();
    let cut = disk.copy();
    drop(log);
    {
        let mut wal = cut.wal.lock().unwrap();
        let end = wal.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        wal.truncate(end);
    }
    cut.fail(true);
    // Nothing can be written: what is there stays there.
    let log = open(&cut).unwrap();
    log.append(draft("refused")).unwrap_err();
    drop(log);
    cut.fail(false);
    let log = open(&cut).unwrap();
    assert_eq!(ids(&log.snapshot())[0], "one");
    log.append(draft("two")).unwrap();
    drop(log);
    let ids = ids(&open(&cut).unwrap().snapshot());
    assert_eq!(
        (ids[0].as_str(), ids.last().unwrap().as_str()),
        ("one", "two")
    );
}

#[test]
fn a_changed_record_that_is_published_is_told_and_the_log_goes_on() {
    let disk = Arc::new(Disk::default());
    let log = open(&disk).unwrap();
    for id in ["one", "two", "three"] {
        log.append(draft(id)).unwrap();
    }
    drop(log);
    disk.wal.lock().unwrap()[30] ^= 1;
    let told = |log: &Ledger| {
        let mut broken = log.verify().into_iter().filter_map(|check| check.broken);
        broken.next()
    };
    // It stays to be seen until something is appended.
    for _ in 0..2 {
        let log = open(&disk).unwrap();
        assert_eq!(told(&log).unwrap(), "`wal`: a record in it was changed");
    }
    let log = open(&disk).unwrap();
    log.append(draft("four")).unwrap();
    // The process is killed before it publishes.
    let killed = disk.copy();
    drop(log);
    let log = open(&killed).unwrap();
    assert_eq!(ids(&log.snapshot()), ["one", "two", "three", "four"]);
    assert_eq!(told(&log), None);
}

#[test]
fn a_proof_holds_between_any_two_sizes() {
    let disk = Arc::new(Disk::default());
    let log = open(&disk).unwrap();
    let mut snapshots = vec![log.snapshot()];
    for round in 0..5 {
        for one in 0..90 {
            log.append(draft(format!("{round}-{one}"))).unwrap();
        }
        snapshots.push(log.snapshot());
        if round % 2 == 0 {
            log.publish().unwrap();
        }
    }
    for (at, old) in snapshots.iter().enumerate() {
        for new in &snapshots[at..] {
            new.extends(old.checkpoint()).unwrap();
        }
        for shorter in &snapshots[..at] {
            let refused = shorter.extends(old.checkpoint()).unwrap_err();
            assert!(matches!(refused, LedgerError::RolledBack { .. }));
        }
    }
}
