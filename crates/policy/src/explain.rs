//! Why something was decided as it was.

use std::collections::BTreeSet;

use cedar_policy::{Effect, PolicyId};
use custody_identity::{Party, RoleBinding};
use custody_types::{Actor, ActorKind, Endpoint, Kind, ProjectName, Purpose};
use serde_json::Value;

use crate::decide::{Decision, Request, ResourceFacts, holds};
use crate::set::PolicySet;

/// A decision, and what led to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The policies that decided, as [`Decision::policies`] names them.
    pub policies: Vec<Determining>,
    /// The roles that who asked has, of their own and by groups.
    pub roles: Vec<HeldRole>,
}

/// A policy that decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Determining {
    /// Its id.
    pub id: String,
    /// Whether it permits; `None`: it is a limit that is no policy.
    pub permits: Option<bool>,
    /// What it says for itself.
    pub because: Option<String>,
    /// The way out that it tells.
    pub hint: Option<String>,
    /// Its text.
    pub text: Option<String>,
    /// The facts that it looks at.
    pub facts: Vec<Fact>,
}

/// A fact that a policy looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    /// What policies call it: `resource.classification`.
    pub name: String,
    /// What it was.
    pub value: String,
}

impl Fact {
    /// Whether it says something of what is acted upon.
    pub fn is_of_resource(&self) -> bool {
        self.name.starts_with("resource")
    }
}

/// A role that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRole {
    /// The role.
    pub role: RoleBinding,
    /// The group that gives it, if one does.
    pub group: Option<String>,
    /// The identity provider by whose groups they have it in this session, if it is that.
    pub provider: Option<String>,
    /// Whether it counts for what is asked: it has not ended, and is not for another project.
    pub counts: bool,
}

impl PolicySet {
    /// Tells what led to the decision of a request by these policies.
    pub fn explain(&self, request: &Request<'_>, decision: Decision) -> Explanation {
        let person = request.on_behalf_of.unwrap_or(request.actor);
        let policies = decision.policies.iter();
        let policies = policies.map(|id| self.determining(id, person, request));
        Explanation {
            policies: policies.collect(),
            roles: self.held_roles(person, request),
            decision,
        }
    }

    fn held_roles(&self, person: &Actor, request: &Request<'_>) -> Vec<HeldRole> {
        let counts = |role: &RoleBinding| !role.has_ended(request.now) && holds(role, request);
        let told = |role: &RoleBinding, group: Option<&String>| HeldRole {
            role: role.clone(),
            group: group.cloned(),
            provider: None,
            counts: counts(role),
        };
        let directory = self.directory();
        let own = directory.account(person).into_iter();
        let own = own.flat_map(|account| account.roles.iter().map(|role| told(role, None)));
        let member = Party::of(person);
        let groups = directory.groups.iter().filter(|(_, group)| {
            member
                .as_ref()
                .is_some_and(|member| group.members.contains(member))
        });
        let by_groups = groups
            .flat_map(|(name, group)| group.roles.iter().map(move |role| (role, name)))
            .map(|(role, name)| told(role, Some(name)));
        let said = request.authentication.asserted.as_ref();
        let provider = said.map(|said| said.provider.clone());
        let by_session = self.roles_of_session(person, request);
        let by_session = by_session.map(|role| HeldRole {
            provider: provider.clone(),
            ..told(role, None)
        });
        own.chain(by_groups).chain(by_session).collect()
    }

    fn determining(&self, id: &str, person: &Actor, request: &Request<'_>) -> Determining {
        let Some(policy) = self.policies.policy(&PolicyId::new(id)) else {
            return Determining {
                id: id.to_owned(),
                ..Determining::default()
            };
        };
        let mut names = BTreeSet::new();
        if let Ok(json) = policy.to_json() {
            for variable in ["principal", "resource"] {
                names.extend(
                    json.get(variable)
                        .and_then(|scope| in_scope(variable, scope)),
                );
            }
            looked_at(json.get("conditions").unwrap_or(&Value::Null), &mut names);
        }
        let facts = names.into_iter().map(|name| Fact {
            value: self.value(&name, person, request),
            name,
        });
        Determining {
            id: id.to_owned(),
            permits: Some(policy.effect() == Effect::Permit),
            because: policy.annotation("because").map(ToOwned::to_owned),
            hint: policy.annotation("hint").map(ToOwned::to_owned),
            text: Some(policy.to_string()),
            facts: facts.collect(),
        }
    }

