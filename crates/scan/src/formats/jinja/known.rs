//! What of a template can be told without rendering it: constants, the values that names may have, and
//! which texts are put together out of pieces.
//!
//! INVARIANT: bounded: at most [`MAX_VALUES`] values of an expression, of [`MAX_TEXT`] bytes each, and
//! [`MAX_DEPTH`] steps into it.

use std::collections::{HashMap, HashSet};

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, CallType, Expr, Filter, Slice};

/// How many values an expression or a name is followed with.
const MAX_VALUES: usize = 16;
/// How long a text may become, in bytes.
const MAX_TEXT: usize = 256;
/// How deep an expression is followed.
const MAX_DEPTH: usize = 64;
/// Filters whose result is a number.
const NUMBERS: [&str; 7] = ["int", "length", "count", "abs", "round", "float", "sum"];

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Folded {
    Text(String),
    Number(u64),
}

/// What is known of the names of a template.
#[derive(Debug, Default)]
pub(super) struct Known {
    values: HashMap<String, Vec<Folded>>,
    /// Names, and attributes of them with a dot before, that are given a text which is put together and
    /// cannot be told.
    assembled: HashSet<String>,
}

impl Known {
    /// Learns that `target` may be given `value`.
    pub(super) fn learn(&mut self, target: &Expr<'_>, value: &Expr<'_>) {
        match target {
            Expr::Var(variable) => self.name(variable.id.to_owned(), value),
            Expr::GetAttr(get) => self.name(format!(".{}", get.name), value),
            Expr::List(targets) => self.pairs(&targets.items, value),
            Expr::Tuple(targets) => self.pairs(&targets.items, value),
            _ => {}
        }
    }

    /// Learns that `target` is given each item of `list`.
    pub(super) fn learn_items(&mut self, target: &Expr<'_>, list: &Expr<'_>) {
        for item in items(list).unwrap_or_default() {
            self.learn(target, item);
        }
        let letters = |value: &Folded| matches!(value, Folded::Text(_));
        if self.fold(list).iter().any(letters) || self.assembles(list) {
            self.assembled_name(target);
        }
    }

