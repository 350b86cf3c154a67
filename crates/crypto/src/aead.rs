//! AES-256-GCM behind a trait, with two implementations.
//!
//! Which of them is the faster depends on the processor: ring has a VAES kernel for AVX2, AWS-LC one
//! for AVX-512. [`fastest`] asks the machine. Both must pass a known answer first.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead as aws;
use custody_types::Clock;
use ring::aead as ring_aead;

/// The length of a key in bytes.
pub const KEY_BYTES: usize = 32;
/// The length of an initialisation vector in bytes.
pub const IV_BYTES: usize = 12;
/// The length of a tag in bytes.
pub const TAG_BYTES: usize = 16;

/// The bytes are not what was sealed under this key, vector and associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes do not open under this key")]
pub struct OpenError;

/// An implementation of AES-256-GCM (NIST SP 800-38D).
pub trait Aead: Send + Sync + fmt::Debug {
    /// Returns the name of the implementation.
    fn name(&self) -> &'static str;

    /// Prepares a key.
    fn key(&self, key: &[u8; KEY_BYTES]) -> Box<dyn AeadKey>;
}

/// A prepared key.
pub trait AeadKey: Send + Sync {
    /// Encrypts `bytes` in place and returns the tag. The caller never repeats `iv` under one key.
    ///
    /// # Errors
    /// [`OpenError`] when there are more bytes than the algorithm takes (64 GiB).
    fn seal(
        &self,
        iv: [u8; IV_BYTES],
        aad: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], OpenError>;

    /// Decrypts in place `bytes`, which end with the tag, and returns the length of the plaintext.
    ///
    /// # Errors
    /// [`OpenError`] when key, vector, associated data or bytes differ from the sealing; `bytes` is
    /// then of no use.
    fn open(&self, iv: [u8; IV_BYTES], aad: &[u8], bytes: &mut [u8]) -> Result<usize, OpenError>;
}

impl fmt::Debug for dyn AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey(…)")
    }
}

/// AES-256-GCM of ring.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ring;

/// AES-256-GCM of AWS-LC.
#[derive(Debug, Clone, Copy, Default)]
pub struct AwsLc;

struct RingKey(Option<ring_aead::LessSafeKey>);

struct AwsLcKey(Option<aws::LessSafeKey>);

impl Aead for Ring {
    fn name(&self) -> &'static str {
        "ring"
    }

    fn key(&self, key: &[u8; KEY_BYTES]) -> Box<dyn AeadKey> {
        let key = ring_aead::UnboundKey::new(&ring_aead::AES_256_GCM, key);
        Box::new(RingKey(key.ok().map(ring_aead::LessSafeKey::new)))
    }
}

impl AeadKey for RingKey {
    fn seal(
        &self,
        iv: [u8; IV_BYTES],
        aad: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], OpenError> {
        let key = self.0.as_ref().ok_or(OpenError)?;
        let nonce = ring_aead::Nonce::assume_unique_for_key(iv);
        let tag = key
            .seal_in_place_separate_tag(nonce, ring_aead::Aad::from(aad), bytes)
            .map_err(|_| OpenError)?;
        tag.as_ref().try_into().map_err(|_| OpenError)
    }

    fn open(&self, iv: [u8; IV_BYTES], aad: &[u8], bytes: &mut [u8]) -> Result<usize, OpenError> {
        let key = self.0.as_ref().ok_or(OpenError)?;
        let nonce = ring_aead::Nonce::assume_unique_for_key(iv);
        let plain = key
            .open_in_place(nonce, ring_aead::Aad::from(aad), bytes)
            .map_err(|_| OpenError)?;
        Ok(plain.len())
    }
}

impl Aead for AwsLc {
    fn name(&self) -> &'static str {
        "aws-lc"
    }

    fn key(&self, key: &[u8; KEY_BYTES]) -> Box<dyn AeadKey> {
        let key = aws::UnboundKey::new(&aws::AES_256_GCM, key);
        Box::new(AwsLcKey(key.ok().map(aws::LessSafeKey::new)))
    }
}

impl AeadKey for AwsLcKey {
    fn seal(
        &self,
        iv: [u8; IV_BYTES],
        aad: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], OpenError> {
        let key = self.0.as_ref().ok_or(OpenError)?;
        let nonce = aws::Nonce::assume_unique_for_key(iv);
        let tag = key
            .seal_in_place_separate_tag(nonce, aws::Aad::from(aad), bytes)
            .map_err(|_| OpenError)?;
        tag.as_ref().try_into().map_err(|_| OpenError)
    }

