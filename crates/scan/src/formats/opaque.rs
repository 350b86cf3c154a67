//! Bytes that no format recognises: data for some program, which no loader of models executes.

use crate::cursor::Stop;
use crate::scan::{Found, Scan, Understood};
use crate::source::Source;

/// Endings that promise a format with a magic number or a structure: what stands there and has neither
/// is damaged or in disguise.
pub(super) const PROMISING: [&str; 27] = [
    "pkl",
    "pickle",
    "p",
    "joblib",
    "pt",
    "pth",
    "ckpt",
    "npy",
    "npz",
    "h5",
    "hdf5",
    "keras",
    "pb",
    "onnx",
    "gguf",
    "safetensors",
    "skops",
    "zip",
    "nemo",
    "tar",
    "gz",
    "7z",
    "mar",
    "dill",
    "rds",
    "rdata",
    "tflite",
];

/// Accounts for all bytes as data, with a note.
#[expect(clippy::unnecessary_wraps, reason = "the form of every parser")]
pub(crate) fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let ending = scan
        .name()
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    let promised = ending.filter(|ending| PROMISING.contains(&ending.as_str()));
    match promised {
        Some(ending) => scan.found(
            Found::unscannable(
                "opaque/not-as-named",
                format!(
                    "the name ends in `.{ending}` and the content is of no format that is known"
                ),
            )
            .see(&["AML.T0074", "AML.T0076"]),
        ),
        None if source.is_empty() => {}
        None => scan.found(
            Found::note(
                "opaque/data",
                "bytes of no known format: no loader of models executes them",
            )
            .why("they are data for a program that reads raw numbers, or nothing"),
        ),
    }
    Ok(Understood {
        format: "opaque bytes",
        bytes: source.len(),
    })
}
