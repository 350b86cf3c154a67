//! Endpoints: what a step may connect to; and which addresses are of the public network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NameError;

const WHAT: &str = "endpoint";

/// A host and a port: `api.example.com:443`, `10.1.2.3:5432`, `[2001:db8::1]:443`.
///
/// An endpoint has one spelling, so that a policy, a setting and a pipeline file that mean the same one say the same. There are
/// no patterns. A name is one of the DNS, in full: what the machine would add to a short one is not known to who reads it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    host: Host,
    port: u16,
}

/// The host of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name of the DNS, in lower case.
    Name(String),
    /// An address of one machine, which is resolved to nothing.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl Endpoint {
    /// Returns the host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port, from 1 up.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address, where the host is one.
    pub const fn address(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Name(_) => None,
            Host::Address(address) => Some(*address),
        }
    }

    /// Whether the host is an address that is not of the public network.
    pub fn is_private(&self) -> bool {
        self.address().is_some_and(|address| !is_public(address))
    }
}

impl FromStr for Endpoint {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |rule| NameError::new(WHAT, text, rule);
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| wrong("write `host:port`, such as `api.example.com:443`"))?;
        let host = host_of(host).map_err(wrong)?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
        let port = port.parse().ok().filter(|port| digits && *port > 0);
        let port = port.ok_or_else(|| wrong("the port is a number from 1 to 65535"))?;
        Ok(Self { host, port })
    }
}

/// Reads a host; an error says what one is.
fn host_of(text: &str) -> Result<Host, &'static str> {
    if let Some(six) = text.strip_prefix('[') {
        let six = six
            .strip_suffix(']')
            .and_then(|six| six.parse::<Ipv6Addr>().ok());
        let six = six.ok_or("what stands in brackets is an address of version 6")?;
        if format!("[{six}]") != text {
            return Err(
                "write an address of version 6 in its shortest form, in lower case (RFC 5952)",
            );
        }
        if IpAddr::V6(six) != embedded(IpAddr::V6(six)) {
            return Err("it stands for an address of version 4: write that");
        }
        return one_machine(IpAddr::V6(six));
    }
    if let Ok(four) = text.parse::<Ipv4Addr>() {
        return one_machine(IpAddr::V4(four));
    }
    let mut labels = text.split('.');
    let is_label = |label: &str| {
        let inside = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        };
        (1..=63).contains(&label.len())
            && label.bytes().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() > 253 || !labels.clone().all(is_label) {
        return Err(
            "a name of the DNS has parts of 1 to 63 of a-z, 0-9 and `-`, with dots between them: no pattern, no capital letter, no dot at the end",
        );
    }
    // What ends in a number is read as an address by some (`127.1`, `0x7f.1`).
    let last = labels.next_back().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if is_number {
        return Err("it is no address, and the last part of a name is no number");
    }
    // What is left has parts if there was a dot.
    if labels.next().is_none() {
        return Err("write the name in full, with its domain");
    }
    Ok(Host::Name(text.to_owned()))
}

/// Refuses what is no address of one machine: nobody's, everybody's, a group's.
fn one_machine(address: IpAddr) -> Result<Host, &'static str> {
    let is_one = match address {
        IpAddr::V4(four) => !four.is_broadcast() && four.octets().first() != Some(&0),
        IpAddr::V6(_) => true,
    };
    if !is_one || address.is_unspecified() || address.is_multicast() {
        return Err("it is no address of one machine");
    }
    Ok(Host::Address(address))
}

impl TryFrom<String> for Endpoint {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(address) => write!(f, "{}", SocketAddr::new(*address, self.port)),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

/// Returns the address of version 4 that one of version 6 stands for, where it does: mapped (RFC 4291, section 2.5.5),
/// translated (RFC 6052, and RFC 8215), by 6to4 (RFC 3056).
pub fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else {
        return address;
    };
    let segments = six.segments();
    let of =
        |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match segments {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => of(high, low),
        _ => address,
    }
}

