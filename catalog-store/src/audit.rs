//! What was done about accounts and rights, and to assets by those who may: a log in which each row is sealed together
//! with the one before it.
//!
//! Whoever changes, removes or adds a row without sealing all that follow anew is found out by
//! [`Catalog::audit_verify`]; whoever does seal them anew is found out by an older seal that was kept elsewhere.

use domain::{SessionId, Timestamp, UserId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::catalog::Tx;
use crate::engine::{args, column, corrupt, count, document};
use crate::{Catalog, CatalogError, sql};

/// Most rows that one call returns.
pub const PAGE_AUDIT_MAX: u32 = 100;
/// Rows that are checked at once.
const BATCH: u32 = 1000;

/// What the one whom it concerns is told of, in case it was not them.
const TOLD: [&str; 10] = [
    "identity.linked",
    "identity.unlinked",
    "key.created",
    "session.refresh_reused",
    "user.password_changed",
    "user.recovery_code_used",
    "user.second_factor_removed",
    "user.second_factor_set",
    "user.terms_changed",
    "session.all_ended",
];

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, from 1 and without gaps.
    pub seq: u64,
    /// When it was done.
    pub at: Timestamp,
    /// By whom: an account, the name of a token, or `system`.
    pub actor: String,
    /// What, such as `user.suspended`.
    pub action: String,
    /// To what.
    pub subject: Option<String>,
    /// The details, a JSON object without anything that is personal or secret.
    pub data: Value,
    /// Seals it and all rows before it.
    pub hash: String,
}

/// What a check of the whole log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditVerdict {
    /// Rows that were checked.
    pub entries: u64,
    /// The last seal; empty before the first row.
    pub head: String,
    /// The first thing that is wrong.
    pub fault: Option<AuditFault>,
}

/// Where the log was tampered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFault {
    /// The first number at which it is not what was written.
    pub seq: u64,
    /// What is wrong there.
    pub problem: &'static str,
}

/// Something to be logged.
pub(crate) struct Note<'a> {
    pub(crate) actor: &'a str,
    pub(crate) action: &'a str,
    pub(crate) subject: Option<String>,
    pub(crate) data: Value,
}

impl<'a> Note<'a> {
    pub(crate) fn of_user(actor: &'a str, action: &'a str, user: UserId) -> Self {
        Self { actor, action, subject: Some(user.to_string()), data: json!({}) }
    }

    /// Of anything that has an id.
    pub(crate) fn of(actor: &'a str, action: &'a str, subject: impl ToString, data: Value) -> Self {
        Self { actor, action, subject: Some(subject.to_string()), data }
    }

    pub(crate) fn of_session(actor: &'a str, action: &'a str, user: UserId, session: SessionId) -> Self {
        Self { data: json!({ "session": session.to_string() }), ..Self::of_user(actor, action, user) }
    }
}

impl Tx {
    /// Logs it. Call it before anything else of the transaction: it holds the head of the log, so that of two
    /// transactions which change rights one comes after the other.
    pub(crate) async fn audit(&mut self, note: Note<'_>, now: Timestamp) -> Result<(), CatalogError> {
        let head: Option<HeadRow> = self.row(sql::audit::NEXT, args![]).await?;
        let head = head.ok_or_else(|| corrupt("audit_head", "no row"))?;
        let data = note.data.to_string();
        let hash = seal(&head.hash, head.seq, now.unix_ms(), (note.actor, note.action), note.subject.as_deref(), &data);
        let (actor, action) = (note.actor, note.action);
        // Whoever it concerns is told, if the transaction comes to its end.
        let user = note.subject.as_deref().and_then(|subject| subject.parse::<UserId>().ok());
        if let Some(user) = user.filter(|_| TOLD.contains(&note.action)) {
            self.event_for(Some(user), now, "account.security", None, json!({ "action": note.action }));
        }
        self.execute(sql::audit::INSERT, args![head.seq, now, actor, action, note.subject, data, hash.as_str()])
            .await?;
        self.execute(sql::audit::SET_HEAD, args![hash]).await?;
        Ok(())
    }
}

