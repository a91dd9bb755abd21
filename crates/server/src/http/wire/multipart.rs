//! The multipart form of a create body: scalars as texts, media as files or URLs, arrays as repeated parts.
//!
//! Files are written to disk as they arrive and never held in memory, and neither is anything else of unknown
//! length: texts are capped, and so is what lies between two parts. When a part has to be refused the rest of the
//! body is still read (within the body's own limit), because a client that is not done sending does not hear an
//! answer.

use std::{
    collections::BTreeMap,
    io, mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, multipart::Field},
};
use futures_util::Stream;
use kinora_domain::{BlobHash, Member, Source};
use kinora_media::{MediaKind, chain};
use kinora_store::{StoreError, blobs::Blobs};
use kinora_worker::media_kind;
use sha2::{Digest, Sha256};

use super::{
    members::{INPUT_REFERENCE, Members, Read, decimal, read_members, uploaded},
    payload::{self, PartContent},
    request::{Endpoint, FieldError, ParsedBody, Upload, WireError, too_large},
};

/// The most parts of a body.
const PARTS_MAX: usize = 64;
/// The largest text part, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The most that is read in search of the next part, in bytes: room for headers, and for what came in one go.
const UNREAD_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a multipart body.
pub(super) async fn read(
    endpoint: Endpoint,
    request: Request,
    bytes_max: u64,
    blobs: &Blobs,
) -> Result<ParsedBody, WireError> {
    let (parts, body) = request.into_parts();
    let intake = Intake::new(bytes_max);
    let body = Body::from_stream(Guarded {
        body: body.into_data_stream(),
        intake: intake.clone(),
        yielded: false,
    });
    let mut request = Request::from_parts(parts, body);
    // The intake has a limit of its own, which tells what was exceeded.
    DefaultBodyLimit::disable().apply(&mut request);
    let multipart = Multipart::from_request(request, &()).await.map_err(|_| {
        WireError::Malformed("the Content-Type of a multipart body needs a boundary".to_owned())
    })?;

    let parts = Reader {
        endpoint,
        multipart,
        intake,
        blobs,
        parts: BTreeMap::new(),
        refused: None,
    }
    .read()
    .await?;
    assemble(endpoint, parts)
}

fn assemble(endpoint: Endpoint, parts: BTreeMap<String, Vec<Part>>) -> Result<ParsedBody, WireError> {
    let contents = parts
        .iter()
        .map(|(name, parts)| (name.clone(), parts.iter().map(Part::content).collect()));
    let payload_hash = payload::of_parts(&contents.collect());
    let mut members = MultipartMembers {
        parts,
        uploads: Vec::new(),
        problems: Vec::new(),
    };
    let Read {
        draft,
        webhook_url,
        model_name,
    } = read_members(endpoint, &mut members);
    if !members.problems.is_empty() {
        return Err(WireError::WrongTypes(members.problems));
    }
    Ok(ParsedBody {
        draft,
        uploads: members.uploads,
        webhook_url,
        model_name,
        payload_hash,
    })
}

/// One part, read to its end.
enum Part {
    Text(String),
    File(FilePart),
}

struct FilePart {
    blob: BlobHash,
    file_name: String,
    /// False where the member takes no file: the bytes were hashed and dropped.
    kept: bool,
}

impl Part {
    fn content(&self) -> PartContent {
        match self {
            Part::Text(text) => PartContent::Text(text.clone()),
            Part::File(file) => PartContent::File(file.blob),
        }
    }
}

/// Walks through the parts of a body.
struct Reader<'a> {
    endpoint: Endpoint,
    multipart: Multipart,
    intake: Intake,
    blobs: &'a Blobs,
    parts: BTreeMap<String, Vec<Part>>,
    /// The first thing found wrong; the rest of the body is read for nothing.
    refused: Option<WireError>,
}

