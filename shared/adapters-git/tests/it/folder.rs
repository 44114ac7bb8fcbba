//! What git adds to the promises of a forge: real repositories, working trees, hooks.

use crate::common::{self, git, product};
use kintsugi_adapters_git::GitForge;
use kintsugi_domain::ports::{Forge, Proposal};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn proposal(folder: &Path, base: &str, files: &[(&str, &str)]) -> Proposal {
    common::proposal(folder.to_str().unwrap(), base, files)
}

#[tokio::test]
async fn a_commit_has_the_fixed_author_the_proposals_date_and_message_and_one_parent() {
    let folder = tempfile::tempdir().unwrap();
    product(folder.path());
    let base = git(folder.path(), &["rev-parse", "main"]);
    let proposal = proposal(
        folder.path(),
        &base,
        &[("app.py", "fixed\n"), ("run.sh", "true\n")],
    );
    let commit = GitForge::new().propose(&proposal).await.unwrap();
    let shown = [
        "show",
        "--no-patch",
        "--format=%an %ae %at %cn %ce %ct%n%P%n%B",
        &commit,
    ];
    let about = "Kintsugi kintsugi@localhost 1767603600 Kintsugi kintsugi@localhost 1767603600";
    let expected = format!("{about}\n{base}\nFix a crash\n\nIssue 1.");
    assert_eq!(git(folder.path(), &shown), expected);
    // An executable file stays executable.
    let tree = git(folder.path(), &["ls-tree", &commit, "run.sh"]);
    assert!(tree.starts_with("100755"), "{tree}");
    git(folder.path(), &["fsck", "--strict"]);
}

#[tokio::test]
async fn the_same_proposal_gives_the_same_commit_in_another_clone() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    product(one.path());
    let clone = two.path().join("clone");
    git(
        one.path(),
        &["clone", "--quiet", ".", clone.to_str().unwrap()],
    );
    let base = git(one.path(), &["rev-parse", "main"]);
    let forge = GitForge::new();
    let files = [("app.py", "fixed\n")];
    let first = forge
        .propose(&proposal(one.path(), &base, &files))
        .await
        .unwrap();
    let second = forge
        .propose(&proposal(&clone, &base, &files))
        .await
        .unwrap();
    assert_eq!(first, second);
}

#[tokio::test]
async fn work_that_people_put_on_top_of_a_proposal_stays() {
    let folder = tempfile::tempdir().unwrap();
    product(folder.path());
    let base = git(folder.path(), &["rev-parse", "main"]);
    let proposal = proposal(folder.path(), &base, &[("app.py", "fixed\n")]);
    let forge = GitForge::new();
    let commit = forge.propose(&proposal).await.unwrap();
    git(folder.path(), &["switch", "--quiet", "kintsugi/fix-1"]);
    git(
        folder.path(),
        &["commit", "--quiet", "--allow-empty", "--message", "review"],
    );
    let tip = git(folder.path(), &["rev-parse", "HEAD"]);
    assert_eq!(forge.propose(&proposal).await.unwrap(), commit);
    assert_eq!(git(folder.path(), &["rev-parse", "kintsugi/fix-1"]), tip);
}

#[tokio::test]
async fn a_checked_out_branch_is_not_moved_under_a_persons_feet_but_the_tag_is_set() {
    let folder = tempfile::tempdir().unwrap();
    product(folder.path());
    let base = git(folder.path(), &["rev-parse", "main"]);
    let forge = GitForge::new();
    let proposal = proposal(folder.path(), &base, &[("app.py", "fixed\n")]);
    let commit = forge.propose(&proposal).await.unwrap();
    let repository = &proposal.repository;
    assert!(
        !forge
            .land(repository, "main", &commit, "v1.0.1")
            .await
            .unwrap()
    );
    assert_eq!(git(folder.path(), &["rev-parse", "main"]), base);
    assert_eq!(git(folder.path(), &["rev-parse", "v1.0.1"]), commit);
    assert_eq!(git(folder.path(), &["status", "--porcelain"]), "");
    // After the person merged it, landing finds it there.
    git(
        folder.path(),
        &["merge", "--quiet", "--ff-only", "kintsugi/fix-1"],
    );
    assert!(
        forge
            .land(repository, "main", &commit, "v1.0.1")
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn no_hook_and_no_filter_of_the_repository_runs() {
    let folder = tempfile::tempdir().unwrap();
    product(folder.path());
    let mark = folder.path().join("hook-ran");
    for hook in [
        "reference-transaction",
        "post-index-change",
        "pre-commit",
        "post-commit",
    ] {
        let hook = folder.path().join(".git/hooks").join(hook);
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\n", mark.display())).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let base = git(folder.path(), &["rev-parse", "main"]);
    let forge = GitForge::new();
    let files = [
        ("app.py", "a\r\nb\r\n"),
        (".gitattributes", "* text eol=lf filter=evil\n"),
    ];
    let proposal = proposal(folder.path(), &base, &files);
    git(
        folder.path(),
        &[
            "config",
            "filter.evil.clean",
            &format!("touch '{}'", mark.display()),
        ],
    );
    // The person's own git may run hooks; only ours must not.
    fs::remove_file(&mark).unwrap_or_default();
    let commit = forge.propose(&proposal).await.unwrap();
    forge
        .land(&proposal.repository, "main", &commit, "v1.0.1")
        .await
        .unwrap();
    assert!(!mark.exists());
    let content = forge
        .file(&proposal.repository, &commit, "app.py")
        .await
        .unwrap();
    assert_eq!(content.as_deref(), Some("a\r\nb\r\n"));
}

#[tokio::test]
async fn a_file_cannot_replace_a_folder_nor_go_through_a_file_or_a_link() {
    let folder = tempfile::tempdir().unwrap();
    product(folder.path());
    fs::create_dir(folder.path().join("lib")).unwrap();
    fs::write(folder.path().join("lib/util.py"), "x\n").unwrap();
    std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "--message", "second"]);
    let base = git(folder.path(), &["rev-parse", "main"]);
    let forge = GitForge::new();
    for path in ["lib", "app.py/below", "link/passwd", "link"] {
        let refusal = forge
            .propose(&proposal(folder.path(), &base, &[(path, "x")]))
            .await;
        assert!(
            refusal.unwrap_err().to_string().contains(" there"),
            "{path}"
        );
    }
    let link = forge
        .file(folder.path().to_str().unwrap(), &base, "link")
        .await
        .unwrap();
    assert_eq!(link, None, "a link is not a file");
}

#[tokio::test]
async fn a_folder_inside_a_repository_is_not_that_repository() {
    let folder = tempfile::tempdir().unwrap();
    product(folder.path());
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let refusal = GitForge::new()
        .head(inside.to_str().unwrap(), "main")
        .await
        .unwrap_err();
    assert!(
        refusal.to_string().contains("git cannot use it"),
        "{refusal}"
    );
}
