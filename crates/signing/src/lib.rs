//! Signs and verifies the OpenSSF model signature (OMS 1.0) of a file or a folder, offline.
//!
//! Enter at [`sign::sign`] and [`verify::verify`], or [`verification_policy`] where the two ends are apart. What they need:
//! - [`tree`]: which files a model has, on disk or in a store; [`hash`]: their digests;
//! - [`keys`]: who signs ([`keys::ModelSigner`]) with a key in a file, [`pkcs11`]: with one in a token,
//!   [`authority`]: with one that lives for one signature, under a certificate of the organisation;
//! - [`certificate`]: whether a chain of certificates leads to a trusted root; [`timestamp`]: when its key
//!   signed; [`sigstore`]: both, by the logs of a Sigstore instance.
//!
//! Deliberately absent: the network, the clock (times come in), and signatures of the format's first
//! drafts, whose signed bytes are ambiguous.
#![forbid(unsafe_code)]

pub mod authority;
pub mod certificate;
pub mod hash;
pub mod keys;
pub mod pkcs11;
pub mod sign;
pub mod sigstore;
pub mod timestamp;
pub mod tree;
pub mod verification_policy;
pub mod verify;

pub use custody_attest::oms::bundle::{Bundle, Material};
pub use custody_attest::oms::manifest::{HashType, Manifest, Method, SHARD_BYTES};
