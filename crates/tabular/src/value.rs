//! How the text of a value is understood.

use crate::error::Refusal;
use crate::moment::Pattern;
use crate::number::{Number, normalise};
use crate::options::Csv;

/// The declared spellings of values.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    pub(crate) nulls: Vec<String>,
    pub(crate) quoted_nulls: bool,
    true_values: Vec<String>,
    false_values: Vec<String>,
    nan: Vec<String>,
    infinity: Vec<String>,
    decimal: char,
    thousands: Option<char>,
    pub(crate) dates: Vec<Pattern>,
    pub(crate) timestamps: Vec<Pattern>,
}

fn one(what: &str, text: Option<&String>) -> Result<Option<char>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if !letter.is_ascii_alphanumeric() && letter != '-' => {
            Ok(Some(letter))
        }
        _ => Err(Refusal::new(format!(
            "`{what}` must be one character that is no letter, digit or minus"
        ))),
    }
}

impl Style {
    pub(crate) fn new(csv: &Csv) -> Result<Self, Refusal> {
        let or = |given: &[String], default: &[&str]| {
            if given.is_empty() {
                default.iter().map(|&word| word.to_owned()).collect()
            } else {
                given.to_vec()
            }
        };
        let patterns = |given: &[String], time: bool| {
            let patterns = given.iter().map(|text| Pattern::new(text));
            let patterns = patterns
                .collect::<Result<Vec<_>, _>>()
                .map_err(Refusal::new)?;
            match patterns.iter().find(|pattern| pattern.has_time != time) {
                None => Ok(patterns),
                Some(pattern) if time => Err(Refusal::new(format!(
                    "the pattern `{}` has no time of day",
                    pattern.text
                ))
                .hint("a pattern without one belongs to `dates`")),
                Some(pattern) => Err(Refusal::new(format!(
                    "the pattern `{}` has a time of day",
                    pattern.text
                ))
                .hint("a pattern with one belongs to `timestamps`")),
            }
        };
        let decimal = one("decimal", csv.decimal.as_ref())?.unwrap_or('.');
        let thousands = one("thousands", csv.thousands.as_ref())?;
        if thousands == Some(decimal) {
            return Err(Refusal::new(
                "`thousands` and `decimal` are the same character",
            ));
        }
        let style = Self {
            nulls: csv.nulls.clone().unwrap_or_else(|| vec![String::new()]),
            quoted_nulls: csv.quoted_nulls,
            true_values: or(&csv.true_values, &["true", "True", "TRUE"]),
            false_values: or(&csv.false_values, &["false", "False", "FALSE"]),
            nan: csv.nan.clone(),
            infinity: csv.infinity.clone(),
            decimal,
            thousands,
            dates: patterns(&csv.dates, false)?,
            timestamps: patterns(&csv.timestamps, true)?,
        };
        let both = style
            .true_values
            .iter()
            .find(|word| style.false_values.contains(word));
        match both {
            Some(word) => Err(Refusal::new(format!(
                "`{word}` is declared to be true and false"
            ))),
            None => Ok(style),
        }
    }

    /// Returns the default style.
    pub(crate) fn plain() -> Self {
        Self {
            nulls: vec![String::new()],
            quoted_nulls: false,
            true_values: Vec::new(),
            false_values: Vec::new(),
            nan: Vec::new(),
            infinity: Vec::new(),
            decimal: '.',
            thousands: None,
            dates: Vec::new(),
            timestamps: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn is_null(&self, text: &str, quoted: bool) -> bool {
        (!quoted || self.quoted_nulls) && self.nulls.iter().any(|null| null == text)
    }

    pub(crate) fn boolean(&self, text: &str) -> Option<bool> {
        if self.true_values.iter().any(|word| word == text) {
            Some(true)
        } else if self.false_values.iter().any(|word| word == text) {
            Some(false)
        } else {
            None
        }
    }

    /// Scans a number; `scratch` holds it where its marks are others.
    #[inline]
    pub(crate) fn number<'a>(&self, text: &'a str, scratch: &'a mut String) -> Option<Number<'a>> {
        if self.decimal == '.' && self.thousands.is_none() {
            return Number::scan(text);
        }
        if normalise(text, self.decimal, self.thousands, scratch) {
            Number::scan(scratch)
        } else {
            None
        }
    }

    /// Returns the double that is no number or infinite, where such were declared.
    pub(crate) fn special(&self, text: &str) -> Option<f64> {
        if self.nan.is_empty() && self.infinity.is_empty() {
            return None;
        }
        let (negative, bare) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if self.nan.iter().any(|word| word == text) {
            Some(f64::NAN)
        } else if self.infinity.iter().any(|word| word == bare) {
            Some(if negative {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            })
        } else {
            None
        }
    }
}
