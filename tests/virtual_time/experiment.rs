//! A survey over a network that records what it did.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pathsurvey::config::{Network, SurveyConfig};
use pathsurvey::dataset::Output;
use pathsurvey::engine::assembler::{Assembled, TargetRows};
use pathsurvey::engine::core::Core;
use pathsurvey::engine::limiter::Limits;
use pathsurvey::engine::report::{Progress, Tally};
use pathsurvey::engine::sink::{RecordSink, SinkError};
use pathsurvey::engine::stop::Stop;
use pathsurvey::engine::tracker::{Timeouts, Tracker};
use pathsurvey::engine::virtual_time::{VirtualEnd, VirtualRun};
use pathsurvey::lab::{LabNetwork, Recorded, Recording, RecordingLog, VirtualNetwork};
use pathsurvey::model::{Blocked, HopRecord, ProbeId, Rate, Time, TraceRecord, UnsentReason};
use pathsurvey::survey::parts::{self, Earlier};
use pathsurvey::survey::{Identity, Observer, SurveyEnd, VIRTUAL_START};
use pathsurvey::targets::{Resolve, TargetSet, TargetSpec};
use pathsurvey::transport::InProcessNetwork;
use pathsurvey::wire::token::TokenMaker;

/// Everything that a survey did, and that the network did to it.
pub struct Observed {
    pub config: SurveyConfig,
    /// The network, for its truth.
    pub network: LabNetwork,
    pub targets: Arc<TargetSet>,
    /// In the order of the dataset's rows before they are sorted.
    pub hops: Vec<HopRecord>,
    pub traces: Vec<TraceRecord>,
    pub tally: Tally,
    pub ended_at: Time,
    /// By the number of the probe.
    pub recorded: Vec<Recorded>,
    /// What the vantage point's kernel sent: TCP resets, in the order of sending.
    pub resets: Vec<Recorded>,
}

/// The command's defaults in the lab, over `targets`, with a seed.
pub fn config(targets: &[&str], seed: u64) -> SurveyConfig {
    SurveyConfig {
        targets: TargetSpec {
            arguments: targets.iter().map(|text| (*text).to_owned()).collect(),
            allow_special: true,
            ..TargetSpec::default()
        },
        window: 20_000,
        rate: rate(20_000.0),
        seed,
        network: Network::VirtualLab { file: None },
        ..SurveyConfig::default()
    }
}

pub fn rate(per_second: f64) -> Rate {
    Rate::new(per_second).expect("a rate")
}

/// The path of an example network.
pub fn lab_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("labs")
        .join(name)
        .with_extension("toml")
}

/// An example network, with another seed for its accidents.
pub fn lab(name: &str, seed: u64) -> LabNetwork {
    let path = lab_file(name);
    let text = std::fs::read_to_string(&path).expect("an example network");
    assert!(!text.contains("\nseed"), "{name} has a seed of its own");
    inline(&format!("seed = {seed}\n{text}"))
}

/// A network written down in a test.
pub fn inline(toml: &str) -> LabNetwork {
    LabNetwork::from_toml(toml, "inline").expect("a network")
}

/// A chain of three routers in which only the `line` to the second is special; what else there is follows the third.
pub fn chain(seed: u64, line: &str, rest: &str) -> LabNetwork {
    inline(&format!(
        r#"
        seed = {seed}
        [[router]]
        name = "one"
        address = "10.0.0.1"
        next = ["two"]
        [[router]]
        name = "two"
        address = "10.0.1.1"
        next = ["three"]
        line = {line}
        [[router]]
        name = "three"
        address = "10.0.2.1"
        {rest}
        "#
    ))
}

/// Runs the survey of `config` over `network` through the same parts as `pathsurvey::survey::run` joins, with nothing between
/// the engine's rows and the test.
pub fn observe(config: SurveyConfig, network: LabNetwork) -> Observed {
    let config = config.validate().expect("a sound configuration");
    let targets = load(&config);
    let mut in_process = InProcess::new(network.clone());
    let log = in_process.log.clone();
    let driven = Drive::new(&config).over(&mut in_process, targets.clone());
    let (resets, recorded) = log.take().into_iter().partition(is_reset);
    Observed {
        config,
        network,
        targets,
        hops: driven.rows.hops,
        traces: driven.rows.traces,
        tally: driven.tally,
        ended_at: driven.ended_at,
        recorded,
        resets,
    }
}

/// The targets of `config`.
pub fn load(config: &SurveyConfig) -> Arc<TargetSet> {
    let (targets, _) = pathsurvey::targets::load(&config.targets, &no_names, &mut |bad| {
        panic!("{bad}");
    })
    .expect("targets");
    Arc::new(targets)
}

/// Takes the progress, and may return a new blocklist.
pub type Watch = dyn FnMut(Progress) -> Option<Arc<dyn Blocked>>;

/// A run in virtual time, and what of it is out of the ordinary.
pub struct Drive<'a> {
    pub config: &'a SurveyConfig,
    pub limits: Limits,
    pub writer_speed: Option<Rate>,
    pub stop: Stop,
    /// The number of the first probe.
    pub first: ProbeId,
    /// What earlier sessions left.
    pub earlier: Option<Earlier>,
    /// Whether silent holes are probed once more.
    pub second_pass: bool,
    /// The blocklist at the start.
    pub blocked: Option<Arc<dyn Blocked>>,
    /// Called twice a second. Further blocklists come from here.
    pub watch: Box<Watch>,
}

