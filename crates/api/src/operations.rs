//! The table of operations, and the router built from it.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, State};
use axum::routing::{MethodFilter, on};
use custody_guard::Session;
use custody_types::{Action, Problem, Purpose, code};
use custody_wire::{HEADER_AS, HEADER_PURPOSE};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;

use crate::app::{App, Entrance, Peer};
use crate::call::{self, Arrival, Call};
use crate::handlers;

/// How long the next piece of a body may take that comes over the network.
const PATIENCE: Duration = Duration::from_secs(30);

/// Something that can be asked over HTTP.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: &'static str,
    /// The actions that it asks the door for, the first of them always.
    pub actions: &'static [Action],
    handler: Handler,
}

type Handler = fn(&App, Call) -> Result<Response<Body>, Problem>;

const fn operation(
    method: Method,
    path: &'static str,
    actions: &'static [Action],
    handler: Handler,
) -> Operation {
    Operation {
        method,
        path,
        actions,
        handler,
    }
}

/// Everything that can be asked.
pub static OPERATIONS: &[Operation] = &[
    operation(Method::GET, "/v1/versions", &[Action::List], handlers::list),
    operation(
        Method::GET,
        "/v1/projects",
        &[Action::List],
        handlers::projects,
    ),
    operation(
        Method::POST,
        "/v1/versions",
        &[Action::Write],
        handlers::put,
    ),
    operation(Method::GET, "/v1/version", &[Action::List], handlers::show),
    operation(
        Method::GET,
        "/v1/files",
        &[Action::Export],
        handlers::export,
    ),
    operation(
        Method::GET,
        "/v1/data/schema",
        &[Action::List],
        handlers::data_schema,
    ),
    operation(
        Method::GET,
        "/v1/data/head",
        &[Action::Read, Action::ReadLog],
        handlers::data_head,
    ),
    operation(
        Method::GET,
        "/v1/data/profile",
        &[Action::Read, Action::ReadLog],
        handlers::data_profile,
    ),
    operation(
        Method::POST,
        "/v1/data/diff",
        &[Action::Read, Action::ReadLog],
        handlers::data_diff,
    ),
    operation(
        Method::POST,
        "/v1/aliases",
        &[Action::SetAlias],
        handlers::set_alias,
    ),
    operation(Method::GET, "/v1/trace", &[Action::Trace], handlers::trace),
    operation(Method::GET, "/v1/bom", &[Action::Trace], handlers::bom),
    operation(
        Method::GET,
        "/v1/claims",
        &[Action::Trace],
        handlers::claims,
    ),
    operation(
        Method::POST,
        "/v1/verify",
        &[Action::Verify],
        handlers::verify,
    ),
    operation(
        Method::POST,
        "/v1/reproduce",
        &[Action::Reproduce],
        handlers::reproduce,
    ),
    operation(Method::POST, "/v1/runs", &[Action::StartRun], handlers::run),
    operation(Method::GET, "/v1/runs", &[Action::ReadRun], handlers::runs),
    operation(
        Method::GET,
        "/v1/runs/{id}",
        &[Action::ReadRun],
        handlers::show_run,
    ),
    operation(
        Method::GET,
        "/v1/runs/{id}/events",
        &[Action::ReadRun],
        handlers::run_events,
    ),
    operation(
        Method::POST,
        "/v1/runs/{id}/cancel",
        &[Action::CancelRun],
        handlers::cancel_run,
    ),
    operation(
        Method::POST,
        "/v1/status",
        &[Action::Trace, Action::List],
        handlers::status,
    ),
    operation(
        Method::POST,
        "/v1/metrics",
        &[Action::Trace, Action::Read],
        handlers::metrics,
    ),
    operation(
        Method::GET,
        "/v1/evaluation",
        &[Action::Read],
        handlers::evaluation,
    ),
    operation(
        Method::POST,
        "/v1/compare",
        &[Action::Trace, Action::Read],
        handlers::compare,
    ),
    operation(
        Method::GET,
        "/v1/ledger/entries",
        &[Action::ReadLedger],
        handlers::ledger_entries,
    ),
    operation(
        Method::GET,
        "/v1/ledger/entries/{index}",
        &[Action::ReadLedger],
        handlers::ledger_entry,
    ),
    operation(
        Method::POST,
        "/v1/ledger/verify",
        &[Action::ReadLedger],
        handlers::verify_ledger,
    ),
    operation(
        Method::POST,
        "/v1/ledger/rollback",
        &[Action::AcceptRollback],
        handlers::accept_rollback,
    ),
    operation(
        Method::GET,
        "/v1/ledger/export",
        &[Action::ExportLedger],
        handlers::export_ledger,
    ),
    operation(
        Method::GET,
        "/v1/policy",
        &[Action::ReadPolicy],
        handlers::policy,
    ),
    operation(
        Method::POST,
        "/v1/policy",
        &[
            Action::ChangePolicy,
            Action::ChangeIdentity,
            Action::ProposeChange,
        ],
        handlers::change_policy,
    ),
    operation(
        Method::GET,
        "/v1/policy/proposals",
        &[Action::ReadPolicy, Action::ReadIdentity],
        handlers::proposals,
    ),
    operation(
        Method::POST,
        "/v1/policy/approvals",
        &[Action::ChangePolicy, Action::ChangeIdentity],
        handlers::approve_change,
    ),
    operation(
        Method::POST,
        "/v1/policy/break-glass",
        &[Action::ChangePolicy, Action::ChangeIdentity],
        handlers::break_glass,
    ),
    operation(
        Method::POST,
        "/v1/policy/validations",
        &[Action::ReadPolicy, Action::ReadIdentity],
        handlers::validate_policies,
    ),
    operation(
        Method::POST,
        "/v1/policy/tests",
        &[Action::ReadPolicy],
        handlers::test_policies,
    ),
    operation(
        Method::POST,
        "/v1/policy/differences",
        &[Action::ReadPolicy],
        handlers::compare_policies,
    ),
    operation(
        Method::POST,
        "/v1/policy/explanations",
        &[Action::ReadPolicy, Action::ReadIdentity, Action::ReadLedger],
        handlers::explain,
    ),
    operation(
        Method::POST,
        "/v1/policy/replays",
        &[Action::ReadPolicy, Action::ReadLedger],
        handlers::replay,
    ),
    operation(
        Method::GET,
        "/v1/identity",
        &[Action::ReadIdentity],
        handlers::identity,
    ),
    operation(
        Method::POST,
        "/v1/identity",
        &[Action::ChangeIdentity, Action::ProposeChange],
        handlers::change_identity,
    ),
    operation(
        Method::GET,
        "/v1/tokens",
        &[Action::ReadIdentity],
        handlers::tokens,
    ),
    operation(
        Method::POST,
        "/v1/tokens",
        &[Action::CreateToken],
        handlers::create_token,
    ),
    operation(
        Method::POST,
        "/v1/invitations",
        &[Action::Invite],
        handlers::invite,
    ),
    operation(
        Method::POST,
        "/v1/tokens/revocations",
        &[Action::RevokeToken],
        handlers::revoke_token,
    ),
    operation(
        Method::POST,
        "/v1/scans",
        &[Action::List, Action::ScanModel],
        handlers::rescan,
    ),
    operation(
        Method::GET,
        "/v1/approvals",
        &[Action::List],
        handlers::waiting,
    ),
    operation(
        Method::POST,
        "/v1/approvals",
        &[Action::Approve],
        handlers::approve,
    ),
    operation(
        Method::POST,
        "/v1/rejections",
        &[Action::Reject],
        handlers::reject,
    ),
    operation(
        Method::POST,
        "/v1/removals",
        &[Action::Remove],
        handlers::remove,
    ),
    operation(
        Method::POST,
        "/v1/shreddings",
        &[Action::Shred],
        handlers::shred,
    ),
    operation(Method::GET, "/v1/keys", &[Action::ReadKeys], handlers::keys),
    operation(
        Method::POST,
        "/v1/keys/rotate",
        &[Action::RotateKeys],
        handlers::rotate_keys,
    ),
    operation(
        Method::POST,
        "/v1/keys/passphrase",
        &[Action::RotateKeys],
        handlers::change_passphrase,
    ),
    operation(
        Method::POST,
        "/v1/rules",
        &[Action::ChangeRules],
        handlers::change_rules,
    ),
    operation(
        Method::POST,
        "/v1/signatures",
        &[Action::SignModel],
        handlers::sign,
    ),
    operation(
        Method::POST,
        "/v1/index/rebuild",
        &[Action::RebuildIndex],
        handlers::rebuild_index,
    ),
];

