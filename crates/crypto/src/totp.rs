//! Codes of an authenticator app: RFC 6238 with its defaults, six digits of SHA-1 that change each 30 seconds.

use custody_types::{Entropy, Timestamp};
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// How many bytes the secret has: what RFC 4226, section 4, recommends.
const SECRET: usize = 20;
/// How many steps a clock may be off, before and after.
const SKEW: u16 = 1;

/// The text is no secret of an authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no secret of an authenticator: 160 bits in base32")]
pub struct NoSecret;

/// The secret that an authenticator app shares with whoever checks its codes.
#[derive(Debug, Clone)]
pub struct Authenticator(Secret<SECRET>);

impl Authenticator {
    /// Draws a secret.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        Self(Secret::generate(entropy))
    }

    /// Takes over a secret.
    ///
    /// # Errors
    /// [`NoSecret`] when it has another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoSecret> {
        Secret::from_slice(bytes).map(Self).ok_or(NoSecret)
    }

    /// Reads a secret in base32.
    ///
    /// # Errors
    /// [`NoSecret`].
    pub fn read(text: &str) -> Result<Self, NoSecret> {
        let secret = totp_rs::Secret::try_from_base32(text).map_err(|_| NoSecret)?;
        Self::from_bytes(secret.as_bytes())
    }

    /// Lends the secret.
    pub fn expose(&self) -> &[u8; SECRET] {
        self.0.expose()
    }

    /// Writes the secret in base32, as it is typed into an app.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(totp_rs::Secret::new_stack(*self.0.expose()).to_base32())
    }

    /// Writes the address by which an app takes it over: `otpauth://totp/…`, for `account` at `issuer`, without colons.
    ///
    /// # Errors
    /// [`NoSecret`] when a name cannot be written.
    pub fn to_url(&self, issuer: &str, account: &str) -> Result<Zeroizing<String>, NoSecret> {
        let named = self
            .builder()
            .with_issuer(Some(issuer.replace(':', " ")))
            .with_account_name(account.replace(':', " "));
        let totp = named.build().map_err(|_| NoSecret)?;
        totp.to_url().map(Zeroizing::new).map_err(|_| NoSecret)
    }

    /// Returns the step of time in which a code counts at `now`, or within one step of it. Each step counts once, which the
    /// caller sees to.
    pub fn step_of(&self, code: &str, now: Timestamp) -> Option<u64> {
        let seconds = u64::try_from(now.unix_micros() / 1_000_000).ok()?;
        self.totp()?.check(code, seconds)
    }

    fn builder(&self) -> Builder {
        Builder::new()
            .with_secret(totp_rs::Secret::new_stack(*self.0.expose()))
            .with_skew(SKEW)
    }

    fn totp(&self) -> Option<Totp> {
        self.builder().with_account_name("account").build().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Counting;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000).unwrap()
    }

    /// RFC 6238, appendix B: the last six of the eight digits there.
    #[test]
    fn codes_are_those_of_the_specification() {
        let known = Authenticator::from_bytes(b"12345678901234567890").unwrap();
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = u64::try_from(seconds / 30).unwrap();
            for (now, is_near) in [
                (0, true),
                (-30, true),
                (30, true),
                (-60, false),
                (60, false),
            ] {
                let found = known.step_of(code, at(seconds + now));
                assert_eq!(found, is_near.then_some(step), "{code} at {seconds} {now}");
            }
        }
        for wrong in ["", "28708", "2870820", "28708x", "287083", "２８７０８２"] {
            assert_eq!(known.step_of(wrong, at(59)), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_reads_back_and_nothing_else_is_one() {
        let drawn = Authenticator::draw(&Counting::new());
        let read = Authenticator::read(&drawn.to_text()).unwrap();
        assert_eq!(read.expose(), drawn.expose());
        let url = drawn.to_url("custody", "ada").unwrap();
        assert!(
            url.starts_with("otpauth://totp/") && url.contains(drawn.to_text().as_str()),
            "{}",
            *url
        );
        assert!(!format!("{drawn:?}").contains(drawn.to_text().as_str()));
        for wrong in ["", "A", "GEZDGNBVGY3TQOJQ", "not base32!", &"A".repeat(64)] {
            assert!(Authenticator::read(wrong).is_err(), "{wrong}");
        }
    }
}
