//! A server with its bytes in a bucket: uploads, results, and the ways by which clients get them.

use kinora_testbucket::{Fault, Rule, SECRET_ACCESS_KEY, TestBucket};
use reqwest::{Client, Method, Response, multipart::Form, redirect::Policy};
use sha2::{Digest, Sha256};

use crate::{
    bytes::bucket_settings,
    house::{Answer, House},
    media::Media,
};

#[tokio::test]
async fn from_an_upload_to_a_download_over_three_machines() {
    let bucket = TestBucket::start();
    let endpoint = bucket.endpoint();
    let settings = bucket_settings(&endpoint);
    let mut house = House::with(&[&settings[..], &[("WORKER__SLOTS", "0")]].concat()).await;
    let media = Media::make();

    // The first machine takes the upload.
    let form = Form::new()
        .text("prompt", "a picture that moves")
        .text("duration", "2")
        .text("resolution", "720p")
        .part("image_url", media.part("first.png"));
    let request = house.request(Method::POST, "/generation/wan/wan-v2.7-video");
    let answer = Answer::to(request.multipart(form)).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let id = answer.body["id"].as_str().expect("an id").to_owned();
    let uploaded = hex::encode(Sha256::digest(media.bytes("first.png")));
    let (shard, rest) = uploaded.split_at(2);
    assert_eq!(bucket.objects("media"), [format!("media/blobs/{shard}/{rest}")]);

    // The second one makes the clip, of an input that it has never seen.
    house.move_and_restart(&settings).await;
    let done = house.finished(&id).await;
    assert_eq!(done["status"], "COMPLETED", "{done}");
    assert_eq!(
        bucket.objects("media/blobs").len(),
        3,
        "the picture, the clip, its poster"
    );
    let url = done["data"]["video"]["url"].as_str().expect("a URL").to_owned();
    let clip = house.plain(&url).await;
    assert_eq!(clip.status(), 200, "it is on this machine still");
    let clip = clip.bytes().await.expect("a clip");

    // The third one has nothing, and sends clients to the bucket.
    house.move_and_restart(&settings).await;
    let url = house.renewed(&id).await;
    let sent = house.plain(&url).await;
    assert_eq!(sent.status(), 307);
    assert_eq!(sent.headers()["cache-control"], "no-store");
    let there = sent.headers()["location"].to_str().expect("a URL").to_owned();
    assert!(there.starts_with(&endpoint), "{there}");
    let followed = client(Policy::default())
        .get(&url)
        .send()
        .await
        .expect("an answer");
    assert_eq!(followed.headers()["content-type"], "video/mp4");
    assert_eq!(followed.bytes().await.expect("a clip"), clip);
    let range = client(Policy::default())
        .get(&url)
        .header("range", "bytes=100-199");
    let range = range.send().await.expect("an answer");
    assert_eq!(range.status(), 206);
    assert_eq!(range.bytes().await.expect("a part"), clip[100..200]);
    // Where a redirect would not do, the bytes pass through; nothing is read for who asks about them only.
    bucket.requests();
    let head = client(Policy::none()).head(&url).send().await.expect("an answer");
    assert_eq!(
        (
            head.status().as_u16(),
            head.headers()["content-length"].as_bytes()
        ),
        (200, clip.len().to_string().as_bytes())
    );
    assert!(
        bucket
            .requests()
            .iter()
            .all(|request| request.starts_with("HEAD"))
    );
    let page = client(Policy::none())
        .get(&url)
        .header("sec-fetch-site", "same-origin");
    let page = page.send().await.expect("an answer");
    assert_eq!(
        (page.status().as_u16(), page.bytes().await.expect("a clip")),
        (200, clip.clone())
    );
    let content = house.request(Method::GET, &format!("//v1/videos/{id}/content"));
    let content = content.send().await.expect("an answer");
    assert_eq!(
        (content.status().as_u16(), content.bytes().await.expect("a clip")),
        (200, clip.clone())
    );

    // Without redirects everything passes through, as if it were here.
    let direct = [&settings[..], &[("BLOBS__PRESIGNED_REDIRECTS", "false")]].concat();
    house.move_and_restart(&direct).await;
    let url = house.renewed(&id).await;
    let whole = house.plain(&url).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.headers()["content-type"], "video/mp4");
    let etag = whole.headers()["etag"].to_str().expect("a tag").to_owned();
    assert_eq!(whole.bytes().await.expect("a clip"), clip);
    let length = clip.len();
    for (header, value, status, range) in [
        ("range", "bytes=10-99", 206, format!("bytes 10-99/{length}")),
        (
            "range",
            "bytes=-5",
            206,
            format!("bytes {}-{}/{length}", length - 5, length - 1),
        ),
        ("range", "bytes=99999999-", 416, format!("bytes */{length}")),
        ("if-none-match", &etag, 304, String::new()),
    ] {
        let answer = client(Policy::none())
            .get(&url)
            .header(header, value)
            .send()
            .await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), status, "{value}");
        let told = answer
            .headers()
            .get("content-range")
            .map(|told| told.to_str().expect("text").to_owned());
        assert_eq!(told.unwrap_or_default(), range);
        if status == 206 {
            let expected = if value == "bytes=-5" {
                &clip[length - 5..]
            } else {
                &clip[10..100]
            };
            assert_eq!(answer.bytes().await.expect("a part"), expected);
        }
    }
    let report = house.kinora_with(
        &[&settings[..], &[("ENGINE__NAME", "test-pattern")]].concat(),
        &["doctor"],
    );
    assert!(
        report.contains("s3://kinora/media takes, gives, lists and removes"),
        "{report}"
    );
    assert!(
        report.contains("the files of 1 finished generations are there"),
        "{report}"
    );
    // What goes, goes everywhere.
    house.delete(&format!("/generation/{id}")).await;
    let later = kinora_domain::Timestamp(i64::MAX / 2);
    let swept = house
        .blobs(Some(&bucket))
        .sweep(&*house.store(), 0, later)
        .await
        .expect("a sweep");
    assert_eq!((swept.blobs, bucket.objects("")), (3, Vec::new()));
    for secret in [SECRET_ACCESS_KEY, "X-Amz-Signature"] {
        assert!(!house.log().contains(secret), "{}", house.log());
    }
    house.sound().await;
}

