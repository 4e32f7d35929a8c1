//! A look at the head of a file while the rest is still on its way.
//!
//! The first octets are copied to memory and handed to a [`Prober`], which the server makes from the
//! engine. What it finds only ever leads to a refusal when the whole file would be refused for the same
//! reason; everything else is left to the probe of the whole file. So the finding itself is not kept:
//! it is a verdict, not a probe.
//!
//! Where an index in front tells of every sample, the upload is worth more than a look: what of it is recorded can be
//! encoded already. That is asked for here, and done by the worker.
//!
//! | the head | why a refusal is certain |
//! |---|---|
//! | index in front, every sample in it | the engine sees a file of the announced length, and the index tells when everything plays |
//! | packets with times (Matroska, fragmented MP4, TS, ...) | the part that is there already breaks the limit |
//! | the same, with a claimed duration | the claim breaks the limit, and so does the file at the rate of the part that is there |
//! | all tracks named, none of them picture or sound | more packets name no more tracks |
//! | a picture, where only sound is accepted | it stays in the file, whatever follows |
//!
//! That a file is sound alone shows only when it is complete: where a list of types asks for that, it is looked at once
//! more then.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::time::Duration;

use catalog_store::{AheadJobs, Upload, UploadKind};
use domain::container;
use domain::plan::{Limits, Plan};
use domain::{Container, Failure, FailureCode, JobId, MediaTime, Probe, Recipe, Timescale, hms};

use crate::committer::SyncPolicy;
use crate::front::{self, FRONT_BYTES_MAX, Front, Head};
use crate::live::Look;
use crate::sniff::{Tracks, TypePattern};
use crate::{State, admission, sniff};

/// Octets after which a file is looked at for the first time.
pub(crate) const FIRST_BYTES: u64 = 1 << 20;

/// What a [`Prober`] made of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It understood this much.
    Understood(Box<Probe>),
    /// It found nothing to play.
    Refused(Failure),
    /// It could not tell, for this reason.
    Unclear(String),
}

/// The answer of a [`Prober`].
pub type Finding<'a> = Pin<Box<dyn Future<Output = Looked> + Send + 'a>>;

/// Understands media. Hostile files are to be expected.
pub trait Prober: Send + Sync + std::fmt::Debug {
    /// Looks at a file; it is this call's own.
    fn look(&self, file: File) -> Finding<'_>;
}

/// Looks at the first `total` octets of an upload in a task of its own, unless somebody does or did already.
pub(crate) fn begin(state: &State, upload: &Upload, total: u64) {
    if state.admission.prober.is_none() || !state.live.begin_look(upload.id, total) {
        return;
    }
    let (state, upload) = (state.clone(), upload.clone());
    let tasks = state.tasks.clone();
    tasks.spawn(async move {
        let stop = state.shutdown.clone();
        // What is not found out now is found out by the probe of the whole file.
        let look = stop.run_until_cancelled(look(&state, &upload, total)).await.unwrap_or(Look::AtTheEnd);
        if let Look::Refused(failure) = &look {
            admission::refuse(&state, &upload, failure).await;
        }
        state.live.set_look(upload.id, look);
    });
}

async fn look(state: &State, upload: &Upload, total: u64) -> Look {
    let Some(prober) = &state.admission.prober else { return Look::AtTheEnd };
    // Closed never; a wait here holds nothing.
    let Ok(_place) = state.admission.looks.acquire().await else { return Look::AtTheEnd };
    let (path, length) = (state.staging.path(upload.id), upload.length);
    let prefix = tokio::task::spawn_blocking(move || prefix(&path, total, length)).await;
    let (file, container, head, bytes) = match prefix {
        Ok(Ok(Prefix::Ready { file, container, head, bytes })) => (file, container, head, bytes),
        Ok(Ok(Prefix::Unready(look))) => return look,
        Ok(Err(error)) => {
            tracing::debug!(upload.id = %upload.id, %error, "the head of an upload cannot be read");
            return Look::AtTheEnd;
        }
        Err(_) => return Look::AtTheEnd,
    };
    let limits = admission::source_limits(state, upload);
    let looked = prober.look(file).await;
    let refused = verdict(&looked, head, Extent { bytes, length }, &limits);
    // That there is no picture at all shows when the file is complete.
    let tracks = tracks_of(&looked, false);
    match refused.or_else(|| admission::on_lists(container, tracks, &admission::lists(state, upload)).err()) {
        Some(failure) => Look::Refused(failure),
        None if matches!(looked, Looked::Understood(_)) => {
            if head.is_indexed {
                encode_ahead(state, upload, bytes).await;
            }
            Look::Fine
        }
        None => {
            tracing::debug!(upload.id = %upload.id, ?looked, "the head of an upload tells nothing");
            // A large first picture may need more octets than are there.
            if total < FRONT_BYTES_MAX / 8 { Look::At(total * 8) } else { Look::AtTheEnd }
        }
    }
}

