//! Alerts mailed through SES: what the emulator takes, and every byte of what it is asked.

#![expect(clippy::unwrap_used, reason = "test code")]

use crate::common::Aws;
use kintsugi_adapters_aws::{Mail, MailNotifier};
use kintsugi_domain::Timestamp;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::config::AlertChannel;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Notifier, PortError};
use kintsugi_testkit::memory::MemoryNotifier;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

fn alert() -> Alert {
    Alert::new(
        ProjectId(3),
        Urgency::Warning,
        "issue.needs_human",
        &"i-1",
        "“no such user: ada@example.org\r\nBcc: eve@example.net” needs a person: no rule fits",
        Timestamp::UNIX_EPOCH,
    )
}

fn mail() -> Mail {
    Mail {
        from: "kintsugi@example.org".to_owned(),
        to: vec!["ops@example.org".to_owned(), "dev@example.org".to_owned()],
        home: Some("https://home.example.org".to_owned()),
    }
}

const SUBJECT: &str = "Kintsugi warning: the home found no fix that it can prove, project 3";

fn text() -> String {
    format!(
        "Project 3: the home found no fix that it can prove.\n\nwarning, issue.needs_human\nraised at 1970-01-01T00:00:00Z\n\
         alert {}\n\nhttps://home.example.org/console/projects/3/alerts\n",
        alert().id
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_mailed_to_those_whom_the_home_names_and_to_nobody_else() {
    let aws = Aws::start().await;
    let webhooks = MemoryNotifier::default();
    let others = Arc::new(webhooks.clone());
    let notifier = MailNotifier::new(aws.clients.ses.clone(), Some(mail()), others);
    // An identity may be verified while the alert waits.
    let unverified = notifier.notify(&AlertChannel::Mail, &alert()).await;
    let unverified = unverified.unwrap_err();
    assert!(unverified.is_transient(), "{unverified}");
    assert!(unverified.to_string().contains("not verified"));
    let identity = aws.clients.ses.create_email_identity();
    let identity = identity.email_identity("example.org");
    identity.send().await.unwrap();
    let sent = notifier.notify(&AlertChannel::Mail, &alert()).await;
    sent.unwrap();
    assert!(webhooks.delivered().is_empty());

    let url = format!("{}/_ministack/ses/messages", aws.url);
    let answer = ureq::get(&url).call().unwrap().into_body().read_to_string();
    let answer: Value = serde_json::from_str(&answer.unwrap()).unwrap();
    let mailed: Vec<&Value> = answer["messages"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|of_account| of_account.as_array().unwrap())
        .collect();
    assert_eq!(mailed.len(), 1, "{answer}");
    assert_eq!(mailed[0]["Source"], "kintsugi@example.org");
    assert_eq!(
        mailed[0]["To"],
        json!(["ops@example.org", "dev@example.org"])
    );
    assert_eq!(
        (&mailed[0]["CC"], &mailed[0]["BCC"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(mailed[0]["Subject"], SUBJECT);
    assert_eq!(mailed[0]["BodyText"], text());

    let url = "https://chat.example.org/".to_owned();
    let channel = AlertChannel::Webhook { url };
    notifier.notify(&channel, &alert()).await.unwrap();
    assert_eq!(webhooks.delivered(), [(channel.name(), alert())]);
}

/// One request, its head in one piece and its body, answered with a status and a body; then nobody answers any more.
fn one_answer(
    status: &'static str,
    body: &'static str,
) -> (String, thread::JoinHandle<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(listener);
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let length = head.to_lowercase();
        let length = length.split_once("content-length: ").unwrap().1;
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        let mut content = vec![0; length];
        reader.read_exact(&mut content).unwrap();
        let kind = "content-type: application/json\r\nconnection: close";
        let answer = format!(
            "HTTP/1.1 {status}\r\n{kind}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).unwrap();
        (head, serde_json::from_slice(&content).unwrap())
    });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_holds_nothing_that_reports_brought() {
    let (url, asked) = one_answer("200 OK", r#"{"MessageId": "1"}"#);
    let ses = crate::common::clients(&url).await.ses;
    let notifier = MailNotifier::new(ses, Some(mail()), Arc::new(MemoryNotifier::default()));
    notifier
        .notify(&AlertChannel::Mail, &alert())
        .await
        .unwrap();
    let (head, body) = asked.join().unwrap();
    assert!(
        head.starts_with("POST /v2/email/outbound-emails HTTP/1.1\r\n"),
        "{head}"
    );
    let utf8 = |data: &str| json!({"Data": data, "Charset": "UTF-8"});
    let expected = json!({
        "FromEmailAddress": "kintsugi@example.org",
        "Destination": {"ToAddresses": ["ops@example.org", "dev@example.org"]},
        "Content": {"Simple": {
            "Subject": utf8(SUBJECT),
            "Body": {"Text": utf8(&text())},
            "Headers": [
                {"Name": "X-Kintsugi-Alert", "Value": alert().id},
                {"Name": "Auto-Submitted", "Value": "auto-generated"},
            ],
        }},
    });
    assert_eq!(body, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_whose_fate_is_unknown_is_not_sent_again_by_the_client_and_may_be_by_the_queue() {
    let (url, asked) = one_answer("503 Service Unavailable", "{}");
    let ses = crate::common::clients(&url).await.ses;
    let notifier = MailNotifier::new(ses, Some(mail()), Arc::new(MemoryNotifier::default()));
    let error = notifier
        .notify(&AlertChannel::Mail, &alert())
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error}");
    // Nobody listens any more: a second try would have ended in a refused connection.
    assert!(!error.to_string().contains("onnect"), "{error}");
    asked.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_mails_nobody_says_so_and_a_link_that_is_not_known_is_left_out() {
    let others = Arc::new(MemoryNotifier::default());
    let ses = crate::common::clients("http://127.0.0.1:1").await.ses;
    let notifier = MailNotifier::new(ses, None, others.clone());
    let error: PortError = notifier
        .notify(&AlertChannel::Mail, &alert())
        .await
        .unwrap_err();
    assert!(!error.is_transient(), "{error}");

    let (url, asked) = one_answer("200 OK", r#"{"MessageId": "1"}"#);
    let ses = crate::common::clients(&url).await.ses;
    let notifier = MailNotifier::new(
        ses,
        Some(Mail {
            home: None,
            ..mail()
        }),
        others,
    );
    notifier
        .notify(&AlertChannel::Mail, &alert())
        .await
        .unwrap();
    let (_, body) = asked.join().unwrap();
    let text = body.pointer("/Content/Simple/Body/Text/Data").unwrap();
    let text = text.as_str().unwrap();
    assert!(
        !text.contains("http") && text.contains("kintsugi console"),
        "{text}"
    );
}
