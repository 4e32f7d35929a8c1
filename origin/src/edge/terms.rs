//! Whether an answer may be kept, for how long it is fresh, and what may be done with it after that (RFC 9111 §3, §4).

use std::time::{Duration, UNIX_EPOCH};

use domain::Timestamp;
use http::header::{AGE, DATE, ETAG, EXPIRES, HeaderName, LAST_MODIFIED, SET_COOKIE};
use http::{HeaderMap, StatusCode};

use super::directives::Directives;

/// Longest time for which an answer is taken to be fresh that does not say so itself (§4.2.2).
const GUESS_S_MAX: u64 = 3600;
/// The part of its age, as a divisor, for which such an answer is taken to stay as it is.
const GUESS_DIVISOR: u64 = 10;

/// What is known of the request that an answer belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// It carried `Authorization`.
    pub(super) is_authorized: bool,
    /// When it was sent.
    pub(super) sent: Timestamp,
    /// When the head of the answer had come.
    pub(super) received: Timestamp,
    /// When the permission ends under which it was asked, if it does.
    pub(super) ends: Option<Timestamp>,
}

/// How long an answer may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    lifetime_ms: u64,
    /// Age at `received` (§4.2.3).
    initial_age_ms: u64,
    received: Timestamp,
    while_revalidating_ms: u64,
    if_error_ms: u64,
    ends: Option<Timestamp>,
}

/// What may be done with a kept answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Use it.
    Fresh,
    /// Use it, and ask whether it still is what it was (RFC 5861 §3).
    Refreshable,
    /// Ask first.
    Stale {
        /// Use it if nobody answers (RFC 5861 §4).
        is_better_than_nothing: bool,
    },
    /// Forget it.
    Over,
}

impl Terms {
    /// The terms of an answer to a GET; `None` if it must not be kept.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, asked: Asked) -> Option<Self> {
        let (told, is_for_cdns) = Directives::of_response(headers);
        if !may_be_kept(status, headers, &told, asked) {
            return None;
        }
        let explicit = told.s_maxage_s.or(told.max_age_s).or_else(|| {
            // Expires is to Cache-Control what Cache-Control is to CDN-Cache-Control.
            if is_for_cdns { None } else { expires_in_s(headers, asked.received) }
        });
        let lifetime_s = match explicit {
            _ if told.is_no_cache => 0,
            Some(seconds) => seconds,
            None => guess_s(status, headers, asked.received)?,
        };
        let (while_revalidating_s, if_error_s) = if told.forbids_stale() {
            (0, 0)
        } else {
            (told.stale_while_revalidate_s.unwrap_or(0), told.stale_if_error_s.unwrap_or(0))
        };
        let is_of_use = lifetime_s > 0 || while_revalidating_s > 0 || if_error_s > 0 || has_validator(headers);
        is_of_use.then(|| Self {
            lifetime_ms: lifetime_s * 1000,
            initial_age_ms: initial_age_ms(headers, asked),
            received: asked.received,
            while_revalidating_ms: while_revalidating_s * 1000,
            if_error_ms: if_error_s * 1000,
            ends: asked.ends,
        })
    }

    /// Those of an answer that is for the requests that wait for it, and for nobody else.
    pub(super) fn of_once(received: Timestamp) -> Self {
        let (lifetime_ms, initial_age_ms, while_revalidating_ms, if_error_ms) = (0, 0, 0, 0);
        Self { lifetime_ms, initial_age_ms, received, while_revalidating_ms, if_error_ms, ends: Some(received) }
    }

    /// How old the answer is (§4.2.3).
    pub(super) fn age(&self, now: Timestamp) -> Duration {
        Duration::from_millis(self.initial_age_ms).saturating_add(now.since(self.received))
    }

    /// Seconds for which it stays fresh; negative once it is not.
    pub(super) fn ttl_s(&self, now: Timestamp) -> i64 {
        let of = |ms: u128| i64::try_from(ms / 1000).unwrap_or(i64::MAX);
        of(self.lifetime_ms.into()).saturating_sub(of(self.age(now).as_millis()))
    }

    /// What may be done with it at `now`.
    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        if self.ends.is_some_and(|ends| now >= ends) {
            return Standing::Over;
        }
        let age_ms = u64::try_from(self.age(now).as_millis()).unwrap_or(u64::MAX);
        if age_ms < self.lifetime_ms {
            return Standing::Fresh;
        }
        let stale_ms = age_ms - self.lifetime_ms;
        if stale_ms < self.while_revalidating_ms {
            return Standing::Refreshable;
        }
        Standing::Stale { is_better_than_nothing: stale_ms < self.if_error_ms }
    }

    /// Whether it may be used at `now` where nobody answers.
    pub(super) fn covers_errors(&self, now: Timestamp) -> bool {
        matches!(
            self.standing(now),
            Standing::Fresh | Standing::Refreshable | Standing::Stale { is_better_than_nothing: true }
        )
    }
}

