use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog_store::{Catalog, DeliveryState, NewAsset, NewUser, NewWebhook, Webhook, WebhookChange};
use domain::authority::{Role, Standing};
use domain::{AssetId, ByteSize, Clock, JobId, ManualClock, PlaybackId, Timestamp, Topics, UserId, WebhookId};
use sha2::{Digest, Sha256};

use super::fan::Fan;
use super::post::Rules;
use super::sender::{SCHEDULE_S, Sender};
use crate::purge::double::{Double, Seen, Turn, turn};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A catalogue, a clock that stands still, and receivers that are doubles.
struct Stage {
    catalog: Catalog,
    clock: Arc<ManualClock>,
    rules: Rules,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new(double: &Double) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&format!("sqlite://{}", folder.path().join("catalog.db").display())).await.unwrap();
        catalog.migrate().await.unwrap();
        catalog
            .unlock(catalog_store::SecretKeys::new("a key of the tests, of 32 characters and more", []).unwrap())
            .await
            .unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_800_000_000_000)));
        let networks = vec!["127.0.0.0/8".parse().unwrap()];
        let rules = Rules { networks, ports: vec![double.address.port()], timeout: Some(Duration::from_millis(500)) };
        Self { catalog, clock, rules, _folder: folder }
    }

    fn id(&self) -> u128 {
        u128::from_be_bytes(self.clock.entropy())
    }

    async fn webhook(&self, double: &Double, topics: &str, owner: &str) -> Webhook {
        let new = NewWebhook {
            id: WebhookId::mint(self.clock.now(), self.clock.entropy()),
            owner: owner.to_owned(),
            url: format!("{}/hook?a=b", double.url()),
            description: String::new(),
            topics: topics.parse().unwrap(),
            secret: SECRET.to_owned(),
        };
        self.catalog.create_webhook(&new, self.clock.now()).await.unwrap()
    }

    async fn asset(&self) -> AssetId {
        let (asset, playback) = (AssetId::from_u128(self.id()), PlaybackId::from_u128(self.id()));
        let (job, now) = (JobId::from_u128(self.id()), self.clock.now());
        let new = NewAsset { asset, playback, file_name: None, size: ByteSize(1000), job, now };
        self.catalog.create_received_asset(&new).await.unwrap();
        asset
    }

    async fn user(&self, role: Role) -> UserId {
        let id = UserId::mint(self.clock.now(), self.clock.entropy());
        let new = NewUser {
            id,
            email: None,
            name: String::new(),
            language: None,
            role,
            password: None,
            is_email_verified: true,
        };
        self.catalog.create_user(&new, "test", self.clock.now()).await.unwrap();
        id
    }

    fn fan(&self, holder: &str, is_open: bool) -> Fan {
        let (catalog, clock) = (self.catalog.clone(), Arc::clone(&self.clock) as Arc<dyn Clock>);
        Fan { catalog, clock, holder: holder.to_owned(), is_open }
    }

    fn sender(&self, holder: &str) -> Sender {
        let (catalog, clock) = (self.catalog.clone(), Arc::clone(&self.clock) as Arc<dyn Clock>);
        Sender { catalog, clock, holder: holder.to_owned(), rules: self.rules.clone() }
    }

    /// Turns all events into messages.
    async fn fanned(&self, is_open: bool) {
        let (fan, mut held) = (self.fan("a", is_open), None);
        for _ in 0..20 {
            if fan.step(&mut held).await.unwrap() > Duration::ZERO {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Sends what is due; how many that were.
    async fn sent(&self) -> usize {
        let (sender, mut count) = (self.sender("a"), 0);
        loop {
            let claimed = sender.claimed(8).await.unwrap();
            if claimed.is_empty() {
                return count;
            }
            for leased in claimed {
                sender.send(leased).await;
                count += 1;
            }
        }
    }

    async fn log(&self, webhook: &Webhook) -> Vec<catalog_store::Delivery> {
        self.catalog.deliveries(webhook.id, None, None, 100).await.unwrap()
    }

    async fn topics(&self) -> Vec<String> {
        self.catalog.events_after(0, 1000).await.unwrap().into_iter().map(|event| event.topic).collect()
    }
}

/// HMAC (RFC 2104) by hand, so that what is checked is not checked by itself.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64);
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |pad: u8| block.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
    let inner = Sha256::digest([padded(0x36), text.to_vec()].concat());
    Sha256::digest([padded(0x5c), inner.to_vec()].concat()).to_vec()
}

fn assert_signed(seen: &Seen, secret: &str) {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let signed = format!("{}.{}.{}", seen.header("webhook-id"), seen.header("webhook-timestamp"), seen.body);
    let expected = format!("v1,{}", STANDARD.encode(hmac(&key, signed.as_bytes())));
    let signatures: Vec<&str> = seen.header("webhook-signature").split(' ').collect();
    assert!(signatures.contains(&&*expected), "{signatures:?}");
}

#[tokio::test]
async fn what_happened_is_sent_in_order_and_signed() {
    let double = Double::new(|_, _| turn(204, "")).await;
    let stage = Stage::new(&double).await;
    stage.asset().await;
    let webhook = stage.webhook(&double, "asset.*", "anybody").await;
    let asset = stage.asset().await;
    stage.catalog.delete_asset(asset, JobId::from_u128(stage.id()), stage.clock.now()).await.unwrap();
    stage.fanned(true).await;
    assert_eq!(stage.sent().await, 3, "not what was before it was made");
    let seen = double.seen();
    let told: Vec<_> = seen.iter().map(|seen| seen.json()["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ["asset.uploading", "asset.received", "asset.deleted"]);
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("POST", "/hook?a=b"));
    assert_eq!(seen[0].header("content-type"), "application/json");
    assert_eq!(seen[0].header("webhook-timestamp"), "1800000000");
    assert!(seen[0].header("webhook-id").starts_with("msg_"));
    assert_eq!(seen[0].json()["data"]["asset"], asset.to_string());
    assert_eq!(seen[0].json()["timestamp"], "2027-01-15T08:00:00.000Z");
    for one in &seen {
        assert_signed(one, SECRET);
    }
    // The other kind of signature, by the key that is shown.
    let one = &seen[0];
    let signed = format!("{}.{}.{}", one.header("webhook-id"), one.header("webhook-timestamp"), one.body);
    let asymmetric = one.header("webhook-signature").split(' ').find_map(|part| part.strip_prefix("v1a,")).unwrap();
    let seed = hmac(&STANDARD.decode(&SECRET[6..]).unwrap(), b"headwater webhook ed25519 seed");
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref().to_vec();
    let asymmetric = STANDARD.decode(asymmetric).unwrap();
    UnparsedPublicKey::new(&ED25519, public).verify(signed.as_bytes(), &asymmetric).unwrap();
    assert!(stage.log(&webhook).await.iter().all(|delivery| delivery.state == DeliveryState::Delivered));
    stage.fanned(true).await;
    assert_eq!(stage.sent().await, 0);
}

#[tokio::test]
async fn both_secrets_sign_until_the_old_one_ends() {
    let double = Double::new(|_, _| turn(200, "")).await;
    let stage = Stage::new(&double).await;
    let webhook = stage.webhook(&double, "", "anybody").await;
    let (now, fresh) = (stage.clock.now(), "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX");
    stage.catalog.rotate_webhook(webhook.id, fresh, now.plus(Duration::from_secs(60)), now).await.unwrap();
    stage.asset().await;
    stage.fanned(true).await;
    stage.sent().await;
    assert_signed(&double.seen()[0], SECRET);
    assert_signed(&double.seen()[0], fresh);
    stage.clock.advance(Duration::from_secs(60));
    let before = double.seen().len();
    stage.asset().await;
    stage.fanned(true).await;
    stage.sent().await;
    let late = double.seen().remove(before);
    assert_signed(&late, fresh);
    assert_eq!(late.header("webhook-signature").split(' ').count(), 2, "one of each kind");
}

/// Sends one message to a receiver that answers like this; what is known of it then.
async fn refused(script: impl Fn(usize, &Seen) -> Turn + Send + Sync + 'static) -> (Stage, Double, Webhook) {
    let double = Double::new(script).await;
    let stage = Stage::new(&double).await;
    let webhook = stage.webhook(&double, "asset.received", "anybody").await;
    stage.asset().await;
    stage.fanned(true).await;
    assert_eq!(stage.sent().await, 1);
    (stage, double, webhook)
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_by_the_schedule_and_then_the_webhook_is_disabled() {
    let (stage, double, webhook) = refused(|_, _| turn(500, "oh")).await;
    for (attempt, pause) in SCHEDULE_S.iter().enumerate().skip(1) {
        let known = stage.log(&webhook).await.remove(0);
        assert_eq!((known.state, known.attempts as usize), (DeliveryState::Pending, attempt));
        assert_eq!(known.log.last().unwrap().error.as_deref(), Some("500 Internal Server Error"));
        let wait = known.next_at.since(stage.clock.now());
        let whole = Duration::from_secs(*pause);
        assert!((whole * 9 / 10..=whole * 11 / 10).contains(&wait), "{attempt}: {wait:?}");
        stage.clock.advance(wait - Duration::from_millis(1));
        assert_eq!(stage.sent().await, 0, "not yet");
        stage.clock.advance(Duration::from_millis(1));
        assert_eq!(stage.sent().await, 1);
    }
    let known = stage.log(&webhook).await.remove(0);
    assert_eq!((known.state, known.attempts, known.log.len()), (DeliveryState::Failed, 10, 10));
    let ids: std::collections::BTreeSet<String> =
        double.seen().iter().map(|seen| seen.header("webhook-id").to_owned()).collect();
    assert_eq!((double.seen().len(), ids.len()), (10, 1), "one message, ten times");
    let disabled = stage.catalog.webhook(webhook.id).await.unwrap().unwrap();
    assert_eq!(disabled.disabled_reason.as_deref(), Some("a message was not taken for so long"));
    assert_eq!(stage.topics().await.last().unwrap(), "webhook.disabled");
    // Nothing comes any more, until its owner says so.
    stage.asset().await;
    stage.fanned(true).await;
    assert_eq!(stage.sent().await, 0);
    let change =
        WebhookChange { url: disabled.url, description: String::new(), topics: Topics::default(), is_enabled: true };
    stage.catalog.change_webhook((webhook.id, disabled.version), &change, stage.clock.now()).await.unwrap();
    stage.asset().await;
    stage.fanned(true).await;
    assert!(stage.sent().await > 0);
}

#[tokio::test]
async fn one_message_that_is_refused_for_ever_does_not_disable_a_webhook_that_takes_others() {
    let double = Double::new(|_, seen| turn(if seen.json()["type"] == "asset.received" { 400 } else { 200 }, "")).await;
    let stage = Stage::new(&double).await;
    let webhook = stage.webhook(&double, "", "anybody").await;
    stage.asset().await;
    stage.fanned(true).await;
    for _ in 0..12 {
        stage.clock.advance(Duration::from_secs(100_000));
        stage.sent().await;
    }
    assert_eq!(stage.catalog.webhook(webhook.id).await.unwrap().unwrap().disabled_reason, None);
    assert!(stage.topics().await.contains(&"webhook.failed".to_owned()));
}

#[tokio::test]
async fn a_receiver_that_wants_to_be_left_alone_is() {
    let script = |before: usize, _: &Seen| match before {
        0 => turn(429, "").header("retry-after", "40"),
        _ => turn(200, ""),
    };
    let (stage, double, _) = refused(script).await;
    stage.asset().await;
    stage.fanned(true).await;
    stage.clock.advance(Duration::from_secs(39));
    assert_eq!(stage.sent().await, 0, "neither the message nor another one");
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.sent().await, 2);
    assert_eq!(double.seen().len(), 3);
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let (stage, double, webhook) = refused(|_, _| turn(302, "").header("location", "/elsewhere")).await;
    let known = stage.log(&webhook).await.remove(0);
    assert_eq!(known.log[0].error.as_deref(), Some("302 Found: redirects are not followed"));
    assert_eq!((known.state, double.seen().len()), (DeliveryState::Pending, 1));
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_sent_nothing_more() {
    let (stage, double, webhook) = refused(|_, _| turn(410, "")).await;
    assert_eq!(stage.log(&webhook).await[0].state, DeliveryState::Failed);
    let known = stage.catalog.webhook(webhook.id).await.unwrap().unwrap();
    assert_eq!(known.disabled_reason.as_deref(), Some("it answered 410 Gone"));
    stage.asset().await;
    stage.fanned(true).await;
    stage.clock.advance(Duration::from_secs(1_000_000));
    assert_eq!((stage.sent().await, double.seen().len()), (0, 1));
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_nobody_else_for_long() {
    let (stage, _double, webhook) = refused(|_, _| turn(200, "").after(Duration::from_secs(600))).await;
    let known = stage.log(&webhook).await.remove(0);
    assert_eq!((known.state, known.attempts), (DeliveryState::Pending, 1));
    assert!(known.log[0].error.as_deref().unwrap().starts_with("no answer within"));
}

#[tokio::test]
async fn nothing_is_sent_into_private_networks_or_to_other_ports() {
    let double = Double::new(|_, _| turn(200, "")).await;
    let mut stage = Stage::new(&double).await;
    let webhook = stage.webhook(&double, "asset.received", "anybody").await;
    stage.asset().await;
    stage.fanned(true).await;
    stage.rules.networks.clear();
    stage.sent().await;
    let error = stage.log(&webhook).await[0].log[0].error.clone().unwrap();
    assert_eq!(error, "127.0.0.1 is inside a private network, to which nothing is sent");
    stage.rules.ports.clear();
    stage.clock.advance(Duration::from_secs(10));
    stage.sent().await;
    let error = stage.log(&webhook).await[0].log[1].error.clone().unwrap();
    assert_eq!(error, format!("port {} is not allowed", double.address.port()));
    assert!(double.seen().is_empty());
}

#[tokio::test]
async fn a_message_that_another_process_sends_is_not_sent_twice() {
    let double = Double::new(|_, _| turn(200, "").after(Duration::from_millis(100))).await;
    let stage = Stage::new(&double).await;
    for _ in 0..4 {
        stage.webhook(&double, "asset.received", "anybody").await;
    }
    stage.asset().await;
    let (a, b) = (stage.fan("a", true), stage.fan("b", true));
    let (mut first, mut second) = (None, None);
    for _ in 0..5 {
        a.step(&mut first).await.unwrap();
        b.step(&mut second).await.unwrap();
    }
    let (a, b) = (stage.sender("a"), stage.sender("b"));
    let (one, two) = (a.claimed(2).await.unwrap(), b.claimed(8).await.unwrap());
    assert_eq!((one.len(), two.len()), (2, 2));
    for (sender, leased) in one.into_iter().map(|one| (&a, one)).chain(two.into_iter().map(|one| (&b, one))) {
        sender.send(leased).await;
    }
    assert_eq!(double.seen().len(), 4);
    // Whoever dies in the middle leaves it to others once its lease is over.
    stage.asset().await;
    stage.fanned(true).await;
    let lost = a.claimed(8).await.unwrap();
    assert_eq!((lost.len(), b.claimed(8).await.unwrap().len()), (4, 0));
    stage.clock.advance(Duration::from_secs(46));
    let taken = b.claimed(8).await.unwrap();
    assert_eq!(taken.len(), 4);
    for leased in taken {
        b.send(leased).await;
    }
    let late = catalog_store::Attempt { at: stage.clock.now(), status: None, error: None, elapsed_ms: 0 };
    let outcome = catalog_store::Outcome::Failed { disable: None };
    assert!(!stage.catalog.settle_delivery(&lost[0], late, outcome, stage.clock.now()).await.unwrap());
    // The same process, started anew, need not wait.
    stage.asset().await;
    stage.fanned(true).await;
    assert_eq!(a.claimed(8).await.unwrap().len(), 4);
    stage.catalog.release_deliveries("a").await.unwrap();
    assert_eq!(a.claimed(8).await.unwrap().len(), 4);
}

#[tokio::test]
async fn of_work_on_an_asset_those_hear_who_may_change_it() {
    let double = Double::new(|_, _| turn(200, "")).await;
    let stage = Stage::new(&double).await;
    let now = stage.clock.now();
    let roles = [Role::Uploader, Role::Uploader, Role::Moderator];
    let (mut users, mut webhooks) = (Vec::new(), Vec::new());
    for role in roles {
        let user = stage.user(role).await;
        webhooks.push(stage.webhook(&double, "asset.stage_changed", &user.to_string()).await);
        users.push(user);
    }
    let asset = stage.asset().await;
    stage.catalog.share_asset(asset, (users[0], Standing::Viewer), "test", now).await.unwrap();
    stage.catalog.share_asset(asset, (users[1], Standing::Editor), "test", now).await.unwrap();
    let job = JobId::from_u128(stage.id());
    let to = (domain::Stage::Unlisted, false);
    stage.catalog.set_stage(asset, to, (None, Some("suspected fraud")), "test", job, now).await.unwrap();
    stage.fanned(false).await;
    let mut counts = Vec::new();
    for webhook in &webhooks {
        counts.push(stage.log(webhook).await.len());
    }
    assert_eq!(counts, [0, 1, 1], "a viewer, an editor, a moderator");
}

#[tokio::test]
async fn an_owner_hears_of_what_they_see_and_of_nothing_else() {
    let double = Double::new(|_, _| turn(200, "")).await;
    let stage = Stage::new(&double).await;
    let (ada, bob, eve) =
        (stage.user(Role::Uploader).await, stage.user(Role::Moderator).await, stage.user(Role::Uploader).await);
    let mut webhooks = Vec::new();
    for owner in [ada.to_string(), bob.to_string(), eve.to_string(), "anybody".into()] {
        webhooks.push(stage.webhook(&double, "asset.access_changed", &owner).await);
    }
    let asset = stage.asset().await;
    stage.catalog.share_asset(asset, (ada, Standing::Viewer), "test", stage.clock.now()).await.unwrap();
    let version = stage.catalog.user(eve).await.unwrap().unwrap().version;
    let terms =
        catalog_store::Terms { role: Role::Moderator, state: catalog_store::UserState::Suspended, quota_bytes: None };
    // Somebody has to be able to decide about accounts.
    let id = UserId::mint(stage.clock.now(), stage.clock.entropy());
    let admin = NewUser {
        id,
        email: None,
        name: String::new(),
        language: None,
        role: Role::Admin,
        password: Some("$argon2id$".into()),
        is_email_verified: true,
    };
    stage.catalog.create_user(&admin, "test", stage.clock.now()).await.unwrap();
    stage.catalog.set_terms(eve, version, &terms, "test", stage.clock.now()).await.unwrap();
    stage.catalog.tell_access_changed(asset, stage.clock.now()).await.unwrap();
    stage.fanned(false).await;
    let mut counts = Vec::new();
    for webhook in &webhooks {
        counts.push(stage.log(webhook).await.len());
    }
    assert_eq!(counts, [1, 1, 0, 0], "whoever it is shared with, a moderator, nobody suspended, nobody unknown");
}