/// Whether an address, or the one that it stands for, is of the public network (the registries of special-purpose addresses,
/// RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match embedded(address) {
        IpAddr::V4(four) => is_public_four(four),
        IpAddr::V6(six) => is_public_six(six),
    }
}

fn is_public_four(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        // Shared by providers of access (RFC 6598), of protocols (RFC 6890), of benchmarks (RFC 2544), and reserved.
        || a == 100 && (64..128).contains(&b)
        || a == 192 && b == 0 && c == 0
        || a == 192 && b == 88 && c == 99
        || a == 198 && (18..20).contains(&b)
        || a >= 240;
    !special
}

fn is_public_six(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Global unicast is 2000::/3; of it, protocols (2001::/23), documentation and what is used by nobody yet are not.
    a >> 13 == 1
        && !(a == 0x2001 && b < 0x0200)
        && !(a == 0x2001 && b == 0x0db8)
        && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_one_spelling() {
        for text in [
            "api.example.com:443",
            "a_b.x-1.example:1",
            "xn--bcher-kva.example:65535",
            "10.1.2.3:5432",
            "127.0.0.1:80",
            "1.1.1.1:53",
            "[2606:4700::1111]:443",
            "[fd12::1]:443",
            "[::1]:8080",
        ] {
            let read: Endpoint = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
        for (text, rule) in [
            ("api.example.com", "write `host:port`"),
            ("api.example.com:", "the port"),
            ("api.example.com:0", "the port"),
            ("api.example.com:65536", "the port"),
            ("api.example.com:+443", "the port"),
            ("api.example.com:0443", "the port"),
            ("api.example.com:https", "the port"),
            ("API.example.com:443", "no capital letter"),
            ("api.example.com.:443", "no dot at the end"),
            (".example.com:443", "no pattern"),
            ("*.example.com:443", "no pattern"),
            ("*:443", "no pattern"),
            ("-a.example.com:443", "no pattern"),
            ("user@example.com:443", "no pattern"),
            ("https://example.com:443", "no pattern"),
            ("example.com/path:443", "no pattern"),
            ("exa mple.com:443", "no pattern"),
            ("example.com\n:443", "no pattern"),
            ("bücher.example:443", "no pattern"),
            (":443", "no pattern"),
            ("2606:4700::1111:443", "no pattern"),
            ("localhost:80", "in full"),
            ("db:5432", "in full"),
            ("127.1:80", "no number"),
            ("2130706433:80", "no number"),
            ("010.0.0.1:80", "no number"),
            ("a.0x7f:80", "no number"),
            ("10.0.0.256:80", "no number"),
            ("0.0.0.0:80", "no address of one machine"),
            ("0.1.2.3:80", "no address of one machine"),
            ("224.0.0.1:80", "no address of one machine"),
            ("255.255.255.255:80", "no address of one machine"),
            ("[::]:80", "no address of one machine"),
            ("[ff02::1]:80", "no address of one machine"),
            ("[::ffff:10.0.0.1]:80", "version 4"),
            ("[64:ff9b::a00:1]:80", "version 4"),
            ("[2002:a00:1::1]:80", "version 4"),
            ("[2606:4700:0::1111]:80", "shortest form"),
            ("[2606:4700::ABCD]:80", "shortest form"),
            ("[fe80::1%eth0]:80", "brackets"),
            ("[10.0.0.1]:80", "brackets"),
            ("[::1:80", "brackets"),
        ] {
            let told = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(told.contains(rule), "{told}");
        }
    }

    #[test]
    fn the_public_network_is_told_from_all_others_however_an_address_is_written() {
        let public = |text: &str| is_public(text.parse().unwrap());
        for text in [
            "1.1.1.1",
            "192.88.98.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ] {
            assert!(public(text), "{text}");
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::10.0.0.1",
            "2002:a00:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!public(text), "{text}");
        }
        for (text, private) in [
            ("10.0.0.1:1", true),
            ("[::1]:1", true),
            ("169.254.169.254:80", true),
            ("1.1.1.1:1", false),
            ("a.example:1", false),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.is_private(), private, "{text}");
        }
    }
}
