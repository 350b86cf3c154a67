//! The Merkle tree of RFC 6962 §2.1: hashes, and the checking of proofs.

use sha2::{Digest, Sha256};

/// A SHA-256 hash in a tree.
pub type Hash = [u8; 32];

/// Returns the hash of an entry: `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(entry)
        .finalize()
        .into()
}

/// Returns the hash of two subtrees: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// Returns the root of a tree without entries.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The left edge of a tree that grows to the right: perfect subtrees, the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier(Vec<(u32, Hash)>);

impl Frontier {
    /// Adds a perfect subtree of `2^height` entries at the right end.
    ///
    /// Right only where the tree so far is a multiple of that many entries.
    pub fn push(&mut self, mut height: u32, mut hash: Hash) {
        while let Some((top, left)) = self.0.last()
            && *top == height
        {
            hash = node_hash(left, &hash);
            height += 1;
            self.0.pop();
        }
        self.0.push((height, hash));
    }

    /// Returns the root of the tree.
    pub fn root(&self) -> Hash {
        let mut parts = self.0.iter().rev().map(|(_, hash)| *hash);
        let Some(last) = parts.next() else {
            return empty_root();
        };
        parts.fold(last, |right, left| node_hash(&left, &right))
    }
}

/// A proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not hold")]
pub struct ProofError;

/// Checks that the entry with hash `leaf` is at `index` of the tree with `size` entries and `root`
/// (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`ProofError`] when it is not shown.
pub fn check_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError);
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError);
        }
        if at % 2 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at.is_multiple_of(2) && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root {
        Ok(())
    } else {
        Err(ProofError)
    }
}

/// Checks that the tree with `old_size` entries and `old_root` is the beginning of the one with
/// `size` entries and `root` (RFC 9162 §2.1.4.2).
///
/// # Errors
/// [`ProofError`] when it is not shown.
pub fn check_consistency(
    old_size: u64,
    old_root: &Hash,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > size {
        return Err(ProofError);
    }
    if old_size == size {
        return if proof.is_empty() && old_root == root {
            Ok(())
        } else {
            Err(ProofError)
        };
    }
    if old_size == 0 {
        return if proof.is_empty() && *old_root == empty_root() {
            Ok(())
        } else {
            Err(ProofError)
        };
    }
    let mut path = proof.iter();
    let first = if old_size.is_power_of_two() {
        old_root
    } else {
        path.next().ok_or(ProofError)?
    };
    let (mut at, mut last) = (old_size - 1, size - 1);
    while at % 2 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return Err(ProofError);
        }
        if at % 2 == 1 || at == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while at.is_multiple_of(2) && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last == 0 && old == *old_root && new == *root {
        Ok(())
    } else {
        Err(ProofError)
    }
}
