//! What someone tries who can change the files, the bundle or both, but has no trusted key.

use std::fs;

use custody_attest::AttestError;
use custody_signing::hash::Scheme;
use custody_signing::keys::{Curve, FileKey, ModelSigner as _};
use custody_signing::sign::seal;
use custody_signing::tree::Model;
use custody_signing::verify::{NotCovered, Options, Trust, VerifyError, verify};
use custody_signing::{Bundle, Manifest, Material};
use serde_json::{Value, json};

use crate::common::{
    Folder, Foreign, NOW, TRAINER, key, leaf_params, link, time, trust_key, trust_root,
};

fn signed() -> (Folder, FileKey, String, Trust) {
    let folder = Folder::new();
    let key = key(Curve::P256);
    let bundle = folder.sign(Scheme::default(), &key);
    let trust = trust_key(key.public());
    (folder, key, bundle, trust)
}

/// Changes the statement and signs it anew: what a careless or hostile signer with a trusted key writes.
fn resigned(bundle: &str, key: &FileKey, change: impl FnOnce(String) -> String) -> String {
    let mut bundle = Bundle::parse(bundle.as_bytes()).unwrap();
    let payload = String::from_utf8(bundle.payload).unwrap();
    let changed = change(payload.clone());
    assert_ne!(changed, payload);
    bundle.payload = changed.into_bytes();
    bundle.signature = key.sign(&bundle.signed_bytes()).unwrap();
    bundle.to_json().unwrap()
}

