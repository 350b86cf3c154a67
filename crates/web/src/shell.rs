//! What every page has around it: the title, who looks at it, the way to other pages.

use custody_types::{Problem, Purpose, Timestamp};

use crate::assets;

/// The parts of the pages that a person finds in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Home,
    Projects,
    Approvals,
    Runs,
    Ledger,
    Rules,
    Own,
    Nowhere,
}

/// A place with its name and path.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) is_here: bool,
}

/// What a page has around its content.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    pub(crate) title: String,
    pub(crate) here: Place,
    /// The account of who signed in.
    pub(crate) account: Option<String>,
    /// For what they look at data.
    pub(crate) purpose: Option<Purpose>,
    /// What forms carry.
    pub(crate) token: String,
    /// What was just done, in words.
    pub(crate) notice: Option<&'static str>,
    /// What could not be done.
    pub(crate) problem: Option<Problem>,
}

impl Shell {
    /// Around a page for whoever has not signed in.
    pub(crate) fn outside(title: &str, token: String) -> Self {
        Self {
            title: title.to_owned(),
            here: Place::Nowhere,
            account: None,
            purpose: None,
            token,
            notice: None,
            problem: None,
        }
    }

    pub(crate) fn style(&self) -> &'static str {
        let _ = self;
        assets::style_path()
    }

    pub(crate) fn script(&self) -> &'static str {
        let _ = self;
        assets::script_path()
    }

    pub(crate) fn icon(&self) -> &'static str {
        let _ = self;
        assets::icon_path()
    }

    /// Lists the places of the navigation.
    pub(crate) fn links(&self) -> [Link; 6] {
        let link = |name, path, place| Link {
            name,
            path,
            is_here: self.here == place,
        };
        [
            link("Home", "/home", Place::Home),
            link("Projects", "/projects", Place::Projects),
            link("Approvals", "/approvals", Place::Approvals),
            link("Runs", "/runs", Place::Runs),
            link("Ledger", "/ledger", Place::Ledger),
            link("Policies", "/policies", Place::Rules),
        ]
    }
}

/// What a page says was just done. It is named in the address by a word, so that nobody makes a page say what they want.
pub(crate) fn notice(word: &str) -> Option<&'static str> {
    let known = [
        (
            "approved",
            "Approved. The approval is signed and stands in the ledger.",
        ),
        ("rejected", "Rejected. The rejection stands in the ledger."),
        (
            "cancelled",
            "The run is being cancelled; it ends when its steps have.",
        ),
        ("purpose", "The purpose is stated from now on."),
        ("signed-out", "You signed out."),
        ("in-force", "The change is in force."),
        ("token-revoked", "The token opens nothing any more."),
    ];
    let found = known.iter().find(|(name, _)| *name == word);
    found.map(|(_, sentence)| *sentence)
}

/// A point in time as people read it, without the offset, which is always that of UTC.
pub(crate) fn read_time(time: &Timestamp) -> String {
    time.to_seconds_text()
        .replace('T', " ")
        .replace('Z', " UTC")
}

/// The beginning of a digest or an id.
pub(crate) fn short(text: &impl std::fmt::Display) -> String {
    let text = text.to_string();
    let start = text.strip_prefix("sha256:").unwrap_or(&text);
    start.chars().take(12).collect()
}

/// Writes a text for the query of an address.
pub(crate) fn encoded(text: &impl std::fmt::Display) -> String {
    serde_urlencoded::to_string([("", text.to_string())])
        .map(|pair| pair.trim_start_matches('=').to_owned())
        .unwrap_or_default()
}

/// The end of an id, which tells ids apart that begin with the time.
pub(crate) fn tail(id: &str) -> String {
    let letters: Vec<_> = id.chars().collect();
    letters
        .iter()
        .skip(letters.len().saturating_sub(8))
        .collect()
}

/// A time as the ledger writes it, to the second.
pub(crate) fn cut_time(text: &str) -> String {
    let cut: String = text.chars().take(19).collect();
    cut.replace('T', " ")
}

/// How the mark of an answer looks; the word says the same.
pub(crate) fn answer_tone(word: &str) -> &'static str {
    match word {
        "ok" | "permit" => "good",
        "denied" | "deny" | "forbid" => "warn",
        "error" | "unknown" => "bad",
        _ => "",
    }
}
