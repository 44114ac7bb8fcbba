//! Repositories in memory: branches of commits of files.

use super::locked;
use async_trait::async_trait;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::ports::{Forge, PortError, Proposal, check_ref_name, check_source_path};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Repositories in memory, named by any text. Clones share them. Commit ids are 40 hex digits named by content.
#[derive(Debug, Clone, Default)]
pub struct MemoryForge {
    repositories: Arc<Mutex<BTreeMap<String, Repository>>>,
}

#[derive(Debug, Clone, Default)]
struct Repository {
    branches: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    commits: BTreeMap<String, Saved>,
}

#[derive(Debug, Clone)]
struct Saved {
    parent: Option<String>,
    files: BTreeMap<String, String>,
}

impl MemoryForge {
    /// No repository yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes files (whole; the others stay) on top of a branch and returns the new tip, as a person's push would.
    /// Makes the repository and the branch if they do not exist.
    pub fn push(&self, repository: &str, branch: &str, files: &[(&str, &str)]) -> String {
        let mut repositories = locked(&self.repositories);
        let repository = repositories.entry(repository.to_owned()).or_default();
        let parent = repository.branches.get(branch).cloned();
        let files = files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), (*content).to_owned()))
            .collect();
        let commit = repository.save(parent, &files, "push");
        repository
            .branches
            .insert(branch.to_owned(), commit.clone());
        commit
    }

    /// Makes a branch that starts at a commit, or moves it there.
    pub fn branch(&self, repository: &str, branch: &str, commit: &str) {
        let mut repositories = locked(&self.repositories);
        let repository = repositories.entry(repository.to_owned()).or_default();
        repository
            .branches
            .insert(branch.to_owned(), commit.to_owned());
    }

    /// The commit of a tag.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        let repositories = locked(&self.repositories);
        repositories.get(repository)?.tags.get(tag).cloned()
    }

    /// The names of a repository's branches, sorted.
    pub fn branches(&self, repository: &str) -> Vec<String> {
        let repositories = locked(&self.repositories);
        let found = repositories.get(repository);
        found
            .map(|found| found.branches.keys().cloned().collect())
            .unwrap_or_default()
    }

    fn with<T>(
        &self,
        repository: &str,
        act: impl FnOnce(&mut Repository) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        match locked(&self.repositories).get_mut(repository) {
            Some(found) => act(found),
            None => Err(PortError::broken(repository, "there is no such repository")),
        }
    }
}

impl Repository {
    fn save(
        &mut self,
        parent: Option<String>,
        files: &BTreeMap<String, String>,
        message: &str,
    ) -> String {
        let base = parent.as_ref().and_then(|parent| self.commits.get(parent));
        let mut tree = base.map(|base| base.files.clone()).unwrap_or_default();
        tree.extend(files.clone());
        let mut parts = vec![parent.as_deref().unwrap_or_default(), message];
        for (path, content) in &tree {
            parts.extend([path.as_str(), content.as_str()]);
        }
        let parts: Vec<&[u8]> = parts.into_iter().map(str::as_bytes).collect();
        let commit = Digest::of_parts(&parts).short(40);
        let saved = Saved {
            parent,
            files: tree,
        };
        self.commits.insert(commit.clone(), saved);
        commit
    }

    fn saved(&self, commit: &str) -> Result<&Saved, PortError> {
        self.commits
            .get(commit)
            .ok_or_else(|| PortError::broken(format!("commit {commit}"), "there is no such commit"))
    }

    /// Whether `commit` is `tip` or one of its ancestors.
    fn contains(&self, tip: &str, commit: &str) -> bool {
        let mut at = Some(tip.to_owned());
        while let Some(here) = at {
            if here == commit {
                return true;
            }
            at = self
                .commits
                .get(&here)
                .and_then(|saved| saved.parent.clone());
        }
        false
    }
}

#[async_trait]
impl Forge for MemoryForge {
    async fn head(&self, repository: &str, branch: &str) -> Result<String, PortError> {
        self.with(repository, |found| {
            let tip = found.branches.get(branch).cloned();
            tip.ok_or_else(|| {
                PortError::broken(format!("branch {branch}"), "there is no such branch")
            })
        })
    }

    async fn file(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
    ) -> Result<Option<String>, PortError> {
        check_source_path(path)?;
        self.with(repository, |found| {
            Ok(found.saved(commit)?.files.get(path).cloned())
        })
    }

    async fn propose(&self, proposal: &Proposal) -> Result<String, PortError> {
        check_ref_name(&proposal.branch)?;
        for path in proposal.files.keys() {
            check_source_path(path)?;
        }
        self.with(&proposal.repository, |found| {
            found.saved(&proposal.base)?;
            let message = format!("{}\n{}", proposal.at, proposal.message);
            let commit = found.save(Some(proposal.base.clone()), &proposal.files, &message);
            match found.branches.get(&proposal.branch) {
                Some(tip) if found.contains(tip, &commit) => Ok(commit),
                Some(_) => {
                    let what = format!("branch {}", proposal.branch);
                    Err(PortError::broken(what, "it already holds another change"))
                }
                None => {
                    found
                        .branches
                        .insert(proposal.branch.clone(), commit.clone());
                    Ok(commit)
                }
            }
        })
    }

    async fn land(
        &self,
        repository: &str,
        branch: &str,
        commit: &str,
        tag: &str,
    ) -> Result<bool, PortError> {
        check_ref_name(branch)?;
        check_ref_name(tag)?;
        self.with(repository, |found| {
            found.saved(commit)?;
            let Some(tip) = found.branches.get(branch).cloned() else {
                return Err(PortError::broken(
                    format!("branch {branch}"),
                    "there is no such branch",
                ));
            };
            match found.tags.get(tag) {
                Some(tagged) if tagged != commit => {
                    return Err(PortError::broken(
                        format!("tag {tag}"),
                        "it names another commit",
                    ));
                }
                Some(_) => {}
                None => {
                    found.tags.insert(tag.to_owned(), commit.to_owned());
                }
            }
            if found.contains(&tip, commit) {
                return Ok(true);
            }
            if found.contains(commit, &tip) {
                found.branches.insert(branch.to_owned(), commit.to_owned());
                return Ok(true);
            }
            Ok(false)
        })
    }
}
