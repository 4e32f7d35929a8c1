//! When assets are shown and played: the bin, the way from draft to archive, and the time from which and until which they are.
//!
//! The clock decides: statements compare with the present, and origins with what the pointer says. What is done here
//! when a time has come is only that caches are told, and that the bin is emptied.

use domain::{Access, Admission, AssetId, AssetState, JobId, SourceVersion, Stage, Timestamp};
use serde_json::json;

use crate::assets::{AssetRow, PAGE_ASSETS_MAX};
use crate::audit::Note;
use crate::catalog::Number;
use crate::engine::{args, json as text};
use crate::texts::{lock_living, wish};
use crate::{Asset, Catalog, CatalogError, Meant, Part, Side, sql};

impl Catalog {
    /// Moves an asset into the bin as `actor` wants it, from which it can be taken out until `until`; `job` will see to
    /// it that its pointer says so. What is said about it has to be at `about_version` still where one is named. False
    /// if it lies there already; then nothing changes.
    ///
    /// # Errors
    /// [`CatalogError::Changed`]; [`CatalogError::NoAsset`] if it does not exist or is deleted,
    /// [`CatalogError::AssetFailed`].
    pub async fn bin_asset(
        &self,
        (id, about_version): (AssetId, Option<u64>),
        until: Timestamp,
        actor: &str,
        job: JobId,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let data = json!({ "until": until.rfc3339() });
        tx.audit(Note::of(actor, "asset.binned", id, data), now).await?;
        let row = lock_living(&mut tx, id, now).await?;
        row.check_about(about_version)?;
        if row.binned_at.is_some() {
            return Ok(false);
        }
        tx.execute(sql::assets::BIN, args![id, now, until]).await?;
        tx.event(now, "asset.binned", id, json!({ "until": until.rfc3339() }));
        tx.event(now, "asset.access_changed", id, json!({}));
        wish(&mut tx, &row, id, job, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes an asset out of the bin as `actor` wants it; false if it is not there.
    ///
    /// # Errors
    /// As [`bin_asset`](Self::bin_asset).
    pub async fn restore_asset(
        &self,
        id: AssetId,
        actor: &str,
        job: JobId,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of(actor, "asset.restored", id, json!({})), now).await?;
        let row = lock_living(&mut tx, id, now).await?;
        if row.binned_at.is_none() {
            return Ok(false);
        }
        tx.execute(sql::assets::RESTORE, args![id]).await?;
        tx.event(now, "asset.restored", id, json!({}));
        tx.event(now, "asset.access_changed", id, json!({}));
        wish(&mut tx, &row, id, job, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Sets from when and until when those who may not change an asset see and play it, as `actor` wants it; `None`
    /// without a limit.
    ///
    /// # Errors
    /// [`CatalogError::PlaceChanged`]; else as [`bin_asset`](Self::bin_asset).
    pub async fn set_window(
        &self,
        asset: impl Into<Meant<AssetId>>,
        (publish_at, expire_at): (Option<Timestamp>, Option<Timestamp>),
        actor: &str,
        job: JobId,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let Meant { id, expected } = asset.into();
        let mut tx = self.begin().await?;
        let told = |at: Option<Timestamp>| at.map(Timestamp::rfc3339);
        let data = json!({ "publish_at": told(publish_at), "expire_at": told(expire_at) });
        tx.audit(Note::of(actor, "asset.scheduled", id, data.clone()), now).await?;
        let row = lock_living(&mut tx, id, now).await?;
        row.check(Part::Place, expected)?;
        let (from, until) = (publish_at.map(Timestamp::unix_ms), expire_at.map(Timestamp::unix_ms));
        tx.execute(sql::assets::SET_WINDOW, args![id, from, until, now]).await?;
        tx.event(now, "asset.scheduled", id, data);
        tx.event(now, "asset.access_changed", id, json!({}));
        wish(&mut tx, &row, id, job, now).await?;
        tx.commit().await
    }

    /// Says who may play an asset, and on which pages, as `actor` wants it; `job` will see to it that its pointer says
    /// so.
    ///
    /// # Errors
    /// [`CatalogError::Exists`]; else as [`bin_asset`](Self::bin_asset).
    pub async fn set_access(
        &self,
        asset: impl Into<Meant<AssetId>>,
        (admission, pages): (Admission, Vec<String>),
        actor: &str,
        job: JobId,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let Meant { id, expected } = asset.into();
        let mut tx = self.begin().await?;
        let data = json!({ "policy": admission.as_str() });
        tx.audit(Note::of(actor, "asset.access_set", id, data), now).await?;
        let row = lock_living(&mut tx, id, now).await?;
        row.check(Part::Access, expected)?;
        // Higher than any before, also where the catalogue was put back to an earlier state meanwhile.
        let change = row.access()?.map_or(0, |access| access.change).saturating_add(1).max(now.unix_ms());
        let access = Access { admission, pages, change, ..Access::default() };
        tx.execute(sql::assets::SET_ACCESS, args![id, text("assets.access", &access)?]).await?;
        tx.event(now, "asset.access_changed", id, json!({}));
        wish(&mut tx, &row, id, job, now).await?;
        tx.commit().await
    }

    /// Puts an asset into another stage as `actor` wants it; the one that it was in. With `seen` only while that source
    /// is in force.
    ///
    /// # Errors
    /// [`CatalogError::Stage`] if there is no way, [`CatalogError::OtherSource`], [`CatalogError::PlaceChanged`]; else as
    /// [`bin_asset`](Self::bin_asset).
    pub async fn set_stage(
        &self,
        asset: impl Into<Meant<AssetId>>,
        (wanted, has_review): (Stage, bool),
        (seen, note): (Option<SourceVersion>, Option<&str>),
        actor: &str,
        job: JobId,
        now: Timestamp,
    ) -> Result<Stage, CatalogError> {
        let Meant { id, expected } = asset.into();
        let mut tx = self.begin().await?;
        // The note is of people, for people: it is not logged.
        tx.audit(Note::of(actor, "asset.stage_set", id, json!({ "stage": wanted })), now).await?;
        let row = lock_living(&mut tx, id, now).await?;
        row.check(Part::Place, expected)?;
        let from = row.stage()?;
        let source = row.source_version()?;
        if seen.is_some_and(|seen| seen != source) {
            return Err(CatalogError::OtherSource(source));
        }
        from.to(wanted, has_review)?;
        tx.execute(sql::assets::SET_STAGE, args![id, wanted.as_str(), note.map(str::to_owned)]).await?;
        // Behind a review only what was looked at is shown; where there is none, whoever shows it has looked.
        if wanted.is_verdict() || wanted.is_played() {
            tx.execute(sql::versions::SET_NEEDS_REVIEW, args![id, wanted == Stage::Rejected]).await?;
        }
        tx.event(now, "asset.stage_changed", id, json!({ "from": from, "to": wanted, "note": note }));
        if from.is_played() != wanted.is_played() {
            tx.event(now, "asset.access_changed", id, json!({}));
            wish(&mut tx, &row, id, job, now).await?;
        }
        tx.commit().await?;
        Ok(from)
    }

    /// In which stage assets begin from now on.
    pub async fn set_first_stage(&self, stage: Stage) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.execute(sql::assets::FIRST_STAGE, args![stage.as_str()]).await?;
        tx.commit().await
    }

    /// Like [`binned_assets`](Self::binned_assets), but those that wait for a review.
    pub async fn assets_to_review(
        &self,
        owner: Option<&str>,
        side: Option<Side<AssetId>>,
        limit: u32,
    ) -> Result<Vec<Asset>, CatalogError> {
        self.set_apart([sql::assets::TO_REVIEW, sql::assets::TO_REVIEW_BEFORE], owner, side, limit).await
    }

    /// At most `limit` (and [`PAGE_ASSETS_MAX`] + 1) assets on one side of another that lie in the bin, the newest first;
    /// those of one owner, if one is given.
    pub async fn binned_assets(
        &self,
        owner: Option<&str>,
        side: Option<Side<AssetId>>,
        limit: u32,
    ) -> Result<Vec<Asset>, CatalogError> {
        self.set_apart([sql::assets::BINNED, sql::assets::BINNED_BEFORE], owner, side, limit).await
    }

    async fn set_apart(
        &self,
        statements: [sql::Sql; 2],
        owner: Option<&str>,
        side: Option<Side<AssetId>>,
        limit: u32,
    ) -> Result<Vec<Asset>, CatalogError> {
        let (place, way) = Side::or_first(side, AssetId::from_u128(u128::MAX));
        let args = args![owner.map(str::to_owned), place, limit.min(PAGE_ASSETS_MAX + 1)];
        let rows: Vec<AssetRow> = self.page(way, statements, args).await?;
        rows.into_iter().map(Asset::try_from).collect()
    }

    /// At most `limit` assets whose time in the bin is over.
    pub async fn bins_due(&self, limit: u32, now: Timestamp) -> Result<Vec<Asset>, CatalogError> {
        let rows: Vec<AssetRow> = self.rows(sql::assets::BINS_DUE, args![now, limit]).await?;
        rows.into_iter().map(Asset::try_from).collect()
    }

    /// Tells of at most `limit` assets that their time has come, or is over, at an instant behind `since` and not behind
    /// `now`; of how many. What came and was over since somebody looked is told as both, in order.
    pub async fn tell_windows(&self, limit: u32, since: Timestamp, now: Timestamp) -> Result<u32, CatalogError> {
        let rows: Vec<AssetRow> = self.rows(sql::assets::WINDOWS_DUE, args![now, limit, since]).await?;
        let mut told = 0;
        for row in rows {
            let id = Asset::try_from(row)?.id;
            let mut tx = self.begin().await?;
            // What was set, or told by another process, meanwhile.
            let asset = Asset::try_from(tx.lock_asset(id, now).await?)?;
            let before: Option<Number> = tx.row(sql::assets::WINDOW_TOLD, args![id]).await?;
            let before = before.map_or(i64::MAX, |before| before.number);
            let is_due = |at: Option<Timestamp>| at.is_some_and(|at| before < at.unix_ms() && at <= now);
            let due = [(asset.publish_at, "asset.opened"), (asset.expire_at, "asset.expired")];
            let due: Vec<&str> = due.into_iter().filter(|(at, _)| is_due(*at)).map(|(_, topic)| topic).collect();
            if asset.state == AssetState::Deleted || due.is_empty() {
                continue;
            }
            tx.execute(sql::assets::SET_WINDOW_TOLD, args![id, now]).await?;
            for topic in due {
                tx.event(now, topic, id, json!({}));
            }
            tx.event(now, "asset.access_changed", id, json!({}));
            tx.commit().await?;
            told += 1;
        }
        Ok(told)
    }
}
