//! Steps of which a test wants what they wrote.

use std::collections::BTreeMap;

use custody_sandbox::{Finished, OutputFile, SandboxError, Spec, run};

use super::support::launcher;

/// What a step wrote, by output: path and content of each file.
pub(crate) type Written = BTreeMap<String, Vec<(String, Vec<u8>)>>;

/// Runs a step and holds what it wrote.
pub(crate) fn run_and_hold(spec: &Spec) -> Result<(Finished, Written), SandboxError> {
    let mut written = Written::new();
    let mut take = |file: OutputFile<'_>| {
        let mut bytes = Vec::new();
        file.content.read_to_end(&mut bytes)?;
        assert_eq!(file.size.bytes(), bytes.len() as u64);
        let files = written.entry(file.output.to_owned()).or_default();
        files.push((file.path.to_string(), bytes));
        Ok(())
    };
    let finished = run(&launcher(), spec, &mut |_| {}, &mut take)?;
    Ok((finished, written))
}
