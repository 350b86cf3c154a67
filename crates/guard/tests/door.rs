//! The door under many callers at once, over real files, on a disk that fails now and then.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use custody_backends::blobs::LocalBlobs;
use custody_backends::catalog::{PlaceSeal, SqliteCatalog};
use custody_backends::ledger_files::LedgerFolder;
use custody_backends::machine::{SystemClock, SystemEntropy};
use custody_crypto::aead::{Aead, Ring};
use custody_crypto::sign::SigningKey;
use custody_crypto::{DomainKeys, Secret};
use custody_guard::testing::{NoModels, Seen};
use custody_guard::{
    Authentication, ChangeIdentity, Credentials, Door, DoorDeps, Keyring, KeysInUse, NewVersion,
    Read, ReadIdentity, ReadLedger, ResourceRef, Session, Shred, Trace, Verify, VersionBuilder,
    Write,
};
use custody_ledger::{Ledger, PortError, Wal, WriteAheadLog};
use custody_store::{BlobError, Blobs, DomainId, PackId, Store};
use custody_tlog::note::NoteSigner;
use custody_types::{
    Actor, ArtifactName, Classification, Clock, Entropy, Kind, Problem, ProjectName, code,
};
use custody_wire::{Change, CheckResult, Directory, EntryQuery, PolicySource, Right, RoleBinding};

/// What outlives the process.
#[derive(Debug)]
struct World {
    folder: tempfile::TempDir,
    signing: Arc<SigningKey>,
    keys: Arc<Keys>,
    anchor: Arc<Seen>,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Keys(Mutex<BTreeMap<ProjectName, (DomainId, DomainKeys)>>);

impl Keyring for Keys {
    fn create(&self, project: &ProjectName) -> Result<(DomainId, DomainKeys), Problem> {
        let mut all = self.0.lock().unwrap();
        assert!(!all.contains_key(project), "`{project}` had keys before");
        let mut id = [0; 16];
        SystemEntropy.fill(&mut id);
        let made = (
            DomainId::from_bytes(id),
            DomainKeys::generate(&SystemEntropy),
        );
        all.insert(project.clone(), made.clone());
        Ok(made)
    }

    fn destroy(&self, project: &ProjectName, domain: &DomainId) -> Result<(), Problem> {
        let mut all = self.0.lock().unwrap();
        all.retain(|one, (id, _)| one != project || id != domain);
        Ok(())
    }

