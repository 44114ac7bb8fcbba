//! Keys in KMS and secrets in Secrets Manager: shared by processes, one per name, nothing left enabled by a lost race.

#![expect(clippy::unwrap_used, reason = "test code")]

use crate::common::Aws;
use aws_sdk_kms::types::KeyState;
use kintsugi_adapters_aws::{KmsSigner, SecretText};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{KeyName, KeyUse, PortError, Signer};
use kintsugi_testkit::memory::FixedClock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

fn signer(aws: &Aws, prefix: &str) -> KmsSigner {
    KmsSigner::new(aws.clients.kms.clone(), aws.clients.secrets.clone(), prefix).unwrap()
}

fn name(key_use: KeyUse) -> KeyName {
    KeyName {
        project: ProjectId(1),
        key_use,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_race_to_make_a_key_end_with_one_and_the_losers_are_deleted() {
    let aws = Aws::start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let signer = signer(&aws, "race");
        tasks.spawn(async move {
            let pem = signer.public_key(&name(KeyUse::Root(1))).await.unwrap();
            (pem, signer.secret(&name(KeyUse::Tickets)).await.unwrap())
        });
    }
    let mut seen = BTreeSet::new();
    while let Some(ended) = tasks.join_next().await {
        seen.insert(ended.unwrap());
    }
    assert_eq!(seen.len(), 1);
    let keys = aws.clients.kms.list_keys().send().await.unwrap();
    let mut enabled = 0;
    for key in keys.keys.unwrap() {
        let describe = aws.clients.kms.describe_key().key_id(key.key_id.unwrap());
        let key = describe.send().await.unwrap().key_metadata.unwrap();
        enabled += usize::from(key.key_state == Some(KeyState::Enabled));
    }
    assert_eq!(enabled, 1, "keys that nobody can name stay enabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn homes_of_another_prefix_have_other_keys_and_secrets() {
    let aws = Aws::start().await;
    let (one, other) = (signer(&aws, "one"), signer(&aws, "other"));
    let key = name(KeyUse::Targets(1));
    assert_ne!(
        one.public_key(&key).await.unwrap(),
        other.public_key(&key).await.unwrap()
    );
    let secret = name(KeyUse::Users);
    assert_ne!(
        one.secret(&secret).await.unwrap(),
        other.secret(&secret).await.unwrap()
    );
    // A process that starts later.
    let later = signer(&aws, "one");
    assert_eq!(
        one.public_key(&key).await.unwrap(),
        later.public_key(&key).await.unwrap()
    );
    assert_eq!(
        one.secret(&secret).await.unwrap(),
        later.secret(&secret).await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_a_secret_and_a_prefix_cannot_reach_other_names() {
    let aws = Aws::start().await;
    let signer = signer(&aws, "x");
    let broken = |error: PortError| assert!(!error.is_transient(), "{error}");
    broken(signer.sign(&name(KeyUse::Users), b"x").await.unwrap_err());
    broken(signer.public_key(&name(KeyUse::Tickets)).await.unwrap_err());
    broken(signer.secret(&name(KeyUse::Root(0))).await.unwrap_err());
    for prefix in ["", "a/b", "a b", "ä", &"x".repeat(65)] {
        let (kms, secrets) = (aws.clients.kms.clone(), aws.clients.secrets.clone());
        broken(KmsSigner::new(kms, secrets, prefix).unwrap_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_people_store_is_read_again_after_some_minutes_and_may_be_missing() {
    let aws = Aws::start().await;
    let clock = FixedClock::default();
    let secrets = aws.clients.secrets.clone();
    let name = "kintsugi/dev/forge";
    let secret = SecretText::new(secrets.clone(), name, Arc::new(clock.clone()));
    assert_eq!(secret.read().await.unwrap(), None);
    let create = secrets.create_secret().name(name).secret_string("one");
    create.send().await.unwrap();
    assert_eq!(secret.read().await.unwrap(), None, "what was read is kept");
    clock.advance(Duration::from_mins(5));
    assert_eq!(secret.read().await.unwrap().as_deref(), Some("one"));
    let put = secrets.put_secret_value().secret_id(name);
    put.secret_string("two").send().await.unwrap();
    assert_eq!(secret.clone().read().await.unwrap().as_deref(), Some("one"));
    clock.advance(Duration::from_mins(5));
    assert_eq!(secret.read().await.unwrap().as_deref(), Some("two"));
    assert!(!format!("{secret:?}").contains("two"));
}
