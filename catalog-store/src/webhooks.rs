//! Whom events are sent to, and what became of each message.
//!
//! The events are fanned out in order: whoever has the right to it writes a row for each webhook that wants an event,
//! in the transaction that moves its place in the events. From there each message is claimed, sent and settled on its
//! own, under a lease, until it was taken or given up. A process that is killed in between sends it again.

use domain::{Timestamp, Topics, UserId, WebhookId};
use serde_json::json;

use crate::audit::Note;
use crate::catalog::{Number, Tx};
use crate::engine::{args, count, parsed};
use crate::{Catalog, CatalogError, Sealed, sql};

mod deliveries;
mod waiting;

pub use deliveries::{
    Attempt, Delivery, DeliveryState, LeasedDelivery, NewDelivery, Outcome, PAGE_DELIVERIES_MAX, PENDING_MAX,
    REMEMBERED_MAX, REPLAY_MAX,
};
pub use waiting::Outgoing;

/// Webhooks of one principal.
pub const WEBHOOKS_MAX: u64 = 16;
/// Who fans out events to webhooks.
pub const READER: &str = "@webhooks";

/// Whom events are sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// The principal whose it is.
    pub owner: String,
    /// Where messages are sent.
    pub url: String,
    /// What its owner says of it.
    pub description: String,
    /// What it is told of.
    pub topics: Topics,
    /// What messages are signed with ([`Catalog::webhook_secrets`]).
    pub secret: Sealed,
    /// What they are signed with as well, until then.
    pub previous_secret: Option<(Sealed, Timestamp)>,
    /// It is told of events after this one.
    pub since_seq: u64,
    /// Why nothing is sent any more; `None` while it is.
    pub disabled_reason: Option<String>,
    /// It wants to be left alone until then.
    pub rests_until: Timestamp,
    /// When it last took something.
    pub succeeded_at: Option<Timestamp>,
    /// Rises with every change by its owner, and when it is disabled.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Without its secrets.
impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("id", &self.id).field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// A webhook that is made.
#[derive(Clone)]
pub struct NewWebhook {
    /// Its id.
    pub id: WebhookId,
    /// Whose it is.
    pub owner: String,
    /// Where messages are sent.
    pub url: String,
    /// What its owner says of it.
    pub description: String,
    /// What it is told of.
    pub topics: Topics,
    /// What messages are signed with.
    pub secret: String,
}

/// What its owner changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookChange {
    /// Where messages are sent.
    pub url: String,
    /// What its owner says of it.
    pub description: String,
    /// What it is told of.
    pub topics: Topics,
    /// Whether anything is sent.
    pub is_enabled: bool,
}

