//! The wish to end a run early: the interrupt key, and the signals by which systems end programs.

use custody_sandbox::Interrupt;
use custody_types::{Problem, code};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// From now on ends the running steps at the first such signal, so that the run can say what was kept and enter
/// how it ended; at the second this program ends at once, as it would have at the first. What the caller ignores,
/// as `nohup` does, stays ignored.
pub(crate) fn listen(interrupt: &Interrupt) -> Result<(), Problem> {
    listen_after(None::<fn()>, interrupt)
}

/// As [`listen`], but for the first signal, at which `first` is called where it is given: what runs goes on.
pub(crate) fn listen_after<F: FnOnce() + Send + 'static>(
    mut first: Option<F>,
    interrupt: &Interrupt,
) -> Result<(), Problem> {
    let problem = |error: std::io::Error| {
        Problem::new(code::CLI_048, "signals cannot be listened to").because(error)
    };
    let ignored = std::fs::read_to_string("/proc/self/status").map_err(problem)?;
    let ignored = ignored_signals(&ignored);
    let heard = [SIGINT, SIGTERM, SIGHUP].into_iter();
    let heard = heard.filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(heard).map_err(problem)?;
    let interrupt = interrupt.clone();
    let listening = std::thread::Builder::new().name("signals".to_owned());
    let thread = listening.spawn(move || {
        for signal in signals.forever() {
            if let Some(first) = first.take() {
                first();
                continue;
            }
            if interrupt.is_raised() {
                // Ends this program; nothing is to be done where it does not.
                let _ = emulate_default_handler(signal);
            }
            interrupt.raise();
        }
    });
    thread.map(drop).map_err(problem)
}

/// Reads which signals a process ignores, the lowest bit for signal 1, from what the kernel says of it.
fn ignored_signals(status: &str) -> u64 {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .map(str::trim);
    mask.and_then(|mask| u64::from_str_radix(mask, 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read() {
        let status =
            "Name:\tcustody\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!(ignored_signals(status), 0x1001);
        assert_eq!(ignored_signals(""), 0);
    }
}
