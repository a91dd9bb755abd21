//! The same attempt without a store: for a command line that makes a clip where it stands.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use kinora_domain::{BlobHash, GenerationSpec, Member, Origin, Source, StoredInput, Warning};
use kinora_engine::{Cost, Publisher};
use kinora_media::{MediaProblem, Toolbox, compose::Preset, fetch::Fetcher, inspect};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    attempt::{Product, Task, Workshop, attempt},
    engines::{EngineFactory, Engines},
    error::AttemptError,
    inputs::media_kind,
    notes::Notebooks,
    previews::Previews,
    produce::MadeClip,
    progress::{Meter, Standing},
    scratch::Folder,
    stop::{Stop, StopReason},
};

/// What making a clip without a server needs.
pub struct LocalParts {
    /// Decodes and encodes.
    pub toolbox: Toolbox,
    /// Fetches URLs.
    pub fetcher: Fetcher,
    /// Makes the clip.
    pub engine: EngineFactory,
    /// The encoder's bargain between time and size.
    pub preset: Preset,
    /// For files on the way, removed afterwards; best beside the output.
    pub scratch: PathBuf,
    /// Where a picture of what there is so far goes, again and again, if somebody looks at it.
    pub preview: Option<PathBuf>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalResult {
    /// The clips, where they were wanted.
    pub clips: Vec<MadeClip>,
    /// The prompt the engine really used.
    pub actual_prompt: Option<String>,
    /// What was done differently from what was asked.
    pub warnings: Vec<Warning>,
    /// What the engine has taken for it.
    pub cost: Cost,
}

/// Why nothing was made.
#[derive(Debug, Error)]
pub enum LocalError {
    /// A file given as input is wrong.
    #[error("{member} {problem}")]
    Input {
        /// Which member it was given for.
        member: Member,
        /// What is wrong with it.
        problem: MediaProblem,
    },
    /// A file could not be read or written.
    #[error("using {path} failed")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The attempt failed.
    #[error(transparent)]
    Attempt(#[from] AttemptError),
}

/// Local files that a spec refers to.
#[derive(Debug, Clone, Default)]
pub struct LocalFiles {
    paths: HashMap<BlobHash, PathBuf>,
}

impl LocalFiles {
    /// Measures a file and gives what a draft needs to refer to it. Blocks.
    pub fn add(&mut self, toolbox: &Toolbox, member: Member, path: &Path) -> Result<Source, LocalError> {
        let failed = |source| LocalError::File {
            path: path.to_owned(),
            source,
        };
        // The sandbox and the engine see the file by its full name.
        let full = path.canonicalize().map_err(failed)?;
        let facts = inspect(toolbox, media_kind(member), &full)
            .map_err(|problem| LocalError::Input { member, problem })?;
        let blob = hash(&full).map_err(failed)?;
        let file_name = full
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        self.paths.insert(blob, full);
        Ok(Source::Stored(StoredInput {
            blob,
            origin: Origin::Upload { file_name },
            duration_ms: facts.duration_ms(),
        }))
    }
}

/// Makes a spec's clips and puts them where `output` says: the first there, further ones beside it, numbered.
/// `progress` hears how it goes; `stop` ends it within a second.
pub async fn generate(
    parts: LocalParts,
    spec: &GenerationSpec,
    files: LocalFiles,
    output: &Path,
    progress: &mut (dyn FnMut(Standing) + Send),
    stop: CancellationToken,
) -> Result<LocalResult, LocalError> {
    let LocalParts {
        toolbox,
        fetcher,
        engine,
        preset,
        scratch,
        preview,
    } = parts;
    let offer = engine.offer.id.clone();
    let mut engines = Engines::new([engine].into());
    let workshop = Workshop {
        toolbox,
        fetcher,
        preset,
        locate: Box::new(move |blob, _| {
            let path = files.paths.get(&blob).cloned();
            Box::pin(async { Ok(path) })
        }),
    };
    let folder_path = scratch.join(format!("kinora-{}", std::process::id()));
    let folder = Folder::create(folder_path.clone()).map_err(|source| LocalError::File {
        path: folder_path,
        source,
    })?;
    let (meter, wish) = (Meter::new(spec.n), Stop::default());
    let _end_with_this = wish.when_dropped();
    let task = Task {
        spec,
        name: "the video",
        offer: &offer,
        folder: folder.path(),
        previews: preview.map_or(Previews::Unseen, Previews::File),
        notebooks: Notebooks::default(),
        publisher: Publisher::default(),
        meter: &meter,
        stop: &wish,
    };
    let mut watch = meter.watch();
    let attempt = attempt(&workshop, &mut engines, task);
    tokio::pin!(attempt);
    let product = loop {
        tokio::select! {
            product = &mut attempt => break product?,
            Ok(()) = watch.changed() => progress(*watch.borrow_and_update()),
            () = stop.cancelled(), if !wish.is_requested() => wish.request(StopReason::Canceled),
        }
    };
    let Product {
        clips,
        actual_prompt,
        warnings,
        lengths: _,
        cost,
    } = product;
    let clips = clips
        .into_iter()
        .enumerate()
        .map(|(index, clip)| deliver(clip, &numbered(output, index)));
    Ok(LocalResult {
        clips: clips.collect::<Result<_, _>>()?,
        actual_prompt,
        warnings,
        cost,
    })
}

fn hash(path: &Path) -> io::Result<BlobHash> {
    let mut file = File::open(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(BlobHash(hash.finalize().into())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// `clip.mp4`, `clip-2.mp4`, `clip-3.mp4` …
fn numbered(output: &Path, index: usize) -> PathBuf {
    if index == 0 {
        return output.to_owned();
    }
    let mut name = output.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{}", index + 1));
    if let Some(extension) = output.extension() {
        name.push(".");
        name.push(extension);
    }
    output.with_file_name(name)
}

/// The clip goes to `output`; its poster is not asked for on a command line and goes with the scratch folder.
fn deliver(clip: MadeClip, output: &Path) -> Result<MadeClip, LocalError> {
    let renamed = fs::rename(&clip.video, output);
    // Another file system: then it is a copy.
    let moved = renamed.or_else(|_| fs::copy(&clip.video, output).map(drop));
    moved.map_err(|source| LocalError::File {
        path: output.to_owned(),
        source,
    })?;
    Ok(MadeClip {
        video: output.to_owned(),
        ..clip
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_clips_are_numbered() {
        let check = |output: &str, index, expected: &str| {
            assert_eq!(numbered(Path::new(output), index), Path::new(expected));
        };
        check("a/clip.mp4", 0, "a/clip.mp4");
        check("a/clip.mp4", 1, "a/clip-2.mp4");
        check("clip", 3, "clip-4");
    }
}
