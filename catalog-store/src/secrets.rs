//! Secrets that have to be read again: sealed before they get into a row, opened when they are used.
//!
//! AES-256-GCM under a key that is not in the database, with random nonces. Each is bound to its table and row, so
//! what is sealed in one row opens in no other. Secrets that are only compared are kept as hashes, and are not here
//! (docs/adr/0041).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use domain::Timestamp;
use serde_json::json;

use crate::audit::Note;
use crate::catalog::Text;
use crate::cursors::Cursors;
use crate::engine::{args, document, json as text, parsed};
use crate::sql::Sql;
use crate::uploads::UploadTerms;
use crate::{Catalog, CatalogError, sql};

/// Fewest characters of a key, of which each is to be random.
pub const KEY_CHARS_MIN: usize = 32;
/// What every sealed text begins with; the number counts forms.
const FORM: &str = "sealed:1:";
/// What is sealed so that a key can be tried.
const KNOWN: &str = "headwater";
/// Rows that are sealed anew in one transaction.
const BATCH: u32 = 100;

/// A secret as its row holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(String);

impl Sealed {
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Without the secret, which stands there in the clear in a database of an older version.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed")
    }
}

/// The keys of an installation: the first one seals, all of them open.
pub struct SecretKeys {
    keys: Vec<Key>,
    cursors: Cursors,
}

struct Key {
    /// Tells which key sealed a text, and nothing of the key.
    id: String,
    key: RandomizedNonceKey,
    /// What cursors are sealed with.
    cursors: hmac::Key,
}

/// A key that is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has {KEY_CHARS_MIN} random characters or more")]
pub struct WeakKey;

impl SecretKeys {
    /// `current` seals, and opens as all of `others` do.
    ///
    /// # Errors
    /// [`WeakKey`] if one is too short.
    pub fn new<'a>(current: &'a str, others: impl IntoIterator<Item = &'a str>) -> Result<Self, WeakKey> {
        let keys: Vec<Key> = std::iter::once(current).chain(others).map(Key::new).collect::<Result<_, _>>()?;
        let cursors = Cursors::new(keys.iter().map(|key| key.cursors.clone()));
        Ok(Self { keys, cursors })
    }

    /// What cursors are sealed with.
    pub fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    fn seal(&self, place: &str, plain: &str) -> Result<String, CatalogError> {
        let key = self.keys.first().ok_or(CatalogError::Locked)?;
        let mut octets = plain.as_bytes().to_vec();
        let nonce = key.key.seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut octets);
        let nonce = nonce.map_err(|_| CatalogError::Locked)?;
        let sealed = STANDARD_NO_PAD.encode([&nonce.as_ref()[..], &octets].concat());
        Ok(format!("{FORM}{}:{sealed}", key.id))
    }

    fn open(&self, place: &str, text: &str) -> Option<String> {
        let (id, sealed) = text.strip_prefix(FORM)?.split_once(':')?;
        let octets = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (nonce, octets) = octets.split_at_checked(NONCE_LEN)?;
        self.keys.iter().filter(|key| key.id == id).find_map(|key| {
            let (nonce, mut octets) = (Nonce::try_assume_unique_for_key(nonce).ok()?, octets.to_vec());
            let plain = key.key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut octets).ok()?;
            String::from_utf8(plain.to_vec()).ok()
        })
    }

    /// What every text that the first key sealed begins with.
    fn mark(&self) -> String {
        format!("{FORM}{}:", self.keys.first().map_or("", |key| &key.id))
    }
}

/// How many keys there are.
impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKeys").field(&self.keys.len()).finish()
    }
}

impl Key {
    fn new(text: &str) -> Result<Self, WeakKey> {
        let text = text.trim();
        if text.chars().count() < KEY_CHARS_MIN {
            return Err(WeakKey);
        }
        let own = hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
        let made = |purpose: &str| hmac::sign(&own, purpose.as_bytes());
        let id = made("headwater secrets: which key");
        let id = id.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        let key = RandomizedNonceKey::new(&AES_256_GCM, made("headwater secrets: seal").as_ref());
        let cursors = hmac::Key::new(hmac::HMAC_SHA256, made("headwater cursors: seal").as_ref());
        Ok(Self { id, key: key.map_err(|_| WeakKey)?, cursors })
    }
}

/// What a secret is bound to.
fn place(table: &str, row: impl fmt::Display) -> String {
    format!("{table}/{row}")
}

