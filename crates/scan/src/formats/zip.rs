//! ZIP archives, read as strictly as the loosest of their readers reads loosely: the central directory,
//! each local header and the bytes between must tell the same story.
//!
//! Source: APPNOTE.TXT 6.3.10 of PKWARE; what differs between readers: `reference` of each finding.

use std::io::{self, Read};

use bzip2::read::BzDecoder;
use flate2::read::DeflateDecoder;

use crate::cursor::{Cursor, Stop};
use crate::files::{FileKind, Files};
use crate::names::Names;
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::{Opened, Sequence, Slice, Source, Unpack, unpack};
use custody_findings::Severity;

use super::compressed;
use super::torch;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "zip",
    recognises,
    parse,
};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const LOCATOR64: u32 = 0x0706_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
/// How many members an archive may have.
const MAX_MEMBERS: u64 = 50_000;
/// How long all names together may be, in bytes.
const MAX_NAMES: usize = 8 << 20;
const END_LEN: u64 = 22;
const LOCATOR64_LEN: u64 = 20;
const END64_LEN: u64 = 56;
const MAX_COMMENT: u64 = 65_535;

/// A member by the central directory.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    pub(crate) size: u64,
    header: u64,
    /// Where its bytes begin.
    start: u64,
    link: bool,
}

impl Member {
    /// Says in which way its content cannot be read, if it cannot.
    fn sealed(&self) -> Option<&'static str> {
        /// The method of AES, whose mark may be missing.
        const AES: u16 = 99;
        if self.method == AES {
            Some("encrypted with AES")
        } else if self.flags & 0x2041 != 0 {
            Some("encrypted")
        } else if self.flags & 0x20 != 0 {
            Some("a patch of another file")
        } else {
            None
        }
    }
}

/// An archive whose members can be opened.
pub(crate) struct Archive<'a> {
    source: &'a dyn Source,
    pub(crate) members: Vec<Member>,
}

fn recognises(head: &Head<'_>) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// Where the directory lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    at: u64,
    /// Where the records of the end begin: the 64-bit ones where there are some.
    records: u64,
    members: u64,
    directory: u64,
    directory_len: u64,
}

fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    if let Some(pieces) = pieces(source)? {
        return Ok(checkpoint(source, &pieces, scan));
    }
    one(source, scan, false)
}

/// Returns where the archives of a file begin and end that holds several, one behind the other with
/// nothing between, each with the places of its own: so the distributed checkpoints of PyTorch are.
/// `None` where the last archive begins at the start, and where anything else stands there.
fn pieces(source: &dyn Source) -> Result<Option<Vec<(u64, u64)>>, Stop> {
    let mut pieces = Vec::new();
    let mut past = source.len();
    while past > 0 {
        let Some(start) = piece(source, past)? else {
            return Ok(None);
        };
        pieces.push((start, past));
        if pieces.len() as u64 > MAX_MEMBERS {
            return Err(Stop::limit("the number of archives", MAX_MEMBERS, start));
        }
        past = start;
    }
    pieces.reverse();
    Ok((pieces.len() > 1).then_some(pieces))
}

/// Returns where the archive begins whose end record, without a comment, ends at `past`.
fn piece(source: &dyn Source, past: u64) -> Result<Option<u64>, Stop> {
    let what = "end record";
    let Some(at) = past.checked_sub(END_LEN) else {
        return Ok(None);
    };
    let mut cursor = Cursor::range(source, at, past);
    if cursor.u32(what)? != END {
        return Ok(None);
    }
    cursor.skip(8, what)?;
    let len = u64::from(cursor.u32(what)?);
    let mut records = len.checked_add(u64::from(cursor.u32(what)?));
    let mut here = Some(at);
    if let Some(locator) = at.checked_sub(LOCATOR64_LEN) {
        let mut cursor = Cursor::range(source, locator, at);
        if cursor.u32(what)? == LOCATOR64 {
            cursor.skip(4, what)?;
            records = Some(cursor.u64(what)?);
            here = locator.checked_sub(END64_LEN);
        }
    }
    let start = here
        .zip(records)
        .and_then(|(here, records)| here.checked_sub(records));
    Ok(start.filter(|start| *start < at))
}

