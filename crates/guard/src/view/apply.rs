//! What an entry of the ledger changes in the view.
//!
//! Quarantine holds by content: a batch that broke its contract is held in its project, whatever version has its
//! bytes, until an approval or a passing contract lets it out. A model that a scan left to a person is held as that
//! version.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use custody_ledger::{Entry, Outcome, Phase};
use custody_store::DomainId;
use custody_types::{Action, Alias, Digest, ProjectName, VersionName};
use serde::Serialize;

use crate::publisher::CHECK;
use crate::view::map::{Map, ViewError};
use crate::view::rows::{Contract, Endorsement, Hold, RunFacts, Shredded, VersionFacts, Waiver};
use crate::view::{index, key, rows};

/// The fact that names a version that goes into quarantine.
pub(crate) const QUARANTINE: &str = "quarantine";
/// The fact that names a version that comes out of it.
pub(crate) const RELEASE: &str = "release";
/// The fact that names the statement of a scan.
pub(crate) const SCAN_FACT: &str = "scan";
/// The fact that names the versions that a step came to, separated by blanks.
pub(crate) const NAMED: &str = "named";
/// The fact that names the findings of a scan that were approved.
pub(crate) const FINDINGS: &str = "findings";
/// The fact that names the dataset whose contract was passed.
const PASSED: &str = "passed";
/// The fact that names the content of the dataset that a contract was about.
const CONTENT: &str = "content";
/// The fact that names the held content for which a version goes into quarantine.
pub(crate) const HELD: &str = "held";
/// The fact that the scan, too, holds a version that is held for its content.
pub(crate) const WAITS: &str = "waits";
/// The fact that names a version that was rejected.
pub(crate) const REJECTED: &str = "rejected";
/// The fact that names a version whose bytes are taken away.
pub(crate) const REMOVED: &str = "removed";
/// The fact that names the domain of a project whose keys are destroyed.
pub(crate) const SHREDDED: &str = "shredded";
/// The fact that names what an approval of a gate's decision binds.
pub(crate) const ENDORSES: &str = "endorses";
/// The fact that names the step of time of the code by which a person signed in.
pub(crate) const CODE_STEP: &str = "code_step";
/// The fact that names what is approved of a dataset: the step key of the contract that it breaks.
pub(crate) const CONTRACT: &str = "contract";
/// The fact that names the step whose contract was broken.
const STEP_KEY: &str = "step_key";
/// The fact that a run was planned and not carried out.
const PLANNED: &str = "planned";
/// The fact that names the record of a version.
const RECORD: &str = "record";
/// The fact that names an alias that moved.
pub(crate) const ALIAS: &str = "alias";

type Answer<T> = Result<T, ViewError>;

/// Takes in what entries say. They come in the order of the ledger, each once. `earlier`: those before them in the
/// bundle of the first, where that is full with them.
pub(crate) fn entries(
    map: &mut Map<'_>,
    earlier: &[(u64, Entry)],
    entries: &[(u64, Entry)],
) -> Answer<()> {
    for (index, one) in entries {
        entry(map, *index, one)?;
    }
    let all: Vec<_> = earlier.iter().chain(entries).collect();
    let bundles = all.chunk_by(|(one, _), (next, _)| one / index::WIDTH == next / index::WIDTH);
    for bundle in bundles.filter(|bundle| bundle.len() as u64 == index::WIDTH) {
        index::enter(map, bundle.iter().map(|(index, entry)| (*index, entry)))?;
    }
    Ok(())
}

