//! Copying with the Internet checksum on the way: each octet is read once.
//!
//! Left to itself, the compiler makes a copy and then a sum of such a loop. RFC 1071 §2(A) and (B): words may be added in any order, any
//! width and the machine's own octet order, so lanes of 64 bits take both halves of each 64-bit word and no carry is lost.
#![expect(
    unsafe_code,
    reason = "vectors are loaded and stored by pointer, and features are asked for at run time"
)]

/// Octets of one step: a multiple of every vector's length, so that sums of steps can be put together.
pub const COPY_SUM_STEP: usize = 64;

/// Copies the whole steps at the front of `from` to `to` and returns the sum of their 32-bit words in the machine's octet order, and
/// how many octets that was. The rest is the caller's. Both have the same length; if not, what the shorter one has is copied.
#[inline]
pub fn copy_and_sum(to: &mut [u8], from: &[u8]) -> (u64, usize) {
    let (to, _) = to.as_chunks_mut::<COPY_SUM_STEP>();
    let (from, _) = from.as_chunks::<COPY_SUM_STEP>();
    let steps = to.len().min(from.len());
    let (to, from) = (to.get_mut(..steps).unwrap_or_default(), from.get(..steps).unwrap_or_default());
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor was asked.
        return (unsafe { vectors(to, from) }, steps * COPY_SUM_STEP);
    }
    (words(to, from), steps * COPY_SUM_STEP)
}

/// Any processor.
fn words(to: &mut [[u8; COPY_SUM_STEP]], from: &[[u8; COPY_SUM_STEP]]) -> u64 {
    let mut lanes = [0_u64; COPY_SUM_STEP / 8];
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
        for (lane, word) in lanes.iter_mut().zip(from.as_chunks::<8>().0) {
            let word = u64::from_ne_bytes(*word);
            *lane += (word >> 32) + (word & 0xffff_ffff);
        }
    }
    lanes.iter().sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn vectors(to: &mut [[u8; COPY_SUM_STEP]], from: &[[u8; COPY_SUM_STEP]]) -> u64 {
    use core::arch::x86_64::{
        __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_loadu_si256, _mm256_set1_epi64x,
        _mm256_setzero_si256, _mm256_srli_epi64, _mm256_storeu_si256,
    };
    let low = _mm256_set1_epi64x(0xffff_ffff);
    let mut lanes = [_mm256_setzero_si256(); 4];
    for (to, from) in to.iter_mut().zip(from) {
        let (to, _) = to.as_chunks_mut::<32>();
        let (from, _) = from.as_chunks::<32>();
        for ((to, from), lanes) in to.iter_mut().zip(from).zip(lanes.as_chunks_mut::<2>().0) {
            // SAFETY: it has 32 octets, and the load asks for no alignment.
            let octets = unsafe { _mm256_loadu_si256(from.as_ptr().cast()) };
            // SAFETY: it has 32 octets, and the store asks for no alignment.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), octets) };
            let [one, other] = lanes;
            *one = _mm256_add_epi64(*one, _mm256_and_si256(octets, low));
            *other = _mm256_add_epi64(*other, _mm256_srli_epi64::<32>(octets));
        }
    }
    let [a, b, c, d] = lanes;
    let sum: __m256i = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
    let mut words = [0_u64; 4];
    // SAFETY: it has 32 octets, and the store asks for no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), sum) };
    words.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The largest frame of ones: a carry that is lost anywhere shows.
    #[test]
    fn both_ways_copy_all_and_add_all() {
        for len in (0..300).chain([65_535]) {
            for fill in [0xff, 0x5a] {
                let from: Vec<u8> = (0..len).map(|at| if at % 7 == 0 { 0x13 } else { fill }).collect();
                let (mut one, mut other) = (vec![0; len], vec![0; len]);
                let (sum, octets) = copy_and_sum(&mut one, &from);
                let by_words = words(other.as_chunks_mut().0, from.as_chunks().0);
                let naive =
                    from[..octets].as_chunks().0.iter().map(|word| u64::from(u32::from_ne_bytes(*word)));
                assert_eq!((sum, by_words), (naive.sum::<u64>(), sum), "{len} octets");
                assert_eq!(octets, len - len % COPY_SUM_STEP);
                assert_eq!((&one[..octets], &other[..octets]), (&from[..octets], &from[..octets]));
            }
        }
    }

    #[test]
    fn of_two_lengths_the_shorter_counts() {
        let mut to = [0; 100];
        assert_eq!(copy_and_sum(&mut to, &[1; 300]), (16 * 0x0101_0101, 64));
    }
}
