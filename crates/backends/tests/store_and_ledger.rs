//! The store and the ledger on real files and SQLite: what is kept comes back, what is not whole is told.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic and write files"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use custody_backends::blobs::LocalBlobs;
use custody_backends::catalog::{PlaceSeal, SqliteCatalog};
use custody_backends::ledger_files::LedgerFolder;
use custody_backends::machine::{SystemClock, SystemEntropy};
use custody_crypto::DomainKeys;
use custody_crypto::aead::{Aead, Ring};
use custody_crypto::sign::SigningKey;
use custody_ledger::{Entry, EntryDraft, Ledger, LedgerError, Lineage, Outcome, Phase, Subject};
use custody_store::{DomainId, Store, StoreDeps, StoreError, VersionDraft};
use custody_tlog::note::NoteSigner;
use custody_types::{Action, ActorKind, Classification, Digest, Kind, Timestamp, listing_digest};

struct World {
    folder: tempfile::TempDir,
    signing: Arc<SigningKey>,
    keys: DomainKeys,
}

impl World {
    fn new() -> Self {
        let signing = SigningKey::read(&SigningKey::generate().unwrap()).unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            signing: Arc::new(signing),
            keys: DomainKeys::generate(&SystemEntropy),
        }
    }

    fn store(&self) -> Store {
        let store = Store::new(StoreDeps {
            blobs: Arc::new(LocalBlobs::open(&self.folder.path().join("packs")).unwrap()),
            catalog: Arc::new(
                SqliteCatalog::open(
                    &self.folder.path().join("catalog.sqlite"),
                    Arc::new(PlaceSeal::new(Ring.key(&[5; 32]), Arc::new(SystemEntropy))),
                )
                .unwrap(),
            ),
            aead: Arc::new(Ring),
            entropy: Arc::new(SystemEntropy),
            signing: self.signing.clone(),
        });
        store.add_project(
            "p".parse().unwrap(),
            DomainId::from_bytes([7; 16]),
            self.keys.clone(),
        );
        store
    }
}

/// Bytes that look random and are the same each time.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

fn stage(store: &Store, files: &[(&str, &[u8])]) -> (custody_store::Version, u64) {
    let mut writer = store.writer(&"p".parse().unwrap()).unwrap();
    for (path, content) in files {
        writer.begin_file(path.parse().unwrap(), false);
        // In pieces of odd sizes: cuts must not depend on how the bytes arrive.
        content
            .chunks(77_777)
            .for_each(|piece| writer.write(piece).unwrap());
        writer.end_file().unwrap();
    }
    let tree = writer.finish_tree().unwrap();
    let stored = tree.stored.bytes();
    let draft = VersionDraft {
        artifact: "p/data".parse().unwrap(),
        number: store.next_number(&"p/data".parse().unwrap()).unwrap(),
        kind: Kind::Dataset,
        tree,
        classification: Classification::Internal,
        purposes: Vec::new(),
        created: Timestamp::UNIX_EPOCH,
        author: "someone".to_owned(),
        origin: None,
        statement: None,
        run: None,
        step: None,
        extra: BTreeMap::new(),
    };
    (
        store.stage(writer, vec![draft]).unwrap().pop().unwrap(),
        stored,
    )
}

#[test]
fn what_is_stored_comes_back_in_any_range_and_once() {
    let world = World::new();
    let big = noise(1, 3_000_000);
    let store = world.store();
    let (version, _) = stage(
        &store,
        &[("big", &big), ("empty", b""), ("sub/small", b"small")],
    );
    store.unstage(&[version.name()]).unwrap();
    let store = world.store();
    let (name, record) = (version.name(), version.record_digest);
    let files = store
        .files(&store.version(&name, &record, 5).unwrap())
        .unwrap();
    let other = "p/data@2".parse().unwrap();
    assert!(
        matches!(
            store.version(&other, &record, 5),
            Err(StoreError::Damaged { .. })
        ),
        "it is the record of another"
    );
    assert_eq!(files.digest(), listing_digest(files.files()));
    for (start, end) in [
        (0, 0),
        (0, 1),
        (2_999_999, 3_000_000),
        (65_000, 66_000),
        (0, 3_000_000),
        (1_234_567, 2_345_678),
    ] {
        let bytes = files.read(&"big".parse().unwrap(), start..end).unwrap();
        assert_eq!(
            bytes[..],
            big[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()],
            "{start}..{end}"
        );
    }
    assert!(files.read(&"big".parse().unwrap(), 0..3_000_001).is_err());
    // A changed byte stores little anew.
    let mut changed = big.clone();
    changed[1_500_000] ^= 1;
    let (_, stored) = stage(&store, &[("big", &changed)]);
    assert!(stored < 600_000, "{stored}");
}

#[test]
fn the_catalog_is_rebuilt_from_the_packs() {
    let world = World::new();
    let store = world.store();
    let (kept, _) = stage(&store, &[("a", b"kept")]);
    let (dropped, _) = stage(&store, &[("a", b"dropped")]);
    store.unstage(&[kept.name(), dropped.name()]).unwrap();
    drop(store);
    std::fs::remove_file(world.folder.path().join("catalog.sqlite")).unwrap();
    let store = world.store();
    let read = || store.version(&kept.name(), &kept.record_digest, 3);
    assert!(matches!(read(), Err(StoreError::NotFound { .. })));
    let lost = Digest::of(b"in no pack");
    let rebuilt = store
        .rebuild(
            &[kept.record_digest, lost],
            &BTreeSet::new(),
            &BTreeSet::new(),
        )
        .unwrap();
    assert_eq!(rebuilt.lacking, [lost]);
    assert!(store.catalog().is_lacking(&lost).unwrap());
    let again = read().unwrap();
    assert_eq!((again.record.clone(), again.entry), (kept.record, 3));
    assert_eq!(store.verify_version(&again).unwrap(), 4);
}

