//! The keys of the workspace: which are in use, and how new ones take their place.

use std::collections::BTreeMap;

use custody_ledger::Outcome;
use custody_types::{Action, Problem, ProjectName, code};
use custody_wire::{
    EntryQuery, KeysReply, PassphraseReply, PassphraseRequest, ProjectKeysView, RotateKeysRequest,
    RotationReply,
};

use crate::act::{ActionMarker, ReadKeys, RotateKeys, Unseal};
use crate::door::{Door, lock};
use crate::grant::Grant;
use crate::problem;
use crate::session::Session;
use crate::target::ResourceRef;

/// The fact that names the new key-encryption key.
const KEY: &str = "key";
/// The fact that counts the projects with a new content key.
const PROJECTS: &str = "projects";
/// The fact that says what became of the passphrase.
const PASSPHRASE: &str = "passphrase";

impl Grant<ReadKeys> {
    /// Tells which keys are in use. Of projects that the session may not list it tells nothing.
    ///
    /// # Errors
    /// A [`Problem`] when a file of the ledger is damaged.
    pub fn keys(self) -> Result<KeysReply, Problem> {
        let inner = &self.door.0;
        let in_use = inner.parts.keyring.in_use();
        let query = EntryQuery {
            action: Some(Action::RotateKeys.verb().to_owned()),
            ..EntryQuery::default()
        };
        let terms = inner.terms(&query, None)?;
        let ledger = inner.parts.ledger.snapshot();
        let mut since = None;
        inner.newest_first(&ledger, &terms, ledger.size(), &mut |index, entry| {
            let is_of_it = entry.action() == Some(Action::RotateKeys)
                && entry.facts.get(KEY) == Some(&in_use.key);
            if is_of_it {
                since = Some((index, entry.ts));
            }
            since.is_none()
        })?;
        let listed = in_use.epochs.into_iter();
        let listed = listed.filter(|(project, _)| may_list(&self, project));
        let projects = listed.map(|(project, epochs)| ProjectKeysView {
            project,
            epoch: epochs.iter().copied().max().unwrap_or_default(),
            epochs: epochs.len() as u64,
        });
        let reply = KeysReply {
            key: in_use.key,
            since: since.map(|(_, at)| at),
            entry: since.map(|(index, _)| index),
            is_under_passphrase: in_use.is_under_passphrase,
            is_between: in_use.is_between,
            projects: projects.collect(),
        };
        self.finish()?;
        Ok(reply)
    }
}

impl Door {
    /// Enters that a server was unsealed by `session`, once its keys are open, and returns the entry.
    ///
    /// # Errors
    /// A [`Problem`] when the policies do not let them, or the ledger takes nothing.
    pub fn unsealed(&self, session: &Session) -> Result<u64, Problem> {
        let grant = self.ask::<Unseal>(session, ResourceRef::Keys)?;
        let entry = grant.entry();
        grant.finish()?;
        Ok(entry)
    }
}

impl Grant<RotateKeys> {
    /// Lets new keys take the place of those in use: of the workspace's key-encryption key and the content key of each
    /// project, or of one project's content key alone. What is stored is not written again: it opens with the keys that it
    /// was sealed under, which stay, wrapped under the new key-encryption key. Whatever goes on meanwhile goes on.
    ///
    /// A crash leaves nothing that does not open: the command is then simply done again.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such project, or something cannot be kept; what was done until then is entered.
    pub fn rotate(mut self, request: &RotateKeysRequest) -> Result<RotationReply, Problem> {
        let door = self.door.clone();
        let inner = &door.0;
        // One after the other, so that each enters what it did.
        let _turn = lock(&inner.rotating);
        let before = inner.parts.keyring.in_use().key;
        let mut projects = 0;
        let rotated = self.renew(request, &mut projects);
        let key = Some(inner.parts.keyring.in_use().key).filter(|key| *key != before);
        let mut draft = self.outcome(match &rotated {
            Ok(()) => Outcome::Ok,
            Err(_) => Outcome::Error,
        });
        draft.error = rotated.as_ref().err().map(|problem| problem.code);
        draft.facts = BTreeMap::from([(PROJECTS.to_owned(), projects.to_string())]);
        let named = key.iter().map(|key| (KEY.to_owned(), key.clone()));
        draft.facts.extend(named);
        self.finished = true;
        let entry = inner.append(draft)?.index();
        rotated.map(|()| RotationReply {
            key,
            projects,
            entry,
        })
    }

