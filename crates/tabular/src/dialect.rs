//! What was declared about text with delimiters, and what its beginning shows.

use crate::block::{Cut, Text};
use crate::error::{Refusal, TabularError};
use crate::evidence::Guess;
use crate::options::{BlankLines, Csv};
use crate::recognise::{Original, Packing, reading, unpack};
use crate::rows::{Dialect, Rows};
use crate::types::{ColumnType, quoted};
use crate::value::Style;

/// How much text is looked at for what was not declared.
const SAMPLE: usize = 1 << 18;
/// The delimiters that are looked for, with their names.
const DELIMITERS: &[(u8, &str)] = &[
    (b',', "a comma"),
    (b';', "a semicolon"),
    (b'\t', "a tab"),
    (b'|', "a bar"),
];
/// The most columns.
const MAX_COLUMNS: usize = 1 << 14;

/// How a file is read.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) dialect: Dialect,
    pub(crate) style: Style,
    pub(crate) names: Vec<String>,
    /// Whether the first row is no data.
    pub(crate) header: bool,
    /// Whether that was found, not declared.
    pub(crate) found_header: bool,
    pub(crate) encoding: Option<String>,
    /// What was declared, with what was found added.
    pub(crate) csv: Csv,
    /// What was found, in words.
    pub(crate) notes: Vec<String>,
}

fn byte(what: &str, text: Option<&String>) -> Result<Option<u8>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    match text.as_bytes() {
        [] => Ok(None),
        _ if text == "tab" => Ok(Some(b'\t')),
        [byte]
            if byte.is_ascii()
                && !matches!(byte, b'\n' | b'\r' | 0)
                && !byte.is_ascii_alphanumeric() =>
        {
            Ok(Some(*byte))
        }
        _ => Err(Refusal::new(format!(
            "`{what}` must be one ASCII character that is no letter and no digit"
        ))),
    }
}

/// Reads the beginning of a text, as whole lines where it is longer than the sample.
fn sample(
    file: &mut dyn Original,
    packing: Packing,
    encoding: Option<&str>,
) -> Result<(String, bool, &'static str, bool), TabularError> {
    struct Everything;
    impl Cut for Everything {
        fn cut(&self, text: &[u8]) -> Option<usize> {
            Some(text.len())
        }
        fn line_end(&self) -> u8 {
            b'\n'
        }
    }
    let from = unpack(file, packing).map_err(|error| reading(error, packing))?;
    let text = Text::new(from, packing, encoding)?;
    let (name, marked, ascii) = (text.encoding, text.marked, text.is_ascii());
    let mut blocks = crate::block::Blocks::new(text, &Everything);
    let Some(mut block) = blocks.next()? else {
        return Ok((String::new(), true, name, marked));
    };
    let whole = block.text.len() < SAMPLE;
    if !whole {
        block.text.truncate(SAMPLE);
        let end = memchr::memrchr2(b'\n', b'\r', &block.text);
        block.text.truncate(end.map_or(SAMPLE, |end| end + 1));
        // Without an end of a line the cut may go through a character.
        if end.is_none() {
            let valid = encoding_rs::Encoding::utf8_valid_up_to(&block.text);
            if SAMPLE - valid < 4 {
                block.text.truncate(valid);
            }
        }
    }
    let text = block.checked(ascii, name, b'\n')?.to_owned();
    Ok((text, whole, name, marked))
}

/// Reads rows of a sample, of which the last may be cut off.
fn rows_of(dialect: &Dialect, text: &str, whole: bool) -> Option<Rows> {
    let text = if whole {
        text
    } else {
        text.get(..dialect.cut(text.as_bytes())?)?
    };
    dialect.rows(text, None).ok()
}

