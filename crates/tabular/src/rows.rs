//! Text with delimiters as rows of fields.

use memchr::{memchr, memchr2, memrchr};

use crate::block::Cut;
use crate::options::BlankLines;

/// How fields and rows are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    pub(crate) quote: Option<u8>,
    pub(crate) escape: Option<u8>,
    pub(crate) comment: Option<u8>,
    /// Whether rows end with a carriage return alone.
    pub(crate) old_mac: bool,
    pub(crate) trim: bool,
    pub(crate) blank_lines: Option<BlankLines>,
}

/// A field: where its text stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    start: u32,
    end: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Quoted,
    /// Quoted, with its text beside the block since it is written differently there.
    Beside,
}

/// The rows of a block.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    fields: Vec<Field>,
    /// Where each row begins.
    starts: Vec<u32>,
    /// How many fields each row has, where that was not given.
    pub(crate) widths: Vec<usize>,
    beside: String,
    /// Where the first blank line stands that no row follows.
    pub(crate) blank_at_end: Option<usize>,
    /// Where a blank line stands that a row follows, if blank lines are not declared.
    pub(crate) first_blank: Option<usize>,
}

/// What is wrong with the rows, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) because: String,
    pub(crate) hint: Option<&'static str>,
}

impl Dialect {
    fn end(&self) -> u8 {
        if self.old_mac { b'\r' } else { b'\n' }
    }

    /// Follows every byte, where quotes cannot simply be looked for.
    fn cut_slowly(&self, text: &[u8]) -> Option<usize> {
        let mut last = None;
        let mut rows = Rows::default();
        let mut at = 0;
        while at < text.len() {
            rows.fields.clear();
            rows.beside.clear();
            match self.row(text, at, &mut rows, true) {
                Ok(Next::Row(next) | Next::Nothing(next)) => {
                    at = next;
                    last = Some(next);
                }
                Ok(Next::Cut) => break,
                // The rows are read again, and told then.
                Err(fault) => {
                    let rest = text.get(fault.at..)?;
                    match memchr(self.end(), rest) {
                        Some(found) => {
                            at = fault.at + found + 1;
                            last = Some(at);
                        }
                        None => break,
                    }
                }
            }
        }
        last
    }
}

impl Cut for Dialect {
    fn cut(&self, text: &[u8]) -> Option<usize> {
        let end = self.end();
        let Some(quote) = self.quote else {
            return memrchr(end, text).map(|found| found + 1);
        };
        if self.comment.is_some() || self.trim {
            return self.cut_slowly(text);
        }
        let (mut last, mut outside, mut at) = (None, 0, 0);
        loop {
            let Some(found) = memchr(quote, text.get(at..)?) else {
                let tail = memrchr(end, text.get(outside..)?);
                return tail.map(|found| outside + found + 1).or(last);
            };
            let here = at + found;
            // A quote means something at the beginning of a field only.
            let opens = here == 0
                || text
                    .get(here - 1)
                    .is_some_and(|before| *before == self.delimiter || *before == end);
            if !opens {
                at = here + 1;
                continue;
            }
            if let Some(found) = memrchr(end, text.get(outside..here)?) {
                last = Some(outside + found + 1);
            }
            let mut inside = here + 1;
            loop {
                let rest = text.get(inside..)?;
                let found = match self.escape {
                    Some(escape) => memchr2(quote, escape, rest),
                    None => memchr(quote, rest),
                };
                let Some(found) = found else { return last };
                let here = inside + found;
                if text.get(here).copied() == self.escape && self.escape != self.quote {
                    inside = here + 2;
                    if inside > text.len() {
                        return last;
                    }
                    continue;
                }
                match text.get(here + 1) {
                    // Whether the next byte is a second quote is not known.
                    None => return last,
                    Some(next) if *next == quote => inside = here + 2,
                    Some(_) => {
                        at = here + 1;
                        outside = at;
                        break;
                    }
                }
            }
        }
    }

    fn line_end(&self) -> u8 {
        self.end()
    }
}

/// What stood in a line.
enum Next {
    /// A row; the next line begins there.
    Row(usize),
    /// A comment.
    Nothing(usize),
    /// The text ended inside the row, and more of it may follow.
    Cut,
}

/// How a field ended.
enum End {
    Delimiter(usize),
    Row(usize),
}

