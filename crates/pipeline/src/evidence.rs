//! Reading the evidence: trace and verify.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use custody_attest::slsa::Provenance;
use custody_findings::Verdict;
use custody_findings::rules::PackId;
use custody_guard::{
    Evidence, LastScan, Reach, ResourceRef, Session, Sound, Trace, Verify, Version, dependency,
    role,
};
use custody_types::{
    Digest, EvidenceKind, Kind, Problem, Reference, Timestamp, VersionName, code, counted,
};
use custody_wire::{
    AbsentEvidence, CheckResult, ClosedInput, Edge, NamedCheck, Node, TraceQuery, TraceReply,
    VerifyReply, VerifyRequest,
};
use serde_json::Value;

use crate::compare::commit_text;
use crate::egress;
use crate::run::{COMMIT, Runner, STEP_KEY, has_passed};

/// The most versions that a trace goes through.
const MOST_VERSIONS: usize = 10_000;
/// How old a scan may be, in days.
const MOST_DAYS: i64 = 90;
const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

pub(crate) fn reference(text: &str) -> Result<Reference, Problem> {
    text.parse().map_err(|error: custody_types::NameError| {
        Problem::new(code::API_014, error.to_string())
            .hint("write `project/artifact`, with `@` and a number, an alias or a digest after it")
    })
}

/// A version with how it was made.
pub(crate) struct Link {
    pub(crate) version: Version,
    pub(crate) provenance: Option<Provenance>,
}

pub(crate) fn link(evidence: &Evidence<'_>, version: Version) -> Result<Link, Problem> {
    Ok(Link {
        provenance: evidence.provenance(&version)?,
        version,
    })
}

/// Everything that a version was made from, as far as it may be seen.
#[derive(Default)]
pub(crate) struct Closure {
    /// The versions, the root first.
    pub(crate) links: Vec<Link>,
    /// What is of projects that may not be looked at, or were shredded.
    pub(crate) closed: Vec<ClosedInput>,
    /// What is not there, or another, in words.
    pub(crate) dangling: Vec<String>,
    /// Whether there is more than [`MOST_VERSIONS`].
    pub(crate) more: bool,
}

impl Closure {
    /// Refuses what cannot be done, in words, unless all of it was looked at.
    pub(crate) fn require_all(&self, refused: &str) -> Result<(), Problem> {
        if let Some(because) = self.unseen() {
            return Err(Problem::new(code::PIPE_026, refused)
                .because(because)
                .hint("ask somebody to do it who may trace those projects"));
        }
        let shredded = self.shredded().next();
        shredded.map_or(Ok(()), |because| {
            Err(Problem::new(code::PIPE_026, refused)
                .because(because)
                .hint("what was shredded cannot be looked at by anybody"))
        })
    }

    /// Says what of it could not be looked at, if anything.
    pub(crate) fn unseen(&self) -> Option<String> {
        if self.more {
            return Some(format!(
                "it was made from more than {MOST_VERSIONS} versions"
            ));
        }
        let first = self.closed.iter().find(|input| input.shredded.is_none())?;
        Some(behind_closed_door(&first.to))
    }

    /// Says what of it was shredded.
    fn shredded(&self) -> impl Iterator<Item = String> {
        self.closed.iter().filter_map(|input| {
            let (entry, to) = (input.shredded?, &input.to);
            Some(format!(
                "`{to}` was made from what is of a project that was shredded by entry {entry}"
            ))
        })
    }
}

fn behind_closed_door(version: &VersionName) -> String {
    format!("`{version}` was made from what is of a project that you may not look at")
}

/// Finds everything that a version was made from. What is of another project is asked for there.
pub(crate) fn closure(evidence: &Evidence<'_>, root: Version) -> Result<Closure, Problem> {
    let (mut all, mut seen) = (Closure::default(), BTreeSet::from([root.name()]));
    let mut open = VecDeque::from([root]);
    while let Some(version) = open.pop_front() {
        let link = link(evidence, version)?;
        let to = link.version.name();
        for descriptor in link.provenance.iter().flat_map(Provenance::inputs) {
            let Some((name, digest)) = dependency(descriptor) else {
                continue;
            };
            if seen.contains(&name) {
                continue;
            }
            let closed = |shredded| ClosedInput {
                digest,
                to: to.clone(),
                role: role(descriptor).to_owned(),
                shredded,
            };
            match evidence.reach(&name)? {
                Reach::Version(found) if found.record.digest == digest => {
                    if seen.len() < MOST_VERSIONS {
                        seen.insert(name);
                        open.push_back(*found);
                    } else {
                        all.more = true;
                    }
                }
                Reach::Version(_) => all.dangling.push(format!(
                    "`{to}` was made from another `{name}` than there is"
                )),
                Reach::Missing => all
                    .dangling
                    .push(format!("`{to}` was made from `{name}`, which is not there")),
                Reach::Closed => all.closed.push(closed(None)),
                Reach::Shredded(entry) => all.closed.push(closed(Some(entry))),
            }
        }
        all.links.push(link);
    }
    Ok(all)
}

