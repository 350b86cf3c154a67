//! Scans of models: what the scanner says is signed, entered, and decides what may be used.
//!
//! INVARIANT: a version of the kind `model` is made only by [`crate::VersionBuilder`], and that scans it between
//! the storing of its bytes and the entry that makes it valid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError};

use custody_attest::statement::{ResourceDescriptor, Statement};
use custody_findings::rules::PackId;
use custody_findings::{Finding, Rules, Summary, Verdict};
use custody_ledger::Outcome;
use custody_store::{StoreError, Version};
use custody_types::{
    Action, Classification, Digest, Kind, Problem, ProjectName, Timestamp, VersionFiles,
    VersionName, code,
};
use custody_wire::{ApproveReply, EntryRef, PolicySource, Rescanned, ScanView, VersionView};
use serde::{Deserialize, Serialize};

use crate::act::{Approve, ChangeRules, MetadataAccess, Reject, ScanModel};
use crate::door::{Inner, Key, lock};
use crate::endorsements::{Asked, When};
use crate::evidence::Evidence;
use crate::grant::Grant;
use crate::making::{NewVersion, VersionBuilder};
use crate::problem::{self, is_reason};
use crate::session::Session;
use crate::view::{CONTRACT, FINDINGS, QUARANTINE, REJECTED, RELEASE, SCAN_FACT};

/// The predicate type of the statement about a scan.
pub const SCAN: &str = "https://custody.dev/scan/v1";
/// The predicate type of the statement that lets a version out of quarantine.
pub const APPROVAL: &str = "https://custody.dev/approval/v1";
/// The predicate type of the statement that keeps a version in quarantine for good.
pub(crate) const REJECTION: &str = "https://custody.dev/rejection/v1";
/// The artifact whose newest version holds the workspace's rules of the scanner.
const RULES: &str = "custody/rules";
/// How many findings a statement lists.
const MOST_FINDINGS: usize = 500;
/// How many formats a statement lists.
const MOST_FORMATS: usize = 50;
/// How many findings are told to a person at once.
const MOST_TOLD: usize = 8;

/// Scans files where they can harm nothing.
pub trait Scanner: Send + Sync + fmt::Debug {
    /// Scans `files` by the program's own rules and then by `packs`.
    ///
    /// # Errors
    /// A [`Problem`] when they could not be scanned at all; what cannot be understood is a verdict.
    fn scan(&self, files: Arc<dyn VersionFiles>, packs: &[String]) -> Result<Scanned, Problem>;
}

/// What came of a scan.
#[derive(Debug, Clone)]
pub struct Scanned {
    /// What the scanner says of each file.
    pub summary: Summary,
    /// How the scanner was confined: what, and by which means.
    pub isolation: Vec<(String, String)>,
}

/// The statement about a scan: the predicate [`SCAN`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanStatement {
    /// What scanned, and by which rules.
    pub scanner: ScannerId,
    /// The worst of the files.
    pub verdict: Verdict,
    /// How much was looked at.
    pub coverage: Coverage,
    /// The formats of the files, each once.
    pub formats: Vec<String>,
    /// What was found, at most 500.
    pub findings: Vec<Finding>,
    /// The SHA-256 of all findings that matter to the verdict.
    pub findings_digest: Digest,
    /// How many findings are not listed.
    pub left_out: u64,
    /// How the scanner was confined: what, and by which means.
    pub isolation: Vec<(String, String)>,
    /// When.
    pub scanned_on: Timestamp,
}

/// What scanned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannerId {
    /// Which program.
    pub uri: String,
    /// Its version.
    pub version: String,
    /// Its rule packs, in order.
    pub rules: Vec<PackId>,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// The number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The bytes that a parser accounted for.
    pub understood: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Approval {
    approver: String,
    reason: String,
    scan: Digest,
    findings_digest: Digest,
    /// The policies in force: under others it no longer counts.
    policy: Digest,
    approved_on: Timestamp,
}

