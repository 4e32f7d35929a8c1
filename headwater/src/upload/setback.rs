//! Why a request did not do its work, and what is to be done about it.

use std::time::Duration;

use anyhow::anyhow;
use domain::Clock;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::clock::SystemClock;

/// Longest explanation of a server that is read, in octets.
const EXPLANATION_BYTES_MAX: usize = 64 << 10;
/// Time for reading it.
const EXPLANATION_TIME_MAX: Duration = Duration::from_secs(10);
/// The status of tus for octets that do not match their checksum.
const CHECKSUM_MISMATCH: u16 = 460;
/// Codes of a 410 after which a new upload of the same file may well succeed.
const BEGIN_ANEW: [&str; 4] = ["upload_gone", "upload_lost", "upload_expired", "upload_not_found"];

/// Why a request did not do its work.
#[derive(Debug)]
pub(super) enum Setback {
    /// Worth another try, after a pause that the server may name.
    Passing { reason: String, pause: Option<Duration> },
    /// The octets were damaged on the way, and the server threw them away.
    Damaged { reason: String },
    /// Something before the server takes no body of this size.
    TooLong { reason: String },
    /// Something before the server takes no request of this method.
    Blocked { reason: String },
    /// The server does not know this upload, or no longer.
    Lost { reason: String },
    /// No use in trying again as things are; what the server holds is still good.
    Final(anyhow::Error),
    /// The server has turned this file down: what it holds of it is of no use.
    Refused(anyhow::Error),
}

impl Setback {
    /// What an answer that is no success means.
    pub(super) async fn of(answer: Response) -> Self {
        let (status, headers) = (answer.status(), answer.headers().clone());
        // Whoever stands before the server answers without the header that all its answers carry.
        let is_of_server =
            headers.contains_key("Tus-Resumable") || headers.contains_key("Upload-Draft-Interop-Version");
        let problem = problem_in(answer).await;
        let code = problem["code"].as_str().unwrap_or_default();
        let said = match problem["detail"].as_str() {
            Some(detail) => format!("{detail} ({})", status.as_u16()),
            None => status.to_string(),
        };
        if status.is_redirection() {
            return Self::Final(anyhow!("{}", moved(&headers)));
        }
        Self::classify(status, code, said, pause_in(&headers, status), is_of_server)
    }

    fn classify(status: StatusCode, code: &str, said: String, pause: Option<Duration>, is_of_server: bool) -> Self {
        use StatusCode as S;
        match status {
            _ if status.as_u16() == CHECKSUM_MISMATCH => Self::Damaged { reason: said },
            S::NOT_FOUND => Self::Lost { reason: said },
            S::GONE if code.is_empty() || BEGIN_ANEW.contains(&code) => Self::Lost { reason: said },
            S::PAYLOAD_TOO_LARGE if !is_of_server => Self::TooLong { reason: said },
            S::METHOD_NOT_ALLOWED | S::NOT_IMPLEMENTED if !is_of_server => Self::Blocked { reason: said },
            S::BAD_REQUEST if code == "broken_off" => Self::Passing { reason: said, pause },
            S::CONFLICT | S::LOCKED | S::REQUEST_TIMEOUT | S::TOO_EARLY | S::TOO_MANY_REQUESTS => {
                Self::Passing { reason: said, pause }
            }
            S::INSUFFICIENT_STORAGE => Self::Passing { reason: advised(status, said), pause },
            S::NOT_IMPLEMENTED | S::HTTP_VERSION_NOT_SUPPORTED => Self::Final(anyhow!(advised(status, said))),
            _ if status.is_server_error() => Self::Passing { reason: said, pause },
            S::UNAUTHORIZED | S::FORBIDDEN | S::PRECONDITION_FAILED => Self::Final(anyhow!(advised(status, said))),
            _ => Self::Refused(anyhow!(advised(status, said))),
        }
    }

    /// What went wrong with a request that got no answer.
    pub(super) fn no_answer(error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::Final(anyhow!(causes(error)));
        }
        Self::Passing { reason: causes(error), pause: None }
    }

    /// The reason, where nothing can be done about it any more.
    pub(super) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Final(error) | Self::Refused(error) => error,
            Self::Passing { reason, .. }
            | Self::Damaged { reason }
            | Self::TooLong { reason }
            | Self::Blocked { reason }
            | Self::Lost { reason } => anyhow!(reason),
        }
    }
}

