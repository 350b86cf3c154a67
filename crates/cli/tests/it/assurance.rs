//! No false assurance: what is refused, held or told through the binary, and stays so.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::{World, check};

/// Three rows: `id` 1 to 3, `grade` 1, 5 and 9.
const GRADES: &[u8] = include_bytes!("../tables/grades.parquet");
/// Four rows, the first three those of [`GRADES`].
const MORE: &[u8] = include_bytes!("../tables/more.parquet");

const HEAD: &str = r#"
project: demo
purpose: testing
steps:
  collect:
    source:
      file: grades.parquet
      output: raw
      origin: {publisher: us, url: "https://example.com", licence: CC0-1.0, legal_basis: none, classification: internal}
  copy:
    run:
      command: [/bin/sh, -c, "cp \"$CUSTODY_INPUT_RAW\"/* \"$CUSTODY_OUTPUT_COPY\"; echo made > \"$CUSTODY_OUTPUT_COPY\"/made"]
      inputs: {raw: raw}
      outputs: {copy: {artifact: copy, kind: report}}
"#;

/// The pipeline with a contract that the data breaks, or passes.
fn with_check(max: u32) -> String {
    format!(
        "{HEAD}  contract:\n    check:\n      input: raw\n      key: id\n      checks:\n        - range: {{column: grade, min: 0, max: {max}}}\n"
    )
}

impl World {
    /// Makes a workspace beside a table of grades.
    fn of_grades() -> Self {
        let world = Self::empty();
        fs::create_dir_all(world.path("policies")).unwrap();
        fs::write(world.path("grades.parquet"), GRADES).unwrap();
        world.yes(&["init"]);
        world
    }

    fn anchors(&self) -> PathBuf {
        self.folder.path().join("home/.local/state/custody/ledgers")
    }

    fn apply(&self, principals: &str, settings: &str) {
        self.write("policies/principals.json", principals);
        self.write("policies/settings.json", settings);
        self.yes(&["policy", "apply", "policies"]);
    }

    fn edit_index(&self, sql: &str) {
        let done = Command::new("python3")
            .args(["-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()"])
            .arg(self.path(".custody/catalog.sqlite"))
            .arg(sql)
            .status()
            .unwrap();
        assert!(done.success(), "{sql}");
    }

    pub(crate) fn copy_workspace(&self, from: &str, to: &str) {
        let _ = fs::remove_dir_all(self.path(to));
        let done = Command::new("cp")
            .arg("-r")
            .arg(self.path(from))
            .arg(self.path(to))
            .status();
        assert!(done.unwrap().success());
    }

    fn put(&self, name: &str, content: &str) {
        self.write("file", content);
        self.yes(&["put", name, "file"]);
    }

    pub(crate) fn id(&self) -> String {
        let about = fs::read_to_string(self.path(".custody/workspace.json")).unwrap();
        let about: Value = serde_json::from_str(&about).unwrap();
        about["id"].as_str().unwrap().to_owned()
    }
}

/// A world whose data broke its contract.
fn held() -> World {
    let world = World::of_grades();
    world.write("custody.yaml", &with_check(5));
    world.told(&["run"], 1, "REFUSED");
    world
}

