//! The table of pages, and the router that puts them beside the API.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{RawPathParams, State};
use axum::routing::{MethodFilter, on};
use custody_api::CALLBACK;
use custody_observe::Route;
use custody_types::{Clock, Entropy, Problem, ProblemKind, code};
use custody_wire::{Document, ProblemDetails, SessionReply};
use http::header::{ACCEPT, REFRESH, SET_COOKIE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::answer::{Answer, bare, secure, see_other, status_of};
use crate::assets;
use crate::browsers::{BrowserId, Browsers, NO_COOKIE};
use crate::checks::{self, Fields, Refused};
use crate::entrance::{self, Arrival, Entered};
use crate::pages;
use crate::shell::Place;
use crate::visit::{Asking, Visit, Whence};

/// How many pages are made at once, and how many who are not known yet are answered at once, so that strangers take nobody's turn.
/// Each holds a thread and waits for others of the API, of which there are more.
const AT_ONCE: usize = 32;
const STRANGERS_AT_ONCE: usize = 16;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(10);
/// The largest form.
const FORM_BYTES: usize = 64 << 10;
/// How long a form may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// What pages need of the machine, and how the server is called.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The names under which the server is known; `None`: its certificates say, which come from elsewhere.
    pub names: Option<Vec<String>>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws what browsers are known by.
    pub entropy: Arc<dyn Entropy>,
}

/// The pages of a server, with what is remembered of browsers.
#[derive(Debug, Clone)]
struct Pages(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) browsers: Browsers,
    pub(crate) entropy: Arc<dyn Entropy>,
    api: Router,
    names: Option<Vec<String>>,
    turns: Semaphore,
    turns_of_strangers: Semaphore,
}

/// Something that is shown or done for who signed in.
pub(crate) struct Page {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) handler: fn(&Visit<'_>) -> Result<Answer, Problem>,
}

