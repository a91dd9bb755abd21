//! Loose files: the original's folder, ComfyUI's folders, a single transformer with the rest beside it. What a file holds is told by
//! its tensors; what the whole amounts to, by their shapes. Where that leaves a choice, `kinora.json` makes it.

use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;

use super::Assembly;
use super::Part;
use super::Source;
use super::family;
use super::search;
use super::search::Found;
use super::search::Noise;
use super::search::Shelf;
use crate::capabilities::Card;
use crate::capabilities::Family;
use crate::capabilities::ImageBranch;
use crate::config::DitConfig;
use crate::config::PipelineConfig;
use crate::config::SamplingConfig;
use crate::error::LoadError;
use crate::files::Document;
use crate::files::Files;
use crate::infer;
use crate::infer::Hints;
use crate::names::Network;
use crate::sampling::SolverKind;
use crate::tokenizer::Tokenizer;

/// Folders that hold transformers and nothing else: the parts of a file in one of them are looked for beside it.
const TRANSFORMER_FOLDERS: [&str; 6] = [
    "diffusion_models",
    "unet",
    "high_noise_model",
    "low_noise_model",
    "HighNoise",
    "LowNoise",
];

/// Where tokenizers are, below the folder that a checkpoint is.
const TOKENIZERS: [&str; 5] = ["google/umt5-xxl", "tokenizer", "umt5-xxl", "text_encoders", ""];

pub(super) fn assemble(path: &Path) -> Result<Assembly, LoadError> {
    let root = root(path)?;
    let card = Card::of(&Files::Path(root.clone()))?;
    let mut search = Search {
        shelf: Shelf::of(&root),
        root,
    };
    let (high, low) = search.transformers(path, &card)?;
    let dit = search.dit(&high, &card)?;
    let low_dit = low.as_ref().map(|low| search.dit(low, &card)).transpose()?;

    let text = search.take(Network::Text, card.text_encoder.as_deref(), |found| {
        Ok(infer::text(&found.checkpoint)?.d_model == dit.text_dim)
    })?;
    let vae = search.take(Network::Vae, card.vae.as_deref(), |found| {
        Ok(infer::vae(&found.checkpoint)?.z_dim == dit.out_channels)
    })?;
    let hints = Hints {
        image_heads: card.image_heads,
        ..Hints::default()
    };
    let image = match dit.image_dim {
        None => None,
        Some(width) => Some(
            search.take(Network::Image, card.image_encoder.as_deref(), |found| {
                Ok(infer::image(&found.checkpoint, &hints)?.hidden_size == width)
            })?,
        ),
    };
    let tokenizer = search.tokenizer(&card, &text)?;
    let text_config = infer::text(&text.checkpoint)?;
    let vae_config = infer::vae(&vae.checkpoint)?;
    let image = match image {
        None => None,
        Some(image) => Some(Part {
            config: infer::image(&image.checkpoint, &hints)?,
            source: Source::File(image.path),
        }),
    };

    // Of the published transformers those of the 2.2 VAE alone know known tokens.
    let has_known_tokens =
        vae_config.is_residual && dit.in_channels == vae_config.z_dim && dit.vace.is_none();
    let mut pipeline = PipelineConfig {
        class_name: String::new(),
        boundary_ratio: None,
        has_known_tokens,
    };
    let family = family(search.root.clone(), &pipeline, &dit, &vae_config)?;
    if low_dit.is_some() {
        pipeline.boundary_ratio = Some(card.boundary.unwrap_or(boundary(family)));
    }
    let sampling = SamplingConfig {
        solver: SolverKind::UniPc,
        shift: card.shift.unwrap_or(shift(family, low_dit.is_some())),
    };
    Ok(Assembly {
        family,
        pipeline,
        sampling,
        tokenizer,
        text: Part {
            source: Source::File(text.path),
            config: text_config,
        },
        vae: Part {
            source: Source::File(vae.path),
            config: vae_config,
        },
        dit: Part {
            source: Source::File(high.path),
            config: dit,
        },
        low: low.zip(low_dit).map(|(low, config)| Part {
            source: Source::File(low.path),
            config,
        }),
        image,
        card,
        root: search.root,
    })
}