    /// Learns that `target` is given a text that is put together.
    pub(super) fn assembled_name(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(variable) => {
                self.assembled.insert(variable.id.to_owned());
            }
            Expr::GetAttr(get) => {
                self.assembled.insert(format!(".{}", get.name));
            }
            _ => {}
        }
    }

    fn pairs(&mut self, targets: &[Expr<'_>], value: &Expr<'_>) {
        for (target, item) in targets.iter().zip(items(value).unwrap_or_default()) {
            self.learn(target, item);
        }
    }

    fn name(&mut self, name: String, value: &Expr<'_>) {
        let folded = self.fold(value);
        if folded.is_empty() && self.assembles(value) {
            self.assembled.insert(name);
            return;
        }
        let values = self.values.entry(name.clone()).or_default();
        for value in folded {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        if values.len() > MAX_VALUES {
            self.values.remove(&name);
            self.assembled.insert(name);
        }
    }

    /// Returns the values that an expression may have; none where that cannot be told.
    pub(super) fn fold(&self, expression: &Expr<'_>) -> Vec<Folded> {
        let mut values = self.values(expression, 0);
        values.truncate(MAX_VALUES);
        values
    }

    /// Returns the texts that an expression may be.
    pub(super) fn texts(&self, expression: &Expr<'_>) -> Vec<String> {
        let text = |value| match value {
            Folded::Text(text) => Some(text),
            Folded::Number(_) => None,
        };
        self.fold(expression).into_iter().filter_map(text).collect()
    }

    /// Returns the greatest number that an expression may be.
    pub(super) fn number(&self, expression: &Expr<'_>) -> Option<u64> {
        let number = |value| match value {
            Folded::Number(number) => Some(number),
            Folded::Text(_) => None,
        };
        self.fold(expression).into_iter().filter_map(number).max()
    }

    fn values(&self, expression: &Expr<'_>, depth: usize) -> Vec<Folded> {
        if depth > MAX_DEPTH {
            return Vec::new();
        }
        match expression {
            Expr::Const(constant) => match constant.value.as_str() {
                Some(text) if text.len() <= MAX_TEXT => vec![Folded::Text(text.to_owned())],
                Some(_) => Vec::new(),
                None => constant
                    .value
                    .as_i64()
                    .and_then(|number| u64::try_from(number).ok())
                    .map(Folded::Number)
                    .into_iter()
                    .collect(),
            },
            Expr::Var(variable) => self.values.get(variable.id).cloned().unwrap_or_default(),
            Expr::GetAttr(get) => {
                let name = format!(".{}", get.name);
                self.values.get(&name).cloned().unwrap_or_default()
            }
            Expr::BinOp(operation) => {
                let left = self.values(&operation.left, depth + 1);
                let right = self.values(&operation.right, depth + 1);
                both(&left, &right, |left, right| {
                    operate(operation.op, left, right)
                })
            }
            Expr::IfExpr(either) => {
                let mut values = self.values(&either.true_expr, depth + 1);
                if let Some(other) = &either.false_expr {
                    values.extend(self.values(other, depth + 1));
                }
                values.truncate(MAX_VALUES);
                values
            }
            Expr::Filter(filter) => self.filtered(filter, depth),
            Expr::Slice(slice) => self.sliced(slice, depth),
            Expr::GetItem(get) => {
                let of = self.values(&get.expr, depth + 1);
                let at = self.values(&get.subscript_expr, depth + 1);
                both(&of, &at, |of, at| match (of, at) {
                    (Folded::Text(text), Folded::Number(at)) => {
                        let letter = text.chars().nth(usize::try_from(*at).ok()?)?;
                        Some(Folded::Text(letter.to_string()))
                    }
                    _ => None,
                })
            }
            Expr::Call(call) => self.called(call, depth),
            _ => Vec::new(),
        }
    }

    fn filtered(&self, filter: &Filter<'_>, depth: usize) -> Vec<Folded> {
        let Some(on) = &filter.expr else {
            return Vec::new();
        };
        if filter.name == "join" {
            let between = self.arguments(&filter.args, depth);
            let between = between.first().cloned().unwrap_or_else(|| vec![text("")]);
            return self.joined(on, &between, depth);
        }
        let values = self.values(on, depth + 1);
        self.changed(filter.name, &values, &filter.args, depth)
    }

    fn called(&self, call: &Call<'_>, depth: usize) -> Vec<Folded> {
        let CallType::Method(object, name) = call.identify_call() else {
            return Vec::new();
        };
        let values = self.values(object, depth + 1);
        match (name, call.args.first()) {
            ("join", Some(CallArg::Pos(list))) => self.joined(list, &values, depth),
            ("join", _) => Vec::new(),
            _ => self.changed(name, &values, &call.args, depth),
        }
    }

    /// Returns what a filter or a method of that name makes of a text.
    fn changed(
        &self,
        name: &str,
        values: &[Folded],
        arguments: &[CallArg<'_>],
        depth: usize,
    ) -> Vec<Folded> {
        let each = |change: fn(&str) -> String| {
            values
                .iter()
                .filter_map(|value| match value {
                    Folded::Text(text) => Some(Folded::Text(change(text))),
                    Folded::Number(_) => None,
                })
                .collect()
        };
        match name {
            "lower" => each(str::to_lowercase),
            "upper" => each(str::to_uppercase),
            "reverse" => each(|text| text.chars().rev().collect()),
            "trim" | "strip" | "safe" | "string" => each(|text| text.trim().to_owned()),
            "replace" => {
                let arguments = self.arguments(arguments, depth);
                let [from, to] = arguments.as_slice() else {
                    return Vec::new();
                };
                let pairs = both(from, to, |from, to| match (from, to) {
                    (Folded::Text(from), Folded::Text(to)) if !from.is_empty() => {
                        Some(Folded::Text(format!("{from}\0{to}")))
                    }
                    _ => None,
                });
                both(values, &pairs, |value, pair| match (value, pair) {
                    (Folded::Text(text), Folded::Text(pair)) => {
                        let (from, to) = pair.split_once('\0')?;
                        short(text.replace(from, to))
                    }
                    _ => None,
                })
            }
            _ => Vec::new(),
        }
    }

    fn arguments(&self, arguments: &[CallArg<'_>], depth: usize) -> Vec<Vec<Folded>> {
        let value = |argument: &CallArg<'_>| match argument {
            CallArg::Pos(value) => self.values(value, depth + 1),
            _ => Vec::new(),
        };
        arguments.iter().take(4).map(value).collect()
    }

    fn joined(&self, list: &Expr<'_>, between: &[Folded], depth: usize) -> Vec<Folded> {
        let Some(items) = items(list).filter(|items| items.len() <= MAX_TEXT) else {
            return Vec::new();
        };
        let mut joined: Option<Vec<Folded>> = None;
        for item in items {
            let values = self.values(item, depth + 1);
            joined = Some(match joined {
                None => values,
                Some(before) => {
                    let before = both(&before, between, |left, right| {
                        operate(BinOpKind::Concat, left, right)
                    });
                    both(&before, &values, |left, right| {
                        operate(BinOpKind::Concat, left, right)
                    })
                }
            });
        }
        joined.unwrap_or_default()
    }

    /// Returns a text that is turned round, the one slice that is followed.
    fn sliced(&self, slice: &Slice<'_>, depth: usize) -> Vec<Folded> {
        let turned = match &slice.step {
            Some(Expr::UnaryOp(step)) => {
                matches!(&step.expr, Expr::Const(one) if one.value.as_i64() == Some(1))
            }
            Some(Expr::Const(step)) => step.value.as_i64() == Some(-1),
            _ => false,
        };
        if !turned || slice.start.is_some() || slice.stop.is_some() {
            return Vec::new();
        }
        let values = self.values(&slice.expr, depth + 1);
        self.changed("reverse", &values, &[], depth)
    }

    /// Whether an expression is a text that is put together out of pieces.
    pub(super) fn assembles(&self, expression: &Expr<'_>) -> bool {
        self.assembles_at(expression, 0)
    }

    fn assembles_at(&self, expression: &Expr<'_>, depth: usize) -> bool {
        let text = |side: &Expr<'_>| {
            self.values(side, depth + 1)
                .iter()
                .any(|value| matches!(value, Folded::Text(_)))
        };
        let inner = |side: &Expr<'_>| self.assembles_at(side, depth + 1);
        if depth > MAX_DEPTH {
            return true;
        }
        match expression {
            Expr::Var(variable) => self.assembled.contains(variable.id),
            Expr::GetAttr(get) => self.assembled.contains(&format!(".{}", get.name)),
            Expr::BinOp(operation) => match operation.op {
                BinOpKind::Concat => true,
                BinOpKind::Add | BinOpKind::Mul => [&operation.left, &operation.right]
                    .into_iter()
                    .any(|side| text(side) || inner(side)),
                BinOpKind::Rem => text(&operation.left) || inner(&operation.left),
                _ => false,
            },
            Expr::IfExpr(either) => {
                inner(&either.true_expr) || either.false_expr.as_ref().is_some_and(inner)
            }
            Expr::Filter(filter) => match filter.name {
                "join" | "format" | "replace" => true,
                name if NUMBERS.contains(&name) => false,
                _ => filter.expr.as_ref().is_some_and(|on| text(on) || inner(on)),
            },
            Expr::Call(call) => match call.identify_call() {
                CallType::Method(_, "join" | "format" | "replace") => true,
                CallType::Method(object, _) => text(object) || inner(object),
                _ => false,
            },
            Expr::Slice(slice) => text(&slice.expr) || inner(&slice.expr),
            Expr::GetItem(get) => text(&get.expr) || inner(&get.expr),
            _ => false,
        }
    }
}

fn items<'e, 'a>(list: &'e Expr<'a>) -> Option<&'e [Expr<'a>]> {
    match list {
        Expr::List(list) => Some(&list.items),
        Expr::Tuple(tuple) => Some(&tuple.items),
        _ => None,
    }
}

