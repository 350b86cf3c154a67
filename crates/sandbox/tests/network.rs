//! What a step may connect to, and what it cannot all the same: tried by steps against a machine that listens.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic"
)]

#[path = "support/nobody.rs"]
mod nobody;
mod support;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Arc, Mutex};

use custody_sandbox::{
    Carrier, Exit, Finished, Interrupt, Limits, Network, Observe, SandboxError, Spec, run,
};
use nobody::as_nobody;
use support::{Memory, launcher};

/// Answers who connects with the number of the endpoint and what they said.
#[derive(Debug, Default)]
struct Echo(Mutex<Vec<std::thread::JoinHandle<()>>>);

impl Carrier for Echo {
    fn carry(&self, listeners: Vec<TcpListener>) -> io::Result<()> {
        let mut threads = self.0.lock().unwrap();
        for (number, listener) in listeners.into_iter().enumerate() {
            let echo = move || {
                // It ends when the last process that could connect is gone, and its network with it.
                while let Ok((mut stream, _)) = listener.accept() {
                    let mut said = [0; 5];
                    if stream.read_exact(&mut said).is_ok() {
                        let said = String::from_utf8_lossy(&said);
                        let _ = stream.write_all(format!("{number}:{said}").as_bytes());
                    }
                    if &said == b"close" {
                        break;
                    }
                }
            };
            threads.push(std::thread::spawn(echo));
        }
        Ok(())
    }
}

fn spec(program: &str, carrier: Arc<dyn Carrier>, endpoints: &[String]) -> Spec {
    let endpoints = endpoints.iter().map(|text| text.parse().unwrap());
    Spec {
        argv: ["/usr/bin/python3.11", "-I", "/code/main.py"]
            .map(ToOwned::to_owned)
            .to_vec(),
        env: BTreeMap::new(),
        environment: None,
        code: Some(Memory::of(&[("main.py", program)])),
        inputs: BTreeMap::new(),
        outputs: Vec::new(),
        network: Some(Network {
            endpoints: endpoints.collect(),
            carrier,
        }),
        limits: Limits {
            time_ms: 60_000,
            ..Limits::default()
        },
        observe: Observe::Nothing,
        interrupt: Interrupt::default(),
    }
}

/// Functions with which the programs begin. `say` connects as any program does, and returns what was answered.
const WORDS: &str = r"
import os, socket, sys
def say(host, port, word=b'hello'):
    with socket.create_connection((host, port), 20) as one:
        one.sendall(word)
        return one.recv(100).decode()
def refused(what):
    try:
        what()
    except OSError as error:
        print('refused', error)
    else:
        print('ESCAPED')
";

fn start(program: &str, endpoints: &[String]) -> (Finished, String) {
    let program = format!("{WORDS}{program}");
    let finished = run(
        &launcher(),
        &spec(&program, Arc::new(Echo::default()), endpoints),
        &mut |_| {},
        &mut |_| Ok(()),
    )
    .unwrap();
    let log = String::from_utf8_lossy(&finished.log).into_owned();
    assert_eq!(finished.exit, Exit::Code(0), "{log}");
    assert!(!log.contains("ESCAPED"), "{log}");
    (finished, log)
}

fn owned(endpoints: &[&str]) -> Vec<String> {
    endpoints.iter().map(|&one| one.to_owned()).collect()
}

/// By name and by address, at a port for which others need privileges, and several of one host.
#[test]
fn a_step_connects_to_what_it_declares_by_the_name_that_it_has() {
    let endpoints = owned(&[
        "api.example.com:443",
        "api.example.com:8443",
        "other.example.com:443",
        "203.0.113.7:5432",
        "127.0.0.1:80",
        "[2001:db8::7]:443",
        "[::1]:81",
    ]);
    let (finished, log) = start(
        "print(*[say(host, port) for host, port in [('api.example.com', 443), ('api.example.com', 8443), ('other.example.com', 443),\n    ('203.0.113.7', 5432), ('127.0.0.1', 80), ('2001:db8::7', 443), ('::1', 81)]])",
        &endpoints,
    );
    assert_eq!(
        log,
        "0:hello 1:hello 2:hello 3:hello 4:hello 5:hello 6:hello\n"
    );
    let told = finished.enforced.iter().find(|one| {
        one.what
            .starts_with("network to its declared endpoints alone; weaker")
    });
    for endpoint in &endpoints {
        assert!(told.unwrap().by.contains(endpoint.as_str()), "{told:?}");
    }
    assert!(finished.enforced.iter().all(|one| one.what != "no network"));
}

