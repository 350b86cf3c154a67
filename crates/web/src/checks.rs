//! What a request must be before anything is done for it: meant for this server, and, where it changes something, sent by a page of
//! ours.

use std::collections::BTreeMap;

use http::header::{CONTENT_TYPE, COOKIE as COOKIES, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::browsers::{BrowserId, COOKIE};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORM: &str = "application/x-www-form-urlencoded";

/// Why a request is refused that comes from no page of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
}

const fn refused(status: StatusCode, why: &'static str) -> Refused {
    Refused { status, why }
}

/// Returns the value of a field that is there once.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Returns the host that a request is for, where it is one of `names`; none are known where the certificates come from elsewhere.
pub(crate) fn host(headers: &HeaderMap, names: Option<&[String]>) -> Result<String, Refused> {
    let wrong = refused(
        StatusCode::MISDIRECTED_REQUEST,
        "this server is not known by that name",
    );
    let host = one(headers, &HOST).ok_or(wrong)?;
    let authority: http::uri::Authority = host.parse().map_err(|_| wrong)?;
    if host.contains('@') {
        return Err(wrong);
    }
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let known = names.is_none_or(|names| names.iter().any(|one| one.eq_ignore_ascii_case(name)));
    known.then(|| host.to_ascii_lowercase()).ok_or(wrong)
}

/// Checks that a request that changes something was sent by a page of this server, as forms are.
///
/// Browsers say by `Sec-Fetch-Site` from where it came, or by `Origin`, which is `null` for pages that tell no `Referer`, as ours.
pub(crate) fn is_from_here(headers: &HeaderMap, host: &str) -> Result<(), Refused> {
    let wrong = refused(
        StatusCode::FORBIDDEN,
        "it was not sent by a page of this server",
    );
    let ours = format!("https://{host}");
    let there = |name: &HeaderName| headers.contains_key(name);
    let is_ours = match (one(headers, &FETCH_SITE), one(headers, &ORIGIN)) {
        (None, _) if there(&FETCH_SITE) => false,
        (_, None) if there(&ORIGIN) => false,
        (Some("same-origin"), None) => true,
        (Some("same-origin"), Some(origin)) => origin == "null" || origin == ours,
        (None, Some(origin)) => origin == ours,
        (Some(_), _) | (None, None) => false,
    };
    if !is_ours {
        return Err(wrong);
    }
    if one(headers, &CONTENT_TYPE) != Some(FORM) {
        return Err(refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "it is no form of this server",
        ));
    }
    Ok(())
}

/// Reads the id that a browser shows. Where it shows two, something beside us has set one, and none counts.
pub(crate) fn browser(headers: &HeaderMap) -> Option<BrowserId> {
    let mut found = None;
    for field in headers.get_all(COOKIES) {
        for pair in field.to_str().ok()?.split(';') {
            let Some((name, value)) = pair.trim().split_once('=') else {
                continue;
            };
            if name == COOKIE {
                if found.is_some() {
                    return None;
                }
                found = Some(BrowserId::read(value)?);
            }
        }
    }
    found
}

/// Fields by their names, of a form or a query, each at most once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Reads them; none: a field is there twice, so that two readers may take it differently.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(text).ok()?;
        let mut fields = BTreeMap::new();
        for (name, value) in pairs {
            if fields.insert(name, value).is_some() {
                return None;
            }
        }
        Some(Self(fields))
    }

    /// Returns a field without blanks around it; empty where it is not there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }

    /// Returns a field as it was typed; empty where it is not there.
    pub(crate) fn exact(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Returns a field that says something.
    pub(crate) fn given(&self, name: &str) -> Option<String> {
        Some(self.get(name))
            .filter(|value| !value.is_empty())
            .map(ToOwned::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_form_comes_from_a_page_of_this_server_or_is_refused() {
        let check = |fields: &[(&'static str, &str)], expected: Option<u16>| {
            let mut headers = headers(fields);
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(FORM));
            let told = is_from_here(&headers, "example.org:8443").err();
            assert_eq!(told.map(|one| one.status.as_u16()), expected, "{fields:?}");
        };
        let (site, origin) = ("sec-fetch-site", "origin");
        for good in [
            &[(site, "same-origin")][..],
            &[(site, "same-origin"), (origin, "null")],
            &[(site, "same-origin"), (origin, "https://example.org:8443")],
            &[(origin, "https://example.org:8443")],
        ] {
            check(good, None);
        }
        for foreign in [
            &[][..],
            &[(origin, "null")],
            &[(origin, "https://example.org")],
            &[(origin, "http://example.org:8443")],
            &[(origin, "https://sibling.example.org:8443")],
            &[
                (origin, "https://example.org:8443"),
                (origin, "https://example.org:8443"),
            ],
            &[(site, "same-site")],
            &[(site, "cross-site")],
            &[(site, "none")],
            &[(site, "cross-site"), (origin, "https://example.org:8443")],
            &[(site, "same-origin"), (origin, "https://evil.example")],
            &[(site, "same-origin"), (site, "same-origin")],
        ] {
            check(foreign, Some(403));
        }
        for other in [
            "text/plain",
            "application/json",
            "multipart/form-data; boundary=x",
        ] {
            check(&[(site, "same-origin"), ("content-type", other)], Some(415));
        }
    }

    #[test]
    fn a_request_is_for_a_name_of_this_server() {
        let names = ["localhost".to_owned(), "::1".to_owned()];
        let check = |value: &str| host(&headers(&[("host", value)]), Some(&names)).is_ok();
        for good in ["localhost", "LOCALHOST:8443", "[::1]:8443"] {
            assert!(check(good), "{good}");
        }
        for wrong in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil@localhost",
            "localhost/x",
        ] {
            assert!(!check(wrong), "{wrong}");
        }
        assert!(host(&headers(&[("host", "any.example")]), None).is_ok());
        assert!(host(&headers(&[]), None).is_err());
    }

    #[test]
    fn a_browser_shows_one_id() {
        let id = "A".repeat(43);
        let shows = |fields: &[&str]| {
            let fields: Vec<_> = fields.iter().map(|field| ("cookie", *field)).collect();
            browser(&headers(&fields)).is_some()
        };
        let ours = format!("{COOKIE}={id}");
        assert!(shows(&[&ours]) && shows(&[&format!("a=b; {ours}; c")]));
        assert!(!shows(&[]) && !shows(&["custody=x"]) && !shows(&[&format!("{COOKIE}=short")]));
        assert!(!shows(&[&format!("{ours}; {ours}")]) && !shows(&[&ours, &ours]));
    }

    #[test]
    fn a_field_is_there_once() {
        let fields = Fields::read(b"a=1+2&b=%3Cb%3E").unwrap();
        assert_eq!(
            (fields.get("a"), fields.get("b"), fields.get("c")),
            ("1 2", "<b>", "")
        );
        assert!(Fields::read(b"a=1&a=2").is_none());
    }
}
