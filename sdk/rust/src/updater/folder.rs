//! The device's folder: where everything is, and how it changes without ever being half changed.
//!
//! ```text
//! device.json, root.json       settings and the first trusted root
//! current -> versions/1.0.1    what runs; swapped by one rename
//! versions/1.0.1/              unpacked trees: the running one and the one before
//! content/1.0.1.tar            their archives: the bases of the next deltas
//! downloads/                   packages and deltas under way, resumed after a break
//! metadata/                    verified TUF metadata
//! outbox/                      reports the home has not taken yet
//! state.json, journal.json     what is installed; an install under way
//! lock                         held while an updater works
//! ```
//!
//! **Invariant: a file that is read is either the old one or the new one, whole.** Written aside, flushed,
//! renamed, and the folder flushed. `current` needs symbolic links, so systems without them are not
//! supported yet.

use super::error::{OnPath, UpdateError};
use semver::Version;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Deepest folder that is walked.
const DEPTH_MAX: usize = 64;

/// The device's folder.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    dir: PathBuf,
}

/// Held while an updater works; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Folder {
    /// The folder, with what must be in it.
    pub(super) fn open(dir: &Path) -> Result<Self, UpdateError> {
        let folder = Self {
            dir: dir.to_owned(),
        };
        for name in ["versions", "content", "downloads", "metadata", "outbox"] {
            let path = dir.join(name);
            fs::create_dir_all(&path).on("make", &path)?;
        }
        Ok(folder)
    }

    /// The folder itself.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder's absolute path: health checks run elsewhere.
    pub(super) fn absolute(&self) -> Result<PathBuf, UpdateError> {
        fs::canonicalize(&self.dir).on("find", &self.dir)
    }

    /// Keeps other updaters out.
    pub(super) fn lock(&self) -> Result<Lock, UpdateError> {
        let path = self.dir.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .on("open", &path)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(UpdateError::Busy {
                dir: self.dir.clone(),
            }),
            Err(fs::TryLockError::Error(error)) => Err(error).on("lock", &path),
        }
    }

    /// The unpacked tree of a version.
    pub(super) fn version(&self, version: &Version) -> PathBuf {
        self.dir.join("versions").join(version.to_string())
    }

    /// Where a version is unpacked before it gets its name.
    pub(super) fn version_new(&self, version: &Version) -> PathBuf {
        self.dir.join("versions").join(format!(".new-{version}"))
    }

    /// Where a version's tree is while a fresh one takes its place.
    pub(super) fn version_old(&self, version: &Version) -> PathBuf {
        self.dir.join("versions").join(format!(".old-{version}"))
    }

    /// The archive of a version.
    pub(super) fn content(&self, version: &Version) -> PathBuf {
        self.dir.join("content").join(format!("{version}.tar"))
    }

    /// Where the archive of a version is made.
    pub(super) fn content_new(&self, version: &Version) -> PathBuf {
        self.dir.join("content").join(format!(".new-{version}.tar"))
    }

    /// A download.
    pub(super) fn download(&self, name: &str) -> PathBuf {
        self.dir.join("downloads").join(name)
    }

    /// Where verified metadata is kept.
    pub(super) fn metadata_folder(&self) -> PathBuf {
        self.dir.join("metadata")
    }

    /// The folder of waiting reports.
    pub(super) fn outbox(&self) -> PathBuf {
        self.dir.join("outbox")
    }

    /// A file at the top.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The version that `current` points at.
    pub(super) fn current(&self) -> Option<Version> {
        let target = fs::read_link(self.dir.join("current")).ok()?;
        target.file_name()?.to_str()?.parse().ok()
    }

    /// Lets `current` point at a version, or at nothing.
    pub(super) fn point_at(&self, version: Option<&Version>) -> Result<(), UpdateError> {
        let link = self.dir.join("current");
        let Some(version) = version else {
            remove_file(&link)?;
            return sync_dir(&self.dir);
        };
        let new = self.dir.join(".current-new");
        remove_file(&new)?;
        symlink(&Path::new("versions").join(version.to_string()), &new)?;
        fs::rename(&new, &link).on("swap", &link)?;
        sync_dir(&self.dir)
    }

    /// Gives a freshly unpacked version its name. A tree of the same version that is already there
    /// steps aside first, so that there is one at every instant but one, which [`Self::tidy`] mends.
    pub(super) fn adopt_version(&self, version: &Version) -> Result<(), UpdateError> {
        let (new, here, old) = (
            self.version_new(version),
            self.version(version),
            self.version_old(version),
        );
        sync_tree(&new, 0)?;
        remove_tree(&old)?;
        if here.exists() {
            fs::rename(&here, &old).on("move aside", &here)?;
        }
        fs::rename(&new, &here).on("name", &here)?;
        sync_dir(&self.dir.join("versions"))?;
        remove_tree(&old)
    }

    /// Gives a freshly made archive its name.
    pub(super) fn adopt_content(&self, version: &Version) -> Result<(), UpdateError> {
        let (new, here) = (self.content_new(version), self.content(version));
        let file = File::open(&new).on("open", &new)?;
        file.sync_all().on("flush", &new)?;
        fs::rename(&new, &here).on("name", &here)?;
        sync_dir(&self.dir.join("content"))
    }

    /// Removes what a broken run left behind, and every version that is not to be kept.
    pub(super) fn tidy(&self, keep: &[&Version]) -> Result<(), UpdateError> {
        let is_kept = |name: &str| keep.iter().any(|version| version.to_string() == name);
        let versions = self.dir.join("versions");
        for (name, path) in list(&versions)? {
            // A tree stepped aside and the fresh one never took its place: it steps back.
            if let Some(version) = name.strip_prefix(".old-")
                && is_kept(version)
                && !versions.join(version).exists()
            {
                fs::rename(&path, versions.join(version)).on("move back", &path)?;
            } else if !is_kept(&name) {
                remove_tree(&path)?;
            }
        }
        for (name, path) in list(&self.dir.join("content"))? {
            if !name.strip_suffix(".tar").is_some_and(is_kept) {
                remove_file(&path)?;
            }
        }
        remove_file(&self.dir.join(".current-new"))
    }

    /// Deletes finished and abandoned downloads.
    pub(super) fn clear_downloads(&self) -> Result<(), UpdateError> {
        for (_, path) in list(&self.dir.join("downloads"))? {
            remove_file(&path)?;
        }
        Ok(())
    }
}

