//! How far those who read the events on behalf of others are: of caches in front, webhooks and notifications.
//!
//! The events are the list of what has to be told, and each reader has its own place in it: what was told is behind
//! that place, and moves it only once it was taken. So a process that is killed in between tells it again, and a
//! reader that is held up holds up no other.
//!
//! Readers of this program begin with `@`; the others are caches in front, by the names that the settings give them.

use std::time::Duration;

use domain::Timestamp;

use crate::catalog::Tx;
use crate::engine::{args, column, count, count32};
use crate::{Catalog, CatalogError, sql};

/// Somebody who reads the events on behalf of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxReader {
    /// Its name.
    pub name: String,
    /// The last event that it was told of, or that is nothing to it.
    pub seq: u64,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Since when they fail.
    pub failing_since: Option<Timestamp>,
    /// What the last one met.
    pub error: Option<String>,
    /// When the next attempt is due.
    pub retry_at: Timestamp,
    /// How many times it was given up to tell it of something.
    pub given_up: u64,
}

/// The right to read for a reader, for a limited time. One process has it.
#[derive(Clone, Copy, Debug)]
pub struct OutboxHold<'a> {
    /// The reader.
    pub reader: &'a str,
    /// The process.
    pub holder: &'a str,
}

impl Catalog {
    /// Takes or keeps the right to read for a reader for `lease`, and says where it stands; `None` while somebody else
    /// has the right. A reader that is new begins with what comes from here on.
    pub async fn hold_reader(
        &self,
        hold: OutboxHold<'_>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<OutboxReader>, CatalogError> {
        let OutboxHold { reader, holder } = hold;
        let mut tx = self.begin().await?;
        tx.execute(sql::outbox::ADD, args![reader]).await?;
        let row: Option<ReaderRow> = tx.row(sql::outbox::HOLD, args![reader, holder, now.plus(lease), now]).await?;
        tx.commit().await?;
        row.map(OutboxReader::try_from).transpose()
    }

    /// Gives the right back, so that another process need not wait for it.
    pub async fn release_reader(&self, hold: OutboxHold<'_>) -> Result<(), CatalogError> {
        self.note_of_target(sql::outbox::RELEASE, args![hold.reader, hold.holder]).await.map(|_| ())
    }

    /// Records that a target was told of all events up to `seq`; false if another process has the right by now.
    pub async fn note_told(&self, hold: OutboxHold<'_>, seq: u64) -> Result<bool, CatalogError> {
        self.note_of_target(sql::outbox::TOLD, args![hold.reader, hold.holder, column(seq)?]).await
    }

    /// Records an attempt that failed, and when to try again; false if another process has the right by now.
    pub async fn note_untold(
        &self,
        hold: OutboxHold<'_>,
        error: &str,
        retry_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        self.note_of_target(sql::outbox::FAILED, args![hold.reader, hold.holder, error, retry_at, now]).await
    }

    /// Gives it up to tell a target of the events up to `seq`; false if another process has the right by now.
    pub async fn give_up_telling(&self, hold: OutboxHold<'_>, seq: u64) -> Result<bool, CatalogError> {
        self.note_of_target(sql::outbox::GIVEN_UP, args![hold.reader, hold.holder, column(seq)?]).await
    }

    async fn note_of_target(&self, sql: sql::Sql, args: Vec<crate::engine::Arg>) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let touched = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(touched == 1)
    }

    /// All caches in front that were ever told of something, by name.
    pub async fn purge_targets(&self) -> Result<Vec<OutboxReader>, CatalogError> {
        let rows: Vec<ReaderRow> = self.rows(sql::outbox::TARGETS, args![]).await?;
        rows.into_iter().map(OutboxReader::try_from).collect()
    }
}

impl Tx {
    /// Moves the place of a reader, together with what else the transaction does; false if another process has the
    /// right by now.
    pub(crate) async fn move_reader(&mut self, hold: OutboxHold<'_>, seq: u64) -> Result<bool, CatalogError> {
        Ok(self.execute(sql::outbox::TOLD, args![hold.reader, hold.holder, column(seq)?]).await? == 1)
    }
}

/// `purge_targets` as stored.
#[derive(sqlx::FromRow)]
struct ReaderRow {
    name: String,
    seq: i64,
    failures: i64,
    failing_since: Option<i64>,
    error: Option<String>,
    retry_at: i64,
    given_up: i64,
}

impl TryFrom<ReaderRow> for OutboxReader {
    type Error = CatalogError;

    fn try_from(row: ReaderRow) -> Result<Self, CatalogError> {
        Ok(Self {
            seq: count("purge_targets.seq", row.seq)?,
            failures: count32("purge_targets.failures", row.failures)?,
            failing_since: row.failing_since.map(Timestamp::from_unix_ms),
            error: row.error,
            retry_at: Timestamp::from_unix_ms(row.retry_at),
            given_up: count("purge_targets.given_up", row.given_up)?,
            name: row.name,
        })
    }
}
