//! A page read back by a parser that is not ours, against the documents of the API.

use std::collections::BTreeMap;

use bgp::fsm::State;
use dataplane::{ChannelId, DropReason, Fault};
use openmetrics_parser::{MetricNumber, OpenMetricsValue, openmetrics::parse_openmetrics};

use super::*;
use crate::api::{
    self, model,
    testbed::{break_channel, facts, mka_facts},
    testbed_bfd::bfd_facts,
    testbed_bgp::neighbor_report,
};

/// Value by sample: `name{label="value",...}`, labels in the order of the catalogue.
struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Reads a page twice: by the grammar of OpenMetrics (which must find no fault with it), and by lines.
    fn of(facts: &Facts) -> Self {
        Self::read(&text(facts, &Sums::default()))
    }

    fn read(text: &str) -> Self {
        let exposition = parse_openmetrics(text).unwrap_or_else(|why| panic!("{why:?}\n{text}"));
        let lines: BTreeMap<String, f64> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').unwrap();
                (name.to_owned(), value.parse().unwrap())
            })
            .collect();
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), lines.len(), "a series twice");
        let families = exposition.families.into_iter().collect::<BTreeMap<_, _>>();
        let parsed: usize = families.values().map(|family| family.iter_samples().count()).sum();
        // A histogram is one sample for the parser.
        let classes = lines
            .keys()
            .filter(|name| name.contains("_seconds_bucket{") || name.ends_with("_seconds_sum"))
            .count();
        assert_eq!(parsed, lines.len() - classes);
        for name in lines.keys() {
            let bare = name.split('{').next().unwrap();
            assert!(
                ALL.iter().any(|metric| metric.samples().iter().any(|name| name == bare)),
                "{name} is in no catalogue"
            );
        }
        Self(lines)
    }

    #[track_caller]
    fn is(&self, sample: &str, value: impl Into<Number>) {
        let Number(value) = value.into();
        let known = self.0.get(sample).unwrap_or_else(|| panic!("no {sample}: {:#?}", self.about(sample)));
        assert!((known - value).abs() < 1e-6, "{sample}: {known}, not {value}");
    }

    /// What is there under the same name.
    fn about(&self, sample: &str) -> Vec<&String> {
        let bare = sample.split('{').next().unwrap();
        self.0.keys().filter(|name| name.split('{').next() == Some(bare)).collect()
    }

    fn sum(&self, name: &str) -> f64 {
        self.0
            .iter()
            .filter(|(sample, _)| sample.split('{').next() == Some(name))
            .map(|(_, value)| value)
            .sum()
    }
}

struct Number(f64);

impl From<u64> for Number {
    #[expect(clippy::as_conversions, reason = "a test counts small numbers")]
    fn from(value: u64) -> Self {
        Self(value as f64)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self(f64::from(u8::from(value)))
    }
}

impl From<jiff::Timestamp> for Number {
    fn from(at: jiff::Timestamp) -> Self {
        Self(at.as_duration().as_secs_f64())
    }
}