#[test]
fn nothing_else_can_be_reached() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let name = format!("custody-network-{port}");
    let _unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let attacks = [
        // Another port of the same host, another host, a name below it, a name that the machine knows.
        "socket.create_connection(('api.example.com', 80), 5)".to_owned(),
        "socket.create_connection(('other.example.com', 443), 5)".to_owned(),
        "socket.getaddrinfo('x.api.example.com', 443)".to_owned(),
        "socket.getaddrinfo('example.com', 443)".to_owned(),
        // What listens on the machine, by each of the names that it has for itself.
        format!("socket.create_connection(('127.0.0.1', {port}), 5)"),
        format!("socket.create_connection(('localhost', {port}), 5)"),
        format!("socket.create_connection(('127.0.1.1', {port}), 5)"),
        format!("socket.create_connection(('203.0.113.7', {port}), 5)"),
        format!("socket.socket(socket.AF_UNIX).connect('\\0{name}')"),
        // What tells machines in a cloud who they are; and neighbours of what is declared.
        "socket.create_connection(('169.254.169.254', 80), 5)".to_owned(),
        "socket.create_connection(('fd00:ec2::254', 80), 5)".to_owned(),
        "socket.create_connection(('203.0.113.8', 5432), 5)".to_owned(),
        "socket.create_connection(('10.0.0.1', 443), 5)".to_owned(),
        "socket.create_connection(('1.1.1.1', 443), 5)".to_owned(),
        "socket.create_connection(('2606:4700::1111', 443), 5)".to_owned(),
        // By other means than TCP.
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('1.1.1.1', 53))".to_owned(),
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('203.0.113.8', 53))".to_owned(),
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)".to_owned(),
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)".to_owned(),
        // To stand in the place of what is declared: there somebody listens, and names stay as they are.
        "socket.create_server(('127.0.1.1', 443))".to_owned(),
        "socket.create_server(('203.0.113.7', 5432))".to_owned(),
        "socket.create_server(('203.0.113.7', 22))".to_owned(),
        "open('/etc/hosts', 'a')".to_owned(),
        "open('/etc/resolv.conf', 'w')".to_owned(),
        // To give the loopback another address, or a route.
        "__import__('fcntl').ioctl(socket.socket(), 0x8916, b'lo:9'.ljust(16, bytes(1)) + bytes([2, 0, 0, 0, 10, 0, 0, 1]).ljust(24, bytes(1)))".to_owned(),
        "__import__('fcntl').ioctl(socket.socket(), 0x890b, bytes(120))".to_owned(),
    ];
    let program: Vec<_> = attacks
        .iter()
        .map(|attack| format!("refused(lambda: {attack})\n"))
        .collect();
    let program = program.concat();
    let (_, log) = start(
        &format!(
            "{program}print('control', say('api.example.com', 443), say('203.0.113.7', 5432))"
        ),
        &owned(&["api.example.com:443", "203.0.113.7:5432"]),
    );
    let count = log
        .lines()
        .filter(|line| line.starts_with("refused"))
        .count();
    assert_eq!(count, attacks.len(), "{log}");
    assert!(log.ends_with("control 0:hello 1:hello\n"), "{log}");
}

/// The step holds no descriptor of a listener, so it cannot take connections that are meant for outside.
#[test]
fn no_process_of_the_step_has_the_listeners() {
    let (_, log) = start(
        "import glob\nfound = []\nfor one in glob.glob('/proc/[0-9]*/fd/[0-9]*'):\n    try: found.append(os.readlink(one))\n    except OSError: pass\nprint(len(found) >= 3, [one for one in found if 'socket' in one])",
        &owned(&["api.example.com:443"]),
    );
    assert_eq!(log, "True []\n");
}

/// When nobody listens any more, who connects is refused at once.
#[test]
fn what_the_carrier_closes_is_closed() {
    let (_, log) = start(
        "say('api.example.com', 443, b'close')\nimport time\nwhile True:\n    try: socket.create_connection(('api.example.com', 443), 5).close()\n    except ConnectionRefusedError: break\n    except ConnectionResetError: pass\nprint('refused', say('other.example.com', 443))",
        &owned(&["api.example.com:443", "other.example.com:443"]),
    );
    assert_eq!(log, "refused 1:hello\n");
}

#[derive(Debug)]
struct Unwilling;

impl Carrier for Unwilling {
    fn carry(&self, _: Vec<TcpListener>) -> io::Result<()> {
        Err(io::Error::other("no threads"))
    }
}

#[test]
fn a_step_whose_endpoints_nobody_carries_does_not_start() {
    let spec = spec(
        "print('ran')",
        Arc::new(Unwilling),
        &owned(&["a.example:1"]),
    );
    let mut said = Vec::new();
    let ended = run(
        &launcher(),
        &spec,
        &mut |bytes| said.extend_from_slice(bytes),
        &mut |_| Ok(()),
    );
    assert!(
        matches!(&ended, Err(SandboxError::Broken(because)) if because == "no threads"),
        "{ended:?}"
    );
    assert!(said.is_empty());
}

/// A connection of a step that is killed amid what it says ends with it.
#[test]
fn a_step_that_is_killed_amid_a_transfer_leaves_nothing_open() {
    #[derive(Debug, Default)]
    struct Held(Mutex<Option<TcpStream>>, Interrupt);
    #[derive(Debug)]
    struct Hold(Arc<Held>);
    impl Carrier for Hold {
        fn carry(&self, mut listeners: Vec<TcpListener>) -> io::Result<()> {
            let hold = self.0.clone();
            let listener = listeners.remove(0);
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_exact(&mut [0; 100]).unwrap();
                *hold.0.lock().unwrap() = Some(stream);
                hold.1.raise();
            });
            Ok(())
        }
    }
    let hold = Arc::new(Held::default());
    let program = format!(
        "{WORDS}one = socket.create_connection(('a.example', 1))\nwhile True: one.sendall(bytes(1 << 16))"
    );
    let mut spec = spec(
        &program,
        Arc::new(Hold(hold.clone())),
        &owned(&["a.example:1"]),
    );
    spec.interrupt = hold.1.clone();
    let ended = run(&launcher(), &spec, &mut |_| {}, &mut |_| Ok(()));
    assert!(matches!(ended, Err(SandboxError::Interrupted)), "{ended:?}");
    // What was said is there, and then the end.
    let mut stream = hold.0.lock().unwrap().take().unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(
        stream
            .write_all(b"x")
            .and_then(|()| stream.write_all(b"x"))
            .is_err()
    );
}

#[test]
fn all_of_this_holds_for_an_ordinary_user() {
    as_nobody("all_of_this_holds_for_an_ordinary_user", "6 passed");
}
