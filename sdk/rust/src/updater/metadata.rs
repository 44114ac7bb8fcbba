//! The signed repository, fetched and kept: the TUF client workflow around `kintsugi_trust::tuf`.
//!
//! **Invariant: a file is stored only after it was trusted, and trusted again when it is read.** The
//! first root came with the product; a stored root is one that followed from it.

use super::error::{OnPath, UpdateError};
use super::folder::{Folder, write_atomically};
use super::http::Http;
use super::settings::Settings;
use kintsugi_domain::Timestamp;
use kintsugi_domain::channel::Target;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::limits::METADATA_BYTES_MAX;
use kintsugi_trust::key::PublicKey;
use kintsugi_trust::tuf::{Change, Role, TargetPath, Trusted, TufError, Wanted};
use serde::Serialize;

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
    trusted: Trusted,
    url: String,
}

impl Repository {
    /// Follows the root chain, then reads timestamp, snapshot and targets.
    pub(super) fn refresh(
        settings: &Settings,
        folder: &Folder,
        http: &Http,
        now: Timestamp,
    ) -> Result<Self, UpdateError> {
        let mut repository = Self {
            trusted: first_root(settings, folder)?,
            url: format!("{}/tuf/{}", settings.home, settings.project),
        };
        repository.follow_roots(folder, http)?;
        // What was kept binds only while its keys are trusted: an error means that it does not any more.
        if let Ok(kept) = std::fs::read(folder.metadata("timestamp")) {
            let _ = repository.trusted.remember_timestamp(&kept);
        }
        if let Ok(kept) = std::fs::read(folder.metadata("snapshot")) {
            let _ = repository.trusted.remember_snapshot(&kept);
        }
        let text = repository.fetch(http, "timestamp.json", METADATA_BYTES_MAX as u64)?;
        let change = repository
            .trusted
            .update_timestamp(&text, now)
            .map_err(|error| refused("timestamp.json", &error))?;
        if change == Change::New {
            write_atomically(&folder.metadata("timestamp"), &text)?;
        }
        let wanted = repository.trusted.next_snapshot();
        let wanted = wanted.map_err(|error| refused("snapshot.json", &error))?;
        repository.take(folder, http, &wanted, "snapshot", |trusted, text| {
            trusted.update_snapshot(text, now)
        })?;
        let wanted = repository.trusted.next_targets();
        let wanted = wanted.map_err(|error| refused("targets.json", &error))?;
        repository.take(folder, http, &wanted, "targets", |trusted, text| {
            trusted.update_targets(text, now)
        })?;
        Ok(repository)
    }

    /// Takes each next root until the server has none.
    fn follow_roots(&mut self, folder: &Folder, http: &Http) -> Result<(), UpdateError> {
        loop {
            let wanted = self.trusted.next_root();
            let url = format!("{}/metadata/{}", self.url, wanted.name);
            let answer = http.get(&url, bounded(wanted.bytes_max))?;
            match answer.status {
                404 => return Ok(()),
                200 => {}
                status => return Err(UpdateError::Status { url, status }),
            }
            // Ends by itself: the trusted set takes a bounded number of roots.
            self.trusted
                .update_root(&answer.body)
                .map_err(|error| refused(&wanted.name, &error))?;
            write_atomically(&folder.metadata("root"), &answer.body)?;
        }
    }

    /// Takes a listed metadata file: the kept one where it is the listed one, else the fetched one.
    fn take(
        &mut self,
        folder: &Folder,
        http: &Http,
        wanted: &Wanted,
        role: &str,
        update: impl FnOnce(&mut Trusted, &[u8]) -> Result<(), TufError>,
    ) -> Result<(), UpdateError> {
        let path = folder.metadata(role);
        let kept = std::fs::read(&path).ok();
        let kept = kept.filter(|kept| wanted.digest == Some(Digest::of(kept)));
        let is_kept = kept.is_some();
        let text = match kept {
            Some(kept) => kept,
            None => self.fetch(http, &wanted.name, wanted.bytes_max)?,
        };
        update(&mut self.trusted, &text).map_err(|error| refused(&wanted.name, &error))?;
        if is_kept {
            Ok(())
        } else {
            write_atomically(&path, &text)
        }
    }

    fn fetch(&self, http: &Http, name: &str, bytes_max: u64) -> Result<Vec<u8>, UpdateError> {
        let url = format!("{}/metadata/{name}", self.url);
        let answer = http.get(&url, bounded(bytes_max))?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(UpdateError::Status { url, status }),
        }
    }

    /// Loads a small target whole and compares it with what the signed targets say.
    pub(super) fn fetch_small(&self, http: &Http, path: &str) -> Result<Vec<u8>, UpdateError> {
        let not_listed = || UpdateError::TargetNotListed {
            path: path.to_owned(),
        };
        let target: TargetPath = path.parse().map_err(|_| not_listed())?;
        let info = self.trusted.target(&target).ok_or_else(not_listed)?;
        let name = self.trusted.target_name(&target).ok_or_else(not_listed)?;
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
        if answer.body.len() as u64 == info.length && Digest::of(&answer.body) == info.digest {
            Ok(answer.body)
        } else {
            Err(UpdateError::FileTampered {
                path: path.to_owned(),
            })
        }
    }

    /// The name under which the repository serves a target, if the signed targets list exactly this one.
    pub(super) fn name_of(&self, target: &Target) -> Option<String> {
        let path: TargetPath = target.path.parse().ok()?;
        let info = self.trusted.target(&path)?;
        if info.digest == target.digest && info.length == target.length {
            self.trusted.target_name(&path)
        } else {
            None
        }
    }

    /// A key of the targets role: statements are signed with one.
    pub(super) fn targets_key(&self, id: &str) -> Option<PublicKey> {
        self.trusted.key(Role::Targets, id).cloned()
    }

    /// The versions this rests on.
    pub(super) fn versions(&self) -> MetadataVersions {
        let trusted = &self.trusted;
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
    let path = folder.metadata("root");
    if !path.exists() {
        return Ok(shipped);
    }
    let stored = std::fs::read(&path).on("read", &path)?;
    Ok(match Trusted::new(&stored) {
        Ok(stored) if stored.root().version > shipped.root().version => stored,
        Ok(_) | Err(_) => shipped,
    })
}

fn bounded(bytes: u64) -> usize {
    usize::try_from(bytes)
        .unwrap_or(usize::MAX)
        .min(METADATA_BYTES_MAX)
}

fn refused(file: &str, error: &TufError) -> UpdateError {
    UpdateError::Metadata {
        file: file.to_owned(),
        why: error.to_string(),
    }
}
