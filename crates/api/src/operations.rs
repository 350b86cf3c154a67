//! The table of operations, and the router built from it.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, State};
use axum::middleware::from_fn;
use axum::routing::{MethodFilter, on};
use custody_guard::Session;
use custody_observe::{Route, at};
use custody_types::{Action, Problem, Purpose, code};
use custody_wire::{HEADER_AS, HEADER_PURPOSE};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;

use crate::app::{App, Entrance, Peer};
use crate::asked::{Asked, Asks};
use crate::call::{self, Call, Visitor};
use crate::handlers;
use crate::observed::{self, routed};
use crate::openapi::openapi;
use crate::told::{Tells, Told};

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
    /// What it is called among the operations.
    pub id: &'static str,
    /// What it does, in a phrase.
    pub summary: &'static str,
    pub(crate) shape: Shape,
    handler: Handler,
}

/// What a request of an operation carries, and how it is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) asks: Asks,
    pub(crate) tells: &'static [Tells],
}

/// Returns the shape of the operation that a handler carries out for `W`, who asks.
const fn shape<W, A: Asked, T: Told>(_: fn(&App, &W, A) -> Result<T, Problem>) -> Shape {
    Shape {
        asks: A::ASKS,
        tells: T::TELLS,
    }
}

type Handler = fn(&App, &Session, Call) -> Result<Response<Body>, Problem>;

/// An operation by method, path, actions, and the handler, which bears its name.
macro_rules! operation {
    ($method:ident $path:literal, [$($action:ident),+], $handler:ident, $summary:literal) => {
        Operation {
            method: Method::$method,
            path: $path,
            actions: &[$(Action::$action),+],
            id: stringify!($handler),
            summary: $summary,
            shape: shape(handlers::$handler),
            handler: |app, session, call| {
                handlers::$handler(app, session, Asked::read(call)?)?.tell()
            },
        }
    };
}

