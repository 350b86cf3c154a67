//! The client before an API that answers what a test tells it to: what it sends, and what it makes of the answers.
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use custody_client::{Client, Transport};
use custody_types::{Classification, Kind, Problem, code};
use custody_wire::{ListQuery, ProblemDetails, PutQuery, RunRequest, VerifyRequest};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

/// What was asked: method, path with query, headers of ours, body.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    line: String,
    act_as: Option<String>,
    purpose: Option<String>,
    body: Result<Vec<u8>, String>,
}

fn header(request: &Request<Body>, name: &str) -> Option<String> {
    let value = request.headers().get(name);
    value.map(|value| value.to_str().unwrap().to_owned())
}

async fn note(request: Request<Body>) -> Asked {
    let line = format!("{} {}", request.method(), request.uri());
    let act_as = header(&request, custody_wire::HEADER_AS);
    let purpose = header(&request, custody_wire::HEADER_PURPOSE);
    let body = request.into_body().collect().await;
    Asked {
        line,
        act_as,
        purpose,
        body: body
            .map(|body| body.to_bytes().to_vec())
            .map_err(|error| error.to_string()),
    }
}

/// An API that gives one answer to everything.
struct Answering {
    client: Client,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Answering {
    fn new(answer: impl Fn() -> Response<Body> + Clone + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request<Body>| {
            let (noted, answer) = (Arc::clone(&noted), answer.clone());
            async move {
                let one = note(request).await;
                noted.lock().unwrap().push(one);
                answer()
            }
        });
        Self {
            client: Client::new(Transport::InProcess(router)).unwrap(),
            asked,
        }
    }

    fn json(answer: Value) -> Self {
        Self::new(move || Response::new(Body::from(answer.to_string())))
    }

    fn asked(&self) -> Asked {
        self.asked.lock().unwrap().pop().unwrap()
    }
}

fn empty_list() -> Value {
    json!({"schema": "custody/list/1", "versions": []})
}

#[test]
fn what_is_asked_for_stands_in_the_request_and_so_does_who_asks_for_what() {
    let mut api = Answering::json(empty_list());
    let query = ListQuery {
        artifact: Some("demo/raw".parse().unwrap()),
        quarantine: true,
        after: Some("a&b=c d/é".to_owned()),
        ..ListQuery::default()
    };
    api.client.list(&query).unwrap();
    let asked = api.asked();
    assert_eq!(
        asked.line,
        "GET /v1/versions?artifact=demo%2Fraw&quarantine=true&after=a%26b%3Dc+d%2F%C3%A9"
    );
    assert_eq!((asked.act_as, asked.purpose), (None, None));

    api.client = api
        .client
        .acting_as(Some("ada".to_owned()))
        .for_purpose(Some("credit-scoring".parse().unwrap()));
    api.client.list(&ListQuery::default()).unwrap();
    let asked = api.asked();
    assert_eq!(asked.line, "GET /v1/versions?quarantine=false");
    assert_eq!(asked.act_as.as_deref(), Some("ada"));
    assert_eq!(asked.purpose.as_deref(), Some("credit-scoring"));
}

#[test]
fn a_principal_that_cannot_stand_in_a_header_is_not_sent() {
    let api = Answering::json(empty_list());
    let client = api.client.acting_as(Some("ada\r\nX-Other: 1".to_owned()));
    let problem = client.list(&ListQuery::default()).unwrap_err();
    assert_eq!(problem.code, code::API_001);
    assert!(api.asked.lock().unwrap().is_empty());
}

#[test]
fn a_problem_is_the_one_that_the_api_told() {
    let told = Problem::new(code::DOOR_001, "`ada` may not list `demo`").hint("ask the owner");
    let details = serde_json::to_vec(&ProblemDetails::from(&told)).unwrap();
    let status = StatusCode::from_u16(told.kind().status()).unwrap();
    let api = Answering::new(move || {
        let mut response = Response::new(Body::from(details.clone()));
        *response.status_mut() = status;
        response
    });
    assert_eq!(api.client.list(&ListQuery::default()).unwrap_err(), told);
    let request = VerifyRequest {
        reference: None,
        require: Vec::new(),
    };
    assert_eq!(api.client.verify(&request).unwrap_err(), told);
    assert_eq!(api.asked().line, "POST /v1/verify");
    assert_eq!(
        api.client.export("demo/a@1", |_| Ok(())).unwrap_err(),
        told,
        "nothing is handed to who would read the files"
    );
}

