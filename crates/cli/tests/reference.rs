//! `docs/reference/cli.md` is what the program says of itself. `make generate` writes it anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic and write files"
)]

use std::fmt::Write;
use std::process::Command;

/// Set by `make generate`: the test writes the file instead of comparing it.
const GENERATE: &str = "CUSTODY_GENERATE";
const HEADING: &str = "# The command line\n\nWhat `custody help` says, command by command. Generated; not to be edited.\n";

fn help(path: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_custody"))
        .args(path)
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{path:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.strip_prefix("  ")
                .filter(|line| !line.starts_with(' '))
        })
        .filter_map(|line| line.split(' ').next())
        .filter(|name| *name != "help")
        .map(ToOwned::to_owned)
        .collect()
}

fn describe(path: &[String], text: &mut String) {
    let said = help(path);
    let name = [&["custody".to_owned()], path].concat().join(" ");
    let level = "#".repeat(path.len() + 2);
    let body: Vec<_> = said.lines().map(str::trim_end).collect();
    write!(
        text,
        "\n{level} {name}\n\n```text\n{}\n```\n",
        body.join("\n").trim_end()
    )
    .unwrap();
    for command in commands(&said) {
        describe(&[path, &[command]].concat(), text);
    }
}

#[test]
fn the_reference_is_what_the_program_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
    let mut text = HEADING.to_owned();
    describe(&[], &mut text);
    assert!(text.contains("## custody ledger\n") && text.contains("### custody ledger log\n"));
    if std::env::var_os(GENERATE).is_some() {
        std::fs::write(path, text).unwrap();
        return;
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == text,
        "docs/reference/cli.md is old: `make generate`"
    );
}

/// Every command shows how it is used.
#[test]
fn every_command_has_examples() {
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(path) = open.pop() {
        let said = help(&path);
        let below = commands(&said);
        if below.is_empty() {
            assert!(
                said.contains("Example"),
                "custody {} has none",
                path.join(" ")
            );
            seen += 1;
        }
        open.extend(
            below
                .into_iter()
                .map(|name| [path.clone(), vec![name]].concat()),
        );
    }
    assert!(seen >= 15, "{seen}");
}
