//! Media that came with a request, measured before it is answered.
//!
//! Uploads are blobs already; `data:` URLs become blobs here. A medium that breaks a limit is reported, and stands
//! in the draft all the same, so that the domain does not report it as missing too. What no generation refers to in
//! the end is swept.

use std::sync::Arc;

use kinora_domain::{
    BlobHash, Draft, Member, Origin, Source, StoredInput, Violation, catalog::REFERENCES_MAX,
};
use kinora_media::{Facts, MediaKind, MediaProblem, Toolbox, chain, inspect};
use kinora_store::{
    StoreError,
    blobs::{Blobs, Borrowed},
};
use kinora_worker::media_kind;
use tokio::sync::Semaphore;

use super::{
    data_url::{DataUrl, is_data_url},
    request::{ParsedBody, Upload, WireError},
};

/// Measures what came with a request, and decodes and keeps what came as `data:` URLs. The draft then has the
/// media's lengths; the violations are the limits that they break.
pub async fn keep(
    toolbox: &Arc<Toolbox>,
    places: &Arc<Semaphore>,
    blobs: &Blobs,
    body: ParsedBody,
) -> Result<(Draft, Vec<Violation>), WireError> {
    let ParsedBody {
        mut draft,
        mut uploads,
        webhook_url: _,
        model_name: _,
        payload_hash: _,
    } = body;
    let mut violations = Vec::new();
    keep_data_urls(&mut draft, blobs, &mut uploads, &mut violations).await?;

    for Upload { member, blob } in uploads {
        let here = blobs.borrow(blob).await;
        let here = here.map_err(|error| internal("find an upload", chain(&error)))?;
        let here = here.ok_or_else(|| internal("find an upload", "it has just been kept"))?;
        match measure(toolbox, places, media_kind(member), here).await? {
            Ok(facts) => set_duration(&mut draft, member, facts.duration_ms()),
            Err(message) => violations.push(violation("V-25", member, message)),
        }
    }
    Ok((draft, violations))
}

/// Keeps what the `data:` URLs of image members hold. Those of other members stay for the domain to refuse, and so do
/// those that an array has too many of: each would cost a file and a child process.
async fn keep_data_urls(
    draft: &mut Draft,
    blobs: &Blobs,
    uploads: &mut Vec<Upload>,
    violations: &mut Vec<Violation>,
) -> Result<(), WireError> {
    let mut items = 0;
    for (member, source) in draft.sources_mut() {
        let Source::Url(url) = &mut *source else { continue };
        if !member.takes_image() || !is_data_url(url) {
            continue;
        }
        if matches!(member, Member::ReferenceImages(_)) {
            items += 1;
            if items > REFERENCES_MAX {
                continue;
            }
        }
        let (url, kind, blobs) = (std::mem::take(url), media_kind(member), blobs.clone());
        let kept = tokio::task::spawn_blocking(move || keep_data_url(&url, kind, &blobs)).await;
        let (blob, prefix) = match kept.map_err(|error| internal("keep a data URL", error))? {
            Ok(Ok((blob, prefix))) => {
                uploads.push(Upload { member, blob });
                (blob, prefix)
            }
            Ok(Err((rule, message))) => {
                violations.push(violation(rule, member, message));
                (BlobHash([0; 32]), String::new())
            }
            Err(error) => return Err(internal("keep a data URL", chain(&error))),
        };
        *source = Source::Stored(StoredInput {
            blob,
            origin: Origin::Data { prefix },
            duration_ms: None,
        });
    }
    Ok(())
}

/// A rule, and how it is broken.
type Broken = (&'static str, String);

/// The blob and the prefix of a `data:` URL. Blocks.
fn keep_data_url(
    url: &str,
    kind: MediaKind,
    blobs: &Blobs,
) -> Result<Result<(BlobHash, String), Broken>, StoreError> {
    let (prefix, bytes) = match decode(url, kind) {
        Ok(decoded) => decoded,
        Err(broken) => return Ok(Err(broken)),
    };
    let mut staging = blobs.stage()?;
    staging.append_blocking(&bytes)?;
    let (blob, _) = staging.commit_blocking()?;
    Ok(Ok((blob, prefix)))
}

fn decode(url: &str, kind: MediaKind) -> Result<(String, Vec<u8>), Broken> {
    let malformed = |message: &str| ("V-06", message.to_owned());
    let url = DataUrl::parse(url).map_err(malformed)?;
    kind.check_bytes(url.bytes_max())
        .map_err(|violation| ("V-25", violation.to_string()))?;
    let bytes = url.decode().map_err(malformed)?;
    Ok((url.prefix.to_owned(), bytes))
}

/// The facts of a medium, or what is wrong with it as the end of a sentence that starts with its member.
async fn measure(
    toolbox: &Arc<Toolbox>,
    places: &Arc<Semaphore>,
    kind: MediaKind,
    here: Borrowed,
) -> Result<Result<Facts, String>, WireError> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(|error| internal("measure an upload", error))?;
    let toolbox = Arc::clone(toolbox);
    let measured = tokio::task::spawn_blocking(move || {
        // Given back by the child's end, not by that of a client that has left.
        let _place = place;
        inspect(&toolbox, kind, here.path())
    })
    .await;
    match measured.map_err(|error| internal("measure an upload", error))? {
        Ok(facts) => Ok(Ok(facts)),
        Err(MediaProblem::Defect(defect)) => Ok(Err(defect.to_string())),
        Err(MediaProblem::Failure(failure)) => Err(internal("measure an upload", chain(&failure))),
    }
}

fn set_duration(draft: &mut Draft, of: Member, duration_ms: Option<u64>) {
    for (member, source) in draft.sources_mut() {
        match source {
            Source::Stored(stored) if member == of => stored.duration_ms = duration_ms,
            Source::Stored(_) | Source::Url(_) => {}
        }
    }
}

fn violation(rule: &'static str, member: Member, message: String) -> Violation {
    Violation {
        rule,
        field: member.to_string(),
        message,
    }
}

fn internal(what: &str, cause: impl std::fmt::Display) -> WireError {
    WireError::Internal(format!("cannot {what}: {cause}"))
}