    fn renew(
        &self,
        project: &ProjectName,
        domain: &DomainId,
    ) -> Result<Option<DomainKeys>, Problem> {
        let mut all = self.0.lock().unwrap();
        let known = all.get_mut(project).filter(|(id, _)| id == domain);
        Ok(known.map(|(_, keys)| {
            keys.renew(&SystemEntropy).unwrap();
            keys.clone()
        }))
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

std::thread_local! {
    /// Where a thread stops when it publishes packs: it says so, and goes on when it is told to.
    static STOP: RefCell<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>> = const { RefCell::new(None) };
}

/// Packs in files, whose publishing a test can hold up.
#[derive(Debug)]
struct StoppingBlobs(LocalBlobs);

impl Blobs for StoppingBlobs {
    fn put(&self, pack: &PackId, bytes: &[u8]) -> Result<(), BlobError> {
        self.0.put(pack, bytes)
    }

    fn publish(&self, packs: &[PackId]) -> Result<(), BlobError> {
        if let Some((arrived, go_on)) = STOP.with_borrow_mut(Option::take) {
            arrived.send(()).unwrap();
            go_on.recv().unwrap();
        }
        self.0.publish(packs)
    }

    fn discard(&self, packs: &[PackId]) -> Result<(), BlobError> {
        self.0.discard(packs)
    }

    fn delete(&self, packs: &[PackId]) -> Result<(), BlobError> {
        self.0.delete(packs)
    }

    fn read(&self, pack: &PackId, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        self.0.read(pack, range)
    }

    fn size(&self, pack: &PackId) -> Result<u64, BlobError> {
        self.0.size(pack)
    }

    fn list(&self, after: Option<&PackId>, limit: usize) -> Result<Vec<PackId>, BlobError> {
        self.0.list(after, limit)
    }

    fn sweep(&self) -> Result<(), BlobError> {
        self.0.sweep()
    }

    fn name(&self, pack: &PackId) -> String {
        self.0.name(pack)
    }
}

/// What becomes of writes to the write-ahead log: 0, they are done; 1, they fail before anything is done;
/// 2, they fail after all is.
#[derive(Debug, Default)]
struct Faults(AtomicU32);

#[derive(Debug)]
struct FaultyWal(Box<dyn Wal>, Arc<Faults>);

impl FaultyWal {
    fn write_or_fail(
        &mut self,
        write: impl FnOnce(&mut dyn Wal) -> Result<(), PortError>,
    ) -> Result<(), PortError> {
        let mode = self.1.0.load(Ordering::SeqCst);
        if mode != 1 {
            write(self.0.as_mut())?;
        }
        if mode == 0 {
            return Ok(());
        }
        Err(PortError::Failed {
            file: "wal".to_owned(),
            source: Arc::new(std::io::Error::other("a fault")),
        })
    }
}

impl Wal for FaultyWal {
    fn load(&mut self) -> Result<Vec<u8>, PortError> {
        self.0.load()
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), PortError> {
        self.write_or_fail(|wal| wal.write(at, bytes))
    }

    fn renew(&mut self, beginning: &[u8], length: u64) -> Result<(), PortError> {
        self.write_or_fail(|wal| wal.renew(beginning, length))
    }
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            signing: Arc::new(SigningKey::read(&SigningKey::generate().unwrap()).unwrap()),
            keys: Arc::default(),
            anchor: Arc::default(),
            faults: Arc::default(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn open(&self) -> (LedgerFolder, Door) {
        let files = LedgerFolder::take(&self.path().join("ledger")).unwrap();
        let ledger = Ledger::open(custody_ledger::LedgerDeps {
            sequencer: Box::new(WriteAheadLog::new(Box::new(FaultyWal(
                files.wal(),
                self.faults.clone(),
            )))),
            tiles: files.tiles(),
            head: files.head(),
            signer: NoteSigner::new("example.com/log", &[1; 32]).unwrap(),
            clock: Arc::new(SystemClock::start()),
        })
        .unwrap();
        let seal = PlaceSeal::new(Ring.key(&[5; 32]), Arc::new(SystemEntropy));
        let catalog = self.path().join("catalog.sqlite");
        let store = Store::new(custody_store::StoreDeps {
            blobs: Arc::new(StoppingBlobs(
                LocalBlobs::open(&self.path().join("packs")).unwrap(),
            )),
            catalog: Arc::new(SqliteCatalog::open(&catalog, Arc::new(seal)).unwrap()),
            aead: Arc::new(Ring),
            entropy: Arc::new(SystemEntropy),
            signing: self.signing.clone(),
        });
        for (project, (id, keys)) in self.keys.0.lock().unwrap().iter() {
            store.add_project(project.clone(), *id, keys.clone());
        }
        let door = Door::open(DoorDeps {
            store,
            ledger,
            signing: self.signing.clone(),
            pseudonyms: Secret::from_slice(&[7; 32]).unwrap(),
            keyring: self.keys.clone(),
            anchor: self.anchor.clone(),
            scanner: Arc::new(NoModels),
            clock: Arc::new(SystemClock::start()),
            entropy: Arc::new(SystemEntropy),
            observer: custody_observe::Observer::default(),
            owner: Actor::user("owner"),
        })
        .unwrap();
        (files, door)
    }
}

fn shown(name: &str) -> Authentication {
    let account = name.to_owned();
    Credentials::OperatingSystem { account }.authenticate(SystemClock::start().now())
}

fn person(name: &str) -> Session {
    Session::new(shown(name), None, "test")
}

fn put(door: &Door, artifact: &str, content: &[u8]) -> Result<String, Problem> {
    let made = sent(door, artifact, content)?.commit(None)?;
    Ok(made[0].version.name().to_string())
}

/// Sends a file that is to become a version, which only waits to be made.
fn sent(door: &Door, artifact: &str, content: &[u8]) -> Result<VersionBuilder, Problem> {
    let artifact: ArtifactName = artifact.parse().unwrap();
    let (kind, classification) = (Kind::Dataset, Classification::Internal);
    let target = ResourceRef::New {
        artifact: artifact.clone(),
        kind,
        classification,
    };
    let grant = door.ask::<Write>(&person("owner"), target)?;
    let mut making = VersionBuilder::start(&grant)?;
    making.file("file".parse().unwrap(), false, &mut &content[..])?;
    making.finish(grant, NewVersion::new(artifact, kind, classification))?;
    Ok(making)
}

fn shred(door: &Door, project: &str, reason: &str) -> Result<u64, Problem> {
    let target = ResourceRef::Project(project.parse().unwrap());
    let grant = door.ask::<Shred>(&person("owner"), target)?;
    Ok(grant.shred(reason)?.entry)
}

fn read(door: &Door, name: &str) -> Result<Vec<u8>, Problem> {
    let target = ResourceRef::Named(name.parse().unwrap());
    let grant = door.ask::<Read>(&person("owner"), target)?;
    let files = grant.files()?;
    let size = files.files()[0].size.bytes();
    let content = files.read(&"file".parse().unwrap(), 0..size).unwrap();
    grant.finish()?;
    Ok(content.to_vec())
}

fn alias(door: &Door, name: &str) -> Result<(), Problem> {
    let target = ResourceRef::Named(name.parse().unwrap());
    let alias = "good".parse().unwrap();
    let grant = door.ask_alias(&person("owner"), target, &alias)?;
    grant.set(&alias, None).map(drop)
}

fn change_policy(door: &Door, round: u32) -> Result<(), Problem> {
    let source = |name: &str, text: String| PolicySource {
        name: name.to_owned(),
        text,
    };
    let listed = format!(r#"{{"users": {{"user{round}": {{"roles": []}}}}}}"#);
    let own = format!("// {round}");
    let sources = vec![source("principals.json", listed), source("own.cedar", own)];
    door.change_policies(&person("owner"), sources).map(drop)
}

fn change_accounts(door: &Door, who: &str, changes: Vec<Change>) -> Result<Directory, Problem> {
    let grant = door.ask::<ChangeIdentity>(&person(who), ResourceRef::Identity)?;
    grant.change(changes).map(|reply| reply.directory)
}

fn add(who: &str) -> Change {
    Change::Add {
        who: who.parse().unwrap(),
    }
}

fn grant(who: &str, role: &str) -> Change {
    Change::Grant {
        who: who.parse().unwrap(),
        right: Right::Role(RoleBinding::everywhere(role)),
        seconds: None,
    }
}

/// Every entry, oldest first.
fn entries(door: &Door) -> Vec<serde_json::Value> {
    let grant = door
        .ask::<ReadLedger>(&person("owner"), ResourceRef::Ledger)
        .unwrap();
    let query = EntryQuery {
        limit: Some(10_000),
        ..EntryQuery::default()
    };
    let reply = grant.entries(&query).unwrap();
    assert_eq!(reply.size, reply.entries.len() as u64, "all are shown");
    grant.finish().unwrap();
    reply.entries.into_iter().map(|view| view.entry).collect()
}

/// Every grant has one outcome, and no version has the name of another.
fn check_entries(entries: &[serde_json::Value]) {
    let (mut open, mut names) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        let text = |field: &str| entry[field].as_str().map(ToOwned::to_owned);
        match (text("ph").as_deref(), text("rel")) {
            (Some("grant"), _) if entry["out"].is_null() => {
                assert!(open.insert(text("id").unwrap()));
            }
            (Some("outcome"), Some(grant)) => {
                assert!(open.remove(&grant), "a second outcome: {entry}");
            }
            _ => {}
        }
        if !entry["facts"]["record"].is_null() {
            let name = entry["obj"][0]["n"].to_string();
            assert!(names.insert(name), "a second version of one name: {entry}");
        }
    }
    assert_eq!(open.len(), 1, "the grant to read the ledger, and no other");
}

/// What was on its way when its project was shredded becomes no version, and nothing of it can be read: not by who had
/// opened it before, and not by the next process.
#[test]
fn nothing_of_a_shredded_project_is_made_or_read_any_more() {
    let world = World::new();
    let (files, door) = world.open();
    put(&door, "trial/data", b"kept").unwrap();
    put(&door, "other/data", b"kept").unwrap();
    let on_its_way = sent(&door, "trial/data", b"on its way").unwrap();
    assert_eq!(
        shred(&door, "trial", " ").unwrap_err().code,
        code::STORE_016
    );
    assert_eq!(read(&door, "trial/data").unwrap(), b"kept");
    let refused = shred(&door, "custody", "all of it").unwrap_err();
    assert_eq!(refused.code, code::STORE_015);
    let refused = shred(&door, "none", "x").unwrap_err();
    assert_eq!(refused.code, code::STORE_017);
    let entry = shred(&door, "trial", "the study has ended").unwrap();
    let is_shredded = |door: &Door| {
        let told = read(door, "trial/data@1").unwrap_err();
        assert_eq!(told.code, code::STORE_014, "{told}");
        let told = put(door, "trial/new", b"new").unwrap_err();
        assert_eq!(told.code, code::STORE_014, "{told}");
        assert_eq!(shred(door, "trial", "again").unwrap(), entry);
        assert_eq!(read(door, "other/data").unwrap(), b"kept");
    };
    let told = on_its_way.commit(None).unwrap_err();
    assert_eq!(told.code, code::STORE_014, "{told}");
    is_shredded(&door);
    drop((files, door));
    let (_files, door) = world.open();
    is_shredded(&door);
    check_entries(&entries(&door));
}

/// While a slow disk takes in one version, others of the project are made, read and named.
#[test]
fn versions_of_other_artifacts_do_not_wait_for_one_that_is_being_made() {
    let world = World::new();
    let (_files, door) = world.open();
    put(&door, "demo/slow", b"before").unwrap();
    let (arrived, has_arrived) = mpsc::channel();
    let (go_on, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            STOP.set(Some((arrived, told)));
            put(&door, "demo/slow", b"slow").unwrap()
        });
        has_arrived.recv().unwrap();
        assert_eq!(put(&door, "demo/other", b"other").unwrap(), "demo/other@1");
        alias(&door, "demo/other@1").unwrap();
        assert_eq!(put(&door, "far/away", b"far").unwrap(), "far/away@1");
        assert_eq!(read(&door, "demo/slow").unwrap(), b"before");
        // Of one artifact one is made after the other.
        let next = scope.spawn(|| put(&door, "demo/slow", b"next").unwrap());
        go_on.send(()).unwrap();
        assert_eq!(slow.join().unwrap(), "demo/slow@2");
        assert_eq!(next.join().unwrap(), "demo/slow@3");
    });
    assert_eq!(read(&door, "demo/slow@3").unwrap(), b"next");
}

fn accounts(door: &Door, who: &str) -> Result<Directory, Problem> {
    let grant = door.ask::<ReadIdentity>(&person(who), ResourceRef::Identity)?;
    let reply = grant.identity();
    grant.finish().map(|()| reply.directory)
}

#[test]
fn of_changes_of_the_accounts_at_once_none_undoes_another() {
    const THREADS: usize = 8;
    let world = World::new();
    let (files, door) = world.open();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let door = &door;
            scope.spawn(move || {
                let who = format!("user{thread}");
                change_accounts(door, "owner", vec![add(&who), grant(&who, "reader")]).unwrap();
            });
        }
        scope.spawn(|| {
            change_policy_alone(
                &door,
                "forbid (principal, action, resource) when { false };",
            );
        });
    });
    let all = accounts(&door, "owner").unwrap();
    let readers = all
        .users
        .values()
        .filter(|one| one.roles.len() == 1)
        .count();
    assert_eq!((all.users.len(), readers), (THREADS + 1, THREADS + 1));
    // What is so already is no change, and all of several are made, or none.
    let kept = || {
        let named = |entry: &serde_json::Value| {
            let name = entry["obj"][0]["n"].as_str();
            name.is_some_and(|name| name.starts_with("custody/identity@"))
        };
        entries(&door).iter().filter(|entry| named(entry)).count()
    };
    assert_eq!(kept(), THREADS);
    change_accounts(&door, "owner", vec![grant("user0", "reader")]).unwrap();
    let problem = change_accounts(&door, "owner", vec![add("eve"), add("user0")]).unwrap_err();
    assert_eq!(problem.code, code::IDENTITY_002);
    assert_eq!(accounts(&door, "owner").unwrap(), all);
    assert_eq!(kept(), THREADS, "no version was made");
    drop((files, door));
    let (_files, door) = world.open();
    assert_eq!(accounts(&door, "owner").unwrap(), all);
}

