//! A version: its facts and evidence, its lineage, its figures, its data.

use std::collections::BTreeMap;

use askama::Template;
use custody_drawing::lineage as draw;
use custody_types::{Problem, VersionName, code};
use custody_wire::{
    CompareReply, CompareRequest, DataQuery, MetricsRequest, ProfileReply, SchemaReply, ShowReply,
    TraceQuery, TraceReply,
};

use crate::answer::{Answer, allowed, status_of};
use crate::pages::facts::{Facts, figure, plain};
use crate::shell::{Place, Shell};
use crate::visit::{Visit, version_path};

/// How many files a page lists.
const FILES: usize = 200;

/// The parts that a version's pages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Facts,
    Lineage,
    Figures,
    Data,
}

#[derive(Template)]
#[template(path = "version.html")]
struct VersionPage {
    shell: Shell,
    tab: Tab,
    shown: ShowReply,
    evidence: Vec<Facts>,
    /// What was measured of what waits for approvals, and its bounds.
    decided: Option<Decided>,
    reason: String,
    more_files: usize,
}

/// What a gate decided upon.
struct Decided {
    /// What went in: as what, and which version.
    inputs: Vec<(String, VersionName)>,
    /// Measure, value and bound.
    rows: Vec<(String, String, String)>,
    withheld: Vec<String>,
}

pub(crate) fn show(visit: &Visit<'_>) -> Result<Answer, Problem> {
    page(visit, &visit.reference()?, None)
}

/// Shows a version again after a form that could not be carried out, with why.
pub(crate) fn again(
    visit: &Visit<'_>,
    reference: &str,
    problem: Problem,
) -> Result<Answer, Problem> {
    page(visit, reference, Some(problem))
}

fn page(visit: &Visit<'_>, reference: &str, problem: Option<Problem>) -> Result<Answer, Problem> {
    let mut shown = visit.api.show(reference)?;
    let name = &shown.version.name;
    let evidence = shown.evidence.iter();
    let evidence = evidence
        .map(|(name, value)| Facts::of(name, value))
        .collect();
    let decided = match &shown.approvals {
        Some(_) => decided(visit, name)?,
        None => None,
    };
    let more_files = shown.listing.len().saturating_sub(FILES);
    shown.listing.truncate(FILES);
    let status = problem.as_ref().map_or(http::StatusCode::OK, status_of);
    let mut shell = visit.shell(name.to_string(), Place::Projects);
    shell.problem = problem;
    let page = VersionPage {
        shell,
        tab: Tab::Facts,
        evidence,
        decided,
        reason: visit.form.get("reason").to_owned(),
        more_files,
        shown,
    };
    Answer::under(status, &page)
}

/// Finds what a decision rests upon: its inputs, the figures, and the bounds that the pipeline declares.
fn decided(visit: &Visit<'_>, name: &VersionName) -> Result<Option<Decided>, Problem> {
    let traced = allowed(visit.api.trace(&TraceQuery {
        reference: name.to_string(),
        down: false,
    }))?;
    let Some(traced) = traced else {
        return Ok(None);
    };
    let node = traced.nodes.iter().find(|node| node.version == *name);
    let required = node.and_then(|node| {
        let gate = node.parameters.pointer("/declared/gate/require")?;
        Some(gate.as_object()?.clone())
    });
    let inputs = traced.edges.iter().filter(|edge| edge.to == *name);
    let inputs: Vec<_> = inputs
        .map(|edge| (edge.role.clone(), edge.from.clone()))
        .collect();
    let evaluation = inputs.iter().find(|(role, _)| role == "evaluation");
    let measured = evaluation.map(|(_, evaluation)| {
        allowed(visit.api.metrics(&MetricsRequest {
            references: vec![evaluation.to_string()],
            ..MetricsRequest::default()
        }))
    });
    let measured = measured.transpose()?.flatten();
    let measured = measured.and_then(|reply| reply.subjects.into_iter().next());
    let mut values = BTreeMap::new();
    let mut withheld = Vec::new();
    if let Some(measured) = measured {
        for (name, value) in measured.figures {
            let metric = name
                .split_once('.')
                .map_or(name.as_str(), |(_, metric)| metric);
            values.insert(metric.to_owned(), figure(value));
        }
        withheld = measured.withheld;
    }
    let rows = required.into_iter().flatten().map(|(metric, bound)| {
        let value = values.get(&metric).cloned();
        let value = value.unwrap_or_else(|| "not for you to read".to_owned());
        (metric, value, told(&bound))
    });
    Ok(Some(Decided {
        rows: rows.collect(),
        inputs,
        withheld,
    }))
}

