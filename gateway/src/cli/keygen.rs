//! `keygen`: a CAK and its name in files, and what to write into the configuration for them.

use std::{io, path::Path};

use serde_json::json;

use super::{
    args::{Global, KeygenArgs, Suite},
    exit::{Exit, Failure},
    terminal,
};
use crate::{
    api::model::API,
    keygen::{self, KeygenError, Made, NoFolder},
};

/// Makes the key.
pub(super) fn keygen(global: &Global, options: &KeygenArgs) -> Result<Exit, Failure> {
    let bits = options.bits.unwrap_or_else(|| options.cipher.map_or(256, Suite::bits));
    let made = keygen::make(options.out.as_deref(), usize::from(bits / 8)).map_err(|why| failure(&why))?;
    let snippet = snippet(&made, bits, options.start);
    if global.json {
        terminal::print_json(&json!({
            "api": API,
            "kind": "Keygen",
            "ckn": made.ckn,
            "ckn_file": made.ckn_file,
            "cak_file": made.cak_file,
            "bits": bits,
            "fingerprint": made.fingerprint,
            "snippet": snippet,
        }))?;
        return Ok(Exit::Done);
    }
    terminal::tell(
        "For the channel, at both ends; paths start at the folder of the configuration file.\n\
         Carry both files there on a safe way. The fingerprint says that both ends have the same key.\n\n",
    );
    terminal::print(snippet.as_bytes())?;
    Ok(Exit::Done)
}

fn snippet(made: &Made, bits: u16, start: Option<jiff::Timestamp>) -> String {
    let file = |path: &Path| toml::Value::String(path.display().to_string());
    let start = start.map(|start| format!("start = {start}\n")).unwrap_or_default();
    format!(
        "[[channel.macsec.key]]\n\
         ckn = {{ file = {} }}   # {}\n\
         cak = {{ file = {} }}   # {bits} bits, fingerprint {}\n{start}",
        file(&made.ckn_file),
        made.ckn,
        file(&made.cak_file),
        made.fingerprint
    )
}

fn failure(error: &KeygenError) -> Failure {
    let kind = error.why.kind();
    let exit = if kind == io::ErrorKind::PermissionDenied {
        Exit::NotPermitted
    } else if kind == io::ErrorKind::IsADirectory {
        Exit::Usage
    } else {
        Exit::Failed
    };
    let failure = Failure::new(exit, error);
    if kind == io::ErrorKind::IsADirectory {
        let key = error.path.join("ch1");
        let key = key.display();
        return failure.help(format!("name the key, too: --out {key} makes {key}.ckn and {key}.cak"));
    }
    if let Some(NoFolder(folder)) = error.why.get_ref().and_then(|why| why.downcast_ref()) {
        return failure.help(format!("make it first, or mend --out: mkdir -p -m 700 {}", folder.display()));
    }
    if kind == io::ErrorKind::AlreadyExists {
        return failure.help("nothing was changed: keys are never overwritten; give another --out");
    }
    failure
}
