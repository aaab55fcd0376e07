//! How the attachments of a connection share, or guard, the traffic.

use super::{classes, profile};
use crate::{
    model::{Duplicate, Mode, Profile, Protection, Standby},
    problem::{Code, Report, Span},
    raw::{self, At},
};

/// Refuses what the protection has no use for.
pub(super) fn check(connection: &raw::Connection, peer: Profile, report: &mut Report) {
    classes::check(connection, report);
    profile::redundancy(connection, peer, report);
    let Some(protection) = connection.protection.as_ref() else {
        return unused(connection, Protection::Ecmp, report);
    };
    unused(connection, protection.value, report);
    if protection.value == Protection::Duplicate && connection.mode() == Mode::Transparent {
        report
            .add(
                Code::Transparent,
                protection.span,
                "`duplicate` numbers IP packets; a transparent connection is a wire",
            )
            .help("use protection = \"active-standby\", or set mode = \"routed\"");
    }
}

fn unused(connection: &raw::Connection, protection: Protection, report: &mut Report) {
    let mut refuse = |span: Option<Span>, section: &str, word: &str| {
        let Some(span) = span else { return };
        report
            .add(Code::Malformed, span, format!("[connection.{section}] without protection = \"{word}\""))
            .help(format!("set protection = \"{word}\", or remove the section"));
    };
    if protection != Protection::ActiveStandby {
        refuse(place(&connection.standby), "standby", "active-standby");
    }
    if protection != Protection::Duplicate && !classes::tags(connection) && !has_unread_classes(connection) {
        let Some(span) = place(&connection.duplicate) else { return };
        report
            .add(
                Code::Malformed,
                span,
                "[connection.duplicate] without protection = \"duplicate\", and without classes",
            )
            .help("set protection = \"duplicate\", or name classes in [[connection.duplicate.class]], or remove the section");
    }
}

fn has_unread_classes(connection: &raw::Connection) -> bool {
    connection.duplicate.as_ref().is_some_and(|at| at.value.is_wrong("class"))
}

fn place<T>(field: &Option<At<T>>) -> Option<Span> {
    field.as_ref().map(|at| at.span)
}

/// The effective settings of `active-standby`.
pub(super) fn standby(connection: &raw::Connection) -> Option<Standby> {
    let raw = connection.standby.as_ref().map(|at| at.value.clone()).unwrap_or_default();
    (connection.protection() == Protection::ActiveStandby).then(|| Standby {
        hold_down: raw.hold_down().0,
        revert_delay: raw.revert_delay().0,
        revert: raw.revert(),
    })
}

/// The effective settings of `duplicate`, for all packets or for classes.
pub(super) fn duplicate(connection: &raw::Connection) -> Option<Duplicate> {
    let raw = connection.duplicate.as_ref().map(|at| at.value.clone()).unwrap_or_default();
    classes::tags(connection).then(|| Duplicate {
        history: raw.history(),
        reset: raw.reset().0,
        latent_error_difference: raw.latent_error_difference(),
        latent_error_period: raw.latent_error_period().0,
        classes: classes::model(connection),
    })
}