fn change_policy_alone(door: &Door, cedar: &str) {
    let source = PolicySource {
        name: "own.cedar".to_owned(),
        text: cedar.to_owned(),
    };
    door.change_policies(&person("owner"), vec![source])
        .unwrap();
}

#[test]
fn a_change_that_only_seemed_to_fail_counts_as_soon_as_the_disk_works() {
    let world = World::new();
    let (_files, door) = world.open();
    change_accounts(&door, "owner", vec![add("ada"), grant("ada", "auditor")]).unwrap();
    let asked = door
        .ask::<ChangeIdentity>(&person("owner"), ResourceRef::Identity)
        .unwrap();
    // All of it is written, and the answer is an error.
    world.faults.0.store(2, Ordering::SeqCst);
    let take = Change::Revoke {
        who: "ada".parse().unwrap(),
        right: Right::Role(RoleBinding::everywhere("auditor")),
    };
    asked.change(vec![take]).unwrap_err();
    world.faults.0.store(0, Ordering::SeqCst);
    // The first entry that is taken again settles the one before.
    put(&door, "p/any", b"content").unwrap();
    let problem = accounts(&door, "ada").unwrap_err();
    assert_eq!(problem.code, code::DOOR_001, "{problem}");
}

#[test]
fn the_newest_of_each_artifact_come_a_page_at_a_time() {
    let world = World::new();
    let (_files, door) = world.open();
    for (artifact, content) in [
        ("demo/a", "1"),
        ("demo/a", "2"),
        ("demo/a-b", "3"),
        ("demo/a_b", "4"),
        ("demo/b", "5"),
        ("else/a", "6"),
    ] {
        put(&door, artifact, content.as_bytes()).unwrap();
    }
    let project: ProjectName = "demo".parse().unwrap();
    let pages = |kinds: &[Kind], most| {
        let grant = door
            .ask::<Trace>(&person("owner"), ResourceRef::Project(project.clone()))
            .unwrap();
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = grant
                .evidence()
                .newest(&project, kinds, after.as_deref(), most)
                .unwrap();
            let names = page.iter().map(|version| version.name().to_string());
            pages.push(names.collect::<Vec<_>>());
            after = next;
            if after.is_none() {
                break;
            }
        }
        grant.finish().unwrap();
        pages
    };
    let all = ["demo/a@2", "demo/a-b@1", "demo/a_b@1", "demo/b@1"];
    for most in 1..=5 {
        let expected: Vec<_> = all.chunks(most).map(<[_]>::to_vec).collect();
        assert_eq!(pages(&[Kind::Report, Kind::Dataset], most), expected);
    }
    assert_eq!(pages(&[Kind::Report], 1), [Vec::<String>::new()]);
    let grant = door
        .ask::<Trace>(&person("owner"), ResourceRef::Project(project.clone()))
        .unwrap();
    let of_runs = hex::encode("r 0190a3c4-0000-7000-8000-000000000000");
    for cursor in ["", "zz", &of_runs] {
        let problem = grant
            .evidence()
            .newest(&project, &[], Some(cursor), 1)
            .unwrap_err();
        assert_eq!(problem.code, code::DOOR_017, "{problem}");
    }
}

