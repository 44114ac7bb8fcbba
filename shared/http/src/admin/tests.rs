//! The routes over memory ports: who is let in, what is answered, what is refused.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use kintsugi_app::admin::issue_token;
use kintsugi_app::outbox;
use kintsugi_domain::envelope::{Message, Queue};
use kintsugi_domain::ports::Ports;
use kintsugi_domain::ports::{Commit, Queues as _, Store as _};
use kintsugi_domain::record::Record;
use kintsugi_testkit::memory::{FixedClock, MemoryForge, MemoryHome, MemoryQueues, MemoryStore};
use kintsugi_trust::token::Role;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt as _;

mod evidence;
mod people;

pub(crate) use kintsugi_testkit::product::CONFIG;

/// A home in memory.
pub(crate) struct Home {
    pub(crate) ports: Ports,
    pub(crate) clock: FixedClock,
    pub(crate) store: MemoryStore,
    pub(crate) queues: MemoryQueues,
    pub(crate) forge: MemoryForge,
}

pub(crate) fn home() -> Home {
    let home = MemoryHome::new(1);
    Home {
        ports: home.ports(),
        clock: home.clock,
        store: home.store,
        queues: home.queues,
        forge: home.forge,
    }
}

pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn code(&self) -> (u16, String) {
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            "application/problem+json"
        );
        let code = self
            .json()
            .get("code")
            .and_then(Value::as_str)
            .unwrap()
            .to_owned();
        (self.status.as_u16(), code)
    }
}

pub(crate) async fn call(router: Router, request: Request<Body>) -> Got {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Got {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

impl Home {
    pub(crate) async fn token(&self, role: Role) -> String {
        let hour = Duration::from_hours(1);
        issue_token(&self.ports, "ada", role, hour).await.unwrap()
    }

    pub(crate) async fn put<T: Record>(&self, record: &T) {
        self.store
            .commit(Commit::new().create(record))
            .await
            .unwrap();
    }

    pub(crate) async fn waiting(&self, queue: Queue) -> Vec<Message> {
        outbox::relay(&self.ports).await.unwrap();
        let lease = Duration::from_mins(1);
        let deliveries = self.queues.receive(queue, 100, lease).await.unwrap();
        deliveries
            .into_iter()
            .map(|delivery| delivery.envelope.message)
            .collect()
    }

    async fn ask(&self, role: Role, method: &str, path: &str, body: Option<Value>) -> Got {
        self.clock.advance(Duration::from_secs(1));
        let request = Request::builder()
            .method(method)
            .uri(format!("/admin/v1/{path}"))
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.token(role).await),
            );
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        // As the function of the cloud serves it.
        let router = crate::control(&self.ports, crate::Transport::Tls);
        call(router, request.body(body).unwrap()).await
    }

    pub(crate) async fn project(&self) {
        self.forge
            .push("/src/till", "main", &[("till/a.py", "a = 1\n")]);
        let body = json!({"config": CONFIG, "repository": "/src/till"});
        let got = self.ask(Role::Admin, "POST", "projects", Some(body)).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.text);
    }
}

#[tokio::test]
async fn nobody_is_let_in_without_a_token_of_this_home() {
    let home = home();
    let ask = |token: Option<&str>| {
        let mut request = Request::get("/admin/v1/projects");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token);
        }
        call(
            crate::admin(&home.ports),
            request.body(Body::empty()).unwrap(),
        )
    };
    let none = ask(None).await;
    assert_eq!(none.code(), (401, "token.missing".into()));
    assert_eq!(none.header(header::WWW_AUTHENTICATE), "Bearer");
    assert_eq!(
        ask(Some("Basic YTpi")).await.code(),
        (401, "token.missing".into())
    );
    assert_eq!(
        ask(Some("Bearer x.y.z")).await.code(),
        (401, "jws.malformed".into())
    );
    let token = format!("Bearer {}", home.token(Role::Viewer).await);
    assert_eq!(ask(Some(&token)).await.text, "[]");
    home.clock.advance(Duration::from_hours(2));
    let expired = ask(Some(&token)).await;
    assert_eq!(expired.code(), (401, "token.expired".into()));
    assert!(
        expired
            .header(header::WWW_AUTHENTICATE)
            .contains("invalid_token")
    );
}

#[tokio::test]
async fn a_role_that_is_too_small_is_told_so() {
    let home = home();
    let body = json!({"config": CONFIG, "repository": null});
    let got = home
        .ask(Role::Releaser, "POST", "projects", Some(body))
        .await;
    assert_eq!(got.code(), (403, "token.role".into()));
}

