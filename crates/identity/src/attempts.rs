//! How soon somebody may try again who was wrong: a guesser waits, and locks nobody else out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use custody_types::Digest;

/// The longest wait.
const LONGEST: Duration = Duration::from_mins(15);
/// How many are remembered; of more, those whose wait ends soonest are forgotten.
const MOST: usize = 10_000;

/// Where somebody tries from ([`counted_address`]), and as whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guesser {
    address: IpAddr,
    /// Of the name of the account, which may be as long as a stranger likes.
    account: Digest,
}

/// Returns for which address somebody counts who comes from `address`: of IPv6 its network of 64 bits, which one machine has.
pub fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }
}

impl Guesser {
    /// Names whoever tries from `address`, as whomever.
    pub fn at(address: IpAddr) -> Self {
        Self::new(address, "")
    }

    /// Names whoever tries from the same address.
    #[must_use]
    pub fn of_anybody(&self) -> Self {
        Self::at(self.address)
    }

    /// Names who tries from `address` to be `account`.
    pub fn new(address: IpAddr, account: &str) -> Self {
        Self {
            address: counted_address(address),
            account: Digest::of(account.as_bytes()),
        }
    }
}

/// Who was wrong of late. Times are milliseconds of a clock that never steps backwards.
#[derive(Debug)]
pub struct Attempts {
    /// How often one may be wrong before one waits.
    free: u32,
    failures: BTreeMap<Guesser, Failures>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// Until when the next attempt is refused.
    until_ms: u64,
}

impl Attempts {
    /// Makes everybody wait who was wrong `free` times.
    pub const fn after(free: u32) -> Self {
        Self {
            free,
            failures: BTreeMap::new(),
        }
    }

    /// Returns how long `guesser` waits yet, if at all.
    pub fn wait(&self, guesser: &Guesser, now_ms: u64) -> Option<Duration> {
        let until = self.failures.get(guesser)?.until_ms;
        let left = until.checked_sub(now_ms).filter(|left| *left > 0)?;
        Some(Duration::from_millis(left))
    }

    /// Notes that `guesser` was wrong: after so many times the next attempt waits a second, and twice as long after each
    /// further one, up to a quarter of an hour. A quarter of an hour after the end of the wait all is forgotten.
    pub fn failed(&mut self, guesser: Guesser, now_ms: u64) {
        let longest = u64::try_from(LONGEST.as_millis()).unwrap_or(u64::MAX);
        let known = self.failures.get(&guesser).copied();
        let known = known.filter(|known| now_ms < known.until_ms.saturating_add(longest));
        let count = known.map_or(0, |known| known.count).saturating_add(1);
        let doubled = count.checked_sub(self.free).map(|more| {
            let wait = 1000_u64.checked_shl(more).filter(|wait| *wait >= 1000);
            wait.unwrap_or(longest).min(longest)
        });
        let until_ms = now_ms.saturating_add(doubled.unwrap_or(0));
        self.failures.insert(guesser, Failures { count, until_ms });
        if self.failures.len() > MOST {
            let soonest = self
                .failures
                .iter()
                .min_by_key(|(_, failures)| failures.until_ms);
            let soonest = soonest.map(|(guesser, _)| guesser.clone());
            soonest.and_then(|guesser| self.failures.remove(&guesser));
        }
    }

    /// Forgets the failures of `guesser`, who was right.
    pub fn succeeded(&mut self, guesser: &Guesser) {
        self.failures.remove(guesser);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str, account: &str) -> Guesser {
        Guesser::new(address.parse().unwrap(), account)
    }

    #[test]
    fn who_is_wrong_again_and_again_waits_ever_longer_and_nobody_else_does() {
        let mut attempts = Attempts::after(5);
        let (near, far) = (from("192.0.2.1", "ada"), from("192.0.2.2", "ada"));
        let mut now = 1000;
        let mut waits = Vec::new();
        for _ in 0..20 {
            attempts.failed(near.clone(), now);
            let wait = attempts.wait(&near, now).unwrap_or_default();
            waits.push(wait.as_secs());
            now += u64::try_from(wait.as_millis()).unwrap();
            assert_eq!(attempts.wait(&near, now), None, "the wait ends");
        }
        assert_eq!(
            waits.iter().take(9).copied().collect::<Vec<_>>(),
            [0, 0, 0, 0, 1, 2, 4, 8, 16]
        );
        assert_eq!(waits.last(), Some(&900));
        assert!(waits.is_sorted());
        attempts.failed(near.clone(), now);
        for other in [far, from("192.0.2.1", "eve"), from("::1", "ada")] {
            assert_eq!(attempts.wait(&other, now), None);
        }
        attempts.succeeded(&near);
        assert_eq!(attempts.wait(&near, now), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_guesser_and_many_guessers_take_bounded_memory() {
        assert_eq!(from("2001:db8::1", "a"), from("2001:db8::2:1", "a"));
        assert_ne!(from("2001:db8::1", "a"), from("2001:db8:0:1::1", "a"));
        assert_eq!(from("::ffff:192.0.2.1", "a"), from("192.0.2.1", "a"));
        let mut attempts = Attempts::after(5);
        let waiting = from("192.0.2.1", "ada");
        for _ in 0..10 {
            attempts.failed(waiting.clone(), 0);
        }
        for number in 0..2 * MOST {
            attempts.failed(from("192.0.2.9", &number.to_string()), 1);
        }
        assert_eq!(attempts.failures.len(), MOST);
        assert!(
            attempts.wait(&waiting, 1).is_some(),
            "who waits is not forgotten for the others"
        );
    }
}
