//! Programs for a processor or a virtual machine. No model needs one, and nothing here reads on.

use crate::cursor::Stop;
use crate::scan::{Found, Scan, Understood};
use crate::sniff::{Format, HEAD};
use crate::source::Source;
use custody_findings::Severity;

pub(crate) const FORMAT: Format = Format {
    name: "native code",
    recognises: |head| kind(head.bytes).is_some(),
    parse,
};

/// Magic numbers that are those of one kind alone.
const MAGIC: [(&[u8], &str); 16] = [
    (b"\x7fELF", "an ELF program or library"),
    (b"\xfe\xed\xfa\xce", "a Mach-O program"),
    (b"\xfe\xed\xfa\xcf", "a Mach-O program"),
    (b"\xce\xfa\xed\xfe", "a Mach-O program"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program"),
    (b"\0asm\x01\0\0\0", "a WebAssembly module"),
    (b"\x4c\0\0\0\x01\x14\x02\0", "a Windows shortcut"),
    (b"dex\n03", "an Android program"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"!<arch>\n", "an archive of object code"),
    (b"MSCF\0\0\0\0", "a cabinet archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an OLE document or installer",
    ),
    (b"\x1bLua", "Lua bytecode"),
    (b"xar!", "a macOS installer"),
    (b"koly", "a macOS disk image"),
];

/// Returns what program begins so.
fn kind(head: &[u8]) -> Option<&'static str> {
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(kind);
    }
    match head {
        [b'M', b'Z', ..] => portable(head),
        // A fat Mach-O counts its parts where a Java class has its version, which is 45 or more.
        [0xca, 0xfe, 0xba, 0xbe, _, _, major, minor, ..] => {
            if u16::from_be_bytes([*major, *minor]) >= 45 {
                Some("a Java class")
            } else {
                Some("a Mach-O program")
            }
        }
        [low, high, b'\r', b'\n', ..] if head.len() >= 16 => {
            let magic = u16::from_le_bytes([*low, *high]);
            // Python 3.0 to 3.19, and Python 2.
            ((3000..=4200).contains(&magic) || (62_000..=62_300).contains(&magic))
                .then_some("compiled Python")
        }
        _ => None,
    }
}

/// A DOS header that leads to `PE`, or is that of a DOS program.
fn portable(head: &[u8]) -> Option<&'static str> {
    let place = head.get(0x3c..0x40)?;
    let place = u32::from_le_bytes(place.try_into().ok()?);
    let place = usize::try_from(place).ok()?;
    let found = head
        .get(place..)
        .is_some_and(|rest| rest.starts_with(b"PE\0\0"));
    // Where the head does not reach, the stub's words are enough.
    let stub = head
        .windows(b"This program cannot be run in DOS mode".len())
        .any(|window| window == b"This program cannot be run in DOS mode");
    (found || stub || (place >= HEAD && head.contains(&0))).then_some("a Windows program")
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every parser")]
fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut head = vec![0; HEAD];
    let count = source.read_at(0, &mut head).unwrap_or_default();
    head.truncate(count);
    scan.found(
        Found::review("native/code", kind(&head).unwrap_or("a program"))
            .severity(Severity::High)
            .why("a model needs no program; a loader that is told to may run it")
            .see(&["AML.T0011.001", "CWE-506"])
            .advice("find out who put it there, and leave it out")
            .at(0),
    );
    Ok(Understood {
        format: "native code",
        bytes: source.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan;
    use custody_findings::{Rules, Verdict};

    #[test]
    fn programs_are_told_by_their_magic_numbers() {
        let mut windows = vec![0; 0x100];
        windows[..2].copy_from_slice(b"MZ");
        windows[0x3c] = 0x80;
        windows[0x80..0x84].copy_from_slice(b"PE\0\0");
        let mut python = b"\xa7\r\r\n".to_vec();
        python.resize(64, 0);
        for bytes in [
            b"\x7fELF\x02\x01\x01\0rest".to_vec(),
            b"\xca\xfe\xba\xbe\0\0\0\x41\0\0".to_vec(),
            b"\xca\xfe\xba\xbe\0\0\0\x02\0\0".to_vec(),
            b"\0asm\x01\0\0\0".to_vec(),
            windows,
            python,
        ] {
            let report = scan("a.bin", &bytes, &Rules::built_in().unwrap());
            assert_eq!(report.verdict, Verdict::Review, "{bytes:?}");
            assert_eq!(report.findings[0].rule, "native/code");
        }
    }

    #[test]
    fn text_that_begins_alike_is_none() {
        for text in [
            "MZ is a town\n",
            "ab\r\nmore than sixteen bytes\r\n",
            "dex\nterity",
        ] {
            assert_eq!(kind(text.as_bytes()), None, "{text}");
        }
    }
}
