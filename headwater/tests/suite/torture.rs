//! Uploads over the worst line there is: connections cut in the head, in the body and before the answer, by end,
//! reset and silence; requests that arrive twice; lines that crawl.
//!
//! What is claimed: every file arrives exactly; no offset falls or runs ahead; each file becomes one asset with one
//! job, whatever was sent again. The uploader checks each answer on its way; the rest is checked at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fixtures::proxy::{At, Cut, Fault};
use fixtures::{Dice, Proxy, dice, media};
use futures::StreamExt;
use media_store::StoreConfig;

use crate::harness::{PATIENCE, Server};
use crate::uploader::{Manner, Phase, Uploader, assert_exact};

/// Cuts in the suite; `HEADWATER_TEST_CUTS` asks for more.
const CUTS: u64 = 200;
/// Cuts that one upload suffers.
const CUTS_PER_UPLOAD: u64 = 20;
/// Those of them that are kept for the moment when parts are put together.
const CUTS_OF_JOINING: u64 = 3;
/// Uploads at a time.
const AT_ONCE: usize = 5;
/// Those whose last request has bytes in which it can be cut.
const MANNERS: [Manner; 5] = [Manner::Tus, Manner::Parts, Manner::Draft, Manner::Checked, Manner::Deferred];
/// A server that takes uploads and does nothing else.
const ROLES: [&str; 2] = ["--roles", "ingest,api"];

#[tokio::test]
async fn connections_cut_at_random_moments_lose_nothing_and_double_nothing() {
    let seed = dice::seed();
    let cuts = dice::setting("HEADWATER_TEST_CUTS").unwrap_or(CUTS);
    println!("HEADWATER_TEST_SEED={seed} HEADWATER_TEST_CUTS={cuts}");
    let uploads = cuts.div_ceil(CUTS_PER_UPLOAD);
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start_with(&data, &ROLES);
    let begun = Instant::now();

    let each = (0..uploads).map(|index| {
        let dice = Dice::new(seed).fork(index);
        let cuts = CUTS_PER_UPLOAD.min(cuts - index * CUTS_PER_UPLOAD);
        let manner = MANNERS[usize::try_from(index).unwrap() % MANNERS.len()];
        tortured(&server.url, manner, cuts, dice)
    });
    let each = futures::stream::iter(each).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
    let each = tokio::time::timeout(PATIENCE * 4, each).await.expect("the uploads end");
    let elapsed = begun.elapsed();

    let (mut faults, mut answers, mut kept) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (uploader, tally) in each {
        tally.into_iter().for_each(|(name, count)| *faults.entry(name).or_insert(0) += count);
        for (answer, count) in &uploader.answers {
            *answers.entry(answer.clone()).or_insert(0) += count;
        }
        kept.push(uploader.done());
    }
    println!("{uploads} uploads in {elapsed:.1?}\nfaults: {faults:#?}\nanswers: {answers:#?}");
    assert_eq!(faults.iter().filter(|(name, _)| is_cut(name)).map(|(_, count)| count).sum::<u64>(), cuts);
    server.kill();
    assert_exact(&format!("sqlite://{}", data.join("catalog.db").display()), folder_store(&data), &kept).await;
}

/// The store of a server on a folder.
pub(crate) fn folder_store(data: &std::path::Path) -> StoreConfig {
    StoreConfig {
        url: format!("file://{}", data.join("media").display()),
        access_key: None,
        secret_key: None,
        scratch: data.join("scratch"),
    }
}

fn is_cut(fault: &str) -> bool {
    [" in ", " before "].iter().any(|place| fault.contains(place))
}

/// Uploads one file over a line that is cut so many times; gives the uploader and what befell it.
async fn tortured(server: &str, manner: Manner, cuts: u64, mut dice: Dice) -> (Uploader, BTreeMap<&'static str, u64>) {
    let bytes = usize::try_from((1 << 20) + dice.below(3 << 20)).unwrap();
    let mut uploader = Uploader::new(media::padded(bytes, dice.number()).into(), manner);
    // The next connection suffers what was put here; the uploader opens one per request.
    let next = Arc::new(Mutex::new(Fault::None));
    let script = next.clone();
    let proxy = Proxy::start(server, move |_| std::mem::replace(&mut *script.lock().unwrap(), Fault::None)).await;
    let url = proxy.url();
    while uploader.next(usize::MAX) != Phase::Done {
        let done: u64 = proxy.tally().iter().filter(|(name, _)| is_cut(name)).map(|(_, count)| count).sum();
        let (fault, piece_max) = drawn(&mut dice, &uploader, cuts - done);
        *next.lock().unwrap() = fault;
        let _ = uploader.step(&url, piece_max).await;
    }
    (uploader, proxy.tally())
}

/// The next fault, and how much to send meanwhile, so that the file is not over before its last cut.
fn drawn(dice: &mut Dice, uploader: &Uploader, cuts_left: u64) -> (Fault, usize) {
    let by = match dice.below(3) {
        0 => Cut::Fin,
        1 => Cut::Rst,
        _ => Cut::Stall(dice.moment(Duration::from_millis(400))),
    };
    let is_joining = uploader.next(usize::MAX) == Phase::Concatenating;
    let cuts_left = if uploader.manner == Manner::Parts && !is_joining {
        cuts_left.saturating_sub(CUTS_OF_JOINING)
    } else {
        cuts_left
    };
    if cuts_left == 0 {
        return (Fault::None, usize::MAX);
    }
    let share = uploader.left() as u64 / (cuts_left + 1);
    let piece_max = usize::try_from(1 + dice.below(share)).unwrap();
    match dice.below(8) {
        // The line breaks under the head, or under an answer of which something is always missing.
        0 => (Fault::Cut { at: At::Head(dice.below(400)), by }, piece_max),
        1 => (Fault::Cut { at: At::Answer(dice.below(100)), by }, piece_max),
        _ if is_joining => (Fault::Cut { at: At::Body(0), by }, piece_max),
        2 => (Fault::Twice { late: dice.moment(Duration::from_millis(20)) }, piece_max),
        3 => (Fault::Slow { each: dice.moment(Duration::from_millis(3)) }, piece_max),
        // The whole rest is on its way when the line breaks.
        _ => (Fault::Cut { at: At::Body(dice.below(share)), by }, usize::MAX),
    }
}