impl Runner {
    /// Follows a version to what it was made from, or to what was made from it.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such version, or evidence is damaged.
    pub fn trace(&self, session: &Session, query: &TraceQuery) -> Result<TraceReply, Problem> {
        let grant = self
            .door
            .ask::<Trace>(session, ResourceRef::Named(reference(&query.reference)?))?;
        let evidence = grant.evidence();
        let root = grant.version()?.clone();
        let name = root.name();
        let Closure {
            links,
            closed,
            more,
            ..
        } = if query.down {
            made_from(&evidence, root)?
        } else {
            closure(&evidence, root)?
        };
        let known: BTreeSet<_> = links.iter().map(|link| link.version.name()).collect();
        let mut edges = Vec::new();
        for link in &links {
            for descriptor in link.provenance.iter().flat_map(Provenance::inputs) {
                if let Some((from, _)) = dependency(descriptor)
                    && known.contains(&from)
                {
                    edges.push(Edge {
                        from,
                        to: link.version.name(),
                        role: role(descriptor).to_owned(),
                    });
                }
            }
        }
        let nodes = links.iter().map(|link| node(&evidence, link)).collect();
        let reply = TraceReply {
            root: name,
            down: query.down,
            nodes,
            edges,
            closed,
            more,
        };
        grant.finish()?;
        Ok(reply)
    }

    /// Verifies a version, or everything.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such version. What does not hold is part of the reply.
    pub fn verify(
        &self,
        session: &Session,
        request: &VerifyRequest,
    ) -> Result<VerifyReply, Problem> {
        let target = match &request.reference {
            Some(text) => ResourceRef::Named(reference(text)?),
            None => ResourceRef::Workspace,
        };
        let grant = self.door.ask::<Verify>(session, target)?;
        let evidence = grant.evidence();
        let now = self.door.now();
        let (subject, checks, absent) = match &request.reference {
            Some(_) => {
                let roots = [grant.version()?.clone()];
                let (mut checks, links) = examine(&evidence, &roots, false, now);
                let absent = absent(&evidence, &roots, &links, request, now);
                // Each version's entry was proved against it, so that a version costs the same however long the ledger is.
                checks.extend(evidence.check_ledger_head());
                let [root] = roots;
                (root.name().to_string(), checks, absent)
            }
            None => {
                let (checks, absent) = everything(&evidence, request, now)?;
                ("everything".to_owned(), checks, absent)
            }
        };
        let bad = [
            CheckResult::Broken,
            CheckResult::Closed,
            CheckResult::Waiting,
        ];
        let ok = !checks.iter().any(|check| bad.contains(&check.result))
            && !absent.iter().any(|absent| absent.required);
        let facts = BTreeMap::from([("holds".to_owned(), ok.to_string())]);
        grant.finish_with(facts)?;
        Ok(VerifyReply {
            subject,
            ok,
            checks,
            absent,
        })
    }
}

/// Checks all versions, the index and the whole ledger. Of projects that the reader may not list it says how many versions
/// there are and whether they hold, and names none.
fn everything(
    evidence: &Evidence<'_>,
    request: &VerifyRequest,
    now: Timestamp,
) -> Result<(Vec<NamedCheck>, Vec<AbsentEvidence>), Problem> {
    let (shown, hidden) = evidence.sound_versions()?;
    let (mut checks, mut links) = examine(evidence, &shown.versions, true, now);
    checks.push(index(evidence, shown.broken, !hidden.is_empty()));
    let mut roots = shown.versions;
    let names: BTreeSet<_> = hidden.versions.iter().map(Version::name).collect();
    if !hidden.is_empty() {
        let (theirs, more) = examine(evidence, &hidden.versions, true, now);
        checks.push(elsewhere(&hidden, &theirs));
        links.extend(more);
        roots.extend(hidden.versions);
    }
    checks.extend(evidence.check_ledger());
    let mut absent = absent(evidence, &roots, &links, request, now);
    for one in &mut absent {
        if one
            .version
            .as_ref()
            .is_some_and(|name| names.contains(name))
        {
            one.version = None;
            "a version of a project that you may not list lacks it".clone_into(&mut one.because);
        }
    }
    Ok((checks, absent))
}

