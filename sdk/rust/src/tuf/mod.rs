//! A client for any TUF 1.0 repository over HTTP, with a folder of trusted metadata: the same code that
//! the updater rests on.
//!
//! ```no_run
//! # fn main() -> Result<(), kintsugi_sdk::updater::UpdateError> {
//! # let now = kintsugi_sdk::tuf::Timestamp::UNIX_EPOCH;
//! use kintsugi_sdk::tuf::Client;
//! let mut client = Client::open("/var/lib/till/tuf".as_ref(), "https://example.org/metadata")?;
//! client.refresh(now)?;
//! let file = client.download("notes.txt", "https://example.org/targets", "/tmp".as_ref(), now)?;
//! # Ok(()) }
//! ```
//!
//! It verifies ECDSA P-384 and P-256, Ed25519 and RSA-PSS, follows delegations with paths and hash bins, and
//! compares targets by SHA-256 and SHA-512. Not here: writing repositories (`kintsugi tuf`).

mod verified;

pub(crate) use verified::{Verified, bounded, refused};

use crate::updater::UpdateError;
use crate::updater::error::OnPath as _;
use crate::updater::folder::{remove_file, sync_dir, write_atomically};
use crate::updater::http::{Http, beside};
pub use kintsugi_domain::Timestamp;
use kintsugi_trust::tuf::{TargetInfo, TargetPath, Trusted, quoted};
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

const READ_BYTES: usize = 64 * 1024;
const ROOT: &str = "root.json";

/// A client of one repository.
#[derive(Debug)]
pub struct Client {
    verified: Verified,
    http: Http,
}

impl Client {
    /// Makes a folder of trusted metadata, which begins with a root that came by another way. The root must
    /// be signed by its own keys; it may have expired.
    pub fn init(folder: &Path, root: &[u8]) -> Result<(), UpdateError> {
        Trusted::new(root).map_err(|error| refused(ROOT, &error))?;
        std::fs::create_dir_all(folder).on("make", folder)?;
        write_atomically(&folder.join(ROOT), root)
    }

    /// Opens a folder that [`Client::init`] made. `url` is where the repository has its metadata.
    pub fn open(folder: &Path, url: &str) -> Result<Self, UpdateError> {
        let path = folder.join(ROOT);
        let root = std::fs::read(&path).on("read", &path)?;
        let trusted = Trusted::new(&root).map_err(|error| refused(ROOT, &error))?;
        Ok(Self {
            verified: Verified::new(trusted, folder.to_owned(), url),
            http: Http::new(),
        })
    }

    /// Follows the chain of roots and brings timestamp, snapshot and targets up to date.
    pub fn refresh(&mut self, now: Timestamp) -> Result<(), UpdateError> {
        self.verified.refresh(&self.http, now)
    }

    /// What is known of a target, nothing where no role that may speak for it lists it. Call
    /// [`Client::refresh`] first.
    pub fn find(
        &mut self,
        path: &TargetPath,
        now: Timestamp,
    ) -> Result<Option<TargetInfo>, UpdateError> {
        self.verified.find(&self.http, path, now)
    }

    /// Loads a target into a folder, under its quoted name; what is there already and fits is kept. Answers
    /// with the file's path. `url` is where the repository has its targets. Call [`Client::refresh`] first.
    pub fn download(
        &mut self,
        target: &str,
        url: &str,
        folder: &Path,
        now: Timestamp,
    ) -> Result<PathBuf, UpdateError> {
        let not_listed = || UpdateError::TargetNotListed {
            path: target.to_owned(),
        };
        let path: TargetPath = target.parse().map_err(|_| not_listed())?;
        let info = self.find(&path, now)?.ok_or_else(not_listed)?;
        let file = folder.join(quoted(target));
        if fits(&info, &file)? {
            return Ok(file);
        }
        std::fs::create_dir_all(folder).on("make", folder)?;
        let name = self.verified.trusted().name_of(&path, &info);
        let part = folder.join(format!(".{}", quoted(&name)));
        let name: Vec<String> = name.split('/').map(quoted).collect();
        let url = format!("{}/{}", url.trim_end_matches('/'), name.join("/"));
        let loaded = self.load(&url, &info, &part);
        remove_file(&beside(&part, ".etag"))?;
        if !matches!(loaded, Ok(true)) {
            // Nothing that was not verified stays.
            remove_file(&part)?;
        }
        if !loaded? {
            return Err(UpdateError::FileTampered {
                path: target.to_owned(),
            });
        }
        std::fs::rename(&part, &file).on("name", &file)?;
        sync_dir(folder)?;
        Ok(file)
    }

    /// Loads a target into a file; answers whether it is the target.
    fn load(&self, url: &str, info: &TargetInfo, part: &Path) -> Result<bool, UpdateError> {
        if info.length == 0 {
            write_atomically(part, &[])?;
        } else {
            remove_file(part)?;
            self.http.download(url, part, info.length)?;
        }
        fits(info, part)
    }
}

/// Whether a file is there and is the target.
fn fits(info: &TargetInfo, path: &Path) -> Result<bool, UpdateError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened.on("read", path)?,
    };
    if file.metadata().on("read", path)?.len() != info.length {
        return Ok(false);
    }
    let mut checking = info.hashes.checking();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer).on("read", path)? {
            0 => return Ok(checking.fits()),
            count => checking.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}
