//! How fast clips are encoded: frames per second at 720p and 1080p for each preset, with and without scaling.
//! `cargo run -p kinora-media --example encode <launcher>`, where the launcher is the built `kinora-media-child`.

use std::{env, error::Error, time::Instant};

use kinora_media::{
    Toolbox, ToolboxOptions,
    compose::{ClipOptions, Encoder, FrameFormat, Preset},
    frames::{Fit, Fps},
    sandbox::Launcher,
};

const NUM_FRAMES: u32 = 90;

fn main() -> Result<(), Box<dyn Error>> {
    let launcher = env::args_os().nth(1).ok_or("name the launcher")?;
    let toolbox = Toolbox::find(ToolboxOptions::new(Launcher::new(launcher)))?;
    let output = env::temp_dir().join("kinora-encode-example.mp4");
    println!("frames        clip          preset     frames/s  per CPU second      bytes");
    for preset in [Preset::Superfast, Preset::Veryfast, Preset::Medium] {
        for (frame, clip) in [
            ((1280, 720), (1280, 720)),
            ((832, 480), (1280, 720)),
            ((1920, 1080), (1920, 1080)),
        ] {
            let frames = FrameFormat {
                width: frame.0,
                height: frame.1,
                fps: Fps::new(30),
                fit: Fit::Cover,
            };
            let pictures: Vec<Vec<u8>> = (0..30).map(|number| picture(frame.0, frame.1, number)).collect();
            let options = ClipOptions {
                preset,
                ..ClipOptions::new(clip.0, clip.1, NUM_FRAMES)
            };
            let (begun, cpu_begun) = (Instant::now(), children_cpu_seconds());
            let mut encoder = Encoder::start(&toolbox, frames, options, &output)?;
            for picture in pictures.iter().cycle().take(NUM_FRAMES as usize) {
                encoder.push(picture)?;
            }
            let encoded = encoder.finish()?;
            let rate = f64::from(NUM_FRAMES) / begun.elapsed().as_secs_f64();
            let cpu_rate = f64::from(NUM_FRAMES) / (children_cpu_seconds() - cpu_begun);
            let preset = format!("{preset:?}");
            println!(
                "{frame:12?}  {clip:12?}  {preset:<10} {rate:8.1} {cpu_rate:15.1} {:>10}",
                encoded.bytes
            );
        }
    }
    std::fs::remove_file(&output)?;
    Ok(())
}

/// Something that moves, with smooth areas, edges and a little grain.
fn picture(width: u32, height: u32, number: u32) -> Vec<u8> {
    let mut grain = number.wrapping_mul(2_654_435_761) | 1;
    let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        for x in 0..width {
            grain ^= grain << 13;
            grain ^= grain >> 17;
            grain ^= grain << 5;
            let edge = (x + number * 8) / 96 % 2 * 40;
            let noise = grain % 6;
            rgb.extend(
                [
                    x * 200 / width + edge + noise,
                    y * 200 / height + edge,
                    (x + y) * 100 / width + noise,
                ]
                .map(|value| value as u8),
            );
        }
    }
    rgb
}

/// Processor time of the children that have ended, from the kernel's table, in hundredths of a second.
fn children_cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
