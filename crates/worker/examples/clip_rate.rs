//! How fast clips are made, from request to checked file, and how much memory it takes: the test pattern drawn,
//! encoded and given its poster. `cargo run --release -p kinora-worker --example clip_rate`

use std::{env, error::Error, fs, process::ExitCode, time::Instant};

use kinora_domain::{Draft, GenerationSpec, Seed, SpecRules};
use kinora_engine::{Engine, TestPattern, TestPatternOptions};
use kinora_media::{
    Toolbox, ToolboxOptions,
    compose::Preset,
    fetch::{FetchPolicy, Fetcher},
    sandbox::Launcher,
};
use kinora_worker::{
    EngineFactory,
    local::{LocalFiles, LocalParts, generate},
};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    if let Some(code) = kinora_media::sandbox::run_if_asked(env::args_os()) {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let toolbox = Toolbox::find(ToolboxOptions::new(Launcher::current()?))?;
    let folder = env::temp_dir().join(format!("clip-rate-{}", std::process::id()));
    for (resolution, duration) in [("720p", 5), ("720p", 15), ("1080p", 5)] {
        let spec = spec(resolution, duration)?;
        let offer = TestPattern::new(TestPatternOptions::default()).offer().clone();
        let parts = LocalParts {
            toolbox: toolbox.clone(),
            fetcher: Fetcher::new(FetchPolicy::default())?,
            engine: EngineFactory::new(offer, || {
                Ok(Box::new(TestPattern::new(TestPatternOptions::default())))
            }),
            preset: Preset::default(),
            scratch: folder.clone(),
            preview: None,
        };
        let started = Instant::now();
        let made = runtime.block_on(generate(
            parts,
            &spec,
            LocalFiles::default(),
            &folder.join("clip.mp4"),
            &mut |_| {},
            CancellationToken::new(),
        ))?;
        let seconds = started.elapsed().as_secs_f64();
        let rate = f64::from(made.clips[0].num_frames) / seconds;
        println!(
            "{resolution} {duration} s: {seconds:.2} s, {rate:.0} frames a second, peak memory {}",
            peak_memory()
        );
    }
    Ok(fs::remove_dir_all(&folder)?)
}

fn spec(resolution: &str, duration: i64) -> Result<GenerationSpec, String> {
    let draft = Draft {
        prompt: Some("A paper boat crosses a rain puddle".to_owned()),
        resolution: Some(resolution.to_owned()),
        duration: Some(duration),
        ..Draft::default()
    };
    let rules = SpecRules {
        offer: &|_| None,
        url_problem: &|_| None,
        drawn_seed: Seed::from_entropy(7),
    };
    GenerationSpec::parse(draft, &rules).map_err(|violations| violations[0].to_string())
}

/// Of this process; children are bounded by their sandbox.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}
