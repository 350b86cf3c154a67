//! What a step says to its endpoints: asked for at the door, connection by connection, and carried from outside.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use custody_guard::{Connect, Door, Grant, ResourceRef, Session};
use custody_outgoing::{Carriage, Carried, End, Permit, Permits, Relay, RelayLimits, Resolve};
use custody_sandbox::{Carrier, Network};
use custody_types::{
    ByteSize, Classification, Code, Endpoint, Problem, ProjectName, code, counted,
};
use serde_json::{Value, json};

/// The by-product that tells what a step connected to.
pub(crate) const NETWORK: &str = "network";
/// How many connections a statement names one by one; the ledger has each.
const MOST_TOLD: usize = 1_000;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who asks for the connections of a step.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) door: Door,
    /// The step's own session.
    pub(crate) session: Session,
    pub(crate) project: ProjectName,
    /// How sensitive the most sensitive input is.
    pub(crate) classification: Classification,
}

impl Asker {
    fn target(&self, endpoint: &Endpoint) -> ResourceRef {
        ResourceRef::Endpoint {
            project: self.project.clone(),
            endpoint: endpoint.clone(),
            classification: self.classification,
        }
    }
}

/// A connection that was made, or permitted, and the entry that let it through.
#[derive(Debug, Clone)]
struct Entered {
    entry: u64,
    carried: Carried,
}

/// The way out of a running step.
#[derive(Debug)]
pub(crate) struct Egress {
    asker: Asker,
    endpoints: Vec<Endpoint>,
    limits: RelayLimits,
    resolve: Arc<dyn Resolve>,
    relay: Mutex<Option<Relay>>,
    entered: Arc<Mutex<Vec<Entered>>>,
}

impl Egress {
    /// Opens it for what the step declares, which the policy must not refuse already.
    ///
    /// # Errors
    /// A [`Problem`] that says which endpoint is refused, and why.
    pub(crate) fn open(
        asker: Asker,
        endpoints: &[Endpoint],
        limits: RelayLimits,
        resolve: Arc<dyn Resolve>,
    ) -> Result<Arc<Self>, Problem> {
        for endpoint in endpoints {
            let target = asker.target(endpoint);
            asker.door.expect::<Connect>(&asker.session, target)?;
        }
        Ok(Arc::new(Self {
            asker,
            endpoints: endpoints.to_vec(),
            limits,
            resolve,
            relay: Mutex::default(),
            entered: Arc::default(),
        }))
    }

    /// Returns what the sandbox is told.
    pub(crate) fn network(self: &Arc<Self>) -> Network {
        Network {
            endpoints: self.endpoints.clone(),
            carrier: Arc::new(Carries(self.clone())),
        }
    }

    /// Ends everything, when no process of the step is left: what it said before is carried still if it `ended` by itself.
    /// Each outcome is in the ledger's queue then.
    pub(crate) fn end(&self, ended: bool) -> Connections {
        let relay = lock(&self.relay).take();
        let carriage = match relay {
            Some(relay) if ended => relay.end(),
            Some(relay) => relay.cut(),
            None => Carriage::default(),
        };
        let mut entered = std::mem::take(&mut *lock(&self.entered));
        entered.sort_by_key(|one| one.entry);
        let refused = carriage.connections.into_iter();
        Connections {
            entered,
            refused: refused
                .filter(|carried| matches!(carried.end, End::Refused(_)))
                .collect(),
            full: carriage.is_full.then_some(self.limits.in_all),
            spent: carriage.is_spent.then_some(self.limits.bytes),
        }
    }
}

#[derive(Debug)]
struct Carries(Arc<Egress>);

impl Carrier for Carries {
    fn carry(&self, listeners: Vec<TcpListener>) -> io::Result<()> {
        let Egress {
            asker,
            endpoints,
            limits,
            resolve,
            relay,
            entered,
        } = self.0.as_ref();
        let listeners = endpoints.iter().cloned().zip(listeners);
        let permits = AtTheDoor {
            asker: asker.clone(),
            entered: entered.clone(),
        };
        let started = Relay::start(
            listeners.collect(),
            Arc::new(permits),
            resolve.clone(),
            *limits,
        )?;
        *lock(relay) = Some(started);
        Ok(())
    }
}

#[derive(Debug)]
struct AtTheDoor {
    asker: Asker,
    entered: Arc<Mutex<Vec<Entered>>>,
}

