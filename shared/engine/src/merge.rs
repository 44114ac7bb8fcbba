//! Applies one fix to a tree, as `git cherry-pick` would.
//!
//! Not here: whether the result works (`build`).

use crate::git::{CommitInfo, Git};
use crate::tree::{Node, Tree};
use kintsugi_domain::ports::PortError;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What came of it.
#[derive(Debug)]
pub(crate) enum Applied {
    /// The tree with the fix, and the fix's commit.
    Clean(Tree, CommitInfo),
    /// The fix does not fit, and why.
    Conflict(String),
}

/// Takes what `commit` changed over its parent and changes the same in `current`.
pub(crate) fn apply(git: &Git, current: &Tree, commit: &str) -> Result<Applied, PortError> {
    let Some(info) = git.commit(commit)? else {
        let why = format!("its commit {commit} is not in the repository");
        return Ok(Applied::Conflict(why));
    };
    let [parent] = info.parents.as_slice() else {
        let why = "its commit does not have exactly one parent".to_owned();
        return Ok(Applied::Conflict(why));
    };
    let (before, after) = git.difference(parent, commit)?;
    let paths: BTreeSet<&String> = before
        .iter()
        .chain(after.iter())
        .map(|(path, _)| path)
        .collect();
    let mut tree = current.clone();
    for path in paths {
        let (old, new, ours) = (before.get(path), after.get(path), current.get(path));
        if ours == new {
            continue;
        }
        let merged = if ours == old {
            new.cloned()
        } else {
            match merge(git, ours, old, new)? {
                Some(node) => Some(node),
                None => return Ok(Applied::Conflict(format!("conflict in {path}"))),
            }
        };
        tree.remove(path);
        if let Some(node) = merged {
            if let Some(obstacle) = tree.obstacle(path) {
                let why = format!("conflict between {path} and {obstacle}");
                return Ok(Applied::Conflict(why));
            }
            tree.insert(path, node)?;
        }
    }
    Ok(Applied::Clean(tree, info))
}

fn merge(
    git: &Git,
    ours: Option<&Node>,
    old: Option<&Node>,
    new: Option<&Node>,
) -> Result<Option<Node>, PortError> {
    let (
        Some(Node::File {
            content: ours,
            executable,
        }),
        Some(Node::File { content: old, .. }),
        Some(Node::File { content: new, .. }),
    ) = (ours, old, new)
    else {
        return Ok(None);
    };
    let merged = git.merge(ours, old, new)?;
    Ok(merged.map(|content| Node::File {
        content: Arc::new(content),
        executable: *executable,
    }))
}
