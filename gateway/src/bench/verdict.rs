//! From figures to what this machine can carry, what limits it, and whether that is what a configuration promises.

use config::Config;
use serde::Serialize;

use super::{
    crypto::CryptoFigures, forward::ForwardFigures, machine::MachineFigures, rig::RigFigures,
    scaling::ScalingFigures, stopwatch::real,
};

/// What one worker with a processor to itself carries in one direction, at one size of frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Capacity {
    /// Octets of a frame, from the destination address on, without FCS.
    pub octets: usize,
    /// What the gateway itself does for a frame, in nanoseconds: route, protect or validate, queue.
    pub own_ns: f64,
    /// What the kernel does for it on this machine's veth pairs, in nanoseconds; `None` where that was not measured.
    pub kernel_ns: Option<f64>,
    /// 10^6 frames a second at most: without the kernel, which a good driver comes near to.
    pub most_mpps: f64,
    /// The same in Gbit/s.
    pub most_gbit_per_s: f64,
    /// 10^6 frames a second with the kernel as it was measured.
    pub mpps: Option<f64>,
    /// The same in Gbit/s.
    pub gbit_per_s: Option<f64>,
}

/// What a configuration promises, and whether the machine keeps it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Promise {
    /// Workers that the configuration has.
    pub workers: u8,
    /// Sum of the bandwidths of all connections in Gbit/s, each way; `None` when one has no limit.
    pub promised_gbit_per_s: Option<f64>,
    /// What so many workers carry of frames of 1460 octets, both directions together, in Gbit/s; less than so many times one where
    /// workers were seen in each other's way.
    pub carried_gbit_per_s: f64,
    /// `kept`, `tight` (over three quarters used), `broken`, or `unlimited`.
    pub verdict: &'static str,
}

/// Half of what both gateways do in memory is one gateway's; the rest of a frame's cost is what the rig saw beyond that.
pub(super) fn capacities(forward: &[ForwardFigures], rig: Option<&RigFigures>) -> Vec<Capacity> {
    let kernel = rig.and_then(|rig| {
        let small = forward.iter().min_by_key(|one| one.octets)?;
        let seen = rig.small_cpu_ns.iter().sum::<f64>() / 2.0;
        Some((seen - small.both_ns / 2.0).max(0.0))
    });
    let one = |figures: &ForwardFigures| {
        let own = figures.both_ns / 2.0;
        let bits = real(u64::try_from(figures.octets).unwrap_or(0)) * 8.0;
        let all = kernel.map(|kernel| own + kernel);
        Capacity {
            octets: figures.octets,
            own_ns: own,
            kernel_ns: kernel,
            most_mpps: 1e3 / own,
            most_gbit_per_s: bits / own,
            mpps: all.map(|ns| 1e3 / ns),
            gbit_per_s: all.map(|ns| bits / ns),
        }
    };
    forward.iter().map(one).collect()
}

/// What limits this machine, the worst first, in sentences.
pub(super) fn limits(
    machine: &MachineFigures,
    crypto: &[CryptoFigures],
    capacities: &[Capacity],
    scaling: &[ScalingFigures],
    rig: Option<&RigFigures>,
) -> Vec<String> {
    let mut all = Vec::new();
    let has = |feature: &str| machine.features.iter().any(|one| one == feature);
    if !has("aes") {
        all.push("the processor has no instructions for AES: MACsec costs ten times as much".to_owned());
    } else if !has("vaes") && !has("pmull") {
        all.push(
            "the processor has AES but no VAES: long frames cost about twice what newer ones need".to_owned(),
        );
    }
    if let Some((own, kernel)) =
        capacities.iter().min_by_key(|one| one.octets).and_then(|one| Some((one.own_ns, one.kernel_ns?)))
        && kernel > own
    {
        all.push(format!(
            "the kernel's work per frame ({kernel:.0} ns) is more than the gateway's own ({own:.0} ns): a NIC with native AF_XDP (io = \"af_xdp\"), \
             jumbo frames, or hosts that send super-frames help most"
        ));
    }
    let used = macsec::Backend::Auto.works_here();
    let longest = crypto.iter().filter(|one| one.backend == used).max_by_key(|one| one.octets);
    if let (Some(crypto), Some(capacity)) = (longest, capacities.iter().max_by_key(|one| one.octets))
        && crypto.aead_ns > capacity.own_ns / 2.0
    {
        let share = crypto.aead_ns * 100.0 / capacity.own_ns;
        all.push(format!(
            "of frames of {} octets, AES-GCM is {share:.0} % of what the gateway does",
            capacity.octets
        ));
    }
    all.extend(crowd(scaling));
    let [_, late, _] = machine.timer_late_us;
    if late > 1000 {
        all.push(format!(
            "timers are {late} us late (99 of 100): the processors are shared; BFD below {} ms will find failures that are none",
            late * 10 / 1000
        ));
    }
    if machine.virtual_machine {
        all.push("it is a virtual machine: what its neighbours take is not seen here; measure again at another hour".to_owned());
    }
    if rig.is_some_and(|rig| rig.small_arrived < 99.9) {
        all.push(
            "small packets were lost at a modest rate: the processors were busy with other things".to_owned(),
        );
    }
    all
}