#[test]
fn quarantine_holds_by_content() {
    let world = held();
    world.told(&["ls", "--quarantine"], 0, "its contract failed");
    world.told(
        &["ls"],
        0,
        "1 more is in quarantine: custody ls --quarantine",
    );
    world.told(
        &["get", "demo/raw", "--to", "out"],
        5,
        "all its versions are in quarantine",
    );
    world.told(&["verify", "demo/raw@1"], 1, "missing: contract");
    // The check is gone; the same bytes are collected again, or reused: nothing reads them.
    world.write("custody.yaml", HEAD);
    world.told(&["run"], 3, "in quarantine");
    // Under another name, under another artifact, with something beside it.
    world.yes(&["verify", "--all"]);
    world.told(&["put", "demo/raw", "grades.parquet"], 6, "demo/raw@2");
    fs::write(world.path("renamed.bin"), GRADES).unwrap();
    world.told(&["put", "demo/other", "renamed.bin"], 6, "bytes of");
    world.write("beside.txt", "beside");
    world.told(
        &[
            "put",
            "demo/wide",
            "renamed.bin",
            "beside.txt",
            "--kind",
            "report",
        ],
        6,
        "bytes of",
    );
    let waits = world.json(&["ls", "--quarantine"]);
    assert_eq!(waits["versions"].as_array().unwrap().len(), 4, "{waits}");
    world.told(&["show", "demo/wide@1"], 0, "in quarantine");
    world.told(&["get", "demo/other@1", "--to", "out"], 3, "quarantine");
    world.told(&["alias", "demo/other", "good", "1"], 3, "quarantine");
    // Other bytes, and the same bytes in another project, are free.
    fs::write(world.path("more.parquet"), MORE).unwrap();
    world.yes(&["put", "demo/raw", "more.parquet"]);
    world.yes(&["put", "elsewhere/raw", "grades.parquet"]);
    // Nor does another index, nor none, let them out.
    for edited in [
        "DELETE FROM view WHERE key LIKE 'hold %'",
        "DELETE FROM view WHERE key LIKE 'quarantine %' OR key LIKE 'hold %'",
        "UPDATE view SET value = x'30' WHERE key LIKE 'hold %'",
        "UPDATE view SET key = replace(key, 'hold demo', 'hold dome')",
        "DELETE FROM view; DELETE FROM view_nodes",
        "DELETE FROM view_nodes",
        "UPDATE view_root SET root = replace(root, 'demo', 'dome')",
        "UPDATE view_root SET root = replace(root, '\"position\":', '\"position\":9')",
        "DELETE FROM view_root",
    ] {
        world.edit_index(edited);
        world.told(&["get", "demo/other@1", "--to", "out"], 3, "quarantine");
        world.edit_index(edited);
        let again = world.json(&["ls", "--quarantine"]);
        assert_eq!(again["versions"], waits["versions"], "{edited}");
    }
    assert_eq!(
        world.json(&["ls", "--quarantine"])["versions"],
        waits["versions"]
    );
    world.told(&["verify", "--all"], 0, "everything holds");
    world.yes(&["index", "rebuild"]);
    assert_eq!(
        world.json(&["ls", "--quarantine"])["versions"],
        waits["versions"]
    );
    world.yes(&["verify", "--all"]);
}

#[test]
fn a_passing_contract_lets_a_content_out() {
    let world = held();
    world.told(&["put", "demo/raw", "grades.parquet"], 6, "demo/raw@2");
    world.write("custody.yaml", &with_check(9));
    world.told(&["run"], 0, "made     copy");
    world.told(&["ls", "--quarantine"], 0, "nothing is in quarantine");
    world.yes(&["get", "demo/raw@2", "--to", "out"]);
    // A broken contract holds it again; going back to the one that holds lets it out.
    world.write("custody.yaml", &with_check(5));
    world.told(&["run"], 1, "REFUSED");
    world.told(&["get", "demo/raw@2", "--to", "out2"], 3, "quarantine");
    let told = world.told(
        &["verify", "demo/copy@1", "--require", "contract"],
        1,
        "missing: contract",
    );
    assert!(told.contains("`demo/raw@1` is in quarantine"), "{told}");
    world.write("custody.yaml", &with_check(9));
    world.yes(&["run"]);
    world.yes(&["get", "demo/raw@2", "--to", "out3"]);
    world.yes(&["verify", "--all"]);
}

