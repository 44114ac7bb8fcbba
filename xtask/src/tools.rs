//! What the tests need from outside the workspace: Debian packages, Python packages and packages of npm.
//!
//! Packages of the system, a browser among them, come through apt, and only when we are root and they are missing; Python
//! packages go into a private virtual environment below the target folder, pinned, and never into
//! the system's Python; those of npm into a folder beside it, by their lock file and without running their scripts. **An environment counts only when its mark was written as the last step**, so
//! a run that was killed halfway is made anew. Not here: Rust toolchains.

use crate::summary::say;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Debian package, and a command that works where what it provides is there.
pub(crate) type Package = (&'static str, &'static [&'static str]);

/// A private Python environment, with what is used beside it.
pub(crate) struct Environment {
    /// What its folder's name begins with.
    pub(crate) name: &'static str,
    /// What the system must have besides Python.
    pub(crate) packages: &'static [Package],
    /// The pinned packages of Python.
    pub(crate) requirements: &'static str,
    /// What else pip is told.
    pub(crate) options: &'static [&'static str],
    /// A program that shows that the packages work.
    pub(crate) shows: &'static str,
}

/// What the tests need.
const TESTS: Environment = Environment {
    name: "venv",
    packages: &[
        ("git", &["git", "--version"]),
        // The bundled SQLite and zstd are compiled from C.
        ("gcc", &["cc", "--version"]),
        // What a C compiler links with; Debian's gcc only recommends it.
        (
            "libc6-dev",
            &[
                "sh",
                "-c",
                "echo 'int main(void){}' | cc -x c - -o /dev/null",
            ],
        ),
        // jemalloc is built with it.
        ("make", &["make", "--version"]),
        ("ca-certificates", &["test", "-d", "/etc/ssl/certs"]),
        // Sentry's SDK for Node needs 18 or newer, which Debian has since 12.
        ("nodejs", &["node", "--version"]),
        ("npm", &["npm", "--version"]),
        // What packages for platforms are made, signed and looked into with.
        ("squashfs-tools", &["mksquashfs", "-version"]),
        ("nsis", &["makensis", "-VERSION"]),
        ("osslsigncode", &["osslsigncode", "--version"]),
        ("openssl", &["openssl", "version"]),
        ("p7zip-full", &["7z", "i"]),
        // Runs the installers for Windows.
        ("wine64", &["/usr/lib/wine/wine64", "--version"]),
    ],
    requirements: include_str!("../python-requirements.txt"),
    options: &[],
    shows: "import tuf, joserfc, sentry_sdk, cryptography, cfnlint, ministack, hypercorn, samtranslator",
};

/// What builds and deploys the functions. Its list is whole but for one package on purpose.
pub(crate) const DEPLOY: Environment = Environment {
    name: "deploy",
    packages: &[],
    requirements: include_str!("../deploy-requirements.txt"),
    options: &["--no-deps"],
    shows: "import samcli.commands.build, samcli.commands.deploy, aws_lambda_builders",
};

/// What looks for insecure settings in what is deployed.
pub(crate) const CHECKOV: Environment = Environment {
    name: "checkov",
    packages: &[],
    requirements: include_str!("../checkov-requirements.txt"),
    options: &["--no-deps"],
    shows: "import checkov.main",
};

/// What the tests need from npm: the list, and the lock with a digest of each package.
const NODE_PACKAGES: &str = include_str!("../node/package.json");
const NODE_LOCK: &str = include_str!("../node/package-lock.json");

/// The browser that we install: Debian's Chromium without a screen, which is small.
const BROWSER: &str = "chromium-headless-shell";
/// Programs that serve as a browser for the tests, the best first.
const BROWSERS: [&str; 4] = [BROWSER, "chromium", "chromium-browser", "google-chrome"];

/// The mark of a finished environment.
const MARK: &str = "complete";

/// Where the tests find what was made ready.
pub(crate) struct Ready {
    /// The Python of the private environment.
    pub(crate) python: PathBuf,
    /// The folder of Node's modules.
    pub(crate) modules: PathBuf,
    /// A browser that needs no screen.
    pub(crate) browser: &'static str,
}

/// Makes sure that everything is there.
pub(crate) fn ready(target: &Path) -> Result<Ready, String> {
    components()?;
    Ok(Ready {
        python: TESTS.ready(target)?,
        modules: node_modules(target)?,
        browser: browser()?,
    })
}

/// Makes sure that there is a browser; returns the name of its program.
fn browser() -> Result<&'static str, String> {
    let found = || BROWSERS.into_iter().find(|it| works(&[it, "--version"]));
    if let Some(browser) = found() {
        return Ok(browser);
    }
    system_packages(&[(BROWSER, &[BROWSER, "--version"])])?;
    found().ok_or_else(|| {
        format!(
            "a browser is missing: install one of {}",
            BROWSERS.join(", ")
        )
    })
}

