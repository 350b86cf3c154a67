//! What changes a directory.

use std::collections::BTreeSet;

use custody_types::{Actor, Purpose, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::directory::{Account, Directory, Group, IdentityError, OWNER, Party};
use crate::provider::ProviderIdentity;
use crate::role::RoleBinding;

/// What an account or a group may be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// A role.
    Role(RoleBinding),
    /// A purpose for which personal data may be read.
    Purpose(Purpose),
    /// What a group of this name has.
    Group(String),
    /// To sign in as who this is to an identity provider.
    Identity(ProviderIdentity),
}

/// A change of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "change", deny_unknown_fields)]
pub enum Change {
    /// An account, or a group, that was not there.
    Add {
        /// Which.
        who: Party,
    },
    /// It goes, out of its groups too.
    Remove {
        /// Which.
        who: Party,
    },
    /// The account may do nothing until it is enabled.
    Disable {
        /// Which.
        who: Party,
    },
    /// The account may do again what it may.
    Enable {
        /// Which.
        who: Party,
    },
    /// They get something. What they have already for as long is no change; a role takes the place of one that ends sooner.
    Grant {
        /// Who.
        who: Party,
        /// What.
        right: Right,
        /// Of a role: for how many seconds, by the clock of who makes the change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u32>,
    },
    /// They lose something; a role however long it would last.
    Revoke {
        /// Who.
        who: Party,
        /// What.
        right: Right,
    },
    /// Another directory altogether.
    Replace {
        /// It.
        directory: Directory,
    },
}

type Own<'a> = (&'a mut BTreeSet<RoleBinding>, &'a mut BTreeSet<Purpose>);

impl Directory {
    /// Makes a change at `now`; nothing is changed that is so already.
    ///
    /// # Errors
    /// [`IdentityError`] when it names what is not there, what is there already, or takes the owner's rights; nothing is
    /// changed then.
    pub fn change(
        &mut self,
        change: Change,
        owner: &Actor,
        now: Timestamp,
    ) -> Result<(), IdentityError> {
        let owned = Party::of(owner);
        let is_owner = |who: &Party| owned.as_ref() == Some(who);
        match change {
            Change::Add { who } => {
                if self.contains(&who) {
                    return Err(IdentityError::Exists(who));
                }
                match who {
                    Party::User(id) => drop(self.users.insert(id, Account::default())),
                    Party::Service(id) => drop(self.services.insert(id, Account::default())),
                    Party::Group(id) => drop(self.groups.insert(id, Group::default())),
                }
            }
            Change::Remove { who } => {
                self.known(&who)?;
                if is_owner(&who) {
                    return Err(IdentityError::Owner(who));
                }
                for group in self.groups.values_mut() {
                    group.members.remove(&who);
                }
                match &who {
                    Party::User(id) => drop(self.users.remove(id)),
                    Party::Service(id) => drop(self.services.remove(id)),
                    Party::Group(id) => drop(self.groups.remove(id)),
                }
            }
            Change::Disable { who } if is_owner(&who) => return Err(IdentityError::Owner(who)),
            Change::Disable { who } => self.account_mut(&who)?.disabled = true,
            Change::Enable { who } => self.account_mut(&who)?.disabled = false,
            Change::Grant {
                who,
                right,
                seconds,
            } => self.grant(&who, until(right, seconds, now)?, now)?,
            Change::Revoke { who, right } => {
                let owner = RoleBinding::everywhere(OWNER);
                let is_role =
                    matches!(&right, Right::Role(role) if role.is_same_but_for_its_end(&owner));
                if is_owner(&who) && is_role {
                    return Err(IdentityError::Owner(who));
                }
                self.revoke(&who, &right)?;
            }
            Change::Replace { directory } => {
                *self = Self::parse(&directory.to_text(), owner)?;
            }
        }
        Ok(())
    }

    fn known(&self, who: &Party) -> Result<(), IdentityError> {
        let known = self.contains(who);
        known
            .then_some(())
            .ok_or_else(|| IdentityError::Unknown(who.clone()))
    }

    fn account_mut(&mut self, who: &Party) -> Result<&mut Account, IdentityError> {
        let account = match who {
            Party::User(id) => self.users.get_mut(id),
            Party::Service(id) => self.services.get_mut(id),
            Party::Group(_) => None,
        };
        account.ok_or_else(|| IdentityError::Unknown(who.clone()))
    }

    fn group_mut(&mut self, name: &str) -> Result<&mut Group, IdentityError> {
        let group = self.groups.get_mut(name);
        group.ok_or_else(|| IdentityError::Unknown(Party::Group(name.to_owned())))
    }

