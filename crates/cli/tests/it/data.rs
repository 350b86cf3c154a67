//! Looking at data through the binary: columns for who may list, values for who may read and see them, nobody else.

use crate::world::World;

/// A value that nobody without rights may see.
const CANARY: &str = "canary-7f3a";

impl World {
    /// Two versions of a table with people, and who may what.
    fn of_people() -> Self {
        let world = Self::empty();
        world.yes(&["init"]);
        let rows = format!(
            "id,email,note\n1,ada@example.com,{CANARY}\n2,bob@example.com,\u{1b}[2Jgone\n3,eve@example.com,\n"
        );
        world.write("before.csv", &rows);
        world.write(
            "after.csv",
            &rows.replace(CANARY, "new").replace("3,eve", "4,zoe"),
        );
        for file in ["before.csv", "after.csv"] {
            world.yes(&[
                "put",
                "demo/people",
                file,
                "--classification",
                "personal",
                "--purposes",
                "testing",
            ]);
        }
        world.write(
            "policies/principals.json",
            r#"{"users": {
                "rita": {"roles": ["reader"]},
                "dan": {"roles": ["data_scientist"], "purposes": ["testing"]},
                "nobody": {"roles": []}}}"#,
        );
        world.yes(&["policy", "apply", "policies"]);
        world
    }
}

const DIFF: [&str; 6] = [
    "data",
    "diff",
    "demo/people@1",
    "demo/people@2",
    "--key",
    "id",
];
const SHOWING: [&[&str]; 3] = [
    &["data", "head", "demo/people@1"],
    &["data", "profile", "demo/people@1"],
    &DIFF,
];

#[test]
fn values_are_shown_to_who_may_read_and_see_them_alone() {
    let world = World::of_people();
    let schema = ["data", "schema", "demo/people@1"];
    for (who, code) in [("rita", 0), ("dan", 0), ("nobody", 5)] {
        let told = world.told(&[&["--as", who], &schema[..]].concat(), code, "");
        assert_eq!(told.contains("email"), code == 0, "{told}");
        assert!(!told.contains(CANARY), "{told}");
    }
    for command in SHOWING {
        // To have steps read it is not to see it: that is decided as a step's output is.
        for (who, code) in [("rita", 3), ("dan", 3), ("nobody", 5)] {
            for more in [&["--purpose", "testing"][..], &["--json"]] {
                let told = world.told(&[&["--as", who], command, more].concat(), code, "");
                for value in [CANARY, "example.com", "distinct", "KS"] {
                    assert!(!told.contains(value), "{who} {command:?}: {told}");
                }
            }
        }
        // The owner states a purpose that the data admits, or is refused.
        world.told(command, 3, "");
        world.yes(&[command, &["--purpose", "testing"]].concat());
    }
    for verb in ["object.read", "run.log"] {
        for outcome in ["denied", "ok"] {
            let log = world.json(&["ledger", "log", "--action", verb, "--outcome", outcome]);
            let entries = log["entries"].as_array().unwrap();
            assert!(!entries.is_empty(), "{verb} {outcome}");
        }
    }
}

#[test]
fn what_is_shown_is_what_is_there_and_steers_no_terminal() {
    let world = World::of_people();
    let purpose = ["--purpose", "testing"];
    let shown = |command: &[&str]| world.yes(&[command, &purpose].concat());
    let head = shown(SHOWING[0]);
    assert!(
        head.contains(CANARY) && head.contains("\\u{1b}[2Jgone"),
        "{head}"
    );
    assert!(!head.contains('\u{1b}'), "{head}");
    let profile = shown(SHOWING[1]);
    assert!(
        profile.contains("email: 3 of 3 values look like e-mail addresses"),
        "{profile}"
    );
    let profile = world.json(&[SHOWING[1], &purpose].concat());
    assert_eq!(profile["schema"], "custody/data-profile/1");
    assert_eq!(profile["profile"]["columns"][1]["distinct"], 3);
    let diff = world.json(&[&DIFF[..], &purpose].concat());
    assert_eq!(diff["schema"], "custody/data-diff/1");
    let counted = ["added", "removed", "changed", "unchanged"].map(|name| &diff["diff"][name]);
    assert_eq!(counted, [1, 1, 1, 1], "{diff}");
    let wrong = [
        &["data", "profile", "demo/people"],
        &purpose[..],
        &["--column", "emial"],
    ];
    assert!(
        world
            .told(&wrong.concat(), 2, "")
            .contains("did you mean `email`")
    );
}

#[test]
fn what_is_no_table_is_said_to_be_none() {
    let world = World::of_people();
    world.write("words.txt", CANARY);
    world.yes(&[
        "put",
        "demo/words",
        "words.txt",
        "--classification",
        "public",
    ]);
    for verb in ["schema", "head", "profile"] {
        let told = world.told(&["data", verb, "demo/words"], 1, "");
        assert!(
            told.contains("words.txt") && !told.contains(CANARY),
            "{told}"
        );
    }
}

/// A library that stops at a broken file is no fault of the user, nor one that is seen.
#[test]
fn what_a_library_breaks_off_at_is_refused_in_words() {
    let world = World::empty();
    world.yes(&["init"]);
    let broken = include_bytes!("../../../../fuzz/corpus/table_arrow/decimal.file");
    std::fs::write(world.path("broken.arrow"), broken).unwrap();
    let told = world.told(&["put", "demo/broken", "broken.arrow"], 2, "cannot hold");
    assert!(!told.contains("panicked"), "{told}");
    world.told(&["ls"], 0, "");
    assert!(!world.yes(&["ls"]).contains("demo/broken"));
}
