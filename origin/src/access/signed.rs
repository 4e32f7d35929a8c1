//! Public keys of others, and what was signed with their other halves.

use std::collections::HashMap;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// RSA keys by their ids.
#[derive(Clone, Debug, Default)]
pub struct PublicKeys(HashMap<String, Vec<u8>>);

impl PublicKeys {
    /// Adds a key in PEM's form (`BEGIN PUBLIC KEY`); `None` if it is not one.
    pub fn add(&mut self, id: &str, pem: &str) -> Option<()> {
        let (_, rest) = pem.split_once("-----BEGIN PUBLIC KEY-----")?;
        let (body, _) = rest.split_once("-----END PUBLIC KEY-----")?;
        let body: String = body.split_ascii_whitespace().collect();
        self.0.insert(id.to_owned(), STANDARD.decode(body).ok()?);
        Some(())
    }

    /// Whether `signature` is that of `message` by the key `id`, over SHA-256.
    pub(super) fn signed_sha256(&self, id: &str, message: &[u8], signature: &[u8]) -> bool {
        let Some(key) = self.0.get(id) else { return false };
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(message, signature).is_ok()
    }

    /// The same over SHA-1, as CloudFront signs.
    pub(super) fn signed_sha1(&self, id: &str, message: &[u8], signature: &[u8]) -> bool {
        let Some(key) = self.0.get(id) else { return false };
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, key).verify(message, signature).is_ok()
    }
}
