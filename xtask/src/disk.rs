//! Room on the disk of the target folder. A linker that runs out of it dies of a bus error and names no reason.
//!
//! Not here: making room. What may be thrown away is not ours to say.

use crate::checks::target_folder;
use std::path::Path;

/// What `cargo xtask test` leaves in the target folder when it starts from nothing, bytes: measured, and rounded up.
const RUN_BYTES: u64 = 14_000_000_000;
/// With less than this much left, bytes, a failure may be for want of room.
const SHORT_BYTES: u64 = 500_000_000;

/// Free bytes where the target folder is, or will be. `None` where the system does not say.
pub(crate) fn free(root: &Path) -> Option<u64> {
    let target = target_folder(root);
    let there = target.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// What is free and what is needed, for the begin of a run.
pub(crate) fn spoken(free: u64) -> String {
    format!(
        "{} GB are free; a run from nothing takes {} GB",
        free / 1_000_000_000,
        RUN_BYTES / 1_000_000_000
    )
}

/// What to add to a failure's advice while `free` bytes are left.
pub(crate) fn advice(free: Option<u64>) -> &'static str {
    if free.is_some_and(|free| free < SHORT_BYTES) {
        "; the disk is full: make room, or name a target folder elsewhere (CARGO_TARGET_DIR)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_and_one_with_room_is_not() {
        assert!(advice(Some(SHORT_BYTES - 1)).contains("CARGO_TARGET_DIR"));
        assert_eq!(advice(Some(SHORT_BYTES)), "");
        assert_eq!(advice(None), "");
    }

    #[test]
    fn the_folder_need_not_be_there_yet() {
        assert!(free(Path::new("/nowhere/to/be/found")).is_some_and(|free| free > 0));
    }
}
