//! The whole through the binary: a small pipeline whose steps need nothing but a shell.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic and write files"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A text that stands in the source and must be nowhere in clear afterwards.
const CANARY: &str = "canary-7f3a9c51-never-in-clear";

struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// Makes a workspace with a pipeline over a file of words.
    fn new() -> Self {
        let world = Self::bare();
        assert_ok(&world.run(&["init"]));
        world
    }

    fn bare() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(world.project()).unwrap();
        fs::create_dir_all(world.folder.path().join("tmp")).unwrap();
        world.write("words.txt", &format!("one\ntwo\n{CANARY}\n"));
        world.write(
            "count.sh",
            "wc -l < \"$CUSTODY_INPUT_WORDS\"/words.txt > \"$CUSTODY_OUTPUT_COUNT\"/count.txt\n",
        );
        world.write("custody.yaml", PIPELINE);
        world
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.project().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custody"));
        command
            .args(arguments)
            .current_dir(self.project())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path().join("home"))
            .env("TMPDIR", self.folder.path().join("tmp"))
            .env("CI", "1")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn keep(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.files()
            .into_iter()
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    /// Puts an older state back; what the user's own folder remembers of the newer one goes too.
    fn restore(&self, kept: &[(PathBuf, Vec<u8>)]) {
        self.restore_workspace_alone(kept);
        let _ = fs::remove_dir_all(self.folder.path().join("home/.local/state/custody"));
    }

    fn restore_workspace_alone(&self, kept: &[(PathBuf, Vec<u8>)]) {
        fs::remove_dir_all(self.path(".custody")).unwrap();
        for (path, bytes) in kept {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        fs::create_dir_all(self.path(".custody/packs/tmp")).unwrap();
    }

    /// Lists every file below the workspace.
    fn files(&self) -> Vec<PathBuf> {
        files_below(self.path(".custody"))
    }

    /// Looks for the canary in everything that the program may have written: workspace, home with its
    /// caches, temporary folder, core files in the project's folder.
    fn assert_nothing_in_clear(&self) {
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

fn files_below(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

const PIPELINE: &str = r#"
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

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn assert_ok(output: &Output) {
    assert!(output.status.success(), "{}", text(output));
}

fn assert_exit(output: &Output, code: i32, says: &str) {
    let told = text(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(told.contains(says), "`{says}` is not in: {told}");
}

#[test]
fn a_pipeline_runs_is_reused_traced_verified_and_reproduced() {
    let world = World::new();
    assert_ok(&world.run(&["run"]));
    let again = world.run(&["run"]);
    assert_ok(&again);
    assert_eq!(
        text(&again).matches("reused").count(),
        2,
        "{}",
        text(&again)
    );
    assert_exit(
        &world.run(&["trace", "demo/count@1"]),
        0,
        "demo/words@1 (words)",
    );
    assert_exit(
        &world.run(&["trace", "--down", "demo/words@1"]),
        0,
        "demo/count@1",
    );
    assert_exit(
        &world.run(&["verify", "demo/count@1"]),
        0,
        "everything holds",
    );
    assert_exit(&world.run(&["verify", "--all"]), 0, "everything holds");
    assert_exit(&world.run(&["reproduce", "demo/count@1"]), 0, "count");
    // The program changed: only it and what follows runs again.
    world.write("count.sh", "wc -w < \"$CUSTODY_INPUT_WORDS\"/words.txt > \"$CUSTODY_OUTPUT_COUNT\"/count.txt; echo x > \"$CUSTODY_OUTPUT_COUNT\"/x\n");
    let plan = world.run(&["run", "--dry-run"]);
    assert_exit(&plan, 0, "1 of 2 steps would run");
    let changed = text(&world.run(&["run"]));
    assert!(
        changed.contains("reused   collect")
            && changed.contains("made     count")
            && changed.contains("demo/count@2"),
        "{changed}"
    );
    // One row changed: everything runs again on the new version.
    world.write("words.txt", "one\n");
    assert_exit(&world.run(&["run"]), 0, "demo/words@2");
}

#[test]
fn nothing_stands_in_clear_on_the_disk() {
    let world = World::new();
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

/// A step that crashes, and the program itself when it is killed by a signal that writes core files.
#[test]
fn a_crash_leaves_no_core_file() {
    let world = World::new();
    world.write(
        "count.sh",
        "cat \"$CUSTODY_INPUT_WORDS\"/words.txt; read words < \"$CUSTODY_INPUT_WORDS\"/words.txt; kill -SEGV $$",
    );
    let unlimited = |world: &World| {
        let run = world.command(&["run"]);
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", "ulimit -c unlimited 2>/dev/null; exec \"$0\" run"])
            .arg(run.get_program())
            .current_dir(world.project())
            .env_clear()
            .envs(
                run.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        shell
    };
    let crashed = unlimited(&world).output().unwrap();
    assert_exit(&crashed, 1, "signal 11");
    world.assert_nothing_in_clear();

    world.write(
        "count.sh",
        "echo begun; read words < \"$CUSTODY_INPUT_WORDS\"/words.txt; sleep 60",
    );
    let mut child = unlimited(&world).stderr(Stdio::piped()).spawn().unwrap();
    let told = std::io::BufReader::new(child.stderr.take().unwrap());
    let begun = std::io::BufRead::lines(told).any(|line| line.unwrap().contains("begun"));
    assert!(begun, "what a step prints is seen while it runs");
    let killed = Command::new("/bin/kill")
        .args(["-SEGV", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert!(!child.wait().unwrap().success());
    world.assert_nothing_in_clear();
    let files = files_below(world.project());
    let core = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("core")
    };
    assert!(!files.iter().any(core), "{files:?}");
}

/// Runs a script in which `$1` is a folder that can be mounted upon and `$2` the project's.
fn scripted(world: &World, script: &str) -> Output {
    let small = world.folder.path().join("small");
    fs::create_dir_all(&small).unwrap();
    let command = world.command(&[]);
    Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "/bin/sh",
            "-c",
            script,
        ])
        .arg(command.get_program())
        .args([&small, &world.project()])
        .current_dir(world.project())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .output()
        .unwrap()
}

/// On a disk of 24 MiB: what has no room is refused and named, nothing acknowledged is lost, and with room
/// again everything goes on without repair.
#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let world = World::new();
    let script = r#"
        set -e
        mount -t tmpfs -o size=24m tmpfs "$1"
        cd "$1"
        head -c 100000 /dev/urandom > small.bin
        head -c 40000000 /dev/urandom > "$2/large.bin"
        "$0" init
        "$0" put full/a small.bin
        echo "== too large"
        "$0" put full/b "$2/large.bin" && exit 99
        echo "exit $?"
        test -z "$(ls .custody/packs/tmp)" || exit 98
        echo "== no room at all"
        head -c 30000000 /dev/zero > filler 2>/dev/null || true
        for number in 1 2 3; do "$0" put full/c "$2/words.txt" || echo "exit $?"; done
        echo "== room again"
        rm filler
        "$0" put full/d small.bin
        "$0" get full/a@1 --to out
        cmp small.bin out/small.bin
        "$0" ls
        "$0" verify --all
    "#;
    let output = scripted(&world, script);
    assert_exit(&output, 0, "everything holds");
    let told = text(&output);
    assert!(told.contains("exit 75"), "{told}");
    assert!(told.contains("CUS-STORE-004"), "{told}");
    assert!(
        told.contains("full/a@1") && told.contains("full/d@1") && !told.contains("full/b@1"),
        "{told}"
    );
}

/// Everything that writes outside of the store, onto a disk without a free byte: the same code, words and exit
/// each time, no half file, and the same command works when there is room.
#[test]
fn a_full_disk_is_called_a_full_disk_everywhere() {
    let world = World::new();
    world.write("data.bin", &"0123456789abcdef".repeat(200_000));
    let script = r#"
        set -e
        "$0" put demo/data data.bin
        mount -t tmpfs -o size=2m tmpfs "$1"
        mkdir "$1/new" "$HOME/elsewhere"
        export full="$1"
        fill() { head -c 3000000 /dev/zero > "$full/filler" 2>/dev/null || true; }
        told() {
            name="$1"; shift
            if "$@" 2> "$TMPDIR/told" > /dev/null; then echo "$name: passed"; exit 99; else code=$?; fi
            grep -q 'no room left on the disk.*CUS-STORE-004' "$TMPDIR/told" || { echo "$name: $code"; cat "$TMPDIR/told"; exit 98; }
            grep -q 'nothing that was acknowledged is lost' "$TMPDIR/told" || exit 97
            test "$code" = 75 || { echo "$name: exit $code"; exit 96; }
            echo "$name: told"
        }
        fill
        told get "$0" get demo/data --to "$1/out"
        told export "$0" ledger export "$1/ledger"
        told answer sh -c '"$0" ls > "$full/answer"' "$0"
        told init sh -c 'cd "$full/new" && "$0" init --key-file "$HOME/new.key"' "$0"
        told key sh -c 'cd "$HOME/elsewhere" && "$0" init --key-file "$full/new.key"' "$0"
        wanted=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        : > empty.lock
        printf '%s\n' 'project: demo' 'purpose: testing' "environment: {python: \"$wanted\", lock: empty.lock}" 'steps:' \
            '  count:' '    run:' '      command: [python, -c, "1"]' '      outputs: {count: {artifact: count, kind: report}}' > custody.yaml
        told environment sh -c 'XDG_CACHE_HOME="$full" "$0" run >&2' "$0"
        find "$1"
        rm "$1/filler"
        "$0" ledger export "$1/ledger"
        sh -c 'cd "$full/new" && "$0" init --key-file "$HOME/new.key"' "$0"
        sh -c 'cd "$HOME/elsewhere" && "$0" init --key-file "$full/new.key"' "$0"
        "$0" verify --all
    "#;
    let output = scripted(&world, script);
    assert_exit(&output, 0, "everything holds");
    let told = text(&output);
    for name in ["get", "export", "answer", "init", "key", "environment"] {
        assert!(told.contains(&format!("{name}: told")), "{told}");
    }
    assert!(!told.contains("partial-"), "{told}");
}

/// Text of 3.2 MB in which nothing comes twice.
fn digits() -> String {
    use std::fmt::Write as _;
    (0..400_000_u32).fold(String::new(), |mut text, number| {
        write!(text, "{:08x}", number.wrapping_mul(2_654_435_761)).unwrap();
        text
    })
}

/// A model that is refused leaves its signed scan and not one of its bytes; what it shares with a live version
/// stays.
#[test]
fn a_refused_model_leaves_no_bytes() {
    let world = World::new();
    let digits = digits();
    let (live, rest) = digits.split_at(1_200_000);
    world.write("live.txt", live);
    assert_ok(&world.run(&["put", "demo/live", "live.txt"]));
    let stored = || -> u64 {
        let packs = files_below(world.path(".custody/packs"));
        packs
            .iter()
            .map(|path| path.metadata().unwrap().len())
            .sum()
    };
    let before = stored();
    // Protocol 0: two texts that are dropped again, then a call that no model needs.
    let model = format!("S'{live}'\n0S'{rest}'\n0cposix\nsystem\n(S'true'\ntR.");
    world.write("model.pkl", &model);
    for _ in 0..2 {
        let refused = world.run(&["put", "demo/model", "model.pkl", "--kind", "model"]);
        assert_exit(&refused, 1, "CUS-SCAN-010");
    }
    let grown = stored() - before;
    assert!(grown < 50_000, "{grown} bytes for two signed scans");
    assert_eq!(
        files_below(world.path(".custody/packs/tmp")),
        [] as [PathBuf; 0]
    );
    assert_ok(&world.run(&["get", "demo/live", "--to", "out"]));
    assert_eq!(
        fs::read_to_string(world.path("out/live.txt")).unwrap(),
        live
    );
    assert_exit(&world.run(&["verify", "--all"]), 0, "everything holds");
}

/// The packs of a version are gone, and the same files are put again: they are stored again and read again.
#[test]
fn what_a_lost_pack_held_is_stored_again() {
    let world = World::new();
    let digits = digits();
    world.write("big.txt", &digits);
    assert_ok(&world.run(&["put", "demo/big", "big.txt"]));
    for path in files_below(world.path(".custody/packs")) {
        if path.metadata().unwrap().len() > 100_000 {
            fs::remove_file(path).unwrap();
        }
    }
    assert_exit(
        &world.run(&["get", "demo/big@1", "--to", "lost"]),
        4,
        "missing",
    );
    assert_ok(&world.run(&["put", "demo/big", "big.txt"]));
    assert_ok(&world.run(&["get", "demo/big@2", "--to", "out"]));
    assert_eq!(
        fs::read_to_string(world.path("out/big.txt")).unwrap(),
        digits
    );
    let again = world.run(&["put", "demo/big", "big.txt"]);
    assert_exit(&again, 0, "0 B newly stored");
}

/// Flips a byte in the middle of each file of the workspace. What is damaged is found and named by
/// `verify --all`, or already when the workspace is opened.
#[test]
fn a_flipped_byte_in_any_file_is_found() {
    let world = World::new();
    assert_ok(&world.run(&["run"]));
    assert_ok(&world.run(&["verify", "--all"]));
    let mut kinds = std::collections::BTreeSet::new();
    // What a verification itself writes is taken back, so that each flip stands alone.
    let kept = world.keep();
    for path in world.files() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // The index is a cache that is made anew, `lock` holds a process id, and `.gitignore` is the user's.
        if name.starts_with("catalog.sqlite") || name == "lock" || name == ".gitignore" {
            continue;
        }
        let original = kept
            .iter()
            .find(|(known, _)| *known == path)
            .unwrap()
            .1
            .clone();
        if original.is_empty() {
            continue;
        }
        for at in [0, original.len() / 2, original.len() - 1] {
            let mut changed = original.clone();
            changed[at] ^= 0x04;
            if name == "workspace.json" || name == "keyring.json" {
                // White space between fields is no content.
                if original[at].is_ascii_whitespace() {
                    continue;
                }
            }
            world.restore(&kept);
            fs::write(&path, &changed).unwrap();
            let output = world.run(&["verify", "--all"]);
            let told = text(&output);
            assert!(
                !output.status.success(),
                "{} byte {at}: {told}",
                path.display()
            );
            kinds.insert(name.split('.').next_back().unwrap_or_default().to_owned());
        }
    }
    assert!(
        kinds.contains("pack") && kinds.contains("checkpoint") && kinds.contains("json"),
        "{kinds:?}"
    );
}

/// The index is a cache: whoever edits it gains nothing.
#[test]
fn an_edited_index_is_mended_or_named() {
    let world = World::new();
    fs::create_dir_all(world.path("policies")).unwrap();
    world.write(
        "policies/principals.json",
        r#"{"users": {"zoe": {"roles": []}}}"#,
    );
    world.write(
        "policies/no-export.cedar",
        "@id(\"none\") @because(\"nothing leaves\") forbid (principal, action == Action::\"export\", resource);",
    );
    assert_ok(&world.run(&["run"]));
    assert_ok(&world.run(&["policy", "apply", "policies"]));
    let edit = |sql: &str| {
        let done = Command::new("python3")
            .args(["-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()"])
            .arg(world.path(".custody/catalog.sqlite"))
            .arg(sql)
            .status()
            .unwrap();
        assert!(done.success(), "{sql}");
    };
    let export = ["get", "demo/count@1", "--to", "out"];
    assert_exit(&world.run(&export), 3, "nothing leaves");
    edit("DELETE FROM versions WHERE project = 'custody'");
    assert_exit(&world.run(&export), 3, "nothing leaves");
    // Far from the newest entries too.
    for _ in 0..40 {
        assert_ok(&world.run(&["ls"]));
    }
    edit("DELETE FROM versions WHERE project = 'custody'");
    assert_exit(&world.run(&export), 3, "nothing leaves");
    for _ in 0..40 {
        assert_ok(&world.run(&["ls"]));
    }
    for (sql, named) in [
        (
            "DELETE FROM versions WHERE name = 'count'",
            "the index lacks",
        ),
        (
            "UPDATE versions SET quarantined = 1 WHERE name = 'count'",
            "quarantine of `demo/count@1`",
        ),
        (
            "INSERT INTO aliases VALUES ('demo', 'count', 'good', 1)",
            "an alias points elsewhere",
        ),
        (
            "UPDATE versions SET entry = 3 WHERE name = 'count'",
            "no entry names `demo/count@1`",
        ),
    ] {
        edit(sql);
        assert_exit(&world.run(&["verify", "--all"]), 4, named);
        assert_ok(&world.run(&["index", "rebuild"]));
        assert_exit(&world.run(&["verify", "--all"]), 0, "everything holds");
    }
    // A step's work cannot be passed off as another's.
    world.write("words.txt", "one\n");
    assert_exit(&world.run(&["run"]), 0, "demo/count@2");
    edit("UPDATE steps SET statement = (SELECT statement FROM steps LIMIT 1)");
    let again = text(&world.run(&["run"]));
    assert!(!again.contains("demo/count@1"), "{again}");
    fs::write(world.path(".custody/catalog.sqlite"), "junk").unwrap();
    assert_exit(&world.run(&export), 3, "nothing leaves");
    assert_exit(&world.run(&["verify", "--all"]), 0, "everything holds");
}

/// An older copy of the whole workspace is whole in itself; the user's own folder knows better.
#[test]
fn an_older_copy_of_the_workspace_is_not_taken_for_it() {
    let world = World::new();
    assert_ok(&world.run(&["run"]));
    let kept = world.keep();
    assert_ok(&world.run(&["alias", "demo/count", "good", "1"]));
    world.restore_workspace_alone(&kept);
    assert_exit(
        &world.run(&["verify", "--all"]),
        4,
        "not the one that was here before",
    );
    world.restore(&kept);
    assert_exit(&world.run(&["verify", "--all"]), 0, "everything holds");
}

/// What a step makes of personal data is personal data, whatever it calls it.
#[test]
fn what_is_made_of_personal_data_is_personal() {
    let world = World::new();
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
    assert_exit(&ran, 0, "withheld");
    assert!(!text(&ran).contains(CANARY), "{}", text(&ran));
    for purpose in [&[][..], &["--purpose", "testing"]] {
        let get = [
            &["--as", "ada", "get", "demo/count@1", "--to", "out"],
            purpose,
        ]
        .concat();
        assert_exit(&world.run(&get), 3, "demo/count@1");
    }
    let lower = PIPELINE.replace("kind: report}", "kind: report, classification: internal}");
    world.write("custody.yaml", &lower);
    assert_exit(
        &world.run(&["--as", "ada", "run"]),
        3,
        "lower the classification",
    );
    assert_exit(&world.run(&["run"]), 0, "demo/count@2");
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
        assert_exit(&world.run(arguments), 3, "holds the policies");
    }
}

/// The log of figures carries names and numbers, not rows.
#[test]
fn what_a_step_logs_is_figures() {
    let world = World::new();
    let counting = "echo 1 > \"$CUSTODY_OUTPUT_COUNT\"/count.txt; ";
    world.write(
        "count.sh",
        &format!("{counting} cat \"$CUSTODY_INPUT_WORDS\"/words.txt > \"$CUSTODY_METRICS\""),
    );
    let ran = world.run(&["run"]);
    assert_exit(&ran, 1, "logged something that is no figure");
    assert!(!text(&ran).contains(CANARY), "{}", text(&ran));
    world.write(
        "count.sh",
        &format!("{counting} echo '{{\"name\": \"rows\", \"value\": 3}}' > \"$CUSTODY_METRICS\""),
    );
    assert_exit(&world.run(&["run"]), 0, "logged rows = 3");
    assert_exit(&world.run(&["show", "demo/count@1"]), 0, "\"rows\"");
}

/// A project inside a folder of the system would be seen by every step.
#[test]
fn a_project_among_the_systems_folders_runs_no_step() {
    let world = World::new();
    let script = r#"mount --bind "$1" /usr/local/lib && cd /usr/local/lib && "$0" run"#;
    let command = world.command(&[]);
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "/bin/sh",
            "-c",
            script,
        ])
        .arg(command.get_program())
        .arg(world.project())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .output()
        .unwrap();
    assert_exit(&output, 2, "which every step sees");
}

