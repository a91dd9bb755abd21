//! What the tests on buckets share.

use std::time::Duration;

use kinora_store::blobs::{BucketOptions, BucketPath, Provider};
use kinora_testbucket::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, TestBucket};

/// How a test reaches its bucket: below a prefix, and without much patience.
pub(crate) fn bucket_options(bucket: &TestBucket) -> BucketOptions {
    let mut options = BucketOptions::new(Provider::S3, BUCKET, BucketPath::from("media"));
    options.settings.set("access_key_id", ACCESS_KEY_ID);
    options.settings.set("secret_access_key", SECRET_ACCESS_KEY);
    BucketOptions {
        endpoint: Some(bucket.endpoint()),
        allow_http: true,
        part_bytes: 5 << 20,
        patience: Duration::from_secs(3),
        sweep_patience: Duration::from_secs(2),
        ..options
    }
}
