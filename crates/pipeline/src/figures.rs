//! The figures of models, evaluations and runs: what programs logged and what Custody measured.
//!
//! What a program logged is shown to who may read all that the program read. What was measured is the content of
//! a report and needs a grant to read it. What may not be seen is named as withheld.

use std::collections::{BTreeMap, BTreeSet};

use custody_attest::slsa::Provenance;
use custody_guard::{
    Evidence, FIGURES, Read as ReadData, ReadRun, ResourceRef, Session, Trace, Version,
};
use custody_stats::Evaluation;
use custody_types::{Kind, Problem, ProblemKind, ProjectName, Reference, code};
use custody_wire::{EvaluationReply, Figures, MetricsReply, MetricsRequest};
use serde_json::Value;

use crate::evidence::{Link, closure, link, reference};
use crate::produce::{fault, read_json};
use crate::run::Runner;
use custody_guard::{dependency, role};

/// The file of a report that has what was measured.
const EVALUATION: &str = "evaluation.json";
/// How many artifacts of a project a page has when nothing else is asked.
const PAGE: u64 = 100;
/// How many artifacts of a project a page has at most.
const MOST_LISTED: u64 = 1_000;

/// What is known of the figures of a project.
pub(crate) struct Measured<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) session: &'a Session,
    pub(crate) evidence: Evidence<'a>,
}

/// Whether a text names a run, and no version.
pub(crate) fn is_run(text: &str) -> bool {
    !text.contains('/')
}

/// Says that there is no such run.
pub(crate) fn no_run(run: &str) -> Problem {
    let what = format!("no run `{run}` made a version");
    Problem::new(code::PIPE_025, what).hint(
        "`custody run` and `custody trace` name runs; write `project/artifact@1` for a version",
    )
}

impl Runner {
    /// Tells the figures of versions, of runs, or of the newest versions of the project.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such version or run.
    pub fn metrics(
        &self,
        session: &Session,
        request: &MetricsRequest,
    ) -> Result<MetricsReply, Problem> {
        let mut subjects = Vec::new();
        for text in &request.references {
            if is_run(text) {
                let made = self.of_run(session, text)?;
                if made.is_empty() {
                    return Err(no_run(text));
                }
                subjects.extend(made);
            } else {
                subjects.push(self.of_version(session, &reference(text)?)?);
            }
        }
        let mut next = None;
        if request.references.is_empty() {
            (subjects, next) = self.of_newest(session, request)?;
        }
        Ok(MetricsReply { subjects, next })
    }