/// Something that is asked before it is known who asks.
#[derive(Debug, Clone)]
pub struct EntranceOperation {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: &'static str,
    handler: fn(&App, Arrival) -> Result<Response<Body>, Problem>,
}

const fn entrance(
    method: Method,
    path: &'static str,
    handler: fn(&App, Arrival) -> Result<Response<Body>, Problem>,
) -> EntranceOperation {
    EntranceOperation {
        method,
        path,
        handler,
    }
}

/// Where browsers come back to from an identity provider. Whoever names the place to the provider names this path.
pub const CALLBACK: &str = "/v1/sessions/oidc/callback";
/// The cookie by which a browser shows that it began the sign-in that it comes back from. The prefix binds it to this host, and
/// to TLS (RFC 6265bis, section 4.1.3.2).
const SIGN_IN_COOKIE: &str = "__Host-custody-sign-in";

/// Returns what sets the cookie of a sign-in for some seconds. It is sent where a provider sends the browser back (`Lax`).
pub(crate) fn sign_in_cookie(value: &str, seconds: i64) -> String {
    format!("{SIGN_IN_COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}")
}

/// By what people sign in over the network. On the machine itself the operating system says who they are.
pub static ENTRANCES: &[EntranceOperation] = &[
    entrance(Method::POST, "/v1/sessions", handlers::sign_in),
    entrance(Method::POST, "/v1/sessions/enrolments", handlers::enrol),
    entrance(Method::POST, "/v1/sessions/end", handlers::sign_out),
    entrance(Method::GET, "/v1/sessions/providers", handlers::providers),
    entrance(Method::GET, "/v1/sessions/oidc", handlers::begin_in_browser),
    entrance(Method::GET, CALLBACK, handlers::return_to_browser),
    entrance(Method::POST, "/v1/sessions/device", handlers::begin_device),
    entrance(
        Method::POST,
        "/v1/sessions/device/poll",
        handlers::poll_device,
    ),
];

