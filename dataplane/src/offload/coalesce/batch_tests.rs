//! Trains over the ends of batches.

use super::tests::{ALL, BIG, port_of, run_with, shape, wires};
use crate::offload::testing::Spec;

#[test]
fn a_long_train_goes_on_in_the_next_batch_and_a_short_one_does_not() {
    let sent = wires(&Spec::tcp(1448 * 45).segments(1448));
    let in_batches = |ends: &[usize], keep| {
        let frames = run_with(ALL, BIG, &sent, |at, coalescer, out| {
            if ends.contains(&(at + 1)) {
                coalescer.flush_short(keep, out);
            }
        });
        shape(&frames)
    };
    assert_eq!(in_batches(&[16, 20, 42], 1), [45]);
    assert_eq!(in_batches(&[15], 1), [15, 30]);
    assert_eq!(in_batches(&[15, 31], 1), [15, 30]);
    assert_eq!(in_batches(&[16, 20, 42], 0), [16, 4, 22, 3]);
}

#[test]
fn of_long_trains_the_oldest_stay() {
    let flow = |port| Spec { source_port: port, ..Spec::tcp(1600) }.segments(100);
    let sent: Vec<_> = (1..=3).flat_map(|port| wires(&flow(port))).collect();
    let mut stayed = 0;
    let frames = run_with(ALL, BIG, &sent, |at, coalescer, out| {
        if at == 47 {
            stayed = coalescer.flush_short(2, out);
            assert_eq!(out.iter().map(|frame| port_of(&frame.buf)).collect::<Vec<_>>(), [Some(3)]);
        }
    });
    assert_eq!((stayed, shape(&frames)), (2, vec![16; 3]));
}

#[test]
fn a_train_that_nothing_joins_any_more_leaves() {
    let sent = wires(&Spec::tcp(100 * 40).segments(100));
    let mut stayed = vec![];
    let frames = run_with(ALL, BIG, &sent, |at, coalescer, out| match at {
        // It is new, it grew, it did not, it is gone.
        19 => stayed.push(coalescer.flush_idle(out)),
        29 => {
            stayed.extend([coalescer.flush_idle(out), coalescer.flush_idle(out), coalescer.flush_idle(out)])
        }
        _ => {}
    });
    assert_eq!((stayed, shape(&frames)), (vec![1, 1, 0, 0], vec![30, 10]));
}
