//! The workspace's keys, and how another key-encryption key takes the place of the one in use.
//!
//! Everything that is wrapped lies in one file, `keyring.json`, which names the key that it is wrapped under. A rotation writes
//! three times, and the workspace opens after each:
//!
//! 1. the key file gets the new key beside the old one;
//! 2. the keyring is replaced by one under the new key: this decides;
//! 3. the old key goes from the key file.
//!
//! What a crash leaves is settled by the next process that works in the workspace: it keeps the keyring once more, so that it
//! is durable, and drops the key that it does not name.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use custody_backends::key_file::{KeyAccessError, OpenKeyFile};
use custody_backends::ledger_files::LedgerFolder;
use custody_backends::workspace::{Keyring, ProjectKeys, Workspace};
use custody_crypto::key_file::{FileKey, KeyFile, KeyFileError};
use custody_crypto::keys::{LocalKey, open_text, seal_text};
use custody_crypto::{DomainKeys, KeyContext, KeyError, KeyService, Secret};
use custody_guard::KeysInUse;
use custody_store::DomainId;
use custody_types::{Entropy, Problem, ProjectName, code};
use zeroize::Zeroizing;

use crate::composition::{key_problem, keyring_problem, unreadable, workspace_problem};

/// How often keyring and key file are read until they belong together, where another process changes them meanwhile.
const MOST_READS: u32 = 3;

/// The key file of a workspace, and what it opens.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) keyring: Keyring,
    file: OpenKeyFile,
    service: LocalKey,
    workspace: Workspace,
    entropy: Arc<dyn Entropy>,
}

