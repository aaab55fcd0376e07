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

/// What `restart --help` ends with.
pub(super) const HELP: &str = "\
A successor reads the configuration file, prepares everything while this gateway forwards, and takes over in one moment: ports, keys with \
their packet numbers, MKA, BFD and routes go on. Should it fail before that moment, this gateway goes on.
BGP sessions begin anew. Neighbours with graceful_restart = \"full\" whose end helps (RFC 4724) keep all routes meanwhile, and no frame is \
lost; with any other setting (\"helper\" is the default) their routes are gone until the session is back. The answer names them.
After an upgrade of the package this is what brings the new program into use.";

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
    let Restart { done, why, .. } = &told.content;
    if global.json {
        terminal::print(&line(&body))?;
    } else if *done {
        terminal::print(screen(&told.content).as_bytes())?;
    }
    if *done {
        return Ok(Exit::Done);
    }
    let why = format!("not restarted: {why}");
    Err(Failure::new(Exit::Failed, why).help("the gateway runs on as it was; nothing was lost"))
}

/// What is said of one that was done.
fn screen(restart: &Restart) -> String {
    let Restart { pid, version, still_ms, took_ms, sessions_reset, began_anew, .. } = restart;
    let mut text = format!(
        "version {version} has taken over as process {pid}: nothing was forwarded for {still_ms:.1} ms (everything took {took_ms} ms)\n"
    );
    for one in began_anew {
        text += &format!("! {} began anew: {}\n", one.subject, one.message);
    }
    for one in sessions_reset {
        text += &format!(
            "! BGP {} was reset, and its routes are gone until it is back: {}\n",
            one.neighbor, one.message
        );
    }
    text
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
    use crate::api::model::{BeganAnew, SessionReset};

    #[test]
    fn what_did_not_go_on_is_said() {
        let sound = r#"{"done":true,"pid":7,"version":"1.0","still_ms":0.6,"took_ms":90,"why":""}"#;
        let mut told: Restart = serde_json::from_str(sound).unwrap();
        let first = "version 1.0 has taken over as process 7: nothing was forwarded for 0.6 ms (everything took 90 ms)\n";
        assert_eq!(screen(&told), first, "an earlier version says no more");
        let message = "set it".to_owned();
        told.sessions_reset.push(SessionReset { neighbor: "blue/r1".to_owned(), message: message.clone() });
        told.began_anew.push(BeganAnew { subject: "channel ch2".to_owned(), message });
        let rest = "! channel ch2 began anew: set it\n! BGP blue/r1 was reset, and its routes are gone until it is back: set it\n";
        assert_eq!(screen(&told), format!("{first}{rest}"));
    }

    #[test]
    fn a_path_is_escaped_for_a_query() {
        assert_eq!(escape("/usr/bin/quad span+é&x".as_bytes()), "/usr/bin/quad%20span%2B%C3%A9%26x");
    }
}
