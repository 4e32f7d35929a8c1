//! The task that turns events into messages, in order, from a place that survives it.
//!
//! Messages are recorded in the transaction that moves the place, so an event becomes one message for each webhook that
//! wants it, whatever is killed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use catalog_api::webhooks::payload_of;
use catalog_store::webhooks::READER;
use catalog_store::{Catalog, CatalogError, Event, NewDelivery, OutboxHold, OutboxReader, User, UserState, Webhook};
use domain::authority::{Action, Member, Resource};
use domain::{Clock, MessageId, Principal, Timestamp, UserId, authorize};
use tokio_util::sync::CancellationToken;

/// Events that are looked at in one go.
const EVENTS_AT_ONCE: u32 = 200;
/// Questions whether a webhook hears of an event, after which no further event is taken: what comes of them is written
/// in one transaction, for which others wait, and long before the right to it ends.
const ASKED_AT_ONCE: usize = 200;
/// Events that nobody is sent, after which the place is recorded anyhow.
const NOISE_MAX: u64 = 500;
/// Time between two looks for events of other processes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rest after a wake-up, so that a burst of changes is read at once.
const QUIET: Duration = Duration::from_millis(50);
/// For how long one process has the right to it.
const HOLD: Duration = Duration::from_secs(60);
/// Time between two looks whether another process has given up the right.
const HOLD_EVERY: Duration = Duration::from_secs(5);
/// How long messages are remembered.
const REMEMBERED: Duration = Duration::from_hours(7 * 24);
/// Time between two looks for older ones.
const PRUNED_EVERY: Duration = Duration::from_hours(1);
/// What happens too often to be sent.
const UNSENT: &str = "asset.progress";

/// Turns events into messages.
pub(crate) struct Fan {
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<dyn Clock>,
    /// The name of this process: the same after it was killed and started anew.
    pub(crate) holder: String,
    /// Nobody is asked for a name, so everybody hears of everything.
    pub(crate) is_open: bool,
}

/// What this process knows of the place that it has the right to.
pub(crate) struct Held {
    known: OutboxReader,
    /// Where it looks on: behind events that nobody is sent.
    seq: u64,
    until: Timestamp,
    prune_at: Timestamp,
}

