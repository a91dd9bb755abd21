//! A short prompt made into one as the models were trained on: what is seen and what happens stay its author's, what it
//! leaves open (how things move, the framing, the camera, the light, the style) is filled in.
//!
//! In reading order: [`Expander`], who does it · [`Brief`], what it is told · [`chat`]: a language model, by the API that all
//! servers of such models speak · [`instructions`]: what that model is told to do · [`answer`]: what may come back from it ·
//! [`template`]: rules, where there is no such model.
//!
//! It runs before an engine is asked, once for all clips of a generation. Whether an engine wants its prompts expanded here is
//! for whoever composes engines to say: one that has others work which do so themselves does not, and neither does a
//! checkpoint that knows few words.

mod answer;
mod chat;
mod instructions;
mod template;

use kinora_domain::{GenerationSpec, Seed, Workflow};

pub use self::chat::{Chat, ChatOptions, ExpandError, Language};
use super::shots;

/// Who expands prompts.
#[derive(Debug)]
pub enum Expander {
    /// A language model.
    Chat(Box<Chat>),
    /// Rules of our own: the same prompt and seed give the same text, anywhere and at once.
    Template,
}

/// A prompt to expand, and what its clip is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// The prompt; its shots are marked where there are several.
    prompt: String,
    material: Material,
    /// Whether the prompt is a list of marked shots.
    is_in_shots: bool,
    duration_ms: u64,
    seed: Seed,
}

/// What a clip is made of beside its prompt: what that shows is not for the prompt to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Material {
    /// Nothing: the prompt says it all.
    Nothing,
    /// A first frame.
    FirstFrame,
    /// A first and a last frame.
    FirstAndLastFrame,
    /// A clip that goes on.
    Clip,
    /// Subjects that the prompt calls "Image 1", "Video 1".
    References,
}

/// What became of a prompt.
#[derive(Debug)]
pub enum Expansion {
    /// It says enough as it is.
    Enough,
    /// It became this.
    Expanded(String),
    /// It could not be expanded.
    Failed(ExpandError),
}

impl Expander {
    /// Expands a prompt, within a bounded time.
    pub async fn expand(&self, brief: &Brief) -> Expansion {
        let expanded = match self {
            Expander::Chat(chat) => match chat.expand(brief).await {
                Ok(text) => text,
                Err(error) => return Expansion::Failed(error),
            },
            Expander::Template => template::expand(brief),
        };
        match expanded == brief.prompt {
            true => Expansion::Enough,
            false => Expansion::Expanded(expanded),
        }
    }
}

impl Brief {
    /// What is to be expanded of a spec; nothing where the client does not want it, where there is no prompt, and where more
    /// words would change what is asked for.
    pub fn of(spec: &GenerationSpec, duration_ms: u64) -> Option<Brief> {
        let prompt = spec.prompt.as_deref().filter(|_| spec.prompt_expansion)?;
        let (material, multi_shots) = match &spec.workflow {
            Workflow::Text { .. } => (Material::Nothing, false),
            Workflow::Image { .. } => (Material::FirstFrame, false),
            Workflow::FirstLast { .. } => (Material::FirstAndLastFrame, false),
            Workflow::Continuation { .. } => (Material::Clip, false),
            Workflow::Reference { multi_shots, .. } => (Material::References, *multi_shots),
            // An instruction names one change. Embellished, it would name others.
            Workflow::Edit { .. } => return None,
        };
        let prompt = match multi_shots {
            true => shots::write(prompt, duration_ms),
            false => prompt.to_owned(),
        };
        let is_in_shots = shots::are_written(&prompt);
        // Shots are cut at sentences: one sentence that became several would become several shots.
        (is_in_shots || !multi_shots).then_some(Brief {
            prompt,
            material,
            is_in_shots,
            duration_ms,
            seed: spec.seed,
        })
    }
}
