//! Hosts that lie, break off, or are no git hosts at all.

use crate::common::{git, product, proposal};
use kintsugi_adapters_git::{HttpForge, NoCredentials};
use kintsugi_domain::ports::{Forge, PortError};
use kintsugi_testkit::git_http::{Answer, Asked, GitHttp};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// A real host whose answers are changed on their way, and the head of its `till.git`.
fn liar(
    change: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
) -> (TempDir, GitHttp, String) {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    product(&work);
    let bare = folder.path().join("till.git");
    git(
        &work,
        &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()],
    );
    git(&bare, &["config", "uploadpack.allowFilter", "true"]);
    let head = git(&bare, &["rev-parse", "main"]);
    let host = GitHttp::of(folder.path()).changing(change).serve().unwrap();
    (folder, host, head)
}

fn forge() -> HttpForge {
    HttpForge::new(Arc::new(NoCredentials))
}

fn is_fetch(asked: &Asked) -> bool {
    let fetch = b"command=fetch";
    asked.body.windows(fetch.len()).any(|it| it == fetch)
}

fn with_body(mut answer: Answer, change: impl FnOnce(&mut Vec<u8>)) -> Answer {
    change(&mut answer.body);
    answer
}

#[tokio::test]
async fn an_answer_that_is_cut_anywhere_is_an_error_and_not_a_shorter_truth() {
    let keep = Arc::new(AtomicUsize::new(usize::MAX));
    let limit = Arc::clone(&keep);
    let (_folder, host, head) = liar(move |_, answer| {
        with_body(answer, |body| body.truncate(limit.load(Ordering::SeqCst)))
    });
    let url = host.url("till.git");
    let whole = forge().file(&url, &head, "app.py").await.unwrap();
    assert!(whole.is_some());
    for length in (0..600).step_by(19) {
        keep.store(length, Ordering::SeqCst);
        let found = forge().file(&url, &head, "app.py").await;
        assert!(
            found.as_ref().is_ok_and(|it| *it == whole) || found.is_err(),
            "{length}: {found:?}"
        );
        let tip = forge().head(&url, "main").await;
        assert!(
            tip.as_ref().is_ok_and(|it| *it == head) || tip.is_err(),
            "{length}: {tip:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_changed_anywhere_gives_no_other_file() {
    let place = Arc::new(AtomicUsize::new(usize::MAX));
    let at = Arc::clone(&place);
    let (_folder, host, head) = liar(move |asked, answer| {
        if !is_fetch(asked) {
            return answer;
        }
        with_body(answer, |body| {
            if let Some(byte) = body.get_mut(at.load(Ordering::SeqCst)) {
                *byte ^= 0x04;
            }
        })
    });
    let url = host.url("till.git");
    let whole = forge().file(&url, &head, "app.py").await.unwrap();
    let mut errors = 0;
    for changed in (0..500).step_by(7) {
        place.store(changed, Ordering::SeqCst);
        match forge().file(&url, &head, "app.py").await {
            Ok(found) => assert_eq!(found, whole, "changed at {changed}"),
            Err(_) => errors += 1,
        }
    }
    assert!(errors > 20, "{errors}");
}

#[tokio::test]
async fn a_pack_without_what_was_asked_for_proves_nothing() {
    let empty = empty_pack();
    let (_folder, host, head) = liar(move |asked, answer| {
        if is_fetch(asked) {
            return with_body(answer, |body| *body = empty.clone());
        }
        answer
    });
    let url = host.url("till.git");
    let found = forge().file(&url, &head, "app.py").await;
    assert!(matches!(found, Err(PortError::Broken { .. })), "{found:?}");
    let proposed = forge().propose(&proposal(&url, &head, &[("x", "y")])).await;
    assert!(
        matches!(proposed, Err(PortError::Broken { .. })),
        "{proposed:?}"
    );
    // Nothing between a commit and the tip, and no commit either: not landed.
    let strange = "0123456789012345678901234567890123456789";
    let landed = forge().land(&url, "main", strange, "v1.0.1").await;
    assert!(
        matches!(landed, Err(PortError::Broken { .. })),
        "{landed:?}"
    );
}

#[tokio::test]
async fn what_a_host_says_is_held_is_landed_only_when_it_is_a_commit() {
    let empty = empty_pack();
    let (folder, host, head) = liar(move |asked, answer| {
        if is_fetch(asked) && String::from_utf8_lossy(&asked.body).contains("have ") {
            return with_body(answer, |body| *body = empty.clone());
        }
        answer
    });
    let (url, bare) = (host.url("till.git"), folder.path().join("till.git"));
    let tree = git(&bare, &["rev-parse", "main^{tree}"]);
    let landed = forge().land(&url, "main", &tree, "v1.0.1").await;
    assert!(
        matches!(landed, Err(PortError::Broken { .. })),
        "{landed:?}"
    );
    assert_eq!(git(&bare, &["tag"]), "");
    assert!(forge().land(&url, "main", &head, "v1.0.1").await.unwrap());
}

fn line(content: &[u8]) -> Vec<u8> {
    let length = content.len() + 4;
    [format!("{length:04x}").as_bytes(), content].concat()
}

/// An answer with a pack of nothing.
fn empty_pack() -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02\0\0\0\0".to_vec();
    let mut hasher = gix_hash::hasher(gix_hash::Kind::Sha1);
    hasher.update(&pack);
    pack.extend_from_slice(hasher.try_finalize().unwrap().as_slice());
    let band = [&[1], &*pack].concat();
    [line(b"packfile\n"), line(&band), b"0000".to_vec()].concat()
}

#[tokio::test]
async fn what_does_not_end_is_not_read_to_its_end() {
    let refs = line(b"0123456789012345678901234567890123456789 refs/heads/other\n");
    let refs = refs.repeat(200_000);
    let ability = line(b"some-ability=some-value\n").repeat(10_000);
    let remark = line(b"\x02counting objects").repeat(10_000);
    let (_folder, host, head) = liar(move |asked, answer| {
        with_body(answer, |body| {
            if asked.path.ends_with("/refs") && asked.path.contains("/many/") {
                *body = ability.clone();
            } else if is_fetch(asked) {
                *body = [line(b"packfile\n"), remark.clone()].concat();
            } else if !asked.body.is_empty() {
                *body = refs.clone();
            }
        })
    });
    let url = host.url("till.git");
    let tip = forge().head(&url, "main").await.unwrap_err();
    assert!(tip.to_string().contains("too large"), "{tip}");
    // Remarks alone are no pack.
    assert!(forge().file(&url, &head, "app.py").await.is_err());
}

#[tokio::test]
async fn a_web_page_is_not_a_git_host() {
    let (_folder, host, head) = liar(|_, mut answer| {
        answer.headers = vec![("Content-Type".to_owned(), "text/html".to_owned())];
        answer.body = b"<html>Sign in</html>".to_vec();
        answer
    });
    let url = host.url("till.git");
    for error in [
        forge().head(&url, "main").await.unwrap_err(),
        forge().land(&url, "main", &head, "v1").await.unwrap_err(),
    ] {
        assert!(!error.is_transient());
        assert!(error.to_string().contains("smart HTTP"), "{error}");
    }
}

#[tokio::test]
async fn a_host_of_an_older_protocol_is_named_as_such() {
    let (_folder, host, _) = liar(|_, answer| {
        with_body(answer, |body| {
            let text = String::from_utf8_lossy(body).replace("version 2", "version 1");
            *body = text.into_bytes();
        })
    });
    let error = forge()
        .head(&host.url("till.git"), "main")
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("version 2 of git's protocol"),
        "{error}"
    );
}

