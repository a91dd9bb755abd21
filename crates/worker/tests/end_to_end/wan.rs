//! Whole clips by the model that is part of the program: every workflow as it arrives, with two steps instead of twenty, so that
//! what is checked is the way and not the beauty.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use kinora_domain::{Draft, Feature, Member, Source, Stage, Start};
use kinora_engine::{Engine, WanEngine, WanOptions};
use kinora_media::compose::Preset;
use kinora_worker::{
    AttemptError, EngineFactory, Standing,
    local::{LocalError, LocalFiles, LocalParts, LocalResult, generate},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{
    TOOLBOX,
    clips::{BLUE, ClipFacts, GREEN, RED, frames_hash, whole_colour},
    fetcher,
    fixtures::{FIXTURES, Fixture},
    spec,
};

/// wan-mini in a hurry.
fn factory() -> EngineFactory {
    let options = WanOptions {
        steps: Some(2),
        ..WanOptions::default()
    };
    let offer = WanEngine::open(options.clone()).unwrap().offer().clone();
    EngineFactory::new(offer, move || {
        Ok(Box::new(WanEngine::open(options.clone()).unwrap()))
    })
}

struct Desk {
    folder: TempDir,
    files: LocalFiles,
}

impl Desk {
    fn new() -> Desk {
        Desk {
            folder: tempfile::tempdir().unwrap(),
            files: LocalFiles::default(),
        }
    }

    fn add(&mut self, member: Member, fixture: &Fixture) -> Option<Source> {
        Some(self.files.add(&TOOLBOX, member, &fixture.path).unwrap())
    }

    async fn make(self, draft: Draft) -> Made {
        let mut stages = BTreeSet::new();
        let folder = self.folder;
        let mut last_step = None;
        let mut progress = |Standing { progress, step }| {
            stages.insert(progress.stage.as_str());
            last_step = step.or(last_step);
        };
        let result = run(
            folder.path(),
            draft,
            self.files,
            &mut progress,
            CancellationToken::new(),
        )
        .await
        .unwrap();
        assert!(stages.contains("denoising"), "{stages:?}");
        assert!(
            last_step.is_some_and(|step| step.number == step.of),
            "{last_step:?}"
        );
        let preview = std::fs::read(folder.path().join("preview.jpg")).unwrap();
        assert!(preview.starts_with(&[0xff, 0xd8]));
        Made {
            video: result.clips[0].video.clone(),
            actual_prompt: result.actual_prompt.clone(),
            warned: result
                .warnings
                .iter()
                .map(|warning| warning.code.clone())
                .collect(),
            _folder: folder,
        }
    }
}

struct Made {
    video: PathBuf,
    actual_prompt: Option<String>,
    warned: Vec<String>,
    _folder: TempDir,
}

async fn run(
    folder: &Path,
    draft: Draft,
    files: LocalFiles,
    progress: &mut (dyn FnMut(Standing) + Send),
    stop: CancellationToken,
) -> Result<LocalResult, LocalError> {
    let parts = LocalParts {
        toolbox: TOOLBOX.clone(),
        fetcher: fetcher(),
        engine: factory(),
        preset: Preset::Superfast,
        scratch: folder.to_owned(),
        preview: Some(folder.join("preview.jpg")),
    };
    generate(
        parts,
        &spec(draft),
        files,
        &folder.join("clip.mp4"),
        progress,
        stop,
    )
    .await
}

fn prompt(text: &str) -> Draft {
    Draft {
        prompt: Some(text.to_owned()),
        duration: Some(2),
        ..Draft::default()
    }
}

/// Whether two colours could be the same picture, hurried through a small model.
fn alike(a: [u8; 3], b: [u8; 3]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 100)
}

