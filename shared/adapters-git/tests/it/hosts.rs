//! What hosts add to the promises of a forge: credentials, packs, protection of branches, people who are faster.

use crate::common::{LOGIN, Site, git, product, proposal};
use kintsugi_adapters_git::{Forges, GitForge, HttpForge, NoCredentials, StoredCredentials};
use kintsugi_domain::ports::{Forge, PortError};
use kintsugi_testkit::git_http::{Answer, GitHttp};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

fn forge(site: &Site) -> HttpForge {
    HttpForge::new(site.credentials())
}

fn told<T: std::fmt::Debug>(answer: Result<T, PortError>, transient: bool) -> String {
    let error = answer.unwrap_err();
    assert_eq!(error.is_transient(), transient, "{error}");
    let told = error.to_string();
    assert!(!told.contains("hunter2"), "{told}");
    told
}

/// A working tree with folders, an executable file, a link, and names that git sorts in its own way.
fn varied(folder: &Path) {
    product(folder);
    for (path, content) in [
        ("lib/a.py", "a\n"),
        ("lib/deep/er/b.py", "b\n"),
        ("lib.py", "c\n"),
        ("lib-x", "d\n"),
        ("lib0/e", "e\n"),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    symlink("lib", folder.join("link")).unwrap();
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "--message", "second"]);
}

#[tokio::test]
async fn a_proposal_is_the_same_commit_on_a_host_and_in_a_folder() {
    let (site, work) = (Site::new(), tempfile::tempdir().unwrap());
    varied(work.path());
    let base = git(work.path(), &["rev-parse", "main"]);
    let proposals: [&[(&str, &str)]; 5] = [
        &[("app.py", "fixed\n"), ("run.sh", "true\n"), ("empty", "")],
        &[
            ("lib/a.py", "x"),
            ("lib/deep/new.py", "y"),
            ("lib/deep.py", "z"),
        ],
        &[
            ("lib0.py", "x"),
            ("lib/x/y/z", "1"),
            ("lib-x", "2"),
            ("a", "3"),
        ],
        &[
            ("ünï/cödé.py", "ünïcode without a line break"),
            ("A/b", "\r\n"),
        ],
        &[],
    ];
    for (number, files) in proposals.iter().enumerate() {
        let name = format!("{number}.git");
        let bare = site.make_of(work.path(), &name, true);
        let here = proposal(work.path().to_str().unwrap(), &base, files);
        let mut here = here;
        here.branch = format!("kintsugi/fix-{number}");
        here.message = format!("{number}: no line break at the end, ünïcode");
        let mut there = here.clone();
        there.repository = site.host.url(&name);
        let expected = GitForge::new().propose(&here).await.unwrap();
        assert_eq!(forge(&site).propose(&there).await.unwrap(), expected);
        git(&bare, &["fsck", "--strict", "--no-dangling"]);
    }
}

/// Makes a branch `old` whose root is written exactly so: modes and names, all of them with the content of `app.py`.
fn branch_of(work: &Path, entries: &[&str]) -> String {
    let blob = git(work, &["rev-parse", "main:app.py"]);
    let blob = gix_hash::ObjectId::from_hex(blob.as_bytes()).unwrap();
    let entry = |entry: &&str| [entry.as_bytes(), b"\0", blob.as_slice()].concat();
    let tree: Vec<u8> = entries.iter().flat_map(entry).collect();
    let mut child = Command::new("git")
        .args(["hash-object", "-t", "tree", "-w", "--stdin", "--literally"])
        .current_dir(work)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &tree).unwrap();
    let tree = child.wait_with_output().unwrap().stdout;
    let tree = String::from_utf8(tree).unwrap().trim().to_owned();
    let commit = git(work, &["commit-tree", &tree, "-m", "old"]);
    git(work, &["branch", "old", &commit]);
    commit
}