/// Settles how a file is read: by what was declared, else by its beginning.
pub(crate) fn settle(
    file: &mut dyn Original,
    packing: Packing,
    tabs: bool,
    csv: &Csv,
) -> Result<Settled, TabularError> {
    let (text, whole, encoding, marked) = sample(file, packing, csv.encoding.as_deref())?;
    if text.trim().is_empty() {
        return Err(Refusal::new("there is nothing in it").into());
    }
    let style = Style::new(csv)?;
    let mut notes = Vec::new();
    let mut decided = csv.clone();
    if marked {
        notes.push(format!("encoding {}", encoding.to_ascii_lowercase()));
    }
    let quote = match &csv.quote {
        None => Some(b'"'),
        given => byte("quote", given.as_ref())?,
    };
    let mut dialect = Dialect {
        delimiter: b',',
        quote,
        escape: byte("escape", csv.escape.as_ref())?.filter(|escape| Some(*escape) != quote),
        comment: byte("comment", csv.comment.as_ref())?,
        old_mac: !text.contains('\n') && text.contains('\r'),
        trim: csv.trim,
        blank_lines: csv.blank_lines,
    };
    dialect.delimiter = match byte("delimiter", csv.delimiter.as_ref())? {
        Some(delimiter) => delimiter,
        None if csv.delimiter.is_some() => {
            return Err(Refusal::new("`delimiter` must be one character").into());
        }
        None if tabs => b'\t',
        None => {
            let found = delimiter(dialect, &text, whole)?;
            decided.delimiter = Some(char::from(found).to_string());
            let name = DELIMITERS.iter().find(|(delimiter, _)| *delimiter == found);
            notes.push(format!("delimiter: {}", name.map_or("", |(_, name)| name)));
            found
        }
    };
    if Some(dialect.delimiter) == dialect.quote {
        return Err(Refusal::new("`delimiter` and `quote` are the same character").into());
    }
    let width = first_width(&dialect, &text)?;
    let header = match csv.header {
        Some(header) => header,
        None if !csv.names.is_empty() => false,
        None => {
            has_header(&dialect, &style, csv, &text, whole)?;
            decided.header = Some(true);
            notes.push("header: the first row".to_owned());
            true
        }
    };
    let names = names(&dialect, csv, header, width, &text)?;
    if width == 1 && dialect.blank_lines == Some(BlankLines::Row) {
        notes.push("blank lines are rows".to_owned());
    } else if dialect.blank_lines == Some(BlankLines::Row) {
        return Err(Refusal::new(format!(
            "`blank_lines: row` is for one column, and there are {width}"
        ))
        .into());
    }
    Ok(Settled {
        dialect,
        style,
        names,
        header,
        found_header: csv.header.is_none() && header,
        encoding: csv.encoding.clone(),
        csv: decided,
        notes,
    })
}

/// Reads the first row and counts its fields.
fn first_width(dialect: &Dialect, text: &str) -> Result<usize, Refusal> {
    let row = first_row(dialect, text)?;
    if row.len() > MAX_COLUMNS {
        return Err(Refusal::new(format!(
            "it has more than {MAX_COLUMNS} columns"
        )));
    }
    Ok(row.len())
}

/// Returns the fields of the first row.
fn first_row(dialect: &Dialect, text: &str) -> Result<Vec<String>, Refusal> {
    let mut size = 0;
    // As many lines as the first row has.
    loop {
        let rest = text.as_bytes().get(size..).unwrap_or_default();
        let end = memchr::memchr(dialect.line_end(), rest);
        let all = end.is_none();
        size += end.map_or(rest.len(), |end| end + 1);
        let part = text.get(..size).unwrap_or(text);
        match dialect.rows(part, None) {
            Ok(rows) if rows.len() > 0 => {
                let width = rows.widths.first().copied().unwrap_or(0);
                let fields =
                    (0..width).filter_map(|column| rows.column(part, width, column).next());
                return Ok(fields.map(|(field, _)| field.to_owned()).collect());
            }
            Ok(_) if all => return Err(Refusal::new("there is no row in it")),
            Err(fault) if all => {
                let before = part.as_bytes().get(..fault.at).unwrap_or_default();
                let refusal = Refusal::new(fault.because)
                    .at(1 + crate::block::lines(before, dialect.line_end()), None);
                return Err(match fault.hint {
                    Some(hint) => refusal.hint(hint),
                    None => refusal,
                });
            }
            _ => {}
        }
    }
}

