//! The organisation's own authority.

use std::time::Duration;

use custody_signing::authority::{Authority, AuthorityError, Holder, LEAF_VALIDITY};
use custody_signing::certificate::{Certificate, Subject};
use custody_signing::hash::Scheme;
use custody_signing::keys::{Curve, FileKey, ModelSigner as _};
use custody_signing::verify::Options;

use crate::common::{Counting, Folder, Foreign, NOW, key, only, time, trust_root};

const TRAIN: &str = "spiffe://example.org/train";
const LOGIN: &str = "https://login.example.org";

fn holder(name: &str) -> Holder {
    Holder {
        subject: Subject::of(name),
        issuer: Some(LOGIN.to_owned()),
    }
}

fn authority(curve: Curve) -> Authority {
    Authority::found(
        "Example, Inc. Models",
        Box::new(key(curve)),
        time(NOW),
        &Counting::default(),
    )
    .unwrap()
}

#[test]
fn a_signature_under_the_authority_verifies_by_name_for_ten_minutes() {
    for curve in Curve::ALL {
        let authority = authority(curve);
        let root = authority.certificate().unwrap();
        let root = Certificate::from_pem(&root.to_pem()).unwrap().remove(0);
        for name in [TRAIN, "ana@example.org", "ci.example.org"] {
            let folder = Folder::new();
            let signer = authority
                .issue(
                    &holder(name),
                    time(NOW),
                    LEAF_VALIDITY,
                    &Counting::default(),
                )
                .unwrap();
            assert_eq!(signer.algorithm(), Curve::P256);
            let bundle = folder.sign(Scheme::default(), &signer);
            let mut trust = trust_root(&root, name);
            trust.signers = only(name, Some(LOGIN));
            let verified = folder.verify(&bundle, &trust).unwrap();
            assert_eq!(verified.signer.to_string(), format!("{name} (by {LOGIN})"));
            let options = Options::default();
            for (text, well) in [
                ("2026-06-01T11:58:59Z", false),
                ("2026-06-01T12:10:00Z", true),
                ("2026-06-01T12:10:01Z", false),
            ] {
                let outcome = folder.verify_with(&bundle, &trust, &options, time(text));
                assert_eq!(outcome.is_ok(), well, "{text}");
            }
        }
    }
}

#[test]
fn a_key_signs_once() {
    let authority = authority(Curve::P256);
    let signer = authority
        .issue(
            &holder(TRAIN),
            time(NOW),
            LEAF_VALIDITY,
            &Counting::default(),
        )
        .unwrap();
    assert!(signer.sign(b"message").is_ok());
    assert!(
        signer
            .sign(b"message")
            .unwrap_err()
            .to_string()
            .contains("signed already")
    );
}

#[test]
fn an_authority_opens_with_its_own_key_and_certificate_only() {
    let first = key(Curve::P384);
    let pem = first.to_pem().unwrap();
    let made = Authority::found("a", Box::new(first), time(NOW), &Counting::default()).unwrap();
    let own = made.certificate().unwrap().clone();
    let open = |key: FileKey, chain| Authority::open(Box::new(key), chain);
    assert!(open(FileKey::from_pem(&pem, None).unwrap(), vec![own.clone()]).is_ok());
    assert!(matches!(
        open(key(Curve::P384), vec![own]),
        Err(AuthorityError::Root(_))
    ));
    assert!(matches!(
        open(key(Curve::P384), Vec::new()),
        Err(AuthorityError::Root(_))
    ));
}

#[test]
fn an_authority_of_another_tool_issues_too() {
    let foreign = Foreign::new("elsewhere, at \"Org\" + Co");
    let key = FileKey::from_pem(&foreign.key.serialize_pem(), None).unwrap();
    let authority = Authority::open(Box::new(key), vec![foreign.certificate.clone()]).unwrap();
    let folder = Folder::new();
    let signer = authority
        .issue(
            &holder(TRAIN),
            time(NOW),
            LEAF_VALIDITY,
            &Counting::default(),
        )
        .unwrap();
    let bundle = folder.sign(Scheme::default(), &signer);
    assert!(
        folder
            .verify(&bundle, &trust_root(&foreign.certificate, TRAIN))
            .is_ok()
    );
}

#[test]
fn what_must_not_be_certified_is_refused() {
    let authority = authority(Curve::P256);
    let issue = |name: &str, now: &str, seconds: u64| {
        authority
            .issue(
                &holder(name),
                time(now),
                Duration::from_secs(seconds),
                &Counting::default(),
            )
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    for (name, now, seconds, because) in [
        (TRAIN, NOW, 86_400, ""),
        (TRAIN, NOW, 86_401, "for 86401 seconds is not issued"),
        (TRAIN, NOW, 0, "for 0 seconds is not issued"),
        ("", NOW, 60, "cannot stand in a certificate"),
        ("a\0@example.org", NOW, 60, "cannot stand in a certificate"),
        (
            "jos\u{e9}@example.org",
            NOW,
            60,
            "cannot stand in a certificate",
        ),
        (
            TRAIN,
            "2026-05-31T12:00:00Z",
            60,
            "own certificate is not valid",
        ),
        (
            TRAIN,
            "2036-06-01T12:00:00Z",
            60,
            "own certificate is not valid",
        ),
    ] {
        match issue(name, now, seconds) {
            Ok(()) => assert_eq!(because, "", "{name} {now} {seconds}"),
            Err(error) => assert!(!because.is_empty() && error.contains(because), "{error}"),
        }
    }
}

#[test]
fn a_root_past_2049_is_written_with_four_digits_of_the_year() {
    let now = "2045-01-01T00:00:00Z";
    let authority = Authority::found(
        "a",
        Box::new(key(Curve::P256)),
        time(now),
        &Counting::default(),
    )
    .unwrap();
    let root = authority.certificate().unwrap();
    assert!(root.expires().unwrap() > time("2054-12-30T00:00:00Z"));
    let folder = Folder::new();
    let late = "2052-01-01T00:00:00Z";
    let signer = authority
        .issue(
            &holder(TRAIN),
            time(late),
            LEAF_VALIDITY,
            &Counting::default(),
        )
        .unwrap();
    let bundle = folder.sign(Scheme::default(), &signer);
    let trust = trust_root(root, TRAIN);
    let options = Options::default();
    assert!(
        folder
            .verify_with(&bundle, &trust, &options, time(late))
            .is_ok()
    );
}
