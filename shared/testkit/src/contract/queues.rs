//! What [`Queues`] promises. The caller brings a way to let time pass: moving a clock, or waiting.

#![expect(clippy::unwrap_used, reason = "test code")]
#![expect(clippy::indexing_slicing, reason = "test code")]

use super::message;
use kintsugi_domain::Timestamp;
use kintsugi_domain::envelope::{Envelope, Queue};
use kintsugi_domain::ports::{Delivery, Letter, Parked, PortError, Queues};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(30);
const NOW: Duration = Duration::ZERO;

/// Every promise, each on fresh queues. `pass` lets time pass for the queues made last.
pub async fn all(fresh: impl AsyncFn() -> Arc<dyn Queues>, pass: impl AsyncFn(Duration)) {
    each_message_goes_to_its_own_queue(&*fresh().await).await;
    a_lease_hides_and_its_end_shows_again(&*fresh().await, &pass).await;
    an_extended_lease_hides_longer(&*fresh().await, &pass).await;
    what_is_done_never_comes_back(&*fresh().await, &pass).await;
    a_retry_comes_back_after_its_delay(&*fresh().await, &pass).await;
    an_old_receipt_cannot_take_a_newer_delivery(&*fresh().await, &pass).await;
    what_is_parked_comes_back_only_by_redrive(&*fresh().await, &pass).await;
    what_a_function_sets_aside_is_listed_once_and_messages_come_back(&*fresh().await).await;
    sending_twice_loses_nothing(&*fresh().await).await;
    readers_at_once_share_the_messages(fresh().await).await;
}

async fn one(queues: &dyn Queues) -> Delivery {
    let mut deliveries = queues.receive(Queue::Signing, 1, LEASE).await.unwrap();
    assert_eq!(deliveries.len(), 1, "expected one delivery");
    deliveries.remove(0)
}

async fn empty(queues: &dyn Queues) -> bool {
    let deliveries = queues.receive(Queue::Signing, 10, LEASE).await.unwrap();
    deliveries.is_empty()
}

/// Messages come out of the queue they belong to, unchanged, at most as many as asked for.
pub async fn each_message_goes_to_its_own_queue(queues: &dyn Queues) {
    let sent: Vec<Envelope> = (0..7).map(message).collect();
    queues.send(&sent).await.unwrap();
    assert_eq!(queues.depth(Queue::Signing).await.unwrap(), 7);
    for queue in Queue::ALL
        .into_iter()
        .filter(|queue| *queue != Queue::Signing)
    {
        assert!(queues.receive(queue, 10, LEASE).await.unwrap().is_empty());
        assert_eq!(queues.depth(queue).await.unwrap(), 0);
    }
    let mut seen = BTreeMap::new();
    while seen.len() < 7 {
        let deliveries = queues.receive(Queue::Signing, 3, LEASE).await.unwrap();
        assert!(
            !deliveries.is_empty(),
            "only {} of 7 were delivered",
            seen.len()
        );
        assert!(deliveries.len() <= 3);
        for delivery in deliveries {
            assert_eq!(delivery.attempt, 1);
            seen.insert(delivery.envelope.id.clone(), delivery.envelope);
        }
    }
    for envelope in &sent {
        assert_eq!(seen.get(&envelope.id), Some(envelope));
    }
    assert_eq!(
        queues.depth(Queue::Signing).await.unwrap(),
        7,
        "leased messages count"
    );
}

/// A delivery is hidden for its lease; then it is delivered again, as the next attempt.
pub async fn a_lease_hides_and_its_end_shows_again(
    queues: &dyn Queues,
    pass: &impl AsyncFn(Duration),
) {
    queues.send(&[message(1)]).await.unwrap();
    for attempt in 1..=3 {
        assert_eq!(one(queues).await.attempt, attempt);
        assert!(empty(queues).await, "a leased message was delivered");
        pass(LEASE / 2).await;
        assert!(empty(queues).await, "the lease ended too early");
        pass(LEASE).await;
    }
}

