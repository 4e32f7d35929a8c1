//! What is done once however often it is asked for: names that askers give to what they ask.
//!
//! A name is noted before anything is done. Whatever is done is marked in its own transaction, by [`marked`], so that
//! after a kill it is known whether it was done; the answer is kept after that. So nothing is done twice, and what may
//! be lost is the answer.

use std::time::Duration;

use domain::Timestamp;

use crate::catalog::Tx;
use crate::engine::args;
use crate::{Catalog, CatalogError, sql};

/// Names of one principal that are remembered; the oldest are forgotten first.
pub const NAMES_MAX: u32 = 1000;
/// For how long a name is remembered.
pub const REMEMBERED: Duration = Duration::from_hours(24);

tokio::task_local! {
    static MARK: Mark;
}

/// Something that is asked for under a name.
#[derive(Clone, Debug)]
pub struct Named<'a> {
    /// The hash of who asks and of the name.
    pub hash: &'a str,
    /// Who asks.
    pub principal: &'a str,
    /// The hash of what they ask.
    pub fingerprint: &'a str,
}

/// The right to do what was asked for under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    hash: String,
    fence: i64,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is new: do what is asked for, [`marked`] with this.
    New(Mark),
    /// It is being done, until this instant at the longest.
    Running(Timestamp),
    /// Something else was asked for under it.
    Other,
    /// It was done, and this was answered.
    Answered(String),
    /// It was done, and nobody knows what was answered.
    Unanswered,
}

/// Runs `work`; what its transactions do is marked as done in each of them. One whose mark another runner has by now
/// does nothing any more ([`CatalogError::LostName`]).
pub async fn marked<F: Future>(mark: Mark, work: F) -> F::Output {
    MARK.scope(mark, work).await
}

impl Catalog {
    /// Notes that something is asked for under a name, or says what is known of it. Nobody else does it for `lock`.
    ///
    /// # Errors
    /// [`CatalogError::AccountGone`] if the account of whoever asks was deleted meanwhile.
    pub async fn begin_named(&self, named: &Named<'_>, lock: Duration, now: Timestamp) -> Result<Known, CatalogError> {
        let Named { hash, principal, fingerprint } = *named;
        let mut tx = self.begin().await?;
        tx.hold_owner(Some(principal)).await?;
        let args = args![hash, principal, fingerprint, now.plus(lock), now];
        let mark = |fence| Mark { hash: hash.to_owned(), fence };
        if tx.execute(sql::idempotency::BEGIN, args).await? == 1 {
            tx.execute(sql::idempotency::PRUNE_MANY, args![principal, NAMES_MAX]).await?;
            tx.commit().await?;
            return Ok(Known::New(mark(1)));
        }
        // It was pruned meanwhile: whoever asks again finds it new.
        let Some(row) = tx.row::<NamedRow>(sql::idempotency::FIND, args![hash]).await? else {
            return Ok(Known::Running(now));
        };
        let until = Timestamp::from_unix_ms(row.locked_until);
        Ok(match (row.state.as_str(), row.answer) {
            _ if row.fingerprint != fingerprint => Known::Other,
            ("answered", Some(answer)) => Known::Answered(answer),
            ("effective", _) if until <= now => Known::Unanswered,
            ("running", _) if until <= now => {
                let args = args![hash, row.fence, now.plus(lock), now];
                let is_mine = tx.execute(sql::idempotency::TAKE_OVER, args).await? == 1;
                tx.commit().await?;
                if is_mine { Known::New(mark(row.fence + 1)) } else { Known::Running(now.plus(lock)) }
            }
            _ => Known::Running(until),
        })
    }

    /// Keeps what was answered; false if another runner has the name by now.
    pub async fn answer_named(&self, mark: &Mark, answer: &str) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let kept = tx.execute(sql::idempotency::ANSWER, args![mark.hash.as_str(), mark.fence, answer]).await?;
        tx.commit().await?;
        Ok(kept == 1)
    }

    /// Forgets a name under which nothing was done; false if something was.
    pub async fn drop_named(&self, mark: &Mark) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let dropped = tx.execute(sql::idempotency::DROP, args![mark.hash.as_str(), mark.fence]).await?;
        tx.commit().await?;
        Ok(dropped == 1)
    }

    /// Forgets names that were given before `before`; how many there were.
    pub async fn prune_named(&self, before: Timestamp) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let pruned = tx.execute(sql::idempotency::PRUNE, args![before]).await?;
        tx.commit().await?;
        Ok(pruned)
    }
}

impl Tx {
    /// Marks what this transaction does as done, if it is done under a name.
    pub(crate) async fn mark(&mut self) -> Result<(), CatalogError> {
        let Ok(mark) = MARK.try_with(Mark::clone) else { return Ok(()) };
        match self.execute(sql::idempotency::MARK, args![mark.hash, mark.fence]).await? {
            1 => Ok(()),
            _ => Err(CatalogError::LostName),
        }
    }
}

/// `idempotency_keys` as stored.
#[derive(sqlx::FromRow)]
struct NamedRow {
    fingerprint: String,
    state: String,
    fence: i64,
    locked_until: i64,
    answer: Option<String>,
}
