//! What reaches the network.

use std::fmt;

use url::Url;

use crate::request::Form;

/// Asks one thing of a provider. Implementations look at every address that they connect to, follow no redirect, and wait and
/// read within limits.
pub trait Web: Send + Sync + fmt::Debug {
    /// Asks, and returns what came back, whatever its status. It blocks.
    ///
    /// # Errors
    /// [`Unreached`].
    fn ask(&self, ask: &Ask<'_>) -> Result<Answer, Unreached>;
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Where.
    pub url: &'a Url,
    /// What is sent by `POST`; `None`: `GET`.
    pub form: Option<&'a Form>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// The address is no `https://…`, nor one that may be asked without TLS.
    #[error("its address is no https://…")]
    Scheme,
    /// The name of the host is not known.
    #[error("the name of its host is not known")]
    Name,
    /// The host lies in a network that nothing is asked of.
    #[error("its host lies in a network that this server asks nothing of")]
    Network,
    /// Nobody answers there.
    #[error("nobody answers there")]
    Connection,
    /// Its certificate is not trusted, or it speaks no TLS 1.3.
    #[error("its certificate is not trusted, or it does not speak TLS 1.3")]
    Tls,
    /// It takes too long.
    #[error("it does not answer in time")]
    Time,
    /// Its answer is larger than it may be.
    #[error("its answer is too large")]
    Size,
    /// It answers that the thing is elsewhere.
    #[error("it redirects, which is not followed")]
    Redirect,
    /// It breaks off, or speaks no HTTP.
    #[error("its answer breaks off, or is no HTTP")]
    Broken,
    /// Too much is asked at once.
    #[error("too much is asked of it at once")]
    Busy,
}

impl Unreached {
    /// Returns one word for it, as entries have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scheme => "scheme",
            Self::Name => "name",
            Self::Network => "network",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Time => "time",
            Self::Size => "size",
            Self::Redirect => "redirect",
            Self::Broken => "broken",
            Self::Busy => "busy",
        }
    }
}
