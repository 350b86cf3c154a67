//! Transparency logs: a module for each specification, no I/O.
//!
//! - [`tree`]: hashes and proofs of RFC 6962;
//! - [`tile`]: tiles of [C2SP tlog-tiles](https://c2sp.org/tlog-tiles), and a reader that believes none
//!   of them before it was checked against the signed root;
//! - [`note`] is for [signed notes](https://c2sp.org/signed-note) with Ed25519;
//! - [`checkpoint`] is for [checkpoints](https://c2sp.org/tlog-checkpoint).
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod note;
pub mod tile;
pub mod tree;