#[test]
fn who_lost_the_right_meanwhile_changes_nothing() {
    let world = World::new();
    let (_files, door) = world.open();
    let officer = || grant("olga", "security_officer");
    change_accounts(&door, "owner", vec![add("olga"), officer(), add("ada")]).unwrap();
    let asked = door
        .ask::<ChangeIdentity>(&person("olga"), ResourceRef::Identity)
        .unwrap();
    let Change::Grant { who, right, .. } = officer() else {
        panic!("it gives a role");
    };
    let before = change_accounts(&door, "owner", vec![Change::Revoke { who, right }]).unwrap();
    let problem = asked.change(vec![grant("ada", "auditor")]).unwrap_err();
    assert_eq!(problem.code, code::DOOR_001, "{problem}");
    assert_eq!(accounts(&door, "owner").unwrap(), before);
}

#[test]
fn owners_act_as_others_and_nobody_else_does() {
    let world = World::new();
    let (_files, door) = world.open();
    let changes = vec![
        add("olga"),
        grant("olga", "owner"),
        add("ada"),
        grant("ada", "auditor"),
    ];
    change_accounts(&door, "owner", changes).unwrap();
    let acts = |who: &str, other: &str| door.act_as(&person(who), other).map_err(|told| told.code);
    assert_eq!(acts("olga", "ada").unwrap().actor(), &Actor::user("ada"));
    assert_eq!(acts("ada", "olga").unwrap_err(), code::DOOR_003);
    assert_eq!(acts("nobody", "ada").unwrap_err(), code::DOOR_003);
    assert_eq!(acts("olga", "nobody").unwrap_err(), code::DOOR_004);
}

