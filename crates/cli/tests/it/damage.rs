//! Crashes, full disks, lost and altered files: nothing acknowledged is lost, and what is wrong is named.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::e2e::files_below;
use crate::world::{World, assert_ok, check, text};

/// A step that crashes, and the program itself when it is killed by a signal that writes core files.
#[test]
fn a_crash_leaves_no_core_file() {
    let world = World::of_words();
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
            .current_dir(world.path(""))
            .env_clear()
            .envs(
                run.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        shell
    };
    let crashed = unlimited(&world).output().unwrap();
    check(&crashed, 1, "signal 11");
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
        .args(["-ABRT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert!(!child.wait().unwrap().success());
    world.assert_nothing_in_clear();
    let files = files_below(world.path(""));
    let core = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("core")
    };
    assert!(!files.iter().any(core), "{files:?}");
}

/// On a disk of 24 MiB: what has no room is refused and named, nothing acknowledged is lost, and with room
/// again everything goes on without repair.
#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let world = World::of_words();
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
        test -z "$(find .custody/packs/tmp -type f)" || exit 98
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
    let output = world.scripted(script);
    check(&output, 0, "everything holds");
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
    let world = World::of_words();
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
    let output = world.scripted(script);
    check(&output, 0, "everything holds");
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
    let world = World::of_words();
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
        check(&refused, 1, "CUS-SCAN-010");
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
    check(&world.run(&["verify", "--all"]), 0, "everything holds");
}

