//! The grammar of policies, and of who there is.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use custody_types::{
    Action, Alias, Classification, Kind, ProjectName, Purpose, Reference, Timestamp,
};
use custody_wire::Party;

/// Commands on the policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Show the policies in force
    #[command(after_help = "Example:\n  custody policy show")]
    Show,
    Apply(PolicyApply),
    Validate(PolicyFiles),
    Test(PolicyTest),
    Diff(PolicyDiff),
    Explain(PolicyExplain),
    Replay(PolicyReplay),
    /// List the changes of policies and accounts that wait for a second person
    #[command(after_help = "Example:\n  custody policy proposals")]
    Proposals,
    Approve(ApproveChange),
    BreakGlass(BreakGlass),
}

/// Check policy files as `apply` would, and change nothing
///
/// Tells everything that is wrong, with its place: text that is no policy, what does not fit the schema, policies that never apply,
/// settings and tests that cannot be read or fail; in a workspace also roles and purposes that nothing knows, and whether anybody could change
/// the policies again. Ends with 1 where the set cannot be put in force. Where there is no workspace, the files are checked by themselves.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody policy validate policies/\n  custody policy validate policies/own.cedar policies/settings.json"
)]
pub(crate) struct PolicyFiles {
    /// A folder with policies, or the files themselves
    #[arg(default_value = "policies", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// Run the tests in `tests.json` beside the policies
///
/// Each test says who asks for what, and whether it must be permitted; `apply` refuses policies whose tests fail. Without a
/// folder: the tests of the policies in force, and those of the built-in policy. Ends with 1 where a test fails.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  custody policy test policies/\n  custody policy test")]
pub(crate) struct PolicyTest {
    /// The folder with the policies and `tests.json`
    pub(crate) folder: Option<PathBuf>,
}

/// Show what policy files would change against the policies in force
///
/// Which policies and settings differ, and what comes of it: for every role, action and usual case (public or personal data, with a purpose or
/// without, in quarantine, made by oneself, asked by a step, a gated alias) where the decision would be another.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody policy diff policies/")]
pub(crate) struct PolicyDiff {
    /// The folder with the other policies
    #[arg(default_value = "policies")]
    pub(crate) folder: PathBuf,
}

/// Show why something was decided, or what would be decided now
///
/// Of an entry of the ledger: by the policies and accounts of the time, and whether the answer is another today. Of a question: by those in
/// force. Shows the policies that decide, what they say for themselves, the facts that they look at, and the roles of who asks, with where they come from.
/// To ask about somebody else needs `readPolicy` and `readIdentity`; about an entry, `readLedger` as well.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody policy explain 4711\n  custody policy explain --action export --resource employment/raw@3 --purpose research\n  \
                  custody policy explain --actor ada --action setAlias --resource employment/release@1 --alias production\n  \
                  custody policy explain --action write --resource employment/notes --kind dataset --classification internal\n  \
                  custody policy explain --action connect --resource employment/api.example.com:443 --classification personal"
)]
pub(crate) struct PolicyExplain {
    /// The entry of the decision: `custody ledger log` shows its number
    #[arg(value_name = "ENTRY", required_unless_present = "action", conflicts_with_all = ["actor", "action", "resource", "kind", "classification", "alias"])]
    pub(crate) entry: Option<u64>,
    /// Who would ask; without it, you
    #[arg(long)]
    pub(crate) actor: Option<Party>,
    /// What is to be done: an action of `docs/reference/policies.md`
    #[arg(long)]
    pub(crate) action: Option<Action>,
    /// To what: a version, an artifact or a project, `PROJECT/HOST:PORT` for `connect`; without it, the workspace
    #[arg(long)]
    pub(crate) resource: Option<String>,
    /// Of a version that is to be made: its kind
    #[arg(long, requires = "classification")]
    pub(crate) kind: Option<Kind>,
    /// Of a version that is to be made: how sensitive it is; for `connect`: how sensitive the step's inputs are
    #[arg(long)]
    pub(crate) classification: Option<Classification>,
    /// The alias that is to be moved
    #[arg(long)]
    pub(crate) alias: Option<Alias>,
}

/// Make the decisions of the ledger again under other policies, and list those that come out otherwise
///
/// Decides what was decided before, of the same facts, for the accounts of the time (for those of the folder where it has a
/// `principals.json`). What cannot be known any more is counted, not guessed. Ends with 1 where a decision comes out otherwise.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody policy replay policies/\n  custody policy replay policies/ --since 30d --limit 1000"
)]
pub(crate) struct PolicyReplay {
    /// The folder with the other policies
    #[arg(default_value = "policies")]
    pub(crate) folder: PathBuf,
    /// How far back: `45m`, `8h`, `7d`
    #[arg(long, default_value = "7d", value_name = "DURATION", value_parser = seconds)]
    pub(crate) since: u32,
    /// How many changed decisions are listed at most; all are counted
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
}

/// Put a change in force that somebody else proposed
///
/// Where `settings.json` has `second_person`, a change of the policies or accounts is kept as a proposal, and waits up to
/// seven days for another person who may make it. After any other change it is void.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  custody policy proposals\n  custody policy approve custody/changes@3"
)]
pub(crate) struct ApproveChange {
    /// The change
    pub(crate) reference: Reference,
}

/// Put the built-in policies alone in force and become an owner, whatever the policies say
///
/// For whoever holds the key file when the policies or accounts let nobody in who is still there. Settings and all other
/// accounts stay. The ledger records who did it and why, and `custody ledger verify` says so from then on.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  custody policy break-glass 0198c7f2-… --reason \"the last security officer left; ticket 4711\""
)]
pub(crate) struct BreakGlass {
    /// The id of the workspace, to confirm that you mean this one; the error message contains it
    #[arg(value_name = "WORKSPACE")]
    pub(crate) id: String,
    /// Why nobody else can do it
    #[arg(long)]
    pub(crate) reason: String,
}

