//! What a workspace declares beside who may do what: purposes, gated aliases, required evidence.

use std::collections::{BTreeMap, BTreeSet};

use custody_identity::Asserted;
use custody_types::{Alias, Endpoint, EvidenceKind, Kind, ProjectName, Purpose};
use serde::{Deserialize, Serialize};

use crate::providers::{Provider, Providers};

/// The purpose for which what is in quarantine may be looked into; the built-in policy names it.
pub(crate) const INVESTIGATION: &str = "investigation";
/// The purposes of a workspace that declares none, with what each is for.
pub(crate) const BUILTIN_PURPOSES: &[(&str, &str)] = &[
    ("audit", "to show that the rules were kept"),
    ("evaluation", "to measure models"),
    (
        INVESTIGATION,
        "to find out what is wrong; looks into quarantine",
    ),
    ("model-development", "to make and improve models"),
    ("operation", "to run what was made"),
    ("publication", "to publish figures or models"),
    ("research", "to find out what holds in general"),
    ("testing", "to try a pipeline"),
];
/// The roles that the built-in policy names.
pub const BUILTIN_ROLES: &[&str] = &[
    "approver",
    "auditor",
    "data_engineer",
    "data_scientist",
    "operator",
    "owner",
    "reader",
    "security_officer",
];
/// The alias that is gated where nothing is declared.
const PRODUCTION: &str = "production";
/// Over how many rows figures are less sensitive than the rows, where nothing is declared.
const FEWEST_ROWS: u64 = 10;
/// From which likeness on one name may be meant by another, from 0 to 1.
const LIKE: f64 = 0.7;

/// The file `settings.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Every purpose that may be stated, with what it is for. Without it: the program's own, and those that
    /// somebody holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purposes: Option<BTreeMap<Purpose, String>>,
    /// The aliases that move only onto versions that passed their gate. Without it: `production`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gated_aliases: Option<BTreeSet<Alias>>,
    /// The evidence that `verify` demands of versions, by their kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<BTreeMap<Kind, BTreeSet<EvidenceKind>>>,
    /// Figures over fewer rows are as sensitive as the rows. Without it: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fewest_rows: Option<u64>,
    /// Whether a change of the policies or accounts waits for a second person who may make it, where there is one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second_person: bool,
    /// How many approvals of other people a gate's decision needs at least, whatever its pipeline asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<u8>,
    /// The endpoints of networks that are not public which a step may declare: each an address and a port.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub private_endpoints: BTreeSet<Endpoint>,
    /// By which identity providers people sign in, by the names that they have here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sign_in: Providers,
    /// What holds in a project instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub projects: BTreeMap<ProjectName, ProjectSettings>,
}

/// What one project declares for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSettings {
    /// The aliases that move only onto versions that passed their gate. Without it: as everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gated_aliases: Option<BTreeSet<Alias>>,
    /// The evidence that `verify` demands of versions, by their kind. Without it: as everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<BTreeMap<Kind, BTreeSet<EvidenceKind>>>,
    /// How many approvals of other people a gate's decision needs at least. Without it: as everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<u8>,
    /// The endpoints of networks that are not public which a step may declare. Without it: as everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_endpoints: Option<BTreeSet<Endpoint>>,
}

impl Settings {
    /// Returns the provider that let somebody in, if it is declared still, under the same name and issuer.
    pub fn provider_of(&self, said: &Asserted) -> Option<&Provider> {
        crate::providers::of(&self.sign_in, said)
    }

    /// Returns how many approvals of other people a gate's decision needs at least in a project.
    pub fn approvals(&self, project: &ProjectName) -> u8 {
        let own = self.projects.get(project);
        let own = own.and_then(|settings| settings.approvals);
        own.or(self.approvals).unwrap_or(0)
    }

    /// Lists the endpoints of networks that are not public which the steps of a project may declare.
    pub fn private_endpoints(&self, project: Option<&ProjectName>) -> &BTreeSet<Endpoint> {
        let own = project.and_then(|name| self.projects.get(name)?.private_endpoints.as_ref());
        own.unwrap_or(&self.private_endpoints)
    }

    /// Returns an endpoint that is listed and need not be, for it is of the public network, or a name.
    pub(crate) fn needlessly_listed(&self) -> Option<&Endpoint> {
        let projects = self.projects.values();
        let of_projects = projects.filter_map(|project| project.private_endpoints.as_ref());
        let mut listed = of_projects.chain([&self.private_endpoints]).flatten();
        listed.find(|endpoint| !endpoint.is_private())
    }

    /// Returns an endpoint that the steps of some project may declare by these settings, and not by those of before.
    pub(crate) fn newly_listed<'a>(&'a self, before: &'a Self) -> Option<&'a Endpoint> {
        let named = self.projects.keys().chain(before.projects.keys()).map(Some);
        let mut anywhere = named.chain([None]);
        anywhere.find_map(|project| {
            let then = before.private_endpoints(project);
            self.private_endpoints(project).difference(then).next()
        })
    }

    /// Returns over how many rows figures are less sensitive than the rows.
    pub fn fewest_rows(&self) -> u64 {
        self.fewest_rows.unwrap_or(FEWEST_ROWS)
    }

    /// Lists the gated aliases of a project.
    pub fn gated_aliases(&self, project: Option<&ProjectName>) -> BTreeSet<String> {
        let own = project.and_then(|name| self.projects.get(name)?.gated_aliases.as_ref());
        let declared = own.or(self.gated_aliases.as_ref());
        declared.map_or_else(
            || BTreeSet::from([PRODUCTION.to_owned()]),
            |aliases| aliases.iter().map(ToString::to_string).collect(),
        )
    }

    pub(crate) fn is_gated(&self, project: &ProjectName, alias: &Alias) -> bool {
        self.gated_aliases(Some(project)).contains(alias.as_str())
    }

    pub(crate) fn required(&self, project: &ProjectName, kind: Kind) -> BTreeSet<EvidenceKind> {
        let own = self.projects.get(project);
        let own = own.and_then(|settings| settings.require.as_ref());
        let declared = own.or(self.require.as_ref());
        let kinds = declared.and_then(|by_kind| by_kind.get(&kind));
        kinds.cloned().unwrap_or_default()
    }
}

/// Returns the known name that is spelt most like `name`, if one is like it.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}