/// Scans the archives of a distributed checkpoint, each as the file that its loader takes it for.
fn checkpoint(source: &dyn Source, pieces: &[(u64, u64)], scan: &mut Scan<'_>) -> Understood {
    for (index, (start, past)) in pieces.iter().enumerate() {
        let piece = Slice::new(source, *start, past.saturating_sub(*start));
        scan.inside(&format!("archive {index}"), &piece, |scan| {
            one(&piece, scan, true).map_err(|stop| ("PyTorch archive", stop))
        });
    }
    Understood {
        format: "PyTorch distributed checkpoint",
        bytes: source.len(),
    }
}

/// Reads one archive, which is PyTorch's where `wanted` says so.
fn one(source: &dyn Source, scan: &mut Scan<'_>, wanted: bool) -> Result<Understood, Stop> {
    let Some(end) = end(source)? else {
        return Err(Stop::malformed("has no end record", source.len()));
    };
    let archive = directory(source, end, scan)?;
    let accounted = account(&archive, end, 0, scan)?;
    if wanted && !torch::is_archive(&archive) {
        return Err(Stop::malformed(
            "is one of several in a file, and not PyTorch's",
            0,
        ));
    }
    if torch::is_archive(&archive) {
        torch::archive(&archive, scan);
        return Ok(Understood {
            format: "PyTorch archive",
            bytes: accounted,
        });
    }
    let mut files = Files::default();
    for member in &archive.members {
        let kind = if member.link {
            FileKind::Link
        } else {
            FileKind::File { size: member.size }
        };
        files.add(shown(&member.name), kind);
    }
    scan.together(files, |scan| {
        for member in &archive.members {
            archive.scan(member, scan);
        }
    });
    let has = |name: &str| archive.members.iter().any(|member| member.name == name);
    if has("metadata.json") && has("model.weights.h5") && !has("config.json") {
        scan.found(
            Found::unscannable(
                "keras/config",
                "it is a Keras archive without `config.json`",
            )
            .why("the loader reads the model from it"),
        );
    }
    Ok(Understood {
        format: "zip",
        bytes: accounted,
    })
}

/// Finds the end record: the last one, whose comment reaches to the end of the file.
fn end(source: &dyn Source) -> Result<Option<End>, Stop> {
    let from = source.len().saturating_sub(END_LEN + MAX_COMMENT);
    let mut tail = vec![0; usize::try_from(source.len() - from).unwrap_or(0)];
    Cursor::range(source, from, source.len()).fill(&mut tail, "end record")?;
    let signature = END.to_le_bytes();
    let places = (0..tail.len().saturating_sub(21)).rev();
    for place in places.filter(|place| {
        tail.get(*place..)
            .is_some_and(|rest| rest.starts_with(&signature))
    }) {
        let at = from.saturating_add(place as u64);
        let mut cursor = Cursor::range(source, at.saturating_add(4), source.len());
        let (disk, start_disk) = (cursor.u16("end record")?, cursor.u16("end record")?);
        let (here, members) = (cursor.u16("end record")?, cursor.u16("end record")?);
        let (len, offset) = (cursor.u32("end record")?, cursor.u32("end record")?);
        let comment = u64::from(cursor.u16("end record")?);
        if cursor.left() != comment {
            continue;
        }
        let plain = End {
            at,
            records: at,
            members: u64::from(members),
            directory: u64::from(offset),
            directory_len: u64::from(len),
        };
        let large = end64(source, at)?;
        let needs_large = members == u16::MAX || len == u32::MAX || offset == u32::MAX;
        return match large {
            Some(large) => Ok(Some(large)),
            None if needs_large => Err(Stop::malformed("lacks its 64-bit end record", at)),
            None if disk != 0 || start_disk != 0 || here != members => {
                Err(Stop::malformed("is split over several disks", at))
            }
            None => Ok(Some(plain)),
        };
    }
    Ok(None)
}