#[tokio::test]
async fn modes_of_old_versions_of_git_are_written_as_git_writes_them_today() {
    let (site, work) = (Site::new(), tempfile::tempdir().unwrap());
    product(work.path());
    let base = branch_of(work.path(), &["100664 app.py"]);
    site.make_of(work.path(), "old.git", true);
    let here = proposal(work.path().to_str().unwrap(), &base, &[("new.py", "x")]);
    let mut there = here.clone();
    there.repository = site.host.url("old.git");
    let expected = GitForge::new().propose(&here).await.unwrap();
    assert_eq!(forge(&site).propose(&there).await.unwrap(), expected);
    let file = forge(&site).file(&there.repository, &base, "app.py").await;
    assert_eq!(file.unwrap().as_deref(), Some("print('hello')\n"));
}

#[tokio::test]
async fn a_folder_that_is_not_as_git_writes_it_is_refused() {
    let folders = [["100644 b", "100644 a"], ["100644 a", "100644 a"]];
    for entries in folders {
        let (site, work) = (Site::new(), tempfile::tempdir().unwrap());
        product(work.path());
        let base = branch_of(work.path(), &entries);
        site.make_of(work.path(), "old.git", true);
        let url = site.host.url("old.git");
        let answer = forge(&site)
            .propose(&proposal(&url, &base, &[("c", "x")]))
            .await;
        told(answer, false);
        told(forge(&site).file(&url, &base, "c").await, false);
    }
}

#[tokio::test]
async fn a_file_cannot_replace_a_folder_nor_go_through_a_file_or_a_link() {
    let (site, work) = (Site::new(), tempfile::tempdir().unwrap());
    varied(work.path());
    site.make_of(work.path(), "till.git", true);
    let url = site.host.url("till.git");
    let base = git(work.path(), &["rev-parse", "main"]);
    for path in ["lib", "app.py/below", "link/passwd", "link"] {
        let answer = forge(&site)
            .propose(&proposal(&url, &base, &[(path, "x")]))
            .await;
        assert!(told(answer, false).contains(" there"), "{path}");
    }
    let both = [("new", "x"), ("new/file", "y")];
    let answer = forge(&site).propose(&proposal(&url, &base, &both)).await;
    assert!(told(answer, false).contains("a file and a folder"));
    for path in ["link", "lib", "lib/none", "app.py/below"] {
        assert_eq!(forge(&site).file(&url, &base, path).await.unwrap(), None);
    }
    let deep = forge(&site).file(&url, &base, "lib/deep/er/b.py").await;
    assert_eq!(deep.unwrap().as_deref(), Some("b\n"));
}

/// Sixty folders of fifty files, two kilobytes each that do not compress.
fn large(folder: &Path) {
    git(folder, &["init", "--quiet"]);
    let mut state = 1_u64;
    for number in 0..3000 {
        let mut content = String::new();
        while content.len() < 2000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            write!(content, "{state:x}").unwrap();
        }
        let folder = folder.join(format!("part{}", number / 50));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("file{number}.py")), content).unwrap();
    }
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "--message", "first"]);
}

#[tokio::test]
async fn one_file_of_a_large_repository_is_read_without_the_others() {
    let (site, work) = (Site::new(), tempfile::tempdir().unwrap());
    large(work.path());
    let bare = site.make_of(work.path(), "large.git", true);
    git(&bare, &["repack", "-adfq"]);
    let url = site.host.url("large.git");
    let forge = forge(&site);
    let head = forge.head(&url, "main").await.unwrap();
    let expected = fs::read_to_string(work.path().join("part7/file350.py")).unwrap();
    let found = forge.file(&url, &head, "part7/file350.py").await.unwrap();
    assert_eq!(found.as_ref(), Some(&expected));
    let first = site.host.sent();
    assert!(first < 250_000, "{first} bytes for one file of 6 MB");
    // The folders of a commit are fetched once.
    let again = forge.file(&url, &head, "part8/file400.py").await.unwrap();
    assert_eq!(
        again.unwrap().len(),
        fs::read(work.path().join("part8/file400.py"))
            .unwrap()
            .len()
    );
    let second = site.host.sent() - first;
    assert!(second < 8_000, "{second} bytes for the second file");
    // A host that leaves nothing out sends all, and the answer is the same.
    git(&bare, &["config", "uploadpack.allowFilter", "false"]);
    let whole = HttpForge::new(site.credentials());
    let found = whole.file(&url, &head, "part7/file350.py").await.unwrap();
    assert_eq!(found, Some(expected));
    assert!(site.host.sent() > 3_000_000);
}