/// A fact, and whether a text of it can be read.
type Form = (&'static str, fn(&str) -> bool);

/// The facts that are read here.
const FORMS: [Form; 18] = [
    (RECORD, is::<Digest>),
    (SCAN_FACT, is::<Digest>),
    (CHECK, is::<Digest>),
    (FINDINGS, is::<Digest>),
    (CONTENT, is::<Digest>),
    (HELD, is::<Digest>),
    (CONTRACT, is::<Digest>),
    (STEP_KEY, is::<Digest>),
    (QUARANTINE, is::<VersionName>),
    (RELEASE, is::<VersionName>),
    (REJECTED, is::<VersionName>),
    (REMOVED, is::<VersionName>),
    (SHREDDED, is::<DomainId>),
    (CODE_STEP, is::<u64>),
    (ENDORSES, is::<Digest>),
    (PASSED, is::<VersionName>),
    (NAMED, are_names),
    (ALIAS, is::<Alias>),
];

fn is<T: FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

fn are_names(text: &str) -> bool {
    text.is_empty() || text.split(' ').all(is::<VersionName>)
}

/// Tells what an entry says that cannot be read, and so is not taken into account: a program that is newer than this one
/// may have written it.
pub(crate) fn unread(index: u64, entry: &Entry) -> impl Iterator<Item = String> {
    let facts = FORMS.iter().filter(|(fact, reads)| {
        let text = entry.facts.get(*fact);
        text.is_some_and(|text| !reads(text))
    });
    let facts = facts.map(move |(fact, _)| {
        format!("entry {index} says `{fact}` in a form that this program does not know")
    });
    let verb = entry.action().is_none();
    let verb = verb.then(|| {
        let verb = entry.verb.escape_debug();
        format!("entry {index} is of `{verb}`, which this program does not know")
    });
    verb.into_iter().chain(facts)
}

fn entry(map: &mut Map<'_>, index: u64, entry: &Entry) -> Answer<()> {
    let told = Told { index, entry };
    told.grants(map)?;
    told.run(map)?;
    told.version(map)?;
    let touched = told.quarantine(map)?;
    for name in touched {
        refresh(map, &name)?;
    }
    if told.ok() {
        told.successes(map)?;
    }
    Ok(())
}

/// Returns the version record that an entry makes valid.
pub(crate) fn record_of(entry: &Entry) -> Option<Digest> {
    let record = entry.facts.get(RECORD)?;
    record
        .parse()
        .ok()
        .filter(|_| entry.outcome == Some(Outcome::Ok))
}

/// Returns whether an outcome with these facts says that a dataset passed its contract or broke it.
pub(crate) fn judges(facts: &BTreeMap<String, String>) -> bool {
    [PASSED, QUARANTINE]
        .iter()
        .any(|fact| facts.contains_key(*fact))
}

/// Returns the statements that an entry names about the content of its version.
pub(crate) fn statements(entry: &Entry) -> impl Iterator<Item = Digest> {
    let digest = |fact: &str| entry.facts.get(fact)?.parse::<Digest>().ok();
    let told = [entry.lineage.statement, digest(SCAN_FACT), digest(CHECK)];
    told.into_iter()
        .flatten()
        .collect::<BTreeSet<_>>()
        .into_iter()
}

/// Marks whether a version is in quarantine.
fn refresh(map: &mut Map<'_>, name: &VersionName) -> Answer<()> {
    let Some(facts) = rows::version(map, name)? else {
        return Ok(());
    };
    let key = key::quarantine(name);
    if rows::is_held(map, name, &facts.digest)? {
        map.put(&key, Vec::new())
    } else {
        map.remove(&key)
    }
}

pub(crate) fn put(map: &mut Map<'_>, key: &str, value: &impl Serialize) -> Answer<()> {
    let value =
        serde_json::to_vec(value).map_err(|_| ViewError::Wrong("a row cannot be written"))?;
    map.put(key, value)
}

/// Holds a content or lets it out, and notes the versions that have it where that changes.
fn set_hold(
    map: &mut Map<'_>,
    project: &ProjectName,
    content: &Digest,
    hold: Option<&Hold>,
    touched: &mut BTreeSet<VersionName>,
) -> Answer<()> {
    let key = key::hold(project, content);
    let was = map.has(&key)?;
    match hold {
        Some(hold) => put(map, &key, hold)?,
        None => map.remove(&key)?,
    }
    if was != hold.is_some() {
        touched.extend(rows::with_content(map, project, content)?);
    }
    Ok(())
}

struct Told<'a> {
    index: u64,
    entry: &'a Entry,
}