impl Reader<'_> {
    async fn read(mut self) -> Result<BTreeMap<String, Vec<Part>>, WireError> {
        let mut count = 0;
        loop {
            let next = self.multipart.next_field().await;
            self.intake.progressed();
            let mut field = match next {
                Ok(Some(field)) => field,
                Ok(None) => break,
                // What was refused before is the better reason.
                Err(error) => return Err(self.refused.take().unwrap_or_else(|| self.intake.reason(&error))),
            };
            count += 1;
            if count > PARTS_MAX && self.refused.is_none() {
                let message = format!("The body has more than {PARTS_MAX} parts.");
                self.refused = Some(WireError::TooLarge(message));
            }
            let read = match self.refused {
                Some(_) => discard(&mut field, &self.intake).await.map(|_| None),
                None => read_part(self.endpoint, &mut field, &self.intake, self.blobs).await,
            };
            match read {
                Ok(Some((name, part))) => self.parts.entry(name).or_default().push(part),
                Ok(None) => {}
                Err(Refusal::OfPart(error)) => {
                    discard(&mut field, &self.intake).await.map_err(|_| ()).ok();
                    self.refused = Some(error);
                }
                Err(Refusal::OfBody(error)) => return Err(self.refused.take().unwrap_or(error)),
            }
        }
        match self.refused {
            Some(refused) => Err(refused),
            None => Ok(self.parts),
        }
    }
}

/// Why a part was not read.
enum Refusal {
    /// The part is at fault; what follows can still be read.
    OfPart(WireError),
    /// Nothing more can be read.
    OfBody(WireError),
}

/// A part with its name; `None` for the empty file of a form's untouched file field.
async fn read_part(
    endpoint: Endpoint,
    field: &mut Field<'_>,
    intake: &Intake,
    blobs: &Blobs,
) -> Result<Option<(String, Part)>, Refusal> {
    let Some(name) = field.name().map(str::to_owned) else {
        return Err(Refusal::OfPart(WireError::Malformed(
            "a part of the body has no name".to_owned(),
        )));
    };
    if !is_file(field) {
        let text = read_text(&name, field, intake).await?;
        return Ok(Some((name, Part::Text(text))));
    }
    let untouched = field.file_name().is_some_and(str::is_empty);
    let file_name = clean_file_name(field.file_name().unwrap_or_default());
    let kind = file_member(endpoint, &name);
    let (blob, bytes) = match kind {
        Some(kind) => keep_file(&name, kind, field, intake, blobs).await?,
        None => discard(field, intake).await?,
    };
    if untouched && bytes == 0 {
        return Ok(None);
    }
    Ok(Some((
        name,
        Part::File(FilePart {
            blob,
            file_name,
            kept: kind.is_some(),
        }),
    )))
}

/// A part is a file when it has a file name or the content type of a medium.
fn is_file(field: &Field<'_>) -> bool {
    let content_type = field.content_type().unwrap_or_default().to_ascii_lowercase();
    field.file_name().is_some()
        || ["image/", "video/", "audio/", "application/octet-stream"]
            .iter()
            .any(|prefix| content_type.starts_with(prefix))
}

async fn read_text(name: &str, field: &mut Field<'_>, intake: &Intake) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(field, intake).await? {
        if bytes.len() + chunk.len() > TEXT_BYTES_MAX {
            let message = format!(
                "The text part {} is larger than {TEXT_BYTES_MAX} bytes.",
                shown(name)
            );
            return Err(Refusal::OfPart(WireError::TooLarge(message)));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| {
        let message = "is not UTF-8 text".to_owned();
        Refusal::OfPart(WireError::WrongTypes(vec![FieldError {
            field: shown(name),
            message,
        }]))
    })
}

/// Writes a file to the blobs as it arrives. If the request is refused later on, it is swept.
async fn keep_file(
    name: &str,
    kind: MediaKind,
    field: &mut Field<'_>,
    intake: &Intake,
    blobs: &Blobs,
) -> Result<(BlobHash, u64), Refusal> {
    let mut staging = blobs.stage().map_err(cannot_keep)?;
    while let Some(chunk) = next_chunk(field, intake).await? {
        if staging.bytes() + chunk.len() as u64 > kind.max_bytes() {
            let message = format!(
                "The file {name} is larger than {} bytes, which is the most.",
                kind.max_bytes()
            );
            return Err(Refusal::OfPart(WireError::TooLarge(message)));
        }
        staging.append(&chunk).await.map_err(cannot_keep)?;
    }
    staging.commit().await.map_err(cannot_keep)
}