impl Keys {
    /// Opens the key file of a workspace.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be read, or is another workspace's.
    pub(crate) fn open(
        workspace: Workspace,
        path: PathBuf,
        passphrase: Option<&str>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Problem> {
        let mut reads = 0;
        loop {
            reads += 1;
            // The keyring first: a rotation has both keys in the file from before the keyring names the new one.
            let keyring = read_keyring(&workspace)?;
            let file = OpenKeyFile::read(&path, passphrase).map_err(|error| key_problem(&error))?;
            match service(&workspace, &keyring, file.file(), &entropy) {
                Ok(service) => {
                    return Ok(Self {
                        keyring,
                        file,
                        service,
                        workspace,
                        entropy,
                    });
                }
                Err(problem) if reads == MOST_READS => return Err(problem),
                Err(_) => {}
            }
        }
    }

    /// Reads what another process may have changed since, and ends a rotation that a crash cut off. The caller has the
    /// workspace for itself.
    ///
    /// # Errors
    /// A [`Problem`] when they do not open any more.
    pub(crate) fn enter(&mut self) -> Result<(), Problem> {
        self.keyring = read_keyring(&self.workspace)?;
        if self.file.file().find(self.key_id()).is_none() {
            self.refresh()?;
        }
        self.service = service(
            &self.workspace,
            &self.keyring,
            self.file.file(),
            &self.entropy,
        )?;
        if self.is_between() {
            // Where it cannot be written both keys stay, and either opens what it wraps: the next rotation needs it settled.
            let _ = self.settle();
        }
        Ok(())
    }

    fn key_id(&self) -> &str {
        key_id(&self.workspace, &self.keyring)
    }

    fn is_between(&self) -> bool {
        self.file.file().keys().count() > 1
    }

    /// Unwraps a key of the workspace.
    pub(crate) fn secret(
        &self,
        purpose: &'static str,
        wrapped: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Problem> {
        open_text(&self.service, &self.context(purpose), wrapped)
            .map_err(|error| keyring_problem(&error))
    }

    /// Returns the secret behind pseudonyms, from which others for the workspace alone are derived.
    pub(crate) fn pseudonyms(&self) -> Result<Secret<32>, Problem> {
        let bytes = self.secret("pseudonym", &self.keyring.pseudonyms)?;
        Secret::from_slice(&bytes).ok_or_else(unreadable)
    }

    /// Unwraps the keys of a project.
    pub(crate) fn project(
        &self,
        project: &ProjectName,
        keys: &ProjectKeys,
    ) -> Result<DomainKeys, Problem> {
        let binding = self.workspace.about().binding();
        let opened = keys.keys.open(&self.service, &binding, project.as_str());
        opened.map_err(|error| keyring_problem(&error))
    }

    /// Returns what a key of the workspace is bound to.
    pub(crate) fn context(&self, purpose: &'static str) -> KeyContext {
        context(&self.workspace, purpose)
    }

    /// Returns what wraps under the key in use.
    pub(crate) fn service(&self) -> &dyn KeyService {
        &self.service
    }

    fn refresh(&mut self) -> Result<(), Problem> {
        self.file.refresh().map_err(|error| match error {
            KeyAccessError::File(KeyFileError::WrongPassphrase) => Problem::new(
                code::KEY_016,
                "the passphrase of the key file was changed since this process opened it",
            )
            .hint("end this process, and start it again with the new passphrase"),
            other => key_problem(&other),
        })
    }

    /// Keeps the keyring once more, and drops the key of the file that it does not name.
    fn settle(&mut self) -> Result<(), Problem> {
        self.refresh()?;
        let Some(only) = self.file.file().only(self.key_id()) else {
            return Err(of_another(&self.workspace, &self.keyring, self.file.file()));
        };
        if only == *self.file.file() {
            return Ok(());
        }
        // CRASH: a keyring that was read may be one that no sync made durable; the key that the other one needs goes after it.
        self.save(self.keyring.clone())?;
        self.file
            .replace(only, self.entropy.as_ref())
            .map_err(|error| key_problem(&error))
    }

    fn save(&mut self, keyring: Keyring) -> Result<(), Problem> {
        let saved = self.workspace.save(&keyring);
        saved.map_err(|error| workspace_problem(&error))?;
        self.keyring = keyring;
        Ok(())
    }

    /// Lets a new key-encryption key take the place of the one in use.
    fn rotate(&mut self) -> Result<String, Problem> {
        self.settle()?;
        let next = FileKey::generate(self.entropy.as_ref());
        let id = next.id.clone();
        let both = self.file.file().with_next(next.clone());
        let only = both.only(&id).ok_or_else(unreadable)?;
        let fresh = LocalKey::new(next.id, next.key, self.entropy.clone());
        let keyring = rewrapped(&self.workspace, &self.keyring, &self.service, &fresh)
            .map_err(|error| keyring_problem(&error))?;
        // CRASH: the new key is durable before anything is under it; until the keyring names it nothing needs it.
        self.file
            .replace(both, self.entropy.as_ref())
            .map_err(|error| key_problem(&error))?;
        // CRASH: either keyring opens, since both keys are in the file.
        self.save(keyring)?;
        self.service = fresh;
        // What was written is read again before the key goes that opened what was there before.
        let kept = read_keyring(&self.workspace)?;
        if kept != self.keyring {
            return Err(Problem::new(code::KEY_005, "the keyring is not as it was written")
                .because("both keys are still in the key file")
                .hint("see that the disk works, and that nothing else writes `.custody/keyring.json`"));
        }
        self.file.replace(only, self.entropy.as_ref()).map_err(|error| {
            key_problem(&error).because("everything is wrapped under the new key, and the old one is still in the key file; the next start takes it away")
        })?;
        Ok(id)
    }

    /// Gives a project a content key in a new epoch.
    fn renew(
        &mut self,
        project: &ProjectName,
        domain: &DomainId,
    ) -> Result<Option<DomainKeys>, Problem> {
        let Some(known) = self.keyring.projects.get(project) else {
            return Ok(None);
        };
        if known.domain != *domain {
            return Ok(None);
        }
        let mut keys = self.project(project, known)?;
        keys.renew(self.entropy.as_ref()).ok_or_else(unreadable)?;
        let sealed = self.seal(project, &keys)?;
        // CRASH: a key that no pack uses yet does no harm; a pack is never written before its keys are kept.
        self.save(with_project(&self.keyring, project, *domain, sealed))?;
        Ok(Some(keys))
    }

    fn seal(
        &self,
        project: &ProjectName,
        keys: &DomainKeys,
    ) -> Result<custody_crypto::SealedDomainKeys, Problem> {
        let binding = self.workspace.about().binding();
        let sealed = keys.seal(&self.service, &binding, project.as_str());
        sealed.map_err(|error| {
            Problem::new(code::KEY_014, "the keys of a project cannot be wrapped").because(error)
        })
    }

    fn create(&mut self, project: &ProjectName) -> Result<(DomainId, DomainKeys), Problem> {
        if self.keyring.projects.contains_key(project) {
            // Other keys in their place would make what is stored unreadable.
            return Err(Problem::new(
                code::KEY_015,
                format!("the project `{project}` has keys already"),
            ));
        }
        let mut id = [0; 16];
        self.entropy.fill(&mut id);
        let domain = DomainId::from_bytes(id);
        let keys = DomainKeys::generate(self.entropy.as_ref());
        let sealed = self.seal(project, &keys)?;
        // CRASH: keys that no pack uses yet do no harm; a pack is never written before its keys are kept.
        self.save(with_project(&self.keyring, project, domain, sealed))?;
        Ok((domain, keys))
    }

    fn destroy(&mut self, project: &ProjectName, domain: &DomainId) -> Result<(), Problem> {
        let mut next = self.keyring.clone();
        next.projects
            .retain(|one, keys| one != project || keys.domain != *domain);
        if next == self.keyring {
            return Ok(());
        }
        self.save(next)
    }

    fn change_passphrase(&mut self, old: Option<&str>, new: Option<&str>) -> Result<(), Problem> {
        self.refresh()?;
        let of_file = |error: KeyFileError| key_problem(&KeyAccessError::File(error));
        if !self.file.file().is_opened_by(old).map_err(of_file)? {
            return Err(of_file(KeyFileError::WrongPassphrase));
        }
        let changed = self
            .file
            .file()
            .with_passphrase(new, self.entropy.as_ref())
            .map_err(of_file)?;
        self.file
            .replace(changed, self.entropy.as_ref())
            .map_err(|error| key_problem(&error))
    }

    fn in_use(&self) -> KeysInUse {
        let epochs = |keys: &ProjectKeys| keys.keys.content.keys().copied().collect();
        let projects = self.keyring.projects.iter();
        KeysInUse {
            key: self.key_id().to_owned(),
            is_under_passphrase: self.file.file().is_under_passphrase(),
            is_between: self.is_between(),
            epochs: projects
                .map(|(project, keys)| (project.clone(), epochs(keys)))
                .collect(),
        }
    }
}

fn with_project(
    keyring: &Keyring,
    project: &ProjectName,
    domain: DomainId,
    keys: custody_crypto::SealedDomainKeys,
) -> Keyring {
    let mut next = keyring.clone();
    next.projects
        .insert(project.clone(), ProjectKeys { domain, keys });
    next
}

fn context(workspace: &Workspace, purpose: &'static str) -> KeyContext {
    KeyContext {
        workspace: workspace.about().binding(),
        domain: String::new(),
        purpose,
        epoch: 0,
    }
}

fn read_keyring(workspace: &Workspace) -> Result<Keyring, Problem> {
    workspace
        .keyring()
        .map_err(|error| workspace_problem(&error))
}

fn key_id<'a>(workspace: &'a Workspace, keyring: &'a Keyring) -> &'a str {
    let first = &workspace.about().key_id;
    keyring.key_id.as_ref().unwrap_or(first)
}

fn service(
    workspace: &Workspace,
    keyring: &Keyring,
    file: &KeyFile,
    entropy: &Arc<dyn Entropy>,
) -> Result<LocalKey, Problem> {
    let key = file.find(key_id(workspace, keyring)).cloned();
    let key = key.ok_or_else(|| of_another(workspace, keyring, file))?;
    Ok(LocalKey::new(key.id, key.key, entropy.clone()))
}

fn of_another(workspace: &Workspace, keyring: &Keyring, file: &KeyFile) -> Problem {
    let held: Vec<_> = file.keys().map(|key| format!("`{}`", key.id)).collect();
    Problem::new(code::KEY_004, "the key file does not open this workspace")
        .because(format!(
            "it holds the key {}; what lies in the workspace is wrapped under `{}`",
            held.join(" and "),
            key_id(workspace, keyring)
        ))
        .hint("name the right one with `--key-file` or CUSTODY_KEY_FILE; a copy of a workspace from before a rotation opens with the key file of its time")
}

/// Returns a keyring with everything under another key.
fn rewrapped(
    workspace: &Workspace,
    keyring: &Keyring,
    old: &dyn KeyService,
    new: &dyn KeyService,
) -> Result<Keyring, KeyError> {
    let binding = workspace.about().binding();
    let again = |purpose, wrapped: &str| {
        let context = context(workspace, purpose);
        let key = open_text(old, &context, wrapped)?;
        seal_text(new, &context, &key)
    };
    let mut projects = keyring.projects.clone();
    for (project, keys) in &mut projects {
        let opened = keys.keys.open(old, &binding, project.as_str())?;
        keys.keys = opened.seal(new, &binding, project.as_str())?;
    }
    Ok(Keyring {
        format: keyring.format.clone(),
        key_id: Some(new.key_id().to_owned()),
        attest: again("attest", &keyring.attest)?,
        ledger: again("ledger", &keyring.ledger)?,
        pseudonyms: again("pseudonym", &keyring.pseudonyms)?,
        projects,
    })
}

/// The wrapped keys in the workspace's folder. Holds the ledger's lock as long as it lives.
#[derive(Debug)]
pub(crate) struct LocalKeyring {
    keys: Mutex<Keys>,
    _lock: LedgerFolder,
}

impl LocalKeyring {
    pub(crate) fn new(keys: Keys, lock: LedgerFolder) -> Self {
        Self {
            keys: Mutex::new(keys),
            _lock: lock,
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl custody_guard::Keyring for LocalKeyring {
    fn create(&self, project: &ProjectName) -> Result<(DomainId, DomainKeys), Problem> {
        self.keys().create(project)
    }

    fn destroy(&self, project: &ProjectName, domain: &DomainId) -> Result<(), Problem> {
        self.keys().destroy(project, domain)
    }

    fn renew(
        &self,
        project: &ProjectName,
        domain: &DomainId,
    ) -> Result<Option<DomainKeys>, Problem> {
        self.keys().renew(project, domain)
    }

    fn in_use(&self) -> KeysInUse {
        self.keys().in_use()
    }

    fn rotate(&self) -> Result<String, Problem> {
        self.keys().rotate()
    }

    fn change_passphrase(&self, old: Option<&str>, new: Option<&str>) -> Result<(), Problem> {
        self.keys().change_passphrase(old, new)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use custody_backends::key_file;
    use custody_backends::machine::SystemEntropy;
    use custody_backends::workspace::About;

    use super::*;

    /// A workspace with two projects, and its key file.
    struct World {
        folder: tempfile::TempDir,
    }

    impl World {
        fn new(passphrase: Option<&str>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
            let key = FileKey::generate(&SystemEntropy);
            let file = KeyFile::new(key.clone(), passphrase, &SystemEntropy).unwrap();
            key_file::create(&folder.path().join("key"), &file, &SystemEntropy).unwrap();
            let about = About::new(
                "w".to_owned(),
                custody_types::Timestamp::from_unix_micros(0).unwrap(),
                key.id.clone(),
                "ada".to_owned(),
            );
            let binding = about.binding();
            let service = LocalKey::new(key.id, key.key, entropy);
            let seal = |purpose| {
                let context = KeyContext {
                    workspace: binding.clone(),
                    domain: String::new(),
                    purpose,
                    epoch: 0,
                };
                seal_text(&service, &context, &[7; 32]).unwrap()
            };
            let keyring = Keyring::new(seal("attest"), seal("ledger"), seal("pseudonym"));
            Workspace::create(folder.path(), about, &keyring).unwrap();
            let world = Self { folder };
            let mut keys = world.open(passphrase).unwrap();
            for project in ["a", "b"] {
                keys.create(&project.parse().unwrap()).unwrap();
            }
            world
        }

        fn open(&self, passphrase: Option<&str>) -> Result<Keys, Problem> {
            let workspace = Workspace::find(self.folder.path()).unwrap();
            let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
            let path = self.folder.path().join("key");
            let mut keys = Keys::open(workspace, path, passphrase, entropy)?;
            keys.enter()?;
            Ok(keys)
        }

        /// Reads the key file and the keyring.
        fn files(&self) -> [Vec<u8>; 2] {
            ["key", ".custody/keyring.json"]
                .map(|name| fs::read(self.folder.path().join(name)).unwrap())
        }

        #[expect(clippy::disallowed_methods, reason = "a test puts copies back")]
        fn put(&self, [key, keyring]: [&[u8]; 2]) {
            fs::write(self.folder.path().join("key"), key).unwrap();
            fs::write(self.folder.path().join(".custody/keyring.json"), keyring).unwrap();
        }
    }

    /// Everything that the keyring wraps.
    fn all(keys: &Keys) -> BTreeSet<Vec<u8>> {
        let ring = &keys.keyring;
        let own = [
            ("attest", &ring.attest),
            ("ledger", &ring.ledger),
            ("pseudonym", &ring.pseudonyms),
        ];
        let own = own.map(|(purpose, wrapped)| keys.secret(purpose, wrapped).unwrap().to_vec());
        let projects = ring.projects.iter().flat_map(|(project, kept)| {
            let opened = keys.project(project, kept).unwrap();
            let content = opened.content.values().map(|key| key.expose().to_vec());
            let others = [opened.id, opened.chunking].map(|key| key.expose().to_vec());
            content.chain(others).collect::<Vec<_>>()
        });
        own.into_iter().chain(projects).collect()
    }

    #[test]
    fn the_same_keys_open_under_the_new_key_and_with_the_old_file_no_more() {
        for passphrase in [None, Some("correct horse")] {
            let world = World::new(passphrase);
            let mut keys = world.open(passphrase).unwrap();
            let (before, [old_file, old_ring]) = (all(&keys), world.files());
            let first = keys.key_id().to_owned();
            let id = keys.rotate().unwrap();
            assert_ne!(id, first);
            assert_eq!((keys.key_id(), all(&keys)), (id.as_str(), before.clone()));
            let [new_file, new_ring] = world.files();
            let opened = world.open(passphrase).unwrap();
            assert_eq!((all(&opened), opened.is_between()), (before.clone(), false));
            // A copy from before opens with the file of its time, and with no other.
            world.put([&old_file, &old_ring]);
            assert_eq!(all(&world.open(passphrase).unwrap()), before);
            for mixed in [[&old_file, &new_ring], [&new_file, &old_ring]] {
                world.put(mixed.map(Vec::as_slice));
                let problem = world.open(passphrase).unwrap_err();
                assert_eq!(problem.code, code::KEY_004, "{problem:?}");
            }
        }
    }

    #[test]
    fn whatever_a_crash_leaves_of_a_rotation_opens_and_is_put_in_order() {
        let world = World::new(None);
        let mut keys = world.open(None).unwrap();
        let (before, [old_file, old_ring]) = (all(&keys), world.files());
        let next = FileKey::generate(&SystemEntropy);
        let both = keys.file.file().with_next(next.clone());
        keys.file.replace(both, &SystemEntropy).unwrap();
        let [both_file, _] = world.files();
        let fresh = LocalKey::new(next.id.clone(), next.key, Arc::new(SystemEntropy));
        let ring = rewrapped(&keys.workspace, &keys.keyring, &keys.service, &fresh).unwrap();
        keys.save(ring).unwrap();
        let [_, new_ring] = world.files();
        for (ring, id) in [
            (&old_ring, &keys.workspace.about().key_id),
            (&new_ring, &next.id),
        ] {
            world.put([&both_file, ring]);
            // Where the key file cannot be written it opens all the same, and says that it is between.
            let place = world.folder.path().join("key.new");
            fs::create_dir(&place).unwrap();
            let unsettled = world.open(None).unwrap();
            assert_eq!(
                (all(&unsettled), unsettled.is_between()),
                (before.clone(), true)
            );
            fs::remove_dir(&place).unwrap();
            let settled = world.open(None).unwrap();
            assert_eq!(
                (settled.key_id(), all(&settled)),
                (id.as_str(), before.clone())
            );
            assert!(!settled.is_between());
            // And another rotation goes on from there.
            world.put([&both_file, ring]);
            assert_eq!(
                world.open(None).map(|mut keys| keys.rotate().is_ok()),
                Ok(true)
            );
            assert_eq!(all(&world.open(None).unwrap()), before);
        }
        world.put([&old_file, &old_ring]);
        assert_eq!(all(&world.open(None).unwrap()), before);
    }

    #[test]
    fn a_rotation_that_fails_leaves_everything_as_it_was() {
        let world = World::new(None);
        let mut keys = world.open(None).unwrap();
        let (before, id) = (all(&keys), keys.key_id().to_owned());
        for blocked in ["key.new", ".custody/keyring.new"] {
            let place = world.folder.path().join(blocked);
            fs::create_dir(&place).unwrap();
            assert!(keys.rotate().is_err(), "{blocked}");
            assert_eq!((keys.key_id(), all(&keys)), (id.as_str(), before.clone()));
            fs::remove_dir(&place).unwrap();
            assert_eq!(all(&world.open(None).unwrap()), before, "{blocked}");
        }
        // A project that is made then is there afterwards, whatever was left.
        keys.create(&"c".parse().unwrap()).unwrap();
        assert_ne!(keys.rotate().unwrap(), id);
        let opened = world.open(None).unwrap();
        assert_eq!(
            (opened.keyring.projects.len(), all(&opened)),
            (3, all(&keys))
        );
    }

    #[test]
    fn a_process_that_waited_for_its_turn_takes_what_was_rotated_meanwhile() {
        let world = World::new(Some("correct horse"));
        let workspace = Workspace::find(world.folder.path()).unwrap();
        let open = || {
            let path = world.folder.path().join("key");
            Keys::open(
                workspace.clone(),
                path,
                Some("correct horse"),
                Arc::new(SystemEntropy),
            )
        };
        let (mut waits, mut waits_too) = (open().unwrap(), open().unwrap());
        let mut works = world.open(Some("correct horse")).unwrap();
        works.rotate().unwrap();
        waits.enter().unwrap();
        assert_eq!((waits.key_id(), all(&waits)), (works.key_id(), all(&works)));
        // One whose passphrase was changed as well cannot know the new one.
        works
            .change_passphrase(Some("correct horse"), Some("battery staple"))
            .unwrap();
        works.rotate().unwrap();
        for late in [&mut waits, &mut waits_too] {
            assert_eq!(late.enter().unwrap_err().code, code::KEY_016);
            assert_eq!(late.rotate().unwrap_err().code, code::KEY_016);
        }
        assert_eq!(
            all(&world.open(Some("battery staple")).unwrap()),
            all(&works)
        );
    }

    #[test]
    fn the_passphrase_changes_and_nothing_else_does() {
        let world = World::new(Some("correct horse"));
        let mut keys = world.open(Some("correct horse")).unwrap();
        let [_, ring] = world.files();
        let wrong = keys
            .change_passphrase(Some("wrong horse"), None)
            .unwrap_err();
        assert_eq!(wrong.code, code::KEY_008);
        assert_eq!(
            keys.change_passphrase(None, None).unwrap_err().code,
            code::KEY_008
        );
        keys.change_passphrase(Some("correct horse"), Some("battery staple"))
            .unwrap();
        assert_eq!(world.files()[1], ring);
        let refused = |passphrase| world.open(passphrase).unwrap_err().code;
        assert_eq!(refused(Some("correct horse")), code::KEY_008);
        assert_eq!(refused(None), code::KEY_007);
        let mut keys = world.open(Some("battery staple")).unwrap();
        keys.change_passphrase(Some("battery staple"), None)
            .unwrap();
        assert!(!world.open(None).unwrap().in_use().is_under_passphrase);
        assert_eq!(world.files()[1], ring);
    }

    #[test]
    fn a_new_epoch_is_kept_beside_the_old_ones_and_of_no_other_domain() {
        let world = World::new(None);
        let mut keys = world.open(None).unwrap();
        let project: ProjectName = "a".parse().unwrap();
        let domain = keys.keyring.projects[&project].domain;
        let before = keys
            .project(&project, &keys.keyring.projects[&project])
            .unwrap();
        let after = keys.renew(&project, &domain).unwrap().unwrap();
        assert_eq!((after.id, after.chunking), (before.id, before.chunking));
        assert_eq!(after.content[&1], before.content[&1]);
        assert_ne!(after.content[&2], before.content[&1]);
        let opened = world.open(None).unwrap();
        assert_eq!(opened.in_use().epochs[&project], [1, 2]);
        let other = DomainId::from_bytes([9; 16]);
        assert!(keys.renew(&project, &other).unwrap().is_none());
        assert!(
            keys.renew(&"none".parse().unwrap(), &domain)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_key_file_of_a_mode_that_others_can_read_stays_refused() {
        let world = World::new(None);
        let path = world.folder.path().join("key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(world.open(None).unwrap_err().code, code::KEY_003);
    }
}
