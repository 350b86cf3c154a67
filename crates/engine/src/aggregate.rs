//! Aggregates of the engine's, some of whose accumulators are ours.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature,
};

/// What is ours of an aggregate; `None` leaves it to the engine.
pub(crate) trait Own: Debug + PartialEq + Eq + Hash + Send + Sync + 'static {
    /// Over all rows, or those of a group.
    fn whole(&self, args: &AccumulatorArgs<'_>) -> Option<Box<dyn Accumulator>>;
    /// Over a window that moves.
    fn moving(&self, args: &AccumulatorArgs<'_>) -> Option<Box<dyn Accumulator>>;
    /// Over many groups at once.
    fn groups(&self, args: &AccumulatorArgs<'_>) -> Groups;
}

/// How the groups of a query are worked on.
pub(crate) enum Groups {
    /// As the engine does.
    Engine,
    /// One by one, with [`Own::whole`].
    Single,
    /// By an accumulator of ours.
    Own(Box<dyn GroupsAccumulator>),
}

/// An aggregate that goes by the name of the engine's.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Replaced<O> {
    inner: Arc<AggregateUDF>,
    own: O,
}

/// Returns an aggregate of the engine's with what is ours of it.
pub(crate) fn replaced(inner: Arc<AggregateUDF>, own: impl Own) -> AggregateUDF {
    AggregateUDF::new_from_impl(Replaced { inner, own })
}

impl<O: Own> AggregateUDFImpl for Replaced<O> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(kinds)
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        self.inner.return_type(kinds)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match self.own.whole(&args) {
            Some(own) => Ok(own),
            None => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        match self.own.moving(&args) {
            Some(own) => Ok(own),
            None => self.inner.create_sliding_accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        match self.own.groups(&args) {
            Groups::Single => false,
            // Where the engine would not, as for different values, ours is not asked for either.
            Groups::Engine | Groups::Own(_) => self.inner.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        match self.own.groups(&args) {
            Groups::Own(own) => Ok(own),
            Groups::Engine | Groups::Single => self.inner.create_groups_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_udf()
    }
}