#[test]
fn the_index_can_be_thrown_away() {
    let world = World::new();
    assert_ok(&world.run(&["run"]));
    assert_ok(&world.run(&["alias", "demo/count", "good", "1"]));
    let shown = |world: &World| text(&world.run(&["ls"]));
    let before = shown(&world);
    for path in world.files() {
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("catalog.sqlite")
        {
            fs::remove_file(path).unwrap();
        }
    }
    assert_ok(&world.run(&["index", "rebuild"]));
    assert_eq!(shown(&world), before);
    assert!(before.contains("good"), "{before}");
    assert_exit(&world.run(&["run"]), 0, "reused   count");
    assert_exit(&world.run(&["verify", "--all"]), 0, "everything holds");
}

/// Kills `put` at many moments. What it acknowledged is there, what it did not is there wholly or not
/// at all, and the next command works without any repair.
#[test]
fn a_killed_put_loses_nothing_acknowledged() {
    const ROUNDS: u64 = 120;
    let world = World::new();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        world.write("words.txt", &format!("round {round}\n"));
        let mut child = world
            .command(&["--json", "put", "demo/killed", "words.txt"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Spread over the whole life of the command: from its first instruction to after its end.
        std::thread::sleep(Duration::from_millis(round * 3));
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        if let Ok(reply) = serde_json::from_slice::<serde_json::Value>(&output.stdout) {
            acknowledged.push((
                reply["version"]["name"].as_str().unwrap().to_owned(),
                reply["version"]["digest"].as_str().unwrap().to_owned(),
            ));
        }
    }
    assert!(acknowledged.len() > 5, "no round came to its end");
    assert!(
        acknowledged.len() < usize::try_from(ROUNDS).unwrap(),
        "no round was killed"
    );
    let listed: serde_json::Value =
        serde_json::from_slice(&world.run(&["--json", "ls"]).stdout).unwrap();
    let versions = listed["versions"].as_array().unwrap();
    for (name, digest) in &acknowledged {
        let found = versions
            .iter()
            .find(|version| version["name"] == *name.as_str());
        assert_eq!(found.unwrap()["digest"], *digest.as_str(), "{name}");
    }
    assert_exit(&world.run(&["verify", "--all"]), 0, "everything holds");
}

/// Kills `run` at many moments; the next run goes on from what is there.
#[test]
fn a_killed_run_goes_on() {
    const ROUNDS: u64 = 90;
    let world = World::new();
    for round in 0..ROUNDS {
        world.write("words.txt", &format!("round {}\n", round / 3));
        let mut child = world
            .command(&["run"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(round * 7));
        let _ = child.kill();
        let _ = child.wait();
    }
    assert_exit(&world.run(&["run"]), 0, "count");
    assert_exit(&world.run(&["verify", "--all"]), 0, "everything holds");
}

#[test]
fn refusals_are_told_and_entered() {
    let world = World::new();
    fs::create_dir_all(world.path("policies")).unwrap();
    world.write("policies/principals.json", r#"{"users": {"rex": {"roles": ["reader"]}, "ada": {"roles": ["data_scientist"], "purposes": ["testing"]}}}"#);
    assert_ok(&world.run(&["policy", "apply", "policies"]));
    assert_exit(&world.run(&["--as", "ada", "run"]), 0, "made     count");
    assert_exit(&world.run(&["--as", "rex", "run"]), 3, "CUS-DOOR-001");
    assert_exit(
        &world.run(&["--as", "ada", "get", "demo/words@1", "--to", "x"]),
        3,
        "may not take out",
    );
    assert_exit(
        &world.run(&["get", "demo/words@1", "--to", "x"]),
        3,
        "--purpose",
    );
    assert_exit(&world.run(&["--as", "nobody", "ls"]), 2, "knows nobody");
    assert_exit(
        &world.run(&["ledger", "log", "--outcome", "denied"]),
        0,
        "run.start",
    );
    world.write("policies/broken.cedar", "permit (principal, action,");
    assert_exit(
        &world.run(&["policy", "apply", "policies"]),
        2,
        "broken.cedar",
    );
    assert_exit(&world.run(&["--as", "ada", "ls"]), 0, "demo/count@1");
}

#[test]
fn what_goes_wrong_says_what_why_and_the_way_out() {
    let world = World::new();
    let broken = |from: &str, to: &str| world.write("custody.yaml", &PIPELINE.replace(from, to));
    broken("{words: words}", "{words: wards}");
    assert_exit(&world.run(&["run"]), 2, "no step makes `wards`");
    broken("file: words.txt", "file: missing.txt");
    assert_exit(&world.run(&["run"]), 5, "missing.txt");
    broken("project:", "projekt:");
    assert_exit(&world.run(&["run"]), 2, "projekt");
    world.write("custody.yaml", PIPELINE);
    let program = |text: &str| world.write("count.sh", text);
    program("echo told; exit 7\n");
    assert_exit(&world.run(&["run"]), 1, "told");
    program("true\n");
    assert_exit(&world.run(&["run"]), 1, "wrote nothing");
    program("ln -s /etc/passwd \"$CUSTODY_OUTPUT_COUNT\"/link\n");
    assert_exit(&world.run(&["run"]), 1, "symbolic link");
    program("echo x > /out/other; test ! -e /out/other && echo x > \"$CUSTODY_OUTPUT_COUNT\"/x\n");
    assert_exit(&world.run(&["run"]), 0, "made     count");
    broken(
        "outputs: {count:",
        "limits: {time_s: 1}\n      outputs: {count:",
    );
    program("sleep 60\n");
    assert_exit(&world.run(&["run"]), 124, "ran out of its 1 s");
    assert_exit(&world.run(&["show", "demo/none"]), 5, "there is no version");
    assert_exit(&world.run(&["init"]), 5, "already a workspace");
}

#[test]
fn keys_and_formats_are_looked_at_first() {
    let world = World::bare();
    assert_exit(&world.run(&["ls"]), 5, "custody init");
    let init = world
        .command(&["init", "--passphrase"])
        .env("CUSTODY_PASSPHRASE", "open sesame")
        .output()
        .unwrap();
    assert_ok(&init);
    assert_exit(&world.run(&["ls"]), 2, "CUSTODY_PASSPHRASE");
    assert_exit(
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
    let other = World::new();
    let key = fs::read_dir(other.folder.path().join("home/.config/custody/keys"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    assert_exit(
        &world.run(&["ls", "--key-file", key.to_str().unwrap()]),
        2,
        "another workspace",
    );
    assert_exit(
        &world.run(&["ls", "--key-file", "/nowhere.key"]),
        2,
        "no key file",
    );
    let about = other.path(".custody/workspace.json");
    let newer = fs::read_to_string(&about)
        .unwrap()
        .replace("custody-workspace/1", "custody-workspace/9");
    fs::write(about, newer).unwrap();
    assert_exit(&other.run(&["ls"]), 2, "custody-workspace/9");
}

#[test]
fn two_processes_do_not_work_in_one_workspace() {
    let world = World::new();
    world.write(
        "count.sh",
        "sleep 3; echo 1 > \"$CUSTODY_OUTPUT_COUNT\"/count.txt\n",
    );
    let mut first = world
        .command(&["run"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lock = world.path(".custody/ledger/lock");
    let pid = format!("{}\n", first.id());
    for _ in 0..500 {
        if fs::read_to_string(&lock).is_ok_and(|text| text == pid) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_exit(
        &world.run(&["ls"]),
        75,
        "another process works in this workspace",
    );
    assert!(first.wait().unwrap().success());
    assert_ok(&world.run(&["ls"]));
}

#[test]
fn the_ledger_can_be_taken_out_in_the_static_layout() {
    let world = World::new();
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

/// Walks the commands that reach each operation of the API as a principal who may do nothing: every one is
/// refused, and the refusal is an entry.
#[test]
fn every_operation_goes_through_the_door() {
    let world = World::new();
    assert_ok(&world.run(&["run"]));
    fs::create_dir_all(world.path("policies")).unwrap();
    world.write(
        "policies/principals.json",
        r#"{"users": {"zoe": {"roles": []}}}"#,
    );
    assert_ok(&world.run(&["policy", "apply", "policies"]));
    let commands: &[(&str, &[&str])] = &[
        ("object.list", &["ls"]),
        ("object.write", &["put", "demo/x", "words.txt"]),
        ("object.list", &["show", "demo/count@1"]),
        ("object.list", &["data", "schema", "demo/count@1"]),
        ("object.read", &["data", "head", "demo/count@1"]),
        ("object.read", &["data", "profile", "demo/count@1"]),
        (
            "object.read",
            &["data", "diff", "demo/count@1", "demo/count@1", "--key", "x"],
        ),
        ("object.export", &["get", "demo/count@1", "--to", "x"]),
        ("object.tag", &["alias", "demo/count", "good", "1"]),
        ("lineage.read", &["trace", "demo/count@1"]),
        ("evidence.verify", &["verify", "--all"]),
        ("run.replay", &["reproduce", "demo/count@1"]),
        ("run.start", &["run"]),
        ("ledger.read", &["ledger", "log"]),
        ("ledger.read", &["ledger", "verify"]),
        ("ledger.export", &["ledger", "export", "y"]),
        (
            "ledger.accept",
            &["ledger", "accept-rollback", "x", "--reason", "none"],
        ),
        ("policy.read", &["policy", "show"]),
        ("admin.policy", &["policy", "apply", "policies"]),
        ("object.list", &["rescan"]),
        (
            "model.approve",
            &["approve", "demo/count@1", "--reason", "none"],
        ),
        ("admin.rules", &["rules", "apply"]),
        ("lineage.read", &["bom", "demo/count@1"]),
        ("lineage.read", &["status"]),
        ("lineage.read", &["metrics", "demo/count@1"]),
        ("lineage.read", &["compare", "demo/count@1", "demo/count@1"]),
        ("lineage.read", &["claims", "demo/count@1"]),
        ("admin.index", &["index", "rebuild"]),
    ];
    // One command for each operation: a new operation must come with its line here.
    assert_eq!(commands.len(), custody_api::OPERATIONS.len());
    for (verb, command) in commands {
        let arguments = [&["--as", "zoe"], *command].concat();
        let output = world.run(&arguments);
        // Who may not even list is told that there is no such version.
        assert!(
            matches!(output.status.code(), Some(3 | 5)),
            "{command:?}: {}",
            text(&output)
        );
        let log = world.run(&[
            "--json",
            "ledger",
            "log",
            "--action",
            verb,
            "--outcome",
            "denied",
            "--limit",
            "1",
        ]);
        let log: serde_json::Value = serde_json::from_slice(&log.stdout).unwrap();
        assert_eq!(log["entries"][0]["actor"], "zoe", "{command:?}: {log}");
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
    let world = World::bare();
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
    assert_exit(&done, 0, "columns: {id: double, name: text}");
    assert_exit(&done, 0, "a.csv: 2 rows");
    assert_exit(&world.run(&["show", "demo/t@1"]), 0, "a.parquet");
    assert_exit(&world.run(&["run"]), 0, "reused");
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
    assert_exit(
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
    assert_exit(&world.run(&["show", "demo/t@2"]), 0, "notes.txt");

    // An empty part is no table; declared as files, it is kept.
    fs::create_dir(world.path("d")).unwrap();
    world.write("d/a.parquet", "");
    world.write("custody.yaml", &table_pipeline("d", ""));
    assert_exit(&world.run(&["run"]), 2, "it is empty");
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
    assert_exit(&put, 0, "columns: {id: integer, name: text}");
    let shown = world.run(&["show", "demo/p@1"]);
    assert_exit(&shown, 0, "them");
    assert_exit(&shown, 0, "a.parquet");
    let shown = world.run(&["--json", "show", "demo/p@1"]);
    assert_exit(&shown, 0, "\"testing\"");
    world.write("bare.csv", "1,007\n");
    assert_exit(
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
    assert_exit(&put, 0, "columns: {column_1: double, column_2: text}");
    world.write("false.csv", "PAR1");
    assert_exit(
        &world.run(&["put", "demo/p", "false.csv"]),
        2,
        "its content is Parquet",
    );
    world.assert_nothing_in_clear();
}
