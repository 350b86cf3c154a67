//! What the rows of the view say.

use std::collections::BTreeMap;

use custody_store::DomainId;
use custody_types::{
    Action, Alias, ArtifactName, Digest, ProjectName, Selector, Timestamp, VersionName,
    VersionNumber,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::view::key;
use crate::view::map::{Map, ViewError};

type Answer<T> = Result<T, ViewError>;

/// What the ledger says of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionFacts {
    /// Its identity.
    pub(crate) digest: Digest,
    /// The SHA-256 of its signed record.
    pub(crate) record: Digest,
    /// The entry that made it valid.
    pub(crate) entry: u64,
    /// The last entry that named it as what was made: that which made it valid, or that of a step which came to the
    /// same again.
    pub(crate) named: u64,
}

/// What the last contract said of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contract {
    pub(crate) passed: bool,
    /// The statement about the check.
    pub(crate) statement: Option<Digest>,
}

/// Why a content is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The entry that put it there.
    pub(crate) entry: u64,
    /// The version that broke its contract, or has a file of one that did.
    pub(crate) version: VersionName,
    /// The statement about the check.
    pub(crate) statement: Option<Digest>,
    /// The step key of the check.
    pub(crate) step_key: Option<Digest>,
    /// The held content of which it has a file.
    pub(crate) shares: Option<Digest>,
}

/// The approval of a gate's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endorsement {
    pub(crate) entry: u64,
    /// When it was entered.
    pub(crate) time: Timestamp,
    /// The pseudonym of who approved.
    pub(crate) by: String,
    pub(crate) statement: Option<Digest>,
    /// The record of the policies that were in force then; none: the built-in ones alone.
    pub(crate) policies: Option<Digest>,
}

/// What the ledger says of a project whose keys were destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shredded {
    /// The entry that says so.
    pub(crate) entry: u64,
    /// The domain that the keys were of.
    pub(crate) domain: DomainId,
}

/// What the ledger says of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFacts {
    pub(crate) project: ProjectName,
    /// The entry that let it start.
    pub(crate) entry: u64,
    /// The entry of its end.
    pub(crate) ended: Option<u64>,
}

/// A person's decision: an approval, or a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// The ledger entry of the decision.
    pub entry: u64,
    /// The signed statement that says who decided and why.
    pub statement: Option<Digest>,
    /// The record of the policies that were in force then; none: the built-in ones alone.
    pub policies: Option<Digest>,
}

impl Waiver {
    /// Returns whether the policies are still those under which it was decided.
    fn is_in_force(&self, map: &mut Map<'_>) -> Answer<bool> {
        Ok(self.policies == in_force(map, Action::ChangePolicy)?)
    }
}

fn read<T: DeserializeOwned>(map: &mut Map<'_>, key: &str) -> Answer<Option<T>> {
    map.get(key)?.as_deref().map(parse).transpose()
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    serde_json::from_slice(bytes).map_err(|_| ViewError::Wrong("a row cannot be read"))
}

fn named(key: &str) -> Answer<VersionName> {
    key::name_in(key).ok_or(ViewError::Wrong("a row names no version"))
}

/// Returns what is said of a version, if there is one.
pub(crate) fn version(map: &mut Map<'_>, name: &VersionName) -> Answer<Option<VersionFacts>> {
    read(map, &key::version(name))
}

/// Finds the version that an artifact's selector means.
pub(crate) fn resolve(
    map: &mut Map<'_>,
    artifact: &ArtifactName,
    selector: &Selector,
) -> Answer<Option<(VersionName, VersionFacts)>> {
    let name = match selector {
        Selector::Number(number) => Some(artifact.version(*number)),
        Selector::Latest => latest(map, artifact)?,
        Selector::Alias(alias) => {
            let number = aliases(map, artifact)?.get(alias).copied();
            number.map(|number| artifact.version(number))
        }
        Selector::Digest(digest) => {
            let prefix = key::with_content(artifact.project(), digest, Some(artifact));
            match last_number(map, artifact, &prefix)? {
                Some(name) => Some(name),
                None => {
                    let overtaken = overtaken(map, Some(artifact))?;
                    let mut of_content = overtaken.into_iter();
                    return Ok(of_content.find(|(_, facts)| facts.digest == *digest));
                }
            }
        }
    };
    let Some(name) = name else { return Ok(None) };
    Ok(version(map, &name)?.map(|facts| (name, facts)))
}

