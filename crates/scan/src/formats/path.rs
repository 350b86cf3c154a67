//! Names of files that a model asks its loader to open: they must stay below the model's own folder.

/// Why a name leaves the folder of the model, or `None` where it stays within.
pub(super) fn escape(path: &str) -> Option<&'static str> {
    let drive = path
        .split_once(':')
        .is_some_and(|(drive, _)| drive.len() == 1);
    if path.contains("://") || path.starts_with("file:") || path.starts_with("data:") {
        Some("is an address")
    } else if drive {
        Some("names a drive")
    } else if path.contains('\\') {
        Some("has a backslash, which parts folders on Windows")
    } else if path.starts_with('/') {
        Some("is absolute")
    } else if path.starts_with('~') {
        Some("begins with the home folder")
    } else if path.split('/').any(|part| part.trim_end() == "..") {
        Some("climbs out of its folder")
    } else if path.chars().any(char::is_control) {
        Some("has control characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_the_folder_stay_within() {
        for within in [
            "model.onnx.data",
            "a/b.bin",
            "./w",
            "a..b",
            "...",
            "x/y..",
            "ab:c",
            "",
        ] {
            assert_eq!(escape(within), None, "{within}");
        }
        for out in [
            "..",
            "../a",
            "a/../../b",
            "a/..",
            "/etc/passwd",
            "C:\\a",
            "C:a",
            "c:/a",
            "a\\..\\b",
            "\\\\host\\a",
            "file:///a",
            "file:a",
            "https://a",
            "data:,a",
            "~/a",
            "a\0b",
            "a/.. /b",
        ] {
            assert!(escape(out).is_some(), "{out}");
        }
    }
}
