//! `custody policy validate`, `test`, `diff`, `explain`, `replay`: questions about policies that change nothing.

use custody_api::{test_policies, validate_policies};
use custody_types::{ExitCode, Problem};
use custody_wire::{
    ChangedDecision, DeterminingView, ExplainQuestion, ExplainReply, ExplainRequest,
    ExplanationView, FindingView, PolicyDiffReply, ReplayReply, ReplayRequest,
};

use crate::args::{PolicyDiff, PolicyExplain, PolicyFiles, PolicyReplay, PolicyTest};
use crate::commands::policy::sources;
use crate::context::Context;
use crate::output::Text;

/// How many changed decisions a page has at most.
const PAGE: usize = 1_000;

const fn answer(yes: bool) -> ExitCode {
    if yes { ExitCode::Done } else { ExitCode::No }
}

fn permits(permit: bool) -> &'static str {
    if permit { "permit" } else { "forbid" }
}

pub(crate) fn validate(context: &Context, args: &PolicyFiles) -> Result<ExitCode, Problem> {
    let files = sources(&args.paths)?;
    let reply = if context.has_workspace() {
        context.client()?.validate_policies(files)?
    } else {
        validate_policies(files)
    };
    let valid = reply.valid;
    context.output.answer(reply, |reply, text| {
        for finding in &reply.findings {
            text.line(found(finding));
        }
        text.line(match (reply.valid, reply.with_accounts) {
            (true, true) => "it could be put in force",
            (true, false) => {
                "it stands up by itself; where there is no workspace, no accounts are checked"
            }
            (false, _) => "it cannot be put in force",
        });
        Ok(())
    })?;
    Ok(answer(valid))
}

/// Tells a finding as compilers do: `file:line:column: error: …`.
fn found(finding: &FindingView) -> String {
    let numbers = [finding.line, finding.column];
    let numbers = numbers.iter().flatten().map(|number| format!(":{number}"));
    let numbers: String = numbers.collect();
    let place = finding
        .file
        .as_ref()
        .map(|file| format!("{file}{numbers}: "));
    format!(
        "{}{}: {}",
        place.unwrap_or_default(),
        finding.severity,
        finding.what
    )
}

pub(crate) fn test(context: &Context, args: PolicyTest) -> Result<ExitCode, Problem> {
    let reply = match args.folder {
        None => context.client()?.test_policies(Vec::new())?,
        Some(folder) => {
            let files = sources(&[folder])?;
            if context.has_workspace() {
                context.client()?.test_policies(files)?
            } else {
                test_policies(files)?
            }
        }
    };
    let ok = reply.ok;
    context.output.answer(reply, |reply, text| {
        for failed in &reply.failed {
            text.line(format!(
                "fails: {} ({}): {}",
                failed.name, failed.action, failed.because
            ));
        }
        let failed = reply.failed.len();
        text.line(format!(
            "{} decisions checked, {failed} fail",
            reply.checked
        ));
        Ok(())
    })?;
    Ok(answer(ok))
}

