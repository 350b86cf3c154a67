//! FLOE against an independent implementation, in both directions.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::sync::Arc;

use custody_crypto::Secret;
use custody_crypto::aead::Ring;
use custody_crypto::floe::{self, HEADER_BYTES, Parameters, SEGMENT_OVERHEAD};
use custody_types::Entropy;
use floe_rs::gcm::{FloeDecryptor, FloeEncryptor, FloeKey, Segment};
use floe_rs::types::Header;
use proptest::prelude::*;

const SEGMENT: u32 = 64;
const PLAIN: usize = SEGMENT as usize - SEGMENT_OVERHEAD;

/// Bytes that differ from one call to the next.
#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

fn parameters() -> Parameters {
    Parameters::new(SEGMENT as usize).unwrap()
}

fn theirs_opens(key: [u8; 32], aad: &[u8], whole: &[u8]) -> Vec<u8> {
    let header = Header::<32>::from_bytes(&whole[..HEADER_BYTES]).unwrap();
    let key = FloeKey::from(key);
    let decryptor = FloeDecryptor::<SEGMENT>::new(&key, aad, &header).unwrap();
    let segments: Vec<_> = whole[HEADER_BYTES..].chunks(SEGMENT as usize).collect();
    let mut plain = Vec::new();
    for (number, bytes) in segments.iter().enumerate() {
        let segment = Segment::from_bytes(bytes).unwrap();
        let mut buffer = vec![0; bytes.len() - SEGMENT_OVERHEAD];
        decryptor
            .decrypt_segment(
                &segment,
                &mut buffer,
                number as u64,
                number + 1 == segments.len(),
            )
            .unwrap();
        plain.extend(buffer);
    }
    plain
}

fn theirs_seals(key: [u8; 32], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let key = FloeKey::from(key);
    let encryptor = FloeEncryptor::<SEGMENT>::new(&key, aad);
    let header = encryptor.header();
    let mut whole = [&[0, 0][..], &SEGMENT.to_be_bytes(), &32_u32.to_be_bytes()].concat();
    whole.extend(header.iv().as_array());
    whole.extend(header.tag().as_array());
    let parts: Vec<&[u8]> = if plain.is_empty() {
        vec![plain]
    } else {
        plain.chunks(PLAIN).collect()
    };
    for (number, part) in parts.iter().enumerate() {
        let mut buffer = vec![0; part.len() + SEGMENT_OVERHEAD];
        encryptor
            .encrypt_segment(part, &mut buffer, number as u64, number + 1 == parts.len())
            .unwrap();
        whole.extend(buffer);
    }
    whole
}

proptest! {
    #[test]
    fn each_opens_what_the_other_seals(
        key in any::<[u8; 32]>(),
        aad in proptest::collection::vec(any::<u8>(), 0..20),
        plain in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let secret = Secret::from_bytes(key);
        let ours = floe::seal_all(parameters(), Arc::new(Ring), &secret, &aad, &plain, &Counting::default()).unwrap();
        prop_assert_eq!(&theirs_opens(key, &aad, &ours), &plain);
        let theirs = theirs_seals(key, &aad, &plain);
        prop_assert_eq!(&floe::open_all(parameters(), Arc::new(Ring), &secret, &aad, &theirs).unwrap(), &plain);
    }
}
