//! What a bucket is told at its opening, and the client of its provider made from that.
//!
//! Nothing is read from the environment here: what applies there is among the settings, put in by the configuration. Only
//! the credentials that a machine itself has (its instance, its pod) are asked for by the client, where it was given none.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    multipart::MultipartStore,
    path::Path as Key,
    signer::Signer,
};
use tokio::runtime::Handle;

use super::{Bucket, BucketError};
use crate::{Result, StoreError};

/// Which bucket, and how to treat it.
#[derive(Debug, Clone)]
pub struct BucketOptions {
    /// Who keeps it.
    pub provider: Provider,
    /// Its name; Azure calls it a container.
    pub name: String,
    /// The folder in it that is ours; empty for all of it.
    pub prefix: Key,
    /// Where its provider is reached, if not where the provider's own are.
    pub endpoint: Option<String>,
    /// The region, where the provider has some.
    pub region: Option<String>,
    /// Whether the name is a part of the path (`https://host/bucket/key`) or of the host (`https://bucket.host/key`).
    pub path_style: bool,
    /// Whether it may be spoken to without TLS.
    pub allow_http: bool,
    /// Credentials, by the names that the provider's clients know them by.
    pub settings: ProviderSettings,
    /// Whether clients are sent there for their downloads.
    pub redirects: Option<Redirects>,
    /// How long a blob stays that nobody refers to: see [`Blobs::sweep`](super::super::Blobs::sweep).
    pub grace_ms: u64,
    /// Larger blobs are sent in parts of this size; at least 5 MiB for S3.
    pub part_bytes: u64,
    /// How long one operation is tried again and again.
    pub patience: Duration,
    /// How long a sweep may take over one blob, and so how long its mark is waited for.
    pub sweep_patience: Duration,
}

/// Who keeps a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// S3 of Amazon, or anybody who speaks it.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

/// Downloads from the bucket itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirects {
    /// Where clients reach the provider, if not at `endpoint`. S3 only.
    pub endpoint: Option<String>,
    /// How long such a URL is good for.
    pub life: Duration,
}

/// Settings by name. What they say is not shown: most of them are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProviderSettings(Vec<(String, String)>);

impl Provider {
    /// Whether its clients know a setting of this name.
    pub fn knows(self, setting: &str) -> bool {
        match self {
            Provider::S3 => AmazonS3ConfigKey::from_str(setting).is_ok(),
            Provider::Gcs => GoogleConfigKey::from_str(setting).is_ok(),
            Provider::Azure => AzureConfigKey::from_str(setting).is_ok(),
        }
    }

    /// How the names of its variables in the environment begin.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Provider::S3 => &["AWS_"],
            Provider::Gcs => &["GOOGLE_"],
            Provider::Azure => &["AZURE_"],
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Provider::S3 => "s3",
            Provider::Gcs => "gs",
            Provider::Azure => "az",
        }
    }
}

impl ProviderSettings {
    /// Adds a setting, in place of an earlier one of this name.
    pub fn set(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value.to_owned()));
    }

    /// The names that are set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn each<K: FromStr>(&self, mut set: impl FnMut(K, &str)) {
        for (name, value) in &self.0 {
            // A name that is not known was not meant for this.
            if let Ok(key) = name.parse() {
                set(key, value);
            }
        }
    }
}

impl fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl BucketOptions {
    /// A bucket with everything as it usually is.
    pub fn new(provider: Provider, name: &str, prefix: Key) -> BucketOptions {
        BucketOptions {
            provider,
            name: name.to_owned(),
            prefix,
            endpoint: None,
            region: None,
            path_style: true,
            allow_http: false,
            settings: ProviderSettings::default(),
            redirects: None,
            grace_ms: 3600 * 1000,
            part_bytes: 8 << 20,
            patience: Duration::from_secs(90),
            sweep_patience: Duration::from_secs(60),
        }
    }

    /// The URL of it, as the configuration has it.
    pub fn url(&self) -> String {
        let separator = if self.prefix.as_ref().is_empty() { "" } else { "/" };
        format!(
            "{}://{}{separator}{}",
            self.provider.as_str(),
            self.name,
            self.prefix
        )
    }

