//! Runs as others see them: listed, shown, followed and cancelled, by another process and after a crash.

use std::process::{Child, Stdio};

use serde_json::Value;

use crate::world::{World, text};

const PRINCIPALS: &str = r#"{"users": {
  "ada": {"roles": ["data_scientist"]},
  "rex": {"roles": ["reader"]},
  "aud": {"roles": ["auditor"]}}}"#;

impl World {
    /// A workspace with a run that goes on until it is ended, and that run.
    fn with_endless_run() -> (Self, Child) {
        let world = Self::of_words();
        world.write("count.sh", "sleep 600\n");
        let run = world.start(&["run"]);
        drop(world.socket());
        // Its endless step is the second one.
        let id = world.only_run().1;
        let shown = || text(&world.run(&["runs", "show", &id]));
        let mut asked = (0..200).map(|_| shown());
        assert!(asked.any(|shown| shown.contains("count: started")));
        (world, run)
    }

    fn runs(&self, more: &[&str]) -> Vec<Value> {
        let listed = self.json(&[&["runs"], more].concat());
        listed["runs"].as_array().unwrap().clone()
    }

    /// The only run that there is, and its id.
    fn only_run(&self) -> (Value, String) {
        let runs = self.runs(&[]);
        assert_eq!(runs.len(), 1, "{runs:?}");
        let id = runs[0]["id"].as_str().unwrap().to_owned();
        (runs[0].clone(), id)
    }
}

/// The events that a reader was told, each with its entry.
fn moments(lines: &str) -> Vec<(u64, String)> {
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told = lines.map(|line| {
        let step = line["step"].as_str().unwrap_or_default();
        let event = format!(
            "{} {step} {}",
            line["event"].as_str().unwrap(),
            line["state"].as_str().unwrap_or_default()
        );
        (line["at"].as_u64().unwrap(), event.trim().to_owned())
    });
    told.collect()
}

#[test]
fn a_run_is_listed_followed_and_cancelled_by_another_process() {
    let (world, run) = World::with_endless_run();
    let (listed, id) = world.only_run();
    assert_eq!(
        (&listed["state"], &listed["ended"]),
        (&"running".into(), &Value::Null)
    );
    world.told(&["runs", "show", &id], 0, "count: started");
    let follow = ["--json", "runs", "show", &id, "--follow"];
    let follower = world
        .command(&follow)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    world.told(&["runs", "cancel", &id], 0, "is being cancelled");
    let told = follower.wait_with_output().unwrap();
    assert!(told.status.success());
    let told = moments(&String::from_utf8(told.stdout).unwrap());
    let events: Vec<_> = told.iter().map(|(_, event)| event.as_str()).collect();
    let expected = [
        "started",
        "step_started collect",
        "step_ended collect done",
        "step_started count",
        "step_ended count interrupted",
        "ended  interrupted",
    ];
    assert_eq!(events, expected);
    let ended = run.wait_with_output().unwrap();
    crate::world::check(&ended, 130, "the run was cancelled");

    // Who was cut off goes on after what they were told last; the whole is told again by the ledger alone.
    let after = told[2].0.to_string();
    let rest = world.yes(&[&follow[..], &["--after", &after]].concat());
    assert_eq!(moments(&rest), told[3..]);
    let (listed, _) = world.only_run();
    assert_eq!(
        (&listed["state"], &listed["error"]),
        (&"interrupted".into(), &"CUS-RUN-043".into())
    );
    world.told(&["runs", "cancel", &id], 5, "has ended");
    world.yes(&["index", "rebuild"]);
    assert_eq!(world.only_run().0, listed);
    world.yes(&["verify", "--all"]);
}

/// A process that is killed cannot say how its run ended: it is told as that, not as one that goes on for ever.
#[test]
fn a_run_that_was_killed_does_not_go_on_for_ever() {
    let (world, mut run) = World::with_endless_run();
    run.kill().unwrap();
    run.wait().unwrap();
    let (listed, id) = world.only_run();
    assert_eq!(listed["state"], "unknown", "{listed}");
    world.told(&["runs", "show", &id], 0, "count: unknown");
    world.told(
        &["runs", "show", &id, "--follow"],
        0,
        "the run ended: unknown",
    );
    world.told(&["runs", "cancel", &id], 5, "has ended");
}

#[test]
fn runs_come_newest_first_a_page_at_a_time_and_what_was_only_planned_is_none() {
    let world = World::of_words();
    world.told(&["runs"], 0, "there are no runs");
    world.yes(&["run", "--dry-run"]);
    assert_eq!(world.runs(&[]), Vec::<Value>::new());
    for _ in 0..3 {
        world.yes(&["run"]);
    }
    let all = world.runs(&[]);
    let starts: Vec<_> = all
        .iter()
        .map(|run| run["entries"][0].as_u64().unwrap())
        .collect();
    assert!(
        starts.is_sorted_by(|newer, older| newer > older) && starts.len() == 3,
        "{starts:?}"
    );
    assert!(all.iter().all(|run| run["state"] == "done"));
    let first = world.json(&["runs", "--limit", "2"]);
    let cursor = first["next"].as_str().unwrap();
    let rest = world.json(&["runs", "--limit", "2", "--after", cursor]);
    let paged = [&first, &rest]
        .map(|page| page["runs"].as_array().unwrap().clone())
        .concat();
    assert_eq!((paged, &rest["next"]), (all, &Value::Null));
    world.told(
        &["runs", "--after", "00"],
        2,
        "is no place where this list goes on",
    );
    assert_eq!(world.runs(&["--project", "other"]), Vec::<Value>::new());
    world.told(&["runs", "show", "x"], 5, "there is no run");
}

/// Who may not see the runs of a project does not learn that there are any: an id of one is answered as one that is
/// none, and the ledger knows which it was.
#[test]
fn runs_of_a_project_that_one_may_not_see_are_not_there() {
    let world = World::of_words();
    world.write("policies/principals.json", PRINCIPALS);
    let forbid = r#"forbid (principal == User::"ada", action in [Action::"readRun", Action::"cancelRun"], resource in Project::"demo");"#;
    world.write("policies/own.cedar", forbid);
    world.yes(&["policy", "apply", "policies"]);
    world.yes(&["run"]);
    let (_, id) = world.only_run();
    let none = "01900000-0000-7000-8000-000000000000";
    let hidden = |text: String| text.replace(&id, "ID").replace(none, "ID");
    for arguments in [
        &["runs", "show"][..],
        &["runs", "show", "--follow"],
        &["runs", "cancel"],
    ] {
        let ask = |id: &str| {
            world.told(
                &[&["--as", "ada"], arguments, &[id]].concat(),
                5,
                "there is no run",
            )
        };
        assert_eq!(hidden(ask(&id)), hidden(ask(none)), "{arguments:?}");
    }
    world.told(&["--as", "ada", "runs"], 0, "there are no runs");
    world.told(
        &["--as", "ada", "runs", "--project", "demo"],
        3,
        "may not see",
    );
    world.told(&["--as", "rex", "runs"], 3, "may not see");
    world.told(&["--as", "aud", "runs"], 0, &id);
    world.told(&["--as", "aud", "runs", "cancel", &id], 3, "may not cancel");
    let log = world.json(&["ledger", "log", "--action", "run.cancel"]);
    let answers = log["entries"].as_array().unwrap().iter();
    let answers: Vec<_> = answers
        .map(|entry| entry["entry"]["out"].as_str().unwrap())
        .collect();
    assert_eq!(answers, ["denied", "error", "denied"]);
}
