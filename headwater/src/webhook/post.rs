//! One request to a webhook, to an address that was looked at first.

use std::time::Duration;

use catalog_api::webhooks::headers;
use catalog_store::{Delivery, Webhook};
use domain::Timestamp;
use http::{StatusCode, header};
use ingest::address::{self, AddressError};
use ipnet::IpNet;
use url::Url;

/// Time for a request and its answer, the look-up of its host's name included.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);
/// Ports that messages are sent to, whatever the settings say.
const PORTS: [u16; 2] = [80, 443];
/// Longest wait that a webhook can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);
/// Of what went wrong, so much is remembered.
const ERROR_CHARS_MAX: usize = 200;

/// Where messages may be sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Networks that are private, and may be sent to.
    pub(crate) networks: Vec<IpNet>,
    /// Ports besides the usual ones.
    pub(crate) ports: Vec<u16>,
    /// Time for one message; shorter in tests.
    pub(crate) timeout: Option<Duration>,
}

/// What was answered, if anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Posted {
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) error: Option<String>,
}

/// Sends a message once.
pub(crate) async fn post(
    rules: &Rules,
    (webhook, secrets): (&Webhook, &[String]),
    delivery: &Delivery,
    now: Timestamp,
) -> Posted {
    let timeout = rules.timeout.unwrap_or(TIMEOUT);
    match tokio::time::timeout(timeout, asked(rules, (webhook, secrets), delivery, now)).await {
        Ok(Ok(posted)) => posted,
        Ok(Err(error)) => Posted { error: Some(error.chars().take(ERROR_CHARS_MAX).collect()), ..Posted::default() },
        Err(_) => Posted { error: Some(format!("no answer within {} s", timeout.as_secs())), ..Posted::default() },
    }
}

async fn asked(
    rules: &Rules,
    (webhook, secrets): (&Webhook, &[String]),
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Posted, String> {
    let url = Url::parse(&webhook.url).map_err(|_| "the address is no URL".to_owned())?;
    let port = url.port_or_known_default().unwrap_or_default();
    if !PORTS.contains(&port) && !rules.ports.contains(&port) {
        return Err(format!("port {port} is not allowed"));
    }
    let addresses = address::resolved(&url, &rules.networks).await.map_err(|error| match error {
        AddressError::Private(ip) => format!("{ip} is inside a private network, to which nothing is sent"),
        error => error.to_string(),
    })?;
    let client = address::client_to(addresses)
        .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(causes)?;
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let mut request = client.post(url).header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers(delivery.id, now, &delivery.payload, &secrets) {
        request = request.header(name, value);
    }
    let answer = request.body(delivery.payload.clone()).send().await.map_err(causes)?;
    let status = answer.status();
    let error = match status {
        status if status.is_success() => None,
        status if status.is_redirection() => Some(format!("{status}: redirects are not followed")),
        status => Some(status.to_string()),
    };
    Ok(Posted { status: Some(status.as_u16()), retry_after: retry_after(answer.headers(), now), error })
}

/// What a webhook wants to be left alone for: seconds, or until a date (RFC 9110 §10.2.3).
fn retry_after(headers: &header::HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            Timestamp::from_unix_ms(i64::try_from(date.as_millis()).ok()?).since(now)
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// True for answers that ask to be sent less.
pub(crate) fn wants_rest(status: Option<u16>) -> bool {
    let Some(Ok(status)) = status.map(StatusCode::from_u16) else { return false };
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The error and its causes in one line, without the address, in which a secret may stand.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    // Ends with the last cause.
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
