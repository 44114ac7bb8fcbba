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
    let failed = |error| sqlite_error("write to the database", &error);
    let mut outcome = connection.execute_batch("BEGIN IMMEDIATE").map_err(failed);
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
    let outcome = outcome.and_then(|()| connection.execute_batch("COMMIT").map_err(failed));
    if outcome.is_err() && !connection.is_autocommit() {
        // What fails here leaves the transaction open; the next BEGIN says so and nothing is answered falsely.
        drop(connection.execute_batch("ROLLBACK"));
    }
    for answer in answers {
        answer(outcome.clone());
    }
}

type Answer = Box<dyn FnOnce(Result<(), PortError>)>;

/// Runs one piece of work inside its savepoint; says whether the transaction around it still stands.
fn run_one(connection: &Connection, job: Job) -> (Answer, Result<(), PortError>) {
    let failed = |error| sqlite_error("write to the database", &error);
    let begun = connection
        .prepare_cached("SAVEPOINT work")
        .and_then(|mut s| s.execute(()));
    if let Err(error) = begun {
        let error = failed(error);
        return (job(Err(error.clone())).answer, Err(error));
    }
    let ran = job(Ok(connection));
    if connection.is_autocommit() {
        // A full disk or a failing one makes SQLite undo the whole transaction, neighbours included.
        let why = "the disk failed while others wrote; try again";
        return (
            ran.answer,
            Err(PortError::unavailable("write to the database", why)),
        );
    }
    let end = if ran.keep {
        "RELEASE work"
    } else {
        "ROLLBACK TO work; RELEASE work"
    };
    (ran.answer, connection.execute_batch(end).map_err(failed))
}
