//! Work that a template asks for: steps of loops, copies, texts that double.

use minijinja::machinery::ast::{BinOpKind, CallArg, CallType, Expr};

use super::Walk;
use crate::scan::Found;
use custody_findings::Severity;

/// How many steps or copies a constant may ask for.
pub(super) const MAX_WORK: u64 = 1_000_000;
/// How often a loop may double a text.
const DOUBLINGS: u64 = 1;

/// What is counted of the work.
#[derive(Debug)]
pub(super) struct Work {
    /// How often the present place is passed at least.
    pub(super) loops: u64,
    /// How many times over some text is doubled.
    doubled: u64,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            loops: 1,
            doubled: 1,
        }
    }
}

impl Walk<'_, '_> {
    pub(super) fn work(&mut self) {
        self.report(
            Found::malicious("jinja/work", "a template asks for endless work")
                .severity(Severity::High)
                .why("rendering it takes the memory or the time of the server")
                .see(&["CWE-400", "AML.T0029"]),
        );
    }

    /// Returns the product of the numbers by which something is multiplied.
    pub(super) fn factors(&self, expression: &Expr<'_>, depth: usize) -> u64 {
        match expression {
            Expr::BinOp(operation) if matches!(operation.op, BinOpKind::Mul) && depth < 200 => self
                .factors(&operation.left, depth + 1)
                .saturating_mul(self.factors(&operation.right, depth + 1)),
            other => self.known.number(other).unwrap_or(1).max(1),
        }
    }

    /// Returns how often the body of a loop runs at least, as far as the template says it.
    pub(super) fn rounds(&self, list: &Expr<'_>) -> u64 {
        let rounds = match list {
            Expr::List(list) => list.items.len() as u64,
            Expr::Tuple(tuple) => tuple.items.len() as u64,
            Expr::Const(text) => text.value.as_str().map_or(1, |text| text.len() as u64),
            Expr::BinOp(_) => self.factors(list, 0),
            Expr::Filter(filter) => filter.expr.as_ref().map_or(1, |list| self.rounds(list)),
            Expr::Call(call) => match call.identify_call() {
                CallType::Function("range") => call
                    .args
                    .iter()
                    .filter_map(|argument| match argument {
                        CallArg::Pos(value) => self.known.number(value),
                        _ => None,
                    })
                    .max()
                    .unwrap_or(1),
                _ => 1,
            },
            _ => 1,
        };
        rounds.max(1)
    }

    /// Tells a text that is given itself twice over: each time it is twice as long.
    pub(super) fn doubles(&mut self, value: &Expr<'_>) {
        let mut operands = Vec::new();
        let mut open = vec![value];
        while let Some(expression) = open.pop() {
            match expression {
                Expr::BinOp(operation)
                    if matches!(operation.op, BinOpKind::Add | BinOpKind::Concat) =>
                {
                    open.extend([&operation.left, &operation.right]);
                }
                Expr::Var(variable) => operands.push((variable.id, "")),
                Expr::GetAttr(get) => {
                    if let Expr::Var(variable) = &get.expr {
                        operands.push((variable.id, get.name));
                    }
                }
                _ => {}
            }
        }
        operands.sort_unstable();
        let most = operands
            .chunk_by(|left, right| left == right)
            .map(<[_]>::len);
        let most = most.max().unwrap_or(0) as u64;
        if most > 1 {
            self.work.doubled = self.work.doubled.saturating_mul(most);
            if self.work.doubled > MAX_WORK || self.work.loops > DOUBLINGS {
                self.work();
            }
        }
    }

    pub(super) fn range(&mut self, arguments: &[CallArg<'_>]) {
        let long = arguments.iter().any(|argument| {
            matches!(argument, CallArg::Pos(value)
                if self.known.number(value) > Some(MAX_WORK))
        });
        if long {
            self.work();
        }
    }
}
