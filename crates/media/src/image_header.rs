//! The header of a still, read without decoding: its size and orientation, and whether the file is whole.
//!
//! A picture that claims sixty thousand pixels a side is refused here, before anything allocates for it. Decoding is
//! the sandboxed child's work.

use crate::{problem::MediaDefect, sniff::Format};

/// What a still's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// Width as stored, in pixels.
    pub width: u32,
    /// Height as stored, in pixels.
    pub height: u32,
    /// How it must be turned to be seen upright.
    pub orientation: Orientation,
    /// Where the first picture lies, if there are several and ffmpeg cannot find it alone.
    pub first_picture: FirstPicture,
}

impl ImageHeader {
    /// Width and height as seen.
    pub fn shown_size(&self) -> (u32, u32) {
        if self.orientation.swaps_sides() {
            (self.height, self.width)
        } else {
            (self.width, self.height)
        }
    }
}

/// The eight EXIF orientations, named by what must be done to see the picture upright.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    /// Nothing.
    #[default]
    Upright,
    /// Mirror left and right.
    Mirror,
    /// Turn by half.
    Half,
    /// Mirror top and bottom.
    Flip,
    /// Mirror along the main diagonal.
    Transpose,
    /// Turn clockwise by a quarter.
    Clockwise,
    /// Mirror along the other diagonal.
    Transverse,
    /// Turn counter-clockwise by a quarter.
    CounterClockwise,
}

impl Orientation {
    /// From EXIF's number; unknown numbers are upright.
    pub fn from_exif(value: u16) -> Self {
        match value {
            2 => Self::Mirror,
            3 => Self::Half,
            4 => Self::Flip,
            5 => Self::Transpose,
            6 => Self::Clockwise,
            7 => Self::Transverse,
            8 => Self::CounterClockwise,
            _ => Self::Upright,
        }
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        match self {
            Self::Upright | Self::Mirror | Self::Half | Self::Flip => false,
            Self::Transpose | Self::Clockwise | Self::Transverse | Self::CounterClockwise => true,
        }
    }

    /// The ffmpeg filters that do it.
    pub(crate) fn filters(self) -> &'static [&'static str] {
        match self {
            Self::Upright => &[],
            Self::Mirror => &["hflip"],
            Self::Half => &["hflip", "vflip"],
            Self::Flip => &["vflip"],
            Self::Transpose => &["transpose=cclock_flip"],
            Self::Clockwise => &["transpose=clock"],
            Self::Transverse => &["transpose=clock_flip"],
            Self::CounterClockwise => &["transpose=cclock"],
        }
    }
}

/// Where the picture to decode lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstPicture {
    /// The decoder finds it.
    Whole,
    /// The first frame of a WebP animation, which decoders of stills refuse: its chunks and its place on the canvas.
    WebpFrame {
        /// First byte of its chunks.
        start: usize,
        /// One past their last byte.
        end: usize,
        /// Left edge on the canvas.
        x: u32,
        /// Top edge on the canvas.
        y: u32,
        /// The frame's own width.
        width: u32,
        /// The frame's own height.
        height: u32,
    },
}

/// Reads the header of a whole still of this format.
pub fn read(format: Format, file: &[u8]) -> Result<ImageHeader, MediaDefect> {
    let header = match format {
        Format::Jpeg => jpeg(file),
        Format::Png => png(file),
        Format::Bmp => bmp(file),
        Format::Webp => webp(file),
        Format::Mp4 | Format::Mov | Format::Wav | Format::Mp3 => {
            unreachable!("only formats of stills are read as stills")
        }
    }?;
    if header.width == 0 || header.height == 0 {
        return Err(MediaDefect::Truncated);
    }
    Ok(header)
}

/// The first picture of a WebP animation as a still of its own: the same chunks under a new header.
pub(crate) fn webp_still(file: &[u8], start: usize, end: usize, width: u32, height: u32) -> Vec<u8> {
    let chunks = &file[start..end];
    let mut still = b"RIFF\0\0\0\0WEBP".to_vec();
    if chunks.starts_with(b"ALPH") {
        still.extend(b"VP8X\x0A\0\0\0\x10\0\0\0");
        still.extend(&(width - 1).to_le_bytes()[..3]);
        still.extend(&(height - 1).to_le_bytes()[..3]);
    }
    still.extend(chunks);
    let length = u32::try_from(still.len() - 8).unwrap_or(u32::MAX);
    still[4..8].copy_from_slice(&length.to_le_bytes());
    still
}

