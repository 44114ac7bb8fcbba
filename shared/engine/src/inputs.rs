//! What goes into a build besides the commit, for its provenance: lock files by their digests, and the engine itself.
//!
//! Not here: what is said of them (`kintsugi_trust::attestation`).

use crate::tree::{Node, Tree};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::job::Input;
use std::path::Path;

/// Most lock files that are told.
const LOCK_FILES_MAX: usize = 100;

/// Files in which package managers keep the exact versions of everything that they install.
const LOCK_FILES: [&str; 13] = [
    "Cargo.lock",
    "Gemfile.lock",
    "Pipfile.lock",
    "bun.lock",
    "composer.lock",
    "go.sum",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "pdm.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "uv.lock",
    "yarn.lock",
];

/// The lock files of a tree, in the order of their paths: by their names, and pip's `requirements*.txt`.
pub(crate) fn lock_files(tree: &Tree) -> Vec<Input> {
    let mut found = Vec::new();
    for (path, node) in tree.iter() {
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_text = Path::new(name).extension().is_some_and(|it| it == "txt");
        let is_of_pip = name.starts_with("requirements") && is_text;
        let Node::File { content, .. } = node else {
            continue;
        };
        if is_of_pip || LOCK_FILES.contains(&name) {
            found.push(Input {
                path: path.clone(),
                digest: Digest::of(content),
            });
        }
        if found.len() == LOCK_FILES_MAX {
            break;
        }
    }
    found
}

/// The engine with its version, and what machine it runs on.
pub(crate) fn builder() -> String {
    let (version, system) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    format!(
        "kintsugi-engine/{version} {system}-{}",
        std::env::consts::ARCH
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_are_found_anywhere_and_links_are_not_followed() {
        let mut tree = Tree::default();
        for path in [
            "uv.lock",
            "web/package-lock.json",
            "requirements-dev.txt",
            "lock/a.py",
        ] {
            tree.insert(path, Node::text(path)).unwrap();
        }
        tree.insert("Cargo.lock", Node::Link(b"/etc/passwd".to_vec()))
            .unwrap();
        let found: Vec<(String, Digest)> = lock_files(&tree)
            .into_iter()
            .map(|input| (input.path, input.digest))
            .collect();
        let paths = ["requirements-dev.txt", "uv.lock", "web/package-lock.json"];
        let expected = paths.map(|path| (path.to_owned(), Digest::of(path.as_bytes())));
        assert_eq!(found, expected);
    }
}
