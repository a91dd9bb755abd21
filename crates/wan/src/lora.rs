//! LoRAs: small changes to a transformer's weights, merged in `f32` when the weights are read and rounded once to the weight's own type
//! (to `bf16` where that type stands for blocks or eight bits).
//!
//! A file says them in one of several dialects, which differ in how they spell a layer ([`SPELLINGS`]) and in how they end a key
//! ([`ENDS`]). A key that does not resolve to a tensor of the model is an error, never passed over.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::PathBuf;

use kinora_tensor::Checkpoint;
use kinora_tensor::CheckpointError;
use kinora_tensor::Device;
use kinora_tensor::Epilogue;
use kinora_tensor::Linear;
use kinora_tensor::Tensor;
use kinora_tensor::TensorError;
use kinora_tensor::Weight;

use crate::error::LoadError;
use crate::names::Translation;
use crate::weights::WeightsError;

/// A LoRA to load, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraOptions {
    /// Its file.
    pub path: PathBuf,
    /// How strongly it acts; 1 as trained.
    pub scale: f32,
    /// The expert it is for; None for whichever there are.
    pub expert: Option<ExpertName>,
}

/// One of the two transformers of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpertName {
    /// The one for much noise, or the only one.
    HighNoise,
    /// The one for little.
    LowNoise,
}

/// The LoRAs of one transformer.
pub(crate) struct Loras(Vec<Lora>);

/// A file, understood.
struct Lora {
    checkpoint: Checkpoint,
    /// By the name of the tensor that is changed.
    changes: BTreeMap<String, Change>,
}

#[derive(Default)]
struct Change {
    /// Keys of `[rank, inputs]` and `[outputs, rank]`, and what their product is multiplied by.
    product: Option<(String, String, f32)>,
    /// The key of a change that is added as it is, and what it is multiplied by.
    sum: Option<(String, f32)>,
}

/// What a key says of its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Down,
    Up,
    Alpha,
    Weight,
    Bias,
}

