//! Packages of a built version: the archive, its compressed form, and deltas from older versions.
//!
//! **Invariant: the same tree and order give the same bytes, and every delta that is reported was
//! applied and gave exactly the content.** Deltas come in the order of their bases, which are fetched one by one: in memory at once are the
//! new package and its archive, one base, what the encoder needs for these two, and the deltas that are kept, each at least a fifth smaller
//! than the package. Not here: signing, and which versions get a delta.

use crate::depot::Depot;
use crate::tree::{Node, Tree};
use crate::zip;
use kintsugi_delta::archive::{File, pack};
use kintsugi_delta::{Expected, compression};
use kintsugi_domain::config::{Command, Config};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::{
    Artifact, BuildOrder, Content, Delta, Gate, artifact_key, delta_name, package_name, zip_names,
};
use kintsugi_domain::limits::PACKAGE_BYTES_MAX;
use kintsugi_domain::ports::PortError;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The file of a package that says what it is.
const DESCRIPTION_FILE: &str = "kintsugi-package.json";
/// The file that makes a folder a browser extension.
const MANIFEST: &str = "manifest.json";
/// The version of that file's form.
const DESCRIPTION_FORMAT: u16 = 1;

/// Something to store: its key and its bytes.
pub(crate) type Blob = (String, Vec<u8>);

#[derive(Serialize)]
struct Description<'a> {
    format: u16,
    app: &'a str,
    version: &'a semver::Version,
    health: &'a Command,
}

/// Everything of a version that is stored.
#[derive(Debug)]
pub(crate) struct Packages {
    pub(crate) full: Artifact,
    pub(crate) content: Content,
    pub(crate) deltas: Vec<Delta>,
    /// What became of each delta.
    pub(crate) gates: Vec<Gate>,
    /// What to store.
    pub(crate) blobs: Vec<Blob>,
}

/// The files of a package.
pub(crate) type Files = BTreeMap<String, File>;

/// Makes the archive, and gives its files. The error is the product's: what it wants in its package is not there or cannot be.
pub(crate) fn archive(
    tree: &Tree,
    config: &Config,
    order: &BuildOrder,
) -> Result<(Vec<u8>, Files), String> {
    let mut files = BTreeMap::new();
    for include in &config.package.include {
        let before = files.len();
        select(tree, include, &mut files)?;
        if files.len() == before && !files.contains_key(include.trim_end_matches('/')) {
            return Err(format!("package.include: there is no file at {include}"));
        }
    }
    let description = Description {
        format: DESCRIPTION_FORMAT,
        app: &config.product.name,
        version: &order.version,
        health: &config.health,
    };
    let mut content = serde_json::to_vec_pretty(&description).map_err(|error| error.to_string())?;
    content.push(b'\n');
    let file = File {
        content,
        executable: false,
    };
    if files.insert(DESCRIPTION_FILE.to_owned(), file).is_some() {
        return Err(format!("{DESCRIPTION_FILE} is a name that packages need"));
    }
    let mtime = u64::try_from(order.at.as_second()).unwrap_or_default();
    let archive = pack(&files, mtime).map_err(|error| format!("{}: {error}", error.code()))?;
    Ok((archive, files))
}

/// Makes the zip files that the product asks for, from files whose archive was packed.
pub(crate) fn zips(
    project: ProjectId,
    config: &Config,
    order: &BuildOrder,
    files: &Files,
) -> Result<Vec<(Artifact, Blob)>, String> {
    let [whole, extension] = zip_names(&config.product.name, &order.version);
    let mut zips = Vec::new();
    if config.package.zip {
        zips.push(store(project, &whole, zip::pack(files, order.at)?));
    }
    let folder = &config.package.extension;
    if !folder.is_empty() {
        let parts = folder.split('/').filter(|part| !matches!(*part, "" | "."));
        let beneath = parts.fold(String::new(), |path, part| format!("{path}{part}/"));
        let inside = files.iter().filter_map(|(path, file)| {
            let path = path.strip_prefix(&beneath)?;
            Some((path.to_owned(), file.clone()))
        });
        let mut inside: Files = inside.collect();
        inside.remove(DESCRIPTION_FILE);
        if !inside.contains_key(MANIFEST) {
            return Err(format!(
                "package.extension: there is no {MANIFEST} in {folder}"
            ));
        }
        zips.push(store(project, &extension, zip::pack(&inside, order.at)?));
    }
    Ok(zips)
}

