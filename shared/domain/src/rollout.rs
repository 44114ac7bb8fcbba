//! One release on one channel: who is offered it, and when it widens, halts or ends.

use crate::Timestamp;
use crate::cohort::Share;
use crate::config::RolloutRules;
use crate::digest::Digest;
use crate::guard::Tally;
use crate::id::{ProjectId, ReleaseId, RolloutId};
use crate::record::{IndexEntry, Kind, Record};
use crate::state::IllegalTransition;
use crate::story::Story;
use semver::Version;
use serde::{Deserialize, Serialize};

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Made, nobody is offered it.
    Pending,
    /// The first share is offered it.
    Canary,
    /// Larger shares are offered it.
    Ramping,
    /// Everybody is offered it, the holdout too.
    Finalised,
    /// A person stopped it for now: no new offers, installs stay.
    Paused,
    /// Stopped for good; a rollback follows.
    Halted,
    /// Devices are brought back.
    RolledBack,
}

/// What can happen to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutMove {
    /// The first share is offered it.
    Start,
    /// The next share is offered it.
    Widen,
    /// Everybody is offered it.
    Finalise,
    /// A person pauses it.
    Pause,
    /// A person lets it go on.
    Resume,
    /// The guard or a person stops it.
    Halt,
    /// Devices are brought back.
    RollBack,
}

impl RolloutState {
    /// The state after a move, or why there is none. `Resume` goes to `Ramping`: the share says how far.
    pub fn next(self, event: RolloutMove) -> Result<Self, IllegalTransition> {
        use RolloutMove as M;
        use RolloutState as S;
        match (self, event) {
            (S::Pending, M::Start) => Ok(S::Canary),
            (S::Canary | S::Ramping, M::Widen) | (S::Paused, M::Resume) => Ok(S::Ramping),
            // A channel's first release has nothing to be compared with.
            (S::Pending | S::Ramping | S::Canary, M::Finalise) => Ok(S::Finalised),
            (S::Canary | S::Ramping, M::Pause) => Ok(S::Paused),
            (S::Pending | S::Canary | S::Ramping | S::Paused | S::Finalised, M::Halt) => {
                Ok(S::Halted)
            }
            (S::Halted, M::RollBack) => Ok(S::RolledBack),
            (S::Pending, M::Widen | M::Pause | M::Resume | M::RollBack)
            | (S::Canary | S::Ramping, M::Start | M::Resume | M::RollBack)
            | (S::Finalised, M::Start | M::Widen | M::Finalise | M::Pause | M::Resume)
            | (S::Finalised, M::RollBack)
            | (S::Paused, M::Start | M::Widen | M::Finalise | M::Pause | M::RollBack)
            | (S::Halted, M::Start | M::Widen | M::Finalise | M::Pause | M::Resume | M::Halt)
            | (S::RolledBack, M::Start | M::Widen | M::Finalise | M::Pause | M::Resume)
            | (S::RolledBack, M::Halt | M::RollBack) => {
                Err(IllegalTransition::new("rollout", &self, &event))
            }
        }
    }

    /// Whether devices may be offered the release.
    pub fn is_offering(self) -> bool {
        match self {
            Self::Canary | Self::Ramping | Self::Finalised => true,
            Self::Pending | Self::Paused | Self::Halted | Self::RolledBack => false,
        }
    }

    /// Whether the guard still watches it.
    pub fn is_watched(self) -> bool {
        match self {
            Self::Pending | Self::Canary | Self::Ramping | Self::Paused => true,
            Self::Finalised | Self::Halted | Self::RolledBack => false,
        }
    }
}

/// One release on one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its id, named by release and channel; also the salt of its cohorts.
    pub id: RolloutId,
    /// Its project.
    pub project: ProjectId,
    /// The release.
    pub release: ReleaseId,
    /// Its version.
    pub version: Version,
    /// The version that the control arm stays on and devices go back to.
    pub previous: Option<Version>,
    /// The channel.
    pub channel: String,
    /// Where it stands.
    pub state: RolloutState,
    /// The share that is offered it.
    pub share: Share,
    /// The share that stays on the old version to the end.
    pub holdout: Share,
    /// When the present share came into force.
    pub share_since: Timestamp,
    /// Why it was halted, in numbers.
    pub halt_reason: Option<String>,
    /// The version that devices were brought back to.
    pub rolled_back_to: Option<Version>,
    /// The signed permission to go back, once rolled back.
    pub grant: Option<crate::release::Statement>,
    /// When everybody was offered it.
    pub finalised_at: Option<Timestamp>,
    /// Whether its fixes were judged.
    pub judged: bool,
    /// What happened to it.
    pub story: Story,
}