fn filter(method: &Method) -> MethodFilter {
    if *method == Method::GET {
        MethodFilter::GET
    } else {
        MethodFilter::POST
    }
}

/// Builds the router over the parts behind the edge.
pub fn router(app: App) -> Router {
    let mut router = Router::new();
    for operation in OPERATIONS {
        let handler = operation.handler;
        let service = on(
            filter(&operation.method),
            move |State(app): State<App>, path: RawPathParams, request: Request<Body>| {
                let id = path.iter().next().map(|(_, id)| id.to_owned());
                answer(app, id, request, handler)
            },
        );
        router = router.route(operation.path, service);
    }
    if matches!(app.entrance, Entrance::Network) {
        for entrance in ENTRANCES {
            let handler = entrance.handler;
            let service = on(
                filter(&entrance.method),
                move |State(app): State<App>, request: Request<Body>| arrive(app, request, handler),
            );
            router = router.route(entrance.path, service);
        }
        router = router
            .route("/health", on(MethodFilter::GET, async || told(true)))
            .route("/ready", on(MethodFilter::GET, ready));
    }
    with_fallbacks(router).with_state(app)
}

/// Tells whoever keeps the server running whether it takes work, and nothing else: neither what is wrong nor whose it is.
async fn ready(State(app): State<App>) -> Response<Body> {
    let ready = tokio::task::spawn_blocking(move || app.door.is_ready()).await;
    told(ready.unwrap_or(false))
}

