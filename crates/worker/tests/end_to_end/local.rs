//! Clips made without a store, as the command line does.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use kinora_domain::{Draft, GenerationSpec, Member, Stage};
use kinora_engine::TestPatternOptions;
use kinora_media::compose::Preset;
use kinora_worker::{
    AttemptError, Standing,
    local::{LocalError, LocalFiles, LocalParts, LocalResult, generate},
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    TOOLBOX,
    clips::{ClipFacts, RED, close, whole_colour},
    fetcher,
    fixtures::FIXTURES,
    spec, test_pattern, text,
};

fn parts(scratch: &Path, frame_delay: Duration) -> LocalParts {
    LocalParts {
        toolbox: TOOLBOX.clone(),
        fetcher: fetcher(),
        engine: test_pattern(TestPatternOptions {
            frame_delay,
            ..TestPatternOptions::default()
        }),
        preset: Preset::Superfast,
        scratch: scratch.to_owned(),
        preview: None,
    }
}

async fn make(
    folder: &Path,
    spec: &GenerationSpec,
    files: LocalFiles,
    frame_delay: Duration,
    stop_at: Option<Stage>,
) -> Result<LocalResult, LocalError> {
    let stop = CancellationToken::new();
    let mut last = 0.0;
    let wish = stop.clone();
    let mut progress = |Standing { progress, step: _ }| {
        assert!(progress.fraction >= last);
        last = progress.fraction;
        if stop_at == Some(progress.stage) {
            wish.cancel();
        }
    };
    let parts = parts(folder, frame_delay);
    generate(parts, spec, files, &folder.join("clip.mp4"), &mut progress, stop).await
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_local_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = LocalFiles::default();
    let image = files.add(&TOOLBOX, Member::Image, &FIXTURES.red.path).unwrap();
    let spec = spec(Draft {
        image: Some(image),
        n: Some(2),
        ..text()
    });
    let made = make(folder.path(), &spec, files, Duration::ZERO, None)
        .await
        .unwrap();
    let names: Vec<_> = made
        .clips
        .iter()
        .map(|clip| clip.video.strip_prefix(folder.path()).unwrap())
        .collect();
    assert_eq!(names, [Path::new("clip.mp4"), Path::new("clip-2.mp4")]);
    for clip in &made.clips {
        assert_eq!(ClipFacts::of(&clip.video), ClipFacts::expected(1104, 832, 60));
        assert!(close(whole_colour(&clip.video, 0), RED));
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        2,
        "nothing else is left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_on_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let slow = Duration::from_millis(100);
    let made = make(
        folder.path(),
        &spec(text()),
        LocalFiles::default(),
        slow,
        Some(Stage::Decoding),
    )
    .await;
    assert!(
        matches!(made, Err(LocalError::Attempt(AttemptError::Stopped))),
        "{made:?}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_wrong_file_is_named_by_its_member() {
    let check = |member, path: &Path, expected: &str| {
        let error = LocalFiles::default().add(&TOOLBOX, member, path).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        Member::Video,
        &FIXTURES.red.path,
        "video_url is not an MP4 or MOV video",
    );
    check(
        Member::Image,
        &FIXTURES.small.path,
        "image_url is 100×100 pixels; 240 to 8000 pixels per side are accepted",
    );
}
