//! Counter mode and GHASH, four blocks to a vector.
//!
//! Blocks are hashed with their octets in the other order ([`swapped`]), and multiplied without carries by powers of the hash key that
//! are already times x; [`reduce`] then brings 256 bits back to 128 with two more products (the two hashes of RFC 8452, appendix A,
//! are one; this is the form of POLYVAL). The products of all blocks of a stride are added before that, each with the power that
//! says how many blocks come after it.
//!
//! Octets that a block lacks are zeros: vectors are loaded and stored under a mask, so nothing behind a slice is touched.
#![expect(
    unsafe_code,
    reason = "vectors are loaded and stored by pointer, and features are asked for at run time"
)]

use core::arch::x86_64::*;

use super::{
    NONCE_OCTETS, TAG_OCTETS,
    schedule::{POWERS, Schedule},
};

/// Octets of a block and of a vector.
const BLOCK: usize = 16;
const VECTOR: usize = 64;
/// Vectors of a stride, which long texts are made of, and of the most that is left behind the last of them.
const STRIDE: usize = 8;
const LAST: usize = 4;
/// Associated data of more blocks than this is hashed by itself: the fourth place of its vector is for the lengths.
const FUSED: usize = 3;

/// Asks for what all functions here have as `target_feature`, and for what that is made of.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("aes")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
}

/// Encrypts (`SEAL`) or decrypts `text` in place, and returns the tag that belongs to it.
#[inline]
pub(super) fn pass<const SEAL: bool>(
    key: &Schedule,
    nonce: &[u8; NONCE_OCTETS],
    aad: &[u8],
    text: &mut [u8],
) -> [u8; TAG_OCTETS] {
    if key.is_long() {
        // SAFETY: a `Schedule` is made only where `is_supported` said yes.
        unsafe { run::<14, SEAL>(key, nonce, aad, text) }
    } else {
        // SAFETY: as above.
        unsafe { run::<10, SEAL>(key, nonce, aad, text) }
    }
}

/// One block through AES.
pub(super) fn encrypt_block(key: &Schedule, block: &[u8; BLOCK]) -> [u8; BLOCK] {
    // SAFETY: who makes a `Schedule` has asked `is_supported`.
    unsafe { one_block(key, block) }
}

/// The product of two hash keys as a `Schedule` has them.
pub(super) fn product(a: &[u8; BLOCK], b: &[u8; BLOCK]) -> [u8; BLOCK] {
    // SAFETY: who makes a `Schedule` has asked `is_supported`.
    unsafe { one_product(a, b) }
}

/// SubWord (FIPS 197, 5.2), by the instruction that has the S-box.
pub(super) fn substitute(word: u32) -> u32 {
    // SAFETY: who makes a `Schedule` has asked `is_supported`.
    unsafe { one_word(word) }
}

/// Sums of products, not yet reduced: the lower and the higher 128 bits, and what goes between them.
#[derive(Clone, Copy)]
struct Products {
    low: __m512i,
    middle: __m512i,
    high: __m512i,
}

/// What is hashed before the next stride: a hash, or associated data that is not hashed yet.
struct Before {
    hash: __m128i,
    /// Swapped, and how many blocks of it.
    aad: __m512i,
    blocks: usize,
}

#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn run<const ROUNDS: usize, const SEAL: bool>(
    key: &Schedule,
    nonce: &[u8; NONCE_OCTETS],
    aad: &[u8],
    text: &mut [u8],
) -> [u8; TAG_OCTETS] {
    let lengths = [aad.len(), text.len()];
    let mut before = begin(key, aad);
    let mut counters = first_counters(nonce);
    let mut rest = text;
    while rest.len() > STRIDE * VECTOR {
        let (stride, after) = core::mem::take(&mut rest).split_at_mut(STRIDE * VECTOR);
        rest = after;
        before = Before::of(middle::<ROUNDS, SEAL, STRIDE>(key, &before, &mut counters, stride));
    }
    if rest.len() > LAST * VECTOR {
        let (half, after) = core::mem::take(&mut rest).split_at_mut(LAST * VECTOR);
        rest = after;
        before = Before::of(middle::<ROUNDS, SEAL, LAST>(key, &before, &mut counters, half));
    }
    let counters = &mut counters;
    let hash = match rest.len().div_ceil(VECTOR) {
        0 => finish::<0>(key, &before, [], (0, lengths)),
        1 => last::<ROUNDS, SEAL, 1>(key, &before, counters, rest, lengths),
        2 => last::<ROUNDS, SEAL, 2>(key, &before, counters, rest, lengths),
        3 => last::<ROUNDS, SEAL, 3>(key, &before, counters, rest, lengths),
        _ => last::<ROUNDS, SEAL, 4>(key, &before, counters, rest, lengths),
    };
    let mask = encrypt_one::<ROUNDS>(key, zeroth_counter(nonce));
    octets(_mm_xor_si128(_mm_shuffle_epi8(hash, swap_order()), mask))
}

