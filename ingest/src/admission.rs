//! What is let in, and how much: types, sizes, quota, room on the disk.
//!
//! A new upload is admitted before a single octet of its body is asked for, and what it announced is
//! reserved at that moment: an upload that was admitted can finish. Of several that come at once, one is
//! looked at after the other, so that none is refused for the sake of another that is refused too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use catalog_store::{Closing, Grant, Upload, UploadKind};
use domain::plan::Limits;
use domain::{ByteSize, Container, Failure, UploadId};
use tokio::sync::Semaphore;

use crate::error::Causes;
use crate::gate::Entrant;
use crate::growth::Growths;
use crate::live::Look;
use crate::sniff::{self, Tracks, TypePattern};
use crate::turnstile::{Passage, Promise, Turnstile};
use crate::{Denial, DocumentRules, Prober, State, UploadError};

/// Heads of files that the engine looks at, at the same time.
const LOOKS_MAX: usize = 2;

/// Parts under one capability for each use of it.
const PARTS_PER_USE_MAX: u64 = 64;
/// Octets by which an upload of unknown length may grow before it is asked again whether it may.
const GROWTH_BYTES: u64 = 8 << 20;
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
    /// What documents may be.
    pub documents: DocumentRules,
    /// What a source may hold.
    pub source: Limits,
    /// Ask the worker to encode what is recorded of an upload whose index comes first.
    pub encode_ahead: bool,
    /// Another source of an asset is looked at before it is shown, unless whoever brings it may review.
    pub has_review: bool,
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
            documents: DocumentRules::default(),
            source: Limits::default(),
            encode_ahead: false,
            has_review: false,
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
    turnstile: Turnstile,
    pub(crate) growths: Growths,
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
        Self { policy: Arc::new(policy), prober, looks, turnstile: Turnstile::default(), growths: Growths::default() }
    }
}

/// What a new upload asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand<'a> {
    pub(crate) entrant: &'a Entrant,
    pub(crate) kind: UploadKind,
    pub(crate) length: Option<u64>,
    /// As declared by the client.
    pub(crate) media_type: Option<&'a str>,
    /// What it is made of, and counts as from then on.
    pub(crate) parts: &'a [UploadId],
}

/// The right to create one upload. Hold it until the upload is in the catalogue, which knows it from there on, and
/// not longer: the next one waits.
#[derive(Debug)]
pub(crate) struct Admitted {
    _owner: Option<Passage>,
    _room: Option<Promise>,
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
    let bytes = demand.length.unwrap_or(0);
    let owner = demand.entrant.owner();
    let passage = passage(state, owner.as_deref(), grant.map(|grant| grant.id.as_str())).await;
    let new = Share { count: 1, bytes, parts: demand.parts, grows: None };
    if let Some(owner) = &owner {
        within_share(state, owner, new).await?;
    }
    if let Some(grant) = grant.filter(|_| demand.kind == UploadKind::Partial) {
        within_grant(state, grant, new).await?;
    }
    Ok(Admitted { _owner: passage, _room: promised(state, bytes).await? })
}

/// Waits until nobody else takes something of the same owner's share; `None` where nobody has one.
///
/// All uploads under a capability are its owner's; where nobody has a name, it stands for itself.
async fn passage(state: &State, owner: Option<&str>, grant: Option<&str>) -> Option<Passage> {
    match owner.or(grant) {
        Some(name) => Some(state.admission.turnstile.enter(name).await),
        None => None,
    }
}

/// Room on the disk for an upload of so many octets; `None` if nobody cares.
async fn promised(state: &State, bytes: u64) -> Result<Option<Promise>, UploadError> {
    if state.admission.policy.disk_reserve_bytes == 0 || bytes == 0 {
        return Ok(None);
    }
    let turnstile = &state.admission.turnstile;
    let beside = turnstile.promise(bytes).await;
    match has_room(state, beside.pending, bytes).await {
        // The others may be in the catalogue by now and be counted twice, or be refused themselves.
        Err(UploadError::Denied(Denial::NoRoom { .. })) if beside.pending > bytes => {}
        outcome => return outcome.map(|()| Some(beside)),
    }
    drop(beside);
    let alone = turnstile.promise_alone(bytes).await;
    has_room(state, alone.pending, bytes).await?;
    Ok(Some(alone))
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

/// New uploads and octets.
#[derive(Clone, Copy, Debug)]
struct Share<'a> {
    count: u64,
    bytes: u64,
    /// Uploads whose octets are among the new ones.
    parts: &'a [UploadId],
    /// The upload that grows by them, if it is not a new one.
    grows: Option<UploadId>,
}

/// Whether an owner's share has room for what is new; how many octets are left of it then, the new ones among them.
async fn within_share(state: &State, owner: &str, new: Share<'_>) -> Result<u64, UploadError> {
    let policy = &state.admission.policy;
    // What an account is told for itself counts instead of what holds for all.
    let quota = state.catalog.quota_of(owner).await?.or(policy.quota_bytes);
    if quota.is_none() && policy.open_uploads_max.is_none() {
        return Ok(u64::MAX);
    }
    // Before what is recorded is read: what becomes recorded in between counts twice, not never.
    let allowed = state.admission.growths.of_owner(owner, new.grows);
    let (open, used) = state.catalog.usage_of(owner).await?;
    if let Some(count_max) = policy.open_uploads_max.filter(|max| open + new.count > *max) {
        return Err(Denial::TooManyOpen { count_max }.into());
    }
    let Some(quota) = quota else { return Ok(u64::MAX) };
    let used = used.0.saturating_sub(state.catalog.bytes_of(new.parts).await?.0).saturating_add(allowed);
    let left = quota.saturating_sub(used);
    if used.saturating_add(new.bytes) > quota {
        return Err(Denial::Quota { wanted: ByteSize(new.bytes), left: ByteSize(left) }.into());
    }
    Ok(left)
}

