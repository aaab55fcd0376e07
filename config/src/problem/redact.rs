//! Nothing that may be key material reaches a screen or a log.
//!
//! Problems show the lines around them, and somebody may have written a key into one of those lines:
//! as the value of a key that takes a reference, under a misspelt key, in a line that is not even TOML.
//! So this works on characters and knows nothing of the tree: it hides what stands in quotes behind a
//! word that names a secret, and every run of hexadecimal digits that is longer than the longest public
//! identifier (a salt, 24 digits). Offsets into the text stay valid.

/// Longest run of hexadecimal digits that is shown: the 96-bit salt of an XPN suite. Keys have 32 or 64.
const PUBLIC_HEX: usize = 24;

/// Words behind which a quoted text is a secret.
const SECRET_WORDS: [&str; 8] = ["key", "sak", "cak", "psk", "secret", "password", "passphrase", "pin_code"];

/// `text` with everything that may be key material replaced by as many `*` octets.
pub(crate) fn redact(text: &str) -> String {
    let mut octets = text.as_bytes().to_vec();
    hide_hex_runs(&mut octets);
    for span in quoted_secrets(text) {
        hide(&mut octets, span);
    }
    // Whole characters were replaced by ASCII, so this cannot lose anything.
    String::from_utf8_lossy(&octets).into_owned()
}

fn hide_hex_runs(octets: &mut [u8]) {
    let mut start = 0;
    while start < octets.len() {
        let run = octets.iter().skip(start).take_while(|octet| octet.is_ascii_hexdigit()).count();
        if run > PUBLIC_HEX {
            hide(octets, start..start + run);
        }
        start += run.max(1);
    }
}

fn hide(octets: &mut [u8], span: core::ops::Range<usize>) {
    for octet in octets.get_mut(span).unwrap_or_default() {
        // Line ends stay, so that line numbers do.
        if *octet != b'\n' {
            *octet = b'*';
        }
    }
}

/// Where quoted texts stand behind `word =`, without their quotes. An unfinished one ends with its line.
fn quoted_secrets(text: &str) -> Vec<core::ops::Range<usize>> {
    let mut found = Vec::new();
    for (equals, _) in text.match_indices(['=', ':']) {
        let Some((before, after)) = text.split_at_checked(equals) else { continue };
        if !names_a_secret(before) {
            continue;
        }
        let rest = after.get(1..).unwrap_or_default();
        let value = rest.trim_start_matches([' ', '\t']);
        let start = text.len() - value.len();
        let Some(quote @ ('"' | '\'')) = value.chars().next() else { continue };
        let triple = [quote; 3].iter().collect::<String>();
        found.push(match value.strip_prefix(&triple) {
            Some(inside) => start + 3..start + 3 + inside.find(&triple).unwrap_or(inside.len()),
            None => start + 1..start + 1 + length_in_quotes(value, quote),
        });
    }
    found
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
            ("wifi-password = 'höhle'", "wifi-password = '******'"),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected);
        }
    }

    proptest! {
        #[test]
        fn keeps_every_offset(text in "(key|sak|[a-f0-9]{20,40}|[=\"'\n é{}]){0,30}") {
            let hidden = redact(&text);
            prop_assert_eq!(hidden.len(), text.len());
            let lines = |text: &str| text.match_indices('\n').map(|(at, _)| at).collect::<Vec<_>>();
            prop_assert_eq!(lines(&hidden), lines(&text));
        }
    }
}
