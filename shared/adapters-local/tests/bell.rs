//! A message wakes the worker of its queue, and no other.

use kintsugi_adapters_local::{Database, SqliteQueues, SqliteStore};
use kintsugi_domain::envelope::{Envelope, Message, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Commit, Queues, Store};
use kintsugi_testkit::memory::FixedClock;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

const PROJECT: ProjectId = ProjectId(1);
const LEASE: Duration = Duration::from_mins(1);

fn message(channel: &str) -> Envelope {
    let channel = channel.to_owned();
    Envelope::new("cause", PROJECT, Message::Publish { channel })
}

/// The queues whose workers would wake now.
fn rung(queues: &SqliteQueues) -> Vec<Queue> {
    let mut context = Context::from_waker(Waker::noop());
    let mut all = Queue::ALL.to_vec();
    all.retain(|queue| pin!(queues.rung(*queue)).poll(&mut context).is_ready());
    all
}

#[tokio::test]
async fn what_is_sent_or_redriven_wakes_its_queue_once_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path()).unwrap();
    let sender = SqliteQueues::new(&database, Arc::new(FixedClock::default()));
    let worker = sender.clone();
    assert_eq!(rung(&worker), []);

    sender.send(&[message("a"), message("b")]).await.unwrap();
    assert_eq!(rung(&worker), [Queue::Signing]);
    assert_eq!(rung(&worker), [], "once");

    let taken = worker.receive(Queue::Signing, 2, LEASE).await.unwrap();
    for delivery in &taken {
        worker.park(delivery, "by intent").await.unwrap();
    }
    assert_eq!((taken.len(), rung(&worker)), (2, Vec::new()));
    assert_eq!(sender.redrive(Queue::Signing).await.unwrap(), 2);
    assert_eq!(rung(&worker), [Queue::Signing]);
    assert_eq!(sender.redrive(Queue::Signing).await.unwrap(), 0);
    assert_eq!(rung(&worker), []);
}

#[tokio::test]
async fn what_an_earlier_process_left_in_the_outbox_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let database = Database::open(folder.path()).unwrap();
        SqliteStore::new(&database, Arc::new(FixedClock::default()))
    };
    let commit = Commit::new().send(message("a"));
    open().commit(commit).await.unwrap();

    let store = open();
    assert_eq!(store.own_outbox(10).await.unwrap(), [message("a")]);
    store.sent(&[message("a").id]).await.unwrap();
    assert_eq!(store.own_outbox(10).await.unwrap(), []);
    // A clone hears of what another one commits after the outbox was found empty.
    let commit = Commit::new().send(message("b"));
    store.clone().commit(commit).await.unwrap();
    assert_eq!(store.own_outbox(10).await.unwrap(), [message("b")]);
}