/// From which share of the timesteps on the high-noise expert is asked. Reference: Wan2.2 `wan/configs`.
fn boundary(family: Family) -> f64 {
    match family {
        Family::Inpaint { .. } => 0.9,
        Family::Text | Family::KnownTokens | Family::Vace | Family::Sources => 0.875,
    }
}

/// How far the sigmas bend towards noise. Reference: Wan2.2 `wan/configs`, Wan2.1 `generate.py` (at 480p where the family's
/// default is).
fn shift(family: Family, has_experts: bool) -> f64 {
    match family {
        Family::Text | Family::Sources if has_experts => 12.0,
        Family::Inpaint {
            image: ImageBranch::FirstAndLast,
        } => 16.0,
        Family::Vace => 16.0,
        Family::Inpaint {
            image: ImageBranch::Pictures,
        } => 3.0,
        Family::Text | Family::Sources | Family::KnownTokens | Family::Inpaint { .. } => 5.0,
    }
}

/// The folder in which the parts are looked for.
fn root(path: &Path) -> Result<PathBuf, LoadError> {
    let metadata = path.metadata().map_err(|source| LoadError::Open {
        path: path.into(),
        source,
    })?;
    if metadata.is_dir() {
        return Ok(path.into());
    }
    let holds_transformers = |folder: &&Path| {
        let name = folder.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| TRANSFORMER_FOLDERS.contains(&name.as_ref()))
    };
    let mut folders = path.ancestors().skip(1).skip_while(holds_transformers);
    Ok(folders.next().unwrap_or(Path::new("")).into())
}

struct Search {
    root: PathBuf,
    shelf: Shelf,
}

impl Search {
    /// The one transformer, or the two: that for much noise first.
    fn transformers(&mut self, path: &Path, card: &Card) -> Result<(Found, Option<Found>), LoadError> {
        let named = |part: &Option<PathBuf>| part.as_ref().map(|part| self.root.join(part));
        let (transformer, low) = (named(&card.transformer), named(&card.transformer_low_noise));
        let is_file = path.is_file();
        let given = if is_file {
            Some(path.to_owned())
        } else {
            transformer
        };
        if let Some(given) = given {
            let high = self.named(Network::Dit, &given)?;
            let low = match (low, Noise::of(&given)) {
                (Some(low), _) => Some(low),
                (None, None) => None,
                (None, Some(_)) => Some(self.partner(&given)?),
            };
            let low = low.map(|low| self.named(Network::Dit, &low)).transpose()?;
            return Ok(match (Noise::of(&given), low) {
                (Some(Noise::Low), Some(partner)) if card.transformer_low_noise.is_none() => {
                    (partner, Some(high))
                }
                (_, low) => (high, low),
            });
        }
        let mut found = self.all(Network::Dit);
        match found.len() {
            0 => Err(self.lacks(Network::Dit)),
            1 if Noise::of(&found[0].path).is_none() => Ok((found.remove(0), None)),
            2 if self.are_partners(&found) => {
                let (one, other) = (found.remove(0), found.remove(0));
                Ok(match Noise::of(&one.path) {
                    Some(Noise::Low) => (other, Some(one)),
                    _ => (one, Some(other)),
                })
            }
            1 => {
                self.partner(&found[0].path)?;
                Err(self.lacks(Network::Dit))
            }
            _ => Err(self.ambiguous("transformer", "transformer", &found)),
        }
    }

    fn are_partners(&self, found: &[Found]) -> bool {
        let paths: Vec<PathBuf> = found.iter().map(|found| found.path.clone()).collect();
        search::partner(&paths[0], &paths).is_some()
    }