/// Lists the versions, of all or of an artifact, whose names others were given after them.
pub(crate) fn overtaken(
    map: &mut Map<'_>,
    of: Option<&ArtifactName>,
) -> Answer<Vec<(VersionName, VersionFacts)>> {
    let rows = map.list(&key::all_overtaken(of), None, usize::MAX)?;
    let facts = rows.iter().map(|row| {
        let (key, _) = row.key.rsplit_once(' ').unwrap_or_default();
        Ok((named(key)?, parse(&row.value)?))
    });
    facts.collect()
}

/// Returns the version that was named last and is not in quarantine. What is in quarantine and was named after it is
/// gone through.
fn latest(map: &mut Map<'_>, artifact: &ArtifactName) -> Answer<Option<VersionName>> {
    let prefix = key::all_made(artifact);
    let mut at = format!("{prefix}~");
    while let Some(row) = map.before(&at)?.filter(|row| row.key.starts_with(&prefix)) {
        let name = number_in(artifact, &row.key)?;
        if !map.has(&key::quarantine(&name))? {
            return Ok(Some(name));
        }
        at = row.key;
    }
    Ok(None)
}

fn last_number(
    map: &mut Map<'_>,
    artifact: &ArtifactName,
    prefix: &str,
) -> Answer<Option<VersionName>> {
    let row = map.before(&format!("{prefix}~"))?;
    let row = row.filter(|row| row.key.starts_with(prefix));
    row.map(|row| number_in(artifact, &row.key)).transpose()
}

fn number_in(artifact: &ArtifactName, key: &str) -> Answer<VersionName> {
    let number = key.rsplit(' ').next().and_then(|text| text.parse().ok());
    let number = number.and_then(VersionNumber::new);
    let number = number.ok_or(ViewError::Wrong("a row names no version"))?;
    Ok(artifact.version(number))
}

/// Returns the version of the highest number.
pub(crate) fn highest(map: &mut Map<'_>, artifact: &ArtifactName) -> Answer<Option<VersionName>> {
    let prefix = key::beginning(key::VERSION, None, Some(artifact));
    last_number(map, artifact, &prefix)
}

/// A version, its place in the list, and whether it is in quarantine.
pub(crate) type Listed = (VersionName, VersionFacts, bool);

/// Lists versions in order, those of a project or an artifact alone where one is given; `after`: the last before
/// them; `held`: those in quarantine, whose rows are apart.
pub(crate) fn list(
    map: &mut Map<'_>,
    (project, artifact): (Option<&ProjectName>, Option<&ArtifactName>),
    held: bool,
    after: Option<&VersionName>,
    most: usize,
) -> Answer<Vec<Listed>> {
    let kind = if held { key::QUARANTINE } else { key::VERSION };
    let place = if held { key::quarantine } else { key::version };
    let prefix = key::beginning(kind, project, artifact);
    let after = after.map(place);
    let mut listed = Vec::new();
    for row in map.list(&prefix, after.as_deref(), most)? {
        let name = named(&row.key)?;
        let facts = version(map, &name)?.ok_or(ViewError::Wrong("a version is missing"))?;
        let held = held || map.has(&key::quarantine(&name))?;
        listed.push((name, facts, held));
    }
    Ok(listed)
}

/// Lists the projects that come after one, in order, at most `most`; what is in them is not gone through.
pub(crate) fn projects(
    map: &mut Map<'_>,
    after: Option<&ProjectName>,
    most: usize,
) -> Answer<Vec<ProjectName>> {
    let prefix = key::beginning(key::VERSION, None, None);
    let behind = |of: &ProjectName| format!("{}~", key::beginning(key::VERSION, Some(of), None));
    let mut at = after.map(behind);
    let mut found = Vec::new();
    while found.len() < most
        && let Some(row) = map.list(&prefix, at.as_deref(), 1)?.first()
    {
        let project = named(&row.key)?.artifact.project().clone();
        at = Some(behind(&project));
        found.push(project);
    }
    Ok(found)
}

