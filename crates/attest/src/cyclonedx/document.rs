//! The document as it is written: the part of `CycloneDX` 1.6 that a model needs.

use serde::Serialize;

use super::{Approach, Completeness};
use crate::{AttestError, malformed};

/// A bill of materials, ready to be written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    #[serde(rename = "$schema")]
    pub(super) schema: &'static str,
    pub(super) bom_format: &'static str,
    pub(super) spec_version: &'static str,
    pub(super) serial_number: String,
    pub(super) version: u32,
    pub(super) metadata: Metadata,
    pub(super) components: Vec<Component>,
    pub(super) dependencies: Vec<Dependency>,
    pub(super) compositions: Vec<Composition>,
}

impl Document {
    /// Returns the serial number: `urn:uuid:…`.
    pub fn serial_number(&self) -> &str {
        &self.serial_number
    }

    /// Writes the document in the form of RFC 8785.
    ///
    /// # Errors
    /// [`AttestError::Malformed`]; cannot happen for a document that [`super::Bom::document`] made.
    pub fn to_bytes(&self) -> Result<Vec<u8>, AttestError> {
        serde_json_canonicalizer::to_vec(self)
            .map_err(|error| malformed("bill of materials", error))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Metadata {
    pub(super) timestamp: String,
    pub(super) tools: Tools,
    pub(super) component: Component,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Tools {
    pub(super) components: Vec<Component>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Component {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    pub(super) bom_ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) supplier: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) licenses: Vec<LicenceChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) external_references: Vec<ExternalReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_card: Option<ModelCard>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) data: Vec<Data>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) properties: Vec<Property>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Hash {
    pub(super) alg: &'static str,
    pub(super) content: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) value: String,
}

/// Either licences or, alone, an expression; the acknowledgement tells that the supplier declares it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum LicenceChoice {
    License {
        license: License,
    },
    Expression {
        expression: String,
        acknowledgement: &'static str,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct License {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) acknowledgement: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ExternalReference {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hashes: Vec<Hash>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelCard {
    pub(super) model_parameters: ModelParameters,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quantitative_analysis: Option<QuantitativeAnalysis>,
    pub(super) considerations: Considerations,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) properties: Vec<Property>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelParameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approach: Option<ApproachType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) architecture_family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_architecture: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) datasets: Vec<Ref>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) inputs: Vec<Format>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) outputs: Vec<Format>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ApproachType {
    #[serde(rename = "type")]
    pub(super) kind: Approach,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Ref {
    #[serde(rename = "ref")]
    pub(super) to: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Format {
    pub(super) format: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QuantitativeAnalysis {
    pub(super) performance_metrics: Vec<Metric>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metric {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confidence_interval: Option<Interval>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Interval {
    pub(super) lower_bound: String,
    pub(super) upper_bound: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Considerations {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) users: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) use_cases: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) technical_limitations: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) performance_tradeoffs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ethical_considerations: Vec<Risk>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) fairness_assessments: Vec<Fairness>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Risk {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mitigation_strategy: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fairness {
    pub(super) group_at_risk: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) benefits: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) harms: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mitigation_strategy: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Data {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) contents: Option<Contents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) classification: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) sensitive_data: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) governance: Option<Governance>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Contents {
    pub(super) url: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Governance {
    pub(super) owners: Vec<Party>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Party {
    pub(super) organization: Named,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dependency {
    #[serde(rename = "ref")]
    pub(super) of: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) depends_on: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Composition {
    pub(super) aggregate: Completeness,
    pub(super) assemblies: Vec<String>,
    pub(super) dependencies: Vec<String>,
}
