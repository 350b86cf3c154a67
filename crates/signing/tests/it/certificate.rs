//! Chains of certificates: which are believed, and every way in which one must not be.

use custody_signing::authority::Certified;
use custody_signing::certificate::{Certificate, RevocationList};
use custody_signing::hash::Scheme;
use custody_signing::keys::FileKey;
use custody_signing::verify::{Signers, SigningMethod, TimeBasis, Trust, VerifyError};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    NameConstraints, RevokedCertParams, RsaKeySize, SanType, SerialNumber,
};

use crate::common::{
    Folder, Foreign, NOW, TRAINER, authority_params, key, leaf_params, only, time, trust_root,
};

/// Signs with a leaf of these parameters, straight below a root, and verifies.
fn leaf(change: impl FnOnce(&mut CertificateParams)) -> Result<(), String> {
    let mut params = leaf_params();
    change(&mut params);
    let root = Foreign::new("root");
    let folder = Folder::new();
    let bundle = folder.sign(Scheme::default(), &root.signer(params, &[]));
    let mut trust = trust_root(&root.certificate, TRAINER);
    trust.signers = Signers::Any;
    folder
        .verify(&bundle, &trust)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Signs below an authority of these parameters, itself below the root, and verifies.
fn intermediate(change: impl FnOnce(&mut CertificateParams)) -> Result<(), String> {
    let mut params = authority_params("middle");
    change(&mut params);
    let root = Foreign::new("root");
    let (middle, der) = root.below(params);
    let folder = Folder::new();
    let signer = middle.signer(leaf_params(), &[&der]);
    let bundle = folder.sign(Scheme::default(), &signer);
    folder
        .verify(&bundle, &trust_root(&root.certificate, TRAINER))
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn check(outcome: Result<(), String>, because: &str) {
    match outcome {
        Ok(()) => assert_eq!(because, ""),
        Err(error) => assert!(
            !because.is_empty() && error.contains(because),
            "`{because}` expected: {error}"
        ),
    }
}

fn unknown_extension(critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(critical);
    extension
}

#[test]
fn a_leaf_must_be_one_for_signing_and_valid() {
    use ExtendedKeyUsagePurpose as Extended;
    use KeyUsagePurpose as Usage;
    check(leaf(|_| ()), "");
    check(leaf(|leaf| leaf.key_usages.clear()), "");
    check(leaf(|leaf| leaf.extended_key_usages.clear()), "");
    check(
        leaf(|leaf| {
            leaf.key_usages.clear();
            leaf.extended_key_usages.clear();
        }),
        "neither a key usage nor",
    );
    check(
        leaf(|leaf| leaf.key_usages = vec![Usage::KeyAgreement]),
        "lacks digital signatures",
    );
    check(
        leaf(|leaf| leaf.extended_key_usages = vec![Extended::ServerAuth]),
        "lacks code signing",
    );
    check(
        leaf(|leaf| leaf.extended_key_usages = vec![Extended::Any]),
        "lacks code signing",
    );
    check(
        leaf(|leaf| {
            leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            leaf.key_usages.push(Usage::KeyCertSign);
        }),
        "certificate of an authority",
    );
    // What model signers make with `certtool`: marked as an authority, without the right to certify.
    check(
        leaf(|leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        "",
    );
    check(
        leaf(|leaf| leaf.custom_extensions = vec![unknown_extension(false)]),
        "",
    );
    check(
        leaf(|leaf| leaf.custom_extensions = vec![unknown_extension(true)]),
        "critical extension 1.2.3.4 is not known",
    );
    check(
        leaf(|leaf| {
            leaf.subject_alt_names = vec![SanType::URI("https://a\u{1b}[2K".try_into().unwrap())];
        }),
        "hidden characters",
    );
    check(
        leaf(|leaf| leaf.not_after = rcgen::date_time_ymd(2026, 6, 1)),
        "is valid from",
    );
    check(
        leaf(|leaf| leaf.not_before = rcgen::date_time_ymd(2026, 6, 2)),
        "is valid from",
    );
}

#[test]
fn an_authority_must_be_one_and_valid() {
    check(intermediate(|_| ()), "");
    check(
        intermediate(|middle| middle.is_ca = IsCa::ExplicitNoCa),
        "is not the certificate of an authority",
    );
    check(
        intermediate(|middle| middle.is_ca = IsCa::NoCa),
        "is not the certificate of an authority",
    );
    check(
        intermediate(|middle| middle.key_usages = vec![KeyUsagePurpose::DigitalSignature]),
        "lacks certificate signing",
    );
    check(
        intermediate(|middle| middle.key_usages.clear()),
        "has no key usage",
    );
    check(
        intermediate(|middle| {
            middle.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        "lacks code signing",
    );
    check(
        intermediate(|middle| middle.not_after = rcgen::date_time_ymd(2026, 5, 31)),
        "is valid from",
    );
    check(
        intermediate(|middle| {
            middle.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
                excluded_subtrees: Vec::new(),
            });
        }),
        "critical extension 2.5.29.30",
    );
}

#[test]
fn a_limit_on_the_length_of_the_chain_is_kept() {
    for (limit, because) in [(1, ""), (0, "too many authorities stand below it")] {
        let mut params = authority_params("root");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(limit));
        let root = Foreign::root(params, KeyPair::generate().unwrap());
        let (middle, der) = root.below(authority_params("middle"));
        let folder = Folder::new();
        let signer = middle.signer(leaf_params(), &[&der]);
        let bundle = folder.sign(Scheme::default(), &signer);
        let outcome = folder.verify(&bundle, &trust_root(&root.certificate, TRAINER));
        check(
            outcome.map(|_| ()).map_err(|error| error.to_string()),
            because,
        );
    }
}

#[test]
fn a_root_is_judged_like_any_authority() {
    let below = |change: fn(&mut CertificateParams)| {
        let mut params = authority_params("root");
        change(&mut params);
        let root = Foreign::root(params, KeyPair::generate().unwrap());
        let folder = Folder::new();
        let bundle = folder.sign(Scheme::default(), &root.signer(leaf_params(), &[]));
        let outcome = folder.verify(&bundle, &trust_root(&root.certificate, TRAINER));
        outcome.map(|_| ()).map_err(|error| error.to_string())
    };
    check(below(|_| ()), "");
    check(below(|root| root.key_usages.clear()), "");
    check(
        below(|root| root.not_after = rcgen::date_time_ymd(2026, 5, 31)),
        "is valid from",
    );
    check(
        below(|root| root.key_usages = vec![KeyUsagePurpose::CrlSign]),
        "lacks certificate signing",
    );
    check(
        below(|root| root.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        "lacks code signing",
    );
    check(
        below(|root| root.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]),
        "",
    );
    check(
        below(|root| root.is_ca = IsCa::ExplicitNoCa),
        "is not the certificate of an authority",
    );
}

#[test]
fn a_renewed_root_stands_in_for_the_old_one() {
    let mut params = authority_params("root");
    params.not_after = rcgen::date_time_ymd(2026, 5, 31);
    let old = Foreign::root(params, KeyPair::generate().unwrap());
    let der = authority_params("root").self_signed(&old.key).unwrap();
    let renewed = Certificate::from_der(der.der()).unwrap();
    let folder = Folder::new();
    let bundle = folder.sign(Scheme::default(), &old.signer(leaf_params(), &[]));
    let mut trust = trust_root(&old.certificate, TRAINER);
    assert!(folder.refused(&bundle, &trust).contains("is valid from"));
    trust.roots.push(renewed);
    assert!(folder.verify(&bundle, &trust).is_ok());
}

#[test]
fn at_most_six_authorities_stand_between() {
    for (count, because) in [(6, ""), (7, "does not lead to a trusted root")] {
        let root = Foreign::new("root");
        let mut chain = Vec::new();
        let (mut last, der) = root.below(authority_params("authority 1"));
        chain.push(der);
        for number in 2..=count {
            let (next, der) = last.below(authority_params(&format!("authority {number}")));
            chain.insert(0, der);
            last = next;
        }
        let folder = Folder::new();
        let above: Vec<_> = chain.iter().map(Vec::as_slice).collect();
        let bundle = folder.sign(Scheme::default(), &last.signer(leaf_params(), &above));
        let outcome = folder.verify(&bundle, &trust_root(&root.certificate, TRAINER));
        check(
            outcome.map(|_| ()).map_err(|error| error.to_string()),
            because,
        );
    }
}

/// A leaf that is marked as an authority, without the right to certify.
fn marked() -> CertificateParams {
    let mut params = leaf_params();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params
}

#[test]
fn a_marked_leaf_is_held_to_every_rule() {
    let root = Foreign::new("root");
    let mut params = authority_params("middle");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let (middle, der) = root.below(params);
    let folder = Folder::new();
    let bundle = folder.sign(Scheme::default(), &middle.signer(marked(), &[&der]));
    let mut trust = trust_root(&root.certificate, TRAINER);
    assert!(folder.verify(&bundle, &trust).is_ok());
    trust.roots = vec![Foreign::new("root").certificate];
    assert!(
        folder
            .refused(&bundle, &trust)
            .contains("no trusted root issued")
    );
    // Another of the same name did not sign it.
    let (twin, _) = root.below(authority_params("middle"));
    let bundle = folder.sign(Scheme::default(), &twin.signer(marked(), &[&der]));
    let trust = trust_root(&root.certificate, TRAINER);
    assert!(
        folder
            .refused(&bundle, &trust)
            .contains("no trusted root issued")
    );
}

#[test]
fn authorities_may_have_rsa_and_other_curves() {
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA384, RsaKeySize::_2048).unwrap();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    for key in [rsa, ed25519, p384, p521] {
        let root = Foreign::root(authority_params("root"), key);
        let folder = Folder::new();
        let signer = root.signer(leaf_params(), &[]);
        let bundle = folder.sign(Scheme::default(), &signer);
        let verified = folder
            .verify(&bundle, &trust_root(&root.certificate, TRAINER))
            .unwrap();
        assert_eq!(verified.method, SigningMethod::Certificate);
        assert_eq!(
            verified.signer.to_string(),
            format!("{TRAINER} (by {})", root.certificate.subject_name())
        );
        assert_eq!(verified.time, TimeBasis::Now(time(NOW)));
    }
}

#[test]
fn an_authority_of_the_same_name_is_another_one() {
    let root = Foreign::new("root");
    let twin = Foreign::new("root");
    let folder = Folder::new();
    // The foreign root in the bundle makes no difference.
    let signer = twin.signer(leaf_params(), &[twin.certificate.der()]);
    let bundle = folder.sign(Scheme::default(), &signer);
    let mut trust = trust_root(&root.certificate, TRAINER);
    assert!(
        folder
            .refused(&bundle, &trust)
            .contains("no trusted root issued")
    );
    trust.roots.push(twin.certificate);
    assert!(folder.verify(&bundle, &trust).is_ok());
}

#[test]
fn certificates_in_a_circle_end_the_search() {
    let (a, b) = (Foreign::new("a"), Foreign::new("b"));
    let crossed = |one: &Foreign, name: &str, key: &KeyPair| {
        let params = authority_params(name);
        params.signed_by(key, &one.issuer()).unwrap().der().to_vec()
    };
    let above: Vec<_> = (0..7)
        .flat_map(|_| [crossed(&a, "b", &b.key), crossed(&b, "a", &a.key)])
        .collect();
    let folder = Folder::new();
    let signer = a.signer(
        leaf_params(),
        &above.iter().map(Vec::as_slice).collect::<Vec<_>>(),
    );
    let bundle = folder.sign(Scheme::default(), &signer);
    let trust = trust_root(&Foreign::new("a").certificate, TRAINER);
    assert!(
        folder
            .refused(&bundle, &trust)
            .contains("no trusted root issued")
    );
}

#[test]
fn the_name_of_the_signer_must_be_the_expected_one() {
    let root = Foreign::new("root");
    let folder = Folder::new();
    let mut params = leaf_params();
    let uri = "https://ci.example.org/train";
    params
        .subject_alt_names
        .push(SanType::URI(uri.try_into().unwrap()));
    let bundle = folder.sign(Scheme::default(), &root.signer(params, &[]));
    let mut trust = trust_root(&root.certificate, TRAINER);
    let name = root.certificate.subject_name();
    for (signers, because) in [
        (only(TRAINER, None), ""),
        (only(uri, None), ""),
        (only(TRAINER, Some(&name)), ""),
        (Signers::Any, ""),
        (
            only(TRAINER, Some("https://accounts.example.org")),
            "was signed by",
        ),
        (only("other@example.org", None), "not by other@example.org"),
        (only("trainer@example.or", None), "was signed by"),
        (only("Trainer@example.org", None), "was signed by"),
        (only("trainer", None), "was signed by"),
        (only("https://ci.example.org/train/", None), "was signed by"),
        (Signers::Only(Vec::new()), "not said whose signature"),
    ] {
        trust.signers = signers;
        let outcome = folder.verify(&bundle, &trust);
        check(
            outcome.map(|_| ()).map_err(|error| error.to_string()),
            because,
        );
    }
    assert!(matches!(
        folder.verify(&bundle, &Trust::default()),
        Err(VerifyError::NoTrust(_))
    ));
}

fn list(
    root: &Foreign,
    serial: u64,
    change: impl FnOnce(&mut CertificateRevocationListParams),
) -> RevocationList {
    let mut params = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 5, 20),
        next_update: rcgen::date_time_ymd(2026, 6, 20),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: rcgen::date_time_ymd(2026, 5, 21),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    change(&mut params);
    let list = params.signed_by(&root.issuer()).unwrap();
    let pem = RevocationList::read(list.pem().unwrap().as_bytes()).unwrap();
    assert_eq!(RevocationList::read(list.der()).unwrap(), pem);
    pem
}

