//! Install reports: what a ticket lets a device say.

use crate::home::{Answer, Home, PROJECT, home};
use kintsugi_domain::cohort::Arm;
use kintsugi_domain::envelope::{Message, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::outcome::{Outcome, Progress};
use kintsugi_domain::ports::Clock as _;
use kintsugi_trust::ticket::Ticket;
use semver::Version;
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

fn ticket(home: &Home, project: ProjectId) -> Ticket {
    Ticket {
        project,
        rollout: "rollout-new".parse().unwrap(),
        version: Version::new(1, 1, 0),
        device: "device-1".parse().unwrap(),
        arm: Arm::New,
        issued_at: home.clock.now(),
    }
}

async fn sealed(home: &Home) -> String {
    let secret = home.ticket_secret().await;
    ticket(home, PROJECT).seal(&secret).unwrap()
}

fn report(ticket: &str, progress: &Value) -> Value {
    json!({
        "format": 1,
        "ticket": ticket,
        "progress": progress,
        "duration_ms": 1_500,
        "system": {"platform": "linux"},
    })
}

async fn send(home: &Home, report: &Value) -> Answer {
    home.post("/v1/1/outcomes", &[], report.to_string()).await
}

async fn installs(home: &Home) -> Vec<Outcome> {
    let waiting = home.handed_on(Queue::Outcomes).await;
    let outcomes = waiting.into_iter().map(|envelope| {
        let Message::Install { outcome } = envelope.message else {
            panic!("{envelope:?}");
        };
        outcome
    });
    outcomes.collect()
}

#[tokio::test]
async fn a_report_becomes_the_outcome_that_its_ticket_says() {
    let home = home().await;
    let ticket = sealed(&home).await;
    let answer = send(&home, &report(&ticket, &json!({"type": "healthy"}))).await;
    assert_eq!(answer.status, 202);
    let expected = Outcome {
        project: PROJECT,
        rollout: "rollout-new".parse().unwrap(),
        version: Version::new(1, 1, 0),
        device: "device-1".parse().unwrap(),
        arm: Arm::New,
        progress: Progress::Healthy,
        at: home.clock.now(),
        duration_ms: 1_500,
    };
    assert_eq!(installs(&home).await, [expected]);
    assert_eq!(home.counter(1, "outcomes").await["accepted"], 1);
}

#[tokio::test]
async fn a_report_that_is_sent_again_later_is_the_same_message() {
    let home = home().await;
    let ticket = sealed(&home).await;
    let report = report(&ticket, &json!({"type": "started"}));
    assert_eq!(send(&home, &report).await.status, 202);
    home.clock.advance(Duration::from_mins(1));
    assert_eq!(send(&home, &report).await.status, 202);
    assert_eq!(installs(&home).await.len(), 1);
}

#[tokio::test]
async fn the_words_of_a_device_are_scrubbed_and_cut() {
    let home = home().await;
    let ticket = sealed(&home).await;
    let error = format!("no such file: /home/alice/till.db {}", "x".repeat(5_000));
    let failed = json!({"type": "failed", "step": "health", "error": error});
    assert_eq!(send(&home, &report(&ticket, &failed)).await.status, 202);
    let outcome = installs(&home).await.remove(0);
    let Progress::Failed { step, error } = outcome.progress else {
        panic!("{outcome:?}");
    };
    assert_eq!(step, "health");
    assert!(!error.contains("alice"), "{error}");
    assert_eq!(error.chars().count(), 2_000);
}

#[tokio::test]
async fn only_a_ticket_of_an_offer_that_was_made_counts() {
    let home = home().await;
    let secret = home.ticket_secret().await;
    let good = sealed(&home).await;
    let (body, mac) = good.split_once('.').unwrap();
    let mut old = ticket(&home, PROJECT);
    old.issued_at = old.issued_at.saturating_sub(31 * DAY).unwrap();
    let mut early = ticket(&home, PROJECT);
    early.issued_at = early.issued_at.saturating_add(DAY).unwrap();
    let mut other = ticket(&home, PROJECT);
    other.device = "device-2".parse().unwrap();
    let other = other.seal(&secret).unwrap();
    let (other_body, _) = other.split_once('.').unwrap();
    let of_another_project = ticket(&home, ProjectId(2)).seal(&secret).unwrap();
    let strangers = ticket(&home, PROJECT).seal(&[7; 32]).unwrap();
    let flipped = if mac.starts_with('A') { 'B' } else { 'A' };
    let rest: String = mac.chars().skip(1).collect();
    let tampered = format!("{body}.{flipped}{rest}");
    for (ticket, status, code) in [
        (strangers, 403, "ticket.forged"),
        (tampered, 403, "ticket.forged"),
        (format!("{other_body}.{mac}"), 403, "ticket.forged"),
        (old.seal(&secret).unwrap(), 403, "ticket.too_old"),
        (early.seal(&secret).unwrap(), 403, "ticket.not_yet"),
        (of_another_project, 403, "ticket.other_project"),
        (String::new(), 400, "ticket.malformed"),
        ("x".repeat(5_000), 400, "ticket.malformed"),
    ] {
        let answer = send(&home, &report(&ticket, &json!({"type": "healthy"}))).await;
        answer.is_problem(status, code);
    }
    assert!(installs(&home).await.is_empty());
    let counted = home.counter(1, "outcomes").await;
    assert_eq!(counted["refused/ticket.forged"], 3);
    assert_eq!(counted["refused/ticket.too_old"], 1);
    assert!(!counted.contains_key("accepted"));
}

#[tokio::test]
async fn a_body_that_is_no_report_is_refused() {
    let home = home().await;
    let ticket = sealed(&home).await;
    let good = report(&ticket, &json!({"type": "healthy"}));
    let mut unknown_format = good.clone();
    unknown_format["format"] = 2.into();
    let mut extra = good.clone();
    extra["arm"] = "control".into();
    for body in [
        String::new(),
        "[]".to_owned(),
        "{".to_owned(),
        good.to_string().replace("healthy", "sick"),
        unknown_format.to_string(),
        extra.to_string(),
        "[".repeat(60_000),
    ] {
        let answer = home.post("/v1/1/outcomes", &[], body).await;
        answer.is_problem(400, "outcome.malformed");
    }
    let large = home.post("/v1/1/outcomes", &[], vec![b' '; 64 * 1024 + 1]);
    large.await.is_problem(413, "outcome.too_large");
    assert!(installs(&home).await.is_empty());
    assert_eq!(
        home.counter(1, "outcomes").await["refused/outcome.malformed"],
        7
    );
}

#[tokio::test]
async fn a_device_cannot_report_its_own_silence() {
    let home = home().await;
    let ticket = sealed(&home).await;
    let answer = send(&home, &report(&ticket, &json!({"type": "silent"}))).await;
    answer.is_problem(400, "outcome.silent");
    assert!(installs(&home).await.is_empty());
}

#[tokio::test]
async fn an_unknown_project_is_refused_and_counted_under_zero() {
    let home = home().await;
    let ticket = sealed(&home).await;
    let body = report(&ticket, &json!({"type": "healthy"})).to_string();
    for project in ["2", "0", "till", "4294967296"] {
        let path = format!("/v1/{project}/outcomes");
        let answer = home.post(&path, &[], body.clone()).await;
        answer.is_problem(404, "project.unknown");
    }
    let counted = home.counter(0, "outcomes").await;
    assert_eq!(counted["refused/project.unknown"], 4);
}
