//! Who runs what: limits that take a spec exactly where judging its draft finds nothing, and the order of offers.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use kinora_domain::{
    AspectRatio, Catalog, Draft, Feature, FeatureOffer, GenerationSpec, Offer, OfferId, Resolution, Seed,
    Source, SpecRules, Start,
};

fn url() -> Source {
    Source::Url("https://example.com/medium".to_owned())
}

fn drafts() -> Vec<Draft> {
    let prompt = || Draft {
        prompt: Some("Fog over a harbour".to_owned()),
        ..Draft::default()
    };
    let some = |count| vec![url(); count];
    let mut drafts = vec![
        prompt(),
        Draft {
            audio: Some(url()),
            ..prompt()
        },
        Draft {
            image: Some(url()),
            ..Draft::default()
        },
        Draft {
            image: Some(url()),
            end_image: Some(url()),
            ..Draft::default()
        },
        Draft {
            feature: Some("text-image".to_owned()),
            image: Some(url()),
            end_image: Some(url()),
            audio: Some(url()),
            ..Draft::default()
        },
        Draft {
            video: Some(url()),
            ..Draft::default()
        },
        Draft {
            video: Some(url()),
            end_image: Some(url()),
            ..Draft::default()
        },
        Draft {
            feature: Some("edit-video".to_owned()),
            video: Some(url()),
            ..prompt()
        },
        Draft {
            video: Some(url()),
            reference_image: Some(url()),
            ..prompt()
        },
    ];
    for (images, videos) in [(1, 0), (0, 1), (3, 2), (4, 2), (8, 8)] {
        drafts.push(Draft {
            reference_images: some(images),
            video_refs: some(videos),
            ..prompt()
        });
    }
    let further = |draft: &Draft| {
        [
            draft.clone(),
            Draft {
                resolution: Some("720p".to_owned()),
                aspect_ratio: Some("9:16".to_owned()),
                duration: Some(9),
                ..draft.clone()
            },
        ]
    };
    drafts.iter().flat_map(further).collect()
}

fn parse(draft: &Draft, limits: Option<&FeatureOffer>) -> Option<GenerationSpec> {
    let rules = SpecRules {
        offer: &|_| limits.cloned(),
        url_problem: &|_| None,
        drawn_seed: Seed::from_entropy(1),
    };
    GenerationSpec::parse(draft.clone(), &rules).ok()
}

type Narrow = fn(&mut FeatureOffer);

