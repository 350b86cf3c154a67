//! What others made is used: a project with links in it, a step that does what it should not.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use crate::world::World;

const PROJECT: &str = "
project: demo
purpose: testing
steps:
  collect:
    source:
      file: FILE
      output: words
      origin: {publisher: us, url: 'https://example.com/words', licence: CC0-1.0, legal_basis: consent, classification: internal}
";

/// A workspace, and beside its project a file with a secret.
fn world() -> World {
    let world = World::empty();
    fs::create_dir(world.folder.path().join("home")).unwrap();
    fs::write(world.folder.path().join("home/secret.txt"), "hunter2\n").unwrap();
    world.write("words.txt", "one\n");
    world.yes(&["init"]);
    world
}

#[test]
fn no_link_of_a_project_brings_in_what_lies_outside() {
    let world = world();
    let link = |to: &str, name: &str| symlink(to, world.path(name)).unwrap();
    link("../home/secret.txt", "link.txt");
    link("link.txt", "twice.txt");
    link("../home", "above");
    for (file, code) in [
        ("link.txt", "CUS-CLI-028"),
        ("twice.txt", "CUS-CLI-028"),
        ("above", "CUS-CLI-028"),
        ("above/secret.txt", "CUS-CLI-028"),
        ("'above/*.txt'", "CUS-CLI-028"),
        ("'lin*.txt'", "CUS-CLI-028"),
    ] {
        world.write("custody.yaml", &PROJECT.replace("FILE", file));
        let told = world.told(&["run"], 2, code);
        assert!(told.contains("leads out of"), "{file}: {told}");
        world.told(&["show", "demo/words"], 5, "");
    }
    // A lock file, a contract and code.
    let step = |lines: &str| {
        let steps = format!(
            "  count:
    run:
      command: [/bin/true]
      inputs: {{words: words}}
      outputs: {{count: {{artifact: count, kind: report}}}}
{lines}"
        );
        world.write(
            "custody.yaml",
            &format!("{}{steps}", PROJECT.replace("FILE", "words.txt")),
        );
    };
    for code in [
        "code: [link.txt]",
        "code: [above]",
        "code: [above/secret.txt]",
    ] {
        step(&format!("      {code}\n"));
        world.told(&["run"], 2, "CUS-PIPE-021");
    }
    step("environment: {python: '3.11', lock: link.txt}\n");
    world.told(&["run"], 2, "CUS-CLI-028");
    // The command after it: what stays inside is taken.
    link("words.txt", "inside.txt");
    world.write("custody.yaml", &PROJECT.replace("FILE", "inside.txt"));
    world.yes(&["run"]);
    world.yes(&["get", "demo/words", "--to", "out"]);
    assert_eq!(
        fs::read_to_string(world.path("out/inside.txt")).unwrap(),
        "one\n"
    );
    // A pipeline file says openly what it takes from elsewhere.
    world.write(
        "custody.yaml",
        &PROJECT.replace("FILE", "../home/secret.txt"),
    );
    world.yes(&["run"]);
}

#[test]
fn put_follows_no_link() {
    let world = world();
    fs::create_dir_all(world.path("data/sub")).unwrap();
    world.write("data/a.txt", "a\n");
    symlink("../home/secret.txt", world.path("link.txt")).unwrap();
    symlink("data", world.path("link")).unwrap();
    for path in ["link.txt", "link", "link/"] {
        let told = world.told(&["put", "demo/data", path], 2, "CUS-CLI-027");
        assert!(told.contains("name what it leads to"), "{told}");
    }
    symlink("../../../home/secret.txt", world.path("data/sub/x")).unwrap();
    world.told(&["put", "demo/data", "data"], 2, "data/sub/x");
    fs::remove_file(world.path("data/sub/x")).unwrap();
    // The folders above what is named are who types's own.
    for path in ["data", "link/a.txt", "link/../data/a.txt", "."] {
        fs::remove_file(world.path("link.txt")).ok();
        if path == "." {
            fs::remove_file(world.path("link")).unwrap();
        }
        world.yes(&["put", "demo/data", path]);
    }
}

