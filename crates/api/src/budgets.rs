//! How much of a server each account may take, and each address of strangers.
//!
//! Requests are counted by the generic cell rate algorithm: some a second, and some more at once. One too many is refused with
//! 429 and when to come again. Bytes are not refused but slowed down, in either direction.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use custody_guard::{Session, counted_address};
use custody_types::{Problem, code};
use futures::StreamExt;
use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// How many addresses of strangers are remembered.
const MOST_ADDRESSES: usize = 10_000;
/// How many requests come at once, as many as in so many seconds.
const BURST_S: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// The same of strangers, who sign in by many steps, and may share an address.
const BURST_OF_STRANGERS_S: NonZeroU32 = NonZeroU32::new(20).unwrap();

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock>;

/// What each account may take.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// How many requests a second; ten times as many at once. None: any number.
    pub requests: Option<NonZeroU32>,
    /// How many requests that are answered at the same time.
    pub concurrent: usize,
    /// How many bytes a second, in either direction. None: any number.
    pub bytes: Option<NonZeroU32>,
    /// How many requests a second strangers may make from one address; twenty times as many at once. None: any number.
    pub strangers: Option<NonZeroU32>,
}

impl Default for Budget {
    /// 100 requests a second, 64 at the same time, any number of bytes; 50 requests a second of strangers.
    fn default() -> Self {
        Self {
            requests: NonZeroU32::new(100),
            concurrent: 64,
            bytes: None,
            strangers: NonZeroU32::new(50),
        }
    }
}

/// The budgets of a server. Clones share them.
#[derive(Debug, Clone)]
pub struct Budgets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    concurrent: usize,
    requests: Option<Limiter<String>>,
    bytes: Option<(NonZeroU32, Limiter<String>)>,
    strangers: Option<Limiter<IpAddr>>,
    open: Mutex<BTreeMap<String, usize>>,
}

impl Budgets {
    /// Gives each account `budget`.
    pub fn new(budget: Budget) -> Self {
        let within = |seconds: NonZeroU32| {
            move |often: NonZeroU32| quota(often, often.saturating_mul(seconds))
        };
        Self(Arc::new(Inner {
            concurrent: budget.concurrent,
            requests: budget.requests.map(within(BURST_S)).map(limiter),
            bytes: budget
                .bytes
                .map(|bytes| (bytes, limiter(quota(bytes, bytes)))),
            strangers: budget
                .strangers
                .map(within(BURST_OF_STRANGERS_S))
                .map(limiter),
            open: Mutex::default(),
        }))
    }

    /// Counts a request of somebody who is not known.
    ///
    /// # Errors
    /// The answer where there were too many from the address.
    pub(crate) fn stranger(&self, address: IpAddr) -> Result<(), Box<Response<Body>>> {
        let Some(strangers) = &self.0.strangers else {
            return Ok(());
        };
        if strangers.len() > MOST_ADDRESSES {
            // Whose budget is full again is as one who never came. What is left is bounded by how many can ask in the seconds
            // that it takes to fill one.
            strangers.retain_recent();
        }
        let Err(late) = strangers.check_key(&counted_address(address)) else {
            return Ok(());
        };
        let wait = late.wait_time_from(MonotonicClock.now());
        Err(Box::new(too_many(
            "it is asked too often from this address",
            wait,
        )))
    }

    /// Counts a request of an account until what it returns is dropped.
    ///
    /// # Errors
    /// The answer where there were too many, or are at the same time.
    pub(crate) fn admit(&self, session: &Session) -> Result<Admitted, Box<Response<Body>>> {
        let account = session.actor().to_string();
        if let Some(requests) = &self.0.requests
            && let Err(late) = requests.check_key(&account)
        {
            let wait = late.wait_time_from(MonotonicClock.now());
            return Err(Box::new(too_many("your account asks too often", wait)));
        }
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(account.clone()).or_default();
        if *count >= self.0.concurrent {
            let what = format!(
                "your account waits for {} answers already",
                self.0.concurrent
            );
            return Err(Box::new(too_many(&what, std::time::Duration::from_secs(1))));
        }
        *count += 1;
        drop(open);
        Ok(Admitted(Arc::new(Share {
            budgets: self.clone(),
            account,
        })))
    }
}

fn quota(often: NonZeroU32, at_once: NonZeroU32) -> Quota {
    Quota::per_second(often).allow_burst(at_once)
}

