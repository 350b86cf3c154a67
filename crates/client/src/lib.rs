//! The typed client of the API.
//!
//! [`Client`] speaks HTTP over a [`Transport`]: to the router in the same process, without a socket, or to that
//! of the process that works in the workspace already. The requests and answers are the same. All calls block:
//! the client brings its own small runtime.
#![forbid(unsafe_code)]

mod transport;

use std::io::{self, Read};

use bytes::Bytes;
use custody_types::{Problem, Purpose, code};
use custody_wire::stream::{PieceReader, PieceWriter, channel};
use custody_wire::{
    AcceptRollbackReply, AcceptRollbackRequest, AliasReply, AliasRequest, ApproveChangeRequest,
    ApproveReply, ApproveRequest, ArtifactQuery, BreakGlassReply, BreakGlassRequest, CancelReply,
    CandidateRequest, Change, CompareReply, CompareRequest, DataQuery, DevicePollReply,
    DevicePollRequest, DeviceReply, DeviceRequest, DiffReply, DiffRequest, Document, EnrolRequest,
    EntryProofReply, EntryQuery, EvaluationReply, ExplainReply, ExplainRequest, HEADER_AS,
    HEADER_PURPOSE, HeadReply, IdentityReply, IdentityRequest, InviteReply, InviteRequest,
    KeysReply, LedgerReply, LedgerVerifyReply, ListQuery, ListReply, MetricsReply, MetricsRequest,
    PassphraseReply, PassphraseRequest, PolicyDiffReply, PolicyReply, PolicySource,
    PolicyTestReply, ProblemDetails, ProfileReply, ProjectQuery, ProjectsReply, ProposalsReply,
    ProvidersReply, PutQuery, PutReply, RejectReply, RejectRequest, RemoveReply, RemoveRequest,
    ReplayReply, ReplayRequest, ReproduceReply, ReproduceRequest, RescanReply, RescanRequest,
    RevokeTokenRequest, RotateKeysRequest, RotationReply, RulesReply, RunEvent, RunListReply,
    RunMoment, RunMomentQuery, RunQuery, RunReply, RunRequest, RunShowReply, RunStarted, Schema,
    SchemaReply, SessionReply, ShowReply, ShredReply, ShredRequest, SignInRequest, SignOutReply,
    SigningReply, SigningRequest, StatusReply, StatusRequest, TokenReply, TokenRequest,
    TokensReply, TraceQuery, TraceReply, UnsealReply, UnsealRequest, ValidateReply, VerifyReply,
    VerifyRequest, WaitingReply,
};
use http::{Extensions, HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
pub use transport::{Address, Connection, Server, Transport};
use transport::{Body, read_to_end};

/// The largest answer that is read into memory: a document, not a file.
const DOCUMENT_BYTES: usize = 256 << 20;

/// A client of the API, for one principal and purpose.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    runtime: Runtime,
    act_as: Option<String>,
    purpose: Option<Purpose>,
    /// The field that shows a token, where the transport shows none itself.
    authorization: Option<HeaderValue>,
    /// What each request carries within the process.
    carried: Extensions,
}

/// What the requests of a client run on.
#[derive(Debug)]
enum Runtime {
    /// Its own.
    Own(tokio::runtime::Runtime),
    /// That of whoever made it.
    Lent(Handle),
}

impl Runtime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Self::Own(runtime) => runtime.block_on(future),
            Self::Lent(handle) => handle.block_on(future),
        }
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        match self {
            Self::Own(runtime) => runtime.spawn(future),
            Self::Lent(handle) => handle.spawn(future),
        }
    }
}

