//! Bundles of the public Sigstore instance, as other signers made them, and what an attacker makes of them.

use std::fs;
use std::path::{Path, PathBuf};

use custody_signing::sigstore::TrustedRoot;
use custody_signing::tree::Model;
use custody_signing::verify::{
    Options, Signers, SigningMethod, TimeBasis, Trust, Verified, VerifyError, verify,
};
use serde_json::{Value, json};
use sigstore_trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, SIGSTORE_STAGING_TRUSTED_ROOT};

use crate::common::{NOW, only, time};

const SIGNER: &str = "stefanb@us.ibm.com";
const PROVIDER: &str = "https://sigstore.verify.ibm.com/oauth2";

fn folder(version: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sigstore");
    data.join(version)
}

fn bundle(version: &str) -> Value {
    let text = fs::read(folder(version).join("model.sig")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn trust(root: &str, signers: Signers) -> Trust {
    Trust {
        sigstore: Some(TrustedRoot::from_json(root).unwrap()),
        signers,
        ..Trust::default()
    }
}

fn judge(version: &str, bundle: &Value, trust: &Trust, now: &str) -> Result<Verified, VerifyError> {
    let folder = folder(version);
    let options = Options {
        may_leave_out: vec!["ignore-me".to_owned()],
        ..Options::default()
    };
    verify(
        Model::Path(&folder),
        &folder.join("model.sig"),
        bundle.to_string().as_bytes(),
        trust,
        &options,
        time(now),
        &|_| {},
    )
}

#[test]
fn signatures_of_the_public_instance_hold_offline() {
    let trust = trust(
        SIGSTORE_PRODUCTION_TRUSTED_ROOT,
        only(SIGNER, Some(PROVIDER)),
    );
    for (version, seen) in [
        ("v0.3.1", "2025-05-03T01:10:02Z"),
        ("v1.1.0", "2025-10-10T02:12:20Z"),
    ] {
        let verified = judge(version, &bundle(version), &trust, NOW).unwrap();
        assert_eq!(verified.method, SigningMethod::Sigstore);
        assert_eq!(verified.covered, ["signme-1", "signme-2"]);
        let TimeBasis::Proven(at) = verified.time else {
            panic!("{:?}", verified.time);
        };
        assert_eq!(at, time(seen));
        assert_eq!(
            verified.signer.to_string(),
            format!("{SIGNER} (by {PROVIDER})")
        );
    }
}

#[test]
fn whose_signature_it_is_must_be_said() {
    let judged = |root, signers| {
        let trust = trust(root, signers);
        judge("v1.1.0", &bundle("v1.1.0"), &trust, NOW).map(|_| ())
    };
    let public = SIGSTORE_PRODUCTION_TRUSTED_ROOT;
    assert!(judged(public, Signers::Any).is_ok());
    assert!(matches!(
        judged(public, Signers::Only(Vec::new())),
        Err(VerifyError::NoPolicy(_))
    ));
    for other in [
        only("eve@us.ibm.com", None),
        only(SIGNER, Some("https://accounts.google.com")),
    ] {
        assert!(matches!(
            judged(public, other),
            Err(VerifyError::OtherSigner { .. })
        ));
    }
    assert!(matches!(
        judged(SIGSTORE_STAGING_TRUSTED_ROOT, Signers::Any),
        Err(VerifyError::Sigstore(_))
    ));
    let nobody = Trust::default();
    let error = judge("v1.1.0", &bundle("v1.1.0"), &nobody, NOW).unwrap_err();
    assert!(matches!(error, VerifyError::NoTrust("Sigstore")));
    assert!(error.hint().unwrap().contains("trusted root"));
}

#[test]
fn a_time_that_is_still_to_come_is_not_believed() {
    let trust = trust(SIGSTORE_PRODUCTION_TRUSTED_ROOT, Signers::Any);
    assert!(matches!(
        judge("v1.1.0", &bundle("v1.1.0"), &trust, "2025-10-01T00:00:00Z"),
        Err(VerifyError::Future(_))
    ));
}

/// Changes the first character after the fifth of a base64 text.
fn flip(text: &Value) -> Value {
    let text = text.as_str().unwrap();
    let (head, tail) = text.split_at(5);
    let other = if tail.starts_with('A') { "B" } else { "A" };
    json!(format!("{head}{other}{}", tail.get(1..).unwrap()))
}

#[test]
fn nothing_in_a_bundle_can_be_exchanged() {
    let trust = trust(SIGSTORE_PRODUCTION_TRUSTED_ROOT, Signers::Any);
    let old = bundle("v0.3.1");
    let entry = "/verificationMaterial/tlogEntries/0";
    let stamps = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    let of_old = |path: &str| old.pointer(path).unwrap().clone();
    let original = bundle("v1.1.0");
    let flipped = |path: &str| flip(original.pointer(path).unwrap());
    let set = |path: String| (path.clone(), flipped(&path));
    let changes = [
        set("/verificationMaterial/certificate/rawBytes".to_owned()),
        set("/dsseEnvelope/payload".to_owned()),
        set("/dsseEnvelope/signatures/0/sig".to_owned()),
        set(format!("{entry}/canonicalizedBody")),
        set(format!("{entry}/logId/keyId")),
        set(format!("{entry}/inclusionPromise/signedEntryTimestamp")),
        set(format!("{entry}/inclusionProof/rootHash")),
        set(format!("{entry}/inclusionProof/hashes/0")),
        set(format!("{stamps}/0/signedTimestamp")),
        (format!("{entry}/integratedTime"), json!("1760062341")),
        (format!("{entry}/logIndex"), json!("598151087")),
        (format!("{entry}/inclusionProof/logIndex"), json!("1")),
        (
            format!("{entry}/inclusionProof/treeSize"),
            json!("476246826"),
        ),
        (format!("{entry}/kindVersion/kind"), json!("hashedrekord")),
        // Whole parts of another bundle, each of which holds by itself.
        (entry.to_owned(), of_old(entry)),
        (
            "/verificationMaterial/certificate".to_owned(),
            of_old("/verificationMaterial/certificate"),
        ),
        (
            "/verificationMaterial".to_owned(),
            of_old("/verificationMaterial"),
        ),
        ("/dsseEnvelope".to_owned(), of_old("/dsseEnvelope")),
        (
            format!("{entry}/inclusionProof"),
            of_old(&format!("{entry}/inclusionProof")),
        ),
    ];
    for (path, value) in changes {
        let mut changed = original.clone();
        *changed.pointer_mut(&path).unwrap() = value;
        assert_ne!(changed, original, "{path}");
        assert!(judge("v1.1.0", &changed, &trust, NOW).is_err(), "{path}");
    }
}

#[test]
fn a_bundle_needs_a_proof_of_its_place_and_time() {
    let trust = trust(SIGSTORE_PRODUCTION_TRUSTED_ROOT, Signers::Any);
    let without = |version: &str, parts: &[(&str, &str)]| {
        let mut changed = bundle(version);
        for (path, member) in parts {
            let object = changed.pointer_mut(path).unwrap().as_object_mut().unwrap();
            assert!(object.remove(*member).is_some(), "{member}");
        }
        judge(version, &changed, &trust, NOW).map(|_| ())
    };
    let material = "/verificationMaterial";
    let entry = "/verificationMaterial/tlogEntries/0";
    let promise = (entry, "inclusionPromise");
    assert!(without("v1.1.0", &[(entry, "inclusionProof")]).is_err());
    assert!(without("v1.1.0", &[(material, "tlogEntries")]).is_err());
    assert!(without("v0.3.1", &[promise]).is_err());
    // The time is proven by the log's promise and by the timestamp: one is enough.
    assert!(without("v1.1.0", &[promise]).is_ok());
    assert!(without("v1.1.0", &[(material, "timestampVerificationData")]).is_ok());
    assert!(
        without(
            "v1.1.0",
            &[promise, (material, "timestampVerificationData")]
        )
        .is_err()
    );
}

#[test]
fn a_root_that_trusts_no_one_or_says_nothing_is_of_no_use() {
    assert!(TrustedRoot::public().is_ok());
    for text in ["", "{}", "[]", r#"{"mediaType":"text/plain"}"#] {
        if let Ok(root) = TrustedRoot::from_json(text) {
            let trust = Trust {
                sigstore: Some(root),
                signers: Signers::Any,
                ..Trust::default()
            };
            assert!(judge("v1.1.0", &bundle("v1.1.0"), &trust, NOW).is_err());
        }
    }
}
