//! What who watches over the server learns of a request: which operation it is, and what kind of problem its answer tells.
//!
//! The edge in front of the router puts the request's id ([`RequestId`]) and its place in a trace ([`Place`]) beside it, as
//! extensions; the router puts the operation ([`Route`]) and the kind of problem beside the answer. A problem's document names
//! the request in `instance` (RFC 9457, section 3.1.5).

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use custody_observe::{Place, RequestId, Route};
use custody_types::ProblemKind;
use custody_wire::ProblemDetails;
use http::{Extensions, Response};

/// Answers as an operation.
pub(crate) async fn routed(
    route: Route,
    answer: impl Future<Output = Response<Body>>,
) -> Response<Body> {
    let mut answer = answer.await;
    answer.extensions_mut().insert(route);
    answer
}

/// Returns the place of a request in its trace, if it has one.
pub(crate) fn place(extensions: &Extensions) -> Option<Place> {
    extensions.get::<Place>().cloned()
}

/// Puts the id of the request into the document of a problem, and its kind beside the answer.
pub(crate) async fn named(request: Request, next: Next) -> Response<Body> {
    let id = request.extensions().get::<RequestId>().copied();
    let mut answer = next.run(request).await;
    let Some(mut details) = answer.extensions_mut().remove::<ProblemDetails>() else {
        return answer;
    };
    answer.extensions_mut().insert::<ProblemKind>(details.kind);
    if let Some(id) = id {
        details.instance = Some(id.urn());
        *answer.body_mut() = Body::from(serde_json::to_vec(&details).unwrap_or_default());
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use custody_guard::testing::World;
    use custody_types::{Problem, code};
    use tower::ServiceExt;

    use super::*;
    use crate::call;

    #[tokio::test]
    async fn a_problem_names_its_request_where_there_is_one() {
        let fails = async || call::problem(&Problem::new(code::API_019, "there is none"));
        let router = Router::new().route("/", get(fails)).layer(from_fn(named));
        let world = World::default();
        let id = RequestId::draw(world.clock.as_ref(), Arc::clone(&world.entropy).as_ref());
        for (given, expect) in [(None, None), (Some(id), Some(format!("urn:uuid:{id}")))] {
            let mut request = Request::new(Body::empty());
            // What a stranger says is no id.
            let foreign = "00000000-0000-7000-8000-000000000000".parse().unwrap();
            request.headers_mut().insert(RequestId::HEADER, foreign);
            if let Some(id) = given {
                request.extensions_mut().insert(id);
            }
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 404);
            let kind = answer.extensions().get::<ProblemKind>();
            assert_eq!(kind, Some(&ProblemKind::NotFound));
            let bytes = axum::body::to_bytes(answer.into_body(), 1 << 16)
                .await
                .unwrap();
            let details: ProblemDetails = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(details.instance, expect);
            assert_eq!(details.problem().unwrap().code, code::API_019);
        }
    }
}