impl Told<'_> {
    fn ok(&self) -> bool {
        self.entry.outcome == Some(Outcome::Ok)
    }

    fn name(&self, fact: &str) -> Option<VersionName> {
        self.entry.facts.get(fact)?.parse().ok()
    }

    fn digest(&self, fact: &str) -> Option<Digest> {
        self.entry.facts.get(fact)?.parse().ok()
    }

    fn project(&self) -> Option<ProjectName> {
        self.entry.project.as_deref()?.parse().ok()
    }

    /// Returns the first object, where it is a version.
    fn object(&self) -> Option<VersionName> {
        self.entry.objects.first()?.name.parse().ok()
    }

    /// Returns the content of the first object.
    fn content(&self) -> Option<Digest> {
        self.entry.objects.first()?.digest
    }

    /// Returns the project and content that a contract was about, and whether it was passed. Older entries do not
    /// say the content: it is the only input of the check.
    fn contract(&self) -> Option<(ProjectName, Digest, bool)> {
        if self.entry.action() != Some(Action::RunStep) {
            return None;
        }
        let passed = self.entry.facts.contains_key(PASSED) && self.ok();
        if !passed && !self.entry.facts.contains_key(QUARANTINE) {
            return None;
        }
        let input = self.entry.lineage.inputs.first().copied();
        Some((self.project()?, self.digest(CONTENT).or(input)?, passed))
    }

    /// Notes which grants have no outcome.
    fn grants(&self, map: &mut Map<'_>) -> Answer<()> {
        let entry = self.entry;
        let mut open = rows::open_grants(map)?;
        let changed = match (entry.phase, &entry.relates_to) {
            (Phase::Grant, _) if entry.outcome.is_none() => {
                open.insert(entry.id.clone(), self.index).is_none()
            }
            (Phase::Outcome, Some(grant)) => open.remove(grant).is_some(),
            _ => false,
        };
        if changed {
            put(map, key::OPEN, &open)?;
        }
        Ok(())
    }

    /// Notes that a run began, or that it ended. One that was only planned is none.
    fn run(&self, map: &mut Map<'_>) -> Answer<()> {
        let entry = self.entry;
        if entry.action() != Some(Action::StartRun) {
            return Ok(());
        }
        let Some((id, project)) = entry.lineage.run.as_deref().zip(self.project()) else {
            return Ok(());
        };
        if entry.phase == Phase::Grant && entry.outcome.is_none() {
            let begun = RunFacts {
                project,
                entry: self.index,
                ended: None,
            };
            put(map, &key::run(id), &begun)?;
            return map.put(&key::run_of(&begun.project, id), Vec::new());
        }
        let Some(begun) = rows::run(map, id)?.filter(|_| entry.phase == Phase::Outcome) else {
            return Ok(());
        };
        if entry.facts.contains_key(PLANNED) {
            map.remove(&key::run_of(&begun.project, id))?;
            return map.remove(&key::run(id));
        }
        let ended = RunFacts {
            ended: Some(self.index),
            ..begun
        };
        put(map, &key::run(id), &ended)
    }

    /// Notes the version that the entry makes valid.
    fn version(&self, map: &mut Map<'_>) -> Answer<()> {
        let made = self.object().zip(self.content()).zip(record_of(self.entry));
        let Some(((name, digest), record)) = made else {
            return Ok(());
        };
        if let Some(before) = rows::version(map, &name)? {
            map.remove(&key::made(&name, before.named))?;
            map.remove(&key::content(&name, &before.digest))?;
            if before.digest != digest {
                put(map, &key::overtaken(&name, &before.digest), &before)?;
            }
        }
        let facts = VersionFacts {
            digest,
            record,
            entry: self.index,
            named: self.index,
        };
        put(map, &key::version(&name), &facts)?;
        map.put(&key::made(&name, self.index), Vec::new())?;
        map.put(&key::content(&name, &digest), Vec::new())?;
        put(map, &key::record(&record), &self.index)?;
        refresh(map, &name)
    }

    /// Notes what is held and what is let out. Returns the versions that this may have changed.
    fn quarantine(&self, map: &mut Map<'_>) -> Answer<BTreeSet<VersionName>> {
        let mut touched = BTreeSet::new();
        if let Some((project, content, passed)) = self.contract() {
            let told = Contract {
                passed,
                statement: self.entry.lineage.statement,
            };
            put(map, &key::contract(&project, &content), &told)?;
            let hold = if passed {
                None
            } else {
                self.broken(map, &project, &content)?
            };
            if passed || hold.is_some() {
                set_hold(map, &project, &content, hold.as_ref(), &mut touched)?;
            }
            return Ok(touched);
        }
        if let Some(name) = self.name(QUARANTINE) {
            let held = self.digest(HELD).zip(self.content()).zip(self.project());
            if let Some(((shares, content), project)) = held
                // The bytes of what is held are held for the reason that is known.
                && rows::hold(map, &project, &content)?.is_none()
            {
                let hold = Hold {
                    entry: self.index,
                    version: name.clone(),
                    statement: None,
                    step_key: None,
                    shares: Some(shares),
                };
                set_hold(map, &project, &content, Some(&hold), &mut touched)?;
            }
            // Older entries have one reason for quarantine; newer ones say whether the scan is it.
            let facts = &self.entry.facts;
            let waits = !facts.contains_key(HELD) || facts.contains_key(WAITS);
            if facts.contains_key(SCAN_FACT) && waits {
                map.put(&key::waits(&name), Vec::new())?;
                touched.insert(name);
            }
        }
        if self.ok() {
            self.let_out(map, &mut touched)?;
        }
        if self.ok()
            && self.entry.action() == Some(Action::Reject)
            && let Some(name) = self.name(REJECTED)
        {
            let rejection = self.decision(map)?;
            put(map, &key::rejected(&name), &rejection)?;
            touched.insert(name);
        }
        Ok(touched)
    }

    /// Returns the hold of a broken contract, unless its being broken was approved.
    fn broken(
        &self,
        map: &mut Map<'_>,
        project: &ProjectName,
        content: &Digest,
    ) -> Answer<Option<Hold>> {
        let step_key = self.digest(STEP_KEY);
        let waiver = match step_key {
            Some(step_key) => {
                let waiver = rows::waiver(map, project, content, &step_key)?;
                rows::unless_void(map, waiver)?
            }
            None => None,
        };
        let version = self.name(QUARANTINE).filter(|_| waiver.is_none());
        Ok(version.map(|version| Hold {
            entry: self.index,
            version,
            statement: self.entry.lineage.statement,
            step_key,
            shares: None,
        }))
    }

    /// Returns the decision that the entry tells.
    fn decision(&self, map: &mut Map<'_>) -> Answer<Waiver> {
        Ok(Waiver {
            entry: self.index,
            statement: self.entry.lineage.statement,
            policies: rows::in_force(map, Action::ChangePolicy)?,
        })
    }

    fn let_out(&self, map: &mut Map<'_>, touched: &mut BTreeSet<VersionName>) -> Answer<()> {
        let approval = self.entry.action() == Some(Action::Approve);
        let of_contract = approval && self.entry.facts.contains_key(CONTRACT);
        if let Some(name) = self.name(RELEASE).filter(|_| !of_contract) {
            map.remove(&key::waits(&name))?;
            touched.insert(name);
        }
        let Some((project, content)) = self.project().zip(self.content()).filter(|_| approval)
        else {
            return Ok(());
        };
        if let Some(findings) = self.digest(FINDINGS) {
            let approval = self.decision(map)?;
            put(
                map,
                &key::approved(&project, &content, &findings),
                &approval,
            )?;
        }
        if of_contract {
            set_hold(map, &project, &content, None, touched)?;
            if let Some(step_key) = self.digest(CONTRACT) {
                let waiver = self.decision(map)?;
                put(map, &key::waived(&project, &content, &step_key), &waiver)?;
            }
        }
        Ok(())
    }

    /// Notes what only an entry of a success says.
    fn successes(&self, map: &mut Map<'_>) -> Answer<()> {
        let entry = self.entry;
        if let Some((version, scan)) = self.object().zip(self.digest(SCAN_FACT)) {
            put(map, &key::scan(&version), &scan)?;
        }
        match entry.action() {
            Some(Action::SetAlias) => {
                let alias = entry.facts.get(ALIAS).and_then(|text| text.parse().ok());
                if let Some((version, alias)) = self.object().zip(alias) {
                    let mut aliases = rows::aliases(map, &version.artifact)?;
                    aliases.insert(alias, version.number);
                    put(map, &key::aliases(&version.artifact), &aliases)?;
                }
            }
            Some(Action::RunStep) => self.named(map)?,
            Some(Action::Remove) => {
                if let Some(name) = self.name(REMOVED) {
                    put(map, &key::removed(&name), &self.index)?;
                }
            }
            Some(Action::Shred) => self.shredded(map)?,
            Some(Action::Approve) => self.endorsed(map)?,
            Some(Action::SignIn) => {
                let step = entry
                    .facts
                    .get(CODE_STEP)
                    .and_then(|step| step.parse().ok());
                if let Some(step) = step {
                    let account = &entry.subject.reference;
                    let last = rows::last_code(map, account)?.unwrap_or(0);
                    put(map, &key::last_code(account), &last.max(step))?;
                }
            }
            Some(
                change @ (Action::ChangePolicy
                | Action::ChangeIdentity
                | Action::ChangeRules
                | Action::CreateToken
                | Action::RevokeToken
                | Action::Invite
                | Action::Enrol),
            ) => {
                if let Some(record) = record_of(entry) {
                    let state = match change {
                        Action::RevokeToken => Action::CreateToken,
                        Action::Enrol => Action::Invite,
                        change => change,
                    };
                    put(map, &key::in_force(state), &record)?;
                }
            }
            _ => {}
        }
        let step = self.project().zip(self.digest(STEP_KEY));
        if let Some(((project, step_key), statement)) = step.zip(entry.lineage.statement) {
            put(map, &key::step(&project, &step_key), &statement)?;
        }
        Ok(())
    }

    /// Notes the approval of a gate's decision.
    fn endorsed(&self, map: &mut Map<'_>) -> Answer<()> {
        let Some(bound) = self.digest(ENDORSES) else {
            return Ok(());
        };
        let subject = &self.entry.subject;
        let person = subject.on_behalf_of.as_ref();
        let mut all = rows::endorsements(map, &bound)?;
        all.push(Endorsement {
            entry: self.index,
            time: self.entry.ts,
            by: person.unwrap_or(&subject.reference).clone(),
            statement: self.entry.lineage.statement,
            policies: rows::in_force(map, Action::ChangePolicy)?,
        });
        put(map, &key::endorsed(&bound), &all)
    }

    /// Notes that a project was shredded: no record of its versions can be read any more.
    fn shredded(&self, map: &mut Map<'_>) -> Answer<()> {
        let domain = self
            .entry
            .facts
            .get(SHREDDED)
            .and_then(|id| id.parse().ok());
        let Some((project, domain)) = self.project().zip(domain) else {
            return Ok(());
        };
        let versions = rows::list(map, (Some(&project), None), false, None, usize::MAX)?;
        for (_, facts, _) in versions {
            map.remove(&key::record(&facts.record))?;
        }
        for (name, facts) in rows::overtaken(map, None)? {
            if *name.artifact.project() == project {
                map.remove(&key::record(&facts.record))?;
            }
        }
        let shredded = Shredded {
            entry: self.index,
            domain,
        };
        put(map, &key::shredded(&project), &shredded)
    }

    /// Notes that a step came to versions.
    fn named(&self, map: &mut Map<'_>) -> Answer<()> {
        let names = self.entry.facts.get(NAMED).into_iter();
        for name in names.flat_map(|names| names.split(' ')) {
            let Ok(name) = name.parse::<VersionName>() else {
                continue;
            };
            let Some(facts) = rows::version(map, &name)? else {
                continue;
            };
            map.remove(&key::made(&name, facts.named))?;
            map.put(&key::made(&name, self.index), Vec::new())?;
            let facts = VersionFacts {
                named: self.index,
                ..facts
            };
            put(map, &key::version(&name), &facts)?;
        }
        Ok(())
    }
}
