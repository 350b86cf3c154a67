//! Bytes that nobody may see.

use std::fmt;

use custody_types::Entropy;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes: wiped when dropped, never printed, compared in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Draws fresh secret bytes.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; N];
        entropy.fill(&mut bytes);
        let secret = Self(bytes);
        bytes.zeroize();
        secret
    }

    /// Takes over bytes that are secret already.
    pub const fn from_bytes(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Copies a slice; `None` when it has not exactly `N` bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Shows the bytes to the code that computes with them.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl Secret<32> {
    /// Derives a secret for one use, named by `context`, with BLAKE3's key derivation; none can be computed
    /// from another.
    #[must_use]
    pub fn derive(&self, context: &'static str) -> Self {
        Self(blake3::derive_key(context, &self.0))
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(…)")
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_itself() {
        let text = format!("{:?}", Secret::from_bytes([0xAB; 4]));
        assert_eq!(text, "Secret<4>(…)");
        assert_eq!(Secret::<2>::from_slice(&[1, 2, 3]), None);
    }
}
