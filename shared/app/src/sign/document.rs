//! What a channel says: pure, from the records as they are.

use kintsugi_domain::Timestamp;
use kintsugi_domain::channel::{
    CHANNEL_FORMAT, ChannelDocument, ChannelRelease, ChannelRollout, DeltaTarget, Grant,
    HealthCheck, Package, Priority, Target,
};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::Artifact;
use kintsugi_domain::limits::CHANNEL_RELEASES_MAX;
use kintsugi_domain::ports::PortError;
use kintsugi_domain::project::Project;
use kintsugi_domain::release::{Release, ReleaseState, RequiredAction};
use kintsugi_domain::rollout::{Rollout, RolloutState};
use kintsugi_domain::train::Train;

/// The platform and processor of packages that run everywhere.
pub(super) const ANY: &str = "any";

/// The target path of an artifact: its blob key without the folder of the project's targets and
/// without the digest in front of its name.
pub fn target_path(project: ProjectId, artifact: &Artifact) -> Result<String, PortError> {
    let folder = format!("tuf/{project}/targets/");
    let digest = format!("{}.", artifact.digest);
    let name = artifact
        .blob
        .strip_prefix(&folder)
        .and_then(|name| name.strip_prefix(&digest));
    match name {
        Some(name) => Ok(name.to_owned()),
        None => Err(PortError::broken(
            format!("artifact {}", artifact.blob),
            format!("expected a key of the form {folder}<digest>.<name>"),
        )),
    }
}

fn target(project: ProjectId, artifact: &Artifact) -> Result<Target, PortError> {
    Ok(Target {
        path: target_path(project, artifact)?,
        digest: artifact.digest,
        length: artifact.length,
    })
}

/// The releases that a document of a channel lists: signed, not revoked, the newest, oldest first.
pub(super) fn listed<'a>(releases: &'a [Release], channel: &str) -> Vec<&'a Release> {
    let mut listed: Vec<&Release> = releases
        .iter()
        .filter(|release| {
            release.channel == channel
                && release.state == ReleaseState::Published
                && release.statement.is_some()
        })
        .collect();
    listed.sort_by(|a, b| b.version.cmp(&a.version));
    listed.truncate(CHANNEL_RELEASES_MAX);
    listed.reverse();
    listed
}

fn release(project: &Project, release: &Release) -> Result<ChannelRelease, PortError> {
    let built = &release.built;
    let deltas: Result<Vec<DeltaTarget>, PortError> = built
        .deltas
        .iter()
        .map(|delta| {
            Ok(DeltaTarget {
                from: delta.from.clone(),
                base: delta.base,
                target: target(project.id, &delta.artifact)?,
            })
        })
        .collect();
    let statement = release.statement.as_ref();
    Ok(ChannelRelease {
        version: release.version.clone(),
        date: release.built_at,
        notes: release.notes.clone(),
        priority: match release.train {
            Train::Hotfix => Priority::Critical,
            Train::Patch => Priority::High,
            Train::Minor | Train::Major => Priority::Normal,
        },
        restart: release.required_actions.contains(&RequiredAction::Restart),
        required_stop: false,
        health: HealthCheck {
            command: project.config.health.command.clone(),
            timeout_seconds: project.config.health.timeout_seconds,
        },
        packages: vec![Package {
            platform: ANY.to_owned(),
            arch: ANY.to_owned(),
            full: target(project.id, &built.full)?,
            content: built.content.clone(),
            deltas: deltas?,
            statement: statement.map(|it| it.jws.clone()).unwrap_or_default(),
        }],
    })
}

/// The document of a channel.
pub(super) fn document(
    project: &Project,
    channel: &str,
    (releases, rollouts): (&[Release], &[Rollout]),
    (serial, issued_at): (u64, Timestamp),
) -> Result<ChannelDocument, PortError> {
    let listed = listed(releases, channel);
    let is_listed = |rollout: &&Rollout| {
        listed
            .iter()
            .any(|release| release.version == rollout.version)
    };
    let on_channel = || rollouts.iter().filter(|it| it.channel == channel);
    let mut running: Vec<&Rollout> = on_channel().filter(is_listed).collect();
    running.sort_by(|a, b| a.version.cmp(&b.version));
    let mut revoked: Vec<_> = releases
        .iter()
        .filter(|it| it.channel == channel && it.state == ReleaseState::Revoked)
        .map(|release| release.version.clone())
        .collect();
    revoked.sort();
    let grants = on_channel().filter_map(|rollout| {
        Some(Grant {
            from: rollout.version.clone(),
            to: rollout.rolled_back_to.clone()?,
            statement: rollout.grant.as_ref()?.jws.clone(),
        })
    });
    let mut grants: Vec<Grant> = grants.collect();
    grants.sort_by(|a, b| a.from.cmp(&b.from));
    let releases: Result<Vec<_>, _> = listed.iter().map(|it| release(project, it)).collect();
    Ok(ChannelDocument {
        format: CHANNEL_FORMAT,
        project: project.id,
        app: project.config.product.name.clone(),
        channel: channel.to_owned(),
        serial,
        issued_at,
        releases: releases?,
        rollouts: running
            .into_iter()
            .map(|rollout| ChannelRollout {
                id: rollout.id.clone(),
                version: rollout.version.clone(),
                share: rollout.share,
                holdout: rollout.holdout,
                offering: rollout.state.is_offering(),
                finalised: rollout.state == RolloutState::Finalised,
            })
            .collect(),
        revoked,
        grants,
    })
}
