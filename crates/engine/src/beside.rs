//! What the planner would compare in a type that does not hold it: exact numbers beside numbers with a point, times
//! that no count of nanoseconds reaches.
//!
//! A number with a point, or with more digits than an integer has, is a double in SQL. Beside an integer or a decimal the
//! planner would make a double of both, and lose digits of the exact one. Here the comparison is made one of exact
//! numbers instead: x < 2.5 for an integer is x < 3.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Between;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, binary_expr, cast, lit};

/// Where a double lies among exact numbers of a scale.
enum Place {
    /// Between two neighbours, which are the same number where it is one.
    Between(i128, i128),
    /// Below or above all of them.
    Below,
    Above,
}

/// Rewrites such a comparison; `None` for every other.
pub(crate) fn comparison(
    BinaryExpr { left, op, right }: &BinaryExpr,
    schema: &DFSchema,
) -> Result<Option<Expr>> {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    if !matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
        return Ok(None);
    }
    if is_far(left) || is_far(right) {
        return far(left, *op, right, schema);
    }
    if let Some(exact) = of_days(left, *op, right, schema)? {
        return Ok(Some(exact));
    }
    if let Some(value) = double(right) {
        return compared(left, *op, value, schema);
    }
    match (double(left), op.swap()) {
        (Some(value), Some(op)) => compared(right, op, value, schema),
        _ => Ok(None),
    }
}

/// Rewrites `BETWEEN` where one of its comparisons is such.
pub(crate) fn between(between: &Between, schema: &DFSchema) -> Result<Option<Expr>> {
    let side =
        |op, bound: &Expr| BinaryExpr::new(between.expr.clone(), op, Box::new(bound.clone()));
    let low = side(Operator::GtEq, &between.low);
    let high = side(Operator::LtEq, &between.high);
    let (exact_low, exact_high) = (comparison(&low, schema)?, comparison(&high, schema)?);
    if exact_low.is_none() && exact_high.is_none() {
        return Ok(None);
    }
    let low = exact_low.unwrap_or(Expr::BinaryExpr(low));
    let both = low.and(exact_high.unwrap_or(Expr::BinaryExpr(high)));
    Ok(Some(if between.negated {
        Expr::Not(Box::new(both))
    } else {
        both
    }))
}

/// Whether it is a text that says a time which no count of nanoseconds reaches: before 1677 or after 2262.
pub(crate) fn is_far(expr: &Expr) -> bool {
    let Expr::Literal(text @ ScalarValue::Utf8(Some(_)), _) = expr else {
        return false;
    };
    let is = |unit| text.cast_to(&DataType::Timestamp(unit, None)).is_ok();
    !is(TimeUnit::Nanosecond) && is(TimeUnit::Microsecond)
}

/// Compares a time with a text that says one which no count of nanoseconds reaches.
fn far(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let meant = |text: &Expr, beside: &Expr| -> Result<Option<Expr>> {
        let kind = beside.get_type(schema)?;
        let (Expr::Literal(value, metadata), DataType::Timestamp(..)) = (text, &kind) else {
            return Ok(None);
        };
        let time = value.cast_to(&kind).ok();
        Ok(time.map(|time| Expr::Literal(time, metadata.clone())))
    };
    Ok(match (meant(left, right)?, meant(right, left)?) {
        (Some(left), _) => Some(binary_expr(left, op, right.clone())),
        (_, Some(right)) => Some(binary_expr(left.clone(), op, right)),
        (None, None) => None,
    })
}

/// Compares a date with a time by microseconds: every date has one.
fn of_days(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    use TimeUnit::{Microsecond, Millisecond, Second};
    let made = |date: &Expr, beside: &Expr| -> Result<Option<Expr>> {
        Ok(match (date.get_type(schema)?, beside.get_type(schema)?) {
            (
                DataType::Date32 | DataType::Date64,
                DataType::Timestamp(Second | Millisecond | Microsecond, zone),
            ) => {
                let time = DataType::Timestamp(Microsecond, zone);
                Some(cast(date.clone(), time))
            }
            _ => None,
        })
    };
    Ok(match (made(left, right)?, made(right, left)?) {
        (Some(left), _) => Some(binary_expr(left, op, right.clone())),
        (_, Some(right)) => Some(binary_expr(left.clone(), op, right)),
        (None, None) => None,
    })
}