    /// The transformer for the rest of the noise.
    fn partner(&self, path: &Path) -> Result<PathBuf, LoadError> {
        let dits = self
            .shelf
            .found
            .iter()
            .filter(|found| found.network == Network::Dit);
        let paths: Vec<PathBuf> = dits.map(|found| found.path.clone()).collect();
        search::partner(path, &paths).ok_or_else(|| {
            self.incomplete(format!(
                "{} is one of two transformers, by its name, and the other is not beside it \
                 (kinora.json may name them as `transformer` and `transformer_low_noise`)",
                path.display()
            ))
        })
    }

    /// What a transformer is, held against the original's `config.json` where that lies beside it.
    fn dit(&self, found: &Found, card: &Card) -> Result<DitConfig, LoadError> {
        let beside = found.path.with_file_name("config.json");
        let original = match beside.is_file() {
            true => Some((Document::read(&beside)?.parse::<Original>()?, beside)),
            false => None,
        };
        let said = original.as_ref().map(|(original, _)| original);
        let hints = Hints {
            heads: card
                .heads
                .or(said.and_then(|said| said.num_heads.or(said.num_attention_heads))),
            eps: said.and_then(|said| said.eps),
            vace_layers: said.and_then(|said| said.vace_layers.clone()),
            image_heads: None,
        };
        let config = infer::dit(&found.checkpoint, &hints)?;
        if let Some((original, path)) = original {
            original.check(&config, path)?;
        }
        Ok(config)
    }

    /// The network that the card names, or the only one that fits.
    fn take(
        &mut self,
        network: Network,
        named: Option<&Path>,
        fits: impl Fn(&Found) -> Result<bool, LoadError>,
    ) -> Result<Found, LoadError> {
        if let Some(named) = named {
            return self.named(network, &self.root.join(named));
        }
        let mut fitting = Vec::new();
        for found in self.all(network) {
            if fits(&found)? {
                fitting.push(found);
            }
        }
        match fitting.len() {
            0 => Err(self.lacks(network)),
            1 => Ok(fitting.remove(0)),
            _ => {
                let key = match network {
                    Network::Dit => "transformer",
                    Network::Text => "text_encoder",
                    Network::Vae => "vae",
                    Network::Image => "image_encoder",
                };
                Err(self.ambiguous(network.name(), key, &fitting))
            }
        }
    }

    fn all(&mut self, network: Network) -> Vec<Found> {
        let (wanted, rest) = std::mem::take(&mut self.shelf.found)
            .into_iter()
            .partition(|found| found.network == network);
        self.shelf.found = rest;
        wanted
    }

    fn named(&self, network: Network, path: &Path) -> Result<Found, LoadError> {
        match search::look(path)? {
            Some(found) if found.network == network => Ok(found),
            Some(found) => Err(LoadError::Incomplete {
                path: path.into(),
                what: format!(
                    "a {} is wanted, and it holds a {}",
                    network.name(),
                    found.network.name()
                ),
            }),
            None => Err(LoadError::Incomplete {
                path: path.into(),
                what: format!("a {} is wanted, and it holds none that is known", network.name()),
            }),
        }
    }

    /// As a file in one of the usual places, or within the text encoder's.
    fn tokenizer(&self, card: &Card, text: &Found) -> Result<Tokenizer, LoadError> {
        if let Some(named) = &card.tokenizer {
            return Tokenizer::load(&self.root.join(named));
        }
        let beside = text.path.parent().unwrap_or(Path::new(""));
        let folders = TOKENIZERS.map(|folder| self.root.join(folder));
        for folder in folders.iter().map(PathBuf::as_path).chain([beside]) {
            for name in ["tokenizer.json", "spiece.model"] {
                let file = folder.join(name);
                if file.is_file() {
                    return Tokenizer::load(&file);
                }
            }
        }
        if let Some(model) = text.checkpoint.bytes("spiece_model") {
            return Tokenizer::of_spiece(&text.path, model);
        }
        let vocabulary = text
            .checkpoint
            .vocabulary()
            .map_err(|source| LoadError::Checkpoint {
                path: text.path.clone(),
                source,
            })?;
        match vocabulary {
            Some(vocabulary) => Tokenizer::of_pieces(&text.path, vocabulary.0),
            None => Err(self.incomplete(format!(
                "no tokenizer.json or spiece.model is in {} or beside the text encoder, nor is one within it \
                 (kinora.json may name one as `tokenizer`)",
                TOKENIZERS.map(|folder| format!("{folder}/")).join(", ")
            ))),
        }
    }

