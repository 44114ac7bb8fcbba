//! `release`: versions side by side.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support::{assert_failed, kintsugi, stdout};
use serde_json::{Value, json};
use std::process::Output;

fn release(arguments: &[&str]) -> Output {
    kintsugi().arg("release").args(arguments).output().unwrap()
}

#[test]
fn compare_says_what_kind_of_update_it_is() {
    let done = release(&["compare", "1.4.2", "1.5.0-rc.1"]);
    assert_eq!(done.status.code(), Some(0));
    let line = "1.4.2 → 1.5.0-rc.1: minor: minor goes from 4 to 5; a pre-release (rc.1)\n";
    assert_eq!(stdout(&done), line);
    let done = release(&["compare", "2.0.0", "1.9.0", "--json"]);
    let object: Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(
        object,
        json!({
            "from": "2.0.0", "to": "1.9.0", "update": "downgrade", "from_pre_release": false,
            "to_pre_release": false, "why": "1.9.0 is below 2.0.0",
        })
    );
}

#[test]
fn compare_refuses_what_is_no_version_and_says_why() {
    let failed = release(&["compare", "1.4.2", "1.5"]);
    let why = "version “1.5”: unexpected end of input while parsing minor version number";
    assert_failed(&failed, 1, "version.invalid", &[why]);
    let failed = release(&["compare", "v1.4.2", "1.5.0"]);
    assert_failed(&failed, 1, "version.invalid", &["it begins with a “v”"]);
}
