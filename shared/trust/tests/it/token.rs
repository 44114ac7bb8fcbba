//! Admin tokens.

use crate::repository::{at, now, public, secret};
use kintsugi_trust::jws;
use kintsugi_trust::key::PublicKey;
use kintsugi_trust::token::{Expected, Role, Token, TokenError, verify};
use serde_json::json;
use std::time::Duration;

const SKEW: Duration = Duration::from_secs(30);
const HOME: Expected<'_> = Expected {
    issuer: "kintsugi",
    audience: "https://home.example",
};

fn claims() -> Token {
    Token {
        iss: "kintsugi".into(),
        aud: "https://home.example".into(),
        sub: "ana".into(),
        role: Role::Releaser,
        iat: now().as_second(),
        exp: now().as_second() + 3_600,
        jti: "t-1".into(),
    }
}

fn kid() -> String {
    public(7).key_id().to_string()
}

fn keys(id: &str) -> Option<PublicKey> {
    (id == kid()).then(|| public(7))
}

fn sign(input: &str) -> String {
    jws::assemble(input, &secret(7).sign(input.as_bytes()).unwrap()).unwrap()
}

fn token(claims: &Token) -> String {
    sign(&claims.signing_input(&kid()).unwrap())
}

#[test]
fn a_token_gives_its_claims_to_its_audience_and_where_its_maker_is_trusted() {
    let token = token(&claims());
    let read = |issuer, audience| {
        let expected = Expected { issuer, audience };
        verify(&token, keys, expected, now(), SKEW)
    };
    assert_eq!(read("kintsugi", "https://home.example"), Ok(claims()));
    assert!(matches!(
        read("kintsugi", "https://other.example"),
        Err(TokenError::Audience { .. })
    ));
    assert!(matches!(
        read("https://other.example", "https://home.example"),
        Err(TokenError::Issuer { .. })
    ));
}

#[test]
fn a_token_ends_and_does_not_begin_early() {
    let token = token(&claims());
    let read = |time| verify(&token, keys, HOME, at(time), SKEW);
    assert!(read("2026-11-21T13:00:29Z").is_ok());
    assert_eq!(read("2026-11-21T13:00:30Z"), Err(TokenError::Expired));
    assert!(read("2026-11-21T11:59:30Z").is_ok());
    assert_eq!(read("2026-11-21T11:59:29Z"), Err(TokenError::NotYet));
}

#[test]
fn a_token_that_lives_too_long_is_refused() {
    let day = 24 * 3_600;
    let life = |days: i64| {
        let claims = claims();
        let exp = claims.iat + days * day;
        verify(&token(&Token { exp, ..claims }), keys, HOME, now(), SKEW)
    };
    assert!(life(90).is_ok());
    assert_eq!(life(91), Err(TokenError::Life));
    let claims = claims();
    let endless = token(&Token {
        exp: i64::MAX,
        iat: i64::MIN,
        ..claims
    });
    assert_eq!(
        verify(&endless, keys, HOME, now(), SKEW),
        Err(TokenError::Life)
    );
}

#[test]
fn a_token_without_an_end_is_refused() {
    let mut endless = serde_json::to_value(claims()).unwrap();
    endless.as_object_mut().unwrap().remove("exp");
    let input = jws::signing_input(&kid(), "kintsugi-admin+jwt", &endless).unwrap();
    let error = verify(&sign(&input), keys, HOME, now(), SKEW).unwrap_err();
    assert_eq!(error.code(), "jws.claims");
}

#[test]
fn a_role_may_do_what_the_roles_below_it_may_and_no_more() {
    let roles = [Role::Viewer, Role::Triager, Role::Releaser, Role::Admin];
    for (has, role) in roles.into_iter().enumerate() {
        for (needs, needed) in roles.into_iter().enumerate() {
            let token = Token { role, ..claims() };
            assert_eq!(token.require(needed).is_ok(), has >= needs);
        }
    }
}

#[test]
fn a_runner_does_its_own_work_and_nothing_of_what_people_do() {
    let people = [Role::Viewer, Role::Triager, Role::Releaser, Role::Admin];
    let token = |role| Token { role, ..claims() };
    token(Role::Runner).require(Role::Runner).unwrap();
    for role in people {
        let refused = token(Role::Runner).require(role).unwrap_err();
        assert_eq!(refused.code(), "token.role");
        token(role).require(Role::Runner).unwrap_err();
        assert!(Role::Runner < role, "no comparison lets a runner in");
    }
}

#[test]
fn an_invented_role_is_refused() {
    let mut claims = serde_json::to_value(claims()).unwrap();
    claims["role"] = json!("owner");
    let input = jws::signing_input(&kid(), "kintsugi-admin+jwt", &claims).unwrap();
    assert!(verify(&sign(&input), keys, HOME, now(), SKEW).is_err());
}

#[test]
fn a_statement_cannot_stand_for_a_token() {
    let input = jws::signing_input(&kid(), "kintsugi-release+jws", &claims()).unwrap();
    let error = verify(&sign(&input), keys, HOME, now(), SKEW).unwrap_err();
    assert_eq!(error.code(), "jws.type");
}
