//! Prices of the contract's examples, and of what lies around them.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use kinora_domain::{
    BlobHash, ClipLengths, Draft, GenerationSpec, Origin, PriceTable, Seed, Source, SpecRules, StoredInput,
};

const PRICES: PriceTable = PriceTable {
    credits_per_second_720p: 10,
    credits_per_second_1080p: 15,
    billed_input_ms_max: None,
};

fn spec(draft: Draft) -> GenerationSpec {
    let rules = SpecRules {
        offer: &|_| None,
        url_problem: &|_| None,
        drawn_seed: Seed::from_entropy(1),
    };
    GenerationSpec::parse(draft, &rules).unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn url() -> Source {
    Source::Url("https://media.example/x".to_owned())
}

fn upload(duration_ms: u64) -> Source {
    Source::Stored(StoredInput {
        blob: BlobHash([1; 32]),
        origin: Origin::Upload {
            file_name: "clip.mp4".to_owned(),
        },
        duration_ms: Some(duration_ms),
    })
}

fn text(resolution: &str, duration: i64) -> Draft {
    Draft {
        prompt: some("a boat"),
        resolution: some(resolution),
        duration: Some(duration),
        ..Draft::default()
    }
}

fn edit(resolution: &str, duration: i64, clip: Source) -> Draft {
    Draft {
        feature: some("edit-video"),
        video: Some(clip),
        ..text(resolution, duration)
    }
}

/// What `draft` costs as it stands, and whether that is exact.
fn check(draft: Draft, credits: u64, exact: bool) {
    check_with(&PRICES, draft, credits, exact);
}

fn check_with(prices: &PriceTable, draft: Draft, credits: u64, exact: bool) {
    let spec = spec(draft);
    let billable = prices.price(&spec, &ClipLengths::of(&spec));
    assert_eq!(
        (billable.credits.0, billable.exact),
        (credits, exact),
        "{spec:?}: {billable:?}"
    );
}

#[test]
fn the_examples_of_the_contract() {
    check(text("720p", 5), 50, true);
    check(text("1080p", 5), 75, true);
    check(edit("1080p", 0, upload(5_020)), 151, true);
    check(
        Draft {
            video_refs: vec![upload(5_000)],
            ..text("720p", 10)
        },
        150,
        true,
    );
    check(edit("1080p", 0, url()), 300, false);
}

#[test]
fn images_and_sound_cost_nothing() {
    check(
        Draft {
            image: Some(url()),
            audio: Some(url()),
            ..text("720p", 5)
        },
        50,
        true,
    );
    check(
        Draft {
            image: Some(url()),
            end_image: Some(url()),
            ..text("720p", 5)
        },
        50,
        true,
    );
    check(
        Draft {
            reference_images: vec![url(); 8],
            ..text("720p", 5)
        },
        50,
        true,
    );
}

#[test]
fn a_continuation_pays_for_the_whole() {
    check(
        Draft {
            video: Some(upload(3_000)),
            ..text("720p", 15)
        },
        150,
        true,
    );
    check(
        Draft {
            video: Some(url()),
            ..text("720p", 15)
        },
        150,
        true,
    );
}

#[test]
fn an_edit_pays_for_what_it_uses_twice() {
    check(edit("720p", 2, upload(8_000)), 40, true);
    check(edit("720p", 10, upload(4_000)), 80, true);
    check(edit("720p", 2, url()), 40, false);
    // 2 × 2,001 ms at 10 a second are 40.02 credits.
    check(edit("720p", 0, upload(2_001)), 41, true);
    check(
        Draft {
            n: Some(4),
            ..edit("720p", 0, upload(2_001))
        },
        4 * 41,
        true,
    );
}

#[test]
fn references_pay_for_every_video() {
    let references = |videos: Vec<Source>| Draft {
        video_refs: videos,
        ..text("720p", 5)
    };
    check(references(vec![upload(1_000), upload(2_500)]), 85, true);
    check(references(vec![upload(1_000), url()]), 50 + 10 + 300, false);
    check(references(vec![url(), url()]), 650, false);
}

#[test]
fn a_cap_on_input_spares_the_output() {
    let capped = PriceTable {
        billed_input_ms_max: Some(5_000),
        ..PRICES
    };
    check_with(&capped, edit("720p", 0, upload(8_000)), 50 + 80, true);
    check_with(&capped, edit("720p", 0, upload(3_000)), 60, true);
    check_with(
        &capped,
        Draft {
            video_refs: vec![url(); 8],
            ..text("720p", 10)
        },
        150,
        false,
    );
}

#[test]
fn a_length_learned_later_lowers_the_price() {
    let spec = spec(Draft {
        video_refs: vec![url(), url()],
        ..text("720p", 5)
    });
    let lengths = ClipLengths {
        clip_ms: None,
        reference_ms: vec![Some(1_000), Some(2_500)],
    };
    let billable = PRICES.price(&spec, &lengths);
    assert_eq!((billable.credits.0, billable.exact), (85, true));
}
