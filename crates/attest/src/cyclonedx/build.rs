//! From the facts to the document.

use custody_types::{Digest, FileEntry, VersionName};
use sha2::{Digest as _, Sha256};

use super::document::{
    ApproachType, Component, Composition, Considerations, Contents, Data, Document,
    ExternalReference, Fairness, Format, Governance, Hash, Interval, LicenceChoice, License,
    Metadata, Metric, ModelCard, ModelParameters, Named, Party, Property, QuantitativeAnalysis,
    Ref, Risk, Tools,
};
use super::graph::Graph;
use super::{BaseModel, Bom, Claim, Code, Dataset, Environment, Figure, Model, Node, Package, uri};
use crate::licence::Licence;
use crate::{AttestError, malformed};

const SCHEMA: &str = "http://cyclonedx.org/schema/bom-1.6.schema.json";

pub(super) fn document(bom: &Bom) -> Result<Document, AttestError> {
    let component = model(&bom.model, &bom.datasets)?;
    let mut components = Vec::new();
    components.extend(bom.model.files.iter().map(|entry| file(&bom.model, entry)));
    components.extend(
        bom.datasets
            .iter()
            .map(dataset)
            .collect::<Result<Vec<_>, _>>()?,
    );
    components.extend(bom.bases.iter().map(base).collect::<Result<Vec<_>, _>>()?);
    components.extend(bom.code.iter().map(code).collect::<Result<Vec<_>, _>>()?);
    components.extend(bom.environments.iter().map(environment));
    components.extend(bom.packages.iter().map(package));
    components.sort_by(|a, b| a.bom_ref.cmp(&b.bom_ref));
    let root = bom.model.name.to_string();
    Ok(Document {
        schema: SCHEMA,
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: serial(&bom.model),
        version: bom.revision.get(),
        metadata: Metadata {
            timestamp: bom.timestamp.to_string(),
            tools: Tools {
                components: vec![Component {
                    kind: "application",
                    name: "custody".to_owned(),
                    version: Some(bom.tool_version.clone()),
                    ..Component::default()
                }],
            },
            component,
        },
        dependencies: graph(bom, &components)?.dependencies(),
        components,
        compositions: vec![Composition {
            aggregate: bom.completeness,
            assemblies: vec![root.clone()],
            dependencies: vec![root],
        }],
    })
}

/// The serial number: a UUID of version 8 (RFC 9562) out of the SHA-256 of the model's name and digest.
fn serial(model: &Model) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"custody bill of materials v1\n");
    hasher.update(model.name.to_string());
    hasher.update(b"\n");
    hasher.update(model.sha256.as_bytes());
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hasher.finalize()) {
        *to = from;
    }
    let uuid = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    uuid.urn().to_string()
}

fn graph(bom: &Bom, components: &[Component]) -> Result<Graph, AttestError> {
    let root = bom.model.name.to_string();
    let mut graph = Graph::new(&root);
    for reference in components.iter().filter_map(|part| part.bom_ref.as_deref()) {
        graph.add(reference)?;
    }
    for entry in &bom.model.files {
        graph.connect(&root, &file_reference(&bom.model, entry))?;
    }
    for edge in &bom.edges {
        graph.connect(&node(&edge.from), &node(&edge.to))?;
    }
    Ok(graph)
}

fn node(node: &Node) -> String {
    match node {
        Node::Version(name) => name.to_string(),
        Node::Package(id) => id.purl(),
    }
}

fn file_reference(model: &Model, file: &FileEntry) -> String {
    format!("{}#{}", model.name, file.path.as_str())
}

/// What every version of an artifact has.
fn version(kind: &'static str, name: &VersionName, sha256: &Digest) -> Component {
    Component {
        kind,
        bom_ref: Some(name.to_string()),
        group: Some(name.artifact.project().as_str().to_owned()),
        name: name.artifact.name().to_owned(),
        version: Some(name.number.to_string()),
        hashes: vec![hash(sha256)],
        ..Component::default()
    }
}

fn model(model: &Model, datasets: &[Dataset]) -> Result<Component, AttestError> {
    let mut properties = claimed(&model.claims);
    properties.push(property("kind", &model.kind));
    properties.sort();
    Ok(Component {
        supplier: model.supplier.clone().map(|name| Named { name }),
        description: model.description.clone(),
        licenses: licences(&model.licences),
        external_references: attestations(&model.claims)?,
        model_card: Some(card(model, datasets)?),
        properties,
        ..version("machine-learning-model", &model.name, &model.sha256)
    })
}

