//! `custody put`.

use std::io::{self, Write};
use std::time::Duration;

use custody_backends::user_files::{self, Pieces};
use custody_client::Client;
use custody_host::{found_file, user_files_problem};
use custody_pipeline::collect::{self, Collected, Looked, SourceFile};
use custody_pipeline::file::Origin;
use custody_tabular::Format;
use custody_types::{Classification, ExitCode, FilePath, Kind, Problem, code, counted};
use custody_wire::stream::PieceWriter;
use custody_wire::{OriginOfPut, PutQuery, PutReply, SIGNATURE_KEY};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Put;
use crate::context::Context;

pub(crate) fn run(context: &Context, args: Put) -> Result<ExitCode, Problem> {
    let expected = if args.verify {
        Some(verification_policy(&args)?)
    } else if args.trust.is_given() {
        return Err(Problem::new(
            code::CLI_036,
            "it is said whose signature is expected, but not that one must be there",
        )
        .hint("add `--verify`; nothing was put"));
    } else {
        None
    };
    let files = user_files::find(&args.paths).map_err(|error| user_files_problem(&error))?;
    if files.is_empty() {
        return Err(Problem::new(code::CLI_012, "there is no file to put")
            .hint("name at least one file, or a folder with files"));
    }
    let (query, collected, notes) = collected(&args, &files)?;
    let reply = send(context, context.client()?, &query, move |out| {
        let about: Vec<_> = expected
            .iter()
            .map(|expected| (SIGNATURE_KEY, expected.as_slice()))
            .collect();
        match &collected {
            Some(collected) => write_tar(collected, &about, out),
            None => user_files::write_tar(&files, &about, out),
        }
    })?;
    let waits = reply.version.quarantined;
    context.output.answer(reply, |reply, text| {
        let version = &reply.version;
        let stored = reply
            .stored
            .map(|stored| format!(", {stored} newly stored"));
        text.line(format!(
            "put {}: {}, {}{}, ledger entry {}",
            version.name,
            counted(version.files, "file"),
            version.size,
            stored.unwrap_or_default(),
            reply.entry.index
        ));
        text.line(format!("  {}", version.digest));
        for note in &notes {
            text.line(format!("  {note}"));
        }
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
        }
        if version.quarantined {
            for why in &version.held {
                text.line(format!("    {why}"));
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

/// Makes a version of the files that `write` gives, and shows how far it is.
pub(super) fn send(
    context: &Context,
    client: &Client,
    query: &PutQuery,
    write: impl FnOnce(&mut dyn Pieces) -> io::Result<()> + Send + 'static,
) -> Result<PutReply, Problem> {
    let bar = progress_bar(context);
    let shown = bar.clone();
    let reply = client.put(query, move |out| write(&mut Counted { out, bar }));
    shown.finish_and_clear();
    reply
}

/// The most bytes of an origin that is sent, in JSON; a longer one does not list its files.
const ORIGIN_BYTES: usize = 1 << 14;

/// How the version is described, the files where tables are among them, and the notes.
type Taken = (PutQuery, Option<Vec<Collected>>, Vec<String>);

/// Settles what becomes of each file, and how the version is described. Returns the notes too.
fn collected(args: &Put, files: &[user_files::UserFile]) -> Result<Taken, Problem> {
    let origin = args.origin.as_deref().map(|path| {
        let text = user_files::read_text(path, 1 << 20);
        Origin::parse(&text.map_err(|error| user_files_problem(&error))?)
    });
    let origin = origin.transpose()?;
    if let (Some(origin), Some(classification)) = (&origin, args.classification)
        && origin.classification != classification
    {
        return Err(Problem::new(
            code::CLI_037,
            format!(
                "`--classification` says {classification}, and the origin {}",
                origin.classification
            ),
        )
        .hint("say it once; nothing was put"));
    }
    // What is no dataset has no tables, and what a signature covers stays as it is.
    let format = match args.format {
        None if args.kind != Kind::Dataset || args.verify => Some(Format::Files),
        format => format,
    };
    let purposes: Vec<_> = args.purposes.iter().map(ToString::to_string).collect();
    let mut query = PutQuery {
        artifact: args.artifact.clone(),
        kind: args.kind,
        classification: origin
            .as_ref()
            .map(|origin| origin.classification)
            .or(args.classification)
            .unwrap_or(Classification::Confidential),
        purposes: purposes.join(","),
        origin: None,
    };
    if format == Some(Format::Files) && origin.is_none() {
        return Ok((query, None, Vec::new()));
    }
    let found = files.iter().cloned().map(found_file);
    let found = collect::hashed(found.collect())?;
    let declared = collect::declared(format, args.csv.as_deref(), args.columns.as_deref())?;
    let what = args.paths.iter().map(|path| path.display().to_string());
    let what = what.collect::<Vec<_>>().join(" ");
    let Looked {
        files: found,
        collected,
        mut notes,
    } = collect::look(&what, &declared, found)?;
    if collected.iter().all(|file| file.table.is_none()) {
        notes.clear();
    }
    let origin = origin.map(|origin| {
        let mut put = OriginOfPut {
            declared: serde_json::to_value(origin)?,
            what,
            sha256: collect::digest(&found),
            files: collect::described(&found),
        };
        let text = serde_json::to_string(&put)?;
        if text.len() <= ORIGIN_BYTES {
            return Ok(text);
        }
        put.files.clear();
        serde_json::to_string(&put)
    });
    query.origin = origin
        .transpose()
        .map_err(|error| Problem::new(code::CLI_038, "the origin cannot be sent").because(error))?;
    Ok((query, Some(collected), notes))
}

/// Writes the files as a tar stream, tables as Parquet.
fn write_tar(files: &[Collected], about: &[(&str, &[u8])], out: &mut dyn Pieces) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    if !about.is_empty() {
        archive.append_pax_extensions(about.iter().copied())?;
    }
    for file in files {
        let Some(table) = file.made() else {
            append_original(&mut archive, &file.path, &file.from)?;
            continue;
        };
        // A tar stream says how long a file is before it comes.
        let mut parquet = Vec::new();
        file.write(table, &mut parquet)
            .map_err(|problem| io::Error::other(problem.because.join(": ")))?;
        user_files::append_bytes(&mut archive, &file.path, &parquet)?;
    }
    archive.finish()
}

/// Appends a file to a tar stream as it stands.
pub(super) fn append_original(
    archive: &mut tar::Builder<&mut dyn Pieces>,
    path: &FilePath,
    file: &SourceFile,
) -> io::Result<()> {
    let (mut original, executable) = file.standing.open().map_err(io::Error::other)?;
    let size = original.seek(io::SeekFrom::End(0))?;
    original.rewind()?;
    user_files::append_reader(archive, path, &mut original, size, executable)
}

/// Returns, in JSON, the signature that the files must bear.
fn verification_policy(args: &Put) -> Result<Vec<u8>, Problem> {
    let [path] = args.paths.as_slice() else {
        return Err(
            Problem::new(code::CLI_034, "a signature is of one file or folder")
                .hint("name one with `--verify`"),
        );
    };
    let expected = super::sign::verification_policy(path, &args.trust)?;
    serde_json::to_vec(&expected).map_err(|error| {
        Problem::new(code::CLI_035, "the signature cannot be sent").because_of(&error)
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
