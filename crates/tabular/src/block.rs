//! Text in blocks of whole rows.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use memchr::{memchr, memchr_iter};

use crate::error::{Place, Refusal, TabularError};
use crate::recognise::{Packing, reading};

/// How much text is read at once, in bytes. Part of what the bytes of the output depend on.
pub const BLOCK: usize = 1 << 20;
/// The largest row, in bytes.
pub const MAX_ROW: usize = 1 << 26;

/// How bytes become text.
enum Decoding {
    /// They are UTF-8, which is checked with the rows.
    Utf8,
    /// Every byte is the character of its number.
    Latin1,
    /// As UTF-8, without bytes past 127.
    Ascii,
    /// By a table; with the bytes that the table leaves out.
    Other(Box<Decoder>, &'static [u8]),
}

/// Where text comes from.
pub(crate) struct Text<'a> {
    from: Box<dyn Read + Send + 'a>,
    packing: Packing,
    decoding: Decoding,
    /// Bytes that were read and not decoded.
    raw: Vec<u8>,
    ended: bool,
    flushed: bool,
    /// The line of the last decoded character, and its place in it, where bytes are decoded by a table.
    line: u64,
    character: u64,
    /// The name of the encoding.
    pub(crate) encoding: &'static str,
    /// Whether the encoding was not declared, but said by a mark.
    pub(crate) marked: bool,
}

/// Some whole rows.
pub(crate) struct Block {
    pub(crate) text: Vec<u8>,
    /// The line with which it begins, from 1.
    pub(crate) line: u64,
}

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Text")
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}

fn decoding(label: &str) -> Result<(Decoding, &'static str), Refusal> {
    let lower = label.trim().to_ascii_lowercase();
    match lower.as_str() {
        "utf-8" | "utf8" => return Ok((Decoding::Utf8, "utf-8")),
        "latin1" | "latin-1" | "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "l1" => {
            return Ok((Decoding::Latin1, "iso-8859-1"));
        }
        "ascii" | "us-ascii" => return Ok((Decoding::Ascii, "ascii")),
        "cp1252" => return decoding("windows-1252"),
        "cp1250" => return decoding("windows-1250"),
        "cp1251" => return decoding("windows-1251"),
        _ => {}
    }
    let unknown = || {
        Refusal::new(format!("`{label}` is no encoding that is known here"))
            .hint("name it as the web does: `utf-8`, `windows-1252`, `iso-8859-15`, `utf-16le`, `shift_jis`, `gb18030`")
    };
    let encoding = Encoding::for_label_no_replacement(lower.as_bytes()).ok_or_else(unknown)?;
    let name = encoding.name();
    // The web's name for a related table: it has characters where the named one has control codes.
    if name.starts_with("windows-")
        && !lower.starts_with("windows-")
        && !lower.starts_with("cp")
        && !lower.starts_with("x-cp")
    {
        return Err(Refusal::new(format!(
            "`{label}` is read only as `{}`, which differs in 32 bytes",
            name.to_ascii_lowercase()
        ))
        .hint(format!(
            "declare `encoding: {}` if that is right",
            name.to_ascii_lowercase()
        )));
    }
    if name == "x-user-defined" {
        return Err(unknown());
    }
    let left_out: &'static [u8] = match name {
        "windows-1252" => &[0x81, 0x8d, 0x8f, 0x90, 0x9d],
        "windows-1250" => &[0x81, 0x83, 0x88, 0x90, 0x98],
        "windows-1251" => &[0x98],
        "windows-1254" => &[0x81, 0x8d, 0x8e, 0x8f, 0x90, 0x9d, 0x9e],
        _ => &[],
    };
    let decoder = encoding.new_decoder_without_bom_handling();
    Ok((Decoding::Other(Box::new(decoder), left_out), name))
}

impl<'a> Text<'a> {
    /// Begins to read text of the declared encoding, or of that which a byte order mark says, or UTF-8.
    pub(crate) fn new(
        mut from: Box<dyn Read + Send + 'a>,
        packing: Packing,
        encoding: Option<&str>,
    ) -> Result<Self, TabularError> {
        let mut raw = Vec::new();
        from.by_ref()
            .take(4)
            .read_to_end(&mut raw)
            .map_err(|error| reading(error, packing))?;
        let (decoding, name, mark) = begin(&raw, encoding)?;
        raw.drain(..mark.min(raw.len()));
        Ok(Self {
            from,
            packing,
            decoding,
            raw,
            ended: false,
            flushed: false,
            line: 1,
            character: 1,
            encoding: name,
            marked: mark > 0 && encoding.is_none(),
        })
    }

    fn error(&self, error: io::Error) -> TabularError {
        reading(error, self.packing)
    }

