//! Bytes that no format recognises: data for some program, which no loader of models executes.

use crate::cursor::{Cursor, Stop};
use crate::scan::{Found, Scan, Understood};
use crate::sniff::HEAD;
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

/// How long a text in UTF-16 may be, in bytes.
const MAX_WIDE: usize = 4 << 20;

/// Accounts for all bytes as data, with a note.
pub(crate) fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let ending = scan
        .name()
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    if let Some(text) = wide(source, ending.as_deref())? {
        scan.member("text", &text.as_bytes());
    }
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

/// Returns text in UTF-16 as what it says, where it is called YAML or begins like it: some loaders read it so.
fn wide(source: &dyn Source, ending: Option<&str>) -> Result<Option<String>, Stop> {
    let mut head = vec![0; HEAD];
    let count = source.read_at(0, &mut head)?;
    head.truncate(count);
    let unit = match head.as_slice() {
        [0xff, 0xfe, ..] => u16::from_le_bytes as fn([u8; 2]) -> u16,
        [0xfe, 0xff, ..] => u16::from_be_bytes as fn([u8; 2]) -> u16,
        _ => return Ok(None),
    };
    let decoded = |bytes: &[u8]| {
        let pairs = bytes.as_chunks::<2>().0.iter().skip(1);
        let units: Vec<u16> = pairs.map(|pair| unit(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    if !matches!(ending, Some("yaml" | "yml")) && !decoded(&head).contains("!!") {
        return Ok(None);
    }
    let bytes = Cursor::new(source).bytes(source.len(), MAX_WIDE, "a text in UTF-16")?;
    Ok(Some(decoded(&bytes)))
}

#[cfg(test)]
mod tests {
    use crate::scan;
    use custody_findings::{Rules, Verdict};

    #[test]
    fn yaml_in_other_encodings_hides_nothing() {
        let rules = Rules::built_in().unwrap();
        let text = "a: !!python/object/apply:os.system [id]\n";
        for big in [false, true] {
            let mut bytes = if big {
                vec![0xfe, 0xff]
            } else {
                vec![0xff, 0xfe]
            };
            bytes.extend(text.encode_utf16().flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            }));
            for name in ["a.yaml", "config"] {
                assert_eq!(scan(name, &bytes, &rules).verdict, Verdict::Malicious);
            }
        }
        let plain = "a: 1\nb: [x, y]\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes);
        let bytes: Vec<u8> = [0xff, 0xfe].into_iter().chain(plain).collect();
        assert_eq!(scan("a.yaml", &bytes, &rules).verdict, Verdict::Clean);
        let table = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes);
        let bytes: Vec<u8> = [0xff, 0xfe].into_iter().chain(table).collect();
        assert_eq!(scan("t.csv", &bytes, &rules).verdict, Verdict::Clean);
    }
}
