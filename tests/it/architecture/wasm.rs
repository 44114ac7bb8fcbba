//! What runs at the edge: domain and trust, compiled to wasm32-unknown-unknown, which has no system below it.
//!
//! Not here: compiling them. That needs the standard library of that target, which not every machine has
//! (`docs/tuf.md` says how it was done); what would keep them from it is checked instead.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::process::{Command, Stdio};

/// Crates that ask a system, a browser or a C compiler for something.
const NEEDS_MORE: &[&str] = &[
    "getrandom",
    "js-sys",
    "libc",
    "ring",
    "rustix",
    "wasm-bindgen",
    "windows-sys",
];

/// The crates below one of ours on wasm, with these features.
fn crates_below(package: &str, features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", package])
        .args(["--target", "wasm32-unknown-unknown"])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(features)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn domain_and_trust_need_nothing_that_wasm_has_not() {
    let found = |package: &str, features: &[&str]| -> Vec<String> {
        let crates = crates_below(package, features);
        assert!(crates.iter().any(|it| it == "sha2"), "{package}");
        let needs = |name: &String| NEEDS_MORE.contains(&name.as_str());
        crates.into_iter().filter(needs).collect()
    };
    for package in ["kintsugi-domain", "kintsugi-trust"] {
        assert_eq!(found(package, &[]), Vec::<String>::new(), "{package}");
    }
    let foreign = found("kintsugi-trust", &["--features", "foreign-keys"]);
    assert!(foreign.contains(&"ring".to_owned()), "it would be seen");
}