#[test]
fn a_certificate_that_was_taken_back_is_refused() {
    let root = Foreign::new("root");
    let twin = Foreign::new("root");
    let folder = Folder::new();
    let bundle = folder.sign(Scheme::default(), &root.signer(leaf_params(), &[]));
    let mut trust = trust_root(&root.certificate, TRAINER);
    let stale = |list: &mut CertificateRevocationListParams| {
        list.next_update = rcgen::date_time_ymd(2026, 5, 30);
    };
    let early = |list: &mut CertificateRevocationListParams| {
        list.this_update = rcgen::date_time_ymd(2026, 6, 2);
    };
    for (list, because) in [
        (list(&root, 78, |_| ()), ""),
        (list(&root, 77, |_| ()), "was revoked"),
        (list(&root, 78, stale), "fetch a new one"),
        (list(&root, 78, early), "fetch a new one"),
        (list(&twin, 78, |_| ()), "its signature is wrong"),
        (list(&Foreign::new("other"), 77, |_| ()), ""),
    ] {
        trust.revocations = vec![list];
        let outcome = folder.verify(&bundle, &trust);
        check(
            outcome.map(|_| ()).map_err(|error| error.to_string()),
            because,
        );
    }
}

#[test]
fn every_list_of_every_authority_counts() {
    let root = Foreign::new("root");
    let mut params = authority_params("middle");
    params.serial_number = Some(SerialNumber::from(5_u64));
    let (middle, der) = root.below(params);
    let folder = Folder::new();
    let bundle = folder.sign(Scheme::default(), &middle.signer(leaf_params(), &[&der]));
    let mut trust = trust_root(&root.certificate, TRAINER);
    for (lists, because) in [
        (vec![list(&root, 6, |_| ()), list(&middle, 78, |_| ())], ""),
        (
            vec![list(&root, 6, |_| ()), list(&root, 5, |_| ())],
            "`CN=middle` was revoked",
        ),
        (
            vec![list(&middle, 78, |_| ()), list(&middle, 77, |_| ())],
            "`CN=trainer` was revoked",
        ),
    ] {
        trust.revocations = lists;
        let outcome = folder.verify(&bundle, &trust);
        check(
            outcome.map(|_| ()).map_err(|error| error.to_string()),
            because,
        );
    }
}

