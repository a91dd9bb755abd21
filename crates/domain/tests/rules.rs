//! The rules V-01 to V-28 (without those that need media or the network), each both ways: what is refused is refused
//! by that rule and for that member, and what lies just inside is taken.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use kinora_domain::{
    AspectRatio, AudioSetting, BlobHash, Draft, Feature, FeatureOffer, GenerationSpec, Origin, Resolution,
    Seed, Source, SpecRules, Start, StoredInput, Workflow,
};

const DRAWN: u32 = 4711;

fn parse_with(
    draft: Draft,
    offer: &dyn Fn(Feature) -> Option<FeatureOffer>,
) -> Result<GenerationSpec, Vec<String>> {
    let rules = SpecRules {
        offer,
        url_problem: &|url| {
            url.starts_with("ftp:")
                .then(|| "is not an absolute http or https URL".to_owned())
        },
        drawn_seed: Seed::from_entropy(DRAWN),
    };
    GenerationSpec::parse(draft, &rules).map_err(|violations| {
        violations
            .into_iter()
            .map(|violation| format!("{} {}", violation.rule, violation.field))
            .collect()
    })
}

fn parse(draft: Draft) -> Result<GenerationSpec, Vec<String>> {
    parse_with(draft, &|_| None)
}

fn accepted(draft: Draft) -> GenerationSpec {
    parse(draft.clone()).unwrap_or_else(|refused| panic!("{draft:?} is refused by {refused:?}"))
}

fn refused(draft: Draft, expected: &[&str]) {
    assert_eq!(
        parse(draft.clone()).expect_err(&format!("{draft:?}")),
        expected,
        "{draft:?}"
    );
}

fn url() -> Option<Source> {
    Some(Source::Url("https://media.example/x".to_owned()))
}

fn urls(count: usize) -> Vec<Source> {
    url().into_iter().cycle().take(count).collect()
}

