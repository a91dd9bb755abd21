//! What is to be seen, frame by frame, for each of the workflows.

use kinora_domain::{FrameSize, GenerationSpec, Member, OUTPUT_FPS, Workflow};
use kinora_media::frames::{Fit, Frame};

use crate::{
    EngineError,
    inputs::{ClipReader, InputMedium, Inputs, Part, frames_in},
};

use super::{
    canvas::{Area, BLACK, Canvas, Colour, WHITE},
    caption, font,
    motion::Motion,
};

/// Everything that a clip shows, drawn one frame after the other.
pub(crate) struct Scene<'a> {
    canvas: Canvas,
    motion: Motion,
    footage: Footage<'a>,
    opening: Option<Opening>,
    closing: Option<Frame>,
    thumbnails: Vec<Thumbnail>,
    caption: Vec<String>,
    num_frames: u32,
    layout: Layout,
}

/// Where the pictures come from.
enum Footage<'a> {
    /// From the pattern.
    Pattern,
    /// From a clip; then the pattern goes on.
    Continued(ClipReader<'a>),
    /// From a clip to its end, changed.
    Edited(ClipReader<'a>),
}

/// A picture that the pattern comes out of.
struct Opening {
    picture: Frame,
    /// The frame that shows nothing else.
    at_frame: u32,
}

/// A reference, small.
struct Thumbnail {
    label: String,
    picture: Frame,
}

impl<'a> Scene<'a> {
    /// Decodes what has to be there before the first frame; `step` hears how far that is.
    pub(crate) fn open(
        spec: &GenerationSpec,
        inputs: &'a Inputs,
        step: &mut dyn FnMut(f32) -> Result<(), EngineError>,
    ) -> Result<Scene<'a>, EngineError> {
        let (size, num_frames) = (inputs.size, inputs.num_frames());
        let layout = Layout::of(size);
        let mut scene = Scene {
            canvas: Canvas::new(size.width, size.height),
            motion: Motion::new(inputs.seed.get()),
            footage: Footage::Pattern,
            opening: None,
            closing: None,
            thumbnails: Vec::new(),
            caption: caption::lines(spec, inputs, layout.columns, layout.rows),
            num_frames,
            layout,
        };
        for (index, medium) in inputs.media.iter().enumerate() {
            step(index as f32 / inputs.media.len() as f32)?;
            scene.take(spec, inputs, medium)?;
        }
        step(1.0)?;
        Ok(scene)
    }

    /// Finds each medium its place.
    fn take(
        &mut self,
        spec: &GenerationSpec,
        inputs: &'a Inputs,
        medium: &'a InputMedium,
    ) -> Result<(), EngineError> {
        let part = |max_frames| Part {
            size: inputs.size,
            fit: Fit::Cover,
            fps: OUTPUT_FPS,
            start_ms: 0,
            max_frames,
        };
        match medium.member {
            Member::Image => {
                let picture = medium.image(&inputs.toolbox, inputs.size, Fit::Cover)?;
                self.opening = Some(Opening { picture, at_frame: 0 });
            }
            Member::EndImage => {
                self.closing = Some(medium.image(&inputs.toolbox, inputs.size, Fit::Cover)?)
            }
            Member::Video => {
                let frames = frames_in(medium.facts.duration_ms().unwrap_or(0)).min(self.num_frames);
                let reader = medium.frames(&inputs.toolbox, part(frames))?;
                self.footage = match spec.workflow {
                    Workflow::Edit { .. } => Footage::Edited(reader),
                    Workflow::Text { .. }
                    | Workflow::Image { .. }
                    | Workflow::FirstLast { .. }
                    | Workflow::Continuation { .. }
                    | Workflow::Reference { .. } => Footage::Continued(reader),
                };
            }
            Member::ReferenceImages(index) => {
                self.add_thumbnail("Image", index + 1, inputs, medium)?;
            }
            Member::ReferenceImage => self.add_thumbnail("Image", 1, inputs, medium)?,
            Member::VideoRefs(index) => {
                self.add_thumbnail("Video", index + 1, inputs, medium)?;
            }
            // Sound has no picture; the caption tells of it.
            Member::Audio => {}
        }
        Ok(())
    }

    fn add_thumbnail(
        &mut self,
        noun: &str,
        number: usize,
        inputs: &Inputs,
        medium: &InputMedium,
    ) -> Result<(), EngineError> {
        let is_thumbnail = |medium: &&InputMedium| !matches!(medium.member, Member::Video | Member::Audio);
        let count = inputs.media.iter().filter(is_thumbnail).count();
        let size = self
            .layout
            .thumbnail(medium.facts.size().unwrap_or((1, 1)), count);
        let picture = if medium.member.takes_image() {
            medium.image(&inputs.toolbox, size, Fit::Cover)?
        } else {
            let mut reader = medium.frames(
                &inputs.toolbox,
                Part {
                    size,
                    fit: Fit::Cover,
                    fps: OUTPUT_FPS,
                    start_ms: 0,
                    max_frames: 1,
                },
            )?;
            reader.next_frame()?.ok_or_else(|| EngineError::InvalidInput {
                member: medium.member,
                message: "has no pictures".to_owned(),
            })?
        };
        // The whole word where there is room for it, as the prompt would call it; else its first letter.
        let room = (picture.width / (font::ADVANCE * self.layout.scale)) as usize;
        let whole = format!("{noun} {number}");
        let label = if whole.len() <= room {
            whole
        } else {
            format!("{}{number}", &noun[..1])
        };
        self.thumbnails.push(Thumbnail { label, picture });
        Ok(())
    }

    /// Draws a frame; they are asked for in order.
    pub(crate) fn draw(&mut self, frame: u32) -> Result<&[u8], EngineError> {
        match &mut self.footage {
            Footage::Pattern => self.draw_pattern(frame),
            Footage::Continued(reader) => match reader.next_frame()? {
                Some(picture) => {
                    self.canvas.copy_from(&picture.rgb);
                    self.opening = Some(Opening {
                        picture,
                        at_frame: frame,
                    });
                }
                None => {
                    self.footage = Footage::Pattern;
                    self.draw_pattern(frame);
                }
            },
            Footage::Edited(reader) => {
                // A clip may end a frame before its length says; then its last picture stays.
                if let Some(picture) = reader.next_frame()? {
                    self.opening = Some(Opening {
                        picture,
                        at_frame: frame,
                    });
                }
                self.draw_edited(frame);
            }
        }
        Ok(self.canvas.bytes())
    }

    fn draw_pattern(&mut self, frame: u32) {
        self.motion.paint(&mut self.canvas, frame);
        self.draw_overlay(frame);
        if let Some(Opening { picture, at_frame }) = &self.opening {
            let span = self.blend_frames(*at_frame);
            let weight = 256 - 256 * (frame - at_frame).min(span) / span;
            self.canvas.blend(&picture.rgb, weight);
        }
        if let Some(picture) = &self.closing {
            let at_frame = self.opening.as_ref().map_or(0, |opening| opening.at_frame);
            let span = self.blend_frames(at_frame);
            let left = (self.num_frames - 1).saturating_sub(frame);
            self.canvas.blend(&picture.rgb, 256 - 256 * left.min(span) / span);
        }
    }

    fn draw_edited(&mut self, frame: u32) {
        if let Some(Opening { picture, .. }) = &self.opening {
            self.canvas.copy_from(&picture.rgb);
        }
        let accent = self.motion.accent();
        self.canvas.tint(accent);
        self.draw_overlay(frame);
        self.canvas.border(self.layout.margin, accent);
    }

    /// A second, or a third of what there is where that is less.
    fn blend_frames(&self, from: u32) -> u32 {
        (self.num_frames.saturating_sub(from) / 3).clamp(1, OUTPUT_FPS)
    }

    /// The caption, the references and the bar, which lie over everything but inputs shown as they are.
    fn draw_overlay(&mut self, frame: u32) {
        let Layout {
            scale, margin, line, ..
        } = self.layout;
        let (width, height) = (self.canvas.width(), self.canvas.height());

        let panel = Area {
            x: margin,
            y: margin,
            width: width.saturating_sub(2 * margin),
            height: self.caption.len() as u32 * line + margin,
        };
        self.canvas.darken(panel);
        for (row, text) in (0u32..).zip(&self.caption) {
            self.canvas
                .text(2 * margin, margin + margin / 2 + row * line, scale, WHITE, text);
        }

        let bar = Area {
            x: margin,
            y: height.saturating_sub(line + 2 * margin),
            width: width.saturating_sub(2 * margin),
            height: line + margin,
        };
        let mut left = 2 * margin;
        for Thumbnail { label, picture } in &self.thumbnails {
            let top = bar.y.saturating_sub(picture.height + line + margin);
            self.canvas.picture(left, top, picture.width, &picture.rgb);
            label_on(
                &mut self.canvas,
                left,
                top + picture.height + scale,
                scale,
                WHITE,
                label,
            );
            left += picture.width + margin;
        }

        self.canvas.darken(bar);
        let done = bar.width * (frame + 1) / self.num_frames.max(1);
        let accent = self.motion.accent();
        self.canvas.fill(Area { width: done, ..bar }, accent);
        let count = format!("frame {} of {}", frame + 1, self.num_frames);
        label_on(
            &mut self.canvas,
            2 * margin,
            bar.y + margin / 2,
            scale,
            WHITE,
            &count,
        );
    }
}

