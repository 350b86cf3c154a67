//! PyTorch files: the archive (a ZIP with `data.pkl` and a member for each storage), the stream of
//! before 1.6, the tar of before 0.1.10, and TorchScript.
//!
//! Source: `torch/serialization.py` (`_load`, `_legacy_load`), `caffe2/serialize/inline_container.cc`.

use std::collections::BTreeMap;

use crate::cursor::{Cursor, Stop};
use crate::pickle::{self, Content, Event, Heap, Kind, Value};
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::{Slice, Source};
use custody_findings::Severity;

use super::tar;
use super::torchscript;
use super::zip::{Archive, Member};

/// The stream of PyTorch before 1.6.
pub(crate) const LEGACY: Format = Format {
    name: "PyTorch stream",
    recognises: is_legacy,
    parse: legacy,
};

/// The magic number of the stream: little-endian, as `LONG1` writes it.
const MAGIC: [u8; 12] = [
    0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19,
];
const MAGIC_AS_TEXT: &[u8] = b"L119547037146038801333356L\n.";
/// How many storages a file may have.
const MAX_STORAGES: usize = 200_000;
/// How long a small text member may be, in bytes.
const MAX_TEXT: usize = 256;

/// The storages that a pickle asks for: by key, their length in bytes.
#[derive(Debug, Default)]
struct Storages {
    bytes: BTreeMap<String, u64>,
    wrong: Vec<(u64, String)>,
}

/// How many complaints are kept.
const MAX_WRONG: usize = 16;

impl Storages {
    fn wrong(&mut self, at: u64, what: impl Into<String>) {
        if self.wrong.len() < MAX_WRONG {
            self.wrong.push((at, what.into()));
        }
    }

    fn hear(&mut self, heap: &Heap, at: u64, event: Event<'_>) {
        match event {
            Event::Persistent(id) => self.persistent(heap, at, id),
            Event::Call {
                callable: Value::Global(id),
                arguments,
                ..
            } if heap.full_name(id) == "torch._utils:_rebuild_tensor_v2"
                || heap.full_name(id) == "torch._utils:_rebuild_tensor" =>
            {
                self.tensor(heap, at, arguments);
            }
            _ => {}
        }
    }

    fn persistent(&mut self, heap: &Heap, at: u64, id: Value) {
        // A class with its source, which loaders compare and do not run.
        if let Some([tag, Value::Global(_), ..]) = heap.items(id, Kind::Tuple)
            && heap.as_text(*tag) == Some("module")
        {
            return;
        }
        match storage(heap, id) {
            Some((key, bytes)) if self.bytes.len() < MAX_STORAGES => {
                let before = self.bytes.insert(key.clone(), bytes);
                if before.is_some_and(|before| before != bytes) {
                    self.wrong(at, format!("the storage `{}` has two lengths", shown(&key)));
                }
            }
            Some(_) => self.wrong(at, format!("more than {MAX_STORAGES} storages")),
            None => self.wrong(at, "it asks for something by id that is no storage"),
        }
    }

    /// A tensor must lie inside of its storage.
    fn tensor(&mut self, heap: &Heap, at: u64, arguments: Value) {
        let items = heap.items(arguments, Kind::Tuple).unwrap_or_default();
        let [of, Value::Int(offset), size, stride, ..] = items else {
            return;
        };
        let (Some(size), Some(stride)) = (
            heap.items(*size, Kind::Tuple),
            heap.items(*stride, Kind::Tuple),
        ) else {
            return;
        };
        let Some(elements) = elements(heap, *of) else {
            return;
        };
        if !inside(*offset, size, stride, elements) {
            self.wrong(at, "a tensor reaches beyond its storage");
        }
    }

    fn report(self, scan: &mut Scan<'_>) -> BTreeMap<String, u64> {
        for (at, what) in self.wrong {
            scan.found(
                Found::malicious("torch/storage", what)
                    .at(at)
                    .severity(Severity::High)
                    .why("a loader that trusts it reads memory that is not the model's")
                    .see(&["CWE-125", "AML.T0011.000"]),
            );
        }
        self.bytes
    }
}

