//! Feature flags for the product itself: what each flag is for one user of a project.
//!
//! The project is shown by one of its reporting keys, which is no secret: flags of a product are as
//! public as the product. Which flags are on for whom is [`kintsugi_domain::flag::Flag::evaluate`].
//!
//! Not here: the protocol (OFREP, in `kintsugi-http`) and changing flags (`admin`).

use crate::records;
use crate::stage::Stage;
use async_trait::async_trait;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::flag::{Evaluation, Flag};
use kintsugi_domain::id::{DeviceId, DsnKey, ProjectId};
use kintsugi_domain::ports::{PortError, Ports};

/// Longest key of a flag, bytes.
const KEY_BYTES_MAX: usize = 200;

/// A product asks for flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The project.
    pub project: ProjectId,
    /// One of its reporting keys.
    pub key: DsnKey,
    /// The one flag to evaluate, or all of them.
    pub flag: Option<String>,
    /// Whom it is evaluated for.
    pub user: Option<DeviceId>,
}

/// What the flags are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The flags that were asked for, by key, in the order of their keys.
    Evaluated(Vec<(String, Evaluation)>),
    /// There is no such flag.
    NotFound,
    /// No such project, or the key is not one of its keys.
    WrongKey,
}

/// Who a user is on the line of cohorts: a targeting key that could be a device's id is one, so that a
/// flag and a rollout see the same device; any other is known by its digest.
pub fn user(targeting_key: &str) -> DeviceId {
    targeting_key
        .parse()
        .unwrap_or_else(|_| DeviceId::from_digest(Digest::of(targeting_key.as_bytes())))
}

/// The flags stage.
#[derive(Debug, Clone)]
pub struct Flags {
    ports: Ports,
}

impl Flags {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }
}

#[async_trait]
impl Stage for Flags {
    const NAME: &'static str = "flags";
    type Command = Command;
    type Done = Done;

    async fn run(&self, command: Command) -> Result<Done, PortError> {
        let store = self.ports.store.as_ref();
        let project = records::project(store, command.project).await?;
        if !project.is_some_and(|project| project.value.keys.contains(&command.key)) {
            return Ok(Done::WrongKey);
        }
        let evaluated = |flag: &Flag| (flag.key.clone(), flag.evaluate(command.user.as_ref()));
        let Some(key) = command.flag else {
            let flags = records::all::<Flag>(store, command.project, None).await?;
            let flags = flags.iter().map(|flag| evaluated(&flag.value)).collect();
            return Ok(Done::Evaluated(flags));
        };
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Ok(Done::NotFound);
        }
        let flag = records::get::<Flag>(store, command.project, &key).await?;
        Ok(flag.map_or(Done::NotFound, |flag| {
            Done::Evaluated(vec![evaluated(&flag.value)])
        }))
    }
}
