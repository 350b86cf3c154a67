//! What every command works with: output, settings, and the way to the workspace.

use std::cell::OnceCell;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use custody_api::{App, Budget, Budgets, Credentials, Door, Entrance, Runner, router};
use custody_backends::ledger_files::LedgerFolder;
use custody_backends::machine::{SystemClock, SystemEntropy};
use custody_backends::workspace::Workspace;
use custody_client::{Client, Connection, Transport};
use custody_host::{LocalFolder, Places, Project, Unlocked, ledger_problem, workspace_problem};
use custody_ledger::LedgerError;
use custody_observe::Observer;
use custody_pipeline::snapshot;
use custody_sandbox::Interrupt;
use custody_tls::Authority;
use custody_types::{Problem, Purpose, code};
use custody_wire::InviteReply;

use crate::args::Global;
use crate::login;
use crate::output::Output;
use crate::sealed::{Gate, not_sealed};
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

    /// Opens the workspace in this process, or at the server where one is worked with, once, for the purpose of the project's pipeline where none is stated. What it
    /// starts is ended with this process.
    pub(crate) fn own_client(&self) -> Result<&Client, Problem> {
        self.client_by(Way::Own, self.purpose_of_pipeline()?)
    }

    /// Returns the purpose of the project's pipeline; what is wrong with the file is for others to tell.
    fn purpose_of_pipeline(&self) -> Result<Option<Purpose>, Problem> {
        let stated = snapshot::project(&self.project_folder()?).ok();
        Ok(stated.and_then(|(_, purpose)| purpose))
    }

    /// Returns the folder of the project: the one that the workspace lies in; where a server is worked with, this one.
    pub(crate) fn project_folder(&self) -> Result<LocalFolder, Problem> {
        if self.is_remote() {
            return Ok(LocalFolder::new(self.folder()));
        }
        let workspace = self.workspace()?;
        Ok(LocalFolder::new(workspace.project().to_owned()))
    }

    /// Returns whether commands work with a server: the one that the environment names, or, where there is no workspace
    /// here, the one that somebody logged in to.
    pub(crate) fn is_remote(&self) -> bool {
        let named = |global: &Global| global.workspace.is_some();
        self.settings.server.is_some()
            || !self.global.as_ref().is_some_and(named)
                && Workspace::find(&self.folder()).is_err()
                && login::is_kept(&self.settings)
    }

    /// Returns whether there is a workspace to ask, here or at a server.
    pub(crate) fn has_workspace(&self) -> bool {
        let named = self
            .global
            .as_ref()
            .is_some_and(|global| global.workspace.is_some());
        named || self.is_remote() || Workspace::find(&self.folder()).is_ok()
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

    fn unlock(&self) -> Result<Unlocked, Problem> {
        self.unlock_with(self.settings.passphrase.as_deref())
    }

    fn unlock_with(&self, passphrase: Option<&str>) -> Result<Unlocked, Problem> {
        Unlocked::unlock(self.workspace()?, |id| self.key_file(id), passphrase)
    }

    /// Returns a way to the sealed server that works in the workspace on this machine.
    pub(crate) fn sealed(&self) -> Result<Client, Problem> {
        let ledger = ledger_of(&self.workspace()?);
        match sharing::connect(&ledger) {
            Reached::Open(stream) => {
                let transport = Transport::Socket(Connection::new(stream));
                Client::new(transport).map_err(|error| no_threads(&error))
            }
            Reached::Closed | Reached::Silent => Err(not_sealed()),
        }
    }

    fn places(&self) -> Places {
        Places {
            state: self.settings.state.clone(),
            cache: self.settings.cache.clone(),
            search_path: self.settings.search_path.clone(),
        }
    }

    fn here(&self, door: Door, runner: Arc<Runner>) -> App {
        App {
            door,
            runner,
            entrance: Entrance::Machine(Credentials::OperatingSystem {
                account: self.settings.account.clone(),
            }),
        }
    }

    /// Opens the workspace for a server: in this process, whose project's folder nothing is read from. Commands on this
    /// machine come in beside, by the socket. `root_key`: where the private key of a new root goes; none: the server has
    /// certificates of its own.
    /// `names`: those under which the server is known, where they are; `observer`: who is told what is done.
    ///
    /// Where the key file is under a passphrase that was not given, it is *sealed*: `sealed` is called once, and whoever runs
    /// commands on this machine as the same user may give it by the socket. Nothing else is answered until then.
    pub(crate) fn serve(
        &self,
        root_key: Option<&Path>,
        names: Option<Vec<String>>,
        budget: Budget,
        observer: Observer,
        sealed: impl FnOnce() -> Result<(), Problem>,
        is_ending: &dyn Fn() -> bool,
    ) -> Result<Served, Problem> {
        let workspace = self.workspace()?;
        let ledger = ledger_of(&workspace);
        let is_sealed = self.settings.passphrase.is_none()
            && Unlocked::needs_passphrase(&workspace, |id| self.key_file(id))?;
        // Who works in the workspace has it from before its keys are open.
        let folder = LedgerFolder::take(&ledger).map_err(|error| ledger_problem(&error))?;
        let (unlocked, gate) = if is_sealed {
            let (gate, router) = Gate::new();
            let sharing =
                Sharing::start_now(ledger.clone(), router).map_err(|error| unreachable(&error))?;
            let _ = self.sharing.set(sharing);
            sealed()?;
            let unlock = |passphrase: &str| self.unlock_with(Some(passphrase));
            let (unlocked, attempt) = gate.wait(unlock, is_ending)?;
            (unlocked, Some((gate, attempt)))
        } else {
            (self.unlock()?, None)
        };
        let unlocked = unlocked.observed(observer);
        let authority = root_key.map(|place| unlocked.server_authority(place));
        let authority = authority.transpose()?;
        let (door, runner) = unlocked.open(
            folder,
            Project::Nowhere,
            &self.places(),
            self.interrupt.clone(),
        )?;
        let runner = Arc::new(runner);
        let is_first = authority.as_ref().is_some_and(|(_, is_new)| *is_new);
        let account = self.settings.account.clone();
        let shown = Credentials::OperatingSystem { account };
        let session = door.authenticate(&shown, None, "cli");
        let invited = is_first.then(|| door.invite_owner(&session)).transpose()?;
        let here = router(self.here(door.clone(), runner.clone()));
        match gate {
            Some((gate, attempt)) => {
                gate.open(here, attempt, door.unsealed(&session))?;
            }
            None => {
                let sharing = Sharing::start(ledger, here).map_err(|error| no_threads(&error))?;
                let _ = self.sharing.set(sharing);
            }
        }
        Ok(Served {
            door: door.clone(),
            authority,
            invited: invited.flatten(),
            runner: runner.clone(),
            router: custody_web::router(
                router(App {
                    door,
                    runner,
                    entrance: Entrance::Network(Budgets::new(budget)),
                }),
                custody_web::Settings {
                    names,
                    clock: Arc::new(SystemClock::start()),
                    entropy: Arc::new(SystemEntropy),
                },
            ),
        })
    }

    fn open(&self, way: Way) -> Result<Transport, Problem> {
        if self.is_remote() {
            return Ok(Transport::Server(login::server(&self.settings)?));
        }
        let unlocked = self.unlock()?;
        let ledger = unlocked.ledger();
        let folder = match self.enter(&ledger, way)? {
            Entered::Here(folder) => folder,
            Entered::There(stream) => return Ok(Transport::Socket(Connection::new(stream))),
        };
        let interrupt = self.interrupt.clone();
        let (door, runner) = unlocked.open(folder, Project::Here, &self.places(), interrupt)?;
        let router = router(self.here(door, Arc::new(runner)));
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

/// A workspace as a server has it.
pub(crate) struct Served {
    /// The door.
    pub(crate) door: Door,
    /// What makes its certificates, and whether that was just made.
    pub(crate) authority: Option<(Authority, bool)>,
    /// The invitation of the owner who starts a server for the first time.
    pub(crate) invited: Option<InviteReply>,
    /// What runs pipelines.
    pub(crate) runner: Arc<Runner>,
    /// What answers who comes over the network.
    pub(crate) router: Router,
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

fn ledger_of(workspace: &Workspace) -> PathBuf {
    workspace.root().join("ledger")
}

fn unreachable(error: &std::io::Error) -> Problem {
    let what = "the server is sealed, and nobody can unseal it: it cannot listen at its socket";
    Problem::new(code::SERVE_006, what)
        .because(error)
        .hint("give it the passphrase at its start, by CUSTODY_PASSPHRASE")
}

fn no_threads(error: &std::io::Error) -> Problem {
    Problem::new(code::CLI_030, "no threads can be started").because(error)
}
