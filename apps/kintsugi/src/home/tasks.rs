//! The tasks of a home: they run until the stop, and none ends unseen.

use crate::error::Error;
use kintsugi_adapters_local::{Home, SqliteQueues};
use kintsugi_app::worker::Worker;
use kintsugi_domain::envelope::Queue;
use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// How long tasks may take to end what they have in hand.
const GRACE: Duration = Duration::from_secs(3);
/// How long cut tasks may take to let go.
const LAST_GRACE: Duration = Duration::from_secs(1);
/// How often an idle task looks by itself: messages that come back after a delay wake nobody.
const IDLE: Duration = Duration::from_millis(200);
/// How often the clock strikes.
const TICK: Duration = Duration::from_secs(1);
/// How often what was reported is looked through for what is old.
const FORGET: Duration = Duration::from_hours(1);
/// The longest wait before a queue that failed is tried again.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Says when to stop.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the stop. A home that was dropped has stopped too.
    pub(super) async fn stopped(mut self) {
        drop(self.0.wait_for(|stopped| *stopped).await);
    }
}

/// Tasks by name. Dropping them cuts them.
#[derive(Debug)]
pub(super) struct Tasks {
    set: JoinSet<Result<(), String>>,
    names: HashMap<Id, String>,
    stop: watch::Sender<bool>,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self {
            set: JoinSet::new(),
            names: HashMap::new(),
            stop: watch::Sender::new(false),
        }
    }

    /// What a task watches to end in time.
    pub(super) fn stop_signal(&self) -> Stop {
        Stop(self.stop.subscribe())
    }

    /// Starts a task that ends only after the stop.
    pub(super) fn spawn<E: Display>(
        &mut self,
        name: &str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self
            .set
            .spawn(async move { task.await.map_err(|error| error.to_string()) });
        self.names.insert(handle.id(), name.to_owned());
    }

    /// Waits for the first task to end, which none may do by itself.
    pub(super) async fn failed(&mut self) -> Error {
        match self.set.join_next_with_id().await {
            Some(Ok((id, ended))) => {
                let why = ended
                    .err()
                    .unwrap_or_else(|| "nobody stopped it".to_owned());
                self.ended(id, why)
            }
            Some(Err(error)) => self.ended(error.id(), words(error)),
            None => Error::Task {
                task: "last".to_owned(),
                why: "there is none left".to_owned(),
            },
        }
    }

    fn ended(&self, id: Id, why: String) -> Error {
        let task = self.names.get(&id).cloned().unwrap_or_default();
        Error::Task { task, why }
    }

    /// Tells every task to stop, waits a little, and cuts what has not ended by then.
    pub(super) async fn stop(self) {
        self.stop_within(GRACE).await;
    }

    async fn stop_within(mut self, grace: Duration) {
        self.stop.send_replace(true);
        if timeout(grace, all_ended(&mut self.set)).await.is_ok() {
            return;
        }
        self.set.abort_all();
        if timeout(LAST_GRACE, all_ended(&mut self.set)).await.is_err() {
            tracing::warn!("a task did not let go; the end of the process cuts it");
        }
    }
}

async fn all_ended(set: &mut JoinSet<Result<(), String>>) {
    while set.join_next().await.is_some() {}
}

/// How a task ended that did not return.
fn words(error: JoinError) -> String {
    if !error.is_panic() {
        return "it was cut".to_owned();
    }
    let panic = error.into_panic();
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", said.unwrap_or("without a word"))
}

/// Most messages taken from a queue at a time. A job takes minutes, so it is taken alone. Reports are filed together, the more the
/// cheaper; of the others few enough that a stop need not wait long.
fn batch(queue: Queue) -> usize {
    if queue == Queue::Jobs {
        1
    } else if queue == Queue::Events {
        64
    } else {
        16
    }
}

