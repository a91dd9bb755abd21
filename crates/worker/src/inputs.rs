//! Inputs laid out: every medium of a spec as a measured local file, or the first that is wrong.
//!
//! What came with the request is read where it is kept; nothing here or below writes to it. What is to be fetched
//! is fetched into the attempt's folder, and judged by the same limits as an upload.

use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use kinora_domain::{BlobHash, GenerationSpec, Member, Source};
use kinora_engine::InputMedium;
use kinora_media::{
    Facts, MediaKind, MediaProblem, Toolbox,
    fetch::{FetchError, Fetcher},
    inspect,
};

use crate::error::AttemptError;

/// How many media are fetched and measured at once.
const AT_ONCE: usize = 4;

/// What laying out needs.
#[derive(Clone)]
pub(crate) struct Shelf<'a> {
    pub(crate) toolbox: &'a Toolbox,
    pub(crate) fetcher: &'a Fetcher,
    /// Where a blob lies.
    pub(crate) locate: &'a Locate,
}

/// Tells where a blob can be read, as long as there is a file at the path that is given: which it may make for that. Nothing,
/// if the blob is nowhere.
pub(crate) type Locate =
    dyn Fn(BlobHash, PathBuf) -> BoxFuture<'static, kinora_store::Result<Option<PathBuf>>> + Send + Sync;

/// Fetches and measures every medium of `spec`; `step` hears how many are done.
pub(crate) async fn lay_out(
    shelf: Shelf<'_>,
    spec: &GenerationSpec,
    folder: &Path,
    step: &(dyn Fn(usize, usize) + Send + Sync),
) -> Result<Vec<InputMedium>, AttemptError> {
    let sources: Vec<(Member, Source)> = spec
        .workflow
        .sources()
        .into_iter()
        .map(|(member, source)| (member, source.clone()))
        .collect();
    let count = sources.len();
    let work = sources.into_iter().enumerate().map(|(index, (member, source))| {
        let shelf = shelf.clone();
        let file = folder.join(format!("input-{index}"));
        async move {
            let path = bring(&shelf, member, &source, file).await?;
            let facts = measure(shelf.toolbox, member, &path).await?;
            Ok::<_, AttemptError>(InputMedium { member, path, facts })
        }
    });
    // In order, so that of several wrong media it is always the first that is named.
    let mut arriving = stream::iter(work).buffered(AT_ONCE);
    let mut media = Vec::with_capacity(count);
    while let Some(medium) = arriving.try_next().await? {
        media.push(medium);
        step(media.len(), count);
    }
    Ok(media)
}

/// The role a member plays, and so its limits.
pub fn media_kind(member: Member) -> MediaKind {
    match member {
        Member::Image | Member::EndImage | Member::ReferenceImages(_) | Member::ReferenceImage => {
            MediaKind::Image
        }
        Member::Video => MediaKind::Clip,
        Member::VideoRefs(_) => MediaKind::ReferenceVideo,
        Member::Audio => MediaKind::Audio,
    }
}

async fn bring(
    shelf: &Shelf<'_>,
    member: Member,
    source: &Source,
    file: PathBuf,
) -> Result<PathBuf, AttemptError> {
    match source {
        Source::Stored(stored) => match (shelf.locate)(stored.blob, file).await {
            Ok(Some(path)) => Ok(path),
            Ok(None) => Err(AttemptError::Lost {
                member,
                blob: stored.blob,
            }),
            Err(source) => Err(AttemptError::Bring { member, source }),
        },
        Source::Url(url) => {
            let max_bytes = media_kind(member).max_bytes();
            match shelf.fetcher.fetch(url, max_bytes, &file).await {
                Ok(_) => Ok(file),
                Err(error) => Err(unfetched(member, error)),
            }
        }
    }
}

fn unfetched(member: Member, error: FetchError) -> AttemptError {
    if error.is_users() {
        refused(member, error.to_string())
    } else {
        AttemptError::Fetch {
            member,
            source: error,
        }
    }
}

/// Measuring blocks on a child. When the attempt stops meanwhile it is left to its end, which its own limits bring.
async fn measure(toolbox: &Toolbox, member: Member, path: &Path) -> Result<Facts, AttemptError> {
    let (toolbox, path) = (toolbox.clone(), path.to_owned());
    let measured = tokio::task::spawn_blocking(move || inspect(&toolbox, media_kind(member), &path)).await;
    match measured {
        Ok(Ok(facts)) => Ok(facts),
        Ok(Err(MediaProblem::Defect(defect))) => Err(refused(member, defect.to_string())),
        Ok(Err(MediaProblem::Failure(source))) => Err(AttemptError::Inspect { member, source }),
        Err(stopped) => Err(AttemptError::Panicked {
            message: stopped.to_string(),
        }),
    }
}

fn refused(member: Member, message: String) -> AttemptError {
    AttemptError::Refused {
        field: member.to_string(),
        message,
    }
}
