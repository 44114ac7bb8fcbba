//! The channel document and the update decision: one pure function that runs in Lambda, at the edge and
//! in the client.
//!
//! A channel document is a TUF target. It lists everything that may be offered on a channel, each
//! candidate signed; the decision only points among them. A rollout step, a halt or a rollback publishes
//! a new document, so no database sits between a device and its answer.

use crate::Timestamp;
use crate::cohort::{Arm, Share, arm};
use crate::digest::Digest;
use crate::id::{DeviceId, ProjectId, RolloutId};
use crate::job::Content;
use crate::record::{Kind, Record};
use crate::signing::Signing;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of [`ChannelDocument`]'s written form.
pub const CHANNEL_FORMAT: u16 = 1;

/// Everything that may be offered on one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelDocument {
    /// [`CHANNEL_FORMAT`].
    pub format: u16,
    /// The project.
    pub project: ProjectId,
    /// The product's name.
    pub app: String,
    /// The channel.
    pub channel: String,
    /// Grows by one with each document of this channel.
    pub serial: u64,
    /// When it was made.
    pub issued_at: Timestamp,
    /// Releases that may be offered or gone back to, oldest first.
    pub releases: Vec<ChannelRelease>,
    /// Rollouts, oldest first.
    pub rollouts: Vec<ChannelRollout>,
    /// Versions that must never be offered or installed.
    pub revoked: Vec<Version>,
    /// Signed permissions to go down.
    pub grants: Vec<Grant>,
}

/// A release in a channel document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRelease {
    /// The version.
    pub version: Version,
    /// When it was built.
    pub date: Timestamp,
    /// Its changelog section.
    pub notes: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether the product must be restarted.
    pub restart: bool,
    /// Whether devices must pass through this version.
    pub required_stop: bool,
    /// How a device tells that the installed version works.
    pub health: HealthCheck,
    /// The packages, one per platform.
    pub packages: Vec<Package>,
}

/// How urgent an update is; a client installs the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// At the next occasion.
    Normal,
    /// Soon.
    High,
    /// At once, maintenance window or not.
    Critical,
}

/// How a device tells that the installed version works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// Program and arguments, run in the version's folder, which `{app}` in them stands for.
    pub command: Vec<String>,
    /// Longer is a failure, seconds.
    pub timeout_seconds: u32,
}

/// A package of a release for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// `linux`, `windows`, `darwin` or `any`.
    pub platform: String,
    /// `x86_64`, `aarch64` or `any`.
    pub arch: String,
    /// The full package.
    pub full: Target,
    /// What a device has after unpacking: the digest that full and delta installs must both reach.
    pub content: Content,
    /// Deltas, each from one version.
    pub deltas: Vec<DeltaTarget>,
    /// The release statement: compact JWS, ES384.
    pub statement: String,
}

/// A file of the TUF repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its target path.
    pub path: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub length: u64,
}

/// A delta in a channel document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeltaTarget {
    /// The version it starts from.
    pub from: Version,
    /// The content digest of that version.
    pub base: Digest,
    /// The delta.
    pub target: Target,
}

/// A rollout in a channel document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRollout {
    /// Its id, and the salt of its cohorts.
    pub id: RolloutId,
    /// The version it rolls out.
    pub version: Version,
    /// The share that is offered it.
    pub share: Share,
    /// The share that is not, to the end.
    pub holdout: Share,
    /// Whether it is offered at present.
    pub offering: bool,
    /// Whether everybody is offered it and nothing is compared any more.
    pub finalised: bool,
}

/// A signed permission to go down from one version to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The version to leave.
    pub from: Version,
    /// The version to go to.
    pub to: Version,
    /// The rollback grant: compact JWS, ES384.
    pub statement: String,
}

/// A device asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The device.
    pub device: DeviceId,
    /// Its platform.
    pub platform: String,
    /// Its processor.
    pub arch: String,
    /// The version it has; 0.0.0 for none.
    pub version: Version,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Take this release.
    Update {
        /// The version to install.
        version: Version,
        /// The permission to go down, where the version is lower.
        grant: Option<Grant>,
        /// The comparison the device is part of, and its arm.
        enrolment: Option<(RolloutId, Arm)>,
    },
    /// Stay on what you have.
    Stay {
        /// Why.
        why: &'static str,
        /// The comparison the device is part of: the rollout, the version it compares, the arm.
        enrolment: Option<(RolloutId, Version, Arm)>,
    },
}

impl Package {
    /// Whether it fits a platform.
    pub fn fits(&self, platform: &str, arch: &str) -> bool {
        (self.platform == "any" || self.platform == platform)
            && (self.arch == "any" || self.arch == arch)
    }
}

impl ChannelRelease {
    /// The package for a platform.
    pub fn package(&self, platform: &str, arch: &str) -> Option<&Package> {
        self.packages
            .iter()
            .find(|package| package.fits(platform, arch))
    }
}

