//! The source of the stages and of the adapters, read for what they use.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use super::template::root;
use super::uses::BORROWED;
use kintsugi_domain::record::Kind;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules that belong to no stage, and those that only some of them name.
const HELPERS: &[&str] = &[
    "deliveries",
    "news",
    "outbox",
    "records",
    "repository",
    "runner",
    "stage",
    "tickets",
];

/// A module's source without comments, tests and white space.
fn source(files: &[PathBuf]) -> String {
    let mut all = String::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let text = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let lines = text.lines().map(|line| line.split("//").next());
        all.extend(lines.flatten().flat_map(str::split_whitespace));
    }
    all.replace(".as_ref()", "")
}

/// The Rust files below a folder, tests left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

/// The Rust files at and below these paths of the repository, tests left out.
pub(super) fn at(paths: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in paths.iter().map(|path| root().join(path)) {
        if path.is_file() {
            found.push(path);
        } else {
            found.extend(files(&path));
        }
    }
    found
}

/// The source of routes in `shared/http`, which use ports themselves only in the pages and in what stands beside them.
fn routes(name: &str) -> String {
    let routes = root().join("shared/http/src");
    let mut found = files(&routes.join(name));
    found.push(routes.join(format!("{name}.rs")));
    source(&found)
}

fn module(name: &str) -> String {
    let modules = root().join("shared/app/src");
    let file = modules.join(format!("{name}.rs"));
    if file.is_file() {
        return source(&[file]);
    }
    let files = files(&modules.join(name));
    assert!(!files.is_empty(), "no module {name}");
    source(&files)
}

/// The name at the start of a text.
fn name_at(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// The names that follow a mark in a text.
fn after<'t>(text: &'t str, mark: &str) -> Vec<&'t str> {
    text.split(mark).skip(1).map(name_at).collect()
}

/// What the source of a stage uses, as a row of [`STAGES`] would say it.
pub(super) struct Found {
    pub(super) methods: BTreeSet<String>,
    pub(super) keys: BTreeSet<String>,
    pub(super) borrows: BTreeSet<String>,
}

/// Reads the source of a stage and of the helpers that it names.
pub(super) fn found(stage: &str) -> Found {
    let own = module(stage);
    let mut text = own.clone();
    // One function serves the manifest stage and the repository, another the admin stage and the runners.
    let served = match stage {
        "manifest" => &["repository"][..],
        "admin" => &["deliveries", "runner"],
        _ => &[],
    };
    let named: BTreeSet<&str> = after(&own, "crate::")
        .into_iter()
        .chain(served.iter().copied())
        .collect();
    let mut borrows = BTreeSet::new();
    for name in named {
        if HELPERS.contains(&name) {
            text.push_str(&module(name));
        } else if name != stage {
            let items = after(&own, &format!("crate::{name}::"));
            borrows.extend(items.into_iter().map(|item| format!("{name}::{item}")));
        }
    }
    // One function serves the admin API and the console.
    if stage == "admin" {
        let served = ["admin", "console", "health"].map(routes);
        text.extend(served);
    }
    let mut methods = BTreeSet::new();
    for port in ["blobs", "notifier", "queues", "signer"] {
        let calls = after(&text, &format!(".{port}."));
        methods.extend(calls.into_iter().map(|method| format!("{port}.{method}")));
    }
    // One credential opens the forge, whatever is done with it.
    if after(&text, "ports.").contains(&"forge") {
        methods.insert("forge".to_owned());
    }
    let mut keys: BTreeSet<String> = after(&text, "KeyUse::")
        .into_iter()
        .map(str::to_owned)
        .collect();
    for borrowed in &borrows {
        let row = BORROWED.iter().find(|(item, ..)| item == borrowed);
        let Some((_, with, uses)) = row else {
            panic!("{stage} borrows {borrowed}: say in BORROWED what comes with it");
        };
        methods.extend(with.iter().map(ToString::to_string));
        keys.extend(uses.iter().map(ToString::to_string));
    }
    Found {
        methods,
        keys,
        borrows,
    }
}

/// The calls in the source of the adapters. Empty where they are not part of the workspace.
pub(super) fn calls() -> BTreeSet<String> {
    let text = source(&files(&root().join("shared/adapters-aws/src")));
    let mut calls = BTreeSet::new();
    for client in ["client.", "kms.", "secrets."] {
        let ends = text.split(client).skip(1);
        let calling = ends.filter(|rest| {
            rest.get(name_at(rest).len()..)
                .is_some_and(|rest| rest.starts_with("()"))
        });
        calls.extend(calling.map(name_at).map(str::to_owned));
    }
    calls.remove("clone");
    calls
}

/// The partition keys of a kind's records, for all projects and lanes, in the form that the adapter's source has.
pub(super) fn partitions(kind: Kind) -> String {
    let store = source(&[root().join("shared/adapters-aws/src/store.rs")]);
    let (_, form) = store.split_once(r#"format!("record#"#).unwrap();
    let form = form.split('"').next().unwrap();
    let form = form.replace("{project}", "*").replace("{lane}", "*");
    format!("record#{}", form.replace("{kind}", kind.name()))
}
