//! Closes the dataset of a run, and sums the run up.

use crate::config::Network;
use crate::dataset::{Ending, Kept};
use crate::engine::report::Tally;
use crate::lab::driver::LabCounts;
use crate::model::{Status, Targets, Time};

use super::sink::{DatasetSink, FixedFigures};
use super::words::cause_name;
use super::{Job, MissedReplyRate, Observer, Summary, SurveyEnd, SurveyError, packets, words};

/// What a reader of the dataset should know of how the run went.
pub(super) fn warnings_at_the_end(kept: Option<&Kept>, tally: &Tally) -> Vec<String> {
    let reader_left = kept.is_some_and(|kept| kept.reader_left);
    let warnings = [
        reader_left.then(|| packets::READER_LEFT.to_owned()),
        (tally.crowded > 0).then(|| words::crowded(tally.crowded)),
    ];
    warnings.into_iter().flatten().collect()
}

/// The state of a finished run, in real or virtual time, before the dataset is closed.
pub(super) struct RunEnd {
    pub sink: DatasetSink,
    pub tally: Tally,
    pub error: Option<SurveyError>,
    pub ended_at: Time,
}

impl Job<'_> {
    /// Closes the dataset and creates the summary.
    pub(super) fn close(
        self,
        end: RunEnd,
        mut facts: FixedFigures,
        lab: Option<LabCounts>,
        (start, observer): (Time, &mut dyn Observer),
    ) -> Result<SurveyEnd, SurveyError> {
        let ended_early = self.stop.ended_early();
        let incomplete = end.sink.incomplete();
        let ending = match (&end.error, ended_early, &incomplete) {
            (Some(error), ..) => Ending::Failed(error.to_string()),
            (None, Some(cause), _) => Ending::Interrupted(cause_name(cause).to_owned()),
            (None, None, Some(why)) => Ending::Incomplete(why.clone()),
            (None, None, None) => Ending::Complete,
        };
        let mut summary = Summary {
            output: self.output.clone(),
            manifest: None,
            targets: self.targets.len(),
            ipv4_targets: self.targets.ipv4_len(),
            report: self.report,
            families: self.config.targets.families,
            in_lab: self.config.network.is_lab(),
            mtu: self.config.mtu,
            strategy: self.config.strategy,
            achieved_rate: end.tally.achieved_rate(),
            tally: end.tally,
            responders: 0,
            requested_rate: self.config.rate,
            duration: end.ended_at.since(start),
            virtual_time: matches!(self.config.network, Network::VirtualLab { .. }),
            rows: 0,
        };
        let pending = summary.tally.pending;
        let pending = (pending > 0).then(|| words::pending(pending));
        for warning in incomplete.iter().cloned().chain(pending) {
            observer.warn(&warning);
            facts.warnings.push(warning);
        }
        // A failed run has another reason for the missing answers. A resumed run may have had answers before.
        let silence = summary.silence().filter(|_| self.resumed.is_none());
        if let (None, Some(silence)) = (&end.error, silence) {
            observer.warn(&silence);
            facts.warnings.push(silence);
        }
        let run_facts = facts.with(&summary.tally);
        let closed = end
            .sink
            .into_writer()
            .finish(&ending, end.ended_at, &run_facts);
        if let Some(error) = end.error {
            return Err(error);
        }
        let dataset = closed?;
        summary.rows = dataset.hops;
        summary.responders = dataset.counted.distinct_responders();
        summary.manifest = dataset.manifest.clone();
        if self.resumed.is_some() {
            // The rows of all sessions. Only packets are those of this session.
            let of_session = &summary.tally.statistics;
            let statistics = dataset.counted.statistics.with_packets_of(of_session);
            summary.tally.statistics = statistics;
            summary.tally.traces_ended = dataset.counted.traces_ended;
            summary.tally.traces_reached = dataset.counted.traces_reached;
        }
        let counts = &summary.tally.statistics;
        let sent = counts.probes_sent();
        let reply_rate = (sent > 0).then(|| counts.probes(Status::Replied) as f64 / sent as f64);
        let missed_reply_rate = self
            .config
            .min_reply_rate
            .filter(|least| reply_rate.unwrap_or(0.0) < *least)
            .map(|least| MissedReplyRate {
                answered: reply_rate,
                least,
            });
        Ok(SurveyEnd {
            summary,
            dataset,
            ended_early,
            incomplete: incomplete.is_some(),
            missed_reply_rate,
            lab,
        })
    }
}
