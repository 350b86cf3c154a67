//! Bytes that no one meant: they are refused, never a panic.

use custody_signing::certificate::{Certificate, RevocationList, Times, verify_chain};
use custody_signing::hash::Scheme;
use custody_signing::keys::{FileKey, PublicKey};
use custody_signing::pkcs11::TokenUri;
use custody_signing::{Bundle, Manifest, Material};
use proptest::prelude::*;

use crate::common::{Folder, Foreign, NOW, TRAINER, leaf_params, time, trust_root};

/// Cuts `remove` bytes out of `bytes` at a place, and puts others there.
fn splice(bytes: &[u8], place: usize, remove: usize, insert: &[u8]) -> Vec<u8> {
    let start = place % (bytes.len() + 1);
    let end = (start + remove).min(bytes.len());
    [&bytes[..start], insert, &bytes[end..]].concat()
}

fn splices() -> impl Strategy<Value = (usize, usize, Vec<u8>)> {
    let insert = prop::collection::vec(any::<u8>(), 0..6);
    (any::<usize>(), 0_usize..6, insert)
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
        let _ = Certificate::from_der(&bytes).is_ok();
        let _ = RevocationList::read(&bytes).is_ok();
        let _ = PublicKey::from_der(&bytes).is_ok();
        let _ = Bundle::parse(&bytes).is_ok();
        let _ = Manifest::parse(&bytes).is_ok();
        let _ = FileKey::from_pem(&text, Some(b"x")).is_ok();
        let _ = Certificate::from_pem(&text).is_ok();
        let _ = TokenUri::parse(&text).is_ok();
        let _ = TokenUri::parse(&format!("pkcs11:object={text}?module-path=/m")).is_ok();
    }
}

#[test]
fn a_spliced_certificate_is_never_believed() {
    let root = Foreign::new("root");
    let folder = Folder::new();
    let bundle = folder.sign(Scheme::default(), &root.signer(leaf_params(), &[]));
    let Material::Certificates(chain) = Bundle::parse(bundle.as_bytes()).unwrap().material else {
        panic!("a chain was signed with");
    };
    let times = Times {
        signed: time(NOW),
        now: time(NOW),
    };
    let roots = [root.certificate];
    assert!(verify_chain(&chain, &roots, &[], times).is_ok());
    proptest!(|((place, remove, insert) in splices())| {
        let leaf = splice(&chain[0], place, remove, &insert);
        let believed = verify_chain(std::slice::from_ref(&leaf), &roots, &[], times).is_ok();
        prop_assert_eq!(believed, leaf == chain[0]);
    });
}

#[test]
fn a_spliced_bundle_says_the_same_or_nothing() {
    let root = Foreign::new("root");
    let folder = Folder::new();
    let bundle = folder.sign(Scheme::default(), &root.signer(leaf_params(), &[]));
    let trust = trust_root(&root.certificate, TRAINER);
    let before = folder.verify(&bundle, &trust).unwrap();
    proptest!(|((place, remove, insert) in splices())| {
        let bytes = splice(bundle.as_bytes(), place, remove, &insert);
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(after) = folder.verify(&text, &trust)
        {
            prop_assert_eq!(&after, &before);
        }
    });
}
