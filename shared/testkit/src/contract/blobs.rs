//! What [`Blobs`] promises.

#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_domain::digest::Digest;
use kintsugi_domain::ports::{Blobs, PortError};
use std::sync::Arc;
use std::time::Duration;

/// For how long links are asked for.
const LIFE: Duration = Duration::from_mins(15);

/// Every promise, each on a fresh port.
pub async fn all(fresh: impl AsyncFn() -> Arc<dyn Blobs>) {
    content_comes_back_whole(&*fresh().await).await;
    what_was_never_put_is_nothing(&*fresh().await).await;
    putting_again_replaces(&*fresh().await).await;
    content_longer_than_asked_for_is_refused(&*fresh().await).await;
    hostile_keys_are_refused(&*fresh().await).await;
    links_are_for_both_ways_or_for_none(&*fresh().await).await;
    readers_see_all_of_a_version_or_nothing(fresh().await).await;
}

/// Who has links has them for both ways, and they name the blob; what a link does is for the adapter's own tests.
pub async fn links_are_for_both_ways_or_for_none(blobs: &dyn Blobs) {
    blobs.put("a/b", b"x".to_vec()).await.unwrap();
    let content = (Digest::of(b"x"), 1);
    let links = [
        blobs.download_link("a/b", LIFE).await.unwrap(),
        blobs.upload_link("a/b", content, LIFE).await.unwrap(),
    ];
    let [Some(down), Some(up)] = links else {
        assert_eq!(links, [None, None]);
        return;
    };
    for link in [&down, &up] {
        assert!(link.url.contains("/a/b?"), "{}", link.url);
    }
    assert_ne!(down.url, up.url);
}

/// Content comes back byte for byte, with its length, also when it is empty.
pub async fn content_comes_back_whole(blobs: &dyn Blobs) {
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for (key, content) in [("a/b-c_d/e.f@1+2", content), ("empty", Vec::new())] {
        blobs.put(key, content.clone()).await.unwrap();
        let found = blobs.get(key, content.len()).await.unwrap();
        assert!(found == Some(content.clone()), "{key} came back changed");
        let length = content.len() as u64;
        assert_eq!(blobs.length(key).await.unwrap(), Some(length));
        let digest = Some((Digest::of(&content), length));
        assert_eq!(blobs.digest(key).await.unwrap(), digest, "{key}");
    }
}

/// A key that was never put has no content and no length; nor has the folder of a key.
pub async fn what_was_never_put_is_nothing(blobs: &dyn Blobs) {
    blobs.put("folder/leaf", b"x".to_vec()).await.unwrap();
    for key in ["nothing", "no/thing", "folder", "folder/leaf/below"] {
        assert_eq!(blobs.get(key, 100).await.unwrap(), None, "{key}");
        assert_eq!(blobs.length(key).await.unwrap(), None, "{key}");
        assert_eq!(blobs.digest(key).await.unwrap(), None, "{key}");
    }
}

/// The last put wins, longer or shorter.
pub async fn putting_again_replaces(blobs: &dyn Blobs) {
    for content in ["first", "second, and longer", "3rd"] {
        blobs.put("key", content.into()).await.unwrap();
        let found = blobs.get("key", 100).await.unwrap();
        assert_eq!(found, Some(content.into()));
        let digest = blobs.digest("key").await.unwrap().unwrap().0;
        assert_eq!(digest, Digest::of(content.as_bytes()));
    }
}

/// Content longer than the reader allows is refused for good, not cut; the exact length is allowed.
pub async fn content_longer_than_asked_for_is_refused(blobs: &dyn Blobs) {
    blobs.put("key", vec![7; 1_000]).await.unwrap();
    let refused = blobs.get("key", 999).await;
    assert!(
        matches!(refused, Err(PortError::Broken { .. })),
        "{refused:?}"
    );
    assert!(blobs.get("key", 1_000).await.unwrap().is_some());
}

/// Keys that could leave the place of the blobs, or mean two things, are refused for good by every call.
pub async fn hostile_keys_are_refused(blobs: &dyn Blobs) {
    let long = "k".repeat(10_000);
    let hostile = [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../x",
        "a/../b",
        "a/..",
        ".",
        "a/./b",
        "a//b",
        "a/",
        "a\\b",
        "a\0b",
        "a b",
        "a\nb",
        "ä",
        "a:b",
        "~",
        "a*",
        &long,
    ];
    for key in hostile {
        let put = blobs.put(key, b"x".to_vec()).await;
        assert!(
            matches!(put, Err(PortError::Broken { .. })),
            "put {key:?}: {put:?}"
        );
        let got = blobs.get(key, 10).await;
        assert!(
            matches!(got, Err(PortError::Broken { .. })),
            "get {key:?}: {got:?}"
        );
        let length = blobs.length(key).await;
        assert!(
            matches!(length, Err(PortError::Broken { .. })),
            "length {key:?}: {length:?}"
        );
        let digest = blobs.digest(key).await;
        assert!(
            matches!(digest, Err(PortError::Broken { .. })),
            "digest {key:?}: {digest:?}"
        );
        let content = (Digest::of(b"x"), 1);
        for link in [
            blobs.download_link(key, LIFE).await,
            blobs.upload_link(key, content, LIFE).await,
        ] {
            assert!(
                matches!(link, Err(PortError::Broken { .. })),
                "link {key:?}: {link:?}"
            );
        }
    }
}

/// While writers replace a blob, a reader sees one whole version of it.
pub async fn readers_see_all_of_a_version_or_nothing(blobs: Arc<dyn Blobs>) {
    const LENGTH: usize = 200_000;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..4_u8 {
        let blobs = Arc::clone(&blobs);
        tasks.spawn(async move {
            for _ in 0..5 {
                blobs.put("shared", vec![writer; LENGTH]).await.unwrap();
            }
        });
    }
    for _ in 0..4 {
        let blobs = Arc::clone(&blobs);
        tasks.spawn(async move {
            for _ in 0..20 {
                if let Some(content) = blobs.get("shared", LENGTH).await.unwrap() {
                    let whole = content.len() == LENGTH
                        && content.iter().all(|b| Some(b) == content.first());
                    assert!(whole, "a reader saw a mixture of {} bytes", content.len());
                }
                tokio::task::yield_now().await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}
