//! Writing SVG.

/// Escapes a text for an element or an attribute. What XML cannot say at all becomes the replacement character.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() && control != '\n' && control != '\t' => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Writes a coordinate with at most one decimal.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_numbers_are_short() {
        let text = "<script>\"&'\u{7}";
        assert_eq!(escape(text), "&lt;script&gt;&quot;&amp;&#39;\u{fffd}");
        assert_eq!(
            [1.0, -0.04, 2.25, 1e3].map(number),
            ["1", "0", "2.2", "1000"]
        );
    }
}
