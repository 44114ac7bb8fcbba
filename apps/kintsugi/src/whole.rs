//! Files that a command writes where people ask for them: whole or not at all, as far as programs can tell.
//!
//! Not here: the files of a home (`kintsugi_adapters_local`) and the kept login ([`crate::login`]).

use crate::error::Error;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes a file by `fill`, then gives it its name. What waits for the disk waits in `fill`.
///
/// A file that is there is replaced and its rights stay; a link keeps its place and leads to the new one. **What is no file is left
/// alone**: a device such as `/dev/null` would be replaced too, for everybody.
pub(crate) fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut NamedTempFile) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |error: io::Error| Error::write(path, &error);
    let there = match fs::metadata(path) {
        Ok(found) if found.is_file() => Some(found.permissions()),
        Ok(_) => return Err(Error::write(path, &"it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let place = match there {
        Some(_) => fs::canonicalize(path).map_err(failed)?,
        None => path.to_owned(),
    };
    let folder = place.parent().filter(|it| !it.as_os_str().is_empty());
    // Readable for whom the user's mask allows, as any other file: a temporary one is not.
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or_else(|| Path::new(".")))
        .map_err(failed)?;
    if let Some(rights) = there {
        file.as_file().set_permissions(rights).map_err(failed)?;
    }
    fill(&mut file)?;
    file.persist(&place).map_err(|error| failed(error.error))?;
    Ok(())
}
