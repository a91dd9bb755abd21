//! What a line of the input asks for. fixtures/full_shape/time_stages.py answers the same lines by the reference, with other ways.

use std::path::PathBuf;
use std::str::FromStr;

use kinora_tensor::cpu::Convolutions;
use kinora_wan::Quantization;
use kinora_wan::blocks::Placement;

/// What is loaded. A command for the same part finds it as the one before left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Text(Quantization),
    Dit(Quantization, Placement),
    Encoder(Vae, Way),
    Decoder(Vae, Way),
    Pipeline(Quantization),
}

/// How convolutions are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) convolutions: Convolutions,
    pub(crate) quantization: Quantization,
}

/// Of which generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vae {
    Vae21,
    Vae22,
}

/// What it works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    /// So many tokens of text.
    Text { tokens: usize },
    /// Latents, or frames where they are encoded.
    Clip(Extents),
    /// A whole generation, guided; the bytes of its frames go to `out`.
    Generate {
        frames: Extents,
        steps: usize,
        out: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extents {
    pub(crate) frames: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// A line of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) part: Part,
    pub(crate) work: Work,
}

const GRAMMAR: &str = "text exact|bf16 TOKENS | dit exact|bf16|int8|streamed FRAMES ROWS COLUMNS | \
    encode|decode vae21|vae22 winograd|direct|bf16 FRAMES ROWS COLUMNS | \
    generate exact|bf16|int8 FRAMES ROWS COLUMNS STEPS FILE";

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["text", way @ ("exact" | "bf16"), tokens] => Ok(Self {
                part: Part::Text(quantization(way)?),
                work: Work::Text {
                    tokens: number("TOKENS", tokens)?,
                },
            }),
            ["dit", "streamed", extents @ ..] if extents.len() == 3 => Ok(Self {
                part: Part::Dit(Quantization::None, Placement::Streamed),
                work: Work::Clip(Extents::parse(extents)?),
            }),
            ["dit", way, extents @ ..] if extents.len() == 3 => Ok(Self {
                part: Part::Dit(quantization(way)?, Placement::Resident),
                work: Work::Clip(Extents::parse(extents)?),
            }),
            ["encode", name, way, extents @ ..] if extents.len() == 3 => Ok(Self {
                part: Part::Encoder(vae(name)?, convolution_way(way)?),
                work: Work::Clip(Extents::parse(extents)?),
            }),
            ["decode", name, way, extents @ ..] if extents.len() == 3 => Ok(Self {
                part: Part::Decoder(vae(name)?, convolution_way(way)?),
                work: Work::Clip(Extents::parse(extents)?),
            }),
            ["generate", way, frames, rows, columns, steps, out] => Ok(Self {
                part: Part::Pipeline(quantization(way)?),
                work: Work::Generate {
                    frames: Extents::parse(&[frames, rows, columns])?,
                    steps: number("STEPS", steps)?,
                    out: out.into(),
                },
            }),
            _ => Err(format!("expected {GRAMMAR}, not {line:?}")),
        }
    }
}

impl Extents {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let [frames, rows, columns] = words else {
            return Err(format!("expected FRAMES ROWS COLUMNS, not {words:?}"));
        };
        Ok(Self {
            frames: number("FRAMES", frames)?,
            rows: number("ROWS", rows)?,
            columns: number("COLUMNS", columns)?,
        })
    }
}

fn number(field: &str, word: &str) -> Result<usize, String> {
    match word.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{field} is a whole number from 1 on, not {word:?}")),
    }
}

fn quantization(word: &str) -> Result<Quantization, String> {
    match word {
        "exact" => Ok(Quantization::None),
        "bf16" => Ok(Quantization::Bf16),
        "int8" => Ok(Quantization::Int8),
        _ => Err(format!("the way is exact, bf16 or int8, not {word:?}")),
    }
}

fn convolution_way(word: &str) -> Result<Way, String> {
    let (convolutions, quantization) = match word {
        "winograd" => (Convolutions::Winograd, Quantization::None),
        "direct" => (Convolutions::Direct, Quantization::None),
        "bf16" => (Convolutions::Winograd, Quantization::Bf16),
        _ => return Err(format!("the way is winograd, direct or bf16, not {word:?}")),
    };
    Ok(Way {
        convolutions,
        quantization,
    })
}

fn vae(word: &str) -> Result<Vae, String> {
    match word {
        "vae21" => Ok(Vae::Vae21),
        "vae22" => Ok(Vae::Vae22),
        _ => Err(format!("the VAE is vae21 or vae22, not {word:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<(Part, Work), &str>) {
        match (line.parse::<Command>(), expected) {
            (Ok(Command { part, work }), Ok(expected)) => assert_eq!((part, work), expected, "{line}"),
            (Err(got), Err(expected)) => assert!(got.contains(expected), "{line}: {got}"),
            (got, expected) => panic!("{line}: {got:?} in place of {expected:?}"),
        }
    }

    #[test]
    fn lines() {
        let clip = |frames, rows, columns| Extents {
            frames,
            rows,
            columns,
        };
        let way = |convolutions, quantization| Way {
            convolutions,
            quantization,
        };
        check(
            "text exact 126",
            Ok((Part::Text(Quantization::None), Work::Text { tokens: 126 })),
        );
        check(
            "dit int8 3 30 52",
            Ok((
                Part::Dit(Quantization::Int8, Placement::Resident),
                Work::Clip(clip(3, 30, 52)),
            )),
        );
        check(
            "dit streamed 1 2 2",
            Ok((
                Part::Dit(Quantization::None, Placement::Streamed),
                Work::Clip(clip(1, 2, 2)),
            )),
        );
        check(
            "encode vae22 direct 5 64 96",
            Ok((
                Part::Encoder(Vae::Vae22, way(Convolutions::Direct, Quantization::None)),
                Work::Clip(clip(5, 64, 96)),
            )),
        );
        check(
            "decode vae21 winograd 2 4 6",
            Ok((
                Part::Decoder(Vae::Vae21, way(Convolutions::Winograd, Quantization::None)),
                Work::Clip(clip(2, 4, 6)),
            )),
        );
        check(
            "decode vae22 bf16 2 4 6",
            Ok((
                Part::Decoder(Vae::Vae22, way(Convolutions::Winograd, Quantization::Bf16)),
                Work::Clip(clip(2, 4, 6)),
            )),
        );
        check(
            "generate bf16 9 240 416 4 clip.rgb",
            Ok((
                Part::Pipeline(Quantization::Bf16),
                Work::Generate {
                    frames: clip(9, 240, 416),
                    steps: 4,
                    out: "clip.rgb".into(),
                },
            )),
        );
        check("", Err("expected text exact|bf16 TOKENS"));
        check("text int8 126", Err("not \"text int8 126\""));
        check(
            "text exact many",
            Err("TOKENS is a whole number from 1 on, not \"many\""),
        );
        check(
            "dit fp8 1 2 2",
            Err("the way is exact, bf16 or int8, not \"fp8\""),
        );
        check("dit exact 1 2", Err("not \"dit exact 1 2\""));
        check(
            "dit exact 1 0 2",
            Err("ROWS is a whole number from 1 on, not \"0\""),
        );
        check(
            "decode vae23 direct 1 2 2",
            Err("the VAE is vae21 or vae22, not \"vae23\""),
        );
        check(
            "decode vae21 exact 1 2 2",
            Err("the way is winograd, direct or bf16, not \"exact\""),
        );
        check(
            "generate exact 9 240 416 4",
            Err("expected text exact|bf16 TOKENS"),
        );
    }
}
