//! What is secret and read again: sealed in every row, under a key that can be changed.

use catalog_store::{
    Catalog, CatalogError, Evidence, NewSession, NewUpload, NewUser, NewWebhook, Proof, SecretKeys, SigningKey, Target,
};
use domain::authority::Role;
use domain::{AssetId, PlaybackId, SessionId, UploadId, UserId, WebhookId};

use crate::harness::{KEY, World, at};

const OTHER: &str = "another key of the tests, of 32 characters";
const SECRETS: [&str; 7] = [
    "5ec2e7a0aaaaaaaa",
    "5ec2e7a1aaaaaaaa",
    "5ec2e7a2aaaaaaaa",
    "c2lnbmluZyBrZXk",
    "whsec_c2VjcmV0b25l",
    "whsec_c2VjcmV0dHdv",
    "https://me:pass@example.org/film.mp4?signature=5ec2e7",
];

fn hook_id() -> WebhookId {
    WebhookId::from_u128(1)
}

fn upload_id() -> UploadId {
    UploadId::from_u128(1)
}

fn keys(current: &str, others: &[&str]) -> SecretKeys {
    SecretKeys::new(current, others.iter().copied()).unwrap()
}

/// Every secret that there is, in its row.
async fn filled(world: &World) -> UserId {
    let (catalog, user) = (&world.catalog, world.user_id());
    let new = NewUser {
        id: user,
        email: None,
        name: "Ada".into(),
        language: None,
        role: Role::User,
        password: None,
        is_email_verified: false,
    };
    catalog.create_user(&new, "test", at(0)).await.unwrap();
    catalog.begin_totp(user, SECRETS[0], at(0)).await.unwrap();
    assert!(catalog.confirm_totp(user, 1, &[], at(0)).await.unwrap());
    catalog.begin_totp(user, SECRETS[1], at(0)).await.unwrap();
    let proof = Proof::Tokens { hash: "hash".into(), chain_key: SECRETS[2].into() };
    let evidence = Evidence::of_password(&catalog.user(user).await.unwrap().unwrap());
    let (id, client) = (SessionId::from_u128(1), String::new());
    let session = NewSession { id, user, evidence, proof, client, expires_at: at(9000) };
    catalog.begin_session(&session, at(0)).await.unwrap();
    let key = SigningKey { id: "k".into(), purpose: "test".into(), secret: SECRETS[3].into(), created_at: at(0) };
    catalog.renew_signing_keys(Some(&key), at(-1), &[], at(0)).await.unwrap();
    let hook = NewWebhook {
        id: hook_id(),
        owner: user.to_string(),
        url: "https://example.org/hook".into(),
        description: String::new(),
        topics: "#".parse().unwrap(),
        secret: SECRETS[4].into(),
    };
    catalog.create_webhook(&hook, at(0)).await.unwrap();
    catalog.rotate_webhook(hook_id(), SECRETS[5], at(9000), at(0)).await.unwrap();
    let target = Target::new(AssetId::from_u128(1), PlaybackId::from_u128(1));
    let mut upload = NewUpload::whole(upload_id(), target, None, at(0));
    upload.terms.url = Some(SECRETS[6].into());
    catalog.create_upload(&upload).await.unwrap();
    user
}

/// What is read of them, in the same order.
async fn read(catalog: &Catalog, user: UserId) -> Vec<String> {
    let found = catalog.user(user).await.unwrap().unwrap();
    let hook = catalog.webhook(hook_id()).await.unwrap().unwrap();
    let mut secrets = catalog.webhook_secrets(&hook, at(1)).unwrap();
    secrets.reverse();
    let first = [
        catalog.opened_totp(user, &found.totp.unwrap()).unwrap(),
        catalog.opened_totp(user, &found.totp_pending.unwrap()).unwrap(),
        catalog.refresh_token("hash").await.unwrap().unwrap().chain_key,
        catalog.signing_keys().await.unwrap()[0].secret.clone(),
    ];
    let url = catalog.upload(upload_id()).await.unwrap().unwrap().terms.url.unwrap();
    first.into_iter().chain(secrets).chain([url]).collect()
}

async fn unlocked(world: &World, keys: SecretKeys) -> Result<(Catalog, u64), CatalogError> {
    let catalog = world.another_process().await.catalog;
    let count = catalog.unlock(keys).await?;
    Ok((catalog, count))
}

async fn in_no_table(world: &World) {
    for secret in SECRETS {
        assert_eq!(world.tables_with(secret).await, Vec::<String>::new(), "{secret}");
    }
}

pub(crate) async fn no_secret_stands_in_any_table(world: World) {
    let user = filled(&world).await;
    in_no_table(&world).await;
    assert_eq!(
        world.tables_with("sealed:1:").await,
        ["secret_check", "sessions", "signing_keys", "uploads", "users", "webhooks"]
    );
    assert_eq!(read(&world.catalog, user).await, SECRETS);
    // Without the key nothing secret is read, and none is written.
    let locked = world.another_process().await.catalog;
    assert!(matches!(locked.signing_keys().await, Err(CatalogError::Locked)));
    assert!(matches!(locked.begin_totp(user, "aa", at(1)).await, Err(CatalogError::Locked)));
    let upload = locked.upload(upload_id()).await.unwrap().unwrap();
    assert!(upload.terms.url.unwrap().starts_with("sealed:1:"), "what else is in the row is read");
    assert!(world.catalog.has_secret_key().await.unwrap());
}

