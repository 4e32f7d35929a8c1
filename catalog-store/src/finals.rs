//! Final uploads: they wait for their parts, and end with them.

use domain::{Failure, FailureCode, Timestamp, UploadId};

use crate::catalog::Tx;
use crate::engine::args;
use crate::uploads::{UploadRow, close_in, in_order};
use crate::{Catalog, CatalogError, Closing, Upload, UploadKind, UploadState, sql};

/// Why a final upload is refused of which a part was given up.
pub fn part_given_up() -> Failure {
    let message = "a part of this file was given up before the file was put together: upload it again";
    Failure::new(FailureCode::Damaged, message)
}

impl Catalog {
    /// All final uploads that wait for their parts or are being concatenated, oldest first.
    pub async fn open_finals(&self) -> Result<Vec<Upload>, CatalogError> {
        let rows: Vec<UploadRow> = self.rows(sql::uploads::OPEN_FINALS, args![]).await?;
        rows.into_iter().map(|row| self.opened_upload(row)).collect()
    }

    /// Lets complete parts expire at `at`, unless they do so earlier.
    pub async fn expire_parts_at(&self, parts: &[UploadId], at: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        for part in in_order(parts) {
            tx.execute(sql::uploads::EXPIRE_PART_AT, args![part, at]).await?;
        }
        tx.commit().await
    }

    /// As [`Catalog::close_upload`]; `None` if it was not open any more. Otherwise the final uploads that are refused
    /// with it, since they still waited for parts and this was one: their bytes may be discarded, too.
    ///
    /// One all of whose parts were complete stays open: it may have been put together by now.
    ///
    /// # Errors
    /// [`CatalogError::NoUpload`] if there is none.
    pub async fn close_upload_with_finals(
        &self,
        id: UploadId,
        closing: &Closing,
        now: Timestamp,
    ) -> Result<Option<Vec<UploadId>>, CatalogError> {
        let mut tx = self.begin().await?;
        let upload = self.upload_in(&mut tx, id).await?;
        if !close_in(&mut tx, &upload, closing, now).await? {
            return Ok(None);
        }
        let refused = match upload.kind {
            UploadKind::Partial => refuse_waiting(&mut tx, &upload, now).await?,
            UploadKind::Whole | UploadKind::Final => Vec::new(),
        };
        tx.commit().await?;
        Ok(Some(refused))
    }
}

/// Refuses the final uploads that waited for parts when `part` was given up; `part` is what it was before.
async fn refuse_waiting(tx: &mut Tx, part: &Upload, now: Timestamp) -> Result<Vec<UploadId>, CatalogError> {
    let closing = Closing::Refused(part_given_up());
    let rows: Vec<UploadRow> = tx.rows(sql::uploads::OPEN_FINALS, args![]).await?;
    let mut refused = Vec::new();
    for row in rows {
        let whole = Upload::try_from(row)?;
        if !whole.terms.parts.contains(&part.id) || whole.is_full || !waited(tx, &whole, part).await? {
            continue;
        }
        if close_in(tx, &whole, &closing, now).await? {
            refused.push(whole.id);
        }
    }
    Ok(refused)
}

/// Whether one of the parts was not complete before `part` was given up.
async fn waited(tx: &mut Tx, whole: &Upload, part: &Upload) -> Result<bool, CatalogError> {
    if part.state != UploadState::Complete {
        return Ok(true);
    }
    for other in whole.terms.parts.iter().filter(|other| **other != part.id) {
        let row: Option<UploadRow> = tx.row(sql::uploads::BY_ID, args![*other]).await?;
        if row.map(Upload::try_from).transpose()?.is_none_or(|other| other.state != UploadState::Complete) {
            return Ok(true);
        }
    }
    Ok(false)
}
