//! What `decode` found.

use core::fmt::Write as _;

use super::{
    look::Look,
    table::{number, table, text},
};
use crate::decode::{KeySummary, SaSummary, Summary};

/// The summary of a capture.
pub fn decoded(look: &Look, summary: &Summary) -> String {
    let counts = &summary.macsec;
    let mut out = format!(
        "{} frames, {} with MACsec: {} valid, {} invalid, {} without key\n",
        summary.frames, counts.total, counts.valid, counts.invalid, counts.no_key
    );
    let mut remark = |count: u64, what: &str| {
        if count > 0 {
            // Writing to a String does not fail.
            let _written = writeln!(out, "  {count} {what}");
        }
    };
    remark(counts.bad_tag, "of the invalid ones have a SecTAG that breaks a rule");
    summary.bad_tags.iter().for_each(|(rule, &count)| remark(count, &format!("  {rule}")));
    remark(counts.cut, "were cut by the capture: use a larger snapshot length");
    remark(counts.with_fcs, "end in a frame check sequence, which was taken off");
    remark(counts.unlisted, "belong to SAs that are not listed, because there are too many");
    summary.other.iter().for_each(|(kind, &count)| remark(count, &format!("without MACsec: {kind}")));
    summary
        .other_links
        .iter()
        .for_each(|(link, &count)| remark(count, &format!("not Ethernet: link type {link}")));
    if !summary.channels.is_empty() {
        out.push('\n');
        out.push_str(&sas(look, &summary.channels));
    }
    let unused = summary.keys.iter().filter(|key| key.frames == 0).map(unused);
    out + &look.paint(&unused.collect::<String>())
}

fn unused(key: &KeySummary) -> String {
    format!(
        "! key {} ({}) fits no frame: is it the right one, and the right suite, salt and SSCI?\n",
        key.fingerprint, key.suite
    )
}

fn sas(look: &Look, sas: &[SaSummary]) -> String {
    let columns = [
        text("SCI"),
        number("AN"),
        number("FRAMES"),
        number("VALID"),
        number("INVALID"),
        number("NO KEY"),
        text("SUITE").rank(2),
        text("KEY").rank(3),
        number("FIRST PN").rank(1),
        number("LAST PN").rank(1),
        number("DUPLICATES").rank(5),
        number("REORDERED").rank(6),
        number("GAPS").rank(4),
        text("TAGS").rank(7),
    ];
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let pn = |pn: Option<u64>| pn.map_or_else(|| "-".to_owned(), |pn| pn.to_string());
    let row = |sa: &SaSummary| {
        let source = sa.source.as_ref().map(|source| format!("({source})"));
        vec![
            sa.sci.clone().or(source).unwrap_or_default(),
            sa.an.to_string(),
            sa.total.to_string(),
            sa.valid.to_string(),
            sa.invalid.to_string(),
            sa.no_key.to_string(),
            or_dash(&sa.suite),
            or_dash(&sa.key),
            pn(sa.first_pn) + if sa.pn_proven { "" } else { "?" },
            pn(sa.last_pn) + if sa.pn_proven { "" } else { "?" },
            sa.duplicates.to_string(),
            sa.reordered.to_string(),
            sa.gaps.to_string(),
            sa.clear_tags
                .iter()
                .map(|tags| tags.iter().map(u16::to_string).collect::<Vec<_>>().join("."))
                .collect::<Vec<_>>()
                .join(" "),
        ]
    };
    table(look, &columns, &sas.iter().map(row).collect::<Vec<_>>(), "")
}
