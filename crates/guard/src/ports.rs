//! What the door needs of the machine beside storage: keys, and a memory outside of the workspace.

use std::collections::BTreeMap;

use custody_crypto::DomainKeys;
use custody_store::DomainId;
use custody_types::{Problem, ProjectName};

/// Which keys are in use: their ids and epochs alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeysInUse {
    /// The id of the key-encryption key under which all others are wrapped.
    pub key: String,
    /// Whether that key is under a passphrase where it is kept.
    pub is_under_passphrase: bool,
    /// Whether a rotation was cut off, and the key of before is still kept.
    pub is_between: bool,
    /// The epochs of the content keys, by project.
    pub epochs: BTreeMap<ProjectName, Vec<u32>>,
}

/// Makes the keys of projects and destroys them, and keeps them under a key-encryption key that rotates.
///
/// Safe to use from several threads; what one call changes, the next one sees.
pub trait Keyring: Send + Sync + std::fmt::Debug {
    /// Makes and keeps the domain and keys of a new project; durable when it returns.
    ///
    /// # Errors
    /// A [`Problem`] when they cannot be kept.
    fn create(&self, project: &ProjectName) -> Result<(DomainId, DomainKeys), Problem>;

    /// Destroys the keys of a project, if they are those of `domain`; durable when it returns. Doing it again is no error.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be made sure that they are gone.
    fn destroy(&self, project: &ProjectName, domain: &DomainId) -> Result<(), Problem>;

    /// Draws and keeps a content key of a project in a new epoch, and returns all its keys; durable when it returns. `None`
    /// when the project has no keys of `domain` any more.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be kept; it is in no use then.
    fn renew(
        &self,
        project: &ProjectName,
        domain: &DomainId,
    ) -> Result<Option<DomainKeys>, Problem>;

    /// Tells which keys are in use.
    fn in_use(&self) -> KeysInUse;

    /// Draws a new key-encryption key, wraps every key under it, and then destroys the old one where it is kept. Returns the
    /// id of the new one; all is durable when it returns. The keys that are wrapped stay as they are.
    ///
    /// # Errors
    /// A [`Problem`] when something cannot be kept. What is wrapped opens then as before, with the same call or the next start
    /// putting in order what was left.
    fn rotate(&self) -> Result<String, Problem>;

    /// Puts the key-encryption key under another passphrase where it is kept, or under none. `old`: the one that it is under.
    ///
    /// # Errors
    /// A [`Problem`] when `old` is not that, or it cannot be kept.
    fn change_passphrase(&self, old: Option<&str>, new: Option<&str>) -> Result<(), Problem>;
}

/// Remembers outside the workspace how far its ledger had come, so that an older copy of the whole workspace
/// is not taken for it.
pub trait LastSeenCheckpoint: Send + Sync + std::fmt::Debug {
    /// Returns the checkpoint that was kept last, if there is one.
    ///
    /// # Errors
    /// A [`Problem`] when it is there and cannot be read.
    fn load(&self) -> Result<Option<String>, Problem>;

    /// Keeps a checkpoint, unless `goes_on` says of the one that is kept now that the ledger does not go on
    /// from it. Callers follow one another, in other processes too. Where it cannot be kept, the older one
    /// goes on to count.
    fn keep(&self, checkpoint: &str, goes_on: &dyn Fn(&str) -> bool);

    /// Keeps a checkpoint whatever was kept before: a person accepted that.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be kept; the older one goes on to count.
    fn replace(&self, checkpoint: &str) -> Result<(), Problem>;

    /// Returns where it is kept, as the user names it.
    fn place(&self) -> String;
}
