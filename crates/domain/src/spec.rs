//! The spec of a generation: complete, valid by construction, and the only form in which a request goes on.
//!
//! A [`Draft`] is what a client sent, right in its types but not yet judged. [`GenerationSpec::parse`] fills the
//! defaults of the workflow, infers the feature, fixes the seed, and reports *every* rule the draft breaks.
//! Nothing is adjusted on the way: a value is taken as given or refused.

mod rules;

use crate::{
    catalog::{FeatureOffer, REFERENCES_MAX},
    feature::Feature,
    frame_size::{AspectRatio, Resolution},
    input::Source,
};

pub use rules::{NEGATIVE_PROMPT_CHARS_MAX, PROMPT_CHARS_MAX, SEED_MAX, URL_CHARS_MAX, clip_too_long};

/// A seed: 0 to 2,147,483,647.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seed(u32);

impl Seed {
    /// A seed, if `value` is in range.
    pub fn new(value: i64) -> Option<Seed> {
        u32::try_from(value)
            .ok()
            .filter(|seed| *seed <= SEED_MAX)
            .map(Seed)
    }

    /// A seed from any bits; the top bit is dropped.
    pub fn from_entropy(bits: u32) -> Seed {
        Seed(bits & SEED_MAX)
    }

    /// Its value.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The seed of the `index`th clip of a generation that makes several.
    pub fn nth(self, index: u8) -> Seed {
        Seed(self.0.wrapping_add(u32::from(index)) & SEED_MAX)
    }
}

/// What to do with the sound of a clip that is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioSetting {
    /// Keep it unless the prompt describes another.
    Auto,
    /// Keep it.
    Origin,
}

impl AudioSetting {
    /// Both.
    pub const ALL: [AudioSetting; 2] = [AudioSetting::Auto, AudioSetting::Origin];

    /// The published name.
    pub fn as_str(self) -> &'static str {
        match self {
            AudioSetting::Auto => "auto",
            AudioSetting::Origin => "origin",
        }
    }
}

/// What is made of what. Each case holds exactly the media that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workflow {
    /// From words alone.
    Text {
        /// Sound to go with the clip.
        audio: Option<Source>,
    },
    /// From a first frame.
    Image {
        /// The first frame.
        image: Source,
        /// Sound to go with the clip.
        audio: Option<Source>,
    },
    /// Between a first and a last frame.
    FirstLast {
        /// The first frame.
        first: Source,
        /// The last frame.
        last: Source,
        /// Sound to go with the clip.
        audio: Option<Source>,
    },
    /// A clip goes on, to a last frame where one is given.
    Continuation {
        /// The clip.
        clip: Source,
        /// The last frame.
        last: Option<Source>,
    },
    /// Of the subjects that images and videos show.
    Reference {
        /// "Image 1", "Image 2" … of the prompt.
        images: Vec<Source>,
        /// "Video 1", "Video 2" … of the prompt.
        videos: Vec<Source>,
        /// Several shots, cut together.
        multi_shots: bool,
    },
    /// A clip changed as the prompt says.
    Edit {
        /// The clip.
        clip: Source,
        /// An image the instruction may refer to.
        image: Option<Source>,
        /// What happens to the clip's sound.
        audio: AudioSetting,
    },
}

impl Workflow {
    /// Every medium of it with the request member it came in, in the order of the documentation.
    pub fn sources(&self) -> Vec<(Member, &Source)> {
        let mut sources = Vec::new();
        match self {
            Workflow::Text { audio } => sources.extend(audio.iter().map(|s| (Member::Audio, s))),
            Workflow::Image { image, audio } => {
                sources.push((Member::Image, image));
                sources.extend(audio.iter().map(|s| (Member::Audio, s)));
            }
            Workflow::FirstLast { first, last, audio } => {
                sources.extend([(Member::Image, first), (Member::EndImage, last)]);
                sources.extend(audio.iter().map(|s| (Member::Audio, s)));
            }
            Workflow::Continuation { clip, last } => {
                sources.push((Member::Video, clip));
                sources.extend(last.iter().map(|s| (Member::EndImage, s)));
            }
            Workflow::Reference {
                images,
                videos,
                multi_shots: _,
            } => {
                sources.extend(
                    images
                        .iter()
                        .enumerate()
                        .map(|(i, s)| (Member::ReferenceImages(i), s)),
                );
                sources.extend(videos.iter().enumerate().map(|(i, s)| (Member::VideoRefs(i), s)));
            }
            Workflow::Edit {
                clip,
                image,
                audio: _,
            } => {
                sources.push((Member::Video, clip));
                sources.extend(image.iter().map(|s| (Member::ReferenceImage, s)));
            }
        }
        sources
    }
}

/// A request member that holds a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Member {
    /// `image_url`
    Image,
    /// `end_image_url`
    EndImage,
    /// `video_url`
    Video,
    /// `reference_image_urls`, one of its items
    ReferenceImages(usize),
    /// `reference_image_url`
    ReferenceImage,
    /// `video_refs`, one of its items
    VideoRefs(usize),
    /// `audio_url`
    Audio,
}

