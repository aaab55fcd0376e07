//! What `decode` found.

use core::fmt::Write as _;

use super::{
    look::Look,
    table::{number, table, text},
};
use crate::decode::{KeySummary, LacpSummary, MemberSummary, MkpduCounts, SaSummary, SakSummary, Summary};

/// The summary of a capture.
pub fn decoded(look: &Look, summary: &Summary) -> String {
    let counts = &summary.macsec;
    let mut out = format!(
        "{} frames, {} with MACsec: {} valid, {} invalid, {} without key\n",
        summary.frames, counts.total, counts.valid, counts.invalid, counts.no_key
    );
    if summary.mkpdu.total > 0 || summary.ckns.iter().any(|ckn| ckn.given) {
        out.push_str(&mkpdus(&summary.mkpdu));
    }
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
    for part in
        [members(look, summary), saks(look, summary), sas(look, &summary.channels), lacp(look, &summary.lacp)]
    {
        if !part.is_empty() {
            out.push('\n');
            out.push_str(&part);
        }
    }
    let unused = summary.keys.iter().filter(|key| key.frames == 0).map(unused);
    out + &look.paint(&(unused.collect::<String>() + &advice(summary)))
}

fn mkpdus(counts: &MkpduCounts) -> String {
    let MkpduCounts { total, icv_valid, icv_invalid, unknown_ckn, malformed } = counts;
    let mut line = format!(
        "{total} MKPDUs: {icv_valid} with a valid ICV, {icv_invalid} with a wrong one, {unknown_ckn} of an unknown CKN"
    );
    if *malformed > 0 {
        line.push_str(&format!(", {malformed} malformed or cut"));
    }
    line + "\n"
}

/// What is wrong with the CAKs that were given, and what to do about it.
fn advice(summary: &Summary) -> String {
    let mut advice = String::new();
    let unknown: Vec<_> = summary.ckns.iter().filter(|ckn| ckn.unknown > 0).collect();
    for ckn in summary.ckns.iter().filter(|ckn| ckn.given) {
        if ckn.icv_valid + ckn.icv_invalid == 0 {
            advice.push_str(&format!("! no MKPDU names CKN {}", ckn.ckn));
            advice.push_str(if unknown.is_empty() { "\n" } else { ": is it one of those below?\n" });
        } else if ckn.icv_valid == 0 {
            advice.push_str(&format!("! every ICV under CKN {} is wrong: the CAK is another one\n", ckn.ckn));
        } else if ckn.icv_invalid > 0 {
            let what = "some senders have another CAK, or frames were damaged";
            advice.push_str(&format!(
                "! {} of {} ICVs under CKN {} are wrong: {what}\n",
                ckn.icv_invalid,
                ckn.icv_valid + ckn.icv_invalid,
                ckn.ckn
            ));
        }
    }
    for ckn in unknown.iter().take(MOST_CKNS) {
        advice.push_str(&format!(
            "! {} MKPDUs name CKN {}, for which no CAK was given\n",
            ckn.unknown, ckn.ckn
        ));
    }
    if summary.saks.is_empty() && summary.mkpdu.icv_valid > 0 && summary.macsec.no_key > 0 {
        advice.push_str(
            "! no SAK is distributed in this capture: begin it before the channel comes up, or make a new SAK while it runs\n",
        );
    }
    advice
}

/// CKNs that are listed without CAK.
const MOST_CKNS: usize = 8;

fn members(look: &Look, summary: &Summary) -> String {
    if summary.members.is_empty() {
        return String::new();
    }
    let columns = [
        text("MEMBER"),
        text("MI").rank(2),
        number("PRIORITY"),
        number("MKA").rank(4),
        text("KEY SERVER"),
        number("MKPDUS"),
        text("CKN").rank(3),
    ];
    let row = |member: &MemberSummary| {
        vec![
            member.sci.clone(),
            member.mi.clone(),
            member.priority.to_string(),
            member.version.to_string(),
            if member.key_server { "yes" } else { "-" }.to_owned(),
            member.mkpdus.to_string(),
            member.ckn.clone(),
        ]
    };
    table(look, &columns, &summary.members.iter().map(row).collect::<Vec<_>>(), "")
}

fn saks(look: &Look, summary: &Summary) -> String {
    if summary.saks.is_empty() {
        return String::new();
    }
    let revealed = summary.saks.iter().any(|sak| sak.sak.is_some());
    let mut columns = vec![
        text("SAK"),
        number("AN"),
        text("SUITE").rank(2),
        number("FRAMES"),
        text("DISTRIBUTED").rank(1),
        text("FINGERPRINT").rank(3),
    ];
    if revealed {
        columns.push(text("SECRET"));
    }
    let row = |sak: &SakSummary| {
        let mut row = vec![
            sak.ki.clone(),
            sak.an.to_string(),
            sak.cipher.clone(),
            sak.frames.to_string(),
            sak.distributed_at.clone(),
            sak.fingerprint.clone(),
        ];
        row.extend(sak.sak.clone());
        row
    };
    table(look, &columns, &summary.saks.iter().map(row).collect::<Vec<_>>(), "")
}

fn unused(key: &KeySummary) -> String {
    format!(
        "! key {} ({}) fits no frame: is it the right one, and the right suite, salt and SSCI?\n",
        key.fingerprint, key.suite
    )
}

fn sas(look: &Look, sas: &[SaSummary]) -> String {
    if sas.is_empty() {
        return String::new();
    }
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

fn lacp(look: &Look, ports: &[LacpSummary]) -> String {
    if ports.is_empty() {
        return String::new();
    }
    let columns = [
        text("LACP SYSTEM"),
        number("PORT"),
        number("KEY"),
        text("SCI").rank(2),
        number("PDUS"),
        number("CHANGES").rank(1),
        text("STATE"),
        text("PARTNER").rank(1),
    ];
    let row = |one: &LacpSummary| {
        vec![
            one.system.clone(),
            one.port.to_string(),
            one.key.to_string(),
            one.sci.clone().unwrap_or_else(|| "in clear".to_owned()),
            one.pdus.to_string(),
            one.changes.to_string(),
            one.state.clone(),
            one.partner.clone(),
        ]
    };
    table(look, &columns, &ports.iter().map(row).collect::<Vec<_>>(), "")
}