/// Apply the policy files in a folder, in addition to the built-in policy
///
/// The files are validated first, and their tests (`tests.json`) run; on any error nothing changes. Policies that nobody could change afterwards are
/// refused, and anyone who does not own the workspace can neither permit more than before nor take on a role.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody policy apply policies/")]
pub(crate) struct PolicyApply {
    /// The folder with `*.cedar` files, `settings.json`, `tests.json`, and, to replace all accounts, `principals.json`
    #[arg(default_value = "policies")]
    pub(crate) folder: PathBuf,
}

/// Commands on the accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// List the accounts and groups
    #[command(after_help = "Example:\n  custody account ls")]
    Ls,
    Add(AccountAdd),
    /// Remove an account or a group; what it did stays in the ledger under a pseudonym that no longer has a name
    #[command(after_help = "Example:\n  custody account remove ada")]
    Remove(AccountName),
    Grant(AccountGrant),
    /// Take roles, purposes or memberships from an account or a group
    #[command(
        after_help = "Example:\n  custody account revoke ada --role data_scientist --project employment"
    )]
    Revoke(AccountRights),
    /// Let an account do nothing until it is enabled
    #[command(after_help = "Example:\n  custody account disable ada")]
    Disable(AccountName),
    /// Let a disabled account do again what its roles permit
    #[command(after_help = "Example:\n  custody account enable ada")]
    Enable(AccountName),
    /// Let a person set a password and an authenticator, with which they sign in over the network
    ///
    /// What they had before counts no more, and their sessions end. Whoever has the invitation is taken for them: hand it over
    /// in person, or by a way that nobody else reads. It counts once, within a day.
    #[command(after_help = "Example:\n  custody account invite ada")]
    Invite(AccountName),
}

/// Add an account, or a group
///
/// A person is written as the name of the account (`ada`), a program as `service:NAME`, a group as `group:NAME`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody account add ada --role data_scientist --project employment\n  \
                  custody account add ada --oidc https://login.example.org 248289761001\n  \
                  custody account add service:nightly --role data_scientist\n  \
                  custody account add group:risk --role auditor"
)]
pub(crate) struct AccountAdd {
    /// The account or group
    pub(crate) who: Party,
    #[command(flatten)]
    pub(crate) rights: Rights,
}

/// An account or a group.
#[derive(Debug, Args)]
pub(crate) struct AccountName {
    /// The account or group: `ada`, `service:nightly`, `group:risk`
    pub(crate) who: Party,
}

/// Give an account or a group roles, purposes or memberships
///
/// A role can be given for a time: once it is over, the role is not there any more, for what is asked next, for open sessions
/// and tokens, and for what is still being transferred. The clock that counts is that of the workspace's machine.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody account grant ada --role data_scientist --project employment\n  \
                  custody account grant ada --for model-development --group risk\n  \
                  custody account grant ada --role auditor --until 2027-01-31\n  \
                  custody account grant ada --role operator --lasting 8h"
)]
pub(crate) struct AccountGrant {
    /// The account or group: `ada`, `service:nightly`, `group:risk`
    pub(crate) who: Party,
    #[command(flatten)]
    pub(crate) rights: Rights,
    /// When the roles end: a time (RFC 3339), or a day, at whose end (UTC) they do
    #[arg(long, requires = "roles", value_name = "TIME", value_parser = end)]
    pub(crate) until: Option<Timestamp>,
    /// How long the roles last from now: `45m`, `8h`, `14d`
    #[arg(long, requires = "roles", conflicts_with = "until", value_name = "DURATION", value_parser = seconds)]
    pub(crate) lasting: Option<u32>,
}

/// Reads a time, or a day, which stands for its end.
fn end(text: &str) -> Result<Timestamp, String> {
    const DAY: i64 = 24 * 60 * 60;
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let start = format!("{text}T00:00:00Z").parse::<Timestamp>();
    let end = start.map(|start| start.plus_seconds(DAY));
    end.map_err(|_| {
        "write a day, such as 2027-01-31, or a time, such as 2027-01-31T18:00:00Z".to_owned()
    })
}

/// Reads a duration, in seconds.
fn seconds(text: &str) -> Result<u32, String> {
    let units = [("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(*seconds).filter(|seconds| *seconds > 0)
    });
    read.ok_or_else(|| {
        "write a number of minutes, hours or days, such as 45m, 8h or 14d".to_owned()
    })
}

/// Take roles, purposes or memberships from an account or a group
#[derive(Debug, Args)]
pub(crate) struct AccountRights {
    /// The account or group: `ada`, `service:nightly`, `group:risk`
    pub(crate) who: Party,
    #[command(flatten)]
    pub(crate) rights: Rights,
}

/// What an account or a group has.
#[derive(Debug, Args)]
pub(crate) struct Rights {
    /// A role that the policies know: `custody policy show` lists them
    #[arg(long = "role", value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
    /// The project in which the roles count; without it, in all of them
    #[arg(long, requires = "roles", value_name = "PROJECT")]
    pub(crate) project: Option<ProjectName>,
    /// A purpose for which personal data may be read
    #[arg(long = "for", value_name = "PURPOSE")]
    pub(crate) purposes: Vec<Purpose>,
    /// A group to be a member of
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
    /// Who a person is to an identity provider, by which they sign in: letter by letter what they were told when they were
    /// refused
    #[arg(long = "oidc", num_args = 2, value_names = ["ISSUER", "SUBJECT"])]
    pub(crate) identity: Vec<String>,
}
