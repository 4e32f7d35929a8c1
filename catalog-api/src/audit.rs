//! The audit log, read page by page.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::response::{IntoResponse, Response};
use catalog_store::AuditEntry;
use catalog_store::audit::PAGE_AUDIT_MAX;
use serde::{Deserialize, Serialize};

use crate::State;
use crate::assets::no_store;
use crate::documents::{Page, PageInfo, cursor, next_link, place};
use crate::door::accounts;
use crate::problem::Problem;

/// Rows on a page when nothing else is asked for.
const PAGE_AUDIT: u32 = 20;
/// What cursors of this list are sealed for.
const LIST: &str = "audit";

/// How many rows, and from where.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    limit: Option<u32>,
    after: Option<String>,
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
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let Query(query) = query.map_err(|error| Problem::invalid_query(error.body_text()))?;
    let limit = query.limit.unwrap_or(PAGE_AUDIT);
    if !(1..=PAGE_AUDIT_MAX).contains(&limit) {
        return Err(Problem::invalid_query(format!("limit is 1 to {PAGE_AUDIT_MAX}")));
    }
    let key = accounts.ring().cursor_key();
    let before = query.after.as_deref().map(|text| place(&key, LIST, text)).transpose()?;
    let before = before.and_then(|seq| seq.parse::<u64>().ok());
    let mut entries = accounts.catalog().audit_log(before, limit + 1).await?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = entries.len() > shown;
    entries.truncate(shown);
    let next = entries.last().filter(|_| has_more).map(|entry| cursor(&key, LIST, &entry.seq.to_string()));
    let mut answer = no_store();
    answer.extend(next_link("/api/v1/audit-log", limit, next.as_deref()));
    let data: Vec<EntryView> = entries.into_iter().map(EntryView::from).collect();
    Ok((answer, Json(Page { data, page: PageInfo { next, has_more } })).into_response())
}