/// The predicate [`REJECTION`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rejection {
    rejecter: String,
    reason: String,
    rejected_on: Timestamp,
}

/// The predicate [`APPROVAL`] of what broke its contract.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContractApproval {
    approver: String,
    reason: String,
    /// The version for which the content is held.
    held: String,
    /// The statement about the check that failed; none where only a file is shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    contract: Option<Digest>,
    /// The policies in force: under others it no longer counts.
    policy: Digest,
    approved_on: Timestamp,
}

/// The rule packs that the workspace adds to the program's own.
#[derive(Debug)]
pub(crate) struct Rulebook {
    texts: Vec<String>,
    ids: Vec<PackId>,
}

impl Rulebook {
    fn new(texts: Vec<String>) -> Result<Self, Problem> {
        let packs: Vec<_> = texts.iter().map(String::as_str).collect();
        let rules = Rules::new(&packs).map_err(|error| {
            Problem::new(code::SCAN_002, "the rules cannot be used")
                .because_of(&error)
                .hint("see `custody rules show` for a pack that works")
        })?;
        Ok(Self {
            ids: rules.packs().to_vec(),
            texts,
        })
    }
}

impl Scanned {
    fn coverage(&self) -> Coverage {
        let files = &self.summary.files;
        let whole = files.iter().filter_map(|report| report.parts.first());
        whole.fold(
            Coverage {
                files: files.len() as u64,
                bytes: 0,
                understood: 0,
            },
            |sum, part| Coverage {
                bytes: sum.bytes.saturating_add(part.bytes),
                understood: sum.understood.saturating_add(part.understood),
                ..sum
            },
        )
    }

    fn formats(&self) -> Vec<String> {
        let files = &self.summary.files;
        let whole = files.iter().filter_map(|report| report.parts.first());
        let formats: BTreeSet<_> = whole.map(|part| part.format.clone()).collect();
        formats.into_iter().take(MOST_FORMATS).collect()
    }

    /// Returns what was found that is not a mere note.
    fn findings(&self) -> impl Iterator<Item = &Finding> {
        let all = self
            .summary
            .files
            .iter()
            .flat_map(|report| &report.findings);
        all.filter(|finding| finding.verdict > Verdict::Clean)
    }

    fn left_out(&self) -> u64 {
        self.summary
            .files
            .iter()
            .map(|report| report.left_out)
            .fold(0, u64::saturating_add)
    }

    /// Returns what names the findings: equal for equal findings in equal places.
    fn findings_digest(&self) -> Result<Digest, Problem> {
        let told: BTreeSet<_> = self.findings().map(line).collect();
        let text = serde_json_canonicalizer::to_vec(&(told, self.left_out()))
            .map_err(|error| fault(&error.to_string()))?;
        Ok(Digest::of(&text))
    }

    /// Tells the first findings, the worst before the others.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut findings: Vec<_> = self.findings().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse((finding.verdict, finding.severity)));
        let mut lines: Vec<_> = findings
            .iter()
            .take(MOST_TOLD)
            .map(|finding| line(finding))
            .collect();
        if findings.len() > MOST_TOLD {
            lines.push(format!("and {} more", findings.len() - MOST_TOLD));
        }
        lines
    }

    /// Returns whether nobody may let it in.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(
            self.summary.verdict,
            Verdict::Malicious | Verdict::Unscannable
        )
    }

    pub(crate) fn view(&self, statement: Digest, waits: bool) -> ScanView {
        ScanView {
            verdict: self.summary.verdict.to_string(),
            rules: packs(&self.summary.rules),
            findings: self.lines(),
            waits,
            statement,
        }
    }
}

fn line(finding: &Finding) -> String {
    format!("{} at {}: {}", finding.rule, finding.place, finding.what)
}

fn packs(ids: &[PackId]) -> Vec<String> {
    ids.iter()
        .map(|pack| format!("{} {}", pack.name, pack.version))
        .collect()
}

fn fault(because: &str) -> Problem {
    Problem::new(code::SCAN_019, "the scan broke off").because(because)
}