#[test]
fn an_approval_of_somebody_else_lets_a_content_out() {
    let world = World::of_grades();
    world.apply(
        r#"{"users": {"ada": {"roles": ["data_scientist", "security_officer"]}, "sol": {"roles": ["security_officer"]}, "rex": {"roles": ["data_scientist"]}}}"#,
        "{}",
    );
    world.write("custody.yaml", &with_check(5));
    world.told(&["--as", "ada", "run"], 1, "REFUSED");
    world.told(
        &["--as", "rex", "put", "demo/raw", "grades.parquet"],
        6,
        "demo/raw@2",
    );
    let approve = |who: &str, version: &str, code: i32, says: &str| {
        let reason = ["--reason", "looked at each grade"];
        world.told(
            &[&["--as", who, "approve", version], &reason[..]].concat(),
            code,
            says,
        );
    };
    approve("ada", "demo/raw@1", 3, "nobody approves what they made");
    approve("rex", "demo/raw@2", 3, "may not approve");
    // Nor by way of somebody else's version of the same bytes.
    approve("ada", "demo/raw@2", 3, "you made `demo/raw@1`");
    approve("sol", "demo/raw@2", 0, "out of quarantine");
    approve("sol", "demo/raw@2", 1, "waits for no approval");
    for version in ["demo/raw@1", "demo/raw@2"] {
        world.yes(&["get", version, "--to", &version.replace(['/', '@'], "-")]);
    }
    // The same contract is still broken, which is told; what needs the data goes on, now and when nothing changed.
    let because = "approved by sol, ledger entry ";
    let told = world.told(&["run"], 0, because);
    assert!(
        told.contains("looked at each grade") && told.contains("made     copy"),
        "{told}"
    );
    assert!(told.contains("expected between 0 and 5"), "{told}");
    world.told(&["run"], 0, because);
    world.told(&["ls", "--quarantine"], 0, "nothing is in quarantine");
    let told = world.told(&["verify", "demo/copy@1"], 0, because);
    assert!(told.contains("was broken by `demo/raw@1`"), "{told}");
    assert!(told.contains("looked at each grade"), "{told}");
    // Approved is not passed.
    world.told(
        &["verify", "demo/copy@1", "--require", "contract"],
        1,
        "no contract was passed by",
    );
    world.told(&["alias", "demo/raw", "production", "1"], 3, "was broken");
    // An approval counts under the policies that it was given under.
    world.told(&["status"], 0, "everything is up to date");
    world.apply(
        r#"{"users": {"ada": {"roles": ["data_scientist"]}, "sol": {"roles": ["security_officer"]}}}"#,
        r#"{"purposes": {"testing": "for tests"}}"#,
    );
    world.told(&["status"], 0, "steps would run");
    world.told(&["run"], 1, "REFUSED");
    world.told(&["ls", "--quarantine"], 0, "demo/raw@1");
    world.told(&["verify", "demo/copy@1"], 0, because);
    approve("sol", "demo/raw@1", 0, "out of quarantine");
    world.told(&["run"], 0, because);
    // Of another contract nobody said anything.
    world.write("custody.yaml", &with_check(4));
    world.told(&["run"], 1, "REFUSED");
    world.told(&["ls", "--quarantine"], 0, "demo/raw@2");
    world.yes(&["index", "rebuild"]);
    world.told(&["ls", "--quarantine"], 0, "demo/raw@2");
    world.yes(&["verify", "--all"]);
}

#[test]
fn a_gated_alias_moves_only_onto_what_passed() {
    let world = World::of_grades();
    world.put("demo/model", "no gate saw this");
    world.yes(&["alias", "demo/model", "staging", "1"]);
    world.told(
        &["alias", "demo/model", "production", "1"],
        3,
        "no contract was passed",
    );
    world.yes(&["put", "demo/model", "file", "--kind", "report"]);
    let told = world.told(
        &["alias", "demo/model", "production", "2"],
        3,
        "no gate was passed",
    );
    assert!(
        told.contains("hint: ") && told.contains("`gate` step"),
        "{told}"
    );
    world.told(
        &[
            "ledger",
            "log",
            "--action",
            "object.tag",
            "--outcome",
            "denied",
        ],
        0,
        "demo/model@2",
    );
    // Data is gated by its contract: by this content, by the last one.
    world.write("custody.yaml", &with_check(9));
    world.yes(&["run"]);
    world.yes(&["alias", "demo/raw", "production", "1"]);
    world.yes(&["put", "demo/raw", "grades.parquet"]);
    world.yes(&["alias", "demo/raw", "production", "2"]);
    fs::write(world.path("more.parquet"), MORE).unwrap();
    world.yes(&["put", "demo/raw", "more.parquet"]);
    world.told(
        &["alias", "demo/raw", "production", "3"],
        3,
        "no contract was passed",
    );
    world.write("custody.yaml", &with_check(5));
    world.told(&["run"], 1, "REFUSED");
    world.told(&["alias", "demo/raw", "production", "1"], 3, "quarantine");
    // What is gated is the policy's to say, for each project.
    world.apply(
        r#"{"users": {}}"#,
        r#"{"gated_aliases": ["staging"], "projects": {"other": {"gated_aliases": []}}}"#,
    );
    world.told(&["policy", "show"], 0, "@staging");
    world.told(&["alias", "demo/model", "staging", "2"], 3, "is gated");
    world.yes(&["alias", "demo/model", "production", "2"]);
    world.put("other/model", "x");
    world.yes(&["alias", "other/model", "staging", "1"]);
    world.yes(&["verify", "--all"]);
}

