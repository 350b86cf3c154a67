//! Secrets that a person gives: typed at a terminal that does not show them, or a line each on standard input.

use std::io::{self, BufRead, IsTerminal};

use custody_types::{Code, Problem};
use zeroize::Zeroizing;

/// Asks for a secret.
///
/// # Errors
/// A [`Problem`] of this code when there is none.
pub(crate) fn ask(what: &str, code: Code) -> Result<Zeroizing<String>, Problem> {
    let read = if io::stdin().is_terminal() {
        rpassword::prompt_password(format!("{what}: ")).map(Zeroizing::new)
    } else {
        line()
    };
    let missing = |because: &str| {
        Problem::new(code, format!("the {what} is missing"))
            .because(because)
            .hint("type it, or give it on standard input, a line for each that is asked for")
    };
    let text = read.map_err(|error| missing(&error.to_string()))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(missing("the line was empty")),
        text => Ok(Zeroizing::new(text.to_owned())),
    }
}

/// Asks for a secret that is to be: twice at a terminal, where nobody sees what is typed.
///
/// # Errors
/// A [`Problem`] of this code when there is none, or the two differ.
pub(crate) fn ask_new(what: &str, code: Code) -> Result<Zeroizing<String>, Problem> {
    let secret = ask(what, code)?;
    if !io::stdin().is_terminal() || ask(&format!("{what} again"), code)? == secret {
        return Ok(secret);
    }
    Err(
        Problem::new(code, format!("the {what} was not typed twice alike"))
            .hint("repeat the command; nothing was changed"),
    )
}

fn line() -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}