/// Why a file of which all `length` octets are there is not of a type on the lists, as its tracks tell; `None` also
/// when they cannot be told.
pub(crate) async fn mistyped(
    state: &State,
    upload: &Upload,
    container: Container,
    length: u64,
    lists: &[Vec<TypePattern>],
) -> Option<Failure> {
    let prober = state.admission.prober.as_ref()?;
    // Closed never.
    let _place = state.admission.looks.acquire().await.ok()?;
    let judged = |tracks| admission::on_lists(container, tracks, lists).err();
    if length > FRONT_BYTES_MAX {
        // Reading all of a long film takes its time, and most heads show a picture.
        let path = state.staging.path(upload.id);
        let head = tokio::task::spawn_blocking(move || prefix(&path, FRONT_BYTES_MAX, Some(length))).await;
        if let Ok(Ok(Prefix::Ready { file, .. })) = head
            && let Tracks::Picture = tracks_of(&prober.look(file).await, false)
        {
            return judged(Tracks::Picture);
        }
    }
    let path = state.staging.path(upload.id);
    let file = tokio::task::spawn_blocking(move || File::open(path)).await.ok()?.ok()?;
    let looked = prober.look(file).await;
    if !matches!(looked, Looked::Understood(_)) {
        tracing::debug!(upload.id = %upload.id, ?looked, "the tracks of an upload are not known");
    }
    judged(tracks_of(&looked, true))
}

/// What shows of the tracks of a file, of all of it or of its head.
fn tracks_of(looked: &Looked, is_whole: bool) -> Tracks {
    match looked {
        Looked::Understood(probe) if !probe.video.is_empty() => Tracks::Picture,
        Looked::Understood(_) if is_whole => Tracks::Sound,
        _ => Tracks::Unknown,
    }
}

/// Has an upload planned and encoded as far as it is there, once the `bytes` that were looked at are recorded.
///
/// Only what is recorded counts, and only if it cannot change any more: without flushes a crash of the machine may
/// lose it.
async fn encode_ahead(state: &State, upload: &Upload, bytes: u64) {
    let is_wanted = state.admission.policy.encode_ahead && state.limits.sync != SyncPolicy::None;
    if !is_wanted || upload.kind != UploadKind::Whole || upload.length.is_none() {
        return;
    }
    let (now, clock) = (state.clock.now(), &state.clock);
    let jobs = AheadJobs { plan: JobId::mint(now, clock.entropy()), remove: JobId::mint(now, clock.entropy()) };
    match state.catalog.begin_ahead(upload.id, bytes, jobs, now).await {
        Ok(true) => tracing::debug!(upload.id = %upload.id, "an upload will be encoded as far as it is there"),
        Ok(false) => {}
        Err(error) => tracing::debug!(upload.id = %upload.id, %error, "an upload cannot be planned ahead"),
    }
}

enum Prefix {
    Ready { file: File, container: Container, head: Head, bytes: u64 },
    Unready(Look),
}

