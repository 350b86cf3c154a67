//! Who there is: accounts and groups beside the policies, and what they may.

use std::process::Command;

use crate::world::{World, check};

fn world() -> World {
    let world = World::empty();
    world.yes(&["init"]);
    world.write("rows.csv", "id\n1\n");
    world.yes(&["put", "demo/rows", "rows.csv"]);
    world.yes(&["put", "other/rows", "rows.csv"]);
    world
}

#[test]
fn people_and_programs_do_what_their_roles_and_groups_permit() {
    let world = world();
    let reader = [
        "account",
        "add",
        "ada",
        "--role",
        "reader",
        "--project",
        "demo",
    ];
    world.told(&reader, 0, "reader of demo");
    world.yes(&["account", "add", "service:nightly"]);
    world.yes(&["account", "add", "group:scouts", "--role", "data_scientist"]);
    world.told(&["--as", "ada", "ls"], 0, "demo/rows");
    world.told(
        &["--as", "ada", "show", "other/rows"],
        5,
        "there is no version",
    );
    world.told(
        &["--as", "ada", "put", "demo/rows", "rows.csv"],
        3,
        "may not",
    );
    world.told(&["--as", "service:nightly", "ls"], 3, "may not list");
    let join = ["account", "grant", "service:nightly", "--group", "scouts"];
    world.told(&join, 0, "in scouts");
    world.told(
        &["--as", "service:nightly", "put", "demo/rows", "rows.csv"],
        0,
        "demo/rows@2",
    );
    world.told(
        &["ledger", "log", "--action", "object.write"],
        0,
        "service:nightly",
    );
    // Whatever letters a name has, it is that name's rights that count.
    world.told(&["--as", "josé", "ls"], 2, "there is no account `josé`");
    world.yes(&["account", "add", "josé"]);
    world.told(&["--as", "josé", "ls"], 3, "may not list");
    // A person of the same name is somebody else.
    world.told(
        &["--as", "nightly", "ls"],
        2,
        "there is no account `nightly`",
    );
    world.told(&["--as", "adda", "ls"], 2, "is `ada` meant?");
    world.told(
        &["--as", "group:scouts", "ls"],
        2,
        "there is no group `scouts`",
    );

    world.yes(&["account", "disable", "service:nightly"]);
    world.told(
        &["--as", "service:nightly", "ls"],
        3,
        "the account is disabled",
    );
    world.yes(&["account", "enable", "service:nightly"]);
    world.yes(&["--as", "service:nightly", "ls"]);
    world.yes(&["account", "revoke", "service:nightly", "--group", "scouts"]);
    world.told(&["--as", "service:nightly", "ls"], 3, "may not list");
    world.yes(&["account", "remove", "service:nightly"]);
    world.told(
        &["--as", "service:nightly", "ls"],
        2,
        "there is no service `nightly`",
    );
    // What it did stays, under a pseudonym.
    let log = world.json(&["ledger", "log", "--action", "object.write"]);
    assert!(!log.to_string().contains("nightly"), "{log}");
}

#[test]
fn what_is_refused_changes_nothing_and_the_owner_stays() {
    let world = world();
    let owner = world.json(&["account", "ls"]);
    let (name, _) = owner["users"].as_object().unwrap().iter().next().unwrap();
    for (arguments, code, says) in [
        (&["account", "remove", name][..], 3, "owns the workspace"),
        (&["account", "disable", name], 3, "owns the workspace"),
        (
            &["account", "revoke", name, "--role", "owner"],
            3,
            "owns the workspace",
        ),
        (&["account", "add", name], 5, "already"),
        (
            &["account", "grant", "eve", "--role", "reader"],
            2,
            "there is no account `eve`",
        ),
        (
            &["account", "add", "eve", "--role", "raeder"],
            2,
            "is `reader` meant?",
        ),
        (
            &["account", "add", "eve", "--for", "reserch"],
            2,
            "is `research` meant?",
        ),
        (
            &["account", "grant", name],
            2,
            "`--role`, `--for`, `--group` or `--oidc`",
        ),
        (
            &["account", "add", "group:a", "--group", "a"],
            2,
            "members are accounts",
        ),
        (&["account", "add", " "], 2, "no name of an account"),
    ] {
        let told = world.told(arguments, code, says);
        assert!(!told.contains("panicked"), "{told}");
        assert_eq!(world.json(&["account", "ls"]), owner, "{arguments:?}");
    }
}

