//! Prompts to contexts, each encoded once: a short memory spares the text encoder for prompts that come again.

use std::ops::ControlFlow;

use kinora_tensor::Device;
use kinora_tensor::Tensor;

use super::parts::Part;
use crate::error::GenerateError;
use crate::progress::Stage;
use crate::text::TextEncoder;
use crate::tokenizer::Ids;
use crate::tokenizer::Tokenizer;

/// How many contexts are remembered. Each is at most 8 MB.
const REMEMBERED_MAX: usize = 16;

/// The text side of a pipeline.
pub(super) struct Prompts {
    pub(super) tokenizer: Tokenizer,
    pub(super) encoder: Part<TextEncoder>,
    /// Oldest first.
    remembered: Vec<(String, Context)>,
}

/// A prompt as the DiT takes it.
#[derive(Clone)]
pub(super) struct Context {
    /// `[L, text_dim]`, not padded.
    pub(super) states: Tensor,
    /// Whether the end of the prompt was left out.
    pub(super) is_cut: bool,
}

impl Prompts {
    pub(super) fn new(tokenizer: Tokenizer, encoder: Part<TextEncoder>) -> Self {
        Self {
            tokenizer,
            encoder,
            remembered: Vec::new(),
        }
    }

    /// Whether `prompt` can be had without the encoder.
    pub(super) fn knows(&self, prompt: &str) -> bool {
        self.remembered.iter().any(|(known, _)| known == prompt)
    }

    /// The context of `prompt`. `observe` hears of every block and may stop.
    pub(super) fn context(
        &mut self,
        device: &Device,
        prompt: &str,
        field: &'static str,
        observe: &mut dyn FnMut(f32) -> ControlFlow<()>,
    ) -> Result<Context, GenerateError> {
        if let Some((_, context)) = self.remembered.iter().find(|(known, _)| known == prompt) {
            return Ok(context.clone());
        }
        let tokenized = self.tokenizer.ids(prompt);
        let Ids { ids, is_cut } = tokenized.map_err(|source| GenerateError::Tokenize { field, source })?;
        let encoder = self.encoder.get(device).map_err(GenerateError::Load)?;
        let states = encoder
            .forward(&ids, observe)
            .map_err(|halt| halt.at(Stage::EncodeText))?;
        let context = Context { states, is_cut };
        if self.remembered.len() == REMEMBERED_MAX {
            self.remembered.remove(0);
        }
        self.remembered.push((prompt.to_owned(), context.clone()));
        Ok(context)
    }
}
