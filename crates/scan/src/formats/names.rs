//! Names that configurations give to their loaders: classes to build, modules to import.

use crate::report::Severity;
use crate::rules::{Judgement, Sink};
use crate::scan::{Found, Scan, shown};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded() {
        assert_eq!(base64("aGVsbG8=").unwrap(), b"hello");
        assert_eq!(base64("aGVs\nbG8").unwrap(), b"hello");
        assert_eq!(base64("gASVCA==").unwrap(), [0x80, 4, 0x95, 8]);
        assert_eq!(base64("a!"), None);
    }
}
