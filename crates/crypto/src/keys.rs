//! The key hierarchy: a key-encryption key in a key service wraps the keys of each domain.
//!
//! A domain is a project. Its content keys come in epochs: packs are sealed under the newest, and older
//! epochs stay readable. The id key and the chunking key live as long as the domain, since they decide
//! what counts as the same chunk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use custody_types::Entropy;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::aead::Ring;
use crate::floe::{self, Parameters};
use crate::secret::Secret;

/// What a wrapped key is for. It is bound into the wrapping: a key wrapped for one purpose does not
/// unwrap for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyContext {
    /// The workspace's id.
    pub workspace: String,
    /// The domain, or empty for a key of the workspace.
    pub domain: String,
    /// What the key does: `content`, `id`, `chunking`, `attest`, `ledger`, `pseudonym`.
    pub purpose: &'static str,
    /// The epoch; 0 for keys without epochs.
    pub epoch: u32,
}

impl KeyContext {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = b"custody-wrap/1".to_vec();
        for part in [
            self.workspace.as_bytes(),
            self.domain.as_bytes(),
            self.purpose.as_bytes(),
            &self.epoch.to_be_bytes(),
        ] {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// Why a key could not be wrapped or unwrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The wrapped key was made by another key-encryption key, for another purpose, or was changed.
    #[error("the {purpose} key of `{domain}` does not unwrap with key `{key_id}`")]
    DoesNotUnwrap {
        /// What the key is for.
        purpose: &'static str,
        /// The domain, or empty.
        domain: String,
        /// The key-encryption key that was tried.
        key_id: String,
    },
    /// The stored form cannot be read.
    #[error("the {purpose} key of `{domain}` is not stored in a readable form")]
    Unreadable {
        /// What the key is for.
        purpose: &'static str,
        /// The domain, or empty.
        domain: String,
    },
    /// The key service did not answer.
    #[error("the key service does not answer: {0}")]
    Service(String),
}

/// Holds key-encryption keys and lends their use; the keys themselves never come out.
///
/// Safe to use from several threads. `wrap` must be authenticated, bound to the context, and commit to
/// the key-encryption key.
pub trait KeyService: Send + Sync + fmt::Debug {
    /// Returns the id of the key-encryption key in use.
    fn key_id(&self) -> &str;

    /// Wraps `key` for `context`.
    ///
    /// # Errors
    /// [`KeyError::Service`] when the service fails.
    fn wrap(&self, context: &KeyContext, key: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// Unwraps what was wrapped for the same context.
    ///
    /// # Errors
    /// [`KeyError::DoesNotUnwrap`] when it was not; [`KeyError::Service`] when the service fails.
    fn unwrap(&self, context: &KeyContext, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError>;
}

/// A key service whose key-encryption key is in this process: what a key file gives.
#[derive(Debug)]
pub struct LocalKey {
    id: String,
    key: Secret<32>,
    entropy: Arc<dyn Entropy>,
}

impl LocalKey {
    /// Uses `key`, whose id is `id`.
    pub fn new(id: String, key: Secret<32>, entropy: Arc<dyn Entropy>) -> Self {
        Self { id, key, entropy }
    }
}

/// A wrapped key is one short FLOE ciphertext, since FLOE commits to its key.
fn wrapping() -> Result<Parameters, KeyError> {
    Parameters::new(4096).map_err(|error| KeyError::Service(error.to_string()))
}

impl KeyService for LocalKey {
    fn key_id(&self) -> &str {
        &self.id
    }

    fn wrap(&self, context: &KeyContext, key: &[u8]) -> Result<Vec<u8>, KeyError> {
        floe::seal_all(
            wrapping()?,
            Arc::new(Ring),
            &self.key,
            &context.encode(),
            key,
            self.entropy.as_ref(),
        )
        .map_err(|error| KeyError::Service(error.to_string()))
    }

    fn unwrap(&self, context: &KeyContext, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        floe::open_all(
            wrapping()?,
            Arc::new(Ring),
            &self.key,
            &context.encode(),
            wrapped,
        )
        .map(Zeroizing::new)
        .map_err(|_| KeyError::DoesNotUnwrap {
            purpose: context.purpose,
            domain: context.domain.clone(),
            key_id: self.id.clone(),
        })
    }
}

/// Wraps `key` and writes it as text.
///
/// # Errors
/// [`KeyError`] when the service fails.
pub fn seal_text(
    service: &dyn KeyService,
    context: &KeyContext,
    key: &[u8],
) -> Result<String, KeyError> {
    Ok(BASE64.encode(service.wrap(context, key)?))
}

/// Unwraps what [`seal_text`] wrote.
///
/// # Errors
/// [`KeyError`] when the text is not that, or the service fails.
pub fn open_text(
    service: &dyn KeyService,
    context: &KeyContext,
    text: &str,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let unreadable = || KeyError::Unreadable {
        purpose: context.purpose,
        domain: context.domain.clone(),
    };
    let wrapped = BASE64.decode(text).map_err(|_| unreadable())?;
    service.unwrap(context, &wrapped)
}

/// The keys of one domain.
#[derive(Debug, Clone)]
pub struct DomainKeys {
    /// Under which packs are sealed, by epoch.
    pub content: BTreeMap<u32, Secret<32>>,
    /// Under which chunk ids are made.
    pub id: Secret<32>,
    /// From which the chunking table is made.
    pub chunking: Secret<32>,
}

/// The keys of one domain as they are stored: each one wrapped, in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedDomainKeys {
    /// By epoch.
    pub content: BTreeMap<u32, String>,
    /// The id key.
    pub id: String,
    /// The chunking key.
    pub chunking: String,
}

impl DomainKeys {
    /// Draws the keys of a new domain, in its first epoch.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self {
            content: BTreeMap::from([(1, Secret::generate(entropy))]),
            id: Secret::generate(entropy),
            chunking: Secret::generate(entropy),
        }
    }

