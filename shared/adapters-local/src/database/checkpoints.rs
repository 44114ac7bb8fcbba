//! Moves what was committed from the write-ahead log into the database, on a thread of its own, so that commits need not wait for it.
//!
//! While commits go on, some are always behind it, and the log, which can begin anew only where nothing is, would grow. So where it
//! got long, the writer moves the little that is left itself, as SQLite's own `wal_autocheckpoint` does for all of it.

use super::sqlite_error;
use kintsugi_domain::ports::PortError;
use rusqlite::Connection;
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use std::ffi::c_int;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Pages that the log grows by before they are moved.
const PAGES: c_int = 1_000;
/// Pages from which on the writer moves what is left, 32 MiB.
const PAGES_MAX: c_int = 8 * PAGES;

/// The thread. It ends when the writer's connection is closed; dropping it waits for that.
pub(super) struct Checkpoints {
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Moves with `own` what `writer` commits.
    pub(super) fn start(writer: &mut Connection, own: Connection) -> Result<Self, PortError> {
        let (wake, woken) = sync_channel(1);
        let thread = Builder::new()
            .name("kintsugi-checkpoints".to_owned())
            .spawn(move || {
                for () in woken {
                    // What could not be moved is moved later, and a disk that is full or fails is said by the next commit.
                    drop(own.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE));
                }
            })
            .map_err(|error| PortError::unavailable("start the database's checkpoints", error))?;
        writer
            .wal_hook(Some(committed(wake)))
            .map_err(|error| sqlite_error("open the database", &error))?;
        Ok(Self {
            thread: Some(thread),
        })
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            drop(thread.join());
        }
    }
}

/// What the writer does after each commit, told how many pages the log has now.
fn committed(wake: SyncSender<()>) -> impl FnMut(&mut Wal, c_int) -> rusqlite::Result<()> {
    let mut seen = 0;
    move |log, pages| {
        if pages < seen {
            // It began anew.
            seen = 0;
        }
        if pages >= PAGES_MAX {
            // It fails while the thread is at it; the next commit tries again.
            drop(log.checkpoint());
        } else if pages - seen >= PAGES {
            seen = pages;
            // Whoever is awake already looks at these, too.
            let _ = wake.try_send(());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::database::{DATABASE_FILE, Database, sqlite_error};
    use kintsugi_domain::ports::PortError;
    use rusqlite::Connection;
    use std::fs;
    use std::path::Path;

    /// Bytes of a page in the log, with its header.
    const FRAME_BYTES: u64 = 4_096 + 24;

    fn bytes(folder: &Path, end: &str) -> u64 {
        let file = folder.join(format!("{DATABASE_FILE}{end}"));
        fs::metadata(file).map_or(0, |file| file.len())
    }

    fn add(connection: &Connection) -> Result<(), PortError> {
        let sql = "INSERT INTO outbox (message, body) SELECT count(*), ?1 FROM outbox";
        let done = connection.execute(sql, ["x".repeat(200_000)]);
        done.map(|_| ())
            .map_err(|error| sqlite_error("add", &error))
    }

    #[tokio::test]
    async fn a_log_that_is_always_written_to_has_an_end_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        // Fifty pages each: three times what the log may hold.
        for _ in 0..480 {
            database.write(add).await.unwrap();
        }
        let most = u64::try_from(super::PAGES_MAX + 2 * super::PAGES).unwrap() * FRAME_BYTES;
        let log = bytes(folder.path(), "-wal");
        assert!(log <= most, "{log} bytes of log where {most} are allowed");
        let moved = bytes(folder.path(), "");
        assert!(moved > 16_000 * 4_096, "{moved} bytes were moved");
        drop(database);
        assert_eq!(bytes(folder.path(), "-wal"), 0);
        let database = Database::open(folder.path()).unwrap();
        let count = |connection: &Connection| {
            let count = connection.query_row("SELECT count(*) FROM outbox", (), |row| row.get(0));
            count.map_err(|error| sqlite_error("count", &error))
        };
        let count: i64 = database.read(count).await.unwrap();
        assert_eq!(count, 480);
    }
}
