//! `cargo xtask pictures`: makes the strips of docs/workflows.md anew, by running the commands that stand there.
//!
//! Each line `$ kinora generate … -o NAME.mp4` is run as it is, beside the files of docs/media, and its result becomes
//! `docs/images/workflow-NAME.png`: below, frames of it from the first to the last; above, what was given, where it
//! belongs in time. So the page cannot show what its commands do not make.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Outcome;
use crate::run::{cargo, program, read, root, succeed, target};
use crate::setup;

const PAGE: &str = "docs/workflows.md";
const MEDIA: &str = "docs/media";
const IMAGES: &str = "docs/images";

/// Frames of a strip.
const COLUMNS: usize = 6;
/// Each as many pixels, what is beyond their shape cut off.
const CELL: (u32, u32) = (192, 108);

/// Builds the program, or takes the one that `KINORA` names, and makes every picture of the page.
pub(crate) fn run() -> Outcome {
    setup::for_demo()?;
    let kinora = match std::env::var_os("KINORA") {
        Some(path) => root().join(path),
        None => {
            succeed(&mut cargo([
                "build",
                "--package",
                "kinora-server",
                "--bin",
                "kinora",
            ]))?;
            target().join("debug/kinora")
        }
    };
    let page = read_page()?;
    let commands: Vec<Example> = page.lines().filter_map(Example::read).collect();
    if commands.is_empty() {
        return Err(format!("{PAGE} has no line that makes a video").into());
    }
    let folder = target().join("pictures");
    prepare(&folder)?;
    for example in &commands {
        make(example, &kinora, &folder)?;
        let strip = strip(example, &folder)?;
        if !page.contains(&format!("images/workflow-{}.png", example.name)) {
            return Err(format!("{PAGE} does not show {}", strip.display()).into());
        }
        println!("{}", strip.display());
    }
    Ok(())
}

/// One command of the page.
#[derive(Debug, PartialEq, Eq)]
struct Example<'a> {
    /// As it is typed.
    command: &'a str,
    /// Of its output, without the ending.
    name: &'a str,
    /// What is given to it, in its order.
    given: Vec<Given<'a>>,
}