impl Catalog {
    /// Whether secrets of this database are sealed under a key already.
    pub async fn has_secret_key(&self) -> Result<bool, CatalogError> {
        Ok(self.row::<Text>(sql::secrets::CHECK, args![]).await?.is_some())
    }

    /// Takes the keys that secrets are sealed with, and seals under the first one what is in the clear or under
    /// another; how many that were. Call it once, behind [`Self::migrate`]: before it nothing secret is read or
    /// written.
    ///
    /// # Errors
    /// [`CatalogError::WrongKey`] if the secrets of this database were sealed with a key that is not among them.
    pub async fn unlock(&self, keys: SecretKeys) -> Result<u64, CatalogError> {
        let known = place("secret_check", 1);
        let mut tx = self.begin().await?;
        // Of several processes that come first at once, one says which key it is.
        tx.execute(sql::secrets::CHECK_INSERT, args![keys.seal(&known, KNOWN)?]).await?;
        let check: Option<Text> = tx.row(sql::secrets::CHECK, args![]).await?;
        tx.commit().await?;
        let check = check.map(|row| row.text).unwrap_or_default();
        if keys.open(&known, &check).as_deref() != Some(KNOWN) {
            return Err(CatalogError::WrongKey);
        }
        let keys = self.keep_keys(keys);
        let count = self.seal_all(keys).await?;
        // Last of all: a process without the key before is turned away once nothing needs that one any more.
        if !check.starts_with(&keys.mark()) {
            let mut tx = self.begin().await?;
            tx.execute(sql::secrets::CHECK_SET, args![keys.seal(&known, KNOWN)?]).await?;
            tx.commit().await?;
        }
        Ok(count)
    }

    /// Gives up all secrets that are sealed, for an installation whose key is lost: no second factor is asked for
    /// any more, sessions that are proven by tokens end, webhooks are disabled, and the next start makes other keys to
    /// sign with. How many second factors and webhooks there were.
    pub async fn forget_secrets(&self, now: Timestamp) -> Result<(u64, u64), CatalogError> {
        let mut tx = self.begin().await?;
        let note = Note { actor: "system", action: "secrets.forgotten", subject: None, data: json!({}) };
        tx.audit(note, now).await?;
        let with_factor: Vec<Text> = tx.rows(sql::secrets::WITH_TOTP, args![]).await?;
        for row in &with_factor {
            let user = parsed("users.id", &row.text)?;
            tx.audit(Note::of_user("system", "user.second_factor_removed", user), now).await?;
            tx.execute(sql::second_factor::REMOVE, args![user]).await?;
            tx.execute(sql::second_factor::CODES_DROP, args![user]).await?;
        }
        tx.execute(sql::secrets::FORGET_PENDING, args![]).await?;
        tx.execute(sql::secrets::FORGET_SESSIONS, args![now]).await?;
        tx.execute(sql::secrets::FORGET_SIGNING_KEYS, args![]).await?;
        let webhooks = tx.execute(sql::secrets::FORGET_WEBHOOKS, args![now]).await?;
        tx.execute(sql::secrets::FORGET_CHECK, args![]).await?;
        tx.commit().await?;
        Ok((with_factor.len() as u64, webhooks))
    }

    async fn seal_all(&self, keys: &SecretKeys) -> Result<u64, CatalogError> {
        let mut count = 0;
        for (table, unsealed, set) in sql::secrets::COLUMNS {
            let anew = |row: &SecretRow| match Sealed::stored(row.secret.clone()) {
                sealed if sealed.0.starts_with(FORM) => {
                    keys.seal(&place(table, &row.id), &self.opened(table, &row.id, &sealed)?)
                }
                plain => keys.seal(&place(table, &row.id), &plain.0),
            };
            count += self.each(*unsealed, *set, keys.mark(), anew).await?;
        }
        let anew = |row: &SecretRow| {
            let mut terms: UploadTerms = document("uploads.terms", &row.secret)?;
            terms.url = terms.url.map(|url| self.opened_address(&row.id, url));
            self.sealed_terms(&row.id, &terms)
        };
        count += self.each(sql::secrets::ADDRESSES, sql::secrets::ADDRESS_SET, keys.mark(), anew).await?;
        Ok(count)
    }