#[test]
fn a_key_signs_with_its_own_certificate() {
    let root = Foreign::new("root");
    let pair = KeyPair::generate().unwrap();
    let der = leaf_params().signed_by(&pair, &root.issuer()).unwrap();
    let chain = Certificate::from_pem(&der.pem()).unwrap();
    let file = FileKey::from_pem(&pair.serialize_pem(), None).unwrap();
    let folder = Folder::new();
    let signer = Certified::new(Box::new(file), &chain).unwrap();
    let bundle = folder.sign(Scheme::default(), &signer);
    assert!(
        folder
            .verify(&bundle, &trust_root(&root.certificate, TRAINER))
            .is_ok()
    );
}

#[test]
fn a_certificate_of_another_key_does_not_sign() {
    let root = Foreign::new("root");
    let other = key(custody_signing::keys::Curve::P256);
    let certified = Certified::new(Box::new(other), std::slice::from_ref(&root.certificate));
    assert!(
        certified
            .unwrap_err()
            .to_string()
            .contains("does not belong to the key")
    );
}

#[test]
fn no_changed_byte_of_a_certificate_is_believed() {
    for params in [leaf_params(), marked()] {
        let root = Foreign::new("root");
        let folder = Folder::new();
        let signer = root.signer(params, &[]);
        let bundle = folder.sign(Scheme::default(), &signer);
        let parsed = custody_signing::Bundle::parse(bundle.as_bytes()).unwrap();
        let custody_signing::Material::Certificates(chain) = &parsed.material else {
            panic!("a chain was signed with");
        };
        let mut trust = trust_root(&root.certificate, TRAINER);
        trust.signers = Signers::Any;
        for index in 0..chain[0].len() {
            for flip in [1, 2, 0x80] {
                let mut changed = parsed.clone();
                let mut leaf = chain[0].clone();
                leaf[index] ^= flip;
                changed.material = custody_signing::Material::Certificates(vec![leaf]);
                let outcome = folder.verify(&changed.to_json().unwrap(), &trust);
                assert!(outcome.is_err(), "byte {index} ^ {flip}");
            }
        }
    }
}