/// The first octets of a staged file as a file of their own, in memory.
///
/// Behind an index of the whole file it has the whole file's length, so that nothing the index names
/// lies outside; the rest reads as zeros and takes no memory.
fn prefix(path: &std::path::Path, total: u64, length: Option<u64>) -> std::io::Result<Prefix> {
    let staged = File::open(path)?;
    let bytes = total.min(FRONT_BYTES_MAX);
    let (container, head) = match head_of(&staged, bytes)? {
        Ok(found) => found,
        Err(look) => return Ok(Prefix::Unready(look)),
    };
    let memory = rustix::fs::memfd_create(c"upload head", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    // The kernel moves them: they do not pass through this process.
    std::io::copy(&mut (&staged).take(bytes), &mut file)?;
    if let Some(length) = length.filter(|_| head.is_indexed) {
        file.set_len(length)?;
    }
    Ok(Prefix::Ready { file, container, head, bytes })
}

/// The container and the head of a staged file of which `bytes` octets may be read, or why there is none yet.
fn head_of(staged: &File, bytes: u64) -> std::io::Result<Result<(Container, Head), Look>> {
    let mut octets = Vec::new();
    let mut wanted = FIRST_BYTES.min(bytes);
    // Ends after a few rounds: each reads further than the one before, up to `bytes`.
    loop {
        octets.resize(usize::try_from(wanted).unwrap_or(0), 0);
        staged.read_exact_at(&mut octets, 0)?;
        let beyond = |offset: u64, buffer: &mut [u8]| staged.read_at(buffer, offset).unwrap_or(0);
        let Ok(container) = sniff::container(&octets[..octets.len().min(container::HEAD_BYTES)], beyond) else {
            return Ok(Err(Look::AtTheEnd));
        };
        match front::of(container, &octets) {
            Front::Here(head) => return Ok(Ok((container, head))),
            Front::After(more) if more > bytes && bytes < FRONT_BYTES_MAX => return Ok(Err(Look::At(more))),
            Front::After(more) if more > wanted && more <= bytes => wanted = more,
            Front::After(_) | Front::AtTheEnd => return Ok(Err(Look::AtTheEnd)),
        }
    }
}

/// How much of a file was looked at, and how much there will be.
#[derive(Clone, Copy, Debug)]
struct Extent {
    bytes: u64,
    length: Option<u64>,
}

/// Why the whole file will be refused; `None` unless that is certain.
fn verdict(looked: &Looked, head: Head, extent: Extent, limits: &Limits) -> Option<Failure> {
    match looked {
        Looked::Understood(probe) => {
            let is_limit = |failure: &Failure| failure.code == FailureCode::LimitExceeded;
            let refused = Plan::new(probe, &Recipe::default(), limits).err().filter(is_limit);
            refused.or_else(|| overlong(probe, head, extent, limits))
        }
        Looked::Refused(failure) if failure.code == FailureCode::NoMedia && head.names_tracks => Some(failure.clone()),
        // What a part of the file exceeds, the whole file exceeds as well.
        Looked::Refused(failure) if failure.code == FailureCode::LimitExceeded => Some(failure.clone()),
        Looked::Refused(_) | Looked::Unclear(_) => None,
    }
}

/// A file that says it is too long, and at the rate of what is there of it is right.
fn overlong(probe: &Probe, head: Head, extent: Extent, limits: &Limits) -> Option<Failure> {
    let max = Duration::from_secs(u64::from(limits.duration_s_max));
    let claim = head.claim.filter(|claim| *claim > max && !head.is_indexed)?;
    let played_ms = u128::try_from(probe.duration().as_ms()).ok()?;
    let whole_ms = played_ms * u128::from(extent.length?) / u128::from(extent.bytes.max(1));
    (whole_ms > max.as_millis()).then(|| {
        let time = |duration: Duration| {
            hms(MediaTime::new(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX), Timescale::MILLISECONDS))
        };
        let message = format!("the file plays for {}, more than the {} allowed here", time(claim), time(max));
        Failure::new(FailureCode::LimitExceeded, message)
    })
}

#[cfg(test)]
mod tests {
    use domain::probe::{AudioTrack, Extent as Playing};

    use super::*;