impl Catalog {
    /// Makes a webhook; it is told of what happens from here on.
    ///
    /// # Errors
    /// [`CatalogError::TooManyWebhooks`] if its owner has as many as one may, [`CatalogError::AccountGone`].
    pub async fn create_webhook(&self, new: &NewWebhook, now: Timestamp) -> Result<Webhook, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(note(&new.owner, "webhook.created", new.id), now).await?;
        tx.hold_owner(Some(&new.owner)).await?;
        let known: Option<Number> = tx.row(sql::webhooks::COUNT, args![new.owner.as_str()]).await?;
        if known.is_some_and(|row| u64::try_from(row.number).unwrap_or(0) >= WEBHOOKS_MAX) {
            return Err(CatalogError::TooManyWebhooks);
        }
        let (url, description) = (new.url.as_str(), new.description.as_str());
        let (topics, secret) = (new.topics.to_string(), self.sealed("webhooks", new.id, &new.secret)?);
        let args = args![new.id, new.owner.as_str(), url, description, topics, secret, now];
        tx.execute(sql::webhooks::INSERT, args).await?;
        // Whoever fans out may not have run yet.
        tx.execute(sql::outbox::ADD, args![READER]).await?;
        tx.commit_webhook(new.id).await
    }

    /// The webhook with this id.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, CatalogError> {
        let row: Option<WebhookRow> = self.row(sql::webhooks::BY_ID, args![id]).await?;
        row.map(Webhook::try_from).transpose()
    }

    /// What messages to a webhook are signed with at this time, the present secret first.
    ///
    /// # Errors
    /// [`CatalogError::Unopened`] if one is not what was sealed for this webhook.
    pub fn webhook_secrets(&self, webhook: &Webhook, now: Timestamp) -> Result<Vec<String>, CatalogError> {
        let previous = webhook.previous_secret.as_ref().filter(|(_, until)| *until > now).map(|(secret, _)| secret);
        let secrets = std::iter::once(&webhook.secret).chain(previous);
        secrets.map(|secret| self.opened("webhooks", webhook.id, secret)).collect()
    }

    /// All webhooks of a principal, newest first.
    pub async fn webhooks_of(&self, owner: &str) -> Result<Vec<Webhook>, CatalogError> {
        let rows: Vec<WebhookRow> = self.rows(sql::webhooks::OF_OWNER, args![owner]).await?;
        rows.into_iter().map(Webhook::try_from).collect()
    }

    /// All webhooks that are sent to.
    pub async fn enabled_webhooks(&self) -> Result<Vec<Webhook>, CatalogError> {
        let rows: Vec<WebhookRow> = self.rows(sql::webhooks::ENABLED, args![]).await?;
        rows.into_iter().map(Webhook::try_from).collect()
    }

    /// Changes a webhook, if it is still at `version`. What waits for one that is enabled again is sent.
    ///
    /// # Errors
    /// [`CatalogError::Changed`] if it is not, [`CatalogError::NoWebhook`] if it is gone.
    pub async fn change_webhook(
        &self,
        (id, version): (WebhookId, u64),
        change: &WebhookChange,
        now: Timestamp,
    ) -> Result<Webhook, CatalogError> {
        let mut tx = self.begin().await?;
        let owner = tx.owner_of_webhook(id).await?;
        tx.audit(note(&owner, "webhook.changed", id), now).await?;
        let known = tx.lock_webhook(id, Some(version), now).await?;
        let reason = match (change.is_enabled, known.disabled_reason) {
            (true, _) => None,
            (false, Some(reason)) => Some(reason),
            (false, None) => Some("by its owner".to_owned()),
        };
        let (url, description) = (change.url.as_str(), change.description.as_str());
        tx.execute(sql::webhooks::SET, args![id, url, description, change.topics.to_string(), reason]).await?;
        tx.commit_webhook(id).await
    }

    /// Gives a webhook another secret; messages are signed with the one before it as well, until then.
    ///
    /// # Errors
    /// [`CatalogError::NoWebhook`] if it is gone.
    pub async fn rotate_webhook(
        &self,
        id: WebhookId,
        secret: &str,
        previous_until: Timestamp,
        now: Timestamp,
    ) -> Result<Webhook, CatalogError> {
        let mut tx = self.begin().await?;
        let owner = tx.owner_of_webhook(id).await?;
        tx.audit(note(&owner, "webhook.secret_rotated", id), now).await?;
        let known = tx.lock_webhook(id, None, now).await?;
        let secret = self.sealed("webhooks", id, secret)?;
        tx.execute(sql::webhooks::SET_SECRETS, args![id, secret, known.secret.as_str(), previous_until]).await?;
        tx.commit_webhook(id).await
    }

    /// Removes a webhook of this owner, if it is still at `version` where one is named, and all that waits for it; false
    /// if there is none.
    ///
    /// # Errors
    /// [`CatalogError::Changed`]; [`CatalogError::NoWebhook`] where a version is named.
    pub async fn delete_webhook(
        &self,
        (id, version): (WebhookId, Option<u64>),
        owner: &str,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(note(owner, "webhook.deleted", id), now).await?;
        if version.is_some() {
            tx.lock_webhook(id, version, now).await?;
        }
        if tx.execute(sql::webhooks::DELETE, args![id, owner]).await? != 1 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }
}

