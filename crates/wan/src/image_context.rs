//! The image encoder, CLIP's vision tower: a picture to the states that the picture branch attends to.
//!
//! Reference: Wan2.1 `wan/modules/clip.py`, `VisionTransformer` (the output of all blocks but the last, without the norm after
//! them); transformers `CLIPVisionModel`, `hidden_states[-2]`.

use kinora_tensor::Activation;
use kinora_tensor::Attention;
use kinora_tensor::Epilogue;
use kinora_tensor::LayerNormOutput;
use kinora_tensor::Linear;
use kinora_tensor::Result;
use kinora_tensor::Tensor;

use crate::config::ImageConfig;
use crate::frame::FrameRgb;
use crate::frame::resize;
use crate::names::IMAGE_ENCODER_TAIL;
use crate::weights::Weights;
use crate::weights::WeightsError;

/// What pictures are normalised by.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

type Norm = (Tensor, Tensor);

/// See the file's head.
pub struct ImageEncoder {
    /// `[1, D]`.
    class_embedding: Tensor,
    patch_embedding: Linear,
    /// `[1 + patches, D]`.
    position_embedding: Tensor,
    pre_norm: Norm,
    blocks: Vec<Block>,
    config: ImageConfig,
}

/// Reference: transformers `CLIPEncoderLayer`.
struct Block {
    norm1: Norm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    norm2: Norm,
    fc1: Linear,
    fc2: Linear,
}

impl ImageEncoder {
    /// Builds the model; every tensor's name and shape is checked on the way.
    pub fn load(w: &Weights, config: &ImageConfig) -> std::result::Result<Self, WeightsError> {
        // Whole CLIP models keep the tower one level down.
        let w = if w.has("embeddings.class_embedding") {
            w.clone()
        } else {
            w.at("vision_model")
        };
        let width = config.hidden_size;
        let patches = (config.image_size / config.patch_size).pow(2);
        let blocks = config.num_hidden_layers.saturating_sub(1);
        let embeddings = w.at("embeddings");
        w.ignore_below(&format!("encoder.layers.{blocks}"));
        IMAGE_ENCODER_TAIL.iter().for_each(|tail| w.ignore_below(tail));
        let side = config.patch_size;
        Ok(Self {
            class_embedding: embeddings.vector("class_embedding", width)?.reshape([1, width])?,
            patch_embedding: embeddings.matrix("patch_embedding", &[width, 3, side, side], false)?,
            position_embedding: embeddings.tensor("position_embedding.weight", &[1 + patches, width])?,
            pre_norm: w.norm("pre_layrnorm", width)?,
            blocks: (0..blocks)
                .map(|block| Block::load(&w.at(&format!("encoder.layers.{block}")), config))
                .collect::<std::result::Result<_, _>>()?,
            config: config.clone(),
        })
    }

    /// How many tokens a picture becomes.
    pub fn tokens(&self) -> usize {
        self.position_embedding.dims()[0]
    }

    /// A picture of any size to `[tokens, D]`: stretched to the encoder's square, not cropped.
    pub fn forward(&self, picture: &FrameRgb) -> Result<Tensor> {
        let side = self.config.image_size;
        let unit: Vec<f32> = picture
            .data
            .iter()
            .map(|&byte| f32::from(byte) / 127.5 - 1.0)
            .collect();
        let pixels = Tensor::from_vec(
            self.class_embedding.device(),
            [picture.height, picture.width, 3],
            unit,
        )?;
        self.forward_pixels(&normalized(&resize::bicubic(&pixels, side, side)?)?)
    }

    /// Normalised pixels `[side, side, 3]` to `[tokens, D]`.
    pub fn forward_pixels(&self, pixels: &Tensor) -> Result<Tensor> {
        let patches = self
            .patches(pixels)?
            .linear(&self.patch_embedding, Epilogue::None)?;
        let mut x = Tensor::concat(&[&self.class_embedding, &patches], 0)?
            .add(&self.position_embedding)?
            .layer_norm(self.config.layer_norm_eps, affine(&self.pre_norm))?;
        for block in &self.blocks {
            x = block.forward(&x, &self.config)?;
        }
        Ok(x)
    }

    /// `[Y, X, 3] → [patches, 3·s·s]`: the channel varies slowest.
    fn patches(&self, pixels: &Tensor) -> Result<Tensor> {
        let (side, patch) = (self.config.image_size, self.config.patch_size);
        let count = side / patch;
        pixels
            .slice(0, 0..count * patch)?
            .slice(1, 0..count * patch)?
            .reshape([count, patch, count, patch, 3])?
            .permute(&[0, 2, 4, 1, 3])? // [Y', X', 3, s, s]
            .reshape([count * count, 3 * patch * patch])
    }
}

/// Pixels in −1…1 to what the tower was trained on.
pub fn normalized(pixels: &Tensor) -> Result<Tensor> {
    let vector = |numbers: [f32; 3]| Tensor::from_vec(pixels.device(), [3], numbers.to_vec());
    let unit = pixels.affine(0.5, 0.5)?;
    unit.add(&vector(MEAN.map(|mean| -mean))?)?
        .mul(&vector(STD.map(|std| 1.0 / std))?)
}

impl Block {
    fn load(w: &Weights, config: &ImageConfig) -> std::result::Result<Self, WeightsError> {
        let width = config.hidden_size;
        let attention = w.at("self_attn");
        Ok(Self {
            norm1: w.norm("layer_norm1", width)?,
            q: attention.linear("q_proj", width, width)?,
            k: attention.linear("k_proj", width, width)?,
            v: attention.linear("v_proj", width, width)?,
            out: attention.linear("out_proj", width, width)?,
            norm2: w.norm("layer_norm2", width)?,
            fc1: w.linear("mlp.fc1", width, config.intermediate_size)?,
            fc2: w.linear("mlp.fc2", config.intermediate_size, width)?,
        })
    }

    /// `[L, D] → [L, D]`.
    fn forward(&self, x: &Tensor, config: &ImageConfig) -> Result<Tensor> {
        let heads = config.num_attention_heads;
        let scale = 1.0 / ((config.hidden_size / heads) as f32).sqrt();
        let y = x.layer_norm(config.layer_norm_eps, affine(&self.norm1))?;
        let project = |linear| y.linear(linear, Epilogue::None);
        let (q, k, v) = (project(&self.q)?, project(&self.k)?, project(&self.v)?);
        let x = Attention {
            q: &q,
            k: &k,
            v: &v,
            heads,
            scale,
            relative_bias: None,
            key_bias: None,
            may_round: false,
        }
        .run()?
        .linear(&self.out, Epilogue::Residual(x))?;
        x.layer_norm(config.layer_norm_eps, affine(&self.norm2))?
            .linear(&self.fc1, Epilogue::Activate(Activation::GeluErf))?
            .linear(&self.fc2, Epilogue::Residual(&x))
    }
}

fn affine((weight, bias): &Norm) -> LayerNormOutput<'_> {
    LayerNormOutput::Affine { weight, bias }
}
