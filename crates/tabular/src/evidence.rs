//! What the values of a column can be.

use crate::moment;
use crate::options::Csv;
use crate::types::{Column, ColumnType, MAX_PRECISION};
use crate::value::Style;

/// Which types fit all values that were seen. The order in which they are seen decides nothing.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a type that may still fit"
)]
pub(crate) struct Guess {
    pub(crate) values: u64,
    pub(crate) nulls: u64,
    /// Quoted fields with nothing in them.
    pub(crate) empty: u64,
    /// Values with a blank in front or behind.
    pub(crate) padded: u64,
    boolean: bool,
    integer: bool,
    whole: bool,
    double: bool,
    decimal: bool,
    whole_digits: u32,
    fraction_digits: u32,
    date: bool,
    zoneless: bool,
    zoned: bool,
    microseconds: bool,
    nanoseconds: bool,
    /// A bit for each declared pattern, first those of dates, then those of timestamps.
    patterns: u64,
}

impl Guess {
    pub(crate) fn new(style: &Style) -> Self {
        let count = style.dates.len() + style.timestamps.len();
        Self {
            values: 0,
            nulls: 0,
            empty: 0,
            padded: 0,
            boolean: true,
            integer: true,
            whole: true,
            double: true,
            decimal: true,
            whole_digits: 0,
            fraction_digits: 0,
            date: true,
            zoneless: true,
            zoned: true,
            microseconds: true,
            nanoseconds: true,
            patterns: u32::try_from(count)
                .ok()
                .and_then(|count| 1_u64.checked_shl(count))
                .unwrap_or(0)
                .wrapping_sub(1),
        }
    }

    fn numeric(&self) -> bool {
        self.double || self.whole || self.decimal
    }

    fn no_number(&mut self) {
        self.integer = false;
        self.whole = false;
        self.double = false;
        self.decimal = false;
    }

    /// Sees a number: text that is no text, as in JSON.
    pub(crate) fn see_number(&mut self, text: &str, style: &Style, scratch: &mut String) {
        self.values += 1;
        self.boolean = false;
        self.date = false;
        self.zoneless = false;
        self.zoned = false;
        self.number(text, style, scratch);
    }

    /// Sees text that is no number, as in JSON.
    pub(crate) fn see_text(&mut self, text: &str, style: &Style) {
        self.values += 1;
        self.no_number();
        self.boolean = false;
        self.moment(text, style);
    }

