//! Files and folders that are there as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a folder and those above it, each durable in its parent.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        make_folder(parent)?;
        match fs::create_dir(folder) {
            Ok(()) => sync_folder(parent),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
            Err(error) => Err(error),
        }
    } else {
        fs::create_dir_all(folder)
    }
}

/// Writes a file through a temporary one in `scratch` (same file system), readable by its owner only. A reader, or the
/// next process after a crash, sees the old file, no file, or all of the new one.
pub(crate) fn write_whole(path: &Path, scratch: &Path, content: &[u8]) -> io::Result<()> {
    staged(scratch, content)?.persist(path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Like [`write_whole`], but never over a file that is there: then it answers `false`.
pub(crate) fn create_whole(path: &Path, scratch: &Path, content: &[u8]) -> io::Result<bool> {
    match staged(scratch, content)?.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error.error),
    }
    path.parent().map_or(Ok(()), sync_folder)?;
    Ok(true)
}

fn staged(scratch: &Path, content: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix("~").tempfile_in(scratch)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}