/// What to do with a rollout now, and why.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing.
    Hold {
        /// What is waited for.
        why: String,
    },
    /// Offer it to a larger share.
    Widen {
        /// The new share.
        share: Share,
        /// The evidence.
        why: String,
    },
    /// Offer it to everybody.
    Finalise {
        /// The evidence.
        why: String,
    },
    /// Stop it.
    Halt {
        /// The evidence, in numbers.
        why: String,
    },
}

impl Rollout {
    /// The id of the rollout of a release on a channel.
    pub fn id_of(release: &ReleaseId, channel: &str) -> RolloutId {
        let digest = Digest::of_parts(&[release.as_str().as_bytes(), channel.as_bytes()]);
        RolloutId::from_digest(digest)
    }

    /// A new rollout, offered to nobody yet.
    pub fn new(
        project: ProjectId,
        release: &ReleaseId,
        version: Version,
        previous: Option<Version>,
        channel: &str,
        rules: &RolloutRules,
        at: Timestamp,
    ) -> Self {
        Self {
            id: Self::id_of(release, channel),
            project,
            release: release.clone(),
            version,
            previous,
            channel: channel.to_owned(),
            state: RolloutState::Pending,
            share: Share::NONE,
            holdout: Share::from_percent(rules.holdout_percent),
            share_since: at,
            halt_reason: None,
            rolled_back_to: None,
            grant: None,
            finalised_at: None,
            judged: false,
            story: Story::default(),
        }
    }

    /// Makes a move and tells it.
    pub fn step(
        &mut self,
        event: RolloutMove,
        at: Timestamp,
        by: &str,
        why: impl Into<String>,
    ) -> Result<(), IllegalTransition> {
        self.state = self.state.next(event)?;
        self.story
            .tell(at, by, format!("{:?}, {}", self.state, self.share), why);
        Ok(())
    }
}

/// What to do with a rollout now (ledger G2, I1, I2, I6). The guard is asked first and halts at once;
/// widening needs the soak time, the installs, the success rate and the statistical gate together.
pub fn plan(rollout: &Rollout, tally: &Tally, rules: &RolloutRules, now: Timestamp) -> Step {
    if rollout.state == RolloutState::Pending && rollout.previous.is_none() {
        return Step::Finalise {
            why: "the channel's first release: nothing to compare with".into(),
        };
    }
    if rollout.state.is_watched()
        && let Some(why) = breach(tally, rules)
    {
        return Step::Halt { why };
    }
    match rollout.state {
        RolloutState::Pending => match rules.steps_percent.first() {
            Some(percent) => Step::Widen {
                share: Share::from_percent(*percent),
                why: "canary: the first share of the plan".into(),
            },
            None => Step::Finalise {
                why: "the plan has no steps".into(),
            },
        },
        RolloutState::Canary | RolloutState::Ramping => advance(rollout, tally, rules, now),
        RolloutState::Paused => Step::Hold {
            why: "paused by a person".into(),
        },
        RolloutState::Finalised | RolloutState::Halted | RolloutState::RolledBack => Step::Hold {
            why: "ended".into(),
        },
    }
}

/// Why a rollout must halt, if it must.
fn breach(tally: &Tally, rules: &RolloutRules) -> Option<String> {
    let (failed, results) = (tally.new_failed, tally.new_results());
    let counts = format!(
        "{failed} of {results} installs of the new version failed, {} of {} of the old one",
        tally.control_failed,
        tally.control_failed + tally.control_healthy,
    );
    let alpha = rules.guard_alpha_percent / 100.0;
    let evidence = tally.evidence();
    if evidence >= 1.0 / alpha {
        let (shown, bound) = (evidence.min(1e12), 1.0 / alpha);
        return Some(format!(
            "{counts}: evidence {shown:.0} ≥ {bound:.0} (α = {alpha})"
        ));
    }
    let rate = 100.0 * tally.new_failure_rate();
    let too_many = rate > rules.backstop_failed_percent && results >= rules.backstop_installs_min;
    too_many.then(|| {
        format!(
            "{counts}: {rate:.1} % > {} % (backstop)",
            rules.backstop_failed_percent
        )
    })
}

