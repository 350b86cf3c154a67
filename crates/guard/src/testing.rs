//! A door on doubles of everything behind it, for tests of what stands in front of it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "it is for tests, which may panic"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub use custody_crypto::aead::Ring as Cipher;
use custody_crypto::sign::SigningKey;
use custody_crypto::{DomainKeys, Secret};
use custody_ledger::testing::{Disk, Stored};
use custody_ledger::{Entry, Ledger, LedgerDeps};
use custody_observe::Observer;
use custody_store::testing::{MemoryCatalog, Place};
use custody_store::{DomainId, Store, StoreDeps};
use custody_tlog::note::NoteSigner;
use custody_types::{Actor, Clock, Entropy, Problem, ProjectName, Timestamp, VersionFiles, code};

use crate::{
    Credentials, Door, DoorDeps, Keyring, KeysInUse, LastSeenCheckpoint, Scanned, Scanner, Session,
};

/// When the clock of a [`World`] begins.
const BEGINNING: i64 = 1_767_225_600_000_000;

/// A workspace in memory: what outlives the processes that open it. Its owner is `owner`.
#[derive(Debug, Clone)]
pub struct World {
    /// The packs.
    pub place: Place,
    /// The index.
    pub catalog: MemoryCatalog,
    /// The ledger.
    pub disk: Arc<Disk>,
    /// Tells the time.
    pub clock: Arc<Ticks>,
    /// Draws numbers that nobody but a test may use.
    pub entropy: Arc<Counted>,
    /// Who is told what is done.
    pub observer: Observer,
    signing: Arc<SigningKey>,
    keys: Arc<Keys>,
    seen: Arc<Seen>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            place: Place::default(),
            catalog: MemoryCatalog::default(),
            disk: Arc::default(),
            clock: Arc::default(),
            entropy: Arc::default(),
            observer: Observer::default(),
            signing: Arc::new(SigningKey::read(&SigningKey::generate().unwrap()).unwrap()),
            keys: Arc::default(),
            seen: Arc::default(),
        }
    }
}

impl World {
    /// Lets content keys be kept no more, or again.
    pub fn fail_content_keys(&self, fail: bool) {
        self.keys.fails.store(fail, Ordering::SeqCst);
    }

    /// Opens the door, as a process does.
    pub fn open(&self) -> Door {
        let stored = || Stored(self.disk.clone());
        let ledger = Ledger::open(LedgerDeps {
            sequencer: Box::new(stored()),
            tiles: Arc::new(stored()),
            head: Arc::new(stored()),
            signer: NoteSigner::new("example.com/log", &[1; 32]).unwrap(),
            clock: self.clock.clone(),
        });
        let store = Store::new(StoreDeps {
            blobs: Arc::new(self.place.open()),
            catalog: Arc::new(self.catalog.clone()),
            aead: Arc::new(Cipher),
            entropy: self.entropy.clone(),
            signing: self.signing.clone(),
        });
        for (project, (id, keys)) in self.keys.kept.lock().unwrap().iter() {
            store.add_project(project.clone(), *id, keys.clone());
        }
        Door::open(DoorDeps {
            store,
            ledger: ledger.unwrap(),
            signing: self.signing.clone(),
            pseudonyms: Secret::from_slice(&[7; 32]).unwrap(),
            keyring: self.keys.clone(),
            anchor: self.seen.clone(),
            scanner: Arc::new(NoModels),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            observer: self.observer.clone(),
            owner: Actor::user("owner"),
        })
        .unwrap()
    }

    /// Begins the session of a person.
    pub fn person(&self, name: &str) -> Session {
        let account = name.to_owned();
        let shown = Credentials::OperatingSystem { account };
        Session::new(shown.authenticate(self.clock.now()), None, "test")
    }

    /// Counts the grants in the ledger of a door, and the outcomes.
    pub fn grants_and_outcomes(door: &Door) -> (usize, usize) {
        let entries = Self::entries(door);
        let grants = entries.iter().filter(|entry| entry.outcome.is_none());
        let outcomes = entries.iter().filter(|entry| entry.relates_to.is_some());
        (grants.count(), outcomes.count())
    }

    /// Lists the entries of the ledger of a door.
    pub fn entries(door: &Door) -> Vec<Entry> {
        let mut entries = Vec::new();
        let each = &mut |_, bytes: &[u8]| {
            entries.push(Entry::parse(bytes).unwrap());
            true
        };
        let ledger = door.0.parts.ledger.snapshot();
        ledger.entries(0, u64::MAX, each).unwrap();
        entries
    }
}

