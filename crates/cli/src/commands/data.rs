//! `custody data`.

use custody_types::{ExitCode, Problem, Reference, code, counted, nearest};
use custody_wire::{
    ColumnDiff, ColumnProfile, DataQuery, DiffRequest, Drift, ProfileReply, TableDiff,
};
use serde_json::Value;

use crate::args::{DataDiff, DataHead, DataProfile, DataSchema};
use crate::context::Context;
use crate::output::Text;

/// The most characters of a value in a table of text; `--json` has all of them.
const WIDTH: usize = 40;

pub(crate) fn schema(context: &Context, args: &DataSchema) -> Result<ExitCode, Problem> {
    let reply = context
        .client()?
        .data_schema(&query(&args.reference, None))?;
    context.output.answer(reply, |reply, text| {
        text.line(format!(
            "{}: {} in {}, {} columns",
            reply.version,
            counted(reply.rows, "row"),
            counted(reply.files, "file"),
            reply.columns.len()
        ));
        text.line("");
        let mut rows = vec![vec!["column".to_owned(), "type".to_owned()]];
        let columns = reply.columns.iter();
        rows.extend(columns.map(|column| vec![cut(&column.name), column.data_type.clone()]));
        text.table(&rows);
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn head(context: &Context, args: &DataHead) -> Result<ExitCode, Problem> {
    let query = query(&args.reference, Some(args.rows));
    let reply = context.client()?.data_head(&query)?;
    context.output.answer(reply, |reply, text| {
        let names = reply.columns.iter().map(|column| cut(&column.name));
        let mut rows = vec![names.collect()];
        let cells = |row: &Vec<Value>| row.iter().map(cell).collect();
        rows.extend(reply.head.iter().map(cells));
        text.table(&rows);
        text.line(format!(
            "{} of {} of {}",
            reply.head.len(),
            counted(reply.rows, "row"),
            reply.version
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn profile(context: &Context, args: &DataProfile) -> Result<ExitCode, Problem> {
    let query = query(&args.reference, None);
    let mut reply = context.client()?.data_profile(&query)?;
    if !args.columns.is_empty() {
        let names: Vec<_> = reply
            .profile
            .columns
            .iter()
            .map(|column| &column.name)
            .collect();
        if let Some(wrong) = args.columns.iter().find(|name| !names.contains(name)) {
            let mut problem = Problem::new(
                code::DATA_005,
                format!("`{}` has no column `{wrong}`", reply.version),
            );
            if let Some(near) = nearest(wrong, names.iter().map(|name| name.as_str())) {
                problem = problem.hint(format!("did you mean `{near}`?"));
            }
            return Err(problem);
        }
        let columns = &mut reply.profile.columns;
        columns.retain(|column| args.columns.contains(&column.name));
    }
    context.output.answer(reply, |reply, text| {
        overview(reply, text);
        if !args.columns.is_empty() {
            for column in &reply.profile.columns {
                whole(column, text);
            }
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn diff(context: &Context, args: &DataDiff) -> Result<ExitCode, Problem> {
    let reply = context.client()?.data_diff(&DiffRequest {
        before: args.before.to_string(),
        after: args.after.to_string(),
        key: args.key.clone(),
    })?;
    context.output.answer(reply, |reply, text| {
        text.line(format!("{} → {}", reply.before, reply.after));
        differences(&reply.diff, text);
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn query(reference: &Reference, rows: Option<u64>) -> DataQuery {
    DataQuery {
        reference: reference.to_string(),
        rows,
    }
}

fn overview(reply: &ProfileReply, text: &mut Text) {
    let profile = &reply.profile;
    text.line(format!(
        "{}: {}, {} of them repeated ({})",
        reply.version,
        counted(profile.rows, "row"),
        profile.repeated_rows,
        percent(profile.repeated_share)
    ));
    text.line("");
    let head = [
        "column",
        "type",
        "null",
        "distinct",
        "min",
        "median",
        "max",
        "mean",
        "most often",
    ];
    let mut rows = vec![head.map(ToOwned::to_owned).to_vec()];
    for column in &profile.columns {
        let value = |value: &Option<Value>| value.as_ref().map_or_else(String::new, cell);
        let quantiles = &column.quantiles;
        let median = quantiles.iter().find(|quantile| quantile.percent == 50);
        rows.push(vec![
            cut(&column.name),
            column.data_type.clone(),
            missing(column),
            column.distinct.to_string(),
            value(&column.min),
            median.map_or_else(String::new, |quantile| brief(&quantile.value)),
            value(&column.max),
            column.mean.map_or_else(String::new, rounded),
            column.top.first().map_or_else(String::new, |top| {
                format!("{} ({})", cell(&top.value), top.count)
            }),
        ]);
    }
    text.table(&rows);
    let personal: Vec<_> = profile
        .columns
        .iter()
        .filter_map(|column| Some((&column.name, column.looks_personal.as_ref()?)))
        .collect();
    if !personal.is_empty() {
        text.line("");
        text.heading("may be personal data (a hint from names and values, not a finding)");
        for (name, why) in personal {
            text.line(format!("  {}: {why}", cut(name)));
        }
    }
}

/// Everything about a column.
fn whole(column: &ColumnProfile, text: &mut Text) {
    text.line("");
    text.heading(&cut(&column.name));
    if column.infinite > 0 {
        text.line(format!("  infinite   {}", column.infinite));
    }
    if let Some(deviation) = column.stddev {
        text.line(format!("  deviation  {}", rounded(deviation)));
    }
    if let Some(lengths) = &column.lengths {
        text.line(format!(
            "  length     {} to {} characters, {} in the mean; {} empty",
            lengths.min,
            lengths.max,
            rounded(lengths.mean),
            lengths.empty
        ));
    }
    let told: Vec<_> = column
        .quantiles
        .iter()
        .map(|quantile| format!("{} %: {}", quantile.percent, brief(&quantile.value)))
        .collect();
    if !told.is_empty() {
        text.line(format!("  quantiles  {}", told.join(", ")));
    }
    if !column.histogram.is_empty() {
        let most = column.histogram.iter().map(|bin| bin.count).max();
        let mut rows = vec![["  from", "to", "rows", ""].map(ToOwned::to_owned).to_vec()];
        for bin in &column.histogram {
            rows.push(vec![
                format!("  {}", brief(&bin.from)),
                brief(&bin.to),
                bin.count.to_string(),
                bar(bin.count, most.unwrap_or(1)),
            ]);
        }
        text.table(&rows);
    }
    if !column.top.is_empty() {
        let mut rows = vec![["  most often", "rows"].map(ToOwned::to_owned).to_vec()];
        for top in &column.top {
            rows.push(vec![
                format!("  {}", cell(&top.value)),
                top.count.to_string(),
            ]);
        }
        text.table(&rows);
    }
}

fn differences(diff: &TableDiff, text: &mut Text) {
    text.line(format!(
        "rows by `{}`: {} before, {} after; {} added, {} removed, {} changed, {} unchanged",
        diff.key.join("`, `"),
        diff.rows_before,
        diff.rows_after,
        diff.added,
        diff.removed,
        diff.changed,
        diff.unchanged
    ));
    for (what, columns) in [
        ("added", &diff.columns_added),
        ("removed", &diff.columns_removed),
    ] {
        for column in columns {
            let name = cut(&column.name);
            text.line(format!("column {what}: {name} ({})", column.data_type));
        }
    }
    for column in &diff.columns_retyped {
        text.line(format!(
            "column retyped: {} ({} → {})",
            cut(&column.name),
            column.before,
            column.after
        ));
    }
    text.line("");
    let head = [
        "column",
        "changed rows",
        "null before",
        "null after",
        "drift",
    ];
    let mut rows = vec![head.map(ToOwned::to_owned).to_vec()];
    rows.extend(diff.columns.iter().map(difference));
    text.table(&rows);
}

fn difference(column: &ColumnDiff) -> Vec<String> {
    vec![
        cut(&column.name),
        column
            .changed
            .map_or_else(|| "not compared".to_owned(), |rows| rows.to_string()),
        percent(column.null_share_before),
        percent(column.null_share_after),
        match column.drift {
            Some(Drift::Ks { distance }) => format!("KS {distance:.4}"),
            Some(Drift::Psi { index, .. }) => format!("PSI {index:.4}"),
            None => String::new(),
        },
    ]
}

fn missing(column: &ColumnProfile) -> String {
    let share = percent(column.null_share);
    match column.nan {
        0 => share,
        nan => format!("{share}, {nan} NaN"),
    }
}

fn percent(share: Option<f64>) -> String {
    match share {
        None => String::new(),
        Some(0.0) => "0 %".to_owned(),
        // What is there is not told to be nothing, nor what is not all to be all.
        Some(share) if share < 0.0001 => "<0.01 %".to_owned(),
        Some(share) if share < 1.0 => format!("{:.2} %", (share * 100.0).min(99.99)),
        Some(_) => "100 %".to_owned(),
    }
}

/// Six digits are enough for the eye.
fn rounded(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        return format!("{value:.5e}");
    }
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

fn brief(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(String::new, rounded)
        }
        other => cell(other),
    }
}

/// A value in one line. Texts that could be taken for something else are quoted.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let unclear = text.is_empty() || text == "null" || text.trim() != text;
            let text = cut(text);
            if unclear { format!("\"{text}\"") } else { text }
        }
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(String::new, |number| {
                if number == 0.0 || (1e-5..1e16).contains(&number.abs()) {
                    number.to_string()
                } else {
                    format!("{number:e}")
                }
            })
        }
        other => other.to_string(),
    }
}

/// Cuts a text to the width of a table's cell.
fn cut(text: &str) -> String {
    let mut short = String::new();
    for (number, letter) in text.chars().enumerate() {
        if number == WIDTH {
            short.push('…');
            break;
        }
        match letter {
            '\n' | '\t' => short.extend(letter.escape_default()),
            letter => short.push(letter),
        }
    }
    custody_types::visible(&short)
}

fn bar(count: u64, most: u64) -> String {
    let width = count.saturating_mul(30).div_ceil(most.max(1));
    "▇".repeat(usize::try_from(width).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_in_its_cell_and_steers_nothing() {
        for (value, expected) in [
            (Value::from("a"), "a"),
            (Value::from(""), "\"\""),
            (Value::from("null"), "\"null\""),
            (Value::Null, "null"),
            (Value::from(" a"), "\" a\""),
            (Value::from("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J"),
            (Value::from(9_007_199_254_740_993_i64), "9007199254740993"),
            (Value::from(0.1), "0.1"),
            (Value::from(1e300), "1e300"),
        ] {
            assert_eq!(cell(&value), expected, "{value}");
        }
        assert_eq!(cell(&"ä".repeat(50).into()).chars().count(), WIDTH + 1);
    }

    #[test]
    fn shares_are_not_rounded_to_nothing_or_all() {
        for (share, expected) in [
            (0.0, "0 %"),
            (0.000_001, "<0.01 %"),
            (0.5, "50.00 %"),
            (0.999_999, "99.99 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(Some(share)), expected);
        }
        assert_eq!(rounded(1.0), "1");
        assert_eq!(rounded(100.0), "100");
        assert_eq!(rounded(0.123_456_789), "0.123457");
    }
}