/// Everything that can be asked.
#[rustfmt::skip]
pub static OPERATIONS: &[Operation] = &[
    operation!(GET "/v1/versions", [List], list_versions, "List versions, a page at a time"),
    operation!(GET "/v1/projects", [List], list_projects, "List the projects in which the caller may see something"),
    operation!(POST "/v1/versions", [Write], put_version, "Make a version of files"),
    operation!(GET "/v1/version", [List], show_version, "Show a version with its files and evidence"),
    operation!(GET "/v1/files", [Export], export_version, "Take out the files of a version"),
    operation!(GET "/v1/data/schema", [List], data_schema, "Show the columns of a version"),
    operation!(GET "/v1/data/head", [Read, ReadLog], data_head, "Show the first rows of a version"),
    operation!(GET "/v1/data/profile", [Read, ReadLog], data_profile, "Profile the columns of a version"),
    operation!(POST "/v1/data/diff", [Read, ReadLog], data_diff, "Compare the rows of two versions"),
    operation!(POST "/v1/aliases", [SetAlias], set_alias, "Let an alias name a version"),
    operation!(GET "/v1/trace", [Trace], trace, "Trace what a version was made of, or what was made of it"),
    operation!(GET "/v1/bom", [Trace], bom, "Make a bill of materials of a version"),
    operation!(GET "/v1/claims", [Trace], claims, "Take out the signed statements about a version"),
    operation!(POST "/v1/verify", [Verify], verify, "Verify a version, or everything"),
    operation!(POST "/v1/reproduce", [Reproduce], reproduce, "Make a version again and compare"),
    operation!(POST "/v1/runs", [StartRun], start_run, "Run a pipeline"),
    operation!(GET "/v1/runs", [ReadRun], list_runs, "List runs, the newest first"),
    operation!(GET "/v1/runs/{id}", [ReadRun], show_run, "Show a run with what happened in it"),
    operation!(GET "/v1/runs/{id}/events", [ReadRun], run_events, "Follow a run to its end"),
    operation!(POST "/v1/runs/{id}/cancel", [CancelRun], cancel_run, "End a run"),
    operation!(POST "/v1/status", [Trace, List], show_status, "Say which steps of a pipeline would run, and why"),
    operation!(POST "/v1/metrics", [Trace, Read], list_metrics, "List the figures of models and runs"),
    operation!(GET "/v1/evaluation", [Read], show_evaluation, "Show the evaluation of a model"),
    operation!(POST "/v1/compare", [Trace, Read], compare_models, "Compare two models or runs"),
    operation!(GET "/v1/ledger/entries", [ReadLedger], ledger_entries, "List entries of the ledger"),
    operation!(GET "/v1/ledger/entries/{index}", [ReadLedger], ledger_entry, "Show an entry with the proof that it is in the ledger"),
    operation!(POST "/v1/ledger/verify", [ReadLedger], verify_ledger, "Verify the ledger"),
    operation!(POST "/v1/ledger/rollback", [AcceptRollback], accept_rollback, "Accept that the workspace was put back to an earlier state"),
    operation!(GET "/v1/ledger/export", [ExportLedger], export_ledger, "Take out the ledger"),
    operation!(GET "/v1/policy", [ReadPolicy], show_policy, "Show the policies in force"),
    operation!(POST "/v1/policy", [ChangePolicy, ChangeIdentity, ProposeChange], change_policy, "Put other policies in force, or propose them"),
    operation!(GET "/v1/policy/proposals", [ReadPolicy, ReadIdentity], list_proposals, "List the changes that wait for a second person"),
    operation!(POST "/v1/policy/approvals", [ChangePolicy, ChangeIdentity], approve_change, "Put in force what another person proposed"),
    operation!(POST "/v1/policy/break-glass", [ChangePolicy, ChangeIdentity], break_glass, "Put the built-in policies back, as the holder of the key"),
    operation!(POST "/v1/policy/validations", [ReadPolicy, ReadIdentity], validate_policies, "Validate policies that are not in force"),
    operation!(POST "/v1/policy/tests", [ReadPolicy], test_policies, "Run the tests of policies that are not in force"),
    operation!(POST "/v1/policy/differences", [ReadPolicy], compare_policies, "Say what policies would decide otherwise than those in force"),
    operation!(POST "/v1/policy/explanations", [ReadPolicy, ReadIdentity, ReadLedger], explain, "Explain a decision"),
    operation!(POST "/v1/policy/replays", [ReadPolicy, ReadLedger], replay, "Decide again by other policies what was decided"),
    operation!(GET "/v1/identity", [ReadIdentity], show_identity, "Show accounts and groups with their rights"),
    operation!(POST "/v1/identity", [ChangeIdentity, ProposeChange], change_identity, "Change accounts and groups, or propose it"),
    operation!(GET "/v1/tokens", [ReadIdentity], list_tokens, "List tokens"),
    operation!(POST "/v1/tokens", [CreateToken], create_token, "Make a token"),
    operation!(POST "/v1/invitations", [Invite], invite, "Invite a person to sign in"),
    operation!(POST "/v1/tokens/revocations", [RevokeToken], revoke_token, "Take a token back"),
    operation!(POST "/v1/scans", [List, ScanModel], rescan, "Scan models again"),
    operation!(GET "/v1/approvals", [List], list_approvals, "List what waits for approvals"),
    operation!(POST "/v1/approvals", [Approve], approve, "Approve what waits"),
    operation!(POST "/v1/rejections", [Reject], reject, "Reject what waits"),
    operation!(POST "/v1/removals", [Remove], remove, "Remove the bytes of a version"),
    operation!(POST "/v1/shreddings", [Shred], shred, "Shred a project: forget its keys"),
    operation!(GET "/v1/keys", [ReadKeys], show_keys, "Show which keys are in use"),
    operation!(POST "/v1/keys/rotate", [RotateKeys], rotate_keys, "Let new keys take the place of those in use"),
    operation!(POST "/v1/keys/passphrase", [RotateKeys], change_passphrase, "Change the passphrase of the key file"),
    operation!(GET "/metrics", [ReadMetrics], server_metrics, "Take what the server counts of its work"),
    operation!(POST "/v1/rules", [ChangeRules], change_rules, "Put other rules of the scanner in force"),
    operation!(POST "/v1/signatures", [SignModel], list_signable, "List what may be signed of a model"),
    operation!(POST "/v1/index/rebuild", [RebuildIndex], rebuild_index, "Rebuild the index from the store and the ledger"),
];

