//! What a product's folder tells about it. Guesses only: a person looks them through.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Longest name of a product, bytes.
const NAME_BYTES_MAX: usize = 40;
/// Folders deeper than this are not looked into for a language.
const DEPTH_MAX: usize = 4;
/// Most entries of folders that are looked at.
const ENTRIES_MAX: usize = 5_000;

/// What a product seems to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guess {
    /// Its name, as a configuration takes it.
    pub(super) name: String,
    /// The branch that is checked out.
    pub(super) branch: String,
    /// Whether there is any Python.
    pub(super) has_python: bool,
    /// How its tests run.
    pub(super) test: Vec<String>,
    /// Where its tests are.
    pub(super) tests_folder: String,
    /// What goes into a package.
    pub(super) include: Vec<String>,
    /// The file that holds its version.
    pub(super) version_file: Option<String>,
    /// A command that fails when it cannot even start.
    pub(super) health: Vec<String>,
}

impl Guess {
    /// Looks at a folder.
    pub(super) fn look(folder: &Path) -> Self {
        let has = |path: &str| folder.join(path).exists();
        let tests_folder = ["tests", "test"].into_iter().find(|path| has(path));
        let packages = packages(folder, "");
        let in_src = packages.is_empty().then(|| packages_in_src(folder));
        let in_src = in_src.unwrap_or_default();
        let include = if !packages.is_empty() {
            packages.clone()
        } else if !in_src.is_empty() {
            in_src.clone()
        } else {
            vec![".".to_owned()]
        };
        let first = packages.first().or(in_src.first());
        let version_files = ["VERSION".to_owned()]
            .into_iter()
            .chain(include.iter().map(|path| format!("{path}/VERSION")));
        Self {
            name: name(folder),
            branch: git(folder, &["symbolic-ref", "--short", "HEAD"])
                .unwrap_or_else(|| "main".to_owned()),
            has_python: has_python(folder),
            test: tests(folder, tests_folder),
            tests_folder: tests_folder.unwrap_or("tests").to_owned(),
            version_file: version_files.into_iter().find(|path| has(path)),
            health: health(folder, first.map(String::as_str)),
            include,
        }
    }
}

/// The name of the repository at its origin, or of the folder.
fn name(folder: &Path) -> String {
    let origin = git(folder, &["config", "--get", "remote.origin.url"]);
    let from_origin = origin.and_then(|url| {
        let url = url.trim_end_matches('/');
        let last = url.rsplit(['/', ':']).next()?;
        Some(last.strip_suffix(".git").unwrap_or(last).to_owned())
    });
    let from_folder = || {
        let absolute = fs::canonicalize(folder).ok()?;
        Some(absolute.file_name()?.to_string_lossy().into_owned())
    };
    let raw = from_origin.or_else(from_folder).unwrap_or_default();
    let mut name = String::new();
    for c in raw.to_lowercase().chars() {
        let fits = c.is_ascii_lowercase() || c.is_ascii_digit();
        if fits {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(NAME_BYTES_MAX);
    let name = name.trim_end_matches('-');
    if name.is_empty() { "product" } else { name }.to_owned()
}

/// What git says about the repository whose root the folder is; nothing without git or a repository.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    if !folder.join(".git").exists() {
        return None;
    }
    let said = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let line = String::from_utf8(said.stdout).ok()?.trim().to_owned();
    (said.status.success() && !line.is_empty()).then_some(line)
}

/// The entries of a folder in order, hidden ones and those of tools left out.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let skipped = [
        "node_modules",
        "venv",
        "target",
        "build",
        "dist",
        "__pycache__",
    ];
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .filter(|(name, _)| !name.starts_with('.') && !skipped.contains(&name.as_str()))
        .collect();
    found.sort();
    found
}

fn is_python(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|it| it == "py")
}

fn has_python(folder: &Path) -> bool {
    let mut seen = 0;
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for (name, path) in entries(&folder) {
            seen += 1;
            if seen > ENTRIES_MAX {
                return false;
            }
            if is_python(&name) {
                return true;
            }
            if depth < DEPTH_MAX && path.is_dir() && !path.is_symlink() {
                folders.push((path, depth + 1));
            }
        }
    }
    false
}

/// Python packages right below a folder, tests left out, each with the prefix in front.
fn packages(folder: &Path, prefix: &str) -> Vec<String> {
    entries(folder)
        .into_iter()
        .filter(|(name, path)| {
            path.join("__init__.py").is_file() && !matches!(name.as_str(), "test" | "tests")
        })
        .map(|(name, _)| format!("{prefix}{name}"))
        .collect()
}

fn packages_in_src(folder: &Path) -> Vec<String> {
    packages(&folder.join("src"), "src/")
}

/// pytest where anything says so, else unittest.
fn tests(folder: &Path, tests_folder: Option<&str>) -> Vec<String> {
    let says = |file: &str, word: &str| {
        fs::read_to_string(folder.join(file)).is_ok_and(|text| text.contains(word))
    };
    let pytest = [
        "pytest.ini",
        "conftest.py",
        "tests/conftest.py",
        "test/conftest.py",
    ]
    .into_iter()
    .any(|file| folder.join(file).exists())
        || says("pyproject.toml", "pytest")
        || says("setup.cfg", "[tool:pytest]")
        || says("tox.ini", "pytest")
        || says("requirements-dev.txt", "pytest")
        || tests_folder.is_some_and(|tests| {
            entries(&folder.join(tests)).iter().any(|(name, _)| {
                is_python(name) && says(&format!("{tests}/{name}"), "import pytest")
            })
        });
    if pytest {
        return words("python3 -m pytest -q");
    }
    match tests_folder {
        Some(tests) if folder.join(tests).join("__init__.py").exists() => {
            words(&format!("python3 -m unittest discover -s {tests} -t ."))
        }
        Some(tests) => words(&format!("python3 -m unittest discover -s {tests}")),
        None => words("python3 -m unittest discover"),
    }
}

/// Starts the product as far as can be done without knowing it.
fn health(folder: &Path, package: Option<&str>) -> Vec<String> {
    let python = |code: String| vec!["python3".to_owned(), "-c".to_owned(), code];
    match package {
        Some(package) => match package.strip_prefix("src/") {
            Some(module) => python(format!(
                "import sys; sys.path.insert(0, 'src'); import {module}"
            )),
            None if folder.join(package).join("__main__.py").exists() => {
                words(&format!("python3 -m {package} --help"))
            }
            None => python(format!("import {package}")),
        },
        None => words("python3 --version"),
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}
