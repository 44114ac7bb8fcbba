//! What can go wrong on the command line, each with what to do about it.

use crate::exit::Exit;
use kintsugi_domain::config::ConfigError;
use kintsugi_domain::ports::PortError;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why a command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such help.
    #[error("there is no help on {topic:?}")]
    NoTopic {
        /// What was asked for.
        topic: String,
    },
    /// A `kintsugi.toml` cannot be used; the error names file, line, key and what was expected.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no `kintsugi.toml` where one was expected.
    #[error("there is no file {}", .path.display())]
    NoConfig {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot {act} {}: {why}", .path.display())]
    File {
        /// `read` or `write`.
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A file is already there and must not be lost.
    #[error("{} is already there", .path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// A setting from the environment cannot be used.
    #[error("{name}: {why}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The passphrase does not fit the keys of the data folder.
    #[error("{why}")]
    Passphrase {
        /// How it does not fit.
        why: String,
        /// What to do.
        help: &'static str,
    },
    /// Another program listens on the address.
    #[error("the address {address} is in use")]
    AddressInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {why}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        why: String,
    },
    /// The data folder cannot be used.
    #[error("{why}")]
    Folder {
        /// What is wrong with it, with its path.
        why: String,
        /// What to do.
        help: String,
    },
    /// A program that is needed is not there, or does not run.
    #[error("{why}")]
    Tool {
        /// Its name.
        name: &'static str,
        /// What happened.
        why: String,
    },
    /// The store failed while a command worked with it.
    #[error("{0}")]
    Store(PortError),
    /// A part of the home ended that must not end.
    #[error("the {task} task ended: {why}")]
    Task {
        /// Its name.
        task: String,
        /// How it ended.
        why: String,
    },
    /// Something that is needed could not be had from the network.
    #[error("cannot get {what}: {why}")]
    Download {
        /// What.
        what: &'static str,
        /// What happened.
        why: String,
    },
    /// This machine cannot box product code, which therefore is not run.
    #[error("no sandbox works here: {why}")]
    NoSandbox {
        /// What is missing.
        why: String,
    },
    /// The address of a home cannot be used.
    #[error("the home {home}: {why}")]
    HomeAddress {
        /// The address.
        home: String,
        /// What is wrong with it.
        why: String,
    },
    /// The home does not answer, or with something that is no answer.
    #[error("the home {home} does not answer: {why}")]
    Home {
        /// Its address.
        home: String,
        /// What happened.
        why: String,
    },
    /// The home did not take an order.
    #[error("{why}")]
    Refused {
        /// The stable name of the reason.
        code: String,
        /// The reason.
        why: String,
    },
    /// No token of the home is kept.
    #[error("you are not logged in{}", .home.as_ref().map(|home| format!(" to {home}")).unwrap_or_default())]
    NotLoggedIn {
        /// The home, if one was named.
        home: Option<String>,
    },
    /// The system refused something that always works.
    #[error("cannot {act}: {why}")]
    System {
        /// What was being done.
        act: &'static str,
        /// What the system says.
        why: String,
    },
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::Store(error)
    }
}

impl Error {
    /// The stable name of this kind of failure.
    pub fn code(&self) -> &str {
        match self {
            Self::NoTopic { .. } => "no_topic",
            Self::Config(_) => "config_broken",
            Self::NoConfig { .. } => "config_missing",
            Self::File { .. } => "file",
            Self::Exists { .. } => "file_exists",
            Self::Setting { .. } => "setting",
            Self::Passphrase { .. } => "passphrase",
            Self::AddressInUse { .. } => "address_in_use",
            Self::Address { .. } => "address",
            Self::Folder { .. } => "data_folder",
            Self::Tool { .. } => "tool_missing",
            Self::Store(_) => "store",
            Self::Task { .. } => "task_ended",
            Self::Download { .. } => "download",
            Self::NoSandbox { .. } => "no_sandbox",
            Self::HomeAddress { .. } => "home_address",
            Self::Home { .. } => "home",
            Self::Refused { code, .. } => code,
            Self::NotLoggedIn { .. } => "not_logged_in",
            Self::System { .. } => "system",
        }
    }

