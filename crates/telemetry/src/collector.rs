//! Who takes traces.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use custody_oidc::Unreached;
use custody_outgoing::{Connector, Limits};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use url::Url;

/// Why something was not taken, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untaken {
    /// It may be taken later.
    Later(&'static str),
    /// It will never be.
    Never(&'static str),
}

impl Untaken {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Later(word) | Self::Never(word) => word,
        }
    }
}

/// A collector of traces that takes OTLP.
pub trait Collector: Send + fmt::Debug {
    /// Sends a message, and returns the answer. It blocks, for a limited time.
    ///
    /// # Errors
    /// [`Untaken`].
    fn send(&self, message: Vec<u8>) -> Result<Vec<u8>, Untaken>;
}

/// A collector that is reached by HTTP (OTLP/HTTP, binary).
#[derive(Debug)]
pub struct HttpCollector {
    connector: Connector,
    url: Url,
    /// Fields that the collector asks for: a token, most often.
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl HttpCollector {
    /// How much is waited for, and taken as an answer.
    pub const LIMITS: Limits = Limits {
        connection: Duration::from_secs(4),
        whole: Duration::from_secs(10),
        bytes: 64 << 10,
        at_once: 1,
        addresses: 4,
    };

    /// Sends to `url`, which ends in `/v1/traces` as a rule, by `connector`, with `fields`, which are secret.
    pub fn new(connector: Connector, url: Url, fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        let mut all = vec![(CONTENT_TYPE, protobuf)];
        for (name, mut value) in fields {
            value.set_sensitive(true);
            all.push((name, value));
        }
        Self {
            connector,
            url,
            fields: all,
        }
    }
}

impl Collector for HttpCollector {
    fn send(&self, message: Vec<u8>) -> Result<Vec<u8>, Untaken> {
        let body = Bytes::from(message);
        let answer = self.connector.post(&self.url, &self.fields, body);
        let answer = answer.map_err(|unreached| match unreached {
            Unreached::Scheme | Unreached::Redirect | Unreached::Size => {
                Untaken::Never(unreached.word())
            }
            _ => Untaken::Later(unreached.word()),
        })?;
        match answer.status {
            200..=299 => Ok(answer.body),
            // OTLP, section "Retryable Response Codes".
            429 | 502 | 503 | 504 => Err(Untaken::Later("busy")),
            _ => Err(Untaken::Never("refused")),
        }
    }
}