#[tokio::test]
async fn a_bucket_that_fails_loses_nothing() {
    let bucket = TestBucket::start();
    let endpoint = bucket.endpoint();
    let settings = bucket_settings(&endpoint);
    let more = [("QUEUE__RETRY_DELAY_MS", "100"), ("QUEUE__ATTEMPTS_MAX", "3")];
    let house = House::with(&[&settings[..], &more].concat()).await;
    // The first attempt cannot keep its clip, whose making is repeated; and again what passes is got over.
    bucket.fail(Rule::once("PUT /kinora/media/blobs/", Fault::Status(403)));
    bucket.fail(Rule::times(2, "PUT /kinora/media/blobs/", Fault::Status(503)));
    let id = house.create("kept at last").await;
    let done = house.finished(&id).await;
    assert_eq!(done["status"], "COMPLETED", "{done}");
    assert!(bucket.has_failed_enough());
    assert!(
        house.log().contains("the bucket failed to keep media/blobs/"),
        "{}",
        house.log()
    );

    // An upload that cannot be kept is refused, and nothing is held for it.
    let before = house.get("/credits").await.body;
    bucket.fail(Rule::times(
        u32::MAX,
        "PUT /kinora/media/blobs/",
        Fault::Status(403),
    ));
    let media = Media::make();
    let form = Form::new()
        .text("prompt", "x")
        .part("image_url", media.part("tiny.png"));
    let request = house.request(Method::POST, "/generation/wan/wan-v2.7-video");
    let answer = Answer::to(request.multipart(form)).await;
    assert_eq!(answer.status, 500, "{}", answer.body);
    assert!(
        !answer.text.contains("bucket") && !answer.text.contains("media/"),
        "{}",
        answer.text
    );
    assert_eq!(house.get("/credits").await.body, before);
    house.sound().await;
}

impl House {
    /// A GET that follows no redirect.
    async fn plain(&self, url: &str) -> Response {
        client(Policy::none()).get(url).send().await.expect("an answer")
    }

    /// The URL of a finished video, as it is now.
    async fn renewed(&self, id: &str) -> String {
        let answer = self.get(&format!("/generation/{id}")).await;
        answer.body["data"]["video"]["url"]
            .as_str()
            .expect("a URL")
            .to_owned()
    }
}

fn client(policy: Policy) -> Client {
    Client::builder()
        .no_proxy()
        .redirect(policy)
        .build()
        .expect("a client")
}
