//! Pickles: decoded as CPython's loaders do, symbolically, and judged by the rules. Never executed.
//!
//! A file may hold several streams. Each is read with a fresh memo, as `pickle.load` does; where there
//! are several, all are read once more with one memo, as an unpickler that is used again does.

mod compatible;
mod joblib;
mod judge;
mod literal;
mod machine;
mod places;
mod state;
mod value;

use std::collections::HashSet;

use crate::cursor::Stop;
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::{Slice, Source};
use custody_findings::rules::Judgement;

pub(crate) use machine::Event;
use machine::{Machine, Observer};
pub(crate) use value::{Content, Heap, Kind, Value};

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "pickle",
    recognises,
    parse,
};

/// How many streams one file may hold.
const MAX_STREAMS: usize = 100_000;

fn recognises(head: &Head<'_>) -> bool {
    match head.bytes {
        [0x80, 0..=5, ..] => true,
        _ => is_stream(head.source),
    }
}

/// Whether a loader would take bytes without the mark of a protocol for a pickle and get somewhere. A text whose first
/// words are opcodes, up to a full stop, is none: they do nothing, and nothing follows that does.
fn is_stream(source: &dyn Source) -> bool {
    let first = probe(source, source.len());
    if !first.is_pickle() || first.calls > 0 || first.long || !first.imports.is_empty() {
        return first.is_pickle();
    }
    let rest = Slice::new(source, first.end, u64::MAX);
    if rest.is_empty() {
        return true;
    }
    let mut next = [0; 2];
    let count = rest.read_at(0, &mut next).unwrap_or_default();
    matches!(next.get(..count), Some([0x80, 0..=5]))
        || probe(&rest, rest.len()).is_pickle()
        || !is_text(source)
}

/// Whether the beginning is text.
fn is_text(source: &dyn Source) -> bool {
    let mut head = vec![0; 4096];
    let count = source.read_at(0, &mut head).unwrap_or_default();
    head.truncate(count);
    let plain = |byte: &u8| !byte.is_ascii_control() || byte.is_ascii_whitespace();
    head.iter().all(plain)
}

/// Reads all streams of a part.
pub(crate) fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let end = streams(source, 0, scan)?;
    Ok(Understood {
        format: "pickle",
        bytes: end,
    })
}

/// Reads the streams from `start` until the end, or until something that begins no stream, and returns
/// where it ends.
fn streams(source: &dyn Source, start: u64, scan: &mut Scan<'_>) -> Result<u64, Stop> {
    let (mut at, mut count) = (start, 0);
    while at < source.len() && (count == 0 || begins(source, at)?) {
        if count >= MAX_STREAMS {
            return Err(Stop::limit("the number of streams", MAX_STREAMS, at));
        }
        at = stream(source, at, scan, None)?.end;
        count += 1;
    }
    if count > 1 {
        let mut judge = judge::PickleAnalyzer::new(scan, None);
        let mut machine = Machine::new(source, start);
        while machine.cursor.at() < at {
            machine.run(&mut judge)?;
        }
        // The arrays were looked into at the first reading.
        let nested = judge.nested;
        nest(source, nested, scan);
    }
    Ok(at)
}

/// Whether a stream begins here: what follows a pickle and is none is left over.
fn begins(source: &dyn Source, at: u64) -> Result<bool, Stop> {
    let mut head = [0; 2];
    let count = source.read_at(at, &mut head)?;
    if matches!(head.get(..count), Some([0x80, 0..=5])) {
        return Ok(true);
    }
    let rest = Slice::new(source, at, u64::MAX);
    Ok(probe(&rest, rest.len()).is_pickle())
}

/// Who hears of events besides the judge.
pub(crate) type Watch<'w> = dyn FnMut(&Heap, u64, Event<'_>) + 'w;

/// One stream that was read.
pub(crate) struct Stream {
    /// Where it ends, in bytes from the start of the part.
    pub(crate) end: u64,
    /// What it makes.
    pub(crate) root: Value,
    /// What the values point to.
    pub(crate) heap: Heap,
}

