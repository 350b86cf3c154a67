//! The bytes of an HDF5 file: addresses, sizes and small structures.

use std::cell::Cell;

use crate::cursor::{Cursor, Stop};
use crate::source::Source;

/// How long one structure may be, in bytes.
const MAX_STRUCTURE: usize = 16 << 20;

/// A file and the sizes that its superblock gives.
pub(super) struct File<'a> {
    pub(super) source: &'a dyn Source,
    /// What addresses count from.
    pub(super) base: u64,
    /// How many bytes an address has.
    pub(super) offset_size: usize,
    /// How many bytes a length has.
    pub(super) length_size: usize,
    /// How many bytes of structures may still be read: what refers to one structure again and again
    /// ends there.
    pub(super) budget: Cell<u64>,
}

impl File<'_> {
    /// Returns the place of an address in the source; `None` for the undefined address.
    pub(super) fn place(&self, address: u64) -> Option<u64> {
        let undefined = u64::MAX >> (64 - 8 * self.offset_size.clamp(1, 8));
        (address != undefined)
            .then(|| self.base.checked_add(address))
            .flatten()
    }

    /// Reads `len` bytes at an address.
    pub(super) fn read(&self, address: u64, len: u64, what: &'static str) -> Result<Vec<u8>, Stop> {
        let at = self
            .place(address)
            .filter(|at| *at <= self.source.len())
            .ok_or_else(|| Stop::malformed(format!("has {what} outside of the file"), 0))?;
        let left = self.budget.get().checked_sub(len).ok_or_else(|| {
            Stop::limit("what its structures refer to", "the file's own size", at)
        })?;
        self.budget.set(left);
        Cursor::range(self.source, at, self.source.len()).bytes(len, MAX_STRUCTURE, what)
    }

    /// Reads at most `len` bytes at an address: fewer at the end of the file.
    pub(super) fn head(&self, address: u64, len: u64, what: &'static str) -> Result<Vec<u8>, Stop> {
        let left = self
            .place(address)
            .map_or(0, |at| self.source.len().saturating_sub(at));
        self.read(address, len.min(left), what)
    }
}

/// The fields of one structure, in order.
pub(super) struct Fields<'b> {
    bytes: &'b [u8],
    what: &'static str,
    at: u64,
}

impl<'b> Fields<'b> {
    pub(super) fn new(bytes: &'b [u8], what: &'static str, at: u64) -> Self {
        Self { bytes, what, at }
    }

    pub(super) fn rest(&self) -> &'b [u8] {
        self.bytes
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn malformed(&self, because: &str) -> Stop {
        Stop::malformed(format!("has {} {because}", self.what), self.at)
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'b [u8], Stop> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(Stop::Truncated {
            what: self.what,
            at: self.at,
        })?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Takes a number of `len` bytes, the lowest first.
    pub(super) fn number(&mut self, len: usize) -> Result<u64, Stop> {
        let bytes = self.take(len)?;
        if len > 8 {
            return Err(self.malformed("with a number of more than 8 bytes"));
        }
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Takes a number that counts bytes which are at hand.
    pub(super) fn size(&mut self, len: usize) -> Result<usize, Stop> {
        let number = self.number(len)?;
        usize::try_from(number).map_err(|_| self.malformed("with a size that no file has"))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    pub(super) fn expect(&mut self, signature: &[u8]) -> Result<(), Stop> {
        if self.take(signature.len())? == signature {
            Ok(())
        } else {
            Err(self.malformed("without its signature"))
        }
    }
}

/// Text up to its first NUL.
pub(super) fn c_string(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    let bytes = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}
