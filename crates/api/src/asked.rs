//! What a request of an operation carries, as a type: a handler takes what was read, and what [`openapi`](crate::openapi)
//! says of it is what is read.

use std::fmt::Display;
use std::str::FromStr;

use custody_types::Problem;
use custody_wire::stream::PieceReader;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::call::{Call, malformed};

/// What describes a type.
pub(crate) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// What a request carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asks {
    /// What the path names.
    pub(crate) id: Option<Describe>,
    /// The fields of the query.
    pub(crate) query: Option<Describe>,
    /// The media type of the body, and what is in it where it is a document.
    pub(crate) body: Option<(&'static str, Option<Describe>)>,
}

impl Asks {
    const NOTHING: Self = Self {
        id: None,
        query: None,
        body: None,
    };
}

/// Something that a request carries. What it does not ask for is refused: a query that nobody reads would be taken for one
/// that was heeded.
pub(crate) trait Asked: Sized {
    /// What it is.
    const ASKS: Asks;

    /// Reads it.
    fn read(call: Call) -> Result<Self, Problem>;
}

/// No field at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

impl Asked for () {
    const ASKS: Asks = Asks::NOTHING;

    fn read(call: Call) -> Result<Self, Problem> {
        call.query::<NoFields>()?;
        call.no_body()
    }
}

/// The fields of the query.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + JsonSchema> Asked for Query<T> {
    const ASKS: Asks = Asks {
        query: Some(T::json_schema),
        ..Asks::NOTHING
    };

    fn read(call: Call) -> Result<Self, Problem> {
        let query = call.query()?;
        call.no_body()?;
        Ok(Self(query))
    }
}

/// The query as it came, for who must answer whatever it is.
#[derive(Debug)]
pub(crate) struct RawQuery(pub(crate) String);

impl Asked for RawQuery {
    const ASKS: Asks = Asks::NOTHING;

    fn read(mut call: Call) -> Result<Self, Problem> {
        let query = call.raw_query();
        call.no_body()?;
        Ok(Self(query))
    }
}

/// A document.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + JsonSchema> Asked for Json<T> {
    const ASKS: Asks = Asks {
        body: Some((
            "application/json",
            Some(SchemaGenerator::subschema_for::<T>),
        )),
        ..Asks::NOTHING
    };

    fn read(call: Call) -> Result<Self, Problem> {
        call.query::<NoFields>()?;
        call.document().map(Self)
    }
}

/// What the path names, and what else is asked.
#[derive(Debug)]
pub(crate) struct Named<I, A = ()>(pub(crate) I, pub(crate) A);

impl<I: FromStr<Err: Display> + JsonSchema, A: Asked> Asked for Named<I, A> {
    const ASKS: Asks = Asks {
        id: Some(SchemaGenerator::subschema_for::<I>),
        ..A::ASKS
    };

    fn read(mut call: Call) -> Result<Self, Problem> {
        let id = call
            .id()?
            .parse()
            .map_err(|error: I::Err| malformed(&error))?;
        Ok(Self(id, A::read(call)?))
    }
}

/// Files as a tar stream, and the fields of the query that say what they are.
#[derive(Debug)]
pub(crate) struct Upload<T>(pub(crate) T, pub(crate) PieceReader);

impl<T: DeserializeOwned + JsonSchema> Asked for Upload<T> {
    const ASKS: Asks = Asks {
        query: Some(T::json_schema),
        body: Some(("application/x-tar", None)),
        ..Asks::NOTHING
    };

    fn read(call: Call) -> Result<Self, Problem> {
        Ok(Self(call.query()?, call.body_of_type("application/x-tar")?))
    }
}
