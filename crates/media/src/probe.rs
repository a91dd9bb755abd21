//! Facts about a medium, measured in the sandboxed child: real sizes after turning, real lengths by what is in the
//! file. What a header merely claims is not believed.
//!
//! Lengths come from packets (pictures) and decoded samples (sound). Both work with ffmpeg alone; ffprobe is not
//! needed.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Read,
    path::Path,
};

use crate::{
    child::{Child, Ending, Feed, Job, words},
    container,
    image_header::{self, FirstPicture, ImageHeader},
    limits::MediaKind,
    problem::{MediaDefect, MediaFailure, MediaProblem},
    sniff::Format,
    toolbox::Toolbox,
};

/// What was measured about a still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its format.
    pub format: Format,
    /// Width as shown, EXIF orientation applied.
    pub width: u32,
    /// Height as shown.
    pub height: u32,
    /// Size of the file.
    pub bytes: u64,
}

/// What was measured about a clip.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoFacts {
    /// Width as shown: rotation and pixel shape applied.
    pub width: u32,
    /// Height as shown.
    pub height: u32,
    /// From the first picture's beginning to the last one's end.
    pub duration_ms: u64,
    /// Pictures per second, on average.
    pub fps: f64,
    /// Whether there is a sound track.
    pub has_audio: bool,
    /// Size of the file.
    pub bytes: u64,
}

/// What was measured about a sound track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFacts {
    /// Length of the decoded sound; measuring ends at [`MAX_SOUND_MS`].
    pub duration_ms: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// No sound is measured beyond this length.
pub const MAX_SOUND_MS: u64 = 300_000;
/// No clip of the longest accepted length has more pictures than this: it would be 600 a second.
const MAX_PICTURES: u64 = 18_000;
/// The longest accepted clip may carry so many packets of sound and pictures together.
const MAX_PACKETS: u64 = 200_000;
/// No decoder may allocate a picture beyond these.
pub(crate) const MAX_VIDEO_PIXELS: u64 = 4096 * 4096;
pub(crate) const MAX_IMAGE_PIXELS: u64 = 8000 * 8000;

/// Measures a still: a JPEG, PNG, BMP or WEBP. The size is known before anything is decoded; then the child decodes it
/// once, so that a damaged file is refused now.
pub fn probe_image(toolbox: &Toolbox, path: &Path) -> Result<ImageFacts, MediaProblem> {
    let format = recognise(path, MediaKind::Image)?;
    let still = Still::open(path, format)?;
    let (width, height) = still.header.shown_size();
    MediaKind::Image
        .check_size(width, height)
        .map_err(MediaDefect::from)?;
    let bytes = still.file.len() as u64;
    let mut output = Vec::new();
    let args = ["-map", "0:v:0", "-frames:v", "1", "-f", "framecrc", "pipe:1"];
    let job = still.job(toolbox, args.map(OsString::from));
    let ending =
        Child::run(toolbox, job, &mut |bytes| output.extend_from_slice(bytes)).map_err(MediaFailure::from)?;
    if let Some(defect) = ending.defect() {
        return Err(defect.into());
    }
    match Streams::of(&output).packets {
        0 => Err(MediaDefect::Undecodable.into()),
        _ => Ok(ImageFacts {
            format,
            width,
            height,
            bytes,
        }),
    }
}

/// Measures a clip: an MP4 or MOV.
pub fn probe_video(toolbox: &Toolbox, path: &Path) -> Result<VideoFacts, MediaProblem> {
    let format = recognise(path, MediaKind::Clip)?;
    container::read(path)?;
    let streams = list_packets(toolbox, path, format)?;
    let picture = streams
        .picture()
        .ok_or(MediaDefect::NoStream { stream: "picture" })?;
    let (width, height) = match picture.size {
        // Beyond every limit: the stored size says enough, and nothing is decoded.
        Some((width, height)) if u64::from(width) * u64::from(height) > MAX_VIDEO_PIXELS => (width, height),
        _ => decode_first_picture(toolbox, path, format)?,
    };
    let duration_ms = picture.duration_ms();
    let bytes = file_bytes(path)?;
    if streams.cut_short && duration_ms <= 60_000 {
        return Err(MediaDefect::TooExpensive.into());
    }
    let fps = if duration_ms == 0 {
        0.0
    } else {
        picture.packets as f64 * 1000.0 / duration_ms as f64
    };
    Ok(VideoFacts {
        width,
        height,
        duration_ms,
        fps,
        has_audio: streams.sound().is_some(),
        bytes,
    })
}

