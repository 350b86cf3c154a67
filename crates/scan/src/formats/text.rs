//! Text, the last before opaque bytes: prose, tables, and the source of programs.

use crate::cursor::{Cursor, Stop};
use crate::formats::utf8::Utf8;
use crate::formats::{opaque, yaml};
use crate::report::Severity;
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::Source;

pub(crate) const FORMAT: Format = Format {
    name: "text",
    recognises,
    parse,
};

/// How much of a line is looked at, in bytes.
const MAX_LINE: usize = 256 << 10;
/// One control character in so many bytes is borne.
const CONTROLS: u64 = 1000;

/// What the lines of a text show so far.
#[derive(Debug, Default)]
struct Kinds {
    lines: u64,
    python: u64,
    shell: bool,
    windows: u64,
    page_script: bool,
    fenced: bool,
    fences: u64,
    mark: Option<(&'static str, u64)>,
    /// A requirement of `pip` from elsewhere than the usual index.
    requirement: Option<(String, u64)>,
}

/// Whether the head is UTF-8 without NUL; a character may be cut at its end.
fn recognises(head: &Head<'_>) -> bool {
    !head.bytes.is_empty()
        && !head.bytes.contains(&0)
        && match std::str::from_utf8(head.bytes) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        }
}

/// Reads the part line by line; what turns out to be no text is opaque.
pub(crate) fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut cursor = Cursor::new(source);
    let mut kinds = Kinds::default();
    let mut utf8 = Utf8::default();
    let mut controls = 0u64;
    while cursor.left() > 0 {
        let at = cursor.at();
        let line = cursor.line(MAX_LINE)?;
        for byte in &line.bytes {
            if *byte == 0 || (!utf8.push(*byte) && !line.cut) {
                return opaque::parse(source, scan);
            }
            controls += u64::from(byte.is_ascii_control() && !b"\t\r\x0c\x1b".contains(byte));
        }
        if line.cut || line.ended {
            utf8 = Utf8::default();
        }
        // A cut may part a character: what is before it is looked at.
        let text = match std::str::from_utf8(&line.bytes) {
            Ok(text) => text,
            Err(error) => line
                .bytes
                .get(..error.valid_up_to())
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default(),
        };
        kinds.line(text, at);
    }
    if controls > source.len() / CONTROLS {
        return opaque::parse(source, scan);
    }
    judge(&kinds, scan);
    Ok(Understood {
        format: kinds.name(),
        bytes: source.len(),
    })
}

/// Whether the beginning of a text is that of a program.
pub(crate) fn is_code(text: &str) -> bool {
    let mut kinds = Kinds::default();
    for line in text.lines() {
        kinds.line(line, 1);
    }
    text.starts_with("#!") || kinds.is_python()
}

impl Kinds {
    fn line(&mut self, line: &str, at: u64) {
        let line = line.trim_start_matches('\u{feff}').trim_end();
        let trimmed = line.trim_start();
        if at == 0 && trimmed.starts_with("#!") {
            self.shell = true;
        }
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            self.fenced = !self.fenced;
            self.fences += 1;
        }
        if trimmed.is_empty() || self.fenced {
            return;
        }
        self.lines += 1;
        self.python += u64::from(is_python(line));
        let lower = trimmed.to_ascii_lowercase();
        self.windows += u64::from(is_windows(&lower));
        self.page_script |= lower.contains("<script") || lower.contains("javascript:");
        if self.requirement.is_none() && is_foreign_requirement(trimmed) {
            self.requirement = Some((shown(trimmed), at));
        }
        let marked = trimmed.trim_start_matches(['-', ' ', '"', '\'', '{', '?']);
        if self.mark.is_none()
            && let Some(mark) = yaml::mark(trimmed)
            && (marked.starts_with(mark) || trimmed.contains(": !"))
        {
            self.mark = Some((mark, at));
        }
    }

    /// At least one line in twenty is Python and nothing else.
    fn is_python(&self) -> bool {
        self.python > 0 && self.fences == 0 && self.python.saturating_mul(20) >= self.lines
    }

    fn name(&self) -> &'static str {
        if self.shell {
            "script"
        } else if self.is_python() {
            "Python source"
        } else {
            "text"
        }
    }
}

/// Whether a line at the margin can only be Python, or a call that runs what it is given.
fn is_python(line: &str) -> bool {
    let calls = [
        "__import__(",
        "exec(",
        "eval(",
        "os.system(",
        "os.popen(",
        "subprocess.",
        "pickle.loads(",
        "builtins.",
        "getattr(__",
    ];
    let name = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
    };
    if let Some(rest) = line.strip_prefix("import ") {
        let rest = rest.split(['#', ';']).next().unwrap_or_default();
        return rest.split(',').all(|part| {
            let words: Vec<_> = part.split_whitespace().collect();
            matches!(words.as_slice(), [module] | [module, "as", _] if name(module))
        });
    }
    if let Some((module, _)) = line
        .strip_prefix("from ")
        .and_then(|rest| rest.split_once(" import "))
    {
        return name(module.trim());
    }
    let head = |start: &str, ends: &[char]| {
        line.strip_prefix(start).is_some_and(|rest| {
            rest.split_once(ends)
                .is_some_and(|(first, _)| name(first.trim()))
        })
    };
    head("def ", &['('])
        || head("async def ", &['('])
        || (head("class ", &['(', ':']) && line.ends_with(':'))
        || line.starts_with("if __name__ ==")
        || (calls.iter().any(|call| line.starts_with(call))
            && line.ends_with(')')
            // Words about a call give it nothing to run.
            && line.contains(['"', '\'']))
}

