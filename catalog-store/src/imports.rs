//! How far an import is: what tells that its source is still the same, and what went wrong last.

use domain::{Timestamp, UploadId};

use crate::engine::{args, count32};
use crate::{Catalog, CatalogError, sql};

/// What is known of an import besides its upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportNote {
    /// The strong `ETag`, or else the `Last-Modified`, of the first answer.
    pub validator: Option<String>,
    /// Attempts in a row that brought nothing.
    pub attempts: u32,
    /// Why the last one failed.
    pub error: Option<String>,
}

impl Catalog {
    /// Notes how far an import is, in place of what was noted before.
    ///
    /// # Errors
    /// [`CatalogError::Statement`] if there is no such upload.
    pub async fn note_import(&self, upload: UploadId, note: &ImportNote, now: Timestamp) -> Result<(), CatalogError> {
        let (validator, error) = (note.validator.clone(), note.error.clone());
        let mut tx = self.begin().await?;
        tx.execute(sql::imports::PUT, args![upload, validator, note.attempts, error, now]).await?;
        tx.commit().await
    }

    /// What is noted of an import; nothing before its first answer.
    pub async fn import_note(&self, upload: UploadId) -> Result<ImportNote, CatalogError> {
        let row: Option<ImportRow> = self.row(sql::imports::BY_UPLOAD, args![upload]).await?;
        let Some(row) = row else { return Ok(ImportNote::default()) };
        let attempts = count32("imports.attempts", row.attempts)?;
        Ok(ImportNote { validator: row.validator, attempts, error: row.error })
    }
}

/// `imports` as stored.
#[derive(sqlx::FromRow)]
struct ImportRow {
    validator: Option<String>,
    attempts: i64,
    error: Option<String>,
}
