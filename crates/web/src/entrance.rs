//! Signing in, by a password and a code, or for the first time by an invitation.

use std::fmt::Write as _;

use askama::Template;
use custody_crypto::totp::Authenticator;
use custody_types::{Problem, code};
use custody_wire::{EnrolRequest, SessionReply, SignInRequest};
use http::StatusCode;
use qrcode::{Color, EcLevel, QrCode};
use zeroize::Zeroizing;

use crate::answer::{Answer, status_of};
use crate::browsers::{Browser, BrowserId};
use crate::checks::Fields;
use crate::router::Inner;
use crate::shell::{Shell, notice};
use crate::visit::Asking;

/// Where people sign in.
const SIGN_IN: &str = "/sign-in";
/// Where people are led who signed in.
const HOME: &str = "/home";
/// The longest address that is gone back to after signing in.
const PLACE_BYTES: usize = 1024;

/// A request of somebody who is not known yet, or has signed in already.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) pages: &'a Inner,
    /// Who signed in with this browser before.
    pub(crate) browser: Option<Browser>,
    pub(crate) asking: Asking,
    pub(crate) id: BrowserId,
    pub(crate) query: Fields,
    pub(crate) form: Fields,
}

/// What is answered, and the field of the cookie that the browser gets.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) answer: Answer,
    pub(crate) cookie: Option<String>,
}

impl Entered {
    fn shown(answer: Answer) -> Self {
        Self {
            answer,
            cookie: None,
        }
    }
}

/// Returns where to sign in, and what for: a page of ours that was asked for.
pub(crate) fn place_of_sign_in(wanted: Option<&str>) -> String {
    match wanted.and_then(place) {
        Some(place) if place != "/" && place != HOME => {
            let query = serde_urlencoded::to_string([("to", place)]).unwrap_or_default();
            format!("{SIGN_IN}?{query}")
        }
        _ => SIGN_IN.to_owned(),
    }
}

/// Takes over the address of a page of this server, and no other.
fn place(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('/')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%?&=+:@".contains(&byte);
    let good = text.len() <= PLACE_BYTES && !rest.starts_with('/') && rest.bytes().all(plain);
    good.then_some(text)
}

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage {
    shell: Shell,
    account: String,
    to: String,
    /// The names of the identity providers that a browser is sent to.
    providers: Vec<String>,
}

fn sign_in_page(arrival: &Arrival<'_>, problem: Option<Problem>) -> Result<Entered, Problem> {
    let token = arrival.pages.browsers.form_token(&arrival.id);
    let status = problem.as_ref().map_or(StatusCode::OK, status_of);
    let to = arrival
        .form
        .given("to")
        .or_else(|| arrival.query.given("to"));
    let mut shell = Shell::outside("Sign in", token);
    shell.notice = notice(arrival.query.get("done"));
    shell.problem = problem;
    let page = SignInPage {
        shell,
        account: arrival.form.get("account").to_owned(),
        to: to.as_deref().and_then(place).unwrap_or_default().to_owned(),
        providers: providers(arrival),
    };
    Ok(Entered::shown(Answer::under(status, &page)?))
}

/// Lists where a browser can be sent. Where that cannot be told, people sign in by their passwords.
fn providers(arrival: &Arrival<'_>) -> Vec<String> {
    let told = arrival.asking.anybody().providers();
    let told = told.map(|reply| reply.providers).unwrap_or_default();
    let with_browser = told.into_iter().filter(|provider| provider.browser);
    with_browser.map(|provider| provider.name).collect()
}

#[derive(Template)]
#[template(path = "signed-in.html")]
struct SignedInPage {
    shell: Shell,
    home: &'static str,
}

/// Answers a browser that came back from an identity provider, with what the API made of it. A redirection would go on as
/// the provider's, without the cookie that it sets, which goes with what this server begins alone: so it is a page that leads on.
pub(crate) fn come_back(
    arrival: &Arrival<'_>,
    session: Result<SessionReply, Problem>,
) -> Result<Entered, Problem> {
    let session = match session {
        Ok(session) => session,
        Err(problem) => return sign_in_page(arrival, Some(problem)),
    };
    let page = SignedInPage {
        shell: Shell::outside("Signed in", String::new()),
        home: HOME,
    };
    Ok(Entered {
        answer: Answer::page(&page)?,
        ..let_in(arrival, session, HOME)
    })
}

pub(crate) fn show_sign_in(arrival: &Arrival<'_>) -> Result<Entered, Problem> {
    if arrival.browser.is_some() {
        return Ok(Entered::shown(Answer::SeeOther(HOME.to_owned())));
    }
    sign_in_page(arrival, None)
}

pub(crate) fn sign_in(arrival: &Arrival<'_>) -> Result<Entered, Problem> {
    let form = &arrival.form;
    let request = SignInRequest {
        account: form.get("account").to_owned(),
        password: form.exact("password").to_owned(),
        code: code_of(form),
    };
    match arrival.asking.anybody().sign_in(&request) {
        Ok(session) => {
            let to = form.given("to");
            let to = to.as_deref().and_then(place).unwrap_or(HOME);
            Ok(let_in(arrival, session, to))
        }
        Err(problem) => sign_in_page(arrival, Some(problem)),
    }
}

/// Returns the code as authenticators show it, in two halves or in one.
fn code_of(form: &Fields) -> String {
    form.get("code").split_whitespace().collect()
}

