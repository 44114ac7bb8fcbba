//! A product's files in memory: cheap to copy, changed by value, written to fresh folders only.
//!
//! Not here: git, which trees come from, and the sandbox, which they are written for.

use kintsugi_domain::ports::{PortError, check_source_path};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

/// Most files of a product.
pub(crate) const FILES_MAX: usize = 100_000;
/// Most bytes of all its files together.
pub(crate) const TREE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// One thing in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A regular file.
    File {
        content: Arc<Vec<u8>>,
        executable: bool,
    },
    /// A symbolic link, with the bytes of where it points. The engine never follows one.
    Link(Vec<u8>),
}

#[cfg(test)]
impl Node {
    /// A plain file of text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::File {
            content: Arc::new(text.into().into_bytes()),
            executable: false,
        }
    }
}

/// All files of a product, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The text of a regular file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        match self.nodes.get(path)? {
            Node::File { content, .. } => std::str::from_utf8(content).ok(),
            Node::Link(_) => None,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.nodes.iter()
    }

    /// Puts a node in its place. MUST be a path that [`check_source_path`] accepts.
    pub(crate) fn insert(&mut self, path: &str, node: Node) -> Result<(), PortError> {
        check_source_path(path)?;
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.nodes.remove(path);
    }

    /// The same tree with one text file replaced or added; its mode stays. The error says why there can
    /// be no such file.
    pub(crate) fn with_text(&self, path: &str, text: &str) -> Result<Self, String> {
        check_source_path(path).map_err(|error| error.to_string())?;
        let executable = match self.nodes.get(path) {
            None => false,
            Some(Node::File { executable, .. }) => *executable,
            Some(Node::Link(_)) => return Err(format!("{path} is a symbolic link")),
        };
        if let Some(obstacle) = self.obstacle(path) {
            return Err(format!("{path} cannot be a file beside {obstacle}"));
        }
        let mut tree = self.clone();
        let content = Arc::new(text.as_bytes().to_vec());
        let node = Node::File {
            content,
            executable,
        };
        tree.nodes.insert(path.to_owned(), node);
        Ok(tree)
    }

    /// What stands in the way of a file at `path`: a node where a folder of it would be, or beneath it.
    pub(crate) fn obstacle(&self, path: &str) -> Option<&str> {
        let mut folder = path;
        while let Some((parent, _)) = folder.rsplit_once('/') {
            if let Some((found, _)) = self.nodes.get_key_value(parent) {
                return Some(found);
            }
            folder = parent;
        }
        let beneath = format!("{path}/");
        self.nodes
            .range(beneath.clone()..)
            .next()
            .map(|(found, _)| found.as_str())
            .filter(|found| found.starts_with(&beneath))
    }

    /// What is new, other or (`None`) gone compared with `old`.
    pub(crate) fn changes_since<'a>(&'a self, old: &'a Self) -> Vec<(&'a str, Option<&'a Node>)> {
        let paths: BTreeSet<&String> = self.nodes.keys().chain(old.nodes.keys()).collect();
        paths
            .into_iter()
            .map(|path| (path.as_str(), self.get(path), old.get(path)))
            .filter(|(_, new, old)| new != old)
            .map(|(path, new, _)| (path, new))
            .collect()
    }

    /// Writes the tree into a new folder. Links come last, so nothing is written through one.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), PortError> {
        self.write_io(folder)
            .map_err(|error| PortError::unavailable("writing the product's files", error))
    }

    fn write_io(&self, folder: &Path) -> std::io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.mode(0o755).create(folder)?;
        builder.recursive(true);
        for (path, node) in &self.nodes {
            let Node::File {
                content,
                executable,
            } = node
            else {
                continue;
            };
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                builder.create(parent)?;
            }
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(if *executable { 0o755 } else { 0o644 })
                .open(path)?
                .write_all(content)?;
        }
        for (path, node) in &self.nodes {
            if let Node::Link(target) = node {
                let path = folder.join(path);
                if let Some(parent) = path.parent() {
                    builder.create(parent)?;
                }
                symlink(OsString::from_vec(target.clone()), path)?;
            }
        }
        Ok(())
    }

    /// Reads a folder that product code has written to, without following a link. The error is the
    /// product's: something that a package cannot hold.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let mut tree = Self::default();
        let mut bytes_left = TREE_BYTES_MAX;
        let mut folders = vec![String::new()];
        let mut folders_left = FILES_MAX;
        while let Some(at) = folders.pop() {
            folders_left = folders_left
                .checked_sub(1)
                .ok_or_else(|| format!("there are more than {FILES_MAX} folders"))?;
            let unreadable = |error| format!("{at:?} is not readable: {error}");
            for entry in fs::read_dir(folder.join(&at)).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let name = entry.file_name();
                let name = name.to_str().ok_or("a file's name is not valid text")?;
                let path = if at.is_empty() {
                    name.to_owned()
                } else {
                    format!("{at}/{name}")
                };
                let kind = entry.file_type().map_err(unreadable)?;
                if kind.is_dir() {
                    folders.push(path);
                    continue;
                }
                let node = if kind.is_file() {
                    read_file(&entry.path(), &mut bytes_left)?
                } else if kind.is_symlink() {
                    let target = fs::read_link(entry.path()).map_err(unreadable)?;
                    Node::Link(target.as_os_str().as_bytes().to_vec())
                } else {
                    return Err(format!("{path} is neither a file nor a folder"));
                };
                tree.insert(&path, node)
                    .map_err(|error| error.to_string())?;
                if tree.nodes.len() > FILES_MAX {
                    return Err(format!("there are more than {FILES_MAX} files"));
                }
            }
        }
        Ok(tree)
    }
}

