//! Whatever is done to a configuration, it either loads or every problem points at a place in it; nothing
//! panics and no key is ever shown.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use config::{KeyKind, Problems};
use support::{BASE, EXAMPLES, key_text, load};

/// How many broken files are tried for each text.
const ROUNDS: u64 = 400;

/// SplitMix64: the same seeds give the same files everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).expect("sizes fit");
        usize::try_from(self.next() % limit).expect("below a size")
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// What gets inserted: pieces that mean something to TOML, to the reader or to the checks.
const PIECES: [&str; 48] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\"",
    "\"\"\"",
    "'",
    "'''",
    "=",
    ".",
    ",",
    "#",
    "\n",
    "\r\n",
    "\0",
    "\t",
    "é",
    "\u{feff}",
    "-1",
    "0",
    "99999999999999999999",
    "0x7fffffffffffffff",
    "inf",
    "nan",
    "1979-05-27",
    "true",
    "\"\"",
    "[]",
    "{}",
    "[channel]",
    "[[channel.macsec.key]]",
    "[channel.macsec.mka]",
    "ckn = \"01\"",
    "start = 2027-01-01T00:00:00Z",
    "\"1h\"",
    "[[connection.lan]]",
    "mode = \"transparent\"",
    "policy = \"off\"",
    "vlan = 0",
    "\"0.0.0.0/0\"",
    "\"::/0\"",
    "\"255.255.255.255/32\"",
    "name.name = 1",
    "a.b.c.d.e = 1",
    "\\u0000",
    "\\",
];

fn mutate(text: &str, dice: &mut Dice) -> String {
    let mut text = text.to_owned();
    for _ in 0..1 + dice.below(4) {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let (a, b) = (dice.below(lines.len()), dice.below(lines.len()));
        match dice.below(8) {
            0 => drop((a < lines.len()).then(|| lines.remove(a))),
            1 if !lines.is_empty() => lines.swap(a, b),
            2 if !lines.is_empty() => lines.insert(b, lines[a].clone()),
            3 => return text.chars().take(dice.below(text.chars().count())).collect(),
            4 => {
                let at = text.floor_char_boundary(dice.below(text.len()));
                text.insert_str(at, dice.pick::<&str>(&PIECES));
                continue;
            }
            5 => {
                let start = text.floor_char_boundary(dice.below(text.len()));
                let end = text.floor_char_boundary((start + dice.below(12)).min(text.len()));
                text.replace_range(start..end.max(start), "");
                continue;
            }
            6 => {
                // A value for another: what stands behind an equals sign.
                if let Some((key, _)) = lines.get(a).and_then(|line| line.split_once('=')) {
                    let value =
                        lines.get(b).and_then(|line| line.split_once('=')).map_or("1", |(_, value)| value);
                    lines[a] = format!("{key}={value}");
                }
            }
            _ => {
                if let Some((key, _)) = lines.get(a).and_then(|line| line.split_once('=')) {
                    lines[a] = format!("{key}= {}", dice.pick(&PIECES));
                }
            }
        }
        text = lines.join("\n") + "\n";
    }
    text
}

#[test]
fn broken_files_load_or_point_at_a_line() {
    let (mut loaded, mut refused) = (0, 0);
    for (name, text) in EXAMPLES.into_iter().chain([("base", BASE)]) {
        for seed in 0..ROUNDS {
            let broken = mutate(text, &mut Dice(seed));
            match load(&broken) {
                Ok(fine) => {
                    assert!(!fine.warnings.has_errors(), "{name} {seed}");
                    every_place_exists(&fine.warnings, &broken);
                    loaded += 1;
                }
                Err(problems) => {
                    assert!(problems.has_errors(), "{name} {seed} is refused without a reason:\n{broken}");
                    every_place_exists(&problems, &broken);
                    refused += 1;
                }
            }
        }
    }
    // Both must happen, or the mutations are too tame or too wild to show anything.
    assert!(loaded > 100 && refused > 1000, "{loaded} loaded, {refused} refused");
}

