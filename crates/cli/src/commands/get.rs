//! `custody get`.

use std::path::PathBuf;

use custody_backends::user_files;
use custody_types::{ByteSize, ExitCode, Problem};
use custody_wire::Schema;
use serde::Serialize;

use crate::args::Get;
use crate::context::Context;
use crate::problems::user_files_problem;

#[derive(Debug, Serialize)]
struct Got {
    reference: String,
    to: PathBuf,
    files: u64,
    size: ByteSize,
}

impl Schema for Got {
    const NAME: &'static str = "custody/get/1";
}

pub(crate) fn run(context: &Context, args: Get) -> Result<ExitCode, Problem> {
    let client = context.client()?;
    let reference = args.reference.to_string();
    let target = match args.to {
        Some(target) => target,
        None => PathBuf::from(
            client
                .show(&reference)?
                .version
                .name
                .to_string()
                .replace('/', "-"),
        ),
    };
    let (files, bytes) = client.export(&reference, |stream| {
        user_files::write_folder(stream, &target).map_err(|error| user_files_problem(&error))
    })?;
    let got = Got {
        reference,
        to: target,
        files,
        size: ByteSize::from_bytes(bytes),
    };
    context.output.answer(got, |got, text| {
        text.line(format!(
            "got {}: {} files, {} in {}",
            got.reference,
            got.files,
            got.size,
            got.to.display()
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
