//! What is asked, how often, and by whom.

use anyhow::Context;
use benches::words::{Dice, QUERIES, name};
use domain::{AssetId, ChannelId, CollectionId};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::client::{Answer, Client};
use crate::seed::{self, CHANNELS, COLLECTIONS, PASSWORD};

/// Pages of the newest assets that are turned at most.
const PAGES: u64 = 20;

/// The busiest requests of a platform: eight reads, four writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Newest,
    ByGenre,
    Asset,
    Search,
    Channel,
    Items,
    Subscribed,
    Notifications,
    Describe,
    Subscribe,
    PutItem,
    ChangeMe,
}

/// Of 1000.
const SHARES: [(Kind, u64); 12] = [
    (Kind::Newest, 200),
    (Kind::ByGenre, 100),
    (Kind::Asset, 250),
    (Kind::Search, 100),
    (Kind::Channel, 100),
    (Kind::Items, 50),
    (Kind::Subscribed, 50),
    (Kind::Notifications, 50),
    (Kind::Describe, 25),
    (Kind::Subscribe, 25),
    (Kind::PutItem, 25),
    (Kind::ChangeMe, 25),
];

impl Kind {
    /// One of them, as often as it is asked for.
    pub(crate) fn drawn(dice: &mut Dice) -> Self {
        let mut rest = dice.throw() % 1000;
        for (kind, share) in SHARES {
            if rest < share {
                return kind;
            }
            rest -= share;
        }
        Self::Asset
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Newest => "GET assets, newest, 20 pages",
            Self::ByGenre => "GET assets?genre=",
            Self::Asset => "GET assets/{id}",
            Self::Search => "GET search?q=",
            Self::Channel => "GET channels/{id}/assets",
            Self::Items => "GET collections/{id}/items",
            Self::Subscribed => "GET me/subscriptions/assets",
            Self::Notifications => "GET me/notifications",
            Self::Describe => "PATCH assets/{id}",
            Self::Subscribe => "PUT, DELETE me/subscriptions/{id}",
            Self::PutItem => "POST, DELETE collections/{id}/items",
            Self::ChangeMe => "PATCH me",
        }
    }
}

/// Somebody who is logged in.
pub(crate) struct Viewer {
    authorization: String,
    asset: AssetId,
    collection: CollectionId,
    /// Of the asset, as it was last changed.
    asset_tag: Mutex<String>,
    me_tag: Mutex<String>,
    /// What is to be taken out of the collection next, if it was put in.
    item: Mutex<Option<String>>,
    /// What is to be unsubscribed from next.
    channel: Mutex<Option<ChannelId>>,
    /// Where the pages of the newest assets begin, as this viewer was told.
    pages: Vec<String>,
}

impl Viewer {
    /// Logs an account of the seed in, and turns the pages once.
    pub(crate) async fn log_in(client: &Client, index: usize, assets: usize, dice: &mut Dice) -> anyhow::Result<Self> {
        let body = json!({ "email": seed::email(index), "password": PASSWORD });
        // Logins are counted by address; these come from everywhere, through a proxy on this machine.
        let from = format!("192.0.2.{}", index % 250);
        let fields = [("x-forwarded-for", from.as_str())];
        let answer = client.ask(("POST", "/api/v1/auth/login"), &fields, Some(body)).await?.with(StatusCode::OK)?;
        let token = answer.json()?["access_token"].as_str().context("no access token")?.to_owned();
        let mut viewer = Self {
            authorization: format!("Bearer {token}"),
            asset: seed::asset_of(index),
            collection: seed::collection_of(index),
            asset_tag: Mutex::default(),
            me_tag: Mutex::default(),
            item: Mutex::default(),
            channel: Mutex::default(),
            pages: Vec::new(),
        };
        let path = format!("/api/v1/assets/{}", viewer.asset);
        let asset = viewer.send(client, ("GET", &path), None, None, StatusCode::OK).await?;
        *viewer.asset_tag.lock().await = asset.tag().context("no tag")?;
        let me = viewer.send(client, ("GET", "/api/v1/me"), None, None, StatusCode::OK).await?;
        *viewer.me_tag.lock().await = me.tag().context("no tag")?;
        viewer.clear(client).await?;
        let mut path = "/api/v1/assets?limit=24".to_owned();
        for _ in 0..dice.throw() % PAGES {
            viewer.pages.push(path.clone());
            let page = viewer.send(client, ("GET", &path), None, None, StatusCode::OK).await?.json()?;
            let Some(next) = page["page"]["next"].as_str() else { break };
            path = format!("/api/v1/assets?limit=24&after={next}");
        }
        viewer.pages.push(path);
        anyhow::ensure!(assets > 0, "no assets");
        Ok(viewer)
    }

