//! What is let in, and how much: types, sizes, quota, room on the disk.
//!
//! A new upload is admitted before a single octet of its body is asked for, and what it announced is
//! reserved at that moment: an upload that was admitted can finish.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use catalog_store::{Closing, Upload};
use domain::plan::Limits;
use domain::{ByteSize, Container, Failure};
use tokio::sync::Semaphore;

use crate::error::Causes;
use crate::gate::Entrant;
use crate::live::Look;
use crate::sniff::{self, TypePattern};
use crate::{Denial, Prober, State, UploadError};

/// Heads of files that the engine looks at, at the same time.
const LOOKS_MAX: usize = 2;

/// Time over which a body must reach the least rate.
const RATE_WINDOW: Duration = Duration::from_secs(60);

/// The rules of admission.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Media types that are accepted. None of them, or `*/*`, takes anything without looking.
    pub types: Vec<TypePattern>,
    /// Octets that one principal's uploads may take, open and complete; `None` for no bound.
    pub quota_bytes: Option<u64>,
    /// Open uploads of one principal; `None` for no bound.
    pub open_uploads_max: Option<u64>,
    /// Octets of the disk that new uploads leave alone.
    pub disk_reserve_bytes: u64,
    /// Octets per second that a body must bring on average; 0 for no bound.
    pub rate_min: u64,
    /// Over how long that is averaged.
    pub rate_window: Duration,
    /// What a source may hold.
    pub source: Limits,
}

impl Default for Policy {
    /// Anything of any size from anybody.
    fn default() -> Self {
        Self {
            types: Vec::new(),
            quota_bytes: None,
            open_uploads_max: None,
            disk_reserve_bytes: 0,
            rate_min: 0,
            rate_window: RATE_WINDOW,
            source: Limits::default(),
        }
    }
}

/// The rules, and what is needed to hold to them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission {
    pub(crate) policy: Arc<Policy>,
    /// Looks into heads of files; `None` for not at all.
    pub(crate) prober: Option<Arc<dyn Prober>>,
    pub(crate) looks: Arc<Semaphore>,
    pending: Arc<Mutex<Pending>>,
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(Policy::default(), None)
    }
}

impl Admission {
    /// Admission by these rules; `prober` looks into the heads of files while the rest is still coming.
    pub fn new(policy: Policy, prober: Option<Arc<dyn Prober>>) -> Self {
        let looks = Arc::new(Semaphore::new(LOOKS_MAX));
        Self { policy: Arc::new(policy), prober, looks, pending: Arc::default() }
    }
}

/// What was admitted and is not in the catalogue yet.
#[derive(Debug, Default)]
struct Pending {
    bytes: u64,
    /// Uploads and octets of each owner.
    of_owners: HashMap<String, (u64, u64)>,
}

/// What a new upload asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand<'a> {
    pub(crate) entrant: &'a Entrant,
    pub(crate) length: Option<u64>,
    /// As declared by the client.
    pub(crate) media_type: Option<&'a str>,
}

/// The right to create one upload. Hold it until the upload is in the catalogue, which knows it from there on.
#[derive(Debug)]
pub(crate) struct Admitted {
    pending: Arc<Mutex<Pending>>,
    owner: Option<String>,
    bytes: u64,
}

impl Admitted {
    fn reserve(admission: &Admission, owner: Option<&str>, bytes: u64) -> Self {
        let mut pending = lock(&admission.pending);
        pending.bytes = pending.bytes.saturating_add(bytes);
        if let Some(owner) = owner {
            let (count, sum) = pending.of_owners.entry(owner.to_owned()).or_default();
            (*count, *sum) = (*count + 1, sum.saturating_add(bytes));
        }
        Self { pending: Arc::clone(&admission.pending), owner: owner.map(str::to_owned), bytes }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut pending = lock(&self.pending);
        pending.bytes = pending.bytes.saturating_sub(self.bytes);
        let Some(owner) = self.owner.take() else { return };
        if let Some((count, sum)) = pending.of_owners.get_mut(&owner) {
            (*count, *sum) = (count.saturating_sub(1), sum.saturating_sub(self.bytes));
            if *count == 0 {
                pending.of_owners.remove(&owner);
            }
        }
    }
}

