//! One request of somebody who signed in, on a thread that may block.

use std::net::IpAddr;

use axum::Router;
use custody_api::Peer;
use custody_client::{Client, Transport};
use custody_observe::{Place as TracePlace, RequestId};
use custody_types::{Problem, Purpose, code};
use http::Extensions;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::browsers::BrowserId;
use crate::checks::Fields;
use crate::router::Inner;
use crate::shell::{Place, Shell, notice};

/// Where a request of a browser comes from, and which it is. What a page asks the API for belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Whence {
    pub(crate) address: IpAddr,
    pub(crate) request: Option<RequestId>,
    place: Option<TracePlace>,
}

impl Whence {
    /// Reads it from what the edge put beside the request.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        let Peer(address) = extensions.get::<Peer>().copied()?;
        Some(Self {
            address,
            request: extensions.get::<RequestId>().copied(),
            place: extensions.get::<TracePlace>().cloned(),
        })
    }
}

/// How pages ask the API: as whoever comes from an address and shows a token, or nothing.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) api: Router,
    pub(crate) handle: Handle,
    pub(crate) whence: Whence,
}

impl Asking {
    /// Returns a client as whoever shows nothing yet.
    pub(crate) fn anybody(&self) -> Client {
        let transport = Transport::InProcess(self.api.clone());
        let mut client =
            Client::on(self.handle.clone(), transport).carrying(Peer(self.whence.address));
        if let Some(request) = self.whence.request {
            client = client.carrying(request);
        }
        if let Some(place) = &self.whence.place {
            client = client.carrying(place.clone());
        }
        client
    }

    /// Returns a client as a session of the API.
    pub(crate) fn as_session(&self, token: &str) -> Result<Client, Problem> {
        self.anybody().showing(token)
    }
}

/// One request of somebody who signed in.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) pages: &'a Inner,
    /// The API, as them.
    pub(crate) api: Client,
    pub(crate) asking: Asking,
    pub(crate) id: BrowserId,
    pub(crate) account: String,
    pub(crate) token: Zeroizing<String>,
    pub(crate) ends: custody_types::Timestamp,
    pub(crate) purpose: Option<Purpose>,
    /// What the path names, in its order.
    pub(crate) names: Vec<String>,
    pub(crate) query: Fields,
    pub(crate) form: Fields,
    /// Whether the script asks, and no person.
    pub(crate) is_polled: bool,
}

impl Visit<'_> {
    /// Returns what is around a page of theirs.
    pub(crate) fn shell(&self, title: impl Into<String>, here: Place) -> Shell {
        Shell {
            title: title.into(),
            here,
            account: Some(self.account.clone()),
            purpose: self.purpose.clone(),
            token: self.pages.browsers.form_token(&self.id),
            notice: notice(self.query.get("done")),
            problem: None,
        }
    }

    /// Returns a part of the path.
    pub(crate) fn name(&self, place: usize) -> Result<&str, Problem> {
        let found = self.names.get(place).map(String::as_str);
        found.ok_or_else(|| Problem::new(code::WEB_003, "there is no such page"))
    }

    /// Returns the reference of the version that the path names: project, artifact, and number or alias.
    pub(crate) fn reference(&self) -> Result<String, Problem> {
        Ok(format!(
            "{}/{}@{}",
            self.name(0)?,
            self.name(1)?,
            self.name(2)?
        ))
    }
}

/// Where the page of a version is.
pub(crate) fn version_path(name: &custody_types::VersionName) -> String {
    format!("/versions/{}/{}", name.artifact, name.number)
}

/// The end of the paths of a version's pages.
pub(crate) fn below(name: &custody_types::VersionName) -> String {
    format!("/{}/{}", name.artifact, name.number)
}
