//! `custody compare`.

use custody_types::{ExitCode, Problem};
use custody_wire::{CompareRequest, Compared, Section};
use serde_json::Value;

use crate::args::Compare;
use crate::context::Context;
use crate::output::Text;

pub(crate) fn run(context: &Context, args: Compare) -> Result<ExitCode, Problem> {
    let request = CompareRequest {
        a: args.a,
        b: args.b,
    };
    let reply = context.client_for_pipeline()?.compare(&request)?;
    context.output.answer(reply, |reply, text| {
        for section in reply
            .sections
            .iter()
            .filter(|section| !section.rows.is_empty())
        {
            table(section, (&reply.a, &reply.b), args.all, text);
        }
        for withheld in &reply.withheld {
            text.line(format!("withheld: {withheld}"));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

/// Writes what differs, and how much is equal. Figures are all shown: that they are equal is an answer.
fn table(section: &Section, (a, b): (&str, &str), all: bool, text: &mut Text) {
    let figures = section.name == "figures";
    let shown = |row: &&Compared| all || figures || !row.equal;
    let rows: Vec<_> = section.rows.iter().filter(shown).collect();
    let hidden = section.rows.len() - rows.len();
    if rows.is_empty() {
        text.heading(&format!("{}: all {hidden} equal", section.name));
        text.line("");
        return;
    }
    let mut head = vec![section.name.clone(), a.to_owned(), b.to_owned()];
    head.extend(figures.then(|| "difference".to_owned()));
    let mut lines = vec![head];
    for row in rows {
        let mut line = vec![row.name.clone(), cell(row.a.as_ref()), cell(row.b.as_ref())];
        line.extend(figures.then(|| difference(row)));
        lines.push(line);
    }
    text.table(&lines);
    if hidden > 0 {
        text.line(format!("and {hidden} equal: `--all` shows them"));
    }
    text.line("");
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None => "-".to_owned(),
        Some(Value::Null) => "not measurable".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn difference(row: &Compared) -> String {
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_f64);
    match (number(&row.a), number(&row.b)) {
        (Some(a), Some(b)) => format!("{:+.6}", b - a),
        _ => String::new(),
    }
}