/// Works a queue off until the stop. A queue that fails is tried again after a while.
pub(super) async fn drain(
    worker: Arc<Worker>,
    queue: Queue,
    queues: SqliteQueues,
    stop: Stop,
) -> Result<(), String> {
    let mut failures = 0;
    while !stop.is_stopped() {
        match worker.drain(queue, batch(queue)).await {
            Ok(0) => {
                failures = 0;
                tokio::select! {
                    () = stop.clone().stopped() => {}
                    () = queues.rung(queue) => {}
                    () = sleep(IDLE) => {}
                }
            }
            Ok(_) => failures = 0,
            Err(error) => {
                failures += 1;
                tracing::error!(%queue, reason = %error, "the queue failed; it will be tried again");
                pause(failures, &stop).await;
            }
        }
    }
    Ok(())
}

/// Ticks until the stop. A tick that fails is tried again after a while.
pub(super) async fn clock(worker: Arc<Worker>, stop: Stop) -> Result<(), String> {
    let mut strikes = interval(TICK);
    strikes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failures = 0;
    while !stop.is_stopped() {
        tokio::select! {
            () = stop.clone().stopped() => break,
            _ = strikes.tick() => {}
        }
        match worker.tick().await {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                tracing::error!(reason = %error, "the clock failed; it will be tried again");
                pause(failures, &stop).await;
            }
        }
    }
    Ok(())
}

/// Removes what was reported and is old, each hour until the stop. Where that fails it is tried again an hour later.
pub(super) async fn forget(home: Home, stop: Stop) -> Result<(), String> {
    let mut strikes = interval(FORGET);
    strikes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.clone().stopped() => return Ok(()),
            _ = strikes.tick() => {}
        }
        match home.forget().await {
            Ok((0, 0)) => {}
            Ok((records, contents)) => {
                tracing::info!(records, contents, "what was reported long ago was removed");
            }
            Err(error) => {
                tracing::error!(reason = %error, "old reports were not removed; it will be tried again");
            }
        }
    }
}

/// 1, 2, 4 … seconds, at most [`RETRY_MAX`], or until the stop.
async fn pause(failures: u32, stop: &Stop) {
    let seconds = 2_u64.saturating_pow(failures.saturating_sub(1));
    let wait = Duration::from_secs(seconds).min(RETRY_MAX);
    tokio::select! {
        () = stop.clone().stopped() => {}
        () = sleep(wait) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn a_task_that_panics_is_named_with_its_last_words() {
        let mut tasks = Tasks::new();
        tasks.spawn("idle", pending::<Result<(), String>>());
        tasks.spawn("triage", async {
            assert!(std::hint::black_box(false), "index out of bounds");
            Ok::<(), String>(())
        });
        let error = tasks.failed().await;
        assert_eq!(
            error.to_string(),
            "the triage task ended: it panicked: index out of bounds"
        );
        assert_eq!(error.exit().code(), 70);
    }

    #[tokio::test]
    async fn a_task_that_returns_before_the_stop_is_a_failure() {
        let mut tasks = Tasks::new();
        tasks.spawn("clock", async { Ok::<(), String>(()) });
        let error = tasks.failed().await;
        assert_eq!(error.to_string(), "the clock task ended: nobody stopped it");
    }

    #[tokio::test]
    async fn a_stop_waits_for_work_in_hand() {
        let mut tasks = Tasks::new();
        let (done, mut was_done) = tokio::sync::oneshot::channel();
        let stop = tasks.stop_signal();
        tasks.spawn("short", async move {
            stop.stopped().await;
            tokio::task::yield_now().await;
            let _ = done.send(());
            Ok::<(), String>(())
        });
        tasks.stop().await;
        was_done.try_recv().unwrap();
    }

    #[tokio::test]
    async fn a_stop_cuts_work_that_does_not_end() {
        let mut tasks = Tasks::new();
        let (done, mut was_done) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn("endless", async move {
            let _done = done;
            pending::<Result<(), String>>().await
        });
        tasks.stop_within(Duration::ZERO).await;
        was_done.try_recv().unwrap_err();
    }
}
