//! Where the bytes are: in the data directory, or in a bucket that any number of machines share.

use std::{ffi::OsString, time::Duration};

use kinora_store::blobs::{BucketOptions, BucketPath, Provider, Redirects};

use super::{MIB, optional, reader::Reader};

/// Where the bytes are.
#[derive(Debug, Clone)]
pub struct BlobsConfig {
    /// The bucket, if there is one.
    pub bucket: Option<BucketOptions>,
    /// About how large the cache of it may grow.
    pub cache_bytes: u64,
}

impl BlobsConfig {
    /// `environment` is all of it: the variables by which the clients of a provider are told its credentials count here, too,
    /// below what our own keys say.
    pub(super) fn read(
        reader: &mut Reader,
        environment: &[(OsString, OsString)],
        grace_ms: u64,
    ) -> BlobsConfig {
        let bucket = reader.text("blobs.url", URL, |text| optional(text, bucket));
        let allow_http = reader.flag("blobs.allow_http");
        let endpoint = |text: &str| optional(text, |text| endpoint(text, allow_http));
        let reached = reader.text("blobs.endpoint", ENDPOINT, endpoint);
        let region = reader.text("blobs.region", "the name of a region, or nothing", |text| {
            optional(text, plain)
        });
        let path_style = reader.flag("blobs.path_style");
        let own = [
            ("access_key_id", reader.hidden("blobs.access_key_id")),
            ("secret_access_key", reader.hidden("blobs.secret_access_key")),
            ("session_token", reader.hidden("blobs.session_token")),
            (
                "google_service_account",
                reader.text(
                    "blobs.service_account",
                    "the path of a file, or nothing",
                    |text| optional(text, |text| Some(text.to_owned())),
                ),
            ),
            (
                "azure_storage_account_name",
                reader.text(
                    "blobs.account",
                    "the name of a storage account, or nothing",
                    |text| optional(text, plain),
                ),
            ),
            ("azure_storage_account_key", reader.hidden("blobs.account_key")),
        ];
        let cache_bytes = reader.number("blobs.cache_mib", 64..=64 * 1024 * 1024) * MIB;
        let redirects = reader.flag("blobs.presigned_redirects");
        let redirect_endpoint = reader.text("blobs.redirect_endpoint", ENDPOINT, endpoint);
        let life_s = reader.number("blobs.redirect_life_s", 60..=7 * 24 * 3600);
        let bucket = bucket.map(|(provider, name, prefix)| {
            let mut options = BucketOptions::new(provider, &name, prefix);
            for (name, value) in environment {
                if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
                    && provider.variables().iter().any(|prefix| name.starts_with(prefix))
                    && provider.knows(&name.to_ascii_lowercase())
                {
                    options.settings.set(name, value);
                }
            }
            for (name, value) in own {
                if let Some(value) = value
                    && belongs(name, provider)
                {
                    options.settings.set(name, &value);
                }
            }
            BucketOptions {
                endpoint: reached,
                region,
                path_style,
                allow_http,
                redirects: redirects.then(|| Redirects {
                    endpoint: redirect_endpoint,
                    life: Duration::from_secs(life_s),
                }),
                grace_ms,
                ..options
            }
        });
        BlobsConfig { bucket, cache_bytes }
    }
}

const URL: &str =
    "s3://bucket/prefix, gs://bucket/prefix or az://container/prefix, the prefix left out or not, or nothing";
const ENDPOINT: &str = "an https:// URL, with blobs.allow_http an http:// one too, or nothing";

/// Which provider a credential of ours is for.
fn belongs(name: &str, provider: Provider) -> bool {
    match provider {
        Provider::S3 => matches!(name, "access_key_id" | "secret_access_key" | "session_token"),
        Provider::Gcs => name.starts_with("google_"),
        Provider::Azure => name.starts_with("azure_"),
    }
}

fn bucket(text: &str) -> Option<(Provider, String, BucketPath)> {
    let (scheme, rest) = text.split_once("://")?;
    let provider = match scheme {
        "s3" => Provider::S3,
        "gs" => Provider::Gcs,
        "az" => Provider::Azure,
        _ => return None,
    };
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 222 || !name.chars().all(is_name) {
        return None;
    }
    Some((provider, name.to_owned(), BucketPath::parse(prefix).ok()?))
}

fn endpoint(text: &str, allow_http: bool) -> Option<String> {
    let rest = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => rest,
        (None, Some(rest)) if allow_http => rest,
        (None, _) => return None,
    };
    let is_plain = !rest.trim_matches('/').is_empty() && !rest.contains([' ', '?', '#', '@', '"']);
    is_plain.then(|| text.trim_end_matches('/').to_owned())
}

fn plain(text: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.chars().all(is_plain).then(|| text.to_owned())
}
