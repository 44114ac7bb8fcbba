//! Two people, tokens and keys over HTTP; and that the audit log only grows.

use super::*;
use kintsugi_domain::record::Kind;
use std::collections::BTreeMap;

impl Home {
    /// A request of somebody by name.
    pub(crate) async fn by(&self, name: &str, method: &str, path: &str, body: Value) -> Got {
        self.clock.advance(Duration::from_secs(1));
        let hour = Duration::from_hours(1);
        let token = issue_token(&self.ports, name, Role::Admin, hour);
        let token = token.await.unwrap();
        let request = Request::builder()
            .method(method)
            .uri(format!("/admin/v1/{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::from(body.to_string()));
        call(crate::admin(&self.ports), request.unwrap()).await
    }

    /// A project that asks for two people.
    pub(crate) async fn careful(&self) {
        self.project().await;
        let config = format!("{CONFIG}[approval]\ntwo_person = [\"release.order\"]\n");
        let body = json!({ "config": config });
        let got = self.by("ada", "PUT", "projects/1/config", body).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.text);
    }

    pub(crate) async fn ask_for_a_release(&self, name: &str) -> String {
        let body = json!({"ref": "main", "version": "1.0.0"});
        let got = self.by(name, "POST", "projects/1/releases", body).await;
        assert_eq!(got.status, StatusCode::ACCEPTED, "{}", got.text);
        let answer = got.json();
        assert_eq!(answer.get("type"), Some(&json!("asked")), "{}", got.text);
        let id = answer.get("request").and_then(Value::as_str);
        id.unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_listed_action_waits_under_needs_until_somebody_else_confirms() {
    let home = home();
    home.careful().await;
    let id = home.ask_for_a_release("ada").await;
    let look = async |path: &str| home.ask(Role::Viewer, "GET", path, None).await;
    let needs = look("projects/1/needs").await;
    assert!(needs.text.contains(&id), "{}", needs.text);
    let path = format!("projects/1/requests/{id}");
    let state = look(&path).await.json().get("state").cloned();
    assert_eq!(state, Some(json!("waiting")));
    let confirm = format!("{path}/confirm");
    let own = home.by("ada", "POST", &confirm, json!({})).await;
    assert_eq!(own.code(), (403, "request.same_person".into()));
    assert!(home.waiting(Queue::Bundles).await.is_empty());
    let other = home.by("bob", "POST", &confirm, json!({})).await;
    assert_eq!(other.status, StatusCode::ACCEPTED, "{}", other.text);
    assert_eq!(home.waiting(Queue::Bundles).await.len(), 1);
    let again = home.by("eve", "POST", &confirm, json!({})).await;
    assert_eq!(again.code(), (409, "request.ended".into()));
    let unknown = "projects/1/requests/x/confirm";
    let unknown = home.by("bob", "POST", unknown, json!({})).await;
    assert_eq!(unknown.code(), (404, "request.unknown".into()));
    let list = look("projects/1/requests").await.text;
    assert!(list.contains("\"confirmed\"") && list.contains("\"bob\""));
}

#[tokio::test]
async fn tokens_and_keys_are_changed_over_the_api_and_hold_from_the_next_request_on() {
    let home = home();
    let order = async |path: &str, body: Value| {
        let got = home.ask(Role::Admin, "POST", path, Some(body)).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.text);
        got.json()
    };
    let new = json!({"subject": "bob", "role": "viewer", "hours": 1});
    let issued = order("tokens", new).await;
    let token = issued.get("token").and_then(Value::as_str).unwrap();
    let me = async || {
        let request = Request::get("/admin/v1/me");
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        call(crate::admin(&home.ports), request).await
    };
    assert_eq!(me().await.json().get("subject"), Some(&json!("bob")));
    order("keys/rotate", json!({})).await;
    let access = home.ask(Role::Viewer, "GET", "access", None).await.json();
    assert_eq!(access.pointer("/current/generation"), Some(&json!(2)));
    assert_eq!(me().await.status, StatusCode::OK);
    order("tokens/revoke", json!({"subject": "bob", "reason": "left"})).await;
    assert_eq!(me().await.code(), (401, "token.revoked".into()));
    for body in [json!({}), json!({"id": "a", "subject": "b"})] {
        let got = home.ask(Role::Admin, "POST", "tokens/revoke", Some(body));
        assert_eq!(got.await.code(), (400, "body.invalid".into()));
    }
    let kid = access.pointer("/older/0/kid").and_then(Value::as_str);
    order(&format!("keys/{}/retire", kid.unwrap()), json!({})).await;
    assert_eq!(me().await.code(), (401, "jws.unknown_key".into()));
    let small = home.ask(Role::Releaser, "POST", "keys/rotate", Some(json!({})));
    assert_eq!(small.await.code(), (403, "token.role".into()));
}

fn lines(store: &MemoryStore) -> BTreeMap<String, String> {
    let lines = store.records(Kind::Audit).into_iter();
    lines
        .map(|line| (line.key.to_string(), line.body))
        .collect()
}

#[tokio::test]
async fn whatever_is_asked_of_the_api_the_audit_log_only_grows() {
    let home = home();
    home.careful().await;
    let id = home.ask_for_a_release("ada").await;
    let mut before = lines(&home.store);
    let one = before.keys().next().unwrap().split(' ').nth(1).unwrap();
    let one = one.to_owned();
    let requests = [
        (
            "POST",
            format!("projects/1/requests/{id}/refuse"),
            json!({}),
        ),
        ("POST", "projects/1/keys".into(), json!({})),
        (
            "PUT",
            "projects/1/flags/new-tax".into(),
            json!({"enabled": true, "percent": 5}),
        ),
        (
            "POST",
            "tokens".into(),
            json!({"subject": "b", "role": "admin", "hours": 1}),
        ),
        ("POST", "tokens/revoke".into(), json!({"subject": "b"})),
        ("POST", "keys/rotate".into(), json!({})),
        ("POST", "console".into(), json!({})),
        ("POST", "redrive".into(), json!({"queue": "alerts"})),
        (
            "PUT",
            "projects/1/config".into(),
            json!({ "config": CONFIG }),
        ),
        (
            "POST",
            "projects/1/releases".into(),
            json!({"ref": "main", "version": "2.0.0"}),
        ),
    ];
    for (method, path, body) in requests {
        let got = home.by("bob", method, &path, body).await;
        assert!(got.status.is_success(), "{path}: {}", got.text);
        let after = lines(&home.store);
        let kept = before
            .iter()
            .all(|(key, body)| after.get(key) == Some(body));
        assert!(kept, "{path}");
        before = after;
    }
    for method in ["PUT", "POST", "PATCH", "DELETE"] {
        for path in ["audit", "projects/1/audit"] {
            let got = home.by("bob", method, path, json!({})).await;
            let refused = StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(got.status, refused, "{method} {path}");
            let path = format!("{path}/{one}");
            let got = home.by("bob", method, &path, json!({})).await;
            assert_eq!(got.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
    assert_eq!(lines(&home.store), before);
}
