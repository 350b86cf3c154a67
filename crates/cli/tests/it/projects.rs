//! Two projects in one workspace: who may look at one learns nothing of the other, and is told where a door is closed.

use std::fs;

use crate::e2e::files_below;
use crate::world::{World, text};

/// Rows of the project `vault` go into the project `demo`.
const PIPELINE: &str = r"
project: demo
steps:
  count:
    sql:
      inputs: {rows: vault/secret-rows@1}
      outputs: {counted: SELECT count(*) AS n FROM rows}
  copy:
    sql:
      inputs: {counted: counted}
      outputs: {copied: SELECT n FROM counted}
";

/// `ina` may do what a data scientist may in `demo`, and has no part in `vault`; `aud` sees the evidence of both.
const PRINCIPALS: &str = r#"{"users": {
  "ina": {"roles": [{"role": "data_scientist", "project": "demo"}]},
  "aud": {"roles": ["auditor"]}}}"#;

/// Lets `ina` verify what is not of a project.
const POLICY: &str = r#"
@id("ina-verifies")
permit (principal == User::"ina", action == Action::"verify", resource == Project::"*");
"#;

/// What tells of the other project, but for its name, which the statements of `demo` have in their own parameters.
const SECRET: [&str; 3] = ["confidential.csv", "hidden-step", "vault/other"];

fn two_projects() -> World {
    let world = World::empty();
    world.yes(&["init"]);
    world.write("confidential.csv", "id\n1\n2\n");
    world.write("vault.yaml", "");
    let vault = "
project: vault
steps:
  hidden-step:
    source:
      file: confidential.csv
      output: secret-rows
      origin: {publisher: us, url: 'https://example.com', licence: CC0-1.0, legal_basis: none, classification: internal}
  other:
    sql:
      inputs: {rows: secret-rows}
      outputs: {other: SELECT id FROM rows}
";
    world.write("custody.yaml", vault);
    world.yes(&["run"]);
    world.write("custody.yaml", PIPELINE);
    world.yes(&["run"]);
    world.write("policies/principals.json", PRINCIPALS);
    world.write("policies/ina.cedar", POLICY);
    world.yes(&["policy", "apply", "policies"]);
    world
}

#[test]
fn a_trace_stops_at_the_door_of_a_project_that_one_may_not_trace() {
    let world = two_projects();
    for arguments in [
        ["trace", "demo/copied@1"].as_slice(),
        &["--json", "trace", "demo/copied@1"],
        &["trace", "demo/copied@1", "--svg", "drawn.svg"],
        &["verify", "demo/copied@1"],
        &["--json", "verify", "demo/copied@1"],
        &["reproduce", "demo/copied@1"],
        &["compare", "demo/copied@1", "demo/counted@1"],
        &["metrics", "demo/copied@1"],
        &["show", "demo/counted@1"],
        &["bom", "demo/copied@1"],
        &["claims", "demo/copied@1"],
        &["trace", "demo/copied@1", "--down"],
        &["verify", "--all"],
        &["--json", "verify", "--all"],
        &["ls"],
        &["status"],
    ] {
        let told = text(&world.run(&[&["--as", "ina"], arguments].concat()));
        for said in SECRET {
            assert!(!told.contains(said), "{arguments:?}: {told}");
        }
    }
    let drawn = fs::read_to_string(world.path("drawn.svg")).unwrap();
    assert!(drawn.contains("closed or shredded: 1 input"), "{drawn}");
    world.told(
        &["--as", "ina", "trace", "demo/copied@1"],
        0,
        "closed: of a project that you may not trace (rows)",
    );
    let trace = world.json(&["--as", "ina", "trace", "demo/copied@1"]);
    let closed = trace["closed"].as_array().unwrap();
    assert_eq!(
        (closed.len(), &closed[0]["to"]),
        (1, &"demo/counted@1".into()),
        "{trace}"
    );
    let nodes = trace["nodes"].as_array().unwrap();
    let named = |node: &serde_json::Value| node["version"].as_str().unwrap().starts_with("vault/");
    assert!(!nodes.iter().any(named), "{trace}");
    // Part of it is not looked at, and that is no yes.
    world.told(&["--as", "ina", "verify", "demo/copied@1"], 3, "CLOSED");
    world.told(
        &["--as", "ina", "reproduce", "demo/copied@1"],
        3,
        "of a project that you may not look at",
    );
    // Who may trace both sees all of it.
    world.told(&["--as", "aud", "trace", "demo/copied@1"], 0, "hidden-step");
    world.told(
        &["--as", "aud", "verify", "demo/copied@1"],
        0,
        "everything holds",
    );
}

