//! Tar archives: v7, ustar, GNU and pax. Links, devices and paths that leave their folder are reported.
//!
//! Source: POSIX.1-2017 `pax`, GNU tar manual "Basic Tar Format".

use crate::cursor::{Cursor, Stop};
use crate::files::{FileKind, Files};
use crate::names::{self, Names};
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::{Slice, Source};
use custody_findings::Severity;

use super::torch;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "tar",
    recognises,
    parse,
};

const BLOCK: usize = 512;
const MAX_MEMBERS: usize = 50_000;
/// How many links are kept in mind.
const MAX_LINKS: usize = 100;
/// How long a name or a pax header may be, in bytes.
const MAX_EXTENDED: usize = 1 << 20;

fn recognises(head: &Head<'_>) -> bool {
    head.bytes.first_chunk::<BLOCK>().is_some_and(is_header)
}

/// Whether a block is a header: its checksum is right, which no other format meets by chance.
pub(crate) fn is_header(block: &[u8; BLOCK]) -> bool {
    let (before, rest) = block.split_at(148);
    let (field, after) = rest.split_at(8);
    let sum: u32 = before
        .iter()
        .chain(after)
        .map(|byte| u32::from(*byte))
        .sum();
    number(field) == Some(u64::from(sum) + 8 * 32) && block.iter().any(|byte| *byte != 0)
}

/// Reads an octal number, or one in base 256.
fn number(field: &[u8]) -> Option<u64> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        return rest
            .iter()
            .try_fold(u64::from(first & 0x7f), |number, byte| {
                number.checked_mul(256)?.checked_add(u64::from(*byte))
            });
    }
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(|c: char| c == '\0' || c == ' ');
    if digits.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(digits, 8).ok()
}

/// A member's place.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) start: u64,
    pub(crate) len: u64,
}

#[derive(Debug, Default)]
struct Extended {
    name: Option<String>,
    size: Option<u64>,
}

fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let (members, end) = members(source, scan)?;
    if torch::is_tar(&members) {
        torch::tar(source, &members, scan);
        return Ok(Understood {
            format: "PyTorch tar",
            bytes: end,
        });
    }
    let mut files = Files::default();
    for member in &members {
        files.add(shown(&member.name), FileKind::File { size: member.len });
    }
    scan.together(files, |scan| {
        for member in &members {
            scan.member(&member.name, &Slice::new(source, member.start, member.len));
        }
    });
    Ok(Understood {
        format: "tar",
        bytes: end,
    })
}

/// Walks the headers and returns the files and where the archive ends.
fn members(source: &dyn Source, scan: &mut Scan<'_>) -> Result<(Vec<Member>, u64), Stop> {
    let mut cursor = Cursor::new(source);
    let mut members = Vec::new();
    let mut names = Names::default();
    let mut extended = Extended::default();
    let mut links = Vec::new();
    loop {
        let at = cursor.at();
        if cursor.left() == 0 {
            return Ok((members, at));
        }
        let block: [u8; BLOCK] = cursor.array("header")?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok((members, zeros(&mut cursor)?));
        }
        if !is_header(&block) {
            return Err(Stop::malformed("has a header with a wrong checksum", at));
        }
        if members.len() >= MAX_MEMBERS {
            return Err(Stop::limit("the number of members", MAX_MEMBERS, at));
        }
        let header = Header::of(&block, at)?;
        let size = extended.size.take().unwrap_or(header.size);
        let start = cursor.at();
        let padded = size
            .checked_next_multiple_of(BLOCK as u64)
            .ok_or_else(|| Stop::malformed("has a member of an impossible length", at))?;
        match header.kind {
            b'L' | b'K' | b'x' | b'g' => {
                let bytes = cursor.bytes(size, MAX_EXTENDED, "extended header")?;
                extend(header.kind, &bytes, &mut extended, at)?;
                cursor.skip(padded - size, "extended header")?;
                continue;
            }
            _ => {}
        }
        let name = extended.name.take().unwrap_or(header.name);
        names.check(&name, at, scan);
        if links
            .iter()
            .any(|link: &String| name.starts_with(link.as_str()))
        {
            scan.found(through(&name).at(at));
        }
        match header.kind {
            b'0' | 0 | b'7' => members.push(Member {
                name,
                start,
                len: size,
            }),
            b'5' => {}
            kind => {
                special(kind, &name, &header.link, at, scan);
                if links.len() < MAX_LINKS {
                    links.push(format!("{name}/"));
                }
            }
        }
        let holds = !matches!(header.kind, b'1'..=b'6');
        cursor.skip(if holds { padded } else { 0 }, "member")?;
    }
}

