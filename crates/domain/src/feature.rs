//! The four workflows, and how one is inferred from the members a request has.

use std::{fmt, str::FromStr};

/// One of the four workflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// From a text, an image, or a clip to continue.
    TextImage,
    /// From a first and, where given, a last frame.
    Frames,
    /// Of the subjects that reference images and clips show.
    Reference,
    /// A clip changed as an instruction says.
    EditVideo,
}

impl Feature {
    /// All four, in the order of the documentation.
    pub const ALL: [Feature; 4] = [
        Feature::TextImage,
        Feature::Frames,
        Feature::Reference,
        Feature::EditVideo,
    ];

    /// The published name.
    pub fn as_str(self) -> &'static str {
        match self {
            Feature::TextImage => "text-image",
            Feature::Frames => "frames",
            Feature::Reference => "reference",
            Feature::EditVideo => "edit-video",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Feature {
    type Err = ();

    fn from_str(text: &str) -> Result<Feature, ()> {
        Feature::ALL
            .into_iter()
            .find(|feature| feature.as_str() == text)
            .ok_or(())
    }
}

/// Which media members a request has; what inference looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present {
    /// `video_url`
    pub video: bool,
    /// `end_image_url`
    pub end_image: bool,
    /// `reference_image_url`
    pub reference_image: bool,
    /// `reference_image_urls`, at least one
    pub reference_images: bool,
    /// `video_refs`, at least one
    pub video_refs: bool,
}

/// The feature meant by a request that does not name one. First match wins.
pub fn infer(present: Present) -> Feature {
    if !present.video && (present.reference_images || present.video_refs) {
        Feature::Reference
    } else if present.video && (present.reference_image || present.reference_images) {
        Feature::EditVideo
    } else if present.end_image {
        Feature::Frames
    } else {
        Feature::TextImage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inference_follows_the_table() {
        let check = |members: &str, expected| {
            let has = |name| members.split(' ').any(|member| member == name);
            let present = Present {
                video: has("video"),
                end_image: has("end"),
                reference_image: has("ref1"),
                reference_images: has("refs"),
                video_refs: has("vrefs"),
            };
            assert_eq!(infer(present), expected, "{members}");
        };
        check("", Feature::TextImage);
        check("video", Feature::TextImage);
        check("ref1", Feature::TextImage);
        check("video vrefs", Feature::TextImage);
        check("end", Feature::Frames);
        check("video end", Feature::Frames);
        check("video vrefs end", Feature::Frames);
        check("refs", Feature::Reference);
        check("vrefs", Feature::Reference);
        check("refs end", Feature::Reference);
        check("refs ref1", Feature::Reference);
        check("video ref1", Feature::EditVideo);
        check("video refs", Feature::EditVideo);
        check("video refs vrefs end", Feature::EditVideo);
    }
}
