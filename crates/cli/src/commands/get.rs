//! `custody get`.

use std::path::{Path, PathBuf};

use custody_backends::user_files;
use custody_host::user_files_problem;
use custody_types::{ByteSize, ExitCode, Kind, Problem, ProblemKind, counted};
use custody_wire::{Schema, VersionView};
use serde::Serialize;

use crate::args::Get;
use crate::context::Context;

#[derive(Debug, Serialize)]
struct Got {
    reference: String,
    to: PathBuf,
    files: u64,
    size: ByteSize,
    /// The file with the attestations about a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<PathBuf>,
}

impl Schema for Got {
    const NAME: &'static str = "custody/get/1";
}

pub(crate) fn run(context: &Context, args: Get) -> Result<ExitCode, Problem> {
    let client = context.client()?;
    let reference = args.reference.to_string();
    // Who may take it out and not list it gets the files alone.
    let version = match client.show(&reference) {
        Ok(shown) => Some(shown.version),
        Err(problem) if matches!(problem.kind(), ProblemKind::Denied | ProblemKind::NotFound) => {
            None
        }
        Err(problem) => return Err(problem),
    };
    let named = version
        .as_ref()
        .map_or_else(|| reference.clone(), |version| version.name.to_string());
    let target = args
        .to
        .unwrap_or_else(|| PathBuf::from(named.replace('/', "-")));
    let (files, bytes) = client.export(&named, |stream| {
        user_files::write_folder(stream, &target).map_err(|error| user_files_problem(&error))
    })?;
    let claims = version
        .filter(|version| version.kind == Kind::Model)
        .map(|version| claims(context, &version, &target))
        .transpose()?;
    let got = Got {
        reference,
        claims,
        to: target,
        files,
        size: ByteSize::from_bytes(bytes),
    };
    context.output.answer(got, |got, text| {
        text.line(format!(
            "got {}: {}, {} in {}",
            got.reference,
            counted(got.files, "file"),
            got.size,
            got.to.display()
        ));
        if let Some(claims) = &got.claims {
            text.line(format!("  attestations in {}", claims.display()));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

/// Writes the attestations about a model beside its folder: a file in it would be one that its signature
/// does not cover.
fn claims(context: &Context, version: &VersionView, target: &Path) -> Result<PathBuf, Problem> {
    let lines = context.client()?.claims(&version.name.to_string())?;
    let mut file = target.as_os_str().to_owned();
    file.push(".claims.jsonl");
    let file = PathBuf::from(file);
    user_files::write_file(&file, &lines).map_err(|error| user_files_problem(&error))?;
    Ok(file)
}
