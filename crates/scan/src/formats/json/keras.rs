//! Configurations of Keras: objects with `class_name`, `module`, `registered_name` and `config`, which
//! `deserialize_keras_object` turns into layers and functions.

use super::frame::Frame;
use crate::formats::names;
use crate::scan::{Found, Scan, shown};
use custody_findings::Severity;
use custody_findings::rules::Judgement;

/// Judges an object at its end.
pub(super) fn judge(frame: &Frame, scan: &mut Scan<'_>) {
    vocabulary(frame, scan);
    let Some(class) = frame.text("class_name") else {
        return;
    };
    if !["config", "module", "registered_name"]
        .iter()
        .any(|key| frame.has(key))
    {
        return;
    }
    registered(frame, scan);
    if let Some(module) = frame.text("module") {
        judge_module(frame, class, module, scan);
    }
    match class {
        "function" | "builtin_function_or_method" | "type" => {
            let name = match frame.text("config") {
                Some(name) => name,
                None => frame.text("registered_name").unwrap_or_default(),
            };
            ask(frame, "function", name, scan);
        }
        class if OPERATIONS.contains(&class) => operation(frame, class, scan),
        class => ask(frame, "class", class, scan),
    }
}

/// Layers that call the function of TensorFlow that their configuration names.
const OPERATIONS: [&str; 2] = ["TFOpLambda", "SlicingOpLambda"];

/// Judges a layer by the function that it calls. Keras looks that up among all that TensorFlow offers,
/// what reads files and loads libraries too, and calls it with arguments of the model's choice.
fn operation(frame: &Frame, class: &str, scan: &mut Scan<'_>) {
    const KIND: &str = "TensorFlow function";
    let Some(name) = frame.function() else {
        return ask(frame, "class", class, scan);
    };
    let at = frame.at;
    let short = ["compat.v1.", "compat.v2."]
        .iter()
        .find_map(|version| name.strip_prefix(version))
        .unwrap_or(name);
    // The operators themselves: what is known of them here does not say where they read and write.
    if let Some(operator) = short.strip_prefix("raw_ops.")
        && let Judgement::Sink(known) = scan.rules.judge("tensorflow", operator)
    {
        let found = names::sink("keras/function", KIND, name, known, at);
        return scan.found(found);
    }
    match scan.rules.judge("keras", &format!("op:{short}")) {
        Judgement::Allowed(_) => {}
        Judgement::Sink(known) => {
            scan.found(names::sink("keras/function", KIND, name, known, at));
        }
        Judgement::Unknown => scan.found(names::unknown("keras/function", KIND, name, at)),
    }
}

/// Judges an object of the metadata of a `SavedModel`. Its layers are built from the graph where the
/// loader has no class of their name, so that a class which no rule knows brings no code.
pub(super) fn judge_metadata(frame: &Frame, scan: &mut Scan<'_>) {
    vocabulary(frame, scan);
    if frame.text("function_type") == Some("lambda") {
        scan.found(
            Found::malicious("keras/class", "a function that is stored as bytecode")
                .why("the loader builds it and the layer calls it")
                .see(&["CVE-2024-3660", "CWE-502", "AML.T0011.000"])
                .at(frame.at),
        );
    }
    let Some(class) = frame.text("class_name") else {
        return;
    };
    if let Some(module) = frame.text("module") {
        judge_module(frame, class, module, scan);
    }
    // A class may be registered under a package: `package>Class`.
    let plain = class.rsplit('>').next().unwrap_or(class);
    if OPERATIONS.contains(&plain) {
        return operation(frame, plain, scan);
    }
    if let Judgement::Sink(known) = scan.rules.judge("keras", &format!("class:{plain}")) {
        scan.found(names::sink("keras/class", "class", class, known, frame.at));
    }
}

fn judge_module(frame: &Frame, class: &str, module: &str, scan: &mut Scan<'_>) {
    // Keras writes its own functions with the module `builtins`; their names are judged.
    if module == "builtins" && class == "function" {
        let name = frame.text("config").unwrap_or_default();
        let question = format!("function:{name}");
        if matches!(scan.rules.judge("keras", &question), Judgement::Allowed(_)) {
            return;
        }
    }
    ask(frame, "module", module, scan);
}

fn ask(frame: &Frame, kind: &'static str, name: &str, scan: &mut Scan<'_>) {
    if kind == "module"
        && let Some((inner, known)) = names::inner_sink(scan, "keras", "module:", name)
    {
        let found = names::sink("keras/module", "module", inner, known, frame.at);
        scan.found(found);
        return;
    }
    let rule = match kind {
        "module" => "keras/module",
        "function" => "keras/function",
        _ => "keras/class",
    };
    let plain = name
        .strip_prefix("Addons>")
        .or_else(|| own_optimizer(name))
        .unwrap_or(name);
    match scan.rules.judge("keras", &format!("{kind}:{plain}")) {
        Judgement::Allowed(_) => {}
        Judgement::Sink(known) => scan.found(names::sink(rule, kind, name, known, frame.at)),
        Judgement::Unknown => {
            let mut found = names::unknown(rule, kind, name, frame.at);
            if kind == "module" {
                found = found.severity(Severity::High).see(&["CVE-2025-1550"]);
            }
            scan.found(found);
        }
    }
}

/// Optimizers that Keras 2 registers itself, as a program registers its own classes.
const OPTIMIZERS: [&str; 12] = [
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lion",
    "LossScaleOptimizer",
    "Nadam",
    "RMSprop",
    "SGD",
];

/// Returns the optimizer of Keras that a registered name is.
fn own_optimizer(name: &str) -> Option<&str> {
    name.strip_prefix("Custom>")
        .filter(|name| OPTIMIZERS.contains(name))
}

/// A class that a program registered: its code is not in the file.
fn registered(frame: &Frame, scan: &mut Scan<'_>) {
    let Some(name) = frame
        .text("registered_name")
        .filter(|name| name.contains('>') && own_optimizer(name).is_none())
    else {
        return;
    };
    scan.found(
        Found::review(
            "keras/custom",
            format!("it needs the custom object `{}`", shown(name)),
        )
        .why("the program that loads it must bring that code")
        .at(frame.at),
    );
}

/// The vocabulary of a lookup layer that is read from a file of the model's choice.
fn vocabulary(frame: &Frame, scan: &mut Scan<'_>) {
    let Some(path) = frame.text("vocabulary") else {
        return;
    };
    if path.is_empty() {
        return;
    }
    let outside = names::leaves(path) || path.contains("..");
    let what = format!("a vocabulary is read from the file `{}`", shown(path));
    let found = if outside {
        Found::malicious("keras/vocabulary", what)
    } else {
        Found::review("keras/vocabulary", what)
    };
    scan.found(
        found
            .severity(Severity::High)
            .why("loading reads a file of the model's choice, or fetches it")
            .see(&["CVE-2025-12058", "CWE-73", "CWE-918"])
            .at(frame.at),
    );
}

/// What turns the safe mode of Keras off.
pub(super) fn unsafe_deserialization(scan: &mut Scan<'_>, at: u64) {
    scan.found(
        Found::malicious(
            "keras/unsafe-deserialization",
            "it turns on `enable_unsafe_deserialization`",
        )
        .why("the loader's safe mode ends there, and stored bytecode runs")
        .see(&["CVE-2025-9906", "CWE-502", "AML.T0011.000"])
        .at(at),
    );
}
