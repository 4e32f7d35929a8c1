//! From the settings to how accounts are kept, and to whether there are any.

use std::path::Path;

use catalog_api::{Algorithm, DigestTime, MailRoute, Settings};
use serde::{Deserialize, Serialize};

use super::{Config, admission};
use crate::http::{Strangers, cors};

type Wrong = (&'static str, String);

/// Who may use the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessMode {
    /// Everybody while only this machine can reach it, else those with accounts.
    Auto,
    /// Everybody.
    Open,
    /// Those with accounts.
    Accounts,
}

/// Who makes accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Everybody for themselves.
    Open,
    /// Administrators.
    Closed,
}

/// How access tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JwtAlgorithm {
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSA with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

/// Checks what the types of the values cannot say.
pub(super) fn check(config: &Config) -> Result<(), Wrong> {
    let is_origin = |url: &str| {
        url::Url::parse(url)
            .is_ok_and(|parsed| parsed.origin().is_tuple() && parsed.origin().ascii_serialization() == url)
    };
    if !config.public_url.is_empty() && !is_origin(&config.public_url) {
        return Err(("public_url", "must be a scheme and a host, such as https://media.example.org".into()));
    }
    if let Some(other) = config.api_origins.iter().find(|origin| *origin != cors::ANY && !is_origin(origin)) {
        let told = format!("must hold origins such as https://app.example.org, or *, not {other:?}");
        return Err(("api_origins", told));
    }
    if !config.smtp_url.is_empty() && !["smtp://", "smtps://"].iter().any(|scheme| config.smtp_url.starts_with(scheme))
    {
        // The problem must not show the password.
        return Err(("smtp_url", "must begin with smtps:// or smtp://".into()));
    }
    proxies(config)?;
    digest(config)?;
    Ok(())
}

pub(super) fn proxies(config: &Config) -> Result<Vec<ipnet::IpNet>, Wrong> {
    let network = |text: &String| {
        let wrong = || ("trusted_proxies", format!("must hold networks such as 10.1.0.0/16, not \"{text}\""));
        text.trim().parse().map_err(|_| wrong())
    };
    config.trusted_proxies.iter().map(network).collect()
}

/// The time of the letters of the week.
fn digest(config: &Config) -> Result<Option<DigestTime>, Wrong> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let text = config.digest_time.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let read = || {
        let (day, time) = text.split_once(' ')?;
        let (hour, minute) = time.trim().split_once(':')?;
        let day = DAYS.iter().position(|known| known.eq_ignore_ascii_case(day))?;
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
        (hour < 24 && minute < 60).then_some(DigestTime { day: u8::try_from(day).ok()?, minute: hour * 60 + minute })
    };
    let wrong = || ("digest_time", format!("must be a day and a time such as mon 09:00, not \"{text}\""));
    read().map(Some).ok_or_else(wrong)
}

impl Config {
    /// When letters of the week are written; `None` for never.
    pub(crate) fn digest_time(&self) -> Option<DigestTime> {
        digest(self).ok().flatten()
    }

    /// True if only this machine can reach the server.
    pub fn is_local(&self) -> bool {
        let tls = self.tls_listen.parse::<std::net::SocketAddr>().ok();
        self.listen.ip().to_canonical().is_loopback()
            && tls.is_none_or(|address| address.ip().to_canonical().is_loopback())
    }

    /// What the server goes by when browsers ask, where nobody is asked for a name.
    pub(crate) fn strangers(&self) -> Option<Strangers> {
        (!self.has_accounts()).then(|| Strangers {
            public_url: Some(self.public_url.clone()).filter(|url| !url.is_empty()),
            origins: self.api_origins.clone(),
            is_local: self.is_local(),
        })
    }

    /// True if people reach the server over TLS, whoever ends it.
    pub(crate) fn is_behind_tls(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// True if the server asks who somebody is.
    pub fn has_accounts(&self) -> bool {
        match self.access {
            AccessMode::Open => false,
            AccessMode::Accounts => true,
            AccessMode::Auto => !self.is_local(),
        }
    }

    /// How accounts are kept; letters go below `data_dir` where no mail server is named.
    pub fn account_settings(&self, data_dir: &Path) -> Settings {
        let tokens = admission::tokens(self).unwrap_or_default();
        Settings {
            algorithm: match self.jwt_algorithm {
                JwtAlgorithm::EdDsa => Algorithm::EdDsa,
                JwtAlgorithm::Rs256 => Algorithm::Rs256,
            },
            is_registration_open: self.registration == Registration::Open,
            public_url: Some(self.public_url.clone()).filter(|url| !url.is_empty()),
            mail: match self.smtp_url.as_str() {
                "" => MailRoute::Folder(crate::data_dir::Layout::below(data_dir).mail),
                url => MailRoute::Smtp(url.to_owned()),
            },
            mail_from: self.mail_from.clone(),
            tokens: tokens.into_iter().map(|(name, token)| (name.to_owned(), token.to_owned())).collect(),
            proxies: proxies(self).unwrap_or_default(),
            oidc: self.oidc().unwrap_or_default(),
        }
    }
}
