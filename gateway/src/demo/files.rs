//! The files that a demo is to write at its end: tried before it begins, so that nobody waits for minutes to hear that a folder is not there.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use anyhow::bail;

use super::Options;

/// Whether all files that `options` name can be written. What is in them stays.
///
/// # Errors
/// When one cannot: which, why, and what to do.
pub(super) fn ensure_writable(options: &Options) -> anyhow::Result<()> {
    for file in [&options.capture, &options.report].into_iter().flatten() {
        if let Err(why) = try_to_write(file) {
            bail!("cannot write {}: {why}; name a file in a folder where you may write", file.display());
        }
    }
    Ok(())
}

fn try_to_write(file: &Path) -> io::Result<()> {
    match fs::metadata(file) {
        // A pipe may have nobody yet who reads, and a device is somebody's wish.
        Ok(there) if !there.is_file() && !there.is_dir() => Ok(()),
        Ok(_) => OpenOptions::new().append(true).open(file).map(drop),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new().write(true).create_new(true).open(file)?;
            fs::remove_file(file)
        }
        Err(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_tried_and_left_as_it_was() {
        let folder = std::env::temp_dir().join(format!("quadspan-demo-files-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let (there, new) = (folder.join("there"), folder.join("new"));
        fs::write(&there, "as it was").unwrap();
        for good in [&there, &new, Path::new("/dev/null")] {
            try_to_write(good).unwrap();
        }
        assert_eq!(fs::read_to_string(&there).unwrap(), "as it was");
        assert!(!new.exists());
        for bad in [&folder, &folder.join("nowhere/x"), &there.join("x"), Path::new("")] {
            try_to_write(bad).unwrap_err();
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
