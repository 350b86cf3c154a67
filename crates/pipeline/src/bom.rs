//! What a model was made of, told from its evidence: the bill of materials, and the claims that go with it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use custody_attest::cyclonedx::{
    BaseModel, Bom, Claim, Code, Completeness, DataOrigin, Dataset, Edge, Environment, Figure,
    Model, Node, Package,
};
use custody_attest::dist_info::DistInfo;
use custody_attest::dsse::Envelope;
use custody_attest::licence::Licence;
use custody_attest::slsa::Provenance;
use custody_attest::{AttestError, claims};
use custody_guard::{Evidence, Read, ResourceRef, Session, Trace, Version, dependency, role};
use custody_stats::Evaluation;
use custody_types::{Kind, Problem, VersionFiles, VersionName, code};
use serde_json::Value;

use crate::evidence::{Link, closure, reference};
use crate::produce::read_json;
use crate::run::Runner;

/// The largest `METADATA` file that is read.
const METADATA_BYTES: u64 = 4 << 20;

impl Runner {
    /// Tells what a model was made of: a CycloneDX 1.6 document.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such version, it is no model, or evidence is damaged.
    pub fn bom(&self, session: &Session, text: &str) -> Result<Vec<u8>, Problem> {
        let grant = self
            .door
            .ask::<Trace>(session, ResourceRef::Named(reference(text)?))?;
        let evidence = grant.evidence();
        let root = grant.version()?.clone();
        if root.record.kind != Kind::Model {
            return Err(
                Problem::new(code::BOM_001, format!("`{}` is no model", root.name()))
                    .hint("see the models with `custody ls --kind model`"),
            );
        }
        let found = closure(&evidence, root.clone())?;
        let incomplete = !found.dangling.is_empty() || found.unseen().is_some();
        let facts = self.facts(session, &evidence, &root, &found.links, incomplete)?;
        let document = facts
            .document()
            .and_then(|document| document.to_bytes())
            .map_err(|error| unwritten(&error))?;
        grant.finish()?;
        Ok(document)
    }

    /// Gathers the attestations about a model: a file of claims.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such version, or evidence is damaged.
    pub fn claims(&self, session: &Session, text: &str) -> Result<Vec<u8>, Problem> {
        let grant = self
            .door
            .ask::<Trace>(session, ResourceRef::Named(reference(text)?))?;
        let envelopes = grant.evidence().envelopes(grant.version()?)?;
        let told = envelopes
            .iter()
            .map(|(_, bytes)| Envelope::parse(bytes).and_then(claims::Claim::new))
            .collect::<Result<Vec<_>, _>>()
            .and_then(|told| claims::append(&[], &told))
            .map_err(|error| unwritten(&error))?;
        grant.finish()?;
        Ok(told)
    }