impl Dialect {
    /// Reads the rows of a block. With `width` every row must have as many fields.
    pub(crate) fn rows(&self, text: &str, width: Option<usize>) -> Result<Rows, Fault> {
        let bytes = text.as_bytes();
        let mut rows = Rows {
            fields: Vec::with_capacity(bytes.len() / 8),
            ..Rows::default()
        };
        let mut at = 0;
        while at < bytes.len() {
            if let Some(next) = self.blank(bytes, at) {
                if self.blank_lines == Some(BlankLines::Row) {
                    rows.starts.push(short(at)?);
                    rows.fields.push(Field {
                        start: short(at)?,
                        end: short(at)?,
                        kind: Kind::Plain,
                    });
                } else if self.blank_lines.is_none() {
                    rows.blank_at_end.get_or_insert(at);
                }
                at = next;
                continue;
            }
            let before = rows.fields.len();
            match self.row(bytes, at, &mut rows, false)? {
                Next::Row(next) => {
                    if let Some(blank) = rows.blank_at_end.take() {
                        rows.first_blank.get_or_insert(blank);
                    }
                    let count = rows.fields.len() - before;
                    if width.is_none() {
                        rows.widths.push(count);
                    }
                    if let Some(width) = width
                        && count != width
                    {
                        return Err(Fault {
                            at,
                            because: format!(
                                "the row has {count} {} where there are {width} columns",
                                plural(count)
                            ),
                            hint: Some(
                                "a delimiter inside a field needs quotes around the field; if it is not this delimiter or quote, declare `csv: {delimiter: …, quote: …}`",
                            ),
                        });
                    }
                    rows.starts.push(short(at)?);
                    at = next;
                }
                Next::Nothing(next) => at = next,
                Next::Cut => break,
            }
        }
        Ok(rows)
    }

    /// Returns where the next line begins, if there is nothing in this one.
    fn blank(&self, text: &[u8], at: usize) -> Option<usize> {
        match (text.get(at)?, text.get(at + 1)) {
            (b'\r', Some(b'\n')) if !self.old_mac => Some(at + 2),
            (b'\n', _) | (b'\r', None) if !self.old_mac => Some(at + 1),
            (b'\r', _) if self.old_mac => Some(at + 1),
            _ => None,
        }
    }

    fn row(
        &self,
        text: &[u8],
        start: usize,
        rows: &mut Rows,
        partial: bool,
    ) -> Result<Next, Fault> {
        if self.comment.is_some() && text.get(start).copied() == self.comment {
            let rest = text.get(start..).unwrap_or_default();
            return Ok(match memchr(self.end(), rest) {
                Some(found) => Next::Nothing(start + found + 1),
                None if partial => Next::Cut,
                None => Next::Nothing(text.len()),
            });
        }
        let mut at = start;
        loop {
            let mut first = at;
            if self.trim {
                first = self.blanks(text, first);
            }
            let end = if self.quote.is_some() && text.get(first).copied() == self.quote {
                self.quoted(text, first, rows, partial)?
            } else {
                self.plain(text, at, rows, partial)?
            };
            match end {
                Some(End::Delimiter(next)) => at = next,
                Some(End::Row(next)) => return Ok(Next::Row(next)),
                None => return Ok(Next::Cut),
            }
        }
    }

    fn blanks(&self, text: &[u8], at: usize) -> usize {
        let rest = text.get(at..).unwrap_or_default();
        let blank = |byte: &&u8| matches!(**byte, b' ' | b'\t') && **byte != self.delimiter;
        at + rest.iter().take_while(blank).count()
    }

    fn plain(
        &self,
        text: &[u8],
        start: usize,
        rows: &mut Rows,
        partial: bool,
    ) -> Result<Option<End>, Fault> {
        let delimiter = self.delimiter;
        let rest = text.get(start..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| *byte == delimiter || *byte == b'\n' || *byte == b'\r');
        let stop = start + length.unwrap_or(rest.len());
        let end = match length {
            None if partial => return Ok(None),
            None => End::Row(stop),
            Some(_) => match self.ending(text, stop, partial)? {
                Some(end) => end,
                None => return Ok(None),
            },
        };
        let (mut from, mut to) = (start, stop);
        if self.trim {
            from = self.blanks(text, from).min(to);
            let inside = text.get(from..to).unwrap_or_default();
            let kept = inside
                .iter()
                .rposition(|byte| !matches!(byte, b' ' | b'\t'));
            to = from + kept.map_or(0, |last| last + 1);
        }
        rows.fields.push(Field {
            start: short(from)?,
            end: short(to)?,
            kind: Kind::Plain,
        });
        Ok(Some(end))
    }

