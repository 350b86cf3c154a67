//! Keys take the place of others: while a server works, in copies from before, and where a project was shredded.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::server::Served;
use crate::world::{World, check};

fn with_notes() -> World {
    let world = World::empty();
    world.yes(&["init"]);
    world.yes(&["account", "add", "ada", "--role", "data_scientist"]);
    world.write("a.txt", "first");
    world.write("b.txt", "second");
    world.yes(&["put", "p/a", "a.txt"]);
    world.yes(&["put", "q/b", "b.txt"]);
    world
}

/// The file in which the key lies.
fn key_file(world: &World) -> std::path::PathBuf {
    let folder = world.folder.path().join("home/.config/custody/keys");
    let mut files = fs::read_dir(folder).unwrap();
    files.next().unwrap().unwrap().path()
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

#[test]
fn a_server_answers_everybody_while_its_keys_rotate() {
    let served = Served::of(with_notes());
    let (_, ada) = served.token(&["--for", "ada"]);
    let over = AtomicBool::new(false);
    let asked = AtomicUsize::new(0);
    let world = served.used(|served| {
        std::thread::scope(|scope| {
            for client in 0..3 {
                let (over, asked, ada) = (&over, &asked, &ada);
                let name = format!("p/of-{client}");
                let file = format!("{client}.txt");
                scope.spawn(move || {
                    let mut number = 0;
                    while !over.load(Ordering::SeqCst) || number < 2 {
                        number += 1;
                        let content = format!("{client} {number}");
                        served.elsewhere.write(&file, &content);
                        served.told(ada, &["put", &name, &file], 0, "");
                        let reference = format!("{name}@{number}");
                        served.told(ada, &["verify", &reference], 0, "everything holds");
                        asked.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            for _ in 0..5 {
                served.world.told(&["keys", "rotate"], 0, "the new key");
                let before = asked.load(Ordering::SeqCst);
                while asked.load(Ordering::SeqCst) == before {
                    std::thread::yield_now();
                }
            }
            over.store(true, Ordering::SeqCst);
        });
        // Nobody does it by a token, nor the passphrase from elsewhere.
        let (_, owner) = served.token(&[]);
        served.told(&ada, &["keys", "rotate"], 3, "may not");
        served.told(&owner, &["keys", "rotate"], 3, "it is for a person");
        served.told(
            &owner,
            &["keys", "status"],
            0,
            "content key 6; 6 epochs can be read",
        );
    });
    // What was stored under each of them is there for the next process.
    world.told(&["verify", "--all"], 0, "everything holds");
    let status = world.json(&["keys", "status"]);
    assert_eq!(status["projects"][0]["epochs"], 6, "{status}");
    assert_eq!(status["is_between"], false, "{status}");
}

#[test]
fn a_copy_from_before_opens_with_its_own_key_file_and_shredding_reaches_it_without() {
    let world = with_notes();
    let key = key_file(&world);
    let (old_key, old) = (world.path("old.key"), world.path("old"));
    copy(&key, &old_key);
    copy(&world.path(".custody"), &old);
    let rotated = world.told(&["keys", "rotate"], 0, "keep a copy of the key file");
    assert!(rotated.contains("new content keys for"), "{rotated}");
    // The same content again is not stored again, whichever epoch it was sealed in.
    let again = world.json(&["put", "p/again", "a.txt"]);
    assert_eq!(again["stored"], 0, "{again}");
    world.told(
        &["shred", "q", "--reason", "asked for", "--yes"],
        0,
        "are destroyed",
    );
    world.told(&["get", "p/a@1", "--to", "out"], 0, "");
    world.told(&["verify", "--all"], 0, "everything holds");
    // The whole copy, opened elsewhere by who has the key file of now, opens nothing.
    let elsewhere = World::empty();
    copy(&old, &elsewhere.path(".custody"));
    let open = |with: &std::path::Path| {
        let mut command = elsewhere.command(&["get", "q/b@1", "--to", "out"]);
        command.env("CUSTODY_KEY_FILE", with).output().unwrap()
    };
    check(&open(&key), 2, "CUS-KEY-004");
    check(&open(&old_key), 0, "");
    let got = fs::read_to_string(elsewhere.path("out/b.txt")).unwrap();
    assert_eq!(got, "second");
}

#[test]
fn the_passphrase_of_a_served_workspace_changes_on_its_machine() {
    let served = Served::of(with_notes());
    let (_, owner) = served.token(&[]);
    let new = |from: &str, to: &str| {
        let mut command = served.world.command(&["keys", "passphrase"]);
        command
            .env("CUSTODY_PASSPHRASE", from)
            .env("CUSTODY_NEW_PASSPHRASE", to);
        command.output().unwrap()
    };
    check(&new("", "correct horse"), 0, "under the new passphrase");
    check(&new("wrong horse", "battery staple"), 2, "CUS-KEY-008");
    check(&new("correct horse", ""), 2, "CUS-KEY-013");
    check(
        &new("correct horse", "battery staple"),
        0,
        "under the new passphrase",
    );
    // The server goes on, and rotates under the passphrase that it has learnt.
    served.told(&owner, &["ls"], 0, "p/a@1");
    let with = |arguments: &[&str]| {
        let mut command = served.world.command(arguments);
        command
            .env("CUSTODY_PASSPHRASE", "battery staple")
            .output()
            .unwrap()
    };
    check(&with(&["keys", "rotate"]), 0, "the new key");
    check(
        &with(&["keys", "status"]),
        0,
        "in a key file under a passphrase",
    );
    // What the ledger says of it is no passphrase.
    let log = check(
        &with(&["--json", "ledger", "log", "--action", "keys.rotate"]),
        0,
        "",
    );
    assert!(log.contains("\"passphrase\": \"changed\""), "{log}");
    assert!(!log.contains("horse") && !log.contains("staple"), "{log}");
    let world = served.used(|_| {});
    world.told(&["ls"], 2, "CUS-KEY-007");
    let mut command = world.command(&["verify", "--all"]);
    let output = command.env("CUSTODY_PASSPHRASE", "battery staple").output();
    check(&output.unwrap(), 0, "everything holds");
}