/// How a key ends, and what that means.
const ENDS: [(&str, Role); 13] = [
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_A.default.weight", Role::Down),
    (".lora_B.default.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".lora_B.bias", Role::Bias),
    (".lora_B.default.bias", Role::Bias),
    (".alpha", Role::Alpha),
    (".diff", Role::Weight),
    (".diff_b", Role::Bias),
];

/// What stands before a layer, and whether the layer's points become underscores.
const SPELLINGS: [(&str, bool); 8] = [
    ("", false),
    ("diffusion_model.", false),
    ("model.diffusion_model.", false),
    ("transformer.", false),
    ("base_model.model.", false),
    ("unet.", false),
    ("lora_unet_", true),
    ("lora_transformer_", true),
];

/// What stands before a layer of the low-noise expert, in files for both.
const LOW_NOISE: &str = "transformer_2.";

impl Loras {
    /// Reads those that are for `expert` of the transformer `dit`, and checks every key of theirs against it. `has_experts` says whether
    /// there is another.
    pub(crate) fn open(
        options: &[LoraOptions],
        expert: ExpertName,
        has_experts: bool,
        dit: &Checkpoint,
    ) -> Result<Self, LoadError> {
        let layers = layers(dit);
        let wanted = |lora: &&LoraOptions| !has_experts || lora.expert.is_none_or(|wanted| wanted == expert);
        let loras = options.iter().filter(wanted);
        let open = |lora: &LoraOptions| Lora::open(lora, expert, has_experts, dit, &layers);
        Ok(Self(loras.map(open).collect::<Result<_, _>>()?))
    }

    /// The tensor `name` with every change that there is for it.
    pub(crate) fn merged(&self, name: &str, weight: Weight) -> Result<Weight, WeightsError> {
        let changes = self
            .0
            .iter()
            .filter_map(|lora| Some((lora, lora.changes.get(name)?)));
        let mut changes = changes.peekable();
        if changes.peek().is_none() {
            return Ok(weight);
        }
        let mut wide = weight.to_f32();
        for (lora, change) in changes {
            lora.apply(change, &mut wide)?;
        }
        Ok(Weight::rounded(weight.shape(), wide, weight.dtype())?)
    }

    /// Whether there is a change for the tensor `name`.
    pub(crate) fn change(&self, name: &str) -> bool {
        self.0.iter().any(|lora| lora.changes.contains_key(name))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Every way to spell a layer of the transformer, and the tensor it stands for, without its last part.
fn layers(dit: &Checkpoint) -> HashMap<String, String> {
    let original = Translation::original_dit();
    let mut layers = HashMap::new();
    for (name, _) in dit.entries() {
        let layer = name
            .strip_suffix(".weight")
            .or(name.strip_suffix(".bias"))
            .unwrap_or(name);
        for spelt in [layer.to_owned(), original.theirs(layer)] {
            for (prefix, is_flat) in SPELLINGS {
                let spelt = if is_flat {
                    spelt.replace('.', "_")
                } else {
                    spelt.clone()
                };
                layers.insert(format!("{prefix}{spelt}"), layer.to_owned());
            }
        }
    }
    layers
}

impl Lora {
    fn open(
        options: &LoraOptions,
        expert: ExpertName,
        has_experts: bool,
        dit: &Checkpoint,
        layers: &HashMap<String, String>,
    ) -> Result<Self, LoadError> {
        let path = &options.path;
        let checkpoint = Checkpoint::open(path).map_err(|source| LoadError::Checkpoint {
            path: path.clone(),
            source,
        })?;
        let refuse = |key: &str, what: String| LoadError::Lora {
            path: path.clone(),
            key: key.into(),
            what,
        };
        // By layer, the key of each role.
        let mut roles: BTreeMap<String, HashMap<Role, String>> = BTreeMap::new();
        let is_for_both = checkpoint.entries().any(|(key, _)| key.starts_with(LOW_NOISE));
        if is_for_both && !has_experts {
            let key = checkpoint.entries().find(|(key, _)| key.starts_with(LOW_NOISE));
            return Err(refuse(
                key.map_or("", |(key, _)| key),
                "the checkpoint has no second transformer".into(),
            ));
        }
        for (key, _) in checkpoint.entries() {
            if key.ends_with(".dora_scale") {
                return Err(refuse(key, "DoRA is not supported".into()));
            }
            let found = ENDS
                .into_iter()
                .find_map(|(end, role)| Some((key.strip_suffix(end)?, role)));
            let Some((spelt, role)) = found else {
                return Err(refuse(key, "what it says of a layer is not known".into()));
            };
            let (spelt, is_low) = match spelt.strip_prefix(LOW_NOISE) {
                Some(spelt) => (spelt, true),
                None => (spelt, false),
            };
            let Some(layer) = layers.get(spelt) else {
                return Err(refuse(key, "the model has no such layer".into()));
            };
            if is_for_both && is_low != (expert == ExpertName::LowNoise) {
                continue;
            }
            if let Some(other) = roles.entry(layer.clone()).or_default().insert(role, key.into()) {
                return Err(refuse(key, format!("{other:?} says the same of the layer")));
            }
        }
        let mut changes = BTreeMap::new();
        for (layer, roles) in roles {
            let file = File {
                checkpoint: &checkpoint,
                dit,
                scale: options.scale,
                refuse: &refuse,
            };
            file.layer(&layer, &roles, &mut changes)?;
        }
        Ok(Self { checkpoint, changes })
    }

    /// Adds a change to the numbers of a tensor.
    fn apply(&self, change: &Change, wide: &mut [f32]) -> Result<(), WeightsError> {
        let read = |key: &str| -> Result<Weight, CheckpointError> { self.checkpoint.weight_any(key) };
        if let Some((key, scale)) = &change.sum {
            let numbers = read(key)?.to_f32();
            wide.iter_mut()
                .zip(numbers)
                .for_each(|(wide, number)| *wide += scale * number);
        }
        if let Some((down, up, scale)) = &change.product {
            let numbers = product(&read(down)?, &read(up)?)?;
            let numbers = numbers.data()?;
            wide.iter_mut()
                .zip(numbers.iter())
                .for_each(|(wide, number)| *wide += scale * number);
        }
        Ok(())
    }
}

/// `up · down`: `[outputs, rank]` times `[rank, inputs]`.
fn product(down: &Weight, up: &Weight) -> Result<Tensor, TensorError> {
    let device = Device::cpu();
    let rank = down.shape().dims().first().copied().unwrap_or(1);
    let inputs = down.shape().elements().checked_div(rank).unwrap_or(0);
    let outputs = up.shape().elements().checked_div(rank).unwrap_or(0);
    let turned = Tensor::from_vec(&device, [rank, inputs], down.to_f32())?.permute(&[1, 0])?;
    let turned = Weight::from_f32([inputs, rank], turned.data()?.to_vec())?;
    let linear = Linear::new(&device, &turned, None)?;
    Tensor::from_vec(&device, [outputs, rank], up.to_f32())?.linear(&linear, Epilogue::None)
}

/// A file while it is being understood.
struct File<'a> {
    checkpoint: &'a Checkpoint,
    dit: &'a Checkpoint,
    scale: f32,
    refuse: &'a dyn Fn(&str, String) -> LoadError,
}

impl File<'_> {
    /// What a file's keys say of one layer.
    fn layer(
        &self,
        layer: &str,
        roles: &HashMap<Role, String>,
        changes: &mut BTreeMap<String, Change>,
    ) -> Result<(), LoadError> {
        let weight = format!("{layer}.weight");
        // A few tensors stand for themselves.
        let weight = if self.dit.entry(&weight).is_some() {
            weight
        } else {
            layer.to_owned()
        };
        match (roles.get(&Role::Down), roles.get(&Role::Up)) {
            (Some(down), Some(up)) => {
                let product = self.product(&weight, down, up, roles.get(&Role::Alpha))?;
                changes.entry(weight.clone()).or_default().product = Some(product);
            }
            (None, None) => {
                if let Some(alpha) = roles.get(&Role::Alpha) {
                    return Err((self.refuse)(alpha, "the layer has no matrices".into()));
                }
            }
            (Some(half), None) | (None, Some(half)) => {
                return Err((self.refuse)(
                    half,
                    "the other matrix of the layer is missing".into(),
                ));
            }
        }
        for (role, target) in [(Role::Weight, weight), (Role::Bias, format!("{layer}.bias"))] {
            if let Some(key) = roles.get(&role) {
                let elements = self.elements(&target);
                if elements.is_none() || elements != self.found(key) {
                    return Err((self.refuse)(
                        key,
                        format!("it does not have the shape of {target:?}"),
                    ));
                }
                changes.entry(target).or_default().sum = Some((key.clone(), self.scale));
            }
        }
        Ok(())
    }

    fn product(
        &self,
        weight: &str,
        down: &str,
        up: &str,
        alpha: Option<&String>,
    ) -> Result<(String, String, f32), LoadError> {
        let dims = |key: &str| {
            self.checkpoint
                .entry(key)
                .map(|entry| entry.shape.dims().to_vec())
        };
        let (down_dims, up_dims) = (dims(down).unwrap_or_default(), dims(up).unwrap_or_default());
        let rank = down_dims.first().copied().unwrap_or(0);
        let target = self
            .dit
            .entry(weight)
            .map(|entry| entry.shape.dims().to_vec())
            .unwrap_or_default();
        let (outputs, inputs) = (
            target.first().copied(),
            target.get(1..).map(|dims| dims.iter().product()),
        );
        let fits = rank > 0
            && up_dims.first().copied() == outputs
            && up_dims.get(1..).map(|dims| dims.iter().product()) == Some(rank)
            && down_dims.get(1..).map(|dims| dims.iter().product::<usize>()) == inputs;
        if !fits {
            let what =
                format!("{up_dims:?} times {down_dims:?} is not of the shape of {weight:?}, {target:?}");
            return Err((self.refuse)(down, what));
        }
        let alpha = match alpha {
            Some(key) => self.number(key)? / rank as f32,
            None => 1.0,
        };
        Ok((down.to_owned(), up.to_owned(), self.scale * alpha))
    }

    fn number(&self, key: &str) -> Result<f32, LoadError> {
        let number = self.checkpoint.weight_any(key).map(|weight| weight.to_f32());
        match number.as_deref() {
            Ok([number]) if number.is_finite() => Ok(*number),
            Ok(_) => Err((self.refuse)(key, "it is not one number".into())),
            Err(error) => Err((self.refuse)(key, error.to_string())),
        }
    }

    fn elements(&self, name: &str) -> Option<usize> {
        self.dit.entry(name).map(|entry| entry.shape.elements())
    }

    fn found(&self, key: &str) -> Option<usize> {
        self.checkpoint.entry(key).map(|entry| entry.shape.elements())
    }
}
