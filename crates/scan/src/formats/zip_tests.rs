use crate::scan;
use custody_findings::{Report, Rules, Verdict};

fn scanned(name: &str, bytes: &[u8]) -> Report {
    scan(name, &bytes, &Rules::built_in().unwrap())
}

/// A member: its name, flags, method and bytes, and how long it says it is unpacked.
type Stored<'a> = (&'a str, u16, u16, &'a [u8], usize);

/// Writes an archive of stored members, with the 64-bit records where wanted.
fn archive(members: &[Stored<'_>], large: bool) -> Vec<u8> {
    let u16 = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
    let u32 = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let u64 = |number: usize| (number as u64).to_le_bytes();
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, flags, method, bytes, size) in members {
        let header = file.len();
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let common = [
            &u16(20)[..],
            &flags.to_le_bytes(),
            &method.to_le_bytes(),
            &[0; 4],
            &crc.sum().to_le_bytes(),
            &u32(bytes.len()),
            &u32(*size),
            &u16(name.len()),
            &[0; 2],
        ]
        .concat();
        file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), bytes].concat());
        let place = [&[0; 10][..], &u32(header)].concat();
        directory.extend([b"PK\x01\x02\x14\x00", &common[..], &place, name.as_bytes()].concat());
    }
    let (count, at) = (members.len(), file.len());
    let len = directory.len();
    file.extend(directory);
    if large {
        let records = file.len();
        file.extend([b"PK\x06\x06", &u64(44)[..], &[45, 0, 45, 0], &[0; 8]].concat());
        for number in [count, count, len, at] {
            file.extend(u64(number));
        }
        file.extend([b"PK\x06\x07", &[0; 4][..], &u64(records), &u32(1)].concat());
    }
    let ends = [b"PK\x05\x06", &[0; 4][..], &u16(count), &u16(count)].concat();
    file.extend([&ends[..], &u32(len), &u32(at), &[0; 2]].concat());
    file
}

fn torch(pickle: &[u8], large: bool) -> Vec<u8> {
    let data: &[u8] = b"3\n";
    archive(
        &[
            ("archive/data.pkl", 0, 0, pickle, pickle.len()),
            ("archive/version", 0, 0, data, data.len()),
        ],
        large,
    )
}

const PLAIN: &[u8] = b"\x80\x02}q\x00.";
const EVIL: &[u8] = b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00a\x85R.";

#[test]
fn a_distributed_checkpoint_is_several_archives() {
    for large in [false, true] {
        let one = torch(PLAIN, large);
        assert_eq!(scanned("a.pt", &one).parts[0].format, "PyTorch archive");
        let file = [one.clone(), torch(PLAIN, true), one.clone()].concat();
        let report = scanned("__0_0.distcp", &file);
        assert_eq!(report.verdict, Verdict::Clean, "{report:?}");
        let part = &report.parts[0];
        assert_eq!(part.format, "PyTorch distributed checkpoint");
        assert_eq!(part.understood, part.bytes);
        // Every archive counts, whichever a reader takes.
        for place in 0..3 {
            let mut pieces = [one.clone(), one.clone(), one.clone()];
            pieces[place] = torch(EVIL, large);
            let report = scanned("__0_0.distcp", &pieces.concat());
            assert_eq!(report.verdict, Verdict::Malicious, "{place} {report:?}");
        }
        let plain = archive(&[("a.txt", 0, 0, b"text", 4)], large);
        for other in [
            [b"before".to_vec(), one.clone()].concat(),
            [one.clone(), b"between".to_vec(), one.clone()].concat(),
            [one.clone(), one.clone(), b"behind".to_vec()].concat(),
            [plain.clone(), one.clone()].concat(),
            [one.clone(), plain].concat(),
            [one.clone()[1..].to_vec(), one.clone()].concat(),
        ] {
            let report = scanned("__0_0.distcp", &other);
            assert!(report.verdict >= Verdict::Unscannable, "{report:?}");
        }
    }
}

#[test]
fn encrypted_members_are_not_looked_into() {
    let sealed = [0x3a; 40];
    for (flags, method) in [
        (1, 0),
        (1, 8),
        (1, 99),
        (0, 99),
        (0x41, 0),
        (0x2001, 0),
        (0x20, 0),
    ] {
        let member = ("model.pkl", flags, method, &sealed[..], 28);
        for members in [
            vec![member],
            vec![("archive/data.pkl", flags, method, &sealed[..], 28)],
        ] {
            let report = scanned("model.zip", &archive(&members, false));
            assert_eq!(report.verdict, Verdict::Unscannable, "{report:?}");
            let rules: Vec<_> = report.findings.iter().map(|found| &found.rule).collect();
            assert_eq!(rules, ["zip/encrypted"], "{report:?}");
        }
        // What lies beside them is.
        let beside = [member, ("other.pkl", 0, 0, EVIL, EVIL.len())];
        let report = scanned("model.zip", &archive(&beside, false));
        assert_eq!(report.verdict, Verdict::Malicious, "{report:?}");
    }
}

#[test]
fn an_archive_behind_a_model_of_tensorflow_lite_is_looked_into() {
    let model = [b"\x1c\0\0\0TFL3", &[0; 60][..]].concat();
    // The places of its members count from the start of the model.
    let behind = |pickle: &[u8]| {
        let member = ("labels.txt", 0, 0, pickle, pickle.len());
        let mut file = archive(&[("a", 0, 0, &model, model.len()), member], false);
        let start = file
            .windows(4)
            .skip(1)
            .position(|four| four == b"PK\x03\x04");
        let before = start.unwrap() + 1;
        // Only the second one is in the directory.
        let directory = file
            .windows(4)
            .position(|four| four == b"PK\x01\x02")
            .unwrap();
        file.drain(directory..directory + 47);
        file.splice(
            ..before,
            [&model[..], &vec![0; before - model.len()]].concat(),
        );
        let end = file.len() - 22;
        let len = u32::try_from(end - directory).unwrap();
        file[end + 8..end + 12].copy_from_slice(&[1, 0, 1, 0]);
        file[end + 12..end + 16].copy_from_slice(&len.to_le_bytes());
        file
    };
    let rules = |bytes: &[u8]| {
        let report = scanned("m.tflite", bytes);
        let rules: Vec<_> = report
            .findings
            .iter()
            .map(|found| found.rule.clone())
            .collect();
        (report.verdict, rules)
    };
    let (verdict, found) = rules(&behind(b"cat\n"));
    assert_eq!(verdict, Verdict::Unscannable, "{found:?}");
    assert!(!found.contains(&"polyglot/zip".to_owned()), "{found:?}");
    let (verdict, found) = rules(&behind(EVIL));
    assert_eq!(verdict, Verdict::Malicious, "{found:?}");
    let mut broken = behind(b"cat\n");
    broken.push(0);
    let (verdict, _) = rules(&broken);
    assert_eq!(verdict, Verdict::Unscannable);
    // In a file that is none, it hides.
    let mut other = behind(b"cat\n");
    other[4] = b'X';
    assert_eq!(rules(&other).0, Verdict::Malicious);
}