impl Fan {
    /// Runs until `soft` is cancelled.
    pub(crate) async fn run(self, soft: CancellationToken) {
        let (mut held, mut changed) = (None, self.catalog.changed());
        // Ends with the soft signal; a batch that is cut off is looked at again.
        while !soft.is_cancelled() {
            let pause = match soft.run_until_cancelled(self.step(&mut held)).await {
                Some(Ok(pause)) => pause,
                Some(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "events cannot be turned into messages");
                    HOLD_EVERY
                }
                None => break,
            };
            if pause.is_zero() {
                continue;
            }
            let woken = async {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    // Not while the catalogue fails or another process has the right.
                    _ = changed.changed(), if pause == LOOK_EVERY => tokio::time::sleep(QUIET).await,
                }
            };
            let _ = soft.run_until_cancelled(woken).await;
        }
        if held.is_some() {
            // Another process need not wait for the lease; if that cannot be written, it will.
            let _ = self.catalog.release_reader(self.hold()).await;
        }
    }

    fn hold(&self) -> OutboxHold<'_> {
        OutboxHold { reader: READER, holder: &self.holder }
    }

    /// Does what there is to do, and says how long to wait then.
    pub(crate) async fn step(&self, held: &mut Option<Held>) -> Result<Duration, CatalogError> {
        let now = self.clock.now();
        let prune_at = held.as_ref().map_or(now, |held| held.prune_at);
        let mine = match held.take().filter(|held| now.plus(HOLD / 2) < held.until) {
            Some(mine) => mine,
            None => match self.catalog.hold_reader(self.hold(), HOLD, now).await? {
                Some(known) => Held { seq: known.seq, known, until: now.plus(HOLD), prune_at },
                None => return Ok(HOLD_EVERY),
            },
        };
        let mine = held.insert(mine);
        if mine.prune_at <= now {
            mine.prune_at = now.plus(PRUNED_EVERY);
            let days = i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX);
            let oldest = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(days));
            self.catalog.prune_deliveries(oldest).await?;
        }
        let events = self.catalog.events_after(mine.seq, EVENTS_AT_ONCE).await?;
        if events.is_empty() {
            return Ok(LOOK_EVERY);
        }
        let (messages, last) = self.messages(&events, now).await?;
        if !messages.is_empty() || last - mine.known.seq >= NOISE_MAX {
            if !self.catalog.fan_out(self.hold(), last, &messages, now).await? {
                *held = None;
                return Ok(Duration::ZERO);
            }
            mine.known.seq = last;
            if !messages.is_empty() {
                tracing::debug!(messages = messages.len(), seq = last, "events turned into messages");
            }
        }
        mine.seq = last;
        Ok(Duration::ZERO)
    }

    /// The messages of the first events, and the last of these.
    async fn messages(&self, events: &[Event], now: Timestamp) -> Result<(Vec<NewDelivery>, u64), CatalogError> {
        let webhooks = self.catalog.enabled_webhooks().await?;
        let mut audience = Audience { fan: self, users: HashMap::new() };
        let (mut messages, mut last, mut asked) = (Vec::new(), 0, 0);
        for event in events {
            if asked >= ASKED_AT_ONCE {
                break;
            }
            last = event.seq;
            if event.topic == UNSENT {
                continue;
            }
            for webhook in &webhooks {
                let wants = event.seq > webhook.since_seq && webhook.topics.has(&event.topic);
                asked += usize::from(wants);
                if wants && audience.hears(webhook, event).await? {
                    let id = MessageId::mint(now, self.clock.entropy());
                    let (seq, topic) = (Some(event.seq), event.topic.clone());
                    messages.push(NewDelivery { id, webhook: webhook.id, seq, topic, payload: payload_of(event) });
                }
            }
        }
        // Lists of messages go by their ids: those of one moment in the order of events as well.
        let mut ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
        ids.sort_unstable();
        messages.iter_mut().zip(ids).for_each(|(message, id)| message.id = id);
        Ok((messages, last))
    }
}

/// Who may hear of what, as far as it was asked in one go.
struct Audience<'a> {
    fan: &'a Fan,
    users: HashMap<UserId, Option<User>>,
}

impl Audience<'_> {
    /// Whether the owner of a webhook may hear of an event: by the same rule as on a stream of events, at this moment.
    async fn hears(&mut self, webhook: &Webhook, event: &Event) -> Result<bool, CatalogError> {
        let Ok(owner) = webhook.owner.parse::<UserId>() else {
            return Ok(self.fan.is_open && event.user.is_none());
        };
        if event.user.is_some_and(|user| user != owner) {
            return Ok(false);
        }
        let user = match self.users.get(&owner) {
            Some(known) => known.clone(),
            None => {
                let found = self.fan.catalog.user(owner).await?.filter(|user| user.state == UserState::Active);
                self.users.entry(owner).or_insert(found).clone()
            }
        };
        let Some(user) = user else { return Ok(false) };
        let principal = Principal::User(Member { id: user.id, role: user.role });
        if authorize(&principal, Action::ManageWebhooks, Resource::Service).is_err() {
            return Ok(false);
        }
        if event.user == Some(owner) || !principal.is_confined() {
            return Ok(true);
        }
        let Some(asset) = event.asset else { return Ok(false) };
        let standing = self.fan.catalog.standing(asset, &webhook.owner, self.fan.clock.now()).await?;
        let is_seen = authorize(&principal, Action::ReadAsset, Resource::Asset(standing)).is_ok();
        Ok(is_seen && catalog_store::Audience::of(&event.topic).has(standing))
    }
}
