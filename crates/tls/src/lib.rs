//! What is spoken over the network, and by which certificates a server is known: TLS 1.3 alone, with a hybrid post-quantum
//! key exchange before the classical ones.
//!
//! [`server`] and [`client`] say how each side speaks; [`Authority`] makes the certificates of a server that was given none;
//! [`root_of`] finds the root that a person knows by its fingerprint among the certificates that a server shows.
#![forbid(unsafe_code)]

mod authority;
mod speech;

pub use authority::{Authority, AuthorityError, Created, Name};
pub use rustls::sign::CertifiedKey;
pub use speech::{Shown, client, given, looking, provider, root_of, server, trusting};