fn store_problem(error: StoreError) -> Problem {
    problem::store(&error)
}

/// Tells why a model is not taken.
pub(crate) fn refusal(name: &str, scanned: &Scanned) -> Problem {
    let verdict = scanned.summary.verdict;
    let mut problem = Problem::new(
        code::SCAN_010,
        format!("the model `{name}` is {verdict}, so it is not taken"),
    )
    .subject(name);
    for line in scanned.lines() {
        problem = problem.because(line);
    }
    problem.hint(if verdict == Verdict::Malicious {
        "do not load it anywhere; see everything that was found with `custody scan`"
    } else {
        "save it in a format that can be read whole, such as ONNX or safetensors; see everything that was found with `custody scan`"
    })
}

impl Inner {
    /// Returns the workspace's rules: those that the ledger names last.
    pub(crate) fn rulebook(&self) -> Result<Arc<Rulebook>, Problem> {
        let known = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref() {
            return Ok(known.clone());
        }
        drop(known);
        let mut texts = Vec::new();
        if let Some(digest) = self.in_force(Action::ChangeRules)? {
            let store = &self.parts.store;
            let record = store.version_record(&digest).map_err(store_problem)?;
            let version = Version {
                record,
                record_digest: digest,
                entry: 0,
                quarantined: false,
            };
            let files = store.files(&version).map_err(store_problem)?;
            for file in files.files() {
                let bytes = files
                    .read(&file.path, 0..file.size.bytes())
                    .map_err(|error| problem::read(&error))?;
                texts.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        let book = Arc::new(Rulebook::new(texts)?);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Some(book.clone());
        Ok(book)
    }

    /// Scans by the rules in force.
    pub(crate) fn scan(&self, files: Arc<dyn VersionFiles>) -> Result<Scanned, Problem> {
        let book = self.rulebook()?;
        let scanned = self.parts.scanner.scan(files, &book.texts)?;
        if scanned.summary.rules == book.ids {
            Ok(scanned)
        } else {
            Err(fault("the scanner used other rules than those in force"))
        }
    }

    /// Returns whether the session's person made the version and does not own the workspace: owners have
    /// nobody above them.
    fn is_own(&self, session: &Session, version: &Version) -> bool {
        let person = session.on_behalf_of.as_ref().unwrap_or(&session.actor);
        self.pseudonym(person) == version.record.author
            && !self.policies().directory().is_owner(person, self.now())
    }

    /// Returns whether a scan lets the content be used in the project.
    pub(crate) fn passes(
        &self,
        project: &ProjectName,
        content: Digest,
        scanned: &Scanned,
    ) -> Result<bool, Problem> {
        match scanned.summary.verdict {
            Verdict::Clean => Ok(true),
            Verdict::Review => {
                let findings = scanned.findings_digest()?;
                self.is_approved(project, &content, &findings)
            }
            Verdict::Malicious | Verdict::Unscannable => Ok(false),
        }
    }

    /// Signs the statement about a scan.
    pub(crate) fn attest_scan(
        &self,
        name: &str,
        content: Digest,
        scanned: &Scanned,
    ) -> Result<Vec<u8>, Problem> {
        let listed = scanned.findings().count().min(MOST_FINDINGS);
        let unlisted = scanned.findings().count() - listed;
        let predicate = ScanStatement {
            scanner: ScannerId {
                uri: "https://custody.dev/scanner".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                rules: scanned.summary.rules.clone(),
            },
            verdict: scanned.summary.verdict,
            coverage: scanned.coverage(),
            formats: scanned.formats(),
            findings: scanned.findings().take(listed).cloned().collect(),
            findings_digest: scanned.findings_digest()?,
            left_out: scanned.left_out().saturating_add(unlisted as u64),
            isolation: scanned.isolation.clone(),
            scanned_on: self.parts.clock.now(),
        };
        self.seal(name, content, SCAN, &predicate)
    }

    pub(crate) fn seal(
        &self,
        name: &str,
        content: Digest,
        predicate_type: &str,
        predicate: &impl Serialize,
    ) -> Result<Vec<u8>, Problem> {
        let subject = vec![ResourceDescriptor::version(name, content)];
        Statement::new(subject, predicate_type, predicate)
            .and_then(|statement| statement.seal(&Key(&self.parts.signing)))
            .map_err(|error| {
                Problem::new(code::ATTEST_001, "the statement could not be signed").because(error)
            })
    }

    /// Keeps a document beside a version of the project.
    pub(crate) fn keep_record(
        &self,
        project: &ProjectName,
        bytes: &[u8],
    ) -> Result<Digest, Problem> {
        let mut writer = self.parts.store.writer(project).map_err(store_problem)?;
        let digest = writer.put_record(bytes).map_err(store_problem)?;
        writer.keep().map_err(store_problem)?;
        Ok(digest)
    }
}

/// A version's last scan.
#[derive(Debug, Clone)]
pub struct LastScan {
    /// The SHA-256 of the signed statement.
    pub digest: Digest,
    /// What it says.
    pub statement: ScanStatement,
    /// Whether somebody approved these findings.
    pub approved: bool,
}

impl LastScan {
    /// Returns whether it was made by these rules and left nothing to do: a model may stay in quarantine
    /// though it is clean, where whoever made it had it scanned.
    pub fn is_current(&self, version: &Version, rules: &[PackId]) -> bool {
        let stuck = version.quarantined && self.statement.verdict == Verdict::Clean;
        self.statement.scanner.rules == rules && !stuck
    }
}

impl Evidence<'_> {
    /// Returns the last scan of a version, after its signature was checked.
    ///
    /// # Errors
    /// A [`Problem`] when the statement is missing, damaged, not signed by this workspace, or about
    /// something else.
    pub fn last_scan(&self, version: &Version) -> Result<Option<LastScan>, Problem> {
        let name = version.name();
        let Some(digest) = self.door.0.scan_of(&name)? else {
            return Ok(None);
        };
        let told = self.statement(&digest)?;
        let wrong = |because: String| {
            Problem::new(
                code::SCAN_011,
                format!("the scan of `{name}` does not hold"),
            )
            .because(because)
            .hint("scan it again with `custody rescan`")
        };
        let content = version.record.digest;
        let about = |subject: &ResourceDescriptor| {
            subject.name == name.to_string() && subject.sha256() == Some(content)
        };
        if told.predicate_type != SCAN || !told.subject.iter().any(about) {
            return Err(wrong("the statement is about something else".to_owned()));
        }
        let statement: ScanStatement =
            serde_json::from_value(told.predicate).map_err(|error| wrong(error.to_string()))?;
        let project = version.record.artifact.project();
        let inner = &self.door.0;
        Ok(Some(LastScan {
            digest,
            approved: inner.was_approved(project, &content, &statement.findings_digest)?,
            statement,
        }))
    }

    /// Returns the rule packs in force.
    ///
    /// # Errors
    /// A [`Problem`] when the workspace's rules cannot be read.
    pub fn rules_in_force(&self) -> Result<Vec<PackId>, Problem> {
        Ok(self.door.0.rulebook()?.ids.clone())
    }
}

impl Grant<ScanModel> {
    /// Scans the version again, enters what came out, and puts it into quarantine or takes it out.
    /// `known`: scans of this call by content, so that equal bytes are scanned once.
    ///
    /// # Errors
    /// A [`Problem`] when it could not be scanned, or the ledger does not take the entry.
    pub fn rescan(mut self, known: &mut BTreeMap<Digest, Scanned>) -> Result<Rescanned, Problem> {
        let door = self.door.clone();
        let inner = &door.0;
        let version = self.version()?.clone();
        inner.has_bytes(&version)?;
        let (name, content) = (version.name(), version.record.digest);
        let evidence = self.evidence();
        let before = evidence.last_scan(&version)?;
        let scanned = match known.get(&content) {
            Some(scanned) => scanned.clone(),
            None => {
                let files = inner.parts.store.files(&version).map_err(store_problem)?;
                inner.scan(files)?
            }
        };
        known.insert(content, scanned.clone());
        let project = version.record.artifact.project();
        let _turn = inner.locks.project(project);
        let held = inner.scan_holds(&name)?;
        // Nobody lets out what they made themselves, by whichever way the findings went.
        let own = held && inner.is_own(&self.session, &version);
        let quarantined = own || !inner.passes(project, content, &scanned)?;
        let envelope = inner.attest_scan(&name.to_string(), content, &scanned)?;
        let statement = inner.keep_record(project, &envelope)?;
        let mut draft = self.outcome(Outcome::Ok);
        draft.lineage.statement = Some(statement);
        let verdict = scanned.summary.verdict.to_string();
        draft.facts.insert("verdict".to_owned(), verdict.clone());
        draft
            .facts
            .insert(SCAN_FACT.to_owned(), statement.to_string());
        if quarantined != held {
            let fact = if quarantined { QUARANTINE } else { RELEASE };
            draft.facts.insert(fact.to_owned(), name.to_string());
        }
        self.finished = true;
        let receipt = inner.append(draft)?;
        let quarantined = inner.confirmed(version.clone())?.quarantined;
        let rejected = inner.rejection(&name)?.is_some();
        let told = |findings: &[Finding]| findings.iter().map(line).collect::<BTreeSet<_>>();
        let old = before.as_ref().map(|scan| told(&scan.statement.findings));
        let (old, new) = (
            old.unwrap_or_default(),
            scanned.findings().map(line).collect::<BTreeSet<_>>(),
        );
        Ok(Rescanned {
            version: name,
            before: before
                .as_ref()
                .map(|scan| scan.statement.verdict.to_string()),
            after: verdict,
            rules: packs(&scanned.summary.rules),
            appeared: new.difference(&old).cloned().collect(),
            gone: old.difference(&new).cloned().collect(),
            quarantined,
            rejected,
            statement,
            entry: EntryRef {
                index: receipt.index(),
                id: receipt.id().to_owned(),
            },
        })
    }
}

impl<A: MetadataAccess> Grant<A> {
    /// Enters what was decided about a version in quarantine. Returns the version as it is then, and the entry.
    pub(crate) fn decided(
        &mut self,
        version: Version,
        statement: Option<Digest>,
        facts: BTreeMap<String, String>,
    ) -> Result<(VersionView, EntryRef), Problem> {
        let mut draft = self.outcome(Outcome::Ok);
        draft.lineage.statement = statement;
        draft.facts = facts;
        self.finished = true;
        let receipt = self.door.0.append(draft)?;
        let entry = EntryRef {
            index: receipt.index(),
            id: receipt.id().to_owned(),
        };
        let version = self.door.0.confirmed(version)?;
        Ok((self.evidence().view(&version)?, entry))
    }
}

impl Grant<Approve> {
    /// Lets the version out of quarantine: a model that its scan left to a person, or what has the bytes of a
    /// dataset that broke its contract; or gives an approval that a gate asks for, where it is its decision. `reason` is kept in a signed statement; the same findings in the same
    /// content, or the same contract broken by it, need no second approval in this project.
    ///
    /// # Errors
    /// A [`Problem`] when it waits for no approval, nobody may let it in, or the reason is missing.
    pub fn approve(mut self, reason: &str) -> Result<ApproveReply, Problem> {
        let door = self.door.clone();
        let inner = &door.0;
        let version = self.version()?.clone();
        let _turn = inner.locks.project(version.record.artifact.project());
        let version = inner.confirmed(version.clone())?;
        let name = version.name();
        if !is_reason(reason) {
            return Err(not_approved(
                &name,
                "an approval needs a reason of at most 2000 bytes",
                "say with `--reason` what you looked at and why it may be used",
            ));
        }
        if let Some(rejection) = self.evidence().rejection(&name)? {
            return Err(not_approved(
                &name,
                &format!("it was {rejection}"),
                "a rejection stands; if it was a mistake, put the same files again and let that be approved",
            ));
        }
        let (statement, mut facts) = if inner.scan_holds(&name)? {
            self.approve_scan(&version, reason)?
        } else if let Some(asked) = self.asked_of(&version)? {
            let (statement, facts) = self.approve_decision(&version, &asked, reason)?;
            let (view, entry) = self.decided(version.clone(), Some(statement), facts)?;
            return Ok(ApproveReply {
                version: view,
                entry,
                approvals: self.evidence().approvals(&version)?,
            });
        } else {
            self.approve_contract(&version, reason)?
        };
        facts.insert(RELEASE.to_owned(), name.to_string());
        let (version, entry) = self.decided(version, Some(statement), facts)?;
        Ok(ApproveReply {
            version,
            entry,
            approvals: None,
        })
    }

