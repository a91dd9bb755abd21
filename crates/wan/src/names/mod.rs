//! What checkpoints call their tensors. The models ask by the names of diffusers and transformers; what other programs call the same
//! tensors is data ([`tables`]), and so is what published files hold without the models having use for it.
//!
//! Which network a file holds, and in whose names, is told by names that no other has ([`recognise`]), never by what the file is
//! called.

mod tables;

use kinora_tensor::Checkpoint;
use kinora_tensor::CheckpointError;

pub(crate) use self::tables::IMAGE_ENCODER_TAIL;
use self::tables::MARKS;
use self::tables::PREFIXES;
use self::tables::TOLERATED;

/// One of the networks of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Dit,
    Text,
    Vae,
    Image,
}

/// Whose names a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// diffusers, and transformers for the encoders.
    Diffusers,
    /// The original program; ComfyUI and most GGUF files follow it.
    Original,
    /// llama.cpp.
    Llama,
}

/// How a file names the tensors of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) network: Network,
    pub(crate) speaker: Speaker,
    /// What stands before every name.
    pub(crate) prefix: &'static str,
}

/// Steps from a name of theirs to one of ours: of each the first rule that fits is applied.
///
/// A rule is a run of whole parts of a name, found anywhere in it; `^` is its start, `#` any number.
#[derive(Debug, Clone)]
pub(crate) struct Translation {
    prefix: &'static str,
    steps: Vec<Vec<(String, String)>>,
}

impl Network {
    /// For messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Network::Dit => "transformer",
            Network::Text => "text encoder",
            Network::Vae => "VAE",
            Network::Image => "image encoder",
        }
    }
}

/// Which network a file holds, and in whose names; None for what is no part of a Wan checkpoint.
pub(crate) fn recognise(checkpoint: &Checkpoint) -> Option<Dialect> {
    MARKS.into_iter().find_map(|(network, speaker, mark)| {
        let holds = |prefix: &&str| checkpoint.entry(&format!("{prefix}{mark}")).is_some();
        let prefix = PREFIXES.into_iter().find(holds)?;
        Some(Dialect {
            network,
            speaker,
            prefix,
        })
    })
}

impl Dialect {
    /// The same checkpoint by the names that the models ask for.
    pub(crate) fn translate(self, checkpoint: Checkpoint) -> Result<Checkpoint, CheckpointError> {
        let there = Translation::of(self, &checkpoint);
        let back = there.clone();
        let renamed = checkpoint.renamed(|name| there.ours(name), move |name| back.theirs(name))?;
        Ok(renamed.divided(tables::parts))
    }
}

impl Translation {
    pub(crate) fn of(dialect: Dialect, checkpoint: &Checkpoint) -> Self {
        let has = |name: &str| checkpoint.entry(&format!("{}{name}", dialect.prefix)).is_some();
        let tables = match (dialect.network, dialect.speaker) {
            (_, Speaker::Diffusers) => Vec::new(),
            (Network::Dit, _) => vec![owned(tables::DIT)],
            (Network::Text, Speaker::Original) => vec![owned(tables::TEXT)],
            (Network::Text, Speaker::Llama) => vec![owned(tables::TEXT_LLAMA)],
            (Network::Image, _) => vec![owned(tables::IMAGE)],
            (Network::Vae, _) => {
                let places = [tables::vae_levels(has), owned(tables::VAE_PLACES)].concat();
                vec![places, owned(tables::VAE_LAYERS)]
            }
        };
        Self {
            prefix: dialect.prefix,
            steps: tables,
        }
    }

    /// The original's names of a transformer, without a prefix.
    pub(crate) fn original_dit() -> Self {
        Self {
            prefix: "",
            steps: vec![owned(tables::DIT)],
        }
    }

    /// Our name of a tensor that the files call `name`.
    pub(crate) fn ours(&self, name: &str) -> String {
        let bare = name.strip_prefix(self.prefix).unwrap_or(name);
        let step = |name: String, rules: &Vec<(String, String)>| {
            let applied = rules
                .iter()
                .find_map(|(theirs, ours)| replace(&name, theirs, ours));
            applied.unwrap_or(name)
        };
        self.steps.iter().fold(bare.to_owned(), step)
    }

    /// What the files call a tensor of ours; near enough for messages where numbers were dropped on the way.
    pub(crate) fn theirs(&self, name: &str) -> String {
        let step = |name: String, rules: &Vec<(String, String)>| {
            let applied = rules
                .iter()
                .find_map(|(theirs, ours)| replace(&name, ours, theirs));
            applied.unwrap_or(name)
        };
        let bare = self.steps.iter().rev().fold(name.to_owned(), step);
        format!("{}{bare}", self.prefix)
    }
}

fn owned(table: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(theirs, ours): &(&str, &str)| ((*theirs).to_owned(), (*ours).to_owned());
    table.iter().map(owned).collect()
}

/// `name` with the first run of parts that `from` describes replaced by `to`.
fn replace(name: &str, from: &str, to: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let (from, is_anchored) = match from.strip_prefix("^.") {
        Some(from) => (from, true),
        None => (from, false),
    };
    let to = to.strip_prefix("^.").unwrap_or(to);
    let pattern: Vec<&str> = from.split('.').collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let fits = |run: &[&str]| {
        let same = |(part, pattern): (&&str, &&str)| part == pattern || *pattern == "#" && is_number(part);
        run.iter().zip(&pattern).all(same)
    };
    let start = parts.windows(pattern.len()).position(fits)?;
    if is_anchored && start != 0 {
        return None;
    }
    let run = &parts[start..start + pattern.len()];
    let mut numbers = run.iter().zip(&pattern).filter(|(_, pattern)| **pattern == "#");
    let fill = |part| match part {
        "#" => numbers.next().map_or("#", |(number, _)| *number),
        part => part,
    };
    let replaced: Vec<&str> = to.split('.').map(fill).collect();
    Some(
        [&parts[..start], &replaced, &parts[start + pattern.len()..]]
            .concat()
            .join("."),
    )
}

/// Marks the tolerated names as expected.
pub(crate) fn tolerate(checkpoint: &Checkpoint) {
    let tolerated = |name: &&str| TOLERATED.iter().any(|(end, _reason)| name.ends_with(end));
    let names: Vec<String> = checkpoint
        .entries()
        .map(|(name, _)| name)
        .filter(tolerated)
        .map(str::to_owned)
        .collect();
    names.iter().for_each(|name| checkpoint.ignore(name));
}

#[cfg(test)]
mod tests;
