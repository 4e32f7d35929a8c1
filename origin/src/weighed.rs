//! Caches that are bounded by the octets of what they hold.

use std::hash::Hash;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// Fewest entries that a cache has tables for.
const ITEMS_MIN: usize = 16;

/// A cache of at most about `bytes`, as `weighter` counts them, in so many independent parts: an entry has to fit into
/// one. By `typical_bytes`, a guess at the mean size of an entry, it sizes its tables.
pub(crate) fn cache<K, V, W>(bytes: u64, typical_bytes: u64, parts: usize, weighter: W) -> Cache<K, V, W>
where
    K: Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let items = usize::try_from(bytes / typical_bytes).unwrap_or(usize::MAX).max(ITEMS_MIN);
    let options = OptionsBuilder::new()
        .shards(parts)
        .estimated_items_capacity(items)
        .weight_capacity(bytes)
        .build()
        .expect("both capacities are given");
    Cache::with_options(options, weighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
}
