//! What requests wait for: told to whoever can have it encoded.

use std::fmt;
use std::sync::Arc;

use domain::{AssetId, Generation, RenditionId};

/// A segment that is planned but not there, and that a request waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The asset.
    pub asset: AssetId,
    /// The output that is played.
    pub generation: Generation,
    /// The rendition.
    pub rendition: RenditionId,
    /// The number of the segment in it.
    pub segment: u32,
}

/// Is told what is waited for, when the wait begins and every two seconds while it lasts; once, however many
/// requests wait for the same. It must return at once.
#[derive(Clone)]
pub struct DemandHook(Arc<dyn Fn(Wanted) + Send + Sync>);

impl DemandHook {
    /// A hook that calls `tell`.
    pub fn new(tell: impl Fn(Wanted) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// A hook that nobody listens to: requests wait for what comes by itself.
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    pub(crate) fn tell(&self, wanted: &Wanted) {
        (self.0)(wanted.clone());
    }
}

impl fmt::Debug for DemandHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DemandHook")
    }
}