/// `N` whole vectors that are not the last ones, and the hash up to their end.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn middle<const ROUNDS: usize, const SEAL: bool, const N: usize>(
    key: &Schedule,
    before: &Before,
    counters: &mut __m512i,
    text: &mut [u8],
) -> __m128i {
    let blocks = N * VECTOR / BLOCK;
    let cipher = crypt::<ROUNDS, SEAL, N>(key, counters, text);
    let products = match before.blocks {
        0 => none(),
        aad => add(none(), before.aad, factors(key, aad + blocks)),
    };
    reduce(add_blocks(key, products, cipher, before.hash, blocks))
}

/// The last 1 to 256 octets, and the hash of everything.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn last<const ROUNDS: usize, const SEAL: bool, const N: usize>(
    key: &Schedule,
    before: &Before,
    counters: &mut __m512i,
    rest: &mut [u8],
    lengths: [usize; 2],
) -> __m128i {
    let blocks = rest.len().div_ceil(BLOCK);
    let cipher = crypt::<ROUNDS, SEAL, N>(key, counters, rest);
    finish(key, before, cipher, (blocks, lengths))
}

/// The hash of what came before, the last `blocks` of cipher text, and the block of lengths (SP 800-38D, 7.1 step 5).
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn finish<const N: usize>(
    key: &Schedule,
    before: &Before,
    cipher: [__m512i; N],
    (blocks, lengths): (usize, [usize; 2]),
) -> __m128i {
    let [aad, text] = lengths.map(|octets| i64::try_from(octets).unwrap_or_default().wrapping_mul(8));
    let lengths = _mm512_maskz_broadcast_i32x4(FOURTH, _mm_set_epi64x(aad, text));
    // Associated data with the power that its place asks for, the lengths behind it with H^1.
    let waiting = _mm512_or_si512(before.aad, lengths);
    let powers = _mm512_mask_blend_epi32(FOURTH, factors(key, before.blocks + blocks + 1), factors(key, 4));
    if N == 0 {
        let hash = _mm512_zextsi128_si512(before.hash);
        // Without text the hash, if there is one, is of long associated data, and the lengths are next.
        return reduce(add(add(none(), hash, factors(key, 1)), waiting, powers));
    }
    let products = add(none(), waiting, powers);
    reduce(add_blocks(key, products, cipher, before.hash, blocks + 1))
}

/// The four words of a vector's last block.
const FOURTH: __mmask16 = 0xf000;

impl Before {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn of(hash: __m128i) -> Self {
        Self { hash, aad: _mm512_setzero_si512(), blocks: 0 }
    }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn none() -> Products {
    let zero = _mm512_setzero_si512();
    Products { low: zero, middle: zero, high: zero }
}

/// Associated data of up to three blocks waits for the first text; longer data is hashed.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn begin(key: &Schedule, aad: &[u8]) -> Before {
    let blocks = aad.len().div_ceil(BLOCK);
    if blocks <= FUSED {
        return Before { aad: swapped(load(aad)), blocks, ..Before::of(_mm_setzero_si128()) };
    }
    let mut before = Before::of(_mm_setzero_si128());
    for stride in aad.chunks(LAST * VECTOR) {
        let blocks = stride.len().div_ceil(BLOCK);
        before = Before::of(reduce(add_blocks(key, none(), loaded::<LAST>(stride), before.hash, blocks)));
    }
    before
}

/// Encrypts or decrypts up to `N` vectors in place; returns the cipher text, with zeros where it ends.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn crypt<const ROUNDS: usize, const SEAL: bool, const N: usize>(
    key: &Schedule,
    counters: &mut __m512i,
    text: &mut [u8],
) -> [__m512i; N] {
    let stream = key_stream::<ROUNDS, N>(key, counters);
    let mut cipher = loaded::<N>(text);
    let mut rest = text;
    for (cipher, stream) in cipher.iter_mut().zip(stream) {
        let len = rest.len().min(VECTOR);
        let Some((part, after)) = rest.split_at_mut_checked(len) else { break };
        rest = after;
        let changed = _mm512_xor_si512(*cipher, stream);
        store(part, changed);
        if SEAL {
            *cipher = _mm512_maskz_mov_epi8(mask(len), changed);
        }
    }
    cipher
}

