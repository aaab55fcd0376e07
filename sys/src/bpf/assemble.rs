//! eBPF instructions, and the one program that we have (kernel documentation, bpf/standardization/instruction-set).
//!
//! It has two parts: what it does with frames that the device received ([`redirect`]), and, where frames leave in bulk (`bulk`), what
//! it does with an empty frame that this process has it run with: fill it from a map, and send it.
//!
//! A few dozen instructions need no compiler. Jumps go forward to labels, so the program cannot loop, and offsets are filled in
//! when the label is known.

use super::Claim;
use super::bulk::{LEAST, MOST, TEXT};

/// What an XDP program answers to leave a frame to the kernel (`XDP_PASS` of linux/bpf.h).
const PASS: i32 = 2;
/// To drop it (`XDP_DROP`).
const DROP: i32 = 1;
/// `bpf_redirect_map` (linux/bpf.h, helper 51): by this map, or what the flags' low bits say where it has no entry.
const REDIRECT_MAP: i32 = 51;
/// `bpf_map_lookup_elem`: the address of an entry, or 0.
const LOOK_UP: i32 = 1;
/// `bpf_xdp_adjust_tail`: so many octets more.
const GROW: i32 = 65;
/// `bpf_xdp_store_bytes`: to this place in the frame, from there, so many.
const STORE: i32 = 190;
/// The loopback device's index, in every network namespace; frames that this process makes the program run with seem to come by it.
const LOOPBACK: u32 = 1;

/// One instruction: operation, registers, jump, number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Instruction {
    operation: u8,
    to: u8,
    from: u8,
    jump: i16,
    number: i32,
}

impl Instruction {
    pub(super) fn octets(self) -> [u8; 8] {
        // The first register stands in the low four bits as the machine counts them (struct bpf_insn).
        let registers =
            if cfg!(target_endian = "little") { self.to | self.from << 4 } else { self.to << 4 | self.from };
        let ([j0, j1], [n0, n1, n2, n3]) = (self.jump.to_ne_bytes(), self.number.to_ne_bytes());
        [self.operation, registers, j0, j1, n0, n1, n2, n3]
    }
}

/// Where jumps lead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Label {
    Bulk,
    Drop,
    Group,
    Pass,
    Redirect,
}

/// What sending in bulk needs: three maps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bulk {
    /// One word: how many frames were taken so far.
    pub(super) state: i32,
    /// Frames: a word with the length and, above 16 bits, the device's place; then the octets.
    pub(super) frames: i32,
    /// The devices to send by.
    pub(super) devices: i32,
}

#[derive(Debug, Default)]
struct Program {
    code: Vec<Instruction>,
    open: Vec<(usize, Label)>,
}

impl Program {
    fn add(&mut self, operation: u8, to: u8, from: u8, jump: i16, number: i32) {
        self.code.push(Instruction { operation, to, from, jump, number });
    }

    /// Goes to `label` when the low 32 bits of a register are (`JEQ`) or are not (`JNE`) this number.
    fn branch(&mut self, operation: u8, register: u8, number: u32, label: Label) {
        self.open.push((self.code.len(), label));
        self.add(operation, register, 0, 0, i32::from_ne_bytes(number.to_ne_bytes()));
    }

    /// Goes to `label` when a register compares so with this number, all 64 bits.
    fn branch_64(&mut self, operation: u8, register: u8, number: i32, label: Label) {
        self.open.push((self.code.len(), label));
        self.add(operation, register, 0, 0, number);
    }

    /// Puts a map into r1.
    fn map(&mut self, descriptor: i32) {
        self.add(LOAD_IMMEDIATE_64, 1, MAP_FD, 0, descriptor);
        self.add(0, 0, 0, 0, 0);
    }

    fn call(&mut self, helper: i32) {
        self.add(CALL, 0, 0, 0, helper);
    }

