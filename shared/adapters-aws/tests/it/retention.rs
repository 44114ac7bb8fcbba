//! Signed metadata that nobody can take away for a while.

use crate::common::Aws;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::ObjectLockMode;
use kintsugi_adapters_aws::S3Blobs;
use kintsugi_domain::ports::{Blobs, Clock, PortError};
use kintsugi_testkit::memory::FixedClock;
use std::sync::Arc;

const DAY: i64 = 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn signed_metadata_is_locked_for_as_long_as_the_home_says_and_nothing_else_is() {
    let aws = Aws::start().await;
    let (s3, name) = (&aws.clients.s3, aws.name());
    let create = s3.create_bucket().bucket(&name);
    let create = create.object_lock_enabled_for_bucket(true);
    create.send().await.unwrap();
    let clock = FixedClock::default();
    let blobs = S3Blobs::new(s3.clone(), &name).with_retention(400, Arc::new(clock.clone()));
    let head = async |key: &str| {
        s3.head_object()
            .bucket(&name)
            .key(key)
            .send()
            .await
            .unwrap()
    };

    let metadata = "tuf/1/metadata/7.targets.json";
    blobs.put(metadata, b"one".to_vec()).await.unwrap();
    let stored = head(metadata).await;
    assert_eq!(stored.object_lock_mode, Some(ObjectLockMode::Governance));
    let until = stored.object_lock_retain_until_date.unwrap().secs();
    assert_eq!(until, clock.now().as_second() + 400 * DAY);
    // By its version, which is what would destroy it.
    let delete = s3.delete_object().bucket(&name).key(metadata);
    let delete = delete.version_id(stored.version_id.unwrap());
    let refused = delete.send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDenied"), "{refused:?}");

    for key in ["tuf/1/targets/metadata/x.json", "events/1/metadata/x.json"] {
        blobs.put(key, b"two".to_vec()).await.unwrap();
        assert_eq!(head(key).await.object_lock_mode, None, "{key}");
    }
    // A home without retention asks for none: its bucket need not know of it.
    let (bucket, plain) = aws.named_bucket().await;
    plain.put(metadata, b"three".to_vec()).await.unwrap();
    let stored = s3.head_object().bucket(bucket).key(metadata).send().await;
    assert_eq!(stored.unwrap().object_lock_mode, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bears_the_number_of_its_publication_is_never_replaced() {
    let aws = Aws::start().await;
    let (_, blobs) = aws.named_bucket().await;
    let metadata = "tuf/1/metadata/7.targets.json";
    blobs.put(metadata, b"one".to_vec()).await.unwrap();
    // The same once more, as after a lost answer.
    blobs.put(metadata, b"one".to_vec()).await.unwrap();
    for other in ["two", "two, and longer"] {
        let refused = blobs.put(metadata, other.into()).await.unwrap_err();
        assert!(matches!(refused, PortError::Conflict { .. }), "{refused}");
    }
    let stored = blobs.get(metadata, 100).await.unwrap();
    assert_eq!(stored, Some(b"one".to_vec()));

    // A root that was not taken yet is written again.
    for content in ["root", "another root"] {
        let key = "tuf/1/metadata/2.root.json";
        blobs.put(key, content.into()).await.unwrap();
    }
}
