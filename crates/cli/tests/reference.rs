//! `docs/reference/cli.md`, `errors.md` and `openapi.json` are what the program says of itself. `make generate` writes them anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic and write files"
)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use custody_types::{ProblemKind, code};

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
    let mut text = HEADING.to_owned();
    describe(&[], &mut text);
    assert!(text.contains("## custody ledger\n") && text.contains("### custody ledger log\n"));
    is_fresh("cli.md", &text);
}

/// Checks that a generated page is what it would be now, or writes it.
fn is_fresh(page: &str, text: &str) {
    let path = format!("{}/../../docs/reference/{page}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os(GENERATE).is_some() {
        std::fs::write(path, text).unwrap();
        return;
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == text,
        "docs/reference/{page} is old: `make generate`"
    );
}

const ERRORS: &str = "# Errors\n\nWhat the program tells when something does not work, by its code. Generated from the registry; not to be edited.\n\nA command that ends with an error says its code in brackets: `error: there is no workspace here [CUS-WORK-001]`; with `--json` it writes a document with `code`, `kind`, `what`, `because`, `hint`, `subject` and `retry` to standard error. Over HTTP it is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`, and beside them `code`, `kind`, `because`, `hint`, `subject` and `retry`. The fragment of `type` is the heading below. The exit code and the status follow from the kind.\n";

/// What the areas are about, in the order of the registry.
const AREAS: [(&str, &str); 21] = [
    ("API", "The API and its client"),
    ("ATTEST", "Statements and their signatures"),
    ("BOM", "Bills of materials"),
    ("CLI", "The command line"),
    ("DATA", "Looking at data"),
    ("DOC", "What `custody doctor` finds"),
    ("DOOR", "The door: who may do what"),
    ("ENV", "Python environments"),
    ("IDENTITY", "Accounts and groups"),
    ("KEY", "Key files and the keys of a workspace"),
    ("LEDGER", "The ledger"),
    ("NEW", "Drafts of first projects"),
    ("PIPE", "The pipeline file and what it collects"),
    ("POLICY", "Policies"),
    ("RUN", "Runs and their steps"),
    ("SCAN", "The scanner, its rules and approvals"),
    ("SERVE", "The server"),
    ("SIGN", "Signatures of models"),
    ("STORE", "The store"),
    ("WEB", "Pages of a server"),
    ("WORK", "Workspaces"),
];

#[test]
fn the_reference_has_every_code() {
    let mut text = ERRORS.to_owned();
    text.push_str("\n| kind | what it tells | exit | HTTP |\n|---|---|---|---|\n");
    for kind in ProblemKind::ALL {
        let (exit, status) = (kind.exit().number(), kind.status());
        writeln!(
            text,
            "| `{kind}` | {} | {exit} | {status} |",
            kind.meaning()
        )
        .unwrap();
    }
    let mut told = 0;
    for (area, about) in AREAS {
        write!(text, "\n## {about}\n").unwrap();
        let start = format!("CUS-{area}-");
        for code in code::ALL {
            if code.as_str().starts_with(&start) {
                let (kind, title) = (code.kind(), code.title());
                let (meaning, remedy) = (code.meaning(), code.remedy());
                write!(
                    text,
                    "\n### {code}\n\n`{kind}`: **{title}**. {meaning}\n\n{remedy}\n"
                )
                .unwrap();
                told += 1;
            }
        }
    }
    assert_eq!(told, code::ALL.len(), "an area has no heading");
    is_fresh("errors.md", &text);
}

#[test]
fn the_reference_of_the_api_is_what_a_server_says() {
    let mut text = serde_json::to_string_pretty(&custody_api::openapi()).unwrap();
    text.push('\n');
    is_fresh("openapi.json", &text);
}

/// Lists the product's code in a folder, without its tests.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if path.is_dir() {
            sources(&path, found);
        } else if is_rust && !name.ends_with("tests") && name != "registry" {
            let text = std::fs::read_to_string(&path).unwrap();
            let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            found.push(product.to_owned());
        }
    }
}

/// A code that nobody is told goes from the registry, and nobody is told one that is not there.
#[test]
fn the_codes_of_the_registry_are_those_that_are_told() {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut found);
    }
    let mut told = BTreeSet::new();
    for text in &found {
        assert!(
            !text.contains("\"CUS-"),
            "a code is written as a text: take it from `custody_types::code`"
        );
        for rest in text.split("code::").skip(1) {
            let is_name = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
            let name: String = rest.chars().take_while(is_name).collect();
            told.insert(name.replace('_', "-"));
        }
    }
    let silent: Vec<_> = code::ALL
        .iter()
        .filter(|code| !told.contains(code.as_str().trim_start_matches("CUS-")))
        .collect();
    assert!(silent.is_empty(), "nobody is told {silent:?}");
}

/// Who reads on the page by which test something is shown finds that test, and who reads where it is done finds that file.
#[test]
fn every_test_that_the_asvs_page_names_is_there() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let page = std::fs::read_to_string(format!("{root}/docs/asvs.md")).unwrap();
    let mut named = BTreeSet::new();
    // Every second piece is one between backticks.
    for code in page.split('`').skip(1).step_by(2) {
        let folders = ["crates/", "scripts/", "tests/", "xtask/"];
        if !folders.iter().any(|folder| code.starts_with(folder)) {
            continue;
        }
        let Some((path, name)) = code.split_once(": ") else {
            assert!(Path::new(root).join(code).exists(), "`{code}` is not there");
            continue;
        };
        let text = std::fs::read_to_string(format!("{root}/{path}")).unwrap_or_default();
        let keyword = if path.ends_with("py") { "def" } else { "fn" };
        let function = format!("{keyword} {name}(");
        assert!(text.contains(&function), "`{code}` is not there");
        named.insert(code);
    }
    assert!(named.len() >= 80, "{}", named.len());
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