    fn lacks(&self, network: Network) -> LoadError {
        let unread = match self.shelf.failed.first() {
            Some(failed) => format!(
                "; {} files could not be read, of the first: {}",
                self.shelf.failed.len(),
                chain(failed)
            ),
            None => String::new(),
        };
        self.incomplete(format!(
            "there is no model_index.json, and no file in it or in {} holds a {} that fits the rest{unread}",
            search::FOLDERS[1..].join(", "),
            network.name(),
        ))
    }

    fn ambiguous(&self, what: &str, key: &str, found: &[Found]) -> LoadError {
        let paths: Vec<String> = found
            .iter()
            .map(|found| found.path.display().to_string())
            .collect();
        self.incomplete(format!(
            "it holds more than one {what}: {}; name one, or say which in kinora.json as `{key}`",
            paths.join(", ")
        ))
    }

    fn incomplete(&self, what: String) -> LoadError {
        LoadError::Incomplete {
            path: self.root.clone(),
            what,
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source)));
    format!("{error}{}", source.unwrap_or_default())
}

/// The original's `config.json`; what it says of shapes has to be so.
#[derive(Deserialize)]
struct Original {
    model_type: Option<String>,
    dim: Option<usize>,
    ffn_dim: Option<usize>,
    freq_dim: Option<usize>,
    text_dim: Option<usize>,
    num_heads: Option<usize>,
    num_attention_heads: Option<usize>,
    num_layers: Option<usize>,
    in_dim: Option<usize>,
    out_dim: Option<usize>,
    vace_in_dim: Option<usize>,
    vace_layers: Option<Vec<usize>>,
    eps: Option<f32>,
}

impl Original {
    fn check(&self, config: &DitConfig, path: PathBuf) -> Result<(), LoadError> {
        const TYPES: [&str; 5] = ["t2v", "i2v", "ti2v", "flf2v", "vace"];
        if let Some(kind) = &self.model_type
            && !TYPES.contains(&kind.as_str())
        {
            let what = format!("the model type {kind:?}; there are {}", TYPES.join(", "));
            return Err(LoadError::Unsupported { path, what });
        }
        let vace = config.vace.as_ref();
        let said = [
            ("dim", self.dim, config.width()),
            ("ffn_dim", self.ffn_dim, config.ffn_dim),
            ("freq_dim", self.freq_dim, config.freq_dim),
            ("text_dim", self.text_dim, config.text_dim),
            ("num_layers", self.num_layers, config.layers),
            ("in_dim", self.in_dim, config.in_channels),
            ("out_dim", self.out_dim, config.out_channels),
            (
                "vace_in_dim",
                self.vace_in_dim,
                vace.map_or(0, |vace| vace.channels),
            ),
        ];
        for (key, said, is) in said {
            if let Some(said) = said.filter(|&said| said != is) {
                let what = format!("`{key}` is {said} in config.json and {is} by the weights");
                return Err(LoadError::Mismatch { path, what });
            }
        }
        let blocks = vace.map_or(0, |vace| vace.layers.len());
        let hinted = self.vace_layers.as_ref().map_or(blocks, Vec::len);
        if hinted != blocks {
            let what =
                format!("`vace_layers` are {hinted} in config.json, of hinting blocks there are {blocks}");
            return Err(LoadError::Mismatch { path, what });
        }
        Ok(())
    }
}