impl Permits for AtTheDoor {
    fn ask(&self, endpoint: &Endpoint) -> Result<Arc<dyn Permit>, String> {
        let Asker { door, session, .. } = &self.asker;
        let asked = door.ask::<Connect>(session, self.asker.target(endpoint));
        let grant = asked.map_err(|problem| match problem.because.first() {
            Some(because) => because.clone(),
            None => problem.what,
        })?;
        Ok(Arc::new(Leave {
            entry: grant.entry(),
            grant: Mutex::new(Some(grant)),
            entered: self.entered.clone(),
        }))
    }
}

/// Leave for one connection, whose entry is in the ledger.
struct Leave {
    entry: u64,
    grant: Mutex<Option<Grant<Connect>>>,
    entered: Arc<Mutex<Vec<Entered>>>,
}

impl Permit for Leave {
    fn goes_on(&self) -> bool {
        let grant = lock(&self.grant);
        grant.as_ref().is_some_and(|grant| grant.goes_on().is_ok())
    }

    fn end(&self, carried: &Carried) {
        let Some(grant) = lock(&self.grant).take() else {
            return;
        };
        match error(&carried.end) {
            Some(error) => grant.fail_with(error, facts(carried)),
            // What the ledger does not take now, it takes later, or says why it takes nothing.
            None => drop(grant.finish_with(facts(carried))),
        }
        lock(&self.entered).push(Entered {
            entry: self.entry,
            carried: carried.clone(),
        });
    }
}

/// Returns why a connection did not come about, or was ended before its time.
const fn error(end: &End) -> Option<Code> {
    match end {
        End::Closed | End::Broken | End::Cut => None,
        End::Unresolved | End::Unreached => Some(code::RUN_045),
        End::Private(_) => Some(code::RUN_046),
        End::Idle | End::Spent => Some(code::RUN_047),
        End::Withdrawn | End::Refused(_) => Some(code::DOOR_001),
    }
}

fn facts(carried: &Carried) -> BTreeMap<String, String> {
    let address = carried.address.map(|address| address.to_string());
    let facts = [
        ("ended", carried.end.to_string()),
        ("received", carried.received.to_string()),
        ("sent", carried.sent.to_string()),
    ];
    let address = address.map(|address| ("address", address));
    let facts = facts.into_iter().chain(address);
    facts
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// What a step connected to, or was kept from.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    entered: Vec<Entered>,
    refused: Vec<Carried>,
    /// How many connections it might make, where it wanted more.
    full: Option<usize>,
    /// How many bytes it might send and be sent, where it had them all.
    spent: Option<u64>,
}

impl Connections {
    /// Tells of each endpoint what was carried, in a line.
    pub(crate) fn made(&self) -> Vec<String> {
        let mut by_place: BTreeMap<_, (u64, u64, u64)> = BTreeMap::new();
        for Entered { carried, .. } in &self.entered {
            if let Some(address) = carried.address {
                let sums = by_place.entry((&carried.endpoint, address)).or_default();
                sums.0 += 1;
                sums.1 += carried.sent;
                sums.2 += carried.received;
            }
        }
        let lines = by_place.into_iter();
        lines
            .map(|((endpoint, address), (count, sent, received))| {
                let (sent, received) = (ByteSize::from_bytes(sent), ByteSize::from_bytes(received));
                let mut line = format!("connected to {endpoint}");
                if endpoint.address().is_none() {
                    let _ = write!(line, " at {address}");
                }
                let _ = write!(
                    line,
                    ": {}, {sent} sent, {received} received",
                    counted(count, "connection")
                );
                line
            })
            .collect()
    }

