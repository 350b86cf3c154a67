//! Pictures, sound and documents: no loader of models executes them. Those whose end can be told are
//! read to it, and what follows is looked at by itself.

use crate::cursor::{Cursor, Stop};
use crate::scan::{Found, Scan, Understood};
use crate::sniff::Format;
use crate::source::{Slice, Source};
use custody_findings::Severity;

pub(crate) const FORMAT: Format = Format {
    name: "media",
    recognises: |head| kind(head.bytes).is_some(),
    parse,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Png,
    Jpeg,
    Gif,
    Riff,
    /// One whose end is not told.
    Other(&'static str),
}

const MAGIC: [(&[u8], Kind); 13] = [
    (b"\x89PNG\r\n\x1a\n", Kind::Png),
    (b"\xff\xd8\xff", Kind::Jpeg),
    (b"GIF87a", Kind::Gif),
    (b"GIF89a", Kind::Gif),
    (b"RIFF", Kind::Riff),
    (b"%PDF-", Kind::Other("PDF")),
    (b"OggS", Kind::Other("Ogg")),
    (b"fLaC", Kind::Other("FLAC")),
    (b"ID3", Kind::Other("MP3")),
    (b"II*\0", Kind::Other("TIFF")),
    (b"MM\0*", Kind::Other("TIFF")),
    (b"wOF2", Kind::Other("font")),
    (b"\0\x01\0\0\0", Kind::Other("font")),
];

fn kind(head: &[u8]) -> Option<Kind> {
    let (_, kind) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic))?;
    let sure = match kind {
        Kind::Riff => matches!(head.get(8..12), Some(b"WAVE" | b"WEBP" | b"AVI ")),
        Kind::Other("font") => head.starts_with(b"wOF2") || head.get(12..16) == Some(b"DSIG"),
        Kind::Other("MP3") => head.get(3).is_some_and(|version| *version < 5),
        _ => true,
    };
    sure.then_some(*kind)
}

fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut head = vec![0; 16];
    let count = source.read_at(0, &mut head)?;
    head.truncate(count);
    let mut cursor = Cursor::new(source);
    let format = match kind(&head) {
        Some(Kind::Png) => {
            png(&mut cursor)?;
            "PNG"
        }
        Some(Kind::Jpeg) => {
            jpeg(&mut cursor)?;
            "JPEG"
        }
        Some(Kind::Gif) => {
            gif(&mut cursor)?;
            "GIF"
        }
        Some(Kind::Riff) => {
            cursor.skip(4, "a RIFF header")?;
            let len = u64::from(cursor.u32("a RIFF header")?);
            let padded = (len + len % 2).min(cursor.left());
            cursor.skip(len.max(padded), "a RIFF chunk")?;
            "RIFF"
        }
        Some(Kind::Other(name)) => {
            cursor.seek(source.len());
            name
        }
        None => return Err(Stop::malformed("is no media", 0)),
    };
    appended(source, cursor.at(), scan);
    if scan.depth() == 0 || format == "PDF" {
        scan.found(Found::note(
            "media/data",
            format!("{format}: no loader of models executes it"),
        ));
    }
    Ok(Understood {
        format,
        bytes: source.len(),
    })
}

fn appended(source: &dyn Source, end: u64, scan: &mut Scan<'_>) {
    let left = source.len().saturating_sub(end);
    if left == 0 {
        return;
    }
    scan.found(
        Found::review("media/appended", format!("{left} bytes follow its end"))
            .severity(Severity::High)
            .why("two loaders can read one file as two things, and a picture hides a payload well")
            .see(&["AML.T0074", "CWE-434"])
            .at(end),
    );
    scan.member("appended", &Slice::new(source, end, left));
}

/// Reads the chunks to `IEND` (PNG, section 5).
fn png(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    cursor.skip(8, "a PNG signature")?;
    loop {
        let at = cursor.at();
        let len = u32::from_be_bytes(cursor.array("a PNG chunk")?);
        let name: [u8; 4] = cursor.array("a PNG chunk")?;
        if !name.iter().all(u8::is_ascii_alphabetic) {
            return Err(Stop::malformed("has a chunk without a name", at));
        }
        cursor.skip(u64::from(len).saturating_add(4), "a PNG chunk")?;
        if name == *b"IEND" {
            return Ok(());
        }
    }
}