/// Makes sure that Node's modules are there; returns their folder.
fn node_modules(target: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("Node's modules: {error}");
    let mut digest = hex::encode(Sha256::digest(NODE_LOCK.as_bytes()));
    digest.truncate(12);
    let tools = target.join("kintsugi-tools");
    let folder = tools.join(format!("node-{digest}"));
    let modules = folder.join("node_modules");
    fs::create_dir_all(&tools).map_err(failed)?;
    let lock = File::create(tools.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if folder.join(MARK).is_file() && modules.is_dir() {
        return Ok(modules);
    }
    say("tools      installing Node's modules");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    fs::write(folder.join("package.json"), NODE_PACKAGES).map_err(failed)?;
    fs::write(folder.join("package-lock.json"), NODE_LOCK).map_err(failed)?;
    // `ci` installs what the lock says, and nothing where a package is not what it was.
    run(Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .args(["--loglevel", "error"])
        .current_dir(&folder))?;
    run(Command::new("node")
        .args(["-e", "require('@sentry/node'); require('@sentry/browser')"])
        .current_dir(&folder))?;
    fs::write(folder.join(MARK), "").map_err(failed)?;
    Ok(modules)
}

/// The parts of the Rust toolchain that may be left out of an installation. They belong to the
/// toolchain, so the person who chose it adds them.
fn components() -> Result<(), String> {
    for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !works(&["cargo", command, "--version"]) {
            return Err(format!(
                "cargo {command} is missing; run: rustup component add {component}"
            ));
        }
    }
    Ok(())
}

/// What every private environment is made with.
const PYTHON: &[Package] = &[
    ("python3", &["python3", "--version"]),
    ("python3-venv", &["python3", "-c", "import venv, ensurepip"]),
];

fn works(command: &[&str]) -> bool {
    let Some((program, arguments)) = command.split_first() else {
        return false;
    };
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Makes sure that packages of the system are there.
fn system_packages(needed: &[Package]) -> Result<(), String> {
    let missing = || -> Vec<&'static str> {
        needed
            .iter()
            .filter(|(_, shows)| !works(shows))
            .map(|(package, _)| *package)
            .collect()
    };
    let wanted = missing();
    if wanted.is_empty() {
        return Ok(());
    }
    let list = wanted.join(" ");
    let by_hand = format!("install them by hand: apt-get install {list}");
    if !works(&["apt-get", "--version"]) {
        return Err(format!(
            "{list}: missing, and this machine has no apt-get; install what they provide by hand"
        ));
    }
    if !works(&["test", "-w", "/var/lib/dpkg"]) {
        return Err(format!("{list}: missing, and we are not root; {by_hand}"));
    }
    say(&format!("tools      installing {list}"));
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    // The lists may be old or empty on a fresh machine. A failed refresh is not yet a failure.
    apt(&["update", "--quiet"]);
    let mut install = vec!["install", "--yes", "--no-install-recommends", "--quiet"];
    install.extend(&wanted);
    if !apt(&install) {
        return Err(format!("apt-get could not install {list}; {by_hand}"));
    }
    match missing().as_slice() {
        [] => Ok(()),
        still => Err(format!(
            "{}: still missing after apt-get; is another program of that name earlier in PATH?",
            still.join(" ")
        )),
    }
}

