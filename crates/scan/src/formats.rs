//! The formats, in the order in which they are asked: first those with a magic number, then those told
//! by their structure, text last.

pub(crate) mod compressed;
mod numpy;
mod opaque;
pub(crate) mod tar;
pub(crate) mod torch;
mod torchscript;
pub(crate) mod zip;

use crate::sniff::Format;

/// Every format that is recognised.
pub(crate) const ALL: &[Format] = &[
    // By magic number.
    zip::FORMAT,
    numpy::FORMAT,
    torch::LEGACY,
    compressed::GZIP,
    compressed::BZIP2,
    compressed::XZ,
    compressed::ZSTD,
    compressed::LZ4,
    compressed::SEALED,
    tar::FORMAT,
    // By structure.
    crate::pickle::FORMAT,
    compressed::LZMA,
    compressed::ZLIB,
    // Text.
];

/// What no format recognises.
pub(crate) const OPAQUE: Format = Format {
    name: "opaque bytes",
    recognises: |_| true,
    parse: opaque::parse,
};