/// Measures a sound track: a WAV or MP3.
pub fn probe_audio(toolbox: &Toolbox, path: &Path) -> Result<AudioFacts, MediaProblem> {
    /// Samples are counted at this rate: a few bytes for each millisecond are precise enough.
    const HERTZ: u64 = 8000;
    let format = recognise(path, MediaKind::Audio)?;
    let mut job = file_job(toolbox, path, format, MAX_VIDEO_PIXELS, &[]);
    let limit = format!("{}", MAX_SOUND_MS / 1000);
    let rate = HERTZ.to_string();
    job.args.extend(words(&format!(
        "-map 0:a:0 -t {limit} -ac 1 -ar {rate} -f u8 pipe:1"
    )));
    let mut samples = 0u64;
    let ending =
        Child::run(toolbox, job, &mut |bytes| samples += bytes.len() as u64).map_err(MediaFailure::from)?;
    match ending {
        Ending::Success if samples > 0 => {}
        Ending::Success => return Err(MediaDefect::Undecodable.into()),
        Ending::Failed(_) => return Err(MediaDefect::Undecodable.into()),
        Ending::Exhausted => return Err(MediaDefect::TooExpensive.into()),
    }
    Ok(AudioFacts {
        duration_ms: (samples * 1000 + HERTZ / 2) / HERTZ,
        bytes: file_bytes(path)?,
    })
}

/// Whether the file has sound that can be decoded.
pub(crate) fn has_sound(toolbox: &Toolbox, path: &Path, format: Format) -> Result<bool, MediaFailure> {
    let mut job = file_job(toolbox, path, format, MAX_VIDEO_PIXELS, &[]);
    job.args.extend(words("-map 0:a:0 -frames:a 1 -f u8 pipe:1"));
    let mut found = false;
    let ending = Child::run(toolbox, job, &mut |bytes| found |= !bytes.is_empty())?;
    Ok(found && matches!(ending, Ending::Success))
}

/// The format of a file, if it is one that this kind takes.
pub(crate) fn recognise(path: &Path, kind: MediaKind) -> Result<Format, MediaProblem> {
    if file_bytes(path)? == 0 {
        return Err(MediaDefect::Empty.into());
    }
    let found = Format::of_file(path).map_err(|source| MediaFailure::read(path, source))?;
    let limits = kind.limits();
    found.filter(|format| limits.formats.contains(format)).ok_or(
        MediaDefect::Format {
            expected: limits.format_names,
        }
        .into(),
    )
}

/// A whole still in memory, which its kind's largest size bounds, with its header read.
pub(crate) struct Still {
    pub(crate) format: Format,
    pub(crate) header: ImageHeader,
    file: Vec<u8>,
}

impl Still {
    pub(crate) fn open(path: &Path, format: Format) -> Result<Self, MediaProblem> {
        let max = MediaKind::Image.max_bytes();
        let mut file = Vec::new();
        File::open(path)
            .and_then(|opened| opened.take(max + 1).read_to_end(&mut file))
            .map_err(|source| MediaFailure::read(path, source))?;
        MediaKind::Image
            .check_bytes(file.len() as u64)
            .map_err(MediaDefect::from)?;
        let header = image_header::read(format, &file)?;
        Ok(Self { format, header, file })
    }

    /// A job that reads this still from its standard input: the child opens no file at all.
    pub(crate) fn job(self, toolbox: &Toolbox, output: impl IntoIterator<Item = OsString>) -> Job {
        let Self { format, header, file } = self;
        let picture = match header.first_picture {
            FirstPicture::Whole => file,
            FirstPicture::WebpFrame {
                start,
                end,
                width,
                height,
                ..
            } => image_header::webp_still(&file, start, end, width, height),
        };
        let mut job = Job::probe(input_args(toolbox, format, MAX_IMAGE_PIXELS));
        // The header's orientation is applied by us, the same way for each format and version.
        job.args.extend(words("-noautorotate -i pipe:0"));
        job.args.extend(output);
        job.feed = Feed::Bytes(picture);
        job
    }
}

