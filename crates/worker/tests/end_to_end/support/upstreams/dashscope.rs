//! DashScope's video tasks: what is checked, what is answered, and how a task goes on from one question to the next.

use std::{net::SocketAddr, sync::Mutex};

use serde_json::{Value, json};

use super::{Asked, Emulated, Reply, Script, Step, wrong};

/// The key it takes.
pub(crate) const KEY: &str = "sk-test-31337";

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    /// The body it was begun with.
    pub(crate) body: Value,
    looks: u32,
    pub(crate) is_canceled: bool,
}

pub(crate) struct DashScope {
    pub(crate) script: Script,
    address: SocketAddr,
    clip: Vec<u8>,
    tasks: Mutex<Vec<Task>>,
    /// How a task ends instead of well.
    end: Mutex<Option<Value>>,
}

impl DashScope {
    /// A server whose every task makes this clip.
    pub(crate) fn new(address: SocketAddr, clip: Vec<u8>) -> DashScope {
        DashScope {
            script: Script::default(),
            address,
            clip,
            tasks: Mutex::default(),
            end: Mutex::default(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Tasks end like this from now on.
    pub(crate) fn end_with(&self, output: Value) {
        *self.end.lock().unwrap() = Some(output);
    }

    /// Everything that was begun, and so paid for.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        self.tasks.lock().unwrap().clone()
    }

    fn submit(&self, asked: &Asked) -> Reply {
        let header = |name: &str| asked.headers.get(name).map(String::as_str);
        if header("x-dashscope-async") != Some("enable") {
            let message = "current user api does not support synchronous calls";
            return Reply::Json(403, wrong("AccessDenied", message));
        }
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or(Value::Null);
        if let Err(message) = check(&body) {
            return Reply::Json(400, wrong("InvalidParameter", &message));
        }
        let mut tasks = self.tasks.lock().unwrap();
        tasks.push(Task {
            body,
            looks: 0,
            is_canceled: false,
        });
        let output = json!({"task_id": format!("task-{}", tasks.len()), "task_status": "PENDING"});
        Reply::Json(200, json!({"request_id": "00000000-0001", "output": output}))
    }

    fn look(&self, id: &str) -> Reply {
        let mut tasks = self.tasks.lock().unwrap();
        let Some(task) = task(&mut tasks, id) else {
            let output = json!({"task_id": id, "task_status": "UNKNOWN"});
            return Reply::Json(200, json!({"request_id": "00000000-0002", "output": output}));
        };
        task.looks += 1;
        let mut output = match (task.is_canceled, task.looks) {
            (true, _) => json!({"task_status": "CANCELED"}),
            (false, 1) => json!({"task_status": "PENDING", "submit_time": "2026-11-22 19:40:11.120"}),
            (false, 2) => json!({"task_status": "RUNNING", "scheduled_time": "2026-11-22 19:40:12.004"}),
            (false, _) => match &*self.end.lock().unwrap() {
                Some(end) => end.clone(),
                None => json!({
                    "task_status": "SUCCEEDED",
                    "video_url": format!("{}/result/{id}.mp4?Expires=1&Signature=secret-signature", self.url()),
                    "orig_prompt": task.body["input"]["prompt"],
                    "actual_prompt": "What the service made of it",
                }),
            },
        };
        output["task_id"] = json!(id);
        Reply::Json(200, json!({"request_id": "00000000-0003", "output": output}))
    }

    fn cancel(&self, id: &str) -> Reply {
        let mut tasks = self.tasks.lock().unwrap();
        match task(&mut tasks, id) {
            Some(task) if task.looks < 2 => {
                task.is_canceled = true;
                Reply::Json(200, json!({"request_id": "00000000-0004"}))
            }
            _ => Reply::Json(
                400,
                wrong(
                    "UnsupportedOperation",
                    "Only a task that is pending can be canceled.",
                ),
            ),
        }
    }
}

impl Emulated for DashScope {
    fn script(&self) -> &Script {
        &self.script
    }

    fn step(&self, asked: &Asked) -> Option<Step> {
        let path = asked.path.as_str();
        match asked.method.as_str() {
            "POST" if path == "/api/v1/services/aigc/video-generation/video-synthesis" => Some(Step::Submit),
            "POST" if path.starts_with("/api/v1/tasks/") && path.ends_with("/cancel") => Some(Step::Cancel),
            "GET" if path.starts_with("/api/v1/tasks/") => Some(Step::Look),
            "GET" if path.starts_with("/result/") => Some(Step::Result),
            _ => None,
        }
    }

    fn answer(&self, step: Step, asked: &Asked) -> Reply {
        let id = asked
            .path
            .strip_prefix("/api/v1/tasks/")
            .unwrap_or_default()
            .trim_end_matches("/cancel");
        // The signature is what opens a result, not the key.
        if step != Step::Result && asked.headers.get("authorization") != Some(&format!("Bearer {KEY}")) {
            return Reply::Json(401, wrong("InvalidApiKey", "Invalid API-key provided."));
        }
        match step {
            Step::Submit => self.submit(asked),
            Step::Look => self.look(id),
            Step::Cancel => self.cancel(id),
            Step::Result => Reply::File(self.clip.clone()),
            Step::Chat => unreachable!("it is no server of language"),
        }
    }

    fn error(&self, code: &str) -> Value {
        wrong(
            code,
            &format!("refused, {KEY}, https://host.example/a?Signature=secret-signature"),
        )
    }
}

fn task<'t>(tasks: &'t mut [Task], id: &str) -> Option<&'t mut Task> {
    let number: usize = id.strip_prefix("task-")?.parse().ok()?;
    tasks.get_mut(number.checked_sub(1)?)
}

