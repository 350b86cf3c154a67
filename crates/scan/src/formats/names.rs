//! Names that configurations give to their loaders: classes to build, modules to import.

use crate::scan::{Found, Scan, shown};
use custody_findings::Severity;
use custody_findings::rules::{Judgement, Sink};

/// Reports a name that is known to be bad: what runs code or reaches outside is malicious, a lesser
/// one is for a person to judge.
pub(crate) fn sink(rule: &'static str, kind: &str, name: &str, sink: &Sink, at: u64) -> Found {
    let what = format!("the {kind} `{}` can {}", shown(name), sink.can);
    let found = if sink.severity >= Severity::High {
        Found::malicious(rule, what)
    } else {
        Found::review(rule, what)
    };
    let mut found = found
        .severity(sink.severity)
        .why("the loader builds or calls what the configuration names")
        .at(at);
    found.references.clone_from(&sink.references);
    found
}

/// Reports a name that no rule knows.
pub(crate) fn unknown(rule: &'static str, kind: &str, name: &str, at: u64) -> Found {
    Found::review(
        rule,
        format!(
            "the {kind} `{}` is not among those that are known",
            shown(name)
        ),
    )
    .why("the loader builds or calls what the configuration names")
    .see(&["AML.T0010.003"])
    .at(at)
}

/// Modules that some package imports, so that a dotted name can reach them through it.
const REACHED: [&str; 14] = [
    "os",
    "posix",
    "nt",
    "sys",
    "subprocess",
    "builtins",
    "importlib",
    "shutil",
    "pickle",
    "socket",
    "ctypes",
    "runpy",
    "pty",
    "inspect",
];

/// Returns the segment of a dotted name, after its first, that is a module which runs code, such as
/// `os` in `keras.utils.io_utils.os`.
pub(crate) fn inner_sink<'n, 'r>(
    scan: &Scan<'r>,
    section: &str,
    prefix: &str,
    name: &'n str,
) -> Option<(&'n str, &'r Sink)> {
    let segment = name
        .split('.')
        .skip(1)
        .find(|segment| REACHED.contains(segment))?;
    let suffix = if prefix.is_empty() { ":any" } else { "" };
    match scan
        .rules
        .judge(section, &format!("{prefix}{segment}{suffix}"))
    {
        Judgement::Sink(known) => Some((segment, known)),
        _ => None,
    }
}

/// Judges the dotted name that a hydra configuration has to be built.
pub(crate) fn target(scan: &mut Scan<'_>, name: &str, at: u64) {
    let name = name.trim();
    let question = name.rsplit_once(['.', ':']).map_or_else(
        || format!("builtins:{name}"),
        |(module, last)| format!("{module}:{last}"),
    );
    let module = name.rsplit_once('.').map_or("", |(module, _)| module);
    if let Some((_, known)) = inner_sink(scan, "hydra", "", module) {
        scan.found(sink("hydra/sink", "target", name, known, at));
        return;
    }
    match scan.rules.judge("hydra", &question) {
        Judgement::Allowed(_) => {}
        Judgement::Sink(known) => {
            scan.found(sink("hydra/sink", "target", name, known, at));
        }
        Judgement::Unknown => {
            let first = name.split(['.', ':']).next().unwrap_or_default();
            match scan.rules.judge("hydra", &format!("{first}:any")) {
                Judgement::Sink(known) => {
                    scan.found(sink("hydra/sink", "target", name, known, at));
                }
                _ => scan.found(unknown("hydra/unknown", "target", name, at)),
            }
        }
    }
}

/// Judges the module that an `MLmodel` has loaded.
pub(crate) fn loader_module(scan: &mut Scan<'_>, name: &str, at: u64) {
    match scan.rules.judge("hydra", &format!("mlflow:loader:{name}")) {
        Judgement::Allowed(_) => {}
        Judgement::Sink(known) => {
            scan.found(sink("mlflow/loader", "loader module", name, known, at));
        }
        Judgement::Unknown => {
            scan.found(
                unknown("mlflow/loader", "loader module", name, at)
                    .severity(Severity::High)
                    .see(&["CWE-470", "AML.T0011"]),
            );
        }
    }
}

/// Decodes base64 (RFC 4648, either alphabet, white space between); `None` if it is none.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0u32);
    for character in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let digit = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => continue,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(bits.checked_shr(count).unwrap_or_default().to_le_bytes()[0]);
        }
    }
    Some(bytes)
}

/// Whether text is base64 that begins as a pickle does (`\x80` and a protocol from 2 to 5).
pub(crate) fn is_base64_pickle(text: &str) -> bool {
    text.len() >= 16
        && ["gAJ", "gAN", "gAR", "gAS", "gAU"]
            .iter()
            .any(|start| text.starts_with(start))
}

/// Whether text is the base64 of a code object as `marshal` writes it.
pub(crate) fn is_base64_code(text: &str) -> bool {
    // The marshalled code of a function has counts of arguments first, each a small number of 4 bytes.
    const COUNTS: usize = 3;
    const SHORTEST: usize = 48;
    let text = text.trim();
    if text.len() < SHORTEST || !(text.starts_with('Y') || text.starts_with('4')) {
        return false;
    }
    let Some(bytes) = text.get(..SHORTEST).and_then(base64) else {
        return false;
    };
    let Some((kind, rest)) = bytes.split_first() else {
        return false;
    };
    matches!(kind, b'c' | 0xe3)
        && rest
            .chunks_exact(4)
            .take(COUNTS)
            .all(|count| count.get(1..) == Some(&[0, 0, 0]))
}

/// Reports stored bytecode.
pub(crate) fn bytecode(scan: &mut Scan<'_>, at: u64) {
    scan.found(
        Found::malicious("keras/bytecode", "holds the bytecode of a Python function")
            .severity(Severity::Critical)
            .why("a loader makes a function of it and calls it")
            .see(&["CVE-2024-3660", "CWE-502", "AML.T0011.000"])
            .at(at),
    );
}

/// Whether a path leads out of the folder that it is in.
pub(crate) fn leaves(path: &str) -> bool {
    path.starts_with(['/', '\\', '~'])
        || path.split(['/', '\\']).any(|part| part == "..")
        || path.contains("://")
        || path.get(1..2) == Some(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bytecode_is_known() {
        let code =
            "YwEAAAAAAAAAAAAAAAMAAAADAAAA8yAAAACXAHQBAAAAAAAAAAAAAGQBpgEAAKsBAAAAAAAAAABTACk=";
        assert!(is_base64_code(code));
        assert!(is_base64_code(&code.replacen("Yw", "4w", 1)));
        assert!(!is_base64_code(
            "YmFzZTY0IG9mIGFuIG9yZGluYXJ5IHNlbnRlbmNlIHRoYXQgaXMgbG9uZyBlbm91Z2g="
        ));
        assert!(!is_base64_code("YwEAAAA"));
    }

    #[test]
    fn paths_that_leave_are_known() {
        for path in [
            "/etc/x",
            "../x",
            "a/../../x",
            "~/x",
            "C:\\x",
            "file://x",
            "a\\..\\x",
        ] {
            assert!(leaves(path), "{path}");
        }
        for path in ["model.pkl", "data/model", "a..b", "."] {
            assert!(!leaves(path), "{path}");
        }
    }

    #[test]
    fn base64_is_decoded() {
        assert_eq!(base64("aGVsbG8=").unwrap(), b"hello");
        assert_eq!(base64("aGVs\nbG8").unwrap(), b"hello");
        assert_eq!(base64("gASVCA==").unwrap(), [0x80, 4, 0x95, 8]);
        assert_eq!(base64("a!"), None);
    }
}