/// A medium, by the place it has beside the result.
#[derive(Debug, PartialEq, Eq)]
enum Given<'a> {
    /// Where the result begins.
    First(&'a str),
    /// Where it ends.
    Last(&'a str),
    /// Goes along with the result, from its beginning.
    Clip(&'a str),
    /// What is to be seen, in no place of its own.
    Image(&'a str),
    /// The same, as a clip.
    Video(&'a str),
}

impl<'a> Example<'a> {
    /// A line of the page, where it is a command that makes a video.
    fn read(line: &'a str) -> Option<Example<'a>> {
        let command = line.strip_prefix("$ ")?;
        if !command.starts_with("kinora generate ") {
            return None;
        }
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut name = None;
        let mut given = Vec::new();
        for pair in words.windows(2) {
            let value = pair[1];
            match pair[0] {
                "-o" => name = value.strip_suffix(".mp4"),
                "--image" => given.push(Given::First(value)),
                "--end-image" => given.push(Given::Last(value)),
                "--video" => given.push(Given::Clip(value)),
                "--reference-image" => given.push(Given::Image(value)),
                "--video-ref" => given.push(Given::Video(value)),
                _ => {}
            }
        }
        Some(Example {
            command,
            name: name?,
            given,
        })
    }
}

/// An empty folder with the media of the page in it.
fn prepare(folder: &Path) -> Outcome {
    let copy = || -> std::io::Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(root().join(MEDIA))? {
            let entry = entry?;
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
        Ok(())
    };
    copy().map_err(|source| format!("cannot copy {MEDIA} to {}: {source}", folder.display()).into())
}

/// Runs the command, in a shell like the reader's, with this program before all others of its name.
fn make(example: &Example<'_>, kinora: &Path, folder: &Path) -> Outcome {
    let mut search: Vec<PathBuf> = kinora.parent().map(Path::to_owned).into_iter().collect();
    search.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let search = std::env::join_paths(search).map_err(|source| format!("PATH cannot be set: {source}"))?;
    let mut shell = program("sh");
    shell
        .args(["-ec", example.command])
        .current_dir(folder)
        .env("PATH", search);
    succeed(&mut shell)
}

/// What is above and what is below, cell by cell, as one picture.
fn strip(example: &Example<'_>, folder: &Path) -> Outcome<PathBuf> {
    let result = format!("{}.mp4", example.name);
    let frames = frames_of(&folder.join(&result))?;
    let places: Vec<u64> = (0..COLUMNS as u64)
        .map(|column| column * (frames - 1) / (COLUMNS as u64 - 1))
        .collect();
    let mut above: [Option<Cell<'_>>; COLUMNS] = Default::default();
    let mut loose = Vec::new();
    for given in &example.given {
        match *given {
            Given::First(file) => above[0] = Some(Cell { file, at: None }),
            Given::Last(file) => above[COLUMNS - 1] = Some(Cell { file, at: None }),
            // These have no place in time: one behind the other, as many as there is room for.
            Given::Image(file) => loose.push(Cell { file, at: None }),
            Given::Video(file) => {
                let last = frames_of(&folder.join(file))? - 1;
                loose.extend([0, last / 3].map(|at| Cell { file, at: Some(at) }));
            }
            Given::Clip(file) => {
                let (clip, rate) = (folder.join(file), rate_of(&folder.join(&result))?);
                let (known, its_rate) = (frames_of(&clip)?, rate_of(&clip)?);
                for (column, place) in places.iter().enumerate() {
                    let at = (*place as f64 / rate * its_rate) as u64;
                    above[column] = (at < known).then_some(Cell { file, at: Some(at) });
                }
            }
        }
    }
    for (slot, cell) in above.iter_mut().filter(|slot| slot.is_none()).zip(loose) {
        *slot = Some(cell);
    }
    let below = places.iter().map(|at| {
        Some(Cell {
            file: &result,
            at: Some(*at),
        })
    });
    let rows = match example.given.is_empty() {
        true => 1,
        false => 2,
    };
    let cells = above
        .into_iter()
        .skip(if rows == 1 { COLUMNS } else { 0 })
        .chain(below);
    for (number, cell) in cells.enumerate() {
        draw(
            cell.as_ref(),
            folder,
            &format!("cell-{}-{number:02}.png", example.name),
        )?;
    }
    let strip = root().join(format!("{IMAGES}/workflow-{}.png", example.name));
    // 256 colours are plenty, and a fifth of the size.
    let filter = format!(
        "tile={COLUMNS}x{rows}:padding=8:color=black@0,split[a][b];\
         [a]palettegen=max_colors=256:reserve_transparent=1[p];[b][p]paletteuse=dither=bayer:bayer_scale=4"
    );
    succeed(
        ffmpeg(folder)
            .args(["-i", &format!("cell-{}-%02d.png", example.name), "-vf", &filter])
            .args(["-frames:v", "1"])
            .arg(&strip),
    )?;
    Ok(strip)
}

/// A picture, or one frame of a clip.
struct Cell<'a> {
    file: &'a str,
    at: Option<u64>,
}

fn draw(cell: Option<&Cell<'_>>, folder: &Path, path: &str) -> Outcome {
    let (width, height) = CELL;
    let mut ffmpeg = ffmpeg(folder);
    match cell {
        None => {
            let nothing = format!("color=black@0:size={width}x{height},format=rgba");
            ffmpeg.args(["-f", "lavfi", "-i", &nothing]);
        }
        Some(Cell { file, at }) => {
            let chosen = at.map_or_else(String::new, |at| format!("select=eq(n\\,{at}),"));
            let fitted = format!(
                "{chosen}scale={width}:{height}:force_original_aspect_ratio=increase:flags=area,\
                 crop={width}:{height},format=rgba"
            );
            ffmpeg.args(["-i", file, "-vf", &fitted]);
        }
    }
    succeed(ffmpeg.args(["-frames:v", "1", path]))
}

fn ffmpeg(folder: &Path) -> std::process::Command {
    let mut ffmpeg = program("ffmpeg");
    ffmpeg
        .current_dir(folder)
        .args(["-hide_banner", "-loglevel", "error", "-y"]);
    ffmpeg
}

fn frames_of(clip: &Path) -> Outcome<u64> {
    let said = probe(clip, &["-count_packets"], "nb_read_packets")?;
    let frames = said.parse().ok().filter(|frames| *frames > 0);
    frames.ok_or_else(|| format!("{} has {said:?} frames", clip.display()).into())
}

/// Frames a second.
fn rate_of(clip: &Path) -> Outcome<f64> {
    let said = probe(clip, &[], "r_frame_rate")?;
    let rate = said
        .split_once('/')
        .and_then(|(over, under)| Some(over.parse::<f64>().ok()? / under.parse::<f64>().ok()?));
    rate.ok_or_else(|| format!("{} has {said:?} frames a second", clip.display()).into())
}

fn probe(clip: &Path, options: &[&str], entry: &str) -> Outcome<String> {
    let mut probe = program("ffprobe");
    probe
        .args(["-v", "error", "-select_streams", "v:0"])
        .args(options);
    probe.args(["-show_entries", &format!("stream={entry}"), "-of", "csv=p=0"]);
    Ok(read(probe.arg(clip))?.trim().to_owned())
}

fn read_page() -> Outcome<String> {
    let path = root().join(PAGE);
    fs::read_to_string(&path).map_err(|source| format!("cannot read {}: {source}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_commands_of_a_page() {
        let check = |line, expected: Option<(&str, Vec<Given<'_>>)>| {
            let found = Example::read(line).map(|Example { name, given, .. }| (name, given));
            assert_eq!(found, expected, "{line}");
        };
        check("kinora generate x -o x.mp4", None);
        check("$ curl -o x.mp4", None);
        check("$ kinora generate \"a ball\" --seed 7", None);
        check("$ kinora generate \"a ball\" -o text.mp4", Some(("text", vec![])));
        check(
            "$ kinora generate --image a.png --end-image b.png -o ends.mp4",
            Some(("ends", vec![Given::First("a.png"), Given::Last("b.png")])),
        );
        check(
            "$ kinora generate x --video c.mp4 --reference-image d.png --video-ref e.mp4 -o many.mp4",
            Some((
                "many",
                vec![Given::Clip("c.mp4"), Given::Image("d.png"), Given::Video("e.mp4")],
            )),
        );
    }

    #[test]
    fn every_example_of_the_page_has_its_picture() {
        let page = read_page().expect("the page is there");
        let examples: Vec<Example<'_>> = page.lines().filter_map(Example::read).collect();
        assert!(examples.len() >= 6, "{examples:?}");
        for Example { name, given, .. } in examples {
            let picture = format!("images/workflow-{name}.png");
            assert!(page.contains(&picture), "{PAGE} shows {picture}");
            assert!(root().join("docs").join(&picture).exists(), "{picture} exists");
            for one in given {
                let (Given::First(file)
                | Given::Last(file)
                | Given::Clip(file)
                | Given::Image(file)
                | Given::Video(file)) = one;
                assert!(root().join(MEDIA).join(file).exists(), "{MEDIA}/{file} exists");
            }
        }
    }
}
