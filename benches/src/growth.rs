//! What a command costs with a short history and with a long one: the same ledger and store, a hundred times the
//! entries, two hundred times the versions, all of them made through the door.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use custody_backends::blobs::LocalBlobs;
use custody_backends::catalog::{PlaceSeal, SqliteCatalog};
use custody_backends::ledger_files::LedgerFolder;
use custody_backends::machine::{SystemClock, SystemEntropy};
use custody_crypto::aead::{Aead, Ring};
use custody_crypto::sign::SigningKey;
use custody_crypto::{DomainKeys, Secret};
use custody_guard::{
    Credentials, Door, DoorDeps, Keyring, KeysInUse, LastSeenCheckpoint, List, NewVersion,
    ReadLedger, ResourceRef, Scanned, Scanner, Session, Verify, VersionBuilder, Write,
};
use custody_ledger::Ledger;
use custody_store::{DomainId, Store};
use custody_tlog::note::NoteSigner;
use custody_types::{
    Actor, ArtifactName, Classification, Clock, Kind, Problem, ProjectName, VersionFiles, code,
};
use custody_wire::{EntryQuery, ListQuery};

use crate::measure::{Failure, median};

/// How many entries and versions the short history has.
const SHORT: (u64, u64) = (1_000, 100);
/// How many the long one has.
const LONG: (u64, u64) = (100_000, 20_000);
/// How many artifacts share the versions.
const ARTIFACTS: u64 = 20;
/// How many callers make them.
const CALLERS: u64 = 16;
const ROUNDS: usize = 31;

#[derive(Debug)]
struct OneProject(DomainKeys);

impl Keyring for OneProject {
    fn create(&self, _: &ProjectName) -> Result<(DomainId, DomainKeys), Problem> {
        Ok((DomainId::from_bytes([1; 16]), self.0.clone()))
    }

    fn destroy(&self, _: &ProjectName, _: &DomainId) -> Result<(), Problem> {
        Err(Problem::new(code::KEY_015, "its keys stay"))
    }

    fn renew(&self, _: &ProjectName, _: &DomainId) -> Result<Option<DomainKeys>, Problem> {
        Err(Problem::new(code::KEY_015, "its keys stay"))
    }

    fn in_use(&self) -> KeysInUse {
        KeysInUse::default()
    }

    fn rotate(&self) -> Result<String, Problem> {
        Err(Problem::new(code::KEY_010, "no key is above these"))
    }

    fn change_passphrase(&self, _: Option<&str>, _: Option<&str>) -> Result<(), Problem> {
        Err(Problem::new(code::KEY_010, "no key is above these"))
    }
}

#[derive(Debug, Default)]
struct Kept(Mutex<Option<String>>);

impl LastSeenCheckpoint for Kept {
    fn load(&self) -> Result<Option<String>, Problem> {
        Ok(self.0.lock().ok().and_then(|kept| kept.clone()))
    }

    fn keep(&self, checkpoint: &str, _: &dyn Fn(&str) -> bool) {
        if let Ok(mut kept) = self.0.lock() {
            *kept = Some(checkpoint.to_owned());
        }
    }

    fn replace(&self, checkpoint: &str) -> Result<(), Problem> {
        self.keep(checkpoint, &|_| true);
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

#[derive(Debug)]
struct NoModels;

impl Scanner for NoModels {
    fn scan(&self, _: Arc<dyn VersionFiles>, _: &[String]) -> Result<Scanned, Problem> {
        Err(Problem::new(code::RUN_090, "there are no models here"))
    }
}

/// A workspace without a program around it.
struct World {
    folder: tempfile::TempDir,
    signing: Arc<SigningKey>,
    keys: DomainKeys,
    anchor: Arc<Kept>,
}

impl World {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            folder: tempfile::tempdir_in("target")?,
            signing: Arc::new(SigningKey::read(&SigningKey::generate()?)?),
            keys: DomainKeys::generate(&SystemEntropy),
            anchor: Arc::default(),
        })
    }

    fn open(&self) -> Result<(LedgerFolder, Door), Failure> {
        let folder: &Path = self.folder.path();
        let files = LedgerFolder::take(&folder.join("ledger"))?;
        let ledger = Ledger::open(custody_ledger::LedgerDeps {
            sequencer: files.sequencer(),
            tiles: files.tiles(),
            head: files.head(),
            signer: NoteSigner::new("example.com/bench", &[1; 32])?,
            clock: Arc::new(SystemClock::start()),
        })?;
        let seal = PlaceSeal::new(Ring.key(&[5; 32]), Arc::new(SystemEntropy));
        let catalog = SqliteCatalog::open(&folder.join("catalog.sqlite"), Arc::new(seal))?;
        let store = Store::new(custody_store::StoreDeps {
            blobs: Arc::new(LocalBlobs::open(&folder.join("packs"))?),
            catalog: Arc::new(catalog),
            aead: Arc::new(Ring),
            entropy: Arc::new(SystemEntropy),
            signing: self.signing.clone(),
        });
        store.add_project(
            "bench".parse()?,
            DomainId::from_bytes([1; 16]),
            self.keys.clone(),
        );
        let door = Door::open(DoorDeps {
            store,
            ledger,
            signing: self.signing.clone(),
            pseudonyms: Secret::from_bytes([7; 32]),
            keyring: Arc::new(OneProject(self.keys.clone())),
            anchor: self.anchor.clone(),
            scanner: Arc::new(NoModels),
            clock: Arc::new(SystemClock::start()),
            entropy: Arc::new(SystemEntropy),
            observer: custody_observe::Observer::default(),
            owner: Actor::user("owner"),
        })?;
        Ok((files, door))
    }
}

