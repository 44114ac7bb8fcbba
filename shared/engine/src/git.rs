//! The product's repository, through the `git` program: a bare clone of one job.
//!
//! Only plumbing is used, and no work tree: no hook runs, no filter, no configuration of the user or
//! the machine. The content of files passes as git stores it. Not here: how git is started
//! (`program`), and what changes (`merge`, `build`).

use crate::Site;
use crate::program::{git, git_to, run, start};
use crate::tree::{FILES_MAX, Node, TREE_BYTES_MAX, Tree};
use kintsugi_domain::change::COMMITS_MAX;
use kintsugi_domain::ports::{PortError, check_source_path};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

/// What stands for "no file" in git's tables.
const ZERO_ID: &str = "0000000000000000000000000000000000000000";

/// A bare clone of the product's repository.
pub(crate) struct Git {
    folder: PathBuf,
    scratch: PathBuf,
    repository: String,
    credentials: Option<PathBuf>,
}

/// Who is named in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) mail: String,
    /// Seconds since 1970 and the offset, as git writes them: `1747036680 +0000`.
    pub(crate) date: String,
}

/// A commit, without its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitInfo {
    pub(crate) parents: Vec<String>,
    pub(crate) author: Person,
    pub(crate) message: String,
}

/// The kind and the content of an object.
type Object = (String, Vec<u8>);

/// A file in one of git's tables.
struct Listed {
    path: String,
    mode: String,
    id: String,
}

impl Git {
    /// Clones `repository` into a new folder of the site.
    pub(crate) fn clone(repository: &str, site: &Site) -> Result<Self, PortError> {
        let scratch = site.path();
        let folder = scratch.join("repository");
        let credentials = site.git_credentials.clone();
        let mut command = git_to(repository, credentials.as_deref());
        // Not `--local`: that would copy a folder's files as they are, whatever they are.
        command
            .args([
                "clone",
                "--quiet",
                "--bare",
                "--no-local",
                "--template=",
                "--",
            ])
            .arg(repository)
            .arg(&folder);
        let what = format!("cloning the repository {repository}");
        run(&what, &mut command, b"")?;
        Ok(Self {
            folder,
            scratch: scratch.to_owned(),
            repository: repository.to_owned(),
            credentials,
        })
    }