const CUT: MediaDefect = MediaDefect::Truncated;

fn jpeg(file: &[u8]) -> Result<ImageHeader, MediaDefect> {
    let mut size = None;
    let mut orientation = Orientation::Upright;
    let mut at = 2;
    loop {
        // Any number of fill bytes may stand before a marker.
        while file.get(at) == Some(&0xFF) && file.get(at + 1) == Some(&0xFF) {
            at += 1;
        }
        let (Some(0xFF), Some(&marker)) = (file.get(at), file.get(at + 1)) else {
            return Err(CUT);
        };
        let length = usize::from(u16_be(file, at + 2)?);
        let body = file.get(at + 4..at + 2 + length.max(2)).ok_or(CUT)?;
        match marker {
            0xC0..=0xC2 if body.len() >= 5 => {
                size = Some((u32::from(u16_be(body, 3)?), u32::from(u16_be(body, 1)?)));
            }
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return Err(MediaDefect::Unsupported {
                    what: "a rare JPEG coding",
                });
            }
            0xE1 => {
                if let Some(tiff) = body.strip_prefix(b"Exif\0\0") {
                    orientation = exif_orientation(tiff).unwrap_or_default();
                }
            }
            // The picture's data begins: from here on only its end matters.
            0xDA => break,
            _ => {}
        }
        at += 2 + length;
    }
    // Inside the data 0xFF is always followed by 0, so this pair is the true end.
    let whole = file[at..].windows(2).any(|pair| pair == [0xFF, 0xD9]);
    match size {
        Some((width, height)) if whole => Ok(ImageHeader {
            width,
            height,
            orientation,
            first_picture: FirstPicture::Whole,
        }),
        Some(_) | None => Err(CUT),
    }
}

fn png(file: &[u8]) -> Result<ImageHeader, MediaDefect> {
    if file.get(12..16) != Some(b"IHDR") {
        return Err(CUT);
    }
    let (width, height) = (u32_be(file, 16)?, u32_be(file, 20)?);
    let mut orientation = Orientation::Upright;
    let mut at = 8;
    loop {
        let length = u32_be(file, at)? as usize;
        let kind = file.get(at + 4..at + 8).ok_or(CUT)?;
        let end = at
            .checked_add(length)
            .and_then(|end| end.checked_add(12))
            .ok_or(CUT)?;
        let body = file.get(at + 8..end - 4).ok_or(CUT)?;
        match kind {
            b"eXIf" => orientation = exif_orientation(body).unwrap_or_default(),
            b"IEND" => break,
            _ => {}
        }
        at = end;
    }
    Ok(ImageHeader {
        width,
        height,
        orientation,
        first_picture: FirstPicture::Whole,
    })
}

fn bmp(file: &[u8]) -> Result<ImageHeader, MediaDefect> {
    let data_start = u64::from(u32_le(file, 10)?);
    let (width, height, bits, compression) = match u32_le(file, 14)? {
        12 => (
            u32::from(u16_le(file, 18)?),
            i32::from(u16_le(file, 20)?),
            u16_le(file, 24)?,
            0,
        ),
        _ => (
            u32_le(file, 18)?,
            u32_le(file, 22)?.cast_signed(),
            u16_le(file, 28)?,
            u32_le(file, 30)?,
        ),
    };
    let height = height.unsigned_abs();
    // Run lengths (1, 2) have no size to check; 0 and bit fields do.
    if matches!(compression, 0 | 3 | 6) {
        let row_bytes = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
        let needed = row_bytes
            .checked_mul(u64::from(height))
            .and_then(|data| data.checked_add(data_start));
        let fits = needed.is_some_and(|needed| needed <= file.len() as u64);
        // A size beyond every limit is reported as such, not as a cut file.
        if !fits && width <= 65_535 && height <= 65_535 && width.max(height) <= 8000 {
            return Err(CUT);
        }
    }
    Ok(ImageHeader {
        width,
        height,
        orientation: Orientation::Upright,
        first_picture: FirstPicture::Whole,
    })
}

