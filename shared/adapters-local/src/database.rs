//! One SQLite file that store and queues share, so that both are as durable as each other.
//!
//! Writes go through one thread that **commits in groups**: what arrives while the disk is busy shares the next
//! transaction and its one flush. Each piece of work has a savepoint of its own, so it happens as a whole or not at all
//! whatever its neighbours do, and nobody gets an answer before the group is on the disk. Reads use connections of
//! their own (write-ahead log: they neither wait for writers nor hold them up). What is in the log is moved into the database on a third
//! thread.
//!
//! Settings: `journal_mode=WAL`, `synchronous=FULL` (a commit that was answered survives the loss of power).
//!
//! Not here: what the tables mean; see [`crate::store`] and [`crate::queues`]. The schema and how it changes are in
//! `schema.rs` beside this file.

mod checkpoints;
mod failure;
mod schema;
mod writer;

use crate::files::{blocking, io_error};
use crate::whole::make_folder;
use checkpoints::Checkpoints;
use kintsugi_domain::ports::PortError;
use rusqlite::Connection;
use std::fmt;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use writer::Writer;

pub(crate) use failure::sqlite_error;
pub use schema::SCHEMA_VERSION;

/// The database's file name in its folder.
pub const DATABASE_FILE: &str = "home.db";
/// The lock's file name in the same folder.
pub const LOCK_FILE: &str = "home.lock";

/// Connections that only read.
const READERS: usize = 2;
/// How long to wait for a program outside (a shell, a backup) that holds the database.
const BUSY: Duration = Duration::from_secs(5);

/// An open database. Clones share it; the last one to go closes it and releases the folder.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

/// Fields are dropped in this order: the writer ends its work, with it the checkpoints, then the readers close, then the lock goes.
struct Inner {
    writer: Writer,
    _checkpoints: Checkpoints,
    readers: Vec<Mutex<Connection>>,
    next_reader: AtomicUsize,
    _lock: File,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the database of a folder; makes both if they do not exist.
    ///
    /// Refuses a folder that another process works with, a file that is not ours, and a schema newer than
    /// [`SCHEMA_VERSION`].
    pub fn open(folder: &Path) -> Result<Self, PortError> {
        let what = format!("data folder {}", folder.display());
        make_folder(folder).map_err(|error| io_error(&what, &error))?;
        let lock = locked(folder)?;
        let path = folder.join(DATABASE_FILE);
        let mut connection = connect(&path)?;
        schema::migrate(&mut connection)?;
        let readers: Result<Vec<_>, PortError> = (0..READERS).map(|_| reader(&path)).collect();
        let checkpoints = Checkpoints::start(&mut connection, connect(&path)?)?;
        let inner = Inner {
            writer: Writer::start(connection)?,
            _checkpoints: checkpoints,
            readers: readers?,
            next_reader: AtomicUsize::new(0),
            _lock: lock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Runs work in the next group. When it answers with an error, nothing of it happened.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        self.inner.writer.run(work).await
    }

    /// Runs a query. It sees everything that was answered before it began.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let inner = Arc::clone(&self.inner);
        blocking("database", move || {
            let turn = inner.next_reader.fetch_add(1, Ordering::Relaxed);
            match inner.readers.get(turn % READERS) {
                Some(reader) => query(&reader.lock().unwrap_or_else(PoisonError::into_inner)),
                None => Err(PortError::broken("database", "it has no reader")),
            }
        })
        .await
    }
}

/// Takes the folder for this process.
fn locked(folder: &Path) -> Result<File, PortError> {
    let what = format!("data folder {}", folder.display());
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK_FILE))
        .map_err(|error| io_error(&what, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let why = "another Kintsugi works with it; stop that one, or use another folder";
            Err(PortError::broken(what, why))
        }
        Err(TryLockError::Error(error)) => Err(io_error(&what, &error)),
    }
}

fn connect(path: &Path) -> Result<Connection, PortError> {
    let prepare = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        Ok(connection)
    };
    prepare().map_err(|error| sqlite_error("open the database", &error))
}

fn reader(path: &Path) -> Result<Mutex<Connection>, PortError> {
    let connection = connect(path)?;
    match connection.pragma_update(None, "query_only", true) {
        Ok(()) => Ok(Mutex::new(connection)),
        Err(error) => Err(sqlite_error("open the database", &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages_max(connection: &Connection, pages: i64) -> Result<(), PortError> {
        let set = connection.pragma_update(None, "max_page_count", pages);
        set.map_err(|error| sqlite_error("bound the database", &error))
    }

    fn add(connection: &Connection, body: &str) -> Result<(), PortError> {
        let sql = "INSERT INTO outbox (message, body) SELECT count(*), ?1 FROM outbox";
        let added = connection.execute(sql, [body]);
        added
            .map(|_| ())
            .map_err(|error| sqlite_error("add", &error))
    }

    async fn count(database: &Database) -> i64 {
        let query = |connection: &Connection| {
            connection
                .query_row("SELECT count(*) FROM outbox", (), |row| row.get(0))
                .map_err(|error| sqlite_error("count", &error))
        };
        database.read(query).await.unwrap()
    }

    #[tokio::test]
    async fn a_full_disk_is_said_and_writing_goes_on_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        // A bound on pages is what SQLite itself reports as a full disk.
        database.write(|c| pages_max(c, 40)).await.unwrap();
        database.write(|c| add(c, "fits")).await.unwrap();
        let large = "x".repeat(1_000_000);
        let body = large.clone();
        let error = database.write(move |c| add(c, &body)).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(
            error
                .to_string()
                .contains("the disk is full; free some space"),
            "{error}"
        );
        assert_eq!(count(&database).await, 1);
        database.write(|c| add(c, "fits, too")).await.unwrap();
        database.write(|c| pages_max(c, 100_000)).await.unwrap();
        database.write(move |c| add(c, &large)).await.unwrap();
        assert_eq!(count(&database).await, 3);
    }

    #[tokio::test]
    async fn work_that_fails_leaves_its_neighbours_in_the_group_alone() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        // While the first one waits, the others gather into one group behind it.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = {
            let database = database.clone();
            tokio::spawn(async move {
                let held = move |_: &Connection| {
                    wait.recv().unwrap();
                    Ok(())
                };
                database.write(held).await
            })
        };
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..20 {
            let database = database.clone();
            tasks.spawn(async move {
                let work = move |connection: &Connection| {
                    add(connection, "x")?;
                    if task % 2 == 0 {
                        return Err(PortError::broken("work", "by intent"));
                    }
                    Ok(())
                };
                database.write(work).await.is_ok()
            });
        }
        tokio::task::yield_now().await;
        go.send(()).unwrap();
        first.await.unwrap().unwrap();
        let mut done = 0;
        while let Some(ended) = tasks.join_next().await {
            done += i64::from(ended.unwrap());
        }
        assert_eq!((done, count(&database).await), (10, 10));
    }
}