#[test]
fn channels_and_ports_have_the_numbers_of_the_api() {
    let mut facts = facts();
    break_channel(&mut facts, 1, Fault::NoCarrier);
    facts.reports[0].snapshot.channels[0].drops.add(DropReason::MacsecLate, 12);
    facts.reports[1].snapshot.ports[0].drops.add(DropReason::NoRoute, 4);
    let samples = Samples::of(&facts);
    for channel in api::channels(&facts) {
        let at = |name: &str| format!("quadspan_{name}{{channel=\"{}\"}}", channel.name);
        samples.is(&at("channel_up"), channel.state == model::ChannelState::Live);
        samples.is(&at("channel_rx_frames_total"), channel.rx_frames);
        samples.is(&at("channel_rx_bytes_total"), channel.rx_octets);
        samples.is(&at("channel_tx_bytes_total"), channel.tx_octets);
        samples.is(&at("channel_last_change_timestamp_seconds"), channel.since.unwrap());
        let macsec = &channel.macsec;
        samples.is(&at("macsec_secured"), macsec.secured);
        samples.is(&at("macsec_cleartext"), macsec.clear_text);
        samples.is(&at("macsec_cleartext_accepted"), macsec.accepts_clear_text);
        samples.is(&at("macsec_should_secure"), macsec.policy == "should_secure");
        samples.is(&at("macsec_cipher_refused"), macsec.cipher_refused);
        samples.is(&at("macsec_next_packet_number"), macsec.next_pn.unwrap());
        samples.is(&at("macsec_packet_number_limit"), macsec.pn_limit);
        assert_eq!(macsec.counters.len(), 20, "{:?}", macsec.counters);
        for (counter, count) in &macsec.counters {
            samples.is(&at(&format!("macsec_{counter}_total")), *count);
        }
    }
    samples.is(r#"quadspan_channel_drops_total{channel="ch1",reason="macsec_late"}"#, 12);
    samples.is(r#"quadspan_channel_drops_total{channel="ch2",reason="macsec_late"}"#, 0);
    samples.is(r#"quadspan_channel_fault{channel="ch2",fault="no_carrier"}"#, true);
    samples.is(r#"quadspan_channel_fault{channel="ch1",fault="no_carrier"}"#, false);
    samples.is(
        r#"quadspan_channel_info{channel="ch2",interconnect="to-b",port="wan2",policy="should_secure"}"#,
        true,
    );
    for port in api::ports(&facts) {
        let at = |name: &str| format!("quadspan_{name}{{port=\"{}\"}}", port.name);
        samples.is(&at("port_up"), port.state == model::PortState::Up);
        samples.is(&at("port_rx_bytes_total"), port.rx_octets);
        samples.is(&at("port_tx_frames_total"), port.tx_frames);
        for (loss, count) in &port.losses {
            samples
                .is(&format!("quadspan_port_losses_total{{port=\"{}\",loss=\"{loss}\"}}", port.name), *count);
        }
    }
    samples.is(r#"quadspan_port_drops_total{port="lan1",reason="no_route"}"#, 4);
    let Number(all) = api::drops(&facts).iter().map(|drop| drop.count).sum::<u64>().into();
    let told = samples.sum("quadspan_channel_drops_total") + samples.sum("quadspan_port_drops_total");
    assert!((told - all).abs() < 0.5, "{told} of {all}");
}

#[test]
fn connections_and_attachments_have_the_numbers_of_the_api() {
    let mut facts = facts();
    break_channel(&mut facts, 1, Fault::MkaDown);
    let samples = Samples::of(&facts);
    for connection in api::connections(&facts) {
        let at = |name: &str| format!("quadspan_{name}{{connection=\"{}\"}}", connection.name);
        samples.is(&at("connection_up"), connection.state != model::ConnectionState::Down);
        samples.is(&at("connection_attachments"), u64::try_from(connection.total).unwrap());
        samples.is(&at("connection_attachments_live"), u64::try_from(connection.live).unwrap());
        for one in &connection.attachments {
            let vlan = one.vlan.map(|vlan| vlan.to_string()).unwrap_or_default();
            let labels =
                format!("connection=\"{}\",channel=\"{}\",vlan=\"{vlan}\"", connection.name, one.channel);
            let at = |name: &str| format!("quadspan_attachment_{name}{{{labels}}}");
            samples.is(&at("up"), one.state == model::ChannelState::Live);
            samples.is(&at("rx_bytes_total"), one.rx_octets);
            samples.is(&at("tx_frames_total"), one.tx_frames);
            samples.is(
                &format!("quadspan_attachment_fault{{{labels},fault=\"mka_down\"}}"),
                one.reason.as_deref() == Some("mka_down"),
            );
        }
    }
    samples.is("quadspan_degraded", true);
    samples.is(&format!("quadspan_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), true);
    samples.is("quadspan_start_time_seconds", facts.started);
    samples.is(r#"quadspan_worker_up{worker="1"}"#, true);
}

#[test]
fn key_agreements_have_the_numbers_of_the_api() {
    let facts = mka_facts();
    let samples = Samples::of(&facts);
    let [well, ill] = &api::mka(&facts)[..] else { panic!("two channels have MKA") };
    for channel in [well, ill] {
        let at = |name: &str| format!("quadspan_mka_{name}{{channel=\"{}\"}}", channel.channel);
        samples.is(&at("rekeys_total"), channel.rekeys);
        samples.is(&at("unsent_total"), channel.unsent);
        samples.is(&at("suspended"), false);
        for one in &channel.participants {
            let labels = format!("{{channel=\"{}\",ckn=\"{}\"}}", channel.channel, one.ckn);
            samples.is(&format!("quadspan_mka_in_mkpdu_total{labels}"), one.in_mkpdu);
            samples.is(&format!("quadspan_mka_out_mkpdu_total{labels}"), one.out_mkpdu);
            samples.is(&format!("quadspan_mka_icv_failures_total{labels}"), one.icv_failures);
        }
        for (fault, count) in &channel.faults {
            let labels = format!("{{channel=\"{}\",fault=\"{fault}\"}}", channel.channel);
            samples.is(&format!("quadspan_mka_faults_total{labels}"), *count);
        }
    }
    assert!(!ill.faults.is_empty() && !ill.diagnoses.is_empty());
    let key = well.key.as_ref().unwrap();
    samples.is(r#"quadspan_mka_sak_installed_timestamp_seconds{channel="ch1"}"#, key.since);
    samples.is(r#"quadspan_mka_sak_due_timestamp_seconds{channel="ch1"}"#, key.replaced_at.unwrap());
    samples.is(r#"quadspan_mka_key_server{channel="ch1"}"#, well.key_server.as_ref().unwrap().ours);
    samples.is(r#"quadspan_mka_live_peers{channel="ch1"}"#, 1);
    samples.is(r#"quadspan_mka_live_peers{channel="ch2"}"#, 0);
    samples.is(r#"quadspan_mka_key_next_start_timestamp_seconds{channel="ch2"}"#, ill.waiting[0].starts);
    samples.is(r#"quadspan_mka_diagnosis{channel="ch2",code="cak_differs"}"#, true);
    assert!(!samples.0.contains_key(r#"quadspan_mka_diagnosis{channel="ch1",code="cak_differs"}"#));
    // The channel may do without a key, and does: that is told aloud.
    samples.is(r#"quadspan_macsec_cleartext{channel="ch2"}"#, true);
    samples.is(r#"quadspan_macsec_secured{channel="ch2"}"#, false);
}

#[test]
fn bfd_sessions_have_the_numbers_of_the_api() {
    let facts = bfd_facts();
    let samples = Samples::of(&facts);
    let sessions = api::bfd(&facts);
    assert_eq!(sessions.len(), 3);
    for one in &sessions {
        let labels = format!("interface=\"{}\",peer=\"{}\"", one.interface, one.peer);
        let at = |name: &str| format!("quadspan_bfd_{name}{{{labels}}}");
        samples.is(&at("session_up"), one.state == "up");
        samples.is(&at("session_fault"), one.fault);
        samples.is(&at("session_ups_total"), one.ups);
        samples.is(&at("session_downs_total"), one.downs);
        samples.is(&at("last_change_timestamp_seconds"), one.since);
        samples.is(&at("rx_packets_total"), one.rx_packets);
        for (why, count) in &one.refused {
            samples.is(&format!("quadspan_bfd_refused_packets_total{{{labels},reason=\"{why}\"}}"), *count);
        }
        let gap = samples.0[&at("longest_gap_seconds")] * 1e6;
        let Number(micros) = one.longest_gap_us.into();
        assert!((gap - micros).abs() < 1.0);
    }
    assert!(samples.sum("quadspan_bfd_session_downs_total") >= 1.0);
}

#[test]
fn bgp_that_does_not_answer_says_so_and_nothing_else() {
    let mut facts = facts();
    let about = |samples: &Samples| samples.0.keys().filter(|name| name.contains("_bgp_")).count();
    assert_eq!(about(&Samples::of(&facts)), 0, "no connection speaks it");
    facts.config = std::sync::Arc::new(api::testbed::config_with_bgp());
    Samples::of(&facts).is("quadspan_bgp_responding", 1);
    facts.neighbors = None;
    let silent = Samples::of(&facts);
    silent.is("quadspan_bgp_responding", 0);
    assert_eq!(about(&silent), 1, "what is not known is left out");
}

#[test]
fn bgp_neighbours_have_the_numbers_of_the_api() {
    let mut facts = facts();
    facts.config = std::sync::Arc::new(api::testbed::config_with_bgp());
    for (state, up) in [(State::Established, true), (State::Active, false)] {
        let report = neighbor_report(state);
        facts.neighbors = Some(vec![report.clone()]);
        let samples = Samples::of(&facts);
        let [one] = &api::bgp(&facts, &[report])[..] else { panic!("one neighbour") };
        let labels = format!("connection=\"{}\",neighbor=\"{}\"", one.connection, one.name);
        let at = |name: &str| format!("quadspan_bgp_{name}{{{labels}}}");
        samples.is(&at("session_up"), up);
        samples.is(&at("sessions_total"), one.sessions);
        samples.is(&at("session_resets_total"), one.sessions - u64::from(up));
        samples.is(&at("last_change_timestamp_seconds"), one.since);
        samples.is(&at("last_down_timestamp_seconds"), one.last_down.as_ref().unwrap().at);
        for (state, is) in [("established", up), ("active", !up), ("idle", false)] {
            samples.is(&format!("quadspan_bgp_session_state{{{labels},state=\"{state}\"}}"), is);
        }
        for (way, messages, updates) in [("in", 42, 40), ("out", 6, 5)] {
            samples.is(&format!("quadspan_bgp_messages_total{{{labels},direction=\"{way}\"}}"), messages);
            samples.is(&format!("quadspan_bgp_updates_total{{{labels},direction=\"{way}\"}}"), updates);
        }
        let family = |name: &str| format!("quadspan_bgp_prefixes_{name}{{{labels},family=\"ipv4\"}}");
        assert_eq!(one.families[0].received, 1200);
        for (name, value) in [
            ("received", 1200),
            ("accepted", 1100),
            ("received_limit", 1500),
            ("announced", 7),
            ("held_back", 2),
            ("overflowed", 0),
        ] {
            samples.is(&family(name), value);
        }
        assert!(!samples.0.contains_key(&family("announced_limit")), "there is none");
    }
}

// A counter that falls looks like a restart, and a sum of which a part is missing falls.
#[test]
fn what_a_silent_worker_knows_is_left_out() {
    let mut facts = facts();
    facts.reports.truncate(1);
    let samples = Samples::of(&facts);
    samples.is(r#"quadspan_worker_up{worker="0"}"#, true);
    samples.is(r#"quadspan_worker_up{worker="1"}"#, false);
    let lost =
        facts.setup.channels.iter().position(|channel| channel.owner != dataplane::WorkerId(0)).unwrap();
    assert!(facts.channel(ChannelId::at(lost)).is_none());
    let name = &facts.config.channels[lost].name;
    let told: Vec<_> =
        samples.0.keys().filter(|sample| sample.contains(&format!("channel=\"{name}\""))).collect();
    assert!(
        told.iter().all(|sample| sample.contains("_info{") || sample.contains("should_secure{")),
        "{told:?}"
    );
    assert!(samples.about("quadspan_port_rx_bytes_total").is_empty());
    assert!(samples.about("quadspan_attachment_rx_bytes_total").is_empty());
    assert!(
        samples.about("quadspan_connection_attachments_live{").iter().all(|sample| sample.contains("wire"))
    );
}

// A peer may send what it likes: the series stay as many as the configuration makes them.
#[test]
fn peers_make_no_series() {
    let count =
        |facts: &Facts| text(facts, &Sums::default()).lines().filter(|line| !line.starts_with('#')).count();
    let (quiet, mut loud) = (facts(), facts());
    for report in &mut loud.reports {
        for channel in &mut report.snapshot.channels {
            DropReason::ALL.iter().for_each(|reason| channel.drops.add(*reason, 1));
        }
        for port in &mut report.snapshot.ports {
            DropReason::ALL.iter().for_each(|reason| port.drops.add(*reason, 1));
        }
    }
    assert_eq!(count(&quiet), count(&loud));
}

#[test]
fn a_number_is_what_the_other_parser_reads_too() {
    let text = text(&facts(), &Sums::default());
    let exposition = parse_openmetrics(&text).unwrap();
    let family = &exposition.families["quadspan_channel_rx_bytes"];
    let sample = family.iter_samples().next().unwrap();
    let OpenMetricsValue::Counter(counter) = &sample.value else { panic!("{:?}", sample.value) };
    assert_eq!(counter.value, MetricNumber::Int(98_765_432));
}

#[test]
fn failovers_have_the_numbers_of_the_record() {
    let sums = api::testbed::records().sums();
    let samples = Samples::read(&text(&facts(), &sums));
    let mut below = 0;
    for (bound, count) in crate::events::BOUNDS.into_iter().zip(sums.failovers.counts) {
        below += count;
        samples.is(&format!("quadspan_failover_duration_seconds_bucket{{le=\"{bound:?}\"}}"), below);
    }
    samples.is("quadspan_failover_duration_seconds_bucket{le=\"+Inf\"}", sums.failovers.count);
    samples.is("quadspan_failover_duration_seconds_count", sums.failovers.count);
    assert!((samples.0["quadspan_failover_duration_seconds_sum"] - sums.failovers.sum).abs() < 1e-9);
    assert!(sums.failovers.count > 0);
    for (fault, count) in sums.left {
        samples.is(&format!("quadspan_attachment_departures_total{{fault=\"{}\"}}", fault.label()), count);
    }
    samples.is(r#"quadspan_attachment_departures_total{fault="drained"}"#, 1);
}
