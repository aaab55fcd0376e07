//! What was measured, for people.

use core::fmt::Write as _;

use super::{
    Capacity, CryptoFigures, Figures, ScalingFigures,
    verdict::{Promise, REFERENCE},
};

/// Everything on a page of 100 columns.
#[must_use]
pub fn screen(figures: &Figures) -> String {
    let mut page = machine(figures);
    page += &crypto(&figures.crypto);
    page += &rig(figures);
    page += &capacity(&figures.capacity);
    page += &scaling(&figures.scaling, figures.no_scaling.as_deref());
    if let Some(promise) = &figures.promise {
        page += &promised(promise);
    }
    page += "\nWhat limits it\n";
    if figures.limits.is_empty() {
        page += "  nothing stands out\n";
    }
    figures.limits.iter().fold(page, |page, limit| page + "  - " + limit + "\n")
}

fn machine(figures: &Figures) -> String {
    let machine = &figures.machine;
    let kind = if machine.virtual_machine { ", virtual" } else { "" };
    let [middle, most, worst] = machine.timer_late_us;
    format!(
        "{}{kind}; processors: {}; {}\nmemory copied at {:.1} GB/s; the clock takes {:.0} ns; a timer of 1 ms is late by {middle} us, \
         99 of 100 by {most} us at most, the worst by {worst} us\n",
        machine.processor,
        machine.processors,
        machine.features.join(" "),
        machine.copy_gb_per_s,
        machine.clock_ns,
    )
}

fn crypto(all: &[CryptoFigures]) -> String {
    let mut text = "\nMACsec in memory, ns per frame (batches of 64)\n".to_owned();
    let _written = writeln!(
        text,
        "  {:<8} {:<16} {:>6} {:>8} {:>8} {:>9} {:>14}",
        "library", "suite", "octets", "AEAD", "protect", "validate", "one core, Gbit/s"
    );
    for one in all {
        let octets = u32::try_from(one.octets).map_or(0.0, f64::from);
        let rate = octets * 8.0 / one.protect_ns.max(one.validate_ns);
        let _written = writeln!(
            text,
            "  {:<8} {:<16} {:>6} {:>8.0} {:>8.0} {:>9.0} {rate:>14.2}",
            one.backend, one.suite, one.octets, one.aead_ns, one.protect_ns, one.validate_ns,
        );
    }
    text
}

fn rig(figures: &Figures) -> String {
    let Some(rig) = &figures.rig else {
        let why = figures.no_rig.as_deref().unwrap_or("unknown");
        return format!("\nTwo gateways in namespaces: left out: {why}\n");
    };
    let ([tcp_a, tcp_b], [small_a, small_b], [middle, most]) =
        (rig.tcp_cpu_s_per_gb, rig.small_cpu_ns, rig.delay_us);
    let mut text = format!(
        "\nTwo gateways in namespaces, over veth pairs, hosts and all on the same processors\n\
         \x20 TCP, one stream, MTU 1500: {:.2} Gbit/s; {tcp_a:.2} s of CPU per GB to send, {tcp_b:.2} s to receive\n\
         \x20 packets of {} octets: {:.0} a second offered, {:.2} % arrived; {small_a:.0} ns of CPU each to send, {small_b:.0} ns to receive\n\
         \x20 delay through both: {middle} us in the middle, 99 of 100 within {most} us\n",
        rig.tcp_gbit_per_s, rig.small_octets, rig.small_offered, rig.small_arrived,
    );
    let stages: Vec<_> = rig.stages.iter().map(|(stage, ns)| format!("{stage} {ns}")).collect();
    if !stages.is_empty() {
        text += &format!("  the sender's stages, ns per frame: {}\n", stages.join(", "));
    }
    text
}

