//! Gates and contracts that a version passed, by signed statements that the ledger names.

use std::collections::{BTreeMap, BTreeSet};

use custody_attest::slsa::{Provenance, ROLE};
use custody_attest::statement::ResourceDescriptor;
use custody_store::Version;
use custody_types::{Digest, EvidenceKind, Kind, Problem, ProjectName, VersionName, code, counted};
use serde_json::Value;

use crate::endorsements::When;
use crate::evidence::{Evidence, Scope};
use crate::view::Waiver;

const SCHEME: &str = "custody://";

/// What is missing, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is missing, in words.
    pub what: String,
    /// What to do.
    pub way_out: String,
}

/// Returns the version that a dependency names, where it names one of ours.
pub fn dependency(descriptor: &ResourceDescriptor) -> Option<(VersionName, Digest)> {
    let name = descriptor.uri.as_deref()?.strip_prefix(SCHEME)?;
    Some((name.parse().ok()?, descriptor.sha256()?))
}

/// The roles of predictions in an evaluation, and of the data that they are about.
const PREDICTIONS: [(&str, &str); 2] = [
    ("predictions", "data"),
    ("validation_predictions", "validation"),
];

/// Returns as what a dependency went in: the input's name, `code`, `contract:NAME`.
pub fn role(descriptor: &ResourceDescriptor) -> &str {
    descriptor
        .annotations
        .get(ROLE)
        .map_or("input", String::as_str)
}

pub(crate) fn input(provenance: &Provenance, wanted: &str) -> Option<(VersionName, Digest)> {
    let mut inputs = provenance.inputs().iter();
    inputs
        .find(|input| role(input) == wanted)
        .and_then(dependency)
}

/// Returns whether the statement is about a step of this kind.
pub(crate) fn is_step(provenance: &Provenance, kind: &str) -> bool {
    let declared = &provenance.build_definition.external_parameters;
    let declared = declared.get("declared");
    declared.is_some_and(|step| step.get(kind).is_some())
}

pub(crate) fn passed(decision: &Provenance) -> bool {
    let byproducts = &decision.run_details.byproducts;
    byproducts
        .iter()
        .any(|one| one.get("passed").and_then(Value::as_bool) == Some(true))
}

