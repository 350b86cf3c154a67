//! Spans as messages of OpenTelemetry (OTLP 1.x, `opentelemetry/proto/trace/v1/trace.proto` and what it takes from `common/v1`
//! and `resource/v1`): the fields that are told, under their numbers, which never change.

use std::time::Duration;

use custody_observe::{Finished, Remote, Route, Traced, Work};
use custody_types::Timestamp;
use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportTraceServiceRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportTraceServiceResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<ExportTracePartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportTracePartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<InstrumentationScope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct InstrumentationScope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Fact(bool),
    #[prost(int64, tag = "3")]
    Figure(i64),
}

/// `SPAN_KIND_INTERNAL`, `SPAN_KIND_SERVER`.
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

/// The server, as its spans name it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) version: &'static str,
    /// An id that was drawn at the start.
    pub(crate) instance: String,
}

/// Something that a span says. Names are those of the semantic conventions, where they have one; others begin with `custody.`.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(mut self, key: &str, value: Value) -> Self {
        self.0.push(KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
        });
        self
    }

    fn text(self, key: &str, text: impl ToString) -> Self {
        self.add(key, Value::Text(text.to_string()))
    }

    fn figure(self, key: &str, figure: u64) -> Self {
        self.add(
            key,
            Value::Figure(i64::try_from(figure).unwrap_or(i64::MAX)),
        )
    }

    fn fact(self, key: &str, fact: bool) -> Self {
        self.add(key, Value::Fact(fact))
    }
}

/// Writes spans as the body of a request to a collector.
pub(crate) fn encode(server: &Server, spans: &[(Finished, Traced)]) -> Vec<u8> {
    let resource = Attributes::default()
        .text("service.name", "custody")
        .text("service.version", server.version)
        .text("service.instance.id", &server.instance);
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: resource.0,
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "custody".to_owned(),
                    version: server.version.to_owned(),
                }),
                spans: spans.iter().map(span).collect(),
            }],
        }],
    };
    request.encode_to_vec()
}

/// Returns how many spans a collector says that it rejects; an answer that is none says nothing.
pub(crate) fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    let rejected = answer.partial_success.unwrap_or_default().rejected_spans;
    u64::try_from(rejected).unwrap_or(0)
}

fn nanoseconds(time: Timestamp, after: Duration) -> u64 {
    let began = u64::try_from(time.unix_micros()).unwrap_or(0);
    let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
    began.saturating_mul(1000).saturating_add(after)
}

fn span((finished, traced): &(Finished, Traced)) -> Span {
    let (name, attributes) = described(finished.done.work, traced);
    let is_request = matches!(finished.done.work, Work::Request { .. });
    let link = |remote: &Remote| Link {
        trace_id: remote.trace.0.to_vec(),
        span_id: remote.span.0.to_vec(),
    };
    Span {
        trace_id: traced.trace.0.to_vec(),
        span_id: traced.span.0.to_vec(),
        parent_span_id: traced.parent.map_or_else(Vec::new, |id| id.0.to_vec()),
        name,
        kind: if is_request { SERVER } else { INTERNAL },
        start_time_unix_nano: nanoseconds(finished.began, Duration::ZERO),
        end_time_unix_nano: nanoseconds(finished.began, finished.took),
        attributes: attributes.0,
        links: traced.link.iter().map(link).collect(),
        status: (!finished.done.ok).then_some(Status { code: ERROR }),
    }
}

fn described(work: Work, traced: &Traced) -> (String, Attributes) {
    let says = Attributes::default();
    let says = match traced.request {
        Some(request) => says.text("custody.request.id", request),
        None => says,
    };
    match work {
        Work::Request {
            route,
            status,
            received,
            sent,
            whole,
            ..
        } => {
            let says = match status {
                Some(status) => says.figure("http.response.status_code", u64::from(status)),
                None => says,
            };
            let says = says
                .figure("http.request.body.size", received)
                .figure("http.response.body.size", sent)
                .fact("custody.response.whole", whole);
            if route == Route::NONE {
                return ("HTTP".to_owned(), says);
            }
            let name = format!("{} {}", route.method, route.path);
            let says = says
                .text("http.request.method", route.method)
                .text("http.route", route.path);
            (name, says)
        }
        Work::Decision { action, permit } => {
            let says = says
                .text("custody.action", action.name())
                .fact("custody.permit", permit);
            ("decide".to_owned(), says)
        }
        Work::Entry => ("enter".to_owned(), says),
        Work::Append { entries } => {
            let says = says.figure("custody.entries", entries);
            ("ledger.append".to_owned(), says)
        }
        Work::StoreRead { bytes } => ("store.read".to_owned(), says.figure("custody.bytes", bytes)),
        Work::StoreWrite { bytes } => {
            let says = says.figure("custody.bytes", bytes);
            ("store.write".to_owned(), says)
        }
        Work::Run { run, end } | Work::Step { run, end } => {
            let says = match run {
                Some(run) => says.text("custody.run.id", run),
                None => says,
            };
            let is_run = matches!(work, Work::Run { .. });
            let name = if is_run { "run" } else { "step" };
            (name.to_owned(), says.text("custody.end", end.word()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_a_collector_is_read_whatever_it_is() {
        let said = |rejected_spans| {
            ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess { rejected_spans }),
            }
            .encode_to_vec()
        };
        assert_eq!(rejected(&said(3)), 3);
        assert_eq!(rejected(&said(-3)), 0);
        for none in [
            &b""[..],
            b"\xff\xff\xff",
            b"{}",
            b"<html>",
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ] {
            assert_eq!(rejected(none), 0);
        }
    }
}