    /// Draws a content key in a new epoch, under which packs are sealed from then on. `None` when there are no epochs left;
    /// nothing is drawn then.
    #[must_use]
    pub fn renew(&mut self, entropy: &dyn Entropy) -> Option<u32> {
        let (newest, _) = self.newest()?;
        let next = newest.checked_add(1)?;
        self.content.insert(next, Secret::generate(entropy));
        Some(next)
    }

    /// Returns the newest epoch and its key.
    pub fn newest(&self) -> Option<(u32, &Secret<32>)> {
        self.content
            .last_key_value()
            .map(|(epoch, key)| (*epoch, key))
    }

    /// Wraps every key for the domain `domain` of `workspace`.
    ///
    /// # Errors
    /// [`KeyError`] when the service fails.
    pub fn seal(
        &self,
        service: &dyn KeyService,
        workspace: &str,
        domain: &str,
    ) -> Result<SealedDomainKeys, KeyError> {
        let context = |purpose, epoch| KeyContext {
            workspace: workspace.to_owned(),
            domain: domain.to_owned(),
            purpose,
            epoch,
        };
        let mut content = BTreeMap::new();
        for (epoch, key) in &self.content {
            content.insert(
                *epoch,
                seal_text(service, &context("content", *epoch), key.expose())?,
            );
        }
        Ok(SealedDomainKeys {
            content,
            id: seal_text(service, &context("id", 0), self.id.expose())?,
            chunking: seal_text(service, &context("chunking", 0), self.chunking.expose())?,
        })
    }
}

impl SealedDomainKeys {
    /// Unwraps every key.
    ///
    /// # Errors
    /// [`KeyError`] when one of them does not unwrap.
    pub fn open(
        &self,
        service: &dyn KeyService,
        workspace: &str,
        domain: &str,
    ) -> Result<DomainKeys, KeyError> {
        let open = |purpose, epoch, text: &str| {
            let context = KeyContext {
                workspace: workspace.to_owned(),
                domain: domain.to_owned(),
                purpose,
                epoch,
            };
            let bytes = open_text(service, &context, text)?;
            Secret::from_slice(&bytes).ok_or(KeyError::Unreadable {
                purpose,
                domain: domain.to_owned(),
            })
        };
        let mut content = BTreeMap::new();
        for (epoch, text) in &self.content {
            content.insert(*epoch, open("content", *epoch, text)?);
        }
        Ok(DomainKeys {
            content,
            id: open("id", 0, &self.id)?,
            chunking: open("chunking", 0, &self.chunking)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Counting;

    fn service(byte: u8) -> LocalKey {
        LocalKey::new(
            format!("key-{byte}"),
            Secret::from_bytes([byte; 32]),
            Arc::new(Counting::new()),
        )
    }

    #[test]
    fn keys_open_only_for_their_domain_and_service() {
        let keys = DomainKeys::generate(&Counting::new());
        let sealed = keys.seal(&service(1), "w", "loans").unwrap();
        let opened = sealed.open(&service(1), "w", "loans").unwrap();
        assert_eq!((opened.id, opened.chunking), (keys.id, keys.chunking));
        assert_eq!(opened.content, keys.content);
        for (by, workspace, domain) in [(2, "w", "loans"), (1, "x", "loans"), (1, "w", "health")] {
            assert!(matches!(
                sealed.open(&service(by), workspace, domain),
                Err(KeyError::DoesNotUnwrap { .. })
            ));
        }
    }

    #[test]
    fn one_wrapped_key_cannot_stand_in_for_another() {
        let keys = DomainKeys::generate(&Counting::new());
        let mut sealed = keys.seal(&service(1), "w", "loans").unwrap();
        std::mem::swap(&mut sealed.id, &mut sealed.chunking);
        assert!(matches!(
            sealed.open(&service(1), "w", "loans"),
            Err(KeyError::DoesNotUnwrap { .. })
        ));
    }

    #[test]
    fn contexts_that_join_to_the_same_text_differ() {
        let context = |workspace: &str, domain: &str| KeyContext {
            workspace: workspace.to_owned(),
            domain: domain.to_owned(),
            purpose: "id",
            epoch: 0,
        };
        assert_ne!(context("ab", "c").encode(), context("a", "bc").encode());
    }
}
