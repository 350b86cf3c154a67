//! What SQL computes is right or an error: nothing wraps around, nothing is cut, nothing is computed for rows that a
//! condition kept away from it.
//!
//! The planner of the engine takes three liberties that this module takes back, on the plan:
//!
//! - [`casts`]: a cast in the SQL is computed and then compared; it is not moved to the other side of a comparison, where
//!   it would round differently or not fail;
//! - [`arithmetic`]: `+ - * / %`, the minus sign and shifts on integers and decimals check for overflow;
//!   doubles have one zero and one NaN, as they have in tables;
//! - [`guard`]: the right side of `AND` and `OR` is computed for rows alone that the left side leaves open, where it can
//!   fail. `CASE` is so already; the planner makes `AND` and `OR` of some.
//!
//! Functions that can fail are declared volatile: the planner moves such conditions nowhere.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, Decimal128Array};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::compute::{CastOptions, cast_with_options, nullif};
use datafusion::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type,
    TimeUnit,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::regex::regexp_like;
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Like, LogicalPlan, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use crate::beside;

/// Makes the casts of the SQL, and `SIMILAR TO`, into functions that mean what the SQL says.
pub(crate) fn casts(plan: LogicalPlan) -> Result<LogicalPlan> {
    rewrite(plan, &|expr, schema| match expr {
        Expr::Cast(cast) => {
            let to = cast.field.data_type().clone();
            converted(*cast.expr, to, false, schema)
        }
        Expr::TryCast(cast) => {
            let to = cast.field.data_type().clone();
            converted(*cast.expr, to, true, schema)
        }
        Expr::SimilarTo(like) => similar(like),
        Expr::Like(like) if like.escape_char.is_some() => escaped(like),
        Expr::BinaryExpr(binary) => Ok(match beside::comparison(&binary, schema)? {
            Some(exact) => Transformed::yes(exact),
            None => Transformed::no(Expr::BinaryExpr(binary)),
        }),
        Expr::Between(between) => Ok(match beside::between(&between, schema)? {
            Some(exact) => Transformed::yes(exact),
            None => Transformed::no(Expr::Between(between)),
        }),
        other => Ok(Transformed::no(other)),
    })
}

/// Makes arithmetic on integers and decimals into functions that check for overflow. The types are resolved.
pub(crate) fn arithmetic(plan: LogicalPlan) -> Result<LogicalPlan> {
    rewrite(plan, &|expr, schema| match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_arithmetic(op) => {
            let exact = counts(&left.get_type(schema)?) && counts(&right.get_type(schema)?);
            if exact {
                Ok(Transformed::yes(
                    Arithmetic::function(op).call(vec![*left, *right]),
                ))
            } else {
                let expr = Expr::BinaryExpr(BinaryExpr { left, op, right });
                one_zero(expr, schema)
            }
        }
        Expr::Negative(inner) if counts(&inner.get_type(schema)?) => {
            Ok(Transformed::yes(Negative::function().call(vec![*inner])))
        }
        expr @ (Expr::Negative(_) | Expr::ScalarFunction(_) | Expr::Literal(..)) => {
            one_zero(expr, schema)
        }
        other => Ok(Transformed::no(other)),
    })
}

/// Makes -0.0 into 0.0, and every NaN into one, where an expression may give them: columns have neither.
fn one_zero(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let done = matches!(&expr, Expr::ScalarFunction(function) if function.func.name() == ONE_ZERO);
    match expr {
        Expr::Literal(value, metadata) => Ok(Transformed::no(Expr::Literal(
            match value {
                ScalarValue::Float64(Some(value)) => ScalarValue::Float64(Some(value + 0.0)),
                ScalarValue::Float32(Some(value)) => ScalarValue::Float32(Some(value + 0.0)),
                other => other,
            },
            metadata,
        ))),
        expr if !done && expr.get_type(schema)?.is_floating() => {
            Ok(Transformed::yes(OneZero::function().call(vec![expr])))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

/// Keeps what can fail from rows that a condition before it excludes. The last thing done to a plan.
pub(crate) fn guard(plan: LogicalPlan) -> Result<LogicalPlan> {
    rewrite(plan, &|expr, _| match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::And | Operator::Or),
            right,
        }) if right.is_volatile() => {
            let (settles, answer) = match op {
                Operator::And => (left.clone().is_false(), lit(false)),
                _ => (left.clone().is_true(), lit(true)),
            };
            let both = Expr::BinaryExpr(BinaryExpr { left, op, right });
            Ok(Transformed::yes(Expr::Case(Case::new(
                None,
                vec![(Box::new(settles), Box::new(answer))],
                Some(Box::new(both)),
            ))))
        }
        other => Ok(Transformed::no(other)),
    })
}

