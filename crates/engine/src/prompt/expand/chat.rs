//! Prompts expanded by a language model, through the chat endpoint that vLLM, Ollama, llama.cpp, OpenAI and the rest have in
//! common. Asked at most twice, within one bound of time; what it does not do in that time is not done.

use std::time::Duration;

use reqwest::{Method, header};
use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Brief, answer, instructions};
use crate::upstream::{
    OpenUpstreamError, Secret,
    http::{Answer, CallError, Endpoint, ask},
};

/// A language model to ask.
pub struct Chat {
    endpoint: Endpoint,
    options: ChatOptions,
}

/// Where the model is, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatOptions {
    /// The address of the API, up to `/v1`.
    pub url: String,
    /// The key there, where it wants one.
    pub key: Secret,
    /// The model's name there.
    pub model: String,
    /// In which language it answers.
    pub language: Language,
    /// For everything that is asked about one prompt.
    pub timeout: Duration,
    /// Further members of each request, for what one server has and others do not.
    pub extra: Map<String, Value>,
}

/// In which language prompts come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// As they were written.
    Same,
    /// English.
    English,
    /// Chinese.
    Chinese,
}

/// Why a prompt was not expanded. For the log: it tells nothing of the prompt.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExpandError {
    /// No answer came within the time.
    #[error("the chat model did not answer within {0:?}")]
    TooSlow(Duration),
    /// It could not be asked, or the answer was lost.
    #[error("the chat model could not be asked: {0}")]
    Unanswered(String),
    /// The server did not do it.
    #[error("the chat model's server answered {status}{code}")]
    Refused {
        /// HTTP's.
        status: u16,
        /// The server's own word, after a space, where it has one.
        code: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// There is no text in the answer.
    #[error("the chat model's answer has no text")]
    NoText,
    /// The model would rather not.
    #[error("the chat model refused")]
    Declined,
    /// The answer breaks off.
    #[error("the chat model's answer breaks off")]
    CutOff,
    /// The answer is longer than a prompt may be.
    #[error("the chat model's answer is longer than a prompt may be")]
    TooLong,
    /// A name such as "Image 1" is missing, or there is one too many.
    #[error("the chat model's answer does not keep the names of the references")]
    OtherNames,
    /// The marks of the shots are not those of the prompt.
    #[error("the chat model's answer does not keep the shots")]
    OtherShots,
}

/// What a second question differs in.
enum Again {
    /// The wait before it.
    After(Duration),
    /// The server may not know a setting: none is sent.
    Plainly,
}

/// A question in full, or without what some servers and models refuse.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settings {
    All,
    None,
}

impl Chat {
    /// Ready to be asked. Nothing is sent yet.
    pub fn open(options: ChatOptions) -> Result<Chat, OpenUpstreamError> {
        Ok(Chat {
            endpoint: Endpoint::new(&options.url, options.key.clone())?,
            options,
        })
    }

    /// The prompt as the model has it.
    pub(super) async fn expand(&self, brief: &Brief) -> Result<String, ExpandError> {
        let deadline = Instant::now() + self.options.timeout;
        match timeout_at(deadline, self.try_twice(brief, deadline)).await {
            Ok(expanded) => expanded,
            Err(_) => Err(ExpandError::TooSlow(self.options.timeout)),
        }
    }

    async fn try_twice(&self, brief: &Brief, deadline: Instant) -> Result<String, ExpandError> {
        let error = match self.try_once(brief, Settings::All).await {
            Ok(expanded) => return Ok(expanded),
            Err(error) => error,
        };
        match error.again() {
            // What would come too late is not waited for.
            Some(Again::After(wait)) if Instant::now() + wait < deadline => {
                sleep(wait).await;
                self.try_once(brief, Settings::All).await
            }
            Some(Again::Plainly) => self.try_once(brief, Settings::None).await,
            Some(Again::After(_)) | None => Err(error),
        }
    }

    async fn try_once(&self, brief: &Brief, settings: Settings) -> Result<String, ExpandError> {
        let request = self
            .endpoint
            .request(Method::POST, "chat/completions")?
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(self.body(brief, settings).to_string());
        let answer = ask(request).await?;
        match answer.status {
            200 => answer::read(&answer.json, brief),
            _ => Err(refused(&answer)),
        }
    }

    fn body(&self, brief: &Brief, settings: Settings) -> Value {
        /// Room for a model that thinks aloud first; the prompt itself takes a tenth.
        const TOKENS_MAX: u32 = 2048;
        let mut body = Map::new();
        if settings == Settings::All {
            // As much the same answer to the same question as the server has it.
            body.insert("temperature".to_owned(), json!(0.3));
            body.insert("seed".to_owned(), json!(brief.seed.get()));
            body.insert("max_tokens".to_owned(), json!(TOKENS_MAX));
        }
        body.extend(self.options.extra.clone());
        let system = instructions::write(brief, self.options.language);
        body.insert("model".to_owned(), json!(self.options.model));
        body.insert("stream".to_owned(), json!(false));
        body.insert(
            "messages".to_owned(),
            json!([
                {"role": "system", "content": system},
                {"role": "user", "content": brief.prompt},
            ]),
        );
        Value::Object(body)
    }
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chat")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl ExpandError {
    /// Whether asking once more may help.
    fn again(&self) -> Option<Again> {
        const WAIT: Duration = Duration::from_millis(300);
        match self {
            ExpandError::Unanswered(_) => Some(Again::After(WAIT)),
            ExpandError::Refused {
                status: 429 | 500..600,
                retry_after,
                ..
            } => Some(Again::After(retry_after.unwrap_or(WAIT))),
            ExpandError::Refused {
                status: 400 | 422, ..
            } => Some(Again::Plainly),
            ExpandError::Refused { .. }
            | ExpandError::TooSlow(_)
            | ExpandError::NoText
            | ExpandError::Declined
            | ExpandError::CutOff
            | ExpandError::TooLong
            | ExpandError::OtherNames
            | ExpandError::OtherShots => None,
        }
    }
}

impl From<CallError> for ExpandError {
    fn from(error: CallError) -> ExpandError {
        ExpandError::Unanswered(error.detail())
    }
}

/// What a server says beside its status may repeat the prompt: only its code is told.
fn refused(answer: &Answer) -> ExpandError {
    let is_code = |text: &&str| {
        text.len() <= 60
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    let code = answer
        .text("/error/code")
        .or_else(|| answer.text("/error/type"))
        .filter(is_code);
    ExpandError::Refused {
        status: answer.status,
        code: code.map(|code| format!(" {code}")).unwrap_or_default(),
        retry_after: answer.retry_after,
    }
}
