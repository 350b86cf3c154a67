//! Columns of texts that would be numbers or dates if the file were read otherwise.
//!
//! Nothing is read so by itself: `1,234` is one number here and another there. A person is told how to say it.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use custody_tabular::Csv;

use super::words;

/// So many different texts may be words for what is missing.
const MAX_WORDS: usize = 5;
/// The patterns of dates that are tried, beside ISO 8601.
const DATES: [&str; 7] = [
    "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d",
];
const ISO: &str = "%Y-%m-%d";

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Style {
    /// `1234.5`
    Point,
    /// `1234,5`
    Comma,
    /// `1.234,5`
    CommaAndGroups,
    /// `1,234.5`
    PointAndGroups,
}

const STYLES: [Style; 4] = [
    Style::Point,
    Style::Comma,
    Style::CommaAndGroups,
    Style::PointAndGroups,
];

impl Style {
    /// The decimal mark, and the mark between groups of digits.
    const fn marks(self) -> (char, Option<char>) {
        match self {
            Self::Point => ('.', None),
            Self::Comma => (',', None),
            Self::CommaAndGroups => (',', Some('.')),
            Self::PointAndGroups => ('.', Some(',')),
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Point => "numbers",
            Self::Comma => "numbers with a decimal comma",
            Self::CommaAndGroups => "numbers with a decimal comma and points between the thousands",
            Self::PointAndGroups => "numbers with commas between the thousands",
        }
    }

    /// Returns whether a text is a number in this style. One with leading zeros is none: it is a name.
    fn reads(self, text: &str) -> bool {
        let (mark, group) = self.marks();
        let text = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (text, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = text.split_once(mark).unwrap_or((text, "0"));
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(fraction) || !digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)) {
            return false;
        }
        let mut groups = whole.split(group.unwrap_or('\0'));
        let first = groups.next().unwrap_or_default();
        let rest: Vec<_> = groups.collect();
        digits(first)
            && (first == "0" || !first.starts_with('0'))
            && (rest.is_empty() || first.len() <= 3)
            && rest.iter().all(|group| group.len() == 3 && digits(group))
    }
}

/// What the texts of a column are besides.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    count: usize,
    numbers: [usize; STYLES.len()],
    iso: usize,
    dates: [usize; DATES.len()],
    /// The others, and how often each occurs; one more than may be words.
    others: BTreeMap<String, usize>,
}

/// What a column would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Otherwise {
    /// In words.
    pub(super) what: String,
    /// The marks of numbers, where they have to be declared.
    style: Option<Style>,
    /// The pattern of its dates, where it has to be declared.
    date: Option<&'static str>,
    /// The words for what is missing.
    words: Vec<String>,
}

impl Texts {
    /// Looks at one more text.
    pub(super) fn note(&mut self, text: &str) {
        self.count += 1;
        let mut read = false;
        for (style, count) in STYLES.iter().zip(&mut self.numbers) {
            if style.reads(text) {
                *count += 1;
                read = true;
            }
        }
        if !read && text.starts_with(|first: char| first.is_ascii_digit()) {
            let is = |pattern| {
                // A year of two digits would be one of the first century.
                let date = NaiveDate::parse_from_str(text, pattern);
                date.is_ok_and(|date| (1000..10_000).contains(&date.year()))
            };
            if is(ISO) {
                self.iso += 1;
                read = true;
            }
            for (pattern, count) in DATES.iter().zip(&mut self.dates) {
                if is(pattern) {
                    *count += 1;
                    read = true;
                }
            }
        }
        if !read && (self.others.len() <= MAX_WORDS || self.others.contains_key(text)) {
            *self.others.entry(text.to_owned()).or_default() += 1;
        }
    }

    /// Says what the column would be: most of its texts are so, and all others are a few words.
    pub(super) fn otherwise(&self) -> Option<Otherwise> {
        let others: usize = self.others.values().sum();
        if self.others.len() > MAX_WORDS || others * 2 >= self.count {
            return None;
        }
        let all = self.count - others;
        let reads = |counts: &[usize]| -> Vec<usize> {
            let places = counts.iter().enumerate();
            places
                .filter(|(_, count)| **count == all)
                .map(|(place, _)| place)
                .collect()
        };
        let words: Vec<_> = self.others.keys().cloned().collect();
        let of = |what: String, style: Option<Style>, date: Option<&'static str>| {
            let said = words
                .iter()
                .map(|word| words::text(word))
                .collect::<Vec<_>>();
            let what = if said.is_empty() {
                what
            } else {
                format!("{what}, and {}", said.join(", "))
            };
            Some(Otherwise {
                what,
                style,
                date,
                words: words.clone(),
            })
        };
        let styles: Vec<_> = reads(&self.numbers)
            .into_iter()
            .filter_map(|place| STYLES.get(place).copied())
            .collect();
        match styles.as_slice() {
            // Numbers and nothing else: the reader had a reason to take them for texts.
            [Style::Point, ..] if self.others.is_empty() => return None,
            [Style::Point, ..] => return of(Style::Point.description().to_owned(), None, None),
            [Style::Comma, .., Style::PointAndGroups] => {
                return of(
                    "numbers with a comma for the decimal mark, or for the thousands: say which, `decimal: \",\"` or `thousands: \",\"`".to_owned(),
                    None,
                    None,
                );
            }
            [style, ..] => return of(style.description().to_owned(), Some(*style), None),
            [] => {}
        }
        if self.iso == all {
            let dates = || of("dates".to_owned(), None, None);
            return (!self.others.is_empty()).then(dates).flatten();
        }
        let patterns: Vec<_> = reads(&self.dates)
            .into_iter()
            .filter_map(|place| DATES.get(place).copied())
            .collect();
        match patterns.as_slice() {
            [] => None,
            [pattern] => of(format!("dates like `{pattern}`"), None, Some(*pattern)),
            several => of(
                format!(
                    "dates with day and month in one order or the other: say which, `dates: [\"{}\"]`",
                    several.join("\"]` or `dates: [\"")
                ),
                None,
                None,
            ),
        }
    }
}

