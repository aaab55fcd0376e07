//! Metrics of a gateway that forwards: on its socket and on its TCP address, against what its API says.
//!
//! Needs root and the tools; skipped loudly without, and failed under `CI=true`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod support;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use openmetrics_parser::openmetrics::parse_openmetrics;
use support::{
    shell::{ping, until},
    sites::{Plan, Sites},
};

const PLAN: Plan =
    Plan { channels: 2, mka: Some(""), runtime: "metrics = \"127.0.0.1:9477\"\n", ..Plan::DEFAULT };
const PATIENCE: Duration = Duration::from_secs(20);

/// What a page says, by sample. It must be OpenMetrics.
fn samples(page: &str) -> BTreeMap<String, f64> {
    parse_openmetrics(page).unwrap_or_else(|why| panic!("{why:?}\n{page}"));
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

/// What a collector on the gateway's machine gets: head and body.
fn get(sites: &Sites, path: &str) -> (String, String) {
    let ask = || {
        let mut stream = TcpStream::connect("127.0.0.1:9477").unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = sites.lab.namespace("gw-a").unwrap().within(ask).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn scrape(sites: &Sites) -> BTreeMap<String, f64> {
    samples(&get(sites, "/metrics").1)
}

#[test]
fn a_collector_sees_what_the_api_says_while_frames_flow() {
    let Some(mut sites) = Sites::start("metrics::a_collector", PLAN) else { return };
    ping(&sites.lab, "h-a", 3, "-M do -s 1400 10.2.0.2");
    let counters = |sites: &Sites| ["ch1", "ch2"].map(|channel| sites.a.counted(channel));
    let (before, page, after) = (counters(&sites), scrape(&sites), counters(&sites));
    for (at, channel) in ["ch1", "ch2"].into_iter().enumerate() {
        let value = |name: &str| {
            let sample = format!("quadspan_{name}{{channel=\"{channel}\"}}");
            *page.get(&sample).unwrap_or_else(|| panic!("no {sample}"))
        };
        for (name, count) in &before[at].counters {
            let told = value(&format!("macsec_{name}_total"));
            let range = f64::from(u32::try_from(*count).unwrap())
                ..=f64::from(u32::try_from(after[at].of(name)).unwrap());
            assert!(range.contains(&told), "{channel} {name}: {told} is not in {range:?}");
        }
        assert_eq!([value("channel_up"), value("macsec_secured"), value("macsec_cleartext")], [1., 1., 0.]);
        assert_eq!(value("mka_live_peers"), 1.);
    }
    assert!(page["quadspan_attachment_up{connection=\"blue\",channel=\"ch1\",vlan=\"100\"}"] > 0.);
    // The socket has the same page, and the address has nothing but it.
    let socket = samples(&sites.a.page());
    assert_eq!(socket.keys().collect::<Vec<_>>(), page.keys().collect::<Vec<_>>());
    assert!(get(&sites, "/v1/config").0.starts_with("HTTP/1.1 404"));
    assert!(sites.a.log().contains("metrics.listening"));

    // A peer that dies is seen.
    assert!(page["quadspan_connection_up{connection=\"blue\"}"] > 0.5);
    sites.b.kill();
    until("the loss is in the metrics", PATIENCE, || {
        let page = scrape(&sites);
        let down = page["quadspan_connection_attachments_live{connection=\"blue\"}"] < 0.5
            && page["quadspan_macsec_secured{channel=\"ch1\"}"] < 0.5
            && page["quadspan_attachment_fault{connection=\"blue\",channel=\"ch1\",vlan=\"100\",fault=\"mka_down\"}"]
                > 0.5;
        (down && page["quadspan_degraded"] > 0.5).then_some(())
    });
    sites.a.end();
}