    /// r0 = the entry of the map whose number stands in the first word of the stack; drops the frame when there is none.
    fn entry(&mut self, map: i32) {
        self.add(COPY, 2, 10, 0, 0);
        self.add(ADD, 2, 0, 0, WORD);
        self.map(map);
        self.call(LOOK_UP);
        self.branch_64(EQUAL_64, 0, 0, Label::Drop);
    }

    fn answer(&mut self, verdict: i32) {
        self.add(MOVE, 0, 0, 0, verdict);
        self.add(EXIT, 0, 0, 0, 0);
    }

    /// Labels are set in front of the next instruction.
    fn label(&mut self, label: Label) {
        let here = self.code.len();
        for (at, _) in self.open.extract_if(.., |(_, open)| *open == label) {
            if let Some(jump) = self.code.get_mut(at) {
                // A program of ours is far shorter than what a jump can reach.
                jump.jump = i16::try_from(here - at - 1).unwrap_or(i16::MAX);
            }
        }
    }
}

/// The program: frames that `claim` says are ours go to the socket that `map` has for the receive queue they came by, if there
/// is one. Everything else is the kernel's as before.
pub(super) fn redirect(claim: &Claim, map: i32, bulk: Option<Bulk>) -> Vec<Instruction> {
    let mut program = Program::default();
    if bulk.is_some() {
        // ctx->ingress_ifindex
        program.add(LOAD_32, 2, 1, 12, 0);
        program.branch(EQUAL, 2, LOOPBACK, Label::Bulk);
    }
    if let Claim::Station { types, .. } | Claim::Types(types) = claim {
        kind(&mut program, types);
        if let Claim::Station { mac, .. } = claim {
            station(&mut program, *mac);
        }
        program.label(Label::Pass);
        program.answer(PASS);
        program.label(Label::Redirect);
    }
    // The kernel takes no program with a part that nothing leads to.
    if *claim != Claim::Types(Vec::new()) {
        // r2 = ctx->rx_queue_index; r1 = map; r3 = XDP_PASS; r0 = bpf_redirect_map(r1, r2, r3)
        program.add(LOAD_32, 2, 1, 16, 0);
        program.map(map);
        program.add(MOVE, 3, 0, 0, PASS);
        program.call(REDIRECT_MAP);
        program.add(EXIT, 0, 0, 0, 0);
    }
    if let Some(bulk) = bulk {
        program.label(Label::Bulk);
        fill_and_send(&mut program, bulk);
    }
    program.code
}

/// r6 = ctx, r7 = the device's place, r8 = the entry of the next frame, r9 = its length. Lengths are looked at here, for the verifier
/// wants to see it.
fn fill_and_send(program: &mut Program, bulk: Bulk) {
    program.add(COPY, 6, 1, 0, 0);
    program.add(STORE_NUMBER, 10, 0, STACK, 0);
    program.entry(bulk.state);
    program.add(LOAD_32, 1, 0, 0, 0);
    program.add(STORE_32, 10, 1, STACK, 0);
    program.add(ADD, 1, 0, 0, 1);
    program.add(STORE_32, 0, 1, 0, 0);
    program.entry(bulk.frames);
    program.add(COPY, 8, 0, 0, 0);
    program.add(LOAD_32, 9, 8, 0, 0);
    program.add(COPY, 7, 9, 0, 0);
    program.add(SHIFT_RIGHT, 7, 0, 0, 16);
    program.add(AND, 9, 0, 0, 0xffff);
    program.branch_64(ABOVE, 9, i32::from(MOST), Label::Drop);
    program.branch_64(BELOW, 9, i32::from(LEAST), Label::Drop);
    program.add(COPY, 1, 6, 0, 0);
    program.add(COPY, 2, 9, 0, 0);
    program.add(ADD, 2, 0, 0, -i32::from(LEAST));
    program.call(GROW);
    program.branch_64(NOT_EQUAL_64, 0, 0, Label::Drop);
    program.add(COPY, 1, 6, 0, 0);
    program.add(MOVE, 2, 0, 0, 0);
    program.add(COPY, 3, 8, 0, 0);
    program.add(ADD, 3, 0, 0, i32::from(TEXT));
    program.add(COPY, 4, 9, 0, 0);
    program.call(STORE);
    program.branch_64(NOT_EQUAL_64, 0, 0, Label::Drop);
    // r0 = bpf_redirect_map(devices, r7, XDP_DROP)
    program.map(bulk.devices);
    program.add(COPY, 2, 7, 0, 0);
    program.add(MOVE, 3, 0, 0, DROP);
    program.call(REDIRECT_MAP);
    program.add(EXIT, 0, 0, 0, 0);
    program.label(Label::Drop);
    program.answer(DROP);
}

