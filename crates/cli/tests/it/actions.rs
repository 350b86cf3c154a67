//! Every action that a policy can speak of is asked by an operation: none permits or forbids nothing.

use std::collections::BTreeSet;
use std::process::Command;

use custody_types::Action;

use crate::sealed::unseal_once;
use crate::server::Served;
use crate::world::World;

pub(crate) const PIPELINE: &str = r#"
project: demo
purpose: testing
environment: {python: "3.11", lock: requirements.lock}
steps:
  collect:
    source:
      file: rows.csv
      output: rows
      origin: {publisher: us, url: "https://example.com", licence: CC0-1.0, legal_basis: none, classification: internal}
  contract:
    check:
      input: rows
      key: id
      checks: [{not_null: {columns: [id]}}]
  train:
    run:
      command: [/bin/sh, -c, "echo weights > \"$CUSTODY_OUTPUT_MODEL\"/model.txt; cp \"$CUSTODY_INPUT_ROWS\"/* \"$CUSTODY_OUTPUT_SAID\""]
      inputs: {rows: rows}
      outputs:
        model: {artifact: model, kind: model}
        said: {artifact: said, kind: dataset, classification: public}
  score:
    run:
      command: [/bin/sh, -c, "cp \"$CUSTODY_INPUT_ROWS\"/* \"$CUSTODY_OUTPUT_SCORES\""]
      inputs: {rows: rows, model: model}
      outputs: {scores: {artifact: scores, kind: dataset}}
  measure:
    evaluate: {model: model, data: rows, predictions: scores, key: id, label: label, score: score, overlap: allowed}
  decide:
    gate: {model: model, evaluation: measure, require: {roc_auc: {min: 0.5}}}
  register:
    register: {model: model, gate: decide, output: registered}
"#;

/// What the command line asked for in this workspace, by the ledger's own account.
fn asked(world: &World) -> BTreeSet<String> {
    let log = world.json(&["ledger", "log", "--limit", "100000"]);
    let entries = log["entries"].as_array().unwrap().iter();
    entries
        .filter(|entry| entry["entry"]["ph"] == "grant")
        .map(|entry| entry["entry"]["act"].as_str().unwrap().to_owned())
        .collect()
}

impl World {
    /// Writes [`PIPELINE`], or one like it, with what it needs.
    pub(crate) fn write_pipeline(&self, pipeline: &str) {
        let rows = (0..40).map(|id| format!("{id},{},0.{:02}\n", id % 2, 10 + 40 * (id % 2) + id));
        let rows = format!("id,label,score\n{}", rows.collect::<String>());
        self.write("rows.csv", &rows);
        self.write("requirements.lock", "");
        self.write("custody.yaml", pipeline);
    }

    pub(crate) fn signing_key(&self, name: &str) {
        let made = Command::new("openssl")
            .args(["genpkey", "-algorithm", "EC", "-pkeyopt"])
            .args(["ec_paramgen_curve:P-256", "-out"])
            .arg(self.path(name))
            .output();
        assert!(made.unwrap().status.success());
    }
}

#[test]
fn every_action_is_asked() {
    let world = World::empty();
    world.write_pipeline(PIPELINE);
    world.write("policies/own.cedar", "");
    world.signing_key("key.pem");
    world.yes(&["init"]);
    world.copy_workspace(".custody", "old");
    world.yes(&["ls"]);
    world.copy_workspace("old", ".custody");
    world.told(&["ls"], 4, "accept-rollback");
    let accept = ["ledger", "accept-rollback", &world.id(), "--reason", "none"];
    world.yes(&accept);
    world.yes(&["run"]);
    for arguments in [
        "put demo/note rows.csv",
        "ls",
        "get demo/note --to out",
        "data head demo/rows",
        "alias demo/note good 1",
        "trace demo/registered",
        "verify demo/registered",
        "reproduce demo/model",
        "rescan demo/registered",
        "sign demo/registered --stored --key key.pem --signature model.sig",
        "ledger verify",
        "ledger export copy",
        "policy show",
        "policy apply policies",
        "account ls",
        "account add ada",
        "token create --for ada",
        "rules apply",
        "keys status",
        "keys rotate",
        "index rebuild",
    ] {
        world.yes(&arguments.split(' ').collect::<Vec<_>>());
    }
    let connects = PIPELINE.replace(
        "      inputs: {rows: rows}\n      outputs:",
        "      inputs: {rows: rows}\n      network: ['127.0.0.1:9']\n      outputs:",
    );
    world.write("custody.yaml", &connects);
    let refused = "may not connect to endpoint `127.0.0.1:9`";
    world.told(&["run", "train"], 3, refused);
    world.write("custody.yaml", PIPELINE);
    // There is nothing to decide on, which is said after it was asked.
    let runs = world.json(&["runs"]);
    let run = runs["runs"][0]["id"].as_str().unwrap();
    world.told(&["runs", "cancel", run], 5, "has ended");
    world.told(&["server", "metrics"], 5, "nothing is counted");
    world.told(&["approve", "demo/note@1", "--reason", "none"], 1, "");
    world.told(&["reject", "demo/note@1", "--reason", "none"], 1, "");
    world.told(&["remove", "demo/note@1"], 1, "");
    world.told(
        &["shred", "none", "--reason", "x", "--yes"],
        5,
        "no project",
    );
    world.yes(&["account", "add", "olga", "--role", "security_officer"]);
    world.write("policies/settings.json", r#"{"second_person": true}"#);
    world.yes(&["policy", "apply", "policies"]);
    let approve = ["--as", "olga", "policy", "approve", "custody/changes@1"];
    world.told(&["account", "add", "eve"], 6, "custody/changes@1");
    world.yes(&approve);
    world.write("policies/settings.json", "{}");
    world.told(&["policy", "apply", "policies"], 6, "custody/changes@2");
    let approve = ["--as", "olga", "policy", "approve", "custody/changes@2"];
    world.yes(&approve);
    world.told(&["token", "revoke", "none"], 5, "there is no such token");
    let world = Served::of(world).used(|served| {
        served.sign_out(&served.enrol("ada", &served.invited("ada")));
    });
    unseal_once(&world);
    let verbs = Action::ALL.iter().map(|action| action.verb().to_owned());
    assert_eq!(asked(&world), verbs.collect::<BTreeSet<_>>());

    // What is asked can be forbidden.
    let forbid = r#"forbid (principal, action in [Action::"decideGate", Action::"signModel", Action::"createProject"], resource);"#;
    world.write("policies/own.cedar", forbid);
    world.yes(&["policy", "apply", "policies"]);
    let sign = "sign demo/registered --stored --key key.pem --signature other.sig";
    let sign: Vec<_> = sign.split(' ').collect();
    world.told(&sign, 3, "forbidden by the policy");
    world.told(&["put", "other/note", "rows.csv"], 3, "may not begin");
    world.yes(&["put", "demo/note", "rows.csv"]);
    world.write("custody.yaml", &PIPELINE.replace("min: 0.5", "min: 0.4"));
    world.told(&["run"], 3, "may not decide the gate of");
}