fn double(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(ScalarValue::Float64(value), _) => value.filter(|value| value.is_finite()),
        _ => None,
    }
}

fn compared(exact: &Expr, op: Operator, value: f64, schema: &DFSchema) -> Result<Option<Expr>> {
    let kind = exact.get_type(schema)?;
    let scale = match &kind {
        kind if kind.is_integer() => 0,
        DataType::Decimal128(_, scale) => *scale,
        _ => return Ok(None),
    };
    let known = |answer: bool| {
        // Null stays null.
        let op = if answer {
            Operator::Eq
        } else {
            Operator::NotEq
        };
        binary_expr(exact.clone(), op, exact.clone())
    };
    let to = |op, number| binary_expr(exact.clone(), op, number_of(&kind, number, scale));
    let place = place(value, scale);
    Ok(Some(match (op, place) {
        (Operator::Lt | Operator::GtEq, Place::Between(_, ceiling)) => to(op, ceiling),
        (Operator::LtEq | Operator::Gt, Place::Between(floor, _)) => to(op, floor),
        (Operator::Eq | Operator::NotEq, Place::Between(floor, ceiling)) if floor == ceiling => {
            to(op, floor)
        }
        (Operator::Eq, _) => known(false),
        (Operator::NotEq, _) => known(true),
        (Operator::Lt | Operator::LtEq, place) => known(matches!(place, Place::Above)),
        (Operator::Gt | Operator::GtEq, place) => known(matches!(place, Place::Below)),
        _ => return Ok(None),
    }))
}

fn number_of(kind: &DataType, number: i128, scale: i8) -> Expr {
    let digits = number.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    match (kind, i64::try_from(number)) {
        (kind, Ok(number)) if kind.is_integer() => lit(number),
        _ => {
            let precision = u8::try_from(digits)
                .unwrap_or(38)
                .max(scale.unsigned_abs())
                .max(1);
            Expr::Literal(
                ScalarValue::Decimal128(Some(number), precision, scale),
                None,
            )
        }
    }
}

/// Finds the neighbours of a double, meant as it is written most shortly, among whole multiples of ten to the minus
/// `scale`.
fn place(value: f64, scale: i8) -> Place {
    const MOST: i128 = 10_i128.pow(38);
    let beyond = if value < 0.0 {
        Place::Below
    } else {
        Place::Above
    };
    let text = value.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let Ok(scale) = usize::try_from(scale) else {
        return beyond;
    };
    let kept = fraction
        .get(..scale.min(fraction.len()))
        .unwrap_or_default();
    let cut = fraction.len() > kept.len();
    let digits = format!("{whole}{kept:0<scale$}");
    let Ok(number) = digits.parse::<i128>() else {
        return beyond;
    };
    if number >= MOST {
        return beyond;
    }
    match (value < 0.0, cut) {
        (false, cut) => Place::Between(number, number + i128::from(cut)),
        (true, cut) => Place::Between(-number - i128::from(cut), -number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_lies_between_its_neighbours() {
        let neighbours = |value, scale| match place(value, scale) {
            Place::Between(floor, ceiling) => Some((floor, ceiling)),
            Place::Below | Place::Above => None,
        };
        assert_eq!(neighbours(2.5, 0), Some((2, 3)));
        assert_eq!(neighbours(-2.5, 0), Some((-3, -2)));
        assert_eq!(neighbours(2.0, 0), Some((2, 2)));
        assert_eq!(neighbours(1.21, 2), Some((121, 121)));
        assert_eq!(neighbours(1.215, 2), Some((121, 122)));
        assert_eq!(neighbours(0.1, 5), Some((10_000, 10_000)));
        assert_eq!(
            neighbours(1e37, 0),
            Some((10_i128.pow(37), 10_i128.pow(37)))
        );
        assert_eq!(neighbours(1e38, 0), None);
        assert_eq!(neighbours(5e-324, 0), Some((0, 1)));
    }
}
