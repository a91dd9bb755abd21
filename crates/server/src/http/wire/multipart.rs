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
use kinora_domain::{BlobHash, Member, Model, Source};
use kinora_media::MediaKind;
use kinora_store::{StoreError, blobs::Blobs};
use sha2::{Digest, Sha256};

use super::{
    super::error::chain,
    inputs::media_kind,
    members::{Members, decimal, read_draft, uploaded},
    payload::{self, PartContent},
    request::{FieldError, ParsedBody, Upload, WireError, too_large},
};

/// The most parts of a body.
const PARTS_MAX: usize = 64;
/// The largest text part, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The most that is read in search of the next part, in bytes: room for headers, and for what came in one go.
const UNREAD_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a multipart body.
pub(super) async fn read(
    model: Model,
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
        model,
        multipart,
        intake,
        blobs,
        parts: BTreeMap::new(),
        refused: None,
    }
    .read()
    .await?;
    assemble(model, parts)
}

fn assemble(model: Model, parts: BTreeMap<String, Vec<Part>>) -> Result<ParsedBody, WireError> {
    let contents = parts
        .iter()
        .map(|(name, parts)| (name.clone(), parts.iter().map(Part::content).collect()));
    let payload_hash = payload::of_parts(&contents.collect());
    let mut members = MultipartMembers {
        parts,
        uploads: Vec::new(),
        problems: Vec::new(),
    };
    let (draft, webhook_url) = read_draft(model, &mut members);
    if !members.problems.is_empty() {
        return Err(WireError::WrongTypes(members.problems));
    }
    Ok(ParsedBody {
        draft,
        uploads: members.uploads,
        webhook_url,
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
    model: Model,
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
                None => read_part(self.model, &mut field, &self.intake, self.blobs).await,
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
    model: Model,
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
    let kind = file_member(model, &name);
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
fn file_member(model: Model, name: &str) -> Option<MediaKind> {
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
    let members = match model {
        Model::WanVideo => ALL.as_slice(),
        Model::WanEdit => &EDIT,
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
            return self.refuse(name, format!("is sent {} times; one part is taken", parts.len()));
        }
        parts.pop()
    }

    fn take_text(&mut self, name: &str) -> Option<String> {
        match self.take_one(name)? {
            Part::Text(text) => Some(text),
            Part::File(_) => self.refuse(name, "is a file; a text part is taken".to_owned()),
        }
    }

    fn refuse<T>(&mut self, field: &str, message: String) -> Option<T> {
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
                self.refuse(&member.to_string(), "is a file; a text part is taken".to_owned())
            }
        }
    }
}

