//! `custody token`.

use custody_types::{ExitCode, Problem};
use custody_wire::{TokenRequest, TokenView, TokensReply};

use crate::args::{TokenCreate, TokenRevoke};
use crate::context::Context;
use crate::output::Text;

pub(crate) fn list(context: &Context) -> Result<ExitCode, Problem> {
    let reply = context.client()?.tokens()?;
    context.output.answer(reply, listed)?;
    Ok(ExitCode::Done)
}

pub(crate) fn create(context: &Context, args: TokenCreate) -> Result<ExitCode, Problem> {
    let networks = args.networks();
    let reply = context.client()?.create_token(&TokenRequest {
        account: args.account,
        days: args.days,
        note: args.note,
        actions: args.actions.into_iter().collect(),
        projects: args.projects.into_iter().collect(),
        purpose: args.purpose,
        networks,
    })?;
    let shown = reply.secret.clone();
    if !context.output.is_json() {
        let until = reply.token.expires.to_seconds_text();
        let account = &reply.token.account;
        let note = format!("a token of `{account}` until {until}; it is shown this once");
        context.output.note(&note);
    }
    context.output.answer(reply, |_, text| {
        text.line(shown);
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn revoke(context: &Context, args: &TokenRevoke) -> Result<ExitCode, Problem> {
    let reply = context.client()?.revoke_token(&args.id)?;
    context.output.answer(reply, |reply, text| {
        text.line(format!("`{}` opens nothing any more", args.id));
        listed(reply, text)
    })?;
    Ok(ExitCode::Done)
}

fn listed(reply: &TokensReply, text: &mut Text) -> std::io::Result<()> {
    if reply.tokens.is_empty() {
        text.line("no token counts");
    }
    for token in &reply.tokens {
        text.line(format!(
            "{}  {:<16} until {}  {}",
            token.id,
            token.account.to_string(),
            token.expires.to_seconds_text(),
            token.note
        ));
        if let Some(limits) = limits(token) {
            text.line(format!("  {limits}"));
        }
    }
    Ok(())
}

/// Tells what narrows a token, if something does.
fn limits(token: &TokenView) -> Option<String> {
    let joined = |what: &str, names: Vec<String>| {
        (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
    };
    let actions = token.actions.iter().map(|one| one.name().to_owned());
    let projects = token.projects.iter().map(ToString::to_string);
    let parts = [
        joined("only to", actions.collect()),
        joined("only in", projects.collect()),
        token
            .purpose
            .as_ref()
            .map(|purpose| format!("only for {purpose}")),
        joined("only from", token.networks.clone()),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
