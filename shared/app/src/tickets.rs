//! The secrets that tickets are sealed with: known to the manifest and the outcomes stage, one per
//! project, kept in memory so that an update check asks no key store.
//!
//! **Invariant: no secret is made for a project that does not exist**, whatever number a stranger asks
//! for.

use crate::records;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{KeyName, KeyUse, PortError, Ports};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most projects whose secret is remembered.
const SECRETS_MAX: usize = 1_024;

/// The ticket secrets of a home.
pub(crate) struct Tickets {
    ports: Ports,
    secrets: Mutex<BTreeMap<ProjectId, [u8; 32]>>,
}

impl Tickets {
    /// The secrets of a home, none of them read yet.
    pub(crate) fn new(ports: Ports) -> Self {
        Self {
            ports,
            secrets: Mutex::default(),
        }
    }

    /// The secret of a project, or nothing where there is no such project.
    pub(crate) async fn secret(&self, project: ProjectId) -> Result<Option<[u8; 32]>, PortError> {
        if let Some(secret) = self.remembered().get(&project) {
            return Ok(Some(*secret));
        }
        let found = records::project(self.ports.store.as_ref(), project).await?;
        if found.is_none() {
            return Ok(None);
        }
        let name = KeyName {
            project,
            key_use: KeyUse::Tickets,
        };
        let secret = self.ports.signer.secret(&name).await?;
        let mut secrets = self.remembered();
        if secrets.len() >= SECRETS_MAX {
            secrets.clear();
        }
        secrets.insert(project, secret);
        Ok(Some(secret))
    }

    fn remembered(&self) -> MutexGuard<'_, BTreeMap<ProjectId, [u8; 32]>> {
        // Nothing in here can be left half done by a panic.
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}