    /// Renews what shall be new, and counts the projects that were.
    fn renew(&self, request: &RotateKeysRequest, renewed: &mut u64) -> Result<(), Problem> {
        let inner = &self.door.0;
        let (keyring, store) = (&inner.parts.keyring, &inner.parts.store);
        let projects = match &request.project {
            None => {
                keyring.rotate()?;
                store.projects()
            }
            Some(project) if may_list(self, project) => {
                inner.check_not_shredded(project)?;
                vec![project.clone()]
            }
            Some(project) => return Err(problem::no_project(project.as_str())),
        };
        for project in projects {
            let Some(domain) = store.domain(&project) else {
                continue;
            };
            // CRASH: a key in a new epoch is kept before the first pack is sealed under it.
            if let Some(keys) = keyring.renew(&project, &domain)? {
                store.renew_project(&project, domain, keys);
                *renewed += 1;
            }
        }
        match &request.project {
            Some(project) if *renewed == 0 => Err(problem::no_project(project.as_str())),
            _ => Ok(()),
        }
    }

    /// Puts the key-encryption key under another passphrase where it is kept, or under none. Nothing that is stored changes.
    /// The session has to be of the machine itself.
    ///
    /// # Errors
    /// A [`Problem`] when the session comes over the network, the old passphrase is not that, or it cannot be kept.
    pub fn change_passphrase(
        mut self,
        request: &PassphraseRequest,
    ) -> Result<PassphraseReply, Problem> {
        let door = self.door.clone();
        let inner = &door.0;
        let was = inner.parts.keyring.in_use().is_under_passphrase;
        if let Err(problem) = self.put_under(request) {
            self.fail(problem.code);
            return Err(problem);
        }
        let is = request.new.is_some();
        let became = match (was, is) {
            (_, false) => "none",
            (false, true) => "set",
            (true, true) => "changed",
        };
        let mut draft = self.outcome(Outcome::Ok);
        draft.facts = BTreeMap::from([(PASSPHRASE.to_owned(), became.to_owned())]);
        self.finished = true;
        let entry = inner.append(draft)?.index();
        Ok(PassphraseReply {
            is_under_passphrase: is,
            entry,
        })
    }

    fn put_under(&self, request: &PassphraseRequest) -> Result<(), Problem> {
        if self.session.authentication.network != custody_identity::LOCAL {
            return Err(Problem::new(
                code::KEY_017,
                "the passphrase is changed on the machine of the key file alone",
            )
            .hint("run `custody keys passphrase` on the machine of the server, as its user"));
        }
        if request.new.as_ref().is_some_and(String::is_empty) {
            return Err(Problem::new(code::KEY_013, "there is no passphrase")
                .because("it is empty")
                .hint("take several words, or `--none` for a key file in clear"));
        }
        let (old, new) = (request.old.as_deref(), request.new.as_deref());
        self.door.0.parts.keyring.change_passphrase(old, new)
    }
}

/// Returns whether a project may be named to who asks.
fn may_list<A: ActionMarker>(grant: &Grant<A>, project: &ProjectName) -> bool {
    let named = ResourceRef::Project(project.clone());
    grant.door.0.may_list_named(&grant.session, &named)
}

#[cfg(test)]
mod tests {
    use custody_identity::{Change, Party, Right, RoleBinding};
    use custody_types::{ArtifactName, Classification, Kind};

    use super::*;
    use crate::act::{Read, Write};
    use crate::door::Door;
    use crate::making::{NewVersion, VersionBuilder};
    use crate::session::Session;
    use crate::testing::World;