    /// The endpoint with the bucket in it, where the host is to name it.
    fn endpoint_of(&self, endpoint: &str) -> String {
        match (self.path_style, endpoint.split_once("://")) {
            (false, Some((scheme, host))) => format!("{scheme}://{}.{host}", self.name),
            (false, None) | (true, _) => endpoint.to_owned(),
        }
    }

    fn client_options(&self) -> ClientOptions {
        // A part goes through a line of 1 Mbit/s in this time.
        const REQUEST: Duration = Duration::from_secs(90);
        ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_timeout(REQUEST.min(self.patience))
    }

    fn retry(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(10),
                base: 2.0,
            },
            max_retries: 12,
            retry_timeout: self.patience,
        }
    }

    fn s3(&self, endpoint: Option<&String>) -> object_store::Result<Arc<object_store::aws::AmazonS3>> {
        let mut builder = AmazonS3Builder::new();
        self.settings
            .each(|key: AmazonS3ConfigKey, value| builder = builder.clone().with_config(key, value));
        builder = builder
            .with_bucket_name(&self.name)
            .with_virtual_hosted_style_request(!self.path_style)
            .with_client_options(self.client_options())
            .with_retry(self.retry())
            // One object at a time is removed, and not everybody who speaks S3 has the request for many.
            .with_disable_bulk_delete(true);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(self.endpoint_of(endpoint));
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        Ok(Arc::new(builder.build()?))
    }
}

/// One client in each of its roles.
type Roles = (Arc<dyn ObjectStore>, Arc<dyn MultipartStore>, Arc<dyn Signer>);

fn roles<C: ObjectStore + MultipartStore + Signer>(client: Arc<C>) -> Roles {
    (Arc::clone(&client) as _, Arc::clone(&client) as _, client)
}

impl Bucket {
    /// A bucket, of which nothing is asked yet. Within a runtime, which is the one that its requests run on.
    pub(in super::super) fn open(options: BucketOptions) -> Result<Bucket> {
        let wrong = |source: BucketError| StoreError::OpenBucket {
            url: options.url(),
            source: Box::new(source),
        };
        let runtime = Handle::try_current().map_err(|error| wrong(BucketError::new(&error)))?;
        // The process's way to do TLS, where nobody has chosen one yet.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (objects, parts, signer) = connect(&options).map_err(|error| wrong(BucketError::new(&error)))?;
        let redirects = match &options.redirects {
            Some(Redirects {
                endpoint: Some(endpoint),
                life,
            }) if options.provider == Provider::S3 => {
                let public = options.s3(Some(endpoint));
                let public = public.map_err(|error| wrong(BucketError::new(&error)))?;
                Some((public as Arc<dyn Signer>, *life))
            }
            Some(Redirects { endpoint: _, life }) => Some((signer, *life)),
            None => None,
        };
        Ok(Bucket {
            objects,
            parts,
            redirects,
            options,
            runtime,
        })
    }
}

fn connect(options: &BucketOptions) -> object_store::Result<Roles> {
    match options.provider {
        Provider::S3 => Ok(roles(options.s3(options.endpoint.as_ref())?)),
        Provider::Gcs => {
            let mut builder = GoogleCloudStorageBuilder::new();
            let settings = &options.settings;
            settings.each(|key: GoogleConfigKey, value| builder = builder.clone().with_config(key, value));
            builder = builder
                .with_bucket_name(&options.name)
                .with_client_options(options.client_options())
                .with_retry(options.retry());
            if let Some(endpoint) = &options.endpoint {
                builder = builder.with_base_url(endpoint);
            }
            Ok(roles(Arc::new(builder.build()?)))
        }
        Provider::Azure => {
            let mut builder = MicrosoftAzureBuilder::new();
            let settings = &options.settings;
            settings.each(|key: AzureConfigKey, value| builder = builder.clone().with_config(key, value));
            builder = builder
                .with_container_name(&options.name)
                .with_client_options(options.client_options())
                .with_allow_http(options.allow_http)
                .with_retry(options.retry());
            if let Some(endpoint) = &options.endpoint {
                builder = builder.with_endpoint(endpoint.clone());
            }
            Ok(roles(Arc::new(builder.build()?)))
        }
    }
}