fn capacity(all: &[Capacity]) -> String {
    let mut text = "\nWhat one worker with a processor of its own carries, one way\n".to_owned();
    let _written = writeln!(
        text,
        "  {:>6} {:>14} {:>14} {:>10} {:>10} {:>14} {:>12}",
        "octets", "gateway, ns", "kernel, ns", "Mpps", "Gbit/s", "at most, Mpps", "Gbit/s"
    );
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    for one in all {
        let _written = writeln!(
            text,
            "  {:>6} {:>14.0} {:>14} {:>10} {:>10} {:>14.2} {:>12.2}",
            one.octets,
            one.own_ns,
            number(one.kernel_ns, 0),
            number(one.mpps, 2),
            number(one.gbit_per_s, 2),
            one.most_mpps,
            one.most_gbit_per_s,
        );
    }
    text + "  kernel: packet sockets on veth, a system call and a soft interrupt per frame; `at most` is without it.\n\
           \x20 TCP from hosts that send super-frames costs less per octet than its frames would.\n"
}

fn scaling(all: &[ScalingFigures], none: Option<&str>) -> String {
    let title = "\nWorkers of a gateway beside each other, in memory, each with a connection and a processor of its own";
    if let Some(why) = none {
        return format!("{title}\n  left out: {why}\n");
    }
    let mut text = format!(
        "{title}\n  {:>6} {:>7} {:>15} {:>14} {:>9}\n",
        "octets", "workers", "one alone, Mpps", "together, Mpps", "waited, %"
    );
    for one in all {
        let ScalingFigures { octets, workers, alone_mpps, together_mpps, times, waited_percent } = one;
        let _written = writeln!(
            text,
            "  {octets:>6} {workers:>7} {alone_mpps:>15.2} {together_mpps:>14.2} {waited_percent:>9.1}  {workers} workers carry {times:.2} times what one does",
        );
    }
    text + "  a frame goes through two gateways here, from LAN to LAN; waited: for a processor that others used.\n"
}

fn promised(promise: &Promise) -> String {
    let Promise { workers, carried_gbit_per_s: carried, verdict, .. } = promise;
    let what = promise.promised_gbit_per_s.map_or_else(
        || "a connection without `rate` has no limit: nothing to compare with".to_owned(),
        |gbit| format!("the connections promise {gbit:.2} Gbit/s each way"),
    );
    format!(
        "\nThe configuration: {}\n  {what}; {workers} workers carry {carried:.2} Gbit/s of frames of {REFERENCE} octets, both ways together\n",
        verdict.to_uppercase()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{ForwardFigures, MachineFigures, RigFigures, verdict};

    #[test]
    fn all_that_was_measured_is_on_the_page() {
        let forward = vec![ForwardFigures { octets: 1460, both_ns: 1000.0 }];
        let rig = RigFigures {
            tcp_gbit_per_s: 2.5,
            small_cpu_ns: [2000.0, 3000.0],
            stages: vec![("protect".to_owned(), 170)],
            ..RigFigures::default()
        };
        let crypto = CryptoFigures {
            backend: "aws-lc".to_owned(),
            suite: "gcm-aes-128".to_owned(),
            octets: 64,
            aead_ns: 99.0,
            protect_ns: 111.0,
            validate_ns: 128.0,
        };
        let scaling = ScalingFigures {
            octets: 64,
            workers: 2,
            alone_mpps: 1.5,
            together_mpps: 2.8,
            times: 1.87,
            waited_percent: 0.4,
        };
        let mut figures = Figures {
            scaling: vec![scaling],
            no_scaling: None,
            machine: MachineFigures::default(),
            crypto: vec![crypto],
            capacity: verdict::capacities(&forward, Some(&rig)),
            forward,
            rig: Some(rig),
            no_rig: None,
            limits: vec!["something".to_owned()],
            promise: None,
        };
        let page = screen(&figures);
        for words in [
            "2.50 Gbit/s",
            "protect 170",
            "gcm-aes-128",
            "4.00",
            "2 workers carry 1.87 times",
            "  - something",
        ] {
            assert!(page.contains(words), "{words}:\n{page}");
        }
        (figures.rig, figures.no_rig) = (None, Some("user namespaces are off".to_owned()));
        (figures.scaling, figures.no_scaling) =
            (Vec::new(), Some("this process may use one processor only".to_owned()));
        for words in ["left out: user namespaces are off", "left out: this process may use one processor"] {
            assert!(screen(&figures).contains(words), "{words}");
        }
    }
}
