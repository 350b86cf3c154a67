//! Changes of the policies and accounts that wait for a second person.
//!
//! A change that is proposed is kept as a version of an artifact of the reserved project, beside what is in force. It is bound
//! to what was in force then: after any other change it is void, and so it is put in force once at most.

use std::collections::BTreeMap;

use custody_identity::Directory;
use custody_policy::{PolicySet, Source};
use custody_store::Version;
use custody_types::{
    Actor, ActorKind, ArtifactName, Classification, Digest, Kind, NameError, Problem, Reference,
    Timestamp, VersionName, VersionNumber, code,
};
use custody_wire::{PolicyReply, ProposalView, ProposalsReply};
use serde::{Deserialize, Serialize};

use crate::act::{ChangeIdentity, ChangePolicy, ProposeChange, ReadIdentity, ReadPolicy};
use crate::admin::{Wanted, check_tests, policy_problem, told_policies};
use crate::candidate::changed_lines;
use crate::door::{Door, Inner, PRINCIPALS, lock};
use crate::grant::Grant;
use crate::making::{NewVersion, VersionBuilder};
use crate::session::Session;
use crate::target::ResourceRef;

/// The artifact whose versions are the changes.
const CHANGES: &str = "custody/changes";
/// The file that says who proposes, on which ground, and until when.
const TERMS: &str = "change.json";
/// The folder of the policies in a change.
const POLICIES: &str = "policies/";
/// How long a change can be approved, in seconds: seven days.
const LASTS: i64 = 7 * 24 * 60 * 60;
/// The facts of the entries that put a change in force: its name, and who proposed it.
const PROPOSAL: &str = "proposal";
const PROPOSER: &str = "proposer";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    /// A pseudonym.
    proposer: String,
    /// The records of the policies and of the accounts that were in force.
    base: [Option<Digest>; 2],
    proposed_on: Timestamp,
    until: Timestamp,
}

/// A change that was proposed.
struct Proposal {
    name: VersionName,
    terms: Terms,
    sources: Option<Vec<Source>>,
    directory: Option<Directory>,
}

impl Proposal {
    /// Returns what would be in force.
    fn set(&self, before: &PolicySet) -> Result<PolicySet, Problem> {
        let directory = self.directory.as_ref().unwrap_or(before.directory());
        match &self.sources {
            Some(sources) => {
                PolicySet::parse(sources, directory.clone()).map_err(|error| policy_problem(&error))
            }
            None => Ok(before.with_directory(directory.clone())),
        }
    }
}

fn does_not_wait(name: &VersionName, because: &str) -> Problem {
    Problem::new(
        code::POLICY_007,
        format!("`{name}` is no change that waits"),
    )
    .because(because)
    .hint("see what waits with `custody policy proposals`")
}

impl Inner {
    fn proposal(&self, version: &Version) -> Result<Proposal, Problem> {
        let name = version.name();
        if version.record.artifact.to_string() != CHANGES {
            return Err(does_not_wait(
                &name,
                &format!("changes are versions of `{CHANGES}`"),
            ));
        }
        let damaged = |because: String| {
            Problem::new(
                code::POLICY_003,
                format!("the change `{name}` cannot be read"),
            )
            .because(because)
        };
        let files = self.read_sources(&version.record_digest)?;
        let text = |wanted: &str| files.iter().find(|file| file.name == wanted);
        let terms = text(TERMS).ok_or_else(|| damaged(format!("it has no `{TERMS}`")))?;
        let terms = serde_json::from_str(&terms.text).map_err(|e| damaged(e.to_string()))?;
        let sources: Vec<_> = files
            .iter()
            .filter_map(|file| {
                Some(Source {
                    name: file.name.strip_prefix(POLICIES)?.to_owned(),
                    text: file.text.clone(),
                })
            })
            .collect();
        let directory = text(PRINCIPALS)
            .map(|file| Directory::read(&file.text, &self.parts.owner))
            .transpose()
            .map_err(|error| damaged(error.to_string()))?;
        Ok(Proposal {
            name,
            terms,
            sources: (!sources.is_empty()).then_some(sources),
            directory,
        })
    }

    /// Checks that a change can still be put in force.
    fn waits(&self, proposal: &Proposal) -> Result<(), Problem> {
        if proposal.terms.base != self.last_named()? {
            return Err(does_not_wait(
                &proposal.name,
                "the policies or accounts were changed after it was proposed",
            ));
        }
        if self.now() >= proposal.terms.until {
            let until = proposal.terms.until.to_seconds_text();
            return Err(does_not_wait(
                &proposal.name,
                &format!("it could be approved until {until}"),
            ));
        }
        Ok(())
    }

