//! The tree of one commit: its folders, without the content of its files.

use crate::fault::Fault;
use crate::pack::{Object, Objects};
use gix_hash::ObjectId;
use gix_object::{CommitRef, Kind, TreeRef, tree};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Most snapshots that are remembered.
const REMEMBERED_MAX: usize = 8;
/// Most bytes of them.
const REMEMBERED_BYTES_MAX: usize = 48 * 1024 * 1024;

/// A commit's folders.
#[derive(Debug)]
pub(crate) struct Snapshot {
    root: ObjectId,
    objects: Objects,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// An entry.
    Entry(tree::Entry),
    /// Something that is no folder, at a shorter path: that path.
    Blocked(String, tree::EntryKind),
    /// Nothing.
    Nothing,
}

impl Snapshot {
    /// The folders of a commit among objects. [`Fault::Missing`] when the object of that name is none.
    pub(crate) fn of(commit: ObjectId, objects: Objects) -> Result<Self, Fault> {
        let object = objects.get(&commit).filter(|it| it.kind == Kind::Commit);
        let root = tree_of(object.ok_or(Fault::Missing)?)?;
        Ok(Self { root, objects })
    }

    pub(crate) fn root(&self) -> ObjectId {
        self.root
    }

    /// The entries of a folder. They are in git's order and none twice: a host that sends others has no such tree.
    pub(crate) fn folder(&self, id: ObjectId) -> Result<Vec<tree::Entry>, Fault> {
        let empty = id.is_empty_tree().then_some(&[][..]);
        let object = self.objects.get(&id).filter(|it| it.kind == Kind::Tree);
        let data = object.map(|it| &*it.data).or(empty);
        let data = data.ok_or_else(|| Fault::malformed("a folder is missing in its answer"))?;
        let tree = TreeRef::from_bytes(data, gix_hash::Kind::Sha1)
            .map_err(|error| Fault::malformed(error.to_string()))?;
        let mut entries = tree.into_owned().entries;
        for entry in &mut entries {
            // Modes of old versions of git (100664) as git itself reads them.
            entry.mode = entry.mode.kind().into();
        }
        let ordered = |pair: &[tree::Entry]| matches!(pair, [a, b] if a < b);
        if entries.windows(2).all(ordered) {
            return Ok(entries);
        }
        Err(Fault::malformed("a folder is not in order"))
    }

    /// What lies at a path.
    pub(crate) fn find(&self, path: &str) -> Result<Found, Fault> {
        let mut folder = self.root;
        let mut parts = path.split('/').peekable();
        let mut walked = String::new();
        while let Some(part) = parts.next() {
            let entries = self.folder(folder)?;
            let entry = entries.into_iter().find(|entry| entry.filename == part);
            let Some(entry) = entry else {
                return Ok(Found::Nothing);
            };
            if parts.peek().is_none() {
                return Ok(Found::Entry(entry));
            }
            walked.push_str(part);
            if !entry.mode.is_tree() {
                return Ok(Found::Blocked(walked, entry.mode.kind()));
            }
            walked.push('/');
            folder = entry.oid;
        }
        Ok(Found::Nothing)
    }
}

/// The tree that a commit names.
fn tree_of(commit: &Object) -> Result<ObjectId, Fault> {
    let commit = CommitRef::from_bytes(&commit.data, gix_hash::Kind::Sha1)
        .map_err(|error| Fault::malformed(error.to_string()))?;
    Ok(commit.tree())
}

/// The parents that a commit names.
pub(crate) fn parents_of(commit: &Object) -> Result<Vec<ObjectId>, Fault> {
    let commit = CommitRef::from_bytes(&commit.data, gix_hash::Kind::Sha1)
        .map_err(|error| Fault::malformed(error.to_string()))?;
    Ok(commit.parents().collect())
}

/// Snapshots that were just read: a stage asks for several files of one commit. A commit never changes.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    newest_first: Mutex<VecDeque<(String, ObjectId, Arc<Snapshot>)>>,
}

impl Remembered {
    pub(crate) fn get(&self, url: &str, commit: ObjectId) -> Option<Arc<Snapshot>> {
        let all = self.newest_first.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        let same = |it: &&(String, ObjectId, Arc<Snapshot>)| it.0 == url && it.1 == commit;
        all.iter().find(same).map(|it| Arc::clone(&it.2))
    }

    pub(crate) fn keep(&self, url: &str, commit: ObjectId, snapshot: &Arc<Snapshot>) {
        let all = self.newest_first.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        all.push_front((url.to_owned(), commit, Arc::clone(snapshot)));
        let mut bytes = 0_usize;
        let fitting = all
            .iter()
            .take(REMEMBERED_MAX)
            .take_while(|(_, _, snapshot)| {
                bytes = bytes.saturating_add(snapshot.objects.bytes);
                bytes <= REMEMBERED_BYTES_MAX
            });
        let count = fitting.count();
        all.truncate(count);
    }
}
