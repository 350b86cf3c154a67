//! A server that is started without the passphrase of its key file.

use std::io::Read;
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Deserializer, StreamDeserializer, Value, de::IoRead};

use crate::world::{World, check};

const PASSPHRASE: &str = "correct horse battery staple";

fn with_passphrase() -> World {
    let world = World::empty();
    told(&world, PASSPHRASE, &["init", "--passphrase"], 0, "");
    world
}

/// Starts a server, and returns what it prints.
fn start(
    world: &World,
) -> (
    Child,
    StreamDeserializer<'static, IoRead<ChildStdout>, Value>,
) {
    let arguments = ["--json", "serve", "--listen", "127.0.0.1:0"];
    let mut process = world
        .command(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = process.stdout.take().unwrap();
    (process, Deserializer::from_reader(output).into_iter())
}

/// Runs a command that knows a passphrase.
fn told(world: &World, passphrase: &str, arguments: &[&str], code: i32, says: &str) -> String {
    let mut command = world.command(arguments);
    let output = command.env("CUSTODY_PASSPHRASE", passphrase).output();
    check(&output.unwrap(), code, says)
}

/// Puts the key file under a passphrase, has a server unsealed, ends it, and takes the passphrase away.
pub(crate) fn unseal_once(world: &World) {
    let mut under = world.command(&["keys", "passphrase"]);
    let under = under.env("CUSTODY_NEW_PASSPHRASE", PASSPHRASE).output();
    check(&under.unwrap(), 0, "");
    let (mut process, mut documents) = start(world);
    assert!(documents.next().unwrap().is_ok());
    told(world, PASSPHRASE, &["unseal"], 0, "the server is unsealed");
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(0));
    told(world, PASSPHRASE, &["keys", "passphrase", "--none"], 0, "");
}

#[test]
fn a_sealed_server_answers_nothing_until_it_is_given_the_passphrase() {
    let world = with_passphrase();
    told(&world, PASSPHRASE, &["unseal"], 5, "no sealed server works");
    let (mut process, mut documents) = start(&world);
    let sealed = documents.next().unwrap().unwrap();
    assert_eq!(sealed["schema"], "custody/sealed/1");
    let address = sealed["address"].as_str().unwrap();
    // Who comes over the network is sent away, with not a byte.
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut said = Vec::new();
        let _reset = stream.read_to_end(&mut said);
        assert!(said.is_empty(), "{said:?}");
    }
    // On its machine, who has the passphrase is told why nothing is answered; another server does not start.
    told(&world, PASSPHRASE, &["ls"], 75, "is sealed");
    let second = ["serve", "--listen", "127.0.0.1:0"];
    told(&world, PASSPHRASE, &second, 75, "another");
    for wrong in ["wrong", "correct horse battery stapl"] {
        told(&world, wrong, &["unseal"], 2, "does not open the key file");
    }
    told(&world, PASSPHRASE, &["unseal"], 0, "the server is unsealed");
    let serving = documents.next().unwrap().unwrap();
    assert_eq!(serving["schema"], "custody/serving/1");
    assert!(serving["invitation"].is_string());
    told(&world, PASSPHRASE, &["unseal"], 5, "no sealed server works");
    // Commands of the machine go on through it, and the ledger says who unsealed it.
    let log = ["--json", "ledger", "log", "--action", "keys.unseal"];
    let log = told(&world, PASSPHRASE, &log, 0, "");
    let log: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(log["entries"].as_array().unwrap().len(), 2, "{log}");
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn a_sealed_server_ends_when_it_is_told_to() {
    let world = with_passphrase();
    let (mut process, mut documents) = start(&world);
    assert!(documents.next().unwrap().is_ok());
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(75));
    told(&world, PASSPHRASE, &["verify", "--all"], 0, "");
}