/// Whether all elements of a tensor have their place among `elements`.
fn inside(offset: i64, size: &[Value], stride: &[Value], elements: u64) -> bool {
    if size.len() != stride.len() {
        return false;
    }
    let mut last = u64::try_from(offset).ok();
    let mut empty = false;
    for pair in size.iter().zip(stride) {
        let (Value::Int(size), Value::Int(stride)) = pair else {
            return true;
        };
        let (Ok(size), Ok(stride)) = (u64::try_from(*size), u64::try_from(*stride)) else {
            return false;
        };
        empty |= size == 0;
        let reach = size.saturating_sub(1).checked_mul(stride);
        last = last.and_then(|last| last.checked_add(reach?));
    }
    empty || last.is_some_and(|last| last < elements)
}

/// Reads a persistent id: `('storage', type, key, location, elements, …)`.
fn storage(heap: &Heap, id: Value) -> Option<(String, u64)> {
    let items = heap.items(id, Kind::Tuple)?;
    let [tag, of, key, _, Value::Int(elements), ..] = items else {
        return None;
    };
    if heap.as_text(*tag) != Some("storage") {
        return None;
    }
    let size = element_size(&type_name(heap, *of)?)?;
    let bytes = u64::try_from(*elements).ok()?.checked_mul(size)?;
    Some((heap.as_text(*key)?.to_owned(), bytes))
}

fn type_name(heap: &Heap, of: Value) -> Option<String> {
    match of {
        Value::Global(id) => Some(heap.names(id)?.name.clone()),
        _ => None,
    }
}

/// Returns how many elements the storage of a rebuilt tensor has.
fn elements(heap: &Heap, of: Value) -> Option<u64> {
    let Value::Node(id) = of else {
        return None;
    };
    let Content::Persistent(id) = heap.node(id)?.content else {
        return None;
    };
    match heap.items(id, Kind::Tuple)?.get(4)? {
        Value::Int(elements) => u64::try_from(*elements).ok(),
        _ => None,
    }
}

/// Returns the length of an element of a storage type, in bytes.
fn element_size(storage: &str) -> Option<u64> {
    Some(match storage {
        "ByteStorage" | "CharStorage" | "BoolStorage" | "QInt8Storage" | "QUInt8Storage"
        | "UntypedStorage" | "QUInt4x2Storage" | "QUInt2x4Storage" => 1,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "FloatStorage" | "IntStorage" | "QInt32Storage" => 4,
        "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => 8,
        "ComplexDoubleStorage" => 16,
        _ => return None,
    })
}

/// Whether an archive is PyTorch's: `data.pkl` in one folder.
pub(crate) fn is_archive(archive: &Archive<'_>) -> bool {
    folder(archive).is_some()
}

fn folder(archive: &Archive<'_>) -> Option<String> {
    archive
        .members
        .iter()
        .find_map(|member| member.name.strip_suffix("data.pkl"))
        .filter(|folder| folder.is_empty() || folder.ends_with('/'))
        .map(ToOwned::to_owned)
}

/// Scans PyTorch's archive: pickles first, then the storages that they ask for, then all else.
pub(crate) fn archive(archive: &Archive<'_>, scan: &mut Scan<'_>) {
    let folder = folder(archive).unwrap_or_default();
    let mut storages = BTreeMap::new();
    let is_pickle = |member: &Member| member.name.strip_suffix(".pkl").is_some();
    for member in archive.members.iter().filter(|member| is_pickle(member)) {
        let inside = member.name.strip_prefix(&folder).unwrap_or(&member.name);
        // `constants.pkl` has its storages in `constants/`, `data.pkl` in `data/`.
        let place = format!("{folder}{}/", inside.trim_end_matches(".pkl"));
        if let Some(content) = archive.open(member, scan) {
            let asked = in_member(&member.name, content.source(), scan);
            let of_place = |(key, bytes)| (format!("{place}{key}"), bytes);
            storages.extend(asked.into_iter().map(of_place));
        }
    }
    for member in archive.members.iter().filter(|member| !is_pickle(member)) {
        match storages.remove(&member.name) {
            Some(bytes) => raw(member, bytes, scan),
            None => other(archive, &folder, member, scan),
        }
    }
    if let Some(name) = storages.keys().next() {
        scan.found(Found::unscannable(
            "torch/missing",
            format!("the storage `{}` is asked for and missing", shown(name)),
        ));
    }
}