    /// Returns what a version of a gate's decision asks for, where it is not in quarantine.
    fn asked_of(&self, version: &Version) -> Result<Option<Asked>, Problem> {
        if version.quarantined {
            return Ok(None);
        }
        self.evidence().asked(version, &When::Now)
    }

    /// Keeps the signed approval of what a scan found; returns its digest and the facts of its entry.
    fn approve_scan(
        &self,
        version: &Version,
        reason: &str,
    ) -> Result<(Digest, BTreeMap<String, String>), Problem> {
        let inner = &self.door.0;
        let name = version.name();
        let evidence = self.evidence();
        let Some(scan) = evidence.last_scan(version)? else {
            return Err(waits_for_nothing(&name));
        };
        if scan.statement.verdict == Verdict::Clean {
            return Err(not_approved(
                &name,
                "it is clean by its last scan, which whoever made it asked for",
                &format!("scan it again with `custody rescan {name}`: that lets it out"),
            ));
        }
        if scan.statement.verdict != Verdict::Review {
            return Err(not_approved(
                &name,
                &format!("its last scan says that it is {}", scan.statement.verdict),
                "nobody may let that in; make the model anew in a format that can be read whole",
            ));
        }
        let approval = Approval {
            approver: inner.pseudonym(&self.session.actor),
            reason: reason.to_owned(),
            scan: scan.digest,
            findings_digest: scan.statement.findings_digest,
            policy: inner.policies().digest(),
            approved_on: inner.parts.clock.now(),
        };
        let content = version.record.digest;
        let envelope = inner.seal(&name.to_string(), content, APPROVAL, &approval)?;
        let statement = inner.keep_record(version.record.artifact.project(), &envelope)?;
        let findings = scan.statement.findings_digest.to_string();
        Ok((statement, BTreeMap::from([(FINDINGS.to_owned(), findings)])))
    }

