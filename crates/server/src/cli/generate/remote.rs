//! A video made by a server: asked for, watched, canceled when the person asks for it, downloaded.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use kinora_domain::Seed;
use reqwest::{
    Client, RequestBuilder, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Map, Value, json};
use tokio::{fs::File, io::AsyncWriteExt, time::sleep};

use super::{Medium, Request, output::Output, progress::ProgressDisplay, refusal};
use crate::cli::{
    failure::{Failure, Outcome, failed},
    signals::StopSignals,
};

const BETWEEN_POLLS: Duration = Duration::from_secs(1);
/// How long a server may be away while it works for us.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a canceled generation may take to end.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

/// Has the server at `url` make the video; the path it lies at in the end.
pub(super) async fn generate(
    url: &str,
    key: &str,
    request: Request,
    output: Option<PathBuf>,
) -> Outcome<PathBuf> {
    let server = Server::new(url, key)?;
    let mut signals = StopSignals::catch().map_err(failed("signals cannot be caught"))?;
    let generation = tokio::select! {
        created = server.create(request) => created?,
        _ = signals.next() => return Err(Failure::interrupted("canceled")),
    };
    let id = member(&generation, "id")?.to_owned();
    let ended = tokio::select! {
        ended = server.follow(&id) => ended?,
        _ = signals.next() => return Err(server.cancel(&id).await),
    };
    let video = &ended["data"]["video"];
    let seed = ended["data"]["seed"].as_i64().and_then(Seed::new);
    let output = Output::create(output, seed.unwrap_or(Seed::from_entropy(0)))?;
    let (part, file_size) = (output.part(), video["file_size"].as_u64());
    tokio::select! {
        downloaded = server.download(member(video, "url")?, file_size, &part) => downloaded?,
        _ = signals.next() => {
            return Err(Failure::interrupted(format!("the download of {id} was interrupted; the server keeps it")));
        }
    }
    output.keep()
}

/// A server and the right to ask it.
struct Server {
    client: Client,
    /// Without a slash at the end.
    url: String,
    key: String,
}

