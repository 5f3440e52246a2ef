//! The summary of a survey: a few lines for users.

mod left_out;
mod missed;
mod unsent;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::StrategyChoice;
use crate::dataset::{Output, not_sent};
use crate::engine::report::Tally;
use crate::model::{Anomaly, DiscardReason, Rate, Status};
use crate::targets::{Families, LoadReport};

use unsent::Circumstances;

pub use missed::MissedReplyRate;

/// A short readable summary. `Display` gives all lines, each with a newline.
#[derive(Debug)]
pub struct Summary {
    /// The output.
    pub output: Output,
    /// The path of the manifest, if the output is a directory or a file.
    pub(super) manifest: Option<PathBuf>,
    pub(super) targets: u32,
    /// The IPv4 targets among `targets`.
    pub(super) ipv4_targets: u32,
    pub(super) report: LoadReport,
    pub(super) families: Families,
    pub(super) in_lab: bool,
    pub(super) mtu: bool,
    pub(super) strategy: StrategyChoice,
    pub(super) tally: Tally,
    /// Probes per second of this session.
    pub(super) achieved_rate: Option<f64>,
    pub(super) responders: u64,
    pub(super) requested_rate: Rate,
    pub(super) duration: Duration,
    pub(super) virtual_time: bool,
    pub(super) rows: u64,
}

impl Summary {
    /// The counters that the summary is made from.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The number of addresses that answered.
    pub fn distinct_responders(&self) -> u64 {
        self.responders
    }

