//! The audit log, read page by page.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::http::Uri;
use axum::response::Response;
use catalog_store::audit::PAGE_AUDIT_MAX;
use catalog_store::{AuditEntry, AuditFilter, Listing};
use domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::State;
use crate::door::accounts;
use crate::pages;
use crate::problem::Problem;

/// Rows on a page when nothing else is asked for.
const PAGE_AUDIT: u32 = 20;
/// Longest value that rows are narrowed by.
const VALUE_CHARS_MAX: usize = 100;
/// What cursors of this list are sealed for.
const LIST: &str = "audit";

/// Which rows are meant, and how many.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    limit: Option<u32>,
    after: Option<String>,
    before: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    target: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

impl AuditQuery {
    fn filter(&self) -> Result<AuditFilter, Problem> {
        let text = |name: &str, value: &Option<String>| match value.as_deref().map(str::trim) {
            Some(value) if value.chars().count() > VALUE_CHARS_MAX => {
                Err(Problem::invalid_query(format!("{name} has at most {VALUE_CHARS_MAX} characters")))
            }
            value => Ok(value.filter(|value| !value.is_empty()).map(str::to_owned)),
        };
        let time = |name: &str, value: &Option<String>| {
            let told = value.as_deref().filter(|value| !value.is_empty());
            let time = told.map(|value| Timestamp::from_rfc3339(value).ok_or(()));
            time.transpose().map_err(|()| Problem::invalid_parameter(format!("{name} is a time as RFC 3339 writes it")))
        };
        Ok(AuditFilter {
            actor: text("actor", &self.actor)?,
            action: text("action", &self.action)?,
            target: text("target", &self.target)?,
            from: time("from", &self.from)?,
            until: time("to", &self.to)?,
        })
    }
}

/// A row of the log, as it is shown.
#[derive(Serialize)]
pub(crate) struct EntryView {
    seq: u64,
    at: String,
    actor: String,
    action: String,
    subject: Option<String>,
    data: serde_json::Value,
    hash: String,
}

impl From<AuditEntry> for EntryView {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { seq, at, actor, action, subject, data, hash } = entry;
        Self { seq, at: at.rfc3339(), actor, action, subject, data, hash }
    }
}

pub(crate) async fn list(
    Shared(state): Shared<State>,
    uri: Uri,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let filter = query.filter()?;
    let name = format!("{LIST} {filter:?}");
    let list = Listing::of(&state.catalog, name, query.limit, (PAGE_AUDIT, PAGE_AUDIT_MAX))?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let mut entries = accounts.catalog().audit_log_of(&filter, list.side()?, list.rows()).await?;
    let page = list.cut(&mut entries, |entry| entry.seq.to_string());
    let data: Vec<EntryView> = entries.into_iter().map(EntryView::from).collect();
    Ok(pages::answer(&uri, data, page))
}
