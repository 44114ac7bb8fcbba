//! The sample product: from the binary or from a folder, and as a git repository with its history.

use crate::error::Error;
use crate::tools::{self, run_git as git};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

include!(concat!(env!("OUT_DIR"), "/sample.rs"));

/// One commit of the product's history; its form is described in `samples/till/README.md`.
#[derive(Debug, Deserialize)]
struct Commit {
    message: String,
    author: String,
    date: String,
    files: BTreeMap<String, String>,
    #[serde(default)]
    delete: Vec<String>,
}

/// The sample product in a folder.
#[derive(Debug)]
pub(super) struct Sample {
    folder: PathBuf,
}

impl Sample {
    /// The sample that is in this binary, written to a folder.
    pub(super) fn unpack(folder: &Path) -> Result<Self, Error> {
        for (name, content) in FILES {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|error| Error::write(parent, &error))?;
            }
            fs::write(&path, content).map_err(|error| Error::write(&path, &error))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// A sample that somebody has in a folder.
    pub(super) fn at(folder: &Path) -> Result<Self, Error> {
        let folder = fs::canonicalize(folder).map_err(|error| Error::read(folder, &error))?;
        Ok(Self { folder })
    }

    /// A file of the sample.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn read(&self, name: &str) -> Result<String, Error> {
        let path = self.path(name);
        fs::read_to_string(&path).map_err(|error| Error::read(&path, &error))
    }

    /// Makes the product's repository from its history: a bare one in the folder, as a server has it, or at an address,
    /// where there is an empty one.
    pub(super) fn make_repository(
        &self,
        folder: &Path,
        address: Option<&str>,
    ) -> Result<Repository, Error> {
        let work = folder.join("work");
        fs::create_dir_all(&work).map_err(|error| Error::write(&work, &error))?;
        git(&work, &[], &["init", "--quiet", "--initial-branch=main"])?;
        let name = "history.json";
        let history: Vec<Commit> = serde_json::from_str(&self.read(name)?)
            .map_err(|error| Error::read(&self.path(name), &error))?;
        for commit in &history {
            self.commit(&work, commit)?;
        }
        let address = if let Some(address) = address {
            address.to_owned()
        } else {
            let bare = folder.join("product.git").display().to_string();
            git(
                &work,
                &[],
                &["init", "--quiet", "--bare", "--initial-branch=main", &bare],
            )?;
            bare
        };
        git(&work, &[], &["remote", "add", "origin", "--", &address])?;
        let repository = Repository { work, address };
        repository.push()?;
        Ok(repository)
    }

    /// Commits the bad version, as a developer who does not know better, and pushes it.
    pub(super) fn commit_bad_version(&self, repository: &Repository) -> Result<(), Error> {
        let name = "bad/commit.json";
        let commit: Commit = serde_json::from_str(&self.read(name)?)
            .map_err(|error| Error::read(&self.path(name), &error))?;
        let work = &repository.work;
        let pull = ["pull", "--quiet", "--ff-only", "origin", "main"];
        tools::run_git_as_user(work, &pull)?;
        self.commit(work, &commit)?;
        repository.push()
    }

    fn commit(&self, work: &Path, commit: &Commit) -> Result<(), Error> {
        for (to, from) in &commit.files {
            let (from, to) = (self.path(from), work.join(to));
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).map_err(|error| Error::write(parent, &error))?;
            }
            fs::copy(&from, &to).map_err(|error| Error::read(&from, &error))?;
        }
        for path in &commit.delete {
            let path = work.join(path);
            fs::remove_file(&path).map_err(|error| Error::write(&path, &error))?;
        }
        let (author, mail) = commit
            .author
            .split_once(" <")
            .unwrap_or((&commit.author, ""));
        let mail = mail.trim_end_matches('>');
        let env = [
            ("GIT_AUTHOR_NAME", author),
            ("GIT_AUTHOR_EMAIL", mail),
            ("GIT_AUTHOR_DATE", &commit.date),
            ("GIT_COMMITTER_NAME", author),
            ("GIT_COMMITTER_EMAIL", mail),
            ("GIT_COMMITTER_DATE", &commit.date),
        ];
        git(work, &env, &["add", "--all"])?;
        git(
            work,
            &env,
            &["commit", "--quiet", "--message", &commit.message],
        )?;
        Ok(())
    }
}

/// The product's repository.
#[derive(Debug)]
pub(super) struct Repository {
    /// Where its developer works.
    work: PathBuf,
    /// Where the pipeline finds it.
    pub(super) address: String,
}

impl Repository {
    fn push(&self) -> Result<(), Error> {
        tools::run_git_as_user(&self.work, &["push", "--quiet", "origin", "main"]).map(drop)
    }
}
