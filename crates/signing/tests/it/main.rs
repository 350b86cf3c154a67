//! Signing and verifying whole models, and what an attacker would try.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests make and change models in temporary folders, run the tools of a token, and may panic"
)]

mod attack;
mod authority;
mod certificate;
mod common;
mod hostile;
mod model;
mod peer;
mod sigstore;
mod timestamp;
mod token;
