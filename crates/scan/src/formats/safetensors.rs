//! Safetensors: a JSON header, then raw tensors that leave no byte over. The header is read as a stream
//! and strictly: what readers disagree upon is refused.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::cursor::{Cursor, Stop};
use crate::formats::json_stream::{Token, Tokens};
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::Source;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "safetensors",
    recognises,
    parse,
};

/// How long a header may be, in bytes: the limit of the format's own readers.
const MAX_HEADER: u64 = 100_000_000;
/// How many tensors a file may have.
const MAX_TENSORS: usize = 1 << 20;
/// How many dimensions a tensor may have.
const MAX_DIMENSIONS: usize = 64;

/// The element types and their sizes in bits.
const DTYPES: [(&str, u64); 22] = [
    ("BOOL", 8),
    ("U8", 8),
    ("I8", 8),
    ("F8_E5M2", 8),
    ("F8_E4M3", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("I16", 16),
    ("U16", 16),
    ("F16", 16),
    ("BF16", 16),
    ("I32", 32),
    ("U32", 32),
    ("F32", 32),
    ("C64", 64),
    ("F64", 64),
    ("I64", 64),
    ("U64", 64),
];

fn recognises(head: &Head<'_>) -> bool {
    let Some((length, rest)) = head.bytes.split_first_chunk::<8>() else {
        return false;
    };
    let length = u64::from_le_bytes(*length);
    let json = rest
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| *byte == b'{')
        || rest.starts_with(b"\xef\xbb\xbf{");
    // The upper half of a length is zero up to 4 GiB: a longer one is a lie worth telling.
    json && rest.len() >= 2 && length < 1 << 40
}

/// A tensor's range within the data, in bytes from its start.
struct Span {
    begin: u64,
    end: u64,
    /// Where the header names it, in bytes from the start of the part.
    at: u64,
}

struct Header<'s, 'r> {
    scan: &'s mut Scan<'r>,
    data: u64,
    spans: Vec<Span>,
    names: HashSet<u64>,
    hasher: RandomState,
}

/// Reads the header and the ranges of all tensors.
pub(crate) fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut cursor = Cursor::new(source);
    let length = cursor.u64("the length of the header")?;
    if length > cursor.left() || length > MAX_HEADER {
        scan.found(
            Found::malicious(
                "safetensors/header-length",
                format!("the header claims {length} bytes of {}", cursor.left()),
            )
            .at(0)
            .why("a reader that believes it reads or reserves memory beyond the file")
            .see(&["CWE-1284", "AML.T0076"]),
        );
        return Err(Stop::malformed("has a false header length", 0));
    }
    let start = cursor.at();
    if cursor.u8("the header")? != b'{' {
        return Err(Stop::malformed(
            "has a header that does not begin with `{`, on which readers differ",
            start,
        ));
    }
    let data = start.saturating_add(length);
    let mut header = Header {
        scan,
        data: source.len().saturating_sub(data),
        spans: Vec::new(),
        names: HashSet::new(),
        hasher: RandomState::new(),
    };
    header.read(&mut Tokens::new(Cursor::range(source, start, data)))?;
    let used = header.spans()?;
    let end = data.saturating_add(used);
    if end < source.len() {
        scan.found(
            Found::malicious(
                "safetensors/trailing",
                format!(
                    "{} bytes behind the last tensor",
                    source.len().saturating_sub(end)
                ),
            )
            .severity(custody_findings::Severity::High)
            .at(end)
            .why("no writer leaves bytes there; another loader may find its own format in them")
            .see(&["AML.T0074", "CWE-434"]),
        );
    }
    Ok(Understood {
        format: "safetensors",
        bytes: source.len(),
    })
}

impl Header<'_, '_> {
    fn read(&mut self, tokens: &mut Tokens<'_>) -> Result<(), Stop> {
        tokens.expect(&Token::Open, "the header")?;
        let mut first = true;
        while let Some(name) = tokens.key(&mut first)? {
            let at = tokens.at();
            self.name(&name, at);
            if name == "__metadata__" {
                metadata(tokens, self.scan)?;
            } else {
                self.tensor(&name, tokens, at)?;
            }
        }
        // Only spaces pad a header.
        let end = tokens.end_padding()?;
        if let Some(at) = end {
            self.scan.found(
                Found::malicious("safetensors/padding", "the header goes on behind its JSON")
                    .severity(custody_findings::Severity::High)
                    .at(at)
                    .why("readers pad with spaces alone; other bytes there hide something")
                    .see(&["AML.T0074"]),
            );
        }
        Ok(())
    }