    /// Writes what `anew` makes of each row that `unsealed` finds, some at a time.
    async fn each(
        &self,
        unsealed: Sql,
        set: Sql,
        mark: String,
        anew: impl Fn(&SecretRow) -> Result<String, CatalogError>,
    ) -> Result<u64, CatalogError> {
        let (mut count, mut after) = (0, String::new());
        loop {
            // Ends because each batch begins behind the one before it.
            let args = args![format!("{mark}%"), after.as_str(), BATCH];
            let rows: Vec<SecretRow> = self.rows(unsealed, args).await?;
            let Some(last) = rows.last() else { return Ok(count) };
            after.clone_from(&last.id);
            let mut tx = self.begin().await?;
            for row in &rows {
                match anew(row) {
                    // Unless somebody changed it meanwhile: then it is sealed.
                    Ok(text) => {
                        count += tx.execute(set, args![row.id.as_str(), row.secret.as_str(), text]).await?;
                    }
                    Err(error) => tracing::error!(
                        row = row.id,
                        error = &error as &dyn std::error::Error,
                        "a secret cannot be opened"
                    ),
                }
            }
            tx.commit().await?;
        }
    }

    pub(crate) fn sealed(&self, table: &str, row: impl fmt::Display, plain: &str) -> Result<String, CatalogError> {
        self.keys()?.seal(&place(table, row), plain)
    }

    pub(crate) fn opened(&self, table: &str, row: impl fmt::Display, sealed: &Sealed) -> Result<String, CatalogError> {
        let place = place(table, row);
        self.keys()?.open(&place, &sealed.0).ok_or(CatalogError::Unopened { place })
    }

    /// The terms of an upload as its row holds them: an address can have a password or a signature in it.
    pub(crate) fn sealed_terms(&self, upload: &str, terms: &UploadTerms) -> Result<String, CatalogError> {
        let mut terms = terms.clone();
        terms.url = terms.url.map(|url| self.sealed("uploads", upload, &url)).transpose()?;
        text("uploads.terms", &terms)
    }

    /// The address in the terms of an upload; as it is stored where it cannot be opened: then it is no address.
    pub(crate) fn opened_address(&self, upload: &str, url: String) -> String {
        let opened = self.keys().ok().and_then(|keys| keys.open(&place("uploads", upload), &url));
        opened.unwrap_or(url)
    }
}

/// A secret in a row.
#[derive(sqlx::FromRow)]
struct SecretRow {
    id: String,
    secret: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "one 0123456789012345678901234567";
    const TWO: &str = "two 0123456789012345678901234567";

    fn keys(current: &str, others: &[&str]) -> SecretKeys {
        SecretKeys::new(current, others.iter().copied()).expect("they are long enough")
    }

    #[test]
    fn a_secret_opens_in_its_own_row_under_its_own_key_only() {
        let sealed = keys(ONE, &[]).seal("users/1", "hush").expect("it is sealed");
        assert!(!sealed.contains("hush"));
        assert_eq!(keys(ONE, &[]).open("users/1", &sealed).as_deref(), Some("hush"));
        assert_eq!(keys(TWO, &[ONE]).open("users/1", &sealed).as_deref(), Some("hush"));
        assert_eq!(keys(TWO, &[]).open("users/1", &sealed), None);
        for elsewhere in ["users/2", "webhooks/1", ""] {
            assert_eq!(keys(ONE, &[]).open(elsewhere, &sealed), None, "{elsewhere}");
        }
    }

    #[test]
    fn what_was_changed_does_not_open_and_nothing_is_sealed_alike_twice() {
        let keys = keys(ONE, &[]);
        let sealed = keys.seal("users/1", "hush").expect("it is sealed");
        assert_ne!(sealed, keys.seal("users/1", "hush").expect("it is sealed"));
        let at = FORM.len() + 13;
        for cut in [0, 5, at, at + 10, sealed.len() - 1] {
            assert_eq!(keys.open("users/1", &sealed[..cut]), None, "{cut}");
        }
        for changed in at..sealed.len() {
            let mut octets = sealed.clone().into_bytes();
            octets[changed] = if octets[changed] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(octets).expect("it is text");
            assert_eq!(keys.open("users/1", &text), None, "{changed}");
        }
    }

    #[test]
    fn a_key_has_to_be_long() {
        assert_eq!(SecretKeys::new("short", []).err(), Some(WeakKey));
        assert_eq!(SecretKeys::new(ONE, ["short"]).err(), Some(WeakKey));
        assert_eq!(format!("{:?} {:?}", keys(ONE, &[TWO]), Sealed::stored("hush".into())), "SecretKeys(2) Sealed");
    }
}