#[test]
fn verify_says_what_does_not_exist_and_fails_where_it_is_required() {
    let world = World::of_grades();
    world.put("demo/raw", "x");
    let told = world.told(&["verify", "demo/raw@1"], 0, "everything holds");
    assert!(told.contains("none    contract"), "{told}");
    world.told(
        &["verify", "demo/raw@1", "--require", "contract"],
        1,
        "missing: contract",
    );
    world.told(
        &["verify", "demo/raw@1", "--require", "gate,scan,signature"],
        1,
        "missing: gate, scan, signature",
    );
    world.told(&["verify", "demo/raw@1", "--require", "gates"], 2, "gates");
    world.told(
        &["verify", "--all", "--require", "gate"],
        1,
        "there is no model",
    );
    let reply = world.json(&["verify", "demo/raw@1", "--require", "contract"]);
    assert_eq!(
        (&reply["ok"], &reply["absent"][0]["required"]),
        (&false.into(), &true.into()),
        "{reply}"
    );
    world.write("custody.yaml", &with_check(9));
    world.yes(&["run"]);
    world.told(
        &["verify", "demo/raw@2", "--require", "contract"],
        0,
        "everything holds",
    );
    world.told(
        &["verify", "demo/copy@1", "--require", "contract"],
        0,
        "everything holds",
    );
    // The policy's default needs no word of the auditor.
    world.apply(
        r#"{"users": {}}"#,
        r#"{"require": {"dataset": ["contract"]}}"#,
    );
    world.told(&["verify", "demo/raw@1"], 1, "missing: contract");
    world.told(&["verify", "--all"], 1, "missing: contract");
    world.yes(&["verify", "demo/raw@2"]);
}

#[test]
fn latest_is_what_the_last_run_came_to() {
    let world = World::of_grades();
    world.write("custody.yaml", &with_check(9));
    let latest = |name: &str| world.json(&["show", name])["version"]["name"].clone();
    world.yes(&["run"]);
    fs::write(world.path("grades.parquet"), MORE).unwrap();
    world.yes(&["run"]);
    assert_eq!(latest("demo/raw"), "demo/raw@2");
    fs::write(world.path("grades.parquet"), GRADES).unwrap();
    world.told(&["run"], 0, "reused   collect");
    assert_eq!(
        (latest("demo/raw"), latest("demo/copy")),
        ("demo/raw@1".into(), "demo/copy@1".into())
    );
    world.yes(&["verify", "--all"]);
    world.yes(&["index", "rebuild"]);
    assert_eq!(latest("demo/raw"), "demo/raw@1");
    world.edit_index("DELETE FROM view WHERE key LIKE 'made demo raw %' AND key LIKE '%1'");
    assert_eq!(latest("demo/raw"), "demo/raw@1");
    world.yes(&["verify", "--all"]);
    // What is put afterwards is the latest.
    world.yes(&["put", "demo/raw", "grades.parquet"]);
    assert_eq!(latest("demo/raw"), "demo/raw@3");
    fs::write(world.path("grades.parquet"), MORE).unwrap();
    world.yes(&["run"]);
    assert_eq!(latest("demo/raw"), "demo/raw@2");
}

