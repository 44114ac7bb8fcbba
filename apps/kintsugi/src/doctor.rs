//! `kintsugi doctor`: whether this machine has what a local home and the builds of its products need, one line per check.
//!
//! Nothing is changed: the data folder is not made, and what is written to see whether it can be is gone
//! at once.

mod products;

use crate::args::{Doctor, Place};
use crate::context::Context;
use crate::exit::Exit;
use crate::{print, tools};
use kintsugi_adapters_local::database::LOCK_FILE;
use kintsugi_sandbox::Sandbox;
use serde_json::{Value, json};
use std::fs::{File, TryLockError};
use std::net::TcpListener;
use std::path::Path;

/// Below this much free space a build may not end, bytes.
const FREE_BYTES_MIN: u64 = 1024 * 1024 * 1024;

/// One thing that was looked at.
struct Check {
    name: String,
    found: String,
    /// What is wrong: how a home would end because of it, and what to do. None when all is well.
    wrong: Option<(Exit, String)>,
}

impl Check {
    fn good(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            found: found.into(),
            wrong: None,
        }
    }

    fn bad(name: impl Into<String>, exit: Exit, found: impl Into<String>, help: &str) -> Self {
        Self {
            name: name.into(),
            found: found.into(),
            wrong: Some((exit, help.to_owned())),
        }
    }

    fn tool(name: &'static str, version: Result<String, crate::error::Error>) -> Self {
        match version {
            Ok(version) => Self::good(name, version),
            Err(error) => Self::bad(name, Exit::Tool, error.to_string(), &error.help()),
        }
    }

    fn object(&self) -> Value {
        let help = self.wrong.as_ref().map(|(_, help)| help);
        json!({"name": self.name, "ok": self.wrong.is_none(), "found": self.found, "help": help})
    }
}

/// Prints every check; ends with the code of the first that is not well.
pub(crate) fn run(asked: &Doctor, context: &Context, json: bool) -> Exit {
    let place = &asked.place;
    let in_use = is_in_use(&place.data);
    let mut checks = vec![
        Check::tool("git", tools::git()),
        Check::tool("python3", tools::python()),
        sandbox(),
        folder(&place.data, in_use),
        space(&place.data),
        address(place, in_use),
    ];
    checks.extend(products::checks(
        &asked.projects,
        context.code_signing.as_ref(),
    ));
    let exit = checks
        .iter()
        .find_map(|check| check.wrong.as_ref().map(|(exit, _)| *exit))
        .unwrap_or(Exit::Done);
    if json {
        let list: Vec<Value> = checks.iter().map(Check::object).collect();
        print::object(&json!({"ok": exit == Exit::Done, "checks": list}));
        return exit;
    }
    let (good, bad) = (print::GOOD, print::BAD);
    for Check { name, found, wrong } in &checks {
        match wrong {
            None => print::out(&format_args!("{good}ok {good:#}  {name:<12}  {found}")),
            Some((_, help)) => {
                print::out(&format_args!(
                    "{bad}bad{bad:#}  {name:<12}  {found}; {help}"
                ));
            }
        }
    }
    exit
}

fn sandbox() -> Check {
    match Sandbox::probe() {
        Ok(sandbox) if sandbox.has_landlock() => Check::good("sandbox", "works, with Landlock"),
        Ok(_) => Check::good(
            "sandbox",
            "works; this kernel has no Landlock to back it up",
        ),
        Err(error) => {
            let help = "until then a home takes reports, but searches and builds stop";
            Check::bad("sandbox", Exit::Sandbox, error.to_string(), help)
        }
    }
}

/// Whether a home runs on that folder.
fn is_in_use(folder: &Path) -> bool {
    let lock = File::options().write(true).open(folder.join(LOCK_FILE));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

fn folder(folder: &Path, in_use: bool) -> Check {
    let name = "data folder";
    let shown = folder.display();
    if in_use {
        return Check::good(name, format!("{shown} is in use by a home that runs"));
    }
    if folder.exists() && !folder.is_dir() {
        let found = format!("{shown} is a file");
        return Check::bad(name, Exit::Folder, found, "choose another with --data");
    }
    let nearest = nearest(folder);
    match tempfile::tempfile_in(nearest) {
        Ok(_) if nearest == folder => Check::good(name, format!("{shown} can be written to")),
        Ok(_) => Check::good(name, format!("{shown} does not exist yet and can be made")),
        Err(error) => {
            let found = format!("{} cannot be written to: {error}", nearest.display());
            let help =
                "give the user that runs Kintsugi the right to, or choose another with --data";
            Check::bad(name, Exit::Folder, found, help)
        }
    }
}

/// The folder itself, or the nearest one above it that exists.
fn nearest(folder: &Path) -> &Path {
    folder
        .ancestors()
        .find(|above| above.is_dir())
        .unwrap_or_else(|| Path::new("."))
}

fn space(folder: &Path) -> Check {
    let name = "free space";
    let free = match rustix::fs::statvfs(nearest(folder)) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => {
            let found = format!("cannot be told: {error}");
            let help = "check the disk of the data folder";
            return Check::bad(name, Exit::Folder, found, help);
        }
    };
    let found = format!(
        "{} MiB on the disk of the data folder",
        free / (1024 * 1024)
    );
    if free >= FREE_BYTES_MIN {
        return Check::good(name, found);
    }
    let help = "free some: builds and packages need 1024 MiB";
    Check::bad(name, Exit::Folder, found, help)
}

fn address(place: &Place, in_use: bool) -> Check {
    let name = "address";
    let address = place.listen;
    match TcpListener::bind(address) {
        Ok(_) => Check::good(name, format!("{address} is free")),
        Err(_) if in_use => Check::good(name, format!("{address} is taken, and a home runs")),
        Err(error) => {
            let help = "stop the program that listens there, or choose another with --listen";
            Check::bad(name, Exit::Address, format!("{address}: {error}"), help)
        }
    }
}
