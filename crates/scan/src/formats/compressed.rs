//! Compressed files: gzip, zlib, bzip2, xz, lzma, lz4, zstd; what they hold is scanned as a member.

use std::io::{self, BufReader, Read};

use bzip2::read::MultiBzDecoder;
use flate2::bufread::ZlibDecoder;
use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::{LzmaReader, XzReader};

use crate::cursor::Stop;
use crate::scan::{Found, Scan, Understood};
use crate::sniff::{Format, Head};
use crate::source::{Opened, Sequence, Slice, Source, Unpack, unpack};
use custody_findings::Severity;

/// The formats.
pub(crate) const GZIP: Format = Format {
    name: "gzip",
    recognises: |head| head.starts_with(&[0x1f, 0x8b, 8]),
    parse: |source, scan| {
        parse("gzip", source, scan, |packed| {
            Ok(Box::new(MultiGzDecoder::new(packed)))
        })
    },
};
pub(crate) const BZIP2: Format = Format {
    name: "bzip2",
    recognises: |head| matches!(head.bytes, [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..]),
    parse: |source, scan| {
        parse("bzip2", source, scan, |packed| {
            Ok(Box::new(MultiBzDecoder::new(packed)))
        })
    },
};
pub(crate) const XZ: Format = Format {
    name: "xz",
    recognises: |head| head.starts_with(b"\xfd7zXZ\0"),
    parse: |source, scan| {
        parse("xz", source, scan, |packed| {
            Ok(Box::new(XzReader::new_mem_limit(
                packed,
                true,
                MAX_MEMORY_KIB,
            )))
        })
    },
};
pub(crate) const LZMA: Format = Format {
    name: "lzma",
    recognises: is_lzma,
    parse: |source, scan| {
        parse("lzma", source, scan, |packed| {
            Ok(Box::new(LzmaReader::new_mem_limit(
                packed,
                MAX_MEMORY_KIB,
                None,
            )?))
        })
    },
};
pub(crate) const ZSTD: Format = Format {
    name: "zstd",
    // A frame, or one that decoders skip.
    recognises: |head| {
        head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
            || matches!(head.bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
    },
    parse: |source, scan| {
        parse("zstd", source, scan, |packed| {
            let mut decoder = zstd::Decoder::new(packed)?;
            decoder.window_log_max(MAX_WINDOW_LOG)?;
            Ok(Box::new(decoder))
        })
    },
};
pub(crate) const LZ4: Format = Format {
    name: "lz4",
    recognises: |head| head.starts_with(&[0x04, 0x22, 0x4d, 0x18]),
    parse: |source, scan| {
        let understood = parse("lz4", source, scan, |packed| {
            Ok(Box::new(FrameDecoder::new(packed)))
        })?;
        let mut frame = FrameDecoder::new(Sequence::new(source));
        io::copy(&mut frame, &mut io::sink())?;
        Ok(Understood {
            bytes: frame.get_ref().at(),
            ..understood
        })
    },
};
pub(crate) const ZLIB: Format = Format {
    name: "zlib",
    recognises: is_zlib,
    parse: |source, scan| {
        let understood = parse("zlib", source, scan, |packed| {
            Ok(Box::new(ZlibDecoder::new(BufReader::new(packed))))
        })?;
        let mut stream = ZlibDecoder::new(BufReader::new(Sequence::new(source)));
        io::copy(&mut stream, &mut io::sink())?;
        Ok(Understood {
            bytes: stream.total_in(),
            ..understood
        })
    },
};
/// What is known by its beginning and not read here: other archives, encryption, other serialisations.
pub(crate) const SEALED: Format = Format {
    name: "sealed file",
    recognises: |head| sealed(head).is_some(),
    parse: |source, scan| {
        let mut head = [0; 16];
        let count = source.read_at(0, &mut head)?;
        let head = Head {
            bytes: head.get(..count).unwrap_or_default(),
            source,
        };
        scan.found(
            Found::unscannable(
                "compressed/sealed",
                format!(
                    "{}, which is not looked into",
                    sealed(&head).unwrap_or("a sealed file")
                ),
            )
            .severity(Severity::High)
            .see(&["AML.T0074", "AML.T0076"]),
        );
        Ok(Understood {
            format: "sealed file",
            bytes: source.len(),
        })
    },
};

/// How much memory a decoder may take, in KiB.
const MAX_MEMORY_KIB: u32 = 24 << 10;
/// How far back a zstd stream may point, as a power of two bytes.
pub(crate) const MAX_WINDOW_LOG: u32 = 24;
/// From this size on the ratio counts, in bytes.
const RATIO_FROM: u64 = 64 << 20;
/// A higher ratio than this is a bomb's.
const MAX_RATIO: u64 = 500;

/// Whether a part is a model of TensorFlow Lite.
pub(crate) fn is_tflite(head: &Head<'_>) -> bool {
    head.bytes.get(4..8) == Some(b"TFL3")
}

fn sealed(head: &Head<'_>) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 32] = [
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (&[0x1f, 0x9d], "a file of `compress`"),
        (&[0x1f, 0xa0], "a file of `compress`"),
        (b"LZIP", "an lzip file"),
        (b"\x89LZO\0", "an lzop file"),
        (b"\xff\x06\0\0sNaPpY", "a Snappy file"),
        (b"MSCF", "a cabinet"),
        (b"!<arch>\n", "an archive of `ar`"),
        (b"ZF0x", "a compressed file of joblib 0.9"),
        (b"Salted__", "a file that OpenSSL encrypted"),
        (b"age-encryption.org/", "a file that age encrypted"),
        (b"<?php", "a PHP program"),
        (b"\xac\xed\0\x05", "serialised Java"),
        (
            b"\0\x01\0\0\0\xff\xff\xff\xff\x01\0\0\0\0\0\0\0",
            "serialised .NET",
        ),
        (b"\x04\x08", "serialised Ruby"),
        (b"7JL", "serialised Julia"),
        (b"HDF5-based Julia Data Format", "a file of Julia's JLD2"),
        (
            b"4\n1\n3\nV 1\n",
            "a file of Torch7, whose objects and functions are Lua",
        ),
        (b"ftrt", "an engine of TensorRT, which is native code"),
        (b"ptrt", "an engine of TensorRT, which is native code"),
        (b"MXNX", "a model of MXNet"),
        (b"O:", "serialised PHP"),
        (b"\x1bLJ", "bytecode of LuaJIT"),
        // What R reads can be a promise, which is code that runs when it is looked at (CVE-2024-27322).
        (b"RDX2\n", "an R workspace"),
        (b"RDX3\n", "an R workspace"),
        (b"RDA2\n", "an R workspace"),
        (b"RDA3\n", "an R workspace"),
        (b"X\n\0\0\0\x02", "serialised R"),
        (b"X\n\0\0\0\x03", "serialised R"),
        (b"B\n\x02\0\0\0", "serialised R"),
        (b"B\n\x03\0\0\0", "serialised R"),
    ];
    if is_tflite(head) {
        return Some("a model of TensorFlow Lite");
    }
    if is_torch7(head.bytes) {
        return Some("a file of Torch7, whose objects and functions are Lua");
    }
    if is_bson(head) {
        return Some("BSON, in which Julia's BSON.jl finds code");
    }
    MAGIC
        .iter()
        .find(|(magic, _)| head.starts_with(magic))
        .map(|(_, name)| *name)
}