/// Something that is asked before it is known who asks.
#[derive(Debug, Clone)]
pub struct EntranceOperation {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) shape: Shape,
    handler: Entering,
}

type Entering = fn(&App, &Visitor, Call) -> Result<Response<Body>, Problem>;

macro_rules! entrance {
    ($method:ident $path:expr, $handler:ident, $summary:literal) => {
        EntranceOperation {
            method: Method::$method,
            path: $path,
            id: stringify!($handler),
            summary: $summary,
            shape: shape(handlers::$handler),
            handler: |app, visitor, call| {
                handlers::$handler(app, visitor, Asked::read(call)?)?.tell()
            },
        }
    };
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
#[rustfmt::skip]
pub static ENTRANCES: &[EntranceOperation] = &[
    entrance!(POST "/v1/sessions", sign_in, "Sign in by password and code"),
    entrance!(POST "/v1/sessions/enrolments", enrol, "Set a password and an authenticator by an invitation"),
    entrance!(POST "/v1/sessions/end", sign_out, "End one's session"),
    entrance!(GET "/v1/sessions/providers", providers, "List the identity providers"),
    entrance!(GET "/v1/sessions/oidc", begin_in_browser, "Begin to sign in by a provider, in a browser"),
    entrance!(GET CALLBACK, return_to_browser, "Come back from a provider"),
    entrance!(POST "/v1/sessions/device", begin_device, "Begin to sign in by a provider, at a terminal"),
    entrance!(POST "/v1/sessions/device/poll", poll_device, "Ask whether the code of a terminal was confirmed"),
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
                let route = Route::new(operation.method.as_str(), operation.path);
                routed(route, answer(app, id, request, handler))
            },
        );
        router = router.route(operation.path, service);
    }
    if matches!(app.entrance, Entrance::Network(_)) {
        for entrance in ENTRANCES {
            let handler = entrance.handler;
            let service = on(
                filter(&entrance.method),
                move |State(app): State<App>, request: Request<Body>| {
                    let route = Route::new(entrance.method.as_str(), entrance.path);
                    routed(route, arrive(app, request, handler))
                },
            );
            router = router.route(entrance.path, service);
        }
        let description = openapi().to_string();
        let described = async move || {
            let described = call::answer(StatusCode::OK, "application/json", description.into());
            let described = async { described.unwrap_or_else(|problem| call::problem(&problem)) };
            routed(Route::new("GET", "/v1/openapi.json"), described).await
        };
        let health = async move || routed(Route::new("GET", "/health"), async { told(true) }).await;
        let ready = async move |app| routed(Route::new("GET", "/ready"), ready(app)).await;
        router = router
            .route("/health", on(MethodFilter::GET, health))
            .route("/ready", on(MethodFilter::GET, ready))
            .route("/v1/openapi.json", on(MethodFilter::GET, described));
    }
    with_fallbacks(router)
        .with_state(app)
        .layer(from_fn(observed::named))
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
        .method_not_allowed_fallback(no_method)
}

async fn no_operation(method: Method, uri: Uri) -> Response<Body> {
    let what = format!("there is no operation `{method} {}`", uri.path());
    call::problem(&Problem::new(code::API_019, what))
}

/// The router says in `Allow` which methods there are.
async fn no_method(method: Method, uri: Uri) -> Response<Body> {
    let what = format!("`{}` cannot be asked by the method `{method}`", uri.path());
    call::problem(&Problem::new(code::API_023, what))
}

async fn answer(
    app: App,
    id: Option<String>,
    request: Request<Body>,
    handler: Handler,
) -> Response<Body> {
    let session = match session(&app, request.headers(), request.extensions()) {
        Ok(session) => session,
        Err(problem) => {
            let too_many = of_stranger(&app, &request).err();
            return too_many.map_or_else(|| call::problem(&problem), |answer| *answer);
        }
    };
    let Entrance::Network(budgets) = &app.entrance else {
        return match call_of(id, request, None) {
            Ok(call) => on_a_thread(move || handler(&app, &session, call)).await,
            Err(problem) => call::problem(&problem),
        };
    };
    let place = observed::place(request.extensions());
    let admitted = match budgets.admit(&session) {
        Ok(admitted) => admitted,
        Err(answer) => return *answer,
    };
    let share = admitted.clone();
    let request = match *request.method() {
        // It has no body, which is to be seen.
        Method::GET => request,
        _ => request.map(|body| share.body(body)),
    };
    let answer = match call_of(id, request, Some(PATIENCE)) {
        Ok(call) => on_a_thread(at(place, move || handler(&app, &session, call))).await,
        Err(problem) => call::problem(&problem),
    };
    answer.map(|body| admitted.body(body))
}

