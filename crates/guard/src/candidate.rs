//! Questions about policies that are not in force: are they sound, do their tests hold, what would they change. Nothing is kept.

use custody_identity::Directory;
use custody_policy::{
    Checked, Difference, Finding, PolicySet, Severity, Source, TESTS, TestReport,
    principals_finding,
};
use custody_types::{Actor, Problem, code};
use custody_wire::{
    EffectView, FailedTestView, FindingView, PolicyChange, PolicyDiffReply, PolicySource,
    PolicyTestReply, ValidateReply,
};
use similar::{ChangeTag, TextDiff};

use crate::act::{ReadIdentity, ReadPolicy};
use crate::admin::{Wanted, policy_problem};
use crate::door::{Door, Inner, PRINCIPALS};
use crate::session::Session;
use crate::target::ResourceRef;

/// The account that owns the workspace where there is none.
const NOBODY: &str = "owner";
const SETTINGS: &str = "settings.json";

/// Policies that are not in force, with the accounts that a file beside them lists.
pub(crate) struct Candidate {
    pub(crate) sources: Vec<Source>,
    pub(crate) listed: Option<String>,
}

impl Candidate {
    pub(crate) fn of(sources: Vec<PolicySource>) -> Self {
        let (listed, sources): (Vec<_>, Vec<_>) = sources
            .into_iter()
            .partition(|source| source.name == PRINCIPALS);
        let sources = sources.into_iter().map(|source| Source {
            name: source.name,
            text: source.text,
        });
        Self {
            sources: sources.collect(),
            listed: listed.into_iter().next().map(|listed| listed.text),
        }
    }

    /// Lists the files with the accounts among them, so that a name in them has its place.
    fn files(&self) -> Vec<Source> {
        let listed = self.listed.iter().map(|text| Source {
            name: PRINCIPALS.to_owned(),
            text: text.clone(),
        });
        self.sources.iter().cloned().chain(listed).collect()
    }
}

/// Checks a set of policies where there is no workspace: by itself, and with the accounts that it lists.
pub fn validate_policies(sources: Vec<PolicySource>) -> ValidateReply {
    let candidate = Candidate::of(sources);
    let owner = Actor::user(NOBODY);
    let directory = candidate.listed.as_ref().map_or_else(
        || Ok(Directory::of_owner(&owner)),
        |text| Directory::parse(text, &owner),
    );
    let mut findings = Vec::new();
    let directory = directory.unwrap_or_else(|error| {
        findings.push(principals_finding(&error.to_string()));
        Directory::of_owner(&owner)
    });
    let checked = Checked::of(&candidate.sources, directory, None);
    findings.extend(checked.findings);
    validated(findings, checked.set.as_ref(), false)
}

/// Checks the tests beside a set of policies where there is no workspace.
///
/// # Errors
/// A [`Problem`] when the set does not stand up by itself, or has no tests.
pub fn test_policies(sources: Vec<PolicySource>) -> Result<PolicyTestReply, Problem> {
    let Candidate { sources, .. } = Candidate::of(sources);
    let directory = Directory::of_owner(&Actor::user(NOBODY));
    tested(&sources, directory)
}

fn tested(sources: &[Source], directory: Directory) -> Result<PolicyTestReply, Problem> {
    if !sources.iter().any(|source| source.name == TESTS) {
        return Err(Problem::new(
            code::POLICY_008,
            format!("the policies have no tests: there is no `{TESTS}`"),
        )
        .hint("write some beside them: `docs/formats/policy-tests.md` says how"));
    }
    let set = PolicySet::parse(sources, directory).map_err(|error| policy_problem(&error))?;
    Ok(told_tests(set.test()))
}

fn told_tests(report: TestReport) -> PolicyTestReply {
    let failed = report.failed.into_iter().map(|failed| FailedTestView {
        name: failed.name,
        action: failed.action,
        because: failed.because,
    });
    let failed: Vec<_> = failed.collect();
    PolicyTestReply {
        ok: failed.is_empty(),
        checked: report.checked,
        failed,
    }
}

fn validated(
    findings: Vec<Finding>,
    set: Option<&PolicySet>,
    with_accounts: bool,
) -> ValidateReply {
    let mut severities = findings.iter().map(|finding| finding.severity);
    let valid = !severities.any(|severity| severity == Severity::Error);
    let findings = findings.into_iter().map(|finding| FindingView {
        severity: match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
        .to_owned(),
        file: finding.file,
        line: finding.line,
        column: finding.column,
        policy: finding.policy,
        what: finding.what,
    });
    ValidateReply {
        valid,
        with_accounts,
        findings: findings.collect(),
        digest: set.map(PolicySet::digest),
    }
}

