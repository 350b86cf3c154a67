//! Prints the JSON Schema of the pipeline file: `cargo run -p custody-pipeline --example schema`.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    io::stdout().write_all(custody_pipeline::file::schema().as_bytes())
}