    /// Lists the changes that wait, the newest first.
    fn proposals(&self) -> Result<Vec<Proposal>, Problem> {
        let artifact = changes()?;
        let mut waiting = Vec::new();
        let mut next = self.highest(&artifact)?;
        while let Some(name) = next {
            let version = self.asked_for(&name.clone().into())?;
            let Some(version) = version else { break };
            let proposal = self.proposal(&version)?;
            if proposal.terms.base != self.last_named()? {
                // Those before it are older than the last change too.
                break;
            }
            if self.waits(&proposal).is_ok() {
                waiting.push(proposal);
            }
            next = VersionNumber::new(name.number.number().saturating_sub(1))
                .map(|number| VersionName { number, ..name });
        }
        Ok(waiting)
    }
}

fn changes() -> Result<ArtifactName, Problem> {
    CHANGES
        .parse()
        .map_err(|error: NameError| Problem::new(code::DOOR_012, error.to_string()))
}

impl Door {
    /// Keeps a change for a second person. Returns its name; none: it changes nothing.
    ///
    /// # Errors
    /// A [`Problem`] when it does not hold up, or the session may not propose it.
    pub(crate) fn propose(
        &self,
        session: &Session,
        wanted: &Wanted,
    ) -> Result<Option<VersionName>, Problem> {
        let about = match wanted {
            Wanted::Policies { listed: None, .. } => vec![ResourceRef::Policy],
            Wanted::Policies { .. } => vec![ResourceRef::Policy, ResourceRef::Identity],
            Wanted::Accounts(_) => vec![ResourceRef::Identity],
        };
        let mut grants: Vec<Grant<ProposeChange>> = Vec::new();
        for about in about {
            match self.ask(session, about) {
                Ok(grant) => grants.push(grant),
                Err(problem) => {
                    for grant in grants {
                        grant.fail(problem.code);
                    }
                    return Err(problem);
                }
            }
        }
        let inner = &self.0;
        let _changing = lock(&inner.changing);
        let before = inner.policies().clone();
        let checked = inner.wanted(&before, wanted).and_then(|set| {
            inner.check_change(session, &before, &set)?;
            Ok(set)
        });
        let set = match checked {
            Ok(set) => set,
            Err(problem) => {
                for grant in grants {
                    grant.fail(problem.code);
                }
                return Err(problem);
            }
        };
        let same = (set.digest(), set.identity()) == (before.digest(), before.identity());
        let last = grants.pop().filter(|_| !same);
        for grant in grants {
            grant.finish()?;
        }
        last.map_or(Ok(None), |grant| {
            self.keep_proposal(grant, wanted, &before, &set).map(Some)
        })
    }

    fn keep_proposal(
        &self,
        grant: Grant<ProposeChange>,
        wanted: &Wanted,
        before: &PolicySet,
        set: &PolicySet,
    ) -> Result<VersionName, Problem> {
        let inner = &self.0;
        let now = inner.parts.clock.now();
        let terms = Terms {
            proposer: inner.pseudonym(grant.session.person()),
            base: inner.last_named()?,
            proposed_on: now,
            until: now.plus_seconds(LASTS),
        };
        let terms = serde_json::to_string_pretty(&terms)
            .map_err(|error| Problem::new(code::DOOR_012, error.to_string()))?;
        let mut files = vec![(TERMS.to_owned(), terms)];
        if let Wanted::Policies { sources, .. } = wanted {
            let sources = sources.iter();
            files.extend(sources.map(|one| (format!("{POLICIES}{}", one.name), one.text.clone())));
        }
        if set.identity() != before.identity() {
            files.push((PRINCIPALS.to_owned(), set.directory().to_text()));
        }
        let artifact = changes()?;
        let mut making = VersionBuilder::start_at(self, artifact.project())?;
        for (name, text) in files {
            let path = name
                .parse()
                .map_err(|error: NameError| Problem::new(code::POLICY_002, error.to_string()))?;
            making.file(path, false, &mut text.as_bytes())?;
        }
        let new = NewVersion::new(artifact, Kind::Policy, Classification::Personal);
        making.finish_admin(grant, new, BTreeMap::new())?;
        let made = making.commit(None)?;
        let made = made.first().map(|made| made.version.name());
        made.ok_or_else(|| Problem::new(code::DOOR_012, "the change was not kept"))
    }

