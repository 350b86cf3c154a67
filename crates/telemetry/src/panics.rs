//! Faults of the program, told by their places alone.

use std::panic::{set_hook, take_hook};

use custody_observe::{Event, Observer, SourceLine};

/// Tells each panic of this process from now on, before whatever was done at one. What a panic says of itself may hold anything,
/// and is not told.
pub fn tell_panics(observer: Observer) {
    let before = take_hook();
    set_hook(Box::new(move |panic| {
        if let Some(place) = panic.location() {
            let at = SourceLine::of(place);
            observer.note(&Event::Panicked { at });
        }
        before(panic);
    }));
}