/// A lease that is extended counts from the extension.
pub async fn an_extended_lease_hides_longer(queues: &dyn Queues, pass: &impl AsyncFn(Duration)) {
    queues.send(&[message(1)]).await.unwrap();
    let delivery = one(queues).await;
    pass(LEASE / 2).await;
    queues.extend(&delivery.receipt, LEASE * 2).await.unwrap();
    pass(LEASE).await;
    assert!(empty(queues).await, "the extended lease ended too early");
    queues.done(&delivery.receipt).await.unwrap();
    pass(LEASE * 2).await;
    assert!(empty(queues).await);
}

/// A message that was handled is gone, also after its lease; doing it twice is no error.
pub async fn what_is_done_never_comes_back(queues: &dyn Queues, pass: &impl AsyncFn(Duration)) {
    queues.send(&[message(1), message(2)]).await.unwrap();
    let deliveries = queues.receive(Queue::Signing, 2, LEASE).await.unwrap();
    for delivery in deliveries {
        queues.done(&delivery.receipt).await.unwrap();
        queues.done(&delivery.receipt).await.unwrap();
    }
    pass(LEASE * 2).await;
    assert!(empty(queues).await);
    assert_eq!(queues.depth(Queue::Signing).await.unwrap(), 0);
    // The same message may be sent anew: an admin may order a thing twice.
    queues.send(&[message(1)]).await.unwrap();
    assert_eq!(one(queues).await.attempt, 1);
}

/// A retried message is hidden for its delay, counts as waiting, and is the next attempt.
pub async fn a_retry_comes_back_after_its_delay(
    queues: &dyn Queues,
    pass: &impl AsyncFn(Duration),
) {
    queues.send(&[message(1)]).await.unwrap();
    let first = one(queues).await;
    queues.retry(&first.receipt, LEASE * 2).await.unwrap();
    pass(LEASE + LEASE / 2).await;
    assert!(empty(queues).await, "the delay ended too early");
    assert_eq!(queues.depth(Queue::Signing).await.unwrap(), 1);
    pass(LEASE).await;
    let second = one(queues).await;
    assert_eq!(second.attempt, 2);
    queues.retry(&second.receipt, NOW).await.unwrap();
    assert_eq!(one(queues).await.attempt, 3, "no delay means at once");
}

/// The receipt of a delivery that was delivered again cannot end, park or extend the newer delivery.
pub async fn an_old_receipt_cannot_take_a_newer_delivery(
    queues: &dyn Queues,
    pass: &impl AsyncFn(Duration),
) {
    queues.send(&[message(1)]).await.unwrap();
    let old = one(queues).await;
    pass(LEASE * 2).await;
    let new = one(queues).await;
    assert_ne!(old.receipt, new.receipt);
    let extended = queues.extend(&old.receipt, LEASE).await;
    assert!(
        matches!(extended, Err(PortError::Conflict { .. })),
        "{extended:?}"
    );
    queues.retry(&old.receipt, NOW).await.unwrap();
    assert!(
        empty(queues).await,
        "an old receipt showed a newer delivery"
    );
    queues.park(&old, "late").await.unwrap();
    assert!(queues.parked(Queue::Signing).await.unwrap().is_empty());
    queues.done("no receipt of ours").await.unwrap();
    queues.done(&new.receipt).await.unwrap();
    pass(LEASE * 2).await;
    assert!(empty(queues).await);
}

/// A parked message keeps its cause, does not wait, and comes back by redrive as a first attempt.
pub async fn what_is_parked_comes_back_only_by_redrive(
    queues: &dyn Queues,
    pass: &impl AsyncFn(Duration),
) {
    queues.send(&[message(1)]).await.unwrap();
    queues
        .park(&one(queues).await, "first cause")
        .await
        .unwrap();
    queues.send(&[message(2)]).await.unwrap();
    queues
        .park(&one(queues).await, "second cause")
        .await
        .unwrap();
    pass(LEASE * 2).await;
    assert!(empty(queues).await);
    assert_eq!(queues.depth(Queue::Signing).await.unwrap(), 0);
    let parked = queues.parked(Queue::Signing).await.unwrap();
    assert_eq!(parked.len(), 2);
    assert_eq!(parked[0].cause, "first cause");
    assert_eq!(parked[0].envelope, Some(message(1)));
    assert_eq!(parked[0].id, message(1).id.as_str());
    assert_eq!(parked[0].queue, Queue::Signing);
    assert_eq!(parked[1].cause, "second cause");
    assert!(queues.parked(Queue::Alerts).await.unwrap().is_empty());
    assert_eq!(queues.redrive(Queue::Alerts).await.unwrap(), 0);
    assert_eq!(queues.redrive(Queue::Signing).await.unwrap(), 2);
    assert_eq!(queues.redrive(Queue::Signing).await.unwrap(), 0);
    assert!(queues.parked(Queue::Signing).await.unwrap().is_empty());
    assert_eq!(one(queues).await.attempt, 1);
}

