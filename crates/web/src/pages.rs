//! The pages for who signed in: what each asks the API for, and what it shows of the answers.

mod approvals;
mod evaluation;
mod facts;
mod home;
mod ledger;
mod own;
mod projects;
mod rules;
mod runs;
mod version;

use askama::Template;
use custody_observe::RequestId;
use custody_types::Problem;
use custody_wire::RunState;
use http::Method;

use crate::answer::Answer;
use crate::router::Page;
use crate::shell::Shell;
use crate::visit::Visit;

const fn shown(path: &'static str, handler: fn(&Visit<'_>) -> Result<Answer, Problem>) -> Page {
    Page {
        method: Method::GET,
        path,
        handler,
    }
}

const fn done(path: &'static str, handler: fn(&Visit<'_>) -> Result<Answer, Problem>) -> Page {
    Page {
        method: Method::POST,
        path,
        handler,
    }
}

/// Every page, and everything that a form does.
pub(crate) static ALL: &[Page] = &[
    shown("/", home::beginning),
    shown("/home", home::show),
    shown("/projects", projects::list),
    shown("/projects/{project}", projects::show),
    shown("/versions/{project}/{artifact}/{selector}", version::show),
    shown("/lineage/{project}/{artifact}/{selector}", version::lineage),
    shown("/figures/{project}/{artifact}/{selector}", version::figures),
    shown(
        "/evaluation/{project}/{artifact}/{selector}",
        evaluation::show,
    ),
    shown("/data/{project}/{artifact}/{selector}", version::data),
    shown("/compare", version::compare),
    shown("/approvals", approvals::list),
    done("/approvals", approvals::approve),
    done("/rejections", approvals::reject),
    shown("/runs", runs::list),
    shown("/runs/{id}", runs::show),
    shown("/runs/{id}/course", runs::course),
    done("/runs/{id}/cancel", runs::cancel),
    shown("/ledger", ledger::list),
    shown("/ledger/{index}", ledger::show),
    shown("/ledger/{index}/proof", ledger::proof),
    shown("/policies", rules::policies),
    shown("/accounts", rules::accounts),
    done("/changes", rules::approve),
    shown("/own", own::show),
    done("/own/purpose", own::state),
    done("/own/tokens", own::revoke),
    done("/sign-out", own::sign_out),
];

/// What could not be shown, and why.
#[derive(Template)]
#[template(path = "failed.html")]
pub(crate) struct Failed {
    pub(crate) shell: Shell,
    pub(crate) problem: Problem,
    /// By what who runs the server finds it in the log.
    pub(crate) request: Option<RequestId>,
}

/// How the mark of a run's or a step's state looks; the word says the same.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates lend fields")]
pub(crate) const fn tone(state: &RunState) -> &'static str {
    match state {
        RunState::Running => "info",
        RunState::Done => "good",
        RunState::Refused | RunState::Interrupted => "warn",
        RunState::Failed | RunState::Unknown => "bad",
    }
}