    /// Stores `bytes` as the next version of an artifact.
    fn put(door: &Door, session: &Session, artifact: &str, mut bytes: &[u8]) {
        let artifact: ArtifactName = artifact.parse().unwrap();
        let target = ResourceRef::New {
            artifact: artifact.clone(),
            kind: Kind::Dataset,
            classification: Classification::Internal,
        };
        let grant = door.ask::<Write>(session, target).unwrap();
        let mut making = VersionBuilder::start(&grant).unwrap();
        let path = "a.bin".parse().unwrap();
        making.file(path, false, &mut bytes).unwrap();
        let new = NewVersion::new(artifact, Kind::Dataset, Classification::Internal);
        making.finish(grant, new).unwrap();
        making.commit(None).unwrap();
    }

    fn get(door: &Door, session: &Session, reference: &str) -> Vec<u8> {
        let named = ResourceRef::Named(reference.parse().unwrap());
        let grant = door.ask::<Read>(session, named).unwrap();
        let files = grant.files().unwrap();
        let size = files.files()[0].size.bytes();
        let read = files.read(&"a.bin".parse().unwrap(), 0..size).unwrap();
        grant.finish().unwrap();
        read.to_vec()
    }

    fn rotate(
        door: &Door,
        session: &Session,
        project: Option<&str>,
    ) -> Result<RotationReply, Problem> {
        let project = project.map(|project| project.parse().unwrap());
        let grant = door.ask::<RotateKeys>(session, ResourceRef::Keys)?;
        grant.rotate(&RotateKeysRequest { project })
    }

    fn keys(door: &Door, session: &Session) -> KeysReply {
        let grant = door.ask::<ReadKeys>(session, ResourceRef::Keys).unwrap();
        grant.keys().unwrap()
    }

    fn epochs(door: &Door, session: &Session) -> Vec<(String, u32)> {
        let projects = keys(door, session).projects.into_iter();
        projects
            .map(|one| (one.project.to_string(), one.epoch))
            .collect()
    }

    #[test]
    fn what_was_stored_before_and_after_reads_back() {
        let world = World::default();
        let (door, owner) = (world.open(), world.person("owner"));
        let (first, second) = (vec![1; 300_000], vec![2; 300_000]);
        put(&door, &owner, "p/a", &first);
        put(&door, &owner, "q/a", &first);
        let made = rotate(&door, &owner, None).unwrap();
        // The project of the policies is one, too, once something is in it.
        assert_eq!((made.key.as_deref(), made.projects), (Some("key-1"), 2));
        put(&door, &owner, "p/a", &second);
        let made = rotate(&door, &owner, Some("p")).unwrap();
        assert_eq!((made.key, made.projects), (None, 1));
        let told = keys(&door, &owner);
        assert_eq!((told.key.as_str(), told.entry.is_some()), ("key-1", true));
        put(&door, &owner, "p/b", &first);
        drop(door);
        let door = world.open();
        assert_eq!(
            epochs(&door, &owner),
            [("p".to_owned(), 3), ("q".to_owned(), 2)]
        );
        for (reference, bytes) in [
            ("p/a@1", &first),
            ("p/a@2", &second),
            ("p/b@1", &first),
            ("q/a@1", &first),
        ] {
            assert!(get(&door, &owner, reference) == *bytes, "{reference}");
        }
    }

    #[test]
    fn who_may_not_is_refused_and_nobody_learns_of_projects_that_are_not_theirs() {
        let world = World::default();
        let (door, owner) = (world.open(), world.person("owner"));
        let right = |role: &str, project: Option<&str>| {
            let mut binding = RoleBinding::everywhere(role);
            binding.project = project.map(|project| project.parse().unwrap());
            Right::Role(binding)
        };
        let add = |who: &str, right| {
            let who: Party = who.parse().unwrap();
            vec![
                Change::Add { who: who.clone() },
                Change::Grant {
                    who,
                    right,
                    seconds: None,
                },
            ]
        };
        let changes = [
            add("sec", right("security_officer", None)),
            add("aud", right("auditor", None)),
            add("ada", right("data_scientist", None)),
        ];
        door.change_accounts(&owner, changes.concat()).unwrap();
        put(&door, &owner, "p/a", b"rows");
        for name in ["aud", "ada"] {
            let refused = rotate(&door, &world.person(name), None).unwrap_err();
            assert_eq!(refused.code, code::DOOR_001, "{name}");
        }
        assert_eq!(keys(&door, &world.person("aud")).key, "key-0");
        rotate(&door, &world.person("sec"), None).unwrap();
        let unknown = rotate(&door, &owner, Some("none")).unwrap_err();
        assert_eq!(unknown.code, code::STORE_017);
    }

