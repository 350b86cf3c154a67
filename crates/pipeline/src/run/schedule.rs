//! Several pieces of work at once, each when those before it are done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Sender, channel};

/// Why a piece of work is not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip<'a> {
    /// It needs another, which did not end well.
    Needs(&'a str),
    /// No work is begun any more.
    Stopped,
}

/// Work in named pieces.
pub(crate) trait Work: Sync {
    /// What a piece of work ends with.
    type End: Send;

    /// Does a piece of work.
    fn work(&self, name: &str) -> Self::End;

    /// Says what a piece of work ends with that is not begun, or that broke off (`None`).
    fn skipped(&self, name: &str, why: Option<Skip<'_>>) -> Self::End;

    /// Returns whether what needs it may begin.
    fn went_well(&self, end: &Self::End) -> bool;

    /// Returns whether no more work shall begin.
    fn is_stopped(&self) -> bool;

    /// Hears of every end, one after the other, as they come.
    fn ended(&self, end: &Self::End);
}

/// Sends what a piece of work ends with; one that breaks off says so when this is dropped.
struct Report<'a, W: Work> {
    work: &'a W,
    name: &'a str,
    to: Sender<(&'a str, W::End)>,
    sent: bool,
}

impl<W: Work> Report<'_, W> {
    fn send(&mut self, end: W::End) {
        self.sent = true;
        // The scheduler waits for everything that it began.
        let _ = self.to.send((self.name, end));
    }
}

impl<W: Work> Drop for Report<'_, W> {
    fn drop(&mut self) {
        if !self.sent {
            self.send(self.work.skipped(self.name, None));
        }
    }
}

/// Does the work named in `order`, at most `most` pieces at once, and returns the ends in that order. `needs` names
/// what comes before what; what is not in `order` counts as done.
pub(crate) fn schedule<W: Work>(
    work: &W,
    order: &[String],
    needs: &BTreeMap<String, BTreeSet<String>>,
    most: usize,
) -> Vec<W::End> {
    let mut ends: BTreeMap<&str, W::End> = BTreeMap::new();
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        let mut waiting: Vec<&str> = order.iter().map(String::as_str).collect();
        let (mut running, mut begun) = (0, Vec::new());
        loop {
            let stopped = work.is_stopped();
            // In their order: what needs something that is skipped is skipped with it.
            waiting.retain(|name| match skip(work, needs, name, &ends, stopped) {
                Some(why) => {
                    let end = work.skipped(name, Some(why));
                    work.ended(&end);
                    ends.insert(name, end);
                    false
                }
                None => true,
            });
            while running < most.max(1)
                && let Some(name) = next(needs, order, &mut waiting, &ends)
            {
                let mut report = Report {
                    work,
                    name,
                    to: sender.clone(),
                    sent: false,
                };
                running += 1;
                begun.push(scope.spawn(move || {
                    let end = report.work.work(report.name);
                    report.send(end);
                }));
            }
            if running == 0 {
                break;
            }
            let Ok((name, end)) = receiver.recv() else {
                break;
            };
            running -= 1;
            work.ended(&end);
            ends.insert(name, end);
        }
        // A piece that broke off has said so; the others go on.
        for piece in begun {
            let _ = piece.join();
        }
    });
    let in_order = order.iter().filter_map(|name| ends.remove(name.as_str()));
    in_order.collect()
}

fn skip<'a, W: Work>(
    work: &W,
    needs: &'a BTreeMap<String, BTreeSet<String>>,
    name: &str,
    ends: &BTreeMap<&str, W::End>,
    stopped: bool,
) -> Option<Skip<'a>> {
    let bad = needs.get(name).into_iter().flatten().find(|need| {
        let end = ends.get(need.as_str());
        end.is_some_and(|end| !work.went_well(end))
    });
    bad.map(|need| Skip::Needs(need))
        .or(stopped.then_some(Skip::Stopped))
}

