//! The room that heavy jobs share: a job begins when its memory and a processor are free, or when it is alone.

use std::sync::{Arc, Mutex, PoisonError};

use catalog_store::CatalogError;
use domain::cost::{Budget, Cost};
use domain::probe::VideoTrack;
use domain::{AssetId, JobSpec};
use tokio::sync::Notify;

use super::Parts;

/// What is used of a budget. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    budget: Budget,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    used: Mutex<Used>,
    freed: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    running: usize,
    cost: Cost,
}

/// A place for one job; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    shared: Arc<Shared>,
    cost: Cost,
}

impl Rooms {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, shared: Arc::default() }
    }

    /// A place for work of this cost; `None` while others take too much.
    pub(super) fn take(&self, cost: Cost) -> Option<Room> {
        let mut used = self.shared.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.budget.has_room(used.running, used.cost, cost) {
            return None;
        }
        *used = Used { running: used.running + 1, cost: used.cost.plus(cost) };
        Some(Room { shared: Arc::clone(&self.shared), cost })
    }

    /// Waits until a place is given back. To be asked for before [`take`](Self::take), so that none is missed.
    pub(super) fn freed(&self) -> tokio::sync::futures::Notified<'_> {
        self.shared.freed.notified()
    }

    /// Jobs that have a place.
    #[cfg(test)]
    fn running(&self) -> usize {
        self.shared.used.lock().unwrap_or_else(PoisonError::into_inner).running
    }
}

impl Room {
    /// What was reckoned with.
    pub(super) fn cost(&self) -> Cost {
        self.cost
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        {
            let mut used = self.shared.used.lock().unwrap_or_else(PoisonError::into_inner);
            *used = Used { running: used.running.saturating_sub(1), cost: used.cost.minus(self.cost) };
        }
        self.shared.freed.notify_waiters();
    }
}

/// What a job takes of the machine, as far as its plan tells. Of one that cannot be read the job itself tells more.
pub(super) async fn cost_of(parts: &Parts, asset: AssetId, spec: &JobSpec) -> Result<Cost, CatalogError> {
    let (JobSpec::Chunk { generation, .. } | JobSpec::Extra { generation, .. }) = spec else {
        return Ok(Cost::default());
    };
    let Some(video) = parts.catalog.plan(asset, *generation).await?.and_then(|plan| plan.video) else {
        return Ok(Cost::default());
    };
    let probe = match parts.catalog.probe_of(asset, *generation).await? {
        Some(probe) => Some(probe),
        None => parts.catalog.asset(asset).await?.and_then(|asset| asset.probe),
    };
    let track = probe.and_then(|probe| probe.video.into_iter().find(|track| track.stream_index == video.stream_index));
    let cost = |track: VideoTrack| match spec {
        JobSpec::Extra { codec, .. } => Cost::of_extra(&video, *codec, &track),
        _ => Cost::of_chunk(&video, &track),
    };
    Ok(track.map_or(Cost::default(), cost))
}

#[cfg(test)]
mod tests {
    use domain::ByteSize;
    use domain::cost::Cores;

    use super::*;

    fn cost(memory: u64) -> Cost {
        Cost { memory: ByteSize(memory), cores: Cores::ONE }
    }

    fn rooms(memory: u64) -> Rooms {
        Rooms::new(Budget { memory: ByteSize(memory), cores: Cores::whole(8) })
    }

    #[test]
    fn a_place_is_taken_while_it_is_held_and_given_back_with_it() {
        let rooms = rooms(10);
        let (first, second) = (rooms.take(cost(6)), rooms.take(cost(4)));
        assert!(first.is_some() && second.is_some() && rooms.take(cost(1)).is_none());
        drop(first);
        assert!(rooms.take(cost(7)).is_none());
        assert!(rooms.take(cost(6)).is_some());
    }

    #[test]
    fn what_fits_never_has_all_the_room_once_it_is_alone() {
        let rooms = rooms(10);
        let small = rooms.take(cost(1)).expect("room");
        assert!(rooms.take(cost(99)).is_none());
        drop(small);
        let large = rooms.take(cost(99)).expect("it is alone");
        assert!(rooms.take(cost(1)).is_none());
        drop(large);
        assert_eq!(rooms.running(), 0);
        assert!(rooms.take(cost(10)).is_some(), "nothing is left behind");
    }

    #[tokio::test]
    async fn who_waits_learns_of_a_place_that_was_given_back_meanwhile() {
        let rooms = rooms(1);
        let held = rooms.take(cost(1)).expect("room");
        let mut freed = std::pin::pin!(rooms.freed());
        freed.as_mut().enable();
        assert!(rooms.take(cost(1)).is_none());
        drop(held);
        freed.await;
        assert!(rooms.take(cost(1)).is_some());
    }
}
