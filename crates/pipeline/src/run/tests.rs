use custody_guard::testing::World;
use custody_types::Problem;
use custody_wire::{RunEvent, RunReply, RunRequest, StepState};

use crate::testing::runner;

const SOURCE: &str = r"
project: demo
steps:
  collect:
    source:
      file: rows.csv
      output: rows
      origin: {publisher: us, url: 'https://rows.example', licence: own, legal_basis: contract, classification: internal}
";
const ROWS: &str = "id,amount\n1,10\n2,20\n3,x\n";

/// Runs the pipeline once, as a process of its own; also returns what was told, a word for each event.
fn run(world: &World, steps: &str) -> (Result<RunReply, Problem>, Vec<String>) {
    let door = world.open();
    let file = format!("{SOURCE}{steps}");
    let runner = runner(world, &door, &[("custody.yaml", &file), ("rows.csv", ROWS)]);
    let mut told = Vec::new();
    let mut tell = |event: RunEvent| {
        told.push(match event {
            RunEvent::Started(_) => "started".to_owned(),
            RunEvent::Planned { .. } => "planned".to_owned(),
            RunEvent::StepStarted { step } => format!("{step} starts"),
            RunEvent::StepLog { step, .. } => format!("{step} says"),
            RunEvent::StepFinished(outcome) => format!("{} ends", outcome.step),
            RunEvent::Finished(_) | RunEvent::Problem(_) => "ended".to_owned(),
        });
    };
    let reply = runner.run(&world.person("owner"), &RunRequest::default(), &mut tell);
    (reply, told)
}

/// What became of the steps.
fn states(reply: &RunReply) -> Vec<(&str, StepState)> {
    let steps = reply.steps.iter();
    steps.map(|step| (step.step.as_str(), step.state)).collect()
}

const SUMS: &str = r"
  sums:
    sql:
      inputs: {rows: rows}
      outputs:
        all: SELECT id, amount FROM rows
        few: SELECT id FROM rows WHERE id < 3
";

#[test]
fn what_was_made_is_made_once() {
    let world = World::default();
    let (reply, told) = run(&world, SUMS);
    let reply = reply.unwrap();
    assert_eq!(
        states(&reply),
        [("collect", StepState::Made), ("sums", StepState::Made)]
    );
    assert_eq!(
        told,
        [
            "started",
            "planned",
            "collect starts",
            "collect ends",
            "sums starts",
            "sums ends"
        ]
    );
    let names: Vec<_> = reply.steps.iter().flat_map(|step| &step.versions).collect();
    let names: Vec<_> = names.into_iter().map(ToString::to_string).collect();
    assert_eq!(names, ["demo/rows@1", "demo/all@1", "demo/few@1"]);
    let packs = world.place.count();
    assert!(packs.0 > 0 && packs.1 == 0, "{packs:?}");
    let again = run(&world, SUMS).0.unwrap();
    assert_eq!(
        states(&again),
        [("collect", StepState::Reused), ("sums", StepState::Reused)]
    );
    assert_eq!(world.place.count(), packs);
}

#[test]
fn a_step_that_fails_leaves_no_bytes_of_what_it_had_made() {
    let world = World::default();
    run(&world, "").0.unwrap();
    let before = world.place.count();
    // The first output is whole when the second meets a value that is no number.
    let steps = SUMS.replace(
        "SELECT id FROM rows WHERE id < 3",
        "SELECT CAST(amount AS BIGINT) AS n FROM rows",
    );
    let reply = run(&world, &steps).0.unwrap();
    assert_eq!(
        states(&reply),
        [("collect", StepState::Reused), ("sums", StepState::Failed)]
    );
    assert_eq!(world.place.count(), before);
    // Every grant has its outcome, and none of them made a version.
    let door = world.open();
    let (grants, outcomes) = World::grants_and_outcomes(&door);
    assert_eq!(grants, outcomes);
    let entries = World::entries(&door);
    let made = entries
        .iter()
        .filter(|entry| entry.facts.contains_key("record"));
    assert_eq!(made.count(), 1);
}
