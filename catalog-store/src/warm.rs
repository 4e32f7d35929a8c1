//! What a server does before much is asked of it at once.
//!
//! Each connection to PostgreSQL is a process that reads for itself how tables are made, and plans its statements: when
//! ten are new at once, a second of 500 requests takes 150 ms in the median. What a frequent word finds is read once, too.

use domain::{AssetId, ChannelId, CollectionId, SessionId, Timestamp, UserId};

use tokio::task::JoinSet;

use crate::{Catalog, CatalogError, Filter, Order};

/// Rows of a page, as pages usually have.
const PAGE: u32 = 24;
impl Catalog {
    /// Opens the connections that a busy server needs, has them answer what is asked most, and reads what the most
    /// frequent words find. Takes seconds; SQLite needs none of it, and is left alone.
    ///
    /// # Errors
    /// [`CatalogError::Statement`]. A server works without.
    pub async fn warm(&self, now: Timestamp) -> Result<(), CatalogError> {
        // As many at once as there are connections: those that rest take turns, so that each is asked.
        let mut asking: JoinSet<Result<(), CatalogError>> = JoinSet::new();
        for _ in 0..self.new_connections() {
            let catalog = self.clone();
            asking.spawn(async move { catalog.ask_what_is_asked(now).await });
        }
        while let Some(asked) = asking.join_next().await {
            asked.unwrap_or(Ok(()))?;
        }
        self.find_usual_words().await
    }

    /// The statements of the requests that people make most, of somebody who has nothing.
    async fn ask_what_is_asked(&self, now: Timestamp) -> Result<(), CatalogError> {
        let (user, name) = (UserId::from_u128(0), UserId::from_u128(0).to_string());
        self.session(SessionId::from_u128(0)).await?;
        self.user(user).await?;
        let (all, genre) = (Filter::default(), Filter { genre: Some(String::new()), ..Filter::default() });
        for (filter, seen_by) in [(&all, None), (&all, Some(&*name)), (&genre, None), (&genre, Some(&*name))] {
            self.list_assets(filter, Order::Newest, seen_by, None, PAGE, now).await?;
        }
        let ids: Vec<AssetId> = self.assets(None, 1).await?.iter().map(|asset| asset.id).collect();
        for id in &ids {
            self.asset(*id).await?;
            self.standing(*id, &name, now).await?;
        }
        self.outputs(&ids).await?;
        self.texts_of(&ids).await?;
        self.posters(&ids).await?;
        let (channel, collection) = (ChannelId::from_u128(0), CollectionId::from_u128(0));
        self.channel(channel).await?;
        self.assets_of_channel(channel, None, PAGE, now).await?;
        self.subscribed_assets(user, None, PAGE, now).await?;
        self.collection(collection).await?;
        self.standing_to_collection(collection, &name).await?;
        self.items_of(collection, Some(&name), None, PAGE, now).await?;
        self.notifications(user, false, None, PAGE).await?;
        self.unread_count(user).await?;
        Ok(())
    }
}
