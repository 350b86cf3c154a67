//! The index of a pipeline of diffusers (`model_index.json`): each part is a library and a class in it,
//! which the loader imports, or a file of code beside the index.

use super::frame::{Frame, Value};
use crate::formats::names;
use crate::scan::{Found, Scan};
use custody_findings::Severity;
use custody_findings::rules::Judgement;

/// Whether the part that is being scanned is such an index, by its name: the loader reads no other.
pub(super) fn is_index(scan: &Scan<'_>) -> bool {
    let name = scan.name().rsplit(['/', '\\']).next().unwrap_or_default();
    name.eq_ignore_ascii_case("model_index.json")
}

/// Judges a list right below the index's object, at its end.
pub(super) fn part(list: &Frame, scan: &mut Scan<'_>) {
    if let [Value::Text(library), Value::Text(class)] = list.items() {
        pair(library, class, list.at, scan);
    }
}

/// Judges the class of the pipeline itself.
pub(super) fn pipeline(class: &str, at: u64, scan: &mut Scan<'_>) {
    pair("diffusers", class, at, scan);
}

fn pair(library: &str, class: &str, at: u64, scan: &mut Scan<'_>) {
    let name = format!("{library}:{class}");
    let found = match scan.rules.judge("diffusers", &name) {
        Judgement::Allowed(_) => return,
        Judgement::Sink(sink) => names::sink("diffusers/part", "part", &name, sink, at),
        Judgement::Unknown => Found {
            why: "the loader imports it from that library, or from code that lies beside the index",
            ..names::unknown("diffusers/part", "part", &name, at)
        }
        .severity(Severity::High)
        .see(&["CWE-470", "AML.T0011"]),
    };
    scan.found(found);
}
