//! Nothing that may be key material reaches a screen or a log.
//!
//! Problems show the lines around them, and somebody may have written a key into one of those lines:
//! as the value of a key that takes a reference, under a misspelt key, in a line that is not even TOML.
//! So this works on characters and knows nothing of the tree: it hides what stands in quotes behind a
//! word that names a secret, and every run of hexadecimal digits that is longer than the longest public
//! identifier (a salt, 24 digits). Offsets into the text stay valid.

use core::ops::Range;

/// Most hexadecimal digits in a row that are shown: the 96-bit salt of an XPN suite. Keys have 32 or 64.
const PUBLIC_HEX: usize = 24;

/// Words behind which a text is a secret, also as the end of a longer word.
const SECRET_WORDS: [&str; 7] = ["key", "sak", "cak", "psk", "secret", "password", "passphrase"];

/// `text` with everything that may be key material replaced by as many `*` octets.
pub(crate) fn redact(text: &str) -> String {
    let mut octets = text.as_bytes().to_vec();
    hide_hex_runs(&mut octets);
    for span in secret_values(text) {
        hide(&mut octets, span);
    }
    // Whole characters were replaced by ASCII, so this cannot lose anything.
    String::from_utf8_lossy(&octets).into_owned()
}

fn hide_hex_runs(octets: &mut [u8]) {
    let mut start = 0;
    while start < octets.len() {
        let rest = octets.get(start..).unwrap_or_default();
        let plain = rest.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
        let (paired, digits) = paired_run(rest);
        let (spaced, more) = spaced_run(rest);
        if plain > PUBLIC_HEX {
            hide(octets, start..start + plain);
        } else if digits > PUBLIC_HEX {
            hide(octets, start..start + paired);
        } else if more > PUBLIC_HEX {
            hide(octets, start..start + spaced);
        }
        start += plain.max(1);
    }
}

/// Length of a run such as `de:ad:be-ef` at the front, and how many digits it has.
fn paired_run(octets: &[u8]) -> (usize, usize) {
    let pair = |at: usize| {
        let digits = octets.get(at..).and_then(<[u8]>::first_chunk::<2>);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let (mut end, mut digits) = (0, 0);
    while pair(end) {
        (end, digits) = (end + 2, digits + 2);
        let joined = octets.get(end).is_some_and(|octet| b":- _".contains(octet));
        if !(joined && pair(end + 1)) {
            break;
        }
        end += 1;
    }
    (end, digits)
}

/// Length of a run such as `c0ffee00 11223344` at the front, and how many digits it has. Groups of an IPv6 address are joined otherwise.
fn spaced_run(octets: &[u8]) -> (usize, usize) {
    let group = |at: usize| {
        octets.get(at..).unwrap_or_default().iter().take_while(|octet| octet.is_ascii_hexdigit()).count()
    };
    let (mut end, mut digits) = (0, 0);
    loop {
        let here = group(end);
        (end, digits) = (end + here, digits + here);
        let joined =
            here > 0 && octets.get(end).is_some_and(|octet| b" _".contains(octet)) && group(end + 1) > 0;
        if !joined {
            return (end, digits);
        }
        end += 1;
    }
}

fn hide(octets: &mut [u8], span: Range<usize>) {
    for octet in octets.get_mut(span).unwrap_or_default() {
        // Line ends stay, so that line numbers do.
        if *octet != b'\n' {
            *octet = b'*';
        }
    }
}

/// Where values stand behind `word =`, without their quotes. An unfinished one ends with its line.
fn secret_values(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (equals, sign) in text.match_indices(['=', ':']) {
        // What is hidden already is not looked at again, so this takes one pass.
        if found.last().is_some_and(|last| equals < last.end) {
            continue;
        }
        let Some((before, after)) = text.split_at_checked(equals) else { continue };
        if names_a_secret(before) {
            let rest = after.get(1..).unwrap_or_default();
            found.extend(
                value_in(rest, sign == "=").map(|span| equals + 1 + span.start..equals + 1 + span.end),
            );
        }
    }
    found
}

/// Where the secret value is in what follows `=` or `:`.
fn value_in(rest: &str, assigned: bool) -> Option<Range<usize>> {
    let value = rest.trim_start_matches([' ', '\t']);
    let start = rest.len() - value.len();
    let first = value.chars().next()?;
    if matches!(first, '"' | '\'') {
        let triple = [first; 3].iter().collect::<String>();
        return Some(match value.strip_prefix(&triple) {
            Some(inside) => start + 3..start + 3 + inside.find(&triple).unwrap_or(inside.len()),
            None => start + 1..start + 1 + length_in_quotes(value, first),
        });
    }
    // Not in quotes it is not TOML, but it may well be a key. A table is a reference.
    let line = value.split('\n').next().unwrap_or("");
    (assigned && first != '{').then_some(start..start + line.len())
}

fn length_in_quotes(value: &str, quote: char) -> usize {
    let inside = value.get(1..).unwrap_or_default();
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            '\n' => return at,
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return at,
            _ => {}
        }
    }
    inside.len()
}

fn names_a_secret(before: &str) -> bool {
    let before = before.trim_end_matches([' ', '\t', '"', '\'']);
    let tail =
        before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').next().unwrap_or("");
    let word = tail.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|secret| word.ends_with(secret))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hides_keys_and_shows_the_rest() {
        let cases = [
            (r#"key = "00112233""#, r#"key = "********""#),
            (r#"{ an = 0, key='abc', salt = "0123" }"#, r#"{ an = 0, key='***', salt = "0123" }"#),
            (r#""key" = "a\"b" # c"#, r#""key" = "****" # c"#),
            ("key = \"unfinished\nnext = 1", "key = \"**********\nnext = 1"),
            ("key = \"\"\"a\nb\"\"\" x", "key = \"\"\"*\n*\"\"\" x"),
            ("kye = \"00112233445566778899aabbccddeeff\"", "kye = \"********************************\""),
            ("salt = \"00112233445566778899aabb\"", "salt = \"00112233445566778899aabb\""),
            ("key = { file = \"keys/a.sak\" }", "key = { file = \"keys/a.sak\" }"),
            ("key = 0011:2233, an = 0\nnext", "key = *****************\nnext"),
            (
                "kye = 'de:ad:be:ef:de:ad:be:ef:de:ad:be:ef:de'",
                "kye = '**************************************'",
            ),
            (
                "mac = '02:00:5e:10:00:01', a = '2001:0db8:0000:0000:0000:0000:0000:0001'",
                "mac = '02:00:5e:10:00:01', a = '2001:0db8:0000:0000:0000:0000:0000:0001'",
            ),
            (
                "x\"\"\"c0ffee00 11223344 55667788 99aabbcc\"\"\"",
                "x\"\"\"***********************************\"\"\"",
            ),
            ("vlan = [100, 200] a decade of 802 dead 42", "vlan = [100, 200] a decade of 802 dead 42"),
            ("wifi-password = 'höhle'", "wifi-password = '******'"),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected);
        }
    }

    proptest! {
        #[test]
        fn keeps_every_offset(text in "(key|sak|[a-f0-9]{20,40}|([a-f0-9]{2}:){10,20}|[=\"'\n é{}]){0,30}") {
            let hidden = redact(&text);
            prop_assert_eq!(hidden.len(), text.len());
            let lines = |text: &str| text.match_indices('\n').map(|(at, _)| at).collect::<Vec<_>>();
            prop_assert_eq!(lines(&hidden), lines(&text));
        }
    }
}
