//! `custody scan`: files anywhere, without a workspace.

use custody_backends::scanned_files;
use custody_backends::user_files;
use custody_findings::{Finding, Summary, Verdict};
use custody_host::{scan_entries, user_files_problem};
use custody_scan::sarif;
use custody_types::{ExitCode, Problem, code, counted};

use crate::args::{Scan, ScanFormat};
use crate::context::Context;
use crate::output::{Output, Text};

pub(crate) fn run(context: &Context, args: &Scan) -> Result<ExitCode, Problem> {
    let rules = super::rules::read(&args.rules)?;
    let entries = scanned_files::find(&args.paths).map_err(|(path, error)| {
        Problem::new(
            code::SCAN_001,
            format!("`{}` cannot be scanned", path.display()),
        )
        .because(error)
        .hint("name files and folders that are there and that you may read; nothing was scanned")
    })?;
    if entries.is_empty() {
        return Err(Problem::new(code::SCAN_024, "there is no file to scan")
            .hint("name a file, or a folder with files"));
    }
    let mut summary = scan_entries(&entries, &rules);
    if args.trial.trial_load {
        crate::trial::load(context, &args.trial, &entries, &mut summary.files)?;
        summary = Summary::of(summary.files, &rules);
    }
    let exit = match summary.verdict {
        Verdict::Clean => ExitCode::Done,
        Verdict::Review | Verdict::Malicious => ExitCode::No,
        Verdict::Unscannable => ExitCode::Usage,
    };
    if let Some(file) = &args.sarif {
        let document = sarif(&summary, env!("CARGO_PKG_VERSION"));
        user_files::write_file(file, format!("{document:#}\n").as_bytes())
            .map_err(|error| user_files_problem(&error))?;
    }
    if args.format == ScanFormat::Sarif {
        Output::json(&format!(
            "{:#}\n",
            sarif(&summary, env!("CARGO_PKG_VERSION"))
        ))?;
        return Ok(exit);
    }
    let everything = args.all;
    context
        .output
        .answer(Answer(summary), |Answer(summary), text| {
            show(summary, everything, text);
            Ok(())
        })?;
    Ok(exit)
}

/// The answer as a document of its own.
#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
struct Answer(Summary);

impl custody_wire::Schema for Answer {
    const NAME: &'static str = "custody/scan/1";
}

fn show(summary: &Summary, all: bool, text: &mut Text) {
    for report in &summary.files {
        let told = |finding: &&Finding| all || finding.verdict > Verdict::Clean;
        if !all && report.verdict == Verdict::Clean {
            continue;
        }
        text.heading(&format!("{}: {}", one_line(&report.file), report.verdict));
        for finding in report.findings.iter().filter(told) {
            tell(finding, text);
        }
        if report.left_out > 0 {
            text.line(format!("  and {} more findings", report.left_out));
        }
    }
    let counts: Vec<_> = [
        Verdict::Clean,
        Verdict::Review,
        Verdict::Unscannable,
        Verdict::Malicious,
    ]
    .into_iter()
    .map(|verdict| (summary.count(verdict), verdict))
    .filter(|(count, _)| *count > 0)
    .map(|(count, verdict)| format!("{count} {verdict}"))
    .collect();
    let packs: Vec<_> = summary
        .rules
        .iter()
        .map(|pack| format!("{} {}", pack.name, pack.version))
        .collect();
    text.line(format!(
        "{}: {} (rules: {})",
        counted(summary.files.len(), "file"),
        if counts.is_empty() {
            "nothing to scan".to_owned()
        } else {
            counts.join(", ")
        },
        packs.join(", ")
    ));
}

fn tell(finding: &Finding, text: &mut Text) {
    text.line(format!(
        "  {} [{}, {}] {}",
        finding.rule,
        finding.verdict,
        finding.severity.word(),
        finding.what
    ));
    if !finding.place.member.is_empty() || finding.place.offset.is_some() {
        text.line(format!(
            "      at: {}",
            one_line(&finding.place.to_string())
        ));
    }
    if !finding.why.is_empty() {
        text.line(format!("      why: {}", finding.why));
    }
    if !finding.references.is_empty() {
        text.line(format!("      see: {}", finding.references.join(", ")));
    }
    text.line(format!("      do: {}", finding.advice));
}

/// A name forges no lines.
fn one_line(name: &str) -> String {
    name.replace('\n', "\\n")
}
