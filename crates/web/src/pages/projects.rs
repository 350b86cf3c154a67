//! The projects, and one with its versions and runs.

use askama::Template;
use custody_types::{Kind, Problem, ProjectName, code};
use custody_wire::{ListQuery, ListReply, ProjectQuery, ProjectsReply, RunQuery, RunView};

use crate::answer::{Answer, allowed};
use crate::shell::{Place, Shell};
use crate::visit::Visit;

/// How many versions and runs a page has.
const VERSIONS: u64 = 50;
const RUNS: u64 = 8;

#[derive(Template)]
#[template(path = "projects.html")]
struct Projects {
    shell: Shell,
    listed: ProjectsReply,
}

pub(crate) fn list(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let after = visit.query.given("after").map(|name| project(&name));
    let listed = visit.api.projects(&ProjectQuery {
        limit: Some(100),
        after: after.transpose()?,
    })?;
    Answer::page(&Projects {
        shell: visit.shell("Projects", Place::Projects),
        listed,
    })
}

#[derive(Template)]
#[template(path = "project.html")]
struct Project {
    shell: Shell,
    name: ProjectName,
    kinds: Vec<(Kind, bool)>,
    kind: Option<Kind>,
    quarantine: bool,
    artifact: String,
    listed: ListReply,
    runs: Vec<RunView>,
}

fn project(name: &str) -> Result<ProjectName, Problem> {
    name.parse()
        .map_err(|_| Problem::new(code::WEB_003, format!("`{name}` is no name of a project")))
}

pub(crate) fn show(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let name = project(visit.name(0)?)?;
    let wrong = |error: custody_types::NameError| Problem::new(code::API_014, error.to_string());
    let kind = visit.query.given("kind").map(|kind| kind.parse::<Kind>());
    let kind = kind.transpose().map_err(wrong)?;
    let artifact = visit.query.given("artifact");
    let of = artifact
        .as_ref()
        .map(|artifact| format!("{name}/{artifact}").parse());
    let quarantine = visit.query.get("quarantine") == "yes";
    let listed = visit.api.list(&ListQuery {
        project: Some(name.clone()),
        artifact: of.transpose().map_err(wrong)?,
        kind,
        quarantine,
        limit: Some(VERSIONS),
        after: visit.query.given("after"),
    })?;
    let runs = allowed(visit.api.runs(&RunQuery {
        project: Some(name.clone()),
        limit: Some(RUNS),
        after: None,
    }))?;
    let is_kind = |one: &Kind| Some(*one) == kind;
    Answer::page(&Project {
        shell: visit.shell(name.as_str(), Place::Projects),
        kinds: Kind::ALL.iter().map(|one| (*one, is_kind(one))).collect(),
        name,
        kind,
        quarantine,
        artifact: artifact.unwrap_or_default(),
        listed,
        runs: runs.map(|reply| reply.runs).unwrap_or_default(),
    })
}