fn every_place_exists(problems: &Problems, text: &str) {
    for problem in problems {
        let (line, column) = (problem.line(), problem.column());
        let lines: Vec<_> = text.split('\n').collect();
        let there = lines.get(line.wrapping_sub(1));
        assert!(
            there.is_some_and(|text| column >= 1 && column <= text.chars().count() + 1),
            "{line}:{column} {problem}\n{text}"
        );
        assert!(!problem.message().is_empty());
    }
    assert!(problems.render(80, false).len() > problems.len() * 10);
}

#[test]
fn keys_in_the_file_are_never_shown() {
    let keys = [
        "c0ffee00112233445566778899aabbccddeeff00112233445566778899aabbcc".to_owned(),
        "c0ffee00112233445566778899aabbcc".to_owned(),
        "c0:ff:ee:00:11:22:33:44:55:66:77:88:99:aa:bb:cc".to_owned(),
        "c0ffee00 11223344 55667788 99aabbcc".to_owned(),
    ];
    let mut shown = 0;
    for seed in 0..ROUNDS * 2 {
        let mut dice = Dice(seed);
        let key = dice.pick(&keys);
        let text = dice.pick(&EXAMPLES).1;
        // In the place of a reference, in whatever way of writing it, and then broken further.
        let way = match dice.below(6) {
            0 => format!("\"{key}\""),
            1 => format!("'{key}'"),
            2 => format!("\"\"\"{key}\"\"\""),
            3 => format!("\"{key}"),
            4 => key.clone(),
            _ => format!("[\"{key}\"]"),
        };
        let behind = if text.contains("key = ") { "key = " } else { "cak = " };
        let reference = text.split(behind).nth(1 + dice.below(2)).and_then(|rest| rest.split('\n').next());
        let with_key = text.replace(reference.unwrap_or("{}"), &way);
        let whole = dice.below(2) == 0;
        let broken = if whole { with_key } else { mutate(&with_key, &mut dice) };
        let Err(problems) = load(&broken) else { continue };
        let seen = [
            problems.render(100, false),
            format!("{problems:?}"),
            serde_json::to_string(&problems).unwrap_or_default(),
        ];
        for seen in &seen {
            assert!(!seen.contains(key.as_str()), "seed {seed}\n{seen}");
            // Where only the key was put in, not even its beginning may show.
            assert!(
                !(whole && seen.contains(&key[..8])),
                "seed {seed}
{seen}"
            );
        }
        shown += 1;
    }
    assert!(shown > 500, "{shown}");
}

#[test]
fn keys_behind_references_are_never_shown() {
    for (name, text) in EXAMPLES {
        let loaded = load(text).expect("examples load");
        let seen = format!("{loaded:?} {}", serde_json::to_string(&loaded.config).expect("it serialises"));
        let references = ["key = { ", "cak = { "].into_iter().flat_map(|behind| text.split(behind).skip(1));
        for reference in references.filter_map(|rest| rest.split('"').nth(1)) {
            let key = key_text(reference);
            assert!(!seen.contains(&key) && !seen.contains(&key[..16]), "{name}: {reference}");
        }
        let channels = || loaded.config.channels.iter().map(|channel| &channel.macsec);
        let saks =
            channels().flat_map(|macsec| &macsec.tx).map(|sa| ("key", sa.key.fingerprint(KeyKind::Sak)));
        let caks = channels()
            .filter_map(|macsec| macsec.mka.as_ref())
            .flat_map(|mka| &mka.keys)
            .map(|key| ("cak", key.cak.fingerprint(KeyKind::Cak)));
        for (word, fingerprint) in saks.chain(caks) {
            assert!(seen.contains(&format!("\"{word}\":\"{fingerprint}\"")), "{name} shows no fingerprint");
        }
    }
}

#[test]
fn deep_and_endless_texts_are_refused() {
    for text in [
        "[".repeat(200_000),
        "a = ".to_owned() + &"[".repeat(200_000),
        "a = ".to_owned() + &"{a=".repeat(100_000),
        "a.".repeat(100_000),
        "key=\"".repeat(100_000),
        "x\n".repeat(100_000),
    ] {
        let problems = load(&text).err();
        assert!(problems.is_some_and(|problems| problems.has_errors() && problems.len() <= 100));
    }
}
