//! Ending steps from another thread.

use std::collections::BTreeMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The wish that no step goes on. Clones share it; it cannot be taken back.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    raised: bool,
    /// The supervisor's ends of the running launchers' sockets. A launcher whose socket is closed ends its
    /// step, every process of it.
    running: BTreeMap<u64, UnixStream>,
    next: u64,
    /// What is raised with this.
    parts: Vec<Weak<Mutex<State>>>,
}

/// A step that hears of the wish until this is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    of: Interrupt,
    number: u64,
}

impl Interrupt {
    /// Ends every step that runs with this, and lets none start. Returns at once: [`crate::run`] returns
    /// [`crate::SandboxError::Interrupted`] when the last process is gone.
    pub fn raise(&self) {
        let mut state = self.state();
        state.raised = true;
        for socket in state.running.values() {
            // A launcher that is gone already has no step.
            let _ = socket.shutdown(Shutdown::Both);
        }
        let parts = std::mem::take(&mut state.parts);
        drop(state);
        for part in parts.iter().filter_map(Weak::upgrade) {
            Self(part).raise();
        }
    }

    /// Makes a wish about a part of what runs, such as one of several runs: it is raised by itself alone, and with
    /// this one.
    #[must_use]
    pub fn part(&self) -> Self {
        let part = Self::default();
        let mut state = self.state();
        part.state().raised = state.raised;
        state.parts.retain(|other| other.strong_count() > 0);
        state.parts.push(Arc::downgrade(&part.0));
        part
    }

    /// Says whether somebody raised it.
    pub fn is_raised(&self) -> bool {
        self.state().raised
    }

    /// Makes the step at the other end of `socket` hear of the wish, at once where it was raised before.
    pub(crate) fn watch(&self, socket: &UnixStream) -> io::Result<Watched> {
        let socket = socket.try_clone()?;
        let mut state = self.state();
        if state.raised {
            socket.shutdown(Shutdown::Both)?;
        }
        let number = state.next;
        state.next += 1;
        state.running.insert(number, socket);
        Ok(Watched {
            of: self.clone(),
            number,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.of.state().running.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_raised_by_itself_and_with_the_whole() {
        let whole = Interrupt::default();
        let (one, other) = (whole.part(), whole.part());
        one.raise();
        assert!(one.is_raised() && !other.is_raised() && !whole.is_raised());
        whole.raise();
        assert!(other.is_raised() && whole.part().is_raised());
    }
}
