//! What the peers' clouds say about MKA keys: lengths of CKN and CAK, how many, when they start.
//!
//! Sources are the providers' own documents: AWS takes CKN and CAK of 64 digits and three pairs per connection (two
//! per channel of an interconnect); Google AES_256_CMAC, up to five keys that start at least six hours apart, each with
//! a start once there are several, an ICV indicator, and no older key after a newer one has started; Azure one
//! key per link, which no other replaces without an interruption.

use core::time::Duration;

use super::{mka::Placed, profile::refuse};
use crate::{
    model::{IcvIndicator, Profile},
    problem::{Code, Report},
    raw,
};

struct Rules {
    /// The only length of a CKN, in octets.
    ckn: Option<usize>,
    /// The only length of a CAK, in octets.
    cak: Option<usize>,
    /// Most keys of a channel.
    keys: usize,
    /// Least time between two starts; with it, every key of several needs a start.
    apart: Option<Duration>,
}

/// `None`: everything goes.
const fn rules(profile: Profile) -> Option<Rules> {
    Some(match profile {
        Profile::Quadspan => return None,
        Profile::AwsDx => Rules { ckn: Some(32), cak: Some(32), keys: 3, apart: None },
        Profile::AwsInterconnect => Rules { ckn: Some(32), cak: Some(32), keys: 2, apart: None },
        Profile::GcpCci => Rules { ckn: None, cak: Some(32), keys: 5, apart: Some(SIX_HOURS) },
        Profile::AzureErDirect => Rules { ckn: None, cak: None, keys: 1, apart: None },
    })
}

const SIX_HOURS: Duration = Duration::from_secs(6 * 3600);

/// The ICV indicator where the file says nothing: Google expects one.
pub(super) const fn icv_indicator(profile: Profile) -> IcvIndicator {
    match profile {
        Profile::GcpCci => IcvIndicator::Always,
        Profile::Quadspan | Profile::AwsDx | Profile::AwsInterconnect | Profile::AzureErDirect => {
            IcvIndicator::Auto
        }
    }
}

pub(super) fn check(placed: &[Placed], settings: &raw::Mka, profile: Profile, report: &mut Report) {
    let Some(rules) = rules(profile) else { return };
    for (key, place) in placed {
        let (ckn, cak) = (key.ckn.octets().len(), key.cak.expose().len());
        if let Some(needed) = rules.ckn.filter(|needed| *needed != ckn) {
            let help =
                format!("it takes CKNs of {} hexadecimal digits: `quadspan keygen` makes such", needed * 2);
            refuse(profile, place.ckn, &format!("a CKN of {} digits", ckn * 2), &help, report);
        }
        if let Some(needed) = rules.cak.filter(|needed| *needed != cak) {
            let help =
                format!("it takes CAKs of {} hexadecimal digits: `quadspan keygen` makes such", needed * 2);
            refuse(profile, place.cak, &format!("a CAK of {} digits", cak * 2), &help, report);
        }
    }
    if let Some((_, place)) = placed.get(rules.keys) {
        let help = format!("it keeps {} for a link; remove the oldest", rules.keys);
        refuse(profile, place.here, &format!("more than {} MKA keys", rules.keys), &help, report);
    }
    if let Some(apart) = rules.apart {
        starts(placed, profile, apart, report);
    }
    if let Some(never) = settings
        .icv_indicator
        .as_ref()
        .filter(|at| at.value == IcvIndicator::Never && icv_indicator(profile) == IcvIndicator::Always)
    {
        report
            .add(
                Code::ProfileWarns,
                never.span,
                format!("a peer of profile \"{profile}\" expects an ICV indicator"),
            )
            .help("remove `icv_indicator`: the profile sets it");
    }
}

fn starts(placed: &[Placed], profile: Profile, apart: Duration, report: &mut Report) {
    if placed.len() < 2 {
        return;
    }
    let mut started = Vec::new();
    for (key, place) in placed {
        match key.start {
            Some(start) => started.push((start, place)),
            None => refuse(
                profile,
                place.here,
                "a key without a start beside others",
                "give each key the `start` that it has there",
                report,
            ),
        }
    }
    started.sort_by_key(|(start, _)| *start);
    for ((before, _), (start, place)) in started.iter().zip(started.iter().skip(1)) {
        if start.duration_since(*before).is_ok_and(|between| between < apart) {
            let help = "give the keys starts that are six hours apart or more";
            refuse(profile, place.start, "keys that start less than six hours apart", help, report);
        }
    }
}