/// Lists the artifacts of a project that come after one, in order, at most `most`; their versions are not gone through.
pub(crate) fn artifacts(
    map: &mut Map<'_>,
    project: &ProjectName,
    after: Option<&ArtifactName>,
    most: usize,
) -> Answer<Vec<ArtifactName>> {
    let prefix = key::beginning(key::VERSION, Some(project), None);
    let behind = |of: &ArtifactName| format!("{}~", key::beginning(key::VERSION, None, Some(of)));
    let mut at = after.map(behind);
    let mut found = Vec::new();
    while found.len() < most
        && let Some(row) = map.list(&prefix, at.as_deref(), 1)?.first()
    {
        let artifact = named(&row.key)?.artifact;
        at = Some(behind(&artifact));
        found.push(artifact);
    }
    Ok(found)
}

/// Lists the versions of a project that have a content.
pub(crate) fn with_content(
    map: &mut Map<'_>,
    project: &ProjectName,
    content: &Digest,
) -> Answer<Vec<VersionName>> {
    let prefix = key::with_content(project, content, None);
    let listed = map.list(&prefix, None, usize::MAX)?;
    let names = listed.iter().map(|row| {
        let (rest, number) = row.key.rsplit_once(' ')?;
        let (_, name) = rest.rsplit_once(' ')?;
        let number: u32 = number.parse().ok()?;
        format!("{project}/{name}@{number}").parse().ok()
    });
    let names: Option<_> = names.collect();
    names.ok_or(ViewError::Wrong("a row names no version"))
}

/// Returns the entry that makes a version record valid, if one does.
pub(crate) fn entry_of(map: &mut Map<'_>, record: &Digest) -> Answer<Option<u64>> {
    read(map, &key::record(record))
}

/// Lists the version records that are valid.
pub(crate) fn records(map: &mut Map<'_>) -> Answer<BTreeMap<Digest, u64>> {
    let mut valid = BTreeMap::new();
    for row in map.list(key::RECORDS, None, usize::MAX)? {
        let digest = row.key.strip_prefix(key::RECORDS).map(Digest::from_hex);
        let digest = digest.and_then(Result::ok);
        let digest = digest.ok_or(ViewError::Wrong("a row names no record"))?;
        valid.insert(digest, parse(&row.value)?);
    }
    Ok(valid)
}

/// Returns the aliases of an artifact.
pub(crate) fn aliases(
    map: &mut Map<'_>,
    artifact: &ArtifactName,
) -> Answer<BTreeMap<Alias, VersionNumber>> {
    Ok(read(map, &key::aliases(artifact))?.unwrap_or_default())
}

/// Returns why a content is held in a project, if it is.
pub(crate) fn hold(
    map: &mut Map<'_>,
    project: &ProjectName,
    content: &Digest,
) -> Answer<Option<Hold>> {
    read(map, &key::hold(project, content))
}

/// Lists the contents that are held in a project.
pub(crate) fn held_contents(map: &mut Map<'_>, project: &ProjectName) -> Answer<Vec<Digest>> {
    let prefix = key::holds(project);
    let listed = map.list(&prefix, None, usize::MAX)?;
    let contents = listed
        .iter()
        .map(|row| Digest::from_hex(row.key.strip_prefix(&prefix)?).ok());
    let contents: Option<_> = contents.collect();
    contents.ok_or(ViewError::Wrong("a row names no content"))
}

/// Returns whether a scan holds a version.
pub(crate) fn waits(map: &mut Map<'_>, name: &VersionName) -> Answer<bool> {
    map.has(&key::waits(name))
}

/// Returns the rejection of a version, if it was rejected.
pub(crate) fn rejection(map: &mut Map<'_>, name: &VersionName) -> Answer<Option<Waiver>> {
    read(map, &key::rejected(name))
}

/// Returns the entry by which the bytes of a version were taken away, if they were.
pub(crate) fn removal(map: &mut Map<'_>, name: &VersionName) -> Answer<Option<u64>> {
    read(map, &key::removed(name))
}

/// Lists the approvals of a gate's decision, by what they bind.
pub(crate) fn endorsements(map: &mut Map<'_>, bound: &Digest) -> Answer<Vec<Endorsement>> {
    Ok(read(map, &key::endorsed(bound))?.unwrap_or_default())
}

/// Returns the step of time of the last code by which an account signed in, by its pseudonym.
pub(crate) fn last_code(map: &mut Map<'_>, account: &str) -> Answer<Option<u64>> {
    read(map, &key::last_code(account))
}

