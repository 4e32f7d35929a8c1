//! Messages to webhooks: made, claimed, sent, settled, sent again, forgotten.

use std::time::Duration;

use domain::{MessageId, Timestamp, WebhookId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::WebhookRow;
use crate::catalog::{Number, Tx};
use crate::engine::{args, column, corrupt, count, count32, document, json, parsed};
use crate::outbox::OutboxHold;
use crate::{Catalog, CatalogError, Side, sql};

/// Messages that may wait for one webhook; with more it is disabled.
pub const PENDING_MAX: u64 = 10_000;
/// Messages of one webhook that are remembered once they are over.
pub const REMEMBERED_MAX: u32 = 10_000;
/// Most messages that one call returns, and that are sent again at once.
pub const PAGE_DELIVERIES_MAX: u32 = 100;
/// Most messages that are sent again by one call.
pub const REPLAY_MAX: u32 = 1000;
/// Attempts of one message that are remembered.
const LOG_MAX: usize = 12;

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is still to be sent.
    Pending,
    /// It was taken.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    /// Its name in documents and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// The state of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::Failed].into_iter().find(|state| state.as_str() == name)
    }
}

/// One attempt to send a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was over, in milliseconds since 1970.
    pub at: Timestamp,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// One message to a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, the same however often it is sent.
    pub id: MessageId,
    /// To whom.
    pub webhook: WebhookId,
    /// The event that it tells of; `None` if it is to try the webhook out.
    pub seq: Option<u64>,
    /// What it tells of.
    pub topic: String,
    /// What is sent.
    pub payload: String,
    /// How far it is.
    pub state: DeliveryState,
    /// Attempts since it was made or sent again.
    pub attempts: u32,
    /// The latest attempts, the oldest first.
    pub log: Vec<Attempt>,
    /// When the next attempt is due.
    pub next_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A message that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id.
    pub id: MessageId,
    /// To whom.
    pub webhook: WebhookId,
    /// The event that it tells of.
    pub seq: Option<u64>,
    /// What it tells of.
    pub topic: String,
    /// What is sent.
    pub payload: String,
}

/// A message that this process may send, and nobody else until its lease runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedDelivery {
    /// The message.
    pub delivery: Delivery,
    /// The process.
    holder: String,
    fence: i64,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Delivered,
    /// It is to be sent again then; the webhook wants to be left alone until `rest_until`.
    Again {
        /// When.
        at: Timestamp,
        /// Until when nothing else is sent to it either.
        rest_until: Option<Timestamp>,
    },
    /// It is given up.
    Failed {
        /// Nothing is sent to the webhook any more, for this reason.
        disable: Option<&'static str>,
    },
}