fn cannot_keep(error: StoreError) -> Refusal {
    Refusal::OfBody(WireError::Internal(format!(
        "cannot keep an upload: {}",
        chain(&error)
    )))
}

/// Reads a part to its end and keeps nothing but its hash and its length.
async fn discard(field: &mut Field<'_>, intake: &Intake) -> Result<(BlobHash, u64), Refusal> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    while let Some(chunk) = next_chunk(field, intake).await? {
        hash.update(&chunk);
        bytes += chunk.len() as u64;
    }
    Ok((BlobHash(hash.finalize().into()), bytes))
}

async fn next_chunk(field: &mut Field<'_>, intake: &Intake) -> Result<Option<Bytes>, Refusal> {
    let chunk = field.chunk().await;
    intake.progressed();
    chunk.map_err(|error| Refusal::OfBody(intake.reason(&error)))
}

/// The kind of file a part of this name may be, if it may be one.
fn file_member(endpoint: Endpoint, name: &str) -> Option<MediaKind> {
    const ALL: [Member; 7] = [
        Member::Image,
        Member::EndImage,
        Member::Video,
        Member::ReferenceImages(0),
        Member::ReferenceImage,
        Member::VideoRefs(0),
        Member::Audio,
    ];
    const EDIT: [Member; 2] = [Member::Video, Member::ReferenceImage];
    let members = match endpoint {
        Endpoint::WanVideo => ALL.as_slice(),
        Endpoint::WanEdit => &EDIT,
        Endpoint::OpenAiVideos => return (name == INPUT_REFERENCE).then(|| media_kind(Member::Image)),
    };
    members
        .iter()
        .find(|member| member.name() == name)
        .map(|member| media_kind(*member))
}

/// A file's name for the echo: the last segment of what the client calls it, printable and not too long.
fn clean_file_name(given: &str) -> String {
    const CHARS_MAX: usize = 255;
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect();
    match clean.trim() {
        "" | "." | ".." => "file".to_owned(),
        name => name.to_owned(),
    }
}

/// The start of a name that a client made up.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

struct MultipartMembers {
    parts: BTreeMap<String, Vec<Part>>,
    uploads: Vec<Upload>,
    problems: Vec<FieldError>,
}

impl MultipartMembers {
    /// The parts of a member; an empty text means absent.
    fn take(&mut self, name: &str) -> Vec<Part> {
        let mut parts = self.parts.get_mut(name).map(mem::take).unwrap_or_default();
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        parts
    }

    fn take_one(&mut self, name: &str) -> Option<Part> {
        let mut parts = self.take(name);
        if parts.len() > 1 {
            return self.mistyped(name, format!("is sent {} times; one part is taken", parts.len()));
        }
        parts.pop()
    }

    fn take_text(&mut self, name: &str) -> Option<String> {
        match self.take_one(name)? {
            Part::Text(text) => Some(text),
            Part::File(_) => self.mistyped(name, "is a file; a text part is taken".to_owned()),
        }
    }

    fn mistyped<T>(&mut self, field: &str, message: String) -> Option<T> {
        self.problems.push(FieldError {
            field: field.to_owned(),
            message,
        });
        None
    }

    fn source(&mut self, member: Member, part: Part) -> Option<Source> {
        match part {
            Part::Text(url) => Some(Source::Url(url)),
            Part::File(FilePart {
                blob,
                file_name,
                kept: true,
            }) => {
                self.uploads.push(Upload { member, blob });
                Some(uploaded(blob, file_name))
            }
            Part::File(FilePart { kept: false, .. }) => {
                self.mistyped(&member.to_string(), "is a file; a text part is taken".to_owned())
            }
        }
    }
}

