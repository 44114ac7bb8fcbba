//! Links to blobs, followed by somebody who has nothing but the link. Whether S3 refuses what a link does not allow is not
//! shown here: the emulator lets it pass. What the links say is shown beside the code.

#![expect(clippy::unwrap_used, reason = "test code")]

use crate::common::Aws;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::ports::{Blobs, Link};
use std::time::Duration;

const KEY: &str = "tuf/1/targets/0.till-1.0.0.tar.zst";
const LIFE: Duration = Duration::from_mins(15);

/// What the link gets, with its headers and nothing else.
fn follow(link: &Link) -> Vec<u8> {
    let mut request = ureq::get(&link.url);
    for (name, value) in link.headers.iter().filter(|(name, _)| name != "host") {
        request = request.header(name, value);
    }
    let mut answer = request.call().unwrap();
    answer.body_mut().read_to_vec().unwrap()
}

/// Puts content by a link.
fn put(link: &Link, content: &[u8]) {
    let mut request = ureq::put(&link.url);
    let said = |name: &str| name == "host" || name == "content-length";
    for (name, value) in link.headers.iter().filter(|(name, _)| !said(name)) {
        request = request.header(name, value);
    }
    assert!(request.send(content).unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_link_puts_and_gets_content_without_any_other_right() {
    let aws = Aws::start().await;
    let blobs = aws.bucket().await;
    let content: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let announced = (Digest::of(&content), content.len() as u64);
    let up = blobs.upload_link(KEY, announced, LIFE).await.unwrap();
    let (up, sent) = (up.unwrap(), content.clone());
    tokio::task::spawn_blocking(move || put(&up, &sent))
        .await
        .unwrap();
    assert_eq!(blobs.digest(KEY).await.unwrap(), Some(announced));
    let down = blobs.download_link(KEY, LIFE).await.unwrap().unwrap();
    let found = tokio::task::spawn_blocking(move || follow(&down)).await;
    assert!(found.unwrap() == content);
}