/// Rewrites every expression of a plan and of its subqueries, from the inside out; columns keep their names.
fn rewrite(
    plan: LogicalPlan,
    each: &dyn Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        // The number of rows of a limit must be a constant.
        if matches!(plan, LogicalPlan::Limit(_)) {
            return Ok(Transformed::no(plan));
        }
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            expr.transform_up(|expr| each(expr, &schema))
                .map(|done| done.update_data(|expr| name.restore(expr)))
        })?
        .map_data(LogicalPlan::recompute_schema)
    })
    .data()
}

const fn is_arithmetic(op: Operator) -> bool {
    matches!(
        op,
        Operator::Plus
            | Operator::Minus
            | Operator::Multiply
            | Operator::Divide
            | Operator::Modulo
            | Operator::BitwiseShiftLeft
            | Operator::BitwiseShiftRight
    )
}

/// Whether arithmetic on a type can overflow.
fn counts(kind: &DataType) -> bool {
    kind.is_integer() || kind.is_decimal()
}

fn converted(
    expr: Expr,
    to: DataType,
    lenient: bool,
    schema: &DFSchema,
) -> Result<Transformed<Expr>> {
    let from = expr.get_type(schema)?;
    let to = match to {
        DataType::Timestamp(TimeUnit::Nanosecond, zone)
            if is_coarse(&from) || beside::is_far(&expr) =>
        {
            DataType::Timestamp(TimeUnit::Microsecond, zone)
        }
        to => to,
    };
    let cast = Cast::function(&from, to, lenient);
    Ok(Transformed::yes(cast.call(vec![expr])))
}

/// Whether a type has no times finer than a microsecond.
const fn is_coarse(kind: &DataType) -> bool {
    use TimeUnit::{Microsecond, Millisecond, Second};
    matches!(
        kind,
        DataType::Date32
            | DataType::Date64
            | DataType::Timestamp(Second | Millisecond | Microsecond, _)
    )
}

/// `SIMILAR TO` by its definition in SQL: the pattern covers the whole text.
fn similar(like: Like) -> Result<Transformed<Expr>> {
    let pattern = match like.pattern.as_ref() {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(ToOwned::to_owned),
        _ => None,
    };
    let pattern = pattern.ok_or_else(|| {
        DataFusionError::NotImplemented(
            "SIMILAR TO takes a pattern that is written in the SQL".to_owned(),
        )
    })?;
    let expression = regular(&pattern, like.escape_char.unwrap_or('\\')).ok_or_else(|| {
        DataFusionError::Plan(format!("`{pattern}` is no pattern for SIMILAR TO"))
    })?;
    let matches = regexp_like().call(vec![*like.expr, lit(expression)]);
    Ok(Transformed::yes(if like.negated {
        Expr::Not(Box::new(matches))
    } else {
        matches
    }))
}

/// `LIKE` with an escape of its own, which the engine does not know.
fn escaped(like: Like) -> Result<Transformed<Expr>> {
    let Expr::Literal(pattern, _) = like.pattern.as_ref() else {
        let text = "LIKE with ESCAPE takes a pattern that is written in the SQL";
        return Err(DataFusionError::NotImplemented(text.to_owned()));
    };
    let (Some(Some(pattern)), Some(escape)) = (pattern.try_as_str(), like.escape_char) else {
        return Ok(Transformed::no(Expr::Like(like)));
    };
    let mut expression = String::from(if like.case_insensitive {
        "^(?si:"
    } else {
        "^(?s:"
    });
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            c if c == escape => characters.next().ok_or_else(|| {
                DataFusionError::Plan(format!("the pattern `{pattern}` ends with its escape"))
            })?,
            '%' => {
                expression.push_str(".*");
                continue;
            }
            '_' => {
                expression.push('.');
                continue;
            }
            c => c,
        };
        expression.push_str(&regex::escape(&literal.to_string()));
    }
    expression.push_str(")$");
    let matches = regexp_like().call(vec![*like.expr, lit(expression)]);
    Ok(Transformed::yes(if like.negated {
        Expr::Not(Box::new(matches))
    } else {
        matches
    }))
}

