//! What supervisor and launcher say to each other: frames of a length and bytes.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use custody_types::{Endpoint, FileEntry};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::spec::{Enforced, Exit, Limits, Over};

/// The largest frame in bytes.
pub(crate) const FRAME: usize = 4 << 20;

/// What the launcher is told first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) argv: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) environment: Option<PathBuf>,
    /// By place: `/code`, `/in/train`.
    pub(crate) trees: BTreeMap<String, Vec<FileEntry>>,
    pub(crate) outputs: Vec<String>,
    /// What it may connect to.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) limits: Limits,
    pub(crate) uid: u32,
    /// The processors that the step may use; empty: any.
    pub(crate) processors: Vec<u32>,
    pub(crate) swap: bool,
    /// Whether calls are told to the supervisor.
    pub(crate) observe: bool,
}

/// What the launcher says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It has its user namespace and waits for the mapping.
    Unshared,
    /// A byte follows for each endpoint, in their order, and beside it the descriptor of its listener.
    Listening,
    /// A byte follows, and beside it the descriptor at which the calls of the step are told.
    Listener,
    /// It is confined; the step starts.
    Started(Vec<Enforced>),
    /// It could not confine itself.
    Unavailable(String),
    /// There is no such command; nothing of the step ran.
    NoCommand(String),
    /// The step ended.
    Ended(Exit),
    /// A file of an output follows, in frames.
    File {
        output: String,
        path: String,
        executable: bool,
        size: u64,
    },
    /// An output holds what cannot be taken.
    BadOutput {
        output: String,
        path: String,
        because: String,
    },
    /// An output is beyond a limit.
    OverLimit { output: String, over: Over },
    /// Everything was sent.
    Done,
}

pub(crate) fn send(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(bytes)
}

pub(crate) fn receive(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > 16 * FRAME {
        return Err(io::Error::other("a frame is too long"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn tell<T: Serialize>(out: &mut impl Write, message: &T) -> io::Result<()> {
    send(out, &serde_json::to_vec(message)?)
}

pub(crate) fn hear<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    Ok(serde_json::from_slice(&receive(from)?)?)
}