    /// Tells what kept it from connecting, and what was cut, a line each.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        let entered = self.entered.iter().map(|one| &one.carried);
        for carried in entered.chain(&self.refused) {
            if error(&carried.end).is_some() {
                *counts
                    .entry((&carried.endpoint, carried.end.to_string()))
                    .or_default() += 1;
            }
        }
        let mut lines: Vec<_> = counts
            .into_iter()
            .map(|((endpoint, end), count)| {
                format!("{endpoint}: {end} ({})", counted(count, "connection"))
            })
            .collect();
        if let Some(most) = self.full {
            lines.push(format!(
                "it wanted more connections than `limits.connections`, which is {most}"
            ));
        }
        if let Some(most) = self.spent {
            let most = most >> 20;
            lines.push(format!(
                "it was cut at `limits.network_mib`, which is {most}"
            ));
        }
        lines
    }

    /// Tells all of it to who is told that the step failed.
    pub(crate) fn told_of_failure(&self) -> Vec<String> {
        let made = self.made().into_iter();
        let made = made.map(|line| format!("it had {line}"));
        made.chain(self.troubles()).collect()
    }

    /// Tells the statement what there was: each connection with its entry.
    pub(crate) fn byproduct(&self) -> Value {
        let told = self.entered.iter().take(MOST_TOLD);
        let told: Vec<_> = told
            .map(|Entered { entry, carried }| {
                json!({
                    "endpoint": carried.endpoint,
                    "address": carried.address,
                    "sent": carried.sent,
                    "received": carried.received,
                    "ended": carried.end.to_string(),
                    "entry": entry,
                })
            })
            .collect();
        let more = self.entered.len().saturating_sub(told.len());
        json!({
            "name": NETWORK,
            "isolation": "weaker",
            "connections": told,
            "more": more,
            "refused": self.refused.len(),
        })
    }
}