/// Reads one stream with a fresh memo. Who else hears of the events may be given: the owner of persistent
/// ids, which without one are for a person to look at.
pub(crate) fn stream(
    source: &dyn Source,
    start: u64,
    scan: &mut Scan<'_>,
    watch: Option<&mut Watch<'_>>,
) -> Result<Stream, Stop> {
    let mut judge = judge::PickleAnalyzer::new(scan, watch);
    let mut machine = Machine::new(source, start);
    let root = machine.run(&mut judge);
    let (nested, checks) = (judge.nested, judge.checks);
    nest(source, nested, scan);
    places::look(source, checks, scan)?;
    Ok(Stream {
        root: root?,
        end: machine.cursor.at(),
        heap: machine.heap,
    })
}

/// Scans bytes that a stream loads as pickles themselves.
fn nest(source: &dyn Source, nested: Vec<(u64, u64)>, scan: &mut Scan<'_>) {
    let mut seen = HashSet::new();
    for (at, len) in nested {
        if seen.insert(at) {
            scan.member(&format!("bytes at {at}"), &Slice::new(source, at, len));
        }
    }
}

/// What a look at bytes as a pickle gave.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Probe {
    /// It ran to its `STOP`.
    pub(crate) stopped: bool,
    /// How many calls it makes, names with letters that no module has apart.
    pub(crate) calls: u32,
    /// It makes so much that it can be nothing else.
    long: bool,
    /// Where it stopped or broke, in bytes.
    end: u64,
    /// What it imports before it ends or breaks, the first of them: the name, where, and whether by an opcode that
    /// no text has.
    imports: Vec<(String, u64, bool)>,
}

impl Probe {
    /// Whether a loader would take it for a pickle and get somewhere.
    pub(crate) fn is_pickle(&self) -> bool {
        self.stopped || self.calls > 0 || self.long
    }
}

/// How many opcodes a probe reads.
const PROBED: u64 = 1 << 18;
/// How many imports a probe remembers.
const MAX_IMPORTS: usize = 64;

/// Runs bytes as a pickle without judging them, `len` of them.
pub(crate) fn probe(source: &dyn Source, len: u64) -> Probe {
    struct Look<'s> {
        source: &'s dyn Source,
        found: Probe,
        /// A loader was asked for an object by id: a plain one stops there.
        stopped: bool,
    }
    impl Observer for Look<'_> {
        fn event(&mut self, heap: &Heap, at: u64, event: Event<'_>) {
            let name = |id| {
                let names = heap.names(id)?;
                (is_name(&names.module) && is_name(&names.name)).then(|| names.full())
            };
            let real = |value| match value {
                Value::Global(id) => name(id).is_some(),
                Value::Computed | Value::Instance(_) => true,
                _ => false,
            };
            match event {
                Event::Persistent(_) => self.stopped = true,
                _ if self.stopped => {}
                Event::Call { callable, .. } if real(callable) => self.found.calls += 1,
                Event::Build { on, .. } if real(on) => self.found.calls += 1,
                Event::Global(id) if self.found.imports.len() < MAX_IMPORTS => {
                    let mut opcode = [0];
                    let read = self.source.read_at(at, &mut opcode);
                    let is_binary = read.is_ok() && !opcode.is_ascii();
                    let import = name(id).map(|name| (name, at, is_binary));
                    self.found.imports.extend(import);
                }
                _ => {}
            }
        }
    }
    let slice = Slice::new(source, 0, len);
    let mut look = Look {
        source: &slice,
        found: Probe::default(),
        stopped: false,
    };
    // Literals are stepped over: what they hold costs nothing.
    let mut machine = Machine::new(&slice, 0);
    machine.steps = PROBED;
    let stopped = machine.run(&mut look).is_ok();
    Probe {
        stopped,
        long: machine.steps == 0,
        end: machine.cursor.at(),
        ..look.found
    }
}

