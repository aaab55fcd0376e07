//! Network interfaces by name: index, address, MTU, flags, carrier.
//!
//! Everything goes through `ioctl` on a socket of the calling thread's network namespace (netdevice(7)), not through
//! `/sys`, which keeps showing the namespace it was mounted in. So these calls work on a thread that
//! [`crate::netns::within`] moved.
//!
//! Reading needs no privilege; changing needs `CAP_NET_ADMIN` in the owner of the namespace.
#![expect(unsafe_code, reason = "ioctl takes pointers, and ifreq is a union")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::{c_char, c_int, c_short, ifreq};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// The longest interface name in octets, without the closing zero (`IFNAMSIZ - 1`).
pub const NAME_MAX: usize = libc::IFNAMSIZ - 1;

/// What `SIOCGIFFLAGS` says about an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flags(c_short);

impl Flags {
    /// Administratively up (`IFF_UP`).
    #[must_use]
    pub fn up(self) -> bool {
        self.has(libc::IFF_UP)
    }

    /// Operational: up, and the link layer works (`IFF_RUNNING`). May lag behind [`carrier`] by up to a second.
    #[must_use]
    pub fn running(self) -> bool {
        self.has(libc::IFF_RUNNING)
    }

    /// The loopback interface (`IFF_LOOPBACK`).
    #[must_use]
    pub fn loopback(self) -> bool {
        self.has(libc::IFF_LOOPBACK)
    }

    /// Set to take every frame, by its administrator and not by sockets (`IFF_PROMISC`).
    #[must_use]
    pub fn promiscuous(self) -> bool {
        self.has(libc::IFF_PROMISC)
    }

    fn has(self, flag: c_int) -> bool {
        c_int::from(self.0) & flag != 0
    }
}

/// Whether `name` can be an interface name: 1 to 15 octets, no slash, colon, white space or control, not `.` or `..`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = (1..=NAME_MAX).contains(&name.len()) && name != "." && name != "..";
    fits && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
}

/// The index of interface `name`.
///
/// # Errors
/// `ENODEV` when there is none in this namespace; `EINVAL` when `name` cannot be one.
pub fn index(name: &str) -> io::Result<u32> {
    if !is_name(name) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    nix::net::if_::if_nametoindex(name).map_err(io::Error::from)
}

/// The name of the interface with `index`.
///
/// # Errors
/// `ENXIO` when there is none in this namespace; `InvalidData` when its name is not UTF-8.
pub fn name(index: u32) -> io::Result<String> {
    let name = nix::net::if_::if_indextoname(index)?;
    name.into_string().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// The names of all interfaces of this namespace, in the order of their indices.
///
/// # Errors
/// Whatever the kernel answers. Names that are not UTF-8 are left out.
pub fn all() -> io::Result<Vec<String>> {
    let found = nix::net::if_::if_nameindex()?;
    Ok(found.iter().filter_map(|i| i.name().to_str().ok().map(str::to_owned)).collect())
}

/// The hardware address of interface `name`.
///
/// # Errors
/// `ENODEV` when there is none; `InvalidData` when it is not an Ethernet or loopback interface.
pub fn mac(name: &str) -> io::Result<[u8; 6]> {
    let answer = Control::open()?.ask(name, libc::SIOCGIFHWADDR, |_| {})?;
    // SAFETY: the kernel filled this variant for SIOCGIFHWADDR, and any octets are a sockaddr.
    let address = unsafe { answer.ifr_ifru.ifru_hwaddr };
    if ![libc::ARPHRD_ETHER, libc::ARPHRD_LOOPBACK].contains(&address.sa_family) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not an Ethernet interface"));
    }
    let mut mac = [0; 6];
    for (to, from) in mac.iter_mut().zip(address.sa_data) {
        *to = u8::from_ne_bytes(from.to_ne_bytes());
    }
    Ok(mac)
}

