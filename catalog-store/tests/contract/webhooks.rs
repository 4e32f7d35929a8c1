//! Whom events are sent to, and what becomes of each message.

use std::time::Duration;

use catalog_store::webhooks::{PENDING_MAX, READER, WEBHOOKS_MAX};
use catalog_store::{
    Attempt, CatalogError, DeliveryState, NewDelivery, NewWebhook, OutboxHold, Outcome, Side, Webhook, WebhookChange,
};
use domain::{MessageId, WebhookId};

use crate::harness::{World, at};

const LEASE: Duration = Duration::from_secs(60);
const HOLD: OutboxHold<'static> = OutboxHold { reader: READER, holder: "a" };

fn new_webhook(id: u128, owner: &str) -> NewWebhook {
    NewWebhook {
        id: WebhookId::from_u128(id),
        owner: owner.into(),
        url: "https://example.org/hook".into(),
        description: "a".into(),
        topics: "asset.*".parse().unwrap(),
        secret: "whsec_a".into(),
    }
}

async fn webhook(world: &World, id: u128, owner: &str) -> Webhook {
    world.catalog.create_webhook(&new_webhook(id, owner), at(0)).await.unwrap()
}

fn message(id: u128, webhook: &Webhook, seq: Option<u64>) -> NewDelivery {
    let (id, webhook) = (MessageId::from_u128(id), webhook.id);
    NewDelivery { id, webhook, seq, topic: "asset.ready".into(), payload: "{}".into() }
}

fn attempt(status: Option<u16>) -> Attempt {
    Attempt { at: at(9), status, error: status.is_none().then(|| "away".into()), elapsed_ms: 5 }
}

pub(crate) async fn a_webhook_is_changed_at_the_version_that_was_read(world: World) {
    world.received().await;
    let made = webhook(&world, 1, "ada").await;
    assert_eq!(made.since_seq, world.catalog.last_event().await.unwrap());
    assert_eq!((made.version, made.disabled_reason.as_deref()), (1, None));
    let change = WebhookChange {
        url: "https://example.org/other".into(),
        description: String::new(),
        topics: "#".parse().unwrap(),
        is_enabled: false,
    };
    let changed = world.catalog.change_webhook((made.id, 1), &change, at(1)).await.unwrap();
    assert_eq!(
        (changed.url.as_str(), changed.version, changed.topics.to_string()),
        ("https://example.org/other", 2, "#".into())
    );
    assert!(changed.disabled_reason.is_some());
    assert!(world.catalog.enabled_webhooks().await.unwrap().is_empty());
    let late = world.catalog.change_webhook((made.id, 1), &change, at(2)).await;
    assert!(matches!(late, Err(CatalogError::Changed { version: 2 })), "{late:?}");
    let rotated = world.catalog.rotate_webhook(made.id, "whsec_b", at(100), at(3)).await.unwrap();
    assert_eq!(world.catalog.webhook_secrets(&rotated, at(99)).unwrap(), ["whsec_b", "whsec_a"]);
    assert_eq!(world.catalog.webhook_secrets(&rotated, at(100)).unwrap(), ["whsec_b"]);
    assert!(!world.catalog.delete_webhook((made.id, None), "bob", at(4)).await.unwrap());
    let late = world.catalog.delete_webhook((made.id, Some(2)), "ada", at(4)).await;
    assert!(matches!(late, Err(CatalogError::Changed { version: 3 })), "{late:?}");
    assert_eq!(world.catalog.webhook(made.id).await.unwrap().map(|webhook| webhook.version), Some(3));
    assert!(world.catalog.delete_webhook((made.id, Some(3)), "ada", at(4)).await.unwrap());
    assert_eq!(world.catalog.webhook(made.id).await.unwrap(), None);
    let actions: Vec<String> =
        world.catalog.audit_log(None, 10).await.unwrap().into_iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["webhook.deleted", "webhook.secret_rotated", "webhook.changed", "webhook.created"]);
}

pub(crate) async fn somebody_has_so_many_webhooks(world: World) {
    for id in 1..=u128::from(WEBHOOKS_MAX) {
        webhook(&world, id, "ada").await;
    }
    let more = world.catalog.create_webhook(&new_webhook(99, "ada"), at(0)).await;
    assert!(matches!(more, Err(CatalogError::TooManyWebhooks)), "{more:?}");
    webhook(&world, 100, "bob").await;
    assert_eq!(world.catalog.webhooks_of("ada").await.unwrap().len() as u64, WEBHOOKS_MAX);
    assert_eq!(world.catalog.webhooks_of("bob").await.unwrap().len(), 1);
}

