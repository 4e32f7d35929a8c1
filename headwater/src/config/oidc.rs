//! From the settings to providers of identities.

use catalog_api::{ProviderSettings, RoleRule};
use domain::authority::Role;
use url::{Host, Url};

use super::Config;

/// Most providers: each is a button on the login page.
const PROVIDERS_MAX: usize = 16;
/// What no provider is called, since it is the name of an operation.
const RESERVED: &str = "code";

type Wrong = (&'static str, String);

/// Checks what the types of the values cannot say.
pub(super) fn check(config: &Config) -> Result<(), Wrong> {
    config.oidc().map(|_| ())
}

impl Config {
    /// Whom people may log in by.
    pub(super) fn oidc(&self) -> Result<Vec<ProviderSettings>, Wrong> {
        if self.oidc_providers.len() > PROVIDERS_MAX {
            return Err(("oidc_providers", format!("must be {PROVIDERS_MAX} at most")));
        }
        if !self.oidc_scopes.split(' ').any(|scope| scope == "openid") {
            return Err(("oidc_scopes", "must have openid among them".into()));
        }
        let mut all: Vec<ProviderSettings> = Vec::new();
        for text in &self.oidc_providers {
            let one = provider(text, &self.oidc_scopes)?;
            if all.iter().any(|known| known.name == one.name) {
                return Err(("oidc_providers", format!("names {} twice", one.name)));
            }
            all.push(one);
        }
        let named = |key: &'static str, name: &str| {
            let unknown = || (key, format!("names {name:?}, which is none of oidc_providers"));
            all.iter().position(|one| one.name == name).ok_or_else(unknown)
        };
        let mut changes = Vec::new();
        for text in &self.oidc_secrets {
            // The problem must not show the secret.
            let form = || ("oidc_secrets", "must hold name:secret".to_owned());
            let (name, secret) = text.split_once(':').filter(|(_, secret)| !secret.is_empty()).ok_or_else(form)?;
            changes.push((named("oidc_secrets", name)?, Change::Secret(secret.to_owned())));
        }
        for name in &self.oidc_registration {
            changes.push((named("oidc_registration", name)?, Change::Registers));
        }
        for text in &self.oidc_roles {
            let (name, rule) = role(text)?;
            changes.push((named("oidc_roles", name)?, Change::Role(rule)));
        }
        for (at, change) in changes {
            match change {
                Change::Secret(secret) => all[at].client_secret = Some(secret),
                Change::Registers => all[at].may_register = true,
                Change::Role(rule) => all[at].roles.push(rule),
            }
        }
        Ok(all)
    }
}

enum Change {
    Secret(String),
    Registers,
    Role(RoleRule),
}

fn provider(text: &str, scopes: &str) -> Result<ProviderSettings, Wrong> {
    let wrong = |why: &str| ("oidc_providers", format!("has {text:?}, {why}"));
    let mut words = text.split_whitespace();
    let (Some(name), Some(issuer), Some(client_id)) = (words.next(), words.next(), words.next()) else {
        return Err(wrong("which must be: name issuer client_id label"));
    };
    let is_name = name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_name || name == RESERVED {
        return Err(wrong("whose name must be 32 letters, digits and hyphens at most, and not `code`"));
    }
    let is_local = |url: &Url| match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(host)) => host == "localhost",
        None => false,
    };
    let is_issuer = Url::parse(issuer).is_ok_and(|url| {
        let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        is_plain && url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && is_local(&url)))
    });
    if !is_issuer {
        return Err(wrong("whose issuer must be an https:// address, or http:// on this machine"));
    }
    let label = words.collect::<Vec<_>>().join(" ");
    Ok(ProviderSettings {
        name: name.to_owned(),
        label: if label.is_empty() { name.to_owned() } else { label },
        issuer: issuer.to_owned(),
        client_id: client_id.to_owned(),
        client_secret: None,
        scopes: scopes.to_owned(),
        may_register: false,
        roles: Vec::new(),
    })
}

fn role(text: &str) -> Result<(&str, RoleRule), Wrong> {
    let wrong = || ("oidc_roles", format!("has {text:?}, which must be: name claim=value role"));
    let (name, rest) = text.trim().split_once(' ').ok_or_else(wrong)?;
    // A value may have blanks in it.
    let (rule, role) = rest.trim().rsplit_once(' ').ok_or_else(wrong)?;
    let (claim, value) = rule.trim().split_once('=').ok_or_else(wrong)?;
    let role: Role = role.parse().map_err(|_| wrong())?;
    if claim.is_empty() || value.is_empty() {
        return Err(wrong());
    }
    Ok((name, RoleRule { claim: claim.to_owned(), value: value.to_owned(), role }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Vec<ProviderSettings>, String> {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let config = crate::config::merge(None, &[], &pairs).map_err(|error| error.to_string())?;
        Ok(config.oidc().unwrap())
    }

    #[test]
    fn providers_are_read_with_their_secrets_and_what_their_word_is_good_for() {
        let all = read(&[
            ("oidc_providers", "corp https://login.example.org headwater Corporate login,b http://127.0.0.1:5 c"),
            ("oidc_secrets", "corp:a:b"),
            ("oidc_registration", "b"),
            ("oidc_roles", "corp groups=media team uploader,corp groups=boss admin"),
        ]);
        let all = all.unwrap();
        assert_eq!((all[0].label.as_str(), all[0].client_secret.as_deref()), ("Corporate login", Some("a:b")));
        assert_eq!((all[1].label.as_str(), all[1].may_register, all[0].may_register), ("b", true, false));
        let rule = RoleRule { claim: "groups".into(), value: "media team".into(), role: Role::Uploader };
        assert_eq!((&all[0].roles[0], all[0].roles.len(), all[1].roles.len()), (&rule, 2, 0));
        assert!(!format!("{all:?}").contains("a:b"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_showing_secrets() {
        let one = ("oidc_providers", "corp https://login.example.org headwater");
        for (pairs, told) in [
            (vec![("oidc_providers", "corp https://login.example.org")], "name issuer client_id label"),
            (vec![("oidc_providers", "corp http://login.example.org headwater")], "https://"),
            (vec![("oidc_providers", "corp https://a:b@c headwater")], "https://"),
            (vec![("oidc_providers", "code https://login.example.org headwater")], "not `code`"),
            (vec![("oidc_providers", "a/b https://login.example.org headwater")], "hyphens"),
            (vec![("oidc_providers", "a https://x headwater,a https://y headwater")], "twice"),
            (vec![one, ("oidc_secrets", "hush")], "name:secret"),
            (vec![one, ("oidc_secrets", "other:hush")], "none of oidc_providers"),
            (vec![one, ("oidc_registration", "other")], "none of oidc_providers"),
            (vec![one, ("oidc_roles", "corp groups uploader")], "name claim=value role"),
            (vec![one, ("oidc_roles", "corp groups=x boss")], "name claim=value role"),
            (vec![("oidc_scopes", "email")], "openid"),
        ] {
            let refused = read(&pairs).unwrap_err();
            assert!(refused.contains(told) && !refused.contains("hush"), "{refused}");
        }
    }
}
