//! Which work a thread is at.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::id::{RequestId, SpanId, TraceId};

/// How many spans a trace has at most beside its root; of more, the first are kept.
const SPANS: u32 = 256;

thread_local! {
    /// The work that this thread is at. It serves traces alone.
    static CURRENT: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// A place in a trace: the span that what is done now belongs to.
#[derive(Debug, Clone)]
pub struct Place {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// The request, if the work is one's.
    pub(crate) request: Option<RequestId>,
    /// How many spans the trace may have still.
    left: Arc<AtomicU32>,
}

impl Place {
    pub(crate) fn root(trace: TraceId, span: SpanId, request: Option<RequestId>) -> Self {
        Self {
            trace,
            span,
            request,
            left: Arc::new(AtomicU32::new(SPANS)),
        }
    }

    /// Returns the place of a span below this one, as long as there is room.
    pub(crate) fn below(&self, span: SpanId) -> Option<Self> {
        let takes = |left: u32| left.checked_sub(1);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, takes);
        taken.is_ok().then(|| Self {
            span,
            ..self.clone()
        })
    }

    /// Returns that of this thread, if it is at a work that is traced.
    pub fn now() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Is this thread's until what it returns is dropped.
    pub(crate) fn enter(self) -> Entered {
        Entered::new(Some(self))
    }
}

/// A place that a thread is at.
#[derive(Debug)]
pub(crate) struct Entered {
    before: Option<Place>,
    /// It stays on its thread.
    thread: PhantomData<*const ()>,
}

impl Entered {
    pub(crate) fn new(place: Option<Place>) -> Self {
        Self {
            before: CURRENT.replace(place),
            thread: PhantomData,
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

/// Returns the work that goes on, on whichever thread, at the place that this one is at now.
pub fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let place = Place::now();
    at(place, work)
}

/// Returns the work that is done at `place`, on whichever thread.
pub fn at<T>(place: Option<Place>, work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    move || {
        let _here = Entered::new(place);
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_carried_to_another_thread_and_a_thread_forgets_it_afterwards() {
        let place = Place::root(TraceId([1; 16]), SpanId([2; 8]), None);
        let span = || Place::now().map(|place| place.span);
        let carry = {
            let _here = place.clone().enter();
            assert_eq!(span(), Some(SpanId([2; 8])));
            {
                let _below = place.below(SpanId([3; 8])).unwrap().enter();
                assert_eq!(span(), Some(SpanId([3; 8])));
            }
            assert_eq!(span(), Some(SpanId([2; 8])));
            carried(span)
        };
        assert_eq!(span(), None);
        let elsewhere = std::thread::spawn(move || (carry(), span()));
        assert_eq!(elsewhere.join().unwrap(), (Some(SpanId([2; 8])), None));
    }

    #[test]
    fn a_trace_has_a_limit() {
        let place = Place::root(TraceId([1; 16]), SpanId([2; 8]), None);
        let below = (0..SPANS + 5).filter(|_| place.below(SpanId([3; 8])).is_some());
        assert_eq!(below.count(), SPANS as usize);
    }
}