    /// Reads until `out` holds `size` bytes of text or there is no more. Returns whether there may be more.
    fn fill(&mut self, out: &mut Vec<u8>, size: usize) -> Result<bool, TabularError> {
        while out.len() < size {
            if matches!(self.decoding, Decoding::Utf8 | Decoding::Ascii) {
                out.append(&mut self.raw);
                let missing = size.saturating_sub(out.len());
                let wanted = u64::try_from(missing).unwrap_or(u64::MAX);
                let read = self.from.by_ref().take(wanted).read_to_end(out);
                let read = read.map_err(|error| self.error(error))?;
                if read < missing {
                    return Ok(false);
                }
                continue;
            }
            if self.flushed {
                return Ok(false);
            }
            if !self.ended {
                const PIECE: u64 = 1 << 16;
                let read = self.from.by_ref().take(PIECE).read_to_end(&mut self.raw);
                let read = read.map_err(|error| self.error(error))?;
                self.ended = u64::try_from(read).unwrap_or(u64::MAX) < PIECE;
            }
            self.decode(out)?;
        }
        Ok(true)
    }

    /// Decodes what was read.
    fn decode(&mut self, out: &mut Vec<u8>) -> Result<(), TabularError> {
        let start = out.len();
        let raw = std::mem::take(&mut self.raw);
        let mut wrong = None;
        match &mut self.decoding {
            Decoding::Utf8 | Decoding::Ascii => {}
            Decoding::Latin1 => {
                for byte in &raw {
                    match byte {
                        0..=0x7f => out.push(*byte),
                        _ => out.extend_from_slice(&[0xc0 | (byte >> 6), 0x80 | (byte & 0x3f)]),
                    }
                }
                self.flushed = self.ended;
            }
            Decoding::Other(decoder, left_out) => {
                let good = raw.iter().position(|byte| left_out.contains(byte));
                let bytes = raw.get(..good.unwrap_or(raw.len())).unwrap_or_default();
                let last = self.ended && good.is_none();
                let mut text = String::new();
                let mut at = 0;
                loop {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let room = decoder.max_utf8_buffer_length_without_replacement(rest.len());
                    text.reserve(room.unwrap_or(1 << 16).max(16));
                    let (result, read) =
                        decoder.decode_to_string_without_replacement(rest, &mut text, last);
                    at += read;
                    match result {
                        DecoderResult::InputEmpty => break,
                        DecoderResult::OutputFull => {}
                        DecoderResult::Malformed(..) => {
                            wrong = Some(());
                            break;
                        }
                    }
                }
                out.extend_from_slice(text.as_bytes());
                if good.is_some() {
                    wrong = Some(());
                }
                self.flushed = self.ended;
            }
        }
        self.follow(out.get(start..).unwrap_or_default());
        if wrong.is_some() {
            return Err(undecodable(self.encoding, self.line, self.character).into());
        }
        Ok(())
    }

    /// Follows where decoded text stands.
    fn follow(&mut self, text: &[u8]) {
        let lines = memchr_iter(b'\n', text).count();
        self.line += u64::try_from(lines).unwrap_or(u64::MAX);
        let rest = match memchr::memrchr(b'\n', text) {
            Some(end) => {
                self.character = 1;
                text.get(end + 1..).unwrap_or_default()
            }
            None => text,
        };
        self.character += characters(rest);
    }

    /// Tells whether bytes past 127 are refused.
    pub(crate) fn is_ascii(&self) -> bool {
        matches!(self.decoding, Decoding::Ascii)
    }
}

