//! Who waits for whom: versions of one artifact are made one at a time, those of others at once.
//!
//! INVARIANT: what decides by what is held in a project (making a version, moving an alias) *shares* the project; what
//! changes that (a contract's result, an approval, a scan, a rejection) has it *alone*. All that is needed is taken at once,
//! so nobody waits for somebody who waits for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use custody_types::{ArtifactName, ProjectName};

/// How the project of a [`Turn`] is used.
#[derive(Debug, Default)]
struct Use {
    sharing: usize,
    alone: bool,
    /// How many wait to have it alone. Who comes later to share it lets them go first.
    waiting: usize,
}

#[derive(Debug, Default)]
struct Taken {
    projects: BTreeMap<ProjectName, Use>,
    artifacts: BTreeSet<ArtifactName>,
}

/// What is being worked on. It holds nothing of what is not.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    taken: Mutex<Taken>,
    freed: Condvar,
}

/// A turn at a project or some of its artifacts; it ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Turn<'a> {
    locks: &'a Locks,
    project: ProjectName,
    /// None: the whole project.
    artifacts: Option<BTreeSet<ArtifactName>>,
}

impl Locks {
    /// Waits until nobody else works on these artifacts, which are of one project, nor has the project alone.
    pub(crate) fn artifacts(
        &self,
        project: &ProjectName,
        artifacts: BTreeSet<ArtifactName>,
    ) -> Turn<'_> {
        let busy = |taken: &mut Taken| {
            let used = taken.projects.get(project);
            used.is_some_and(|used| used.alone || used.waiting > 0)
                || !taken.artifacts.is_disjoint(&artifacts)
        };
        let waited = self.freed.wait_while(self.taken(), busy);
        let mut taken = waited.unwrap_or_else(PoisonError::into_inner);
        taken.projects.entry(project.clone()).or_default().sharing += 1;
        taken.artifacts.extend(artifacts.iter().cloned());
        Turn {
            locks: self,
            project: project.clone(),
            artifacts: Some(artifacts),
        }
    }

    /// Waits until nobody else works on anything of the project.
    pub(crate) fn project(&self, project: &ProjectName) -> Turn<'_> {
        let mut taken = self.taken();
        taken.projects.entry(project.clone()).or_default().waiting += 1;
        let busy = |taken: &mut Taken| {
            let used = taken.projects.get(project);
            used.is_some_and(|used| used.alone || used.sharing > 0)
        };
        let waited = self.freed.wait_while(taken, busy);
        let mut taken = waited.unwrap_or_else(PoisonError::into_inner);
        let used = taken.projects.entry(project.clone()).or_default();
        used.waiting = used.waiting.saturating_sub(1);
        used.alone = true;
        Turn {
            locks: self,
            project: project.clone(),
            artifacts: None,
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut guard = self.locks.taken();
        let taken = &mut *guard;
        if let Some(used) = taken.projects.get_mut(&self.project) {
            match &self.artifacts {
                Some(artifacts) => {
                    used.sharing = used.sharing.saturating_sub(1);
                    taken.artifacts.retain(|one| !artifacts.contains(one));
                }
                None => used.alone = false,
            }
            if used.sharing == 0 && !used.alone && used.waiting == 0 {
                taken.projects.remove(&self.project);
            }
        }
        drop(guard);
        self.locks.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn one(name: &str) -> (ProjectName, BTreeSet<ArtifactName>) {
        let artifact: ArtifactName = name.parse().unwrap();
        (artifact.project().clone(), BTreeSet::from([artifact]))
    }

    fn artifact<'a>(locks: &'a Locks, name: &str) -> Turn<'a> {
        let (project, artifacts) = one(name);
        locks.artifacts(&project, artifacts)
    }

    #[test]
    fn artifacts_go_at_once_and_one_artifact_in_turn() {
        let locks = Locks::default();
        let first = artifact(&locks, "p/a");
        let _other = artifact(&locks, "p/b");
        let _elsewhere = locks.project(&"q".parse().unwrap());
        let (told, heard) = mpsc::channel();
        thread::scope(|scope| {
            let same = scope.spawn(|| {
                let _second = artifact(&locks, "p/a");
                told.send("second").unwrap();
            });
            assert!(heard.recv_timeout(Duration::from_millis(50)).is_err());
            drop(first);
            same.join().unwrap();
            assert_eq!(heard.recv().unwrap(), "second");
        });
    }

    #[test]
    fn who_wants_the_project_alone_is_not_overtaken_for_ever() {
        let locks = Locks::default();
        let project: ProjectName = "p".parse().unwrap();
        let sharing = artifact(&locks, "p/a");
        let (told, heard) = mpsc::channel();
        thread::scope(|scope| {
            let alone = scope.spawn(|| {
                let turn = locks.project(&project);
                told.send("alone").unwrap();
                drop(turn);
            });
            while locks.taken().projects.get(&project).unwrap().waiting == 0 {
                thread::yield_now();
            }
            let later = scope.spawn(|| {
                let _turn = artifact(&locks, "p/b");
                told.send("later").unwrap();
            });
            assert!(heard.recv_timeout(Duration::from_millis(50)).is_err());
            drop(sharing);
            alone.join().unwrap();
            later.join().unwrap();
            assert_eq!(
                [heard.recv().unwrap(), heard.recv().unwrap()],
                ["alone", "later"]
            );
        });
        let taken = locks.taken();
        assert!(taken.projects.is_empty() && taken.artifacts.is_empty());
    }
}