/// Whether a text could be the name of a module, or of something in one: identifiers with dots between them.
fn is_name(text: &str) -> bool {
    text.split('.').all(|part| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    })
}

/// What attacks take of modules. In a list of words, `cos` and `sin` on two lines are an import too.
const TAKEN: [&str; 18] = [
    "Popen",
    "call",
    "check_call",
    "check_output",
    "eval",
    "exec",
    "execl",
    "execv",
    "execve",
    "getoutput",
    "import_module",
    "open",
    "popen",
    "run",
    "run_path",
    "spawn",
    "startfile",
    "system",
];

/// Modules that do something when they are imported.
const ACTING: [&str; 4] = ["antigravity", "this", "idlelib.idle", "turtledemo.__main__"];
/// What texts are called.
const TEXTS: [&str; 24] = [
    "cfg", "conf", "csv", "dic", "dict", "html", "ini", "json", "jsonl", "labels", "list", "lst",
    "md", "names", "py", "rst", "text", "toml", "tsv", "txt", "vocab", "xml", "yaml", "yml",
];

/// Reports a pickle that hides in a part of another format: some loader would run it, up to where it breaks.
/// `is_text`: words on lines of their own read as imports, which means nothing as long as the file is called like a text
/// and nobody knows what they take.
pub(crate) fn hidden(source: &dyn Source, is_text: bool, scan: &mut Scan<'_>) {
    let probe = probe(source, source.len());
    let found = |what: String, at: u64| {
        Found::malicious("polyglot/pickle", what)
            .at(at)
            .why("another loader than the one expected would run it")
            .see(&["AML.T0074"])
    };
    if probe.calls > 0 {
        let what = "the same bytes are a pickle that calls something";
        scan.found(found(what.to_owned(), 0));
        return;
    }
    let rules = scan.rules;
    let called_text = scan
        .name()
        .rsplit_once('.')
        .is_none_or(|(_, ending)| TEXTS.contains(&ending.to_ascii_lowercase().as_str()));
    for (name, at, is_binary) in probe.imports {
        let known = match rules.judge("pickle", &name) {
            Judgement::Allowed(_) => continue,
            Judgement::Sink(_) => {
                let (module, taken) = name.split_once(':').unwrap_or_default();
                TAKEN.contains(&taken) || ACTING.contains(&module)
            }
            Judgement::Unknown => false,
        };
        if known || is_binary || !(is_text && called_text) {
            let what = format!(
                "the same bytes are a pickle that imports `{}` before it breaks off",
                shown(&name)
            );
            scan.found(found(what, at));
        }
    }
}