    /// Returns what an evaluation measured, as its report has it.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such version, the session may not read it, or it is no report of an evaluation.
    pub fn evaluation(
        &self,
        session: &Session,
        wanted: &Reference,
    ) -> Result<EvaluationReply, Problem> {
        let target = ResourceRef::Named(wanted.clone());
        let grant = self.door.ask::<ReadData>(session, target)?;
        let read = grant.version().and_then(|version| {
            let files = grant.files()?;
            // What it says must be what is measured, in its form.
            let evaluation: Evaluation = read_json(files.as_ref(), EVALUATION)?;
            let evaluation =
                serde_json::to_value(&evaluation).map_err(|error| fault(&error.to_string()))?;
            Ok(EvaluationReply {
                version: version.name(),
                evaluation,
            })
        });
        match read {
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

    /// Finds the project of a run that the session's person may see.
    pub(crate) fn project_of(&self, session: &Session, run: &str) -> Result<ProjectName, Problem> {
        let grant = self.door.ask_run::<ReadRun>(session, run)?;
        let project = grant.project()?.clone();
        grant.finish()?;
        Ok(project)
    }

    fn of_version(&self, session: &Session, wanted: &Reference) -> Result<Figures, Problem> {
        let target = ResourceRef::Named(wanted.clone());
        let grant = self.door.ask::<Trace>(session, target)?;
        let measured = Measured {
            runner: self,
            session,
            evidence: grant.evidence(),
        };
        let figures = measured.of(grant.version()?)?;
        grant.finish()?;
        Ok(figures)
    }

    fn of_run(&self, session: &Session, run: &str) -> Result<Vec<Figures>, Problem> {
        let project = self.project_of(session, run)?;
        let target = ResourceRef::Project(project.clone());
        let grant = self.door.ask::<Trace>(session, target)?;
        let measured = Measured {
            runner: self,
            session,
            evidence: grant.evidence(),
        };
        let made = made_in(&measured.evidence, &project, run)?;
        let figures = made.iter().map(|version| measured.of(version));
        let figures = with_any(figures.collect::<Result<_, _>>()?);
        grant.finish()?;
        Ok(figures)
    }

    fn of_newest(
        &self,
        session: &Session,
        request: &MetricsRequest,
    ) -> Result<(Vec<Figures>, Option<String>), Problem> {
        let project = request.project.clone().ok_or_else(|| {
            Problem::new(code::PIPE_030, "nothing is named whose figures to tell")
                .hint("name versions or runs, or the project")
        })?;
        let limit = request.limit.unwrap_or(PAGE).clamp(1, MOST_LISTED);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let target = ResourceRef::Project(project.clone());
        let grant = self.door.ask::<Trace>(session, target)?;
        let measured = Measured {
            runner: self,
            session,
            evidence: grant.evidence(),
        };
        let kinds = [Kind::Model, Kind::Report];
        let after = request.after.as_deref();
        let (newest, next) = measured.evidence.newest(&project, &kinds, after, limit)?;
        let figures = newest.iter().map(|version| measured.of(version));
        let figures = with_any(figures.collect::<Result<_, _>>()?);
        grant.finish()?;
        Ok((figures, next))
    }
}

fn with_any(figures: Vec<Figures>) -> Vec<Figures> {
    let any = |one: &Figures| !one.figures.is_empty() || !one.withheld.is_empty();
    figures.into_iter().filter(any).collect()
}

/// Lists the versions that a run made.
pub(crate) fn made_in(
    evidence: &Evidence<'_>,
    project: &ProjectName,
    run: &str,
) -> Result<Vec<Version>, Problem> {
    let versions = evidence.made_in(project, run)?.into_iter();
    Ok(versions
        .filter(|version| version.record.run.as_deref() == Some(run))
        .collect())
}

impl Measured<'_> {
    /// Gathers the figures of a version: those of the step that made its content, and those that were measured of it.
    pub(crate) fn of(&self, version: &Version) -> Result<Figures, Problem> {
        let record = &version.record;
        let mut figures = Figures {
            version: version.name(),
            kind: record.kind.to_string(),
            run: record.run.clone(),
            figures: BTreeMap::new(),
            withheld: Vec::new(),
        };
        // A registered model has the content of the model that a step made.
        let links = closure(&self.evidence, version.clone())?.links;
        for link in &links {
            if link.version.record.digest == record.digest {
                self.add_logged(&mut figures, link)?;
                if is_evaluation(link) {
                    self.add(&mut figures, &link.version)?;
                }
            }
        }
        if record.kind == Kind::Model {
            for report in self.evaluations(version, &links)? {
                self.add(&mut figures, &report)?;
            }
        }
        Ok(figures)
    }

    /// Finds an evaluation of each step that measured a model's content: the one that it was registered by, else the
    /// newest of this very version, else the newest of these bytes. `made_from`: what the model was made from.
    fn evaluations(&self, model: &Version, made_from: &[Link]) -> Result<Vec<Version>, Problem> {
        let same = made_from
            .iter()
            .filter(|link| link.version.record.digest == model.record.digest);
        let (decided, same): (BTreeSet<_>, BTreeSet<_>) = (
            made_from.iter().map(|link| link.version.name()).collect(),
            same.map(|link| link.version.name()).collect(),
        );
        let project = model.record.artifact.project();
        let mut best: BTreeMap<_, (_, Version)> = BTreeMap::new();
        let content = &model.record.digest;
        for version in self.evidence.made_from(project, content)? {
            if version.record.kind != Kind::Report || version.record.statement.is_none() {
                continue;
            }
            let link = link(&self.evidence, version)?;
            let inputs = link.provenance.iter().flat_map(Provenance::inputs);
            let measured = inputs
                .filter(|input| role(input) == "model")
                .filter_map(dependency)
                .find(|(_, digest)| *digest == model.record.digest);
            let Some((measured, _)) = measured.filter(|_| is_evaluation(&link)) else {
                continue;
            };
            let version = link.version;
            let rank = (decided.contains(&version.name()), same.contains(&measured));
            let artifact = version.record.artifact.clone();
            // Versions come in order: of equal ones the newest is taken.
            if best.get(&artifact).is_none_or(|(other, _)| rank >= *other) {
                best.insert(artifact, (rank, version));
            }
        }
        Ok(best.into_values().map(|(_, version)| version).collect())
    }

    /// Adds what the program of a step logged, where its inputs may be read.
    fn add_logged(&self, figures: &mut Figures, link: &Link) -> Result<(), Problem> {
        let Some(provenance) = &link.provenance else {
            return Ok(());
        };
        let step = link.version.record.step.as_deref().unwrap_or_default();
        let byproducts = provenance.run_details.byproducts.iter();
        for told in
            byproducts.filter(|told| told.get("name").and_then(Value::as_str) == Some(FIGURES))
        {
            if !self.evidence.may_read_inputs(provenance)? {
                figures.withheld.push(format!(
                    "what `{step}` logged is for who may read what it read"
                ));
                continue;
            }
            let record = told.get("record").and_then(Value::as_str);
            // Statements from before have the figures themselves.
            let told = match record.and_then(|digest| digest.parse().ok()) {
                Some(digest) => serde_json::from_slice(&self.evidence.record(&digest)?)
                    .map_err(|error| fault(&error.to_string()))?,
                None => told.clone(),
            };
            let metrics = told.get(FIGURES).and_then(Value::as_array);
            figures
                .figures
                .extend(metrics.into_iter().flatten().filter_map(|metric| {
                    let name = metric.get("name")?.as_str()?;
                    Some((format!("{step}.{name}"), metric.get("value")?.as_f64()))
                }));
        }
        Ok(())
    }

    /// Adds what a report says was measured, where the policy lets it be read.
    fn add(&self, figures: &mut Figures, report: &Version) -> Result<(), Problem> {
        let (name, step) = (report.name(), report.record.artifact.name());
        let target = ResourceRef::Version(Box::new(report.clone()));
        let grant = match self.runner.door.ask::<ReadData>(self.session, target) {
            Ok(grant) => grant,
            Err(problem) if problem.kind() == ProblemKind::Denied => {
                figures.withheld.push(format!("`{name}` may not be read"));
                return Ok(());
            }
            Err(problem) => return Err(problem),
        };
        let files = grant.files()?;
        let evaluation: Evaluation = read_json(files.as_ref(), EVALUATION)?;
        grant.finish()?;
        for metric in evaluation.metric_names() {
            if let Some(measured) = evaluation.metric(&metric) {
                figures
                    .figures
                    .insert(format!("{step}.{metric}"), measured.value);
            }
        }
        Ok(())
    }
}

/// Returns the kind of step that made a version, and its declaration.
pub(crate) fn declared(link: &Link) -> Option<(&str, &Value)> {
    let external = &link
        .provenance
        .as_ref()?
        .build_definition
        .external_parameters;
    let declared = external.get("declared")?.as_object()?;
    let (kind, inner) = declared.iter().next()?;
    Some((kind, inner))
}

fn is_evaluation(link: &Link) -> bool {
    declared(link).is_some_and(|(kind, _)| kind == "evaluate")
}
