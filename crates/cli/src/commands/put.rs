//! `custody put`.

use std::io::{self, Write};
use std::time::Duration;

use custody_backends::user_files;
use custody_types::{ExitCode, Problem};
use custody_wire::PutQuery;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Put;
use crate::context::Context;
use crate::problems::user_files_problem;

pub(crate) fn run(context: &Context, args: Put) -> Result<ExitCode, Problem> {
    if args.verify {
        signed(&args)?;
    }
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
        user_files::write_tar(&files, &mut Counted { out, bar })
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

/// Refuses a model whose signature does not hold.
fn signed(args: &Put) -> Result<(), Problem> {
    let [path] = args.paths.as_slice() else {
        return Err(Problem::new(
            "CUS-CLI-034",
            ExitCode::Usage,
            "a signature is of one file or folder",
        )
        .hint("name one with `--verify`"));
    };
    super::sign::on_disk(path, &args.trust).map(drop)
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

struct Counted<W> {
    out: W,
    bar: ProgressBar,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.bar.inc(u64::try_from(count).unwrap_or(0));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
