//! `kintsugi demo`: a real crash goes in, a healed application comes out, and a bad release is caught.
//!
//! Everything is the real thing: the home is the one that `kintsugi up` runs, the product is a git
//! repository with a history, the report is sent by the unmodified `sentry-sdk`, the devices run the
//! updater. **Nothing here knows the fix or the outcome**: the demo acts as developer, user, device and
//! admin do, and reads from the records what the pipeline made of it.
//!
//! Not here: a network between devices and home that loses things (the simulation tests), and time: the
//! numbers of the sample's `kintsugi.toml` are for a fleet of 60 and a patience of seconds.

mod act;
mod bad;
mod fleet;
mod reporter;
mod sample;
mod scene;
mod tell;
mod watch;

use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::home::{LocalHome, PerAddress, Settings};
use crate::operator::Operator;
use crate::print;
use act::{Ended, Told};
use clap::Args;
use scene::Scene;
use serde::Serialize;
use std::path::{Path, PathBuf};
use tell::Teller;

/// Devices of the fleet.
const DEVICES: usize = 60;

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep what the demo made: the home, the product's repository, the devices.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// A sample product of yours, in the form of samples/till.
    #[arg(long, value_name = "DIR")]
    sample: Option<PathBuf>,
    /// Play against this home instead of one of its own, as sam deploy printed it. A runner must work for it.
    #[arg(
        long,
        value_name = "URL",
        requires = "token_file",
        requires = "repository"
    )]
    home: Option<String>,
    /// The file with an admin token of that home.
    #[arg(long, value_name = "FILE", requires = "home")]
    token_file: Option<PathBuf>,
    /// An empty git repository for the sample product, which that home and its runners reach.
    #[arg(long, value_name = "URL", requires = "home")]
    repository: Option<String>,
}

/// What happened, for programs.
#[derive(Debug, Default, Serialize)]
struct Report {
    #[serde(flatten)]
    told: Told,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
}

/// Runs the demo.
pub(crate) fn run(demo: &Demo, context: &Context, json: bool) -> Result<Exit, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::unexpected("start the demo", &error))?;
    let temporary;
    let folder: &Path = if let Some(folder) = &demo.keep {
        make_empty(folder)?;
        folder
    } else {
        temporary = tempfile::Builder::new()
            .prefix("kintsugi-demo-")
            .tempdir()
            .map_err(|error| Error::unexpected("make a folder for the demo", &error))?;
        temporary.path()
    };
    runtime.block_on(play(demo, context, folder, json))
}

fn make_empty(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|error| Error::write(folder, &error))?;
    let mut entries = std::fs::read_dir(folder).map_err(|error| Error::read(folder, &error))?;
    if entries.next().is_some() {
        return Err(Error::Exists {
            path: folder.to_owned(),
        });
    }
    Ok(())
}

async fn play(demo: &Demo, context: &Context, folder: &Path, json: bool) -> Result<Exit, Error> {
    let folder = std::fs::canonicalize(folder).map_err(|error| Error::read(folder, &error))?;
    let teller = Teller::new();
    let mut told = Told::default();
    let ended = if let (Some(home), Some(file)) = (&demo.home, &demo.token_file) {
        let token = std::fs::read_to_string(file).map_err(|error| Error::read(file, &error))?;
        let client = Client::new(home, &token)?;
        let scene = Scene::set(demo, &folder, client, &teller).await?;
        act::play(&scene, None, &teller, &mut told).await
    } else {
        play_here(demo, context, &folder, (&teller, &mut told)).await
    };
    let why_not = match ended? {
        Ended::Well => None,
        Ended::Badly(why) => Some(why),
    };
    let report = Report {
        told,
        seconds: (teller.seconds() * 10.0).round() / 10.0,
        why_not,
    };
    if json {
        let value = serde_json::to_value(&report);
        print::object(&value.map_err(|error| Error::unexpected("write the result", &error))?);
    } else {
        print::out(&story(&report, &teller.timings()));
    }
    Ok(if report.why_not.is_none() {
        Exit::Done
    } else {
        Exit::No
    })
}

/// Plays against a home of the demo's own, in this process.
async fn play_here(
    demo: &Demo,
    context: &Context,
    folder: &Path,
    (teller, told): (&Teller, &mut Told),
) -> Result<Ended, Error> {
    let settings = Settings {
        folder: folder.join("home"),
        listen: ([127, 0, 0, 1], 0).into(),
        passphrase: context.passphrase.clone().map(|secret| secret.0),
        git_credentials: context.git_credentials.clone(),
        code_signing: context.code_signing.clone(),
        leaves_jobs: false,
        per_address: PerAddress::default(),
    };
    let mut home = LocalHome::start(settings, crate::routes).await?;
    if let Some(why) = &home.no_sandbox {
        let why = why.clone();
        home.stop().await;
        return Err(Error::NoSandbox { why });
    }
    teller.step(&format!("the home runs at {}", home.url()));
    let operator = Operator::of(&home.ports, "kintsugi demo").await?;
    let client = Client::new(&home.url(), operator.token())?;
    let scene = Scene::set(demo, folder, client, teller).await?;
    let ended = act::play(&scene, Some(&mut home), teller, told).await;
    home.stop().await;
    ended
}

/// The story, for people.
fn story(report: &Report, timings: &str) -> String {
    let told = &report.told;
    let mut lines = vec![String::new()];
    let mut line = |text: String| lines.push(text);
    if let Some(event) = &told.event_id {
        line(format!("A device reported a crash (event {event})."));
    }
    if let (Some(issue), Some(fix), Some(commit)) = (&told.issue_id, &told.fix_id, &told.fix_commit)
    {
        let commit: String = commit.chars().take(12).collect();
        line(format!(
            "Issue {issue} was diagnosed, and fix {fix} was proven and committed as {commit}."
        ));
    }
    if let (Some(release), Some(delta)) = (&told.release, told.delta_bytes) {
        line(format!(
            "Version {release} left on a train: a delta of {delta} bytes instead of {} bytes.",
            told.full_bytes.unwrap_or_default()
        ));
    }
    if told.healed {
        line(format!(
            "All {} devices run {}, and the same input no longer crashes.",
            told.devices,
            told.installed_version.as_deref().unwrap_or("it")
        ));
    }
    if let (Some(bad), Some(why)) = (&told.bad_release, &told.halt_reason) {
        line(format!(
            "Then {bad} was published: {} of {} devices were offered it, and it was halted:",
            told.devices_offered_bad_release, told.devices
        ));
        line(format!("  {why}."));
    }
    if let Some(back) = &told.rolled_back_to {
        line(format!(
            "Devices went back to {back}; {} of them run the bad version now.",
            told.devices_on_bad_release_at_end
        ));
    }
    if !timings.is_empty() {
        line(format!("After the start: {timings}."));
    }
    match &report.why_not {
        None => line(format!("It healed, in {} s.", report.seconds)),
        Some(why) => line(format!("It did not heal: {why}.")),
    }
    lines.join("\n")
}
