//! Sealed batches, as a reporter sees them.

use crate::home::{Home, KEY, home};
use kintsugi_domain::accounting::Category;
use kintsugi_domain::envelope::{Message, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::Clock as _;
use kintsugi_trust::batch::{BATCH_FORMAT, BatchHeader, BatchKey, Compression, seal};
use serde_json::{Value, json};
use std::io::Write as _;

async fn keys(home: &Home) -> Vec<Value> {
    let answer = home.get("/v1/1/batch-keys").await;
    assert_eq!(answer.status, 200);
    answer.json()["keys"].as_array().unwrap().clone()
}

async fn sealed(home: &Home, id: &str) -> Vec<u8> {
    let key: BatchKey = keys(home).await[0]["key"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let header = BatchHeader {
        format: BATCH_FORMAT,
        project: ProjectId(1),
        key: key.id().to_owned(),
        batch: id.parse().unwrap(),
        created: home.clock.now(),
        compression: Compression::Gzip,
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let report = json!({"kind": "error", "message": "till is stuck"});
    writeln!(encoder, "{report}").unwrap();
    seal(&header, &encoder.finish().unwrap(), &key, [7; 48]).unwrap()
}

#[tokio::test]
async fn a_sealed_batch_is_taken_once() {
    let home = home().await;
    let body = sealed(&home, "b1").await;
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", bearer.as_str())];
    let answer = home.post("/v1/1/batches", &headers, body.clone()).await;
    assert_eq!(answer.status, 200);
    let expected = json!({"batch": "b1", "events": 1, "counted": 0, "dropped": 0, "refused": {}});
    assert_eq!(answer.json(), expected);
    let again = home.post("/v1/1/batches", &headers, body).await;
    again.is_problem(409, "REPLAYED");
    let waiting = home.handed_on(Queue::Events).await;
    let [envelope] = waiting.as_slice() else {
        panic!("{waiting:?}");
    };
    let Message::Reported { events } = &envelope.message else {
        panic!("{envelope:?}");
    };
    let event = events[0].event().unwrap();
    assert_eq!(event.message.as_deref(), Some("till is stuck"));
}

#[tokio::test]
async fn a_batch_without_a_quota_is_a_problem_that_says_when_to_come_again() {
    let home = home().await;
    home.limit(Category::Error, 1).await;
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", bearer.as_str())];
    let answer = home
        .post("/v1/1/batches", &headers, sealed(&home, "b1").await)
        .await;
    assert_eq!(answer.json()["events"], 1);
    let limited = home
        .post("/v1/1/batches", &headers, sealed(&home, "b2").await)
        .await;
    limited.is_problem(429, "RATE_LIMITED");
    assert_eq!(limited.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn refusals_are_problems_with_codes_that_a_reporter_knows() {
    let home = home().await;
    let body = sealed(&home, "b1").await;
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", bearer.as_str())];
    let stranger = home.post("/v1/1/batches", &[], body.clone()).await;
    stranger.is_problem(403, "WRONG_KEY");
    let nowhere = home.post("/v1/x/batches", &headers, body.clone()).await;
    nowhere.is_problem(403, "WRONG_KEY");
    let plain = home.post("/v1/1/batches", &headers, "{}").await;
    plain.is_problem(400, "MALFORMED");
    let mut damaged = body.clone();
    damaged.pop();
    let damaged = home.post("/v1/1/batches", &headers, damaged).await;
    damaged.is_problem(400, "INVALID_CHECKSUM");
    let text = String::from_utf8_lossy(&body).into_owned();
    let id = keys(&home).await[0]["id"].as_str().unwrap().to_owned();
    assert!(text.contains(&id), "the key's id is in the clear");
    assert!(!text.contains("stuck"));
    home.get("/v1/9/batch-keys")
        .await
        .is_problem(404, "project.unknown");
}
