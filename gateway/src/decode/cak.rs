//! The CAKs that were given: `--ckn HEX|@FILE --cak HEX|@FILE`, in pairs.

use std::path::Path;

use config::SecretError;
use macsec::{Cak, Ckn};
use zeroize::Zeroizing;

use super::keys::KeyText;
use crate::secrets;

/// What is wrong with a pair. Holds nothing of the CAK.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CakError {
    /// The CKN.
    #[error(
        "--ckn must be 1 to 32 octets in pairs of hexadecimal digits, or @FILE with a file that holds them"
    )]
    Ckn,
    /// The CAK.
    #[error("--cak must be 32 or 64 hexadecimal digits, or @FILE with a file that holds them")]
    Cak,
    /// A file cannot be used.
    #[error("the file {path} {why}")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        why: SecretError,
    },
    /// One without the other.
    #[error("{ckns} --ckn and {caks} --cak: they come in pairs")]
    Pairs {
        /// How many CKNs.
        ckns: usize,
        /// How many CAKs.
        caks: usize,
    },
}

/// Reads the options, the first CKN with the first CAK and so on, and the files that they name.
///
/// # Errors
/// [`CakError`].
pub fn read_caks(ckns: &[KeyText], caks: &[KeyText]) -> Result<Vec<(Ckn, Cak)>, CakError> {
    if ckns.len() != caks.len() {
        return Err(CakError::Pairs { ckns: ckns.len(), caks: caks.len() });
    }
    let pair = |(ckn, cak): (&KeyText, &KeyText)| {
        let ckn = Ckn::from_hex(&digits(ckn)?).map_err(|_| CakError::Ckn)?;
        Ok((ckn, Cak::from_hex(&digits(cak)?).map_err(|_| CakError::Cak)?))
    };
    ckns.iter().zip(caks).map(pair).collect()
}

fn digits(option: &KeyText) -> Result<Zeroizing<String>, CakError> {
    let Some(path) = option.text().strip_prefix('@') else { return Ok(plain(option.text())) };
    match secrets::read_file(Path::new(path)) {
        Ok(text) => Ok(plain(&text)),
        Err(why) => Err(CakError::File { path: path.to_owned(), why }),
    }
}

/// Digits without what people put between them.
pub(super) fn plain(text: &str) -> Zeroizing<String> {
    // Reserved once, so that no copy stays behind.
    let mut digits = Zeroizing::new(String::with_capacity(text.len()));
    digits.extend(text.chars().filter(|c| !c.is_whitespace() && *c != ':'));
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ckn: &str, cak: &str) -> Result<Vec<(Ckn, Cak)>, CakError> {
        read_caks(&[ckn.parse().unwrap()], &[cak.parse().unwrap()])
    }

    #[test]
    fn a_pair_is_read_in_digits_however_they_are_joined() {
        let [(ckn, cak)] = &read("00:ff", &"0a ".repeat(16)).unwrap()[..] else { panic!() };
        assert_eq!((ckn.octets(), cak.octets()), (&[0, 255][..], &[10; 16][..]));
    }

    #[test]
    fn errors_say_what_is_wrong_and_nothing_of_the_key() {
        let cak = "deadbeef".repeat(4);
        assert_eq!(read("", &cak).unwrap_err(), CakError::Ckn);
        assert_eq!(read(&"00".repeat(33), &cak).unwrap_err(), CakError::Ckn);
        for wrong in [&cak[1..], &cak[..30], "", "xyz"] {
            let error = read("01", wrong).unwrap_err();
            assert_eq!(error, CakError::Cak);
            assert!(!error.to_string().contains("deadbeef"));
        }
        assert!(read("01", "@/nonexistent").unwrap_err().to_string().contains("/nonexistent does not exist"));
        let alone = read_caks(&["01".parse().unwrap()], &[]).unwrap_err().to_string();
        assert_eq!(alone, "1 --ckn and 0 --cak: they come in pairs");
    }
}
