//! Prints a bill of materials with everything in it that one can hold.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::num::NonZeroU32;

use custody_attest::cyclonedx::{
    Approach, BaseModel, Bom, Claim, Code, Completeness, Considerations, DataOrigin, Dataset, Edge,
    Environment, Fairness, Figure, Model, Node, Package, Risk,
};
use custody_attest::licence::Licence;
use custody_attest::package::PackageId;
use custody_types::{ByteSize, Classification, Digest, FileEntry, VersionName};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let bytes = bom()?.document()?.to_bytes()?;
    std::io::stdout().write_all(&bytes)?;
    Ok(())
}

/// Returns the facts.
///
/// # Errors
/// When a name or a time among them is malformed.
pub(crate) fn bom() -> Result<Bom> {
    let packages = packages()?;
    let environment: VersionName = "a/environment@1".parse()?;
    let mut edges = Vec::new();
    for (from, to) in [
        ("a/model@1", "a/train@2"),
        ("a/model@1", "a/train-code@1"),
        ("a/train@2", "a/raw@1"),
        ("a/train-code@1", "a/environment@1"),
    ] {
        edges.push(Edge {
            from: Node::Version(from.parse()?),
            to: Node::Version(to.parse()?),
        });
    }
    edges.extend(packages.iter().map(|package| Edge {
        from: Node::Version(environment.clone()),
        to: Node::Package(package.id.clone()),
    }));
    Ok(Bom {
        timestamp: "2026-11-23T09:30:00Z".parse()?,
        revision: NonZeroU32::MIN,
        tool_version: "0.1.0".to_owned(),
        model: model()?,
        datasets: vec![
            dataset("a/train@2", "training")?,
            dataset("a/raw@1", "source")?,
            dataset("a/test@2", "evaluation")?,
        ],
        bases: vec![BaseModel {
            name: "publisher/encoder@3".parse()?,
            sha256: Digest::of(b"encoder"),
            claims: vec![claim("https://custody.dev/scan/v1", 4)],
        }],
        code: vec![Code {
            name: "a/train-code@1".parse()?,
            sha256: Digest::of(b"code"),
            repository: Some("https://example.org/repository.git".to_owned()),
            claims: vec![claim("https://slsa.dev/provenance/v1", 3)],
        }],
        environments: vec![Environment {
            name: environment,
            sha256: Digest::of(b"environment"),
            interpreter: "CPython 3.11.7".to_owned(),
        }],
        packages,
        edges,
        completeness: Completeness::Complete,
    })
}

fn packages() -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    for (name, version, licences) in [
        ("numpy", "2.4.6", &["BSD-3-Clause AND 0BSD"][..]),
        ("Scikit_Learn", "1.9.1", &["bsd-3-clause"]),
        ("torch", "2.9+cpu", &["BSD License", "MIT"]),
        ("unlicensed", "1", &[]),
    ] {
        packages.push(Package {
            id: PackageId::new(name, version)?,
            licences: licences
                .iter()
                .filter_map(|text| Licence::of(text))
                .collect(),
            sha256: (name != "torch").then(|| Digest::of(name.as_bytes())),
        });
    }
    Ok(packages)
}

fn model() -> Result<Model> {
    let text = |text: &str| Some(text.to_owned());
    let list = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let figure = |name: &str, value, interval, slice: Option<&str>| Figure {
        name: name.to_owned(),
        value,
        interval,
        slice: slice.map(ToOwned::to_owned),
    };
    Ok(Model {
        name: "a/model@1".parse()?,
        sha256: Digest::of(b"model"),
        kind: "onnx".to_owned(),
        description: text("Tells who earns more than a threshold."),
        supplier: text("Example Ltd"),
        licences: vec![Licence::Id("Apache-2.0")],
        files: vec![file("model.onnx")?, file("sub/features.json")?],
        approach: Some(Approach::Supervised),
        task: text("classification"),
        architecture_family: text("gradient-boosted trees"),
        architecture: text("HistGradientBoostingClassifier"),
        inputs: list(&["f32[batch, 16]"]),
        outputs: list(&["i64[batch]", "f32[batch, 2]"]),
        parameters: BTreeMap::from([
            ("max_iter".to_owned(), "200".to_owned()),
            ("seed".to_owned(), "7".to_owned()),
        ]),
        figures: vec![
            figure("accuracy", 0.81, Some((0.8, 0.82)), None),
            figure("accuracy", 0.79, None, Some("sex=female")),
            figure("equalised odds difference", 0.04, None, None),
        ],
        considerations: considerations(),
        claims: vec![
            claim("https://slsa.dev/provenance/v1", 12),
            claim("https://slsa.dev/verification_summary/v1", 13),
        ],
    })
}

fn considerations() -> Considerations {
    let list = |text: &str| vec![text.to_owned()];
    Considerations {
        users: list("statisticians"),
        use_cases: list("research on incomes"),
        limitations: list("no persons under 16"),
        tradeoffs: list("recall was given up for equal error rates"),
        risks: vec![Risk {
            name: "use in hiring".to_owned(),
            mitigation: Some("the policy denies that purpose".to_owned()),
        }],
        fairness: vec![Fairness {
            group: "women".to_owned(),
            benefits: Some("none beyond others".to_owned()),
            harms: Some("lower recall".to_owned()),
            mitigation: None,
        }],
    }
}

fn dataset(name: &str, role: &str) -> Result<Dataset> {
    Ok(Dataset {
        name: name.parse()?,
        sha256: Digest::of(name.as_bytes()),
        role: role.to_owned(),
        classification: Classification::Personal,
        sensitive: vec!["sex".to_owned(), "race".to_owned()],
        description: Some("Persons and their employment.".to_owned()),
        origin: Some(DataOrigin {
            publisher: "Census Bureau".to_owned(),
            source: "https://example.org/data set.csv".to_owned(),
            legal_basis: Some("public interest".to_owned()),
        }),
        rows: Some(10_000),
        columns: Some(16),
        licences: vec![Licence::Id("CC0-1.0")],
        owner: Some("data office".to_owned()),
        claims: vec![claim("https://slsa.dev/provenance/v1", 2)],
    })
}

fn file(path: &str) -> Result<FileEntry> {
    Ok(FileEntry {
        path: path.parse()?,
        size: ByteSize::from_bytes(1024),
        sha256: Digest::of(path.as_bytes()),
        executable: false,
    })
}

fn claim(predicate_type: &str, entry: u64) -> Claim {
    Claim {
        predicate_type: predicate_type.to_owned(),
        sha256: Digest::of(&entry.to_be_bytes()),
        entry: Some(entry),
        address: "claims.jsonl".to_owned(),
    }
}