#[test]
fn no_changed_byte_of_the_bundle_is_believed() {
    let (folder, _, bundle, trust) = signed();
    let before = folder.verify(&bundle, &trust).unwrap();
    let mut refused = 0;
    for index in 0..bundle.len() {
        for flip in [1, 0x20, 0x80] {
            let mut bytes = bundle.clone().into_bytes();
            bytes[index] ^= flip;
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            match folder.verify(&text, &trust) {
                // The names of members that mean nothing may change; what is said may not.
                Ok(after) => assert_eq!(after, before, "byte {index} ^ {flip}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > bundle.len(), "{refused}");
}

#[test]
fn every_change_of_the_files_is_found_and_named() {
    let check = |change: &dyn Fn(&Folder), because: &str| {
        let (folder, _, bundle, trust) = signed();
        change(&folder);
        let error = folder.refused(&bundle, &trust);
        assert!(error.contains(because), "`{because}` expected: {error}");
    };
    let remove = |folder: &Folder, path: &str| fs::remove_file(folder.path.join(path)).unwrap();
    check(
        &|folder| folder.write("sub.json", b"{}"),
        "changed: `sub.json`",
    );
    check(&|folder| folder.write("empty", b"x"), "changed: `empty`");
    check(
        &|folder| folder.write("weights.bin", b""),
        "changed: `weights.bin`",
    );
    check(
        &|folder| remove(folder, "sub/config.json"),
        "missing: `sub/config.json`",
    );
    check(
        &|folder| folder.write("__init__.py", b""),
        "not signed: `__init__.py`",
    );
    check(
        &|folder| folder.write("sub/.git/hook", b""),
        "not signed: `sub/.git/hook`",
    );
    check(
        &|folder| folder.write(".gitmodules", b""),
        "not signed: `.gitmodules`",
    );
    check(
        &|folder| folder.write("claims.jsonl", b""),
        "not signed: `claims.jsonl`",
    );
    check(&|folder| folder.write("SUB.JSON", b"[]"), "the same name");
    check(
        &|folder| {
            remove(folder, "sub.json");
            folder.write("Sub.json", b"[]");
        },
        "missing: `sub.json`; not signed: `Sub.json`",
    );
    check(
        &|folder| {
            remove(folder, "sub.json");
            folder.write("elsewhere", b"[]");
            link(
                &folder.path.join("elsewhere"),
                &folder.path.join("sub.json"),
            );
        },
        "`sub.json` is a symbolic link",
    );
    check(
        &|folder| {
            let outside = folder.temporary.path().join("outside");
            fs::rename(folder.path.join("sub"), &outside).unwrap();
            link(&outside, &folder.path.join("sub"));
        },
        "`sub` is a symbolic link",
    );
    // Two files change places: the same digests under other names.
    check(
        &|folder| {
            folder.write("sub.json", b"{}");
            folder.write("sub/config.json", b"[]");
        },
        "changed: `sub.json`, `sub/config.json`",
    );
    check(
        &|folder| {
            for index in 0..25 {
                folder.write(&format!("new{index:02}"), b"");
            }
        },
        "`new19`, and 5 more",
    );
}

#[test]
fn a_link_to_the_model_itself_is_refused() {
    let (folder, _, bundle, trust) = signed();
    let path = folder.temporary.path().join("link");
    link(&folder.path, &path);
    let options = Options::default();
    let bytes = bundle.as_bytes();
    let error = verify(
        Model::Path(&path),
        &folder.signature,
        bytes,
        &trust,
        &options,
        time(NOW),
        &|_| {},
    )
    .unwrap_err();
    assert!(error.to_string().contains("is a symbolic link"));
}

#[test]
fn a_signer_that_leaves_files_out_is_refused() {
    let (folder, key, bundle, trust) = signed();
    folder.write("setup.py", b"1");
    let forged = resigned(&bundle, &key, |payload| {
        payload.replace("\".git\",", "\".git\",\"setup.py\",")
    });
    let error = folder.verify(&forged, &trust).unwrap_err();
    assert_eq!(error.to_string(), "the signature leaves out `setup.py`");
    assert!(error.hint().is_some());
    let options = Options {
        may_leave_out: vec!["setup.py".to_owned()],
        ..Options::default()
    };
    let verified = folder
        .verify_with(&forged, &trust, &options, time(NOW))
        .unwrap();
    assert!(
        verified
            .not_covered
            .contains(&("setup.py".to_owned(), NotCovered::LeftOut))
    );
    // The leave of the caller alone, without the signer's, changes nothing.
    let error = folder
        .verify_with(&bundle, &trust, &options, time(NOW))
        .unwrap_err();
    assert!(error.to_string().contains("not signed: `setup.py`"));
}

#[test]
fn a_second_signature_file_is_a_file_like_any_other() {
    let (folder, _, bundle, trust) = signed();
    let moved = folder.temporary.path().join("moved.sig");
    let options = Options::default();
    let check = |path| {
        let bytes = bundle.as_bytes();
        verify(
            Model::Path(&folder.path),
            path,
            bytes,
            &trust,
            &options,
            time(NOW),
            &|_| {},
        )
    };
    assert!(check(&folder.signature).is_ok());
    assert!(
        check(&moved)
            .unwrap_err()
            .to_string()
            .contains("not signed: `model.sig`")
    );
    fs::remove_file(&folder.signature).unwrap();
    assert!(check(&moved).is_ok());
}

#[test]
fn files_of_git_that_were_signed_are_checked() {
    let (folder, key, _, trust) = signed();
    folder.write(".gitattributes", b"*");
    let tree = Model::Path(&folder.path)
        .tree(&["model.sig".to_owned()])
        .unwrap();
    let files: Vec<_> = tree.files.iter().collect();
    let scheme = Scheme::default();
    let resources = custody_signing::hash::resources(&tree, &files, scheme, &|_| {}).unwrap();
    let manifest = Manifest::new("m", scheme.method, scheme.hash, Vec::new(), resources).unwrap();
    let bundle = seal(&manifest, &key).unwrap().to_json().unwrap();
    assert_eq!(folder.verify(&bundle, &trust).unwrap().covered.len(), 5);
    folder.write(".gitattributes", b"* filter=evil");
    assert!(
        folder
            .refused(&bundle, &trust)
            .contains("changed: `.gitattributes`")
    );
}

#[test]
fn a_statement_that_breaks_a_rule_is_refused_though_it_is_signed() {
    let (folder, key, bundle, trust) = signed();
    let check = |because: &str, change: &dyn Fn(String) -> String| {
        let forged = resigned(&bundle, &key, change);
        let error = folder.refused(&forged, &trust);
        assert!(error.contains(because), "`{because}` expected: {error}");
    };
    let edit = |payload: String, change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&payload).unwrap();
        change(&mut value);
        value.to_string()
    };
    check("not in order", &|payload| {
        edit(payload, &|value| {
            value["predicate"]["resources"]
                .as_array_mut()
                .unwrap()
                .reverse();
        })
    });
    check("not in order, or one is named twice", &|payload| {
        edit(payload, &|value| {
            let resources = value["predicate"]["resources"].as_array_mut().unwrap();
            resources.insert(0, resources[0].clone());
        })
    });
    check("root digest", &|payload| {
        edit(payload, &|value| {
            let resources = value["predicate"]["resources"].as_array_mut().unwrap();
            let digest = resources[0]["digest"].take();
            resources[0]["digest"] = resources[1]["digest"].take();
            resources[1]["digest"] = digest;
        })
    });
    check("2 subjects", &|payload| {
        edit(payload, &|value| {
            let subject = value["subject"][0].clone();
            value["subject"].as_array_mut().unwrap().push(subject);
        })
    });
    check("is a statement", &|payload| {
        payload.replace("signature/v1.0", "signature/v1.1")
    });
    check("twice", &|payload| {
        payload.replace(
            "\"name\":\"model\"",
            "\"name\":\"other\",\"name\":\"model\"",
        )
    });
    check("unknown field", &|payload| {
        edit(payload, &|value| value["predicate"]["more"] = json!(1))
    });
    check("not a path within a model", &|payload| {
        payload.replace("\"sub.json\"", "\"../sub.json\"")
    });
}

#[test]
fn a_bundle_without_exactly_one_signature_is_refused() {
    let (folder, _, bundle, trust) = signed();
    let mut value: Value = serde_json::from_str(&bundle).unwrap();
    let one = value["dsseEnvelope"]["signatures"][0].clone();
    for (signatures, because) in [
        (json!([]), "0 signatures"),
        (json!([one, one]), "2 signatures"),
        (json!([{"sig": "MAA="}]), "is not one of"),
        (json!([{"sig": ""}]), "is empty"),
    ] {
        value["dsseEnvelope"]["signatures"] = signatures;
        assert!(folder.refused(&value.to_string(), &trust).contains(because));
    }
    for text in ["", "{}", "null", "[]", "\u{feff}{}"] {
        assert!(folder.verify(text, &trust).is_err(), "{text}");
    }
}

#[test]
fn the_key_must_be_a_trusted_one_whatever_the_hint_says() {
    let (folder, own, bundle, trust) = signed();
    let other = key(Curve::P256);
    let error = folder
        .verify(&bundle, &trust_key(other.public()))
        .unwrap_err();
    assert!(matches!(&error, VerifyError::UnknownKey(id) if id == own.public().id()));
    // Signed by another, under the name of the trusted key.
    let mut forged = Bundle::parse(bundle.as_bytes()).unwrap();
    forged.signature = other.sign(&forged.signed_bytes()).unwrap();
    let named = forged.to_json().unwrap();
    assert!(matches!(
        folder.verify(&named, &trust),
        Err(VerifyError::Signature(_))
    ));
    forged.material = Material::Key {
        hint: String::new(),
    };
    let unnamed = forged.to_json().unwrap();
    assert!(matches!(
        folder.verify(&unnamed, &trust),
        Err(VerifyError::Signature(_))
    ));
    assert!(matches!(
        folder.verify(&bundle, &Trust::default()),
        Err(VerifyError::NoTrust(_))
    ));
}

#[test]
fn a_curve_goes_with_its_own_hash_only() {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P384_SHA3_384_ASN1_SIGNING as OTHER, EcdsaKeyPair};
    let folder = Folder::new();
    let key = key(Curve::P384);
    let bundle = folder.sign(Scheme::default(), &key);
    let pem = pem::parse(key.to_pem().unwrap().as_bytes()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&OTHER, pem.contents()).unwrap();
    let mut forged = Bundle::parse(bundle.as_bytes()).unwrap();
    let random = SystemRandom::new();
    forged.signature = pair
        .sign(&random, &forged.signed_bytes())
        .unwrap()
        .as_ref()
        .to_vec();
    let trust = trust_key(key.public());
    assert!(matches!(
        folder.verify(&forged.to_json().unwrap(), &trust),
        Err(VerifyError::Signature(_))
    ));
}

#[test]
fn a_signature_in_another_form_than_der_is_refused() {
    let (folder, _, bundle, trust) = signed();
    let parsed = Bundle::parse(bundle.as_bytes()).unwrap();
    let der = &parsed.signature;
    assert!(der.len() < 0x80);
    let mut long_length = vec![0x30, 0x81, der[1]];
    long_length.extend(&der[2..]);
    let mut padded = vec![0x30, der[1] + 1, 2, der[3] + 1, 0];
    padded.extend(&der[4..]);
    let trailing = [der.as_slice(), &[0]].concat();
    let mut indefinite = vec![0x30, 0x80];
    indefinite.extend(&der[2..]);
    indefinite.extend([0, 0]);
    for signature in [long_length, padded, trailing, indefinite, der[..9].to_vec()] {
        let forged = Bundle {
            signature,
            ..parsed.clone()
        };
        assert!(matches!(
            folder.verify(&forged.to_json().unwrap(), &trust),
            Err(VerifyError::Signature(_))
        ));
    }
}

#[test]
fn the_first_drafts_signed_bytes_are_not_accepted() {
    let (folder, key, bundle, trust) = signed();
    let mut forged = Bundle::parse(bundle.as_bytes()).unwrap();
    let payload = String::from_utf8(forged.payload.clone()).unwrap();
    let message = format!(
        "DSSEV1 28 application/vnd.in-toto+json {} b'{payload}'",
        payload.len()
    );
    forged.signature = key.sign(message.as_bytes()).unwrap();
    assert!(folder.verify(&forged.to_json().unwrap(), &trust).is_err());
}

#[test]
fn a_chain_does_not_pass_for_another_key() {
    let root = Foreign::new("root");
    let folder = Folder::new();
    let own = folder.sign(Scheme::default(), &root.signer(leaf_params(), &[]));
    let other = folder.sign(Scheme::default(), &root.signer(leaf_params(), &[]));
    let mut forged = Bundle::parse(own.as_bytes()).unwrap();
    forged.material = Bundle::parse(other.as_bytes()).unwrap().material;
    let trust = trust_root(&root.certificate, TRAINER);
    assert!(matches!(
        folder.verify(&forged.to_json().unwrap(), &trust),
        Err(VerifyError::Signature(_))
    ));
    // Nor does a key method pass where only an authority is trusted, nor the other way round.
    let key = key(Curve::P256);
    let by_key = folder.sign(Scheme::default(), &key);
    assert!(matches!(
        folder.verify(&by_key, &trust),
        Err(VerifyError::NoTrust(_))
    ));
    assert!(matches!(
        folder.verify(&own, &trust_key(key.public())),
        Err(VerifyError::NoTrust(_))
    ));
}

#[test]
fn errors_of_the_form_keep_their_kind() {
    let (folder, _, _, trust) = signed();
    assert!(matches!(
        folder.verify("{}", &trust),
        Err(VerifyError::Form(AttestError::Malformed { .. }))
    ));
}