    /// The commit of that id, or nothing.
    pub(crate) fn commit(&self, id: &str) -> Result<Option<CommitInfo>, PortError> {
        let plain = matches!(id.len(), 40 | 64) && id.bytes().all(|b| b.is_ascii_hexdigit());
        if !plain {
            return Ok(None);
        }
        // Asked in a batch, because there a missing object is an answer and not a failure.
        let answer = self.batch(&[id])?;
        let [Some((kind, content))] = answer.as_slice() else {
            return Ok(None);
        };
        if kind != "commit" {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(content);
        parse_commit(&text)
            .map(Some)
            .ok_or_else(|| PortError::broken(format!("commit {id}"), "it is not readable"))
    }

    /// The messages of the commits that are in `commit` and not in `since`, the newest first, merges left out; none where `since` is not in
    /// the repository.
    pub(crate) fn messages(&self, since: &str, commit: &str) -> Result<Vec<String>, PortError> {
        if self.commit(since)?.is_none() {
            return Ok(Vec::new());
        }
        let range = format!("{since}..{commit}");
        let count = format!("--max-count={COMMITS_MAX}");
        let mut command = self.git();
        command.args([
            "log",
            "--no-merges",
            "--format=%B%x00",
            &count,
            &range,
            "--",
        ]);
        let told = run("reading commits", &mut command, b"")?;
        let told = String::from_utf8_lossy(&told);
        let messages = told.split('\0').map(|message| message.trim().to_owned());
        Ok(messages.filter(|message| !message.is_empty()).collect())
    }

    /// All files of a commit. Submodules are left out: their content is in another repository.
    pub(crate) fn tree(&self, commit: &str) -> Result<Tree, PortError> {
        let what = format!("reading commit {commit}");
        let table = run(
            &what,
            self.git().args(["ls-tree", "-r", "-z", "-l", commit]),
            b"",
        )?;
        let mut listed = Vec::new();
        let mut bytes = 0_u64;
        for row in rows(&table, &what)? {
            let broken = || PortError::broken(&what, "git's answer is not readable");
            let (facts, path) = row.split_once('\t').ok_or_else(broken)?;
            let mut facts = facts.split_ascii_whitespace();
            let (mode, id) = (facts.next(), facts.nth(1));
            bytes += facts.next().and_then(|size| size.parse().ok()).unwrap_or(0);
            listed.push(Listed {
                path: path.to_owned(),
                mode: mode.ok_or_else(broken)?.to_owned(),
                id: id.ok_or_else(broken)?.to_owned(),
            });
        }
        if bytes > TREE_BYTES_MAX || listed.len() > FILES_MAX {
            let why = format!("it holds more than {TREE_BYTES_MAX} bytes or {FILES_MAX} files");
            return Err(PortError::broken(what, why));
        }
        self.read(&listed)
    }

    /// The files that differ between two commits, as they were and as they are.
    pub(crate) fn difference(&self, old: &str, new: &str) -> Result<(Tree, Tree), PortError> {
        let what = format!("comparing {old} with {new}");
        let mut command = self.git();
        command.args([
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--no-renames",
            "--no-abbrev",
            old,
            new,
        ]);
        let table = run(&what, &mut command, b"")?;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let rows = rows(&table, &what)?;
        for pair in rows.chunks(2) {
            let broken = || PortError::broken(&what, "git's answer is not readable");
            let [facts, path] = pair else {
                return Err(broken());
            };
            let facts: Vec<&str> = facts.trim_start_matches(':').split(' ').collect();
            let [old_mode, new_mode, old_id, new_id, _] = facts.as_slice() else {
                return Err(broken());
            };
            for (side, mode, id) in [
                (&mut before, old_mode, old_id),
                (&mut after, new_mode, new_id),
            ] {
                if *mode != "000000" {
                    side.push(Listed {
                        path: (*path).to_owned(),
                        mode: (*mode).to_owned(),
                        id: (*id).to_owned(),
                    });
                }
            }
        }
        Ok((self.read(&before)?, self.read(&after)?))
    }

    /// Merges one file three ways. Nothing means a conflict.
    pub(crate) fn merge(
        &self,
        ours: &[u8],
        base: &[u8],
        theirs: &[u8],
    ) -> Result<Option<Vec<u8>>, PortError> {
        let mut command = git();
        command.args(["merge-file", "-p", "--quiet"]);
        for (name, content) in [("ours", ours), ("base", base), ("theirs", theirs)] {
            let path = self.scratch.join(name);
            fs::write(&path, content)
                .map_err(|error| PortError::unavailable("merging a file", error))?;
            command.arg(path);
        }
        let output = start("merging a file", &mut command, b"")?;
        // The code counts conflicts; a file that is not text gives 255.
        Ok(output.status.success().then_some(output.stdout))
    }

    /// Makes a commit on `parent` whose files are those of `parent` with the changes from `old`, the
    /// parent's own tree, to `new`. The same arguments give the same commit.
    pub(crate) fn make(
        &self,
        parent: &str,
        old: &Tree,
        new: &Tree,
        message: &str,
        author: &Person,
        committer: &Person,
    ) -> Result<String, PortError> {
        let what = "making a commit";
        let index = self.scratch.join("index");
        let with_index = || {
            let mut command = self.git();
            command.env("GIT_INDEX_FILE", &index);
            command
        };
        run(what, with_index().args(["read-tree", parent]), b"")?;
        let (mut gone, mut there) = (Vec::new(), Vec::new());
        for (path, node) in new.changes_since(old) {
            let (rows, mode, id) = match node {
                None => (&mut gone, "0", ZERO_ID.to_owned()),
                Some(Node::File {
                    content,
                    executable,
                }) => {
                    let mode = if *executable { "100755" } else { "100644" };
                    (&mut there, mode, self.store(content)?)
                }
                Some(Node::Link(target)) => (&mut there, "120000", self.store(target)?),
            };
            rows.extend(format!("{mode} {id}\t{path}\0").into_bytes());
        }
        // What goes makes room first: a folder may become a file.
        gone.extend(there);
        let mut update = with_index();
        run(
            what,
            update.args(["update-index", "-z", "--index-info"]),
            &gone,
        )?;
        let tree = word(&run(what, with_index().arg("write-tree"), b"")?);
        let mut commit = self.git();
        commit
            .args(["commit-tree", "-p", parent, &tree])
            .env("GIT_AUTHOR_NAME", &author.name)
            .env("GIT_AUTHOR_EMAIL", &author.mail)
            .env("GIT_AUTHOR_DATE", format!("@{}", author.date))
            .env("GIT_COMMITTER_NAME", &committer.name)
            .env("GIT_COMMITTER_EMAIL", &committer.mail)
            .env("GIT_COMMITTER_DATE", format!("@{}", committer.date));
        Ok(word(&run(what, &mut commit, message.as_bytes())?))
    }

    /// Puts a branch of ours where `commit` is, wherever it was. MUST be a branch that only Kintsugi
    /// writes.
    pub(crate) fn publish(&self, commit: &str, branch: &str) -> Result<(), PortError> {
        let what = format!("pushing {branch} to {}", self.repository);
        let mut command = git_to(&self.repository, self.credentials.as_deref());
        command
            .arg("--git-dir")
            .arg(&self.folder)
            .args(["push", "--quiet", "--force", "--no-verify", "--"])
            .arg(&self.repository)
            .arg(format!("{commit}:refs/heads/{branch}"));
        run(&what, &mut command, b"").map(|_| ())
    }

    fn git(&self) -> Command {
        let mut command = git();
        command.arg("--git-dir").arg(&self.folder);
        command
    }

    fn store(&self, content: &[u8]) -> Result<String, PortError> {
        let mut command = self.git();
        command.args(["hash-object", "-w", "--stdin"]);
        Ok(word(&run("storing a file", &mut command, content)?))
    }

    /// Objects by id: kind and content, or nothing for one that is not there.
    fn batch(&self, ids: &[&str]) -> Result<Vec<Option<Object>>, PortError> {
        let what = "reading objects";
        let request = ids.iter().flat_map(|id| format!("{id}\n").into_bytes());
        let mut command = self.git();
        command.args(["cat-file", "--batch"]);
        let answer = run(what, &mut command, &request.collect::<Vec<u8>>())?;
        let broken = || PortError::broken(what, "git's answer is not readable");
        let mut objects = Vec::new();
        let mut rest = answer.as_slice();
        for _ in ids {
            let end = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .ok_or_else(broken)?;
            let (head, after) = rest.split_at_checked(end + 1).ok_or_else(broken)?;
            let head = String::from_utf8_lossy(head);
            let words: Vec<&str> = head.split_ascii_whitespace().collect();
            rest = after;
            let [_, kind, size] = words.as_slice() else {
                objects.push(None);
                continue;
            };
            let size: usize = size.parse().map_err(|_| broken())?;
            let (content, after) = rest.split_at_checked(size).ok_or_else(broken)?;
            objects.push(Some(((*kind).to_owned(), content.to_vec())));
            rest = after.get(1..).ok_or_else(broken)?;
        }
        Ok(objects)
    }

    fn read(&self, listed: &[Listed]) -> Result<Tree, PortError> {
        let files: Vec<&Listed> = listed.iter().filter(|file| file.mode != "160000").collect();
        let ids: Vec<&str> = files.iter().map(|file| file.id.as_str()).collect();
        let mut tree = Tree::default();
        if ids.is_empty() {
            return Ok(tree);
        }
        for (file, object) in files.iter().zip(self.batch(&ids)?) {
            check_source_path(&file.path)?;
            let (_, content) = object.ok_or_else(|| {
                PortError::broken("reading the product", format!("{} is missing", file.path))
            })?;
            let node = match file.mode.as_str() {
                "120000" => Node::Link(content),
                mode => Node::File {
                    content: Arc::new(content),
                    executable: mode == "100755",
                },
            };
            tree.insert(&file.path, node)?;
        }
        Ok(tree)
    }
}

/// Splits a table whose fields end with NUL.
fn rows<'a>(table: &'a [u8], what: &str) -> Result<Vec<&'a str>, PortError> {
    let text = std::str::from_utf8(table)
        .map_err(|_| PortError::broken(what, "a path is not valid text"))?;
    Ok(text.split_terminator('\0').collect())
}

fn word(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}

fn parse_commit(text: &str) -> Option<CommitInfo> {
    let (head, message) = text.split_once("\n\n")?;
    let parents = head
        .lines()
        .filter_map(|line| line.strip_prefix("parent "))
        .map(str::to_owned)
        .collect();
    let author = head.lines().find_map(|line| line.strip_prefix("author "))?;
    let (name, rest) = author.split_once(" <")?;
    let (mail, date) = rest.split_once("> ")?;
    Some(CommitInfo {
        parents,
        author: Person {
            name: name.to_owned(),
            mail: mail.to_owned(),
            date: date.to_owned(),
        },
        message: message.to_owned(),
    })
}
