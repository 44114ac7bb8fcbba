//! The programs and the certificates that products ask for.

use super::Check;
use crate::exit::Exit;
use crate::project;
use kintsugi_domain::config::Config;
use kintsugi_engine::{CodeSigning, Need, PROGRAM_FOLDERS, find_program, needs};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The product of a folder.
const CONFIG_FILE: &str = "kintsugi.toml";

/// A line for each program that any of the products needs, and what is wrong with their files.
pub(super) fn checks(projects: &[PathBuf], signing: Option<&CodeSigning>) -> Vec<Check> {
    let here = [PathBuf::from(CONFIG_FILE)];
    let projects = if projects.is_empty() && Path::new(CONFIG_FILE).is_file() {
        &here
    } else {
        projects
    };
    let mut checks = Vec::new();
    let mut programs: BTreeMap<String, (Need, Vec<String>)> = BTreeMap::new();
    let mut signed = Vec::new();
    for path in projects {
        let config = match project::read(path) {
            Ok(product) => product.config,
            Err(error) => {
                let (exit, help) = (error.exit(), error.help());
                checks.push(Check::bad("product", exit, error.to_string(), &help));
                continue;
            }
        };
        let name = &config.product.name;
        for need in needs(&config) {
            let asks = format!("{} of {name}", need.key);
            let entry = programs.entry(need.program.clone());
            entry.or_insert((need, Vec::new())).1.push(asks);
        }
        if signs(&config) {
            signed.push(name.clone());
        }
    }
    let programs = programs.into_values();
    checks.extend(programs.map(|(need, asked_by)| program(&need, &asked_by.join(", "))));
    if !signed.is_empty() {
        checks.push(certificates(signing, &signed.join(", ")));
    }
    checks
}

fn signs(config: &Config) -> bool {
    let windows = config.package.windows.as_ref();
    windows.is_some_and(|rules| rules.sign)
}

fn program(need: &Need, asked_by: &str) -> Check {
    let program = &need.program;
    if let Some(path) = find_program(program) {
        return Check::good(program, format!("{}, for {asked_by}", path.display()));
    }
    let found = format!("the program {program} is missing, for {asked_by}");
    let help = match need.package {
        Some(package) => {
            format!("install the Debian package {package} (Debian: apt install {package})")
        }
        None => format!(
            "install it where the sandbox sees it: {}",
            PROGRAM_FOLDERS.join(", ")
        ),
    };
    Check::bad(program, Exit::Tool, found, &help)
}

fn certificates(signing: Option<&CodeSigning>, products: &str) -> Check {
    let name = "certificate";
    let help = "set KINTSUGI_CODE_SIGNING to the folder with the certificates and their keys, or package.windows.sign to false";
    match signing.map(CodeSigning::folder) {
        Some(folder) if folder.is_dir() => Check::good(
            name,
            format!("those of {} sign {products}", folder.display()),
        ),
        Some(folder) => {
            let found = format!("{} is no folder, and signs {products}", folder.display());
            Check::bad(name, Exit::Tool, found, help)
        }
        None => {
            let found = format!("there is none that signs {products}");
            Check::bad(name, Exit::Tool, found, help)
        }
    }
}
