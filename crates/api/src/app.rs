//! What the handlers work with.

use std::net::IpAddr;
use std::sync::Arc;

use custody_guard::{Credentials, Door};
use custody_pipeline::run::Runner;

use crate::budgets::Budgets;

/// The parts behind the edge, put together by the composition root.
#[derive(Debug, Clone)]
pub struct App {
    /// The one door.
    pub door: Door,
    /// What runs pipelines, traces, verifies and reproduces.
    pub runner: Arc<Runner>,
    /// How who calls comes in.
    pub entrance: Entrance,
}

/// How who calls comes in.
#[derive(Debug, Clone)]
pub enum Entrance {
    /// In one process, or through a socket of one user: as the account of the operating system.
    Machine(Credentials),
    /// Over the network: each request shows a token, and comes from a [`Peer`]; within budgets.
    Network(Budgets),
}

/// The address that a request comes from: the other end of its connection, as an extension of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);
