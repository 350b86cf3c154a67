//! The composition root: puts the parts of a workspace together.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use custody_api::{App, router};
use custody_backends::blobs::LocalBlobs;
use custody_backends::catalog::{PlaceSeal, SqliteCatalog};
use custody_backends::key_file::{self, KeyAccessError};
use custody_backends::ledger_files::LedgerFolder;
use custody_backends::machine::{SystemClock, SystemEntropy};
use custody_backends::scratch::ScratchFolder;
use custody_backends::workspace::{Keyring, Workspace, WorkspaceError};
use custody_client::{Client, Transport};
use custody_crypto::aead::Aead;
use custody_crypto::keys::{LocalKey, open_text};
use custody_crypto::sign::SigningKey;
use custody_crypto::{KeyContext, KeyError, KeyService, Secret, aead};
use custody_engine::Spill;
use custody_guard::Door;
use custody_ledger::{Ledger, LedgerError};
use custody_pipeline::run::Runner;
use custody_sandbox::Interrupt;
use custody_store::{Store, StoreError};
use custody_tlog::note::NoteSigner;
use custody_types::{Actor, ByteSize, Clock, Entropy, ExitCode, Problem, is_no_room};

use crate::args::Global;
use crate::machine::{LocalAnchor, LocalEnvironments, LocalFolder, LocalKeyring};
use crate::output::Output;
use crate::scanner::ConfinedScanner;
use crate::settings::Settings;

/// The most that one query may put aside on the disk.
const SPILL_LIMIT: ByteSize = ByteSize::from_mebibytes(64 << 10);

/// This program, as the launcher of what runs in the sandbox.
pub(crate) const LAUNCHER: &str = "/proc/self/exe";
/// The use of the key that seals places in the index.
const INDEX_KEY: &str = "custody 2026 places of chunks in the index";

/// The use of the key that seals what is known of installed environments.
const ENVIRONMENTS_KEY: &str = "custody 2026 inventories of environments";

/// What every command works with.
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) settings: Settings,
    /// What ends running steps early.
    pub(crate) interrupt: Interrupt,
    global: Option<Global>,
    client: OnceCell<Client>,
}

impl Context {
    pub(crate) fn new(settings: Settings, global: Option<Global>, json: bool) -> Self {
        Self {
            output: Output::new(json, settings.plain),
            settings,
            interrupt: Interrupt::default(),
            global,
            client: OnceCell::new(),
        }
    }

    /// Returns the folder in which the workspace is looked for.
    pub(crate) fn folder(&self) -> PathBuf {
        let given = self
            .global
            .as_ref()
            .and_then(|global| global.workspace.clone());
        given.map_or_else(
            || self.settings.here.clone(),
            |given| self.settings.here.join(given),
        )
    }

    /// Returns the key file of the workspace with the id `id`.
    pub(crate) fn key_file(&self, id: &str) -> PathBuf {
        let given = self
            .global
            .as_ref()
            .and_then(|global| global.key_file.clone())
            .or_else(|| self.settings.key_file.clone());
        given.map_or_else(
            || self.settings.config.join("keys").join(format!("{id}.key")),
            |given| self.settings.here.join(given),
        )
    }

    /// Opens the workspace, once.
    pub(crate) fn client(&self) -> Result<&Client, Problem> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.open()?;
        Ok(self.client.get_or_init(|| client))
    }

    fn open(&self) -> Result<Client, Problem> {
        let workspace =
            Workspace::find(&self.folder()).map_err(|error| workspace_problem(&error))?;
        let parts = Parts::unlock(
            workspace,
            |id| self.key_file(id),
            self.settings.passphrase.as_deref(),
        )?;
        let caller = Actor::user(self.settings.account.clone());
        let project = parts.workspace.project().to_owned();
        let spill = parts.spill();
        let seen = format!("{}.checkpoint", parts.workspace.about().id);
        let door = parts.door(self.settings.state.join("ledgers").join(seen))?;
        let environments = LocalEnvironments::new(
            self.settings.cache.join("environments"),
            self.settings.search_path.clone(),
            Some(parts.pseudonyms()?.derive(ENVIRONMENTS_KEY)),
        );
        let folder = Arc::new(LocalFolder::new(project));
        let runner = Runner::new(
            door.clone(),
            folder,
            Arc::new(environments),
            PathBuf::from(LAUNCHER),
            self.interrupt.clone(),
            spill,
        );
        let app = App {
            door,
            runner: Arc::new(runner),
            caller,
        };
        let client = Client::new(Transport::InProcess(router(app))).map_err(|error| {
            Problem::new("CUS-CLI-030", ExitCode::Later, "no threads can be started").because(error)
        })?;
        let global = self.global.as_ref();
        Ok(client
            .acting_as(global.and_then(|global| global.act_as.clone()))
            .for_purpose(global.and_then(|global| global.purpose.clone())))
    }
}