#[test]
fn a_flipped_byte_anywhere_in_a_pack_is_found_and_named() {
    let world = World::new();
    let store = world.store();
    stage(&store, &[("a", &noise(2, 40_000))]);
    assert!(
        store
            .verify_packs(&BTreeSet::new())
            .unwrap()
            .iter()
            .all(|pack| pack.broken.is_none())
    );
    let name = store.verify_packs(&BTreeSet::new()).unwrap()[0]
        .name
        .clone();
    let original = std::fs::read(&name).unwrap();
    for at in (0..original.len())
        .step_by(997)
        .chain([0, original.len() - 1])
    {
        let mut changed = original.clone();
        changed[at] ^= 0x10;
        std::fs::write(&name, &changed).unwrap();
        let checks = world.store().verify_packs(&BTreeSet::new()).unwrap();
        let broken = checks[0].broken.clone().unwrap_or_default();
        assert!(
            broken.contains(&name) || broken.contains("keys of"),
            "byte {at}: {broken}"
        );
    }
    for end in [0, 10, 200, original.len() - 1] {
        std::fs::write(&name, &original[..end]).unwrap();
        assert!(
            world.store().verify_packs(&BTreeSet::new()).unwrap()[0]
                .broken
                .is_some(),
            "cut at {end}"
        );
    }
}

fn ledger(folder: &Path) -> Result<(LedgerFolder, Ledger), LedgerError> {
    let files = LedgerFolder::take(folder)?;
    let signer = NoteSigner::new("example.com/log", &[1; 32]).unwrap();
    let parts = custody_ledger::LedgerDeps {
        sequencer: files.sequencer(),
        tiles: files.tiles(),
        head: files.head(),
        signer,
        clock: Arc::new(SystemClock::start()),
    };
    let ledger = Ledger::open(parts)?;
    Ok((files, ledger))
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

#[test]
fn many_threads_write_one_log_and_every_receipt_holds() {
    const THREADS: usize = 32;
    const EACH: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let (files, log) = ledger(folder.path()).unwrap();
    let receipts: Vec<_> = std::thread::scope(|scope| {
        let log = &log;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    (0..EACH)
                        .map(|one| log.append(draft(format!("{thread}-{one}"))).unwrap())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let indexes: BTreeSet<_> = receipts
        .iter()
        .map(custody_ledger::Receipt::index)
        .collect();
    assert_eq!(indexes.len(), THREADS * EACH);
    drop((log, files));
    let (_files, log) = ledger(folder.path()).unwrap();
    assert_eq!(log.size(), (THREADS * EACH) as u64);
    let mut entries = BTreeMap::new();
    let snapshot = log.snapshot();
    let each = &mut |index, bytes: &[u8]| entries.insert(index, bytes.to_vec()).is_none();
    snapshot.entries(0, snapshot.size(), each).unwrap();
    for receipt in &receipts {
        let bytes = &entries[&receipt.index()];
        assert_eq!(Entry::parse(bytes).unwrap().id, receipt.id());
        assert_eq!(
            Digest::from_bytes(custody_tlog::tree::leaf_hash(bytes)),
            receipt.leaf()
        );
    }
    assert!(
        log.verify().iter().all(|check| check.broken.is_none()),
        "{:?}",
        log.verify()
    );
}

#[test]
fn a_second_process_is_told_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let _held = ledger(folder.path()).unwrap();
    assert!(matches!(
        ledger(folder.path()),
        Err(LedgerError::Busy { .. })
    ));
}

/// The state after a crash: tiles and checkpoint lag behind, and the last record may be cut anywhere.
#[test]
fn acknowledged_entries_outlive_a_crash_at_any_byte_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (files, log) = ledger(folder.path()).unwrap();
    log.append(draft("one")).unwrap();
    let before = std::fs::read(folder.path().join("wal")).unwrap();
    log.append(draft("two")).unwrap();
    let after = std::fs::read(folder.path().join("wal")).unwrap();
    drop((log, files));
    let end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let (first, last) = (end(&before), end(&after));
    for cut in (first + 1..=last).step_by(53).chain([last, last + 1]) {
        let crashed = tempfile::tempdir().unwrap();
        let mut wal = after[..cut].to_vec();
        wal.resize(after.len(), 0);
        std::fs::write(crashed.path().join("wal"), wal).unwrap();
        let (files, log) = ledger(crashed.path()).unwrap();
        let expected = if cut == last + 1 { 2 } else { 1 };
        assert_eq!(log.size(), expected, "cut at {cut}");
        log.append(draft("three")).unwrap();
        assert!(
            log.verify().iter().all(|check| check.broken.is_none()),
            "cut at {cut}: {:?}",
            log.verify()
        );
        drop((log, files));
        assert_eq!(
            ledger(crashed.path()).unwrap().1.size(),
            expected + 1,
            "cut at {cut}"
        );
    }
}

#[test]
fn a_full_write_ahead_log_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let (files, log) = ledger(folder.path()).unwrap();
    let mut large = draft("x");
    large.facts.insert("note".to_owned(), "n".repeat(60_000));
    for _ in 0..90 {
        log.append(large.clone()).unwrap();
    }
    large.facts.insert("note".to_owned(), "n".repeat(70_000));
    assert!(matches!(log.append(large), Err(LedgerError::TooLarge(_))));
    drop((log, files));
    let (_files, log) = ledger(folder.path()).unwrap();
    assert_eq!(log.size(), 90);
    assert!(log.verify().iter().all(|check| check.broken.is_none()));
}
