//! Requests of OpenTelemetry's exporters.

use crate::home::{KEY, home};
use axum::body::Body;
use axum::http::Request;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::envelope::Queue;
use serde_json::json;

#[tokio::test]
async fn exceptions_of_logs_and_traces_are_handed_on() {
    let attributes = json!([{"key": "exception.type", "value": {"stringValue": "E"}}]);
    let log =
        json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes": attributes}]}]}]});
    let event = json!({"name": "exception", "attributes": attributes});
    let span = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"events": [event]}]}]}]});
    let bearer = format!("Bearer {KEY}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", bearer.as_str()),
        ("kintsugi-project", "1"),
    ];
    for (path, body) in [("/otlp/v1/logs", log), ("/otlp/v1/traces", span)] {
        let home = home().await;
        let answer = home.post(path, &headers, body.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(home.handed_on(Queue::Events).await.len(), 1);
        let stranger = home.post(path, &headers[..1], body.to_string()).await;
        assert_eq!(stranger.status, 403);
    }
}

#[tokio::test]
async fn an_exporter_is_told_when_there_is_a_quota_again() {
    let home = home().await;
    home.limit(Category::Error, 0).await;
    let attributes = json!([{"key": "exception.type", "value": {"stringValue": "E"}}]);
    let log =
        json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes": attributes}]}]}]});
    let bearer = format!("Bearer {KEY}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", bearer.as_str()),
        ("kintsugi-project", "1"),
    ];
    let answer = home.post("/otlp/v1/logs", &headers, log.to_string()).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(answer.json(), json!({"message": "the quota is used up"}));
}

#[tokio::test]
async fn a_page_exports_from_another_origin() {
    let home = home().await;
    for path in ["/otlp/v1/logs", "/otlp/v1/traces"] {
        let preflight = Request::options(path)
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type,kintsugi-project",
            );
        let answer = home.ask(preflight.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let allowed = answer.header("access-control-allow-headers").unwrap();
        let allowed: Vec<&str> = allowed.split(", ").collect();
        for asked in ["authorization", "content-type", "kintsugi-project"] {
            assert!(allowed.contains(&asked), "{asked}: {allowed:?}");
        }
        // A page reads why it was refused, too.
        let refused = home.post(path, &[], "{}").await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
        let exposed = refused.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("retry-after"), "{exposed}");
    }
}