fn read_file(path: &Path, bytes_left: &mut u64) -> Result<Node, String> {
    let unreadable = |error| format!("{} is not readable: {error}", path.display());
    let file = fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    let mut content = Vec::new();
    let read = file
        .take(bytes_left.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    *bytes_left = bytes_left
        .checked_sub(read as u64)
        .ok_or_else(|| format!("the files are longer than {TREE_BYTES_MAX} bytes together"))?;
    Ok(Node::File {
        content: Arc::new(content),
        executable: mode & 0o111 != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in paths {
            tree.insert(path, Node::text(*path)).unwrap();
        }
        tree
    }

    #[test]
    fn a_tree_comes_back_from_its_folder() {
        let mut tree = tree(&["a", "b/c"]);
        let executable = Node::File {
            content: Arc::new(b"#!".to_vec()),
            executable: true,
        };
        tree.insert("b/run", executable).unwrap();
        tree.insert("d/link", Node::Link(b"/etc/passwd".to_vec()))
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("w");
        tree.write(&folder).unwrap();
        assert_eq!(Tree::read(&folder).unwrap(), tree);
    }

    #[test]
    fn a_tree_is_written_only_where_nothing_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(tree(&["a"]).write(folder.path()).is_err());
    }

    #[test]
    fn text_is_not_put_where_a_link_or_a_folder_is() {
        let mut tree = tree(&["a/b", "c"]);
        tree.insert("link", Node::Link(b"..".to_vec())).unwrap();
        for (path, why) in [
            ("a", "a cannot be a file beside a/b"),
            ("c/d", "c/d cannot be a file beside c"),
            ("link", "link is a symbolic link"),
            ("link/x", "link/x cannot be a file beside link"),
        ] {
            assert_eq!(tree.with_text(path, "").unwrap_err(), why);
        }
        assert!(tree.with_text("../x", "").is_err());
        assert!(tree.with_text("a/c", "").is_ok());
    }

    #[test]
    fn changes_are_what_is_new_other_or_gone() {
        let old = tree(&["a", "b"]);
        let mut new = old.with_text("b", "other").unwrap();
        new.remove("a");
        let new = new.with_text("c", "new").unwrap();
        let changes: Vec<(&str, bool)> = new
            .changes_since(&old)
            .into_iter()
            .map(|(path, node)| (path, node.is_some()))
            .collect();
        assert_eq!(changes, [("a", false), ("b", true), ("c", true)]);
    }
}