fn end64(source: &dyn Source, at: u64) -> Result<Option<End>, Stop> {
    let Some(locator) = at.checked_sub(LOCATOR64_LEN) else {
        return Ok(None);
    };
    let mut cursor = Cursor::range(source, locator, at);
    if cursor.u32("locator")? != LOCATOR64 {
        return Ok(None);
    }
    cursor.skip(4, "locator")?;
    let records = cursor.u64("locator")?;
    let mut cursor = Cursor::range(source, records, locator);
    let what = "64-bit end record";
    if cursor.u32(what)? != END64 {
        return Err(Stop::malformed(
            "has no 64-bit end record where it says",
            records,
        ));
    }
    let len = cursor.u64(what)?;
    cursor.skip(12, what)?;
    let (here, members) = (cursor.u64(what)?, cursor.u64(what)?);
    let (directory_len, directory) = (cursor.u64(what)?, cursor.u64(what)?);
    if here != members
        || records.checked_add(len).and_then(|end| end.checked_add(12)) != Some(locator)
    {
        return Err(Stop::malformed(
            "has a 64-bit end record of another length",
            records,
        ));
    }
    Ok(Some(End {
        at,
        records,
        members,
        directory,
        directory_len,
    }))
}

fn directory<'a>(
    source: &'a dyn Source,
    end: End,
    scan: &mut Scan<'_>,
) -> Result<Archive<'a>, Stop> {
    if end.members > MAX_MEMBERS {
        return Err(Stop::limit("the number of members", MAX_MEMBERS, end.at));
    }
    if end.directory.checked_add(end.directory_len) != Some(end.records) {
        return Err(Stop::malformed(
            "has a directory that does not end at its end record: bytes stand before or after it",
            end.directory.min(end.records),
        ));
    }
    let mut cursor = Cursor::range(source, end.directory, end.records);
    let mut names = Names::default();
    let (mut members, mut room) = (Vec::new(), MAX_NAMES);
    for _ in 0..end.members {
        let at = cursor.at();
        let mut member = central(&mut cursor)?;
        room = room
            .checked_sub(member.name.len())
            .ok_or_else(|| Stop::limit("the length of all names", "8 MiB", at))?;
        names.check(&member.name, at, scan);
        local(source, &mut member, scan)?;
        odd(&member, scan);
        members.push(member);
    }
    if cursor.left() != 0 {
        return Err(Stop::malformed(
            "has bytes left over in its directory",
            cursor.at(),
        ));
    }
    Ok(Archive { source, members })
}

fn central(cursor: &mut Cursor<'_>) -> Result<Member, Stop> {
    let what = "directory";
    let at = cursor.at();
    if cursor.u32(what)? != CENTRAL {
        return Err(Stop::malformed(
            "has a directory with something else in it",
            at,
        ));
    }
    cursor.skip(4, what)?;
    let (flags, method) = (cursor.u16(what)?, cursor.u16(what)?);
    cursor.skip(4, what)?;
    let crc = cursor.u32(what)?;
    let (packed, size) = (cursor.u32(what)?, cursor.u32(what)?);
    let (name_len, extra_len, comment_len) =
        (cursor.u16(what)?, cursor.u16(what)?, cursor.u16(what)?);
    cursor.skip(4, what)?;
    let attributes = cursor.u32(what)?;
    let header = cursor.u32(what)?;
    let name = cursor.bytes(u64::from(name_len), usize::from(u16::MAX), what)?;
    let extra = cursor.bytes(u64::from(extra_len), usize::from(u16::MAX), what)?;
    cursor.skip(u64::from(comment_len), what)?;
    let mut large = large(&extra);
    let mut wide = |small: u32| {
        if small == u32::MAX {
            large.next()
        } else {
            Some(u64::from(small))
        }
    };
    let missing = || Stop::malformed("lacks a 64-bit length", at);
    // The order of the extra field: size, packed size, header.
    let size = wide(size).ok_or_else(missing)?;
    let packed = wide(packed).ok_or_else(missing)?;
    let header = wide(header).ok_or_else(missing)?;
    Ok(Member {
        name: String::from_utf8_lossy(&name).into_owned(),
        flags,
        method,
        crc,
        packed,
        size,
        header,
        start: 0,
        link: (attributes >> 16) & 0o170_000 == 0o120_000,
    })
}

/// The 64-bit numbers of an extra field.
fn large(extra: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut rest = extra;
    let mut found: &[u8] = &[];
    while let [a, b, c, d, after @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*c, *d]));
        let content = after.get(..len).unwrap_or_default();
        if u16::from_le_bytes([*a, *b]) == 1 {
            found = content;
            break;
        }
        rest = after.get(len..).unwrap_or_default();
    }
    found
        .as_chunks::<8>()
        .0
        .iter()
        .map(|bytes| u64::from_le_bytes(*bytes))
}

