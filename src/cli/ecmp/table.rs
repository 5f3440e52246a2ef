//! The figures of `ecmp` as text for a terminal.

use std::collections::BTreeMap;

use chrono::DateTime;
use indicatif::HumanCount;

use pathsurvey::analyze::ecmp::{Bin, RunFacts, Source, Spread, Summary};

use crate::cli::datasets::{Align, Table, counted, shown};

/// The most runs that are listed. The newest ones are.
const LISTED_RUNS: usize = 10;

/// All figures.
pub(super) fn text(summary: &Summary) -> String {
    let sections = [
        runs(summary),
        graphs(summary),
        widths(summary),
        diamonds(summary),
        shared(summary),
    ];
    sections.join("\n")
}

fn runs(summary: &Summary) -> String {
    let source = match summary.source {
        Source::Multipath => "multipath tracing",
        Source::Flows => "the paths of several flows, so other paths may be missing",
    };
    let mut text = format!(
        "{} of {} in {} (from {source})\n",
        counted(summary.graphs, "graph"),
        counted(summary.targets, "target"),
        counted(summary.runs.len() as u64, "run"),
    );
    let mut table = Table::new(&[
        ("started", Align::Left),
        ("vantage", Align::Left),
        ("run", Align::Left),
        ("state", Align::Left),
        ("protocol", Align::Left),
        ("flows differ in", Align::Left),
        ("graphs", Align::Right),
    ]);
    for run in summary.runs.iter().rev().take(LISTED_RUNS) {
        table.row(vec![
            started(run),
            run.vantage.clone(),
            run.run_id.clone(),
            run.state.clone(),
            run.protocol.clone(),
            run.vary.clone(),
            count(run.graphs),
        ]);
    }
    text += &table.text();
    if let Some(older) = summary.runs.len().checked_sub(LISTED_RUNS + 1) {
        text += &format!("and {}\n", counted(older as u64 + 1, "older run"));
    }
    text
}

fn started(run: &RunFacts) -> String {
    let time = run.started_at_us.and_then(DateTime::from_timestamp_micros);
    time.map_or_else(
        || "-".to_owned(),
        |time| time.format("%Y-%m-%d %H:%M").to_string(),
    )
}

fn graphs(summary: &Summary) -> String {
    let mut text = format!(
        "targets behind a diamond   {} ({})\n",
        count(summary.targets_behind_diamond),
        share(summary.targets_behind_diamond, summary.targets)
    );
    let of = match summary.source {
        Source::Multipath => "stop reasons             ",
        Source::Flows => "stop reasons of traces   ",
    };
    text += &format!("{of}  {}\n", named(&summary.stop_reasons));
    if !summary.algorithms.is_empty() {
        text += &format!(
            "algorithms                 {}\n",
            named(&summary.algorithms)
        );
    }
    if let Some(bound) = &summary.failure_bound {
        let number = |bound: Option<f64>| bound.map_or_else(|| "-".to_owned(), |b| b.to_string());
        text += &format!(
            "failure bound              asked {}, worst {}, larger than asked in {}\n",
            number(bound.asked),
            number(bound.worst),
            counted(bound.larger_than_asked, "graph"),
        );
        text += &format!(
            "ended by a limit           {}\n",
            counted(summary.guards_fired, "graph")
        );
    }
    let mut table = Table::new(&[
        ("of a graph", Align::Left),
        ("median", Align::Right),
        ("90%", Align::Right),
        ("max", Align::Right),
        ("in all", Align::Right),
    ]);
    for (name, spread) in [("flows", summary.flows), ("probes", summary.probes)] {
        table.row(spread_row(name, spread));
    }
    for (name, total) in [("nodes", summary.nodes), ("links", summary.links)] {
        let blank = String::new;
        table.row(vec![
            name.to_owned(),
            blank(),
            blank(),
            blank(),
            count(total),
        ]);
    }
    format!("{text}\n{}", table.text())
}

