//! Envelopes: read back, refused, and read by securesystemslib.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_trust::attestation::{
    AttestationError, BUILD_TYPE, BuildDefinition, Builder, FixMade, PAYLOAD_TYPE, Parameters,
    Provenance, Resource, RunDetails, RunMetadata, Statement, Subject, TestRun, assemble,
    pre_authentication_encoding, sha256, verify,
};
use kintsugi_trust::key::{PublicKey, SecretKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn secret(number: u8) -> SecretKey {
    SecretKey::from_random(&[number; 48]).unwrap()
}

fn trusted(id: &str) -> Option<PublicKey> {
    let key = secret(1).public_key().unwrap();
    (key.key_id().as_str() == id).then_some(key)
}

fn statement() -> Statement {
    let subject = Subject {
        name: "till-1.0.1.tar.zst".to_owned(),
        digest: sha256(&Digest::of(b"the package")),
    };
    let commit = BTreeMap::from([("gitCommit".to_owned(), "c0".to_owned())]);
    let passed = |name: &str| TestRun {
        name: name.to_owned(),
        passed: true,
    };
    Statement::new(
        vec![subject],
        Provenance {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE.to_owned(),
                external_parameters: Parameters {
                    product: "till".to_owned(),
                    version: "1.0.1".to_owned(),
                    build: 7,
                    channel: "stable".to_owned(),
                    train: "patch".to_owned(),
                    predicate: Some("enough_fixes".to_owned()),
                    commit: "c1".to_owned(),
                    fixes: vec![FixMade {
                        id: "fix1".to_owned(),
                        issue: "issue1".to_owned(),
                        rule: "guard".to_owned(),
                        class: "guards".to_owned(),
                        commit: None,
                        gates: vec![passed("regression_after")],
                        approved_by: vec!["ada".to_owned()],
                    }],
                    issues: vec!["issue1".to_owned()],
                },
                resolved_dependencies: vec![Resource {
                    name: "source".to_owned(),
                    uri: None,
                    digest: commit,
                    annotations: BTreeMap::new(),
                }],
            },
            run_details: RunDetails {
                builder: Builder {
                    id: "urn:kintsugi:engine".to_owned(),
                    version: BTreeMap::new(),
                },
                metadata: RunMetadata {
                    invocation_id: "job1".to_owned(),
                    started_on: Timestamp::UNIX_EPOCH,
                },
                byproducts: vec![],
            },
        },
    )
}

fn envelope_of(payload: &[u8], key: u8) -> String {
    let message = pre_authentication_encoding(payload);
    let id = secret(key).public_key().unwrap().key_id();
    assemble(payload, &[(id, secret(key).sign(&message).unwrap())])
}

fn envelope() -> Value {
    serde_json::from_str(&envelope_of(&statement().payload().unwrap(), 1)).unwrap()
}

fn refusal(envelope: &Value) -> AttestationError {
    verify(envelope.to_string().as_bytes(), trusted).unwrap_err()
}

#[test]
fn the_encoding_that_is_signed_is_that_of_the_specification() {
    let found = pre_authentication_encoding(b"hello world");
    let expected = b"DSSEv1 28 application/vnd.in-toto+json 11 hello world";
    assert_eq!(found, expected);
}

#[test]
fn an_envelope_that_a_trusted_key_signed_gives_its_statement() {
    let read = verify(envelope().to_string().as_bytes(), trusted).unwrap();
    assert_eq!(read, statement());
    let named = read.names(&Digest::of(b"the package")).next();
    assert_eq!(named, Some("till-1.0.1.tar.zst"));
    assert_eq!(read.names(&Digest::of(b"another")).next(), None);
}

#[test]
fn an_envelope_is_refused_with_the_exact_reason() {
    let with = |name: &str, value: Value| {
        let mut envelope = envelope();
        envelope[name] = value;
        refusal(&envelope)
    };
    let code = |error: AttestationError| error.code();
    let other = STANDARD.encode(b"{}");
    assert_eq!(code(with("payload", json!(other))), "attestation.signature");
    assert_eq!(code(with("payload", json!("§"))), "attestation.envelope");
    let kind = with("payloadType", json!("text/plain"));
    assert_eq!(code(kind), "attestation.payload_type");
    assert_eq!(
        code(with("signatures", json!([]))),
        "attestation.unknown_key"
    );
    assert_eq!(code(with("signatures", json!(7))), "attestation.envelope");

    // Signed by a key that is not trusted, under its own name and under the trusted key's.
    let payload = statement().payload().unwrap();
    let mut forged: Value = serde_json::from_str(&envelope_of(&payload, 2)).unwrap();
    assert_eq!(refusal(&forged).code(), "attestation.unknown_key");
    let id = secret(1).public_key().unwrap().key_id();
    forged["signatures"][0]["keyid"] = json!(id);
    assert_eq!(refusal(&forged).code(), "attestation.signature");

    // Rightly signed, and something else.
    for (path, value) in [
        ("_type", json!("https://in-toto.io/Statement/v0.1")),
        ("predicateType", json!("https://slsa.dev/provenance/v0.2")),
        ("subject", json!("all")),
    ] {
        let mut statement = json!(statement());
        statement[path] = value;
        let text = envelope_of(statement.to_string().as_bytes(), 1);
        let error = verify(text.as_bytes(), trusted).unwrap_err();
        assert_eq!(error.code(), "attestation.statement", "{path}");
    }
}

#[test]
fn securesystemslib_takes_our_envelope_and_refuses_it_changed() {
    #[expect(clippy::disallowed_methods, reason = "the test's only setting")]
    let interpreter = std::env::var("KINTSUGI_TEST_PYTHON").expect(
        "KINTSUGI_TEST_PYTHON must name a Python with securesystemslib: run `cargo xtask test`",
    );
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("a.json"), folder.path().join("key.pem"));
    std::fs::write(&file, envelope().to_string()).unwrap();
    std::fs::write(&key, secret(1).public_key().unwrap().pem()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dsse.py");
    let output = Command::new(interpreter)
        .args([&script, &file, &key])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    let key_id = secret(1).public_key().unwrap().key_id();
    assert_eq!(read["keyids"], json!([key_id]));
    assert_eq!(read["payload_type"], PAYLOAD_TYPE);
    assert_eq!(read["statement"], json!(statement()));
}

proptest! {
    #[test]
    fn nothing_that_is_given_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..400usize) {
        prop_assert!(verify(&bytes, trusted).is_err());
        let mut text = envelope().to_string().into_bytes();
        let at = at % text.len();
        text[at] ^= 0x20;
        // A letter's case may change where it does not count.
        if let Ok(read) = verify(&text, trusted) {
            prop_assert_eq!(read, statement());
        }
    }
}