impl Environment {
    /// The name of its folder: it changes with the pins and with the Python below it.
    fn folder_name(&self, python: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.requirements.as_bytes());
        hash.update([0]);
        hash.update(python.as_bytes());
        let mut digest = hex::encode(hash.finalize());
        digest.truncate(12);
        format!("{}-{digest}", self.name)
    }

    /// Makes sure that it is there, and what is used beside it; returns its Python.
    pub(crate) fn ready(&self, target: &Path) -> Result<PathBuf, String> {
        system_packages(&[PYTHON, self.packages].concat())?;
        let identity = Command::new("python3")
            .args(["-c", "import sys; print(sys.version, sys.base_prefix)"])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("python3 does not start: {error}"))?;
        let identity = String::from_utf8_lossy(&identity.stdout).into_owned();
        let tools = target.join("kintsugi-tools");
        let folder = tools.join(self.folder_name(&identity));
        let python = folder.join("bin").join("python");
        let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");

        fs::create_dir_all(&tools).map_err(|e| failed("the tools folder cannot be made", &e))?;
        // Two runs on one machine: the second waits for the first and then finds it done.
        let lock = File::create(tools.join("lock")).map_err(|e| failed("the tools lock", &e))?;
        lock.lock().map_err(|e| failed("the tools lock", &e))?;
        if finished(&folder) {
            return Ok(python);
        }
        say(&format!(
            "tools      making the private Python environment {}",
            self.name
        ));
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| failed("an unfinished environment", &e))?;
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, self.requirements)
            .map_err(|e| failed("the list of packages", &e))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "--no-input", "--retries=5"])
            .args(self.options)
            .arg("--requirement")
            .arg(&requirements))?;
        run(Command::new(&python).args(["-c", self.shows]))?;
        fs::write(folder.join(MARK), "").map_err(|e| failed("the mark of completion", &e))?;
        Ok(python)
    }
}

fn finished(folder: &Path) -> bool {
    folder.join(MARK).is_file() && folder.join("bin").join("python").exists()
}

fn run(command: &mut Command) -> Result<(), String> {
    let line = format!("{command:?}");
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{line} ended with {status}")),
        Err(error) => Err(format!("{line} does not start: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_pin_or_another_python_is_another_environment() {
        let name = |requirements, python| {
            let name = "venv";
            let environment = Environment {
                name,
                requirements,
                ..TESTS
            };
            environment.folder_name(python)
        };
        let first = name("tuf==7.0.1\n", "3.11");
        assert_eq!(first, name("tuf==7.0.1\n", "3.11"));
        assert_ne!(first, name("tuf==7.0.2\n", "3.11"));
        assert_ne!(first, name("tuf==7.0.1\n", "3.12"));
        assert!(first.len() == 17 && first.starts_with("venv-"), "{first}");
    }

    #[test]
    fn every_python_package_is_pinned_to_one_version() {
        for environment in [TESTS, DEPLOY, CHECKOV] {
            let lines = environment.requirements.lines();
            let packages: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
            for line in &packages {
                let (name, version) = line.split_once("==").unwrap();
                assert!(!name.is_empty() && !version.is_empty(), "{line}");
            }
            assert!(packages.len() >= 4);
        }
    }

    #[test]
    fn every_package_of_npm_is_pinned_by_its_digest() {
        let lock: serde_json::Value = serde_json::from_str(NODE_LOCK).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        let named: Vec<_> = packages
            .iter()
            .filter(|(path, _)| !path.is_empty())
            .collect();
        assert!(named.len() > 10);
        for (path, package) in named {
            let digest = package["integrity"].as_str().unwrap_or_default();
            assert!(digest.starts_with("sha512-"), "{path}");
            assert!(package["version"].is_string(), "{path}");
        }
        let listed: serde_json::Value = serde_json::from_str(NODE_PACKAGES).unwrap();
        for name in ["@sentry/browser", "@sentry/node"] {
            let wanted = &listed["dependencies"][name];
            let locked = &packages[&format!("node_modules/{name}")]["version"];
            assert_eq!(wanted, locked, "{name}");
        }
    }

    #[test]
    fn an_environment_without_its_mark_is_not_finished() {
        let folder = std::env::temp_dir().join(format!("kintsugi-xtask-{}", std::process::id()));
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::write(folder.join("bin").join("python"), "").unwrap();
        assert!(!finished(&folder));
        fs::write(folder.join(MARK), "").unwrap();
        assert!(finished(&folder));
        fs::remove_dir_all(&folder).unwrap();
    }
}
