//! When a client is told again: the schedule of a webhook delivery that fails.

use crate::time::Timestamp;

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// The waits between the tries of one delivery, in milliseconds: ten tries in about 75.6 hours.
const WAITS_MS: [u64; 9] = [
    5 * 1000,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * HOUR_MS,
    5 * HOUR_MS,
    10 * HOUR_MS,
    14 * HOUR_MS,
    20 * HOUR_MS,
    24 * HOUR_MS,
];

/// When a delivery is tried again whose `failed`th try (1 is the first) failed at `at`; `None` once it is given up.
///
/// `jitter` from 0 to 1 spreads each wait over 90 to 110 % of its length, so that the deliveries of one bad minute
/// do not all come back in the same second.
pub fn next_try(failed: u32, at: Timestamp, jitter: f64) -> Option<Timestamp> {
    let index = usize::try_from(failed.checked_sub(1)?).ok()?;
    let wait_ms = *WAITS_MS.get(index)? as f64;
    let spread = 0.9 + 0.2 * jitter.clamp(0.0, 1.0);
    Some(at.plus_ms((wait_ms * spread) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_tries_in_three_days() {
        let (mut at, mut tries) = (Timestamp(0), 1);
        while let Some(next) = next_try(tries, at, 0.5) {
            assert!(next > at);
            (at, tries) = (next, tries + 1);
        }
        assert_eq!(tries, 10);
        let hours = at.0 as f64 / HOUR_MS as f64;
        assert!((75.5..75.7).contains(&hours), "{hours}");
    }

    #[test]
    fn waits_are_spread() {
        let wait = |jitter| next_try(1, Timestamp(0), jitter).map(|at| at.0);
        assert_eq!(
            [wait(0.0), wait(0.5), wait(1.0)],
            [Some(4500), Some(5000), Some(5500)]
        );
    }
}