impl Client {
    /// Makes a client over `transport`, acting as the caller.
    ///
    /// # Errors
    /// When the machine gives no threads for the runtime.
    pub fn new(transport: Transport) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        Ok(Self::over(transport, Runtime::Own(runtime)))
    }

    /// Makes a client over `transport` whose requests run on a runtime that is there already. Its calls block, so they
    /// are made on a thread for blocking work, never on one that the runtime's tasks run on.
    pub fn on(handle: Handle, transport: Transport) -> Self {
        Self::over(transport, Runtime::Lent(handle))
    }

    fn over(transport: Transport, runtime: Runtime) -> Self {
        Self {
            transport,
            runtime,
            act_as: None,
            purpose: None,
            authorization: None,
            carried: Extensions::new(),
        }
    }

    /// Shows a token with every request: to a router in the process, which takes whoever asks for somebody from the network.
    ///
    /// # Errors
    /// A [`Problem`] when it has characters that no token has.
    pub fn showing(mut self, token: &str) -> Result<Self, Problem> {
        let field = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut field = field.map_err(|error| unwritable(&error))?;
        field.set_sensitive(true);
        self.authorization = Some(field);
        Ok(self)
    }

    /// Carries `what` with every request, for a router in the process: where a request comes from.
    #[must_use]
    pub fn carrying<T: Clone + Send + Sync + 'static>(mut self, what: T) -> Self {
        self.carried.insert(what);
        self
    }

    /// Acts as a narrower principal of the workspace's policy.
    #[must_use]
    pub fn acting_as(mut self, principal: Option<String>) -> Self {
        self.act_as = principal;
        self
    }

    /// States the purpose of every request.
    #[must_use]
    pub fn for_purpose(mut self, purpose: Option<Purpose>) -> Self {
        self.purpose = purpose;
        self
    }

    /// Lists versions.
    ///
    /// # Errors
    /// The [`Problem`] that the API answers, as for every call of this client.
    pub fn list(&self, query: &ListQuery) -> Result<ListReply, Problem> {
        self.get("/v1/versions", query)
    }

    /// Lists the projects in which the caller may see something.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn projects(&self, query: &ProjectQuery) -> Result<ProjectsReply, Problem> {
        self.get("/v1/projects", query)
    }

    /// Lists the decisions of gates that wait for approvals.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn waiting(&self) -> Result<WaitingReply, Problem> {
        self.get("/v1/approvals", &())
    }

    /// Shows an entry of the ledger, with the proof that it is in it.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn ledger_entry(&self, index: u64) -> Result<EntryProofReply, Problem> {
        self.get(&format!("/v1/ledger/entries/{index}"), &())
    }

    /// Invites a person to set a password and an authenticator.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn invite(&self, request: &InviteRequest) -> Result<InviteReply, Problem> {
        self.post("/v1/invitations", request)
    }

    /// Signs a person in at a server.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn sign_in(&self, request: &SignInRequest) -> Result<SessionReply, Problem> {
        self.post("/v1/sessions", request)
    }

    /// Sets a person's password and authenticator by an invitation, and signs them in.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn enrol(&self, request: &EnrolRequest) -> Result<SessionReply, Problem> {
        self.post("/v1/sessions/enrolments", request)
    }

    /// Begins the sign-in of a person at an identity provider, by a code that a terminal shows.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn begin_device(&self, request: &DeviceRequest) -> Result<DeviceReply, Problem> {
        self.post("/v1/sessions/device", request)
    }

    /// Asks whether the code of a sign-in was confirmed.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn poll_device(&self, request: &DevicePollRequest) -> Result<DevicePollReply, Problem> {
        self.post("/v1/sessions/device/poll", request)
    }

    /// Ends the session of a person at a server.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn sign_out(&self) -> Result<SignOutReply, Problem> {
        self.post_nothing("/v1/sessions/end")
    }

    /// Shows one version.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn show(&self, reference: &str) -> Result<ShowReply, Problem> {
        self.get("/v1/version", &[("reference", reference)])
    }

    /// Lists what of a version is signed, for whoever may sign it.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn signable(&self, request: &SigningRequest) -> Result<SigningReply, Problem> {
        self.post("/v1/signatures", request)
    }

    /// Tells the columns of a version's table.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn data_schema(&self, query: &DataQuery) -> Result<SchemaReply, Problem> {
        self.get("/v1/data/schema", query)
    }

    /// Shows the first rows of a version's table.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn data_head(&self, query: &DataQuery) -> Result<HeadReply, Problem> {
        self.get("/v1/data/head", query)
    }

    /// Tells what a version's table looks like.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn data_profile(&self, query: &DataQuery) -> Result<ProfileReply, Problem> {
        self.get("/v1/data/profile", query)
    }

    /// Tells what differs between two versions.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn data_diff(&self, request: &DiffRequest) -> Result<DiffReply, Problem> {
        self.post("/v1/data/diff", request)
    }

    /// Makes a new version from the tar stream that `write` produces.
    ///
    /// # Errors
    /// The API's [`Problem`], or one that says why the files could not be read.
    pub fn put(
        &self,
        query: &PutQuery,
        write: impl FnOnce(&mut PieceWriter) -> io::Result<()> + Send + 'static,
    ) -> Result<PutReply, Problem> {
        let (sender, receiver) = channel();
        let feeder = std::thread::spawn(move || {
            let mut writer = PieceWriter::new(sender);
            match write(&mut writer) {
                Ok(()) => writer.finish(),
                Err(error) => {
                    let copy = io::Error::new(error.kind(), error.to_string());
                    writer.fail(error);
                    Err(copy)
                }
            }
        });
        let request = self
            .request(Method::POST, "/v1/versions", query)?
            .header(http::header::CONTENT_TYPE, "application/x-tar");
        let reply = self.send(request, transport::pieces_body(receiver));
        let fed = feeder
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the reader of the files stopped")));
        match (reply, fed) {
            (Err(_), Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(unreadable(&error))
            }
            (reply, _) => self.document(reply?),
        }
    }

    /// Takes a version's files out, as a tar stream that `read` consumes.
    ///
    /// # Errors
    /// The API's [`Problem`], or the one that `read` gives.
    pub fn export<T>(
        &self,
        reference: &str,
        read: impl FnOnce(&mut dyn Read) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let request = self.request(Method::GET, "/v1/files", &[("reference", reference)])?;
        self.download(request, read)
    }

    /// Points an alias at a version.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn set_alias(&self, request: &AliasRequest) -> Result<AliasReply, Problem> {
        self.post("/v1/aliases", request)
    }

    /// Shows what a version was made from, or what was made from it.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn trace(&self, query: &TraceQuery) -> Result<TraceReply, Problem> {
        self.get("/v1/trace", query)
    }

    /// Verifies a version, or everything.
    ///
    /// # Errors
    /// The API's [`Problem`]; that something is broken is an answer, not a problem.
    pub fn verify(&self, request: &VerifyRequest) -> Result<VerifyReply, Problem> {
        self.post("/v1/verify", request)
    }

    /// Tells what a model was made of: a CycloneDX 1.6 document.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn bom(&self, reference: &str) -> Result<Vec<u8>, Problem> {
        self.whole("/v1/bom", reference)
    }

    /// Returns the attestations about a model: the lines of a file of claims.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn claims(&self, reference: &str) -> Result<Vec<u8>, Problem> {
        self.whole("/v1/claims", reference)
    }

    fn whole(&self, path: &str, reference: &str) -> Result<Vec<u8>, Problem> {
        let query = ArtifactQuery {
            reference: reference.to_owned(),
        };
        let request = self.request(Method::GET, path, &query)?;
        self.download(request, |stream| {
            let mut bytes = Vec::new();
            stream
                .read_to_end(&mut bytes)
                .map_err(|error| garbled(&error))?;
            Ok(bytes)
        })
    }

    /// Returns what the process that answers counts of its work, in the format of `OpenMetrics`.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn server_metrics(&self) -> Result<String, Problem> {
        let request = self.request(Method::GET, "/metrics", &())?;
        self.download(request, |stream| {
            let mut text = String::new();
            stream
                .read_to_string(&mut text)
                .map_err(|error| garbled(&error))?;
            Ok(text)
        })
    }

    /// Runs the steps that made a version again and compares.
    ///
    /// # Errors
    /// The API's [`Problem`]; a difference is an answer, not a problem.
    pub fn reproduce(&self, reference: &str) -> Result<ReproduceReply, Problem> {
        self.post(
            "/v1/reproduce",
            &ReproduceRequest {
                reference: reference.to_owned(),
            },
        )
    }

    /// Runs the pipeline and hands every event to `on_event` as it happens.
    ///
    /// # Errors
    /// The API's [`Problem`]; a step that fails or refuses is an answer, not a problem.
    pub fn run(
        &self,
        request: &RunRequest,
        mut on_event: impl FnMut(&RunEvent),
    ) -> Result<RunReply, Problem> {
        let body = serde_json::to_vec(request).map_err(|error| garbled(&error))?;
        let request = self.json_request(Method::POST, "/v1/runs")?;
        let response = self.send(request, Body::from(body))?;
        let mut lines = Lines::new(self, response.into_body());
        while let Some(line) = lines.next_line()? {
            let event: Document<RunEvent> =
                serde_json::from_slice(&line).map_err(|error| garbled(&error))?;
            match event.body {
                RunEvent::Finished(reply) => return Ok(*reply),
                RunEvent::Problem(problem) => return Err(*problem),
                event => on_event(&event),
            }
        }
        Err(Problem::new(code::API_003, "the run's answer broke off")
            .hint("see what was done with `custody ledger log`, then start it again with `custody run`"))
    }

    /// Starts a run that goes on by itself; [`Client::follow_run`] tells how it goes on.
    ///
    /// # Errors
    /// The API's [`Problem`]; how steps fail is told by the run.
    pub fn start_run(&self, request: &RunRequest) -> Result<RunStarted, Problem> {
        let request = RunRequest {
            detached: true,
            ..request.clone()
        };
        self.post("/v1/runs", &request)
    }

    /// Lists runs, the newest first.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn runs(&self, query: &RunQuery) -> Result<RunListReply, Problem> {
        self.get("/v1/runs", query)
    }

    /// Shows a run and what happened in it.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn show_run(&self, id: &str) -> Result<RunShowReply, Problem> {
        self.get(&run_path(id, "")?, &())
    }

    /// Hands what happens in a run to `on_moment`, until the run ends.
    ///
    /// # Errors
    /// The API's [`Problem`], or the one that `on_moment` gives.
    pub fn follow_run(
        &self,
        id: &str,
        query: &RunMomentQuery,
        mut on_moment: impl FnMut(RunMoment) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let request = self.request(Method::GET, &run_path(id, "/events")?, query)?;
        let response = self.send(request, Body::empty())?;
        let mut lines = Lines::new(self, response.into_body());
        while let Some(line) = lines.next_line()? {
            let moment: Document<RunMoment> =
                serde_json::from_slice(&line).map_err(|error| garbled(&error))?;
            on_moment(moment.body)?;
        }
        Ok(())
    }

    /// Ends a run that goes on.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn cancel_run(&self, id: &str) -> Result<CancelReply, Problem> {
        self.post_nothing(&run_path(id, "/cancel")?)
    }

    /// Tells what would run, and why.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn status(&self, request: &StatusRequest) -> Result<StatusReply, Problem> {
        self.post("/v1/status", request)
    }

    /// Tells the figures of versions or runs.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn metrics(&self, request: &MetricsRequest) -> Result<MetricsReply, Problem> {
        self.post("/v1/metrics", request)
    }

    /// Returns what an evaluation measured, as its report has it.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn evaluation(&self, reference: &str) -> Result<EvaluationReply, Problem> {
        self.get("/v1/evaluation", &[("reference", reference)])
    }

    /// Compares two versions or runs.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn compare(&self, request: &CompareRequest) -> Result<CompareReply, Problem> {
        self.post("/v1/compare", request)
    }

    /// Shows entries of the ledger.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn ledger_entries(&self, query: &EntryQuery) -> Result<LedgerReply, Problem> {
        self.get("/v1/ledger/entries", query)
    }

    /// Checks the whole ledger.
    ///
    /// # Errors
    /// The API's [`Problem`]; that something is broken is an answer, not a problem.
    pub fn verify_ledger(&self) -> Result<LedgerVerifyReply, Problem> {
        self.post_nothing("/v1/ledger/verify")
    }

    /// Accepts that the ledger is not the one that was here before.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn accept_rollback(
        &self,
        request: &AcceptRollbackRequest,
    ) -> Result<AcceptRollbackReply, Problem> {
        self.post("/v1/ledger/rollback", request)
    }

    /// Takes a copy of the ledger out, as a tar stream of its static files.
    ///
    /// # Errors
    /// The API's [`Problem`], or the one that `read` gives.
    pub fn export_ledger<T>(
        &self,
        read: impl FnOnce(&mut dyn Read) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let request = self.request(Method::GET, "/v1/ledger/export", &())?;
        self.download(request, read)
    }

    /// Shows the policies in force.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn policy(&self) -> Result<PolicyReply, Problem> {
        self.get("/v1/policy", &())
    }

    /// Puts the given policies in force, beside the built-in one.
    ///
    /// # Errors
    /// The API's [`Problem`], with every fault of the policies.
    pub fn change_policy(&self, sources: &[PolicySource]) -> Result<PolicyReply, Problem> {
        self.post("/v1/policy", &sources)
    }

    /// Lists the changes of policies and accounts that wait for a second person.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn proposals(&self) -> Result<ProposalsReply, Problem> {
        self.get("/v1/policy/proposals", &())
    }

    /// Puts a change in force that somebody else proposed.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn approve_change(&self, request: &ApproveChangeRequest) -> Result<PolicyReply, Problem> {
        self.post("/v1/policy/approvals", request)
    }

    /// Checks a set of policies as putting it in force would.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn validate_policies(&self, sources: Vec<PolicySource>) -> Result<ValidateReply, Problem> {
        self.post("/v1/policy/validations", &CandidateRequest { sources })
    }

    /// Checks the tests beside a set of policies; without files those of the set in force.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn test_policies(&self, sources: Vec<PolicySource>) -> Result<PolicyTestReply, Problem> {
        self.post("/v1/policy/tests", &CandidateRequest { sources })
    }

    /// Tells what a set of policies would change.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn compare_policies(&self, sources: Vec<PolicySource>) -> Result<PolicyDiffReply, Problem> {
        self.post("/v1/policy/differences", &CandidateRequest { sources })
    }

    /// Tells why something was decided, or would be.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn explain(&self, request: &ExplainRequest) -> Result<ExplainReply, Problem> {
        self.post("/v1/policy/explanations", request)
    }

    /// Makes decisions of the ledger again under other policies: a page of them.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn replay(&self, request: &ReplayRequest) -> Result<ReplayReply, Problem> {
        self.post("/v1/policy/replays", request)
    }

    /// Puts the built-in policies alone in force, whatever the policies say: for who holds the key.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn break_glass(&self, request: &BreakGlassRequest) -> Result<BreakGlassReply, Problem> {
        self.post("/v1/policy/break-glass", request)
    }

    /// Returns who there is: accounts and groups, with their roles and purposes.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn identity(&self) -> Result<IdentityReply, Problem> {
        self.get("/v1/identity", &())
    }

    /// Changes who there is: makes all of the changes, or none.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn change_identity(&self, changes: Vec<Change>) -> Result<IdentityReply, Problem> {
        self.post("/v1/identity", &IdentityRequest { changes })
    }

    /// Lists the tokens that count, without their secrets.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn tokens(&self) -> Result<TokensReply, Problem> {
        self.get("/v1/tokens", &())
    }

    /// Makes a token, and returns it with its secret, which nobody can see again.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn create_token(&self, request: &TokenRequest) -> Result<TokenReply, Problem> {
        self.post("/v1/tokens", request)
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn revoke_token(&self, id: &str) -> Result<TokensReply, Problem> {
        let request = RevokeTokenRequest { id: id.to_owned() };
        self.post("/v1/tokens/revocations", &request)
    }

    /// Scans stored models again and tells what changed.
    ///
    /// # Errors
    /// The API's [`Problem`]; a bad verdict is an answer, not a problem.
    pub fn rescan(&self, request: &RescanRequest) -> Result<RescanReply, Problem> {
        self.post("/v1/scans", request)
    }

    /// Lets a model out of quarantine that a scan left to a person.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn approve(&self, request: &ApproveRequest) -> Result<ApproveReply, Problem> {
        self.post("/v1/approvals", request)
    }

    /// Keeps a version in quarantine for good.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn reject(&self, request: &RejectRequest) -> Result<RejectReply, Problem> {
        self.post("/v1/rejections", request)
    }

    /// Takes the bytes of a rejected version away for good.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn remove(&self, request: &RemoveRequest) -> Result<RemoveReply, Problem> {
        self.post("/v1/removals", request)
    }

    /// Destroys the keys of a project for good.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn shred(&self, request: &ShredRequest) -> Result<ShredReply, Problem> {
        self.post("/v1/shreddings", request)
    }

    /// Lists the identity providers by which people sign in. It is not asked who asks.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn providers(&self) -> Result<ProvidersReply, Problem> {
        self.get("/v1/sessions/providers", &())
    }

    /// Tells which keys are in use.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn keys(&self) -> Result<KeysReply, Problem> {
        self.get("/v1/keys", &())
    }

    /// Lets new keys take the place of those in use.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn rotate_keys(&self, request: &RotateKeysRequest) -> Result<RotationReply, Problem> {
        self.post("/v1/keys/rotate", request)
    }

    /// Opens a server that is sealed, by the socket of its machine.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn unseal(&self, request: &UnsealRequest) -> Result<UnsealReply, Problem> {
        self.post("/v1/unseal", request)
    }

    /// Puts the key file under another passphrase.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn change_passphrase(
        &self,
        request: &PassphraseRequest,
    ) -> Result<PassphraseReply, Problem> {
        self.post("/v1/keys/passphrase", request)
    }

    /// Puts other rule packs of the scanner in force, after the program's own.
    ///
    /// # Errors
    /// The API's [`Problem`]; the rules stay as they were then.
    pub fn change_rules(&self, sources: &[PolicySource]) -> Result<RulesReply, Problem> {
        self.post("/v1/rules", &sources)
    }

    /// Rebuilds the index from the store and the ledger, and tells how many versions there are.
    ///
    /// # Errors
    /// The API's [`Problem`].
    pub fn rebuild_index(&self) -> Result<ListReply, Problem> {
        self.post_nothing("/v1/index/rebuild")
    }

    fn get<Q: Serialize + ?Sized, T: DeserializeOwned + Schema>(
        &self,
        path: &str,
        query: &Q,
    ) -> Result<T, Problem> {
        let request = self.request(Method::GET, path, query)?;
        let response = self.send(request, Body::empty())?;
        self.document(response)
    }

    fn post<B: Serialize + ?Sized, T: DeserializeOwned + Schema>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Problem> {
        let body = serde_json::to_vec(body).map_err(|error| garbled(&error))?;
        let request = self.json_request(Method::POST, path)?;
        let response = self.send(request, Body::from(body))?;
        self.document(response)
    }

    fn post_nothing<T: DeserializeOwned + Schema>(&self, path: &str) -> Result<T, Problem> {
        let request = self.request(Method::POST, path, &())?;
        let response = self.send(request, Body::empty())?;
        self.document(response)
    }

    fn download<T>(
        &self,
        request: http::request::Builder,
        read: impl FnOnce(&mut dyn Read) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let response = self.send(request, Body::empty())?;
        let (sender, receiver) = channel();
        let pump = self
            .runtime
            .spawn(transport::pump(response.into_body(), sender));
        let result = read(&mut PieceReader::new(receiver));
        pump.abort();
        result
    }

    fn json_request(&self, method: Method, path: &str) -> Result<http::request::Builder, Problem> {
        Ok(self
            .request(method, path, &())?
            .header(http::header::CONTENT_TYPE, "application/json"))
    }

    fn request<Q: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        query: &Q,
    ) -> Result<http::request::Builder, Problem> {
        let query = serde_urlencoded::to_string(query).map_err(|error| garbled(&error))?;
        let uri = if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        };
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(field) = &self.authorization {
            request = request.header(http::header::AUTHORIZATION, field);
        }
        if let Some(principal) = &self.act_as {
            request = request.header(HEADER_AS, principal);
        }
        if let Some(purpose) = &self.purpose {
            request = request.header(HEADER_PURPOSE, purpose.as_str());
        }
        Ok(request)
    }

    /// Sends a request and turns an answer that tells a problem into that problem.
    fn send(&self, request: http::request::Builder, body: Body) -> Result<Response<Body>, Problem> {
        let mut request = request.body(body).map_err(|error| unwritable(&error))?;
        request.extensions_mut().extend(self.carried.clone());
        let response = self.runtime.block_on(self.transport.send(request));
        let response = response.map_err(|error| match &self.transport {
            Transport::Server(server) => unreachable_server(server, &error),
            Transport::InProcess(_) | Transport::Socket(_) => broken_off(&error),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = self
            .runtime
            .block_on(read_to_end(response.into_body(), DOCUMENT_BYTES))
            .unwrap_or_default();
        let problem = problem_of(status, &bytes);
        Err(match &self.transport {
            Transport::Server(_) if status.is_server_error() => with_request(problem, &bytes),
            _ => problem,
        })
    }

    fn document<T: DeserializeOwned + Schema>(
        &self,
        response: Response<Body>,
    ) -> Result<T, Problem> {
        let bytes = self
            .runtime
            .block_on(read_to_end(response.into_body(), DOCUMENT_BYTES))
            .map_err(|error| garbled(&error))?;
        let document: Document<T> =
            serde_json::from_slice(&bytes).map_err(|error| garbled(&error))?;
        if document.schema == T::NAME {
            Ok(document.body)
        } else {
            Err(garbled(&format!(
                "the answer is a `{}`, not a `{}`",
                document.schema,
                T::NAME
            )))
        }
    }
}

/// Splits a body into lines as they arrive.
struct Lines<'a> {
    client: &'a Client,
    body: Body,
    gathered: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn new(client: &'a Client, body: Body) -> Self {
        Self {
            client,
            body,
            gathered: Vec::new(),
        }
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        loop {
            if let Some(end) = self.gathered.iter().position(|byte| *byte == b'\n') {
                let rest = self.gathered.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.gathered, rest)));
            }
            match self
                .client
                .runtime
                .block_on(transport::next_piece(&mut self.body))
            {
                Some(Ok(piece)) => self.gathered.extend_from_slice(&piece),
                Some(Err(error)) => return Err(garbled(&error)),
                None => return Ok(None),
            }
            if self.gathered.len() > DOCUMENT_BYTES {
                return Err(garbled(&"a line is longer than a document may be"));
            }
        }
    }
}

