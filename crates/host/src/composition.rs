//! The composition: the parts of a workspace on this machine, put together behind one door.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use custody_backends::blobs::LocalBlobs;
use custody_backends::catalog::{PlaceSeal, SqliteCatalog};
use custody_backends::key_file::{KeyAccessError, OpenKeyFile};
use custody_backends::ledger_files::LedgerFolder;
use custody_backends::machine::{SystemClock, SystemEntropy};
use custody_backends::scratch::ScratchFolder;
use custody_backends::workspace::{Workspace, WorkspaceError};
use custody_crypto::aead::Aead;
use custody_crypto::key_file::KeyFileError;
use custody_crypto::sign::SigningKey;
use custody_crypto::{KeyError, Secret, aead};
use custody_engine::Spill;
use custody_guard::Door;
use custody_ledger::{Ledger, LedgerError};
use custody_observe::Observer;
use custody_pipeline::Folder;
use custody_pipeline::run::Runner;
use custody_sandbox::Interrupt;
use custody_store::{Store, StoreError};
use custody_tlog::note::NoteSigner;
use custody_types::{Actor, ByteSize, Clock, Entropy, Problem, code, is_no_room};

use crate::keys::{Keys, LocalKeyring};
use crate::machine::{LocalAnchor, LocalEnvironments, LocalFolder, NoFolder};
use crate::scanner::ConfinedScanner;
use crate::watched::{WatchedBlobs, WatchedSequencer};

/// The most that one query may put aside on the disk.
const SPILL_LIMIT: ByteSize = ByteSize::from_mebibytes(64 << 10);

/// This program, as the launcher of what runs in the sandbox.
pub const LAUNCHER: &str = "/proc/self/exe";
/// The use of the key that seals places in the index.
const INDEX_KEY: &str = "custody 2026 places of chunks in the index";

/// The use of the key that seals what is known of installed environments.
const ENVIRONMENTS_KEY: &str = "custody 2026 inventories of environments";

/// Where this machine keeps what belongs to no workspace.
#[derive(Debug, Clone)]
pub struct Places {
    /// What must outlive the workspace: the checkpoints that were seen last.
    pub state: PathBuf,
    /// What can be made again: installed environments.
    pub cache: PathBuf,
    /// Where interpreters are looked for, as `PATH` has it.
    pub search_path: String,
}

/// Where runs find what a project declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Project {
    /// In the folder that the workspace lies in.
    Here,
    /// In no folder of this machine: in snapshots alone.
    Nowhere,
}

/// A workspace whose keys are open.
#[derive(Debug)]
pub struct Unlocked {
    pub(crate) workspace: Workspace,
    pub(crate) keys: Keys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    aead: Arc<dyn Aead>,
    observer: Observer,
}

impl Unlocked {
    /// Opens the keys of a workspace with the key file that `key_file` names for its id.
    ///
    /// # Errors
    /// A [`Problem`] when the key file cannot be read or is another's.
    pub fn unlock(
        workspace: Workspace,
        key_file: impl Fn(&str) -> PathBuf,
        passphrase: Option<&str>,
    ) -> Result<Self, Problem> {
        let path = key_file(&workspace.about().id);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let keys = Keys::open(workspace.clone(), path, passphrase, entropy.clone())?;
        let clock = Arc::new(SystemClock::start());
        let aead = aead::fastest(clock.as_ref()).map_err(|error| {
            Problem::new(code::KEY_011, "nothing can be encrypted here")
                .because(error)
                .hint("run `custody doctor`, and see that the processor is sound")
        })?;
        Ok(Self {
            workspace,
            keys,
            clock,
            entropy,
            aead,
            observer: Observer::default(),
        })
    }

    /// Tells an observer what is done.
    #[must_use]
    pub fn observed(mut self, observer: Observer) -> Self {
        self.observer = observer;
        self
    }

    /// Whether the key file that `key_file` names for a workspace is under a passphrase.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be read.
    pub fn needs_passphrase(
        workspace: &Workspace,
        key_file: impl Fn(&str) -> PathBuf,
    ) -> Result<bool, Problem> {
        match OpenKeyFile::read(&key_file(&workspace.about().id), None) {
            Ok(_) => Ok(false),
            Err(KeyAccessError::File(KeyFileError::PassphraseNeeded)) => Ok(true),
            Err(error) => Err(key_problem(&error)),
        }
    }

    /// Returns the folder of the ledger, whose lock whoever works in the workspace holds.
    pub fn ledger(&self) -> PathBuf {
        self.workspace.root().join("ledger")
    }

