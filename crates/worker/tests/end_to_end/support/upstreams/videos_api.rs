//! A server of `/v1/videos` as vLLM-Omni is documented: one model, forms only, videos kept in memory.

use std::{net::SocketAddr, sync::Mutex};

use serde_json::{Value, json};

use super::{Asked, Emulated, Reply, Script, Step};

/// One video.
#[derive(Debug, Clone)]
pub(crate) struct Video {
    /// The form's texts by name, and its files as `name: media type, bytes`.
    pub(crate) form: Vec<(String, String)>,
    /// What stood between the parts.
    pub(crate) boundary: String,
    looks: u32,
    pub(crate) is_deleted: bool,
}

pub(crate) struct VideosApi {
    pub(crate) script: Script,
    address: SocketAddr,
    clip: Vec<u8>,
    videos: Mutex<Vec<Video>>,
}

impl VideosApi {
    pub(crate) fn new(address: SocketAddr, clip: Vec<u8>) -> VideosApi {
        VideosApi {
            script: Script::default(),
            address,
            clip,
            videos: Mutex::default(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that was begun.
    pub(crate) fn videos(&self) -> Vec<Video> {
        self.videos.lock().unwrap().clone()
    }

    /// Starts anew: it remembers nothing.
    pub(crate) fn forget_videos(&self) {
        for video in self.videos.lock().unwrap().iter_mut() {
            video.is_deleted = true;
        }
    }

    fn submit(&self, asked: &Asked) -> Reply {
        let content_type = asked.headers.get("content-type").cloned().unwrap_or_default();
        let Some(boundary) = content_type.strip_prefix("multipart/form-data; boundary=") else {
            return Reply::Json(422, json!({"detail": "multipart/form-data is required"}));
        };
        let form = parts(&asked.body, boundary);
        if !form.iter().any(|(name, _)| name == "prompt") {
            return Reply::Json(400, json!({"detail": "prompt is required"}));
        }
        let mut videos = self.videos.lock().unwrap();
        videos.push(Video {
            form,
            boundary: boundary.to_owned(),
            looks: 0,
            is_deleted: false,
        });
        let id = format!("video_gen-{}", videos.len());
        let body = json!({"id": id, "object": "video", "status": "queued", "created_at": 1_701_234_567});
        Reply::Json(200, body)
    }

    fn of(&self, id: &str, act: impl FnOnce(&mut Video) -> Reply) -> Reply {
        let mut videos = self.videos.lock().unwrap();
        let number: Option<usize> = id.strip_prefix("video_gen-").and_then(|id| id.parse().ok());
        match number.and_then(|number| videos.get_mut(number - 1)) {
            Some(video) if !video.is_deleted => act(video),
            _ => Reply::Json(404, json!({"detail": "Video not found"})),
        }
    }
}

impl Emulated for VideosApi {
    fn script(&self) -> &Script {
        &self.script
    }

    fn step(&self, asked: &Asked) -> Option<Step> {
        let path = asked.path.as_str();
        match asked.method.as_str() {
            "POST" if path == "/v1/videos" => Some(Step::Submit),
            "GET" if path.ends_with("/content") => Some(Step::Result),
            "GET" if path.starts_with("/v1/videos/") => Some(Step::Look),
            "DELETE" if path.starts_with("/v1/videos/") => Some(Step::Cancel),
            _ => None,
        }
    }

    fn answer(&self, step: Step, asked: &Asked) -> Reply {
        let id = asked.path.strip_prefix("/v1/videos/").unwrap_or_default();
        match step {
            Step::Submit => self.submit(asked),
            Step::Look => self.of(id, |video| {
                video.looks += 1;
                let (status, progress) = match video.looks {
                    1 => ("queued", 0),
                    2 => ("in_progress", 40),
                    _ => ("completed", 100),
                };
                Reply::Json(200, json!({"id": id, "status": status, "progress": progress}))
            }),
            Step::Cancel => self.of(id, |video| {
                video.is_deleted = true;
                Reply::Json(200, json!({"id": id, "object": "video.deleted", "deleted": true}))
            }),
            Step::Result => self.of(id.trim_end_matches("/content"), |_| {
                Reply::File(self.clip.clone())
            }),
            Step::Chat => unreachable!("it is no server of language"),
        }
    }

    fn error(&self, code: &str) -> Value {
        json!({"error": {"code": code, "message": "refused"}})
    }
}

fn parts(body: &[u8], boundary: &str) -> Vec<(String, String)> {
    let text: String = body.iter().map(|byte| char::from(*byte)).collect();
    let utf8 = |text: &str| {
        let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
        String::from_utf8(bytes).unwrap()
    };
    let boundary = format!("--{boundary}");
    let parts = text.split(&boundary).filter_map(|part| {
        let (head, body) = part.split_once("\r\n\r\n")?;
        let name = head.split("name=\"").nth(1)?.split('"').next()?.to_owned();
        let body = body.strip_suffix("\r\n")?;
        let value = match head.split("Content-Type: ").nth(1) {
            Some(media_type) => format!("{}, {} bytes", media_type.trim(), body.len()),
            None => utf8(body),
        };
        Some((name, value))
    });
    parts.collect()
}