#[tokio::test]
async fn a_broken_configuration_is_answered_with_its_line() {
    let home = home();
    let config = CONFIG.replace("\"python\"", "\"cobol\"");
    let got = home
        .ask(
            Role::Admin,
            "POST",
            "projects",
            Some(json!({"config": config})),
        )
        .await;
    assert_eq!(got.code(), (422, "config.invalid".into()));
    let problem = got.json();
    for (name, value) in [
        ("file", json!("kintsugi.toml")),
        ("line", json!(4)),
        ("key", json!("product.language")),
        ("status", json!(422)),
    ] {
        assert_eq!(problem.get(name), Some(&value), "{name}");
    }
}

#[tokio::test]
async fn every_list_of_a_project_is_there_and_only_of_a_project_that_exists() {
    let home = home();
    home.project().await;
    for list in [
        "",
        "/needs",
        "/issues",
        "/issues?state=needs_human",
        "/fixes",
        "/bundles",
        "/releases",
        "/rollouts",
        "/alerts",
        "/flags",
        "/audit?limit=1",
        "/parked",
        "/counters",
        "/stats",
        "/health",
        "/performance",
        "/memory",
        "/usage",
        "/feedback",
        "/attachments",
        "/logs",
        "/monitors",
    ] {
        let got = home
            .ask(Role::Viewer, "GET", &format!("projects/1{list}"), None)
            .await;
        assert_eq!(got.status, StatusCode::OK, "{list}: {}", got.text);
        assert_eq!(got.header(header::CACHE_CONTROL), "no-store");
        let got = home
            .ask(Role::Viewer, "GET", &format!("projects/2{list}"), None)
            .await;
        assert_eq!(got.code(), (404, "project.unknown".into()), "{list}");
    }
    for (path, code) in [
        ("projects/1/issues/x", (404, "issue.unknown")),
        ("projects/1/jobs/x", (404, "job.unknown")),
        ("projects/1/fixes/%3Cb%3E", (404, "path.invalid")),
        ("projects/1/issues?state=odd", (400, "query.invalid")),
    ] {
        let got = home.ask(Role::Viewer, "GET", path, None).await;
        assert_eq!(got.code(), (code.0, code.1.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let home = home();
    home.project().await;
    for _ in 0..3 {
        home.ask(Role::Admin, "POST", "projects/1/keys", None).await;
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("projects/1/audit?limit=3{after}");
        let page = home.ask(Role::Viewer, "GET", &path, None).await.json();
        let items = page.get("items").and_then(Value::as_array).unwrap().clone();
        seen.extend(items.iter().map(|line| line.get("what").cloned().unwrap()));
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["key.add", "key.add", "key.add", "project.add"]);
}

#[tokio::test]
async fn a_release_is_ordered_once() {
    let home = home();
    home.project().await;
    let body = || Some(json!({"ref": "main", "version": "1.0.0", "notes": "first"}));
    let got = home
        .ask(Role::Releaser, "POST", "projects/1/releases", body())
        .await;
    assert_eq!(got.status, StatusCode::ACCEPTED, "{}", got.text);
    assert_eq!(home.waiting(Queue::Bundles).await.len(), 1);
    let again = home
        .ask(Role::Releaser, "POST", "projects/1/releases", body())
        .await;
    assert_eq!(again.code(), (409, "bundle.open".into()));
    let odd = Some(json!({"ref": "main", "version": "one"}));
    let odd = home
        .ask(Role::Releaser, "POST", "projects/1/releases", odd)
        .await;
    assert_eq!(odd.code(), (400, "body.invalid".into()));
}

#[tokio::test]
async fn flags_queues_and_unknown_things_answer_as_documented() {
    let home = home();
    home.project().await;
    let flag = Some(json!({"enabled": true, "percent": 20}));
    let got = home
        .ask(Role::Releaser, "PUT", "projects/1/flags/new-tax", flag)
        .await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.text);
    let got = home
        .ask(Role::Viewer, "GET", "projects/1/flags", None)
        .await;
    assert!(got.text.contains("\"share\":200000"), "{}", got.text);
    let got = home
        .ask(
            Role::Admin,
            "POST",
            "redrive",
            Some(json!({"queue": "signing"})),
        )
        .await;
    assert!(got.text.contains("\"messages\":0"), "{}", got.text);
    for (path, body, code) in [
        (
            "projects/1/fixes/f/review",
            json!({"approved": true}),
            "fix.unknown",
        ),
        ("projects/1/issues/i/mute", json!({}), "issue.unknown"),
        (
            "projects/1/rollouts/r/rollback",
            json!({"reason": "x"}),
            "rollout.unknown",
        ),
    ] {
        let got = home.ask(Role::Admin, "POST", path, Some(body)).await;
        assert_eq!(got.code(), (404, code.to_owned()), "{path}");
    }
}