/// Torch7's binary form: the kind of a value, its number, and then an object's version or a function's bytecode.
fn is_torch7(head: &[u8]) -> bool {
    let number = |at: usize| {
        let bytes = head.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let after = |at: usize, text: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(text));
    let bytecode = || {
        let early = head.get(..1024).unwrap_or(head);
        early
            .windows(4)
            .any(|window| window.starts_with(b"\x1bLJ") || window == b"\x1bLua")
    };
    match number(0) {
        Some(3 | 6..=8) if bytecode() => true,
        // An object, or a table that has one early on.
        Some(4) => number(8) == Some(3) && after(12, b"V 1"),
        Some(3) => {
            let early = head.get(..256).unwrap_or(head);
            early.windows(7).any(|window| window == b"\x03\0\0\0V 1")
        }
        Some(6..=8) => after(8, b"\x1bL") || after(12, b"\x1bL"),
        _ => false,
    }
}

/// A BSON document: its own length, elements, a zero.
fn is_bson(head: &Head<'_>) -> bool {
    let Some((length, [kind, rest @ ..])) = head.bytes.split_first_chunk::<4>() else {
        return false;
    };
    let mut last = [1];
    let size = head.source.len();
    let name = rest.iter().position(|byte| *byte == 0);
    u64::from(u32::from_le_bytes(*length)) == size
        && (1..=0x13).contains(kind)
        && name.is_some_and(|end| {
            let name = rest.get(..end).unwrap_or_default();
            !name.is_empty() && name.iter().all(|byte| (0x20..0x7f).contains(byte))
        })
        && head
            .source
            .read_at(size.saturating_sub(1), &mut last)
            .is_ok()
        && last == [0]
}

