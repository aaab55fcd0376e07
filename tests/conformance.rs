//! Every row of every CONFORMANCE.md names a file and a test that exist.

use std::fs;

use world::house::{root, sources};

#[test]
fn every_clause_names_a_file_and_a_test_that_exist() {
    let all = sources();
    let mut strays = vec![];
    for folder in ["macsec", "dataplane", "bgp"] {
        let Ok(text) = fs::read_to_string(root().join(folder).join("CONFORMANCE.md")) else { continue };
        for row in text.lines().filter(|line| line.starts_with("| ")) {
            for name in code_words(row) {
                let known = if name.ends_with(".rs") {
                    all.iter()
                        .any(|file| file.path.starts_with(folder) && file.path.ends_with(&format!("/{name}")))
                } else {
                    all.iter().any(|file| file.text.contains(&format!("fn {name}")))
                };
                if !known {
                    strays.push(format!("{folder}/CONFORMANCE.md names `{name}`, which is not there"));
                }
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

/// The words in backticks that look like a file or a test.
fn code_words(row: &str) -> Vec<String> {
    let words = row.split('`').skip(1).step_by(2).flat_map(|word| word.split([',', ' ']));
    let looks_right = |word: &&str| {
        word.ends_with(".rs")
            || (word.contains('_')
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
    };
    words.filter(looks_right).map(str::to_owned).collect()
}
