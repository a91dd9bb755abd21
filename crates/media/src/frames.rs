//! Media to frames: one still, or a clip's pictures one after the other in constant memory, at the size asked for.

use std::{
    ffi::OsString,
    io::{ErrorKind, Read},
    path::Path,
    process::ChildStdout,
};

use crate::{
    child::{Child, Span, words},
    image_header::FirstPicture,
    limits::MediaKind,
    probe::{self, MAX_VIDEO_PIXELS, SQUARE_PIXELS, Still},
    problem::{MediaDefect, MediaFailure, MediaProblem},
    sniff::Format,
    toolbox::Toolbox,
};

/// One picture: rows from the top, each pixel red, green, blue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

/// How a picture of another ratio is brought to the size asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// Keep the ratio, fill the size, cut away what stands out, equally on both sides.
    #[default]
    Cover,
    /// Change the ratio.
    Stretch,
    /// Cut to the ratio of this size as [`Fit::Cover`] does, then change it to the one asked for.
    CutTo {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
}

/// Frames per second, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fps {
    /// Frames.
    pub frames: u32,
    /// In so many seconds.
    pub seconds: u32,
}

impl Fps {
    /// A whole number of frames per second.
    pub const fn new(frames: u32) -> Self {
        Self { frames, seconds: 1 }
    }
}

impl std::fmt::Display for Fps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.frames, self.seconds)
    }
}

/// What [`FrameReader::open`] is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Width of the frames.
    pub width: u32,
    /// Height of the frames.
    pub height: u32,
    /// The rate the clip is resampled to.
    pub fps: Fps,
    /// Where in the clip to begin.
    pub start_ms: u64,
    /// How many frames at most.
    pub max_frames: u32,
    /// How the clip's ratio is brought to the frames'.
    pub fit: Fit,
}

/// Decodes a still to a frame of this size: orientation applied, transparency on white.
pub fn decode_image(
    toolbox: &Toolbox,
    path: &Path,
    width: u32,
    height: u32,
    fit: Fit,
) -> Result<Frame, MediaProblem> {
    let format = probe::recognise(path, MediaKind::Image)?;
    let still = Still::open(path, format)?;
    let (shown_width, shown_height) = still.header.shown_size();
    MediaKind::Image
        .check_size(shown_width, shown_height)
        .map_err(MediaDefect::from)?;
    let filters = still_filters(&still, width, height, fit);
    let args = [
        "-vf",
        &filters,
        "-frames:v",
        "1",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgba",
        "pipe:1",
    ];
    let job = still.job(toolbox, args.map(OsString::from));
    let pixels = width as usize * height as usize;
    let mut rgba = Vec::with_capacity(pixels * 4);
    let ending =
        Child::run(toolbox, job, &mut |bytes| rgba.extend_from_slice(bytes)).map_err(MediaFailure::from)?;
    match ending.defect() {
        None if rgba.len() == pixels * 4 => Ok(Frame {
            width,
            height,
            rgb: on_white(&rgba),
        }),
        None => Err(MediaDefect::Undecodable.into()),
        Some(defect) => Err(defect.into()),
    }
}

/// A clip's pictures, decoded as they are asked for. Ends after the first error.
pub struct FrameReader {
    child: Child,
    stdout: ChildStdout,
    width: u32,
    height: u32,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Empty,
    Reading,
    Over,
}

impl FrameReader {
    /// Begins decoding an MP4 or MOV.
    pub fn open(toolbox: &Toolbox, path: &Path, options: ReadOptions) -> Result<Self, MediaProblem> {
        let ReadOptions {
            width,
            height,
            fps,
            start_ms,
            max_frames,
            fit,
        } = options;
        let format = probe::recognise(path, MediaKind::Clip)?;
        let start = seconds(start_ms);
        let mut job = probe::file_job(toolbox, path, format, MAX_VIDEO_PIXELS, &["-ss", &start]);
        let filters = format!(
            "fps={fps},{SQUARE_PIXELS},{}",
            fit_filters(fit, width, height, "")
        );
        let frames = max_frames.to_string();
        job.args
            .extend(words(&format!("-map 0:V:0 -vf {filters} -frames:v {frames}")));
        job.args.extend(words("-f rawvideo -pix_fmt rgb24 pipe:1"));
        job.span = Span::Stream;
        let mut child = Child::spawn(toolbox, job).map_err(MediaFailure::from)?;
        let stdout = child
            .stdout
            .take()
            .expect("a child is spawned with its output piped");
        Ok(Self {
            child,
            stdout,
            width,
            height,
            state: State::Empty,
        })
    }

    fn read_frame(&mut self) -> Result<Option<Frame>, MediaProblem> {
        let mut rgb = vec![0; self.width as usize * self.height as usize * 3];
        self.child.start_clock();
        let read = self.stdout.read_exact(&mut rgb);
        self.child.stop_clock();
        match read {
            Ok(()) => {
                self.state = State::Reading;
                Ok(Some(Frame {
                    width: self.width,
                    height: self.height,
                    rgb,
                }))
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.finish(),
            Err(source) => Err(MediaFailure::Child {
                detail: source.to_string(),
            }
            .into()),
        }
    }

    fn finish(&mut self) -> Result<Option<Frame>, MediaProblem> {
        let ending = self.child.end().map_err(MediaFailure::from)?;
        match ending.defect() {
            Some(defect) => Err(defect.into()),
            None if self.state == State::Empty => Err(MediaDefect::Undecodable.into()),
            None => Ok(None),
        }
    }
}

impl Iterator for FrameReader {
    type Item = Result<Frame, MediaProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Over {
            return None;
        }
        let frame = self.read_frame().transpose();
        if !matches!(frame, Some(Ok(_))) {
            self.state = State::Over;
        }
        frame
    }
}

/// The filters that bring any picture to a size; `scale` are further options of the scaling.
pub(crate) fn fit_filters(fit: Fit, width: u32, height: u32, scale: &str) -> String {
    let scaled = format!("scale={width}:{height}:flags=bicubic+accurate_rnd{scale},setsar=1");
    let (width, height) = match fit {
        Fit::Cover => (width, height),
        Fit::CutTo { width, height } => (width, height),
        Fit::Stretch => return scaled,
    };
    // Cutting first leaves less to scale.
    let (across, down) = (
        format!("min(iw,round(ih*{width}/{height}))"),
        format!("min(ih,round(iw*{height}/{width}))"),
    );
    format!("crop=w='{across}':h='{down}',{scaled}")
}

/// ffmpeg's way to write a time.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Upright, then to size, with colours weighed by their opacity so that transparent pixels do not bleed.
fn still_filters(still: &Still, width: u32, height: u32, fit: Fit) -> String {
    let mut filters = Vec::new();
    if still.format != Format::Jpeg {
        filters.push("format=gbrap,premultiply=inplace=1".to_owned());
    }
    if let FirstPicture::WebpFrame { x, y, .. } = still.header.first_picture {
        let (canvas_width, canvas_height) = (still.header.width, still.header.height);
        filters.push(format!(
            "pad={canvas_width}:{canvas_height}:{x}:{y}:color=black@0"
        ));
    }
    filters.extend(
        still
            .header
            .orientation
            .filters()
            .iter()
            .map(|&filter| filter.to_owned()),
    );
    filters.push(fit_filters(fit, width, height, ""));
    filters.join(",")
}

/// Colours already weighed by their opacity, laid on white.
fn on_white(rgba: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for pixel in rgba.chunks_exact(4) {
        let white = 255 - pixel[3];
        rgb.extend(pixel[..3].iter().map(|colour| colour.saturating_add(white)));
    }
    rgb
}
