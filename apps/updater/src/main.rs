//! The updater as a command: keeps one installed product up to date.
//!
//! Here are the arguments, the loop and what people and programs get to read; everything else is
//! [`kintsugi_sdk::updater`]. The command may be ended at any instant, by any signal: the next run finds
//! its way.

mod args;
mod print;
mod tuf;

use args::{Arguments, Command, Init};
use clap::Parser as _;
use kintsugi_sdk::updater::DeviceId;
use kintsugi_sdk::updater::{ErrorKind, Outcome, Settings, Summary, UpdateError, Updater};
use rand_core::{OsRng, RngCore as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Between two checks.
const CHECK_EVERY: Duration = Duration::from_hours(6);
/// Between two checks while the home cannot be reached.
const RETRY_EVERY: Duration = Duration::from_mins(10);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let code = match &arguments.command {
        Command::Init(init) => report(initialise(arguments.dir(), init), arguments.json),
        Command::Status => report(
            Updater::look(arguments.dir()).map(|state| print::state(&state, arguments.json)),
            arguments.json,
        ),
        Command::Tuf(arguments) => tuf::run(arguments),
        Command::Run { once: true } => run(&arguments).0,
        Command::Run { once: false } => loop {
            let (code, transient) = run(&arguments);
            // Settings do not mend themselves; everything else may be better the next time.
            if code == SETTINGS {
                break code;
            }
            let period = if transient { RETRY_EVERY } else { CHECK_EVERY };
            std::thread::sleep(jittered(period, OsRng.next_u64()));
        },
    };
    ExitCode::from(code)
}

const SETTINGS: u8 = 3;

/// Nine tenths to eleven tenths of a period, so that devices do not come all at once.
fn jittered(period: Duration, random: u64) -> Duration {
    let part = u32::try_from(random % 2_001).unwrap_or(0);
    period / 10_000 * (9_000 + part)
}

/// One run: its exit code, and whether trying again soon makes sense.
fn run(arguments: &Arguments) -> (u8, bool) {
    let json = arguments.json;
    let result = Settings::load(arguments.dir()).and_then(|settings| {
        let mut updater = Updater::open(settings)?;
        if !json {
            updater.watch(print::step);
        }
        updater.run_once()
    });
    match result {
        Ok(summary) => {
            print::summary(&summary, json);
            (code_of(&summary), false)
        }
        Err(error) => {
            print::error(&error, json);
            (code_of_error(&error), error.is_transient())
        }
    }
}

/// Makes the device's folder.
fn initialise(dir: &Path, init: &Init) -> Result<(), UpdateError> {
    let root = std::fs::read(&init.root).map_err(|source| UpdateError::Settings {
        path: init.root.display().to_string(),
        why: source.to_string(),
    })?;
    let device = match &init.device {
        Some(device) => device.clone(),
        None => fresh_device()?,
    };
    let mut settings = Settings::new(dir, &init.home, init.project, &init.channel, device, root);
    if let Some(platform) = &init.platform {
        settings.platform.clone_from(platform);
    }
    if let Some(arch) = &init.arch {
        settings.arch.clone_from(arch);
    }
    settings.env = init.env.iter().cloned().collect();
    settings.interpreters = init
        .interpreter
        .iter()
        .map(|(name, path)| (name.clone(), path.into()))
        .collect();
    settings.save()
}

/// An id that says nothing about the device.
fn fresh_device() -> Result<DeviceId, UpdateError> {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    hex::encode(bytes)
        .parse()
        .map_err(
            |error: kintsugi_sdk::updater::InvalidId| UpdateError::Settings {
                path: "--device".to_owned(),
                why: error.to_string(),
            },
        )
}

fn report(result: Result<(), UpdateError>, json: bool) -> u8 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            print::error(&error, json);
            code_of_error(&error)
        }
    }
}

/// The exit code of a run; the table is in [`args::EXIT_CODES`].
fn code_of(summary: &Summary) -> u8 {
    match summary.outcome {
        Outcome::Installed { .. } => 0,
        Outcome::Stayed { healthy, .. } => {
            if healthy == Some(false) {
                7
            } else {
                0
            }
        }
        Outcome::WentBack { .. } => 6,
    }
}

fn code_of_error(error: &UpdateError) -> u8 {
    match error.kind() {
        ErrorKind::Settings => SETTINGS,
        ErrorKind::Unreachable => 4,
        ErrorKind::Refused => 5,
        ErrorKind::Disk => 8,
        ErrorKind::Busy => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_come_every_six_hours_give_or_take_a_tenth() {
        let hours = |random| jittered(CHECK_EVERY, random).as_secs_f64() / 3_600.0;
        assert!((hours(0) - 5.4).abs() < 1e-9);
        assert!((hours(2_000) - 6.6).abs() < 1e-9);
        assert!((5.4..=6.6).contains(&hours(u64::MAX)));
    }
}
