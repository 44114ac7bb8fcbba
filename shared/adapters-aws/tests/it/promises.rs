//! DynamoDB, SQS, S3, KMS and Secrets Manager keep the promises of their ports.

use crate::common::Aws;
use kintsugi_adapters_aws::{DynamoStore, KmsSigner, RandomIds, SqsQueues};
use kintsugi_domain::ports::{Blobs, Queues, Signer, Store};
use kintsugi_testkit::contract;
use kintsugi_testkit::memory::FixedClock;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_dynamodb_store_keeps_its_promises() {
    let aws = Aws::start().await;
    let clock = Arc::new(FixedClock::default());
    let fresh = async || {
        let (table, blobs) = (aws.table().await, aws.bucket().await);
        Arc::new(DynamoStore::new(table, blobs, clock.clone())) as Arc<dyn Store>
    };
    contract::store::all(fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqs_queues_keep_their_promises() {
    let aws = Aws::start().await;
    let clock = FixedClock::default();
    let fresh = async || {
        let queues = SqsQueues::new(
            aws.clients.sqs.clone(),
            aws.table().await,
            aws.bucket().await,
            aws.queues(10).await,
            Duration::ZERO,
            Arc::new(clock.clone()),
        );
        Arc::new(queues) as Arc<dyn Queues>
    };
    contract::queues::all(fresh, async |time| {
        clock.advance(time);
        aws.advance(time);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_s3_blobs_keep_their_promises() {
    let aws = Aws::start().await;
    contract::blobs::all(async || Arc::new(aws.bucket().await) as Arc<dyn Blobs>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_kms_signer_keeps_its_promises() {
    let aws = Aws::start().await;
    let fresh = async || {
        let (kms, secrets) = (aws.clients.kms.clone(), aws.clients.secrets.clone());
        Arc::new(KmsSigner::new(kms, secrets, &aws.name()).unwrap()) as Arc<dyn Signer>
    };
    contract::signer::all(fresh).await;
}

#[test]
fn the_random_ids_keep_their_promises() {
    contract::ids::all(|| Box::new(RandomIds));
}