    fn facts(
        &self,
        session: &Session,
        evidence: &Evidence<'_>,
        root: &Version,
        links: &[Link],
        dangling: bool,
    ) -> Result<Bom, Problem> {
        let of = |kinds: &'static [Kind]| {
            let listed = links
                .iter()
                .filter(|link| link.version.name() != root.name());
            listed.filter(|link| kinds.contains(&link.version.record.kind))
        };
        let mut bom = Bom {
            timestamp: root.record.created,
            revision: NonZeroU32::MIN,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            model: self.model(session, evidence, root, links)?,
            datasets: of(&[Kind::Dataset, Kind::Features])
                .map(|link| dataset(evidence, link, links))
                .collect::<Result<_, _>>()?,
            // The same bytes before their gate are the model itself.
            bases: of(&[Kind::Model])
                .filter(|link| link.version.record.digest != root.record.digest)
                .map(|link| {
                    let record = &link.version.record;
                    Ok(BaseModel {
                        name: link.version.name(),
                        sha256: record.digest,
                        claims: claims_about(evidence, &link.version)?,
                    })
                })
                .collect::<Result<_, Problem>>()?,
            code: of(&[Kind::Code])
                .map(|link| Code {
                    name: link.version.name(),
                    sha256: link.version.record.digest,
                    repository: None,
                    claims: Vec::new(),
                })
                .collect(),
            environments: of(&[Kind::Environment])
                .map(|link| Environment {
                    name: link.version.name(),
                    sha256: link.version.record.digest,
                    interpreter: interpreter(&link.version.name(), links),
                })
                .collect(),
            packages: Vec::new(),
            edges: Vec::new(),
            completeness: completeness(root, links, dangling),
        };
        self.packages(session, &mut bom)?;
        edges(root, links, &mut bom);
        Ok(bom)
    }

    fn model(
        &self,
        session: &Session,
        evidence: &Evidence<'_>,
        root: &Version,
        links: &[Link],
    ) -> Result<Model, Problem> {
        let record = &root.record;
        let maker = maker(root, links);
        let parameters = maker
            .and_then(|run| run.pointer("/run/parameters"))
            .and_then(Value::as_object);
        let last = evidence.last_scan(root)?;
        let purposes = record.purposes.iter().map(ToString::to_string);
        Ok(Model {
            name: root.name(),
            sha256: record.digest,
            kind: last.map_or_else(
                || "unknown".to_owned(),
                |scan| scan.statement.formats.join(", "),
            ),
            description: None,
            supplier: None,
            licences: Vec::new(),
            files: evidence.files(root)?,
            approach: None,
            task: None,
            architecture_family: None,
            architecture: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            parameters: parameters
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect(),
            figures: self.figures(session, links)?,
            considerations: custody_attest::cyclonedx::Considerations {
                use_cases: purposes.collect(),
                ..Default::default()
            },
            claims: claims_about(evidence, root)?,
        })
    }

    /// Reads what was measured: the figures of the evaluations that the model's gate looked at.
    fn figures(&self, session: &Session, links: &[Link]) -> Result<Vec<Figure>, Problem> {
        let mut figures = Vec::new();
        let evaluated =
            |link: &&Link| declared(link).is_some_and(|step| step.get("evaluate").is_some());
        for link in links.iter().filter(evaluated) {
            let target = ResourceRef::Version(Box::new(link.version.clone()));
            let grant = self.door.ask::<Read>(session, target)?;
            let evaluation: Evaluation = read_json(grant.files()?.as_ref(), "evaluation.json")?;
            for name in evaluation.metric_names() {
                let value = evaluation.metric(&name).and_then(|metric| metric.value);
                figures.extend(value.map(|value| Figure {
                    name,
                    value,
                    interval: None,
                    slice: None,
                }));
            }
            grant.finish()?;
        }
        Ok(figures)
    }

    /// Lists the packages of the environments, with the licences that they declare.
    fn packages(&self, session: &Session, bom: &mut Bom) -> Result<(), Problem> {
        let mut packages = BTreeMap::new();
        for environment in &bom.environments {
            let target = ResourceRef::Named(environment.name.clone().into());
            let grant = self.door.ask::<Read>(session, target)?;
            for info in installed(grant.files()?.as_ref())? {
                bom.edges.push(Edge {
                    from: Node::Version(environment.name.clone()),
                    to: Node::Package(info.package.clone()),
                });
                packages.insert(info.package, info.licences);
            }
            grant.finish()?;
        }
        bom.packages = packages
            .into_iter()
            .map(|(id, licences)| Package {
                id,
                licences,
                sha256: None,
            })
            .collect();
        Ok(())
    }
}

fn unwritten(error: &AttestError) -> Problem {
    Problem::new(code::BOM_002, "the evidence cannot be written down")
        .because_of(error)
        .hint("see the extent with `custody verify`")
}

/// Reads the metadata of the packages in an environment.
fn installed(files: &dyn VersionFiles) -> Result<Vec<DistInfo>, Problem> {
    let metadata = files
        .files()
        .iter()
        .filter(|file| file.path.as_str().ends_with(".dist-info/METADATA"));
    let mut found = Vec::new();
    for file in metadata {
        let length = file.size.bytes().min(METADATA_BYTES);
        let bytes = files
            .read(&file.path, 0..length)
            .map_err(|error| crate::produce::unreadable(&error))?;
        let info = DistInfo::parse(&bytes).map_err(|error| {
            Problem::new(
                code::BOM_003,
                format!("the package metadata `{}` cannot be read", file.path),
            )
            .because_of(&error)
            .hint("install the environment anew from a lock whose packages have sound metadata")
        })?;
        found.push(info);
    }
    Ok(found)
}

fn claims_about(evidence: &Evidence<'_>, version: &Version) -> Result<Vec<Claim>, Problem> {
    let mut claims = Vec::new();
    for (entry, envelope) in evidence.envelopes(version)? {
        let digest = custody_types::Digest::of(&envelope);
        claims.push(Claim {
            predicate_type: evidence.statement(&digest)?.predicate_type,
            sha256: digest,
            entry: Some(entry),
            address: claims::FILE.to_owned(),
        });
    }
    Ok(claims)
}

