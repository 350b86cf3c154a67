//! Where content is cut: FastCDC-2020 with a gear table that nobody knows without the domain's key.

use custody_crypto::Secret;
use fastcdc::v2020::{MASKS, cut_gear};

/// The shortest chunk but for the last of a file, in bytes.
const SHORTEST: usize = 16 << 10;
/// The length that chunks tend to, in bytes.
const USUAL: usize = 64 << 10;
/// The longest chunk, in bytes.
pub(crate) const LONGEST: usize = 256 << 10;
/// Normalisation level 1: one bit more before the usual length, one less after it.
const MASK_SHORT: u64 = mask(17);
const MASK_LONG: u64 = mask(15);

const fn mask(bits: usize) -> u64 {
    #[expect(
        clippy::indexing_slicing,
        reason = "a constant: out of bounds does not compile"
    )]
    MASKS[bits]
}

/// Cuts the content of one domain.
pub(crate) struct Chunker {
    gear: Box<[u64]>,
    gear_shifted: Box<[u64]>,
}

impl Chunker {
    /// Makes the table from the domain's chunking key.
    pub(crate) fn new(key: &Secret<32>) -> Self {
        let mut bytes = [0; 2048];
        blake3::Hasher::new_keyed(key.expose())
            .update(b"custody gear 1")
            .finalize_xof()
            .fill(&mut bytes);
        let gear: Box<[u64]> = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|number| u64::from_le_bytes(*number))
            .collect();
        let gear_shifted = gear.iter().map(|number| number << 1).collect();
        Self { gear, gear_shifted }
    }

    /// Returns the length of the first chunk of `content`, which is the rest of a file or at least
    /// [`LONGEST`] bytes of it.
    pub(crate) fn cut(&self, content: &[u8]) -> usize {
        let (_, length) = cut_gear(
            content,
            SHORTEST,
            USUAL,
            LONGEST,
            MASK_SHORT,
            MASK_LONG,
            MASK_SHORT << 1,
            MASK_LONG << 1,
            &self.gear,
            &self.gear_shifted,
        );
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new()
            .update(b"noise")
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    fn cuts(chunker: &Chunker, mut content: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        while !content.is_empty() {
            let length = chunker.cut(content);
            found.push(length);
            content = &content[length..];
        }
        found
    }

    #[test]
    fn chunks_keep_to_their_limits_and_depend_on_the_key() {
        let content = noise(8 << 20);
        let one = cuts(&Chunker::new(&Secret::from_bytes([1; 32])), &content);
        let other = cuts(&Chunker::new(&Secret::from_bytes([2; 32])), &content);
        assert_ne!(one, other);
        let (last, full) = one.split_last().unwrap();
        assert!(
            full.iter()
                .all(|length| (SHORTEST..=LONGEST).contains(length))
                && *last <= LONGEST
        );
        let mean = content.len() / one.len();
        assert!((48 << 10..96 << 10).contains(&mean), "mean {mean}");
    }

    #[test]
    fn the_first_cuts_are_those_of_the_format() {
        let content = noise(1 << 20);
        let found = cuts(&Chunker::new(&Secret::from_bytes([7; 32])), &content);
        assert_eq!(
            found,
            cuts(&Chunker::new(&Secret::from_bytes([7; 32])), &content)
        );
        assert_eq!(found.iter().sum::<usize>(), content.len());
    }

    #[test]
    fn an_insertion_moves_only_the_cuts_near_it() {
        let chunker = Chunker::new(&Secret::from_bytes([1; 32]));
        let content = noise(4 << 20);
        let mut changed = content.clone();
        changed.splice(1 << 20..1 << 20, [1, 2, 3]);
        let ends = |lengths: Vec<usize>, from_end: usize| -> Vec<usize> {
            let mut at = from_end;
            lengths
                .iter()
                .rev()
                .map(|length| {
                    at += length;
                    at
                })
                .collect()
        };
        let (before, after) = (
            ends(cuts(&chunker, &content), 0),
            ends(cuts(&chunker, &changed), 0),
        );
        let same = before.iter().filter(|end| after.contains(end)).count();
        assert!(same * 3 > before.len() * 2, "{same} of {}", before.len());
    }
}
