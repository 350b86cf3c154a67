//! What no change of the policies may do.

use std::collections::BTreeMap;

use cedar_policy::{Effect, Policy};
use custody_types::{Action, Actor, ActorKind, Purpose, Resource, ResourceKind};

use crate::decide::{Request, ResourceFacts};
use crate::principals::RoleBinding;
use crate::set::{PolicyError, PolicySet};

const OWNER: &str = "owner";

impl PolicySet {
    /// Checks that somebody may change the policies once these are in force, for some purpose or for none.
    ///
    /// # Errors
    /// [`PolicyError::Locked`].
    pub fn check_changeable(&self) -> Result<(), PolicyError> {
        let policies = the_policies();
        let somebody = self.names().any(|name| self.may_change(name, &policies));
        somebody.then_some(()).ok_or(PolicyError::Locked)
    }

    /// Whether somebody may change the policies, for some purpose or for none.
    fn may_change(&self, name: &str, policies: &ResourceFacts) -> bool {
        let mut purposes = std::iter::once(None).chain(self.purposes().keys().map(Some));
        purposes.any(|purpose| {
            let decision = self.decide(&Request {
                actor: &Actor::user(name),
                on_behalf_of: None,
                action: Action::ChangePolicy,
                resource: policies,
                purpose,
                scope: None,
                own: false,
                via: "cli",
            });
            decision.permit
        })
    }

    /// Checks that `actor`, who puts these in the place of `before`, gives nobody what is not theirs to give.
    /// Who owns the workspace may give everything. Anybody else may give roles other than `owner`, and
    /// purposes, to others, and forbid more; what is permitted, and what is no longer forbidden, is for an owner.
    ///
    /// # Errors
    /// [`PolicyError::NotTheirs`] that says what.
    pub fn check_change(&self, before: &Self, actor: &Actor) -> Result<(), PolicyError> {
        let roles = |set: &Self, name: &str| {
            let known = set.principals.users.get(name);
            known.map(|known| known.roles.clone()).unwrap_or_default()
        };
        let owner = RoleBinding::everywhere(OWNER);
        if actor.kind == ActorKind::User && roles(before, &actor.id).contains(&owner) {
            return Ok(());
        }
        let gained = |name: &str| {
            let then = roles(before, name);
            let mut now = roles(self, name).into_iter();
            now.find(|role| {
                !then.iter().any(|had| had.covers(role)) && (role.role == OWNER || name == actor.id)
            })
        };
        let not_theirs = |what: String| {
            Err(PolicyError::NotTheirs {
                who: actor.id.clone(),
                what,
            })
        };
        for name in self.principals.users.keys() {
            if let Some(role) = gained(name) {
                return not_theirs(if *name == actor.id {
                    format!("they get the role `{role}` themselves")
                } else {
                    format!("`{name}` gets the role `{role}`")
                });
            }
        }
        // Who owns the workspace can undo whatever somebody else does.
        for name in before.principals.users.keys() {
            let was = roles(before, name);
            let lost = was.iter().find(|role| {
                role.role == OWNER && !roles(self, name).iter().any(|has| has.covers(role))
            });
            if let Some(role) = lost {
                return not_theirs(format!("`{name}` loses the role `{role}`"));
            }
            let policies = the_policies();
            if was.contains(&owner)
                && before.may_change(name, &policies)
                && !self.may_change(name, &policies)
            {
                return not_theirs(format!(
                    "`{name}`, who owns it, could not change the policies any more"
                ));
            }
        }
        let own = |set: &Self| {
            let known = set.principals.users.get(&actor.id).cloned();
            known.unwrap_or_default()
        };
        let (now, then) = (own(self), own(before));
        let gained = |purpose: &&Purpose| !then.purposes.contains(purpose);
        if let Some(purpose) = now.purposes.iter().find(gained) {
            return not_theirs(format!("they get the purpose `{purpose}` themselves"));
        }
        let (now, then) = (statements(self), statements(before));
        let beyond = |these: &Statements, those: &Statements, effect| {
            let mut gone = these.iter().filter(|(key, _)| !those.contains_key(*key));
            gone.find_map(|((is, _), text)| (*is == effect).then(|| text.clone()))
        };
        if let Some(text) = beyond(&now, &then, "permit") {
            return not_theirs(format!("something is permitted that was not: {text}"));
        }
        if let Some(text) = beyond(&then, &now, "forbid") {
            return not_theirs(format!("something is no longer forbidden: {text}"));
        }
        Ok(())
    }
}

/// The policies as a thing that is acted upon.
fn the_policies() -> ResourceFacts {
    ResourceFacts {
        resource: Resource::new(ResourceKind::Policy, "policy"),
        project: None,
        kind: None,
        classification: None,
        quarantined: false,
        purposes: Vec::new(),
    }
}

