//! Canonical JSON, keys and target paths.

use crate::repository::{public, secret};
use kintsugi_domain::digest::Digest;
use kintsugi_trust::json::{JsonError, canonical, parse};
use kintsugi_trust::key::{KeyError, PublicKey, SecretKey, raw_signature};
use kintsugi_trust::tuf::TargetPath;
use olpc_cjson::CanonicalFormatter;
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

fn refused(text: &str) -> bool {
    matches!(
        parse(text.as_bytes(), 1_000),
        Err(JsonError::Malformed { .. })
    )
}

#[test]
fn json_that_can_be_read_in_two_ways_is_refused() {
    for text in [
        r#"{"a":1,"a":2}"#,
        r#"{"x":{"a":1,"b":2,"a":1}}"#,
        r#"{"a":1,"\u0061":2}"#,
        "1.5",
        "1e3",
        "-0",
        "18446744073709551616",
        "{} {}",
        r#"{"a":1,}"#,
        r#""\ud800""#,
        "NaN",
        "",
    ] {
        assert!(refused(text), "{text}");
    }
    assert!(refused(&"[".repeat(500)), "deep nesting");
    assert_eq!(
        parse(b"[1,2,3]", 6),
        Err(JsonError::TooLarge { bytes_max: 6 })
    );
}

#[test]
fn the_canonical_form_sorts_by_code_point_and_escapes_only_quote_and_backslash() {
    let value = json!({"b": [true, null, -7], "ä": "\n\"\\/é", "a": {"z": 1, "Z": 2}, "\u{1F600}": 0, "\u{FFFD}": 0});
    let text = String::from_utf8(canonical(&value).unwrap()).unwrap();
    assert_eq!(
        text,
        "{\"a\":{\"Z\":2,\"z\":1},\"b\":[true,null,-7],\"ä\":\"\n\\\"\\\\/é\",\"\u{FFFD}\":0,\"\u{1F600}\":0}"
    );
    assert_eq!(canonical(&json!(0.5)), Err(JsonError::Fraction));
}

#[test]
fn another_spelling_of_a_name_is_another_text_to_a_signature() {
    let composed = canonical(&json!({"caf\u{e9}": 1})).unwrap();
    let decomposed = canonical(&json!({"cafe\u{301}": 1})).unwrap();
    assert_ne!(composed, decomposed);
}

/// Values in NFC with keys above `"` that need no escapes, where `olpc-cjson` must agree.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[ -~\\n\\t]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[#-\\[\\]-~]{0,6}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_canonical_form_is_that_of_a_second_writer(value in values()) {
        let mut other = Vec::new();
        let mut writer =
            serde_json::Serializer::with_formatter(&mut other, CanonicalFormatter::new());
        value.serialize(&mut writer).unwrap();
        prop_assert_eq!(canonical(&value).unwrap(), other);
    }

    #[test]
    fn reading_never_fails_on_what_was_written(value in values()) {
        let text = serde_json::to_vec(&value).unwrap();
        prop_assert_eq!(parse(&text, 1 << 20).unwrap(), value);
    }

    #[test]
    fn reading_never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&text, 100);
    }

    #[test]
    fn a_target_path_never_leaves_its_folder(text in "[a-z./\\\\:\\x00]{0,12}") {
        if let Ok(path) = text.parse::<TargetPath>() {
            let joined = std::path::Path::new("/folder").join(path.as_str());
            prop_assert!(joined.starts_with("/folder"));
            let plain = joined
                .components()
                .skip(2)
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            prop_assert!(plain, "{text}");
        }
    }
}

#[test]
fn unsafe_target_paths_are_refused() {
    for text in [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../x",
        "a/../b",
        "a/..",
        ".",
        "./a",
        "a//b",
        "a/",
        "a\\b",
        "C:x",
        "C:/x",
        "a\0b",
        "a\nb",
        &"x".repeat(513),
    ] {
        assert!(text.parse::<TargetPath>().is_err(), "{text:?}");
    }
    for text in [
        "a",
        "a/b.tar.zst",
        "…/ü",
        ".hidden",
        "a..b",
        "..a",
        "a b+c%d?e#f",
    ] {
        assert!(text.parse::<TargetPath>().is_ok(), "{text:?}");
    }
}

#[test]
fn the_hashed_name_stays_in_the_folder_of_the_target() {
    let digest = Digest::of(b"x");
    let name = |text: &str| text.parse::<TargetPath>().unwrap().hashed_name(&digest);
    assert_eq!(name("a"), format!("{digest}.a"));
    assert_eq!(name("a/b/c.txt"), format!("a/b/{digest}.c.txt"));
}

#[test]
fn a_key_has_one_id_however_its_pem_was_wrapped() {
    let key = public(1);
    let crlf = key.pem().replace('\n', "\r\n");
    let again = PublicKey::from_pem(&crlf).unwrap();
    assert_eq!(again, key);
    assert_eq!(again.key_id(), key.key_id());
    assert_eq!(key.key_id().as_str().len(), 64);
}

#[test]
fn a_key_survives_pkcs8_and_signs_the_same() {
    let key = secret(9);
    let der = key.to_pkcs8_der().unwrap();
    let again = SecretKey::from_pkcs8_der(der.as_bytes()).unwrap();
    assert_eq!(again.sign(b"m").unwrap(), key.sign(b"m").unwrap());
    let signature = key.sign(b"m").unwrap();
    let public = key.public_key().unwrap();
    assert_eq!(public.verify(b"m", &signature), Ok(()));
    assert_eq!(
        public.verify(b"n", &signature),
        Err(KeyError::WrongSignature)
    );
    let raw = raw_signature(&signature).unwrap();
    assert_eq!(public.verify_raw(b"m", &raw), Ok(()));
    assert_eq!(public.verify(b"m", &raw), Err(KeyError::NotASignature));
    assert_eq!(format!("{key:?}"), "SecretKey(..)");
}

#[test]
fn random_bytes_outside_the_order_of_the_curve_are_refused() {
    for bytes in [[0; 48], [0xff; 48]] {
        let error = SecretKey::from_random(&bytes).unwrap_err();
        assert_eq!(error, KeyError::OutOfRange);
    }
}
