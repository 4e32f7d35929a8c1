//! The first tier: octets in memory, within a bound, for what was asked for more than once.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::weighed;

/// Objects up to this size are kept as a whole: longer than any segment of a sane ladder.
const WHOLE_BYTES_MAX: u64 = 8 << 20;
/// What an entry costs on top of its content.
const ENTRY_OVERHEAD_BYTES: u64 = 256;
/// Guess at the mean size of an entry, by which the cache sizes its tables.
const ENTRY_BYTES_TYPICAL: u64 = 256 << 10;
/// Independent parts of the cache. Few, since an entry has to fit into one part.
const CACHE_SHARDS: usize = 4;
/// Objects of which it is remembered that they were asked for once.
const SEEN_MAX: usize = 64 << 10;

/// What an entry is the content of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    /// The key of an object, or a name made of a presentation's key and what is rendered of it.
    of: Arc<str>,
    /// The block; `None` for the whole.
    block: Option<u32>,
}

impl Name {
    /// The whole object or text.
    pub(crate) fn whole(of: impl Into<Arc<str>>) -> Self {
        Self { of: of.into(), block: None }
    }

    /// One block of an object.
    pub(crate) fn block(of: &Arc<str>, index: u32) -> Self {
        Self { of: Arc::clone(of), block: Some(index) }
    }
}

/// Content in memory.
#[derive(Debug)]
pub(crate) struct Object {
    /// All of it.
    pub(crate) bytes: Bytes,
    /// The strong entity-tag, derived from the content alone; of no meaning for a block.
    pub(crate) etag: HeaderValue,
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<Name, Arc<Object>> for ByBytes {
    fn weight(&self, name: &Name, object: &Arc<Object>) -> u64 {
        object.bytes.len() as u64 + name.of.len() as u64 + ENTRY_OVERHEAD_BYTES
    }
}

/// What is kept in memory. Eviction is quick_cache's (like S3-FIFO), so that a scan does not drive out what is hot.
pub(crate) struct Memory {
    cache: Cache<Name, Arc<Object>, ByBytes>,
    seen: Cache<u64, ()>,
    hasher: RandomState,
}

impl Memory {
    /// Holds at most about `bytes`.
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            cache: weighed::cache(bytes, ENTRY_BYTES_TYPICAL, CACHE_SHARDS, ByBytes),
            seen: Cache::new(SEEN_MAX),
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn get(&self, name: &Name) -> Option<Arc<Object>> {
        self.cache.get(name)
    }

    pub(crate) fn keep(&self, name: Name, object: &Arc<Object>) {
        self.cache.insert(name, Arc::clone(object));
    }

    /// Whether an object of this size is ever kept as a whole.
    pub(crate) fn takes(&self, bytes: u64) -> bool {
        bytes <= WHOLE_BYTES_MAX && bytes + ENTRY_OVERHEAD_BYTES <= self.cache.shard_capacity()
    }

    /// Whether `name` was asked about before, as far as that is remembered.
    pub(crate) fn is_second_use(&self, name: &Name) -> bool {
        let hash = self.hasher.hash_one(name);
        if self.seen.get(&hash).is_some() {
            return true;
        }
        self.seen.insert(hash, ());
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bytes: usize) -> Arc<Object> {
        Arc::new(Object { bytes: vec![7; bytes].into(), etag: HeaderValue::from_static("\"x\"") })
    }

    #[test]
    fn what_is_kept_stays_within_the_bound() {
        let memory = Memory::new(4 << 20);
        for at in 0..200 {
            memory.keep(Name::block(&"key".into(), at), &object(100 << 10));
        }
        assert!(memory.cache.weight() <= 4 << 20);
        assert!(memory.cache.len() > 20);
    }

    #[test]
    fn the_first_use_is_no_reason_to_keep_anything() {
        let memory = Memory::new(4 << 20);
        let (one, other) = (Name::whole("one"), Name::whole("other"));
        assert_eq!([&one, &other, &one].map(|name| memory.is_second_use(name)), [false, false, true]);
    }

    #[test]
    fn what_is_larger_than_a_part_of_the_cache_is_not_taken() {
        assert!(!Memory::new(1000).takes(4000));
        assert!(Memory::new(64 << 20).takes(8 << 20));
        assert!(!Memory::new(1 << 30).takes((8 << 20) + 1));
    }
}
