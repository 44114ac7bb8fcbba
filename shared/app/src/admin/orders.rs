//! What releasers and admins order: releases, rollouts, flags, parked messages.

use super::projects;
use super::{Answer, Call, Change, Decided, Decision, Refusal, RefusalKind, Stop, reason};
use crate::records;
use crate::schedule::next_build;
use kintsugi_domain::audit::HOME;
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::envelope::{Message, Queue};
use kintsugi_domain::flag::Flag;
use kintsugi_domain::id::{ProjectId, RolloutId};
use kintsugi_domain::limits::NOTES_CHARS_MAX;
use kintsugi_domain::ports::{Commit, PortError, check_ref_name};
use kintsugi_domain::record::{IndexEntry, Stored};
use kintsugi_domain::release::Release;
use kintsugi_domain::rollout::{Rollout, RolloutMove};
use kintsugi_domain::train::Train;
use semver::Version;

/// Longest key of a flag, characters.
const FLAG_KEY_CHARS_MAX: usize = 100;

fn conflict(code: &'static str, why: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Conflict, code, why)
}

fn invalid(code: &'static str, why: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Invalid, code, why)
}

/// Cuts a bundle without fixes and orders its build.
pub(super) async fn release(
    call: &Call<'_>,
    id: ProjectId,
    from: &str,
    version: &Version,
    notes: &str,
) -> Decision {
    let notes = notes.trim();
    if notes.chars().count() > NOTES_CHARS_MAX {
        let why = format!("release notes have at most {NOTES_CHARS_MAX} characters");
        return Err(invalid("notes.too_long", why).into());
    }
    let project = projects::need(call, id).await?;
    let Some(repository) = project.value.repository.clone() else {
        let why = "the project only reports: it has no repository to build from";
        return Err(conflict("project.no_repository", why).into());
    };
    let train = train(call, id, version).await?;
    let commit = resolve(call, &repository, from).await?;
    let channel = &project.value.config.trains.channel;
    let mut bundle = Bundle::cut(
        id,
        train,
        channel,
        commit.clone(),
        version.clone(),
        vec![],
        call.now,
    );
    let store = call.ports.store.as_ref();
    if records::get::<Bundle>(store, id, bundle.id.as_str())
        .await?
        .is_some()
    {
        let why = "this commit was built as this version before, and failed: order another version";
        return Err(conflict("bundle.exists", why).into());
    }
    notes.clone_into(&mut bundle.notes);
    bundle.build = next_build(store, id).await?;
    let why = format!("version {version} ordered from {from}, commit {commit}");
    bundle.story.tell(call.now, call.by(), "Collecting", &why);
    let message = Message::BuildBundle {
        bundle: bundle.id.clone(),
    };
    Ok(Decided::Change(Box::new(Change {
        project: id,
        on: format!("bundle {}", bundle.id),
        why,
        // The project is written as it was: two cuts at once cannot both hold.
        commit: Commit::new()
            .update(&project)
            .create(&bundle)
            .send(call.envelope(id, message)),
        answer: Answer::Bundle {
            bundle: bundle.id,
            commit,
            version: version.clone(),
        },
    })))
}

/// What kind of step the version is, if it may be made at all.
async fn train(call: &Call<'_>, project: ProjectId, version: &Version) -> Result<Train, Stop> {
    let store = call.ports.store.as_ref();
    let open = Some(IndexEntry::new("open", &"bundle"));
    if let Some(bundle) = records::all::<Bundle>(store, project, open).await?.first() {
        let why = format!(
            "bundle {} for version {} is under way: wait for its end",
            bundle.value.id, bundle.value.version
        );
        return Err(conflict("bundle.open", why).into());
    }
    let name = Release::id_of(project, version);
    if records::get::<Release>(store, project, name.as_str())
        .await?
        .is_some()
    {
        let why = format!("version {version} exists: versions are never made twice");
        return Err(conflict("release.exists", why).into());
    }
    let releases = records::all::<Release>(store, project, None).await?;
    let latest = releases.iter().map(|release| &release.value.version).max();
    match latest {
        Some(latest) if version <= latest => {
            let why = format!("version {version} is not above {latest}, the latest there is");
            Err(conflict("release.not_above", why).into())
        }
        Some(latest) => Ok(Train::between(latest, version)),
        None => Ok(Train::Minor),
    }
}

/// The commit that a person means.
async fn resolve(call: &Call<'_>, repository: &str, from: &str) -> Result<String, Stop> {
    let forge = call.ports.forge.as_ref();
    let hex = from.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = if hex && matches!(from.len(), 40 | 64) {
        // Whether the file is there does not matter: what matters is that the commit can be read.
        let commit = from.to_ascii_lowercase();
        let read = forge.file(repository, &commit, "kintsugi.toml").await;
        read.map(|_| commit)
    } else {
        match check_ref_name(from) {
            Ok(()) => forge.head(repository, from).await,
            Err(error) => Err(error),
        }
    };
    match found {
        Ok(commit) => Ok(commit),
        Err(PortError::Broken { what, why }) => {
            let why = format!("{what}: {why}; give a branch or a whole commit id");
            Err(invalid("ref.unknown", why).into())
        }
        Err(error @ (PortError::Conflict { .. } | PortError::Unavailable { .. })) => {
            Err(error.into())
        }
    }
}

