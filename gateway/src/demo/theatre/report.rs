//! The report as one HTML file: a table, and plots in SVG. It needs nothing from elsewhere: no script, font, or image.

use std::fmt::Write as _;

use super::super::outcome::short;
use super::median;
use super::outcome::{Evening, HEADER, Scene, row};

/// The whole page.
pub(super) fn page(evening: &Evening) -> String {
    let verdict = if evening.ok { "within all budgets" } else { "not within its budgets" };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Quadspan: failover, {verdict}</title>\n\
         <style>{STYLE}</style></head>\n<body><main>\n<h1>Failover, measured</h1>\n\
         <p class=\"{}\">{verdict}. Two sites, four encrypted channels, numbered traffic both ways. Timers on this \
         machine are up to {} late (99 of 100); budgets grow with that.</p>\n",
        if evening.ok { "good" } else { "bad" },
        short(evening.lateness()),
    );
    if let Some(error) = &evening.error {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "<p class=\"bad\">It ended early: {}</p>", escape(error));
    }
    if !evening.medians.is_empty() {
        page.push_str("<h2>Medians of all runs, and in brackets the worst</h2>\n");
        let rows = evening.medians.iter().map(|one| ("", median::row(one)));
        page.push_str(&table(median::HEADER, rows));
        page.push_str("<h2>Each run</h2>\n");
    }
    let rows = evening.scenes.iter().flat_map(|scene| {
        scene.directions.iter().map(move |seen| {
            let class = if seen.gap <= scene.gap_budget { "good" } else { "bad" };
            (class, row(scene, seen))
        })
    });
    page.push_str(&table(HEADER, rows));
    evening.scenes.iter().for_each(|scene| page.push_str(&section(scene)));
    page.push_str(&checks(evening));
    page.push_str(EXPLANATION);
    page.push_str("</main></body></html>\n");
    page
}

fn table<'a, const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = (&'a str, [String; N])>,
) -> String {
    let mut html = "<table><thead><tr>".to_owned();
    html.extend(header.iter().map(|name| format!("<th>{}</th>", name.to_lowercase())));
    html.push_str("</tr></thead><tbody>\n");
    for (class, row) in rows {
        let cells: String = row.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(html, "<tr class=\"{class}\">{cells}</tr>");
    }
    html.push_str("</tbody></table>\n");
    html
}

fn section(scene: &Scene) -> String {
    let mut html = format!(
        "<section><h2>{}</h2>\n<p>{}; {}. Timers were up to {} late; a flow sends every {}.</p>\n",
        escape(&scene.name()),
        escape(&scene.at),
        if scene.reasons.is_empty() {
            "no gateway said anything".to_owned()
        } else {
            escape(&scene.reasons.join(", "))
        },
        short(scene.lateness),
        short(scene.spacing)
    );
    for plot in &scene.plots {
        let caption = escape(plot.way);
        let step = short(plot.step);
        let _ = writeln!(
            html,
            "<figure>{}<figcaption>{caption}: arrivals per {step}, by the channel that flows had before, and losses on a scale of their own</figcaption>\
             </figure>",
            plot.svg()
        );
    }
    html.push_str("</section>\n");
    html
}

fn checks(evening: &Evening) -> String {
    let mut html =
        "<h2>Checks</h2>\n<table><thead><tr><th></th><th>check</th><th>found</th><th>wanted</th></tr></thead>\
                    <tbody>\n"
            .to_owned();
    for check in evening.verdict.checks() {
        let (class, word) = if check.ok { ("good", "ok") } else { ("bad", "FAILED") };
        let [name, value, wanted] = [&check.name, &check.value, &check.wanted].map(|text| escape(text));
        let _ = writeln!(
            html,
            "<tr class=\"{class}\"><td>{word}</td><td>{name}</td><td>{value}</td><td>{wanted}</td></tr>"
        );
    }
    html.push_str("</tbody></table>\n");
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--bar:#3b7ddd;--good:#1a7f37;--bad:#cf222e}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--bar:#58a6ff;--good:#3fb950;--bad:#ff7b72}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0}
main{max-width:64rem;margin:auto;padding:1rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #8884}
p.good,tr.good td:first-child{color:var(--good)}p.bad,tr.bad td{color:var(--bad)}
figure{margin:1rem 0}figcaption{font-size:.85rem;opacity:.8}
svg{width:100%;height:auto}svg rect{fill:var(--bar)}svg text{font-size:11px;fill:var(--ink)}
svg rect.lost{fill:var(--bad)}
svg line{stroke-width:1.5}svg .hurt{stroke:var(--bad)}svg .mended{stroke:var(--good)}svg .left{stroke:var(--ink)}
svg text.hurt{stroke:none;fill:var(--bad)}svg text.mended{stroke:none;fill:var(--good)}svg text.left{stroke:none}
svg text.end{text-anchor:end}
";

const EXPLANATION: &str = "<h2>How it was measured</h2>
<p>Each direction has its own flows of numbered datagrams, sent at a fixed rate; the receiving kernel stamps each
arrival. <b>Silent</b> is the longest time between two arrivals of one flow, minus the time after which that flow sent
its next datagram. <b>Detected</b> is when the later of the two gateways logged that it took the first channel out of
use; of a drain, when the channel was safe to work on; of a lossy channel, when its quality, measured in windows of a
second, was bad. <b>Well after</b> is the time from mending until everything was as before. <b>Flows hit</b> are those that went over a broken channel, as the wires saw by the lengths of the encrypted frames.
</p>
";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::outcome::tests::scene;
    use super::super::plot::Plot;
    use super::*;

    #[test]
    fn the_page_stands_alone_and_shows_what_failed() {
        let mut evening = Evening::new(Duration::from_millis(1));
        let plot = Plot {
            way: "a -> b",
            step: Duration::from_millis(1),
            hurt: Duration::ZERO,
            left: None,
            mended: None,
            rows: vec![("ch1".to_owned(), vec![1])],
            lost: vec![1],
        };
        evening.add(Scene { plots: vec![plot], ..scene(6, 0) });
        evening.add(Scene { run: 2, ..scene(1, 0) });
        evening.error = Some("a <b> & c".to_owned());
        evening.conclude(Duration::ZERO);
        let page = page(&evening);
        let parts = [
            "not within its budgets",
            "a &lt;b&gt; &amp; c",
            "<svg",
            "a -&gt; b",
            "FAILED",
            "Medians",
            "run 2",
        ];
        for part in parts {
            assert!(page.contains(part), "{part} is missing");
        }
        for elsewhere in ["http", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
    }
}
