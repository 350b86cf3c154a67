//! YAML: configurations of `MLflow`, `NeMo`, hydra and others, read as events, so that neither flow style,
//! nor an anchor, nor a quoted key hides what they tell a loader.
//!
//! INVARIANT: aliases are never expanded; their expanded size is counted.

mod judge;
mod ultralytics;

use granit_parser::{Event, Parser};

use crate::cursor::{Cursor, Stop};
use crate::formats::text;
use crate::scan::{Found, Scan, Understood};
use crate::sniff::{Format, Head};
use crate::source::Source;
use custody_findings::Severity;
use judge::Judge;

pub(crate) const FORMAT: Format = Format {
    name: "YAML",
    recognises,
    parse,
};

/// How long a YAML file may be, in bytes.
const MAX_BYTES: usize = 16 << 20;
/// What tells a loader to build or import something: text that has one of these is read as YAML.
const MARKS: [&str; 8] = [
    "!!python/",
    "!python/",
    "tag:yaml.org,2002:python/",
    "_target_",
    "__target__",
    "loader_module",
    "class_path:",
    "tag:yaml.org,2002:%70",
];

/// Whether it is text whose lines at the margin are keys or items, or that has a mark.
fn recognises(head: &Head<'_>) -> bool {
    let text = match std::str::from_utf8(head.bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => head
            .bytes
            .get(..error.valid_up_to())
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default(),
        Err(_) => return false,
    };
    if text.contains('\0') || text::is_code(text) {
        return false;
    }
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with(['{', '[']) && mark(text).is_some() {
        return true;
    }
    is_mapping(text)
}

fn is_mapping(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    let whole = text.rsplit_once('\n').map_or(text, |(whole, _)| whole);
    let mut keys = 0;
    for line in whole.lines() {
        let margin = !line.starts_with([' ', '\t', '#', '}', ']']);
        if !margin || line.trim().is_empty() || line.starts_with("---") || line.starts_with('%') {
            continue;
        }
        if is_key(line) {
            keys += 1;
        } else if !(line.starts_with("- ") || line == "-" || line.starts_with(['&', '!', '*', '?']))
        {
            return false;
        }
    }
    keys > 0 || (mark(text).is_some() && !text.trim_start().starts_with('<'))
}

/// Whether a line at the margin is `key:` or `key: value`, the key plain or quoted.
fn is_key(line: &str) -> bool {
    let line = line.trim_end();
    let (key, rest) = match line.split_once(": ") {
        Some((key, rest)) => (key, rest),
        None => match line.strip_suffix(':') {
            Some(key) => (key, ""),
            None => return false,
        },
    };
    let key = key.trim_matches(['"', '\'', ' ']);
    !key.is_empty()
        && key.len() <= 64
        && !rest.starts_with("//")
        && key.split(' ').count() <= 3
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/' | '<' | '\\'))
}

/// Returns the first mark that the text has.
pub(crate) fn mark(text: &str) -> Option<&'static str> {
    MARKS.into_iter().find(|mark| text.contains(mark))
}

/// Reads the part whole; text that only looks like YAML is text.
pub(crate) fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let bytes = Cursor::new(source).bytes(source.len(), MAX_BYTES, "a YAML file")?;
    let content = String::from_utf8(bytes).map_err(|_| Stop::malformed("is not UTF-8", 0))?;
    match read(&content, scan) {
        Ok(()) => Ok(Understood {
            format: "YAML",
            bytes: source.len(),
        }),
        Err(stop) if mark(&content).is_some() || matches!(stop, Stop::Limit { .. }) => Err(stop),
        Err(_) => text::parse(source, scan),
    }
}

/// Reads what begins like JSON and is none, if it is YAML.
pub(crate) fn flow(source: &dyn Source, scan: &mut Scan<'_>) -> Option<Understood> {
    let bytes = Cursor::new(source)
        .bytes(source.len(), MAX_BYTES, "a YAML file")
        .ok()?;
    let content = String::from_utf8(bytes).ok()?;
    // Nothing is reported of what turns out to be no YAML either: it is unscannable anyway.
    let events = Parser::new_from_str(&content);
    for event in events {
        event.ok()?;
    }
    read(&content, scan).ok()?;
    scan.found(
        Found::review("json/not-json", "it begins as JSON and is YAML")
            .severity(Severity::Low)
            .why("loaders of JSON refuse it and loaders of YAML read it"),
    );
    Some(Understood {
        format: "YAML",
        bytes: source.len(),
    })
}

fn read(content: &str, scan: &mut Scan<'_>) -> Result<(), Stop> {
    let mut judge = Judge::default();
    for event in Parser::new_from_str(content) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker().byte_offset().unwrap_or_default();
            Stop::malformed(format!("is no YAML: {error}"), at as u64)
        })?;
        let at = span.start.byte_offset().unwrap_or_default() as u64;
        step(&mut judge, event, at, scan)?;
    }
    Ok(())
}

fn step(judge: &mut Judge, event: Event<'_>, at: u64, scan: &mut Scan<'_>) -> Result<(), Stop> {
    match event {
        Event::Scalar(text, _, anchor, tag) => {
            Judge::tag(tag.as_deref(), at, scan);
            judge.scalar(&text, anchor, at, scan);
            Ok(())
        }
        Event::SequenceStart(_, anchor, tag) => {
            Judge::tag(tag.as_deref(), at, scan);
            judge.start(false, anchor, at, scan)
        }
        Event::MappingStart(_, anchor, tag) => {
            Judge::tag(tag.as_deref(), at, scan);
            judge.start(true, anchor, at, scan)
        }
        Event::SequenceEnd | Event::MappingEnd => {
            judge.end(at, scan);
            Ok(())
        }
        Event::Alias(anchor) => {
            judge.alias(anchor, at, scan);
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