/// Gives interface `name` the hardware address `mac`.
///
/// # Errors
/// `EADDRNOTAVAIL` for a group address, `EBUSY` when the driver wants it down first, `EPERM` without privilege.
pub fn set_mac(name: &str, mac: [u8; 6]) -> io::Result<()> {
    let fill = |request: &mut ifreq| {
        let mut data: [c_char; 14] = [0; 14];
        for (to, from) in data.iter_mut().zip(mac) {
            *to = c_char::from_ne_bytes(from.to_ne_bytes());
        }
        request.ifr_ifru.ifru_hwaddr = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: data };
    };
    Control::open()?.ask(name, libc::SIOCSIFHWADDR, fill).map(drop)
}

/// The MTU of interface `name`: octets of a frame's payload, without the Ethernet header.
///
/// # Errors
/// `ENODEV` when there is none.
pub fn mtu(name: &str) -> io::Result<u32> {
    let answer = Control::open()?.ask(name, libc::SIOCGIFMTU, |_| {})?;
    // SAFETY: the kernel filled this variant for SIOCGIFMTU, and any octets are an integer.
    let mtu = unsafe { answer.ifr_ifru.ifru_mtu };
    u32::try_from(mtu).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Sets the MTU of interface `name` to `mtu` octets.
///
/// # Errors
/// `EINVAL` when the driver cannot, `EPERM` without privilege, `ENODEV` when there is no such interface.
pub fn set_mtu(name: &str, mtu: u32) -> io::Result<()> {
    let mtu = c_int::try_from(mtu).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    Control::open()?.ask(name, libc::SIOCSIFMTU, |request| request.ifr_ifru.ifru_mtu = mtu).map(drop)
}

/// The flags of interface `name`.
///
/// # Errors
/// `ENODEV` when there is none.
pub fn flags(name: &str) -> io::Result<Flags> {
    let answer = Control::open()?.ask(name, libc::SIOCGIFFLAGS, |_| {})?;
    // SAFETY: the kernel filled this variant for SIOCGIFFLAGS, and any octets are an integer.
    Ok(Flags(unsafe { answer.ifr_ifru.ifru_flags }))
}

/// Takes interface `name` up or down.
///
/// # Errors
/// `EPERM` without privilege, `ENODEV` when there is no such interface.
pub fn set_up(name: &str, up: bool) -> io::Result<()> {
    let Flags(old) = flags(name)?;
    let bit = short_flag(libc::IFF_UP);
    let new = if up { old | bit } else { old & !bit };
    Control::open()?.ask(name, libc::SIOCSIFFLAGS, |request| request.ifr_ifru.ifru_flags = new).map(drop)
}

/// Whether interface `name` is up and its link layer works, asked of the driver now (`ETHTOOL_GLINK`).
///
/// [`Flags::running`] is what the kernel has made of the same fact, with a delay of up to a second on some drivers;
/// it is the answer for drivers that do not know the question.
///
/// # Errors
/// `ENODEV` when there is none.
pub fn carrier(name: &str) -> io::Result<bool> {
    let flags = flags(name)?;
    if !flags.up() {
        return Ok(false);
    }
    Ok(Control::open()?.glink(name)?.unwrap_or_else(|| flags.running()))
}

/// How many receive queues interface `name` has (`ETHTOOL_GCHANNELS`); one where the driver does not know the question.
///
/// # Errors
/// `ENODEV` when there is none.
pub fn receive_queues(name: &str) -> io::Result<u32> {
    // struct ethtool_channels: command, most of receive, transmit, other, combined; then the same as they are.
    let mut question = [ETHTOOL_GCHANNELS, 0, 0, 0, 0, 0, 0, 0, 0];
    let known = Control::open()?.ethtool(name, &mut question)?;
    let [_, _, _, _, _, receive, _, _, combined] = question;
    Ok(if known { receive.saturating_add(combined).max(1) } else { 1 })
}

/// Whether interface `name` takes VLAN tags out of frames that it receives and keeps them beside (`ETHTOOL_GFLAGS`).
///
/// # Errors
/// `ENODEV` when there is none.
pub fn takes_tags_out(name: &str) -> io::Result<bool> {
    let flags = Control::open()?.ethtool_value(name, ETHTOOL_GFLAGS)?;
    Ok(flags.is_some_and(|flags| flags & ETH_FLAG_RXVLAN != 0))
}

/// Whether interface `name` is given TCP's super-frames to cut (`ETHTOOL_GTSO`).
///
/// # Errors
/// `ENODEV` when there is none.
pub fn leaves_tcp_whole(name: &str) -> io::Result<bool> {
    Ok(Control::open()?.ethtool_value(name, ETHTOOL_GTSO)?.is_some_and(|on| on != 0))
}

/// The name of the driver of interface `name` (`ETHTOOL_GDRVINFO`): `veth`, `virtio_net`, `mlx5_core`; empty where there is none to ask.
///
/// # Errors
/// `ENODEV` when there is none.
pub fn driver(name: &str) -> io::Result<String> {
    // struct ethtool_drvinfo: command, the driver's name in 32 octets, and more.
    let mut question = [0; 49];
    question[0] = ETHTOOL_GDRVINFO;
    let known = Control::open()?.ethtool(name, &mut question)?;
    let octets = question.iter().skip(1).take(if known { 8 } else { 0 }).flat_map(|word| word.to_ne_bytes());
    let name: Vec<u8> = octets.take_while(|octet| *octet != 0).collect();
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// Asks one interface for its carrier again and again, with one system call each time.
///
/// The kernel tells of a lost carrier by netlink up to a second late (`net/core/link_watch.c` lets only some changes
/// pass at once); whoever must know within milliseconds has to ask the driver.
#[derive(Debug)]
pub struct CarrierProbe {
    control: Control,
    name: String,
}

impl CarrierProbe {
    /// A probe for the interface with this name in the calling thread's network namespace; it need not be there yet.
    ///
    /// # Errors
    /// `EINVAL` when this cannot be an interface name; `EMFILE` when there are no more descriptors.
    pub fn new(name: &str) -> io::Result<Self> {
        named(name)?;
        Ok(Self { control: Control::open()?, name: name.to_owned() })
    }

    /// Whether the interface is up and has carrier; `None` when the driver does not know the question.
    ///
    /// # Errors
    /// `ENODEV` when it is not there.
    pub fn look(&self) -> io::Result<Option<bool>> {
        self.control.glink(&self.name)
    }
}

/// A socket that carries interface requests; any family would do.
#[derive(Debug)]
struct Control(OwnedFd);

impl Control {
    fn open() -> io::Result<Self> {
        let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        Ok(Self(fd))
    }

    /// The driver's word on the link; `None` when it does not know the question.
    fn glink(&self, name: &str) -> io::Result<Option<bool>> {
        Ok(self.ethtool_value(name, ETHTOOL_GLINK)?.map(|linked| linked != 0))
    }

    /// What the driver answers to a command that asks for one word; `None` when it does not know the question.
    fn ethtool_value(&self, name: &str, command: u32) -> io::Result<Option<u32>> {
        // struct ethtool_value: command, data.
        let mut question = [command, 0];
        let known = self.ethtool(name, &mut question)?;
        let [_, data] = question;
        Ok(known.then_some(data))
    }

    /// Has the driver fill in the words of a question of the same size; false when it does not know the question.
    fn ethtool<const N: usize>(&self, name: &str, question: &mut [u32; N]) -> io::Result<bool> {
        let pointer: *mut c_char = question.as_mut_ptr().cast();
        match self.ask(name, libc::SIOCETHTOOL, |request| request.ifr_ifru.ifru_data = pointer) {
            Ok(_) => Ok(true),
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Sends `request` about interface `name` and returns it as the kernel left it.
    fn ask(&self, name: &str, request: libc::Ioctl, fill: impl FnOnce(&mut ifreq)) -> io::Result<ifreq> {
        let mut message = named(name)?;
        fill(&mut message);
        // SAFETY: all requests of this file take an `ifreq`, read and written within its size. The one pointer that
        // `fill` may put into it (`ethtool`) points to memory that outlives the call.
        let code = unsafe { libc::ioctl(self.0.as_raw_fd(), request, &raw mut message) };
        if code < 0 { Err(io::Error::last_os_error()) } else { Ok(message) }
    }
}

/// An empty request about interface `name`.
///
/// # Errors
/// `EINVAL` when `name` cannot be an interface name.
pub(crate) fn named(name: &str) -> io::Result<ifreq> {
    if !is_name(name) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut request = unnamed();
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

/// An empty request without a name.
pub(crate) fn unnamed() -> ifreq {
    // SAFETY: ifreq is integers, character arrays and a raw pointer, for all of which zero is a value.
    unsafe { std::mem::zeroed() }
}

/// The name that the kernel put into a request.
///
/// # Errors
/// `InvalidData` when it is not a zero-terminated UTF-8 text.
pub(crate) fn name_of(request: &ifreq) -> io::Result<String> {
    let octets = request.ifr_name.map(|c| u8::from_ne_bytes(c.to_ne_bytes()));
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "the kernel gave no interface name");
    let text = CStr::from_bytes_until_nul(&octets).map_err(|_| invalid())?;
    text.to_str().map(str::to_owned).map_err(|_| invalid())
}

/// An `IFF_` constant as the `short` of `ifr_flags`: the same 16 bits, whatever the sign.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "ifr_flags holds the low 16 bits"
)]
pub(crate) const fn short_flag(flag: c_int) -> c_short {
    flag as c_short
}

/// `ETHTOOL_GTSO` of linux/ethtool.h.
const ETHTOOL_GTSO: u32 = 0x0000_001e;
/// `ETHTOOL_GDRVINFO` of linux/ethtool.h.
const ETHTOOL_GDRVINFO: u32 = 0x0000_0003;
/// `ETHTOOL_GLINK` of linux/ethtool.h: 1 in the data word when the link is detected.
const ETHTOOL_GLINK: u32 = 0x0000_000a;
/// `ETHTOOL_GFLAGS` of linux/ethtool.h, and the flag of tags that are taken out.
const ETHTOOL_GFLAGS: u32 = 0x0000_0025;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;
/// `ETHTOOL_GCHANNELS` of linux/ethtool.h.
const ETHTOOL_GCHANNELS: u32 = 0x0000_003c;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::in_new_namespace;

    #[test]
    fn only_names_that_the_kernel_takes_are_names() {
        for good in ["lo", "eth0", "ens1f0np0.100", "a-15-chars-name"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "eth0:1", "a b", "sixteen-chars-xx", "tab\t", "nul\0"] {
            assert!(!is_name(bad), "{bad:?}");
            assert!(index(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn loopback_can_be_read_without_privilege() {
        assert_eq!(name(index("lo").unwrap()).unwrap(), "lo");
        assert!(flags("lo").unwrap().loopback());
        assert_eq!(mac("lo").unwrap(), [0; 6]);
        assert!(all().unwrap().contains(&"lo".to_owned()));
        assert_eq!(mtu("no-such-if").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert_eq!(index("no-such-if").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn address_mtu_and_state_can_be_changed() {
        in_new_namespace(|bed| {
            bed.veth("a", "b");
            set_mac("a", [2, 0, 0, 0, 0, 7]).unwrap();
            assert_eq!(mac("a").unwrap(), [2, 0, 0, 0, 0, 7]);
            set_mac("a", [1, 0, 0, 0, 0, 7]).expect_err("a group address");
            set_mtu("a", 9000).unwrap();
            assert_eq!(mtu("a").unwrap(), 9000);
            set_mtu("a", 1).expect_err("below the minimum");
            set_up("a", false).unwrap();
            assert!(!flags("a").unwrap().up());
            assert!(flags("b").unwrap().up());
        });
    }

    #[test]
    fn carrier_follows_the_far_end() {
        in_new_namespace(|bed| {
            bed.veth("a", "b");
            assert!(carrier("a").unwrap());
            set_up("b", false).unwrap();
            assert!(!carrier("a").unwrap(), "the far end is down");
            set_up("b", true).unwrap();
            assert!(carrier("a").unwrap());
            set_up("a", false).unwrap();
            assert!(!carrier("a").unwrap(), "down by itself");
        });
    }
}