/// The packs of a version are gone, and the same files are put again: they are stored again and read again.
#[test]
fn what_a_lost_pack_held_is_stored_again() {
    let world = World::of_words();
    let digits = digits();
    world.write("big.txt", &digits);
    assert_ok(&world.run(&["put", "demo/big", "big.txt"]));
    for path in files_below(world.path(".custody/packs")) {
        if path.metadata().unwrap().len() > 100_000 {
            fs::remove_file(path).unwrap();
        }
    }
    check(
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
    check(&again, 0, "0 B newly stored");
}

/// Flips a byte in the middle of each file of the workspace. What is damaged is found and named by
/// `verify --all`, or already when the workspace is opened.
#[test]
fn a_flipped_byte_in_any_file_is_found() {
    let world = World::of_words();
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
    let world = World::of_words();
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
    check(&world.run(&export), 3, "nothing leaves");
    for sql in [
        "DELETE FROM view WHERE key LIKE 'force %'",
        "DELETE FROM view WHERE key LIKE '% custody %'",
        "DELETE FROM records",
        "DELETE FROM records; DELETE FROM view_root",
    ] {
        edit(sql);
        check(&world.run(&export), 3, "nothing leaves");
    }
    assert_ok(&world.run(&["alias", "demo/count", "good", "1"]));
    let log = |world: &World| text(&world.run(&["ledger", "log", "--action", "object.tag"]));
    let listed = |world: &World| text(&world.run(&["ls"]));
    let before = (log(&world), listed(&world));
    // What is used is mended.
    for sql in [
        "DELETE FROM view WHERE key LIKE '%count%'",
        "DELETE FROM view WHERE key LIKE 'aliases %'",
        "UPDATE view SET value = x'7b22676f6f64223a327d' WHERE key LIKE 'aliases %'",
        "DELETE FROM view WHERE key LIKE 'version demo count %'",
        "UPDATE view SET value = x'7b7d' WHERE key LIKE 'version %'",
        "DELETE FROM view WHERE key LIKE 'entries act object.tag %'",
        "UPDATE view SET value = x'00' WHERE key LIKE 'entries act object.tag %'",
        "UPDATE view SET next = '' WHERE key LIKE 'version %'",
        "UPDATE view SET bucket = 0",
    ] {
        edit(sql);
        let log = log(&world);
        let rows = |text: &str| {
            text.lines()
                .filter(|line| line.contains("object.tag"))
                .count()
        };
        assert_eq!(rows(&log), rows(&before.0), "{sql}: {log}");
        assert_eq!(listed(&world), before.1, "{sql}");
    }
    check(&world.run(&["verify", "--all"]), 0, "everything holds");
    // What is not used is named.
    let some =
        "key = (SELECT key FROM view WHERE key LIKE 'record %' ORDER BY key LIMIT 1 OFFSET 1)";
    for sql in [
        format!("UPDATE view SET value = x'3939' WHERE {some}"),
        format!("UPDATE view SET bucket = (bucket + 1) % 65536 WHERE {some}"),
        format!("DELETE FROM view WHERE {some}"),
        format!("INSERT INTO view SELECT key || '0', bucket, value, next FROM view WHERE {some}"),
    ] {
        edit(&sql);
        let verified = world.run(&["verify", "--all"]);
        check(&verified, 4, "the index differs from the ledger");
        assert_ok(&world.run(&["index", "rebuild"]));
        check(&world.run(&["verify", "--all"]), 0, "everything holds");
    }
    for sql in [
        "UPDATE view SET value = x'00' WHERE key LIKE 'step %'",
        "DELETE FROM view WHERE key LIKE 'step %'",
    ] {
        edit(sql);
        check(&world.run(&["run"]), 0, "reused   count");
    }
    // A step's work cannot be passed off as another's.
    world.write("words.txt", "one\n");
    check(&world.run(&["run"]), 0, "demo/count@2");
    edit(
        "UPDATE view SET value = (SELECT value FROM view WHERE key LIKE 'step %' LIMIT 1) WHERE key LIKE 'step %'",
    );
    let again = text(&world.run(&["run"]));
    assert!(!again.contains("demo/count@1"), "{again}");
    fs::write(world.path(".custody/catalog.sqlite"), "junk").unwrap();
    check(&world.run(&export), 3, "nothing leaves");
    check(&world.run(&["verify", "--all"]), 0, "everything holds");
}

/// An older copy of the whole workspace is whole in itself; the user's own folder knows better.
#[test]
fn an_older_copy_of_the_workspace_is_not_taken_for_it() {
    let world = World::of_words();
    assert_ok(&world.run(&["run"]));
    let kept = world.keep();
    assert_ok(&world.run(&["alias", "demo/count", "good", "1"]));
    world.restore_workspace_alone(&kept);
    check(
        &world.run(&["verify", "--all"]),
        4,
        "not the one that was here before",
    );
    world.restore(&kept);
    check(&world.run(&["verify", "--all"]), 0, "everything holds");
}

#[test]
fn the_index_can_be_thrown_away() {
    let world = World::of_words();
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
    check(&world.run(&["run"]), 0, "reused   count");
    check(&world.run(&["verify", "--all"]), 0, "everything holds");
}

/// Checks that every grant has one outcome, but the one by which this is read.
fn check_outcomes(world: &World) {
    let log = world.json(&["ledger", "log", "--limit", "10000"]);
    let mut open = std::collections::BTreeSet::new();
    for entry in log["entries"].as_array().unwrap() {
        let entry = &entry["entry"];
        let id = |field: &str| entry[field].as_str().map(ToOwned::to_owned);
        match (entry["ph"].as_str().unwrap(), id("rel")) {
            ("grant", _) if entry["out"].is_null() => assert!(open.insert(id("id").unwrap())),
            ("outcome", Some(grant)) => assert!(open.remove(&grant), "a second outcome: {entry}"),
            _ => {}
        }
    }
    assert_eq!(open.len(), 1, "grants without an outcome: {open:?}");
    let unknown = log["entries"].as_array().unwrap().iter();
    let unknown = unknown.filter(|entry| entry["entry"]["out"] == "unknown");
    assert!(
        unknown.count() > 0,
        "no process was killed between a grant and its outcome"
    );
}

/// Kills `put` at many moments. What it acknowledged is there, what it did not is there wholly or not
/// at all, and the next command works without any repair.
#[test]
fn a_killed_put_loses_nothing_acknowledged() {
    const ROUNDS: u32 = 120;
    let world = World::of_words();
    let mut acknowledged = Vec::new();
    let began = Instant::now();
    world.yes(&["put", "demo/whole", "words.txt"]);
    let whole = began.elapsed();
    for round in 0..ROUNDS {
        world.write("words.txt", &format!("round {round}\n"));
        let mut child = world
            .command(&["--json", "put", "demo/killed", "words.txt"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Spread over the whole life of the command: from its first instruction to after its end.
        std::thread::sleep(whole * 3 / 2 * round / ROUNDS);
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
    check_outcomes(&world);
    check(&world.run(&["verify", "--all"]), 0, "everything holds");
}

/// Kills `run` at many moments; the next run goes on from what is there.
#[test]
fn a_killed_run_goes_on() {
    const ROUNDS: u64 = 90;
    let world = World::of_words();
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
    check(&world.run(&["run"]), 0, "count");
    check_outcomes(&world);
    check(&world.run(&["verify", "--all"]), 0, "everything holds");
}

/// A pack is damaged and the index is lost, so that nothing but the ledger knows of the version. It is told to be damaged,
/// to those who may know of it, and is there again once the pack is.
#[test]
fn a_version_whose_pack_is_damaged_is_named_and_comes_back_with_the_pack() {
    let world = World::empty();
    world.yes(&["init"]);
    world.write(
        "policies/principals.json",
        r#"{"users": {"eve": {"roles": []}}}"#,
    );
    world.yes(&["policy", "apply", "policies"]);
    world.write("file", "kept");
    world.yes(&["put", "demo/data", "file"]);
    let packs = || files_below(world.path(".custody/packs"));
    let before = packs();
    world.write("file", "lost");
    world.yes(&["put", "demo/data", "file"]);
    let lost: Vec<_> = packs()
        .into_iter()
        .filter(|path| !before.contains(path))
        .collect();
    let [lost] = lost.as_slice() else {
        panic!("{lost:?}")
    };
    let sound = fs::read(lost).unwrap();
    let mut damaged = sound.clone();
    damaged[sound.len() / 2] ^= 1;
    for harm in [Some(damaged), None] {
        match &harm {
            Some(bytes) => fs::write(lost, bytes).unwrap(),
            None => fs::remove_file(lost).unwrap(),
        }
        fs::remove_file(world.path(".custody/catalog.sqlite")).unwrap();
        for _ in 0..2 {
            let told = world.told(&["ls"], 0, "1 version cannot be shown");
            assert!(
                told.contains("demo/data@1") && !told.contains("demo/data@2"),
                "{told}"
            );
            world.told(
                &["get", "demo/data@2", "--to", "out"],
                4,
                "the store lacks `demo/data@2`",
            );
            world.told(
                &["--as", "eve", "get", "demo/data@2", "--to", "out"],
                5,
                "or you may not see it",
            );
            world.told(&["verify", "--all"], 4, "index");
        }
        fs::write(lost, &sound).unwrap();
        let told = world.yes(&["ls"]);
        assert!(
            told.contains("demo/data@2") && !told.contains("cannot be shown"),
            "{told}"
        );
        world.yes(&["get", "demo/data@2", "--to", "out"]);
        fs::remove_dir_all(world.path("out")).unwrap();
        world.told(&["verify", "--all"], 0, "everything holds");
    }
}