/// The folders in the project that are not whole.
fn partial(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.path("")).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".custody-partial-"))
        .collect()
}

#[test]
fn a_killed_get_leaves_nothing_that_others_can_read_and_the_next_removes_it() {
    let world = world();
    let large = fs::File::create(world.path("large.bin")).unwrap();
    large.set_len(96 << 20).unwrap();
    world.yes(&["put", "demo/large", "large.bin"]);
    let killed = (0..20).any(|number| {
        let target = format!("out{number}");
        let mut get = world
            .command(&["get", "demo/large", "--to", &target])
            .spawn()
            .unwrap();
        while get.try_wait().unwrap().is_none() {
            if partial(&world)
                .iter()
                .any(|path| path.join("content/large.bin").exists())
            {
                get.kill().unwrap();
                get.wait().unwrap();
                return !world.path(&target).exists();
            }
        }
        false
    });
    assert!(killed, "every `get` was done before it could be killed");
    let left = partial(&world);
    assert_eq!(left.len(), 1);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    // A file gets its own mode when it is whole; nobody else comes into the folder.
    assert_eq!(mode(left[0].clone()), 0o700);
    let own = mode(left[0].join("content/large.bin"));
    assert!([0o600, 0o644].contains(&own), "{own:o}");
    world.yes(&["get", "demo/large", "--to", "out"]);
    assert_eq!(partial(&world), Vec::<PathBuf>::new());
    assert_eq!(mode(world.path("out/large.bin")), 0o644);
    assert_eq!(
        fs::metadata(world.path("out/large.bin")).unwrap().len(),
        96 << 20
    );
}

/// Declares a step that runs a program of the shell.
fn step(world: &World, program: &str, limits: &str) {
    world.write("attack.sh", program);
    let steps = format!(
        "  attack:
    run:
      command: [/bin/sh, /code/attack.sh]
      code: [attack.sh]
      inputs: {{words: words}}
      outputs: {{made: {{artifact: made, kind: report}}}}
      limits: {{{limits}}}
"
    );
    world.write(
        "custody.yaml",
        &format!("{}{steps}", PROJECT.replace("FILE", "words.txt")),
    );
}

#[test]
fn what_a_step_prints_steers_no_terminal() {
    let world = world();
    // The title, the clipboard, a cleared screen, the same in one letter, the direction of writing; a colour.
    step(
        &world,
        r"printf '\033]0;title\007 \033]52;c;aGk=\007 \033[2J \302\2332J \342\200\256x \033[31mred\033[0m\n' | tee /out/made/x; exit 3",
        "",
    );
    for arguments in [&["run"][..], &["--json", "run"]] {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(1));
        let told = crate::world::text(&output);
        assert!(told.contains("aGk="), "{told}");
        let steers = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
        assert!(!told.contains(steers), "{told:?}");
    }
    let told = world.told(&["run"], 1, "red");
    assert!(!told.contains("[31m"), "{told}");
}

#[test]
fn outputs_beyond_their_limits_are_told_with_the_way_out() {
    let world = world();
    for (program, limits, says) in [
        (
            "for n in 1 2 3 4 5; do truncate -s 15M /out/made/$n; done",
            "output_mib: 64",
            "raise `limits.output_mib` of the step",
        ),
        (
            "for n in 1 2 3 4 5 6; do : > /out/made/$n; done",
            "output_files: 5",
            "in `limits.output_files` files and folders (now 5)",
        ),
        (
            "cd /out/made; for n in $(seq 900); do mkdir abcdefgh; cd -P abcdefgh; done; : > x",
            "",
            "lies too deep",
        ),
        (
            // None has more than a process may; each keeps what it has, for the pipe behind it is full.
            "for n in 1 2 3 4 5; do head -c 40000000 /dev/zero | tail -n 1 | sleep 50 & done; wait",
            "memory_mib: 128",
            "`limits.memory_mib` of the step (now 128)",
        ),
    ] {
        step(&world, program, limits);
        world.told(&["run"], 1, says);
    }
    // The command after it.
    step(&world, "echo made > /out/made/x", "output_files: 5");
    world.yes(&["run"]);
}

