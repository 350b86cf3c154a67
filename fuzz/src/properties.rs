//! What holds for every input of every target. The fuzzers drive it; the test `corpus` of `custody-scan`
//! replays the kept corpus through it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use custody_findings::rules::Pack;
use custody_findings::{Finding, Report, Rules, Verdict};

/// The pickle of an archive of PyTorch.
const PICKLE: &str = "archive/data.pkl";

/// How an input reaches the parser of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// As a file, told by its content; kept when the parser's format was recognised (any, when empty).
    File(&'static [&'static str]),
    /// As a member of a stored zip archive with correct checksums.
    Member(&'static str),
    /// As the chat template of a tokenizer's settings.
    Template,
    /// As a rule pack.
    Rules,
}

/// One parser and the way to it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and its corpus's.
    pub name: &'static str,
    /// The name under which the input is scanned.
    pub file: &'static str,
    /// How it is reached.
    pub entry: Entry,
}

const fn target_of(name: &'static str, file: &'static str, entry: Entry) -> Target {
    Target { name, file, entry }
}

/// Every target. Formats that are told by structure accept any recognition.
pub const TARGETS: &[Target] = &[
    target_of("scan", "model", Entry::File(&[])),
    target_of("pickle", "model.pkl", Entry::File(&["pickle"])),
    target_of("zip", "model.zip", Entry::File(&["zip"])),
    target_of("tar", "model.tar", Entry::File(&["tar"])),
    target_of(
        "compressed",
        "model.z",
        Entry::File(&[
            "gzip",
            "bzip2",
            "xz",
            "lzma",
            "zstd",
            "lz4",
            "zlib",
            "sealed container",
        ]),
    ),
    target_of("numpy", "model.npy", Entry::File(&["NumPy array"])),
    target_of("torch", "model.pt", Entry::Member("archive/data.pkl")),
    target_of("torch_legacy", "model.pt", Entry::File(&["PyTorch stream"])),
    target_of(
        "torchscript",
        "model.pt",
        Entry::Member("archive/code/__torch__.py"),
    ),
    target_of("gguf", "model.gguf", Entry::File(&["GGUF"])),
    target_of("safetensors", "model.safetensors", Entry::File(&[])),
    target_of("jinja", "tokenizer_config.json", Entry::Template),
    target_of("json", "config.json", Entry::File(&["JSON"])),
    target_of("onnx", "model.onnx", Entry::File(&[])),
    target_of("saved_model", "saved_model.pb", Entry::File(&[])),
    target_of("checkpoint", "variables.index", Entry::File(&[])),
    target_of("xgboost_json", "model.json", Entry::File(&[])),
    target_of("xgboost_ubjson", "model.ubj", Entry::File(&[])),
    target_of("xgboost_binary", "model.bin", Entry::File(&[])),
    target_of("hdf5", "model.h5", Entry::File(&["HDF5"])),
    target_of("yaml", "config.yaml", Entry::File(&["YAML"])),
    target_of("xml", "model.pmml", Entry::File(&["XML"])),
    target_of("text", "notes.txt", Entry::File(&["text"])),
    target_of("native", "library", Entry::File(&["native code"])),
    target_of("media", "picture", Entry::File(&["media"])),
    target_of("rules", "rules.json", Entry::Rules),
];

/// Returns the target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Whether an input was worth the target's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// The target's parser read it.
    Reached,
    /// It is of another format.
    Elsewhere,
}

static RULES: LazyLock<Result<Rules, String>> =
    LazyLock::new(|| Rules::built_in().map_err(|error| error.to_string()));

/// Hands `input` to `target` and checks every property.
///
/// # Errors
/// The property that does not hold.
pub fn check(target: &Target, input: &[u8]) -> Result<Checked, String> {
    match target.entry {
        Entry::File(formats) => file(target.file, input, formats),
        Entry::Member(name) => {
            let other = if name == PICKLE {
                ("archive/version", &b"3\n"[..])
            } else {
                (PICKLE, &b"\x80\x02}."[..])
            };
            let members = [
                (name, input),
                other,
                ("archive/constants.pkl", b"\x80\x02)."),
            ];
            // TorchScript has code and constants, a plain archive neither.
            let members = if name == PICKLE {
                &members[..2]
            } else {
                &members[..]
            };
            file(target.file, &stored(members), &[])
        }
        Entry::Template => template(target.file, input),
        Entry::Rules => pack(input),
    }
}

