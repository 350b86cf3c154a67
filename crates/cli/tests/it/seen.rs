//! What a person sees of the main commands, as a whole: `seen.txt`. `make generate` writes it anew; read what changed as
//! carefully as code.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::world::{World, text};

const COMMANDS: &[&[&str]] = &[
    &["init"],
    &["init"],
    &["run", "--dry-run"],
    &["run"],
    &["run"],
    &["status"],
    &["ls"],
    &["ls", "nothing"],
    &["show", "demo/count@1"],
    &["show", "demo/count@7"],
    &["trace", "demo/count@1"],
    &["trace", "--down", "demo/words@1"],
    &["verify", "demo/count@1"],
    &["verify", "demo/count@1", "--require", "gate"],
    &["get", "demo/count@1", "--to", "out"],
    &["get", "demo/count@1", "--to", "out", "--purpose", "fun"],
    &["get", "demo/count@1", "--to", "out", "--purpose", "testing"],
    &["get", "demo/count@1", "--to", "out", "--purpose", "testing"],
    &["alias", "demo/count", "good", "1"],
    &["alias", "demo/count", "production", "1"],
    &[
        "put",
        "demo/more",
        "words.txt",
        "--classification",
        "internal",
    ],
    &["put", "demo/more", "missing.txt"],
    &["metrics", "demo/count@1"],
    &["compare", "demo/count@1", "demo/count@1"],
    &["data", "schema", "demo/more@1"],
    &["policy", "show", "--as", "nobody"],
    &["runn"],
];

#[test]
fn what_a_person_sees_is_what_was_read_with_care() {
    let world = World::without_workspace();
    let mut seen = String::new();
    for arguments in COMMANDS {
        let output = world.run(arguments);
        let code = output.status.code().unwrap();
        let said = steady(&text(&output), &world);
        writeln!(seen, "$ custody {}\n{said}[{code}]\n", arguments.join(" ")).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/seen.txt");
    if std::env::var_os("CUSTODY_GENERATE").is_some() {
        fs::write(&path, &seen).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    for (line, (seen, kept)) in seen.lines().zip(kept.lines()).enumerate() {
        assert_eq!(
            seen,
            kept,
            "line {} of seen.txt; `make generate` writes it anew",
            line + 1
        );
    }
    assert_eq!(seen.lines().count(), kept.lines().count());
}

/// Replaces what is another one each time: ids, digests, times, numbers of entries, paths, the account.
fn steady(text: &str, world: &World) -> String {
    let account = Command::new("id").arg("-un").output().unwrap();
    let account = String::from_utf8(account.stdout).unwrap();
    let folder = world.folder.path().to_str().unwrap();
    let mut out = String::new();
    for line in text.replace(folder, "[folder]").lines() {
        // How far the ledger is published is a matter of moments.
        let checks = ["ledger-checkpoint", "ledger-consistency"];
        if let Some(check) = checks.iter().find(|check| line.contains(**check)) {
            writeln!(out, "  [{check}, as far as it is published]").unwrap();
            continue;
        }
        let words: Vec<_> = line.split(' ').collect();
        let mut before = "";
        for (at, word) in words.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            let next = words.get(at + 1).copied().unwrap_or_default();
            let steady = steady_word(word, before, next, account.trim());
            write!(out, "{space}{steady}").unwrap();
            if !word.is_empty() {
                before = word;
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
    out
}

fn steady_word(word: &str, before: &str, next: &str, account: &str) -> String {
    let bare = word.trim_matches(|sign: char| !sign.is_ascii_alphanumeric() && sign != '/');
    let is = |allowed: fn(&u8) -> bool| !bare.is_empty() && bare.bytes().all(|byte| allowed(&byte));
    let counted = ["entry", "entries", "to"].contains(&before)
        || (before, next) == ("of", "hashes")
        || ["ms,", "s,", "layers:", "hashes"].contains(&next)
        || (before == "of" && word.ends_with(','));
    let name = if is(u8::is_ascii_digit) && counted {
        "n"
    } else if bare.len() >= 12 && is(|byte| byte.is_ascii_hexdigit() || *byte == b'-') {
        "id"
    } else if bare.len() >= 19 && bare.as_bytes()[4] == b'-' && bare.contains('T') {
        "time"
    } else if bare == account {
        "account"
    } else {
        return hex_parts(word);
    };
    word.replace(bare, &format!("[{name}]"))
}

/// Replaces runs of hexadecimal digits inside a word, as in `sha256:…` and in paths.
fn hex_parts(word: &str) -> String {
    let mut parts = Vec::new();
    for part in word.split_inclusive([':', '/', '.', ',']) {
        let bare = part.trim_end_matches([':', '/', '.', ',']);
        let hex = bare.len() >= 12 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        parts.push(if hex {
            part.replace(bare, "[id]")
        } else {
            part.to_owned()
        });
    }
    parts.concat()
}