/// Admits a new upload, or says why not.
pub(crate) async fn admit(state: &State, demand: &Demand<'_>) -> Result<Admitted, UploadError> {
    let admitted = check(state, demand).await;
    if let Err(UploadError::Denied(denial)) = &admitted {
        state.metrics.refused(denial.status_and_code().1);
    }
    admitted
}

async fn check(state: &State, demand: &Demand<'_>) -> Result<Admitted, UploadError> {
    let grant = demand.entrant.grant.as_ref().map(|(grant, _)| grant);
    let bytes_max = grant.and_then(|grant| grant.bytes_max).unwrap_or(u64::MAX).min(state.limits.size_max);
    if demand.length.is_some_and(|length| length > bytes_max) {
        return Err(Denial::TooLarge { bytes_max }.into());
    }
    within_capacity(state).await?;
    declared(state, grant.map_or(&[][..], |grant| &grant.types), demand.media_type)?;
    let owner = demand.entrant.owner();
    // Reserved first and counted with the others: two that come at once cannot both take the last place.
    let admitted = Admitted::reserve(&state.admission, owner, demand.length.unwrap_or(0));
    if let Some(owner) = owner {
        let (count, bytes) = lock(&state.admission.pending).of_owners.get(owner).copied().unwrap_or_default();
        within_share(state, owner, Share { count, bytes }).await?;
    }
    let pending = lock(&state.admission.pending).bytes;
    has_room(state, pending, demand.length.unwrap_or(0)).await?;
    Ok(admitted)
}

/// Whether this server may hold one more unfinished upload, whoever it is from.
async fn within_capacity(state: &State) -> Result<(), UploadError> {
    let count_max = state.limits.open_uploads_max;
    if state.sessions.open_count() < count_max {
        return Ok(());
    }
    // Deleting an asset through the catalogue closes its upload without a word to this crate.
    let count = state.catalog.open_uploads().await?.len();
    state.sessions.set_open_count(count);
    if count < count_max { Ok(()) } else { Err(UploadError::TooMany) }
}

/// A declared type that is known and not accepted; what is not known shows in the octets.
fn declared(state: &State, granted: &[String], media_type: Option<&str>) -> Result<(), Denial> {
    let essence = media_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    let is_known =
        |container: &Container| container.media_types().iter().any(|kind| kind.eq_ignore_ascii_case(essence));
    if !Container::ALL.iter().any(is_known) {
        return Ok(());
    }
    for patterns in [state.admission.policy.types.clone(), parsed(granted)] {
        if !patterns.is_empty() && !patterns.iter().any(|pattern| pattern.holds(essence)) {
            return Err(Denial::Type { found: essence.to_owned(), accepted: list(&patterns) });
        }
    }
    Ok(())
}

/// New uploads and octets of one owner.
#[derive(Clone, Copy, Debug)]
struct Share {
    count: u64,
    bytes: u64,
}

async fn within_share(state: &State, owner: &str, new: Share) -> Result<(), UploadError> {
    let policy = &state.admission.policy;
    if policy.quota_bytes.is_none() && policy.open_uploads_max.is_none() {
        return Ok(());
    }
    let (open, used) = state.catalog.usage_of(owner).await?;
    if let Some(count_max) = policy.open_uploads_max.filter(|max| open + new.count > *max) {
        return Err(Denial::TooManyOpen { count_max }.into());
    }
    if let Some(quota) = policy.quota_bytes.filter(|quota| used.0.saturating_add(new.bytes) > *quota) {
        let left = ByteSize(quota.saturating_sub(used.0));
        return Err(Denial::Quota { wanted: ByteSize(new.bytes), left }.into());
    }
    Ok(())
}

/// Whether an upload whose length is not announced may grow by `bytes`.
pub(crate) async fn may_grow(state: &State, upload: &Upload, bytes: u64) -> Result<(), UploadError> {
    if let Some(owner) = &upload.owner {
        within_share(state, owner, Share { count: 0, bytes }).await?;
    }
    let pending = lock(&state.admission.pending).bytes.saturating_add(bytes);
    has_room(state, pending, bytes).await
}

