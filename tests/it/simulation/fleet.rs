//! Devices that ask for updates, install them, and say how it went, or do not.

use super::mirror::{Check, must, violated};
use super::random::{Random, percent_of};
use super::served::Watcher;
use super::world::{PROJECT, World};
use kintsugi_domain::channel::{ChannelDocument, Decision, Request, decide};
use kintsugi_domain::cohort::Arm;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::id::{DeviceId, RolloutId};
use kintsugi_domain::outcome::{Outcome, Progress};
use kintsugi_domain::ports::Commit;
use semver::Version;
use std::collections::BTreeSet;
use std::rc::Rc;

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    id: DeviceId,
    pub(super) version: Version,
    /// The newest document it has seen.
    seen: usize,
    /// Versions that did not work here.
    broken: BTreeSet<Version>,
    /// Comparisons it has reported to, by arm.
    reported: BTreeSet<(RolloutId, Arm)>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) devices: Vec<Device>,
    /// Reports that are on their way.
    late: Vec<Outcome>,
    /// What was ever reported to the end: must all be counted.
    pub(super) ended: BTreeSet<(RolloutId, DeviceId, Arm)>,
    sent: usize,
}

/// Whether a version is broken on every device, on some, or on none.
fn failing_percent(seed: u64, version: &Version) -> u64 {
    if *version == Version::new(1, 0, 0) {
        return 0;
    }
    match percent_of(seed, &["version", &version.to_string()]) {
        0..15 => 100,
        15..25 => 60,
        25..35 => 10,
        _ => 0,
    }
}

impl Fleet {
    /// A fleet without the product.
    pub(super) fn new(random: &mut Random) -> Self {
        let count = random.between(10, 30);
        let device = |number: usize| Device {
            id: format!("device-{number}").parse().unwrap(),
            version: Version::new(0, 0, 0),
            seen: 0,
            broken: BTreeSet::new(),
            reported: BTreeSet::new(),
        };
        Self {
            devices: (0..count).map(device).collect(),
            late: Vec::new(),
            ended: BTreeSet::new(),
            sent: 0,
        }
    }

    /// Some device does what its updater does.
    pub(super) fn act(
        &mut self,
        world: &World,
        watcher: &mut Watcher,
        random: &mut Random,
    ) -> Check<String> {
        let place = random.below(self.devices.len());
        self.update(place, world, watcher, random, true)
    }

    /// Every device does, with what is served now.
    pub(super) fn act_all(
        &mut self,
        world: &World,
        watcher: &mut Watcher,
        random: &mut Random,
    ) -> Check {
        for place in 0..self.devices.len() {
            self.update(place, world, watcher, random, false)?;
        }
        Ok(())
    }

    fn update(
        &mut self,
        place: usize,
        world: &World,
        watcher: &mut Watcher,
        random: &mut Random,
        stale: bool,
    ) -> Check<String> {
        let Some(device) = self.devices.get_mut(place) else {
            return Ok("no device".to_owned());
        };
        let Some(newest) = watcher.documents.len().checked_sub(1) else {
            return Ok("nothing is served".to_owned());
        };
        // A cache may answer with the document before.
        let index = if stale && random.chance(20) {
            newest.saturating_sub(1).max(device.seen)
        } else {
            newest
        };
        device.seen = index;
        let Some(document) = watcher.documents.get(index).map(Rc::clone) else {
            return Ok("nothing is served".to_owned());
        };
        let request = Request {
            device: device.id.clone(),
            platform: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            version: device.version.clone(),
        };
        let from = device.version.clone();
        match decide(&document, &request) {
            Decision::Update {
                version,
                grant,
                enrolment,
            } => {
                check_offer(&document, &from, &version, grant.is_some())?;
                if let Some(grant) = grant {
                    must(
                        grant.from == from && grant.to == version,
                        "never a downgrade without a signed rollback",
                        || format!("{from} to {version}, the grant is for {}", grant.to),
                    )?;
                    watcher.check_grant(&grant, world.now())?;
                    device.version = version.clone();
                    return Ok(format!("{} goes back to {version}", device.id));
                }
                Ok(self.install(place, world, random, &version, enrolment))
            }
            Decision::Stay {
                enrolment: Some((rollout, version, Arm::Control)),
                ..
            } => {
                let is_new = device.reported.insert((rollout.clone(), Arm::Control));
                if !is_new && (!stale || random.chance(80)) {
                    return Ok(format!("{} stays", device.id));
                }
                let id = device.id.clone();
                let progress = if random.chance(2) {
                    failed()
                } else {
                    Progress::Healthy
                };
                let outcome = outcome(world, &id, (rollout, Arm::Control), version, progress);
                self.report(world, random, outcome);
                Ok(format!("{id} stays on {from} and reports"))
            }
            Decision::Stay { .. } => Ok(format!("{} stays on {from}", device.id)),
        }
    }

