//! What a step may connect to: listeners on its own loopback, one for each endpoint, which somebody outside holds.
//!
//! A program connects to `api.example.com:443` as it would anywhere. Inside, the name is an address of the loopback
//! (`/etc/hosts`), and a literal address is one that the loopback has, too. Who connects is accepted outside: what the program
//! says goes to whom the [`Carrier`] connects to, byte for byte, so that TLS reaches from the program to its server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use custody_types::{Endpoint, Host};

use crate::sys;
use crate::wire::{self, Report};

/// How often it is looked whether the kernel has taken an address of version 6, and how long it waits between.
const LOOKS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// The endpoints that a step may connect to, and who carries what it says to them.
#[derive(Debug, Clone)]
pub struct Network {
    /// What it may connect to, each once; at most 200.
    pub endpoints: Vec<Endpoint>,
    /// Who carries it.
    pub carrier: Arc<dyn Carrier>,
}

/// Carries what a step says to its endpoints, and what they answer.
pub trait Carrier: fmt::Debug + Send + Sync {
    /// Takes the listeners over, one for each endpoint in their order, before the program starts. Nobody else has them: when
    /// they are closed, who connects is refused. The step does not wait for the carrier, which is told of its end by
    /// [`crate::run`] alone, by returning.
    ///
    /// # Errors
    /// When nothing can be carried; the step does not start then.
    fn carry(&self, listeners: Vec<TcpListener>) -> io::Result<()>;
}

/// Where the endpoints are inside.
pub(crate) fn inside(endpoints: &[Endpoint]) -> io::Result<Vec<SocketAddr>> {
    let taken: BTreeSet<_> = endpoints.iter().filter_map(Endpoint::address).collect();
    let mut free = (1..=254)
        .map(|number| IpAddr::V4(Ipv4Addr::new(127, 0, 1, number)))
        .filter(|address| !taken.contains(address));
    let mut names = BTreeMap::new();
    let mut found = Vec::new();
    for endpoint in endpoints {
        let address = match endpoint.host() {
            Host::Address(address) => *address,
            Host::Name(name) => match names.get(name) {
                Some(address) => *address,
                None => {
                    let address = free
                        .next()
                        .ok_or_else(|| io::Error::other("too many hosts"))?;
                    names.insert(name, address);
                    address
                }
            },
        };
        found.push(SocketAddr::new(address, endpoint.port()));
    }
    Ok(found)
}

/// Returns the lines of `/etc/hosts`.
pub(crate) fn hosts(endpoints: &[Endpoint]) -> io::Result<String> {
    let mut lines = BTreeMap::new();
    for (endpoint, at) in endpoints.iter().zip(inside(endpoints)?) {
        if let Host::Name(name) = endpoint.host() {
            lines.insert(at.ip(), name);
        }
    }
    Ok(lines
        .iter()
        .fold(String::new(), |mut text, (address, name)| {
            let _ = writeln!(text, "{address} {name}");
            text
        }))
}

/// Opens the listeners and hands them out. The launcher, which has privileges in its network alone, keeps none of them.
pub(crate) fn listen(socket: &mut UnixStream, endpoints: &[Endpoint]) -> io::Result<()> {
    if endpoints.is_empty() {
        return Ok(());
    }
    let mut listeners = Vec::new();
    let mut added = BTreeSet::new();
    for (number, at) in (1_u32..).zip(inside(endpoints)?) {
        if !is_of_loopback(at.ip()) && added.insert(at.ip()) {
            sys::add_address(number, at.ip())?;
        }
        listeners.push(listener(at)?);
    }
    wire::tell(socket, &Report::Listening)?;
    for listener in listeners {
        sys::send_descriptor(socket, &listener.into())?;
    }
    Ok(())
}

/// Whether a loopback has the address from the beginning.
fn is_of_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_loopback(),
        IpAddr::V6(six) => six == Ipv6Addr::LOCALHOST,
    }
}

/// Listens at an address. The kernel takes one of version 6 in its own time: there may be another machine that has it.
fn listener(at: SocketAddr) -> io::Result<TcpListener> {
    let mut looks = 0;
    loop {
        match TcpListener::bind(at) {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable && looks < LOOKS => {
                looks += 1;
                std::thread::sleep(PAUSE);
            }
            bound => return bound,
        }
    }
}

/// Says what is enforced.
pub(crate) fn enforced(endpoints: &[Endpoint]) -> (&'static str, String) {
    if endpoints.is_empty() {
        let by = "network namespace with a loopback of its own alone";
        return ("no network", by.to_owned());
    }
    let names: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    (
        "network to its declared endpoints alone; weaker: what it sends there goes out, what they answer comes in",
        format!(
            "network namespace with a loopback of its own; one listener each for {}, carried from outside",
            names.join(", ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(texts: &[&str]) -> Vec<Endpoint> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_host_has_one_address_inside_and_no_other_has_it() {
        let endpoints = endpoints(&[
            "b.example:443",
            "a.example:443",
            "b.example:80",
            "127.0.1.2:443",
            "10.0.0.1:5432",
            "[fd12::1]:443",
        ]);
        let at = inside(&endpoints).unwrap();
        let at: Vec<_> = at.iter().map(ToString::to_string).collect();
        assert_eq!(
            at,
            [
                "127.0.1.1:443",
                "127.0.1.3:443",
                "127.0.1.1:80",
                "127.0.1.2:443",
                "10.0.0.1:5432",
                "[fd12::1]:443"
            ]
        );
        assert_eq!(
            hosts(&endpoints).unwrap(),
            "127.0.1.1 b.example\n127.0.1.3 a.example\n"
        );
        assert_eq!(hosts(&[]).unwrap(), "");
    }

    #[test]
    fn more_hosts_than_there_are_addresses_are_refused() {
        let many = |count: u32| {
            let all = (0..count).map(|number| format!("h{number}.example:1").parse().unwrap());
            inside(&all.collect::<Vec<_>>())
        };
        assert!(many(254).is_ok() && many(255).is_err());
    }
}