/// §3, without errors of the server: the next answer may be better.
fn may_be_kept(status: StatusCode, headers: &HeaderMap, told: &Directives, asked: Asked) -> bool {
    let is_partial = matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED);
    if status.is_informational() || status.is_server_error() || is_partial {
        return false;
    }
    // must-understand takes no-store back for those who know the status (§5.2.2.3).
    let is_no_store = told.is_no_store && !(told.is_must_understand && is_understood(status));
    if is_no_store || told.is_private || told.is_must_understand && !is_understood(status) {
        return false;
    }
    let is_for_all = told.is_public || told.s_maxage_s.is_some();
    // §3.5.
    if asked.is_authorized && !is_for_all && !told.is_must_revalidate {
        return false;
    }
    // Whoever sets a cookie for one client mostly does not mean all of them.
    !headers.contains_key(SET_COOKIE) || is_for_all
}

/// The statuses whose meaning for caches is known here.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 302 | 303 | 307 | 308 | 404 | 405 | 410 | 414)
}

fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED)
}

/// The only line of a field with a date, in seconds since 1970.
fn date_s(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    let mut lines = headers.get_all(name).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let date = httpdate::parse_http_date(line.to_str().ok()?).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.unix_ms() / 1000).unwrap_or(0)
}

/// When the answer was made, as far as it says so.
fn made_s(headers: &HeaderMap, received: Timestamp) -> u64 {
    date_s(headers, DATE).unwrap_or_else(|| seconds(received))
}

/// §5.3; a field that is no date means "already expired".
fn expires_in_s(headers: &HeaderMap, received: Timestamp) -> Option<u64> {
    headers.contains_key(EXPIRES).then(|| {
        let expires = date_s(headers, EXPIRES).unwrap_or(0);
        expires.saturating_sub(made_s(headers, received))
    })
}

/// §4.2.2, for what is there: that something is missing is only kept for as long as the origin says. `Some(0)` where
/// the origin has to be asked each time; `None` where there is nothing to go by.
fn guess_s(status: StatusCode, headers: &HeaderMap, received: Timestamp) -> Option<u64> {
    if !matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308) {
        return None;
    }
    match date_s(headers, LAST_MODIFIED) {
        Some(modified) => {
            let unchanged_s = made_s(headers, received).saturating_sub(modified);
            Some((unchanged_s / GUESS_DIVISOR).min(GUESS_S_MAX))
        }
        None => headers.contains_key(ETAG).then_some(0),
    }
}

/// §4.2.3.
fn initial_age_ms(headers: &HeaderMap, asked: Asked) -> u64 {
    let apparent_s = date_s(headers, DATE).map_or(0, |made| seconds(asked.received).saturating_sub(made));
    // Of a list the first member counts, and what is no number does not (§5.1).
    let told = headers.get(AGE).and_then(|age| age.to_str().ok()).map(|age| age.split(',').next().unwrap_or("").trim());
    let told_s: u64 = told.and_then(|age| age.parse().ok()).unwrap_or(0);
    let delay_ms = u64::try_from(asked.received.since(asked.sent).as_millis()).unwrap_or(u64::MAX);
    (apparent_s.saturating_mul(1000)).max(told_s.saturating_mul(1000).saturating_add(delay_ms))
}

#[cfg(test)]
mod tests;
