//! `custody put`.

use std::io::{self, Write};
use std::time::Duration;

use custody_backends::user_files::{self, Pieces};
use custody_types::{ExitCode, Problem};
use custody_wire::stream::PieceWriter;
use custody_wire::{PutQuery, SIGNATURE_KEY};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Put;
use crate::context::Context;
use crate::problems::user_files_problem;

pub(crate) fn run(context: &Context, args: Put) -> Result<ExitCode, Problem> {
    let expected = if args.verify {
        Some(expectation(&args)?)
    } else if args.trust.is_given() {
        return Err(Problem::new(
            "CUS-CLI-036",
            ExitCode::Usage,
            "it is said whose signature is expected, but not that one must be there",
        )
        .hint("add `--verify`; nothing was put"));
    } else {
        None
    };
    let files = user_files::find(&args.paths).map_err(|error| user_files_problem(&error))?;
    if files.is_empty() {
        return Err(
            Problem::new("CUS-CLI-012", ExitCode::Usage, "there is no file to put")
                .hint("name at least one file, or a folder with files"),
        );
    }
    let query = PutQuery {
        artifact: args.artifact,
        kind: args.kind,
        classification: args.classification,
    };
    let bar = progress_bar(context);
    let shown = bar.clone();
    let reply = context.client()?.put(&query, move |out| {
        let about: Vec<_> = expected
            .iter()
            .map(|expected| (SIGNATURE_KEY, expected.as_slice()))
            .collect();
        user_files::write_tar(&files, &about, &mut Counted { out, bar })
    });
    shown.finish_and_clear();
    let reply = reply?;
    let waits = reply.scan.as_ref().is_some_and(|scan| scan.waits);
    context.output.answer(reply, |reply, text| {
        let version = &reply.version;
        text.line(format!(
            "put {}: {} files, {}, {} newly stored, ledger entry {}",
            version.name, version.files, version.size, reply.stored, reply.entry.index
        ));
        text.line(format!("  {}", version.digest));
        if let Some(signature) = &reply.signature {
            text.line(format!("  signed by {}", signature.signer));
            if !signature.not_covered.is_empty() {
                let paths = signature.not_covered.join(", ");
                text.line(format!("    not covered by the signature: {paths}"));
            }
        }
        if let Some(scan) = &reply.scan {
            text.line(format!(
                "  scanned: {} ({})",
                scan.verdict,
                scan.rules.join(", ")
            ));
        }
        if let Some(scan) = reply.scan.as_ref().filter(|scan| scan.waits) {
            for line in &scan.findings {
                text.line(format!("    {line}"));
            }
            text.line(format!(
                "  in quarantine until someone who may runs `custody approve {} --reason …`",
                version.name
            ));
        }
        Ok(())
    })?;
    Ok(if waits {
        ExitCode::Approval
    } else {
        ExitCode::Done
    })
}

/// Returns, in JSON, the signature that the files must bear.
fn expectation(args: &Put) -> Result<Vec<u8>, Problem> {
    let [path] = args.paths.as_slice() else {
        return Err(Problem::new(
            "CUS-CLI-034",
            ExitCode::Usage,
            "a signature is of one file or folder",
        )
        .hint("name one with `--verify`"));
    };
    let expected = super::sign::expectation(path, &args.trust)?;
    serde_json::to_vec(&expected).map_err(|error| {
        Problem::new(
            "CUS-CLI-035",
            ExitCode::Fault,
            "the signature cannot be sent",
        )
        .because_of(&error)
    })
}

/// Shows bytes and rate after a quarter of a second, on a terminal only.
fn progress_bar(context: &Context) -> ProgressBar {
    if context.output.is_quiet() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} put {bytes} ({bytes_per_sec})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

struct Counted<'a> {
    out: &'a mut PieceWriter,
    bar: ProgressBar,
}

impl Pieces for Counted<'_> {
    fn give(&mut self, piece: Vec<u8>) -> io::Result<()> {
        let count = piece.len();
        self.out.give(piece)?;
        self.bar.inc(u64::try_from(count).unwrap_or(0));
        Ok(())
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.bar.inc(u64::try_from(count).unwrap_or(0));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