/// Reads the local header and reports where it differs from the directory.
fn local(source: &dyn Source, member: &mut Member, scan: &mut Scan<'_>) -> Result<(), Stop> {
    let what = "local header";
    let at = member.header;
    let mut cursor = Cursor::range(source, at, source.len());
    if cursor.u32(what)? != LOCAL {
        return Err(Stop::malformed(
            format!("has no local header for `{}`", shown(&member.name)),
            at,
        ));
    }
    cursor.skip(2, what)?;
    let (flags, method) = (cursor.u16(what)?, cursor.u16(what)?);
    cursor.skip(4, what)?;
    let (crc, packed, size) = (cursor.u32(what)?, cursor.u32(what)?, cursor.u32(what)?);
    let (name_len, extra_len) = (cursor.u16(what)?, cursor.u16(what)?);
    let name = cursor.bytes(u64::from(name_len), usize::from(u16::MAX), what)?;
    let extra = cursor.bytes(u64::from(extra_len), usize::from(u16::MAX), what)?;
    member.start = cursor.at();
    let mut large = large(&extra);
    let mut wide = |small: u32| {
        if small == u32::MAX {
            large.next()
        } else {
            Some(u64::from(small))
        }
    };
    let (local_size, local_packed) = (wide(size), wide(packed));
    let later = flags & 8 != 0;
    let lengths = local_size == Some(member.size) && local_packed == Some(member.packed);
    let unset = later && size == 0 && packed == 0 || later && local_size == Some(0);
    let differs = [
        (
            String::from_utf8_lossy(&name) != member.name,
            "name",
            "CVE-2025-1944",
        ),
        (flags != member.flags, "flags", "CVE-2025-1945"),
        (method != member.method, "method", "CWE-436"),
        (!lengths && !unset, "lengths", "CWE-436"),
        (
            crc != member.crc && !(later && crc == 0),
            "checksum",
            "CWE-436",
        ),
    ];
    for (_, part, reference) in differs.iter().filter(|(differs, _, _)| *differs) {
        scan.found(
            Found::malicious(
                "zip/two-stories",
                format!(
                    "the {part} of `{}` differs between its local header and the directory",
                    shown(&member.name)
                ),
            )
            .at(at)
            .severity(Severity::High)
            .why("a reader of the one sees another file than a reader of the other")
            .see(&[reference, "AML.T0074"]),
        );
    }
    Ok(())
}

/// Reports what no writer of models makes of a member.
fn odd(member: &Member, scan: &mut Scan<'_>) {
    let name = shown(&member.name);
    if let Some(how) = member.sealed() {
        scan.found(
            Found::unscannable(
                "zip/encrypted",
                format!("`{name}` is {how}: its content is not looked into"),
            )
            .at(member.header)
            .severity(Severity::High)
            .why("what only its readers with a password see cannot be called clean; some readers pass over the mark")
            .see(&["CVE-2025-1945"])
            .advice("get it without a password, then scan it"),
        );
    }
    if member.link {
        scan.found(
            Found::malicious("archive/link", format!("`{name}` is a symbolic link"))
                .at(member.header)
                .severity(Severity::High)
                .why("unpacked, it leads to a file of the archive's choice")
                .see(&["CWE-59"]),
        );
    }
}

/// Accounts for every byte of the archive from `start` on: members in order with nothing between them, then the
/// directory.
fn account(archive: &Archive<'_>, end: End, start: u64, scan: &mut Scan<'_>) -> Result<u64, Stop> {
    let mut order: Vec<_> = archive.members.iter().collect();
    order.sort_by_key(|member| member.header);
    let mut at = start;
    for member in order {
        if member.header < at {
            return Err(Stop::malformed(
                format!(
                    "has `{}` in the bytes of another member",
                    shown(&member.name)
                ),
                member.header,
            ));
        }
        between(at, member.header, scan);
        let past = member
            .start
            .checked_add(member.packed)
            .filter(|past| *past <= end.directory)
            .ok_or_else(|| {
                Stop::malformed(
                    format!("has `{}` reach beyond its members", shown(&member.name)),
                    member.header,
                )
            })?;
        at = past.saturating_add(descriptor(archive.source, member, past)?);
    }
    between(at, end.directory, scan);
    Ok(archive.source.len())
}

