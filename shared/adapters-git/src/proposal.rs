//! A proposal as git's objects: the same bytes that the `git` program makes of it in [`crate::folder`].

use crate::fault::Fault;
use crate::pack::Object;
use crate::snapshot::{Found, Snapshot};
use gix_hash::ObjectId;
use gix_object::tree::{Entry, EntryKind};
use gix_object::{Kind, Tree, WriteTo};
use kintsugi_domain::ports::{PortError, Proposal};
use std::collections::BTreeMap;

/// Who makes commits.
const PERSON: &str = "Kintsugi <kintsugi@localhost>";

/// The objects of a proposal that its base does not have, and the commit's name.
pub(crate) struct Made {
    pub(crate) commit: ObjectId,
    pub(crate) objects: Vec<Object>,
}

/// What changes in a folder: files with their modes, and folders.
#[derive(Default)]
struct Changes {
    files: BTreeMap<String, (EntryKind, ObjectId)>,
    folders: BTreeMap<String, Changes>,
}

impl Changes {
    fn at(&mut self, folders: &str) -> &mut Self {
        let parts = folders.split('/').filter(|part| !part.is_empty());
        parts.fold(self, |changes, part| {
            changes.folders.entry(part.to_owned()).or_default()
        })
    }
}

/// Makes the objects of a proposal on a base.
pub(crate) fn make(
    proposal: &Proposal,
    base: ObjectId,
    snapshot: &Snapshot,
) -> Result<Made, PortError> {
    let what = format!("commit for branch {}", proposal.branch);
    let broken = |fault: Fault| fault.port(&what);
    let mut objects = Vec::new();
    let mut changes = Changes::default();
    for (path, content) in &proposal.files {
        let kind = kind(snapshot, path)?;
        let blob = add(&mut objects, Kind::Blob, content.as_bytes().to_vec()).map_err(broken)?;
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = changes.at(folders);
        folder.files.insert(name.to_owned(), (kind, blob));
    }
    check_apart(&changes, "")?;
    let root = Some(snapshot.root());
    let tree = tree(snapshot, root, &changes, &mut objects).map_err(broken)?;
    let commit = commit(proposal, base, tree)?;
    let commit = add(&mut objects, Kind::Commit, commit).map_err(broken)?;
    Ok(Made { commit, objects })
}

/// The mode a file keeps or gets; refuses a path that would replace a folder or go through a file.
fn kind(snapshot: &Snapshot, path: &str) -> Result<EntryKind, PortError> {
    let what = format!("write {path}");
    let there = |path: &str, kind: EntryKind| {
        let kind = match kind {
            EntryKind::Tree => "tree",
            EntryKind::Commit => "commit",
            EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => "blob",
        };
        PortError::broken(&what, format!("{path} is a {kind} there"))
    };
    match snapshot.find(path).map_err(|fault| fault.port(&what))? {
        Found::Nothing => Ok(EntryKind::Blob),
        Found::Blocked(at, kind) => Err(there(&at, kind)),
        Found::Entry(entry) => match entry.mode.kind() {
            kind @ (EntryKind::Blob | EntryKind::BlobExecutable) => Ok(kind),
            kind @ (EntryKind::Tree | EntryKind::Link | EntryKind::Commit) => {
                Err(there(path, kind))
            }
        },
    }
}

/// Refuses a proposal that has a file where it also has a folder.
fn check_apart(changes: &Changes, above: &str) -> Result<(), PortError> {
    for (name, folder) in &changes.folders {
        let path = format!("{above}{name}");
        if changes.files.contains_key(name) {
            return Err(PortError::broken(
                format!("write {path}"),
                "the proposal has a file and a folder of that name",
            ));
        }
        check_apart(folder, &format!("{path}/"))?;
    }
    Ok(())
}

/// The tree of a folder with its changes, and the trees below it that change.
fn tree(
    snapshot: &Snapshot,
    before: Option<ObjectId>,
    changes: &Changes,
    objects: &mut Vec<Object>,
) -> Result<ObjectId, Fault> {
    let mut entries = match before {
        Some(id) => snapshot.folder(id)?,
        None => Vec::new(),
    };
    let mut put = |name: &str, kind: EntryKind, oid: ObjectId| {
        entries.retain(|entry| entry.filename != name);
        entries.push(Entry {
            mode: kind.into(),
            filename: name.into(),
            oid,
        });
    };
    for (name, (kind, blob)) in &changes.files {
        put(name, *kind, *blob);
    }
    let mut below = Vec::new();
    for (name, folder) in &changes.folders {
        below.push((name, folder));
    }
    let there: BTreeMap<String, ObjectId> = match before {
        Some(id) => snapshot
            .folder(id)?
            .into_iter()
            .filter(|entry| entry.mode.is_tree())
            .map(|entry| (entry.filename.to_string(), entry.oid))
            .collect(),
        None => BTreeMap::new(),
    };
    for (name, folder) in below {
        let made = tree(snapshot, there.get(name).copied(), folder, objects)?;
        put(name, EntryKind::Tree, made);
    }
    entries.sort();
    let mut data = Vec::new();
    Tree { entries }.write_to(&mut data)?;
    add(objects, Kind::Tree, data)
}

/// The commit as `git commit-tree` writes it.
fn commit(proposal: &Proposal, base: ObjectId, tree: ObjectId) -> Result<Vec<u8>, PortError> {
    let what = format!("commit for branch {}", proposal.branch);
    if proposal.message.contains('\0') {
        return Err(PortError::broken(what, "its message holds a NUL"));
    }
    let seconds = proposal.at.as_second();
    if seconds < 0 {
        return Err(PortError::broken(what, "its date is before 1970"));
    }
    let head = format!(
        "tree {tree}\nparent {base}\nauthor {PERSON} {seconds} +0000\ncommitter {PERSON} {seconds} +0000\n\n"
    );
    Ok([head.as_bytes(), proposal.message.as_bytes()].concat())
}

fn add(objects: &mut Vec<Object>, kind: Kind, data: Vec<u8>) -> Result<ObjectId, Fault> {
    let id = gix_object::compute_hash(gix_hash::Kind::Sha1, kind, &data)
        .map_err(|error| Fault::malformed(error.to_string()))?;
    objects.push(Object {
        kind,
        data: data.into(),
    });
    Ok(id)
}
