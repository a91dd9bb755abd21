//! What an installation offers follows from who was heard of, and when.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use kinora_domain::{
    AnnouncedOffer, Announcement, Feature, Hardware, Offer, OfferFigures, OfferId, Published, SeenOffer,
    SeenWorker, Silence, Start, Timestamp, WorkerId, WorkerState,
};

const NOW: Timestamp = Timestamp(1_000_000_000);
const SILENCE: Silence = Silence {
    lease_ms: 15_000,
    offers_ms: 3_600_000,
};

fn offer(id: &str) -> AnnouncedOffer {
    AnnouncedOffer {
        offer: Offer::unlimited(id, "For tests."),
        section: "engine".to_owned(),
    }
}

fn worker(offers: Vec<AnnouncedOffer>, silent_ms: u64) -> SeenWorker {
    SeenWorker {
        announcement: Announcement {
            id: WorkerId::new(NOW, 1),
            name: "one".to_owned(),
            version: "1".to_owned(),
            offers,
            slots: 1,
            hardware: Hardware::default(),
            started_at: NOW,
        },
        state: WorkerState::Working,
        seen_at: NOW.minus_ms(silent_ms),
        running: Vec::new(),
    }
}

fn published(own: &[AnnouncedOffer], workers: &[SeenWorker], offers: &[SeenOffer]) -> Published {
    Published::new(own, workers, offers, SILENCE, NOW, |_, offers| {
        offers
            .iter()
            .map(|announced| announced.offer.id.clone())
            .collect()
    })
}

/// Whom a text request would go to, in order: all that is published, and what is living of it.
#[track_caller]
fn check(published: &Published, all: &[&str], living: &[&str]) {
    let names = |catalog: &kinora_domain::Catalog| -> Vec<String> {
        catalog
            .of(Feature::TextImage)
            .map(|(id, _)| id.to_string())
            .collect()
    };
    assert_eq!(names(&published.catalog), all);
    assert_eq!(names(&published.living), living);
}

#[test]
fn offers_stay_for_a_while_behind_those_that_can_be_run() {
    let seen = |id, silent_ms| SeenOffer {
        announced: offer(id),
        seen_at: NOW.minus_ms(silent_ms),
    };
    check(&published(&[], &[], &[]), &[], &[]);
    check(&published(&[offer("own")], &[], &[]), &["own"], &["own"]);
    check(
        &published(
            &[],
            &[worker(vec![offer("z")], 15_000), worker(vec![offer("y")], 15_001)],
            &[
                seen("z", 15_000),
                seen("y", 15_001),
                seen("b", 3_600_000),
                seen("a", 3_600_001),
            ],
        ),
        &["z", "b", "y"],
        &["z"],
    );
}

#[test]
fn what_several_call_by_one_name_is_what_all_can_do() {
    let mut short = offer("same");
    for feature in &mut short.offer.features {
        feature.duration_s_max = 4;
        feature.audio_input = false;
    }
    let mut texts = offer("same");
    texts
        .offer
        .features
        .retain(|feature| feature.feature == Feature::TextImage);
    texts.offer.features[0].starts = vec![Start::Text];
    let both = published(&[], &[worker(vec![short], 0), worker(vec![texts], 0)], &[]);
    let limits: Vec<_> = both
        .catalog
        .of(Feature::TextImage)
        .map(|(_, limits)| limits)
        .collect();
    assert_eq!(limits.len(), 1);
    assert_eq!(
        (
            &limits[0].starts[..],
            limits[0].duration_s_max,
            limits[0].audio_input
        ),
        (&[Start::Text][..], 4, false)
    );
    assert_eq!(both.catalog.of(Feature::Reference).count(), 0);

    let mut edits = offer("same");
    edits
        .offer
        .features
        .retain(|feature| feature.feature == Feature::EditVideo);
    let none = published(&[], &[worker(vec![both_texts()], 0), worker(vec![edits], 0)], &[]);
    assert!(
        Feature::ALL
            .iter()
            .all(|feature| none.catalog.of(*feature).count() == 0)
    );
}

fn both_texts() -> AnnouncedOffer {
    let mut texts = offer("same");
    texts
        .offer
        .features
        .retain(|feature| feature.feature == Feature::TextImage);
    texts
}

#[test]
fn work_that_nobody_has_measured_counts_all_the_same() {
    let check = |queued, work_ms, expected| {
        let figures = OfferFigures {
            queued,
            work_ms,
            ..OfferFigures::none(OfferId("wan".to_owned()))
        };
        assert_eq!(figures.queue_ms(), expected);
    };
    check(0, None, 0);
    check(2, None, 120_000);
    check(3, Some(1_500), 4_500);
    check(u64::MAX, Some(2), u64::MAX);
}
