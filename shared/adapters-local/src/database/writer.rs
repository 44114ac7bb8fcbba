//! The one thread that writes, in groups.

use super::sqlite_error;
use kintsugi_domain::ports::PortError;
use rusqlite::Connection;
use std::thread::{Builder, JoinHandle};
use tokio::sync::{mpsc, oneshot};

/// Most pieces of work that share a transaction: bounds how long the first one waits for the last.
const GROUP_MAX: usize = 256;
/// Most pieces of work that wait; beyond it, callers wait to hand theirs in.
const WAITING_MAX: usize = 1_024;

/// One piece of work. Given the failure that kept it from running, it only passes that on.
type Job = Box<dyn FnOnce(Result<&Connection, PortError>) -> Ran + Send>;

/// Work that ran inside its savepoint and has not been answered yet.
struct Ran {
    /// Whether its changes stay.
    keep: bool,
    /// Answers the caller: with the work's own answer, or with what kept the group from the disk.
    answer: Box<dyn FnOnce(Result<(), PortError>)>,
}

/// The thread and the way to it.
pub(super) struct Writer {
    /// Taken away to end the thread.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; it ends when the writer is dropped.
    pub(super) fn start(connection: Connection) -> Result<Self, PortError> {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let thread = Builder::new()
            .name("kintsugi-writer".to_owned())
            .spawn(move || serve(&connection, waiting))
            .map_err(|error| PortError::unavailable("start the database's writer", error))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Runs work in the next group and answers when the group is on the disk.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let answer = connection.and_then(work);
            Ran {
                keep: answer.is_ok(),
                answer: Box::new(move |group| {
                    // A caller that no longer waits is no failure: the work is done all the same.
                    drop(sender.send(answer.and_then(|value| group.map(|()| value))));
                }),
            }
        });
        let stopped = || PortError::unavailable("write to the database", "its writer has stopped");
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(job).await.map_err(|_| stopped())?;
        receiver.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            drop(thread.join());
        }
    }
}

fn serve(connection: &Connection, mut waiting: mpsc::Receiver<Job>) {
    while let Some(first) = waiting.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX {
            match waiting.try_recv() {
                Ok(job) => group.push(job),
                Err(_) => break,
            }
        }
        run_group(connection, group);
    }
}

/// Runs a group in one transaction and answers everybody.
fn run_group(connection: &Connection, group: Vec<Job>) {
    let mut outcome = execute(connection, "BEGIN IMMEDIATE");
    let mut answers = Vec::with_capacity(group.len());
    for job in group {
        if outcome.is_ok() {
            let (answer, kept) = run_one(connection, job);
            answers.push(answer);
            outcome = kept;
        } else {
            // The transaction is gone: the rest is not tried, and nobody of the group is told "done".
            answers.push(job(outcome.clone().map(|()| connection)).answer);
        }
    }
    let outcome = outcome.and_then(|()| execute(connection, "COMMIT"));
    if outcome.is_err() && !connection.is_autocommit() {
        // What fails here leaves the transaction open; the next BEGIN says so and nothing is answered falsely.
        drop(connection.execute_batch("ROLLBACK"));
    }
    for answer in answers {
        answer(outcome.clone());
    }
}

/// Runs a statement that every group needs.
fn execute(connection: &Connection, sql: &str) -> Result<(), PortError> {
    let done = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(()));
    done.map(|_| ())
        .map_err(|error| sqlite_error("write to the database", &error))
}

type Answer = Box<dyn FnOnce(Result<(), PortError>)>;

/// Runs one piece of work inside its savepoint; says whether the transaction around it still stands.
fn run_one(connection: &Connection, job: Job) -> (Answer, Result<(), PortError>) {
    if let Err(error) = execute(connection, "SAVEPOINT work") {
        return (job(Err(error.clone())).answer, Err(error));
    }
    let ran = job(Ok(connection));
    if connection.is_autocommit() {
        // A full disk or a failing one makes SQLite undo the whole transaction, neighbours included.
        let why = "the disk failed while others wrote; try again";
        let gone = PortError::unavailable("write to the database", why);
        return (ran.answer, Err(gone));
    }
    let mut kept = Ok(());
    if !ran.keep {
        kept = execute(connection, "ROLLBACK TO work");
    }
    let kept = kept.and_then(|()| execute(connection, "RELEASE work"));
    (ran.answer, kept)
}