impl Members for MultipartMembers {
    fn text(&mut self, name: &'static str) -> Option<String> {
        self.take_text(name)
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.take_text(name)?.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            text => self.refuse(
                name,
                format!("is the text {:?}; true or false is taken", shown(text)),
            ),
        }
    }

    fn integer(&mut self, name: &'static str) -> Option<i64> {
        let text = self.take_text(name)?;
        match decimal(&text) {
            Some(number) => Some(number),
            None => self.refuse(
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
mod tests {
    use std::time::Duration;

    use kinora_domain::{Draft, Origin};
    use tempfile::TempDir;

    use super::*;
    use crate::http::wire::request::{self, BodyLimits};

    const MB: usize = 1024 * 1024;

    /// Blobs that go away with the test.
    struct Disk {
        folder: TempDir,
        blobs: Blobs,
    }

    impl Disk {
        fn new() -> Disk {
            let folder = tempfile::tempdir().expect("a folder");
            let blobs = Blobs::open(folder.path()).expect("blobs");
            Disk { folder, blobs }
        }

        /// How many files lie in staging.
        fn staged(&self) -> usize {
            std::fs::read_dir(self.folder.path().join("staging"))
                .expect("staging")
                .count()
        }
    }

    fn request(body: Body) -> Request {
        Request::builder()
            .header("content-type", "multipart/form-data; boundary=XX")
            .body(body)
            .expect("a request")
    }

    async fn read_bytes(disk: &Disk, model: Model, body: Vec<u8>) -> Result<ParsedBody, WireError> {
        // In pieces, as a network would bring it.
        let pieces: Vec<_> = body
            .chunks(1000)
            .map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)))
            .collect();
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let limits = BodyLimits {
            json_bytes_max: MB as u64,
            multipart_bytes_max: 64 * MB as u64,
            timeout: Duration::from_secs(20),
        };
        request::read(model, request(body), &limits, &disk.blobs).await
    }

    /// A body of parts given by the rest of their Content-Disposition, further headers, and content.
    fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (disposition, content) in parts {
            body.extend_from_slice(
                format!("--XX\r\nContent-Disposition: form-data; {disposition}\r\n\r\n").as_bytes(),
            );
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--XX--\r\n");
        body
    }

    async fn draft(disk: &Disk, parts: &[(&str, &[u8])]) -> Draft {
        match read_bytes(disk, Model::WanVideo, body(parts)).await {
            Ok(parsed) => parsed.draft,
            Err(error) => panic!("{parts:?} is refused: {error:?}"),
        }
    }

    #[tokio::test]
    async fn texts_are_read_by_their_member() {
        let disk = Disk::new();
        let parts: &[(&str, &[u8])] = &[
            ("name=\"prompt\"", "Ein Boot, größer".as_bytes()),
            ("name=\"duration\"", b"7"),
            ("name=\"seed\"", b"-3"),
            ("name=\"multi_shots\"", b"true"),
            ("name=\"enable_prompt_expansion\"", b"false"),
            ("name=\"resolution\"", b"720p"),
            ("name=\"video_refs\"", b"https://example.com/a.mp4"),
            ("name=\"video_refs\"", b""),
            ("name=\"video_refs\"", b"https://example.com/b.mp4"),
            ("name=\"aspect_ratio\"", b""),
            ("name=\"negative_prompt\"", b""),
            ("name=\"unknown\"", b"anything"),
        ];
        let url = |text: &str| Source::Url(text.to_owned());
        let expected = Draft {
            prompt: Some("Ein Boot, größer".to_owned()),
            duration: Some(7),
            seed: Some(-3),
            multi_shots: Some(true),
            prompt_expansion: Some(false),
            resolution: Some("720p".to_owned()),
            video_refs: vec![url("https://example.com/a.mp4"), url("https://example.com/b.mp4")],
            ..Draft::default()
        };
        assert_eq!(draft(&disk, parts).await, expected);
    }

    #[tokio::test]
    async fn files_become_blobs_in_their_order() {
        let disk = Disk::new();
        let large = vec![7; 3 * MB];
        let parts: &[(&str, &[u8])] = &[
            ("name=\"video_refs\"; filename=\"a.mp4\"", &large),
            ("name=\"video_refs\"", b"https://example.com/b.mp4"),
            ("name=\"video_refs\"; filename=\"../../etc/c.mp4\"", b"c"),
            ("name=\"prompt\"", b"x"),
        ];
        let parsed = read_bytes(&disk, Model::WanVideo, body(parts))
            .await
            .expect("taken");
        let shown: Vec<String> = parsed
            .draft
            .video_refs
            .iter()
            .map(|source| match source {
                Source::Url(url) => url.clone(),
                Source::Stored(stored) => match &stored.origin {
                    Origin::Upload { file_name } => file_name.clone(),
                    Origin::Data { .. } => "data".to_owned(),
                },
            })
            .collect();
        assert_eq!(shown, ["a.mp4", "https://example.com/b.mp4", "c.mp4"]);
        let members: Vec<Member> = parsed.uploads.iter().map(|upload| upload.member).collect();
        assert_eq!(members, [Member::VideoRefs(0), Member::VideoRefs(2)]);
        let kept = std::fs::read(disk.blobs.path(parsed.uploads[0].blob)).expect("kept");
        assert!(kept == large);
        assert_eq!(disk.staged(), 0);
    }

    #[tokio::test]
    async fn an_untouched_file_field_is_absent() {
        let disk = Disk::new();
        let untouched = draft(&disk, &[("name=\"image_url\"; filename=\"\"", b"")]).await;
        assert_eq!(untouched, Draft::default());
        let empty = draft(&disk, &[("name=\"image_url\"; filename=\"empty.png\"", b"")]).await;
        assert!(
            matches!(empty.image, Some(Source::Stored(_))),
            "an empty file is a file"
        );
    }

    #[tokio::test]
    async fn a_medium_without_a_file_name_is_a_file() {
        let disk = Disk::new();
        let kind = "name=\"image_url\"\r\nContent-Type: image/png";
        assert!(matches!(
            draft(&disk, &[(kind, b"x")]).await.image,
            Some(Source::Stored(_))
        ));
        let text = "name=\"image_url\"\r\nContent-Type: text/plain; charset=utf-8";
        assert_eq!(
            draft(&disk, &[(text, b"x")]).await.image,
            Some(Source::Url("x".to_owned()))
        );
    }

    #[tokio::test]
    async fn wrong_types_are_reported_together() {
        let disk = Disk::new();
        let check = async |model, parts: &[(&str, &[u8])], expected: &[(&str, &str)]| {
            let Err(WireError::WrongTypes(problems)) = read_bytes(&disk, model, body(parts)).await else {
                panic!("{parts:?} is not refused for its types");
            };
            let found: Vec<(&str, &str)> = problems
                .iter()
                .map(|p| (p.field.as_str(), p.message.as_str()))
                .collect();
            assert_eq!(found, expected);
        };
        check(
            Model::WanVideo,
            &[
                ("name=\"seed\"", b"five"),
                ("name=\"duration\"", b"5.5"),
                ("name=\"multi_shots\"", b"True"),
                ("name=\"prompt\"; filename=\"prompt.txt\"", b"x"),
                ("name=\"resolution\"", b"720p"),
                ("name=\"resolution\"", b"1080p"),
                ("name=\"image_url\"", b"a"),
                ("name=\"image_url\"; filename=\"b.png\"", b"b"),
            ],
            &[
                ("prompt", "is a file; a text part is taken"),
                ("image_url", "is sent 2 times; one part is taken"),
                ("resolution", "is sent 2 times; one part is taken"),
                ("duration", "is the text \"5.5\"; an integer is taken"),
                ("multi_shots", "is the text \"True\"; true or false is taken"),
                ("seed", "is the text \"five\"; an integer is taken"),
            ],
        )
        .await;
        check(
            Model::WanEdit,
            &[("name=\"n\"", b"two")],
            &[("n", "is the text \"two\"; an integer is taken")],
        )
        .await;
        check(
            Model::WanVideo,
            &[("name=\"prompt\"", b"\xff\xfe")],
            &[("prompt", "is not UTF-8 text")],
        )
        .await;
    }

    #[tokio::test]
    async fn files_of_unknown_members_are_ignored() {
        let disk = Disk::new();
        let file: (&str, &[u8]) = ("name=\"image_url\"; filename=\"a.png\"", b"a");
        let parsed = read_bytes(&disk, Model::WanEdit, body(&[file]))
            .await
            .expect("taken");
        assert!(parsed.uploads.is_empty());
        assert_eq!(parsed.draft.image, None);
    }

    #[tokio::test]
    async fn what_is_over_a_limit_is_too_large() {
        let disk = Disk::new();
        let check = async |parts: &[(&str, &[u8])], expected: Option<&str>| {
            match (read_bytes(&disk, Model::WanVideo, body(parts)).await, expected) {
                (Ok(_), None) => {}
                (Err(WireError::TooLarge(message)), Some(word)) => {
                    assert!(message.contains(word), "{message}")
                }
                (Ok(_), Some(word)) => panic!("{word} is not refused"),
                (Err(error), _) => panic!("{error:?}, not {expected:?}"),
            }
            assert_eq!(disk.staged(), 0);
        };
        let text = vec![b'x'; TEXT_BYTES_MAX + 1];
        check(&[("name=\"prompt\"", &text[1..])], None).await;
        check(&[("name=\"prompt\"", &text)], Some("prompt")).await;
        check(&[("name=\"unknown\"", &text)], Some("unknown")).await;
        let image = vec![0; 20 * MB + 1];
        check(&[("name=\"image_url\"; filename=\"a.png\"", &image[1..])], None).await;
        check(
            &[
                ("name=\"image_url\"; filename=\"a.png\"", &image),
                ("name=\"seed\"", b"x"),
            ],
            Some("image_url"),
        )
        .await;
        check(
            &[("name=\"audio_url\"; filename=\"a.wav\"", &image)],
            Some("audio_url"),
        )
        .await;
        check(&[("name=\"x\"", b"y".as_slice()); PARTS_MAX], None).await;
        check(
            &[("name=\"x\"", b"y".as_slice()); PARTS_MAX + 1],
            Some("64 parts"),
        )
        .await;
        let much = vec![0; 65 * MB];
        check(
            &[("name=\"video_url\"; filename=\"a.mp4\"", &much)],
            Some("larger than 67108864"),
        )
        .await;
    }

    #[tokio::test]
    async fn endless_headers_are_not_gathered() {
        let disk = Disk::new();
        for start in [
            "",
            "--XX\r\nContent-Disposition: form-data; name=\"prompt\"\r\nX-Long: ",
        ] {
            let mut endless = start.as_bytes().to_vec();
            endless.resize(5 * MB, b'x');
            let found = read_bytes(&disk, Model::WanVideo, endless).await.map(|_| ());
            assert!(
                matches!(&found, Err(WireError::TooLarge(message)) if message.contains("headers")),
                "{found:?}"
            );
        }
    }

    #[tokio::test]
    async fn broken_bodies_are_malformed() {
        let disk = Disk::new();
        let whole = body(&[
            ("name=\"prompt\"", b"x"),
            ("name=\"image_url\"; filename=\"a\"", b"y"),
        ]);
        let check = async |bytes: Vec<u8>| {
            let found = read_bytes(&disk, Model::WanVideo, bytes.clone())
                .await
                .map(|_| ());
            assert!(
                matches!(found, Err(WireError::Malformed(_))),
                "{}: {found:?}",
                String::from_utf8_lossy(&bytes)
            );
            assert_eq!(disk.staged(), 0);
        };
        for length in [0, 1, 4, 10, 60, whole.len() - 20, whole.len() - 8] {
            check(whole[..length].to_vec()).await;
        }
        check(b"not multipart at all".to_vec()).await;
        check(body(&[("filename=\"a\"", b"x")])).await;
        check(b"--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n--XX--\r\n".to_vec()).await;
    }

    #[tokio::test]
    async fn a_boundary_is_needed() {
        let disk = Disk::new();
        let mut request = request(Body::empty());
        let kind = "multipart/form-data".parse().expect("a header value");
        request.headers_mut().insert("content-type", kind);
        let found = read(Model::WanVideo, request, 1000, &disk.blobs)
            .await
            .map(|_| ());
        assert!(matches!(found, Err(WireError::Malformed(_))), "{found:?}");
    }

    #[tokio::test]
    async fn slow_bodies_end_in_time() {
        let disk = Disk::new();
        let start = Bytes::from_static(b"--XX\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nx");
        let stream = futures_util::StreamExt::chain(
            futures_util::stream::iter([Ok::<_, io::Error>(start)]),
            futures_util::stream::pending(),
        );
        let limits = BodyLimits {
            json_bytes_max: 1,
            multipart_bytes_max: 1000,
            timeout: Duration::from_millis(50),
        };
        let found = request::read(
            Model::WanVideo,
            request(Body::from_stream(stream)),
            &limits,
            &disk.blobs,
        )
        .await;
        assert!(
            matches!(found.map(|_| ()), Err(WireError::Malformed(message)) if message.contains("within 0.05 s"))
        );
    }

    #[tokio::test]
    async fn the_same_parts_are_the_same_payload() {
        let disk = Disk::new();
        let hash = async |parts: &[(&str, &[u8])]| {
            read_bytes(&disk, Model::WanVideo, body(parts))
                .await
                .expect("taken")
                .payload_hash
        };
        let file: (&str, &[u8]) = ("name=\"image_url\"; filename=\"a.png\"", b"a");
        let renamed: (&str, &[u8]) = ("name=\"image_url\"; filename=\"b.png\"", b"a");
        let other: (&str, &[u8]) = ("name=\"image_url\"; filename=\"a.png\"", b"b");
        let text: (&str, &[u8]) = ("name=\"prompt\"", b"p");
        let unknown: (&str, &[u8]) = ("name=\"unknown\"; filename=\"a\"", b"1");
        let unknown_other: (&str, &[u8]) = ("name=\"unknown\"; filename=\"a\"", b"2");
        let first = hash(&[file, text]).await;
        assert_eq!(first, hash(&[text, file]).await);
        assert_eq!(first, hash(&[renamed, text]).await);
        assert_ne!(first, hash(&[other, text]).await);
        assert_ne!(first, hash(&[file]).await);
        assert_ne!(first, hash(&[file, text, unknown]).await);
        assert_ne!(hash(&[unknown]).await, hash(&[unknown_other]).await);
    }

    #[test]
    fn file_names_are_only_names() {
        let check = |given: &str, expected: &str| assert_eq!(clean_file_name(given), expected, "{given:?}");
        check("clip.mp4", "clip.mp4");
        check("größer als 1.mp4", "größer als 1.mp4");
        check("/etc/passwd", "passwd");
        check("..\\..\\boot.ini", "boot.ini");
        check("a\r\nb\0.png", "ab.png");
        check("", "file");
        check("..", "file");
        check("dir/", "file");
        check("  ", "file");
        check(&"x".repeat(300), &"x".repeat(255));
    }
}
