//! `custody new`.

use std::path::Path;

use custody_backends::user_files;
use custody_backends::workspace::{FOLDER, Workspace};
use custody_host::{LocalFolder, user_files_problem};
use custody_pipeline::draft::{Draft, Task, Wish, draft};
use custody_pipeline::{collect, file};
use custody_types::{ExitCode, Problem, code};
use custody_wire::Schema;
use serde::Serialize;

use crate::args::New;
use crate::context::Context;

/// What was written.
#[derive(Serialize)]
struct Made {
    project: String,
    kind: String,
    folder: String,
    files: Vec<String>,
    notes: Vec<String>,
    next: Vec<String>,
}

impl Schema for Made {
    const NAME: &'static str = "custody/new/1";
}

pub(crate) fn run(context: &Context, args: New) -> Result<ExitCode, Problem> {
    let folder = match &args.to {
        Some(folder) => context.settings.here.join(folder),
        // A pipeline file stands where the workspace is.
        None => Workspace::find(&context.folder()).map_or_else(
            |_| context.folder(),
            |workspace| workspace.project().to_owned(),
        ),
    };
    refuse_existing(&folder, &[file::NAME])?;
    let wish = Wish {
        source: source(&folder, &context.settings.here.join(&args.file))?,
        declared: collect::declared(args.format, args.csv.as_deref(), None)?,
        project: args.project,
        label: args.label,
        task: args.kind,
    };
    let draft = draft(&LocalFolder::new(folder.clone()), &wish)?;
    let names: Vec<_> = draft.files.iter().map(|(name, _)| *name).collect();
    refuse_existing(&folder, &names)?;
    write(&folder, &draft)?;
    let next = next(context, args.to.as_deref(), &folder, &draft);
    let made = Made {
        project: draft.project.to_string(),
        kind: draft.task.to_string(),
        folder: folder.display().to_string(),
        files: names.iter().map(ToString::to_string).collect(),
        notes: draft.notes,
        next,
    };
    context.output.answer(made, |made, text| {
        text.line(format!("project {} in {}", made.project, made.folder));
        for note in &made.notes {
            text.line(format!("  {note}"));
        }
        text.line(format!("written: {}", made.files.join(", ")));
        text.line("  custody.yaml holds values of your file, as bounds and lists of what is allowed: share it as you would the data");
        text.line("next:");
        for command in &made.next {
            text.line(format!("  {command}"));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

/// Returns the file as the project names it: below its folder, or by its whole path.
fn source(folder: &Path, file: &Path) -> Result<String, Problem> {
    let unreadable = |because: String| {
        Problem::new(
            code::CLI_040,
            format!("there is no file `{}`", file.display()),
        )
        .because(because)
        .hint("name a file with a table: Parquet, CSV, TSV, JSON lines or Arrow")
    };
    if file.is_dir() {
        return Err(Problem::new(
            code::CLI_042,
            format!("`{}` is a folder", file.display()),
        )
        .because("a project begins with one file of Parquet, CSV, TSV, JSON lines or Arrow")
        .hint("name one of the folder's files; where they are one table, change `file:` in the written `custody.yaml` to the folder or a pattern"));
    }
    let (_, _) = user_files::open(file).map_err(|error| user_files_problem(&error))?;
    let whole = file
        .canonicalize()
        .map_err(|error| unreadable(error.to_string()))?;
    // A folder that is not there yet holds no file.
    let inside = folder
        .canonicalize()
        .ok()
        .and_then(|folder| whole.strip_prefix(folder).map(Path::to_owned).ok());
    let path = inside.unwrap_or(whole);
    path.to_str()
        .map(ToOwned::to_owned)
        .ok_or_else(|| unreadable("its name is not UTF-8".to_owned()))
}

/// Refuses to write over anything.
fn refuse_existing(folder: &Path, names: &[&str]) -> Result<(), Problem> {
    let there = names
        .iter()
        .filter(|name| folder.join(name).symlink_metadata().is_ok());
    let there: Vec<_> = there.map(|name| format!("`{name}`")).collect();
    if there.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        code::CLI_041,
        format!(
            "there is {} in {} already",
            there.join(", "),
            folder.display()
        ),
    )
    .because("a new project writes over nothing")
    .hint("name another folder: `custody new FILE --to FOLDER`"))
}

fn write(folder: &Path, draft: &Draft) -> Result<(), Problem> {
    user_files::make_folder(folder).map_err(|error| user_files_problem(&error))?;
    // The pipeline file comes last.
    // CRASH: before it some of the others are there; the next call names them and writes nothing.
    for (name, content) in draft.files.iter().rev() {
        user_files::write_new_file(&folder.join(name), content.as_bytes())
            .map_err(|error| user_files_problem(&error))?;
    }
    Ok(())
}

/// Returns the commands that come next.
fn next(context: &Context, to: Option<&Path>, folder: &Path, draft: &Draft) -> Vec<String> {
    let mut next = Vec::new();
    if let Some(to) = to {
        next.push(format!("cd {}", quoted(&to.display().to_string())));
    } else if folder != context.settings.here {
        next.push(format!("cd {}", quoted(&folder.display().to_string())));
    }
    let begun = folder.join(FOLDER).join("workspace.json").exists();
    if begun {
        next.push("custody run --dry-run     # what will run".to_owned());
    } else {
        next.push(
            "custody init              # a workspace: the encrypted store, the ledger, a key file"
                .to_owned(),
        );
    }
    next.push("custody run               # collect, check and all that follows".to_owned());
    let made = if draft.task == Task::None {
        "raw"
    } else {
        "model"
    };
    next.push(format!("custody verify {}/{made}@1", draft.project));
    next
}

/// Writes a path as a shell reads it.
fn quoted(path: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-".contains(letter);
    if path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}
