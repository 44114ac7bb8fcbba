//! What SQS adds to the promises of the queues: dead readers, foreign messages, characters that it refuses.

use crate::common::Aws;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use kintsugi_adapters_aws::SqsQueues;
use kintsugi_domain::Timestamp;
use kintsugi_domain::envelope::{Envelope, Message, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Letter, PortError, Queues};
use kintsugi_testkit::memory::FixedClock;
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(30);

async fn queues(aws: &Aws, deliveries_max: u32) -> (String, SqsQueues) {
    let prefix = aws.queues(deliveries_max).await;
    let queues = SqsQueues::new(
        aws.clients.sqs.clone(),
        aws.table().await,
        aws.bucket().await,
        &prefix,
        Duration::ZERO,
        Arc::new(FixedClock::default()),
    );
    (prefix, queues)
}

fn message(channel: &str) -> Envelope {
    let channel = channel.to_owned();
    Envelope::new("tick", ProjectId(1), Message::Publish { channel })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_readers_always_die_is_parked_and_comes_back_by_redrive() {
    let aws = Aws::start().await;
    let (_, queues) = queues(&aws, 3).await;
    queues.send(&[message("poison")]).await.unwrap();
    for _ in 0..3 {
        let taken = queues.receive(Queue::Signing, 10, LEASE).await.unwrap();
        assert_eq!(taken.len(), 1);
        aws.advance(LEASE * 2);
    }
    let taken = queues.receive(Queue::Signing, 10, LEASE).await.unwrap();
    assert!(taken.is_empty(), "SQS gave up on it");
    for _ in 0..2 {
        let parked = queues.parked(Queue::Signing).await.unwrap();
        assert_eq!(parked.len(), 1);
        assert_eq!(parked[0].envelope, Some(message("poison")));
        assert!(parked[0].cause.contains("died"), "{}", parked[0].cause);
    }
    assert_eq!(queues.depth(Queue::Signing).await.unwrap(), 0);
    assert_eq!(queues.redrive(Queue::Signing).await.unwrap(), 1);
    let taken = queues.receive(Queue::Signing, 10, LEASE).await.unwrap();
    assert_eq!((taken.len(), taken[0].attempt), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_comes_too_late_parks_nothing() {
    let aws = Aws::start().await;
    let prefix = aws.queues(10).await;
    let (table, blobs) = (aws.table().await, aws.bucket().await);
    let process = || {
        SqsQueues::new(
            aws.clients.sqs.clone(),
            table.clone(),
            blobs.clone(),
            &prefix,
            Duration::ZERO,
            Arc::new(FixedClock::default()),
        )
    };
    let (late, other) = (process(), process());
    late.send(&[message("slow")]).await.unwrap();
    let old = late.receive(Queue::Signing, 1, LEASE).await.unwrap();
    aws.advance(LEASE * 2);
    let new = other.receive(Queue::Signing, 1, LEASE).await.unwrap();
    late.park(&old[0], "too late").await.unwrap();
    assert!(other.parked(Queue::Signing).await.unwrap().is_empty());
    // A process parks what another received, as functions of the admin API do for runners.
    process().park(&new[0], "in time").await.unwrap();
    // What one process parked, every process shows.
    let parked = late.parked(Queue::Signing).await.unwrap();
    assert_eq!((parked.len(), parked[0].cause.as_str()), (1, "in time"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_envelope_keeps_nobody_from_the_others() {
    let aws = Aws::start().await;
    let (prefix, queues) = queues(&aws, 3).await;
    let address = aws.clients.sqs.get_queue_url();
    let address = address.queue_name(format!("{prefix}signing")).send().await;
    let address = address.unwrap().queue_url.unwrap();
    let send = aws.clients.sqs.send_message().queue_url(address);
    let sent = send.message_body("not an envelope").send().await.unwrap();
    let id = sent.message_id.unwrap();
    queues.send(&[message("good")]).await.unwrap();
    let taken = queues.receive(Queue::Signing, 10, LEASE).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].envelope, message("good"));
    queues.park(&taken[0], "known cause").await.unwrap();
    for _ in 0..4 {
        aws.advance(LEASE * 2);
        assert!(
            queues
                .receive(Queue::Signing, 10, LEASE)
                .await
                .unwrap()
                .is_empty()
        );
    }
    let parked = queues.parked(Queue::Signing).await.unwrap();
    let [known, garbage] = parked.as_slice() else {
        panic!("{parked:?}");
    };
    assert_eq!(known.cause, "known cause");
    assert_eq!((&garbage.id, &garbage.envelope), (&id, &None));
    assert!(garbage.cause.contains("not an envelope"), "{garbage:?}");
    assert_eq!(
        queues.redrive(Queue::Signing).await.unwrap(),
        1,
        "a redrive does not make a message of it"
    );
    let parked = queues.parked(Queue::Signing).await.unwrap();
    assert_eq!(parked.len(), 1, "nothing is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_function_set_aside_before_it_died_keeps_its_cause() {
    let aws = Aws::start().await;
    let (prefix, queues) = queues(&aws, 1).await;
    queues.send(&[message("poison")]).await.unwrap();
    let address = aws.clients.sqs.get_queue_url();
    let address = address.queue_name(format!("{prefix}signing")).send().await;
    let taken = aws.clients.sqs.receive_message();
    let taken = taken
        .queue_url(address.unwrap().queue_url.unwrap())
        .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
    let taken = taken.send().await.unwrap().messages.unwrap().remove(0);
    let sent_at = &taken.attributes.unwrap()[&MessageSystemAttributeName::SentTimestamp];
    let letter = Letter {
        queue: Queue::Signing,
        id: taken.message_id.unwrap(),
        sent_at: Timestamp::from_millisecond(sent_at.parse().unwrap()).unwrap(),
        body: taken.body.unwrap(),
    };
    queues.set_aside(&letter, "the true cause").await.unwrap();
    // It never answered, so SQS gives the message up in its own way as well.
    aws.advance(LEASE * 2);
    let taken = queues.receive(Queue::Signing, 1, LEASE).await.unwrap();
    assert!(taken.is_empty());
    let parked = queues.parked(Queue::Signing).await.unwrap();
    let [parked] = parked.as_slice() else {
        panic!("{parked:?}");
    };
    assert_eq!(parked.cause, "the true cause");
    assert_eq!(queues.redrive(Queue::Signing).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_character_of_a_message_comes_back() {
    let aws = Aws::start().await;
    let (_, queues) = queues(&aws, 3).await;
    let hostile = "\0 \u{1} \u{b} \u{1f} \u{7f} \u{fffe} \u{ffff} \u{10ffff} \\uffff \"<&>'";
    queues.send(&[message(hostile)]).await.unwrap();
    let taken = queues.receive(Queue::Signing, 10, LEASE).await.unwrap();
    assert_eq!(taken[0].envelope, message(hostile));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_longer_than_sqs_takes_is_refused_and_a_long_one_is_parked_whole() {
    let aws = Aws::start().await;
    let (_, queues) = queues(&aws, 3).await;
    let long = message(&"ü☃\"".repeat(100_000));
    queues.send(std::slice::from_ref(&long)).await.unwrap();
    let taken = queues.receive(Queue::Signing, 1, LEASE).await.unwrap();
    queues.park(&taken[0], "too long to handle").await.unwrap();
    assert!(queues.parked(Queue::Signing).await.unwrap()[0].envelope == Some(long));
    let longer = queues.send(&[message(&"x".repeat(1024 * 1024))]).await;
    assert!(
        matches!(longer, Err(PortError::Broken { .. })),
        "{longer:?}"
    );
}
