//! Frames to the finished clip: scaled, retimed, encoded and muxed with its sound by one sandboxed child, frame by
//! frame, so that memory does not grow with the clip's length.
//!
//! Every clip leaves here to the same contract: MP4 with the index first, H.264 High in yuv420p at a constant rate,
//! exactly the number of frames asked for, and always a sound track.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::ChildStdin,
};

use crate::{
    child::{Child, Ending, Feed, Job, Span, words},
    container,
    frames::{Fit, Fps, fit_filters, seconds},
    limits::MediaKind,
    probe::{self, MAX_VIDEO_PIXELS, SQUARE_PIXELS},
    problem::{MediaDefect, MediaFailure, MediaProblem},
    sniff::Format,
    toolbox::Toolbox,
};

/// The frames that will be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameFormat {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Their own rate, before retiming.
    pub fps: Fps,
    /// How they are brought to another ratio.
    pub fit: Fit,
}

/// The finished clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipOptions {
    /// Width in pixels; even.
    pub width: u32,
    /// Height in pixels; even.
    pub height: u32,
    /// Frames per second, constant.
    pub fps: u32,
    /// Exactly so many frames: a short input holds its last one, a long one is cut.
    pub num_frames: u32,
    /// The sound track.
    pub sound: Sound,
    /// How much time the encoder takes for how small a file.
    pub preset: Preset,
}

impl ClipOptions {
    /// A silent clip at 30 frames per second.
    pub fn new(width: u32, height: u32, num_frames: u32) -> Self {
        Self {
            width,
            height,
            fps: 30,
            num_frames,
            sound: Sound::Silent,
            preset: Preset::default(),
        }
    }

    fn check(&self) -> Result<(), MediaFailure> {
        let Self {
            width,
            height,
            fps,
            num_frames,
            ..
        } = self;
        let even = |side: &u32| side.is_multiple_of(2) && (2..=8192).contains(side);
        if even(width) && even(height) && (1..=240).contains(fps) && *num_frames > 0 {
            return Ok(());
        }
        Err(usage(format!(
            "no clip can be {width}×{height} at {fps} fps with {num_frames} frames"
        )))
    }

    fn duration_s(&self) -> f64 {
        f64::from(self.num_frames) / f64::from(self.fps)
    }
}

/// Where a clip's sound comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sound {
    /// Silence.
    Silent,
    /// A WAV, MP3, MP4 or MOV; silence if it has no sound. Cut or filled with silence to the clip's length.
    From {
        /// The file.
        path: PathBuf,
        /// Where in the file to begin.
        start_ms: u64,
    },
}

/// The encoder's bargain between time and size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Largest file, least time.
    Superfast,
    /// The default.
    #[default]
    Veryfast,
    /// About three times the time for a somewhat smaller file.
    Medium,
}

impl Preset {
    fn name(self) -> &'static str {
        match self {
            Self::Superfast => "superfast",
            Self::Veryfast => "veryfast",
            Self::Medium => "medium",
        }
    }
}

/// A finished clip, as measured in the file written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedClip {
    /// Size of the file.
    pub bytes: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames in the file.
    pub num_frames: u32,
    /// Frames over rate.
    pub duration_ms: u64,
}

/// A clip being encoded. Dropping it before [`Encoder::finish`] kills the child and leaves the unfinished file.
pub struct Encoder {
    child: Child,
    stdin: Option<ChildStdin>,
    frame_bytes: usize,
    pushed: u64,
    needed: u64,
    clip: ClipOptions,
    output: PathBuf,
}

