//! GGUF: pairs of keys and values, tensor infos, then raw tensors. Counts and lengths are held against
//! the bytes that are left before anything is read; chat templates are judged as the programs they are.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::cursor::{Cursor, Stop};
use crate::formats::jinja;
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::Source;
use custody_findings::Severity;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "GGUF",
    recognises: |head: &Head<'_>| head.starts_with(b"GGUF"),
    parse,
};

/// How many tensors a file may have.
const MAX_TENSORS: u64 = 1 << 20;
/// How many pairs a file may have.
const MAX_PAIRS: u64 = 1 << 20;
/// How deep arrays may lie in arrays.
const MAX_ARRAYS: usize = 8;
/// How long a key or a tensor's name may be, in bytes.
const MAX_NAME: usize = 65_535;
/// How many dimensions a tensor may have.
const MAX_DIMENSIONS: u32 = 4;
/// The alignment without `general.alignment`, in bytes.
const ALIGNMENT: u64 = 32;
/// How small an alignment may be, in bytes: it is a multiple of that.
const MIN_ALIGNMENT: u64 = 8;
/// How large an alignment may be, in bytes.
const MAX_ALIGNMENT: u64 = 1 << 20;

const REFERENCES: [&str; 3] = ["CVE-2024-23605", "CWE-190", "AML.T0076"];

/// Elements in a block and bytes of a block, by the number of the type; zero where there is none.
const TYPES: [(u64, u64); 43] = [
    (1, 4),
    (1, 2),
    (32, 18),
    (32, 20),
    (0, 0),
    (0, 0),
    (32, 22),
    (32, 24),
    (32, 34),
    (32, 36),
    (256, 84),
    (256, 110),
    (256, 144),
    (256, 176),
    (256, 210),
    (256, 292),
    (256, 66),
    (256, 74),
    (256, 98),
    (256, 50),
    (32, 18),
    (256, 110),
    (256, 82),
    (256, 136),
    (1, 1),
    (1, 2),
    (1, 4),
    (1, 8),
    (1, 8),
    (256, 56),
    (1, 2),
    (32, 18),
    (32, 18),
    (32, 18),
    (256, 54),
    (256, 66),
    (32, 18),
    (32, 18),
    (32, 18),
    (32, 17),
    (64, 36),
    (128, 18),
    (64, 18),
];

/// A type of tensors that is met while computing, not in models.
const Q8_1: u32 = 9;

/// The types of values: 0 to 6 numbers of 8 to 32 bits, 10 to 12 of 64.
const TRUTH: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;
/// The list whose length counts for those beside it.
const TOKENS: &str = "tokenizer.ggml.tokens";
/// Lists that loaders read as this type without a look at the one that the file names, each up to the number of tokens
/// where it says so.
const LISTS: [(&str, &[u32], bool); 6] = [
    (TOKENS, &[TEXT], false),
    ("tokenizer.ggml.scores", &[6], true),
    // Signed or not, four bytes.
    ("tokenizer.ggml.token_type", &[4, 5], true),
    ("tokenizer.ggml.merges", &[TEXT], false),
    ("tokenizer.ggml.added_tokens", &[TEXT], false),
    ("tokenizer.ggml.precompiled_charsmap", &[0, 1], false),
];
/// Architectures all of whose layers attend: others have layers without a head.
const ATTENDING: [&str; 22] = [
    "baichuan",
    "bert",
    "bloom",
    "chatglm",
    "command-r",
    "deepseek2",
    "falcon",
    "gemma",
    "gemma2",
    "gpt2",
    "gptneox",
    "internlm2",
    "llama",
    "mpt",
    "olmo",
    "phi2",
    "phi3",
    "qwen",
    "qwen2",
    "qwen3",
    "stablelm",
    "starcoder2",
];
/// Keys whose values are texts.
const TEXTS: [&str; 4] = [
    "general.architecture",
    "general.name",
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
];

/// More layers than any model has.
const MAX_LAYERS: i128 = 4096;
/// Longer than any text that a model takes at once.
const MAX_LENGTH: i128 = 1 << 30;

/// Keys whose value is a whole number that loaders compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The number of a token.
    Token,
    /// How many layers there are.
    Layers,
    /// How long a text or a vector may be: memory is taken by it.
    Length,
}