/// Sums up what was found of versions that the reader may not list.
fn elsewhere(hidden: &Sound, checks: &[NamedCheck]) -> NamedCheck {
    let mut findings = Findings::default();
    let all = hidden.versions.len() + hidden.broken.len();
    let told = format!(
        "{} of projects that you may not list",
        counted(all, "version")
    );
    let broken = checks.iter().map(|check| check.broken.len()).sum::<usize>();
    let waits = checks
        .iter()
        .any(|check| check.result == CheckResult::Waiting);
    match broken + hidden.broken.len() {
        0 if waits => findings
            .waiting
            .push(told + ": something waits in quarantine"),
        0 => findings.evidence.push(told),
        wrong => findings
            .broken
            .push(format!("{told}: {wrong} of their checks do not hold")),
    }
    findings.named("other-projects")
}

/// Compares the index with the ledger; `broken`: versions whose records it leads to in vain; `hides`: some
/// versions are none of the reader's business, so differences are counted.
fn index(evidence: &Evidence<'_>, broken: Vec<String>, hides: bool) -> NamedCheck {
    let mut findings = Findings {
        broken,
        ..Findings::default()
    };
    match evidence.check_index() {
        Ok((versions, differing)) => {
            findings.evidence.push(format!(
                "{}, as the ledger has them",
                counted(versions, "version")
            ));
            if hides && !differing.is_empty() {
                let rows = counted(differing.len(), "difference");
                findings
                    .broken
                    .push(format!("{rows} from what the ledger says"));
            } else {
                findings.broken.extend(differing);
            }
        }
        Err(problem) => findings.broken.push(sentence(&problem)),
    }
    findings.named("index")
}

/// Finds what of its project was made from a version.
fn made_from(evidence: &Evidence<'_>, root: Version) -> Result<Closure, Problem> {
    let project = root.record.artifact.project().clone();
    let mut seen = BTreeSet::from([root.name()]);
    let mut open = VecDeque::from([link(evidence, root)?]);
    let mut all = Closure::default();
    while let Some(here) = open.pop_front() {
        let (name, content) = (here.version.name(), here.version.record.digest);
        all.links.push(here);
        for version in evidence.made_from(&project, &content)? {
            if seen.contains(&version.name()) {
                continue;
            }
            if seen.len() >= MOST_VERSIONS {
                all.more = true;
                continue;
            }
            let made = link(evidence, version)?;
            let inputs = made.provenance.iter().flat_map(Provenance::inputs);
            let mut inputs = inputs.filter_map(dependency);
            if inputs.any(|(from, _)| from == name) {
                seen.insert(made.version.name());
                open.push_back(made);
            }
        }
    }
    Ok(all)
}

