//! What an operation answers, as a type: what [`openapi`](crate::openapi) says of it is what is sent.

use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;

use axum::body::Body;
use custody_types::Problem;
use custody_wire::{RunStarted, Schema};
use http::{HeaderValue, Response, StatusCode, header};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

use crate::asked::Describe;
use crate::call::{answer, reply, stream, unwritable};

/// The media type of documents, a line each.
pub(crate) const LINES: &str = "application/x-ndjson";

type Answer = Result<Response<Body>, Problem>;

/// An answer that is no problem.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tells {
    pub(crate) status: StatusCode,
    /// What it is, for a reader.
    pub(crate) what: &'static str,
    /// The media type of the body, and what is in it: in a document, or in each of its lines.
    pub(crate) body: Option<(&'static str, Option<Describe>)>,
}

/// Something that is answered.
pub(crate) trait Told {
    /// The ways in which it is answered.
    const TELLS: &'static [Tells];

    /// Answers.
    fn tell(self) -> Answer;
}

/// Describes a document with the name of its schema in front.
pub(crate) fn document<T: JsonSchema + Schema>(
    generator: &mut SchemaGenerator,
) -> schemars::Schema {
    let body = generator.subschema_for::<T>();
    schemars::json_schema!({
        "allOf": [body],
        "properties": {"schema": {"const": T::NAME}},
        "required": ["schema"]
    })
}

impl<T: Serialize + JsonSchema + Schema> Told for T {
    const TELLS: &'static [Tells] = &[Tells {
        status: StatusCode::OK,
        what: T::NAME,
        body: Some(("application/json", Some(document::<T>))),
    }];

    fn tell(self) -> Answer {
        reply(self)
    }
}

/// What writes a body, piece by piece.
pub(crate) type Writer = Box<dyn FnOnce(&mut (dyn Write + Send)) -> io::Result<()> + Send>;

/// A body that is written while it is sent.
pub(crate) struct Stream<M> {
    write: Writer,
    kind: PhantomData<M>,
}

impl<M> fmt::Debug for Stream<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl<M> Stream<M> {
    pub(crate) fn new(
        write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self {
            write: Box::new(write),
            kind: PhantomData,
        }
    }
}

/// What a stream is.
pub(crate) trait Media {
    const TYPE: &'static str;
    const WHAT: &'static str;
    /// What is in each line.
    const LINE: Option<Describe> = None;
}

impl<M: Media> Told for Stream<M> {
    const TELLS: &'static [Tells] = &[Tells {
        status: StatusCode::OK,
        what: M::WHAT,
        body: Some((M::TYPE, M::LINE)),
    }];

    fn tell(self) -> Answer {
        stream(M::TYPE, self.write)
    }
}

/// Files.
#[derive(Debug)]
pub(crate) enum Tar {}

impl Media for Tar {
    const TYPE: &'static str = "application/x-tar";
    const WHAT: &'static str = "files as a tar stream";
}

/// A bill of materials.
#[derive(Debug)]
pub(crate) enum Bom {}

impl Media for Bom {
    const TYPE: &'static str = custody_attest::cyclonedx::MEDIA_TYPE;
    const WHAT: &'static str = "a CycloneDX document";
}

/// Signed statements, a line each.
#[derive(Debug)]
pub(crate) enum Claims {}

impl Media for Claims {
    const TYPE: &'static str = LINES;
    const WHAT: &'static str = "signed statements, a DSSE envelope in each line";
}

/// Documents, a line each.
#[derive(Debug)]
pub(crate) struct Lines<T>(PhantomData<T>);

impl<T: JsonSchema + Schema> Media for Lines<T> {
    const TYPE: &'static str = LINES;
    const WHAT: &'static str = T::NAME;
    const LINE: Option<Describe> = Some(document::<T>);
}

/// A run whose course is told, or one that goes on by itself, which is found at its place from now on.
#[derive(Debug)]
pub(crate) enum RunAnswer {
    Told(Stream<Lines<custody_wire::RunEvent>>),
    GoesOn(RunStarted),
}

impl Told for RunAnswer {
    const TELLS: &'static [Tells] = &[
        Tells {
            status: StatusCode::OK,
            what: "what happens in the run, a line each; the last is how it ended",
            body: Some((
                <Lines<custody_wire::RunEvent>>::TYPE,
                <Lines<custody_wire::RunEvent>>::LINE,
            )),
        },
        Tells {
            status: StatusCode::ACCEPTED,
            what: "the run has its entry in the ledger and goes on; asked for with `detached`",
            body: Some(("application/json", Some(document::<RunStarted>))),
        },
    ];

    fn tell(self) -> Answer {
        match self {
            Self::Told(stream) => stream.tell(),
            Self::GoesOn(started) => {
                let place = HeaderValue::from_str(&format!("/v1/runs/{}", started.run));
                let place = place.map_err(|error| unwritable(&error))?;
                let mut response = reply(started)?;
                *response.status_mut() = StatusCode::ACCEPTED;
                response.headers_mut().insert(header::LOCATION, place);
                Ok(response)
            }
        }
    }
}

/// The figures of the process, in the format of `OpenMetrics` 1.0.
#[derive(Debug)]
pub(crate) struct OpenMetrics(pub(crate) String);

impl Told for OpenMetrics {
    const TELLS: &'static [Tells] = &[Tells {
        status: StatusCode::OK,
        what: "figures, as OpenMetrics 1.0 has them",
        body: Some(("application/openmetrics-text", None)),
    }];

    fn tell(self) -> Answer {
        let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        answer(StatusCode::OK, format, Body::from(self.0))
    }
}

/// A browser is sent elsewhere, with something to keep until it comes back.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) place: String,
    pub(crate) cookie: String,
}

impl Told for Sent {
    const TELLS: &'static [Tells] = &[Tells {
        status: StatusCode::SEE_OTHER,
        what: "the browser is sent to the provider",
        body: None,
    }];

    fn tell(self) -> Answer {
        Response::builder()
            .status(StatusCode::SEE_OTHER)
            .header(header::LOCATION, self.place)
            .header(header::SET_COOKIE, self.cookie)
            .header(header::REFERRER_POLICY, "no-referrer")
            .body(Body::empty())
            .map_err(|error| unwritable(&error))
    }
}

/// A document, and what a browser kept until now is of no use any more.
#[derive(Debug)]
pub(crate) struct Forgetting<T> {
    pub(crate) body: T,
    pub(crate) cookie: String,
}

impl<T: Told> Told for Forgetting<T> {
    const TELLS: &'static [Tells] = T::TELLS;

    fn tell(self) -> Answer {
        let cookie = HeaderValue::from_str(&self.cookie).map_err(|error| unwritable(&error))?;
        let mut response = self.body.tell()?;
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        Ok(response)
    }
}