/// Returns what is said of a project's being shredded, if it was.
pub(crate) fn shredded(map: &mut Map<'_>, project: &ProjectName) -> Answer<Option<Shredded>> {
    read(map, &key::shredded(project))
}

/// Lists the projects that were shredded.
pub(crate) fn all_shredded(map: &mut Map<'_>) -> Answer<Vec<(ProjectName, Shredded)>> {
    let rows = map.list(key::SHREDDED, None, usize::MAX)?;
    let read = rows.iter().map(|row| {
        let project = row.key.strip_prefix(key::SHREDDED);
        let project = project.and_then(|project| project.parse().ok());
        let project = project.ok_or(ViewError::Wrong("a row names no project"))?;
        Ok((project, parse(&row.value)?))
    });
    read.collect()
}

/// Returns whether a version with this content is held: by its scan, for its content, or for good.
pub(crate) fn is_held(map: &mut Map<'_>, name: &VersionName, content: &Digest) -> Answer<bool> {
    Ok(waits(map, name)?
        || map.has(&key::rejected(name))?
        || map.has(&key::hold(name.artifact.project(), content))?)
}

/// Returns what the last contract said of a content.
pub(crate) fn contract(
    map: &mut Map<'_>,
    project: &ProjectName,
    content: &Digest,
) -> Answer<Option<Contract>> {
    read(map, &key::contract(project, content))
}

/// Returns the approval of findings in a content, if they were approved in a project, whether or not it still counts.
pub(crate) fn approval(
    map: &mut Map<'_>,
    project: &ProjectName,
    content: &Digest,
    findings: &Digest,
) -> Answer<Option<Waiver>> {
    read(map, &key::approved(project, content, findings))
}

/// Returns the approval of a content for all that it breaks the contract of a step key, if there is one, whether or not it
/// still counts.
pub(crate) fn waiver(
    map: &mut Map<'_>,
    project: &ProjectName,
    content: &Digest,
    step_key: &Digest,
) -> Answer<Option<Waiver>> {
    read(map, &key::waived(project, content, step_key))
}

/// Leaves a decision that was made under the policies which are in force.
pub(crate) fn unless_void(map: &mut Map<'_>, decided: Option<Waiver>) -> Answer<Option<Waiver>> {
    match decided {
        Some(decided) if decided.is_in_force(map)? => Ok(Some(decided)),
        _ => Ok(None),
    }
}

/// Returns the statement of the last scan of a version.
pub(crate) fn scan(map: &mut Map<'_>, name: &VersionName) -> Answer<Option<Digest>> {
    read(map, &key::scan(name))
}

/// Returns what is said of a run, if there is one.
pub(crate) fn run(map: &mut Map<'_>, id: &str) -> Answer<Option<RunFacts>> {
    read(map, &key::run(id))
}

/// Lists the runs before one, of a project where one is given, the newest first.
pub(crate) fn runs(
    map: &mut Map<'_>,
    project: Option<&ProjectName>,
    before: Option<&str>,
    most: usize,
) -> Answer<Vec<(String, RunFacts)>> {
    let prefix = key::runs(project);
    let mut at = format!("{prefix}{}", before.unwrap_or("~"));
    let mut found = Vec::new();
    while found.len() < most
        && let Some(row) = map.before(&at)?
        && let Some(id) = row.key.strip_prefix(&prefix)
    {
        let facts = run(map, id)?.ok_or(ViewError::Wrong("a run is missing"))?;
        found.push((id.to_owned(), facts));
        at = row.key;
    }
    Ok(found)
}

/// Returns the statement of the last success of a step.
pub(crate) fn step(
    map: &mut Map<'_>,
    project: &ProjectName,
    step_key: &Digest,
) -> Answer<Option<Digest>> {
    read(map, &key::step(project, step_key))
}

/// Returns the record of the version that the last `change` made: of the policies, or of the rules.
pub(crate) fn in_force(map: &mut Map<'_>, change: Action) -> Answer<Option<Digest>> {
    read(map, &key::in_force(change))
}

/// Returns the entries of the grants that have no outcome, by the grant's id.
pub(crate) fn open_grants(map: &mut Map<'_>) -> Answer<BTreeMap<String, u64>> {
    Ok(read(map, key::OPEN)?.unwrap_or_default())
}
