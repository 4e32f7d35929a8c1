//! A catalogue as a platform of some size has it.

use std::time::Instant;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use benches::words::{Dice, about};
use catalog_store::{Catalog, CollectionText, Described, Member, NewUser};
use domain::authority::Role;
use domain::collection::{Kind, Visibility};
use domain::{AssetId, ChannelId, CollectionId, ItemId, PlaybackId, Timestamp, UserId};

/// Everybody's.
pub(crate) const PASSWORD: &str = "correct horse 9 battery";
/// Channels.
pub(crate) const CHANNELS: usize = 500;
/// Collections that everybody sees.
pub(crate) const COLLECTIONS: usize = 200;
/// Accounts that upload; each has as many assets.
const UPLOADERS: usize = 1000;
/// Assets of a collection.
const ITEMS: usize = 20;
/// Channels that an account of the load is subscribed to.
const SUBSCRIPTIONS: usize = 5;
/// Accounts of the load.
const LOADED: usize = 200;
/// Rows that are written at once.
const BATCH: usize = 500;

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_790_000_000_000)
}

fn bits(index: usize) -> u128 {
    u128::try_from(index).unwrap_or(0) + 1
}

/// The asset of this number.
pub(crate) fn asset(index: usize) -> AssetId {
    AssetId::from_u128(bits(index))
}

/// An asset of this account.
pub(crate) fn asset_of(user: usize) -> AssetId {
    asset(user % UPLOADERS)
}

/// The channel of this number.
pub(crate) fn channel(index: usize) -> ChannelId {
    ChannelId::from_u128(bits(index))
}

/// The collection of this number.
pub(crate) fn collection(index: usize) -> CollectionId {
    CollectionId::from_u128(bits(index))
}

/// The collection of this account.
pub(crate) fn collection_of(user: usize) -> CollectionId {
    collection(COLLECTIONS + user)
}

/// The address of this account.
pub(crate) fn email(user: usize) -> String {
    format!("viewer{user}@example.com")
}

fn user(index: usize) -> UserId {
    UserId::from_u128(bits(index))
}

/// Fills a catalogue, unless it is filled.
pub(crate) async fn seed(catalog: &Catalog, assets: usize, users: usize) -> anyhow::Result<()> {
    if catalog.asset(asset(assets - 1)).await?.is_some() {
        return Ok(());
    }
    let begun = Instant::now();
    people(catalog, users).await?;
    for index in 0..CHANNELS {
        let owner = user(index % UPLOADERS).to_string();
        let handle = format!("channel-{index}");
        catalog.create_channel((channel(index), &handle), (&handle, ""), Some(&owner), now()).await?;
    }
    let mut dice = Dice::new(1);
    let all: Vec<usize> = (0..assets).collect();
    for some in all.chunks(BATCH) {
        let described: Vec<Described> = some
            .iter()
            .map(|index| Described {
                asset: asset(*index),
                playback: PlaybackId::from_u128(bits(*index)),
                about: about(&mut dice),
                owner: Some(user(index % UPLOADERS).to_string()),
                channel: Some(channel(index % CHANNELS)),
            })
            .collect();
        catalog.import_described(&described, now()).await?;
    }
    collections(catalog, assets).await?;
    println!("seeded {assets} assets and {users} accounts in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

async fn people(catalog: &Catalog, users: usize) -> anyhow::Result<()> {
    let password = hash()?;
    let all: Vec<usize> = (0..users).collect();
    for some in all.chunks(BATCH) {
        let new: Vec<NewUser> = some
            .iter()
            .map(|index| NewUser {
                id: user(*index),
                email: Some(email(*index)),
                name: format!("Viewer {index}"),
                language: None,
                role: if *index < UPLOADERS { Role::Uploader } else { Role::User },
                password: Some(password.clone()),
                is_email_verified: true,
            })
            .collect();
        catalog.create_users(&new, "bench", now()).await?;
    }
    Ok(())
}

async fn collections(catalog: &Catalog, assets: usize) -> anyhow::Result<()> {
    for index in 0..COLLECTIONS + LOADED {
        let text = CollectionText {
            title: format!("Collection {index}"),
            description: String::new(),
            visibility: Visibility::Internal,
        };
        let owner = user(index.saturating_sub(COLLECTIONS)).to_string();
        catalog.create_collection((collection(index), Kind::Playlist), &text, Some(&owner), now()).await?;
        let items = if index < COLLECTIONS { ITEMS } else { 0 };
        for item in 0..items {
            let id = ItemId::from_u128(bits(index * ITEMS + item));
            let member = Member::Asset(asset((index * 7919 + item * 104_729) % assets));
            catalog.put_item(collection(index), (id, member), None, now()).await?;
        }
    }
    for index in 0..LOADED {
        for offset in 0..SUBSCRIPTIONS {
            catalog.subscribe(user(index), channel((index * 31 + offset * 97) % CHANNELS), now()).await?;
        }
    }
    Ok(())
}

/// The password, hashed once for all, as new passwords are.
fn hash() -> anyhow::Result<String> {
    let (mut hash, salt) = ([0; 32], [7; 16]);
    let failed = |error| anyhow::anyhow!("the password cannot be hashed: {error}");
    let params = Params::new(19 * 1024, 2, 1, Some(hash.len())).map_err(failed)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(PASSWORD.as_bytes(), &salt, &mut hash).map_err(failed)?;
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    Ok(format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${hash}"))
}