#[test]
fn that_another_project_was_entered_or_found_closed_stands_in_the_ledger_once() {
    let world = two_projects();
    for (who, answer) in [("aud", serde_json::Value::Null), ("ina", "denied".into())] {
        let before = world.json(&["ledger", "log", "--limit", "1"])["size"]
            .as_u64()
            .unwrap();
        world.run(&["--as", who, "trace", "demo/copied@1"]);
        let log = world.json(&["ledger", "log", "--resource", "vault", "--limit", "1000"]);
        let entries = log["entries"].as_array().unwrap().iter();
        let new: Vec<_> = entries
            .filter(|row| row["index"].as_u64().unwrap() >= before && row["entry"]["ph"] == "grant")
            .collect();
        assert_eq!(new.len(), 1, "{who}: {new:?}");
        assert_eq!(new[0]["entry"]["act"], "lineage.read", "{who}");
        assert_eq!(new[0]["entry"]["out"], answer, "{who}");
    }
}

#[test]
fn everything_is_verified_and_what_is_none_of_ones_business_is_counted() {
    let world = two_projects();
    world.told(
        &["--as", "ina", "verify", "--all"],
        0,
        "of projects that you may not list",
    );
    // A byte of every pack is flipped, one after the other: what breaks is told, and of the other project no name.
    let mut broken = 0;
    for pack in files_below(world.path(".custody/packs")) {
        let sound = fs::read(&pack).unwrap();
        let mut bytes = sound.clone();
        bytes[sound.len() / 3] ^= 1;
        fs::write(&pack, bytes).unwrap();
        let output = world.run(&["--as", "ina", "verify", "--all"]);
        let told = text(&output);
        // No byte of a pack is none of its bytes: what names it is broken, whoever may see it.
        assert_eq!(output.status.code(), Some(4), "{}: {told}", pack.display());
        broken += 1;
        assert!(
            !told.contains("secret-rows@") && !told.contains("vault/other"),
            "{told}"
        );
        fs::write(&pack, sound).unwrap();
    }
    assert!(broken > 0);
    world.yes(&["index", "rebuild"]);
    world.told(&["verify", "--all"], 0, "everything holds");
}

fn packs(world: &World) -> Vec<std::path::PathBuf> {
    files_below(world.path(".custody/packs"))
}

#[test]
fn a_shredded_project_is_gone_for_everybody_and_its_history_still_checks() {
    let world = two_projects();
    world.told(&["shred", "vault", "--reason", "x"], 2, "--yes");
    let shred = ["shred", "vault", "--reason", "request 4713", "--yes"];
    world.told(&[&["--as", "aud"], shred.as_slice()].concat(), 3, "");
    world.yes(&["get", "vault/secret-rows@1", "--to", "out"]);
    world.copy_workspace(".custody", "before");
    let before = packs(&world).len();
    let told = world.yes(&shred);
    assert!(told.contains("its 2 versions deleted"), "{told}");
    let left = packs(&world).len();
    assert!(left < before);

    let is_gone = || {
        world.told(&["show", "vault/secret-rows@1"], 5, "was shredded");
        world.told(&["get", "vault/other", "--to", "x"], 5, "was shredded");
        world.told(&["--as", "ina", "show", "vault/other@1"], 5, "there is no");
        world.told(&["put", "vault/new", "custody.yaml"], 5, "was shredded");
        assert!(!world.yes(&["ls"]).contains("vault/"));
        assert!(
            !fs::read_to_string(world.path(".custody/keyring.json"))
                .unwrap()
                .contains("vault")
        );
        world.told(&["trace", "demo/copied@1"], 0, "its project was shredded");
        world.told(
            &["verify", "demo/copied@1"],
            0,
            "that was shredded by entry",
        );
        world.told(&["verify", "--all"], 0, "everything holds");
        world.yes(&["get", "demo/copied@1", "--to", "again"]);
        fs::remove_dir_all(world.path("again")).unwrap();
        let log = world.yes(&["ledger", "log", "--action", "project.shred"]);
        assert!(log.contains("vault"), "{log}");
    };
    is_gone();
    let again = world.yes(&shred);
    let entry = |told: &str| told.rsplit(' ').next().unwrap().trim().to_owned();
    assert_eq!(entry(&again), entry(&told));

    // Packs alone come back from a copy.
    let put_back = |what: &str| {
        let copied = std::process::Command::new("cp")
            .args(["-r", "-T"])
            .args([
                world.path("before").join(what),
                world.path(".custody").join(what),
            ])
            .status();
        assert!(copied.unwrap().success());
    };
    put_back("packs");
    assert!(packs(&world).len() >= before);
    is_gone();
    world.told(
        &["verify", "--all"],
        0,
        "of shredded projects, which nothing opens",
    );
    world.yes(&["index", "rebuild"]);
    is_gone();

    // The keys with them: as after a crash between the entry and the deed.
    put_back("packs");
    put_back("keyring.json");
    is_gone();
    put_back("packs");
    put_back("keyring.json");
    fs::remove_file(world.path(".custody/catalog.sqlite")).unwrap();
    is_gone();

    // All of it: the ledger is not the one that was here before.
    fs::remove_dir_all(world.path(".custody")).unwrap();
    world.copy_workspace("before", ".custody");
    world.told(&["ls"], 4, "accept-rollback");
}
