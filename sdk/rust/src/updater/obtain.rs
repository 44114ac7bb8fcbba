//! Getting the content of a version: from what is kept, by a delta, or by the full package.
//!
//! **Invariant: what this module returns has the digest of the verified channel document.** A delta that
//! fails is no reason to give up: the full package is taken instead, and the summary says so.

use super::error::{OnPath, UpdateError};
use super::folder::{Folder, list, remove_file};
use super::http::{Http, beside};
use super::offer::Offer;
use super::state::State;
use kintsugi_delta::archive::{self, Limits};
use kintsugi_delta::{Expected, compression};
use kintsugi_domain::channel::{DeltaTarget, Target};
use kintsugi_domain::digest::Digest;
use serde::Serialize;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

/// Most files of a package.
const ENTRIES_MAX: usize = 100_000;

/// How the content of a version was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// It was still there from before.
    Kept,
    /// By a delta from the installed version.
    Delta,
    /// By the full package.
    Full,
}

/// The content of a version and how it was got.
#[derive(Debug)]
pub(super) struct Obtained {
    pub(super) content: Vec<u8>,
    pub(super) source: Source,
    /// Why the delta was not taken, where there was one.
    pub(super) delta_refused: Option<String>,
    /// What came over the network, bytes.
    pub(super) downloaded: u64,
}

/// Gets the content of the offered version.
pub(super) fn obtain(
    folder: &Folder,
    http: &Http,
    offer: &Offer,
    state: &State,
) -> Result<Obtained, UpdateError> {
    keep_only(folder, offer)?;
    if let Some(content) = kept(folder, offer)? {
        return Ok(Obtained {
            content,
            source: Source::Kept,
            delta_refused: None,
            downloaded: 0,
        });
    }
    let mut downloaded = 0;
    let mut delta_refused = None;
    if let (Some(delta), Some(url)) = (&offer.manifest.delta, &offer.delta_url) {
        match by_delta(folder, http, offer, state, (delta, url), &mut downloaded) {
            Ok(content) => {
                return Ok(Obtained {
                    content,
                    source: Source::Delta,
                    delta_refused: None,
                    downloaded,
                });
            }
            Err(error) => delta_refused = Some(format!("{}: {error}", error.code())),
        }
    }
    let content = by_full(folder, http, offer, &mut downloaded)?;
    Ok(Obtained {
        content,
        source: Source::Full,
        delta_refused,
        downloaded,
    })
}

/// Deletes downloads of other offers; what is under way for this one is gone on with.
fn keep_only(folder: &Folder, offer: &Offer) -> Result<(), UpdateError> {
    let full = offer.manifest.full.digest.to_string();
    let delta = offer.manifest.delta.as_ref();
    let delta = delta.map(|delta| delta.target.digest.to_string());
    for (name, path) in list(&folder.file("downloads"))? {
        let is_ours = name.starts_with(&full) || delta.iter().any(|delta| name.starts_with(delta));
        if !is_ours {
            remove_file(&path)?;
        }
    }
    Ok(())
}

/// The archive of a version that was here before, if it is still what it was.
fn kept(folder: &Folder, offer: &Offer) -> Result<Option<Vec<u8>>, UpdateError> {
    let path = folder.content(offer.version());
    let expected = &offer.manifest.content;
    let length = fs::metadata(&path).map_or(0, |data| data.len());
    if length != expected.length {
        return Ok(None);
    }
    let content = fs::read(&path).on("read", &path)?;
    Ok((Digest::of(&content) == expected.digest).then_some(content))
}

fn by_delta(
    folder: &Folder,
    http: &Http,
    offer: &Offer,
    state: &State,
    (delta, url): (&DeltaTarget, &str),
    downloaded: &mut u64,
) -> Result<Vec<u8>, UpdateError> {
    let refused = |why: String| UpdateError::Package { what: "delta", why };
    let installed = state.installed.as_ref();
    if installed.is_none_or(|one| one.content.digest != delta.base) {
        return Err(refused("it starts from another content".to_owned()));
    }
    let base_path = folder.content(&delta.from);
    let base = fs::read(&base_path).on("read", &base_path)?;
    let bytes = load(folder, http, url, &delta.target, downloaded)?;
    let expected = Expected {
        base: delta.base,
        digest: offer.manifest.content.digest,
        length: offer.manifest.content.length,
    };
    kintsugi_delta::apply(&base, &bytes, &expected).map_err(|error| refused(error.to_string()))
}

fn by_full(
    folder: &Folder,
    http: &Http,
    offer: &Offer,
    downloaded: &mut u64,
) -> Result<Vec<u8>, UpdateError> {
    let bytes = load(
        folder,
        http,
        &offer.full_url,
        &offer.manifest.full,
        downloaded,
    )?;
    let expected = &offer.manifest.content;
    let content =
        compression::decompress(&bytes, expected.length).map_err(|error| UpdateError::Package {
            what: "package",
            why: error.to_string(),
        })?;
    if content.len() as u64 != expected.length || Digest::of(&content) != expected.digest {
        return Err(UpdateError::ContentTampered {
            version: offer.version().clone(),
        });
    }
    Ok(content)
}

/// Loads a target and compares it with its signed digest. A file that does not fit and was begun in an
/// earlier run is loaded once more from its start: the break may have damaged it.
fn load(
    folder: &Folder,
    http: &Http,
    url: &str,
    target: &Target,
    downloaded: &mut u64,
) -> Result<Vec<u8>, UpdateError> {
    let path = folder.download(&target.digest.to_string());
    let mut was_begun = path.exists();
    loop {
        *downloaded += http.download(url, &path, target.length)?;
        let bytes = fs::read(&path).on("read", &path)?;
        if bytes.len() as u64 == target.length && Digest::of(&bytes) == target.digest {
            return Ok(bytes);
        }
        remove_file(&path)?;
        remove_file(&beside(&path, ".etag"))?;
        if !std::mem::take(&mut was_begun) {
            return Err(UpdateError::FileTampered {
                path: target.path.clone(),
            });
        }
    }
}

/// Writes a version's archive and its unpacked tree beside their places. Nothing is written before the
/// whole archive was found good.
pub(super) fn unpack(folder: &Folder, offer: &Offer, content: &[u8]) -> Result<(), UpdateError> {
    let limits = Limits {
        entries_max: ENTRIES_MAX,
        entry_bytes_max: offer.manifest.content.length,
    };
    let entries = archive::unpack(content, &limits).map_err(|error| UpdateError::Package {
        what: "archive",
        why: error.to_string(),
    })?;
    let root = folder.version_new(offer.version());
    super::folder::remove_tree(&root)?;
    fs::create_dir_all(&root).on("make", &root)?;
    for entry in entries {
        let path = root.join(&entry.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).on("make", parent)?;
        }
        let mut file = File::create_new(&path).on("write", &path)?;
        file.write_all(entry.content).on("write", &path)?;
        set_mode(&path, entry.executable)?;
    }
    let archive = folder.content_new(offer.version());
    fs::write(&archive, content).on("write", &archive)
}

#[cfg(unix)]
fn set_mode(path: &Path, executable: bool) -> Result<(), UpdateError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).on("set the mode of", path)
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _executable: bool) -> Result<(), UpdateError> {
    Ok(())
}