    /// Returns the roles and purposes that an account or a group has of its own.
    fn own(&mut self, who: &Party) -> Result<Own<'_>, IdentityError> {
        if let Party::Group(name) = who {
            let group = self.group_mut(name)?;
            return Ok((&mut group.roles, &mut group.purposes));
        }
        let account = self.account_mut(who)?;
        Ok((&mut account.roles, &mut account.purposes))
    }

    fn grant(&mut self, who: &Party, right: Right, now: Timestamp) -> Result<(), IdentityError> {
        self.known(who)?;
        match right {
            Right::Group(name) => {
                self.check_member(who)?;
                self.group_mut(&name)?.members.insert(who.clone());
            }
            Right::Identity(identity) => {
                let Party::User(name) = who else {
                    return Err(IdentityError::NoPerson(who.clone()));
                };
                let others = self.users.iter().filter(|(other, _)| *other != name);
                let mut bound = others.filter(|(_, one)| one.identities.contains(&identity));
                if let Some((other, _)) = bound.next() {
                    return Err(IdentityError::Bound(Party::User(other.clone())));
                }
                self.account_mut(who)?.identities.insert(identity);
            }
            Right::Role(role) => {
                let roles = self.own(who)?.0;
                if roles.contains(&role) {
                    return Ok(());
                }
                if role.has_ended(now) {
                    return Err(IdentityError::Ended(role));
                }
                let same = |has: &&RoleBinding| has.is_same_but_for_its_end(&role);
                let mut longer = roles.iter().filter(same).filter(|has| has.covers(&role));
                if let Some(has) = longer.next() {
                    return Err(IdentityError::ForLonger {
                        who: who.clone(),
                        has: has.clone(),
                    });
                }
                roles.retain(|has| !has.is_same_but_for_its_end(&role));
                roles.insert(role);
            }
            Right::Purpose(purpose) => drop(self.own(who)?.1.insert(purpose)),
        }
        Ok(())
    }

    fn revoke(&mut self, who: &Party, right: &Right) -> Result<(), IdentityError> {
        self.known(who)?;
        match right {
            Right::Group(name) => drop(self.group_mut(name)?.members.remove(who)),
            Right::Identity(identity) => {
                self.account_mut(who)?.identities.remove(identity);
            }
            Right::Role(role) => {
                let roles = self.own(who)?.0;
                roles.retain(|has| !has.is_same_but_for_its_end(role));
            }
            Right::Purpose(purpose) => drop(self.own(who)?.1.remove(purpose)),
        }
        Ok(())
    }
}