/// The next `N` vectors of key stream (SP 800-38D, 6.5).
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn key_stream<const ROUNDS: usize, const N: usize>(key: &Schedule, counters: &mut __m512i) -> [__m512i; N] {
    let four = _mm512_set_epi32(4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0);
    let mut blocks = [_mm512_setzero_si512(); N];
    let [first, middle @ .., _] = key.round_keys();
    let first = broadcast(first);
    for block in &mut blocks {
        *block = _mm512_xor_si512(_mm512_shuffle_epi8(*counters, counter_order()), first);
        *counters = _mm512_add_epi32(*counters, four);
    }
    for round in middle.iter().take(ROUNDS - 1) {
        let round = broadcast(round);
        for block in &mut blocks {
            *block = _mm512_aesenc_epi128(*block, round);
        }
    }
    let round = broadcast(last_round::<ROUNDS>(key));
    for block in &mut blocks {
        *block = _mm512_aesenclast_epi128(*block, round);
    }
    blocks
}

/// One block through AES (FIPS 197, 5.1).
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn encrypt_one<const ROUNDS: usize>(key: &Schedule, block: __m128i) -> __m128i {
    let [first, middle @ .., _] = key.round_keys();
    let mut block = _mm_xor_si128(block, load_block(first));
    for round in middle.iter().take(ROUNDS - 1) {
        block = _mm_aesenc_si128(block, load_block(round));
    }
    _mm_aesenclast_si128(block, load_block(last_round::<ROUNDS>(key)))
}

#[inline]
fn last_round<const ROUNDS: usize>(key: &Schedule) -> &[u8; BLOCK] {
    let [ten, long] = [&key.round_keys()[10], &key.round_keys()[14]];
    if ROUNDS == 14 { long } else { ten }
}

/// Adds the products of `cipher`, whose first block is added to `hash` before; the first of them is the last but `from - 1`.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn add_blocks<const N: usize>(
    key: &Schedule,
    mut products: Products,
    cipher: [__m512i; N],
    hash: __m128i,
    from: usize,
) -> Products {
    let mut hash = _mm512_zextsi128_si512(hash);
    for (at, cipher) in cipher.into_iter().enumerate() {
        let blocks = _mm512_xor_si512(swapped(cipher), hash);
        hash = _mm512_setzero_si512();
        products = add(products, blocks, factors(key, from.saturating_sub(4 * at)));
    }
    products
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn add(sum: Products, blocks: __m512i, factors: __m512i) -> Products {
    let low = _mm512_clmulepi64_epi128::<0x00>(blocks, factors);
    let high = _mm512_clmulepi64_epi128::<0x11>(blocks, factors);
    let [one, other] = [
        _mm512_clmulepi64_epi128::<0x01>(blocks, factors),
        _mm512_clmulepi64_epi128::<0x10>(blocks, factors),
    ];
    Products {
        low: _mm512_xor_si512(sum.low, low),
        middle: _mm512_ternarylogic_epi64::<XOR3>(sum.middle, one, other),
        high: _mm512_xor_si512(sum.high, high),
    }
}

/// The truth table of a ^ b ^ c.
const XOR3: i32 = 0x96;

/// The sum of the four lanes, reduced.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn reduce(products: Products) -> __m128i {
    let [low, middle, high] = [lanes(products.low), lanes(products.middle), lanes(products.high)];
    let low = _mm_xor_si128(low, _mm_bslli_si128::<8>(middle));
    let high = _mm_xor_si128(high, _mm_bsrli_si128::<8>(middle));
    // x^127 + x^126 + x^121: what is left of the polynomial once its ends are gone.
    let polynomial = _mm_set_epi64x(0, 0xC200_0000_0000_0000_u64.cast_signed());
    let half = _mm_xor_si128(swap_halves(low), _mm_clmulepi64_si128::<0x00>(low, polynomial));
    let whole = _mm_xor_si128(swap_halves(half), _mm_clmulepi64_si128::<0x00>(half, polynomial));
    _mm_xor_si128(whole, high)
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn swap_halves(block: __m128i) -> __m128i {
    _mm_shuffle_epi32::<0x4e>(block)
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn lanes(vector: __m512i) -> __m128i {
    let halves = _mm256_xor_si256(_mm512_castsi512_si256(vector), _mm512_extracti64x4_epi64::<1>(vector));
    _mm_xor_si128(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves))
}

/// H^from, and the three lower powers after it; zeros below H^1.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn factors(key: &Schedule, from: usize) -> __m512i {
    let powers = key.powers().as_flattened();
    let at = POWERS.saturating_sub(from).min(POWERS - 1) * BLOCK;
    load(powers.get(at..at + VECTOR).unwrap_or_default())
}