#[test]
fn an_answer_of_another_kind_is_no_answer() {
    for (answer, because) in [
        (
            json!({"schema": "custody/show/1", "versions": []}),
            "not a `custody/list/1`",
        ),
        (
            json!({"schema": "custody/list/2", "versions": []}),
            "not a `custody/list/1`",
        ),
        (json!({"versions": []}), "schema"),
        (json!({"schema": "custody/list/1"}), "versions"),
    ] {
        let problem = Answering::json(answer).client.list(&ListQuery::default());
        let problem = problem.unwrap_err();
        assert_eq!(problem.code, code::API_004);
        assert!(problem.because[0].contains(because), "{problem}");
    }
}

/// A body that gives these pieces and then breaks off, or ends.
fn pieces(pieces: &[&str], breaks: bool) -> Response<Body> {
    let end = breaks.then(|| Err(io::Error::other("the other side is gone")));
    let all: Vec<_> = pieces
        .iter()
        .map(|piece| Ok(Bytes::from((*piece).to_owned())))
        .collect();
    Response::new(Body::from_stream(futures::stream::iter(
        all.into_iter().chain(end),
    )))
}

const STARTED: &str = r#"{"schema":"custody/run-event/1","event":"step_started","step":"a"}"#;

#[test]
fn a_run_that_breaks_off_is_no_success_wherever_it_does() {
    let line = format!("{STARTED}\n");
    let half = STARTED.split_at(20);
    for (parts, breaks) in [
        (vec![], false),
        (vec![line.as_str()], false),
        (vec![line.as_str(), half.0], false),
        (vec![line.as_str(), half.0], true),
        (vec![line.as_str(), "no JSON\n"], false),
    ] {
        let owned: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        let api = Answering::new(move || {
            pieces(
                &owned.iter().map(String::as_str).collect::<Vec<_>>(),
                breaks,
            )
        });
        let mut events = 0;
        let ended = api.client.run(&RunRequest::default(), |_| events += 1);
        assert!(ended.is_err(), "{parts:?}");
        assert_eq!(events, usize::from(!parts.is_empty()), "{parts:?}");
    }
}

#[test]
fn events_are_handed_over_however_they_are_cut() {
    let whole = format!("{STARTED}\n{STARTED}\n");
    for at in 0..whole.len() {
        let (one, two) = whole.split_at(at);
        let (one, two) = (one.to_owned(), two.to_owned());
        let api = Answering::new(move || pieces(&[&one, &two], false));
        let mut events = 0;
        let _ = api.client.run(&RunRequest::default(), |_| events += 1);
        assert_eq!(events, 2, "cut at {at}");
    }
}

#[test]
fn a_download_that_breaks_off_is_an_error_for_who_reads_it() {
    for (breaks, expect) in [(false, Ok("onetwo".to_owned())), (true, Err(()))] {
        let api = Answering::new(move || pieces(&["one", "two"], breaks));
        let read = api.client.export("demo/a@1", |stream| {
            let mut text = String::new();
            Ok(stream.read_to_string(&mut text).map(|_| text).map_err(drop))
        });
        assert_eq!(read.unwrap(), expect);
        assert_eq!(api.asked().line, "GET /v1/files?reference=demo%2Fa%401");
    }
}

fn put_query() -> PutQuery {
    serde_json::from_value(json!({
        "artifact": "demo/a", "kind": Kind::Dataset, "classification": Classification::Internal,
    }))
    .unwrap()
}

#[test]
fn files_that_cannot_be_read_are_told_as_that_and_the_api_takes_no_part_of_them() {
    let api = Answering::new(|| {
        let mut response = Response::new(Body::from("the body ended"));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    });
    let problem = api.client.put(&put_query(), |writer| {
        writer.write_all(b"the first half")?;
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "`b` is closed",
        ))
    });
    let problem = problem.unwrap_err();
    assert_eq!(problem.code, code::CLI_010);
    assert!(problem.because[0].contains("`b` is closed"), "{problem}");
    let body = api.asked().body;
    assert!(
        body.is_err(),
        "a stream that failed does not look whole: {body:?}"
    );
}