/// Whether a line is of a batch file or of PowerShell.
fn is_windows(lower: &str) -> bool {
    let starts = [
        "@echo off",
        "powershell ",
        "powershell.exe",
        "cmd /c",
        "cmd.exe",
        "invoke-expression",
        "iex ",
        "iex(",
        "start-process ",
        "set-executionpolicy",
        "[system.convert]",
        "wscript.",
        "createobject(",
    ];
    starts.iter().any(|start| lower.starts_with(start))
        || lower.contains("new-object net.webclient")
        || lower.contains("wscript.shell")
}

/// Whether a line of `requirements.txt` installs from a place of its own.
fn is_foreign_requirement(line: &str) -> bool {
    let options = [
        "--index-url",
        "--extra-index-url",
        "--find-links",
        "--trusted-host",
        "-i http",
        "-f http",
        "git+",
        "-e git+",
    ];
    let direct = line.split_once(" @ ").is_some_and(|(name, rest)| {
        !name.contains(' ')
            && ["http", "git+", "file:"]
                .iter()
                .any(|start| rest.starts_with(start))
    });
    let archive = (line.starts_with("http://") || line.starts_with("https://"))
        && [".whl", ".tar.gz", ".zip"]
            .iter()
            .any(|end| line.ends_with(end));
    direct || archive || options.iter().any(|option| line.starts_with(option))
}

fn judge(kinds: &Kinds, scan: &mut Scan<'_>) {
    let code = |what: &'static str| {
        Found::review("text/code", what)
            .why("nothing runs it unless a loader or a person does; a model needs none")
            .see(&["AML.T0011"])
            .advice("read it, or leave it out")
    };
    if kinds.shell {
        scan.found(code("a script with an interpreter line"));
    } else if kinds.is_python() {
        scan.found(code("the source of a Python program"));
    } else if kinds.windows > 0 && kinds.fences == 0 {
        scan.found(code("lines of a batch file or of PowerShell"));
    }
    if kinds.page_script && kinds.fences == 0 {
        scan.found(code("a page or a text with a script").severity(Severity::Low));
    }
    if let Some((mark, at)) = kinds.mark.filter(|_| kinds.fences == 0) {
        scan.found(
            Found::review("text/mark", format!("the text has `{mark}`"))
                .why("a loader of YAML would build what stands there")
                .at(at),
        );
    }
    if let Some((line, at)) = kinds.requirement.as_ref().filter(|_| kinds.fences == 0) {
        scan.found(
            Found::review("text/requirement", format!("it requires `{line}`"))
                .why("setting up its environment installs code from there")
                .see(&["CWE-829", "AML.T0010.001"])
                .at(*at),
        );
    }
    if let Some(ending) = promised(scan.name()) {
        scan.found(
            Found::unscannable(
                "text/not-as-named",
                format!(
                    "the name ends in `.{}` and the content is text",
                    shown(&ending)
                ),
            )
            .see(&["AML.T0074", "AML.T0076"]),
        );
    }
}

/// The ending of a name that promises what text is not.
fn promised(name: &str) -> Option<String> {
    let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
    (opaque::PROMISING.contains(&ending.as_str()) || ending == "json").then_some(ending)
}

#[cfg(test)]
mod tests {
    use crate::report::Verdict;
    use crate::rules::Rules;
    use crate::scan;

    fn verdict(name: &str, text: &str) -> Verdict {
        let report = scan(name, &text.as_bytes(), &Rules::built_in().unwrap());
        report.verdict
    }

    #[test]
    fn prose_and_tables_are_clean() {
        for text in [
            "# A model\n\nFrom 2024 on. import the model with\n\n```python\nimport os\nos.system('ls')\n```\n",
            "---\nlicense: mit\n---\n# Card\n\nText with eval and exec and os system.\n",
            "id,name\n1,a\n2,b\n",
            "the\nof\nimport\nclass\ndef\neval\nos.system\n",
            "scikit-learn==1.5.0\nnumpy>=1.26\n",
            "<h1 align=\"center\">Model</h1>\n\nprose\n",
            "[section]\nkey = 1\n[other]\n",
            "Class: a\nnot yaml\n",
            "pickle.loads(eval)\n",
        ] {
            assert_eq!(verdict("README.md", text), Verdict::Clean, "{text}");
        }
    }

    #[test]
    fn programs_are_for_review() {
        for text in [
            "import os\nos.system('id')\n",
            "__import__('os').system('id')",
            "from x import y\n\ndef f(a):\n    return a\n",
            "class A:\n    pass\n",
            "#!/bin/sh\nrm -rf /\n",
            "@echo off\r\ndel *\r\n",
            "powershell -enc AAAA\n",
            "scikit-learn\n--extra-index-url http://e/simple\n",
            "a @ https://e/a.whl\n",
            "<html><script>alert(1)</script></html>\n",
        ] {
            assert_eq!(verdict("notes.txt", text), Verdict::Review, "{text}");
        }
    }

    #[test]
    fn text_under_a_name_that_promises_a_model_is_not_clean() {
        assert_eq!(verdict("model.pt", "hello\n"), Verdict::Unscannable);
        assert_eq!(verdict("config.json", "hello\n"), Verdict::Unscannable);
    }

    #[test]
    fn a_nul_or_a_broken_character_far_in_makes_it_opaque() {
        for tail in [&b"\0"[..], b"\xff\xfe"] {
            let mut bytes = b"line\n".repeat(2000);
            bytes.extend_from_slice(tail);
            let report = scan("a", &bytes, &Rules::built_in().unwrap());
            assert_eq!(report.parts[0].format, "opaque bytes");
        }
    }
}
