//! `schema.json` of skops: a tree of nodes, each with `__class__`, `__module__` and `__loader__`.

use super::frame::Frame;
use crate::formats::names;
use crate::scan::{Found, Scan, shown};
use custody_findings::Severity;
use custody_findings::rules::Judgement;

/// Loaders that build the class they name and no more.
const PLAIN: [&str; 22] = [
    "BytearrayNode",
    "BytesNode",
    "CachedNode",
    "ConstructorFromReduceNode",
    "DTypeNode",
    "DefaultDictNode",
    "DictNode",
    "JsonNode",
    "ListNode",
    "LossNode",
    "MaskedArrayNode",
    "NdArrayNode",
    "ObjectNode",
    "QuantileForestNode",
    "RandomGeneratorNode",
    "RandomStateNode",
    "SetNode",
    "SliceNode",
    "SparseMatrixNode",
    "TreeNode",
    "TupleNode",
    "TypeNode",
];
const CVE: [&str; 3] = ["CVE-2025-54412", "CWE-502", "AML.T0011.000"];

/// Judges an object at its end.
pub(super) fn judge(frame: &Frame, scan: &mut Scan<'_>) {
    bound_function(frame, scan);
    let Some(loader) = frame.text("__loader__") else {
        return;
    };
    let class = frame.text("__class__").unwrap_or_default();
    let module = frame.text("__module__").unwrap_or_default();
    let name = format!("{module}:{class}");
    if let Some(path) = frame.text("file") {
        outside(frame, path, scan);
    }
    match loader {
        "OperatorFuncNode" => operator(frame, module, class, scan),
        "MethodNode" => method(frame, module, class, scan),
        "CachedNode" => return,
        "FunctionNode" | "PartialNode" => {}
        loader if PLAIN.contains(&loader) => {}
        loader => scan.found(
            Found::review(
                "skops/loader",
                format!(
                    "a node is read by `{}`, which is not among the loaders that are known",
                    shown(loader)
                ),
            )
            .at(frame.at),
        ),
    }
    ask(frame, &name, scan);
}

fn ask(frame: &Frame, name: &str, scan: &mut Scan<'_>) {
    match scan.rules.judge("skops", name) {
        Judgement::Allowed(_) => {}
        Judgement::Sink(known) => {
            scan.found(names::sink("skops/sink", "name", name, known, frame.at));
        }
        Judgement::Unknown => {
            scan.found(names::unknown("skops/unknown", "type", name, frame.at));
        }
    }
}

/// A node that calls a function of the module `operator`; the versions before 0.12 did not look at
/// which module it claims.
fn operator(frame: &Frame, module: &str, class: &str, scan: &mut Scan<'_>) {
    let plain = matches!(class, "itemgetter" | "attrgetter");
    if module == "operator" && plain {
        return;
    }
    scan.found(
        Found::malicious(
            "skops/operator",
            format!(
                "an operator node calls `operator.{}` under the name `{}`",
                shown(class),
                shown(&format!("{module}.{class}"))
            ),
        )
        .why("old loaders call any function of that module with what the file gives")
        .see(&CVE)
        .at(frame.at),
    );
}

/// The file of an array lies beside the schema, in the archive.
fn outside(frame: &Frame, path: &str, scan: &mut Scan<'_>) {
    if path.contains(['/', '\\', ':', '\0']) || path.starts_with("..") {
        scan.found(
            Found::malicious(
                "skops/outside",
                format!("a node reads the file `{}`", shown(path)),
            )
            .severity(Severity::High)
            .why("the loader would read a file that is no member of the archive")
            .see(&["CWE-22"])
            .at(frame.at),
        );
    }
}

/// A node that takes a method of an object: both must be of the same class.
fn method(frame: &Frame, module: &str, class: &str, scan: &mut Scan<'_>) {
    let Some((inner_module, inner_class)) = &frame.object else {
        return;
    };
    if inner_module != module || inner_class != class {
        scan.found(
            Found::malicious(
                "skops/method",
                format!(
                    "a method node claims `{}` and holds `{}`",
                    shown(&format!("{module}.{class}")),
                    shown(&format!("{inner_module}.{inner_class}"))
                ),
            )
            .why("the audit looks at the one and the loader builds the other")
            .see(&["CVE-2025-54413", "CWE-502"])
            .at(frame.at),
        );
    }
}

/// The content of a method node: which method of the object.
fn bound_function(frame: &Frame, scan: &mut Scan<'_>) {
    let Some(function) = frame.text("func").filter(|_| frame.has("obj")) else {
        return;
    };
    let what = format!("it takes the method `{}` of an object", shown(function));
    let found = if function.starts_with('_') {
        Found::malicious("skops/method", what).severity(Severity::High)
    } else {
        Found::review("skops/method", what)
    };
    scan.found(
        found
            .why("what that method does is called when the model is used")
            .see(&["CVE-2025-54413", "CWE-470"])
            .at(frame.at),
    );
}
