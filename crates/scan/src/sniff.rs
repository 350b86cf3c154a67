//! Which parser reads a part: decided by its content alone. A name never makes a part better; it can
//! make it worse, where it promises something that the content is not.

use crate::cursor::Stop;
use crate::formats;
use crate::pickle;
use crate::scan::{Scan, Understood};
use crate::source::Source;

/// How much of a part is looked at to tell its format, in bytes.
pub(crate) const HEAD: usize = 4096;

/// The beginning of a part.
pub(crate) struct Head<'a> {
    /// The first [`HEAD`] bytes, or all.
    pub(crate) bytes: &'a [u8],
    /// The whole part.
    pub(crate) source: &'a dyn Source,
}

impl Head<'_> {
    pub(crate) fn starts_with(&self, magic: &[u8]) -> bool {
        self.bytes.starts_with(magic)
    }
}

/// One format: how its parts are told from others, and what reads them.
pub(crate) struct Format {
    /// Its name in reports.
    pub(crate) name: &'static str,
    /// Whether a part that begins so is of this format.
    pub(crate) recognises: fn(&Head<'_>) -> bool,
    /// Reads it whole.
    pub(crate) parse: fn(&dyn Source, &mut Scan<'_>) -> Result<Understood, Stop>,
}

/// Parses a part by the first format that recognises it.
pub(crate) fn parse(
    source: &dyn Source,
    scan: &mut Scan<'_>,
) -> Result<Understood, (&'static str, Stop)> {
    let mut head = vec![0; HEAD];
    let count = source
        .read_at(0, &mut head)
        .map_err(|error| ("file", Stop::from(error)))?;
    head.truncate(count);
    let head = Head {
        bytes: &head,
        source,
    };
    let format = formats::ALL
        .iter()
        .find(|format| (format.recognises)(&head))
        .unwrap_or(&formats::OPAQUE);
    let understood = (format.parse)(source, scan).map_err(|stop| (format.name, stop));
    hidden(format, &head, scan);
    understood
}

/// Reports other formats that the same bytes are, which one counts is the loader's choice; and what a
/// template says.
fn hidden(format: &Format, head: &Head<'_>, scan: &mut Scan<'_>) {
    let is = |other: &Format| format.name == other.name;
    if !is(&formats::zip::FORMAT) {
        formats::zip::hidden(head.source, scan);
    }
    if !is(&formats::tar::FORMAT) {
        formats::tar::hidden(head, scan);
    }
    if !is(&formats::saved_model::TEXT) {
        formats::saved_model::text_form(head.source, scan);
    }
    formats::jinja::file(head.source, is(&formats::text::FORMAT), scan);
    if !is(&pickle::FORMAT) && !is(&formats::torch::LEGACY) {
        let is_text = formats::TEXTS.iter().any(is);
        pickle::hidden(head.source, is_text, scan);
    }
}