pub(crate) async fn secrets_of_an_older_version_are_sealed_at_the_start(world: World) {
    let user = filled(&world).await;
    world.tamper("update users set totp = '5ec2e7a0aaaaaaaa', totp_pending = '5ec2e7a1aaaaaaaa'").await;
    world.tamper("update sessions set chain_key = '5ec2e7a2aaaaaaaa'").await;
    world.tamper("update signing_keys set secret = 'c2lnbmluZyBrZXk'").await;
    world.tamper("update webhooks set secret = 'whsec_c2VjcmV0dHdv', previous_secret = 'whsec_c2VjcmV0b25l'").await;
    world
        .tamper(
            "update uploads set terms = \
            '{\"url\":\"https://me:pass@example.org/film.mp4?signature=5ec2e7\",\"bytes_max\":5}'",
        )
        .await;
    world.tamper("delete from secret_check").await;
    // More than fit into one transaction.
    for nth in 2..230u128 {
        let proof = Proof::Tokens { hash: format!("hash {nth}"), chain_key: SECRETS[2].into() };
        let id = SessionId::from_u128(nth);
        let evidence = Evidence::of_password(&world.catalog.user(user).await.unwrap().unwrap());
        let session = NewSession { id, user, evidence, proof, client: String::new(), expires_at: at(9000) };
        world.catalog.begin_session(&session, at(0)).await.unwrap();
    }
    world.tamper("update sessions set chain_key = '5ec2e7a2aaaaaaaa'").await;
    let (catalog, count) = unlocked(&world, keys(KEY, &[])).await.unwrap();
    assert_eq!(count, 6 + 229);
    in_no_table(&world).await;
    assert_eq!(read(&catalog, user).await, SECRETS);
    assert_eq!(catalog.upload(upload_id()).await.unwrap().unwrap().terms.bytes_max, Some(5));
    assert_eq!(unlocked(&world, keys(KEY, &[])).await.unwrap().1, 0, "all of it was done");
    if let Some(file) = world.url.strip_prefix("sqlite://") {
        catalog.close().await;
        catalog_store::backup::settle(file.as_ref()).await.unwrap();
        let octets = std::fs::read(file).unwrap();
        for secret in SECRETS {
            assert!(!octets.windows(secret.len()).any(|found| found == secret.as_bytes()), "{secret} is in the file");
        }
    }
}

pub(crate) async fn a_key_is_changed_without_losing_a_secret(world: World) {
    let user = filled(&world).await;
    assert!(matches!(unlocked(&world, keys(OTHER, &[])).await, Err(CatalogError::WrongKey)));
    // Processes that know both keys go on, whichever is in front.
    let (first, count) = unlocked(&world, keys(KEY, &[OTHER])).await.unwrap();
    assert_eq!(count, 0);
    let (second, count) = unlocked(&world, keys(OTHER, &[KEY])).await.unwrap();
    assert_eq!(count, 7);
    for catalog in [&first, &second] {
        assert_eq!(read(catalog, user).await, SECRETS);
    }
    let (third, count) = unlocked(&world, keys(OTHER, &[])).await.unwrap();
    assert_eq!((read(&third, user).await, count), (SECRETS.map(str::to_owned).to_vec(), 0));
    let refused = unlocked(&world, keys(KEY, &[])).await.err().unwrap();
    assert!(refused.to_string().contains("previous_secret_keys"), "{refused}");
    in_no_table(&world).await;
}

pub(crate) async fn a_secret_opens_in_its_own_row_only(world: World) {
    let user = filled(&world).await;
    world.tamper("update users set totp = (select secret from webhooks)").await;
    let found = world.catalog.user(user).await.unwrap().unwrap();
    let refused = world.catalog.opened_totp(user, &found.totp.unwrap());
    assert!(matches!(refused, Err(CatalogError::Unopened { .. })), "{refused:?}");
    // Everything else goes on: what cannot be opened stays as it is.
    assert_eq!(unlocked(&world, keys(OTHER, &[KEY])).await.unwrap().1, 6);
}

pub(crate) async fn where_the_key_is_lost_secrets_are_given_up_and_the_rest_goes_on(world: World) {
    let user = filled(&world).await;
    let locked = world.another_process().await.catalog;
    assert_eq!(locked.forget_secrets(at(5)).await.unwrap(), (1, 1));
    assert!(!locked.has_secret_key().await.unwrap());
    let (catalog, count) = unlocked(&world, keys(OTHER, &[])).await.unwrap();
    assert_eq!(count, 2, "what stands for the secret of the webhook, and the address that nobody can open");
    assert!(catalog.signing_keys().await.unwrap().is_empty());
    assert_eq!(catalog.user(user).await.unwrap().unwrap().totp, None);
    assert!(catalog.session(SessionId::from_u128(1)).await.unwrap().unwrap().is_ended);
    let hook = catalog.webhook(hook_id()).await.unwrap().unwrap();
    assert!(hook.disabled_reason.is_some_and(|reason| reason.contains("lost")));
    catalog.rotate_webhook(hook_id(), SECRETS[4], at(9000), at(6)).await.unwrap();
    let hook = catalog.webhook(hook_id()).await.unwrap().unwrap();
    assert_eq!(catalog.webhook_secrets(&hook, at(7)).unwrap(), [SECRETS[4], "lost"]);
    let upload = catalog.upload(upload_id()).await.unwrap().unwrap();
    assert!(!upload.terms.url.unwrap().contains("example.org"), "the import ends, as it has no address");
    let log = catalog.audit_log(None, 20).await.unwrap();
    assert!(log.iter().any(|entry| entry.action == "secrets.forgotten"));
}
