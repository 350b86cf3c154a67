//! Cryptography: streams sealed in segments, the key hierarchy, signatures.
//!
//! - [`aead`]: AES-256-GCM behind a trait, chosen by a self-test;
//! - [`floe`]: ciphertexts that open at any place and commit to their key;
//! - [`keys`]: the [`KeyService`] port and the keys that it wraps;
//! - [`key_file`]: the format of a key file, with or without a passphrase;
//! - [`password`] and [`totp`]: what is kept of passwords, and the codes of authenticators;
//! - [`sign`]: signatures of statements and models;
//! - [`Secret`]: bytes that are wiped, never printed.
//!
//! Nothing here reads or writes files, or draws randomness that was not handed in, but for signatures:
//! ECDSA takes its nonces from the operating system by way of ring.
#![forbid(unsafe_code)]

pub mod aead;
pub mod floe;
pub mod key_file;
pub mod keys;
pub mod password;
mod pseudonym;
mod secret;
pub mod sign;
#[cfg(test)]
mod testing;
pub mod totp;

pub use keys::{DomainKeys, KeyContext, KeyError, KeyService, SealedDomainKeys};
pub use pseudonym::pseudonym;
pub use secret::Secret;
