//! Foreign text as it may be shown: names, values and what programs print say nothing to the terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns whether a letter steers a terminal or deceives whoever reads it: control characters of both sets (`ESC`,
/// and `CSI` and `OSC` in one letter), and what turns the direction of writing.
pub fn steers(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if steers(letter) && !stays(letter) {
            safe.extend(letter.escape_default());
        } else {
            safe.push(letter);
        }
    }
    safe
}

/// Returns `text` with escapes in place of what [`steers`]; tabs and line feeds stay.
pub fn visible(text: &str) -> String {
    escaped(text, |letter| matches!(letter, '\n' | '\t'))
}

/// Returns `text` with escapes in place of all that [`steers`], so that it stays within its line.
pub fn visible_line(text: &str) -> String {
    escaped(text, |_| false)
}

/// Returns a JSON text that means the same and holds nothing that [`steers`] but the white space between its values:
/// JSON itself lets all but the first 32 control characters stand in a string.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    let stays = |letter: char| !steers(letter) || matches!(letter, '\n' | '\r' | '\t');
    if json.chars().all(stays) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        if stays(letter) {
            safe.push(letter);
        } else {
            // All of them are of the basic plane.
            let _ = write!(safe, "\\u{:04x}", u32::from(letter));
        }
    }
    Cow::Owned(safe)
}

/// Returns a line without its colours and other styles (`ESC [ … m`), which programs print to where they take a
/// terminal to be. Other sequences stay as they are.
pub fn without_styles(line: &str) -> Cow<'_, str> {
    const BEGIN: &str = "\u{1b}[";
    if !line.contains(BEGIN) {
        return Cow::Borrowed(line);
    }
    let mut parts = line.split(BEGIN);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|letter: char| {
            letter.is_ascii_digit() || letter == ';' || letter == ':'
        });
        match rest.strip_prefix('m') {
            Some(rest) => plain.push_str(rest),
            None => {
                plain.push_str(BEGIN);
                plain.push_str(part);
            }
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_written_out() {
        let text = "a\tb\nc\u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{7f}\u{202e}";
        assert_eq!(
            visible(text),
            "a\tb\nc\\u{1b}]52;c;aGk=\\u{7}\\u{9b}2J\\u{7f}\\u{202e}"
        );
        assert!(!visible_line(text).chars().any(steers));
        assert_eq!(visible_line("a\nb\tc"), "a\\nb\\tc");
    }

    #[test]
    fn json_means_the_same_and_steers_nothing() {
        let every: String = ('\0'..='\u{2100}').collect();
        let json =
            serde_json::to_string_pretty(&serde_json::json!({ "text": every, "n": [1] })).unwrap();
        assert!(json.contains('\u{9b}'));
        let safe = visible_json(&json);
        assert!(!safe.chars().any(|letter| steers(letter) && letter != '\n'));
        let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(read(&safe), read(&json));
        assert!(matches!(visible_json("{\n}"), Cow::Borrowed(_)));
    }

    #[test]
    fn styles_go_and_all_else_stays() {
        for (line, expected) in [
            (
                "\u{1b}[31mred\u{1b}[0m \u{1b}[1;38:5:4mbold\u{1b}[m",
                "red bold",
            ),
            ("\u{1b}[2Jgone", "\u{1b}[2Jgone"),
            ("\u{1b}[\u{1b}[31m", "\u{1b}["),
            ("[31m plain", "[31m plain"),
            ("end\u{1b}[31", "end\u{1b}[31"),
        ] {
            assert_eq!(without_styles(line), expected);
        }
    }
}
