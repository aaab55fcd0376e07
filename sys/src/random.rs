//! Octets that nobody can guess.
#![expect(unsafe_code, reason = "getrandom takes a pointer")]

use std::io;

/// Fills `room` from the kernel's random number generator. It waits only in the first moments after the machine's start.
///
/// # Errors
/// On a kernel without getrandom(2), or where a filter forbids it: then there is no key to be had.
pub fn fill(room: &mut [u8]) -> io::Result<()> {
    let mut rest = room;
    while !rest.is_empty() {
        // SAFETY: pointer and length describe `rest`, which the kernel only writes to, and no further.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(got) {
            Ok(got) => rest = rest.get_mut(got..).unwrap_or_default(),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ_and_every_octet_is_written() {
        let mut draws = [[0u8; 300]; 8];
        draws.iter_mut().for_each(|draw| fill(draw).unwrap());
        for at in 0..300 {
            assert!(draws.iter().any(|draw| draw[at] != 0), "octet {at}");
        }
        assert_ne!(draws[0], draws[1]);
        fill(&mut []).unwrap();
    }
}