#[test]
fn what_is_misspelt_passes_for_nobody() {
    let world = World::of_grades();
    world.put("demo/raw", "x");
    for arguments in [
        &["ls"][..],
        &["get", "demo/raw", "--to", "out"],
        &["ledger", "log"],
    ] {
        let misspelt = [&["--purpose", "model-developmnt"], arguments].concat();
        world.told(&misspelt, 3, "is `model-development` meant?");
    }
    let log = world.yes(&["ledger", "log", "--outcome", "denied"]);
    assert!(log.matches("model-developmnt").count() >= 3, "{log}");
    world.told(&["policy", "show"], 0, "model-development");
    let pipeline = |from: &str, to: &str| world.write("custody.yaml", &HEAD.replace(from, to));
    pipeline("purpose: testing", "purpose: tesing");
    world.told(&["run", "--dry-run"], 2, "is `testing` meant?");
    pipeline(
        "      origin:",
        "      purposes: [publicaton]\n      origin:",
    );
    world.told(&["run"], 2, "is `publication` meant?");
    world.apply(
        r#"{"users": {"ada": {"roles": ["reader"], "purposes": ["care"]}}}"#,
        r#"{"purposes": {"care": "to care for people"}}"#,
    );
    world.told(&["--as", "adda", "ls"], 2, "is `ada` meant?");
    world.yes(&["--as", "ada", "--purpose", "care", "ls"]);
    world.told(&["--purpose", "testing", "ls"], 3, "is not declared");
    for (principals, says) in [
        (
            r#"{"users": {"ada": {"roles": ["raeder"]}}}"#,
            "is `reader` meant?",
        ),
        (
            r#"{"users": {"ada": {"purposes": ["caring"]}}}"#,
            "not declared",
        ),
    ] {
        world.write("policies/principals.json", principals);
        world.told(&["policy", "apply", "policies"], 2, says);
    }
}