impl Server {
    fn new(url: &str, key: &str) -> Outcome<Server> {
        // Without a provider of its own the client takes the process's; a second start finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("kinora/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .build()
            .map_err(failed("the HTTP client could not be built"))?;
        let url = url.trim_end_matches('/');
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Failure::refused(format!(
                "--server {url:?} is no http or https URL"
            )));
        }
        Ok(Server {
            client,
            url: url.to_owned(),
            key: key.to_owned(),
        })
    }

    async fn create(&self, request: Request) -> Outcome<Value> {
        let post = self
            .client
            .post(format!("{}/api/v1/generation/wan/wan-v2.7-video", self.url));
        // A key of our own: should the answer be lost on its way, nothing is made twice.
        let post = post.header("Idempotency-Key", format!("cli-{:032x}", rand::random::<u128>()));
        let has_files = request
            .media
            .iter()
            .any(|(_, medium)| matches!(medium, Medium::File(_)));
        let post = if has_files {
            post.multipart(form(request).await?)
        } else {
            post.json(&body(request))
        };
        self.ask(post).await.map_err(AskError::into_failure)
    }

    /// Asks until the generation has ended well, and shows how far it is.
    async fn follow(&self, id: &str) -> Outcome<Value> {
        let progress = ProgressDisplay::start();
        let mut last_heard = Instant::now();
        loop {
            match self.read(id).await {
                Ok(generation) => {
                    last_heard = Instant::now();
                    match member(&generation, "status")? {
                        "COMPLETED" => return Ok(generation),
                        "FAILED" | "CANCELED" => {
                            let status = member(&generation, "status")?.to_lowercase();
                            let why = generation["message"].as_str().unwrap_or("it was ended elsewhere");
                            return Err(Failure::failed(format!("generation {id} {status}: {why}")));
                        }
                        _ => progress.show(
                            generation["stage"].as_str().unwrap_or("working"),
                            generation["progress"].as_f64().unwrap_or(0.0) as f32,
                        ),
                    }
                }
                Err(error) if error.passes() && last_heard.elapsed() < PATIENCE => {}
                Err(error) => return Err(error.into_failure()),
            }
            sleep(BETWEEN_POLLS).await;
        }
    }

    /// Ends the generation, and says what became of it.
    async fn cancel(&self, id: &str) -> Failure {
        let post = self
            .client
            .post(format!("{}/api/v1/generation/{id}/cancel", self.url));
        if let Err(error) = self.ask(post).await {
            return match error {
                AskError::Refused {
                    status: StatusCode::CONFLICT,
                    ..
                } => Failure::interrupted(format!("generation {id} had ended before it could be canceled")),
                error => error.into_failure(),
            };
        }
        let asked = Instant::now();
        while asked.elapsed() < CANCEL_PATIENCE {
            if let Ok(generation) = self.read(id).await
                && generation["status"] == "CANCELED"
            {
                return Failure::interrupted(format!("generation {id} is canceled"));
            }
            sleep(BETWEEN_POLLS / 4).await;
        }
        Failure::interrupted(format!(
            "generation {id} will be canceled as soon as its engine stops"
        ))
    }

    async fn read(&self, id: &str) -> Result<Value, AskError> {
        self.ask(self.client.get(format!("{}/api/v1/generation/{id}", self.url)))
            .await
    }

    /// Streams the video into `path`. Its URL is signed and needs no key.
    async fn download(&self, url: &str, length: Option<u64>, path: &Path) -> Outcome {
        let broken = || failed("the video could not be downloaded");
        let mut answer = self.client.get(url).send().await.map_err(broken())?;
        if answer.status() != StatusCode::OK {
            return Err(Failure::failed(format!(
                "the video's address answers {}",
                answer.status()
            )));
        }
        let unwritten = || failed(format!("{} cannot be written", path.display()));
        let mut file = File::create(path).await.map_err(unwritten())?;
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await.map_err(broken())? {
            bytes += chunk.len() as u64;
            file.write_all(&chunk).await.map_err(unwritten())?;
        }
        file.sync_all().await.map_err(unwritten())?;
        match length {
            Some(length) if length != bytes => Err(Failure::failed(format!(
                "the video broke off after {bytes} of {length} bytes"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Value, AskError> {
        let answer = request
            .bearer_auth(&self.key)
            .send()
            .await
            .map_err(AskError::Send)?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        if status.is_success() {
            Ok(body)
        } else {
            Err(AskError::Refused { status, body })
        }
    }
}

/// Why a server has not done what was asked.
enum AskError {
    /// It could not be asked.
    Send(reqwest::Error),
    /// It answered with an error.
    Refused { status: StatusCode, body: Value },
}

impl AskError {
    /// Whether it may have passed by the next time.
    fn passes(&self) -> bool {
        match self {
            AskError::Send(_) => true,
            AskError::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
        }
    }

    fn into_failure(self) -> Failure {
        match self {
            AskError::Send(error) => failed("the server could not be asked")(error.without_url()),
            AskError::Refused { status, body } => {
                let fields: Vec<(&str, &str)> = body["errors"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|problem| Some((problem["field"].as_str()?, problem["message"].as_str()?)))
                    .collect();
                if !fields.is_empty() {
                    return refusal(fields);
                }
                let message = body["message"].as_str().unwrap_or("without a message of its own");
                if status.is_client_error() {
                    Failure::refused(format!("the server answered {status}: {message}"))
                } else {
                    Failure::failed(format!("the server answered {status}: {message}"))
                }
            }
        }
    }
}

/// The members of a request without files, as JSON.
fn body(request: Request) -> Value {
    let mut body = Map::new();
    let (scalars, media) = members(request);
    body.extend(scalars.into_iter().map(|(name, value)| (name.to_owned(), value)));
    for (member, medium) in media {
        let Medium::Url(url) = medium else { continue };
        if is_list(member) {
            let list = body.entry(member).or_insert_with(|| json!([]));
            list.as_array_mut()
                .expect("lists are made as lists")
                .push(url.into());
        } else {
            body.insert(member.to_owned(), url.into());
        }
    }
    Value::Object(body)
}

/// The members of a request with files, as a form. Files are streamed.
async fn form(request: Request) -> Outcome<Form> {
    let mut form = Form::new();
    let (scalars, media) = members(request);
    for (name, value) in scalars {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        form = form.text(name, text);
    }
    for (member, medium) in media {
        form = match medium {
            Medium::Url(url) => form.text(member, url),
            Medium::File(path) => form.part(member, file_part(&path).await?),
        };
    }
    Ok(form)
}

async fn file_part(path: &Path) -> Outcome<Part> {
    let unread = || failed(format!("{} cannot be read", path.display()));
    let file = File::open(path).await.map_err(unread())?;
    let length = file.metadata().await.map_err(unread())?.len();
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Part::stream_with_length(file, length).file_name(name))
}

/// Members of one kind, by their names.
type Members<T> = Vec<(&'static str, T)>;

/// The members that were given: scalars, and media.
fn members(request: Request) -> (Members<Value>, Members<Medium>) {
    let Request {
        prompt,
        negative_prompt,
        feature,
        aspect_ratio,
        resolution,
        audio_setting,
        duration,
        seed,
        multi_shots,
        prompt_expansion,
        media,
    } = request;
    let scalars = [
        ("prompt", prompt.map(Value::from)),
        ("negative_prompt", negative_prompt.map(Value::from)),
        ("feature", feature.map(Value::from)),
        ("aspect_ratio", aspect_ratio.map(Value::from)),
        ("resolution", resolution.map(Value::from)),
        ("audio_setting", audio_setting.map(Value::from)),
        ("duration", duration.map(Value::from)),
        ("seed", seed.map(Value::from)),
        ("multi_shots", multi_shots.map(Value::from)),
        ("enable_prompt_expansion", prompt_expansion.map(Value::from)),
    ];
    (
        scalars
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        media,
    )
}

fn is_list(member: &str) -> bool {
    matches!(member, "reference_image_urls" | "video_refs")
}

fn member<'a>(value: &'a Value, name: &str) -> Outcome<&'a str> {
    value[name]
        .as_str()
        .ok_or_else(|| Failure::failed(format!("the server's answer has no {name}; is it a Kinora?")))
}
