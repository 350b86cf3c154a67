//! The code of TorchScript archives: it looks like Python and calls operators of PyTorch. The names that
//! it calls are judged; nothing else of it can reach outside of the interpreter.
//!
//! Source: `torch/csrc/jit/serialization/python_print.cpp`.

use crate::cursor::{Cursor, Stop};
use crate::report::Severity;
use crate::rules::Judgement;
use crate::scan::{Found, Scan, Understood, shown};
use crate::source::Source;

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

/// Judges the dotted names before opening brackets that begin with `ops.` or `torch.`.
fn judge(line: &str, at: u64, scan: &mut Scan<'_>) {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('(') {
        rest = after;
        let name = before
            .rsplit(|character: char| {
                !(character.is_alphanumeric() || matches!(character, '_' | '.'))
            })
            .next()
            .unwrap_or_default();
        if !(name.starts_with("ops.") || name.starts_with("torch.")) {
            continue;
        }
        match scan.rules.judge("torchscript", name) {
            Judgement::Allowed(_) => {}
            Judgement::Sink(sink) => {
                let mut found = Found::malicious(
                    "torchscript/sink",
                    format!("calls `{}`: it can {}", shown(name), sink.can),
                )
                .severity(sink.severity)
                .at(at)
                .why("running the model executes this");
                found.references.clone_from(&sink.references);
                scan.found(found);
            }
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
