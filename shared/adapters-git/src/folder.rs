//! The product's source in a git repository on this machine.
//!
//! Commits are built without a checkout: no file of a working tree is touched, no hook and no filter runs. Author and date
//! come from the proposal, so **the same proposal is the same commit**, and a stage that runs again finds it made.
//!
//! Landing only ever moves a branch forward, and never a branch that somebody has checked out (its working tree would
//! look like a revert). The tag is set either way: the version was released from that commit. A tag never moves.
//!
//! Not here: repositories on hosts ([`crate::http`]), which need no `git` program.

use crate::blocking;
use crate::git::Repository;
use async_trait::async_trait;
use kintsugi_domain::ports::{Forge, PortError, Proposal, check_ref_name, check_source_path};

/// Largest source file that is read, bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Git repositories on this machine, named by their folders.
#[derive(Debug, Clone, Copy, Default)]
pub struct GitForge;

impl GitForge {
    /// Needs the program `git`, 2.36 or newer; the first call says so where it is missing.
    pub fn new() -> Self {
        Self
    }
}

/// One entry of a tree.
struct Entry {
    mode: String,
    kind: String,
    object: String,
    path: String,
}

/// Refuses what is not the full id of a commit in the repository.
fn check_commit(repository: &Repository, commit: &str) -> Result<(), PortError> {
    let what = format!("commit {commit:?}");
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !matches!(commit.len(), 40 | 64) || !commit.bytes().all(hex) {
        return Err(PortError::broken(what, "expected the full id of a commit"));
    }
    let exists = repository.run(&["cat-file", "-e", &format!("{commit}^{{commit}}")], b"")?;
    if exists.ok {
        return Ok(());
    }
    Err(PortError::broken(what, "there is no such commit"))
}

/// The commit that a full ref name points to.
fn resolve(repository: &Repository, reference: &str) -> Result<Option<String>, PortError> {
    let target = format!("{reference}^{{commit}}");
    let said = repository.run(&["rev-parse", "--verify", "--quiet", &target], b"")?;
    Ok(said.ok.then(|| said.line()))
}

fn tip(repository: &Repository, branch: &str) -> Result<String, PortError> {
    check_ref_name(branch)?;
    resolve(repository, &format!("refs/heads/{branch}"))?
        .ok_or_else(|| PortError::broken(format!("branch {branch}"), "there is no such branch"))
}

fn is_ancestor(repository: &Repository, older: &str, newer: &str) -> Result<bool, PortError> {
    let said = repository.run(&["merge-base", "--is-ancestor", older, newer], b"")?;
    if said.ok || said.stderr.is_empty() {
        return Ok(said.ok);
    }
    Err(PortError::broken(
        format!("compare commits {older} and {newer}"),
        said.stderr,
    ))
}

/// Entries at a path and, where the path goes through something that is no folder, at that.
fn entries(repository: &Repository, commit: &str, path: &str) -> Result<Vec<Entry>, PortError> {
    let mut arguments = vec!["ls-tree", "-z", "--full-tree", commit, "--", path];
    let prefixes = path.char_indices().filter(|(_, c)| *c == '/');
    arguments.extend(prefixes.filter_map(|(at, _)| path.get(..at)));
    let said = repository.run(&arguments, b"")?;
    if !said.ok {
        return Err(PortError::broken(
            format!("read {path} at {commit}"),
            said.stderr,
        ));
    }
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let parse = |line: &str| {
        let (about, path) = line.split_once('\t')?;
        let mut about = about.split(' ').map(str::to_owned);
        Some(Entry {
            mode: about.next()?,
            kind: about.next()?,
            object: about.next()?,
            path: path.to_owned(),
        })
    };
    Ok(text.split('\0').filter_map(parse).collect())
}

fn read_file(
    repository: &Repository,
    commit: &str,
    path: &str,
) -> Result<Option<String>, PortError> {
    check_source_path(path)?;
    check_commit(repository, commit)?;
    let found = entries(repository, commit, path)?;
    let is_file =
        |entry: &&Entry| entry.path == path && matches!(entry.mode.as_str(), "100644" | "100755");
    let Some(entry) = found.iter().find(is_file) else {
        return Ok(None);
    };
    let what = format!("file {path} at {commit}");
    let size = repository.ask(&what, &["cat-file", "-s", &entry.object], b"")?;
    if size.parse().is_ok_and(|bytes: u64| bytes > FILE_BYTES_MAX) {
        let why = format!("{size} bytes where at most {FILE_BYTES_MAX} are allowed");
        return Err(PortError::broken(what, why));
    }
    let said = repository.run(&["cat-file", "blob", &entry.object], b"")?;
    if !said.ok {
        return Err(PortError::broken(what, said.stderr));
    }
    match String::from_utf8(said.stdout) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(PortError::broken(what, "it is not UTF-8 text")),
    }
}

/// The mode a file keeps or gets; refuses a path that would replace a folder or go through a file.
fn mode(repository: &Repository, base: &str, path: &str) -> Result<String, PortError> {
    for entry in entries(repository, base, path)? {
        let here = entry.path == path;
        if here && entry.kind == "blob" && entry.mode != "120000" {
            return Ok(entry.mode);
        }
        if here || (entry.kind != "tree" && path.starts_with(&format!("{}/", entry.path))) {
            let why = format!("{} is a {} there", entry.path, entry.kind);
            return Err(PortError::broken(format!("write {path}"), why));
        }
    }
    Ok("100644".to_owned())
}

