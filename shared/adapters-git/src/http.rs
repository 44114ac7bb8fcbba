//! The product's source in a repository on a host that speaks git's smart HTTP protocol: GitHub, GitLab, Gitea, Bitbucket,
//! or `git http-backend` behind any web server.
//!
//! No checkout, no clone, no program: a head is asked by its name, a file by its commit (folders first, then that one file),
//! a proposal is made in memory and sent as one small pack. The folders of the last commits are remembered.
//!
//! **Each change names what the ref was before, and the host makes it only if that is still so.** Landing only ever moves a
//! branch forward, to a commit whose descent from the branch's tip was computed here from the commits themselves. The tag
//! is set either way: the version was released from that commit. A tag never moves. A host that does not let us move a
//! branch (it is protected, or checked out) leaves the merge to people; that is no failure.

use crate::credential::{Credential, Credentials};
use crate::fault::Fault;
use crate::pack::{Keep, Objects};
use crate::push::{Change, Pushed};
use crate::remote::Remote;
use crate::snapshot::{Found, Remembered, Snapshot, parents_of};
use crate::transport::{Session, Transport};
use crate::upload::{Abilities, Reference, Want};
use crate::{blocking, proposal};
use async_trait::async_trait;
use gix_hash::ObjectId;
use gix_object::Kind;
use gix_object::tree::EntryKind;
use kintsugi_domain::ports::{Forge, PortError, Proposal, check_ref_name, check_source_path};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Repositories on hosts, named by their addresses. Clones share connections and what was read.
#[derive(Clone)]
pub struct HttpForge {
    credentials: Arc<dyn Credentials>,
    transport: Transport,
    remembered: Arc<Remembered>,
}

impl fmt::Debug for HttpForge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpForge").finish_non_exhaustive()
    }
}

impl HttpForge {
    /// Repositories on hosts, with the credentials for them. Connects to nothing yet.
    pub fn new(credentials: Arc<dyn Credentials>) -> Self {
        Self {
            credentials,
            transport: Transport::new(),
            remembered: Arc::default(),
        }
    }

    /// Does blocking work with a repository.
    async fn with<T: Send + 'static>(
        &self,
        address: &str,
        work: impl FnOnce(&Repository<'_>) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let remote = Remote::parse(address)?;
        let credential = self.credentials.of(remote.host()).await?;
        let (transport, remembered) = (self.transport.clone(), Arc::clone(&self.remembered));
        blocking("git host", move || {
            work(&Repository::open(
                &transport,
                &remote,
                credential.as_ref(),
                &remembered,
            ))
        })
        .await
    }
}

/// A repository on a host.
struct Repository<'a> {
    session: Session<'a>,
    remembered: &'a Remembered,
}

/// How a commit stands to the tip of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The branch holds it.
    Held,
    /// It stands on the tip.
    Ahead,
    /// Neither.
    Apart,
}

/// Reads the full name of a commit.
fn commit_id(commit: &str) -> Result<ObjectId, PortError> {
    let what = format!("commit {commit:?}");
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if commit.len() == 64 && commit.bytes().all(hex) {
        let why = "it is a SHA-256 name; only repositories with SHA-1 names work";
        return Err(PortError::broken(what, why));
    }
    let id = ObjectId::from_hex(commit.as_bytes())
        .ok()
        .filter(|_| commit.len() == 40 && commit.bytes().all(hex));
    id.ok_or_else(|| PortError::broken(what, "expected the full id of a commit"))
}

fn named(found: &[Reference], name: &str) -> Option<ObjectId> {
    found.iter().find(|it| it.name == name).map(|it| it.commit)
}

impl<'a> Repository<'a> {
    fn open(
        transport: &'a Transport,
        remote: &'a Remote,
        credential: Option<&'a Credential>,
        remembered: &'a Remembered,
    ) -> Self {
        Self {
            session: Session {
                transport,
                remote,
                credential,
            },
            remembered,
        }
    }

    fn tip(&self, branch: &str) -> Result<ObjectId, PortError> {
        let name = format!("refs/heads/{branch}");
        let abilities = self.session.abilities()?;
        let found = self.session.refs(abilities, &[&name])?;
        named(&found, &name).ok_or_else(|| no_branch(branch))
    }

    /// The folders of a commit.
    fn snapshot(&self, commit: ObjectId) -> Result<Arc<Snapshot>, PortError> {
        let url = self.session.remote.url();
        if let Some(known) = self.remembered.get(url, commit) {
            return Ok(known);
        }
        let want = Want {
            id: commit,
            have: None,
            alone: true,
            filter: Some("blob:none"),
            keep: Keep::Trees,
        };
        let snapshot = self
            .objects(want)?
            .and_then(|objects| Snapshot::of(commit, objects))
            .map_err(|fault| fault.port(&format!("commit {commit}")))?;
        let snapshot = Arc::new(snapshot);
        self.remembered.keep(url, commit, &snapshot);
        Ok(snapshot)
    }