pub(crate) async fn an_event_becomes_one_message_by_whoever_has_the_right(world: World) {
    let hook = webhook(&world, 1, "ada").await;
    let other = world.another_process().await;
    let known = world.catalog.hold_reader(HOLD, LEASE, at(0)).await.unwrap().unwrap();
    world.received().await;
    let last = world.catalog.last_event().await.unwrap();
    assert!(known.seq < last, "the place is there since the first webhook");
    let stranger = OutboxHold { holder: "b", ..HOLD };
    assert!(!other.catalog.fan_out(stranger, last, &[message(1, &hook, Some(last))], at(1)).await.unwrap());
    assert!(world.catalog.fan_out(HOLD, last, &[message(2, &hook, Some(last))], at(1)).await.unwrap());
    // Whoever looks at the same event again adds nothing.
    assert!(world.catalog.fan_out(HOLD, last, &[message(3, &hook, Some(last))], at(2)).await.unwrap());
    let found = world.catalog.deliveries(hook.id, None, None, 10).await.unwrap();
    assert_eq!(found.iter().map(|one| one.id).collect::<Vec<_>>(), [MessageId::from_u128(2)]);
    assert_eq!(world.catalog.purge_targets().await.unwrap(), [], "it is no cache in front");
    // Of what came at once the earlier event goes first, whatever the ids are.
    assert!(world.catalog.fan_out(HOLD, last, &[message(9, &hook, Some(last - 1))], at(1)).await.unwrap());
    let first = world.catalog.claim_delivery("a", LEASE, at(1)).await.unwrap().unwrap();
    assert_eq!(first.delivery.id, MessageId::from_u128(9));
}

pub(crate) async fn a_message_has_one_sender_until_its_lease_runs_out(world: World) {
    let hook = webhook(&world, 1, "ada").await;
    let other = world.another_process().await;
    world.catalog.send_message(&message(1, &hook, None), at(0)).await.unwrap();
    world.catalog.send_message(&message(2, &hook, None), at(0)).await.unwrap();
    assert!(world.catalog.is_delivery_due(at(0)).await.unwrap());
    let leased = world.catalog.claim_delivery("a", LEASE, at(0)).await.unwrap().unwrap();
    assert_eq!(leased.delivery.id, MessageId::from_u128(1), "the oldest first");
    assert!(!world.catalog.is_delivery_due(at(0)).await.unwrap());
    assert_eq!(other.catalog.claim_delivery("b", LEASE, at(1)).await.unwrap(), None, "one at a time");
    let taken = other.catalog.claim_delivery("b", LEASE, at(60_001)).await.unwrap().unwrap();
    assert_eq!(taken.delivery.id, leased.delivery.id);
    let delivered = Outcome::Delivered;
    assert!(!world.catalog.settle_delivery(&leased, attempt(Some(200)), delivered.clone(), at(60_002)).await.unwrap());
    assert!(other.catalog.settle_delivery(&taken, attempt(Some(200)), delivered.clone(), at(60_002)).await.unwrap());
    assert!(!other.catalog.settle_delivery(&taken, attempt(Some(200)), delivered, at(60_003)).await.unwrap(), "once");
    let known = world.catalog.delivery(taken.delivery.id, hook.id).await.unwrap().unwrap();
    assert_eq!((known.state, known.attempts, known.log), (DeliveryState::Delivered, 1, vec![attempt(Some(200))]));
    assert_eq!(world.catalog.webhook(hook.id).await.unwrap().unwrap().succeeded_at, Some(at(60_002)));
    let next = world.catalog.claim_delivery("a", LEASE, at(60_003)).await.unwrap().unwrap();
    assert_eq!(next.delivery.id, MessageId::from_u128(2));
    assert_eq!(world.catalog.release_deliveries("a").await.unwrap(), 1);
    assert!(other.catalog.claim_delivery("b", LEASE, at(60_004)).await.unwrap().is_some());
}