    /// How the process ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoTopic { .. } | Self::HomeAddress { .. } => Exit::WrongArguments,
            Self::Config(_)
            | Self::NoConfig { .. }
            | Self::File { .. }
            | Self::Exists { .. }
            | Self::Setting { .. }
            | Self::Passphrase { .. }
            | Self::NotLoggedIn { .. } => Exit::Configuration,
            Self::AddressInUse { .. } | Self::Address { .. } => Exit::Address,
            Self::Folder { .. } | Self::Store(_) => Exit::Folder,
            Self::Tool { .. } | Self::Download { .. } => Exit::Tool,
            Self::NoSandbox { .. } => Exit::Sandbox,
            Self::Refused { .. } => Exit::No,
            Self::Home { .. } => Exit::Home,
            Self::Task { .. } | Self::System { .. } => Exit::Internal,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        let fixed = match self {
            Self::NoTopic { .. } => {
                "see kintsugi help for the commands, and kintsugi help exit-codes"
            }
            Self::Config(_) => "mend that line, then try kintsugi check",
            Self::NoConfig { .. } => "write one with kintsugi init, or give another path",
            Self::File { .. } => {
                "give the user that runs Kintsugi the right to do so, or another path"
            }
            Self::Exists { .. } => "use --force to replace it, or --path to write another file",
            Self::Setting { .. } => "set it to something valid, or unset it",
            Self::Passphrase { help, .. } => help,
            Self::AddressInUse { .. } => {
                "stop the program that listens there (perhaps another Kintsugi), or choose another with --listen"
            }
            Self::Address { .. } => "choose an address of this machine with --listen",
            Self::Folder { help, .. } => return help.clone(),
            Self::Tool { name: "git", .. } => "install git (Debian: apt install git)",
            Self::Tool { .. } => "install Python 3 (Debian: apt install python3)",
            Self::Store(_) => {
                "check the disk of the data folder, then start again: nothing accepted is lost"
            }
            Self::Task { .. } => {
                "start again: nothing accepted is lost; please report what is above"
            }
            Self::Download { .. } => "check the network and the settings of pip, then try again",
            Self::NoSandbox { .. } => {
                "allow user namespaces and Landlock (kintsugi doctor says what is missing), or use another machine"
            }
            Self::HomeAddress { .. } => {
                "give the address that sam deploy printed as ApiUrl, or http://127.0.0.1:7373 for kintsugi up"
            }
            Self::Home { .. } => "check the address and the network; the home's own log says more",
            Self::Refused { .. } => "mend what it names, then try again",
            Self::NotLoggedIn { .. } => "use kintsugi login, or --home with --token-file",
            Self::System { .. } => "check the limits of this user and system",
        };
        fixed.to_owned()
    }

    /// A file that cannot be read.
    pub(crate) fn read(path: &Path, why: &impl fmt::Display) -> Self {
        Self::File {
            act: "read",
            path: path.to_owned(),
            why: why.to_string(),
        }
    }

    /// A file that cannot be written.
    pub(crate) fn write(path: &Path, why: &impl fmt::Display) -> Self {
        Self::File {
            act: "write",
            path: path.to_owned(),
            why: why.to_string(),
        }
    }

    /// Something that always works did not.
    pub(crate) fn unexpected(act: &'static str, why: &(impl fmt::Display + ?Sized)) -> Self {
        Self::System {
            act,
            why: why.to_string(),
        }
    }

    /// The failure of opening a data folder.
    pub(crate) fn from_open(folder: &Path, error: PortError) -> Self {
        let (what, why) = match error {
            PortError::Unavailable { what, why } | PortError::Broken { what, why } => (what, why),
            PortError::Conflict { what } => (what, "it was changed meanwhile".to_owned()),
        };
        // The adapters write "what is wrong; what to do".
        let (why, help) = match why.split_once("; ") {
            Some((why, help)) => (why, help.to_owned()),
            None => (
                why.as_str(),
                "check the folder and its disk, or use another with --data".to_owned(),
            ),
        };
        let place = folder.display().to_string();
        let why = if what.contains(&place) {
            format!("{what}: {why}")
        } else {
            format!("data folder {place}: {what}: {why}")
        };
        if what.starts_with("keys in") && why.contains("passphrase") {
            let help = if why.contains("not with a passphrase") {
                "unset KINTSUGI_KEY_PASSPHRASE"
            } else {
                "set KINTSUGI_KEY_PASSPHRASE to the passphrase that this data folder was made with"
            };
            return Self::Passphrase { why, help };
        }
        Self::Folder { why, help }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adapters_sentence_is_split_into_what_is_wrong_and_what_to_do() {
        let error =
            PortError::unavailable("open the database", "the disk is full; free some space");
        let error = Error::from_open(Path::new("home"), error);
        assert_eq!(error.exit(), Exit::Folder);
        assert_eq!(
            error.to_string(),
            "data folder home: open the database: the disk is full"
        );
        assert_eq!(error.help(), "free some space");
    }
}
