//! The build engine: checks a product out, searches for fixes, builds and packages versions.
//!
//! A product's tree is read from git into memory (`tree`), changed there, and written to a fresh
//! folder for every single run of product code (`workshop`). The engine itself never opens a path in
//! a folder that product code has touched in a way that follows links.
//!
//! **Invariants: product code runs in the sandbox or not at all, and never sees the `.git` folder, the
//! network or a file of the host. The same build order gives the same commit and the same bytes. A job
//! done twice changes nothing the second time. A hostile product ends as a failed gate, not as an error
//! of the engine.**
//!
//! Not here: drafting of candidates and of the regression test (`kintsugi-repair`), the box
//! (`kintsugi-sandbox`), the format of packages (`kintsugi-delta`), and every judgement about a report
//! (`kintsugi-domain`). A check on tests that the search never sees is not here either: a product's
//! configuration has no place yet to name such tests. A repository is a folder, an `https` address (`http` on
//! this machine), or an `ssh` address that the machine's own agent opens.

mod build;
mod changelog;
mod depot;
mod gates;
mod git;
mod inputs;
mod merge;
mod needs;
mod package;
mod platform;
mod program;
mod search;
mod tree;
mod workshop;
mod zip;

pub use needs::{Need, PROGRAM_FOLDERS, find_program, needs};
pub use platform::CodeSigning;

use crate::depot::Depot;
use async_trait::async_trait;
use kintsugi_domain::job::{Job, Order, Report};
use kintsugi_domain::ports::{Blobs, BuildEngine, PortError};
use kintsugi_sandbox::Sandbox;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Handle;

/// How the folders of running jobs begin.
const JOB_FOLDER_PREFIX: &str = "kintsugi-job-";

/// The build engine of one machine.
pub struct Engine {
    blobs: Arc<dyn Blobs>,
    work_dir: PathBuf,
    sandbox: Sandbox,
    git_credentials: Option<PathBuf>,
    code_signing: Option<CodeSigning>,
}

impl Engine {
    /// An engine that keeps what it is working on in `work_dir`, which it makes when it is missing.
    /// MUST be the only engine of that folder: what a killed one left there is removed.
    pub fn new(blobs: Arc<dyn Blobs>, work_dir: PathBuf, sandbox: Sandbox) -> Self {
        sweep(&work_dir);
        Self {
            blobs,
            work_dir,
            sandbox,
            git_credentials: None,
            code_signing: None,
        }
    }

    /// The same engine with the credentials for git hosts in a file in the form of `git-credential-store`. Only `git` itself
    /// reads the file, when a host asks; product code is boxed and sees neither the file nor its name.
    #[must_use]
    pub fn with_git_credentials(self, file: Option<PathBuf>) -> Self {
        Self {
            git_credentials: file,
            ..self
        }
    }

    /// The same engine with the certificates that installers for Windows are signed with. Without them a product whose installer is to be
    /// signed is not built.
    #[must_use]
    pub fn with_code_signing(self, code_signing: Option<CodeSigning>) -> Self {
        Self {
            code_signing,
            ..self
        }
    }

    async fn build(
        &self,
        job: &Job,
        order: &kintsugi_domain::job::BuildOrder,
    ) -> Result<Report, PortError> {
        let depot = Depot::new(self.blobs.clone(), Handle::current());
        let (job, order) = (job.clone(), order.clone());
        let made = self
            .off_the_runtime(move |site| build::run(site, &job, &order, &depot))
            .await?;
        for (key, content) in made.blobs {
            self.blobs.put(&key, content).await?;
        }
        Ok(Report::Build(made.report))
    }

    /// Does blocking work in a folder of its own, on a thread where blocking is allowed.
    async fn off_the_runtime<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Site) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let (work_dir, sandbox) = (self.work_dir.clone(), self.sandbox.clone());
        let git_credentials = self.git_credentials.clone();
        let code_signing = self.code_signing.clone();
        tokio::task::spawn_blocking(move || {
            let mut site = Site::open(&work_dir, sandbox, git_credentials)?;
            site.code_signing = code_signing;
            work(&site)
        })
        .await
        .map_err(|error| PortError::unavailable("the build engine", error))?
    }
}

#[async_trait]
impl BuildEngine for Engine {
    async fn run(&self, job: &Job) -> Result<Report, PortError> {
        match &job.order {
            Order::Search(order) => {
                let (job, order) = (job.clone(), order.clone());
                let report = self
                    .off_the_runtime(move |site| search::run(site, &job, &order))
                    .await?;
                Ok(Report::Search(report))
            }
            Order::Build(order) => self.build(job, order).await,
        }
    }
}

/// Where one job is done: a folder of its own, removed at the end, and the box.
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) sandbox: Sandbox,
    pub(crate) git_credentials: Option<PathBuf>,
    pub(crate) code_signing: Option<CodeSigning>,
}

impl Site {
    fn open(
        work_dir: &Path,
        sandbox: Sandbox,
        git_credentials: Option<PathBuf>,
    ) -> Result<Self, PortError> {
        let what = format!("the work folder {}", work_dir.display());
        let failed = |error: std::io::Error| PortError::unavailable(&what, error);
        std::fs::create_dir_all(work_dir).map_err(failed)?;
        let work_dir = work_dir.canonicalize().map_err(failed)?;
        let folder = tempfile::Builder::new()
            .prefix(JOB_FOLDER_PREFIX)
            .tempdir_in(work_dir)
            .map_err(failed)?;
        Ok(Self {
            folder,
            sandbox,
            git_credentials,
            code_signing: None,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what killed engines left. What cannot be removed does no harm but takes space.
fn sweep(work_dir: &Path) {
    for entry in std::fs::read_dir(work_dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(JOB_FOLDER_PREFIX) {
            workshop::discard(&entry.path());
        }
    }
}
