//! What all routes have in common: unknown routes and methods, headers, a failing home, the relay.

use crate::home::{KEY, home};
use axum::body::Body;
use axum::http::Request;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::ports::{PortError, Store};
use kintsugi_http::Problem;
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn there_is_nothing_at_an_unknown_address() {
    let home = home().await;
    for path in [
        "/",
        "/api/1/",
        "/v1/1/updates/stable",
        "/tuf/1",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1//outcomes/",
    ] {
        home.get(path).await.is_problem(404, "route.unknown");
    }
}

#[tokio::test]
async fn a_method_that_a_route_does_not_take_is_refused() {
    let home = home().await;
    for path in [
        "/api/1/envelope/",
        "/v1/1/outcomes",
        "/ofrep/v1/evaluate/flags",
    ] {
        let answer = home.get(path).await;
        answer.is_problem(405, "method.unknown");
        assert_eq!(answer.header("allow"), Some("POST"), "{path}");
    }
    for path in [
        "/health",
        "/tuf/1/metadata/timestamp.json",
        "/v1/1/updates/stable/linux/x86_64/1.0.0",
    ] {
        let answer = home.post(path, &[], "").await;
        answer.is_problem(405, "method.unknown");
        assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{path}");
    }
}

#[tokio::test]
async fn every_answer_keeps_browsers_from_guessing() {
    let home = home().await;
    for path in [
        "/health",
        "/version",
        "/nothing",
        "/tuf/1/metadata/timestamp.json",
    ] {
        let answer = home.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{path}");
    }
}

#[tokio::test]
async fn one_function_serves_the_admin_api_the_console_and_health() {
    let mut home = home().await;
    home.router = kintsugi_http::control(&home.ports, kintsugi_http::Transport::Tls);
    for path in ["/admin/v1/me", "/admin/v1/projects/1/issues"] {
        home.get(path).await.is_problem(401, "token.missing");
    }
    for path in ["/console", "/console/", "/console/projects/1/issues"] {
        let page = home.get(path).await;
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8"),
            "{path}"
        );
        assert!(page.header("content-security-policy").is_some());
    }
    assert_eq!(home.get("/console/style.css").await.status, 200);
    assert_eq!(home.get("/health").await.status, 200);
    for path in [
        "/",
        "/admin",
        "/admin/v1/nothing",
        "/console/nothing",
        "/v1/1/outcomes",
    ] {
        home.get(path).await.is_problem(404, "route.unknown");
    }
    for path in ["/admin/v1/me", "/health", "/console/"] {
        let delete = Request::delete(path).body(Body::empty()).unwrap();
        home.ask(delete).await.is_problem(405, "method.unknown");
    }
}

#[tokio::test]
async fn health_and_version_answer() {
    let home = home().await;
    assert_eq!(home.get("/health").await.json(), json!({"status": "ok"}));
    let version = home.get("/version").await.json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let head = Request::head("/health").body(Body::empty()).unwrap();
    let answer = home.ask(head).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn requests_have_names_of_their_own() {
    let home = home().await;
    let name = async || {
        let answer = home.get("/tuf/1/metadata/timestamp.json").await;
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_ne!(name().await, name().await);
}

#[test]
fn a_failing_world_is_told_without_its_inside() {
    let failed = PortError::unavailable("reading /var/lib/kintsugi", "disk full");
    let problem = Problem::from(failed);
    assert_eq!(problem.status().as_u16(), 503);
    assert_eq!(problem.code(), "home.unavailable");
    let broken = PortError::broken("record issue x of project 1", "not JSON");
    let problem = Problem::from(broken);
    assert_eq!(problem.status().as_u16(), 500);
    assert!(!format!("{problem:?}").contains("issue x"));
}

#[tokio::test]
async fn an_accepted_report_leaves_the_outbox_without_waiting_for_a_sweep() {
    let home = home().await;
    let auth = format!("Sentry sentry_key={KEY}");
    for number in 0..20 {
        let body = json!({"event_id": format!("{number:032x}")}).to_string();
        let headers = [("x-sentry-auth", &*auth)];
        let answer = home.post("/api/1/store/", &headers, body).await;
        assert_eq!(answer.status, 200);
    }
    // One thread runs this test and the relay, and memory ports never wait: giving way is enough.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(home.queues.waiting(Queue::Events).len(), 20);
    assert!(home.store.outbox(1).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_router_of_one_stage_is_complete_in_itself() {
    use tower::ServiceExt as _;
    let home = home().await;
    let ports = &home.ports;
    for (router, path) in [
        (kintsugi_http::ingest(ports), "/api/1/store/"),
        (kintsugi_http::ingest(ports), "/v1/1/batches"),
        (kintsugi_http::ingest(ports), "/otlp/v1/logs"),
        (kintsugi_http::manifest(ports), "/v1/1/updates/s/l/x/1.0.0"),
        (kintsugi_http::tuf(ports), "/tuf/1/metadata/timestamp.json"),
        (kintsugi_http::updates(ports), "/tuf/1/metadata/1.root.json"),
        (kintsugi_http::outcomes(ports), "/v1/1/outcomes"),
        (kintsugi_http::flags(ports), "/ofrep/v1/evaluate/flags"),
        (kintsugi_http::health(), "/health"),
    ] {
        let ask = async |path: &str| {
            let request = Request::delete(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap()
        };
        assert_eq!(ask(path).await.status(), 405, "{path}");
        let answer = ask("/nothing").await;
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn a_home_that_fails_accepts_nothing_and_asks_to_try_again() {
    use kintsugi_testkit::fault::{Crashing, Faults};
    let mut home = home().await;
    let faults = Faults::new();
    home.ports.store = Arc::new(Crashing::<dyn Store>::new(
        home.ports.store.clone(),
        &faults,
    ));
    home.router = kintsugi_http::everything(&home.ports, kintsugi_http::Transport::Loopback);
    let auth = format!("Sentry sentry_key={KEY}");
    let headers = [("x-sentry-auth", &*auth)];
    let send = async || home.post("/api/1/store/", &headers, "{}").await;
    faults.crash_before(1);
    let refused = send().await;
    refused.is_problem(503, "home.unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    assert!(home.counter(1, "ingest").await.is_empty());
    faults.restart();
    assert_eq!(send().await.status, 200);
}