fn told(is_well: bool) -> Response<Body> {
    let mut answer = Response::new(Body::from(if is_well { "ok\n" } else { "not ready\n" }));
    if !is_well {
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

/// Answers with a problem where there is no operation, too.
fn with_fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(no_operation)
        .method_not_allowed_fallback(no_operation)
}

async fn no_operation(method: Method, uri: Uri) -> Response<Body> {
    let what = format!("there is no operation `{method} {}`", uri.path());
    call::problem(&Problem::new(code::API_019, what))
}

async fn answer(
    app: App,
    id: Option<String>,
    request: Request<Body>,
    handler: Handler,
) -> Response<Body> {
    if request.method() == Method::GET && !request.body().is_end_stream() {
        let what = "a request of the method `GET` has no body";
        return call::problem(&Problem::new(code::API_010, what));
    }
    let session = match session(&app, request.headers(), request.extensions()) {
        Ok(session) => session,
        Err(problem) => return call::problem(&problem),
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let patience = match app.entrance {
        Entrance::Machine(_) => None,
        Entrance::Network => Some(PATIENCE),
    };
    let body = call::reader_of(request.into_body(), patience);
    on_a_thread(move || handler(&app, Call::new(session, id, query, body))).await
}

async fn arrive(
    app: App,
    request: Request<Body>,
    handler: fn(&App, Arrival) -> Result<Response<Body>, Problem>,
) -> Response<Body> {
    if request.method() == Method::GET && !request.body().is_end_stream() {
        let what = "a request of the method `GET` has no body";
        return call::problem(&Problem::new(code::API_010, what));
    }
    let shown = text(request.headers(), AUTHORIZATION.as_str());
    let token = match shown {
        Ok(field) => field.and_then(bearer).map(ToOwned::to_owned),
        Err(problem) => return call::problem(&problem),
    };
    let cookie = match cookie(request.headers()) {
        Ok(cookie) => cookie.map(ToOwned::to_owned),
        Err(problem) => return call::problem(&problem),
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let Some(Peer(address)) = request.extensions().get::<Peer>().copied() else {
        let what = "it is not known where the request comes from";
        return call::problem(&Problem::new(code::DOOR_020, what));
    };
    let body = call::reader_of(request.into_body(), Some(PATIENCE));
    on_a_thread(move || handler(&app, Arrival::new(address, (token, cookie), query, body))).await
}

/// Answers with what `work` comes to, on a thread that may block.
async fn on_a_thread(
    work: impl FnOnce() -> Result<Response<Body>, Problem> + Send + 'static,
) -> Response<Body> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => call::problem(&problem),
        Err(error) => call::problem(
            &Problem::new(code::API_012, "the work behind the API stopped")
                .because(error)
                .hint("nothing acknowledged is lost; please report what you did"),
        ),
    }
}

/// Makes the session of the caller, or of the narrower principal that the caller acts as.
fn session(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Result<Session, Problem> {
    let purpose = text(headers, HEADER_PURPOSE)?
        .map(str::parse::<Purpose>)
        .transpose()
        .map_err(|error| Problem::new(code::API_013, error.to_string()))?;
    let act_as = text(headers, HEADER_AS)?;
    match (&app.entrance, act_as) {
        (Entrance::Machine(shown), None) => Ok(app.door.authenticate(shown, purpose, "cli")),
        (Entrance::Machine(shown), Some(name)) => {
            let person = app.door.authenticate(shown, purpose, "cli");
            app.door.act_as(&person, name)
        }
        (Entrance::Network, act_as) => {
            // Without an address nobody is let in.
            let peer = extensions.get::<Peer>();
            let token = text(headers, AUTHORIZATION.as_str())?.and_then(bearer);
            let token = token.filter(|_| peer.is_some());
            let address = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
            let session = app.door.sign_in(token, address, purpose)?;
            if act_as.is_some() {
                let what = "over the network nobody acts as another";
                return Err(Problem::new(code::DOOR_024, what)
                    .hint("leave `--as` out, or do it on the machine of the workspace"));
            }
            Ok(session)
        }
    }
}

/// Returns the token of an `Authorization` field (RFC 6750, section 2.1).
fn bearer(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns the cookie of a sign-in, which is there once or not at all (RFC 6265, section 4.2.1).
fn cookie(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(field) = text(headers, COOKIE.as_str())? else {
        return Ok(None);
    };
    let pairs = field
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    let mut own = pairs.filter(|(name, _)| *name == SIGN_IN_COOKIE);
    let found = own.next().map(|(_, value)| value);
    if own.next().is_some() {
        let what = format!("the cookie `{SIGN_IN_COOKIE}` is there more than once");
        return Err(Problem::new(code::API_020, what));
    }
    Ok(found)
}

/// Reads a header that may be there once. One that cannot be read is refused: to act without it would be to act with more
/// rights than were asked for.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let unreadable =
        |what: &str| Problem::new(code::API_020, format!("the header `{name}` {what}"));
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(unreadable("is there more than once"));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| unreadable("is no UTF-8"))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use custody_wire::{PROBLEM_JSON, ProblemDetails};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn a_header_that_cannot_be_read_is_refused_and_not_left_out() {
        use http::HeaderName;

        let header = HeaderName::from_static(HEADER_AS);
        let mut headers = HeaderMap::new();
        assert_eq!(text(&headers, HEADER_AS).unwrap(), None);
        let name = HeaderValue::from_bytes("josé".as_bytes()).unwrap();
        headers.insert(header.clone(), name.clone());
        assert_eq!(text(&headers, HEADER_AS).unwrap(), Some("josé"));
        headers.append(header.clone(), name);
        let twice = text(&headers, HEADER_AS).unwrap_err();
        assert_eq!(twice.code, code::API_020, "{twice}");
        headers.insert(header, HeaderValue::from_bytes(b"jos\xe9").unwrap());
        let latin = text(&headers, HEADER_AS).unwrap_err();
        assert_eq!(latin.code, code::API_020, "{latin}");
    }

    #[test]
    fn the_cookie_of_a_sign_in_is_there_once() {
        let read = |fields: &[&str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(COOKIE, HeaderValue::from_str(field).unwrap());
            }
            cookie(&headers).map(|found| found.map(ToOwned::to_owned))
        };
        let own = |value: &str| format!("{SIGN_IN_COOKIE}={value}");
        assert_eq!(read(&[]).unwrap(), None);
        let among = format!("a=b; {}; c", own("x=y"));
        assert_eq!(read(&[&among]).unwrap().unwrap(), "x=y");
        for other in [
            "custody-sign-in=x",
            "__host-custody-sign-in=x",
            "a=__Host-custody-sign-in",
        ] {
            assert_eq!(read(&[other]).unwrap(), None, "{other}");
        }
        assert!(read(&[&format!("{}; {}", own("x"), own("y"))]).is_err());
        assert!(read(&[&own("x"), &own("y")]).is_err());
        let set = sign_in_cookie("x", 600);
        assert_eq!(
            set,
            "__Host-custody-sign-in=x; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"
        );
    }

    #[tokio::test]
    async fn what_is_no_operation_is_answered_with_a_problem() {
        let router = with_fallbacks(Router::<()>::new().route(
            "/v1/versions",
            on(MethodFilter::GET, async || "there are none"),
        ));
        for (method, path) in [(Method::GET, "/v1/none"), (Method::DELETE, "/v1/versions")] {
            let request = Request::builder().method(&method).uri(path);
            let request = request.body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.headers()["content-type"], PROBLEM_JSON);
            let status = answer.status().as_u16();
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            let details: ProblemDetails = serde_json::from_slice(&bytes).unwrap();
            assert_eq!((status, details.status), (404, 404));
            let problem = details.problem().unwrap();
            assert_eq!(problem.code, code::API_019);
            assert_eq!(
                problem.what,
                format!("there is no operation `{method} {path}`")
            );
        }
    }
}