fn webp(file: &[u8]) -> Result<ImageHeader, MediaDefect> {
    let end = u32_le(file, 4)? as usize + 8;
    if end > file.len() {
        return Err(CUT);
    }
    let mut size = None;
    let mut orientation = Orientation::Upright;
    let mut first_picture = None;
    let mut at = 12;
    while at + 8 <= end {
        let kind = &file[at..at + 4];
        let length = u32_le(file, at + 4)? as usize;
        let body = file
            .get(at + 8..(at + 8).checked_add(length).ok_or(CUT)?)
            .ok_or(CUT)?;
        match kind {
            b"VP8X" => size = Some((u24_le(body, 4)? + 1, u24_le(body, 7)? + 1)),
            b"VP8 " | b"VP8L" => {
                size = Some(match size {
                    Some(canvas) => canvas,
                    None => webp_picture_size(kind, body)?,
                });
                first_picture.get_or_insert(FirstPicture::Whole);
            }
            b"ANMF" if first_picture.is_none() => first_picture = Some(webp_frame(body, at + 8)?),
            b"EXIF" => {
                let tiff = body.strip_prefix(b"Exif\0\0").unwrap_or(body);
                orientation = exif_orientation(tiff).unwrap_or_default();
            }
            _ => {}
        }
        at += 8 + length + length % 2;
    }
    match (size, first_picture) {
        (Some((width, height)), Some(first_picture)) => Ok(ImageHeader {
            width,
            height,
            orientation,
            first_picture,
        }),
        _ => Err(CUT),
    }
}

fn webp_frame(body: &[u8], body_start: usize) -> Result<FirstPicture, MediaDefect> {
    if body.len() < 24 {
        return Err(CUT);
    }
    let (x, y) = (u24_le(body, 0)? * 2, u24_le(body, 3)? * 2);
    let (width, height) = (u24_le(body, 6)? + 1, u24_le(body, 9)? + 1);
    Ok(FirstPicture::WebpFrame {
        start: body_start + 16,
        end: body_start + body.len(),
        x,
        y,
        width,
        height,
    })
}

fn webp_picture_size(kind: &[u8], body: &[u8]) -> Result<(u32, u32), MediaDefect> {
    if kind == b"VP8L" {
        let bits = u32_le(body, 1)?;
        return Ok(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1));
    }
    Ok((
        u32::from(u16_le(body, 6)?) & 0x3FFF,
        u32::from(u16_le(body, 8)?) & 0x3FFF,
    ))
}

/// The orientation in the first directory of a TIFF structure.
fn exif_orientation(tiff: &[u8]) -> Option<Orientation> {
    const TAG: u16 = 0x0112;
    let big_endian = match tiff.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    };
    let long = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    };
    let directory = long(4)? as usize;
    let entries = usize::from(short(directory)?);
    (0..entries)
        .map(|entry| directory + 2 + entry * 12)
        .find_map(|entry| {
            (short(entry)? == TAG)
                .then(|| short(entry + 8))
                .flatten()
                .map(Orientation::from_exif)
        })
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Result<[u8; N], MediaDefect> {
    from.get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .ok_or(CUT)
}

fn u16_be(from: &[u8], at: usize) -> Result<u16, MediaDefect> {
    bytes(from, at).map(u16::from_be_bytes)
}

fn u32_be(from: &[u8], at: usize) -> Result<u32, MediaDefect> {
    bytes(from, at).map(u32::from_be_bytes)
}

fn u16_le(from: &[u8], at: usize) -> Result<u16, MediaDefect> {
    bytes(from, at).map(u16::from_le_bytes)
}

fn u32_le(from: &[u8], at: usize) -> Result<u32, MediaDefect> {
    bytes(from, at).map(u32::from_le_bytes)
}

fn u24_le(from: &[u8], at: usize) -> Result<u32, MediaDefect> {
    bytes::<3>(from, at).map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
}