/// Names with their counts.
fn named(counts: &BTreeMap<String, u64>) -> String {
    let counts = counts.iter();
    let counts: Vec<String> = counts
        .map(|(name, graphs)| format!("{} {}", shown(name), count(*graphs)))
        .collect();
    counts.join(", ")
}

fn spread_row(name: &str, spread: Spread) -> Vec<String> {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), count);
    vec![
        name.to_owned(),
        number(spread.median),
        number(spread.p90),
        number(spread.max),
        count(spread.total),
    ]
}

fn widths(summary: &Summary) -> String {
    bins("nodes at the widest TTL", "graphs", &summary.max_width)
}

fn diamonds(summary: &Summary) -> String {
    let figures = &summary.diamonds;
    let mut text = format!(
        "{}, {} with both ends known, {} distinct; {} meshed\n",
        counted(figures.total, "diamond"),
        count(figures.with_both_ends),
        count(figures.distinct),
        count(figures.meshed),
    );
    if figures.total == 0 {
        return text;
    }
    let mut table = Table::new(&[
        ("balancer", Align::Left),
        ("diamonds", Align::Right),
        ("targets", Align::Right),
        ("share of targets", Align::Right),
    ]);
    for row in figures.balancers.iter().filter(|row| row.diamonds > 0) {
        table.row(vec![
            row.balancer.map_or("not known", |b| b.as_str()).to_owned(),
            count(row.diamonds),
            count(row.targets),
            share(row.targets, summary.targets),
        ]);
    }
    text += &table.text();
    for (name, values) in [
        ("width", &figures.max_width),
        ("length", &figures.max_length),
        ("asymmetry", &figures.width_asymmetry),
    ] {
        text += &format!("\n{}", bins(name, "diamonds", values));
    }
    text
}

/// A table of a distribution.
fn bins(name: &str, what: &str, bins: &[Bin]) -> String {
    let mut table = Table::new(&[
        (name, Align::Left),
        (what, Align::Right),
        ("share", Align::Right),
    ]);
    let all = bins.iter().map(|bin| bin.count).sum();
    for bin in bins {
        let range = match bin.least == bin.most {
            true => bin.least.to_string(),
            false => format!("{}–{}", bin.least, bin.most),
        };
        table.row(vec![range, count(bin.count), share(bin.count, all)]);
    }
    table.text()
}

fn shared(summary: &Summary) -> String {
    if summary.shared_diamonds.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("most shared diamonds: from", Align::Left),
        ("to", Align::Left),
        ("targets", Align::Right),
        ("width", Align::Right),
        ("length", Align::Right),
        ("shape", Align::Left),
        ("balancer", Align::Left),
    ]);
    for diamond in &summary.shared_diamonds {
        let width = match diamond.least_width == diamond.most_width {
            true => diamond.most_width.to_string(),
            false => format!("{}–{}", diamond.least_width, diamond.most_width),
        };
        let shape = match (diamond.meshed, diamond.most_asymmetry) {
            (Some(true), Some(0)) => "meshed".to_owned(),
            (Some(true), Some(by)) => format!("meshed, asymmetry {by}"),
            (_, Some(by @ 1..)) => format!("asymmetry {by}"),
            (Some(false), _) => "plain".to_owned(),
            _ => "-".to_owned(),
        };
        let balancers: Vec<&str> = diamond.balancers.iter().map(|b| b.as_str()).collect();
        table.row(vec![
            diamond.divergence.to_string(),
            diamond.convergence.to_string(),
            count(diamond.targets),
            width,
            diamond.most_length.to_string(),
            shape,
            match balancers.is_empty() {
                true => "-".to_owned(),
                false => balancers.join(", "),
            },
        ]);
    }
    table.text()
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

fn share(part: u64, all: u64) -> String {
    match all {
        0 => "-".to_owned(),
        _ => format!("{:.1}%", 100.0 * part as f64 / all as f64),
    }
}
