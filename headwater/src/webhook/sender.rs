//! The task that sends messages, again and again until they are taken, within bounds.

use std::sync::Arc;
use std::time::Duration;

use catalog_store::{Attempt, Catalog, CatalogError, LeasedDelivery, Outcome, Webhook};
use domain::{Clock, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::post::{self, Posted, Rules};

/// Pauses before each attempt (Standard Webhooks 1.0.0, "Deliverability and reliability"), jitter aside.
pub(crate) const SCHEDULE_S: [u64; 10] = [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// Messages that are sent at the same time, each to another webhook.
const SENDERS: usize = 16;
/// For how long one process has a message: its time and what it takes to record what came of it.
const LEASE: Duration = Duration::from_secs(45);
/// Time between two looks for messages that are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rest after a wake-up, so that a burst of changes is read at once.
const QUIET: Duration = Duration::from_millis(20);
/// How long a webhook is left alone that wants to be, and does not say how long.
const REST: Duration = Duration::from_secs(30);

const GONE: u16 = 410;

/// Sends messages.
pub(crate) struct Sender {
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<dyn Clock>,
    /// The name of this process: the same after it was killed and started anew.
    pub(crate) holder: String,
    pub(crate) rules: Rules,
}

impl Sender {
    /// Runs until `soft` is cancelled, and to the end of what is being sent then.
    pub(crate) async fn run(self, soft: CancellationToken) {
        // The data folder's lock is ours, so whoever held these is dead: what it sent need not wait.
        if let Err(error) = self.catalog.release_deliveries(&self.holder).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "messages of the last run wait for their leases");
        }
        // Tasks of their own: one that had to be polled from here, with the only connection that writes in its hands,
        // would wait for this loop while this loop waits for that connection.
        let (mut sending, mut changed) = (JoinSet::new(), self.catalog.changed());
        let me = Arc::new(self);
        // Ends with the soft signal.
        while !soft.is_cancelled() {
            match me.claimed(SENDERS - sending.len()).await {
                Ok(claimed) => {
                    for leased in claimed {
                        let me = Arc::clone(&me);
                        sending.spawn(async move { me.send(leased).await });
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "it is not known which messages are due");
                }
            }
            tokio::select! {
                () = soft.cancelled() => {}
                Some(_) = sending.join_next() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = changed.changed() => tokio::time::sleep(QUIET).await,
            }
        }
        // Each has a bound in time; a hard stop cuts it off, and it is sent again.
        while sending.join_next().await.is_some() {}
    }

    /// As many messages as are due, and not more than `most`.
    pub(crate) async fn claimed(&self, most: usize) -> Result<Vec<LeasedDelivery>, CatalogError> {
        let mut claimed = Vec::new();
        while claimed.len() < most && self.catalog.is_delivery_due(self.clock.now()).await? {
            let leased = self.catalog.claim_delivery(&self.holder, LEASE, self.clock.now()).await?;
            let Some(leased) = leased else { break };
            claimed.push(leased);
        }
        Ok(claimed)
    }

    /// Sends a message and records what came of it.
    pub(crate) async fn send(&self, leased: LeasedDelivery) {
        let delivery = &leased.delivery;
        let webhook = match self.catalog.webhook(delivery.webhook).await {
            Ok(Some(webhook)) => webhook,
            // It was removed, and the message with it.
            Ok(None) => return,
            Err(error) => return self.complain(&error),
        };
        let begun = self.clock.now();
        let posted = match self.catalog.webhook_secrets(&webhook, begun) {
            Ok(secrets) => post::post(&self.rules, (&webhook, &secrets), delivery, begun).await,
            // Nobody could tell whose message it is.
            Err(error) => Posted { error: Some(error.to_string()), ..Posted::default() },
        };
        let now = self.clock.now();
        let outcome = outcome(&webhook, &leased, &posted, now, self.clock.entropy()[0]);
        let attempt = Attempt {
            at: now,
            status: posted.status,
            error: posted.error.clone(),
            elapsed_ms: u64::try_from(now.since(begun).as_millis()).unwrap_or(u64::MAX),
        };
        let error = posted.error.unwrap_or_default();
        match &outcome {
            Outcome::Delivered => tracing::debug!(webhook.id = %webhook.id, message.id = %delivery.id, "message sent"),
            Outcome::Again { .. } => tracing::info!(
                webhook.id = %webhook.id, message.id = %delivery.id, attempts = delivery.attempts + 1, error,
                "a message is not taken"
            ),
            Outcome::Failed { disable } => tracing::warn!(
                webhook.id = %webhook.id, message.id = %delivery.id, attempts = delivery.attempts + 1, error,
                is_disabled = disable.is_some(), "a message is given up"
            ),
        }
        if let Err(error) = self.catalog.settle_delivery(&leased, attempt, outcome, now).await {
            self.complain(&error);
        }
    }

    fn complain(&self, error: &CatalogError) {
        tracing::warn!(error = error as &dyn std::error::Error, "what came of a message cannot be recorded");
    }
}

/// What an answer means.
fn outcome(webhook: &Webhook, leased: &LeasedDelivery, posted: &Posted, now: Timestamp, chance: u8) -> Outcome {
    if posted.error.is_none() {
        return Outcome::Delivered;
    }
    if posted.status == Some(GONE) {
        return Outcome::Failed { disable: Some("it answered 410 Gone") };
    }
    let attempts = usize::try_from(leased.delivery.attempts).unwrap_or(usize::MAX).saturating_add(1);
    let Some(seconds) = SCHEDULE_S.get(attempts) else {
        // One that takes other messages is not away: only this one is given up.
        let is_away = webhook.succeeded_at.is_none_or(|at| at < leased.delivery.created_at);
        return Outcome::Failed { disable: is_away.then_some("a message was not taken for so long") };
    };
    let rest = post::wants_rest(posted.status).then(|| posted.retry_after.unwrap_or(REST));
    let pause = jittered(Duration::from_secs(*seconds), chance).max(posted.retry_after.unwrap_or_default());
    Outcome::Again { at: now.plus(pause), rest_until: rest.map(|rest| now.plus(rest)) }
}

/// Up to a tenth more or less, so that what failed together does not come back together.
fn jittered(pause: Duration, chance: u8) -> Duration {
    pause * 9 / 10 + pause * u32::from(chance) / (5 * 255)
}
