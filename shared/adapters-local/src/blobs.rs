//! Content in files, one per key, below one folder.
//!
//! Content is written to a scratch folder, flushed, renamed into place, and the name flushed: a reader, or the next process
//! after a crash, sees all of it or nothing. **No key can leave the folder** ([`check_blob_key`]); `~tmp`, the scratch folder, is
//! not a possible key.
//!
//! A difference to object stores: a key cannot also be the folder of another (`a` and `a/b`); the second is refused.

use crate::files::{blocking, io_error};
use crate::whole::{make_folder, write_whole};
use async_trait::async_trait;
use kintsugi_domain::digest::{Digest, Hashing};
use kintsugi_domain::ports::{Blobs, PortError, check_blob_key};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

const SCRATCH: &str = "~tmp";
/// How much of a file is hashed at a time, bytes.
const PART_BYTES: usize = 256 * 1024;

/// Content in files below a folder. Clones share it.
#[derive(Debug, Clone)]
pub struct FileBlobs {
    folder: PathBuf,
    /// Held by those who store, and alone by who removes: what was just stored again is not old.
    storing: Arc<RwLock<()>>,
}

impl FileBlobs {
    /// Opens a folder; makes it if it does not exist, and removes what an earlier process left half-written. The folder
    /// must belong to this process alone: [`crate::Database::open`] on the same data folder sees to that.
    pub fn open(folder: &Path) -> Result<Self, PortError> {
        let what = format!("blobs in {}", folder.display());
        let scratch = folder.join(SCRATCH);
        let open = || {
            if scratch.exists() {
                fs::remove_dir_all(&scratch)?;
            }
            make_folder(&scratch)
        };
        open().map_err(|error| io_error(&what, &error))?;
        Ok(Self {
            folder: folder.to_owned(),
            storing: Arc::default(),
        })
    }

    /// Removes the content below a folder of keys that was stored before a time and not again since, and says how much of it went.
    pub async fn forget(&self, below: &str, before: SystemTime) -> Result<usize, PortError> {
        let folder = self.path(below)?;
        let storing = Arc::clone(&self.storing);
        let what = format!("forget blobs below {below}");
        blocking("forget blobs", move || {
            forget(&folder, before, &storing).map_err(|error| io_error(&what, &error))
        })
        .await
    }

    fn path(&self, key: &str) -> Result<PathBuf, PortError> {
        check_blob_key(key)?;
        Ok(self.folder.join(key))
    }
}

/// The file and its length; nothing when there is no such file.
fn opened(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let metadata = file.metadata()?;
            Ok(metadata.is_file().then_some((file, metadata.len())))
        }
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn forget(folder: &Path, before: SystemTime, storing: &RwLock<()>) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Err(error) if is_absent(&error) => return Ok(0),
        entries => entries?,
    };
    let mut gone = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            gone += forget(&entry.path(), before, storing)?;
            continue;
        }
        let is_old = || Ok::<_, io::Error>(fs::metadata(entry.path())?.modified()? < before);
        if is_old()? {
            let _alone = storing.write().unwrap_or_else(PoisonError::into_inner);
            if is_old()? {
                fs::remove_file(entry.path())?;
                gone += 1;
            }
        }
    }
    Ok(gone)
}

fn read(path: &Path, key: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, PortError> {
    let what = format!("read blob {key}");
    let failed = |error| io_error(&what, &error);
    let Some((file, length)) = opened(path).map_err(failed)? else {
        return Ok(None);
    };
    let bound = bytes_max as u64;
    if length > bound {
        let why = format!("{length} bytes where at most {bytes_max} are allowed");
        return Err(PortError::broken(what, why));
    }
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // A file is never changed in place, so it cannot have grown; the bound holds all the same.
    file.take(bound).read_to_end(&mut content).map_err(failed)?;
    Ok(Some(content))
}

fn digest(path: &Path) -> io::Result<Option<(Digest, u64)>> {
    let Some((mut file, _)) = opened(path)? else {
        return Ok(None);
    };
    let mut hashing = Hashing::new();
    let mut part = vec![0; PART_BYTES];
    loop {
        let count = file.read(&mut part)?;
        if count == 0 {
            return Ok(Some(hashing.finish()));
        }
        hashing.update(part.get(..count).unwrap_or_default());
    }
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), PortError> {
        let path = self.path(key)?;
        let scratch = self.folder.join(SCRATCH);
        let what = format!("store blob {key}");
        let storing = Arc::clone(&self.storing);
        blocking("store a blob", move || {
            let _with_others = storing.read().unwrap_or_else(PoisonError::into_inner);
            let parent = path.parent().unwrap_or(&scratch);
            let stored = make_folder(parent).and_then(|()| write_whole(&path, &scratch, &content));
            stored.map_err(|error| {
                let clash = matches!(
                    error.kind(),
                    io::ErrorKind::NotADirectory
                        | io::ErrorKind::IsADirectory
                        | io::ErrorKind::AlreadyExists
                );
                if clash {
                    return PortError::broken(&what, "one key cannot be the folder of another");
                }
                io_error(&what, &error)
            })
        })
        .await
    }

    async fn get(&self, key: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, PortError> {
        let path = self.path(key)?;
        let key = key.to_owned();
        blocking("read a blob", move || read(&path, &key, bytes_max)).await
    }

    async fn length(&self, key: &str) -> Result<Option<u64>, PortError> {
        let path = self.path(key)?;
        let what = format!("look at blob {key}");
        let opened = blocking("look at a blob", move || {
            opened(&path).map_err(|error| io_error(&what, &error))
        });
        Ok(opened.await?.map(|(_, length)| length))
    }

    async fn digest(&self, key: &str) -> Result<Option<(Digest, u64)>, PortError> {
        let path = self.path(key)?;
        let what = format!("read blob {key}");
        blocking("read a blob", move || {
            digest(&path).map_err(|error| io_error(&what, &error))
        })
        .await
    }
}