/// Translates a pattern of `SIMILAR TO` (ISO/IEC 9075-2, 8.6) into a regular expression that covers the whole text.
fn regular(pattern: &str, escape: char) -> Option<String> {
    let mut out = String::from("^(?s:");
    let (mut characters, mut inside) = (pattern.chars(), false);
    while let Some(character) = characters.next() {
        match character {
            c if c == escape => {
                let escaped = characters.next()?;
                if !escaped.is_alphanumeric() {
                    out.push('\\');
                }
                out.push(escaped);
            }
            '[' if inside => out.push_str("\\["),
            '[' => {
                inside = true;
                out.push('[');
            }
            ']' => {
                inside = false;
                out.push(']');
            }
            c if inside => out.push(c),
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '|' | '*' | '+' | '?' | '{' | '}' | '(' | ')' => out.push(character),
            '.' | '^' | '$' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            c => out.push(c),
        }
    }
    out.push_str(")$");
    (!inside).then_some(out)
}

/// A cast that the planner does not look into.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Cast {
    to: DataType,
    /// Whether what does not fit is null.
    lenient: bool,
    signature: Signature,
}

impl Cast {
    fn function(from: &DataType, to: DataType, lenient: bool) -> ScalarUDF {
        let volatility = if lenient || fits(from, &to) {
            Volatility::Immutable
        } else {
            Volatility::Volatile
        };
        ScalarUDF::new_from_impl(Self {
            to,
            lenient,
            signature: Signature::any(1, volatility),
        })
    }
}

impl Cast {
    /// Converts to a double of fewer bits: what is infinite only in it does not fit.
    fn narrowed(
        &self,
        value: &ColumnarValue,
        options: &CastOptions<'static>,
    ) -> Result<ColumnarValue> {
        let one = matches!(value, ColumnarValue::Scalar(_));
        let values = value.to_array(1)?;
        let wide = cast_with_options(&values, &DataType::Float64, options)?;
        let wide = wide.as_primitive::<Float64Type>();
        let narrow = cast_with_options(&values, &self.to, options)?;
        let back = cast_with_options(&narrow, &DataType::Float64, options)?;
        let back = back.as_primitive::<Float64Type>();
        let too_large: BooleanArray = wide
            .iter()
            .zip(back)
            .map(|(wide, back)| Some(wide?.is_finite() && back?.is_infinite()))
            .collect();
        let narrow = if too_large.true_count() == 0 {
            narrow
        } else if self.lenient {
            nullif(&narrow, &too_large)?
        } else {
            let text = "a number is too large for its type".to_owned();
            return Err(ArrowError::CastError(text).into());
        };
        Ok(if one {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&narrow, 0)?)
        } else {
            ColumnarValue::Array(narrow)
        })
    }
}

/// Whether every value of a type has one of another.
fn fits(from: &DataType, to: &DataType) -> bool {
    let wide = |kind: &DataType| kind.primitive_width().unwrap_or_default();
    let text = |kind: &DataType| {
        matches!(
            kind,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        )
    };
    from == to
        || (text(to) && (from.is_primitive() || text(from) || *from == DataType::Boolean))
        || (from.is_signed_integer() && to.is_signed_integer() && wide(from) <= wide(to))
        || (from.is_numeric()
            && !from.is_decimal()
            && to.is_floating()
            && (!from.is_floating() || wide(from) <= wide(to)))
}