fn node(evidence: &Evidence<'_>, link: &Link) -> Node {
    let record = &link.version.record;
    let parameters = link
        .provenance
        .as_ref()
        .map(|provenance| provenance.build_definition.external_parameters.clone())
        .unwrap_or_default();
    let declared = parameters
        .get("declared")
        .and_then(Value::as_object)
        .and_then(|step| step.keys().next().cloned());
    let internal = link
        .provenance
        .as_ref()
        .map(|provenance| &provenance.build_definition.internal_parameters);
    let isolation = internal
        .and_then(|internal| internal.get("isolation"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let byproducts = link
        .provenance
        .as_ref()
        .map(|provenance| provenance.run_details.byproducts.as_slice());
    let connected = byproducts.and_then(egress::told).unwrap_or_default();
    let line = |pair: &Value| {
        Some(format!(
            "{}: {}",
            pair.get(0)?.as_str()?,
            pair.get(1)?.as_str()?
        ))
    };
    Node {
        version: link.version.name(),
        kind: record.kind.to_string(),
        digest: record.digest,
        step: record.step.clone().unwrap_or_default(),
        action: declared.unwrap_or_else(|| {
            if record.statement.is_some() {
                "step"
            } else {
                "put"
            }
            .to_owned()
        }),
        run: record.run.clone().unwrap_or_default(),
        actor: evidence.name_of(&record.author),
        finished: record.created.to_string(),
        parameters,
        commit: internal
            .and_then(|internal| internal.get(COMMIT))
            .map(commit_text),
        isolation: isolation.filter_map(line).chain(connected).collect(),
        statement: record.statement,
        entry: link.version.entry,
    }
}

#[derive(Default)]
struct Findings {
    evidence: Vec<String>,
    broken: Vec<String>,
    /// What could not be looked at.
    closed: Vec<String>,
    /// What waits in quarantine for a person.
    waiting: Vec<String>,
    absent: Option<String>,
}

impl Findings {
    fn note(&mut self, outcome: Result<String, String>) {
        match outcome {
            Ok(evidence) => self.evidence.push(evidence),
            Err(broken) => self.broken.push(broken),
        }
    }

    fn named(self, name: &str) -> NamedCheck {
        let result = if !self.broken.is_empty() {
            CheckResult::Broken
        } else if !self.closed.is_empty() {
            CheckResult::Closed
        } else if !self.waiting.is_empty() {
            CheckResult::Waiting
        } else if self.absent.is_some() && self.evidence.is_empty() {
            CheckResult::NotApplicable
        } else {
            CheckResult::Ok
        };
        let mut evidence = self.closed;
        evidence.extend(self.waiting);
        evidence.extend(self.evidence);
        evidence.extend(self.absent.filter(|_| result == CheckResult::NotApplicable));
        NamedCheck {
            name: name.to_owned(),
            result,
            evidence,
            broken: self.broken,
        }
    }
}

/// Checks the roots and everything that they were made from.
fn examine(
    evidence: &Evidence<'_>,
    roots: &[Version],
    packs: bool,
    now: Timestamp,
) -> (Vec<NamedCheck>, BTreeMap<VersionName, Link>) {
    let (mut bytes, mut statements, mut provenance, mut inclusion) = (
        Findings::default(),
        Findings::default(),
        Findings::default(),
        Findings::default(),
    );
    let mut links: BTreeMap<VersionName, Link> = BTreeMap::new();
    for root in roots {
        if links.contains_key(&root.name()) {
            continue;
        }
        match closure(evidence, root.clone()) {
            Ok(found) => {
                // Of everything, what is behind a closed door is looked at by itself.
                provenance.closed.extend(found.unseen().filter(|_| !packs));
                provenance.evidence.extend(found.shredded());
                provenance.broken.extend(found.dangling);
                let found = found.links.into_iter();
                links.extend(found.map(|link| (link.version.name(), link)));
            }
            Err(problem) => {
                statements
                    .broken
                    .push(format!("`{}`: {}", root.name(), sentence(&problem)));
            }
        }
    }
    let mut read = 0;
    for link in links.values() {
        let name = link.version.name();
        match evidence.removal(&link.version) {
            Ok(Some(entry)) => {
                let told = format!("those of `{name}` were removed by entry {entry}");
                bytes.evidence.push(told);
                inclusion.note(evidence.check_entry(&link.version));
                continue;
            }
            Ok(None) => {}
            Err(problem) => bytes.broken.push(sentence(&problem)),
        }
        match evidence.check_bytes(&link.version) {
            Ok(count) => read += count,
            Err(broken) => bytes.broken.push(format!("`{name}`: {broken}")),
        }
        inclusion.note(evidence.check_entry(&link.version));
    }
    bytes.evidence.push(format!(
        "{}, {}, every chunk and file as its digest says",
        counted(links.len(), "version"),
        counted(read, "byte")
    ));
    if packs {
        every_pack(evidence, &mut bytes);
    }
    let attested = links
        .values()
        .filter(|link| link.provenance.is_some())
        .count();
    statements.evidence.push(format!(
        "{} signed by the key {}",
        counted(attested, "statement"),
        evidence.key_id()
    ));
    let sources: Vec<_> = links
        .values()
        .filter(|link| link.version.record.origin.is_some())
        .map(|link| link.version.name().to_string())
        .collect();
    provenance.evidence.push(format!(
        "closed: {} back to {}",
        counted(links.len(), "version"),
        if sources.is_empty() {
            "what was put by hand".to_owned()
        } else {
            sources.join(", ")
        }
    ));
    provenance
        .evidence
        .extend(links.values().filter_map(networked));
    let signed = signatures(evidence, links.values());
    let scanned = scans(evidence, links.values(), now);
    let checks = vec![
        bytes.named("bytes"),
        statements.named("attestations"),
        provenance.named("provenance"),
        inclusion.named("ledger-inclusion"),
        signed.named("model-signature"),
        scanned.named("model-scan"),
        contracts(evidence, &links).named("contract"),
        overlaps(&links).named("training-overlap"),
        gates(evidence, roots).named("gate"),
    ];
    (checks, links)
}

/// Tells of a version that it was made with a network, so that what went into it is not all kept.
fn networked(link: &Link) -> Option<String> {
    let byproducts = &link.provenance.as_ref()?.run_details.byproducts;
    let connected = egress::told(byproducts)?;
    let connected = if connected.is_empty() {
        "connected to nothing".to_owned()
    } else {
        connected.join("; ")
    };
    let name = link.version.name();
    Some(format!(
        "`{name}` was made with a network, and what its step was answered is not kept: {connected}"
    ))
}

/// Reads every pack, those of shredded projects apart, which nothing can read.
fn every_pack(evidence: &Evidence<'_>, bytes: &mut Findings) {
    let checked = match evidence.check_packs() {
        Ok(checked) => checked,
        Err(problem) => return bytes.broken.push(sentence(&problem)),
    };
    let (shredded, checked): (Vec<_>, Vec<_>) = checked.into_iter().partition(|pack| pack.shredded);
    let told = format!("{} read from end to end", counted(checked.len(), "pack"));
    bytes.evidence.push(told);
    if !shredded.is_empty() {
        bytes.evidence.push(format!(
            "{} of shredded projects, which nothing opens: `custody index rebuild` deletes them",
            counted(shredded.len(), "pack")
        ));
    }
    let broken = checked.into_iter().filter_map(|pack| pack.broken);
    bytes.broken.extend(broken);
}

fn sentence(problem: &Problem) -> String {
    std::iter::once(problem.what.clone())
        .chain(problem.because.iter().cloned())
        .collect::<Vec<_>>()
        .join(": ")
}

fn signatures<'a>(evidence: &Evidence<'_>, links: impl Iterator<Item = &'a Link>) -> Findings {
    let mut findings = Findings {
        absent: Some("no registered model, and none with a publisher's signature".to_owned()),
        ..Findings::default()
    };
    for link in links {
        if let Some(publisher) = evidence.publisher(&link.version) {
            let name = link.version.name();
            findings.note(match publisher {
                Ok(publisher) => Ok(format!(
                    "`{name}`: {} files signed by {}, checked at {}",
                    publisher.covered,
                    publisher.signer,
                    publisher.checked_on.to_seconds_text()
                )),
                Err(broken) => Err(format!("`{name}`: {broken}")),
            });
        }
        let Some(signature) = link.version.record.extra.get("signature") else {
            continue;
        };
        let name = link.version.name();
        findings.note(match evidence.check_signature(&link.version, signature) {
            Ok(verified) if verified.name == name.to_string() => Ok(format!(
                "`{name}`: {} files signed by the key {}",
                verified.files, verified.key_id
            )),
            Ok(verified) => Err(format!("`{name}`: it is signed as `{}`", verified.name)),
            Err(broken) => Err(format!("`{name}`: {broken}")),
        });
    }
    findings
}

/// Every model must have been scanned by the rules in force, not long ago, and be clean or approved.
fn scans<'a>(
    evidence: &Evidence<'_>,
    links: impl Iterator<Item = &'a Link>,
    now: Timestamp,
) -> Findings {
    let mut findings = Findings {
        absent: Some("no model".to_owned()),
        ..Findings::default()
    };
    let models = links.filter(|link| link.version.record.kind == Kind::Model);
    let models: Vec<_> = models.collect();
    if models.is_empty() {
        return findings;
    }
    match evidence.rules_in_force() {
        Ok(rules) => {
            for link in models {
                let name = link.version.name();
                match evidence.last_scan(&link.version) {
                    // Nothing reads it; whether it may be let out is for a person.
                    Ok(Some(last)) if link.version.quarantined => match evidence.rejection(&name) {
                        Ok(Some(rejection)) => {
                            findings.evidence.push(format!("`{name}` was {rejection}"));
                        }
                        Ok(None) => findings.waiting.push(format!(
                            "`{name}` waits in quarantine; it is {}, by its last scan",
                            last.statement.verdict
                        )),
                        Err(problem) => {
                            findings
                                .broken
                                .push(format!("`{name}`: {}", sentence(&problem)));
                        }
                    },
                    Ok(last) => findings.note(scan(&name, last, &rules, now)),
                    Err(problem) => {
                        findings.note(Err(format!("`{name}`: {}", sentence(&problem))));
                    }
                }
            }
        }
        Err(problem) => findings.broken.push(sentence(&problem)),
    }
    findings
}