/// Something that is shown or done for anybody.
struct Entrance {
    method: Method,
    path: &'static str,
    handler: fn(&Arrival<'_>) -> Result<Entered, Problem>,
}

static ENTRANCES: [Entrance; 4] = [
    Entrance {
        method: Method::GET,
        path: "/sign-in",
        handler: entrance::show_sign_in,
    },
    Entrance {
        method: Method::POST,
        path: "/sign-in",
        handler: entrance::sign_in,
    },
    Entrance {
        method: Method::GET,
        path: "/invitation",
        handler: entrance::show_invitation,
    },
    Entrance {
        method: Method::POST,
        path: "/invitation",
        handler: entrance::enrol,
    },
];

/// Lists everything that is shown or done for who signed in: method and path, with `{…}` for what a path names.
pub fn paths() -> impl Iterator<Item = (&'static Method, &'static str)> {
    pages::ALL.iter().map(|page| (&page.method, page.path))
}

/// Puts the pages beside the API: what begins with `/v1/`, and what tells whether the server is well, is the API's as before.
pub fn router(api: Router, settings: Settings) -> Router {
    let Settings {
        names,
        clock,
        entropy,
    } = settings;
    let pages = Pages(Arc::new(Inner {
        browsers: Browsers::new(clock, entropy.clone()),
        entropy,
        api: api.clone(),
        names,
        turns: Semaphore::new(AT_ONCE),
        turns_of_strangers: Semaphore::new(STRANGERS_AT_ONCE),
    }));
    let kept = pages.clone();
    let mut router: Router<Pages> = Router::new();
    for page in pages::ALL {
        let service = on(
            filter(&page.method),
            move |State(pages): State<Pages>, names: RawPathParams, request: Request<Body>| {
                let names = names.iter().map(|(_, name)| name.to_owned()).collect();
                let route = Route::new(page.method.as_str(), page.path);
                routed(route, visited(pages, Some(page), names, request))
            },
        );
        router = router.route(page.path, service);
    }
    for entrance in &ENTRANCES {
        let service = on(
            filter(&entrance.method),
            move |State(pages): State<Pages>, request: Request<Body>| {
                let route = Route::new(entrance.method.as_str(), entrance.path);
                routed(route, arrived(pages, entrance, request))
            },
        );
        router = router.route(entrance.path, service);
    }
    let other = async |State(pages): State<Pages>, request: Request<Body>| {
        visited(pages, None, Vec::new(), request).await
    };
    let pages = router
        .fallback(other)
        .method_not_allowed_fallback(other)
        .with_state(pages);
    Router::new().fallback(async move |request: Request<Body>| {
        let mut response = if is_return(&request) {
            routed(Route::new("GET", CALLBACK), returned(kept, request)).await
        } else {
            let is_api = is_of_api(request.uri().path());
            let chosen = if is_api { api } else { pages };
            match chosen.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        };
        secure(response.headers_mut());
        response
    })
}

/// Answers as a page, which who watches over the server counts.
async fn routed(route: Route, answer: impl Future<Output = Response<Body>>) -> Response<Body> {
    let mut answer = answer.await;
    answer.extensions_mut().insert(route);
    answer
}

fn filter(method: &Method) -> MethodFilter {
    if *method == Method::GET {
        MethodFilter::GET
    } else {
        MethodFilter::POST
    }
}

fn is_of_api(path: &str) -> bool {
    let own = ["/v1", "/health", "/ready", "/metrics"];
    own.contains(&path) || path.starts_with("/v1/")
}

/// Whether a browser comes back from an identity provider: others are answered by the API.
fn is_return(request: &Request<Body>) -> bool {
    let accepts = checks::one(request.headers(), &ACCEPT);
    let is_browser = accepts.is_some_and(|types| types.contains("text/html"));
    is_browser && *request.method() == Method::GET && request.uri().path() == CALLBACK
}

/// What was found out about a request before anything is done for it.
struct Checked {
    whence: Whence,
    browser: Option<BrowserId>,
    query: Fields,
    form: Fields,
    /// Whether the script asks for a part of a page by itself.
    is_polled: bool,
}

impl Pages {
    async fn check(&self, request: Request<Body>) -> Result<Checked, Refused> {
        let (head, body) = request.into_parts();
        let host = checks::host(&head.headers, self.0.names.as_deref())?;
        let refused = |status, why| Refused { status, why };
        let unclear = refused(StatusCode::BAD_REQUEST, "the request cannot be understood");
        let Some(whence) = Whence::of(&head.extensions) else {
            return Err(unclear);
        };
        let query = head.uri.query().unwrap_or_default();
        let query = Fields::read(query.as_bytes()).ok_or(unclear)?;
        let mut form = Fields::default();
        if head.method != Method::GET && head.method != Method::HEAD {
            checks::is_from_here(&head.headers, &host)?;
            let large = refused(StatusCode::PAYLOAD_TOO_LARGE, "the form is too large");
            let bytes = timeout(PATIENCE, to_bytes(body, FORM_BYTES)).await;
            let bytes = bytes.map_err(|_| unclear)?.map_err(|_| large)?;
            form = Fields::read(&bytes).ok_or(unclear)?;
        }
        Ok(Checked {
            whence,
            browser: checks::browser(&head.headers),
            query,
            form,
            is_polled: head.headers.contains_key("hx-request"),
        })
    }

    fn asking(&self, whence: Whence) -> Asking {
        Asking {
            api: self.0.api.clone(),
            handle: Handle::current(),
            whence,
        }
    }

    /// Does `work` on a thread that may block, once it has its turn.
    async fn in_turn(
        &self,
        turns: fn(&Inner) -> &Semaphore,
        work: impl FnOnce(&Inner) -> Response<Body> + Send + 'static,
    ) -> Response<Body> {
        let busy = || {
            bare(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many pages are asked for at once: try again in some seconds",
            )
        };
        let Ok(Ok(_turn)) = timeout(TURN, turns(&self.0).acquire()).await else {
            return busy();
        };
        let inner = self.0.clone();
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(response) => response,
            Err(_) => bare(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the work behind the page stopped; nothing acknowledged is lost",
            ),
        }
    }
}

