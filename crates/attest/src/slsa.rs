//! [SLSA provenance](https://slsa.dev/spec/v1.0/provenance): how something was made.

use custody_types::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::statement::{ResourceDescriptor, Statement};
use crate::{AttestError, malformed};

/// The predicate type of provenance.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
/// The build type of our steps.
pub const BUILD_TYPE: &str = "https://custody.dev/step/v1";
/// The annotation that tells what a dependency was for: `input`, `code`, `environment`.
pub const ROLE: &str = "role";

/// The provenance of a step's outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// What was to be done.
    pub build_definition: BuildDefinition,
    /// What was done.
    pub run_details: RunDetails,
}

/// What was to be done, completely: the same definition makes the same outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition {
    /// How the rest is to be read.
    pub build_type: String,
    /// The step as it was declared.
    pub external_parameters: Value,
    /// What the runner added, such as the policy in force.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub internal_parameters: Value,
    /// Everything that went in, each with its [`ROLE`].
    #[serde(default)]
    pub resolved_dependencies: Vec<ResourceDescriptor>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunDetails {
    /// Who did it.
    pub builder: Builder,
    /// When.
    pub metadata: Metadata,
    /// What else came out: measurements, reports, logs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub byproducts: Vec<Value>,
}

/// The runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builder {
    /// Its name.
    pub id: String,
    /// Its parts and their versions.
    #[serde(default)]
    pub version: std::collections::BTreeMap<String, String>,
}

/// When and in which run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// `<run>/<step>`.
    pub invocation_id: String,
    /// When it began.
    pub started_on: Timestamp,
    /// When it ended.
    pub finished_on: Timestamp,
}

impl Provenance {
    /// Makes the statement about `subject`.
    ///
    /// # Errors
    /// [`AttestError::Malformed`].
    pub fn statement(&self, subject: Vec<ResourceDescriptor>) -> Result<Statement, AttestError> {
        Statement::new(subject, PROVENANCE, self)
    }

    /// Reads the provenance of a statement.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] when it is another kind of statement, or not of our steps.
    pub fn of(statement: &Statement) -> Result<Self, AttestError> {
        if statement.predicate_type != PROVENANCE {
            return Err(malformed(
                "provenance",
                format!("its type is `{}`", statement.predicate_type),
            ));
        }
        let provenance: Self = serde_json::from_value(statement.predicate.clone())
            .map_err(|error| malformed("provenance", error))?;
        if provenance.build_definition.build_type == BUILD_TYPE {
            Ok(provenance)
        } else {
            Err(malformed(
                "provenance",
                format!(
                    "its build type is `{}`",
                    provenance.build_definition.build_type
                ),
            ))
        }
    }

    /// Returns what went in.
    pub fn inputs(&self) -> &[ResourceDescriptor] {
        &self.build_definition.resolved_dependencies
    }
}

#[cfg(test)]
mod tests {
    use custody_types::Digest;
    use serde_json::json;

    use super::*;
    use crate::testing::TestKey;

    #[test]
    fn provenance_reads_back_from_its_envelope() {
        let provenance = Provenance {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE.to_owned(),
                external_parameters: json!({"step": "train", "command": ["python", "train.py"]}),
                internal_parameters: Value::Null,
                resolved_dependencies: vec![
                    ResourceDescriptor::version("p/train@1", Digest::of(b"x")).with(ROLE, "input"),
                ],
            },
            run_details: RunDetails {
                builder: Builder {
                    id: "b".to_owned(),
                    version: std::collections::BTreeMap::new(),
                },
                metadata: Metadata {
                    invocation_id: "r/train".to_owned(),
                    started_on: Timestamp::UNIX_EPOCH,
                    finished_on: Timestamp::UNIX_EPOCH,
                },
                byproducts: Vec::new(),
            },
        };
        let subject = vec![ResourceDescriptor::version("p/model@1", Digest::of(b"y"))];
        let key = TestKey::new("k");
        let envelope = provenance
            .statement(subject.clone())
            .unwrap()
            .seal(&key)
            .unwrap();
        let statement = Statement::open(&envelope, &key).unwrap();
        assert_eq!(statement.subject, subject);
        assert_eq!(Provenance::of(&statement), Ok(provenance));
        let other = Statement::new(subject, "https://example.com/other", &json!({})).unwrap();
        assert!(Provenance::of(&other).is_err());
    }
}