impl ScalarUDFImpl for Cast {
    fn name(&self) -> &str {
        if self.lenient { "try_cast" } else { "cast" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let null = self.lenient || args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.to.clone(), null)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else {
            return Err(DataFusionError::Plan("a cast takes one value".to_owned()));
        };
        let options = CastOptions {
            safe: self.lenient,
            ..CastOptions::default()
        };
        let narrowed;
        let value = match value.data_type() {
            // The conversion of 256 bits to an integer wraps around: it is made by way of 128.
            DataType::Decimal256(_, scale) if self.to.is_integer() => {
                let narrow = DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale);
                narrowed = value.cast_to(&narrow, Some(&options))?;
                &narrowed
            }
            _ => value,
        };
        if matches!(self.to, DataType::Float32 | DataType::Float16) {
            return self.narrowed(value, &options);
        }
        match value.cast_to(&self.to, Some(&options)) {
            // One value that does not fit is null; the conversion of a single value does not know that.
            Err(_) if self.lenient && matches!(value, ColumnarValue::Scalar(_)) => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from(&self.to)?))
            }
            other => other,
        }
    }
}

/// `+ - * / %` on integers or decimals, `<< >>` on integers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    op: Operator,
    name: String,
    signature: Signature,
}

impl Arithmetic {
    fn function(op: Operator) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self {
            op,
            name: op.to_string(),
            signature: Signature::any(2, Volatility::Volatile),
        })
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match kinds {
            [left, right] => BinaryTypeCoercer::new(left, &self.op, right).get_result_type(),
            _ => Err(DataFusionError::Plan(
                "arithmetic takes two values".to_owned(),
            )),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return Err(DataFusionError::Plan(
                "arithmetic takes two values".to_owned(),
            ));
        };
        let kernel: fn(&dyn Datum, &dyn Datum) -> std::result::Result<ArrayRef, ArrowError> =
            match self.op {
                Operator::Plus => numeric::add,
                Operator::Minus => numeric::sub,
                Operator::Multiply => numeric::mul,
                Operator::Divide => numeric::div,
                Operator::BitwiseShiftLeft => shift_left,
                Operator::BitwiseShiftRight => shift_right,
                _ => numeric::rem,
            };
        let result = match (left, right) {
            (ColumnarValue::Array(left), ColumnarValue::Array(right)) => kernel(left, right)?,
            (ColumnarValue::Array(left), ColumnarValue::Scalar(right)) => {
                kernel(left, &right.to_scalar()?)?
            }
            (ColumnarValue::Scalar(left), ColumnarValue::Array(right)) => {
                kernel(&left.to_scalar()?, right)?
            }
            (ColumnarValue::Scalar(left), ColumnarValue::Scalar(right)) => {
                let result = kernel(&left.to_scalar()?, &right.to_scalar()?)?;
                within_precision(&result)?;
                return ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar);
            }
        };
        within_precision(&result)?;
        Ok(ColumnarValue::Array(result))
    }
}

/// Multiplies integers by powers of two.
fn shift_left(left: &dyn Datum, right: &dyn Datum) -> std::result::Result<ArrayRef, ArrowError> {
    shift(left, right, |value, bits| match value {
        0 => Some(0),
        _ => value.checked_mul(1_i128.checked_shl(bits).filter(|power| *power > 0)?),
    })
}

/// Divides integers by powers of two, towards minus infinity.
fn shift_right(left: &dyn Datum, right: &dyn Datum) -> std::result::Result<ArrayRef, ArrowError> {
    shift(left, right, |value, bits| Some(value >> bits.min(127)))
}

