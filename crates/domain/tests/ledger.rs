//! What must hold for any grants and any prices: nothing is overdrawn, nothing is lost, and everything that is given
//! back goes where it came from.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use kinora_domain::{
    Bucket, Credits, GrantId, Split, Timestamp,
    ledger::{Grant, Line, available, capture, hold, release, total},
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_000);

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let grant = (any::<bool>(), 0..500u64, proptest::option::of(500..2_000i64));
    proptest::collection::vec(grant, 0..8).prop_map(|rows| {
        let grants = rows
            .into_iter()
            .zip(0..)
            .map(|((permanent, available, expires_at), number)| Grant {
                id: GrantId::new(NOW, number),
                bucket: if permanent {
                    Bucket::Permanent
                } else {
                    Bucket::Subscription
                },
                available,
                expires_at: expires_at.map(Timestamp),
            });
        grants.collect()
    })
}

/// The grants after some lines were entered. Panics where one would be overdrawn.
fn entered(grants: &[Grant], lines: &[Line]) -> Vec<Grant> {
    let mut grants = grants.to_vec();
    for line in lines {
        let grant = grants.iter_mut().find(|grant| grant.id == line.grant).unwrap();
        assert_eq!(grant.bucket, line.bucket);
        grant.available = grant.available.checked_add_signed(line.amount).unwrap();
    }
    grants
}

proptest! {
    #[test]
    fn a_hold_takes_exactly_the_price_or_nothing(grants in grants(), price in 0..2_500u64) {
        let can_spend = available(&grants, NOW);
        match hold(&grants, Credits(price), NOW) {
            Ok(lines) => {
                prop_assert_eq!(total(&lines).total(), -(price as i64));
                prop_assert!(lines.iter().all(|line| line.amount < 0));
                let after = available(&entered(&grants, &lines), NOW);
                prop_assert_eq!(after, can_spend + total(&lines));
                prop_assert!(after.subscription >= 0 && after.permanent >= 0);
            }
            Err(short) => {
                prop_assert!((price as i64) > can_spend.total());
                prop_assert_eq!((short.price, short.available), (Credits(price), can_spend));
            }
        }
    }

    #[test]
    fn the_subscription_goes_first_and_what_ends_soonest(grants in grants(), price in 1..2_500u64) {
        let Ok(lines) = hold(&grants, Credits(price), NOW) else { return Ok(()) };
        let after = entered(&grants, &lines);
        let drawn = |grant: &Grant| lines.iter().any(|line| line.grant == grant.id);
        for (before, taken) in grants.iter().zip(&after).filter(|(before, _)| drawn(before)) {
            prop_assert!(before.is_live(NOW));
            // Whatever would have been due earlier is used up.
            let earlier = |other: &&Grant| {
                let key = |grant: &Grant| (grant.bucket, grant.expires_at.unwrap_or(Timestamp(i64::MAX)));
                other.is_live(NOW) && key(other) < key(taken)
            };
            prop_assert!(after.iter().filter(earlier).all(|other| other.available == 0));
        }
    }

    #[test]
    fn a_release_undoes_the_hold(grants in grants(), price in 1..2_500u64) {
        let Ok(lines) = hold(&grants, Credits(price), NOW) else { return Ok(()) };
        prop_assert_eq!(total(&lines) + total(&release(&lines)), Split::ZERO);
        prop_assert_eq!(entered(&entered(&grants, &lines), &release(&lines)), grants);
    }

    #[test]
    fn a_capture_frees_exactly_the_surplus(grants in grants(), price in 1..2_500u64, charged in 0..3_000u64) {
        let Ok(held) = hold(&grants, Credits(price), NOW) else { return Ok(()) };
        let freed = capture(&held, Credits(charged));
        prop_assert_eq!(total(&freed).total(), price.saturating_sub(charged) as i64);
        prop_assert!(freed.iter().all(|line| line.amount > 0));
        // No grant gets more than it gave, and what is left of the hold is the charge, the cheapest credits first.
        for line in &freed {
            let gave = held.iter().find(|taken| taken.grant == line.grant).unwrap();
            prop_assert!(line.amount <= -gave.amount);
        }
        let smaller = hold(&grants, Credits(charged.min(price)), NOW).unwrap();
        let after_both = entered(&entered(&grants, &held), &freed);
        prop_assert_eq!(after_both, entered(&grants, &smaller));
    }
}

#[test]
fn an_ended_grant_is_not_drawn_on() {
    let grant = |number, expires_at: Option<i64>| Grant {
        id: GrantId::new(NOW, number),
        bucket: Bucket::Permanent,
        available: 10,
        expires_at: expires_at.map(Timestamp),
    };
    let check = |expires_at, taken: bool| {
        assert_eq!(
            hold(&[grant(1, expires_at)], Credits(10), NOW).is_ok(),
            taken,
            "{expires_at:?}"
        );
    };
    check(None, true);
    check(Some(1_001), true);
    check(Some(1_000), false);
    check(Some(999), false);
}
