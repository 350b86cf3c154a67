//! What every command works with: output, settings, and the way to the workspace.

use std::cell::OnceCell;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use custody_api::{App, Credentials, router};
use custody_backends::ledger_files::LedgerFolder;
use custody_backends::workspace::Workspace;
use custody_client::{Client, Connection, Transport};
use custody_host::{LocalFolder, Places, Unlocked, ledger_problem, workspace_problem};
use custody_ledger::LedgerError;
use custody_pipeline::snapshot;
use custody_sandbox::Interrupt;
use custody_types::{Problem, Purpose, code};

use crate::args::Global;
use crate::output::Output;
use crate::settings::Settings;
use crate::sharing::{self, Reached, Sharing};

/// What every command works with.
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) settings: Settings,
    /// What ends running steps early.
    pub(crate) interrupt: Interrupt,
    global: Option<Global>,
    client: OnceCell<Client>,
    /// Lets other processes in while this one works in the workspace.
    sharing: OnceCell<Sharing>,
}

impl Context {
    pub(crate) fn new(settings: Settings, global: Option<Global>, json: bool) -> Self {
        Self {
            output: Output::new(json, settings.plain),
            settings,
            interrupt: Interrupt::default(),
            global,
            client: OnceCell::new(),
            sharing: OnceCell::new(),
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

    /// Opens the workspace, once; through the process that works in it already, if there is one.
    pub(crate) fn client(&self) -> Result<&Client, Problem> {
        self.client_by(Way::Any, None)
    }

    /// Opens the workspace as [`Context::client`] does. Where no purpose is stated, it is that of the project's pipeline.
    pub(crate) fn client_for_pipeline(&self) -> Result<&Client, Problem> {
        self.client_by(Way::Any, self.purpose_of_pipeline()?)
    }

    /// Opens the workspace in this process, once, for the purpose of the project's pipeline where none is stated. What it
    /// starts is ended with this process.
    pub(crate) fn own_client(&self) -> Result<&Client, Problem> {
        self.client_by(Way::Own, self.purpose_of_pipeline()?)
    }

    /// Returns the purpose of the project's pipeline; what is wrong with the file is for others to tell.
    fn purpose_of_pipeline(&self) -> Result<Option<Purpose>, Problem> {
        let stated = snapshot::project(&self.project_folder()?).ok();
        Ok(stated.and_then(|(_, purpose)| purpose))
    }

    /// Returns the folder of the project: the one that the workspace lies in.
    pub(crate) fn project_folder(&self) -> Result<LocalFolder, Problem> {
        let workspace = self.workspace()?;
        Ok(LocalFolder::new(workspace.project().to_owned()))
    }

    fn workspace(&self) -> Result<Workspace, Problem> {
        Workspace::find(&self.folder()).map_err(|error| workspace_problem(&error))
    }

    fn client_by(&self, way: Way, purpose: Option<Purpose>) -> Result<&Client, Problem> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let global = self.global.as_ref();
        let stated = global.and_then(|global| global.purpose.clone());
        let client = Client::new(self.open(way)?)
            .map_err(|error| no_threads(&error))?
            .acting_as(global.and_then(|global| global.act_as.clone()))
            .for_purpose(stated.or(purpose));
        Ok(self.client.get_or_init(|| client))
    }

    fn open(&self, way: Way) -> Result<Transport, Problem> {
        let workspace = self.workspace()?;
        let unlocked = Unlocked::unlock(
            workspace,
            |id| self.key_file(id),
            self.settings.passphrase.as_deref(),
        )?;
        let ledger = unlocked.ledger();
        let folder = match self.enter(&ledger, way)? {
            Entered::Here(folder) => folder,
            Entered::There(stream) => return Ok(Transport::Socket(Connection::new(stream))),
        };
        let places = Places {
            state: self.settings.state.clone(),
            cache: self.settings.cache.clone(),
            search_path: self.settings.search_path.clone(),
        };
        let (door, runner) = unlocked.open(folder, &places, self.interrupt.clone())?;
        let app = App {
            door,
            runner: Arc::new(runner),
            caller: Credentials::OperatingSystem {
                account: self.settings.account.clone(),
            },
        };
        let router = router(app);
        let sharing = Sharing::start(ledger, router.clone()).map_err(|error| no_threads(&error))?;
        // Set once: a workspace is opened once.
        let _ = self.sharing.set(sharing);
        Ok(Transport::InProcess(router))
    }

    /// Takes the workspace for this process, or finds the one that has it. Waits for the one that neither
    /// ends nor lets others in.
    fn enter(&self, ledger: &Path, way: Way) -> Result<Entered, Problem> {
        const TOLD_AFTER: u32 = 20;
        const PAUSE: Duration = Duration::from_millis(50);
        let mut told = false;
        let waits = self.global.as_ref().is_none_or(|global| !global.no_wait);
        let mut round = 0_u32;
        loop {
            let busy = match LedgerFolder::take(ledger) {
                Ok(folder) => return Ok(Entered::Here(folder)),
                Err(error @ LedgerError::Busy { .. }) => error,
                Err(error) => return Err(ledger_problem(&error)),
            };
            let reached = match way {
                Way::Any => sharing::connect(ledger),
                Way::Own => Reached::Closed,
            };
            let is_silent = match reached {
                Reached::Open(stream) => return Ok(Entered::There(stream)),
                Reached::Closed => false,
                Reached::Silent => true,
            };
            if !waits || self.interrupt.is_raised() {
                return Err(ledger_problem(&busy));
            }
            if !told && (round >= TOLD_AFTER || is_silent) {
                told = true;
                self.output
                    .note(&format!("waiting: {busy}; `--no-wait` ends instead"));
            }
            std::thread::sleep(PAUSE);
            round = round.saturating_add(1);
        }
    }
}

/// Which process may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The one that works in the workspace, whichever it is.
    Any,
    /// This one.
    Own,
}

/// Where the workspace is worked in.
enum Entered {
    Here(LedgerFolder),
    There(UnixStream),
}

fn no_threads(error: &std::io::Error) -> Problem {
    Problem::new(code::CLI_030, "no threads can be started").because(error)
}