fn owner() -> Session {
    let account = "owner".to_owned();
    let shown = Credentials::OperatingSystem { account };
    Session::new(
        shown.authenticate(SystemClock::start().now()),
        None,
        "bench",
    )
}

fn put(door: &Door, artifact: u64, content: &str) -> Result<(), Failure> {
    let artifact: ArtifactName = format!("bench/data{artifact}").parse()?;
    let (kind, classification) = (Kind::Dataset, Classification::Internal);
    let target = ResourceRef::New {
        artifact: artifact.clone(),
        kind,
        classification,
    };
    let grant = door.ask::<Write>(&owner(), target)?;
    let mut making = VersionBuilder::start(&grant)?;
    making.file("file".parse()?, false, &mut content.as_bytes())?;
    making.finish(grant, NewVersion::new(artifact, kind, classification))?;
    making.commit(None)?;
    Ok(())
}

fn list(door: &Door, limit: u64) -> Result<(), Failure> {
    let grant = door.ask::<List>(&owner(), ResourceRef::Workspace)?;
    grant.views(&ListQuery {
        limit: Some(limit),
        ..ListQuery::default()
    })?;
    Ok(grant.finish()?)
}

fn show(door: &Door) -> Result<(), Failure> {
    let target = ResourceRef::Named("bench/data3@2".parse()?);
    let grant = door.ask::<List>(&owner(), target)?;
    grant.show()?;
    Ok(grant.finish()?)
}

fn log(door: &Door, query: EntryQuery) -> Result<(), Failure> {
    let grant = door.ask::<ReadLedger>(&owner(), ResourceRef::Ledger)?;
    grant.entries(&EntryQuery {
        limit: Some(10),
        ..query
    })?;
    Ok(grant.finish()?)
}

/// What `custody verify NAME` does for a version that was put.
fn verify(door: &Door) -> Result<(), Failure> {
    let grant = door.ask::<Verify>(&owner(), ResourceRef::Named("bench/data3@2".parse()?))?;
    let version = grant.version()?;
    grant.evidence().check_entry(version)?;
    grant.evidence().check_bytes(version)?;
    grant.evidence().envelopes(version)?;
    grant.evidence().check_ledger_head();
    Ok(grant.finish()?)
}

/// Makes the versions, then asks until there are that many entries.
fn fill(door: &Door, (entries, versions): (u64, u64)) -> Result<(), Failure> {
    let made = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| -> Result<(), Failure> {
                    loop {
                        let one = made.fetch_add(1, Ordering::Relaxed);
                        if one < versions {
                            put(door, one % ARTIFACTS, &format!("content {one}"))?;
                        } else if door.ledger_size() < entries {
                            list(door, 1)?;
                        } else {
                            return Ok(());
                        }
                    }
                })
            })
            .collect();
        callers.into_iter().try_for_each(|caller| {
            caller
                .join()
                .map_err(|_| Failure::from("a caller stopped"))?
        })
    })
}

/// A history that was made, with the door to it.
struct History {
    world: World,
    door: Door,
    _files: LedgerFolder,
}

impl History {
    fn of(size: (u64, u64)) -> Result<Self, Failure> {
        let world = World::new()?;
        let (files, door) = world.open()?;
        let start = Instant::now();
        fill(&door, size)?;
        println!(
            "  {} entries and {} versions made in {:.0} s",
            door.ledger_size(),
            size.1,
            start.elapsed().as_secs_f64()
        );
        Ok(Self {
            world,
            door,
            _files: files,
        })
    }

    /// Ends the process's work on it.
    fn closed(self) -> World {
        self.world
    }
}

/// Prints the medians of what a piece of work takes on both sides, by turns, and the ratio of the second to the first.
fn compare<S>(
    name: &str,
    (short, long): &(S, S),
    work: impl Fn(&S, usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut all = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for (side, taken) in [short, long].into_iter().zip(&mut all) {
            let start = Instant::now();
            work(side, round)?;
            taken.push(start.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let [short, long] = all.map(median);
    println!(
        "  {name:<20} {short:>10.2} {long:>10.2} {:>7.2}",
        long / short
    );
    Ok(())
}

/// Prints what each takes with both histories, and the ratio.
pub(crate) fn bench() -> Result<(), Failure> {
    println!("\ngrowth: what a command takes with a short history and a long one, by turns");
    let both = (History::of(SHORT)?, History::of(LONG)?);
    println!(
        "  {:<20} {:>10} {:>10} {:>7}",
        "", "short, ms", "long, ms", "ratio"
    );
    let by_resource = EntryQuery {
        resource: Some("bench/data3".to_owned()),
        ..EntryQuery::default()
    };
    let by_version = EntryQuery {
        actor: Some("owner".to_owned()),
        action: Some("object.write".to_owned()),
        resource: Some("bench/data3@2".to_owned()),
        ..EntryQuery::default()
    };
    compare("show", &both, |one, _| show(&one.door))?;
    compare("put", &both, |one, round| {
        put(&one.door, 3, &format!("more {round}"))
    })?;
    compare("ls, 100 rows", &both, |one, _| list(&one.door, 100))?;
    compare("ledger log, 10", &both, |one, _| {
        log(&one.door, EntryQuery::default())
    })?;
    compare("… of an artifact", &both, |one, _| {
        log(&one.door, by_resource.clone())
    })?;
    compare("… of a version", &both, |one, _| {
        log(&one.door, by_version.clone())
    })?;
    compare("verify a version", &both, |one, _| verify(&one.door))?;
    let both = (both.0.closed(), both.1.closed());
    compare("start, ls of a row", &both, |world, _| {
        let (_files, door) = world.open()?;
        list(&door, 1)
    })
}
