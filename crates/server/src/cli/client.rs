//! A Kinora server as commands ask it: create, read, list, cancel, download. What they make of its answers, and whom they
//! tell, is theirs.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{
    RequestBuilder, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Map, Value, json};
use tokio::{fs::File, io::AsyncWriteExt};

use super::failure::{Failure, Outcome, failed};

/// A server and the right to ask it.
pub(super) struct Client {
    http: reqwest::Client,
    /// Without a slash at the end.
    url: String,
    key: String,
}

/// A medium as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Medium {
    Url(String),
    File(PathBuf),
}

impl Medium {
    /// `None` where the text is neither a URL nor a file that is there.
    pub(super) fn parse(text: &str) -> Option<Medium> {
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("http://") || lower.starts_with("https://") {
            return Some(Medium::Url(text.to_owned()));
        }
        let path = PathBuf::from(text);
        path.is_file().then_some(Medium::File(path))
    }
}

/// The members of a creating request.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Everything but media.
    pub(super) scalars: Map<String, Value>,
    /// Those of a list stand together.
    pub(super) media: Vec<(&'static str, Medium)>,
}

/// Why a server has not done what was asked.
pub(super) enum AskError {
    /// A file that was to be sent could not be read.
    Read { path: PathBuf, source: io::Error },
    /// It could not be asked.
    Send(reqwest::Error),
    /// It answered with an error.
    Refused { status: StatusCode, body: Value },
}

impl AskError {
    /// Whether it may have passed by the next time.
    pub(super) fn passes(&self) -> bool {
        match self {
            AskError::Send(_) => true,
            AskError::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            AskError::Read { .. } => false,
        }
    }

    /// The members that a refusal names, each with what is wrong with it.
    pub(super) fn fields(&self) -> Vec<(&str, &str)> {
        let AskError::Refused { body, .. } = self else {
            return Vec::new();
        };
        body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|problem| Some((problem["field"].as_str()?, problem["message"].as_str()?)))
            .collect()
    }

    /// Without the names of members, for whoever does not know them by these.
    pub(super) fn into_failure(self) -> Failure {
        match self {
            AskError::Read { path, source } => failed(format!("{} cannot be read", path.display()))(source),
            AskError::Send(error) => failed("the server could not be asked")(error.without_url()),
            AskError::Refused { status, body } => {
                let message = body["message"].as_str().unwrap_or("without a message of its own");
                let sentence = format!("the server answered {status}: {message}");
                if status.is_client_error() {
                    Failure::refused(sentence)
                } else {
                    Failure::failed(sentence)
                }
            }
        }
    }
}

impl Client {
    pub(super) fn new(url: &str, key: &str) -> Outcome<Client> {
        // Without a provider of its own the client takes the process's; a second start finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
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
        Ok(Client {
            http,
            url: url.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Has a generation accepted, its files sent along.
    pub(super) async fn create(&self, members: Members) -> Result<Value, AskError> {
        let post = self.http.post(self.at("generation/wan/wan-v2.7-video"));
        // A key of our own: should the answer be lost on its way, nothing is made twice.
        let post = post.header("Idempotency-Key", format!("cli-{:032x}", rand::random::<u128>()));
        let has_files = members
            .media
            .iter()
            .any(|(_, medium)| matches!(medium, Medium::File(_)));
        let post = if has_files {
            post.multipart(form(members).await?)
        } else {
            post.json(&body(members))
        };
        self.ask(post).await
    }

    pub(super) async fn read(&self, id: &str) -> Result<Value, AskError> {
        self.ask(self.http.get(self.at(&format!("generation/{id}"))))
            .await
    }

    pub(super) async fn cancel(&self, id: &str) -> Result<Value, AskError> {
        self.ask(self.http.post(self.at(&format!("generation/{id}/cancel"))))
            .await
    }

    /// A page of generations, newest first.
    pub(super) async fn list(&self, query: &[(&str, String)]) -> Result<Value, AskError> {
        let plain = self.at("generations");
        let request = match reqwest::Url::parse_with_params(&plain, query) {
            Ok(url) => self.http.get(url),
            // What is no URL is found out, and told, by the request itself.
            Err(_) => self.http.get(plain),
        };
        self.ask(request).await
    }

    pub(super) async fn credits(&self) -> Result<Value, AskError> {
        self.ask(self.http.get(self.at("credits"))).await
    }

    /// Streams a result into `path`. Its URL is signed and needs no key.
    pub(super) async fn download(&self, url: &str, length: Option<u64>, path: &Path) -> Outcome {
        let broken = || failed("the video could not be downloaded");
        let mut answer = self.http.get(url).send().await.map_err(broken())?;
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

    fn at(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.url)
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

/// A member of an answer that every Kinora gives.
pub(super) fn member<'a>(value: &'a Value, name: &str) -> Outcome<&'a str> {
    value[name]
        .as_str()
        .ok_or_else(|| Failure::failed(format!("the server's answer has no {name}; is it a Kinora?")))
}

/// A request without files, as JSON.
fn body(Members { scalars, media }: Members) -> Value {
    let mut body = scalars;
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

/// A request with files, as a form. Files are streamed.
async fn form(Members { scalars, media }: Members) -> Result<Form, AskError> {
    let mut form = Form::new();
    for (name, value) in scalars {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        form = form.text(name, text);
    }
    for (member, medium) in media {
        form = match medium {
            Medium::Url(url) => form.text(member, url),
            Medium::File(path) => {
                let part = file_part(&path).await;
                form.part(member, part.map_err(|source| AskError::Read { path, source })?)
            }
        };
    }
    Ok(form)
}

async fn file_part(path: &Path) -> io::Result<Part> {
    let file = File::open(path).await?;
    let length = file.metadata().await?.len();
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Part::stream_with_length(file, length).file_name(name))
}

fn is_list(member: &str) -> bool {
    matches!(member, "reference_image_urls" | "video_refs")
}