impl Members for MultipartMembers {
    fn refuse(&mut self, name: &str, message: String) {
        if self.problems.iter().all(|problem| problem.field != name) {
            let _: Option<()> = self.mistyped(name, message);
        }
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        self.take_text(name)
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.take_text(name)?.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            text => self.mistyped(
                name,
                format!("is the text {:?}; true or false is taken", shown(text)),
            ),
        }
    }

    fn integer(&mut self, name: &'static str) -> Option<i64> {
        let text = self.take_text(name)?;
        match decimal(&text) {
            Some(number) => Some(number),
            None => self.mistyped(
                name,
                format!("is the text {:?}; an integer is taken", shown(&text)),
            ),
        }
    }

    fn integer_or_digits(&mut self, name: &'static str) -> Option<i64> {
        self.integer(name)
    }

    fn medium(&mut self, member: Member) -> Option<Source> {
        let part = self.take_one(member.name())?;
        self.source(member, part)
    }

    fn reference(&mut self, name: &'static str, member: Member) -> Option<Source> {
        if self.take_one(&format!("{name}[file_id]")).is_some() {
            self.refuse(
                name,
                format!("names a file_id; a file is taken, or {name}[image_url]"),
            );
            return None;
        }
        let url = self.take_text(&format!("{name}[image_url]"));
        match (self.take_one(name), url) {
            (None, url) => url.map(Source::Url),
            (Some(Part::Text(_)), _) => {
                self.mistyped(name, format!("is a text; a file is taken, or {name}[image_url]"))
            }
            (Some(Part::File(_)), Some(_)) => self.mistyped(
                name,
                format!("is sent as a file and as {name}[image_url]; one is taken"),
            ),
            (Some(part @ Part::File(_)), None) => self.source(member, part),
        }
    }

    fn media(&mut self, member: fn(usize) -> Member) -> Vec<Source> {
        let parts = self.take(member(0).name());
        parts
            .into_iter()
            .enumerate()
            .filter_map(|(index, part)| self.source(member(index), part))
            .collect()
    }
}

/// What has come in so far, shared between the body and its reader.
#[derive(Clone)]
struct Intake(Arc<Mutex<IntakeState>>);

struct IntakeState {
    bytes: u64,
    bytes_max: u64,
    /// Bytes that came since the reader last got something out of them.
    unread: u64,
    failure: Option<WireError>,
}

impl Intake {
    fn new(bytes_max: u64) -> Intake {
        Intake(Arc::new(Mutex::new(IntakeState {
            bytes: 0,
            bytes_max,
            unread: 0,
            failure: None,
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut IntakeState) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn progressed(&self) {
        self.with(|state| state.unread = 0);
    }

    /// Whether the body may go on; otherwise the reason is kept.
    fn may_read(&self) -> bool {
        self.with(|state| {
            if state.unread > UNREAD_BYTES_MAX {
                let message = format!("The headers of a part are larger than {UNREAD_BYTES_MAX} bytes.");
                state.failure = Some(WireError::TooLarge(message));
            } else if state.bytes > state.bytes_max {
                state.failure = Some(too_large(state.bytes_max));
            }
            state.failure.is_none()
        })
    }

    fn count(&self, chunk: &Bytes) {
        self.with(|state| {
            state.bytes += chunk.len() as u64;
            state.unread += chunk.len() as u64;
        });
    }

    /// Why the parser gave up.
    fn reason(&self, error: &axum::extract::multipart::MultipartError) -> WireError {
        let failure = self.with(|state| state.failure.take());
        failure.unwrap_or_else(|| {
            WireError::Malformed(format!(
                "the multipart body cannot be read ({})",
                error.body_text()
            ))
        })
    }
}

/// A body that counts what it gives, and gives one chunk at a time: the parser would otherwise take in all there is.
struct Guarded {
    body: BodyDataStream,
    intake: Intake,
    yielded: bool,
}

impl Stream for Guarded {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if mem::take(&mut self.yielded) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.intake.may_read() {
            return Poll::Ready(Some(Err(io::Error::other("over a limit"))));
        }
        let next = Pin::new(&mut self.body).poll_next(context);
        next.map(|chunk| {
            let chunk = chunk?.map_err(io::Error::other);
            if let Ok(chunk) = &chunk {
                self.intake.count(chunk);
            }
            self.yielded = true;
            Some(chunk)
        })
    }
}

#[cfg(test)]
mod tests;
