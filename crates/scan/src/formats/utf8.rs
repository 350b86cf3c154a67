//! Whether bytes that come one by one are UTF-8.

/// A check of UTF-8 that sees one byte at a time (the Unicode Standard, table 3-7).
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Utf8 {
    /// How many continuation bytes are still to come.
    due: u8,
    /// The least and the greatest that the next one may be.
    range: (u8, u8),
}

impl Utf8 {
    /// Takes the next byte; `false` if no UTF-8 has it there.
    pub(crate) fn push(&mut self, byte: u8) -> bool {
        if self.due > 0 {
            let (least, greatest) = self.range;
            self.due -= 1;
            self.range = (0x80, 0xbf);
            return (least..=greatest).contains(&byte);
        }
        (self.due, self.range) = match byte {
            0..=0x7f => return true,
            0xc2..=0xdf => (1, (0x80, 0xbf)),
            0xe0 => (2, (0xa0, 0xbf)),
            0xed => (2, (0x80, 0x9f)),
            0xe1..=0xef => (2, (0x80, 0xbf)),
            0xf0 => (3, (0x90, 0xbf)),
            0xf4 => (3, (0x80, 0x8f)),
            0xf1..=0xf3 => (3, (0x80, 0xbf)),
            _ => return false,
        };
        true
    }

    /// Returns whether no character is begun and not ended.
    pub(crate) fn complete(self) -> bool {
        self.due == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn valid(bytes: &[u8]) -> bool {
        let mut check = Utf8::default();
        bytes.iter().all(|byte| check.push(*byte)) && check.complete()
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_standard_library(bytes: Vec<u8>, text: String, cut: usize) {
            prop_assert_eq!(valid(&bytes), std::str::from_utf8(&bytes).is_ok());
            prop_assert!(valid(text.as_bytes()));
            let part = &text.as_bytes()[..cut % (text.len() + 1)];
            prop_assert_eq!(valid(part), std::str::from_utf8(part).is_ok());
        }
    }
}