/// Returns the problem that an answer tells.
fn problem_of(status: StatusCode, bytes: &[u8]) -> Problem {
    let details = serde_json::from_slice::<ProblemDetails>(bytes).map(ProblemDetails::problem);
    match details {
        Ok(Ok(problem)) => problem,
        Ok(Err(unknown)) => {
            let what = format!("the API answered {status} with a code of another version");
            Problem::new(code::API_002, what)
                .because(format!("{}: {}", unknown.code, unknown.detail))
        }
        Err(_) => Problem::new(
            code::API_002,
            format!("the API answered {status} without saying why"),
        ),
    }
}

/// Adds what a person tells who runs a server, by which they find what went wrong there.
fn with_request(problem: Problem, bytes: &[u8]) -> Problem {
    let details: Option<ProblemDetails> = serde_json::from_slice(bytes).ok();
    let instance = details.and_then(|details| details.instance);
    let Some(id) = instance
        .as_deref()
        .and_then(|id| id.strip_prefix("urn:uuid:"))
    else {
        return problem;
    };
    let told = format!("the log of the server has it under the request `{id}`");
    let hint = match &problem.hint {
        Some(hint) => format!("{hint}; {told}"),
        None => told,
    };
    problem.hint(hint)
}

/// Returns the path of a run, or of a part of it. An id has letters, digits and hyphens.
fn run_path(id: &str, part: &str) -> Result<String, Problem> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if id.is_empty() || !id.bytes().all(good) {
        let what = format!("`{id}` is no id of a run");
        return Err(
            Problem::new(code::RUN_041, what).hint("see which runs there are with `custody runs`")
        );
    }
    Ok(format!("/v1/runs/{id}{part}"))
}

