//! The engine of a machine that cannot box product code: it does nothing, and says why.

use async_trait::async_trait;
use kintsugi_domain::job::{Job, Report};
use kintsugi_domain::ports::{BuildEngine, PortError};

/// Answers every job with the reason why none can be done here.
#[derive(Debug)]
pub(super) struct NoSandbox {
    why: String,
}

impl NoSandbox {
    pub(super) fn new(why: &str) -> Self {
        Self {
            why: why.to_owned(),
        }
    }
}

#[async_trait]
impl BuildEngine for NoSandbox {
    async fn run(&self, job: &Job) -> Result<Report, PortError> {
        let what = format!("job {}", job.id);
        Err(PortError::unavailable(what, &self.why))
    }
}
