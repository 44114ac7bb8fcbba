//! The local home: every stage in one process over one data folder, with the HTTP interface in front.
//!
//! One task per queue drains it, a clock task ticks every second, another removes old reports every hour, one task serves HTTP. A message that
//! is sent to a queue wakes the task of that queue and no other.
//!
//! Not here: the routes, which come as an argument, and the stages (`kintsugi-app`).
//!
//! **Invariant: a home may be killed at any instant; the next start on the same folder goes on.** A clean
//! stop only makes that cheaper. **Invariant: no task dies silently**: whoever runs a home waits for
//! [`LocalHome::failed`].

mod connections;
mod engine;
mod serve;
mod tasks;

use crate::error::Error;
use axum::Router;
pub use connections::{CONNECTIONS_PER_ADDRESS, PerAddress};
use engine::NoSandbox;
use kintsugi_adapters_git::Forges;
use kintsugi_adapters_local::Home;
use kintsugi_app::worker::Worker;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::ports::{Blobs, BuildEngine, PortError, Ports};
use kintsugi_engine::{CodeSigning, Engine};
use kintsugi_sandbox::{Sandbox, SandboxError};
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tasks::Tasks;
use tokio::net::TcpListener;

/// Where the engine keeps what it is working on, below the data folder.
const WORK_FOLDER: &str = "work";
/// Why a home that leaves its jobs does none.
const LEFT: &str = "this home leaves its jobs to runners";
/// A disk with less free space than this cannot take even an empty database, bytes.
const FREE_BYTES_MIN: u64 = 128 * 1024;

/// What a home is started with.
#[derive(Clone)]
pub struct Settings {
    /// The data folder; made on first use.
    pub folder: PathBuf,
    /// The address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Seals the keys; without it a file in the data folder does.
    pub passphrase: Option<String>,
    /// The file with the credentials for git hosts, in the form of `git-credential-store`.
    pub git_credentials: Option<PathBuf>,
    /// The certificates that installers for Windows are signed with.
    pub code_signing: Option<CodeSigning>,
    /// Whether searches and builds are left to runners. Then this process runs no product code and needs no sandbox.
    pub leaves_jobs: bool,
    /// How many connections one address may have at once.
    pub per_address: PerAddress,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("folder", &self.folder)
            .field("listen", &self.listen)
            .field("leaves_jobs", &self.leaves_jobs)
            .finish_non_exhaustive()
    }
}

/// A home that runs.
#[derive(Debug)]
pub struct LocalHome {
    /// Its ports.
    pub ports: Ports,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its data folder, absolute.
    pub folder: PathBuf,
    /// Why no sandbox works here; searches and builds then stop.
    pub no_sandbox: Option<String>,
    tasks: Tasks,
}

impl LocalHome {
    /// Opens the data folder, starts the stages and listens.
    ///
    /// `routes` makes the HTTP interface from the ports. When this returns, requests are answered.
    pub async fn start(
        settings: Settings,
        routes: impl FnOnce(&Ports) -> Router + Send,
    ) -> Result<Self, Error> {
        // First the address, which costs nothing: a start that fails there leaves no folder behind.
        let (listener, address) = listen(settings.listen).await?;
        let folder = prepare(&settings.folder)?;
        let home = Home::open(&folder, settings.passphrase.as_deref())
            .await
            .map_err(|error| Error::from_open(&folder, disk_full(&folder, error)))?;
        let (credentials, signing) = (settings.git_credentials, settings.code_signing);
        let forge = Forges::with_credential_file(credentials.as_deref());
        let ports = home.clone().with_forge(forge).ports();
        let (engine, no_sandbox) = if settings.leaves_jobs {
            let nobody: Arc<dyn BuildEngine> = Arc::new(NoSandbox::new(LEFT));
            (nobody, None)
        } else {
            engine(&ports.blobs, folder.join(WORK_FOLDER), credentials, signing).await?
        };
        let worker = Arc::new(Worker::new(&ports, engine));
        let mut tasks = Tasks::new();
        let router = routes(&ports);
        let stop = tasks.stop_signal();
        tasks.spawn(
            "http",
            serve::serve(listener, settings.per_address.clone(), router, stop),
        );
        let left = |queue: &Queue| settings.leaves_jobs && *queue == Queue::Jobs;
        for queue in Queue::ALL.into_iter().filter(|queue| !left(queue)) {
            let (worker, queues) = (Arc::clone(&worker), home.queues.clone());
            let drain = tasks::drain(worker, queue, queues, tasks.stop_signal());
            tasks.spawn(queue.name(), drain);
        }
        let clock = tasks::clock(worker, tasks.stop_signal());
        tasks.spawn("clock", clock);
        let forget = tasks::forget(home, tasks.stop_signal());
        tasks.spawn("forget", forget);
        Ok(Self {
            ports,
            address,
            folder,
            no_sandbox,
            tasks,
        })
    }

