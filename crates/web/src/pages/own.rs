//! A person's own: their session, the purpose that they state, and their tokens.

use std::collections::BTreeMap;

use askama::Template;
use custody_types::{Problem, ProblemKind, Purpose, Timestamp, code};
use custody_wire::TokenView;

use crate::answer::{Answer, allowed, status_of};
use crate::shell::{Place, Shell};
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "own.html")]
struct Own {
    shell: Shell,
    account: String,
    ends: Timestamp,
    purposes: BTreeMap<String, String>,
    stated: String,
    tokens: Vec<TokenView>,
}

fn page(visit: &Visit<'_>, problem: Option<Problem>) -> Result<Answer, Problem> {
    let policy = allowed(visit.api.policy())?;
    let tokens = allowed(visit.api.tokens())?;
    let own = |token: &TokenView| token.account.to_string() == visit.account;
    let tokens = tokens.map(|reply| reply.tokens).unwrap_or_default();
    let status = problem.as_ref().map_or(http::StatusCode::OK, status_of);
    let mut shell = visit.shell(visit.account.clone(), Place::Own);
    shell.problem = problem;
    let page = Own {
        shell,
        account: visit.account.clone(),
        ends: visit.ends,
        purposes: policy.map(|policy| policy.purposes).unwrap_or_default(),
        stated: visit
            .purpose
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        tokens: tokens.into_iter().filter(own).collect(),
    };
    Answer::under(status, &page)
}

pub(crate) fn show(visit: &Visit<'_>) -> Result<Answer, Problem> {
    page(visit, None)
}

/// States a purpose for what is asked from now on; the policies decide whether it counts.
pub(crate) fn state(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let stated = visit
        .form
        .given("purpose")
        .map(|text| text.parse::<Purpose>());
    match stated.transpose() {
        Ok(purpose) => {
            visit.pages.browsers.state(&visit.id, purpose);
            Ok(Answer::SeeOther("/own?done=purpose".to_owned()))
        }
        Err(error) => page(visit, Some(Problem::new(code::API_013, error.to_string()))),
    }
}

pub(crate) fn revoke(visit: &Visit<'_>) -> Result<Answer, Problem> {
    match visit.api.revoke_token(visit.form.get("id")) {
        Ok(_) => Ok(Answer::SeeOther("/own?done=token-revoked".to_owned())),
        Err(problem) if problem.kind() == ProblemKind::Unauthenticated => Err(problem),
        Err(problem) => page(visit, Some(problem)),
    }
}

/// Ends the session, here and at the API.
pub(crate) fn sign_out(visit: &Visit<'_>) -> Result<Answer, Problem> {
    visit.pages.browsers.forget(&visit.id);
    let session = visit.asking.as_session(&visit.token)?;
    session.sign_out()?;
    Ok(Answer::SignedOut)
}