    /// Returns what a fact was.
    fn value(&self, name: &str, person: &Actor, request: &Request<'_>) -> String {
        let facts = request.resource;
        let shown = request.authentication;
        let text = |value: &str| value.to_owned();
        let list = |all: Vec<&str>| format!("[{}]", all.join(", "));
        let purposes = |all: &[Purpose]| list(all.iter().map(Purpose::as_str).collect());
        let stated = request.purpose.map_or("none stated", Purpose::as_str);
        match name {
            "resource.project" => text(facts.project.as_ref().map_or("", ProjectName::as_str)),
            "resource.kind" => text(facts.kind.map_or("", Kind::as_str)),
            "resource.classification" => text(
                facts
                    .classification
                    .map_or("special (not known)", |one| one.as_str()),
            ),
            "resource.host" | "resource.port" | "resource.private" | "resource.listed" => {
                self.of_endpoint(name, facts)
            }
            "resource.quarantined" => facts.quarantined.to_string(),
            "resource.purposes" => purposes(&facts.purposes),
            "principal.purposes" => {
                let rights = self.directory().rights(person, request.now);
                let held = rights.unwrap_or_default().purposes;
                list(held.into_iter().map(Purpose::as_str).collect())
            }
            "context.purpose" => text(stated),
            "context.via" => text(request.via),
            "context.own" => request.own.to_string(),
            "context.step" => (request.actor.kind == ActorKind::Step).to_string(),
            "context.now" => request.now.to_seconds_text(),
            "context.alias" => request
                .alias
                .map_or_else(|| text("none"), ToString::to_string),
            "context.gated" => self.asks_gated(request).to_string(),
            "context.session" => format!(
                "{}, strength {}, from {}, since {}",
                shown.method,
                shown.strength(),
                shown.network,
                shown.time.to_seconds_text()
            ),
            other => self.belongs(other, person, request),
        }
    }

    /// Returns what a fact of an endpoint was.
    fn of_endpoint(&self, name: &str, facts: &ResourceFacts) -> String {
        let Ok(endpoint) = facts.resource.name.parse::<Endpoint>() else {
            return String::new();
        };
        match name {
            "resource.host" => endpoint.host().to_string(),
            "resource.port" => endpoint.port().to_string(),
            "resource.private" => endpoint.is_private().to_string(),
            _ => self.lists(facts, &endpoint).to_string(),
        }
    }

    /// Returns whether who asks, or the thing, is what a policy compares it with.
    fn belongs(&self, name: &str, person: &Actor, request: &Request<'_>) -> String {
        let Some((variable, entity)) = name.split_once(" in ").or_else(|| name.split_once(" is "))
        else {
            return String::new();
        };
        let is = match (variable, entity.split_once("::")) {
            ("principal", Some(("Role", id))) => {
                let roles = self.held_roles(person, request);
                roles
                    .iter()
                    .any(|held| held.counts && quoted(&held.role.role) == id)
            }
            ("principal", Some(("Group", id))) => {
                let rights = self.directory().rights(person, request.now);
                let groups = rights.unwrap_or_default().groups;
                groups.iter().any(|group| quoted(group) == id)
            }
            ("principal", Some((_, id))) => quoted(&person.id) == id,
            ("principal", None) => (person.kind == ActorKind::Service) == (entity == "Service"),
            ("resource", Some(("Project", id))) => {
                let project = request.resource.project.as_ref();
                project.is_some_and(|project| quoted(project.as_str()) == id)
            }
            ("resource", None) => request.resource.resource.kind.entity() == entity,
            ("resource", Some((_, id))) => quoted(&request.resource.resource.name) == id,
            _ => return String::new(),
        };
        is.to_string()
    }
}

fn quoted(id: &str) -> String {
    format!("\"{id}\"")
}