fn unwritable(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(code::API_001, "the request cannot be written").because(error)
}

fn unreadable(error: &io::Error) -> Problem {
    Problem::new(code::CLI_010, "the files cannot be read").because(error)
}

fn broken_off(error: &io::Error) -> Problem {
    Problem::new(
        code::API_005,
        "the process that works in this workspace ended before it answered",
    )
    .because(error)
    .hint("see what was done with `custody ledger log`, then repeat the command")
}

/// Tells why a server did not answer.
pub fn unreachable_server(server: &dyn std::fmt::Display, error: &io::Error) -> Problem {
    Problem::new(code::API_022, format!("{server} does not answer"))
        .because_of(error)
        .hint("see that the address is right and the server runs, and that its certificate is below the root that you trust")
}

fn garbled(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(code::API_004, "the API's answer cannot be read").because(error)
}

/// A piece of a body.
type PieceBytes = Result<Bytes, axum::Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_the_problem_that_it_tells() {
        let problem = Problem::new(code::DOOR_001, "`ada` may not read `demo/a`")
            .because("no policy permits it")
            .hint("ask")
            .subject("demo/a");
        let mut details = ProblemDetails::from(&problem);
        let read = |details: &ProblemDetails| {
            problem_of(StatusCode::FORBIDDEN, &serde_json::to_vec(details).unwrap())
        };
        assert_eq!(read(&details), problem);
        details.code = "CUS-NEW-999".to_owned();
        let unknown = read(&details);
        assert_eq!(unknown.code, code::API_002);
        assert!(
            unknown.because[0].contains("CUS-NEW-999: `ada` may not"),
            "{unknown}"
        );
        let silent = problem_of(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(
            silent.what,
            "the API answered 502 Bad Gateway without saying why"
        );
    }

    #[test]
    fn a_failure_of_a_server_is_told_with_what_finds_it_in_its_log() {
        let problem = Problem::no_room("`a`");
        let mut details = ProblemDetails::from(&problem);
        let told = |details: &ProblemDetails| {
            with_request(problem.clone(), &serde_json::to_vec(details).unwrap())
        };
        assert_eq!(told(&details), problem);
        details.instance = Some("urn:uuid:0190a3c4-0000-7000-8000-000000000000".to_owned());
        let hint = told(&details).hint.unwrap();
        let end = "; the log of the server has it under the request `0190a3c4-0000-7000-8000-000000000000`";
        assert!(
            hint.starts_with(&problem.hint.clone().unwrap()) && hint.ends_with(end),
            "{hint}"
        );
    }
}
