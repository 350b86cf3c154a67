//! Documents of any form as lists of facts.

use serde_json::Value;

/// How many facts of a document are shown, and how long one may be.
const MOST: usize = 200;
const LONGEST: usize = 400;

/// A fact: where it stands in its document, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// A document as facts.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) title: String,
    pub(crate) facts: Vec<Fact>,
    /// Whether there are more.
    pub(crate) more: bool,
}

impl Facts {
    /// Lists what a document says.
    pub(crate) fn of(title: &str, value: &Value) -> Self {
        let mut facts = Vec::new();
        gather("", value, &mut facts);
        let more = facts.len() > MOST;
        facts.truncate(MOST);
        Self {
            title: title.to_owned(),
            facts,
            more,
        }
    }
}

fn gather(name: &str, value: &Value, facts: &mut Vec<Fact>) {
    if facts.len() > MOST {
        return;
    }
    let within = |key: &str| {
        if name.is_empty() {
            key.to_owned()
        } else {
            format!("{name}.{key}")
        }
    };
    if let Some(text) = plain(value) {
        let name = if name.is_empty() { "value" } else { name };
        facts.push(Fact {
            name: name.to_owned(),
            value: text,
        });
        return;
    }
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                gather(&within(key), value, facts);
            }
        }
        Value::Array(items) => {
            for (place, value) in items.iter().enumerate() {
                // What a result is called says more than its place.
                let called = value.get("name").and_then(Value::as_str);
                let key = called.map_or_else(|| (place + 1).to_string(), ToOwned::to_owned);
                gather(&within(&key), value, facts);
            }
        }
        _ => {}
    }
}

/// Returns what stands in one line: a value, or a list of values.
pub(crate) fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items)
            if items
                .iter()
                .all(|item| !item.is_array() && !item.is_object()) =>
        {
            let items: Option<Vec<_>> = items.iter().map(plain).collect();
            let items = items?;
            if items.is_empty() {
                "none".to_owned()
            } else {
                items.join(", ")
            }
        }
        Value::Object(members) if members.is_empty() => "none".to_owned(),
        Value::Array(_) | Value::Object(_) => return None,
    };
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    Some(short)
}

/// Writes a value in one line.
pub(crate) fn value(value: &Value) -> String {
    plain(value).unwrap_or_else(|| value.to_string())
}

/// Writes a value that may not be there.
#[expect(clippy::ref_option, reason = "templates lend fields")]
pub(crate) fn optional(found: &Option<Value>) -> String {
    found.as_ref().map_or_else(|| "not there".to_owned(), value)
}

/// Writes a figure as people read it.
pub(crate) fn figure(value: Option<f64>) -> String {
    value.map_or_else(
        || "not measurable".to_owned(),
        |value| {
            let text = format!("{value:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_a_list_of_facts() {
        let value = json!({"a": 1, "b": {"c": ["x", "y"], "d": null}, "e": [{"name": "n", "ok": true}], "f": []});
        let facts = Facts::of("t", &value).facts;
        let facts: Vec<_> = facts
            .iter()
            .map(|fact| format!("{}={}", fact.name, fact.value))
            .collect();
        assert_eq!(
            facts,
            [
                "a=1",
                "b.c=x, y",
                "b.d=none",
                "e.n.name=n",
                "e.n.ok=yes",
                "f=none"
            ]
        );
        let many = Facts::of("t", &json!(vec![json!({"a": 1}); 500]));
        assert!(many.more && many.facts.len() == MOST);
        assert_eq!(
            plain(&json!("x".repeat(900))).unwrap().chars().count(),
            LONGEST + 1
        );
        assert_eq!(
            [Some(0.5), Some(1.0), Some(0.123_456_78), None].map(figure),
            ["0.5", "1", "0.123457", "not measurable"]
        );
    }
}
