//! The exit codes: one table for all commands. Codes never change their meaning.

use std::fmt::Write as _;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// It ran, and the answer is no: it did not heal, the thing is not so.
    No,
    /// The arguments make no sense.
    WrongArguments,
    /// A configuration, a passphrase or a setting cannot be used.
    Configuration,
    /// The address cannot be listened on.
    Address,
    /// The data folder cannot be used.
    Folder,
    /// A program that is needed is not there.
    Tool,
    /// This machine cannot box product code.
    Sandbox,
    /// The home did not answer.
    Home,
    /// A fault of Kintsugi itself.
    Internal,
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::No,
        Self::WrongArguments,
        Self::Configuration,
        Self::Address,
        Self::Folder,
        Self::Tool,
        Self::Sandbox,
        Self::Home,
        Self::Internal,
    ];

    /// The exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::WrongArguments => 2,
            Self::Configuration => 3,
            Self::Address => 4,
            Self::Folder => 5,
            Self::Tool => 6,
            Self::Sandbox => 7,
            Self::Home => 8,
            Self::Internal => 70,
        }
    }

    /// The row of the table.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::No => "it did not heal, or the answer is no",
            Self::WrongArguments => "wrong arguments",
            Self::Configuration => "a configuration, passphrase or setting cannot be used",
            Self::Address => "the address is in use or cannot be listened on",
            Self::Folder => {
                "the data folder is in use by another process, not writable, damaged, or its disk is full"
            }
            Self::Tool => "a tool is missing (git, python3)",
            Self::Sandbox => "no sandbox works here, so product code cannot run",
            Self::Home => "the home cannot be reached",
            Self::Internal => "an internal error; please report it",
        }
    }
}

/// The table as text, one code a line.
pub fn table() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:>2}  {}", exit.code(), exit.meaning());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_meaning() {
        let mut codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        codes.dedup();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 70]);
        assert_eq!(table().lines().count(), 11);
    }
}
