//! `init`, `check`, `help`: what they print and write.

use crate::support::{ask, assert_failed, git, stderr, stdout, write};
use serde_json::Value;
use std::fs;

#[test]
fn what_init_writes_check_takes() {
    let folder = tempfile::tempdir().unwrap();
    let product = folder.path();
    write(
        product,
        &[
            ("shop/__init__.py", ""),
            ("shop/__main__.py", ""),
            ("shop/VERSION", "1.0.0\n"),
            ("tests/__init__.py", ""),
        ],
    );
    git(product, &["init", "--quiet", "--initial-branch=trunk"]);
    let origin = "git@example.com:corner/Corner_Shop.git";
    git(product, &["remote", "add", "origin", origin]);

    let done = ask(product, &["init"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let text = fs::read_to_string(product.join("kintsugi.toml")).unwrap();
    for line in [
        "name = \"corner-shop\"",
        "branch = \"trunk\"",
        "command = [\"python3\", \"-m\", \"unittest\", \"discover\", \"-s\", \"tests\", \"-t\", \".\"]",
        "include = [\"shop\"]",
        "version_file = \"shop/VERSION\"",
        "command = [\"python3\", \"-m\", \"shop\", \"--help\"]",
    ] {
        assert!(
            text.lines().any(|it| it == line),
            "{line} is not in\n{text}"
        );
    }
    let done = ask(product, &["check"]);
    assert_eq!(stdout(&done), "kintsugi.toml: ok, product corner-shop\n");
    assert_eq!(done.status.code(), Some(0));
}

#[test]
fn a_product_with_pytest_is_tested_with_pytest() {
    let folder = tempfile::tempdir().unwrap();
    let test = "import pytest\n";
    write(
        folder.path(),
        &[("src/shop/__init__.py", ""), ("test/test_shop.py", test)],
    );
    assert!(ask(folder.path(), &["init"]).status.success());
    let text = fs::read_to_string(folder.path().join("kintsugi.toml")).unwrap();
    for line in [
        "command = [\"python3\", \"-m\", \"pytest\", \"-q\"]",
        "include = [\"src/shop\"]",
        "tests_folder = \"test\"",
    ] {
        assert!(
            text.lines().any(|it| it == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn init_says_that_fixes_need_python_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[("main.c", "int main(void) { return 0; }\n")],
    );
    let done = ask(folder.path(), &["init"]);
    assert!(done.status.success());
    assert!(
        stderr(&done).starts_with("warning: no Python"),
        "{}",
        stderr(&done)
    );
    assert!(ask(folder.path(), &["check"]).status.success());
}

#[test]
fn init_replaces_a_file_only_when_forced() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("kintsugi.toml", "mine")]);
    let done = ask(folder.path(), &["init"]);
    assert_failed(&done, 3, "file_exists", &["kintsugi.toml", "--force"]);
    let text = || fs::read_to_string(folder.path().join("kintsugi.toml")).unwrap();
    assert_eq!(text(), "mine");
    assert!(ask(folder.path(), &["init", "--force"]).status.success());
    assert_ne!(text(), "mine");
}

#[test]
fn check_names_file_line_key_and_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ask(folder.path(), &["init"]).status.success());
    let path = folder.path().join("kintsugi.toml");
    let text = fs::read_to_string(&path).unwrap();
    let broken = text.replace("#soak_seconds = 3600", "soak_seconds = \"an hour\"");
    let line = 1 + broken
        .lines()
        .position(|line| line.starts_with("soak_"))
        .unwrap();
    fs::write(&path, broken).unwrap();

    let done = ask(folder.path(), &["check"]);
    let place = format!("kintsugi.toml:{line}: rollout.soak_seconds: ");
    assert_failed(&done, 3, "config_broken", &[&place, "expected u64"]);

    let done = ask(folder.path(), &["check", "--json"]);
    let object: Value = serde_json::from_str(&stdout(&done)).unwrap();
    let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "message", "help"]);
    assert_eq!(object["code"], "config_broken");
    assert!(object["message"].as_str().unwrap().starts_with(&place));
}

#[test]
fn a_file_that_is_not_there_is_missing_and_not_broken() {
    let folder = tempfile::tempdir().unwrap();
    let done = ask(folder.path(), &["check", "other.toml"]);
    assert_failed(&done, 3, "config_missing", &["other.toml", "kintsugi init"]);
}

#[test]
fn help_prints_the_table_of_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let done = ask(folder.path(), &["help", "exit-codes"]);
    let text = stdout(&done);
    assert_eq!(text.trim_end(), kintsugi::exit::table().trim_end());
    assert!(text.contains("   4  the address is in use"), "{text}");
    let done = ask(folder.path(), &["help", "up"]);
    assert!(stdout(&done).contains("--listen <ADDR>"));
}

#[test]
fn the_program_carries_the_licences_that_must_go_along() {
    let folder = tempfile::tempdir().unwrap();
    let done = ask(folder.path(), &["help", "licences"]);
    let text = stdout(&done);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for file in ["NOTICE", "licences/hakoniwa.txt", "licences/GPL-3.0.txt"] {
        let whole = fs::read_to_string(root.join(file)).unwrap();
        assert!(text.contains(whole.trim_end()), "{file}");
    }
    let done = ask(folder.path(), &["--version"]);
    assert!(stdout(&done).contains("kintsugi help licences"));
}

#[test]
fn wrong_arguments_end_with_2_and_are_an_object_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let done = ask(folder.path(), &["up", "--json", "--listen", "everywhere"]);
    assert_eq!(done.status.code(), Some(2));
    let object: Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(object["code"], "wrong_arguments");
    assert!(object["message"].as_str().unwrap().contains("everywhere"));
}