/// A job that reads a file; `before` are more options of the input.
pub(crate) fn file_job(toolbox: &Toolbox, path: &Path, format: Format, pixels: u64, before: &[&str]) -> Job {
    let mut job = Job::probe(input_args(toolbox, format, pixels));
    job.args.extend(before.iter().map(OsString::from));
    job.args.extend(["-i".into(), file_url(path)]);
    job.read = vec![path.to_path_buf()];
    job
}

/// The path as ffmpeg must be given it, whatever characters it holds.
pub(crate) fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

/// One demuxer, its few decoders, files and pipes only, bounded pictures.
pub(crate) fn input_args(toolbox: &Toolbox, format: Format, pixels: u64) -> Vec<OsString> {
    let threads = toolbox.limits().threads.to_string();
    let pixels = pixels.to_string();
    let mut args = vec!["-hide_banner", "-nostdin", "-loglevel", "error"];
    args.extend(input_options(format));
    args.extend(["-max_pixels", &pixels, "-threads", &threads]);
    args.into_iter().map(OsString::from).collect()
}

/// The options that tie one input to its format.
pub(crate) fn input_options(format: Format) -> Vec<&'static str> {
    let mut args = vec![
        "-protocol_whitelist",
        "file,pipe",
        "-codec_whitelist",
        format.decoders(),
    ];
    args.extend(["-f", format.demuxer()]);
    if matches!(format, Format::Mp4 | Format::Mov) {
        args.extend(["-enable_drefs", "0", "-use_absolute_path", "0"]);
    }
    args
}

pub(crate) fn file_bytes(path: &Path) -> Result<u64, MediaFailure> {
    fs::metadata(path)
        .map(|facts| facts.len())
        .map_err(|source| MediaFailure::read(path, source))
}

fn list_packets(toolbox: &Toolbox, path: &Path, format: Format) -> Result<Streams, MediaProblem> {
    let mut job = file_job(toolbox, path, format, MAX_VIDEO_PIXELS, &[]);
    let args = [
        "-map", "0:V:0", "-map", "0:a:0?", "-c", "copy", "-copyts", "-f", "framecrc", "pipe:1",
    ];
    job.args.extend(args.map(OsString::from));
    let mut streams = Streams::default();
    let ending =
        Child::run_until(toolbox, job, &mut |bytes| streams.read(bytes)).map_err(MediaFailure::from)?;
    match ending.and_then(|ending| ending.defect()) {
        // Without a picture there is nothing to map, which ffmpeg calls an error too.
        Some(MediaDefect::Undecodable) if streams.all.is_empty() => {
            Err(MediaDefect::NoStream { stream: "picture" }.into())
        }
        Some(defect) => Err(defect.into()),
        None => Ok(streams),
    }
}

/// Decodes one picture, as proof that it can be, and returns its size as shown.
fn decode_first_picture(toolbox: &Toolbox, path: &Path, format: Format) -> Result<(u32, u32), MediaProblem> {
    let mut job = file_job(toolbox, path, format, MAX_VIDEO_PIXELS, &[]);
    let square = [
        "-map",
        "0:V:0",
        "-vf",
        SQUARE_PIXELS,
        "-frames:v",
        "1",
        "-f",
        "framecrc",
        "pipe:1",
    ];
    job.args.extend(square.map(OsString::from));
    let mut output = Vec::new();
    let ending =
        Child::run(toolbox, job, &mut |bytes| output.extend_from_slice(bytes)).map_err(MediaFailure::from)?;
    if let Some(defect) = ending.defect() {
        return Err(defect.into());
    }
    let streams = Streams::of(&output);
    let size = streams
        .picture()
        .filter(|picture| picture.packets > 0)
        .and_then(|picture| picture.size);
    size.ok_or(MediaDefect::Undecodable.into())
}

