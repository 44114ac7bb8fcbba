//! Who gets a release first: sticky, monotone cohorts from one hash.
//!
//! A device's place on the line from 0 to 1 is the first 8 bytes of SHA-256(salt ‖ 0x00 ‖ device) over
//! 2^64. A share takes the bottom of the line, the holdout the top. The salt is kept for the whole life
//! of a rollout, pauses included, so raising the share only ever adds devices.

use crate::id::DeviceId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A part of a fleet, in millionths.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Share(u32);

impl Share {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(1_000_000);

    /// A share in millionths; more than everybody is everybody.
    pub fn from_ppm(ppm: u32) -> Self {
        Self(ppm.min(Self::ALL.0))
    }

    /// A share in percent; more than 100 is 100.
    pub fn from_percent(percent: u32) -> Self {
        Self::from_ppm(percent.saturating_mul(10_000))
    }

    /// The share in millionths.
    pub fn ppm(self) -> u32 {
        self.0
    }

    /// The share between 0 and 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL.0)
    }

    /// What is left.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(Self::ALL.0 - self.0)
    }

    /// The end of this share on the line of 2^64 places.
    fn end(self) -> u128 {
        (u128::from(self.0) << 64) / u128::from(Self::ALL.0)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} %", f64::from(self.0) / 10_000.0)
    }
}

/// The side of the comparison a device is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// Is offered the release.
    New,
    /// Stays on the version before, for now or to the end.
    Control,
}

/// A device's place on the line.
fn place(salt: &str, device: &DeviceId) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(salt.as_bytes());
    hasher.update([0]);
    hasher.update(device.as_str().as_bytes());
    hasher
        .finalize()
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// The arm of a device. The holdout wins over the share where they overlap.
pub fn arm(salt: &str, device: &DeviceId, share: Share, holdout: Share) -> Arm {
    let place = u128::from(place(salt, device));
    if place < share.end() && place < holdout.rest().end() {
        Arm::New
    } else {
        Arm::Control
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_larger_share_only_adds_devices(name in "[a-z0-9]{1,20}", a in 0u32..=1_000_000, b in 0u32..=1_000_000) {
            let device: DeviceId = name.parse().unwrap();
            let (small, large) = (Share::from_ppm(a.min(b)), Share::from_ppm(a.max(b)));
            if arm("salt", &device, small, Share::NONE) == Arm::New {
                prop_assert_eq!(arm("salt", &device, large, Share::NONE), Arm::New);
            }
        }

        #[test]
        fn the_holdout_is_never_new(name in "[a-z0-9]{1,20}", holdout in 0u32..=1_000_000) {
            let device: DeviceId = name.parse().unwrap();
            let holdout = Share::from_ppm(holdout);
            let in_holdout = u128::from(place("salt", &device)) >= holdout.rest().end();
            if in_holdout {
                prop_assert_eq!(arm("salt", &device, Share::ALL, holdout), Arm::Control);
            }
        }
    }

    #[test]
    fn nobody_and_everybody_are_exact() {
        for number in 0..1_000 {
            let device: DeviceId = format!("d{number}").parse().unwrap();
            assert_eq!(arm("s", &device, Share::NONE, Share::NONE), Arm::Control);
            assert_eq!(arm("s", &device, Share::ALL, Share::NONE), Arm::New);
        }
    }

    #[test]
    fn a_share_is_close_to_what_it_says() {
        let share = Share::from_percent(20);
        let new = (0..10_000)
            .filter(|number| {
                let device: DeviceId = format!("device-{number}").parse().unwrap();
                arm("rollout", &device, share, Share::NONE) == Arm::New
            })
            .count();
        assert!((1_850..=2_150).contains(&new), "{new}");
    }
}
