//! From the settings to the caches that are told of what changed.

use http::Method;
use url::Url;

use super::Config;
use crate::purge::target::{Credentials, Kind, Target};

/// Shorter secrets could be guessed.
const SECRET_CHARS_MIN: usize = 16;
/// Most targets: each has a task of its own.
const TARGETS_MAX: usize = 16;
/// The methods that a hook can be told with.
const METHODS: [&str; 3] = ["POST", "PURGE", "BAN"];

type Wrong = (&'static str, String);

/// Checks what the types of the values cannot say.
pub(super) fn check(config: &Config) -> Result<(), Wrong> {
    if !config.purge_secret.is_empty() && config.purge_secret.len() < SECRET_CHARS_MIN {
        return Err(("purge_secret", format!("must have {SECRET_CHARS_MIN} characters or more")));
    }
    if config.purge_targets.len() > TARGETS_MAX {
        return Err(("purge_targets", format!("must be {TARGETS_MAX} at most")));
    }
    for (at, named) in config.purge_targets.iter().enumerate() {
        if config.purge_targets[..at].contains(named) {
            return Err(("purge_targets", format!("names {named} twice")));
        }
        kind_and_base(config, named)?;
    }
    let texts = [
        ("purge_secret", &config.purge_secret),
        ("purge_fastly_token", &config.purge_fastly_token),
        ("purge_cloudflare_token", &config.purge_cloudflare_token),
        ("purge_akamai_credentials", &config.purge_akamai_credentials),
    ];
    match texts.into_iter().find(|(_, text)| http::HeaderValue::from_str(text).is_err()) {
        Some((key, _)) => Err((key, "must be text that a header can hold".into())),
        None => Ok(()),
    }
}

/// What a target speaks, and where it is.
fn kind_and_base(config: &Config, named: &str) -> Result<(Kind, String), Wrong> {
    let wrong = |why: &str| ("purge_targets", format!("has \"{named}\", {why}"));
    let set = |key: &'static str, secret: &String| match secret.is_empty() {
        true => Err((key, format!("must be set for {named}"))),
        false => Ok(secret.clone()),
    };
    let word = |text: &str| match !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        true => Ok(text.to_owned()),
        false => Err(wrong("which names no service, zone or host")),
    };
    let (kind, place) = named.split_once(':').ok_or_else(|| wrong("which must be kind:place"))?;
    // An address of the API other than the usual one may stand behind the place.
    let (id, elsewhere) = match place.split_once('@') {
        Some((id, base)) if !matches!(kind, "edge" | "http") => (id, Some(base)),
        _ => (place, None),
    };
    let (kind, base) = match kind {
        "fastly" => {
            let kind =
                Kind::Fastly { service: word(id)?, token: set("purge_fastly_token", &config.purge_fastly_token)? };
            (kind, elsewhere.unwrap_or("https://api.fastly.com").to_owned())
        }
        "cloudflare" => {
            let token = set("purge_cloudflare_token", &config.purge_cloudflare_token)?;
            (
                Kind::Cloudflare { zone: word(id)?, token },
                elsewhere.unwrap_or("https://api.cloudflare.com/client/v4").to_owned(),
            )
        }
        "akamai" => {
            let text = set("purge_akamai_credentials", &config.purge_akamai_credentials)?;
            let why = "must be client_token:client_secret:access_token".to_owned();
            let credentials = Credentials::read(&text).ok_or(("purge_akamai_credentials", why))?;
            (Kind::Akamai(credentials), elsewhere.map_or_else(|| format!("https://{id}"), str::to_owned))
        }
        "edge" => (Kind::Edge { secret: set("purge_secret", &config.purge_secret)? }, place.to_owned()),
        "http" => {
            let (method, url) = place.split_once(':').ok_or_else(|| wrong("which must be http:METHOD:address"))?;
            let method = METHODS.contains(&method).then(|| Method::from_bytes(method.as_bytes()).ok()).flatten();
            let method = method.ok_or_else(|| wrong(&format!("whose method must be one of {}", METHODS.join(", "))))?;
            (Kind::Hook { method, secret: config.purge_secret.clone() }, url.to_owned())
        }
        _ => return Err(wrong("which must begin with fastly, cloudflare, akamai, edge or http")),
    };
    let url = Url::parse(&base.replace("{path}", "/")).ok();
    if url.as_ref().is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
        // It is shown in metrics and in the log.
        return Err(wrong("which must not hold a user or a password: set purge_secret"));
    }
    let is_http = url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    is_http.then_some((kind, base)).ok_or_else(|| wrong("which leads to no http:// or https:// address"))
}

impl Config {
    /// The caches that are told of what changed, the nearest to the origin first.
    ///
    /// # Errors
    /// If no client can be made.
    pub(crate) fn purge_targets(&self) -> anyhow::Result<Vec<Target>> {
        let target = |named: &String| {
            let (kind, base) = kind_and_base(self, named).map_err(|(key, why)| anyhow::anyhow!("{key} {why}"))?;
            Ok(Target::new(named.clone(), kind, &base, self.purge_soft)?)
        };
        self.purge_targets.iter().map(target).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::merge;

    fn refused(flags: &[(&str, &str)]) -> Option<String> {
        let flags: Vec<_> = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        merge(None, &[], &flags).err().map(|error| error.to_string())
    }

    #[test]
    fn targets_need_their_place_and_their_secret() {
        const TOKEN: (&str, &str) = ("purge_fastly_token", "t");
        for (flags, told) in [
            (&[("purge_targets", "fastly:SU1Z0")][..], Some("purge_fastly_token must be set for fastly:SU1Z0")),
            (&[("purge_targets", "fastly:SU1Z0"), TOKEN], None),
            (&[("purge_targets", "fastly:SU1Z0@http://127.0.0.1:1"), TOKEN], None),
            (&[("purge_targets", "fastly:SU1Z0@ftp://a"), TOKEN], Some("leads to no http:// or https:// address")),
            (&[("purge_targets", "fastly:../x"), TOKEN], Some("names no service")),
            (&[("purge_targets", "fastly"), TOKEN], Some("must be kind:place")),
            (&[("purge_targets", "fastly:a,fastly:a"), TOKEN], Some("names fastly:a twice")),
            (&[("purge_targets", "bunny:a")], Some("must begin with fastly")),
            (&[("purge_targets", "cloudflare:a")], Some("purge_cloudflare_token must be set")),
            (&[("purge_targets", "akamai:a.example"), ("purge_akamai_credentials", "a:b")], Some("client_token:")),
            (&[("purge_targets", "akamai:a.example"), ("purge_akamai_credentials", "a:b:c")], None),
            (&[("purge_targets", "edge:https://edge.example")], Some("purge_secret must be set")),
            (&[("purge_targets", "http:PURGE:http://varnish:6081/")], None),
            (&[("purge_targets", "http:PURGE:http://nginx{path}")], None),
            (&[("purge_targets", "http:GET:http://varnish/")], Some("whose method must be one of POST, PURGE, BAN")),
            (&[("purge_targets", "http:POST:http://user:word@a/")], Some("must not hold a user or a password")),
            (&[("purge_secret", "short")], Some("purge_secret must have 16 characters")),
        ] {
            let refused = refused(flags);
            match told {
                None => assert_eq!(refused, None, "{flags:?}"),
                Some(told) => assert!(refused.as_ref().is_some_and(|why| why.contains(told)), "{flags:?}: {refused:?}"),
            }
        }
    }
}