/// Has the script lead the browser to another page.
fn sent_by_script(place: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let place = HeaderValue::from_static(place);
    response.headers_mut().insert("hx-redirect", place);
    response
}

fn too_old() -> Response<Body> {
    bare(
        StatusCode::FORBIDDEN,
        "this form is of an earlier session: go back, load the page again, and send it once more",
    )
}

/// Answers who signed in with a page; whoever did not is led to where they can, and told nothing else.
async fn visited(
    pages: Pages,
    page: Option<&'static Page>,
    names: Vec<String>,
    request: Request<Body>,
) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if let Some(file) = assets::file(&path).filter(|_| method == Method::GET) {
        let route = Route::new("GET", "/assets/{file}");
        return routed(route, async { file }).await;
    }
    let place = request.uri().path_and_query().map(ToString::to_string);
    let checked = match pages.check(request).await {
        Ok(checked) => checked,
        Err(refused) => return bare(refused.status, refused.why),
    };
    let browsers = &pages.0.browsers;
    let known = checked.browser.clone().and_then(|id| {
        let browser = browsers.find(&id, !checked.is_polled)?;
        Some((id, browser))
    });
    let Some((id, browser)) = known else {
        if checked.is_polled {
            // The script asks for a part of a page, in whose place no other page shall stand.
            return sent_by_script("/sign-in");
        }
        let place = place.filter(|_| method == Method::GET);
        return see_other(&entrance::place_of_sign_in(place.as_deref()));
    };
    let changes = method != Method::GET && method != Method::HEAD;
    if changes && !browsers.is_form_token(&id, checked.form.get("token")) {
        return too_old();
    }
    let asking = pages.asking(checked.whence);
    pages
        .in_turn(
            |inner| &inner.turns,
            move |inner| {
                let api = asking.as_session(&browser.token);
                let api = api.map(|api| api.for_purpose(browser.purpose.clone()));
                let Ok(api) = api else {
                    return bare(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "the session cannot be shown",
                    );
                };
                let visit = Visit {
                    pages: inner,
                    api,
                    asking,
                    id,
                    account: browser.account,
                    token: browser.token,
                    ends: browser.ends,
                    purpose: browser.purpose,
                    names,
                    query: checked.query,
                    form: checked.form,
                    is_polled: checked.is_polled,
                };
                let missing = || Problem::new(code::WEB_003, "there is no such page");
                let answer = match page {
                    Some(page) => (page.handler)(&visit),
                    None => Err(missing()),
                };
                match answer {
                    Ok(answer) => answer.into_response(),
                    Err(problem) => told(&visit, problem),
                }
            },
        )
        .await
}

/// Answers with what cannot be shown, and why. Who is not known to the API any more signs in again.
fn told(visit: &Visit<'_>, problem: Problem) -> Response<Body> {
    if problem.kind() == ProblemKind::Unauthenticated {
        visit.pages.browsers.forget(&visit.id);
        let mut response = if visit.is_polled {
            sent_by_script("/sign-in")
        } else {
            see_other("/sign-in")
        };
        let none = HeaderValue::from_static(NO_COOKIE);
        response.headers_mut().append(SET_COOKIE, none);
        return response;
    }
    let status = status_of(&problem);
    let shell = visit.shell(problem.code.title(), Place::Nowhere);
    let kind = problem.kind();
    let page = pages::Failed {
        shell,
        problem,
        request: visit.asking.whence.request,
    };
    let mut response = Answer::under(status, &page)
        .map_or_else(|problem| bare(status, &problem.what), Answer::into_response);
    response.extensions_mut().insert::<ProblemKind>(kind);
    response
}