fn scan(
    name: &VersionName,
    last: Option<LastScan>,
    rules: &[PackId],
    now: Timestamp,
) -> Result<String, String> {
    let last = last.ok_or_else(|| {
        format!("`{name}` was never scanned; scan it with `custody rescan {name}`")
    })?;
    let LastScan {
        statement,
        approved,
        ..
    } = last;
    let verdict = statement.verdict;
    let pass = verdict == Verdict::Clean || verdict == Verdict::Review && approved;
    if !pass {
        return Err(format!("`{name}` is {verdict}, by its last scan"));
    }
    if statement.scanner.rules != rules {
        return Err(format!(
            "`{name}` was scanned by other rules than those in force; scan it again with `custody rescan {name}`"
        ));
    }
    let days = now
        .unix_micros()
        .saturating_sub(statement.scanned_on.unix_micros())
        / DAY_MICROS;
    if days > MOST_DAYS {
        return Err(format!(
            "`{name}` was scanned {days} days ago; scan it again with `custody rescan {name} --all`"
        ));
    }
    let packs: Vec<_> = rules
        .iter()
        .map(|pack| format!("{} {}", pack.name, pack.version))
        .collect();
    let coverage = statement.coverage;
    Ok(format!(
        "`{name}`: {verdict}{}, {} files, {} of {} bytes understood, rules {}",
        if verdict == Verdict::Review {
            " and approved"
        } else {
            ""
        },
        coverage.files,
        coverage.understood,
        coverage.bytes,
        packs.join(", ")
    ))
}

