//! What people see of personal data that they may not read: no names, no figures.

use crate::world::World;

/// Two persons, `id` and `salary`; a step that says one of them in every way that it has.
const PIPELINE: &str = r#"
project: demo
purpose: testing
steps:
  collect:
    source:
      file: people.csv
      output: people
      origin: {publisher: us, url: "https://example.com", licence: CC0-1.0, legal_basis: consent, classification: personal}
  others:
    source:
      file: others.csv
      output: others
      origin: {publisher: us, url: "https://example.com", licence: CC0-1.0, legal_basis: consent, classification: personal}
  contract:
    check:
      input: others
      key: id
      checks: [{mean_between: {column: salary, min: 0, max: 1}}]
  train:
    run:
      command: [/bin/sh, /code/say.sh]
      code: [say.sh]
      inputs: {people: people}
      outputs: {model: {artifact: model, kind: report, classification: internal}}
"#;

const PROGRAM: &str = r#"
echo x > "$CUSTODY_OUTPUT_MODEL/jane-doe.txt"
echo '{"name": "salary of jane doe", "value": 12345}' > "$CUSTODY_METRICS"
"#;

const PRINCIPALS: &str = r#"{"users": {
  "ada": {"roles": ["data_scientist"], "purposes": ["testing"]},
  "rex": {"roles": ["reader"]},
  "aud": {"roles": ["auditor"]}}}"#;

/// What tells of the person.
const SAID: [&str; 3] = ["jane", "12345", "salary of"];

fn of_two_persons() -> World {
    let world = World::empty();
    world.write("people.csv", "id,salary\n1,12345\n2,12345\n");
    world.write("others.csv", "id,salary\n3,12345\n");
    world.write("custody.yaml", PIPELINE);
    world.write("say.sh", PROGRAM);
    world.write("policies/principals.json", PRINCIPALS);
    world.yes(&["init"]);
    world.yes(&["policy", "apply", "policies"]);
    world.told(&["run"], 1, "breaks its contract");
    world.write("scans/jane.txt", "positive");
    let put = "put demo/scans scans --classification personal --origin origin.yaml";
    world.write(
        "origin.yaml",
        "{publisher: us, url: 'https://example.com', licence: CC0-1.0, legal_basis: consent, classification: personal}",
    );
    world.yes(&put.split(' ').collect::<Vec<_>>());
    world
}

#[test]
fn names_and_figures_of_a_program_are_for_who_may_read_what_it_read() {
    let world = of_two_persons();
    let asked: &[&[&str]] = &[
        &["show", "demo/model@1"],
        &["--json", "show", "demo/model@1"],
        &["show", "demo/contract@1"],
        &["show", "demo/scans@1"],
        &["--json", "show", "demo/scans@1"],
        &["--json", "show", "demo/contract@1"],
        &["metrics", "demo/model@1"],
        &["trace", "demo/model@1"],
        &["--json", "trace", "demo/model@1"],
        &["ls"],
        &["verify", "demo/model@1"],
        &["ledger", "log", "--limit", "1000"],
        &["--json", "ledger", "log", "--limit", "1000"],
        &["bom", "demo/model@1"],
        &["claims", "demo/model@1"],
    ];
    for who in ["rex", "aud"] {
        for arguments in asked {
            let output = world.run(&[&["--as", who], *arguments].concat());
            let told = crate::world::text(&output);
            for said in SAID {
                assert!(!told.contains(said), "{who} {arguments:?}: {told}");
            }
        }
    }
    world.told(
        &["--as", "rex", "show", "demo/model@1"],
        0,
        "withheld: results",
    );
    // Who may read the data for this purpose sees them.
    let see = ["--as", "ada", "--purpose", "testing"];
    for arguments in [
        ["show", "demo/model@1", "salary of jane doe"],
        ["show", "demo/model@1", "jane-doe.txt"],
        ["metrics", "demo/model@1", "12345"],
    ] {
        world.told(&[see.as_slice(), &arguments[..2]].concat(), 0, arguments[2]);
    }
    // What broke the contract is told to them, though nothing reads the data now.
    world.told(&["show", "demo/contract@1"], 0, "mean of salary");
    world.told(&["show", "demo/others@1"], 0, "in quarantine");
    // The purpose of the pipeline is stated where none is.
    world.told(&["--as", "ada", "show", "demo/model@1"], 0, "salary of");
    let audit = ["--as", "ada", "--purpose", "audit", "show", "demo/model@1"];
    world.told(&audit, 0, "withheld: results");
}

/// A group of one is a person: figures of it are as sensitive as the row.
#[test]
fn figures_over_few_rows_are_as_sensitive_as_the_rows() {
    let rows = |of: u32| {
        let row = |id| format!("{id},{},{},0.{}\n", id / of, id % 2, 1 + id % 2 * 7);
        format!(
            "id,name,label,score\n{}",
            (0..40).map(row).collect::<String>()
        )
    };
    for (of, class) in [(20, "internal"), (5, "personal")] {
        let world = World::empty();
        world.write("rows.csv", &rows(of));
        world.write(
            "custody.yaml",
            "
project: demo
purpose: testing
steps:
  collect:
    source:
      file: rows.csv
      output: rows
      origin: {publisher: us, url: 'https://example.com', licence: CC0-1.0, legal_basis: consent, classification: personal}
  train:
    run:
      command: [/bin/sh, -c, 'echo x > \"$CUSTODY_OUTPUT_MODEL\"/m.txt']
      inputs: {rows: rows}
      outputs: {model: {artifact: model, kind: model}}
  score:
    run:
      command: [/bin/sh, -c, 'cp \"$CUSTODY_INPUT_ROWS\"/* \"$CUSTODY_OUTPUT_SCORES\"']
      inputs: {rows: rows, model: model}
      outputs: {scores: {artifact: scores, kind: dataset}}
  measure:
    evaluate: {model: model, data: rows, predictions: scores, key: id, label: label, score: score, groups: [name], overlap: allowed}
  decide:
    gate: {model: model, evaluation: measure, require: {accuracy: {max: 0.5}}}
",
        );
        world.yes(&["init"]);
        world.told(&["run"], 1, "refuses the model");
        for made in ["demo/measure@1", "demo/decide@1"] {
            let shown = world.json(&["show", made]);
            assert_eq!(shown["version"]["classification"], class, "{made}");
        }
    }
}