impl Encoder {
    /// Starts the child that will write `output`, replacing what is there.
    pub fn start(
        toolbox: &Toolbox,
        frames: FrameFormat,
        clip: ClipOptions,
        output: &Path,
    ) -> Result<Self, MediaFailure> {
        clip.check()?;
        let FrameFormat {
            width,
            height,
            fps,
            fit,
        } = frames;
        if width == 0 || height == 0 || fps.frames == 0 || fps.seconds == 0 {
            return Err(usage(format!("no frames can be {width}×{height} at {fps} fps")));
        }
        let size = format!("{width}x{height}");
        let input = words(&format!(
            "-f rawvideo -pix_fmt rgb24 -video_size {size} -framerate {fps}"
        ));
        let to_size = match (width, height) == (clip.width, clip.height) {
            true => format!("scale={},setsar=1", &TO_VIDEO[1..]),
            false => fit_filters(fit, clip.width, clip.height, TO_VIDEO),
        };
        let mut filters = vec![to_size, "format=yuv420p".to_owned()];
        if (fps.frames, fps.seconds) != (clip.fps, 1) {
            filters.push(format!("fps={}", clip.fps));
        }
        let picture = Input {
            args: input,
            url: "pipe:0".into(),
            filters,
        };
        let job = clip_job(toolbox, picture, &clip, output)?;
        let mut child = Child::spawn(
            toolbox,
            Job {
                feed: Feed::Pieces,
                ..job
            },
        )?;
        let stdin = child.stdin.take();
        // One more than fills the clip: the rate filter looks one frame ahead.
        let needed = (u64::from(clip.num_frames) * u64::from(fps.frames))
            .div_ceil(u64::from(clip.fps) * u64::from(fps.seconds))
            + 1;
        let frame_bytes = width as usize * height as usize * 3;
        Ok(Self {
            child,
            stdin,
            frame_bytes,
            pushed: 0,
            needed,
            clip,
            output: output.to_path_buf(),
        })
    }