/// Every contract that something was made under must have been passed by exactly the data that was used.
fn contracts(evidence: &Evidence<'_>, links: &BTreeMap<VersionName, Link>) -> Findings {
    let mut findings = Findings {
        absent: Some("made without a contract".to_owned()),
        ..Findings::default()
    };
    let mut seen = BTreeSet::new();
    for link in links.values() {
        let inputs: Vec<_> = link
            .provenance
            .iter()
            .flat_map(Provenance::inputs)
            .collect();
        let data: BTreeSet<_> = inputs
            .iter()
            .filter(|input| !role(input).contains(':'))
            .filter_map(|input| dependency(input))
            .collect();
        for report in inputs
            .iter()
            .filter(|input| role(input).starts_with("contract:"))
        {
            let Some((name, _)) = dependency(report) else {
                continue;
            };
            if !seen.insert((name.clone(), link.version.name())) {
                continue;
            }
            findings.note(
                contract(evidence, links, &name, &data)
                    .map(|on| format!("`{}` was made after `{name}` {on}", link.version.name())),
            );
        }
    }
    findings
}

/// Says what a contract's report came to on data that something was made from.
fn contract(
    evidence: &Evidence<'_>,
    links: &BTreeMap<VersionName, Link>,
    report: &VersionName,
    data: &BTreeSet<(VersionName, Digest)>,
) -> Result<String, String> {
    let link = links
        .get(report)
        .ok_or_else(|| format!("the report `{report}` is not there"))?;
    let provenance = link
        .provenance
        .as_ref()
        .ok_or_else(|| format!("the report `{report}` has no statement"))?;
    let checked = provenance
        .inputs()
        .iter()
        .filter_map(dependency)
        .find(|checked| data.contains(checked));
    let passed = has_passed(&provenance.run_details.byproducts);
    let Some((name, digest)) = checked else {
        return Err(if passed {
            format!("`{report}` is about other data than was used")
        } else {
            format!("the contract of `{report}` was not passed")
        });
    };
    if passed {
        return Ok(format!("passed on `{name}` ({digest})"));
    }
    // What the ledger says now counts, not what the report says of it.
    let internal = &provenance.build_definition.internal_parameters;
    let step_key = internal.get(STEP_KEY).and_then(Value::as_str);
    let step_key = step_key.and_then(|key| key.parse().ok());
    let waiver = match step_key {
        Some(key) => {
            let project = link.version.record.artifact.project();
            let found = evidence.waiver(project, digest, key, true);
            found.map_err(|problem| sentence(&problem))?
        }
        None => None,
    };
    let Some(waiver) = waiver else {
        return Err(format!("the contract of `{report}` was not passed"));
    };
    let approval = evidence
        .approval(&waiver)
        .map_err(|problem| sentence(&problem))?;
    Ok(format!("was broken by `{name}` ({digest}), {approval}"))
}

