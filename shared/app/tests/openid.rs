//! Tokens of a foreign issuer, made by another library of JOSE (`joserfc`): what is taken, and every known attack.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use futures::executor::block_on;
use kintsugi_app::admin::{Action, Admin, AuthError, Command, Done, authenticate};
use kintsugi_app::stage::Stage as _;
use kintsugi_testkit::memory::MemoryHome;
use kintsugi_trust::access::Issuer;
use kintsugi_trust::token::{Role, Token};
use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

const ISSUER: &str = "https://login.example/realm";
const KEYS: &str = "https://login.example/realm/keys";

/// What the issuer made at the first instant of the memory home's clock.
static MADE: LazyLock<Value> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "the test's only setting")]
    let interpreter = std::env::var("KINTSUGI_TEST_PYTHON")
        .expect("KINTSUGI_TEST_PYTHON must name a Python with joserfc: run `cargo xtask test`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openid.py");
    let now = MemoryHome::new(1).ports().now().as_second();
    let output = std::process::Command::new(interpreter)
        .args([script.as_os_str(), now.to_string().as_ref()])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
});

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn order(home: &MemoryHome, action: Action) {
    let actor = Token {
        iss: String::new(),
        aud: String::new(),
        sub: "ada".into(),
        role: Role::Admin,
        iat: 0,
        exp: i64::MAX,
        jti: "t".into(),
    };
    let done = block_on(Admin::new(home.ports()).run(Command { actor, action })).unwrap();
    assert!(matches!(done, Done::Answer(_)), "{done:?}");
}

fn trust(home: &MemoryHome, claim: &str, roles: &[(&str, Role)]) {
    let own = |(value, role): &(&str, Role)| ((*value).to_owned(), *role);
    let issuer = Issuer {
        url: ISSUER.into(),
        audience: "kintsugi-home".into(),
        keys: KEYS.into(),
        claim: claim.into(),
        roles: roles.iter().map(own).collect(),
    };
    order(home, Action::PutIssuer { issuer });
}

/// A home that trusts the issuer.
fn home() -> MemoryHome {
    let home = MemoryHome::new(1);
    trust(
        &home,
        "groups",
        &[("releasers", Role::Releaser), ("staff", Role::Admin)],
    );
    home.web.put(KEYS, MADE["keys"].to_string());
    home
}

fn taken(home: &MemoryHome, token: &str) -> Token {
    block_on(authenticate(&home.ports(), token)).unwrap()
}

fn refused(home: &MemoryHome, token: &str) -> &'static str {
    match block_on(authenticate(&home.ports(), token)) {
        Err(AuthError::Token(error)) => error.code(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tokens_of_a_trusted_issuer_are_taken_with_the_role_of_their_group() {
    let home = home();
    for (name, token) in MADE["taken"].as_object().unwrap() {
        let who = taken(&home, text(token));
        assert_eq!(who.sub, format!("ada-7|{ISSUER}"), "{name}");
        assert_eq!(who.role, Role::Releaser, "{name}");
    }
    assert_eq!(taken(&home, text(&MADE["named"])).jti, "token-1");
}

#[test]
fn hostile_tokens_are_refused_each_for_its_reason() {
    let home = home();
    for (code, tokens) in MADE["refused"].as_object().unwrap() {
        for (place, token) in tokens.as_array().unwrap().iter().enumerate() {
            assert_eq!(refused(&home, text(token)), code, "{place}: {token}");
        }
    }
}

#[test]
fn nothing_is_fetched_for_an_issuer_that_is_not_trusted() {
    let home = MemoryHome::new(1);
    let token = text(&MADE["taken"]["RS256"]);
    assert_eq!(refused(&home, token), "jws.algorithm", "no issuer at all");
    let other = Issuer {
        url: "https://other.example".into(),
        audience: "kintsugi-home".into(),
        keys: "https://other.example/keys".into(),
        claim: "groups".into(),
        roles: [("releasers".to_owned(), Role::Admin)].into(),
    };
    order(&home, Action::PutIssuer { issuer: other });
    assert_eq!(refused(&home, token), "token.issuer");
    assert!(home.web.asked().is_empty(), "{:?}", home.web.asked());
}

#[test]
fn keys_that_an_issuer_rolled_over_to_are_found_by_their_id() {
    let home = home();
    let token = text(&MADE["rolled"]);
    assert_eq!(refused(&home, token), "jws.unknown_key");
    assert_eq!(
        home.web.asked(),
        [KEYS, KEYS],
        "asked once more, and no oftener"
    );
    home.web.put(KEYS, MADE["new"].to_string());
    taken(&home, token);
}

#[test]
fn an_issuer_that_does_not_answer_refuses_nobody_for_good() {
    let home = home();
    for broken in ["", "{}", "[]", "{\"keys\": 7}"] {
        home.web.put(KEYS, broken);
        let ended = block_on(authenticate(&home.ports(), text(&MADE["taken"]["ES256"])));
        let Err(AuthError::Port(error)) = ended else {
            panic!("{ended:?}");
        };
        assert!(error.is_transient(), "{error}");
    }
}

#[test]
fn a_claim_inside_another_gives_the_greatest_role_of_its_values() {
    let home = home();
    trust(&home, "realm.roles", &[("boss", Role::Admin)]);
    assert_eq!(
        taken(&home, text(&MADE["taken"]["ES384"])).role,
        Role::Admin
    );
    trust(
        &home,
        "groups",
        &[("everybody", Role::Viewer), ("releasers", Role::Triager)],
    );
    assert_eq!(
        taken(&home, text(&MADE["taken"]["ES384"])).role,
        Role::Triager
    );
}

#[test]
fn tokens_of_issuers_are_taken_back_by_id_and_by_subject_and_with_the_issuer() {
    let home = home();
    let (named, other) = (text(&MADE["named"]), text(&MADE["taken"]["RS256"]));
    let reason = String::new;
    order(
        &home,
        Action::RevokeToken {
            id: "token-1".into(),
            reason: reason(),
        },
    );
    assert_eq!(refused(&home, named), "token.revoked");
    // Without an id of its own a token has one from its content.
    let id = taken(&home, other).jti;
    order(
        &home,
        Action::RevokeToken {
            id,
            reason: reason(),
        },
    );
    assert_eq!(refused(&home, other), "token.revoked");
    let third = text(&MADE["taken"]["ES256"]);
    let subject = taken(&home, third).sub;
    home.clock.advance(Duration::from_secs(1));
    order(
        &home,
        Action::RevokeSubject {
            subject,
            reason: reason(),
        },
    );
    assert_eq!(refused(&home, third), "token.revoked");
    order(&home, Action::RemoveIssuer { url: ISSUER.into() });
    assert_eq!(refused(&home, text(&MADE["taken"]["ES384"])), "jws.type");
}
