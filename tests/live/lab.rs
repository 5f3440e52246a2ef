//! A survey made by the library over real sockets, in a simulated network that keeps a record of what it did.

use std::path::Path;
use std::time::Duration;

use pathsurvey::config::{Network, SurveyConfig};
use pathsurvey::dataset::Output;
use pathsurvey::engine::stop::Stop;
use pathsurvey::lab::{LabNetwork, Recorded, Recording};
use pathsurvey::model::Rate;
use pathsurvey::survey::{Observer, Simulation, SurveyEnd, SurveyError, run_over};
use pathsurvey::targets::{NoNames, TargetSpec, Unresolved};

use crate::rows::Dataset;
use crate::support::Ignored;

/// A survey, what it left, and what the network did meanwhile.
pub struct Surveyed {
    pub dataset: Dataset,
    /// The packets that reached the network, in the order of sending, with what came back.
    pub log: Vec<Recorded>,
    /// The same network, untouched: it knows the truth.
    pub network: LabNetwork,
    pub end: SurveyEnd,
    pub config: SurveyConfig,
}

/// A network of `labs/`.
pub fn network(name: &str) -> LabNetwork {
    LabNetwork::from_file(&repository().join("labs").join(name)).unwrap()
}

/// As [`network`], with texts of its file changed for others; each must be there once.
pub fn changed(name: &str, changes: &[(&str, &str)]) -> LabNetwork {
    let mut text = std::fs::read_to_string(repository().join("labs").join(name)).unwrap();
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {name}");
        text = text.replace(from, to);
    }
    LabNetwork::from_toml(&text, name).unwrap()
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A survey of `targets` as the command line would ask for it, but for a rate that any machine holds, and a timeout that no
/// busy machine reaches: where probes go unanswered by nature, the case sets one that it can wait for.
pub fn config(targets: &[&str]) -> SurveyConfig {
    SurveyConfig {
        targets: TargetSpec {
            arguments: targets.iter().map(|target| (*target).to_owned()).collect(),
            allow_special: true,
            ..TargetSpec::default()
        },
        window: 4_096,
        rate: Rate::new(4_000.0).unwrap(),
        timeout: Duration::from_secs(30),
        cooldown: Duration::from_secs(1),
        seed: 1,
        network: Network::Lab { file: None },
        ..SurveyConfig::default()
    }
}

struct Unwatched;

impl Observer for Unwatched {}

/// Surveys `network` as `config` says.
pub fn survey(network: LabNetwork, config: SurveyConfig) -> Result<Surveyed, Ignored> {
    let config = config.validate().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (recording, log) = Recording::new(network.clone());
    let simulation = Simulation {
        name: network.name().to_owned(),
        vantage: network.vantage(),
        network: Box::new(recording),
    };
    let output = Output::Directory(directory.path().join("night"));
    let end = run_over(
        simulation,
        &config,
        &output,
        &NoNames(Unresolved::Lab),
        &Stop::default(),
        &mut Unwatched,
    );
    let end = match end {
        Err(SurveyError::Namespace(error)) if error.is_refusal() => {
            return Err(Ignored(error.to_string()));
        }
        end => end.unwrap(),
    };
    print!("{}", end.summary);
    Ok(Surveyed {
        dataset: Dataset::read(&directory.path().join("night")),
        log: log.take(),
        network,
        end,
        config,
    })
}
