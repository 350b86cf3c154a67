//! A contract that the table at hand meets, with room for the next one.

use super::field::{Field, Sort};
use super::words;

/// A list of values is proposed for texts with at most so many.
const MAX_ALLOWED: usize = 30;
/// The types that a contract can name.
const KNOWN: &[&str] = &[
    "boolean", "integer", "double", "date", "time", "text", "binary", "struct", "map",
];

/// Writes the checks, each in lines of its own without a margin. `key`: the column whose values name rows; `label`: the
/// column with the truth.
pub(super) fn checks(fields: &[Field], key: Option<&str>, label: Option<&str>) -> Vec<String> {
    let rows = fields.first().map_or(0, |field| field.rows);
    let mut checks = vec![format!("- row_count: {{min: {}}}", (rows / 2).max(1))];
    checks.extend(schema(fields));
    let filled: Vec<_> = fields
        .iter()
        .filter(|field| field.sort != Sort::Other && field.nulls + field.nans == 0)
        .collect();
    if !filled.is_empty() {
        let names: Vec<_> = filled
            .iter()
            .map(|field| words::yaml(&field.name))
            .collect();
        checks.push(format!("- not_null: [{}]", names.join(", ")));
    }
    if let Some(key) = key {
        checks.push(format!("- unique: [{}]", words::yaml(key)));
    }
    for field in fields
        .iter()
        .filter(|field| Some(field.name.as_str()) != key)
    {
        let is_label = Some(field.name.as_str()) == label;
        checks.extend(values(field, is_label));
        checks.extend(missing(field));
    }
    checks
}

fn schema(fields: &[Field]) -> Vec<String> {
    let known = |field: &&Field| {
        KNOWN.contains(&field.word.as_str())
            || ["decimal(", "list of ", "timestamp"]
                .iter()
                .any(|start| field.word.starts_with(start))
    };
    let named: Vec<_> = fields.iter().filter(known).collect();
    let mut lines = vec!["- schema:".to_owned()];
    if named.len() == fields.len() {
        lines.push("    closed: true".to_owned());
    }
    lines.push("    columns:".to_owned());
    lines.extend(named.iter().map(|field| {
        format!(
            "      {}: {}",
            words::yaml(&field.name),
            words::yaml(&field.word)
        )
    }));
    lines
}

/// Proposes which values a column may have.
fn values(field: &Field, is_label: bool) -> Option<String> {
    let name = words::yaml(&field.name);
    let few = match field.sort {
        // What is not a number is never allowed.
        _ if field.names_a_person() || field.few.is_empty() || field.nans > 0 => false,
        Sort::Text => {
            is_label || (field.distinct <= MAX_ALLOWED && field.distinct * 5 <= field.filled())
        }
        Sort::Integer => field.distinct == 2 || (is_label && field.distinct <= 10),
        Sort::Number => field.whole && field.distinct == 2,
        Sort::Boolean | Sort::Time | Sort::Other => false,
    };
    if few {
        let values: Vec<_> = field
            .few
            .iter()
            .map(|(value, _)| field.value(value))
            .collect();
        return Some(format!(
            "- allowed: {{column: {name}, values: [{}]}}",
            values.join(", ")
        ));
    }
    // What is not a number lies in no range.
    if field.nans > 0 || !field.is_number() || field.is_called_id() {
        return None;
    }
    let (low, high) = room(field)?;
    Some(format!(
        "- range: {{column: {name}, min: {low}, max: {high}}}"
    ))
}

fn missing(field: &Field) -> Option<String> {
    let gone = field.nulls + field.nans;
    // Half as many again, and five in a hundred rows.
    let percent = (gone * 150).div_ceil(field.rows.max(1)) + 5;
    (gone > 0 && percent < 100).then(|| {
        format!(
            "- null_fraction: {{column: {}, max: 0.{percent:02}}}",
            words::yaml(&field.name)
        )
    })
}

/// Returns the bounds of a column's numbers with a tenth of their span as room, rounded outward.
fn room(field: &Field) -> Option<(String, String)> {
    /// Whole numbers up to here are exact.
    const EXACT: f64 = 9e15;
    let (low, high) = field
        .span
        .filter(|(low, high)| low.abs() < EXACT && high.abs() < EXACT)?;
    let width = if high > low {
        high - low
    } else {
        low.abs().max(1.0)
    };
    let places = 1.0 - width.log10().floor();
    let places = if field.sort == Sort::Integer {
        places.min(0.0)
    } else {
        places
    };
    if places > 15.0 {
        return None;
    }
    let step = 10f64.powf(-places);
    // What lies on a step but for the rounding of doubles lies on it.
    let (down, up) = (
        |steps: f64| (steps + 1e-6).floor(),
        |steps: f64| (steps - 1e-6).ceil(),
    );
    let mut least = down((low - width / 10.0) / step) * step;
    if low >= 0.0 {
        least = least.max(0.0);
    }
    let most = up((high + width / 10.0) / step) * step;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies from 0 to 15"
    )]
    let digits = places.max(0.0) as usize;
    Some((
        format!("{:.digits$}", least + 0.0),
        format!("{:.digits$}", most + 0.0),
    ))
}

#[cfg(test)]
mod tests {
    use custody_engine::Values;
    use custody_tabular::ColumnType;

    use super::*;

    fn doubles(values: &[f64]) -> Field {
        let values: Vec<_> = values.iter().map(|value| Some(*value)).collect();
        Field::of(
            "x",
            &ColumnType::Double,
            values.len(),
            Some(&Values::Doubles {
                values: values.clone(),
                single: false,
            }),
        )
    }

    #[track_caller]
    fn check(values: &[f64], low: &str, high: &str) {
        assert_eq!(
            room(&doubles(values)),
            Some((low.to_owned(), high.to_owned()))
        );
    }

    #[test]
    fn bounds_have_room_and_few_digits() {
        check(&[4.3, 7.9], "3.9", "8.3");
        check(&[0.1, 2.5], "0.0", "2.8");
        check(&[-3.0, 3.0], "-3.6", "3.6");
        check(&[250.0, 18424.0], "0", "21000");
        check(&[0.001, 0.002], "0.0009", "0.0021");
        check(&[5.0, 5.0], "4.5", "5.5");
        check(&[1.0, 5.0], "0.6", "5.4");
        check(&[0.0, 0.0], "0.0", "0.1");
        assert_eq!(room(&doubles(&[1e300, 2.0])), None);
        assert_eq!(room(&doubles(&[f64::INFINITY, 2.0])), None);
    }

    #[test]
    fn bounds_hold_what_they_are_made_from() {
        let mut state = 7_u64;
        for _ in 0..2000 {
            let mut next = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                #[expect(clippy::cast_precision_loss, reason = "any number will do")]
                let number = (state >> 11) as f64 / (1_u64 << 53) as f64;
                number - 0.4
            };
            let scale = 10f64.powf(next() * 20.0);
            let (a, b) = (next() * scale, next() * scale);
            let Some((low, high)) = room(&doubles(&[a, b])) else {
                continue;
            };
            let (low, high): (f64, f64) = (low.parse().unwrap(), high.parse().unwrap());
            assert!(
                low <= a.min(b) && a.max(b) <= high && low < high,
                "{a} {b}: {low} {high}"
            );
        }
    }
}
