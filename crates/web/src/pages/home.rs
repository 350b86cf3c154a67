//! The first page: what waits for a person, what goes on, what there is.

use askama::Template;
use custody_types::{Problem, ProjectName};
use custody_wire::{
    ListQuery, ProjectQuery, ProposalView, RunQuery, RunState, RunView, VersionView, WaitingView,
};

use crate::answer::{Answer, allowed};
use crate::shell::{Place, Shell};
use crate::visit::Visit;

/// How many of each are shown.
const SHOWN: u64 = 8;
/// Among how many runs those are looked for that go on or did not end well.
const LOOKED_AT: u64 = 50;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    shell: Shell,
    waiting: Vec<WaitingView>,
    proposals: Vec<ProposalView>,
    runs: Option<Vec<RunView>>,
    quarantined: Vec<VersionView>,
    more_quarantined: bool,
    projects: Vec<ProjectName>,
    more_projects: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "pages are asked for in one way")]
pub(crate) fn beginning(_: &Visit<'_>) -> Result<Answer, Problem> {
    Ok(Answer::SeeOther("/home".to_owned()))
}

pub(crate) fn show(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let api = &visit.api;
    let waiting = allowed(api.waiting())?.map(|reply| reply.waiting);
    let proposals = allowed(api.proposals())?.map(|reply| reply.proposals);
    let runs = allowed(api.runs(&RunQuery {
        limit: Some(LOOKED_AT),
        ..RunQuery::default()
    }))?;
    let runs = runs.map(|reply| {
        let told = reply
            .runs
            .into_iter()
            .filter(|run| run.state != RunState::Done);
        told.take(8).collect()
    });
    let quarantined = allowed(api.list(&ListQuery {
        quarantine: true,
        limit: Some(SHOWN),
        ..ListQuery::default()
    }))?;
    let projects = allowed(api.projects(&ProjectQuery {
        limit: Some(20),
        after: None,
    }))?;
    Answer::page(&Home {
        shell: visit.shell("Home", Place::Home),
        waiting: waiting.unwrap_or_default(),
        proposals: proposals.unwrap_or_default(),
        runs,
        more_quarantined: quarantined
            .as_ref()
            .is_some_and(|reply| reply.next.is_some()),
        quarantined: quarantined.map(|reply| reply.versions).unwrap_or_default(),
        more_projects: projects.as_ref().is_some_and(|reply| reply.next.is_some()),
        projects: projects.map(|reply| reply.projects).unwrap_or_default(),
    })
}