fn template(name: &str, input: &[u8]) -> Result<Checked, String> {
    let Ok(text) = std::str::from_utf8(input) else {
        return Ok(Checked::Elsewhere);
    };
    file(
        name,
        format!("{{\"chat_template\": {}}}", quoted(text)).as_bytes(),
        &[],
    )
}

fn pack(input: &[u8]) -> Result<Checked, String> {
    let Ok(text) = std::str::from_utf8(input) else {
        return Ok(Checked::Elsewhere);
    };
    if Rules::new(&[text]).is_ok() != Rules::new(&[text]).is_ok() {
        return Err("the rules were accepted once and rejected once".to_owned());
    }
    let Ok(pack) = Pack::parse(text) else {
        return Ok(Checked::Reached);
    };
    let written = pack.to_json().map_err(|error| error.to_string())?;
    match Pack::parse(&written) {
        Ok(again) if again == pack => Ok(Checked::Reached),
        Ok(_) => Err("a pack that is written and read again is another".to_owned()),
        Err(error) => Err(format!("a pack that is written cannot be read: {error}")),
    }
}

fn file(name: &str, bytes: &[u8], formats: &[&str]) -> Result<Checked, String> {
    let report = sound(name, bytes)?;
    if report.verdict == Verdict::Clean {
        let mut longer = bytes.to_vec();
        for appended in [0, b'.', 0xff] {
            longer.push(appended);
            sound(name, &longer)?;
            longer.pop();
        }
    }
    let format = report.parts.first().map_or("", |part| part.format.as_str());
    if formats.is_empty() || formats.contains(&format) {
        Ok(Checked::Reached)
    } else {
        Ok(Checked::Elsewhere)
    }
}

/// Scans the bytes and checks what holds for every report.
///
/// # Errors
/// The property that does not hold.
pub fn sound(name: &str, bytes: &[u8]) -> Result<Report, String> {
    let rules = RULES.as_ref().map_err(Clone::clone)?;
    let report = custody_scan::scan(name, &bytes, rules);
    if custody_scan::scan(name, &bytes, rules) != report {
        return Err("two scans of the same bytes differ".to_owned());
    }
    let whole = report.parts.first().ok_or("a report without a part")?;
    if whole.bytes != bytes.len() as u64 || !whole.place.member.is_empty() {
        return Err(format!("{} bytes are reported as {whole:?}", bytes.len()));
    }
    for part in &report.parts {
        if part.understood > part.bytes {
            return Err(format!("more understood than there is: {part:?}"));
        }
        if report.verdict == Verdict::Clean && part.understood != part.bytes {
            return Err(format!(
                "clean with bytes that are not understood: {part:?}"
            ));
        }
    }
    report
        .findings
        .iter()
        .try_for_each(|finding| placed(finding, &report))?;
    let worst = report.findings.iter().map(|finding| finding.verdict).max();
    if worst.unwrap_or(Verdict::Clean) != report.verdict {
        return Err(format!(
            "the verdict is {} and the worst finding {worst:?}",
            report.verdict
        ));
    }
    Ok(report)
}

/// Whether a finding lies within the part that it names, or that part's end.
fn placed(finding: &Finding, report: &Report) -> Result<(), String> {
    let Some(offset) = finding.place.offset else {
        return Ok(());
    };
    let longest = report
        .parts
        .iter()
        .filter(|part| part.place.member == finding.place.member)
        .map(|part| part.bytes)
        .max();
    match longest {
        Some(bytes) if offset > bytes => Err(format!(
            "a finding beyond the end of its part of {bytes} bytes: {finding:?}"
        )),
        _ => Ok(()),
    }
}

/// Writes a JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if (control as u32) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", control as u32);
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

/// Writes a zip archive of stored members.
fn stored(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        common.extend(crc32(bytes).to_le_bytes());
        common.extend(short(bytes.len()));
        common.extend(short(bytes.len()));
        common.extend(&short(name.len())[..2]);
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(short(archive.len()));
        directory.extend(name.as_bytes());
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(name.as_bytes());
        archive.extend(*bytes);
    }
    let (start, count) = (archive.len(), short(members.len()));
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([count[0], count[1], count[0], count[1]]);
    archive.extend(short(directory.len()));
    archive.extend(short(start));
    archive.extend([0, 0]);
    archive
}

fn short(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
