//! Addresses that may stand in a document: a careful part of RFC 3986.

const LONGEST: usize = 2048;

/// Returns an address of the web, with what may not stand in one percent-encoded; `None` for any other text, and for
/// one with a user's name or password in it, which is not to be spread.
pub(super) fn web(text: &str) -> Option<String> {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, port) = match rest.get(..end)?.split_once(':') {
        Some((host, port)) => (host, port),
        None => (rest.get(..end)?, "0"),
    };
    let good = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit());
    if !good || text.len() > LONGEST {
        return None;
    }
    let start = text.len().checked_sub(rest.len())?.checked_add(end)?;
    Some(format!(
        "{}{}",
        text.get(..start)?,
        encoded(text.get(start..)?)
    ))
}

/// Encodes what may not stand in a path, a query and one fragment.
fn encoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let hex = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_hexdigit)
    };
    let mut fragment = false;
    let mut written = String::with_capacity(text.len());
    for (at, byte) in bytes.iter().enumerate() {
        let allowed = match byte {
            b'%' => hex(at.checked_add(1)) && hex(at.checked_add(2)),
            b'#' => !std::mem::replace(&mut fragment, true),
            b'?' => true,
            byte => is_plain(*byte),
        };
        if allowed {
            written.push(char::from(*byte));
        } else {
            let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
            written
                .extend(['%', digit(byte >> 4), digit(byte & 15)].map(|c| c.to_ascii_uppercase()));
        }
    }
    written
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

/// Returns an address of the web, of Custody (`custody://employment/model@1`), or a path beside the document.
pub(super) fn reference(text: &str) -> Option<String> {
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~@/".contains(&byte))
    };
    let beside = |text: &str| {
        let (path, fragment) = text.split_once('#').unwrap_or((text, "0"));
        plain(path) && plain(fragment) && !path.starts_with('/')
    };
    let found = match text.strip_prefix("custody://") {
        Some(rest) => beside(rest),
        None => beside(text),
    };
    if found && text.len() <= LONGEST {
        Some(text.to_owned())
    } else {
        web(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_web_are_encoded_or_refused() {
        for (text, expect) in [
            ("https://a.org", Some("https://a.org")),
            ("http://a.org:80/x?y=1#z", Some("http://a.org:80/x?y=1#z")),
            (
                "https://a.org/a b/ä[1]#x#y%20%zz",
                Some("https://a.org/a%20b/%C3%A4%5B1%5D#x%23y%20%25zz"),
            ),
            ("https://user:secret@a.org/", None),
            ("https://a.org:port/", None),
            ("https://a.org:/", None),
            ("https://", None),
            ("https:///x", None),
            ("https://ä.org/", None),
            ("javascript:alert(1)", None),
            ("file:///etc/passwd", None),
            ("", None),
        ] {
            assert_eq!(web(text).as_deref(), expect, "{text}");
        }
        assert_eq!(web(&format!("https://a.org/{}", "a".repeat(LONGEST))), None);
    }

    #[test]
    fn references_are_of_the_web_of_custody_or_beside() {
        for (text, good) in [
            ("claims.jsonl", true),
            ("claims.jsonl#3", true),
            ("custody://employment/model@1#2", true),
            ("https://a.org/x", true),
            ("custody://", false),
            ("/etc/passwd", false),
            ("a:b", false),
            ("a#b#c", false),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(reference(text).is_some(), good, "{text}");
        }
    }
}
