//! Metrics and feedback in forms of our own, as a page sees them.

use crate::home::{KEY, PROJECT, home};
use axum::body::Body;
use axum::http::Request;
use kintsugi_app::records;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::kept::Feedback;
use kintsugi_domain::series::Series;
use serde_json::json;

#[tokio::test]
async fn a_page_sends_metrics_and_feedback_from_another_origin() {
    let home = home().await;
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", bearer.as_str())];
    let metrics = json!({"release": "till@1.0.0", "metrics": [
        {"type": "duration", "name": "export", "values": [12.5]}, {"type": "?"},
    ]});
    let answer = home
        .post("/v1/1/metrics", &headers, metrics.to_string())
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"kept": 1, "dropped": 1}));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    // A page that is closing sends a beacon, which has no headers.
    let path = format!("/v1/1/feedback?sentry_key={KEY}");
    let said = json!({"message": "mail alice@example.org", "kind": "bug"}).to_string();
    let answer = home.post(&path, &[], said).await;
    assert_eq!(answer.json(), json!({"kept": 1, "dropped": 0}));
    let store = home.ports.store.as_ref();
    let kept = records::all::<Feedback>(store, PROJECT, None)
        .await
        .unwrap();
    assert_eq!(kept[0].value.message, "mail [email]");
    let series = records::all::<Series>(store, PROJECT, None).await.unwrap();
    assert_eq!(series.len(), 1);
    let preflight = Request::options("/v1/1/metrics")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST");
    let answer = home.ask(preflight.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 204);
    let allowed = answer.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("authorization"), "{allowed}");
}

#[tokio::test]
async fn refused_metrics_and_feedback_are_problems() {
    let home = home().await;
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", bearer.as_str())];
    for path in ["/v1/1/metrics", "/v1/1/feedback"] {
        let stranger = home.post(path, &[], "{}").await;
        stranger.is_problem(403, "wrong_key");
        let broken = home.post(path, &headers, "{}").await;
        broken.is_problem(400, "item_broken");
        assert_eq!(broken.header("access-control-allow-origin"), Some("*"));
        let zipped = [headers[0], ("content-encoding", "gzip")];
        let damaged = home.post(path, &zipped, "no gzip").await;
        damaged.is_problem(400, "body_damaged");
    }
    home.post("/v1/9/feedback", &headers, "{}")
        .await
        .is_problem(403, "wrong_key");
}

#[tokio::test]
async fn a_page_is_told_when_its_feedback_will_be_taken_again() {
    let home = home().await;
    home.limit(Category::Feedback, 0).await;
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", bearer.as_str())];
    let said = json!({"message": "again"}).to_string();
    let limited = home.post("/v1/1/feedback", &headers, said).await;
    limited.is_problem(429, "rate_limited");
    assert_eq!(limited.header("retry-after"), Some("60"));
}
