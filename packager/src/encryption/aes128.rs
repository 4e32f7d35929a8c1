//! Whole segments, encrypted by AES-128 in CBC mode with padding (RFC 8216 §4.3.2.4, RFC 5652 §6.3).

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};

use super::Octets;

/// The segment, encrypted: up to 16 octets longer.
pub fn seal(segment: &[u8], key: &Octets, vector: &Octets) -> Vec<u8> {
    cbc::Encryptor::<Aes128>::new(&(*key).into(), &(*vector).into()).encrypt_padded_vec::<Pkcs7>(segment)
}

/// The segment behind an encrypted one; `None` if it was not encrypted so.
pub fn open(sealed: &[u8], key: &Octets, vector: &Octets) -> Option<Vec<u8>> {
    cbc::Decryptor::<Aes128>::new(&(*key).into(), &(*vector).into()).decrypt_padded_vec::<Pkcs7>(sealed).ok()
}
