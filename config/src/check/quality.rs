//! `[connection.quality]`: what it needs, and its key.

use super::{given, key, lasting};
use crate::{
    model::{Mode, Password, Quality},
    problem::{Code, Report},
    raw::{self, At, items},
    secret::{SecretSource, password},
};

/// Lost probes that are good enough where the file says nothing.
const LOSS: u32 = 20_000;

/// The effective settings; `None` without the section, or after a finding.
pub(super) fn check(
    connection: &raw::Connection,
    secrets: &dyn SecretSource,
    report: &mut Report,
) -> Option<Quality> {
    let section = connection.quality.as_ref()?;
    let quality = &section.value;
    if connection.mode() == Mode::Transparent {
        report
            .add(
                Code::Transparent,
                section.span,
                "quality is measured between addresses; a transparent connection is a wire",
            )
            .help("remove the section, or set mode = \"routed\"");
    } else {
        for At { value: attachment, .. } in items(&connection.attachment) {
            if items(&attachment.peer).is_empty() && !attachment.is_wrong("peer") {
                report
                    .add(
                        Code::QualityPeer,
                        attachment.here,
                        "quality is to be measured on an attachment without a `peer`",
                    )
                    .also(section.span, "here")
                    .help("add peer = [\"169.254.10.2\"], the address of the router at the far end");
            }
        }
    }
    let key = match &quality.key {
        Some(at) => Some(authentic(at, secrets, report)?),
        None => None,
    };
    Some(Quality {
        interval: quality.interval().0,
        timeout: quality.timeout().0,
        loss: given(quality.loss.as_ref()).unwrap_or(LOSS),
        delay: lasting(quality.delay.as_ref()),
        jitter: lasting(quality.jitter.as_ref()),
        leave_after: quality.leave_after(),
        return_after: quality.return_after(),
        return_within: quality.return_within(),
        action: quality.action(),
        key,
    })
}

fn authentic(at: &At<crate::SecretRef>, secrets: &dyn SecretSource, report: &mut Report) -> Option<Password> {
    let text = match secrets.read(&at.value) {
        Ok(text) => text,
        Err(error) => {
            key::refused((&at.value, key::SecretKind::Measurement), at.span, &error, report);
            return None;
        }
    };
    match password(&text) {
        Ok(secret) => Some(Password { from: at.value.clone(), secret }),
        Err(why) => {
            report
                .add(Code::Malformed, at.span, format!("the key in {} {why}", at.value))
                .help("write the key, and nothing else, on one line of at most 80 octets");
            None
        }
    }
}