fn between(from: u64, to: u64, scan: &mut Scan<'_>) {
    if from == to {
        return;
    }
    scan.found(
        Found::malicious(
            if from == 0 {
                "zip/prefix"
            } else {
                "zip/between"
            },
            format!("{} bytes that belong to no member", to.saturating_sub(from)),
        )
        .at(from)
        .severity(Severity::High)
        .why("they can be a file of another format, or a member that only some readers see")
        .see(&["AML.T0074", "AML.T0076"]),
    );
}

/// Returns the length of the data descriptor after a member.
fn descriptor(source: &dyn Source, member: &Member, at: u64) -> Result<u64, Stop> {
    if member.flags & 8 == 0 {
        return Ok(0);
    }
    let mut cursor = Cursor::range(source, at, source.len());
    let what = "data descriptor";
    let first = cursor.u32(what)?;
    let signed = first == DESCRIPTOR;
    let crc = if signed { cursor.u32(what)? } else { first };
    let start = cursor.at();
    let small = cursor.left() >= 8
        && u64::from(cursor.u32(what)?) == member.packed
        && u64::from(cursor.u32(what)?) == member.size;
    cursor.seek(start);
    let large = !small
        && cursor.left() >= 16
        && cursor.u64(what)? == member.packed
        && cursor.u64(what)? == member.size;
    // A writer of 64-bit lengths may meet small ones: both of its words are then wide.
    let wide = large || (small && wide_after(source, start, member)?);
    if crc != member.crc || !(small || large) {
        return Err(Stop::malformed(
            format!(
                "has a wrong data descriptor after `{}`",
                shown(&member.name)
            ),
            at,
        ));
    }
    Ok((if signed { 8 } else { 4 }) + if wide { 16 } else { 8 })
}

fn wide_after(source: &dyn Source, at: u64, member: &Member) -> Result<bool, Stop> {
    let mut cursor = Cursor::range(source, at, source.len());
    Ok(cursor.left() >= 16
        && cursor.u64("data descriptor")? == member.packed
        && cursor.u64("data descriptor")? == member.size)
}

impl<'a> Archive<'a> {
    /// Scans a member by its content.
    pub(crate) fn scan(&self, member: &Member, scan: &mut Scan<'_>) {
        if member.name.ends_with('/') && member.size == 0 {
            return;
        }
        if self.scan_large(member, scan) {
            return;
        }
        if let Some(opened) = self.open(member, scan) {
            scan.member(&member.name, opened.source());
        }
    }

    /// Scans a member that unpacks to more than the scanner follows, if it is one that can be read to its
    /// end. Returns whether it is.
    fn scan_large(&self, member: &Member, scan: &mut Scan<'_>) -> bool {
        let high = compressed::is_high(member.packed, member.size);
        let more = member.size > scan.unpackable();
        if member.method == 0 || member.sealed().is_some() || !(high || more) {
            return false;
        }
        let packed = Slice::new(self.source, member.start, member.packed);
        let method = member.method;
        let opened = compressed::large(member.size, scan, move || decoder(method, packed));
        let Some(opened) = opened else {
            return false;
        };
        if opened.source().len() != member.size {
            scan.found(wrong_length(member));
        }
        scan.member(&member.name, opened.source());
        if !scan.read_whole() {
            scan.found(compressed::bomb(member.header, member.packed));
        }
        true
    }