impl Member {
    /// The member's name, without an index.
    pub fn name(self) -> &'static str {
        match self {
            Member::Image => "image_url",
            Member::EndImage => "end_image_url",
            Member::Video => "video_url",
            Member::ReferenceImages(_) => "reference_image_urls",
            Member::ReferenceImage => "reference_image_url",
            Member::VideoRefs(_) => "video_refs",
            Member::Audio => "audio_url",
        }
    }

    /// Whether it is an item of an array that has the most items before it already.
    pub fn is_beyond_the_most(self) -> bool {
        match self {
            Member::ReferenceImages(index) | Member::VideoRefs(index) => index >= REFERENCES_MAX,
            Member::Image | Member::EndImage | Member::Video | Member::ReferenceImage | Member::Audio => {
                false
            }
        }
    }

    /// What kind of medium it takes.
    pub fn takes_image(self) -> bool {
        match self {
            Member::Image | Member::EndImage | Member::ReferenceImages(_) | Member::ReferenceImage => true,
            Member::Video | Member::VideoRefs(_) | Member::Audio => false,
        }
    }
}

/// The member's name, with the index of an array item: `video_refs[2]`.
impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Member::ReferenceImages(index) | Member::VideoRefs(index) => {
                write!(f, "{}[{index}]", self.name())
            }
            _ => f.write_str(self.name()),
        }
    }
}

/// A generation as it will be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationSpec {
    /// Given or inferred.
    pub feature: Feature,
    /// What is made of what.
    pub workflow: Workflow,
    /// 1 to 5,000 characters, not blank.
    pub prompt: Option<String>,
    /// At most 500 characters, not empty.
    pub negative_prompt: Option<String>,
    /// `None` follows the input's ratio.
    pub aspect_ratio: Option<AspectRatio>,
    /// The tier of the result.
    pub resolution: Resolution,
    /// Seconds; 0 only in an edit, where it keeps the clip's length.
    pub duration_s: u8,
    /// Whether the prompt may be expanded.
    pub prompt_expansion: bool,
    /// Given or drawn.
    pub seed: Seed,
    /// How many clips, from consecutive seeds: 1 to 4.
    pub n: u8,
}

/// A request, right in its types: `None` and empty stand for absent. Strings are as the client sent them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// `feature`
    pub feature: Option<String>,
    /// `prompt`
    pub prompt: Option<String>,
    /// `negative_prompt`
    pub negative_prompt: Option<String>,
    /// `image_url`
    pub image: Option<Source>,
    /// `end_image_url`
    pub end_image: Option<Source>,
    /// `video_url`
    pub video: Option<Source>,
    /// `reference_image_urls`
    pub reference_images: Vec<Source>,
    /// `reference_image_url`
    pub reference_image: Option<Source>,
    /// `video_refs`
    pub video_refs: Vec<Source>,
    /// `audio_url`
    pub audio: Option<Source>,
    /// `aspect_ratio`
    pub aspect_ratio: Option<String>,
    /// `resolution`
    pub resolution: Option<String>,
    /// `duration`, in seconds
    pub duration: Option<i64>,
    /// `enable_prompt_expansion`
    pub prompt_expansion: Option<bool>,
    /// `multi_shots`
    pub multi_shots: Option<bool>,
    /// `audio_setting`
    pub audio_setting: Option<String>,
    /// `seed`
    pub seed: Option<i64>,
    /// `n`, on the endpoint that has it
    pub n: Option<i64>,
}

impl Draft {
    /// Every medium of the draft with its member, in the order of the documentation.
    pub fn sources_mut(&mut self) -> Vec<(Member, &mut Source)> {
        let mut sources = Vec::new();
        sources.extend(self.image.iter_mut().map(|s| (Member::Image, s)));
        sources.extend(self.end_image.iter_mut().map(|s| (Member::EndImage, s)));
        sources.extend(self.video.iter_mut().map(|s| (Member::Video, s)));
        let images = self.reference_images.iter_mut().enumerate();
        sources.extend(images.map(|(i, s)| (Member::ReferenceImages(i), s)));
        sources.extend(
            self.reference_image
                .iter_mut()
                .map(|s| (Member::ReferenceImage, s)),
        );
        sources.extend(
            self.video_refs
                .iter_mut()
                .enumerate()
                .map(|(i, s)| (Member::VideoRefs(i), s)),
        );
        sources.extend(self.audio.iter_mut().map(|s| (Member::Audio, s)));
        sources
    }
}

/// What judging a draft needs from outside.
pub struct SpecRules<'a> {
    /// The limits of the engine that would run each feature; `None` where no engine has the feature. A feature
    /// nobody offers is judged by the documented limits here and refused by the caller.
    pub offer: &'a dyn Fn(Feature) -> Option<FeatureOffer>,
    /// What is wrong with a URL, as the end of a sentence that starts with the member's name.
    pub url_problem: &'a dyn Fn(&str) -> Option<String>,
    /// The seed for a draft that has none.
    pub drawn_seed: Seed,
}

/// One rule a draft breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule's number in the contract: `V-19`.
    pub rule: &'static str,
    /// The member, with an index for array items.
    pub field: String,
    /// The rest of a sentence that starts with the field: what was given and what would be taken.
    pub message: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.field, self.message)
    }
}

impl GenerationSpec {
    /// The spec a draft stands for, or every rule it breaks.
    pub fn parse(draft: Draft, rules: &SpecRules<'_>) -> Result<GenerationSpec, Vec<Violation>> {
        rules::parse(draft, rules)
    }
}
