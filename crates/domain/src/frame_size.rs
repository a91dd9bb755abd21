//! Pixels: resolutions, aspect ratios, and the size of a clip's frames.

use std::{fmt, str::FromStr};

/// A tier of quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// About 921,600 pixels a frame.
    P720,
    /// About 2,073,600 pixels a frame.
    P1080,
}

impl Resolution {
    /// Both tiers, the smaller first.
    pub const ALL: [Resolution; 2] = [Resolution::P720, Resolution::P1080];

    /// The published name.
    pub fn as_str(self) -> &'static str {
        match self {
            Resolution::P720 => "720p",
            Resolution::P1080 => "1080p",
        }
    }

    /// The pixels a frame of this tier aims at.
    pub fn area(self) -> u32 {
        match self {
            Resolution::P720 => 921_600,
            Resolution::P1080 => 2_073_600,
        }
    }
}

/// A ratio of width to height that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AspectRatio {
    /// 16:9
    Wide,
    /// 9:16
    Tall,
    /// 1:1
    Square,
    /// 4:3
    Landscape,
    /// 3:4
    Portrait,
}

impl AspectRatio {
    /// All five, in the order of the documentation.
    pub const ALL: [AspectRatio; 5] = [
        AspectRatio::Wide,
        AspectRatio::Tall,
        AspectRatio::Square,
        AspectRatio::Landscape,
        AspectRatio::Portrait,
    ];

    /// The published name.
    pub fn as_str(self) -> &'static str {
        match self {
            AspectRatio::Wide => "16:9",
            AspectRatio::Tall => "9:16",
            AspectRatio::Square => "1:1",
            AspectRatio::Landscape => "4:3",
            AspectRatio::Portrait => "3:4",
        }
    }

    /// Width over height.
    pub fn ratio(self) -> f64 {
        match self {
            AspectRatio::Wide => 16.0 / 9.0,
            AspectRatio::Tall => 9.0 / 16.0,
            AspectRatio::Square => 1.0,
            AspectRatio::Landscape => 4.0 / 3.0,
            AspectRatio::Portrait => 3.0 / 4.0,
        }
    }
}

macro_rules! text_of {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<$name, ()> {
                $name::ALL
                    .into_iter()
                    .find(|value| value.as_str() == text)
                    .ok_or(())
            }
        }
    };
}
text_of!(Resolution);
text_of!(AspectRatio);

/// Width and height of a frame in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameSize {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl FrameSize {
    /// The size published for a named ratio.
    pub fn named(resolution: Resolution, aspect: AspectRatio) -> FrameSize {
        let (width, height) = match (resolution, aspect) {
            (Resolution::P720, AspectRatio::Wide) => (1280, 720),
            (Resolution::P720, AspectRatio::Tall) => (720, 1280),
            (Resolution::P720, AspectRatio::Square) => (960, 960),
            (Resolution::P720, AspectRatio::Landscape) => (1104, 832),
            (Resolution::P720, AspectRatio::Portrait) => (832, 1104),
            (Resolution::P1080, AspectRatio::Wide) => (1920, 1080),
            (Resolution::P1080, AspectRatio::Tall) => (1080, 1920),
            (Resolution::P1080, AspectRatio::Square) => (1440, 1440),
            (Resolution::P1080, AspectRatio::Landscape) => (1648, 1248),
            (Resolution::P1080, AspectRatio::Portrait) => (1248, 1648),
        };
        FrameSize { width, height }
    }

    /// The size that follows an input of `width` × `height` pixels: a named size when the input's ratio is
    /// within 2 % of it, else the same ratio at the tier's area, both sides multiples of 16.
    pub fn following(resolution: Resolution, width: u32, height: u32) -> FrameSize {
        let ratio = f64::from(width.max(1)) / f64::from(height.max(1));
        let near = |aspect: &AspectRatio| (ratio / aspect.ratio() - 1.0).abs() <= 0.02;
        if let Some(aspect) = AspectRatio::ALL.into_iter().find(near) {
            return FrameSize::named(resolution, aspect);
        }
        let area = f64::from(resolution.area());
        // Ratios are bounded to 1:8 … 8:1, so that a side is at most about 4,080 and the cast is exact.
        let side = |length: f64| ((length / 16.0).round().max(1.0) as u32) * 16;
        FrameSize {
            width: side((area * ratio).sqrt()),
            height: side((area / ratio).sqrt()),
        }
    }
}

impl fmt::Display for FrameSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_input() {
        let check = |resolution, width, height, expected: &str| {
            assert_eq!(
                FrameSize::following(resolution, width, height).to_string(),
                expected
            );
        };
        check(Resolution::P720, 1920, 1080, "1280x720");
        check(Resolution::P720, 1900, 1080, "1280x720");
        check(Resolution::P1080, 500, 500, "1440x1440");
        check(Resolution::P720, 2100, 900, "1472x624");
        check(Resolution::P1080, 8000, 1000, "4080x512");
        check(Resolution::P1080, 1000, 8000, "512x4080");
        check(Resolution::P720, 3, 2, "1168x784");
    }

    #[test]
    fn every_size_is_even() {
        for resolution in Resolution::ALL {
            for aspect in AspectRatio::ALL {
                let size = FrameSize::named(resolution, aspect);
                assert!(size.width.is_multiple_of(2) && size.height.is_multiple_of(2));
            }
        }
    }
}