fn make_commit(repository: &Repository, proposal: &Proposal) -> Result<String, PortError> {
    let what = format!("commit for branch {}", proposal.branch);
    let scratch = tempfile::tempdir().map_err(|error| PortError::unavailable(&what, error))?;
    let staged = repository.for_commit(&scratch.path().join("index"), proposal.at);
    staged.ask(&what, &["read-tree", &proposal.base], b"")?;
    let mut index = Vec::new();
    for (path, content) in &proposal.files {
        let mode = mode(&staged, &proposal.base, path)?;
        let object = staged.ask(&what, &["hash-object", "-w", "--stdin"], content.as_bytes())?;
        index.extend(format!("{mode} {object}\t{path}\0").into_bytes());
    }
    staged.ask(&what, &["update-index", "-z", "--index-info"], &index)?;
    let tree = staged.ask(&what, &["write-tree"], b"")?;
    let commit = ["commit-tree", &tree, "-p", &proposal.base, "-F", "-"];
    staged.ask(&what, &commit, proposal.message.as_bytes())
}

fn propose(proposal: &Proposal) -> Result<String, PortError> {
    check_ref_name(&proposal.branch)?;
    for path in proposal.files.keys() {
        check_source_path(path)?;
    }
    let repository = Repository::open(&proposal.repository)?;
    check_commit(&repository, &proposal.base)?;
    let commit = make_commit(&repository, proposal)?;
    let reference = format!("refs/heads/{}", proposal.branch);
    let absent = "0".repeat(commit.len());
    let made = repository.run(&["update-ref", &reference, &commit, &absent], b"")?;
    if made.ok {
        return Ok(commit);
    }
    let what = format!("branch {}", proposal.branch);
    match resolve(&repository, &reference)? {
        Some(tip) if is_ancestor(&repository, &commit, &tip)? => Ok(commit),
        Some(_) => Err(PortError::broken(what, "it already holds another change")),
        None => Err(PortError::unavailable(what, made.stderr)),
    }
}

/// Whether some working tree of the repository has the branch checked out.
fn is_checked_out(repository: &Repository, branch: &str) -> Result<bool, PortError> {
    let trees = repository.ask(
        "list working trees",
        &["worktree", "list", "--porcelain"],
        b"",
    )?;
    let line = format!("branch refs/heads/{branch}");
    Ok(trees.lines().any(|found| found == line))
}

fn set_tag(repository: &Repository, tag: &str, commit: &str) -> Result<(), PortError> {
    let reference = format!("refs/tags/{tag}");
    let absent = "0".repeat(commit.len());
    let made = repository.run(&["update-ref", &reference, commit, &absent], b"")?;
    if made.ok {
        return Ok(());
    }
    match resolve(repository, &reference)? {
        Some(tagged) if tagged == commit => Ok(()),
        Some(_) => Err(PortError::broken(
            format!("tag {tag}"),
            "it names another commit",
        )),
        None => Err(PortError::unavailable(format!("tag {tag}"), made.stderr)),
    }
}

fn land(folder: &str, branch: &str, commit: &str, tag: &str) -> Result<bool, PortError> {
    check_ref_name(tag)?;
    let repository = Repository::open(folder)?;
    let tip = tip(&repository, branch)?;
    check_commit(&repository, commit)?;
    set_tag(&repository, tag, commit)?;
    if is_ancestor(&repository, commit, &tip)? {
        return Ok(true);
    }
    if !is_ancestor(&repository, &tip, commit)? || is_checked_out(&repository, branch)? {
        return Ok(false);
    }
    // Moves only from the tip that was looked at: a push in between is not lost.
    let reference = format!("refs/heads/{branch}");
    let moved = repository.run(&["update-ref", &reference, commit, &tip], b"")?;
    if moved.ok {
        return Ok(true);
    }
    Err(PortError::unavailable(
        format!("branch {branch}"),
        moved.stderr,
    ))
}

#[async_trait]
impl Forge for GitForge {
    async fn head(&self, repository: &str, branch: &str) -> Result<String, PortError> {
        let (repository, branch) = (repository.to_owned(), branch.to_owned());
        blocking("git", move || tip(&Repository::open(&repository)?, &branch)).await
    }

    async fn file(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
    ) -> Result<Option<String>, PortError> {
        let (repository, commit) = (repository.to_owned(), commit.to_owned());
        let path = path.to_owned();
        blocking("git", move || {
            read_file(&Repository::open(&repository)?, &commit, &path)
        })
        .await
    }

    async fn propose(&self, proposal: &Proposal) -> Result<String, PortError> {
        let proposal = proposal.clone();
        blocking("git", move || propose(&proposal)).await
    }

    async fn land(
        &self,
        repository: &str,
        branch: &str,
        commit: &str,
        tag: &str,
    ) -> Result<bool, PortError> {
        let [folder, branch, commit, tag] = [repository, branch, commit, tag].map(str::to_owned);
        blocking("git", move || land(&folder, &branch, &commit, &tag)).await
    }
}
