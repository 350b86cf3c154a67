//! What holds for every table. The fuzzer drives it; the test `corpus` of `custody-tabular` replays the kept
//! corpus through it.

use std::io::Cursor;

use custody_tabular::{
    BlankLines, Csv, Declared, Recognised, TabularError, recognise, survey, write_parquet,
};

/// The targets, and their corpora, with the name that the input has.
pub(crate) const TARGETS: &[(&str, &str)] = &[
    ("table_arrow", "a.arrow"),
    ("table_csv", "a.csv"),
    ("table_json", "a.jsonl"),
];

/// What is declared about text, by the first byte of the input.
fn declared(choice: u8) -> Csv {
    let some = |text: &str| Some(text.to_owned());
    let mut csv = Csv::default();
    if choice & 1 != 0 {
        csv.delimiter = some(",");
        csv.header = Some(choice & 2 != 0);
    }
    match choice >> 2 & 7 {
        1 => csv.comment = some("#"),
        2 => csv.trim = true,
        3 => csv.escape = some("\\"),
        4 => csv.encoding = some("windows-1252"),
        5 => csv.encoding = some("shift_jis"),
        6 => {
            csv.delimiter = some(";");
            csv.decimal = some(",");
            csv.thousands = some(".");
        }
        7 => csv.quote = some(""),
        _ => {}
    }
    if choice & 32 != 0 {
        csv.blank_lines = Some(BlankLines::Skip);
    }
    if choice & 64 != 0 {
        csv.dates = vec!["%d.%m.%Y".to_owned()];
        csv.quoted_nulls = true;
    }
    csv
}

/// Makes the table; `None` where it is refused.
fn make(
    name: &str,
    content: &[u8],
    declared: &Declared,
) -> Result<Option<(Declared, Vec<u8>)>, String> {
    let made = || {
        let mut file = Cursor::new(content);
        let Recognised::Table { table, packing } = recognise(name, &mut file, declared.format)?
        else {
            return Ok(None);
        };
        let found = survey(&mut file, table, packing, declared)?;
        let mut out = Vec::new();
        let written = write_parquet(&mut file, &found, &mut out)?;
        if found.rows.is_some_and(|rows| rows != written.rows) {
            return Ok(Some(Err(
                "the rows that were seen are not those that were written".to_owned(),
            )));
        }
        let pinned = Declared {
            format: declared.format,
            csv: found.csv.clone(),
            columns: found.columns.clone(),
        };
        Ok(Some(Ok((pinned, out))))
    };
    match made() {
        Ok(Some(made)) => made.map(Some),
        Ok(None) | Err(TabularError::Refused(_)) => Ok(None),
        Err(other) => Err(format!("neither made nor refused: {other:?}")),
    }
}

/// Hands `input` to the target and checks every property; tells whether a table was made.
///
/// # Errors
/// The property that does not hold.
pub(crate) fn check(target: &str, input: &[u8]) -> Result<bool, String> {
    let (_, name) = TARGETS
        .iter()
        .find(|(known, _)| *known == target)
        .ok_or("no such target")?;
    let (csv, content) = match input.split_first() {
        Some((choice, rest)) if target == "table_csv" => (declared(*choice), rest),
        _ => (Csv::default(), input),
    };
    let declared = Declared {
        csv,
        ..Declared::default()
    };
    let Some((pinned, first)) = make(name, content, &declared)? else {
        return Ok(false);
    };
    match make(name, content, &pinned)? {
        Some((_, again)) if again == first => Ok(true),
        Some(_) => Err("with what was found declared, the table is another".to_owned()),
        None => Err("with what was found declared, the table is refused".to_owned()),
    }
}
