//! How long to wait before the home is asked again.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause that we choose ourselves.
const LONGEST: Duration = Duration::from_mins(5);
/// The longest pause that a home may ask for.
const ASKED_MAX: Duration = Duration::from_hours(24);

/// The pause after so many failures in a row. What the home asks for is kept to, up to a day; otherwise it doubles from a second to
/// five minutes, and any length from half of that on is as likely, so that devices that failed together do not come back together.
/// `chance` is a uniform draw.
pub(super) fn pause(failures: u32, asked: Option<Duration>, chance: u32) -> Duration {
    if let Some(asked) = asked {
        return asked.min(ASKED_MAX);
    }
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let half = doubled.min(LONGEST) / 2;
    half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

/// The pause that an answer asks for: `Retry-After` in seconds (RFC 9110 §10.2.3). A date there is not read: the device's clock may
/// be wrong.
pub(super) fn asked(header: Option<&str>) -> Option<Duration> {
    header?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_bound_with_jitter_and_homes_are_obeyed() {
        let seconds = Duration::from_secs;
        assert_eq!(pause(1, None, u32::MAX), seconds(1));
        assert_eq!(pause(1, None, 0), seconds(1) / 2);
        assert_eq!(pause(4, None, u32::MAX), seconds(8));
        assert_eq!(pause(4, None, 0), seconds(4));
        for failures in [10, 100, u32::MAX] {
            assert_eq!(pause(failures, None, u32::MAX), seconds(300));
        }
        assert_eq!(pause(1, asked(Some(" 90 ")), 0), seconds(90));
        assert_eq!(pause(9, asked(Some("0")), 0), seconds(0));
        assert_eq!(pause(1, asked(Some("99999999999")), 0), ASKED_MAX);
        assert_eq!(asked(Some("Fri, 31 Dec 1999 23:59:59 GMT")), None);
        assert_eq!(asked(None), None);
    }
}
