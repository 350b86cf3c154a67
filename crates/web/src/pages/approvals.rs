//! What waits for a person's decision, and the forms by which it is made.

use askama::Template;
use custody_types::{Problem, ProblemKind, Reference, Selector, code};
use custody_wire::{ApproveRequest, ListQuery, ListReply, RejectRequest, WaitingReply};

use crate::answer::{Answer, allowed};
use crate::pages::version;
use crate::shell::{Place, Shell};
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "approvals.html")]
struct Approvals {
    shell: Shell,
    waiting: WaitingReply,
    quarantined: Option<ListReply>,
}

pub(crate) fn list(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let quarantined = allowed(visit.api.list(&ListQuery {
        quarantine: true,
        limit: Some(50),
        after: visit.query.given("after"),
        ..ListQuery::default()
    }))?;
    Answer::page(&Approvals {
        shell: visit.shell("Approvals", Place::Approvals),
        waiting: visit.api.waiting()?,
        quarantined,
    })
}

/// Reads which version a form is about: one, by its number, so that what is decided on is what was looked at.
fn subject(visit: &Visit<'_>) -> Result<Reference, Problem> {
    let named = visit.form.get("reference").parse::<Reference>();
    let wrong =
        |because: String| Problem::new(code::API_014, "the form names no version").because(because);
    let named = named.map_err(|error| wrong(error.to_string()))?;
    match named.selector {
        Selector::Number(_) => Ok(named),
        _ => Err(wrong("it is named without its number".to_owned())),
    }
}

fn decided(
    visit: &Visit<'_>,
    subject: &Reference,
    word: &str,
    decided: Result<(), Problem>,
) -> Result<Answer, Problem> {
    match decided {
        Ok(()) => {
            let path = subject.to_string().replace('@', "/");
            Ok(Answer::SeeOther(format!("/versions/{path}?done={word}")))
        }
        // Who may not see it, or is not known any more, is shown no version.
        Err(problem)
            if matches!(
                problem.kind(),
                ProblemKind::Unauthenticated | ProblemKind::NotFound
            ) =>
        {
            Err(problem)
        }
        Err(problem) => {
            let told = problem.clone();
            version::again(visit, &subject.to_string(), problem).map_err(|_| told)
        }
    }
}

pub(crate) fn approve(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let subject = subject(visit)?;
    let done = visit.api.approve(&ApproveRequest {
        reference: subject.to_string(),
        reason: visit.form.get("reason").to_owned(),
    });
    decided(visit, &subject, "approved", done.map(drop))
}

pub(crate) fn reject(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let subject = subject(visit)?;
    let done = visit.api.reject(&RejectRequest {
        reference: subject.to_string(),
        reason: visit.form.get("reason").to_owned(),
    });
    decided(visit, &subject, "rejected", done.map(drop))
}