impl Catalog {
    /// Records what is to be sent of all events up to `seq`, and that they were looked at, together; false if another
    /// process has the right by now. A webhook for which too much waits is disabled.
    pub async fn fan_out(
        &self,
        hold: OutboxHold<'_>,
        seq: u64,
        messages: &[NewDelivery],
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        if !tx.move_reader(hold, seq).await? {
            return Ok(false);
        }
        for message in messages {
            tx.add_delivery(message, now).await?;
        }
        let mut webhooks: Vec<WebhookId> = messages.iter().map(|message| message.webhook).collect();
        webhooks.sort_unstable();
        webhooks.dedup();
        for webhook in webhooks {
            let waiting: Option<Number> = tx.row(sql::webhooks::PENDING, args![webhook]).await?;
            if waiting.is_some_and(|row| u64::try_from(row.number).unwrap_or(0) > PENDING_MAX) {
                tx.disable_webhook(webhook, "too much waits for it", now).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Has one message sent that tells of no event.
    ///
    /// # Errors
    /// [`CatalogError::NoWebhook`] if there is none, [`CatalogError::TooManyMessages`] if too much waits for it.
    pub async fn send_message(&self, message: &NewDelivery, now: Timestamp) -> Result<Delivery, CatalogError> {
        let id = message.webhook;
        let mut tx = self.begin().await?;
        if tx.row::<WebhookRow>(sql::webhooks::BY_ID, args![id]).await?.is_none() {
            return Err(CatalogError::NoWebhook(id));
        }
        tx.check_pending(id).await?;
        tx.add_delivery(message, now).await?;
        let row: Option<DeliveryRow> = tx.row(sql::webhooks::DELIVERY, args![message.id, id]).await?;
        tx.commit().await?;
        row.ok_or(CatalogError::NoWebhook(id))?.try_into()
    }

    /// Whether a message is due that nobody sends. Only reads: to be asked before [`claim_delivery`](Self::claim_delivery).
    pub async fn is_delivery_due(&self, now: Timestamp) -> Result<bool, CatalogError> {
        Ok(self.number(sql::webhooks::DUE, args![now]).await? > 0)
    }

    /// Claims the message that is due longest, for `lease`; `None` if none is due. Of each webhook one is sent at a
    /// time, so that one which works is told in order.
    pub async fn claim_delivery(
        &self,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<LeasedDelivery>, CatalogError> {
        let mut tx = self.begin().await?;
        let row: Option<DeliveryRow> = tx.row(sql::webhooks::CLAIM, args![holder, now.plus(lease), now]).await?;
        let Some(row) = row else { return Ok(None) };
        tx.commit().await?;
        let (fence, holder) = (row.fence, holder.to_owned());
        Ok(Some(LeasedDelivery { delivery: row.try_into()?, holder, fence }))
    }

    /// Records what came of sending a message; false if another process has it by now.
    pub async fn settle_delivery(
        &self,
        leased: &LeasedDelivery,
        attempt: Attempt,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let Delivery { id, webhook, ref log, .. } = leased.delivery;
        let mut log = log.clone();
        log.push(attempt);
        let log = &log[log.len().saturating_sub(LOG_MAX)..];
        let (state, next_at) = match outcome {
            Outcome::Delivered => (DeliveryState::Delivered, now),
            Outcome::Again { at, .. } => (DeliveryState::Pending, at),
            Outcome::Failed { .. } => (DeliveryState::Failed, now),
        };
        let mut tx = self.begin().await?;
        let text = json("webhook_deliveries.log", &log)?;
        let args = args![id, leased.holder.as_str(), leased.fence, state.as_str(), text, next_at, now];
        if tx.execute(sql::webhooks::SETTLE, args).await? != 1 {
            return Ok(false);
        }
        match outcome {
            Outcome::Delivered => {
                tx.execute(sql::webhooks::SUCCEEDED, args![webhook, now]).await?;
            }
            Outcome::Again { rest_until: Some(until), .. } => {
                tx.execute(sql::webhooks::REST, args![webhook, until]).await?;
            }
            Outcome::Again { rest_until: None, .. } => {}
            Outcome::Failed { disable: Some(reason) } => tx.disable_webhook(webhook, reason, now).await?,
            Outcome::Failed { disable: None } => {
                let data = json!({ "webhook": webhook, "message": id, "topic": leased.delivery.topic });
                tx.event_of_webhook(webhook, "webhook.failed", data, now).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Ends the leases that an earlier run of this process left behind.
    pub async fn release_deliveries(&self, holder: &str) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let released = tx.execute(sql::webhooks::RELEASE, args![holder]).await?;
        tx.commit().await?;
        Ok(released)
    }

    /// One message of a webhook.
    pub async fn delivery(&self, id: MessageId, webhook: WebhookId) -> Result<Option<Delivery>, CatalogError> {
        let row: Option<DeliveryRow> = self.row(sql::webhooks::DELIVERY, args![id, webhook]).await?;
        row.map(Delivery::try_from).transpose()
    }

    /// At most `limit` (and [`PAGE_DELIVERIES_MAX`] + 1) messages of a webhook on one side of another, the
    /// latest first.
    pub async fn deliveries(
        &self,
        webhook: WebhookId,
        state: Option<DeliveryState>,
        side: Option<Side<MessageId>>,
        limit: u32,
    ) -> Result<Vec<Delivery>, CatalogError> {
        let (place, way) = Side::or_first(side, MessageId::from_u128(u128::MAX));
        let state = state.map_or("%", DeliveryState::as_str);
        let args = args![webhook, place, state, limit.min(PAGE_DELIVERIES_MAX + 1)];
        let statements = [sql::webhooks::DELIVERIES, sql::webhooks::DELIVERIES_BEFORE];
        let rows: Vec<DeliveryRow> = self.page(way, statements, args).await?;
        rows.into_iter().map(Delivery::try_from).collect()
    }

    /// Sends a message again; `None` if there is no such one. One that waits for its next attempt waits no longer.
    ///
    /// # Errors
    /// [`CatalogError::TooManyMessages`] if too much waits for the webhook.
    pub async fn replay_delivery(
        &self,
        id: MessageId,
        webhook: WebhookId,
        now: Timestamp,
    ) -> Result<Option<Delivery>, CatalogError> {
        let mut tx = self.begin().await?;
        tx.check_pending(webhook).await?;
        tx.execute(sql::webhooks::REPLAY, args![id, webhook, now]).await?;
        let row: Option<DeliveryRow> = tx.row(sql::webhooks::DELIVERY, args![id, webhook]).await?;
        tx.commit().await?;
        row.map(Delivery::try_from).transpose()
    }

    /// Sends messages again that were made from `since` on and before `until` and are over, at most [`REPLAY_MAX`], the
    /// oldest first; how many they are.
    ///
    /// # Errors
    /// [`CatalogError::TooManyMessages`] if too much waits for the webhook.
    pub async fn replay_deliveries(
        &self,
        webhook: WebhookId,
        (since, until): (Timestamp, Timestamp),
        state: Option<DeliveryState>,
        now: Timestamp,
    ) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        tx.check_pending(webhook).await?;
        let state = state.map_or("%", DeliveryState::as_str);
        let args = args![webhook, since, until, now, REPLAY_MAX, state];
        let count = tx.execute(sql::webhooks::REPLAY_RANGE, args).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// Forgets messages that were made before `before`, and of each webhook all but the latest.
    pub async fn prune_deliveries(&self, before: Timestamp) -> Result<u64, CatalogError> {
        let webhooks = self.enabled_webhooks().await?;
        let mut tx = self.begin().await?;
        let mut pruned = tx.execute(sql::webhooks::PRUNE, args![before]).await?;
        for webhook in webhooks {
            pruned += tx.execute(sql::webhooks::PRUNE_MANY, args![webhook.id, REMEMBERED_MAX]).await?;
        }
        tx.commit().await?;
        Ok(pruned)
    }
}

impl Tx {
    async fn check_pending(&mut self, webhook: WebhookId) -> Result<(), CatalogError> {
        let waiting: Option<Number> = self.row(sql::webhooks::PENDING, args![webhook]).await?;
        let waiting = waiting.map_or(0, |row| u64::try_from(row.number).unwrap_or(0));
        if waiting >= PENDING_MAX { Err(CatalogError::TooManyMessages(webhook)) } else { Ok(()) }
    }

    async fn add_delivery(&mut self, message: &NewDelivery, now: Timestamp) -> Result<(), CatalogError> {
        let seq = message.seq.map(column).transpose()?;
        let (topic, payload) = (message.topic.as_str(), message.payload.as_str());
        let args = args![message.id, message.webhook, seq, topic, payload, now];
        self.execute(sql::webhooks::DELIVERY_INSERT, args).await.map(|_| ())
    }
}

/// `webhook_deliveries` as stored.
#[derive(sqlx::FromRow)]
struct DeliveryRow {
    id: String,
    webhook_id: String,
    seq: Option<i64>,
    topic: String,
    payload: String,
    state: String,
    attempts: i64,
    log: String,
    next_at: i64,
    fence: i64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = CatalogError;

    fn try_from(row: DeliveryRow) -> Result<Self, CatalogError> {
        let state = DeliveryState::named(&row.state);
        Ok(Self {
            id: parsed("webhook_deliveries.id", &row.id)?,
            webhook: parsed("webhook_deliveries.webhook_id", &row.webhook_id)?,
            seq: row.seq.map(|seq| count("webhook_deliveries.seq", seq)).transpose()?,
            topic: row.topic,
            payload: row.payload,
            state: state.ok_or_else(|| corrupt("webhook_deliveries.state", &row.state))?,
            attempts: count32("webhook_deliveries.attempts", row.attempts)?,
            log: document("webhook_deliveries.log", &row.log)?,
            next_at: Timestamp::from_unix_ms(row.next_at),
            created_at: Timestamp::from_unix_ms(row.created_at),
            updated_at: Timestamp::from_unix_ms(row.updated_at),
        })
    }
}