/// Adds the files at and beneath a path, without what Python leaves behind.
fn select(tree: &Tree, include: &str, files: &mut BTreeMap<String, File>) -> Result<(), String> {
    let parts: Vec<&str> = include
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    let root = parts.join("/");
    let beneath = format!("{root}/");
    for (path, node) in tree.iter() {
        let inside = root.is_empty() || *path == root || path.starts_with(&beneath);
        let compiled = Path::new(path).extension().is_some_and(|it| it == "pyc");
        let left_behind = compiled || path.split('/').any(|part| part == "__pycache__");
        if !inside || left_behind {
            continue;
        }
        match node {
            Node::Link(_) => {
                return Err(format!(
                    "{path} is a symbolic link; a package holds regular files"
                ));
            }
            Node::File {
                content,
                executable,
            } => {
                let file = File {
                    content: content.to_vec(),
                    executable: *executable,
                };
                files.insert(path.clone(), file);
            }
        }
    }
    Ok(())
}

/// Makes the full package and the deltas of an archive.
pub(crate) fn make(
    project: ProjectId,
    app: &str,
    order: &BuildOrder,
    archive: &[u8],
    depot: &Depot,
) -> Result<Packages, PortError> {
    let version = &order.version;
    let full = compression::compress(archive)
        .map_err(|error| PortError::unavailable("compressing the package", error))?;
    let full_bytes = full.len();
    let (artifact, blob) = store(project, &package_name(app, version), full);
    let mut packages = Packages {
        full: artifact,
        content: Content {
            digest: Digest::of(archive),
            length: archive.len() as u64,
        },
        deltas: Vec::new(),
        gates: Vec::new(),
        blobs: vec![blob],
    };
    let bases = order.delta_bases.iter();
    for (from, key) in bases.filter(|(from, _)| from != version) {
        let made = match unpacked(depot.fetch(key)?) {
            Ok(base) => delta(&base, archive, full_bytes)?,
            Err(why) => Err(why),
        };
        let detail = match made {
            Err(why) => format!("none: {why}"),
            Ok((base, delta)) => {
                let detail = format!("{} bytes, the full package {full_bytes}", delta.len());
                let (artifact, blob) = store(project, &delta_name(app, from, version), delta);
                packages.blobs.push(blob);
                packages.deltas.push(Delta {
                    from: from.clone(),
                    base,
                    artifact,
                });
                detail
            }
        };
        // A missing delta costs bytes, not correctness: it never fails a build.
        packages.gates.push(Gate {
            name: format!("delta from {from}"),
            passed: true,
            detail,
        });
    }
    Ok(packages)
}

/// The archive of a stored package.
fn unpacked(package: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    let package = package.ok_or("the package of that version is not stored")?;
    compression::decompress(&package, PACKAGE_BYTES_MAX).map_err(|error| error.to_string())
}

/// A delta that is worth it, with the digest of its base; or why there is none.
pub(crate) fn delta(
    base: &[u8],
    archive: &[u8],
    full_bytes: usize,
) -> Result<Result<(Digest, Vec<u8>), String>, PortError> {
    let delta = match kintsugi_delta::make(base, archive) {
        Ok(delta) => delta,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if !kintsugi_delta::is_worthwhile(delta.len() as u64, full_bytes as u64) {
        let why = format!("it saves less than a fifth: {} bytes", delta.len());
        return Ok(Err(why));
    }
    let expected = Expected {
        base: Digest::of(base),
        digest: Digest::of(archive),
        length: archive.len() as u64,
    };
    match kintsugi_delta::apply(base, &delta, &expected) {
        Ok(content) if content == archive => Ok(Ok((expected.base, delta))),
        Ok(_) => Err(PortError::broken(
            "checking a delta",
            "it gives other content",
        )),
        Err(error) => Err(PortError::broken("checking a delta", error)),
    }
}

/// Names a file by its content.
pub(crate) fn store(project: ProjectId, name: &str, bytes: Vec<u8>) -> (Artifact, Blob) {
    let digest = Digest::of(&bytes);
    let artifact = Artifact {
        blob: artifact_key(project, &digest, name),
        digest,
        length: bytes.len() as u64,
    };
    let key = artifact.blob.clone();
    (artifact, (key, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that no compressor makes smaller.
    fn noise(seed: u32) -> Vec<u8> {
        let digests =
            (0..200_u32).map(|at| Digest::of(&[seed.to_le_bytes(), at.to_le_bytes()].concat()));
        digests.flat_map(|digest| *digest.as_bytes()).collect()
    }

    #[test]
    fn a_delta_that_saves_less_than_a_fifth_is_not_kept() {
        let (old, new) = (noise(1), noise(2));
        let full_bytes = compression::compress(&new).unwrap().len();
        let why = delta(&old, &new, full_bytes).unwrap().unwrap_err();
        assert!(why.starts_with("it saves less than a fifth: "), "{why}");

        let mut near = old.clone();
        near.extend(b"a little more");
        let full_bytes = compression::compress(&near).unwrap().len();
        let (from, delta) = delta(&old, &near, full_bytes).unwrap().unwrap();
        assert_eq!(from, Digest::of(&old));
        assert!(delta.len() < 200, "{}", delta.len());
    }
}
