//! A database that goes away under a running server, and comes back.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::{
    house::{Answer, House},
    postgres_server::Server,
};

/// Every answer is one that clients take as passing and try again, with the time after which to do so.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_a_503_until_it_is_back() {
    let mut database = Server::start().expect("a PostgreSQL");
    let url = database.url();
    let house = House::with(&[("DATA__DATABASE", url.as_str()), ("WORKER__SLOTS", "0")]).await;
    let id = house.create("before").await;
    database.crash();

    let body = json!({"prompt": "meanwhile", "duration": 2, "resolution": "720p"});
    let ask = || async {
        let answers = [
            house.get("/credits").await,
            house.get(&format!("/generation/{id}")).await,
            house.post("/generation/wan/wan-v2.7-video", &body).await,
            house.post(&format!("/generation/{id}/cancel"), &json!({})).await,
        ];
        for answer in answers {
            let code = answer.body["code"].as_str();
            assert_eq!(
                (answer.status, code),
                (503, Some("VIDEO_GENERATION_PROVIDER_UNAVAILABLE")),
                "{}",
                answer.body
            );
            assert_eq!(answer.header("retry-after"), "5");
        }
    };
    // The first waits whether it is only restarted, the others do not wait as long anew.
    let began = Instant::now();
    ask().await;
    assert!(began.elapsed() < Duration::from_secs(18), "{:?}", began.elapsed());
    let began = Instant::now();
    ask().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let openai = Answer::to(house.request(Method::GET, &format!("//v1/videos/{id}"))).await;
    assert_eq!(openai.status, 503, "{}", openai.body);
    let ready = Answer::to(house.anonymous(Method::GET, "readyz")).await;
    assert_eq!(ready.status, 503);
    let alive = Answer::to(house.anonymous(Method::GET, "healthz")).await;
    assert_eq!(alive.status, 200);

    // Each of a node's connections has been lost, and none is told of it: so many questions at once that all are used.
    database.run().expect("PostgreSQL again");
    let path = format!("/generation/{id}");
    for answer in join_all((0..32).map(|_| house.get(&path))).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    house.create("afterwards").await;
    assert_eq!(
        Answer::to(house.anonymous(Method::GET, "readyz")).await.status,
        200
    );
    house.sound().await;
}