    fn name(&mut self, name: &str, at: u64) {
        if !self.names.insert(self.hasher.hash_one(name)) {
            self.scan.found(
                Found::malicious(
                    "safetensors/duplicate",
                    format!("`{}` stands twice in the header", shown(name)),
                )
                .severity(custody_findings::Severity::High)
                .at(at)
                .why("one reader takes the first, another the second: what was checked is not what is used")
                .see(&["CWE-436", "AML.T0074"]),
            );
        }
    }

    fn tensor(&mut self, name: &str, tokens: &mut Tokens<'_>, at: u64) -> Result<(), Stop> {
        let (mut bits, mut elements, mut offsets) = (None, None, None);
        tokens.expect(&Token::Open, "a tensor")?;
        let mut first = true;
        while let Some(key) = tokens.key(&mut first)? {
            let twice = match key.as_str() {
                "dtype" => bits.replace(dtype(tokens)?).is_some(),
                "shape" => {
                    let shape = tokens.numbers(MAX_DIMENSIONS)?;
                    let product = shape
                        .iter()
                        .try_fold(1u64, |product, size| product.checked_mul(*size));
                    elements.replace(product).is_some()
                }
                "data_offsets" => offsets.replace(tokens.numbers(2)?).is_some(),
                _ => {
                    return Err(Stop::malformed(
                        format!("a tensor has the key `{}`", shown(&key)),
                        tokens.at(),
                    ));
                }
            };
            if twice {
                self.name(&key, at);
                self.names.insert(self.hasher.hash_one(&key));
                return Err(Stop::malformed("a tensor has a key twice", tokens.at()));
            }
        }
        let (Some(bits), Some(elements), Some(offsets)) = (bits, elements, offsets) else {
            return Err(Stop::malformed("a tensor lacks a key", at));
        };
        let [begin, end] = offsets.as_slice() else {
            return Err(Stop::malformed("a tensor has not two offsets", at));
        };
        self.span(name, bits, elements, (*begin, *end), at)
    }

    fn span(
        &mut self,
        name: &str,
        bits: u64,
        elements: Option<u64>,
        (begin, end): (u64, u64),
        at: u64,
    ) -> Result<(), Stop> {
        if self.spans.len() >= MAX_TENSORS {
            return Err(Stop::limit("the number of tensors", MAX_TENSORS, at));
        }
        let because = if begin > end || end > self.data {
            Some("lies beyond the file")
        } else {
            match elements.and_then(|elements| elements.checked_mul(bits)) {
                None => Some("has a shape whose size overflows"),
                Some(size) if size % 8 != 0 || size / 8 != end - begin => {
                    Some("has not the size of its shape")
                }
                Some(_) => None,
            }
        };
        if let Some(because) = because {
            self.scan.found(
                Found::malicious(
                    "safetensors/range",
                    format!("tensor `{}` {because}", shown(name)),
                )
                .severity(custody_findings::Severity::High)
                .at(at)
                .why("a reader that believes it reads memory that is not the tensor's")
                .see(&["CWE-125", "CWE-190", "AML.T0076"]),
            );
            return Err(Stop::malformed("has a tensor with a false range", at));
        }
        self.spans.push(Span { begin, end, at });
        Ok(())
    }

    /// Holds the ranges against each other and returns where the last ends.
    fn spans(&mut self) -> Result<u64, Stop> {
        self.spans
            .sort_unstable_by_key(|span| (span.begin, span.end));
        let mut end = 0u64;
        for span in &self.spans {
            if span.begin == end {
                end = span.end;
                continue;
            }
            let overlap = span.begin < end;
            let (rule, what, why) = if overlap {
                (
                    "safetensors/overlap",
                    "tensors lie over each other",
                    "the same bytes mean two things: what was checked is not what is used",
                )
            } else {
                (
                    "safetensors/gap",
                    "bytes between tensors belong to none",
                    "no writer leaves bytes there; they hide something",
                )
            };
            self.scan.found(
                Found::malicious(rule, what)
                    .severity(custody_findings::Severity::High)
                    .at(span.at)
                    .why(why)
                    .see(&["CWE-436", "AML.T0074"]),
            );
            return Err(Stop::malformed(what, span.at));
        }
        Ok(end)
    }
}

fn dtype(tokens: &mut Tokens<'_>) -> Result<u64, Stop> {
    let at = tokens.at();
    let name = tokens.text("a dtype")?;
    DTYPES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bits)| *bits)
        .ok_or_else(|| Stop::malformed(format!("the dtype `{}` is not known", shown(&name)), at))
}

