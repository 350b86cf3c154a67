//! Chat templates: Jinja text that a tokenizer renders when it is used.

use crate::report::Severity;
use crate::scan::{Found, Scan};

/// Names that lead from a value to Python's internals.
const INTERNALS: [&str; 6] = ["__", "|attr", "| attr", "func_globals", "gi_frame", "mro()"];

/// Judges a template that stands in a configuration.
pub(crate) fn found(template: &str, scan: &mut Scan<'_>, offset: Option<u64>) {
    let squeezed: String = template.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(name) = INTERNALS
        .iter()
        .find(|name| within_tags(&squeezed).any(|tag| tag.contains(**name)))
    else {
        return;
    };
    let mut found = Found::malicious(
        "jinja/internals",
        format!("a chat template reaches for Python's internals by `{name}`"),
    )
    .severity(Severity::Critical)
    .why("a tokenizer renders the template, and without a sandbox it can run any code")
    .see(&["CVE-2024-34359", "CWE-1336"]);
    found.offset = offset;
    scan.found(found);
}

/// The parts between `{{` or `{%` and their ends.
fn within_tags(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{")
        .flat_map(|part| part.split("{%"))
        .skip(1)
        .map(|part| part.split("}}").next().unwrap_or(part))
        .map(|part| part.split("%}").next().unwrap_or(part))
}