/// Whether a capability allows more parts; how many octets are left of it then, the new ones among them. They come
/// before the use that pays for them, so together they may hold what its uses may: otherwise one use would be good for
/// any amount.
async fn within_grant(state: &State, grant: &Grant, new: Share<'_>) -> Result<u64, UploadError> {
    let allowed = state.admission.growths.of_grant(&grant.id, new.grows);
    let parts = state.catalog.unpaid_parts(&grant.id).await?;
    let uses = u64::from(grant.uses_left) + parts.waiting;
    let count_max = uses.saturating_mul(PARTS_PER_USE_MAX);
    // What is there may go on, whatever became of the use it was meant for.
    if new.count > 0 && parts.count + new.count > count_max {
        return Err(Denial::TooManyOpen { count_max }.into());
    }
    let bytes_max = grant.bytes_max.unwrap_or(u64::MAX).min(state.limits.size_max).saturating_mul(uses);
    let used = parts.bytes.0.saturating_add(allowed);
    let left = bytes_max.saturating_sub(used);
    if used.saturating_add(new.bytes) > bytes_max {
        return Err(Denial::TooLarge { bytes_max: left }.into());
    }
    Ok(left)
}

/// Whether an upload whose length is not announced may grow by `bytes`.
pub(crate) async fn may_grow(state: &State, upload: &Upload, bytes: u64) -> Result<(), UploadError> {
    left_for(state, upload, bytes).await.map(|_| ())
}

/// Whether it may grow by `bytes` beyond what is recorded of it; how many octets are left for it then.
async fn left_for(state: &State, upload: &Upload, bytes: u64) -> Result<u64, UploadError> {
    let new = Share { count: 0, bytes, parts: &upload.terms.parts, grows: Some(upload.id) };
    let mut left = u64::MAX;
    if let Some(owner) = &upload.owner {
        left = left.min(within_share(state, owner, new).await?);
    }
    if let Some(id) = upload.terms.grant.as_ref().filter(|_| upload.kind == UploadKind::Partial) {
        let grant = state.catalog.grant(id).await?.ok_or(Denial::Grant { problem: "it is not known" })?;
        left = left.min(within_grant(state, &grant, new).await?);
    }
    let pending = state.admission.turnstile.pending().saturating_add(bytes);
    has_room(state, pending, bytes).await?;
    Ok(left)
}

/// Waits until nobody else takes something of the share that this upload counts to.
pub(crate) async fn alone(state: &State, upload: &Upload) -> Option<Passage> {
    passage(state, upload.owner.as_deref(), upload.terms.grant.as_deref()).await
}

/// Lets an upload whose length is not announced grow by `bytes` beyond what is recorded of it, and a step more if there
/// is as much; by how many octets. Nobody else is given them until they are recorded or forgotten. Nothing of the upload
/// may be on its way to the catalogue meanwhile.
pub(crate) async fn grow(state: &State, upload: &Upload, bytes: u64) -> Result<u64, UploadError> {
    let _alone = alone(state, upload).await;
    let allowed = left_for(state, upload, bytes).await?.min(bytes.saturating_add(GROWTH_BYTES));
    state.admission.growths.allow(upload, allowed);
    Ok(allowed)
}

/// Whether the disk holds what is promised to all, `pending` octets not yet in the catalogue among them.
async fn has_room(state: &State, pending: u64, wanted: u64) -> Result<(), UploadError> {
    let reserve = state.admission.policy.disk_reserve_bytes;
    if reserve == 0 || wanted == 0 {
        return Ok(());
    }
    let promised = state.catalog.reserved_bytes().await?.saturating_add(pending).saturating_add(reserve);
    let file = state.staging.path(UploadId::from_u128(0));
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

/// Whether a file in this container, with such tracks, is on all lists.
pub(crate) fn on_lists(container: Container, tracks: Tracks, lists: &[Vec<TypePattern>]) -> Result<(), Failure> {
    match lists.iter().find(|list| !sniff::is_accepted(container, tracks, list)) {
        None => Ok(()),
        Some(missed) => {
            let found = sniff::types_of(container, tracks).first().copied().unwrap_or(container.as_str());
            let message = Denial::Type { found: found.to_owned(), accepted: list(missed) }.to_string();
            Err(Failure::new(domain::FailureCode::Unsupported, message))
        }
    }
}

/// Whether it depends on the tracks of a file in this container if it is on all lists.
pub(crate) fn is_in_doubt(container: Container, lists: &[Vec<TypePattern>]) -> bool {
    [Tracks::Picture, Tracks::Sound].into_iter().any(|tracks| on_lists(container, tracks, lists).is_err())
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
