//! What a server tells of its work to who watches over it: the words, and the port.
//!
//! The door, the runner and the edges say what they did ([`Done`]) and what happened ([`Event`]) to an [`Observer`], which comes
//! in as a part like any other. What becomes of it (figures, lines of a log, traces) is the business of a [`Sink`]; without one,
//! an observer costs nothing.
//!
//! INVARIANT: nothing that somebody chose can be said. The words have names of the program's own (`&'static str`), numbers, times
//! and ids that the program drew; none has a field for a text (that of a panic's line is made of its place alone). So no name of a person, project or artifact, no token, path,
//! address or message reaches a figure, a line or a trace, whatever is asked.
//!
//! Which work belongs to which request is remembered by thread ([`Place`]), as OpenTelemetry's contexts are; who hands work
//! to another thread carries it over ([`carried`]). It serves traces alone: nothing is decided by it.
#![forbid(unsafe_code)]

mod event;
mod id;
mod observer;
mod place;

pub use event::{Done, Event, Refusal, Route, RunEnd, SourceLine, Work};
pub use id::{Remote, RequestId, RunId, SpanId, TraceId};
pub use observer::{Finished, Gauges, Going, Observer, Sink, Span, Traced};
pub use place::{Place, at, carried};