    /// Where clients reach it, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until a part of the home ends that must not end, for as long as all is well.
    pub async fn failed(&mut self) -> Error {
        self.tasks.failed().await
    }

    /// Takes no more requests, ends the messages in hand, and closes. What is not done within a few
    /// seconds, such as a long search, is cut; the next start does it again.
    pub async fn stop(self) {
        self.tasks.stop().await;
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |error: &io::Error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            return Error::AddressInUse { address };
        }
        Error::Address {
            address,
            why: error.to_string(),
        }
    };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| failed(&error))?;
    let bound = listener.local_addr().map_err(|error| failed(&error))?;
    Ok((listener, bound))
}

/// Makes the data folder, for its owner only and out of reach of `git add`: it holds keys.
fn prepare(folder: &Path) -> Result<PathBuf, Error> {
    use std::os::unix::fs::DirBuilderExt as _;
    if folder.exists() && !folder.is_dir() {
        return Err(Error::Folder {
            why: format!("data folder {}: it is a file", folder.display()),
            help: "choose another with --data".to_owned(),
        });
    }
    let failed = |error: io::Error| Error::Folder {
        why: format!("data folder {}: {error}", folder.display()),
        help: if error.kind() == io::ErrorKind::StorageFull {
            "free some space, or choose another disk with --data".to_owned()
        } else {
            "give the user that runs Kintsugi the right to write there, or choose another with --data"
                .to_owned()
        },
    };
    let is_new = !folder.exists();
    let mut builder = fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed)?;
    let folder = fs::canonicalize(folder).map_err(failed)?;
    if is_new {
        // Only a courtesy. Whether the folder can be written to is found out below.
        drop(fs::write(folder.join(".gitignore"), "*\n"));
    }
    Ok(folder)
}

/// Says that the disk is full where that is why a file system call failed in some other way, as it is
/// for memory that SQLite maps.
fn disk_full(folder: &Path, error: PortError) -> PortError {
    match error {
        PortError::Unavailable { what, .. } if free_bytes(folder) < FREE_BYTES_MIN => {
            PortError::unavailable(what, "the disk is full; free some space, then it goes on")
        }
        PortError::Unavailable { .. } | PortError::Broken { .. } | PortError::Conflict { .. } => {
            error
        }
    }
}

fn free_bytes(folder: &Path) -> u64 {
    let disk = rustix::fs::statvfs(folder);
    disk.map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The build engine, and why it cannot work where it cannot.
async fn engine(
    blobs: &Arc<dyn Blobs>,
    work: PathBuf,
    git_credentials: Option<PathBuf>,
    code_signing: Option<CodeSigning>,
) -> Result<(Arc<dyn BuildEngine>, Option<String>), Error> {
    let blobs = Arc::clone(blobs);
    let made = tokio::task::spawn_blocking(move || -> Result<Engine, SandboxError> {
        let sandbox = Sandbox::probe()?;
        let engine = Engine::new(blobs, work, sandbox);
        let engine = engine.with_git_credentials(git_credentials);
        Ok(engine.with_code_signing(code_signing))
    });
    let made = made.await.map_err(|error| Error::System {
        act: "look for a sandbox",
        why: error.to_string(),
    })?;
    Ok(match made {
        Ok(engine) => (Arc::new(engine), None),
        Err(error) => {
            let why = error.to_string();
            (Arc::new(NoSandbox::new(&why)), Some(why))
        }
    })
}