    /// Opens the door of the workspace, and puts together what runs pipelines behind it. `folder`: the ledger's, which
    /// keeps every other process out; `project`: what runs read where a request names no snapshot; `interrupt`: what ends
    /// all runs early.
    ///
    /// # Errors
    /// A [`Problem`] when something is damaged or another process changed it.
    pub fn open(
        mut self,
        folder: LedgerFolder,
        project: Project,
        places: &Places,
        interrupt: Interrupt,
    ) -> Result<(Door, Runner), Problem> {
        let seen = format!("{}.checkpoint", self.workspace.about().id);
        // Nobody else changes keys from here on.
        self.keys.enter()?;
        self.move_authority()?;
        let environments_key = self.keys.pseudonyms()?.derive(ENVIRONMENTS_KEY);
        let spill = self.spill();
        let project: Arc<dyn Folder> = match project {
            Project::Here => Arc::new(LocalFolder::new(self.workspace.project().to_owned())),
            Project::Nowhere => Arc::new(NoFolder),
        };
        let door = self.door(folder, places.state.join("ledgers").join(seen))?;
        let environments = LocalEnvironments::new(
            places.cache.join("environments"),
            places.search_path.clone(),
            Some(environments_key),
        );
        let runner = Runner::new(
            door.clone(),
            project,
            Arc::new(environments),
            PathBuf::from(LAUNCHER),
            interrupt,
            spill,
        );
        Ok((door, runner))
    }

    fn store(
        &self,
        root: &Path,
        signing: Arc<SigningKey>,
        index_key: &Secret<32>,
    ) -> Result<Store, Problem> {
        let unusable = |error: StoreError| {
            if let StoreError::NoSpace { what } = &error {
                return Problem::no_room(format!("`{what}`"));
            }
            Problem::new(code::STORE_030, "the store cannot be opened")
                .because_of(&error)
                .hint("see `custody doctor`, and that you may read and write all below `.custody`")
        };
        let blobs =
            LocalBlobs::open(&root.join("packs")).map_err(|error| unusable(error.into()))?;
        let seal = PlaceSeal::new(self.aead.key(index_key.expose()), self.entropy.clone());
        let catalog = SqliteCatalog::open_or_renew(&root.join("catalog.sqlite"), Arc::new(seal))
            .map_err(|error| unusable(error.into()))?;
        let parts = custody_store::StoreDeps {
            blobs: Arc::new(WatchedBlobs::new(blobs, self.observer.clone())),
            catalog: Arc::new(catalog),
            aead: self.aead.clone(),
            entropy: self.entropy.clone(),
            signing,
        };
        let store = Store::new(parts);
        for (project, keys) in &self.keys.keyring.projects {
            let opened = self.keys.project(project, keys)?;
            store.add_project(project.clone(), keys.domain, opened);
        }
        Ok(store)
    }

    fn spill(&self) -> Spill {
        Spill {
            scratch: Arc::new(ScratchFolder::new(self.workspace.root().to_owned())),
            aead: self.aead.clone(),
            entropy: self.entropy.clone(),
            limit: SPILL_LIMIT,
        }
    }

    /// Opens the door. `folder`: the ledger's, which keeps every other process out of the workspace; `seen`:
    /// where the last checkpoint is kept, outside the workspace.
    fn door(self, folder: LedgerFolder, seen: PathBuf) -> Result<Door, Problem> {
        let (about, keys) = (self.workspace.about(), &self.keys);
        let root = self.workspace.root();
        let signing = Arc::new(
            SigningKey::read(&keys.secret("attest", &keys.keyring.attest)?)
                .map_err(|_| unreadable())?,
        );
        let seed = Secret::<32>::from_slice(&keys.secret("ledger", &keys.keyring.ledger)?)
            .ok_or_else(unreadable)?;
        let pseudonyms = keys.pseudonyms()?;
        let signer = NoteSigner::new(&format!("custody.local/{}", about.id), seed.expose())
            .map_err(|_| unreadable())?;
        let parts = custody_ledger::LedgerDeps {
            sequencer: Box::new(WatchedSequencer::new(
                folder.sequencer(),
                self.observer.clone(),
            )),
            tiles: folder.tiles(),
            head: folder.head(),
            signer,
            clock: self.clock.clone(),
        };
        let ledger = Ledger::open(parts).map_err(|error| ledger_problem(&error))?;
        let index_key = pseudonyms.derive(INDEX_KEY);
        let store = self.store(root, signing.clone(), &index_key)?;
        let owner = owner(&about.owner);
        let observer = self.observer.clone();
        let keyring = LocalKeyring::new(self.keys, folder);
        Door::open(custody_guard::DoorDeps {
            store,
            ledger,
            signing,
            pseudonyms,
            keyring: Arc::new(keyring),
            anchor: Arc::new(LocalAnchor::new(seen)),
            scanner: Arc::new(ConfinedScanner::new(PathBuf::from(LAUNCHER))),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            observer,
            owner,
        })
    }
}

