//! Names of members: what they must not be.

use std::collections::HashSet;

use crate::scan::{Found, Scan, shown};
use custody_findings::Severity;

/// The names of an archive, each looked at once.
#[derive(Debug, Default)]
pub(crate) struct Names {
    exact: HashSet<String>,
    folded: HashSet<String>,
}

impl Names {
    /// Reports what is wrong with a member's name: a path that leaves the folder it is unpacked to, a
    /// name that is there already, control characters.
    pub(crate) fn check(&mut self, name: &str, at: u64, scan: &mut Scan<'_>) {
        if escapes(name) {
            scan.found(
                Found::malicious(
                    "archive/path",
                    format!(
                        "the member `{}` leaves the folder it is unpacked to",
                        shown(name)
                    ),
                )
                .at(at)
                .severity(Severity::High)
                .why("unpacking it writes a file of the archive's choice")
                .see(&["CWE-22", "AML.T0011.000"]),
            );
        }
        if name.chars().any(char::is_control) {
            scan.found(
                Found::malicious(
                    "archive/name",
                    format!("the member name `{}` has control characters", shown(name)),
                )
                .at(at)
                .severity(Severity::High)
                .why("programs disagree on where such a name ends")
                .see(&["CWE-158"]),
            );
        }
        let twice = !self.exact.insert(name.to_owned());
        let folded = !self.folded.insert(name.to_lowercase());
        if twice {
            scan.found(
                Found::malicious(
                    "archive/twice",
                    format!("there are two members `{}`", shown(name)),
                )
                .at(at)
                .severity(Severity::High)
                .why("programs disagree on which of them counts")
                .see(&["CWE-694"]),
            );
        } else if folded {
            scan.found(
                Found::review(
                    "archive/twice",
                    format!("`{}` differs from another member in case only", shown(name)),
                )
                .at(at)
                .why("where case does not count, one replaces the other"),
            );
        }
    }
}

/// Whether a path leaves the folder that it is unpacked to.
pub(crate) fn escapes(path: &str) -> bool {
    let drive = path.as_bytes().get(1) == Some(&b':');
    path.starts_with(['/', '\\']) || drive || path.split(['/', '\\']).any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leaves_is_told_from_one_that_stays() {
        for bad in [
            "../a",
            "a/../../b",
            "/etc/passwd",
            "\\\\server\\x",
            "C:\\x",
            "a\\..\\b",
        ] {
            assert!(escapes(bad), "{bad}");
        }
        for good in ["a/b", "..a", "a..b/c", ".hidden", "a.b/..c"] {
            assert!(!escapes(good), "{good}");
        }
    }
}
