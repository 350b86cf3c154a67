//! `custody verify` and `custody ledger verify`.

use custody_types::{EvidenceKind, ExitCode, Problem};
use custody_wire::{AbsentEvidence, CheckResult, NamedCheck, VerifyRequest};

use crate::args::Verify;
use crate::context::Context;
use crate::output::Text;

pub(crate) fn run(context: &Context, args: &Verify) -> Result<ExitCode, Problem> {
    let reference = args.reference.as_ref().map(ToString::to_string);
    let reply = context.client()?.verify(&VerifyRequest {
        reference,
        require: args.require.clone(),
    })?;
    let holds = !any(&reply.checks, CheckResult::Broken);
    let waits = any(&reply.checks, CheckResult::Waiting);
    // What waits lacks its scan for that reason alone; whatever else is missing is no matter of waiting.
    let lacks = |absent: &AbsentEvidence| absent.required && absent.kind != EvidenceKind::Scan;
    let closed = any(&reply.checks, CheckResult::Closed);
    let exit = match (holds, waits) {
        (false, _) => ExitCode::Integrity,
        (true, _) if closed => ExitCode::Denied,
        (true, true) if !reply.absent.iter().any(lacks) => ExitCode::Approval,
        (true, _) if !reply.ok => ExitCode::No,
        (true, _) => ExitCode::Done,
    };
    context.output.answer(reply, |reply, text| {
        text.heading(&reply.subject);
        checks(&reply.checks, text);
        for absent in &reply.absent {
            absence(absent, text);
        }
        let missing = reply.absent.iter().filter(|absent| absent.required);
        let mut kinds: Vec<_> = missing.map(|absent| absent.kind.as_str()).collect();
        kinds.dedup();
        if holds && closed {
            text.line(
                "what you may look at holds; the rest is of projects that you may not verify",
            );
        }
        if holds && waits {
            text.line(
                "what is there holds; something waits in quarantine: custody ls --quarantine",
            );
        }
        if holds && !kinds.is_empty() {
            text.line(format!(
                "what is there holds; missing: {}",
                kinds.join(", ")
            ));
        } else if !holds || !(waits || closed) {
            verdict(holds, &reply.checks, text);
        }
        Ok(())
    })?;
    Ok(exit)
}

fn any(checks: &[NamedCheck], result: CheckResult) -> bool {
    checks.iter().any(|check| check.result == result)
}

fn absence(absent: &AbsentEvidence, text: &mut Text) {
    let mark = if absent.required {
        "MISSING"
    } else {
        "none   "
    };
    text.line(format!(
        "  {mark} {:<18} {}",
        absent.kind.as_str(),
        absent.because
    ));
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
            CheckResult::Closed => "CLOSED ",
            CheckResult::Waiting => "WAITS  ",
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
