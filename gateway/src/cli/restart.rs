//! `restart`: another process takes over, under traffic.

use std::time::Duration;

use super::{
    args::{Global, RestartArgs},
    ask::{line, parse, talk},
    exit::{Exit, Failure},
    terminal,
};
use crate::api::{
    client,
    model::{Document, Restart},
};

/// How long a successor may take to prepare, on top of what any answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Has the gateway hand over to a successor.
pub(super) fn restart(global: &Global, options: &RestartArgs) -> Result<Exit, Failure> {
    let mut path = "/v1/restart".to_owned();
    if let Some(binary) = &options.binary {
        let whole = binary.canonicalize().map_err(|why| {
            Failure::new(Exit::Usage, format_args!("cannot find {}: {why}", binary.display()))
        })?;
        path += "?binary=";
        path += &escape(whole.as_os_str().as_encoded_bytes());
    }
    let body = talk(client::post_patiently(&global.socket, &path, PATIENCE))?;
    let told: Document<Restart> = parse(&body)?;
    let Restart { done, pid, version, still_ms, took_ms, why } = &told.content;
    if global.json {
        terminal::print(&line(&body))?;
    } else if *done {
        let text = format!(
            "version {version} has taken over as process {pid}: nothing was forwarded for {still_ms:.1} ms (everything took {took_ms} ms)\n"
        );
        terminal::print(text.as_bytes())?;
    }
    if *done {
        return Ok(Exit::Done);
    }
    let why = format!("not restarted: {why}");
    Err(Failure::new(Exit::Failed, why).help("the gateway runs on as it was; nothing was lost"))
}

/// A path as it stands in a query: everything but plain characters as `%XX`.
fn escape(octets: &[u8]) -> String {
    let plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"/._-".contains(octet);
    let each = octets.iter().map(|octet| match plain(octet) {
        true => char::from(*octet).to_string(),
        false => format!("%{octet:02X}"),
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_for_a_query() {
        assert_eq!(escape("/usr/bin/quad span+é&x".as_bytes()), "/usr/bin/quad%20span%2B%C3%A9%26x");
    }
}