fn in_member(name: &str, source: &dyn Source, scan: &mut Scan<'_>) -> BTreeMap<String, u64> {
    let mut asked = BTreeMap::new();
    scan.inside(name, source, |scan| {
        let mut storages = Storages::default();
        let mut at = 0;
        while at < source.len() {
            let mut watch = |heap: &Heap, at, event: Event<'_>| storages.hear(heap, at, event);
            at = match pickle::stream(source, at, scan, Some(&mut watch)) {
                Ok(stream) => stream.end,
                Err(stop) => {
                    asked = storages.report(scan);
                    return Err(("pickle", stop));
                }
            };
        }
        asked = storages.report(scan);
        Ok(Understood {
            format: "pickle of PyTorch",
            bytes: at,
        })
    });
    asked
}

fn raw(member: &Member, bytes: u64, scan: &mut Scan<'_>) {
    scan.counted(&member.name, "PyTorch storage", member.size);
    // The inputs of a trace are named, and written without their bytes.
    let trace = member.size == 0 && member.name.contains("/traced_inputs/");
    if bytes != member.size && !trace {
        scan.found(
            Found::malicious(
                "torch/storage",
                format!(
                    "the storage `{}` has {} bytes; its pickle asks for {bytes}",
                    shown(&member.name),
                    member.size
                ),
            )
            .severity(Severity::High)
            .why("bytes that no tensor has can be anything, and missing ones are read from elsewhere")
            .see(&["CWE-125"]),
        );
    }
}

fn other(archive: &Archive<'_>, folder: &str, member: &Member, scan: &mut Scan<'_>) {
    let inside = member.name.strip_prefix(folder).unwrap_or(&member.name);
    let Some(content) = archive.open(member, scan) else {
        return;
    };
    let source = content.source();
    if inside.starts_with("code/") && inside.strip_suffix(".py").is_some() {
        scan.inside(&member.name, source, |scan| {
            torchscript::code(source, scan).map_err(|stop| ("TorchScript code", stop))
        });
    } else if inside.strip_suffix(".debug_pkl").is_some() {
        in_member(&member.name, source, scan);
    } else if is_word(inside) && source.len() <= MAX_TEXT as u64 {
        scan.inside(&member.name, source, |scan| word(source, scan));
    } else {
        scan.member(&member.name, source);
    }
}

/// The members that hold a word or a number.
fn is_word(name: &str) -> bool {
    matches!(
        name,
        "version"
            | "byteorder"
            | ".format_version"
            | ".storage_alignment"
            | ".data/version"
            | ".data/serialization_id"
            | ".data/python_version"
    )
}

fn word(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, (&'static str, Stop)> {
    let bytes = Cursor::new(source)
        .bytes(source.len(), MAX_TEXT, "word")
        .map_err(|stop| ("word", stop))?;
    let plain = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'\n' | b'\r' | b'_' | b'-')
    };
    if !bytes.iter().all(plain) {
        scan.found(Found::unscannable(
            "torch/word",
            "it is no word and no number",
        ));
    }
    Ok(Understood {
        format: "word",
        bytes: source.len(),
    })
}

fn is_legacy(head: &Head<'_>) -> bool {
    let Some(rest) = head.bytes.get(2..) else {
        return false;
    };
    let framed = rest.get(9..).is_some_and(|rest| rest.starts_with(&MAGIC));
    let proto = matches!(head.bytes, [0x80, 2..=5, ..]);
    (proto && (rest.starts_with(&MAGIC) || (rest.first() == Some(&0x95) && framed)))
        || head.starts_with(MAGIC_AS_TEXT)
}

