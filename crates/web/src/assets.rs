//! The style sheet, the script and the picture of the pages: part of the program, named by what they are.

use std::sync::LazyLock;

use axum::body::Body;
use custody_types::Digest;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

const STYLE: &[u8] = include_bytes!("../assets/style.css");
/// htmx 2.0.11 as its authors publish it (`npm pack htmx.org@2.0.11`, `dist/htmx.min.js`), under the Zero-Clause BSD licence.
const HTMX: &[u8] = include_bytes!("../assets/htmx.min.js");
const ICON: &[u8] = include_bytes!("../assets/icon.svg");

/// One file, under a path that has the beginning of its digest, so that a browser may keep it.
struct Asset {
    path: String,
    media_type: &'static str,
    bytes: &'static [u8],
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    let asset = |name: &str, ending: &str, media_type, bytes: &'static [u8]| Asset {
        path: format!(
            "/assets/{name}-{}.{ending}",
            crate::shell::short(&Digest::of(bytes))
        ),
        media_type,
        bytes,
    };
    [
        asset("style", "css", "text/css; charset=utf-8", STYLE),
        asset("htmx", "js", "text/javascript; charset=utf-8", HTMX),
        asset("icon", "svg", "image/svg+xml", ICON),
    ]
});

pub(crate) fn style_path() -> &'static str {
    let [style, _, _] = &*ASSETS;
    &style.path
}

pub(crate) fn script_path() -> &'static str {
    let [_, script, _] = &*ASSETS;
    &script.path
}

pub(crate) fn icon_path() -> &'static str {
    let [_, _, icon] = &*ASSETS;
    &icon.path
}

/// Returns the file under a path.
pub(crate) fn file(path: &str) -> Option<Response<Body>> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let mut response = Response::new(Body::from(asset.bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(CACHE_CONTROL, kept);
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of the file in the package of npm, which its integrity field covers.
    const PUBLISHED: &str =
        "sha256:d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717";

    #[test]
    fn the_script_is_the_one_that_was_published() {
        assert_eq!(Digest::of(HTMX).to_string(), PUBLISHED);
    }

    #[test]
    fn a_file_has_one_path() {
        assert!(
            file(style_path()).is_some()
                && file(script_path()).is_some()
                && file(icon_path()).is_some()
        );
        for other in [
            "/assets/",
            "/assets/style.css",
            "/assets/../assets/style.css",
        ] {
            assert!(file(other).is_none());
        }
    }
}
