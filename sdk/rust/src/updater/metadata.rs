//! The signed repository of the home, and what the updater asks of it. The workflow is that of
//! [`crate::tuf`]; the first root came with the product, a stored root is one that followed from it.

use super::error::{OnPath, UpdateError};
use super::folder::Folder;
use super::http::Http;
use super::settings::Settings;
use crate::tuf::{Verified, bounded, refused};
use kintsugi_domain::Timestamp;
use kintsugi_domain::channel::Target;
use kintsugi_domain::limits::METADATA_BYTES_MAX;
use kintsugi_trust::key::PublicKey;
use kintsugi_trust::tuf::{Role, TargetInfo, TargetPath, Trusted};
use serde::Serialize;
use std::collections::BTreeMap;

/// The versions of the metadata that a run rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MetadataVersions {
    /// Of the root.
    pub root: u64,
    /// Of the timestamp.
    pub timestamp: u64,
    /// Of the snapshot.
    pub snapshot: u64,
    /// Of the targets.
    pub targets: u64,
}

/// The repository as verified at this moment.
#[derive(Debug)]
pub(super) struct Repository {
    verified: Verified,
    url: String,
    /// Targets that delegated roles list, as far as they were asked for.
    delegated: BTreeMap<TargetPath, TargetInfo>,
}

impl Repository {
    /// Follows the root chain, then reads timestamp, snapshot and targets.
    pub(super) fn refresh(
        settings: &Settings,
        folder: &Folder,
        http: &Http,
        now: Timestamp,
    ) -> Result<Self, UpdateError> {
        let url = format!("{}/tuf/{}", settings.home, settings.project);
        let trusted = first_root(settings, folder)?;
        let kept = folder.metadata_folder();
        let mut verified = Verified::new(trusted, kept, &format!("{url}/metadata"));
        verified.refresh(http, now)?;
        Ok(Self {
            verified,
            url,
            delegated: BTreeMap::new(),
        })
    }

    /// Looks a target up in delegated roles, where the targets role itself does not list it. What is no path is no
    /// target.
    pub(super) fn look_up(
        &mut self,
        http: &Http,
        path: &str,
        now: Timestamp,
    ) -> Result<(), UpdateError> {
        let Ok(path) = path.parse::<TargetPath>() else {
            return Ok(());
        };
        if self.info(&path).is_none()
            && let Some(info) = self.verified.find(http, &path, now)?
        {
            self.delegated.insert(path, info);
        }
        Ok(())
    }

    /// What is known of a target that was looked up.
    fn info(&self, path: &TargetPath) -> Option<&TargetInfo> {
        let top = self.verified.trusted().target(path);
        top.or_else(|| self.delegated.get(path))
    }

    /// Loads a small target whole and compares it with what the signed targets say.
    pub(super) fn fetch_small(
        &mut self,
        http: &Http,
        path: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, UpdateError> {
        let not_listed = || UpdateError::TargetNotListed {
            path: path.to_owned(),
        };
        let target: TargetPath = path.parse().map_err(|_| not_listed())?;
        self.look_up(http, path, now)?;
        let info = self.info(&target).ok_or_else(not_listed)?;
        let name = self.verified.trusted().name_of(&target, info);
        if info.length > METADATA_BYTES_MAX as u64 {
            return Err(UpdateError::TooLarge {
                what: path.to_owned(),
                limit: METADATA_BYTES_MAX as u64,
            });
        }
        let url = format!("{}/targets/{name}", self.url);
        let answer = http.get(&url, bounded(info.length))?;
        if answer.status != 200 {
            let status = answer.status;
            return Err(UpdateError::Status { url, status });
        }
        if answer.body.len() as u64 == info.length && info.hashes.fit(&answer.body) {
            Ok(answer.body)
        } else {
            Err(UpdateError::FileTampered {
                path: path.to_owned(),
            })
        }
    }

    /// The name under which the repository serves a target that was looked up, if the signed targets list exactly
    /// this one.
    pub(super) fn name_of(&self, target: &Target) -> Option<String> {
        let path: TargetPath = target.path.parse().ok()?;
        let info = self.info(&path)?;
        let is_listed = info.hashes.sha256 == Some(target.digest) && info.length == target.length;
        is_listed.then(|| self.verified.trusted().name_of(&path, info))
    }

    /// A key of the targets role: statements are signed with one.
    pub(super) fn targets_key(&self, id: &str) -> Option<PublicKey> {
        self.verified.trusted().key(Role::Targets, id).cloned()
    }

    /// The versions this rests on.
    pub(super) fn versions(&self) -> MetadataVersions {
        let trusted = self.verified.trusted();
        MetadataVersions {
            root: trusted.root().version,
            timestamp: trusted.timestamp().map_or(0, |role| role.version),
            snapshot: trusted.snapshot().map_or(0, |role| role.version),
            targets: trusted.targets().map_or(0, |role| role.version),
        }
    }
}

/// The newer of the shipped root and the stored one. A stored root that cannot be read is as none.
fn first_root(settings: &Settings, folder: &Folder) -> Result<Trusted, UpdateError> {
    let shipped = Trusted::new(&settings.root).map_err(|error| refused("root.json", &error))?;
    let path = folder.metadata_folder().join("root.json");
    if !path.exists() {
        return Ok(shipped);
    }
    let stored = std::fs::read(&path).on("read", &path)?;
    Ok(match Trusted::new(&stored) {
        Ok(stored) if stored.root().version > shipped.root().version => stored,
        Ok(_) | Err(_) => shipped,
    })
}
