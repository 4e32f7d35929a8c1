//! Keys of segments that are encrypted whole, each fetched once.

use std::collections::HashMap;

use packager::encryption::{KEY_BYTES, Octets, aes128};
use packager::validate::{Key, Method};
use url::Url;

use super::fetch::{Fetched, Fetcher, Want};
use crate::cli;

/// Most keys of one presentation; what needs more is only measured.
const KEYS_MAX: usize = 10_000;

/// Keys by their addresses; `None` for those that are not to be had.
#[derive(Default)]
pub(super) struct Keys {
    by_url: HashMap<Url, Option<Octets>>,
    problems: Vec<(String, String)>,
}

impl Keys {
    /// What went wrong since this was asked last: where, and what.
    pub(super) fn problems(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.problems)
    }

    /// A file that came, decrypted if it is encrypted whole and the key is to be had; then with its length before.
    pub(super) async fn open(
        &mut self,
        fetcher: &Fetcher,
        base: &Url,
        key: Option<&Key>,
        sequence: u64,
        fetched: anyhow::Result<Fetched>,
    ) -> (anyhow::Result<Fetched>, Option<usize>) {
        let is_whole = |key: &&Key| key.method == Method::Aes128 && key.is_identity();
        let (Some(key), Ok(file)) = (key.filter(is_whole), &fetched) else { return (fetched, None) };
        let Some(octets) = self.key(fetcher, base, &key.uri).await else { return (fetched, None) };
        let sealed = file.bytes.len();
        let Some(plain) = aes128::open(&file.bytes, &octets, &key.vector_of(sequence)) else {
            self.problems.push((fetcher.name(&file.url), format!("the key at {} does not open it", key.uri)));
            return (fetched, None);
        };
        (fetched.map(|file| Fetched { bytes: plain.into(), ..file }), Some(sealed))
    }

    async fn key(&mut self, fetcher: &Fetcher, base: &Url, uri: &str) -> Option<Octets> {
        let url = base.join(uri).ok()?;
        if let Some(known) = self.by_url.get(&url) {
            return *known;
        }
        if self.by_url.len() >= KEYS_MAX {
            return None;
        }
        let key = match fetcher.fetch(&url, None, Want::Key).await {
            Ok(fetched) => {
                let key = Octets::try_from(&*fetched.bytes).ok();
                if key.is_none() {
                    let what = format!("it has {} octets, not {KEY_BYTES}", fetched.bytes.len());
                    self.problems.push((fetcher.name(&url), what));
                }
                key
            }
            Err(error) => {
                self.problems.push((fetcher.name(&url), cli::with_causes(&error)));
                None
            }
        };
        self.by_url.insert(url, key);
        key
    }
}