#[tokio::test]
async fn deltas_of_a_long_history_are_understood() {
    let (site, work) = (Site::new(), tempfile::tempdir().unwrap());
    varied(work.path());
    for round in 0..40 {
        let lines = (0..400).map(|line| format!("line {}\n", if line == round { 0 } else { line }));
        fs::write(work.path().join("lib/a.py"), lines.collect::<String>()).unwrap();
        git(
            work.path(),
            &["commit", "--quiet", "--all", "--message", "next"],
        );
    }
    let bare = site.make_of(work.path(), "till.git", false);
    git(&bare, &["repack", "-adfq", "--depth=50", "--window=50"]);
    let url = site.host.url("till.git");
    for commit in ["main", "main~1", "main~20", "main~39"] {
        let commit = git(&bare, &["rev-parse", commit]);
        let expected = git(&bare, &["show", &format!("{commit}:lib/a.py")]);
        let found = forge(&site).file(&url, &commit, "lib/a.py").await.unwrap();
        assert_eq!(found.unwrap().trim(), expected, "{commit}");
    }
}

#[tokio::test]
async fn without_the_right_credential_the_answer_names_what_to_do() {
    let site = Site::new();
    site.make("till.git", true);
    let url = site.host.url("till.git");
    let none = HttpForge::new(Arc::new(NoCredentials));
    let words = told(none.head(&url, "main").await, false);
    assert!(words.contains("none is stored for 127.0.0.1"), "{words}");
    let line = format!("http://{}:hunter2-wrong@{}", LOGIN.0, site.host.host());
    let wrong = HttpForge::new(Arc::new(StoredCredentials::parse(&line).unwrap()));
    let words = told(wrong.head(&url, "main").await, false);
    assert!(
        words.contains("refused") && words.contains("docs/configuration.md"),
        "{words}"
    );
    let words = told(
        forge(&site).head(&site.host.url("none.git"), "main").await,
        false,
    );
    assert!(words.contains("no such repository"), "{words}");
}

#[tokio::test]
async fn a_repository_is_a_folder_or_an_address_with_tls() {
    let forges = Forges::new(Arc::new(NoCredentials));
    for address in [
        "http://git.example.org/till.git",
        "https://ada:hunter2@git.example.org/till.git",
        "ssh://git@example.org/till.git",
        "git@example.org:till.git",
        "till",
        "",
    ] {
        let words = told(forges.head(address, "main").await, false);
        assert!(words.contains("repository"), "{words}");
    }
}

#[tokio::test]
async fn a_host_that_does_not_let_us_move_the_branch_leaves_the_merge_to_people() {
    let site = Site::new();
    let bare = site.make("till.git", true);
    let hook = bare.join("hooks/update");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let script =
        "#!/bin/sh\ntest \"$1\" != refs/heads/main || { echo main is protected >&2; exit 1; }\n";
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    // The same where somebody has it checked out on the host.
    let work = site.folder.path().join("work");
    product(&work);
    for name in ["till.git", "work"] {
        let (url, forge) = (site.host.url(name), forge(&site));
        let base = forge.head(&url, "main").await.unwrap();
        let commit = forge
            .propose(&proposal(&url, &base, &[("app.py", "x")]))
            .await
            .unwrap();
        assert!(!forge.land(&url, "main", &commit, "v1.0.1").await.unwrap());
        assert_eq!(forge.head(&url, "main").await.unwrap(), base);
        let folder = site.folder.path().join(name);
        assert_eq!(git(&folder, &["rev-parse", "v1.0.1"]), commit);
    }
    fs::write(&hook, "#!/bin/sh\ntest \"$1\" != refs/tags/v1.0.2\n").unwrap();
    let (url, forge) = (site.host.url("till.git"), forge(&site));
    let tip = forge.head(&url, "kintsugi/fix-1").await.unwrap();
    let words = told(forge.land(&url, "main", &tip, "v1.0.2").await, false);
    assert!(
        words.contains("tag v1.0.2") && words.contains("hook declined"),
        "{words}"
    );
}