fn limiter<K: std::hash::Hash + Eq + Clone>(quota: Quota) -> Limiter<K> {
    RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock)
}

fn too_many(what: &str, wait: std::time::Duration) -> Response<Body> {
    let seconds = wait.as_secs().saturating_add(1);
    let problem = Problem::new(code::API_025, what)
        .hint(format!("ask again in {seconds} s, and for less at a time"));
    let mut response = crate::call::problem(&problem);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// A request that is answered within a budget. Clones are of the same request.
#[derive(Debug, Clone)]
pub(crate) struct Admitted(Arc<Share>);

#[derive(Debug)]
struct Share {
    budgets: Budgets,
    account: String,
}

impl Drop for Share {
    fn drop(&mut self) {
        let open = &self.budgets.0.open;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.account);
            }
        }
    }
}

impl Admitted {
    /// Waits until the budget has room for so many bytes.
    async fn pay(&self, bytes: usize) {
        let Some((most, limiter)) = &self.0.budgets.0.bytes else {
            return;
        };
        let mut left = u32::try_from(bytes).unwrap_or(u32::MAX);
        while let Some(part) = NonZeroU32::new(left.min(most.get())) {
            // It fits: no part is greater than what may be taken at once.
            let _ = limiter.until_key_n_ready(&self.0.account, part).await;
            left -= part.get();
        }
    }

    /// Lets a body go no faster than the budget, and the request count until its end.
    pub(crate) fn body(self, body: Body) -> Body {
        if self.0.budgets.0.bytes.is_none() {
            return Body::new(Counted { body, _share: self });
        }
        let pieces = body.into_data_stream().then(move |piece| {
            let admitted = self.clone();
            async move {
                if let Ok(piece) = &piece {
                    admitted.pay(piece.len()).await;
                }
                piece
            }
        });
        Body::from_stream(pieces)
    }
}

/// A body that counts until its end.
struct Counted {
    body: Body,
    _share: Admitted,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;

    fn session(account: &str) -> Session {
        let shown = custody_guard::Credentials::OperatingSystem {
            account: account.to_owned(),
        };
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        Session::new(shown.authenticate(now), None, "test")
    }

    #[tokio::test]
    async fn who_asks_for_too_much_is_told_when_to_come_again_and_nobody_else() {
        let budgets = Budgets::new(Budget {
            requests: NonZeroU32::new(1),
            concurrent: 20,
            bytes: None,
            strangers: NonZeroU32::new(2),
        });
        let (ada, eve) = (session("ada"), session("eve"));
        for _ in 0..10 {
            drop(budgets.admit(&ada).unwrap());
        }
        let late = budgets.admit(&ada).unwrap_err();
        assert_eq!(late.status().as_u16(), 429);
        assert_eq!(late.headers()[header::RETRY_AFTER], "1");
        assert!(budgets.admit(&eve).is_ok());
        let address = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::2:3:4:5".parse().unwrap();
        for _ in 0..40 {
            budgets.stranger(address).unwrap();
        }
        assert!(budgets.stranger(neighbour).is_err());
        assert!(budgets.stranger("192.0.2.1".parse().unwrap()).is_ok());
    }

    #[tokio::test]
    async fn an_answer_counts_until_its_last_byte() {
        let budgets = Budgets::new(Budget {
            requests: None,
            concurrent: 1,
            bytes: None,
            strangers: None,
        });
        let ada = session("ada");
        let body = budgets.admit(&ada).unwrap().body(Body::from("text"));
        assert_eq!(budgets.admit(&ada).unwrap_err().status().as_u16(), 429);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "text");
        assert!(budgets.admit(&ada).is_ok());
    }

    #[tokio::test]
    async fn bytes_are_slowed_down_and_none_is_lost() {
        let budgets = Budgets::new(Budget {
            requests: None,
            concurrent: 1,
            bytes: NonZeroU32::new(1000),
            strangers: None,
        });
        let (one, began) = (session("ada"), MonotonicClock.now());
        let text = vec![7; 1300];
        let body = budgets.admit(&one).unwrap().body(Body::from(text.clone()));
        assert_eq!(body.collect().await.unwrap().to_bytes(), text);
        // A thousand at once, and three hundred in three tenths of a second.
        let took: Duration = MonotonicClock.now() - began;
        assert!(took >= Duration::from_millis(250), "{took:?}");
    }
}
