//! The task that turns events into what people are told, and has letters written where they want them.
//!
//! Notifications are recorded in the transaction that moves the place in the events, and a letter stays due until it was
//! written: what is killed in between is gone on with. The letter of a week is taken before it is written, so it comes
//! once, or, over a kill in that moment, not at all.

use std::time::Duration;

use catalog_store::notifications::READER;
use catalog_store::{
    CatalogError, Event, NewNotification, NotificationChannel, NotificationKind, OutboxHold, OutboxReader, UserState,
};
use domain::{NotificationId, Timestamp, UserId};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Accounts;
use super::mail::Errand;

/// Events that are looked at in one go.
const EVENTS_AT_ONCE: u32 = 200;
/// Events of which nobody is told, after which the place is recorded anyhow.
const NOISE_MAX: u64 = 500;
/// Time between two looks for events, and for letters that are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// For how long one process has the right to it.
const HOLD: Duration = Duration::from_secs(60);
/// Time between two looks whether another process has given up the right.
const HOLD_EVERY: Duration = Duration::from_secs(5);
/// Letters that are handed on in one go.
const LETTERS_AT_ONCE: u32 = 32;
/// After a letter was handed on it is due again, if it was not written.
const LETTER_AGAIN_AFTER: Duration = Duration::from_secs(120);
/// Time between two looks who is to have a letter of the week.
const DIGEST_EVERY: Duration = Duration::from_secs(60);
/// People who are looked at in one go for it.
const DIGESTS_AT_ONCE: u32 = 100;
/// How long notifications are kept.
const KEPT_MS: i64 = 90 * 24 * 3600 * 1000;
const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// How late the letter of a week may be: a server that was away at its time writes it when it is back, within this.
const DIGEST_LATE_MS: i64 = DAY_MS;

/// When in the week letters of the week are written: a day from Monday, and minutes behind midnight, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestTime {
    /// 0 is Monday.
    pub day: u8,
    /// Minutes behind midnight.
    pub minute: u16,
}

impl DigestTime {
    /// The number of the week that this instant lies in, counted from that moment of each week, and when it began.
    fn week(self, now: Timestamp) -> (i64, Timestamp) {
        // 1970 began on a Thursday, three days behind a Monday.
        let offset = (i64::from(self.day) - 3) * DAY_MS + i64::from(self.minute) * 60_000;
        let week = (now.unix_ms() - offset).div_euclid(WEEK_MS);
        (week, Timestamp::from_unix_ms(week * WEEK_MS + offset))
    }

    /// The letter that is to be written now: the number of the week that ended last, and from when and until when it
    /// tells. `None` if its time is too long ago.
    fn due(self, now: Timestamp) -> Option<(i64, (Timestamp, Timestamp))> {
        let (week, until) = self.week(now);
        let since = Timestamp::from_unix_ms(until.unix_ms() - WEEK_MS);
        (now.unix_ms() - until.unix_ms() < DIGEST_LATE_MS).then_some((week, (since, until)))
    }
}

/// Tells people what happened. Let it [`run`](Self::run) as long as the server does.
pub struct Notifier {
    accounts: Accounts,
    /// The name of this process: the same after it was killed and started anew.
    holder: String,
    digest: Option<DigestTime>,
}

/// What this process knows of the place that it has the right to.
struct Held {
    known: OutboxReader,
    seq: u64,
    until: Timestamp,
    letters_at: Timestamp,
    digest_at: Timestamp,
}

impl Notifier {
    /// What tells people, in the process of this name.
    pub fn new(accounts: Accounts, holder: String, digest: Option<DigestTime>) -> Self {
        Self { accounts, holder, digest }
    }

    /// Runs until `soft` is cancelled.
    pub async fn run(self, soft: CancellationToken) {
        let mut held = None;
        // Ends with the soft signal; what is cut off is looked at again.
        while !soft.is_cancelled() {
            let pause = match soft.run_until_cancelled(self.step(&mut held)).await {
                Some(Ok(pause)) => pause,
                Some(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "people cannot be told what happened");
                    HOLD_EVERY
                }
                None => break,
            };
            let _ = soft.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        if held.is_some() {
            let _ = self.accounts.catalog().release_reader(self.hold()).await;
        }
    }

