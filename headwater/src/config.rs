//! The configuration: file < environment < flags, merged over the table of keys and checked once.
//!
//! Every key stands in [`KEYS`] with its kind, default and meaning; the reference page, the sample
//! file, the environment names and the refusal of unknown keys all come from there.

mod access;
mod accounts;
mod admission;
mod edge;
mod keys;
mod oidc;
mod purge;
mod reference;
mod sources;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::complexity::LadderProbe;
use domain::{Codec, ExtraCodec};
use serde::{Deserialize, Serialize};

pub use access::AccessError;
pub(crate) use access::read_keys;
pub use accounts::{AccessMode, JwtAlgorithm, Registration};
pub use keys::{KEYS, Key, Kind, nearest};
pub(crate) use reference::without_password;
pub use reference::{effective, reference, sample};
pub use sources::{Sources, load, merge};

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key that no setting has.
    #[error("{origin}: unknown key \"{key}\"{}", hint(nearest.as_deref()))]
    Unknown {
        /// Where it stands: the file, the environment variable or the flag.
        origin: String,
        /// The key as written.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong kind or outside its range.
    #[error("{origin}: {key} {problem}")]
    Invalid {
        /// Where it stands.
        origin: String,
        /// The key.
        key: String,
        /// What is wrong, beginning with a verb.
        problem: String,
    },
    /// The file is missing or not readable.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's words, with line and column.
        message: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |known| format!("; did you mean \"{known}\"?"))
}

/// What a server process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes uploads.
    Ingest,
    /// Turns sources into segments.
    Worker,
    /// Serves playlists, segments and pictures.
    Origin,
    /// Answers the catalogue API and shows the web pages.
    Api,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One line of text per event, for people.
    Text,
    /// One JSON object per event, for collectors.
    Json,
}

/// When uploaded octets are flushed to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadSync {
    /// While they arrive, and at the end of each request.
    Interval,
    /// At the end of each request.
    End,
    /// When the operating system likes.
    None,
}

/// Most heavy jobs at once.
const HEAVY_LANES_MAX: usize = 256;

/// The whole configuration, checked. Field names are the keys; [`KEYS`] says what each means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table of keys documents each, and the reference page is made from it")]
pub struct Config {
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub listen_reuse_port: bool,
    pub roles: Vec<Role>,
    pub database_url: String,
    pub storage_url: String,
    pub storage_access_key: String,
    pub storage_secret_key: String,
    pub secret_key: String,
    pub secret_key_file: PathBuf,
    pub previous_secret_keys: Vec<String>,
    pub log: String,
    pub log_format: LogFormat,
    pub shutdown_deadline_s: u32,
    pub connections_max: u32,
    pub origin_cache_bytes: u64,
    pub header_timeout_s: u32,
    pub idle_timeout_s: u32,
    pub connections_per_address_max: u32,
    pub drain_rate_min: u64,
    pub tls_listen: String,
    pub tls_cert: PathBuf,
    pub tls_key: PathBuf,
    pub tls_client_ca: PathBuf,
    pub token_keys: Vec<String>,
    pub token_keys_file: PathBuf,
    pub akamai_keys: Vec<String>,
    pub akamai_salt: String,
    pub cloudfront_keys: Vec<String>,
    pub mux_keys: Vec<String>,
    pub content_key_secrets: Vec<String>,
    pub steering_pathways: Vec<String>,
    pub steering_ttl_s: u32,
    pub origin_secrets: Vec<String>,
    pub origin_secret_header: String,
    pub g2o_keys: Vec<String>,
    pub upstream: String,
    pub upstream_secret: String,
    pub purge_targets: Vec<String>,
    pub purge_soft: bool,
    pub purge_secret: String,
    pub purge_fastly_token: String,
    pub purge_cloudflare_token: String,
    pub purge_akamai_credentials: String,
    pub access: AccessMode,
    pub public_url: String,
    pub api_origins: Vec<String>,
    pub registration: Registration,
    pub jwt_algorithm: JwtAlgorithm,
    pub smtp_url: String,
    pub mail_from: String,
    pub digest_time: String,
    pub trusted_proxies: Vec<String>,
    pub api_requests_per_minute: u32,
    pub oidc_providers: Vec<String>,
    pub oidc_secrets: Vec<String>,
    pub oidc_scopes: String,
    pub oidc_registration: Vec<String>,
    pub oidc_roles: Vec<String>,
    pub upload_size_max: u64,
    pub upload_sync: UploadSync,
    pub upload_expiry_s: u32,
    pub bin_retention_days: u32,
    pub keep_versions: u32,
    pub review: bool,
    pub upload_types: Vec<String>,
    pub document_types: Vec<String>,
    pub document_size_max: u64,
    pub documents_max: u32,
    pub upload_tokens: Vec<String>,
    pub upload_quota_bytes: u64,
    pub upload_open_max: u64,
    pub upload_rate_min: u64,
    pub disk_reserve_bytes: u64,
    pub webhook_networks: Vec<String>,
    pub webhook_ports: Vec<String>,
    pub import_networks: Vec<String>,
    pub imports_max: u32,
    pub imports_of_one_max: u32,
    pub import_rate_min: u64,
    pub import_time_s_max: u32,
    pub source_duration_s_max: u32,
    pub source_pixels_max: u64,
    pub audio_tracks_max: u32,
    pub subtitle_tracks_max: u32,
    pub urgent_lanes: u32,
    pub heavy_lanes: u32,
    pub light_lanes: u32,
    pub encoding_memory_bytes: u64,
    pub encoding_cores: u32,
    pub lease_s: u32,
    pub retire_after_s: u32,
    pub encode_ahead_s: u32,
    pub x264_preset: String,
    pub x264_crf: u8,
    pub passthrough: bool,
    pub ladder_probe: LadderProbe,
    pub per_title_db: u8,
    pub loudness_target_lufs: i8,
    pub codecs: Vec<Codec>,
    pub x265_preset: String,
    pub x265_crf: u8,
    pub svtav1_preset: u8,
    pub svtav1_crf: u8,
    pub audio_bitrate: u64,
    pub surround_bitrate: u64,
}