/// Returns the step as it was declared, for what a step made.
fn declared(link: &Link) -> Option<&Value> {
    let provenance = link.provenance.as_ref()?;
    provenance
        .build_definition
        .external_parameters
        .get("declared")
}

/// Finds the step that ran a program to make the model: its own, or that of the same bytes before a gate.
fn maker<'a>(root: &Version, links: &'a [Link]) -> Option<&'a Value> {
    links
        .iter()
        .filter(|link| link.version.record.digest == root.record.digest)
        .filter_map(declared)
        .find(|step| step.get("run").is_some())
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn dataset(evidence: &Evidence<'_>, link: &Link, links: &[Link]) -> Result<Dataset, Problem> {
    let record = &link.version.record;
    let name = link.version.name();
    let users = links.iter().flat_map(|user| {
        user.provenance
            .iter()
            .flat_map(Provenance::inputs)
            .filter(|input| dependency(input).is_some_and(|(used, _)| used == name))
            .map(move |input| {
                let step = user.version.record.step.as_deref().unwrap_or("a step");
                format!("{} of {step}", role(input))
            })
    });
    let roles: BTreeSet<_> = users.collect();
    let origin = record.origin.as_ref();
    let text = |field: &str| {
        let value = origin?.get(field)?.as_str()?;
        Some(value.to_owned())
    };
    Ok(Dataset {
        sha256: record.digest,
        role: if roles.is_empty() {
            "source".to_owned()
        } else {
            roles.into_iter().collect::<Vec<_>>().join(", ")
        },
        classification: record.classification,
        sensitive: Vec::new(),
        description: text("description"),
        origin: text("publisher").map(|publisher| DataOrigin {
            publisher,
            source: text("url").map_or_else(String::new, |url| without_password(&url)),
            legal_basis: text("legal_basis"),
        }),
        rows: None,
        columns: None,
        licences: text("licence")
            .and_then(|text| Licence::of(&text))
            .into_iter()
            .collect(),
        owner: None,
        claims: claims_about(evidence, &link.version)?,
        name,
    })
}

/// Leaves out who logs in where.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let host = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(host).unwrap_or((rest, ""));
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{authority}{path}")
}

fn interpreter(environment: &VersionName, links: &[Link]) -> String {
    let used = links.iter().find(|link| {
        let inputs = link.provenance.iter().flat_map(Provenance::inputs);
        inputs
            .filter_map(dependency)
            .any(|(name, _)| name == *environment)
    });
    let python = used.and_then(|link| {
        let parameters = &link
            .provenance
            .as_ref()?
            .build_definition
            .external_parameters;
        parameters
            .pointer("/environment/python")
            .map(|python| format!("Python {}", plain(python)))
    });
    python.unwrap_or_else(|| "unknown".to_owned())
}

/// It is complete where a sandboxed step, which saw nothing else, made everything but what has an origin.
fn completeness(root: &Version, links: &[Link], dangling: bool) -> Completeness {
    let known = |link: &Link| {
        let record = &link.version.record;
        link.provenance.is_some()
            || record.origin.is_some()
            || matches!(record.kind, Kind::Code | Kind::Environment)
    };
    if dangling {
        Completeness::Incomplete
    } else if root.record.statement.is_some() && links.iter().all(known) {
        Completeness::Complete
    } else {
        Completeness::Unknown
    }
}

/// Adds which version was made from which; what lies between listed versions and is not listed itself, such as
/// a report, is passed over.
fn edges(root: &Version, links: &[Link], bom: &mut Bom) {
    let mut listed = BTreeSet::from([root.name()]);
    listed.extend(bom.datasets.iter().map(|one| one.name.clone()));
    listed.extend(bom.bases.iter().map(|one| one.name.clone()));
    listed.extend(bom.code.iter().map(|one| one.name.clone()));
    listed.extend(bom.environments.iter().map(|one| one.name.clone()));
    let mut known = BTreeSet::new();
    for link in links
        .iter()
        .filter(|link| listed.contains(&link.version.name()))
    {
        let inputs = link.provenance.iter().flat_map(Provenance::inputs);
        for (to, _) in inputs.filter_map(dependency) {
            let from = link.version.name();
            if listed.contains(&to) && known.insert((from.clone(), to.clone())) {
                bom.edges.push(Edge {
                    from: Node::Version(from),
                    to: Node::Version(to),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_left_out() {
        for (url, expected) in [
            (
                "https://me:secret@example.org/a@b",
                "https://example.org/a@b",
            ),
            ("https://example.org", "https://example.org"),
            ("a file of ours", "a file of ours"),
        ] {
            assert_eq!(without_password(url), expected);
        }
    }
}
