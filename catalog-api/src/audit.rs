//! The audit log, read page by page.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::http::Uri;
use axum::response::Response;
use catalog_store::AuditEntry;
use catalog_store::audit::PAGE_AUDIT_MAX;
use serde::Serialize;

use crate::State;
use crate::door::accounts;
use crate::pages::{self, Listing, PageQuery};
use crate::problem::Problem;

/// Rows on a page when nothing else is asked for.
const PAGE_AUDIT: u32 = 20;
/// What cursors of this list are sealed for.
const LIST: &str = "audit";

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
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let Query(query) = query.map_err(|error| Problem::invalid_query(error.body_text()))?;
    let list = Listing::of(&state, LIST, query.limit, (PAGE_AUDIT, PAGE_AUDIT_MAX))?;
    let before = list.after(query.after.as_deref())?;
    let mut entries = accounts.catalog().audit_log(before, list.rows()).await?;
    let page = list.cut(&mut entries, |entry| entry.seq.to_string());
    let data: Vec<EntryView> = entries.into_iter().map(EntryView::from).collect();
    Ok(pages::answer(&uri, data, page))
}