#[test]
fn policies_come_and_go_and_accounts_stay() {
    let world = world();
    world.write(
        "policies/principals.json",
        r#"{"users": {"ada": {"roles": ["curator"]}}}"#,
    );
    let curator = r#"permit (principal in Role::"curator", action == Action::"list", resource);"#;
    world.write("policies/own.cedar", curator);
    world.yes(&["policy", "apply", "policies"]);
    world.told(&["--as", "ada", "ls"], 0, "demo/rows");
    // Nobody has a role that no policy knows.
    std::fs::remove_file(world.path("policies/principals.json")).unwrap();
    world.write("policies/own.cedar", "");
    world.told(
        &["policy", "apply", "policies"],
        2,
        "`ada` has the role `curator`",
    );
    world.yes(&["account", "revoke", "ada", "--role", "curator"]);
    world.yes(&["policy", "apply", "policies"]);
    world.told(&["account", "ls"], 0, "ada");
    // How somebody proved to be who they are is the policies' business too.
    let strong = r#"forbid (principal, action == Action::"list", resource) when { context.session.strength < 2 };"#;
    world.write("policies/own.cedar", strong);
    world.yes(&["policy", "apply", "policies"]);
    world.told(&["ls"], 3, "forbidden by the policy");
}

#[test]
fn the_ledger_says_who_was_changed_without_their_names() {
    let world = world();
    world.yes(&["account", "add", "mary.shelley", "--role", "auditor"]);
    let log = world.json(&["ledger", "log", "--action", "admin.identity"]);
    let entries = log["entries"].as_array().unwrap().iter();
    let mut about = entries.filter_map(|row| row["entry"]["facts"]["accounts"].as_str());
    let about = about.next().unwrap();
    assert!(!log.to_string().contains("mary.shelley"), "{log}");
    world.yes(&["--as", "mary.shelley", "ls"]);
    let listed = world.json(&["ledger", "log", "--action", "object.list", "--limit", "1"]);
    let row = &listed["entries"][0];
    assert_eq!(row["entry"]["sub"]["ref"], about, "{row}");
    assert_eq!(row["actor"], "mary.shelley");
    // Who acts as somebody else is told beside them, and found.
    let owner = world.json(&["ledger", "log", "--limit", "1"])["entries"][0]["actor"].clone();
    assert_eq!(row["by"], owner, "{row}");
    let owner = owner.as_str().unwrap();
    let says = format!("mary.shelley by {owner}");
    world.told(&["ledger", "log", "--action", "object.list"], 0, &says);
    let own = world.json(&["ledger", "log", "--actor", owner, "--action", "object.list"]);
    assert_eq!(own["entries"][0]["actor"], "mary.shelley", "{own}");
    // Of each decision it says by which policies and which accounts.
    let identity = world.json(&["account", "ls"])["digest"].clone();
    let log = world.json(&[
        "ledger",
        "log",
        "--action",
        "identity.read",
        "--limit",
        "10",
    ]);
    let granted = log["entries"].as_array().unwrap().iter();
    let mut granted = granted.filter(|row| row["entry"]["ph"] == "grant");
    assert_eq!(granted.next().unwrap()["entry"]["dec"]["idn"], identity);
}

