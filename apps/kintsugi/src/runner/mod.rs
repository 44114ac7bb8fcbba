//! `kintsugi runner`: does a home's searches and builds on this machine, in the same sandbox and engine as a local home.
//!
//! It leases one job at a time over the admin API, shows signs of life while it works, and reports. The lease of a runner that
//! dies ends by itself, and its job goes to the next.
//!
//! **Invariants: without a sandbox it does not start. It may be killed at any moment. A job that it cannot report on is given
//! back with the reason, never dropped in silence while the home can be reached.**
//!
//! Not here: the home's side (`kintsugi_app::runner`), and the doing (`kintsugi-engine`).

mod blobs;
mod fit;
mod pace;
mod tell;

use crate::args::Runner as Arguments;
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::signals::Signals;
use crate::tools;
use blobs::RemoteBlobs;
use kintsugi_app::runner::{GivenBack, Leased, Reported};
use kintsugi_domain::job::{Job, Report};
use kintsugi_domain::limits::REPORT_BYTES_MAX;
use kintsugi_domain::ports::{BuildEngine as _, PortError};
use kintsugi_engine::{CodeSigning, Engine};
use kintsugi_sandbox::Sandbox;
use pace::Pace;
use rustix::fs::{FlockOperation, flock};
use serde::Deserialize;
use serde_json::json;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tell::Teller;
use tokio::time::{sleep, timeout};

/// The file that one runner of a work folder holds.
const LOCK_FILE: &str = "runner.lock";
/// Signs of life in one lease: two may be lost.
const BEATS: u32 = 3;
/// How often a report is sent to a home that does not answer; with growing waits, about half an hour.
const REPORT_TRIES_MAX: u32 = 35;
/// How long giving a job back may hold up the end of the process.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long threads that cannot be cut, such as the one of a search, are waited for at the end.
const LAST_THREADS: Duration = Duration::from_millis(500);

/// A home's answer to a sign of life.
#[derive(Debug, Deserialize)]
struct Alive {}

/// Works until SIGTERM or SIGINT, or for one job.
pub(crate) fn run(arguments: &Arguments, context: &Context, json: bool) -> Result<Exit, Error> {
    tools::git()?;
    tools::python()?;
    let sandbox = Sandbox::probe().map_err(|error| Error::NoSandbox {
        why: error.to_string(),
    })?;
    let (folder, lock) = claim(&arguments.work)?;
    let runner = Runner {
        home: arguments.home.clone(),
        token_file: arguments.token_file.clone(),
        git_credentials: context.git_credentials.clone(),
        code_signing: context.code_signing.clone(),
        seconds: arguments.lease,
        once: arguments.once,
        folder,
        sandbox,
        teller: Teller { json },
        held: Mutex::default(),
    };
    let client = runner.client()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::unexpected("start threads", &error))?;
    let ended = runtime.block_on(runner.serve_until_stopped(&client));
    runtime.shutdown_timeout(LAST_THREADS);
    drop(lock);
    ended
}

/// Makes the work folder and takes it for this process alone: the engine removes what it finds there.
fn claim(work: &Path) -> Result<(PathBuf, File), Error> {
    use std::os::unix::fs::DirBuilderExt as _;
    let failed = |error: io::Error| Error::Folder {
        why: format!("work folder {}: {error}", work.display()),
        help: "choose a folder that this user can write to with --work".to_owned(),
    };
    let mut builder = fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(work)
        .map_err(failed)?;
    let folder = fs::canonicalize(work).map_err(failed)?;
    let lock = File::create(folder.join(LOCK_FILE)).map_err(failed)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| Error::Folder {
        why: format!("work folder {}: another runner works there", work.display()),
        help: "give each runner a folder of its own with --work".to_owned(),
    })?;
    Ok((folder, lock))
}

struct Runner {
    home: String,
    token_file: PathBuf,
    /// The file with the credentials for git hosts, if there is one.
    git_credentials: Option<PathBuf>,
    /// The certificates that installers are signed with, if there are any.
    code_signing: Option<CodeSigning>,
    seconds: u32,
    once: bool,
    folder: PathBuf,
    sandbox: Sandbox,
    teller: Teller,
    /// The job in hand, so that a stop can give it back.
    held: Mutex<Option<(Client, Leased)>>,
}

impl Runner {
    /// A client with the token as the file has it now: tokens are replaced while a runner works.
    fn client(&self) -> Result<Client, Error> {
        let token = fs::read_to_string(&self.token_file);
        let token = token.map_err(|error| Error::read(&self.token_file, &error))?;
        Client::new(&self.home, &token)
    }

    /// The same where work hangs on it: then with the token from before, if the file cannot be read now.
    fn client_or(&self, before: &Client) -> Client {
        self.client().unwrap_or_else(|_| before.clone())
    }

    async fn serve_until_stopped(&self, client: &Client) -> Result<Exit, Error> {
        let mut signals = Signals::new()?;
        self.teller.ready(client.home());
        tokio::select! {
            ended = self.serve() => ended,
            () = signals.any() => {
                self.let_go().await;
                self.teller.stopped();
                Ok(Exit::Done)
            }
        }
    }