/// A clock that goes on by a millisecond each time it is asked.
#[derive(Debug, Default)]
pub struct Ticks(AtomicI64);

impl Ticks {
    /// Lets seconds go by.
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        let millis = self.0.fetch_add(1, Ordering::SeqCst);
        Timestamp::from_unix_micros(BEGINNING + millis * 1000).unwrap()
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// Bytes that are other ones each time, and the same in each run of a test.
#[derive(Debug, Default)]
pub struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            // The finaliser of SplitMix64, over a counter.
            let mut word = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_be_bytes()[..chunk.len()]);
        }
    }
}

/// The keys of projects.
#[derive(Debug, Default)]
struct Keys {
    kept: Mutex<BTreeMap<ProjectName, (DomainId, DomainKeys)>>,
    /// How many were made.
    made: AtomicU8,
    /// How often the key above them was rotated.
    rotated: AtomicU64,
    passphrase: Mutex<Option<String>>,
    /// Whether no content key can be kept.
    fails: AtomicBool,
}

impl Keyring for Keys {
    fn create(&self, project: &ProjectName) -> Result<(DomainId, DomainKeys), Problem> {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        let keys = DomainKeys::generate(&Counted(AtomicU64::new(u64::from(number))));
        let made = (DomainId::from_bytes([number; 16]), keys);
        let mut kept = self.kept.lock().unwrap();
        kept.insert(project.clone(), made.clone());
        Ok(made)
    }

    fn destroy(&self, project: &ProjectName, domain: &DomainId) -> Result<(), Problem> {
        let mut kept = self.kept.lock().unwrap();
        kept.retain(|one, (id, _)| one != project || id != domain);
        Ok(())
    }

    fn renew(
        &self,
        project: &ProjectName,
        domain: &DomainId,
    ) -> Result<Option<DomainKeys>, Problem> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(Problem::new(code::KEY_010, "the keyring cannot be written"));
        }
        let mut kept = self.kept.lock().unwrap();
        let known = kept.get_mut(project).filter(|(id, _)| id == domain);
        Ok(known.map(|(id, keys)| {
            let epoch = keys.content.len() as u64;
            let drawn = Counted(AtomicU64::new(epoch << 8 | u64::from(id.as_bytes()[0])));
            keys.renew(&drawn).unwrap();
            keys.clone()
        }))
    }

    fn in_use(&self) -> KeysInUse {
        let kept = self.kept.lock().unwrap();
        let epochs = kept.iter().map(|(project, (_, keys))| {
            let epochs = keys.content.keys().copied().collect();
            (project.clone(), epochs)
        });
        KeysInUse {
            key: format!("key-{}", self.rotated.load(Ordering::SeqCst)),
            is_under_passphrase: self.passphrase.lock().unwrap().is_some(),
            is_between: false,
            epochs: epochs.collect(),
        }
    }

    fn rotate(&self) -> Result<String, Problem> {
        let before = self.rotated.fetch_add(1, Ordering::SeqCst);
        Ok(format!("key-{}", before + 1))
    }

    fn change_passphrase(&self, old: Option<&str>, new: Option<&str>) -> Result<(), Problem> {
        let mut kept = self.passphrase.lock().unwrap();
        if kept.is_some() && kept.as_deref() != old {
            return Err(Problem::new(code::KEY_008, "the passphrase is wrong"));
        }
        *kept = new.map(ToOwned::to_owned);
        Ok(())
    }
}

/// The checkpoint that was seen last, in memory. It is only ever followed by one that goes on from it.
#[derive(Debug, Default)]
pub struct Seen(Mutex<Option<String>>);

impl LastSeenCheckpoint for Seen {
    fn load(&self) -> Result<Option<String>, Problem> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn keep(&self, checkpoint: &str, goes_on: &dyn Fn(&str) -> bool) {
        let mut kept = self.0.lock().unwrap();
        let follows = kept.as_deref().is_none_or(goes_on);
        assert!(follows, "{kept:?} is followed by {checkpoint}");
        *kept = Some(checkpoint.to_owned());
    }

    fn replace(&self, checkpoint: &str) -> Result<(), Problem> {
        *self.0.lock().unwrap() = Some(checkpoint.to_owned());
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

/// Scans nothing: there are no models.
#[derive(Debug)]
pub struct NoModels;

impl Scanner for NoModels {
    fn scan(&self, _: Arc<dyn VersionFiles>, _: &[String]) -> Result<Scanned, Problem> {
        Err(Problem::new(code::SCAN_019, "there are no models here"))
    }
}
