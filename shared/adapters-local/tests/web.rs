//! Documents of other services: what is read, what is remembered, what is refused.

#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_adapters_local::WebDocuments;
use kintsugi_domain::limits::WEB_DOCUMENT_BYTES_MAX;
use kintsugi_domain::ports::Web;
use kintsugi_testkit::memory::FixedClock;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A server of this machine that answers each request with the next of `answers`; the last one again and again.
fn server(answers: Vec<(&'static str, Vec<u8>)>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for line in lines {
                if line.unwrap().is_empty() {
                    break;
                }
            }
            let place = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let (head, body) = answers.get(place).unwrap();
            let length = body.len();
            let head =
                format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            // The reader goes away where it has seen enough.
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(body);
        }
    });
    (url, count)
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_document_is_read_once_and_again_when_it_is_too_old() {
    let (url, count) = server(vec![
        ("200 OK", b"one".to_vec()),
        ("200 OK", b"two".to_vec()),
    ]);
    let clock = FixedClock::default();
    let web = WebDocuments::new(Arc::new(clock.clone()));
    assert_eq!(web.document(&url, MINUTE).await.unwrap(), b"one");
    clock.advance(MINUTE);
    assert_eq!(web.clone().document(&url, MINUTE).await.unwrap(), b"one");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let young = Duration::from_secs(59);
    assert_eq!(web.document(&url, young).await.unwrap(), b"two");
}

#[tokio::test]
async fn what_is_too_long_or_elsewhere_or_missing_is_no_document() {
    let web = WebDocuments::new(Arc::new(FixedClock::default()));
    let (url, _) = server(vec![("200 OK", vec![b' '; WEB_DOCUMENT_BYTES_MAX + 1])]);
    let error = web.document(&url, MINUTE).await.unwrap_err();
    assert!(
        !error.is_transient() && error.to_string().contains("longer"),
        "{error}"
    );
    let (whole, _) = server(vec![("200 OK", vec![b' '; WEB_DOCUMENT_BYTES_MAX])]);
    web.document(&whole, MINUTE).await.unwrap();

    let (target, count) = server(vec![("200 OK", b"secret".to_vec())]);
    let head = format!("302 Found\r\nlocation: {target}");
    let (url, _) = server(vec![(Box::leak(head.into_boxed_str()), Vec::new())]);
    let error = web.document(&url, MINUTE).await.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("302"),
        "{error}"
    );
    assert_eq!(count.load(Ordering::SeqCst), 0, "the redirect was followed");
    let (url, _) = server(vec![("503 Busy", Vec::new()), ("200 OK", b"x".to_vec())]);
    assert!(web.document(&url, MINUTE).await.is_err());
    assert_eq!(
        web.document(&url, MINUTE).await.unwrap(),
        b"x",
        "a failure is not remembered"
    );
}

#[tokio::test]
async fn other_machines_are_asked_over_https_only() {
    let web = WebDocuments::new(Arc::new(FixedClock::default()));
    for url in [
        "http://login.example/keys",
        "http://127.0.0.1.login.example/keys",
        "http://127.0.0.1@login.example/keys",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://127.0.0.1/keys",
        "keys",
    ] {
        let error = web.document(url, MINUTE).await.unwrap_err();
        assert!(!error.is_transient(), "{url}: {error}");
    }
}