/// Reads the stream: magic number, version, machine, object, keys, then the storages.
fn legacy(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut at = 0;
    for _ in 0..3 {
        at = pickle::stream(source, at, scan, None)?.end;
    }
    let mut storages = Storages::default();
    let mut watch = |heap: &Heap, at, event: Event<'_>| storages.hear(heap, at, event);
    let object = pickle::stream(source, at, scan, Some(&mut watch));
    let asked = storages.report(scan);
    let keys = pickle::stream(source, object?.end, scan, None)?;
    let mut cursor = Cursor::range(source, keys.end, source.len());
    let Some(list) = keys.heap.items(keys.root, Kind::List) else {
        return Err(Stop::malformed("has no list of its storages", keys.end));
    };
    for key in list {
        let at = cursor.at();
        let key = keys.heap.as_text(*key).unwrap_or_default();
        let Some(bytes) = asked.get(key) else {
            return Err(Stop::malformed(
                format!("has the storage `{}`, which no tensor asks for", shown(key)),
                at,
            ));
        };
        // The number of elements comes first; the pickle says how long they are.
        let elements = cursor.u64("storage")?;
        if elements > *bytes
            || (elements != 0 && bytes % elements != 0)
            || (elements == 0 && *bytes != 0)
        {
            return Err(Stop::malformed(
                format!(
                    "has the storage `{}` with another length than asked for",
                    shown(key)
                ),
                at,
            ));
        }
        cursor.skip(*bytes, "storage")?;
    }
    Ok(Understood {
        format: "PyTorch stream",
        bytes: cursor.at(),
    })
}

/// Whether a tar archive is PyTorch's.
pub(crate) fn is_tar(members: &[tar::Member]) -> bool {
    ["sys_info", "pickle", "storages", "tensors"]
        .iter()
        .all(|name| members.iter().any(|member| bare(&member.name) == *name))
}

fn bare(name: &str) -> &str {
    name.strip_prefix("./").unwrap_or(name)
}

/// Reads PyTorch's tar archive: storages and tensors lie between pickles.
pub(crate) fn tar(source: &dyn Source, members: &[tar::Member], scan: &mut Scan<'_>) {
    for member in members {
        let content = Slice::new(source, member.start, member.len);
        let parse: fn(&dyn Source, &mut Scan<'_>) -> Result<Understood, Stop> =
            match bare(&member.name) {
                "storages" => tar_storages,
                "tensors" => tar_tensors,
                "pickle" => tar_pickle,
                _ => {
                    scan.member(&member.name, &content);
                    continue;
                }
            };
        scan.inside(&member.name, &content, |scan| {
            parse(&content, scan).map_err(|stop| ("PyTorch tar", stop))
        });
    }
}

const TAR_PART: &str = "part of a PyTorch tar";

/// The first pickle of a part is how many follow.
fn count(source: &dyn Source, scan: &mut Scan<'_>) -> Result<(u64, u64), Stop> {
    let stream = pickle::stream(source, 0, scan, None)?;
    match stream.root {
        Value::Int(count) if usize::try_from(count).is_ok_and(|count| count <= MAX_STORAGES) => {
            Ok((count.unsigned_abs(), stream.end))
        }
        _ => Err(Stop::malformed("does not begin with how many there are", 0)),
    }
}

fn tar_storages(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let (count, mut at) = count(source, scan)?;
    for _ in 0..count {
        let stream = pickle::stream(source, at, scan, None)?;
        let size = match stream.heap.items(stream.root, Kind::Tuple) {
            Some([_, _, of]) => type_name(&stream.heap, *of).and_then(|name| element_size(&name)),
            _ => None,
        }
        .ok_or_else(|| Stop::malformed("has a storage of no known type", at))?;
        let mut cursor = Cursor::range(source, stream.end, source.len());
        let bytes = cursor.u64("storage")?.saturating_mul(size);
        cursor.skip(bytes, "storage")?;
        at = cursor.at();
    }
    Ok(Understood {
        format: TAR_PART,
        bytes: at,
    })
}

fn tar_tensors(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let (count, mut at) = count(source, scan)?;
    for _ in 0..count {
        at = pickle::stream(source, at, scan, None)?.end;
        let mut cursor = Cursor::range(source, at, source.len());
        let dimensions = u64::from(cursor.u32("tensor")?);
        // Four unused bytes, sizes and strides, the offset.
        cursor.skip(dimensions.saturating_mul(16).saturating_add(12), "tensor")?;
        at = cursor.at();
    }
    Ok(Understood {
        format: TAR_PART,
        bytes: at,
    })
}

fn tar_pickle(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut watch = |_: &Heap, _: u64, _: Event<'_>| {};
    let stream = pickle::stream(source, 0, scan, Some(&mut watch))?;
    Ok(Understood {
        format: TAR_PART,
        bytes: stream.end,
    })
}
