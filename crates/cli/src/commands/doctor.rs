//! `custody doctor`.

use std::path::Path;

use custody_backends::key_file::OpenKeyFile;
use custody_backends::machine::SystemClock;
use custody_backends::scratch::ScratchFolder;
use custody_backends::workspace::Workspace;
use custody_host::{key_problem, workspace_problem};
use custody_types::{ByteSize, Clock, ExitCode, Problem, code};
use custody_wire::Schema;
use serde::Serialize;

use crate::context::Context;

/// The free room below which the doctor warns.
const LITTLE: u64 = 1 << 30;
/// The time of a durable write above which the doctor warns, in milliseconds: every access waits for two.
const SLOW_MS: u64 = 50;
/// The year 2026 began at this second: a clock that is behind was never set.
const NOT_SET: i64 = 1_767_225_600;

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    name: String,
    ok: bool,
    detail: String,
    hint: Option<String>,
}

/// Everything that was looked at.
#[derive(Serialize)]
struct Findings {
    ok: bool,
    findings: Vec<Finding>,
}

impl Schema for Findings {
    const NAME: &'static str = "custody/doctor/1";
}

fn finding(name: &str, outcome: Result<String, Problem>) -> Finding {
    match outcome {
        Ok(detail) => Finding {
            name: name.to_owned(),
            ok: true,
            detail,
            hint: None,
        },
        Err(problem) => Finding {
            name: name.to_owned(),
            ok: false,
            detail: problem.what,
            hint: problem.hint,
        },
    }
}

pub(crate) fn run(context: &Context) -> Result<ExitCode, Problem> {
    let mut findings = Vec::new();
    for probe in custody_sandbox::probe(Path::new("/proc/self/exe")) {
        findings.push(Finding {
            name: format!("isolation: {}", probe.name),
            ok: probe.available,
            detail: probe.detail,
            hint: probe.hint,
        });
    }
    let clock = SystemClock::start();
    findings.push(finding(
        "cipher",
        custody_crypto::aead::fastest(&clock)
            .map(|aead| format!("AES-256-GCM of {}", aead.name()))
            .map_err(|error| {
                Problem::new(code::DOC_001, error.to_string()).hint("do not use this machine")
            }),
    ));
    findings.push(finding("clock", time(&clock)));
    let workspace = Workspace::find(&context.folder()).map_err(|error| workspace_problem(&error));
    findings.push(finding("disk: room", room(&context.folder())));
    findings.push(finding(
        "disk: durable writes",
        durable(&context.folder(), &clock),
    ));
    match workspace {
        Ok(workspace) => {
            findings.push(finding(
                "workspace",
                Ok(workspace.root().display().to_string()),
            ));
            let path = context.key_file(&workspace.about().id);
            let key = OpenKeyFile::read(&path, context.settings.passphrase.as_deref())
                .map_err(|error| key_problem(&error));
            let told = |key: OpenKeyFile| {
                let ids: Vec<_> = key.file().keys().map(|key| key.id.as_str()).collect();
                format!("{} (key {})", path.display(), ids.join(" and "))
            };
            findings.push(finding("key file", key.map(told)));
        }
        Err(problem) => findings.push(Finding {
            name: "workspace".to_owned(),
            ok: true,
            detail: problem.what,
            hint: problem.hint,
        }),
    }
    let ok = findings.iter().all(|finding| finding.ok);
    context
        .output
        .answer(Findings { ok, findings }, |answer, text| {
            for finding in &answer.findings {
                text.line(format!(
                    "  {}  {:<58} {}",
                    if finding.ok { "ok     " } else { "LACKING" },
                    finding.name,
                    finding.detail
                ));
                if let Some(hint) = &finding.hint {
                    text.line(format!("           hint: {hint}"));
                }
            }
            Ok(())
        })?;
    Ok(if ok { ExitCode::Done } else { ExitCode::No })
}

fn time(clock: &SystemClock) -> Result<String, Problem> {
    let now = clock.now();
    if now.unix_micros() / 1_000_000 < NOT_SET {
        return Err(Problem::new(code::DOC_002, format!("the clock says {now}"))
            .hint("set the clock: entries of the ledger carry its time"));
    }
    Ok(now.to_seconds_text())
}

fn room(folder: &Path) -> Result<String, Problem> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| {
        Problem::new(
            code::DOC_003,
            format!("`{}` cannot be looked at", folder.display()),
        )
        .because(error)
    })?;
    let free = ByteSize::from_bytes(stat.f_bavail.saturating_mul(stat.f_frsize));
    if free.bytes() < LITTLE {
        return Err(Problem::new(code::DOC_004, format!("{free} are free"))
            .hint("make room; commands stop before they lose anything"));
    }
    Ok(format!("{free} are free"))
}

fn durable(folder: &Path, clock: &SystemClock) -> Result<String, Problem> {
    let took = ScratchFolder::new(folder.to_owned()).sync_ms(clock);
    let took_ms = took.map_err(|error| {
        Problem::new(
            code::DOC_005,
            format!("`{}` cannot be written", folder.display()),
        )
        .because(error)
        .hint("work in a folder that you may write")
    })?;
    if took_ms > SLOW_MS {
        return Err(
            Problem::new(code::DOC_006, format!("one takes {took_ms} ms"))
                .hint("put the workspace on a faster disk: each access waits for two of them"),
        );
    }
    Ok(format!("one takes {took_ms} ms"))
}