    /// Takes out of the collection what an earlier load left in it.
    async fn clear(&self, client: &Client) -> anyhow::Result<()> {
        let path = format!("/api/v1/collections/{}/items", self.collection);
        let items = self.send(client, ("GET", &path), None, None, StatusCode::OK).await?.json()?;
        for item in items["data"].as_array().context("no items")? {
            let path = format!("{path}/{}", item["id"].as_str().context("no id")?);
            self.send(client, ("DELETE", &path), None, None, StatusCode::NO_CONTENT).await?;
        }
        Ok(())
    }

    /// Asks once, and sees to it that the answer is right.
    pub(crate) async fn ask(&self, client: &Client, kind: Kind, assets: usize, dice: &mut Dice) -> anyhow::Result<()> {
        let one_of = |dice: &mut Dice, many: usize| usize::try_from(dice.throw()).unwrap_or(0) % many;
        let get = async |path: String| self.send(client, ("GET", &path), None, None, StatusCode::OK).await;
        match kind {
            Kind::Newest => drop(get(self.pages[one_of(dice, self.pages.len())].clone()).await?),
            Kind::ByGenre => {
                let genre = name(dice.throw() % 20);
                drop(get(format!("/api/v1/assets?limit=24&genre={}", escaped(&genre))).await?);
            }
            Kind::Asset => drop(get(format!("/api/v1/assets/{}", seed::asset(one_of(dice, assets)))).await?),
            Kind::Search => {
                let (_, make) = QUERIES[one_of(dice, QUERIES.len())];
                drop(get(format!("/api/v1/search?limit=20&q={}", escaped(&make(dice)))).await?);
            }
            Kind::Channel => {
                drop(get(format!("/api/v1/channels/{}/assets", seed::channel(one_of(dice, CHANNELS)))).await?);
            }
            Kind::Items => {
                let path = format!("/api/v1/collections/{}/items", seed::collection(one_of(dice, COLLECTIONS)));
                drop(get(path).await?);
            }
            Kind::Subscribed => drop(get("/api/v1/me/subscriptions/assets".into()).await?),
            Kind::Notifications => drop(get("/api/v1/me/notifications".into()).await?),
            Kind::Describe => {
                let body = json!({ "description": dice.text(60), "tags": [dice.word(), dice.word()] });
                self.change(client, &format!("/api/v1/assets/{}", self.asset), &self.asset_tag, body).await?;
            }
            Kind::ChangeMe => self.change(client, "/api/v1/me", &self.me_tag, json!({ "bio": dice.text(10) })).await?,
            Kind::Subscribe => {
                let mut subscribed = self.channel.lock().await;
                let (method, channel) = match subscribed.take() {
                    Some(channel) => ("DELETE", channel),
                    None => ("PUT", *subscribed.insert(seed::channel(one_of(dice, CHANNELS)))),
                };
                let path = format!("/api/v1/me/subscriptions/{channel}");
                self.send(client, (method, &path), None, None, StatusCode::NO_CONTENT).await?;
            }
            Kind::PutItem => {
                let path = format!("/api/v1/collections/{}/items", self.collection);
                let mut item = self.item.lock().await;
                if let Some(item) = item.take() {
                    let path = format!("{path}/{item}");
                    self.send(client, ("DELETE", &path), None, None, StatusCode::NO_CONTENT).await?;
                } else {
                    let body = json!({ "asset": self.asset.to_string() });
                    let put = self.send(client, ("POST", &path), None, Some(body), StatusCode::CREATED).await?;
                    *item = Some(put.json()?["id"].as_str().context("no id")?.to_owned());
                }
            }
        }
        Ok(())
    }

    async fn change(&self, client: &Client, path: &str, tag: &Mutex<String>, body: Value) -> anyhow::Result<()> {
        let mut tag = tag.lock().await;
        let changed = self.send(client, ("PATCH", path), Some(&*tag), Some(body), StatusCode::OK).await?;
        *tag = changed.tag().context("no tag")?;
        Ok(())
    }

    async fn send(
        &self,
        client: &Client,
        request: (&str, &str),
        tag: Option<&str>,
        body: Option<Value>,
        wanted: StatusCode,
    ) -> anyhow::Result<Answer> {
        let mut fields = vec![("authorization", self.authorization.as_str())];
        fields.extend(tag.map(|tag| ("if-match", tag)));
        client.ask(request, &fields, body).await?.with(wanted)
    }
}

/// For a query: words are of letters, some of them accented.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
