//! Every workflow from request to measured file: its size, its length, its sound, and that the inputs are to be seen.

use std::path::Path;

use kinora_domain::{Draft, Generation, Offer, Source, Status, Success};
use kinora_engine::{ClipSink, Cost, Engine, EngineError, EngineProgress, FrameFormat, Inputs, Made};
use kinora_media::frames::Fit;
use kinora_worker::EngineFactory;

use crate::support::{
    World,
    clips::{BLUE, ClipFacts, GREEN, RED, close, colour, frames_hash, sounds, whole_colour},
    fixtures::FIXTURES,
    http::Host,
    text,
};

fn success(generation: &Generation) -> &Success {
    match &generation.status {
        Status::Succeeded(success) => success,
        status => panic!("{status:?}"),
    }
}

fn warnings(success: &Success) -> Vec<&str> {
    success
        .warnings
        .iter()
        .map(|warning| warning.code.as_str())
        .collect()
}

/// Makes one clip of `draft`, checks what every clip promises, and hands the file to `look`.
async fn check(world: &World, draft: Draft, expected: ClipFacts, warned: &[&str], look: impl FnOnce(&Path)) {
    let work = world.work();
    let id = world.submit(draft).await;
    let generation = world.succeeded(id).await;
    work.end().await;

    let success = success(&generation);
    let artifact = &success.artifacts[0];
    let video = world.video(artifact);
    assert_eq!(ClipFacts::of(&video), expected);
    let [width, height] = [artifact.size.width, artifact.size.height];
    assert_eq!(
        (ClipFacts::expected(width, height, artifact.num_frames)),
        expected
    );
    assert_eq!(artifact.video_bytes, std::fs::metadata(&video).unwrap().len());
    assert_eq!(warnings(success), warned);

    let poster = world.blobs.path(artifact.poster);
    assert!(std::fs::read(&poster).unwrap().starts_with(&[0xff, 0xd8]));
    assert!(close(whole_colour(&poster, 0), whole_colour(&video, 0)));
    look(&video);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_alone() {
    let world = World::new().await;
    let draft = Draft {
        aspect_ratio: Some("3:4".to_owned()),
        ..text()
    };
    check(
        &world,
        draft,
        ClipFacts::expected(832, 1104, 60),
        &["silent_audio"],
        |clip| {
            assert!(!sounds(clip, 0.0, 2.0));
        },
    )
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_and_a_sound() {
    let world = World::new().await;
    let draft = Draft {
        image: Some(world.upload(&FIXTURES.red)),
        audio: Some(world.upload(&FIXTURES.tone)),
        duration: Some(3),
        ..Draft::default()
    };
    check(
        &world,
        draft,
        ClipFacts::expected(1104, 832, 90),
        &["audio_muxed"],
        |clip| {
            assert!(close(whole_colour(clip, 0), RED), "{:?}", whole_colour(clip, 0));
            assert!(!close(whole_colour(clip, 60), RED));
            assert!(sounds(clip, 0.2, 2.0));
            assert!(!sounds(clip, 2.4, 3.0));
        },
    )
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_and_a_last_frame() {
    let world = World::new().await;
    let draft = Draft {
        image: Some(world.upload(&FIXTURES.blue)),
        end_image: Some(world.upload(&FIXTURES.red)),
        duration: Some(2),
        ..Draft::default()
    };
    // 7:3 has no published size: it is followed.
    check(
        &world,
        draft,
        ClipFacts::expected(1472, 624, 60),
        &["silent_audio"],
        |clip| {
            assert!(close(whole_colour(clip, 0), BLUE));
            assert!(close(whole_colour(clip, 59), RED));
        },
    )
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_continuation_from_a_url() {
    let (world, host) = (World::new().await, Host::start().await);
    let draft = Draft {
        video: Some(Source::Url(host.url("green.mp4"))),
        end_image: Some(Source::Url(host.url("red.png"))),
        duration: Some(4),
        ..Draft::default()
    };
    check(
        &world,
        draft,
        ClipFacts::expected(832, 1104, 120),
        &["silent_audio"],
        |clip| {
            for frame in [0, 40, 74] {
                assert!(close(whole_colour(clip, frame), GREEN), "{frame}");
            }
            assert!(!close(whole_colour(clip, 95), GREEN));
            assert!(close(whole_colour(clip, 119), RED));
            assert!(sounds(clip, 0.2, 2.3));
            assert!(!sounds(clip, 2.8, 4.0));
        },
    )
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn references() {
    let world = World::new().await;
    let draft = Draft {
        reference_images: vec![world.upload(&FIXTURES.red), world.upload(&FIXTURES.blue)],
        video_refs: vec![world.upload(&FIXTURES.green_clip)],
        ..text()
    };
    check(
        &world,
        draft,
        ClipFacts::expected(1280, 720, 60),
        &["silent_audio"],
        |clip| {
            for (left, expected) in [(60, RED), (260, BLUE), (580, GREEN)] {
                let found = colour(clip, 30, &format!("20:20:{left}:520"));
                assert!(close(found, expected), "{left}: {found:?}");
            }
        },
    )
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_keeps_the_clips_length_and_sound() {
    let world = World::new().await;
    let draft = Draft {
        feature: Some("edit-video".to_owned()),
        video: Some(world.upload(&FIXTURES.green_clip)),
        reference_image: Some(world.upload(&FIXTURES.blue)),
        audio_setting: Some("origin".to_owned()),
        duration: None,
        ..text()
    };
    check(&world, draft, ClipFacts::expected(832, 1104, 75), &[], |clip| {
        let middle = colour(clip, 40, "100:100:366:502");
        assert!(middle[1] > 180 && !close(middle, GREEN), "{middle:?}");
        assert!(sounds(clip, 0.2, 2.3));
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_first_seconds_of_a_silent_clip() {
    let world = World::new().await;
    let draft = Draft {
        feature: Some("edit-video".to_owned()),
        video: Some(world.upload(&FIXTURES.silent_clip)),
        aspect_ratio: Some("1:1".to_owned()),
        duration: Some(10),
        ..text()
    };
    check(&world, draft, ClipFacts::expected(960, 960, 60), &[], |clip| {
        assert!(!sounds(clip, 0.0, 2.0));
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_hd() {
    let world = World::new().await;
    let draft = Draft {
        resolution: Some("1080p".to_owned()),
        ..text()
    };
    check(
        &world,
        draft,
        ClipFacts::expected(1920, 1080, 60),
        &["silent_audio"],
        |_| {},
    )
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_decides_the_frames() {
    let world = World::new().await;
    let work = world.work();
    let mut hashes = Vec::new();
    for seed in [11, 11, 12] {
        let id = world
            .submit(Draft {
                seed: Some(seed),
                ..text()
            })
            .await;
        let generation = world.succeeded(id).await;
        hashes.push(frames_hash(&world.video(&success(&generation).artifacts[0])));
    }
    work.end().await;
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[1], hashes[2]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_clips_from_consecutive_seeds() {
    let world = World::new().await;
    let work = world.work();
    let draft = Draft {
        n: Some(2),
        seed: Some(i64::from(i32::MAX)),
        ..text()
    };
    let id = world.submit(draft).await;
    let generation = world.succeeded(id).await;
    work.end().await;
    let artifacts = &success(&generation).artifacts;
    let seeds: Vec<u32> = artifacts.iter().map(|artifact| artifact.seed.get()).collect();
    assert_eq!(seeds, [i32::MAX as u32, 0]);
    assert_ne!(
        frames_hash(&world.video(&artifacts[0])),
        frames_hash(&world.video(&artifacts[1]))
    );
    assert_eq!(world.spent().await, 40);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_shows_every_stage_and_never_goes_back() {
    let world = World::new().await;
    let id = world.submit(text()).await;
    let mut watch = world.store.watch(id);
    // Looked at before there is a worker, who would be faster.
    let mut seen = vec![world.generation(id).await.progress.stage.as_str()];
    let work = world.work_slowly(std::time::Duration::from_millis(15), |options| {
        options.heartbeat_ms = 20
    });
    let mut last = 0.0;
    loop {
        let generation = world.generation(id).await;
        assert!(
            generation.progress.fraction >= last,
            "{last} to {:?}",
            generation.progress
        );
        last = generation.progress.fraction;
        let stage = generation.progress.stage.as_str();
        if seen.last() != Some(&stage) {
            seen.push(stage);
        }
        if generation.status.is_terminal() {
            break;
        }
        watch.changed().await.unwrap();
    }
    work.end().await;
    assert_eq!(last, 1.0);
    assert_eq!(seen.first(), Some(&"queued"));
    assert_eq!(seen.last(), Some(&"done"));
    assert!(seen.contains(&"decoding"), "{seen:?}");
    world.end().await;
}

/// An engine of another kind: either small frames at 16 a second, or a finished file.
struct OtherEngine {
    offer: Offer,
    hand_over: HandOver,
}

#[derive(Clone, Copy)]
enum HandOver {
    SmallFrames,
    File,
}

impl Engine for OtherEngine {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn generate(
        &mut self,
        _: &kinora_domain::GenerationSpec,
        inputs: &Inputs,
        clip: &mut dyn ClipSink,
        _: &mut dyn FnMut(EngineProgress) -> std::ops::ControlFlow<kinora_engine::Halt>,
    ) -> Result<Made, EngineError> {
        match self.hand_over {
            HandOver::File => clip.file(&FIXTURES.green_clip.path)?,
            HandOver::SmallFrames => {
                let format = FrameFormat {
                    width: 320,
                    height: 180,
                    fps: 16,
                    fit: Fit::Cover,
                };
                clip.begin(format)?;
                for _ in 0..inputs.duration_ms * 16 / 1000 {
                    clip.frame(&[0, 0, 254].repeat(format.frame_bytes() / 3))?;
                }
            }
        }
        Ok(Made {
            actual_prompt: Some("as it was understood".to_owned()),
            warnings: Vec::new(),
            cost: Cost::default(),
        })
    }
}

async fn check_other(hand_over: HandOver, warned: &[&str], look: impl FnOnce(&Path)) {
    let world = World::new().await;
    let offer = Offer::unlimited("other", "Another one.");
    let factory = EngineFactory::new(offer.clone(), move || {
        Ok(Box::new(OtherEngine {
            offer: offer.clone(),
            hand_over,
        }))
    });
    let work = world.work_with(factory, |_| {});
    let id = world.submit_for(text(), "other").await;
    let generation = world.succeeded(id).await;
    work.end().await;
    let success = success(&generation);
    assert_eq!(success.actual_prompt.as_deref(), Some("as it was understood"));
    assert_eq!(warnings(success), warned);
    let video = world.video(&success.artifacts[0]);
    assert_eq!(ClipFacts::of(&video), ClipFacts::expected(1280, 720, 60));
    look(&video);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_frames_are_scaled_and_retimed() {
    check_other(HandOver::SmallFrames, &["silent_audio", "upscaled"], |clip| {
        assert!(close(whole_colour(clip, 59), BLUE));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_file_keeps_its_own_sound() {
    check_other(HandOver::File, &["upscaled"], |clip| {
        assert!(close(whole_colour(clip, 0), GREEN));
        assert!(sounds(clip, 0.2, 1.8));
    })
    .await;
}