impl Otherwise {
    /// Returns whether its numbers have a decimal comma.
    pub(super) fn has_comma(&self) -> bool {
        self.style.is_some_and(|style| style.marks().0 == ',')
    }
}

/// Declares how the file is read for all of these columns to be what they would be; `None` where nothing can be said
/// for all of them. `points`: whether other columns have numbers with a decimal point.
pub(super) fn declared<'a>(
    csv: &Csv,
    columns: impl Iterator<Item = &'a Otherwise>,
    points: bool,
) -> Option<Csv> {
    let mut new = csv.clone();
    let mut words = new.nulls.take().unwrap_or_else(|| vec![String::new()]);
    let before = words.len();
    let mut style = None;
    for column in columns {
        words.extend(column.words.iter().cloned());
        new.dates.extend(column.date.map(ToOwned::to_owned));
        style = style.max(column.style);
    }
    let mut seen = std::collections::BTreeSet::new();
    words.retain(|word| seen.insert(word.clone()));
    new.dates.sort();
    new.dates.dedup();
    if let Some(style) = style.filter(|style| !points || style.marks().0 == '.') {
        let (mark, group) = style.marks();
        if mark != '.' {
            new.decimal = Some(mark.to_string());
        }
        new.thousands = group.map(String::from);
    }
    new.nulls = if words.len() > before {
        Some(words)
    } else {
        csv.nulls.clone()
    };
    (new != *csv).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Option<Otherwise> {
        let mut all = Texts::default();
        for text in texts {
            all.note(text);
        }
        all.otherwise()
    }

    #[track_caller]
    fn check(texts: &[&str], what: &str, csv: Option<&str>) {
        let found = of(texts).unwrap();
        assert!(found.what.contains(what), "{}", found.what);
        let declared = declared(&Csv::default(), std::iter::once(&found), false);
        let declared = declared.map(|csv| serde_json::to_string(&csv).unwrap());
        assert_eq!(declared.as_deref(), csv, "{texts:?}");
    }

    #[test]
    fn what_columns_would_be_is_told() {
        check(
            &["1,5", "12,25", "-3", "NaN"],
            "a decimal comma, and \"NaN\"",
            Some(r#"{"nulls":["","NaN"],"decimal":","}"#),
        );
        check(
            &["1.234,5", "12,25"],
            "points between the thousands",
            Some(r#"{"decimal":",","thousands":"."}"#),
        );
        check(
            &["1,234.5", "1,234,567"],
            "commas between the thousands",
            Some(r#"{"thousands":","}"#),
        );
        check(
            &["1.5", "2e3", "-7", "NULL", "n/a"],
            "numbers, and \"NULL\", \"n/a\"",
            Some(r#"{"nulls":["","NULL","n/a"]}"#),
        );
        check(&["1,234", "5,678"], "say which", None);
        check(
            &["31.12.2024", "01.02.2024"],
            "dates like `%d.%m.%Y`",
            Some(r#"{"dates":["%d.%m.%Y"]}"#),
        );
        check(
            &["12/31/2024", "01/02/2024", "?"],
            "dates like `%m/%d/%Y`, and \"?\"",
            Some(r#"{"nulls":["","?"],"dates":["%m/%d/%Y"]}"#),
        );
        check(
            &["02/01/2024", "01/02/2024"],
            "`dates: [\"%m/%d/%Y\"]` or `dates: [\"%d/%m/%Y\"]`",
            None,
        );
        check(
            &["2024-12-31", "2024-12-30", "never"],
            "dates, and \"never\"",
            Some(r#"{"nulls":["","never"]}"#),
        );
    }

    #[test]
    fn texts_stay_texts() {
        for texts in [
            &["a", "b", "c"][..],
            &["00123", "00456"],
            &["1", "2", "a", "b", "c", "d"],
            &["1", "2", "x1", "x2"],
            &["1.2.3", "4.5.6"],
            &["2024-12-31", "31.12.2024"],
            &["31.12.24"],
            &["", "1,5"],
            &[],
        ] {
            let found = of(texts);
            let is_empty_word = |found: &Otherwise| found.words == [""];
            assert!(
                found.as_ref().is_none_or(is_empty_word),
                "{texts:?}: {found:?}"
            );
        }
    }

    #[test]
    fn marks_of_other_columns_are_not_broken() {
        let comma = of(&["1,5", "2,5"]).unwrap();
        assert_eq!(
            declared(&Csv::default(), std::iter::once(&comma), true),
            None
        );
    }
}
