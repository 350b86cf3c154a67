//! How a server asks the identity providers that its settings declare: what the operator says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use custody_api::{CALLBACK, ProviderAccess};
use custody_backends::user_files;
use custody_host::user_files_problem;
use custody_outgoing::{Connector, Limits, Reach, System, Trust};
use custody_types::{Problem, code};
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::args::Providers;
use crate::context::Context;

/// How many bytes a secret, and a file of roots, have at most.
const SECRET_BYTES: u64 = 4 << 10;
const ROOT_BYTES: u64 = 4 << 20;

fn unusable(what: impl Into<String>) -> Problem {
    Problem::new(code::SERVE_005, what)
}

/// Returns what the server asks providers by. `own`: where it is reached, if it knows that.
pub(crate) fn access(
    context: &Context,
    args: &Providers,
    own: Option<&str>,
) -> Result<ProviderAccess, Problem> {
    let here = &context.settings.here;
    let trust = match &args.root {
        None => Trust::System,
        Some(path) => {
            let text = user_files::read_text(&here.join(path), ROOT_BYTES);
            Trust::Roots(text.map_err(|error| user_files_problem(&error))?)
        }
    };
    let networks = args.networks.iter().map(|text| {
        text.parse().map_err(|_| {
            unusable(format!("`{text}` is no network"))
                .hint("write it as `10.1.0.0/16`, one address as `10.1.2.3/32`")
        })
    });
    let plain = args.plain.iter().map(|text| plain(text));
    let reach = Reach {
        networks: networks.collect::<Result<_, _>>()?,
        plain: plain.collect::<Result<_, _>>()?,
    };
    let connector = Connector::new(reach, &trust, Limits::default(), Arc::new(System));
    let connector = connector.map_err(|error| {
        unusable("the certificates of identity providers cannot be checked")
            .because(error)
            .hint("name the roots that are trusted: `--oidc-root FILE`")
    })?;
    Ok(ProviderAccess {
        web: Arc::new(connector),
        redirect: redirect(args, own)?,
        secrets: secrets(context, args)?,
    })
}

/// Reads what is asked without TLS: an address of this machine, as it stands.
fn plain(text: &str) -> Result<String, Problem> {
    let is_loopback = |url: &Url| match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    let url = Url::parse(text).ok();
    let url = url.filter(|url| url.scheme() == "http" && is_loopback(url) && url.path() == "/");
    let url = url.ok_or_else(|| {
        unusable(format!("`{text}` is no address of this machine"))
            .hint("write it as `http://127.0.0.1:PORT`; whatever is elsewhere speaks TLS")
    })?;
    Ok(url.origin().ascii_serialization())
}

/// Returns where browsers come back to: a place in the server's own name, which no request says.
fn redirect(args: &Providers, own: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(address) = args.address.as_deref().or(own) else {
        return Ok(None);
    };
    let url = Url::parse(address).ok();
    let url = url.filter(|url| {
        url.scheme() == "https"
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
    });
    let url = url.ok_or_else(|| {
        unusable(format!(
            "`{address}` is no address that browsers come back to"
        ))
        .hint("write it as `https://custody.example.org:8443`")
    })?;
    let origin = url.origin().ascii_serialization();
    Ok(Some(format!("{origin}{CALLBACK}")))
}

fn secrets(
    context: &Context,
    args: &Providers,
) -> Result<BTreeMap<String, Zeroizing<String>>, Problem> {
    let mut named = BTreeSet::new();
    let secrets = args.secrets.iter().map(|text| {
        let pair = text.split_once('=').filter(|(name, _)| named.insert(*name));
        let (name, path) = pair.ok_or_else(|| {
            unusable(format!(
                "`{text}` names no secret of a provider, or one again"
            ))
            .hint("write it as `--oidc-secret PROVIDER=FILE`, once for each")
        })?;
        let read = user_files::read_text(&context.settings.here.join(path), SECRET_BYTES);
        let read = Zeroizing::new(read.map_err(|error| user_files_problem(&error))?);
        let secret = read.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(unusable(format!("the secret in `{path}` is empty"))
                .hint("leave `--oidc-secret` out where the provider gave none"));
        }
        Ok((name.to_owned(), Zeroizing::new(secret.to_owned())))
    });
    secrets.collect()
}
