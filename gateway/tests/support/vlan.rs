//! A host whose interface sends and receives frames with a VLAN tag.
//!
//! Where the kernel has 802.1Q devices, one of those. Where it has none, two eBPF programs on the interface do the
//! same: the tag is put into the frame's metadata and taken from there, exactly where an 802.1Q device on a veth pair
//! does it, segmentation left for later and all. The programs are so short that they are written down here.

use std::fs;

use gateway::lab::Lab;

use super::gateway::Folder;
use super::shell::{must, sh};

/// Makes all IP traffic of `device` at `node` tagged with `vlan`; gives the device that addresses belong on.
///
/// # Errors
/// When this kernel can do it neither way: what it said.
pub(crate) fn tag(lab: &Lab, folder: &Folder, node: &str, device: &str, vlan: u16) -> Result<String, String> {
    let name = format!("{device}.{vlan}");
    let made = format!("ip link add link {device} name {name} type vlan id {vlan}; ip link set {name} up");
    let refused = match sh(lab, node, &made) {
        output if output.status == Some(0) => return Ok(name),
        output => output.text,
    };
    must(lab, node, &format!("tc qdisc add dev {device} clsact"));
    for (direction, program) in [("egress", push(vlan)), ("ingress", pop(vlan))] {
        let path = folder.path().join(format!("{node}-{direction}.o"));
        fs::write(&path, object(&program)).unwrap();
        let filter =
            format!("tc filter add dev {device} {direction} bpf da obj {} sec classifier", path.display());
        let output = sh(lab, node, &filter);
        if output.status != Some(0) {
            return Err(format!("no 802.1Q devices ({}), no eBPF ({})", refused.trim(), output.text.trim()));
        }
    }
    Ok(device.to_owned())
}

/// `return bpf_skb_vlan_push(skb, htons(ETH_P_8021Q), vlan), TC_ACT_OK`
fn push(vlan: u16) -> Vec<u8> {
    let tpid = i32::from(0x8100_u16.to_be());
    [mov(2, tpid), mov(3, vlan.into()), call(18), mov(0, OK), exit()].concat()
}

/// What is not in this VLAN is dropped; of the rest, `return bpf_skb_vlan_pop(skb), TC_ACT_OK`
fn pop(vlan: u16) -> Vec<u8> {
    let and = |register: u8, value: i32| code(0x57, register, 0, 0, value);
    let jump_equal = |register: u8, value: i32, over: i16| code(0x15, register, 0, over, value);
    [
        code(0xbf, 6, 1, 0, 0),            // r6 = skb
        code(0x61, 2, 1, VLAN_PRESENT, 0), // r2 = skb->vlan_present
        code(0x61, 3, 1, VLAN_TCI, 0),     // r3 = skb->vlan_tci
        mov(0, SHOT),
        jump_equal(2, 0, 5),
        and(3, 0xfff),
        code(0x55, 3, 0, 3, vlan.into()), // another VLAN
        code(0xbf, 1, 6, 0, 0),
        call(19),
        mov(0, OK),
        exit(),
    ]
    .concat()
}

// linux/pkt_cls.h, and offsets in `struct __sk_buff` (linux/bpf.h).
const OK: i32 = 0;
const SHOT: i32 = 2;
const VLAN_PRESENT: i16 = 20;
const VLAN_TCI: i16 = 24;

/// One instruction (RFC 9669 §3).
fn code(opcode: u8, destination: u8, source: u8, offset: i16, value: i32) -> Vec<u8> {
    let mut octets = vec![opcode, source << 4 | destination];
    octets.extend(offset.to_le_bytes());
    octets.extend(value.to_le_bytes());
    octets
}

fn mov(register: u8, value: i32) -> Vec<u8> {
    code(0xb7, register, 0, 0, value)
}

fn call(helper: i32) -> Vec<u8> {
    code(0x85, 0, 0, 0, helper)
}

fn exit() -> Vec<u8> {
    code(0x95, 0, 0, 0, 0)
}

/// An ELF object with the program in section `classifier`, as a compiler would leave it.
fn object(program: &[u8]) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.strtab\0.symtab\0license\0classifier\0program\0";
    let mut symbol = vec![0; 24];
    symbol.extend(36_u32.to_le_bytes()); // "program"
    symbol.extend([0x12, 0, 4, 0]); // a global function, in section 4
    symbol.extend(words(&[0, octets(program)]));
    let section =
        |name, kind, flags, link, entry, content| Section { name, kind, flags, link, entry, content };
    let sections = [
        section(0, 0, 0, 0, 0, &[][..]),
        section(1, 3, 0, 0, 0, NAMES),
        section(9, 2, 0, 1, 24, &symbol),
        section(17, 1, 3, 0, 0, b"GPL\0"),
        section(25, 1, 6, 0, 0, program),
    ];
    let (mut body, mut headers) = (Vec::new(), Vec::new());
    for one in sections {
        headers.extend([one.name.to_le_bytes(), one.kind.to_le_bytes()].concat());
        headers.extend(words(&[one.flags, 0, 64 + octets(&body), octets(one.content)]));
        // `sh_info` of a table of symbols is its first global one: 1, as its link is here.
        headers.extend([one.link.to_le_bytes(), one.link.to_le_bytes()].concat());
        headers.extend(words(&[8, one.entry]));
        body.extend(one.content);
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([1, 0, 247, 0, 1, 0, 0, 0]); // relocatable, BPF, version 1
    file.extend(words(&[0, 0, 64 + octets(&body)]));
    file.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 5, 0, 1, 0]);
    file.extend(body);
    file.extend(headers);
    file
}

/// A section of an ELF object: where its name is, `sh_type`, `sh_flags`, `sh_link`, `sh_entsize`, what is in it.
struct Section<'a> {
    name: u32,
    kind: u32,
    flags: u64,
    link: u32,
    entry: u64,
    content: &'a [u8],
}

fn octets(of: &[u8]) -> u64 {
    u64::try_from(of.len()).unwrap()
}

fn words(of: &[u64]) -> Vec<u8> {
    of.iter().flat_map(|word| word.to_le_bytes()).collect()
}
