//! Why a file is not read.

use std::fmt;
use std::io;

/// Why a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TabularError {
    /// The file is not what it should be, or is not understood without being told more.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The file could not be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// The table could not be written.
    #[error("the table cannot be written")]
    Write(#[source] io::Error),
}

/// What is refused, where, and the way out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Where in the file.
    pub place: Option<Place>,
    /// Why; without any data.
    pub because: String,
    /// The way out.
    pub hint: Option<String>,
    /// The value that it is about. This is data: show it only to who may read the data.
    pub data: Option<String>,
}

/// A place in a file of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1, as an editor counts them.
    pub line: u64,
    /// The name of the column of the table, where it is known.
    pub column: Option<String>,
    /// The character of the line, from 1, where it is about characters.
    pub character: Option<u64>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(out, "{place}: ")?;
        }
        out.write_str(&self.because)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(out, ", column `{column}`")?;
        }
        if let Some(character) = self.character {
            write!(out, ", character {character}")?;
        }
        Ok(())
    }
}

impl Refusal {
    pub(crate) fn new(because: impl Into<String>) -> Self {
        Self {
            because: because.into(),
            ..Self::default()
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn at(mut self, line: u64, column: Option<&str>) -> Self {
        self.place = Some(Place {
            line,
            column: column.map(ToOwned::to_owned),
            character: None,
        });
        self
    }
}

impl From<Refusal> for TabularError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}
