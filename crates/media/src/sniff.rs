//! Formats recognised by their first bytes, never by a name or a declared type.
//!
//! The answer also fixes the demuxer and the decoders ffmpeg may use, so that a file which is two formats at once is
//! only ever read as the one recognised here.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// A recognised format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG, animated or not.
    Png,
    /// Windows bitmap.
    Bmp,
    /// WebP, animated or not.
    Webp,
    /// MPEG-4 container.
    Mp4,
    /// QuickTime container.
    Mov,
    /// RIFF wave.
    Wav,
    /// MPEG audio, layer III.
    Mp3,
}

impl Format {
    /// Recognises a file by its first bytes; `None` when it is nothing we take.
    pub fn of_file(path: &Path) -> io::Result<Option<Self>> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        File::open(path)?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        if let Some(skip) = id3_bytes(&head) {
            // Only an MP3 begins with this tag; what follows must be its first frame, or the padding before it.
            return Ok(mp3_after_tag(path, skip)?.then_some(Self::Mp3));
        }
        Ok(Self::of_bytes(&head))
    }

    /// Recognises the beginning of a file; a few hundred bytes are enough.
    pub fn of_bytes(head: &[u8]) -> Option<Self> {
        let at = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
        let riff = |form: &[u8]| at(0, b"RIFF") && at(8, form);
        match head {
            _ if at(0, b"\xFF\xD8\xFF") => Some(Self::Jpeg),
            _ if at(0, b"\x89PNG\r\n\x1A\n") => Some(Self::Png),
            _ if at(0, b"BM") && is_bmp(head) => Some(Self::Bmp),
            _ if riff(b"WEBP") => Some(Self::Webp),
            _ if riff(b"WAVE") => Some(Self::Wav),
            _ if at(4, b"ftyp") => brand(head.get(8..12)?),
            // QuickTime files older than the type box begin with any of these.
            _ if [b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"]
                .iter()
                .any(|kind| at(4, *kind)) =>
            {
                Some(Self::Mov)
            }
            _ if is_mp3_frame(head) => Some(Self::Mp3),
            _ => None,
        }
    }

    /// ffmpeg's name for the demuxer of this format.
    pub(crate) const fn demuxer(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg_pipe",
            Self::Png => "png_pipe",
            Self::Bmp => "bmp_pipe",
            Self::Webp => "webp_pipe",
            Self::Mp4 | Self::Mov => "mov",
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
        }
    }

    /// The decoders this format may use; anything else in the file stays unread.
    pub(crate) const fn decoders(self) -> &'static str {
        match self {
            Self::Jpeg => "mjpeg",
            Self::Png => "png,apng",
            Self::Bmp => "bmp",
            Self::Webp => "webp,vp8,vp8_alpha",
            Self::Mp4 | Self::Mov => MOVIE_DECODERS,
            Self::Wav => WAV_DECODERS,
            Self::Mp3 => "mp3,mp3float",
        }
    }
}

const HEAD_BYTES: usize = 4096;

const MOVIE_DECODERS: &str = "h264,hevc,libdav1d,av1,vp9,mpeg4,prores,mjpeg,\
    aac,mp3,mp3float,ac3,eac3,alac,opus,libopus,flac,\
    pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_u8,pcm_s8,pcm_mulaw,pcm_alaw";
const WAV_DECODERS: &str = "pcm_u8,pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_mulaw,pcm_alaw,\
    adpcm_ms,adpcm_ima_wav";

/// The major brand of a type box. Stills and 3GPP use the same container and are not taken.
fn brand(brand: &[u8]) -> Option<Format> {
    const OTHERS: [&[u8]; 14] = [
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"crx ",
        b"jp2 ", b"jxl ", b"M4A ",
    ];
    match brand {
        b"qt  " => Some(Format::Mov),
        _ if OTHERS.contains(&brand) || brand.starts_with(b"3g") => None,
        _ => Some(Format::Mp4),
    }
}

/// "BM" alone begins many texts: the reserved fields must be empty and the header size one of the known ones.
fn is_bmp(head: &[u8]) -> bool {
    let reserved = head.get(6..10) == Some(&[0; 4]);
    let header_bytes = head
        .get(14..18)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    reserved && matches!(header_bytes, Some(12 | 40 | 52 | 56 | 64 | 108 | 124))
}

/// The whole length of an ID3v2 tag at the beginning.
fn id3_bytes(head: &[u8]) -> Option<u64> {
    let tag = head.get(..10).filter(|tag| tag.starts_with(b"ID3"))?;
    let size = tag[6..10].iter().try_fold(0u64, |size, &byte| {
        (byte < 0x80).then(|| size << 7 | u64::from(byte))
    })?;
    let footer = if tag[5] & 0x10 != 0 { 10 } else { 0 };
    Some(10 + size + footer)
}

fn mp3_after_tag(path: &Path, skip: u64) -> io::Result<bool> {
    use io::Seek;
    let mut file = File::open(path)?;
    file.seek(io::SeekFrom::Start(skip))?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    // Some writers pad behind the tag without counting it.
    let padding = head.iter().take_while(|&&byte| byte == 0).count();
    Ok(is_mp3_frame(&head[padding..]))
}

/// A frame header of layer III, and another one exactly where the first says the next must be.
fn is_mp3_frame(head: &[u8]) -> bool {
    let Some(length) = mp3_frame_bytes(head) else {
        return false;
    };
    match head.get(length..) {
        Some(next) if next.len() >= 4 => mp3_frame_bytes(next).is_some(),
        // A lone frame is too little to tell from noise.
        Some(_) | None => false,
    }
}

/// The length of the MPEG audio layer III frame whose header is at the beginning.
fn mp3_frame_bytes(head: &[u8]) -> Option<usize> {
    const KBITS_1: [usize; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const KBITS_2: [usize; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let header = head.get(..4)?;
    let layer_3 = header[1] & 0x06 == 0x02;
    if header[0] != 0xFF || header[1] & 0xE0 != 0xE0 || !layer_3 {
        return None;
    }
    let (bit_rates, base_rate, samples_per_byte) = match header[1] >> 3 & 3 {
        3 => (KBITS_1, 1, 144),
        2 => (KBITS_2, 2, 72),
        0 => (KBITS_2, 4, 72),
        _ => return None,
    };
    let kbits = *bit_rates.get(usize::from(header[2] >> 4).checked_sub(1)?)?;
    let hertz = *[44_100, 48_000, 32_000].get(usize::from(header[2] >> 2 & 3))? / base_rate;
    let padding = usize::from(header[2] >> 1 & 1);
    Some(samples_per_byte * kbits * 1000 / hertz + padding)
}
