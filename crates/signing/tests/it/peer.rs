//! Signatures that the reference signer made (`model_signing` 1.1.1, see `tests/data/generate.sh`).

use std::fs;
use std::path::{Path, PathBuf};

use custody_signing::certificate::Certificate;
use custody_signing::keys::PublicKey;
use custody_signing::tree::Model;
use custody_signing::verify::{Options, Trust, Verified, VerifyError, verify};
use custody_signing::{Bundle, HashType, Material, SHARD_BYTES};

use crate::common::{TRAINER, trust_key, trust_root};

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(data(path)).unwrap()
}

fn check(
    model: &str,
    signature: &str,
    trust: &Trust,
    options: &Options,
    time: &str,
) -> Result<Verified, VerifyError> {
    let (model, signature) = (data(model), data(signature));
    let bundle = fs::read(&signature).unwrap();
    let model = Model::Path(&model);
    verify(
        model,
        &signature,
        &bundle,
        trust,
        options,
        crate::common::time(time.trim()),
        &|_| {},
    )
}

fn key(name: &str) -> Trust {
    trust_key(&PublicKey::from_pem(&text(&format!("{name}.pub"))).unwrap())
}

#[test]
fn signatures_of_the_reference_signer_verify() {
    let now = text("signed-at");
    for curve in ["p256", "p384", "p521"] {
        let trust = key(curve);
        for (kind, hash) in [
            ("", HashType::Sha256),
            ("-shards", HashType::Sha256),
            ("-blake3", HashType::Blake3),
        ] {
            let signature = format!("{curve}{kind}.sig");
            let verified = check("model", &signature, &trust, &Options::default(), &now).unwrap();
            assert_eq!(verified.hash, hash);
            assert_eq!(
                verified.covered,
                ["a.b", "a/b", "model.bin", "sub/config.json", "table.csv"]
            );
            assert_eq!(verified.covered_bytes, 182);
            // The fingerprint that the reference writes is the one that is computed here.
            let bundle = Bundle::parse(text(&signature).as_bytes()).unwrap();
            let hint = trust.keys[0].id().to_owned();
            assert_eq!(bundle.material, Material::Key { hint });
        }
    }
    let verified = check(
        "model/table.csv",
        "one-file.sig",
        &key("p256"),
        &Options::default(),
        &now,
    );
    assert_eq!(verified.unwrap().covered, ["table.csv"]);
    assert_eq!(SHARD_BYTES.get(), 1_000_000_000);
}

#[test]
fn certificates_of_the_reference_signer_verify_while_they_are_valid() {
    let now = text("signed-at");
    let root = Certificate::from_pem(&text("root.pem")).unwrap().remove(0);
    for curve in ["p256", "p384", "p521"] {
        let signature = format!("{curve}-certificate.sig");
        let options = Options::default();
        let by = |signer: &str, time: &str| {
            check(
                "model",
                &signature,
                &trust_root(&root, signer),
                &options,
                time,
            )
        };
        let verified = by(TRAINER, &now).unwrap();
        assert_eq!(
            verified.signer.to_string(),
            "trainer@example.org (by CN=middle,O=Example\\, Inc.)"
        );
        assert!(matches!(
            by("b@example.org", &now),
            Err(VerifyError::OtherSigner { .. })
        ));
        // The reference verifier accepts this one for ever.
        assert!(matches!(
            by(TRAINER, "2031-01-01T00:00:00Z"),
            Err(VerifyError::Certificate(_))
        ));
    }
}

#[test]
fn what_the_reference_signer_leaves_open_is_refused() {
    let now = text("signed-at");
    let trust = key("p256");
    let refused = |model, signature, trust: &Trust| {
        check(model, signature, trust, &Options::default(), &now)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused("model", "leaves-out.sig", &trust),
        "the signature leaves out `a.b`"
    );
    let options = Options {
        may_leave_out: vec!["a.b".to_owned()],
        ..Options::default()
    };
    let verified = check("model", "leaves-out.sig", &trust, &options, &now).unwrap();
    assert_eq!(verified.covered.len(), 4);
    assert!(refused("model", "p256-blake2.sig", &trust).contains("blake2b"));
    assert!(refused("model/model.bin", "p256.sig", &trust).contains("missing: `a.b`"));
    assert!(refused("model/a.b", "one-file.sig", &trust).contains("changed: `a.b`"));
    assert!(refused("model", "one-file.sig", &trust).contains("missing: `.`"));
    assert!(refused("model", "p384.sig", &trust).contains("is not trusted"));
}