/// Reads of a statement's byproducts what a step connected to, a line for each endpoint and address; `None` where it had no
/// network.
pub(crate) fn told(byproducts: &[Value]) -> Option<Vec<String>> {
    let named = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(NETWORK);
    let told = byproducts.iter().find(named)?;
    let connections = told.get("connections").and_then(Value::as_array);
    let entered = connections.into_iter().flatten().filter_map(|one| {
        let number = |name: &str| one.get(name).and_then(Value::as_u64);
        let text = |name: &str| one.get(name).and_then(Value::as_str);
        Some(Entered {
            entry: number("entry")?,
            carried: Carried {
                endpoint: text("endpoint")?.parse().ok()?,
                address: text("address").and_then(|address| address.parse().ok()),
                sent: number("sent")?,
                received: number("received")?,
                end: End::Closed,
            },
        })
    });
    let connections = Connections {
        entered: entered.collect(),
        ..Connections::default()
    };
    let mut lines = connections.made();
    let more = told.get("more").and_then(Value::as_u64).unwrap_or_default();
    if more > 0 {
        lines.push(format!("and {} more", counted(more, "connection")));
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io::Read;
    use std::net::IpAddr;
    use std::pin::Pin;

    use custody_guard::testing::World;

    use super::*;

    fn connection(entry: u64, endpoint: &str, address: Option<&str>, end: End) -> Entered {
        Entered {
            entry,
            carried: Carried {
                endpoint: endpoint.parse().unwrap(),
                address: address.map(|address| address.parse().unwrap()),
                sent: 1024,
                received: 10,
                end,
            },
        }
    }

    #[test]
    fn what_was_connected_to_is_told_by_endpoint_and_read_back_from_the_statement() {
        let api = "api.example.com:443";
        let connections = Connections {
            entered: vec![
                connection(3, api, Some("1.1.1.1"), End::Closed),
                connection(5, api, Some("1.1.1.1"), End::Idle),
                connection(7, api, Some("1.0.0.1"), End::Cut),
                connection(9, "10.0.0.1:80", Some("10.0.0.1"), End::Broken),
                connection(11, api, None, End::Private("10.0.0.1".parse().unwrap())),
            ],
            refused: vec![
                connection(0, api, None, End::Refused("nobody may".to_owned())).carried;
                2
            ],
            full: Some(1000),
            spent: Some(5 << 20),
        };
        let made = [
            "connected to 10.0.0.1:80: 1 connection, 1.0 KiB sent, 10 B received",
            "connected to api.example.com:443 at 1.0.0.1: 1 connection, 1.0 KiB sent, 10 B received",
            "connected to api.example.com:443 at 1.1.1.1: 2 connections, 2.0 KiB sent, 20 B received",
        ];
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        assert_eq!(sorted(connections.made()), made);
        assert_eq!(
            connections.troubles(),
            [
                "api.example.com:443: it leads to 10.0.0.1, which is this machine or not of the public network (1 connection)",
                "api.example.com:443: nothing was carried for too long (1 connection)",
                "api.example.com:443: refused: nobody may (2 connections)",
                "it wanted more connections than `limits.connections`, which is 1000",
                "it was cut at `limits.network_mib`, which is 5",
            ]
        );
        let byproducts = [json!({"name": "rows"}), connections.byproduct()];
        assert_eq!(sorted(told(&byproducts).unwrap()), made);
        assert_eq!(byproducts[1]["isolation"], "weaker");
        assert_eq!(byproducts[1]["refused"], 2);
        assert_eq!(told(&byproducts[..1]), None);
        assert_eq!(
            told(&[Connections::default().byproduct()]),
            Some(Vec::new())
        );
    }

    /// Looks, when a name is to be resolved, whether the leave stands in the ledger, and leads to this machine.
    #[derive(Debug)]
    struct Looks(Door, Mutex<Vec<usize>>);

    impl Resolve for Looks {
        fn addresses<'a>(
            &'a self,
            _: &'a str,
            _: u16,
        ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
            lock(&self.1).push(count(&self.0));
            Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
        }
    }

    /// Counts the entries about connections.
    fn count(door: &Door) -> usize {
        let entries = World::entries(door);
        entries
            .iter()
            .filter(|entry| entry.verb == "network.connect")
            .count()
    }

    #[test]
    fn a_connection_is_entered_before_anything_is_done_for_it_and_when_it_ended() {
        let world = World::default();
        let door = world.open();
        let endpoint: Endpoint = "api.example.com:443".parse().unwrap();
        let looks = Arc::new(Looks(door.clone(), Mutex::default()));
        let open = |declared: &[&Endpoint], classification| {
            let scope = custody_guard::StepScope {
                endpoints: declared.iter().map(|one| (*one).clone()).collect(),
                ..custody_guard::StepScope::default()
            };
            let asker = Asker {
                door: door.clone(),
                session: world.person("owner").step("run", "fetch", scope),
                project: "demo".parse().unwrap(),
                classification,
            };
            let limits = RelayLimits::default();
            Egress::open(
                asker,
                std::slice::from_ref(&endpoint),
                limits,
                looks.clone(),
            )
        };
        // What is refused already is refused before the program starts, and entered.
        for (declared, classification) in [
            (&[][..], Classification::Public),
            (&[&endpoint], Classification::Confidential),
        ] {
            let refused = open(declared, classification).unwrap_err();
            assert_eq!(refused.code, code::DOOR_001, "{refused}");
        }
        assert_eq!(count(&door), 2);
        let egress = open(&[&endpoint], Classification::Internal).unwrap();
        assert_eq!(count(&door), 2);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        egress.network().carrier.carry(vec![listener]).unwrap();
        let heard = std::net::TcpStream::connect(at).and_then(|mut inside| inside.read(&mut [0]));
        assert!(heard.is_err(), "it is reset");
        let connections = egress.end(true);
        assert_eq!(*lock(&looks.1), [3]);
        // What waits for the ledger is written.
        assert!(door.is_ready());
        let mut entries = World::entries(&door);
        entries.retain(|entry| entry.verb == "network.connect");
        let [.., leave, outcome] = entries.as_slice() else {
            panic!("{entries:?}");
        };
        assert_eq!(
            leave.decision.as_ref().unwrap().policies,
            ["owner", "step-scope"]
        );
        assert_eq!(leave.objects[0].name, endpoint.to_string());
        assert_eq!(outcome.relates_to.as_ref(), Some(&leave.id));
        assert_eq!(outcome.error.as_deref(), Some("CUS-RUN-046"));
        assert_eq!(outcome.facts["sent"], "0");
        assert_eq!(
            connections.troubles(),
            [format!(
                "{endpoint}: {} (1 connection)",
                outcome.facts["ended"]
            )]
        );
        let (grants, outcomes) = World::grants_and_outcomes(&door);
        assert_eq!(grants, outcomes);
    }

    #[test]
    fn a_statement_names_no_more_connections_than_it_may() {
        let many =
            (0..1_200).map(|entry| connection(entry, "a.example:1", Some("1.1.1.1"), End::Closed));
        let connections = Connections {
            entered: many.collect(),
            ..Connections::default()
        };
        let byproduct = connections.byproduct();
        assert_eq!(byproduct["connections"].as_array().unwrap().len(), 1_000);
        assert_eq!(byproduct["more"], 200);
        let lines = told(&[byproduct]).unwrap();
        assert_eq!(lines.last().unwrap(), "and 200 connections more");
    }
}