/// The first counters of a text, 2 to 5, their numbers in this machine's order (SP 800-38D, 7.1 step 3).
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn first_counters(nonce: &[u8; NONCE_OCTETS]) -> __m512i {
    let numbers = _mm512_set_epi32(5, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0);
    _mm512_xor_si512(_mm512_broadcast_i32x4(prefix(nonce)), numbers)
}

/// The block that masks the tag (SP 800-38D, 7.1 step 2).
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn zeroth_counter(nonce: &[u8; NONCE_OCTETS]) -> __m128i {
    _mm_xor_si128(prefix(nonce), _mm_set_epi32(1_i32.swap_bytes(), 0, 0, 0))
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn prefix(nonce: &[u8; NONCE_OCTETS]) -> __m128i {
    let mut block = [0; BLOCK];
    block[..NONCE_OCTETS].copy_from_slice(nonce);
    load_block(&block)
}

/// The order that puts the last four octets of each block the other way round.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn counter_order() -> __m512i {
    _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0))
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn swap_order() -> __m128i {
    _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
}

/// The octets of each block the other way round.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn swapped(blocks: __m512i) -> __m512i {
    _mm512_shuffle_epi8(blocks, _mm512_broadcast_i32x4(swap_order()))
}

/// The first `len` of 64.
#[inline]
const fn mask(len: usize) -> __mmask64 {
    if len >= VECTOR { u64::MAX } else { (1 << len) - 1 }
}

/// Up to `N` vectors, zeros behind the end.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn loaded<const N: usize>(from: &[u8]) -> [__m512i; N] {
    let mut vectors = [_mm512_setzero_si512(); N];
    for (vector, part) in vectors.iter_mut().zip(from.chunks(VECTOR)) {
        *vector = load(part);
    }
    vectors
}

/// Up to 64 octets, zeros behind the end.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn load(from: &[u8]) -> __m512i {
    // SAFETY: the mask leaves out what is not in the slice, and octets that are left out are not read.
    unsafe { _mm512_maskz_loadu_epi8(mask(from.len()), from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn store(to: &mut [u8], vector: __m512i) {
    // SAFETY: the mask leaves out what is not in the slice, and octets that are left out are not written.
    unsafe { _mm512_mask_storeu_epi8(to.as_mut_ptr().cast(), mask(to.len()), vector) }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn load_block(from: &[u8; BLOCK]) -> __m128i {
    // SAFETY: it has 16 octets, and the load asks for no alignment.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn broadcast(from: &[u8; BLOCK]) -> __m512i {
    _mm512_broadcast_i32x4(load_block(from))
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn octets(block: __m128i) -> [u8; BLOCK] {
    let mut octets = [0; BLOCK];
    // SAFETY: it has 16 octets, and the store asks for no alignment.
    unsafe { _mm_storeu_si128(octets.as_mut_ptr().cast(), block) };
    octets
}

#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn one_block(key: &Schedule, block: &[u8; BLOCK]) -> [u8; BLOCK] {
    let block = load_block(block);
    octets(if key.is_long() { encrypt_one::<14>(key, block) } else { encrypt_one::<10>(key, block) })
}

#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn one_product(a: &[u8; BLOCK], b: &[u8; BLOCK]) -> [u8; BLOCK] {
    let (a, b) = (_mm512_zextsi128_si512(load_block(a)), _mm512_zextsi128_si512(load_block(b)));
    octets(reduce(add(none(), a, b)))
}

#[target_feature(enable = "avx512bw,avx512vl,vaes,vpclmulqdq")]
fn one_word(word: u32) -> u32 {
    // All columns are alike, so that the shift of rows does nothing, and the round key is zero.
    let columns = _mm_set1_epi32(word.cast_signed());
    _mm_cvtsi128_si32(_mm_aesenclast_si128(columns, _mm_setzero_si128())).cast_unsigned()
}
