//! What uploads of unknown length are allowed to become, before it is recorded.
//!
//! An upload whose length is not announced takes its quota in steps, each before its octets come. What is
//! allowed and not in the catalogue yet is counted here, so that two uploads of one owner cannot both be
//! given the same octets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use catalog_store::Upload;
use domain::UploadId;

/// The uploads that grow at present: at most one entry for each body that comes in. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growths(Arc<Mutex<HashMap<UploadId, Growth>>>);

#[derive(Debug)]
struct Growth {
    owner: Option<String>,
    grant: Option<String>,
    /// Octets that are allowed and not recorded.
    bytes: u64,
}

impl Growths {
    /// An upload may grow by `bytes` beyond what is recorded of it.
    pub(crate) fn allow(&self, upload: &Upload, bytes: u64) {
        let growth = Growth { owner: upload.owner.clone(), grant: upload.terms.grant.clone(), bytes };
        self.lock().insert(upload.id, growth);
    }

    /// `bytes` of what it was allowed were recorded.
    pub(crate) fn recorded(&self, upload: UploadId, bytes: u64) {
        if let Some(growth) = self.lock().get_mut(&upload) {
            growth.bytes = growth.bytes.saturating_sub(bytes);
        }
    }

    /// It grows no more.
    pub(crate) fn forget(&self, upload: UploadId) {
        self.lock().remove(&upload);
    }

    /// What all uploads of an owner but this one are allowed.
    pub(crate) fn of_owner(&self, owner: &str, but: Option<UploadId>) -> u64 {
        self.sum(but, |growth| growth.owner.as_deref() == Some(owner))
    }

    /// The same of the uploads under a capability.
    pub(crate) fn of_grant(&self, grant: &str, but: Option<UploadId>) -> u64 {
        self.sum(but, |growth| growth.grant.as_deref() == Some(grant))
    }

    fn sum(&self, but: Option<UploadId>, counts: impl Fn(&Growth) -> bool) -> u64 {
        let growths = self.lock();
        let counted = growths.iter().filter(|(id, growth)| Some(**id) != but && counts(growth));
        counted.fold(0, |sum: u64, (_, growth)| sum.saturating_add(growth.bytes))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UploadId, Growth>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
