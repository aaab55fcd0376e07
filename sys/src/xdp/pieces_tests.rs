//! Frames in pieces, one at a time, as a kernel gives them that stops in the middle: the rings are files, of which the tests
//! have the kernel's side.

use std::fs::File;

use super::*;

const CHUNK: usize = 4096;
const ENTRIES: u32 = 64;

/// Both sides of a ring.
fn ring<T: socket_option::Plain>(name: &str) -> (Ring<T>, Ring<T>) {
    let path = std::env::temp_dir().join(format!("quadspan-pieces-{}-{name}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.set_len(4096).unwrap();
    let at = libc::xdp_ring_offset { producer: 0, consumer: 64, flags: 128, desc: 192 };
    let map = || Ring::map(file.as_fd(), 0, at, ENTRIES).unwrap();
    (map(), map())
}

struct Kernel {
    rx: Ring<libc::xdp_desc>,
    fill: Ring<u64>,
    next: u64,
}

impl Kernel {
    fn gives(&mut self, pieces: u64, more: bool) {
        for left in (0..pieces).rev() {
            let options = if left > 0 || more { libc::XDP_PKT_CONTD } else { 0 };
            self.rx.write(libc::xdp_desc { addr: self.next, len: 100, options });
            self.next += u64::try_from(CHUNK).unwrap();
        }
        self.rx.publish();
    }

    /// The chunks that came back, by their number.
    fn gets(&mut self) -> Vec<u64> {
        let count = self.fill.look();
        let chunks: Vec<_> = (0..count).map(|ahead| self.fill.peek(ahead).unwrap() / 4096).collect();
        self.fill.advance(count);
        self.fill.give_back();
        chunks
    }
}

fn pair() -> (XdpSocket, Kernel) {
    let (rx, given) = ring("rx");
    let (fill, taken) = ring("fill");
    let socket = XdpSocket {
        socket: File::open("/dev/null").unwrap().into(),
        memory: Mapping::own(64 * CHUNK).unwrap(),
        chunk: CHUNK,
        rx,
        fill,
        tx: ring("tx").0,
        completion: ring("completion").0,
        free: vec![],
        pieces: [libc::xdp_desc { addr: 0, len: 0, options: 0 }; PIECES],
        held: 0,
        too_long: 0,
        zero_copy: false,
    };
    (socket, Kernel { rx: given, fill: taken, next: 0 })
}

#[test]
fn a_frame_that_is_too_long_and_comes_bit_by_bit_gives_each_chunk_back_once() {
    let (mut socket, mut kernel) = pair();
    for pieces in [PIECES + 1, 1, 1] {
        kernel.gives(u64::try_from(pieces).unwrap(), true);
        assert!(socket.next_frame().is_none());
        socket.release();
        assert_eq!(kernel.gets(), [], "its end has not come");
    }
    kernel.gives(1, false);
    kernel.gives(2, false);
    assert_eq!(socket.next_frame().unwrap().length(), 200, "the next one");
    assert_eq!(socket.too_long, 1);
    assert!(socket.next_frame().is_none());
    socket.release();
    let mut back = kernel.gets();
    back.sort_unstable();
    assert_eq!(back, (0..u64::try_from(PIECES).unwrap() + 6).collect::<Vec<_>>());
}

#[test]
fn a_frame_that_just_fits_is_whole_once_its_end_is_there() {
    let (mut socket, mut kernel) = pair();
    kernel.gives(u64::try_from(PIECES).unwrap() - 1, true);
    assert!(socket.next_frame().is_none());
    kernel.gives(1, false);
    assert_eq!(socket.next_frame().unwrap().length(), PIECES * 100);
    socket.release();
    assert_eq!(kernel.gets(), (0..u64::try_from(PIECES).unwrap()).collect::<Vec<_>>());
    assert_eq!(socket.too_long, 0);
}
