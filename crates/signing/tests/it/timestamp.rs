//! Proofs of time, made by the timestamp authority of OpenSSL.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use custody_signing::Bundle;
use custody_signing::certificate::{Certificate, CertificateError};
use custody_signing::hash::Scheme;
use custody_signing::timestamp::{TimestampAuthority, TimestampError, query, verify};
use custody_signing::verify::{Options, TimeBasis, Trust, VerifyError};
use custody_types::Timestamp;
use rcgen::CertificateParams;

use crate::common::{Folder, Foreign, TRAINER, leaf_params, trust_root};

const SETTINGS: &str = "
[tsa]
default_tsa = one
[one]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[extensions]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
";

/// An authority in a folder of its own.
struct Authority {
    folder: tempfile::TempDir,
    chain: Vec<Certificate>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("settings"), SETTINGS).unwrap();
        fs::write(at("serial"), "01\n").unwrap();
        let run = |words: &str| openssl(folder.path(), words);
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        run(&format!(
            "req -x509 {key} -keyout root.key -out root.crt -subj /CN=root"
        ));
        run(&format!(
            "req {key} -keyout key -out request -subj /CN=stamps"
        ));
        run(
            "x509 -req -in request -CA root.crt -CAkey root.key -days 30 -out crt -extfile settings -extensions extensions",
        );
        let read = |name: &str| {
            let text = fs::read_to_string(at(name)).unwrap();
            Certificate::from_pem(&text).unwrap().remove(0)
        };
        Self {
            chain: vec![read("crt"), read("root.crt")],
            folder,
        }
    }

    fn trusted(&self) -> TimestampAuthority {
        TimestampAuthority::new(&self.chain).unwrap()
    }

    fn timestamp(&self, query: &[u8]) -> Vec<u8> {
        fs::write(self.folder.path().join("query"), query).unwrap();
        openssl(
            self.folder.path(),
            "ts -reply -config settings -section one -queryfile query -signer crt -inkey key -out answer",
        );
        fs::read(self.folder.path().join("answer")).unwrap()
    }
}

fn openssl(folder: &std::path::Path, words: &str) {
    let output = Command::new("openssl")
        .args(words.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {said}");
}

/// The time of the machine, which is the authority's: so many seconds from now.
fn now(seconds: i64) -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let micros = i64::try_from(now.unwrap().as_micros()).unwrap();
    Timestamp::from_unix_micros(micros + seconds * 1_000_000).unwrap()
}

/// A leaf that is valid between two moments, in seconds from now.
fn leaf(from: i64, to: i64) -> CertificateParams {
    let at = |seconds: i64| {
        let now = SystemTime::now();
        let shift = Duration::from_secs(seconds.unsigned_abs());
        let time = if seconds < 0 {
            now - shift
        } else {
            now + shift
        };
        time.into()
    };
    let mut params = leaf_params();
    params.not_before = at(from);
    params.not_after = at(to);
    params
}

const HOUR: i64 = 3_600;

#[test]
fn an_expired_leaf_is_believed_at_a_proven_time_only() {
    let authority = Authority::new();
    let root = Foreign::new("root");
    let mut trust = trust_root(&root.certificate, TRAINER);
    for (from, to, holds) in [
        (-HOUR, HOUR, true),
        (-2 * HOUR, -HOUR, false),
        (HOUR, 2 * HOUR, false),
    ] {
        let folder = Folder::new();
        let signer = root.signer(leaf(from, to), &[]);
        let mut bundle = Bundle::parse(folder.sign(Scheme::default(), &signer).as_bytes()).unwrap();
        let judge = |bundle: &Bundle, trust: &Trust, at| {
            let text = bundle.to_json().unwrap();
            folder.verify_with(&text, trust, &Options::default(), at)
        };
        let expired = |outcome| {
            matches!(
                outcome,
                Err(VerifyError::Certificate(CertificateError::Expired { .. }))
            )
        };
        let later = now(24 * HOUR);
        trust.timestamps.clear();
        assert!(expired(judge(&bundle, &trust, later)));
        bundle.timestamps = vec![authority.timestamp(&query(&bundle))];
        // A proof from someone who is not trusted with it is none.
        assert!(expired(judge(&bundle, &trust, later)));
        trust.timestamps.push(authority.trusted());
        match judge(&bundle, &trust, later) {
            Ok(verified) => {
                assert!(holds, "{from} to {to}");
                let TimeBasis::Proven(at) = verified.time else {
                    panic!("{:?}", verified.time);
                };
                assert!(now(-HOUR) < at && at < now(HOUR));
                assert!(matches!(
                    judge(&bundle, &trust, now(-HOUR)),
                    Err(VerifyError::Future(_))
                ));
            }
            outcome => assert!(!holds && expired(outcome), "{from} to {to}"),
        }
    }
}

#[test]
fn a_timestamp_is_of_one_signature_and_one_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    let root = Foreign::new("root");
    let folder = Folder::new();
    let sign = || {
        let text = folder.sign(Scheme::default(), &root.signer(leaf(-HOUR, HOUR), &[]));
        Bundle::parse(text.as_bytes()).unwrap()
    };
    let (one, two) = (sign(), sign());
    let token = authority.timestamp(&query(&one));
    let trusted = [other.trusted(), authority.trusted()];
    assert!(verify(&token, &one.signature, &trusted).is_ok());
    let refused = |token: &[u8], signature: &[u8], trusted: &[TimestampAuthority]| {
        verify(token, signature, trusted).unwrap_err()
    };
    assert!(matches!(
        refused(&token, &two.signature, &trusted),
        TimestampError::Untrusted(_)
    ));
    assert!(matches!(
        refused(&token, &one.signature, &trusted[..1]),
        TimestampError::Untrusted(_)
    ));
    assert!(matches!(
        refused(&token, &one.signature, &[]),
        TimestampError::NoAuthority
    ));
    for at in (0..token.len()).step_by(7) {
        let mut changed = token.clone();
        changed[at] ^= 1;
        // Bytes that the signature does not cover may differ, as long as what they say does not.
        if let Ok(time) = verify(&changed, &one.signature, &trusted) {
            assert_eq!(
                Ok(time),
                verify(&token, &one.signature, &trusted).map_err(|_| ()),
                "{at}"
            );
        }
    }
    let mut bundle = one.clone();
    bundle.timestamps = vec![token, authority.timestamp(&query(&two))];
    let mut trust = trust_root(&root.certificate, TRAINER);
    trust.timestamps = trusted.to_vec();
    // One that holds does not make up for one that does not.
    assert!(matches!(
        folder.verify_with(
            &bundle.to_json().unwrap(),
            &trust,
            &Options::default(),
            now(1)
        ),
        Err(VerifyError::Timestamp(_))
    ));
    assert!(matches!(
        TimestampAuthority::new(&[]),
        Err(TimestampError::NoAuthority)
    ));
}
