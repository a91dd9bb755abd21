//! SentencePiece models: a vocabulary as a protobuf message, of which the pieces and their scores are read.
//!
//! Reference: sentencepiece `sentencepiece_model.proto`.

use thiserror::Error;

use super::gguf::Vocabulary;

/// What is wrong with a model.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SentencePieceError {
    /// The message ends early, or is none.
    #[error("it is cut, or no SentencePiece model")]
    Cut,
    /// A piece has no text, or one that is not UTF-8.
    #[error("piece {index} has no readable text")]
    Piece {
        /// Which one.
        index: usize,
    },
    /// It changes characters before it divides a text.
    #[error("it maps characters before it divides, which UMT5's does not: give its tokenizer.json")]
    Normalizer,
}

/// The pieces of a SentencePiece model, a protobuf message, with their scores.
pub fn parse(model: &[u8]) -> Result<Vocabulary, SentencePieceError> {
    const PIECES: u64 = 1;
    const NORMALIZER: u64 = 3;
    let mut pieces = Vec::new();
    for field in Message(model) {
        match field? {
            (PIECES, Field::Bytes(piece)) => pieces.push(read_piece(piece, pieces.len())?),
            (NORMALIZER, Field::Bytes(normalizer)) => check_normalizer(normalizer)?,
            _ => {}
        }
    }
    Ok(Vocabulary(pieces))
}

fn read_piece(piece: &[u8], index: usize) -> Result<(String, f32), SentencePieceError> {
    let (mut text, mut score) = (None, 0.0);
    for field in Message(piece) {
        match field? {
            (1, Field::Bytes(bytes)) => text = std::str::from_utf8(bytes).ok(),
            (2, Field::Fixed32(bits)) => score = f32::from_bits(bits),
            _ => {}
        }
    }
    let text = text.ok_or(SentencePieceError::Piece { index })?;
    Ok((text.to_owned(), score))
}

/// UMT5's normalizer leaves characters alone; a model that maps some would be read wrongly.
fn check_normalizer(normalizer: &[u8]) -> Result<(), SentencePieceError> {
    for field in Message(normalizer) {
        if let (2, Field::Bytes(map)) = field?
            && !map.is_empty()
        {
            return Err(SentencePieceError::Normalizer);
        }
    }
    Ok(())
}

/// A protobuf message, field by field.
struct Message<'a>(&'a [u8]);

enum Field<'a> {
    Varint,
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Iterator for Message<'a> {
    type Item = Result<(u64, Field<'a>), SentencePieceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(SentencePieceError::Cut))
    }
}

impl<'a> Message<'a> {
    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.varint()?;
        let field = match key & 7 {
            0 => {
                self.varint()?;
                Field::Varint
            }
            1 => {
                self.take(8)?;
                Field::Fixed64
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(*self.take(4)?.first_chunk()?)),
            _ => return None,
        };
        Some((key >> 3, field))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