    /// Lists the changes of policies and accounts that wait for a second person.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not see policies and accounts.
    pub fn proposals(&self, session: &Session) -> Result<ProposalsReply, Problem> {
        let policies = self.ask::<ReadPolicy>(session, ResourceRef::Policy)?;
        let accounts = self.ask::<ReadIdentity>(session, ResourceRef::Identity)?;
        let inner = &self.0;
        let before = inner.policies().clone();
        let proposals = inner.proposals()?;
        policies.finish()?;
        accounts.finish()?;
        let views = proposals.into_iter().map(|proposal| {
            let set = proposal.set(&before)?;
            Ok(ProposalView {
                name: proposal.name,
                proposer: inner.name_of(&proposal.terms.proposer),
                proposed_on: proposal.terms.proposed_on,
                until: proposal.terms.until,
                differences: differences(&before, &set),
            })
        });
        Ok(ProposalsReply {
            proposals: views.collect::<Result<_, Problem>>()?,
        })
    }

    /// Puts a change in force that somebody else proposed. Returns the policies as they are then.
    ///
    /// # Errors
    /// A [`Problem`] when it waits no longer, the session may not make it, is that of who proposed it, or is no person's.
    pub fn approve_change(
        &self,
        session: &Session,
        reference: &Reference,
    ) -> Result<PolicyReply, Problem> {
        let inner = &self.0;
        // Who may not change the policies is told nothing of what waits.
        let policies = self.ask::<ChangePolicy>(session, ResourceRef::Policy)?;
        let found = inner.asked_for(reference).and_then(|found| {
            let version = found.ok_or_else(|| {
                Problem::new(
                    code::POLICY_007,
                    format!("there is no change `{reference}`"),
                )
                .hint("see what waits with `custody policy proposals`")
            })?;
            inner.proposal(&version)
        });
        let proposal = match found {
            Ok(proposal) => proposal,
            Err(problem) => return failed(policies, None, problem),
        };
        let accounts = proposal
            .directory
            .as_ref()
            .map(|_| self.ask::<ChangeIdentity>(session, ResourceRef::Identity));
        let accounts = match accounts.transpose() {
            Ok(accounts) => accounts,
            Err(problem) => return failed(policies, None, problem),
        };
        let _changing = lock(&inner.changing);
        let before = inner.policies().clone();
        let checked = policies.is_still_permitted().and_then(|()| {
            accounts
                .as_ref()
                .map_or(Ok(()), Grant::is_still_permitted)?;
            inner.waits(&proposal)?;
            self.is_second(session, &proposal)?;
            let set = proposal.set(&before)?;
            inner.check_whole(session, &set)?;
            check_tests(&before, &set)?;
            Ok(set)
        });
        let set = match checked {
            Ok(set) => set,
            Err(problem) => return failed(policies, accounts, problem),
        };
        let reply = told_policies(&set);
        let facts = BTreeMap::from([
            (PROPOSAL.to_owned(), proposal.name.to_string()),
            (PROPOSER.to_owned(), proposal.terms.proposer.clone()),
        ]);
        let policies = if proposal.sources.is_some() {
            Some(policies)
        } else {
            policies.finish()?;
            None
        };
        inner.activate(session, (policies, accounts), set, &facts)?;
        Ok(reply)
    }

    /// Checks that the session is a person's, and not that of who proposed it.
    fn is_second(&self, session: &Session, proposal: &Proposal) -> Result<(), Problem> {
        let inner = &self.0;
        let refused = |because: &str| {
            Err(Problem::new(
                code::DOOR_006,
                format!("`{}` cannot be approved by you", proposal.name),
            )
            .because(because)
            .hint("ask another person who may change the policies; see who there is with `custody account ls`"))
        };
        if session.actor.kind != ActorKind::User {
            return refused("changes are approved by people");
        }
        // However they came in: by an account that they act as, too.
        let is_own = |actor: &Actor| inner.pseudonym(actor) == proposal.terms.proposer;
        if is_own(session.person()) {
            return refused("you proposed it");
        }
        if session.acts_by().is_some() && inner.signs_in(&session.person().id)? {
            return Err(Problem::new(
                code::DOOR_031,
                format!(
                    "`{}` signs in, and decides without you",
                    session.person().id
                ),
            )
            .hint("let them log in and approve it: `custody policy approve`"));
        }
        Ok(())
    }
}

/// Enters that a change was not put in force.
fn failed<T>(
    policies: Grant<ChangePolicy>,
    accounts: Option<Grant<ChangeIdentity>>,
    problem: Problem,
) -> Result<T, Problem> {
    policies.fail(problem.code);
    if let Some(accounts) = accounts {
        accounts.fail(problem.code);
    }
    Err(problem)
}