/// Letters with a shadow, for grounds of any colour.
fn label_on(canvas: &mut Canvas, x: u32, y: u32, scale: u32, colour: Colour, text: &str) {
    let shadow = scale.div_ceil(2);
    canvas.text(x + shadow, y + shadow, scale, BLACK, text);
    canvas.text(x, y, scale, colour, text);
}

/// Sizes that follow from the frame's.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Pixels of a letter's pixel.
    scale: u32,
    margin: u32,
    /// Height of a line of text.
    line: u32,
    columns: usize,
    rows: usize,
    size: FrameSize,
}

impl Layout {
    fn of(size: FrameSize) -> Layout {
        let scale = (size.width.min(size.height) / 240).max(1);
        let (margin, line) = (4 * scale, (font::HEIGHT + 2) * scale);
        Layout {
            scale,
            margin,
            line,
            columns: (size.width.saturating_sub(4 * margin) / (font::ADVANCE * scale)) as usize,
            rows: (size.height / 2).saturating_sub(2 * margin).div_ceil(line) as usize,
            size,
        }
    }

    /// The size of one of `count` thumbnails in a row, of the picture's own ratio.
    fn thumbnail(&self, picture: (u32, u32), count: usize) -> FrameSize {
        let ratio = |a: u32, b: u32, c: u32| (u64::from(a) * u64::from(b) / u64::from(c.max(1))) as u32;
        let room = self.size.width.saturating_sub(4 * self.margin) / u32::try_from(count.max(1)).unwrap_or(1);
        let width_max = room.saturating_sub(self.margin).max(8);
        let height = (self.size.height / 5).max(8);
        let width = ratio(height, picture.0, picture.1);
        if width <= width_max {
            FrameSize {
                width: width.max(8),
                height,
            }
        } else {
            FrameSize {
                width: width_max,
                height: ratio(width_max, picture.1, picture.0).max(8),
            }
        }
    }
}