#[test]
fn outputs_that_share_a_variable_are_refused() {
    let world = world();
    step(&world, "", "");
    let text = fs::read_to_string(world.path("custody.yaml")).unwrap();
    let text = text.replace(
        "outputs: {made: {artifact: made, kind: report}}",
        "outputs: {a-b: {artifact: one, kind: report}, a_b: {artifact: two, kind: report}}",
    );
    world.write("custody.yaml", &text);
    world.told(
        &["run"],
        2,
        "`a-b` and `a_b` would have the same variable, `CUSTODY_OUTPUT_A_B`",
    );
}

/// How much is newly stored says whether somebody else stored the same.
#[test]
fn who_may_not_read_is_not_told_what_was_there_already() {
    let world = world();
    world.yes(&["put", "demo/secret", "words.txt"]);
    world.write(
        "policy/principals.json",
        r#"{"users": {"ada": {"roles": ["data_scientist"], "purposes": ["testing"]}}}"#,
    );
    world.write(
        "policy/own.cedar",
        r#"forbid (principal == User::"ada", action == Action::"read", resource is Artifact);"#,
    );
    world.yes(&["policy", "apply", "policy"]);
    let own = world.yes(&["put", "demo/mine", "words.txt"]);
    assert!(own.contains("newly stored"), "{own}");
    let told = world.yes(&["--as", "ada", "put", "demo/fed", "words.txt"]);
    assert!(!told.contains("stored"), "{told}");
    let reply = world.json(&["--as", "ada", "put", "demo/fed", "words.txt"]);
    assert!(
        reply["version"].is_object() && reply.get("stored").is_none(),
        "{reply}"
    );
}

/// Somebody changes a package in the cache, and what is noted beside it so that both fit.
#[test]
fn a_forged_environment_is_not_used_and_the_cache_can_be_cleaned() {
    let world = world();
    world.write("empty.lock", "");
    let run = |text: &str| {
        step(&world, &format!("echo {text} > /out/made/x"), "");
        let file = fs::read_to_string(world.path("custody.yaml")).unwrap();
        let environment = "environment: {python: '3.11', lock: empty.lock}\nsteps:";
        world.write("custody.yaml", &file.replacen("steps:", environment, 1));
        world.run(&["run"])
    };
    crate::world::assert_ok(&run("one"));
    let listed = world.json(&["cache", "ls"]);
    let folder = PathBuf::from(listed["environments"][0]["folder"].as_str().unwrap());
    assert_eq!(listed["environments"].as_array().unwrap().len(), 1);
    let module = "lib/python3.11/this.py";
    fs::write(folder.join(module), "import os\n").unwrap();
    let named = folder.file_name().unwrap().to_str().unwrap();
    let beside = fs::read_dir(folder.parent().unwrap()).unwrap();
    let inventory = beside
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{named}.")))
        })
        .unwrap();
    let text = fs::read_to_string(&inventory).unwrap();
    let (seal, files) = text.split_once('\n').unwrap();
    let mut files: serde_json::Value = serde_json::from_str(files).unwrap();
    let metadata = fs::metadata(folder.join(module)).unwrap();
    let nanoseconds = |seconds: i64, rest: i64| seconds * 1_000_000_000 + rest;
    let stamp = &mut files[module]["stamp"];
    stamp["size"] = metadata.len().into();
    stamp["inode"] = metadata.ino().into();
    stamp["modified_ns"] = nanoseconds(metadata.mtime(), metadata.mtime_nsec()).into();
    stamp["changed_ns"] = nanoseconds(metadata.ctime(), metadata.ctime_nsec()).into();
    fs::write(&inventory, format!("{seal}\n{files}")).unwrap();
    crate::world::check(&run("two"), 4, "CUS-ENV-004");
    // The way out that it names.
    world.told(
        &["cache", "clean", "--dry-run"],
        0,
        "would remove 1 environments",
    );
    assert!(folder.exists());
    world.told(&["cache", "clean"], 0, "removed 1 environments");
    assert!(!folder.exists() && !inventory.exists());
    crate::world::assert_ok(&run("two"));
    assert_ne!(fs::read(folder.join(module)).unwrap(), b"import os\n");
}
