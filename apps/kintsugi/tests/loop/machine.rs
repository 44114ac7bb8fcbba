//! A Python that came without pip, as Debian's does.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support::{kintsugi, stderr, stdout};
use std::env;
use std::path::Path;
use std::process::Command;

/// Makes a real Python without pip and returns the folder of its program.
fn without_pip(folder: &Path) -> std::path::PathBuf {
    let python = folder.join("python");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--without-pip"]).arg(&python);
    assert!(venv.status().unwrap().success());
    let programs = python.join("bin");
    let pip = Command::new(programs.join("python3"))
        .args(["-m", "pip", "--version"])
        .output()
        .unwrap();
    assert!(stderr(&pip).contains("No module named pip"), "{pip:?}");
    programs
}

#[test]
fn where_python_came_without_pip_the_product_heals_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut path = without_pip(folder.path()).into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap());
    let mut command = kintsugi();
    command.arg("demo").env("PATH", path);
    let done = command.output().unwrap();
    let (story, said) = (stdout(&done), stderr(&done));
    assert_eq!(done.status.code(), Some(0), "{said}{story}");
    assert!(said.contains("sentry-sdk is installed from PyPI"), "{said}");
    let last = story.lines().last().unwrap();
    assert!(last.starts_with("It healed, in "), "{story}");
}
