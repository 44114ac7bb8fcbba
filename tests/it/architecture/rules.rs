//! The rules. Each takes facts and says what is wrong, one sentence a problem; nothing here reads.

use super::facts::{Function, Manifest, Package, Text};
use super::table::{FUNCTION_FILES, MAIN_LINES_MAX};
use std::collections::{BTreeMap, BTreeSet};

/// Whether `name` is the pattern, or begins with it where the pattern ends in `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// Our crates name only those of ours that their row allows; a crate without a row is a problem too.
pub(super) fn directions(packages: &[Package], table: &[(&str, &[&str])]) -> Vec<String> {
    let ours: BTreeSet<&str> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut problems = Vec::new();
    for package in packages {
        let Some((_, allowed)) = table.iter().find(|(name, _)| matches(name, &package.name)) else {
            problems.push(format!(
                "{} has no row in the table of directions",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            if ours.contains(dependency.as_str()) && !allowed.contains(&dependency.as_str()) {
                problems.push(format!("{} must not depend on {dependency}", package.name));
            }
        }
    }
    problems
}

/// Foreign crates are named only in their homes.
pub(super) fn third_parties(packages: &[Package], homes: &[(&str, &[&str])]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages {
        for dependency in &package.dependencies {
            for (_, allowed) in homes.iter().filter(|(name, _)| matches(name, dependency)) {
                if !allowed.contains(&package.name.as_str()) {
                    problems.push(format!(
                        "{} names {dependency}, which belongs to {}",
                        package.name,
                        allowed.join(", ")
                    ));
                }
            }
        }
    }
    problems
}

/// Pure crates name no crate that does input or output.
pub(super) fn purity(packages: &[Package], pure: &[&str], impure: &[&str]) -> Vec<String> {
    packages
        .iter()
        .filter(|package| pure.contains(&package.name.as_str()))
        .flat_map(|package| {
            package
                .dependencies
                .iter()
                .filter(|dependency| impure.contains(&dependency.as_str()))
                .map(|dependency| format!("{} computes only and names {dependency}", package.name))
        })
        .collect()
}

/// Every manifest takes lints, edition and licence from the workspace, and every version of a
/// dependency too.
pub(super) fn manifests(manifests: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    for Manifest { path, content } in manifests {
        let inherits = |keys: &[&str]| {
            keys.iter()
                .try_fold(content, |at, key| at.get(key))
                .and_then(toml::Value::as_bool)
                .unwrap_or(false)
        };
        if !inherits(&["lints", "workspace"]) {
            problems.push(format!("{path} lacks [lints] workspace = true"));
        }
        for key in ["version", "edition", "license"] {
            if !inherits(&["package", key, "workspace"]) {
                problems.push(format!("{path} lacks {key}.workspace = true"));
            }
        }
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let table = content.get(section).and_then(toml::Value::as_table);
            for name in table.into_iter().flatten().map(|(name, _)| name) {
                if !inherits(&[section, name, "workspace"]) {
                    problems.push(format!("{path} names its own version of {name}"));
                }
            }
        }
    }
    problems
}

/// A function is three files; its main is short and the same as every other but for the name.
pub(super) fn functions(functions: &[Function]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut mains: BTreeMap<String, &str> = BTreeMap::new();
    for function in functions {
        let folder = &function.folder;
        if function.files != FUNCTION_FILES {
            problems.push(format!(
                "functions/{folder}/src holds {} instead of {}",
                function.files.join(", "),
                FUNCTION_FILES.join(", ")
            ));
        }
        if function.package != format!("kintsugi-fn-{folder}") {
            problems.push(format!(
                "functions/{folder} is package {}",
                function.package
            ));
        }
        if function.binaries != [folder.clone()] {
            problems.push(format!(
                "functions/{folder} builds {} instead of one program {folder}",
                function.binaries.join(", ")
            ));
        }
        let lines = function.main.lines().count();
        if lines > MAIN_LINES_MAX {
            problems.push(format!(
                "functions/{folder}/src/main.rs has {lines} lines, more than {MAIN_LINES_MAX}"
            ));
        }
        if function.events == 0 {
            problems.push(format!("events/{folder} has no sample trigger"));
        }
        mains
            .entry(without_name(&function.main, folder))
            .or_insert(folder);
    }
    if mains.len() > 1 {
        let folders: Vec<&str> = mains.into_values().collect();
        problems.push(format!(
            "main.rs differs by more than the name: compare {}",
            folders.join(", ")
        ));
    }
    problems
}

/// The text with the stage's name, quoted or in backticks, replaced: `"sign"` but not `design`.
fn without_name(main: &str, name: &str) -> String {
    main.replace(&format!("\"{name}\""), "NAME")
        .replace(&format!("`{name}`"), "NAME")
}

/// There is a function for every stage and none beside.
pub(super) fn stages(functions: &[Function], stages: &[&str]) -> Vec<String> {
    let found: BTreeSet<&str> = functions
        .iter()
        .map(|function| function.folder.as_str())
        .collect();
    let wanted: BTreeSet<&str> = stages.iter().copied().collect();
    let lacking = wanted
        .difference(&found)
        .map(|name| format!("functions/{name} is missing"));
    let beside = found
        .difference(&wanted)
        .map(|name| format!("functions/{name} is no stage"));
    lacking.chain(beside).collect()
}

/// No source file is longer than `lines_max`.
pub(super) fn lengths(sources: &[Text], lines_max: usize) -> Vec<String> {
    sources
        .iter()
        .map(|source| (source, source.content.lines().count()))
        .filter(|(_, lines)| *lines > lines_max)
        .map(|(source, lines)| format!("{} has {lines} lines, more than {lines_max}", source.path))
        .collect()
}

/// No file holds a private key, a cloud access key or one of `machine_paths`.
pub(super) fn secrets(texts: &[Text], machine_paths: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    for text in texts {
        let mut previous = "";
        for (index, line) in text.content.lines().enumerate() {
            let place = format!("{}:{}", text.path, index + 1);
            if opens_private_key(previous) && is_base64(line) {
                problems.push(format!("{place} holds a private key"));
            }
            if holds_access_key(line) {
                problems.push(format!("{place} holds a cloud access key"));
            }
            for path in machine_paths {
                if line.contains(path) {
                    problems.push(format!("{place} names a path of this machine"));
                }
            }
            previous = line;
        }
    }
    problems
}

fn opens_private_key(line: &str) -> bool {
    line.contains("-----BEGIN ") && line.contains("PRIVATE KEY-----")
}

fn is_base64(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 32
        && line
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
}

/// Access keys of AWS: `AKIA` or `ASIA` and sixteen capitals or digits. The example key of its
/// manuals, which says that it is one, is allowed.
fn holds_access_key(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| {
            word.len() == 20
                && (word.starts_with("AKIA") || word.starts_with("ASIA"))
                && word
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
                && !word.ends_with("EXAMPLE")
        })
}