    fn hold(&self) -> OutboxHold<'_> {
        OutboxHold { reader: READER, holder: &self.holder }
    }

    async fn step(&self, held: &mut Option<Held>) -> Result<Duration, CatalogError> {
        let (catalog, now) = (self.accounts.catalog(), self.accounts.clock().now());
        let (letters_at, digest_at) = held.as_ref().map_or((now, now), |held| (held.letters_at, held.digest_at));
        let mine = match held.take().filter(|held| now.plus(HOLD / 2) < held.until) {
            Some(mine) => mine,
            None => match catalog.hold_reader(self.hold(), HOLD, now).await? {
                Some(known) => Held { seq: known.seq, known, until: now.plus(HOLD), letters_at, digest_at },
                None => return Ok(HOLD_EVERY),
            },
        };
        let mine = held.insert(mine);
        let events = catalog.events_after(mine.seq, EVENTS_AT_ONCE).await?;
        if let Some(last) = events.last().map(|event| event.seq) {
            let news = self.news(&events, now).await?;
            if !news.is_empty() || last - mine.known.seq >= NOISE_MAX {
                if !catalog.notify(self.hold(), last, &news, now).await? {
                    *held = None;
                    return Ok(Duration::ZERO);
                }
                mine.known.seq = last;
                // Those that are due already wait no longer for it.
                mine.letters_at = now;
            }
            mine.seq = last;
            return Ok(Duration::ZERO);
        }
        if mine.letters_at <= now {
            mine.letters_at = now.plus(self.letters().await?);
        }
        if mine.digest_at <= now {
            mine.digest_at = now.plus(DIGEST_EVERY);
            self.digests(now).await?;
            let oldest = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(KEPT_MS));
            catalog.prune_notifications(oldest).await?;
        }
        Ok(LOOK_EVERY)
    }

    async fn news(&self, events: &[Event], now: Timestamp) -> Result<Vec<NewNotification>, CatalogError> {
        let mut news = Vec::new();
        for event in events {
            let Some((kind, user)) = self.meant(event).await? else { continue };
            let channels = self.accounts.catalog().channels_of(user).await?;
            let channel = channels.into_iter().find(|(known, _)| *known == kind).map(|(_, channel)| channel);
            if !matches!(channel, Some(NotificationChannel::App | NotificationChannel::Email)) {
                continue;
            }
            news.push(NewNotification {
                id: NotificationId::mint(now, self.accounts.clock().entropy()),
                user,
                seq: event.seq,
                kind,
                asset: event.asset,
                data: event.data.clone(),
                by_mail: channel == Some(NotificationChannel::Email),
            });
        }
        Ok(news)
    }

    /// Who is told of an event, and as what.
    async fn meant(&self, event: &Event) -> Result<Option<(NotificationKind, UserId)>, CatalogError> {
        let kind = match event.topic.as_str() {
            "asset.ready" => NotificationKind::AssetReady,
            "asset.failed" => NotificationKind::AssetFailed,
            "asset.shared" => NotificationKind::AssetShared,
            "account.security" => NotificationKind::AccountSecurity,
            "webhook.disabled" => NotificationKind::WebhookDisabled,
            _ => return Ok(None),
        };
        if let Some(user) = event.user {
            return Ok(Some((kind, user)));
        }
        let Some(asset) = event.asset else { return Ok(None) };
        let owner = self.accounts.catalog().asset(asset).await?.and_then(|asset| asset.owner);
        // Names of tokens are nobody that can be told.
        Ok(owner.and_then(|owner| owner.parse().ok()).map(|user| (kind, user)))
    }

    /// Hands on letters that are due; how long to wait then.
    async fn letters(&self) -> Result<Duration, CatalogError> {
        let due = self.accounts.catalog().mail_due(LETTERS_AT_ONCE).await?;
        for one in &due {
            if !self.accounts.put_errand(Errand::Tell(one.id)) {
                break;
            }
        }
        // Whoever writes them notes it; what was not written by then is handed on again.
        Ok(if due.is_empty() { Duration::ZERO } else { LETTER_AGAIN_AFTER })
    }

    async fn digests(&self, now: Timestamp) -> Result<(), CatalogError> {
        let Some((week, time)) = self.digest.and_then(|digest| digest.due(now)) else { return Ok(()) };
        let catalog = self.accounts.catalog();
        let users = catalog.digest_for(week, time, None, DIGESTS_AT_ONCE).await?;
        for user in users {
            let is_there = catalog.user(user).await?.is_some_and(|user| user.state == UserState::Active);
            if is_there
                && catalog.take_digest(user, week).await?
                && !self.accounts.put_errand(Errand::Digest(user, time))
            {
                tracing::warn!(user.id = %user, "too many letters wait: a letter of the week is not written");
            }
        }
        Ok(())
    }
}

/// What was done about an account, as letters say it.
pub(crate) fn security_action(data: &serde_json::Value) -> String {
    data.get("action").unwrap_or(&json!("")).as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_of_the_week_is_due_at_its_time_and_a_day_later_at_most() {
        let at = |text| Timestamp::from_rfc3339(text).expect("an instant");
        let monday = DigestTime { day: 0, minute: 9 * 60 };
        let (week, time) =
            (monday.week(at("2026-11-30T09:00:00Z")).0, (at("2026-11-23T09:00:00Z"), at("2026-11-30T09:00:00Z")));
        for (now, due) in [
            ("2026-11-30T08:59:59.999Z", None),
            ("2026-11-30T09:00:00Z", Some((week, time))),
            ("2026-12-01T08:59:59.999Z", Some((week, time))),
            ("2026-12-01T09:00:00Z", None),
            ("2026-12-03T12:00:00Z", None),
        ] {
            assert_eq!(monday.due(at(now)), due, "{now}");
        }
    }

    #[test]
    fn a_week_begins_at_the_time_that_is_set() {
        let at = |text| Timestamp::from_rfc3339(text).expect("an instant");
        let monday = DigestTime { day: 0, minute: 9 * 60 };
        let (week, began) = monday.week(at("2026-11-30T09:00:00Z"));
        assert_eq!(began, at("2026-11-30T09:00:00Z"));
        assert_eq!(monday.week(at("2026-11-30T08:59:59.999Z")), (week - 1, at("2026-11-23T09:00:00Z")));
        assert_eq!(monday.week(at("2026-12-07T08:59:59Z")).0, week);
        let sunday = DigestTime { day: 6, minute: 0 };
        assert_eq!(sunday.week(at("2026-11-29T12:00:00Z")).1, at("2026-11-29T00:00:00Z"));
    }
}