struct Header {
    name: String,
    link: String,
    size: u64,
    kind: u8,
}

impl Header {
    fn of(block: &[u8; BLOCK], at: u64) -> Result<Self, Stop> {
        let text = |from: usize, len: usize| {
            let field = block.get(from..from + len).unwrap_or_default();
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(len);
            String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
        };
        let posix = block.get(257..263) == Some(b"ustar\0");
        let prefix = if posix { text(345, 155) } else { String::new() };
        let name = if prefix.is_empty() {
            text(0, 100)
        } else {
            format!("{prefix}/{}", text(0, 100))
        };
        let size = number(block.get(124..136).unwrap_or_default())
            .ok_or_else(|| Stop::malformed("has a header with a length that is no number", at))?;
        Ok(Self {
            name,
            link: text(157, 100),
            size,
            kind: block.get(156).copied().unwrap_or(0),
        })
    }
}

fn extend(kind: u8, bytes: &[u8], extended: &mut Extended, at: u64) -> Result<(), Stop> {
    match kind {
        b'L' => {
            let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            extended.name = Some(String::from_utf8_lossy(name).into_owned());
        }
        b'x' | b'g' => {
            for (key, value) in records(bytes, at)? {
                match key.as_str() {
                    "path" => extended.name = Some(value),
                    "size" => {
                        extended.size = Some(value.parse().map_err(|_| {
                            Stop::malformed("has an extended header with a length that is none", at)
                        })?);
                    }
                    _ if key.starts_with("GNU.sparse") => {
                        return Err(Stop::malformed("has a sparse member", at));
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// The records of a pax header: `length key=value` and a line feed.
fn records(bytes: &[u8], at: u64) -> Result<Vec<(String, String)>, Stop> {
    let wrong = || Stop::malformed("has an extended header that is none", at);
    let (mut records, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let space = rest
            .iter()
            .position(|byte| *byte == b' ')
            .ok_or_else(wrong)?;
        let len: usize = rest
            .get(..space)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(wrong)?;
        let record = rest.get(space + 1..len).ok_or_else(wrong)?;
        let text = String::from_utf8_lossy(record).into_owned();
        let (key, value) = text
            .trim_end_matches('\n')
            .split_once('=')
            .ok_or_else(wrong)?;
        records.push((key.to_owned(), value.to_owned()));
        rest = rest.get(len..).ok_or_else(wrong)?;
    }
    Ok(records)
}

fn through(name: &str) -> Found {
    Found::malicious(
        "archive/link",
        format!("`{}` is written through a link", shown(name)),
    )
    .severity(Severity::High)
    .why("unpacked, it lands in another folder than its name says")
    .see(&["CWE-59", "CVE-2007-4559"])
}

fn special(kind: u8, name: &str, link: &str, at: u64, scan: &mut Scan<'_>) {
    let found = match kind {
        b'1' | b'2' if !names::escapes(link) => {
            scan.found(
                Found::note(
                    "archive/link",
                    format!("`{}` is a link to `{}`", shown(name), shown(link)),
                )
                .at(at)
                .why("it stays in the folder that the archive is unpacked to"),
            );
            return;
        }
        b'1' | b'2' => Found::malicious(
            "archive/link",
            format!("`{}` is a link to `{}`", shown(name), shown(link)),
        )
        .why("unpacked, it leads to a file of the archive's choice")
        .see(&["CWE-59", "CVE-2007-4559"]),
        b'3' | b'4' | b'6' => Found::malicious(
            "archive/device",
            format!("`{}` is a device or a pipe", shown(name)),
        )
        .see(&["CWE-59"]),
        other => Found::unscannable(
            "tar/kind",
            format!(
                "`{}` is of the kind 0x{other:02x}, which is not known",
                shown(name)
            ),
        ),
    };
    scan.found(found.at(at).severity(Severity::High));
}

/// Passes the zeros that fill an archive's last blocks and returns where they end.
fn zeros(cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
    while let Some(byte) = cursor.peek()? {
        if byte != 0 {
            break;
        }
        cursor.skip(1, "padding")?;
    }
    Ok(cursor.at())
}

/// Reports a tar archive that hides in a part of another format: PyTorch's older loader tries tar first.
pub(crate) fn hidden(head: &Head<'_>, scan: &mut Scan<'_>) {
    if recognises(head) {
        scan.found(
            Found::malicious("polyglot/tar", "the same bytes are a tar archive")
                .at(0)
                .severity(Severity::High)
                .why("a reader of archives finds other content than a reader of this format")
                .see(&["AML.T0074"]),
        );
    }
}
