//! What [`Signer`] promises.

#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{KeyName, KeyUse, Signer};
use p384::ecdsa::signature::Verifier;
use p384::ecdsa::{Signature, VerifyingKey};
use p384::pkcs8::DecodePublicKey;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Every promise, each on a fresh port.
pub async fn all(fresh: impl AsyncFn() -> Arc<dyn Signer>) {
    signatures_verify_with_the_public_key(&*fresh().await).await;
    signing_first_makes_the_key(&*fresh().await).await;
    keys_and_secrets_are_stable(&*fresh().await).await;
    different_names_have_different_keys_and_secrets(&*fresh().await).await;
    first_uses_at_once_agree_on_one_key(fresh().await).await;
}

fn name(project: u32, key_use: KeyUse) -> KeyName {
    KeyName {
        project: ProjectId(project),
        key_use,
    }
}

fn verifies(pem: &str, message: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::from_public_key_pem(pem).unwrap();
    let signature = Signature::from_der(signature).unwrap();
    key.verify(message, &signature).is_ok()
}

/// A signature is DER, verifies with the PEM key, and only for its message and key.
pub async fn signatures_verify_with_the_public_key(signer: &dyn Signer) {
    let key = name(1, KeyUse::Targets(1));
    let pem = signer.public_key(&key).await.unwrap();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----"), "{pem}");
    let signature = signer.sign(&key, b"message").await.unwrap();
    assert!(verifies(&pem, b"message", &signature));
    assert!(!verifies(&pem, b"another message", &signature));
    let other = signer
        .public_key(&name(1, KeyUse::Snapshot(1)))
        .await
        .unwrap();
    assert!(!verifies(&other, b"message", &signature));
}

/// A key that was never asked for signs, and its public key fits that signature.
pub async fn signing_first_makes_the_key(signer: &dyn Signer) {
    let key = name(1, KeyUse::Timestamp(1));
    let signature = signer.sign(&key, b"early").await.unwrap();
    let pem = signer.public_key(&key).await.unwrap();
    assert!(verifies(&pem, b"early", &signature));
}

/// The same name is the same key and the same secret, each time.
pub async fn keys_and_secrets_are_stable(signer: &dyn Signer) {
    let key = name(1, KeyUse::Root(0));
    let pem = signer.public_key(&key).await.unwrap();
    assert_eq!(signer.public_key(&key).await.unwrap(), pem);
    let tickets = name(1, KeyUse::Tickets);
    let secret = signer.secret(&tickets).await.unwrap();
    assert_eq!(signer.secret(&tickets).await.unwrap(), secret);
}

/// No two names share a key or a secret: neither two uses nor two projects.
pub async fn different_names_have_different_keys_and_secrets(signer: &dyn Signer) {
    let (mut pems, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    let uses = [
        KeyUse::Root(0),
        KeyUse::Root(1),
        KeyUse::Targets(1),
        KeyUse::Snapshot(1),
        KeyUse::Timestamp(1),
        KeyUse::Targets(2),
        KeyUse::Snapshot(2),
        KeyUse::Timestamp(2),
        KeyUse::Timestamp(3),
        KeyUse::Tokens(1),
        KeyUse::Tokens(2),
    ];
    for key_use in uses {
        for project in [1, 11] {
            let key = name(project, key_use);
            assert!(pems.insert(signer.public_key(&key).await.unwrap()), "{key}");
        }
    }
    for key_use in [
        KeyUse::Tickets,
        KeyUse::Users,
        KeyUse::Leases,
        KeyUse::Batches(1),
        KeyUse::Batches(2),
    ] {
        for project in [1, 11] {
            let key = name(project, key_use);
            assert!(secrets.insert(signer.secret(&key).await.unwrap()), "{key}");
        }
    }
}

/// Many first uses at once make one key: everybody gets the same one.
pub async fn first_uses_at_once_agree_on_one_key(signer: Arc<dyn Signer>) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let signer = Arc::clone(&signer);
        tasks.spawn(async move {
            let pem = signer
                .public_key(&name(3, KeyUse::Targets(1)))
                .await
                .unwrap();
            (pem, signer.secret(&name(3, KeyUse::Tickets)).await.unwrap())
        });
    }
    let mut seen = BTreeSet::new();
    while let Some(ended) = tasks.join_next().await {
        seen.insert(ended.unwrap());
    }
    assert_eq!(seen.len(), 1, "first uses at once made several keys");
}
