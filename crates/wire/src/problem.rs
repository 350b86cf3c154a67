//! A problem as an HTTP answer: RFC 9457, `application/problem+json`.

use custody_types::{Code, Problem, ProblemKind, Retry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type of an answer that tells a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// What the `type` of a problem begins with; its code, in small letters, follows.
const TYPES: &str = "https://custody.dev/errors#";

/// The document of an answer that tells a problem.
///
/// `type`, `title`, `status`, `detail` and `instance` are those of RFC 9457, section 3.1. The occurrence that `instance` names is
/// the request, not the entry of the ledger, which who may not read it is not told. The other members are ours (section 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemDetails {
    /// A URI for what the code means: `docs/reference/errors.md` has it under this fragment.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// What the code tells, whatever it is about.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What failed, on what.
    pub detail: String,
    /// The request, as `urn:uuid:…`, by which who runs the server finds it in the log; none where there is no server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The code.
    pub code: String,
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// Why, from the outermost cause to the innermost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// The way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The thing that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whether the same call may work later.
    pub retry: Retry,
}

impl From<&Problem> for ProblemDetails {
    fn from(problem: &Problem) -> Self {
        let code = problem.code;
        Self {
            type_uri: format!("{TYPES}{}", code.as_str().to_lowercase()),
            title: code.title().to_owned(),
            status: problem.kind().status(),
            detail: problem.what.clone(),
            instance: None,
            code: code.as_str().to_owned(),
            kind: problem.kind(),
            because: problem.because.clone(),
            hint: problem.hint.clone(),
            subject: problem.subject.clone(),
            retry: problem.kind().retry(),
        }
    }
}

impl ProblemDetails {
    /// Returns the problem that the answer tells, or the document itself where this program has no such code.
    ///
    /// # Errors
    /// The document.
    pub fn problem(self) -> Result<Problem, Self> {
        let Ok(code) = self.code.parse::<Code>() else {
            return Err(self);
        };
        Ok(Problem {
            code,
            what: self.detail,
            because: self.because,
            hint: self.hint,
            subject: self.subject,
        })
    }
}

#[cfg(test)]
mod tests {
    use custody_types::code;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_goes_through_its_answer_unchanged() {
        for code in code::ALL {
            let problem = Problem::new(*code, "it failed")
                .because("of this")
                .because("and that")
                .hint("do something else")
                .subject("a/b@1");
            let text = serde_json::to_vec(&ProblemDetails::from(&problem)).unwrap();
            let read: ProblemDetails = serde_json::from_slice(&text).unwrap();
            assert_eq!(read.problem(), Ok(problem));
        }
    }

    #[test]
    fn the_document_has_the_members_of_the_standard_and_ours() {
        let problem = Problem::no_room("`a`");
        assert_eq!(
            serde_json::to_value(ProblemDetails::from(&problem)).unwrap(),
            json!({
                "type": "https://custody.dev/errors#cus-store-004",
                "title": "there is no room left on the disk",
                "status": 507,
                "detail": "there is no room left on the disk for `a`",
                "code": "CUS-STORE-004",
                "kind": "full",
                "hint": problem.hint,
                "retry": "later",
            })
        );
    }

    #[test]
    fn a_code_of_another_program_is_not_taken_for_one_of_this() {
        let mut details = ProblemDetails::from(&Problem::no_room("`a`"));
        details.code = "CUS-NONE-001".to_owned();
        assert_eq!(details.clone().problem(), Err(details));
    }
}
