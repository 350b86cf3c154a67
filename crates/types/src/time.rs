//! Points in time.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::NameError;

/// A point in time in UTC, to the microsecond.
///
/// Written as RFC 3339 with six decimals and `Z`: `2026-11-23T09:30:00.000000Z`. From the year 0 to
/// the year 9999, so that the text has always the same length and sorts as the time does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("format" = "date-time"))]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// The start of 1970.
    pub const UNIX_EPOCH: Self = Self(DateTime::UNIX_EPOCH);

    /// Builds the time from microseconds since the start of 1970; `None` outside the years 0 to 9999.
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        const YEAR_0: i64 = -62_167_219_200_000_000;
        const YEAR_10000: i64 = 253_402_300_800_000_000;
        if !(YEAR_0..YEAR_10000).contains(&micros) {
            return None;
        }
        DateTime::from_timestamp_micros(micros).map(Self)
    }

    /// Returns the microseconds since the start of 1970.
    pub fn unix_micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// Returns the time so many seconds later; the same where there is none so late.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        let micros = seconds.checked_mul(1_000_000);
        let micros = micros.and_then(|micros| self.unix_micros().checked_add(micros));
        micros.and_then(Self::from_unix_micros).unwrap_or(self)
    }

    /// Returns the time to the second, as people read it: `2026-11-23T09:30:00Z`.
    pub fn to_seconds_text(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

impl FromStr for Timestamp {
    type Err = NameError;

    /// Reads RFC 3339 with any offset and any number of decimals; finer than microseconds is cut.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .and_then(|time| Self::from_unix_micros(time.timestamp_micros()))
            .ok_or_else(|| {
                NameError::new("time", text, "write RFC 3339, such as 2026-11-23T09:30:00Z")
            })
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_and_read_alike() {
        let time = Timestamp::from_unix_micros(1_763_890_200_000_001).unwrap();
        assert_eq!(time.to_string(), "2025-11-23T09:30:00.000001Z");
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        assert_eq!(
            "2025-11-23T10:30:00.000001999+01:00"
                .parse::<Timestamp>()
                .unwrap(),
            time
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2025-11-23",
            "2025-11-23T09:30:00",
            "2025-13-01T00:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert_eq!(Timestamp::from_unix_micros(i64::MAX), None);
    }
}