/// Whether a rollout that is under way goes on.
fn advance(rollout: &Rollout, tally: &Tally, rules: &RolloutRules, now: Timestamp) -> Step {
    let held = |why: String| Step::Hold { why };
    let soaked = now.duration_since(rollout.share_since).as_secs();
    let soak = i64::try_from(rules.soak_seconds).unwrap_or(i64::MAX);
    if soaked < soak {
        return held(format!("soaking: {soaked} of {soak} s"));
    }
    let results = tally.new_results();
    if results < rules.gate_installs_min {
        return held(format!(
            "{results} of {} installs reported",
            rules.gate_installs_min
        ));
    }
    let success = 100.0 * (1.0 - tally.new_failure_rate());
    if success < rules.gate_success_percent {
        return held(format!(
            "success {success:.1} % < {} %",
            rules.gate_success_percent
        ));
    }
    let (confidence, needed) = (
        tally.confidence(rules.gate_margin_percent / 100.0),
        100.0 / rules.gate_beta_percent,
    );
    if confidence < needed {
        return held(format!(
            "confidence {confidence:.1} < {needed:.1} that failures stay within {} points",
            rules.gate_margin_percent
        ));
    }
    let why = format!(
        "{} of {results} installs healthy ({success:.1} % ≥ {} %), confidence {confidence:.1} ≥ {needed:.1} \
         that failures stay within {} points",
        tally.new_healthy, rules.gate_success_percent, rules.gate_margin_percent
    );
    let next = rules
        .steps_percent
        .iter()
        .map(|percent| Share::from_percent(*percent))
        .find(|share| *share > rollout.share);
    match next {
        Some(share) => Step::Widen { share, why },
        None => Step::Finalise { why },
    }
}

impl Record for Rollout {
    const KIND: Kind = Kind::Rollout;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn indexes(&self) -> Vec<IndexEntry> {
        let mut entries = vec![IndexEntry::new("channel", &self.channel)];
        let to_judge = self.state == RolloutState::Finalised && !self.judged;
        if self.state.is_watched() || to_judge {
            entries.push(IndexEntry::new("open", &"rollout"));
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(state: RolloutState, share: Share) -> Rollout {
        let mut rollout = Rollout::new(
            ProjectId(1),
            &"r".parse().unwrap(),
            Version::new(1, 0, 1),
            Some(Version::new(1, 0, 0)),
            "stable",
            &RolloutRules::default(),
            Timestamp::UNIX_EPOCH,
        );
        rollout.state = state;
        rollout.share = share;
        rollout
    }

    fn later() -> Timestamp {
        Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1_000)
    }

    #[test]
    fn nothing_widens_without_results() {
        let canary = rollout(RolloutState::Canary, Share::from_percent(5));
        let step = plan(
            &canary,
            &Tally::default(),
            &RolloutRules::default(),
            later(),
        );
        assert!(matches!(step, Step::Hold { .. }), "{step:?}");
    }

    #[test]
    fn enough_good_results_widen_to_the_next_step() {
        let canary = rollout(RolloutState::Canary, Share::from_percent(1));
        let tally = Tally {
            new_healthy: 1_000,
            control_healthy: 9_000,
            ..Tally::default()
        };
        let step = plan(&canary, &tally, &RolloutRules::default(), later());
        assert!(
            matches!(step, Step::Widen { share, .. } if share > canary.share),
            "{step:?}"
        );
    }

    #[test]
    fn a_breach_halts_even_when_the_gate_would_pass_and_while_paused() {
        let mut tally = Tally {
            new_healthy: 1_000,
            ..Tally::default()
        };
        tally.weights = [10_000_000_000; 16];
        for state in [
            RolloutState::Canary,
            RolloutState::Ramping,
            RolloutState::Paused,
        ] {
            let step = plan(
                &rollout(state, Share::ALL),
                &tally,
                &RolloutRules::default(),
                later(),
            );
            assert!(matches!(step, Step::Halt { .. }), "{step:?}");
        }
    }
}
