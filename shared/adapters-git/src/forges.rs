//! One forge for every way to name a repository.

use crate::{CredentialFile, Credentials, GitForge, HttpForge, NoCredentials};
use async_trait::async_trait;
use kintsugi_domain::ports::{Forge, PortError, Proposal};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Chooses the forge by the repository's name: an absolute path is a folder, an address is a host's. Clones share
/// connections and what was read.
#[derive(Clone)]
pub struct Forges {
    folder: GitForge,
    http: HttpForge,
}

impl fmt::Debug for Forges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forges").finish_non_exhaustive()
    }
}

impl Forges {
    /// Both forges, with the credentials for hosts.
    pub fn new(credentials: Arc<dyn Credentials>) -> Self {
        Self {
            folder: GitForge::new(),
            http: HttpForge::new(credentials),
        }
    }

    /// Both forges, with the credentials in a file in the form of `git-credential-store`, or with none.
    pub fn with_credential_file(file: Option<&Path>) -> Self {
        match file {
            Some(file) => Self::new(Arc::new(CredentialFile::new(file))),
            None => Self::new(Arc::new(NoCredentials)),
        }
    }

    fn of(&self, repository: &str) -> Result<&dyn Forge, PortError> {
        if repository.starts_with('/') {
            return Ok(&self.folder);
        }
        if repository.starts_with("https://") || repository.starts_with("http://") {
            return Ok(&self.http);
        }
        let why = "expected the absolute path of a folder, or an address that begins with https://";
        Err(PortError::broken("the product's repository", why))
    }
}

#[async_trait]
impl Forge for Forges {
    async fn head(&self, repository: &str, branch: &str) -> Result<String, PortError> {
        self.of(repository)?.head(repository, branch).await
    }

    async fn file(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
    ) -> Result<Option<String>, PortError> {
        self.of(repository)?.file(repository, commit, path).await
    }

    async fn propose(&self, proposal: &Proposal) -> Result<String, PortError> {
        self.of(&proposal.repository)?.propose(proposal).await
    }

    async fn land(
        &self,
        repository: &str,
        branch: &str,
        commit: &str,
        tag: &str,
    ) -> Result<bool, PortError> {
        let forge = self.of(repository)?;
        forge.land(repository, branch, commit, tag).await
    }
}
