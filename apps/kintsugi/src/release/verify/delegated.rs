//! A target that a delegated role lists, found by its content.
//!
//! **The files only hint at a path: what is believed is what the search of the specification (§5.6.7) finds under that path**,
//! with every role's keys, its place in the snapshot and its say in the path checked on the way.

use super::{by_tuf, find, read};
use crate::error::Error;
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::limits::METADATA_BYTES_MAX;
use kintsugi_trust::tuf::{SearchStep, TargetInfo, TargetPath, Trusted, Wanted, quoted};
use serde_json::Value;
use std::path::Path;

/// The paths under which delegated roles that may speak for them list that content.
pub(super) fn listed(
    trusted: &Trusted,
    folder: &Path,
    (digest, length): (Digest, u64),
    now: Timestamp,
) -> Result<Vec<TargetPath>, Error> {
    let mut paths = Vec::new();
    let meta = trusted.snapshot().map(|snapshot| &snapshot.meta);
    for (name, file) in meta.into_iter().flatten() {
        let role = name.strip_suffix(".json").unwrap_or(name);
        for path in hints(folder, role, file.version, digest)? {
            let found = search(trusted, folder, &path, now)?;
            let fits =
                |info: &TargetInfo| info.hashes.sha256 == Some(digest) && info.length == length;
            if found.as_ref().is_some_and(fits) {
                paths.push(path);
            }
        }
    }
    Ok(paths)
}

/// The paths that a role's file, if it is there, gives for that content. Nothing of it is checked here.
fn hints(
    folder: &Path,
    role: &str,
    version: u64,
    digest: Digest,
) -> Result<Vec<TargetPath>, Error> {
    let name = quoted(role);
    let text = match find(
        &folder.join(format!("{version}.{name}.json")),
        METADATA_BYTES_MAX,
    )? {
        Some(text) => Some(text),
        None => find(&folder.join(format!("{name}.json")), METADATA_BYTES_MAX)?,
    };
    let file = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let targets = file
        .as_ref()
        .and_then(|file| file.pointer("/signed/targets")?.as_object());
    let digest = digest.to_string();
    let is_it =
        |info: &Value| info.pointer("/hashes/sha256").and_then(Value::as_str) == Some(&digest);
    let named = targets
        .into_iter()
        .flatten()
        .filter(|(_, info)| is_it(info));
    Ok(named.filter_map(|(path, _)| path.parse().ok()).collect())
}

/// Looks a path up as clients do, in files.
fn search(
    trusted: &Trusted,
    folder: &Path,
    path: &TargetPath,
    now: Timestamp,
) -> Result<Option<TargetInfo>, Error> {
    let mut search = trusted.search(path).map_err(by_tuf)?;
    loop {
        match search.step(trusted).map_err(by_tuf)? {
            SearchStep::Found(info) => return Ok(Some(info)),
            SearchStep::NotFound => return Ok(None),
            SearchStep::Fetch { role, wanted } => {
                let text = metadata(folder, &wanted, &quoted(&role))?;
                search.take(trusted, &text, now).map_err(by_tuf)?;
            }
        }
    }
}

/// A metadata file by the name it is served under, or by the one that clients keep it under.
pub(super) fn metadata(folder: &Path, wanted: &Wanted, name: &str) -> Result<Vec<u8>, Error> {
    let bytes_max = usize::try_from(wanted.bytes_max).unwrap_or(usize::MAX);
    match find(&folder.join(&wanted.name), bytes_max)? {
        Some(text) => Ok(text),
        None => read(&folder.join(format!("{name}.json")), bytes_max),
    }
}