    #[test]
    fn what_was_done_before_it_failed_is_entered() {
        let world = World::default();
        let (door, owner) = (world.open(), world.person("owner"));
        put(&door, &owner, "p/a", b"rows");
        world.fail_content_keys(true);
        let failed = rotate(&door, &owner, None).unwrap_err();
        assert_eq!(failed.code, code::KEY_010);
        let told = keys(&door, &owner);
        let entry =
            World::entries(&door).swap_remove(usize::try_from(told.entry.unwrap()).unwrap());
        assert_eq!(
            (told.key.as_str(), entry.outcome),
            ("key-1", Some(Outcome::Error))
        );
        assert_eq!(entry.facts[PROJECTS], "0");
        world.fail_content_keys(false);
        assert_eq!(rotate(&door, &owner, Some("p")).unwrap().projects, 1);
        let missing = rotate(&door, &owner, Some("none")).unwrap_err();
        let last = World::entries(&door).pop().unwrap();
        assert_eq!(last.error.as_deref(), Some(missing.code.as_str()));
        assert_eq!(get(&door, &owner, "p/a@1"), b"rows");
    }

    #[test]
    fn what_became_of_the_passphrase_is_entered_and_no_passphrase_is() {
        let world = World::default();
        let (door, owner) = (world.open(), world.person("owner"));
        let change = |old: Option<&str>, new: Option<&str>| {
            let grant = door.ask::<RotateKeys>(&owner, ResourceRef::Keys).unwrap();
            let [old, new] = [old, new].map(|text| text.map(ToOwned::to_owned));
            grant.change_passphrase(&PassphraseRequest { old, new })
        };
        // One that stands in the environment and opens nothing changes no word of it.
        change(Some("unused"), Some("correct horse")).unwrap();
        let wrong = change(Some("wrong horse"), None).unwrap_err();
        assert_eq!(wrong.code, code::KEY_008);
        assert_eq!(
            change(Some("correct horse"), Some("")).unwrap_err().code,
            code::KEY_013
        );
        change(Some("correct horse"), Some("battery staple")).unwrap();
        change(Some("battery staple"), None).unwrap();
        let entries = World::entries(&door);
        let became = entries
            .iter()
            .filter_map(|entry| entry.facts.get(PASSPHRASE));
        assert_eq!(became.collect::<Vec<_>>(), ["set", "changed", "none"]);
        let codes = entries.iter().filter_map(|entry| entry.error.as_deref());
        assert_eq!(codes.collect::<Vec<_>>(), ["CUS-KEY-008", "CUS-KEY-013"]);
        let all = format!("{entries:?}");
        assert!(!all.contains("horse") && !all.contains("staple"), "{all}");
    }

    #[test]
    fn a_shredded_project_gets_no_keys_again() {
        let world = World::default();
        let (door, owner) = (world.open(), world.person("owner"));
        put(&door, &owner, "p/a", b"rows");
        put(&door, &owner, "q/a", b"rows");
        let project = ResourceRef::Project("p".parse().unwrap());
        let grant = door.ask::<crate::act::Shred>(&owner, project).unwrap();
        grant.shred("asked for by the people in it").unwrap();
        let shredded = rotate(&door, &owner, Some("p")).unwrap_err();
        assert_eq!(shredded.code, code::STORE_014);
        rotate(&door, &owner, None).unwrap();
        let told = epochs(&door, &owner);
        assert!(told.iter().all(|(project, _)| project != "p"), "{told:?}");
    }
}
