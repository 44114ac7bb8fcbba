//! A product's repository, made with the `git` program as a person would, and a host that serves it.

use kintsugi_adapters_git::{Credentials, StoredCredentials};
use kintsugi_domain::Timestamp;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::Proposal;
use kintsugi_testkit::git_http::GitHttp;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// Runs git in a folder and returns what it printed.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "commit.gpgSign=false",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with `app.py` and an executable `run.sh` on `main`, checked out.
pub(crate) fn product(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    git(folder, &["init", "--quiet"]);
    fs::write(folder.join("app.py"), "print('hello')\n").unwrap();
    fs::write(folder.join("run.sh"), "exec python3 app.py\n").unwrap();
    fs::set_permissions(folder.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "--message", "first"]);
}

/// A proposal for branch `kintsugi/fix-1`.
pub(crate) fn proposal(repository: &str, base: &str, files: &[(&str, &str)]) -> Proposal {
    Proposal {
        project: ProjectId(1),
        repository: repository.to_owned(),
        branch: "kintsugi/fix-1".to_owned(),
        base: base.to_owned(),
        files: files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), (*content).to_owned()))
            .collect(),
        message: "Fix a crash\n\nIssue 1.\n".to_owned(),
        at: Timestamp::from_second(1_767_603_600).unwrap(),
    }
}

/// The login of the host.
pub(crate) const LOGIN: (&str, &str) = ("ada", "hunter2:%");

/// A host with a login, and the folder of its repositories.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) host: GitHttp,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = GitHttp::of(folder.path()).login(LOGIN.0, LOGIN.1);
        let host = host.serve().unwrap();
        Self { folder, host }
    }

    /// The host's login as an operator stores it.
    pub(crate) fn credentials(&self) -> Arc<dyn Credentials> {
        let line = format!("https://ada:hunter2%3a%25@{}\n", self.host.host());
        Arc::new(StoredCredentials::parse(&line).unwrap())
    }

    /// Makes a bare repository of the product.
    pub(crate) fn make(&self, name: &str, filter: bool) -> PathBuf {
        let work = tempfile::tempdir().unwrap();
        product(work.path());
        self.make_of(work.path(), name, filter)
    }

    /// Makes a bare repository of a working tree.
    pub(crate) fn make_of(&self, work: &Path, name: &str, filter: bool) -> PathBuf {
        let bare = self.folder.path().join(name);
        let to = bare.to_str().unwrap();
        git(work, &["clone", "--quiet", "--bare", ".", to]);
        let filter = if filter { "true" } else { "false" };
        git(&bare, &["config", "uploadpack.allowFilter", filter]);
        bare
    }
}