/// A zlib header: the method, a checksum of two bytes, no preset dictionary; and it must unpack.
fn is_zlib(head: &Head<'_>) -> bool {
    let [method, flags, ..] = head.bytes else {
        return false;
    };
    let checked = (u16::from(*method) * 256 + u16::from(*flags)) % 31 == 0;
    method & 0x0f == 8 && method >> 4 <= 7 && checked && flags & 0x20 == 0 && {
        let mut first = [0; 64];
        let mut stream = ZlibDecoder::new(BufReader::new(Sequence::new(head.source)));
        stream.read(&mut first).is_ok()
    }
}

/// The old format has no magic number: properties, a dictionary of a usual size, a length or none.
fn is_lzma(head: &Head<'_>) -> bool {
    let [properties, dictionary @ ..] = head.bytes else {
        return false;
    };
    let (Some(dictionary), Some(length)) = (
        dictionary
            .first_chunk::<4>()
            .map(|bytes| u32::from_le_bytes(*bytes)),
        dictionary.get(4..12).and_then(<[u8]>::first_chunk::<8>),
    ) else {
        return false;
    };
    let usual = dictionary.is_power_of_two() && dictionary >= 4096;
    let length = u64::from_le_bytes(*length);
    *properties == 0x5d && usual && (length == u64::MAX || length < 1 << 40)
}

/// Opens raw LZMA of a ZIP archive.
pub(crate) fn lzma<'a>(
    packed: Sequence<'a>,
    properties: u8,
    dictionary: u32,
    length: u64,
) -> io::Result<Box<dyn Read + 'a>> {
    if dictionary > MAX_MEMORY_KIB << 10 {
        return Err(io::Error::other("its LZMA dictionary is too large"));
    }
    let reader = LzmaReader::new_with_props(packed, length, properties, dictionary, None)?;
    Ok(Box::new(reader))
}

fn parse(
    format: &'static str,
    source: &dyn Source,
    scan: &mut Scan<'_>,
    open: fn(Sequence<'_>) -> io::Result<Box<dyn Read + '_>>,
) -> Result<Understood, Stop> {
    let limit = scan.unpackable();
    let packed = || Sequence::owned(Slice::new(source, 0, u64::MAX));
    let read = match unpack(limit, move || open(packed())) {
        Ok(opened) => Some(opened),
        Err(Unpack::TooLong) => None,
        Err(Unpack::Damaged(error)) => {
            return Err(Stop::malformed(format!("cannot be unpacked: {error}"), 0));
        }
    };
    let usual = read.filter(|opened| !is_high(source.len(), opened.source().len()));
    if let Some(opened) = usual {
        scan.unpacked(opened.source().len());
        scan.member("content", opened.source());
    } else if let Some(opened) = large(u64::MAX, scan, move || open(packed())) {
        scan.member("content", opened.source());
        if !scan.read_whole() {
            scan.found(bomb(0, source.len()));
        }
    } else {
        scan.found(bomb(0, source.len()));
    }
    Ok(Understood {
        format,
        bytes: source.len(),
    })
}

/// Unpacks content that is more than the scanner follows, if it may be read to its end: an array, which
/// says in its header how long it is, or a pickle. `None` where it is neither, damaged, or longer than
/// `limit`. The caller scans it, and reports a bomb where it was not read whole.
pub(crate) fn large<'a>(
    limit: u64,
    scan: &mut Scan<'_>,
    open: impl Fn() -> io::Result<Box<dyn Read + 'a>> + 'a,
) -> Option<Opened<'a>> {
    let mut head = [0; 8];
    open().ok()?.read_exact(&mut head).ok()?;
    let known = head.starts_with(b"\x93NUMPY") || matches!(head, [0x80, 2..=5, ..]);
    if !known {
        return None;
    }
    let opened = unpack(limit.min(scan.accountable()), open).ok()?;
    scan.accounted(opened.source().len());
    Some(opened)
}