    /// Opens a member's content: a stored one in place, a packed one unpacked. Reports why not; of an
    /// encrypted one that is reported already.
    pub(crate) fn open(&self, member: &Member, scan: &mut Scan<'_>) -> Option<Content<'a>> {
        if member.sealed().is_some() {
            return None;
        }
        let packed = Slice::new(self.source, member.start, member.packed);
        if member.method == 0 {
            if member.packed != member.size {
                scan.found(
                    Found::malicious(
                        "zip/two-stories",
                        format!(
                            "`{}` is stored with two different lengths",
                            shown(&member.name)
                        ),
                    )
                    .at(member.header)
                    .severity(Severity::High)
                    .why("readers disagree on where it ends")
                    .see(&["CWE-436"]),
                );
            }
            return Some(Content::Stored(packed));
        }
        let limit = scan.unpackable().min(member.size.saturating_add(1));
        let method = member.method;
        let opened = unpack(limit, move || decoder(method, packed));
        match opened {
            Ok(opened) => {
                let size = opened.source().len();
                scan.unpacked(size);
                compressed::ratio(member.packed, size, member.header, scan);
                if size != member.size {
                    scan.found(wrong_length(member));
                }
                Some(Content::Unpacked(opened))
            }
            Err(Unpack::TooLong) if limit > member.size => {
                scan.found(wrong_length(member));
                None
            }
            Err(Unpack::TooLong) => {
                scan.found(compressed::bomb(member.header, member.packed));
                None
            }
            Err(Unpack::Damaged(error)) => {
                scan.found(
                    Found::unscannable(
                        "zip/unreadable",
                        format!("`{}` cannot be unpacked: {error}", shown(&member.name)),
                    )
                    .at(member.header)
                    .see(&["AML.T0076"]),
                );
                None
            }
        }
    }
}

fn wrong_length(member: &Member) -> Found {
    Found::malicious(
        "zip/two-stories",
        format!(
            "`{}` unpacks to another length than it declares",
            shown(&member.name)
        ),
    )
    .at(member.header)
    .severity(Severity::High)
    .why("readers disagree on where it ends")
    .see(&["CWE-436"])
}

/// A member's bytes.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    Stored(Slice<'a>),
    Unpacked(Opened<'a>),
}

impl Content<'_> {
    pub(crate) fn source(&self) -> &dyn Source {
        match self {
            Self::Stored(slice) => slice,
            Self::Unpacked(opened) => opened.source(),
        }
    }
}

fn decoder<'a>(method: u16, packed: Slice<'a>) -> io::Result<Box<dyn Read + 'a>> {
    let sequence = || Sequence::owned(packed);
    match method {
        8 => Ok(Box::new(DeflateDecoder::new(sequence()))),
        12 => Ok(Box::new(BzDecoder::new(sequence()))),
        93 => {
            let mut decoder = zstd::Decoder::new(sequence())?;
            decoder.window_log_max(compressed::MAX_WINDOW_LOG)?;
            Ok(Box::new(decoder))
        }
        14 => {
            let mut sequence = sequence();
            let mut header = [0; 9];
            sequence.read_exact(&mut header)?;
            let [_, _, len, high, properties, dictionary @ ..] = header;
            if u16::from_le_bytes([len, high]) != 5 {
                return Err(io::Error::other(
                    "its LZMA properties are of another length",
                ));
            }
            compressed::lzma(
                sequence,
                properties,
                u32::from_le_bytes(dictionary),
                u64::MAX,
            )
        }
        other => Err(io::Error::other(format!("the method {other} is not known"))),
    }
}

/// Reports a ZIP archive that hides at the end of a part of another format: readers of archives look
/// for the end first.
pub(crate) fn hidden(source: &dyn Source, scan: &mut Scan<'_>) {
    let at = match end(source) {
        Ok(Some(end)) => {
            let directory = end.records.saturating_sub(end.directory_len);
            let mut cursor = Cursor::range(source, directory, source.len());
            if end.directory_len == 0 || cursor.u32("directory") != Ok(CENTRAL) {
                return;
            }
            directory
        }
        // Readers take its records where they stand, not where it says that they do.
        Err(Stop::Malformed { at, .. } | Stop::Truncated { at, .. }) => at,
        Ok(None) | Err(_) => return,
    };
    scan.found(
        Found::malicious("polyglot/zip", "the same bytes are a ZIP archive")
            .at(at)
            .severity(Severity::High)
            .why("a reader of archives finds other content than a reader of this format")
            .see(&["AML.T0074"]),
    );
}

/// Scans the archive behind a model of TensorFlow Lite, where its labels lie: one that is whole and fills
/// the end of the file. Anything else of an archive there hides.
pub(crate) fn appended(source: &dyn Source, scan: &mut Scan<'_>) {
    let whole = |scan: &mut Scan<'_>| -> Result<Option<()>, Stop> {
        let Some(end) = end(source)? else {
            return Ok(None);
        };
        let archive = directory(source, end, scan)?;
        let first = archive.members.iter().map(|member| member.header).min();
        account(&archive, end, first.unwrap_or(end.directory), scan)?;
        for member in &archive.members {
            archive.scan(member, scan);
        }
        Ok(Some(()))
    };
    match whole(scan) {
        Ok(Some(())) => scan.found(Found::note(
            "tflite/appended",
            "an archive is appended to the model: what it holds is looked into",
        )),
        Ok(None) => {}
        Err(_) => hidden(source, scan),
    }
}

#[cfg(test)]
#[path = "zip_tests.rs"]
mod tests;
