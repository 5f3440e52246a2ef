//! Opens the dataset of a run, with what is known of the run by then.

use crate::config::StrategyChoice;
use crate::dataset::{DatasetWriter, NewRun, PartLimits, RunMeta, Vantage};
use crate::engine::format::ProbeFormat;
use crate::engine::report::Tally;
use crate::model::Time;

use super::identity::Identity;
use super::outage::{Outage, Routeless};
use super::sink::{DatasetSink, FixedFigures};
use super::words::to_json;
use super::{Job, SurveyError};

impl Job<'_> {
    /// Opens the dataset. From then on, an end at once has something to seal.
    pub(super) fn open_dataset(
        &self,
        identity: &Identity,
        format: &ProbeFormat,
        vantage: Vantage,
        start: Time,
        (facts, routeless): (FixedFigures, Routeless),
    ) -> Result<DatasetSink, SurveyError> {
        let config = self.config;
        let tracing = config.strategy == StrategyChoice::Trace;
        let meta = RunMeta {
            run_id: identity.run_id.clone(),
            survey_id: config
                .survey_id
                .clone()
                .unwrap_or_else(|| identity.run_id.clone()),
            shard: None,
            cycle: None,
            vantage,
            seed: config.seed,
            started_at: start,
            date: None,
            method: config.strategy.as_str().to_owned(),
            protocol: config.protocol,
            base_src_port: format.protocol.has_ports().then_some(format.source_port),
            dst_port: (format.protocol.has_ports() && !format.port_per_ttl)
                .then_some(format.destination_port),
            attempts: if tracing { config.attempts } else { 1 },
            gap_limit: tracing.then_some(config.gap_limit),
            probe_sizes: match config.mtu {
                true => [None; 2],
                false => [false, true].map(|ipv6| format.constant_size(ipv6)),
            },
            config: to_json(config),
        };
        let run = NewRun {
            limits: PartLimits {
                age: config.seal_interval,
                rows: config.seal_rows as usize,
                ..PartLimits::default()
            },
            ..NewRun::new(meta, self.targets.clone())
        };
        let first = facts.with(&Tally::default());
        let writer = DatasetWriter::create(self.output, run, start, &first)?;
        self.stop.writes_now();
        let outage = Outage::new(routeless, config.flows);
        Ok(DatasetSink::new(writer, facts, outage))
    }
}