/// Tells of each evaluation whether it measured a model on rows that it was trained on.
fn overlaps(links: &BTreeMap<VersionName, Link>) -> Findings {
    let mut findings = Findings {
        absent: Some("no evaluation".to_owned()),
        ..Findings::default()
    };
    for link in links.values() {
        let Some(provenance) = link.provenance.as_ref().filter(|_| evaluates(link)) else {
            continue;
        };
        let name = link.version.name();
        let byproducts = &provenance.run_details.byproducts;
        let Some(told) = byproducts
            .iter()
            .find(|one| one.get("name").and_then(Value::as_str) == Some("overlap"))
        else {
            findings.note(Ok(format!(
                "`{name}`: made before rows were compared with the training data"
            )));
            continue;
        };
        let compared = told.get("compared").and_then(Value::as_array);
        let allowed = told.get("declared").and_then(Value::as_str) == Some("allowed");
        let compared = compared.into_iter().flatten().collect::<Vec<_>>();
        if compared.is_empty() {
            findings.note(Ok(format!(
                "`{name}`: no step says what data the model was trained on"
            )));
        }
        for one in compared {
            findings.note(overlap(&name, provenance, one, allowed));
        }
    }
    findings
}

fn overlap(
    name: &VersionName,
    provenance: &Provenance,
    compared: &Value,
    allowed: bool,
) -> Result<String, String> {
    let text = |key: &str| compared.get(key).and_then(Value::as_str);
    let wanted = text("role").unwrap_or_default();
    let of = provenance
        .inputs()
        .iter()
        .find(|input| role(input) == wanted)
        .and_then(dependency)
        .map_or_else(|| wanted.to_owned(), |(of, _)| format!("`{of}`"));
    let Some(by) = text("by") else {
        return Ok(format!(
            "`{name}`: could not be compared with {of}: they share no columns"
        ));
    };
    let common = compared.get("common").and_then(Value::as_u64);
    let rows = compared.get("rows").and_then(Value::as_u64);
    let (told, none) = match common.zip(rows) {
        Some((common, rows)) => (
            format!("{common} of {rows} rows are in {of}, by {by}"),
            common == 0,
        ),
        None => (format!("it measured on {of} itself"), false),
    };
    if none {
        Ok(format!("`{name}`: {told}"))
    } else if allowed {
        Ok(format!(
            "`{name}`: declared: {told}; its figures say nothing about rows that are new to the model"
        ))
    } else {
        Err(format!("`{name}`: {told}"))
    }
}

fn evaluates(link: &Link) -> bool {
    link.provenance.as_ref().is_some_and(|provenance| {
        let declared = provenance
            .build_definition
            .external_parameters
            .get("declared");
        declared.is_some_and(|step| step.get("evaluate").is_some())
    })
}

/// A registered model must have passed its gate, and the gate must have looked at this model.
fn gates(evidence: &Evidence<'_>, roots: &[Version]) -> Findings {
    let mut findings = Findings {
        absent: Some("no registered model".to_owned()),
        ..Findings::default()
    };
    for root in roots.iter().filter(|root| {
        root.record.kind == Kind::Model && root.record.extra.contains_key("signature")
    }) {
        findings.note(evidence.gate(root));
    }
    findings
}

/// The kinds of evidence that a version of this kind could have.
const fn possible(kind: Kind) -> &'static [EvidenceKind] {
    match kind {
        Kind::Model => EvidenceKind::ALL,
        Kind::Dataset | Kind::Features => &[EvidenceKind::Contract],
        _ => &[],
    }
}

/// What a version has of a kind of evidence, or why it has none.
fn standing(
    evidence: &Evidence<'_>,
    links: &BTreeMap<VersionName, Link>,
    version: &Version,
    kind: EvidenceKind,
    now: Timestamp,
) -> Result<(), String> {
    let one = || links.get(&version.name()).into_iter();
    let only = |findings: Findings, none: &str| match findings {
        Findings { broken, .. } if !broken.is_empty() => Err(broken.join("; ")),
        Findings { waiting, .. } if !waiting.is_empty() => Err(waiting.join("; ")),
        Findings { evidence, .. } if evidence.is_empty() => Err(none.to_owned()),
        _ => Ok(()),
    };
    match kind {
        EvidenceKind::Gate => evidence.gate(version).map(drop),
        EvidenceKind::Contract => covered(evidence, version),
        EvidenceKind::Scan => {
            let rejection = evidence.rejection(&version.name());
            if let Some(rejection) = rejection.map_err(|problem| sentence(&problem))? {
                return Err(format!("it was {rejection}"));
            }
            let found = scans(evidence, one(), now);
            only(found, "only models are scanned")
        }
        EvidenceKind::Signature => {
            let found = signatures(evidence, one());
            only(found, "nobody signed it")
        }
    }
}

