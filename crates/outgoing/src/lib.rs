//! What goes out over the network, to nothing that it was not meant for: what a server asks of others, and what steps say to
//! the endpoints that they declare.
//!
//! [`Connector`] speaks `https://` alone, by TLS 1.3, to who shows a certificate below a root that is trusted. A name is resolved
//! once, each address is judged ([`Reach`]), and what is connected to is one of those that were judged: a name that is resolved
//! to another address a moment later changes nothing. It follows no redirect, and waits and reads within limits. Networks of
//! the organisation, and plain `http://` on the machine itself, are reached where an operator named them.
//!
//! [`Relay`] carries bytes between a listener and its endpoint, whatever is said, and judges addresses by the same rule.
#![forbid(unsafe_code)]

mod connector;
mod reach;
mod relay;

pub use connector::{Connector, Limits, Resolve, System, Trust, TrustError};
pub use ipnet::IpNet;
pub use reach::Reach;
pub use relay::{Carriage, Carried, End, Permit, Permits, Relay, RelayLimits};
