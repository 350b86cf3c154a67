//! States that their class would execute: a known class makes a pickle no safer where it takes its state for
//! code, or for an address.

use super::value::{Heap, Kind, Value};
use crate::scan::{Found, shown};
use custody_findings::Severity;

/// Packages whose classes evaluate a part of their state: it must be a plain dictionary, which can be seen.
const EVALUATING: [&str; 2] = ["scipy.stats", "statsmodels"];
/// The class of one of these packages that is a dictionary and evaluates nothing.
const PLAIN: &str = "statsmodels.tools.tools:Bunch";
/// Functions that a formula may call: they compute with the columns, and do nothing else.
const CALLED: [&str; 24] = [
    "C",
    "I",
    "Poly",
    "Q",
    "Sum",
    "Treatment",
    "abs",
    "bs",
    "cc",
    "center",
    "cr",
    "exp",
    "log",
    "log10",
    "log1p",
    "log2",
    "np.abs",
    "np.exp",
    "np.log",
    "np.log1p",
    "np.sqrt",
    "scale",
    "sqrt",
    "standardize",
];
/// Where `scipy.stats` keeps the source of three functions, which it executes (`rv_generic.__setstate__`).
const SOURCE: &str = "_parse_arg_template";
/// Where `statsmodels` keeps a formula, which it evaluates (`ModelData.__setstate__`).
const FORMULA: &str = "formula";
/// Where classes of native libraries keep an address, which they free.
const HANDLES: [&str; 2] = ["handle", "_handle"];
/// What follows the names of the arguments in the source: of continuous and of discrete distributions.
const TAILS: [(&str, &str); 2] = [("loc=0, scale=1", "loc, scale"), ("loc=0", "loc, 1")];

/// Judges the state that an instance of the class `owner` (`module:name`) is given.
pub(super) fn judge(heap: &Heap, owner: &str, state: Value) -> Option<Found> {
    let evaluates = owner != PLAIN
        && EVALUATING.iter().any(|package| {
            let rest = owner.strip_prefix(package);
            rest.is_some_and(|rest| rest.starts_with(['.', ':']))
        });
    let Some(items) = heap.items(state, Kind::Dict) else {
        return (evaluates && state != Value::Unknown).then(|| {
            code(
                owner,
                "a state that is no plain dictionary, or too big to be looked through",
            )
        });
    };
    let mut pairs = items.chunks_exact(2).filter_map(|pair| match pair {
        [key, value] => Some((heap.as_text(*key), *value)),
        _ => None,
    });
    pairs.find_map(|(key, value)| match key {
        Some("__class__" | "__dict__") => Some(
            Found::malicious(
                "pickle/state",
                format!("gives `{}` another class", shown(owner)),
            )
            .severity(Severity::High)
            .why("the object does then what the other class does")
            .see(&["AML.T0011.000"]),
        ),
        None if evaluates => Some(code(owner, "a key that is no text")),
        Some(SOURCE) if !heap.as_text(value).is_some_and(is_template) => {
            Some(code(owner, "source of its own"))
        }
        Some(FORMULA) if evaluates && value != Value::None => {
            let text = heap.as_text(value);
            (!text.is_some_and(is_plain_formula)).then(|| {
                code(
                    owner,
                    &format!("the formula `{}`", shown(text.unwrap_or("…"))),
                )
            })
        }
        Some(key) if HANDLES.contains(&key) && matches!(value, Value::Int(_) | Value::Number) => {
            Some(
                Found::malicious(
                    "pickle/address",
                    format!("gives `{}` an address in memory", shown(owner)),
                )
                .severity(Severity::High)
                .why("the class frees or follows it: the process crashes, or worse")
                .see(&["CWE-822", "AML.T0011.000"]),
            )
        }
        _ => None,
    })
}

fn code(owner: &str, what: &str) -> Found {
    Found::malicious("pickle/state", format!("gives `{}` {what}", shown(owner)))
        .why("the class executes a part of its state")
        .see(&["CWE-95", "AML.T0011.000"])
}