    fn open(&self, iv: [u8; IV_BYTES], aad: &[u8], bytes: &mut [u8]) -> Result<usize, OpenError> {
        let key = self.0.as_ref().ok_or(OpenError)?;
        let nonce = aws::Nonce::assume_unique_for_key(iv);
        let plain = key
            .open_in_place(nonce, aws::Aad::from(aad), bytes)
            .map_err(|_| OpenError)?;
        Ok(plain.len())
    }
}

/// No implementation gives the published answer on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no implementation of AES-256-GCM gives the published answer on this machine")]
pub struct NoAead;

/// Returns the implementation that is the faster here, after both gave a known answer.
///
/// Takes about two milliseconds.
///
/// # Errors
/// [`NoAead`] when neither gives the known answer.
pub fn fastest(clock: &dyn Clock) -> Result<Arc<dyn Aead>, NoAead> {
    let sound: Vec<Arc<dyn Aead>> = [Arc::new(Ring) as Arc<dyn Aead>, Arc::new(AwsLc)]
        .into_iter()
        .filter(|aead| gives_the_known_answer(aead.as_ref()))
        .collect();
    sound
        .into_iter()
        .max_by_key(|aead| rounds_in_a_millisecond(aead.as_ref(), clock))
        .ok_or(NoAead)
}

/// The test case 14 of `McGrew` and Viega, "The Galois/Counter Mode of Operation": a zero key, vector
/// and block.
fn gives_the_known_answer(aead: &dyn Aead) -> bool {
    const CIPHERTEXT: [u8; 16] = [
        0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d,
        0x18,
    ];
    const TAG: [u8; 16] = [
        0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9,
        0x19,
    ];
    let mut block = [0; 16];
    let tag = aead
        .key(&[0; KEY_BYTES])
        .seal([0; IV_BYTES], &[], &mut block);
    block == CIPHERTEXT && tag == Ok(TAG)
}

fn rounds_in_a_millisecond(aead: &dyn Aead, clock: &dyn Clock) -> u32 {
    const MOST_ROUNDS: u32 = 4096;
    let key = aead.key(&[7; KEY_BYTES]);
    let mut bytes = vec![0; 16 << 10];
    let end = clock.monotonic_ms().saturating_add(1);
    let mut rounds: u32 = 0;
    while rounds < MOST_ROUNDS && clock.monotonic_ms() < end {
        let mut iv = [0; IV_BYTES];
        if let Some(counter) = iv.first_chunk_mut::<4>() {
            *counter = rounds.to_be_bytes();
        }
        if key.seal(iv, &[], &mut bytes).is_err() {
            return 0;
        }
        rounds += 1;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&dyn Aead; 2] = [&Ring, &AwsLc];

    #[test]
    fn both_give_the_published_answer() {
        for aead in ALL {
            assert!(gives_the_known_answer(aead), "{}", aead.name());
        }
    }

    #[test]
    fn the_machine_has_a_sound_implementation() {
        let chosen = fastest(&crate::testing::Ticking::default()).unwrap();
        assert!(["ring", "aws-lc"].contains(&chosen.name()));
    }

    #[test]
    fn what_one_seals_the_other_opens() {
        for (one, other) in [(ALL[0], ALL[1]), (ALL[1], ALL[0])] {
            let mut bytes = b"some plain bytes".to_vec();
            let tag = one.key(&[1; 32]).seal([2; 12], b"aad", &mut bytes).unwrap();
            bytes.extend(tag);
            let length = other
                .key(&[1; 32])
                .open([2; 12], b"aad", &mut bytes)
                .unwrap();
            assert_eq!(&bytes[..length], b"some plain bytes");
        }
    }

    #[test]
    fn any_change_is_found() {
        for aead in ALL {
            let key = aead.key(&[1; 32]);
            let mut sealed = vec![5; 40];
            let tag = key.seal([2; 12], b"aad", &mut sealed).unwrap();
            sealed.extend(tag);
            for index in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[index] ^= 1;
                assert_eq!(key.open([2; 12], b"aad", &mut changed), Err(OpenError));
            }
            assert_eq!(
                key.open([3; 12], b"aad", &mut sealed.clone()),
                Err(OpenError)
            );
            assert_eq!(
                key.open([2; 12], b"add", &mut sealed.clone()),
                Err(OpenError)
            );
            assert_eq!(
                aead.key(&[9; 32])
                    .open([2; 12], b"aad", &mut sealed.clone()),
                Err(OpenError)
            );
            assert_eq!(key.open([2; 12], b"aad", &mut [0; 3]), Err(OpenError));
        }
    }
}
