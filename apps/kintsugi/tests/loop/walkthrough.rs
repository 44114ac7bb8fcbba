//! The story as it should go.

use crate::story::assert_golden;
use crate::support::{kintsugi, stderr, stdout};
use serde_json::Value;

/// What a program gets to know of a demo that went well, in this order.
const KEYS: [&str; 18] = [
    "event_id",
    "issue_id",
    "fix_id",
    "fix_commit",
    "release",
    "delta_bytes",
    "full_bytes",
    "tuf_verified",
    "installed_version",
    "healed",
    "devices",
    "canary_devices",
    "bad_release",
    "devices_offered_bad_release",
    "devices_on_bad_release_at_end",
    "halt_reason",
    "rolled_back_to",
    "seconds",
];

#[test]
fn the_demo_tells_its_story_and_answers_with_one_object() {
    let mut command = kintsugi();
    // That something is tried again is no part of the story; that something fails is.
    command
        .args(["demo", "--json"])
        .env("KINTSUGI_LOG", "error");
    let done = command.output().unwrap();
    assert_eq!(
        done.status.code(),
        Some(0),
        "{}{}",
        stderr(&done),
        stdout(&done)
    );
    assert_golden("demo.txt", &stderr(&done));

    assert_eq!(stdout(&done).lines().count(), 1);
    let told: Value = serde_json::from_str(&stdout(&done)).unwrap();
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(keys, KEYS);
    for (key, value) in told.as_object().unwrap() {
        assert!(!value.is_null(), "{key}");
    }
    let number = |key: &str| told[key].as_u64().unwrap();
    assert!(number("delta_bytes") < number("full_bytes"), "{told:#}");
    assert_eq!(number("devices"), 60);
    assert!(number("canary_devices") < number("devices"), "{told:#}");
    let offered = number("devices_offered_bad_release");
    assert!(offered > 0, "{told:#}");
    assert!(offered <= number("canary_devices"), "{told:#}");
    assert_eq!(number("devices_on_bad_release_at_end"), 0);
    for key in ["healed", "tuf_verified"] {
        assert_eq!(told[key], true, "{key}");
    }
    for (key, version) in [
        ("release", "1.0.1"),
        ("installed_version", "1.0.1"),
        ("bad_release", "1.1.0"),
        ("rolled_back_to", "1.0.1"),
    ] {
        assert_eq!(told[key], version, "{key}");
    }
    let why = told["halt_reason"].as_str().unwrap();
    assert!(why.contains("installs of the new version failed"), "{why}");
    assert_eq!(told["fix_commit"].as_str().unwrap().len(), 40);
}