/// The limits of each model, as documented.
fn check(body: &Value) -> Result<(), String> {
    let (input, parameters) = (&body["input"], &body["parameters"]);
    let media: Vec<&str> = input["media"]
        .as_array()
        .map(|media| {
            media
                .iter()
                .filter_map(|medium| medium["type"].as_str())
                .collect()
        })
        .unwrap_or_default();
    let count = |role: &str| media.iter().filter(|found| **found == role).count();
    let demand = |holds: bool, message: &str| match holds {
        true => Ok(()),
        false => Err(format!("{message}: {body}")),
    };
    let prompt = input["prompt"].as_str().unwrap_or_default();
    demand(prompt.chars().count() <= 5000, "the prompt is too long")?;
    demand(
        matches!(parameters["resolution"].as_str(), Some("720P" | "1080P")),
        "resolution",
    )?;
    demand(parameters["watermark"] == json!(false), "watermark")?;
    demand(parameters["prompt_extend"].is_boolean(), "prompt_extend")?;
    let seed = parameters["seed"].as_u64();
    demand(seed.is_some_and(|seed| seed <= 2_147_483_647), "seed")?;
    for medium in input["media"].as_array().into_iter().flatten() {
        let url = medium["url"].as_str().unwrap_or_default();
        let is_picture = matches!(
            medium["type"].as_str(),
            Some("first_frame" | "last_frame" | "reference_image")
        );
        let is_url = url.starts_with("http://") || url.starts_with("https://");
        let is_data = url.starts_with("data:image/jpeg;base64,/9j/");
        demand(is_url || is_picture && is_data, "a medium's url")?;
    }
    let duration = parameters["duration"].as_u64().unwrap_or(u64::MAX);
    let has_ratio = parameters.get("ratio").is_some();
    match body["model"].as_str() {
        Some("wan2.7-t2v") => {
            demand(!prompt.is_empty() && media.is_empty(), "t2v takes a prompt alone")?;
            demand(has_ratio && (2..=15).contains(&duration), "t2v's geometry")
        }
        Some("wan2.7-i2v") => {
            let sets: [&[&str]; 6] = [
                &["first_frame"],
                &["first_frame", "driving_audio"],
                &["first_frame", "last_frame"],
                &["first_frame", "last_frame", "driving_audio"],
                &["first_clip"],
                &["first_clip", "last_frame"],
            ];
            demand(sets.contains(&media.as_slice()), "i2v has no such set of media")?;
            demand(!has_ratio && (2..=15).contains(&duration), "i2v's geometry")
        }
        Some("wan2.7-r2v") => {
            let (images, videos) = (count("reference_image"), count("reference_video"));
            let most = if videos > 0 { 10 } else { 15 };
            demand(
                images + videos == media.len() && (1..=5).contains(&media.len()),
                "r2v's media",
            )?;
            demand(
                has_ratio && !prompt.is_empty() && (2..=most).contains(&duration),
                "r2v",
            )
        }
        Some("wan2.7-videoedit") => {
            let images = count("reference_image");
            demand(
                count("video") == 1 && images <= 4 && media.len() == 1 + images,
                "edit's media",
            )?;
            demand(duration == 0 || (2..=10).contains(&duration), "edit's duration")?;
            let audio = parameters["audio_setting"].as_str();
            demand(matches!(audio, Some("auto" | "origin")), "edit's sound")
        }
        _ => Err("no such model".to_owned()),
    }
}
