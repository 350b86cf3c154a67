//! What a draft needs to know of a column.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use custody_engine::Values;
use custody_stats::personal::{self, Hits, words_of};
use custody_tabular::ColumnType;

use super::otherwise::{Otherwise, Texts};
use super::words;

/// A column's values are told one by one up to so many different ones.
const FEW: usize = 100;

/// How a column's values are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Yes or no.
    Boolean,
    /// Whole numbers.
    Integer,
    /// Other numbers.
    Number,
    /// Days and points in time.
    Time,
    /// Texts.
    Text,
    /// What no model takes as it is.
    Other,
}

/// A column with what was found in it.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    /// The word by which contracts call its type.
    pub(super) word: String,
    pub(super) sort: Sort,
    pub(super) rows: usize,
    /// Rows with null.
    pub(super) nulls: usize,
    /// Rows with what is not a number.
    pub(super) nans: usize,
    /// Different values, null left out.
    pub(super) distinct: usize,
    /// The values and how often each occurs, in their order; empty where there are more than `FEW`.
    pub(super) few: Vec<(String, usize)>,
    /// The least and greatest number.
    pub(super) span: Option<(f64, f64)>,
    /// Whether all numbers are whole.
    pub(super) whole: bool,
    /// Whether the whole numbers go up from 0 or 1 without a gap, row by row.
    pub(super) counts_rows: bool,
    /// What its texts look like.
    pub(super) looks: Hits,
    /// What its texts would be if the file were read otherwise.
    pub(super) otherwise: Option<Otherwise>,
}

impl Field {
    /// Looks at a column; `None`: its values are of a kind that nothing is known of.
    pub(super) fn of(
        name: &str,
        data_type: &ColumnType,
        rows: usize,
        values: Option<&Values>,
    ) -> Self {
        let mut field = Self {
            name: name.to_owned(),
            word: word(data_type),
            sort: match (values, data_type) {
                (None, _) => Sort::Other,
                (_, ColumnType::Boolean) => Sort::Boolean,
                (_, ColumnType::Integer) => Sort::Integer,
                (_, ColumnType::Double | ColumnType::Decimal { .. }) => Sort::Number,
                (_, ColumnType::Date | ColumnType::Timestamp { .. }) => Sort::Time,
                (_, ColumnType::Text) => Sort::Text,
                _ => Sort::Other,
            },
            rows,
            nulls: 0,
            nans: 0,
            distinct: 0,
            few: Vec::new(),
            span: None,
            whole: true,
            counts_rows: values.is_some_and(counts_rows),
            looks: Hits::default(),
            otherwise: None,
        };
        if let Some(values) = values {
            field.look(values);
        }
        field
    }

    fn look(&mut self, values: &Values) {
        // Two values of one hash would count as one: a key may be missed so, never a value.
        let mut seen = HashSet::new();
        let mut few: BTreeMap<String, usize> = BTreeMap::new();
        let mut texts = Texts::default();
        for row in 0..self.rows {
            let Some(text) = values.text(row) else {
                let nan = matches!(values, Values::Doubles { values, .. } if values.get(row).is_some_and(Option::is_some));
                *(if nan { &mut self.nans } else { &mut self.nulls }) += 1;
                continue;
            };
            if let Some(number) = values.number(row) {
                let (low, high) = self.span.unwrap_or((number, number));
                self.span = Some((low.min(number), high.max(number)));
                self.whole &= number.fract() == 0.0;
            }
            if matches!(values, Values::Texts(_)) {
                if let Some(looks) = personal::kind_of(&text) {
                    self.looks.note(looks);
                }
                texts.note(&text);
            }
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            seen.insert(hasher.finish());
            if seen.len() <= FEW {
                *few.entry(text).or_default() += 1;
            }
        }
        self.distinct = seen.len();
        self.otherwise = texts.otherwise();
        self.whole &= self.span.is_some();
        if seen.len() <= FEW {
            self.few = few.into_iter().collect();
            if let Some(numbers) = self
                .few
                .iter()
                .map(|(text, _)| text.parse::<f64>().ok())
                .collect::<Option<Vec<_>>>()
                && self.is_number()
            {
                let mut sorted: Vec<_> = numbers
                    .into_iter()
                    .zip(std::mem::take(&mut self.few))
                    .collect();
                sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.few = sorted.into_iter().map(|(_, value)| value).collect();
            }
        }
    }

    /// Returns how many rows have a value.
    pub(super) const fn filled(&self) -> usize {
        self.rows - self.nulls - self.nans
    }

    pub(super) const fn is_number(&self) -> bool {
        matches!(self.sort, Sort::Integer | Sort::Number)
    }

    /// Returns whether every row has a value and no two the same.
    pub(super) const fn is_unique(&self) -> bool {
        self.rows > 1 && self.distinct == self.rows && self.nulls + self.nans == 0
    }

    /// Writes one of its values as YAML.
    pub(super) fn value(&self, value: &str) -> String {
        match self.sort {
            Sort::Text | Sort::Time | Sort::Other => words::text(value),
            Sort::Boolean | Sort::Integer | Sort::Number => value.to_owned(),
        }
    }
}

