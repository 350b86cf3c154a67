//! `custody bom` and `custody claims`.

use std::io::{self, IsTerminal};
use std::path::Path;

use custody_backends::user_files;
use custody_host::user_files_problem;
use custody_types::{ExitCode, Problem};

use crate::args::{Bom, Claims};
use crate::context::Context;
use crate::output::Output;

pub(crate) fn run(context: &Context, args: &Bom) -> Result<ExitCode, Problem> {
    let document = context
        .client_for_pipeline()?
        .bom(&args.reference.to_string())?;
    put(&document, args.to.as_deref())
}

pub(crate) fn claims(context: &Context, args: &Claims) -> Result<ExitCode, Problem> {
    let lines = context.client()?.claims(&args.reference.to_string())?;
    put(&lines, args.to.as_deref())
}

fn put(bytes: &[u8], to: Option<&Path>) -> Result<ExitCode, Problem> {
    match to {
        Some(file) => {
            user_files::write_file(file, bytes).map_err(|error| user_files_problem(&error))?;
        }
        None => {
            let text = String::from_utf8_lossy(bytes);
            if io::stdout().is_terminal() {
                Output::json(&text)?;
            } else {
                // Byte for byte what others have the digest of.
                Output::plain(&text)?;
            }
        }
    }
    Ok(ExitCode::Done)
}
