//! Runs: which there are, and the course of one.

use askama::Template;
use custody_types::{Problem, Timestamp, VersionName};
use custody_wire::{RunListReply, RunMark, RunQuery, RunShowReply, RunState, RunView};

use crate::answer::{Answer, status_of};
use crate::shell::{Place, Shell};
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "runs.html")]
struct Runs {
    shell: Shell,
    project: String,
    listed: RunListReply,
}

pub(crate) fn list(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let project = visit.query.given("project");
    let named = project.as_ref().map(|name| name.parse()).transpose();
    let wrong = |error: custody_types::NameError| {
        Problem::new(custody_types::code::API_014, error.to_string())
    };
    let listed = visit.api.runs(&RunQuery {
        project: named.map_err(wrong)?,
        limit: Some(50),
        after: visit.query.given("after"),
    })?;
    Answer::page(&Runs {
        shell: visit.shell("Runs", Place::Runs),
        project: project.unwrap_or_default(),
        listed,
    })
}

/// A step as far as it has come.
struct Step {
    name: String,
    state: RunState,
    reused: bool,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    versions: Vec<VersionName>,
    error: Option<String>,
    /// The entry that says so.
    entry: u64,
}

/// What is known of a run: the part of its page that is asked for again while it goes on.
#[derive(Template)]
#[template(path = "course.html")]
struct Course {
    run: RunView,
    steps: Vec<Step>,
}

#[derive(Template)]
#[template(path = "run.html")]
struct Run {
    shell: Shell,
    run: RunView,
    course: String,
}

/// Gathers the steps of a run, in the order in which they began.
fn steps(shown: &RunShowReply) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for moment in &shown.moments {
        match &moment.what {
            RunMark::StepStarted { step } => steps.push(Step {
                name: step.clone(),
                state: RunState::Running,
                reused: false,
                started: Some(moment.time),
                ended: None,
                versions: Vec::new(),
                error: None,
                entry: moment.at,
            }),
            RunMark::StepEnded {
                step,
                state,
                reused,
                versions,
                error,
            } => {
                let begun = steps
                    .iter()
                    .rposition(|one| one.name == *step && one.ended.is_none());
                let begun = begun.map(|place| steps.remove(place));
                steps.push(Step {
                    name: step.clone(),
                    state: *state,
                    reused: *reused,
                    started: begun.and_then(|one| one.started),
                    ended: Some(moment.time),
                    versions: versions.clone(),
                    error: error.clone(),
                    entry: moment.at,
                });
            }
            RunMark::Started | RunMark::Ended { .. } => {}
        }
    }
    steps
}

fn of(visit: &Visit<'_>) -> Result<Course, Problem> {
    let shown = visit.api.show_run(visit.name(0)?)?;
    Ok(Course {
        steps: steps(&shown),
        run: shown.run,
    })
}

fn page(visit: &Visit<'_>, problem: Option<Problem>) -> Result<Answer, Problem> {
    let course = of(visit)?;
    let Answer::Html(_, part) = Answer::page(&course)? else {
        return Err(Problem::new(
            custody_types::code::WEB_001,
            "the page cannot be shown",
        ));
    };
    let run = course.run;
    let status = problem.as_ref().map_or(http::StatusCode::OK, status_of);
    let mut shell = visit.shell(format!("Run of {}", run.project), Place::Runs);
    shell.problem = problem;
    let page = Run {
        shell,
        run,
        course: part,
    };
    Answer::under(status, &page)
}

pub(crate) fn show(visit: &Visit<'_>) -> Result<Answer, Problem> {
    page(visit, None)
}

pub(crate) fn course(visit: &Visit<'_>) -> Result<Answer, Problem> {
    Answer::page(&of(visit)?)
}

pub(crate) fn cancel(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let id = visit.name(0)?;
    match visit.api.cancel_run(id) {
        Ok(_) => Ok(Answer::SeeOther(format!("/runs/{id}?done=cancelled"))),
        Err(problem) => {
            let told = problem.clone();
            page(visit, Some(problem)).map_err(|_| told)
        }
    }
}
