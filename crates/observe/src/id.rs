//! Ids, all of them drawn by a program.

use std::fmt;

use custody_types::{Clock, Entropy};
use uuid::Uuid;

/// The id of a request: a UUID version 7 that the server draws, and never one that came with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// The header of an answer that bears it.
    pub const HEADER: &str = "custody-request-id";

    /// Draws one.
    pub fn draw(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
        let millis = u64::try_from(clock.now().unix_micros() / 1000).unwrap_or(0);
        let mut random = [0; 10];
        entropy.fill(&mut random);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Returns it as a URI (RFC 9562, section 4): `urn:uuid:…`.
    pub fn urn(self) -> String {
        self.0.urn().to_string()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a run, which the door drew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(Uuid);

impl RunId {
    /// Reads one; `None` where it is no UUID, as each that the door draws is.
    pub fn read(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a trace (W3C Trace Context, section 3.2.2.3): 16 bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// The id of a span (W3C Trace Context, section 3.2.2.4, `parent-id`): 8 bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

impl TraceId {
    pub(crate) fn draw(entropy: &dyn Entropy) -> Self {
        Self(nonzero(entropy))
    }
}

impl SpanId {
    pub(crate) fn draw(entropy: &dyn Entropy) -> Self {
        Self(nonzero(entropy))
    }
}

fn nonzero<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    if bytes == [0; N] {
        bytes = [1; N];
    }
    bytes
}

/// The span of somebody else in whose work a request was made, as the request says. Nobody vouches for it: it is linked to
/// and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    /// Its trace.
    pub trace: TraceId,
    /// It.
    pub span: SpanId,
}

impl Remote {
    /// Reads the field `traceparent` (W3C Trace Context, section 3.2). What is not in the form of its version is left out, as
    /// section 4.3 has it; so is what a later version may add.
    pub fn read(field: &[u8]) -> Option<Self> {
        let (fixed, rest) = field.split_at_checked(55)?;
        let version: [u8; 1] = hexadecimal(fixed.get(0..2)?)?;
        let is_whole = rest.is_empty() || version != [0] && rest.first() == Some(&b'-');
        let dashes = [2, 35, 52].iter().all(|at| fixed.get(*at) == Some(&b'-'));
        let trace: [u8; 16] = hexadecimal(fixed.get(3..35)?)?;
        let span: [u8; 8] = hexadecimal(fixed.get(36..52)?)?;
        let _flags: [u8; 1] = hexadecimal(fixed.get(53..55)?)?;
        let counts = is_whole && dashes && version != [255] && trace != [0; 16] && span != [0; 8];
        counts.then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
        })
    }
}

/// Reads bytes of two small hexadecimal digits each.
fn hexadecimal<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |letter: u8| match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_the_standard_has_it_or_left_out() {
        const REST: &str = "-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let good = format!("00{REST}");
        let later = |end: &str| format!("cc{REST}{end}");
        let read = |text: &str| Remote::read(text.as_bytes());
        let remote = read(&good).unwrap();
        assert_eq!(remote.trace.0[..2], [0x4b, 0xf9]);
        assert_eq!(remote.span.0[6..], [0x02, 0xb7]);
        // Of a later version what is known of it is read.
        assert_eq!(read(&later("")), Some(remote));
        assert_eq!(read(&later("-more")), Some(remote));
        for bad in [
            "",
            "00",
            REST,
            &format!("0{REST}"),
            &format!("{good}-more"),
            &format!("{good}0"),
            &later("0"),
            &format!("ff{REST}"),
            &good.to_uppercase(),
            &good.replace('-', "_"),
            &good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &good.replace("4bf9", "4bé"),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
