//! The ledger: entries by what they are about, and one with its proof.

use askama::Template;
use custody_types::{Problem, Timestamp, code};
use custody_wire::{EntryProofReply, EntryQuery, EntryView, LedgerReply};
use serde_json::Value;

use crate::answer::Answer;
use crate::pages::facts::Facts;
use crate::shell::{Place, Shell, encoded};
use crate::visit::Visit;

/// An entry as a line of a list.
struct Line {
    index: u64,
    time: String,
    actor: String,
    action: String,
    phase: String,
    resources: Vec<String>,
    purpose: String,
    answer: String,
}

impl Line {
    fn of(view: &EntryView) -> Self {
        let text = |path: &str| {
            let found = view.entry.pointer(path).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let objects = view.entry.get("obj").and_then(Value::as_array);
        let names = objects
            .into_iter()
            .flatten()
            .filter_map(|object| object.get("n")?.as_str());
        let answer = Some(text("/out")).filter(|out| !out.is_empty());
        Self {
            index: view.index,
            time: text("/ts"),
            actor: view.actor.clone(),
            action: text("/act"),
            phase: text("/ph"),
            resources: names.map(ToOwned::to_owned).collect(),
            purpose: text("/pur"),
            answer: answer.unwrap_or_else(|| text("/dec/eff")),
        }
    }
}

#[derive(Template)]
#[template(path = "ledger.html")]
struct Ledger {
    shell: Shell,
    actor: String,
    action: String,
    resource: String,
    outcome: String,
    since: String,
    outcomes: [&'static str; 4],
    wrong_since: bool,
    lines: Vec<Line>,
    reply: Option<LedgerReply>,
    /// The query of this page, without the cursor.
    query: String,
}

pub(crate) fn list(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let query = &visit.query;
    let since = query.get("since");
    let parsed = time(since);
    let wrong_since = !since.is_empty() && parsed.is_none();
    let mut shell = visit.shell("Ledger", Place::Ledger);
    let mut status = http::StatusCode::OK;
    let mut reply = None;
    if wrong_since {
        status = http::StatusCode::BAD_REQUEST;
        let wrong = Problem::new(code::API_010, format!("`{since}` is no time"));
        shell.problem = Some(wrong.hint("write 2026-11-23 or 2026-11-23T09:30:00Z"));
    } else {
        reply = Some(visit.api.ledger_entries(&EntryQuery {
            actor: query.given("actor"),
            action: query.given("action"),
            resource: query.given("resource"),
            outcome: query.given("outcome"),
            since: parsed,
            until: None,
            limit: Some(50),
            after: query.given("after"),
        })?);
    }
    let fields = ["actor", "action", "resource", "outcome", "since"];
    let kept = fields.iter().filter_map(|name| {
        let value = query.given(name)?;
        Some(format!("{name}={}&", encoded(&value)))
    });
    let entries = reply.iter().flat_map(|reply| reply.entries.iter().rev());
    let page = Ledger {
        shell,
        actor: query.get("actor").to_owned(),
        action: query.get("action").to_owned(),
        resource: query.get("resource").to_owned(),
        outcome: query.get("outcome").to_owned(),
        since: since.to_owned(),
        outcomes: ["ok", "denied", "error", "unknown"],
        wrong_since,
        lines: entries.map(Line::of).collect(),
        query: kept.collect(),
        reply,
    };
    Answer::under(status, &page)
}

/// Reads a time, or the beginning of a day.
fn time(text: &str) -> Option<Timestamp> {
    let day = || format!("{text}T00:00:00Z").parse().ok();
    text.parse().ok().or_else(day)
}

#[derive(Template)]
#[template(path = "entry.html")]
struct Entry {
    shell: Shell,
    line: Line,
    facts: Facts,
    reply: EntryProofReply,
}

fn asked(visit: &Visit<'_>) -> Result<EntryProofReply, Problem> {
    let index = visit.name(0)?;
    let index = index.parse().map_err(|_| {
        Problem::new(
            code::WEB_003,
            format!("`{index}` is no place in the ledger"),
        )
    })?;
    visit.api.ledger_entry(index)
}

pub(crate) fn show(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let reply = asked(visit)?;
    Answer::page(&Entry {
        shell: visit.shell(format!("Entry {}", reply.view.index), Place::Ledger),
        line: Line::of(&reply.view),
        facts: Facts::of("entry", &reply.view.entry),
        reply,
    })
}

/// Hands out an entry with its proof as a file, for a check elsewhere.
pub(crate) fn proof(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let reply = asked(visit)?;
    let name = format!("entry-{}.json", reply.view.index);
    let document = custody_wire::Document::new(reply);
    let bytes = serde_json::to_vec_pretty(&document)
        .map_err(|error| Problem::new(code::WEB_001, "the page cannot be shown").because(error))?;
    Ok(Answer::File { name, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight() {
        let day = time("2026-11-23").unwrap();
        assert_eq!(day.to_seconds_text(), "2026-11-23T00:00:00Z");
        assert!(
            time("2026-11-23T09:30:00Z").is_some()
                && time("yesterday").is_none()
                && time("").is_none()
        );
    }
}
