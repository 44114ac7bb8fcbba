//! The second half of the story: a bad release is published on purpose, and caught.

use super::act::{Part, ROUND_PAUSE, ROUNDS_MAX, Story, Told, part};
use super::fleet::{Fleet, offered};
use super::watch::Missed;
use crate::error::Error;
use kintsugi_domain::cohort::{Arm, Share, arm};
use kintsugi_domain::release::Release;
use kintsugi_domain::rollout::{Rollout, RolloutState};
use semver::Version;
use std::collections::BTreeSet;

impl Story<'_> {
    /// A developer's mistake: a version that works on their machine and nowhere else.
    pub(super) async fn publish_bad(
        &mut self,
        fleet: &Fleet,
        good: &Release,
        told: &mut Told,
    ) -> Part<()> {
        let scene = self.scene;
        scene.sample.commit_bad_version(&scene.repository)?;
        let bad = Version::new(1, 1, 0);
        told.bad_release = Some(bad.to_string());
        part!(
            self.release(bad.clone(), "Tax numbers on the report.")
                .await
        );
        let mut steps = 0;
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut canaries: BTreeSet<String> = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            let before = part!(self.rollout(&bad).await);
            canaries.extend(offered_now(fleet, &before)?);
            let runs = fleet.round().await?;
            seen.extend(offered(&runs, &bad));
            let rollout = part!(self.rollout(&bad).await);
            self.tell_steps(&rollout, &mut steps);
            let on_bad = fleet
                .versions()?
                .iter()
                .filter(|it| it.as_ref() == Some(&bad))
                .count();
            told.canary_devices = canaries.len();
            told.devices_offered_bad_release = seen.len();
            told.devices_on_bad_release_at_end = on_bad;
            told.halt_reason.clone_from(&rollout.halt_reason);
            told.rolled_back_to = rollout.rolled_back_to.as_ref().map(ToString::to_string);
            if rollout.state == RolloutState::RolledBack {
                // Once more: the signed rollback reaches every device, and nobody is offered it again.
                let runs = fleet.round().await?;
                let again = offered(&runs, &bad).difference(&seen).count();
                return self.verdict(good, fleet, (&canaries, &seen, again));
            }
            self.tell_failures(&runs);
            tokio::time::sleep(ROUND_PAUSE).await;
        }
        Ok(Err(Missed(format!("{bad} was not rolled back"))))
    }

    fn verdict(
        &self,
        good: &Release,
        fleet: &Fleet,
        (canaries, seen, again): (&BTreeSet<String>, &BTreeSet<String>, usize),
    ) -> Part<()> {
        let missed = |why: String| Ok(Err(Missed(why)));
        let outsiders = seen.difference(canaries).count();
        if outsiders > 0 {
            return missed(format!(
                "{outsiders} devices outside the canary cohort were offered the bad version"
            ));
        }
        if again > 0 {
            return missed(format!(
                "{again} devices were offered the bad version after its rollback"
            ));
        }
        let versions = fleet.versions()?;
        let elsewhere = versions
            .iter()
            .filter(|it| it.as_ref() != Some(&good.version))
            .count();
        if elsewhere > 0 {
            return missed(format!("{elsewhere} devices are not on {}", good.version));
        }
        self.teller.step(&format!(
            "the rollback is signed and published; all {} devices run {}",
            fleet.len(),
            good.version
        ));
        Ok(Ok(()))
    }
}

/// The devices that a rollout offers its version to at this moment.
fn offered_now(fleet: &Fleet, rollout: &Rollout) -> Result<BTreeSet<String>, Error> {
    let mut found = BTreeSet::new();
    if !rollout.state.is_offering() || rollout.share == Share::NONE {
        return Ok(found);
    }
    for index in 0..fleet.len() {
        let name = fleet.name(index).unwrap_or_default();
        let device = name
            .parse()
            .map_err(|error| Error::unexpected("read a device's name", &error))?;
        let salt = rollout.id.as_str();
        if arm(salt, &device, rollout.share, rollout.holdout) == Arm::New {
            found.insert(name.to_owned());
        }
    }
    Ok(found)
}
