//! What the environment says, read once, and where logs go.

use crate::error::Error;
use kintsugi_engine::CodeSigning;
use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

/// Seals the keys of the data folder; without it, a file there does.
const PASSPHRASE: &str = "KINTSUGI_KEY_PASSPHRASE";
/// The file with the credentials for git hosts.
const GIT_CREDENTIALS: &str = "KINTSUGI_GIT_CREDENTIALS";
/// The folder with the certificates that installers are signed with.
const CODE_SIGNING: &str = "KINTSUGI_CODE_SIGNING";
/// What opens the keys there.
const CODE_SIGNING_PASSPHRASE: &str = "KINTSUGI_CODE_SIGNING_PASSPHRASE";
/// What is logged, in the directives of `tracing-subscriber`; wins over `--verbose`.
const LOG: &str = "KINTSUGI_LOG";
/// Where logins are kept; without it, in the user's configuration folder (XDG Base Directory Specification).
const CONFIG: &str = "KINTSUGI_CONFIG";

/// What the environment says.
#[derive(Debug)]
pub(crate) struct Context {
    /// The passphrase of the keys, if there is one.
    pub(crate) passphrase: Option<Secret>,
    /// The file with the credentials for git hosts, if there is one.
    pub(crate) git_credentials: Option<PathBuf>,
    /// The certificates that installers are signed with, if there are any.
    pub(crate) code_signing: Option<CodeSigning>,
    /// Where logins are kept, if there is any place for them.
    pub(crate) config_folder: Option<PathBuf>,
}

/// Text that no log shows.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Context {
    /// Reads the environment and starts the log.
    pub(crate) fn read(verbose: u8) -> Result<Self, Error> {
        start_log(verbose)?;
        Ok(Self {
            passphrase: variable(PASSPHRASE)?.map(Secret),
            git_credentials: variable(GIT_CREDENTIALS)?.map(PathBuf::from),
            code_signing: code_signing()?,
            config_folder: config_folder(),
        })
    }
}

fn code_signing() -> Result<Option<CodeSigning>, Error> {
    let passphrase = variable(CODE_SIGNING_PASSPHRASE)?;
    let folder = variable(CODE_SIGNING)?.map(PathBuf::from);
    Ok(folder.map(|folder| CodeSigning::new(folder, passphrase)))
}

/// The folder of logins: what the user says, or that of their configuration.
fn config_folder() -> Option<PathBuf> {
    let folder = |name: &str| {
        let value = std::env::var_os(name).map(PathBuf::from);
        value.filter(|path| path.is_absolute())
    };
    let own = std::env::var_os(CONFIG).filter(|value| !value.is_empty());
    own.map(PathBuf::from)
        .or_else(|| folder("XDG_CONFIG_HOME").map(|path| path.join("kintsugi")))
        .or_else(|| folder("HOME").map(|path| path.join(".config/kintsugi")))
}

/// A variable that is set and not empty.
fn variable(name: &'static str) -> Result<Option<String>, Error> {
    match std::env::var_os(name).map(std::ffi::OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value).filter(|value| !value.is_empty())),
        Some(Err(_)) => Err(Error::Setting {
            name,
            why: "it is not valid text".to_owned(),
        }),
    }
}

fn start_log(verbose: u8) -> Result<(), Error> {
    let default = match verbose {
        0 => "warn",
        1 => "info",
        2.. => "debug",
    };
    let directives = variable(LOG)?.unwrap_or_else(|| default.to_owned());
    let filter = EnvFilter::try_new(&directives).map_err(|error| Error::Setting {
        name: LOG,
        why: error.to_string(),
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .try_init();
    // Whoever runs this library in-process may have a log of their own.
    drop(log);
    Ok(())
}