fn card(model: &Model, datasets: &[Dataset]) -> Result<ModelCard, AttestError> {
    let format = |format: &String| Format {
        format: format.clone(),
    };
    let mut used: Vec<_> = datasets
        .iter()
        .map(|dataset| dataset.name.to_string())
        .collect();
    used.sort();
    let mut metrics = model
        .figures
        .iter()
        .map(metric)
        .collect::<Result<Vec<_>, _>>()?;
    metrics.sort_by(|a, b| (&a.kind, &a.slice, &a.value).cmp(&(&b.kind, &b.slice, &b.value)));
    let parameters = model.parameters.iter();
    Ok(ModelCard {
        model_parameters: ModelParameters {
            approach: model.approach.map(|kind| ApproachType { kind }),
            task: model.task.clone(),
            architecture_family: model.architecture_family.clone(),
            model_architecture: model.architecture.clone(),
            datasets: used.into_iter().map(|to| Ref { to }).collect(),
            inputs: model.inputs.iter().map(format).collect(),
            outputs: model.outputs.iter().map(format).collect(),
        },
        quantitative_analysis: (!metrics.is_empty()).then_some(QuantitativeAnalysis {
            performance_metrics: metrics,
        }),
        considerations: considerations(&model.considerations),
        properties: parameters
            .map(|(name, value)| property(&format!("parameter:{name}"), value))
            .collect(),
    })
}

fn metric(figure: &Figure) -> Result<Metric, AttestError> {
    let number = |value: f64| {
        if value.is_finite() {
            Ok(value.to_string())
        } else {
            Err(malformed(
                "bill of materials",
                format!("the figure `{}` is no number", figure.name),
            ))
        }
    };
    let interval = figure.interval.map(|(lower, upper)| {
        Ok::<_, AttestError>(Interval {
            lower_bound: number(lower)?,
            upper_bound: number(upper)?,
        })
    });
    Ok(Metric {
        kind: figure.name.clone(),
        value: number(figure.value)?,
        slice: figure.slice.clone(),
        confidence_interval: interval.transpose()?,
    })
}

fn considerations(given: &super::Considerations) -> Considerations {
    let risk = |risk: &super::Risk| Risk {
        name: risk.name.clone(),
        mitigation_strategy: risk.mitigation.clone(),
    };
    let fairness = |fairness: &super::Fairness| Fairness {
        group_at_risk: fairness.group.clone(),
        benefits: fairness.benefits.clone(),
        harms: fairness.harms.clone(),
        mitigation_strategy: fairness.mitigation.clone(),
    };
    Considerations {
        users: given.users.clone(),
        use_cases: given.use_cases.clone(),
        technical_limitations: given.limitations.clone(),
        performance_tradeoffs: given.tradeoffs.clone(),
        ethical_considerations: given.risks.iter().map(risk).collect(),
        fairness_assessments: given.fairness.iter().map(fairness).collect(),
    }
}

fn file(model: &Model, entry: &FileEntry) -> Component {
    Component {
        kind: "file",
        bom_ref: Some(file_reference(model, entry)),
        name: entry.path.as_str().to_owned(),
        hashes: vec![hash(&entry.sha256)],
        properties: vec![property("size-bytes", &entry.size.bytes().to_string())],
        ..Component::default()
    }
}

fn dataset(dataset: &Dataset) -> Result<Component, AttestError> {
    let mut properties = claimed(&dataset.claims);
    properties.push(property("role", &dataset.role));
    properties.push(property("classification", dataset.classification.as_str()));
    for (name, count) in [("rows", dataset.rows), ("columns", dataset.columns)] {
        properties.extend(count.map(|count| property(name, &count.to_string())));
    }
    if let Some(origin) = &dataset.origin {
        properties.push(property("source", &origin.source));
        properties.extend(
            origin
                .legal_basis
                .as_ref()
                .map(|basis| property("legal-basis", basis)),
        );
    }
    properties.sort();
    let address = dataset
        .origin
        .as_ref()
        .and_then(|origin| uri::web(&origin.source));
    let mut sensitive = dataset.sensitive.clone();
    sensitive.sort();
    let data = Data {
        kind: "dataset",
        name: dataset.name.to_string(),
        contents: address.map(|url| Contents { url }),
        classification: Some(dataset.classification.as_str()),
        sensitive_data: sensitive,
        governance: dataset.owner.clone().map(|name| Governance {
            owners: vec![Party {
                organization: Named { name },
            }],
        }),
    };
    Ok(Component {
        supplier: dataset.origin.as_ref().map(|origin| Named {
            name: origin.publisher.clone(),
        }),
        description: dataset.description.clone(),
        licenses: licences(&dataset.licences),
        external_references: attestations(&dataset.claims)?,
        data: vec![data],
        properties,
        ..version("data", &dataset.name, &dataset.sha256)
    })
}