    fn objects(&self, want: Want<'_>) -> Result<Result<Objects, Fault>, PortError> {
        self.session.fetch(self.session.abilities()?, want)
    }

    fn file(&self, commit: &str, path: &str) -> Result<Option<String>, PortError> {
        check_source_path(path)?;
        let commit = commit_id(commit)?;
        let what = format!("file {path} at {commit}");
        let broken = |fault: Fault| fault.port(&what);
        let blob = match self.snapshot(commit)?.find(path).map_err(broken)? {
            Found::Entry(entry) => match entry.mode.kind() {
                EntryKind::Blob | EntryKind::BlobExecutable => entry.oid,
                EntryKind::Tree | EntryKind::Link | EntryKind::Commit => return Ok(None),
            },
            Found::Blocked(..) | Found::Nothing => return Ok(None),
        };
        let want = Want {
            id: blob,
            have: None,
            alone: false,
            filter: None,
            keep: Keep::All,
        };
        let objects = self.objects(want)?.map_err(|fault| match fault {
            Fault::Missing => PortError::broken(&what, "the host does not give that file by name"),
            Fault::Cut(_) | Fault::Malformed(_) | Fault::TooLarge(_) | Fault::Said(_) => {
                fault.port(&what)
            }
        })?;
        let object = objects.get(&blob).filter(|it| it.kind == Kind::Blob);
        let object = object.ok_or_else(|| broken(Fault::malformed("the file is missing in it")))?;
        match String::from_utf8(object.data.to_vec()) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(PortError::broken(what, "it is not UTF-8 text")),
        }
    }

    fn propose(&self, proposal: &Proposal) -> Result<String, PortError> {
        check_ref_name(&proposal.branch)?;
        for path in proposal.files.keys() {
            check_source_path(path)?;
        }
        let base = commit_id(&proposal.base)?;
        let made = proposal::make(proposal, base, &*self.snapshot(base)?)?;
        let name = format!("refs/heads/{}", proposal.branch);
        let what = format!("branch {}", proposal.branch);
        if self.holds(&name, made.commit, &what)? {
            return Ok(made.commit.to_string());
        }
        let change = Change {
            reference: &name,
            old: None,
            new: made.commit,
        };
        match self.session.push(change, &made.objects)? {
            Pushed::Done => Ok(made.commit.to_string()),
            // Somebody was faster: with the same commit, or with another.
            Pushed::Refused { .. } if self.holds(&name, made.commit, &what)? => {
                Ok(made.commit.to_string())
            }
            Pushed::Refused { why, passing } => Err(refusal(&what, &why, passing)),
        }
    }

    /// Whether a branch is there and holds the commit. A branch that holds something else is refused.
    fn holds(&self, name: &str, commit: ObjectId, what: &str) -> Result<bool, PortError> {
        let abilities = self.session.abilities()?;
        let found = self.session.refs(abilities, &[name])?;
        let Some(tip) = named(&found, name) else {
            return Ok(false);
        };
        let standing = if tip == commit {
            Ok(Standing::Held)
        } else {
            self.standing(abilities, commit, tip)?
        };
        match standing {
            Ok(Standing::Held) => Ok(true),
            Ok(Standing::Ahead | Standing::Apart) | Err(Fault::Missing) => {
                Err(PortError::broken(what, "it already holds another change"))
            }
            Err(fault) => Err(fault.port(what)),
        }
    }

    /// How a commit stands to a tip, from the commits between.
    fn standing(
        &self,
        abilities: Abilities,
        commit: ObjectId,
        tip: ObjectId,
    ) -> Result<Result<Standing, Fault>, PortError> {
        let want = Want {
            id: commit,
            have: Some(tip),
            alone: false,
            filter: Some("tree:0"),
            keep: Keep::Commits,
        };
        let between = match self.session.fetch(abilities, want)? {
            Ok(between) => between,
            Err(fault) => return Ok(Err(fault)),
        };
        if !between.was_empty {
            return Ok(walk(&between, commit, tip));
        }
        // Nothing is new: the tip reaches it. Whether it is a commit was not seen yet.
        let alone = Want {
            have: None,
            alone: true,
            ..want
        };
        Ok(self.session.fetch(abilities, alone)?.and_then(|objects| {
            let object = objects.get(&commit);
            let is_commit = object.is_some_and(|it| it.kind == Kind::Commit);
            is_commit.then_some(Standing::Held).ok_or(Fault::Missing)
        }))
    }

    fn land(&self, branch: &str, commit: &str, tag: &str) -> Result<bool, PortError> {
        check_ref_name(tag)?;
        check_ref_name(branch)?;
        let commit = commit_id(commit)?;
        let abilities = self.session.abilities()?;
        let names = [format!("refs/heads/{branch}"), format!("refs/tags/{tag}")];
        let [branch_name, tag_name] = &names;
        let found = self.session.refs(abilities, &[branch_name, tag_name])?;
        let tip = named(&found, branch_name).ok_or_else(|| no_branch(branch))?;
        let standing = if tip == commit {
            Standing::Held
        } else {
            let standing = self.standing(abilities, commit, tip)?;
            standing.map_err(|fault| fault.port(&format!("commit {commit}")))?
        };
        if !is_tagged(&found, tag, tag_name, commit)? {
            self.set_tag(abilities, tag, tag_name, commit)?;
        }
        match standing {
            Standing::Held => Ok(true),
            Standing::Apart => Ok(false),
            Standing::Ahead => {
                let change = Change {
                    reference: branch_name,
                    old: Some(tip),
                    new: commit,
                };
                self.advance(abilities, branch, change)
            }
        }
    }

    fn advance(
        &self,
        abilities: Abilities,
        branch: &str,
        change: Change<'_>,
    ) -> Result<bool, PortError> {
        match self.session.push(change, &[])? {
            Pushed::Done => Ok(true),
            Pushed::Refused { why, passing } => {
                let found = self.session.refs(abilities, &[change.reference])?;
                if passing || named(&found, change.reference) != change.old {
                    return Err(PortError::unavailable(format!("branch {branch}"), why));
                }
                Ok(false)
            }
        }
    }

    fn set_tag(
        &self,
        abilities: Abilities,
        tag: &str,
        name: &str,
        commit: ObjectId,
    ) -> Result<(), PortError> {
        let change = Change {
            reference: name,
            old: None,
            new: commit,
        };
        match self.session.push(change, &[])? {
            Pushed::Done => Ok(()),
            Pushed::Refused { why, passing } => {
                let found = self.session.refs(abilities, &[name])?;
                if is_tagged(&found, tag, name, commit)? {
                    return Ok(());
                }
                Err(refusal(&format!("tag {tag}"), &why, passing))
            }
        }
    }
}

