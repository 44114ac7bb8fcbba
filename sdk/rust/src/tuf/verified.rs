//! The metadata of a repository, fetched, verified and kept: the TUF client workflow (specification §5)
//! around `kintsugi_trust::tuf`.
//!
//! **Invariant: a file is stored only after it was trusted, as it came, and trusted again when it is
//! read.** Files are named without their version: `root.json`, `timestamp.json`, and delegated roles by their
//! quoted names.

use crate::updater::UpdateError;
use crate::updater::folder::{remove_file, write_atomically};
use crate::updater::http::Http;
use kintsugi_domain::Timestamp;
use kintsugi_domain::limits::METADATA_BYTES_MAX;
use kintsugi_trust::tuf::{
    Change, SearchStep, TargetInfo, TargetPath, Trusted, TufError, Wanted, quoted,
};
use std::path::PathBuf;

/// What is verified so far, and where it comes from and is kept.
#[derive(Debug)]
pub(crate) struct Verified {
    trusted: Trusted,
    /// The folder of the kept files.
    folder: PathBuf,
    /// The address of the metadata folder, without a slash at its end.
    url: String,
}

impl Verified {
    /// Starts from a root.
    pub(crate) fn new(trusted: Trusted, folder: PathBuf, url: &str) -> Self {
        Self {
            trusted,
            folder,
            url: url.trim_end_matches('/').to_owned(),
        }
    }

    /// What is verified.
    pub(crate) fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// Follows the root chain, then reads timestamp, snapshot and targets.
    pub(crate) fn refresh(&mut self, http: &Http, now: Timestamp) -> Result<(), UpdateError> {
        self.follow_roots(http)?;
        // What was kept binds only while its keys are trusted: an error means that it does not any more.
        if let Some(kept) = self.kept("timestamp") {
            let _ = self.trusted.remember_timestamp(&kept);
        }
        if let Some(kept) = self.kept("snapshot") {
            let _ = self.trusted.remember_snapshot(&kept);
        }
        let text = self.fetch(http, "timestamp.json", METADATA_BYTES_MAX as u64)?;
        let change = self.trusted.update_timestamp(&text, now);
        if change.map_err(|error| refused("timestamp.json", &error))? == Change::New {
            self.keep("timestamp", &text)?;
        }
        let wanted = self.trusted.next_snapshot();
        let wanted = wanted.map_err(|error| refused("snapshot.json", &error))?;
        self.take(http, &wanted, "snapshot", |trusted, text| {
            trusted.update_snapshot(text, now)
        })?;
        let wanted = self.trusted.next_targets();
        let wanted = wanted.map_err(|error| refused("targets.json", &error))?;
        self.take(http, &wanted, "targets", |trusted, text| {
            trusted.update_targets(text, now)
        })
    }

    /// Looks for a target, also in delegated roles, whose metadata is fetched as far as needed. The
    /// refresh must be complete.
    pub(crate) fn find(
        &mut self,
        http: &Http,
        path: &TargetPath,
        now: Timestamp,
    ) -> Result<Option<TargetInfo>, UpdateError> {
        let refusal = |error: &TufError| refused("targets.json", error);
        let mut search = self.trusted.search(path).map_err(|error| refusal(&error))?;
        loop {
            match search
                .step(&self.trusted)
                .map_err(|error| refusal(&error))?
            {
                SearchStep::Found(info) => return Ok(Some(info)),
                SearchStep::NotFound => return Ok(None),
                SearchStep::Fetch { role, wanted } => {
                    self.take(http, &wanted, &quoted(&role), |trusted, text| {
                        search.take(trusted, text, now)
                    })?;
                }
            }
        }
    }

    /// Takes each next root until the server has none.
    fn follow_roots(&mut self, http: &Http) -> Result<(), UpdateError> {
        loop {
            let wanted = self.trusted.next_root();
            let text = match self.fetch(http, &wanted.name, wanted.bytes_max) {
                // Some stores say that a file is forbidden where there is none.
                Err(UpdateError::Status {
                    status: 403 | 404, ..
                }) => return Ok(()),
                answer => answer?,
            };
            let before = self.trusted.root().clone();
            // Ends by itself: the trusted set takes a bounded number of roots.
            self.trusted
                .update_root(&text)
                .map_err(|error| refused(&wanted.name, &error))?;
            // Recovery from a fast-forward attack (§5.3.11). The other way round, a crash in between would leave
            // what the former keys reached for good.
            if self.trusted.root().replaces_online_keys(&before) {
                remove_file(&self.path("timestamp"))?;
                remove_file(&self.path("snapshot"))?;
            }
            self.keep("root", &text)?;
        }
    }

    /// Takes a listed metadata file: the kept one where it is the listed one, else the fetched one.
    fn take(
        &mut self,
        http: &Http,
        wanted: &Wanted,
        role: &str,
        mut update: impl FnMut(&mut Trusted, &[u8]) -> Result<(), TufError>,
    ) -> Result<(), UpdateError> {
        if let Some(kept) = self.kept(role)
            && update(&mut self.trusted, &kept).is_ok()
        {
            return Ok(());
        }
        let text = self.fetch(http, &wanted.name, wanted.bytes_max)?;
        update(&mut self.trusted, &text).map_err(|error| refused(&wanted.name, &error))?;
        self.keep(role, &text)
    }

    fn fetch(&self, http: &Http, name: &str, bytes_max: u64) -> Result<Vec<u8>, UpdateError> {
        let url = format!("{}/{name}", self.url);
        let answer = http.get(&url, bounded(bytes_max))?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(UpdateError::Status { url, status }),
        }
    }

    fn path(&self, role: &str) -> PathBuf {
        self.folder.join(format!("{role}.json"))
    }

    /// A file that cannot be read is as none: it is fetched again.
    fn kept(&self, role: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path(role)).ok()
    }

    fn keep(&self, role: &str, text: &[u8]) -> Result<(), UpdateError> {
        write_atomically(&self.path(role), text)
    }
}

pub(crate) fn bounded(bytes: u64) -> usize {
    usize::try_from(bytes)
        .unwrap_or(usize::MAX)
        .min(METADATA_BYTES_MAX)
}

pub(crate) fn refused(file: &str, error: &TufError) -> UpdateError {
    UpdateError::Metadata {
        file: file.to_owned(),
        why: error.to_string(),
    }
}
