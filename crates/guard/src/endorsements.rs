//! The approvals that a gate asks for, before what passed it is registered.
//!
//! An approval is of one decision about one model by one evaluation, under the policies of its day: with any of them another it
//! counts no more, nor after a week. They are of different people, none of whom asked for it.

use std::collections::{BTreeMap, BTreeSet};

use custody_attest::slsa::Provenance;
use custody_attest::statement::Statement;
use custody_store::Version;
use custody_types::{Action, ActorKind, Digest, Problem, Timestamp, VersionName, code, counted};
use custody_wire::ApprovalsView;
use serde::Serialize;
use serde_json::Value;

use crate::act::Approve;
use crate::door::Inner;
use crate::evidence::Evidence;
use crate::gates::{dependency, input, is_step, passed};
use crate::grant::Grant;
use crate::scanning::{APPROVAL, not_approved};
use crate::view::{ENDORSES, Endorsement};

/// How long an approval counts, in seconds.
const COUNTS: i64 = 7 * 24 * 60 * 60;

/// What a gate decided, and how many approvals it asks for.
pub(crate) struct Asked {
    pub(crate) needed: usize,
    /// What an approval binds.
    bound: Digest,
    /// Who asked for it, by pseudonym: who had the decision made, and the model.
    pub(crate) requesters: BTreeSet<String>,
}

/// The predicate [`APPROVAL`] of what a gate decided.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GateApproval {
    approver: String,
    reason: String,
    /// The model that passed.
    model: String,
    /// The evaluation whose figures counted.
    evaluation: String,
    /// The policies in force.
    policy: Digest,
    approved_on: Timestamp,
    expires: Timestamp,
}

/// When approvals have to count.
pub(crate) enum When {
    Now,
    /// When the version was made, by the entry of this index.
    Made(u64, Timestamp),
}