fn text(text: &str) -> Folded {
    Folded::Text(text.to_owned())
}

fn short(text: String) -> Option<Folded> {
    (text.len() <= MAX_TEXT).then_some(Folded::Text(text))
}

/// Returns what `join` makes of each pair, as many as are followed.
fn both(
    left: &[Folded],
    right: &[Folded],
    join: impl Fn(&Folded, &Folded) -> Option<Folded>,
) -> Vec<Folded> {
    let mut made = Vec::new();
    for (left, right) in left
        .iter()
        .flat_map(|left| right.iter().map(move |right| (left, right)))
    {
        if made.len() >= MAX_VALUES {
            break;
        }
        made.extend(join(left, right).filter(|value| !made.contains(value)));
    }
    made
}

fn operate(operation: BinOpKind, left: &Folded, right: &Folded) -> Option<Folded> {
    use Folded::{Number, Text};
    Some(match (operation, left, right) {
        (BinOpKind::Add | BinOpKind::Concat, Text(left), Text(right)) => {
            return short(format!("{left}{right}"));
        }
        (BinOpKind::Concat, Text(left), Number(right)) => return short(format!("{left}{right}")),
        (BinOpKind::Concat, Number(left), Text(right)) => return short(format!("{left}{right}")),
        (BinOpKind::Mul, Text(text), Number(count))
        | (BinOpKind::Mul, Number(count), Text(text)) => {
            let count = usize::try_from(*count).ok()?;
            let len = text.len().checked_mul(count)?;
            return (len <= MAX_TEXT).then(|| Text(text.repeat(count)));
        }
        (BinOpKind::Mul, Number(left), Number(right)) => Number(left.saturating_mul(*right)),
        (BinOpKind::Add, Number(left), Number(right)) => Number(left.saturating_add(*right)),
        (BinOpKind::Pow, Number(left), Number(right)) => {
            Number(left.saturating_pow(u32::try_from(*right).unwrap_or(u32::MAX)))
        }
        _ => return None,
    })
}
