//! Sorts error numbers of sockets and TAP queues by what the caller has to do about them.
//!
//! Linux reports the state of an interface through whichever call happens to touch it next, with a number that
//! depends on the driver: a packet socket says `ENETDOWN`, `ENXIO` or `ENODEV`, a TAP queue `EIO` or `EBADFD`. The
//! difference that matters is whether the same descriptor will work again by itself (the link came up) or has to be
//! opened anew (the interface was deleted).

use std::io;

/// What an error number means for the descriptor that reported it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Nothing to take or no room now; the same call may succeed later (`EAGAIN`, `ENOBUFS`, `EINTR`).
    Busy,
    /// The interface is administratively down; the descriptor works again once it is up (`ENETDOWN`, TAP: `EIO`).
    Down,
    /// The interface is gone; only opening anew helps (`ENODEV`, `ENXIO`, TAP: `EBADFD`).
    Gone,
    /// This one frame was refused; others may pass (`EMSGSIZE`, `EINVAL` and everything else).
    Frame,
}

impl Fault {
    /// Sorts `error`. An error without a number (made by Rust, not by the kernel) counts as [`Fault::Frame`].
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOBUFS | libc::EINTR | libc::ENOMEM) => Self::Busy,
            Some(libc::ENETDOWN | libc::EIO) => Self::Down,
            Some(libc::ENODEV | libc::ENXIO | libc::EBADFD | libc::EBADF) => Self::Gone,
            Some(_) | None => Self::Frame,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_are_sorted_by_what_to_do_about_them() {
        let table = [
            (libc::EAGAIN, Fault::Busy),
            (libc::ENOBUFS, Fault::Busy),
            (libc::ENETDOWN, Fault::Down),
            (libc::EIO, Fault::Down),
            (libc::ENODEV, Fault::Gone),
            (libc::ENXIO, Fault::Gone),
            (libc::EBADFD, Fault::Gone),
            (libc::EMSGSIZE, Fault::Frame),
            (libc::EINVAL, Fault::Frame),
        ];
        for (number, fault) in table {
            assert_eq!(Fault::of(&io::Error::from_raw_os_error(number)), fault, "errno {number}");
        }
        assert_eq!(Fault::of(&io::Error::other("ours")), Fault::Frame);
    }
}