/// Returns whether the values go up from 0 or 1 by one in each row.
fn counts_rows(values: &Values) -> bool {
    let Values::Integers(values) = values else {
        return false;
    };
    let first = values.first().copied().flatten();
    first.is_some_and(|first| {
        (0..=1).contains(&first)
            && (first..)
                .zip(values)
                .all(|(place, value)| *value == Some(place))
    })
}

/// Returns the word of contracts for a type.
fn word(data_type: &ColumnType) -> String {
    match data_type {
        ColumnType::List(item) => format!("list of {}", word(item)),
        ColumnType::Struct(_) => "struct".to_owned(),
        ColumnType::Timestamp { zone: true, .. } => "timestamp with time zone".to_owned(),
        ColumnType::Timestamp { zone: false, .. } => "timestamp".to_owned(),
        plain => plain.to_string(),
    }
}

impl Field {
    /// Returns whether its name says that it names something.
    pub(super) fn is_called_id(&self) -> bool {
        const WORDS: &[&str] = &[
            "id",
            "ids",
            "key",
            "uuid",
            "guid",
            "nr",
            "index",
            "schluessel",
            "schlüssel",
            "kennung",
        ];
        let words = words_of(&self.name);
        words.iter().any(|word| WORDS.contains(&word.as_str()))
    }

    /// Returns whether it looks as if it named a person or said how to reach one.
    pub(super) fn names_a_person(&self) -> bool {
        let filled = u64::try_from(self.filled()).unwrap_or(u64::MAX);
        personal::reason(&self.name, &self.looks, filled).is_some()
    }

    /// Returns whether its name says that it stands for a person.
    pub(super) fn is_of_persons(&self) -> bool {
        const WORDS: &[&str] = &[
            "account",
            "applicant",
            "borrower",
            "citizen",
            "client",
            "customer",
            "employee",
            "guest",
            "household",
            "member",
            "patient",
            "person",
            "student",
            "subject",
            "tenant",
            "user",
            "kunde",
            "kunden",
            "mitarbeiter",
            "patienten",
        ];
        let words = words_of(&self.name);
        words.iter().any(|word| WORDS.contains(&word.as_str()))
    }

    /// Returns whether it looks like an attribute by which people must not be treated differently.
    pub(super) fn is_attribute(&self) -> bool {
        const WORDS: &[&str] = &[
            "sex",
            "gender",
            "geschlecht",
            "race",
            "ethnicity",
            "religion",
            "nationality",
            "disability",
            "rac1p",
            "foreign",
        ];
        words_of(&self.name)
            .iter()
            .any(|part| WORDS.contains(&part.as_str()))
    }

    /// Returns whether what is made of it is about persons, as far as can be seen.
    pub(super) fn is_personal(&self) -> bool {
        self.names_a_person() || self.is_attribute()
    }

    /// Returns whether it looks like the age of a person.
    pub(super) fn is_age(&self) -> bool {
        words_of(&self.name)
            .iter()
            .any(|part| part == "age" || part == "alter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, values: &[Option<&str>]) -> Field {
        let texts = values
            .iter()
            .map(|value| value.map(ToOwned::to_owned))
            .collect();
        Field::of(
            name,
            &ColumnType::Text,
            values.len(),
            Some(&Values::Texts(texts)),
        )
    }

    #[test]
    fn a_column_is_counted() {
        let field = text("x", &[Some("b"), None, Some("a"), Some("b"), Some("")]);
        assert_eq!(
            (field.rows, field.nulls, field.distinct, field.filled()),
            (5, 1, 3, 4)
        );
        let few: Vec<_> = field
            .few
            .iter()
            .map(|(value, count)| (value.as_str(), *count))
            .collect();
        assert_eq!(few, [("", 1), ("a", 1), ("b", 2)]);
        assert!(!field.is_unique());
        let doubles = Values::Doubles {
            values: vec![Some(10.0), Some(f64::NAN), None, Some(2.0)],
            single: false,
        };
        let field = Field::of("x", &ColumnType::Double, 4, Some(&doubles));
        assert_eq!(
            (field.nulls, field.nans, field.span, field.whole),
            (1, 1, Some((2.0, 10.0)), true)
        );
        assert_eq!(
            field
                .few
                .iter()
                .map(|(value, _)| value.as_str())
                .collect::<Vec<_>>(),
            ["2", "10"]
        );
    }

    #[test]
    fn names_tell_keys_and_persons() {
        let called = |name: &str| text(name, &[Some("a")]);
        for key in ["id", "customerId", "Kunden-Nr", "loan_key", "ID"] {
            assert!(called(key).is_called_id(), "{key}");
        }
        for no in ["paid", "idea", "number_of_rooms", "monkey"] {
            assert!(!called(no).is_called_id(), "{no}");
        }
        assert!(
            text("contact", &[Some("a@b.example"), Some("c@d.example"), None]).names_a_person()
        );
        assert!(called("Sex").is_attribute() && !called("sexton").is_attribute());
    }
}