    /// Keeps the signed approval of content that broke its contract; returns its digest and the facts of its
    /// entry. Nobody approves bytes that they brought, under whichever name.
    fn approve_contract(
        &self,
        version: &Version,
        reason: &str,
    ) -> Result<(Digest, BTreeMap<String, String>), Problem> {
        let inner = &self.door.0;
        let (name, content) = (version.name(), version.record.digest);
        let project = version.record.artifact.project();
        let Some(hold) = inner.hold(project, &content)? else {
            return Err(waits_for_nothing(&name));
        };
        let same = inner.with_content(project, &content)?;
        if let Some(own) = same.iter().find(|one| inner.is_own(&self.session, one)) {
            return Err(Problem::new(
                code::DOOR_006,
                format!("`{name}` cannot be approved by you"),
            )
            .because(format!(
                "you made `{}`, which has the same bytes",
                own.name()
            ))
            .hint("ask someone else who may approve; see who there is with `custody account ls`"));
        }
        let approval = ContractApproval {
            approver: inner.pseudonym(&self.session.actor),
            reason: reason.to_owned(),
            held: hold.version.to_string(),
            contract: hold.statement,
            policy: inner.policies().digest(),
            approved_on: inner.parts.clock.now(),
        };
        let envelope = inner.seal(&name.to_string(), content, APPROVAL, &approval)?;
        let statement = inner.keep_record(project, &envelope)?;
        let contract = hold
            .step_key
            .map_or_else(|| "none".to_owned(), |key| key.to_string());
        Ok((statement, BTreeMap::from([(CONTRACT.to_owned(), contract)])))
    }
}

impl Grant<Reject> {
    /// Keeps the version in quarantine for good: nobody can approve it any more. `reason` is kept in a signed
    /// statement.
    ///
    /// # Errors
    /// A [`Problem`] when it is not in quarantine, was rejected before, or the reason is missing.
    pub fn reject(mut self, reason: &str) -> Result<(VersionView, EntryRef), Problem> {
        let door = self.door.clone();
        let inner = &door.0;
        let version = self.version()?.clone();
        let _turn = inner.locks.project(version.record.artifact.project());
        let version = inner.confirmed(version.clone())?;
        let name = version.name();
        let refused = |because: &str, hint: &str| {
            Problem::new(code::SCAN_026, format!("`{name}` cannot be rejected"))
                .because(because)
                .hint(hint)
        };
        if !is_reason(reason) {
            return Err(refused(
                "a rejection needs a reason of at most 2000 bytes",
                "say with `--reason` what was found",
            ));
        }
        if !version.quarantined {
            return Err(refused(
                "it is not in quarantine",
                "see what is with `custody ls --quarantine`",
            ));
        }
        if let Some(rejection) = self.evidence().rejection(&name)? {
            return Err(refused(
                &format!("it was {rejection}"),
                "nothing is left to be done",
            ));
        }
        let rejection = Rejection {
            rejecter: inner.pseudonym(&self.session.actor),
            reason: reason.to_owned(),
            rejected_on: inner.parts.clock.now(),
        };
        let content = version.record.digest;
        let envelope = inner.seal(&name.to_string(), content, REJECTION, &rejection)?;
        let statement = inner.keep_record(version.record.artifact.project(), &envelope)?;
        let facts = BTreeMap::from([(REJECTED.to_owned(), name.to_string())]);
        self.decided(version, Some(statement), facts)
    }
}

pub(crate) fn not_approved(name: &VersionName, because: &str, hint: &str) -> Problem {
    Problem::new(code::SCAN_012, format!("`{name}` cannot be approved"))
        .because(because)
        .hint(hint)
}

fn waits_for_nothing(name: &VersionName) -> Problem {
    not_approved(
        name,
        "it waits for no approval",
        "see what waits with `custody ls --quarantine`",
    )
}

impl Grant<ChangeRules> {
    /// Puts other rule packs in force, after the program's own: checked as a whole, then kept as a version.
    /// Returns the packs in force.
    ///
    /// # Errors
    /// A [`Problem`] when they do not hold up; the old ones stay in force.
    pub fn apply(self, sources: &[PolicySource]) -> Result<Vec<String>, Problem> {
        let door = self.door.clone();
        let _changing = lock(&door.0.changing);
        let book = Rulebook::new(sources.iter().map(|source| source.text.clone()).collect())?;
        let told = packs(&book.ids);
        let name_problem =
            |error: custody_types::NameError| Problem::new(code::SCAN_018, error.to_string());
        let artifact: custody_types::ArtifactName = RULES.parse().map_err(name_problem)?;
        let mut making = VersionBuilder::start_at(&door, artifact.project())?;
        for (number, source) in sources.iter().enumerate() {
            // The order of the packs counts, and a version's files are in the order of their names.
            let path = format!("{number:03}-{}", source.name);
            let path = path.parse().map_err(name_problem)?;
            making.file(path, false, &mut source.text.as_bytes())?;
        }
        let new = NewVersion::new(artifact, Kind::Policy, Classification::Internal);
        making.finish_admin(self, new, BTreeMap::new())?;
        making.commit(None)?;
        *door.0.rules.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(book));
        Ok(told)
    }
}
