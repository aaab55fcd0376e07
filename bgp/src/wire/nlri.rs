//! Prefixes as the wire packs them: a length in bits and as many octets as it needs (RFC 4271 section 4.3).

use crate::types::Family;
use core::net::{Ipv4Addr, Ipv6Addr};
use net::{IpNet, Ipv4Net, Ipv6Net, Malformed, Reader, Writer};

/// Reads all prefixes of `field`. Bits past the length are ignored, as RFC 4271 section 4.3 asks.
///
/// # Errors
/// [`Malformed`] when a length is too long for `family` or octets are missing (RFC 7606 section 5.3).
pub fn parse(field: &[u8], family: Family) -> Result<Vec<IpNet>, Malformed> {
    let mut reader = Reader::new(field);
    let mut prefixes = Vec::new();
    while !reader.is_empty() {
        prefixes.push(parse_one(&mut reader, family)?);
    }
    Ok(prefixes)
}

fn parse_one(reader: &mut Reader<'_>, family: Family) -> Result<IpNet, Malformed> {
    let bits = reader.u8()?;
    let octets = reader.take(usize::from(bits.div_ceil(8)))?;
    Ok(match family {
        Family::Ipv4 => {
            let address = Ipv4Addr::from(padded::<4>(octets)?);
            IpNet::V4(Ipv4Net::new(address, bits).map_err(|_| Malformed)?.trunc())
        }
        Family::Ipv6 => {
            let address = Ipv6Addr::from(padded::<16>(octets)?);
            IpNet::V6(Ipv6Net::new(address, bits).map_err(|_| Malformed)?.trunc())
        }
    })
}

fn padded<const N: usize>(octets: &[u8]) -> Result<[u8; N], Malformed> {
    let mut whole = [0; N];
    whole.get_mut(..octets.len()).ok_or(Malformed)?.copy_from_slice(octets);
    Ok(whole)
}

/// Octets that `prefix` takes.
pub fn len(prefix: &IpNet) -> usize {
    usize::from(prefix.prefix_len().div_ceil(8)).saturating_add(1)
}

/// Appends `prefix`.
pub fn emit(prefix: &IpNet, out: &mut Writer) {
    out.u8(prefix.prefix_len());
    let octets = usize::from(prefix.prefix_len().div_ceil(8));
    match prefix {
        IpNet::V4(net) => out.put(net.network().octets().get(..octets).unwrap_or_default()),
        IpNet::V6(net) => out.put(net.network().octets().get(..octets).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_round_trip_and_host_bits_are_cut() {
        let cases: [(&str, Family, &[u8]); 5] = [
            ("0.0.0.0/0", Family::Ipv4, &[0]),
            ("10.98.0.0/15", Family::Ipv4, &[15, 10, 98]),
            ("192.0.2.1/32", Family::Ipv4, &[32, 192, 0, 2, 1]),
            ("2001:db8::/33", Family::Ipv6, &[33, 0x20, 1, 0x0d, 0xb8, 0]),
            ("::/0", Family::Ipv6, &[0]),
        ];
        for (text, family, octets) in cases {
            let prefix: IpNet = text.parse().unwrap();
            let mut out = Writer::new();
            emit(&prefix, &mut out);
            assert_eq!((out.as_slice(), len(&prefix)), (octets, octets.len()), "{text}");
            assert_eq!(parse(octets, family), Ok(vec![prefix]));
        }
        assert_eq!(parse(&[15, 10, 99], Family::Ipv4), parse(&[15, 10, 98], Family::Ipv4));
    }

    // RFC 7606 section 5.3.
    #[test]
    fn too_long_or_cut_short_is_malformed() {
        for field in [&[33, 1, 2, 3, 4, 0][..], &[32, 1, 2, 3], &[255], &[8]] {
            assert_eq!(parse(field, Family::Ipv4), Err(Malformed), "{field:?}");
        }
        assert_eq!(
            parse(&[129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Family::Ipv6),
            Err(Malformed)
        );
    }
}