impl Config {
    /// True if this process plays `role`.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Address of the database: the setting, else SQLite in the data folder.
    pub fn database_address(&self, data_dir: &Path) -> String {
        if self.database_url.is_empty() {
            address("sqlite", &crate::data_dir::Layout::below(data_dir).database)
        } else {
            self.database_url.clone()
        }
    }

    /// Where the key to the secrets in the database lies, unless it is a setting.
    pub(crate) fn secret_key_path(&self, data_dir: &Path) -> PathBuf {
        match self.secret_key_file.as_os_str().is_empty() {
            true => crate::data_dir::Layout::below(data_dir).secret_key,
            false => self.secret_key_file.clone(),
        }
    }

    /// Address of the object store: the setting, else a folder in the data folder.
    pub fn storage_address(&self, data_dir: &Path) -> String {
        if self.storage_url.is_empty() {
            address("file", &crate::data_dir::Layout::below(data_dir).media)
        } else {
            self.storage_url.clone()
        }
    }

    /// How long a soft stop may take.
    pub fn shutdown_deadline(&self) -> Duration {
        Duration::from_secs(u64::from(self.shutdown_deadline_s))
    }

    /// The bounds of the listener.
    pub fn connection_limits(&self) -> crate::http::Limits {
        crate::http::Limits {
            connections_max: usize::try_from(self.connections_max).unwrap_or(usize::MAX),
            connections_of_one_max: usize::try_from(self.connections_per_address_max).unwrap_or(usize::MAX),
            header_timeout: Duration::from_secs(self.header_timeout_s.into()),
            idle_timeout: Duration::from_secs(self.idle_timeout_s.into()),
            drain_rate_min: self.drain_rate_min,
            ..crate::http::Limits::default()
        }
    }