#[test]
fn a_workspace_that_was_put_back_is_told_at_every_command() {
    let world = World::of_grades();
    world.put("demo/raw", "1");
    world.copy_workspace(".custody", "old");
    for content in ["2", "3"] {
        world.put("demo/raw", content);
    }
    let before = fs::read(world.anchors().join(format!("{}.checkpoint", world.id()))).unwrap();
    world.copy_workspace("old", ".custody");
    let refused = || {
        for arguments in [
            &["ledger", "verify"][..],
            &["ls"],
            &["verify", "--all"],
            &["put", "demo/raw", "file"],
            &["index", "rebuild"],
            &["--as", "nobody", "ls"],
        ] {
            world.told(arguments, 4, "not the one that was here before");
        }
    };
    refused();
    // Two at once change nothing of it.
    let both: Vec<_> = (0..2)
        .map(|_| {
            let mut command = world.command(&["ls"]);
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut one in both {
        assert!(matches!(one.wait().unwrap().code(), Some(4 | 75)));
    }
    refused();
    assert_eq!(
        fs::read(world.anchors().join(format!("{}.checkpoint", world.id()))).unwrap(),
        before
    );
    let id = world.id();
    let accept = |id: &str, reason: &str, code: i32, says: &str| {
        world.told(
            &["ledger", "accept-rollback", id, "--reason", reason],
            code,
            says,
        );
    };
    accept("other", "the disk died", 2, &id);
    accept(&id, " ", 2, "needs a reason");
    refused();
    accept(&id, "the disk died", 0, "accepted it is entry");
    world.told(&["ledger", "verify"], 0, "everything holds");
    world.told(
        &["ledger", "verify"],
        0,
        "an older state was accepted by entry",
    );
    world.told(
        &["ledger", "log", "--action", "ledger.accept"],
        0,
        "outcome",
    );
    accept(&id, "again", 5, "nothing to accept");
    world.put("demo/raw", "4");
    world.told(&["verify", "--all"], 0, "everything holds");
}

#[test]
fn the_policies_are_neither_taken_over_nor_locked() {
    let world = World::of_grades();
    let officer =
        r#"{"users": {"olga": {"roles": ["security_officer"]}, "dan": {"roles": ["reader"]}}}"#;
    world.apply(officer, "{}");
    let apply = |who: &[&str], code: i32, says: &str| {
        world.told(
            &[who, &["policy", "apply", "policies"]].concat(),
            code,
            says,
        );
        world.told(&["account", "ls"], 0, "olga");
    };
    let olga = ["--as", "olga"];
    world.write(
        "policies/own.cedar",
        "forbid (principal, action, resource);",
    );
    apply(&[], 2, "nobody could change the policies any more");
    apply(&olga, 2, "nobody could change the policies any more");
    world.write(
        "policies/own.cedar",
        "permit (principal, action, resource);",
    );
    apply(&olga, 3, "something is permitted that was not");
    world.write("policies/own.cedar", "");
    let taken = r#"{"users": {"olga": {"roles": ["security_officer", "owner"]}}}"#;
    world.write("policies/principals.json", taken);
    apply(&olga, 3, "they get the role `owner` themselves");
    let take = ["account", "grant", "olga", "--role", "owner"];
    world.told(
        &[&olga[..], &take].concat(),
        3,
        "they get the role `owner` themselves",
    );
    for action in ["admin.policy", "admin.identity"] {
        let log = world.json(&["ledger", "log", "--action", action]);
        assert!(log.to_string().contains("CUS-POLICY-005"), "{log}");
    }
    let others = officer.replace("reader", "auditor");
    world.write("policies/principals.json", &others);
    apply(&olga, 0, "");
    world.told(&["--as", "dan", "ledger", "log"], 0, "admin.policy");
}

/// A pack is lost: what is in others is there, whatever was made since, and numbers are not given twice.
#[test]
fn a_lost_pack_closes_nothing_else() {
    let world = World::of_grades();
    world.put("demo/a", "1");
    let packs = || crate::e2e::files_below(world.path(".custody/packs"));
    let before = packs();
    world.put("demo/b", "2");
    let (lost, _): (Vec<_>, Vec<_>) = packs().into_iter().partition(|path| !before.contains(path));
    let kept: Vec<_> = lost
        .iter()
        .map(|path| (path, fs::read(path).unwrap()))
        .collect();
    for path in &lost {
        fs::remove_file(path).unwrap();
    }
    fs::remove_file(world.path(".custody/catalog.sqlite")).unwrap();
    for _ in 0..2 {
        world.told(&["show", "demo/a@1"], 0, "demo/a@1");
        world.told(&["show", "demo/b@1"], 4, "the store lacks `demo/b@1`");
        world.told(&["index", "rebuild"], 4, "made valid by the entries");
        world.told(
            &["verify", "--all"],
            4,
            "names a version that the index lacks",
        );
    }
    world.write("file", "3");
    world.told(&["put", "demo/b", "file"], 0, "demo/b@2");
    for (path, bytes) in kept {
        fs::write(path, bytes).unwrap();
    }
    world.yes(&["index", "rebuild"]);
    world.told(&["show", "demo/b@1"], 0, "demo/b@1");
    world.told(&["verify", "--all"], 0, "everything holds");
}

/// The index of a hundred entries ago is put back, or rows of it are changed by who has no key.
#[test]
fn an_index_that_is_stale_names_nothing_twice() {
    let world = World::of_grades();
    world.put("demo/a", "1");
    world.put("demo/b", "1");
    world.yes(&["alias", "demo/a", "good", "1"]);
    let index = world.path(".custody/catalog.sqlite");
    let old = fs::read(&index).unwrap();
    world.put("demo/a", "2");
    world.yes(&["alias", "demo/a", "good", "2"]);
    for _ in 0..50 {
        world.yes(&["ls"]);
    }
    let is_whole = || {
        world.told(&["show", "demo/a@good"], 0, "demo/a@2");
        let versions = world.json(&["ls"])["versions"].clone();
        let versions = versions.as_array().unwrap().clone();
        let mut names: Vec<_> = versions.iter().map(|one| one["name"].to_string()).collect();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
        world.told(&["verify", "--all"], 0, "everything holds");
        world.yes(&["index", "rebuild"]);
        world.told(&["verify", "--all"], 0, "everything holds");
    };
    let no_journal = || {
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(world.path(&format!(".custody/catalog.sqlite{end}")));
        }
    };
    no_journal();
    fs::write(&index, &old).unwrap();
    world.put("demo/a", "3");
    world.told(&["show", "demo/a@3"], 0, "demo/a@3");
    is_whole();
    for _ in 0..50 {
        world.yes(&["ls"]);
    }
    world.edit_index("DELETE FROM view WHERE key LIKE '% 0000000003'");
    world.put("demo/a", "4");
    world.told(&["show", "demo/a@4"], 0, "demo/a@4");
    is_whole();
}

/// Bytes went out, then the process was killed, and then what it had not published yet was removed.
#[test]
fn entries_of_what_was_let_out_cannot_go_unseen() {
    let world = World::of_words();
    world.write("count.sh", "echo begun; sleep 60");
    let ledger = world.path(".custody/ledger");
    let size = |checkpoint: &str| checkpoint.lines().nth(1).unwrap().parse::<u64>().unwrap();
    let told = (0..20).any(|_| {
        let mut run = world.command(&["run"]);
        let mut child = run.stderr(Stdio::piped()).spawn().unwrap();
        let said = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut said = std::io::BufRead::lines(said);
        assert!(said.any(|line| line.unwrap().contains("begun")));
        child.kill().unwrap();
        child.wait().unwrap();
        let kept = fs::read_dir(world.anchors()).unwrap().find_map(|file| {
            let path = file.unwrap().path();
            let is_one = path.extension().is_some_and(|end| end == "checkpoint");
            is_one.then(|| fs::read_to_string(path).unwrap())
        });
        let published = fs::read_to_string(ledger.join("checkpoint"));
        // The clock may have published them between the entry and the kill.
        size(&kept.unwrap()) > published.map_or(0, |note| size(&note))
    });
    assert!(told, "each round was published before it was killed");
    fs::remove_file(ledger.join("wal")).unwrap();
    for _ in 0..2 {
        world.told(&["verify", "--all"], 4, "not the one that was here before");
    }
}

#[test]
fn whatever_is_kept_of_another_ledger_is_told() {
    let world = World::of_grades();
    world.put("demo/raw", "1");
    let anchor = world.anchors().join(format!("{}.checkpoint", world.id()));
    let sound = fs::read(&anchor).unwrap();
    let other = World::of_grades();
    other.put("demo/raw", "1");
    let foreign = fs::read(other.anchors().join(format!("{}.checkpoint", other.id()))).unwrap();
    for wrong in [&b"\xff\xfe"[..], &foreign, &sound[..sound.len() / 2]] {
        fs::write(&anchor, wrong).unwrap();
        for _ in 0..2 {
            world.told(&["ls"], 4, "not the one that was here before");
        }
        assert_eq!(fs::read(&anchor).unwrap(), wrong);
    }
    // What a loss of power leaves is as if it had been removed.
    fs::write(&anchor, b"").unwrap();
    world.yes(&["ls"]);
    assert_ne!(fs::read(&anchor).unwrap(), b"");
    // A fork: two copies of one state go on, each in its own way.
    world.copy_workspace(".custody", "kept");
    world.put("demo/raw", "here");
    let copy = world.path("copy");
    fs::create_dir_all(&copy).unwrap();
    world.copy_workspace("kept", "copy/.custody");
    check(
        &world.command(&["ls"]).current_dir(&copy).output().unwrap(),
        4,
        "not the one",
    );
    world.yes(&["ls"]);
    // Of the same size, with another root.
    world.copy_workspace(".custody", "newer");
    world.copy_workspace("kept", ".custody");
    let newest = fs::read(&anchor).unwrap();
    fs::remove_file(&anchor).unwrap();
    world.put("demo/raw", "there");
    world.yes(&["ls"]);
    fs::write(&anchor, newest).unwrap();
    for _ in 0..2 {
        world.told(&["ls"], 4, "does not go on from it");
    }
    world.told(
        &[
            "ledger",
            "accept-rollback",
            &world.id(),
            "--reason",
            "this one",
        ],
        0,
        "",
    );
    world.yes(&["ls"]);
    world.copy_workspace("newer", ".custody");
    world.told(&["ls"], 4, "not the one that was here before");
}

/// The index knows later entries than the ledger has: the ledger alone was put back.
#[test]
fn a_ledger_that_was_put_back_alone_is_told_until_it_is_accepted() {
    let world = World::of_grades();
    world.put("demo/raw", "1");
    world.copy_workspace(".custody/ledger", "old");
    world.put("demo/raw", "2");
    world.copy_workspace("old", ".custody/ledger");
    fs::remove_dir_all(world.anchors()).unwrap();
    for _ in 0..2 {
        world.told(&["ls"], 4, "not the one that was here before");
    }
    world.told(
        &[
            "ledger",
            "accept-rollback",
            &world.id(),
            "--reason",
            "the newer one is lost",
        ],
        0,
        "",
    );
    world.told(&["ls"], 0, "demo/raw@1");
    let listed = world.yes(&["ls"]);
    assert!(!listed.contains("demo/raw@2"), "{listed}");
    world.put("demo/raw", "2 again");
    world.yes(&["verify", "--all"]);
}
