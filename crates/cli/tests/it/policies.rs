//! Questions about policies, from the command line: beside a workspace, in one, and at a server.

use crate::server::Served;
use crate::world::World;

const TESTS: &str = r#"{"tests": [
  {"name": "scientists take out what is public", "principal": {"roles": ["data_scientist"]},
   "action": "export", "resource": {"classification": "public"}, "expect": "permit"}]}"#;
const NO_EXPORT: &str = "@id(\"no-export\") @because(\"nothing leaves\")\nforbid (principal, action == Action::\"export\", resource);\n";

#[test]
fn policies_are_checked_and_tested_where_there_is_no_workspace() {
    let world = World::empty();
    world.write(
        "policies/own.cedar",
        "permit (principal, action,\n  resurce);\n",
    );
    world.write("policies/settings.json", "{}");
    world.told(&["policy", "validate"], 1, "own.cedar:2:3: error: ");
    world.write(
        "policies/own.cedar",
        "permit (principal, action == Action::\"read\", resource is Ledger);\n",
    );
    world.told(
        &["policy", "validate", "policies/own.cedar"],
        0,
        "own.cedar:1:1: warning: ",
    );
    world.told(
        &["policy", "validate", "policies"],
        0,
        "no accounts are checked",
    );
    world.told(
        &["policy", "test", "policies"],
        5,
        "the policies have no tests",
    );
    world.write("policies/tests.json", TESTS);
    world.told(
        &["policy", "test", "policies"],
        0,
        "1 decisions checked, 0 fail",
    );
    world.write("policies/own.cedar", NO_EXPORT);
    world.told(&["policy", "test", "policies"], 1, "decided by `no-export`");
    assert!(!world.path(".custody").exists());
    world.told(&["policy", "diff", "policies"], 5, "no workspace");
}

#[test]
fn roles_are_given_for_a_time() {
    let world = World::empty();
    world.yes(&["init"]);
    world.yes(&["account", "add", "grace"]);
    let lasting = [
        "account",
        "grant",
        "grace",
        "--role",
        "auditor",
        "--lasting",
        "8h",
    ];
    world.told(&lasting, 0, "auditor until 20");
    let until = [
        "account",
        "grant",
        "grace",
        "--role",
        "operator",
        "--until",
        "2999-12-30",
    ];
    world.told(&until, 0, "operator until 2999-12-31T00:00:00Z");
    world.told(
        &[
            "account",
            "grant",
            "grace",
            "--role",
            "operator",
            "--lasting",
            "8h",
        ],
        5,
        "is for longer",
    );
    world.told(
        &[
            "account",
            "grant",
            "grace",
            "--role",
            "reader",
            "--until",
            "2000-01-01",
        ],
        2,
        "ended",
    );
    world.told(
        &[
            "account",
            "grant",
            "grace",
            "--for",
            "audit",
            "--lasting",
            "8h",
        ],
        2,
        "--role",
    );
}

/// Asks the same at a server, by a token: with all that its account may, or less.
fn asked_at_a_server(world: World, entry: &str) -> World {
    Served::of(world).used(|server| {
        server.elsewhere.write("policies/own.cedar", NO_EXPORT);
        server.elsewhere.write("policies/tests.json", TESTS);
        let (_, all) = server.token(&[]);
        let told =
            |arguments: &[&str], code: i32, says: &str| server.told(&all, arguments, code, says);
        told(
            &["policy", "validate"],
            1,
            "tests.json:2:12: error: the test",
        );
        told(&["policy", "test", "policies"], 1, "1 fail");
        told(&["policy", "diff"], 0, "none comes out otherwise");
        told(&["policy", "replay"], 1, " 1 otherwise");
        told(
            &["policy", "explain", entry],
            0,
            "today it would be decided otherwise",
        );
        let (_, less) = server.token(&["--action", "readPolicy"]);
        server.told(
            &less,
            &["policy", "replay"],
            3,
            "the token is not for this action",
        );
        let own = server.told(
            &less,
            &["policy", "explain", "--action", "list"],
            0,
            "limit `token-scope`",
        );
        assert!(own.contains("now: forbid"), "{own}");
    })
}

#[test]
fn policies_are_asked_about_in_a_workspace_and_at_a_server() {
    let world = World::empty();
    world.yes(&["init"]);
    world.write("rows.csv", "id\n1\n");
    world.yes(&[
        "put",
        "demo/rows",
        "rows.csv",
        "--classification",
        "internal",
    ]);
    world.yes(&["account", "add", "ada", "--role", "data_scientist"]);
    world.yes(&["account", "add", "grace", "--role", "auditor"]);
    world.yes(&["--as", "ada", "get", "demo/rows@1", "--to", "out"]);
    let exported = world.json(&["ledger", "log", "--action", "export"]);
    let grants = exported["entries"].as_array().unwrap();
    let entry = grants
        .iter()
        .find(|one| one["entry"]["ph"] == "grant")
        .unwrap();
    let entry = entry["index"].to_string();

    world.write("policies/own.cedar", NO_EXPORT);
    world.write("policies/tests.json", TESTS);
    world.told(
        &["policy", "validate"],
        1,
        "tests.json:2:12: error: the test",
    );
    world.told(&["policy", "apply"], 2, "1 of 1 tests of the policies fail");
    world.write("policies/tests.json", &TESTS.replace("permit", "deny"));
    world.told(&["policy", "validate"], 0, "it could be put in force");
    let diff = world.told(&["policy", "diff"], 0, "added policy no-export");
    assert!(diff.contains("data_scientist  export  Artifact"), "{diff}");
    let replay = world.told(&["policy", "replay"], 1, &format!("entry {entry} "));
    assert!(
        replay.contains("ada export demo/rows@1: permit -> forbid"),
        "{replay}"
    );
    assert!(replay.contains("no-export: nothing leaves"), "{replay}");
    let replay = world.run(&["policy", "replay", "--json"]);
    let replay: serde_json::Value = serde_json::from_slice(&replay.stdout).unwrap();
    assert_eq!(
        (&replay["schema"], &replay["otherwise"]),
        (&"custody/policy-replay/1".into(), &1.into())
    );
    world.told(
        &["policy", "explain", &entry],
        0,
        "today it would be decided alike",
    );
    world.yes(&["policy", "apply"]);
    world.told(&["policy", "test"], 0, " 0 fail");
    let told = world.told(
        &["policy", "explain", &entry],
        0,
        "today it would be decided otherwise",
    );
    for says in [
        "then: permit",
        "resource.classification = internal",
        "now: forbid",
        "role data_scientist (their own)",
    ] {
        assert!(told.contains(says), "{says}: {told}");
    }
    let question = [
        "policy",
        "explain",
        "--actor",
        "grace",
        "--action",
        "readLedger",
    ];
    world.told(&question, 0, "`auditor`");
    world.told(&["policy", "explain", "--action", "fly"], 2, "fly");

    let world = asked_at_a_server(world, &entry);
    world.told(&["policy", "diff"], 0, "policies and settings are the same");
}
