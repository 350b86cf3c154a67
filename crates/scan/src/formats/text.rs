//! Text, the last before opaque bytes: prose, tables, and the source of programs.

use crate::cursor::{Cursor, Stop};
use crate::formats::utf8::Utf8;
use crate::formats::{opaque, yaml};
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::Source;
use custody_findings::Severity;

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
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing by itself that lines show or not"
)]
struct Kinds {
    lines: u64,
    python: u64,
    shell: bool,
    windows: u64,
    page_script: bool,
    fenced: bool,
    fences: u64,
    mark: Option<(&'static str, u64)>,
    /// Whether the file is one of requirements by its name.
    requirements: bool,
    /// Lines that could stand in a file of requirements, and those of them that can be nothing else.
    required: u64,
    specified: u64,
    /// A line that is continued, as long as it is short.
    continued: String,
    /// A requirement of `pip` from elsewhere than the usual index.
    requirement: Option<(String, u64)>,
    /// Lines that import modules and do nothing else, and lines that are comments.
    imports: u64,
    comments: u64,
    /// Whether some line is one that no program in Python has, outside of its long texts.
    prose: bool,
    long_texts: bool,
    /// Whether the line before ends in a backslash.
    open: bool,
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
    let mut kinds = Kinds {
        requirements: is_requirements(scan.name()),
        ..Kinds::default()
    };
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
        // What follows a cut is the middle of a line, and may look like words.
        kinds.long_texts |= line.cut;
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
        if at == 0 && trimmed.strip_prefix("#!").is_some_and(is_interpreter) {
            self.shell = true;
        }
        if self.requirements {
            self.requirement(trimmed, at);
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
        self.imports += u64::from(is_import(line) && !line.contains(';'));
        self.comments += u64::from(line.starts_with('#'));
        self.long_texts |= line.contains("\"\"\"") || line.contains("'''");
        self.prose |= !self.open && is_prose(line);
        self.open = line.ends_with('\\');
        let lower = trimmed.to_ascii_lowercase();
        self.windows += u64::from(is_windows(&lower));
        self.page_script |= lower.contains("<script") || lower.contains("javascript:");
        if !self.requirements {
            self.perhaps_required(trimmed, at);
        }
        let marked = trimmed.trim_start_matches(['-', ' ', '"', '\'', '{', '?']);
        if self.mark.is_none()
            && let Some(mark) = yaml::mark(trimmed)
            && (marked.starts_with(mark) || trimmed.contains(": !"))
        {
            self.mark = Some((mark, at));
        }
    }

    /// At least one line in twenty is Python and nothing else. What Python refuses to read is no program,
    /// and imports alone do nothing by themselves.
    fn is_python(&self) -> bool {
        let refused = self.prose && !self.long_texts;
        let idle = self.imports.saturating_add(self.comments) == self.lines;
        self.python > 0
            && self.fences == 0
            && self.python.saturating_mul(20) >= self.lines
            && !refused
            && !idle
    }

    /// Takes a line of a file of requirements: one that is continued counts with those after it.
    fn requirement(&mut self, line: &str, at: u64) {
        let (part, more) = line
            .strip_suffix('\\')
            .map_or((line, false), |part| (part, true));
        if self.continued.len() < MAX_LINE {
            self.continued.push_str(part);
        }
        if more {
            return;
        }
        let line = std::mem::take(&mut self.continued);
        if self.requirement.is_none() && !is_plain_requirement(&line) {
            self.requirement = Some((shown(line.trim()), at));
        }
    }

    /// Takes a line of a file whose name does not say what it is.
    fn perhaps_required(&mut self, line: &str, at: u64) {
        let foreign = is_foreign_requirement(line);
        let link = line.starts_with("http://") || line.starts_with("https://");
        let versioned = ["==", ">=", "<=", "~="]
            .iter()
            .any(|sign| line.contains(sign));
        let plain = is_plain_requirement(line);
        self.required += u64::from(foreign || link || plain);
        self.specified += u64::from(foreign || (plain && versioned));
        if self.requirement.is_none() && (foreign || link) {
            self.requirement = Some((shown(line), at));
        }
    }

    /// Returns the requirement from elsewhere, if the file is one of requirements by its name or as a
    /// whole.
    fn required(&self) -> Option<&(String, u64)> {
        let whole = self.required == self.lines && self.specified > 0 && self.fences == 0;
        self.requirement
            .as_ref()
            .filter(|_| self.requirements || whole)
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

/// Whether what follows `#!` is a program: a path, or a plain name. The mark of a dictionary is none.
fn is_interpreter(rest: &str) -> bool {
    let first = rest.split_whitespace().next().unwrap_or_default();
    first.contains(['/', '\\']) || !first.contains(|c: char| c.is_ascii_uppercase())
}

/// Whether a name is that of a file of requirements, as `pip` and those who write for it name it.
fn is_requirements(name: &str) -> bool {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let name = name.to_ascii_lowercase();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
    ["txt", "in", "pip", ""].contains(&ending)
        && ["requirement", "constraint"]
            .iter()
            .any(|word| stem.contains(word))
}

/// Whether a line of a file of requirements names a package of the usual index, with its versions, or sets
/// an option that says nothing of a place.
fn is_plain_requirement(line: &str) -> bool {
    const OPTIONS: [&str; 5] = [
        "--pre",
        "--prefer-binary",
        "--require-hashes",
        "--no-binary",
        "--only-binary",
    ];
    const ARCHIVES: [&str; 9] = [
        ".whl", ".zip", ".gz", ".tgz", ".bz2", ".tbz", ".xz", ".txz", ".tar",
    ];
    let line = if line.starts_with('#') {
        ""
    } else {
        line.split(" #").next().unwrap_or(line).trim()
    };
    if line.is_empty() {
        return true;
    }
    if line.starts_with('-') {
        let option = line.split([' ', '=', '\t']).next().unwrap_or(line);
        return OPTIONS.contains(&option);
    }
    // The hashes of its archives, then the condition under which it is wanted.
    let line = line.split(" --hash=").next().unwrap_or(line);
    let line = line.split(';').next().unwrap_or(line).trim();
    let name = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(name);
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(extras) => extras
            .split_once(']')
            .map_or("@", |(_, rest)| rest.trim_start()),
        None => rest,
    };
    let specified = rest.is_empty()
        || (rest.starts_with(['=', '<', '>', '!', '~', '('])
            && rest.chars().all(|c| {
                c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "=<>!~.,*+-_()".contains(c)
            }));
    let lower = name.to_ascii_lowercase();
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && specified
        && !ARCHIVES.iter().any(|end| lower.ends_with(end))
}

/// Whether a line at the margin has two names side by side, which is words and nothing that Python reads.
fn is_prose(line: &str) -> bool {
    const KEYWORDS: [&str; 36] = [
        "and", "as", "assert", "async", "await", "break", "case", "class", "continue", "def",
        "del", "elif", "else", "except", "exec", "finally", "for", "from", "global", "if",
        "import", "in", "is", "lambda", "match", "nonlocal", "not", "or", "pass", "print", "raise",
        "return", "type", "while", "with", "yield",
    ];
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | ' ' | '.' | ',');
    let word = |word: &str| {
        let word = word.trim_end_matches(['.', ',']);
        word.starts_with(char::is_alphabetic)
            && word.chars().all(char::is_alphanumeric)
            && !KEYWORDS.contains(&word)
    };
    if !line.starts_with(char::is_alphabetic) || !line.chars().all(plain) {
        return false;
    }
    let words: Vec<_> = line.split(' ').collect();
    words.windows(2).any(|pair| {
        matches!(pair, [first, second]
            if word(first) && word(second) && !first.ends_with(['.', ',']))
    })
}

/// Whether a line imports modules and does nothing else.
fn is_import(line: &str) -> bool {
    (line.starts_with("import ") || line.starts_with("from ")) && is_python(line)
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
        "cmd /c",
        "invoke-expression",
        "iex(",
        "start-process ",
        "set-executionpolicy",
        "[system.convert]",
        "wscript.",
        "createobject(",
    ];
    // A word of a list or of a sentence gives them nothing to run.
    let programs = ["powershell", "powershell.exe", "cmd.exe", "iex"];
    let runs = programs.iter().any(|program| {
        lower
            .strip_prefix(program)
            .and_then(|rest| rest.strip_prefix(' '))
            .is_some_and(|rest| !is_sentence(rest))
    });
    runs || starts.iter().any(|start| lower.starts_with(start))
        || lower.contains("new-object net.webclient")
        || lower.contains("wscript.shell")
}