    fn install(
        &mut self,
        place: usize,
        world: &World,
        random: &mut Random,
        version: &Version,
        enrolment: Option<(RolloutId, Arm)>,
    ) -> String {
        let Some(device) = self.devices.get_mut(place) else {
            return "no device".to_owned();
        };
        let id = device.id.clone();
        if device.broken.contains(version) && random.chance(90) {
            return format!("{id} does not try {version} again");
        }
        let draw = percent_of(world.seed, &["install", id.as_str(), &version.to_string()]);
        let fails = draw < failing_percent(world.seed, version) || random.chance(1);
        let dies = random.chance(if fails { 20 } else { 1 });
        if !fails && !dies {
            device.version = version.clone();
        } else {
            device.broken.insert(version.clone());
        }
        let Some(enrolment) = enrolment else {
            return format!("{id} installs {version}, compared with nothing");
        };
        device.reported.insert(enrolment.clone());
        let tell = |progress| outcome(world, &id, enrolment.clone(), version.clone(), progress);
        if random.chance(60) {
            let started = tell(Progress::Started);
            self.report(world, random, started);
        }
        if dies {
            return format!("{id} dies installing {version}");
        }
        let progress = if fails { failed() } else { Progress::Healthy };
        let line = format!("{id} installs {version}: {progress:?}");
        let ended = tell(progress);
        self.report(world, random, ended);
        line
    }

    /// Sends a report now, later, or twice.
    fn report(&mut self, world: &World, random: &mut Random, outcome: Outcome) {
        if outcome.progress.is_final() {
            let key = (outcome.rollout.clone(), outcome.device.clone(), outcome.arm);
            self.ended.insert(key);
        }
        if random.chance(15) {
            self.late.push(outcome.clone());
        }
        if random.chance(20) {
            self.late.push(outcome);
        } else {
            self.send(world, outcome);
        }
    }

    fn send(&mut self, world: &World, outcome: Outcome) {
        self.sent += 1;
        let cause = format!("report-{}", self.sent);
        let envelope = Envelope::new(cause, PROJECT, Message::Install { outcome });
        world.commit(Commit::new().send(envelope)).unwrap();
    }

    /// A report that was on its way arrives.
    pub(super) fn arrive(&mut self, world: &World, random: &mut Random) -> String {
        if self.late.is_empty() {
            return "no report is late".to_owned();
        }
        let outcome = self.late.swap_remove(random.below(self.late.len()));
        let line = format!("late: {} {:?}", outcome.device, outcome.progress);
        self.send(world, outcome);
        line
    }

    /// All of them arrive. Answers with whether there were any.
    pub(super) fn arrive_all(&mut self, world: &World) -> bool {
        let late = std::mem::take(&mut self.late);
        let any = !late.is_empty();
        for outcome in late {
            self.send(world, outcome);
        }
        any
    }
}

/// What no answer to a device may ever be.
fn check_offer(document: &ChannelDocument, from: &Version, to: &Version, granted: bool) -> Check {
    if document.revoked.contains(to) || document.release(to).is_none() {
        let detail = format!("{from} to {to}");
        return violated(
            "never a manifest for an unsigned or revoked release",
            detail,
        );
    }
    must(
        to > from || granted,
        "never a downgrade without a signed rollback",
        || format!("{from} to {to}"),
    )
}

fn failed() -> Progress {
    Progress::Failed {
        step: "health".to_owned(),
        error: String::new(),
    }
}

fn outcome(
    world: &World,
    device: &DeviceId,
    (rollout, arm): (RolloutId, Arm),
    version: Version,
    progress: Progress,
) -> Outcome {
    Outcome {
        project: PROJECT,
        rollout,
        version,
        device: device.clone(),
        arm,
        progress,
        at: world.now(),
        duration_ms: 1,
    }
}