/// Whether the disk holds what is promised to all, `pending` octets not yet in the catalogue among them.
async fn has_room(state: &State, pending: u64, wanted: u64) -> Result<(), UploadError> {
    let reserve = state.admission.policy.disk_reserve_bytes;
    if reserve == 0 || wanted == 0 {
        return Ok(());
    }
    let promised = state.catalog.reserved_bytes().await?.saturating_add(pending).saturating_add(reserve);
    let file = state.staging.path(domain::UploadId::from_u128(0));
    let free = tokio::task::spawn_blocking(move || free_bytes(file.parent().unwrap_or(&file))).await;
    match free {
        Ok(Ok(free)) if promised <= free => Ok(()),
        Ok(Ok(_)) => Err(Denial::NoRoom { wanted: ByteSize(wanted) }.into()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the room on the disk cannot be measured");
            Ok(())
        }
        Err(_) => Err(UploadError::Internal),
    }
}

fn free_bytes(dir: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The most octets that an upload may have.
pub(crate) fn size_max(state: &State, upload: &Upload) -> u64 {
    upload.terms.bytes_max.unwrap_or(u64::MAX).min(state.limits.size_max)
}

/// What the source of an upload may hold.
pub(crate) fn source_limits(state: &State, upload: &Upload) -> Limits {
    let limits = state.admission.policy.source.clone();
    let duration_s_max = upload.terms.duration_s_max.unwrap_or(u32::MAX).min(limits.duration_s_max);
    Limits { duration_s_max, ..limits }
}

/// The lists of types that an upload must be on; none if nobody cares.
pub(crate) fn lists(state: &State, upload: &Upload) -> Vec<Vec<TypePattern>> {
    let lists = [state.admission.policy.types.clone(), parsed(&upload.terms.types)];
    lists.into_iter().filter(|list| !list.is_empty() && !list.iter().any(TypePattern::is_any)).collect()
}

/// Whether a file in this container is on all lists.
pub(crate) fn on_lists(container: Container, lists: &[Vec<TypePattern>]) -> Result<(), Failure> {
    match lists.iter().find(|list| !sniff::is_accepted(container, list)) {
        None => Ok(()),
        Some(missed) => {
            let found = container.media_types().first().copied().unwrap_or(container.as_str());
            let message = Denial::Type { found: found.to_owned(), accepted: list(missed) }.to_string();
            Err(Failure::new(domain::FailureCode::Unsupported, message))
        }
    }
}

/// Patterns were checked when the capability was made; one that is not understood holds for nothing.
fn parsed(patterns: &[String]) -> Vec<TypePattern> {
    patterns.iter().filter_map(|pattern| pattern.parse().ok()).collect()
}

fn list(patterns: &[TypePattern]) -> String {
    patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Ends an upload whose octets are not wanted: later requests are told why, and its asset fails for that reason.
pub(crate) async fn refuse(state: &State, upload: &Upload, failure: &Failure) {
    // Before anything else, so that the body that still comes in is told the reason and not its consequences.
    state.live.set_look(upload.id, Look::Refused(failure.clone()));
    let closing = Closing::Refused(failure.clone());
    match state.catalog.close_upload(upload.id, &closing, state.clock.now()).await {
        Ok(true) => {
            state.sessions.closed();
            state.metrics.refused("upload_refused");
            tracing::info!(upload.id = %upload.id, reason = %failure, "upload refused");
            if let Err(error) = state.staging.discard(upload.id).await {
                tracing::warn!(upload.id = %upload.id, error = %Causes(&error), "a refused file is left to the next start");
            }
        }
        // It was complete or given up before.
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(upload.id = %upload.id, error = %Causes(&error), "an upload cannot be refused now");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_admitted_is_counted_until_it_is_let_go() {
        let admission = Admission::default();
        let first = Admitted::reserve(&admission, Some("ada"), 10);
        let second = Admitted::reserve(&admission, Some("ada"), 5);
        let nameless = Admitted::reserve(&admission, None, 1);
        assert_eq!(lock(&admission.pending).of_owners.get("ada"), Some(&(2, 15)));
        assert_eq!(lock(&admission.pending).bytes, 16);
        drop((first, nameless));
        assert_eq!(lock(&admission.pending).of_owners.get("ada"), Some(&(1, 5)));
        drop(second);
        assert!(lock(&admission.pending).of_owners.is_empty());
        assert_eq!(lock(&admission.pending).bytes, 0);
    }
}