#[test]
fn it_offers_everything_within_its_limits() {
    assert!(
        !WanEngine::open(WanOptions::default()).unwrap().takes_expanded(),
        "it knows few words"
    );
    let offer = factory().offer;
    assert_eq!(offer.id.0, "wan-mini");
    assert!(offer.about.contains("shapes"), "{}", offer.about);
    for feature in Feature::ALL {
        let limits = offer.feature(feature).unwrap();
        assert_eq!(limits.starts, Start::of_feature(feature), "{feature}");
        assert_eq!(
            limits.duration_s_max,
            if feature == Feature::EditVideo { 10 } else { 15 }
        );
    }
    assert_eq!(offer.feature(Feature::Reference).unwrap().references_max, 1);
    assert_eq!(offer.feature(Feature::EditVideo).unwrap().reference_images_max, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_text_in_every_ratio() {
    for (aspect, width, height) in [
        ("16:9", 1280, 720),
        ("9:16", 720, 1280),
        ("1:1", 960, 960),
        ("4:3", 1104, 832),
        ("3:4", 832, 1104),
    ] {
        let made = Desk::new()
            .make(Draft {
                aspect_ratio: Some(aspect.to_owned()),
                ..prompt("a red ball moves left")
            })
            .await;
        assert_eq!(ClipFacts::of(&made.video), ClipFacts::expected(width, height, 60));
        assert_eq!(made.warned, ["silent_audio", "upscaled"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_frames() {
    let seeded = |seed| Draft {
        seed: Some(seed),
        ..prompt("a blue star spins at night")
    };
    let one = frames_hash(&Desk::new().make(seeded(5)).await.video);
    let again = frames_hash(&Desk::new().make(seeded(5)).await.video);
    let other = frames_hash(&Desk::new().make(seeded(6)).await.video);
    assert_eq!(one, again);
    assert_ne!(one, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_outside_its_world_are_told() {
    let made = Desk::new().make(prompt("a dragon moves left")).await;
    assert_eq!(made.warned, ["prompt_outside_world", "silent_audio", "upscaled"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn longer_than_at_once() {
    let made = Desk::new()
        .make(Draft {
            duration: Some(7),
            ..prompt("a red ball moves left")
        })
        .await;
    assert_eq!(ClipFacts::of(&made.video), ClipFacts::expected(1280, 720, 210));
    assert_eq!(made.warned, ["segments_chained", "silent_audio", "upscaled"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn between_a_first_and_a_last_frame() {
    let mut desk = Desk::new();
    let draft = Draft {
        image: desk.add(Member::Image, &FIXTURES.blue),
        end_image: desk.add(Member::EndImage, &FIXTURES.red),
        ..prompt("a red ball moves left")
    };
    let made = desk.make(draft).await;
    // 7:3 has no published size: it is followed.
    assert_eq!(ClipFacts::of(&made.video), ClipFacts::expected(1472, 624, 60));
    let first = whole_colour(&made.video, 0);
    assert!(alike(first, BLUE), "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_kept_and_goes_on() {
    let mut desk = Desk::new();
    let draft = Draft {
        video: desk.add(Member::Video, &FIXTURES.green_clip),
        duration: Some(5),
        ..prompt("it goes on")
    };
    let made = desk.make(draft).await;
    let facts = ClipFacts::of(&made.video);
    assert_eq!(facts.num_frames, 150);
    // The clip's own pictures do not pass through the model.
    let own = whole_colour(&made.video, 10);
    assert!(own.iter().zip(GREEN).all(|(a, b)| a.abs_diff(b) < 8), "{own:?}");
    assert!(!made.warned.contains(&"upscaled".to_owned()), "{:?}", made.warned);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_goes_on_to_a_last_frame() {
    let mut desk = Desk::new();
    let draft = Draft {
        video: desk.add(Member::Video, &FIXTURES.green_clip),
        end_image: desk.add(Member::EndImage, &FIXTURES.red),
        duration: Some(5),
        ..prompt("it turns red")
    };
    let made = desk.make(draft).await;
    assert_eq!(ClipFacts::of(&made.video).num_frames, 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_reference_picture_or_clip() {
    let mut desk = Desk::new();
    let draft = Draft {
        reference_images: Vec::from_iter(desk.add(Member::ReferenceImages(0), &FIXTURES.red)),
        ..prompt("the thing in Image 1 moves left")
    };
    let made = desk.make(draft).await;
    assert_eq!(ClipFacts::of(&made.video), ClipFacts::expected(1280, 720, 60));

    let mut desk = Desk::new();
    let draft = Draft {
        video_refs: Vec::from_iter(desk.add(Member::VideoRefs(0), &FIXTURES.green_clip)),
        ..prompt("the thing in Video 1 moves left")
    };
    let made = desk.make(draft).await;
    assert!(
        made.warned.contains(&"reference_video_still".to_owned()),
        "{:?}",
        made.warned
    );
}

/// Each shot is made for itself: the first of two is what its sentence alone would have become.
#[tokio::test(flavor = "multi_thread")]
async fn in_several_shots() {
    let of_red = async |text: &str, duration, multi_shots| {
        let mut desk = Desk::new();
        let draft = Draft {
            reference_images: Vec::from_iter(desk.add(Member::ReferenceImages(0), &FIXTURES.red)),
            duration: Some(duration),
            multi_shots: Some(multi_shots),
            seed: Some(3),
            ..prompt(text)
        };
        desk.make(draft).await
    };
    let shots = "the thing in Image 1 moves left at night. the thing in Image 1 rises in the snow.";
    let cut = of_red(shots, 4, true).await;
    assert_eq!(ClipFacts::of(&cut.video), ClipFacts::expected(1280, 720, 120));
    assert_eq!(cut.warned, ["silent_audio", "upscaled"]);
    let prompt = "Shot 1 [0-2 seconds] the thing in Image 1 moves left at night. Shot 2 [2-4 seconds] the thing in \
                  Image 1 rises in the snow.";
    assert_eq!(cut.actual_prompt.as_deref(), Some(prompt));
    let alone = of_red("the thing in Image 1 moves left at night.", 2, true).await;
    assert_eq!(alone.warned, ["single_shot", "silent_audio", "upscaled"]);
    let off = |frame, other: &Made| {
        let (one, other) = (
            whole_colour(&cut.video, frame),
            whole_colour(&other.video, frame.min(59)),
        );
        one.iter().zip(other).map(|(a, b)| a.abs_diff(b)).max().unwrap()
    };
    for frame in [0, 20, 50] {
        assert!(
            off(frame, &alone) < 4,
            "frame {frame} is off by {}",
            off(frame, &alone)
        );
    }
    let whole = of_red(shots, 4, false).await;
    assert_eq!(whole.actual_prompt, None);
    assert_ne!(frames_hash(&whole.video), frames_hash(&cut.video));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_changed() {
    let mut desk = Desk::new();
    let draft = Draft {
        feature: Some("edit-video".to_owned()),
        video: desk.add(Member::Video, &FIXTURES.green_clip),
        duration: Some(0),
        ..prompt("make it blue")
    };
    let made = desk.make(draft).await;
    let source = FIXTURES.green_clip.duration_ms.unwrap();
    let frames = u64::from(ClipFacts::of(&made.video).num_frames);
    assert!(
        frames.abs_diff(source * 30 / 1000) <= 1,
        "{frames} of {source} ms"
    );
    assert!(!alike(whole_colour(&made.video, 5), RED));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_it_denoises() {
    let desk = Desk::new();
    let stop = CancellationToken::new();
    let mut asked = None;
    let wish = stop.clone();
    let mut progress = |Standing { progress, step: _ }| {
        if progress.stage == Stage::Denoising && asked.is_none() {
            wish.cancel();
            asked = Some(Instant::now());
        }
    };
    let long = Draft {
        duration: Some(15),
        ..prompt("a red ball moves left")
    };
    let made = run(desk.folder.path(), long, desk.files, &mut progress, stop).await;
    assert!(
        matches!(made, Err(LocalError::Attempt(AttemptError::Stopped))),
        "{made:?}"
    );
    let took = asked.unwrap().elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let left = std::fs::read_dir(desk.folder.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "preview.jpg"), "{left:?}");
}

#[test]
fn a_folder_without_a_checkpoint_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let options = WanOptions {
        checkpoint: Some(folder.path().to_owned()),
        ..WanOptions::default()
    };
    let error = WanEngine::open(options).err().unwrap();
    let told = kinora_media::chain(&error).to_string();
    assert!(told.contains("model_index.json"), "{told}");
}
