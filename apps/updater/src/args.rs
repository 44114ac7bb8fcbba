//! The arguments.

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use kintsugi_sdk::updater::{DeviceId, ProjectId};
use std::path::{Path, PathBuf};

/// The table of exit codes, shown by `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes, but for `tuf`:
  0  done: nothing to install, or installed and healthy
  2  wrong arguments
  3  the settings cannot be used, or this system is not supported
  4  the home cannot be reached or is in trouble: try again later
  5  refused: what came is not what was signed, or not for this device
  6  went back: the new version failed its health check, the one before runs again
  7  the installed version failed its health check
  8  the disk: no room, no rights, or damaged files
  9  another updater is at work in this folder

The command may be ended at any instant; the next run finishes or undoes what was begun.";

/// Keeps one installed product up to date.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// The device's folder; the product runs from `current` in it. Not for `tuf`.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the device's folder.
    Init(Init),
    /// Check and install, now and every six hours.
    Run {
        /// Only now.
        #[arg(long)]
        once: bool,
    },
    /// Say what is installed and which versions failed here.
    Status,
    /// Read any TUF repository: the client interface of the TUF conformance suite. Ends with 0 or 1.
    Tuf(Tuf),
}

impl Arguments {
    /// The device's folder, which every command but `tuf` needs.
    pub(crate) fn dir(&self) -> &Path {
        match &self.dir {
            Some(dir) => dir,
            None => missing("--dir <DIR>"),
        }
    }
}

/// Ends the command as clap does for a missing argument.
pub(crate) fn missing(argument: &str) -> ! {
    let why = format!("the following required argument was not provided: {argument}");
    Arguments::command()
        .error(ErrorKind::MissingRequiredArgument, why)
        .exit()
}

#[derive(Debug, Args)]
pub(crate) struct Tuf {
    /// Where trusted metadata is kept, named without versions.
    #[arg(long, value_name = "DIR")]
    pub(crate) metadata_dir: PathBuf,
    /// Where the repository has its metadata.
    #[arg(long, value_name = "URL")]
    pub(crate) metadata_url: Option<String>,
    /// The target path of what is to be downloaded.
    #[arg(long, value_name = "PATH")]
    pub(crate) target_name: Option<String>,
    /// Where the repository has its targets.
    #[arg(long, value_name = "URL")]
    pub(crate) target_base_url: Option<String>,
    /// Where downloaded targets are kept, under their quoted names.
    #[arg(long, value_name = "DIR")]
    pub(crate) target_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: TufCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TufCommand {
    /// Begin with a root that came by another way.
    Init {
        /// The trusted root.json.
        root: PathBuf,
    },
    /// Bring the metadata up to date. Needs `--metadata-url`.
    Refresh,
    /// Bring the metadata up to date and load a target. Needs every option.
    Download,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where updates come from.
    #[arg(long, value_name = "URL")]
    pub(crate) home: String,
    /// The project's number.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) project: ProjectId,
    /// The channel.
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: String,
    /// The first trusted root.json, as shipped with the product.
    #[arg(long, value_name = "FILE")]
    pub(crate) root: PathBuf,
    /// The device's id; drawn at random where it is not given.
    #[arg(long, value_name = "ID")]
    pub(crate) device: Option<DeviceId>,
    /// Another platform than this machine's: linux, windows or darwin.
    #[arg(long, value_name = "NAME")]
    pub(crate) platform: Option<String>,
    /// Another processor than this machine's: `x86_64` or aarch64.
    #[arg(long, value_name = "NAME")]
    pub(crate) arch: Option<String>,
    /// A variable of the health check's environment; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) env: Vec<(String, String)>,
    /// Where a program that health checks name is on this device; may be repeated.
    #[arg(long, value_name = "NAME=PATH", value_parser = pair)]
    pub(crate) interpreter: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("expected NAME=VALUE".to_owned()),
    }
}