#[test]
fn who_holds_the_key_takes_the_policies_back_and_the_ledger_says_so() {
    let world = world();
    world.told(&["ledger", "verify"], 0, "were never taken back");
    world.yes(&["account", "add", "ada", "--role", "security_officer"]);
    // Nobody but `ada` may do anything, and she is gone.
    world.write("policies/settings.json", r#"{"fewest_rows": 7}"#);
    world.write(
        "policies/own.cedar",
        r#"forbid (principal, action, resource) unless { principal == User::"ada" };"#,
    );
    world.yes(&["policy", "apply", "policies"]);
    world.told(&["ls"], 3, "forbidden by the policy");
    world.told(&["account", "ls"], 3, "forbidden by the policy");
    let id = world.id();
    let take = |arguments: &[&str], code: i32, says: &str| {
        world.told(
            &[&["policy", "break-glass"], arguments].concat(),
            code,
            says,
        )
    };
    take(&["another", "--reason", "none"], 2, &id);
    take(&[&id, "--reason", " "], 2, "needs a reason");
    take(
        &[&id, "--reason", "none", "--as", "ada"],
        3,
        "without `--as`",
    );
    world.told(&["ls"], 3, "forbidden by the policy");
    take(
        &[&id, "--reason", "ada left"],
        0,
        "the built-in policies alone are in force",
    );
    world.told(&["ls"], 0, "demo/rows");
    world.told(&["account", "ls"], 0, "ada");
    let shown = world.yes(&["policy", "show"]);
    assert!(
        shown.contains("fewest_rows") && !shown.contains(r#"User::"ada""#),
        "{shown}"
    );
    let told = world.told(&["ledger", "verify"], 0, "took the policies back by entry");
    assert!(!told.contains("ada left"), "{told}");
    let log = world.json(&["ledger", "log", "--action", "admin.policy"]);
    let entries = log["entries"].as_array().unwrap();
    let decided = |row: &serde_json::Value| row["entry"]["dec"]["pol"][0] == "break-glass";
    assert_eq!(
        entries.iter().filter(|row| decided(row)).count(),
        2,
        "{log}"
    );
    world.told(&["verify", "--all"], 0, "everything holds");
}

#[test]
fn changes_wait_for_a_second_person_where_that_is_demanded() {
    let world = world();
    world.write("policies/settings.json", r#"{"second_person": true}"#);
    let apply = ["policy", "apply", "policies"];
    world.told(&apply, 2, "fewer than two people");
    world.yes(&["account", "add", "olga", "--role", "security_officer"]);
    world.yes(&apply);
    world.told(&["policy", "proposals"], 0, "no change waits");
    let add = ["account", "add", "ada", "--role", "reader"];
    world.told(&add, 6, "custody/changes@1 waits for a second person");
    world.told(&["--as", "ada", "ls"], 2, "there is no account `ada`");
    world.told(&["policy", "proposals"], 0, "+     \"ada\": {");
    let approve = ["policy", "approve", "custody/changes@1"];
    world.told(&approve, 3, "you proposed it");
    world.told(
        &[&["--as", "olga"], &approve[..]].concat(),
        0,
        "in force now",
    );
    world.told(&["--as", "ada", "ls"], 0, "demo/rows");
    world.told(
        &[&["--as", "olga"], &approve[..]].concat(),
        5,
        "were changed after it was proposed",
    );
    let log = world.yes(&["ledger", "log", "--action", "admin.propose"]);
    assert!(log.contains("custody/changes@1"), "{log}");
    // Whoever holds the key is not kept out by it.
    world.yes(&[
        "policy",
        "break-glass",
        &world.id(),
        "--reason",
        "olga left",
    ]);
    world.told(&["account", "disable", "olga"], 2, "fewer than two people");
    world.write("policies/settings.json", "{}");
    world.told(&apply, 6, "waits for a second person");
    world.told(&["verify", "--all"], 0, "everything holds");
}

/// A workspace of before accounts were a state of their own: `principals.json` was one of the policies.
#[test]
fn accounts_that_were_listed_among_the_policies_are_taken_over() {
    let world = World::empty();
    let archive = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/principals-among-policies.tar.gz"
    );
    let unpacked = Command::new("tar")
        .args(["--gzip", "--no-same-owner", "--extract", "--file", archive])
        .current_dir(world.path(""))
        .status();
    assert!(unpacked.unwrap().success());
    // It belongs to `root`, whoever runs this.
    let run = |arguments: &str, code: i32, says: &str| {
        let script = format!("CUSTODY_KEY_FILE=$2/key exec \"$0\" {arguments}");
        check(&world.scripted(&script), code, says);
    };
    run("account ls", 0, "data_scientist of demo; for research");
    run("policy show", 0, "Action::\"export\"");
    run("--as ada ls", 0, "demo/rows");
    run("--as eve ls", 3, "may not list");
    // Policies that list nobody take nobody away.
    world.write("policies/own.cedar", "");
    run("policy apply policies", 0, "in force now");
    let take = format!("policy break-glass {} --reason none", world.id());
    run(&take, 0, "is an owner");
    run("account ls", 0, "data_scientist of demo; for research");
    run("--as ada ls", 0, "demo/rows");
    run("account grant eve --role reader", 0, "reader");
    run("--as ada ls", 0, "demo/rows");
    run("--as eve ls", 0, "demo/rows");
    run("index rebuild", 0, "");
    run("--as eve ls", 0, "demo/rows");
    run("verify --all", 0, "everything holds");
}
