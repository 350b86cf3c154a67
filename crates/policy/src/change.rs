//! What no change of the policies may do.

use std::collections::BTreeMap;

use cedar_policy::{Effect, Policy};
use custody_identity::{Authentication, Directory, RoleBinding};
use custody_types::{Action, Actor, ActorKind, Resource, ResourceKind, Timestamp};

use crate::decide::{Request, ResourceFacts};
use crate::set::{PolicyError, PolicySet};

const OWNER: &str = "owner";

/// The session of who changes policies or accounts: whoever may change them again must be able to in one like it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The way in.
    pub via: &'a str,
    /// How they proved to be who they are.
    pub authentication: &'a Authentication,
    /// When.
    pub now: Timestamp,
}

impl PolicySet {
    /// Returns whether a change of these policies or accounts waits for a second person: that is declared, and there are two
    /// who may make it.
    pub fn needs_second_person(&self, seen: &Seen<'_>) -> bool {
        self.settings().second_person && self.has_two_people(seen)
    }

    /// Returns whether there are two people who may change the policies. Programs are none.
    fn has_two_people(&self, seen: &Seen<'_>) -> bool {
        let policies = the_policies();
        let people = self.directory().actors();
        people
            .filter(|actor| actor.kind == ActorKind::User)
            .filter(|actor| self.may_change(actor, &policies, seen))
            .nth(1)
            .is_some()
    }

    /// Checks that somebody may change the policies once these are in force, for some purpose or for none; two people,
    /// where changes wait for a second one. Roles that end do not count: nobody may be left once they have.
    ///
    /// # Errors
    /// [`PolicyError::Locked`] or [`PolicyError::Alone`].
    pub fn check_changeable(&self, seen: &Seen<'_>) -> Result<(), PolicyError> {
        let stays = self.with_directory(self.directory().permanent());
        if self.settings().second_person && !stays.has_two_people(seen) {
            return Err(PolicyError::Alone);
        }
        let policies = the_policies();
        // An owner can as a rule: of thousands of accounts no other is asked about then.
        let actors = stays.directory().actors();
        let (owners, others): (Vec<_>, Vec<_>) =
            actors.partition(|actor| stays.directory().is_owner(actor, seen.now));
        let mut actors = owners.into_iter().chain(others);
        let somebody = actors.any(|actor| stays.may_change(&actor, &policies, seen));
        somebody.then_some(()).ok_or(PolicyError::Locked)
    }

    /// Whether somebody may change the policies, for some purpose or for none.
    /// What an identity provider says of somebody they have for a session alone, and does not count.
    fn may_change(&self, actor: &Actor, policies: &ResourceFacts, seen: &Seen<'_>) -> bool {
        let authentication = &Authentication {
            asserted: None,
            ..seen.authentication.clone()
        };
        let mut purposes = std::iter::once(None).chain(self.purposes().keys().map(Some));
        purposes.any(|purpose| {
            let decision = self.decide(&Request {
                actor,
                on_behalf_of: None,
                action: Action::ChangePolicy,
                resource: policies,
                purpose,
                scope: None,
                own: false,
                alias: None,
                via: seen.via,
                authentication,
                now: seen.now,
            });
            decision.permit
        })
    }

