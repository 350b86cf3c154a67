//! Casts that the planner would not tell from what they cast.
//!
//! It names an expression without the casts in it, so that `SUM(a)` and `SUM(CAST(a AS DOUBLE))` have one name and are
//! refused. Where that happens, what is cast is led through a function of its own that gives it back as it is.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::SchemaError;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, visit_expressions_mut};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// How the names of the functions begin.
const NAME: &str = "custody_as_it_is_";

/// Gives its argument back.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsItIs {
    name: String,
    signature: Signature,
}

impl ScalarUDFImpl for AsItIs {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        Ok(kinds.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let wrong = || DataFusionError::Plan("one value is expected".to_owned());
        args.args.into_iter().next().ok_or_else(wrong)
    }
}

/// Whether a query was refused because two of its expressions have one name.
pub(crate) fn is_doubled(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => matches!(
            error.as_ref(),
            SchemaError::DuplicateQualifiedField { .. }
                | SchemaError::DuplicateUnqualifiedField { .. }
        ),
        DataFusionError::Plan(text) => text.contains("require unique expression names"),
        _ => false,
    }
}

/// Plans a query whose casts are told apart; `None` where that does not help.
pub(crate) async fn plan(context: &SessionContext, sql: &str) -> Option<LogicalPlan> {
    let state = context.state();
    let dialect = state.config_options().sql_parser.dialect;
    let mut statement = state.sql_to_statement(sql, &dialect).ok()?;
    let Statement::Statement(inner) = &mut statement else {
        return None;
    };
    let mut count = 0_usize;
    let led = visit_expressions_mut(inner, |expression| {
        if let Expr::Cast { expr, .. } = expression {
            count += 1;
            let call = format!("{NAME}{count}({expr})");
            let parsed = Parser::new(&GenericDialect {})
                .try_with_sql(&call)
                .and_then(|mut parser| parser.parse_expr());
            match parsed {
                Ok(call) => **expr = call,
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    });
    if led.is_break() || count == 0 {
        return None;
    }
    for number in 1..=count {
        context.register_udf(ScalarUDF::from(AsItIs {
            name: format!("{NAME}{number}"),
            signature: Signature::any(1, Volatility::Immutable),
        }));
    }
    let plan = context.state().statement_to_plan(statement).await.ok()?;
    // A column without a name of its own would be called by the function.
    let fields = plan.schema().fields();
    let own = |field: &Arc<datafusion::arrow::datatypes::Field>| !field.name().contains(NAME);
    fields.iter().all(own).then_some(plan)
}
