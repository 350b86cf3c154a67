//! Architectures of YOLO in YAML: rows of `[from, number, module, arguments]`, whose modules are looked
//! up by name and whose texts older loaders give to Python's `eval`.

use crate::formats::names;
use crate::scan::{Found, Scan, shown};
use custody_findings::Severity;
use custody_findings::rules::Judgement;

/// The keys of the outermost mapping whose rows are modules.
pub(super) const PARTS: [&str; 2] = ["backbone", "head"];

/// Judges a module by its name.
pub(super) fn module(name: &str, at: u64, scan: &mut Scan<'_>) {
    if is_code(name) {
        evaluated("module", name, at, scan);
        return;
    }
    match scan.rules.judge("ultralytics", name) {
        Judgement::Allowed(_) => {}
        Judgement::Sink(sink) => {
            scan.found(names::sink("ultralytics/module", "module", name, sink, at));
        }
        Judgement::Unknown => {
            scan.found(names::unknown("ultralytics/module", "module", name, at));
        }
    }
}

/// Judges any other text of a row: a number or a plain name.
pub(super) fn argument(text: &str, at: u64, scan: &mut Scan<'_>) {
    if is_code(text) {
        evaluated("argument", text, at, scan);
        return;
    }
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.'));
    if !plain {
        scan.found(names::unknown("ultralytics/argument", "argument", text, at));
    }
}

/// Judges the activation of all layers, which is evaluated too: a module of PyTorch with plain arguments.
pub(super) fn activation(text: &str, at: u64, scan: &mut Scan<'_>) {
    let Some((name, arguments)) = text.split_once('(') else {
        if text.contains("__") {
            evaluated("activation", text, at, scan);
        }
        return;
    };
    let class = name.strip_prefix("torch.").unwrap_or(name);
    let is_class = class
        .strip_prefix("nn.")
        .is_some_and(|class| class.chars().all(|c| c.is_ascii_alphanumeric()));
    let plain = arguments.strip_suffix(')').is_some_and(|arguments| {
        let letters = |c: char| c.is_ascii_alphanumeric() || "_=., -".contains(c);
        arguments.chars().all(letters) && !arguments.contains("__")
    });
    if !(is_class && plain) {
        evaluated("activation", text, at, scan);
    }
}

/// Judges what a dataset says of its download: an address, or a program that the loader runs.
pub(super) fn download(text: &str, at: u64, scan: &mut Scan<'_>) {
    if text.parse::<f64>().is_ok() || matches!(text, "true" | "false" | "True" | "False") {
        return;
    }
    scan.found(
        Found::review(
            "ultralytics/download",
            format!("what is fetched or run for its data: `{}`", shown(text)),
        )
        .severity(Severity::High)
        .why("the loader of a dataset fetches an address and runs anything else")
        .see(&["CWE-94", "AML.T0011"])
        .at(at),
    );
}

/// Whether text, evaluated, would do more than name something.
fn is_code(text: &str) -> bool {
    text.contains(['(', ';', '\n']) || text.contains("__") || text.contains("lambda")
}

fn evaluated(kind: &str, text: &str, at: u64, scan: &mut Scan<'_>) {
    scan.found(
        Found::malicious(
            "ultralytics/code",
            format!("the {kind} `{}` is code of Python", shown(text)),
        )
        .why("loaders of YOLO give the texts of an architecture to `eval`")
        .see(&["CWE-95", "AML.T0011.000"])
        .at(at),
    );
}