impl Tx {
    async fn owner_of_webhook(&mut self, id: WebhookId) -> Result<String, CatalogError> {
        let row: Option<WebhookRow> = self.row(sql::webhooks::BY_ID, args![id]).await?;
        Ok(row.ok_or(CatalogError::NoWebhook(id))?.owner)
    }

    async fn lock_webhook(
        &mut self,
        id: WebhookId,
        version: Option<u64>,
        now: Timestamp,
    ) -> Result<Webhook, CatalogError> {
        let row: Option<WebhookRow> = self.row(sql::webhooks::LOCK, args![id, now]).await?;
        let webhook = Webhook::try_from(row.ok_or(CatalogError::NoWebhook(id))?)?;
        // The row is one further than it was.
        match version {
            Some(version) if version + 1 != webhook.version => {
                Err(CatalogError::Changed { version: webhook.version - 1 })
            }
            _ => Ok(webhook),
        }
    }

    async fn commit_webhook(mut self, id: WebhookId) -> Result<Webhook, CatalogError> {
        let row: Option<WebhookRow> = self.row(sql::webhooks::BY_ID, args![id]).await?;
        let webhook = Webhook::try_from(row.ok_or(CatalogError::NoWebhook(id))?)?;
        self.commit().await?;
        Ok(webhook)
    }

    async fn disable_webhook(
        &mut self,
        id: WebhookId,
        reason: &'static str,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        if self.execute(sql::webhooks::DISABLE, args![id, reason, now]).await? == 1 {
            self.event_of_webhook(id, "webhook.disabled", json!({ "webhook": id, "reason": reason }), now).await?;
        }
        Ok(())
    }

    /// Tells the owner of a webhook something.
    async fn event_of_webhook(
        &mut self,
        id: WebhookId,
        topic: &str,
        data: serde_json::Value,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let row: Option<WebhookRow> = self.row(sql::webhooks::BY_ID, args![id]).await?;
        let owner = row.and_then(|row| row.owner.parse::<UserId>().ok());
        self.event_for(owner, now, topic, None, data);
        Ok(())
    }
}

fn note<'a>(actor: &'a str, action: &'a str, webhook: WebhookId) -> Note<'a> {
    Note { actor, action, subject: Some(webhook.to_string()), data: json!({}) }
}

/// `webhooks` as stored.
#[derive(sqlx::FromRow)]
struct WebhookRow {
    id: String,
    owner: String,
    url: String,
    description: String,
    topics: String,
    secret: String,
    previous_secret: Option<String>,
    previous_until: Option<i64>,
    since_seq: i64,
    disabled_reason: Option<String>,
    rests_until: i64,
    succeeded_at: Option<i64>,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<WebhookRow> for Webhook {
    type Error = CatalogError;

    fn try_from(row: WebhookRow) -> Result<Self, CatalogError> {
        let until = row.previous_until.map(Timestamp::from_unix_ms);
        Ok(Self {
            id: parsed("webhooks.id", &row.id)?,
            owner: row.owner,
            url: row.url,
            description: row.description,
            topics: parsed("webhooks.topics", &row.topics)?,
            secret: Sealed::stored(row.secret),
            previous_secret: row.previous_secret.map(Sealed::stored).zip(until),
            since_seq: count("webhooks.since_seq", row.since_seq)?,
            disabled_reason: row.disabled_reason,
            rests_until: Timestamp::from_unix_ms(row.rests_until),
            succeeded_at: row.succeeded_at.map(Timestamp::from_unix_ms),
            version: count("webhooks.version", row.version)?,
            created_at: Timestamp::from_unix_ms(row.created_at),
            updated_at: Timestamp::from_unix_ms(row.updated_at),
        })
    }
}