/// Shifts integers by a number of bits each. A number of bits below zero is an error, and so is what does not fit.
fn shift(
    left: &dyn Datum,
    right: &dyn Datum,
    shifted: impl Fn(i128, u32) -> Option<i128>,
) -> std::result::Result<ArrayRef, ArrowError> {
    let wide = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);
    let exactly = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let ((values, one_value), (bits, one_width)) = (left.get(), right.get());
    let kind = values.data_type().clone();
    let values = cast_with_options(values, &wide, &exactly)?;
    let bits = cast_with_options(bits, &wide, &exactly)?;
    let (values, bits) = (
        values.as_primitive::<Decimal128Type>(),
        bits.as_primitive::<Decimal128Type>(),
    );
    let rows = if one_value { bits.len() } else { values.len() };
    let at = |one: bool, row: usize| if one { 0 } else { row };
    let results = (0..rows).map(|row| {
        let (value, width) = (at(one_value, row), at(one_width, row));
        if values.is_null(value) || bits.is_null(width) {
            return Ok(None);
        }
        let width = bits.value(width);
        let result = u32::try_from(width.min(i128::from(u32::MAX)))
            .ok()
            .and_then(|width| shifted(values.value(value), width));
        match result {
            Some(result) => Ok(Some(result)),
            None => Err(ArrowError::ArithmeticOverflow("shift".to_owned())),
        }
    });
    let results: Decimal128Array = results.collect::<std::result::Result<_, _>>()?;
    let results = results.with_data_type(wide);
    cast_with_options(&results, &kind, &exactly)
}

/// Checks that decimals have no more digits than their type.
fn within_precision(values: &ArrayRef) -> Result<()> {
    if let (DataType::Decimal128(precision, _), Some(values)) = (
        values.data_type(),
        values.as_primitive_opt::<Decimal128Type>(),
    ) {
        values
            .validate_decimal_precision(*precision)
            .map_err(|_| ArrowError::ArithmeticOverflow("decimal".to_owned()))?;
    }
    Ok(())
}

/// The minus sign on integers and decimals.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Negative {
    signature: Signature,
}

impl Negative {
    fn function() -> ScalarUDF {
        ScalarUDF::new_from_impl(Self {
            signature: Signature::any(1, Volatility::Volatile),
        })
    }
}

impl ScalarUDFImpl for Negative {
    fn name(&self) -> &'static str {
        "minus"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        kinds
            .first()
            .cloned()
            .ok_or_else(|| DataFusionError::Plan("the minus sign takes one value".to_owned()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        match args.args.first() {
            Some(ColumnarValue::Array(values)) => {
                Ok(ColumnarValue::Array(numeric::neg(values.as_ref())?))
            }
            Some(ColumnarValue::Scalar(value)) => {
                let negated = numeric::neg(value.to_array()?.as_ref())?;
                ScalarValue::try_from_array(&negated, 0).map(ColumnarValue::Scalar)
            }
            None => Err(DataFusionError::Plan(format!(
                "the minus sign takes one value for {rows} rows"
            ))),
        }
    }
}

const ONE_ZERO: &str = "one_zero";

/// A double with one zero and one NaN.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OneZero {
    signature: Signature,
}

impl OneZero {
    fn function() -> ScalarUDF {
        ScalarUDF::new_from_impl(Self {
            signature: Signature::any(1, Volatility::Immutable),
        })
    }
}

impl ScalarUDFImpl for OneZero {
    fn name(&self) -> &'static str {
        ONE_ZERO
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        kinds
            .first()
            .cloned()
            .ok_or_else(|| DataFusionError::Plan("it takes one value".to_owned()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(ColumnarValue::Array(values)) => Ok(ColumnarValue::Array(normal(&values))),
            Some(ColumnarValue::Scalar(value)) => {
                let values = normal(&value.to_array()?);
                ScalarValue::try_from_array(&values, 0).map(ColumnarValue::Scalar)
            }
            None => Err(DataFusionError::Plan("it takes one value".to_owned())),
        }
    }
}

/// Makes equal doubles equal in their bits: -0.0 is 0.0, and every NaN is the same. Other columns stay as they are.
pub(crate) fn normal(column: &ArrayRef) -> ArrayRef {
    let double = |value: f64| {
        if value.is_nan() {
            f64::NAN
        } else {
            value + 0.0
        }
    };
    let single = |value: f32| {
        if value.is_nan() {
            f32::NAN
        } else {
            value + 0.0
        }
    };
    if let Some(values) = column.as_primitive_opt::<Float64Type>() {
        Arc::new(values.unary::<_, Float64Type>(double))
    } else if let Some(values) = column.as_primitive_opt::<Float32Type>() {
        Arc::new(values.unary::<_, Float32Type>(single))
    } else {
        column.clone()
    }
}