    /// Tells how a field ends at a delimiter or at the end of a line.
    fn ending(&self, text: &[u8], at: usize, partial: bool) -> Result<Option<End>, Fault> {
        Ok(Some(match text.get(at) {
            None if partial => return Ok(None),
            None => End::Row(at),
            Some(byte) if *byte == self.delimiter => End::Delimiter(at + 1),
            Some(b'\n') if !self.old_mac => End::Row(at + 1),
            Some(b'\r') if self.old_mac => End::Row(at + 1),
            Some(b'\r') => match text.get(at + 1) {
                Some(b'\n') => End::Row(at + 2),
                None if partial => return Ok(None),
                None => End::Row(at + 1),
                Some(_) => {
                    return Err(Fault {
                        at,
                        because: "a carriage return without a line feed, in a file whose lines end with line feeds".to_owned(),
                        hint: Some("put quotes around the field, or mend the ends of lines"),
                    });
                }
            },
            Some(b'\n') => {
                return Err(Fault {
                    at,
                    because: "a line feed in a file whose lines end with carriage returns"
                        .to_owned(),
                    hint: Some("put quotes around the field, or mend the ends of lines"),
                });
            }
            Some(_) => {
                return Err(Fault {
                    at,
                    because: "something stands between the closing quote and the end of the field"
                        .to_owned(),
                    hint: Some(
                        "a quote inside a quoted field is doubled; declare `csv: {escape: \"\\\\\"}` if it is escaped, or `csv: {quote: \"\"}` if quotes are plain text",
                    ),
                });
            }
        }))
    }

    fn quoted(
        &self,
        text: &[u8],
        start: usize,
        rows: &mut Rows,
        partial: bool,
    ) -> Result<Option<End>, Fault> {
        let Some(quote) = self.quote else {
            return Ok(None);
        };
        let (begin, mut at, mut copied) = (start + 1, start + 1, start + 1);
        let beside = rows.beside.len();
        let mut differs = false;
        let stop = loop {
            let rest = text.get(at..).unwrap_or_default();
            let found = match self.escape {
                Some(escape) => memchr2(quote, escape, rest),
                None => memchr(quote, rest),
            };
            let Some(found) = found else {
                if partial {
                    return Ok(None);
                }
                return Err(Fault {
                    at: start,
                    because: "a quote is opened here and never closed".to_owned(),
                    hint: Some("declare `csv: {quote: \"\"}` if quotes are plain text"),
                });
            };
            let here = at + found;
            let is_quote = text.get(here) == Some(&quote);
            if is_quote && text.get(here + 1) != Some(&quote) {
                if partial && here + 1 >= text.len() {
                    return Ok(None);
                }
                break here;
            }
            if here + 1 >= text.len() {
                if partial {
                    return Ok(None);
                }
                return Err(Fault {
                    at: here,
                    because: "the text ends behind an escape".to_owned(),
                    hint: None,
                });
            }
            // A doubled quote leaves one, an escape the character behind it.
            push(&mut rows.beside, text, copied, here)?;
            copied = here + 1;
            at = here + 2;
            differs = true;
        };
        let field = if differs {
            push(&mut rows.beside, text, copied, stop)?;
            Field {
                start: short(beside)?,
                end: short(rows.beside.len())?,
                kind: Kind::Beside,
            }
        } else {
            Field {
                start: short(begin)?,
                end: short(stop)?,
                kind: Kind::Quoted,
            }
        };
        rows.fields.push(field);
        let after = if self.trim {
            self.blanks(text, stop + 1)
        } else {
            stop + 1
        };
        self.ending(text, after, partial)
    }
}

fn push(out: &mut String, text: &[u8], from: usize, to: usize) -> Result<(), Fault> {
    let part = text.get(from..to).unwrap_or_default();
    // A piece between two ASCII bytes of checked text; while text is only cut it is not looked at.
    match std::str::from_utf8(part) {
        Ok(part) => {
            out.push_str(part);
            Ok(())
        }
        Err(_) => Err(Fault {
            at: from,
            because: "an escape inside a character".to_owned(),
            hint: None,
        }),
    }
}

fn short(at: usize) -> Result<u32, Fault> {
    u32::try_from(at).map_err(|_| Fault {
        at: 0,
        because: "the row is too long".to_owned(),
        hint: None,
    })
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "field" } else { "fields" }
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Returns where a row begins.
    pub(crate) fn start(&self, row: usize) -> usize {
        self.starts.get(row).map_or(0, |start| *start as usize)
    }

    /// Returns a column of rows that all have `width` fields: the text of each field and whether it is quoted.
    pub(crate) fn column<'a>(
        &'a self,
        text: &'a str,
        width: usize,
        column: usize,
    ) -> impl Iterator<Item = (&'a str, bool)> + 'a {
        let fields = self.fields.get(column..).unwrap_or_default();
        fields.iter().step_by(width.max(1)).map(move |field| {
            let range = field.start as usize..field.end as usize;
            match field.kind {
                Kind::Plain => (text.get(range).unwrap_or_default(), false),
                Kind::Quoted => (text.get(range).unwrap_or_default(), true),
                Kind::Beside => (self.beside.get(range).unwrap_or_default(), true),
            }
        })
    }

    /// Leaves the first row out.
    pub(crate) fn without_first(&mut self, width: usize) {
        if !self.starts.is_empty() {
            self.starts.remove(0);
            self.fields.drain(..width.min(self.fields.len()));
        }
    }
}
