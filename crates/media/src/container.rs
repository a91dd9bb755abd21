//! The box structure of an MP4 or MOV file, read without decoding: which tracks it has, whether it is whole, and
//! whether it points at data outside itself.
//!
//! ffmpeg would ignore most of this or guess; a user's file that points elsewhere is refused before ffmpeg sees it.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use crate::problem::{MediaDefect, MediaFailure, MediaProblem};

/// What the movie header lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Movie {
    /// Its tracks, in order.
    pub tracks: Vec<Track>,
    /// Whether the movie header stands before the media data, so that playing can begin before the end is there.
    pub index_first: bool,
}

impl Movie {
    /// The first track of pictures.
    pub fn picture(&self) -> Option<&Track> {
        self.tracks.iter().find(|track| track.handler == *b"vide")
    }
}

/// One track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// What it carries: `vide`, `soun`, or something we do not read.
    pub handler: [u8; 4],
    /// How many samples its table lists.
    pub samples: u32,
}

/// Reads the structure of a whole movie file.
pub fn read(path: &Path) -> Result<Movie, MediaProblem> {
    let file = File::open(path).map_err(|source| MediaFailure::read(path, source))?;
    let end = file
        .metadata()
        .map_err(|source| MediaFailure::read(path, source))?
        .len();
    let mut walk = Walk {
        file: BufReader::with_capacity(512, file),
        boxes: 0,
        movie: Movie::default(),
    };
    let mut seen = Seen::default();
    let mut at = 0;
    while at < end {
        let found = walk.header(at, end)?;
        match &found.kind {
            b"moov" => {
                walk.movie.index_first = !seen.data;
                seen.index = true;
                walk.inside(found, 0)?;
            }
            b"mdat" => seen.data = true,
            _ => {}
        }
        at = found.end;
    }
    if seen.index && seen.data {
        Ok(walk.movie)
    } else {
        Err(MediaDefect::Truncated.into())
    }
}

/// An honest file has some dozens of boxes; one of many fragments a few hundred.
const MAX_BOXES: u32 = 20_000;
/// moov, trak, mdia, minf, dinf, dref.
const MAX_DEPTH: u32 = 6;

#[derive(Default)]
struct Seen {
    index: bool,
    data: bool,
}

#[derive(Clone, Copy)]
struct Found {
    kind: [u8; 4],
    body: u64,
    end: u64,
}

struct Walk {
    file: BufReader<File>,
    boxes: u32,
    movie: Movie,
}

impl Walk {
    fn inside(&mut self, parent: Found, depth: u32) -> Result<(), MediaProblem> {
        if depth > MAX_DEPTH {
            return Err(MediaDefect::Truncated.into());
        }
        let mut at = parent.body;
        // A handful of zero bytes may end a list of QuickTime boxes.
        while at + 8 <= parent.end {
            let found = self.header(at, parent.end)?;
            match &found.kind {
                b"trak" => {
                    self.movie.tracks.push(Track::default());
                    self.inside(found, depth + 1)?;
                }
                b"mdia" | b"minf" | b"dinf" | b"stbl" => self.inside(found, depth + 1)?,
                b"dref" => self.data_references(found)?,
                b"hdlr" => self.handler(found)?,
                b"stsz" => {
                    let samples = u32::from_be_bytes(self.bytes(found.body + 8)?);
                    if let Some(track) = self.movie.tracks.last_mut() {
                        track.samples = samples;
                    }
                }
                b"cmov" => {
                    return Err(MediaDefect::Unsupported {
                        what: "a compressed movie header",
                    }
                    .into());
                }
                _ => {}
            }
            at = found.end;
        }
        Ok(())
    }

    /// Each entry must say that the data is in this very file.
    fn data_references(&mut self, list: Found) -> Result<(), MediaProblem> {
        let mut at = list.body + 8;
        while at + 12 <= list.end {
            let entry = self.header(at, list.end)?;
            let [_, _, _, flags] = self.bytes(entry.body)?;
            if flags & 1 == 0 {
                return Err(MediaDefect::ExternalData.into());
            }
            at = entry.end;
        }
        Ok(())
    }

    /// A media information box has a handler too, which says nothing of the track's kind.
    fn handler(&mut self, found: Found) -> Result<(), MediaProblem> {
        let kind: [u8; 4] = self.bytes(found.body + 8)?;
        if let Some(track) = self.movie.tracks.last_mut()
            && track.handler == [0; 4]
        {
            track.handler = kind;
        }
        Ok(())
    }

    /// The box header at `at`, whose box must end within `limit`.
    fn header(&mut self, at: u64, limit: u64) -> Result<Found, MediaProblem> {
        self.boxes += 1;
        if self.boxes > MAX_BOXES {
            return Err(MediaDefect::TooExpensive.into());
        }
        let size = u32::from_be_bytes(self.bytes(at)?);
        let kind = self.bytes(at + 4)?;
        let (header_bytes, size) = match size {
            0 => (8, limit - at),
            1 => (16, u64::from_be_bytes(self.bytes(at + 8)?)),
            size => (8, u64::from(size)),
        };
        match at.checked_add(size) {
            Some(end) if size >= header_bytes && end <= limit => Ok(Found {
                kind,
                body: at + header_bytes,
                end,
            }),
            _ => Err(MediaDefect::Truncated.into()),
        }
    }

    fn bytes<const N: usize>(&mut self, at: u64) -> Result<[u8; N], MediaProblem> {
        let mut bytes = [0; N];
        let read = self
            .file
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.file.read_exact(&mut bytes));
        // Whatever keeps a byte from being there, the user sees a file that ends too early.
        read.map(|()| bytes).map_err(|_| MediaDefect::Truncated.into())
    }
}