/// Whether the data, or all data that something was made from, was checked: it passed a contract, or it was
/// made of such data alone.
fn covered(evidence: &Evidence<'_>, version: &Version) -> Result<(), String> {
    let found = closure(evidence, version.clone()).map_err(|problem| sentence(&problem))?;
    if let Some(unseen) = found.unseen() {
        return Err(unseen);
    }
    let links = found.links;
    let is_data = |link: &Link| matches!(link.version.record.kind, Kind::Dataset | Kind::Features);
    if links.first().is_some_and(is_data) && evidence.contract(version).is_ok() {
        return Ok(());
    }
    let held = links
        .iter()
        .find(|link| is_data(link) && link.version.quarantined);
    if let Some(link) = held {
        return Err(format!("`{}` is in quarantine", link.version.name()));
    }
    let passed: BTreeSet<_> = links.iter().filter_map(passed_on).collect();
    let by_name: BTreeMap<_, _> = links
        .iter()
        .map(|link| (link.version.name(), link))
        .collect();
    let data: Vec<_> = links.iter().filter(|link| is_data(link)).collect();
    let parents = |link: &Link| -> Vec<VersionName> {
        let inputs = link.provenance.iter().flat_map(Provenance::inputs);
        let inputs = inputs.filter_map(dependency).map(|(name, _)| name);
        inputs
            .filter(|name| by_name.get(name).is_some_and(|link| is_data(link)))
            .collect()
    };
    let mut good: BTreeSet<VersionName> = BTreeSet::new();
    loop {
        let before = good.len();
        for link in &data {
            let made = parents(link);
            let of_good = !made.is_empty() && made.iter().all(|name| good.contains(name));
            if of_good || passed.contains(&link.version.record.digest) {
                good.insert(link.version.name());
            }
        }
        if good.len() == before {
            break;
        }
    }
    let open: Vec<_> = data
        .iter()
        .map(|link| link.version.name())
        .filter(|name| !good.contains(name))
        .map(|name| format!("`{name}`"))
        .collect();
    if data.is_empty() {
        Err("no data is known that it was made from".to_owned())
    } else if open.is_empty() {
        Ok(())
    } else {
        Err(format!("no contract was passed by {}", open.join(", ")))
    }
}

/// Returns the content that a report's contract was passed by.
fn passed_on(link: &Link) -> Option<Digest> {
    let provenance = link.provenance.as_ref()?;
    let declared = &provenance.build_definition.external_parameters;
    declared.get("declared")?.get("check")?;
    if !has_passed(&provenance.run_details.byproducts) {
        return None;
    }
    let mut inputs = provenance.inputs().iter();
    let data = inputs.find(|input| role(input) == "data")?;
    dependency(data).map(|(_, digest)| digest)
}

/// Lists the evidence that does not exist: of one version every kind that it could have, of everything what
/// is required.
fn absent(
    evidence: &Evidence<'_>,
    roots: &[Version],
    links: &BTreeMap<VersionName, Link>,
    request: &VerifyRequest,
    now: Timestamp,
) -> Vec<AbsentEvidence> {
    let everything = request.reference.is_none();
    let mut absent = Vec::new();
    let mut asked = false;
    for root in roots {
        let mut required = evidence.required(root);
        if !everything || root.record.kind == Kind::Model {
            required.extend(&request.require);
            asked = true;
        }
        // Who asks for one version is told that nothing may read it.
        let data = matches!(root.record.kind, Kind::Dataset | Kind::Features);
        if !everything && data && root.quarantined {
            required.insert(EvidenceKind::Contract);
        }
        if !everything && root.record.kind == Kind::Model && root.quarantined {
            required.insert(EvidenceKind::Scan);
        }
        let mut kinds = required.clone();
        if !everything {
            kinds.extend(possible(root.record.kind));
        }
        for kind in kinds {
            if let Err(because) = standing(evidence, links, root, kind, now) {
                absent.push(AbsentEvidence {
                    version: Some(root.name()),
                    kind,
                    because,
                    required: required.contains(&kind),
                });
            }
        }
    }
    if !asked {
        absent.extend(request.require.iter().map(|kind| AbsentEvidence {
            version: None,
            kind: *kind,
            because: "there is no model".to_owned(),
            required: true,
        }));
    }
    absent
}
