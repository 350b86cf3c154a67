//! Dates and points in time as text.

use chrono::format::{Fixed, Item, Numeric, Parsed, StrftimeItems};
use chrono::{Datelike, NaiveDate, Timelike};

/// The days from the year 1 to 1970.
const EPOCH: i32 = 719_163;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    seconds: i64,
    nanoseconds: u32,
    /// Whether a zone was given; it is applied already.
    pub(crate) zone: bool,
}

impl Moment {
    pub(crate) fn microseconds(self) -> Option<i64> {
        if !self.nanoseconds.is_multiple_of(1000) {
            return None;
        }
        let whole = self.seconds.checked_mul(1_000_000)?;
        whole.checked_add(i64::from(self.nanoseconds / 1000))
    }

    pub(crate) fn nanoseconds(self) -> Option<i64> {
        let whole = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds);
        i64::try_from(whole).ok()
    }
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0_u32, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + u32::from(byte - b'0'))
    })
}

fn days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH
}

/// Reads `YYYY-MM-DD` as days since 1970.
pub(crate) fn date(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else {
        return None;
    };
    let year = i32::try_from(digits(&[*y1, *y2, *y3, *y4])?).ok()?;
    NaiveDate::from_ymd_opt(year, digits(&[*m1, *m2])?, digits(&[*d1, *d2])?).map(days)
}

