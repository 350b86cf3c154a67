//! Names and values of somebody's table as the languages of a project write them.

use std::fmt::Write as _;

/// Writes a text in double quotes, so that YAML, JSON and Python read the same text back, on one line.
pub(super) fn text(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // What one of them takes for the end of a line, for nothing, or refuses.
            breaks if is_unwritable(breaks) => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(breaks));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}

/// Writes a text as YAML: bare where nothing but a text can be meant.
pub(super) fn yaml(name: &str) -> String {
    const WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let mut bytes = name.bytes();
    let bare = bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/'))
        && !WORDS.contains(&name.to_ascii_lowercase().as_str());
    if bare { name.to_owned() } else { text(name) }
}

/// Writes the name of a column as SQL.
pub(super) fn column(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Writes SQL as the value of a YAML key, below keys that stand at `indent` blanks: in lines of its own, or, where a
/// name in it cannot stand there, in quotes.
pub(super) fn sql(sql: &str, indent: usize) -> String {
    if sql
        .chars()
        .any(|letter| letter != '\n' && is_unwritable(letter))
        || sql.contains("\"\n\"")
    {
        return text(sql);
    }
    let blanks = " ".repeat(indent + 2);
    let lines = sql.lines().map(|line| format!("\n{blanks}{line}"));
    format!("|{}", lines.collect::<String>())
}

/// Returns whether a name cannot stand in a line of YAML or SQL.
pub(super) fn is_unwritable(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Makes a project's or a file's name of any text: `Kredite 2024 (neu)` becomes `kredite-2024-neu`.
pub(super) fn project(text: &str) -> String {
    let mut name = String::new();
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            'a'..='z' | '0'..='9' => name.push(letter),
            'ä' => name.push_str("ae"),
            'ö' => name.push_str("oe"),
            'ü' => name.push_str("ue"),
            'ß' => name.push_str("ss"),
            '_' if !name.is_empty() && !name.ends_with(['-', '_']) => name.push('_'),
            _ if !name.is_empty() && !name.ends_with(['-', '_']) => name.push('-'),
            _ => {}
        }
    }
    name.truncate(40);
    let name = name.trim_end_matches(['-', '_']);
    if name.is_empty() || name == "custody" {
        "project".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_from_yaml_as_they_were() {
        for name in [
            "plain",
            "with blank",
            "quo\"te",
            "single'",
            "back\\slash",
            "Größe",
            "select",
            "yes",
            "n",
            "null",
            "1",
            "- x",
            "e-mail",
            "a.b/c-",
            "-a",
            "a: b",
            "a #b",
            "{x}",
            "line\nbreak",
            "tab\there",
            "next\u{85}line",
            "sep\u{2028}arator",
            "\u{feff}bom",
            "\u{1F600}",
            "",
        ] {
            let line = format!("{}: {}", yaml(name), yaml(name));
            let read: std::collections::BTreeMap<String, String> =
                serde_saphyr::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(read.get(name).map(String::as_str), Some(name), "{line}");
            let json: String = serde_json::from_str(&text(name)).unwrap();
            assert_eq!(json, name);
        }
    }

    #[test]
    fn sql_comes_back_from_yaml_as_it_was() {
        for name in [
            "a",
            "a b",
            "say \"so\"",
            "two\nlines",
            "Größe",
            "x\u{2028}y",
        ] {
            let query = format!("SELECT\n  {}\nFROM raw", column(name));
            let file = format!("outputs:\n  made: {}\nnext: 1\n", sql(&query, 2));
            let read: serde_json::Value = serde_saphyr::from_str(&file).unwrap();
            let made = read["outputs"]["made"].as_str().unwrap();
            assert_eq!(made.trim_end(), query, "{file}");
            assert_eq!(read["next"], 1);
        }
        assert_eq!(column("say \"so\""), "\"say \"\"so\"\"\"");
    }

    #[test]
    fn any_file_names_a_project() {
        let check = |file: &str, name: &str| assert_eq!(project(file), name);
        check("loans", "loans");
        check("Kredite 2024 (neu)", "kredite-2024-neu");
        check("__x__y", "x_y");
        check("Öl", "oel");
        check("日本", "project");
        check("custody", "project");
        check(&"a".repeat(100), &"a".repeat(40));
        for odd in ["loans", "Ünï  x", "--", "9.5"] {
            assert!(project(odd).parse::<custody_types::ProjectName>().is_ok());
        }
    }
}
