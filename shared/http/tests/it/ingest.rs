//! Reports of Sentry's clients.

use crate::home::{Home, KEY, home};
use axum::body::Body;
use axum::http::Request;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::envelope::{Message, Queue};
use kintsugi_domain::limits::REQUEST_BYTES_MAX;
use kintsugi_domain::ports::{Commit, Store as _};
use kintsugi_domain::record::Stored;
use serde_json::json;

const EVENT_ID: &str = "9ec79c33ec9942ab8353589fcb2e04dc";

fn auth() -> String {
    format!("Sentry sentry_key={KEY}, sentry_version=7, sentry_client=test/1")
}

fn envelope() -> String {
    let event = json!({"event_id": EVENT_ID, "message": "till is stuck"}).to_string();
    let head = json!({"type": "event", "length": event.len()});
    format!("{{\"event_id\":\"{EVENT_ID}\"}}\n{head}\n{event}\n")
}

async fn reported(home: &Home) -> usize {
    let waiting = home.handed_on(Queue::Events).await;
    let events = waiting.iter().map(|envelope| {
        let Message::Reported { events } = &envelope.message else {
            panic!("{envelope:?}");
        };
        events.len()
    });
    events.sum()
}

#[tokio::test]
async fn an_envelope_and_an_event_are_taken_with_and_without_the_last_slash() {
    for (path, body) in [
        ("/api/1/envelope/", envelope()),
        ("/api/1/envelope", envelope()),
        ("/api/1/store/", json!({"event_id": EVENT_ID}).to_string()),
        ("/api/1/store", json!({"event_id": EVENT_ID}).to_string()),
    ] {
        let home = home().await;
        let answer = home.post(path, &[("x-sentry-auth", &auth())], body).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.json(), json!({"id": EVENT_ID}));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reported(&home).await, 1);
    }
}

#[tokio::test]
async fn a_report_is_handed_on_in_the_trace_that_its_client_or_the_gateway_began() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let amazon = "Root=1-5759e988-bd862e3fe1be46a994272793";
    let handed_on = async |headers: &[(&str, &str)]| {
        let home = home().await;
        let auth = auth();
        let mut all = vec![("x-sentry-auth", auth.as_str())];
        all.extend(headers);
        let answer = home.post("/api/1/envelope/", &all, envelope()).await;
        assert_eq!(answer.status, 200);
        let waiting = home.handed_on(Queue::Events).await;
        waiting[0].trace.unwrap().to_string()
    };
    assert_eq!(handed_on(&[("traceparent", &parent)]).await, trace);
    assert_eq!(
        handed_on(&[("x-amzn-trace-id", amazon)]).await,
        "5759e988bd862e3fe1be46a994272793"
    );
    let both = [("x-amzn-trace-id", amazon), ("traceparent", &*parent)];
    assert_eq!(handed_on(&both).await, trace);
    // Nobody began one, or what they say is none: a trace of its own.
    for headers in [&[][..], &[("traceparent", "00-zz-1-1")]] {
        let own = handed_on(headers).await;
        assert!(own != trace && own.len() == 32, "{own}");
    }
}

#[tokio::test]
async fn the_key_may_be_in_the_query() {
    let home = home().await;
    let path = format!("/api/1/envelope/?sentry_key={KEY}&sentry_version=7");
    assert_eq!(home.post(&path, &[], envelope()).await.status, 200);
}

#[tokio::test]
async fn a_wrong_key_and_an_unknown_project_get_sentrys_own_error() {
    let home = home().await;
    let wrong = auth().replace(KEY, "ffff");
    for (path, auth) in [
        ("/api/1/envelope/", &wrong),
        ("/api/2/envelope/", &auth()),
        ("/api/till/envelope/", &auth()),
    ] {
        let answer = home
            .post(path, &[("x-sentry-auth", auth)], envelope())
            .await;
        assert_eq!(answer.status, 403);
        assert!(answer.header("x-sentry-error").is_some());
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert!(answer.json()["detail"].is_string());
    }
    assert_eq!(reported(&home).await, 0);
    assert_eq!(
        home.counter(1, "ingest").await["refused/request/wrong_key"],
        1
    );
    assert_eq!(
        home.counter(0, "ingest").await["refused/request/wrong_key"],
        2
    );
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_by_the_stage_and_counted() {
    let home = home().await;
    let body = vec![b'x'; REQUEST_BYTES_MAX + 100];
    let headers = [("x-sentry-auth", &*auth())];
    let answer = home.post("/api/1/envelope/", &headers, body).await;
    assert_eq!(answer.status, 413);
    assert!(answer.header("x-sentry-error").is_some());
    let counted = home.counter(1, "ingest").await;
    assert_eq!(counted["refused/request/body_too_large"], 1);
}

/// A chunked body has no length, and its pieces end anywhere.
#[tokio::test]
async fn a_body_that_comes_in_pieces_without_a_length_is_taken_whole() {
    let home = home().await;
    let text = envelope();
    let pieces = text.as_bytes().chunks(7).map(<[u8]>::to_vec);
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = pieces.map(Ok).collect();
    let body = Body::from_stream(futures::stream::iter(pieces));
    let headers = [("x-sentry-auth", &*auth())];
    let answer = home.post("/api/1/envelope/", &headers, body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(reported(&home).await, 1);
}

#[tokio::test]
async fn a_body_that_ends_early_stores_nothing() {
    let home = home().await;
    let parts = [Ok("{}\n"), Err(std::io::Error::other("hung up"))];
    let body = Body::from_stream(futures::stream::iter(parts));
    let headers = [("x-sentry-auth", &*auth())];
    let answer = home.post("/api/1/envelope/", &headers, body).await;
    answer.is_problem(400, "request.malformed");
    assert_eq!(reported(&home).await, 0);
}

#[tokio::test]
async fn a_browser_reports_what_its_policy_blocked() {
    let report = json!({"csp-report": {"effective-directive": "img-src", "blocked-uri": "data:x"}});
    for path in [
        "/api/1/security/",
        "/api/1/security",
        "/api/1/csp-report/",
        "/api/1/csp-report",
    ] {
        let home = home().await;
        let path = format!("{path}?sentry_key={KEY}");
        let headers = [("content-type", "application/csp-report")];
        let answer = home.post(&path, &headers, report.to_string()).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(reported(&home).await, 1);
    }
}

#[tokio::test]
async fn a_page_can_read_which_quota_is_used_up() {
    let home = home().await;
    let mut project = crate::home::project(crate::home::PROJECT, KEY);
    project.config.quota.categories = [(Category::Error, 0)].into();
    let stored = Stored {
        value: project,
        version: 1,
    };
    let commit = Commit::new().update(&stored);
    home.store.commit(commit).await.unwrap();
    let headers = [("x-sentry-auth", &*auth())];
    let answer = home.post("/api/1/envelope/", &headers, envelope()).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("60"));
    let told = answer.header("x-sentry-rate-limits");
    assert_eq!(told, Some("60:error:key:quota"));
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for name in ["x-sentry-rate-limits", "retry-after", "x-sentry-error"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    assert_eq!(reported(&home).await, 0);
}

#[tokio::test]
async fn a_page_of_any_origin_may_report() {
    let home = home().await;
    let preflight = Request::options("/api/1/envelope/")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-sentry-auth")
        .body(Body::empty())
        .unwrap();
    let answer = home.ask(preflight).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
    let allowed = answer.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("x-sentry-auth"), "{allowed}");
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}
