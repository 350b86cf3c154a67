//! Runs through the binary: code folders, versions that are there already, steps at once, failures, interruption,
//! parameters, what changed, figures. The steps need nothing but a shell.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::{World, assert_ok, assert_says};

const SOURCE: &str = "
project: demo
purpose: testing
steps:
  collect:
    source:
      file: words.txt
      output: words
      origin: {publisher: us, url: 'https://example.com/words', licence: CC0-1.0, legal_basis: consent, classification: internal}
";

impl World {
    /// Makes a workspace with a source of words and these steps.
    fn of_steps(steps: &str) -> Self {
        let world = Self::empty();
        world.write("words.txt", "one\ntwo\n");
        world.pipeline(steps);
        world.yes(&["init"]);
        world
    }

    fn pipeline(&self, steps: &str) {
        self.write("custody.yaml", &format!("{SOURCE}{steps}"));
    }
}

/// A step that copies its input, with `extra` lines of its declaration.
fn copy(name: &str, extra: &str) -> String {
    format!(
        "  {name}:
    run:
      command: [/bin/sh, -c, 'cp /in/words/* /out/{name}/']
      inputs: {{words: words}}
      outputs: {{{name}: {{artifact: {name}, kind: report}}}}
{extra}"
    )
}

#[test]
fn code_is_taken_by_folders_without_what_is_no_code() {
    let world = World::of_steps(
        "  count:
    run:
      command: [/code/src/bin/count]
      code: [src]
      inputs: {words: words}
      outputs: {count: {artifact: count, kind: report}}
",
    );
    world.write(
        "src/bin/count",
        "#!/bin/sh\n. /code/src/lib.sh\ncount > /out/count/n\nfind /code -type f > /out/count/code\n",
    );
    fs::set_permissions(
        world.path("src/bin/count"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    world.write("src/lib.sh", "count() { wc -l < /in/words/words.txt; }\n");
    world.write("src/.env", "PASSWORD=secret\n");
    world.write("src/notes.md", "\n");
    world.write(".custodyignore", "*.md\n");
    let first = world.run(&["run"]);
    let told = assert_says(
        &first,
        0,
        &["left out of the code: src/.env, src/notes.md;"],
    );
    assert_eq!(told.matches("src/.env").count(), 1, "{told}");
    assert_ok(&world.run(&["get", "demo/count@1", "--to", "out"]));
    let mut code: Vec<_> = fs::read_to_string(world.path("out/code"))
        .unwrap()
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    code.sort();
    assert_eq!(code, ["/code/src/bin/count", "/code/src/lib.sh"]);
    // What is left out changes nothing; what is taken does, and is named.
    world.write("src/.env", "PASSWORD=other\n");
    assert_says(&world.run(&["status"]), 0, &["everything is up to date"]);
    world.write("src/lib.sh", "count() { wc -w < /in/words/words.txt; }\n");
    world.write("src/new.sh", "\n");
    let changed = [
        "the code file `src/lib.sh` changed",
        "the code file `src/new.sh` is new",
    ];
    assert_says(&world.run(&["status"]), 0, &changed);
    assert_says(&world.run(&["run", "--dry-run"]), 0, &changed);
    assert_ok(&world.run(&["run"]));
    assert_ok(&world.run(&["reproduce", "demo/count@2"]));
    symlink("/etc/passwd", world.path("src/passwd")).unwrap();
    let outside = world.run(&["run"]);
    assert_says(&outside, 2, &["leads out of", "CUS-PIPE-021"]);
}

#[test]
fn a_snapshot_keeps_what_the_folder_held() {
    let world = World::of_steps(
        "  count:
    run:
      command: [/code/src/count]
      code: [src, notes/read.me]
      inputs: {words: words}
      outputs: {count: {artifact: count, kind: report}}
  later:
    run:
      command: [/bin/true]
      code: [not/there]
      inputs: {words: words}
      outputs: {later: {artifact: later, kind: report}}
",
    );
    world.write(
        "src/count",
        "#!/bin/sh\nwc -l < /in/words/words.txt > /out/count/n\n",
    );
    fs::set_permissions(world.path("src/count"), fs::Permissions::from_mode(0o755)).unwrap();
    world.write("src/.env", "PASSWORD=secret\n");
    world.write("notes/read.me", "why\n");
    let first = world.run(&["run", "--snapshot", "count"]);
    assert_says(
        &first,
        0,
        &["left out of the code: src/.env;", "made     count"],
    );
    assert_ok(&world.run(&["get", "demo/snapshot@1", "--to", "kept"]));
    let files = ["custody.yaml", "notes/read.me", "src/count"];
    for file in files {
        let kept = fs::read(world.path(&format!("kept/{file}"))).unwrap();
        assert_eq!(kept, fs::read(world.path(file)).unwrap(), "{file}");
    }
    let kept = walk(&world.path("kept"));
    assert_eq!(kept, files);
    let shown = world.json(&["show", "demo/collect-files@1"]);
    assert_eq!(shown["version"]["kind"], "dataset", "{shown}");
    // The folder itself gives the same: nothing is made again, and nothing is kept twice.
    assert_says(
        &world.run(&["run", "count"]),
        0,
        &["reused   collect", "reused   count"],
    );
    assert_says(
        &world.run(&["run", "--snapshot", "count"]),
        0,
        &["reused   collect", "reused   count"],
    );
    assert_says(
        &world.run(&["status", "count"]),
        0,
        &["everything is up to date"],
    );
    assert_says(
        &world.run(&["show", "demo/snapshot@2"]),
        5,
        &["CUS-DOOR-002"],
    );
    // What changes is kept beside what was.
    world.write("words.txt", "three\n");
    assert_says(
        &world.run(&["run", "--snapshot", "count"]),
        0,
        &["made     collect", "demo/words@2"],
    );
    let trace = world.run(&["trace", "demo/count"]);
    assert_says(&trace, 0, &["demo/collect-files@2 (original)"]);
    assert_says(
        &world.run(&["verify", "demo/count"]),
        0,
        &["everything holds"],
    );
    assert_says(&world.run(&["verify", "--all"]), 0, &["everything holds"]);
    // A step that is named is what the snapshot is of; what it lacks is said before anything is kept.
    let missing = world.run(&["run", "--snapshot", "later"]);
    assert_says(&missing, 5, &["not/there"]);
}

/// Lists the files below a folder, in order.
fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_step_reads_versions_that_are_there_already() {
    let steps = |input: &str| {
        format!(
            "  copy:
    run:
      command: [/bin/sh, -c, 'cat /in/old/words.txt > /out/copy/words.txt']
      inputs: {{old: '{input}'}}
      outputs: {{copy: {{artifact: copy, kind: dataset}}}}
"
        )
    };
    let world = World::of_steps(&steps("words@good"));
    let missing = world.run(&["run"]);
    assert_says(
        &missing,
        2,
        &[
            "there is no version `demo/words@good`, which `copy` needs",
            "old: 'words@good'",
            "^^^",
            "custody ls demo/words",
        ],
    );
    assert_ok(&world.run(&["run", "collect"]));
    world.write("words.txt", "three\n");
    assert_ok(&world.run(&["run", "collect"]));
    assert_ok(&world.run(&["alias", "demo/words", "good", "1"]));
    let plan = world.run(&["run", "--dry-run"]);
    assert_says(&plan, 0, &["`words@good` is demo/words@1"]);
    assert_ok(&world.run(&["run"]));
    let trace = world.json(&["trace", "demo/copy@1"]);
    assert_eq!(trace["edges"][0]["from"], "demo/words@1", "{trace}");
    assert_says(
        &world.run(&["verify", "demo/copy@1"]),
        0,
        &["everything holds"],
    );
    // The alias moves: the same step reads another version, and says so.
    assert_ok(&world.run(&["alias", "demo/words", "good", "2"]));
    assert_says(
        &world.run(&["status"]),
        0,
        &["the input `old` is demo/words@2 (6 B), was demo/words@1 (8 B)"],
    );
    // What was put into another project, unless the policy hides it.
    world.write("other.txt", "four\n");
    assert_ok(&world.run(&[
        "put",
        "credit/raw",
        "words.txt",
        "--classification",
        "internal",
    ]));
    world.pipeline(&steps("credit/raw@1"));
    assert_says(&world.run(&["run"]), 0, &["demo/copy@2"]);
    assert_says(
        &world.run(&["trace", "demo/copy@2"]),
        0,
        &["credit/raw@1 (old)"],
    );
    world.write(
        "policies/principals.json",
        r#"{"users": {"ada": {"roles": ["data_scientist"], "purposes": ["testing"]}}}"#,
    );
    world.write(
        "policies/own.cedar",
        r#"@id("credit") @because("credit is not for her") forbid (principal == User::"ada", action, resource is Artifact) when { resource.project == "credit" };"#,
    );
    assert_ok(&world.run(&["policy", "apply", "policies"]));
    let hidden = world.run(&["--as", "ada", "run"]);
    let told = assert_says(&hidden, 2, &["there is no version `credit/raw@1`"]);
    assert!(!told.contains("not for her"), "{told}");
    world.pipeline(&steps("wrods"));
    assert_says(&world.run(&["status"]), 2, &["did you mean `words`?"]);
}

#[test]
fn every_failed_step_has_its_reason_and_stops_no_other() {
    let fails = |name: &str, code: u8| {
        format!(
            "  {name}:
    run:
      command: [/bin/sh, -c, 'echo it is {name}; exit {code}']
      inputs: {{words: words}}
      outputs: {{{name}: {{artifact: {name}, kind: dataset}}}}
"
        )
    };
    let after = "  after:
    run: {command: [/bin/true], inputs: {x: bad}, outputs: {after: {artifact: after, kind: report}}}
";
    let steps = [
        fails("bad", 3),
        fails("worse", 4),
        copy("good", ""),
        after.to_owned(),
    ]
    .concat();
    let world = World::of_steps(&steps);
    for jobs in ["1", "4"] {
        let reply = world.reply(&["--jobs", jobs]);
        let steps = reply["steps"].as_array().unwrap();
        let told: Vec<_> = steps
            .iter()
            .map(|step| {
                let (name, state) = (step["step"].as_str(), step["state"].as_str());
                format!("{} {}", name.unwrap(), state.unwrap())
            })
            .collect();
        let first = if jobs == "1" { "made" } else { "reused" };
        let expected = [
            format!("collect {first}"),
            "bad failed".to_owned(),
            "after blocked".to_owned(),
            format!("good {first}"),
            "worse failed".to_owned(),
        ];
        assert_eq!(told, expected);
        assert!(
            steps[1]["problem"].to_string().contains("code 3"),
            "{reply}"
        );
        assert!(
            steps[4]["problem"].to_string().contains("code 4"),
            "{reply}"
        );
        assert_eq!(reply["problem"], steps[1]["problem"]);
    }
    let output = world.run(&["run"]);
    let told = assert_says(&output, 1, &["it is bad", "it is worse", "it needs `bad`"]);
    let summary = String::from_utf8_lossy(&output.stdout).into_owned();
    let at = |text: &str| {
        summary
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {told}"))
    };
    assert!(at("FAILED   bad") < at("ended with code 3"), "{summary}");
    assert!(at("ended with code 3") < at("FAILED   worse"), "{summary}");
    assert!(at("FAILED   worse") < at("ended with code 4"), "{summary}");
    assert_says(&world.run(&["verify", "--all"]), 0, &["everything holds"]);
}

#[test]
fn an_interrupted_run_says_what_is_kept_and_every_access_has_an_outcome() {
    let waits = "  wait:
    run:
      command: [/bin/sh, -c, 'echo begun; sleep 600']
      inputs: {words: words}
      outputs: {wait: {artifact: wait, kind: dataset}}
  late:
    run: {command: [/bin/true], inputs: {x: wait}, outputs: {late: {artifact: late, kind: report}}}
";
    for signal in ["-INT", "-TERM"] {
        let world = World::of_steps(waits);
        let mut child = world
            .command(&["run"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stderr.take().unwrap());
        assert!(told.lines().any(|line| line.unwrap().contains("begun")));
        let sent = Command::new("/bin/kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        assert_says(
            &output,
            130,
            &[
                "the step `wait` was interrupted",
                "what was made before is kept: demo/words@1",
                "go on with `custody run`",
            ],
        );
        let log = world.json(&["ledger", "log", "--limit", "200"]);
        let entries = log["entries"].as_array().unwrap();
        let entries: Vec<_> = entries.iter().map(|told| &told["entry"]).collect();
        let granted = entries.iter().filter(|entry| entry["ph"] == "grant");
        for grant in granted.filter(|grant| grant["out"].is_null()) {
            let ended = entries.iter().any(|entry| entry["rel"] == grant["id"]);
            // The command that reads the ledger is still at it.
            assert!(ended || grant["act"] == "ledger.read", "{grant}");
        }
        let interrupted = entries.iter().filter(|entry| {
            ["CUS-RUN-037", "CUS-RUN-040"]
                .iter()
                .any(|code| entry["err"] == *code)
        });
        // The run, the step, its input and its log.
        assert_eq!(interrupted.count(), 4, "{log}");
        assert_says(&world.run(&["verify", "--all"]), 0, &["everything holds"]);
        assert_says(
            &world.run(&["status"]),
            0,
            &["up to date  collect", "it was never done"],
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story of a parameter")]
fn a_parameter_given_to_a_run_is_typed_recorded_and_told() {
    let world = World::of_steps(
        "  train:
    run:
      command: [/bin/sh, /code/train.sh]
      code: [train.sh]
      parameters: {C: 1.0, name: small, deep: {depth: 3}}
      inputs: {words: words}
      outputs: {model: {artifact: model, kind: report}}
",
    );
    world.write(
        "train.sh",
        "echo \"$CUSTODY_PARAMETERS\" > /out/model/parameters\ncase \"$CUSTODY_PARAMETERS\" in *'\"C\":0.1'*) v=0.25;; *) v=0.5;; esac\necho \"{\\\"name\\\": \\\"loss\\\", \\\"value\\\": $v}\" > \"$CUSTODY_METRICS\"\n",
    );
    assert_ok(&world.run(&["run"]));
    // The signed text of a statement has 1 for 1.0: that is no change.
    let program = fs::read_to_string(world.path("train.sh")).unwrap();
    world.write("train.sh", "true > /out/model/none\n");
    let status = world.json(&["status", "train"]);
    let reasons = &status["steps"][1]["reasons"];
    assert_eq!(
        reasons,
        &serde_json::json!(["the code file `train.sh` changed"])
    );
    world.write("train.sh", &program);
    let set = [
        "run",
        "--set",
        "train.C=0.1",
        "--set",
        "train.deep.depth=[1, 2]",
        "--set",
        "train.name='7'",
    ];
    assert_says(&world.run(&set), 0, &["demo/model@2"]);
    assert_ok(&world.run(&["get", "demo/model@2", "--to", "out"]));
    let given = fs::read_to_string(world.path("out/parameters")).unwrap();
    let given: Value = serde_json::from_str(&given).unwrap();
    assert_eq!(
        given,
        serde_json::json!({"C": 0.1, "deep": {"depth": [1, 2]}, "name": "7"})
    );
    let shown = world.json(&["show", "demo/model@2"]);
    let overrides = &shown["evidence"]["overrides"];
    assert_eq!(
        overrides["C"],
        serde_json::json!({"declared": 1, "given": 0.1}),
        "{shown}"
    );
    assert_ok(&world.run(&["reproduce", "demo/model@2"]));
    // The same words again reuse it, and the file as it stands what it had made.
    assert_says(&world.run(&set), 0, &["reused   train", "demo/model@2"]);
    assert_says(&world.run(&["run"]), 0, &["reused   train", "demo/model@1"]);
    for (given, says) in [
        ("trian.C=1", "did you mean `train`?"),
        ("train.c=1", "did you mean `C`?"),
        ("train.deep.x=1", "has no parameter `deep.x`"),
        ("train.C", "write `--set STEP.PARAMETER=VALUE`"),
        ("collect.C=1", "there is no `run` step `collect`"),
        ("train.C={", "cannot be followed"),
    ] {
        assert_says(
            &world.run(&["run", "--set", given]),
            2,
            &[says, "CUS-PIPE-020"],
        );
    }
    let elsewhere = world.run(&["run", "collect", "--set", "train.C=1"]);
    assert_says(&elsewhere, 2, &["does not reach the step `train`"]);

    let metrics = world.json(&["metrics", "demo/model@1", "demo/model@2"]);
    assert_eq!(metrics["schema"], "custody/metrics/1");
    assert_eq!(
        metrics["subjects"][0]["figures"]["train.loss"], 0.5,
        "{metrics}"
    );
    assert_eq!(
        metrics["subjects"][1]["figures"]["train.loss"], 0.25,
        "{metrics}"
    );
    let run = metrics["subjects"][1]["run"].as_str().unwrap();
    assert_says(
        &world.run(&["metrics", run]),
        0,
        &["demo/model@2 (report)", "train.loss  0.25"],
    );
    assert_says(&world.run(&["metrics"]), 0, &["train.loss"]);
    assert_says(&world.run(&["metrics", "nothing"]), 5, &["CUS-RUN-041"]);
    world.write("train.sh", "true > /out/model/none\n");
    world.write("words.txt", "one\ntwo\nthree\n");
    assert_ok(&world.run(&["run"]));
    let compared = world.json(&["compare", "demo/model@2", "demo/model@3"]);
    assert_eq!(compared["schema"], "custody/compare/1");
    let row = |section: &str, name: &str| {
        let sections = compared["sections"].as_array().unwrap();
        let section = sections.iter().find(|one| one["name"] == section).unwrap();
        let rows = section["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name);
        row.unwrap_or_else(|| panic!("{name}: {compared}")).clone()
    };
    assert_eq!(row("parameters", "train.C")["a"], 0.1);
    assert_eq!(row("parameters", "train.C")["b"], 1);
    assert_eq!(row("figures", "train.loss")["b"], Value::Null);
    assert_eq!(row("code", "train train.sh")["equal"], false);
    assert!(
        row("data", "demo/words")["b"]
            .to_string()
            .contains("demo/words@2 (14 B)")
    );
    assert_says(
        &world.run(&["compare", "demo/model@2", "demo/model@3"]),
        0,
        &["parameters", "train.C", "0.1"],
    );
}

#[test]
fn status_names_what_changed_and_what_follows() {
    let world = World::of_steps(&[copy("a", "      parameters: {x: 1}\n"), copy("b", "")].concat());
    assert_says(
        &world.run(&["status"]),
        0,
        &["it was never done", "3 steps would run"],
    );
    assert_ok(&world.run(&["run"]));
    let status = world.json(&["status"]);
    assert_eq!(status["schema"], "custody/status/1");
    assert!(
        status["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["runs"] == false)
    );
    world.write("words.txt", "one\n");
    world.pipeline(&[copy("a", "      parameters: {x: 2, y: 3}\n"), copy("b", "")].concat());
    assert_says(
        &world.run(&["status"]),
        0,
        &[
            "the file `words.txt` is 4 B, was 8 B",
            "`collect` runs before it",
            "the parameter `x` is 2, was 1",
            "the parameter `y` is new: 3",
        ],
    );
    // Whoever may not trace is told nothing.
    world.write(
        "policies/principals.json",
        r#"{"users": {"rex": {"roles": ["reader"]}}}"#,
    );
    assert_ok(&world.run(&["policy", "apply", "policies"]));
    for command in [
        &["status"][..],
        &["metrics"],
        &["compare", "demo/a@1", "demo/b@1"],
    ] {
        let refused = world.run(&[&["--as", "rex"], command].concat());
        assert_says(&refused, 3, &[]);
    }
}

#[test]
fn a_lock_that_pins_nothing_is_told_before_anything_runs() {
    let world = World::of_steps(&copy("a", "      environment: gpu\n"));
    let unknown = world.run(&["run"]);
    assert_says(
        &unknown,
        2,
        &["there is no environment `gpu`", "environment: gpu", "^^^"],
    );
    let text = fs::read_to_string(world.path("custody.yaml")).unwrap();
    let environments = "environments: {gpu: {python: '3.11', lock: requirements.txt}}\nsteps:";
    world.write("custody.yaml", &text.replace("steps:", environments));
    world.write("requirements.txt", "six==1.16.0\n");
    let loose = world.run(&["run", "--dry-run"]);
    assert_says(
        &loose,
        2,
        &[
            "CUS-ENV-006",
            "`six==1.16.0` has no hash",
            "uv pip compile --generate-hashes --only-binary :all: --python-version 3.11 requirements.txt",
        ],
    );
}

#[test]
fn the_commit_of_the_project_is_part_of_the_provenance() {
    let world = World::of_steps(&copy("a", ""));
    let id = "0123456789abcdef0123456789abcdef01234567";
    world.write(".git/HEAD", "ref: refs/heads/topic\n");
    world.write(".git/refs/heads/topic", id);
    assert_ok(&world.run(&["run"]));
    let shown = world.json(&["show", "demo/a@1"]);
    assert_eq!(shown["evidence"]["commit"]["id"], id, "{shown}");
    assert_eq!(shown["evidence"]["commit"]["branch"], "topic", "{shown}");
    assert_says(
        &world.run(&["trace", "demo/a@1"]),
        0,
        &[&format!("from commit {id} on topic")],
    );
    // A commit that cannot be read fails no run, and no commit makes a step run again.
    world.write(".git/HEAD", "nothing\n");
    assert_says(&world.run(&["run"]), 0, &["reused   a"]);
}

/// Mistakes of the file that the columns of its sources show, whatever their format, and those of versions.
#[test]
fn columns_of_every_source_are_known_before_anything_runs() {
    let check = |input: &str, check: &str| {
        format!("  contract:\n    check:\n      input: {input}\n      checks:\n        - {check}\n")
    };
    let world = World::of_steps("");
    world.write("loans/a.csv", "id,total\n1,2.5\n2,3.5\n");
    world.write("loans/b.csv", "id,total\n3,4\n");
    world.write("lines.jsonl", "{\"id\": 1, \"total\": 2.5}\n");
    assert_ok(&world.run(&["put", "demo/kept", "lines.jsonl"]));
    assert_ok(&world.run(&["get", "demo/kept@1", "--to", "out"]));
    let sources = [
        ("loans", ""),
        (
            "loans/a.csv",
            "      columns: {id: integer, total: double}\n",
        ),
        ("lines.jsonl", ""),
        ("out/*.parquet", ""),
    ];
    let mistakes = [
        ("not_null: [idd]", "did you mean `id`?"),
        ("range: {column: toal, min: 1}", "did you mean `total`?"),
        ("range: {column: total, min: a}", "`a`"),
        ("sql: {name: sum, condition: SUM(total) > 1}", "SUM"),
    ];
    for (number, (file, columns)) in sources.iter().enumerate() {
        for (mistake, says) in mistakes {
            let source = format!(
                "  loans:\n    source:\n      file: {file}\n      output: loans\n{columns}      origin: {{publisher: us, url: 'https://example.com', licence: CC0-1.0, legal_basis: consent, classification: internal}}\n",
            );
            let query = "  query:\n    sql:\n      inputs: {loans: loans}\n      outputs: {rows: SELECT * FROM loans}\n";
            // The way through a query, and a version that is there, are the same for all.
            let ways = [("", "loans"), (query, "rows"), ("", "kept@latest")];
            for (more, input) in ways.into_iter().take(if number == 0 { 3 } else { 1 }) {
                world.pipeline(&format!("{source}{more}{}", check(input, mistake)));
                let told = assert_says(&world.run(&["run", "--dry-run"]), 2, &[says]);
                assert!(told.contains('^'), "{number} {input}: {told}");
            }
        }
    }
    let right = check("loans", "range: {column: total, min: 1}");
    let source = "  loans:\n    source:\n      file: loans\n      output: loans\n      origin: {publisher: us, url: 'https://example.com', licence: CC0-1.0, legal_basis: consent, classification: internal}\n";
    world.pipeline(&format!("{source}{right}"));
    assert_ok(&world.run(&["run"]));
    assert_says(
        &world.run(&["run", "--dry-run"]),
        0,
        &["0 of 3 steps would run"],
    );
    // What is no word of YAML is told in words for who wrote it.
    world.pipeline("  query:\n    sql:\n      inputs: {words: words}\n      outputs: {rows: }\n");
    let told = assert_says(
        &world.run(&["run", "--dry-run"]),
        2,
        &["13 |", "null is not allowed"],
    );
    assert!(
        !told.contains("Option<") && !told.contains("because: error"),
        "{told}"
    );
    for (check, says) in [
        ("not_null: id", "a list of columns is expected"),
        ("uniqe: [id]", "did you mean `unique`?"),
        ("row_count: 5", "names with values are expected"),
        ("row_count: {min: 5.5}", "a whole number is expected"),
        ("range: {min: 1}", "`column` is missing"),
    ] {
        world.pipeline(&format!(
            "  contract:\n    check:\n      input: words\n      checks:\n        - {check}\n"
        ));
        let told = assert_says(&world.run(&["run", "--dry-run"]), 2, &[says, "^"]);
        assert!(
            !told.contains("enum") && !told.contains("<input>"),
            "{told}"
        );
    }
    // A mistake that the columns show ends the run's entry with its own code; a second run says the same.
    world.pipeline(&format!("{source}{}", check("loans", "not_null: [idd]")));
    for _ in 0..2 {
        assert_says(&world.run(&["run"]), 2, &["did you mean `id`?"]);
        let log = world.yes(&["--json", "ledger", "log", "--limit", "6"]);
        assert!(log.contains("CUS-PIPE-001"), "{log}");
    }
    assert_says(
        &world.run(&["ls", "--quarantine"]),
        0,
        &["nothing is in quarantine"],
    );
}
