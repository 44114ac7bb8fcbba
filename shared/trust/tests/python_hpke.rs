//! pyca/cryptography as the judge of sealed batches, in both directions.

#![cfg(feature = "seal")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use kintsugi_domain::id::ProjectId;
use kintsugi_trust::batch::{
    BATCH_FORMAT, BatchHeader, BatchSecret, Compression, SealedBatch, seal,
};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

fn python(asked: &Value) -> Value {
    #[expect(clippy::disallowed_methods, reason = "the test's only setting")]
    let interpreter = std::env::var("KINTSUGI_TEST_PYTHON").expect(
        "KINTSUGI_TEST_PYTHON must name a Python with cryptography: run `cargo xtask test`",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python_hpke.py");
    let mut child = Command::new(interpreter)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(asked.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn header(secret: &BatchSecret) -> BatchHeader {
    BatchHeader {
        format: BATCH_FORMAT,
        project: ProjectId(7),
        key: secret.public().id().to_owned(),
        batch: "b1".parse().unwrap(),
        created: "2026-11-21T12:00:00Z".parse().unwrap(),
        compression: Compression::Gzip,
    }
}

#[test]
fn another_implementation_of_hpke_opens_what_we_seal() {
    let secret = BatchSecret::derive(&[3; 32]);
    let body = seal(&header(&secret), b"from rust", secret.public(), [5; 48]).unwrap();
    let asked =
        json!({"do": "open", "secret": hex::encode(secret.scalar()), "body": hex::encode(body)});
    assert_eq!(python(&asked)["content"], hex::encode("from rust"));
}

#[test]
fn we_open_what_another_implementation_of_hpke_seals() {
    let secret = BatchSecret::derive(&[3; 32]);
    let asked = json!({
        "do": "seal",
        "key": secret.public().as_str(),
        "header": header(&secret),
        "content": hex::encode("from python"),
    });
    let body = python(&asked)["body"]
        .as_str()
        .map(hex::decode)
        .unwrap()
        .unwrap();
    let sealed = SealedBatch::read(&body).unwrap();
    assert_eq!(*sealed.header(), header(&secret));
    assert_eq!(sealed.open(&secret).unwrap(), b"from python");
}