/// Remembers who signed in, under an id that this browser did not have before; who had signed in with it is signed out.
fn let_in(arrival: &Arrival<'_>, session: SessionReply, to: &str) -> Entered {
    let browsers = &arrival.pages.browsers;
    if let Some(before) = &arrival.browser {
        // A session that cannot be ended now ends by itself.
        let _ = arrival
            .asking
            .as_session(&before.token)
            .and_then(|api| api.sign_out());
    }
    browsers.forget(&arrival.id);
    let id = browsers.draw();
    browsers.enter(
        &id,
        Browser {
            account: session.account.to_string(),
            token: Zeroizing::new(session.token),
            ends: session.ends,
            purpose: None,
        },
    );
    Entered {
        answer: Answer::SeeOther(to.to_owned()),
        cookie: Some(id.to_cookie()),
    }
}

#[derive(Template)]
#[template(path = "invitation.html")]
struct InvitationPage {
    shell: Shell,
    account: String,
    invitation: String,
    authenticator: Zeroizing<String>,
    /// The same in groups of four, as it is typed.
    spelled: Zeroizing<String>,
    /// The address for an app, as a drawing: its side, and the path of the dark squares.
    drawing: Option<(usize, String)>,
    is_password_wrong: bool,
    is_code_wrong: bool,
}

fn invitation_page(arrival: &Arrival<'_>, problem: Option<Problem>) -> Result<Entered, Problem> {
    let pages = arrival.pages;
    let form = &arrival.form;
    // The app has the secret by now, where a form comes back that something was wrong with.
    let kept = Authenticator::read(form.get("authenticator")).ok();
    let authenticator = kept.unwrap_or_else(|| Authenticator::draw(pages.entropy.as_ref()));
    let account = form.get("account").to_owned();
    let url = authenticator.to_url(
        "Custody",
        if account.is_empty() {
            "custody"
        } else {
            &account
        },
    );
    let text = authenticator.to_text();
    let status = problem.as_ref().map_or(StatusCode::OK, status_of);
    let is = |wanted: custody_types::Code| problem.as_ref().is_some_and(|one| one.code == wanted);
    let page = InvitationPage {
        account,
        invitation: form.get("invitation").to_owned(),
        spelled: Zeroizing::new(in_groups(&text)),
        authenticator: text,
        drawing: url.ok().and_then(|url| drawn(&url)),
        is_password_wrong: is(code::DOOR_029),
        is_code_wrong: is(code::DOOR_030),
        shell: Shell {
            problem,
            ..Shell::outside("First sign-in", pages.browsers.form_token(&arrival.id))
        },
    };
    Ok(Entered::shown(Answer::under(status, &page)?))
}

fn in_groups(text: &str) -> String {
    let mut spelled = String::new();
    for (place, letter) in text.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            spelled.push(' ');
        }
        spelled.push(letter);
    }
    spelled
}

/// Draws a text as a QR code (ISO/IEC 18004) with the quiet zone of four squares around it.
fn drawn(text: &str) -> Option<(usize, String)> {
    const QUIET: usize = 4;
    let drawn = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = drawn.width();
    let mut path = String::new();
    for (place, color) in drawn.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let (x, y) = (place % width + QUIET, place / width + QUIET);
            let _infallible = write!(path, "M{x} {y}h1v1h-1z");
        }
    }
    Some((width + 2 * QUIET, path))
}

pub(crate) fn show_invitation(arrival: &Arrival<'_>) -> Result<Entered, Problem> {
    invitation_page(arrival, None)
}

pub(crate) fn enrol(arrival: &Arrival<'_>) -> Result<Entered, Problem> {
    let form = &arrival.form;
    if form.exact("password") != form.exact("again") {
        let differ = Problem::new(code::WEB_002, "the two passwords differ")
            .hint("type the same password twice");
        return invitation_page(arrival, Some(differ));
    }
    let request = EnrolRequest {
        account: form.get("account").to_owned(),
        invitation: form.get("invitation").to_owned(),
        password: form.exact("password").to_owned(),
        authenticator: form.get("authenticator").to_owned(),
        code: code_of(form),
    };
    match arrival.asking.anybody().enrol(&request) {
        Ok(session) => Ok(let_in(arrival, session, HOME)),
        Err(problem) => invitation_page(arrival, Some(problem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_this_server_is_gone_back_to() {
        for good in [
            "/home",
            "/versions/p/a/1?after=2",
            "/ledger?since=2026-01-01T00%3A00%3A00Z",
        ] {
            assert_eq!(place(good), Some(good));
        }
        for other in [
            "",
            "home",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a\r\nb",
            "/a b",
            "/<b>",
        ] {
            assert_eq!(place(other), None, "{other}");
            assert_eq!(place_of_sign_in(Some(other)), "/sign-in");
        }
        assert_eq!(
            place_of_sign_in(Some("/runs?a=b")),
            "/sign-in?to=%2Fruns%3Fa%3Db"
        );
    }

    #[test]
    fn a_secret_is_spelled_and_drawn() {
        assert_eq!(in_groups("ABCDEFGHI"), "ABCD EFGH I");
        let (side, path) = drawn("otpauth://totp/Custody:ada?secret=ABC").unwrap();
        assert!(side > 29 && path.starts_with("M4 4h1v1h-1z"));
    }
}