#[test]
fn a_session_that_is_over_opens_nothing() {
    let world = World::new();
    let (_files, door) = world.open();
    let over = Authentication {
        expires: Some(SystemClock::start().now()),
        ..shown("owner")
    };
    let session = Session::new(over, None, "test");
    let problem = door
        .ask::<ReadIdentity>(&session, ResourceRef::Identity)
        .unwrap_err();
    assert_eq!(problem.code, code::DOOR_019);
}

#[test]
fn nothing_is_lost_when_many_act_at_once_and_the_disk_fails_now_and_then() {
    const THREADS: u32 = 16;
    const ROUNDS: u32 = 24;
    let world = World::new();
    let (files, door) = world.open();
    let acknowledged = Mutex::new(BTreeMap::new());
    let refused = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (door, acknowledged, refused) = (&door, &acknowledged, &refused);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    // All begin with the first version of one project.
                    let project = if round == 0 { 0 } else { (thread + round) % 4 };
                    let artifact = format!("project{project}/data{}", thread % 3);
                    let content = format!("{thread} {round}");
                    let done = put(door, &artifact, content.as_bytes()).and_then(|name| {
                        let before = acknowledged.lock().unwrap().insert(name.clone(), content);
                        assert_eq!(before, None, "`{name}` was acknowledged twice");
                        alias(door, &name)
                    });
                    let told = acknowledged.lock().unwrap().clone();
                    let some = told
                        .iter()
                        .nth((thread * round) as usize % told.len().max(1));
                    let seen = some.map_or(Ok(()), |(name, content)| {
                        read(door, name).map(|found| assert_eq!(found, content.as_bytes()))
                    });
                    let changed = if (thread + round).is_multiple_of(16) {
                        change_policy(door, round)
                    } else {
                        Ok(())
                    };
                    let stranger = ResourceRef::Named(artifact.parse().unwrap());
                    door.ask::<Read>(&person("stranger"), stranger).unwrap_err();
                    for problem in [done, seen, changed].into_iter().filter_map(Result::err) {
                        assert_eq!(problem.code, code::LEDGER_001, "{problem:?}");
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        scope.spawn(|| {
            for round in 0..30 {
                std::thread::sleep(std::time::Duration::from_millis(20));
                world.faults.0.store(1 + round % 2, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(2));
                world.faults.0.store(0, Ordering::SeqCst);
            }
        });
    });
    assert!(refused.load(Ordering::SeqCst) > 0, "the disk never failed");
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > 50, "{}", acknowledged.len());
    // As it is, and after another start.
    for (name, content) in &acknowledged {
        assert_eq!(read(&door, name).unwrap(), content.as_bytes(), "{name}");
    }
    drop((door, files));
    let (_files, door) = world.open();
    check_entries(&entries(&door));
    for (name, content) in &acknowledged {
        assert_eq!(read(&door, name).unwrap(), content.as_bytes(), "{name}");
    }
    let grant = door
        .ask::<Verify>(&person("owner"), ResourceRef::Workspace)
        .unwrap();
    let evidence = grant.evidence();
    let (_, wrong) = evidence.check_index().unwrap();
    assert_eq!(wrong, Vec::<String>::new());
    for version in evidence.versions().unwrap() {
        evidence.check_entry(&version).unwrap();
        evidence.check_bytes(&version).unwrap();
    }
    let packs = evidence.check_packs().unwrap();
    assert!(packs.iter().all(|pack| pack.broken.is_none()), "{packs:?}");
    for check in evidence.check_ledger() {
        assert_eq!(check.result, CheckResult::Ok, "{check:?}");
    }
}
