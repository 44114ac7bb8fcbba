//! The facts that the rules judge, read from the repository.

#![expect(clippy::unwrap_used, reason = "test code")]

use cargo_metadata::{DependencyKind, MetadataCommand, TargetKind};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One crate of ours.
pub(super) struct Package {
    pub(super) name: String,
    /// What it names under `[dependencies]` and `[build-dependencies]`.
    pub(super) dependencies: Vec<String>,
}

/// One manifest.
pub(super) struct Manifest {
    pub(super) path: String,
    pub(super) content: toml::Value,
}

/// One folder of `functions/`.
pub(super) struct Function {
    pub(super) folder: String,
    pub(super) package: String,
    pub(super) binaries: Vec<String>,
    /// Names of the files in `src`, sorted.
    pub(super) files: Vec<String>,
    /// The text of `main.rs`.
    pub(super) main: String,
    /// How many sample triggers it has.
    pub(super) events: usize,
}

/// One text file.
pub(super) struct Text {
    /// Relative to the repository.
    pub(super) path: String,
    pub(super) content: String,
}

/// The repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The workspace's own manifest.
pub(super) fn workspace() -> toml::Value {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    text.parse::<toml::Table>().unwrap().into()
}

fn members() -> Vec<cargo_metadata::Package> {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap()
        .packages
}

pub(super) fn packages() -> Vec<Package> {
    members()
        .into_iter()
        .map(|package| Package {
            name: package.name.to_string(),
            dependencies: package
                .dependencies
                .into_iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name)
                .collect(),
        })
        .collect()
}

pub(super) fn manifests() -> Vec<Manifest> {
    members()
        .into_iter()
        .map(|package| {
            let path = package.manifest_path.into_std_path_buf();
            let text = fs::read_to_string(&path).unwrap();
            Manifest {
                path: relative(&path),
                content: toml::from_str(&text).unwrap(),
            }
        })
        .collect()
}

/// The folder of each crate of ours, relative to the repository.
pub(super) fn folders() -> BTreeMap<String, String> {
    let folder = |package: cargo_metadata::Package| {
        let manifest = package.manifest_path.into_std_path_buf();
        (
            package.name.to_string(),
            relative(manifest.parent().unwrap()),
        )
    };
    members().into_iter().map(folder).collect()
}

/// The text of a document.
pub(super) fn document(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

pub(super) fn functions() -> Vec<Function> {
    let members = members();
    entries(&root().join("functions"))
        .into_iter()
        .filter(|path| path.is_dir() && !name(path).starts_with('.'))
        .map(|path| {
            let folder = name(&path);
            let package = members
                .iter()
                .find(|package| package.manifest_path.starts_with(&path));
            Function {
                package: package.map_or_else(String::new, |package| package.name.to_string()),
                binaries: package
                    .into_iter()
                    .flat_map(|package| &package.targets)
                    .filter(|target| target.kind.contains(&TargetKind::Bin))
                    .map(|target| target.name.clone())
                    .collect(),
                files: entries(&path.join("src"))
                    .iter()
                    .map(|file| name(file))
                    .collect(),
                main: fs::read_to_string(path.join("src").join("main.rs")).unwrap_or_default(),
                events: entries(&root().join("events").join(&folder)).len(),
                folder,
            }
        })
        .collect()
}

pub(super) fn sources() -> Vec<Text> {
    let mut texts = texts();
    texts.retain(|text| {
        Path::new(&text.path)
            .extension()
            .is_some_and(|extension| extension == "rs")
    });
    texts
}

/// Every text file of the repository that a person could have written.
pub(super) fn texts() -> Vec<Text> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                let skipped = ["target", ".git", ".kintsugi", "node_modules", "__pycache__"];
                if !skipped.contains(&name(&path).as_str()) && !path.is_symlink() {
                    folders.push(path);
                }
            } else if let Ok(content) = fs::read_to_string(&path) {
                found.push(Text {
                    path: relative(&path),
                    content,
                });
            }
        }
    }
    found
}

/// Paths that exist on this machine and mean nothing on another: the checkout and cargo's home. A
/// checkout right below `/` has a name too short to tell from a path in an example.
pub(super) fn machine_paths() -> Vec<String> {
    let registry = std::env::var_os("CARGO_HOME")
        .or_else(|| std::env::var_os("HOME"))
        .map(|home| format!("{}/.cargo/registry", Path::new(&home).display()));
    let checkout = root();
    let long_enough = checkout.components().count() > 2;
    registry
        .into_iter()
        .chain(long_enough.then(|| checkout.display().to_string()))
        .collect()
}

/// The entries of a folder, sorted; none when it does not exist.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}