fn characters(text: &[u8]) -> u64 {
    let count = text.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn undecodable(encoding: &str, line: u64, character: u64) -> Refusal {
    let hint = if encoding == "utf-8" {
        "declare the encoding it has: `csv: {encoding: windows-1252}`".to_owned()
    } else {
        "declare another encoding, or mend the file".to_owned()
    };
    Refusal {
        place: Some(Place {
            line,
            column: None,
            character: Some(character),
        }),
        ..Refusal::new(format!(
            "bytes that are no {} text",
            encoding.to_ascii_lowercase()
        ))
        .hint(hint)
    }
}

fn begin(raw: &[u8], declared: Option<&str>) -> Result<(Decoding, &'static str, usize), Refusal> {
    if raw == [0xff, 0xfe, 0, 0] || raw == [0, 0, 0xfe, 0xff] {
        return Err(Refusal::new("it is UTF-32, which is not read")
            .hint("convert it to UTF-8: `iconv -f utf-32 -t utf-8`"));
    }
    let mark = Encoding::for_bom(raw);
    let Some(label) = declared else {
        return Ok(match mark {
            Some((encoding, size)) if encoding == UTF_16LE || encoding == UTF_16BE => {
                let decoder = encoding.new_decoder_without_bom_handling();
                (
                    Decoding::Other(Box::new(decoder), &[]),
                    encoding.name(),
                    size,
                )
            }
            Some((_, size)) => (Decoding::Utf8, "utf-8", size),
            None => (Decoding::Utf8, "utf-8", 0),
        });
    };
    let lower = label.trim().to_ascii_lowercase();
    if lower == "utf-16" || lower == "utf16" {
        return match mark {
            Some((encoding, _)) if encoding != UTF_8 => begin(raw, None),
            _ => Err(
                Refusal::new("it has no mark that says which order its bytes have")
                    .hint("declare `utf-16le` or `utf-16be`"),
            ),
        };
    }
    if lower == "utf-8-sig" {
        return begin(raw, Some("utf-8"));
    }
    let (decoding, name) = decoding(label)?;
    match mark {
        None => Ok((decoding, name, 0)),
        Some((encoding, size)) if encoding.name().eq_ignore_ascii_case(name) => {
            Ok((decoding, name, size))
        }
        Some((encoding, _)) => Err(Refusal::new(format!(
            "declared to be {}, but it begins with the mark of {}",
            name.to_ascii_lowercase(),
            encoding.name().to_ascii_lowercase()
        ))),
    }
}

/// Finds where whole rows end: the byte after the last end of a row in text that begins with a row.
pub(crate) trait Cut: Sync {
    /// Returns the byte after the last end of a row.
    fn cut(&self, text: &[u8]) -> Option<usize>;

    /// Returns the byte that ends lines.
    fn line_end(&self) -> u8;
}

/// Text in blocks of whole rows.
pub(crate) struct Blocks<'a, 'c> {
    text: Text<'a>,
    cut: &'c dyn Cut,
    carry: Vec<u8>,
    line: u64,
    ended: bool,
}

impl<'a, 'c> Blocks<'a, 'c> {
    pub(crate) fn new(text: Text<'a>, cut: &'c dyn Cut) -> Self {
        Self {
            text,
            cut,
            carry: Vec::new(),
            line: 1,
            ended: false,
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Block>, TabularError> {
        if self.ended {
            return Ok(None);
        }
        let mut text = Vec::with_capacity(BLOCK + (BLOCK >> 2));
        text.append(&mut self.carry);
        let mut size = BLOCK;
        loop {
            let more = self.text.fill(&mut text, size)?;
            if !more {
                self.ended = true;
                break;
            }
            if let Some(end) = self.cut.cut(&text) {
                self.carry = text.split_off(end);
                break;
            }
            if size >= MAX_ROW {
                return Err(Refusal::new(format!(
                    "the row that begins here is longer than {} MiB: is a quote left open?",
                    MAX_ROW >> 20
                ))
                .hint("declare `csv: {quote: \"\"}` if quotes are plain text in it")
                .at(self.line, None)
                .into());
            }
            size *= 2;
        }
        let line = self.line;
        self.line += lines(&text, self.cut.line_end());
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(Block { text, line }))
    }

    /// Reads up to `count` blocks.
    pub(crate) fn group(&mut self, count: usize) -> Result<Vec<Block>, TabularError> {
        let mut group = Vec::with_capacity(count);
        while group.len() < count {
            match self.next()? {
                Some(block) => group.push(block),
                None => break,
            }
        }
        Ok(group)
    }
}

pub(crate) fn lines(text: &[u8], end: u8) -> u64 {
    u64::try_from(memchr_iter(end, text).count()).unwrap_or(u64::MAX)
}

impl Block {
    /// Returns the text, checked.
    pub(crate) fn checked(
        &self,
        ascii: bool,
        encoding: &'static str,
        end: u8,
    ) -> Result<&str, Refusal> {
        let valid = if ascii {
            Encoding::ascii_valid_up_to(&self.text)
        } else {
            Encoding::utf8_valid_up_to(&self.text)
        };
        let nul = memchr(0, &self.text);
        let wrong = match nul {
            Some(nul) if nul < valid => Some(nul),
            _ => (valid < self.text.len()).then_some(valid),
        };
        if let Some(at) = wrong {
            let before = self.text.get(..at).unwrap_or_default();
            let line = self.line + lines(before, end);
            let start = memchr::memrchr(end, before).map_or(0, |end| end + 1);
            let character = 1 + characters(before.get(start..).unwrap_or_default());
            let mut refusal = undecodable(encoding, line, character);
            if nul == Some(at) {
                "a byte with the value 0: it is no text, or has another encoding"
                    .clone_into(&mut refusal.because);
                refusal.hint = Some(
                    "if it is UTF-16, declare `csv: {encoding: utf-16le}` (or `utf-16be`)"
                        .to_owned(),
                );
            }
            return Err(refusal);
        }
        std::str::from_utf8(&self.text).map_err(|_| undecodable(encoding, self.line, 1))
    }
}

/// Works on the blocks on every core and takes the results in their order.
pub(crate) fn each_block<T: Send>(
    blocks: &mut Blocks<'_, '_>,
    work: impl Fn(&Block) -> T + Sync,
    mut take: impl FnMut(Vec<(T, Block)>) -> Result<(), TabularError>,
) -> Result<(), TabularError> {
    use rayon::prelude::*;
    let count = rayon::current_num_threads().clamp(1, 64) * 2;
    let mut group = blocks.group(count)?;
    while !group.is_empty() {
        let (next, worked) = rayon::join(
            || blocks.group(count),
            || {
                group
                    .into_par_iter()
                    .map(|block| (work(&block), block))
                    .collect::<Vec<_>>()
            },
        );
        take(worked)?;
        group = next?;
    }
    Ok(())
}