/// A workspace whose keys are open.
struct Parts {
    workspace: Workspace,
    keyring: Keyring,
    service: Arc<dyn KeyService>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    aead: Arc<dyn Aead>,
}

impl Parts {
    fn unlock(
        workspace: Workspace,
        key_file: impl Fn(&str) -> PathBuf,
        passphrase: Option<&str>,
    ) -> Result<Self, Problem> {
        let about = workspace.about();
        let path = key_file(&about.id);
        let key = key_file::read(&path, passphrase).map_err(|error| key_problem(&error))?;
        if key.id != about.key_id {
            return Err(Problem::new(
                "CUS-KEY-004",
                ExitCode::Usage,
                format!(
                    "the key file `{}` belongs to another workspace",
                    path.display()
                ),
            )
            .because(format!(
                "it holds the key `{}`; this workspace needs `{}`",
                key.id, about.key_id
            ))
            .hint("name the right one with `--key-file` or CUSTODY_KEY_FILE"));
        }
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let service = Arc::new(LocalKey::new(key.id, key.key, entropy.clone()));
        let keyring = workspace
            .keyring()
            .map_err(|error| workspace_problem(&error))?;
        let clock = Arc::new(SystemClock::start());
        let aead = aead::fastest(clock.as_ref()).map_err(|error| {
            Problem::new(
                "CUS-KEY-011",
                ExitCode::Later,
                "nothing can be encrypted here",
            )
            .because(error)
            .hint("run `custody doctor`, and see that the processor is sound")
        })?;
        Ok(Self {
            workspace,
            keyring,
            service,
            clock,
            entropy,
            aead,
        })
    }

    fn secret(&self, purpose: &'static str, sealed: &str) -> Result<Vec<u8>, Problem> {
        let context = KeyContext {
            workspace: self.workspace.about().binding(),
            domain: String::new(),
            purpose,
            epoch: 0,
        };
        open_text(self.service.as_ref(), &context, sealed)
            .map(|bytes| bytes.to_vec())
            .map_err(|error| keyring_problem(&error))
    }