#[test]
fn limits_take_what_judging_takes() {
    let narrowings: [Narrow; 11] = [
        |_| {},
        |limits| limits.starts.retain(|start| *start == Start::Text),
        |limits| limits.starts.retain(|start| *start != Start::Text),
        |limits| limits.starts.retain(|start| *start != Start::ClipAndLastFrame),
        |limits| limits.resolutions = vec![Resolution::P720],
        |limits| limits.aspect_ratios = vec![AspectRatio::Wide],
        |limits| limits.duration_s_max = 8,
        |limits| limits.reference_images_max = limits.reference_images_max.min(3),
        |limits| limits.reference_videos_max = 0,
        |limits| limits.references_max = limits.references_max.min(5),
        |limits| limits.audio_input = false,
    ];
    let (mut taken, mut refused) = (0, 0);
    for draft in drafts() {
        let spec = parse(&draft, None).unwrap();
        for narrow in narrowings {
            let mut limits = FeatureOffer::documented(spec.feature);
            narrow(&mut limits);
            // References and edits start from one thing each, which no draft of theirs can lack.
            if limits.starts.is_empty() {
                continue;
            }
            let judged = parse(&draft, Some(&limits)).is_some();
            assert_eq!(limits.takes(&spec), judged, "{draft:?} within {limits:?}");
            if judged {
                taken += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(taken > 100 && refused > 20, "{taken} and {refused}");
}

fn id(name: &str) -> OfferId {
    OfferId(name.to_owned())
}

#[test]
fn offers_are_asked_in_order() {
    let far = Offer::unlimited("far", "");
    let mut short = Offer::unlimited("short", "");
    for limits in &mut short.features {
        limits.duration_s_max = 5;
    }
    let mut pictures = Offer::unlimited("pictures", "");
    pictures
        .features
        .retain(|limits| limits.feature == Feature::Frames);
    let offers = vec![short, far, pictures];

    let names = |catalog: &Catalog, feature| {
        let ids: Vec<String> = catalog.of(feature).map(|(id, _)| id.0.clone()).collect();
        ids.join(" ")
    };
    let plain = Catalog::new(offers.clone());
    assert_eq!(names(&plain, Feature::TextImage), "short far");
    assert_eq!(names(&plain, Feature::Frames), "short far pictures");

    let routed = Catalog::with_routes(offers, |feature| match feature {
        Feature::TextImage => vec![id("absent"), id("far"), id("short")],
        Feature::Frames => vec![id("pictures"), id("far"), id("short")],
        Feature::Reference => vec![id("far"), id("pictures")],
        Feature::EditVideo => Vec::new(),
    });
    assert_eq!(names(&routed, Feature::TextImage), "far short");
    assert_eq!(names(&routed, Feature::Frames), "pictures far short");
    assert_eq!(names(&routed, Feature::Reference), "far");
    assert_eq!(names(&routed, Feature::EditVideo), "");

    let frames = |duration| {
        let draft = Draft {
            feature: Some("frames".to_owned()),
            image: Some(url()),
            duration: Some(duration),
            ..Draft::default()
        };
        parse(&draft, None).unwrap()
    };
    let check = |spec: &GenerationSpec, current: &str, expected: Option<(&str, bool)>| {
        let next = routed.after(spec, &id(current));
        let found = next.as_ref().map(|next| (next.id.0.as_str(), next.is_again));
        assert_eq!(found, expected, "after {current}");
    };
    check(&frames(5), "pictures", Some(("far", false)));
    check(&frames(5), "far", Some(("short", false)));
    check(&frames(5), "short", Some(("pictures", true)));
    check(&frames(9), "far", Some(("pictures", true)));
    check(&frames(5), "absent", None);
    let references = Draft {
        prompt: Some("Image 1 waves".to_owned()),
        reference_images: vec![url()],
        ..Draft::default()
    };
    check(&parse(&references, None).unwrap(), "far", None);
}

#[test]
fn a_draft_is_judged_until_an_offer_takes_it() {
    let mut small = Offer::unlimited("small", "");
    for limits in &mut small.features {
        limits.duration_s_max = 5;
        limits.resolutions = vec![Resolution::P720];
        limits.audio_input = false;
    }
    let mut silent = Offer::unlimited("silent", "");
    silent
        .features
        .retain(|limits| limits.feature != Feature::EditVideo);
    for limits in &mut silent.features {
        limits.audio_input = false;
    }
    let check = |offers: &[&Offer], draft: &Draft, expected: Result<Option<&str>, &[&str]>| {
        let catalog = Catalog::new(offers.iter().map(|offer| (*offer).clone()).collect());
        match (catalog.judge(draft, &|_| None, Seed::from_entropy(1)), expected) {
            (Ok((_, found)), Ok(expected)) => assert_eq!(found.as_ref().map(|id| id.0.as_str()), expected),
            (Err(found), Err(expected)) => {
                let found: Vec<String> = found
                    .iter()
                    .map(|violation| format!("{} {}", violation.rule, violation.field))
                    .collect();
                assert_eq!(found, expected);
            }
            (found, expected) => panic!("{found:?}, but {expected:?} was expected"),
        }
    };
    let text = |duration, resolution: &str| Draft {
        prompt: Some("Fog".to_owned()),
        duration: Some(duration),
        resolution: Some(resolution.to_owned()),
        ..Draft::default()
    };
    let both = [&small, &silent];
    check(&both, &text(5, "720p"), Ok(Some("small")));
    check(&both, &text(9, "720p"), Ok(Some("silent")));
    check(
        &[&small],
        &text(9, "1080p"),
        Err(&["V-26 resolution", "V-26 duration"]),
    );
    check(&[], &text(9, "1080p"), Ok(None));
    let loud = Draft {
        audio: Some(url()),
        ..text(9, "1080p")
    };
    // The second lacks one thing, the first three.
    check(&both, &loud, Err(&["V-26 audio_url"]));
    let edit = Draft {
        feature: Some("edit-video".to_owned()),
        video: Some(url()),
        ..text(9, "1080p")
    };
    check(&[&silent], &edit, Ok(None));
    check(&both, &edit, Err(&["V-26 resolution", "V-26 duration"]));
    // What is wrong for everybody is told once.
    check(&both, &text(99, "720p"), Err(&["V-19 duration"]));
}