impl Catalog {
    /// At most `limit` (and [`PAGE_AUDIT_MAX`] + 1) rows before number `before`, the latest first.
    pub async fn audit_log(&self, before: Option<u64>, limit: u32) -> Result<Vec<AuditEntry>, CatalogError> {
        let before = before.map_or(Ok(i64::MAX), column)?;
        let args = args![before, limit.min(PAGE_AUDIT_MAX + 1)];
        let rows: Vec<AuditRow> = self.rows(sql::audit::BEFORE, args).await?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }

    /// Logs something that changes nothing else in the catalogue.
    pub async fn note(&self, actor: &str, action: &str, subject: UserId, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(actor, action, subject), now).await?;
        tx.commit().await
    }

    /// Logs that so many logins of an account failed; of none, if there is no account with the address.
    pub async fn note_failed_logins(
        &self,
        user: Option<UserId>,
        count: u64,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let (subject, data) = (user.map(|user| user.to_string()), json!({ "count": count }));
        tx.audit(Note { actor: "nobody", action: "login.failed", subject, data }, now).await?;
        tx.commit().await
    }

    /// Whether a row has this seal.
    pub async fn has_audit_seal(&self, seal: &str) -> Result<bool, CatalogError> {
        Ok(self.number(sql::audit::COUNT_SEAL, args![seal]).await? > 0)
    }

    /// Reads the whole log and checks every seal.
    pub async fn audit_verify(&self) -> Result<AuditVerdict, CatalogError> {
        // Read first: rows that come meanwhile are checked as well, but need not be there.
        let head: Option<HeadRow> = self.row(sql::audit::HEAD, args![]).await?;
        let head = head.ok_or_else(|| corrupt("audit_head", "no row"))?;
        let wanted = count("audit_head.seq", head.seq)?;
        let (mut seq, mut hash, mut sealed) = (0u64, String::new(), String::new());
        // Ends with the log, which is read in order.
        loop {
            let rows: Vec<AuditRow> = self.rows(sql::audit::AFTER, args![column(seq)?, BATCH]).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let fault = |problem| AuditFault { seq: seq + 1, problem };
                let own = seal(&hash, row.seq, row.at, (&row.actor, &row.action), row.subject.as_deref(), &row.data);
                let problem = match () {
                    () if count("audit_log.seq", row.seq)? != seq + 1 => Some("rows are missing"),
                    () if own != row.hash => Some("the row is not what was written"),
                    () => None,
                };
                if let Some(problem) = problem {
                    return Ok(AuditVerdict { entries: seq, head: head.hash, fault: Some(fault(problem)) });
                }
                (seq, hash) = (seq + 1, own);
                if seq == wanted {
                    sealed.clone_from(&hash);
                }
            }
        }
        let problem = match () {
            () if seq < wanted => Some((seq + 1, "rows are missing at the end")),
            () if sealed != head.hash => Some((wanted, "the seal of the whole log is another")),
            () => None,
        };
        let fault = problem.map(|(seq, problem)| AuditFault { seq, problem });
        Ok(AuditVerdict { entries: seq, head: head.hash, fault })
    }
}

/// The seal of a row behind the one with the seal `before`. A JSON list, so that no two rows are written alike.
fn seal(before: &str, seq: i64, at: i64, (actor, action): (&str, &str), subject: Option<&str>, data: &str) -> String {
    let written = json!([before, seq, at, actor, action, subject, data]).to_string();
    Sha256::digest(written.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(sqlx::FromRow)]
struct HeadRow {
    seq: i64,
    hash: String,
}

/// `audit_log` as stored.
#[derive(sqlx::FromRow)]
pub(crate) struct AuditRow {
    seq: i64,
    at: i64,
    actor: String,
    action: String,
    subject: Option<String>,
    data: String,
    hash: String,
}

impl TryFrom<AuditRow> for AuditEntry {
    type Error = CatalogError;

    fn try_from(row: AuditRow) -> Result<Self, CatalogError> {
        Ok(Self {
            seq: count("audit_log.seq", row.seq)?,
            at: Timestamp::from_unix_ms(row.at),
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            data: document("audit_log.data", &row.data)?,
            hash: row.hash,
        })
    }
}
