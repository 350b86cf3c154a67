//! Which addresses are reached.

use std::collections::BTreeSet;
use std::net::IpAddr;

use custody_types::{embedded, is_public};
use ipnet::IpNet;

/// Which addresses are reached: those of the public network, and of the networks that an operator named.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Networks that are reached besides the public one.
    pub networks: Vec<IpNet>,
    /// What is asked without TLS, each as `http://address:port`. Only addresses of the machine itself are.
    pub plain: BTreeSet<String>,
}

impl Reach {
    /// Whether an address is reached.
    pub fn includes(&self, address: IpAddr) -> bool {
        let address = embedded(address);
        is_public(address)
            || self
                .networks
                .iter()
                .any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reached_is_public_or_named_however_an_address_is_written() {
        let reach = Reach {
            networks: vec!["10.1.0.0/16".parse().unwrap(), "fd12::/16".parse().unwrap()],
            ..Reach::default()
        };
        for (text, there) in [
            ("1.1.1.1", true),
            ("::ffff:1.1.1.1", true),
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("64:ff9b::a01:203", true),
            ("10.2.2.3", false),
            ("64:ff9b::a02:203", false),
            ("fd12::1", true),
            ("fd13::1", false),
            ("169.254.169.254", false),
        ] {
            assert_eq!(reach.includes(text.parse().unwrap()), there, "{text}");
        }
    }
}