/// Counts a request of somebody who is not known.
fn of_stranger(app: &App, request: &Request<Body>) -> Result<(), Box<Response<Body>>> {
    match (&app.entrance, request.extensions().get::<Peer>()) {
        (Entrance::Network(budgets), Some(Peer(address))) => budgets.stranger(*address),
        _ => Ok(()),
    }
}

async fn arrive(app: App, request: Request<Body>, handler: Entering) -> Response<Body> {
    let place = observed::place(request.extensions());
    if let Err(answer) = of_stranger(&app, &request) {
        return *answer;
    }
    let arrived = visitor(&request).and_then(|visitor| {
        let call = call_of(None, request, Some(PATIENCE))?;
        Ok((visitor, call.of_a_stranger()))
    });
    match arrived {
        Ok((visitor, call)) => on_a_thread(at(place, move || handler(&app, &visitor, call))).await,
        Err(problem) => call::problem(&problem),
    }
}

/// Reads who asks before it is known.
fn visitor(request: &Request<Body>) -> Result<Visitor, Problem> {
    let token = text(request.headers(), AUTHORIZATION.as_str())?.and_then(bearer);
    let cookie = cookie(request.headers())?;
    let Some(Peer(address)) = request.extensions().get::<Peer>().copied() else {
        let what = "it is not known where the request comes from";
        return Err(Problem::new(code::DOOR_020, what));
    };
    Ok(Visitor {
        address,
        token: token.map(ToOwned::to_owned),
        cookie: cookie.map(ToOwned::to_owned),
    })
}

/// Takes what a request carries. `patience`: how long the next piece of its body may take.
fn call_of(
    id: Option<String>,
    request: Request<Body>,
    patience: Option<Duration>,
) -> Result<Call, Problem> {
    if request.method() == Method::GET && !request.body().is_end_stream() {
        let what = "a request of the method `GET` has no body";
        return Err(Problem::new(code::API_010, what));
    }
    let (head, body) = request.into_parts();
    let media_type = text(&head.headers, CONTENT_TYPE.as_str())?;
    let query = head.uri.query().unwrap_or_default();
    let body = call::reader_of(body, patience);
    Ok(Call::new(id, query, media_type, body))
}

/// Answers with what `work` comes to, on a thread that may block.
async fn on_a_thread(
    work: impl FnOnce() -> Result<Response<Body>, Problem> + Send + 'static,
) -> Response<Body> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => call::problem(&problem),
        // What the fault says may hold what was worked on.
        Err(_) => call::problem(
            &Problem::new(code::API_012, "the work behind the API stopped")
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
        (Entrance::Network(_), act_as) => {
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
    use http::header::ALLOW;
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
        for (method, path, status, code, what) in [
            (
                Method::GET,
                "/v1/none",
                404,
                code::API_019,
                "there is no operation `GET /v1/none`",
            ),
            (
                Method::DELETE,
                "/v1/versions",
                405,
                code::API_023,
                "`/v1/versions` cannot be asked by the method `DELETE`",
            ),
        ] {
            let request = Request::builder().method(&method).uri(path);
            let request = request.body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.headers()["content-type"], PROBLEM_JSON);
            let told = answer.status().as_u16();
            let allowed = answer.headers().get(ALLOW).cloned();
            assert_eq!(allowed.is_some(), told == 405, "{allowed:?}");
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            let details: ProblemDetails = serde_json::from_slice(&bytes).unwrap();
            assert_eq!((told, details.status), (status, status));
            let problem = details.problem().unwrap();
            assert_eq!((problem.code, problem.what.as_str()), (code, what));
        }
    }
}
