//! What a server asks of others over the network: one connector, by which nothing is reached that it was not meant for.
//!
//! [`Connector`] speaks `https://` alone, by TLS 1.3, to who shows a certificate below a root that is trusted. A name is resolved
//! once, each address is judged ([`Reach`]), and what is connected to is one of those that were judged: a name that is resolved
//! to another address a moment later changes nothing. It follows no redirect, and waits and reads within limits. Networks of
//! the organisation, and plain `http://` on the machine itself, are reached where an operator named them.
#![forbid(unsafe_code)]

mod connector;
mod reach;

pub use connector::{Connector, Limits, Resolve, System, Trust, TrustError};
pub use ipnet::IpNet;
pub use reach::Reach;
