//! Where the store lies, read from a URL.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::multipart::MultipartStore;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use url::Url;

use crate::StoreError;

/// Time without an octet after which an S3 request is given up and repeated.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time to open a connection to the S3 server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Repetitions of one failed S3 request.
const REQUEST_RETRIES: usize = 4;
/// Time over which one S3 request may be repeated.
const RETRY_TIMEOUT: Duration = Duration::from_secs(90);

/// Where objects are kept.
#[derive(Clone)]
pub struct StoreConfig {
    /// `file:///absolute/folder`, or `s3://bucket[/prefix][?endpoint=http://host:port&region=name]`.
    ///
    /// With an endpoint, buckets are addressed in the path; without one it is Amazon's S3.
    pub url: String,
    /// Access key of the bucket.
    pub access_key: Option<String>,
    /// Secret key of the bucket.
    pub secret_key: Option<String>,
    /// A local folder for sources fetched from a bucket; created when it is missing.
    pub scratch: PathBuf,
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StoreConfig { url, scratch, .. } = self;
        f.debug_struct("StoreConfig").field("url", url).field("scratch", scratch).finish_non_exhaustive()
    }
}

/// A URL, understood.
pub(crate) enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket, with the prefix applied: seen as objects, and as parts of objects.
    Bucket {
        /// Whole objects.
        objects: Arc<dyn ObjectStore>,
        /// Objects in the making.
        parts: Arc<dyn MultipartStore>,
    },
}

/// Understands the URL of `config`; nothing is contacted.
pub(crate) fn place(config: &StoreConfig) -> Result<Place, StoreError> {
    let refused = |reason: &str| StoreError::Config { reason: reason.into() };
    let url = Url::parse(&config.url).map_err(|error| StoreError::Config { reason: error.to_string() })?;
    match url.scheme() {
        "file" => {
            let is_plain = url.query().is_none() && url.fragment().is_none();
            let folder = url.to_file_path().ok().filter(|path| is_plain && path.is_absolute());
            folder.map(Place::Folder).ok_or_else(|| refused("expected file:///absolute/folder"))
        }
        "s3" => bucket(&url, config),
        _ => Err(refused("expected file:///absolute/folder or s3://bucket/prefix")),
    }
}

fn bucket(url: &Url, config: &StoreConfig) -> Result<Place, StoreError> {
    let refused = |reason: String| StoreError::Config { reason };
    let name = url.host_str().ok_or_else(|| refused("expected s3://bucket".into()))?;
    // No limit on a whole request: the body of a source may take hours.
    let client = ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(SILENCE_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT);
    let mut builder =
        AmazonS3Builder::new().with_bucket_name(name).with_region("us-east-1").with_client_options(client).with_retry(
            RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: REQUEST_RETRIES,
                retry_timeout: RETRY_TIMEOUT,
            },
        );
    for (option, value) in url.query_pairs() {
        builder = match option.as_ref() {
            "endpoint" => {
                let is_http = value.starts_with("http://");
                builder.with_endpoint(value).with_allow_http(is_http).with_virtual_hosted_style_request(false)
            }
            "region" => builder.with_region(value),
            other => return Err(refused(format!("unknown option \"{other}\"; known are endpoint and region"))),
        };
    }
    match (&config.access_key, &config.secret_key) {
        (Some(access), Some(secret)) => {
            builder = builder.with_access_key_id(access).with_secret_access_key(secret);
        }
        (None, None) => {}
        _ => return Err(refused("access key and secret key go together".into())),
    }
    let store = builder.build().map_err(|error| refused(error.to_string()))?;
    let prefix = object_store::path::Path::from_url_path(url.path()).map_err(|error| refused(error.to_string()))?;
    let store = Arc::new(PrefixStore::new(store, prefix));
    Ok(Place::Bucket { objects: store.clone(), parts: store })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<Place, StoreError> {
        let (access_key, secret_key) = (Some("access".into()), Some("secret".into()));
        place(&StoreConfig { url: url.into(), access_key, secret_key, scratch: PathBuf::new() })
    }

    #[test]
    fn folders_and_buckets_are_understood() {
        assert!(matches!(check("file:///srv/media"), Ok(Place::Folder(folder)) if folder == *"/srv/media"));
        assert!(matches!(check("s3://bkt/a/b?endpoint=http://127.0.0.1:3900&region=garage"), Ok(Place::Bucket { .. })));
        assert!(matches!(check("s3://bkt"), Ok(Place::Bucket { .. })));
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for url in ["", "/srv/media", "http://host/", "s3://", "s3://bkt?endpiont=x", "file:///srv?x=y"] {
            assert!(matches!(check(url), Err(StoreError::Config { .. })), "{url:?}");
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let config = StoreConfig {
            url: "s3://bkt".into(),
            access_key: Some("AKIA".into()),
            secret_key: Some("hush".into()),
            scratch: PathBuf::new(),
        };
        assert!(!format!("{config:?}").contains("hush"));
    }
}
