//! Which processors a step uses: others than those of the steps that run beside it, while there are any.
//!
//! A processor is claimed by a name in the machine's own space of socket names, which the kernel frees when
//! its holder ends, however it ends. A claim spreads steps and protects nothing: who takes all names makes
//! steps share.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::sys;

/// Processors, claimed until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    processors: Vec<u32>,
    _names: Vec<UnixListener>,
}

impl Claim {
    /// Returns their numbers; empty where the machine does not tell its processors.
    pub(crate) fn processors(&self) -> &[u32] {
        &self.processors
    }
}

/// Claims `count` of the processors that this process may use, or all where it may use fewer.
pub(crate) fn claim(count: u32) -> Claim {
    let allowed = sys::processors().unwrap_or_default();
    let count = usize::try_from(count.max(1)).unwrap_or(usize::MAX);
    let (mut names, mut processors, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    for number in allowed {
        if processors.len() == count {
            break;
        }
        match name(number) {
            Some(name) => {
                names.push(name);
                processors.push(number);
            }
            None => taken.push(number),
        }
    }
    let lacking = count.saturating_sub(processors.len());
    processors.extend(taken.into_iter().take(lacking));
    processors.sort_unstable();
    Claim {
        processors,
        _names: names,
    }
}

fn name(number: u32) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("custody/processor/{number}")).ok()?;
    UnixListener::bind_addr(&name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_are_and_none_twice() {
        let all = sys::processors().unwrap();
        for count in [0, 1, 2, 3, 10_000] {
            let claim = claim(count);
            let expected = usize::try_from(count.max(1)).unwrap().min(all.len());
            assert_eq!(claim.processors().len(), expected);
            let mut once = claim.processors().to_vec();
            once.dedup();
            assert_eq!(once, claim.processors());
            assert!(once.iter().all(|number| all.contains(number)));
        }
    }
}
