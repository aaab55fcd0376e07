//! The sources of the workspace, as text, for the tests that read them.
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The crates of the workspace and what each may import of the others (layout: one direction, down).
pub const ARROWS: &[(&str, &[&str])] = &[
    ("net", &[]),
    ("sys", &[]),
    ("macsec", &["net", "sys"]),
    ("bgp", &["net"]),
    ("config", &["net"]),
    ("dataplane", &["macsec", "net", "sys"]),
    ("gateway", &["bgp", "config", "dataplane", "macsec", "net", "sys"]),
    ("tests", &["bgp", "config", "dataplane", "gateway", "macsec", "net", "sys"]),
    ("benches", &["bgp", "config", "dataplane", "gateway", "macsec", "net", "sys"]),
];

/// A source file.
pub struct Source {
    /// Relative to the root of the workspace, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl Source {
    /// The folder of the crate that it belongs to.
    pub fn of_crate(&self) -> &str {
        self.path.split('/').next().unwrap_or("")
    }

    /// The code: without comments, strings kept.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let line = |(at, line): (usize, &'_ str)| (at + 1, line.split("//").next().map_or(0, str::len));
        self.text.lines().enumerate().map(move |(at, text)| {
            let (number, len) = line((at, text));
            (number, text.get(..len).unwrap_or(text))
        })
    }

    /// What stands before the unit tests.
    pub fn without_tests(&self) -> &str {
        self.text.split("#[cfg(test)]").next().unwrap_or("")
    }
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the workspace and of `fuzz`, sorted by path.
pub fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    for (folder, _) in ARROWS.iter().chain(&[("fuzz", &[][..])]) {
        walk(&root().join(folder), &mut files, &|path| path.extension().is_some_and(|end| end == "rs"));
    }
    read(files)
}

/// Every file that a person reads or a tool runs: sources, scripts, documents, manifests.
pub fn everything() -> Vec<Source> {
    let mut files = Vec::new();
    let kinds = ["rs", "md", "toml", "sh", "json", "yml"];
    walk(&root(), &mut files, &|path| {
        path.extension().map_or(path.file_name().is_some_and(|name| name == "test" || name == "run"), |end| {
            kinds.iter().any(|kind| end == *kind)
        })
    });
    read(files)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>, wanted: &dyn Fn(&Path) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let skipped = ["target", ".git", "corpus", "artifacts"].iter().any(|skip| name == *skip);
        if path.is_dir() && !skipped {
            walk(&path, files, wanted);
        } else if path.is_file() && wanted(&path) {
            files.push(path);
        }
    }
}

fn read(mut files: Vec<PathBuf>) -> Vec<Source> {
    files.sort();
    let name = |path: &Path| path.strip_prefix(root()).map(|path| path.to_string_lossy().replace('\\', "/"));
    files
        .into_iter()
        .filter_map(|path| Some(Source { path: name(&path).ok()?, text: fs::read_to_string(&path).ok()? }))
        .collect()
}
