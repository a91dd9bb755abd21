//! The bytes of servers whose media are in a bucket, looked at beside them.

use std::path::Path;

use kinora_domain::{Artifact, GenerationId};
use kinora_store::{
    Store,
    blobs::{Blobs, BlobsOptions, BucketOptions, BucketPath, Provider},
};
use kinora_testbucket::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, TestBucket};

/// What a server is told of a bucket at this endpoint.
pub(crate) fn bucket_settings(endpoint: &str) -> [(&'static str, &str); 5] {
    [
        ("BLOBS__URL", "s3://kinora/media"),
        ("BLOBS__ENDPOINT", endpoint),
        ("BLOBS__ALLOW_HTTP", "true"),
        ("BLOBS__ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("BLOBS__SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
    ]
}

/// The bucket as such a server sees it, with its cache in a folder that outlives this.
pub(crate) fn blobs_in(bucket: &TestBucket, cache: &Path) -> Blobs {
    let mut options = BucketOptions::new(Provider::S3, BUCKET, BucketPath::from("media"));
    options.settings.set("access_key_id", ACCESS_KEY_ID);
    options.settings.set("secret_access_key", SECRET_ACCESS_KEY);
    options.endpoint = Some(bucket.endpoint());
    options.allow_http = true;
    let options = BlobsOptions {
        crash: None,
        bucket: Some(options),
        cache_bytes: 1 << 30,
    };
    Blobs::open_with(cache, options).expect("the blobs open")
}

/// A result has its bytes.
pub(crate) async fn assert_whole(blobs: &Blobs, id: GenerationId, artifacts: &[Artifact]) {
    for artifact in artifacts {
        for (what, blob) in [("clip", artifact.video), ("poster", artifact.poster)] {
            assert!(
                blobs.exists(blob).await.expect("an answer"),
                "the {what} of {id} is gone"
            );
        }
    }
}

/// Every object of the bucket is referred to, and no upload in parts goes on.
pub(crate) async fn assert_nothing_left_over(bucket: &TestBucket, store: &dyn Store) {
    for object in bucket.objects("") {
        let hash = object
            .strip_prefix("media/blobs/")
            .expect("a blob")
            .replace('/', "");
        let hash = hash.parse().expect("a hash");
        assert!(
            store.is_referenced(hash).await.expect("an answer"),
            "{object} is left over"
        );
    }
    assert_eq!(bucket.parts(), 0, "parts of uploads are left over");
}
