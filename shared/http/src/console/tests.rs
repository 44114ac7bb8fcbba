//! The pages over memory ports: who gets in, what strangers' text becomes, what forms need.

use crate::admin::tests::{Got, Home, call, home};
use crate::{Transport, console};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use kintsugi_app::admin::{authenticate, issue_entry, redeem_entry};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Message, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Ports, Queues as _};
use kintsugi_testkit::fault::{Crashing, Faults};
use kintsugi_trust::token::Role;
use std::sync::Arc;
use std::time::Duration;

mod furniture;

use furniture::{HOSTILE, furnished, pages, rollout};

async fn visit(home: &Home, token: &str, path: &str) -> Got {
    let request = Request::get(format!("/console/{path}"))
        .header(header::COOKIE, format!("other=1; kintsugi_console={token}"));
    let request = request.body(Body::empty()).unwrap();
    call(console(&home.ports, Transport::Loopback), request).await
}

async fn send(home: &Home, token: &str, path: &str, form: String) -> Got {
    home.clock.advance(Duration::from_secs(1));
    let request = Request::post(format!("/console/{path}"))
        .header(header::COOKIE, format!("kintsugi_console={token}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let request = request.body(Body::from(form)).unwrap();
    call(console(&home.ports, Transport::Loopback), request).await
}

/// What the first form of a page carries.
fn secret(page: &Got) -> String {
    let (_, rest) = page.text.split_once("name=\"form\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

async fn code(home: &Home) -> String {
    let token = home.token(Role::Viewer).await;
    let actor = authenticate(&home.ports, &token).await.unwrap();
    issue_entry(&home.ports, &actor).await.unwrap()
}

async fn enter(home: &Home, transport: Transport, code: &str) -> Got {
    let request = Request::get(format!("/console?code={code}"));
    let request = request.body(Body::empty()).unwrap();
    call(console(&home.ports, transport), request).await
}

#[tokio::test]
async fn a_code_in_the_address_lets_its_holder_in_once() {
    let home = home();
    for (transport, end) in [(Transport::Loopback, "=3600"), (Transport::Tls, "; Secure")] {
        let code = code(&home).await;
        let got = enter(&home, transport, &code).await;
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
        assert_eq!(got.header(header::LOCATION), "/console");
        let cookie = got.header(header::SET_COOKIE);
        for part in ["Path=/console;", "HttpOnly", "SameSite=Strict"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(cookie.ends_with(end), "{cookie}");
        let (_, rest) = cookie.split_once("kintsugi_console=").unwrap();
        let token = rest.split(';').next().unwrap();
        assert_ne!(
            token, code,
            "the address does not hold what the cookie holds"
        );
        assert_eq!(visit(&home, token, "").await.status, StatusCode::OK);
        assert_eq!(
            visit(&home, &code, "").await.status,
            StatusCode::UNAUTHORIZED
        );

        let again = enter(&home, transport, &code).await;
        assert_eq!(again.status, StatusCode::UNAUTHORIZED);
        assert_eq!(again.header(header::SET_COOKIE), "");
        assert!(again.text.contains("used before"), "{}", again.text);
    }
    let token = home.token(Role::Admin).await;
    let got = enter(&home, Transport::Loopback, &token).await;
    assert_eq!(got.status, StatusCode::UNAUTHORIZED, "a token is no code");
    let late = code(&home).await;
    home.clock.advance(Duration::from_mins(16));
    let got = enter(&home, Transport::Loopback, &late).await;
    assert_eq!(got.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn of_two_who_bring_the_same_code_one_gets_in() {
    let home = home();
    let code = code(&home).await;
    let process = || {
        let faults = Faults::interleaved();
        let store = Arc::clone(&home.ports.store);
        Ports {
            store: Arc::new(Crashing::new(store, &faults)),
            ..home.ports.clone()
        }
    };
    let (one, other) = (process(), process());
    let ended = tokio::join!(redeem_entry(&one, &code), redeem_entry(&other, &code));
    let taken = usize::from(ended.0.is_ok()) + usize::from(ended.1.is_ok());
    assert_eq!(taken, 1, "{ended:?}");
}

#[tokio::test]
async fn strangers_see_how_to_get_in_and_nothing_else() {
    let home = furnished().await;
    let token = home.token(Role::Admin).await;
    let request = Request::get("/console?code=x.y.z")
        .body(Body::empty())
        .unwrap();
    let forged = call(console(&home.ports, Transport::Loopback), request).await;
    assert_eq!(forged.status, StatusCode::UNAUTHORIZED);
    assert_eq!(forged.header(header::SET_COOKIE), "");
    home.clock.advance(Duration::from_hours(2));
    for page in pages() {
        for token in ["", "x.y.z", &token] {
            let got = visit(&home, token, &page).await;
            assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{page}");
            assert!(
                got.text.contains("kintsugi up") && !got.text.contains("till"),
                "{page}"
            );
        }
    }
    let got = send(
        &home,
        &token,
        "redrive",
        "queue=signing&reason=&form=x".into(),
    )
    .await;
    assert_eq!(got.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_strangers_wrote_is_text_on_every_page() {
    let home = furnished().await;
    let token = home.token(Role::Admin).await;
    let mut seen = 0;
    for page in pages() {
        let got = visit(&home, &token, &page).await;
        assert_eq!(got.status, StatusCode::OK, "{page}: {}", got.text);
        let text = got.text.to_lowercase();
        for markup in ["<script", "<img", "style=", "\" onclick", "javascript:"] {
            assert!(!text.contains(markup), "{page} has {markup}");
        }
        assert!(
            text.matches('<').count() == text.matches('>').count(),
            "{page}"
        );
        seen += usize::from(text.contains("&lt;script&gt;"));
        let policy = got.header(header::CONTENT_SECURITY_POLICY);
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self';"),
            "{policy}"
        );
        assert_eq!(got.header(header::CACHE_CONTROL), "no-store");
        assert_eq!(got.header(header::REFERRER_POLICY), "no-referrer");
    }
    assert!(seen >= 7, "the text is shown, not swallowed: {seen}");
}

#[tokio::test]
async fn every_page_can_be_read_without_looking_at_it() {
    let home = furnished().await;
    let token = home.token(Role::Admin).await;
    for page in pages() {
        let text = visit(&home, &token, &page).await.text;
        let count = |part: &str| text.matches(part).count();
        assert_eq!(
            (count("<h1"), count("<main"), count("<html lang=\"en\">")),
            (1, 1, 1),
            "{page}"
        );
        assert_eq!(count("<table>"), count("<caption>"), "{page}");
        assert_eq!(
            count("<th"),
            count("<th scope=") + count("<thead"),
            "{page}"
        );
        let fields = count("<input type=\"text\"") + count("<select");
        assert_eq!(count("<label for="), fields, "{page}");
        assert!(
            text.contains("href=\"#main\"") && text.contains("id=\"main\""),
            "{page}"
        );
        let mut level = 0;
        for (_, rest) in text.match_indices("<h").map(|(at, _)| text.split_at(at)) {
            let digit = rest.chars().nth(2).and_then(|c| c.to_digit(10));
            if let Some(next) = digit {
                assert!(next <= level + 1, "{page}: h{level} is followed by h{next}");
                level = next;
            }
        }
    }
}

#[tokio::test]
async fn a_form_counts_only_from_a_page_of_the_same_visit() {
    let home = furnished().await;
    let token = home.token(Role::Triager).await;
    let path = "projects/1/fixes/fix1/review";
    let other = visit(
        &home,
        &home.token(Role::Triager).await,
        "projects/1/fixes/fix1",
    )
    .await;
    for form in ["", "00", &secret(&other)] {
        let form = format!("form={form}&approved=true&reason=");
        let got = send(&home, &token, path, form).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{}", got.text);
    }
    let got = send(&home, &token, path, "approved=true".into()).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(home.waiting(Queue::Fixes).await.is_empty());

    let page = visit(&home, &token, "projects/1/fixes/fix1").await;
    let form = format!("form={}&approved=true&reason=reads+well", secret(&page));
    let got = send(&home, &token, path, form).await;
    assert_eq!(
        got.header(header::LOCATION),
        "/console/projects/1/fixes/fix1?done=ordered"
    );
    let reviewed = Message::FixReviewed {
        fix: "fix1".parse().unwrap(),
        approved: true,
        by: "ada".into(),
    };
    assert_eq!(home.waiting(Queue::Fixes).await, [reviewed]);
}

#[tokio::test]
async fn a_rollout_is_rolled_back_from_its_page_with_a_reason() {
    let home = furnished().await;
    let token = home.token(Role::Releaser).await;
    let page = format!("projects/1/rollouts/{}", rollout());
    let secret = secret(&visit(&home, &token, &page).await);
    let path = format!("{page}/rollback");
    let got = send(&home, &token, &path, format!("form={secret}&reason=+")).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(got.text.contains("reason.missing"));
    let got = send(
        &home,
        &token,
        &path,
        format!("form={secret}&reason=tills+freeze"),
    )
    .await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
    let ordered = Message::RollBack {
        rollout: rollout().parse().unwrap(),
        reason: "tills freeze".into(),
        by: "ada".into(),
    };
    assert_eq!(home.waiting(Queue::Rollbacks).await, [ordered]);
    let audit = visit(&home, &token, "projects/1/audit").await;
    assert!(audit.text.contains("rollout.roll_back") && audit.text.contains("tills freeze"));
}

#[tokio::test]
async fn what_one_person_asked_for_another_confirms_on_its_page() {
    let home = home();
    home.careful().await;
    let id = home.ask_for_a_release("eve <b>").await;
    // The visitor is called ada.
    let token = home.token(Role::Releaser).await;
    let overview = visit(&home, &token, "").await.text;
    assert!(
        overview.contains("Confirm: ") && overview.contains("eve &lt;b&gt;"),
        "{overview}"
    );
    let path = format!("projects/1/requests/{id}");
    let page = visit(&home, &token, &path).await;
    assert!(page.text.contains("Confirm: do it now") && page.text.contains("order_release"));
    let viewer = home.token(Role::Viewer).await;
    let seen = visit(&home, &viewer, &path).await.text;
    assert!(
        !seen.contains("method=\"post\"") && !seen.contains("order_release"),
        "{seen}"
    );
    let confirm = format!("{path}/confirm");
    let forged = send(&home, &token, &confirm, "form=x".into()).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let form = format!("form={}", secret(&page));
    let got = send(&home, &token, &confirm, form).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
    assert!(got.header(header::LOCATION).ends_with("?done=ordered"));
    assert_eq!(home.waiting(Queue::Bundles).await.len(), 1);
    let list = visit(&home, &token, "projects/1/requests").await.text;
    assert!(
        list.contains("confirmed") && list.contains("release.order"),
        "{list}"
    );
}

#[tokio::test]
async fn who_asked_finds_no_button_to_confirm() {
    let home = home();
    home.careful().await;
    let id = home.ask_for_a_release("ada").await;
    let token = home.token(Role::Admin).await;
    let path = format!("projects/1/requests/{id}");
    let page = visit(&home, &token, &path).await;
    assert!(page.text.contains("somebody else must confirm") && page.text.contains("Take back"));
    assert!(!page.text.contains(&format!("{path}/confirm")));
    let form = format!("form={}&reason=", secret(&page));
    let own = send(&home, &token, &format!("{path}/confirm"), form.clone()).await;
    assert!(own.text.contains("request.same_person"), "{}", own.text);
    let got = send(&home, &token, &format!("{path}/refuse"), form).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
}

#[tokio::test]
async fn viewers_look_and_do_not_touch() {
    let home = furnished().await;
    let token = home.token(Role::Viewer).await;
    for page in pages() {
        let text = visit(&home, &token, &page).await.text;
        assert!(!text.contains("method=\"post\""), "{page}");
    }
    // No page shows a viewer what a form carries, but it follows from the token: it gets them no further.
    let form = Digest::of_parts(&[b"console form", token.as_bytes()]);
    let form = format!("form={form}&approved=true&reason=");
    let got = send(&home, &token, "projects/1/fixes/fix1/review", form).await;
    assert_eq!(got.status, StatusCode::FORBIDDEN);
    assert!(got.text.contains("token.role"), "{}", got.text);
    assert!(home.waiting(Queue::Fixes).await.is_empty());
}

#[tokio::test]
async fn parked_messages_are_redriven_from_their_page() {
    let home = furnished().await;
    home.ports
        .queues
        .send(&[kintsugi_domain::envelope::Envelope::new(
            "test",
            ProjectId(1),
            Message::Publish {
                channel: "beta".into(),
            },
        )])
        .await
        .unwrap();
    let lease = Duration::from_mins(1);
    let taken = home.queues.receive(Queue::Signing, 9, lease).await.unwrap();
    home.queues
        .park(taken.first().unwrap(), HOSTILE)
        .await
        .unwrap();
    let token = home.token(Role::Admin).await;
    let page = visit(&home, &token, "parked").await;
    assert!(page.text.contains("&lt;script") && !page.text.contains("<script"));
    assert!(
        visit(&home, &token, "")
            .await
            .text
            .contains("Parked messages: 1")
    );
    let form = format!("form={}&queue=signing&reason=", secret(&page));
    let got = send(&home, &token, "redrive", form).await;
    assert_eq!(
        got.header(header::LOCATION),
        "/console/parked?done=redriven"
    );
    assert!(home.queues.parked(Queue::Signing).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_does_not_exist_is_a_page_too() {
    let home = furnished().await;
    let token = home.token(Role::Viewer).await;
    for path in [
        "projects/9/issues",
        "projects/1/issues/none",
        "projects/1/fixes/%3Cb%3E",
    ] {
        let got = visit(&home, &token, path).await;
        assert_eq!(got.status, StatusCode::NOT_FOUND, "{path}");
        assert!(got.text.contains("<h1>Not found</h1>"), "{path}");
    }
}

#[tokio::test]
async fn the_style_sheet_is_open_and_loads_nothing() {
    let request = Request::get("/console/style.css")
        .body(Body::empty())
        .unwrap();
    let got = call(console(&home().ports, Transport::Loopback), request).await;
    assert_eq!(got.header(header::CONTENT_TYPE), "text/css; charset=utf-8");
    assert!(!got.text.contains("url(") && !got.text.contains("@import"));
    assert!(got.text.contains("prefers-color-scheme: dark") && got.text.contains(":focus-visible"));
}