impl Door {
    /// Checks a set of policies as putting it in force would; nothing is changed.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not see policies and accounts.
    pub fn validate_policies(
        &self,
        session: &Session,
        sources: Vec<PolicySource>,
    ) -> Result<ValidateReply, Problem> {
        let policies = self.ask::<ReadPolicy>(session, ResourceRef::Policy)?;
        let accounts = self.ask::<ReadIdentity>(session, ResourceRef::Identity)?;
        let inner = &self.0;
        let candidate = Candidate::of(sources);
        let before = inner.policies().directory().clone();
        let mut findings = Vec::new();
        let directory = match &candidate.listed {
            None => before,
            Some(text) => Directory::parse(text, &inner.parts.owner).unwrap_or_else(|error| {
                findings.push(principals_finding(&error.to_string()));
                before
            }),
        };
        let checked = inner.seen(session, |seen| {
            Checked::of(&candidate.files(), directory, Some(seen))
        });
        findings.extend(checked.findings);
        policies.finish()?;
        accounts.finish()?;
        Ok(validated(findings, checked.set.as_ref(), true))
    }

    /// Checks the tests beside a set of policies; without files those of the set in force, and those of the built-in policy.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not see policies, the set does not stand up by itself, or has no tests.
    pub fn test_policies(
        &self,
        session: &Session,
        sources: Vec<PolicySource>,
    ) -> Result<PolicyTestReply, Problem> {
        let grant = self.ask::<ReadPolicy>(session, ResourceRef::Policy)?;
        let tested = if sources.is_empty() {
            let builtin = PolicySet::test_builtin();
            let own = self.0.policies().test();
            Ok(told_tests(TestReport {
                checked: builtin.checked + own.checked,
                failed: builtin.failed.into_iter().chain(own.failed).collect(),
            }))
        } else {
            let directory = Directory::of_owner(&self.0.parts.owner);
            tested(&Candidate::of(sources).sources, directory)
        };
        match tested {
            Ok(reply) => {
                grant.finish()?;
                Ok(reply)
            }
            Err(problem) => {
                grant.fail(problem.code);
                Err(problem)
            }
        }
    }

    /// Tells what a set of policies would change against the one in force.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not see policies, or the set does not stand up by itself.
    pub fn compare_policies(
        &self,
        session: &Session,
        sources: Vec<PolicySource>,
    ) -> Result<PolicyDiffReply, Problem> {
        let grant = self.ask::<ReadPolicy>(session, ResourceRef::Policy)?;
        let before = self.0.policies().clone();
        // Whose accounts they are makes no difference: roles are compared.
        let after = self.0.candidate(&before, &Candidate::of(sources));
        match after {
            Ok(after) => {
                grant.finish()?;
                Ok(told_difference(&before, &after))
            }
            Err(problem) => {
                grant.fail(problem.code);
                Err(problem)
            }
        }
    }
}

impl Inner {
    /// Returns the set that a candidate would be, without the accounts that it lists.
    pub(crate) fn candidate(
        &self,
        before: &PolicySet,
        candidate: &Candidate,
    ) -> Result<PolicySet, Problem> {
        let wanted = Wanted::Policies {
            sources: candidate.sources.clone(),
            listed: None,
        };
        self.wanted(before, &wanted)
    }
}

fn told_difference(before: &PolicySet, after: &PolicySet) -> PolicyDiffReply {
    let Difference {
        policies,
        cells,
        compared,
    } = after.difference(before);
    let policies = policies.into_iter().map(|(id, (was, is))| PolicyChange {
        id,
        change: match (&was, &is) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        }
        .to_owned(),
        lines: changed_lines(&was.unwrap_or_default(), &is.unwrap_or_default()),
    });
    let settings = |set: &PolicySet| {
        let source = set.sources().iter().find(|source| source.name == SETTINGS);
        source.map_or_else(|| "{}".to_owned(), |source| source.text.clone())
    };
    let mut effects: Vec<EffectView> = Vec::new();
    for cell in cells {
        let on = cell.on.entity();
        let last = effects.last_mut().filter(|last| {
            last.role == cell.role
                && last.action == cell.action
                && last.on == on
                && last.permit == cell.permits
        });
        let case = cell.case.as_str().to_owned();
        match last {
            Some(last) => last.cases.push(case),
            None => effects.push(EffectView {
                role: cell.role,
                action: cell.action,
                on: on.to_owned(),
                cases: vec![case],
                permit: cell.permits,
            }),
        }
    }
    PolicyDiffReply {
        before: before.digest(),
        after: after.digest(),
        policies: policies.collect(),
        settings: changed_lines(&settings(before), &settings(after)),
        compared,
        effects,
    }
}

/// Tells what differs between two texts, a line each: `+` what is added, `-` what is taken away.
pub(crate) fn changed_lines(old: &str, new: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(old, new);
    let changes = diff.iter_all_changes().filter_map(|change| {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => return None,
        };
        Some(format!("{sign} {}", change.value().trim_end()))
    });
    changes.collect()
}

/// Tells why policies are not put in force whose tests do not hold.
pub(crate) fn tests_problem(report: &TestReport) -> Option<Problem> {
    const MOST_TOLD: usize = 5;
    let failed = &report.failed;
    if failed.is_empty() {
        return None;
    }
    let count = failed.len();
    let mut problem = Problem::new(
        code::POLICY_009,
        format!("{count} of {} tests of the policies fail", report.checked),
    )
    .hint("correct the policies or the tests: `custody policy test` shows all; what is in force stays as it is");
    for one in failed.iter().take(MOST_TOLD) {
        problem = problem.because(format!("`{}`, {}: {}", one.name, one.action, one.because));
    }
    Some(problem)
}
