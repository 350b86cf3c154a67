//! The formats, in the order in which they are asked: first those with a magic number, then those told
//! by their structure, text last.

pub(crate) mod compressed;
mod gguf;
mod hdf5;
mod jinja;
mod json;
mod json_stream;
mod media;
mod names;
mod native;
mod numpy;
mod onnx;
mod opaque;
mod protobuf;
mod safetensors;
mod saved_model;
pub(crate) mod tar;
mod tensorflow_files;
mod text;
pub(crate) mod torch;
mod torchscript;
mod utf8;
mod xgboost;
mod xml;
mod yaml;
pub(crate) mod zip;

use crate::pickle;
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
    gguf::FORMAT,
    hdf5::FORMAT,
    native::FORMAT,
    media::FORMAT,
    xgboost::FORMAT,
    // By structure.
    safetensors::FORMAT,
    saved_model::FORMAT,
    onnx::FORMAT,
    tensorflow_files::FINGERPRINT,
    tensorflow_files::INDEX,
    pickle::FORMAT,
    compressed::LZMA,
    compressed::ZLIB,
    // Text.
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