    /// The summary as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        let counts = &self.tally.statistics;
        serde_json::json!({
            "targets": self.targets,
            "left_out": left_out::to_json(&self.report),
            "traces": self.tally.traces_ended,
            "reached": self.tally.traces_reached,
            "probes_sent": counts.probes_sent(),
            "replied": counts.probes(Status::Replied),
            "unanswered": counts.probes(Status::Timeout),
            "not_sent": not_sent(counts),
            "distinct_responders": self.responders,
            "achieved_rate": self.achieved_rate,
            "duration_s": self.duration.as_secs_f64(),
            "rows": self.rows,
            "anomalies": self.anomalies().collect::<BTreeMap<_, _>>(),
        })
    }

    /// The anomalies that at least one trace shows, with the number of these traces.
    fn anomalies(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Anomaly::ALL
            .into_iter()
            .map(|anomaly| (anomaly.as_str(), self.tally.statistics.anomalies(anomaly)))
            .filter(|(_, traces)| *traces > 0)
    }

    /// The reasons why probes were not sent, one line each.
    fn unsent(&self) -> Vec<String> {
        let about = Circumstances {
            in_lab: self.in_lab,
            both_families: self.ipv4_targets > 0 && self.ipv4_targets < self.targets,
            mtu: self.mtu,
        };
        unsent::in_words(&self.tally.statistics, about)
    }

    /// The warning that not a single probe was answered; `None` if one was.
    pub(super) fn silence(&self) -> Option<String> {
        let counts = &self.tally.statistics;
        let sent = counts.probes_sent();
        let late = counts.probes(Status::Late) + counts.extra_replies(Status::Late);
        if counts.probes(Status::Replied) + late > 0 {
            return None;
        }
        if sent == 0 {
            let refused = self.unsent();
            return (!refused.is_empty())
                .then(|| format!("not a single probe was sent: {}", refused.join("; ")));
        }
        let probes = match sent {
            1 => "the only probe was not answered".to_owned(),
            _ => format!("not one of {} probes was answered", grouped(sent)),
        };
        Some(format!(
            "{probes}: a firewall may drop them or the answers, or the targets may not be there; try another --protocol, or a target \
             that is known to answer"
        ))
    }

    /// Counts beside replies and timeouts: late and duplicate replies, probes not sent or skipped, discarded and dropped
    /// packets.
    fn extras(&self) -> Vec<String> {
        let counts = &self.tally.statistics;
        let late = counts.probes(Status::Late) + counts.extra_replies(Status::Late);
        let discarded: u64 = DiscardReason::ALL
            .iter()
            .map(|reason| counts.discarded(*reason))
            .sum();
        let dropped = self.tally.kernel_drops.receive_buffer.unwrap_or(0);
        [
            (late, "late"),
            (counts.extra_replies(Status::Duplicate), "duplicate"),
            (counts.probes(Status::SendError), "not sent"),
            (counts.probes(Status::Skipped), "skipped"),
            (discarded, "packets of no use"),
            (dropped, "dropped by the kernel"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", grouped(count)))
        .collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.about_targets();
        lines.extend(self.about_probes());
        lines.push(("rate", self.rate()));
        lines.extend(self.about_dataset());
        lines
            .iter()
            .try_for_each(|(name, value)| writeln!(f, "  {name:<12} {value}"))
    }
}

/// A line of the summary: its name and its text.
type Line = (&'static str, String);

impl Summary {
    fn about_targets(&self) -> Vec<Line> {
        let mut lines = vec![("targets", grouped(u64::from(self.targets)))];
        let left_out = left_out::in_words(&self.report, self.families);
        if !left_out.is_empty() {
            lines.push(("left out", left_out.join(", ")));
        }
        if self.strategy != StrategyChoice::Sweep {
            let (ended, reached) = (self.tally.traces_ended, self.tally.traces_reached);
            let traces = format!(
                "{}, {} reached their target{}",
                grouped(ended),
                grouped(reached),
                percent(reached, ended)
            );
            lines.push(("traces", traces));
        }
        let anomalies: Vec<String> = self
            .anomalies()
            .map(|(name, traces)| format!("{name} {}", grouped(traces)))
            .collect();
        if !anomalies.is_empty() {
            lines.push(("anomalies", anomalies.join(", ")));
        }
        lines
    }

    fn about_probes(&self) -> Vec<Line> {
        let counts = &self.tally.statistics;
        let sent = counts.probes_sent();
        let replied = counts.probes(Status::Replied);
        let replies = format!("{}{}", grouped(replied), percent(replied, sent));
        let mut lines = vec![
            ("probes", format!("{} sent", grouped(sent))),
            ("replies", replies),
            ("unanswered", grouped(counts.probes(Status::Timeout))),
        ];
        let extras = self.extras();
        if !extras.is_empty() {
            lines.push(("besides", extras.join(", ")));
        }
        lines.extend(self.unsent().into_iter().map(|why| ("not sent", why)));
        let responders = grouped(self.responders);
        lines.push(("responders", format!("{responders} distinct addresses")));
        lines
    }

    fn rate(&self) -> String {
        let time = match self.virtual_time {
            true => "virtual time",
            false => "in all",
        };
        let achieved = self.achieved_rate.map_or_else(String::new, |rate| {
            format!(
                "{} probes/s on average, {} at most; ",
                grouped(rate.round() as u64),
                grouped(self.requested_rate.per_second().round() as u64)
            )
        });
        format!("{achieved}{:.1} s {time}", self.duration.as_secs_f64())
    }

    fn about_dataset(&self) -> Vec<Line> {
        let rows = grouped(self.rows);
        match &self.output {
            Output::Directory(root) => {
                let root = root.display().to_string();
                let root = root.trim_end_matches('/');
                let hops = format!("{root}/ ({rows} rows of hops; {root}/manifest.json tells all)");
                let open =
                    format!("duckdb -c \"select * from '{root}/hops/**/*.parquet' limit 20\"");
                vec![("dataset", hops), ("open it", open)]
            }
            Output::File { path, .. } => {
                let manifest = self.manifest.as_ref().map_or_else(String::new, |path| {
                    format!("; {} tells all", path.display())
                });
                let file = format!("{} ({rows} rows{manifest})", path.display());
                vec![("dataset", file)]
            }
            Output::Stdout { .. } => vec![("dataset", format!("standard output ({rows} rows)"))],
        }
    }
}

/// `12345678` as `12,345,678`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    format!(" ({:.1}%)", 100.0 * part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_share_of_nothing_is_not_shown() {
        assert_eq!(percent(0, 0), "");
        assert_eq!(percent(1, 3), " (33.3%)");
    }
}
