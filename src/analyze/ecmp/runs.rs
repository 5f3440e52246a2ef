//! The runs that are analysed.
//!
//! | the dataset has | used |
//! |---|---|
//! | runs of multipath tracing that finished a target | all of multipath tracing; runs of `--flows` are left out |
//! | otherwise: runs of `trace` with several flows | these |
//! | neither | none: [`EcmpError::NoFlows`] |
//!
//! Traces of schema version 1 have no paths, so such runs are not used.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::EcmpError;
use crate::dataset::read::{Dataset, Run};
use crate::model::{Time, Vary};

/// The first schema version of `traces` with paths.
const FIRST_WITH_PATHS: u32 = 2;

/// Where graphs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The tables of multipath tracing.
    Multipath,
    /// Paths of several flows to each target. A graph shows what these flows passed, and may miss any other path.
    Flows,
}

/// A run that is analysed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunFacts {
    /// The run's id.
    pub run_id: String,
    /// When it started: microseconds since 1970 in UTC. `None` if its manifest does not say it.
    pub started_at_us: Option<i64>,
    /// The vantage point.
    pub vantage: String,
    /// The protocol of the probes.
    pub protocol: String,
    /// The field in which the flows of a target differ.
    pub vary: String,
    /// The state in the manifest. A run in the state `running` may have been killed.
    pub state: String,
    /// The number of its graphs.
    pub graphs: u64,
    /// The failure bound that was asked for, of a whole graph. `None` if that of each node was asked for, and for runs of flows.
    pub asked_of_graph: Option<f64>,
    /// The failure bound that was asked for, of each node. `None` if that of a whole graph was asked for, and for runs of flows.
    pub asked_of_node: Option<f64>,
}

/// A run to read.
pub(super) struct OneRun {
    /// Of this run alone.
    pub data: Dataset,
    pub facts: RunFacts,
    /// The flows of each target, for runs of flows.
    pub flows: u64,
}

/// The runs with several flows to a target.
pub(super) struct Chosen {
    pub path: PathBuf,
    pub source: Source,
    pub runs: Vec<OneRun>,
    /// The ids of runs of flows that were left out because there are runs of multipath tracing.
    pub left_out: Vec<String>,
}

/// Chooses the runs, oldest first.
pub(super) fn choose(dataset: Dataset) -> Result<Chosen, EcmpError> {
    let path = dataset.path().to_owned();
    let of = |wanted: Source| {
        let runs = dataset.runs().iter();
        runs.filter(move |run| source_of(run) == Some(wanted))
    };
    let rows = |source: Source| -> u64 {
        let parts = of(source).flat_map(|run| run.parts(table_of(source)));
        parts.map(|part| part.listed().rows).sum()
    };
    let has_runs = |source: Source| of(source).next().is_some();
    // A run of multipath tracing that has finished no target hides no run of flows.
    let source = match has_runs(Source::Multipath) {
        true if rows(Source::Multipath) > 0 || !has_runs(Source::Flows) => Source::Multipath,
        _ => Source::Flows,
    };
    let left_out = match source {
        Source::Multipath => of(Source::Flows).map(|run| run.id().to_owned()).collect(),
        Source::Flows => Vec::new(),
    };
    if !has_runs(source) {
        return Err(refusal(&dataset, path));
    }
    if rows(source) == 0 {
        return Err(EcmpError::Empty(path));
    }
    let runs = dataset
        .only(|run| source_of(run) == Some(source))
        .into_runs();
    Ok(Chosen {
        path,
        source,
        runs: runs.filter_map(|data| one(data, source)).collect(),
        left_out,
    })
}

/// The table with a row for each graph, or for each of its flows.
pub(super) fn table_of(source: Source) -> &'static str {
    match source {
        Source::Multipath => "graphs",
        Source::Flows => "traces",
    }
}

fn source_of(run: &Run) -> Option<Source> {
    if run.tables().any(|table| table == "graphs") {
        return Some(Source::Multipath);
    }
    let is_trace = run.manifest().method == "trace" && flows_of(run) > 1;
    (is_trace && has_paths(run)).then_some(Source::Flows)
}

fn has_paths(run: &Run) -> bool {
    let traces = run.manifest().tables.get("traces");
    traces.is_some_and(|section| section.schema_version >= FIRST_WITH_PATHS)
}

fn flows_of(run: &Run) -> u64 {
    run.manifest().config["flows"].as_u64().unwrap_or(1)
}

fn one(data: Dataset, source: Source) -> Option<OneRun> {
    let run = data.runs().first()?;
    let manifest = run.manifest();
    let failure = |member: &str| {
        let confidence = manifest.config[member].as_f64();
        // Without the error of the subtraction, 0.95 gives 0.05.
        let failure = confidence.map(|confidence| ((1.0 - confidence) * 1e12).round() / 1e12);
        failure.filter(|_| source == Source::Multipath)
    };
    let asked_of_node = failure("confidence");
    let facts = RunFacts {
        run_id: run.id().to_owned(),
        started_at_us: manifest.started_at.map(Time::as_micros),
        vantage: manifest.vantage.id.clone(),
        protocol: manifest.protocol.clone(),
        // Manifests before the option lack the member.
        vary: { manifest.config["vary"].as_str() }
            .unwrap_or(Vary::SourcePort.as_str())
            .to_owned(),
        state: manifest.state.as_str().to_owned(),
        graphs: 0,
        asked_of_graph: failure("graph_confidence").filter(|_| asked_of_node.is_none()),
        asked_of_node,
    };
    let flows = flows_of(run);
    Some(OneRun { data, facts, flows })
}

/// The error of a dataset without several flows.
fn refusal(dataset: &Dataset, path: PathBuf) -> EcmpError {
    if path.is_file() {
        return EcmpError::SingleFile(path);
    }
    let kind = |run: &Run| match run.manifest().method.as_str() {
        "sweep" => "a sweep".to_owned(),
        "trace" if !has_paths(run) => "trace of an old version, without paths".to_owned(),
        "trace" => "trace with one flow".to_owned(),
        other => other.to_owned(),
    };
    let found: BTreeSet<String> = dataset.runs().iter().map(kind).collect();
    EcmpError::NoFlows {
        path,
        found: found.into_iter().collect(),
    }
}