/// Says, an event a line, what a loader would do with the first stream: for comparisons with CPython.
pub fn trace(source: &dyn Source) -> Vec<String> {
    struct Lines(Vec<String>);
    impl Observer for Lines {
        fn event(&mut self, heap: &Heap, _: u64, event: Event<'_>) {
            self.0.push(match event {
                Event::Global(id) => format!("global {}", heap.full_name(id)),
                Event::Extension(code) => format!("extension {code}"),
                Event::Call { callable, .. } => match callable {
                    Value::Global(id) => format!("call {}", heap.full_name(id)),
                    _ => "call ?".to_owned(),
                },
                Event::Build { .. } => "build".to_owned(),
                Event::Persistent(_) => "persistent".to_owned(),
                Event::Plain => "plain".to_owned(),
                Event::Malformed(because) => format!("malformed {because}"),
                Event::Straddles => "straddles".to_owned(),
                Event::Append(_)
                | Event::SetItem(_)
                | Event::AddItem(_)
                | Event::Heavy { .. }
                | Event::FarMemo(_) => return,
            });
        }
    }
    let mut lines = Lines(Vec::new());
    let mut machine = Machine::new(source, 0);
    let end = machine.run(&mut lines);
    lines.0.push(match end {
        Ok(_) => format!("stop {}", machine.cursor.at()),
        Err(stop) => format!("error {stop}"),
    });
    lines.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan;
    use custody_findings::{Rules, Verdict};

    #[test]
    fn what_is_imported_before_a_stream_breaks_counts() {
        let rules = Rules::built_in().unwrap();
        let verdict = |bytes: &[u8]| scan("labels", &bytes, &rules).verdict;
        for hostile in [
            &b"cposix\nsystem\n#\n(S'true'\ntR."[..],
            b"\x8c\x07evilpkg\x8c\x03run\x93\nhello world\n",
            b"(]cevil.pkg\nrun\n\xff\xff",
            b"(ibuiltins\neval\n",
            b"cthis\ns\n",
            b"U\x07evilpkgU\x03run\x93",
        ] {
            assert!(verdict(hostile) >= Verdict::Review, "{hostile:?}");
        }
        for words in [
            &b"cat\ndog\nbird\n"[..],
            b"cos\nsin\ntan\n",
            b"cast\niron\n",
            b"import\nos\n",
            b"int\nfloat\n",
            b"class\nname.first\n",
        ] {
            assert_eq!(verdict(words), Verdict::Clean, "{words:?}");
        }
    }

    #[test]
    fn the_objects_of_a_joblib_array_are_judged_by_their_own_names() {
        let wrapper = |of: &str| {
            format!(
                "\u{fffd}\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\u{fffd}}}(Vshape\nK\x01\u{fffd}Vdtype\ncnumpy\ndtype\n(V{of}\nI00\nI01\ntRub"
            )
        };
        // The opcodes beyond ASCII, which no text of Rust holds.
        let mut opcodes = [0x80, 0x81, 0x85].into_iter();
        let text = wrapper("O8");
        let mut file = Vec::new();
        for letter in text.chars() {
            if letter == '\u{fffd}' {
                file.push(opcodes.next().unwrap());
            } else {
                file.push(u8::try_from(letter).unwrap());
            }
        }
        let whole = |objects: &[u8]| [&file[..], objects, b"."].concat();
        let rules = Rules::built_in().unwrap();
        let verdict = |objects: &[u8]| scan("m.joblib", &whole(objects), &rules).verdict;
        assert_eq!(verdict(b"\x80\x02]K\x01a."), Verdict::Clean);
        // The first name of either stream is the first of its own.
        let plain = b"\x80\x02ccollections\nOrderedDict\n)R.";
        assert_eq!(verdict(plain), Verdict::Clean);
        for hostile in [
            &b"\x80\x02cos\nsystem\n(Vtrue\ntR."[..],
            b"\x80\x02cposix\nsystem\n\x8c\x04true\x85R.",
            b"cbuiltins\neval\n(Vtrue\ntR.",
        ] {
            assert_eq!(verdict(hostile), Verdict::Malicious, "{hostile:?}");
        }
    }

    #[test]
    fn the_bytes_of_a_joblib_array_lie_between_frames() {
        let wrapper = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(Vshape\nK\x03\x85\
            Vdtype\ncnumpy\ndtype\n(Vu1\nI00\nI01\ntRub";
        let framed =
            |body: &[u8], len: usize| [b"\x95", &(len as u64).to_le_bytes()[..], body].concat();
        let file = |len: usize| {
            [
                b"\x80\x04",
                &framed(wrapper, len)[..],
                b"\x80\x81\x82",
                &framed(b".", 1),
            ]
            .concat()
        };
        let good = file(wrapper.len());
        assert!(!trace(&good).contains(&"straddles".to_owned()));
        let rules = Rules::built_in().unwrap();
        let verdict = |bytes: &Vec<u8>| scan("m.joblib", bytes, &rules).verdict;
        assert_eq!(verdict(&good), Verdict::Clean);
        for len in [30, wrapper.len() + 1, wrapper.len() + 3] {
            assert_ne!(verdict(&file(len)), Verdict::Clean, "{len}");
        }
    }
}