#[tokio::test]
async fn a_push_counts_only_when_the_host_says_so() {
    for report in [
        b"".to_vec(),
        b"0000".to_vec(),
        line(b"unpack ok\n"),
        [line(b"unpack ok\n"), b"0000".to_vec()].concat(),
        [
            line(b"unpack ok\n"),
            line(b"ok refs/heads/other\n"),
            b"0000".to_vec(),
        ]
        .concat(),
        [line(b"unpack disk full\n"), b"0000".to_vec()].concat(),
        b"zzzz".to_vec(),
    ] {
        for banded in [true, false] {
            let band = line(&[&[1], &*report].concat());
            let body = if banded {
                [band, b"0000".to_vec()].concat()
            } else {
                report.clone()
            };
            let (_folder, host, head) = liar(move |asked, mut answer| {
                if asked.path.ends_with("/git-receive-pack") {
                    answer.body = body.clone();
                }
                answer
            });
            let url = host.url("till.git");
            let landed = forge().land(&url, "main", &head, "v1.0.1").await;
            // The real host did it: who looks again sees it.
            assert!(!matches!(landed, Ok(false)), "{report:?}: {landed:?}");
            let again = forge().land(&url, "main", &head, "v1.0.1").await;
            assert!(again.unwrap());
        }
    }
}