fn clip(duration_ms: u64) -> Option<Source> {
    Some(Source::Stored(StoredInput {
        blob: BlobHash([7; 32]),
        origin: Origin::Upload {
            file_name: "clip.mp4".to_owned(),
        },
        duration_ms: Some(duration_ms),
    }))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A valid draft of each workflow.
fn text() -> Draft {
    Draft {
        prompt: some("a boat"),
        ..Draft::default()
    }
}
fn image() -> Draft {
    Draft {
        image: url(),
        ..Draft::default()
    }
}
fn frames() -> Draft {
    Draft {
        image: url(),
        end_image: url(),
        ..Draft::default()
    }
}
fn continuation() -> Draft {
    Draft {
        video: url(),
        ..Draft::default()
    }
}
fn reference() -> Draft {
    Draft {
        reference_images: urls(1),
        ..text()
    }
}
fn edit() -> Draft {
    Draft {
        feature: some("edit-video"),
        video: url(),
        ..text()
    }
}

#[test]
fn v01_feature_is_one_of_four() {
    for feature in Feature::ALL {
        let draft = match feature {
            Feature::TextImage => text(),
            Feature::Frames => frames(),
            Feature::Reference => reference(),
            Feature::EditVideo => edit(),
        };
        assert_eq!(
            accepted(Draft {
                feature: some(feature.as_str()),
                ..draft
            })
            .feature,
            feature
        );
    }
    for wrong in ["", "Frames", "edit", "text-image "] {
        refused(
            Draft {
                feature: some(wrong),
                ..text()
            },
            &["V-01 feature"],
        );
    }
}

#[test]
fn v02_prompt_has_1_to_5000_characters() {
    for right in ["x".to_owned(), "é".repeat(5000), " x ".to_owned()] {
        assert_eq!(
            accepted(Draft {
                prompt: Some(right.clone()),
                ..Draft::default()
            })
            .prompt,
            Some(right)
        );
    }
    refused(
        Draft {
            prompt: some(""),
            ..Draft::default()
        },
        &["V-02 prompt"],
    );
    refused(
        Draft {
            prompt: Some("é".repeat(5001)),
            ..Draft::default()
        },
        &["V-02 prompt"],
    );
    refused(
        Draft {
            prompt: some(""),
            ..image()
        },
        &["V-02 prompt"],
    );
}

#[test]
fn v03_negative_prompt_has_at_most_500_characters() {
    let right = "é".repeat(500);
    assert_eq!(
        accepted(Draft {
            negative_prompt: Some(right.clone()),
            ..text()
        })
        .negative_prompt,
        Some(right)
    );
    assert_eq!(
        accepted(Draft {
            negative_prompt: some(""),
            ..text()
        })
        .negative_prompt,
        None
    );
    refused(
        Draft {
            negative_prompt: Some("é".repeat(501)),
            ..text()
        },
        &["V-03 negative_prompt"],
    );
}

#[test]
fn v04_reference_and_edit_need_a_prompt() {
    accepted(reference());
    accepted(edit());
    for prompt in [None, some(" \n\t")] {
        refused(
            Draft {
                prompt: prompt.clone(),
                ..reference()
            },
            &["V-04 prompt"],
        );
        refused(Draft { prompt, ..edit() }, &["V-04 prompt"]);
    }
}

#[test]
fn v05_text_alone_needs_a_prompt() {
    for draft in [image(), frames(), continuation()] {
        assert_eq!(
            accepted(Draft {
                prompt: some("  "),
                ..draft
            })
            .prompt,
            None
        );
    }
    refused(Draft::default(), &["V-05 prompt"]);
    refused(
        Draft {
            prompt: some("   "),
            ..Draft::default()
        },
        &["V-05 prompt"],
    );
    refused(
        Draft {
            audio: url(),
            ..Draft::default()
        },
        &["V-05 prompt"],
    );
}

#[test]
fn v06_urls_are_http_and_not_too_long() {
    let at = |url: String| Some(Source::Url(url));
    let long = |chars: usize| format!("https://h/{}", "é".repeat(chars - 10));
    accepted(Draft {
        image: at(long(8192)),
        ..Draft::default()
    });
    refused(
        Draft {
            image: at(long(8193)),
            ..Draft::default()
        },
        &["V-06 image_url"],
    );
    refused(
        Draft {
            image: at("ftp://h/x".to_owned()),
            ..Draft::default()
        },
        &["V-06 image_url"],
    );
    refused(
        Draft {
            video: at("data:video/mp4;base64,AA".to_owned()),
            ..Draft::default()
        },
        &["V-06 video_url"],
    );
    refused(
        Draft {
            audio: at("data:audio/wav;base64,AA".to_owned()),
            ..text()
        },
        &["V-06 audio_url"],
    );
    let mut several = Draft {
        reference_images: urls(2),
        video_refs: urls(3),
        duration: Some(5),
        ..text()
    };
    several.reference_images[1] = Source::Url("ftp://h/x".to_owned());
    several.video_refs[2] = Source::Url("ftp://h/x".to_owned());
    refused(several, &["V-06 reference_image_urls[1]", "V-06 video_refs[2]"]);
}

#[test]
fn empty_urls_are_absent() {
    let empty = || Some(Source::Url(String::new()));
    let form = Draft {
        image: empty(),
        end_image: empty(),
        video: empty(),
        reference_image: empty(),
        audio: empty(),
        reference_images: vec![Source::Url(String::new())],
        video_refs: vec![Source::Url(String::new())],
        ..text()
    };
    assert_eq!(accepted(form).workflow, Workflow::Text { audio: None });
}

#[test]
fn v07_an_image_and_a_clip_exclude_each_other() {
    for feature in [None, some("text-image"), some("frames")] {
        accepted(Draft {
            feature: feature.clone(),
            ..image()
        });
        accepted(Draft {
            feature: feature.clone(),
            ..continuation()
        });
        refused(
            Draft {
                feature,
                video: url(),
                ..image()
            },
            &["V-07 video_url"],
        );
    }
    refused(
        Draft {
            video: url(),
            ..frames()
        },
        &["V-07 video_url"],
    );
}

#[test]
fn v08_a_last_frame_needs_something_before_it() {
    accepted(frames());
    accepted(Draft {
        end_image: url(),
        ..continuation()
    });
    accepted(Draft {
        feature: some("text-image"),
        ..frames()
    });
    refused(
        Draft {
            feature: some("text-image"),
            end_image: url(),
            ..text()
        },
        &["V-08 end_image_url"],
    );
    refused(
        Draft {
            end_image: url(),
            ..text()
        },
        &["V-08 end_image_url", "V-09 image_url"],
    );
}

#[test]
fn v09_frames_need_an_image_or_a_clip() {
    accepted(Draft {
        feature: some("frames"),
        ..image()
    });
    accepted(Draft {
        feature: some("frames"),
        ..continuation()
    });
    refused(
        Draft {
            feature: some("frames"),
            ..text()
        },
        &["V-09 image_url"],
    );
}

#[test]
fn v10_reference_needs_a_reference() {
    accepted(Draft {
        video_refs: urls(1),
        ..text()
    });
    refused(
        Draft {
            feature: some("reference"),
            ..text()
        },
        &["V-10 reference_image_urls"],
    );
}

#[test]
fn v11_arrays_have_at_most_8_items() {
    accepted(Draft {
        reference_images: urls(8),
        video_refs: urls(8),
        ..text()
    });
    refused(
        Draft {
            reference_images: urls(9),
            ..text()
        },
        &["V-11 reference_image_urls"],
    );
    refused(
        Draft {
            reference_images: urls(9),
            video_refs: urls(9),
            ..text()
        },
        &["V-11 reference_image_urls", "V-11 video_refs"],
    );
    refused(
        Draft {
            reference_images: urls(9),
            ..edit()
        },
        &["V-11 reference_image_urls"],
    );
}

#[test]
fn v12_reference_takes_no_other_media() {
    let explicit = || Draft {
        feature: some("reference"),
        ..reference()
    };
    accepted(explicit());
    refused(
        Draft {
            image: url(),
            ..reference()
        },
        &["V-12 image_url"],
    );
    refused(
        Draft {
            end_image: url(),
            ..reference()
        },
        &["V-12 end_image_url"],
    );
    refused(
        Draft {
            video: url(),
            ..explicit()
        },
        &["V-12 video_url"],
    );
    refused(
        Draft {
            reference_image: url(),
            ..explicit()
        },
        &["V-12 reference_image_url"],
    );
    refused(
        Draft {
            audio: url(),
            ..reference()
        },
        &["V-12 audio_url"],
    );
}

#[test]
fn v13_edit_needs_a_clip() {
    refused(
        Draft {
            video: None,
            ..edit()
        },
        &["V-13 video_url"],
    );
    refused(
        Draft {
            video: None,
            reference_image: url(),
            ..edit()
        },
        &["V-13 video_url"],
    );
}

#[test]
fn v14_edit_takes_no_other_media() {
    accepted(Draft {
        reference_image: url(),
        ..edit()
    });
    accepted(Draft {
        reference_images: urls(3),
        ..edit()
    });
    refused(
        Draft {
            image: url(),
            ..edit()
        },
        &["V-14 image_url"],
    );
    refused(
        Draft {
            end_image: url(),
            ..edit()
        },
        &["V-14 end_image_url"],
    );
    refused(
        Draft {
            video_refs: urls(1),
            ..edit()
        },
        &["V-14 video_refs"],
    );
    refused(
        Draft {
            audio: url(),
            ..edit()
        },
        &["V-14 audio_url"],
    );
}

#[test]
fn v15_references_belong_to_reference_and_edit() {
    for feature in ["text-image", "frames"] {
        let explicit = || Draft {
            feature: some(feature),
            ..image()
        };
        accepted(explicit());
        refused(
            Draft {
                reference_images: urls(1),
                ..explicit()
            },
            &["V-15 reference_image_urls"],
        );
        refused(
            Draft {
                reference_image: url(),
                ..explicit()
            },
            &["V-15 reference_image_url"],
        );
        refused(
            Draft {
                video_refs: urls(1),
                ..explicit()
            },
            &["V-15 video_refs"],
        );
    }
    refused(
        Draft {
            reference_image: url(),
            ..text()
        },
        &["V-15 reference_image_url"],
    );
    refused(
        Draft {
            video_refs: urls(1),
            ..continuation()
        },
        &["V-15 video_refs"],
    );
}

#[test]
fn what_inference_cannot_make_legal_says_what_to_send() {
    let check = |draft: Draft, hint: &str| {
        let rules = SpecRules {
            offer: &|_| None,
            url_problem: &|_| None,
            drawn_seed: Seed::from_entropy(DRAWN),
        };
        let violations = GenerationSpec::parse(draft, &rules).unwrap_err();
        assert!(violations[0].message.contains(hint), "{}", violations[0]);
    };
    check(
        Draft {
            video_refs: urls(1),
            ..continuation()
        },
        "send feature explicitly",
    );
    check(
        Draft {
            video_refs: urls(1),
            ..continuation()
        },
        "cannot be both continued and referenced",
    );
    check(
        Draft {
            reference_image: url(),
            ..text()
        },
        "use reference_image_urls, or add video_url",
    );
    check(
        Draft {
            video: url(),
            reference_image: url(),
            end_image: url(),
            ..text()
        },
        "drop end_image_url",
    );
    check(
        Draft {
            image: url(),
            ..reference()
        },
        "drop image_url",
    );
}

#[test]
fn v16_a_clip_has_its_own_sound() {
    accepted(Draft {
        audio: url(),
        ..text()
    });
    accepted(Draft {
        audio: url(),
        ..image()
    });
    accepted(Draft {
        audio: url(),
        ..frames()
    });
    refused(
        Draft {
            audio: url(),
            ..continuation()
        },
        &["V-16 audio_url"],
    );
    refused(
        Draft {
            audio: url(),
            end_image: url(),
            ..continuation()
        },
        &["V-16 audio_url"],
    );
}

#[test]
fn v17_aspect_ratio_is_one_of_five() {
    for aspect_ratio in AspectRatio::ALL {
        let draft = Draft {
            aspect_ratio: some(aspect_ratio.as_str()),
            ..text()
        };
        assert_eq!(accepted(draft).aspect_ratio, Some(aspect_ratio));
    }
    for wrong in ["", "21:9", "16/9", "16:9 "] {
        refused(
            Draft {
                aspect_ratio: some(wrong),
                ..text()
            },
            &["V-17 aspect_ratio"],
        );
    }
}

#[test]
fn v18_resolution_is_one_of_two() {
    for resolution in Resolution::ALL {
        let draft = Draft {
            resolution: some(resolution.as_str()),
            ..text()
        };
        assert_eq!(accepted(draft).resolution, resolution);
    }
    for wrong in ["", "480p", "1080P", "1080"] {
        refused(
            Draft {
                resolution: some(wrong),
                ..text()
            },
            &["V-18 resolution"],
        );
    }
}

#[test]
fn v19_duration_is_in_the_workflows_range() {
    let check = |draft: fn() -> Draft, range: std::ops::RangeInclusive<i64>, besides: &[i64]| {
        for duration in -1..=20 {
            let draft = Draft {
                duration: Some(duration),
                ..draft()
            };
            if range.contains(&duration) || besides.contains(&duration) {
                assert_eq!(i64::from(accepted(draft).duration_s), duration);
            } else {
                refused(draft, &["V-19 duration"]);
            }
        }
        for duration in [i64::MIN, 256 + 5, i64::MAX] {
            refused(
                Draft {
                    duration: Some(duration),
                    ..draft()
                },
                &["V-19 duration"],
            );
        }
    };
    check(text, 2..=15, &[]);
    check(image, 2..=15, &[]);
    check(frames, 2..=15, &[]);
    check(continuation, 2..=15, &[]);
    check(reference, 2..=15, &[]);
    check(edit, 2..=10, &[0]);
}

#[test]
fn v20_reference_videos_shorten_the_range() {
    let with_video = |duration| Draft {
        video_refs: urls(1),
        duration: Some(duration),
        ..reference()
    };
    for duration in 2..=10 {
        accepted(with_video(duration));
    }
    for duration in 11..=15 {
        refused(with_video(duration), &["V-20 duration"]);
    }
    for duration in [0, 1, 16] {
        refused(with_video(duration), &["V-19 duration"]);
    }
}

#[test]
fn v21_a_continuation_is_longer_than_its_clip() {
    let check = |clip_ms, duration, taken: bool| {
        for feature in [None, some("frames")] {
            let draft = Draft {
                feature,
                video: clip(clip_ms),
                duration,
                ..Draft::default()
            };
            match taken {
                true => drop(accepted(draft)),
                false => refused(draft, &["V-21 duration"]),
            }
        }
    };
    check(4_999, Some(5), true);
    check(5_000, Some(5), false);
    check(5_001, Some(5), false);
    check(4_999, None, true);
    check(5_000, None, false);
    check(10_000, Some(11), true);
    // In an edit the number only says how much of the clip is used.
    accepted(Draft {
        video: clip(8_000),
        duration: Some(2),
        ..edit()
    });
}

#[test]
fn v21_names_the_clips_length_and_what_would_do() {
    let check = |clip_ms, duration_s, expected: Option<&str>| {
        assert_eq!(
            kinora_domain::spec::clip_too_long(clip_ms, duration_s).as_deref(),
            expected
        );
    };
    check(2_999, 3, None);
    check(
        5_020,
        5,
        Some("5 is the length of the whole video and must exceed the clip's 5.02 s; send at least 6"),
    );
    check(
        5_000,
        5,
        Some("5 is the length of the whole video and must exceed the clip's 5.00 s; send at least 6"),
    );
}

#[test]
fn v22_several_shots_are_for_reference() {
    for draft in [text(), image(), frames(), continuation(), edit()] {
        accepted(Draft {
            multi_shots: Some(false),
            ..draft.clone()
        });
        refused(
            Draft {
                multi_shots: Some(true),
                ..draft
            },
            &["V-22 multi_shots"],
        );
    }
    let shots = accepted(Draft {
        multi_shots: Some(true),
        ..reference()
    });
    assert!(matches!(
        shots.workflow,
        Workflow::Reference {
            multi_shots: true,
            ..
        }
    ));
}

#[test]
fn v23_origin_is_for_edits() {
    for draft in [text(), image(), frames(), continuation(), reference()] {
        accepted(Draft {
            audio_setting: some("auto"),
            ..draft.clone()
        });
        refused(
            Draft {
                audio_setting: some("origin"),
                ..draft
            },
            &["V-23 audio_setting"],
        );
    }
    for setting in AudioSetting::ALL {
        let spec = accepted(Draft {
            audio_setting: some(setting.as_str()),
            ..edit()
        });
        assert!(matches!(spec.workflow, Workflow::Edit { audio, .. } if audio == setting));
    }
    for wrong in ["", "Origin", "none"] {
        refused(
            Draft {
                audio_setting: some(wrong),
                ..edit()
            },
            &["V-23 audio_setting"],
        );
    }
}

#[test]
fn v24_seed_is_in_range() {
    for seed in [0, 1, 2_147_483_647] {
        assert_eq!(
            i64::from(
                accepted(Draft {
                    seed: Some(seed),
                    ..text()
                })
                .seed
                .get()
            ),
            seed
        );
    }
    for seed in [-1, 2_147_483_648, i64::MAX, i64::MIN] {
        refused(
            Draft {
                seed: Some(seed),
                ..text()
            },
            &["V-24 seed"],
        );
    }
    assert_eq!(accepted(text()).seed.get(), DRAWN);
}

#[test]
fn v26_the_engines_limits_hold() {
    let limited = |feature| {
        Some(FeatureOffer {
            feature,
            starts: vec![
                Start::FirstFrame,
                Start::Text,
                Start::References,
                Start::ClipToEdit,
            ],
            resolutions: vec![Resolution::P720],
            aspect_ratios: vec![AspectRatio::Wide, AspectRatio::Tall],
            duration_s_max: 6,
            reference_images_max: 4,
            reference_videos_max: 2,
            references_max: 5,
            audio_input: false,
        })
    };
    let small = |draft: Draft| Draft {
        resolution: some("720p"),
        ..draft
    };
    let check = |draft: Draft, expected: &[&str]| {
        let outcome = parse_with(draft, &limited);
        assert_eq!(outcome.err().unwrap_or_default(), expected);
    };
    let references = |images, videos| Draft {
        reference_images: urls(images),
        video_refs: urls(videos),
        ..small(text())
    };
    check(small(text()), &[]);
    check(text(), &["V-26 resolution"]);
    check(
        Draft {
            aspect_ratio: some("9:16"),
            ..small(text())
        },
        &[],
    );
    check(
        Draft {
            aspect_ratio: some("1:1"),
            ..small(text())
        },
        &["V-26 aspect_ratio"],
    );
    check(
        Draft {
            duration: Some(6),
            ..small(text())
        },
        &[],
    );
    check(
        Draft {
            duration: Some(7),
            ..small(text())
        },
        &["V-26 duration"],
    );
    check(
        Draft {
            duration: Some(16),
            ..small(text())
        },
        &["V-19 duration"],
    );
    check(
        Draft {
            audio: url(),
            ..small(text())
        },
        &["V-26 audio_url"],
    );
    check(references(4, 1), &[]);
    check(references(3, 2), &[]);
    check(references(5, 0), &["V-26 reference_image_urls"]);
    check(references(0, 3), &["V-26 video_refs"]);
    check(references(4, 2), &["V-26 video_refs"]);
    check(references(9, 0), &["V-11 reference_image_urls"]);
    check(
        Draft {
            image: url(),
            ..small(text())
        },
        &[],
    );
    check(
        Draft {
            image: url(),
            end_image: url(),
            ..small(text())
        },
        &["V-26 end_image_url"],
    );
    check(
        Draft {
            video: url(),
            ..small(text())
        },
        &["V-26 video_url"],
    );
    check(
        Draft {
            video: url(),
            end_image: url(),
            ..small(text())
        },
        &["V-26 end_image_url"],
    );
    let from_images = |feature| {
        Some(FeatureOffer {
            starts: vec![Start::FirstFrame],
            reference_images_max: 0,
            ..FeatureOffer::documented(feature)
        })
    };
    assert_eq!(
        parse_with(text(), &from_images).err().unwrap_or_default(),
        ["V-26 image_url"]
    );
    let with_picture = Draft {
        reference_image: url(),
        ..edit()
    };
    assert_eq!(
        parse_with(with_picture, &from_images).err().unwrap_or_default(),
        ["V-26 reference_image_url"]
    );
}

#[test]
fn v28_n_is_1_to_4() {
    for n in 1..=4 {
        assert_eq!(i64::from(accepted(Draft { n: Some(n), ..edit() }).n), n);
    }
    assert_eq!(accepted(edit()).n, 1);
    for n in [0, 5, -1, 257, i64::MAX] {
        refused(Draft { n: Some(n), ..edit() }, &["V-28 n"]);
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    refused(
        Draft {
            feature: some("video"),
            negative_prompt: Some("x".repeat(501)),
            aspect_ratio: some("2:1"),
            resolution: some("8k"),
            duration: Some(99),
            multi_shots: Some(true),
            audio_setting: some("loud"),
            seed: Some(-1),
            n: Some(9),
            ..Draft::default()
        },
        &[
            "V-01 feature",
            "V-05 prompt",
            "V-03 negative_prompt",
            "V-17 aspect_ratio",
            "V-18 resolution",
            "V-19 duration",
            "V-22 multi_shots",
            "V-23 audio_setting",
            "V-24 seed",
            "V-28 n",
        ],
    );
}

#[test]
fn defaults_follow_the_workflow() {
    let wide = Some(AspectRatio::Wide);
    let check = |draft: Draft, feature, duration_s, aspect_ratio| {
        let spec = accepted(draft);
        assert_eq!(
            (spec.feature, spec.duration_s, spec.aspect_ratio),
            (feature, duration_s, aspect_ratio)
        );
        assert_eq!(
            (spec.resolution, spec.n, spec.prompt_expansion),
            (Resolution::P1080, 1, true)
        );
    };
    check(text(), Feature::TextImage, 5, wide);
    check(image(), Feature::TextImage, 5, None);
    check(frames(), Feature::Frames, 5, None);
    check(continuation(), Feature::TextImage, 5, None);
    check(
        Draft {
            end_image: url(),
            ..continuation()
        },
        Feature::Frames,
        5,
        None,
    );
    check(reference(), Feature::Reference, 5, wide);
    check(
        Draft {
            video_refs: urls(1),
            ..reference()
        },
        Feature::Reference,
        5,
        wide,
    );
    check(edit(), Feature::EditVideo, 0, None);
    assert!(
        !accepted(Draft {
            prompt_expansion: Some(false),
            ..text()
        })
        .prompt_expansion
    );
}

/// Generated clients send every default. That never makes a request illegal, and it keeps its meaning.
#[test]
fn explicit_defaults_are_always_legal() {
    for draft in [text(), image(), frames(), continuation(), reference(), edit()] {
        let spec = accepted(Draft {
            multi_shots: Some(false),
            audio_setting: some("auto"),
            prompt_expansion: Some(true),
            duration: Some(5),
            aspect_ratio: some("16:9"),
            resolution: some("1080p"),
            ..draft
        });
        assert_eq!((spec.duration_s, spec.aspect_ratio), (5, Some(AspectRatio::Wide)));
    }
}

#[test]
fn the_single_reference_image_of_an_edit_wins() {
    let first = Source::Url("https://media.example/first".to_owned());
    let single = Source::Url("https://media.example/single".to_owned());
    let array = Draft {
        reference_images: vec![first.clone(), url().unwrap()],
        ..edit()
    };
    let image_of = |draft| match accepted(draft).workflow {
        Workflow::Edit { image, .. } => image,
        workflow => panic!("{workflow:?}"),
    };
    assert_eq!(image_of(array.clone()), Some(first));
    assert_eq!(
        image_of(Draft {
            reference_image: Some(single.clone()),
            ..array
        }),
        Some(single)
    );
    assert_eq!(image_of(edit()), None);
}
