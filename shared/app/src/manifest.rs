//! The update check: what is for this device, and the ticket of the comparison that it is part of.
//!
//! The decision is [`kintsugi_domain::channel::decide`] over the channel document that is published at
//! this moment; the updater decides the same from its own verified copy and compares. So this stage
//! can withhold an update, and cannot invent one.
//!
//! One keyed read per check finds which document is in force. Documents are immutable and are kept in
//! memory; which one is in force is read each time, so a halt is heard by the next check.
//!
//! **Invariant: nothing is written and nothing is signed for a check.** A ticket is a MAC.

use crate::records;
use crate::stage::Stage;
use crate::tickets::Tickets;
use async_trait::async_trait;
use kintsugi_domain::channel::{
    CHANNEL_FORMAT, ChannelDocument, Decision, Grant, Head, Request, decide,
};
use kintsugi_domain::cohort::Arm;
use kintsugi_domain::id::{DeviceId, ProjectId, RolloutId};
use kintsugi_domain::limits::METADATA_BYTES_MAX;
use kintsugi_domain::manifest::Manifest;
use kintsugi_domain::ports::{PortError, Ports};
use kintsugi_trust::ticket::Ticket;
use semver::Version;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Channel documents kept in memory.
const DOCUMENTS_MAX: usize = 64;

/// A device asks what is for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The project.
    pub project: ProjectId,
    /// The channel that the device follows.
    pub channel: String,
    /// Its platform.
    pub platform: String,
    /// Its processor.
    pub arch: String,
    /// The version it has; 0.0.0 for none.
    pub version: Version,
    /// The device.
    pub device: DeviceId,
}

/// The answer to an update check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Take this release.
    Offer {
        /// The release.
        manifest: Box<Manifest>,
        /// The ticket, where the install is part of a comparison.
        ticket: Option<String>,
    },
    /// Stay on what you have.
    Stay {
        /// Why.
        why: &'static str,
        /// The ticket, where the device is part of a comparison: its control, mostly.
        ticket: Option<String>,
    },
    /// There is no such project, or nothing was published on that channel.
    Unknown,
}

/// The manifest stage.
pub struct Manifests {
    ports: Ports,
    tickets: Tickets,
    documents: Mutex<VecDeque<(String, Arc<ChannelDocument>)>>,
}

impl Manifests {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self {
            tickets: Tickets::new(ports.clone()),
            ports,
            documents: Mutex::default(),
        }
    }

    /// The document in force on a channel.
    async fn document(&self, command: &Command) -> Result<Option<Arc<ChannelDocument>>, PortError> {
        let store = self.ports.store.as_ref();
        let Some(head) = records::get::<Head>(store, command.project, "head").await? else {
            return Ok(None);
        };
        let Some((blob, _)) = head.value.documents.get(&command.channel) else {
            return Ok(None);
        };
        let kept = self
            .kept()
            .iter()
            .find(|(key, _)| key == blob)
            .map(|(_, document)| Arc::clone(document));
        if kept.is_some() {
            return Ok(kept);
        }
        let document = Arc::new(self.read(command, blob).await?);
        let mut documents = self.kept();
        // Two checks may read the same document at once; the second copy is dropped by age.
        if documents.len() >= DOCUMENTS_MAX {
            documents.pop_front();
        }
        documents.push_back((blob.clone(), Arc::clone(&document)));
        Ok(Some(document))
    }

    async fn read(&self, command: &Command, blob: &str) -> Result<ChannelDocument, PortError> {
        let Some(content) = self.ports.blobs.get(blob, METADATA_BYTES_MAX).await? else {
            let why = "the head of the repository names it, and it does not exist";
            return Err(PortError::broken(format!("channel document {blob}"), why));
        };
        let broken = |why: String| PortError::broken(format!("channel document {blob}"), why);
        let document: ChannelDocument =
            serde_json::from_slice(&content).map_err(|error| broken(error.to_string()))?;
        let is_right = document.format == CHANNEL_FORMAT
            && document.project == command.project
            && document.channel == command.channel;
        if is_right {
            Ok(document)
        } else {
            Err(broken("it is of another place or format".to_owned()))
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(String, Arc<ChannelDocument>)>> {
        // Nothing in here can be left half done by a panic.
        self.documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The ticket of an enrolment.
    async fn ticket(
        &self,
        command: &Command,
        enrolment: Option<(RolloutId, Version, Arm)>,
    ) -> Result<Option<String>, PortError> {
        let Some((rollout, version, arm)) = enrolment else {
            return Ok(None);
        };
        let Some(secret) = self.tickets.secret(command.project).await? else {
            let what = format!("project {}", command.project);
            let why = "its repository is published, and it does not exist";
            return Err(PortError::broken(what, why));
        };
        let ticket = Ticket {
            project: command.project,
            rollout,
            version,
            device: command.device.clone(),
            arm,
            issued_at: self.ports.now(),
        };
        ticket
            .seal(&secret)
            .map(Some)
            .map_err(|error| PortError::broken("sealing a ticket", error))
    }
}

#[async_trait]
impl Stage for Manifests {
    const NAME: &'static str = "manifest";
    type Command = Command;
    type Done = Done;

    async fn run(&self, command: Command) -> Result<Done, PortError> {
        let Some(document) = self.document(&command).await? else {
            return Ok(Done::Unknown);
        };
        let request = Request {
            device: command.device.clone(),
            platform: command.platform.clone(),
            arch: command.arch.clone(),
            version: command.version.clone(),
        };
        match decide(&document, &request) {
            Decision::Update {
                version,
                grant,
                enrolment,
            } => {
                let manifest = manifest(&document, &request, &version, grant.as_ref())?;
                let enrolment = enrolment.map(|(rollout, arm)| (rollout, version, arm));
                Ok(Done::Offer {
                    manifest: Box::new(manifest),
                    ticket: self.ticket(&command, enrolment).await?,
                })
            }
            Decision::Stay { why, enrolment } => Ok(Done::Stay {
                why,
                ticket: self.ticket(&command, enrolment).await?,
            }),
        }
    }
}

/// The manifest of a version that the document decided for.
fn manifest(
    document: &ChannelDocument,
    request: &Request,
    version: &Version,
    grant: Option<&Grant>,
) -> Result<Manifest, PortError> {
    document
        .release(version)
        .and_then(|release| {
            let package = release.package(&request.platform, &request.arch)?;
            Some(Manifest::of(release, package, &request.version, grant))
        })
        .ok_or_else(|| {
            let what = format!(
                "channel document {} of project {}",
                document.serial, document.project
            );
            PortError::broken(what, format!("it decides for {version} without a package"))
        })
}

impl fmt::Debug for Manifests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifests").finish_non_exhaustive()
    }
}
