//! Attacks on tokens in general.

use crate::repository::{public, secret};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use kintsugi_trust::jws::{self, JwsError, TOKEN_BYTES_MAX};
use kintsugi_trust::key::PublicKey;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

const TYP: &str = "test+jws";

fn kid() -> String {
    public(4).key_id().to_string()
}

/// The one trusted key.
fn keys(id: &str) -> Option<PublicKey> {
    (id == kid()).then(|| public(4))
}

fn verify(token: &str) -> Result<Value, JwsError> {
    jws::verify(token, TYP, keys)
}

/// A token with any header, properly signed by a trusted key.
fn token(header: &Value, claims: &str) -> String {
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims)
    );
    jws::assemble(&input, &secret(4).sign(input.as_bytes()).unwrap()).unwrap()
}

fn good() -> String {
    let input = jws::signing_input(&kid(), TYP, &json!({"n": 1})).unwrap();
    jws::assemble(&input, &secret(4).sign(input.as_bytes()).unwrap()).unwrap()
}

fn parts(token: &str) -> Vec<String> {
    token.split('.').map(str::to_owned).collect()
}

#[test]
fn a_token_gives_the_claims_that_were_signed() {
    assert_eq!(verify(&good()), Ok(json!({"n": 1})));
}

#[test]
fn the_algorithm_is_never_what_the_token_says() {
    for alg in [
        json!("none"),
        json!("ES256"),
        json!("es384"),
        json!("HS384"),
        json!(null),
    ] {
        let token = token(&json!({"alg": alg, "kid": kid(), "typ": TYP}), "{}");
        assert!(
            matches!(verify(&token), Err(JwsError::Algorithm { .. })),
            "{alg}"
        );
    }
    let unsigned = good().rsplit_once('.').unwrap().0.to_owned() + ".";
    assert!(matches!(verify(&unsigned), Err(JwsError::Signature(_))));
}

#[test]
fn a_mac_under_the_public_key_is_no_signature() {
    let header = json!({"alg": "ES384", "kid": kid(), "typ": TYP}).to_string();
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode("{}")
    );
    let mut mac = Hmac::<sha2::Sha384>::new_from_slice(public(4).pem().as_bytes()).unwrap();
    mac.update(input.as_bytes());
    let tag = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    assert!(matches!(
        verify(&format!("{input}.{tag}")),
        Err(JwsError::Signature(_))
    ));
}

#[test]
fn the_signature_of_zeros_is_refused() {
    let mut parts = parts(&good());
    parts[2] = URL_SAFE_NO_PAD.encode([0; 96]);
    assert!(matches!(
        verify(&parts.join(".")),
        Err(JwsError::Signature(_))
    ));
}

#[test]
fn one_kind_of_token_cannot_stand_for_another() {
    let other: Result<Value, _> = jws::verify(&good(), "other+jws", keys);
    assert!(matches!(other, Err(JwsError::Type { .. })));
    let untyped = token(&json!({"alg": "ES384", "kid": kid()}), "{}");
    assert!(matches!(verify(&untyped), Err(JwsError::Type { .. })));
}

#[test]
fn a_key_that_the_token_brings_is_not_used() {
    let header = json!({"alg": "ES384", "kid": "mine", "typ": TYP, "jwk": {"kty": "EC"}});
    assert_eq!(
        verify(&token(&header, "{}")),
        Err(JwsError::UnknownKey { kid: "mine".into() })
    );
    let nameless = token(&json!({"alg": "ES384", "typ": TYP}), "{}");
    assert!(matches!(verify(&nameless), Err(JwsError::Malformed { .. })));
}

#[test]
fn an_extension_that_must_be_understood_is_refused() {
    for crit in [json!(["b64"]), json!([]), json!(null)] {
        let header = json!({"alg": "ES384", "kid": kid(), "typ": TYP, "crit": crit, "b64": false});
        assert_eq!(verify(&token(&header, "{}")), Err(JwsError::Critical));
    }
}

#[test]
fn a_token_has_one_spelling_only() {
    let good = parts(&good());
    let padded = |part: &str| URL_SAFE.encode(URL_SAFE_NO_PAD.decode(part).unwrap());
    for index in 0..3 {
        let mut parts = good.clone();
        parts[index] = padded(&parts[index]);
        if parts[index] != good[index] {
            assert!(verify(&parts.join(".")).is_err(), "padding in part {index}");
        }
        let mut parts = good.clone();
        parts[index].insert(4, '\n');
        assert!(
            verify(&parts.join(".")).is_err(),
            "white space in part {index}"
        );
    }
    for token in [
        good.join(".") + ".x",
        good[..2].join("."),
        format!(" {}", good.join(".")),
        String::new(),
        "..".to_owned(),
    ] {
        assert!(verify(&token).is_err(), "{token}");
    }
}

#[test]
fn a_der_signature_is_no_jose_signature() {
    let mut parts = parts(&good());
    let input = parts[..2].join(".");
    parts[2] = URL_SAFE_NO_PAD.encode(secret(4).sign(input.as_bytes()).unwrap());
    assert!(matches!(
        verify(&parts.join(".")),
        Err(JwsError::Signature(_))
    ));
}

#[test]
fn a_token_is_bounded() {
    let claims = json!({"n": "x".repeat(TOKEN_BYTES_MAX)}).to_string();
    let header = json!({"alg": "ES384", "kid": kid(), "typ": TYP});
    assert_eq!(verify(&token(&header, &claims)), Err(JwsError::TooLarge));
}

#[test]
fn a_claim_that_is_there_twice_is_refused() {
    let header = json!({"alg": "ES384", "kid": kid(), "typ": TYP});
    let token = token(&header, r#"{"n":1,"n":2}"#);
    assert!(matches!(verify(&token), Err(JwsError::Malformed { .. })));
}

#[test]
fn another_key_of_the_same_name_does_not_fit() {
    let claimed: Result<Value, _> = jws::verify(&good(), TYP, |_| Some(public(5)));
    assert!(matches!(claimed, Err(JwsError::Signature(_))));
}

static GOOD: LazyLock<String> = LazyLock::new(good);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_token_with_any_character_changed_is_refused(place in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
        let good = &*GOOD;
        let place = place.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(place..=place, &with);
        prop_assume!(changed != *good);
        prop_assert!(verify(&changed).is_err());
    }
}