/// Says of a role that is given for a time when it ends.
fn until(right: Right, seconds: Option<u32>, now: Timestamp) -> Result<Right, IdentityError> {
    let Some(seconds) = seconds else {
        return Ok(right);
    };
    match right {
        Right::Role(role) if role.until.is_none() => Ok(Right::Role(RoleBinding {
            until: Some(now.plus_seconds(seconds.into())),
            ..role
        })),
        _ => Err(IdentityError::NoTime),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Actor {
        Actor::user("root")
    }

    fn now() -> Timestamp {
        "2026-11-23T09:30:00Z".parse().unwrap()
    }

    fn party(text: &str) -> Party {
        text.parse().unwrap()
    }

    fn changed(mut directory: Directory, changes: &[Change]) -> Result<Directory, IdentityError> {
        for change in changes {
            let before = directory.clone();
            if let Err(error) = directory.change(change.clone(), &owner(), now()) {
                assert_eq!(directory, before, "{change:?}");
                return Err(error);
            }
        }
        Ok(directory)
    }

    fn made(changes: &[Change]) -> Result<Directory, IdentityError> {
        changed(Directory::of_owner(&owner()), changes)
    }

    fn add(who: &str) -> Change {
        Change::Add { who: party(who) }
    }

    fn grant(who: &str, right: Right) -> Change {
        Change::Grant {
            who: party(who),
            right,
            seconds: None,
        }
    }

    fn role(name: &str) -> Right {
        Right::Role(RoleBinding::everywhere(name))
    }

    #[test]
    fn names_read_back_as_they_are_written() {
        for (text, written) in [
            ("ada", "ada"),
            ("service:ci", "service:ci"),
            ("group:risk", "group:risk"),
            ("user:ada", "ada"),
            ("user:service:ci", "user:service:ci"),
            ("ada@example.com", "ada@example.com"),
            ("domain:ada", "domain:ada"),
        ] {
            let read = party(text);
            assert_eq!(read.to_string(), written);
            assert_eq!(party(written), read);
        }
        let wrong = ["", "service:", " ada", "a\nb", "group:\u{1b}[2J"];
        for wrong in wrong.into_iter().chain(["jose\u{301}", "ada\u{202e}"]) {
            assert!(wrong.parse::<Party>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_identity_is_of_one_person() {
        let identity = |subject: &str| {
            Right::Identity(ProviderIdentity::new("https://a.example", subject).unwrap())
        };
        let both = [add("ada"), add("bob"), add("service:ci"), add("group:risk")];
        let directory = made(&both).unwrap();
        let bound = changed(directory, &[grant("ada", identity("1"))]).unwrap();
        let who = ProviderIdentity::new("https://a.example", "1").unwrap();
        assert_eq!(bound.person_of(&who), Some("ada"));
        let again = changed(bound.clone(), &[grant("ada", identity("1"))]).unwrap();
        assert_eq!(again, bound);
        let given = |who: &str| changed(bound.clone(), &[grant(who, identity("1"))]);
        assert_eq!(given("bob"), Err(IdentityError::Bound(party("ada"))));
        for who in ["service:ci", "group:risk"] {
            assert_eq!(given(who), Err(IdentityError::NoPerson(party(who))));
        }
        // A file cannot say it either, and reads back as it was written.
        assert_eq!(Directory::parse(&bound.to_text(), &owner()).unwrap(), bound);
        let mut twice = bound.clone();
        let identities = twice.users["ada"].identities.clone();
        twice.users.get_mut("bob").unwrap().identities = identities;
        assert!(Directory::parse(&twice.to_text(), &owner()).is_err());
        assert_eq!(twice.person_of(&who), None);
        let leave = Change::Revoke {
            who: party("ada"),
            right: identity("1"),
        };
        let left = changed(bound, &[leave]).unwrap();
        assert_eq!(left.person_of(&who), None);
        assert!(!left.to_text().contains("identities"));
    }

    #[test]
    fn what_a_group_has_its_members_have_until_they_leave() {
        let purpose = "audit".parse().unwrap();
        let all = [
            add("ada"),
            add("service:ci"),
            add("group:risk"),
            grant("group:risk", role("auditor")),
            grant("group:risk", Right::Purpose(purpose)),
            grant("ada", Right::Group("risk".to_owned())),
            grant("service:ci", Right::Group("risk".to_owned())),
        ];
        let directory = made(&all).unwrap();
        for actor in [Actor::user("ada"), Actor::service("ci")] {
            let rights = directory.rights(&actor, now()).unwrap();
            assert!(rights.cover(&RoleBinding::everywhere("auditor")));
            assert_eq!((rights.purposes.len(), rights.groups), (1, vec!["risk"]));
        }
        // A person and a service of one name are two.
        assert!(directory.rights(&Actor::user("ci"), now()).is_none());
        let (ada, ci) = (party("ada"), party("service:ci"));
        let left = Right::Group("risk".to_owned());
        let leave = Change::Revoke {
            who: ada.clone(),
            right: left,
        };
        let without = changed(directory.clone(), &[leave, Change::Remove { who: ci }]).unwrap();
        assert!(
            without
                .rights(&Actor::user("ada"), now())
                .unwrap()
                .roles
                .is_empty()
        );
        assert!(without.groups["risk"].members.is_empty());
        let disabled = changed(directory, &[Change::Disable { who: ada.clone() }]).unwrap();
        assert!(disabled.rights(&Actor::user("ada"), now()).is_none());
        let enabled = changed(disabled, &[Change::Enable { who: ada }]).unwrap();
        assert!(enabled.rights(&Actor::user("ada"), now()).is_some());
    }

    #[test]
    fn a_change_names_what_is_there_and_leaves_the_owner_alone() {
        let root = || party("root");
        let refused = [
            (add("root"), IdentityError::Exists(root())),
            (
                grant("ada", role("reader")),
                IdentityError::Unknown(party("ada")),
            ),
            (
                grant("root", Right::Group("none".to_owned())),
                IdentityError::Unknown(party("group:none")),
            ),
            (Change::Remove { who: root() }, IdentityError::Owner(root())),
            (
                Change::Disable { who: root() },
                IdentityError::Owner(root()),
            ),
            (
                Change::Revoke {
                    who: root(),
                    right: role("owner"),
                },
                IdentityError::Owner(root()),
            ),
        ];
        for (change, error) in refused {
            assert_eq!(made(&[change]), Err(error));
        }
        let group = [
            add("group:a"),
            add("group:b"),
            grant("group:a", Right::Group("b".to_owned())),
        ];
        assert_eq!(made(&group), Err(IdentityError::NoMember(party("group:a"))));
    }

    #[test]
    fn a_role_that_ended_is_not_there_and_stays_to_be_seen() {
        let role = |until: Option<&str>| RoleBinding {
            role: "auditor".to_owned(),
            project: Some("loans".parse().unwrap()),
            until: until.map(|until| until.parse().unwrap()),
        };
        let hour = "2026-11-23T10:30:00Z";
        let given = Change::Grant {
            who: party("ada"),
            right: Right::Role(role(None)),
            seconds: Some(3600),
        };
        let grant = |until| grant("ada", Right::Role(role(until)));
        let directory = made(&[add("ada"), given.clone()]).unwrap();
        let ada = Actor::user("ada");
        let has = |directory: &Directory, at: &str| {
            let rights = directory.rights(&ada, at.parse().unwrap()).unwrap();
            !rights.roles.is_empty()
        };
        assert!(has(&directory, "2026-11-23T10:29:59.999999Z") && !has(&directory, hour));
        assert!(directory.permanent().users["ada"].roles.is_empty());
        let text = directory.to_text();
        assert!(text.contains(r#""until": "2026-11-23T10:30:00.000000Z""#));
        assert_eq!(Directory::parse(&text, &owner()).unwrap(), directory);
        assert!(
            directory
                .rights_at_any_time(&ada)
                .unwrap()
                .cover(&role(Some(hour)))
        );
        assert!(
            !directory
                .rights_at_any_time(&ada)
                .unwrap()
                .cover(&role(None))
        );
        // The same again, for longer, for good.
        assert_eq!(changed(directory.clone(), &[given]).unwrap(), directory);
        let longer = changed(directory, &[grant(Some("2026-11-24T00:00:00Z"))]).unwrap();
        assert_eq!(longer.users["ada"].roles.len(), 1);
        let sooner = changed(longer.clone(), &[grant(Some(hour))]);
        assert!(
            matches!(sooner, Err(IdentityError::ForLonger { .. })),
            "{sooner:?}"
        );
        let good = changed(longer, &[grant(None)]).unwrap();
        assert_eq!(good.users["ada"].roles, BTreeSet::from([role(None)]));
        assert!(has(&good, "2100-01-01T00:00:00Z"));
        // What has ended is given to nobody; only roles end.
        let past = made(&[add("ada"), grant(Some("2026-11-23T09:30:00Z"))]);
        assert!(matches!(past, Err(IdentityError::Ended(_))), "{past:?}");
        let purpose = Change::Grant {
            who: party("ada"),
            right: Right::Purpose("audit".parse().unwrap()),
            seconds: Some(1),
        };
        assert_eq!(made(&[add("ada"), purpose]), Err(IdentityError::NoTime));
        let revoke = Change::Revoke {
            who: party("ada"),
            right: Right::Role(role(None)),
        };
        let ended = changed(made(&[add("ada"), grant(Some(hour))]).unwrap(), &[revoke]);
        assert!(ended.unwrap().users["ada"].roles.is_empty());
    }

    #[test]
    fn what_was_written_before_roles_ended_is_written_alike() {
        let text = "{\n  \"users\": {\n    \"root\": {\n      \"roles\": [\n        \"owner\",\n        {\n          \"role\": \"reader\",\n          \
                    \"project\": \"loans\"\n        }\n      ],\n      \"purposes\": []\n    }\n  }\n}";
        assert_eq!(Directory::parse(text, &owner()).unwrap().to_text(), text);
        for wrong in [
            r#"{"role": "reader", "until": null}"#,
            r#"{"role": "reader", "until": "2027-01-31"}"#,
            r#"{"role": "reader", "until": 5}"#,
            r#"{"role": "reader", "until": "2027-01-31T00:00:00Z", "from": "2027-01-01T00:00:00Z"}"#,
        ] {
            let text = format!(r#"{{"users": {{"ada": {{"roles": [{wrong}]}}}}}}"#);
            assert!(Directory::parse(&text, &owner()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_directory_reads_back_and_nothing_else_is_one() {
        let text = r#"{"users": {"ada": {"roles": ["reader", {"role": "data_scientist", "project": "loans"}], "purposes": ["audit"]}},
            "services": {"ci": {"disabled": true}}, "groups": {"risk": {"members": ["ada", "service:ci"]}}}"#;
        let read = Directory::parse(text, &owner()).unwrap();
        assert_eq!(Directory::parse(&read.to_text(), &owner()).unwrap(), read);
        assert!(read.is_owner(&owner(), now()) && !read.is_owner(&Actor::user("ada"), now()));
        for wrong in [
            "{",
            r#"{"people": {}}"#,
            r#"{"users": {" ": {}}}"#,
            r#"{"users": {"ada": {"role": "reader"}}}"#,
            r#"{"groups": {"risk": {"members": ["ada"]}}}"#,
            r#"{"groups": {"a": {}, "risk": {"members": ["group:a"]}}}"#,
        ] {
            assert!(Directory::parse(wrong, &owner()).is_err(), "{wrong}");
        }
        // What was put in force before stays, whatever names were good then.
        let old = r#"{"users": {" ": {}, "jose\u0301": {"roles": ["reader"]}}}"#;
        assert!(Directory::parse(old, &owner()).is_err());
        assert_eq!(Directory::read(old, &owner()).unwrap().users.len(), 3);
    }
}