/// What came is set aside as it came, once, with its first cause: a message goes where it belongs at redrive, and what is no
/// message stays to be seen.
pub async fn what_a_function_sets_aside_is_listed_once_and_messages_come_back(queues: &dyn Queues) {
    let letter = |id: &str, second: i64, body: String| Letter {
        queue: Queue::Events,
        id: id.to_owned(),
        sent_at: Timestamp::from_second(1_795_233_600 + second).unwrap(),
        body,
    };
    let astray = letter("l-1", 1, serde_json::to_string(&message(1)).unwrap());
    let garbage = letter(
        "l-2",
        2,
        "{\"format\":1,\"hello\":\"\u{0}\u{ffff}ü\"".to_owned(),
    );
    for cause in ["first cause", "second cause"] {
        queues.set_aside(&astray, cause).await.unwrap();
        queues.set_aside(&garbage, cause).await.unwrap();
    }
    let garbage = Parked {
        id: "l-2".to_owned(),
        envelope: None,
        queue: Queue::Events,
        cause: "first cause".to_owned(),
    };
    let parked = queues.parked(Queue::Events).await.unwrap();
    let astray = Parked {
        id: message(1).id.to_string(),
        envelope: Some(message(1)),
        ..garbage.clone()
    };
    assert_eq!(parked, [astray, garbage.clone()]);
    assert!(queues.parked(Queue::Signing).await.unwrap().is_empty());
    assert_eq!(queues.redrive(Queue::Events).await.unwrap(), 1);
    assert_eq!(queues.redrive(Queue::Events).await.unwrap(), 0);
    assert_eq!(queues.parked(Queue::Events).await.unwrap(), [garbage]);
    let delivery = one(queues).await;
    assert_eq!((delivery.envelope, delivery.attempt), (message(1), 1));
    assert_eq!(queues.depth(Queue::Events).await.unwrap(), 0);
}

/// Sending a message that waits or is being handled again keeps it; whether it is delivered twice is open.
pub async fn sending_twice_loses_nothing(queues: &dyn Queues) {
    queues.send(&[message(1), message(1)]).await.unwrap();
    let first = one(queues).await;
    queues.send(&[message(1)]).await.unwrap();
    queues.retry(&first.receipt, NOW).await.unwrap();
    let deliveries = queues.receive(Queue::Signing, 10, LEASE).await.unwrap();
    assert!(!deliveries.is_empty());
    assert!(
        deliveries
            .iter()
            .all(|delivery| delivery.envelope == message(1))
    );
}

/// Readers at once never hold the same delivery, and together get every message.
pub async fn readers_at_once_share_the_messages(queues: Arc<dyn Queues>) {
    let sent: Vec<Envelope> = (0..60).map(message).collect();
    queues.send(&sent).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let queues = Arc::clone(&queues);
        tasks.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let deliveries = queues
                    .receive(Queue::Signing, 4, LEASE * 100)
                    .await
                    .unwrap();
                if deliveries.is_empty() {
                    return mine;
                }
                mine.extend(deliveries.into_iter().map(|delivery| delivery.envelope.id));
            }
        });
    }
    let mut seen = BTreeSet::new();
    while let Some(ended) = tasks.join_next().await {
        for id in ended.unwrap() {
            assert!(seen.insert(id.clone()), "two readers hold message {id}");
        }
    }
    assert_eq!(seen.len(), 60);
}
