//! The command line and the local home.
//!
//! [`home`] runs every stage of the pipeline in one process over SQLite and files; the other modules are
//! the commands, one each, and what they share: [`error`] and [`exit`] for failures, [`project`] for
//! reading a product's `kintsugi.toml`, `print` for what people and programs get to read.
//!
//! Not here: what a stage does (`kintsugi-app`), what a route is (`kintsugi-http`), and where things are
//! stored (`kintsugi-adapters-local`).
//!
//! **Invariant: a failure ends in one sentence that says what to do, and in an exit code of the table in
//! [`exit`].**

mod access;
mod args;
mod audit;
mod batch_keys;
mod check;
mod client;
mod context;
mod delta;
mod demo;
mod doctor;
pub mod error;
pub mod exit;
pub mod home;
mod init;
mod login;
mod operator;
mod parked;
mod print;
pub mod project;
mod release;
mod runner;
mod scrub;
mod signals;
mod stats;
mod tools;
mod trains;
mod tuf;
mod up;
mod whole;

use args::{Arguments, Command};
use axum::Router;
use clap::{CommandFactory as _, Parser as _};
use context::Context;
use error::Error;
use exit::Exit;
use kintsugi_domain::ports::Ports;
use kintsugi_http::Transport;
use std::process::ExitCode;

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return ExitCode::from(not_understood(&error).code()),
    };
    let ended = Context::read(arguments.verbose).and_then(|context| command(&arguments, &context));
    let exit = match ended {
        Ok(exit) => exit,
        Err(error) => {
            print::failure(&error, arguments.json);
            error.exit()
        }
    };
    ExitCode::from(exit.code())
}

/// Every route of a local home on this machine.
fn routes(ports: &Ports) -> Router {
    kintsugi_http::everything(ports, Transport::Loopback)
}

/// The same for a home whose browsers come through a proxy with TLS.
fn routes_behind_tls(ports: &Ports) -> Router {
    kintsugi_http::everything(ports, Transport::Tls)
}

fn command(arguments: &Arguments, context: &Context) -> Result<Exit, Error> {
    let json = arguments.json;
    match &arguments.command {
        Command::Demo(demo) => demo::run(demo, context, json),
        Command::Up(up) => up::run(up, context, json),
        Command::Runner(arguments) => runner::run(arguments, context, json),
        Command::Init(init) => init::run(init, json),
        Command::Check { file } => check::run(file, json),
        Command::Scrub { rules } => scrub::run(rules.as_deref(), json),
        Command::Login(arguments) => login::run(arguments, context, json),
        Command::Console(arguments) => login::console(arguments, context, json),
        Command::Keys(arguments) => access::keys(arguments, context, json),
        Command::Project(arguments) => stats::run(arguments, context, json),
        Command::Audit(arguments) => audit::run(arguments, context, json),
        Command::Parked(arguments) => parked::list(arguments, context, json),
        Command::Trains(arguments) => trains::run(arguments, context, json),
        Command::Redrive(arguments) => parked::redrive(arguments, context, json),
        Command::Doctor(asked) => Ok(doctor::run(asked, context, json)),
        Command::Delta(asked) => delta::run(asked, json),
        Command::Release(asked) => release::run(asked, json),
        Command::Tuf(asked) => tuf::run(asked, context, json),
        Command::Help { topic } => help(topic.as_deref()),
    }
}

/// Waits for a home's answer, in a command that does nothing else.
fn wait_for<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::unexpected("wait for the home", &error))?;
    runtime.block_on(answer)
}

/// What has to go wherever the program goes. In it, so that no copy is without.
const LICENCES: [&str; 3] = [
    include_str!("../../../NOTICE"),
    include_str!("../../../licences/hakoniwa.txt"),
    include_str!("../../../licences/GPL-3.0.txt"),
];

/// Prints the help of the whole, of a command, or a table.
fn help(topic: Option<&str>) -> Result<Exit, Error> {
    let mut whole = Arguments::command();
    whole.build();
    match topic {
        None => print::out(&whole.render_long_help().ansi()),
        Some("exit-codes") => print::out(exit::table().trim_end()),
        Some("licences") => print::out(LICENCES.join("\n\n").trim_end()),
        Some(name) => match whole.find_subcommand_mut(name) {
            Some(found) => print::out(&found.render_long_help().ansi()),
            None => return Err(Error::NoTopic { topic: name.into() }),
        },
    }
    Ok(Exit::Done)
}

/// Prints what clap has to say: the help that was asked for, or what is wrong with the arguments.
fn not_understood(error: &clap::Error) -> Exit {
    // A reader that went away is no reason for another failure.
    drop(error.print());
    if !error.use_stderr() {
        return Exit::Done;
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        print::failure_object(
            "wrong_arguments",
            first.strip_prefix("error: ").unwrap_or(first),
            "see kintsugi help",
        );
    }
    Exit::WrongArguments
}
