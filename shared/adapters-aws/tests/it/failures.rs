//! When AWS fails, every port says so as something that may pass, and says what it was doing.

#![expect(clippy::unwrap_used, reason = "test code")]

use crate::common::Aws;
use kintsugi_adapters_aws::{Home, Outside, Settings};
use kintsugi_domain::envelope::{Envelope, Message, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Commit, KeyName, KeyUse, PortError, Ports};
use kintsugi_testkit::memory::{MemoryForge, MemoryNotifier, MemoryWeb};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(30);

fn home(aws: &Aws, table: &str, bucket: &str, queue_prefix: &str) -> Ports {
    let settings = Settings {
        table: table.to_owned(),
        bucket: bucket.to_owned(),
        queue_prefix: queue_prefix.to_owned(),
        key_prefix: "test".to_owned(),
        retention_days: None,
        receive_wait: Duration::ZERO,
    };
    let outside = Outside {
        forge: Arc::new(MemoryForge::default()),
        notifier: Arc::new(MemoryNotifier::default()),
        web: Arc::new(MemoryWeb::new()),
    };
    Home::with(&aws.clients, &settings, outside)
        .unwrap()
        .ports()
}

fn key(key_use: KeyUse) -> KeyName {
    KeyName {
        project: ProjectId(1),
        key_use,
    }
}

fn message() -> Envelope {
    let channel = "stable".to_owned();
    Envelope::new("tick", ProjectId(1), Message::Publish { channel })
}

fn transient<T: Debug>(answer: Result<T, PortError>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, PortError::Unavailable { .. }), "{error}");
    assert!(error.to_string().len() > 20, "says too little: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_home_hands_a_message_on() {
    let aws = Aws::start().await;
    let table = aws.table().await;
    let (bucket, _) = aws.named_bucket().await;
    let ports = home(&aws, table.name(), &bucket, &aws.queues(10).await);
    ports
        .store
        .commit(Commit::new().send(message()))
        .await
        .unwrap();
    let waiting = ports.store.outbox(10).await.unwrap();
    ports.queues.send(&waiting).await.unwrap();
    ports.store.sent(&[message().id]).await.unwrap();
    let taken = ports
        .queues
        .receive(Queue::Signing, 10, LEASE)
        .await
        .unwrap();
    assert_eq!(taken[0].envelope, message());
    let signature = ports
        .signer
        .sign(&key(KeyUse::Targets(1)), b"x")
        .await
        .unwrap();
    ports
        .blobs
        .put("signature", signature.clone())
        .await
        .unwrap();
    assert_eq!(
        ports.blobs.get("signature", 200).await.unwrap(),
        Some(signature)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_cannot_be_reached_are_a_failure_that_may_pass() {
    let aws = Aws::start().await;
    let table = aws.table().await;
    let (bucket, _) = aws.named_bucket().await;
    let ports = home(&aws, table.name(), &bucket, &aws.queues(10).await);
    ports.queues.send(&[message()]).await.unwrap();
    let taken = ports
        .queues
        .receive(Queue::Signing, 1, LEASE)
        .await
        .unwrap();
    let receipt = &taken[0].receipt;
    aws.stop();
    let (store, queues) = (&ports.store, &ports.queues);
    let (targets, users) = (key(KeyUse::Targets(1)), key(KeyUse::Users));
    let sent = [message()];
    // At once, because the clients wait and try again before they give up.
    let answers = tokio::join!(
        store.commit(Commit::new().send(message())),
        store.projects(),
        queues.send(&sent),
        queues.receive(Queue::Signing, 1, LEASE),
        queues.done(receipt),
        queues.park(&taken[0], "cause"),
        ports.blobs.put("key", Vec::new()),
        ports.blobs.get("key", 1),
        ports.blobs.length("key"),
        ports.signer.sign(&targets, b"x"),
        ports.signer.secret(&users),
    );
    transient(answers.0);
    transient(answers.1);
    transient(answers.2);
    transient(answers.3);
    transient(answers.4);
    transient(answers.5);
    transient(answers.6);
    transient(answers.7);
    transient(answers.8);
    transient(answers.9);
    transient(answers.10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_was_not_deployed_is_a_failure_that_a_deployment_mends() {
    let aws = Aws::start().await;
    let ports = home(&aws, "no-table", "no-bucket", "no-queue-");
    transient(ports.store.commit(Commit::new().send(message())).await);
    transient(ports.store.outbox(1).await);
    transient(ports.queues.send(&[message()]).await);
    transient(ports.blobs.put("key", Vec::new()).await);
    transient(ports.blobs.get("key", 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_calls_invalid_stays_a_failure() {
    let aws = Aws::start().await;
    let ports = home(&aws, "no table has this name!", "no-bucket", "no-queue-");
    let answer = ports.store.commit(Commit::new().send(message())).await;
    let error = answer.unwrap_err();
    assert!(matches!(error, PortError::Broken { .. }), "{error}");
    assert!(error.to_string().contains("ValidationException"), "{error}");
}