    /// How long a worker keeps a job without renewing its lease.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(u64::from(self.lease_s))
    }

    /// How long an output that was replaced is kept for players which began with it.
    pub fn retire_after(&self) -> Duration {
        Duration::from_secs(u64::from(self.retire_after_s))
    }

    /// How many heavy jobs run at once at most: the setting, else as many as there are processors. Fewer do if they
    /// need more than there is.
    pub fn heavy_lane_count(&self) -> usize {
        let lanes = if self.heavy_lanes == 0 { crate::machine::processors() } else { self.heavy_lanes };
        usize::try_from(lanes).unwrap_or(1).clamp(1, HEAVY_LANES_MAX)
    }

    /// What a source may hold.
    pub fn source_limits(&self) -> domain::plan::Limits {
        domain::plan::Limits {
            duration_s_max: self.source_duration_s_max,
            pixels_max: self.source_pixels_max,
            audio_tracks_max: usize::try_from(self.audio_tracks_max).unwrap_or(usize::MAX),
            subtitle_tracks_max: usize::try_from(self.subtitle_tracks_max).unwrap_or(usize::MAX),
        }
    }

    /// The bounds of every upload.
    pub fn upload_limits(&self) -> ingest::Limits {
        let sync = match self.upload_sync {
            UploadSync::Interval => ingest::SyncPolicy::Interval,
            UploadSync::End => ingest::SyncPolicy::End,
            UploadSync::None => ingest::SyncPolicy::None,
        };
        let expiry = (self.upload_expiry_s > 0).then(|| Duration::from_secs(self.upload_expiry_s.into()));
        ingest::Limits { size_max: self.upload_size_max, sync, expiry, ..ingest::Limits::default() }
    }

    /// How long what is deleted lies in the bin; `None` if there is none.
    pub fn bin_retention(&self) -> Option<Duration> {
        (self.bin_retention_days > 0).then(|| Duration::from_secs(u64::from(self.bin_retention_days) * 86_400))
    }

    /// How a codec besides H.264 is encoded.
    fn extra_codec(&self, codec: Codec) -> Option<ExtraCodec> {
        match codec {
            Codec::H264 => None,
            Codec::Hevc => Some(ExtraCodec { codec, preset: self.x265_preset.clone(), crf: self.x265_crf }),
            Codec::Av1 => Some(ExtraCodec { codec, preset: self.svtav1_preset.to_string(), crf: self.svtav1_crf }),
        }
    }

    /// The encoder settings of new generations.
    pub fn recipe(&self) -> domain::Recipe {
        domain::Recipe {
            preset: self.x264_preset.clone(),
            crf: self.x264_crf,
            passthrough: self.passthrough,
            audio_passthrough: self.passthrough,
            ladder_probe: self.ladder_probe,
            per_title_db: (self.per_title_db > 0).then_some(self.per_title_db),
            loudness_target_lufs: (self.loudness_target_lufs != 0).then_some(self.loudness_target_lufs),
            extra_codecs: self.codecs.iter().filter_map(|codec| self.extra_codec(*codec)).collect(),
            audio_bitrate: domain::Bitrate(self.audio_bitrate),
            surround_bitrate: domain::Bitrate(self.surround_bitrate),
            ..domain::Recipe::default()
        }
    }

    /// Checks that keys are long enough, without showing them.
    fn check_secret_keys(&self) -> Result<(), (&'static str, String)> {
        let is_short = |key: &str| catalog_store::SecretKeys::new(key, []).is_err();
        let wrong = |name| Err((name, catalog_store::WeakKey.to_string().replace("a key has", "must have")));
        match self {
            config if !config.secret_key.is_empty() && is_short(&config.secret_key) => wrong("secret_key"),
            config if config.previous_secret_keys.iter().any(|key| is_short(key)) => wrong("previous_secret_keys"),
            _ => Ok(()),
        }
    }

    /// Checks what the type of a value cannot say.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let in_range = |key: &'static str, value: u64, min: u64, max: u64| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err((key, format!("must lie between {min} and {max}, not {value}")))
            }
        };
        if self.roles.is_empty() {
            return Err(("roles", "must name at least one role".into()));
        }
        in_range("shutdown_deadline_s", self.shutdown_deadline_s.into(), 0, 3600)?;
        in_range("connections_max", self.connections_max.into(), 1, 100_000)?;
        in_range("header_timeout_s", self.header_timeout_s.into(), 1, 600)?;
        in_range("upload_size_max", self.upload_size_max, 1, 1 << 50)?;
        in_range("upload_rate_min", self.upload_rate_min, 0, 1 << 30)?;
        in_range("idle_timeout_s", self.idle_timeout_s.into(), 1, 3600)?;
        in_range("connections_per_address_max", self.connections_per_address_max.into(), 0, 100_000)?;
        in_range("drain_rate_min", self.drain_rate_min, 0, 1 << 30)?;
        in_range("origin_cache_bytes", self.origin_cache_bytes, 0, 1 << 40)?;
        in_range("keep_versions", self.keep_versions.into(), 1, catalog_store::versions::VERSIONS_KEPT_MAX.into())?;
        in_range("document_size_max", self.document_size_max, 1, domain::document::BYTES_MAX)?;
        in_range("documents_max", self.documents_max.into(), 0, domain::document::COUNT_MAX.into())?;
        let most = catalog_api::rates::PER_MINUTE_MAX;
        in_range("api_requests_per_minute", self.api_requests_per_minute.into(), 0, most.into())?;
        in_range("imports_max", self.imports_max.into(), 1, 256)?;
        in_range("imports_of_one_max", self.imports_of_one_max.into(), 1, 256)?;
        in_range("import_rate_min", self.import_rate_min, 0, 1 << 30)?;
        in_range("import_time_s_max", self.import_time_s_max.into(), 1, 30 * 86_400)?;
        in_range("source_pixels_max", self.source_pixels_max, 1, 1 << 40)?;
        in_range("source_duration_s_max", self.source_duration_s_max.into(), 1, 7 * 86_400)?;
        in_range("audio_tracks_max", self.audio_tracks_max.into(), 1, 64)?;
        in_range("subtitle_tracks_max", self.subtitle_tracks_max.into(), 0, 128)?;
        in_range("urgent_lanes", self.urgent_lanes.into(), 1, 256)?;
        in_range("heavy_lanes", self.heavy_lanes.into(), 0, 256)?;
        in_range("encoding_cores", self.encoding_cores.into(), 0, 4096)?;
        in_range("light_lanes", self.light_lanes.into(), 1, 256)?;
        in_range("lease_s", self.lease_s.into(), 5, 3600)?;
        in_range("retire_after_s", self.retire_after_s.into(), 60, 30 * 86_400)?;
        in_range("encode_ahead_s", self.encode_ahead_s.into(), 0, 7 * 86_400)?;
        in_range("x264_crf", self.x264_crf.into(), 10, 40)?;
        if self.per_title_db != 0 {
            let targets = domain::per_title::TARGETS_DB;
            in_range("per_title_db", self.per_title_db.into(), (*targets.start()).into(), (*targets.end()).into())?;
        }
        let (target, targets) = (self.loudness_target_lufs, domain::loudness::TARGETS_LUFS);
        if target != 0 && !targets.contains(&target) {
            let (min, max) = (targets.start(), targets.end());
            return Err(("loudness_target_lufs", format!("must lie between {min} and {max}, or be 0, not {target}")));
        }
        in_range("audio_bitrate", self.audio_bitrate, 32_000, 512_000)?;
        in_range("surround_bitrate", self.surround_bitrate, 96_000, 1_024_000)?;
        in_range("x265_crf", self.x265_crf.into(), 10, 45)?;
        in_range("svtav1_preset", self.svtav1_preset.into(), 4, 12)?;
        in_range("svtav1_crf", self.svtav1_crf.into(), 10, 60)?;
        for (key, preset) in [("x264_preset", &self.x264_preset), ("x265_preset", &self.x265_preset)] {
            if !keys::PRESETS.contains(&preset.as_str()) {
                return Err((key, format!("must be one of {}", keys::PRESETS.join(", "))));
            }
        }
        if self.codecs.first() != Some(&Codec::H264) {
            return Err(("codecs", "must begin with h264, which every player can show".into()));
        }
        if (1..self.codecs.len()).any(|at| self.codecs[..at].contains(&self.codecs[at])) {
            return Err(("codecs", "must name each codec once".into()));
        }
        accounts::check(self)?;
        oidc::check(self)?;
        self.check_secret_keys()?;
        admission::check(self)?;
        access::check(self)?;
        edge::check(self)?;
        purge::check(self)?;
        check_scheme("database_url", &self.database_url, &["sqlite://", "postgres://", "postgresql://"])?;
        check_scheme("storage_url", &self.storage_url, &["file:///", "s3://"])
    }
}

/// A local path as a URL of this scheme; blanks and umlauts are percent-encoded.
pub(crate) fn address(scheme: &str, path: &Path) -> String {
    let encoded =
        url::Url::from_file_path(path).map_or_else(|()| path.display().to_string(), |url| url.path().to_owned());
    format!("{scheme}://{encoded}")
}

fn check_scheme(key: &'static str, url: &str, schemes: &[&str]) -> Result<(), (&'static str, String)> {
    if url.is_empty() || schemes.iter().any(|scheme| url.starts_with(scheme)) {
        Ok(())
    } else {
        Err((key, format!("must begin with {}", schemes.join(" or "))))
    }
}

#[cfg(test)]
mod tests;