impl Role {
    fn of(key: &str) -> Option<Self> {
        let is = |end: &str| key.ends_with(end);
        if key.starts_with("tokenizer.") && is("_token_id") {
            Some(Self::Token)
        } else if is(".block_count") {
            Some(Self::Layers)
        } else if is(".context_length") || is(".embedding_length") {
            Some(Self::Length)
        } else {
            None
        }
    }
}

/// Reads numbers in the order of the file's bytes.
struct Reader<'a> {
    cursor: Cursor<'a>,
    big: bool,
    /// Version 1 counts with 32 bits.
    narrow: bool,
}

impl Reader<'_> {
    fn u32(&mut self, what: &'static str) -> Result<u32, Stop> {
        let bytes = self.cursor.array(what)?;
        Ok(if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, Stop> {
        let bytes = self.cursor.array(what)?;
        Ok(if self.big {
            u64::from_be_bytes(bytes)
        } else {
            u64::from_le_bytes(bytes)
        })
    }

    /// Reads a whole number of a type; `None` where the type is none of these.
    fn whole(&mut self, kind: u32) -> Result<Option<i128>, Stop> {
        let what = "a number";
        let two = |reader: &mut Self| -> Result<u16, Stop> {
            let bytes = reader.cursor.array(what)?;
            Ok(if reader.big {
                u16::from_be_bytes(bytes)
            } else {
                u16::from_le_bytes(bytes)
            })
        };
        Ok(Some(match kind {
            0 => i128::from(self.cursor.u8(what)?),
            1 => i128::from(i8::from_le_bytes(self.cursor.array(what)?)),
            2 => i128::from(two(self)?),
            3 => i128::from(two(self)?.cast_signed()),
            4 => i128::from(self.u32(what)?),
            5 => i128::from(self.u32(what)?.cast_signed()),
            10 => i128::from(self.u64(what)?),
            11 => i128::from(self.u64(what)?.cast_signed()),
            _ => return Ok(None),
        }))
    }

    fn count(&mut self, what: &'static str) -> Result<u64, Stop> {
        if self.narrow {
            return self.u32(what).map(u64::from);
        }
        self.u64(what)
    }
}

struct Walk<'a, 's, 'r> {
    reader: Reader<'a>,
    scan: &'s mut Scan<'r>,
    keys: HashSet<u64>,
    hasher: RandomState,
    alignment: u64,
    /// What the model is: `llama`.
    architecture: String,
    /// The number of a special token that is greatest or below zero, and where it stands.
    special: Option<(i128, u64)>,
    /// Where a model is said to have no heads of attention.
    headless: Option<u64>,
    /// How long the lists of [`LISTS`] are that were read, and where they begin.
    lists: [Option<(u64, u64)>; LISTS.len()],
}

/// Reads pairs, tensor infos and the ranges of the tensors.
pub(crate) fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut cursor = Cursor::new(source);
    cursor.skip(4, "the magic number")?;
    let version = cursor.array::<4>("the version")?;
    let big = u32::from_le_bytes(version) > 0xffff;
    let version = if big {
        u32::from_be_bytes(version)
    } else {
        u32::from_le_bytes(version)
    };
    if !(1..=3).contains(&version) {
        return Err(Stop::malformed(
            format!("version {version} is not known"),
            4,
        ));
    }
    let mut walk = Walk {
        reader: Reader {
            cursor,
            big,
            narrow: version == 1,
        },
        scan,
        keys: HashSet::new(),
        hasher: RandomState::new(),
        alignment: ALIGNMENT,
        architecture: String::new(),
        special: None,
        headless: None,
        lists: [None; LISTS.len()],
    };
    let tensors = walk.reader.count("the number of tensors")?;
    let pairs = walk.reader.count("the number of pairs")?;
    // A pair has at least a key's length, a type and a byte; a tensor at least a length and five numbers.
    walk.fits("pairs", pairs, 9)?;
    walk.fits("tensors", tensors, 24)?;
    if pairs > MAX_PAIRS || tensors > MAX_TENSORS {
        return Err(Stop::limit("pairs or tensors", MAX_TENSORS, 8));
    }
    for _ in 0..pairs {
        walk.pair()?;
    }
    walk.lists()?;
    walk.tensors(tensors)?;
    Ok(Understood {
        format: "GGUF",
        bytes: source.len(),
    })
}

