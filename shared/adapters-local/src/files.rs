//! Work that waits for the disk, and sentences for what the disk says.

use kintsugi_domain::ports::PortError;
#[cfg(feature = "home")]
use std::io;

/// The sentence for a failure of the file system.
#[cfg(feature = "home")]
pub(crate) fn io_error(what: &str, error: &io::Error) -> PortError {
    let kind = error.kind();
    if matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    ) {
        return PortError::unavailable(what, "the disk is full; free some space, then it goes on");
    }
    if matches!(
        kind,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    ) {
        let why = format!("{error}; give the user that runs Kintsugi the right to write there");
        return PortError::unavailable(what, why);
    }
    PortError::unavailable(what, error)
}

/// Runs work that waits for the disk where it does not hold up other tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err(PortError::unavailable(what, error)),
    }
}