    /// Encodes one frame: rows from the top, each pixel red, green, blue. Frames beyond the clip's end are dropped.
    pub fn push(&mut self, rgb: &[u8]) -> Result<(), MediaFailure> {
        if rgb.len() != self.frame_bytes {
            return Err(usage(format!(
                "a frame has {} bytes instead of {}",
                rgb.len(),
                self.frame_bytes
            )));
        }
        self.pushed += 1;
        if self.pushed > self.needed {
            return Ok(());
        }
        let Some(stdin) = self.stdin.as_mut() else {
            return Ok(());
        };
        self.child.start_clock();
        let written = stdin.write_all(rgb);
        self.child.stop_clock();
        if written.is_err() {
            // The child closed its side: it has all it needs, or it failed. Its ending tells which.
            self.stdin = None;
            match self.child.end()? {
                Ending::Success => {}
                ending => {
                    return Err(MediaFailure::Child {
                        detail: ending.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Ends the input, waits for the file, and checks it.
    pub fn finish(mut self) -> Result<EncodedClip, MediaFailure> {
        if self.pushed == 0 {
            return Err(usage("a clip needs at least one frame".to_owned()));
        }
        if self.stdin.take().is_some() {
            match self.child.end()? {
                Ending::Success => {}
                ending => {
                    return Err(MediaFailure::Child {
                        detail: ending.to_string(),
                    });
                }
            }
        }
        finished(&self.output, &self.clip)
    }
}

/// Brings a finished MP4 or MOV (from an upstream engine, say) to the same contract. `Sound::From` may name the source
/// itself to keep its sound.
pub fn transcode_file(
    toolbox: &Toolbox,
    source: &Path,
    clip: ClipOptions,
    output: &Path,
) -> Result<EncodedClip, MediaProblem> {
    clip.check()?;
    let format = probe::recognise(source, MediaKind::Clip)?;
    let mut args: Vec<OsString> = probe::input_options(format)
        .into_iter()
        .map(OsString::from)
        .collect();
    args.extend(["-max_pixels".into(), MAX_VIDEO_PIXELS.to_string().into()]);
    let filters = vec![
        SQUARE_PIXELS.to_owned(),
        fit_filters(Fit::Cover, clip.width, clip.height, TO_VIDEO),
        "format=yuv420p".to_owned(),
        format!("fps={}", clip.fps),
    ];
    let picture = Input {
        args,
        url: probe::file_url(source),
        filters,
    };
    let mut job = clip_job(toolbox, picture, &clip, output)?;
    job.read.push(source.to_path_buf());
    let mut child = Child::spawn(toolbox, job).map_err(MediaFailure::from)?;
    // The child works alone; only its processor time bounds it.
    match child.end_at_leisure().map_err(MediaFailure::from)?.defect() {
        None => Ok(finished(output, &clip)?),
        Some(defect) => Err(defect.into()),
    }
}

/// Writes the first frame of a clip as a JPEG of the same pixel size.
pub fn poster(toolbox: &Toolbox, clip: &Path, output: &Path) -> Result<(), MediaProblem> {
    let format = probe::recognise(clip, MediaKind::Clip)?;
    create(output)?;
    let mut job = probe::file_job(toolbox, clip, format, MAX_VIDEO_PIXELS, &[]);
    let filters = format!("{SQUARE_PIXELS},scale=out_color_matrix=bt601:out_range=pc,format=yuvj420p");
    job.args
        .extend(words(&format!("-map 0:V:0 -vf {filters} -frames:v 1")));
    job.args
        .extend(words("-c:v mjpeg -q:v 3 -map_metadata -1 -fflags +bitexact"));
    job.args.extend(words("-flags:v +bitexact -f mjpeg -y"));
    job.args.push(probe::file_url(output));
    job.write = vec![output.to_path_buf()];
    let ending = Child::run(toolbox, job, &mut |_| {}).map_err(MediaFailure::from)?;
    match ending.defect() {
        None if probe::file_bytes(output)? > 0 => Ok(()),
        None => Err(MediaDefect::Undecodable.into()),
        Some(defect) => Err(defect.into()),
    }
}

/// Writes a picture as a JPEG that appears whole: rows from the top, each pixel red, green, blue.
pub fn picture(
    toolbox: &Toolbox,
    width: u32,
    height: u32,
    rgb: &[u8],
    output: &Path,
) -> Result<(), MediaFailure> {
    let jpeg = jpeg(toolbox, width, height, rgb.to_vec(), "-q:v 2 -pix_fmt yuvj444p")?;
    let mut part = output.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    fs::write(&part, jpeg).map_err(|source| MediaFailure::write(&part, source))?;
    fs::rename(&part, output).map_err(|source| MediaFailure::write(output, source))
}

/// A picture as a small JPEG for a look in passing, of at most `side_max` pixels on its longer side.
pub fn thumbnail(
    toolbox: &Toolbox,
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    side_max: u32,
) -> Result<Vec<u8>, MediaFailure> {
    let longer = u64::from(width.max(height).max(1));
    let scaled = |side: u32| (u64::from(side) * u64::from(side_max).min(longer)).div_ceil(longer);
    let coding = format!(
        "-vf scale={}:{} -q:v 5 -pix_fmt yuvj420p",
        scaled(width),
        scaled(height)
    );
    jpeg(toolbox, width, height, rgb, &coding)
}

fn jpeg(
    toolbox: &Toolbox,
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    coding: &str,
) -> Result<Vec<u8>, MediaFailure> {
    if rgb.is_empty() || rgb.len() != width as usize * height as usize * 3 {
        return Err(usage(format!(
            "a picture of {width}×{height} has {} bytes",
            rgb.len()
        )));
    }
    let mut job = Job {
        feed: Feed::Bytes(rgb),
        ..Job::probe(words("-hide_banner -nostdin -loglevel error"))
    };
    job.args.extend(words(&format!(
        "-f rawvideo -pix_fmt rgb24 -video_size {width}x{height} -i pipe:0 -frames:v 1 {coding} -c:v mjpeg -f mjpeg pipe:1"
    )));
    let mut jpeg = Vec::new();
    match Child::run(toolbox, job, &mut |bytes| jpeg.extend_from_slice(bytes))?.defect() {
        None => Ok(jpeg),
        Some(defect) => Err(MediaFailure::Child {
            detail: defect.to_string(),
        }),
    }
}

/// Scaling options that turn RGB or any other matrix into the one the clip is tagged with.
const TO_VIDEO: &str = ":out_color_matrix=bt709:out_range=tv";
const SOUND_HERTZ: u32 = 48_000;

/// The input whose pictures are encoded.
struct Input {
    args: Vec<OsString>,
    url: OsString,
    filters: Vec<String>,
}

/// The whole command line from one input of pictures to the finished file.
fn clip_job(
    toolbox: &Toolbox,
    picture: Input,
    clip: &ClipOptions,
    output: &Path,
) -> Result<Job, MediaFailure> {
    create(output)?;
    let ClipOptions {
        fps,
        num_frames,
        preset,
        ..
    } = clip;
    let sound = sound_input(toolbox, &clip.sound)?;
    let threads = toolbox.limits().threads.to_string();
    let mut args: Vec<OsString> = words(&format!(
        "-hide_banner -nostdin -loglevel error -filter_threads {threads}"
    ));
    args.extend(picture.args);
    args.extend(["-i".into(), picture.url]);
    let read = match sound {
        SoundInput::Silence => {
            args.extend(words(&format!(
                "-f lavfi -i anullsrc=channel_layout=stereo:sample_rate={SOUND_HERTZ}"
            )));
            Vec::new()
        }
        SoundInput::File { path, format, start } => {
            args.extend(probe::input_options(format).into_iter().map(OsString::from));
            args.extend(words(&format!("-vn -ss {start} -i")));
            args.push(probe::file_url(&path));
            vec![path]
        }
    };
    // The last frame is held for as long as needed, then the trim ends the picture. (An output limit on frames would
    // end the sound with it, before it is complete.)
    let filters = format!(
        "{},tpad=stop=-1:stop_mode=clone,trim=end_frame={num_frames}",
        picture.filters.join(",")
    );
    let length = format!("{:.6}", clip.duration_s());
    let sound = format!(
        "aresample={SOUND_HERTZ}:async=1:first_pts=0,aformat=channel_layouts=stereo,apad,atrim=end={length}"
    );
    let key_frames = fps * 2;
    args.extend(words(&format!(
        "-map 0:V:0 -vf {filters} -r {fps} -map 1:a:0 -af {sound}"
    )));
    args.extend(words(&format!(
        "-c:v libx264 -preset {} -profile:v high -crf 20",
        preset.name()
    )));
    args.extend(words(&format!("-g {key_frames} -threads {threads}")));
    args.extend(words(COLOUR_TAGS));
    args.extend(words("-c:a aac -b:a 160k"));
    args.extend(words(CLEAN_FILE));
    args.push(probe::file_url(output));
    Ok(Job {
        args,
        read,
        write: vec![output.to_path_buf()],
        feed: Feed::Nothing,
        span: Span::Stream,
    })
}

const COLOUR_TAGS: &str = "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv";
/// No word of the inputs' or of ours in the file, and its index first.
const CLEAN_FILE: &str = "-map_metadata -1 -map_chapters -1 -fflags +bitexact -flags:v +bitexact \
    -flags:a +bitexact -movflags +faststart -f mp4 -y";

enum SoundInput {
    Silence,
    File {
        path: PathBuf,
        format: Format,
        start: String,
    },
}

fn sound_input(toolbox: &Toolbox, sound: &Sound) -> Result<SoundInput, MediaFailure> {
    let Sound::From { path, start_ms } = sound else {
        return Ok(SoundInput::Silence);
    };
    let format = Format::of_file(path).map_err(|source| MediaFailure::read(path, source))?;
    match format {
        Some(format @ (Format::Mp4 | Format::Mov | Format::Wav | Format::Mp3))
            if probe::has_sound(toolbox, path, format)? =>
        {
            Ok(SoundInput::File {
                path: path.clone(),
                format,
                start: seconds(*start_ms),
            })
        }
        Some(_) | None => Ok(SoundInput::Silence),
    }
}

/// The file must exist before the sandbox can allow writing it.
fn create(output: &Path) -> Result<(), MediaFailure> {
    File::create(output)
        .map(drop)
        .map_err(|source| MediaFailure::write(output, source))
}

/// Reads back what was written: the promised number of frames must really be there.
fn finished(output: &Path, clip: &ClipOptions) -> Result<EncodedClip, MediaFailure> {
    let unreadable = |problem: MediaProblem| match problem {
        MediaProblem::Failure(failure) => failure,
        MediaProblem::Defect(defect) => MediaFailure::Child {
            detail: format!("the clip written {defect}"),
        },
    };
    let movie = container::read(output).map_err(unreadable)?;
    let num_frames = movie.picture().map_or(0, |track| track.samples);
    if num_frames != clip.num_frames || !movie.index_first {
        let detail = format!(
            "the clip written has {num_frames} frames instead of {}",
            clip.num_frames
        );
        return Err(MediaFailure::Child { detail });
    }
    let bytes = fs::metadata(output)
        .map_err(|source| MediaFailure::read(output, source))?
        .len();
    let duration_ms = u64::from(num_frames) * 1000 / u64::from(clip.fps);
    Ok(EncodedClip {
        bytes,
        width: clip.width,
        height: clip.height,
        num_frames,
        duration_ms,
    })
}

fn usage(detail: String) -> MediaFailure {
    MediaFailure::Usage { detail }
}
