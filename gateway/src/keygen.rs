//! New keys for MKA: a CAK and its name, each in a file of its own.
//!
//! The files can be read by their owner only, and nothing that is there is overwritten: a lost CAK is a lost link.
//! Octets come from `/dev/random`, which since Linux 5.6 waits until the kernel's generator has been seeded and
//! never after that. The CAK is nowhere but in its file; what may be shown of it is its fingerprint.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use config::{KeyKind, Secret};
use zeroize::Zeroizing;

/// Octets of a new CKN: as many as there may be, which is what AWS takes and older equipment pads to.
const CKN_LEN: usize = 32;

/// A pair of files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Made {
    /// The name of the key in hexadecimal digits.
    pub ckn: String,
    /// The file that holds the name.
    pub ckn_file: PathBuf,
    /// The file that holds the CAK.
    pub cak_file: PathBuf,
    /// What may be shown of the CAK: both ends compare it.
    pub fingerprint: String,
}

/// Why there are no files.
#[derive(Debug, thiserror::Error)]
#[error("cannot make {}: {why}", .path.display())]
pub struct KeygenError {
    /// What could not be made.
    pub path: PathBuf,
    /// Why not.
    pub why: io::Error,
}

/// Makes `STEM.ckn` and `STEM.cak` with a CAK of `cak_len` octets, and the folder they are in if only that is missing. More folders that are
/// not there are a mistake more likely than a wish, and so is one at the root.
/// Without a stem they are called after the first digits of the CKN and are made in the working directory.
///
/// # Errors
/// [`KeygenError`], and then neither file was made: one of them exists, or cannot be written.
pub fn make(stem: Option<&Path>, cak_len: usize) -> Result<Made, KeygenError> {
    let source = |why| KeygenError { path: "a key out of /dev/random".into(), why };
    let ckn = digits(&random(CKN_LEN).map_err(source)?);
    let mut cak = random(cak_len).map_err(source)?;
    let named = || PathBuf::from(format!("mka-{}", ckn.get(..8).unwrap_or(&ckn)));
    let stem = stem.map_or_else(named, Path::to_owned);
    folder_of(&stem)?;
    let (ckn_file, cak_file) = (with_ending(&stem, ".ckn"), with_ending(&stem, ".cak"));
    write(&ckn_file, &ckn)?;
    if let Err(error) = write(&cak_file, &digits(&cak)) {
        // Only the file that was made above: it is no use without the other one.
        let _gone = fs::remove_file(&ckn_file);
        return Err(error);
    }
    let fingerprint = Secret::new(&mut cak).fingerprint(KeyKind::Cak);
    Ok(Made { ckn: ckn.to_string(), ckn_file, cak_file, fingerprint })
}

fn folder_of(stem: &Path) -> Result<(), KeygenError> {
    let error = |path: &Path, why| KeygenError { path: path.to_owned(), why };
    let is_folder =
        || io::Error::new(io::ErrorKind::IsADirectory, "that is a folder, and the key has no name");
    if stem.is_dir() || stem.as_os_str().as_encoded_bytes().ends_with(b"/") || stem.file_name().is_none() {
        return Err(error(stem, is_folder()));
    }
    let Some(folder) = stem.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    if folder.is_dir() {
        return Ok(());
    }
    let missing = || error(stem, io::Error::new(io::ErrorKind::NotFound, NoFolder(folder.to_owned())));
    // One level, and never at the root: that is a path whose beginning is wrong.
    if folder.parent() == Some(Path::new("/")) {
        return Err(missing());
    }
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|why| if why.kind() == io::ErrorKind::NotFound { missing() } else { error(folder, why) })
}

/// The folder that the files would be in is not there.
#[derive(Debug, thiserror::Error)]
#[error("there is no folder {}", .0.display())]
pub struct NoFolder(pub PathBuf);

/// Not `with_extension`: a name such as `dx.2027` has no extension to replace.
fn with_ending(stem: &Path, ending: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn write(path: &Path, digits: &str) -> Result<(), KeygenError> {
    let error = |why| KeygenError { path: path.to_owned(), why };
    // O_EXCL: neither an existing file nor the end of a link is written to.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(error)?;
    let written = file.write_all(digits.as_bytes()).and_then(|()| file.write_all(b"\n"));
    written.and_then(|()| file.sync_all()).map_err(|why| {
        let _gone = fs::remove_file(path);
        error(why)
    })
}

fn random(len: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut octets = Zeroizing::new(vec![0; len]);
    File::open("/dev/random")?.read_exact(&mut octets)?;
    Ok(octets)
}

fn digits(octets: &[u8]) -> Zeroizing<String> {
    // Reserved once, so that no copy stays behind.
    let mut text = Zeroizing::new(String::with_capacity(octets.len() * 2));
    for digit in octets.iter().flat_map(|octet| [octet >> 4, octet & 0x0f]) {
        text.extend(char::from_digit(digit.into(), 16));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_two_for_each_octet() {
        assert_eq!(*digits(&[0, 0x0f, 0xa5, 0xff]), "000fa5ff");
    }

    #[test]
    fn endings_are_added_and_never_replace() {
        assert_eq!(with_ending(Path::new("keys/dx.2027"), ".cak"), Path::new("keys/dx.2027.cak"));
    }
}
