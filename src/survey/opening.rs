//! Opens the dataset of a run, with what is known of the run by then.

use std::sync::Arc;

use crate::config::StrategyChoice;
use crate::dataset::{
    DatasetError, DatasetWriter, NewRun, PartLimits, RunMeta, StoreTargets, Vantage,
};
use crate::engine::format::ProbeFormat;
use crate::engine::report::Tally;
use crate::model::{ProbeId, Targets, Time};

use super::earlier;
use super::identity::Identity;
use super::outage::{Outage, Routeless};
use super::parts::Earlier;
use super::sink::{DatasetSink, FixedFigures};
use super::words::to_json;
use super::{Job, SurveyError};

/// Where the run stands when this process begins to probe.
pub(super) struct Session {
    /// What earlier sessions have probed. `None` in a new run.
    pub earlier: Option<Earlier>,
    /// The number of the first probe.
    pub first_probe: ProbeId,
}

impl Job<'_> {
    /// Opens the dataset. From then on, an end at once has something to seal.
    pub(super) fn open_dataset(
        &self,
        identity: &Identity,
        format: &ProbeFormat,
        vantage: Vantage,
        start: Time,
        (facts, routeless): (FixedFigures, Routeless),
    ) -> Result<(DatasetSink, Session), SurveyError> {
        let config = self.config;
        let mut meta = self.meta(identity, format, vantage, start);
        if let Some(run) = &self.resumed {
            let manifest = run.manifest();
            meta.run_id.clone_from(&manifest.run_id);
            meta.survey_id.clone_from(&manifest.survey_id);
            meta.started_at = manifest.started_at.unwrap_or(start);
            meta.date = manifest.date;
            // The stored one, because the configuration of this session may have another duration.
            meta.config = manifest.config.clone();
        }
        let limits = PartLimits {
            age: config.seal_interval,
            rows: config.seal_rows as usize,
            ..PartLimits::default()
        };
        let run = NewRun {
            tables: crate::dataset::tables_of(config.strategy == StrategyChoice::Multipath)
                .to_vec(),
            limits,
            if_exists: config.if_exists,
            ..NewRun::new(meta, self.targets.clone())
        };
        let first = facts.with(&Tally::default());
        let (writer, session) = match &self.resumed {
            None => {
                let run = NewRun {
                    stored_targets: Some(self.stored_targets()),
                    ..run
                };
                let writer = DatasetWriter::create(self.output, run, start, &first)?;
                let first_probe = ProbeId(0);
                let earlier = None;
                (
                    writer,
                    Session {
                        earlier,
                        first_probe,
                    },
                )
            }
            Some(resumed) => {
                let first_probe = resumed.first_probe();
                let unfinished = resumed.clone().lock()?;
                let earlier = unfinished
                    .kept_rows()
                    .and_then(|rows| earlier::read(config, self.targets.len(), &rows))
                    .map_err(DatasetError::from)?;
                let writer = DatasetWriter::resume(unfinished, run, start, &first)?;
                let earlier = Some(earlier);
                (
                    writer,
                    Session {
                        earlier,
                        first_probe,
                    },
                )
            }
        };
        self.stop.writes_now();
        let outage = Outage::new(routeless, config.traces_per_target());
        Ok((DatasetSink::new(writer, facts, outage), session))
    }

    /// Writes the loaded targets, so that a later process needs no list and no name server.
    fn stored_targets(&self) -> StoreTargets {
        let (targets, report) = (Arc::clone(&self.targets), self.report.clone());
        Box::new(move |mut out| targets.store(&report, &mut out))
    }

    /// The facts of a new run.
    fn meta(
        &self,
        identity: &Identity,
        format: &ProbeFormat,
        vantage: Vantage,
        start: Time,
    ) -> RunMeta {
        let config = self.config;
        let tracing = config.strategy != StrategyChoice::Sweep;
        RunMeta {
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
            date: config.date,
            method: config.strategy.as_str().to_owned(),
            protocol: config.protocol,
            vary: config.vary,
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
        }
    }
}