/// Tells a bound in words.
fn told(bound: &serde_json::Value) -> String {
    let named = |name: &str, word: &str| {
        let value = bound.get(name).filter(|value| !value.is_null());
        value.and_then(plain).map(|value| format!("{word} {value}"))
    };
    let bounds: Vec<_> = [named("min", "at least"), named("max", "at most")]
        .into_iter()
        .flatten()
        .collect();
    if bounds.is_empty() {
        bound.to_string()
    } else {
        bounds.join(", ")
    }
}

#[derive(Template)]
#[template(path = "lineage.html")]
struct LineagePage {
    shell: Shell,
    tab: Tab,
    name: VersionName,
    traced: TraceReply,
    drawing: String,
    left_out: usize,
}

pub(crate) fn lineage(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let down = visit.query.get("towards") == "made";
    let traced = visit.api.trace(&TraceQuery {
        reference: visit.reference()?,
        down,
    })?;
    let drawn = draw(&traced, Some(&version_path));
    Answer::page(&LineagePage {
        shell: visit.shell(format!("Lineage of {}", traced.root), Place::Projects),
        tab: Tab::Lineage,
        name: traced.root.clone(),
        drawing: drawn.svg,
        left_out: drawn.left_out,
        traced,
    })
}

#[derive(Template)]
#[template(path = "figures.html")]
struct FiguresPage {
    shell: Shell,
    tab: Tab,
    name: VersionName,
    figures: Vec<(String, String)>,
    withheld: Vec<String>,
}

pub(crate) fn figures(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let reply = visit.api.metrics(&MetricsRequest {
        references: vec![visit.reference()?],
        ..MetricsRequest::default()
    })?;
    let subject = reply.subjects.into_iter().next();
    let subject = subject.ok_or_else(|| Problem::new(code::WEB_003, "it has no figures"))?;
    let figures = subject.figures.into_iter();
    Answer::page(&FiguresPage {
        shell: visit.shell(format!("Figures of {}", subject.version), Place::Projects),
        tab: Tab::Figures,
        name: subject.version,
        figures: figures.map(|(name, value)| (name, figure(value))).collect(),
        withheld: subject.withheld,
    })
}

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    shell: Shell,
    first: String,
    second: String,
    compared: Option<CompareReply>,
}

pub(crate) fn compare(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let (first, second) = (
        visit.query.get("a").to_owned(),
        visit.query.get("b").to_owned(),
    );
    let asked = !first.is_empty() && !second.is_empty();
    let compared = asked.then(|| {
        visit.api.compare(&CompareRequest {
            a: first.clone(),
            b: second.clone(),
        })
    });
    let mut shell = visit.shell("Compare two versions or runs", Place::Projects);
    let mut status = http::StatusCode::OK;
    let compared = match compared.transpose() {
        Ok(compared) => compared,
        Err(problem) if problem.kind() == custody_types::ProblemKind::Unauthenticated => {
            return Err(problem);
        }
        Err(problem) => {
            status = status_of(&problem);
            shell.problem = Some(problem);
            None
        }
    };
    let page = ComparePage {
        shell,
        first,
        second,
        compared,
    };
    Answer::under(status, &page)
}

#[derive(Template)]
#[template(path = "data.html")]
struct DataPage {
    shell: Shell,
    tab: Tab,
    schema: SchemaReply,
    profile: Option<ProfileReply>,
}

pub(crate) fn data(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let query = DataQuery {
        reference: visit.reference()?,
        rows: None,
    };
    let schema = visit.api.data_schema(&query)?;
    let mut shell = visit.shell(format!("Data of {}", schema.version), Place::Projects);
    // A profile shows values: it is asked for by who wants it, so that the ledger has no access that nobody meant.
    let wanted = visit.query.get("profile") == "yes";
    let profile = match wanted.then(|| visit.api.data_profile(&query)).transpose() {
        Ok(profile) => profile,
        Err(problem) if problem.kind() == custody_types::ProblemKind::Unauthenticated => {
            return Err(problem);
        }
        Err(problem) => {
            shell.problem = Some(problem);
            None
        }
    };
    let status = shell
        .problem
        .as_ref()
        .map_or(http::StatusCode::OK, status_of);
    let page = DataPage {
        shell,
        tab: Tab::Data,
        schema,
        profile,
    };
    Answer::under(status, &page)
}