    /// Returns the secret behind pseudonyms, from which others for the workspace alone are derived.
    fn pseudonyms(&self) -> Result<Secret<32>, Problem> {
        Secret::from_slice(&self.secret("pseudonym", &self.keyring.pseudonyms)?)
            .ok_or_else(unreadable)
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
            Problem::new(
                "CUS-STORE-030",
                ExitCode::Later,
                "the store cannot be opened",
            )
            .because_of(&error)
            .hint("see `custody doctor`, and that you may read and write all below `.custody`")
        };
        let blobs =
            LocalBlobs::open(&root.join("packs")).map_err(|error| unusable(error.into()))?;
        let seal = PlaceSeal::new(self.aead.key(index_key.expose()), self.entropy.clone());
        let catalog = SqliteCatalog::open_or_renew(&root.join("catalog.sqlite"), Arc::new(seal))
            .map_err(|error| unusable(error.into()))?;
        let parts = custody_store::Parts {
            blobs: Arc::new(blobs),
            catalog: Arc::new(catalog),
            aead: self.aead.clone(),
            entropy: self.entropy.clone(),
            signing,
        };
        let store = Store::new(parts);
        for (project, keys) in &self.keyring.projects {
            let opened = keys
                .keys
                .open(
                    self.service.as_ref(),
                    &self.workspace.about().binding(),
                    project.as_str(),
                )
                .map_err(|error| keyring_problem(&error))?;
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

    /// Opens the door. `seen`: where the last checkpoint is kept, outside the workspace.
    fn door(&self, seen: PathBuf) -> Result<Door, Problem> {
        let about = self.workspace.about();
        let root = self.workspace.root();
        // The ledger's lock comes first: it keeps every other process out of the workspace.
        let folder =
            LedgerFolder::take(&root.join("ledger")).map_err(|error| ledger_problem(&error))?;
        let signing = Arc::new(
            SigningKey::read(&self.secret("attest", &self.keyring.attest)?)
                .map_err(|_| unreadable())?,
        );
        let seed = Secret::<32>::from_slice(&self.secret("ledger", &self.keyring.ledger)?)
            .ok_or_else(unreadable)?;
        let pseudonyms = self.pseudonyms()?;
        let signer = NoteSigner::new(&format!("custody.local/{}", about.id), seed.expose())
            .map_err(|_| unreadable())?;
        let parts = custody_ledger::Parts {
            wal: folder.wal(),
            tiles: folder.tiles(),
            head: folder.head(),
            signer,
            clock: self.clock.clone(),
        };
        let ledger = Ledger::open(parts).map_err(|error| ledger_problem(&error))?;
        let keyring = LocalKeyring::new(
            self.workspace.clone(),
            self.keyring.clone(),
            self.service.clone(),
            self.entropy.clone(),
            folder,
        );
        Door::open(custody_guard::Parts {
            store: self.store(root, signing.clone(), &pseudonyms.derive(INDEX_KEY))?,
            ledger,
            signing,
            pseudonyms,
            keyring: Arc::new(keyring),
            anchor: Arc::new(LocalAnchor::new(seen)),
            scanner: Arc::new(ConfinedScanner::new(PathBuf::from(LAUNCHER))),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            owner: about.owner.clone(),
        })
    }
}

fn unreadable() -> Problem {
    Problem::new(
        "CUS-KEY-006",
        ExitCode::Integrity,
        "the keyring holds a key of the wrong form",
    )
    .hint("put `keyring.json` back from a copy")
}

fn ledger_problem(error: &LedgerError) -> Problem {
    let (code, exit, hint) = match error {
        LedgerError::NoSpace => return Problem::no_room("the ledger"),
        LedgerError::Busy { .. } => (
            "CUS-LEDGER-002",
            ExitCode::Later,
            "wait until it ends, then repeat the command",
        ),
        LedgerError::Damaged { .. } | LedgerError::RolledBack { .. } => (
            "CUS-LEDGER-003",
            ExitCode::Integrity,
            "put the named file below `.custody/ledger` back from a copy; nothing is taken until then",
        ),
        _ => (
            "CUS-LEDGER-001",
            ExitCode::Later,
            "see that the disk works and has room, then repeat the command",
        ),
    };
    Problem::new(code, exit, error.to_string()).hint(hint)
}

fn keyring_problem(error: &KeyError) -> Problem {
    Problem::new(
        "CUS-KEY-005",
        ExitCode::Integrity,
        "the workspace's keys do not unwrap",
    )
    .because(error)
    .hint("put `.custody/keyring.json` back from a copy")
}

pub(crate) fn key_problem(error: &KeyAccessError) -> Problem {
    use custody_crypto::key_file::KeyFileError;
    let (code, exit, hint) = match error {
        KeyAccessError::Io { path, source } if is_no_room(source) => {
            return Problem::no_room(format!("the key file `{path}`"));
        }
        KeyAccessError::Missing(_) => (
            "CUS-KEY-001",
            ExitCode::Usage,
            "name it with `--key-file` or CUSTODY_KEY_FILE, or put it back from your copy"
                .to_owned(),
        ),
        KeyAccessError::Exists(_) => (
            "CUS-KEY-002",
            ExitCode::NotFound,
            "name another place with `--key-file`; a key file is never overwritten".to_owned(),
        ),
        KeyAccessError::Loose { path, .. } => (
            "CUS-KEY-003",
            ExitCode::Usage,
            format!("make it yours alone: `chmod 600 {path}`"),
        ),
        KeyAccessError::File(KeyFileError::PassphraseNeeded) => (
            "CUS-KEY-007",
            ExitCode::Usage,
            "set CUSTODY_PASSPHRASE".to_owned(),
        ),
        KeyAccessError::File(KeyFileError::WrongPassphrase) => (
            "CUS-KEY-008",
            ExitCode::Usage,
            "look at CUSTODY_PASSPHRASE; without the passphrase nobody can open it".to_owned(),
        ),
        KeyAccessError::File(_) => (
            "CUS-KEY-009",
            ExitCode::Usage,
            "put it back from your copy".to_owned(),
        ),
        KeyAccessError::Io { .. } => (
            "CUS-KEY-010",
            ExitCode::Later,
            "see that you may read and write there".to_owned(),
        ),
    };
    Problem::new(code, exit, error.to_string()).hint(hint)
}

pub(crate) fn workspace_problem(error: &WorkspaceError) -> Problem {
    let (code, exit, hint) = match error {
        WorkspaceError::Io { file, source } if is_no_room(source) => {
            return Problem::no_room(format!("`{file}`"));
        }
        WorkspaceError::Missing(_) => (
            "CUS-WORK-001",
            ExitCode::NotFound,
            "make one with `custody init`, or name it with `--workspace`",
        ),
        WorkspaceError::Exists(_) => (
            "CUS-WORK-002",
            ExitCode::NotFound,
            "use it as it is; see what it has with `custody ls`",
        ),
        WorkspaceError::Newer { .. } => (
            "CUS-WORK-003",
            ExitCode::Usage,
            "use the newer program; this one changes nothing in it",
        ),
        WorkspaceError::Damaged { .. } => (
            "CUS-WORK-004",
            ExitCode::Integrity,
            "put the file back from a copy",
        ),
        WorkspaceError::Io { .. } => (
            "CUS-WORK-005",
            ExitCode::Later,
            "see that you may read and write there, and that the disk has room",
        ),
    };
    let problem = Problem::new(code, exit, error.to_string()).hint(hint);
    std::error::Error::source(error).map_or(problem.clone(), |source| problem.because(source))
}
