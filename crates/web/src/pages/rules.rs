//! The policies in force with the changes that wait, and who there is.

use askama::Template;
use custody_types::{Problem, ProblemKind};
use custody_wire::{
    ApproveChangeRequest, Directory, EntryQuery, EntryView, IdentityReply, PolicyReply,
    ProposalView,
};

use crate::answer::{Answer, allowed, status_of};
use crate::shell::{Place, Shell};
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "policies.html")]
struct Policies {
    shell: Shell,
    policy: PolicyReply,
    proposals: Vec<ProposalView>,
    /// The entries by which policies and accounts changed, the newest first, for who may read the ledger.
    history: Option<Vec<EntryView>>,
}

fn page(visit: &Visit<'_>, problem: Option<Problem>) -> Result<Answer, Problem> {
    let policy = visit.api.policy()?;
    let proposals = allowed(visit.api.proposals())?;
    // Who may not read the ledger is not asked to be refused by it, but where they want to know.
    let wanted = visit.query.get("history") == "yes";
    let history = wanted.then(|| {
        let query = EntryQuery {
            action: Some("admin.policy".to_owned()),
            outcome: Some("ok".to_owned()),
            limit: Some(50),
            ..EntryQuery::default()
        };
        visit.api.ledger_entries(&query)
    });
    let history = history.transpose()?.map(|reply| {
        let entries = reply.entries.into_iter().rev();
        entries.collect()
    });
    let status = problem.as_ref().map_or(http::StatusCode::OK, status_of);
    let mut shell = visit.shell("Policies", Place::Rules);
    shell.problem = problem;
    let page = Policies {
        shell,
        policy,
        proposals: proposals.map(|reply| reply.proposals).unwrap_or_default(),
        history,
    };
    Answer::under(status, &page)
}

pub(crate) fn policies(visit: &Visit<'_>) -> Result<Answer, Problem> {
    page(visit, None)
}

/// Puts a proposed change in force.
pub(crate) fn approve(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let reference = visit.form.get("reference").to_owned();
    match visit
        .api
        .approve_change(&ApproveChangeRequest { reference })
    {
        Ok(_) => Ok(Answer::SeeOther("/policies?done=in-force".to_owned())),
        Err(problem) if problem.kind() == ProblemKind::Unauthenticated => Err(problem),
        Err(problem) => {
            let told = problem.clone();
            page(visit, Some(problem)).map_err(|_| told)
        }
    }
}

/// An account as a line of a list.
struct Line {
    name: String,
    kind: &'static str,
    roles: String,
    purposes: String,
    state: &'static str,
    members: String,
}

#[derive(Template)]
#[template(path = "accounts.html")]
struct Accounts {
    shell: Shell,
    lines: Vec<Line>,
    digest: String,
}

pub(crate) fn accounts(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let IdentityReply {
        digest, directory, ..
    } = visit.api.identity()?;
    Answer::page(&Accounts {
        shell: visit.shell("Accounts", Place::Rules),
        lines: lines(&directory),
        digest: digest.to_string(),
    })
}

fn joined(items: impl IntoIterator<Item = impl ToString>) -> String {
    let items: Vec<_> = items
        .into_iter()
        .map(|item| ToString::to_string(&item))
        .collect();
    items.join(", ")
}

fn lines(directory: &Directory) -> Vec<Line> {
    let accounts = |accounts: &std::collections::BTreeMap<String, custody_wire::Account>, kind| {
        let lines = accounts.iter().map(|(name, account)| Line {
            name: name.clone(),
            kind,
            roles: joined(&account.roles),
            purposes: joined(&account.purposes),
            state: if account.disabled { "disabled" } else { "" },
            members: String::new(),
        });
        lines.collect::<Vec<_>>()
    };
    let mut lines = accounts(&directory.users, "person");
    lines.extend(accounts(&directory.services, "program"));
    lines.extend(directory.groups.iter().map(|(name, group)| Line {
        name: name.clone(),
        kind: "group",
        roles: joined(&group.roles),
        purposes: joined(&group.purposes),
        state: "",
        members: joined(&group.members),
    }));
    lines
}
