//! A server that has prompts expanded before others make videos of them: what clients are shown of it, what survives a kill,
//! and what the log keeps to itself.

use std::sync::Arc;

use serde_json::json;

use crate::{
    emulators::{
        self, Fault, Step,
        chat::{self, Chat},
        videos_api::VideosApi,
    },
    house::{House, binary},
    media::Media,
};

const PROMPT: &str = "Fog over a harbour";

/// A server of language and one of videos.
async fn servers() -> (Arc<Chat>, Arc<VideosApi>) {
    let clip = Media::make().bytes("clip.mp4");
    (
        emulators::start(Chat::new).await,
        emulators::start(|address| VideosApi::new(address, clip)).await,
    )
}

/// Settings by which they are asked.
fn settings(chat: &Chat, videos: &VideosApi) -> Vec<(&'static str, String)> {
    [
        ("PROMPT__BASE_URL", chat.url()),
        ("PROMPT__MODEL", "qwen3".to_owned()),
        ("PROMPT__API_KEY", chat::KEY.to_owned()),
        ("PROMPT__TIMEOUT_S", "2".to_owned()),
        ("VIDEOS_UPSTREAM__URL", videos.url()),
        ("VIDEOS_UPSTREAM__POLL_INTERVAL_MS", "100".to_owned()),
        ("MEDIA__ALLOW_HOSTS", "127.0.0.1".to_owned()),
        ("QUEUE__LEASE_MS", "2000".to_owned()),
        ("QUEUE__RETRY_DELAY_MS", "100".to_owned()),
    ]
    .into()
}

fn borrowed<'s>(settings: &'s [(&'static str, String)]) -> Vec<(&'s str, &'s str)> {
    settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

fn told(time: u32) -> String {
    format!("{PROMPT}, told at length for the {time}. time")
}

#[tokio::test]
async fn clients_are_shown_the_prompt_that_was_used() {
    let (chat, videos) = servers().await;
    let settings = settings(&chat, &videos);
    let mut house = House::with(&borrowed(&settings)).await;
    videos.script.order(Step::Look, Fault::Silence, 1);
    let id = house.create(PROMPT).await;
    videos.script.wait_for(Step::Look, 1).await;
    house.kill_and_restart(&borrowed(&settings)).await;
    let generation = house.finished(&id).await;
    assert_eq!(generation["status"], "COMPLETED", "{generation}");
    assert_eq!(generation["data"]["actual_prompt"], told(1).as_str());
    assert_eq!(generation["input"]["prompt"], PROMPT);
    assert_eq!(chat.script.asked(Step::Chat), 1, "once for both processes");

    chat.script
        .order(Step::Chat, Fault::refuse(500, "server_error"), 2);
    let id = house.create(PROMPT).await;
    let generation = house.finished(&id).await;
    assert_eq!(generation["status"], "COMPLETED", "{generation}");
    assert_eq!(generation["data"]["actual_prompt"], PROMPT);
    let warning = &generation["data"]["warnings"][0];
    assert_eq!(
        *warning,
        json!({
            "code": "prompt_expansion_failed",
            "message": "The prompt could not be expanded; it was used as it is.",
        })
    );

    let plain =
        json!({"prompt": PROMPT, "duration": 2, "resolution": "720p", "enable_prompt_expansion": false});
    let answer = house.post("/generation/wan/wan-v2.7-video", &plain).await;
    let id = answer.body["id"].as_str().expect("an id").to_owned();
    let generation = house.finished(&id).await;
    assert_eq!(generation["data"]["actual_prompt"], PROMPT);
    let warnings = generation["data"]["warnings"].to_string();
    assert!(!warnings.contains("prompt"), "{warnings}");
    assert_eq!(chat.script.asked(Step::Chat), 3);

    let log = house.log();
    assert!(log.contains("server_error"), "the reason is told: {log}");
    for secret in [chat::KEY, PROMPT, "told at length"] {
        assert!(!log.contains(secret), "the log tells {secret:?}");
    }
    house.sound().await;
}

#[tokio::test]
async fn a_server_that_expands_by_itself_is_sent_the_plain_prompt() {
    let (chat, videos) = servers().await;
    let mut settings = settings(&chat, &videos);
    settings.push(("VIDEOS_UPSTREAM__EXPANDS_PROMPTS", "true".to_owned()));
    let house = House::with(&borrowed(&settings)).await;
    let id = house.create(PROMPT).await;
    assert_eq!(house.finished(&id).await["data"]["actual_prompt"], PROMPT);
    assert_eq!(chat.script.asked(Step::Chat), 0);
    house.sound().await;
}

/// The command line makes a video by the same configuration, and tells which prompt it was made of.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_expands_too() {
    let (chat, videos) = servers().await;
    let settings = settings(&chat, &videos);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let generate = async |more: &[&str]| {
        let mut command = tokio::process::Command::new(binary());
        command
            .current_dir(folder.path())
            .args([
                "generate",
                PROMPT,
                "--engine",
                "none",
                "--resolution",
                "720p",
                "--duration",
                "2",
            ])
            .args(more)
            .envs(
                settings
                    .iter()
                    .map(|(name, value)| (format!("KINORA_{name}"), value)),
            );
        let output = command.output().await.expect("the binary starts");
        let told = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.success(), "{told}");
        told
    };
    let said = generate(&["-o", "one.mp4"]).await;
    assert!(
        said.contains(&format!("kinora: the prompt became: {}", told(1))),
        "{said}"
    );
    assert!(!said.contains(chat::KEY));
    let said = generate(&["-o", "two.mp4", "--no-prompt-expansion"]).await;
    assert!(!said.contains("became"), "{said}");
    assert_eq!(chat.script.asked(Step::Chat), 1);
    let sent: Vec<String> = videos
        .videos()
        .iter()
        .filter_map(|video| Some(video.form.iter().find(|(name, _)| name == "prompt")?.1.clone()))
        .collect();
    assert_eq!(sent, [told(1), PROMPT.to_owned()]);
}