/// Returns how many approvals the pipeline of a decision asks for.
fn declared(decided: &Provenance) -> usize {
    let told = decided.run_details.byproducts.iter();
    let told = told.filter_map(|one| one.get("approvals").and_then(Value::as_u64));
    told.max()
        .map_or(0, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

impl Evidence<'_> {
    /// Returns what a version of a gate's decision asks for: nothing where it is none, was negative, or asks for no approval.
    /// What the policies demand counts now; what was made once was made under those of its day.
    pub(crate) fn asked(&self, version: &Version, when: &When) -> Result<Option<Asked>, Problem> {
        let Some(decided) = self.of_door().provenance(version)? else {
            return Ok(None);
        };
        let project = version.record.artifact.project();
        let demanded = match when {
            When::Now => self.door.0.policies().settings().approvals(project),
            When::Made(..) => 0,
        };
        let needed = declared(&decided).max(usize::from(demanded));
        if !is_step(&decided, "gate") || !passed(&decided) || needed == 0 {
            return Ok(None);
        }
        let (model, evaluation) = (input(&decided, "model"), input(&decided, "evaluation"));
        let Some(((model, content), (_, figures))) = model.zip(evaluation) else {
            return Ok(None);
        };
        let record = &version.record;
        let bound = format!(
            "approval of a gate\n{project}\n{content}\n{figures}\n{}",
            record.digest
        );
        let mut requesters = BTreeSet::from([record.author.clone()]);
        let model = self.door.0.resolve(&model.into())?;
        requesters.extend(model.map(|model| model.record.author));
        Ok(Some(Asked {
            needed,
            bound: Digest::of(bound.as_bytes()),
            requesters,
        }))
    }

    /// Lists the approvals of what a gate decided that count, one of each person.
    pub(crate) fn endorsements(
        &self,
        asked: &Asked,
        when: &When,
    ) -> Result<Vec<Endorsement>, Problem> {
        let inner = &self.door.0;
        let policies = inner.in_force(Action::ChangePolicy)?;
        let now = self.door.now();
        let mut given: BTreeMap<String, Endorsement> = BTreeMap::new();
        for one in inner.endorsements(&asked.bound)? {
            let ends = one.time.plus_seconds(COUNTS);
            let counts = match when {
                When::Now => one.policies == policies && now < ends,
                When::Made(entry, time) => one.entry < *entry && *time < ends,
            };
            if counts && !asked.requesters.contains(&one.by) {
                given.insert(one.by.clone(), one);
            }
        }
        Ok(given.into_values().collect())
    }

    /// Checks that a decision has the approvals that it asks for; `but`: the pseudonym of who rests upon it now. Returns how
    /// many it has.
    ///
    /// # Errors
    /// How many are missing, in words.
    pub(crate) fn is_endorsed(
        &self,
        version: &Version,
        when: &When,
        but: Option<&str>,
    ) -> Result<usize, String> {
        let told = |problem: Problem| problem.to_string();
        let Some(asked) = self.asked(version, when).map_err(told)? else {
            return Ok(0);
        };
        let given = self.endorsements(&asked, when).map_err(told)?;
        let given = given.iter().filter(|one| Some(one.by.as_str()) != but);
        let given = given.count();
        if given >= asked.needed {
            return Ok(given);
        }
        Err(format!(
            "`{}` asks for {} of other people, and has {given}",
            version.name(),
            counted(asked.needed, "approval")
        ))
    }

    /// Tells which approvals a version asks for, and who gave them.
    pub(crate) fn approvals(&self, version: &Version) -> Result<Option<ApprovalsView>, Problem> {
        let Some(asked) = self.asked(version, &When::Now)? else {
            return Ok(None);
        };
        let given = self.endorsements(&asked, &When::Now)?;
        let told = given.iter().map(|one| {
            let waiver = crate::view::Waiver {
                entry: one.entry,
                statement: one.statement,
                policies: one.policies,
            };
            self.approval(&waiver)
        });
        Ok(Some(ApprovalsView {
            needed: asked.needed,
            given: told.collect::<Result<_, _>>()?,
        }))
    }
}

impl Inner {
    /// Refuses to register what its gate asks for approvals of, until they are there. `statement`: about what is registered.
    pub(crate) fn check_endorsed(
        &self,
        evidence: &Evidence<'_>,
        statement: &Statement,
    ) -> Result<(), Problem> {
        let made = Provenance::of(statement)
            .map_err(|error| Problem::new(code::ATTEST_005, error.to_string()))?;
        for descriptor in made.inputs() {
            if crate::gates::role(descriptor) != "gate" {
                continue;
            }
            let Some((name, digest)) = dependency(descriptor) else {
                continue;
            };
            let decision = self.resolve(&name.clone().into())?;
            let decision = decision.filter(|decision| decision.record.digest == digest);
            let but = self.pseudonym(evidence.session.person());
            let endorsed = decision.map_or_else(
                || Err(format!("the decision `{name}` is not there")),
                |decision| evidence.is_endorsed(&decision, &When::Now, Some(&but)),
            );
            endorsed.map_err(|because| waits(&name, &because))?;
        }
        Ok(())
    }
}

fn waits(name: &VersionName, because: &str) -> Problem {
    Problem::new(code::RUN_044, "it waits for approvals")
        .because(because)
        .hint(format!(
            "let others look at it with `custody show {name}` and approve it: `custody approve {name} --reason …`; then run again"
        ))
}

impl Grant<Approve> {
    /// Keeps the signed approval of what a gate decided; returns its digest and the facts of its entry.
    pub(crate) fn approve_decision(
        &self,
        version: &Version,
        asked: &Asked,
        reason: &str,
    ) -> Result<(Digest, BTreeMap<String, String>), Problem> {
        let inner = &self.door.0;
        let name = version.name();
        let evidence = self.evidence();
        let refused = |because: &str, hint: &str| {
            Err(Problem::new(
                code::DOOR_006,
                format!("`{name}` cannot be approved by you"),
            )
            .because(because)
            .hint(hint))
        };
        let others = "ask others who may approve; see who there is with `custody account ls`";
        if self.session.actor().kind != ActorKind::User {
            return refused("what a gate decided is approved by people", others);
        }
        let person = inner.pseudonym(self.session.person());
        let by = self.session.acts_by().map(|actor| inner.pseudonym(actor));
        if asked.requesters.contains(&person) {
            return refused(
                "you asked for it: the model or the decision is yours",
                others,
            );
        }
        if let Some(by) = by {
            let signs_in = inner.signs_in(&self.session.person().id)?;
            if signs_in || asked.requesters.contains(&by) {
                return refused(
                    "you act as another, and would approve what you asked for or what they decide themselves",
                    others,
                );
            }
        }
        let given = evidence.endorsements(asked, &When::Now)?;
        if given.iter().any(|one| one.by == person) {
            return Err(not_approved(
                &name,
                "you approved it already",
                "each approval is another person's",
            ));
        }
        let decided = evidence.of_door().provenance(version)?;
        let named = |role: &str| {
            let input = decided.as_ref().and_then(|decided| input(decided, role));
            input.map(|(name, _)| name.to_string()).unwrap_or_default()
        };
        let now = inner.now();
        let approval = GateApproval {
            approver: person.clone(),
            reason: reason.to_owned(),
            model: named("model"),
            evaluation: named("evaluation"),
            policy: inner.policies().digest(),
            approved_on: now,
            expires: now.plus_seconds(COUNTS),
        };
        let content = version.record.digest;
        let envelope = inner.seal(&name.to_string(), content, APPROVAL, &approval)?;
        let statement = inner.keep_record(version.record.artifact.project(), &envelope)?;
        let facts = BTreeMap::from([(ENDORSES.to_owned(), asked.bound.to_string())]);
        Ok((statement, facts))
    }
}