/// The entries of a folder by name, sorted. Names that are not text are none of ours.
pub(super) fn list(dir: &Path) -> Result<Vec<(String, PathBuf)>, UpdateError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).on("list", dir)? {
        let entry = entry.on("list", dir)?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

/// Writes a file aside, flushes it, and gives it its name.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), UpdateError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".tmp");
    let aside = PathBuf::from(aside);
    let mut file = File::create(&aside).on("write", &aside)?;
    file.write_all(bytes).on("write", &aside)?;
    file.sync_all().on("flush", &aside)?;
    fs::rename(&aside, path).on("name", path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// [`write_atomically`] of a value as JSON.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), UpdateError> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| UpdateError::Damaged {
        path: path.to_owned(),
        why: error.to_string(),
    })?;
    write_atomically(path, &bytes)
}

/// Reads JSON; no file is no value.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, UpdateError> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| UpdateError::Damaged {
                    path: path.to_owned(),
                    why: error.to_string(),
                })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).on("read", path),
    }
}

/// Deletes a file; none there is as good.
pub(crate) fn remove_file(path: &Path) -> Result<(), UpdateError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).on("delete", path),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Deletes a tree; none there is as good.
pub(super) fn remove_tree(path: &Path) -> Result<(), UpdateError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).on("delete", path),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(crate) fn sync_dir(dir: &Path) -> Result<(), UpdateError> {
    let file = File::open(dir).on("open", dir)?;
    file.sync_all().on("flush", dir)
}

/// Flushes every file and folder of a tree.
fn sync_tree(dir: &Path, depth: usize) -> Result<(), UpdateError> {
    if depth > DEPTH_MAX {
        return Err(UpdateError::Package {
            what: "archive",
            why: format!("deeper than {DEPTH_MAX} folders"),
        });
    }
    for (_, path) in list(dir)? {
        let kind = fs::symlink_metadata(&path)
            .on("look at", &path)?
            .file_type();
        if kind.is_dir() {
            sync_tree(&path, depth + 1)?;
        } else if kind.is_file() {
            let file = File::open(&path).on("open", &path)?;
            file.sync_all().on("flush", &path)?;
        }
    }
    sync_dir(dir)
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> Result<(), UpdateError> {
    std::os::unix::fs::symlink(target, link).on("link", link)
}

#[cfg(not(unix))]
fn symlink(_target: &Path, _link: &Path) -> Result<(), UpdateError> {
    Err(UpdateError::Unsupported {
        what: "swapping versions",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(folder: &Folder, version: &Version, text: &str) {
        let new = folder.version_new(version);
        fs::create_dir_all(new.join("app")).unwrap();
        fs::write(new.join("app/file"), text).unwrap();
        folder.adopt_version(version).unwrap();
    }

    const A: Version = Version::new(1, 0, 0);
    const B: Version = Version::new(1, 0, 1);

    #[test]
    fn current_moves_from_one_version_to_the_next_and_to_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(folder.current(), None);
        tree(&folder, &A, "a");
        tree(&folder, &B, "b");
        folder.point_at(Some(&A)).unwrap();
        folder.point_at(Some(&B)).unwrap();
        assert_eq!(folder.current(), Some(B));
        let text = fs::read_to_string(dir.path().join("current/app/file")).unwrap();
        assert_eq!(text, "b");
        folder.point_at(None).unwrap();
        assert_eq!(folder.current(), None);
    }

    #[test]
    fn one_updater_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let first = folder.lock().unwrap();
        assert_eq!(folder.lock().unwrap_err().code(), "busy");
        drop(first);
        folder.lock().unwrap();
    }

    #[test]
    fn a_fresh_tree_takes_the_place_of_the_same_version() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        tree(&folder, &A, "old");
        tree(&folder, &A, "new");
        let text = fs::read_to_string(folder.version(&A).join("app/file")).unwrap();
        assert_eq!(text, "new");
    }

    #[test]
    fn tidying_keeps_what_is_kept_and_mends_a_broken_swap() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        tree(&folder, &A, "a");
        tree(&folder, &B, "b");
        fs::rename(folder.version(&A), folder.version_old(&A)).unwrap();
        fs::create_dir_all(folder.version_new(&B)).unwrap();
        fs::write(folder.content(&B), "x").unwrap();
        folder.tidy(&[&A]).unwrap();
        assert!(folder.version(&A).join("app/file").exists());
        assert!(!folder.version(&B).exists());
        assert!(!folder.version_new(&B).exists());
        assert!(!folder.content(&B).exists());
    }
}