/// Reads `YYYY-MM-DDTHH:MM`, with a blank for the `T`, seconds, up to nine digits of a fraction and a zone
/// (`Z`, `+02:00`, `+0200`, `+02`).
pub(crate) fn timestamp(text: &[u8]) -> Option<Moment> {
    let (day, rest) = text.split_at_checked(10)?;
    let day = i64::from(date(day)?);
    let [b'T' | b' ', h1, h2, b':', m1, m2, rest @ ..] = rest else {
        return None;
    };
    let (hour, minute) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
    let (mut second, mut nanoseconds, mut rest) = (0, 0, rest);
    if let [b':', s1, s2, after @ ..] = rest {
        second = digits(&[*s1, *s2])?;
        rest = after;
        if let [b'.', after @ ..] = rest {
            let count = after
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let (fraction, after) = after.split_at_checked(count)?;
            if !(1..=9).contains(&count) {
                return None;
            }
            nanoseconds = digits(fraction)? * 10_u32.pow(9 - u32::try_from(count).ok()?);
            rest = after;
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let offset = match rest {
        [] => None,
        [b'Z'] => Some(0),
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let (hours, minutes) = match zone {
                [h1, h2] => (digits(&[*h1, *h2])?, 0),
                [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => {
                    (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?)
                }
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i64::from(hours * 3600 + minutes * 60);
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => return None,
    };
    let of_day = i64::from(hour * 3600 + minute * 60 + second);
    Some(Moment {
        seconds: day * 86_400 + of_day - offset.unwrap_or(0),
        nanoseconds,
        zone: offset.is_some(),
    })
}

/// A pattern in the letters of `strptime`.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    items: Vec<Item<'static>>,
    pub(crate) has_time: bool,
    pub(crate) has_zone: bool,
}

impl Pattern {
    /// Reads a pattern.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let items = StrftimeItems::new(text).parse_to_owned();
        let items = items.map_err(|_| format!("`{text}` is no pattern of `strptime`"))?;
        let has_time = items.iter().any(|item| {
            matches!(
                item,
                Item::Numeric(
                    Numeric::Hour
                        | Numeric::Hour12
                        | Numeric::Minute
                        | Numeric::Second
                        | Numeric::Timestamp,
                    _
                ) | Item::Fixed(Fixed::RFC2822 | Fixed::RFC3339)
            )
        });
        let has_zone = items.iter().any(|item| {
            matches!(
                item,
                Item::Fixed(
                    Fixed::TimezoneOffset
                        | Fixed::TimezoneOffsetColon
                        | Fixed::TimezoneOffsetColonZ
                        | Fixed::TimezoneOffsetZ
                        | Fixed::RFC2822
                        | Fixed::RFC3339
                ) | Item::Numeric(Numeric::Timestamp, _)
            )
        });
        Ok(Self {
            text: text.to_owned(),
            items,
            has_time,
            has_zone,
        })
    }

    fn parsed(&self, text: &str) -> Option<Parsed> {
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, self.items.iter()).ok()?;
        Some(parsed)
    }

    /// Reads a date as days since 1970.
    pub(crate) fn date(&self, text: &str) -> Option<i32> {
        self.parsed(text)?.to_naive_date().ok().map(days)
    }

    /// Reads a point in time. Without an hour it is none.
    pub(crate) fn timestamp(&self, text: &str) -> Option<Moment> {
        let parsed = self.parsed(text)?;
        let (time, zone) = if self.has_zone {
            (parsed.to_datetime().ok()?.naive_utc(), true)
        } else {
            (parsed.to_naive_datetime_with_offset(0).ok()?, false)
        };
        // A leap second has no place in a count of seconds.
        (time.nanosecond() < 1_000_000_000).then(|| Moment {
            seconds: time.and_utc().timestamp(),
            nanoseconds: time.nanosecond(),
            zone,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_that_exist() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2000-02-29", Some(11_016)),
            ("1900-02-29", None),
            ("0001-01-01", Some(-719_162)),
            ("9999-12-31", Some(2_932_896)),
            ("2020-13-01", None),
            ("2020-00-10", None),
            ("2020-1-1", None),
            ("20200101", None),
            ("2020/01/01", None),
            ("2020-01-01 ", None),
        ] {
            assert_eq!(date(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn timestamps_are_exact_and_know_their_zone() {
        for (text, expected) in [
            ("1970-01-01T00:00", Some((0, false))),
            ("1970-01-01 00:00:01.5", Some((1_500_000_000, false))),
            ("1970-01-01 00:00:00.123456789", Some((123_456_789, false))),
            ("1970-01-01T02:00:00+02:00", Some((0, true))),
            ("1969-12-31T22:30:00-0130", Some((0, true))),
            ("1970-01-01T00:00:00Z", Some((0, true))),
            ("1970-01-01T01:00:00+01", Some((0, true))),
            ("1969-12-31 23:59:59.999999", Some((-1000, false))),
            ("1970-01-01T24:00", None),
            ("1970-01-01T23:59:60", None),
            ("1970-01-01T00:00:00.", None),
            ("1970-01-01T00:00:00.1234567890", None),
            ("1970-01-01T00", None),
            ("1970-01-01", None),
            ("1970-01-01T00:00z", None),
            ("1970-01-01T00:00:00+25:00", None),
        ] {
            let found = timestamp(text.as_bytes());
            let found = found.map(|moment| (moment.nanoseconds().unwrap(), moment.zone));
            assert_eq!(found, expected, "{text}");
        }
        let far = timestamp(b"9999-12-31T23:59:59.999999").unwrap();
        assert_eq!(far.microseconds(), Some(253_402_300_799_999_999));
        assert_eq!(far.nanoseconds(), None);
        assert_eq!(
            timestamp(b"2020-01-01T00:00:00.0000001")
                .unwrap()
                .microseconds(),
            None
        );
    }

    #[test]
    fn patterns_are_those_of_strptime() {
        let date = |pattern: &str, text: &str| Pattern::new(pattern).unwrap().date(text);
        assert_eq!(date("%d.%m.%Y", "02.01.1970"), Some(1));
        assert_eq!(date("%d.%m.%Y", "31.02.1970"), None);
        assert_eq!(date("%Y%m%d", "19700103"), Some(2));
        assert_eq!(date("%d %b %Y", "04 Jan 1970"), Some(3));
        let time = |pattern: &str, text: &str| {
            let pattern = Pattern::new(pattern).unwrap();
            pattern
                .timestamp(text)
                .map(|moment| (moment.microseconds().unwrap(), moment.zone))
        };
        assert_eq!(
            time("%d/%m/%Y %H:%M", "01/01/1970 00:01"),
            Some((60_000_000, false))
        );
        assert_eq!(
            time("%Y-%m-%d %H:%M:%S%.f", "1970-01-01 00:00:00.25"),
            Some((250_000, false))
        );
        assert_eq!(
            time("%Y-%m-%d %H:%M:%S %z", "1970-01-01 01:00:00 +0100"),
            Some((0, true))
        );
        assert_eq!(time("%Y-%m-%d %H:%M:%S", "1970-01-01 00:00:60"), None);
        assert!(Pattern::new("%Q").is_err());
    }
}
