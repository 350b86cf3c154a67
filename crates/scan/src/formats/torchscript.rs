//! The code of TorchScript archives: it looks like Python and calls operators of PyTorch. The names that
//! it calls are judged; nothing else of it can reach outside of the interpreter.
//!
//! Source: `torch/csrc/jit/serialization/python_print.cpp`.

use crate::cursor::{Cursor, Stop};
use crate::scan::{Found, Scan, Understood, shown};
use crate::source::Source;
use custody_findings::Severity;
use custody_findings::rules::Judgement;

/// How long a line may be, in bytes.
const MAX_LINE: usize = 1 << 20;

/// Reads code and judges each name that it calls.
pub(crate) fn code(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut cursor = Cursor::new(source);
    while cursor.left() > 0 {
        let at = cursor.at();
        let line = cursor.line(MAX_LINE)?;
        if line.cut {
            return Err(Stop::limit("the length of a line", "1 MiB", at));
        }
        let Ok(text) = std::str::from_utf8(&line.bytes) else {
            return Err(Stop::malformed("is no text", at));
        };
        judge(text, at, scan);
    }
    Ok(Understood {
        format: "TorchScript code",
        bytes: cursor.at(),
    })
}

/// Returns a line without its texts, and without the blanks that the interpreter passes over in a name and before a
/// bracket.
fn joined(line: &str) -> String {
    let (mut out, mut quote) = (String::with_capacity(line.len()), None);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => {
                letters.next();
            }
            (Some(end), letter) if letter == end => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => {
                quote = Some(letter);
                out.push(letter);
            }
            (None, '.' | '(') => {
                out.truncate(out.trim_end().len());
                out.push(letter);
            }
            (None, letter) if letter.is_whitespace() && out.ends_with('.') => {}
            (None, letter) => out.push(letter),
        }
    }
    out
}

/// Judges the dotted names that begin with `ops.` or `torch.`: those that are called, and of the others those that are
/// known to be bad, however they are called later.
fn judge(line: &str, at: u64, scan: &mut Scan<'_>) {
    let line = joined(line);
    let is_name = |character: char| character.is_alphanumeric() || matches!(character, '_' | '.');
    let ends = line.trim();
    if ends.ends_with('.') || ends.starts_with('.') && !ends.starts_with("...") {
        scan.found(
            Found::review(
                "torchscript/split",
                "a name that goes over the end of a line",
            )
            .at(at)
            .why("no writer splits names, and what is named cannot be told"),
        );
    }
    let mut rest = line.as_str();
    while let Some(start) = rest.find(is_name) {
        let word = rest.get(start..).unwrap_or_default();
        let length = word
            .find(|character| !is_name(character))
            .unwrap_or(word.len());
        let (name, after) = word.split_at(length);
        rest = after;
        if !(name.starts_with("ops.") || name.starts_with("torch.")) {
            continue;
        }
        let is_called = after.starts_with('(');
        match scan.rules.judge("torchscript", name) {
            Judgement::Allowed(_) => {}
            Judgement::Sink(sink) => {
                let mut found = Found::malicious(
                    "torchscript/sink",
                    format!("names `{}`: it can {}", shown(name), sink.can),
                )
                .severity(sink.severity)
                .at(at)
                .why("running the model executes this");
                found.references.clone_from(&sink.references);
                scan.found(found);
            }
            Judgement::Unknown if !is_called => {}
            Judgement::Unknown => scan.found(
                Found::review(
                    "torchscript/unknown",
                    format!("calls `{}`, which no rule knows", shown(name)),
                )
                .severity(Severity::High)
                .at(at)
                .why("operators of other libraries are native code"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_hide_no_name() {
        for (line, plain) in [
            ("torch . from_file (x)", "torch.from_file(x)"),
            ("a = ops.aten.save\t (x)", "a = ops.aten.save(x)"),
            ("f(\"torch.save (\", 'a\\'(')", "f(\"\", ')"),
        ] {
            let joined: String = joined(line).split('\'').collect();
            let plain: String = plain.split('\'').collect();
            assert_eq!(joined.replace('"', ""), plain.replace('"', ""), "{line}");
        }
    }
}