impl Walk<'_, '_, '_> {
    fn at(&self) -> u64 {
        self.reader.cursor.at()
    }

    fn attack(&mut self, what: String, at: u64) -> Stop {
        self.scan.found(
            Found::malicious("gguf/length", what.clone())
                .severity(Severity::High)
                .at(at)
                .why("a loader that believes it reads or writes memory that is not its own")
                .see(&REFERENCES),
        );
        Stop::malformed(what, at)
    }

    /// Holds a count of things of at least `size` bytes against what is left.
    fn fits(&mut self, what: &str, count: u64, size: u64) -> Result<(), Stop> {
        let left = self.reader.cursor.left();
        if count.checked_mul(size).is_none_or(|bytes| bytes > left) {
            let at = self.at();
            return Err(self.attack(format!("claims {count} {what} in {left} bytes"), at));
        }
        Ok(())
    }

    fn length(&mut self, what: &'static str) -> Result<u64, Stop> {
        let length = self.reader.count(what)?;
        self.fits("bytes of a text", length, 1)?;
        Ok(length)
    }

    fn name(&mut self, what: &'static str) -> Result<String, Stop> {
        let length = self.length(what)?;
        let at = self.at();
        let bytes = self.reader.cursor.bytes(length, MAX_NAME, what)?;
        if bytes.iter().any(u8::is_ascii_control) {
            // Loaders in C end a name at the first zero.
            return Err(Stop::malformed(
                format!("{what} has a control character in it"),
                at,
            ));
        }
        String::from_utf8(bytes).map_err(|_| Stop::malformed(format!("{what} is not UTF-8"), at))
    }

    fn once(&mut self, kind: &'static str, name: &str, at: u64) {
        if !self.keys.insert(self.hasher.hash_one((kind, name))) {
            self.scan.found(
                Found::malicious(
                    "gguf/duplicate",
                    format!("the {kind} `{}` stands twice", shown(name)),
                )
                .severity(Severity::High)
                .at(at)
                .why("one reader takes the first, another the second: what was checked is not what is used")
                .see(&["CWE-436", "AML.T0074"]),
            );
        }
    }

    fn pair(&mut self) -> Result<(), Stop> {
        let at = self.at();
        let key = self.name("a key")?;
        if key.is_empty() {
            return Err(self.attack("has an empty key".to_owned(), at));
        }
        self.once("key", &key, at);
        let kind = self.reader.u32("the type of a value")?;
        if key == "general.alignment" {
            return self.alignment(kind);
        }
        if TEXTS.contains(&key.as_str()) && kind != TEXT {
            return Err(Stop::malformed(format!("`{key}` is no text"), at));
        }
        if let Some(list) = LISTS.iter().position(|(name, ..)| *name == key) {
            return self.list(list, kind, at);
        }
        if key == "general.architecture" {
            self.architecture = self.name("the architecture")?;
            return Ok(());
        }
        let heads = [".attention.head_count", ".attention.head_count_kv"];
        if heads.iter().any(|end| key.ends_with(end)) {
            return self.heads(&key, kind, at);
        }
        if let Some(role) = Role::of(&key) {
            return self.number(role, &key, kind, at);
        }
        self.value(kind, key.contains("chat_template"), 0)
    }

    /// Reads how many heads the model has, or each of its layers.
    fn heads(&mut self, key: &str, kind: u32, at: u64) -> Result<(), Stop> {
        let (kind, count) = if kind == ARRAY {
            let kind = self.reader.u32("the type of an array")?;
            let count = self.reader.count("the length of an array")?;
            self.fits("values of an array", count, self.size(kind)?)?;
            (kind, count)
        } else {
            (kind, 1)
        };
        for _ in 0..count {
            if self.whole(key, kind, at)? <= 0 {
                self.headless = Some(at);
            }
        }
        Ok(())
    }

    /// Reads a whole number of any type.
    fn whole(&mut self, key: &str, kind: u32, at: u64) -> Result<i128, Stop> {
        self.reader
            .whole(kind)?
            .ok_or_else(|| Stop::malformed(format!("`{}` is no whole number", shown(key)), at))
    }

    /// Reads a number that loaders compute with.
    fn number(&mut self, role: Role, key: &str, kind: u32, at: u64) -> Result<(), Stop> {
        let number = self.whole(key, kind, at)?;
        let odd = match role {
            Role::Token => {
                // One below zero is worse than any.
                let worse = self
                    .special
                    .is_none_or(|(worst, _)| worst >= 0 && (number < 0 || number > worst));
                if worse {
                    self.special = Some((number, at));
                }
                false
            }
            Role::Layers => !(0..=MAX_LAYERS).contains(&number),
            Role::Length => !(1..=MAX_LENGTH).contains(&number),
        };
        if odd {
            self.scan.found(
                Found::review("gguf/number", format!("`{}` is {number}", shown(key)))
                    .severity(Severity::High)
                    .at(at)
                    .why("loaders take memory by it, and some do not ask whether they can")
                    .see(&["CWE-789", "AML.T0076"]),
            );
        }
        Ok(())
    }

    /// Reads a list of a known type.
    fn list(&mut self, list: usize, kind: u32, at: u64) -> Result<(), Stop> {
        let Some((name, types, _)) = LISTS.get(list) else {
            return Ok(());
        };
        let begin = self.at();
        let of = if kind == ARRAY {
            Some(self.reader.u32("the type of an array")?)
        } else {
            None
        };
        if !of.is_some_and(|of| types.contains(&of)) {
            let what = format!("`{name}` is of another type than loaders read");
            return Err(self.attack(what, at));
        }
        let count = self.reader.count("the length of an array")?;
        if let Some(place) = self.lists.get_mut(list) {
            *place = Some((count, at));
        }
        self.reader.cursor.seek(begin);
        self.array(false, 0)
    }

    /// Holds the lists against each other: loaders walk through them side by side.
    fn lists(&mut self) -> Result<(), Stop> {
        if let Some(at) = self
            .headless
            .filter(|_| ATTENDING.contains(&self.architecture.as_str()))
        {
            return Err(self.attack(
                "has no heads of attention, by which loaders divide".to_owned(),
                at,
            ));
        }
        let tokens = self.lists.first().copied().flatten();
        if let (Some((count, _)), Some((number, at))) = (tokens, self.special)
            && !(0..i128::from(count)).contains(&number)
        {
            self.scan.found(
                Found::review(
                    "gguf/special-token",
                    format!("has the special token {number} of {count} tokens"),
                )
                .at(at)
                .why("loaders of before 2025 read beyond the list")
                .see(&["CWE-125"]),
            );
        }
        let tokens = tokens.map_or(0, |(count, _)| count);
        for ((name, _, beside), found) in LISTS.iter().zip(self.lists) {
            if let Some((count, at)) = found.filter(|(count, _)| *beside && *count < tokens) {
                let what = format!("`{name}` has {count} values for {tokens} tokens");
                return Err(self.attack(what, at));
            }
        }
        Ok(())
    }

    fn alignment(&mut self, kind: u32) -> Result<(), Stop> {
        let at = self.at();
        if kind != 4 {
            return Err(Stop::malformed("`general.alignment` is no u32", at));
        }
        self.alignment = u64::from(self.reader.u32("the alignment")?);
        let usual = MIN_ALIGNMENT..=MAX_ALIGNMENT;
        if !self.alignment.is_power_of_two() || !usual.contains(&self.alignment) {
            let alignment = self.alignment;
            return Err(self.attack(format!("has an alignment of {alignment}"), at));
        }
        Ok(())
    }

    fn value(&mut self, kind: u32, template: bool, depth: usize) -> Result<(), Stop> {
        match kind {
            TEXT => self.text(template),
            ARRAY => self.array(template, depth),
            TRUTH => {
                let at = self.at();
                match self.reader.cursor.u8("a truth value")? {
                    0 | 1 => Ok(()),
                    _ => Err(Stop::malformed("a truth value is neither 0 nor 1", at)),
                }
            }
            kind => {
                let size = self.size(kind)?;
                self.reader.cursor.skip(size, "a value")
            }
        }
    }

    fn size(&self, kind: u32) -> Result<u64, Stop> {
        match kind {
            0 | 1 | 7 => Ok(1),
            2 | 3 => Ok(2),
            4..=6 => Ok(4),
            10..=12 => Ok(8),
            _ => Err(Stop::malformed(
                format!("{kind} is no type of a value"),
                self.at(),
            )),
        }
    }

    fn text(&mut self, template: bool) -> Result<(), Stop> {
        let length = self.length("a text")?;
        let at = self.at();
        if !template {
            return self.reader.cursor.skip(length, "a text");
        }
        let bytes = self
            .reader
            .cursor
            .bytes(length, jinja::MAX_TEMPLATE, "a chat template")?;
        match String::from_utf8(bytes) {
            Ok(text) => jinja::check(&text, self.scan, Some(at)),
            Err(_) => return Err(Stop::malformed("a chat template is not UTF-8", at)),
        }
        Ok(())
    }

    fn array(&mut self, template: bool, depth: usize) -> Result<(), Stop> {
        let at = self.at();
        if depth >= MAX_ARRAYS {
            return Err(self.attack(format!("has arrays {MAX_ARRAYS} deep"), at));
        }
        let kind = self.reader.u32("the type of an array")?;
        let count = self.reader.count("the length of an array")?;
        if kind == ARRAY {
            self.scan.found(
                Found::unscannable("gguf/nested", "an array of arrays")
                    .at(at)
                    .why(
                        "loaders read plain arrays; some end there, some read it as something else",
                    ),
            );
        }
        if matches!(kind, TEXT | ARRAY | TRUTH) {
            let least = if kind == TRUTH { 1 } else { 4 };
            self.fits("values of an array", count, least)?;
            for _ in 0..count {
                self.value(kind, template, depth + 1)?;
            }
            return Ok(());
        }
        let size = self.size(kind)?;
        self.fits("values of an array", count, size)?;
        self.reader
            .cursor
            .skip(count.saturating_mul(size), "an array")
    }

    fn tensors(&mut self, count: u64) -> Result<(), Stop> {
        let mut spans = Vec::new();
        for _ in 0..count {
            let at = self.at();
            let (begin, size) = self.tensor()?;
            let Some(end) = begin.checked_add(size) else {
                return Err(self.attack("has a tensor whose end overflows".to_owned(), at));
            };
            spans.push((begin, end, at));
        }
        let infos = self.at();
        let end = self.reader.cursor.end();
        let data = infos.next_multiple_of(self.alignment);
        if count == 0 && end <= data {
            return self.padding(infos, end);
        }
        if data > end {
            return Err(Stop::Truncated {
                what: "the padding before the tensors",
                at: infos,
            });
        }
        self.padding(infos, data)?;
        self.spans(spans, data, end)
    }

    /// Reads a tensor's info and returns its offset and size in bytes.
    fn tensor(&mut self) -> Result<(u64, u64), Stop> {
        let at = self.at();
        let name = self.name("a tensor's name")?;
        if name.is_empty() {
            return Err(Stop::malformed("has a tensor without a name", at));
        }
        self.once("tensor", &name, at);
        let dimensions = self.reader.u32("the number of dimensions")?;
        if dimensions > MAX_DIMENSIONS {
            return Err(self.attack(
                format!("tensor `{}` has {dimensions} dimensions", shown(&name)),
                at,
            ));
        }
        let (mut elements, mut row) = (Some(1u64), 1);
        for index in 0..dimensions {
            let size = self.reader.count("a dimension")?;
            // A count of rows is divided by it; one beyond 63 bits is below zero for the loader.
            if size == 0 || i64::try_from(size).is_err() {
                let what = format!("tensor `{}` has a dimension of {size}", shown(&name));
                return Err(self.attack(what, at));
            }
            if index == 0 {
                row = size;
            }
            elements = elements.and_then(|elements| elements.checked_mul(size));
        }
        let kind = self.reader.u32("a tensor's type")?;
        let offset = self.reader.u64("a tensor's offset")?;
        if kind == Q8_1 {
            return Err(Stop::malformed(
                format!(
                    "tensor `{}` is of the type `Q8_1`, whose blocks have one length for writers and another for loaders",
                    shown(&name)
                ),
                at,
            ));
        }
        let (block, bytes) = usize::try_from(kind)
            .ok()
            .and_then(|kind| TYPES.get(kind).copied())
            .filter(|(block, _)| *block > 0)
            .ok_or_else(|| Stop::malformed(format!("{kind} is no type of a tensor"), at))?;
        if row % block != 0 {
            return Err(Stop::malformed(
                format!("tensor `{}` ends within a block", shown(&name)),
                at,
            ));
        }
        if offset % self.alignment != 0 {
            return Err(Stop::malformed(
                format!("tensor `{}` is not aligned", shown(&name)),
                at,
            ));
        }
        let elements = elements.filter(|elements| i64::try_from(*elements).is_ok());
        match elements.and_then(|elements| (elements / block).checked_mul(bytes)) {
            Some(size) => Ok((offset, size)),
            None => Err(self.attack(
                format!("tensor `{}` has a size that overflows", shown(&name)),
                at,
            )),
        }
    }

    /// Holds the tensors against each other and against the file.
    fn spans(&mut self, mut spans: Vec<(u64, u64, u64)>, data: u64, end: u64) -> Result<(), Stop> {
        spans.sort_unstable();
        let room = end.saturating_sub(data);
        let mut used = 0u64;
        for (begin, stop, at) in spans {
            if begin < used {
                self.scan.found(
                    Found::malicious("gguf/overlap", "tensors lie over each other")
                        .severity(Severity::High)
                        .at(at)
                        .why("the same bytes mean two things")
                        .see(&["CWE-436", "AML.T0074"]),
                );
                return Err(Stop::malformed("has tensors over each other", at));
            }
            if stop > room {
                return Err(self.attack("has a tensor beyond the file".to_owned(), at));
            }
            if begin.saturating_sub(used) >= self.alignment {
                return Err(self.hidden("bytes between tensors belong to none", data + used));
            }
            self.padding(data + used, data + begin)?;
            used = stop;
        }
        if room.saturating_sub(used) >= self.alignment {
            return Err(self.hidden("bytes behind the last tensor", data + used));
        }
        self.padding(data + used, end)
    }

    fn hidden(&mut self, what: &'static str, at: u64) -> Stop {
        self.scan.found(
            Found::malicious("gguf/left-over", what)
                .severity(Severity::High)
                .at(at)
                .why("no writer leaves bytes there; another loader may find its own format in them")
                .see(&["AML.T0074"]),
        );
        Stop::malformed(what, at)
    }

    /// Reads padding, which is shorter than the alignment: zeros.
    fn padding(&mut self, from: u64, to: u64) -> Result<(), Stop> {
        self.reader.cursor.seek(from);
        while self.at() < to {
            let at = self.at();
            match self.reader.cursor.byte()? {
                Some(0) => {}
                Some(_) => return Err(self.hidden("padding that is not zero", at)),
                None => break,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::scan;
    use custody_findings::{Rules, Verdict};

    static RULES: std::sync::LazyLock<Rules> =
        std::sync::LazyLock::new(|| Rules::built_in().unwrap());

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    fn pair(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
        [&text(key)[..], &kind.to_le_bytes(), value].concat()
    }

    fn tensor(name: &str, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
        let mut bytes = text(name);
        bytes.extend((u32::try_from(dims.len()).unwrap()).to_le_bytes());
        bytes.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes
    }

    fn file(pairs: &[Vec<u8>], tensors: &[Vec<u8>], data: usize) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend((pairs.len() as u64).to_le_bytes());
        bytes.extend(pairs.concat());
        bytes.extend(tensors.concat());
        if data > 0 {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
            bytes.resize(bytes.len() + data, 5);
        }
        bytes
    }

    fn verdict(bytes: &[u8]) -> Verdict {
        scan("m.gguf", &bytes, &RULES).verdict
    }

    fn good() -> Vec<u8> {
        let list = [
            &8u32.to_le_bytes()[..],
            &2u64.to_le_bytes(),
            &text("a"),
            &text("b"),
        ]
        .concat();
        file(
            &[
                pair("general.architecture", 8, &text("llama")),
                pair("tokens", 9, &list),
                pair("flag", 7, &[1]),
                pair("x", 10, &[0; 8]),
                pair(
                    "tokenizer.chat_template",
                    8,
                    &text("{{ messages[0]['content'] }}"),
                ),
            ],
            &[tensor("a", &[8], 0, 0), tensor("b", &[32, 2], 2, 32)],
            68,
        )
    }

    #[test]
    fn a_sound_file_is_clean_and_an_injecting_template_is_not() {
        assert_eq!(verdict(&good()), Verdict::Clean);
        assert_eq!(verdict(&file(&[], &[], 0)), Verdict::Clean);
        let bad = pair("tokenizer.chat_template.x", 8, &text("{{ ''.__class__ }}"));
        assert_eq!(verdict(&file(&[bad], &[], 0)), Verdict::Malicious);
    }

    #[test]
    fn every_offence_is_told() {
        use Verdict::{Malicious, Unscannable};
        let one = |tensor: Vec<u8>, data| verdict(&file(&[], &[tensor], data));
        assert_eq!(one(tensor("a", &[8], 0, 0), 31), Malicious);
        assert_eq!(one(tensor("a", &[8], 0, 0), 100), Malicious);
        assert_eq!(one(tensor("a", &[8], 0, 0), 33), Malicious);
        assert_eq!(one(tensor("a", &[8], 0, 64), 100), Malicious);
        assert_eq!(one(tensor("a", &[1 << 40, 1 << 40], 0, 0), 32), Malicious);
        assert_eq!(one(tensor("a", &[1; 5], 0, 0), 4), Malicious);
        assert_eq!(one(tensor("a", &[8], 99, 0), 32), Unscannable);
        assert_eq!(one(tensor("a", &[8], 2, 0), 32), Unscannable);
        assert_eq!(one(tensor("a", &[8], 0, 1), 33), Unscannable);
        let over = [tensor("a", &[16], 0, 0), tensor("b", &[16], 0, 32)];
        assert_eq!(verdict(&file(&[], &over, 96)), Malicious);
        assert_eq!(one(tensor("a", &[8, 0], 0, 0), 32), Malicious);
        assert_eq!(one(tensor("a", &[1 << 63], 0, 0), 32), Malicious);
        assert_eq!(verdict(&file(&[pair("", 7, &[0])], &[], 0)), Malicious);
        let named = pair("general.architecture", 4, &[0; 4]);
        assert_eq!(verdict(&file(&[named], &[], 0)), Unscannable);
        let twice = pair("k", 7, &[0]);
        assert_eq!(verdict(&file(&[twice.clone(), twice], &[], 0)), Malicious);
        let zero = pair("general.alignment", 4, &[0; 4]);
        assert_eq!(verdict(&file(&[zero], &[], 0)), Malicious);
        let mut long = file(&[], &[], 0);
        long[20] = 0x40;
        assert_eq!(verdict(&long), Malicious);
        let text = pair("k", 8, &u64::MAX.to_le_bytes());
        assert_eq!(verdict(&file(&[text], &[], 0)), Malicious);
        assert_eq!(verdict(&file(&[pair("k", 13, &[0])], &[], 0)), Unscannable);
        assert_eq!(verdict(b"GGUF\x09\0\0\0"), Unscannable);
        let mut nested = 0u32.to_le_bytes().to_vec();
        nested.extend(0u64.to_le_bytes());
        for _ in 0..20 {
            nested = [&9u32.to_le_bytes()[..], &1u64.to_le_bytes(), &nested].concat();
        }
        assert_eq!(verdict(&file(&[pair("k", 9, &nested)], &[], 0)), Malicious);
    }

    #[test]
    fn lists_are_what_loaders_read_them_as() {
        let list = |of: u32, count: u64, values: &[u8]| {
            [&of.to_le_bytes()[..], &count.to_le_bytes(), values].concat()
        };
        let tokens = || {
            let values = [text("a"), text("b")].concat();
            pair("tokenizer.ggml.tokens", 9, &list(8, 2, &values))
        };
        let beside = |key: &str, of: u32, count: u64, width: usize| {
            let values = vec![0; usize::try_from(count).unwrap() * width];
            let key = format!("tokenizer.ggml.{key}");
            let list = pair(&key, 9, &list(of, count, &values));
            [
                verdict(&file(&[tokens(), list.clone()], &[], 0)),
                verdict(&file(&[list, tokens()], &[], 0)),
            ]
        };
        for good in [
            beside("scores", 6, 2, 4),
            beside("token_type", 5, 2, 4),
            beside("token_type", 4, 3, 4),
            beside("precompiled_charsmap", 0, 9, 1),
            beside("anything", 0, 1, 1),
        ] {
            assert_eq!(good, [Verdict::Clean; 2]);
        }
        for bad in [
            beside("scores", 0, 2, 1),
            beside("scores", 12, 2, 8),
            beside("scores", 6, 1, 4),
            beside("token_type", 0, 2, 1),
            beside("token_type", 5, 1, 4),
            beside("merges", 4, 2, 4),
        ] {
            assert_eq!(bad, [Verdict::Malicious; 2]);
        }
        let scalar = pair("tokenizer.ggml.scores", 6, &[0; 4]);
        assert_eq!(verdict(&file(&[scalar], &[], 0)), Verdict::Malicious);
    }

    #[test]
    fn special_tokens_and_heads_are_there() {
        let number = |key: &str, number: u32| pair(key, 4, &number.to_le_bytes());
        let list = [
            &8u32.to_le_bytes()[..],
            &2u64.to_le_bytes(),
            &text("a"),
            &text("b"),
        ]
        .concat();
        let tokens = || pair("tokenizer.ggml.tokens", 9, &list);
        let named = |name: &str| pair("general.architecture", 8, &text(name));
        let special = |id: u32| {
            let id = number("tokenizer.ggml.bos_token_id", id);
            verdict(&file(&[id, tokens()], &[], 0))
        };
        assert_eq!((special(1), special(2)), (Verdict::Clean, Verdict::Review));
        let heads = |name: &str, heads: u32| {
            let heads = number("x.attention.head_count", heads);
            verdict(&file(&[heads, named(name)], &[], 0))
        };
        assert_eq!(heads("llama", 32), Verdict::Clean);
        assert_eq!(heads("llama", 0), Verdict::Malicious);
        assert_eq!(heads("mamba", 0), Verdict::Clean);
        let listed = |name: &str, of: u32| {
            let list = [
                &of.to_le_bytes()[..],
                &2u64.to_le_bytes(),
                &[1, 0, 0, 0, 0, 0, 0, 0],
            ]
            .concat();
            let heads = pair("x.attention.head_count_kv", 9, &list);
            verdict(&file(&[heads, named(name)], &[], 0))
        };
        assert_eq!(listed("llama", 5), Verdict::Malicious);
        assert_eq!(listed("jamba", 5), Verdict::Clean);
        assert_eq!(listed("jamba", 6), Verdict::Unscannable);
    }

    #[test]
    fn numbers_that_loaders_compute_with_are_sane() {
        use Verdict::{Clean, Review, Unscannable};
        let tokens = [
            &8u32.to_le_bytes()[..],
            &2u64.to_le_bytes(),
            &text("a"),
            &text("b"),
        ]
        .concat();
        let tokens = pair("tokenizer.ggml.tokens", 9, &tokens);
        let check = |key: &str, kind: u32, value: &[u8], expected: Verdict| {
            let number = pair(key, kind, value);
            for pairs in [[tokens.clone(), number.clone()], [number, tokens.clone()]] {
                assert_eq!(
                    verdict(&file(&pairs, &[], 0)),
                    expected,
                    "{key} {kind} {value:?}"
                );
            }
        };
        let id = "tokenizer.ggml.bos_token_id";
        check(id, 4, &1u32.to_le_bytes(), Clean);
        check(id, 4, &2u32.to_le_bytes(), Review);
        check(id, 5, &(-1i32).to_le_bytes(), Review);
        check(id, 11, &i64::MIN.to_le_bytes(), Review);
        check(id, 8, &text("1"), Unscannable);
        check(id, 6, &1f32.to_le_bytes(), Unscannable);
        check("llama.block_count", 4, &80u32.to_le_bytes(), Clean);
        check("llama.block_count", 4, &u32::MAX.to_le_bytes(), Review);
        check("llama.context_length", 4, &[0; 4], Review);
        check(
            "llama.embedding_length",
            10,
            &u64::MAX.to_le_bytes(),
            Review,
        );
        // Only the worst is told, wherever it stands.
        let both = [
            tokens.clone(),
            pair(id, 4, &9u32.to_le_bytes()),
            pair("tokenizer.ggml.eos_token_id", 4, &1u32.to_le_bytes()),
        ];
        assert_eq!(verdict(&file(&both, &[], 0)), Review);
        assert_eq!(verdict(&file(&both[1..], &[], 0)), Clean);
    }

    #[test]
    fn what_loaders_read_otherwise_is_not_clean() {
        use Verdict::{Clean, Malicious, Unscannable};
        let array = |of: u32, values: &[u8], count: u64| {
            [&of.to_le_bytes()[..], &count.to_le_bytes(), values].concat()
        };
        let check = |pair: Vec<u8>, expected| assert_eq!(verdict(&file(&[pair], &[], 0)), expected);
        check(pair("k", 9, &array(9, &array(0, &[1], 1), 1)), Unscannable);
        check(pair("k", 9, &array(9, &[], 0)), Unscannable);
        check(pair("k", 9, &array(7, &[0, 1], 2)), Clean);
        check(pair("k", 9, &array(7, &[0, 2], 2)), Unscannable);
        check(pair("k\0x", 7, &[0]), Unscannable);
        check(pair("general.alignment", 4, &1u32.to_le_bytes()), Malicious);
        check(pair("general.alignment", 4, &64u32.to_le_bytes()), Clean);
        for name in ["", "a\0"] {
            let file = file(&[], &[tensor(name, &[8], 0, 0)], 32);
            assert_eq!(verdict(&file), Unscannable);
        }
    }

    proptest! {
        #[test]
        fn damage_ends_in_a_verdict(at in 4usize..400, byte: u8, cut in 4usize..500) {
            let mut bytes = good();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut);
            verdict(&bytes);
        }
    }
}
