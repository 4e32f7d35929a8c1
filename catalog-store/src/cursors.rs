//! Places in lists, as clients carry them from one page to the next: sealed, so that nobody makes one up or takes it to
//! another list.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Catalog, CatalogError};

/// Octets of a cursor's seal.
const SEAL_BYTES: usize = 8;

/// Seals places. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cursors(Arc<[hmac::Key]>);

impl Cursors {
    /// The first of `keys` seals, all of them open.
    pub(crate) fn new(keys: impl IntoIterator<Item = hmac::Key>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// A cursor of the list with this name; `None` without a key.
    pub fn sealed(&self, list: &str, place: &str) -> Option<String> {
        self.0.first().map(|key| sealed(key, list, place))
    }

    /// The place that a cursor of this list names; `None` if it is none of this list.
    pub fn opened(&self, list: &str, cursor: &str) -> Option<String> {
        let octets = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let place = std::str::from_utf8(octets.get(SEAL_BYTES..)?).ok()?;
        let is_ours = self.0.iter().any(|key| sealed(key, list, place) == cursor);
        is_ours.then(|| place.to_owned())
    }
}

fn sealed(key: &hmac::Key, list: &str, place: &str) -> String {
    let seal = hmac::sign(key, format!("{list}\n{place}").as_bytes());
    URL_SAFE_NO_PAD.encode([&seal.as_ref()[..SEAL_BYTES], place.as_bytes()].concat())
}

impl Catalog {
    /// What cursors of this installation are sealed with: keys made from those of its secrets, so that they go on behind
    /// a restart, are the same for all its servers, and are in no database.
    ///
    /// # Errors
    /// [`CatalogError::Locked`] before [`Self::unlock`].
    pub fn cursors(&self) -> Result<&Cursors, CatalogError> {
        Ok(self.keys()?.cursors())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[&str]) -> Cursors {
        Cursors::new(keys.iter().map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())))
    }

    #[test]
    fn a_cursor_is_good_for_its_list_only_and_cannot_be_made_up() {
        let cursors = of(&["key"]);
        let next = cursors.sealed("users", "usr_1").unwrap();
        assert_eq!(cursors.opened("users", &next).as_deref(), Some("usr_1"));
        assert_eq!((cursors.opened("audit", &next), of(&["other"]).opened("users", &next)), (None, None));
        let forged = URL_SAFE_NO_PAD.encode(b"12345678usr_1");
        for wrong in [&*forged, "", "x", "####", &next[..next.len() - 1]] {
            assert_eq!(cursors.opened("users", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_cursor_outlives_a_change_of_the_key() {
        let next = of(&["old"]).sealed("users", "usr_1").unwrap();
        assert_eq!(of(&["new", "old"]).opened("users", &next).as_deref(), Some("usr_1"));
    }
}