/// Takes the first piece of work whose needs are done.
fn next<'a, E>(
    needs: &BTreeMap<String, BTreeSet<String>>,
    order: &[String],
    waiting: &mut Vec<&'a str>,
    ends: &BTreeMap<&str, E>,
) -> Option<&'a str> {
    let done = |need: &String| ends.contains_key(need.as_str()) || !order.contains(need);
    let at = waiting
        .iter()
        .position(|name| needs.get(*name).is_none_or(|needs| needs.iter().all(done)))?;
    Some(waiting.remove(at))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Barrier, Mutex};

    use super::*;

    /// Work whose pieces are told what to do by their names.
    struct Pieces {
        meet: Barrier,
        stopped: AtomicBool,
        running: AtomicUsize,
        most: AtomicUsize,
        told: Mutex<Vec<String>>,
    }

    impl Pieces {
        fn new(meet: usize) -> Self {
            Self {
                meet: Barrier::new(meet),
                stopped: AtomicBool::new(false),
                running: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
                told: Mutex::default(),
            }
        }
    }

    impl Work for Pieces {
        type End = String;

        fn work(&self, name: &str) -> String {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            if name.starts_with("meet") {
                self.meet.wait();
            }
            if name.starts_with("stop") {
                self.stopped.store(true, Ordering::SeqCst);
            }
            self.running.fetch_sub(1, Ordering::SeqCst);
            assert!(!name.starts_with("break"));
            format!(
                "{name}: {}",
                if name.starts_with("fail") {
                    "bad"
                } else {
                    "good"
                }
            )
        }

        fn skipped(&self, name: &str, why: Option<Skip<'_>>) -> String {
            format!("{name}: {why:?}")
        }

        fn went_well(&self, end: &String) -> bool {
            end.ends_with("good")
        }

        fn is_stopped(&self) -> bool {
            self.stopped.load(Ordering::SeqCst)
        }

        fn ended(&self, end: &String) {
            self.told.lock().unwrap().push(end.clone());
        }
    }

    fn check(pieces: &Pieces, most: usize, order: &[(&str, &[&str])], expected: &[&str]) {
        let names: Vec<_> = order.iter().map(|(name, _)| (*name).to_owned()).collect();
        let needs = order
            .iter()
            .map(|(name, needs)| {
                let needs = needs.iter().map(|need| (*need).to_owned()).collect();
                ((*name).to_owned(), needs)
            })
            .collect();
        let ends = schedule(pieces, &names, &needs, most);
        assert_eq!(ends, expected);
        let mut told = pieces.told.lock().unwrap().clone();
        told.sort();
        let mut all = ends.clone();
        all.sort();
        assert_eq!(told, all, "every end is told once");
    }

    #[test]
    fn what_is_independent_runs_at_once_and_the_ends_keep_their_order() {
        let order: &[(&str, &[&str])] = &[
            ("meet-a", &[]),
            ("meet-b", &[]),
            ("meet-c", &[]),
            ("last", &["meet-a", "meet-b"]),
        ];
        let expected = ["meet-a: good", "meet-b: good", "meet-c: good", "last: good"];
        // None of the three ends before all have begun.
        check(&Pieces::new(3), 3, order, &expected);
        let alone = Pieces::new(1);
        check(&alone, 1, order, &expected);
        assert_eq!(alone.most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failure_stops_what_needs_it_and_no_other() {
        for most in [1, 2, 8] {
            check(
                &Pieces::new(1),
                most,
                &[
                    ("fail", &[]),
                    ("after", &["fail"]),
                    ("later", &["after", "other"]),
                    ("other", &["elsewhere"]),
                    ("break", &[]),
                    ("end", &["break"]),
                ],
                &[
                    "fail: bad",
                    r#"after: Some(Needs("fail"))"#,
                    r#"later: Some(Needs("after"))"#,
                    "other: good",
                    "break: None",
                    r#"end: Some(Needs("break"))"#,
                ],
            );
        }
    }

    #[test]
    fn when_it_is_stopped_nothing_more_begins() {
        check(
            &Pieces::new(1),
            1,
            &[("a", &[]), ("stop", &["a"]), ("b", &["stop"]), ("c", &[])],
            &[
                "a: good",
                "stop: good",
                "b: Some(Stopped)",
                "c: Some(Stopped)",
            ],
        );
    }
}
