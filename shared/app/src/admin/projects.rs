//! Projects, their configuration and their reporting keys.

use super::shown::ProjectView;
use super::{Answer, Call, Change, Decided, Decision, Refusal, RefusalKind, Stop, reason};
use crate::records;
use kintsugi_domain::batch::{BatchKeys, BatchKeysError};
use kintsugi_domain::config::Config;
use kintsugi_domain::envelope::Message;
use kintsugi_domain::id::{DsnKey, ProjectId};
use kintsugi_domain::limits::PROJECT_KEYS_MAX;
use kintsugi_domain::ports::{Commit, PortError};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::Stored;
use std::str::FromStr as _;

/// The project, or a refusal.
pub(super) async fn need(call: &Call<'_>, id: ProjectId) -> Result<Stored<Project>, Stop> {
    let found = records::project(call.ports.store.as_ref(), id).await?;
    Ok(found.ok_or_else(|| Refusal::missing("project.unknown", "project"))?)
}

pub(super) async fn add(call: &Call<'_>, config: &Config, repository: Option<&str>) -> Decision {
    let repository = repository.map(str::trim).filter(|text| !text.is_empty());
    let store = call.ports.store.as_ref();
    let mut last = 0;
    for id in store.projects().await? {
        last = last.max(id.0);
        let Some(known) = records::project(store, id).await? else {
            continue;
        };
        let same = known.value.config.product.name == config.product.name
            && known.value.repository.as_deref() == repository;
        if same {
            return Ok(reconfigured(call, known, config));
        }
    }
    let Some(free) = last.checked_add(1) else {
        let why = "there is no project number left";
        return Err(Refusal::new(RefusalKind::Conflict, "project.full", why).into());
    };
    let project = Project {
        id: ProjectId(free),
        config: config.clone(),
        keys: vec![fresh_key(call)?],
        repository: repository.map(str::to_owned),
        batch_keys: BatchKeys::default(),
        added_at: call.now,
    };
    let publish = call.envelope(project.id, publish(config));
    Ok(Decided::Change(Box::new(Change {
        project: project.id,
        on: on(project.id),
        why: format!("product {}", config.product.name),
        commit: Commit::new().create(&project).send(publish),
        answer: answer(&project),
    })))
}

pub(super) async fn configure(call: &Call<'_>, project: ProjectId, config: &Config) -> Decision {
    let known = need(call, project).await?;
    Ok(reconfigured(call, known, config))
}

pub(super) async fn add_key(call: &Call<'_>, project: ProjectId) -> Decision {
    let mut known = need(call, project).await?;
    if known.value.keys.len() >= PROJECT_KEYS_MAX {
        let why = format!("a project has at most {PROJECT_KEYS_MAX} keys: remove one first");
        return Err(Refusal::new(RefusalKind::Conflict, "key.too_many", why).into());
    }
    let key = fresh_key(call)?;
    known.value.keys.push(key.clone());
    Ok(Decided::Change(Box::new(Change {
        project,
        on: format!("key {key}"),
        why: String::new(),
        commit: Commit::new().update(&known),
        answer: Answer::Key { key },
    })))
}

pub(super) async fn remove_key(call: &Call<'_>, project: ProjectId, key: &DsnKey) -> Decision {
    let mut known = need(call, project).await?;
    if !known.value.keys.contains(key) {
        return Err(Refusal::missing("key.unknown", "key").into());
    }
    if known.value.keys.len() == 1 {
        let why = "it is the only key of the project: add another one first";
        return Err(Refusal::new(RefusalKind::Conflict, "key.last", why).into());
    }
    known.value.keys.retain(|other| other != key);
    Ok(Decided::Change(Box::new(Change {
        project,
        on: format!("key {key}"),
        why: String::new(),
        commit: Commit::new().update(&known),
        answer: Answer::Changed {
            on: format!("key {key}"),
            now: "removed".to_owned(),
        },
    })))
}

pub(super) async fn rotate_batch_key(call: &Call<'_>, project: ProjectId, why: &str) -> Decision {
    let mut known = need(call, project).await?;
    let generation = known.value.batch_keys.rotate().map_err(refused)?;
    batch_keys_changed(&known, generation, "the newest", why)
}

pub(super) async fn retire_batch_key(
    call: &Call<'_>,
    project: ProjectId,
    generation: u32,
    why: &str,
) -> Decision {
    let mut known = need(call, project).await?;
    let before = known.value.batch_keys;
    known.value.batch_keys.retire(generation).map_err(refused)?;
    if known.value.batch_keys == before {
        return Ok(Decided::AsItWas(batch_key(generation, "retired")));
    }
    batch_keys_changed(&known, generation, "retired", why)
}

fn batch_keys_changed(known: &Stored<Project>, generation: u32, now: &str, why: &str) -> Decision {
    Ok(Decided::Change(Box::new(Change {
        project: known.value.id,
        on: format!("batch key {generation}"),
        why: reason(why, false)?,
        commit: Commit::new().update(known),
        answer: batch_key(generation, now),
    })))
}

fn batch_key(generation: u32, now: &str) -> Answer {
    Answer::Changed {
        on: format!("batch key {generation}"),
        now: now.to_owned(),
    }
}

fn refused(error: BatchKeysError) -> Refusal {
    let kind = match error {
        BatchKeysError::TooMany | BatchKeysError::Newest => RefusalKind::Conflict,
        BatchKeysError::Unknown => RefusalKind::NotFound,
    };
    Refusal::new(kind, error.code(), error.to_string())
}

fn reconfigured(call: &Call<'_>, mut known: Stored<Project>, config: &Config) -> Decided {
    if known.value.config == *config {
        return Decided::AsItWas(answer(&known.value));
    }
    let id = known.value.id;
    let moved = known.value.config.trains.channel != config.trains.channel;
    known.value.config = config.clone();
    let mut commit = Commit::new().update(&known);
    if moved {
        commit = commit.send(call.envelope(id, publish(config)));
    }
    Decided::Change(Box::new(Change {
        project: id,
        on: on(id),
        why: "its configuration changed".to_owned(),
        commit,
        answer: answer(&known.value),
    }))
}

fn publish(config: &Config) -> Message {
    Message::Publish {
        channel: config.trains.channel.clone(),
    }
}

/// Who changes projects is an admin, and sees all of their configuration.
fn answer(project: &Project) -> Answer {
    Answer::Project {
        project: Box::new(ProjectView::of(project, true)),
    }
}

fn on(project: ProjectId) -> String {
    format!("project {project}")
}

fn fresh_key(call: &Call<'_>) -> Result<DsnKey, PortError> {
    let text = call.ports.ids.fresh().short(32);
    DsnKey::from_str(&text).map_err(|error| PortError::broken("a fresh key", error))
}
