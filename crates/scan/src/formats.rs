//! The formats, in the order in which they are asked: first those with a magic number, then those told
//! by their structure, text last.

mod gguf;
mod jinja;
mod json_stream;
mod onnx;
mod opaque;
mod protobuf;
mod safetensors;
mod saved_model;
mod tensorflow_files;
mod xgboost;

use crate::sniff::Format;

/// Every format that is recognised.
pub(crate) const ALL: &[Format] = &[
    // By magic number.
    gguf::FORMAT,
    xgboost::FORMAT,
    // By structure.
    safetensors::FORMAT,
    saved_model::FORMAT,
    onnx::FORMAT,
    tensorflow_files::FINGERPRINT,
    tensorflow_files::INDEX,
    crate::pickle::FORMAT,
    // Text.
];

/// What no format recognises.
pub(crate) const OPAQUE: Format = Format {
    name: "opaque bytes",
    recognises: |_| true,
    parse: opaque::parse,
};
