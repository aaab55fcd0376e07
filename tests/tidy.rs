//! The house checks itself: rules that nobody checks are wishes.

use std::fs;

use world::house::{ARROWS, Source, everything, root, sources};

/// Files on the path that every frame takes.
const HOT: &[&str] = &[
    "dataplane/src/frame.rs",
    "dataplane/src/meter.rs",
    "dataplane/src/vlan.rs",
    "dataplane/src/demux.rs",
    "dataplane/src/pipeline/ingress.rs",
    "dataplane/src/pipeline/forward.rs",
    "dataplane/src/pipeline/egress.rs",
    "dataplane/src/pipeline/wire.rs",
    "dataplane/src/pipeline/underlay.rs",
    "dataplane/src/pipeline/redundancy.rs",
    "dataplane/src/frer/rtag.rs",
    "dataplane/src/frer/recover.rs",
    "dataplane/src/fib/trie.rs",
    "dataplane/src/flow/mod.rs",
    "macsec/src/secy/tx.rs",
    "macsec/src/secy/rx.rs",
    "macsec/src/secy/batch.rs",
    "macsec/src/wire/sectag.rs",
];

#[track_caller]
fn none(what: &str, strays: Vec<String>) {
    assert!(strays.is_empty(), "{what}:\n  {}", strays.join("\n  "));
}

#[test]
fn imports_go_one_way_down() {
    let mut strays = vec![];
    for (folder, allowed) in ARROWS {
        let manifest =
            fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("every crate has a manifest");
        let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
        let table = manifest.get("dependencies").and_then(toml::Value::as_table);
        for name in table.into_iter().flat_map(toml::Table::keys) {
            let ours = ARROWS.iter().any(|(other, _)| other == name);
            if ours && !allowed.contains(&name.as_str()) {
                strays.push(format!("{folder} depends on {name}"));
            }
        }
    }
    none("arrows that are not in the picture (ARCHITECTURE.md)", strays);
}

#[test]
fn only_the_gateway_knows_tokio_threads_disk_and_clock() {
    let banned = ["tokio::", "std::fs", "std::thread", "SystemTime::now", "Instant::now()", "std::net::Tcp"];
    let strays = sources()
        .iter()
        .filter(|file| ["net", "macsec", "bgp", "config", "dataplane"].contains(&file.of_crate()))
        .filter(|file| file.path.contains("/src/") && !file.path.contains("test"))
        .filter_map(|file| {
            let word = banned.iter().find(|word| file.without_tests().contains(*word))?;
            Some(format!("{} says {word}", file.path))
        })
        .collect();
    none("cores do no I/O and read no clock", strays);
}

#[test]
fn unsafe_lives_in_sys() {
    let word =
        |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
    let strays = sources()
        .iter()
        .filter(|file| !["sys", "fuzz", "tests"].contains(&file.of_crate()))
        .flat_map(|file| {
            let lines =
                file.code().filter(|(_, line)| word(line)).map(|(at, _)| format!("{}:{at}", file.path));
            lines.collect::<Vec<_>>()
        })
        .collect();
    none("`unsafe` outside sys", strays);
}

#[test]
fn every_crate_but_sys_forbids_unsafe() {
    let strays = sources()
        .iter()
        .filter(|file| {
            file.path.ends_with("/src/lib.rs") && file.of_crate() != "sys" && file.of_crate() != "fuzz"
        })
        .filter(|file| !file.text.contains("#![forbid(unsafe_code)]"))
        .map(|file| file.path.clone())
        .collect();
    none("no #![forbid(unsafe_code)]", strays);
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let long = |file: &Source| (file.text.lines().count(), file.path.clone());
    let strays = sources()
        .into_iter()
        .map(|file| long(&file))
        .filter(|(lines, _)| *lines > 600)
        .map(|(n, path)| format!("{path}: {n}"));
    none("files over 600 lines: does a room want a second door?", strays.collect());
}

#[test]
fn every_module_opens_with_prose() {
    let strays = sources()
        .iter()
        .filter(|file| file.path.ends_with("/lib.rs") || file.path.ends_with("/mod.rs"))
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| file.path.clone())
        .collect();
    none("a folder's lib.rs or mod.rs does not open with `//!`", strays);
}

#[test]
fn hot_files_neither_allocate_nor_lock_nor_log() {
    let banned = [
        "tracing::",
        "Vec::new",
        "vec![",
        "Box::new",
        "format!",
        "Mutex",
        "RwLock",
        ".to_vec()",
        ".to_owned()",
        "String",
    ];
    let mut strays = vec![];
    let all = sources();
    for hot in HOT {
        let file = all.iter().find(|file| file.path == *hot);
        let Some(file) = file else { panic!("{hot} is listed as hot, but is not there") };
        for word in banned.iter().filter(|word| says(file.without_tests(), word)) {
            strays.push(format!("{hot} says {word}"));
        }
    }
    none("the path that every frame takes", strays);
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [
        "TO".to_owned() + "DO",
        "FIX".to_owned() + "ME",
        "XX".to_owned() + "X",
        "todo".to_owned() + "!(",
        "#[ig".to_owned() + "nore",
    ];
    let strays = sources()
        .iter()
        .filter_map(|file| {
            let mark = marks.iter().find(|mark| file.text.contains(mark.as_str()))?;
            Some(format!("{} says {mark}", file.path))
        })
        .collect();
    none("unfinished work", strays);
}

#[test]
fn nothing_names_a_machine_or_a_registry_host() {
    let words = [
        "/wo".to_owned() + "rk/",
        "../sha".to_owned() + "red",
        "crates".to_owned() + ".io/",
        "pypi".to_owned() + ".org",
        "deb.deb".to_owned() + "ian.org",
    ];
    let strays = everything()
        .iter()
        .filter_map(|file| {
            let word = words.iter().find(|word| file.text.contains(word.as_str()))?;
            Some(format!("{} says {word}", file.path))
        })
        .collect();
    none("paths of one machine, or hosts of a registry", strays);
}

#[test]
fn the_documents_that_the_readme_names_are_there() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let strays = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
    none(
        "README.md links to nothing",
        strays
            .filter(|link| !root().join(link.split('#').next().unwrap_or("")).exists())
            .map(str::to_owned)
            .collect(),
    );
}

/// `ArrayVec::new` is no `Vec::new`.
fn says(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| !text.get(..at).unwrap_or("").ends_with("Array"))
}
