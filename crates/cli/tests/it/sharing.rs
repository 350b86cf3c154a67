//! Several processes of one user in one workspace.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::world::{World, assert_ok, check};

impl World {
    /// A workspace in which a run goes on for `seconds`, and that run.
    fn at_work(seconds: u32) -> (Self, Child) {
        let world = Self::of_words();
        world.write(
            "count.sh",
            &format!("sleep {seconds}; echo 1 > \"$CUSTODY_OUTPUT_COUNT\"/count.txt\n"),
        );
        let run = world.start(&["run"]);
        world.socket();
        (world, run)
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Connects to the process that works in the workspace, as soon as it lets others in.
    pub(crate) fn socket(&self) -> UnixStream {
        for _ in 0..1000 {
            if let Ok(stream) = UnixStream::connect(self.path(".custody/ledger/socket")) {
                return stream;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nobody listens");
    }
}

/// The length of all files below a folder.
fn length_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => length_of(&entry.path()),
            Ok(about) => about.len(),
            // Removed between the two.
            Err(_) => 0,
        })
        .sum()
}

fn goes_on(child: &mut Child) {
    assert!(child.try_wait().unwrap().is_none(), "it has ended");
}

#[test]
fn others_read_and_write_while_a_run_goes_on() {
    let (world, mut run) = World::at_work(6);
    world.write("more.txt", "more\n");
    world.told(&["put", "demo/more", "more.txt"], 0, "demo/more@1");
    world.told(&["ls"], 0, "demo/more");
    world.told(&["show", "demo/words@1"], 0, "demo/words@1");
    world.yes(&["get", "demo/more@1", "--to", "out"]);
    assert_eq!(
        fs::read_to_string(world.path("out/more.txt")).unwrap(),
        "more\n"
    );
    world.told(&["get", "demo/nothing", "--to", "no"], 5, "demo/nothing");
    world.yes(&["verify", "--all"]);
    world.yes(&["ledger", "verify"]);
    let log = world.json(&["ledger", "log", "--action", "object.write"]);
    let actors = log["entries"].as_array().unwrap().iter();
    let actors: BTreeSet<_> = actors.map(|entry| entry["actor"].to_string()).collect();
    assert_eq!(actors.len(), 1, "one user: {log}");
    goes_on(&mut run);
    world.told(&["run", "--dry-run"], 0, "count");
    // Only one process runs steps; another waits for it, or says that it does not.
    check(
        &world.run(&["--no-wait", "run"]),
        75,
        "another process works in this workspace",
    );
    let second = world.start(&["run"]);
    goes_on(&mut run);
    assert!(run.wait().unwrap().success());
    let second = second.wait_with_output().unwrap();
    check(&second, 0, "waiting: another process works");
    check(&second, 0, "reused   count");
    world.yes(&["verify", "--all"]);
}

/// The index is made anew beside readers: what they look for is found meanwhile.
#[test]
fn readers_find_everything_while_the_index_is_made_anew() {
    let world = World::of_words();
    for number in 0..20 {
        world.write("file", &format!("{number}"));
        world.yes(&["put", "demo/file", "file"]);
    }
    world.write("count.sh", "sleep 60\n");
    let mut run = world.start(&["run"]);
    drop(world.socket());
    std::thread::scope(|scope| {
        let rebuilds = scope.spawn(|| {
            for _ in 0..15 {
                world.yes(&["index", "rebuild"]);
            }
        });
        let mut number = 0;
        while !rebuilds.is_finished() {
            number = number % 20 + 1;
            world.yes(&["show", &format!("demo/file@{number}")]);
        }
    });
    run.kill().unwrap();
    run.wait().unwrap();
    world.yes(&["verify", "--all"]);
}

#[test]
fn a_process_ends_after_those_that_it_let_in() {
    let (world, mut run) = World::at_work(1);
    let mut stream = world.socket();
    let mut greeting = [0; 8];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"custody ");
    // What is not HTTP disturbs nobody else.
    let mut other = world.socket();
    other.write_all(&[0xFF; 4096]).unwrap();
    world.told(&["ls"], 0, "demo/words");
    let says = BufReader::new(run.stderr.take().unwrap()).lines();
    let waits = says.map(Result::unwrap);
    let mut waits = waits.filter(|line| line.contains("waiting for another command"));
    assert!(waits.next().is_some(), "it ends, and says nothing");
    goes_on(&mut run);
    drop(stream);
    assert!(run.wait().unwrap().success());
    assert!(!world.path(".custody/ledger/socket").exists());
}

#[test]
fn a_killed_holder_costs_others_their_request_and_nothing_else() {
    let (world, mut run) = World::at_work(60);
    let bytes = fs::File::open("/dev/urandom").unwrap();
    let mut big = fs::File::create(world.path("big.bin")).unwrap();
    std::io::copy(&mut bytes.take(256 << 20), &mut big).unwrap();
    let put = world.start(&["put", "demo/big", "big.bin"]);
    while length_of(&world.path(".custody")) < 16 << 20 {
        std::thread::sleep(Duration::from_millis(10));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    check(
        &put.wait_with_output().unwrap(),
        75,
        "ended before it answered",
    );
    // Whoever comes next takes the workspace; the step and the `put` are entered as `unknown`.
    world.told(&["get", "demo/big", "--to", "no"], 5, "demo/big");
    world.yes(&["verify", "--all"]);
    let log = world.json(&["ledger", "log", "--limit", "100"]).to_string();
    assert!(log.contains("unknown"), "{log}");
    world.write("count.sh", "echo 1 > \"$CUSTODY_OUTPUT_COUNT\"/count.txt\n");
    assert_ok(&world.run(&["run"]));
}

#[test]
fn first_writes_of_several_processes_keep_all_keys() {
    let world = World::of_words();
    world.write("file", "bytes\n");
    for round in 0..3 {
        let name = |project: u32| format!("new-{round}-{project}/file");
        let puts: Vec<_> = (0..4)
            .map(|project| world.start(&["put", &name(project / 2), "file"]))
            .collect();
        let mut made = Vec::new();
        for put in puts {
            made.push(check(&put.wait_with_output().unwrap(), 0, "file@"));
        }
        made.sort();
        for project in 0..2 {
            let shown: Value = world.json(&["show", &name(project)]);
            assert_eq!(shown["version"]["name"], format!("{}@2", name(project)));
        }
    }
    world.yes(&["verify", "--all"]);
    for round in 0..3 {
        let to = format!("out-{round}");
        world.yes(&["get", &format!("new-{round}-0/file@1"), "--to", &to]);
    }
}