pub(crate) async fn parallel_senders_share_messages_out_among_them(world: World) {
    for id in 1..=8u128 {
        let hook = webhook(&world, id, &format!("owner {id}")).await;
        world.catalog.send_message(&message(id, &hook, None), at(0)).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for holder in ["a", "b", "c", "d"] {
        let catalog = world.another_process().await.catalog;
        tasks.spawn(async move {
            let mut mine = Vec::new();
            // Somebody may be faster: then there is still something due.
            while catalog.is_delivery_due(at(0)).await.unwrap() {
                if let Some(leased) = catalog.claim_delivery(holder, LEASE, at(0)).await.unwrap() {
                    mine.push(leased.delivery.id);
                }
            }
            mine
        });
    }
    let mut all = tasks.join_all().await.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=8).map(MessageId::from_u128).collect::<Vec<_>>());
}

pub(crate) async fn what_is_not_taken_is_due_again_and_a_webhook_that_rests_is_left_alone(world: World) {
    let hook = webhook(&world, 1, "ada").await;
    world.catalog.send_message(&message(1, &hook, None), at(0)).await.unwrap();
    world.catalog.send_message(&message(2, &hook, None), at(1)).await.unwrap();
    let claim = async |now| world.catalog.claim_delivery("a", LEASE, at(now)).await.unwrap();
    let first = claim(1).await.unwrap();
    let again = Outcome::Again { at: at(5000), rest_until: None };
    assert!(world.catalog.settle_delivery(&first, attempt(None), again, at(2)).await.unwrap());
    let second = claim(3).await.unwrap();
    assert_eq!(second.delivery.id, MessageId::from_u128(2), "others go on");
    let again = Outcome::Again { at: at(5000), rest_until: Some(at(9000)) };
    assert!(world.catalog.settle_delivery(&second, attempt(Some(429)), again, at(4)).await.unwrap());
    assert_eq!(claim(8999).await, None);
    let first = claim(9000).await.unwrap();
    assert_eq!((first.delivery.id, first.delivery.attempts), (MessageId::from_u128(1), 1));
    let failed = Outcome::Failed { disable: Some("because") };
    assert!(world.catalog.settle_delivery(&first, attempt(Some(410)), failed, at(9001)).await.unwrap());
    assert_eq!(claim(9002).await, None, "nothing is sent to it any more");
    let known = world.catalog.webhook(hook.id).await.unwrap().unwrap();
    assert_eq!(known.disabled_reason.as_deref(), Some("because"));
    let last = world.catalog.events_after(0, 1000).await.unwrap().pop().unwrap();
    assert_eq!((last.topic.as_str(), last.asset, last.user), ("webhook.disabled", None, None));
    let change = WebhookChange { url: known.url, description: String::new(), topics: known.topics, is_enabled: true };
    world.catalog.change_webhook((hook.id, known.version), &change, at(9003)).await.unwrap();
    assert!(claim(9003).await.is_some(), "what waits is sent once it is enabled");
}

