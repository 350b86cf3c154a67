//! What is written to the terminal: the answer to standard output, all else to standard error.

use std::io::{self, BufWriter, IsTerminal, Write};

use custody_types::{Problem, code, is_no_room, visible, visible_json};
use custody_wire::{Document, Schema};
use serde::Serialize;

/// Where the answer goes, and in which form.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    bold: bool,
    quiet: bool,
}

impl Output {
    /// Writes JSON with `json`; uses bold type only on a terminal that wants it.
    pub(crate) fn new(json: bool, plain: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            json,
            bold: terminal && !plain,
            quiet: plain || !io::stderr().is_terminal(),
        }
    }

    /// Writes the answer: the document, or the text that `text` makes of it.
    pub(crate) fn answer<T: Serialize + Schema>(
        &self,
        reply: T,
        text: impl FnOnce(&T, &mut Text) -> io::Result<()>,
    ) -> Result<(), Problem> {
        let written = if self.json {
            // Piece by piece: a report on many files is never in memory twice.
            let mut out = Json(BufWriter::new(io::stdout().lock()));
            serde_json::to_writer_pretty(&mut out, &Document::new(reply))
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n"))
                .and_then(|()| out.flush())
        } else {
            let mut out = Text {
                lines: String::new(),
                bold: self.bold,
            };
            text(&reply, &mut out).and_then(|()| io::stdout().write_all(out.lines.as_bytes()))
        };
        ignore_closed_pipe(written.and_then(|()| io::stdout().flush()))
    }

    /// Writes a JSON text to standard output.
    pub(crate) fn json(text: &str) -> Result<(), Problem> {
        Self::plain(&visible_json(text))
    }

    /// Writes plain text of the program's own to standard output.
    pub(crate) fn plain(text: &str) -> Result<(), Problem> {
        ignore_closed_pipe(
            io::stdout()
                .write_all(text.as_bytes())
                .and_then(|()| io::stdout().flush()),
        )
    }

    /// Tells how the work goes, on standard error; nothing with `--json`.
    pub(crate) fn note(&self, line: &str) {
        if !self.json {
            let _closed = writeln!(io::stderr(), "{}", visible(line));
        }
    }

    /// Whether the answer is JSON.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether progress bars are out of place.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet || self.json
    }

    /// Writes a problem to standard error.
    pub(crate) fn problem(&self, problem: &Problem) {
        let line = if self.json {
            serde_json::to_string(
                &serde_json::json!({ "schema": "custody/problem/1", "problem": problem }),
            )
            .map_or_else(
                |_| problem.to_string(),
                |json| visible_json(&json).into_owned(),
            )
        } else {
            problem.to_string()
        };
        let _closed = writeln!(io::stderr(), "{line}");
    }
}

/// Passes JSON on with escapes in place of what would steer a terminal. What is written comes in whole letters.
struct Json<W>(W);

impl<W: Write> Write for Json<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_all(visible_json(text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Text for people, gathered line by line.
#[derive(Debug)]
pub(crate) struct Text {
    lines: String,
    bold: bool,
}

impl Text {
    /// Adds a line.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        self.lines.push_str(&visible(line.as_ref()));
        self.lines.push('\n');
    }

    /// Adds a heading.
    pub(crate) fn heading(&mut self, line: &str) {
        if self.bold {
            let line = visible(line);
            for part in ["\u{1b}[1m", line.as_str(), "\u{1b}[0m\n"] {
                self.lines.push_str(part);
            }
        } else {
            self.line(line);
        }
    }

    /// Adds rows with aligned columns; the first row is the head.
    pub(crate) fn table(&mut self, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                rows.iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        for (number, row) in rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(
                    ' ',
                    width.saturating_sub(cell.chars().count()) + 2,
                ));
            }
            if number == 0 {
                self.heading(line.trim_end());
            } else {
                self.line(line.trim_end());
            }
        }
    }
}

/// A reader that closed the pipe has seen enough; that is no error.
fn ignore_closed_pipe(written: io::Result<()>) -> Result<(), Problem> {
    match written {
        Err(error) if is_no_room(&error) => {
            Err(Problem::no_room("the answer; what was asked is done"))
        }
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Problem::new(code::CLI_011, "the answer cannot be written").because(error))
        }
        _ => Ok(()),
    }
}

/// The command that shows the next page of a list, word by word.
pub(crate) struct More(Vec<String>);

impl More {
    pub(crate) fn new(command: &str) -> Self {
        Self(vec!["custody".to_owned(), command.to_owned()])
    }

    pub(crate) fn word(mut self, word: Option<impl ToString>) -> Self {
        self.0.extend(word.map(|word| word.to_string()));
        self
    }

    pub(crate) fn option(mut self, name: &str, value: Option<impl ToString>) -> Self {
        let option = value.map(|value| [name.to_owned(), value.to_string()]);
        self.0.extend(option.into_iter().flatten());
        self
    }

    pub(crate) fn flag(mut self, name: &str, given: bool) -> Self {
        self.0.extend(given.then(|| name.to_owned()));
        self
    }

    pub(crate) fn line(self, cursor: &str) -> String {
        format!("more: {} --after {cursor}", self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_nothing_to_the_terminal() {
        let mut out = Json(Vec::new());
        let value = serde_json::json!({ "name": "a\u{9b}2J\u{1b}[m\u{7f}\u{202e}ä" });
        serde_json::to_writer_pretty(&mut out, &value).unwrap();
        let text = String::from_utf8(out.0).unwrap();
        assert!(
            !text.replace('\n', "").contains(custody_types::steers),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }

    #[test]
    fn columns_are_aligned_by_characters_and_lines_end_without_spaces() {
        let mut text = Text {
            lines: String::new(),
            bold: false,
        };
        text.table(&[
            vec!["name".into(), "n".into()],
            vec!["ä".into(), "10".into()],
        ]);
        assert_eq!(text.lines, "name  n\nä     10\n");
    }
}
