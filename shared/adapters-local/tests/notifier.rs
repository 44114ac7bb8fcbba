//! Webhooks over a real socket.

#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_adapters_local::WebhookNotifier;
use kintsugi_domain::Timestamp;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::config::AlertChannel;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Notifier, PortError};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

/// Answers one request with a status line and returns the request.
fn receiver(status: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut part = [0; 4_096];
        loop {
            let text = String::from_utf8_lossy(&request).to_lowercase();
            let body = text
                .split_once("\r\n\r\n")
                .map(|(head, body)| (head.to_owned(), body.len()));
            if let Some((head, length)) = body {
                let wanted = head.split("content-length: ").nth(1);
                let wanted = wanted.and_then(|rest| rest.split("\r\n").next());
                if wanted.is_some_and(|wanted| wanted.parse::<usize>().unwrap() <= length) {
                    break;
                }
            }
            let read = stream.read(&mut part).unwrap();
            assert_ne!(read, 0, "the request ended early");
            request.extend(part.iter().take(read));
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, thread)
}

fn alert() -> Alert {
    let at = Timestamp::from_second(1_767_603_600).unwrap();
    Alert::new(
        ProjectId(1),
        Urgency::Page,
        "rollout.halted",
        &"r-1",
        "Halted.",
        at,
    )
}

async fn notify(url: String) -> Result<(), PortError> {
    let channel = AlertChannel::Webhook { url };
    WebhookNotifier::new().notify(&channel, &alert()).await
}

#[tokio::test]
async fn an_alert_is_posted_as_json_with_its_id() {
    let (address, thread) = receiver("204 No Content");
    notify(format!("http://{address}/hook/secret"))
        .await
        .unwrap();
    let request = thread.join().unwrap();
    assert!(
        request.starts_with("POST /hook/secret HTTP/1.1\r\n"),
        "{request}"
    );
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let id = format!("idempotency-key: {}", alert().id).to_lowercase();
    assert!(head.to_lowercase().contains(&id), "{head}");
    assert!(
        head.to_lowercase()
            .contains("content-type: application/json"),
        "{head}"
    );
    assert_eq!(serde_json::from_str::<Alert>(body).unwrap(), alert());
}

#[tokio::test]
async fn refusals_are_for_good_and_failures_pass_and_neither_shows_the_path() {
    let answers = [
        ("500 Oops", true),
        ("429 Slow Down", true),
        ("404 Not Found", false),
        ("302 Found", false),
    ];
    for (status, transient) in answers {
        let (address, thread) = receiver(status);
        let error = notify(format!("http://{address}/hook/secret"))
            .await
            .unwrap_err();
        thread.join().unwrap();
        assert_eq!(error.is_transient(), transient, "{status}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn nobody_listening_passes_and_other_schemes_are_refused() {
    let closed = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let error = notify(format!("http://{closed}/")).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    for url in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "127.0.0.1",
        "",
        "http://",
    ] {
        let error = notify(url.to_owned()).await.unwrap_err();
        assert!(!error.is_transient(), "{url}: {error}");
    }
}
