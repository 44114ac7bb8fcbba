//! The arguments.

use clap::{Args, Parser, Subcommand};
use kintsugi_sdk::updater::{DeviceId, ProjectId};
use std::path::PathBuf;

/// The table of exit codes, shown by `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
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
    /// The device's folder; the product runs from `current` in it.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
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
