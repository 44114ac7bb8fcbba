//! The read side of the signed repository (TUF 1.0, consistent snapshots): metadata and targets as they
//! were stored when they were signed.
//!
//! Everything but the timestamp has its version or its digest in its name and never changes. The
//! timestamp is the last thing that a publication changes, and comes from the record that the
//! publication committed.
//!
//! Not here: writing and signing (`sign`), and any judgement of what is served: clients verify.
//!
//! **Invariant: only names of the repository's own form reach the blobs.**

use crate::records;
use kintsugi_domain::channel::Head;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::{METADATA_BYTES_MAX, PACKAGE_BYTES_MAX};
use kintsugi_domain::ports::{PortError, Ports, check_blob_key};
use kintsugi_trust::tuf::TargetPath;

/// Digits of the longest version in a name: any `u64`.
const VERSION_DIGITS_MAX: usize = 20;
/// Hexadecimal digits of a digest in a name.
const DIGEST_DIGITS: usize = 64;

/// A file of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its bytes.
    pub content: Vec<u8>,
    /// Names these bytes: the same tag, the same bytes.
    pub tag: String,
    /// Whether the name will always stand for these bytes.
    pub is_immutable: bool,
}

/// The signed repositories of a home, to read.
#[derive(Debug, Clone)]
pub struct Repository {
    ports: Ports,
}

impl Repository {
    /// The repositories of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    /// A metadata file: `timestamp.json`, or `N.root.json`, `N.targets.json`, `N.snapshot.json`.
    pub async fn metadata(
        &self,
        project: ProjectId,
        name: &str,
    ) -> Result<Option<File>, PortError> {
        if name == "timestamp.json" {
            return self.timestamp(project).await;
        }
        if !is_metadata_name(name) {
            return Ok(None);
        }
        let key = format!("tuf/{project}/metadata/{name}");
        let content = self.ports.blobs.get(&key, METADATA_BYTES_MAX).await?;
        Ok(content.map(|content| immutable(content, name)))
    }

    /// A target by the name under which a repository with consistent snapshots serves it:
    /// `folder/<digest>.<name>`.
    pub async fn target(&self, project: ProjectId, path: &str) -> Result<Option<File>, PortError> {
        let Some(digest) = digest_in_name(path) else {
            return Ok(None);
        };
        let key = format!("tuf/{project}/targets/{path}");
        if path.parse::<TargetPath>().is_err() || check_blob_key(&key).is_err() {
            return Ok(None);
        }
        let bytes_max = usize::try_from(PACKAGE_BYTES_MAX).unwrap_or(usize::MAX);
        let content = self.ports.blobs.get(&key, bytes_max).await?;
        Ok(content.map(|content| immutable(content, &digest.to_string())))
    }

    async fn timestamp(&self, project: ProjectId) -> Result<Option<File>, PortError> {
        let head = records::get::<Head>(self.ports.store.as_ref(), project, "head").await?;
        Ok(head.map(|head| {
            let content = head.value.timestamp_body.into_bytes();
            File {
                tag: Digest::of(&content).short(32),
                content,
                is_immutable: false,
            }
        }))
    }
}

fn immutable(content: Vec<u8>, tag: &str) -> File {
    File {
        content,
        tag: tag.to_owned(),
        is_immutable: true,
    }
}

/// Whether a name is `N.root.json`, `N.targets.json` or `N.snapshot.json`, with N written in one way.
fn is_metadata_name(name: &str) -> bool {
    let Some((version, role)) = name.split_once('.') else {
        return false;
    };
    matches!(role, "root.json" | "targets.json" | "snapshot.json")
        && (1..=VERSION_DIGITS_MAX).contains(&version.len())
        && version.bytes().all(|byte| byte.is_ascii_digit())
        && !version.starts_with('0')
}

/// The digest at the start of a target's last part, written in lowercase.
fn digest_in_name(path: &str) -> Option<Digest> {
    let name = path.rsplit('/').next()?;
    let (digest, rest) = name.split_once('.')?;
    let is_lowercase = digest
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if digest.len() == DIGEST_DIGITS && is_lowercase && !rest.is_empty() {
        digest.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbered_metadata_has_a_name() {
        for name in ["1.root.json", "20.targets.json", "7.snapshot.json"] {
            assert!(is_metadata_name(name), "{name}");
        }
        for name in [
            "root.json",
            "0.root.json",
            "01.root.json",
            "1.timestamp.json",
            "1.root.json.bak",
            "-1.root.json",
            "1/../2.root.json",
            "..",
            "",
            "111111111111111111111.root.json",
        ] {
            assert!(!is_metadata_name(name), "{name}");
        }
    }

    #[test]
    fn only_hashed_targets_have_a_name() {
        let digest = Digest::of(b"x");
        assert_eq!(digest_in_name(&format!("a/{digest}.b.json")), Some(digest));
        let upper = digest.to_string().to_uppercase();
        for path in [
            "a/b.json".to_owned(),
            format!("{digest}"),
            format!("{digest}."),
            format!("{upper}.b"),
            format!("{digest}.b/c"),
        ] {
            assert_eq!(digest_in_name(&path), None, "{path}");
        }
    }
}