/// Whether a formula names variables, and calls functions that compute and no more: calls are evaluated as Python.
fn is_plain_formula(formula: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || " _~+-*:/^.,()=".contains(letter);
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
    // Python takes a blank between a function and its arguments.
    let calls_known = formula.split('(').rev().skip(1).all(|before| {
        let before = before.trim_end();
        let start = before
            .rfind(|letter| !is_name(letter))
            .map_or(0, |place| place + 1);
        let called = before.get(start..).unwrap_or_default();
        // The result of a call is called where a parenthesis closes before.
        !before.ends_with(')') && (called.is_empty() || CALLED.contains(&called))
    });
    formula.chars().all(plain) && !formula.contains("__") && calls_known
}

/// Whether it is the source that `scipy` writes, for some names of arguments.
fn is_template(source: &str) -> bool {
    let Some((names, _)) = source
        .strip_prefix("\ndef _parse_args(self, ")
        .and_then(|rest| rest.split_once(" loc=0"))
    else {
        return false;
    };
    let is_name = |name: &str| {
        !name.starts_with(|first: char| first.is_ascii_digit())
            && !name.is_empty()
            && name
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let listed = names.is_empty()
        || names
            .strip_suffix(", ")
            .is_some_and(|names| names.split(", ").all(is_name));
    listed
        && TAILS.iter().any(|(given, kept)| {
            source
                == format!(
                    "\ndef _parse_args(self, {names} {given}):\n    return ({names}), {kept}\n\n\
                     def _parse_args_rvs(self, {names} {given}, size=None):\n    return self._argcheck_rvs({names} {kept}, size=size)\n\n\
                     def _parse_args_stats(self, {names} {given}, moments='mv'):\n    return ({names}), {kept}, moments\n"
                )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_distribution_is_scipys_own() {
        let norm = "\ndef _parse_args(self,  loc=0, scale=1):\n    return (), loc, scale\n\ndef _parse_args_rvs(self,  loc=0, scale=1, size=None):\n    return self._argcheck_rvs( loc, scale, size=size)\n\ndef _parse_args_stats(self,  loc=0, scale=1, moments='mv'):\n    return (), loc, scale, moments\n";
        let randint = "\ndef _parse_args(self, low, high,  loc=0):\n    return (low, high, ), loc, 1\n\ndef _parse_args_rvs(self, low, high,  loc=0, size=None):\n    return self._argcheck_rvs(low, high,  loc, 1, size=size)\n\ndef _parse_args_stats(self, low, high,  loc=0, moments='mv'):\n    return (low, high, ), loc, 1, moments\n";
        for own in [norm, randint] {
            assert!(is_template(own), "{own}");
            for (from, to) in [
                ("    return", "    import os\n    return"),
                ("scale, moments\n", "scale, moments\nimport os\n"),
                ("1, moments\n", "1, moments\nimport os\n"),
                ("self, ", "self, x=print(), "),
                ("'mv'", "print()"),
                ("low, ", "low=print(), "),
                ("\ndef", "import os\ndef"),
            ] {
                let other = own.replacen(from, to, 1);
                assert!(other == own || !is_template(&other), "{other}");
                let all = own.replace(from, to);
                assert!(all == own || !is_template(&all), "{all}");
            }
        }
        assert!(!is_template("import os"));
    }

    #[test]
    fn a_formula_calls_what_computes_and_no_more() {
        for formula in [
            "y ~ x_1 + a:b - 1",
            "y ~ I(x) + C(a)",
            "y ~ a + np.log(b + 1) + C(g, Treatment(reference=2)) + (a + b)**2",
            "log(y) ~ bs(x, df=4)",
        ] {
            assert!(is_plain_formula(formula), "{formula}");
        }
        for formula in [
            "y ~ f(x)",
            "y ~ np.load(x)",
            "y ~ I(open(x))",
            "y ~ I(x.__class__)",
            "y ~ I (x)(y)",
            "y ~ x.f (y)",
            "y ~ x['a']",
            "y ~ 'a'",
            "y ~ x @ y",
            "y ~ I(x if y else z), (lambda: x)()",
        ] {
            assert!(!is_plain_formula(formula), "{formula}");
        }
    }
}
