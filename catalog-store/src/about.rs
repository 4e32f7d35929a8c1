//! What people say about assets.

use domain::{About, AssetId, AssetState, ChannelId, PlaybackId, Timestamp};
use serde_json::json;

use crate::engine::{args, json as text};
use crate::search::index;
use crate::{Catalog, CatalogError, sql};

/// An asset that is known from elsewhere, without a source.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its id.
    pub asset: AssetId,
    /// The name under which it would be served.
    pub playback: PlaybackId,
    /// What is said about it.
    pub about: About,
    /// The principal it belongs to.
    pub owner: Option<String>,
    /// The channel it is shown in.
    pub channel: Option<ChannelId>,
}

impl Catalog {
    /// Brings in assets by what is said about them, all in one transaction and without an upload: to fill a catalogue
    /// that is to be measured. Nothing will ever be done for them.
    ///
    /// # Errors
    /// [`CatalogError::Statement`] if one of them exists.
    pub async fn import_described(&self, assets: &[Described], now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        for Described { asset, playback, about, owner, channel } in assets {
            let (id, state, none) = (*asset, AssetState::Failed, None::<String>);
            let no_size: Option<i64> = None;
            let args = args![id, *playback, state.as_str(), none, no_size, now, owner.clone()];
            tx.execute(sql::assets::INSERT, args).await?;
            let title = about.title.clone();
            let released_on = about.released_on.map(|day| day.to_string()).unwrap_or_default();
            let args = args![id, text("assets.about", about)?, title.clone(), released_on];
            tx.execute(sql::assets::SET_ABOUT, args).await?;
            let title = title.as_deref();
            index::describe(&mut tx, &index::Described { id, title, file_name: None, about, sound: vec![] }, None)
                .await?;
            if let Some(channel) = channel {
                tx.execute(sql::channels::SET_CHANNEL, args![id, *channel]).await?;
            }
        }
        tx.commit().await
    }

    /// Sets what is said about an asset, in place of what was said at `version`; the version that it is at by then.
    ///
    /// # Errors
    /// [`CatalogError::Changed`] if somebody was faster; [`CatalogError::NoAsset`] if it does not exist or is deleted;
    /// [`CatalogError::ExternalIdTaken`] if another asset has one of its external ids.
    pub async fn set_about(
        &self,
        id: AssetId,
        version: u64,
        about: &About,
        now: Timestamp,
    ) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(id, now).await?;
        if row.state()? == AssetState::Deleted {
            return Err(CatalogError::NoAsset(id));
        }
        row.check_about(Some(version))?;
        let (probe, before) = (row.probe()?, row.about()?);
        // Nobody's title is the file's own.
        let title = about.title.clone().or_else(|| probe.as_ref().and_then(|probe| probe.title.clone()));
        let released_on = about.released_on.map(|day| day.to_string()).unwrap_or_default();
        let args = args![id, text("assets.about", about)?, title.clone(), released_on];
        tx.execute(sql::assets::SET_ABOUT, args).await?;
        if about.external_ids != before.external_ids {
            tx.execute(sql::assets::DROP_EXTERNAL_IDS, args![id]).await?;
            for (scheme, external) in &about.external_ids {
                let args = args![id, scheme.as_str(), external.as_str()];
                if tx.execute(sql::assets::PUT_EXTERNAL_ID, args).await? != 1 {
                    return Err(CatalogError::ExternalIdTaken { scheme: scheme.clone() });
                }
            }
        }
        let (file_name, sound) = (row.file_name.as_deref(), row.sound()?);
        let described = |title, about, sound| index::Described { id, title, file_name, about, sound };
        let before = described(row.title.as_deref(), &before, sound.clone());
        index::describe(&mut tx, &described(title.as_deref(), about, sound), Some(&before)).await?;
        tx.event(now, "asset.updated", id, json!({ "about_version": version + 1 }));
        tx.commit().await?;
        Ok(version + 1)
    }
}
