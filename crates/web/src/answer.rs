//! What is answered: a page, a part of one, the way to another; and the fields that every answer has.

use askama::Template;
use axum::body::Body;
use custody_types::{Problem, ProblemKind};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::browsers::NO_COOKIE;

/// What a browser may do with what it gets: load style, script and pictures of this server, send forms to it, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The fields that every answer has, also one that refuses, and one of the API.
const HEADERS: [(HeaderName, &str); 8] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (STRICT_TRANSPORT_SECURITY, "max-age=63072000"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (HeaderName::from_static("x-frame-options"), "DENY"),
];

/// Puts the fields into an answer that every one has.
pub(crate) fn secure(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

/// What a page comes to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A page or a part of one, under its status.
    Html(StatusCode, String),
    /// The way to another page: what a form leads to.
    SeeOther(String),
    /// The way to where people sign in; the browser gives up its id.
    SignedOut,
    /// Bytes to keep as a file.
    File {
        /// The name of the file: letters, digits, `-` and `.`.
        name: String,
        bytes: Vec<u8>,
    },
}

impl Answer {
    /// Renders a page.
    pub(crate) fn page(page: &impl Template) -> Result<Self, Problem> {
        Self::under(StatusCode::OK, page)
    }

    /// Renders a page under another status.
    pub(crate) fn under(status: StatusCode, page: &impl Template) -> Result<Self, Problem> {
        let html = page.render().map_err(|error| {
            Problem::new(custody_types::code::WEB_001, "the page cannot be shown").because(error)
        })?;
        Ok(Self::Html(status, html))
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        match self {
            Self::Html(status, html) => html_response(status, html),
            Self::SeeOther(place) => see_other(&place),
            Self::SignedOut => {
                let mut response = see_other("/sign-in?done=signed-out");
                let none = HeaderValue::from_static(NO_COOKIE);
                response.headers_mut().append(SET_COOKIE, none);
                response
            }
            Self::File { name, bytes } => {
                let mut response = Response::new(Body::from(bytes));
                let headers = response.headers_mut();
                let json = HeaderValue::from_static("application/json");
                headers.insert(CONTENT_TYPE, json);
                let attached = format!("attachment; filename=\"{name}\"");
                if let Ok(attached) = HeaderValue::from_str(&attached) {
                    headers.insert(http::header::CONTENT_DISPOSITION, attached);
                }
                response
            }
        }
    }
}

fn html_response(status: StatusCode, html: String) -> Response<Body> {
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

/// Leads to another page, which is asked for by `GET`. Places are paths of ours.
pub(crate) fn see_other(place: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let place = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, place);
    response
}

/// A page that is there where nothing else can be.
pub(crate) fn bare(status: StatusCode, why: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{why}\n")));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// Returns the status under which a problem is told.
pub(crate) fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Leaves out what the person may not see: the answer, where there is one.
///
/// # Errors
/// Any other problem.
pub(crate) fn allowed<T>(asked: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(problem) if matches!(problem.kind(), ProblemKind::Denied | ProblemKind::NotFound) => {
            Ok(None)
        }
        Err(problem) => Err(problem),
    }
}
