//! The formats, in the order in which they are asked: first those with a magic number, then those told
//! by their structure, text last.

mod arrow;
mod booster;
mod checkpoint_index;
pub(crate) mod compressed;
mod gguf;
mod hdf5;
pub(crate) mod jinja;
mod json;
mod json_stream;
mod lightgbm;
mod lookalikes;
mod media;
mod names;
mod native;
mod numpy;
mod onnx;
mod onnx_schema;
mod onnx_tensor;
mod opaque;
mod path;
mod protobuf;
mod safetensors;
pub(crate) mod saved_model;
mod saved_model_paths;
mod saved_model_schema;
pub(crate) mod tar;
pub(crate) mod text;
pub(crate) mod torch;
mod torchscript;
mod ubjson;
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
    xgboost::LEGACY,
    arrow::FORMAT,
    // By structure.
    safetensors::FORMAT,
    onnx::FORMAT,
    lookalikes::CORE_ML,
    lookalikes::CNTK,
    lookalikes::MEDIA_PIPE,
    saved_model::FORMAT,
    saved_model::META_GRAPH,
    saved_model::GRAPH,
    saved_model::KERAS,
    checkpoint_index::FORMAT,
    pickle::FORMAT,
    compressed::LZMA,
    compressed::ZLIB,
    onnx::PART,
    arrow::LEGACY,
    // Numbers alone: last, so that it is nothing else.
    saved_model::FINGERPRINT,
    // Text.
    lightgbm::FORMAT,
    saved_model::TEXT,
    xml::FORMAT,
    json::FORMAT,
    yaml::FORMAT,
    text::FORMAT,
];

/// Those that are texts.
pub(crate) const TEXTS: &[Format] = &[
    lightgbm::FORMAT,
    saved_model::TEXT,
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