    fn probe(seconds: i64) -> Probe {
        let extent = Playing { start: MediaTime::zero(), end: MediaTime::new(seconds * 1000, Timescale::MILLISECONDS) };
        let audio = AudioTrack {
            stream_index: 0,
            codec: "aac".into(),
            sample_rate: 48_000,
            channels: 2,
            extent,
            language: None,
            title: None,
            is_default: true,
            jumps: vec![],
            aac: None,
        };
        Probe {
            container: "matroska".into(),
            size: domain::ByteSize(0),
            video: vec![],
            audio: vec![audio],
            subtitles: vec![],
            chapters: vec![],
            title: None,
            libraries: String::new(),
            cover: None,
        }
    }

    fn refused(seconds: i64, head: Head, length: Option<u64>) -> bool {
        let limits = Limits { duration_s_max: 100, ..Limits::default() };
        let looked = Looked::Understood(Box::new(probe(seconds)));
        verdict(&looked, head, Extent { bytes: 1000, length }, &limits).is_some()
    }

    #[test]
    fn an_index_of_several_mib_is_waited_for_and_read() {
        use std::os::unix::fs::FileExt;

        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("staged");
        let index_bytes = 3u32 << 20;
        let file = File::create(&path).expect("is made");
        file.write_all_at(&[&index_bytes.to_be_bytes()[..], b"moov"].concat(), 0).expect("is written");
        file.set_len(6 << 20).expect("grows");
        let at = |total: u64| match prefix(&path, total, Some(1 << 30)).expect("reads") {
            Prefix::Ready { file, head, bytes, .. } => {
                Ok((file.metadata().expect("is there").len(), head.is_indexed, bytes))
            }
            Prefix::Unready(look) => Err(look),
        };
        let Err(Look::At(wanted)) = at(1 << 20) else { panic!("it is not all there") };
        assert!(wanted > 3 << 20 && wanted < 4 << 20, "{wanted}");
        assert_eq!(at(5 << 20), Ok((1 << 30, true, 5 << 20)));
        file.write_all_at(&(20u32 << 20).to_be_bytes(), 0).expect("is written");
        assert_eq!(at(5 << 20), Err(Look::AtTheEnd), "an index of 20 MiB is left to the whole file");
    }

    const HEAD: Head = Head { is_indexed: false, names_tracks: true, claim: Some(Duration::from_secs(1000)) };

    #[test]
    fn a_claim_alone_refuses_nothing() {
        // 10 s in the first 1000 of 100 000 octets are 1000 s, as claimed.
        assert!(refused(10, HEAD, Some(100_000)));
        // 10 s in 1000 of 2000 octets are 20 s, whatever the head claims.
        assert!(!refused(10, HEAD, Some(2000)));
        assert!(!refused(10, HEAD, None));
        assert!(!refused(10, Head { claim: None, ..HEAD }, Some(100_000)));
        assert!(!refused(10, Head { claim: Some(Duration::from_secs(99)), ..HEAD }, Some(100_000)));
    }

    #[test]
    fn what_is_there_and_too_long_is_refused_in_any_case() {
        assert!(refused(101, Head { claim: None, ..HEAD }, None));
        assert!(!refused(100, Head { claim: None, ..HEAD }, None));
    }

    #[test]
    fn what_the_engine_refuses_for_its_size_is_refused_and_for_its_tracks_only_if_the_head_names_all() {
        let limits = Limits::default();
        let extent = Extent { bytes: 1000, length: None };
        let found = |code, head| verdict(&Looked::Refused(Failure::new(code, "x")), head, extent, &limits).is_some();
        assert!(found(FailureCode::NoMedia, HEAD));
        assert!(!found(FailureCode::NoMedia, Head { names_tracks: false, ..HEAD }));
        assert!(found(FailureCode::LimitExceeded, Head { names_tracks: false, ..HEAD }));
        assert!(!found(FailureCode::Damaged, HEAD) && !found(FailureCode::Unsupported, HEAD));
        assert!(verdict(&Looked::Unclear("crashed".into()), HEAD, extent, &limits).is_none());
    }
}
