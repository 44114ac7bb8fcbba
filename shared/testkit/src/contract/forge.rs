//! What [`Forge`] promises. The caller brings a repository with a branch `main` whose tip has the file `app.py`.

#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_domain::Timestamp;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Forge, PortError, Proposal};
use std::sync::Arc;

/// A forge and the name of a repository in it: a branch `main`, not checked out anywhere, with `app.py` at its tip.
#[derive(Clone)]
pub struct Subject {
    /// The forge.
    pub forge: Arc<dyn Forge>,
    /// The repository.
    pub repository: String,
}

/// Every promise, each on a fresh repository.
pub async fn all(fresh: impl AsyncFn() -> Subject) {
    files_are_read_at_a_commit(&fresh().await).await;
    what_does_not_exist_is_refused(&fresh().await).await;
    the_same_proposal_twice_is_one_commit(&fresh().await).await;
    a_proposal_changes_only_its_files(&fresh().await).await;
    a_branch_with_another_change_is_refused(&fresh().await).await;
    paths_that_leave_the_tree_are_refused(&fresh().await).await;
    landing_moves_the_branch_forward(&fresh().await).await;
    landing_again_is_the_same_and_never_goes_back(&fresh().await).await;
    a_branch_that_went_elsewhere_loses_nothing(&fresh().await).await;
    a_tag_never_moves(&fresh().await).await;
}

impl Subject {
    async fn head(&self, branch: &str) -> String {
        self.forge.head(&self.repository, branch).await.unwrap()
    }

    async fn file(&self, commit: &str, path: &str) -> Option<String> {
        self.forge
            .file(&self.repository, commit, path)
            .await
            .unwrap()
    }

    async fn propose(&self, proposal: &Proposal) -> String {
        self.forge.propose(proposal).await.unwrap()
    }

    async fn land(&self, commit: &str, tag: &str) -> bool {
        let landed = self.forge.land(&self.repository, "main", commit, tag).await;
        landed.unwrap()
    }

    fn proposal(&self, branch: &str, base: &str, files: &[(&str, &str)]) -> Proposal {
        Proposal {
            project: ProjectId(1),
            repository: self.repository.clone(),
            branch: branch.to_owned(),
            base: base.to_owned(),
            files: files
                .iter()
                .map(|(path, content)| ((*path).to_owned(), (*content).to_owned()))
                .collect(),
            message: format!("A change on {branch}\n\nWith a body: \"quoted\", $HOME, `ls`.\n"),
            at: Timestamp::from_second(1_767_603_600).unwrap(),
        }
    }
}

fn refused<T: std::fmt::Debug>(answer: &Result<T, PortError>) -> bool {
    matches!(answer, Err(PortError::Broken { .. }))
}

/// The tip of a branch is known, and a file is read at a commit; a file that is not there is nothing.
pub async fn files_are_read_at_a_commit(subject: &Subject) {
    let main = subject.head("main").await;
    assert!(subject.file(&main, "app.py").await.is_some());
    assert_eq!(subject.file(&main, "no/such.py").await, None);
}

/// Unknown repositories, branches, commits and hostile names are refused, not invented.
pub async fn what_does_not_exist_is_refused(subject: &Subject) {
    let forge = &subject.forge;
    let main = subject.head("main").await;
    assert!(refused(&forge.head("/no/such/repository", "main").await));
    for branch in [
        "nothing",
        "--help",
        "",
        "main..main",
        "main~1",
        "main^{tree}",
    ] {
        assert!(
            refused(&forge.head(&subject.repository, branch).await),
            "{branch:?}"
        );
        let proposal = subject.proposal(branch, &main, &[("x", "y")]);
        if branch != "nothing" {
            assert!(refused(&forge.propose(&proposal).await), "{branch:?}");
        }
    }
    for commit in [
        "0123456789012345678901234567890123456789",
        "main",
        "HEAD",
        "--all",
        "",
    ] {
        let file = forge.file(&subject.repository, commit, "app.py").await;
        assert!(refused(&file), "{commit:?}: {file:?}");
        let landed = forge.land(&subject.repository, "main", commit, "v9").await;
        assert!(refused(&landed), "{commit:?}: {landed:?}");
        let proposal = subject.proposal("from-nothing", commit, &[("x", "y")]);
        assert!(refused(&forge.propose(&proposal).await), "{commit:?}");
    }
    assert_eq!(subject.head("main").await, main);
}

/// The same proposal twice gives the same commit, at the tip of its branch; also when people built on it.
pub async fn the_same_proposal_twice_is_one_commit(subject: &Subject) {
    let main = subject.head("main").await;
    let proposal = subject.proposal("kintsugi/fix-1", &main, &[("app.py", "fixed\n")]);
    let commit = subject.propose(&proposal).await;
    assert_eq!(subject.propose(&proposal).await, commit);
    assert_eq!(subject.head("kintsugi/fix-1").await, commit);
    assert_eq!(
        subject.head("main").await,
        main,
        "a proposal moved the branch it stands on"
    );
}

