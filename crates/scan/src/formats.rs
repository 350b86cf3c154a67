//! The formats, in the order in which they are asked: first those with a magic number, then those told
//! by their structure, text last.

mod hdf5;
mod json;
mod media;
mod names;
mod native;
mod opaque;
mod templates;
mod text;
mod utf8;
mod xml;
mod yaml;

use crate::pickle;
use crate::sniff::Format;

/// Every format that is recognised.
pub(crate) const ALL: &[Format] = &[
    pickle::FORMAT,
    hdf5::FORMAT,
    native::FORMAT,
    media::FORMAT,
    xml::FORMAT,
    json::FORMAT,
    yaml::FORMAT,
    text::FORMAT,
];

/// What no format recognises.
pub(crate) const OPAQUE: Format = Format {
    name: "opaque bytes",
    recognises: |_| true,
    parse: opaque::parse,
};