#[tokio::test]
async fn work_that_people_put_on_top_of_a_proposal_stays_and_lands() {
    let site = Site::new();
    let bare = site.make("till.git", true);
    let (url, forge) = (site.host.url("till.git"), forge(&site));
    let base = forge.head(&url, "main").await.unwrap();
    let proposal = proposal(&url, &base, &[("app.py", "fixed\n")]);
    let commit = forge.propose(&proposal).await.unwrap();
    let tree = git(&bare, &["rev-parse", &format!("{commit}^{{tree}}")]);
    let review = git(
        &bare,
        &["commit-tree", &tree, "-p", &commit, "-m", "review"],
    );
    // A merge, so that the way to the tip is one of two.
    let aside = git(&bare, &["commit-tree", &tree, "-m", "aside"]);
    let parents = [
        "commit-tree",
        &tree,
        "-p",
        &aside,
        "-p",
        &review,
        "-m",
        "merge",
    ];
    let top = git(&bare, &parents);
    git(&bare, &["update-ref", "refs/heads/kintsugi/fix-1", &top]);
    assert_eq!(forge.propose(&proposal).await.unwrap(), commit);
    assert_eq!(forge.head(&url, "kintsugi/fix-1").await.unwrap(), top);
    // People also made the tag, with a message.
    git(
        &bare,
        &["tag", "--annotate", "--message", "by hand", "v1.0.1", &top],
    );
    assert!(forge.land(&url, "main", &top, "v1.0.1").await.unwrap());
    assert_eq!(forge.head(&url, "main").await.unwrap(), top);
    assert!(forge.land(&url, "main", &commit, "v1.0.0").await.unwrap());
    assert_eq!(forge.head(&url, "main").await.unwrap(), top);
}

#[tokio::test]
async fn what_is_no_commit_is_neither_landed_nor_tagged() {
    let site = Site::new();
    for (name, filter) in [("one.git", true), ("other.git", false)] {
        let bare = site.make(name, filter);
        let (url, forge) = (site.host.url(name), forge(&site));
        for object in ["main^{tree}", "main:app.py"] {
            let id = git(&bare, &["rev-parse", object]);
            told(forge.land(&url, "main", &id, "v1.0.1").await, false);
            told(forge.file(&url, &id, "app.py").await, false);
            told(
                forge.propose(&proposal(&url, &id, &[("x", "y")])).await,
                false,
            );
        }
        assert_eq!(git(&bare, &["tag"]), "");
    }
}

