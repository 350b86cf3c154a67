//! Pages for people with a browser: a client of the API, like the command line, rendered on the server.
//!
//! [`router`] puts the pages beside the API. Each page asks the router in the process as the person who signed in, so that every
//! access is decided, entered and refused as it is for anybody else; nothing is decided here. What a page shows is text: the
//! templates escape it, and no attribute that a script acts upon is made of it. Every page does all that it does by links and
//! forms; the one script only asks for parts of a page again.
//!
//! A browser holds a random id in a cookie, and the server, in memory, which session of the API it stands for (`browsers`). The
//! cookie never opens the API, and a token of the API opens no page.
#![forbid(unsafe_code)]

mod answer;
mod assets;
mod browsers;
mod checks;
mod entrance;
mod pages;
mod router;
mod shell;
mod visit;

pub use router::{Settings, paths, router};