/// Takes frames of these types. r2 = begin, r3 = end of the frame, and at least fourteen octets lie between them from here on.
fn kind(program: &mut Program, types: &[u16]) {
    program.add(LOAD_32, 2, 1, 0, 0);
    program.add(LOAD_32, 3, 1, 4, 0);
    program.add(COPY, 4, 2, 0, 0);
    program.add(ADD, 4, 0, 0, 14);
    program.open.push((program.code.len(), Label::Pass));
    program.add(GREATER, 4, 3, 0, 0);
    program.add(LOAD_16, 5, 2, 12, 0);
    for ethertype in types {
        program.branch(EQUAL, 5, half(ethertype.to_be_bytes()), Label::Redirect);
    }
}

/// Takes frames for one station. r2 = begin of the frame; r4 and r5 = destination.
fn station(program: &mut Program, mac: [u8; 6]) {
    let [a, b, c, d, e, f] = mac;
    program.add(LOAD_32, 4, 2, 0, 0);
    program.add(LOAD_16, 5, 2, 4, 0);
    program.branch(NOT_EQUAL, 4, word([a, b, c, d]), Label::Group);
    program.branch(EQUAL, 5, half([e, f]), Label::Redirect);
    program.label(Label::Group);
    // What IPv6 (RFC 2464 §7) and IPv4 (RFC 1112 §6.4) use, and everybody. LLDP, LACP and their like stay the kernel's.
    for (mask, group) in [([0xff, 0xff, 0, 0], [0x33, 0x33, 0, 0]), ([0xff, 0xff, 0xff, 0], [1, 0, 0x5e, 0])]
    {
        program.add(COPY, 0, 4, 0, 0);
        program.add(AND, 0, 0, 0, i32::from_ne_bytes(mask));
        program.branch(EQUAL, 0, word(group), Label::Redirect);
    }
    program.branch(NOT_EQUAL, 4, u32::MAX, Label::Pass);
    program.branch(EQUAL, 5, 0xffff, Label::Redirect);
}

fn word(octets: [u8; 4]) -> u32 {
    u32::from_ne_bytes(octets)
}

fn half(octets: [u8; 2]) -> u32 {
    u16::from_ne_bytes(octets).into()
}

// Operations, as class | source | kind.
const MOVE: u8 = 0xb7;
const COPY: u8 = 0xbf;
const ADD: u8 = 0x07;
/// On 32 bits; the upper half becomes zero.
const AND: u8 = 0x54;
/// By so many bits, as an unsigned number.
const SHIFT_RIGHT: u8 = 0x77;
const LOAD_32: u8 = 0x61;
const LOAD_16: u8 = 0x69;
const LOAD_IMMEDIATE_64: u8 = 0x18;
/// Compare registers, 64 bits.
const GREATER: u8 = 0x2d;
/// Compare the low 32 bits with a number.
const EQUAL: u8 = 0x16;
const NOT_EQUAL: u8 = 0x56;
/// Compare all 64 bits with a number, as unsigned ones.
const EQUAL_64: u8 = 0x15;
const NOT_EQUAL_64: u8 = 0x55;
const ABOVE: u8 = 0x25;
const BELOW: u8 = 0xa5;
const STORE_32: u8 = 0x63;
const STORE_NUMBER: u8 = 0x62;
/// The first word of the stack, as seen from r10.
const STACK: i16 = -4;
const WORD: i32 = -4;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// Source "register" of a 64-bit load: the number is a map's descriptor.
const MAP_FD: u8 = 1;