/// Reads the segments to the end of the image (JPEG, annex B).
fn jpeg(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    cursor.skip(2, "a JPEG marker")?;
    loop {
        let at = cursor.at();
        if cursor.u8("a JPEG marker")? != 0xff {
            return Err(Stop::malformed("has no marker where one is due", at));
        }
        let mut marker = cursor.u8("a JPEG marker")?;
        while marker == 0xff {
            marker = cursor.u8("a JPEG marker")?;
        }
        match marker {
            0xd9 => return Ok(()),
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let len = u16::from_be_bytes(cursor.array("a JPEG segment")?);
        let rest = u64::from(len)
            .checked_sub(2)
            .ok_or_else(|| Stop::malformed("has a segment shorter than its length", at))?;
        cursor.skip(rest, "a JPEG segment")?;
        if marker == 0xda {
            entropy(cursor)?;
        }
    }
}

/// Steps over coded data up to the next marker.
fn entropy(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    loop {
        if cursor.u8("JPEG data")? != 0xff {
            continue;
        }
        match cursor.peek()? {
            Some(0x00 | 0xd0..=0xd7) => {
                cursor.byte()?;
            }
            Some(0xff) => {}
            _ => {
                cursor.seek(cursor.at().saturating_sub(1));
                return Ok(());
            }
        }
    }
}

/// Reads the blocks to the trailer (GIF 89a).
fn gif(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    cursor.skip(10, "a GIF header")?;
    let flags = cursor.u8("a GIF header")?;
    cursor.skip(2, "a GIF header")?;
    table(cursor, flags)?;
    loop {
        let at = cursor.at();
        match cursor.u8("a GIF block")? {
            0x3b => return Ok(()),
            0x21 => cursor.skip(1, "a GIF extension")?,
            0x2c => {
                cursor.skip(8, "a GIF image")?;
                let flags = cursor.u8("a GIF image")?;
                table(cursor, flags)?;
                cursor.skip(1, "a GIF image")?;
            }
            _ => return Err(Stop::malformed("has a block of no known kind", at)),
        }
        loop {
            match cursor.u8("a GIF block")? {
                0 => break,
                len => cursor.skip(u64::from(len), "a GIF block")?,
            }
        }
    }
}

/// Steps over a table of colours.
fn table(cursor: &mut Cursor<'_>, flags: u8) -> Result<(), Stop> {
    if flags & 0x80 == 0 {
        return Ok(());
    }
    cursor.skip(3u64 << ((flags & 7) + 1), "a table of colours")
}

#[cfg(test)]
mod tests {
    use crate::scan;
    use custody_findings::{Report, Rules, Verdict};

    fn scanned(bytes: &[u8]) -> Report {
        scan("a.png", &bytes, &Rules::built_in().unwrap())
    }

    fn pictures() -> [Vec<u8>; 4] {
        let chunk = |name: &[u8], body: &[u8]| {
            let mut chunk = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
            chunk.extend_from_slice(name);
            chunk.extend_from_slice(body);
            chunk.extend_from_slice(&[0; 4]);
            chunk
        };
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        png.extend(chunk(b"IHDR", &[0; 13]));
        png.extend(chunk(b"IDAT", &[1, 2, 3]));
        png.extend(chunk(b"IEND", &[]));
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xda\0\x03c12\xff\x0034\xff\xd05\xff\xd9".to_vec();
        let gif =
            b"GIF89a\x01\0\x01\0\x80\0\0abcdef,\0\0\0\0\x01\0\x01\0\0\x02\x02L\x01\0;".to_vec();
        let wave = b"RIFF\x04\0\0\0WAVE".to_vec();
        [png, jpeg, gif, wave]
    }

    #[test]
    fn a_picture_is_read_to_its_end_and_what_follows_is_found() {
        for picture in pictures() {
            let report = scanned(&picture);
            assert_eq!(report.verdict, Verdict::Clean, "{:?}", report.findings);
            assert_eq!(report.parts[0].understood, picture.len() as u64);
            let mut longer = picture.clone();
            longer.extend_from_slice(b"import os\nos.system('id')\n");
            let report = scanned(&longer);
            assert_eq!(report.verdict, Verdict::Review);
            let rules: Vec<_> = report.findings.iter().map(|f| f.rule.as_str()).collect();
            assert!(
                rules.contains(&"media/appended") && rules.contains(&"text/code"),
                "{rules:?}"
            );
            for cut in 6..picture.len() {
                assert_ne!(scanned(&picture[..cut]).verdict, Verdict::Malicious);
            }
        }
    }
}