fn base(base: &BaseModel) -> Result<Component, AttestError> {
    let mut properties = claimed(&base.claims);
    properties.sort();
    Ok(Component {
        external_references: attestations(&base.claims)?,
        properties,
        ..version("machine-learning-model", &base.name, &base.sha256)
    })
}

fn code(code: &Code) -> Result<Component, AttestError> {
    let mut references = attestations(&code.claims)?;
    if let Some(repository) = &code.repository {
        references.push(ExternalReference {
            kind: "vcs",
            url: uri::web(repository).ok_or_else(|| no_address(repository))?,
            comment: None,
            hashes: Vec::new(),
        });
    }
    let mut properties = claimed(&code.claims);
    properties.sort();
    Ok(Component {
        external_references: references,
        data: vec![Data {
            kind: "source-code",
            name: code.name.to_string(),
            contents: None,
            classification: None,
            sensitive_data: Vec::new(),
            governance: None,
        }],
        properties,
        ..version("data", &code.name, &code.sha256)
    })
}

fn environment(environment: &Environment) -> Component {
    Component {
        properties: vec![property("interpreter", &environment.interpreter)],
        ..version("platform", &environment.name, &environment.sha256)
    }
}

fn package(package: &Package) -> Component {
    let purl = package.id.purl();
    Component {
        kind: "library",
        bom_ref: Some(purl.clone()),
        name: package.id.name().to_owned(),
        version: Some(package.id.version().to_owned()),
        hashes: package.sha256.iter().map(hash).collect(),
        licenses: licences(&package.licences),
        purl: Some(purl),
        ..Component::default()
    }
}

fn hash(sha256: &Digest) -> Hash {
    Hash {
        alg: "SHA-256",
        content: sha256.to_hex(),
    }
}

fn property(name: &str, value: &str) -> Property {
    Property {
        name: format!("custody:{name}"),
        value: value.to_owned(),
    }
}

/// An expression stands alone or, beside other licences, as a name: the format knows no third way.
fn licences(licences: &[Licence]) -> Vec<LicenceChoice> {
    const DECLARED: &str = "declared";
    if let [Licence::Expression(expression)] = licences {
        return vec![LicenceChoice::Expression {
            expression: expression.clone(),
            acknowledgement: DECLARED,
        }];
    }
    let mut sorted: Vec<_> = licences.iter().collect();
    sorted.sort();
    sorted.dedup();
    let license = |licence: &Licence| match licence {
        Licence::Id(id) => (Some(*id), None),
        Licence::Expression(name) | Licence::Named(name) => (None, Some(name.clone())),
    };
    sorted
        .into_iter()
        .map(license)
        .map(|(id, name)| LicenceChoice::License {
            license: License {
                id,
                name,
                acknowledgement: DECLARED,
            },
        })
        .collect()
}

/// The properties that name attestations and their entries in the ledger.
fn claimed(claims: &[Claim]) -> Vec<Property> {
    claims
        .iter()
        .flat_map(|claim| {
            let entry = claim
                .entry
                .map(|entry| property("entry", &entry.to_string()));
            let statement = property("statement", &claim.sha256.to_string());
            [Some(statement), entry].into_iter().flatten()
        })
        .collect()
}

fn attestations(claims: &[Claim]) -> Result<Vec<ExternalReference>, AttestError> {
    let mut sorted: Vec<_> = claims.iter().collect();
    sorted.sort();
    sorted
        .into_iter()
        .map(|claim| {
            let entry = claim
                .entry
                .map(|entry| format!(", ledger entry {entry}"))
                .unwrap_or_default();
            Ok(ExternalReference {
                kind: "attestation",
                url: uri::reference(&claim.address).ok_or_else(|| no_address(&claim.address))?,
                comment: Some(format!("{}{entry}", claim.predicate_type)),
                hashes: vec![hash(&claim.sha256)],
            })
        })
        .collect()
}

fn no_address(text: &str) -> AttestError {
    malformed(
        "bill of materials",
        format!("{} is no address", crate::package::shown(text)),
    )
}
