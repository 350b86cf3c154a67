//! `custody verify` and `custody ledger verify`.

use custody_types::{ExitCode, Problem};
use custody_wire::{CheckResult, NamedCheck, VerifyRequest};

use crate::args::Verify;
use crate::context::Context;
use crate::output::Text;

pub(crate) fn run(context: &Context, args: &Verify) -> Result<ExitCode, Problem> {
    let reference = args.reference.as_ref().map(ToString::to_string);
    let reply = context.client()?.verify(&VerifyRequest { reference })?;
    let ok = reply.ok;
    context.output.answer(reply, |reply, text| {
        text.heading(&reply.subject);
        checks(&reply.checks, text);
        verdict(reply.ok, &reply.checks, text);
        Ok(())
    })?;
    Ok(exit(ok))
}

pub(crate) fn ledger(context: &Context) -> Result<ExitCode, Problem> {
    let reply = context.client()?.verify_ledger()?;
    let ok = reply.ok;
    context.output.answer(reply, |reply, text| {
        text.heading("ledger");
        checks(&reply.checks, text);
        verdict(reply.ok, &reply.checks, text);
        Ok(())
    })?;
    Ok(exit(ok))
}

const fn exit(ok: bool) -> ExitCode {
    if ok {
        ExitCode::Done
    } else {
        ExitCode::Integrity
    }
}

fn checks(checks: &[NamedCheck], text: &mut Text) {
    for check in checks {
        let mark = match check.result {
            CheckResult::Ok => "ok     ",
            CheckResult::Broken => "BROKEN ",
            CheckResult::NotApplicable => "-      ",
        };
        let mut lines = check.broken.iter().chain(&check.evidence);
        text.line(format!(
            "  {mark} {:<18} {}",
            check.name,
            lines.next().map_or("", String::as_str)
        ));
        for line in lines {
            text.line(format!("                             {line}"));
        }
    }
}

fn verdict(ok: bool, checks: &[NamedCheck], text: &mut Text) {
    if ok {
        text.line("everything holds");
        return;
    }
    let broken: Vec<_> = checks
        .iter()
        .filter(|c| c.result == CheckResult::Broken)
        .map(|c| c.name.as_str())
        .collect();
    text.line(format!("broken: {}", broken.join(", ")));
}
