use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::oms;
use crate::statement::ResourceDescriptor;
use crate::testing::TestKey;

fn model() -> Digest {
    Digest::of(b"model")
}

fn claim(key: &TestKey, subject: Digest, predicate: u32) -> Claim {
    let subject = ResourceDescriptor::version("employment/model@1", subject);
    let statement = Statement::new(vec![subject], "https://a.org/p", &predicate).unwrap();
    Claim::new(Envelope::parse(&statement.seal(key).unwrap()).unwrap()).unwrap()
}

#[test]
fn claims_read_back_in_order_and_each_stands_once() {
    let key = TestKey::new("k");
    let [one, two] = [1, 2].map(|number| claim(&key, model(), number));
    let first = append(b"", std::slice::from_ref(&one)).unwrap();
    let both = append(&first, &[two.clone(), one.clone(), two.clone()]).unwrap();
    assert!(both.starts_with(&first) && both.ends_with(b"\n"));
    assert_eq!(read(&both).unwrap(), [one.clone(), two.clone()]);
    assert_eq!(append(&both, &[two, one]).unwrap(), both);
    assert_eq!(read(b"").unwrap(), []);
}

#[test]
fn a_line_is_a_bundle_as_sigstore_writes_it() {
    let key = TestKey::new("k");
    let claim = claim(&key, model(), 1);
    let line: Value =
        serde_json::from_slice(&append(b"", std::slice::from_ref(&claim)).unwrap()).unwrap();
    let signature = &claim.envelope().signatures[0];
    assert_eq!(
        line,
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "k"}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": claim.envelope().payload,
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"keyid": "k", "sig": signature.sig}],
            },
        })
    );
}

#[test]
fn a_claim_opens_with_its_key_and_about_the_model_only() {
    let key = TestKey::new("k");
    let good = claim(&key, model(), 7);
    assert_eq!(good.open(&[model()], &key).unwrap().predicate, json!(7));
    let other = Digest::of(b"other");
    assert!(good.open(&[other, model()], &key).is_ok());
    let error = good.open(&[other], &key).unwrap_err().to_string();
    assert!(error.contains("about something else"), "{error}");
    for stranger in [TestKey::new("k"), TestKey::new("x")] {
        assert_eq!(
            good.open(&[model()], &stranger),
            Err(AttestError::NotSigned("envelope"))
        );
    }
    let mut forged = good.envelope().clone();
    forged.payload = claim(&key, model(), 8).envelope().payload.clone();
    let forged = Claim::new(forged).unwrap();
    assert!(forged.open(&[model()], &key).is_err());
}

#[test]
fn a_model_signature_may_stand_among_the_claims_under_its_own_root() {
    let key = TestKey::new("k");
    let file = custody_types::FileEntry {
        path: "model.onnx".parse().unwrap(),
        size: custody_types::ByteSize::from_bytes(1),
        sha256: Digest::of(b"weights"),
        executable: false,
    };
    let signed: Value = serde_json::from_str(&oms::sign("m", &[file], &key).unwrap()).unwrap();
    let mut envelope: Envelope = serde_json::from_value(signed["dsseEnvelope"].clone()).unwrap();
    assert!(Claim::new(envelope.clone()).is_err(), "it names no key");
    envelope.signatures[0].keyid = "k".to_owned();
    let root = Digest::of(Digest::of(b"weights").as_bytes());
    let claim = Claim::new(envelope).unwrap();
    assert_eq!(
        claim.open(&[model(), root], &key).unwrap().predicate_type,
        oms::PREDICATE
    );
}

#[test]
fn other_lines_are_refused_with_their_number() {
    let key = TestKey::new("k");
    let good = append(b"", &[claim(&key, model(), 1)]).unwrap();
    let changed = |pointer: &str, value: Value| {
        let mut line: Value = serde_json::from_slice(&good).unwrap();
        *line.pointer_mut(pointer).unwrap() = value;
        format!("{line}\n")
    };
    let added = |pointer: &str| {
        let mut line: Value = serde_json::from_slice(&good).unwrap();
        line.pointer_mut(pointer).unwrap()["x"] = json!(1);
        format!("{line}\n")
    };
    let text = String::from_utf8(good.clone()).unwrap();
    for (line, because) in [
        ("\n".to_owned(), "line 2 is no claim: EOF"),
        ("{}\n".to_owned(), "missing field"),
        (
            text.trim_end().to_owned(),
            "line 2 is no claim: it is cut off",
        ),
        (format!("\u{feff}{text}"), "expected value"),
        (text.replace('\n', " {}\n"), "trailing characters"),
        (
            text.replacen("\"mediaType\"", "\"mediaType\":\"\",\"mediaType\"", 1),
            "duplicate field",
        ),
        (
            changed("/mediaType", json!("x")),
            "no bundle of version 0.3",
        ),
        (
            changed("/verificationMaterial", json!({"certificate": {}})),
            "unknown field",
        ),
        (
            changed("/verificationMaterial/publicKey/hint", json!("x")),
            "its hint is not the key",
        ),
        (
            changed("/verificationMaterial/tlogEntries", json!([1])),
            "entries of a log",
        ),
        (
            changed("/dsseEnvelope/payloadType", json!("text/plain")),
            "no in-toto statement",
        ),
        (
            changed("/dsseEnvelope/signatures", json!([])),
            "not exactly one signature",
        ),
        (added(""), "unknown field"),
        (added("/verificationMaterial"), "unknown field"),
    ] {
        let file = [good.as_slice(), line.as_bytes()].concat();
        let error = read(&file).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains(because),
            "{because}: {error}"
        );
        assert!(append(&file, &[]).is_err());
    }
}

#[test]
fn too_much_is_refused() {
    let long = [vec![b' '; MAX_LINE_BYTES], b"\n".to_vec()].concat();
    let error = read(&long).unwrap_err().to_string();
    assert!(error.contains("longer than 16777216 bytes"), "{error}");
    let key = TestKey::new("k");
    let line = append(b"", &[claim(&key, model(), 1)]).unwrap();
    let full = line.repeat(MAX_LINES);
    assert_eq!(read(&full).unwrap().len(), MAX_LINES);
    for error in [
        read(&line.repeat(MAX_LINES + 1)).unwrap_err(),
        append(&full, &[claim(&key, model(), 2)]).unwrap_err(),
    ] {
        assert!(error.to_string().contains("more than 10000 lines"));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        if let Ok(claims) = read(&bytes) {
            prop_assert_eq!(claims.len(), bytes.split_inclusive(|byte| *byte == b'\n').count());
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed(position in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let key = TestKey::new("k");
        let good = claim(&key, model(), 1);
        let mut file = append(b"", std::slice::from_ref(&good)).unwrap();
        let at = position.index(file.len());
        file[at] ^= 1 << bit;
        let opened = read(&file).and_then(|claims| {
            claims.iter().map(|claim| claim.open(&[model()], &key)).collect::<Result<Vec<_>, _>>()
        });
        // What is still accepted says the same: only white space or an escape can differ.
        if let Ok(statements) = opened {
            prop_assert_eq!(statements, vec![good.open(&[model()], &key).unwrap()]);
        }
    }
}
