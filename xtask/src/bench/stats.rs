//! What is said about a series of measurements.

use std::time::Duration;

/// The smallest measurement that at least `percent` of all do not exceed (nearest rank); zero of none.
pub(crate) fn percentile(measured: &[Duration], percent: usize) -> Duration {
    let mut sorted = measured.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// Milliseconds with two digits after the point, which is what a loaded machine repeats.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(milliseconds: &[u64]) -> Vec<Duration> {
        milliseconds
            .iter()
            .copied()
            .map(Duration::from_millis)
            .collect()
    }

    #[test]
    fn percentiles_are_measured_values_in_whatever_order_they_came() {
        let ten = all(&[10, 1, 9, 2, 8, 3, 7, 4, 6, 5]);
        assert_eq!(percentile(&ten, 50), Duration::from_millis(5));
        assert_eq!(percentile(&ten, 90), Duration::from_millis(9));
        assert_eq!(percentile(&ten, 100), Duration::from_millis(10));
        assert_eq!(percentile(&all(&[7]), 50), Duration::from_millis(7));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn milliseconds_keep_two_digits() {
        let shown = milliseconds(Duration::from_micros(12_346));
        assert!((shown - 12.35).abs() < 1e-9, "{shown}");
    }
}