/// What a run left.
pub struct Driven {
    pub rows: TargetRows,
    pub tally: Tally,
    pub ended_at: Time,
}

impl<'a> Drive<'a> {
    /// The run of a sound configuration.
    pub fn new(config: &'a SurveyConfig) -> Self {
        Drive {
            config,
            limits: parts::limits(config),
            writer_speed: None,
            stop: Stop::default(),
            first: ProbeId(0),
            earlier: None,
            blocked: None,
            second_pass: false,
            watch: Box::new(|_| None),
        }
    }

    /// Runs over `network`.
    pub fn over(mut self, network: &mut dyn InProcessNetwork, targets: Arc<TargetSet>) -> Driven {
        let config = self.config;
        let strategic = SurveyConfig {
            second_pass: self.second_pass,
            ..config.clone()
        };
        let mut rows = Rows::default();
        let mut core = Core::new(
            parts::strategy_for(&strategic, targets, true, self.earlier.as_ref()),
            &self.limits,
            tracker(config, self.first),
            VIRTUAL_START,
            config.cooldown,
        );
        if let Some(blocked) = self.blocked.take() {
            core.set_blocked(blocked, VIRTUAL_START);
        }
        let run = VirtualRun {
            core,
            assembler: parts::assembler(config),
            network,
            sink: &mut rows,
            writer_speed: self.writer_speed,
            start: VIRTUAL_START,
            stop: &self.stop,
            progress: &mut *self.watch,
        };
        let VirtualEnd {
            tally,
            ended_at,
            error,
        } = run.run();
        assert!(error.is_none(), "nothing can fail to be written");
        Driven {
            rows: rows.0,
            tally,
            ended_at,
        }
    }
}

/// No probe is a reset.
fn is_reset(recorded: &Recorded) -> bool {
    const TCP: u8 = 6;
    const RST: u8 = 4;
    let packet = &recorded.packet;
    let (protocol, header) = match packet[0] >> 4 {
        4 => (packet[9], 20),
        _ => (packet[6], 40),
    };
    protocol == TCP && packet[header + 13] & RST != 0
}

/// Runs the survey of `config` as the command does, into `output`.
pub fn survey(config: SurveyConfig, output: &Output) -> SurveyEnd {
    let config = config.validate().expect("a sound configuration");
    let end = pathsurvey::survey::run(
        &config,
        output,
        &no_names,
        &Stop::default(),
        &mut NoObserver,
    );
    end.expect("a survey")
}

/// A survey over the network of a file.
pub fn over_file(mut config: SurveyConfig, file: PathBuf) -> SurveyConfig {
    config.network = Network::VirtualLab { file: Some(file) };
    config
}

struct NoObserver;

impl Observer for NoObserver {}

fn no_names(name: &str) -> std::io::Result<Vec<IpAddr>> {
    panic!("{name} is not to be resolved");
}

const _: &Resolve<'static> = &no_names;

/// As [`parts::tracker`]; what follows from the seed alone is worked out once, because it takes longer than a survey of one target.
fn tracker(config: &SurveyConfig, first: ProbeId) -> Tracker {
    static TOKENS: Mutex<BTreeMap<u64, TokenMaker>> = Mutex::new(BTreeMap::new());
    let mut known = TOKENS.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = config.seed;
    let make = || TokenMaker::new(Identity::of_seed(VIRTUAL_START, seed, 0).key);
    let tokens = known.entry(seed).or_insert_with(make).clone();
    let timeouts = Timeouts {
        timeout: config.timeout,
        late_window: config.late_window,
    };
    let expected = usize::try_from(config.live_probes()).expect("a number of probes");
    let format = parts::format(config, config.source_port);
    Tracker::new(format, timeouts, tokens, expected, first)
}

#[derive(Default)]
struct Rows(TargetRows);

impl RecordSink for Rows {
    fn write(&mut self, records: &mut Assembled, _now: Time) -> Result<(), SinkError> {
        self.0.append(&mut records.take_all());
        Ok(())
    }

    fn tick(&mut self, _now: Time, _tally: &Tally) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A simulated network that records what it did.
pub struct InProcess {
    vantage_v4: Ipv4Addr,
    vantage_v6: Option<Ipv6Addr>,
    network: VirtualNetwork<Recording<LabNetwork>>,
    pub log: RecordingLog,
}

impl InProcess {
    pub fn new(network: LabNetwork) -> Self {
        let (vantage_v4, vantage_v6) = (network.vantage_v4(), network.vantage_v6());
        let (recording, log) = Recording::new(network);
        InProcess {
            vantage_v4,
            vantage_v6,
            network: VirtualNetwork::new(recording),
            log,
        }
    }
}

impl InProcessNetwork for InProcess {
    fn source_for(&self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        match destination {
            IpAddr::V4(_) => Ok(self.vantage_v4.into()),
            IpAddr::V6(_) => {
                let source = self.vantage_v6.map(IpAddr::from);
                source.ok_or(UnsentReason::NoRoute)
            }
        }
    }

    fn send(&mut self, packet: &[u8], now: Time) {
        self.network.send(packet, now);
    }

    fn next_arrival(&self) -> Option<Time> {
        self.network.next_arrival()
    }

    fn receive(&mut self, now: Time) -> Option<(Time, Vec<u8>)> {
        self.network.receive(now)
    }
}
