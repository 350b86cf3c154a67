//! Where something stands in the pipeline file, and how an error shows it.

use std::collections::BTreeMap;
use std::ops::Range;

use custody_types::{Problem, code};
use granit_parser::{Event, Parser};

use super::NAME;

/// A place in the file: the keys and positions that lead to it, from the outside in.
///
/// ```text
/// steps · contract · check · checks · 2 · range · column
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(Vec<String>);

impl Place {
    /// Returns the place of a step.
    pub(crate) fn step(name: &str) -> Self {
        Self::default().key("steps").key(name)
    }

    /// Returns the place of a key of the mapping that stands here.
    pub(crate) fn key(&self, key: &str) -> Self {
        let mut parts = self.0.clone();
        parts.push(key.to_owned());
        Self(parts)
    }

    /// Returns the place of an item of the list that stands here, counted from 0.
    pub(crate) fn item(&self, number: usize) -> Self {
        self.key(&number.to_string())
    }
}

/// What is wrong with the file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where.
    pub(crate) place: Place,
    /// Why, in words.
    pub(crate) because: String,
}

impl Wrong {
    pub(crate) fn new(place: Place, because: impl Into<String>) -> Self {
        Self {
            place,
            because: because.into(),
        }
    }

    /// Shows it in the text of the file: the line, and a mark below what is wrong.
    pub(crate) fn problem(&self, text: &str) -> Problem {
        let excerpt = find(text, &self.place).map_or_else(String::new, |at| excerpt(text, &at));
        invalid(format!("{}{excerpt}", self.because))
    }
}

/// Builds the problem of a file that does not hold up.
pub(crate) fn invalid(because: String) -> Problem {
    Problem::new(
        code::PIPE_001,
        format!("`{NAME}` does not hold up"),
    )
    .because(because)
    .hint(
        "correct the file; editors complete it by the schema `docs/reference/custody.schema.json`",
    )
}

/// Finds the bytes of a place; where the file has less of it, those of the innermost part that is there.
fn find(text: &str, place: &Place) -> Option<Range<usize>> {
    let places = places(text);
    (1..=place.0.len())
        .rev()
        .find_map(|length| places.get(place.0.get(..length)?).cloned())
}

pub(super) fn excerpt(text: &str, at: &Range<usize>) -> String {
    let before = text.get(..at.start).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let number = before.matches('\n').count() + 1;
    let line = text
        .get(start..)
        .and_then(|rest| rest.lines().next())
        .unwrap_or_default();
    let column = before
        .get(start..)
        .map_or(0, |before| before.chars().count());
    let marked = text
        .get(at.clone())
        .and_then(|marked| marked.lines().next())
        .map_or(1, |marked| marked.trim_end().chars().count().max(1));
    format!(
        "\n{number:>5} | {line}\n      | {}{}",
        " ".repeat(column),
        "^".repeat(marked)
    )
}

/// A mapping or list that is open while the file is read.
enum Open {
    /// The key whose value comes next, if it was read.
    Mapping(Option<(String, Range<usize>)>),
    /// How many items were read.
    List(usize),
}

/// Lists the places of a file that is YAML. A scalar stands where its text is, a mapping or list where its key is.
fn places(text: &str) -> BTreeMap<Vec<String>, Range<usize>> {
    let mut found = BTreeMap::new();
    let mut path: Vec<String> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else {
            break;
        };
        let at = span.byte_range().unwrap_or_default();
        match event {
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                path.pop();
            }
            Event::Scalar(key, ..) if awaits_key(&open) => {
                if let Some(Open::Mapping(next)) = open.last_mut() {
                    *next = Some((key.into_owned(), at));
                }
            }
            Event::MappingStart(..) => enter(
                &mut open,
                &mut path,
                &mut found,
                at,
                Some(Open::Mapping(None)),
            ),
            Event::SequenceStart(..) => {
                enter(&mut open, &mut path, &mut found, at, Some(Open::List(0)));
            }
            Event::Scalar(..) | Event::Alias(..) => {
                enter(&mut open, &mut path, &mut found, at, None);
            }
            _ => {}
        }
    }
    found
}

fn awaits_key(open: &[Open]) -> bool {
    matches!(open.last(), Some(Open::Mapping(None)))
}

/// Notes a value, and goes into it where it is a mapping or a list.
fn enter(
    open: &mut Vec<Open>,
    path: &mut Vec<String>,
    found: &mut BTreeMap<Vec<String>, Range<usize>>,
    at: Range<usize>,
    inside: Option<Open>,
) {
    let (part, key) = match open.last_mut() {
        Some(Open::Mapping(next)) => match next.take() {
            Some((key, key_at)) => (Some(key), Some(key_at)),
            None => (Some(String::new()), None),
        },
        Some(Open::List(count)) => {
            *count += 1;
            (Some((*count - 1).to_string()), None)
        }
        None => (None, None),
    };
    let shown = match (&inside, key) {
        (Some(_), Some(key)) => key,
        _ => at,
    };
    path.extend(part);
    found.entry(path.clone()).or_insert(shown);
    match inside {
        Some(inside) => open.push(inside),
        None => {
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "a: 1\nlist:\n  - {x: ü, column: age}\n  - y: [1, 22]\n";

    #[track_caller]
    fn check(parts: &[&str], marked: &str) {
        let place = Place(parts.iter().map(|part| (*part).to_owned()).collect());
        let at = find(FILE, &place).unwrap();
        assert_eq!(FILE.get(at), Some(marked), "{place:?}");
    }

    #[test]
    fn a_place_is_found_where_it_stands() {
        check(&["a"], "1");
        check(&["list"], "list");
        check(&["list", "0", "column"], "age");
        check(&["list", "1", "y", "1"], "22");
        check(&["list", "none", "at all"], "list");
    }

    #[test]
    fn the_line_is_shown_with_a_mark() {
        let place = Place::default().key("list").item(0).key("column");
        let told = Wrong::new(place, "no such column").problem(FILE);
        assert_eq!(
            told.because,
            ["no such column\n    3 |   - {x: ü, column: age}\n      |                    ^^^"]
        );
    }
}
