//! Running steps again from what is stored, and comparing.

use std::collections::BTreeMap;

use custody_attest::slsa::Provenance;
use custody_guard::{Evidence, Reach, Read, Reproduce, ResourceRef, Session, dependency, role};
use custody_types::{Digest, Problem, Reference, VersionName, code};
use custody_wire::{ReproduceReply, ReproducedStep};
use serde_json::Value;

use crate::evidence::{Link, closure};
use crate::file::Step;
use crate::outputs::Identities;
use crate::ports::Installed;
use crate::produce::{StepInputs, fault};
use crate::run::Runner;

impl Runner {
    /// Runs again every step that led to a version, each on the stored versions of its inputs, and
    /// compares what comes out with what is stored. Sources are taken from the store.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such version, the policy refuses an input, or a step cannot run.
    pub fn reproduce(
        &self,
        session: &Session,
        reference: &Reference,
    ) -> Result<ReproduceReply, Problem> {
        let grant = self
            .door
            .ask::<Reproduce>(session, ResourceRef::Named(reference.clone()))?;
        let root = grant.version()?.clone();
        let evidence = grant.evidence();
        let found = closure(&evidence, root.clone())?;
        found.require_all(&format!("`{}` cannot be reproduced", root.name()))?;
        if let Some(broken) = found.dangling.first() {
            return Err(Problem::new(
                code::RUN_030,
                format!("`{}` cannot be reproduced", root.name()),
            )
            .because(broken));
        }
        let mut links = found.links;
        // What was made first runs first.
        links.sort_by_key(|link| link.version.entry);
        let mut reply = ReproduceReply {
            version: root.name(),
            equal: true,
            steps: Vec::new(),
            sources: Vec::new(),
            networked: Vec::new(),
        };
        let mut done: BTreeMap<Digest, BTreeMap<String, Digest>> = BTreeMap::new();
        for link in &links {
            let Some((name, step)) = declared(link)? else {
                continue;
            };
            if matches!(step, Step::Source(_)) {
                reply.sources.push(link.version.name());
                continue;
            }
            // What it was answered is not kept, and to connect again would be another act, not the same.
            if !step.network().is_empty() {
                reply.networked.push(link.version.name());
                continue;
            }
            let statement = link
                .version
                .record
                .statement
                .unwrap_or(link.version.record.digest);
            if let std::collections::btree_map::Entry::Vacant(vacant) = done.entry(statement) {
                vacant.insert(self.again(session, &evidence, link, &name, &step)?);
            }
            let made = done
                .get(&statement)
                .and_then(|outputs| outputs.get(link.version.record.artifact.name()));
            let reproduced = *made.ok_or_else(|| fault("the step does not make this version"))?;
            let recorded = link.version.record.digest;
            reply.equal &= recorded == reproduced;
            reply.steps.push(ReproducedStep {
                step: name,
                version: link.version.name(),
                recorded,
                reproduced,
                equal: recorded == reproduced,
            });
        }
        if reply.steps.is_empty() && !reply.networked.is_empty() {
            grant.fail(code::RUN_035);
            let what = format!("`{}` cannot be made again", reply.version);
            return Err(Problem::new(code::RUN_035, what)
                .because("it was made with a network, and what its step was answered is not kept")
                .hint("check its bytes with `custody verify`; `custody trace` tells what it was connected to"));
        }
        if reply.steps.is_empty() {
            grant.fail(code::RUN_035);
            return Err(Problem::new(
                code::RUN_035,
                format!(
                    "no step made `{}`: there is nothing to run again",
                    reply.version
                ),
            )
            .hint("it was put or collected as it is; check its bytes with `custody verify`"));
        }
        grant.finish_with(BTreeMap::from([(
            "equal".to_owned(),
            reply.equal.to_string(),
        )]))?;
        Ok(reply)
    }

    /// Runs the step that made `link` again; returns the identity of each output by artifact.
    fn again(
        &self,
        session: &Session,
        evidence: &Evidence<'_>,
        link: &Link,
        name: &str,
        step: &Step,
    ) -> Result<BTreeMap<String, Digest>, Problem> {
        let mut given = StepInputs {
            interrupt: self.interrupt.clone(),
            project: self.folder.root().map(ToOwned::to_owned),
            ..StepInputs::default()
        };
        let mut grants = Vec::new();
        for input in link.provenance.iter().flat_map(Provenance::inputs) {
            let Some((version, _)) = dependency(input) else {
                continue;
            };
            let role = role(input);
            if role.starts_with("contract:") {
                continue;
            }
            if role == "environment" {
                given.environment =
                    Some(self.stored_environment(session, evidence, link, version)?);
                continue;
            }
            let grant = self
                .door
                .ask::<Read>(session, ResourceRef::Named(version.into()))?;
            let files = grant.files()?;
            if role == "code" {
                given.code = Some(files);
            } else {
                given.inputs.insert(role.to_owned(), files);
            }
            grants.push(grant);
        }
        let mut made = Identities::default();
        self.workshop()?
            .produce(name, step, &given, &mut made, &mut |_| {})?;
        for grant in grants {
            grant.finish()?;
        }
        let outputs = step.outputs(name).into_iter();
        Ok(outputs
            .map(|makes| (makes.artifact, made.of(&makes.name)))
            .collect())
    }

    fn stored_environment(
        &self,
        session: &Session,
        evidence: &Evidence<'_>,
        link: &Link,
        version: VersionName,
    ) -> Result<Installed, Problem> {
        let parameters = link
            .provenance
            .as_ref()
            .map(|provenance| &provenance.build_definition.external_parameters);
        let key = parameters.and_then(|parameters| {
            parameters
                .get("environment")?
                .get("key")?
                .as_str()?
                .parse::<Digest>()
                .ok()
        });
        let key = key.ok_or_else(|| fault("the statement does not name its environment"))?;
        let Reach::Version(stored) = evidence.reach(&version)? else {
            return Err(fault("the environment that made it was there before"));
        };
        let wanted = stored.record.digest;
        let installed = match self.environments.find(&key)? {
            Some(installed) => installed,
            None => {
                let grant = self
                    .door
                    .ask::<Read>(session, ResourceRef::Named(version.into()))?;
                let installed = self.environments.restore(&key, grant.files()?.as_ref())?;
                grant.finish()?;
                installed
            }
        };
        if installed.digest == wanted {
            Ok(installed)
        } else {
            Err(Problem::new(
                code::RUN_031,
                "the installed environment is not the stored one",
            )
            .hint(format!(
                "look at `{}`: it holds packages alone and nothing of yours, and once it is removed the environment is taken from the store again",
                installed.folder.display()
            )))
        }
    }
}

/// Returns the step that made a version, as its statement tells it.
fn declared(link: &Link) -> Result<Option<(String, Step)>, Problem> {
    let Some(provenance) = &link.provenance else {
        return Ok(None);
    };
    let parameters = &provenance.build_definition.external_parameters;
    let unreadable = |because: String| {
        Problem::new(
            code::RUN_032,
            format!(
                "the statement of `{}` does not tell its step",
                link.version.name()
            ),
        )
        .because(because)
    };
    let name = parameters
        .get("step")
        .and_then(Value::as_str)
        .ok_or_else(|| unreadable("it has no name".to_owned()))?;
    let step = parameters.get("declared").cloned().unwrap_or_default();
    let step = serde_json::from_value(step).map_err(|error| unreadable(error.to_string()))?;
    Ok(Some((name.to_owned(), step)))
}