    async fn serve(&self) -> Result<Exit, Error> {
        let (mut failures, mut idle) = (0_u32, 0_u32);
        loop {
            let client = self.client()?;
            let wanted = json!({"seconds": self.seconds});
            match client.post::<Option<Leased>>("runner/lease", &wanted).await {
                Ok(Some(leased)) => {
                    (failures, idle) = (0, 0);
                    let exit = self.work_on(&client, leased).await;
                    if self.once {
                        return Ok(exit);
                    }
                }
                Ok(None) if self.once => {
                    self.teller.idle();
                    return Ok(Exit::Done);
                }
                Ok(None) => {
                    (failures, idle) = (0, idle.saturating_add(1));
                    Pace.idle(idle).await;
                }
                Err(error @ Error::Home { .. }) if !self.once => {
                    failures += 1;
                    self.teller.unreachable(&error);
                    Pace.back_off(failures).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Does a job and hands its report in.
    async fn work_on(&self, client: &Client, leased: Leased) -> Exit {
        self.teller.leased(&leased.job, leased.attempt);
        self.hold(Some((client.clone(), leased.clone())));
        let done = async {
            let ended = self.engine(client, &leased).await;
            self.hand_in(client, &leased, ended).await
        };
        tokio::pin!(done);
        let exit = tokio::select! {
            exit = &mut done => exit,
            // Work on: whoever has the job now may die of it, and the first report counts.
            () = self.keep(client, &leased) => done.await,
        };
        self.hold(None);
        exit
    }

    async fn engine(&self, client: &Client, leased: &Leased) -> Result<Report, PortError> {
        let blobs = RemoteBlobs::new(client.clone(), leased.lease.clone(), Pace);
        let (folder, sandbox) = (self.folder.clone(), self.sandbox.clone());
        let credentials = self.git_credentials.clone();
        let signing = self.code_signing.clone();
        // Making an engine sweeps the folder, which may take a while.
        let made = tokio::task::spawn_blocking(move || {
            let engine = Engine::new(Arc::new(blobs), folder, sandbox);
            let engine = engine.with_git_credentials(credentials);
            engine.with_code_signing(signing)
        });
        let engine = made
            .await
            .map_err(|error| PortError::unavailable("the build engine", error))?;
        engine.run(&leased.job).await
    }

    /// Shows signs of life; ends when the job is not this runner's any more.
    async fn keep(&self, client: &Client, leased: &Leased) {
        let pause = Duration::from_secs(leased.seconds.into()) / BEATS;
        let body = json!({"lease": leased.lease});
        loop {
            sleep(pause).await;
            let client = self.client_or(client);
            match client.post::<Alive>("runner/heartbeat", &body).await {
                Ok(Alive {}) => {}
                Err(error @ Error::Refused { .. }) => {
                    return self.teller.lost(&leased.job, &error.to_string());
                }
                Err(error) => self.teller.unreachable(&error),
            }
        }
    }

    async fn hand_in(
        &self,
        client: &Client,
        leased: &Leased,
        ended: Result<Report, PortError>,
    ) -> Exit {
        let (reason, may_pass) = match ended {
            Ok(report) => match self.report(client, leased, report).await {
                Ok(accepted) => {
                    self.teller.reported(&leased.job, accepted);
                    return Exit::Done;
                }
                Err(error @ Error::Refused { .. }) => (error.to_string(), is_passing(&error)),
                Err(error) => (error.to_string(), true),
            },
            Err(error) => (error.to_string(), error.is_transient()),
        };
        self.give_back(client, leased, &reason, may_pass).await;
        Exit::No
    }

    /// Sends the report until the home answers. The work of minutes is in it.
    async fn report(
        &self,
        client: &Client,
        leased: &Leased,
        report: Report,
    ) -> Result<bool, Error> {
        let report = fit::fit(report, REPORT_BYTES_MAX);
        let length = fit::length(&report);
        if length > REPORT_BYTES_MAX {
            return Err(Error::Refused {
                code: "report.too_long".to_owned(),
                why: format!("the report has {length} bytes, at most {REPORT_BYTES_MAX} are taken"),
            });
        }
        let body = json!({"lease": leased.lease, "report": report});
        let mut failures = 0;
        loop {
            let client = self.client_or(client);
            match client.post::<Reported>("runner/report", &body).await {
                Ok(reported) => return Ok(reported.accepted),
                Err(error @ Error::Home { .. }) if failures < REPORT_TRIES_MAX => {
                    failures += 1;
                    self.teller.unreachable(&error);
                    Pace.back_off(failures).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn give_back(&self, client: &Client, leased: &Leased, reason: &str, may_pass: bool) {
        let body = json!({"lease": leased.lease, "reason": reason, "may_pass": may_pass});
        let job: &Job = &leased.job;
        let client = self.client_or(client);
        match client.post::<GivenBack>("runner/give-back", &body).await {
            Ok(back) => self.teller.given_back(job, reason, back.again),
            Err(error @ Error::Refused { .. }) => self.teller.lost(job, &error.to_string()),
            // The lease ends by itself.
            Err(error) => self.teller.unreachable(&error),
        }
    }

    /// Gives the job in hand back, if there is one, so that nobody waits for the end of its lease.
    async fn let_go(&self) {
        let held = self.hold(None);
        if let Some((client, leased)) = held {
            let given = self.give_back(&client, &leased, "the runner was stopped", true);
            drop(timeout(LAST_WORDS, given).await);
        }
    }

    fn hold(&self, job: Option<(Client, Leased)>) -> Option<(Client, Leased)> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut held, job)
    }
}

/// Whether a report that was refused may be taken when the job is done again.
fn is_passing(error: &Error) -> bool {
    matches!(error.code(), "artifact.missing" | "lease.lost")
}
