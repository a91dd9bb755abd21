//! The pages for people, as a browser asks for them, and the link of the first start that signs in once.

use reqwest::{Method, header::HeaderMap};
use serde_json::json;

use super::house::{Answer, House};

/// The files of the server that a page names.
fn named_in(page: &str) -> Vec<String> {
    let paths = page.split('"').filter(|part| part.starts_with("/studio/"));
    paths.map(str::to_owned).collect()
}

#[tokio::test]
async fn pages_come_whole_from_this_server() {
    let house = House::start().await;
    for path in ["/studio", "/docs"] {
        let page = Answer::to(house.anonymous(Method::GET, path)).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "no-cache");
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        let known = house
            .anonymous(Method::GET, path)
            .header("if-none-match", page.header("etag"));
        assert_eq!(Answer::to(known).await.status, 304, "{path}");
        let slashed = Answer::to(house.anonymous(Method::GET, &format!("{path}/"))).await;
        assert_eq!(
            (slashed.status, slashed.text == page.text),
            (200, true),
            "{path}/ leads to {path}"
        );

        let files = named_in(&page.text);
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            let plain = Answer::to(house.anonymous(Method::GET, &file)).await;
            assert_eq!(plain.status, 200, "{file}");
            assert_eq!(plain.header("content-encoding"), "", "{file}");
            assert_eq!(
                plain.header("cache-control"),
                "public, max-age=31536000, immutable"
            );
            assert_eq!(plain.header("x-content-type-options"), "nosniff");
            for coding in ["gzip", "br"] {
                let packed = house
                    .anonymous(Method::GET, &file)
                    .header("accept-encoding", coding);
                let packed = packed.send().await.expect("an answer");
                let packing = packed.headers().get("content-encoding").cloned();
                assert_eq!(packed.headers()["vary"], "accept-encoding");
                let bytes = packed.bytes().await.expect("a body");
                match packing {
                    Some(packing) => {
                        assert_eq!(packing, coding, "{file}");
                        assert!(bytes.len() < plain.text.len(), "{file}");
                    }
                    // Packed, a very small file would be larger.
                    None => {
                        assert!(bytes.len() < 1400, "{file}");
                        assert_eq!(bytes, plain.text.as_bytes(), "{file}");
                    }
                }
            }
        }
    }
    let check = async |method, path: &str, expected| {
        let answer = Answer::to(house.anonymous(method, path)).await;
        assert_eq!(answer.status, expected, "{path}");
    };
    check(Method::GET, "/studio/assets/none.js", 404).await;
    check(Method::GET, "/studio/assets/..%2fstudio.html", 404).await;
    check(Method::GET, "/studio/none", 404).await;
    check(Method::POST, "/studio", 405).await;
    check(Method::GET, "/studio/sign-in", 405).await;
}

#[tokio::test]
async fn the_link_of_the_first_start_signs_in_once() {
    let mut house = House::start().await;
    let (page, code) = house
        .studio_url
        .split_once("#start=")
        .expect("a link with a code");
    assert_eq!(page, format!("{}/studio", house.url));
    let code = code.to_owned();
    let check = async |code: &str, headers: &[(&'static str, &str)], expected| {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a value"));
        }
        let request = house
            .anonymous(Method::POST, "/studio/sign-in")
            .json(&json!({"code": code}));
        let answer = Answer::to(request.headers(map)).await;
        let key = answer.body["api_key"].as_str().map(str::to_owned);
        assert_eq!(
            (answer.status, key),
            expected,
            "{code} {headers:?}: {}",
            answer.text
        );
        assert_eq!(answer.status == 200, answer.header("cache-control") == "no-store");
    };
    let refused = || (403, None);
    check("", &[], refused()).await;
    check("00000000000000000000000000000000", &[], refused()).await;
    check(&code, &[("host", "kinora.example")], refused()).await;
    check(&code, &[("host", "127.0.0.1.example:8080")], refused()).await;
    check(&code, &[("sec-fetch-site", "cross-site")], refused()).await;
    check(&code, &[("sec-fetch-site", "same-site")], refused()).await;
    check(&code, &[("content-type", "text/plain")], refused()).await;
    check(
        &code,
        &[("sec-fetch-site", "same-origin")],
        (200, Some(house.key.clone())),
    )
    .await;
    check(&code, &[("sec-fetch-site", "same-origin")], refused()).await;

    house.kill_and_restart(&[]).await;
    let request = house
        .anonymous(Method::POST, "/studio/sign-in")
        .json(&json!({"code": code}));
    assert_eq!(
        Answer::to(request).await.status,
        403,
        "a later start knows no key"
    );
}