/// Workers that carry the smallest part of what they could, if that is less than nine tenths; or that this could not be seen.
fn crowd(scaling: &[ScalingFigures]) -> Option<String> {
    if let Some(busy) = scaling.iter().find(|one| !one.is_quiet()) {
        let ScalingFigures { waited_percent: waited, .. } = busy;
        return Some(format!(
            "others used the processors ({waited:.0} % of the time): what several workers carry together says little; measure again on a quiet machine"
        ));
    }
    let part = |one: &ScalingFigures| one.times / f64::from(one.workers);
    let worst = scaling.iter().filter(|one| part(one) < 0.9).min_by(|a, b| part(a).total_cmp(&part(b)))?;
    let ScalingFigures { workers, times, octets, .. } = worst;
    Some(format!(
        "{workers} workers carry only {times:.2} times what one does (frames of {octets} octets): their processors share a core, caches or power, \
         or a hypervisor takes some of them; give workers whole cores (`pin`)"
    ))
}

/// How many times what one carries so many workers do: by the most of them that were measured while others were quiet, and in proportion from
/// there. Noise that lets two carry more than twice as much promises nothing.
fn times(workers: u8, scaling: &[ScalingFigures]) -> f64 {
    let known =
        scaling.iter().filter(|one| one.octets == REFERENCE && one.workers <= workers && one.is_quiet());
    let part = known.max_by_key(|one| one.workers).map_or(1.0, |one| one.times / f64::from(one.workers));
    f64::from(workers) * part.min(1.0)
}

/// Connections of a configuration against capacity. Traffic passes a gateway out and back, so each promise counts twice. Workers without a
/// processor of their own add nothing.
pub(super) fn promise(
    config: &Config,
    capacities: &[Capacity],
    scaling: &[ScalingFigures],
    processors: usize,
) -> Promise {
    let workers = config.runtime.workers.max(1);
    let working = workers.min(u8::try_from(processors.max(1)).unwrap_or(u8::MAX));
    let at = capacities.iter().find(|one| one.octets == REFERENCE);
    let each = at.map_or(0.0, |one| one.gbit_per_s.unwrap_or(one.most_gbit_per_s));
    let carried = each * times(working, scaling);
    let rates: Option<u64> = config.connections.iter().map(|one| one.rate.map(u64::from)).sum();
    let promised = rates.map(|mbps| real(mbps) / 1e3);
    let verdict = match promised {
        None => "unlimited",
        Some(promised) if promised * 2.0 > carried => "broken",
        Some(promised) if promised * 2.0 > carried * 0.75 => "tight",
        Some(_) => "kept",
    };
    Promise { workers, promised_gbit_per_s: promised, carried_gbit_per_s: carried, verdict }
}

/// Octets of the frames that promises are judged by.
pub(super) const REFERENCE: usize = 1460;

#[cfg(test)]
mod tests {
    use super::*;

    const FORWARD: [ForwardFigures; 2] = [
        ForwardFigures { octets: 64, both_ns: 600.0 },
        ForwardFigures { octets: REFERENCE, both_ns: 1000.0 },
    ];

    fn rig(ns: f64) -> RigFigures {
        RigFigures { small_cpu_ns: [ns, ns], small_arrived: 100.0, ..RigFigures::default() }
    }

    #[test]
    fn what_the_kernel_does_is_what_the_gateway_does_not() {
        let alone = capacities(&FORWARD, None);
        assert_eq!((alone[0].own_ns, alone[0].kernel_ns, alone[0].mpps), (300.0, None, None));
        assert!((alone[0].most_mpps - 3.333).abs() < 0.001);
        let with = capacities(&FORWARD, Some(&rig(2300.0)));
        assert_eq!((with[0].kernel_ns, with[1].kernel_ns), (Some(2000.0), Some(2000.0)));
        let gbit = with[1].gbit_per_s.unwrap();
        assert!((gbit - 1460.0 * 8.0 / 2500.0).abs() < 1e-9, "{gbit}");
        // A rig that saw less than memory did says nothing about the kernel.
        assert_eq!(capacities(&FORWARD, Some(&rig(10.0)))[0].kernel_ns, Some(0.0));
    }