fn no_branch(branch: &str) -> PortError {
    PortError::broken(format!("branch {branch}"), "there is no such branch")
}

fn refusal(what: &str, why: &str, passing: bool) -> PortError {
    let why = format!("the host refused it: {why}");
    if passing {
        return PortError::unavailable(what, why);
    }
    PortError::broken(what, why)
}

/// Whether the tag is there and names the commit. One that names another is refused.
fn is_tagged(
    found: &[Reference],
    tag: &str,
    name: &str,
    commit: ObjectId,
) -> Result<bool, PortError> {
    match named(found, name) {
        None => Ok(false),
        Some(tagged) if tagged == commit => Ok(true),
        Some(_) => Err(PortError::broken(
            format!("tag {tag}"),
            "it names another commit",
        )),
    }
}

/// Whether one comes to the tip by parents of commits that the tip does not reach.
fn walk(between: &Objects, commit: ObjectId, tip: ObjectId) -> Result<Standing, Fault> {
    let mut seen = HashSet::from([commit]);
    let mut ahead = vec![commit];
    if between.get(&commit).is_none() {
        return Err(Fault::Missing);
    }
    while let Some(id) = ahead.pop() {
        let Some(object) = between.get(&id).filter(|it| it.kind == Kind::Commit) else {
            continue;
        };
        for parent in parents_of(object)? {
            if parent == tip {
                return Ok(Standing::Ahead);
            }
            if seen.insert(parent) {
                ahead.push(parent);
            }
        }
    }
    Ok(Standing::Apart)
}

#[async_trait]
impl Forge for HttpForge {
    async fn head(&self, repository: &str, branch: &str) -> Result<String, PortError> {
        check_ref_name(branch)?;
        let branch = branch.to_owned();
        self.with(repository, move |it| Ok(it.tip(&branch)?.to_string()))
            .await
    }

    async fn file(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
    ) -> Result<Option<String>, PortError> {
        let [commit, path] = [commit, path].map(str::to_owned);
        self.with(repository, move |it| it.file(&commit, &path))
            .await
    }

    async fn propose(&self, proposal: &Proposal) -> Result<String, PortError> {
        let repository = proposal.repository.clone();
        let proposal = proposal.clone();
        self.with(&repository, move |it| it.propose(&proposal))
            .await
    }

    async fn land(
        &self,
        repository: &str,
        branch: &str,
        commit: &str,
        tag: &str,
    ) -> Result<bool, PortError> {
        let [branch, commit, tag] = [branch, commit, tag].map(str::to_owned);
        self.with(repository, move |it| it.land(&branch, &commit, &tag))
            .await
    }
}
