//! The observer: a thread of the supervisor that hears of every call that reaches out, writes it down, and
//! lets it go on.
//!
//! INVARIANT: whether a call goes on is decided by its number and the arguments in its registers, which no
//! other thread can change, and never by what memory holds. Without an observer, or after its end, the
//! kernel answers every such call with `ENOSYS`.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::event::{Answer, Event, MOST_EVENTS, Observe, Observed, Subject};
use crate::{seccomp, sys};

/// How long the observer waits before it looks whether it is still needed, in milliseconds.
const WAIT_MS: i32 = 200;

/// A running observer.
#[derive(Debug)]
pub(crate) struct Observer {
    thread: JoinHandle<Observed>,
    ended: Arc<AtomicBool>,
}

impl Observer {
    /// Answers what is told at `listener` from now on.
    pub(crate) fn start(listener: OwnedFd, observe: Observe) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut notes = Notes::new(observe);
            while !seen.load(Ordering::Relaxed) {
                match sys::told_within(&listener, WAIT_MS) {
                    Ok(sys::Told::Waiting) => answer(&listener, &mut notes),
                    Ok(sys::Told::Nothing) => {}
                    Ok(sys::Told::Gone) | Err(_) => break,
                }
            }
            notes.observed
        });
        Self { thread, ended }
    }

    /// Returns what was seen; the step is over. `None` when the observer broke off.
    pub(crate) fn finish(self) -> Option<Observed> {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().ok()
    }
}

/// Answers one call.
fn answer(listener: &OwnedFd, notes: &mut Notes) {
    // A call that ended meanwhile, by a signal, is told again when it is made again.
    let Ok((id, call)) = sys::next_call(listener) else {
        return;
    };
    let answer = if seccomp::goes_on(call.number, call.arguments) {
        Answer::Passed
    } else {
        Answer::Refused
    };
    let events = call.events(answer);
    // What was read may be another process's when this one is gone, for its number is free again.
    if sys::still_waits(listener, id) {
        notes.take(events);
    }
    // Linux before 5.5 cannot let a call go on.
    if sys::answer_call(listener, id, answer).is_err() {
        let _ = sys::answer_call(listener, id, Answer::Refused);
    }
}

/// What was seen so far.
#[derive(Debug)]
struct Notes {
    observed: Observed,
    /// The path whose opening is waited for.
    from: Option<String>,
}

impl Notes {
    fn new(observe: Observe) -> Self {
        let from = match observe {
            Observe::From(path) => Some(path),
            Observe::Nothing | Observe::Everything => None,
        };
        Self {
            observed: Observed::default(),
            from,
        }
    }

    fn take(&mut self, events: Vec<Event>) {
        for event in events {
            if let Some(from) = &self.from {
                if !matches!(&event.subject, Subject::Path(path) if path == from) {
                    continue;
                }
                self.from = None;
            }
            if self.observed.events.len() < MOST_EVENTS {
                self.observed.events.push(event);
            } else {
                self.observed.more = self.observed.more.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Act;

    fn reads(path: &str) -> Vec<Event> {
        vec![Event {
            call: "openat".to_owned(),
            act: Act::Read,
            subject: Subject::Path(path.to_owned()),
            answer: Answer::Passed,
        }]
    }

    #[test]
    fn notes_begin_with_the_mark_and_are_bounded() {
        let mut notes = Notes::new(Observe::From("/mark".to_owned()));
        notes.take(reads("/before"));
        assert!(notes.observed.events.is_empty());
        notes.take(reads("/mark"));
        for _ in 0..MOST_EVENTS + 4 {
            notes.take(reads("/after"));
        }
        assert_eq!(notes.observed.events.len(), MOST_EVENTS);
        assert_eq!(notes.observed.events.first(), reads("/mark").first());
        assert_eq!(notes.observed.more, 5);
        let mut all = Notes::new(Observe::Everything);
        all.take(reads("/before"));
        assert_eq!(all.observed.events.len(), 1);
    }
}
