//! Approvals that a gate asks for.

use crate::actions::PIPELINE;
use crate::world::World;

const GATE: &str = "require: {roc_auc: {min: 0.5}}";

/// A workspace in which a data scientist trains, and others approve.
fn asking(approvals: u8) -> World {
    let world = World::empty();
    let pipeline = PIPELINE.replace(GATE, &format!("{GATE}, approvals: {approvals}"));
    world.write_pipeline(&pipeline.replace(", classification: public", ""));
    world.yes(&["init"]);
    world.yes(&["account", "add", "ada", "--role", "data_scientist"]);
    for name in ["olga", "otto", "omar"] {
        world.yes(&["account", "add", name, "--role", "approver"]);
    }
    world
}

fn approve(world: &World, who: &str, name: &str, code: i32, says: &str) {
    let approve = ["--as", who, "approve", name, "--reason", "read its figures"];
    world.told(&approve, code, says);
}

#[test]
fn a_model_is_registered_once_as_many_others_approved_as_its_gate_asks_for() {
    let world = asking(2);
    let decision = "demo/decide@1";
    let told = world.told(&["--as", "ada", "run"], 6, "it waits for approvals");
    assert!(
        told.contains(&format!("custody approve {decision}")),
        "{told}"
    );
    world.told(
        &["--as", "ada", "show", decision],
        0,
        "approvals       0 of 2",
    );
    // Not who asked for it, nor a program, nor somebody who may not; the owner, who acts for ada, neither.
    world.yes(&["account", "add", "service:bot", "--role", "approver"]);
    world.yes(&["account", "grant", "ada", "--role", "approver"]);
    approve(&world, "ada", decision, 3, "what they made themselves");
    approve(&world, "service:bot", decision, 3, "by people");
    world.yes(&["account", "add", "rita", "--role", "reader"]);
    approve(&world, "rita", decision, 3, "");
    let waits = |who: &str| world.json(&["--as", who, "approvals"])["waiting"].clone();
    let seen = waits("olga");
    assert_eq!(
        (&seen[0]["name"], &seen[0]["given"]),
        (&decision.into(), &0.into())
    );
    let counts = |who: &str| waits(who)[0]["may_approve"].as_bool().unwrap();
    assert!(
        counts("olga") && !counts("ada") && !counts("rita"),
        "{seen}"
    );
    approve(&world, "olga", decision, 0, "has 1 of 2 approvals");
    assert!(counts("otto") && !counts("olga"));
    approve(&world, "olga", decision, 1, "you approved it already");
    world.told(&["--as", "ada", "run"], 6, "has 1");
    world.told(&["show", decision], 0, "read its figures");
    approve(&world, "otto", decision, 0, "");
    world.told(&["approvals"], 0, "no decision waits");
    let ran = world.told(&["--as", "ada", "run"], 0, "demo/registered@1");
    assert!(ran.contains("reused"), "{ran}");
    world.told(&["verify", "demo/registered@1"], 0, "with 2 approvals");
    world.told(&["verify", "--all"], 0, "everything holds");

    // With other policies the approvals count for nothing new; what was registered was registered.
    world.write("policies/own.cedar", "");
    world.yes(&["policy", "apply", "policies"]);
    world.told(&["show", decision], 0, "approvals       0 of 2");
    world.told(&["verify", "demo/registered@1"], 0, "everything holds");
    // What the policies demand counts whatever the pipeline asks for.
    world.write(
        "policies/settings.json",
        r#"{"projects": {"demo": {"approvals": 3}}}"#,
    );
    world.yes(&["policy", "apply", "policies"]);
    world.told(&["show", decision], 0, "approvals       0 of 3");
    // Another model is another decision.
    let other = std::fs::read_to_string(world.path("custody.yaml")).unwrap();
    world.write("custody.yaml", &other.replace("echo weights", "echo other"));
    world.told(&["--as", "ada", "run"], 6, "custody approve demo/decide@");
}

/// What is approved is the model, the evaluation and the decision: the very bytes.
#[test]
fn approvals_of_the_same_bytes_count_again_and_of_no_others() {
    let world = asking(1);
    world.told(&["run"], 6, "it waits for approvals");
    // The owner asked for it, and no role makes two people of one.
    world.told(
        &["approve", "demo/decide@1", "--reason", "mine"],
        3,
        "you asked for it",
    );
    approve(&world, "olga", "demo/decide@1", 3, "you act as another");
    let accept = ["--as", "ada", "approve", "demo/decide@1", "--reason", "x"];
    world.told(&accept, 3, "");
    // Who runs anew what another made asks for it too.
    world.told(
        &["approve", "demo/rows@1", "--reason", "x"],
        1,
        "waits for no approval",
    );
    let wrong = PIPELINE.replace(GATE, &format!("{GATE}, approvals: 10"));
    world.write("custody.yaml", &wrong);
    world.told(&["run"], 2, "at most 9 approvals");
}