fn delimiter(dialect: Dialect, text: &str, whole: bool) -> Result<u8, Refusal> {
    let (mut even, mut some) = (Vec::new(), Vec::new());
    for (delimiter, name) in DELIMITERS {
        let dialect = Dialect {
            delimiter: *delimiter,
            ..dialect
        };
        let first = first_row(&dialect, text).map_or(1, |row| row.len());
        let widths = rows_of(&dialect, text, whole).map(|rows| rows.widths);
        if first > 1 {
            some.push((*delimiter, *name));
            if widths.is_some_and(|widths| widths.iter().all(|width| *width == first)) {
                even.push((*delimiter, *name));
            }
        }
    }
    let ambiguous = |found: &[(u8, &str)]| {
        let names: Vec<_> = found.iter().map(|(_, name)| *name).collect();
        Refusal::new(format!(
            "its fields could be divided by {}",
            names.join(" or by ")
        ))
        .hint("declare it: `csv: {delimiter: \",\"}`")
    };
    match (even.as_slice(), some.as_slice()) {
        ([(delimiter, _)], _) | ([], [(delimiter, _)]) => Ok(*delimiter),
        ([], []) => Ok(b','),
        ([], found) | (found, _) => Err(ambiguous(found)),
    }
}

/// Finds out that the first row holds names.
fn has_header(
    dialect: &Dialect,
    style: &Style,
    csv: &Csv,
    text: &str,
    whole: bool,
) -> Result<(), Refusal> {
    let ambiguous = |because: String| {
        Refusal::new(because)
            .hint("declare `csv: {header: true}`, `csv: {header: false}` or `csv: {names: […]}`")
    };
    let mut scratch = String::new();
    let first = first_row(dialect, text)?;
    for (number, field) in first.iter().enumerate() {
        let mut guess = Guess::new(style);
        guess.see(field, style, &mut scratch);
        if field.is_empty() {
            return Err(no_name(&first, number));
        }
        if guess.settle(csv).data_type != ColumnType::Text || style.is_null(field, false) {
            return Err(ambiguous(format!(
                "the first row could be names or data: its field {} is no plain word",
                number + 1
            )));
        }
    }
    if whole && rows_of(dialect, text, whole).is_some_and(|rows| rows.len() < 2) {
        return Err(ambiguous(
            "there is one row only, which could be names or data".to_owned(),
        ));
    }
    Ok(())
}

fn no_name(first: &[String], number: usize) -> Refusal {
    let names: Vec<_> = first
        .iter()
        .enumerate()
        .map(|(number, name)| {
            if name.is_empty() {
                format!("column_{}", number + 1)
            } else {
                quoted(name).into_owned()
            }
        })
        .collect();
    Refusal::new(format!("column {} has no name in the first row", number + 1))
        .hint(format!(
            "if these are names, declare `csv: {{header: true, names: [{}]}}`; if they are data, `csv: {{header: false}}`",
            names.join(", ")
        ))
}

fn names(
    dialect: &Dialect,
    csv: &Csv,
    header: bool,
    width: usize,
    text: &str,
) -> Result<Vec<String>, Refusal> {
    let names = if !csv.names.is_empty() {
        csv.names.clone()
    } else if header {
        first_row(dialect, text)?
    } else {
        (1..=width)
            .map(|number| format!("column_{number}"))
            .collect()
    };
    if names.len() != width {
        return Err(Refusal::new(format!(
            "{} names are declared, and the first row has {width} fields",
            names.len()
        )));
    }
    if let Some(number) = names.iter().position(String::is_empty) {
        return Err(no_name(&names, number));
    }
    unique(names.iter())?;
    Ok(names)
}

/// Refuses columns that stand twice.
pub(crate) fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), Refusal> {
    let mut seen = std::collections::HashSet::new();
    let mut names = names;
    match names.find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(name) => Err(Refusal::new(format!("the column `{name}` stands twice"))
            .hint("name the columns otherwise: in text, `csv: {header: true, names: […]}`")),
    }
}
