//! Connections and requests, as who watches over the server is told of them.
//!
//! A request has ended when its answer was taken to its end, or is dropped before that. What is counted is counted before the
//! last piece goes out, so that whoever has an answer finds it in the figures that they ask for next.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use custody_observe::{Done, Event, Observer, Remote, RequestId, Route, Span, Work};
use custody_types::ProblemKind;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};

/// The field by which whoever asks says in which work of theirs they do (W3C Trace Context, section 3.2).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The field of an answer that bears the id of its request.
const REQUEST_ID: HeaderName = HeaderName::from_static(RequestId::HEADER);

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Connected(Observer);

impl Connected {
    pub(crate) fn new(observer: &Observer) -> Self {
        observer.note(&Event::Connected);
        Self(observer.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.note(&Event::Disconnected);
    }
}

/// A request that goes on; dropping it tells that it has ended.
#[derive(Debug)]
pub(crate) struct Watched {
    span: Option<Span>,
    id: RequestId,
    route: Route,
    status: Option<u16>,
    problem: Option<ProblemKind>,
    received: Arc<AtomicU64>,
    sent: u64,
    whole: bool,
}

impl Watched {
    /// Begins it, and puts its id and its place in a trace beside it. `None` where nobody is told.
    pub(crate) fn begin<B>(observer: &Observer, request: &mut Request<B>) -> Option<Self> {
        let id = observer.draw_request()?;
        observer.note(&Event::Asked);
        let span = observer.begin_request(id, remote(request.headers()));
        let beside = request.extensions_mut();
        beside.insert(id);
        if let Some(place) = span.as_ref().and_then(Span::place) {
            beside.insert(place.clone());
        }
        Some(Self {
            span,
            id,
            route: Route::NONE,
            status: None,
            problem: None,
            received: Arc::default(),
            sent: 0,
            whole: false,
        })
    }

    /// Counts the body of the request as it is read.
    pub(crate) fn counted(&self, body: Body) -> Body {
        let bytes = self.received.clone();
        Body::new(Received { body, bytes })
    }

    /// Names the request in its answer, and goes on to the end of it.
    pub(crate) fn answer(mut self, mut answer: Response<Body>) -> Response<Body> {
        if let Ok(id) = HeaderValue::from_str(&self.id.to_string()) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        self.status = Some(answer.status().as_u16());
        let beside = answer.extensions();
        self.route = beside.get().copied().unwrap_or(Route::NONE);
        self.problem = beside.get().copied();
        answer.map(|body| {
            let mut sent = Sent {
                body,
                watched: Some(self),
            };
            sent.end_if_over();
            Body::new(sent)
        })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Some(span) = self.span.take() else {
            return;
        };
        span.end(Done {
            work: Work::Request {
                id: self.id,
                route: self.route,
                status: self.status,
                problem: self.problem,
                received: self.received.load(Ordering::Relaxed),
                sent: self.sent,
                whole: self.whole,
            },
            ok: self.status.is_some_and(|status| status < 500),
        });
    }
}

/// Reads in which work a request says that it is made. Who says two things says nothing.
fn remote(headers: &HeaderMap) -> Option<Remote> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    let field = fields.next()?;
    let remote = Remote::read(field.as_bytes())?;
    fields.next().is_none().then_some(remote)
}

/// The body of a request, counted as it is read.
struct Received {
    body: Body,
    bytes: Arc<AtomicU64>,
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, counted as it is taken.
struct Sent {
    body: Body,
    watched: Option<Watched>,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}

impl Sent {
    fn end(&mut self, whole: bool) {
        if let Some(mut watched) = self.watched.take() {
            watched.whole = whole;
        }
    }

    fn end_if_over(&mut self) {
        if http_body::Body::is_end_stream(&self.body) {
            self.end(true);
        }
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                if let Some(watched) = &mut self.watched {
                    watched.sent += bytes;
                }
                self.end_if_over();
            }
            Some(Err(_)) => self.end(false),
            None => self.end(true),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