/// Tells what differs between two sets, a line each.
fn differences(before: &PolicySet, after: &PolicySet) -> Vec<String> {
    let text = |set: &PolicySet, name: &str| {
        let source = set.sources().iter().find(|source| source.name == name);
        source.map(|source| source.text.clone()).unwrap_or_default()
    };
    let both = before.sources().iter().chain(after.sources());
    let names: std::collections::BTreeSet<_> = both.map(|source| source.name.as_str()).collect();
    let files = names
        .into_iter()
        .map(|name| (name, text(before, name), text(after, name)));
    let accounts = (
        PRINCIPALS,
        before.directory().to_text(),
        after.directory().to_text(),
    );
    let mut lines = Vec::new();
    for (name, old, new) in files.chain([accounts]) {
        if old == new {
            continue;
        }
        lines.push(name.to_owned());
        lines.extend(changed_lines(&old, &new));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use custody_identity::{Change, Party, Right, RoleBinding};
    use custody_types::Code;
    use custody_wire::PolicySource;

    use super::*;
    use crate::testing::World;

    fn source(name: &str, text: &str) -> PolicySource {
        PolicySource {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    fn settings(second_person: bool) -> PolicySource {
        let text = format!(r#"{{"second_person": {second_person}}}"#);
        source("settings.json", &text)
    }

    fn add(who: &str, role: &str) -> Vec<Change> {
        let who: Party = who.parse().unwrap();
        let right = Right::Role(RoleBinding::everywhere(role));
        vec![
            Change::Add { who: who.clone() },
            Change::Grant {
                who,
                right,
                seconds: None,
            },
        ]
    }

    /// A workspace of an owner and an officer, where changes wait for a second person.
    fn four_eyes() -> (World, Door) {
        let world = World::default();
        let door = world.open();
        let owner = world.person("owner");
        let alone = door.change_policies(&owner, vec![settings(true)]);
        assert_eq!(alone.unwrap_err().code, code::POLICY_004);
        for (who, role) in [
            ("olga", "security_officer"),
            ("service:bot", "security_officer"),
            ("dan", "reader"),
        ] {
            door.change_accounts(&owner, add(who, role)).unwrap();
        }
        let reply = door.change_policies(&owner, vec![settings(true)]).unwrap();
        assert_eq!(reply.proposed, None, "nobody demanded a second person");
        (world, door)
    }

    fn propose(world: &World, door: &Door, who: &str, changes: Vec<Change>) -> VersionName {
        let reply = door.change_accounts(&world.person(who), changes).unwrap();
        reply.proposed.unwrap()
    }

    fn approve(world: &World, door: &Door, who: &str, name: &VersionName) -> Result<(), Code> {
        let reply = door.approve_change(&world.person(who), &name.clone().into());
        reply.map(drop).map_err(|problem| problem.code)
    }

    fn is_there(door: &Door, who: &str) -> bool {
        let policies = door.0.policies();
        policies.directory().account(&Actor::user(who)).is_some()
    }

    #[test]
    fn another_person_puts_a_change_in_force_once() {
        let (world, door) = four_eyes();
        let name = propose(&world, &door, "owner", add("ada", "data_scientist"));
        assert!(!is_there(&door, "ada"));
        assert_eq!(approve(&world, &door, "owner", &name), Err(code::DOOR_006));
        assert_eq!(approve(&world, &door, "dan", &name), Err(code::DOOR_001));
        let bot = Actor::service("bot");
        let bot = Session {
            actor: bot,
            ..world.person("owner")
        };
        let refused = door.approve_change(&bot, &name.clone().into());
        assert_eq!(refused.unwrap_err().code, code::DOOR_006);
        let elsewhere = "custody/identity@1".parse().unwrap();
        let refused = door.approve_change(&world.person("olga"), &elsewhere);
        assert_eq!(refused.unwrap_err().code, code::POLICY_007);
        // It is there after the process ended, too.
        drop(door);
        let door = world.open();
        assert!(!is_there(&door, "ada"));
        let listed = door.proposals(&world.person("olga")).unwrap().proposals;
        assert_eq!(listed.len(), 1);
        assert_eq!(
            (&listed[0].name, listed[0].proposer.as_str()),
            (&name, "owner")
        );
        let added = |line: &String| line.starts_with('+') && line.contains("ada");
        assert!(listed[0].differences.iter().any(added), "{listed:?}");
        approve(&world, &door, "olga", &name).unwrap();
        assert!(is_there(&door, "ada"));
        assert_eq!(approve(&world, &door, "olga", &name), Err(code::POLICY_007));
        assert!(
            door.proposals(&world.person("olga"))
                .unwrap()
                .proposals
                .is_empty()
        );
        let entries = World::entries(&door);
        let named = |wanted: &str| {
            let mut with = entries.iter().filter_map(|entry| entry.facts.get(wanted));
            with.next_back().cloned().unwrap_or_default()
        };
        assert_eq!(named(PROPOSAL), name.to_string());
        assert_eq!(named(PROPOSER), door.pseudonym(&Actor::user("owner")));
        drop(door);
        assert!(is_there(&world.open(), "ada"));
    }

    #[test]
    fn a_change_is_void_after_another_and_after_a_week() {
        let (world, door) = four_eyes();
        let first = propose(&world, &door, "owner", add("ada", "reader"));
        let second = propose(&world, &door, "olga", add("eve", "reader"));
        let listed = door.proposals(&world.person("olga")).unwrap().proposals;
        let names: Vec<_> = listed.iter().map(|one| &one.name).collect();
        assert_eq!(names, [&second, &first]);
        approve(&world, &door, "owner", &second).unwrap();
        assert_eq!(
            approve(&world, &door, "olga", &first),
            Err(code::POLICY_007)
        );
        // Nor once what was in force then is in force again.
        let who = "eve".parse().unwrap();
        let back = propose(&world, &door, "olga", vec![Change::Remove { who }]);
        approve(&world, &door, "owner", &back).unwrap();
        assert_eq!(
            approve(&world, &door, "olga", &first),
            Err(code::POLICY_007)
        );
        let late = propose(&world, &door, "owner", add("ada", "reader"));
        world.clock.advance(LASTS);
        assert_eq!(approve(&world, &door, "olga", &late), Err(code::POLICY_007));
        assert!(
            door.proposals(&world.person("olga"))
                .unwrap()
                .proposals
                .is_empty()
        );
        assert!(!is_there(&door, "ada"));
    }

    #[test]
    fn nobody_gets_around_the_second_person() {
        let (world, door) = four_eyes();
        let owner = world.person("owner");
        let refused = |reply: Result<PolicyReply, Problem>| reply.unwrap_err().code;
        // Not by leaving one alone, and what is not theirs to give is not theirs to propose.
        let disable = Change::Disable {
            who: "olga".parse().unwrap(),
        };
        let alone = door.change_accounts(&owner, vec![disable]).unwrap_err();
        assert_eq!(alone.code, code::POLICY_004);
        let given = door.change_accounts(&world.person("olga"), add("eve", "owner"));
        assert_eq!(given.unwrap_err().code, code::POLICY_005);
        let none = door.change_policies(&world.person("dan"), vec![settings(false)]);
        assert_eq!(refused(none), code::DOOR_001);
        // Nor by taking the demand back: that is a change as well, with the accounts that come with it.
        let listed = source("principals.json", "{}");
        let sources = vec![settings(false), listed, source("own.cedar", "// mine\n")];
        let reply = door.change_policies(&owner, sources).unwrap();
        let name = reply.proposed.unwrap();
        assert!(door.0.policies().settings().second_person && is_there(&door, "dan"));
        let lines = &door.proposals(&owner).unwrap().proposals[0].differences;
        assert!(lines.iter().any(|line| line == "+ // mine"), "{lines:?}");
        approve(&world, &door, "olga", &name).unwrap();
        assert!(!door.0.policies().settings().second_person && !is_there(&door, "dan"));
        let reply = door.change_policies(&owner, vec![settings(false)]).unwrap();
        assert_eq!(reply.proposed, None);
        // What changes nothing waits for nobody.
        let (_world, door) = four_eyes();
        let reply = door.change_policies(&owner, vec![settings(true)]).unwrap();
        assert_eq!(reply.proposed, None);
    }

    #[test]
    fn of_approvals_at_once_one_counts() {
        let (world, door) = four_eyes();
        let names: Vec<_> = ["ada", "eve"]
            .map(|who| propose(&world, &door, "owner", add(who, "reader")))
            .into();
        let start = Barrier::new(4);
        let counted = std::thread::scope(|scope| {
            let each: Vec<_> = (0..4)
                .map(|number| {
                    let (world, door, start, names) = (&world, &door, &start, &names);
                    scope.spawn(move || {
                        start.wait();
                        approve(world, door, "olga", &names[number % 2]).is_ok()
                    })
                })
                .collect();
            each.into_iter()
                .map(|one| one.join().unwrap())
                .filter(|ok| *ok)
                .count()
        });
        assert_eq!(counted, 1);
        assert!(is_there(&door, "ada") != is_there(&door, "eve"));
    }
}
