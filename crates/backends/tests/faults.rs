//! Every durable write once failing before it is done, and once failing after it (the lost reply). What
//! was acknowledged is there after the next start, what was not is there wholly or not at all.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
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
use custody_ledger::{
    CheckpointStore, Entry, EntryDraft, Ledger, LedgerError, Lineage, Outcome, Phase, PortError,
    Subject, Tiles, Wal, WriteAheadLog,
};
use custody_store::testing::{Faults, FaultyBlobs, FaultyCatalog, Mode};
use custody_store::{Blobs as _, DomainId, Store, StoreDeps, StoreError, VersionDraft, all_packs};
use custody_tlog::note::NoteSigner;
use custody_types::{
    Action, ActorKind, Classification, Digest, Kind, Timestamp, VersionName, VersionNumber,
};

struct World {
    folder: tempfile::TempDir,
    signing: Arc<SigningKey>,
    keys: DomainKeys,
    /// Stands for the ledger: the versions that it names, with their records.
    named: Vec<(VersionName, Digest)>,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            signing: Arc::new(SigningKey::read(&SigningKey::generate().unwrap()).unwrap()),
            keys: DomainKeys::generate(&SystemEntropy),
            named: Vec::new(),
        }
    }

    fn store(&self, faults: &Arc<Faults>) -> Store {
        let blobs = LocalBlobs::open(&self.folder.path().join("packs")).unwrap();
        let seal = PlaceSeal::new(Ring.key(&[5; 32]), Arc::new(SystemEntropy));
        let path = self.folder.path().join("catalog.sqlite");
        let catalog = SqliteCatalog::open(&path, Arc::new(seal)).unwrap();
        let store = Store::new(StoreDeps {
            blobs: Arc::new(FaultyBlobs(blobs, faults.clone())),
            catalog: Arc::new(FaultyCatalog(catalog, faults.clone())),
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

    /// Starts as the door does: what the ledger names is finished, anything else undone.
    fn start(&self, faults: &Arc<Faults>) -> Result<Store, StoreError> {
        let store = self.store(faults);
        store.sweep()?;
        let staged = store.staged()?.into_iter().map(|(name, _)| name);
        store.unstage(&staged.collect::<Vec<_>>())?;
        Ok(store)
    }

    /// Puts a file as the next version of `p/data`, in the order that the format demands.
    fn put(&mut self, store: &Store, content: &[u8]) -> Result<(), StoreError> {
        let mut writer = store.writer(&"p".parse().unwrap())?;
        writer.begin_file("file".parse().unwrap(), false);
        writer.write(content)?;
        writer.end_file()?;
        let tree = writer.finish_tree()?;
        let draft = VersionDraft {
            artifact: "p/data".parse().unwrap(),
            number: VersionNumber::new(u32::try_from(self.named.len()).unwrap() + 1).unwrap(),
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
        for version in store.stage(writer, vec![draft])? {
            self.named.push((version.name(), version.record_digest));
            store.unstage(&[version.name()])?;
        }
        Ok(())
    }
}

fn contents(store: &Store, named: &[(VersionName, Digest)]) -> Vec<Vec<u8>> {
    let versions = named
        .iter()
        .zip(0..)
        .map(|((name, record), entry)| store.version(name, record, entry).unwrap());
    let versions: Vec<_> = versions.collect();
    let read = |version| {
        let files = store.files(version).unwrap();
        let size = files.files()[0].size.bytes();
        files
            .read(&"file".parse().unwrap(), 0..size)
            .unwrap()
            .to_vec()
    };
    versions.iter().map(read).collect()
}

#[test]
fn a_failed_write_of_the_store_leaves_all_or_nothing_and_needs_no_repair() {
    let none = || Faults::at(-1, Mode::Before);
    let (first, second, third) = (vec![1; 300_000], vec![2; 300_000], vec![3; 10]);
    for mode in Mode::ALL {
        let mut met = 0;
        for at in 0.. {
            let mut world = World::new();
            let store = world.store(&none());
            world.put(&store, &first).unwrap();
            drop(store);
            let faults = Faults::at(at, mode);
            let acknowledged = match world.start(&faults) {
                Ok(store) => world.put(&store, &second).is_ok(),
                Err(_) => false,
            };
            if !faults.met() {
                assert!(acknowledged, "no fault, no error");
                break;
            }
            met += 1;
            let store = world.start(&none()).unwrap();
            assert!(store.staged().unwrap().is_empty());
            let mut expected = vec![first.clone()];
            if world.named.len() == 2 {
                expected.push(second.clone());
            }
            assert_eq!(contents(&store, &world.named), expected, "{mode:?} at {at}");
            assert!(!acknowledged || expected.len() == 2, "{mode:?} at {at}");
            world.put(&store, &third).unwrap();
            expected.push(third.clone());
            assert_eq!(contents(&store, &world.named), expected, "{mode:?} at {at}");
            let packs = store.verify_packs(&BTreeSet::new()).unwrap();
            assert!(packs.iter().all(|pack| pack.broken.is_none()), "{packs:?}");
        }
        assert!(met >= 5, "sweep, put, publish, stage, commit: {met}");
    }
}

/// Bytes that are cut into several chunks, other ones for each seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

/// Takes the bytes of the first version away; the others stay.
fn remove_first(world: &World, store: &Store) -> Result<(u64, u64), StoreError> {
    let records: Result<Vec<_>, _> = world
        .named
        .iter()
        .map(|(_, digest)| store.version_record(digest))
        .collect();
    let records = records?;
    let what = store.removable(&records[0], &records[1..])?;
    store.remove(&what)?;
    Ok((what.bytes.bytes(), what.shared.bytes()))
}

#[test]
fn a_failed_write_while_bytes_are_removed_loses_nothing_else_and_is_made_good_by_doing_it_again() {
    const OWN: usize = 300_000;
    let none = || Faults::at(-1, Mode::Before);
    let shared = noise(1, 4_000_000);
    let first = [noise(2, OWN), shared.clone()].concat();
    let second = [shared, noise(3, 1000)].concat();
    for mode in Mode::ALL {
        let mut met = 0;
        for at in 0.. {
            let mut world = World::new();
            let store = world.store(&none());
            for content in [&first, &second, &noise(4, OWN)] {
                world.put(&store, content).unwrap();
            }
            drop(store);
            let faults = Faults::at(at, mode);
            let done = remove_first(&world, &world.store(&faults));
            let store = world.start(&none()).unwrap();
            let others = contents(&store, &world.named[1..]);
            assert!(
                others == [second.clone(), noise(4, OWN)],
                "{mode:?} at {at}"
            );
            if !faults.met() {
                done.unwrap();
                break;
            }
            met += 1;
            for _ in 0..2 {
                let (gone, stays) = remove_first(&world, &store).unwrap();
                assert_eq!(gone + stays, first.len() as u64);
                assert!(gone > (OWN / 2) as u64 && stays > 0, "{gone}, {stays}");
            }
            // What is on the disk tells the same: an index that is made of it knows nothing of the bytes either.
            let digests: Vec<_> = world.named.iter().map(|(_, digest)| *digest).collect();
            let removed = BTreeSet::from([digests[0]]);
            let rebuilt = store.rebuild(&digests, &removed, &BTreeSet::new()).unwrap();
            assert!(rebuilt.lacking.is_empty() && rebuilt.damaged.is_none());
            let version = |at: usize| {
                let (name, record) = &world.named[at];
                store.version(name, record, 0).unwrap()
            };
            assert!(
                store.verify_version(&version(0)).is_err(),
                "{mode:?} at {at}"
            );
            // Which files there were is still known.
            assert_eq!(store.files(&version(0)).unwrap().files().len(), 1);
            for at in [1, 2] {
                store.verify_version(&version(at)).unwrap();
            }
            let packs = store.verify_packs(&BTreeSet::new()).unwrap();
            assert!(packs.iter().all(|pack| pack.broken.is_none()), "{packs:?}");
            // The same bytes again are stored again.
            world.put(&store, &first).unwrap();
            assert!(contents(&store, &world.named[3..]) == [first.clone()]);
        }
        assert!(met >= 4, "put, publish, stage, forget, delete: {met}");
    }
}

#[test]
fn a_failed_write_while_a_domain_is_shredded_is_made_good_by_doing_it_again() {
    let none = || Faults::at(-1, Mode::Before);
    let domain = DomainId::from_bytes([7; 16]);
    for mode in Mode::ALL {
        let mut met = 0;
        for at in 0.. {
            let mut world = World::new();
            let store = world.store(&none());
            world.put(&store, &noise(1, 300_000)).unwrap();
            world.put(&store, &noise(2, 300_000)).unwrap();
            drop(store);
            let faults = Faults::at(at, mode);
            let done = world.store(&faults).shred(&domain);
            let store = world.store(&none());
            // The keys of a real start are gone by now; these are, so that what is left can be looked for.
            assert!(store.knows(&domain).unwrap());
            if faults.met() {
                met += 1;
                let left = store.shred(&domain).unwrap().bytes();
                assert!(done.is_err() && left <= 700_000, "{mode:?} at {at}");
            } else {
                assert!(done.unwrap().bytes() > 600_000);
                store.shred(&domain).unwrap();
            }
            assert!(!store.knows(&domain).unwrap());
            assert!(store.writer(&"p".parse().unwrap()).is_err());
            let packs = store.verify_packs(&BTreeSet::new()).unwrap();
            assert!(packs.is_empty(), "{packs:?}");
            if !faults.met() {
                break;
            }
        }
        assert!(met >= 2, "delete, forget: {met}");
    }
}

/// Packs that come back from a copy after their domain was shredded are no damage, and go with the next rebuild.
#[test]
fn packs_of_a_shredded_domain_that_come_back_are_told_apart_from_damage() {
    let none = || Faults::at(-1, Mode::Before);
    let domain = DomainId::from_bytes([7; 16]);
    let mut world = World::new();
    let store = world.store(&none());
    world.put(&store, &noise(1, 300_000)).unwrap();
    let blobs = LocalBlobs::open(&world.folder.path().join("packs")).unwrap();
    let packs = all_packs(&blobs).unwrap();
    let copied = packs.iter().map(|pack| {
        let size = blobs.size(pack).unwrap();
        (pack, blobs.read(pack, 0..size).unwrap())
    });
    let copied: Vec<_> = copied.collect();
    store.shred(&domain).unwrap();
    for (pack, bytes) in &copied {
        blobs.put(pack, bytes).unwrap();
    }
    blobs.publish(&packs).unwrap();
    assert!(
        !store.regain().unwrap(),
        "there is nothing to be had of them"
    );
    let shredded = BTreeSet::from([domain]);
    let checks = store.verify_packs(&shredded).unwrap();
    assert!(
        checks
            .iter()
            .all(|pack| pack.shredded && pack.broken.is_none()),
        "{checks:?}"
    );
    assert!(
        store.verify_packs(&BTreeSet::new()).unwrap()[0]
            .broken
            .is_some()
    );
    let rebuilt = store.rebuild(&[], &BTreeSet::new(), &shredded).unwrap();
    assert!(rebuilt.lacking.is_empty() && rebuilt.damaged.is_none());
    assert!(store.verify_packs(&BTreeSet::new()).unwrap().is_empty());
}

#[derive(Debug)]
struct FaultyWal(Box<dyn Wal>, Arc<Faults>);

#[derive(Debug)]
struct FaultyFiles(Arc<dyn Tiles>, Arc<dyn CheckpointStore>, Arc<Faults>);

fn port_error() -> PortError {
    PortError::Failed {
        file: "file".to_owned(),
        source: Arc::new(std::io::Error::other("a fault")),
    }
}

impl Wal for FaultyWal {
    fn load(&mut self) -> Result<Vec<u8>, PortError> {
        self.0.load()
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), PortError> {
        let (wal, faults) = (&mut self.0, &self.1);
        faults.write(port_error, || wal.write(at, bytes))
    }

    fn renew(&mut self, beginning: &[u8], length: u64) -> Result<(), PortError> {
        let (wal, faults) = (&mut self.0, &self.1);
        faults.write(port_error, || wal.renew(beginning, length))
    }
}

impl Tiles for FaultyFiles {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.0.read(path)
    }

    fn write(&self, files: &[(String, Vec<u8>)]) -> Result<(), PortError> {
        self.2.write(port_error, || self.0.write(files))
    }

    fn remove(&self, paths: &[String]) {
        self.0.remove(paths);
    }
}

impl CheckpointStore for FaultyFiles {
    fn load(&self) -> Result<Option<String>, PortError> {
        self.1.load()
    }

    fn replace(&self, old: Option<&str>, new: &str) -> Result<(), PortError> {
        self.2.write(port_error, || self.1.replace(old, new))
    }
}

fn ledger(folder: &Path, faults: &Arc<Faults>) -> Result<(LedgerFolder, Ledger), LedgerError> {
    let files = LedgerFolder::take(folder)?;
    let faulty = Arc::new(FaultyFiles(files.tiles(), files.head(), faults.clone()));
    let ledger = Ledger::open(custody_ledger::LedgerDeps {
        sequencer: Box::new(WriteAheadLog::new(Box::new(FaultyWal(
            files.wal(),
            faults.clone(),
        )))),
        tiles: faulty.clone(),
        head: faulty,
        signer: NoteSigner::new("example.com/log", &[1; 32]).unwrap(),
        clock: Arc::new(SystemClock::start()),
    })?;
    Ok((files, ledger))
}

fn draft(id: usize) -> EntryDraft {
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
fn a_failed_write_of_the_ledger_loses_nothing_acknowledged_and_acknowledges_nothing_lost() {
    const ENTRIES: usize = 6;
    for mode in Mode::ALL {
        let mut met = 0;
        for at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let faults = Faults::at(at, mode);
            let mut acknowledged = Vec::new();
            if let Ok((_files, log)) = ledger(folder.path(), &faults) {
                for id in 0..ENTRIES {
                    // Tiles and checkpoint are written here, not by the clock, so that the writes have
                    // one order. That they fail is no reason to refuse an entry.
                    let _ = log.publish();
                    // After an error the disk works again.
                    if let Ok(receipt) = log.append(draft(id)) {
                        acknowledged.push((receipt.index(), receipt.id().to_owned()));
                    }
                }
            }
            if !faults.met() {
                assert_eq!(acknowledged.len(), ENTRIES, "no fault, no error");
                break;
            }
            met += 1;
            let (_files, log) = ledger(folder.path(), &Faults::at(-1, mode)).unwrap();
            let mut entries = BTreeMap::new();
            let each = &mut |index, bytes: &[u8]| {
                entries.insert(index, Entry::parse(bytes).unwrap().id);
                true
            };
            log.snapshot().entries(0, log.size(), each).unwrap();
            for (index, id) in &acknowledged {
                assert_eq!(entries.get(index), Some(id), "{mode:?} at {at}");
            }
            log.append(draft(99)).unwrap();
            let broken: Vec<_> = log
                .verify()
                .into_iter()
                .filter_map(|check| check.broken)
                .collect();
            assert!(broken.is_empty(), "{mode:?} at {at}: {broken:?}");
        }
        assert!(met > ENTRIES, "{met} writes failed");
    }
}