#[tokio::test]
async fn a_repository_with_sha_256_names_is_refused_with_the_reason() {
    let site = Site::new();
    let bare = site.folder.path().join("new.git");
    let init = [
        "init",
        "--quiet",
        "--bare",
        "--object-format=sha256",
        "new.git",
    ];
    git(site.folder.path(), &init);
    let tree = git(&bare, &["write-tree"]);
    let commit = git(&bare, &["commit-tree", &tree, "-m", "first"]);
    git(&bare, &["update-ref", "refs/heads/main", &commit]);
    let (url, forge) = (site.host.url("new.git"), forge(&site));
    assert!(told(forge.head(&url, "main").await, false).contains("SHA-256"));
    assert!(told(forge.file(&url, &commit, "x").await, false).contains("SHA-256"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_the_same_proposal_is_one_and_of_others_one_wins() {
    let site = Site::new();
    let bare = site.make("till.git", true);
    let (url, forge) = (site.host.url("till.git"), forge(&site));
    let base = forge.head(&url, "main").await.unwrap();
    let all = |proposals: Vec<_>| {
        let tasks = proposals.into_iter().map(|proposal| {
            let forge = forge.clone();
            tokio::spawn(async move { forge.propose(&proposal).await })
        });
        tasks.collect::<Vec<_>>()
    };
    let same = proposal(&url, &base, &[("app.py", "same\n")]);
    let mut commits = Vec::new();
    for task in all(vec![same; 6]) {
        commits.push(task.await.unwrap().unwrap());
    }
    commits.dedup();
    assert_eq!(commits.len(), 1);
    let others = (0..6).map(|number| {
        let mut other = proposal(&url, &base, &[("app.py", &format!("{number}\n"))]);
        other.branch = "kintsugi/fix-2".to_owned();
        other
    });
    let mut won = Vec::new();
    for task in all(others.collect()) {
        match task.await.unwrap() {
            Ok(commit) => won.push(commit),
            Err(error) => assert!(!error.is_transient(), "{error}"),
        }
    }
    assert_eq!(won, [git(&bare, &["rev-parse", "kintsugi/fix-2"])]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_that_land_at_once_none_is_lost() {
    let site = Site::new();
    let bare = site.make("till.git", true);
    let (url, forge) = (site.host.url("till.git"), forge(&site));
    let base = forge.head(&url, "main").await.unwrap();
    let mut tasks = Vec::new();
    for number in 0..4 {
        let mut change = proposal(&url, &base, &[("app.py", &format!("{number}\n"))]);
        change.branch = format!("kintsugi/fix-{number}");
        let commit = forge.propose(&change).await.unwrap();
        let (forge, url) = (forge.clone(), url.clone());
        tasks.push(tokio::spawn(async move {
            let tag = format!("v1.0.{number}");
            (
                commit.clone(),
                forge.land(&url, "main", &commit, &tag).await,
            )
        }));
    }
    let mut landed = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (commit, Ok(true)) => landed.push(commit),
            (_, Ok(false)) => {}
            (_, Err(error)) => assert!(error.is_transient(), "{error}"),
        }
    }
    assert_eq!(landed, [git(&bare, &["rev-parse", "main"])]);
    assert_eq!(git(&bare, &["tag"]).lines().count(), 4);
}

/// A host whose every answer is this one.
fn always(answer: Answer) -> (tempfile::TempDir, GitHttp) {
    let folder = tempfile::tempdir().unwrap();
    let host = GitHttp::of(folder.path()).changing(move |_, _| answer.clone());
    let host = host.serve().unwrap();
    (folder, host)
}

#[tokio::test]
async fn a_status_is_told_as_what_may_pass_or_what_stays() {
    let forge = HttpForge::new(Arc::new(NoCredentials));
    for (status, transient) in [
        (500, true),
        (502, true),
        (503, true),
        (429, true),
        (408, true),
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (410, false),
        (204, false),
    ] {
        let (_folder, host) = always(Answer::of(status));
        told(forge.head(&host.url("till.git"), "main").await, transient);
    }
    let mut busy = Answer::of(403);
    busy.headers
        .push(("Retry-After".to_owned(), "60".to_owned()));
    let (_folder, host) = always(busy);
    told(forge.head(&host.url("till.git"), "main").await, true);
    let gone = host.url("till.git");
    drop(host);
    told(forge.head(&gone, "main").await, true);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_takes_no_credential_along() {
    let other = Site::new();
    other.make("till.git", true);
    let mut moved = Answer::of(301);
    let location = format!("{}/info/refs", other.host.url("till.git"));
    moved.headers.push(("Location".to_owned(), location));
    let (_folder, host) = always(moved);
    let line = format!("http://ada:hunter2@{}", host.host());
    let forge = HttpForge::new(Arc::new(StoredCredentials::parse(&line).unwrap()));
    let words = told(forge.head(&host.url("till.git"), "main").await, false);
    assert!(words.contains("it has moved to"), "{words}");
    assert_eq!(other.host.sent(), 0);
}
