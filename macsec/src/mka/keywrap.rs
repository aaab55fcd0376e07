//! AES Key Wrap (RFC 3394) with the default initial value: how a SAK travels (802.1X-2020 §9.8.2).

use aes_kw::{KeyInit, KwAes128, KwAes256};
use zeroize::Zeroizing;

/// Octets that wrapping adds.
pub const OVERHEAD: usize = 8;

/// Wraps `key` under a KEK of 16 or 32 octets. `None` for a KEK of another size, or a key that is not a
/// whole number of eight octets.
pub fn wrap(kek: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let mut wrapped = vec![0; key.len().checked_add(OVERHEAD)?];
    match kek.len() {
        16 => KwAes128::new_from_slice(kek).ok()?.wrap_key(key, &mut wrapped).ok()?,
        32 => KwAes256::new_from_slice(kek).ok()?.wrap_key(key, &mut wrapped).ok()?,
        _ => return None,
    };
    Some(wrapped)
}

/// Unwraps what [`wrap`] made; `None` when it was made under another KEK, changed, or has a wrong size.
pub fn unwrap(kek: &[u8], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let len = wrapped.len().checked_sub(OVERHEAD).filter(|len| *len >= 2 * OVERHEAD)?;
    let mut key = Zeroizing::new(vec![0; wrapped.len()]);
    match kek.len() {
        16 => KwAes128::new_from_slice(kek).ok()?.unwrap_key(wrapped, &mut key).ok()?,
        32 => KwAes256::new_from_slice(kek).ok()?.unwrap_key(wrapped, &mut key).ok()?,
        _ => return None,
    };
    key.truncate(len);
    Some(key)
}
