//! What administrators look for: accounts by name and mail address, rows of the audit log by what was done, by whom, to
//! what and when.

use std::collections::BTreeSet;

use domain::{Timestamp, UserId, search};

use crate::accounts::{PAGE_USERS_MAX, UserRow, email_key};
use crate::audit::{AuditRow, PAGE_AUDIT_MAX};
use crate::catalog::Tx;
use crate::engine::{args, column, parsed};
use crate::{AuditEntry, Catalog, CatalogError, Side, User, sql};

/// Accounts whose terms are written at once.
const BATCH: u32 = 500;
/// Behind everything that begins like a text.
const LAST: char = '\u{10ffff}';

/// Which rows of the audit log are meant; `None` for any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By whom.
    pub actor: Option<String>,
    /// What an action begins with.
    pub action: Option<String>,
    /// To what.
    pub target: Option<String>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

impl Catalog {
    /// As [`Catalog::users`], those whose mail address, name, or a word of it begins with `text`, whatever its case and
    /// accents, and the one with this id.
    pub async fn users_like(
        &self,
        text: &str,
        side: Option<Side<UserId>>,
        limit: u32,
    ) -> Result<Vec<User>, CatalogError> {
        let (place, way) = Side::or_first(side, UserId::from_u128(u128::MAX));
        let (email, name) = (email_key(text), search::fold(text));
        // A text without a word in it is no beginning of a name.
        let name_end = if name.is_empty() { String::new() } else { behind(&name) };
        let (email_end, limit) = (behind(&email), limit.min(PAGE_USERS_MAX + 1));
        let args = args![place, limit, email, email_end, name, name_end, text.trim()];
        let rows: Vec<UserRow> = self.page(way, [sql::lookup::USERS, sql::lookup::USERS_BEFORE], args).await?;
        rows.into_iter().map(User::try_from).collect()
    }

    /// As [`Catalog::audit_log`], the rows that are meant, on one side of a number.
    pub async fn audit_log_of(
        &self,
        filter: &AuditFilter,
        side: Option<Side<u64>>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, CatalogError> {
        use sql::lookup as by;
        let AuditFilter { actor, action, target, from, until } = filter.clone();
        let (place, way) = Side::or_first(side, i64::MAX.unsigned_abs());
        // Which of them is asked decides by which index an engine goes.
        let statements = match (&target, &actor) {
            (Some(_), _) => [by::AUDIT_OF_TARGET, by::AUDIT_OF_TARGET_BEFORE],
            (None, Some(_)) => [by::AUDIT_OF_ACTOR, by::AUDIT_OF_ACTOR_BEFORE],
            (None, None) => [by::AUDIT, by::AUDIT_BEFORE],
        };
        let action_end = action.as_deref().map(behind);
        let args = args![
            column(place)?,
            limit.min(PAGE_AUDIT_MAX + 1),
            actor,
            target,
            action,
            action_end,
            from.map(Timestamp::unix_ms),
            until.map(Timestamp::unix_ms),
        ];
        let rows: Vec<AuditRow> = self.page(way, statements, args).await?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }

    /// Writes by what accounts are looked for that an earlier version made.
    pub(crate) async fn renew_user_terms(&self) -> Result<(), CatalogError> {
        // Ends because every account that is found has a term after that.
        loop {
            let mut tx = self.begin().await?;
            let rows: Vec<UserRow> = tx.rows(sql::lookup::WITHOUT_TERMS, args![BATCH]).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                let id = parsed("users.id", &row.id)?;
                tx.put_user_terms(id, row.email.as_deref(), &row.name).await?;
            }
            tx.commit().await?;
        }
    }
}

impl Tx {
    /// By what an account is looked for: its mail address, its name, and what is left of that from each word on.
    pub(crate) async fn put_user_terms(
        &mut self,
        id: UserId,
        email: Option<&str>,
        name: &str,
    ) -> Result<(), CatalogError> {
        self.drop_user_terms(id).await?;
        if let Some(email) = email {
            self.execute(sql::lookup::PUT_TERM, args![id, "email", email_key(email)]).await?;
        }
        for term in names(name) {
            self.execute(sql::lookup::PUT_TERM, args![id, "name", term]).await?;
        }
        Ok(())
    }

    pub(crate) async fn drop_user_terms(&mut self, id: UserId) -> Result<(), CatalogError> {
        self.execute(sql::lookup::DROP_TERMS, args![id]).await?;
        Ok(())
    }
}

/// A name from each of its words on; one without any is still there, so that it is known to have been written.
fn names(name: &str) -> BTreeSet<String> {
    let folded = search::fold(name);
    let words: Vec<&str> = folded.split(' ').collect();
    (0..words.len()).map(|first| words[first..].join(" ")).collect()
}

/// What stands behind everything that begins like `text`, in the order of octets.
fn behind(text: &str) -> String {
    format!("{text}{LAST}")
}
