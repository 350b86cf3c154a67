//! The documents of the API: what a request says and what an answer says.
//!
//! Every document that leaves the program carries a `schema` field with its name and version
//! ([`Document`]); a field is only ever added within a version. Long jobs answer with one JSON object
//! a line ([`RunEvent`]). Files travel as a tar stream, which [`archive`] reads; [`stream`] turns
//! such a stream into blocking reads and writes.
#![forbid(unsafe_code)]

pub mod archive;
mod candidate;
mod compare;
mod data;
mod evidence;
mod keys;
mod ledger;
mod policy;
mod problem;
mod run;
mod session;
pub mod stream;
mod token;
mod version;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use candidate::{
    CandidateRequest, ChangedDecision, DeterminingView, EffectView, ExplainQuestion, ExplainReply,
    ExplainRequest, ExplanationView, FailedTestView, FindingView, HeldRoleView, PolicyChange,
    PolicyDiffReply, PolicyTestReply, RecordedDecision, ReplayReply, ReplayRequest, ValidateReply,
};
pub use compare::{
    CompareReply, CompareRequest, Compared, EvaluationReply, Figures, MetricsReply, MetricsRequest,
    Section, StatusReply, StatusRequest, StepStatus,
};
pub use custody_identity::{
    Account, Change, Directory, Group, IdentityError, Party, ProviderIdentity, Right, RoleBinding,
};
pub use data::{
    ColumnDiff, ColumnProfile, ColumnView, DataQuery, DiffReply, DiffRequest, Drift, HeadReply,
    HistogramBin, ProfileReply, Quantile, Retyped, SchemaReply, TableDiff, TableProfile,
    TextLengths, TopValue,
};
pub use evidence::{
    AbsentEvidence, CheckResult, ClosedInput, Edge, NamedCheck, Node, ReproduceReply,
    ReproduceRequest, ReproducedStep, TraceQuery, TraceReply, VerifyReply, VerifyRequest,
};
pub use keys::{
    KeysReply, PassphraseReply, PassphraseRequest, ProjectKeysView, RotateKeysRequest,
    RotationReply, UnsealReply, UnsealRequest,
};
pub use ledger::{
    AcceptRollbackReply, AcceptRollbackRequest, EntryProofReply, EntryQuery, EntryView,
    LedgerReply, LedgerVerifyReply,
};
pub use policy::{
    ApproveChangeRequest, BreakGlassReply, BreakGlassRequest, IdentityReply, IdentityRequest,
    PolicyReply, PolicySource, ProposalView, ProposalsReply,
};
pub use problem::{PROBLEM_JSON, ProblemDetails};
pub use run::{
    CancelReply, Commit, PlannedStep, RunEvent, RunListReply, RunMark, RunMoment, RunMomentQuery,
    RunQuery, RunReply, RunRequest, RunShowReply, RunStarted, RunState, RunView, Snapshot,
    StepOutcome, StepState,
};
pub use session::{
    DevicePollReply, DevicePollRequest, DeviceReply, DeviceRequest, EnrolRequest, InviteReply,
    InviteRequest, ProviderQuery, ProviderView, ProvidersReply, SessionReply, SignInRequest,
    SignOutReply,
};
pub use token::{RevokeTokenRequest, TokenReply, TokenRequest, TokenView, TokensReply};
pub use version::{
    AliasReply, AliasRequest, ApprovalsView, ApproveReply, ApproveRequest, ArtifactQuery, EntryRef,
    ListQuery, ListReply, Origin, OriginOfPut, ProjectQuery, ProjectsReply, PutQuery, PutReply,
    RejectReply, RejectRequest, RemoveReply, RemoveRequest, RescanReply, RescanRequest, Rescanned,
    RulesReply, SIGNATURE_KEY, ScanView, ShowReply, ShredReply, ShredRequest, SignatureView,
    SigningReply, SigningRequest, VersionView, WaitingReply, WaitingView,
};

/// An answer with the name and version of its schema in front.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Document<T> {
    /// The name and version of the schema, such as `custody/list/1`.
    pub schema: String,
    /// The fields of the answer.
    #[serde(flatten)]
    pub body: T,
}

/// An answer that knows the name of its schema.
pub trait Schema {
    /// The name and version, such as `custody/list/1`.
    const NAME: &'static str;
}

impl<T: Schema> Document<T> {
    /// Puts the schema's name in front of `body`.
    pub fn new(body: T) -> Self {
        Self {
            schema: T::NAME.to_owned(),
            body,
        }
    }
}

macro_rules! schemas {
    ($($type:ty = $name:literal;)+) => {
        $(impl Schema for $type { const NAME: &'static str = $name; })+
    };
}

schemas! {
    ListReply = "custody/list/1";
    ProjectsReply = "custody/projects/1";
    WaitingReply = "custody/approvals/1";
    ShowReply = "custody/show/1";
    SigningReply = "custody/signing/1";
    SchemaReply = "custody/data-schema/1";
    HeadReply = "custody/data-head/1";
    ProfileReply = "custody/data-profile/1";
    DiffReply = "custody/data-diff/1";
    PutReply = "custody/put/1";
    AliasReply = "custody/alias/1";
    LedgerReply = "custody/ledger-log/1";
    EntryProofReply = "custody/ledger-entry/1";
    LedgerVerifyReply = "custody/ledger-verify/1";
    AcceptRollbackReply = "custody/ledger-accept-rollback/1";
    TraceReply = "custody/trace/1";
    VerifyReply = "custody/verify/1";
    ReproduceReply = "custody/reproduce/1";
    RunReply = "custody/run/1";
    RunEvent = "custody/run-event/1";
    RunStarted = "custody/run-started/1";
    RunListReply = "custody/runs/1";
    RunShowReply = "custody/run-show/1";
    RunMoment = "custody/run-moment/1";
    CancelReply = "custody/run-cancel/1";
    StatusReply = "custody/status/1";
    MetricsReply = "custody/metrics/1";
    EvaluationReply = "custody/evaluation/1";
    CompareReply = "custody/compare/1";
    BreakGlassReply = "custody/break-glass/1";
    IdentityReply = "custody/identity/1";
    PolicyReply = "custody/policy/1";
    ProposalsReply = "custody/proposals/1";
    ValidateReply = "custody/policy-validate/1";
    PolicyTestReply = "custody/policy-test/1";
    PolicyDiffReply = "custody/policy-diff/1";
    ExplainReply = "custody/policy-explain/1";
    ReplayReply = "custody/policy-replay/1";
    TokenReply = "custody/token/1";
    TokensReply = "custody/tokens/1";
    InviteReply = "custody/invitation/1";
    SessionReply = "custody/session/1";
    SignOutReply = "custody/session-end/1";
    ProvidersReply = "custody/providers/1";
    DeviceReply = "custody/device/1";
    DevicePollReply = "custody/device-poll/1";
    RescanReply = "custody/rescan/1";
    ApproveReply = "custody/approve/1";
    RejectReply = "custody/reject/1";
    RemoveReply = "custody/remove/1";
    ShredReply = "custody/shred/1";
    KeysReply = "custody/keys/1";
    RotationReply = "custody/keys-rotate/1";
    PassphraseReply = "custody/keys-passphrase/1";
    UnsealReply = "custody/unseal/1";
    RulesReply = "custody/rules-apply/1";
}

/// The header that names the principal to act as.
pub const HEADER_AS: &str = "custody-as";
/// The header that names the purpose.
pub const HEADER_PURPOSE: &str = "custody-purpose";
/// The header under which an upload or download names its ledger entry.
pub const HEADER_ENTRY: &str = "custody-entry";
