//! How fast the test pattern is drawn, and one of its frames to look at: `cargo run --release -p kinora-engine
//! --example draw_rate -- frame.ppm`.

use std::{env, error::Error, fs, ops::ControlFlow, path::Path, path::PathBuf, time::Instant};

use kinora_domain::{Draft, FrameSize, GenerationSpec, Seed, SpecRules};
use kinora_engine::{
    ClipSink, Engine, FrameFormat, Inputs, Notebook, Publisher, SinkError, TestPattern, TestPatternOptions,
};
use kinora_media::{Toolbox, ToolboxOptions, sandbox::Launcher};

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(code) = kinora_media::sandbox::run_if_asked(env::args_os()) {
        return match code == std::process::ExitCode::SUCCESS {
            true => Ok(()),
            false => Err("the sandboxed child could not be started".into()),
        };
    }
    let toolbox = Toolbox::find(ToolboxOptions::new(Launcher::current()?))?;
    let spec = GenerationSpec::parse(
        Draft {
            prompt: Some("A paper boat crosses a rain puddle, macro shot, soft light from behind".to_owned()),
            ..Draft::default()
        },
        &SpecRules {
            offer: &|_| None,
            url_problem: &|_| None,
            drawn_seed: Seed::from_entropy(4711),
        },
    )
    .map_err(|violations| violations[0].to_string())?;
    for (width, height) in [(1280, 720), (1920, 1080)] {
        let inputs = Inputs {
            size: FrameSize { width, height },
            duration_ms: 10_000,
            seed: spec.seed,
            media: Vec::new(),
            toolbox: toolbox.clone(),
            notebook: Notebook::default(),
            publisher: Publisher::default(),
            folder: env::temp_dir(),
        };
        let mut sink = KeepOne::default();
        let start = Instant::now();
        let mut engine = TestPattern::new(TestPatternOptions::default());
        engine.generate(&spec, &inputs, &mut sink, &mut |_| ControlFlow::Continue(()))?;
        let rate = f64::from(sink.frames) / start.elapsed().as_secs_f64();
        println!("{width}x{height}: {rate:.0} frames a second");
        if let Some(path) = env::args_os().nth(1).map(PathBuf::from) {
            let header = format!("P6 {width} {height} 255\n");
            fs::write(path, [header.as_bytes(), &sink.kept].concat())?;
        }
    }
    Ok(())
}

/// Counts frames and keeps the hundredth.
#[derive(Default)]
struct KeepOne {
    frames: u32,
    kept: Vec<u8>,
}

impl ClipSink for KeepOne {
    fn begin(&mut self, _: FrameFormat) -> Result<(), SinkError> {
        Ok(())
    }

    fn frame(&mut self, rgb: &[u8]) -> Result<(), SinkError> {
        self.frames += 1;
        if self.frames == 100 {
            self.kept = rgb.to_vec();
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), SinkError> {
        Err(SinkError::Write(
            format!("{} was not expected", path.display()).into(),
        ))
    }
}