impl ChannelDocument {
    /// The release of a version.
    pub fn release(&self, version: &Version) -> Option<&ChannelRelease> {
        self.releases
            .iter()
            .find(|release| release.version == *version)
    }

    fn rollout(&self, version: &Version) -> Option<&ChannelRollout> {
        self.rollouts
            .iter()
            .find(|rollout| rollout.version == *version)
    }

    /// Whether a device may be offered a release: it fits, it is not revoked, its rollout offers it.
    fn is_eligible(&self, release: &ChannelRelease, request: &Request) -> bool {
        if self.revoked.contains(&release.version)
            || release.package(&request.platform, &request.arch).is_none()
        {
            return false;
        }
        match self.rollout(&release.version) {
            None => false,
            Some(rollout) if !rollout.offering => false,
            Some(rollout) if rollout.finalised => true,
            Some(rollout) => {
                let salt = rollout.id.as_str();
                arm(salt, &request.device, rollout.share, rollout.holdout) == Arm::New
            }
        }
    }

    /// The running comparison that a device on `version` is part of, with its arm.
    fn enrolment(&self, request: &Request) -> Option<(&ChannelRollout, Arm)> {
        let running = self.rollouts.iter().rev().find(|rollout| {
            rollout.offering
                && !rollout.finalised
                && rollout.version >= request.version
                && !self.revoked.contains(&rollout.version)
        })?;
        let salt = running.id.as_str();
        Some((
            running,
            arm(salt, &request.device, running.share, running.holdout),
        ))
    }
}

/// The update decision: pure, the same everywhere.
///
/// 1. A device on a revoked version goes where a grant lets it go.
/// 2. Otherwise the highest eligible version above its own, but not past a required stop.
/// 3. Otherwise it stays.
///
/// It never answers with a lower version without a grant, nor with a revoked version.
pub fn decide(document: &ChannelDocument, request: &Request) -> Decision {
    if document.revoked.contains(&request.version) {
        let way_back = document.grants.iter().find(|grant| {
            grant.from == request.version
                && !document.revoked.contains(&grant.to)
                && document
                    .release(&grant.to)
                    .is_some_and(|to| to.package(&request.platform, &request.arch).is_some())
        });
        if let Some(grant) = way_back {
            let version = grant.to.clone();
            return Decision::Update {
                version,
                grant: Some(grant.clone()),
                enrolment: None,
            };
        }
    }
    let mut above: Vec<&ChannelRelease> = document
        .releases
        .iter()
        .filter(|release| release.version > request.version)
        .filter(|release| document.is_eligible(release, request))
        .collect();
    above.sort_by(|a, b| a.version.cmp(&b.version));
    let target = above
        .iter()
        .find(|release| release.required_stop)
        .or(above.last());
    let enrolment = document.enrolment(request);
    match target {
        Some(release) => Decision::Update {
            version: release.version.clone(),
            grant: None,
            enrolment: enrolment
                .filter(|(rollout, _)| rollout.version == release.version)
                .map(|(rollout, arm)| (rollout.id.clone(), arm)),
        },
        None => Decision::Stay {
            why: if document.revoked.contains(&request.version) {
                "this version is revoked and there is no way back yet"
            } else {
                "nothing newer is offered to this device"
            },
            enrolment: enrolment
                .map(|(rollout, arm)| (rollout.id.clone(), rollout.version.clone(), arm)),
        },
    }
}

/// The head of a project's signed repository: what is served at this moment. Everything it names is
/// stored before it is, so a reader always sees a complete repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The project.
    pub project: ProjectId,
    /// The last version number that a signing has claimed for itself. Numbers of signings that did
    /// not get to the end stay unused.
    pub claimed: u64,
    /// Version of the root metadata.
    pub root: u64,
    /// Version of the targets metadata.
    pub targets: u64,
    /// Version of the snapshot metadata.
    pub snapshot: u64,
    /// Version of the timestamp metadata.
    pub timestamp: u64,
    /// The signed timestamp metadata itself.
    pub timestamp_body: String,
    /// When the root expires.
    pub root_expires: Timestamp,
    /// When the targets metadata expires.
    pub targets_expires: Timestamp,
    /// When the snapshot expires.
    pub snapshot_expires: Timestamp,
    /// When the timestamp expires.
    pub expires: Timestamp,
    /// The channel documents served, by channel: blob key and serial.
    pub documents: BTreeMap<String, (String, u64)>,
    /// The keys that sign it, and what was ordered of them.
    #[serde(default)]
    pub signing: Signing,
}

impl Record for Head {
    const KIND: Kind = Kind::Head;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        "head".to_owned()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(name: &str) -> Target {
        Target {
            path: name.into(),
            digest: Digest::of(name.as_bytes()),
            length: 1,
        }
    }