/// What the server says, and what a person can do about it.
fn advised(status: StatusCode, said: String) -> String {
    use StatusCode as S;
    let advice = match status {
        S::UNAUTHORIZED => "; give a token with --token or HEADWATER_TOKEN",
        S::FORBIDDEN => "; this token does not allow it, ask whoever runs the server for one that does",
        S::PRECONDITION_FAILED => "; server and client speak different versions, or a proxy drops Tus-Resumable",
        S::PAYLOAD_TOO_LARGE => "; send a smaller file, or have upload_size_max or the quota raised",
        S::INSUFFICIENT_STORAGE => "; room must be made on the server, then give the same command again to go on",
        _ => "",
    };
    format!("the server refuses it: {said}{advice}")
}

fn moved(headers: &HeaderMap) -> String {
    let to = headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("another address");
    format!("the server sends uploads to {to}; give the address that it redirects to with --server")
}

/// The problem document of an answer; `Null` if it has none.
async fn problem_in(mut answer: Response) -> Value {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(piece)) = answer.chunk().await {
            body.extend_from_slice(&piece);
            if body.len() > EXPLANATION_BYTES_MAX {
                break;
            }
        }
    };
    // What is not read in time is not told; the status is.
    let _ = tokio::time::timeout(EXPLANATION_TIME_MAX, read).await;
    serde_json::from_slice(&body).unwrap_or_default()
}

/// The pause that the server asks for: seconds or a date.
fn pause_in(headers: &HeaderMap, status: StatusCode) -> Option<Duration> {
    let asks = status.is_server_error() || status.is_client_error();
    let value = headers.get(RETRY_AFTER).filter(|_| asks)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = u64::try_from(SystemClock.now().unix_ms()).unwrap_or(0);
    Some(at.saturating_sub(Duration::from_millis(now)))
}

fn causes(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, code: &str, is_of_server: bool) -> &'static str {
        let status = StatusCode::from_u16(status).expect("a status");
        match Setback::classify(status, code, String::new(), None, is_of_server) {
            Setback::Passing { .. } => "passing",
            Setback::Damaged { .. } => "damaged",
            Setback::TooLong { .. } => "too long",
            Setback::Blocked { .. } => "blocked",
            Setback::Lost { .. } => "lost",
            Setback::Final(_) => "final",
            Setback::Refused(_) => "refused",
        }
    }

    #[test]
    fn every_answer_has_its_consequence() {
        for (status, code, is_of_server, expected) in [
            (500, "", true, "passing"),
            (502, "", false, "passing"),
            (503, "stopping", true, "passing"),
            (507, "out_of_space", true, "passing"),
            (409, "offset_mismatch", true, "passing"),
            (423, "upload_busy", true, "passing"),
            (429, "", false, "passing"),
            (400, "broken_off", true, "passing"),
            (460, "checksum_mismatch", true, "damaged"),
            (413, "", false, "too long"),
            (413, "upload_too_large", true, "refused"),
            (405, "", false, "blocked"),
            (501, "", false, "blocked"),
            (501, "", true, "final"),
            (404, "upload_not_found", true, "lost"),
            (410, "upload_expired", true, "lost"),
            (410, "", false, "lost"),
            (410, "upload_refused", true, "refused"),
            (415, "unsupported_media", true, "refused"),
            (422, "not_media", true, "refused"),
            (401, "", true, "final"),
            (403, "", true, "final"),
            (412, "unsupported_version", true, "final"),
        ] {
            assert_eq!(kind(status, code, is_of_server), expected, "{status} {code}");
        }
    }

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let pause = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a value"))]);
            pause_in(&headers, StatusCode::SERVICE_UNAVAILABLE)
        };
        assert_eq!(pause("7"), Some(Duration::from_secs(7)));
        assert_eq!(pause("Thu, 01 Jan 1970 00:00:09 GMT"), Some(Duration::ZERO));
        assert!(pause("Fri, 31 Dec 2100 00:00:00 GMT").expect("lies ahead") > Duration::from_secs(86_400));
        assert_eq!(pause("soon"), None);
    }
}