/// Returns what the head of a policy says of who asks, or of the thing.
fn in_scope(variable: &str, scope: &Value) -> Option<String> {
    let entity = |value: &Value| {
        let (kind, id) = (value.get("type")?.as_str()?, value.get("id")?.as_str()?);
        Some(format!("{kind}::{}", quoted(id)))
    };
    match scope.get("op")?.as_str()? {
        "in" => Some(format!("{variable} in {}", entity(scope.get("entity")?)?)),
        "==" => Some(format!("{variable} is {}", entity(scope.get("entity")?)?)),
        "is" => Some(format!(
            "{variable} is {}",
            scope.get("entity_type")?.as_str()?
        )),
        _ => None,
    }
}

/// Collects the facts that an expression, in the form that Cedar has for it in JSON, looks at.
fn looked_at(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| looked_at(one, names)),
        Value::Object(fields) => {
            let attribute = fields.get(".").or_else(|| fields.get("has"));
            names.extend(attribute.and_then(path));
            names.extend(fields.get("in").and_then(membership));
            for field in fields.values() {
                looked_at(field, names);
            }
        }
        _ => {}
    }
}

/// Returns the fact of `left.attr`, by no more than its first two names: those of a session are told together.
fn path(attribute: &Value) -> Option<String> {
    let left = attribute.get("left")?;
    let attr = attribute.get("attr")?.as_str()?;
    let variable = left.get("Var").and_then(Value::as_str);
    variable.map(|variable| format!("{variable}.{attr}"))
}

/// Returns the fact of `principal in Role::"…"`.
fn membership(compared: &Value) -> Option<String> {
    let variable = compared.get("left")?.get("Var")?.as_str()?;
    let entity = compared.get("right")?.get("Value")?.get("__entity")?;
    let (kind, id) = (entity.get("type")?.as_str()?, entity.get("id")?.as_str()?);
    Some(format!("{variable} in {kind}::{}", quoted(id)))
}

#[cfg(test)]
mod tests {
    use custody_identity::{Credentials, Directory};
    use custody_types::{Action, Classification, Resource, ResourceKind, Timestamp};

    use super::*;

    #[test]
    fn what_led_to_a_decision_is_told_with_the_facts() {
        let text = r#"{"users": {"ada": {"roles": ["data_scientist", {"role": "auditor", "until": "2020-01-01T00:00:00Z"}], "purposes": ["audit"]}},
            "groups": {"risk": {"roles": [{"role": "reader", "project": "care"}], "members": ["ada"]}}}"#;
        let directory = Directory::parse(text, &Actor::user("root")).unwrap();
        let set = PolicySet::builtin(directory).unwrap();
        let now: Timestamp = "2026-11-23T09:30:00Z".parse().unwrap();
        let account = "ada".to_owned();
        let purpose = "research".parse().unwrap();
        let facts = ResourceFacts {
            resource: Resource::new(ResourceKind::Artifact, "loans/raw@1"),
            project: Some("loans".parse().unwrap()),
            kind: Some(Kind::Dataset),
            classification: Some(Classification::Personal),
            quarantined: false,
            purposes: Vec::new(),
        };
        let request = Request {
            actor: &Actor::user("ada"),
            on_behalf_of: None,
            action: Action::Read,
            resource: &facts,
            purpose: Some(&purpose),
            scope: None,
            own: false,
            alias: None,
            via: "cli",
            authentication: &Credentials::OperatingSystem { account }.authenticate(now),
            now,
        };
        let told = set.explain(&request, set.decide(&request));
        assert!(!told.decision.permit);
        let [held] = &told.policies[..] else {
            panic!("{told:#?}")
        };
        assert_eq!(
            (held.id.as_str(), held.permits),
            ("purpose-held", Some(false))
        );
        assert!(held.hint.is_some() && held.text.as_ref().unwrap().contains("forbid"));
        let looked: Vec<_> = held
            .facts
            .iter()
            .map(|fact| format!("{} = {}", fact.name, fact.value))
            .collect();
        assert_eq!(
            looked,
            [
                "context.purpose = research",
                "principal in Role::\"owner\" = false",
                "principal.purposes = [audit]",
                "resource.classification = personal"
            ]
        );
        let roles: Vec<_> = told
            .roles
            .iter()
            .map(|held| (held.role.role.as_str(), held.group.as_deref(), held.counts))
            .collect();
        assert_eq!(
            roles,
            [
                ("auditor", None, false),
                ("data_scientist", None, true),
                ("reader", Some("risk"), false)
            ]
        );
    }
}
