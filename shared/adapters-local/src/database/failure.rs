//! What SQLite says, as a sentence that tells what to do.

use kintsugi_domain::ports::PortError;
use rusqlite::{Error, ErrorCode};

/// The port's error for one of SQLite's, while doing `what`.
pub(crate) fn sqlite_error(what: &str, error: &Error) -> PortError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            PortError::unavailable(what, "the disk is full; free some space, then it goes on")
        }
        Some(ErrorCode::SystemIoFailure) => {
            let why = format!("the disk failed ({error}); check the disk and its free space");
            PortError::unavailable(what, why)
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let why = "another program holds the database for too long; close that program";
            PortError::unavailable(what, why)
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            let why = format!(
                "{error}; give the user that runs Kintsugi the right to write the data folder"
            );
            PortError::unavailable(what, why)
        }
        Some(ErrorCode::OutOfMemory) => PortError::unavailable(what, "there is no memory left"),
        Some(ErrorCode::DatabaseCorrupt) => {
            let why = "the database is damaged; stop Kintsugi, keep a copy of the data folder, and put \
                       home.db back from a backup";
            PortError::broken(what, why)
        }
        Some(ErrorCode::NotADatabase) => {
            let why = "home.db is not a database; move it away, or use another data folder";
            PortError::broken(what, why)
        }
        Some(_) | None => PortError::broken(what, error),
    }
}
