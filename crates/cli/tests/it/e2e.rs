//! A small pipeline whose steps need nothing but a shell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::server::in_both;
use crate::world::{World, assert_ok, check, text};

/// A text that stands in the source and must be nowhere in clear afterwards.
pub(crate) const CANARY: &str = "canary-7f3a9c51-never-in-clear";

impl World {
    /// Makes a workspace with a pipeline over a file of words.
    pub(crate) fn of_words() -> Self {
        let world = Self::without_workspace();
        world.yes(&["init"]);
        world
    }

    pub(crate) fn without_workspace() -> Self {
        let world = Self::empty();
        world.write("words.txt", &format!("one\ntwo\n{CANARY}\n"));
        world.write(
            "count.sh",
            "wc -l < \"$CUSTODY_INPUT_WORDS\"/words.txt > \"$CUSTODY_OUTPUT_COUNT\"/count.txt\n",
        );
        world.write("custody.yaml", PIPELINE);
        world
    }

    pub(crate) fn keep(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.files()
            .into_iter()
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    /// Puts an older state back; what the user's own folder remembers of the newer one goes too.
    pub(crate) fn restore(&self, kept: &[(PathBuf, Vec<u8>)]) {
        self.restore_workspace_alone(kept);
        let _ = fs::remove_dir_all(self.folder.path().join("home/.local/state/custody"));
    }

    pub(crate) fn restore_workspace_alone(&self, kept: &[(PathBuf, Vec<u8>)]) {
        fs::remove_dir_all(self.path(".custody")).unwrap();
        for (path, bytes) in kept {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        fs::create_dir_all(self.path(".custody/packs/tmp")).unwrap();
    }

    /// Lists every file below the workspace.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        files_below(self.path(".custody"))
    }

    /// Looks for the canary in everything that the program may have written: workspace, home with its
    /// caches, temporary folder, core files in the project's folder.
    pub(crate) fn assert_nothing_in_clear(&self) {
        let source = self.path("words.txt");
        let files = files_below(self.folder.path().to_owned());
        assert!(files.len() > 5);
        for path in files {
            let bytes = fs::read(&path).unwrap();
            assert!(
                path == source
                    || !bytes
                        .windows(CANARY.len())
                        .any(|window| window == CANARY.as_bytes()),
                "{}",
                path.display()
            );
        }
    }
}

/// Lists every regular file below a folder.
pub(crate) fn files_below(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

pub(crate) const PIPELINE: &str = r#"
project: demo
purpose: testing
steps:
  collect:
    source:
      file: words.txt
      output: words
      origin: {publisher: us, url: "https://example.com/words", licence: CC0-1.0, legal_basis: consent, classification: personal}
  count:
    run:
      command: [/bin/sh, /code/count.sh]
      code: [count.sh]
      inputs: {words: words}
      outputs: {count: {artifact: count, kind: report}}
"#;

#[test]
fn a_pipeline_runs_is_reused_traced_verified_and_reproduced() {
    in_both(|world| {
        assert_ok(&world.run(&["run"]));
        let again = world.run(&["run"]);
        assert_ok(&again);
        assert_eq!(
            text(&again).matches("reused").count(),
            2,
            "{}",
            text(&again)
        );
        check(
            &world.run(&["trace", "demo/count@1"]),
            0,
            "demo/words@1 (words)",
        );
        check(
            &world.run(&["trace", "--down", "demo/words@1"]),
            0,
            "demo/count@1",
        );
        check(
            &world.run(&["verify", "demo/count@1"]),
            0,
            "everything holds",
        );
        check(&world.run(&["verify", "--all"]), 0, "everything holds");
        check(&world.run(&["reproduce", "demo/count@1"]), 0, "count");
        // The program changed: only it and what follows runs again.
        world.write("count.sh", "wc -w < \"$CUSTODY_INPUT_WORDS\"/words.txt > \"$CUSTODY_OUTPUT_COUNT\"/count.txt; echo x > \"$CUSTODY_OUTPUT_COUNT\"/x\n");
        let plan = world.run(&["run", "--dry-run"]);
        check(&plan, 0, "1 of 2 steps would run");
        let changed = text(&world.run(&["run"]));
        assert!(
            changed.contains("reused   collect")
                && changed.contains("made     count")
                && changed.contains("demo/count@2"),
            "{changed}"
        );
        // One row changed: everything runs again on the new version.
        world.write("words.txt", "one\n");
        check(&world.run(&["run"]), 0, "demo/words@2");
    });
}

#[test]
fn nothing_stands_in_clear_on_the_disk() {
    let world = World::of_words();
    assert_ok(&world.run(&["run"]));
    assert_ok(&world.run(&[
        "put",
        "demo/more",
        "words.txt",
        "--classification",
        "personal",
    ]));
    world.assert_nothing_in_clear();
    let out = world.path("out");
    assert_ok(&world.run(&[
        "get",
        "demo/words@1",
        "--to",
        out.to_str().unwrap(),
        "--purpose",
        "testing",
    ]));
    assert!(
        fs::read_to_string(out.join("words.txt"))
            .unwrap()
            .contains(CANARY)
    );
}

/// What a step makes of personal data is personal data, whatever it calls it.
#[test]
fn what_is_made_of_personal_data_is_personal() {
    let world = World::of_words();
    fs::create_dir_all(world.path("policies")).unwrap();
    world.write(
        "policies/principals.json",
        r#"{"users": {"ada": {"roles": ["data_scientist"], "purposes": ["testing"]}}}"#,
    );
    assert_ok(&world.run(&["policy", "apply", "policies"]));
    world.write(
        "count.sh",
        "cat \"$CUSTODY_INPUT_WORDS\"/words.txt; cp \"$CUSTODY_INPUT_WORDS\"/words.txt \"$CUSTODY_OUTPUT_COUNT\"/count.txt\n",
    );
    let ran = world.run(&["--as", "ada", "run"]);
    check(&ran, 0, "withheld");
    assert!(!text(&ran).contains(CANARY), "{}", text(&ran));
    for purpose in [&[][..], &["--purpose", "testing"]] {
        let get = [
            &["--as", "ada", "get", "demo/count@1", "--to", "out"],
            purpose,
        ]
        .concat();
        check(&world.run(&get), 3, "demo/count@1");
    }
    let lower = PIPELINE.replace("kind: report}", "kind: report, classification: internal}");
    world.write("custody.yaml", &lower);
    check(
        &world.run(&["--as", "ada", "run"]),
        3,
        "lower the classification",
    );
    check(&world.run(&["run"]), 0, "demo/count@2");
    assert_ok(&world.run(&["--as", "ada", "get", "demo/count@2", "--to", "out"]));
    let log = text(&world.run(&["ledger", "log", "--action", "object.declassify"]));
    assert!(log.contains("object.declassify"), "{log}");
    // The policies cannot be replaced by a version of their name.
    for arguments in [
        &[
            "--as",
            "ada",
            "put",
            "custody/policy",
            "policies/principals.json",
        ][..],
        &["put", "custody/policy", "policies/principals.json"],
        &["put", "custody/other", "policies/principals.json"],
    ] {
        check(&world.run(arguments), 3, "holds the policies");
    }
}

/// The log of figures carries names and numbers, not rows.
#[test]
fn what_a_step_logs_is_figures() {
    in_both(|world| {
        let counting = "echo 1 > \"$CUSTODY_OUTPUT_COUNT\"/count.txt; ";
        world.write(
            "count.sh",
            &format!("{counting} cat \"$CUSTODY_INPUT_WORDS\"/words.txt > \"$CUSTODY_METRICS\""),
        );
        let ran = world.run(&["run"]);
        check(&ran, 1, "logged something that is no figure");
        assert!(!text(&ran).contains(CANARY), "{}", text(&ran));
        world.write(
            "count.sh",
            &format!(
                "{counting} echo '{{\"name\": \"rows\", \"value\": 3}}' > \"$CUSTODY_METRICS\""
            ),
        );
        check(&world.run(&["run"]), 0, "logged rows = 3");
        check(&world.run(&["show", "demo/count@1"]), 0, "name: rows");
    });
}

/// A project inside a folder of the system would be seen by every step.
#[test]
fn a_project_among_the_systems_folders_runs_no_step() {
    let world = World::of_words();
    let script = r#"mount --bind "$2" /usr/local/lib && cd /usr/local/lib && "$0" run"#;
    let output = world.scripted(script);
    check(&output, 2, "which every step sees");
}

#[test]
fn refusals_are_told_and_entered() {
    let world = World::of_words();
    fs::create_dir_all(world.path("policies")).unwrap();
    world.write("policies/principals.json", r#"{"users": {"rex": {"roles": ["reader"]}, "ada": {"roles": ["data_scientist"], "purposes": ["testing"]}}}"#);
    assert_ok(&world.run(&["policy", "apply", "policies"]));
    check(&world.run(&["--as", "ada", "run"]), 0, "made     count");
    check(&world.run(&["--as", "rex", "run"]), 3, "CUS-DOOR-001");
    check(
        &world.run(&["--as", "ada", "get", "demo/words@1", "--to", "x"]),
        3,
        "may not take out",
    );
    check(
        &world.run(&["get", "demo/words@1", "--to", "x"]),
        3,
        "--purpose",
    );
    check(
        &world.run(&["--as", "nobody", "ls"]),
        2,
        "there is no account `nobody`",
    );
    check(
        &world.run(&["ledger", "log", "--outcome", "denied"]),
        0,
        "run.start",
    );
    world.write("policies/broken.cedar", "permit (principal, action,");
    check(
        &world.run(&["policy", "apply", "policies"]),
        2,
        "broken.cedar",
    );
    check(&world.run(&["--as", "ada", "ls"]), 0, "demo/count@1");
}

#[test]
fn what_goes_wrong_says_what_why_and_the_way_out() {
    in_both(|world| {
        let broken =
            |from: &str, to: &str| world.write("custody.yaml", &PIPELINE.replace(from, to));
        broken("{words: words}", "{words: wards}");
        check(&world.run(&["run"]), 2, "no step makes `wards`");
        broken("file: words.txt", "file: missing.txt");
        check(&world.run(&["run"]), 5, "missing.txt");
        broken("project:", "projekt:");
        check(&world.run(&["run"]), 2, "projekt");
        world.write("custody.yaml", PIPELINE);
        let program = |text: &str| world.write("count.sh", text);
        program("echo told; exit 7\n");
        check(&world.run(&["run"]), 1, "told");
        program("true\n");
        check(&world.run(&["run"]), 1, "wrote nothing");
        program("ln -s /etc/passwd \"$CUSTODY_OUTPUT_COUNT\"/link\n");
        check(&world.run(&["run"]), 1, "symbolic link");
        program(
            "echo x > /out/other; test ! -e /out/other && echo x > \"$CUSTODY_OUTPUT_COUNT\"/x\n",
        );
        check(&world.run(&["run"]), 0, "made     count");
        broken(
            "outputs: {count:",
            "limits: {time_s: 1}\n      outputs: {count:",
        );
        program("sleep 60\n");
        check(&world.run(&["run"]), 124, "ran out of its 1 s");
        check(&world.run(&["show", "demo/none"]), 5, "there is no version");
    });
    check(&World::of_words().run(&["init"]), 5, "already a workspace");
}

#[test]
fn keys_and_formats_are_looked_at_first() {
    let world = World::without_workspace();
    check(&world.run(&["ls"]), 5, "custody init");
    let init = world
        .command(&["init", "--passphrase"])
        .env("CUSTODY_PASSPHRASE", "open sesame")
        .output()
        .unwrap();
    assert_ok(&init);
    check(&world.run(&["ls"]), 2, "CUSTODY_PASSPHRASE");
    check(
        &world
            .command(&["ls"])
            .env("CUSTODY_PASSPHRASE", "wrong")
            .output()
            .unwrap(),
        2,
        "CUS-KEY-008",
    );
    assert_ok(
        &world
            .command(&["ls"])
            .env("CUSTODY_PASSPHRASE", "open sesame")
            .output()
            .unwrap(),
    );
    let other = World::of_words();
    let key = fs::read_dir(other.folder.path().join("home/.config/custody/keys"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    check(
        &world.run(&["ls", "--key-file", key.to_str().unwrap()]),
        2,
        "does not open this workspace",
    );
    check(
        &world.run(&["ls", "--key-file", "/nowhere.key"]),
        2,
        "no key file",
    );
    let about = other.path(".custody/workspace.json");
    let newer = fs::read_to_string(&about)
        .unwrap()
        .replace("custody-workspace/1", "custody-workspace/9");
    fs::write(about, newer).unwrap();
    check(&other.run(&["ls"]), 2, "custody-workspace/9");
}

#[test]
fn the_ledger_can_be_taken_out_in_the_static_layout() {
    let world = World::of_words();
    assert_ok(&world.run(&["run"]));
    let to = world.path("copy");
    assert_ok(&world.run(&["ledger", "export", to.to_str().unwrap()]));
    let note = fs::read_to_string(to.join("checkpoint")).unwrap();
    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    assert!(
        size > 5
            && to.join(format!("tile/0/000.p/{size}")).exists()
            && to.join(format!("tile/entries/000.p/{size}")).exists()
    );
    assert!(Path::new(&to.join("vkey")).exists());
}

/// A command for each operation.
const COMMANDS: &[(&str, &str)] = &[
    ("GET /v1/versions", "ls"),
    ("GET /v1/projects", "ls --projects"),
    ("GET /v1/approvals", "approvals"),
    ("GET /v1/ledger/entries/{index}", "ledger show 0"),
    ("POST /v1/versions", "put demo/x words.txt"),
    ("GET /v1/version", "show demo/count@1"),
    ("GET /v1/data/schema", "data schema demo/count@1"),
    ("GET /v1/data/head", "data head demo/count@1"),
    ("GET /v1/data/profile", "data profile demo/count@1"),
    (
        "POST /v1/data/diff",
        "data diff demo/count@1 demo/count@1 --key x",
    ),
    ("GET /v1/files", "get demo/count@1 --to x"),
    ("POST /v1/aliases", "alias demo/count good 1"),
    ("GET /v1/trace", "trace demo/count@1"),
    ("POST /v1/verify", "verify --all"),
    ("POST /v1/reproduce", "reproduce demo/count@1"),
    ("POST /v1/runs", "run"),
    ("GET /v1/runs", "runs"),
    ("GET /v1/runs/{id}", "runs show RUN"),
    ("GET /v1/runs/{id}/events", "runs show RUN --follow"),
    ("POST /v1/runs/{id}/cancel", "runs cancel RUN"),
    ("GET /v1/ledger/entries", "ledger log"),
    ("POST /v1/ledger/verify", "ledger verify"),
    ("GET /v1/ledger/export", "ledger export y"),
    (
        "POST /v1/ledger/rollback",
        "ledger accept-rollback x --reason none",
    ),
    ("GET /v1/policy", "policy show"),
    ("POST /v1/policy", "policy apply policies"),
    ("POST /v1/policy/validations", "policy validate policies"),
    ("POST /v1/policy/tests", "policy test"),
    ("POST /v1/policy/differences", "policy diff policies"),
    (
        "POST /v1/policy/explanations",
        "policy explain --action list",
    ),
    ("POST /v1/policy/replays", "policy replay policies"),
    ("GET /v1/policy/proposals", "policy proposals"),
    (
        "POST /v1/policy/approvals",
        "policy approve custody/changes@1",
    ),
    (
        "POST /v1/policy/break-glass",
        "policy break-glass x --reason none",
    ),
    ("GET /v1/identity", "account ls"),
    ("POST /v1/identity", "account add ada"),
    ("POST /v1/invitations", "account invite ada"),
    ("GET /v1/tokens", "token ls"),
    ("POST /v1/tokens", "token create"),
    ("POST /v1/tokens/revocations", "token revoke x"),
    ("POST /v1/scans", "rescan"),
    ("POST /v1/approvals", "approve demo/count@1 --reason none"),
    ("POST /v1/removals", "remove demo/count@1"),
    ("POST /v1/shreddings", "shred custody --reason none --yes"),
    ("POST /v1/rejections", "reject demo/count@1 --reason none"),
    ("POST /v1/rules", "rules apply"),
    ("GET /v1/bom", "bom demo/count@1"),
    ("POST /v1/status", "status"),
    ("POST /v1/metrics", "metrics demo/count@1"),
    ("GET /v1/evaluation", "evaluation demo/count@1"),
    ("POST /v1/compare", "compare demo/count@1 demo/count@1"),
    ("GET /v1/claims", "claims demo/count@1"),
    (
        "POST /v1/signatures",
        "sign demo/count@1 --stored --key key.pem --signature x",
    ),
    ("GET /metrics", "server metrics"),
    ("GET /v1/keys", "keys status"),
    ("POST /v1/keys/rotate", "keys rotate"),
    ("POST /v1/keys/passphrase", "keys passphrase --none"),
    ("POST /v1/index/rebuild", "index rebuild"),
];

/// Walks the commands that reach each operation of the API as a principal who may do nothing: every one is
/// refused, and the refusal is an entry.
#[test]
fn every_operation_goes_through_the_door() {
    let world = World::of_words();
    assert_ok(&world.run(&["run"]));
    world.write(
        "policies/principals.json",
        r#"{"users": {"zoe": {"roles": []}}}"#,
    );
    assert_ok(&world.run(&["policy", "apply", "policies"]));
    world.signing_key("key.pem");
    let runs = world.json(&["runs"]);
    let run = runs["runs"][0]["id"].as_str().unwrap();
    // A new operation must come with its line here.
    let named: BTreeSet<_> = COMMANDS
        .iter()
        .map(|(route, _)| (*route).to_owned())
        .collect();
    let operations = custody_api::OPERATIONS.iter();
    let operations: BTreeMap<_, _> = operations
        .map(|one| {
            (
                format!("{} {}", one.method, one.path),
                one.actions[0].verb(),
            )
        })
        .collect();
    assert_eq!(named, operations.keys().cloned().collect());
    assert_eq!(COMMANDS.len(), operations.len());
    for (route, command) in COMMANDS {
        let verb = operations[*route];
        let command = command.replace("RUN", run);
        let arguments: Vec<_> = ["--as", "zoe"]
            .into_iter()
            .chain(command.split(' '))
            .collect();
        let output = world.run(&arguments);
        // Who may not even list is told that there is no such version.
        let refused = matches!(output.status.code(), Some(3 | 5));
        assert!(refused, "{command}: {}", text(&output));
        let denied = format!("ledger log --action {verb} --outcome denied --limit 1");
        let log = world.json(&denied.split(' ').collect::<Vec<_>>());
        assert_eq!(log["entries"][0]["actor"], "zoe", "{command}: {log}");
    }
    assert!(!world.path("x").exists() && !world.path("y").exists());
}

fn table_pipeline(file: &str, more: &str) -> String {
    format!(
        "project: demo\npurpose: testing\nsteps:\n  collect:\n    source:\n      file: {file}\n      output: t\n{more}      \
         origin: {{publisher: us, url: \"https://example.com/t\", licence: CC0-1.0, legal_basis: contract, classification: internal}}\n"
    )
}

#[test]
fn tables_become_parquet_wherever_they_are_and_false_names_are_refused() {
    let world = World::without_workspace();
    assert_ok(&world.run(&["init"]));
    let outside = tempfile::tempdir().unwrap();
    let place = |name: &str, text: &str| fs::write(outside.path().join(name), text).unwrap();
    let folder = outside.path().display();
    place("a.csv", &format!("id,name\n1,{CANARY}\n2,x\n"));
    place("b.csv", "id,name\n2.5,\"y,\nz\"\n");
    place("notes.txt", "no table\n");

    // A pattern: one type for each column over all files, and the line that pins it.
    world.write(
        "custody.yaml",
        &table_pipeline(&format!("\"{folder}/*.csv\""), ""),
    );
    let done = world.run(&["run"]);
    check(&done, 0, "columns: {id: double, name: text}");
    check(&done, 0, "a.csv: 2 rows");
    check(&world.run(&["show", "demo/t@1"]), 0, "a.parquet");
    check(&world.run(&["run"]), 0, "reused");
    assert_ok(&world.run(&["get", "demo/t@1", "--to", "../out"]));
    for name in ["a.parquet", "b.parquet"] {
        let bytes = fs::read(world.folder.path().join("out").join(name)).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    }
    fs::remove_dir_all(world.folder.path().join("out")).unwrap();

    // Pinned types: the row that does not fit is told, its value is not.
    world.write(
        "custody.yaml",
        &table_pipeline(
            &format!("\"{folder}\""),
            "      columns: {id: integer, name: text}\n",
        ),
    );
    let refused = world.run(&["run"]);
    check(
        &refused,
        2,
        "line 2, column `id`: a value that is no `integer`",
    );
    assert!(!text(&refused).contains("2.5"), "{}", text(&refused));
    world.write(
        "custody.yaml",
        &table_pipeline(&format!("\"{folder}\""), ""),
    );
    assert_ok(&world.run(&["run"]));
    check(&world.run(&["show", "demo/t@2"]), 0, "notes.txt");

    // An empty part is no table; declared as files, it is kept.
    fs::create_dir(world.path("d")).unwrap();
    world.write("d/a.parquet", "");
    world.write("custody.yaml", &table_pipeline("d", ""));
    check(&world.run(&["run"]), 2, "it is empty");
    world.write(
        "custody.yaml",
        &table_pipeline("d", "      format: files\n"),
    );
    assert_ok(&world.run(&["run"]));

    // The same without a pipeline.
    let csv = format!("{folder}/a.csv");
    world.write(
        "origin.yaml",
        "{publisher: them, url: \"https://example.com/p\", licence: CC0-1.0, legal_basis: contract, classification: internal}\n",
    );
    let put = world.run(&[
        "put",
        "demo/p",
        &csv,
        "--origin",
        "origin.yaml",
        "--purposes",
        "testing",
    ]);
    check(&put, 0, "columns: {id: integer, name: text}");
    let shown = world.run(&["show", "demo/p@1"]);
    check(&shown, 0, "them");
    check(&shown, 0, "a.parquet");
    let shown = world.run(&["--json", "show", "demo/p@1"]);
    check(&shown, 0, "\"testing\"");
    world.write("bare.csv", "1,007\n");
    check(
        &world.run(&["put", "demo/q", "bare.csv"]),
        2,
        "declare `csv: {header: true}`",
    );
    let put = world.run(&[
        "put",
        "demo/q",
        "bare.csv",
        "--csv",
        "{header: false}",
        "--columns",
        "{column_1: double}",
    ]);
    check(&put, 0, "columns: {column_1: double, column_2: text}");
    world.write("false.csv", "PAR1");
    check(
        &world.run(&["put", "demo/p", "false.csv"]),
        2,
        "its content is Parquet",
    );
    world.assert_nothing_in_clear();
}