pub(crate) fn diff(context: &Context, args: PolicyDiff) -> Result<ExitCode, Problem> {
    let files = sources(&[args.folder])?;
    let reply = context.client()?.compare_policies(files)?;
    context.output.answer(reply, |reply, text| {
        differences(reply, text);
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn differences(reply: &PolicyDiffReply, text: &mut Text) {
    for policy in &reply.policies {
        text.heading(&format!("{} policy {}", policy.change, policy.id));
        for line in &policy.lines {
            text.line(format!("  {line}"));
        }
    }
    if !reply.settings.is_empty() {
        text.heading("settings.json");
        for line in &reply.settings {
            text.line(format!("  {line}"));
        }
    }
    if reply.policies.is_empty() && reply.settings.is_empty() {
        text.line("policies and settings are the same");
    }
    let compared = reply.compared;
    if reply.effects.is_empty() {
        text.line(format!(
            "of {compared} usual cases none comes out otherwise"
        ));
        return;
    }
    text.heading(&format!(
        "of {compared} usual cases these come out otherwise"
    ));
    let head = ["now", "role", "action", "on", "cases"].map(ToOwned::to_owned);
    let rows = reply.effects.iter().map(|effect| {
        vec![
            permits(effect.permit).to_owned(),
            effect.role.clone(),
            effect.action.to_string(),
            effect.on.clone(),
            effect.cases.join(", "),
        ]
    });
    let rows: Vec<_> = std::iter::once(head.to_vec()).chain(rows).collect();
    text.table(&rows);
}

pub(crate) fn explain(context: &Context, args: PolicyExplain) -> Result<ExitCode, Problem> {
    let request = match (args.entry, args.action) {
        (None, Some(action)) => ExplainRequest::Question(ExplainQuestion {
            actor: args.actor,
            action,
            resource: args.resource,
            kind: args.kind,
            classification: args.classification,
            // That which is stated with every command.
            purpose: None,
            alias: args.alias,
        }),
        // The grammar wants one of them.
        (entry, _) => ExplainRequest::Entry(entry.unwrap_or_default()),
    };
    let reply = context.client()?.explain(&request)?;
    context.output.answer(reply, |reply, text| {
        explained(reply, text);
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn explained(reply: &ExplainReply, text: &mut Text) {
    let purpose = reply.purpose.as_ref();
    let purpose = purpose.map_or_else(String::new, |purpose| format!(" for `{purpose}`"));
    text.heading(&format!(
        "{} · {} · {}{purpose}",
        reply.actor, reply.action, reply.resource
    ));
    if let Some(recorded) = &reply.recorded {
        let policies = recorded.policies.join(", ");
        text.line(format!(
            "entry {}, {}: {} by {}",
            recorded.entry,
            recorded.time.to_seconds_text(),
            permits(recorded.permit),
            if policies.is_empty() {
                "no policy"
            } else {
                &policies
            }
        ));
        text.line(format!("  policy set {}", recorded.set));
    }
    for (when, explanation) in [("then", &reply.then), ("now", &reply.now)] {
        let Some(explanation) = explanation else {
            continue;
        };
        // What is the same today is told once.
        if when == "now" && reply.then.is_some() && !reply.differs {
            text.line("today it would be decided alike");
            continue;
        }
        explanation_of(when, explanation, text);
    }
    for withheld in &reply.withheld {
        text.line(format!("not known: {withheld}"));
    }
    if reply.differs {
        text.line("today it would be decided otherwise");
    }
}

fn explanation_of(when: &str, explanation: &ExplanationView, text: &mut Text) {
    text.line("");
    text.heading(&format!("{when}: {}", permits(explanation.permit)));
    if explanation.policies.is_empty() && explanation.errors.is_empty() {
        text.line("  no policy permits it");
    }
    for error in &explanation.errors {
        text.line(format!("  a policy could not be evaluated: {error}"));
    }
    for (number, policy) in explanation.policies.iter().enumerate() {
        // What a limit says stands in the reasons alone.
        let reason = explanation
            .reasons
            .get(number)
            .filter(|_| policy.effect == "limit");
        determining(policy, reason, text);
    }
    if let Some(hint) = &explanation.hint {
        text.line(format!("  hint: {hint}"));
    }
    if explanation.roles.is_empty() {
        text.line("  roles: none");
    }
    for held in &explanation.roles {
        let from = match (&held.group, &held.provider) {
            (Some(group), _) => format!("by group {group}"),
            (None, Some(provider)) => format!("by their groups at {provider}, in this session"),
            (None, None) => "their own".to_owned(),
        };
        let counts = if held.counts {
            ""
        } else {
            "; does not count here"
        };
        text.line(format!("  role {} ({from}{counts})", held.role));
    }
}

fn determining(policy: &DeterminingView, reason: Option<&String>, text: &mut Text) {
    let because = policy.because.as_ref().or(reason);
    let because = because.map_or_else(String::new, |because| format!(": {because}"));
    text.line(format!("  {} `{}`{because}", policy.effect, policy.id));
    for (name, value) in &policy.facts {
        text.line(format!("    {name} = {value}"));
    }
}

pub(crate) fn replay(context: &Context, args: &PolicyReplay) -> Result<ExitCode, Problem> {
    let files = sources(std::slice::from_ref(&args.folder))?;
    let client = context.client()?;
    let mut request = ReplayRequest {
        sources: files,
        seconds: Some(args.since),
        limit: Some(u64::try_from(PAGE).unwrap_or(u64::MAX)),
        after: None,
    };
    let mut all: Option<ReplayReply> = None;
    loop {
        if context.interrupt.is_raised() {
            break;
        }
        let page = client.replay(&request)?;
        request.after.clone_from(&page.next);
        let mut so_far = match all.take() {
            Some(so_far) => added(so_far, page),
            None => page,
        };
        so_far.changed.truncate(args.limit);
        all = Some(so_far);
        if request.after.is_none() {
            break;
        }
    }
    let Some(reply) = all else {
        return Ok(ExitCode::Interrupted);
    };
    let complete = reply.next.is_none();
    let alike = reply.otherwise == 0;
    context.output.answer(reply, |reply, text| {
        replayed(reply, text);
        Ok(())
    })?;
    Ok(if complete {
        answer(alike)
    } else {
        ExitCode::Interrupted
    })
}

fn added(mut all: ReplayReply, page: ReplayReply) -> ReplayReply {
    all.entries += page.entries;
    all.decisions += page.decisions;
    all.same += page.same;
    all.otherwise += page.otherwise;
    for (because, count) in page.unknown {
        *all.unknown.entry(because).or_default() += count;
    }
    all.changed.extend(page.changed);
    all.next = page.next;
    all
}

fn replayed(reply: &ReplayReply, text: &mut Text) {
    let accounts = if reply.accounts == "then" {
        "the accounts of the time"
    } else {
        "the accounts of the folder"
    };
    text.line(format!(
        "{} entries, {} decisions, for {accounts}: {} alike, {} otherwise",
        reply.entries, reply.decisions, reply.same, reply.otherwise
    ));
    for (because, count) in &reply.unknown {
        text.line(format!("{count} not known: {because}"));
    }
    for one in &reply.changed {
        changed_decision(one, text);
    }
    let listed = u64::try_from(reply.changed.len()).unwrap_or(u64::MAX);
    let more = reply.otherwise.saturating_sub(listed);
    if more > 0 {
        text.line(format!("and {more} more: `--limit` lists them"));
    }
}

fn changed_decision(one: &ChangedDecision, text: &mut Text) {
    text.line(format!(
        "entry {} {} {} {} {}: {} -> {}",
        one.entry,
        one.time.to_seconds_text(),
        one.actor,
        one.action,
        one.resource,
        permits(one.before),
        permits(one.after)
    ));
    let policies = one.policies.join(", ");
    let because = one.because.join("; ");
    let by = if policies.is_empty() {
        String::new()
    } else {
        format!("{policies}: ")
    };
    text.line(format!("    {by}{because}"));
}