/// The text of each policy by its effect and what it says, whatever its id and its spelling.
type Statements = BTreeMap<(&'static str, String), String>;

fn statements(set: &PolicySet) -> Statements {
    let told = |policy: &Policy| {
        let effect = match policy.effect() {
            Effect::Permit => "permit",
            Effect::Forbid => "forbid",
        };
        let text = policy.to_string();
        let mut says = policy.to_json().unwrap_or_else(|_| text.clone().into());
        if let Some(says) = says.as_object_mut() {
            says.remove("annotations");
        }
        let words: Vec<_> = text.split_whitespace().collect();
        ((effect, says.to_string()), words.join(" "))
    };
    set.policies.policies().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::Source;

    const OFFICER: &str =
        r#"{"users": {"olga": {"roles": ["security_officer"]}, "dan": {"roles": ["reader"]}}}"#;

    fn set(principals: &str, cedar: &str) -> PolicySet {
        let source = |name: &str, text: &str| Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let sources = [
            source("principals.json", principals),
            source("own.cedar", cedar),
        ];
        PolicySet::parse(&sources, "owner").unwrap()
    }

    #[test]
    fn policies_that_nobody_could_change_are_refused() {
        let locked = [
            "forbid (principal, action, resource);",
            r#"forbid (principal, action == Action::"changePolicy", resource);"#,
            r#"forbid (principal, action, resource) unless { principal == User::"nobody" };"#,
        ];
        for cedar in locked {
            assert_eq!(
                set(OFFICER, cedar).check_changeable(),
                Err(PolicyError::Locked),
                "{cedar}"
            );
        }
        let open = [
            "",
            r#"forbid (principal, action, resource) unless { principal in Role::"security_officer" };"#,
            r#"forbid (principal, action, resource) unless { context has purpose && context.purpose == "audit" };"#,
            r#"forbid (principal == User::"owner", action, resource);"#,
        ];
        for cedar in open {
            set(OFFICER, cedar).check_changeable().unwrap();
        }
    }

    #[test]
    fn who_is_no_owner_gives_nobody_more_than_roles() {
        let kept = r#"forbid (principal, action == Action::"export", resource);"#;
        let before = set(OFFICER, kept);
        let olga = Actor::user("olga");
        let refused = [
            (
                r#"{"users": {"olga": {"roles": ["security_officer", "owner"]}}}"#,
                kept,
                "get the role `owner` themselves",
            ),
            (
                r#"{"users": {"olga": {"roles": ["security_officer"]}, "friend": {"roles": ["owner"]}}}"#,
                kept,
                "`friend` gets the role `owner`",
            ),
            (
                r#"{"users": {"olga": {"roles": ["security_officer", "data_scientist"]}}}"#,
                kept,
                "the role `data_scientist` themselves",
            ),
            (
                r#"{"users": {"olga": {"roles": ["security_officer"], "purposes": ["audit"]}}}"#,
                kept,
                "the purpose `audit` themselves",
            ),
            (
                r#"{"users": {"olga": {"roles": ["security_officer"]}, "friend": {"roles": [{"role": "owner", "project": "loans"}]}}}"#,
                kept,
                "`friend` gets the role `owner of loans`",
            ),
            (
                r#"{"users": {"olga": {"roles": ["security_officer", {"role": "reader", "project": "loans"}]}}}"#,
                kept,
                "the role `reader of loans` themselves",
            ),
            (
                OFFICER,
                r#"forbid (principal, action == Action::"export", resource); forbid (principal in Role::"owner", action, resource);"#,
                "`owner`, who owns it, could not change the policies",
            ),
            (OFFICER, "", "no longer forbidden"),
            (
                OFFICER,
                r#"forbid (principal, action == Action::"export", resource) when { resource.quarantined };"#,
                "no longer forbidden",
            ),
        ];
        for (principals, cedar, says) in refused {
            let told = set(principals, cedar).check_change(&before, &olga);
            let told = told.unwrap_err().to_string();
            assert!(told.contains(says), "{told}");
        }
        let permits = format!("{kept} @id(\"mine\") permit (principal, action, resource);");
        let told = set(OFFICER, &permits).check_change(&before, &olga);
        assert!(
            told.unwrap_err()
                .to_string()
                .contains("permitted that was not")
        );
        set(OFFICER, &permits)
            .check_change(&before, &Actor::user("owner"))
            .unwrap();
        // The same policy in other words and under another id, others' roles, and further refusals.
        let fine = format!(
            "@id(\"other\")\n{} forbid (principal, action == Action::\"read\", resource);",
            kept.replace(", ", ",\n   ")
        );
        let others = r#"{"users": {"olga": {"roles": ["security_officer"]}, "dan": {"roles": ["data_scientist"], "purposes": ["audit"]}}}"#;
        set(others, &fine).check_change(&before, &olga).unwrap();
    }
}