/// Whether words are those of a sentence: many, and nothing between them.
fn is_sentence(words: &str) -> bool {
    words.split(' ').count() >= 3
        && words
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | '\''))
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
    direct || options.iter().any(|option| line.starts_with(option))
}

fn judge(kinds: &Kinds, scan: &mut Scan<'_>) {
    let code = |what: &'static str| {
        Found::review("text/code", what)
            .why("nothing runs it unless a loader or a person does; a model needs none")
            .see(&["AML.T0011"])
            .advice("read it, or leave it out")
    };
    let python = scan.name().rsplit_once('.').is_some_and(|(_, end)| {
        ["py", "pyw"]
            .iter()
            .any(|name| end.eq_ignore_ascii_case(name))
    });
    if kinds.shell {
        scan.found(code("a script with an interpreter line"));
    } else if kinds.is_python() || (python && kinds.lines > kinds.comments) {
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
    if let Some((line, at)) = kinds.required() {
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
    use crate::scan;
    use custody_findings::{Rules, Verdict};

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
    fn lists_and_words_about_programs_are_no_programs() {
        for text in [
            "https://example.com/model.zip\n",
            "https://www.apache.org/licenses/LICENSE-2.0.zip\nhttps://e/x.tar.gz\n",
            "The model is at\nhttps://example.com/model.tar.gz\na @ https://e/a.whl\n",
            "import numpy as np\nThis model was trained in 2020.\n",
            "import os\n",
            "# names\nimport os\nfrom a import b\n",
            "Cmd.exe\tNNP\t-10\npowershell\tNNP\n",
            "PowerShell is what the program is written in.\n",
            "a\nb\niex\ncmd.exe\n",
            "#!DICT-ID a.b-1\n#<COPYRIGHT>\nwords\n",
        ] {
            for name in ["README", "LICENSE", "words.txt"] {
                assert_eq!(verdict(name, text), Verdict::Clean, "{text}");
            }
        }
        // In a file of that name, it is one.
        for text in [
            "https://example.com/model.zip\n",
            "numpy\n-e .\n",
            "numpy\n./a\n",
            "-r ../x.txt\n",
            "a.whl\n",
            "a[b] @ https://e\n",
            "--extra-index\\\n-url=https://e\n",
            "```\na @ https://e\n```\n",
            "a\t@\thttps://e\n",
        ] {
            for name in [
                "requirements.txt",
                "a/Requirements-dev.txt",
                "constraints.txt",
            ] {
                assert_eq!(verdict(name, text), Verdict::Review, "{text}");
            }
        }
        let plain = "# all\nnumpy\ntorch[cpu]>=2,<3 ; python_version > \"3.8\"  # why\na==1 \\\n  --hash=sha256:00\n--pre\n";
        assert_eq!(verdict("requirements.txt", plain), Verdict::Clean);
    }

    #[test]
    fn words_in_a_program_do_not_hide_it() {
        for text in [
            "import os\n\"\"\"\nThis model was trained in 2020.\n\"\"\"\nos.system('id')\n",
            "import os\nx = 'a \\\nThis model was trained'\nos.system('id')\n",
            "import os\n# This model was trained in 2020.\nos.system('id')\n",
            "import os; os.system('id')\n",
            "import os\nif x is not None: os.system('id')\n",
            "from os import *\nsystem('id')\n",
            "cmd.exe /c del x\n",
            "powershell start-process calc\n",
            "iex $a\n",
            "#! /usr/bin/env python3\n",
            "#!sh\n",
        ] {
            assert_eq!(verdict("notes.txt", text), Verdict::Review, "{text}");
        }
        assert_eq!(verdict("a.py", "import os\n"), Verdict::Review);
        assert_eq!(verdict("a.PY", "x = [c for c in ()]\n"), Verdict::Review);
        assert_eq!(verdict("a.py", "# nothing\n\n"), Verdict::Clean);
        // Braces in a program are no template.
        let source = "def f(a):\n    return '{{ a.__class__ }} {% if a %}'.format(a)\n";
        assert_eq!(verdict("train.py", source), Verdict::Review);
        assert_eq!(verdict("chat.jinja", source), Verdict::Malicious);
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