/// Answers who is not known yet.
async fn arrived(
    pages: Pages,
    entrance: &'static Entrance,
    request: Request<Body>,
) -> Response<Body> {
    let method = request.method().clone();
    let checked = match pages.check(request).await {
        Ok(checked) => checked,
        Err(refused) => return bare(refused.status, refused.why),
    };
    let browsers = &pages.0.browsers;
    let is_new = checked.browser.is_none();
    let id = checked.browser.unwrap_or_else(|| browsers.draw());
    let changes = method != Method::GET && method != Method::HEAD;
    if changes && (is_new || !browsers.is_form_token(&id, checked.form.get("token"))) {
        return too_old();
    }
    let asking = pages.asking(checked.whence);
    pages
        .in_turn(
            |inner| &inner.turns_of_strangers,
            move |inner| {
                let arrival = Arrival {
                    pages: inner,
                    browser: inner.browsers.find(&id, true),
                    asking,
                    id: id.clone(),
                    query: checked.query,
                    form: checked.form,
                };
                let entered = (entrance.handler)(&arrival);
                let (answer, cookie) = match entered {
                    Ok(Entered { answer, cookie }) => (answer.into_response(), cookie),
                    Err(problem) => (bare(status_of(&problem), &problem.what), None),
                };
                let cookie = cookie.or_else(|| is_new.then(|| id.to_cookie()));
                with_cookie(answer, cookie)
            },
        )
        .await
}

/// Answers a browser that comes back from an identity provider: the API decides who it is, and the session stays here.
async fn returned(pages: Pages, request: Request<Body>) -> Response<Body> {
    let headers = request.headers();
    if let Err(refused) = checks::host(headers, pages.0.names.as_deref()) {
        return bare(refused.status, refused.why);
    }
    let browsers = &pages.0.browsers;
    let id = checks::browser(headers).unwrap_or_else(|| browsers.draw());
    let Some(whence) = Whence::of(request.extensions()) else {
        return bare(StatusCode::BAD_REQUEST, "the request cannot be understood");
    };
    let answer = match pages.0.api.clone().oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let (head, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, FORM_BYTES).await else {
        return bare(StatusCode::BAD_GATEWAY, "the answer is too large");
    };
    let session = session_of(head.status, &bytes);
    let asking = pages.asking(whence);
    let answered = pages.in_turn(
        |inner| &inner.turns_of_strangers,
        move |inner| {
            let arrival = Arrival {
                pages: inner,
                browser: inner.browsers.find(&id, true),
                asking,
                id: id.clone(),
                query: Fields::default(),
                form: Fields::default(),
            };
            match entrance::come_back(&arrival, session) {
                Ok(Entered {
                    answer,
                    cookie: Some(cookie),
                }) => {
                    let mut response = with_cookie(answer.into_response(), Some(cookie));
                    let home = HeaderValue::from_static("0; url=/home");
                    response.headers_mut().insert(REFRESH, home);
                    response
                }
                Ok(Entered { answer, .. }) => {
                    with_cookie(answer.into_response(), Some(id.to_cookie()))
                }
                Err(problem) => bare(status_of(&problem), &problem.what),
            }
        },
    );
    let mut response = answered.await;
    // What was kept for the way to the provider is of no use any more.
    if let Some(gone) = head.headers.get(SET_COOKIE) {
        response.headers_mut().append(SET_COOKIE, gone.clone());
    }
    response
}

/// Reads what the API made of a sign-in.
fn session_of(status: StatusCode, bytes: &[u8]) -> Result<SessionReply, Problem> {
    let garbled = || Problem::new(code::WEB_001, "the page cannot be shown");
    if status == StatusCode::OK {
        let reply: Document<SessionReply> =
            serde_json::from_slice(bytes).map_err(|error| garbled().because(error))?;
        return Ok(reply.body);
    }
    let told: ProblemDetails =
        serde_json::from_slice(bytes).map_err(|error| garbled().because(error))?;
    Err(told.problem().unwrap_or_else(|_| garbled()))
}

fn with_cookie(mut response: Response<Body>, cookie: Option<String>) -> Response<Body> {
    if let Some(cookie) = cookie.and_then(|field| HeaderValue::from_str(&field).ok()) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
