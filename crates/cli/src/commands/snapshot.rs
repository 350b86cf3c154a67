//! Keeping what a project's folder holds as versions, for `custody run --snapshot`.

use std::collections::BTreeMap;
use std::io;

use custody_backends::user_files::{self, Pieces};
use custody_client::Client;
use custody_pipeline::snapshot::{self, Gathered, GatheredSource};
use custody_pipeline::{CodeFile, collect};
use custody_types::{
    ArtifactName, Classification, Digest, Kind, Problem, ProblemKind, Reference, Selector,
    VersionName, code,
};
use custody_wire::{OriginOfPut, PutQuery, Snapshot};

use super::put::{self, append_original};
use crate::context::Context;

/// Keeps what these steps need of the project's folder. What is kept already is found and not sent again. Returns notes for a
/// person too.
pub(super) fn take(
    context: &Context,
    client: &Client,
    targets: &[String],
) -> Result<(Snapshot, Vec<String>), Problem> {
    let gathered = snapshot::gather(&context.project_folder()?, targets)?;
    let digest = gathered.digest();
    let Gathered {
        artifact,
        files,
        code,
        sources,
        commit,
        notes,
    } = gathered;
    let query = PutQuery {
        artifact,
        kind: Kind::Code,
        classification: Classification::Internal,
        purposes: String::new(),
        origin: None,
    };
    let folder = keep(context, client, &query, &digest, move |out| {
        write_code(&files, out)
    })?;
    let mut kept = Snapshot {
        folder,
        code,
        sources: BTreeMap::new(),
        commit,
    };
    for source in sources {
        let name = keep_source(context, client, &source)?;
        kept.sources.insert(source.what, name);
    }
    Ok((kept, notes))
}

fn keep_source(
    context: &Context,
    client: &Client,
    source: &GatheredSource,
) -> Result<VersionName, Problem> {
    let unsent =
        |error| Problem::new(code::CLI_038, "the origin cannot be sent").because_of(&error);
    let origin = OriginOfPut {
        declared: serde_json::to_value(&source.origin).map_err(unsent)?,
        what: source.what.clone(),
        sha256: collect::digest(&source.files),
        // The version has them as they were.
        files: Vec::new(),
    };
    let purposes: Vec<_> = source.purposes.iter().map(ToString::to_string).collect();
    let query = PutQuery {
        artifact: source.artifact.clone(),
        kind: Kind::Dataset,
        classification: source.origin.classification,
        purposes: purposes.join(","),
        origin: Some(serde_json::to_string(&origin).map_err(unsent)?),
    };
    let files = source.files.clone();
    keep(context, client, &query, &source.digest(), move |out| {
        let mut archive = tar::Builder::new(out);
        for file in &files {
            append_original(&mut archive, &file.entry.path, file)?;
        }
        archive.finish()
    })
}

/// Finds the version of these bytes, or makes it.
fn keep(
    context: &Context,
    client: &Client,
    query: &PutQuery,
    digest: &Digest,
    write: impl FnOnce(&mut dyn Pieces) -> io::Result<()> + Send + 'static,
) -> Result<VersionName, Problem> {
    if let Some(name) = find(client, &query.artifact, digest)? {
        return Ok(name);
    }
    let reply = put::send(context, client, query, write)?;
    if reply.version.digest == *digest {
        return Ok(reply.version.name);
    }
    Err(Problem::new(
        code::PIPE_010,
        format!("`{}` changed while it was kept", query.artifact),
    )
    .hint("run again when nothing writes to the project's folder"))
}

fn find(
    client: &Client,
    artifact: &ArtifactName,
    digest: &Digest,
) -> Result<Option<VersionName>, Problem> {
    let reference = Reference {
        artifact: artifact.clone(),
        selector: Selector::Digest(*digest),
    };
    match client.show(&reference.to_string()) {
        Ok(found) => Ok(Some(found.version.name)),
        Err(problem) if problem.kind() == ProblemKind::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

fn write_code(files: &[CodeFile], out: &mut dyn Pieces) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    for file in files {
        let size = file.bytes.len() as u64;
        let mut bytes = file.bytes.as_slice();
        user_files::append_reader(&mut archive, &file.path, &mut bytes, size, file.executable)?;
    }
    archive.finish()
}