/// Reads `__metadata__`: names and texts alone.
fn metadata(tokens: &mut Tokens<'_>, scan: &mut Scan<'_>) -> Result<(), Stop> {
    tokens.expect(&Token::Open, "the metadata")?;
    let (mut first, mut names) = (true, HashSet::new());
    let hasher = RandomState::new();
    while let Some(key) = tokens.key(&mut first)? {
        if !names.insert(hasher.hash_one(&key)) {
            scan.found(
                Found::malicious(
                    "safetensors/duplicate",
                    format!("`{}` stands twice in the metadata", shown(&key)),
                )
                .severity(custody_findings::Severity::High)
                .at(tokens.at())
                .why("one reader takes the first, another the second")
                .see(&["CWE-436"]),
            );
        }
        tokens.expect_text("a value of the metadata")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::scan;
    use custody_findings::{Rules, Verdict};

    static RULES: std::sync::LazyLock<Rules> =
        std::sync::LazyLock::new(|| Rules::built_in().unwrap());

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 7);
        bytes
    }

    fn verdict(bytes: &[u8]) -> Verdict {
        scan("m.safetensors", &bytes, &RULES).verdict
    }

    const GOOD: &str = r#"{"__metadata__":{"format":"pt","a":"\u00e9\n"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}, "b" : {"data_offsets":[16,19],"dtype":"U8","shape":[3]},"z":{"dtype":"F16","shape":[0,4],"data_offsets":[16,16]},"s":{"dtype":"I8","shape":[],"data_offsets":[19,20]}}   "#;

    #[test]
    fn tensors_that_fill_the_file_are_clean() {
        assert_eq!(verdict(&file(GOOD, 20)), Verdict::Clean);
        assert_eq!(verdict(&file("{}", 0)), Verdict::Clean);
    }

    #[test]
    fn every_offence_is_told() {
        use Verdict::{Malicious, Unscannable};
        let a = r#""a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}"#;
        let check = |header: &str, data, expected| {
            assert_eq!(verdict(&file(header, data)), expected, "{header}");
        };
        check(&format!("{{{a},{a}}}"), 2, Malicious);
        check(&format!("{{{a}}}"), 3, Malicious);
        check(&format!("{{{a}}}"), 1, Malicious);
        check(&format!("{{{a}}}\0"), 2, Malicious);
        check(&format!("{{{a}}}x"), 2, Malicious);
        let b = r#""b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}"#;
        check(&format!("{{{a},{b}}}"), 3, Malicious);
        check(
            &format!("{{{a},{}}}", b.replace("[1,3]", "[3,5]")),
            5,
            Malicious,
        );
        check(
            &format!("{{{a},{}}}", b.replace("[1,3]", "[0,2]")),
            2,
            Malicious,
        );
        check(&format!("{{{}}}", a.replace("[2]", "[3]")), 2, Malicious);
        let huge = "[9223372036854775808,2,4611686018427387904]";
        check(&format!("{{{}}}", a.replace("[2]", huge)), 2, Malicious);
        check(&format!("{{{}}}", a.replace("U8", "U9")), 2, Unscannable);
        check(
            &format!("{{{}}}", a.replace("[0,2]", "[-1,1]")),
            2,
            Unscannable,
        );
        check(
            &format!("{{{}}}", a.replace("[0,2]", "[0.0,2]")),
            2,
            Unscannable,
        );
        check(
            &format!("{{{}}}", a.replace("[0,2]", "[0,2,3]")),
            2,
            Unscannable,
        );
        check(
            &format!("{{{}}}", a.replace("shape", "form")),
            2,
            Unscannable,
        );
        check(r#"{"__metadata__":{"a":{}}}"#, 0, Unscannable);
        check(r#"{"__metadata__":{"a":"1","a":"2"}}"#, 0, Malicious);
        check(&format!("{{{a},}}"), 2, Unscannable);
        check(&"{".repeat(5000), 0, Unscannable);
        for before in [" ", "\n", "\u{feff}", "   "] {
            check(&format!("{before}{{{a}}}"), 2, Unscannable);
        }
        let mut long = file("{}", 0);
        long[4] = 1;
        assert_eq!(verdict(&long), Malicious);
    }

    proptest! {
        #[test]
        fn damage_ends_in_a_verdict(at in 0usize..300, byte: u8, cut in 0usize..400) {
            let mut bytes = file(GOOD, 20);
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut.max(9));
            verdict(&bytes);
        }
    }
}