    #[test]
    fn a_promise_counts_both_ways() {
        let config = |rates: [Option<u32>; 2]| {
            let facts = crate::api::testbed::facts();
            let mut config = (*facts.config).clone();
            config.connections.iter_mut().zip(rates).for_each(|(one, rate)| one.rate = rate);
            config
        };
        let capacities = capacities(&FORWARD, Some(&rig(2300.0)));
        // Two workers, 4.67 Gbit/s each.
        for (rates, verdict) in [
            ([Some(1000), Some(1000)], "kept"),
            ([Some(2000), Some(2000)], "tight"),
            ([Some(4000), Some(1000)], "broken"),
            ([Some(1000), None], "unlimited"),
        ] {
            let promise = promise(&config(rates), &capacities, &[], 2);
            assert_eq!((promise.verdict, promise.workers), (verdict, 2), "{rates:?}: {promise:?}");
        }
    }

    fn scaling(octets: usize, workers: u8, times: f64) -> ScalingFigures {
        ScalingFigures { octets, workers, alone_mpps: 1.0, together_mpps: times, times, waited_percent: 1.0 }
    }

    #[test]
    fn workers_carry_what_they_were_seen_to_carry_together() {
        let seen = [scaling(64, 2, 1.2), scaling(REFERENCE, 2, 1.8), scaling(REFERENCE, 4, 3.0)];
        for (workers, expected) in [(1, 1.0), (2, 1.8), (3, 2.7), (4, 3.0), (8, 6.0)] {
            assert!((times(workers, &seen) - expected).abs() < 1e-9, "{workers}: {}", times(workers, &seen));
        }
        assert!((times(2, &[scaling(REFERENCE, 2, 2.1)]) - 2.0).abs() < 1e-9, "noise");
        assert!((times(3, &[]) - 3.0).abs() < 1e-9, "nothing is known");
        // 4.67 Gbit/s each: two of them keep 3600 each way when nothing is shared, and not at 1.4 times.
        let facts = crate::api::testbed::facts();
        let mut config = (*facts.config).clone();
        config.connections.iter_mut().for_each(|one| one.rate = Some(1800));
        let capacities = capacities(&FORWARD, Some(&rig(2300.0)));
        let verdict =
            |seen: &[ScalingFigures], processors| promise(&config, &capacities, seen, processors).verdict;
        assert_eq!((verdict(&[], 2), verdict(&[scaling(REFERENCE, 2, 1.4)], 2)), ("tight", "broken"));
        assert_eq!(verdict(&[], 1), "broken", "the second worker has no processor");
    }

    #[test]
    fn workers_in_each_others_way_are_named() {
        let said = |seen: &[ScalingFigures]| {
            limits(&MachineFigures::default(), &[], &[], seen, None)
                .into_iter()
                .filter(|one| one.contains("workers"))
                .collect::<Vec<_>>()
        };
        assert!(said(&[scaling(64, 2, 1.85), scaling(REFERENCE, 2, 1.95)]).is_empty());
        let all = said(&[scaling(64, 2, 1.7), scaling(64, 4, 2.0), scaling(REFERENCE, 4, 3.8)]);
        assert!(all.len() == 1 && all[0].starts_with("4 workers carry only 2.00 times"), "{all:?}");
        let busy = ScalingFigures { waited_percent: 40.0, ..scaling(REFERENCE, 2, 1.2) };
        let all = said(&[scaling(64, 2, 1.9), busy]);
        assert!(all.len() == 1 && all[0].contains("others used the processors (40 %"), "{all:?}");
        assert!((times(2, &[busy]) - 2.0).abs() < 1e-9, "a busy machine says nothing");
    }

    #[test]
    fn what_limits_is_said() {
        let machine = |features: &[&str]| MachineFigures {
            features: features.iter().map(|one| (*one).to_owned()).collect(),
            timer_late_us: [60, 5000, 9000],
            ..MachineFigures::default()
        };
        let capacities = capacities(&FORWARD, Some(&rig(2300.0)));
        let said = limits(&machine(&[]), &[], &capacities, &[], None).join("\n");
        for words in ["no instructions for AES", "2000 ns", "BFD below 50 ms"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        let said = limits(&machine(&["aes"]), &[], &capacities, &[], None).join("\n");
        assert!(said.contains("no VAES"), "{said}");
    }
}
