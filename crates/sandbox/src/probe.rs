//! What the machine offers for confining steps.

use std::collections::BTreeMap;
use std::path::Path;

use crate::event::Observe;
use crate::interrupt::Interrupt;
use crate::spec::{Exit, Limits, SandboxError, Spec};
use crate::supervisor::run;

/// Something that is needed, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What.
    pub name: String,
    /// Whether it is there.
    pub available: bool,
    /// What was seen.
    pub detail: String,
    /// What to do where it lacks.
    pub hint: Option<String>,
}

/// Runs a step that does nothing, and tells what held.
pub fn probe(launcher: &Path) -> Vec<Probe> {
    let spec = Spec {
        argv: vec!["/bin/true".to_owned()],
        env: BTreeMap::new(),
        environment: None,
        code: None,
        inputs: BTreeMap::new(),
        outputs: Vec::new(),
        network: None,
        limits: Limits::default(),
        observe: Observe::Nothing,
        interrupt: Interrupt::default(),
    };
    let lacking = |detail: String| {
        vec![Probe {
            name: "sandbox".to_owned(),
            available: false,
            detail,
            hint: Some("steps need user namespaces, seccomp and Landlock: Linux 5.13 or newer, `sysctl user.max_user_namespaces` above 0; inside a container allow nested user namespaces".to_owned()),
        }]
    };
    match run(launcher, &spec, &mut |_| {}, &mut |_| Ok(())) {
        Ok(finished) if finished.exit == Exit::Code(0) => {
            let probes = finished.enforced.into_iter().map(|one| Probe {
                name: one.what,
                available: true,
                detail: one.by,
                hint: None,
            });
            probes.collect()
        }
        Ok(finished) => lacking(format!("an empty step ended with {:?}", finished.exit)),
        Err(SandboxError::Unavailable { missing }) => lacking(missing),
        Err(error) => lacking(error.to_string()),
    }
}