/// Files are written whole, new folders included; the base's other files stay; the base is untouched.
pub async fn a_proposal_changes_only_its_files(subject: &Subject) {
    let main = subject.head("main").await;
    let before = subject.file(&main, "app.py").await;
    let content = "new\n  file\twith ünïcode and no last line break";
    let files = [("tests/deep/er/test_new.py", content), ("empty", "")];
    let proposal = subject.proposal("kintsugi/fix-2", &main, &files);
    let commit = subject.propose(&proposal).await;
    for (path, content) in files {
        assert_eq!(
            subject.file(&commit, path).await.as_deref(),
            Some(content),
            "{path}"
        );
        assert_eq!(subject.file(&main, path).await, None, "{path}");
    }
    assert_eq!(subject.file(&commit, "app.py").await, before);
}

/// Another change under a name that is taken is refused, and what was there stays.
pub async fn a_branch_with_another_change_is_refused(subject: &Subject) {
    let main = subject.head("main").await;
    let first = subject.proposal("kintsugi/fix-3", &main, &[("app.py", "one\n")]);
    let commit = subject.propose(&first).await;
    let second = subject.proposal("kintsugi/fix-3", &main, &[("app.py", "two\n")]);
    assert!(refused(&subject.forge.propose(&second).await));
    assert_eq!(subject.head("kintsugi/fix-3").await, commit);
}

/// A path outside the tree, or into the repository's own folder, is refused; no branch is made.
pub async fn paths_that_leave_the_tree_are_refused(subject: &Subject) {
    let main = subject.head("main").await;
    let hostile = [
        "",
        "/etc/passwd",
        "../outside",
        "a/../../outside",
        "a//b",
        "a/",
        "./a",
        ".git/config",
        "sub/.GIT/hooks/post-checkout",
        "a\0b",
        "a\nb",
        "a\\..\\b",
    ];
    for path in hostile {
        let proposal = subject.proposal("kintsugi/hostile", &main, &[(path, "x")]);
        let answer = subject.forge.propose(&proposal).await;
        assert!(refused(&answer), "{path:?}: {answer:?}");
        let file = subject.forge.file(&subject.repository, &main, path).await;
        assert!(refused(&file), "{path:?}: {file:?}");
    }
    let head = subject
        .forge
        .head(&subject.repository, "kintsugi/hostile")
        .await;
    assert!(refused(&head), "{head:?}");
}

/// A commit that stands on the tip becomes the tip.
pub async fn landing_moves_the_branch_forward(subject: &Subject) {
    let main = subject.head("main").await;
    let proposal = subject.proposal("kintsugi/fix-4", &main, &[("app.py", "landed\n")]);
    let commit = subject.propose(&proposal).await;
    assert!(subject.land(&commit, "v1.0.1").await);
    assert_eq!(subject.head("main").await, commit);
}

/// Landing twice is landing once; landing what the branch already holds does not move it back.
pub async fn landing_again_is_the_same_and_never_goes_back(subject: &Subject) {
    let main = subject.head("main").await;
    let first = subject.proposal("kintsugi/fix-5", &main, &[("app.py", "first\n")]);
    let first = subject.propose(&first).await;
    assert!(subject.land(&first, "v1.0.1").await);
    assert!(subject.land(&first, "v1.0.1").await);
    let second = subject.proposal("kintsugi/fix-6", &first, &[("app.py", "second\n")]);
    let second = subject.propose(&second).await;
    assert!(subject.land(&second, "v1.0.2").await);
    assert!(subject.land(&first, "v1.0.1").await);
    assert_eq!(subject.head("main").await, second, "the branch went back");
}

/// When the branch went elsewhere, landing says so and leaves it as it is.
pub async fn a_branch_that_went_elsewhere_loses_nothing(subject: &Subject) {
    let main = subject.head("main").await;
    let ours = subject.proposal("kintsugi/fix-7", &main, &[("app.py", "ours\n")]);
    let ours = subject.propose(&ours).await;
    let theirs = subject.proposal("kintsugi/fix-8", &main, &[("app.py", "theirs\n")]);
    let theirs = subject.propose(&theirs).await;
    assert!(subject.land(&theirs, "v1.0.1").await);
    assert!(!subject.land(&ours, "v1.0.2").await);
    assert!(!subject.land(&ours, "v1.0.2").await);
    assert_eq!(subject.head("main").await, theirs);
    assert_eq!(subject.head("kintsugi/fix-7").await, ours);
}

/// A tag names one commit for ever: landing another commit under it is refused and moves nothing.
pub async fn a_tag_never_moves(subject: &Subject) {
    let main = subject.head("main").await;
    let first = subject.proposal("kintsugi/fix-9", &main, &[("app.py", "first\n")]);
    let first = subject.propose(&first).await;
    assert!(subject.land(&first, "v1.0.1").await);
    let second = subject.proposal("kintsugi/fix-10", &first, &[("app.py", "second\n")]);
    let second = subject.propose(&second).await;
    let landed = subject
        .forge
        .land(&subject.repository, "main", &second, "v1.0.1")
        .await;
    assert!(refused(&landed), "{landed:?}");
    for tag in ["", "--delete", "v1..2", "a b"] {
        let landed = subject
            .forge
            .land(&subject.repository, "main", &second, tag)
            .await;
        assert!(refused(&landed), "{tag:?}: {landed:?}");
    }
    assert_eq!(subject.head("main").await, first);
}