    /// Checks that `actor`, who puts these in the place of `before`, gives nobody what is not theirs to give: by the
    /// policies, by the accounts, by groups. Who owns the workspace may give everything. Anybody else may give roles other
    /// than `owner`, and purposes, to others, and forbid more; what is permitted, and what is no longer forbidden, is for
    /// an owner.
    ///
    /// # Errors
    /// [`PolicyError::NotTheirs`] that says what.
    pub fn check_change(
        &self,
        before: &Self,
        actor: &Actor,
        seen: &Seen<'_>,
    ) -> Result<(), PolicyError> {
        let owner = RoleBinding::everywhere(OWNER);
        let roles = |directory: &Directory, who: &Actor| -> Vec<RoleBinding> {
            let rights = directory.rights_at_any_time(who).unwrap_or_default();
            rights.roles.into_iter().cloned().collect()
        };
        let (after, before_that) = (self.directory(), before.directory());
        if before_that.is_owner(actor, seen.now) {
            return Ok(());
        }
        let not_theirs = |what: String| {
            Err(PolicyError::NotTheirs {
                who: actor.id.clone(),
                what,
            })
        };
        for who in after.actors() {
            let then = roles(before_that, &who);
            let mut gained = roles(after, &who).into_iter().filter(|role| {
                !then.iter().any(|had| had.covers(role)) && (role.role == OWNER || who == *actor)
            });
            if let Some(role) = gained.next() {
                return not_theirs(if who == *actor {
                    format!("they get the role `{role}` themselves")
                } else {
                    format!("`{}` gets the role `{role}`", who.id)
                });
            }
        }
        // A group that nobody is in yet is given to whoever comes into it.
        let held = |directory: &Directory, group: &str| {
            let group = directory.groups.get(group);
            group.map(|group| group.roles.clone()).unwrap_or_default()
        };
        for name in after.groups.keys() {
            let then = held(before_that, name);
            let mut now = held(after, name).into_iter();
            if let Some(role) =
                now.find(|role| role.role == OWNER && !then.iter().any(|had| had.covers(role)))
            {
                return not_theirs(format!("the group `{name}` gets the role `{role}`"));
            }
        }
        // Who owns the workspace can undo whatever somebody else does.
        let policies = the_policies();
        for who in before_that.actors() {
            let was = roles(before_that, &who);
            let has = roles(after, &who);
            let mut lost = was
                .iter()
                .filter(|role| role.role == OWNER && !role.has_ended(seen.now))
                .filter(|role| !has.iter().any(|has| has.covers(role)));
            if let Some(role) = lost.next() {
                return not_theirs(format!("`{}` loses the role `{role}`", who.id));
            }
            if was.contains(&owner)
                && before.may_change(&who, &policies, seen)
                && !self.may_change(&who, &policies, seen)
            {
                return not_theirs(format!(
                    "`{}`, who owns it, could not change the policies any more",
                    who.id
                ));
            }
        }
        let then = before_that
            .rights_at_any_time(actor)
            .unwrap_or_default()
            .purposes;
        let now = after.rights_at_any_time(actor).unwrap_or_default().purposes;
        if let Some(purpose) = now.difference(&then).next() {
            return not_theirs(format!("they get the purpose `{purpose}` themselves"));
        }
        self.check_sign_in(before).or_else(not_theirs)?;
        if let Some(endpoint) = self.settings().newly_listed(before.settings()) {
            return not_theirs(format!("steps may declare `{endpoint}` that might not"));
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

    /// Checks that nobody comes to sign in who did not: whoever signs in as an account is taken for it.
    fn check_sign_in(&self, before: &Self) -> Result<(), String> {
        if self.settings().sign_in != before.settings().sign_in {
            return Err("the providers that people sign in by are others".to_owned());
        }
        let (after, before) = (self.directory(), before.directory());
        for who in after.actors() {
            let identities = |directory: &Directory| {
                let account = directory.account(&who);
                account.map(|account| account.identities.clone())
            };
            let (now, then) = (
                identities(after).unwrap_or_default(),
                identities(before).unwrap_or_default(),
            );
            // An owner for a time is one here, too.
            let rights = before.rights_at_any_time(&who).unwrap_or_default();
            let mut roles = rights.roles.iter();
            let owns = roles.any(|role| role.role == "owner" && role.project.is_none());
            let lost = owns && !then.is_subset(&now);
            if !now.is_subset(&then) || lost {
                return Err(format!("`{}` signs in by another identity", who.id));
            }
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
    use custody_identity::Credentials;

    use super::*;
    use crate::set::Source;

    const OFFICER: &str =
        r#"{"users": {"olga": {"roles": ["security_officer"]}, "dan": {"roles": ["reader"]}}}"#;

    /// Calls `check` with a session of the machine itself.
    fn seen<T>(check: impl FnOnce(&Seen<'_>) -> T) -> T {
        let now = Timestamp::from_unix_micros(1_763_890_200_000_001).unwrap();
        let account = "somebody".to_owned();
        let authentication = &Credentials::OperatingSystem { account }.authenticate(now);
        check(&Seen {
            via: "cli",
            authentication,
            now,
        })
    }

    fn set(principals: &str, cedar: &str) -> PolicySet {
        let source = |name: &str, text: &str| Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let directory = Directory::parse(principals, &Actor::user("owner")).unwrap();
        PolicySet::parse(&[source("own.cedar", cedar)], directory).unwrap()
    }

    #[test]
    fn who_comes_to_sign_in_is_for_an_owner() {
        let told = |actor: &str, settings: &str, principals: &str| {
            let parsed = |settings: &str, principals: &str| {
                let directory = Directory::parse(principals, &Actor::user("owner")).unwrap();
                let settings = Source {
                    name: "settings.json".to_owned(),
                    text: settings.to_owned(),
                };
                PolicySet::parse(&[settings], directory).unwrap()
            };
            let (before, after) = (parsed("{}", BOUND), parsed(settings, principals));
            seen(|seen| after.check_change(&before, &Actor::user(actor), seen)).is_ok()
        };
        let provider = r#"{"sign_in": {"corp": {"issuer": "https://a.example", "client_id": "c",
            "groups": {"claim": "groups", "roles": {"mine": ["approver"]}}}}}"#;
        let (none, other) = (
            "{}",
            BOUND.replace("\"subject\": \"1\"", "\"subject\": \"2\""),
        );
        let unbound = BOUND.replace("\"subject\": \"9\"", "\"subject\": \"8\"");
        assert!(told("olga", none, BOUND));
        for (settings, principals) in [(provider, BOUND), (none, &other), (none, &unbound)] {
            assert!(
                !told("olga", settings, principals),
                "{settings} {principals}"
            );
            assert!(told("owner", settings, principals));
        }
        // What somebody signs in by may be taken from who owns nothing.
        let taken = r#""identities": [{"issuer": "https://a.example", "subject": "1"}]"#;
        assert!(told(
            "olga",
            none,
            &BOUND.replace(taken, r#""roles": ["reader"]"#)
        ));
        let owners = r#", "identities": [{"issuer": "https://a.example", "subject": "9"}]"#;
        assert!(!told("olga", none, &BOUND.replace(owners, "")));
    }

    const BOUND: &str = r#"{"users": {"olga": {"roles": ["security_officer"]},
        "dan": {"identities": [{"issuer": "https://a.example", "subject": "1"}]},
        "owner": {"roles": ["owner"], "identities": [{"issuer": "https://a.example", "subject": "9"}]}}}"#;

    #[test]
    fn policies_that_nobody_could_change_are_refused() {
        let locked = [
            "forbid (principal, action, resource);",
            r#"forbid (principal, action == Action::"changePolicy", resource);"#,
            r#"forbid (principal, action, resource) unless { principal == User::"nobody" };"#,
        ];
        for cedar in locked {
            assert_eq!(
                seen(|seen| set(OFFICER, cedar).check_changeable(seen)),
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
            seen(|seen| set(OFFICER, cedar).check_changeable(seen)).unwrap();
        }
    }

    #[test]
    fn who_can_change_the_policies_for_a_time_alone_does_not_count() {
        let cedar = r#"forbid (principal, action, resource) unless { principal in Role::"security_officer" };"#;
        let until = |until: &str| {
            format!(
                r#"{{"users": {{"olga": {{"roles": [{{"role": "security_officer", "until": "{until}"}}]}}}}}}"#
            )
        };
        let later = until("2100-01-01T00:00:00Z");
        let locked = seen(|seen| set(&later, cedar).check_changeable(seen));
        assert_eq!(locked, Err(PolicyError::Locked));
        seen(|seen| set(OFFICER, cedar).check_changeable(seen)).unwrap();
        let settings = Source {
            name: "settings.json".to_owned(),
            text: r#"{"second_person": true}"#.to_owned(),
        };
        let directory = Directory::parse(&later, &Actor::user("owner")).unwrap();
        let two = PolicySet::parse(&[settings], directory).unwrap();
        assert_eq!(
            seen(|seen| two.check_changeable(seen)),
            Err(PolicyError::Alone)
        );
        // While she may, a change waits for her.
        assert!(seen(|seen| two.needs_second_person(seen)));
        let ended = Directory::parse(&until("2000-01-01T00:00:00Z"), &Actor::user("owner"));
        let alone = two.with_directory(ended.unwrap());
        assert!(!seen(|seen| alone.needs_second_person(seen)));
    }

    #[test]
    fn endpoints_of_networks_that_are_not_public_are_let_in_by_owners_alone() {
        let with = |text: &str| {
            let settings = Source {
                name: "settings.json".to_owned(),
                text: text.to_owned(),
            };
            let directory = Directory::parse(OFFICER, &Actor::user("owner")).unwrap();
            PolicySet::parse(&[settings], directory).unwrap()
        };
        let one = r#"{"private_endpoints": ["10.0.0.1:5432"]}"#;
        let more = r#"{"private_endpoints": ["10.0.0.1:5432", "10.0.0.1:22"]}"#;
        let lab = r#"{"private_endpoints": ["10.0.0.1:5432"], "projects": {"lab": {"private_endpoints": ["10.0.0.1:22"]}}}"#;
        let closed = r#"{"private_endpoints": ["10.0.0.1:5432"], "projects": {"lab": {"private_endpoints": []}}}"#;
        for (before, after, theirs) in [
            (one, one, true),
            (more, one, true),
            (one, "{}", true),
            (one, closed, true),
            (closed, one, false),
            ("{}", one, false),
            (one, more, false),
            (one, lab, false),
        ] {
            let check = |who: &str| {
                seen(|seen| with(after).check_change(&with(before), &Actor::user(who), seen))
                    .is_ok()
            };
            assert_eq!(check("olga"), theirs, "{before} {after}");
            assert!(check("owner"));
        }
    }

    #[test]
    fn where_a_second_person_is_demanded_there_are_two() {
        let with = |principals: &str| {
            let settings = Source {
                name: "settings.json".to_owned(),
                text: r#"{"second_person": true}"#.to_owned(),
            };
            let directory = Directory::parse(principals, &Actor::user("owner")).unwrap();
            PolicySet::parse(&[settings], directory).unwrap()
        };
        let two = with(OFFICER);
        assert!(seen(|seen| two.needs_second_person(seen)));
        seen(|seen| two.check_changeable(seen)).unwrap();
        assert!(!seen(|seen| set(OFFICER, "").needs_second_person(seen)));
        let alone = [
            r#"{"users": {"dan": {"roles": ["reader"]}}}"#,
            r#"{"users": {"olga": {"roles": ["security_officer"], "disabled": true}}}"#,
            r#"{"services": {"olga": {"roles": ["security_officer"]}}}"#,
        ];
        for principals in alone {
            let set = with(principals);
            assert!(!seen(|seen| set.needs_second_person(seen)));
            assert_eq!(
                seen(|seen| set.check_changeable(seen)),
                Err(PolicyError::Alone),
                "{principals}"
            );
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
                r#"{"users": {"olga": {"roles": ["security_officer", {"role": "reader", "until": "2100-01-01T00:00:00Z"}]}}}"#,
                kept,
                "the role `reader until 2100-01-01T00:00:00Z` themselves",
            ),
            (
                r#"{"users": {"olga": {"roles": ["security_officer"]}, "friend": {"roles": [{"role": "owner", "until": "2100-01-01T00:00:00Z"}]}}}"#,
                kept,
                "`friend` gets the role `owner until 2100-01-01T00:00:00Z`",
            ),
            (
                OFFICER,
                r#"forbid (principal, action == Action::"export", resource); forbid (principal in Role::"owner", action, resource);"#,
                "`owner`, who owns it, could not change the policies",
            ),
            (
                r#"{"users": {"olga": {"roles": ["security_officer"]}}, "groups": {"all": {"roles": ["data_scientist"], "members": ["olga"]}}}"#,
                kept,
                "the role `data_scientist` themselves",
            ),
            (
                r#"{"users": {"olga": {"roles": ["security_officer"]}}, "groups": {"all": {"purposes": ["audit"], "members": ["olga"]}}}"#,
                kept,
                "the purpose `audit` themselves",
            ),
            (
                r#"{"users": {"olga": {"roles": ["security_officer"]}}, "groups": {"all": {"roles": ["owner"]}}}"#,
                kept,
                "the group `all` gets the role `owner`",
            ),
            (OFFICER, "", "no longer forbidden"),
            (
                OFFICER,
                r#"forbid (principal, action == Action::"export", resource) when { resource.quarantined };"#,
                "no longer forbidden",
            ),
        ];
        for (principals, cedar, says) in refused {
            let told = seen(|seen| set(principals, cedar).check_change(&before, &olga, seen));
            let told = told.unwrap_err().to_string();
            assert!(told.contains(says), "{told}");
        }
        let permits = format!("{kept} @id(\"mine\") permit (principal, action, resource);");
        let told = seen(|seen| set(OFFICER, &permits).check_change(&before, &olga, seen));
        assert!(
            told.unwrap_err()
                .to_string()
                .contains("permitted that was not")
        );
        let owner = Actor::user("owner");
        seen(|seen| set(OFFICER, &permits).check_change(&before, &owner, seen)).unwrap();
        // The same policy in other words and under another id, others' roles, and further refusals.
        let fine = format!(
            "@id(\"other\")\n{} forbid (principal, action == Action::\"read\", resource);",
            kept.replace(", ", ",\n   ")
        );
        let others = r#"{"users": {"olga": {"roles": ["security_officer"]}, "dan": {"roles": ["data_scientist"], "purposes": ["audit"]}}}"#;
        seen(|seen| set(others, &fine).check_change(&before, &olga, seen)).unwrap();
    }
}