pub(super) async fn pause(
    call: &Call<'_>,
    project: ProjectId,
    id: &RolloutId,
    why: &str,
) -> Decision {
    let why = reason(why, true)?;
    let mut rollout = rollout(call, project, id).await?;
    rollout
        .value
        .step(RolloutMove::Pause, call.now, call.by(), &why)?;
    Ok(moved(call, &rollout, why))
}

/// The soak time starts again: while paused, nobody new was offered the release.
pub(super) async fn resume(
    call: &Call<'_>,
    project: ProjectId,
    id: &RolloutId,
    why: &str,
) -> Decision {
    let why = reason(why, true)?;
    let mut rollout = rollout(call, project, id).await?;
    rollout
        .value
        .step(RolloutMove::Resume, call.now, call.by(), &why)?;
    rollout.value.share_since = call.now;
    Ok(moved(call, &rollout, why))
}

/// Tells the rollback stage, which halts the rollout and brings devices back.
pub(super) async fn roll_back(
    call: &Call<'_>,
    project: ProjectId,
    id: &RolloutId,
    why: &str,
) -> Decision {
    let why = reason(why, true)?;
    let rollout = rollout(call, project, id).await?;
    rollout.value.state.next(RolloutMove::Halt)?;
    let message = Message::RollBack {
        rollout: id.clone(),
        reason: why.clone(),
        by: call.by().to_owned(),
    };
    let on = format!("rollout {id}");
    Ok(Decided::Change(Box::new(Change {
        project,
        on: on.clone(),
        why,
        commit: Commit::new().send(call.envelope(project, message)),
        answer: Answer::Ordered { on },
    })))
}

async fn rollout(
    call: &Call<'_>,
    project: ProjectId,
    id: &RolloutId,
) -> Result<Stored<Rollout>, Stop> {
    let found = records::get::<Rollout>(call.ports.store.as_ref(), project, id.as_str()).await?;
    Ok(found.ok_or_else(|| Refusal::missing("rollout.unknown", "rollout"))?)
}

fn moved(call: &Call<'_>, rollout: &Stored<Rollout>, why: String) -> Decided {
    let project = rollout.value.project;
    let publish = Message::Publish {
        channel: rollout.value.channel.clone(),
    };
    let on = format!("rollout {}", rollout.value.id);
    Decided::Change(Box::new(Change {
        project,
        on: on.clone(),
        why,
        commit: Commit::new()
            .update(rollout)
            .send(call.envelope(project, publish)),
        answer: Answer::Changed {
            on,
            now: format!("{:?}", rollout.value.state).to_lowercase(),
        },
    }))
}

pub(super) async fn put_flag(call: &Call<'_>, flag: &Flag) -> Decision {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let count = flag.key.chars().count();
    if !(1..=FLAG_KEY_CHARS_MAX).contains(&count) || !flag.key.chars().all(fits) {
        let why =
            format!("a flag's key has 1 to {FLAG_KEY_CHARS_MAX} letters, digits, '.', '_' or '-'");
        return Err(invalid("flag.key", why).into());
    }
    projects::need(call, flag.project).await?;
    let store = call.ports.store.as_ref();
    let known = records::get::<Flag>(store, flag.project, &flag.key).await?;
    let on = format!("flag {}", flag.key);
    let now = if flag.enabled {
        format!("on for {}", flag.share)
    } else {
        "disabled".to_owned()
    };
    let answer = Answer::Changed {
        on: on.clone(),
        now: now.clone(),
    };
    let commit = match known {
        Some(known) if known.value == *flag => return Ok(Decided::AsItWas(answer)),
        Some(known) => Commit::new().update(&Stored {
            value: flag.clone(),
            version: known.version,
        }),
        None => Commit::new().create(flag),
    };
    Ok(Decided::Change(Box::new(Change {
        project: flag.project,
        on,
        why: now,
        commit,
        answer,
    })))
}

/// Only the line of the audit log is committed; the queue itself follows ([`super::Admin`]).
pub(super) async fn redrive(call: &Call<'_>, queue: Queue, why: &str) -> Decision {
    let why = reason(why, false)?;
    let parked = call.ports.queues.parked(queue).await?;
    let messages = parked.iter().filter(|parked| parked.envelope.is_some());
    let parked = messages.count();
    let answer = Answer::Redriven {
        queue,
        messages: parked,
    };
    if parked == 0 {
        return Ok(Decided::AsItWas(answer));
    }
    let count = format!("{parked} messages");
    Ok(Decided::Change(Box::new(Change {
        project: HOME,
        on: format!("queue {queue}"),
        why: if why.is_empty() {
            count
        } else {
            format!("{count}: {why}")
        },
        commit: Commit::new(),
        answer,
    })))
}