    /// Sees a value that may be anything.
    pub(crate) fn see(&mut self, text: &str, style: &Style, scratch: &mut String) {
        self.values += 1;
        if text.is_empty() {
            self.empty += 1;
        } else if text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']) {
            self.padded += 1;
        }
        if self.boolean {
            self.boolean = style.boolean(text).is_some();
        }
        if self.numeric() {
            self.number(text, style, scratch);
        }
        self.moment(text, style);
    }

    fn number(&mut self, text: &str, style: &Style, scratch: &mut String) {
        if !self.numeric() {
            return;
        }
        let Some(number) = style.number(text, scratch) else {
            self.integer = false;
            self.whole = false;
            self.decimal = false;
            self.double = self.double && style.special(text).is_some();
            return;
        };
        self.integer = self.integer && number.integer().is_some();
        self.whole &= number.is_whole;
        self.decimal &= number.is_plain;
        self.whole_digits = self.whole_digits.max(number.whole);
        self.fraction_digits = self.fraction_digits.max(number.fraction);
        self.double = self.double && number.double().is_some_and(|double| double.exact);
    }

    fn moment(&mut self, text: &str, style: &Style) {
        if self.date {
            self.date = moment::date(text.as_bytes()).is_some();
        }
        if self.zoneless || self.zoned {
            match moment::timestamp(text.as_bytes()) {
                None => {
                    self.zoneless = false;
                    self.zoned = false;
                }
                Some(found) => {
                    self.zoneless &= !found.zone;
                    self.zoned &= found.zone;
                    self.microseconds = self.microseconds && found.microseconds().is_some();
                    self.nanoseconds = self.nanoseconds && found.nanoseconds().is_some();
                }
            }
        }
        if self.patterns != 0 {
            for (number, pattern) in style.dates.iter().chain(&style.timestamps).enumerate() {
                let bit = 1 << number;
                if self.patterns & bit == 0 {
                    continue;
                }
                let fits = if pattern.has_time {
                    pattern
                        .timestamp(text)
                        .is_some_and(|found| found.microseconds().is_some())
                } else {
                    pattern.date(text).is_some()
                };
                if !fits {
                    self.patterns &= !bit;
                }
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.values += other.values;
        self.nulls += other.nulls;
        self.empty += other.empty;
        self.padded += other.padded;
        self.boolean &= other.boolean;
        self.integer &= other.integer;
        self.whole &= other.whole;
        self.double &= other.double;
        self.decimal &= other.decimal;
        self.whole_digits = self.whole_digits.max(other.whole_digits);
        self.fraction_digits = self.fraction_digits.max(other.fraction_digits);
        self.date &= other.date;
        self.zoneless &= other.zoneless;
        self.zoned &= other.zoned;
        self.microseconds &= other.microseconds;
        self.nanoseconds &= other.nanoseconds;
        self.patterns &= other.patterns;
    }

    /// Returns the narrowest type that holds every value exactly; text where there is none.
    pub(crate) fn settle(&self, csv: &Csv) -> Column {
        if self.values == 0 {
            return ColumnType::Text.into();
        }
        if self.boolean {
            return ColumnType::Boolean.into();
        }
        if self.patterns != 0 {
            let number = usize::try_from(self.patterns.trailing_zeros()).unwrap_or(usize::MAX);
            let format = csv.dates.iter().chain(&csv.timestamps).nth(number);
            let pattern = format.and_then(|format| moment::Pattern::new(format).ok());
            if let Some(pattern) = pattern {
                return Column {
                    data_type: if pattern.has_time {
                        ColumnType::Timestamp {
                            zone: pattern.has_zone,
                            nanoseconds: false,
                        }
                    } else {
                        ColumnType::Date
                    },
                    format: Some(pattern.text),
                };
            }
        }
        if self.integer {
            return ColumnType::Integer.into();
        }
        let decimal = self.decimal_type();
        if self.whole
            && let Some(decimal) = &decimal
        {
            return decimal.clone().into();
        }
        if self.double {
            return ColumnType::Double.into();
        }
        if self.decimal
            && let Some(decimal) = decimal
        {
            return decimal.into();
        }
        if self.date {
            return ColumnType::Date.into();
        }
        if (self.zoneless || self.zoned) && (self.microseconds || self.nanoseconds) {
            return ColumnType::Timestamp {
                zone: self.zoned,
                nanoseconds: !self.microseconds,
            }
            .into();
        }
        ColumnType::Text.into()
    }

    fn decimal_type(&self) -> Option<ColumnType> {
        let scale = u8::try_from(self.fraction_digits).ok()?;
        let precision = u8::try_from(self.whole_digits + self.fraction_digits)
            .ok()?
            .max(1);
        (precision <= MAX_PRECISION).then_some(ColumnType::Decimal { precision, scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(values: &[&str], csv: &Csv) -> String {
        let style = Style::new(csv).unwrap();
        let mut scratch = String::new();
        let mut whole = Guess::new(&style);
        let mut merged = Guess::new(&style);
        for value in values {
            whole.see(value, &style, &mut scratch);
            let mut part = Guess::new(&style);
            part.see(value, &style, &mut scratch);
            merged.merge(&part);
        }
        let column = whole.settle(csv);
        assert_eq!(column, merged.settle(csv), "{values:?}");
        match column.format {
            None => column.data_type.to_string(),
            Some(format) => format!("{} {format}", column.data_type),
        }
    }

    #[test]
    fn the_narrowest_exact_type_is_taken() {
        for (values, expected) in [
            (vec![], "text"),
            (vec!["1", "2", "-3"], "integer"),
            (vec!["1", "2.5"], "double"),
            (vec!["007", "8"], "text"),
            (vec!["9223372036854775807"], "integer"),
            (vec!["9223372036854775808", "1"], "decimal(19,0)"),
            (vec!["18446744073709551615", "-1"], "decimal(20,0)"),
            (vec!["123456789012345678901234567890123456789"], "text"),
            (vec!["9007199254740993", "0.5"], "decimal(17,1)"),
            (vec!["0.12345678901234567890"], "decimal(20,20)"),
            (vec!["0.12345678901234567890", "1e5"], "text"),
            (vec!["true", "FALSE"], "boolean"),
            (vec!["true", "1"], "text"),
            (vec!["1", "0"], "integer"),
            (vec!["nan", "1"], "text"),
            (vec!["2020-01-01", "1999-12-31"], "date"),
            (vec!["2020-01-01", "1999-12-31T00:00"], "text"),
            (
                vec!["2020-01-01 10:00", "1999-12-31T00:00:00.5"],
                "timestamp",
            ),
            (
                vec!["2020-01-01 10:00Z", "1999-12-31T00:00+02:00"],
                "timestamp with time zone",
            ),
            (vec!["2020-01-01 10:00Z", "1999-12-31T00:00"], "text"),
            (vec!["2020-01-01 10:00:00.000000001"], "timestamp(9)"),
            (
                vec!["2020-01-01 10:00:00.000000001", "0001-01-01 00:00"],
                "text",
            ),
            (vec!["", "1"], "text"),
            (vec![" 1", "1"], "text"),
            (vec!["-0", "1"], "double"),
            (vec!["2020-02-30"], "text"),
        ] {
            assert_eq!(settled(&values, &Csv::default()), expected, "{values:?}");
        }
    }

    #[test]
    fn what_is_declared_is_known() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let csv = Csv {
            decimal: Some(",".to_owned()),
            thousands: Some(".".to_owned()),
            dates: words(&["%d.%m.%Y", "%Y%m%d"]),
            timestamps: words(&["%d.%m.%Y %H:%M"]),
            true_values: words(&["ja"]),
            false_values: words(&["nein"]),
            nan: words(&["NaN"]),
            infinity: words(&["inf"]),
            ..Csv::default()
        };
        for (values, expected) in [
            (vec!["ja", "nein"], "boolean"),
            (vec!["true"], "text"),
            (vec!["1.234,5", "2"], "double"),
            (vec!["1.234"], "integer"),
            (vec!["1.5"], "text"),
            (vec!["01.02.2020"], "date %d.%m.%Y"),
            (vec!["20200201"], "date %Y%m%d"),
            (vec!["2020-02-01"], "date"),
            (vec!["01.02.2020 10:00"], "timestamp %d.%m.%Y %H:%M"),
            (vec!["NaN", "1,5", "-inf"], "double"),
        ] {
            assert_eq!(settled(&values, &csv), expected, "{values:?}");
        }
    }
}