    fn release(version: Version) -> ChannelRelease {
        let name = format!("till-{version}.tar.zst");
        ChannelRelease {
            date: Timestamp::UNIX_EPOCH,
            notes: String::new(),
            priority: Priority::Normal,
            restart: true,
            required_stop: false,
            health: HealthCheck {
                command: vec!["true".into()],
                timeout_seconds: 1,
            },
            packages: vec![Package {
                platform: "any".into(),
                arch: "any".into(),
                full: target(&name),
                content: Content {
                    digest: Digest::of(b"content"),
                    length: 1,
                },
                deltas: vec![],
                statement: String::new(),
            }],
            version,
        }
    }

    fn rollout(version: Version, percent: u32, finalised: bool) -> ChannelRollout {
        ChannelRollout {
            id: format!(
                "rollout-{}-{}-{}",
                version.major, version.minor, version.patch
            )
            .parse()
            .unwrap(),
            version,
            share: Share::from_percent(percent),
            holdout: Share::NONE,
            offering: true,
            finalised,
        }
    }

    fn document(versions: &[(Version, u32, bool)]) -> ChannelDocument {
        ChannelDocument {
            format: CHANNEL_FORMAT,
            project: ProjectId(1),
            app: "till".into(),
            channel: "stable".into(),
            serial: 1,
            issued_at: Timestamp::UNIX_EPOCH,
            releases: versions
                .iter()
                .map(|(version, ..)| release(version.clone()))
                .collect(),
            rollouts: versions
                .iter()
                .map(|(version, percent, finalised)| rollout(version.clone(), *percent, *finalised))
                .collect(),
            revoked: vec![],
            grants: vec![],
        }
    }

    fn asks(device: &str, version: Version) -> Request {
        Request {
            device: device.parse().unwrap(),
            platform: "linux".into(),
            arch: "x86_64".into(),
            version,
        }
    }

    const fn v(minor: u64) -> Version {
        Version::new(1, minor, 0)
    }

    #[test]
    fn the_control_arm_gets_the_previous_good_version_and_is_enrolled() {
        let document = document(&[(v(0), 100, true), (v(1), 0, false)]);
        let Decision::Update {
            version, enrolment, ..
        } = decide(&document, &asks("d", Version::new(0, 0, 0)))
        else {
            panic!("nothing offered")
        };
        assert_eq!((version, enrolment), (v(0), None));
        let Decision::Stay { enrolment, .. } = decide(&document, &asks("d", v(0))) else {
            panic!("offered")
        };
        let (_, version, arm) = enrolment.unwrap();
        assert_eq!((version, arm), (v(1), Arm::Control));
    }

    #[test]
    fn a_required_stop_is_never_jumped_over() {
        let mut document = document(&[(v(0), 100, true), (v(1), 100, true), (v(2), 100, true)]);
        document.releases[1].required_stop = true;
        let Decision::Update { version, .. } = decide(&document, &asks("d", v(0))) else {
            panic!("nothing offered")
        };
        assert_eq!(version, v(1));
    }

    #[test]
    fn a_revoked_version_goes_back_only_by_a_grant() {
        let mut document = document(&[(v(0), 100, true), (v(1), 100, false)]);
        document.revoked = vec![v(1)];
        assert!(matches!(
            decide(&document, &asks("d", v(1))),
            Decision::Stay { .. }
        ));
        document.grants = vec![Grant {
            from: v(1),
            to: v(0),
            statement: String::new(),
        }];
        let Decision::Update { version, grant, .. } = decide(&document, &asks("d", v(1))) else {
            panic!("nothing offered")
        };
        assert_eq!(version, v(0));
        assert!(grant.is_some());
        assert!(matches!(
            decide(&document, &asks("d", v(0))),
            Decision::Stay { .. }
        ));
    }

    proptest! {
        #[test]
        fn never_down_without_a_grant_and_never_a_revoked_one(
            shares in proptest::collection::vec((0u32..=100, any::<bool>(), any::<bool>(), any::<bool>()), 1..6),
            on in 0u64..6,
            device in "[a-z0-9]{1,12}",
        ) {
            let versions: Vec<_> = (0u64..)
                .zip(&shares)
                .map(|(minor, (share, finalised, ..))| (v(minor), *share, *finalised))
                .collect();
            let mut document = document(&versions);
            for (index, (_, _, revoked, stop)) in shares.iter().enumerate() {
                if *revoked {
                    document.revoked.push(v(index as u64));
                }
                document.releases[index].required_stop = *stop;
            }
            if let Decision::Update { version, grant, .. } = decide(&document, &asks(&device, v(on))) {
                prop_assert!(!document.revoked.contains(&version));
                prop_assert!(version > v(on) || grant.is_some());
            }
        }
    }
}