/// Reports content that unpacks to far more than it takes.
pub(crate) fn ratio(packed: u64, size: u64, at: u64, scan: &mut Scan<'_>) {
    if is_high(packed, size) {
        scan.found(bomb(at, packed));
    }
}

/// Whether content unpacks to far more than it takes.
pub(crate) fn is_high(packed: u64, size: u64) -> bool {
    size > RATIO_FROM && size / packed.max(1) > MAX_RATIO
}

/// What is said of content that unpacks to too much.
pub(crate) fn bomb(at: u64, packed: u64) -> Found {
    Found::unscannable(
        "compressed/bomb",
        format!("{packed} bytes unpack to more than the scanner follows"),
    )
    .at(at)
    .severity(Severity::High)
    .why("unpacking it takes memory or disk that the file does not show")
    .see(&["CWE-409", "AML.T0029"])
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use crate::scan;
    use custody_findings::{Rules, Verdict};

    /// Returns zeros behind a beginning, and an end, packed.
    fn zeros(beginning: &[u8], count: u64, end: &[u8]) -> Vec<u8> {
        let content = beginning.chain(std::io::repeat(0).take(count)).chain(end);
        zstd::stream::encode_all(content, 3).unwrap()
    }

    fn array(elements: u64) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({elements},), }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let len = u16::try_from(header.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes()].concat()
    }

    #[test]
    fn an_array_of_zeros_is_no_bomb_and_what_nobody_reads_is() {
        const ELEMENTS: u64 = 10 << 20;
        const BYTES: u64 = ELEMENTS * 8;
        let rules = Rules::built_in().unwrap();
        let report = |bytes: &[u8]| scan("a.npy.zst", &bytes, &rules);
        let clean = zeros(&array(ELEMENTS), BYTES, b"");
        assert_eq!(report(&clean).verdict, Verdict::Clean);
        // A bytes object, then the end of the pickle.
        let bytes = [b"\x80\x04\x8e", &BYTES.to_le_bytes()[..]].concat();
        let pickle = zeros(&bytes, BYTES, b".");
        assert_eq!(report(&pickle).verdict, Verdict::Clean);
        for bomb in [
            zeros(b"", BYTES, b""),
            zeros(b"words", BYTES, b""),
            zeros(&array(ELEMENTS), BYTES, b"\0"),
            zeros(&array(ELEMENTS), BYTES - 1, b""),
            zeros(&array(1), BYTES, b""),
            zeros(b"\x80\x04N.", BYTES, b""),
            zstd::stream::encode_all(zeros(b"", BYTES, b"").as_slice(), 3).unwrap(),
            zeros(&clean, BYTES, b""),
        ] {
            let report = report(&bomb);
            let nested = report.parts.len() > 2;
            assert!(
                nested || report.verdict == Verdict::Unscannable,
                "{report:?}"
            );
        }
        // The bomb lies in a pickle that does more.
        let evil = zeros(b"\x80\x04cos\nsystem\n0", 1, b"");
        assert_eq!(report(&evil).verdict, Verdict::Malicious);
    }

    #[test]
    fn containers_whose_loaders_run_code_are_not_data() {
        let rules = Rules::built_in().unwrap();
        let verdict = |bytes: &[u8]| scan("m.bin", &bytes, &rules).verdict;
        let document = b"\x02tag\0\x07\0\0\0struct\0\0";
        let length = u32::try_from(document.len()).unwrap() + 4;
        let bson = [&length.to_le_bytes(), &document[..]].concat();
        for bytes in [
            &b"\x08\0\0\0\x01\0\0\0\x1bLJ\x02"[..],
            b"\x06\0\0\0\x01\0\0\0\x40\0\0\0\x1bLua",
            b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1\x10\0\0\0torch",
            b"4\n1\n3\nV 1\n13\nnn.Sequential\n",
            b"7JL\x0b\x04\0\0\0",
            b"ftrt\0\0\0\0",
            b"HDF5-based Julia Data Format, version 0.1.1",
            &bson,
        ] {
            assert_eq!(verdict(bytes), Verdict::Unscannable, "{bytes:?}");
        }
        for bytes in [
            &b"\x08\0\0\0\x01\0\0\0\x01\0\0\0"[..],
            b"\x03\0\0\0\x01\0\0\0\x01\0\0\0",
            &bson[..bson.len() - 1],
        ] {
            assert_eq!(verdict(bytes), Verdict::Clean, "{bytes:?}");
        }
    }
}
