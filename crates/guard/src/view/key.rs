//! The keys of the view's rows. Parts are separated by blanks, which no name has and which come before all that
//! names have, so that rows are in the order of the names.

use custody_types::{Action, ArtifactName, Digest, ProjectName, VersionName};

/// The grants that have no outcome.
pub(crate) const OPEN: &str = "open";

fn artifact(name: &ArtifactName) -> String {
    format!("{} {}", name.project(), name.name())
}

fn name(name: &VersionName) -> String {
    format!("{} {:010}", artifact(&name.artifact), name.number.number())
}

/// Reads the name of a version at the end of a key.
pub(crate) fn name_in(key: &str) -> Option<VersionName> {
    let mut parts = key.rsplitn(4, ' ');
    let number: u32 = parts.next()?.parse().ok()?;
    let (name, project) = (parts.next()?, parts.next()?);
    format!("{project}/{name}@{number}").parse().ok()
}

/// The beginning of the keys of all versions, of those of a project or of an artifact: after the word `kind`.
pub(crate) fn beginning(
    kind: &str,
    project: Option<&ProjectName>,
    of: Option<&ArtifactName>,
) -> String {
    match (of, project) {
        (Some(of), _) => format!("{kind} {} ", artifact(of)),
        (None, Some(project)) => format!("{kind} {project} "),
        (None, None) => format!("{kind} "),
    }
}

/// The word of [`version`].
pub(crate) const VERSION: &str = "version";
/// The word of [`quarantine`].
pub(crate) const QUARANTINE: &str = "quarantine";

/// A version.
pub(crate) fn version(version: &VersionName) -> String {
    format!("{VERSION} {}", name(version))
}

/// That a version is in quarantine.
pub(crate) fn quarantine(version: &VersionName) -> String {
    format!("{QUARANTINE} {}", name(version))
}

/// That a scan holds a version.
pub(crate) fn waits(version: &VersionName) -> String {
    format!("waits {}", name(version))
}

/// That a version was rejected, by which entry.
pub(crate) fn rejected(version: &VersionName) -> String {
    format!("rejected {}", name(version))
}

/// That the bytes of a version were taken away, by which entry.
pub(crate) fn removed(version: &VersionName) -> String {
    format!("removed {}", name(version))
}

/// The approvals of a gate's decision, by what they bind.
pub(crate) fn endorsed(bound: &Digest) -> String {
    format!("endorsed {}", bound.to_hex())
}

/// The step of time of the last code by which an account signed in, by its pseudonym.
pub(crate) fn last_code(account: &str) -> String {
    format!("code {account}")
}

/// That a project was shredded.
pub(crate) fn shredded(project: &ProjectName) -> String {
    format!("{SHREDDED}{project}")
}

/// The beginning of the keys of [`shredded`].
pub(crate) const SHREDDED: &str = "shredded ";

/// The statement of the last scan of a version.
pub(crate) fn scan(version: &VersionName) -> String {
    format!("scan {}", name(version))
}

/// That a version of the artifact was made, or come to again.
pub(crate) fn made(version: &VersionName, entry: u64) -> String {
    let of = artifact(&version.artifact);
    format!("made {of} {entry:020} {:010}", version.number.number())
}

/// A version whose name another one was given after it, as programs did that took numbers from the index.
pub(crate) fn overtaken(version: &VersionName, content: &Digest) -> String {
    let number = version.number.number();
    let of = all_overtaken(Some(&version.artifact));
    format!("{of}{number:010} {}", content.to_hex())
}

/// The beginning of the keys of [`overtaken`], of all or of an artifact.
pub(crate) fn all_overtaken(of: Option<&ArtifactName>) -> String {
    beginning("overtaken", None, of)
}

/// The beginning of the keys of [`made`].
pub(crate) fn all_made(of: &ArtifactName) -> String {
    format!("made {} ", artifact(of))
}

/// That a version has a content.
pub(crate) fn content(version: &VersionName, content: &Digest) -> String {
    let artifact = &version.artifact;
    let number = version.number.number();
    format!(
        "content {} {} {} {number:010}",
        artifact.project(),
        content.to_hex(),
        artifact.name()
    )
}

/// The beginning of the keys of [`content`], of one artifact or of all.
pub(crate) fn with_content(
    project: &ProjectName,
    content: &Digest,
    of: Option<&ArtifactName>,
) -> String {
    let beginning = format!("content {project} {} ", content.to_hex());
    of.map_or_else(
        || beginning.clone(),
        |of| format!("{beginning}{} ", of.name()),
    )
}

/// The entry that makes a version record valid.
pub(crate) fn record(record: &Digest) -> String {
    format!("{}{}", RECORDS, record.to_hex())
}

/// The beginning of the keys of [`record`].
pub(crate) const RECORDS: &str = "record ";

/// The aliases of an artifact.
pub(crate) fn aliases(of: &ArtifactName) -> String {
    format!("aliases {}", artifact(of))
}

/// Why a content is held.
pub(crate) fn hold(project: &ProjectName, content: &Digest) -> String {
    format!("{}{}", holds(project), content.to_hex())
}

/// The beginning of the keys of [`hold`].
pub(crate) fn holds(project: &ProjectName) -> String {
    format!("hold {project} ")
}

/// What the last contract said of a content.
pub(crate) fn contract(project: &ProjectName, content: &Digest) -> String {
    format!("contract {project} {}", content.to_hex())
}

/// That findings in a content were approved.
pub(crate) fn approved(project: &ProjectName, content: &Digest, findings: &Digest) -> String {
    format!(
        "approved {project} {} {}",
        content.to_hex(),
        findings.to_hex()
    )
}

/// That the breaking of a contract by a content was approved.
pub(crate) fn waived(project: &ProjectName, content: &Digest, step_key: &Digest) -> String {
    format!(
        "waived {project} {} {}",
        content.to_hex(),
        step_key.to_hex()
    )
}

/// A run.
pub(crate) fn run(id: &str) -> String {
    format!("{}{id}", runs(None))
}

/// That a run is one of the project.
pub(crate) fn run_of(project: &ProjectName, id: &str) -> String {
    format!("{}{id}", runs(Some(project)))
}

/// The beginning of the keys of all runs, or of those of a project. Ids are in the order of time.
pub(crate) fn runs(project: Option<&ProjectName>) -> String {
    project.map_or_else(|| "run ".to_owned(), |project| format!("runs {project} "))
}

/// The statement of the last success of a step.
pub(crate) fn step(project: &ProjectName, step_key: &Digest) -> String {
    format!("step {project} {}", step_key.to_hex())
}

/// The record of the version that the last `change` made: of the policies, or of the rules.
pub(crate) fn in_force(change: Action) -> String {
    format!("force {}", change.verb())
}
