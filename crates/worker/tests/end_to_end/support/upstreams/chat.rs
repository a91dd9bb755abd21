//! A server of a language model, as OpenAI's chat API is documented: it answers each question with another text.

use std::{collections::VecDeque, net::SocketAddr, sync::Mutex};

use serde_json::{Value, json};

use super::{Asked, Emulated, Reply, Script, Step};

/// The key that it takes.
pub(crate) const KEY: &str = "sk-chat-3f9a7c";

pub(crate) struct Chat {
    pub(crate) script: Script,
    address: SocketAddr,
    questions: Mutex<Vec<Value>>,
    /// What it says next, in place of a text of its own.
    says: Mutex<VecDeque<String>>,
}

impl Chat {
    pub(crate) fn new(address: SocketAddr) -> Chat {
        Chat {
            script: Script::default(),
            address,
            questions: Mutex::default(),
            says: Mutex::default(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Every question that was taken.
    pub(crate) fn questions(&self) -> Vec<Value> {
        self.questions.lock().unwrap().clone()
    }

    pub(crate) fn say(&self, text: &str) {
        self.says.lock().unwrap().push_back(text.to_owned());
    }
}

impl Emulated for Chat {
    fn script(&self) -> &Script {
        &self.script
    }

    fn step(&self, asked: &Asked) -> Option<Step> {
        let is_chat = asked.method == "POST" && asked.path == "/v1/chat/completions";
        is_chat.then_some(Step::Chat)
    }

    fn answer(&self, _: Step, asked: &Asked) -> Reply {
        if asked.headers.get("authorization") != Some(&format!("Bearer {KEY}")) {
            return Reply::Json(401, self.error("invalid_api_key"));
        }
        let question: Value = serde_json::from_slice(&asked.body).unwrap();
        let prompt = question["messages"][1]["content"].as_str().unwrap().to_owned();
        let mut questions = self.questions.lock().unwrap();
        questions.push(question);
        let said = self.says.lock().unwrap().pop_front();
        let text =
            said.unwrap_or_else(|| format!("{prompt}, told at length for the {}. time", questions.len()));
        Reply::Json(
            200,
            json!({
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1_795_348_800,
                "model": "qwen3",
                "choices": [{
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }],
                "usage": {"prompt_tokens": 300, "completion_tokens": 90, "total_tokens": 390},
            }),
        )
    }

    fn error(&self, code: &str) -> Value {
        json!({"error": {"message": "It is refused.", "type": "invalid_request_error", "code": code}})
    }
}
