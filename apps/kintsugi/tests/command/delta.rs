//! `delta make`, `apply`, `info`: from file to file.

use crate::support::{ask, assert_failed, stderr, stdout, write};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn versions(folder: &Path) -> (String, String) {
    let lines: Vec<String> = (0..500).map(|n| format!("line {n} of {}", n * n)).collect();
    let old = lines.join(
        "
",
    );
    let new = old.replace("line 250", "a line of its own, 250");
    write(folder, &[("old", &old), ("new", &new)]);
    (old, new)
}

#[test]
fn a_delta_that_was_made_leads_from_the_old_file_to_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (_, new) = versions(folder.path());
    let made = ask(folder.path(), &["delta", "make", "old", "new", "out.delta"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let bytes = fs::read(folder.path().join("out.delta")).unwrap().len();
    assert!(stdout(&made).starts_with(&format!("out.delta: {bytes} bytes, ")));

    let applied = ask(
        folder.path(),
        &["delta", "apply", "old", "out.delta", "there"],
    );
    assert!(applied.status.success(), "{}", stderr(&applied));
    let there = fs::read_to_string(folder.path().join("there")).unwrap();
    assert_eq!(there, new);

    let info = ask(folder.path(), &["delta", "info", "out.delta", "--json"]);
    let info: Value = serde_json::from_str(&stdout(&info)).unwrap();
    assert_eq!(info["bytes"], bytes);
    assert_eq!(info["to"]["bytes"], new.len());
    let text = stdout(&ask(folder.path(), &["delta", "info", "out.delta"]));
    assert!(
        text.contains(info["from"]["digest"].as_str().unwrap()),
        "{text}"
    );
}

#[test]
fn a_delta_on_the_wrong_base_or_with_a_flaw_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    versions(folder.path());
    let made = ask(folder.path(), &["delta", "make", "old", "new", "out.delta"]);
    assert!(made.status.success(), "{}", stderr(&made));

    let wrong = ask(
        folder.path(),
        &["delta", "apply", "new", "out.delta", "there"],
    );
    assert_failed(&wrong, 1, "delta_wrong_base", &["the delta starts from "]);

    let delta = fs::read(folder.path().join("out.delta")).unwrap();
    let cut = delta.get(..delta.len() - 8).unwrap();
    fs::write(folder.path().join("cut.delta"), cut).unwrap();
    let wrong = ask(
        folder.path(),
        &["delta", "apply", "old", "cut.delta", "there"],
    );
    assert_failed(&wrong, 1, "delta_corrupt", &["the delta is damaged: "]);

    let wrong = ask(folder.path(), &["delta", "info", "old"]);
    assert_failed(&wrong, 1, "delta_not_a_delta", &[]);
    let wrong = ask(folder.path(), &["delta", "make", "old", "away", "there"]);
    assert_failed(&wrong, 3, "file", &["cannot read away"]);
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["cut.delta", "new", "old", "out.delta"]);
}

#[test]
fn what_is_no_file_is_not_replaced_and_what_is_one_keeps_its_rights() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (_, new) = versions(folder.path());
    let made = ask(folder.path(), &["delta", "make", "old", "new", "out.delta"]);
    assert!(made.status.success(), "{}", stderr(&made));
    // As a device is: `/dev/null` would be gone for everybody.
    let socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    std::os::unix::fs::symlink("socket", path("link")).unwrap();
    for out in ["socket", "link"] {
        for words in [
            ["make", "old", "new", out],
            ["apply", "old", "out.delta", out],
        ] {
            let refused = ask(folder.path(), &[&["delta"][..], &words].concat());
            assert_failed(&refused, 3, "file", &["it is not a regular file"]);
        }
    }
    assert!(!path("socket").metadata().unwrap().is_file());
    drop(socket);

    // In place, under a name that leads to it.
    fs::set_permissions(path("old"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("old", path("current")).unwrap();
    let done = ask(
        folder.path(),
        &["delta", "apply", "old", "out.delta", "current"],
    );
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(path("current").symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_to_string(path("old")).unwrap(), new);
    let mode = path("old").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}