pub(crate) async fn messages_are_sent_again_one_by_one_and_by_time(world: World) {
    let hook = webhook(&world, 1, "ada").await;
    for id in 1..=4u128 {
        let now = at(1000 * i64::try_from(id).unwrap());
        world.catalog.send_message(&message(id, &hook, None), now).await.unwrap();
        let leased = world.catalog.claim_delivery("a", LEASE, now).await.unwrap().unwrap();
        let outcome = if id == 2 { Outcome::Failed { disable: None } } else { Outcome::Delivered };
        world.catalog.settle_delivery(&leased, attempt(Some(200)), outcome, now).await.unwrap();
    }
    let pending = async || {
        let found = world.catalog.deliveries(hook.id, Some(DeliveryState::Pending), None, 10).await.unwrap();
        found.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    let id = MessageId::from_u128;
    let replayed = world.catalog.replay_delivery(id(3), hook.id, at(5000)).await.unwrap().unwrap();
    assert_eq!((replayed.state, replayed.attempts, replayed.next_at), (DeliveryState::Pending, 0, at(5000)));
    assert_eq!(world.catalog.replay_delivery(id(9), hook.id, at(5000)).await.unwrap(), None);
    assert_eq!(pending().await, [id(3)]);
    // One that waits for its next attempt is sent at once, and keeps the attempts that it had.
    let leased = world.catalog.claim_delivery("a", LEASE, at(5000)).await.unwrap().unwrap();
    let later = Outcome::Again { at: at(900_000), rest_until: None };
    world.catalog.settle_delivery(&leased, attempt(Some(500)), later, at(5000)).await.unwrap();
    assert_eq!(world.catalog.claim_delivery("a", LEASE, at(5500)).await.unwrap(), None);
    let replayed = world.catalog.replay_delivery(id(3), hook.id, at(5500)).await.unwrap().unwrap();
    assert_eq!((replayed.state, replayed.attempts, replayed.next_at), (DeliveryState::Pending, 1, at(5500)));
    let again = world.catalog.replay_delivery(id(3), hook.id, at(5600)).await.unwrap().unwrap();
    assert_eq!(again.next_at, at(5500), "what is due stays so");
    let leased = world.catalog.claim_delivery("a", LEASE, at(5600)).await.unwrap().unwrap();
    assert_eq!((leased.delivery.id, leased.delivery.attempts), (id(3), 1));
    world.catalog.release_deliveries("a").await.unwrap();
    let range = (at(1000), at(4000));
    assert_eq!(
        world.catalog.replay_deliveries(hook.id, range, Some(DeliveryState::Failed), at(6000)).await.unwrap(),
        1
    );
    assert_eq!(pending().await, [id(3), id(2)]);
    assert_eq!(world.catalog.replay_deliveries(hook.id, range, None, at(6000)).await.unwrap(), 1);
    assert_eq!(pending().await, [id(3), id(2), id(1)]);
    let page = world.catalog.deliveries(hook.id, None, Some(Side::After(id(3))), 1).await.unwrap();
    assert_eq!(page[0].id, id(2));
    assert_eq!(world.catalog.prune_deliveries(at(3000)).await.unwrap(), 2);
    assert_eq!(world.catalog.deliveries(hook.id, None, None, 10).await.unwrap().len(), 2);
}

pub(crate) async fn a_webhook_for_which_too_much_waits_is_disabled(world: World) {
    let hook = webhook(&world, 1, "ada").await;
    world.catalog.hold_reader(HOLD, LEASE, at(0)).await.unwrap().unwrap();
    for start in (0..PENDING_MAX).step_by(1000) {
        let many: Vec<NewDelivery> =
            (start + 1..=start + 1000).map(|nth| message(nth.into(), &hook, Some(nth))).collect();
        assert!(world.catalog.fan_out(HOLD, start + 1000, &many, at(1)).await.unwrap());
    }
    assert_eq!(world.catalog.webhook(hook.id).await.unwrap().unwrap().disabled_reason, None);
    let test = world.catalog.send_message(&message(99_999, &hook, None), at(2)).await;
    assert!(matches!(test, Err(CatalogError::TooManyMessages(_))), "{test:?}");
    let one = [message(50_000, &hook, Some(50_000))];
    assert!(world.catalog.fan_out(HOLD, 50_000, &one, at(2)).await.unwrap());
    let known = world.catalog.webhook(hook.id).await.unwrap().unwrap();
    assert_eq!(known.disabled_reason.as_deref(), Some("too much waits for it"));
}

pub(crate) async fn what_waits_and_since_when_is_known(world: World) {
    let outgoing = async || world.catalog.outgoing().await.unwrap();
    assert_eq!(outgoing().await, catalog_store::Outgoing::default());
    let (hook, other) = (webhook(&world, 1, "ada").await, webhook(&world, 2, "ada").await);
    world.catalog.send_message(&message(1, &hook, None), at(5)).await.unwrap();
    world.catalog.send_message(&message(2, &hook, None), at(6)).await.unwrap();
    world.catalog.send_message(&message(3, &other, None), at(3)).await.unwrap();
    let found = outgoing().await;
    assert_eq!((found.webhooks, found.webhooks_off, found.letters), (2, 0, 0));
    assert_eq!((found.of(DeliveryState::Pending), found.oldest_message), (3, Some(at(3))));
    let off = WebhookChange {
        url: other.url.clone(),
        description: String::new(),
        topics: "#".parse().unwrap(),
        is_enabled: false,
    };
    world.catalog.change_webhook((other.id, other.version), &off, at(7)).await.unwrap();
    let found = outgoing().await;
    assert_eq!((found.webhooks_off, found.of(DeliveryState::Pending), found.oldest_message), (1, 2, Some(at(5))));
    let leased = world.catalog.claim_delivery("a", LEASE, at(8)).await.unwrap().expect("it is due");
    world.catalog.settle_delivery(&leased, attempt(Some(200)), Outcome::Delivered, at(9)).await.unwrap();
    let found = outgoing().await;
    assert_eq!((found.of(DeliveryState::Delivered), found.of(DeliveryState::Pending)), (1, 1));
    assert_eq!((found.of(DeliveryState::Failed), found.oldest_message), (0, Some(at(6))));
}