impl Evidence<'_> {
    /// Reads how a version was made, after its signature was checked; `None`: it was put.
    ///
    /// # Errors
    /// A [`Problem`] when the statement is missing, damaged, or about something else.
    pub fn provenance(&self, version: &Version) -> Result<Option<Provenance>, Problem> {
        let Some(digest) = version.record.statement else {
            return Ok(None);
        };
        let statement = self.statement(&digest)?;
        let names = statement.subject.iter().any(|subject| {
            subject.name == version.name().to_string()
                && subject.sha256() == Some(version.record.digest)
        });
        if !names {
            return Err(Problem::new(
                code::ATTEST_004,
                format!(
                    "the statement of `{}` is about something else",
                    version.name()
                ),
            ));
        }
        let provenance = Provenance::of(&statement)
            .map_err(|error| Problem::new(code::ATTEST_005, error.to_string()))?;
        Ok(Some(provenance))
    }

    /// Lists the evidence that the policy requires of the version.
    pub fn required(&self, version: &Version) -> BTreeSet<EvidenceKind> {
        let record = &version.record;
        let policies = self.door.0.policies();
        policies.required(record.artifact.project(), record.kind)
    }

    /// Says which evidence lets a gated alias move onto the version: for data the last contract of this
    /// content, for anything else a gate.
    ///
    /// # Errors
    /// What is missing.
    pub fn transition(&self, version: &Version) -> Result<String, Missing> {
        let name = version.name();
        if matches!(version.record.kind, Kind::Dataset | Kind::Features) {
            return self.contract(version).map_err(|what| Missing {
                what,
                way_out: "check it by a `check` step of `custody.yaml`, then `custody run`"
                    .to_owned(),
            });
        }
        self.gate(version).map_err(|what| Missing {
            what,
            way_out: format!("see what there is with `custody verify {name}`; evaluate it and let it pass a `gate` step of `custody.yaml`, then `custody run`"),
        })
    }

    /// Says which contract this very content passed last in its project.
    ///
    /// # Errors
    /// That none was, or that the last was broken.
    pub fn contract(&self, version: &Version) -> Result<String, String> {
        let (name, record) = (version.name(), &version.record);
        let inner = &self.door.0;
        let last = inner.last_contract(record.artifact.project(), &record.digest);
        let last = last.map_err(|problem| problem.what)?;
        match last.map(|told| (told.passed, told.statement)) {
            Some((true, Some(digest))) => {
                let told = self.statement(&digest).map_err(|problem| problem.what)?;
                let report = told.subject.first();
                let report = report.map_or("its contract", |subject| subject.name.as_str());
                Ok(format!("`{name}` passed `{report}`"))
            }
            Some((false, _)) => Err(format!("the last contract of `{name}` was broken")),
            _ => Err(format!("no contract was passed by the content of `{name}`")),
        }
    }

    /// Finds the approval of content that breaks the contract with this step key, if there is one; `void`: also one that no
    /// longer counts, since the policies changed after it.
    ///
    /// # Errors
    /// A [`Problem`] when the catalog or the ledger fails.
    pub fn waiver(
        &self,
        project: &ProjectName,
        content: Digest,
        step_key: Digest,
        void: bool,
    ) -> Result<Option<Waiver>, Problem> {
        self.door.0.waiver(project, &content, &step_key, void)
    }

    /// Says who approved content that breaks its contract, and why.
    ///
    /// # Errors
    /// A [`Problem`] when the signed approval is missing or damaged.
    pub fn approval(&self, waiver: &Waiver) -> Result<String, Problem> {
        self.decided("approved", "approver", waiver)
    }

    /// Says who rejected a version, and why, if it was rejected.
    ///
    /// # Errors
    /// A [`Problem`] when the signed rejection is missing or damaged.
    pub fn rejection(&self, name: &VersionName) -> Result<Option<String>, Problem> {
        let rejection = self.door.0.rejection(name)?;
        let told = rejection.map(|rejection| self.decided("rejected", "rejecter", &rejection));
        told.transpose()
    }

    /// Says who rejected a version, and why, where that still stands for its bytes: they were not let in since under
    /// another name.
    ///
    /// # Errors
    /// A [`Problem`] when the signed rejection or the last scan is missing or damaged.
    pub fn standing_rejection(&self, version: &Version) -> Result<Option<String>, Problem> {
        let Some(rejection) = self.rejection(&version.name())? else {
            return Ok(None);
        };
        let record = &version.record;
        let let_in = match self.last_scan(version)? {
            Some(scan) => scan.approved,
            None => {
                let project = record.artifact.project();
                self.door.0.hold(project, &record.digest)?.is_none()
            }
        };
        Ok((!let_in).then_some(rejection))
    }

    fn decided(&self, what: &str, by: &str, decision: &Waiver) -> Result<String, Problem> {
        let entry = decision.entry;
        let Some(statement) = decision.statement else {
            return Ok(format!("{what} by ledger entry {entry}"));
        };
        let told = self.statement(&statement)?;
        let said = |key: &str| told.predicate.get(key).and_then(Value::as_str);
        Ok(format!(
            "{what} by {}, ledger entry {entry}: {}",
            self.name_of(said(by).unwrap_or_default()),
            said("reason").unwrap_or_default(),
        ))
    }

    /// Says which gate this very content passed: the one that it was registered by, or every gate that
    /// decided about it, by its last decision.
    ///
    /// # Errors
    /// Why none was.
    pub fn gate(&self, version: &Version) -> Result<String, String> {
        let name = version.name();
        let told = |problem: Problem| problem.to_string();
        let provenance = self.provenance(version).map_err(told)?;
        let registered = provenance.filter(|made| is_step(made, "register"));
        let Some(provenance) = registered else {
            return self.decisions(version);
        };
        let model = input(&provenance, "model")
            .ok_or_else(|| format!("`{name}` was made from no model"))?;
        if model.1 != version.record.digest {
            return Err(format!(
                "`{name}` has other bytes than the model `{}` that passed its gate",
                model.0
            ));
        }
        let (decision, digest) = input(&provenance, "gate")
            .ok_or_else(|| format!("`{name}` was registered without a gate"))?;
        let decided = self.named(&decision, &digest, "decision")?;
        let made = When::Made(version.entry, version.record.created);
        self.decision(&name, &model, &decided, &made)
    }

    /// What a gate rests on is looked at for the door, wherever it is: the answer says whether it holds.
    pub(crate) fn of_door(&self) -> Evidence<'_> {
        Evidence {
            scope: Scope::Door,
            ..*self
        }
    }

    fn named(&self, name: &VersionName, digest: &Digest, what: &str) -> Result<Version, String> {
        let found = self.door.0.resolve(&name.clone().into());
        found
            .map_err(|problem| problem.to_string())?
            .filter(|version| version.record.digest == *digest)
            .ok_or_else(|| format!("the {what} `{name}` is not there"))
    }

    /// Checks that a decision is of a gate, about this model, by figures measured on it, and positive.
    fn decision(
        &self,
        name: &VersionName,
        model: &(VersionName, Digest),
        version: &Version,
        when: &When,
    ) -> Result<String, String> {
        let decision = version.name();
        let told = |problem: Problem| problem.to_string();
        let decided = self.of_door().provenance(version).map_err(told)?;
        let decided =
            decided.ok_or_else(|| format!("the decision `{decision}` has no statement"))?;
        self.check_entry(version)?;
        if !is_step(&decided, "gate") || input(&decided, "model").as_ref() != Some(model) {
            return Err(format!("the decision `{decision}` is about another model"));
        }
        let (figures, digest) = input(&decided, "evaluation")
            .ok_or_else(|| format!("the decision `{decision}` looked at no evaluation"))?;
        let measured = self.named(&figures, &digest, "evaluation")?;
        let measured = self.of_door().provenance(&measured).map_err(told)?;
        let on_this = measured.filter(|made| {
            is_step(made, "evaluate") && input(made, "model").as_ref() == Some(model)
        });
        let measured = on_this.ok_or_else(|| {
            format!("the figures of `{figures}` were not measured on the model of `{name}`")
        })?;
        for (said, about) in PREDICTIONS {
            self.predicted(model, &measured, said, about)?;
        }
        if passed(&decided) {
            Ok(match self.is_endorsed(version, when, None)? {
                0 => format!("`{name}` passed `{decision}`"),
                given => format!(
                    "`{name}` passed `{decision}`, with {}",
                    counted(given, "approval")
                ),
            })
        } else {
            Err(format!("`{name}` did not pass `{decision}`"))
        }
    }

    /// Checks that predictions, where an evaluation rests on some, were made from the model and the data that were
    /// measured.
    fn predicted(
        &self,
        model: &(VersionName, Digest),
        measured: &Provenance,
        said: &str,
        about: &str,
    ) -> Result<(), String> {
        let Some((name, digest)) = input(measured, said) else {
            return Ok(());
        };
        let predictions = self.named(&name, &digest, "table of predictions")?;
        self.check_entry(&predictions)?;
        let made = self.of_door().provenance(&predictions);
        let made = made.map_err(|problem| problem.to_string())?;
        let given: Vec<_> = made
            .iter()
            .flat_map(Provenance::inputs)
            .filter_map(dependency)
            .collect();
        let data = input(measured, about);
        let by_program = made.as_ref().is_some_and(|made| is_step(made, "run"));
        if by_program && given.contains(model) && data.is_some_and(|data| given.contains(&data)) {
            Ok(())
        } else {
            Err(format!(
                "the predictions `{name}` were not made from the model `{}` and the data that were measured",
                model.0
            ))
        }
    }

    /// Finds what the gates decided about a content that was not registered.
    fn decisions(&self, version: &Version) -> Result<String, String> {
        let (name, content) = (version.name(), version.record.digest);
        let told = |problem: Problem| problem.to_string();
        let project = version.record.artifact.project();
        let mut last: BTreeMap<_, Version> = BTreeMap::new();
        for report in self.made_from(project, &content).map_err(told)? {
            if report.record.kind != Kind::Report || report.record.statement.is_none() {
                continue;
            }
            let decided = self.provenance(&report).map_err(told)?;
            let about = decided.filter(|decided| is_step(decided, "gate"));
            let about = about.and_then(|decided| input(&decided, "model"));
            if about.is_some_and(|(_, digest)| digest == content) {
                let newer = last.get(&report.record.artifact);
                if newer.is_none_or(|known| known.entry < report.entry) {
                    last.insert(report.record.artifact.clone(), report);
                }
            }
        }
        let mut found = Vec::new();
        for report in last.values() {
            let decided = self.provenance(report).map_err(told)?;
            let model = decided.and_then(|decided| input(&decided, "model"));
            if let Some(model) = model {
                found.push(self.decision(&name, &model, report, &When::Now)?);
            }
        }
        if found.is_empty() {
            return Err(format!("no gate was passed by the content of `{name}`"));
        }
        Ok(found.join("; "))
    }
}
