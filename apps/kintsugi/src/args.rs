//! The arguments.

use crate::access::Keys;
use crate::audit::AuditLog;
use crate::demo::Demo;
use crate::home::CONNECTIONS_PER_ADDRESS;
use crate::login::{HomeArgs, Login};
use crate::parked::Redrive;
use crate::release::Release;
use crate::stats::Projects;
use crate::trains::Trains;
use crate::tuf::Tuf;
use clap::{ArgAction, Args, Parser, Subcommand};
use kintsugi_app::runner::LEASE_SECONDS;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// A self-healing release pipeline: reports go in, healed releases come out.
#[derive(Debug, Parser)]
#[command(name = "kintsugi", version, disable_help_subcommand = true)]
#[command(long_version = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nApache-2.0; contains hakoniwa under LGPL-3.0: see kintsugi help licences"
))]
#[command(after_help = "Exit codes: see kintsugi help exit-codes")]
pub(crate) struct Arguments {
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log more to standard error; twice for everything.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole loop on a sample product: a real crash goes in, a healed app comes out.
    Demo(Demo),
    /// Run the local home: every stage and the HTTP interface, until SIGTERM or Ctrl-C.
    Up(Up),
    /// Do a home's searches and builds on this machine, until SIGTERM or Ctrl-C.
    Runner(Runner),
    /// Write a commented kintsugi.toml for the product in this folder.
    Init(Init),
    /// Say whether a kintsugi.toml can be used.
    Check {
        /// The file.
        #[arg(default_value = "kintsugi.toml", value_name = "FILE")]
        file: PathBuf,
    },
    /// Print what is left of an event, read from standard input as JSON, and what was removed from it.
    Scrub {
        /// A file with a table `[scrub]`, such as a kintsugi.toml: the rules of a project.
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
    },
    /// Keep a token of a home for the commands that ask it.
    Login(Login),
    /// Print an address of the console that lets you in, once.
    Console(HomeArgs),
    /// Admin tokens and the keys that sign them: make them, change them, take them back.
    Keys(Keys),
    /// What a home knows of its projects.
    Project(Projects),
    /// The audit log: whether it still is what was written.
    Audit(AuditLog),
    /// List the messages that nobody could handle, and why.
    Parked(HomeArgs),
    /// Put the parked messages of a queue back, after their cause was mended.
    Redrive(Redrive),
    /// Say which fixes depart when, and what holds them.
    Trains(Trains),
    /// Say whether this machine has what a local home needs.
    Doctor(Doctor),
    /// Make, apply or read the delta between two versions of a file.
    #[command(subcommand)]
    Delta(Delta),
    /// Keys of a signed repository: make roots and sign them by hand, have a home replace its keys, see how it stands.
    #[command(subcommand)]
    Tuf(Tuf),
    /// Compare versions; check an artifact against what its release says.
    #[command(subcommand)]
    Release(Release),
    /// Print the help of a command, the table exit-codes, or the licences.
    Help {
        /// A command, exit-codes, or licences.
        topic: Option<String>,
    },
}

/// Where a home is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The data folder; made on first use.
    #[arg(long, value_name = "DIR", default_value = ".kintsugi")]
    pub(crate) data: PathBuf,
    /// The address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7373")]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) place: Place,
    /// A product whose tools are looked for too: its kintsugi.toml, or the folder that has one; that of this folder if absent. May be
    /// repeated.
    #[arg(long = "project", value_name = "FILE_OR_REPO")]
    pub(crate) projects: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) place: Place,
    /// A product to take care of: its kintsugi.toml, or the git repository that has one. May be repeated.
    #[arg(long = "project", value_name = "FILE_OR_REPO")]
    pub(crate) projects: Vec<PathBuf>,
    /// Leave searches and builds to runners (see kintsugi help runner): this process runs no product code.
    #[arg(long)]
    pub(crate) leave_jobs: bool,
    /// The address that others reach this home at, through a proxy with TLS. It stands in DSNs and in the console's address,
    /// and the console can then be entered by HTTPS only.
    #[arg(long, value_name = "URL", value_parser = https_home)]
    pub(crate) behind_tls: Option<String>,
    /// Most connections of one address at once; this machine may have any number.
    #[arg(long, value_name = "N", default_value_t = CONNECTIONS_PER_ADDRESS)]
    pub(crate) connections_per_address: usize,
    /// A proxy before this home, which speaks for many: it may have any number of connections. May be repeated.
    #[arg(long = "proxy", value_name = "IP")]
    pub(crate) proxies: Vec<IpAddr>,
}

/// `https://`, a name and perhaps a port, without a slash at the end. No path: the console's addresses begin at the root.
fn https_home(text: &str) -> Result<String, String> {
    let given = text.strip_suffix('/').unwrap_or(text);
    let place = given.strip_prefix("https://").unwrap_or_default();
    let is_place = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    if place.is_empty() || !place.chars().all(is_place) {
        return Err("expected https://, a name and perhaps a port, without a path".to_owned());
    }
    Ok(given.to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Runner {
    /// The home: the address that kintsugi up or sam deploy printed.
    #[arg(long, value_name = "URL")]
    pub(crate) home: String,
    /// A file with a token of the role runner; read anew before each job.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: PathBuf,
    /// Where to work; for this runner alone.
    #[arg(long, value_name = "DIR", default_value = ".kintsugi-runner")]
    pub(crate) work: PathBuf,
    /// Do one job, or none where none waits, and end.
    #[arg(long)]
    pub(crate) once: bool,
    /// After how many seconds without a sign of life the home gives the job to another runner.
    #[arg(long, value_name = "SECONDS", default_value_t = LEASE_SECONDS, value_parser = clap::value_parser!(u32).range(1..=900))]
    pub(crate) lease: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where to write; the product is the folder around it.
    #[arg(long, value_name = "FILE", default_value = "kintsugi.toml")]
    pub(crate) path: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Delta {
    /// Write the delta that leads from OLD to NEW.
    Make {
        /// What a device has.
        old: PathBuf,
        /// What it shall have.
        new: PathBuf,
        /// The delta.
        out: PathBuf,
    },
    /// Write what a delta leads to. Nothing is left behind if it does not arrive.
    Apply {
        /// What the delta starts from.
        old: PathBuf,
        /// The delta.
        delta: PathBuf,
        /// What it leads to.
        out: PathBuf,
    },
    /// Say what a delta starts from, leads to and holds.
    Info {
        /// The delta.
        delta: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_home_behind_tls_is_named_by_https_and_a_name() {
        let given = ["https://home.example", "https://home.example:8443/"];
        let taken = given.map(|text| https_home(text).unwrap());
        assert_eq!(taken, ["https://home.example", "https://home.example:8443"]);
        for odd in [
            "",
            "https://",
            "home.example",
            "http://home.example",
            "https://home.example/base",
            "https://ada@home.example",
            "https://home.example?x",
        ] {
            assert!(https_home(odd).is_err(), "{odd}");
        }
    }
}
