use proptest::prelude::*;

use super::*;

fn parse(rest: &str) -> Result<DistInfo, AttestError> {
    DistInfo::parse(
        format!("Metadata-Version: 2.4\nName: Some_Package\nVersion: 1.0\n{rest}").as_bytes(),
    )
}

fn licences(rest: &str) -> Vec<String> {
    let licences = parse(rest).unwrap().licences;
    licences
        .iter()
        .map(|licence| match licence {
            Licence::Id(id) => format!("id {id}"),
            Licence::Expression(text) => format!("expression {text}"),
            Licence::Named(name) => format!("named {name}"),
        })
        .collect()
}

const BSD: &str = "Classifier: License :: OSI Approved :: BSD License\n";
const MIT: &str = "Classifier: License :: OSI Approved :: MIT License\n";

#[test]
fn a_package_is_read_until_the_empty_line() {
    let text = "Metadata-Version: 2.4\r\nname: NumPy\r\nVERSION: 2.4.6\r\nSummary: a\r\n  folded\r\n\
        License-File: LICENSE.txt\r\nLicense-File: licenses/BSD.txt\r\n\r\nLicense: MIT\r\nno header\r\n";
    let info = DistInfo::parse(text.as_bytes()).unwrap();
    assert_eq!(info.package, PackageId::new("numpy", "2.4.6").unwrap());
    assert_eq!(info.licences, []);
    assert_eq!(info.licence_files, ["LICENSE.txt", "licenses/BSD.txt"]);
}

#[test]
fn the_licence_is_taken_from_the_surest_place() {
    let wrapped = "License: Copyright (c) 2005\n        \n        All rights reserved.\n";
    for (rest, expect) in [
        (String::new(), vec![]),
        ("License: UNKNOWN\n".to_owned(), vec![]),
        (
            format!("{MIT}License-Expression: BSD-3-Clause and mit\nLicense: Apache-2.0\n"),
            vec!["expression BSD-3-Clause AND MIT"],
        ),
        (
            "License-Expression: LicenseRef Ours\n".to_owned(),
            vec!["named LicenseRef Ours"],
        ),
        (format!("{MIT}{MIT}License: Apache-2.0\n"), vec!["id MIT"]),
        (
            format!("{BSD}License: bsd-3-clause\n"),
            vec!["id BSD-3-Clause"],
        ),
        (
            format!("{BSD}License: BSD, see file\n"),
            vec!["named BSD License"],
        ),
        (format!("{BSD}{wrapped}"), vec!["named BSD License"]),
        (format!("{BSD}{MIT}"), vec!["id MIT", "named BSD License"]),
        (
            "License: MIT OR Apache-2.0\n".to_owned(),
            vec!["expression MIT OR Apache-2.0"],
        ),
        ("License: ours\n".to_owned(), vec!["named ours"]),
        (wrapped.to_owned(), vec![]),
    ] {
        assert_eq!(licences(&rest), expect, "{rest}");
    }
}

#[test]
fn hostile_metadata_is_refused() {
    let many = "License-File: a\n".repeat(MAX_REPEATED + 1);
    let folded = format!("Description: a\n{}", " a\n".repeat(MAX_HEADER_BYTES / 3));
    let long = format!("License-File: {}\n", "a".repeat(MAX_PATH_BYTES + 1));
    for (rest, because) in [
        ("Name: other\n", "says `name` twice"),
        ("License: a\nlicense: b\n", "says `license` twice"),
        ("no header\n", "a line that is no header"),
        ("License-File: ../../etc/passwd\n", "is no licence file"),
        ("License-File: /etc/passwd\n", "is no licence file"),
        ("License-File:\n", "is no licence file"),
        ("License-File: a\n b\n", "is no licence file"),
        (&many, "more than 256 `license-file`"),
        (&folded, "longer than 1048576 bytes"),
        (&long, "is no licence file"),
    ] {
        let error = parse(rest).unwrap_err().to_string();
        assert!(error.contains(because), "{because}: {error}");
    }
    for (text, because) in [
        (&b""[..], "its version is ``"),
        (b" folded\n", "begins with a folded line"),
        (
            b"Metadata-Version: 3.0\nName: a\nVersion: 1\n",
            "its version is `3.0`",
        ),
        (b"Metadata-Version: 2.1\nVersion: 1\n", "it has no `Name`"),
        (b"Metadata-Version: 2.1\nName: a\n", "it has no `Version`"),
        (
            b"Metadata-Version: 2.1\nName: a\xff\n",
            "`name` is no UTF-8",
        ),
        (
            b"Metadata-Version: 2.1\nName: a\nVersion: 1 2\n",
            "package's version",
        ),
    ] {
        let error = DistInfo::parse(text).unwrap_err().to_string();
        assert!(error.contains(because), "{because}: {error}");
    }
}

#[test]
fn a_foreign_encoding_elsewhere_does_no_harm() {
    let text = b"Metadata-Version: 1.1\nName: a\nVersion: 1\nAuthor: J\xf6rg\n";
    assert!(DistInfo::parse(text).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(start in "(Metadata-Version: 2.4\nName: a\nVersion: 1\n)?", rest in any::<Vec<u8>>()) {
        let bytes = [start.as_bytes(), &rest].concat();
        if let Ok(info) = DistInfo::parse(&bytes) {
            prop_assert!(!info.package.name().is_empty());
        }
    }
}
