//! `custody bom`.

use custody_backends::user_files;
use custody_types::{ExitCode, Problem};

use crate::args::Bom;
use crate::context::Context;
use crate::output::Output;
use crate::problems::user_files_problem;

pub(crate) fn run(context: &Context, args: &Bom) -> Result<ExitCode, Problem> {
    let document = context.client()?.bom(&args.reference.to_string())?;
    match &args.to {
        Some(file) => {
            user_files::write_file(file, &document).map_err(|error| user_files_problem(&error))?
        }
        None => Output::plain(&String::from_utf8_lossy(&document))?,
    }
    Ok(ExitCode::Done)
}
