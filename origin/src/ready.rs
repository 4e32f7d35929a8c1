//! Answers that are ready but for the octets: by path, for what was served a moment ago and may be served again
//! without asking anybody. A request that finds its answer here costs about what writing it costs.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use http::HeaderValue;
use media_store::ObjectFile;
use quick_cache::sync::Cache;

use crate::answer::Representation;
use crate::body::Content;
use crate::files::Buffers;
use crate::library::{Epoch, Freshness};
use crate::lines::Lines;
use crate::memory::Object;
use crate::policy::REQUEST_ID;
use crate::remote::{Remote, Source};

/// Answers that are kept; each takes some 5 KiB.
const READY_MAX: usize = 4096;
/// Of each so many uses of its octets one goes the long way, so that the tiers learn what is in use.
const USES_PER_LONG_WAY: u32 = 64;

/// Where the octets were. Nothing is held that memory or a descriptor is to be freed of.
enum Place {
    /// Nobody has asked for them yet.
    Unread,
    Memory(Weak<Object>),
    /// Of what memory does not take.
    File(Weak<ObjectFile>, Arc<Buffers>),
    Blocks(Arc<Remote>, Source),
}

/// An answer that is ready.
pub(crate) struct Ready {
    pub(crate) representation: Representation,
    pub(crate) lines: Lines,
    /// Only for requests with a token.
    pub(crate) needs_token: bool,
    freshness: Arc<Freshness>,
    place: Place,
    uses: AtomicU32,
}

impl Ready {
    /// The content, if it still is where it was, and this use of it need not be told to anybody.
    pub(crate) fn content(&self) -> Option<Content> {
        if self.uses.fetch_add(1, Ordering::Relaxed) % USES_PER_LONG_WAY == USES_PER_LONG_WAY - 1 {
            return None;
        }
        match &self.place {
            Place::Unread => None,
            Place::Memory(object) => Some(Content::Memory(object.upgrade()?)),
            Place::File(file, buffers) => Some(Content::File(file.upgrade()?, Arc::clone(buffers))),
            Place::Blocks(remote, source) => Some(Content::Blocks(Arc::clone(remote), source.clone(), None)),
        }
    }
}

/// Answers by path.
pub(crate) struct ReadyAnswers {
    by_path: Cache<String, Arc<Ready>>,
    epoch: Epoch,
}

impl ReadyAnswers {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { by_path: Cache::new(READY_MAX), epoch }
    }

    /// The answer at `path`, while it holds.
    pub(crate) fn get(&self, path: &str) -> Option<Arc<Ready>> {
        self.by_path.get(path).filter(|ready| ready.freshness.holds(self.epoch))
    }

    /// Keeps an answer for as long as `freshness` holds, and is renewed.
    pub(crate) fn keep(
        &self,
        path: &str,
        freshness: &Arc<Freshness>,
        representation: &Representation,
        content: &Content,
        needs_token: bool,
    ) {
        let place = match content {
            // Good for answers without octets, but for nothing that is better known.
            Content::None if self.by_path.peek(path).is_some_and(|ready| ready.freshness.holds(self.epoch)) => return,
            Content::None => Place::Unread,
            Content::Memory(object) => Place::Memory(Arc::downgrade(object)),
            Content::File(file, buffers) => Place::File(Arc::downgrade(file), Arc::clone(buffers)),
            Content::Blocks(remote, source, _) => Place::Blocks(Arc::clone(remote), source.clone()),
            Content::Download(..) | Content::Growing(_) => return,
        };
        let mut representation = representation.clone();
        // A place for what is said of each request: headers that are copied have no room for more.
        representation.add(REQUEST_ID, &HeaderValue::from_static(""));
        let (lines, uses) = (Lines::default(), AtomicU32::new(0));
        let ready = Ready { representation, lines, needs_token, freshness: Arc::clone(freshness), place, uses };
        self.by_path.insert(path.to_owned(), Arc::new(ready));
    }
}