/// Reads the account that owns a workspace, which may have any name that the system gives.
fn owner(text: &str) -> Actor {
    match text.strip_prefix("service:") {
        Some(id) => Actor::service(id),
        None => Actor::user(text),
    }
}

pub(crate) fn unreadable() -> Problem {
    Problem::new(code::KEY_006, "the keyring holds a key of the wrong form")
        .hint("put `keyring.json` back from a copy")
}

/// Tells why the ledger does not open.
pub fn ledger_problem(error: &LedgerError) -> Problem {
    let (code, hint) = match error {
        LedgerError::NoSpace => return Problem::no_room("the ledger"),
        LedgerError::Busy { .. } => (
            code::LEDGER_002,
            "wait until it ends, then repeat the command",
        ),
        LedgerError::RolledBack { .. } => (
            code::LEDGER_004,
            "put the newest copy of the folder `.custody/ledger` back; nothing is taken until then",
        ),
        LedgerError::Damaged { .. } => (
            code::LEDGER_003,
            "put the named file below `.custody/ledger` back from a copy; nothing is taken until then",
        ),
        _ => (
            code::LEDGER_001,
            "see that the disk works and has room, then repeat the command",
        ),
    };
    let problem = Problem::new(code, error.to_string()).hint(hint);
    std::error::Error::source(error).map_or(problem.clone(), |source| problem.because_of(source))
}

pub(crate) fn keyring_problem(error: &KeyError) -> Problem {
    Problem::new(code::KEY_005, "the workspace's keys do not unwrap")
        .because(error)
        .hint("put `.custody/keyring.json` back from a copy")
}

/// Tells why a key file does not open.
pub fn key_problem(error: &KeyAccessError) -> Problem {
    let (code, hint) = match error {
        KeyAccessError::Io { path, source } if is_no_room(source) => {
            return Problem::no_room(format!("the key file `{path}`"));
        }
        KeyAccessError::Missing(_) => (
            code::KEY_001,
            "name it with `--key-file` or CUSTODY_KEY_FILE, or put it back from your copy"
                .to_owned(),
        ),
        KeyAccessError::Exists(_) => (
            code::KEY_002,
            "name another place with `--key-file`; a key file is never overwritten".to_owned(),
        ),
        KeyAccessError::Loose { path, .. } => (
            code::KEY_003,
            format!("make it yours alone: `chmod 600 {path}`"),
        ),
        KeyAccessError::File(KeyFileError::PassphraseNeeded) => {
            (code::KEY_007, "set CUSTODY_PASSPHRASE".to_owned())
        }
        KeyAccessError::File(KeyFileError::WrongPassphrase) => (
            code::KEY_008,
            "look at CUSTODY_PASSPHRASE; without the passphrase nobody can open it".to_owned(),
        ),
        KeyAccessError::Foreign(_) => (
            code::KEY_010,
            "run this as the user to whom the key file belongs".to_owned(),
        ),
        KeyAccessError::File(_) => (code::KEY_009, "put it back from your copy".to_owned()),
        KeyAccessError::Io { .. } => (
            code::KEY_010,
            "see that you may read and write there".to_owned(),
        ),
    };
    Problem::new(code, error.to_string()).hint(hint)
}

/// Tells why a workspace is not found or cannot be read.
pub fn workspace_problem(error: &WorkspaceError) -> Problem {
    let (code, hint) = match error {
        WorkspaceError::Io { file, source } if is_no_room(source) => {
            return Problem::no_room(format!("`{file}`"));
        }
        WorkspaceError::Missing(_) => (
            code::WORK_001,
            "make one with `custody init`, or name it with `--workspace`",
        ),
        WorkspaceError::Exists(_) => (
            code::WORK_002,
            "use it as it is; see what it has with `custody ls`",
        ),
        WorkspaceError::Newer { .. } => (
            code::WORK_003,
            "use the newer program; this one changes nothing in it",
        ),
        WorkspaceError::Damaged { .. } => (code::WORK_004, "put the file back from a copy"),
        WorkspaceError::Io { .. } => (
            code::WORK_005,
            "see that you may read and write there, and that the disk has room",
        ),
    };
    let problem = Problem::new(code, error.to_string()).hint(hint);
    std::error::Error::source(error).map_or(problem.clone(), |source| problem.because_of(source))
}
