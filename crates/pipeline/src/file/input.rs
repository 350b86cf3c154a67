//! What a step reads: what another step makes, or a version that is there already.

use custody_types::{ArtifactName, NameError, Reference, Selector};

use super::PipelineFile;

/// An input, as its text in the file is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// The artifact of a step of the file, without the project: `raw`.
    Made(String),
    /// A version that was kept before the run: `raw@3`, `raw@production`, `credit/raw`.
    Kept(Reference),
}

impl PipelineFile {
    /// Reads the text of an input. With `@` or `/` it names a version that is there already, of this project where
    /// it names none.
    pub(crate) fn input(&self, text: &str) -> Result<Input, NameError> {
        if !text.contains(['@', '/']) {
            ArtifactName::new(self.project.clone(), text)?;
            return Ok(Input::Made(text.to_owned()));
        }
        let name = text.split('@').next().unwrap_or_default();
        let reference: Reference = if name.contains('/') {
            text.parse()?
        } else {
            format!("{}/{text}", self.project).parse()?
        };
        let (artifact, latest) = (&reference.artifact, Selector::Latest);
        if !text.contains('@')
            && reference.selector == latest
            && *artifact.project() == self.project
            && self.makes(artifact.name())
        {
            return Ok(Input::Made(artifact.name().to_owned()));
        }
        Ok(Input::Kept(reference))
    }

    fn makes(&self, artifact: &str) -> bool {
        self.steps.iter().any(|(name, step)| {
            step.outputs(name)
                .iter()
                .any(|makes| makes.artifact == artifact)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_and_what_is_there_are_told_apart() {
        let file = PipelineFile::parse(
            "
project: p
steps:
  load:
    source: {file: a.parquet, output: raw, origin: {publisher: x, url: y, licence: z, legal_basis: w, classification: personal}}
  old:
    sql: {inputs: {raw: raw@3, other: q/raw, mine: p/raw}, outputs: {train: SELECT * FROM raw}}
",
        )
        .unwrap();
        for (text, expected) in [
            ("raw", "made raw"),
            ("p/raw", "made raw"),
            ("p/raw@latest", "kept p/raw"),
            ("raw@3", "kept p/raw@3"),
            ("raw@production", "kept p/raw@production"),
            ("q/raw", "kept q/raw"),
            ("q/raw@3", "kept q/raw@3"),
            ("p/other", "kept p/other"),
        ] {
            let told = match file.input(text).unwrap() {
                Input::Made(artifact) => format!("made {artifact}"),
                Input::Kept(reference) => format!("kept {reference}"),
            };
            assert_eq!(told, expected, "{text}");
        }
        for text in ["", "@3", "raw@", "raw@0", "a/b/c", "Raw", "raw@x@y", "q/"] {
            assert!(file.input(text).is_err(), "{text}");
        }
    }
}