/// Pixels as shown: what is stored with wide or tall pixels is widened.
pub(crate) const SQUARE_PIXELS: &str = "scale=w='min(16384,max(1,round(iw*sar)))':h=ih,setsar=1";

/// The list of packets that ffmpeg's framecrc output prints, folded as it comes.
#[derive(Default)]
struct Streams {
    all: Vec<Stream>,
    packets: u64,
    cut_short: bool,
    rest: Vec<u8>,
}

#[derive(Clone, Default)]
struct Stream {
    is_picture: bool,
    /// Seconds per tick.
    tick: (u64, u64),
    size: Option<(u32, u32)>,
    packets: u64,
    start: Option<i64>,
    end: i64,
}

impl Stream {
    /// A second in ticks: for more no picture counts, since how long the last one lasts is but a claim.
    fn second(&self) -> i64 {
        let (numerator, denominator) = self.tick;
        i64::try_from(denominator / numerator.max(1)).unwrap_or(i64::MAX)
    }

    fn duration_ms(&self) -> u64 {
        let (numerator, denominator) = self.tick;
        // Pictures before zero are decoded but cut away by the file's edit list.
        let ticks = self
            .end
            .saturating_sub(self.start.unwrap_or(0).max(0))
            .max(0)
            .unsigned_abs();
        let ms = u128::from(ticks) * u128::from(numerator) * 1000;
        let denominator = u128::from(denominator.max(1));
        u64::try_from((ms + denominator / 2) / denominator).unwrap_or(u64::MAX)
    }
}

impl Streams {
    fn of(output: &[u8]) -> Self {
        let mut streams = Self::default();
        streams.read(output);
        streams
    }

    fn picture(&self) -> Option<&Stream> {
        self.all.iter().find(|stream| stream.is_picture)
    }

    fn sound(&self) -> Option<&Stream> {
        self.all
            .iter()
            .find(|stream| !stream.is_picture && stream.packets > 0)
    }

    /// Reads some more output; `false` once there is too much of it.
    fn read(&mut self, bytes: &[u8]) -> bool {
        self.rest.extend_from_slice(bytes);
        let whole = self
            .rest
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            match line.strip_prefix('#') {
                Some(header) => self.header(header),
                None => self.packet(line),
            }
        }
        self.cut_short |=
            self.packets > MAX_PACKETS || self.picture().is_some_and(|p| p.packets > MAX_PICTURES);
        !self.cut_short
    }

    /// A line such as `dimensions 0: 1280x720`.
    fn header(&mut self, header: &str) {
        let Some((name, value)) = header.split_once(": ") else {
            return;
        };
        let Some((name, stream)) = name.rsplit_once(' ') else {
            return;
        };
        let Ok(stream @ 0..8) = stream.parse::<usize>() else {
            return;
        };
        if self.all.len() <= stream {
            self.all.resize(stream + 1, Stream::default());
        }
        let stream = &mut self.all[stream];
        let value = value.trim();
        match name {
            "tb" => stream.tick = pair(value, '/').unwrap_or((0, 1)),
            "media_type" => stream.is_picture = value == "video",
            "dimensions" => stream.size = pair(value, 'x'),
            _ => {}
        }
    }

    /// A line of stream, decoding time, showing time, length, bytes, checksum.
    fn packet(&mut self, line: &str) {
        let mut fields = line.split(',').map(str::trim);
        let mut number = || fields.next()?.parse::<i64>().ok();
        let (Some(stream), Some(_), Some(shown), Some(length)) = (number(), number(), number(), number())
        else {
            return;
        };
        let Some(stream) = usize::try_from(stream)
            .ok()
            .and_then(|index| self.all.get_mut(index))
        else {
            return;
        };
        stream.packets += 1;
        self.packets += 1;
        stream.start = Some(stream.start.map_or(shown, |start| start.min(shown)));
        stream.end = stream
            .end
            .max(shown.saturating_add(length.clamp(0, stream.second())));
    }
}

fn pair<T: std::str::FromStr>(text: &str, separator: char) -> Option<(T, T)> {
    let (left, right) = text.split_once(separator)?;
    Some((left.parse().ok()?, right.parse().ok()?))
}
