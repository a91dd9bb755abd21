//! What refusals say: a developer who reads only the message knows what to change, and no message grows with what was
//! sent.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::house::{Answer, House};

const QUOTE: &str = "/generation/quote/wan/wan-v2.7-video";
const CREATE: &str = "/generation/wan/wan-v2.7-video";
const IMAGE: &str = "https://media.example/a.png";
const CLIP: &str = "https://media.example/a.mp4";

#[tokio::test]
async fn refusals_name_the_member_the_value_and_what_is_taken() {
    let house = House::start().await;
    let long_data = format!("data:video/mp4;base64,{}", "A".repeat(10_000));
    for (body, words) in [
        // What inference cannot make legal.
        (
            json!({"prompt": "a", "video_url": CLIP, "video_refs": [CLIP]}),
            [
                "video_refs",
                "send feature explicitly",
                "both continued and referenced",
            ],
        ),
        (
            json!({"prompt": "a", "reference_image_url": IMAGE}),
            [
                "reference_image_url ",
                "use reference_image_urls",
                "add video_url",
            ],
        ),
        (
            json!({"prompt": "a", "video_url": CLIP, "reference_image_url": IMAGE, "end_image_url": IMAGE}),
            ["end_image_url", "no meaning in edit-video", "drop end_image_url"],
        ),
        (
            json!({"prompt": "a", "reference_image_urls": [IMAGE], "image_url": IMAGE}),
            ["image_url", "no meaning in reference", "drop image_url"],
        ),
        (
            json!({"prompt": "a", "video_url": CLIP, "audio_setting": "origin"}),
            [
                "audio_setting origin",
                "text-image takes auto",
                "send feature edit-video",
            ],
        ),
        // Values.
        (
            json!({"prompt": "a", "video_url": long_data}),
            ["video_url", "an uploaded file", "data: URLs are for images"],
        ),
        (
            json!({"prompt": "a", "image_url": "ftp://h/a.png"}),
            ["image_url", "\"ftp://h/a.png\"", "absolute http or https URL"],
        ),
        (
            json!({"prompt": "a", "image_url": "https://name:secret@h.example/"}),
            ["image_url", "user information", ""],
        ),
        (
            json!({"prompt": "a", "duration": 20, "video_refs": [CLIP]}),
            ["duration", "20 is out of range", "2 to 10 with video_refs"],
        ),
        (
            json!({"prompt": "a", "reference_image_urls": vec!["x"; 9]}),
            ["reference_image_urls", "has 9 items", "at most 8 are taken"],
        ),
    ] {
        let answer = house.post(QUOTE, &body).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert_eq!(answer.status, 422, "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let text = house
        .request(Method::POST, CREATE)
        .header("content-type", "text/plain");
    let answer = Answer::to(text.body("{}")).await;
    assert_eq!(answer.status, 415);
    let message = answer.body["message"].as_str().expect("a message");
    assert!(
        message.contains("\"text/plain\"") && message.contains("application/json"),
        "{message}"
    );
}

#[tokio::test]
async fn an_endless_array_is_one_mistake() {
    let house = House::start().await;
    for (item, count, status) in [
        ("1", 50_000, 400),
        ("\"x\"", 50_000, 422),
        ("\"data:image/png;base64,AAAA\"", 50_000, 422),
        ("\"data:\"", 50_000, 422),
        // Beyond this a body is not even parsed: in memory it would be fifty times as large.
        ("\"\"", 8_000_000, 400),
        ("[[[]]]", 4_000_000, 400),
    ] {
        let items = vec![item; count].join(",");
        let body = format!("{{\"prompt\":\"a\",\"reference_image_urls\":[{items}]}}");
        let started = Instant::now();
        let answer = house.post_text(CREATE, &body).await;
        assert_eq!(answer.status, status, "{item}");
        assert!(answer.text.len() < 10_000, "{item}: {} bytes", answer.text.len());
        let errors = answer.body["errors"].as_array().map_or(0, Vec::len);
        assert!(errors <= 9, "{item}: {errors}");
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{item}: {:?}",
            started.elapsed()
        );
    }
    assert!(house.resident_mb() < 250);
    house.sound().await;
}
