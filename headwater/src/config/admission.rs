//! From the settings to the rules of admission: who may upload what, and from where is imported.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use catalog_api::rates::Rates;
use ingest::gate::{Gate, Open, Tokens};
use ingest::{DocumentRules, ImportRules, Policy, TypePattern};

use super::{Config, Role, accounts};
use crate::webhook::post::Rules;

/// Shorter tokens could be guessed.
const TOKEN_CHARS_MIN: usize = 16;

type Wrong = (&'static str, String);

/// Checks what the types of the values cannot say.
pub(super) fn check(config: &Config) -> Result<(), Wrong> {
    types("upload_types", &config.upload_types)?;
    types("document_types", &config.document_types)?;
    networks("import_networks", &config.import_networks)?;
    networks("webhook_networks", &config.webhook_networks)?;
    ports(config)?;
    let mut names = HashSet::new();
    for (name, _) in tokens(config)? {
        // Accounts own what they upload by such names.
        if name.starts_with("usr_") {
            return Err(("upload_tokens", format!("names \"{name}\", which could be taken for an account")));
        }
        if !names.insert(name) {
            return Err(("upload_tokens", format!("names \"{name}\" twice")));
        }
    }
    Ok(())
}

fn types(key: &'static str, texts: &[String]) -> Result<Vec<TypePattern>, Wrong> {
    let types = texts.iter().map(|text| text.parse::<TypePattern>());
    types.collect::<Result<_, _>>().map_err(|error| (key, format!("holds no media type: {error}")))
}

pub(super) fn tokens(config: &Config) -> Result<Vec<(&str, &str)>, Wrong> {
    let split = |text: &'_ String| -> Option<(usize, usize)> {
        let at = text.find(':')?;
        (at > 0 && text.len() - at > TOKEN_CHARS_MIN).then_some((at, at + 1))
    };
    // The problem must not show the token.
    let wrong =
        || ("upload_tokens", format!("must hold name:token, each token of {TOKEN_CHARS_MIN} characters or more"));
    let each = |text| split(text).map(|(end, start)| (&text[..end], &text[start..])).ok_or_else(wrong);
    config.upload_tokens.iter().map(each).collect()
}

fn networks(key: &'static str, texts: &[String]) -> Result<Vec<ipnet::IpNet>, Wrong> {
    let network = |text: &String| {
        let wrong = || (key, format!("must hold networks such as 10.1.0.0/16, not \"{text}\""));
        text.trim().parse().map_err(|_| wrong())
    };
    texts.iter().map(network).collect()
}

fn ports(config: &Config) -> Result<Vec<u16>, Wrong> {
    let port = |text: &String| {
        let wrong = || ("webhook_ports", format!("must hold ports such as 8443, not \"{text}\""));
        text.trim().parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)
    };
    config.webhook_ports.iter().map(port).collect()
}

impl Config {
    /// Who is asked whether somebody may upload, on a server without accounts.
    pub fn gate(&self) -> Arc<dyn Gate> {
        let tokens = tokens(self).unwrap_or_default();
        if tokens.is_empty() {
            return Arc::new(Open);
        }
        Arc::new(Tokens::new(tokens.into_iter().map(|(name, token)| (name.to_owned(), token.to_owned()))))
    }

    /// What may be uploaded, and how much.
    pub fn admission(&self) -> Policy {
        let some = |bound: u64| (bound > 0).then_some(bound);
        Policy {
            types: types("upload_types", &self.upload_types).unwrap_or_default(),
            documents: DocumentRules {
                types: types("document_types", &self.document_types).unwrap_or_default(),
                bytes_max: self.document_size_max,
                count_max: self.documents_max,
            },
            quota_bytes: some(self.upload_quota_bytes),
            open_uploads_max: some(self.upload_open_max),
            disk_reserve_bytes: self.disk_reserve_bytes,
            rate_min: self.upload_rate_min,
            source: self.source_limits(),
            encode_ahead: self.encodes_ahead(),
            has_review: self.review,
            ..Policy::default()
        }
    }

    /// How often the API may be asked.
    pub(crate) fn rates(&self) -> Rates {
        Rates::new(self.api_requests_per_minute, accounts::proxies(self).unwrap_or_default())
    }

    /// Unfinished uploads are encoded as far as they are there: they can be read only where they are taken.
    pub fn encodes_ahead(&self) -> bool {
        self.encode_ahead_s > 0 && self.has(Role::Ingest) && self.has(Role::Worker)
    }

    /// Where messages of webhooks may be sent.
    pub(crate) fn webhook_rules(&self) -> Rules {
        let networks = networks("webhook_networks", &self.webhook_networks).unwrap_or_default();
        Rules { networks, ports: ports(self).unwrap_or_default(), timeout: None }
    }

    /// From where files are imported.
    pub fn imports(&self) -> ImportRules {
        ImportRules {
            networks: networks("import_networks", &self.import_networks).unwrap_or_default(),
            at_once_max: usize::try_from(self.imports_max).unwrap_or(1),
            of_one_max: usize::try_from(self.imports_of_one_max).unwrap_or(1),
            rate_min: self.import_rate_min,
            time_max: Duration::from_secs(self.import_time_s_max.into()),
            ..ImportRules::default()
        }
    }
}
