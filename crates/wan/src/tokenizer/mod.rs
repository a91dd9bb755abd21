//! Prompts to token ids: cleaning, then the checkpoint's own `tokenizer.json`, or what amounts to one.
//!
//! The Unigram model, its normaliser and its special tokens are read by the `tokenizers` crate, which is what the reference uses.

pub mod clean;

mod code_page;

mod entities;

mod pieces;

use std::fs;
use std::path::Path;

use kinora_tensor::checkpoint::sentencepiece;
use tokenizers::TruncationDirection;
use tokenizers::TruncationParams;
use tokenizers::TruncationStrategy;

use crate::error::LoadError;
use crate::text::TEXT_TOKENS;

/// A prompt as the text encoder takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// The ids.
    pub ids: Vec<u32>,
    /// Whether the prompt had more of them than are taken.
    pub is_cut: bool,
}

/// A checkpoint's tokenizer.
pub struct Tokenizer(tokenizers::Tokenizer);

impl Tokenizer {
    /// Reads a `tokenizer.json` or a SentencePiece model.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let bytes = fs::read(path).map_err(|source| LoadError::Open {
            path: path.into(),
            source,
        })?;
        match bytes.first() {
            Some(b'{') => Self::parse(path, &bytes),
            _ => Self::of_spiece(path, &bytes),
        }
    }

    /// A SentencePiece model from its bytes; errors call it `path`.
    pub(crate) fn of_spiece(path: &Path, model: &[u8]) -> Result<Self, LoadError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| LoadError::Tokenizer {
            path: path.into(),
            source,
        };
        let vocabulary = sentencepiece::parse(model).map_err(|source| failed(source.into()))?;
        Self::of_pieces(path, vocabulary.0)
    }

    /// The tokenizer of UMT5 with these pieces and their scores; errors call it `path`.
    pub(crate) fn of_pieces(path: &Path, pieces: Vec<(String, f32)>) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Tokenizer {
            path: path.into(),
            source,
        };
        Self::parse(path, &pieces::tokenizer_json(&pieces).map_err(failed)?)
    }

    /// A `tokenizer.json` from its bytes; errors call it `path`.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Tokenizer {
            path: path.into(),
            source,
        };
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(bytes).map_err(failed)?;
        let truncation = TruncationParams {
            direction: TruncationDirection::Right,
            max_length: TEXT_TOKENS,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        };
        tokenizer.with_truncation(Some(truncation)).map_err(failed)?;
        tokenizer.with_padding(None);
        Ok(Self(tokenizer))
    }

    /// The ids of a prompt, the end mark included; at most [`TEXT_TOKENS`].
    pub fn ids(&self, prompt: &str) -> Result<Ids, Box<dyn std::error::Error + Send + Sync>> {
        let encoding = self.0.encode(clean::clean(prompt), true)?;
        Ok(Ids {
            ids: encoding.get_ids().to_vec(),
            is_cut: !encoding.get_overflowing().is_empty(),
        })
    }

    /// How many ids there are.
    pub fn vocabulary(&self) -> usize {
        self.0.get_vocab_size(true)
    }
}
